// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl list: the regions, one a line.
 */
#include "columns.h"
#include "regions.h"

const struct option_desc list_options[] = {
	OPTION_OF_COLUMNS,
	OPTIONS_OF_TABLES,
	{ .name = NULL },
};

static void list_region(struct pmemctl *p, struct virtpmem_region *region)
{
	struct record *r = regions_describe(p, region, DESCRIBE_BRIEF);

	if (r)
		output_region(&p->out, r);
}

void cmd_list(struct pmemctl *p)
{
	if (columns_choose(p))
		regions_each(p, list_region);
}
