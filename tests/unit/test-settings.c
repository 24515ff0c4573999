// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Settings: what is taken, what is written, and what is kept in udev's rules.
 * A plan says the same whether it was carried out or not.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

#define POLICY	"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY)
#define STALL	"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STALL_TIMEOUT_MS)
#define RULES	"rules/65-virtpmem-pci-0000:00:04.0.rules"

/* The recordings are from before the driver had these files. */
static struct virtpmem_region *region_of(struct testbed *tb)
{
	struct virtpmem_region *region;

	testbed_mkdir(tb, "rules");
	testbed_write(tb, STALL, "30000\n");
	region = testbed_region(tb, "region0");
	region->ctx->rules = testbed_path(tb, "rules");
	return region;
}

static void done(struct virtpmem_region *region)
{
	free((char *)(uintptr_t)region->ctx->rules);
	region->ctx->rules = "/nowhere";
}

static void expect_file(struct testbed *tb, const char *path, const char *text)
{
	char *content = testbed_read(tb, path);

	assert_string_equal(content, text);
	free(content);
}

/* Each step as "kind object result", with one space between the steps. */
static void expect_plan(struct virtpmem_plan *plan, const char *expected)
{
	struct virtpmem_step *step;
	char text[512] = "";

	assert_non_null(plan);
	virtpmem_step_foreach(plan, step) {
		assert_non_null(virtpmem_step_get_text(step));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s %s",
			 *text ? ", " : "", virtpmem_step_kind_name(virtpmem_step_get_kind(step)),
			 virtpmem_step_get_object(step),
			 virtpmem_step_result_name(virtpmem_step_get_result(step)));
	}
	assert_string_equal(text, expected);
	virtpmem_plan_unref(plan);
}

/* --------------------------------------------------------------- tests */

static void setting_is_written_and_read(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;
	char *value;

	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", 0, &plan), 0);
	expect_plan(plan, "set error_policy done");
	assert_int_equal(virtpmem_region_get_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     &value), 0);
	assert_string_equal(value, "report");
	free(value);
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_STALL_TIMEOUT_MS,
						     "1000", 0, NULL), 0);
	expect_file(*state, STALL, "1000\n");
	done(region);
}

static void bad_values_change_nothing(void **state)
{
	static const struct {
		enum virtpmem_setting setting;
		const char *value;
	} bad[] = {
		{ VIRTPMEM_SETTING_ERROR_POLICY, "" },
		{ VIRTPMEM_SETTING_ERROR_POLICY, "latc" },
		{ VIRTPMEM_SETTING_ERROR_POLICY, "latch\n" },
		{ VIRTPMEM_SETTING_ERROR_POLICY, "report\", RUN+=\"x" },
		{ VIRTPMEM_SETTING_STALL_TIMEOUT_MS, "999" },
		{ VIRTPMEM_SETTING_STALL_TIMEOUT_MS, "600001" },
		{ VIRTPMEM_SETTING_STALL_TIMEOUT_MS, "1e4" },
		{ VIRTPMEM_SETTING_QUIESCE_TIMEOUT_MS, "-1000" },
		{ VIRTPMEM_SETTING_COUNT, "1000" },
		{ VIRTPMEM_SETTING_ERROR_POLICY, NULL },
	};
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(virtpmem_region_set_setting(region, bad[i].setting, bad[i].value,
							     0, &plan), -EINVAL);
		assert_null(plan);
	}
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", VIRTPMEM_FORCE, &plan), -EINVAL);
	expect_file(*state, POLICY, "latch\n");
	expect_file(*state, STALL, "30000\n");
	done(region);
}

static void dry_run_says_the_same_and_changes_nothing(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;
	char *value = NULL;

	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", VIRTPMEM_DRY_RUN | VIRTPMEM_SAVE,
						     &plan), 0);
	expect_plan(plan, "set error_policy planned, save error_policy planned");
	expect_file(*state, POLICY, "latch\n");
	assert_int_equal(virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
							   &value), -ENODATA);
	assert_null(value);
	done(region);
}

static void saved_settings_are_a_udev_rule_by_path(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;
	struct stat st;
	char *path, *value;

	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_STALL_TIMEOUT_MS,
						     "5000", VIRTPMEM_SAVE, &plan), 0);
	expect_plan(plan, "set stall_timeout_ms done, save stall_timeout_ms done");
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", VIRTPMEM_SAVE, NULL), 0);
	expect_file(*state, RULES,
		    "# Settings of the persistent memory at pci-0000:00:04.0, written by "
		    "libvirtpmem\n"
		    "ACTION==\"add\", SUBSYSTEM==\"nd\", KERNEL==\"region*\", "
		    "KERNELS==\"0000:00:04.0\", SUBSYSTEMS==\"pci\", "
		    "ATTR{virtio_pmem/error_policy}=\"report\"\n"
		    "ACTION==\"add\", SUBSYSTEM==\"nd\", KERNEL==\"region*\", "
		    "KERNELS==\"0000:00:04.0\", SUBSYSTEMS==\"pci\", "
		    "ATTR{virtio_pmem/stall_timeout_ms}=\"5000\"\n");
	path = testbed_path(*state, RULES);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	free(path);
	assert_int_equal(virtpmem_region_get_saved_setting(region,
							   VIRTPMEM_SETTING_STALL_TIMEOUT_MS,
							   &value), 0);
	assert_string_equal(value, "5000");
	free(value);
	done(region);
}

static void forgotten_settings_leave_no_file(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;
	char *path = testbed_path(*state, RULES);

	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY, NULL,
						     VIRTPMEM_SAVE, &plan), 0);
	expect_plan(plan, "save error_policy not_needed");
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", VIRTPMEM_SAVE, NULL), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY, NULL,
						     VIRTPMEM_SAVE, &plan), 0);
	expect_plan(plan, "save error_policy done");
	assert_int_equal(access(path, F_OK), -1);
	/* The value that counts now is another matter. */
	expect_file(*state, POLICY, "report\n");
	free(path);
	done(region);
}

static void u3_saved_value_that_is_none_is_told_and_replaced(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	char *value = NULL;

	testbed_write(*state, RULES, "ATTR{virtio_pmem/error_policy}=\"no\"\n");
	assert_int_equal(virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
							   &value), -EBADMSG);
	testbed_write(*state, RULES, "ATTR{virtio_pmem/error_policy}=\"report");
	assert_int_equal(virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
							   &value), -EBADMSG);
	assert_null(value);
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "latch", VIRTPMEM_SAVE, NULL), 0);
	assert_int_equal(virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
							   &value), 0);
	assert_string_equal(value, "latch");
	free(value);
	done(region);
}

/* Those that stood behind it were deleted in silence. */
static void u3_saved_value_that_is_none_costs_no_other(void **state)
{
	static const char text[] = "ATTR{virtio_pmem/error_policy}=\"no\"\n"
				   "ATTR{virtio_pmem/stall_timeout_ms}=\"5000\"\n";
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;
	char *value = NULL;

	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS),
		      "60000\n");
	testbed_write(*state, RULES, text);
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_QUIESCE_TIMEOUT_MS,
						     "7000", VIRTPMEM_SAVE, &plan), 0);
	expect_plan(plan, "warn error_policy done, set quiesce_timeout_ms done, "
		    "save quiesce_timeout_ms done");
	assert_int_equal(virtpmem_region_get_saved_setting(region,
							   VIRTPMEM_SETTING_STALL_TIMEOUT_MS,
							   &value), 0);
	assert_string_equal(value, "5000");
	free(value);
	assert_int_equal(virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
							   &value), -ENODATA);
	/* Nor is it in the way of reading the others, or warned of where it is set itself. */
	testbed_write(*state, RULES, text);
	assert_int_equal(virtpmem_region_get_saved_setting(region,
							   VIRTPMEM_SETTING_STALL_TIMEOUT_MS,
							   &value), 0);
	free(value);
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY, NULL,
						     VIRTPMEM_SAVE, &plan), 0);
	expect_plan(plan, "save error_policy done");
	assert_int_equal(virtpmem_region_get_saved_setting(region,
							   VIRTPMEM_SETTING_STALL_TIMEOUT_MS,
							   &value), 0);
	free(value);
	done(region);
}

/* The value counts already, and the plan says that it could not be kept. */
static void u2_value_that_cannot_be_saved_is_told(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;

	testbed_remove(*state, "rules");
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", VIRTPMEM_SAVE, &plan), -ENOENT);
	assert_int_equal(virtpmem_step_get_error(virtpmem_step_get_first(plan)), 0);
	assert_int_equal(virtpmem_step_get_error(
			 virtpmem_step_get_next(virtpmem_step_get_first(plan))), -ENOENT);
	expect_plan(plan, "set error_policy done, save error_policy failed");
	assert_true(testbed_logged(*state, "rules"));
	done(region);
}

/* Whoever may look into the directory can lock it, but not keep root waiting. */
static void u2_locked_rules_are_told_after_a_while(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	char *path = testbed_path(*state, "rules");
	struct virtpmem_plan *plan = NULL;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", VIRTPMEM_SAVE, &plan), -EBUSY);
	expect_plan(plan, "set error_policy done, save error_policy failed");
	assert_true(testbed_logged(*state, "another process keeps it locked"));
	close(fd);
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "report", VIRTPMEM_SAVE, NULL), 0);
	free(path);
	done(region);
}

/* As udev reads it: the last one counts, and none of a comment. */
static void saved_value_is_what_udev_would_set(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	char *value = NULL;

	testbed_write(*state, RULES, "# ATTR{virtio_pmem/error_policy}=\"no\"\n"
		      "ATTR{virtio_pmem/error_policy}=\"report\"\n"
		      "ATTR{virtio_pmem/error_policy}=\"latch\"\n"
		      " #ATTR{virtio_pmem/error_policy}=\"report\"\n");
	assert_int_equal(virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
							   &value), 0);
	assert_string_equal(value, "latch");
	free(value);
	done(region);
}

static void setting_that_the_driver_has_not_is_not_supported(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	struct virtpmem_plan *plan = NULL;
	char *value = NULL;

	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS), "");
	testbed_remove(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE_TIMEOUT_MS));
	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_QUIESCE_TIMEOUT_MS,
						     "2000", 0, &plan), -EOPNOTSUPP);
	expect_plan(plan, "set quiesce_timeout_ms failed");
	assert_int_equal(virtpmem_region_get_setting(region, VIRTPMEM_SETTING_QUIESCE_TIMEOUT_MS,
						     &value), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_setting(region, VIRTPMEM_SETTING_COUNT, &value),
			 -EINVAL);
	assert_int_equal(virtpmem_region_get_saved_setting(region, VIRTPMEM_SETTING_COUNT, &value),
			 -EINVAL);
	assert_null(value);
	done(region);
}

static void setting_of_another_driver_is_not_supported(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_plan *plan = NULL;

	assert_int_equal(virtpmem_region_set_setting(region, VIRTPMEM_SETTING_ERROR_POLICY,
						     "latch", 0, &plan), -EOPNOTSUPP);
	assert_null(plan);
}

static void every_name(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++)
		assert_non_null(virtpmem_setting_name((enum virtpmem_setting)i));
	assert_null(virtpmem_setting_name(VIRTPMEM_SETTING_COUNT));
	assert_string_equal(virtpmem_setting_values(VIRTPMEM_SETTING_ERROR_POLICY),
			    "latch or report");
	assert_string_equal(virtpmem_setting_values(VIRTPMEM_SETTING_STALL_TIMEOUT_MS),
			    "1000 to 600000");
	assert_string_equal(virtpmem_setting_values(VIRTPMEM_SETTING_QUIESCE_TIMEOUT_MS),
			    "1000 to 600000");
	assert_null(virtpmem_setting_values(VIRTPMEM_SETTING_COUNT));
	for (i = 0; i <= VIRTPMEM_STEP_ACKNOWLEDGE; i++)
		assert_non_null(virtpmem_step_kind_name((enum virtpmem_step_kind)i));
	assert_null(virtpmem_step_kind_name((enum virtpmem_step_kind)i));
	for (i = 0; i <= VIRTPMEM_RESULT_UNDONE; i++)
		assert_non_null(virtpmem_step_result_name((enum virtpmem_step_result)i));
	assert_null(virtpmem_step_result_name((enum virtpmem_step_result)i));
	assert_null(virtpmem_plan_unref(NULL));
}

#define t(fn_, fixture_)	testbed_test(#fn_ " on " fixture_, fn_, fixture_)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(setting_is_written_and_read, "virtpmem-6.12"),
		t(bad_values_change_nothing, "virtpmem-6.12"),
		t(dry_run_says_the_same_and_changes_nothing, "virtpmem-6.12"),
		t(saved_settings_are_a_udev_rule_by_path, "virtpmem-6.12"),
		t(forgotten_settings_leave_no_file, "virtpmem-6.12"),
		t(u3_saved_value_that_is_none_is_told_and_replaced, "virtpmem-6.12"),
		t(u3_saved_value_that_is_none_costs_no_other, "virtpmem-6.12"),
		t(u2_value_that_cannot_be_saved_is_told, "virtpmem-6.12"),
		t(u2_locked_rules_are_told_after_a_while, "virtpmem-6.12"),
		t(saved_value_is_what_udev_would_set, "virtpmem-6.12"),
		t(setting_that_the_driver_has_not_is_not_supported, "virtpmem-6.12"),
		t(setting_of_another_driver_is_not_supported, "in-tree-6.12"),
		cmocka_unit_test(every_name),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
