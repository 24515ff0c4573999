// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Flushing a region, and never saying that it was flushed when it was not.
 *
 * The way is chosen at the call, in this order:
 *
 *  1. The region's deep_flush. Where it reads 0 the platform needs no flush.
 *  2. Without it, on virtio-pmem: fsync of the block device of any of its
 *     namespaces. The host syncs the whole backing file, so one is as good as
 *     another. It must not be in sector mode, and its queue/write_cache must
 *     read "write back": otherwise the kernel answers 0 and sends nothing.
 *     That file is read once more after the flush, in case somebody changed it
 *     meanwhile.
 *  3. On another provider the kernel hides deep_flush because it does not know
 *     what a flush would take. Its block device would answer 0 without having
 *     asked anything, so there is no way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

/* @namespaces is what it was chosen from, and owns @ns. */
struct plan {
	enum virtpmem_flush_method method;
	struct virtpmem_namespace *namespaces;
	struct virtpmem_namespace *ns;
	char *reason;
};

static void plan_done(struct plan *plan)
{
	vp_namespaces_free(plan->namespaces);
	free(plan->reason);
}

VP_EXPORT const char *virtpmem_flush_method_name(enum virtpmem_flush_method method)
{
	static const char *const names[] = {
		[VIRTPMEM_FLUSH_NONE] = "none",
		[VIRTPMEM_FLUSH_NOT_NEEDED] = "not_needed",
		[VIRTPMEM_FLUSH_DEEP] = "deep_flush",
		[VIRTPMEM_FLUSH_BLOCK] = "block_device",
	};

	if ((unsigned int)method >= ARRAY_SIZE(names))
		method = VIRTPMEM_FLUSH_NONE;
	return names[method];
}

/*
 * Whether an fsync of the namespace's block device reaches the host now:
 * 1; 0 and a reason why it does not; or a negative errno.
 */
static int namespace_flushes(struct virtpmem_namespace *ns, char **reason)
{
	enum virtpmem_write_cache cache;
	enum virtpmem_mode mode;
	int r;

	r = virtpmem_namespace_get_mode(ns, &mode);
	if (r < 0)
		return r;
	if (mode == VIRTPMEM_MODE_SECTOR)
		r = asprintf(reason, "%s is in sector mode, whose block device answers a flush "
			     "without sending it", ns->devname);
	else if (!ns->blockdev && mode == VIRTPMEM_MODE_DEVDAX)
		r = asprintf(reason, "%s is in devdax mode and has no block device", ns->devname);
	else if (!ns->blockdev)
		r = asprintf(reason, "%s is disabled and has no block device", ns->devname);
	else
		goto check_cache;
	return r < 0 ? -ENOMEM : 0;

check_cache:
	r = virtpmem_namespace_get_write_cache(ns, &cache);
	if (r < 0)
		return r;
	if (cache == VIRTPMEM_WRITE_BACK)
		return 1;
	r = asprintf(reason, "queue/write_cache of %s reads \"write through\", so that the kernel "
		     "answers a flush without sending it", ns->blockdev);
	return r < 0 ? -ENOMEM : 0;
}

/* Keeps the first namespace's reason, or its error if no other one is better. */
static int plan_block(struct virtpmem_region *region, struct plan *plan)
{
	struct virtpmem_namespace *ns;
	int r, error = 0;

	r = vp_namespaces_read(region, &plan->namespaces);
	if (r < 0)
		return r;
	for (ns = plan->namespaces; ns; ns = ns->next) {
		char *reason = NULL;

		r = namespace_flushes(ns, &reason);
		if (r > 0) {
			plan->method = VIRTPMEM_FLUSH_BLOCK;
			plan->ns = ns;
			return 0;
		}
		if (r < 0 && !error)
			error = r;
		if (!r && !plan->reason)
			plan->reason = reason;
		else if (!r)
			free(reason);
	}
	if (plan->reason)
		return 0;
	if (error)
		return error;
	if (asprintf(&plan->reason, "%s has neither deep_flush nor a namespace",
		     region->devname) < 0) {
		plan->reason = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int plan_flush(struct virtpmem_region *region, struct plan *plan)
{
	enum virtpmem_driver driver;
	bool needed;
	int r;

	r = vp_read_bool(region, VIRTIO_PMEM_ATTR_DEEP_FLUSH, VP_OPTIONAL, &needed);
	if (!r) {
		plan->method = needed ? VIRTPMEM_FLUSH_DEEP : VIRTPMEM_FLUSH_NOT_NEEDED;
		return 0;
	}
	if (r != -EOPNOTSUPP)
		return r;
	r = virtpmem_region_get_driver(region, &driver);
	if (r < 0)
		return r;
	if (driver != VIRTPMEM_DRIVER_OTHER)
		return plan_block(region, plan);
	if (asprintf(&plan->reason, "the kernel does not know how to flush %s: it has no deep_flush",
		     region->devname) < 0) {
		plan->reason = NULL;
		return -ENOMEM;
	}
	return 0;
}

VP_EXPORT int virtpmem_region_get_flush_method(struct virtpmem_region *region,
					       enum virtpmem_flush_method *ret, char **reason)
{
	_cleanup_(plan_done) struct plan plan = { .method = VIRTPMEM_FLUSH_NONE };
	int r;

	r = plan_flush(region, &plan);
	if (r < 0)
		return r;
	*ret = plan.method;
	if (reason) {
		*reason = plan.method == VIRTPMEM_FLUSH_NONE ? plan.reason : NULL;
		if (*reason)
			plan.reason = NULL;
	}
	return 0;
}

/* The next two run in the child where there is a limit: nothing but system calls. */

static int write_deep_flush(int fd)
{
	ssize_t n = write(fd, "1", 1);

	if (n < 0)
		return -errno;
	return n == 1 ? 0 : -EIO;
}

static int fsync_block(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

static int open_deep_flush(const struct virtpmem_region *region)
{
	int fd = openat(region->dirfd, VIRTIO_PMEM_ATTR_DEEP_FLUSH, O_WRONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return vp_file_error(region, VIRTIO_PMEM_ATTR_DEEP_FLUSH, "cannot open for writing",
				     errno, VP_REQUIRED);
	return fd;
}

/* The device number that sysfs gives. */
static int read_devno(const struct virtpmem_namespace *ns, dev_t *ret)
{
	_cleanup_free_ char *file = NULL;
	_cleanup_free_ char *line = NULL;
	int r;

	if (asprintf(&file, "%s/dev", ns->blockdir) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = vp_read_line(ns->region, file, VP_REQUIRED, &line);
	if (r < 0)
		return r;
	if (!vp_parse_devno(line, ret))
		return vp_malformed(ns->region, file, "not a device number");
	return 0;
}

static int node_error(const struct virtpmem_namespace *ns, int error)
{
	const struct virtpmem_region *region = ns->region;

	if (!vp_region_alive(region))
		error = ENODEV;
	else if (error == EPERM)
		error = EACCES;
	if (error == ESTALE)
		vp_err(region->ctx, "%s: /dev/%s is not the block device of %s", region->devname,
		       ns->blockdev, ns->devname);
	else
		vp_err(region->ctx, "%s: /dev/%s: %s", region->devname, ns->blockdev,
		       strerror(error));
	return -error;
}

/*
 * Opens the block device. The node in /dev was made by somebody else, and its
 * number may have been given to another device meanwhile: what was opened must
 * have the number that the region's own directory shows after the open.
 */
static int open_block(const struct virtpmem_namespace *ns)
{
	_cleanup_close_ int fd = -1;
	dev_t devno = 0, opened;
	int r;

	fd = vp_open_node(ns->blockdev, S_IFBLK, O_RDONLY, &opened);
	if (fd == -ENOMEM)
		return fd;
	if (fd < 0)
		return node_error(ns, -fd);
	r = read_devno(ns, &devno);
	if (r < 0)
		return r;
	if (opened != devno)
		return node_error(ns, ESTALE);
	r = fd;
	fd = -1;
	return r;
}

/* Says for sure that the block layer did not drop the flush. */
static int check_still_sent(struct plan *plan)
{
	enum virtpmem_write_cache cache;
	int r;

	if (plan->method != VIRTPMEM_FLUSH_BLOCK)
		return 0;
	r = virtpmem_namespace_get_write_cache(plan->ns, &cache);
	if (r < 0)
		return r;
	if (cache == VIRTPMEM_WRITE_BACK)
		return 0;
	vp_err(plan->ns->region->ctx, "%s: queue/write_cache of %s became \"write through\" during "
	       "the flush, which may not have been sent", plan->ns->region->devname,
	       plan->ns->blockdev);
	return -EOPNOTSUPP;
}

static const char *why_failed(int error)
{
	switch (error) {
	case -EIO:
		return "the host failed it, or the region is broken";
	case -ENODEV:
		return "the region has gone";
	case -ETIMEDOUT:
		return "no answer in time";
	case -EINTR:
		return "ended by a signal";
	default:
		return strerror(-error);
	}
}

static int flush_error(const struct virtpmem_region *region, enum virtpmem_flush_method method,
		       int error)
{
	if (!error)
		return 0;
	if ((error == -ENXIO || error == -ENOENT) && !vp_region_alive(region))
		error = -ENODEV;
	vp_err(region->ctx, "%s: flush by %s failed: %s", region->devname,
	       virtpmem_flush_method_name(method), why_failed(error));
	return error;
}

/* Carry out the plan: 0 if the flush was done. *ret is written if it was tried. */
static int carry_out(struct virtpmem_region *region, struct plan *plan, unsigned int timeout_ms,
		     struct virtpmem_flush_result *ret)
{
	bool deep = plan->method == VIRTPMEM_FLUSH_DEEP;
	vp_work_fn work = deep ? write_deep_flush : fsync_block;
	struct vp_outcome outcome = { .error = 0 };
	_cleanup_close_ int fd = -1;
	int r = 0;

	fd = deep ? open_deep_flush(region) : open_block(plan->ns);
	if (fd < 0)
		return fd;
	if (timeout_ms)
		r = vp_run_limited(region->ctx, work, fd, timeout_ms, &outcome);
	else
		vp_run(work, fd, &outcome);
	if (!r)
		r = outcome.error;
	if (!r)
		r = check_still_sent(plan);
	*ret = (struct virtpmem_flush_result) {
		.method = plan->method,
		.latency_ns = outcome.elapsed_ns,
		.abandoned = outcome.abandoned,
	};
	return flush_error(region, plan->method, r);
}

VP_EXPORT int virtpmem_region_flush(struct virtpmem_region *region, unsigned int timeout_ms,
				    struct virtpmem_flush_result *result)
{
	_cleanup_(plan_done) struct plan plan = { .method = VIRTPMEM_FLUSH_NONE };
	struct virtpmem_flush_result done = { .method = VIRTPMEM_FLUSH_NONE };
	int r;

	/* The way is chosen by what is so now. */
	virtpmem_region_snapshot_end(region);
	r = plan_flush(region, &plan);
	if (r < 0)
		return r;
	switch (plan.method) {
	case VIRTPMEM_FLUSH_NONE:
		vp_err(region->ctx, "%s: cannot flush: %s", region->devname, plan.reason);
		return -EOPNOTSUPP;
	case VIRTPMEM_FLUSH_NOT_NEEDED:
		done.method = plan.method;
		break;
	default:
		r = carry_out(region, &plan, timeout_ms, &done);
		break;
	}
	if (result && done.method != VIRTPMEM_FLUSH_NONE)
		*result = done;
	return r;
}
