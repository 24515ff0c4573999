// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bad ranges: merging, and moving them from layer to layer (D3), and a device
 * that is lost as a whole (D4). A snapshot is compared as text, one line a
 * range: LAYER DEVICE OFFSET LENGTH [whole].
 */
#include "testbed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "ranges.h"

#define PMEM0		"region0/namespace0.0/block/pmem0"
#define PMEM1		"region1/pfn1.0/block/pmem1"
#define PMEM4		"region4/namespace4.0/block/pmem4"
/* As where a test writes the list of a block device alone. */
#define DIFFER		"list other bad blocks of the same memory"

/* ---------------------------------------------------------------- sets */

static void check_set(const struct vp_ranges *set, const char *expected)
{
	char text[256] = "";
	size_t i;

	for (i = 0; i < set->count; i++)
		sprintf(text + strlen(text), "%" PRIu64 "+%" PRIu64 " ", set->range[i].start,
			set->range[i].length);
	assert_string_equal(text, expected);
}

static void d3_ranges_are_merged_in_any_order(void **state)
{
	static const struct {
		struct vp_range add[4];
		const char *expected;
	} table[] = {
		{ { { 0, 1 }, { 1, 1 }, { 2, 1 } }, "0+3 " },
		{ { { 2, 1 }, { 1, 1 }, { 0, 1 } }, "0+3 " },
		{ { { 0, 1 }, { 2, 1 } }, "0+1 2+1 " },
		{ { { 2, 1 }, { 0, 1 } }, "0+1 2+1 " },
		{ { { 0, 1 }, { 2, 1 }, { 4, 1 }, { 1, 3 } }, "0+5 " },
		{ { { 0, 10 }, { 2, 3 } }, "0+10 " },
		{ { { 2, 3 }, { 0, 10 } }, "0+10 " },
		{ { { 5, 5 }, { 7, 5 }, { 20, 1 } }, "5+7 20+1 " },
		{ { { 20, 1 }, { 5, 5 }, { 10, 1 } }, "5+6 20+1 " },
		{ { { 5, 0 } }, "" },
		{ { { UINT64_MAX - 1, 1 } }, "18446744073709551614+1 " },
	};
	struct vp_ranges set;
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		set = (struct vp_ranges) { .range = NULL };
		for (j = 0; j < ARRAY_SIZE(table[i].add); j++)
			assert_int_equal(vp_ranges_add(&set, table[i].add[j].start,
						       table[i].add[j].length), 0);
		check_set(&set, table[i].expected);
		vp_ranges_done(&set);
	}
	assert_int_equal(vp_ranges_add(&set, UINT64_MAX, 2), -ERANGE);
	check_set(&set, "");
}

static void d3_part_of_a_set_is_moved(void **state)
{
	struct vp_ranges set = { .range = NULL }, moved = { .range = NULL };

	(void)state;
	assert_int_equal(vp_ranges_add(&set, 100, 50), 0);
	assert_int_equal(vp_ranges_add(&set, 200, 50), 0);
	assert_int_equal(vp_ranges_add(&set, 300, 50), 0);
	assert_int_equal(vp_ranges_move(&set, 120, 190, 1000, &moved), 0);
	check_set(&moved, "1000+30 1080+50 1180+10 ");
	vp_ranges_done(&moved);
	assert_int_equal(vp_ranges_move(&set, 150, 50, 0, &moved), 0);
	check_set(&moved, "");
	assert_int_equal(vp_ranges_move(&set, 340, UINT64_MAX, 0, &moved), 0);
	check_set(&moved, "0+10 ");
	assert_int_equal(vp_ranges_move(&set, 0, 1000, UINT64_MAX - 20, &moved), -ERANGE);
	vp_ranges_done(&moved);
	vp_ranges_done(&set);
}

static void u3_list_is_parsed_strictly(void **state)
{
	static const struct {
		const char *text;
		int error;
		bool cut;
		const char *expected;
	} table[] = {
		{ "", 0, false, "" },
		{ "0 8\n", 0, false, "0+4096 " },
		{ "0 8\n8 8\n100 1\n", 0, false, "0+8192 51200+512 " },
		{ "0 8\n10", 0, true, "0+4096 " },
		{ "0 8\n\n", -EBADMSG, false, NULL },
		{ "0 0\n", -EBADMSG, false, NULL },
		{ "0\n", -EBADMSG, false, NULL },
		{ "0 8 9\n", -EBADMSG, false, NULL },
		{ " 0 8\n", -EBADMSG, false, NULL },
		{ "-1 8\n", -EBADMSG, false, NULL },
		{ "0 -8\n", -EBADMSG, false, NULL },
		{ "36028797018963968 1\n", -EBADMSG, false, NULL },
		{ "36028797018963967 1\n", -EBADMSG, false, NULL },
		{ "1 36028797018963967\n", -EBADMSG, false, NULL },
		{ "0 18446744073709551616\n", -EBADMSG, false, NULL },
		{ "0 8\nbanana\n", -EBADMSG, false, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct vp_ranges set = { .range = NULL };
		char *text = strdup(table[i].text);
		bool cut = false;
		int r = vp_ranges_parse(text, &set, &cut);

		if (r != table[i].error || cut != table[i].cut)
			fail_msg("\"%s\": %d", table[i].text, r);
		check_set(&set, table[i].expected ? table[i].expected : "");
		vp_ranges_done(&set);
		free(text);
	}
}

/* -------------------------------------------------------------- regions */

static char *render(struct virtpmem_bad_ranges *ranges)
{
	struct virtpmem_bad_range *range;
	char *text = strdup("");

	virtpmem_bad_range_foreach(ranges, range) {
		char *longer;

		assert_true(asprintf(&longer, "%s%s %s %" PRIu64 " %" PRIu64 "%s\n", text,
				     virtpmem_bad_layer_name(virtpmem_bad_range_get_layer(range)),
				     virtpmem_bad_range_get_device(range),
				     virtpmem_bad_range_get_offset(range),
				     virtpmem_bad_range_get_length(range),
				     virtpmem_bad_range_is_whole(range) ? " whole" : "") > 0);
		free(text);
		text = longer;
	}
	return text;
}

/* @missing: words that say what is missing; NULL if nothing is. */
static void check_region(struct virtpmem_region *region, const char *expected,
			 const char *missing)
{
	struct virtpmem_bad_ranges *ranges = NULL;
	const char *why;
	char *text;

	assert_int_equal(virtpmem_region_get_bad_ranges(region, &ranges), 0);
	text = render(ranges);
	assert_string_equal(text, expected);
	free(text);
	why = virtpmem_bad_ranges_get_missing(ranges);
	assert_int_equal(virtpmem_bad_ranges_is_complete(ranges), !missing);
	if (missing && !strstr(why, missing))
		fail_msg("\"%s\" does not say \"%s\"", why, missing);
	if (!missing && why)
		fail_msg("missing: %s", why);
	virtpmem_bad_ranges_unref(ranges);
}

static void check(void **state, const char *region, const char *expected, const char *missing)
{
	check_region(testbed_region(*state, region), expected, missing);
}

static void nothing_is_bad(void **state)
{
	check(state, "region0", "", NULL);
	check(state, "region1", "", NULL);
	check(state, "region2", "", NULL);
	check(state, "region3", "", NULL);
	check(state, "region4", "", NULL);
}

static void d3_range_of_a_raw_namespace(void **state)
{
	testbed_write(*state, "region0/badblocks", "8 8\n16 8\n1000 1\n");
	testbed_write(*state, PMEM0 "/badblocks", "8 16\n1000 1\n");
	check(state, "region0",
	      "region region0 4096 8192\nregion region0 512000 512\n"
	      "namespace namespace0.0 4096 8192\nnamespace namespace0.0 512000 512\n"
	      "block pmem0 4096 8192\nblock pmem0 512000 512\n", NULL);
}

/* Each is given as the kernel has it: reads of the block device fail on its own list. */
static void d3_lists_that_differ_are_both_given(void **state)
{
	testbed_write(*state, "region0/badblocks", "8 8\n");
	check(state, "region0",
	      "region region0 4096 4096\nnamespace namespace0.0 4096 4096\n", DIFFER);
	testbed_write(*state, PMEM0 "/badblocks", "8 16\n");
	check(state, "region0",
	      "region region0 4096 4096\nnamespace namespace0.0 4096 4096\n"
	      "block pmem0 4096 8192\n", DIFFER);
	testbed_write(*state, "region0/badblocks", "");
	check(state, "region0", "block pmem0 4096 8192\n", DIFFER);
}

/* What the region's list has before the data of a block device is not in that one's. */
static void d3_bad_metadata_is_no_difference(void **state)
{
	testbed_write(*state, "region1/badblocks", "0 8\n");
	check(state, "region1",
	      "region region1 0 4096\nnamespace namespace1.0 0 4096\n", NULL);
}

/* Those that are longer than a page are compared as little as those without an address. */
static void d3_lists_that_are_not_whole_are_not_compared(void **state)
{
	testbed_write(*state, "region0/badblocks", "8 8\n100");
	check(state, "region0",
	      "region region0 4096 4096\nnamespace namespace0.0 4096 4096\n",
	      "the kernel has more than it shows");
	testbed_write(*state, "region0/badblocks", "8 8\n");
	testbed_remove(*state, "region0/resource");
	check(state, "region0", "region region0 4096 4096\n", "resource");
}

/* The block device starts 4 MiB into the namespace, and has its own list. */
static void d3_block_device_on_a_pfn_counts_from_its_data(void **state)
{
	testbed_write(*state, "region1/badblocks", "8192 8\n");
	testbed_write(*state, PMEM1 "/badblocks", "0 8\n");
	check(state, "region1",
	      "region region1 4194304 4096\nnamespace namespace1.0 4194304 4096\n"
	      "block pmem1 0 4096\n", NULL);
}

/* Lists that were read when the devices were not there say nothing of them. */
static void d3_devices_that_come_later_are_looked_at(void **state)
{
	static const struct {
		const char *region, *list, *device, *away, *expected, *missing;
	} table[] = {
		{ "region0", PMEM0 "/badblocks", "region0/namespace0.0/block",
		  "region0/namespace0.0/away",
		  "block pmem0 4096 4096\n", DIFFER },
		{ "region2", "region2/badblocks", "region2/dax2.0/dax2.0", "region2/dax2.0/away",
		  "region region2 4194304 4096\nnamespace namespace2.0 4194304 4096\n"
		  "dax dax2.0 0 4096\n", NULL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct virtpmem_region *region = testbed_region(*state, table[i].region);
		char *here = testbed_path(*state, table[i].device);
		char *away = testbed_path(*state, table[i].away);
		unsigned int count;

		assert_int_equal(rename(here, away), 0);
		assert_non_null(virtpmem_namespace_get_first(region));
		assert_int_equal(virtpmem_region_get_dax_count(region, &count), 0);
		check_region(region, "", NULL);
		assert_int_equal(rename(away, here), 0);
		testbed_write(*state, table[i].list, i ? "8192 8\n" : "8 8\n");
		check_region(region, table[i].expected, table[i].missing);
		free(here);
		free(away);
	}
}

static void d3_dax_device_counts_from_its_range(void **state)
{
	testbed_write(*state, "region2/badblocks", "0 8\n8192 8\n");
	check(state, "region2",
	      "region region2 0 4096\nregion region2 4194304 4096\n"
	      "namespace namespace2.0 0 4096\nnamespace namespace2.0 4194304 4096\n"
	      "dax dax2.0 0 4096\n", NULL);
}

/* The damage spans the border of two ranges that the device has the other way round. */
static void d3_dax_device_of_two_ranges(void **state)
{
	static const char *const files[][4] = {
		{ "mapping0", "0x110402000\n", "0x110402fff\n", "0x0\n" },
		{ "mapping1", "0x110401000\n", "0x110401fff\n", "0x1\n" },
	};
	size_t i;

	testbed_write(*state, "region2/dax2.0/dax2.0/size", "8192\n");
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		char dir[64] = "region2/dax2.0/dax2.0/";

		strcat(dir, files[i][0]);
		testbed_mkdir(*state, dir);
		testbed_write_in(*state, dir, "start", files[i][1]);
		testbed_write_in(*state, dir, "end", files[i][2]);
		testbed_write_in(*state, dir, "page_offset", files[i][3]);
	}
	/* From the last sector of the lower range to the first of the upper. */
	testbed_write(*state, "region2/badblocks", "8207 2\n");
	check(state, "region2",
	      "region region2 4201984 1024\nnamespace namespace2.0 4201984 1024\n"
	      "dax dax2.0 0 512\ndax dax2.0 7680 512\n", NULL);
}

static void d3_blocks_in_sector_mode_cannot_be_told(void **state)
{
	testbed_write(*state, "region3/badblocks", "8 8\n");
	check(state, "region3",
	      "region region3 4096 4096\nnamespace namespace3.0 4096 4096\n",
	      "which blocks of pmem3s are bad cannot be told");
}

static void d3_partition_counts_from_its_start(void **state)
{
	testbed_write(*state, PMEM4 "/badblocks", "104448 8\n169984 8\n");
	check(state, "region4",
	      "block pmem4 53477376 4096\nblock pmem4 87031808 4096\npartition pmem4p2 0 4096\n",
	      DIFFER);
}

static void d3_what_is_stacked_on_it_cannot_be_told(void **state)
{
	testbed_write(*state, PMEM4 "/badblocks", "2000 100\n");
	check(state, "region4",
	      "block pmem4 1024000 51200\npartition pmem4p1 0 26624\n",
	      "how dm-0 lies on pmem4p1");
}

static void d4_all_of_a_device_is_one_range(void **state)
{
	testbed_write(*state, PMEM0 "/badblocks", "0 131072\n131072 131072\n");
	check(state, "region0", "block pmem0 0 134217728 whole\n", DIFFER);
}

static void d4_device_that_has_gone_is_one_range(void **state)
{
	testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON), "gone\n");
	testbed_write(*state, "region0/badblocks", "8 8\n");
	check(state, "region0", "region region0 0 134217728 whole\n", NULL);
}

static void range_past_the_end_is_cut_to_the_device(void **state)
{
	testbed_write(*state, PMEM0 "/badblocks", "262136 512\n300000 8\n");
	check(state, "region0", "block pmem0 134213632 4096\n", DIFFER);
}

static void without_addresses_the_lower_layers_are_missing(void **state)
{
	testbed_write(*state, "region0/badblocks", "8 8\n");
	testbed_chmod(*state, "region0/resource", 0);
	testbed_drop_root();
	check(state, "region0", "region region0 4096 4096\n", "resource: Permission denied");
}

static void without_a_list_it_is_missing(void **state)
{
	testbed_remove(*state, "region0/badblocks");
	check(state, "region0", "", "badblocks: the kernel does not say");
}

static void u3_list_longer_than_a_page_is_missing_its_end(void **state)
{
	testbed_write(*state, "region0/badblocks", "8 8\n100");
	check(state, "region0", "region region0 4096 4096\nnamespace namespace0.0 4096 4096\n",
	      "the kernel has more than it shows");
}

static void u3_malformed_files_are_missing(void **state)
{
	static const struct {
		const char *region, *file, *text;
	} table[] = {
		{ "region0", "region0/badblocks", "banana\n" },
		{ "region0", PMEM0 "/badblocks", "8\n" },
		{ "region0", PMEM0 "/size", "18446744073709551615\n" },
		{ "region0", "region0/namespace0.0/holder", "banana\n" },
		{ "region4", PMEM4 "/pmem4p1/start", "-1\n" },
	};
	size_t i;

	testbed_write(*state, "region0/badblocks", "8 8\n");
	testbed_write(*state, PMEM0 "/badblocks", "8 8\n");
	check(state, "region0",
	      "region region0 4096 4096\nnamespace namespace0.0 4096 4096\n"
	      "block pmem0 4096 4096\n", NULL);
	testbed_write(*state, PMEM4 "/badblocks", "2000 100\n");
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct virtpmem_bad_ranges *ranges = NULL;
		char *before = testbed_read(*state, table[i].file);
		struct virtpmem_region *region;

		testbed_write(*state, table[i].file, table[i].text);
		region = testbed_region(*state, table[i].region);
		assert_int_equal(virtpmem_region_get_bad_ranges(region, &ranges), 0);
		assert_false(virtpmem_bad_ranges_is_complete(ranges));
		virtpmem_bad_ranges_unref(ranges);
		testbed_write(*state, table[i].file, before);
		free(before);
	}
}

static void u3_list_that_is_binary_or_huge_is_missing(void **state)
{
	char *huge = malloc(1 << 20);

	testbed_write_data(*state, "region0/badblocks", "8 8\n\0\n", 6);
	check(state, "region0", "", "badblocks");
	memset(huge, '1', 1 << 20);
	testbed_write_data(*state, "region0/badblocks", huge, 1 << 20);
	check(state, "region0", "", "badblocks");
	free(huge);
}

static void u3_address_that_wraps_is_an_error(void **state)
{
	struct virtpmem_bad_ranges *ranges = NULL;

	testbed_write(*state, "region0/badblocks", "8 8\n");
	testbed_write(*state, "region0/resource", "0xffffffffffffffff\n");
	assert_int_equal(virtpmem_region_get_bad_ranges(testbed_region(*state, "region0"),
							&ranges), -EBADMSG);
	assert_null(ranges);
}

static void region_that_has_gone_is_enodev(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_bad_ranges *ranges = NULL;

	testbed_remove_region(*state, "region0");
	assert_int_equal(virtpmem_region_get_bad_ranges(region, &ranges), -ENODEV);
	assert_null(ranges);
}

static void snapshot_is_counted(void **state)
{
	struct virtpmem_bad_ranges *ranges = NULL;

	assert_int_equal(virtpmem_region_get_bad_ranges(testbed_region(*state, "region0"),
							&ranges), 0);
	assert_ptr_equal(virtpmem_bad_ranges_ref(ranges), ranges);
	assert_null(virtpmem_bad_ranges_unref(ranges));
	assert_null(virtpmem_bad_range_get_first(ranges));
	assert_null(virtpmem_bad_ranges_unref(ranges));
	assert_null(virtpmem_bad_ranges_unref(NULL));
	assert_string_equal(virtpmem_bad_layer_name((enum virtpmem_bad_layer)99), "unknown");
}

#define t(fn_)	testbed_test(#fn_, fn_, "in-tree-6.12")

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d3_ranges_are_merged_in_any_order),
		cmocka_unit_test(d3_part_of_a_set_is_moved),
		cmocka_unit_test(u3_list_is_parsed_strictly),
		t(nothing_is_bad),
		t(d3_range_of_a_raw_namespace),
		t(d3_lists_that_differ_are_both_given),
		t(d3_bad_metadata_is_no_difference),
		t(d3_lists_that_are_not_whole_are_not_compared),
		t(d3_block_device_on_a_pfn_counts_from_its_data),
		t(d3_devices_that_come_later_are_looked_at),
		t(d3_dax_device_counts_from_its_range),
		t(d3_dax_device_of_two_ranges),
		t(d3_blocks_in_sector_mode_cannot_be_told),
		t(d3_partition_counts_from_its_start),
		t(d3_what_is_stacked_on_it_cannot_be_told),
		t(d4_all_of_a_device_is_one_range),
		testbed_test("d4_device_that_has_gone_is_one_range",
			     d4_device_that_has_gone_is_one_range, "virtpmem-6.12"),
		t(range_past_the_end_is_cut_to_the_device),
		t(without_addresses_the_lower_layers_are_missing),
		t(without_a_list_it_is_missing),
		t(u3_list_longer_than_a_page_is_missing_its_end),
		t(u3_malformed_files_are_missing),
		t(u3_list_that_is_binary_or_huge_is_missing),
		t(u3_address_that_wraps_is_an_error),
		t(region_that_has_gone_is_enodev),
		t(snapshot_is_counted),
	};

	return cmocka_run_group_tests_name("bad ranges", tests, NULL, NULL);
}
