// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Freezing a region for a snapshot on the host.
 *
 * Every file system that lies on the region, through whatever depth, is synced,
 * then frozen by a guard process (guard.c), those on top first; then the region
 * is flushed. All of them or none: a failure thaws what was frozen. On request
 * the driver is quiesced at last, so that the host is idle too.
 *
 * A file system that cannot be frozen and whoever writes to a device directly
 * make a snapshot that is only as good as one after a power cut, and the result
 * says so.
 *
 * A file system can lie on several regions (a striped volume, a log of its own),
 * and can be frozen once only. So the context knows which of its freezes are
 * still held: what one of them has frozen is frozen for the next region as well,
 * which has to make sure of that instead. A dry run leaves such a freeze behind, too,
 * which has frozen nothing, for the next dry run: it lives as long as its plan.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "filesystems.h"
#include "guard.h"

#define TIMEOUT_MS_DEFAULT	60000
#define QUIESCE_LIMIT_MS	60000

struct operation {
	struct virtpmem_region *region;
	struct virtpmem_plan *plan;
	unsigned int flags, timeout_ms;
	int lock;
	pid_t guard_pid;
	struct vp_fs_list fs;
	struct virtpmem_freeze **held;	/* for each of @fs, what has frozen it already, or NULL */
	int quiesce_fd;
	char *crash_reason;		/* why it is no better than a power cut */
	struct vp_guard guard;
};

struct virtpmem_freeze {
	unsigned int refs;
	struct virtpmem_ctx *ctx;
	struct virtpmem_freeze *next;	/* of the context's */
	struct vp_guard guard;
	dev_t *devno;			/* of the file systems that it has frozen */
	size_t devno_count;
	char *crash_reason;
	bool detached;
	bool planned;			/* of a dry run: nothing is frozen */
};

static void operation_done(struct operation *op)
{
	vp_fs_list_done(&op->fs);
	free(op->held);
	free(op->crash_reason);
	vp_closep(&op->quiesce_fd);
	vp_closep(&op->guard.fd);
	vp_region_unlock(op->lock);
}

/* ---------------------------------------------- the file systems on it */

/* The first reason is kept; each is told. */
static int warn_of_crash(struct operation *op, const char *object, const char *words)
{
	if (!op->crash_reason) {
		op->crash_reason = strdup(words);
		if (!op->crash_reason)
			return -ENOMEM;
	}
	return vp_plan_warn(op->plan, object, "a snapshot will be as after a power cut: %s", words);
}

static int take_holder(const struct virtpmem_holder *holder, unsigned int depth, void *data)
{
	_cleanup_free_ char *words = NULL;
	struct operation *op = data;
	int r;

	switch (virtpmem_holder_get_kind(holder)) {
	case VIRTPMEM_HOLDER_MOUNT:
		return vp_fs_take(op->region->ctx, &op->fs, holder, depth);
	case VIRTPMEM_HOLDER_OPEN:
	case VIRTPMEM_HOLDER_MAPPED:
	case VIRTPMEM_HOLDER_SYSTEM_RAM:
	case VIRTPMEM_HOLDER_UNKNOWN:
		break;
	case VIRTPMEM_HOLDER_LOG:
		/* The file system that it is of stands below it, and is frozen as well. */
		if (virtpmem_holder_get_child((struct virtpmem_holder *)(uintptr_t)holder))
			return 0;
		break;
	default:
		/* Swap is of no use after a restart; other devices are what is on them. */
		return 0;
	}
	r = vp_holder_words(holder, &words);
	return r < 0 ? r : warn_of_crash(op, vp_holder_object(holder), words);
}

/* What is only planned counts for what is only planned. */
static bool has_frozen(const struct operation *op, const struct virtpmem_freeze *freeze,
		       dev_t devno)
{
	size_t i;

	if (freeze->detached || (freeze->planned && !(op->flags & VIRTPMEM_DRY_RUN)))
		return false;
	for (i = 0; i < freeze->devno_count; i++)
		if (freeze->devno[i] == devno)
			return true;
	return false;
}

static int find_held(struct operation *op)
{
	struct virtpmem_freeze *freeze;
	size_t i;

	op->held = calloc(op->fs.count + 1, sizeof(struct virtpmem_freeze *));
	if (!op->held)
		return -ENOMEM;
	for (i = 0; i < op->fs.count; i++)
		for (freeze = op->region->ctx->freezes; freeze; freeze = freeze->next)
			if (has_frozen(op, freeze, op->fs.fs[i].devno))
				op->held[i] = freeze;
	return 0;
}

static int find_file_systems(struct operation *op)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	int r;

	r = vp_holders_now(op->region, 0, &holders);
	if (!r)
		r = vp_each_holder(holders, take_holder, op);
	if (!r && !virtpmem_holders_is_complete(holders))
		r = warn_of_crash(op, op->region->devname,
				  virtpmem_holders_get_missing(holders));
	vp_fs_sort(&op->fs);
	return r < 0 ? r : find_held(op);
}

/* ------------------------------------------------------- what is refused */

/* Refused, unless it is forced: then it is only told. */
static int object_to(struct operation *op, int error, const char *object, const char *words)
{
	if (op->flags & VIRTPMEM_FORCE)
		return vp_plan_warn(op->plan, object, "%s", words);
	return vp_plan_refuse(op->plan, error, object, "%s", words);
}

static int check_fs(struct operation *op, const struct vp_fs *fs)
{
	_cleanup_free_ char *words = NULL;
	const char *what = NULL;
	int error = -EBUSY;

	if (fs->fd < 0) {
		what = "is mounted, but no mount of it can be reached to freeze it";
		error = fs->fd == -EACCES || fs->fd == -EPERM ? -EACCES : -EBUSY;
	} else if (vp_fs_has(fs, "/")) {
		what = "is the root file system";
	} else if (vp_fs_has(fs, ".")) {
		what = "has the working directory of this process";
	} else if (vp_fs_is_written(fs)) {
		what = "has a file that this process has open for writing";
	}
	if (!what)
		return 0;
	if (asprintf(&words, "%s at %s %s", fs->name, fs->path, what) < 0) {
		words = NULL;
		return -ENOMEM;
	}
	if (fs->fd < 0 && (op->flags & VIRTPMEM_FORCE))
		return warn_of_crash(op, fs->path, words);
	return object_to(op, error, fs->path, words);
}

/* A region that does not answer keeps a sync waiting, and cannot be flushed. */
static int check_engine(struct operation *op)
{
	const char *devname = op->region->devname;
	enum virtpmem_state state;
	bool stalled = false;
	int r;

	r = virtpmem_region_get_state(op->region, &state);
	if (r == -EOPNOTSUPP)
		return 0;
	if (!r)
		r = vp_read_bool(op->region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STALLED), VP_OPTIONAL,
				 &stalled);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	if (state == VIRTPMEM_STATE_BROKEN)
		return vp_plan_refuse(op->plan, -EIO, devname, "%s is broken", devname);
	if (stalled)
		return vp_plan_refuse(op->plan, -ETIMEDOUT, devname,
				      "the host of %s does not answer", devname);
	return 0;
}

static int is_mount_of(const struct virtpmem_holder *holder, unsigned int depth, void *data)
{
	const struct vp_fs *fs = data;

	(void)depth;
	return virtpmem_holder_get_kind(holder) == VIRTPMEM_HOLDER_MOUNT &&
	       virtpmem_holder_get_devno(holder) == fs->devno;
}

/* File systems that something else, with these holders, has a part of: of a volume, or the log. */
static int warn_of_part(struct operation *op, struct virtpmem_holders *holders, const char *name,
			const char *how)
{
	size_t i;
	int r = 0;

	for (i = 0; i < op->fs.count && r >= 0; i++) {
		struct vp_fs *fs = &op->fs.fs[i];

		if (!op->held[i] && vp_each_holder(holders, is_mount_of, fs))
			r = vp_plan_warn(op->plan, name, "%s at %s lies on %s too: a copy is whole "
					 "only with that one, %s", fs->name, fs->path, name, how);
	}
	return r;
}

static int warn_of_region(struct operation *op, struct virtpmem_region *other)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	int r = vp_holders_now(other, VIRTPMEM_HOLDERS_CLAIMED, &holders);

	/* It is not the one that is to be frozen, and says for itself what is wrong with it. */
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return warn_of_part(op, holders, other->devname, "frozen at the same time");
}

static int warn_of_disk(const char *name, struct virtpmem_holders *holders, void *data)
{
	return warn_of_part(data, holders, name, "copied while this is frozen");
}

/* A copy of one of several regions or disks has not all of what lies on them. */
static int warn_of_others(struct operation *op)
{
	struct virtpmem_region *other;
	int r = 0;

	if (!op->fs.count)
		return 0;
	/* The same one can have been looked up anew since. */
	virtpmem_region_foreach(op->region->ctx, other)
		if (other->id != op->region->id && r >= 0)
			r = warn_of_region(op, other);
	return r < 0 ? r : vp_each_disk(op->region, warn_of_disk, op);
}

static int check(struct operation *op)
{
	size_t i;
	int r = 0;

	if (op->guard_pid)
		r = vp_plan_refuse(op->plan, -EBUSY, op->region->devname,
				   "process %d holds %s frozen", (int)op->guard_pid,
				   op->region->devname);
	if (!r)
		r = check_engine(op);
	for (i = 0; !r && i < op->fs.count; i++)
		r = check_fs(op, &op->fs.fs[i]);
	return r < 0 ? r : warn_of_others(op);
}

/* ------------------------------------------------------------ the steps */

/* Nothing of it waits to be written. */
static int is_held(const struct operation *op, size_t i)
{
	int r = op->held[i]->planned ? 0 : vp_guard_check(&op->held[i]->guard);

	return r < 0 ? r : VP_NOT_NEEDED;
}

/* Runs in a child: see limit.c. */
static int sync_fs(int fd)
{
	return syscall(SYS_syncfs, fd) < 0 ? -errno : 0;
}

static int quiesce(int fd)
{
	return syscall(SYS_write, fd, "1", 1) < 0 ? -errno : 0;
}

static int act_limited(struct operation *op, vp_work_fn work, int fd, unsigned int timeout_ms)
{
	struct vp_outcome outcome;
	int r = vp_run_limited(op->region->ctx, work, fd, timeout_ms, &outcome);

	return r < 0 ? r : outcome.error;
}

/* Much of the work, while everybody can still write. */
static int act_sync(void *data, size_t i)
{
	struct operation *op = data;

	if (op->held[i])
		return is_held(op, i);
	return act_limited(op, sync_fs, op->fs.fs[i].fd, VP_FLUSH_TIMEOUT_MS);
}

static int act_guard(void *data, size_t arg)
{
	struct operation *op = data;
	_cleanup_free_ int *fds = calloc(op->fs.count + 1, sizeof(*fds));
	struct vp_guard_task task = {
		.fds = fds,
		.quiesce = op->quiesce_fd,
		.node = op->lock,
		.id = op->region->id,
		.timeout_ms = op->timeout_ms,
	};
	size_t i;

	(void)arg;
	if (!fds)
		return -ENOMEM;
	for (i = 0; i < op->fs.count && op->fs.fs[i].fd >= 0; i++)
		if (!op->held[i])
			fds[task.count++] = op->fs.fs[i].fd;
	return vp_guard_start(op->region->ctx, &task, &op->guard);
}

static int act_freeze(void *data, size_t i)
{
	struct operation *op = data;
	size_t j, index = 0;

	if (op->held[i])
		return is_held(op, i);
	for (j = 0; j < i; j++)
		index += !op->held[j];
	return vp_guard_freeze(&op->guard, index, op->timeout_ms);
}

/* The guard takes everything back, in its own order; or has, at its time. */
static int undo_guard(void *data, size_t arg)
{
	struct operation *op = data;
	int r = vp_guard_end(&op->guard);

	(void)arg;
	return r == -ETIMEDOUT || r == -ECANCELED ? 0 : r;
}

static int act_flush(void *data, size_t arg)
{
	const struct operation *op = data;

	(void)arg;
	return vp_act_flush(op->region, op->timeout_ms);
}

static int act_quiesce(void *data, size_t arg)
{
	struct operation *op = data;

	(void)arg;
	return act_limited(op, quiesce, op->quiesce_fd, QUIESCE_LIMIT_MS);
}

/* The time can have passed while the host flushed. */
static int act_verify(void *data, size_t arg)
{
	struct operation *op = data;
	size_t i;
	int r = 0;

	(void)arg;
	for (i = 0; i < op->fs.count && r >= 0; i++)
		if (op->held[i])
			r = is_held(op, i);
	return r < 0 ? r : vp_guard_check(&op->guard);
}

static int plan_each_fs(struct operation *op, const struct vp_step *step, const char *what)
{
	size_t i;
	int r = 0;

	for (i = 0; i < op->fs.count && op->fs.fs[i].fd >= 0 && !r; i++) {
		struct vp_step this = *step;

		this.object = op->fs.fs[i].path;
		this.arg = i;
		/* A plan says that it has nothing to do there. */
		this.look = op->held[i] && (op->flags & VIRTPMEM_DRY_RUN);
		r = vp_plan_add(op->plan, &this, "%s %s at %s", what, op->fs.fs[i].name,
				op->fs.fs[i].path);
	}
	return r;
}

static int plan_flush(struct operation *op)
{
	const struct vp_step step = {
		.kind = VIRTPMEM_STEP_FLUSH, .object = op->region->devname, .act = act_flush,
	};
	_cleanup_free_ char *reason = NULL;
	enum virtpmem_flush_method method;
	int r;

	r = virtpmem_region_get_flush_method(op->region, &method, &reason);
	if (r < 0)
		return r;
	if (method == VIRTPMEM_FLUSH_NONE)
		return vp_plan_warn(op->plan, op->region->devname,
				    "the region itself is not flushed: %s", reason);
	return vp_plan_add(op->plan, &step, "flush %s", op->region->devname);
}

static int plan_quiesce(struct operation *op)
{
	const struct vp_step step = {
		.kind = VIRTPMEM_STEP_QUIESCE, .object = op->region->devname, .act = act_quiesce,
	};
	uint64_t limit;
	int r;

	r = vp_read_u64(op->region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS), VP_REQUIRED,
			&limit);
	if (!r && limit < op->timeout_ms)
		r = vp_plan_warn(op->plan, op->region->devname, "the driver will be quiesced for "
				 "%.10g s at most: its quiesce_timeout_ms", (double)limit / 1000);
	return r < 0 ? r : vp_plan_add(op->plan, &step, "quiesce %s", op->region->devname);
}

static int make_plan(struct operation *op)
{
	struct vp_step step = { .kind = VIRTPMEM_STEP_SYNC, .act = act_sync };
	int r;

	r = find_file_systems(op);
	if (!r)
		r = check(op);
	if (!r)
		r = plan_each_fs(op, &step, "sync");
	step = (struct vp_step) {
		.kind = VIRTPMEM_STEP_GUARD, .object = op->region->devname,
		.act = act_guard, .undo = undo_guard,
	};
	if (!r)
		r = vp_plan_add(op->plan, &step, "start a guard that thaws %s after %.10g s at the "
				"latest", op->region->devname, op->timeout_ms / 1000.0);
	step = (struct vp_step) {
		.kind = VIRTPMEM_STEP_FREEZE, .act = act_freeze, .undo = undo_guard,
	};
	if (!r)
		r = plan_each_fs(op, &step, "freeze");
	if (!r)
		r = plan_flush(op);
	if (!r && (op->flags & VIRTPMEM_QUIESCE))
		r = plan_quiesce(op);
	step = (struct vp_step) {
		.kind = VIRTPMEM_STEP_VERIFY, .object = op->region->devname, .act = act_verify,
	};
	return r < 0 ? r : vp_plan_add(op->plan, &step, "%s is frozen", op->region->devname);
}

/* ----------------------------------------------------------------- freeze */

static int open_quiesce(struct operation *op)
{
	static const char file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE);
	int r;

	if (!(op->flags & VIRTPMEM_QUIESCE))
		return 0;
	r = vp_group_missing(op->region, file);
	if (r < 0)
		return r;
	op->quiesce_fd = openat(op->region->dirfd, file, O_RDWR | O_CLOEXEC | O_NOCTTY);
	return op->quiesce_fd < 0 ?
	       vp_file_error(op->region, file, "cannot open", errno, VP_REQUIRED) : 0;
}

static int freeze_new(struct operation *op, struct virtpmem_freeze **ret)
{
	struct virtpmem_freeze *freeze = calloc(1, sizeof(*freeze));
	dev_t *devno = calloc(op->fs.count + 1, sizeof(*devno));
	size_t i;

	if (!freeze || !devno) {
		free(freeze);
		free(devno);
		return -ENOMEM;
	}
	freeze->refs = 1;
	freeze->guard.fd = -1;
	freeze->devno = devno;
	for (i = 0; i < op->fs.count && op->fs.fs[i].fd >= 0; i++)
		if (!op->held[i])
			devno[freeze->devno_count++] = op->fs.fs[i].devno;
	freeze->ctx = virtpmem_ref(op->region->ctx);
	freeze->crash_reason = op->crash_reason;
	op->crash_reason = NULL;
	*ret = freeze;
	return 0;
}

static void drop_planned(void *freeze)
{
	virtpmem_freeze_unref(freeze);
}

/* From now on the context knows of it: what it has frozen, or, in a dry run, would have. */
static void hold(struct virtpmem_freeze *freeze)
{
	freeze->next = freeze->ctx->freezes;
	freeze->ctx->freezes = freeze;
}

static int freeze_locked(struct operation *op, struct virtpmem_plan **plan,
			 struct virtpmem_freeze **ret)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *p = NULL;
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *freeze = NULL;
	int r;

	r = vp_plan_new(op->region->ctx, &p);
	if (r < 0)
		return r;
	op->plan = p;
	r = make_plan(op);
	/* Whoever freezes must be able to hand out what thaws. */
	if (!r)
		r = freeze_new(op, &freeze);
	if (r < 0)
		return r;
	r = vp_plan_run(p, op, op->flags);
	if (!r) {
		hold(freeze);
		freeze->planned = op->flags & VIRTPMEM_DRY_RUN;
		if (freeze->planned) {
			vp_plan_keep(p, freeze, drop_planned);
		} else {
			freeze->guard = op->guard;
			op->guard.fd = -1;
			*ret = freeze;
		}
		freeze = NULL;
	}
	return vp_plan_give(p, r, plan);
}

VP_EXPORT int virtpmem_region_freeze(struct virtpmem_region *region, unsigned int timeout_ms,
				     unsigned int flags, struct virtpmem_plan **plan,
				     struct virtpmem_freeze **ret)
{
	_cleanup_(operation_done) struct operation op = {
		.region = region,
		.flags = flags,
		.timeout_ms = timeout_ms ? timeout_ms : TIMEOUT_MS_DEFAULT,
		.lock = -1,
		.quiesce_fd = -1,
		.guard = { .fd = -1 },
	};
	int r;

	if (flags & ~(VIRTPMEM_DRY_RUN | VIRTPMEM_FORCE | VIRTPMEM_QUIESCE))
		return -EINVAL;
	op.lock = vp_region_lock(region);
	if (op.lock < 0)
		return op.lock;
	op.guard_pid = vp_region_guard(region, op.lock);
	if (op.guard_pid < 0)
		return op.guard_pid;
	r = open_quiesce(&op);
	return r < 0 ? r : freeze_locked(&op, plan, ret);
}

/* --------------------------------------------------------- what is frozen */

VP_EXPORT struct virtpmem_freeze *virtpmem_freeze_ref(struct virtpmem_freeze *freeze)
{
	freeze->refs++;
	return freeze;
}

static void forget(struct virtpmem_freeze *freeze)
{
	struct virtpmem_freeze **p = &freeze->ctx->freezes;

	while (*p && *p != freeze)
		p = &(*p)->next;
	if (*p)
		*p = freeze->next;
}

VP_EXPORT struct virtpmem_freeze *virtpmem_freeze_unref(struct virtpmem_freeze *freeze)
{
	if (!freeze || --freeze->refs)
		return NULL;
	forget(freeze);
	if (freeze->guard.fd >= 0 && !freeze->detached)
		vp_guard_end(&freeze->guard);
	vp_closep(&freeze->guard.fd);
	free(freeze->devno);
	free(freeze->crash_reason);
	virtpmem_unref(freeze->ctx);
	free(freeze);
	return NULL;
}

VP_EXPORT int virtpmem_freeze_get_fd(const struct virtpmem_freeze *freeze)
{
	return freeze->guard.fd;
}

VP_EXPORT pid_t virtpmem_freeze_get_pid(const struct virtpmem_freeze *freeze)
{
	return freeze->guard.pid;
}

VP_EXPORT enum virtpmem_consistency virtpmem_freeze_get_consistency(
	const struct virtpmem_freeze *freeze)
{
	return freeze->crash_reason ? VIRTPMEM_CONSISTENCY_CRASH : VIRTPMEM_CONSISTENCY_FILESYSTEM;
}

VP_EXPORT const char *virtpmem_consistency_name(enum virtpmem_consistency consistency)
{
	switch (consistency) {
	case VIRTPMEM_CONSISTENCY_CRASH:
		return "crash";
	case VIRTPMEM_CONSISTENCY_FILESYSTEM:
		return "filesystem";
	}
	return NULL;
}

VP_EXPORT const char *virtpmem_freeze_get_reason(const struct virtpmem_freeze *freeze)
{
	return freeze->crash_reason;
}

VP_EXPORT int virtpmem_freeze_thaw(struct virtpmem_freeze *freeze)
{
	int r;

	if (freeze->detached)
		return -EINVAL;
	forget(freeze);
	r = vp_guard_end(&freeze->guard);
	switch (r) {
	case 0:
		break;
	case -ETIMEDOUT:
	case -ECANCELED:
		vp_err(freeze->ctx, "the region was not frozen any more: %s", r == -ETIMEDOUT ?
		       "the time was over" : "somebody else has thawed it");
		break;
	default:
		vp_err(freeze->ctx, "the guard could not thaw everything: %s", strerror(-r));
		break;
	}
	return r;
}

VP_EXPORT int virtpmem_freeze_detach(struct virtpmem_freeze *freeze)
{
	int r;

	if (freeze->detached)
		return 0;
	r = vp_guard_detach(&freeze->guard);
	freeze->detached = !r;
	return r;
}
