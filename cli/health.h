/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The library's verdicts on a region and on the machine.
 */
#ifndef PMEMCTL_HEALTH_H
#define PMEMCTL_HEALTH_H

#include "regions.h"

/* How long one host flush in a hundred may take, in microseconds; 0: as long as it likes. */
struct health_limits {
	uint64_t warning_us, critical_us;
};

/*
 * Adds "health" to the record of a region. @holders: who uses it, or NULL.
 * Returns: the verdict.
 */
enum virtpmem_health_level health_add(struct reader *rd, struct virtpmem_holders *holders,
				      const struct health_limits *limits, struct record *r);

/* Adds "health" of the machine's set-up to a record. Returns: the verdict. */
enum virtpmem_health_level health_add_system(struct pmemctl *p, struct record *r);

#endif /* PMEMCTL_HEALTH_H */
