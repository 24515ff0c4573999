// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What changes a region, on recorded trees: what is refused, what is planned,
 * and that a dry run and the real one take the same way. That it works on a
 * kernel is for the tests in guests.
 *
 * The lock, the flush, and whether a device can be claimed are this file's own.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "act.h"

#define STATE		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STATE)
#define REASON		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON)
#define RECOVER		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_RECOVER)

static struct {
	struct testbed *tb;
	char *proc;
	int lock;		/* an errno that locking fails with */
	int flush;		/* an errno that flushing fails with */
	int disable, enable, load;	/* what these return */
	int (*on_load)(void);
	unsigned int locks, flushes, disabled, enabled, loaded, claims;
	/* What opening a device exclusively does the nth time; NULL: as umockdev has it. */
	int (*claim)(unsigned int n, dev_t *devno);
	/* What the root, and that of process 1, lies on; a type of 0: it cannot be told. */
	struct root {
		dev_t devno;
		long type;
	} root, init_root;
} machine;

/* NULL: it is neither. */
static const struct root *root_at(const char *path)
{
	if (!strcmp(path, "/"))
		return &machine.root;
	return machine.proc && !strncmp(path, machine.proc, strlen(machine.proc)) &&
	       !strcmp(path + strlen(machine.proc), "/1/root") ? &machine.init_root : NULL;
}

int __real_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st);
int __real_statfs64(const char *path, struct statfs *st);
int __wrap_statfs64(const char *path, struct statfs *st);

int __wrap_stat64(const char *path, struct stat *st)
{
	const struct root *root = root_at(path);
	int r = __real_stat64(path, st);

	if (root)
		st->st_dev = root->devno;
	return r;
}

int __wrap_statfs64(const char *path, struct statfs *st)
{
	const struct root *root = root_at(path);
	int r = __real_statfs64(path, st);

	if (root)
		st->f_type = root->type;
	errno = EACCES;
	return root && !root->type ? -1 : r;
}

int __real_vp_open_node(const char *name, mode_t type, int flags, dev_t *devno);
int __wrap_vp_open_node(const char *name, mode_t type, int flags, dev_t *devno);

int __wrap_vp_open_node(const char *name, mode_t type, int flags, dev_t *devno)
{
	int fd = __real_vp_open_node(name, type, flags, devno), r;

	if (fd < 0 || !(flags & O_EXCL) || !machine.claim)
		return fd;
	r = machine.claim(machine.claims++, devno);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

int __wrap_vp_ndctl_disable(const struct virtpmem_region *region);
int __wrap_vp_ndctl_enable(const struct virtpmem_region *region);
int __wrap_vp_module_load(struct virtpmem_ctx *ctx, const char *alias);

int __wrap_vp_ndctl_disable(const struct virtpmem_region *region)
{
	(void)region;
	machine.disabled++;
	return machine.disable;
}

int __wrap_vp_ndctl_enable(const struct virtpmem_region *region)
{
	(void)region;
	machine.enabled++;
	return machine.enable;
}

int __wrap_vp_module_load(struct virtpmem_ctx *ctx, const char *alias)
{
	(void)ctx;
	assert_string_equal(alias, "virtio_pmem");
	machine.loaded++;
	return machine.on_load ? machine.on_load() : machine.load;
}

int __wrap_vp_region_lock(struct virtpmem_region *region);
int __wrap_vp_act_flush(struct virtpmem_region *region, unsigned int timeout_ms);

int __wrap_vp_region_lock(struct virtpmem_region *region)
{
	(void)region;
	machine.locks++;
	return machine.lock ? -machine.lock : open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

int __wrap_vp_act_flush(struct virtpmem_region *region, unsigned int timeout_ms)
{
	(void)region;
	(void)timeout_ms;
	machine.flushes++;
	/* By now the driver of a real machine has recovered. */
	if (!machine.flush)
		testbed_write(machine.tb, STATE, "active\n");
	return -machine.flush;
}

static int setup(void **state)
{
	memset(&machine, 0, sizeof(machine));
	machine.root.devno = makedev(8, 1);
	machine.root.type = EXT4_SUPER_MAGIC;
	machine.init_root = machine.root;
	machine.tb = testbed_new(*state);
	testbed_add_proc(machine.tb);
	machine.proc = testbed_path(machine.tb, "proc");
	testbed_ctx(machine.tb)->proc = machine.proc;
	*state = machine.tb;
	return 0;
}

static int teardown(void **state)
{
	testbed_teardown(state);
	free(machine.proc);
	return 0;
}

static void set_broken(const char *reason)
{
	testbed_write(machine.tb, RECOVER, "\n");
	testbed_write(machine.tb, STATE, "broken\n");
	testbed_write(machine.tb, REASON, reason);
}

/* Each step as "kind result", with commas between the steps; warnings are left out. */
static void expect_plan(struct virtpmem_plan *plan, const char *expected)
{
	struct virtpmem_step *step;
	char text[512] = "";

	assert_non_null(plan);
	virtpmem_step_foreach(plan, step) {
		if (virtpmem_step_get_kind(step) == VIRTPMEM_STEP_WARN)
			continue;
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s",
			 *text ? ", " : "", virtpmem_step_kind_name(virtpmem_step_get_kind(step)),
			 virtpmem_step_result_name(virtpmem_step_get_result(step)));
	}
	assert_string_equal(text, expected);
}

static bool warns(struct virtpmem_plan *plan, const char *object)
{
	struct virtpmem_step *step;

	virtpmem_step_foreach(plan, step)
		if (virtpmem_step_get_kind(step) == VIRTPMEM_STEP_WARN &&
		    !strcmp(virtpmem_step_get_object(step), object))
			return true;
	return false;
}

static void expect_file(const char *path, const char *text)
{
	char *content = testbed_read(machine.tb, path);

	assert_string_equal(content, text);
	free(content);
}

/* ------------------------------------------------------------- recover */

static void host_error_is_recovered_only_if_the_loss_is_accepted(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	set_broken("host-error\n");
	testbed_set_mounts(*state, "30 1 259:1 / /data rw - ext4 /dev/pmem0 rw\n");
	assert_int_equal(virtpmem_region_recover(testbed_region(*state, "region0"), 0, &plan),
			 -ENOTRECOVERABLE);
	expect_plan(plan, "check failed, recover not_done, flush not_done, verify not_done");
	assert_true(warns(plan, "/data"));
	assert_int_equal(machine.flushes, 0);
	expect_file(RECOVER, "\n");
}

static void accepted_loss_is_recovered_and_named(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	set_broken("host-error\n");
	testbed_set_mounts(*state, "30 1 259:1 / /data rw - ext4 /dev/pmem0 rw\n");
	assert_int_equal(virtpmem_region_recover(testbed_region(*state, "region0"),
						 VIRTPMEM_ACCEPT_DATA_LOSS, &plan), 0);
	expect_plan(plan, "recover done, flush done, verify done");
	assert_true(warns(plan, "/data"));
	expect_file(RECOVER, "1\n");
	assert_int_equal(machine.locks, 1);
}

static void dry_recover_changes_nothing(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	set_broken("needs-reset\n");
	assert_int_equal(virtpmem_region_recover(testbed_region(*state, "region0"),
						 VIRTPMEM_DRY_RUN, &plan), 0);
	expect_plan(plan, "recover planned, flush planned, verify planned");
	assert_int_equal(machine.flushes, 0);
	expect_file(RECOVER, "\n");
}

static void host_that_fails_again_is_told(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	set_broken("needs-reset\n");
	machine.flush = EIO;
	assert_int_equal(virtpmem_region_recover(testbed_region(*state, "region0"), 0, &plan),
			 -EIO);
	expect_plan(plan, "recover done, flush failed, verify not_done");
}

static void region_that_works_is_left_alone(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_write(*state, RECOVER, "\n");
	assert_int_equal(virtpmem_region_recover(testbed_region(*state, "region0"), 0, &plan), 0);
	expect_plan(plan, "recover not_needed");
	expect_file(RECOVER, "\n");
}

static void without_a_plan_there_is_no_output(void **state)
{
	struct virtpmem_plan *plan = NULL;
	struct virtpmem_region *region = testbed_region(*state, "region0");

	assert_int_equal(virtpmem_region_recover(region, VIRTPMEM_FORCE, &plan), -EINVAL);
	machine.lock = EBUSY;
	assert_int_equal(virtpmem_region_recover(region, 0, &plan), -EBUSY);
	assert_null(plan);
	machine.lock = 0;
	assert_int_equal(virtpmem_region_recover(region, 0, NULL), 0);
}

static void recover_of_another_driver_is_not_supported(void **state)
{
	struct virtpmem_plan *plan = NULL;

	assert_int_equal(virtpmem_region_recover(testbed_region(*state, "region0"), 0, &plan),
			 -EOPNOTSUPP);
	assert_null(plan);
	assert_int_equal(machine.locks, 0);
}

/* -------------------------------------------------------------- remove */

#define UNBIND		"sys/bus/virtio/drivers/virtio_pmem/unbind"
#define MOUNTED		"30 1 259:1 / /data rw - ext4 /dev/pmem0 rw\n"
#define PMEM0		0x10301		/* 259:1, as the kernel has it */

static int remove_it(unsigned int flags, struct virtpmem_plan **plan)
{
	return virtpmem_region_remove(testbed_region(machine.tb, "region0"), 0, flags, plan);
}

static void expect_untouched(void)
{
	assert_int_equal(machine.flushes, 0);
	assert_int_equal(machine.disabled, 0);
}

static void d5_dry_remove_plans_and_does_nothing(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	assert_int_equal(remove_it(VIRTPMEM_DRY_RUN, &plan), 0);
	expect_plan(plan, "flush planned, disable planned, unbind planned, verify planned");
	expect_untouched();
}

static void d5_region_in_use_is_not_removed(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_set_mounts(*state, MOUNTED "31 1 259:1 / /again rw - ext4 /dev/pmem0 rw\n");
	assert_int_equal(remove_it(0, &plan), -EBUSY);
	expect_plan(plan, "check failed, check failed, flush not_done, disable not_done, "
		    "unbind not_done, verify not_done");
	expect_untouched();
}

static void d5_force_says_what_it_breaks(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_set_mounts(*state, MOUNTED);
	assert_int_equal(remove_it(VIRTPMEM_DRY_RUN | VIRTPMEM_FORCE, &plan), 0);
	expect_plan(plan, "flush planned, disable planned, unbind planned, verify planned");
	assert_true(warns(plan, "/data"));
}

static void d5_force_does_not_cover_swap_and_root(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_set_mounts(*state, "30 1 259:1 / / rw - ext4 /dev/pmem0 rw\n");
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EBUSY);
	expect_plan(plan, "check failed, flush not_done, disable not_done, unbind not_done, "
		    "verify not_done");
	virtpmem_plan_unref(plan);
	testbed_set_mounts(*state, "");
	testbed_write(*state, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
		      "/dev/pmem0 partition 1024 0 -2\n");
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EBUSY);
	virtpmem_plan_unref(plan);
	expect_untouched();
}

static void d5_quiesced_region_is_not_removed(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_write(*state, STATE, "quiesced\n");
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EBUSY);
	expect_untouched();
}

static void u1_flush_that_fails_ends_a_remove(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_write(*state, UNBIND, "");
	machine.flush = EIO;
	assert_int_equal(remove_it(0, &plan), -EIO);
	expect_plan(plan, "flush failed, disable not_done, unbind not_done, verify not_done");
	virtpmem_plan_unref(plan);
	assert_int_equal(machine.disabled, 0);
	/* With force it goes on. Here nothing listens to "unbind", and the region stays. */
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EBUSY);
	expect_plan(plan, "flush failed, disable undone, unbind done, verify failed");
	virtpmem_plan_unref(plan);
	expect_file(UNBIND, "virtio0\n");
}

static void what_was_disabled_is_enabled_again(void **state)
{
	struct virtpmem_plan *plan = NULL;

	(void)state;
	/* The driver has no "unbind" here. */
	assert_int_equal(remove_it(0, &plan), -EOPNOTSUPP);
	expect_plan(plan, "flush done, disable undone, unbind failed, verify not_done");
	virtpmem_plan_unref(plan);
	assert_int_equal(machine.enabled, 1);
	machine.enable = -ENXIO;
	assert_int_equal(remove_it(0, &plan), -EOPNOTSUPP);
	expect_plan(plan, "flush done, disable done, unbind failed, verify not_done");
	assert_true(testbed_logged(*state, "cannot take back"));
	virtpmem_plan_unref(plan);
}

static void region_that_cannot_be_disabled_stays(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	machine.disable = -EBUSY;
	assert_int_equal(remove_it(0, &plan), -EBUSY);
	expect_plan(plan, "flush done, disable failed, unbind not_done, verify not_done");
	assert_int_equal(machine.enabled, 0);
}

static void device_with_other_regions_keeps_its_driver(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	assert_int_equal(virtpmem_region_remove(testbed_region(*state, "region4"), 0,
						VIRTPMEM_DRY_RUN, &plan), 0);
	/* e820: nor does the kernel know how to flush it. */
	expect_plan(plan, "disable planned, verify planned");
	assert_true(warns(plan, "region4"));
}

/* Looked at in turn: the claim of a remove, and that of looking for holders. */
static int claim_of_somebody_short(unsigned int n, dev_t *devno)
{
	(void)devno;
	return n ? 0 : -EBUSY;
}

static int claim_of_somebody_unseen(unsigned int n, dev_t *devno)
{
	(void)n;
	(void)devno;
	return -EBUSY;
}

static int claim_that_comes_and_goes(unsigned int n, dev_t *devno)
{
	(void)devno;
	return n % 2 ? 0 : -EBUSY;
}

static int claim_of_another_device(unsigned int n, dev_t *devno)
{
	(void)n;
	*devno = 0;
	return 0;
}

static int claim_that_is_not_allowed(unsigned int n, dev_t *devno)
{
	(void)n;
	(void)devno;
	return -EPERM;
}

static void d5_who_lets_go_meanwhile_is_not_in_the_way(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	machine.claim = claim_of_somebody_short;
	assert_int_equal(remove_it(VIRTPMEM_DRY_RUN, &plan), 0);
	expect_plan(plan, "flush planned, disable planned, unbind planned, verify planned");
}

static void d5_claim_without_a_trace_is_in_the_way(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	machine.claim = claim_of_somebody_unseen;
	assert_int_equal(remove_it(VIRTPMEM_DRY_RUN, &plan), -EBUSY);
	expect_plan(plan, "check failed, flush not_done, disable not_done, unbind not_done, "
		    "verify not_done");
	expect_untouched();
}

static void d5_claim_that_is_never_got_nor_seen_is_busy(void **state)
{
	struct virtpmem_plan *plan = NULL;

	(void)state;
	machine.claim = claim_that_comes_and_goes;
	assert_int_equal(remove_it(VIRTPMEM_DRY_RUN, &plan), -EBUSY);
	assert_null(plan);
	expect_untouched();
}

static void d5_device_that_cannot_be_claimed_ends_a_remove(void **state)
{
	struct virtpmem_plan *plan = NULL;

	machine.claim = claim_of_another_device;
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -ESTALE);
	assert_true(testbed_logged(*state, "is not the block device of"));
	machine.claim = claim_that_is_not_allowed;
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EACCES);
	assert_null(plan);
	expect_untouched();
}

static void d5_what_cannot_be_seen_is_not_forced(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_write(*state, "proc/1/maps", "banana\n");
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EACCES);
	expect_untouched();
}

static void d5_memory_and_the_root_of_init_are_not_forced(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, "region2/dax2.0/dax2.0/driver");
	testbed_symlink(*state, "../../../../../../../../bus/dax/drivers/kmem",
			"region2/dax2.0/dax2.0/driver");
	assert_int_equal(virtpmem_region_remove(testbed_region(*state, "region2"), 0,
						VIRTPMEM_FORCE, &plan), -EBUSY);
	virtpmem_plan_unref(plan);
	machine.init_root.devno = PMEM0;
	testbed_set_mounts(*state, MOUNTED);
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EBUSY);
	virtpmem_plan_unref(plan);
	expect_untouched();
}

/* btrfs has numbers that nothing else tells. */
static void d5_root_of_init_without_a_device_is_not_forced(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, "proc/1/ns/mnt");
	testbed_symlink(*state, "mnt:[2]", "proc/1/ns/mnt");
	testbed_write(*state, "proc/1/mountinfo", "30 1 0:37 / / rw - btrfs /dev/pmem0 rw\n");
	assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EBUSY);
	virtpmem_plan_unref(plan);
	expect_untouched();
}

/* Its lower and upper directories are paths that may lead elsewhere by now. */
static void d5_mount_that_an_overlay_root_may_lie_on_is_not_forced(void **state)
{
	static const struct root overlay = { .devno = 25, .type = OVERLAYFS_SUPER_MAGIC };
	struct root *const roots[] = { &machine.root, &machine.init_root };
	struct virtpmem_plan *plan = NULL;
	size_t i;

	testbed_set_mounts(*state, MOUNTED);
	for (i = 0; i < ARRAY_SIZE(roots); i++) {
		const struct root before = *roots[i];

		*roots[i] = overlay;
		assert_int_equal(remove_it(VIRTPMEM_FORCE, &plan), -EBUSY);
		virtpmem_plan_unref(plan);
		*roots[i] = before;
	}
	expect_untouched();
	machine.root = (struct root) { .devno = 25, .type = BTRFS_SUPER_MAGIC };
	assert_int_equal(remove_it(VIRTPMEM_FORCE | VIRTPMEM_DRY_RUN, &plan), 0);
	virtpmem_plan_unref(plan);
}

/* One is forced only if the root is known to lie elsewhere, and it is said what it may be. */
static void d5_unknown_holder_that_may_be_the_root_is_not_forced(void **state)
{
	static const struct {
		struct root root;
		int result;
	} table[] = {
		{ { 0, 0 }, -EBUSY },
		{ { 25, OVERLAYFS_SUPER_MAGIC }, -EBUSY }, { { 25, BTRFS_SUPER_MAGIC }, -EBUSY },
		{ { 25, TMPFS_MAGIC }, 0 }, { { 25, RAMFS_MAGIC }, 0 },
		{ { PMEM0, EXT4_SUPER_MAGIC }, -EBUSY }, { { 0x801, EXT4_SUPER_MAGIC }, 0 },
	};
	const unsigned int flags = VIRTPMEM_FORCE | VIRTPMEM_DRY_RUN;
	size_t i;

	(void)state;
	machine.claim = claim_of_somebody_unseen;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL, *again = NULL;
		const struct root before = machine.root;

		machine.root = table[i].root;
		assert_int_equal(remove_it(flags, &plan), table[i].result);
		assert_int_equal(warns(plan, "pmem0"), !table[i].result);
		machine.root = before;
		machine.init_root = table[i].root;
		assert_int_equal(remove_it(flags, &again), table[i].result);
		machine.init_root = before;
	}
}

static void warning_of_an_unknown_holder_says_what_it_may_be(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	struct virtpmem_step *step;
	unsigned int found = 0;

	(void)state;
	machine.claim = claim_of_somebody_unseen;
	assert_int_equal(remove_it(VIRTPMEM_FORCE | VIRTPMEM_DRY_RUN, &plan), 0);
	virtpmem_step_foreach(plan, step) {
		const char *text = virtpmem_step_get_text(step);

		found += strstr(text, "unmounted lazily") && strstr(text, "frozen") &&
			 strstr(text, "overlay") && strstr(text, "namespace");
	}
	assert_int_equal(found, 1);
}

static void broken_region_is_removed_by_force_without_a_flush(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	set_broken("host-error\n");
	assert_int_equal(remove_it(VIRTPMEM_FORCE | VIRTPMEM_DRY_RUN, &plan), 0);
	expect_plan(plan, "disable planned, unbind planned, verify planned");
	assert_true(warns(plan, "region0"));
}

static void broken_region_is_not_removed_without_force(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	set_broken("host-error\n");
	assert_int_equal(remove_it(VIRTPMEM_DRY_RUN, &plan), -EIO);
	expect_plan(plan, "check failed, flush not_done, disable not_done, unbind not_done, "
		    "verify not_done");
}

static void unknown_flag_of_remove_is_invalid(void **state)
{
	struct virtpmem_plan *plan = NULL;

	(void)state;
	assert_int_equal(remove_it(VIRTPMEM_QUIESCE, &plan), -EINVAL);
	assert_null(plan);
}

/* ----------------------------------------------------------------- add */

#define PATH		"pci-0000:00:04.0"

static int add_it(const char *path, const char *driver, unsigned int flags,
		  struct virtpmem_plan **plan, struct virtpmem_region **region)
{
	return virtpmem_add(testbed_ctx(machine.tb), path, driver, flags, plan, region);
}

static void what_is_there_need_not_be_added(void **state)
{
	_cleanup_virtpmem_region_unref_ struct virtpmem_region *region = NULL;
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	machine.enable = 1;
	assert_int_equal(add_it(PATH, NULL, 0, &plan, &region), 0);
	expect_plan(plan, "load not_needed, bind not_needed, enable not_needed, verify done");
	assert_string_equal(virtpmem_region_get_devname(region), "region0");
	assert_null(virtpmem_region_get_next(region));
	assert_int_equal(machine.loaded, 0);
}

/* Its region's path is that of the device it is on. */
static void virtio_device_can_be_named_by_itself(void **state)
{
	_cleanup_virtpmem_region_unref_ struct virtpmem_region *region = NULL;
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	machine.enable = 1;
	assert_int_equal(add_it("virtio-virtio0", NULL, 0, &plan, &region), 0);
	expect_plan(plan, "load not_needed, bind not_needed, enable not_needed, verify done");
	assert_string_equal(virtpmem_region_get_path(region), PATH);
}

static void unbound_device_is_bound(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	struct virtpmem_region *region = NULL;

	testbed_remove(*state, "sys/devices/pci0000:00/0000:00:04.0/virtio0/driver");
	testbed_write(*state, "sys/bus/virtio/drivers/virtio_pmem/bind", "");
	testbed_remove_region(*state, "region0");
	assert_int_equal(add_it(PATH, NULL, VIRTPMEM_DRY_RUN, NULL, &region), 0);
	/* Nothing listens to "bind" here: there will be no region. */
	assert_int_equal(add_it(PATH, NULL, 0, &plan, &region), -ENXIO);
	expect_plan(plan, "load not_needed, bind done, enable failed, verify not_done");
	expect_file("sys/bus/virtio/drivers/virtio_pmem/bind", "virtio0");
	assert_null(region);
}

static void driver_that_is_not_there_is_loaded(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, "sys/devices/pci0000:00/0000:00:04.0/virtio0/driver");
	testbed_remove(*state, "sys/bus/virtio/drivers/virtio_pmem");
	machine.load = -ENOENT;
	assert_int_equal(add_it(PATH, NULL, 0, &plan, NULL), -ENOENT);
	expect_plan(plan, "load failed, bind not_done, enable not_done, verify not_done");
	assert_int_equal(machine.loaded, 1);
}

static void device_of_another_driver_is_left_alone(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	assert_int_equal(add_it(PATH, "vfio", 0, &plan, NULL), -EBUSY);
	expect_plan(plan, "check failed, enable not_done, verify not_done");
}

/* It used to be planned, and then had "its driver, but got no region". */
static void device_that_is_not_virtio_and_has_no_driver_is_refused(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *dry = NULL, *plan = NULL;

	testbed_mkdir(*state, "sys/bus/pci/devices/0000:00:00.0");
	assert_int_equal(add_it("pci-0000:00:00.0", NULL, VIRTPMEM_DRY_RUN, &dry, NULL), -EOPNOTSUPP);
	assert_int_equal(add_it("pci-0000:00:00.0", NULL, 0, &plan, NULL), -EOPNOTSUPP);
	expect_plan(plan, "check failed, enable not_done, verify not_done");
}

static void device_that_is_not_virtio_and_has_a_driver_is_looked_at(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_mkdir(*state, "sys/bus/pci/devices/0000:00:00.0");
	testbed_symlink(*state, "../../drivers/another", "sys/bus/pci/devices/0000:00:00.0/driver");
	assert_int_equal(add_it("pci-0000:00:00.0", NULL, 0, &plan, NULL), -ENXIO);
	expect_plan(plan, "enable failed, verify not_done");
}

static void u2_paths_and_drivers_that_cannot_be(void **state)
{
	static const struct {
		const char *path, *driver;
		int error;
	} bad[] = {
		{ "", NULL, -EINVAL },
		{ "region0", NULL, -EINVAL },
		{ "pci-", NULL, -EINVAL },
		{ "-0000:00:04.0", NULL, -EINVAL },
		{ "pci-../../x", NULL, -EINVAL },
		{ "pci-0000:00:1f.7", NULL, -ENXIO },
		{ "nowhere-x", NULL, -ENXIO },
		{ PATH, "", -EINVAL },
		{ PATH, "../x", -EINVAL },
	};
	struct virtpmem_plan *plan = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(add_it(bad[i].path, bad[i].driver, 0, &plan, NULL), bad[i].error);
	assert_int_equal(add_it(PATH, NULL, VIRTPMEM_FORCE, &plan, NULL), -EINVAL);
	assert_null(plan);
}

#define DRIVER		"sys/bus/virtio/drivers/virtio_pmem"

/* As the kernel does once the driver is there. */
static int load_driver(void)
{
	testbed_mkdir(machine.tb, DRIVER);
	testbed_write(machine.tb, DRIVER "/bind", "");
	return 0;
}

static void driver_that_was_loaded_is_bound(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, "sys/devices/pci0000:00/0000:00:04.0/virtio0/driver");
	testbed_remove(*state, DRIVER);
	assert_int_equal(add_it(PATH, NULL, 0, &plan, NULL), -ENOENT);
	virtpmem_plan_unref(plan);
	machine.on_load = load_driver;
	machine.enable = 1;
	assert_int_equal(add_it(PATH, "virtio_pmem", 0, &plan, NULL), 0);
	expect_plan(plan, "load done, bind done, enable not_needed, verify done");
}

static void driver_that_may_not_be_loaded_is_eacces(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, DRIVER);
	machine.load = -EPERM;
	assert_int_equal(add_it(PATH, NULL, 0, &plan, NULL), -EACCES);
	virtpmem_plan_unref(plan);
}

static void driver_that_may_not_be_bound_is_eacces(void **state)
{
	struct virtpmem_plan *plan = NULL;

	if (geteuid())
		skip();
	testbed_remove(*state, "sys/devices/pci0000:00/0000:00:04.0/virtio0/driver");
	testbed_write(*state, DRIVER "/bind", "");
	testbed_chmod(*state, DRIVER "/bind", 0444);
	testbed_drop_root();
	assert_int_equal(add_it(PATH, NULL, 0, &plan, NULL), -EACCES);
	expect_plan(plan, "load not_needed, bind failed, enable not_done, verify not_done");
	virtpmem_plan_unref(plan);
}

/* While the driver is loaded it takes the device, or another driver does. */
static int load_another(void)
{
	testbed_symlink(machine.tb, "../../../../bus/virtio/drivers/another",
			"sys/devices/pci0000:00/0000:00:04.0/virtio0/driver");
	return load_driver();
}

static void device_that_another_driver_takes_meanwhile_is_busy(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, "sys/devices/pci0000:00/0000:00:04.0/virtio0/driver");
	testbed_remove(*state, DRIVER);
	machine.on_load = load_another;
	assert_int_equal(add_it(PATH, NULL, 0, &plan, NULL), -EBUSY);
	expect_plan(plan, "load done, bind failed, enable not_done, verify not_done");
	virtpmem_plan_unref(plan);
}

static void region_that_is_down_in_the_end_is_told(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, "region0/driver");
	assert_int_equal(add_it(PATH, NULL, 0, &plan, NULL), -ENXIO);
	expect_plan(plan, "load not_needed, bind not_needed, enable done, verify failed");
	virtpmem_plan_unref(plan);
}

/* e820 has no device to bind; an NFIT's has many regions. */
static void device_that_is_not_virtio_keeps_its_driver(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	(void)state;
	assert_int_equal(add_it("platform-e820_pmem", NULL, 0, &plan, NULL), 0);
	expect_plan(plan, "enable done, verify done");
}

/* -------------------------------------------------------------- freeze */

static int freeze_it(unsigned int flags, struct virtpmem_plan **plan)
{
	struct virtpmem_freeze *freeze = NULL;
	int r = virtpmem_region_freeze(testbed_region(machine.tb, "region0"), 0, flags, plan,
				       &freeze);

	assert_null(freeze);
	return r;
}

static void file_system_that_cannot_be_reached_is_refused(void **state)
{
	struct virtpmem_plan *plan = NULL;

	testbed_set_mounts(*state, "30 1 259:1 / /no/such/place rw - ext4 /dev/pmem0 rw\n");
	assert_int_equal(freeze_it(0, &plan), -EBUSY);
	expect_plan(plan, "check failed, guard not_done, flush not_done, verify not_done");
	virtpmem_plan_unref(plan);
	assert_int_equal(freeze_it(VIRTPMEM_FORCE | VIRTPMEM_DRY_RUN, &plan), 0);
	expect_plan(plan, "guard planned, flush planned, verify planned");
	assert_true(warns(plan, "/no/such/place"));
	virtpmem_plan_unref(plan);
	assert_int_equal(machine.flushes, 0);
}

/*
 * An xfs with its data on region0 and its log on region1. Its root can be opened: it is
 * a directory of the testbed, on whatever file system that is; only dry runs, please.
 */
static void mount_on_two_regions(struct testbed *tb)
{
	char *root = testbed_path(tb, "mnt"), lines[600];
	struct stat st;

	testbed_mkdir(tb, "mnt");
	assert_int_equal(stat(root, &st), 0);
	snprintf(lines, sizeof(lines), "30 1 %u:%u / %s rw - xfs /dev/sda3 "
		 "rw,rtdev=/dev/pmem0,logdev=/dev/pmem1\n", major(st.st_dev), minor(st.st_dev),
		 root);
	testbed_set_mounts(tb, lines);
	free(root);
}

static struct virtpmem_plan *plan_freeze_of(const char *name)
{
	struct virtpmem_plan *plan = NULL;
	struct virtpmem_region *region;
	struct virtpmem_freeze *freeze;

	assert_int_equal(virtpmem_region_find(testbed_ctx(machine.tb), name, &region), 0);
	assert_int_equal(virtpmem_region_freeze(region, 0, VIRTPMEM_FORCE | VIRTPMEM_DRY_RUN,
						&plan, &freeze), 0);
	return plan;
}

static void log_on_another_region_is_warned_of(void **state)
{
	struct virtpmem_plan *plan;

	mount_on_two_regions(*state);
	testbed_region(*state, "region0");
	plan = plan_freeze_of("region0");
	assert_true(warns(plan, "region1"));
	virtpmem_plan_unref(plan);
	plan = plan_freeze_of("region1");
	assert_true(warns(plan, "region0"));
	virtpmem_plan_unref(plan);
	plan = plan_freeze_of("region2");
	assert_false(warns(plan, "region0"));
	assert_false(warns(plan, "region1"));
	virtpmem_plan_unref(plan);
}

static void file_system_of_two_regions_is_planned_once(void **state)
{
	struct virtpmem_plan *first, *second;

	mount_on_two_regions(*state);
	testbed_region(*state, "region0");
	first = plan_freeze_of("region0");
	expect_plan(first, "sync planned, guard planned, freeze planned, flush planned, "
		    "verify planned");
	second = plan_freeze_of("region1");
	expect_plan(second, "sync not_needed, guard planned, freeze not_needed, flush planned, "
		    "verify planned");
	assert_false(warns(second, "region0"));
	virtpmem_plan_unref(second);
	virtpmem_plan_unref(first);
	/* The plan that was to freeze it is forgotten. */
	second = plan_freeze_of("region1");
	expect_plan(second, "sync planned, guard planned, freeze planned, flush planned, "
		    "verify planned");
	virtpmem_plan_unref(second);
}

static void region_that_cannot_be_flushed_is_not_frozen(void **state)
{
	struct virtpmem_plan *plan = NULL;

	set_broken("host-error\n");
	assert_int_equal(freeze_it(VIRTPMEM_FORCE, &plan), -EIO);
	virtpmem_plan_unref(plan);
	testbed_write(*state, STATE, "active\n");
	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STALLED), "1\n");
	assert_int_equal(freeze_it(VIRTPMEM_FORCE, &plan), -ETIMEDOUT);
	virtpmem_plan_unref(plan);
	assert_int_equal(machine.flushes, 0);
}

static void quiesce_of_another_driver_is_not_supported(void **state)
{
	struct virtpmem_plan *plan = NULL;

	(void)state;
	assert_int_equal(freeze_it(VIRTPMEM_QUIESCE, &plan), -EOPNOTSUPP);
	assert_int_equal(freeze_it(VIRTPMEM_SAVE, &plan), -EINVAL);
	assert_null(plan);
}

static void nothing_frozen_need_not_be_thawed(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	struct virtpmem_region *region = testbed_region(*state, "region0");

	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE), "0\n");
	assert_int_equal(virtpmem_region_thaw(region, 0, &plan), 0);
	expect_plan(plan, "resume not_needed");
	assert_int_equal(virtpmem_region_thaw(region, VIRTPMEM_FORCE, NULL), -EINVAL);
}

static void quiesced_region_is_resumed(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE), "1\n");
	assert_int_equal(virtpmem_region_thaw(testbed_region(*state, "region0"), 0, &plan), 0);
	expect_plan(plan, "resume done");
	expect_file("region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE), "0\n");
}

static int claim_that_is_refused(unsigned int n, dev_t *devno)
{
	(void)n;
	(void)devno;
	return -EBUSY;
}

static int claim_that_is_refused_once(unsigned int n, dev_t *devno)
{
	(void)devno;
	return n ? 0 : -EBUSY;
}

/* It said that nothing was frozen while a file system was that had been unmounted lazily. */
static void u3_what_holds_it_unseen_may_be_frozen(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_plan *plan = NULL;

	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE), "1\n");
	machine.claim = claim_that_is_refused;
	assert_int_equal(virtpmem_region_thaw(region, VIRTPMEM_DRY_RUN, &plan), -EBUSY);
	expect_plan(plan, "resume planned, thaw failed");
	virtpmem_plan_unref(plan);
	assert_int_equal(virtpmem_region_thaw(region, 0, &plan), -EBUSY);
	expect_plan(plan, "resume done, thaw failed");
	virtpmem_plan_unref(plan);
	machine.claim = claim_that_is_refused_once;
	machine.claims = 0;
	assert_int_equal(virtpmem_region_thaw(region, 0, &plan), 0);
	expect_plan(plan, "resume not_needed, thaw not_needed");
	virtpmem_plan_unref(plan);
}

static void u3_what_thaw_cannot_see_is_warned_of(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_write(*state, "proc/1/maps", "banana\n");
	assert_int_equal(virtpmem_region_thaw(testbed_region(*state, "region0"), 0, &plan), 0);
	assert_true(warns(plan, "region0"));
}

static void names_of_consistency(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_consistency_name(VIRTPMEM_CONSISTENCY_CRASH), "crash");
	assert_string_equal(virtpmem_consistency_name(VIRTPMEM_CONSISTENCY_FILESYSTEM),
			    "filesystem");
	assert_null(virtpmem_consistency_name((enum virtpmem_consistency)9));
	assert_null(virtpmem_freeze_unref(NULL));
}

#define t(fn_, fixture_) \
	{ \
		.name = #fn_ " on " fixture_, \
		.test_func = (fn_), \
		.setup_func = setup, \
		.teardown_func = teardown, \
		.initial_state = (void *)(uintptr_t)(fixture_), \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(host_error_is_recovered_only_if_the_loss_is_accepted, "virtpmem-6.12"),
		t(accepted_loss_is_recovered_and_named, "virtpmem-6.12"),
		t(dry_recover_changes_nothing, "virtpmem-6.12"),
		t(host_that_fails_again_is_told, "virtpmem-6.12"),
		t(region_that_works_is_left_alone, "virtpmem-6.12"),
		t(without_a_plan_there_is_no_output, "virtpmem-6.12"),
		t(recover_of_another_driver_is_not_supported, "in-tree-6.12"),
		t(d5_dry_remove_plans_and_does_nothing, "virtpmem-6.12"),
		t(d5_dry_remove_plans_and_does_nothing, "in-tree-6.12"),
		t(d5_region_in_use_is_not_removed, "virtpmem-6.12"),
		t(d5_force_says_what_it_breaks, "virtpmem-6.12"),
		t(d5_force_does_not_cover_swap_and_root, "virtpmem-6.12"),
		t(d5_quiesced_region_is_not_removed, "virtpmem-6.12"),
		t(u1_flush_that_fails_ends_a_remove, "virtpmem-6.12"),
		t(what_was_disabled_is_enabled_again, "virtpmem-6.12"),
		t(region_that_cannot_be_disabled_stays, "virtpmem-6.12"),
		t(device_with_other_regions_keeps_its_driver, "virtpmem-6.12"),
		t(d5_who_lets_go_meanwhile_is_not_in_the_way, "virtpmem-6.12"),
		t(d5_claim_without_a_trace_is_in_the_way, "virtpmem-6.12"),
		t(d5_claim_that_is_never_got_nor_seen_is_busy, "virtpmem-6.12"),
		t(d5_device_that_cannot_be_claimed_ends_a_remove, "virtpmem-6.12"),
		t(d5_what_cannot_be_seen_is_not_forced, "virtpmem-6.12"),
		t(d5_memory_and_the_root_of_init_are_not_forced, "virtpmem-6.12"),
		t(d5_root_of_init_without_a_device_is_not_forced, "virtpmem-6.12"),
		t(d5_mount_that_an_overlay_root_may_lie_on_is_not_forced, "virtpmem-6.12"),
		t(d5_unknown_holder_that_may_be_the_root_is_not_forced, "virtpmem-6.12"),
		t(warning_of_an_unknown_holder_says_what_it_may_be, "virtpmem-6.12"),
		t(broken_region_is_removed_by_force_without_a_flush, "virtpmem-6.12"),
		t(broken_region_is_not_removed_without_force, "virtpmem-6.12"),
		t(unknown_flag_of_remove_is_invalid, "virtpmem-6.12"),
		t(what_is_there_need_not_be_added, "virtpmem-6.12"),
		t(driver_that_was_loaded_is_bound, "virtpmem-6.12"),
		t(driver_that_may_not_be_loaded_is_eacces, "virtpmem-6.12"),
		t(driver_that_may_not_be_bound_is_eacces, "virtpmem-6.12"),
		t(device_that_another_driver_takes_meanwhile_is_busy, "virtpmem-6.12"),
		t(region_that_is_down_in_the_end_is_told, "virtpmem-6.12"),
		t(device_that_is_not_virtio_keeps_its_driver, "virtpmem-6.12"),
		t(virtio_device_can_be_named_by_itself, "virtpmem-6.12"),
		t(unbound_device_is_bound, "virtpmem-6.12"),
		t(driver_that_is_not_there_is_loaded, "virtpmem-6.12"),
		t(device_of_another_driver_is_left_alone, "virtpmem-6.12"),
		t(device_that_is_not_virtio_and_has_no_driver_is_refused, "virtpmem-6.12"),
		t(device_that_is_not_virtio_and_has_a_driver_is_looked_at, "virtpmem-6.12"),
		t(u2_paths_and_drivers_that_cannot_be, "virtpmem-6.12"),
		t(file_system_that_cannot_be_reached_is_refused, "virtpmem-6.12"),
		t(log_on_another_region_is_warned_of, "virtpmem-6.12"),
		t(file_system_of_two_regions_is_planned_once, "virtpmem-6.12"),
		t(region_that_cannot_be_flushed_is_not_frozen, "virtpmem-6.12"),
		t(quiesce_of_another_driver_is_not_supported, "in-tree-6.12"),
		t(nothing_frozen_need_not_be_thawed, "virtpmem-6.12"),
		t(quiesced_region_is_resumed, "virtpmem-6.12"),
		t(u3_what_holds_it_unseen_may_be_frozen, "virtpmem-6.12"),
		t(u3_what_thaw_cannot_see_is_warned_of, "virtpmem-6.12"),
		cmocka_unit_test(names_of_consistency),
	};

	return cmocka_run_group_tests_name("act", tests, NULL, NULL);
}
