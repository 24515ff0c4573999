// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file systems on a region, by how they are mounted, and what a freeze does with them.
 *
 * Directories stand for them: what lies in one has the device number that the test
 * gave it. What freezing asks of the kernel is counted.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "act.h"
#include "filesystems.h"
#include "syscalls.h"

#define PMEM0		"region0/namespace0.0/block/pmem0/dev"
#define PMEM4P2		"region4/namespace4.0/block/pmem4/pmem4p2/dev"
#define DM0		"sys/devices/virtual/block/dm-0/dev"
#define DM1		"sys/devices/virtual/block/dm-1/dev"

/* ------------------------------------------------------------- the kernel */

struct mounted {
	char *dir;
	dev_t devno;
};

static struct {
	struct mounted mounted[4];
	size_t count;
	char *base, *proc, *lines;
	bool btrfs;		/* every file system says that it is one */
	int *frozen;		/* how often anything was frozen, and not thawed */
} machine;

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __real_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st);
int __real_fstatfs64(int fd, struct statfs *st);
int __wrap_fstatfs64(int fd, struct statfs *st);
int __real_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret);
int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

static int as_mounted(const char *path, int r, struct stat *st)
{
	size_t i;

	for (i = 0; !r && i < machine.count; i++) {
		size_t n = strlen(machine.mounted[i].dir);

		if (!strncmp(path, machine.mounted[i].dir, n) && (!path[n] || path[n] == '/'))
			st->st_dev = machine.mounted[i].devno;
	}
	return r;
}

int __wrap_fstat64(int fd, struct stat *st)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return as_mounted(path, __real_fstat64(fd, st), st);
}

int __wrap_stat64(const char *path, struct stat *st)
{
	_cleanup_free_ char *full = realpath(path, NULL);

	return as_mounted(full ? full : path, __real_stat64(path, st), st);
}

int __wrap_fstatfs64(int fd, struct statfs *st)
{
	int r = __real_fstatfs64(fd, st);

	if (machine.btrfs)
		st->f_type = BTRFS_SUPER_MAGIC;
	return r;
}

int __wrap_statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret)
{
	return testbed_statx(dirfd, path, ret) ? 0 : __real_statx(dirfd, path, flags, mask, ret);
}

static int freeze_one(unsigned long request)
{
	int change = request == FIFREEZE ? 1 : -1;

	if (change < 0 && !__atomic_load_n(machine.frozen, __ATOMIC_SEQ_CST)) {
		errno = EINVAL;
		return -1;
	}
	__atomic_add_fetch(machine.frozen, change, __ATOMIC_SEQ_CST);
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	return request == FITHAW ? freeze_one(request) : __real_ioctl(fd, request, arg);
}

static bool answer(long number, const long *args, long *ret)
{
	if (number == SYS_syncfs)
		*ret = 0;
	else if (number == SYS_ioctl && (args[1] == (long)FIFREEZE || args[1] == (long)FITHAW))
		*ret = freeze_one((unsigned long)args[1]);
	else
		return false;
	return true;
}

static int frozen(void)
{
	return __atomic_load_n(machine.frozen, __ATOMIC_SEQ_CST);
}

/* ------------------------------------------------------- laying it out */

static int setup(void **state)
{
	char name[] = "/tmp/virtpmem-test-XXXXXX";
	const char *fixture = *state;
	unsigned int i;

	*state = testbed_new(fixture);
	testbed_add_proc(*state);
	/* umockdev shows it in place of /proc, also to whoever wants to know its own descriptors. */
	testbed_remove(*state, "proc/self/fd");
	testbed_symlink(*state, "/proc/self/fd", "proc/self/fd");
	for (i = 0; i < 2; i++)
		testbed_add_bus_node(*state, i);
	if (!strncmp(fixture, "virtpmem-", 9))
		testbed_write(*state, "region0/" GROUP_FILE(VIRTIO_PMEM_ATTR_QUIESCE), "0\n");
	assert_non_null(mkdtemp(name));
	memset(&machine, 0, sizeof(machine));
	machine.base = realpath(name, NULL);
	machine.lines = strdup("");
	machine.proc = testbed_path(*state, "proc");
	testbed_ctx(*state)->proc = machine.proc;
	machine.frozen = mmap(NULL, sizeof(*machine.frozen), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(machine.frozen != MAP_FAILED);
	syscall_hook = answer;
	return 0;
}

static int teardown(void **state)
{
	char *file;
	size_t i;

	testbed_regain_root();
	testbed_teardown(state);
	syscall_hook = NULL;
	for (i = 0; i < machine.count; i++) {
		assert_true(asprintf(&file, "%s/file", machine.mounted[i].dir) > 0);
		unlink(file);
		rmdir(machine.mounted[i].dir);
		free(machine.mounted[i].dir);
		free(file);
	}
	rmdir(machine.base);
	munmap(machine.frozen, sizeof(*machine.frozen));
	free(machine.base);
	free(machine.lines);
	free(machine.proc);
	return 0;
}

/* One more line of mountinfo, as a device of this number has it. */
static void show_mount(struct testbed *tb, dev_t devno, const char *path, const char *type,
		       const char *source)
{
	char *lines;

	assert_true(asprintf(&lines, "%s30 1 %u:%u / %s rw - %s %s rw\n", machine.lines,
			     major(devno), minor(devno), path, type, source) > 0);
	free(machine.lines);
	machine.lines = lines;
	testbed_set_mounts(tb, lines);
}

/* A directory that has @devno. */
static const char *make_fs(const char *name, dev_t devno)
{
	struct mounted *new = &machine.mounted[machine.count++];

	assert_true(machine.count <= ARRAY_SIZE(machine.mounted));
	new->devno = devno;
	assert_true(asprintf(&new->dir, "%s/%s", machine.base, name) > 0);
	assert_int_equal(mkdir(new->dir, 0755), 0);
	return new->dir;
}

static dev_t devno_in(struct testbed *tb, const char *file)
{
	unsigned int a, b;
	char *text = testbed_read(tb, file);

	assert_int_equal(sscanf(text, "%u:%u", &a, &b), 2);
	free(text);
	return makedev(a, b);
}

/* A file system on the device whose "dev" this is, and where it is mounted. */
static const char *mount_on(struct testbed *tb, const char *dev_file, const char *name)
{
	dev_t devno = devno_in(tb, dev_file);
	const char *dir = make_fs(name, devno);

	show_mount(tb, devno, dir, "ext4", "/dev/x");
	return dir;
}

static int open_in(const char *dir, int flags)
{
	char *path;
	int fd;

	assert_true(asprintf(&path, "%s/file", dir) > 0);
	fd = open(path, flags | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	free(path);
	return fd;
}

/* ------------------------------------------------------------ the list */

struct taking {
	struct virtpmem_ctx *ctx;
	struct vp_fs_list list;
};

static int take(const struct virtpmem_holder *holder, unsigned int depth, void *data)
{
	struct taking *taking = data;

	return virtpmem_holder_get_kind(holder) == VIRTPMEM_HOLDER_MOUNT ?
	       vp_fs_take(taking->ctx, &taking->list, holder, depth) : 0;
}

static struct vp_fs_list list_of(struct testbed *tb, const char *region)
{
	struct taking taking = { .ctx = testbed_ctx(tb) };
	struct virtpmem_holders *holders;

	assert_int_equal(virtpmem_region_get_holders(testbed_region(tb, region), 0, &holders), 0);
	assert_int_equal(vp_each_holder(holders, take, &taking), 0);
	virtpmem_holders_unref(holders);
	vp_fs_sort(&taking.list);
	return taking.list;
}

/* The only one, which is at @path; how its opening went. */
static int open_only(struct testbed *tb, const char *path)
{
	struct vp_fs_list list = list_of(tb, "region0");
	int r;

	assert_int_equal(list.count, 1);
	assert_string_equal(list.fs[0].path, path);
	r = list.fs[0].fd < 0 ? list.fs[0].fd : 0;
	vp_fs_list_done(&list);
	return r;
}

static void file_system_is_opened_where_it_is_mounted(void **state)
{
	const char *dir = mount_on(*state, PMEM0, "a");
	struct vp_fs_list list = list_of(*state, "region0");
	int fd;

	assert_int_equal(list.count, 1);
	assert_string_equal(list.fs[0].name, "ext4");
	assert_string_equal(list.fs[0].path, dir);
	assert_true(vp_fs_has(&list.fs[0], dir));
	assert_false(vp_fs_has(&list.fs[0], "/"));
	assert_false(vp_fs_has(&list.fs[0], "/nonexistent"));
	assert_false(vp_fs_is_written(&list.fs[0]));
	fd = open_in(dir, O_WRONLY | O_CREAT);
	assert_true(vp_fs_is_written(&list.fs[0]));
	close(fd);
	fd = open_in(dir, O_RDONLY);
	assert_false(vp_fs_is_written(&list.fs[0]));
	close(fd);
	vp_fs_list_done(&list);
}

static void first_mount_that_can_be_reached_counts(void **state)
{
	dev_t devno = devno_in(*state, PMEM0);
	const char *dir = make_fs("a", devno);

	show_mount(*state, devno, "/nonexistent", "ext4", "/dev/pmem0");
	assert_int_equal(open_only(*state, "/nonexistent"), -ENOENT);
	show_mount(*state, devno, dir, "ext4", "/dev/pmem0");
	show_mount(*state, devno, "/nonexistent/either", "ext4", "/dev/pmem0");
	assert_int_equal(open_only(*state, dir), 0);
}

static void mount_of_another_namespace_is_reached_by_its_process(void **state)
{
	dev_t devno = devno_in(*state, PMEM0);
	const char *dir = make_fs("a", devno);
	char *line;

	testbed_add_process(*state, "55", "mnt:[2]");
	assert_true(asprintf(&line, "30 1 %u:%u / %s rw - ext4 /dev/pmem0 rw\n", major(devno),
			     minor(devno), dir) > 0);
	testbed_write(*state, "proc/55/mountinfo", line);
	free(line);
	assert_int_equal(open_only(*state, dir), 0);
}

static void what_is_mounted_over_it_is_not_taken_for_it(void **state)
{
	mount_on(*state, PMEM0, "a");
	machine.mounted[0].devno = makedev(8, 1);
	assert_int_equal(open_only(*state, machine.mounted[0].dir), -ESTALE);
}

/* A file can be what a bind mount shows, but opening a pipe would wait. */
static void only_directories_and_files_are_opened(void **state)
{
	dev_t devno = devno_in(*state, PMEM0);
	char *path;

	assert_true(asprintf(&path, "%s/file", make_fs("a", devno)) > 0);
	show_mount(*state, devno, path, "ext4", "/dev/pmem0");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(open_only(*state, path), -ESTALE);
	assert_int_equal(unlink(path), 0);
	close(open_in(machine.mounted[0].dir, O_WRONLY | O_CREAT));
	assert_int_equal(open_only(*state, path), 0);
	free(path);
}

static void subvolume_of_btrfs_has_another_number(void **state)
{
	static const struct {
		const char *type;
		bool btrfs;
		int r;
	} table[] = {
		{ "btrfs", true, 0 }, { "btrfs", false, -ESTALE }, { "ext4", true, -ESTALE },
	};
	const char *dir = make_fs("a", makedev(0, 99));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		machine.lines[0] = '\0';
		show_mount(*state, makedev(0, 37), dir, table[i].type, "/dev/pmem0");
		machine.btrfs = table[i].btrfs;
		assert_int_equal(open_only(*state, dir), table[i].r);
	}
}

static void those_on_top_come_first_and_those_out_of_reach_last(void **state)
{
	const char *low, *high;
	struct vp_fs_list list;

	show_mount(*state, devno_in(*state, DM0), "/nonexistent", "ext4", "/dev/x");
	low = mount_on(*state, PMEM4P2, "low");
	high = mount_on(*state, DM1, "high");
	list = list_of(*state, "region4");
	assert_int_equal(list.count, 3);
	assert_string_equal(list.fs[0].path, high);
	assert_string_equal(list.fs[1].path, low);
	assert_string_equal(list.fs[2].path, "/nonexistent");
	assert_true(list.fs[1].fd >= 0 && list.fs[2].fd < 0);
	assert_false(vp_fs_has(&list.fs[2], "/"));
	assert_false(vp_fs_is_written(&list.fs[2]));
	vp_fs_list_done(&list);
}

/* ------------------------------------------------------- what is refused */

static int freeze(struct testbed *tb, const char *region, unsigned int flags,
		  struct virtpmem_plan **plan, struct virtpmem_freeze **ret)
{
	return virtpmem_region_freeze(testbed_region(tb, region), 60000, flags, plan, ret);
}

/* Whether a step of this kind does. */
static bool says(struct virtpmem_plan *plan, enum virtpmem_step_kind kind, const char *text)
{
	struct virtpmem_step *step;

	virtpmem_step_foreach(plan, step)
		if (virtpmem_step_get_kind(step) == kind &&
		    strstr(virtpmem_step_get_text(step), text))
			return true;
	return false;
}

/* Refused with @error for a reason, and only told where it is forced. */
static void check_refused(struct testbed *tb, int error, const char *text)
{
	struct virtpmem_freeze *no_freeze = NULL;
	struct virtpmem_plan *plan = NULL;

	assert_int_equal(freeze(tb, "region0", VIRTPMEM_DRY_RUN, &plan, &no_freeze), error);
	assert_true(says(plan, VIRTPMEM_STEP_CHECK, text));
	virtpmem_plan_unref(plan);
	assert_int_equal(freeze(tb, "region0", VIRTPMEM_DRY_RUN | VIRTPMEM_FORCE, &plan,
				&no_freeze), 0);
	assert_true(says(plan, VIRTPMEM_STEP_WARN, text));
	virtpmem_plan_unref(plan);
	assert_null(no_freeze);
}

static void u5_working_directory_is_not_frozen(void **state)
{
	const char *dir = mount_on(*state, PMEM0, "a");
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(chdir(dir), 0);
	check_refused(*state, -EBUSY, "working directory");
	assert_int_equal(fchdir(here), 0);
	close(here);
}

static void u5_root_is_not_frozen(void **state)
{
	dev_t devno = devno_in(*state, PMEM0);

	machine.mounted[0].dir = strdup("/");
	machine.mounted[0].devno = devno;
	machine.count = 1;
	show_mount(*state, devno, "/", "ext4", "/dev/pmem0");
	check_refused(*state, -EBUSY, "is the root file system");
	machine.count = 0;
	free(machine.mounted[0].dir);
}

static void u5_own_log_is_not_frozen(void **state)
{
	int fd = open_in(mount_on(*state, PMEM0, "a"), O_WRONLY | O_CREAT);

	check_refused(*state, -EBUSY, "open for writing");
	close(fd);
}

static void mount_that_may_not_be_opened_is_eacces(void **state)
{
	struct virtpmem_plan *plan = NULL;
	struct virtpmem_freeze *no_freeze = NULL;

	if (geteuid())
		skip();
	assert_int_equal(chmod(machine.base, 0755), 0);
	assert_int_equal(chmod(mount_on(*state, PMEM0, "a"), 0), 0);
	testbed_chmod(*state, "dev/ndctl0", 0666);
	testbed_drop_root();
	assert_int_equal(freeze(*state, "region0", VIRTPMEM_DRY_RUN, &plan, &no_freeze), -EACCES);
	assert_true(says(plan, VIRTPMEM_STEP_CHECK, "no mount of it can be reached"));
	virtpmem_plan_unref(plan);
}

/* ------------------------------------------------------------- freezing */

static enum virtpmem_step_result result_of(struct virtpmem_plan *plan, enum virtpmem_step_kind kind,
					   const char *object)
{
	struct virtpmem_step *step;

	virtpmem_step_foreach(plan, step)
		if (virtpmem_step_get_kind(step) == kind &&
		    !strcmp(virtpmem_step_get_object(step), object))
			return virtpmem_step_get_result(step);
	fail_msg("no step about %s", object);
	return VIRTPMEM_RESULT_NOT_DONE;
}

static void file_system_on_two_regions_is_frozen_once(void **state)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *first = NULL, *second = NULL;
	const char *both = make_fs("both", makedev(0, 37)), *own;
	struct virtpmem_plan *plan = NULL;

	show_mount(*state, makedev(0, 37), both, "bcachefs", "/dev/pmem0:/dev/pmem1");
	assert_int_equal(freeze(*state, "region0", 0, &plan, &first), 0);
	assert_int_equal(result_of(plan, VIRTPMEM_STEP_FREEZE, both), VIRTPMEM_RESULT_DONE);
	virtpmem_plan_unref(plan);
	assert_int_equal(frozen(), 1);

	own = mount_on(*state, "region1/pfn1.0/block/pmem1/dev", "own");
	assert_int_equal(freeze(*state, "region1", 0, &plan, &second), 0);
	assert_int_equal(result_of(plan, VIRTPMEM_STEP_SYNC, both), VIRTPMEM_RESULT_NOT_NEEDED);
	assert_int_equal(result_of(plan, VIRTPMEM_STEP_FREEZE, both), VIRTPMEM_RESULT_NOT_NEEDED);
	assert_int_equal(result_of(plan, VIRTPMEM_STEP_FREEZE, own), VIRTPMEM_RESULT_DONE);
	virtpmem_plan_unref(plan);
	assert_int_equal(frozen(), 2);
	assert_int_equal(virtpmem_freeze_get_consistency(second),
			 VIRTPMEM_CONSISTENCY_FILESYSTEM);

	assert_int_equal(virtpmem_freeze_thaw(first), 0);
	assert_int_equal(frozen(), 1);
	assert_int_equal(virtpmem_freeze_thaw(second), 0);
	assert_int_equal(frozen(), 0);
}

static void check_warning(struct testbed *tb, const char *region, const char *object)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	assert_int_equal(freeze(tb, region, VIRTPMEM_DRY_RUN, &plan, NULL), 0);
	assert_int_equal(result_of(plan, VIRTPMEM_STEP_WARN, object), VIRTPMEM_RESULT_DONE);
	assert_true(says(plan, VIRTPMEM_STEP_WARN, "a copy is whole only with that one"));
}

/* Its mount names the first device only; that of the other is known to sysfs. */
static void btrfs_on_two_regions_warns_of_the_other(void **state)
{
	const char *dir = make_fs("both", makedev(0, 37));

	machine.btrfs = true;
	show_mount(*state, makedev(0, 37), dir, "btrfs", "/dev/pmem0");
	testbed_add_btrfs(*state, "pmem0", "pmem1");
	check_warning(*state, "region0", "region1");
	check_warning(*state, "region1", "region0");
}

static void bcachefs_on_two_regions_warns_of_the_other(void **state)
{
	const char *dir = make_fs("both", makedev(0, 37));

	show_mount(*state, makedev(0, 37), dir, "bcachefs", "/dev/pmem0:/dev/pmem1");
	check_warning(*state, "region0", "region1");
	check_warning(*state, "region1", "region0");
}

/* A disk beside the regions; of a volume, if it has one, it is a part. */
static void add_disk(struct testbed *tb, const char *volume)
{
	char *to, *link;

	testbed_add_block(tb, "sdb", "8:16\n");
	if (!volume)
		return;
	assert_true(asprintf(&to, "../../%s", volume) > 0);
	assert_true(asprintf(&link, "sys/devices/virtual/block/sdb/holders/%s", volume) > 0);
	testbed_symlink(tb, to, link);
	free(link);
	free(to);
}

static void btrfs_that_a_disk_has_a_part_of_warns_of_it(void **state)
{
	const char *dir = make_fs("both", makedev(0, 37));

	machine.btrfs = true;
	show_mount(*state, makedev(0, 37), dir, "btrfs", "/dev/pmem0");
	add_disk(*state, NULL);
	testbed_add_btrfs(*state, "pmem0", "sdb");
	check_warning(*state, "region0", "sdb");
}

static void journal_on_a_disk_warns_of_it(void **state)
{
	mount_on(*state, PMEM0, "a");
	add_disk(*state, NULL);
	testbed_add_journal(*state, "sdb", "pmem0");
	check_warning(*state, "region0", "sdb");
}

/* Of the one that the volume is made of: the volume itself has nothing of its own. */
static void volume_that_a_disk_is_part_of_warns_of_it(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_add_bus_node(*state, 4);
	mount_on(*state, DM1, "top");
	add_disk(*state, "dm-0");
	check_warning(*state, "region4", "sdb");
	assert_int_equal(freeze(*state, "region4", VIRTPMEM_DRY_RUN, &plan, NULL), 0);
	assert_false(says(plan, VIRTPMEM_STEP_WARN, "lies on dm-"));
	assert_false(says(plan, VIRTPMEM_STEP_WARN, "lies on pmem4"));
}

/* A disk is there, with a file system of its own, and a loop device on the region's. */
static void what_lies_on_nothing_else_warns_of_nothing(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;

	testbed_add_bus_node(*state, 4);
	mount_on(*state, DM1, "top");
	mount_on(*state, PMEM4P2, "low");
	add_disk(*state, NULL);
	show_mount(*state, makedev(8, 16), "/other", "ext4", "/dev/sdb");
	testbed_add_loop(*state, "loop0", "7:0\n", "/dev/pmem4p2");
	testbed_add_block_node(*state, "loop0", "7:0");
	mount_on(*state, "sys/devices/virtual/block/loop0/dev", "inner");
	assert_int_equal(freeze(*state, "region4", VIRTPMEM_DRY_RUN, &plan, NULL), 0);
	assert_true(says(plan, VIRTPMEM_STEP_FREEZE, "inner"));
	assert_false(says(plan, VIRTPMEM_STEP_WARN, "lies on"));
}

/* Its context has no list of regions that its own block device could be known by. */
static void copy_of_a_region_is_no_disk_beside_itself(void **state)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	_cleanup_virtpmem_region_unref_ struct virtpmem_region *copy = NULL;
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;

	mount_on(*state, PMEM0, "a");
	assert_int_equal(virtpmem_new(&ctx), 0);
	ctx->proc = machine.proc;
	assert_int_equal(virtpmem_region_copy(testbed_region(*state, "region0"), ctx, &copy), 0);
	assert_int_equal(virtpmem_region_freeze(copy, 0, VIRTPMEM_DRY_RUN, &plan, NULL), 0);
	assert_false(says(plan, VIRTPMEM_STEP_WARN, "lies on"));
}

/* Of what a freeze that was let go of holds, nobody here knows for how long. */
static void freeze_that_was_detached_is_held_by_nobody(void **state)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *first = NULL, *second = NULL;
	const char *both = make_fs("both", makedev(0, 37));
	struct virtpmem_plan *plan = NULL;

	show_mount(*state, makedev(0, 37), both, "bcachefs", "/dev/pmem0:/dev/pmem1");
	assert_int_equal(freeze(*state, "region0", 0, NULL, &first), 0);
	assert_int_equal(virtpmem_freeze_detach(first), 0);
	assert_int_equal(virtpmem_freeze_detach(first), 0);
	assert_int_equal(virtpmem_freeze_thaw(first), -EINVAL);
	assert_int_equal(freeze(*state, "region1", 0, &plan, &second), 0);
	assert_int_equal(result_of(plan, VIRTPMEM_STEP_FREEZE, both), VIRTPMEM_RESULT_DONE);
	virtpmem_plan_unref(plan);
	assert_int_equal(virtpmem_freeze_thaw(second), 0);
	assert_int_equal(frozen(), 1);
	assert_int_equal(virtpmem_region_thaw(testbed_region(*state, "region0"), 0, NULL), 0);
	assert_int_equal(frozen(), 0);
}

static void thaw_by_somebody_else_is_told(void **state)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *held = NULL;

	mount_on(*state, PMEM0, "a");
	assert_int_equal(freeze(*state, "region0", 0, NULL, &held), 0);
	assert_int_equal(virtpmem_region_thaw(testbed_region(*state, "region0"), 0, NULL), 0);
	assert_int_equal(frozen(), 0);
	testbed_clear_log(*state);
	assert_int_equal(virtpmem_freeze_thaw(held), -ECANCELED);
	assert_true(testbed_logged(*state, "somebody else has thawed it"));
}

/* --------------------------------------------- what it is as good as */

static void whoever_writes_to_the_device_makes_it_a_power_cut(void **state)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *held = NULL;
	struct virtpmem_plan *plan = NULL;

	mount_on(*state, PMEM0, "a");
	testbed_add_process(*state, "55", "mnt:[1]");
	testbed_symlink(*state, "/dev/pmem0", "proc/55/fd/3");
	assert_int_equal(freeze(*state, "region0", 0, &plan, &held), 0);
	assert_true(says(plan, VIRTPMEM_STEP_WARN, "as after a power cut"));
	virtpmem_plan_unref(plan);
	assert_int_equal(virtpmem_freeze_get_consistency(held), VIRTPMEM_CONSISTENCY_CRASH);
	assert_non_null(strstr(virtpmem_freeze_get_reason(held), "postgres"));
	assert_int_equal(virtpmem_freeze_thaw(held), 0);
}

static int consistency_of(struct testbed *tb, const char *text)
{
	_cleanup_virtpmem_freeze_unref_ struct virtpmem_freeze *held = NULL;

	testbed_set_mounts(tb, text);
	assert_int_equal(freeze(tb, "region0", 0, NULL, &held), 0);
	return (int)virtpmem_freeze_get_consistency(held);
}

/* A log is as good as the file system that it is of, where that is frozen. */
static void log_without_its_file_system_makes_it_a_power_cut(void **state)
{
	dev_t devno = makedev(8, 3);
	const char *dir = make_fs("a", devno);
	char *line;

	assert_true(asprintf(&line, "30 1 8:3 / %s rw - xfs /dev/sda3 rw,logdev=/dev/pmem0\n",
			     dir) > 0);
	assert_int_equal(consistency_of(*state, line), VIRTPMEM_CONSISTENCY_FILESYSTEM);
	free(line);
	testbed_mkdir(*state, "proc/fs");
	testbed_mkdir(*state, "proc/fs/jbd2");
	testbed_mkdir(*state, "proc/fs/jbd2/pmem0");
	assert_int_equal(consistency_of(*state, ""), VIRTPMEM_CONSISTENCY_CRASH);
}

static void swap_is_of_no_use_after_a_restart(void **state)
{
	testbed_write(*state, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"
		      "/dev/pmem0 partition\t100\t0\t-2\n");
	assert_int_equal(consistency_of(*state, ""), VIRTPMEM_CONSISTENCY_FILESYSTEM);
}

static void what_cannot_be_seen_makes_it_a_power_cut(void **state)
{
	testbed_write(*state, "proc/1/maps", "banana\n");
	assert_int_equal(consistency_of(*state, ""), VIRTPMEM_CONSISTENCY_CRASH);
}

#define t(fn_, fixture_) \
	{ \
		.name = #fn_, .test_func = (fn_), .setup_func = setup, \
		.teardown_func = teardown, .initial_state = (void *)(uintptr_t)(fixture_), \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(file_system_is_opened_where_it_is_mounted, "virtpmem-6.12"),
		t(first_mount_that_can_be_reached_counts, "virtpmem-6.12"),
		t(mount_of_another_namespace_is_reached_by_its_process, "virtpmem-6.12"),
		t(what_is_mounted_over_it_is_not_taken_for_it, "virtpmem-6.12"),
		t(only_directories_and_files_are_opened, "virtpmem-6.12"),
		t(subvolume_of_btrfs_has_another_number, "virtpmem-6.12"),
		t(those_on_top_come_first_and_those_out_of_reach_last, "in-tree-6.12"),
		t(u5_working_directory_is_not_frozen, "virtpmem-6.12"),
		t(u5_root_is_not_frozen, "virtpmem-6.12"),
		t(u5_own_log_is_not_frozen, "virtpmem-6.12"),
		t(mount_that_may_not_be_opened_is_eacces, "virtpmem-6.12"),
		t(file_system_on_two_regions_is_frozen_once, "virtpmem-6.12"),
		t(btrfs_on_two_regions_warns_of_the_other, "virtpmem-6.12"),
		t(bcachefs_on_two_regions_warns_of_the_other, "virtpmem-6.12"),
		t(btrfs_that_a_disk_has_a_part_of_warns_of_it, "virtpmem-6.12"),
		t(journal_on_a_disk_warns_of_it, "virtpmem-6.12"),
		t(volume_that_a_disk_is_part_of_warns_of_it, "in-tree-6.12"),
		t(what_lies_on_nothing_else_warns_of_nothing, "in-tree-6.12"),
		t(copy_of_a_region_is_no_disk_beside_itself, "virtpmem-6.12"),
		t(freeze_that_was_detached_is_held_by_nobody, "virtpmem-6.12"),
		t(thaw_by_somebody_else_is_told, "virtpmem-6.12"),
		t(whoever_writes_to_the_device_makes_it_a_power_cut, "virtpmem-6.12"),
		t(log_without_its_file_system_makes_it_a_power_cut, "virtpmem-6.12"),
		t(swap_is_of_no_use_after_a_restart, "virtpmem-6.12"),
		t(what_cannot_be_seen_makes_it_a_power_cut, "virtpmem-6.12"),
	};

	return cmocka_run_group_tests_name("filesystems", tests, NULL, NULL);
}
