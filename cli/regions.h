/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the names on the command line to regions, and from regions to records.
 */
#ifndef PMEMCTL_REGIONS_H
#define PMEMCTL_REGIONS_H

#include "pmemctl.h"

/*
 * Calls @fn for each region that the operands name, in their order, each once;
 * for all, if there is no operand. What cannot be found is an error of the
 * output, and does not keep the next from being tried.
 */
void regions_each(struct pmemctl *p, void (*fn)(struct pmemctl *p, struct virtpmem_region *region));

/*
 * Adds to @names (an array of strings) every name by which a region can be
 * given. Silent: where regions cannot be read there are no names.
 */
void regions_names(struct pmemctl *p, struct record *names);

/*
 * What the library logged last, which names the file, or its errno in words; for a
 * message about @dev. To be asked right after the failure; to be forgotten before
 * the next call.
 */
const char *regions_why(const struct pmemctl *p, const char *dev, int err);
void regions_forget_log(struct pmemctl *p);

enum describe {
	DESCRIBE_NAMES, /* dev and path */
	DESCRIBE_BRIEF, /* what "list" shows */
	DESCRIBE_FULL,	/* everything */
};

/*
 * A record of the region. What is not there is left out, what cannot be read is
 * left out and an error of the output. Returns: NULL if the region is gone.
 */
struct record *regions_describe(struct pmemctl *p, struct virtpmem_region *region,
				enum describe how);

#endif /* PMEMCTL_REGIONS_H */
