// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl holders: who uses regions, through any depth of stacking.
 */
#include "holders.h"

const struct option_desc holders_options[] = {
	OPTIONS_OF_TABLES,
	{ .name = NULL },
};

static void holders_of_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	struct reader rd = { .p = p, .region = region };
	struct record *r = regions_describe(p, region, DESCRIBE_NAMES);

	holders = holders_add(&rd, 0, r);
	if (holders)
		output_region(&p->out, r);
	else
		record_free(r);
}

void cmd_holders(struct pmemctl *p)
{
	regions_each(p, holders_of_region);
}
