// SPDX-License-Identifier: GPL-2.0-or-later
/* Namespaces of a region, their modes, and the devices made of them. */
#include "testbed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct virtpmem_namespace *first(void **state, const char *region)
{
	return virtpmem_namespace_get_first(testbed_region(*state, region));
}

static void check(struct virtpmem_namespace *ns, const char *devname, enum virtpmem_mode mode,
		  uint64_t size, const char *blockdev, const char *daxdev)
{
	enum virtpmem_mode got_mode;
	uint64_t got_size;

	assert_non_null(ns);
	assert_string_equal(virtpmem_namespace_get_devname(ns), devname);
	assert_int_equal(virtpmem_namespace_get_mode(ns, &got_mode), 0);
	assert_int_equal(got_mode, mode);
	assert_int_equal(virtpmem_namespace_get_size(ns, &got_size), 0);
	assert_int_equal(got_size, size);
	if (blockdev)
		assert_string_equal(virtpmem_namespace_get_blockdev(ns), blockdev);
	else
		assert_null(virtpmem_namespace_get_blockdev(ns));
	if (daxdev)
		assert_string_equal(virtpmem_namespace_get_daxdev(ns), daxdev);
	else
		assert_null(virtpmem_namespace_get_daxdev(ns));
}

static void namespaces_are_counted(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	unsigned int count = 7;

	assert_int_equal(virtpmem_region_get_namespace_count(region, &count), 0);
	assert_int_equal(count, 1);
}

/* ndctl calls it fsdax too: its pages are mapped. */
static void unclaimed_namespace_of_virtio_pmem_is_fsdax(void **state)
{
	check(first(state, "region0"), "namespace0.0", VIRTPMEM_MODE_FSDAX, 134217728, "pmem0",
	      NULL);
}

static void fsdax_has_the_block_device_and_size_of_its_pfn(void **state)
{
	check(first(state, "region1"), "namespace1.0", VIRTPMEM_MODE_FSDAX, 130023424, "pmem1",
	      NULL);
}

static void devdax_has_a_dax_device_and_no_block_device(void **state)
{
	check(first(state, "region2"), "namespace2.0", VIRTPMEM_MODE_DEVDAX, 130023424, NULL,
	      "dax2.0");
}

static void sector_has_the_block_device_and_size_of_its_btt(void **state)
{
	check(first(state, "region3"), "namespace3.0", VIRTPMEM_MODE_SECTOR, 133005312, "pmem3s",
	      NULL);
}

static void raw_namespace_of_nfit_is_raw(void **state)
{
	check(first(state, "region1"), "namespace1.0", VIRTPMEM_MODE_RAW, 134217728, "pmem1", NULL);
}

static void several_are_listed_in_order_and_seeds_left_out(void **state)
{
	struct virtpmem_namespace *ns = first(state, "region0");

	check(ns, "namespace0.0", VIRTPMEM_MODE_FSDAX, 31457280, "pmem0", NULL);
	ns = virtpmem_namespace_get_next(ns);
	check(ns, "namespace0.1", VIRTPMEM_MODE_RAW, 33554432, "pmem0.1", NULL);
	assert_null(virtpmem_namespace_get_next(ns));
}

static void foreach_visits_all(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_namespace *ns;
	int count = 0;

	virtpmem_namespace_foreach(region, ns)
		count++;
	assert_int_equal(count, 2);
}

static void disabled_namespace_has_no_devices(void **state)
{
	testbed_remove(*state, "region0/namespace0.0/block");
	check(first(state, "region0"), "namespace0.0", VIRTPMEM_MODE_FSDAX, 134217728, NULL, NULL);
}

static void region_without_namespaces_has_none(void **state)
{
	testbed_remove(*state, "region0/namespace0.0");
	assert_null(first(state, "region0"));
}

static void list_is_read_again_after_a_scan(void **state)
{
	assert_non_null(first(state, "region0"));
	testbed_remove(*state, "region0/namespace0.0");
	assert_null(first(state, "region0"));
}

static void namespace_of_another_region_is_left_out(void **state)
{
	testbed_mkdir(*state, "region0/namespace7.0");
	testbed_write(*state, "region0/namespace7.0/size", "4096\n");
	testbed_write(*state, "region0/namespace7.0/holder", "\n");
	assert_null(virtpmem_namespace_get_next(first(state, "region0")));
}

static void mode_that_nobody_knows_is_unknown(void **state)
{
	struct virtpmem_namespace *ns = first(state, "region0");
	enum virtpmem_mode mode;

	testbed_write(*state, "region0/namespace0.0/mode", "famfs\n");
	assert_int_equal(virtpmem_namespace_get_mode(ns, &mode), 0);
	assert_int_equal(mode, VIRTPMEM_MODE_UNKNOWN);
}

static void names_of_modes_are_ndctls(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_mode_name(VIRTPMEM_MODE_RAW), "raw");
	assert_string_equal(virtpmem_mode_name(VIRTPMEM_MODE_FSDAX), "fsdax");
	assert_string_equal(virtpmem_mode_name(VIRTPMEM_MODE_DEVDAX), "devdax");
	assert_string_equal(virtpmem_mode_name(VIRTPMEM_MODE_SECTOR), "sector");
	assert_string_equal(virtpmem_mode_name((enum virtpmem_mode)99), "unknown");
}

/* The kernel answers ENXIO to a read then; a missing file is the nearest there is here. */
static void size_of_a_holder_without_driver_is_the_namespaces(void **state)
{
	testbed_remove(*state, "region1/pfn1.0/size");
	testbed_remove(*state, "region1/pfn1.0/block");
	check(first(state, "region1"), "namespace1.0", VIRTPMEM_MODE_FSDAX, 134217728, NULL, NULL);
}

static void u3_namespace_with_a_malformed_size_is_listed(void **state)
{
	struct virtpmem_namespace *ns;
	uint64_t size = 9;

	testbed_write(*state, "region0/namespace0.0/size", "many\n");
	ns = first(state, "region0");
	assert_non_null(ns);
	assert_int_equal(virtpmem_namespace_get_size(ns, &size), -EBADMSG);
	assert_int_equal(size, 9);
}

static void u3_holder_outside_of_the_region_is_not_followed(void **state)
{
	struct virtpmem_namespace *ns;

	testbed_write(*state, "region0/namespace0.0/holder", "../region1/pfn1.0\n");
	ns = first(state, "region0");
	assert_non_null(ns);
	assert_null(virtpmem_namespace_get_blockdev(ns));
	assert_true(testbed_logged(*state, "region0/namespace0.0/holder: "));
}

static void u3_namespace_that_goes_during_the_listing_is_left_out(void **state)
{
	testbed_remove(*state, "region0/namespace0.0/size");
	assert_null(first(state, "region0"));
}

static void u3_namespace_that_has_gone_answers_with_an_error(void **state)
{
	struct virtpmem_namespace *ns = first(state, "region0");
	enum virtpmem_write_cache cache;
	enum virtpmem_mode mode;
	uint64_t size;

	testbed_remove_region(*state, "region0");
	assert_int_equal(virtpmem_namespace_get_size(ns, &size), -ENODEV);
	assert_int_equal(virtpmem_namespace_get_mode(ns, &mode), -ENODEV);
	assert_int_equal(virtpmem_namespace_get_write_cache(ns, &cache), -ENODEV);
}

static void write_cache_is_what_the_queue_says_now(void **state)
{
	struct virtpmem_namespace *ns = first(state, "region0");
	enum virtpmem_write_cache cache;

	assert_int_equal(virtpmem_namespace_get_write_cache(ns, &cache), 0);
	assert_int_equal(cache, VIRTPMEM_WRITE_BACK);
	testbed_write(*state, "region0/namespace0.0/block/pmem0/queue/write_cache",
		      "write through\n");
	assert_int_equal(virtpmem_namespace_get_write_cache(ns, &cache), 0);
	assert_int_equal(cache, VIRTPMEM_WRITE_THROUGH);
}

static void write_cache_of_sector_mode_is_write_through(void **state)
{
	enum virtpmem_write_cache cache;

	assert_int_equal(virtpmem_namespace_get_write_cache(first(state, "region3"), &cache), 0);
	assert_int_equal(cache, VIRTPMEM_WRITE_THROUGH);
}

static void write_cache_of_devdax_is_not_supported(void **state)
{
	enum virtpmem_write_cache cache;

	assert_int_equal(virtpmem_namespace_get_write_cache(first(state, "region2"), &cache),
			 -EOPNOTSUPP);
}

#define t(fn_, fixture_)	testbed_test(#fn_ " on " fixture_, fn_, fixture_)
#define t_all(fn_) \
	t(fn_, "in-tree-6.1"), t(fn_, "in-tree-6.12"), t(fn_, "virtpmem-6.1"), \
	t(fn_, "virtpmem-6.12")

int main(void)
{
	const struct CMUnitTest tests[] = {
		t_all(namespaces_are_counted),
		t_all(unclaimed_namespace_of_virtio_pmem_is_fsdax),
		t_all(fsdax_has_the_block_device_and_size_of_its_pfn),
		t_all(devdax_has_a_dax_device_and_no_block_device),
		t_all(sector_has_the_block_device_and_size_of_its_btt),
		t(raw_namespace_of_nfit_is_raw, "nfit-6.12"),
		t(several_are_listed_in_order_and_seeds_left_out, "nfit-6.12"),
		t(foreach_visits_all, "nfit-6.12"),
		t(disabled_namespace_has_no_devices, "in-tree-6.12"),
		t(region_without_namespaces_has_none, "in-tree-6.12"),
		t(list_is_read_again_after_a_scan, "in-tree-6.12"),
		t(namespace_of_another_region_is_left_out, "in-tree-6.12"),
		t(mode_that_nobody_knows_is_unknown, "in-tree-6.12"),
		cmocka_unit_test(names_of_modes_are_ndctls),
		t(size_of_a_holder_without_driver_is_the_namespaces, "in-tree-6.12"),
		t(u3_namespace_with_a_malformed_size_is_listed, "in-tree-6.12"),
		t(u3_holder_outside_of_the_region_is_not_followed, "in-tree-6.12"),
		t(u3_namespace_that_goes_during_the_listing_is_left_out, "in-tree-6.12"),
		t(u3_namespace_that_has_gone_answers_with_an_error, "in-tree-6.12"),
		t(write_cache_is_what_the_queue_says_now, "in-tree-6.12"),
		t(write_cache_of_sector_mode_is_write_through, "in-tree-6.12"),
		t(write_cache_of_devdax_is_not_supported, "in-tree-6.12"),
	};

	return cmocka_run_group_tests_name("namespace", tests, NULL, NULL);
}
