// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl thaw: let writers go on, whoever has frozen them.
 */
#include <errno.h>

#include "plan.h"
#include "progress.h"
#include "regions.h"

const struct option_desc thaw_options[] = {
	OPTION_DESC_DRY_RUN,
	{ .name = NULL },
};

static void thaw_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	const char *dev = virtpmem_region_get_devname(region);
	struct progress progress;
	int err;

	regions_forget_log(p);
	progress_start(&progress, &p->out, dev, "thawed");
	err = virtpmem_region_thaw(region, plan_flags(p), &plan);
	progress_stop(&progress);
	plan_show(p, region, plan, err);
	if (err == -ETIMEDOUT)
		output_error(&p->out, dev, ERROR_TIMED_OUT,
			     "its guard process has not ended within 30 s, as if the host kept it "
			     "waiting: 'pmemctl status %s' shows whether it does; then try it again",
			     dev);
	else if (err < 0)
		plan_report(p, dev, plan, err, "thawed");
}

void cmd_thaw(struct pmemctl *p)
{
	regions_each(p, thaw_region);
}
