/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which files bad ranges of a block device hit.
 */
#ifndef PMEMCTL_OWNERS_H
#define PMEMCTL_OWNERS_H

#include "regions.h"

/*
 * Adds "owners" to each bad range of a block device or partition in @ranges, the
 * array of records of one region. @holders: who uses that region. @limit: how often the
 * files of each file system may be asked where they lie; one in up to 64 pieces is asked
 * once. Returns: NULL, or that not all of them were asked. The caller frees.
 */
char *owners_add(struct pmemctl *p, struct virtpmem_holders *holders, struct record *ranges,
		 unsigned int limit);

#endif /* PMEMCTL_OWNERS_H */
