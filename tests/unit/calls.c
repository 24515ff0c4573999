// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls of the library, and the machine that each is made on: see calls.h.
 *
 * What a recorded tree cannot do is done here: the kernel's part of freezing,
 * disabling and recovering. The calls go through functions of this file
 * (meson.build has their names), each of which can be made to fail.
 */
#include "calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <syslog.h>
#include <unistd.h>

#include "act.h"
#include "syscalls.h"

/* More than a guard takes to end, on any machine. */
#define GUARD_SECONDS	120

static bool (*call_fails)(const char *name);
static bool calling;

bool machine_is_calling(void)
{
	return calling;
}

static bool fails(const char *name)
{
	return calling && call_fails && call_fails(name);
}

/* ------------------------------------------------------------- the kernel */

/* pmem0's number in the recordings, which the file system at MOUNT_POINT is to have. */
#define MOUNTED		makedev(259, 1)

static struct {
	struct testbed *tb;
	char *mount_point;
	struct stat mount;
	int *frozen;		/* how many; the guard is another process */
} kernel;

static int freeze_one(unsigned long request)
{
	int change = request == FIFREEZE ? 1 : -1;

	if (change < 0 && !__atomic_load_n(kernel.frozen, __ATOMIC_SEQ_CST)) {
		errno = EINVAL;
		return -1;
	}
	__atomic_add_fetch(kernel.frozen, change, __ATOMIC_SEQ_CST);
	return 0;
}

int machine_frozen(void)
{
	return __atomic_load_n(kernel.frozen, __ATOMIC_SEQ_CST);
}

/* What a file of the region holds from now on. */
static void put(const char *file, const char *text)
{
	bool was_calling = calling;

	calling = false;
	testbed_write(kernel.tb, file, text);
	calling = was_calling;
}

#define WRAP(type_, name_, failure_, params_, args_) \
	type_ __real_##name_ params_; \
	type_ __wrap_##name_ params_; \
	type_ __wrap_##name_ params_ \
	{ \
		return fails(#name_) ? (failure_) : __real_##name_ args_; \
	}

WRAP(int, access, -1, (const char *path, int mode), (path, mode))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int fd, int op, int other, struct epoll_event *event),
     (fd, op, other, event))
WRAP(int, faccessat, -1, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags))
WRAP(int, fstatat64, -1, (int fd, const char *path, struct stat *st, int flags),
     (fd, path, st, flags))
WRAP(int, fstatfs64, -1, (int fd, struct statfs *st), (fd, st))
WRAP(DIR *, fdopendir, NULL, (int fd), (fd))
WRAP(FILE *, fopen64, NULL, (const char *path, const char *mode), (path, mode))
WRAP(ssize_t, getdents64, -1, (int fd, void *buffer, size_t length), (fd, buffer, length))
WRAP(int, inotify_add_watch, -1, (int fd, const char *path, uint32_t mask), (fd, path, mask))
WRAP(int, inotify_init1, -1, (int flags), (flags))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(int, pipe2, -1, (int *fds, int flags), (fds, flags))
WRAP(int, poll, -1, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout))
WRAP(int, ppoll, -1,
     (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
     (fds, n, timeout, mask))
WRAP(ssize_t, pread64, -1, (int fd, void *buffer, size_t n, off_t at), (fd, buffer, n, at))
WRAP(ssize_t, read, -1, (int fd, void *buffer, size_t n), (fd, buffer, n))
WRAP(ssize_t, readlinkat, -1, (int fd, const char *path, char *buffer, size_t n),
     (fd, path, buffer, n))
WRAP(char *, realpath, NULL, (const char *path, char *resolved), (path, resolved))
WRAP(int, renameat, -1, (int fd, const char *from, int other, const char *to),
     (fd, from, other, to))
WRAP(ssize_t, send, -1, (int fd, const void *data, size_t n, int flags), (fd, data, n, flags))
WRAP(int, socketpair, -1, (int domain, int type, int protocol, int *fds),
     (domain, type, protocol, fds))
WRAP(int, stat64, -1, (const char *path, struct stat *st), (path, st))
WRAP(int, uname, -1, (struct utsname *name), (name))
WRAP(int, unlinkat, -1, (int fd, const char *path, int flags), (fd, path, flags))

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_fsync(int fd);
int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __real_openat64(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat64(int fd, const char *path, int flags, mode_t mode);
int __real_fcntl64(int fd, int command, void *arg);
int __wrap_fcntl64(int fd, int command, void *arg);
int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_statfs64(const char *path, struct statfs *st);
int __real_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *stx);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *stx);
ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);
int __wrap_vp_ndctl_disable(const struct virtpmem_region *region);
int __wrap_vp_ndctl_enable(const struct virtpmem_region *region);

/* Whatever the root here is, that of the machine is no overlay. */
int __wrap_statfs64(const char *path, struct statfs *st)
{
	if (fails("statfs"))
		return -1;
	memset(st, 0, sizeof(*st));
	(void)path;
	st->f_type = EXT4_SUPER_MAGIC;
	return 0;
}

/* The kernel takes back every lock. */
int __wrap_flock(int fd, int how)
{
	return how != LOCK_UN && fails("flock") ? -1 : __real_flock(fd, how);
}

/* Nothing of this needs to be on a disk. */
int __wrap_fsync(int fd)
{
	(void)fd;
	return fails("fsync") ? -1 : 0;
}

int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	bool was_calling = calling, known;

	if (fails("statx"))
		return -1;
	calling = false;
	known = testbed_statx(dirfd, path, stx);
	calling = was_calling;
	return known ? 0 : __real_statx(dirfd, path, flags, mask, stx);
}

/* The mount point is a directory like others here. */
int __wrap_fstat64(int fd, struct stat *st)
{
	int r = fails("fstat") ? -1 : __real_fstat64(fd, st);

	if (!r && kernel.mount_point && st->st_dev == kernel.mount.st_dev &&
	    st->st_ino == kernel.mount.st_ino)
		st->st_dev = MOUNTED;
	return r;
}

/* Also where there is no third argument: it is passed in a register, and not used. */
int __wrap_open64(const char *path, int flags, mode_t mode)
{
	return fails("open") ? -1 : __real_open64(path, flags, mode);
}

int __wrap_openat64(int fd, const char *path, int flags, mode_t mode)
{
	return fails("openat") ? -1 : __real_openat64(fd, path, flags, mode);
}

int __wrap_fcntl64(int fd, int command, void *arg)
{
	return fails("fcntl") ? -1 : __real_fcntl64(fd, command, arg);
}

/* It lies on pmem4p2. */
static int tell_loop(struct loop_info64 *info)
{
	memset(info, 0, sizeof(*info));
	info->lo_rdevice = 259 << 8 | 6;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (fails("ioctl"))
		return -1;
	if (request == LOOP_GET_STATUS64)
		return tell_loop(arg);
	return request == FITHAW ? freeze_one(request) : __real_ioctl(fd, request, arg);
}

/* The driver recovers when it is told to. */
ssize_t __wrap_write(int fd, const void *data, size_t n)
{
	char link[64], path[4096];
	ssize_t length, r;

	if (fails("write"))
		return -1;
	r = __real_write(fd, data, n);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (r > 0 && length > 8 && !memcmp(path + length - 8, "/recover", 8))
		put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STATE), "active\n");
	return r;
}

/* libndctl does more than that. */
int __wrap_vp_ndctl_disable(const struct virtpmem_region *region)
{
	if (fails("vp_ndctl_disable"))
		return -errno;
	return unlinkat(region->dirfd, "driver", 0) < 0 ? -errno : 0;
}

int __wrap_vp_ndctl_enable(const struct virtpmem_region *region)
{
	if (fails("vp_ndctl_enable"))
		return -errno;
	return symlinkat("../../../../../bus/nd/drivers/nd_region", region->dirfd, "driver") < 0 ?
	       -errno : 0;
}

/* What the guard and other children do; the end of one and its last words do not fail. */
static bool is_frozen_or_fails(long number, const long *args, long *ret)
{
	switch (number) {
	case SYS_exit_group:
	case SYS_sendto:
	case SYS_clock_gettime:
		return false;
	case SYS_syncfs:
		*ret = fails("syncfs") ? -1 : 0;
		return true;
	case SYS_ioctl:
		if (args[1] != (long)FIFREEZE && args[1] != (long)FITHAW)
			break;
		/* One that cannot be thawed is the kernel's own. */
		if (args[1] == (long)FIFREEZE && fails("FIFREEZE"))
			*ret = -1;
		else
			*ret = freeze_one((unsigned long)args[1]);
		return true;
	}
	*ret = -1;
	return fails("syscall");
}

/* ------------------------------------------------------ what is called */

static int scan(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	int count = virtpmem_scan(ctx);
	struct virtpmem_region *r;

	(void)region;
	if (count < 0)
		return count;
	virtpmem_region_foreach(ctx, r)
		if (!virtpmem_region_get_path(r))
			return 0;
	return count == 6;
}

static int copy(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_region *other;
	int r = virtpmem_region_copy(region, ctx, &other);

	if (r < 0)
		return r;
	r = virtpmem_region_get_path(other) && virtpmem_region_get_devname(other);
	virtpmem_region_unref(other);
	return r;
}

static int list_namespaces(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_namespace *list = NULL;
	int r = vp_namespaces_read(region, &list);

	(void)ctx;
	if (r < 0)
		return r;
	r = list && list->blockdev && list->blockdir;
	vp_namespaces_free(list);
	return r;
}

#define FIND(fn_, name_, region_) \
	static int fn_(struct virtpmem_ctx *ctx, struct virtpmem_region *region) \
	{ \
		struct virtpmem_region *found = NULL; \
		int r = virtpmem_region_find(ctx, name_, &found); \
\
		(void)region; \
		return r < 0 ? r : !strcmp(found->devname, region_); \
	}

FIND(find_namespace, "namespace3.0", "region3")
FIND(find_stacked, "dm-1", "region4")
FIND(find_dax, "dax2.0", "region2")
FIND(find_node, "/dev/pmem0", "region0")

static int flush(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_flush_result result = { .method = VIRTPMEM_FLUSH_NONE };
	int r = virtpmem_region_flush(region, 0, &result);

	(void)ctx;
	return r < 0 ? r : result.method == VIRTPMEM_FLUSH_BLOCK;
}

static int say_why_not(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	enum virtpmem_flush_method method;
	char *reason = NULL;
	int r;

	(void)region;
	r = virtpmem_region_get_flush_method(ctx->regions->next->next, &method, &reason);
	if (r < 0)
		return r;
	r = method == VIRTPMEM_FLUSH_NONE && reason;
	free(reason);
	return r;
}

static int read_text(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	char *provider = NULL, *module = NULL;
	int r;

	(void)ctx;
	r = virtpmem_region_get_provider(region, &provider);
	if (!r)
		r = virtpmem_region_get_module(region, &module);
	if (!r)
		r = !strcmp(provider, "virtio-pmem") && !strcmp(module, "virtio_pmem");
	free(provider);
	free(module);
	return r;
}

static int read_statistics(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_histogram *hist = NULL;
	struct virtpmem_stats *stats = NULL;
	int r;

	(void)ctx;
	r = virtpmem_region_get_stats(region, &stats);
	if (!r)
		r = virtpmem_region_get_latency_histogram(region, &hist);
	if (!r)
		r = stats && hist;
	virtpmem_stats_unref(stats);
	virtpmem_histogram_unref(hist);
	return r;
}

/* Watch, let something happen, and be told; an attempt that fails may be repeated. */
static int watch(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	static const char file[] = "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY);
	struct virtpmem_monitor *monitor = NULL;
	struct virtpmem_event *event = NULL;
	int r;

	(void)region;
	put(file, "latch\n");
	r = virtpmem_monitor_new(ctx, &monitor);
	if (!r) {
		put(file, "report\n");
		r = virtpmem_monitor_get_timeout(monitor, &(uint64_t){ 0 });
	}
	/* A message that could not be read is there still. */
	if (!r)
		r = virtpmem_monitor_process(monitor, &event);
	if (!r)
		r = virtpmem_monitor_process(monitor, &event);
	if (r == 1)
		r = virtpmem_event_get_type(event) == VIRTPMEM_EVENT_SETTING &&
		    !strcmp(virtpmem_event_get_value(event), "report");
	virtpmem_event_unref(event);
	virtpmem_monitor_unref(monitor);
	return r;
}

static int list_holders(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_holders *holders = NULL;
	struct virtpmem_holder *holder;
	int count = 0, r;

	(void)ctx;
	r = virtpmem_region_get_holders(region->next->next->next->next, 0, &holders);
	if (r < 0)
		return r;
	virtpmem_holder_foreach(holders, holder)
		count += virtpmem_holder_get_child(holder) ? 2 : 1;
	if (count != 9 || !virtpmem_holders_is_complete(holders))
		count = 0;
	virtpmem_holders_unref(holders);
	return count == 9;
}

static int read_map(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_dax_map *map = NULL;
	unsigned int count;
	int r;

	(void)ctx;
	region = region->next->next;
	r = virtpmem_region_get_dax_count(region, &count);
	if (!r)
		r = virtpmem_dax_get_map(virtpmem_dax_get_first(region), &map);
	if (r < 0)
		return r;
	r = virtpmem_dax_map_get_count(map) == 1;
	virtpmem_dax_map_unref(map);
	return r;
}

static int read_bad_ranges(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_bad_ranges *ranges = NULL;
	struct virtpmem_bad_range *range;
	int count = 0, r;

	(void)ctx;
	r = virtpmem_region_get_bad_ranges(region->next->next, &ranges);
	if (r < 0)
		return r;
	virtpmem_bad_range_foreach(ranges, range)
		count++;
	r = count == 3 && virtpmem_bad_ranges_is_complete(ranges);
	virtpmem_bad_ranges_unref(ranges);
	return r;
}

static int judge(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_health *health = NULL;
	struct virtpmem_reason *reason;
	int count = 0, r;

	(void)ctx;
	r = virtpmem_region_snapshot_begin(region);
	if (!r)
		r = virtpmem_region_get_health(region, NULL, 1, &health);
	if (r < 0)
		return r;
	virtpmem_reason_foreach(health, reason)
		count++;
	virtpmem_health_unref(health);
	return count == 1;
}

/* Whether a plan was handed out with so many steps; drops it. */
static int has_steps(int r, struct virtpmem_plan *plan, int expected)
{
	struct virtpmem_step *step;
	int count = 0;

	if (!plan)
		return r;
	virtpmem_step_foreach(plan, step)
		count++;
	virtpmem_plan_unref(plan);
	if (r >= 0 && count != expected)
		print_message("# %d steps, not %d\n", count, expected);
	return r < 0 ? r : count == expected;
}

#define PLAN(fn_, call_, steps_) \
	static int fn_(struct virtpmem_ctx *ctx, struct virtpmem_region *region) \
	{ \
		struct virtpmem_plan *plan = NULL; \
		int r = call_; \
\
		(void)ctx; \
		return has_steps(r, plan, steps_); \
	}

PLAN(plan_setting, virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY, "report",
					       VIRTPMEM_DRY_RUN | VIRTPMEM_SAVE, &plan), 2)
PLAN(plan_recover, virtpmem_region_recover(region, VIRTPMEM_DRY_RUN, &plan), 1)
PLAN(plan_remove, virtpmem_region_remove(region, 0, VIRTPMEM_DRY_RUN | VIRTPMEM_FORCE, &plan), 6)
PLAN(plan_freeze, virtpmem_region_freeze(region, 0, VIRTPMEM_DRY_RUN | VIRTPMEM_FORCE, &plan,
					 &(struct virtpmem_freeze *){ NULL }), 5)
PLAN(plan_thaw, virtpmem_region_thaw(region, VIRTPMEM_DRY_RUN, &plan), 1)
PLAN(plan_add, virtpmem_add(ctx, region->path, NULL, VIRTPMEM_DRY_RUN, &plan, NULL), 4)

/* -------------------------------------------------- what is really done */

static int change_setting(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_plan *plan = NULL;
	char *value = NULL;
	int r;

	(void)ctx;
	put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY), "latch\n");
	r = virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY, "report",
					VIRTPMEM_SAVE, &plan);
	r = has_steps(r, plan, 2);
	if (r == 1)
		r = virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						      &value);
	if (!r)
		r = !strcmp(value, "report");
	free(value);
	return r;
}

static int forget_setting(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	static const char name[] = "rules/65-virtpmem-pci-0000:00:04.0.rules";
	struct virtpmem_plan *plan = NULL;
	char *value = NULL;
	int r;

	(void)ctx;
	put(name, "ATTR{virtio_pmem/error_policy}=\"report\"\n");
	r = virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY, NULL,
					VIRTPMEM_SAVE, &plan);
	r = has_steps(r, plan, 1);
	if (r == 1)
		r = virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						      &value);
	free(value);
	return r == -ENODATA ? 1 : r;
}

/* A failure each time that was not acknowledged before. */
static int acknowledge(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	static unsigned int last_ns = 1;
	struct virtpmem_plan *plan = NULL;
	char line[64];
	int r;

	(void)ctx;
	snprintf(line, sizeof(line), "0 0 2 2 2 0 0 0 0 0 0 %u 0\n", ++last_ns);
	put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS), line);
	r = virtpmem_region_acknowledge_errors(region, 0, &plan);
	return has_steps(r, plan, 1);
}

static int recover(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_plan *plan = NULL;
	int r;

	(void)ctx;
	put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_RECOVER), "\n");
	put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STATE), "broken\n");
	put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON), "needs-reset\n");
	r = virtpmem_region_recover(region, 0, &plan);
	return has_steps(r, plan, 3);
}

/* One that is alone on its device only needs to be disabled. */
static int take_down(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_plan *plan = NULL;
	int r;

	(void)ctx;
	while (region->next)
		region = region->next;
	__wrap_vp_ndctl_enable(region);
	r = virtpmem_region_remove(region, 0, 0, &plan);
	return has_steps(r, plan, 3);
}

/* As after an unbind, except that the region is still there, and only down. */
static int add(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_region *added = NULL;
	struct virtpmem_plan *plan = NULL;
	int r;

	calling = false;
	region = region->next;
	__wrap_vp_ndctl_disable(region);
	calling = true;
	r = virtpmem_add(ctx, region->path, NULL, 0, &plan, &added);
	calling = false;
	if (!r && strcmp(virtpmem_region_get_devname(added), region->devname) != 0)
		r = -ENXIO;
	virtpmem_region_unref(added);
	__wrap_vp_ndctl_enable(region);
	return has_steps(r, plan, 4);
}

static int limited_flush(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_flush_result result = { .method = VIRTPMEM_FLUSH_NONE };
	int r = virtpmem_region_flush(region, 30000, &result);

	(void)ctx;
	return r < 0 ? r : result.method == VIRTPMEM_FLUSH_DEEP;
}

/* Freezes, and looks whether that is so. */
static int freeze_with(struct virtpmem_region *region, unsigned int flags, int steps,
		       struct virtpmem_freeze **ret)
{
	struct virtpmem_plan *plan = NULL;
	int r;

	put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE), "0\n");
	put("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS), "60000\n");
	r = virtpmem_region_freeze(region, 60000, flags, &plan, ret);
	r = has_steps(r, plan, steps);
	return r == 1 ? machine_frozen() == 1 : r;
}

static int freeze_and_thaw(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *freeze = NULL;
	int r = freeze_with(region, VIRTPMEM_QUIESCE, 8, &freeze);

	(void)ctx;
	if (r == 1)
		r = virtpmem_freeze_thaw(freeze);
	return r < 0 ? r : !machine_frozen();
}

/* The guard stays, and another caller ends it; or at last the next one. */
static int freeze_and_detach(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *freeze = NULL;
	struct virtpmem_plan *plan = NULL;
	int r = freeze_with(region, 0, 7, &freeze);

	(void)ctx;
	if (r == 1)
		r = virtpmem_freeze_detach(freeze);
	if (!r) {
		r = virtpmem_region_thaw(region, 0, &plan);
		/* One warns of the swap space: what it lies on is not in this recording. */
		r = has_steps(r, plan, 4);
	}
	calling = false;
	if (r != 1)
		virtpmem_region_thaw(region, 0, NULL);
	return r < 0 ? r : r == 1 && !machine_frozen();
}

static int judge_machine(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_health *health = NULL;
	int r = virtpmem_get_system_health(ctx, &health);

	(void)region;
	if (r < 0)
		return r;
	r = virtpmem_health_get_level(health) == VIRTPMEM_HEALTH_NON_CRITICAL;
	virtpmem_health_unref(health);
	return r;
}

static int judge_use(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	struct virtpmem_holders *holders = NULL;
	struct virtpmem_health *health = NULL;
	struct virtpmem_reason *reason;
	int count = 0, r;

	(void)ctx;
	r = virtpmem_region_get_holders(region, 0, &holders);
	if (!r)
		r = virtpmem_region_get_health(region, holders, 1, &health);
	if (!r)
		virtpmem_reason_foreach(health, reason)
			count += !strcmp(virtpmem_reason_get_id(reason), "no_barriers");
	virtpmem_health_unref(health);
	virtpmem_holders_unref(holders);
	return r < 0 ? r : count == 1;
}

static int list_unbound(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	unsigned int count;
	int r = virtpmem_get_unbound_count(ctx, &count);

	(void)region;
	if (r < 0)
		return r;
	return count == 1 && virtpmem_unbound_get_path(virtpmem_unbound_get_first(ctx));
}

/* Those on one fixture stand together, for making it takes its time. */
const struct call calls[] = {
	{ "scan", "in-tree-6.12", scan },
	{ "copy", "in-tree-6.12", copy },
	{ "namespaces", "in-tree-6.12", list_namespaces },
	{ "find a namespace", "in-tree-6.12", find_namespace },
	{ "find a stacked device", "in-tree-6.12", find_stacked },
	{ "find a DAX device", "in-tree-6.12", find_dax },
	{ "find a node", "in-tree-6.12", find_node },
	{ "flush", "in-tree-6.12", flush },
	{ "reason", "in-tree-6.12", say_why_not },
	{ "text", "in-tree-6.12", read_text },
	{ "bad ranges", "in-tree-6.12", read_bad_ranges },
	{ "health", "in-tree-6.12", judge },
	{ "DAX map", "in-tree-6.12", read_map },
	{ "holders", "in-tree-6.12", list_holders },
	{ "remove", "in-tree-6.12", plan_remove },
	{ "freeze", "in-tree-6.12", plan_freeze },
	{ "thaw", "in-tree-6.12", plan_thaw },
	{ "take down", "in-tree-6.12", take_down },
	{ "health of the machine", "in-tree-6.12", judge_machine },
	{ "devices without driver", "virtpmem-6.12", list_unbound },
	{ "statistics", "virtpmem-6.12", read_statistics },
	{ "monitor", "virtpmem-6.12", watch },
	{ "settings", "virtpmem-6.12", plan_setting },
	{ "plan to recover", "virtpmem-6.12", plan_recover },
	{ "plan to add", "virtpmem-6.12", plan_add },
	{ "add", "virtpmem-6.12", add },
	{ "change a setting", "virtpmem-6.12", change_setting },
	{ "forget a setting", "virtpmem-6.12", forget_setting },
	{ "recover", "virtpmem-6.12", recover },
	{ "acknowledge", "virtpmem-6.12", acknowledge },
	{ "limited flush", "virtpmem-6.12", limited_flush },
	{ "freeze and thaw", "virtpmem-6.12", freeze_and_thaw },
	{ "freeze and detach", "virtpmem-6.12", freeze_and_detach },
	{ "health of a region in use", "virtpmem-6.12", judge_use },
};
const size_t call_count = ARRAY_SIZE(calls);

/* -------------------------------------------------------- the machine */

struct machine {
	const char *fixture;
	const struct call *call;
	struct testbed *tb;
	char *proc, *rules, *run, *modules;
	bool logged;
};

/* The log of an ext4 on a device without a region. */
static void add_log(struct testbed *tb)
{
	testbed_add_block(tb, "sdb", "8:16\n");
	testbed_add_journal(tb, "pmem4p1", "sdb");
}

/*
 * Holders of region4 of the in-tree driver: dm-0 and dm-1 on it, a swap space, a mount
 * that is seen twice, a log, a loop device, and a process that has it open, and mapped.
 */
static void add_stack(struct testbed *tb)
{
	add_log(tb);
	testbed_add_loop(tb, "loop0", "7:0\n", "/dev/pmem4p2");
	testbed_add_block_node(tb, "loop0", "7:0");
	testbed_symlink(tb, "/dev/pmem4", "proc/55/fd/3");
	testbed_symlink(tb, "/dev/pmem4p2", "proc/55/map_files/5000-6000");
	testbed_write(tb, "proc/55/maps", "5000-6000 rw-s 00000000 00:05 998 /dev/pmem4p2\n"
		      "6000-7000 rw-s 00001000 00:05 998 /dev/pmem4p2\n");
}

static void add_users(struct testbed *tb)
{
	testbed_add_proc(tb);
	testbed_add_process(tb, "55", "mnt:[2]");
	testbed_write(tb, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
		      "/dev/pmem4p2 partition\t100\t0\t-2\n");
	testbed_write(tb, "region2/badblocks", "8192 8\n");
	testbed_write(tb, "proc/55/mountinfo",
		      "7 1 8:16 / /logged rw - ext4 /dev/sdb rw\n"
		      "8 1 259:1 / /x rw - ext4 /dev/pmem0 rw\n"
		      "9 1 259:2 / /a rw - xfs /dev/pmem4 rw,logdev=/dev/pmem0\n"
		      "9 1 259:2 / /a rw - xfs /dev/pmem4 rw,logdev=/dev/pmem0\n");
}

/* ours has one file system on region0, which can be reached; and without barriers. */
static void add_mount(struct testbed *tb)
{
	char *line;

	testbed_mkdir(tb, "mnt");
	kernel.mount_point = testbed_path(tb, "mnt");
	assert_int_equal(__real_stat64(kernel.mount_point, &kernel.mount), 0);
	assert_true(asprintf(&line, "30 1 259:1 / %s rw - ext4 /dev/pmem0 rw,nobarrier\n",
			     kernel.mount_point) > 0);
	testbed_set_mounts(tb, line);
	testbed_write(tb, "proc/55/mountinfo", "");
	free(line);
	/* Its journal lies on a disk beside the regions. */
	testbed_add_block(tb, "sdc", "8:32\n");
	testbed_add_journal(tb, "sdc", "pmem0");
	/* And region1's device has no driver. */
	testbed_remove(tb, "region1/../../driver");
	testbed_write(tb, "sys/bus/virtio/drivers/virtio_pmem/bind", "");
}

static void add_modules(struct machine *m)
{
	struct utsname name;

	m->modules = testbed_path(m->tb, "modules");
	assert_int_equal(__real_uname(&name), 0);
	testbed_mkdir(m->tb, "modules");
	testbed_mkdir_in(m->tb, "modules", name.release);
	strcat(name.release, "/modules.builtin");
	testbed_write_in(m->tb, "modules", name.release,
			 "kernel/drivers/nvdimm/virtio_pmem.ko\n");
}

static bool is_ours(const struct machine *m)
{
	return !strncmp(m->fixture, "virtpmem-", 9);
}

static void machine_free(struct machine *m)
{
	syscall_hook = NULL;
	free(kernel.mount_point);
	kernel.mount_point = NULL;
	kernel.tb = NULL;
	free(m->proc);
	free(m->rules);
	free(m->run);
	free(m->modules);
	testbed_free(m->tb);
	free(m);
}

static struct machine *machine_new(const struct call *call)
{
	struct machine *m = calloc(1, sizeof(*m));
	unsigned int i;

	assert_non_null(m);
	m->fixture = call->fixture;
	m->tb = testbed_new(m->fixture);
	add_users(m->tb);
	for (i = 0; i < (is_ours(m) ? 5U : 6U); i++)
		testbed_add_bus_node(m->tb, i);
	if (is_ours(m))
		add_mount(m->tb);
	else
		add_stack(m->tb);
	add_modules(m);
	m->proc = testbed_path(m->tb, "proc");
	testbed_mkdir(m->tb, "rules");
	m->rules = testbed_path(m->tb, "rules");
	testbed_mkdir(m->tb, "run");
	m->run = testbed_path(m->tb, "run");
	kernel.tb = m->tb;
	if (!kernel.frozen)
		kernel.frozen = mmap(NULL, sizeof(*kernel.frozen), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(kernel.frozen != MAP_FAILED);
	syscall_hook = is_frozen_or_fails;
	return m;
}

/* The one that is there, if it is as @call needs it; NULL: no more is needed. */
struct machine *machine_for(const struct call *call)
{
	static struct machine *machine;

	calling = false;
	if (machine && (!call || strcmp(machine->fixture, call->fixture) != 0)) {
		machine_free(machine);
		machine = NULL;
	}
	if (call && !machine)
		machine = machine_new(call);
	if (machine)
		machine->call = call;
	return machine;
}

static void note_message(void *userdata, int priority, const char *message)
{
	struct machine *m = userdata;

	(void)message;
	m->logged |= priority <= LOG_INFO;
}

/* The guard of a try that failed ends when it hears nothing of its caller any more. */
static void wait_for_guard(const struct machine *m)
{
	char *path = testbed_path(m->tb, "dev/ndctl0");
	struct virtpmem_region region = { .id = 0 };
	int fd = __real_open64(path, O_RDWR | O_CLOEXEC, 0), n;

	assert_true(fd >= 0);
	for (n = 0; vp_region_guard(&region, fd) && n < GUARD_SECONDS * 1000; n++)
		usleep(1000);
	close(fd);
	free(path);
	if (n == GUARD_SECONDS * 1000)
		fail_msg("the guard has not ended");
}

bool machine_logged(const struct machine *m)
{
	return m->logged;
}

static int count_fds(void)
{
	DIR *dir = __real_opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int machine_try(struct machine *m, bool (*wish)(const char *name))
{
	struct virtpmem_ctx *ctx;
	int fds = count_fds(), r;

	assert_int_equal(virtpmem_new(&ctx), 0);
	virtpmem_set_log_fn(ctx, note_message, m);
	virtpmem_set_log_priority(ctx, LOG_DEBUG);
	ctx->proc = m->proc;
	ctx->rules = m->rules;
	ctx->run = m->run;
	ctx->modules = m->modules;
	assert_int_equal(virtpmem_scan(ctx), is_ours(m) ? 5 : 6);
	m->logged = false;
	call_fails = wish;
	calling = true;
	r = m->call->call(ctx, ctx->regions);
	calling = false;
	virtpmem_unref(ctx);
	assert_int_equal(count_fds(), fds);
	wait_for_guard(m);
	return r;
}
