// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bringing a broken region back to work.
 *
 * After a host error the host may have dropped data that programs in the guest
 * believe to be safe: nothing brings it back, and a region that works again
 * hides it. So that is done only for a caller who says that it knows, and the
 * plan names whose data it is.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "act.h"

struct operation {
	struct virtpmem_region *region;
	struct virtpmem_plan *plan;
	bool broken, lost;
};

static int act_recover(void *data, size_t arg)
{
	const struct operation *op = data;
	enum virtpmem_state state;
	int r;

	(void)arg;
	r = virtpmem_region_get_state(op->region, &state);
	if (r < 0)
		return r;
	if (state != VIRTPMEM_STATE_BROKEN)
		return VP_NOT_NEEDED;
	return vp_write(op->region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_RECOVER), "1");
}

static int act_flush(void *data, size_t arg)
{
	const struct operation *op = data;

	(void)arg;
	return vp_act_flush(op->region, 0);
}

static int act_verify(void *data, size_t arg)
{
	const struct operation *op = data;
	enum virtpmem_state state;
	int r;

	(void)arg;
	r = virtpmem_region_get_state(op->region, &state);
	if (!r && state == VIRTPMEM_STATE_BROKEN)
		r = -EIO;
	return r;
}

/* Data that is used through somebody else is that somebody's. */
static int warn_of_holder(const struct virtpmem_holder *holder, unsigned int depth, void *data)
{
	const struct operation *op = data;
	_cleanup_free_ char *words = NULL;
	int r;

	(void)depth;
	switch (virtpmem_holder_get_kind(holder)) {
	case VIRTPMEM_HOLDER_DM:
	case VIRTPMEM_HOLDER_LVM:
	case VIRTPMEM_HOLDER_MD:
	case VIRTPMEM_HOLDER_LOOP:
	case VIRTPMEM_HOLDER_BLOCK:
		return 0;
	default:
		break;
	}
	r = vp_holder_words(holder, &words);
	if (r < 0)
		return r;
	return vp_plan_warn(op->plan, vp_holder_object(holder), "data may be lost: %s", words);
}

/* Whose data it is that the host may have lost. */
static int plan_loss(const struct operation *op, unsigned int flags)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	const char *devname = op->region->devname;
	int r = 0;

	if (!(flags & VIRTPMEM_ACCEPT_DATA_LOSS))
		r = vp_plan_refuse(op->plan, -ENOTRECOVERABLE, devname, "the host failed a flush "
				   "of %s: data that was reported as safe may be lost, which has "
				   "to be accepted", devname);
	if (!r)
		r = vp_holders_now(op->region, 0, &holders);
	if (!r)
		r = vp_each_holder(holders, warn_of_holder, (void *)(uintptr_t)op);
	if (!r && !virtpmem_holders_is_complete(holders))
		r = vp_plan_warn(op->plan, devname, "there may be others whose data is lost: %s",
				 virtpmem_holders_get_missing(holders));
	return r;
}

static int make_plan(const struct operation *op, unsigned int flags)
{
	const char *devname = op->region->devname;
	struct vp_step step = {
		.kind = VIRTPMEM_STEP_RECOVER, .object = devname, .act = act_recover,
		/* Also a dry run says that there is nothing to do. */
		.look = !op->broken && (flags & VIRTPMEM_DRY_RUN),
	};
	int r = 0;

	if (op->lost)
		r = plan_loss(op, flags);
	if (!r)
		r = vp_plan_add(op->plan, &step, "recover %s", devname);
	if (r < 0 || !op->broken)
		return r;
	/* A host that fails again is better known now than by the next fsync. */
	step.kind = VIRTPMEM_STEP_FLUSH;
	step.act = act_flush;
	r = vp_plan_add(op->plan, &step, "flush %s, to see that its host does it", devname);
	step.kind = VIRTPMEM_STEP_VERIFY;
	step.act = act_verify;
	return r < 0 ? r : vp_plan_add(op->plan, &step, "%s is not broken any more", devname);
}

static int look(struct operation *op)
{
	_cleanup_free_ char *reason = NULL;
	enum virtpmem_state state;
	int r;

	r = virtpmem_region_get_state(op->region, &state);
	if (!r)
		r = virtpmem_region_get_broken_reason(op->region, &reason);
	if (r < 0)
		return r;
	op->broken = state == VIRTPMEM_STATE_BROKEN;
	op->lost = op->broken && !strcmp(reason, VIRTIO_PMEM_REASON_HOST_ERROR);
	return 0;
}

VP_EXPORT int virtpmem_region_recover(struct virtpmem_region *region, unsigned int flags,
				      struct virtpmem_plan **plan)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *p = NULL;
	struct operation op = { .region = region };
	_cleanup_close_ int lock = -1;
	int r;

	if (flags & ~(VIRTPMEM_DRY_RUN | VIRTPMEM_ACCEPT_DATA_LOSS))
		return -EINVAL;
	r = vp_group_missing(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_RECOVER));
	if (r < 0)
		return r;
	lock = vp_region_lock(region);
	if (lock < 0)
		return lock;
	r = look(&op);
	if (!r)
		r = vp_plan_new(region->ctx, &p);
	op.plan = p;
	if (!r)
		r = make_plan(&op, flags);
	return r < 0 ? r : vp_plan_give(p, vp_plan_run(p, &op, flags), plan);
}
