// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * U3: with any single allocation of the library failing, a call answers
 * -ENOMEM or has its whole result: nothing is silently missing, and nothing
 * leaks (which ASan sees).
 */
#include "testbed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

/* The allocation that fails, counted from 0; -1: none. */
static int failing = -1;
static int allocations;

static bool fails(void)
{
	bool yes = allocations++ == failing;

	if (yes)
		errno = ENOMEM;
	return yes;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);
char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
int __wrap_asprintf(char **ret, const char *format, ...);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
int __real_vasprintf(char **ret, const char *format, va_list args);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

char *__wrap_realpath(const char *path, char *resolved)
{
	return fails() ? NULL : __real_realpath(path, resolved);
}

DIR *__wrap_opendir(const char *path)
{
	return fails() ? NULL : __real_opendir(path);
}

DIR *__wrap_fdopendir(int fd)
{
	return fails() ? NULL : __real_fdopendir(fd);
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
	if (fails()) {
		*ret = (char *)1;	/* undefined: must not be freed */
		return -1;
	}
	return __real_vasprintf(ret, format, args);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = __wrap_vasprintf(ret, format, args);
	va_end(args);
	return n;
}

/* ------------------------------------------------------ what is called */

/* Returns 1 if the whole result was there. */
typedef int (*call_fn)(struct virtpmem_ctx *ctx, struct virtpmem_region *region);

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
	struct virtpmem_monitor *monitor = NULL;
	struct virtpmem_event *event = NULL;
	int r, fd;

	fd = openat(region->dirfd, VIRTIO_PMEM_GROUP "/" VIRTIO_PMEM_ATTR_ERROR_POLICY,
		    O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "latch\n", 6), 6);
	r = virtpmem_monitor_new(ctx, &monitor);
	if (!r) {
		assert_int_equal(pwrite(fd, "report\n", 7, 0), 7);
		assert_int_equal(virtpmem_monitor_get_timeout(monitor, &(uint64_t){ 0 }), 0);
		r = virtpmem_monitor_process(monitor, &event);
	}
	close(fd);
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
	if (count != 4 || !virtpmem_holders_is_complete(holders))
		count = 0;
	virtpmem_holders_unref(holders);
	return count == 4;
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

/* The lock needs a node in /dev. */
int __wrap_vp_region_lock(struct virtpmem_region *region);

int __wrap_vp_region_lock(struct virtpmem_region *region)
{
	(void)region;
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
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
		print_message("%d steps, not %d\n", count, expected);
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
					 &(struct virtpmem_freeze *){ NULL }), 4)
PLAN(plan_thaw, virtpmem_region_thaw(region, VIRTPMEM_DRY_RUN, &plan), 1)
PLAN(plan_add, virtpmem_add(ctx, region->path, NULL, VIRTPMEM_DRY_RUN, &plan, NULL), 4)

static const struct subject {
	const char *name;
	const char *fixture;
	call_fn call;
} subjects[] = {
	{ "U3 scan without memory", "in-tree-6.12", scan },
	{ "U3 namespaces without memory", "in-tree-6.12", list_namespaces },
	{ "U3 find a namespace without memory", "in-tree-6.12", find_namespace },
	{ "U3 find a stacked device without memory", "in-tree-6.12", find_stacked },
	{ "U3 find a DAX device without memory", "in-tree-6.12", find_dax },
	{ "U3 find a node without memory", "in-tree-6.12", find_node },
	{ "U3 flush without memory", "in-tree-6.12", flush },
	{ "U3 reason without memory", "in-tree-6.12", say_why_not },
	{ "U3 text without memory", "in-tree-6.12", read_text },
	{ "U3 bad ranges without memory", "in-tree-6.12", read_bad_ranges },
	{ "U3 health without memory", "in-tree-6.12", judge },
	{ "U3 DAX map without memory", "in-tree-6.12", read_map },
	{ "U3 holders without memory", "in-tree-6.12", list_holders },
	{ "U3 statistics without memory", "virtpmem-6.12", read_statistics },
	{ "U3 monitor without memory", "virtpmem-6.12", watch },
	{ "U3 settings without memory", "virtpmem-6.12", plan_setting },
	{ "U3 recover without memory", "virtpmem-6.12", plan_recover },
	{ "U3 remove without memory", "in-tree-6.12", plan_remove },
	{ "U3 freeze without memory", "in-tree-6.12", plan_freeze },
	{ "U3 thaw without memory", "in-tree-6.12", plan_thaw },
	{ "U3 add without memory", "virtpmem-6.12", plan_add },
};

static void ignore_message(void *userdata, int priority, const char *message)
{
	(void)userdata;
	(void)priority;
	(void)message;
}

/* Holders of region4: dm-0 and dm-1 on it, a swap space, and a mount that is seen twice. */
static void add_users(struct testbed *tb)
{
	testbed_add_proc(tb);
	testbed_add_process(tb, "55", "mnt:[2]");
	testbed_write(tb, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
		      "/dev/pmem4p2 partition\t100\t0\t-2\n");
	testbed_write(tb, "region2/badblocks", "8192 8\n");
	testbed_write(tb, "proc/55/mountinfo",
		      "8 1 259:1 / /x rw - ext4 /dev/pmem0 rw\n"
		      "9 1 259:4 / /a rw - xfs /dev/pmem4 rw,logdev=/dev/pmem0\n"
		      "9 1 259:4 / /a rw - xfs /dev/pmem4 rw,logdev=/dev/pmem0\n");
}

static void check(void **state)
{
	const struct subject *subject = *state;
	struct testbed *tb = testbed_new(subject->fixture);
	char *proc = testbed_path(tb, "proc");
	struct virtpmem_ctx *ctx;
	int i, r = -1;

	add_users(tb);

	for (i = 0; i < 10000 && r != 1; i++) {
		assert_int_equal(virtpmem_new(&ctx), 0);
		virtpmem_set_log_fn(ctx, ignore_message, NULL);
		virtpmem_set_log_priority(ctx, LOG_DEBUG);
		ctx->proc = proc;
		assert_int_equal(strcmp(subject->fixture, "virtpmem-6.12") ? 6 : 5,
				 virtpmem_scan(ctx));

		allocations = 0;
		failing = i;
		r = subject->call(ctx, ctx->regions);
		failing = -1;
		virtpmem_unref(ctx);

		/* A log message may be lost; then the call goes on. */
		if (r == 1 && allocations > i)
			r = -ENOMEM;
		if (r != 1 && r != -ENOMEM)
			fail_msg("with allocation %d failing: returned %d", i, r);
	}
	assert_int_equal(r, 1);
	assert_true(i > 1);
	free(proc);
	testbed_free(tb);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(subjects)];
	size_t i;

	memset(tests, 0, sizeof(tests));
	for (i = 0; i < ARRAY_SIZE(subjects); i++) {
		tests[i].name = subjects[i].name;
		tests[i].test_func = check;
		tests[i].initial_state = (void *)(uintptr_t)&subjects[i];
	}
	return cmocka_run_group_tests_name("U3 memory", tests, NULL, NULL);
}
