// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots of a region, and statistics that are read again. */
#include "testbed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

#define STATS	"region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS)

static uint64_t size_of(struct virtpmem_region *region)
{
	uint64_t size = 0;

	assert_int_equal(virtpmem_region_get_size(region, &size), 0);
	return size;
}

static void snapshot_keeps_what_was_read_first(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	uint64_t before = size_of(region);

	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	testbed_write(*state, "region0/size", "4096\n");
	assert_int_equal(size_of(region), 4096);
	testbed_write(*state, "region0/size", "8192\n");
	assert_int_equal(size_of(region), 4096);
	assert_int_not_equal(before, 4096);
	virtpmem_region_snapshot_end(region);
	assert_int_equal(size_of(region), 8192);
	virtpmem_region_snapshot_end(region);
}

static void snapshot_that_begins_again_is_another(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");

	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	size_of(region);
	testbed_write(*state, "region0/size", "4096\n");
	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	assert_int_equal(size_of(region), 4096);
}

static void snapshot_keeps_errors_and_links(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	char *module = NULL, *again = NULL;
	uint64_t value = 7;

	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	testbed_write(*state, "region0/size", "banana\n");
	assert_int_equal(virtpmem_region_get_size(region, &value), -EBADMSG);
	testbed_write(*state, "region0/size", "4096\n");
	assert_int_equal(virtpmem_region_get_size(region, &value), -EBADMSG);
	assert_int_equal(value, 7);

	assert_int_equal(virtpmem_region_get_module(region, &module), 0);
	testbed_remove(*state, "sys/bus/virtio/drivers/virtio_pmem/module");
	assert_int_equal(virtpmem_region_get_module(region, &again), 0);
	assert_string_equal(module, again);
	free(module);
	free(again);
}

/* Whoever asks for the block device: the namespace, the way to flush, the holders. */
static void snapshot_keeps_lists(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	char *proc = testbed_path(*state, "proc");
	struct virtpmem_holders *holders;
	enum virtpmem_flush_method method;
	unsigned int count;

	testbed_add_proc(*state);
	testbed_ctx(*state)->proc = proc;
	testbed_set_mounts(*state, "27 1 259:1 / /data rw - ext4 /dev/pmem0 rw\n");
	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	assert_int_equal(virtpmem_region_get_namespace_count(region, &count), 0);
	assert_int_equal(count, 1);
	testbed_mkdir(*state, "region0/namespace0.9");
	testbed_write(*state, "region0/namespace0.9/size", "4096\n");
	testbed_write(*state, "region0/namespace0.9/holder", "\n");
	testbed_mkdir(*state, "region0/namespace0.9/block");
	testbed_remove(*state, "region0/deep_flush");
	assert_int_equal(virtpmem_region_get_flush_method(region, &method, NULL), 0);
	assert_int_equal(method, VIRTPMEM_FLUSH_BLOCK);
	assert_int_equal(virtpmem_region_get_holders(region, 0, &holders), 0);
	assert_non_null(virtpmem_holder_get_first(holders));
	assert_null(virtpmem_holder_get_next(virtpmem_holder_get_first(holders)));
	virtpmem_holders_unref(holders);
	assert_false(testbed_logged(*state, "namespace0.9"));

	virtpmem_region_snapshot_end(region);
	assert_true(virtpmem_scan(testbed_ctx(*state)) > 0);
	region = virtpmem_region_get_first(testbed_ctx(*state));
	assert_int_equal(virtpmem_region_get_namespace_count(region, &count), 0);
	assert_int_equal(count, 2);
	free(proc);
}

static void snapshot_knows_the_driver(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	enum virtpmem_driver driver;

	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	assert_int_equal(virtpmem_region_get_driver(region, &driver), 0);
	assert_int_equal(driver, VIRTPMEM_DRIVER_VIRTPMEM);
	testbed_remove(*state, "region0/" VIRTIO_PMEM_GROUP);
	assert_int_equal(virtpmem_region_get_driver(region, &driver), 0);
	assert_int_equal(driver, VIRTPMEM_DRIVER_VIRTPMEM);
	virtpmem_region_snapshot_end(region);
	assert_int_equal(virtpmem_region_get_driver(region, &driver), 0);
	assert_int_equal(driver, VIRTPMEM_DRIVER_IN_TREE);
}

/* What is flushed is decided by what is so now. */
static void u1_flush_ends_the_snapshot(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_flush_result result = { .method = VIRTPMEM_FLUSH_NONE };
	enum virtpmem_flush_method method;

	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	assert_int_equal(virtpmem_region_get_flush_method(region, &method, NULL), 0);
	assert_int_equal(method, VIRTPMEM_FLUSH_DEEP);
	testbed_write(*state, "region0/deep_flush", "0\n");
	assert_int_equal(virtpmem_region_get_flush_method(region, &method, NULL), 0);
	assert_int_equal(method, VIRTPMEM_FLUSH_DEEP);
	assert_int_equal(virtpmem_region_flush(region, 0, &result), 0);
	assert_int_equal(result.method, VIRTPMEM_FLUSH_NOT_NEEDED);
}

static uint64_t requests(struct virtpmem_stats *stats)
{
	uint64_t value;

	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_REQUESTS, &value), 0);
	return value;
}

static void statistics_are_read_again_in_place(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_stats *stats;
	uint64_t value;

	assert_int_equal(virtpmem_region_get_stats(region, &stats), 0);
	testbed_write(*state, STATS, "41 2 3\n");
	assert_int_equal(virtpmem_stats_refresh(stats, region), 0);
	assert_int_equal(requests(stats), 41);
	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_HOST_FLUSHES, &value), 0);
	assert_int_equal(virtpmem_stats_get(stats, VIRTPMEM_STAT_STALLS, &value), -EOPNOTSUPP);
	testbed_write(*state, STATS, "42 2 3 4\n");
	assert_int_equal(virtpmem_stats_refresh(stats, region), 0);
	assert_int_equal(requests(stats), 42);
	virtpmem_stats_unref(stats);
}

static void u3_statistics_stay_when_they_cannot_be_read_again(void **state)
{
	static const char *const bad[] = { "", "\n", "1  2\n", "-1\n", "1 2", "1\n2\n" };
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_stats *stats;
	size_t i;

	assert_int_equal(virtpmem_region_get_stats(region, &stats), 0);
	testbed_write(*state, STATS, "41 2 3\n");
	assert_int_equal(virtpmem_stats_refresh(stats, region), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		testbed_write(*state, STATS, bad[i]);
		assert_int_equal(virtpmem_stats_refresh(stats, region), -EBADMSG);
		assert_int_equal(requests(stats), 41);
	}
	virtpmem_stats_unref(stats);
}

static void statistics_hold_their_region(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_stats *stats;

	assert_int_equal(virtpmem_region_get_stats(region, &stats), 0);
	assert_int_equal(virtpmem_stats_refresh(stats, region), 0);
	virtpmem_scan(testbed_ctx(*state));
	assert_int_equal(virtpmem_stats_refresh(stats, region), 0);
	virtpmem_stats_unref(stats);
}

static void statistics_of_a_region_that_has_gone_are_enodev(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_stats *stats;

	assert_int_equal(virtpmem_region_get_stats(region, &stats), 0);
	testbed_remove_region(*state, "region0");
	assert_int_equal(virtpmem_stats_refresh(stats, region), -ENODEV);
	virtpmem_stats_unref(stats);
}

#define t(fn_)	testbed_test(#fn_, fn_, "virtpmem-6.12")

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(snapshot_keeps_what_was_read_first),
		t(snapshot_that_begins_again_is_another),
		t(snapshot_keeps_errors_and_links),
		t(snapshot_keeps_lists),
		t(snapshot_knows_the_driver),
		t(u1_flush_ends_the_snapshot),
		t(statistics_are_read_again_in_place),
		t(u3_statistics_stay_when_they_cannot_be_read_again),
		t(statistics_hold_their_region),
		t(statistics_of_a_region_that_has_gone_are_enodev),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
