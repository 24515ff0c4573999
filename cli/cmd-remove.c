// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl remove: take regions away, once nobody uses them. What it would break is
 * known, and shown, before anything changes.
 */
#include <errno.h>

#include "plan.h"
#include "progress.h"
#include "regions.h"
#include "util.h"

const struct option_desc remove_options[] = {
	OPTION_DESC_DRY_RUN,
	{ .id = OPTION_FORCE, .letter = 'f', .name = "force",
	  .help = "although somebody uses it; never the root file system, swap or memory in use" },
	{ .id = OPTION_TIMEOUT, .letter = 't', .name = "timeout", .argument = "SECONDS",
	  .help = "how long its flush may take; 60 if it is not given" },
	{ .name = NULL },
};

/* Of the region itself: somebody holds it frozen, or it is quiesced; else it has a user. */
static void report_busy(struct pmemctl *p, const char *dev, struct virtpmem_plan *plan,
			const char *why)
{
	const struct virtpmem_step *obstacle = plan ? plan_obstacle(plan) : NULL;
	const char *object = obstacle ? virtpmem_step_get_object(obstacle) : NULL;

	if (object && streq(object, dev))
		output_error(&p->out, dev, ERROR_BUSY, "busy, and was not removed: %s; 'pmemctl "
			     "thaw %s' ends that", why, dev);
	else
		output_error(&p->out, dev, ERROR_BUSY, "busy, and was not removed: %s; end what is "
			     "in the way, 'pmemctl holders %s' shows all of it", why, dev);
}

static void report(struct pmemctl *p, const char *dev, struct virtpmem_plan *plan, int err)
{
	_cleanup_free_ char *why = plan_why(p, dev, plan, err);
	struct output *out = &p->out;

	switch (err) {
	case -EBUSY:
		report_busy(p, dev, plan, why);
		break;
	case -EIO:
		output_error(out, dev, ERROR_FLUSH_FAILED,
			     "was not removed, because it could not be flushed: %s; what was stored "
			     "since the last good flush may be lost. --force removes it all the "
			     "same", why);
		break;
	case -ETIMEDOUT:
		output_error(out, dev, ERROR_TIMED_OUT,
			     "was not removed, because the host did not flush it in time: %s; look "
			     "at the host's storage, or give it more with --timeout", why);
		break;
	default:
		plan_report(p, dev, plan, err, "removed");
		break;
	}
}

static void remove_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	const char *dev = virtpmem_region_get_devname(region);
	struct progress progress;
	const unsigned int *ms = p->data;
	int err;

	regions_forget_log(p);
	progress_start(&progress, &p->out, dev, "removed");
	err = virtpmem_region_remove(region, *ms, plan_flags(p), &plan);
	progress_stop(&progress);
	plan_show(p, region, plan, err);
	if (err < 0)
		report(p, dev, plan, err);
}

void cmd_remove(struct pmemctl *p)
{
	unsigned int ms = 0;

	p->data = &ms;
	if (option_seconds(p, OPTION_TIMEOUT, &ms))
		regions_each(p, remove_region);
	p->data = NULL;
}
