// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl add: give devices their driver, and so their regions. Devices are named by
 * their path, because before that there is no region that could be.
 */
#include <errno.h>

#include "plan.h"
#include "progress.h"
#include "regions.h"

const struct option_desc add_options[] = {
	OPTION_DESC_DRY_RUN,
	{ .name = NULL },
};

static void report(struct pmemctl *p, const char *path, struct virtpmem_plan *plan, int err)
{
	struct output *out = &p->out;

	switch (err) {
	case -EINVAL:
		output_error(out, path, ERROR_USAGE,
			     "not the path of a device, which is its bus and its name there, such "
			     "as pci-0000:00:04.0; 'pmemctl list' shows those of regions");
		break;
	case -ENXIO:
		output_error(out, path, ERROR_NO_SUCH_REGION,
			     "%s", plan ? "it has its driver, but got no region; the kernel's log "
					  "says why" :
					  "there is no such device; 'ls /sys/bus/*/devices' shows what "
					  "is there");
		break;
	case -ENOENT:
		output_error(out, path, ERROR_FAILED,
			     "its driver, virtio_pmem, could not be loaded: is it installed for "
			     "this kernel?");
		break;
	case -ENOTUNIQ:
		output_error(out, path, ERROR_AMBIGUOUS,
			     "several regions have this path, and which one is meant is not known");
		break;
	default:
		plan_report(p, path, plan, err, "added");
		break;
	}
}

static void show(struct pmemctl *p, const char *path, struct virtpmem_region *region,
		 struct virtpmem_plan *plan, int err)
{
	struct record *r;

	if (!plan)
		return;
	if (region) {
		r = regions_describe(p, region, DESCRIBE_NAMES);
	} else {
		r = record_new(RECORD_OBJECT);
		record_add_string(r, "path", path);
	}
	plan_describe(p, r, plan, err);
	output_region(&p->out, r);
}

static void add_path(struct pmemctl *p, const char *path)
{
	_cleanup_virtpmem_region_unref_ struct virtpmem_region *region = NULL;
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	struct progress progress;
	int err;

	regions_forget_log(p);
	progress_start(&progress, &p->out, path, "added");
	err = virtpmem_add(p->ctx, path, NULL, plan_flags(p), &plan, &region);
	progress_stop(&progress);
	show(p, path, region, plan, err);
	if (err < 0)
		report(p, path, plan, err);
}

void cmd_add(struct pmemctl *p)
{
	size_t i;

	p->ctx = regions_context(&p->log);
	for (i = 0; i < p->operand_count; i++)
		if (interrupted())
			regions_not_reached(p, p->operands[i]);
		else
			add_path(p, p->operands[i]);
}
