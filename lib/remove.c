// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Taking a region away.
 *
 * Every holder is known before anything changes (D5): who was found, and what
 * claiming each block device with O_EXCL found besides. The claims are kept
 * until the device is gone, so that nobody can mount in between. Then the
 * region is flushed, taken down with its namespaces, and, where its device
 * carries nothing else, the driver is taken off the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "act.h"
#include "outside.h"

/* @device: the virtio device that carries the region; NULL if it is not one. */
struct operation {
	struct virtpmem_region *region;
	struct virtpmem_plan *plan;
	unsigned int flags, timeout_ms;
	int lock;
	int *claims;
	size_t claim_count;
	char *device;
	char *init_root;		/* of process 1 */
};

static void drop_claims(struct operation *op)
{
	while (op->claim_count)
		close(op->claims[--op->claim_count]);
}

static void operation_done(struct operation *op)
{
	drop_claims(op);
	free(op->claims);
	free(op->device);
	free(op->init_root);
	vp_closep(&op->lock);
}

/* -------------------------------------------------------------- looking */

/* 1 if it is claimed, 0 if somebody else has it. */
static int claim(struct operation *op, const struct virtpmem_namespace *ns)
{
	_cleanup_free_ char *file = NULL, *line = NULL;
	dev_t devno, opened = 0;
	int *list;
	int fd, r;

	list = reallocarray(op->claims, op->claim_count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	op->claims = list;
	fd = vp_open_node(ns->blockdev, S_IFBLK, O_RDONLY | O_EXCL, &opened);
	if (fd == -EBUSY)
		return 0;
	if (fd < 0) {
		vp_err(op->region->ctx, "/dev/%s: %s", ns->blockdev, strerror(-fd));
		return fd == -EPERM ? -EACCES : fd;
	}
	op->claims[op->claim_count++] = fd;
	if (asprintf(&file, "%s/dev", ns->blockdir) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = vp_read_line(op->region, file, VP_REQUIRED, &line);
	if (r < 0)
		return r;
	if (vp_parse_devno(line, &devno) && devno == opened)
		return 1;
	vp_err(op->region->ctx, "/dev/%s is not the block device of %s", ns->blockdev,
	       ns->devname);
	return -ESTALE;
}

/* 1 if every block device is claimed; else none is, and 0. */
static int claim_all(struct operation *op)
{
	struct virtpmem_namespace *list, *ns;
	int r;

	r = vp_namespaces_read(op->region, &list);
	if (r < 0)
		return r;
	r = 1;
	for (ns = list; ns && r > 0; ns = ns->next)
		if (ns->blockdev)
			r = claim(op, ns);
	vp_namespaces_free(list);
	if (r <= 0)
		drop_claims(op);
	return r;
}

/* The number of what is mounted, or of the device that something unknown holds; 0: not known. */
static dev_t held_devno(const struct virtpmem_holder *holder)
{
	char node[NAME_MAX + sizeof("/dev/")];
	struct stat st;

	if (virtpmem_holder_get_kind(holder) == VIRTPMEM_HOLDER_MOUNT)
		return virtpmem_holder_get_devno(holder);
	snprintf(node, sizeof(node), "/dev/%s", virtpmem_holder_get_device(holder));
	return !stat(node, &st) && S_ISBLK(st.st_mode) ? st.st_rdev : 0;
}

/*
 * Whether the root at @path lies, or may lie, on what is mounted or held. Nothing but its
 * own device says where a file system lies: the paths that an overlay was made with may
 * be others by now, and its layers no longer mounted anywhere.
 */
static bool carries_root(const struct virtpmem_holder *holder, const char *path)
{
	bool is_mount = virtpmem_holder_get_kind(holder) == VIRTPMEM_HOLDER_MOUNT;
	dev_t devno = held_devno(holder);
	struct statfs fs;
	struct stat st;

	/* Whoever may not see the root does not see all mounts either, and is refused for that. */
	if (stat(path, &st) < 0 || statfs(path, &fs) < 0)
		return !is_mount;
	if (!devno || st.st_dev == devno)
		return true;
	if (major(st.st_dev))
		return false;
	/* The mount of any other kind is in the tree, and is the root's own. */
	if (is_mount)
		return fs.f_type == OVERLAYFS_SUPER_MAGIC;
	return fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
}

/* The machine stands on it, whatever the caller wants. */
static const char *why_never(const struct operation *op, const struct virtpmem_holder *holder)
{
	pid_t pid;

	switch (virtpmem_holder_get_kind(holder)) {
	case VIRTPMEM_HOLDER_SWAP:
		return "swap in use cannot be taken away";
	case VIRTPMEM_HOLDER_SYSTEM_RAM:
		return "memory in use cannot be taken away";
	case VIRTPMEM_HOLDER_MOUNT:
		pid = virtpmem_holder_get_pid(holder);
		if (pid <= 1 && !strcmp(virtpmem_holder_get_path(holder), "/"))
			return pid ? "it is the root file system of init" :
				     "it is the root file system";
		/* fall through */
	case VIRTPMEM_HOLDER_UNKNOWN:
		if (carries_root(holder, "/"))
			return "the root file system lies or may lie on it";
		return carries_root(holder, op->init_root) ?
		       "the root file system of init lies or may lie on it" : NULL;
	default:
		return NULL;
	}
}

static int take_holder(const struct virtpmem_holder *holder, unsigned int depth, void *data)
{
	const struct operation *op = data;
	const char *object = vp_holder_object(holder), *never = why_never(op, holder);
	_cleanup_free_ char *words = NULL;
	int r;

	(void)depth;
	r = vp_holder_words(holder, &words);
	if (r < 0)
		return r;
	if (never)
		return vp_plan_refuse(op->plan, -EBUSY, object, "%s: %s", words, never);
	if (op->flags & VIRTPMEM_FORCE)
		return vp_plan_warn(op->plan, object, "this will break: %s", words);
	return vp_plan_refuse(op->plan, -EBUSY, object, "%s", words);
}

/*
 * The claims, and who is in their way. Whoever lets go between the two looks is
 * found by neither: then both are done again.
 */
static int look_at_holders(struct operation *op, struct virtpmem_holders **ret)
{
	unsigned int tries;

	for (tries = 0; tries < 5; tries++) {
		struct virtpmem_holders *holders;
		int claimed, r;

		claimed = claim_all(op);
		if (claimed < 0)
			return claimed;
		r = vp_holders_now(op->region, claimed ? VIRTPMEM_HOLDERS_CLAIMED : 0, &holders);
		if (r < 0)
			return r;
		if (claimed || virtpmem_holder_get_first(holders)) {
			*ret = holders;
			return 0;
		}
		virtpmem_holders_unref(holders);
	}
	return -EBUSY;
}

static int check_holders(struct operation *op)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	int r;

	if (asprintf(&op->init_root, "%s/1/root", op->region->ctx->proc) < 0) {
		op->init_root = NULL;
		return -ENOMEM;
	}
	r = look_at_holders(op, &holders);
	if (!r)
		r = vp_each_holder(holders, take_holder, op);
	/* Nor does force say anything about what it cannot see. */
	if (!r && !virtpmem_holders_is_complete(holders))
		r = vp_plan_refuse(op->plan, -EACCES, op->region->devname,
				   "not everybody who uses %s can be seen: %s",
				   op->region->devname, virtpmem_holders_get_missing(holders));
	return r;
}

static int check_guard(struct operation *op)
{
	pid_t pid = vp_region_guard(op->region, op->lock);

	if (pid <= 0)
		return pid;
	return vp_plan_refuse(op->plan, -EBUSY, op->region->devname,
			      "process %d holds %s frozen", (int)pid, op->region->devname);
}

static int check_state(struct operation *op, enum virtpmem_state *state)
{
	int r = virtpmem_region_get_state(op->region, state);

	if (r == -EOPNOTSUPP) {
		*state = VIRTPMEM_STATE_UNKNOWN;
		return 0;
	}
	if (!r && *state == VIRTPMEM_STATE_QUIESCED)
		r = vp_plan_refuse(op->plan, -EBUSY, op->region->devname, "%s is quiesced",
				   op->region->devname);
	return r;
}

/* Only virtio-pmem has a region to itself on its device. */
static int find_device(struct operation *op)
{
	_cleanup_free_ char *subsystem = NULL, *parent = NULL;
	unsigned int up;
	int r;

	r = vp_read_link_name(op->region, "../../subsystem", VP_OPTIONAL, &subsystem);
	if (r < 0 || strcmp(subsystem, "virtio") != 0)
		return r == -EOPNOTSUPP ? 0 : r;
	parent = strdup(op->region->syspath);
	if (!parent)
		return -ENOMEM;
	for (up = 0; up < 2 && strrchr(parent, '/'); up++)
		*strrchr(parent, '/') = '\0';
	op->device = strdup(vp_basename(parent));
	return op->device ? 0 : -ENOMEM;
}

/* ------------------------------------------------------------ the steps */

static int act_flush(void *data, size_t arg)
{
	const struct operation *op = data;

	(void)arg;
	return vp_act_flush(op->region, op->timeout_ms);
}

static int act_disable(void *data, size_t arg)
{
	const struct operation *op = data;
	int r = vp_ndctl_disable(op->region);

	(void)arg;
	return r > 0 ? VP_NOT_NEEDED : r;
}

static int undo_disable(void *data, size_t arg)
{
	const struct operation *op = data;

	(void)arg;
	return vp_ndctl_enable(op->region);
}

static int act_unbind(void *data, size_t arg)
{
	const struct operation *op = data;

	(void)arg;
	return vp_write(op->region, "../../driver/unbind", op->device);
}

static int act_verify(void *data, size_t arg)
{
	const struct operation *op = data;
	struct stat st;

	(void)arg;
	if (op->device)
		return vp_region_alive(op->region) ? -EBUSY : 0;
	return fstatat(op->region->dirfd, "driver", &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : -EBUSY;
}

static int plan_flush(struct operation *op, enum virtpmem_state state)
{
	const char *devname = op->region->devname;
	const struct vp_step step = {
		.kind = VIRTPMEM_STEP_FLUSH, .object = devname, .act = act_flush,
		.may_fail = op->flags & VIRTPMEM_FORCE,
	};
	_cleanup_free_ char *reason = NULL;
	enum virtpmem_flush_method method;
	int r;

	if (state == VIRTPMEM_STATE_BROKEN && (op->flags & VIRTPMEM_FORCE))
		return vp_plan_warn(op->plan, devname, "%s is broken and is not flushed: what was "
				    "not flushed before may be lost", devname);
	if (state == VIRTPMEM_STATE_BROKEN) {
		r = vp_plan_refuse(op->plan, -EIO, devname, "%s is broken: every flush of it fails",
				   devname);
		if (r < 0)
			return r;
	}
	r = virtpmem_region_get_flush_method(op->region, &method, &reason);
	if (r < 0)
		return r;
	if (method == VIRTPMEM_FLUSH_NONE)
		return vp_plan_warn(op->plan, devname, "%s is not flushed beforehand: %s", devname,
				    reason);
	return vp_plan_add(op->plan, &step, "flush %s", devname);
}

static int plan_steps(struct operation *op)
{
	const char *devname = op->region->devname;
	const char *path = op->region->path ? op->region->path : "unknown";
	struct vp_step step = {
		.kind = VIRTPMEM_STEP_DISABLE, .object = devname,
		.act = act_disable, .undo = undo_disable,
	};
	int r;

	r = vp_plan_add(op->plan, &step, "disable %s (%s) and its namespaces", devname, path);
	step = (struct vp_step) {
		.kind = VIRTPMEM_STEP_UNBIND, .object = op->device, .act = act_unbind,
	};
	if (!r && op->device)
		r = vp_plan_add(op->plan, &step, "unbind the driver from %s (%s)", op->device,
				path);
	step = (struct vp_step) {
		.kind = VIRTPMEM_STEP_VERIFY, .object = devname, .act = act_verify,
	};
	return r < 0 ? r : vp_plan_add(op->plan, &step, "%s is %s", devname,
				       op->device ? "gone" : "down");
}

static int make_plan(struct operation *op)
{
	enum virtpmem_state state;
	int r;

	r = check_guard(op);
	if (!r)
		r = check_state(op, &state);
	if (!r)
		r = check_holders(op);
	if (!r)
		r = find_device(op);
	if (!r)
		r = plan_flush(op, state);
	return r < 0 ? r : plan_steps(op);
}

VP_EXPORT int virtpmem_region_remove(struct virtpmem_region *region, unsigned int timeout_ms,
				     unsigned int flags, struct virtpmem_plan **plan)
{
	_cleanup_(operation_done) struct operation op = {
		.region = region, .flags = flags, .timeout_ms = timeout_ms, .lock = -1,
	};
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *p = NULL;
	int r;

	if (flags & ~(VIRTPMEM_DRY_RUN | VIRTPMEM_FORCE))
		return -EINVAL;
	op.lock = vp_region_lock(region);
	if (op.lock < 0)
		return op.lock;
	r = vp_plan_new(region->ctx, &p);
	op.plan = p;
	if (!r)
		r = make_plan(&op);
	return r < 0 ? r : vp_plan_give(p, vp_plan_run(p, &op, flags), plan);
}
