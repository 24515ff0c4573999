// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Thawing a region, whoever has frozen it: its guard, if there is one, is told
 * to end, which thaws what it froze; the driver is resumed; and what is frozen
 * still, because its guard was killed or another program did it, is thawed.
 */
#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "filesystems.h"

/* How long a guard may take to thaw everything. */
#define GUARD_END_MS		30000

struct operation {
	struct virtpmem_region *region;
	struct virtpmem_plan *plan;
	unsigned int flags;
	int lock;
	pid_t guard_pid;
	struct vp_fs_list fs;
	const char *unseen;	/* the first device that something unknown holds */
};

static void operation_done(struct operation *op)
{
	vp_fs_list_done(&op->fs);
	vp_region_unlock(op->lock);
}

/* Its number cannot mean another process while the lock on the node has it. */
static int act_end_guard(void *data, size_t arg)
{
	struct operation *op = data;
	_cleanup_close_ int pidfd = -1;
	struct pollfd p;
	pid_t pid;
	int n;

	(void)arg;
	pidfd = (int)syscall(SYS_pidfd_open, op->guard_pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? VP_NOT_NEEDED : -errno;
	pid = vp_region_guard(op->region, op->lock);
	if (pid != op->guard_pid)
		return pid < 0 ? pid : VP_NOT_NEEDED;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0)
		return errno == EPERM ? -EACCES : -errno;
	p = (struct pollfd) { .fd = pidfd, .events = POLLIN };
	n = poll(&p, 1, GUARD_END_MS);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

static int act_resume(void *data, size_t arg)
{
	static const char file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE);
	const struct operation *op = data;
	bool quiesced;
	int r;

	(void)arg;
	r = vp_read_bool(op->region, file, VP_REQUIRED, &quiesced);
	if (!r && !quiesced)
		return VP_NOT_NEEDED;
	return r < 0 ? r : vp_write(op->region, file, "0");
}

/* Then also a dry run can say that there is nothing to do. */
static int is_resumed(const struct operation *op, bool *resumed)
{
	static const char file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE);
	bool quiesced;
	int r;

	r = vp_read_bool(op->region, file, VP_OPTIONAL, &quiesced);
	*resumed = !r && !quiesced;
	return r == -ENOMEM ? r : 0;
}

/* EINVAL: it is not frozen. */
static int act_thaw(void *data, size_t i)
{
	const struct operation *op = data;

	if (op->fs.fs[i].fd < 0)
		return op->fs.fs[i].fd == -ESTALE ? -EBUSY : op->fs.fs[i].fd;
	if (!ioctl(op->fs.fs[i].fd, FITHAW, 0))
		return 0;
	return errno == EINVAL ? VP_NOT_NEEDED : errno == EPERM ? -EACCES : -errno;
}

static int is_unknown(const struct virtpmem_holder *holder, unsigned int depth, void *data)
{
	(void)depth;
	(void)data;
	return virtpmem_holder_get_kind(holder) == VIRTPMEM_HOLDER_UNKNOWN;
}

/* What the guard alone had a descriptor on is gone with it, thawed. */
static int act_thaw_unseen(void *data, size_t arg)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	const struct operation *op = data;
	int r;

	(void)arg;
	r = vp_holders_now(op->region, 0, &holders);
	if (!r)
		r = vp_each_holder(holders, is_unknown, NULL);
	return r < 0 ? r : r ? -EBUSY : VP_NOT_NEEDED;
}

static int plan_thaw(struct operation *op)
{
	const char *devname = op->region->devname;
	struct vp_step step = {
		.kind = VIRTPMEM_STEP_GUARD, .object = devname, .act = act_end_guard,
	};
	bool resumed;
	size_t i;
	int r;

	r = is_resumed(op, &resumed);
	if (!r && op->guard_pid)
		r = vp_plan_add(op->plan, &step, "end the guard of %s, process %d", devname,
				(int)op->guard_pid);
	step.kind = VIRTPMEM_STEP_RESUME;
	step.act = act_resume;
	step.look = resumed && (op->flags & VIRTPMEM_DRY_RUN);
	if (!r && !vp_group_missing(op->region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE)))
		r = vp_plan_add(op->plan, &step, "resume %s", devname);
	step.kind = VIRTPMEM_STEP_THAW;
	step.act = act_thaw;
	step.look = false;
	step.always = true;
	for (i = op->fs.count; i && !r; i--) {
		step.object = op->fs.fs[i - 1].path;
		step.arg = i - 1;
		r = vp_plan_add(op->plan, &step, "thaw %s at %s", op->fs.fs[i - 1].name,
				op->fs.fs[i - 1].path);
	}
	if (r < 0 || !op->unseen)
		return r;
	step.object = op->unseen;
	step.act = act_thaw_unseen;
	step.look = !op->guard_pid;
	return vp_plan_add(op->plan, &step, "thaw what holds %s unseen (mount it first, if it is a "
			   "file system)", op->unseen);
}

/*
 * What is mounted can be thawed, and what nothing shows may be a file system that was
 * unmounted while it was frozen. Nothing is to be told of other holders.
 */
static int take_holder(const struct virtpmem_holder *holder, unsigned int depth, void *data)
{
	struct operation *op = data;

	if (is_unknown(holder, depth, NULL) && !op->unseen)
		op->unseen = virtpmem_holder_get_device(holder);
	if (virtpmem_holder_get_kind(holder) != VIRTPMEM_HOLDER_MOUNT)
		return 0;
	return vp_fs_take(op->region->ctx, &op->fs, holder, depth);
}

static int thaw_locked(struct operation *op, struct virtpmem_plan **plan)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *p = NULL;
	int r;

	r = vp_holders_now(op->region, 0, &holders);
	if (!r)
		r = vp_each_holder(holders, take_holder, op);
	if (r < 0)
		return r;
	vp_fs_sort(&op->fs);
	r = vp_plan_new(op->region->ctx, &p);
	op->plan = p;
	if (!r && !virtpmem_holders_is_complete(holders))
		r = vp_plan_warn(p, op->region->devname,
				 "a file system that cannot be seen may be frozen: %s",
				 virtpmem_holders_get_missing(holders));
	if (!r)
		r = plan_thaw(op);
	return r < 0 ? r : vp_plan_give(p, vp_plan_run(p, op, op->flags), plan);
}

VP_EXPORT int virtpmem_region_thaw(struct virtpmem_region *region, unsigned int flags,
				   struct virtpmem_plan **plan)
{
	_cleanup_(operation_done) struct operation op = {
		.region = region, .flags = flags, .lock = -1,
	};

	if (flags & ~VIRTPMEM_DRY_RUN)
		return -EINVAL;
	op.lock = vp_region_lock(region);
	if (op.lock < 0)
		return op.lock;
	op.guard_pid = vp_region_guard(region, op.lock);
	if (op.guard_pid < 0)
		return op.guard_pid;
	return thaw_locked(&op, plan);
}
