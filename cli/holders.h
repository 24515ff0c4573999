/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who uses a region's devices.
 */
#ifndef PMEMCTL_HOLDERS_H
#define PMEMCTL_HOLDERS_H

#include "regions.h"

/*
 * To look without touching: no block device is claimed, not even for a moment, so
 * a holder that leaves no other trace is not found.
 */
#define HOLDERS_PASSIVE VIRTPMEM_HOLDERS_CLAIMED

/*
 * Adds "in_use", "complete", "holders" and what else is known to the record.
 * @flags as for virtpmem_region_get_holders(). Returns: what the library found,
 * for the caller to release, or NULL if it could not look, which is an error of
 * the output.
 */
struct virtpmem_holders *holders_add(struct reader *rd, unsigned int flags, struct record *r);

#endif /* PMEMCTL_HOLDERS_H */
