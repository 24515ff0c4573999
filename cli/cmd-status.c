// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl status: everything about regions, with a verdict.
 */
#include "health.h"
#include "regions.h"
#include "util.h"

static void status_region(struct pmemctl *p, struct virtpmem_region *region)
{
	struct record *r;

	/* What is shown and what is judged are the same values. */
	if (virtpmem_region_snapshot_begin(region) < 0)
		out_of_memory();
	r = regions_describe(p, region, DESCRIBE_FULL);
	if (r) {
		health_add(region, r);
		output_region(&p->out, r);
	}
	virtpmem_region_snapshot_end(region);
}

void cmd_status(struct pmemctl *p)
{
	regions_each(p, status_region);
}
