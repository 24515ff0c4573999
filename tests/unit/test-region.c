// SPDX-License-Identifier: GPL-2.0-or-later
/* The scan, who owns a region, and what libnvdimm says of it. */
#include "testbed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- scan */

static void machine_without_libnvdimm_has_no_regions(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	assert_int_equal(virtpmem_scan(ctx), 0);
	assert_null(virtpmem_region_get_first(ctx));
}

static void machine_with_an_empty_bus_has_no_regions(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	testbed_mkdir(*state, "sys/bus");
	testbed_mkdir(*state, "sys/bus/nd");
	testbed_mkdir(*state, "sys/bus/nd/devices");
	assert_int_equal(virtpmem_scan(ctx), 0);
}

static void every_region_is_found_in_the_order_of_numbers(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	struct virtpmem_region *region;
	unsigned int id = 0;

	assert_int_equal(virtpmem_scan(ctx), 6);
	virtpmem_region_foreach(ctx, region) {
		char name[32];

		snprintf(name, sizeof(name), "region%u", id);
		assert_int_equal(virtpmem_region_get_id(region), id);
		assert_string_equal(virtpmem_region_get_devname(region), name);
		id++;
	}
	assert_int_equal(id, 6);
}

static void region10_comes_after_region9(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	struct virtpmem_region *region;
	static const unsigned int ids[] = { 10, 6, 11, 8, 7, 9 };	/* listed in no order */
	unsigned int last = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		unsigned int id = ids[i];
		char dir[64], file[80], link[64], target[64];

		snprintf(dir, sizeof(dir), "sys/devices/region%u", id);
		testbed_mkdir(*state, dir);
		snprintf(file, sizeof(file), "%s/uevent", dir);
		testbed_write(*state, file, "");
		snprintf(target, sizeof(target), "../../../devices/region%u", id);
		snprintf(link, sizeof(link), "sys/bus/nd/devices/region%u", id);
		testbed_symlink(*state, target, link);
	}
	assert_int_equal(virtpmem_scan(ctx), 12);
	virtpmem_region_foreach(ctx, region) {
		assert_true(!virtpmem_region_get_id(region) ||
			    virtpmem_region_get_id(region) == last + 1);
		last = virtpmem_region_get_id(region);
	}
	assert_int_equal(last, 11);
}

static void names_that_only_look_like_regions_are_left_out(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	testbed_symlink(*state, "region0", "sys/bus/nd/devices/region007");
	testbed_symlink(*state, "region0", "sys/bus/nd/devices/regions");
	testbed_symlink(*state, "region0", "sys/bus/nd/devices/region-1");
	testbed_symlink(*state, "region0", "sys/bus/nd/devices/region99999999999");
	assert_int_equal(virtpmem_scan(ctx), 6);
}

static void region_that_goes_during_the_scan_is_left_out(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	/* Its link is still listed, and leads nowhere. */
	testbed_remove(*state, "sys/devices/platform/e820_pmem/ndbus5/region5");
	assert_int_equal(virtpmem_scan(ctx), 5);
}

static void link_out_of_the_device_tree_is_an_error(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	testbed_symlink(*state, "/etc", "sys/bus/nd/devices/region7");
	assert_int_equal(virtpmem_scan(ctx), -EBADMSG);
	assert_true(testbed_logged(*state, "/sys/bus/nd/devices/region7: "));
}

static void failed_scan_leaves_the_list_as_it_was(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region3");
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	uint64_t size;

	testbed_symlink(*state, "/etc", "sys/bus/nd/devices/region7");
	assert_int_equal(virtpmem_scan(ctx), -EBADMSG);
	assert_non_null(virtpmem_region_get_first(ctx));
	assert_int_equal(virtpmem_region_get_size(region, &size), 0);
}

/* ---------------------------------------------------------- ownership */

static void referenced_region_stays_valid_after_the_next_scan(void **state)
{
	struct virtpmem_region *region = virtpmem_region_ref(testbed_region(*state, "region1"));
	uint64_t size = 0;

	assert_int_equal(virtpmem_scan(testbed_ctx(*state)), 6);
	assert_string_equal(virtpmem_region_get_devname(region), "region1");
	assert_int_equal(virtpmem_region_get_size(region, &size), 0);
	assert_int_equal(size, 134217728);
	assert_null(virtpmem_region_get_next(region));
	assert_null(virtpmem_region_unref(region));
}

static void referenced_region_keeps_its_context(void **state)
{
	struct virtpmem_region *region;
	struct virtpmem_ctx *ctx;
	uint64_t size;

	(void)state;
	assert_int_equal(virtpmem_new(&ctx), 0);
	assert_int_equal(virtpmem_scan(ctx), 6);
	region = virtpmem_region_ref(virtpmem_region_ref(virtpmem_region_get_first(ctx)));
	assert_null(virtpmem_unref(ctx));
	assert_int_equal(virtpmem_region_get_size(region, &size), 0);
	virtpmem_region_unref(region);
	assert_int_equal(virtpmem_region_get_size(region, &size), 0);
	virtpmem_region_unref(region);
}

static void copy_outlives_the_region_and_its_context(void **state)
{
	struct virtpmem_region *copy, *region;
	struct virtpmem_ctx *ctx, *other;
	char *provider;

	(void)state;
	assert_int_equal(virtpmem_new(&ctx), 0);
	assert_int_equal(virtpmem_new(&other), 0);
	assert_int_equal(virtpmem_scan(ctx), 6);
	region = virtpmem_region_get_first(ctx);
	assert_int_equal(virtpmem_region_copy(region, other, &copy), 0);
	assert_ptr_not_equal(copy, region);
	virtpmem_unref(ctx);
	virtpmem_unref(other);
	assert_string_equal(virtpmem_region_get_devname(copy), "region0");
	assert_string_equal(virtpmem_region_get_path(copy), "pci-0000:00:04.0");
	assert_int_equal(virtpmem_region_get_id(copy), 0);
	assert_null(virtpmem_region_get_next(copy));
	assert_int_equal(virtpmem_region_get_provider(copy, &provider), 0);
	free(provider);
	assert_null(virtpmem_region_unref(copy));
}

/* U6: nor is a copy one of what has the name now. */
static void u6_copy_of_a_region_that_has_gone_is_enodev(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0"), *copy = NULL;

	testbed_remove_region(*state, "region0");
	testbed_symlink(*state, "region1", "sys/bus/nd/devices/region0");
	assert_int_equal(virtpmem_region_copy(region, testbed_ctx(*state), &copy), -ENODEV);
	assert_null(copy);
}

/* U6: what was opened at the scan is asked, not what has the name now. */
static void u6_region_of_the_same_name_is_not_the_same_region(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	uint64_t size = 1;

	testbed_remove_region(*state, "region0");
	testbed_symlink(*state, "region1", "sys/bus/nd/devices/region0");
	assert_int_equal(virtpmem_region_get_size(region, &size), -ENODEV);
	assert_int_equal(size, 1);
}

static void u6_region_that_came_back_in_the_same_place_is_another_one(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	uint64_t size;

	testbed_remove_region(*state, "region0");
	testbed_mkdir(*state, "sys/devices/pci0000:00/0000:00:04.0/virtio0/ndbus0/region0");
	testbed_write(*state, "sys/devices/pci0000:00/0000:00:04.0/virtio0/ndbus0/region0/size",
		      "5\n");
	assert_int_equal(virtpmem_region_get_size(region, &size), -ENODEV);
}

static void region_that_has_gone_is_enodev(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	enum virtpmem_flush_method method;
	enum virtpmem_driver driver;
	unsigned int count = 7;
	char *text = NULL;

	testbed_remove_region(*state, "region0");
	assert_int_equal(virtpmem_region_get_driver(region, &driver), -ENODEV);
	assert_int_equal(virtpmem_region_get_provider(region, &text), -ENODEV);
	assert_int_equal(virtpmem_region_get_module(region, &text), -ENODEV);
	assert_int_equal(virtpmem_region_get_flush_method(region, &method, NULL), -ENODEV);
	assert_int_equal(virtpmem_region_flush(region, 0, NULL), -ENODEV);
	assert_int_equal(virtpmem_region_flush(region, 1000, NULL), -ENODEV);
	assert_int_equal(virtpmem_region_get_namespace_count(region, &count), -ENODEV);
	assert_int_equal(count, 7);
	assert_null(virtpmem_namespace_get_first(region));
	assert_null(text);
	assert_true(testbed_logged(*state, "the region has gone"));
}

/* --------------------------------------------------------- properties */

static void path_of_virtio_is_the_device_that_carries_it(void **state)
{
	assert_string_equal(virtpmem_region_get_path(testbed_region(*state, "region0")),
			    "pci-0000:00:04.0");
	assert_string_equal(virtpmem_region_get_path(testbed_region(*state, "region3")),
			    "pci-0000:00:07.0");
}

static void path_of_e820_is_its_platform_device(void **state)
{
	assert_string_equal(virtpmem_region_get_path(testbed_region(*state, "region5")),
			    "platform-e820_pmem");
}

static void path_of_nfit_is_its_acpi_device(void **state)
{
	assert_string_equal(virtpmem_region_get_path(testbed_region(*state, "region0")),
			    "acpi-ACPI0012:00");
}

static void path_is_null_where_no_bus_tells_it(void **state)
{
	testbed_remove(*state, "sys/devices/platform/e820_pmem/subsystem");
	assert_null(virtpmem_region_get_path(testbed_region(*state, "region5")));
}

static void properties_of_virtio_pmem_are_the_kernels(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	enum virtpmem_region_type type;
	char *text = NULL;
	uint64_t value;
	bool read_only;
	int node;

	assert_int_equal(virtpmem_region_get_size(region, &value), 0);
	assert_int_equal(value, 134217728);
	assert_int_equal(virtpmem_region_get_resource(region, &value), 0);
	assert_int_equal(value, 0x100000000);
	assert_int_equal(virtpmem_region_get_numa_node(region, &node), 0);
	assert_int_equal(node, 0);
	assert_int_equal(virtpmem_region_get_read_only(region, &read_only), 0);
	assert_false(read_only);
	assert_int_equal(virtpmem_region_get_type(region, &type), 0);
	assert_int_equal(type, VIRTPMEM_REGION_PMEM);
	assert_int_equal(virtpmem_region_get_provider(region, &text), 0);
	assert_string_equal(text, "virtio-pmem");
	free(text);
}

static void numa_node_can_be_unknown(void **state)
{
	int node = 0;

	/* The in-tree driver of 6.1 does not set it. */
	assert_int_equal(virtpmem_region_get_numa_node(testbed_region(*state, "region0"), &node), 0);
	assert_int_equal(node, -1);
}

static void what_virtio_pmem_has_not_is_not_supported(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	uint64_t size = 7;
	char *text = NULL;

	assert_int_equal(virtpmem_region_get_available_size(region, &size), -EOPNOTSUPP);
	assert_int_equal(virtpmem_region_get_persistence_domain(region, &text), -EOPNOTSUPP);
	assert_int_equal(size, 7);
	assert_null(text);
}

static void properties_of_nfit_are_the_kernels(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	char *text = NULL;
	uint64_t size;

	assert_int_equal(virtpmem_region_get_size(region, &size), 0);
	assert_int_equal(size, 133955584);
	assert_int_equal(virtpmem_region_get_available_size(region, &size), 0);
	assert_int_not_equal(size, 0);
	assert_int_equal(virtpmem_region_get_persistence_domain(region, &text), 0);
	assert_string_equal(text, "memory_controller");
	free(text);
	assert_int_equal(virtpmem_region_get_provider(region, &text), 0);
	assert_string_equal(text, "ACPI.NFIT");
	free(text);
}

static void empty_persistence_domain_is_not_supported(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	char *text = NULL;

	testbed_write(*state, "region0/persistence_domain", "\n");
	assert_int_equal(virtpmem_region_get_persistence_domain(region, &text), -EOPNOTSUPP);
	assert_null(text);
}

static void type_that_nobody_knows_is_unknown(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	enum virtpmem_region_type type;

	testbed_write(*state, "region0/devtype", "nd_crystal\n");
	assert_int_equal(virtpmem_region_get_type(region, &type), 0);
	assert_int_equal(type, VIRTPMEM_REGION_UNKNOWN);
}

static void names_of_types_are_ndctls(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_region_type_name(VIRTPMEM_REGION_PMEM), "pmem");
	assert_string_equal(virtpmem_region_type_name(VIRTPMEM_REGION_VOLATILE), "volatile");
	assert_string_equal(virtpmem_region_type_name(VIRTPMEM_REGION_BLK), "blk");
	assert_string_equal(virtpmem_region_type_name((enum virtpmem_region_type)99), "unknown");
}

static void value_is_read_at_the_call(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	bool read_only = false;

	testbed_write(*state, "region0/read_only", "1\n");
	assert_int_equal(virtpmem_region_get_read_only(region, &read_only), 0);
	assert_true(read_only);
}

#define t(fn_, fixture_)	testbed_test(#fn_, fn_, fixture_)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(machine_without_libnvdimm_has_no_regions, NULL),
		t(machine_with_an_empty_bus_has_no_regions, NULL),
		t(every_region_is_found_in_the_order_of_numbers, "in-tree-6.1"),
		t(every_region_is_found_in_the_order_of_numbers, "in-tree-6.12"),
		t(region10_comes_after_region9, "in-tree-6.12"),
		t(names_that_only_look_like_regions_are_left_out, "in-tree-6.12"),
		t(region_that_goes_during_the_scan_is_left_out, "in-tree-6.12"),
		t(link_out_of_the_device_tree_is_an_error, "in-tree-6.12"),
		t(failed_scan_leaves_the_list_as_it_was, "in-tree-6.12"),
		t(referenced_region_stays_valid_after_the_next_scan, "in-tree-6.12"),
		t(referenced_region_keeps_its_context, "in-tree-6.12"),
		t(copy_outlives_the_region_and_its_context, "in-tree-6.12"),
		t(u6_copy_of_a_region_that_has_gone_is_enodev, "in-tree-6.12"),
		t(u6_region_of_the_same_name_is_not_the_same_region, "in-tree-6.12"),
		t(u6_region_that_came_back_in_the_same_place_is_another_one, "in-tree-6.12"),
		t(region_that_has_gone_is_enodev, "in-tree-6.12"),
		t(region_that_has_gone_is_enodev, "virtpmem-6.12"),
		t(path_of_virtio_is_the_device_that_carries_it, "in-tree-6.1"),
		t(path_of_virtio_is_the_device_that_carries_it, "virtpmem-6.12"),
		t(path_of_e820_is_its_platform_device, "in-tree-6.12"),
		t(path_of_nfit_is_its_acpi_device, "nfit-6.12"),
		t(path_is_null_where_no_bus_tells_it, "in-tree-6.12"),
		t(properties_of_virtio_pmem_are_the_kernels, "in-tree-6.12"),
		t(properties_of_virtio_pmem_are_the_kernels, "virtpmem-6.12"),
		t(numa_node_can_be_unknown, "in-tree-6.1"),
		t(what_virtio_pmem_has_not_is_not_supported, "in-tree-6.12"),
		t(properties_of_nfit_are_the_kernels, "nfit-6.12"),
		t(empty_persistence_domain_is_not_supported, "nfit-6.12"),
		t(type_that_nobody_knows_is_unknown, "in-tree-6.12"),
		t(names_of_types_are_ndctls, NULL),
		t(value_is_read_at_the_call, "in-tree-6.12"),
	};

	return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
