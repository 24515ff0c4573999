// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who holds a region, on a recorded sysfs and a procfs that each test lays
 * out as it needs it. A tree is compared as text, one line a holder:
 *
 *	KIND NAME on DEVICE [PATH] [pid PID]
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/kcmp.h>

#include "private.h"
#include "syscalls.h"

/* ------------------------------------------------- what is not recorded */

/* The device that opening fails on, and how. */
static const char *refused;
static int refusal;
static unsigned int claims;

/* What all threads of a process have in common, as bits by KCMP_*; -1: that cannot be told. */
static int in_common;

static bool answer_kcmp(long number, const long args[6], long *ret)
{
	if (number != SYS_kcmp)
		return false;
	errno = ENOSYS;
	*ret = in_common < 0 ? -1 : !(in_common & 1 << args[2]);
	return true;
}

int __real_vp_open_node(const char *name, mode_t type, int flags, dev_t *devno);
int __wrap_vp_open_node(const char *name, mode_t type, int flags, dev_t *devno);
int __real_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret);

int __wrap_vp_open_node(const char *name, mode_t type, int flags, dev_t *devno)
{
	if (flags & O_EXCL)
		claims++;
	if (refused && !strcmp(name, refused))
		return refusal;
	return __real_vp_open_node(name, type, flags, devno);
}

int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret)
{
	return testbed_statx(dirfd, path, ret) ? 0 : __real_statx(dirfd, path, flags, mask, ret);
}

/* ------------------------------------------------------- laying it out */

static char *proc_dir;

static int setup(void **state)
{
	struct testbed *tb = testbed_new(*state);

	*state = tb;
	testbed_add_proc(tb);
	proc_dir = testbed_path(tb, "proc");
	testbed_ctx(tb)->proc = proc_dir;
	refused = NULL;
	claims = 0;
	in_common = 1 << KCMP_FS | 1 << KCMP_FILES | 1 << KCMP_VM;
	syscall_hook = answer_kcmp;
	return 0;
}

static int teardown(void **state)
{
	testbed_teardown(state);
	free(proc_dir);
	return 0;
}

/* ---------------------------------------------------------- looking at it */

static void render(char **text, struct virtpmem_holder *holder, int depth)
{
	for (; holder; holder = virtpmem_holder_get_next(holder)) {
		const char *path = virtpmem_holder_get_path(holder);
		char *longer, pid[32] = "";

		if (virtpmem_holder_get_pid(holder))
			snprintf(pid, sizeof(pid), " pid %d", (int)virtpmem_holder_get_pid(holder));
		assert_true(asprintf(&longer, "%s%*s%s %s on %s%s%s%s\n", *text, 2 * depth, "",
				     virtpmem_holder_kind_name(virtpmem_holder_get_kind(holder)),
				     virtpmem_holder_get_name(holder),
				     virtpmem_holder_get_device(holder), path ? " " : "",
				     path ? path : "", pid) > 0);
		free(*text);
		*text = longer;
		render(text, virtpmem_holder_get_child(holder), depth + 1);
	}
}

static struct virtpmem_holders *get(void **state, const char *region)
{
	struct virtpmem_holders *holders = NULL;

	assert_int_equal(virtpmem_region_get_holders(testbed_region(*state, region), 0, &holders),
			 0);
	return holders;
}

static void check_tree(struct virtpmem_holders *holders, const char *expected)
{
	char *text = strdup("");

	render(&text, virtpmem_holder_get_first(holders), 0);
	assert_string_equal(text, expected);
	free(text);
}

/* All of it, and nothing missing. */
static void check(void **state, const char *region, const char *expected)
{
	struct virtpmem_holders *holders = get(state, region);

	check_tree(holders, expected);
	if (virtpmem_holders_get_missing(holders))
		fail_msg("missing: %s", virtpmem_holders_get_missing(holders));
	assert_true(virtpmem_holders_is_complete(holders));
	virtpmem_holders_unref(holders);
}

/* What can be seen, and that something cannot, with @why in the words. */
static void check_missing(void **state, const char *region, const char *expected, const char *why)
{
	struct virtpmem_holders *holders = get(state, region);
	const char *missing = virtpmem_holders_get_missing(holders);

	check_tree(holders, expected);
	assert_false(virtpmem_holders_is_complete(holders));
	assert_non_null(missing);
	if (!strstr(missing, why))
		fail_msg("\"%s\" does not say \"%s\"", missing, why);
	assert_true(testbed_logged(*state, missing));
	virtpmem_holders_unref(holders);
}

/* ------------------------------------------------------------- snapshot */

/* Mounts and processes are of the moment at which the first region was asked about. */
static void snapshot_is_shared_by_the_regions(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	testbed_set_mounts(*state, "27 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n");
	virtpmem_snapshot_begin(ctx);
	check(state, "region0", "mount ext4 on pmem0 /data\n");
	testbed_set_mounts(*state, "27 1 0:37 / /other rw - btrfs /dev/pmem1 rw\n");
	check(state, "region1", "");
	check(state, "region0", "mount ext4 on pmem0 /data\n");
	virtpmem_snapshot_begin(ctx);
	check(state, "region1", "mount btrfs on pmem1 /other\n");
	testbed_set_mounts(*state, "");
	virtpmem_snapshot_end(ctx);
	check(state, "region1", "");
}

/* What could not be seen is missing for each region, and freed once for each. */
static void snapshot_is_incomplete_for_all(void **state)
{
	testbed_set_mounts(*state, "nonsense\n");
	virtpmem_snapshot_begin(testbed_ctx(*state));
	check_missing(state, "region0", "", "mountinfo");
	check_missing(state, "region1", "", "mountinfo");
}

/* --------------------------------------------------------------- mounts */

static void region_that_nobody_uses_has_no_holder(void **state)
{
	check(state, "region0", "");
	check(state, "region2", "");
	assert_int_equal(claims, 1);
}

static void mounted_file_system(void **state)
{
	testbed_set_mounts(*state, "27 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n");
	check(state, "region0", "mount ext4 on pmem0 /data\n");
	check(state, "region1", "");
}

/* As the kernel escapes them; the caller gets the bytes that the directory's name has. */
static void u3_mount_points_are_told_byte_by_byte(void **state)
{
	testbed_set_mounts(*state, "27 1 259:0 / /a\\012b\\040\\134\x1b[2J\xff\xc0\x80\"{dev} "
			   "rw - ext4 /dev/pmem0 rw\n");
	check(state, "region0", "mount ext4 on pmem0 /a\nb \\\x1b[2J\xff\xc0\x80\"{dev}\n");
}

static void bind_mounts_are_holders_of_their_own(void **state)
{
	testbed_set_mounts(*state, "27 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n"
		   "28 1 259:0 /sub /other\\040place rw - ext4 /dev/pmem0 rw\n");
	check(state, "region0", "mount ext4 on pmem0 /data\nmount ext4 on pmem0 /other place\n");
}

static void mount_tells_what_of_the_file_system_it_shows(void **state)
{
	struct virtpmem_holders *holders;
	struct virtpmem_holder *holder;

	testbed_set_mounts(*state, "27 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n"
		   "28 1 259:0 /a\\040b /other rw - ext4 /dev/pmem0 rw\n");
	holders = get(state, "region0");
	holder = virtpmem_holder_get_first(holders);
	assert_string_equal(virtpmem_holder_get_root(holder), "/");
	holder = virtpmem_holder_get_next(holder);
	assert_string_equal(virtpmem_holder_get_root(holder), "/a b");
	virtpmem_holders_unref(holders);
	testbed_set_mounts(*state, "");
	testbed_write(*state, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
		      "/dev/pmem0\tpartition\t8\t0\t-2\n");
	holders = get(state, "region0");
	assert_null(virtpmem_holder_get_root(virtpmem_holder_get_first(holders)));
	virtpmem_holders_unref(holders);
}

static void mount_without_barriers_drops_flushes(void **state)
{
	static const struct {
		const char *options;
		bool drops;
	} table[] = {
		{ "rw", false }, { "rw,nobarrier", true }, { "nobarrier,x=1", true },
		{ "rw,barrier=0,x", true }, { "rw,barrier=1", false }, { "rw,nobarriers", false },
		{ "rw,fsync_mode=nobarrier", true },
	};
	struct virtpmem_holders *holders;
	char line[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		snprintf(line, sizeof(line), "27 1 259:0 / /data rw - ext4 /dev/pmem0 %s\n",
			 table[i].options);
		testbed_set_mounts(*state, line);
		holders = get(state, "region0");
		assert_int_equal(virtpmem_holder_drops_flushes(virtpmem_holder_get_first(holders)),
				 table[i].drops);
		virtpmem_holders_unref(holders);
	}
}

static void mount_in_another_namespace_has_a_process(void **state)
{
	testbed_add_process(*state, "55", "mnt:[2]");
	testbed_write(*state, "proc/55/mountinfo",
		      "90 1 259:0 / /hidden rw - xfs /dev/pmem0 rw\n");
	check(state, "region0", "mount xfs on pmem0 /hidden pid 55\n");
}

static void mount_in_another_root_of_the_same_namespace_is_seen(void **state)
{
	testbed_add_process(*state, "55", "mnt:[1]");
	testbed_remove(*state, "proc/55/root");
	testbed_symlink(*state, "/usr", "proc/55/root");
	testbed_write(*state, "proc/55/mountinfo",
		      "90 1 259:0 / /inside rw - ext4 /dev/pmem0 rw\n");
	check(state, "region0", "mount ext4 on pmem0 /inside pid 55\n");
}

/* For whoever has changed root, that of the machine is "/" as well. */
static void root_of_the_same_name_is_another_root(void **state)
{
	testbed_add_process(*state, "55", "mnt:[1]");
	testbed_remove(*state, "proc/self/root");
	testbed_remove(*state, "proc/55/root");
	testbed_symlink(*state, "ns", "proc/self/root");
	testbed_symlink(*state, "ns", "proc/55/root");
	testbed_write(*state, "proc/55/mountinfo",
		      "90 1 259:0 / /inside rw - ext4 /dev/pmem0 rw\n");
	check(state, "region0", "mount ext4 on pmem0 /inside pid 55\n");
}

static void mount_that_several_namespaces_share_counts_once(void **state)
{
	testbed_set_mounts(*state, "27 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n");
	testbed_add_process(*state, "55", "mnt:[2]");
	testbed_write(*state, "proc/55/mountinfo",
		      "90 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n");
	check(state, "region0", "mount ext4 on pmem0 /data\n");
}

static void mount_of_btrfs_by_its_source(void **state)
{
	testbed_set_mounts(*state, "27 1 0:37 / /data rw - btrfs /dev/pmem0 rw\n");
	check(state, "region0", "mount btrfs on pmem0 /data\n");
}

static void mount_of_btrfs_by_its_second_device(void **state)
{
	testbed_set_mounts(*state, "27 1 0:37 / /data rw - btrfs /dev/pmem0 rw\n");
	testbed_add_btrfs(*state, "pmem0", "pmem1");
	check(state, "region1", "mount btrfs on pmem1 /data\n");
	check(state, "region3", "");
}

/* Over two volumes, of which the mount table names one, and not as sysfs does. */
static void mount_of_btrfs_by_a_second_volume(void **state)
{
	testbed_set_mounts(*state, "27 1 0:37 / /data rw - btrfs /dev/first rw\n");
	testbed_add_block(*state, "dm-7", "254:7\n");
	testbed_add_block_node(*state, "first", "254:7\n");
	testbed_mkdir(*state, "sys/dev/block");
	testbed_symlink(*state, "../../devices/virtual/block/dm-7", "sys/dev/block/254:7");
	testbed_add_btrfs(*state, "dm-7", "pmem1");
	check(state, "region1", "mount btrfs on pmem1 /data\n");
}

static void mount_of_several_devices_by_each_in_its_source(void **state)
{
	testbed_set_mounts(*state, "27 1 0:37 / /data rw - bcachefs /dev/pmem0:/dev/pmem1 rw\n");
	check(state, "region1", "mount bcachefs on pmem1 /data\n");
}

static void external_log_of_xfs(void **state)
{
	testbed_set_mounts(*state,
			   "27 1 259:0 / /data rw - xfs /dev/pmem0 rw,logdev=/dev/pmem1,x=1\n"
			   "28 1 259:0 / /bind rw - xfs /dev/pmem0 rw,logdev=/dev/pmem1,x=1\n");
	check(state, "region1",
	      "log xfs on pmem1\n  mount xfs on pmem1 /data\n  mount xfs on pmem1 /bind\n");
}

static void realtime_device_of_xfs(void **state)
{
	testbed_set_mounts(*state, "27 1 8:3 / /data rw - xfs /dev/sda3 rw,rtdev=/dev/pmem1\n");
	check(state, "region1", "mount xfs on pmem1 /data\n");
}

static void external_journal_of_ext4(void **state)
{
	struct testbed *tb = *state;

	testbed_set_mounts(tb, "27 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n");
	testbed_add_journal(tb, "pmem1", "pmem0");
	testbed_mkdir(tb, "sys/fs/ext4/features");
	check(state, "region1", "log ext4 on pmem1\n  mount ext4 on pmem1 /data\n");
}

static void journal_inside_is_no_holder_of_its_own(void **state)
{
	testbed_mkdir(*state, "proc/fs");
	testbed_mkdir(*state, "proc/fs/jbd2");
	testbed_mkdir(*state, "proc/fs/jbd2/pmem1-8");
	check(state, "region1", "");
}

static void journal_of_a_file_system_that_nobody_shows(void **state)
{
	testbed_mkdir(*state, "proc/fs");
	testbed_mkdir(*state, "proc/fs/jbd2");
	testbed_mkdir(*state, "proc/fs/jbd2/pmem1");
	check(state, "region1", "log ext4 on pmem1\n");
}

/* --------------------------------------------------------------- stacks */

static void stacked_devices_are_followed_to_the_mount(void **state)
{
	testbed_set_mounts(*state, "27 1 254:1 / /top rw - ext4 /dev/mapper/top rw\n"
		   "28 1 259:10 / /second rw - ext4 /dev/pmem4p2 rw\n");
	testbed_write(*state, "region4/namespace4.0/block/pmem4/pmem4p2/dev", "259:10\n");
	check(state, "region4",
	      "dm dm-0 on pmem4p1 /dev/mapper/lin\n"
	      "  dm dm-1 on dm-0 /dev/mapper/top\n"
	      "    mount ext4 on dm-1 /top\n"
	      "mount ext4 on pmem4p2 /second\n");
}

static void logical_volume_is_lvm(void **state)
{
	testbed_write(*state, "sys/devices/virtual/block/dm-0/dm/uuid", "LVM-0123\n");
	testbed_write(*state, "sys/devices/virtual/block/dm-0/dm/name", "vg-data\n");
	testbed_remove(*state, "sys/devices/virtual/block/dm-0/holders/dm-1");
	check(state, "region4", "lvm dm-0 on pmem4p1 /dev/mapper/vg-data\n");
}

static void raid_array_is_md(void **state)
{
	testbed_add_block(*state, "md127", "9:127\n");
	testbed_mkdir(*state, "sys/devices/virtual/block/md127/md");
	testbed_symlink(*state, "../../../../../../../../../virtual/block/md127",
			"region0/namespace0.0/block/pmem0/holders/md127");
	refused = "md127";
	refusal = -ENOENT;
	check_missing(state, "region0", "md md127 on pmem0 /dev/md127\n",
		      "whether md127 is claimed cannot be tried: No such file");
}

static void device_that_nobody_knows_is_block(void **state)
{
	testbed_add_block(*state, "bcache0", "252:0\n");
	testbed_symlink(*state, "../../../../../../../../../virtual/block/bcache0",
			"region0/namespace0.0/block/pmem0/holders/bcache0");
	testbed_set_mounts(*state, "27 1 252:0 / /cached rw - ext4 /dev/bcache0 rw\n");
	check(state, "region0",
	      "block bcache0 on pmem0 /dev/bcache0\n  mount ext4 on bcache0 /cached\n");
}

static void swap_on_the_device(void **state)
{
	testbed_write(*state, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
		      "/dev/pmem0 partition\t100\t0\t-2\n");
	check(state, "region0", "swap swap on pmem0 /dev/pmem0\n");
}

/* The file is one of the testbed's, whose file system stands for that of the region. */
static char *file_on(struct testbed *tb, const char *region_devno_file)
{
	char *file = testbed_path(tb, "file"), *line;
	struct stat st;

	testbed_write(tb, "file", "");
	assert_int_equal(stat(file, &st), 0);
	assert_true(asprintf(&line, "%u:%u\n", major(st.st_dev), minor(st.st_dev)) > 0);
	testbed_write(tb, region_devno_file, line);
	free(line);
	return file;
}

static void set_mount_of(struct testbed *tb, const char *devno_file, const char *fstype)
{
	char *devno = testbed_read(tb, devno_file), *line, *root = testbed_path(tb, "");

	devno[strlen(devno) - 1] = '\0';
	root[strlen(root) - 1] = '\0';
	assert_true(asprintf(&line, "27 1 %s / %s rw - %s /dev/pmem0 rw\n", devno, root,
			     fstype) > 0);
	testbed_set_mounts(tb, line);
	free(line);
	free(root);
	free(devno);
}

#define PMEM0_DEV	"region0/namespace0.0/block/pmem0/dev"

static void swap_file_belongs_to_the_mount(void **state)
{
	char *file = file_on(*state, PMEM0_DEV), *root = testbed_path(*state, ""), *text;

	set_mount_of(*state, PMEM0_DEV, "ext4");
	assert_true(asprintf(&text, "Filename\tType\tSize\tUsed\tPriority\n%s file\t1\t0\t-2\n",
			     file) > 0);
	testbed_write(*state, "proc/swaps", text);
	free(text);
	root[strlen(root) - 1] = '\0';
	assert_true(asprintf(&text, "mount ext4 on pmem0 %s\n  swap swap on pmem0 %s\n", root,
			     file) > 0);
	check(state, "region0", text);
	free(text);
	free(root);
	free(file);
}

static void loop_device_on_a_file_is_followed(void **state)
{
	char *file = file_on(*state, PMEM0_DEV), *root = testbed_path(*state, ""), *text, *mounts;

	set_mount_of(*state, PMEM0_DEV, "ext4");
	mounts = testbed_read(*state, "proc/self/mountinfo");
	assert_true(asprintf(&text, "%s30 1 7:0 / /image rw - ext4 /dev/loop0 rw\n", mounts) > 0);
	testbed_write(*state, "proc/self/mountinfo", text);
	free(text);
	testbed_add_loop(*state, "loop0", "7:0\n", file);
	root[strlen(root) - 1] = '\0';
	assert_true(asprintf(&text, "mount ext4 on pmem0 %s\n  loop loop0 on pmem0 %s\n"
			     "    mount ext4 on loop0 /image\n", root, file) > 0);
	check(state, "region0", text);
	free(text);
	free(mounts);
	free(root);
	free(file);
}

/* It does not claim the device, so somebody else still may. */
static void loop_device_on_the_device(void **state)
{
	testbed_add_loop(*state, "loop0", "7:0\n", "/dev/pmem0");
	testbed_set_mounts(*state, "30 1 7:0 / /image rw - ext4 /dev/loop0 rw\n");
	check(state, "region0",
	      "loop loop0 on pmem0 /dev/pmem0\n  mount ext4 on loop0 /image\n");
	refused = "pmem0";
	refusal = -EBUSY;
	check(state, "region0",
	      "loop loop0 on pmem0 /dev/pmem0\n  mount ext4 on loop0 /image\n"
	      "unknown held by kernel on pmem0\n");
}

static void loop_device_that_is_not_in_use_is_left_out(void **state)
{
	testbed_add_block(*state, "loop0", "7:0\n");
	check(state, "region0", "");
}

/* ------------------------------------------------------------- processes */

static void process_that_has_the_block_device_open(void **state)
{
	testbed_add_process(*state, "55", "mnt:[1]");
	testbed_symlink(*state, "/dev/pmem0", "proc/55/fd/3");
	testbed_symlink(*state, "/dev/pmem0", "proc/55/fd/4");
	testbed_symlink(*state, "/dev/pmem1", "proc/55/fd/5");
	testbed_symlink(*state, "socket:[12]", "proc/55/fd/6");
	check(state, "region0", "open postgres on pmem0 pid 55\n");
}

static void process_that_has_the_dax_device_mapped(void **state)
{
	testbed_add_process(*state, "55", "mnt:[1]");
	testbed_symlink(*state, "/dev/dax2.0", "proc/55/map_files/7f0000000000-7f0000200000");
	testbed_symlink(*state, "/dev/pmem0", "proc/55/map_files/5000-6000");
	testbed_write(*state, "proc/55/maps",
		      "1000-2000 rw-p 00000000 00:00 0 \n"
		      "5000-6000 rw-s 00000000 00:05 998                        /dev/pmem0\n"
		      "7f0000000000-7f0000200000 rw-s 00000000 00:05 999          /dev/dax2.0\n"
		      "7f0000200000-7f0000400000 rw-s 00200000 00:05 999          /dev/dax2.0\n");
	check(state, "region2", "mapped postgres on dax2.0 pid 55\n");
	check(state, "region0", "mapped postgres on pmem0 pid 55\n");
}

static void process_that_has_the_dax_device_open(void **state)
{
	testbed_add_process(*state, "55", "mnt:[1]");
	testbed_symlink(*state, "/dev/dax2.0", "proc/55/fd/3");
	testbed_write(*state, "proc/55/comm", "\033[2J\n");
	check(state, "region2", "open ? on dax2.0 pid 55\n");
}

#define STACK4	"dm dm-0 on pmem4p1 /dev/mapper/lin\n  dm dm-1 on dm-0 /dev/mapper/top\n"

/* Process 55 has pmem1 open; its thread 56 has pmem0 open, and pmem4 mapped. */
static void add_thread(struct testbed *tb)
{
	testbed_add_process(tb, "55", "mnt:[1]");
	testbed_symlink(tb, "/dev/pmem1", "proc/55/fd/3");
	testbed_add_process(tb, "55/task/56", "mnt:[1]");
	testbed_symlink(tb, "/dev/pmem0", "proc/55/task/56/fd/3");
	testbed_write(tb, "proc/55/task/56/maps",
		      "5000-6000 rw-s 00000000 00:05 998                        /dev/pmem4\n");
	testbed_mkdir(tb, "proc/56");
	testbed_mkdir(tb, "proc/56/map_files");
	testbed_symlink(tb, "/dev/pmem4", "proc/56/map_files/5000-6000");
}

/* The first thread has neither links nor descriptors nor mappings any more. */
static void d5_process_whose_first_thread_has_exited_is_seen(void **state)
{
	add_thread(*state);
	testbed_remove(*state, "proc/55/ns/mnt");
	testbed_remove(*state, "proc/55/root");
	testbed_remove(*state, "proc/55/fd/3");
	in_common = 0;
	check(state, "region0", "open postgres on pmem0 pid 55\n");
	check(state, "region1", "");
	check(state, "region4", STACK4 "mapped postgres on pmem4 pid 55\n");
}

static void d5_thread_with_its_own_descriptors_is_seen(void **state)
{
	add_thread(*state);
	in_common &= ~(1 << KCMP_FILES);
	check(state, "region0", "open postgres on pmem0 pid 55\n");
	check(state, "region1", "open postgres on pmem1 pid 55\n");
}

static void d5_thread_with_its_own_mounts_is_seen(void **state)
{
	add_thread(*state);
	testbed_remove(*state, "proc/55/task/56/ns/mnt");
	testbed_symlink(*state, "mnt:[2]", "proc/55/task/56/ns/mnt");
	testbed_write(*state, "proc/55/task/56/mountinfo",
		      "90 1 259:0 / /hidden rw - xfs /dev/pmem0 rw\n");
	in_common = 0;
	check(state, "region0",
	      "mount xfs on pmem0 /hidden pid 56\nopen postgres on pmem0 pid 55\n");
}

/* What threads have in common is read once, from either: a process may have thousands. */
static void what_threads_share_is_read_once(void **state)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *first = NULL, *second = NULL;

	add_thread(*state);
	first = get(state, "region0");
	second = get(state, "region1");
	assert_int_not_equal(!virtpmem_holder_get_first(first),
			     !virtpmem_holder_get_first(second));
}

static void d5_threads_that_cannot_be_compared_are_all_read(void **state)
{
	add_thread(*state);
	in_common = -1;
	check(state, "region0", "open postgres on pmem0 pid 55\n");
	check(state, "region1", "open postgres on pmem1 pid 55\n");
	check(state, "region4", STACK4 "mapped postgres on pmem4 pid 55\n");
}

static void d5_thread_that_may_not_be_seen_is_missing(void **state)
{
	add_thread(*state);
	in_common = 0;
	testbed_chmod(*state, "proc/55/task/56/fd", 0);
	testbed_drop_root();
	check_missing(state, "region0", "", "/55 cannot be read: Permission denied");
}

static void process_that_goes_meanwhile_is_left_out(void **state)
{
	testbed_mkdir(*state, "proc/55");
	check(state, "region0", "");
}

static void dax_device_that_is_memory(void **state)
{
	testbed_remove(*state, "region2/dax2.0/dax2.0/driver");
	testbed_symlink(*state, "../../../../../../../../bus/dax/drivers/kmem",
			"region2/dax2.0/dax2.0/driver");
	check(state, "region2", "system-ram kmem on dax2.0\n");
}

static void dax_device_that_is_mounted(void **state)
{
	testbed_set_mounts(*state, "27 1 0:50 / /famfs rw - famfs /dev/dax2.0 rw\n");
	check(state, "region2", "mount famfs on dax2.0 /famfs\n");
}

/* ---------------------------------------------------------------- claims */

static void holder_without_a_trace_is_unknown(void **state)
{
	refused = "pmem0";
	refusal = -EBUSY;
	check(state, "region0", "unknown held by kernel on pmem0\n");
}

static void claim_on_a_partition_or_on_top_is_unknown_there(void **state)
{
	refused = "pmem4p2";
	refusal = -EBUSY;
	check(state, "region4",
	      "dm dm-0 on pmem4p1 /dev/mapper/lin\n"
	      "  dm dm-1 on dm-0 /dev/mapper/top\n"
	      "unknown held by kernel on pmem4p2\n");
	refused = "dm-1";
	check(state, "region4",
	      "dm dm-0 on pmem4p1 /dev/mapper/lin\n"
	      "  dm dm-1 on dm-0 /dev/mapper/top\n"
	      "    unknown held by kernel on dm-1\n");
}

static void claim_that_a_mount_explains_is_not_unknown(void **state)
{
	refused = "pmem0";
	refusal = -EBUSY;
	testbed_set_mounts(*state, "27 1 259:0 / /data rw - ext4 /dev/pmem0 rw\n");
	check(state, "region0", "mount ext4 on pmem0 /data\n");
}

static void claim_of_the_caller_is_not_tried_nor_shown(void **state)
{
	struct virtpmem_holders *holders = NULL;
	char pid[32], *link;

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	testbed_add_process(*state, pid, "mnt:[1]");
	assert_true(asprintf(&link, "proc/%s/fd/3", pid) > 0);
	testbed_symlink(*state, "/dev/pmem0", link);
	free(link);
	assert_int_equal(virtpmem_region_get_holders(testbed_region(*state, "region0"),
						     VIRTPMEM_HOLDERS_CLAIMED, &holders), 0);
	assert_null(virtpmem_holder_get_first(holders));
	assert_true(virtpmem_holders_is_complete(holders));
	assert_int_equal(claims, 0);
	virtpmem_holders_unref(holders);
}

static void unknown_flag_is_invalid(void **state)
{
	struct virtpmem_holders *holders = NULL;

	assert_int_equal(virtpmem_region_get_holders(testbed_region(*state, "region0"), 1 << 7,
						     &holders), -EINVAL);
	assert_null(holders);
}

/* --------------------------------------------------- what may not be seen */

static void device_that_may_not_be_claimed_is_missing(void **state)
{
	refused = "pmem0";
	refusal = -EACCES;
	check_missing(state, "region0", "", "whether pmem0 is claimed cannot be tried: Permission");
}

static void node_of_another_device_is_missing(void **state)
{
	testbed_write(*state, PMEM0_DEV, "259:99\n");
	check_missing(state, "region0", "", "whether pmem0 is claimed cannot be tried: Stale");
}

static void descriptors_that_may_not_be_seen_are_missing(void **state)
{
	testbed_chmod(*state, "proc/1/fd", 0);
	testbed_drop_root();
	check_missing(state, "region0", "", "/1 cannot be read: Permission denied");
}

static void mappings_that_may_not_be_seen_are_missing(void **state)
{
	testbed_chmod(*state, "proc/1/maps", 0);
	testbed_drop_root();
	check_missing(state, "region0", "", "/1 cannot be read: Permission denied");
}

static void mounts_that_may_not_be_seen_are_missing(void **state)
{
	testbed_remove(*state, "proc/self/mountinfo");
	check_missing(state, "region0", "", "self/mountinfo");
}

static void processes_that_are_hidden_are_missing(void **state)
{
	testbed_remove(*state, "proc/1");
	check_missing(state, "region0", "", "hides the processes of others");
}

static void processes_of_another_namespace_are_missing(void **state)
{
	testbed_remove(*state, "proc/self/ns/pid");
	testbed_symlink(*state, "pid:[4026532000]", "proc/self/ns/pid");
	check_missing(state, "region0", "", "outside of this PID namespace");
}

/* There is "mnt" in "ns" all the same; without it, it is not known what there is. */
static void kernel_without_pid_namespaces_hides_none(void **state)
{
	testbed_remove(*state, "proc/self/ns/pid");
	check(state, "region0", "");
	testbed_remove(*state, "proc/self/ns/mnt");
	check_missing(state, "region0", "", "outside of this PID namespace");
}

static void procfs_that_is_not_there_is_missing(void **state)
{
	testbed_ctx(*state)->proc = "/nonexistent";
	check_missing(state, "region0", "", "/nonexistent");
}

static void swap_that_cannot_be_told_is_missing(void **state)
{
	testbed_write(*state, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
		      "/nonexistent/swap\\040(deleted) file\t100\t0\t-2\n");
	check_missing(state, "region0", "", "what the swap space /nonexistent/swap lies on");
}

static void loop_device_that_cannot_be_told_is_missing(void **state)
{
	testbed_add_loop(*state, "loop0", "7:0\n", "/nonexistent/image (deleted)");
	check_missing(state, "region0", "", "what loop0 lies on cannot be told");
}

static void u3_mount_table_that_makes_no_sense_is_missing(void **state)
{
	testbed_write(*state, "proc/self/mountinfo", "banana\n");
	check_missing(state, "region0", "", "a line that makes no sense");
}

static void u3_maps_that_make_no_sense_are_missing(void **state)
{
	testbed_write(*state, "proc/1/maps", "5000-6000 rw-s\n");
	check_missing(state, "region0", "", "/1/maps makes no sense");
}

static void u3_devices_of_a_namespace_with_a_malformed_holder_are_missing(void **state)
{
	testbed_write(*state, "region0/namespace0.0/holder", "banana\n");
	check_missing(state, "region0", "", "what namespace0.0 is made into cannot be told");
}

static void u3_device_without_the_list_of_holders_is_missing(void **state)
{
	testbed_remove(*state, "region0/namespace0.0/block/pmem0/holders");
	check_missing(state, "region0", "", "holders of pmem0 cannot be read");
}

static void u3_malformed_device_number_is_missing(void **state)
{
	testbed_write(*state, PMEM0_DEV, "259\n");
	check_missing(state, "region0", "", "the device number of pmem0 cannot be read");
}

static void u3_link_to_itself_among_the_holders_is_missing(void **state)
{
	testbed_symlink(*state, "dm-9", "region0/namespace0.0/block/pmem0/holders/dm-9");
	check_missing(state, "region0", "", "dm-9 of pmem0 cannot be read: Too many levels");
}

static void u3_device_stacked_on_itself_ends(void **state)
{
	struct virtpmem_holders *holders;

	testbed_symlink(*state, "../../dm-0", "sys/devices/virtual/block/dm-1/holders/dm-0");
	holders = get(state, "region4");
	assert_false(virtpmem_holders_is_complete(holders));
	assert_non_null(strstr(virtpmem_holders_get_missing(holders), "stacked too deep"));
	virtpmem_holders_unref(holders);
}

/* 3^16 ways through 16 layers. */
static void u3_tree_that_is_too_large_ends(void **state)
{
	struct virtpmem_holders *holders;

	testbed_symlink(*state, "../../dm-0", "sys/devices/virtual/block/dm-0/holders/a");
	testbed_symlink(*state, "../../dm-0", "sys/devices/virtual/block/dm-0/holders/b");
	testbed_symlink(*state, "../../dm-0", "sys/devices/virtual/block/dm-0/holders/c");
	holders = get(state, "region4");
	assert_false(virtpmem_holders_is_complete(holders));
	assert_true(testbed_logged(*state, "there are too many holders"));
	virtpmem_holders_unref(holders);
}

static void region_that_has_gone_is_enodev(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_holders *holders = NULL;

	testbed_remove_region(*state, "region0");
	assert_int_equal(virtpmem_region_get_holders(region, 0, &holders), -ENODEV);
	assert_null(holders);
}

static void snapshot_outlives_region_and_context(void **state)
{
	struct virtpmem_holders *holders;
	struct virtpmem_holder *holder;
	int count = 0;

	holders = get(state, "region4");
	assert_ptr_equal(virtpmem_holders_ref(holders), holders);
	virtpmem_holders_unref(holders);
	testbed_remove_region(*state, "region4");
	virtpmem_scan(testbed_ctx(*state));
	virtpmem_holder_foreach(holders, holder) {
		struct virtpmem_holder *child;

		assert_int_equal(virtpmem_holder_get_devno(holder), makedev(254, 0));
		virtpmem_holder_child_foreach(holder, child) {
			assert_int_equal(virtpmem_holder_get_devno(child), makedev(254, 1));
			count++;
		}
	}
	assert_int_equal(count, 1);
	assert_null(virtpmem_holders_unref(holders));
	assert_null(virtpmem_holders_unref(NULL));
}

static void kind_that_nobody_knows_is_unknown(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_holder_kind_name((enum virtpmem_holder_kind)99), "unknown");
}

#define t(fn_) \
	{ \
		.name = #fn_, .test_func = (fn_), .setup_func = setup, \
		.teardown_func = teardown, .initial_state = (void *)(uintptr_t)"in-tree-6.12", \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(region_that_nobody_uses_has_no_holder),
		t(snapshot_is_shared_by_the_regions),
		t(snapshot_is_incomplete_for_all),
		t(mounted_file_system),
		t(u3_mount_points_are_told_byte_by_byte),
		t(bind_mounts_are_holders_of_their_own),
		t(mount_tells_what_of_the_file_system_it_shows),
		t(mount_without_barriers_drops_flushes),
		t(mount_in_another_namespace_has_a_process),
		t(mount_in_another_root_of_the_same_namespace_is_seen),
		t(root_of_the_same_name_is_another_root),
		t(mount_that_several_namespaces_share_counts_once),
		t(mount_of_btrfs_by_its_source),
		t(mount_of_btrfs_by_its_second_device),
		t(mount_of_btrfs_by_a_second_volume),
		t(mount_of_several_devices_by_each_in_its_source),
		t(external_log_of_xfs),
		t(realtime_device_of_xfs),
		t(external_journal_of_ext4),
		t(journal_inside_is_no_holder_of_its_own),
		t(journal_of_a_file_system_that_nobody_shows),
		t(stacked_devices_are_followed_to_the_mount),
		t(logical_volume_is_lvm),
		t(raid_array_is_md),
		t(device_that_nobody_knows_is_block),
		t(swap_on_the_device),
		t(swap_file_belongs_to_the_mount),
		t(loop_device_on_a_file_is_followed),
		t(loop_device_on_the_device),
		t(loop_device_that_is_not_in_use_is_left_out),
		t(process_that_has_the_block_device_open),
		t(process_that_has_the_dax_device_mapped),
		t(process_that_has_the_dax_device_open),
		t(d5_process_whose_first_thread_has_exited_is_seen),
		t(d5_thread_with_its_own_descriptors_is_seen),
		t(d5_thread_with_its_own_mounts_is_seen),
		t(what_threads_share_is_read_once),
		t(d5_threads_that_cannot_be_compared_are_all_read),
		t(d5_thread_that_may_not_be_seen_is_missing),
		t(process_that_goes_meanwhile_is_left_out),
		t(dax_device_that_is_memory),
		t(dax_device_that_is_mounted),
		t(holder_without_a_trace_is_unknown),
		t(claim_on_a_partition_or_on_top_is_unknown_there),
		t(claim_that_a_mount_explains_is_not_unknown),
		t(claim_of_the_caller_is_not_tried_nor_shown),
		t(unknown_flag_is_invalid),
		t(device_that_may_not_be_claimed_is_missing),
		t(node_of_another_device_is_missing),
		t(descriptors_that_may_not_be_seen_are_missing),
		t(mappings_that_may_not_be_seen_are_missing),
		t(mounts_that_may_not_be_seen_are_missing),
		t(processes_that_are_hidden_are_missing),
		t(processes_of_another_namespace_are_missing),
		t(kernel_without_pid_namespaces_hides_none),
		t(procfs_that_is_not_there_is_missing),
		t(swap_that_cannot_be_told_is_missing),
		t(loop_device_that_cannot_be_told_is_missing),
		t(u3_mount_table_that_makes_no_sense_is_missing),
		t(u3_maps_that_make_no_sense_are_missing),
		t(u3_devices_of_a_namespace_with_a_malformed_holder_are_missing),
		t(u3_device_without_the_list_of_holders_is_missing),
		t(u3_malformed_device_number_is_missing),
		t(u3_link_to_itself_among_the_holders_is_missing),
		t(u3_device_stacked_on_itself_ends),
		t(u3_tree_that_is_too_large_ends),
		t(region_that_has_gone_is_enodev),
		t(snapshot_outlives_region_and_context),
		cmocka_unit_test(kind_that_nobody_knows_is_unknown),
	};

	return cmocka_run_group_tests_name("holders", tests, NULL, NULL);
}
