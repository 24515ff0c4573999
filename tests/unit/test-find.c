// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding a region by each kind of name. */
#include "testbed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "private.h"

static void check_error(void **state, const char *name, int expected)
{
	struct virtpmem_region *region = NULL;
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	int r;

	assert_true(virtpmem_scan(ctx) >= 0);
	r = virtpmem_region_find(ctx, name, &region);
	if (r != expected)
		fail_msg("%s: %s, not %s", name, strerror(-r), strerror(-expected));
	assert_null(region);
}

static void check(void **state, const char *name, const char *expected)
{
	struct virtpmem_region *region = NULL;
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	int r;

	assert_true(virtpmem_scan(ctx) > 0);
	r = virtpmem_region_find(ctx, name, &region);
	if (r)
		fail_msg("%s: %s", name, strerror(-r));
	assert_string_equal(virtpmem_region_get_devname(region), expected);
}

static void by_its_device_name(void **state)
{
	check(state, "region3", "region3");
}

static void by_its_path(void **state)
{
	check(state, "pci-0000:00:06.0", "region2");
	check(state, "platform-e820_pmem", "region5");
}

static void path_of_several_regions_is_not_unique(void **state)
{
	check_error(state, "acpi-ACPI0012:00", -ENOTUNIQ);
}

static void by_a_namespace(void **state)
{
	check(state, "namespace3.0", "region3");
}

static void namespace_that_is_a_seed_is_not_found(void **state)
{
	check(state, "namespace0.1", "region0");
	check_error(state, "namespace0.2", -ENXIO);
}

static void by_the_name_of_a_block_device(void **state)
{
	check(state, "pmem0", "region0");
	check(state, "pmem3s", "region3");
}

static void by_the_node_of_a_block_device(void **state)
{
	check(state, "/dev/pmem0", "region0");
	check(state, "/dev/pmem1", "region1");
}

static void by_a_name_in_dev_where_there_is_no_node(void **state)
{
	testbed_remove(*state, "dev/pmem1");
	check(state, "/dev/pmem1", "region1");
}

static void by_a_partition(void **state)
{
	check(state, "pmem4p1", "region4");
	check(state, "/dev/pmem4p2", "region4");
}

static void by_a_device_mapper_device(void **state)
{
	check(state, "dm-0", "region4");
	check(state, "/dev/dm-0", "region4");
}

static void by_a_device_mapper_device_on_another(void **state)
{
	check(state, "dm-1", "region4");
}

static void by_a_partition_of_a_stacked_device(void **state)
{
	testbed_mkdir(*state, "sys/devices/virtual/block/dm-1/dm-1p1");
	testbed_write(*state, "sys/devices/virtual/block/dm-1/dm-1p1/partition", "1\n");
	testbed_symlink(*state, "../../devices/virtual/block/dm-1/dm-1p1", "sys/class/block/dm-1p1");
	check(state, "dm-1p1", "region4");
}

static void device_on_several_regions_is_not_unique(void **state)
{
	testbed_symlink(*state, "../../../../pci0000:00/0000:00:04.0/virtio0/ndbus0/region0/"
			"namespace0.0/block/pmem0", "sys/devices/virtual/block/dm-0/slaves/pmem0");
	check_error(state, "dm-1", -ENOTUNIQ);
	assert_true(testbed_logged(*state, "dm-1: stands for several regions"));
}

static void u3_device_stacked_on_itself_ends(void **state)
{
	testbed_remove(*state, "sys/devices/virtual/block/dm-0/slaves/pmem4p1");
	testbed_symlink(*state, "../../dm-1", "sys/devices/virtual/block/dm-0/slaves/dm-1");
	check_error(state, "dm-1", -ELOOP);
}

static void by_the_name_of_a_dax_device(void **state)
{
	check(state, "dax2.0", "region2");
}

static void by_the_name_in_dev_of_a_dax_device(void **state)
{
	testbed_remove(*state, "dev/dax2.0");
	check(state, "/dev/dax2.0", "region2");
}

static void by_the_node_of_a_dax_device(void **state)
{
	/* Only its number leads to it now. */
	testbed_remove(*state, "sys/bus/dax/devices/dax2.0");
	check(state, "/dev/dax2.0", "region2");
}

static void name_of_nothing_is_enxio(void **state)
{
	check_error(state, "region9", -ENXIO);
	check_error(state, "region03", -ENXIO);
	check_error(state, "pmem9", -ENXIO);
	check_error(state, "namespace9.0", -ENXIO);
	check_error(state, "pci-0000:00:1f.0", -ENXIO);
	check_error(state, "/dev/pmem9", -ENXIO);
	check_error(state, "/dev/", -ENXIO);
	check_error(state, "/no/such/directory", -ENXIO);
	check_error(state, "virtio0", -ENXIO);
}

static void block_device_of_no_region_is_enxio(void **state)
{
	testbed_mkdir(*state, "sys/devices/virtual/block/loop0");
	testbed_symlink(*state, "../../devices/virtual/block/loop0", "sys/class/block/loop0");
	check_error(state, "loop0", -ENXIO);
}

static void empty_name_is_invalid(void **state)
{
	check_error(state, "", -EINVAL);
}

static void nothing_is_found_before_a_scan(void **state)
{
	struct virtpmem_region *region = NULL;

	assert_int_equal(virtpmem_region_find(testbed_ctx(*state), "region0", &region), -ENXIO);
	assert_null(region);
}

/* A mount table of the machine that was recorded, with a directory that exists here. */
struct mounts {
	char dir[64];
	char *proc;
	char *file;
};

static struct mounts make_mounts(void **state, const char *lines)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	static struct mounts mounts;
	char *path, *p;
	FILE *f;

	strcpy(mounts.dir, "/tmp/virtpmem-XXXXXX");
	assert_non_null(mkdtemp(mounts.dir));
	assert_true(asprintf(&path, "%s/a b", mounts.dir) > 0);
	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
	testbed_add_proc(*state);
	mounts.proc = testbed_path(*state, "proc");
	ctx->proc = mounts.proc;
	mounts.file = testbed_path(*state, "proc/self/mountinfo");
	f = fopen(mounts.file, "we");
	assert_non_null(f);
	/* '@' in the lines is the directory. */
	for (p = (char *)(uintptr_t)lines; *p; p++) {
		if (*p == '@')
			fputs(mounts.dir, f);
		else
			fputc(*p, f);
	}
	assert_int_equal(fclose(f), 0);
	return mounts;
}

static void drop_mounts(const struct mounts *mounts)
{
	char *path;

	assert_true(asprintf(&path, "%s/a b", mounts->dir) > 0);
	rmdir(path);
	free(path);
	rmdir(mounts->dir);
	free(mounts->file);
	free(mounts->proc);
}

#define ROOT_LINE	"1 1 0:2 / / rw - rootfs rootfs rw,size=436504k,nr_inodes=109126,inode64\n"

static void by_a_mount_point(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE
					   "27 1 259:3 / @ rw,relatime - ext4 /dev/pmem1 rw\n");

	check(state, mounts.dir, "region1");
	drop_mounts(&mounts);
}

static void by_a_mount_point_with_a_space_on_a_stacked_device(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE
					   "27 1 254:1 / @/a\\040b rw,relatime - ext4 /dev/dm-1 rw\n");
	char *path;

	assert_true(asprintf(&path, "%s/a b", mounts.dir) > 0);
	check(state, path, "region4");
	free(path);
	drop_mounts(&mounts);
}

static void by_a_mount_point_with_a_slash_behind(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE
					   "27 1 259:3 / @ rw,relatime - ext4 /dev/pmem1 rw\n");

	strcat(mounts.dir, "/");
	check(state, mounts.dir, "region1");
	drop_mounts(&mounts);
}

static void topmost_of_two_mounts_counts(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE
					   "27 1 259:3 / @ rw - ext4 /dev/pmem1 rw\n"
					   "28 27 259:0 / @ rw - ext4 /dev/pmem0 rw\n");

	check(state, mounts.dir, "region0");
	drop_mounts(&mounts);
}

static void mount_of_a_file_system_over_several_devices_counts_by_its_source(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE
					   "27 1 0:37 / @ rw - btrfs /dev/pmem1 rw\n");

	check(state, mounts.dir, "region1");
	drop_mounts(&mounts);
}

static void directory_below_a_mount_point_is_enxio(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE
					   "27 1 259:3 / @ rw - ext4 /dev/pmem1 rw\n");
	char *path;

	assert_true(asprintf(&path, "%s/a b", mounts.dir) > 0);
	check_error(state, path, -ENXIO);
	free(path);
	drop_mounts(&mounts);
}

static void mount_of_another_device_is_enxio(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE "27 1 0:99 / @ rw - tmpfs tmpfs rw\n");

	check_error(state, mounts.dir, -ENXIO);
	drop_mounts(&mounts);
}

static void file_that_is_no_mount_point_is_enxio(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE);

	check_error(state, "/", -ENXIO);
	check_error(state, "/etc/passwd", -ENXIO);
	check_error(state, ".", -ENXIO);
	check_error(state, "..", -ENXIO);
	check_error(state, mounts.dir, -ENXIO);
	drop_mounts(&mounts);
}

static void u3_mount_table_that_is_missing_is_an_error(void **state)
{
	struct mounts mounts = make_mounts(state, ROOT_LINE);

	unlink(mounts.file);
	check_error(state, mounts.dir, -ENOENT);
	drop_mounts(&mounts);
}

#define t(fn_, fixture_)	testbed_test(#fn_, fn_, fixture_)
#define t_in_tree(fn_) \
	testbed_test(#fn_ " on 6.1", fn_, "in-tree-6.1"), \
	testbed_test(#fn_ " on 6.12", fn_, "in-tree-6.12")

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(by_its_device_name, "in-tree-6.12"),
		t_in_tree(by_its_path),
		t(path_of_several_regions_is_not_unique, "nfit-6.12"),
		t(by_a_namespace, "in-tree-6.12"),
		t(namespace_that_is_a_seed_is_not_found, "nfit-6.12"),
		t_in_tree(by_the_name_of_a_block_device),
		t_in_tree(by_the_node_of_a_block_device),
		t(by_a_name_in_dev_where_there_is_no_node, "in-tree-6.12"),
		t_in_tree(by_a_partition),
		t_in_tree(by_a_device_mapper_device),
		t_in_tree(by_a_device_mapper_device_on_another),
		t(by_a_partition_of_a_stacked_device, "in-tree-6.12"),
		t(device_on_several_regions_is_not_unique, "in-tree-6.12"),
		t(u3_device_stacked_on_itself_ends, "in-tree-6.12"),
		t_in_tree(by_the_name_of_a_dax_device),
		t(by_the_name_in_dev_of_a_dax_device, "in-tree-6.12"),
		t(by_the_node_of_a_dax_device, "in-tree-6.12"),
		t(name_of_nothing_is_enxio, "in-tree-6.12"),
		t(block_device_of_no_region_is_enxio, "in-tree-6.12"),
		t(empty_name_is_invalid, "in-tree-6.12"),
		t(nothing_is_found_before_a_scan, "in-tree-6.12"),
		t(by_a_mount_point, "in-tree-6.12"),
		t(by_a_mount_point_with_a_space_on_a_stacked_device, "in-tree-6.12"),
		t(by_a_mount_point_with_a_slash_behind, "in-tree-6.12"),
		t(topmost_of_two_mounts_counts, "in-tree-6.12"),
		t(mount_of_a_file_system_over_several_devices_counts_by_its_source, "in-tree-6.12"),
		t(directory_below_a_mount_point_is_enxio, "in-tree-6.12"),
		t(mount_of_another_device_is_enxio, "in-tree-6.12"),
		t(file_that_is_no_mount_point_is_enxio, "in-tree-6.12"),
		t(u3_mount_table_that_is_missing_is_an_error, "in-tree-6.12"),
	};

	return cmocka_run_group_tests_name("find", tests, NULL, NULL);
}
