// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl recover: bring broken regions back to work. After a host error only with
 * --accept-data-loss, and it names whose data is concerned.
 */
#include <errno.h>

#include "plan.h"
#include "progress.h"
#include "regions.h"

const struct option_desc recover_options[] = {
	{ .id = OPTION_ACCEPT_DATA_LOSS, .name = "accept-data-loss",
	  .help = "also after the host failed a flush, which may have lost data" },
	OPTION_DESC_DRY_RUN,
	{ .name = NULL },
};

/* What failed came after that. */
static bool is_recovered(struct virtpmem_plan *plan)
{
	struct virtpmem_step *step;

	if (plan)
		virtpmem_step_foreach (plan, step)
			if (virtpmem_step_get_kind(step) == VIRTPMEM_STEP_RECOVER)
				return virtpmem_step_get_result(step) == VIRTPMEM_RESULT_DONE;
	return false;
}

static void report_no_answer(struct pmemctl *p, const char *dev, struct virtpmem_plan *plan, int err)
{
	struct output *out = &p->out;

	if (!is_recovered(plan) && err == -EINTR)
		plan_report(p, dev, plan, err, "recovered");
	else if (!is_recovered(plan))
		output_error(out, dev, ERROR_TIMED_OUT,
			     "the device does not answer; look at the host's storage. The region "
			     "was kept down, so that the answer to an old request cannot be taken "
			     "for a new one's. Where no answer can come any more (the device has "
			     "forgotten the request, or never saw it) 'pmemctl recover %s' once "
			     "more goes on without it", dev);
	else
		output_error(out, dev, err == -EINTR ? ERROR_INTERRUPTED : ERROR_TIMED_OUT,
			     "%s before its host had answered a flush: the region is not broken any "
			     "more, but whether its host flushes is not known; 'pmemctl flush %s' "
			     "tells", err == -EINTR ? "interrupted" : "the time was over", dev);
}

static void report(struct pmemctl *p, const char *dev, struct virtpmem_plan *plan, int err)
{
	struct output *out = &p->out;

	switch (err) {
	case -ENOTRECOVERABLE:
		output_error(out, dev, ERROR_DATA_LOSS,
			     "the host failed a flush, and data that was reported as safe may be "
			     "lost; mend the host's storage, see above whose data it is, then "
			     "'pmemctl recover --accept-data-loss %s', and check that data", dev);
		break;
	case -EIO:
		output_error(out, dev, ERROR_BROKEN,
			     "it broke again: 'pmemctl status %s' shows why; look at the host's "
			     "storage, then try it again", dev);
		break;
	case -EBUSY:
		output_error(out, dev, ERROR_BUSY, plan ?
			     "was not recovered, because the system is being suspended or shut "
			     "down; try it again after that" :
			     "was not recovered: another process is at work on it; try it again");
		break;
	case -EINTR:
	case -ETIMEDOUT:
		report_no_answer(p, dev, plan, err);
		break;
	case -EOPNOTSUPP:
		output_error(out, dev, ERROR_NOT_SUPPORTED,
			     "its driver cannot recover a region; with this project's virtio_pmem "
			     "it could");
		break;
	default:
		plan_report(p, dev, plan, err, "recovered");
		break;
	}
}

static void recover_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	const char *dev = virtpmem_region_get_devname(region);
	struct progress progress;
	int err;

	regions_forget_log(p);
	progress_start(&progress, &p->out, dev, "recovered");
	err = virtpmem_region_recover(region, plan_flags(p), &plan);
	progress_stop(&progress);
	plan_show(p, region, plan, err);
	if (err < 0)
		report(p, dev, plan, err);
}

void cmd_recover(struct pmemctl *p)
{
	regions_each(p, recover_region);
}
