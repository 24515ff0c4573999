// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Acknowledging errors of the host: what is noted, what it does to the verdict, and what
 * does not count as an acknowledgement.
 */
#include "testbed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "private.h"

#define STATS	"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS)
#define NOTED	"run/virtpmem/acknowledged-pci-0000:00:04.0"

static struct virtpmem_region *region_of(struct testbed *tb)
{
	struct virtpmem_region *region = testbed_region(tb, "region0");

	testbed_mkdir(tb, "run");
	region->ctx->run = testbed_path(tb, "run");
	return region;
}

static void done(struct virtpmem_region *region)
{
	free((char *)(uintptr_t)region->ctx->run);
	region->ctx->run = "/nowhere";
}

/* So many host flushes have failed, the last of them then. */
static void fail_flushes(struct testbed *tb, unsigned int failed, const char *last_ns)
{
	char line[128];

	snprintf(line, sizeof(line), "9 0 9 %u %u 900 100 900 100 0 0 %s 5\n", failed, failed,
		 last_ns);
	testbed_write(tb, STATS, line);
}

/* The one step of the plan has become @result; NULL: there is no plan. */
static void acknowledge(struct virtpmem_region *region, unsigned int flags, int error,
			const char *result)
{
	struct virtpmem_plan *plan = NULL;
	struct virtpmem_step *step;

	assert_int_equal(virtpmem_region_acknowledge_errors(region, flags, &plan), error);
	if (!result) {
		assert_null(plan);
		return;
	}
	assert_non_null(plan);
	step = virtpmem_step_get_first(plan);
	assert_non_null(step);
	assert_null(virtpmem_step_get_next(step));
	assert_int_equal(virtpmem_step_get_kind(step), VIRTPMEM_STEP_ACKNOWLEDGE);
	assert_string_equal(virtpmem_step_kind_name(VIRTPMEM_STEP_ACKNOWLEDGE), "acknowledge");
	assert_string_equal(virtpmem_step_get_object(step), "region0");
	assert_string_equal(virtpmem_step_result_name(virtpmem_step_get_result(step)), result);
	assert_int_equal(virtpmem_step_get_error(step), error);
	virtpmem_plan_unref(plan);
}

/* What the verdict says of failed flushes; NULL: nothing. The caller frees. */
static char *verdict(struct virtpmem_region *region)
{
	struct virtpmem_health *health;
	struct virtpmem_reason *reason;
	char *text = NULL;

	assert_int_equal(virtpmem_region_get_health(region, NULL, 0, &health), 0);
	virtpmem_reason_foreach(health, reason)
		if (!strcmp(virtpmem_reason_get_id(reason), "host_flush_failed"))
			text = strdup(virtpmem_reason_get_text(reason));
	virtpmem_health_unref(health);
	return text;
}

static void expect_reason(struct virtpmem_region *region, bool expected)
{
	char *text = verdict(region);

	if (expected)
		assert_non_null(text);
	else
		assert_null(text);
	free(text);
}

static void expect_noted(struct testbed *tb, const char *expected)
{
	char *text = testbed_read(tb, NOTED);

	assert_string_equal(text, expected);
	free(text);
}

/* --------------------------------------------------------------- tests */

static void acknowledged_until_one_more_fails(void **state)
{
	struct virtpmem_region *region = region_of(*state);

	fail_flushes(*state, 1, "4000");
	expect_reason(region, true);
	acknowledge(region, 0, 0, "done");
	expect_noted(*state, "4000\n");
	expect_reason(region, false);
	fail_flushes(*state, 2, "7000");
	expect_reason(region, true);
	acknowledge(region, 0, 0, "done");
	expect_noted(*state, "7000\n");
	expect_reason(region, false);
	done(region);
}

static void nothing_to_acknowledge_is_a_success(void **state)
{
	struct virtpmem_region *region = region_of(*state);

	fail_flushes(*state, 0, "0");
	acknowledge(region, 0, 0, "not_needed");
	acknowledge(region, VIRTPMEM_DRY_RUN, 0, "not_needed");
	fail_flushes(*state, 1, "4000");
	acknowledge(region, 0, 0, "done");
	acknowledge(region, 0, 0, "not_needed");
	acknowledge(region, VIRTPMEM_DRY_RUN, 0, "not_needed");
	assert_int_equal(virtpmem_region_acknowledge_errors(region, 0, NULL), 0);
	done(region);
}

static void dry_run_notes_nothing(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	char *path = testbed_path(*state, "run/virtpmem");
	struct stat st;

	fail_flushes(*state, 1, "4000");
	acknowledge(region, VIRTPMEM_DRY_RUN, 0, "planned");
	assert_int_equal(stat(path, &st), -1);
	expect_reason(region, true);
	free(path);
	done(region);
}

/* Values of a snapshot are not what is acknowledged. */
static void what_counts_is_read_anew(void **state)
{
	struct virtpmem_region *region = region_of(*state);

	fail_flushes(*state, 1, "4000");
	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	expect_reason(region, true);
	fail_flushes(*state, 2, "7000");
	acknowledge(region, 0, 0, "done");
	expect_noted(*state, "7000\n");
	done(region);
}

static void everybody_may_read_it(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	char *dir = testbed_path(*state, "run/virtpmem"), *file = testbed_path(*state, NOTED);
	mode_t mask = umask(077);
	struct stat st;

	fail_flushes(*state, 1, "4000");
	acknowledge(region, 0, 0, "done");
	umask(mask);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	free(dir);
	free(file);
	done(region);
}

/* Of an earlier failure, of a later one than there was, or no time at all. */
static void u3_what_is_no_acknowledgement(void **state)
{
	static const struct {
		const char *text;
		bool malformed;
	} noted[] = {
		{ "3999\n", false }, { "4001\n", false }, { "0\n", false },
		{ "18446744073709551615\n", false }, { "18446744073709551616\n", true },
		{ "", true }, { "\n", true }, { "4000", true }, { "4000\n4000\n", true },
		{ " 4000\n", true }, { "-4000\n", true }, { "0xfa0\n", true }, { "4000 \n", true },
		{ "\x1b[2J4000\n", true }, { "\xff\xfe\n", true },
	};
	struct virtpmem_region *region = region_of(*state);
	char *text;
	size_t i;

	testbed_mkdir(*state, "run/virtpmem");
	fail_flushes(*state, 1, "4000");
	for (i = 0; i < ARRAY_SIZE(noted); i++) {
		testbed_write(*state, NOTED, noted[i].text);
		testbed_clear_log(*state);
		text = verdict(region);
		assert_non_null(text);
		assert_int_equal(!!strstr(text, "not known"), noted[i].malformed);
		assert_int_equal(testbed_logged(*state, "acknowledged-"), noted[i].malformed);
		free(text);
		acknowledge(region, 0, 0, "done");
		expect_noted(*state, "4000\n");
		expect_reason(region, false);
	}
	testbed_write_data(*state, NOTED, "4000\0\n", 6);
	expect_reason(region, true);
	done(region);
}

static void u3_acknowledgement_that_cannot_be_read(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	char *text;

	fail_flushes(*state, 1, "4000");
	testbed_write(*state, "run/virtpmem", "no directory\n");
	text = verdict(region);
	assert_non_null(text);
	assert_non_null(strstr(text, "Not a directory"));
	free(text);
	acknowledge(region, 0, -ENOTDIR, "failed");
	testbed_remove(*state, "run/virtpmem");
	testbed_mkdir(*state, "run/virtpmem");
	testbed_mkdir(*state, NOTED);
	expect_reason(region, true);
	acknowledge(region, 0, -EISDIR, "failed");
	done(region);
}

/* Whoever is told "done" must find it so. */
static void u2_what_cannot_be_noted_is_told(void **state)
{
	struct virtpmem_region *region = region_of(*state);

	fail_flushes(*state, 1, "4000");
	testbed_remove(*state, "run");
	acknowledge(region, 0, -ENOENT, "failed");
	expect_reason(region, true);
	testbed_mkdir(*state, "run");
	testbed_chmod(*state, "run", 0555);
	testbed_drop_root();
	acknowledge(region, 0, -EACCES, "failed");
	testbed_regain_root();
	testbed_chmod(*state, "run", 0755);
	expect_reason(region, true);
	done(region);
}

static void what_has_no_errors_to_acknowledge(void **state)
{
	struct virtpmem_region *region = region_of(*state);
	char *path;

	fail_flushes(*state, 1, "4000");
	acknowledge(region, VIRTPMEM_FORCE, -EINVAL, NULL);
	/* Failures without a time: of no driver that there is. */
	fail_flushes(*state, 1, "0");
	acknowledge(region, 0, -EBADMSG, NULL);
	expect_reason(region, true);
	testbed_write(*state, STATS, "9 0 9 1 1 900 100 900 100 0 0\n");
	acknowledge(region, 0, -EOPNOTSUPP, NULL);
	expect_reason(region, true);
	/* Without a path there is nothing to name the file by. */
	fail_flushes(*state, 1, "4000");
	path = region->path;
	region->path = strdup("pci-../../etc/passwd");
	acknowledge(region, 0, -EOPNOTSUPP, NULL);
	assert_true(testbed_logged(*state, "no path that errors"));
	expect_reason(region, true);
	free(region->path);
	region->path = path;
	done(region);
}

static void errors_of_another_driver_are_not_counted(void **state)
{
	struct virtpmem_region *region = region_of(*state);

	acknowledge(region, 0, -EOPNOTSUPP, NULL);
	done(region);
}

#define t(fn_, fixture_)	testbed_test(#fn_ " on " fixture_, fn_, fixture_)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(acknowledged_until_one_more_fails, "virtpmem-6.12"),
		t(nothing_to_acknowledge_is_a_success, "virtpmem-6.12"),
		t(dry_run_notes_nothing, "virtpmem-6.12"),
		t(what_counts_is_read_anew, "virtpmem-6.12"),
		t(everybody_may_read_it, "virtpmem-6.12"),
		t(u3_what_is_no_acknowledgement, "virtpmem-6.12"),
		t(u3_acknowledgement_that_cannot_be_read, "virtpmem-6.12"),
		t(u2_what_cannot_be_noted_is_told, "virtpmem-6.12"),
		t(what_has_no_errors_to_acknowledge, "virtpmem-6.12"),
		t(errors_of_another_driver_are_not_counted, "in-tree-6.12"),
	};

	return cmocka_run_group_tests_name("acknowledge", tests, NULL, NULL);
}
