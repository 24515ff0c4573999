// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl status: everything about regions, with a verdict.
 */
#include "health.h"
#include "regions.h"

static void status_region(struct pmemctl *p, struct virtpmem_region *region)
{
	struct record *r = regions_describe(p, region, DESCRIBE_FULL);

	if (!r)
		return;
	health_add(r);
	output_region(&p->out, r);
}

void cmd_status(struct pmemctl *p)
{
	regions_each(p, status_region);
}
