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
 * Calls @fn for the regions to which regions_each() is going to come, maybe for one
 * more than once, and reports nothing: what can be begun early is begun early. After
 * regions_scan().
 */
void regions_each_early(struct pmemctl *p,
			void (*fn)(struct pmemctl *p, struct virtpmem_region *region));

/* Finds the regions, if that was not done. Returns: false if it failed, which is reported. */
bool regions_scan(struct pmemctl *p);

/*
 * Looks anew which regions there are. Regions of before are gone, except those
 * that were referenced. Returns: the number of regions, or a negative errno.
 */
int regions_rescan(struct pmemctl *p);

/*
 * What a region is known by as long as the machine runs: its path; with the
 * name, where several regions of the last scan have that path. The caller frees.
 */
char *regions_identity(struct pmemctl *p, const struct virtpmem_region *region);

/* A context that has not looked for regions; the library's last word on an error is put into *log. */
struct virtpmem_ctx *regions_context(char **log);

/*
 * Adds to @names (an array of strings) every name by which a region can be
 * given. Silent: where regions cannot be read there are no names.
 */
void regions_names(struct pmemctl *p, struct record *names);

/*
 * The same of the virtio-pmem devices that have no region, because no driver has
 * them: adds their paths, as "pmemctl add" takes them.
 */
void regions_without_driver(struct pmemctl *p, struct record *paths);

/*
 * What the library logged last, which names the file, or its errno in words; for a
 * message about @dev. To be asked right after the failure; to be forgotten before
 * the next call.
 */
const char *regions_why(const struct pmemctl *p, const char *dev, int err);
void regions_forget_log(struct pmemctl *p);

/* The error of a region that is left out after Ctrl-C, by a command that does something to it. */
void regions_not_reached(struct pmemctl *p, const char *name);

/* A region that is being read. */
struct reader {
	struct pmemctl *p;
	struct virtpmem_region *region;
	bool gone;
};

/*
 * Looks at the result of a call of the library. What is not there is left out
 * silently. A region that is gone is one error, however many calls find it out.
 * Returns: true if there is a value.
 */
bool reader_got(struct reader *rd, const char *what, int err);

enum describe {
	DESCRIBE_NAMES, /* dev and path */
	DESCRIBE_STATE, /* and driver and state */
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
