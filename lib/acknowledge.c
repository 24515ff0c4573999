// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Acknowledging errors of the host: an administrator has seen that flushes failed, and
 * the verdict on the region need not say it any longer, until one fails again.
 *
 * What is kept is the time of the last failure (CLOCK_BOOTTIME, as the driver counts it) in
 * a file below /run, which is gone after a boot as the counters are. A region is
 * acknowledged if its last failure is that very one: a time that is later than
 * the region's own is of another boot, or was not written here, and says nothing.
 *
 * Nothing but the call does it; a driver that is bound anew begins to count anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep.h"
#include "plan.h"

#define DIRECTORY	"virtpmem"
#define BEFORE		"acknowledged-"

/* The directory of these files, which root makes if @make; -errno. */
static int open_directory(const struct virtpmem_ctx *ctx, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	_cleanup_close_ int run = openat(AT_FDCWD, ctx->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	bool made;
	int r;

	if (run < 0)
		return -errno;
	made = make && !mkdirat(run, DIRECTORY, 0755);
	if (make && !made && errno != EEXIST)
		return -errno;
	fd = openat(run, DIRECTORY, flags);
	/* Whatever the umask is: everybody may read what was acknowledged. */
	if (fd < 0 || (made && fchmod(fd, 0755) < 0))
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

static int read_time(int dirfd, const char *name, uint64_t *ret, const char **why)
{
	_cleanup_free_ char *text = NULL;
	int r = vp_attr_read(dirfd, name, &text, why);

	if (r < 0)
		return r;
	*why = "not a time";
	return vp_parse_u64(text, ret) ? 0 : -EBADMSG;
}

int vp_acknowledged_read(const struct virtpmem_region *region, uint64_t *ret)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_close_ int dirfd = -1;
	const char *why = "cannot open";
	uint64_t time_ns;
	int r;

	r = vp_keep_name(region, BEFORE, "", &name);
	if (r < 0)
		return r == -EOPNOTSUPP ? -ENODATA : r;
	dirfd = open_directory(region->ctx, false);
	r = dirfd < 0 ? dirfd : read_time(dirfd, name, &time_ns, &why);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOENT ? -ENODATA : r;
	if (r < 0) {
		vp_err(region->ctx, "%s/" DIRECTORY "/%s: %s: %s", region->ctx->run, name, why,
		       strerror(-r));
		return r;
	}
	*ret = time_ns;
	return 0;
}

/* -------------------------------------------------------- acknowledging */

struct operation {
	struct virtpmem_region *region;
	uint64_t failed, last_ns;	/* as of the look: what comes later is not acknowledged */
	char *name;			/* of the file */
	bool needed;
};

static void operation_done(struct operation *op)
{
	vp_freep(&op->name);
}

static void print_time(FILE *f, const void *data)
{
	fprintf(f, "%" PRIu64 "\n", *(const uint64_t *)data);
}

static int act_acknowledge(void *data, size_t arg)
{
	const struct operation *op = data;
	_cleanup_close_ int dirfd = -1;
	int r;

	(void)arg;
	if (!op->needed)
		return VP_NOT_NEEDED;
	dirfd = open_directory(op->region->ctx, true);
	r = dirfd < 0 ? dirfd : vp_lock(dirfd);
	if (!r)
		r = vp_keep_write(dirfd, "." BEFORE "new", op->name, print_time, &op->last_ns);
	return r == -EPERM ? -EACCES : r;
}

/* What there is to be acknowledged. */
static int look(struct operation *op)
{
	static const char file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS);
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	uint64_t acknowledged_ns;
	int r;

	r = virtpmem_region_get_stats(op->region, &stats);
	if (!r)
		r = virtpmem_stats_get(stats, VIRTPMEM_STAT_FAILED_HOST_FLUSHES, &op->failed);
	if (!r)
		r = virtpmem_stats_get(stats, VIRTPMEM_STAT_LAST_FAILURE_NS, &op->last_ns);
	if (r < 0 || !op->failed)
		return r;
	if (!op->last_ns)
		return vp_malformed(op->region, file, "failures, and no time of the last one");
	r = vp_acknowledged_read(op->region, &acknowledged_ns);
	if (r == -ENOMEM)
		return r;
	/* What cannot be read is replaced. */
	op->needed = r < 0 || acknowledged_ns != op->last_ns;
	return 0;
}

static int make_plan(struct virtpmem_plan *plan, const struct operation *op, unsigned int flags)
{
	const char *devname = op->region->devname;
	const struct vp_step step = {
		.kind = VIRTPMEM_STEP_ACKNOWLEDGE, .object = devname, .act = act_acknowledge,
		/* Also a dry run says that there is nothing to do. */
		.look = !op->needed && (flags & VIRTPMEM_DRY_RUN),
	};

	if (!op->needed)
		return vp_plan_add(plan, &step, "acknowledge errors of the host of %s", devname);
	return vp_plan_add(plan, &step, "acknowledge that the host of %s has failed %" PRIu64
			   " flush%s, in %s/" DIRECTORY "/%s", devname, op->failed,
			   op->failed == 1 ? "" : "es", op->region->ctx->run, op->name);
}

VP_EXPORT int virtpmem_region_acknowledge_errors(struct virtpmem_region *region,
						 unsigned int flags, struct virtpmem_plan **plan)
{
	_cleanup_(operation_done) struct operation op = { .region = region };
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *p = NULL;
	int r;

	if (flags & ~VIRTPMEM_DRY_RUN)
		return -EINVAL;
	virtpmem_region_snapshot_end(region);
	r = look(&op);
	if (!r && op.needed)
		r = vp_keep_name(region, BEFORE, "", &op.name);
	if (r == -EOPNOTSUPP && op.needed)
		vp_err(region->ctx, "%s: it has no path that errors can be acknowledged for",
		       region->devname);
	if (!r)
		r = vp_plan_new(region->ctx, &p);
	if (!r)
		r = make_plan(p, &op, flags);
	return r < 0 ? r : vp_plan_give(p, vp_plan_run(p, &op, flags), plan);
}
