// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A recorded /sys for the unit tests: see testbed.h.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#include <umockdev.h>

#define NOBODY	65534

struct testbed {
	UMockdevTestbed *umockdev;
	char *root;
	struct virtpmem_ctx *ctx;
	char *log;
};

/* In every fixture, the drivers whose devices carry an ndbus. */
static const struct {
	const char *bus, *driver, *module;
} modules[] = {
	{ "virtio", "virtio_pmem", "virtio_pmem" },
	{ "platform", "e820_pmem", "nd_e820" },
	{ "acpi", "nfit", "nfit" },
};

static void add_modules(struct testbed *tb)
{
	char *path, *target;
	size_t i;

	testbed_mkdir(tb, "sys/module");
	for (i = 0; i < ARRAY_SIZE(modules); i++) {
		assert_true(asprintf(&path, "sys/bus/%s", modules[i].bus) > 0);
		testbed_mkdir(tb, path);
		free(path);
		assert_true(asprintf(&path, "sys/bus/%s/drivers", modules[i].bus) > 0);
		testbed_mkdir(tb, path);
		free(path);
		assert_true(asprintf(&path, "sys/bus/%s/drivers/%s", modules[i].bus,
				     modules[i].driver) > 0);
		testbed_mkdir(tb, path);
		free(path);
		assert_true(asprintf(&path, "sys/module/%s", modules[i].module) > 0);
		testbed_mkdir(tb, path);
		free(path);
		assert_true(asprintf(&path, "sys/bus/%s/drivers/%s/module", modules[i].bus,
				     modules[i].driver) > 0);
		assert_true(asprintf(&target, "../../../../module/%s", modules[i].module) > 0);
		testbed_symlink(tb, target, path);
		free(target);
		free(path);
	}
}

struct testbed *testbed_new(const char *fixture)
{
	struct testbed *tb = calloc(1, sizeof(*tb));
	char *file;

	assert_non_null(tb);
	/* A tree is a thousand files: on a disk that takes seconds. */
	if (!access("/dev/shm", W_OK))
		setenv("TMPDIR", "/dev/shm", 0);
	tb->umockdev = umockdev_testbed_new();
	tb->root = umockdev_testbed_get_root_dir(tb->umockdev);
	/* For the tests that go on without the rights of root. */
	testbed_chmod(tb, "", 0755);
	testbed_chmod(tb, "ioctl/_default", 0777);
	if (!fixture)
		return tb;
	assert_true(asprintf(&file, "%s/%s.umockdev", FIXTURES, fixture) > 0);
	assert_true(umockdev_testbed_add_from_file(tb->umockdev, file, NULL));
	free(file);
	testbed_mkdir(tb, "sys/bus");
	add_modules(tb);
	if (!strncmp(fixture, "virtpmem-", 9))
		testbed_write(tb, "sys/module/virtio_pmem/version", "0.1.0\n");
	return tb;
}

void testbed_free(struct testbed *tb)
{
	if (!tb)
		return;
	virtpmem_unref(tb->ctx);
	g_object_unref(tb->umockdev);
	g_free(tb->root);
	free(tb->log);
	free(tb);
}

static void append_log(void *userdata, int priority, const char *message)
{
	struct testbed *tb = userdata;
	char *log;

	assert_true(priority >= LOG_ERR && priority <= LOG_DEBUG);
	assert_null(strchr(message, '\n'));
	assert_true(asprintf(&log, "%s%s\n", tb->log ? tb->log : "", message) > 0);
	free(tb->log);
	tb->log = log;
}

struct virtpmem_ctx *testbed_ctx(struct testbed *tb)
{
	if (!tb->ctx) {
		assert_int_equal(virtpmem_new(&tb->ctx), 0);
		virtpmem_set_log_fn(tb->ctx, append_log, tb);
		virtpmem_set_log_priority(tb->ctx, LOG_DEBUG);
	}
	return tb->ctx;
}

struct virtpmem_region *testbed_region(struct testbed *tb, const char *name)
{
	struct virtpmem_ctx *ctx = testbed_ctx(tb);
	struct virtpmem_region *region;

	assert_true(virtpmem_scan(ctx) > 0);
	virtpmem_region_foreach(ctx, region)
		if (!strcmp(virtpmem_region_get_devname(region), name))
			return region;
	fail_msg("no %s", name);
	return NULL;
}

bool testbed_logged(const struct testbed *tb, const char *text)
{
	return tb->log && strstr(tb->log, text);
}

void testbed_clear_log(struct testbed *tb)
{
	free(tb->log);
	tb->log = NULL;
}

char *testbed_path(struct testbed *tb, const char *path)
{
	const char *dir = strncmp(path, "region", 6) ? "" : "sys/bus/nd/devices/";
	char *full;

	assert_true(asprintf(&full, "%s/%s%s", tb->root, dir, path) > 0);
	return full;
}

void testbed_write_data(struct testbed *tb, const char *path, const void *data, size_t length)
{
	char *full = testbed_path(tb, path);
	FILE *f = fopen(full, "we");

	if (!f)
		fail_msg("%s: %s", full, strerror(errno));
	assert_int_equal(fwrite(data, 1, length, f), length);
	assert_int_equal(fclose(f), 0);
	free(full);
}

void testbed_write(struct testbed *tb, const char *path, const char *text)
{
	testbed_write_data(tb, path, text, strlen(text));
}

char *testbed_read(struct testbed *tb, const char *path)
{
	char *full = testbed_path(tb, path);
	char buffer[8192];
	FILE *f = fopen(full, "re");
	size_t n;

	if (!f)
		fail_msg("%s: %s", full, strerror(errno));
	n = fread(buffer, 1, sizeof(buffer) - 1, f);
	buffer[n] = '\0';
	fclose(f);
	free(full);
	return strdup(buffer);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void testbed_remove(struct testbed *tb, const char *path)
{
	char *full = testbed_path(tb, path);

	if (nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		fail_msg("%s: %s", full, strerror(errno));
	free(full);
}

void testbed_mkdir(struct testbed *tb, const char *path)
{
	char *full = testbed_path(tb, path);

	if (mkdir(full, 0755) < 0 && errno != EEXIST)
		fail_msg("%s: %s", full, strerror(errno));
	free(full);
}

void testbed_symlink(struct testbed *tb, const char *target, const char *path)
{
	char *full = testbed_path(tb, path);

	if (symlink(target, full) < 0)
		fail_msg("%s: %s", full, strerror(errno));
	free(full);
}

void testbed_chmod(struct testbed *tb, const char *path, mode_t mode)
{
	char *full = testbed_path(tb, path);

	if (chmod(full, mode) < 0)
		fail_msg("%s: %s", full, strerror(errno));
	free(full);
}

static char *join(const char *dir, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

void testbed_write_in(struct testbed *tb, const char *dir, const char *name, const char *text)
{
	char *path = join(dir, name);

	testbed_write(tb, path, text);
	free(path);
}

void testbed_mkdir_in(struct testbed *tb, const char *dir, const char *name)
{
	char *path = join(dir, name);

	testbed_mkdir(tb, path);
	free(path);
}

void testbed_symlink_in(struct testbed *tb, const char *target, const char *dir, const char *name)
{
	char *path = join(dir, name);

	testbed_symlink(tb, target, path);
	free(path);
}

void testbed_add_process(struct testbed *tb, const char *pid, const char *ns)
{
	static const char *const dirs[] = { "", "ns", "fd", "map_files", "task" };
	char *dir = join("proc", pid), *tasks = join(dir, "task");
	const char *name = strrchr(pid, '/') ? strrchr(pid, '/') + 1 : pid;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		testbed_mkdir_in(tb, dir, dirs[i]);
	/* Its first thread is the same directory. */
	testbed_symlink_in(tb, "..", tasks, name);
	free(tasks);
	testbed_write_in(tb, dir, "comm", "postgres\n");
	testbed_write_in(tb, dir, "maps", "");
	testbed_symlink_in(tb, ns, dir, "ns/mnt");
	testbed_symlink_in(tb, "pid:[4026531836]", dir, "ns/pid");
	testbed_symlink_in(tb, "/", dir, "root");
	free(dir);
}

void testbed_set_mounts(struct testbed *tb, const char *lines)
{
	char *text;

	assert_true(asprintf(&text, "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n%s", lines) > 0);
	testbed_write(tb, "proc/self/mountinfo", text);
	free(text);
}

static int add_holders_dir(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	const char *name = path + ftw->base;
	char *dir;

	(void)st;
	/* A block device has a queue, or is a partition. */
	if ((flag != FTW_D || strcmp(name, "queue") != 0) &&
	    (flag != FTW_F || strcmp(name, "partition") != 0))
		return 0;
	assert_true(asprintf(&dir, "%.*sholders", ftw->base, path) > 0);
	assert_true(!mkdir(dir, 0755) || errno == EEXIST);
	free(dir);
	return 0;
}

void testbed_add_proc(struct testbed *tb)
{
	char *devices = testbed_path(tb, "sys/devices");

	assert_int_equal(nftw(devices, add_holders_dir, 32, FTW_PHYS), 0);
	free(devices);
	testbed_mkdir(tb, "proc");
	testbed_add_process(tb, "self", "mnt:[1]");
	testbed_add_process(tb, "1", "mnt:[1]");
	testbed_write(tb, "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
	testbed_set_mounts(tb, "");
}

void testbed_add_btrfs(struct testbed *tb, const char *first, const char *second)
{
	static const char devices[] = "sys/fs/btrfs/6e5f/devices";

	testbed_mkdir(tb, "sys/fs");
	testbed_mkdir(tb, "sys/fs/btrfs");
	testbed_mkdir(tb, "sys/fs/btrfs/6e5f");
	testbed_mkdir(tb, devices);
	testbed_symlink_in(tb, "elsewhere", devices, first);
	testbed_symlink_in(tb, "elsewhere", devices, second);
}

void testbed_add_journal(struct testbed *tb, const char *log, const char *fs)
{
	char *dir = join("sys/fs/ext4", fs), *comm = join("jbd2", log), *line;

	testbed_mkdir(tb, "proc/fs");
	testbed_mkdir(tb, "proc/fs/jbd2");
	testbed_mkdir_in(tb, "proc/fs/jbd2", log);
	testbed_mkdir(tb, "sys/fs");
	testbed_mkdir(tb, "sys/fs/ext4");
	testbed_mkdir(tb, dir);
	testbed_write_in(tb, dir, "journal_task", "77\n");
	assert_true(asprintf(&line, "%s\n", comm) > 0);
	testbed_mkdir(tb, "proc/77");
	testbed_write(tb, "proc/77/comm", line);
	free(line);
	free(comm);
	free(dir);
}

void testbed_add_block(struct testbed *tb, const char *name, const char *devno)
{
	char *dir = join("sys/devices/virtual/block", name);
	char *target = join("../../devices/virtual/block", name);

	testbed_mkdir(tb, "sys/devices/virtual");
	testbed_mkdir(tb, "sys/devices/virtual/block");
	testbed_mkdir(tb, dir);
	testbed_mkdir_in(tb, dir, "holders");
	testbed_write_in(tb, dir, "dev", devno);
	testbed_write_in(tb, dir, "uevent", "");
	testbed_symlink_in(tb, target, "sys/class/block", name);
	free(target);
	free(dir);
}

void testbed_add_loop(struct testbed *tb, const char *name, const char *devno, const char *file)
{
	char *dir = join("sys/devices/virtual/block", name), *line;

	testbed_add_block(tb, name, devno);
	assert_true(asprintf(&line, "%s\n", file) > 0);
	testbed_mkdir_in(tb, dir, "loop");
	testbed_write_in(tb, dir, "loop/backing_file", line);
	free(line);
	free(dir);
}

void testbed_add_block_node(struct testbed *tb, const char *name, const char *devno)
{
	char *node = join("dev", name), *number = strdup(devno);

	testbed_write(tb, node, "");
	/* By this bit umockdev knows the type of a node, and by the link its number. */
	testbed_chmod(tb, node, S_ISVTX | 0644);
	testbed_mkdir(tb, "dev/.node");
	number[strcspn(number, "\n")] = '\0';
	testbed_symlink_in(tb, number, "dev/.node", name);
	free(number);
	free(node);
}

bool testbed_statx(int dirfd, const char *path, struct statx *ret)
{
	struct stat st;
	char target[64];
	ssize_t n = readlinkat(dirfd, path, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	if (stat(target, &st) < 0)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->stx_mode = (uint16_t)st.st_mode;
	ret->stx_rdev_major = major(st.st_rdev);
	ret->stx_rdev_minor = minor(st.st_rdev);
	ret->stx_ino = st.st_ino;
	return true;
}

void testbed_add_bus_node(struct testbed *tb, unsigned int number)
{
	char *dir, *devno, *node, *link;

	assert_true(asprintf(&dir, "sys/bus/nd/devices/region%u/../nd", number) > 0);
	assert_true(asprintf(&node, "ndctl%u", number) > 0);
	assert_true(asprintf(&devno, "245:%u\n", number) > 0);
	testbed_mkdir(tb, dir);
	testbed_mkdir_in(tb, dir, node);
	link = testbed_path(tb, dir);
	free(dir);
	dir = realpath(link, NULL);
	assert_non_null(dir);
	free(link);
	link = join(dir + strlen(tb->root), node);
	testbed_write_in(tb, link + 1, "dev", devno);
	testbed_symlink_in(tb, "../..", link + 1, "device");
	testbed_mkdir(tb, "sys/class/nd");
	free(dir);
	dir = join("../..", link + strlen("/sys/"));
	testbed_symlink_in(tb, dir, "sys/class/nd", node);
	/* From this link umockdev knows the number of a device. */
	testbed_write_in(tb, "dev", node, "");
	testbed_mkdir(tb, "dev/.node");
	*strchr(devno, '\n') = '\0';
	testbed_symlink_in(tb, devno, "dev/.node", node);
	testbed_mkdir(tb, "sys/dev/char");
	testbed_symlink_in(tb, dir, "sys/dev/char", devno);
	free(link);
	free(node);
	free(devno);
	free(dir);
}

void testbed_remove_region(struct testbed *tb, const char *name)
{
	char *link, *target, *path;

	assert_true(asprintf(&path, "sys/bus/nd/devices/%s", name) > 0);
	link = testbed_path(tb, path);
	target = realpath(link, NULL);
	assert_non_null(target);
	assert_int_equal(nftw(target, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	assert_int_equal(unlink(link), 0);
	free(target);
	free(link);
	free(path);
}

void testbed_uevent(struct testbed *tb, const char *path, const char *action)
{
	char *link = testbed_path(tb, path);
	char *target = realpath(link, NULL);

	assert_non_null(target);
	umockdev_testbed_uevent(tb->umockdev, target + strlen(tb->root), action);
	free(target);
	free(link);
}

void testbed_drop_root(void)
{
	if (!geteuid())
		assert_int_equal(seteuid(NOBODY), 0);
}

void testbed_regain_root(void)
{
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
}

int testbed_setup(void **state)
{
	*state = testbed_new(*state);
	return 0;
}

int testbed_teardown(void **state)
{
	testbed_regain_root();
	testbed_free(*state);
	return 0;
}
