// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl export: what status knows, as OpenMetrics; on standard output, or in a
 * file that is replaced as a whole.
 */
#include "health.h"
#include "regions.h"
#include "util.h"

const struct option_desc export_options[] = {
	{ .id = OPTION_OUTPUT_FILE, .letter = 'f', .name = "output-file", .argument = "FILE",
	  .help = "replace this file at once, instead of printing" },
	{ .name = NULL },
};

static void export_region(struct pmemctl *p, struct virtpmem_region *region)
{
	static const struct health_limits no_limits;
	struct reader rd = { .p = p, .region = region };
	struct record *r;

	/* What is counted and what is judged are the same values. */
	if (virtpmem_region_snapshot_begin(region) < 0)
		out_of_memory();
	r = regions_describe(p, region, DESCRIBE_FULL);
	if (r) {
		health_add(&rd, NULL, &no_limits, r);
		output_region(&p->out, r);
	}
	virtpmem_region_snapshot_end(region);
}

void cmd_export(struct pmemctl *p)
{
	if (p->option[OPTION_OUTPUT_FILE] &&
	    !output_to_file(&p->out, p->option[OPTION_OUTPUT_FILE]))
		return;
	if (p->out.ops == &output_text)
		p->out.ops = &output_openmetrics;
	regions_each(p, export_region);
}
