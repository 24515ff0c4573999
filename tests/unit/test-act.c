// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What changes a region, on recorded trees: what is refused, what is planned,
 * and that a dry run and the real one take the same way. That it works on a
 * kernel is for the tests in guests.
 *
 * The lock and the flush are this file's own.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	unsigned int locks, flushes;
} machine;

int __wrap_vp_region_lock(const struct virtpmem_region *region);
int __wrap_vp_act_flush(struct virtpmem_region *region, unsigned int timeout_ms);

int __wrap_vp_region_lock(const struct virtpmem_region *region)
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
	};

	return cmocka_run_group_tests_name("act", tests, NULL, NULL);
}
