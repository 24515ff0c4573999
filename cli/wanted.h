/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The regions that a command goes on to tell of, by any of their names, also of
 * names that no region has yet.
 */
#ifndef PMEMCTL_WANTED_H
#define PMEMCTL_WANTED_H

#include "pmemctl.h"

struct wanted_name {
	char *given;
	char *identity; /* what the region is recognised by from now on; NULL: none has the name */
};

struct wanted {
	struct wanted_name *names;
	size_t count; /* 0: all regions are wanted */
};

/* By @names, which ends with NULL; none, or "all" among them: all. After a scan. */
void wanted_set(struct wanted *wanted, struct pmemctl *p, char *const names[]);

/*
 * Looks anew for the names that no region had. To be called when something has
 * happened; scans only if there are such names.
 */
void wanted_look(struct wanted *wanted, struct pmemctl *p);

bool wanted_has(const struct wanted *wanted, const struct virtpmem_region *region);

void wanted_clear(struct wanted *wanted);

#endif /* PMEMCTL_WANTED_H */
