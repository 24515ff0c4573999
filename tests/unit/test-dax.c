// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DAX: devices with their modes and ranges (D2, D7), whether a block device
 * has DAX and if not why (D1), and where a region's memory comes from.
 */
#include "testbed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "private.h"

#define DAX		"region2/dax2.0/dax2.0"
#define DAX_SIZE	UINT64_C(130023424)
#define DAX_START	UINT64_C(0x110400000)
#define UNTOUCHED	UINT64_C(0xa5a5a5a5a5a5a5a5)

static struct virtpmem_dax *dax_of(void **state)
{
	struct virtpmem_dax *dax = virtpmem_dax_get_first(testbed_region(*state, "region2"));

	assert_non_null(dax);
	return dax;
}

/* ------------------------------------------------------------- devices */

static void dax_device_is_listed_with_its_properties(void **state)
{
	struct virtpmem_dax *dax = dax_of(state);
	unsigned int count;
	uint64_t value;
	int node;

	assert_int_equal(virtpmem_region_get_dax_count(testbed_region(*state, "region2"), &count),
			 0);
	assert_int_equal(count, 1);
	dax = dax_of(state);
	assert_string_equal(virtpmem_dax_get_devname(dax), "dax2.0");
	assert_string_equal(virtpmem_dax_get_namespace(dax), "namespace2.0");
	assert_int_equal(virtpmem_dax_get_size(dax, &value), 0);
	assert_int_equal(value, DAX_SIZE);
	assert_int_equal(virtpmem_dax_get_align(dax, &value), 0);
	assert_int_equal(value, 2097152);
	assert_int_equal(virtpmem_dax_get_target_node(dax, &node), 0);
	assert_int_equal(node, 0);
	assert_null(virtpmem_dax_get_next(dax));
}

static void several_dax_devices_are_listed_in_order(void **state)
{
	static const char *const names[] = { "dax2.0", "dax2.3", "dax2.12" };
	struct virtpmem_dax *dax;
	size_t i = 0;

	testbed_mkdir(*state, "region2/dax2.0/dax2.12");
	testbed_mkdir(*state, "region2/dax2.0/dax2.3");
	virtpmem_dax_foreach(testbed_region(*state, "region2"), dax) {
		assert_true(i < ARRAY_SIZE(names));
		assert_string_equal(virtpmem_dax_get_devname(dax), names[i++]);
	}
	assert_int_equal(i, ARRAY_SIZE(names));
}

static void region_without_devdax_has_none(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	unsigned int count = 7;

	assert_null(virtpmem_dax_get_first(region));
	assert_int_equal(virtpmem_region_get_dax_count(region, &count), 0);
	assert_int_equal(count, 0);
}

static void u3_dax_devices_that_cannot_be_listed_are_an_error(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region2");
	unsigned int count = 7;

	testbed_remove_region(*state, "region2");
	assert_int_equal(virtpmem_region_get_dax_count(region, &count), -ENODEV);
	assert_int_equal(count, 7);
	assert_null(virtpmem_dax_get_first(region));
	assert_true(testbed_logged(*state, "cannot list the DAX devices"));
}

static void d7_mode_is_by_the_driver(void **state)
{
	static const struct {
		const char *driver;
		enum virtpmem_dax_mode mode;
		const char *name;
	} modes[] = {
		{ "device_dax", VIRTPMEM_DAX_DEVDAX, "devdax" },
		{ "kmem", VIRTPMEM_DAX_SYSTEM_RAM, "system-ram" },
		{ "fsdev_dax", VIRTPMEM_DAX_FAMFS, "famfs" },
		{ "banana", VIRTPMEM_DAX_UNKNOWN, "unknown" },
		{ NULL, VIRTPMEM_DAX_DISABLED, "disabled" },
	};
	struct virtpmem_dax *dax = dax_of(state);
	enum virtpmem_dax_mode mode;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		testbed_remove(*state, DAX "/driver");
		if (modes[i].driver) {
			char target[64];

			strcpy(target, "../../../bus/dax/drivers/");
			strcat(target, modes[i].driver);
			testbed_symlink(*state, target, DAX "/driver");
		}
		assert_int_equal(virtpmem_dax_get_mode(dax, &mode), 0);
		assert_int_equal(mode, modes[i].mode);
		assert_string_equal(virtpmem_dax_mode_name(mode), modes[i].name);
	}
	assert_string_equal(virtpmem_dax_mode_name((enum virtpmem_dax_mode)99), "unknown");
}

static void mode_of_a_dax_device_that_has_gone_is_an_error(void **state)
{
	struct virtpmem_dax *dax = dax_of(state);
	enum virtpmem_dax_mode mode;
	int node;

	testbed_remove(*state, DAX);
	assert_int_equal(virtpmem_dax_get_mode(dax, &mode), -EOPNOTSUPP);
	assert_int_equal(virtpmem_dax_get_target_node(dax, &node), -EOPNOTSUPP);
	testbed_remove_region(*state, "region2");
	assert_int_equal(virtpmem_dax_get_mode(dax, &mode), -ENODEV);
}

/* ---------------------------------------------------------- D2: the map */

static void add_mapping(struct testbed *tb, const char *name, const char *start, const char *end,
			const char *page_offset)
{
	char dir[64];

	strcpy(dir, DAX "/");
	strcat(dir, name);
	testbed_mkdir(tb, dir);
	testbed_write_in(tb, dir, "start", start);
	testbed_write_in(tb, dir, "end", end);
	testbed_write_in(tb, dir, "page_offset", page_offset);
}

/* Three pages at the top, then one at the bottom, then two in the middle. */
static struct virtpmem_dax_map *map_of_three(void **state)
{
	struct virtpmem_dax *dax = dax_of(state);
	struct virtpmem_dax_map *map = NULL;

	assert_int_equal(sysconf(_SC_PAGESIZE), 4096);
	testbed_write(*state, DAX "/size", "24576\n");
	add_mapping(*state, "mapping2", "0x500000\n", "0x501fff\n", "0x4\n");
	add_mapping(*state, "mapping0", "0x900000\n", "0x902fff\n", "0x0\n");
	add_mapping(*state, "mapping1", "0x100000\n", "0x100fff\n", "0x3\n");
	assert_int_equal(virtpmem_dax_get_map(dax, &map), 0);
	return map;
}

static void d2_map_of_one_range(void **state)
{
	uint64_t offset, address, length;
	struct virtpmem_dax_map *map;

	assert_int_equal(virtpmem_dax_get_map(dax_of(state), &map), 0);
	assert_int_equal(virtpmem_dax_map_get_count(map), 1);
	assert_int_equal(virtpmem_dax_map_get_range(map, 0, &offset, &address, &length), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(address, DAX_START);
	assert_int_equal(length, DAX_SIZE);
	virtpmem_dax_map_unref(map);
}

static void d2_ranges_are_sorted_by_offset(void **state)
{
	static const uint64_t expected[][3] = {
		{ 0, 0x900000, 0x3000 }, { 0x3000, 0x100000, 0x1000 }, { 0x4000, 0x500000, 0x2000 },
	};
	struct virtpmem_dax_map *map = map_of_three(state);
	uint64_t offset, address, length = UNTOUCHED;
	unsigned int i;

	assert_int_equal(virtpmem_dax_map_get_count(map), ARRAY_SIZE(expected));
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(virtpmem_dax_map_get_range(map, i, &offset, &address, &length), 0);
		assert_int_equal(offset, expected[i][0]);
		assert_int_equal(address, expected[i][1]);
		assert_int_equal(length, expected[i][2]);
	}
	length = UNTOUCHED;
	assert_int_equal(virtpmem_dax_map_get_range(map, i, &offset, &address, &length), -ERANGE);
	assert_int_equal(length, UNTOUCHED);
	assert_ptr_equal(virtpmem_dax_map_ref(map), map);
	assert_null(virtpmem_dax_map_unref(map));
	assert_null(virtpmem_dax_map_unref(map));
	assert_null(virtpmem_dax_map_unref(NULL));
}

static void d2_offsets_and_addresses_translate_both_ways(void **state)
{
	static const uint64_t pairs[][2] = {
		{ 0, 0x900000 }, { 0x2fff, 0x902fff }, { 0x3000, 0x100000 }, { 0x3fff, 0x100fff },
		{ 0x4000, 0x500000 }, { 0x5fff, 0x501fff },
	};
	struct virtpmem_dax_map *map = map_of_three(state);
	uint64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_int_equal(virtpmem_dax_map_to_address(map, pairs[i][0], &value), 0);
		assert_int_equal(value, pairs[i][1]);
		assert_int_equal(virtpmem_dax_map_to_offset(map, pairs[i][1], &value), 0);
		assert_int_equal(value, pairs[i][0]);
	}
	virtpmem_dax_map_unref(map);
}

static void d2_outside_is_an_error(void **state)
{
	static const uint64_t addresses[] = {
		0, 0xfffff, 0x101000, 0x4fffff, 0x502000, 0x8fffff, 0x903000, UINT64_MAX,
	};
	struct virtpmem_dax_map *map = map_of_three(state);
	uint64_t value = UNTOUCHED;
	size_t i;

	assert_int_equal(virtpmem_dax_map_to_address(map, 0x6000, &value), -ERANGE);
	assert_int_equal(virtpmem_dax_map_to_address(map, UINT64_MAX, &value), -ERANGE);
	for (i = 0; i < ARRAY_SIZE(addresses); i++)
		assert_int_equal(virtpmem_dax_map_to_offset(map, addresses[i], &value), -ERANGE);
	assert_int_equal(value, UNTOUCHED);
	virtpmem_dax_map_unref(map);
}

static void device_of_size_0_has_no_range(void **state)
{
	struct virtpmem_dax_map *map;
	uint64_t value;

	testbed_write(*state, DAX "/size", "0\n");
	assert_int_equal(virtpmem_dax_get_map(dax_of(state), &map), 0);
	assert_int_equal(virtpmem_dax_map_get_count(map), 0);
	assert_int_equal(virtpmem_dax_map_to_address(map, 0, &value), -ERANGE);
	virtpmem_dax_map_unref(map);
}

static void addresses_that_may_not_be_seen_are_eacces(void **state)
{
	struct virtpmem_dax *dax = dax_of(state);
	struct virtpmem_dax_map *map = NULL;

	testbed_chmod(*state, DAX "/resource", 0);
	testbed_drop_root();
	assert_int_equal(virtpmem_dax_get_map(dax, &map), -EACCES);
	assert_null(map);
}

static void u3_ranges_that_do_not_add_up_are_malformed(void **state)
{
	static const struct {
		const char *size, *start, *end, *page_offset;
	} bad[] = {
		{ "8192\n", "0x1000\n", "0x1fff\n", "0x0\n" },
		{ "4096\n", "0x1000\n", "0x1fff\n", "0x1\n" },
		{ "4096\n", "0x2000\n", "0x1fff\n", "0x0\n" },
		{ "4096\n", "0x0\n", "0xffffffffffffffff\n", "0x0\n" },
		{ "4096\n", "0x1000\n", "0x1fff\n", "0xffffffffffffffff\n" },
		{ "4096\n", "4096\n", "0x1fff\n", "0x0\n" },
		{ "-1\n", "0x1000\n", "0x1fff\n", "0x0\n" },
	};
	struct virtpmem_dax *dax = dax_of(state);
	struct virtpmem_dax_map *map = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		testbed_write(*state, DAX "/size", bad[i].size);
		add_mapping(*state, "mapping0", bad[i].start, bad[i].end, bad[i].page_offset);
		assert_int_equal(virtpmem_dax_get_map(dax, &map), -EBADMSG);
	}
	assert_null(map);
}

static void u3_ranges_that_overlap_or_wrap_are_malformed(void **state)
{
	struct virtpmem_dax *dax = dax_of(state);
	struct virtpmem_dax_map *map = NULL;

	testbed_write(*state, DAX "/size", "8192\n");
	add_mapping(*state, "mapping0", "0x1000\n", "0x1fff\n", "0x0\n");
	add_mapping(*state, "mapping1", "0x9000\n", "0x9fff\n", "0x0\n");
	assert_int_equal(virtpmem_dax_get_map(dax, &map), -EBADMSG);
	add_mapping(*state, "mapping0", "0x0\n", "0xfffffffffffffffe\n", "0x0\n");
	add_mapping(*state, "mapping1", "0x9000\n", "0x9fff\n", "0xfffffffffffff\n");
	assert_int_equal(virtpmem_dax_get_map(dax, &map), -EBADMSG);
	testbed_remove(*state, DAX "/mapping0");
	testbed_remove(*state, DAX "/mapping1");
	testbed_write(*state, DAX "/resource", "0xfffffffffffff001\n");
	assert_int_equal(virtpmem_dax_get_map(dax, &map), -EBADMSG);
	assert_null(map);
}

static void u3_dax_device_with_a_malformed_file_is_an_error(void **state)
{
	struct virtpmem_dax *dax = dax_of(state);
	uint64_t value = UNTOUCHED;
	int node = 7;

	testbed_write(*state, DAX "/size", "-4096\n");
	testbed_write(*state, DAX "/align", "\n");
	testbed_write(*state, DAX "/target_node", "-2\n");
	assert_int_equal(virtpmem_dax_get_size(dax, &value), -EBADMSG);
	assert_int_equal(virtpmem_dax_get_align(dax, &value), -EBADMSG);
	assert_int_equal(virtpmem_dax_get_target_node(dax, &node), -EBADMSG);
	assert_int_equal(value, UNTOUCHED);
	assert_int_equal(node, 7);
}

/* -------------------------------------------------------- D1: is it there? */

static char *boot_dir;

/* A kernel with this configuration. */
static void set_config(void **state, const char *text)
{
	struct utsname name;
	char file[128];

	assert_int_equal(uname(&name), 0);
	testbed_mkdir(*state, "boot");
	strcpy(file, "config-");
	strncat(file, name.release, 65);
	testbed_write_in(*state, "boot", file, text);
	free(boot_dir);
	boot_dir = testbed_path(*state, "boot");
	testbed_ctx(*state)->boot = boot_dir;
}

static void check_dax(void **state, const char *region, bool expected, const char *why)
{
	struct virtpmem_namespace *ns;
	char *reason = (char *)1;
	bool dax = !expected;

	ns = virtpmem_namespace_get_first(testbed_region(*state, region));
	assert_int_equal(virtpmem_namespace_get_dax(ns, &dax, &reason), 0);
	assert_int_equal(dax, expected);
	if (why && (!reason || !strstr(reason, why)))
		fail_msg("\"%s\" does not say \"%s\"", reason ? reason : "", why);
	if (!why)
		assert_null(reason);
	free(reason);
	/* Nobody has to ask for the reason. */
	assert_int_equal(virtpmem_namespace_get_dax(ns, &dax, NULL), 0);
}

static void d1_fsdax_has_dax(void **state)
{
	set_config(state, "CONFIG_ZONE_DEVICE=y\nCONFIG_FS_DAX=y\n");
	check_dax(state, "region0", true, NULL);
	check_dax(state, "region1", true, NULL);
}

static void d1_kernel_without_its_configuration_is_believed(void **state)
{
	testbed_ctx(*state)->boot = "/nonexistent";
	check_dax(state, "region0", true, NULL);
}

static void d1_sector_mode_has_no_dax(void **state)
{
	check_dax(state, "region3", false, "namespace3.0 is in sector mode");
}

static void d1_raw_mode_has_no_dax(void **state)
{
	check_dax(state, "region1", false, "namespace1.0 is in raw mode");
}

static void d1_kernel_without_fs_dax(void **state)
{
	set_config(state, "CONFIG_FS_DAX_PMD=y\n# CONFIG_FS_DAX is not set\n");
	check_dax(state, "region0", false, "CONFIG_FS_DAX");
}

static void d1_kernel_without_zone_device(void **state)
{
	testbed_write(*state, "region0/namespace0.0/block/pmem0/queue/dax", "0\n");
	set_config(state, "# CONFIG_ZONE_DEVICE is not set\n");
	check_dax(state, "region0", false, "CONFIG_ZONE_DEVICE");
}

static void d1_device_without_dax(void **state)
{
	testbed_write(*state, "region0/namespace0.0/block/pmem0/queue/dax", "0\n");
	set_config(state, "CONFIG_ZONE_DEVICE=y\nCONFIG_FS_DAX=y\n");
	check_dax(state, "region0", false, "the driver of pmem0 offers no DAX");
}

static void d1_without_a_block_device_there_is_no_answer(void **state)
{
	struct virtpmem_namespace *ns;
	bool dax;

	ns = virtpmem_namespace_get_first(testbed_region(*state, "region2"));
	assert_int_equal(virtpmem_namespace_get_dax(ns, &dax, NULL), -EOPNOTSUPP);
	assert_int_equal(virtpmem_namespace_get_dax_write_cache(ns, &dax), -EOPNOTSUPP);
}

static void write_cache_of_dax_is_what_its_file_says(void **state)
{
	struct virtpmem_namespace *ns;
	bool cache = false;

	ns = virtpmem_namespace_get_first(testbed_region(*state, "region0"));
	testbed_mkdir(*state, "region0/namespace0.0/block/pmem0/dax");
	testbed_write(*state, "region0/namespace0.0/block/pmem0/dax/write_cache", "1\n");
	assert_int_equal(virtpmem_namespace_get_dax_write_cache(ns, &cache), 0);
	assert_true(cache);
	testbed_write(*state, "region0/namespace0.0/block/pmem0/dax/write_cache", "0\n");
	assert_int_equal(virtpmem_namespace_get_dax_write_cache(ns, &cache), 0);
	assert_false(cache);
}

/* -------------------------------------------------------------- its kind */

static void check_kind(void **state, const char *name, enum virtpmem_region_kind expected,
		       const char *word)
{
	enum virtpmem_region_kind kind;

	assert_int_equal(virtpmem_region_get_kind(testbed_region(*state, name), &kind), 0);
	assert_int_equal(kind, expected);
	assert_string_equal(virtpmem_region_kind_name(kind), word);
}

static void kind_of_what_was_recorded(void **state)
{
	check_kind(state, "region0", VIRTPMEM_KIND_VIRTIO, "virtio-pmem");
	check_kind(state, "region5", VIRTPMEM_KIND_E820, "e820");
}

static void kind_of_nfit(void **state)
{
	check_kind(state, "region0", VIRTPMEM_KIND_NFIT, "nfit");
}

static void kind_by_the_provider_or_the_driver(void **state)
{
	testbed_write(*state, "region5/../provider", "CXL\n");
	check_kind(state, "region5", VIRTPMEM_KIND_CXL, "cxl");
	testbed_write(*state, "region5/../provider", "pmem@100000000\n");
	check_kind(state, "region5", VIRTPMEM_KIND_OTHER, "other");
	testbed_remove(*state, "region5/../../driver");
	testbed_symlink(*state, "../../../bus/platform/drivers/of_pmem", "region5/../../driver");
	check_kind(state, "region5", VIRTPMEM_KIND_OF, "of_pmem");
	testbed_remove(*state, "region5/../../driver");
	testbed_symlink(*state, "../../../bus/platform/drivers/papr_scm", "region5/../../driver");
	check_kind(state, "region5", VIRTPMEM_KIND_PAPR, "papr_scm");
	testbed_remove(*state, "region5/../../driver");
	check_kind(state, "region5", VIRTPMEM_KIND_OTHER, "other");
	assert_string_equal(virtpmem_region_kind_name((enum virtpmem_region_kind)99), "other");
}

static int teardown(void **state)
{
	free(boot_dir);
	boot_dir = NULL;
	return testbed_teardown(state);
}

#define t_on(fn_, fixture_) \
	{ \
		.name = #fn_, .test_func = (fn_), .setup_func = testbed_setup, \
		.teardown_func = teardown, .initial_state = (void *)(uintptr_t)(fixture_), \
	}
#define t(fn_)	t_on(fn_, "in-tree-6.12")

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(dax_device_is_listed_with_its_properties),
		t(several_dax_devices_are_listed_in_order),
		t(region_without_devdax_has_none),
		t(u3_dax_devices_that_cannot_be_listed_are_an_error),
		t(d7_mode_is_by_the_driver),
		t(mode_of_a_dax_device_that_has_gone_is_an_error),
		t(d2_map_of_one_range),
		t(d2_ranges_are_sorted_by_offset),
		t(d2_offsets_and_addresses_translate_both_ways),
		t(d2_outside_is_an_error),
		t(device_of_size_0_has_no_range),
		t(addresses_that_may_not_be_seen_are_eacces),
		t(u3_ranges_that_do_not_add_up_are_malformed),
		t(u3_ranges_that_overlap_or_wrap_are_malformed),
		t(u3_dax_device_with_a_malformed_file_is_an_error),
		t(d1_fsdax_has_dax),
		t(d1_kernel_without_its_configuration_is_believed),
		t(d1_sector_mode_has_no_dax),
		t_on(d1_raw_mode_has_no_dax, "nfit-6.12"),
		t(d1_kernel_without_fs_dax),
		t(d1_kernel_without_zone_device),
		t(d1_device_without_dax),
		t(d1_without_a_block_device_there_is_no_answer),
		t(write_cache_of_dax_is_what_its_file_says),
		t(kind_of_what_was_recorded),
		t_on(kind_of_nfit, "nfit-6.12"),
		t(kind_by_the_provider_or_the_driver),
	};

	return cmocka_run_group_tests_name("dax", tests, NULL, NULL);
}
