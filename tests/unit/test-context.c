// SPDX-License-Identifier: GPL-2.0-or-later
/* The context: references, the log, the environment. */
#include "testbed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static void version_is_the_projects(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_version(), VIRTPMEM_VERSION);
}

static void unref_takes_null_and_returns_null(void **state)
{
	(void)state;
	assert_null(virtpmem_unref(NULL));
	assert_null(virtpmem_region_unref(NULL));
	assert_null(virtpmem_stats_unref(NULL));
	assert_null(virtpmem_histogram_unref(NULL));
}

static void cleanup_attribute_drops_the_reference(void **state)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;

	(void)state;
	assert_int_equal(virtpmem_new(&ctx), 0);
}

static void default_priority_is_err(void **state)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;

	(void)state;
	unsetenv("VIRTPMEM_LOG");
	assert_int_equal(virtpmem_new(&ctx), 0);
	assert_int_equal(virtpmem_get_log_priority(ctx), LOG_ERR);
}

static void priority_comes_from_the_environment(void **state)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;

	(void)state;
	setenv("VIRTPMEM_LOG", "info", 1);
	assert_int_equal(virtpmem_new(&ctx), 0);
	unsetenv("VIRTPMEM_LOG");
	assert_int_equal(virtpmem_get_log_priority(ctx), LOG_INFO);
}

static void unknown_priority_in_the_environment_is_ignored(void **state)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;

	(void)state;
	setenv("VIRTPMEM_LOG", "loud", 1);
	assert_int_equal(virtpmem_new(&ctx), 0);
	unsetenv("VIRTPMEM_LOG");
	assert_int_equal(virtpmem_get_log_priority(ctx), LOG_ERR);
}

static void count_message(void *userdata, int priority, const char *message)
{
	(void)priority;
	(void)message;
	++*(int *)userdata;
}

static void message_below_the_priority_is_not_logged(void **state)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	struct testbed *tb = *state;
	int count = 0;

	(void)tb;
	assert_int_equal(virtpmem_new(&ctx), 0);
	virtpmem_set_log_fn(ctx, count_message, &count);
	virtpmem_set_log_priority(ctx, LOG_WARNING);
	assert_int_equal(virtpmem_scan(ctx), 0);	/* says at LOG_INFO that there is no bus */
	assert_int_equal(count, 0);
	virtpmem_set_log_priority(ctx, LOG_INFO);
	assert_int_equal(virtpmem_scan(ctx), 0);
	assert_int_equal(count, 1);
}

static void two_contexts_have_logs_of_their_own(void **state)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *a = NULL;
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *b = NULL;
	int count_a = 0, count_b = 0;

	(void)state;
	assert_int_equal(virtpmem_new(&a), 0);
	assert_int_equal(virtpmem_new(&b), 0);
	virtpmem_set_log_fn(a, count_message, &count_a);
	virtpmem_set_log_fn(b, count_message, &count_b);
	virtpmem_set_log_priority(a, LOG_DEBUG);
	virtpmem_set_log_priority(b, LOG_DEBUG);
	assert_int_equal(virtpmem_scan(a), 0);
	assert_int_equal(count_a, 1);
	assert_int_equal(count_b, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_is_the_projects),
		cmocka_unit_test(unref_takes_null_and_returns_null),
		cmocka_unit_test(cleanup_attribute_drops_the_reference),
		cmocka_unit_test(default_priority_is_err),
		cmocka_unit_test(priority_comes_from_the_environment),
		cmocka_unit_test(unknown_priority_in_the_environment_is_ignored),
		testbed_test("message below the priority is not logged",
			     message_below_the_priority_is_not_logged, NULL),
		testbed_test("two contexts have logs of their own",
			     two_contexts_have_logs_of_their_own, NULL),
	};

	return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
