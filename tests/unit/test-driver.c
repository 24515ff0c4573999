// SPDX-License-Identifier: GPL-2.0-or-later
/* Who serves a region, what our driver says of its state, and its statistics. */
#include "testbed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE		"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_STATE)
#define FLUSH_STATS	"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS)
#define FLUSH_LATENCY	"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_LATENCY)

/* ------------------------------------------------------------- driver */

static void check_driver(void **state, const char *region, enum virtpmem_driver expected)
{
	enum virtpmem_driver driver;

	assert_int_equal(virtpmem_region_get_driver(testbed_region(*state, region), &driver), 0);
	assert_int_equal(driver, expected);
}

static void in_tree_driver_is_known_by_the_provider(void **state)
{
	check_driver(state, "region0", VIRTPMEM_DRIVER_IN_TREE);
}

static void our_driver_is_known_by_its_directory(void **state)
{
	check_driver(state, "region0", VIRTPMEM_DRIVER_VIRTPMEM);
}

static void driver_of_e820_is_another(void **state)
{
	check_driver(state, "region5", VIRTPMEM_DRIVER_OTHER);
}

static void driver_of_nfit_is_another(void **state)
{
	check_driver(state, "region0", VIRTPMEM_DRIVER_OTHER);
}

static void names_of_drivers(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_driver_name(VIRTPMEM_DRIVER_OTHER), "other");
	assert_string_equal(virtpmem_driver_name(VIRTPMEM_DRIVER_IN_TREE), "in-tree");
	assert_string_equal(virtpmem_driver_name(VIRTPMEM_DRIVER_VIRTPMEM), "virtpmem");
	assert_string_equal(virtpmem_driver_name((enum virtpmem_driver)99), "other");
}

static void module_is_the_one_of_the_device_below_the_bus(void **state)
{
	char *text = NULL;

	assert_int_equal(virtpmem_region_get_module(testbed_region(*state, "region0"), &text), 0);
	assert_string_equal(text, "virtio_pmem");
	free(text);
	assert_int_equal(virtpmem_region_get_module(testbed_region(*state, "region5"), &text), 0);
	assert_string_equal(text, "nd_e820");
	free(text);
}

static void module_that_is_built_in_is_not_supported(void **state)
{
	char *text = NULL;

	testbed_remove(*state, "sys/bus/virtio/drivers/virtio_pmem/module");
	assert_int_equal(virtpmem_region_get_module(testbed_region(*state, "region0"), &text),
			 -EOPNOTSUPP);
	assert_null(text);
}

static void version_of_our_module_is_its_own(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	char *text = NULL;

	assert_int_equal(virtpmem_region_get_module_version(region, &text), 0);
	assert_string_equal(text, "0.1.0");
	free(text);
}

static void version_of_the_in_tree_module_is_not_supported(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	char *text = NULL;

	assert_int_equal(virtpmem_region_get_module_version(region, &text), -EOPNOTSUPP);
	assert_null(text);
}

/* -------------------------------------------------------------- state */

static void our_state_is_what_the_driver_says(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	enum virtpmem_state engine;
	unsigned int abi;
	uint64_t number;
	char *text;

	assert_int_equal(virtpmem_region_get_abi(region, &abi), 0);
	assert_int_equal(abi, VIRTIO_PMEM_ABI);
	assert_int_equal(virtpmem_region_get_state(region, &engine), 0);
	assert_int_equal(engine, VIRTPMEM_STATE_ACTIVE);
	assert_int_equal(virtpmem_region_get_broken_reason(region, &text), 0);
	assert_string_equal(text, VIRTIO_PMEM_REASON_NONE);
	free(text);
	assert_int_equal(virtpmem_region_get_error_policy(region, &text), 0);
	assert_string_equal(text, VIRTIO_PMEM_POLICY_LATCH);
	free(text);
	assert_int_equal(virtpmem_region_get_queue_depth(region, &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(virtpmem_region_get_queue_depth_max(region, &number), 0);
	assert_int_equal(number, 1);
	assert_int_equal(virtpmem_region_get_in_flight_us(region, &number), 0);
	assert_int_equal(number, 0);
}

static void every_state_has_the_drivers_word(void **state)
{
	static const struct {
		enum virtpmem_state state;
		const char *word;
	} words[] = {
		{ VIRTPMEM_STATE_ACTIVE, VIRTIO_PMEM_STATE_ACTIVE },
		{ VIRTPMEM_STATE_QUIESCED, VIRTIO_PMEM_STATE_QUIESCED },
		{ VIRTPMEM_STATE_RECOVERING, VIRTIO_PMEM_STATE_RECOVERING },
		{ VIRTPMEM_STATE_BROKEN, VIRTIO_PMEM_STATE_BROKEN },
		{ VIRTPMEM_STATE_REMOVING, VIRTIO_PMEM_STATE_REMOVING },
	};
	struct virtpmem_region *region = testbed_region(*state, "region0");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		enum virtpmem_state engine;
		char line[32];

		snprintf(line, sizeof(line), "%s\n", words[i].word);
		testbed_write(*state, STATE, line);
		assert_int_equal(virtpmem_region_get_state(region, &engine), 0);
		assert_int_equal(engine, words[i].state);
		assert_string_equal(virtpmem_state_name(engine), words[i].word);
	}
	assert_string_equal(virtpmem_state_name((enum virtpmem_state)99), "unknown");
}

static void state_of_a_later_driver_is_unknown(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	enum virtpmem_state engine;

	testbed_write(*state, STATE, "hibernating\n");
	assert_int_equal(virtpmem_region_get_state(region, &engine), 0);
	assert_int_equal(engine, VIRTPMEM_STATE_UNKNOWN);
}

static void state_of_another_driver_is_not_supported(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_histogram *hist = NULL;
	struct virtpmem_stats *stats = NULL;
	enum virtpmem_state engine;
	unsigned int abi;
	uint64_t number;
	char *text = NULL;

	assert_int_equal(virtpmem_region_get_abi(region, &abi), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_state(region, &engine), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_broken_reason(region, &text), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_error_policy(region, &text), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_queue_depth(region, &number), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_queue_depth_max(region, &number), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_in_flight_us(region, &number), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_stats(region, &stats), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_latency_histogram(region, &hist), -EOPNOTSUPP);
	assert_null(text);
	assert_null(stats);
	assert_null(hist);
}

static void abi_of_a_later_driver_is_told(void **state)
{
	unsigned int abi;

	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_ABI), "2\n");
	assert_int_equal(virtpmem_region_get_abi(testbed_region(*state, "region0"), &abi), 0);
	assert_int_equal(abi, 2);
}

static void abi_0_is_malformed(void **state)
{
	unsigned int abi;

	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_ABI), "0\n");
	assert_int_equal(virtpmem_region_get_abi(testbed_region(*state, "region0"), &abi),
			 -EBADMSG);
}

/* --------------------------------------------------------- statistics */

static struct virtpmem_stats *stats_of(void **state)
{
	struct virtpmem_stats *stats = NULL;

	assert_int_equal(virtpmem_region_get_stats(testbed_region(*state, "region0"), &stats), 0);
	return stats;
}

static void every_counter_has_its_position_and_name(void **state)
{
	static const struct {
		enum virtpmem_stat id;
		unsigned int position;
		const char *name;
	} table[] = {
		{ VIRTPMEM_STAT_REQUESTS, 0, "requests" },
		{ VIRTPMEM_STAT_ASYNC_REQUESTS, 1, "async_requests" },
		{ VIRTPMEM_STAT_HOST_FLUSHES, 2, "host_flushes" },
		{ VIRTPMEM_STAT_FAILED_REQUESTS, 3, "failed_requests" },
		{ VIRTPMEM_STAT_FAILED_HOST_FLUSHES, 4, "failed_host_flushes" },
		{ VIRTPMEM_STAT_REQUEST_TOTAL_NS, 5, "request_total_ns" },
		{ VIRTPMEM_STAT_REQUEST_MAX_NS, 6, "request_max_ns" },
		{ VIRTPMEM_STAT_HOST_TOTAL_NS, 7, "host_total_ns" },
		{ VIRTPMEM_STAT_HOST_MAX_NS, 8, "host_max_ns" },
		{ VIRTPMEM_STAT_RECOVERIES, 9, "recoveries" },
		{ VIRTPMEM_STAT_STALLS, 10, "stalls" },
		{ VIRTPMEM_STAT_LAST_FAILURE_NS, 11, "last_failure_ns" },
		{ VIRTPMEM_STAT_LAST_CHANGE_NS, 12, "last_change_ns" },
	};
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	size_t i;

	assert_int_equal(ARRAY_SIZE(table), VIRTPMEM_STAT_COUNT);
	testbed_write(*state, FLUSH_STATS,
		      "100 101 102 103 104 105 106 107 108 109 110 111 112\n");
	stats = stats_of(state);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		uint64_t value;

		assert_int_equal(virtpmem_stats_get(stats, table[i].id, &value), 0);
		assert_int_equal(value, 100 + table[i].position);
		assert_string_equal(virtpmem_stat_name(table[i].id), table[i].name);
	}
}

static void counters_are_a_snapshot(void **state)
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = stats_of(state);
	uint64_t before, after;

	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_REQUESTS, &before), 0);
	testbed_write(*state, FLUSH_STATS, "999 0 0 0 0 0 0 0 0 0 0 0 0\n");
	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_REQUESTS, &after), 0);
	assert_int_equal(before, after);
}

static void u3_counters_of_a_later_driver_are_passed_over(void **state)
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	uint64_t value;

	testbed_write(*state, FLUSH_STATS, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n");
	stats = stats_of(state);
	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_LAST_CHANGE_NS, &value), 0);
	assert_int_equal(value, 13);
}

static void u3_counter_that_the_driver_has_not_is_not_supported(void **state)
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	uint64_t value = 4;

	testbed_write(*state, FLUSH_STATS, "1 2 3\n");
	stats = stats_of(state);
	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_FAILED_REQUESTS, &value),
			 -EOPNOTSUPP);
	assert_int_equal(value, 4);
	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_HOST_FLUSHES, &value), 0);
	assert_int_equal(value, 3);
}

static void counter_that_the_library_has_not_is_invalid(void **state)
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = stats_of(state);
	uint64_t value = 4;

	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_COUNT, &value), -EINVAL);
	assert_int_equal(virtpmem_stats_get(stats, (enum virtpmem_stat)-1, &value), -EINVAL);
	assert_int_equal(value, 4);
	assert_null(virtpmem_stat_name(VIRTPMEM_STAT_COUNT));
}

static void u3_counters_must_be_numbers_with_one_space_between(void **state)
{
	static const char *const bad[] = {
		"1  2 3\n", " 1 2 3\n", "1 2 3 \n", "1 2 three\n", "1 -2 3\n", "1\t2 3\n",
		"1 2 18446744073709551616\n", "1,2,3\n", " \n",
		"1 2 3 4 5 6 7 8 9 10 11 12 13 14 x\n",
	};
	struct virtpmem_region *region = testbed_region(*state, "region0");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct virtpmem_stats *stats = NULL;

		testbed_write(*state, FLUSH_STATS, bad[i]);
		if (virtpmem_region_get_stats(region, &stats) != -EBADMSG)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_null(stats);
	}
}

static void counters_outlive_their_context(void **state)
{
	struct virtpmem_stats *stats = NULL;
	struct virtpmem_ctx *ctx;
	uint64_t value;

	(void)state;
	assert_int_equal(virtpmem_new(&ctx), 0);
	assert_true(virtpmem_scan(ctx) > 0);
	assert_int_equal(virtpmem_region_get_stats(virtpmem_region_get_first(ctx), &stats), 0);
	virtpmem_unref(ctx);
	assert_ptr_equal(virtpmem_stats_ref(stats), stats);
	assert_null(virtpmem_stats_unref(stats));
	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_REQUESTS, &value), 0);
	assert_null(virtpmem_stats_unref(stats));
}

/* ---------------------------------------------------------- histogram */

static void write_bins(struct testbed *tb, unsigned int count)
{
	char line[1024] = "";
	unsigned int i;

	for (i = 0; i < count; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%u", i ? " " : "",
			 i + 1000);
	strcat(line, "\n");
	testbed_write(tb, FLUSH_LATENCY, line);
}

static void bins_are_powers_of_two_in_microseconds(void **state)
{
	_cleanup_virtpmem_histogram_unref_ struct virtpmem_histogram *hist = NULL;
	uint64_t lower, upper, count;
	unsigned int i;

	write_bins(*state, VIRTIO_PMEM_LATENCY_BINS);
	assert_int_equal(virtpmem_region_get_latency_histogram(testbed_region(*state, "region0"),
							       &hist), 0);
	assert_int_equal(virtpmem_histogram_get_bins(hist), VIRTIO_PMEM_LATENCY_BINS);
	for (i = 0; i < VIRTIO_PMEM_LATENCY_BINS; i++) {
		assert_int_equal(virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count), 0);
		assert_int_equal(count, i + 1000);
		assert_true(lower == (i ? UINT64_C(1) << (i - 1) : 0));
		assert_true(upper == (i + 1 < VIRTIO_PMEM_LATENCY_BINS ? UINT64_C(1) << i :
									   UINT64_MAX));
	}
	assert_int_equal(virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count), -ERANGE);
	assert_int_equal(count, i - 1 + 1000);
}

static void u3_more_bins_of_a_later_driver_are_taken(void **state)
{
	_cleanup_virtpmem_histogram_unref_ struct virtpmem_histogram *hist = NULL;
	uint64_t lower, upper, count;

	write_bins(*state, 64);
	assert_int_equal(virtpmem_region_get_latency_histogram(testbed_region(*state, "region0"),
							       &hist), 0);
	assert_int_equal(virtpmem_histogram_get_bins(hist), 64);
	assert_int_equal(virtpmem_histogram_get_bin(hist, 63, &lower, &upper, &count), 0);
	assert_true(lower == UINT64_C(1) << 62);
	assert_true(upper == UINT64_MAX);
}

static void u3_fewer_or_far_more_bins_are_malformed(void **state)
{
	static const unsigned int counts[] = { 1, VIRTIO_PMEM_LATENCY_BINS - 1, 65, 100 };
	struct virtpmem_region *region = testbed_region(*state, "region0");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct virtpmem_histogram *hist = NULL;

		write_bins(*state, counts[i]);
		assert_int_equal(virtpmem_region_get_latency_histogram(region, &hist), -EBADMSG);
		assert_null(hist);
	}
}

/* Whatever the host and the administrator have done to the regions, each file is understood. */
static void recorded_troubles_are_told_apart(void **state)
{
	static const struct {
		const char *devname, *reason;
		enum virtpmem_state state;
		bool stalled;
		uint64_t depth;
	} table[] = {
		{ "region0", "host-error", VIRTPMEM_STATE_BROKEN, false, 0 },
		{ "region1", "none", VIRTPMEM_STATE_ACTIVE, true, 2 },
		{ "region2", "none", VIRTPMEM_STATE_QUIESCED, false, 0 },
		{ "region3", "none", VIRTPMEM_STATE_ACTIVE, false, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct virtpmem_region *region = testbed_region(*state, table[i].devname);
		enum virtpmem_state is;
		uint64_t depth, age;
		bool stalled;
		char *reason;

		assert_int_equal(virtpmem_region_get_state(region, &is), 0);
		assert_int_equal(is, table[i].state);
		assert_int_equal(virtpmem_region_get_broken_reason(region, &reason), 0);
		assert_string_equal(reason, table[i].reason);
		free(reason);
		assert_int_equal(virtpmem_region_get_stalled(region, &stalled), 0);
		assert_int_equal(stalled, table[i].stalled);
		assert_int_equal(virtpmem_region_get_queue_depth(region, &depth), 0);
		assert_int_equal(depth, table[i].depth);
		assert_int_equal(virtpmem_region_get_in_flight_us(region, &age), 0);
		assert_int_equal(age > 0, table[i].stalled);
	}
}

#define t(fn_, fixture_)	testbed_test(#fn_ " on " fixture_, fn_, fixture_)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(in_tree_driver_is_known_by_the_provider, "in-tree-6.1"),
		t(in_tree_driver_is_known_by_the_provider, "in-tree-6.12"),
		t(our_driver_is_known_by_its_directory, "virtpmem-6.1"),
		t(our_driver_is_known_by_its_directory, "virtpmem-6.12"),
		t(driver_of_e820_is_another, "in-tree-6.12"),
		t(driver_of_nfit_is_another, "nfit-6.12"),
		cmocka_unit_test(names_of_drivers),
		t(module_is_the_one_of_the_device_below_the_bus, "in-tree-6.12"),
		t(module_that_is_built_in_is_not_supported, "in-tree-6.12"),
		t(version_of_our_module_is_its_own, "virtpmem-6.12"),
		t(version_of_the_in_tree_module_is_not_supported, "in-tree-6.12"),
		t(our_state_is_what_the_driver_says, "virtpmem-6.1"),
		t(our_state_is_what_the_driver_says, "virtpmem-6.12"),
		t(recorded_troubles_are_told_apart, "troubles-6.1"),
		t(recorded_troubles_are_told_apart, "troubles-6.12"),
		t(every_state_has_the_drivers_word, "virtpmem-6.12"),
		t(state_of_a_later_driver_is_unknown, "virtpmem-6.12"),
		t(state_of_another_driver_is_not_supported, "in-tree-6.12"),
		t(state_of_another_driver_is_not_supported, "nfit-6.12"),
		t(abi_of_a_later_driver_is_told, "virtpmem-6.12"),
		t(abi_0_is_malformed, "virtpmem-6.12"),
		t(every_counter_has_its_position_and_name, "virtpmem-6.12"),
		t(counters_are_a_snapshot, "virtpmem-6.12"),
		t(u3_counters_of_a_later_driver_are_passed_over, "virtpmem-6.12"),
		t(u3_counter_that_the_driver_has_not_is_not_supported, "virtpmem-6.12"),
		t(counter_that_the_library_has_not_is_invalid, "virtpmem-6.12"),
		t(u3_counters_must_be_numbers_with_one_space_between, "virtpmem-6.12"),
		t(counters_outlive_their_context, "virtpmem-6.12"),
		t(bins_are_powers_of_two_in_microseconds, "virtpmem-6.12"),
		t(u3_more_bins_of_a_later_driver_are_taken, "virtpmem-6.12"),
		t(u3_fewer_or_far_more_bins_are_malformed, "virtpmem-6.12"),
	};

	return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
