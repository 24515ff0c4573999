// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading what the machine has mounted, swaps to, loops and has open.
 *
 * None of this can be read at one moment, and much of it only by root: what
 * went while it was looked at is left out, what may not be looked at is noted
 * as missing. Nothing is ever left out silently because it was not permitted.
 *
 * A file system of a dead server must not stop us: files of other processes
 * are looked at without asking whoever serves them (AT_STATX_DONT_SYNC).
 *
 * A process is looked at thread by thread. Its first thread may have exited,
 * and then shows nothing of what the others still have; each may have its own
 * mounts and descriptors. What two threads share is read once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <linux/kcmp.h>
#include <linux/loop.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "outside.h"
#include "system.h"

/* The number that every kernel gives its first PID namespace. */
#define INIT_PID_NS	"pid:[4026531836]"

static void table_freep(struct libmnt_table **table)
{
	mnt_unref_table(*table);
}

/* ------------------------------------------------------- what is missing */

/* Note what could not be seen. Returns 0 or -ENOMEM. */
int vp_system_miss(struct vp_system *sys, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = vp_note_missing(sys->ctx, &sys->missing, format, args);
	va_end(args);
	return r;
}

/* What happened to a file below @proc: nothing is missing of a process that has gone. */
static int miss_file(struct vp_system *sys, const char *path, int error)
{
	if (error == ENOMEM)
		return -ENOMEM;
	if (error == ENOENT || error == ESRCH)
		return 0;
	return vp_system_miss(sys, "%s cannot be read: %s", path, strerror(error));
}

/* *ret is NULL if there is no such directory, or it may not be read, which is noted. */
int vp_system_opendir(struct vp_system *sys, const char *path, DIR **ret)
{
	*ret = opendir(path);
	return *ret ? 0 : miss_file(sys, path, errno);
}

static void *add_entry(void *array, size_t *count, size_t size)
{
	void **entries = array;
	void *longer = reallocarray(*entries, *count + 1, size);

	if (!longer)
		return NULL;
	*entries = longer;
	return memset((char *)longer + (*count)++ * size, 0, size);
}

/* --------------------------------------------------------------- mounts */

static bool same_mount(const struct vp_mount *a, const struct vp_mount *b)
{
	return a->devno == b->devno && !strcmp(a->root, b->root) && !strcmp(a->target, b->target);
}

static void mount_done(struct vp_mount *mount)
{
	free(mount->root);
	free(mount->target);
	free(mount->fstype);
	free(mount->source);
	free(mount->options);
}

static char *copy(const char *text)
{
	return strdup(text ? text : "");
}

/* Mount namespaces are copies of each other: the same mount counts once. */
static int add_mount(struct vp_system *sys, struct libmnt_fs *fs, pid_t pid)
{
	struct vp_mount mount = {
		.devno = mnt_fs_get_devno(fs),
		.root = copy(mnt_fs_get_root(fs)),
		.target = copy(mnt_fs_get_target(fs)),
		.fstype = copy(mnt_fs_get_fstype(fs)),
		.source = copy(mnt_fs_get_srcpath(fs)),
		.options = copy(mnt_fs_get_options(fs)),
		.pid = pid,
	};
	struct vp_mount *entry;
	size_t i;

	if (!mount.root || !mount.target || !mount.fstype || !mount.source || !mount.options)
		goto fail;
	for (i = 0; i < sys->mount_count; i++) {
		if (!same_mount(&sys->mounts[i], &mount))
			continue;
		mount_done(&mount);
		return 0;
	}
	entry = add_entry(&sys->mounts, &sys->mount_count, sizeof(*entry));
	if (!entry)
		goto fail;
	*entry = mount;
	return 0;

fail:
	mount_done(&mount);
	return -ENOMEM;
}

/* Tells libmount to go on after a line that it cannot read. */
static int on_parse_error(struct libmnt_table *table, const char *file, int line)
{
	bool *failed = mnt_table_get_userdata(table);

	(void)file;
	(void)line;
	*failed = true;
	return 1;
}

static int parse(struct vp_system *sys, const char *path,
		 int (*parse_fn)(struct libmnt_table *, const char *), struct libmnt_table **ret)
{
	_cleanup_(table_freep) struct libmnt_table *table = mnt_new_table();
	bool failed = false;
	int r;

	if (!table || mnt_table_set_userdata(table, &failed) < 0 ||
	    mnt_table_set_parser_errcb(table, on_parse_error) < 0)
		return -ENOMEM;
	r = parse_fn(table, path);
	if (r < 0)
		return r;
	if (failed) {
		r = vp_system_miss(sys, "%s has a line that makes no sense", path);
		if (r < 0)
			return r;
	}
	*ret = table;
	table = NULL;
	return 0;
}

/* The mounts that a process sees; @pid is 0 for ourselves. */
static int read_mounts(struct vp_system *sys, const char *who, pid_t pid)
{
	_cleanup_(table_freep) struct libmnt_table *table = NULL;
	_cleanup_free_ char *path = NULL;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	int r;

	if (asprintf(&path, "%s/%s/mountinfo", sys->ctx->proc, who) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = parse(sys, path, mnt_table_parse_file, &table);
	if (r == -ENOENT && !pid)
		return vp_system_miss(sys, "%s: there is no such file", path);
	if (r < 0)
		return miss_file(sys, path, -r);
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	if (!iter)
		return -ENOMEM;
	while (!r && !mnt_table_next_fs(table, iter, &fs))
		r = add_mount(sys, fs, pid);
	mnt_free_iter(iter);
	return r;
}

/* The device of the file system that @path lies on, as the mount table has it. */
static dev_t mount_devno(const struct vp_system *sys, const char *path)
{
	const struct vp_mount *best = NULL;
	size_t i;

	for (i = 0; i < sys->mount_count; i++) {
		const struct vp_mount *mount = &sys->mounts[i];
		size_t n = strlen(mount->target);

		if (mount->pid || strncmp(mount->target, path, n) != 0)
			continue;
		if (path[n] != '/' && path[n] && strcmp(mount->target, "/") != 0)
			continue;
		if (!best || n >= strlen(best->target))
			best = mount;
	}
	return best ? best->devno : 0;
}

/* A file system without a device of its own (btrfs) has several numbers: take the mount's. */
static void set_devno(const struct vp_system *sys, struct vp_backing *backing, const char *path)
{
	if (!major(backing->devno) && path)
		backing->devno = mount_devno(sys, path);
}

static int stat_backing(const struct vp_system *sys, const char *path, struct vp_backing *ret)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	ret->devno = st.st_dev;
	ret->rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
	set_devno(sys, ret, path);
	return 0;
}

/* ---------------------------------------------------------------- swap */

static int add_swap(struct vp_system *sys, struct libmnt_fs *fs)
{
	const char *path = mnt_fs_get_source(fs);
	struct vp_backing backing;
	struct vp_swap *swap;
	int r;

	if (!path || *path != '/')
		return 0;
	r = stat_backing(sys, path, &backing);
	if (r < 0)
		return vp_system_miss(sys, "what the swap space %s lies on cannot be told: %s",
				      path, strerror(-r));
	swap = add_entry(&sys->swaps, &sys->swap_count, sizeof(*swap));
	if (!swap)
		return -ENOMEM;
	swap->backing = backing;
	swap->path = strdup(path);
	return swap->path ? 0 : -ENOMEM;
}

/* A kernel without swap has no such file. */
static int read_swaps(struct vp_system *sys)
{
	_cleanup_(table_freep) struct libmnt_table *table = NULL;
	_cleanup_free_ char *path = NULL;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	int r;

	if (asprintf(&path, "%s/swaps", sys->ctx->proc) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = parse(sys, path, mnt_table_parse_swaps, &table);
	if (r < 0)
		return miss_file(sys, path, -r);
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	if (!iter)
		return -ENOMEM;
	while (!r && !mnt_table_next_fs(table, iter, &fs))
		r = add_swap(sys, fs);
	mnt_free_iter(iter);
	return r;
}

/* ---------------------------------------------------------------- loop */

static dev_t decode_devno(uint64_t n)
{
	return makedev((unsigned int)(n >> 8 & 0xfff),
		       (unsigned int)((n & 0xff) | (n >> 12 & 0xfff00)));
}

/* The driver knows what it is on, whatever has become of the path since. */
static int ask_loop(const char *name, dev_t devno, struct vp_backing *ret)
{
	_cleanup_close_ int fd = -1;
	struct loop_info64 info;
	dev_t opened;

	fd = vp_open_node(name, S_IFBLK, O_RDONLY | O_NONBLOCK, &opened);
	if (fd < 0)
		return fd;
	if (opened != devno)
		return -ESTALE;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return -errno;
	ret->devno = decode_devno(info.lo_device);
	ret->rdev = decode_devno(info.lo_rdevice);
	return 0;
}

static int find_backing(const struct vp_system *sys, const char *name, dev_t devno,
			const char *path, struct vp_backing *ret)
{
	int r;

	r = ask_loop(name, devno, ret);
	if (!r)
		set_devno(sys, ret, path);
	else if (r != -ENOMEM && r != -ENXIO && path)
		r = stat_backing(sys, path, ret);
	return r;
}

static int read_loop(struct vp_system *sys, int dirfd, const char *name)
{
	_cleanup_free_ char *path = NULL, *line = NULL;
	struct vp_backing backing;
	struct vp_loop *loop;
	const char *why;
	dev_t devno;
	int r;

	/* Only a loop device that is in use has one; it may be any path there is. */
	r = vp_attr_read(dirfd, "loop/backing_file", &path, &why);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOENT ? 0 : r;
	r = vp_attr_read(dirfd, "dev", &line, &why);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOENT ? 0 : r;
	if (!r && !vp_parse_devno(line, &devno))
		r = -EBADMSG;
	if (!r)
		r = find_backing(sys, name, devno, path, &backing);
	if (r == -ENOMEM)
		return r;
	if (r == -ENXIO)
		return 0;
	if (r < 0)
		return vp_system_miss(sys, "what %s lies on cannot be told: %s", name,
				      strerror(-r));
	loop = add_entry(&sys->loops, &sys->loop_count, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->backing = backing;
	loop->path = path;
	path = NULL;
	loop->name = strdup(name);
	return loop->name ? 0 : -ENOMEM;
}

static int read_loops(struct vp_system *sys)
{
	static const char class[] = "/sys/class/block";
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	unsigned int id;
	int r;

	r = vp_system_opendir(sys, class, &dir);
	if (!dir)
		return r;
	while (errno = 0, (entry = readdir(dir))) {
		_cleanup_close_ int fd = -1;

		if (!vp_parse_id(entry->d_name, "loop", &id))
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? miss_file(sys, entry->d_name, errno) :
			     read_loop(sys, fd, entry->d_name);
		if (r < 0)
			return r;
	}
	return errno ? miss_file(sys, class, errno) : 0;
}

/* ----------------------------------------------------------- processes */

#define PARTS		3		/* of what a thread has: see scan_thread() */

/*
 * @seen: mount namespaces, and the roots in them, that have been read.
 * @files: what each mapped file is, so that a library that every process maps
 * is looked at once.
 */
struct scan {
	struct vp_system *sys;
	int procfd;
	const char *who;		/* the process, in words */
	pid_t pid;
	pid_t tid;			/* one of its threads */
	pid_t last[PARTS];		/* the last one whose part was read; 0: none */
	size_t first_open;		/* of this process */
	char **seen;
	size_t seen_count;
	void *files;
};

struct mapped_file {
	char *key;			/* device and inode, as in maps */
	mode_t type;
	dev_t rdev;
};

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct mapped_file *)a)->key, ((const struct mapped_file *)b)->key);
}

static void free_file(void *p)
{
	free(((struct mapped_file *)p)->key);
	free(p);
}

static void scan_done(struct scan *scan)
{
	size_t i;

	for (i = 0; i < scan->seen_count; i++)
		free(scan->seen[i]);
	free(scan->seen);
	tdestroy(scan->files, free_file);
}

static int note_open(struct scan *scan, mode_t type, dev_t rdev, bool mapped)
{
	struct vp_system *sys = scan->sys;
	struct vp_open *entry;
	size_t i;

	if (type != S_IFBLK && type != S_IFCHR)
		return 0;
	for (i = scan->first_open; i < sys->open_count; i++) {
		entry = &sys->opens[i];
		if (entry->type == type && entry->rdev == rdev && entry->mapped == mapped)
			return 0;
	}
	entry = add_entry(&sys->opens, &sys->open_count, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	*entry = (struct vp_open) {
		.pid = scan->pid, .type = type, .rdev = rdev, .mapped = mapped,
	};
	return 0;
}

static int look_at(int dirfd, const char *path, mode_t *type, dev_t *rdev)
{
	struct statx stx;

	if (statx(dirfd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) < 0)
		return -errno;
	*type = stx.stx_mode & S_IFMT;
	*rdev = makedev(stx.stx_rdev_major, stx.stx_rdev_minor);
	return 0;
}

static int scan_fds(struct scan *scan, int dirfd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int fd, r;

	fd = openat(dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		goto fail;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		goto fail;
	}
	while (errno = 0, (entry = readdir(dir))) {
		mode_t type;
		dev_t rdev;

		if (entry->d_name[0] == '.')
			continue;
		r = look_at(fd, entry->d_name, &type, &rdev);
		if (!r)
			r = note_open(scan, type, rdev, false);
		else
			r = miss_file(scan->sys, scan->who, -r);
		if (r < 0)
			return r;
	}
	if (!errno)
		return 0;
fail:
	return miss_file(scan->sys, scan->who, errno);
}

/*
 * What a mapped file is; @range is the name of its mapping in map_files, which no directory
 * in "task" has. That of a thread in /proc itself has it, though nobody lists it.
 */
static int mapped_file_get(struct scan *scan, const char *key, const char *range,
			   const struct mapped_file **ret)
{
	struct mapped_file wanted = { .key = (char *)(uintptr_t)key }, *file;
	_cleanup_free_ char *path = NULL;
	void *found;
	int r;

	found = tfind(&wanted, &scan->files, compare_files);
	if (found) {
		*ret = *(struct mapped_file *const *)found;
		return 0;
	}
	if (asprintf(&path, "%d/map_files/%s", (int)scan->tid, range) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = look_at(scan->procfd, path, &wanted.type, &wanted.rdev);
	if (r < 0)
		return r;
	file = malloc(sizeof(*file));
	if (!file)
		return -ENOMEM;
	*file = wanted;
	file->key = strdup(key);
	if (!file->key || !tsearch(file, &scan->files, compare_files)) {
		free_file(file);
		return -ENOMEM;
	}
	*ret = file;
	return 0;
}

/* "7f00-7f10 rw-s 00000000 00:05 123   /dev/dax0.0" */
static int scan_mapping(struct scan *scan, char *line)
{
	const struct mapped_file *file;
	char *fields[5], *key, *save;
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(fields); i++, line = NULL) {
		fields[i] = strtok_r(line, " \n", &save);
		if (!fields[i])
			return vp_system_miss(scan->sys, "%s/maps makes no sense", scan->who);
	}
	if (!strcmp(fields[4], "0"))
		return 0;
	/* Nothing else is wanted of the line: join the two fields again. */
	key = fields[3];
	key[strlen(key)] = ' ';
	r = mapped_file_get(scan, key, fields[0], &file);
	if (r < 0)
		return miss_file(scan->sys, scan->who, -r);
	return note_open(scan, file->type, file->rdev, true);
}

static int scan_maps(struct scan *scan, int dirfd)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int fd, r = 0;
	FILE *maps;

	fd = openat(dirfd, "maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return miss_file(scan->sys, scan->who, errno);
	maps = fdopen(fd, "re");
	if (!maps) {
		close(fd);
		return -ENOMEM;
	}
	while (r >= 0 && (errno = 0, getline(&line, &size, maps) > 0))
		r = scan_mapping(scan, line);
	if (r >= 0 && errno)
		r = miss_file(scan->sys, scan->who, errno);
	fclose(maps);
	return r;
}

/*
 * 1 if a thread has mounts that have not been read yet. Seen from a changed root the names
 * of others say little: that of the machine is "/" there, too.
 */
static int sees_other_mounts(struct scan *scan, int dirfd)
{
	_cleanup_free_ char *ns = NULL, *root = NULL, *key = NULL;
	struct statx stx;
	char **entry;
	size_t i;
	int r;

	r = vp_link_read(dirfd, "ns/mnt", &ns);
	if (!r)
		r = vp_link_read(dirfd, "root", &root);
	if (!r && statx(dirfd, "root", AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &stx) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (asprintf(&key, "%s %u:%u %llu %llu %s", ns, stx.stx_dev_major, stx.stx_dev_minor,
		     (unsigned long long)stx.stx_ino, (unsigned long long)stx.stx_mnt_id,
		     root) < 0) {
		key = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < scan->seen_count; i++)
		if (!strcmp(scan->seen[i], key))
			return 0;
	entry = add_entry(&scan->seen, &scan->seen_count, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	*entry = key;
	key = NULL;
	return 1;
}

static int scan_mounts(struct scan *scan, int dirfd)
{
	_cleanup_free_ char *thread = NULL;
	int r = sees_other_mounts(scan, dirfd);

	if (r <= 0)
		return r < 0 ? miss_file(scan->sys, scan->who, -r) : 0;
	if (asprintf(&thread, "%d/task/%d", (int)scan->pid, (int)scan->tid) < 0) {
		thread = NULL;
		return -ENOMEM;
	}
	return read_mounts(scan->sys, thread, scan->tid);
}

/*
 * A part that is the same as that of the last thread whose part was read need not be read
 * again. That thread is still alive then, and so was while it was looked at: one that had
 * begun to exit has none. A kernel that cannot tell (no kcmp) has all of them read.
 */
static int scan_thread(struct scan *scan, int taskfd, const char *name)
{
	/* Who has the root in common has the mount namespace, too. */
	static const struct {
		int type;
		int (*scan_fn)(struct scan *scan, int dirfd);
	} parts[PARTS] = {
		{ KCMP_FS, scan_mounts }, { KCMP_FILES, scan_fds }, { KCMP_VM, scan_maps },
	};
	_cleanup_close_ int fd = openat(taskfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t i;
	int r = 0;

	if (fd < 0)
		return miss_file(scan->sys, scan->who, errno);
	for (i = 0; !r && i < PARTS; i++) {
		if (scan->last[i] && !syscall(SYS_kcmp, scan->last[i], scan->tid, parts[i].type,
					      0UL, 0UL))
			continue;
		scan->last[i] = scan->tid;
		r = parts[i].scan_fn(scan, fd);
	}
	return r;
}

static int scan_process(struct scan *scan, const char *name)
{
	_cleanup_free_ char *who = NULL, *task = NULL;
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	unsigned int tid;
	int r;

	if (asprintf(&who, "%s/%s", scan->sys->ctx->proc, name) < 0) {
		who = NULL;
		return -ENOMEM;
	}
	if (asprintf(&task, "%s/task", who) < 0) {
		task = NULL;
		return -ENOMEM;
	}
	scan->who = who;
	memset(scan->last, 0, sizeof(scan->last));
	r = vp_system_opendir(scan->sys, task, &dir);
	while (!r && dir && (errno = 0, (entry = readdir(dir)))) {
		if (!vp_parse_id(entry->d_name, "", &tid))
			continue;
		scan->tid = (pid_t)tid;
		r = scan_thread(scan, dirfd(dir), entry->d_name);
	}
	if (!r && dir && errno)
		r = miss_file(scan->sys, task, errno);
	return r;
}

/* 1 if we are in the first PID namespace, or the kernel has none: it shows other kinds only. */
static int sees_all_processes(int procfd)
{
	_cleanup_free_ char *ns = NULL;
	int r;

	r = vp_link_read(procfd, "self/ns/pid", &ns);
	if (r == -ENOMEM)
		return r;
	if (r == -ENOENT)
		return !faccessat(procfd, "self/ns/mnt", F_OK, AT_SYMLINK_NOFOLLOW);
	return !r && !strcmp(ns, INIT_PID_NS);
}

/* Whether processes can be hidden from us: by a PID namespace, or how procfs is mounted. */
static int check_view(struct scan *scan, int procfd)
{
	_cleanup_close_ int self = -1;
	int r;

	r = sees_all_processes(procfd);
	if (r < 0)
		return r;
	if (!r)
		return vp_system_miss(scan->sys, "processes outside of this PID namespace cannot "
				      "be seen");
	if (faccessat(procfd, "1", F_OK, 0) < 0)
		return vp_system_miss(scan->sys, "%s hides the processes of others",
				      scan->sys->ctx->proc);
	/* Ours have been read already. */
	self = openat(procfd, "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = self < 0 ? -errno : sees_other_mounts(scan, self);
	return r < 0 ? miss_file(scan->sys, "self", -r) : 0;
}

static int scan_processes(struct vp_system *sys, bool skip_self)
{
	_cleanup_(scan_done) struct scan scan = { .sys = sys };
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	unsigned int pid;
	int r;

	/* That there is none has been noted with the mounts. */
	r = vp_system_opendir(sys, sys->ctx->proc, &dir);
	if (!dir)
		return r;
	scan.procfd = dirfd(dir);
	r = check_view(&scan, scan.procfd);
	while (r >= 0 && (errno = 0, (entry = readdir(dir)))) {
		if (!vp_parse_id(entry->d_name, "", &pid))
			continue;
		if (skip_self && (pid_t)pid == getpid())
			continue;
		scan.pid = (pid_t)pid;
		scan.first_open = sys->open_count;
		r = scan_process(&scan, entry->d_name);
	}
	if (r >= 0 && errno)
		r = miss_file(sys, sys->ctx->proc, errno);
	return r;
}

/* The name of a process; "?" if it has gone meanwhile. */
int vp_system_comm(const struct vp_system *sys, pid_t pid, char **ret)
{
	_cleanup_free_ char *path = NULL;
	const char *why;
	char *comm;
	int r;

	if (asprintf(&path, "%s/%d/comm", sys->ctx->proc, (int)pid) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = vp_attr_read(AT_FDCWD, path, &comm, &why);
	if (r < 0 && r != -ENOMEM) {
		comm = strdup("?");
		r = comm ? 0 : -ENOMEM;
	}
	if (r < 0)
		return r;
	*ret = comm;
	return 0;
}

/* ----------------------------------------------------------------- all */

void vp_system_done(struct vp_system *sys)
{
	size_t i;

	free(sys->missing);
	if (sys->borrowed)
		return;
	for (i = 0; i < sys->mount_count; i++)
		mount_done(&sys->mounts[i]);
	for (i = 0; i < sys->swap_count; i++)
		free(sys->swaps[i].path);
	for (i = 0; i < sys->loop_count; i++) {
		free(sys->loops[i].name);
		free(sys->loops[i].path);
	}
	free(sys->mounts);
	free(sys->swaps);
	free(sys->loops);
	free(sys->opens);
}

/* @skip_self: leave out what this process has open. */
int vp_system_read(struct virtpmem_ctx *ctx, bool skip_self, struct vp_system *ret)
{
	struct vp_system sys = { .ctx = ctx };
	int r;

	r = read_mounts(&sys, "self", 0);
	if (!r)
		r = read_swaps(&sys);
	if (!r)
		r = read_loops(&sys);
	if (!r)
		r = scan_processes(&sys, skip_self);
	if (r < 0) {
		vp_system_done(&sys);
		return r;
	}
	*ret = sys;
	return 0;
}

/* ---------------------------------------------------------------- kept */

static void drop(struct vp_system **kept)
{
	if (*kept)
		vp_system_done(*kept);
	free(*kept);
	*kept = NULL;
}

VP_EXPORT void virtpmem_snapshot_begin(struct virtpmem_ctx *ctx)
{
	virtpmem_snapshot_end(ctx);
	ctx->keeping = true;
}

VP_EXPORT void virtpmem_snapshot_end(struct virtpmem_ctx *ctx)
{
	ctx->keeping = false;
	ctx->config_count = 0;
	vp_ndctl_forget(ctx);
	drop(&ctx->kept[false]);
	drop(&ctx->kept[true]);
}

static int keep(struct virtpmem_ctx *ctx, bool skip_self)
{
	struct vp_system *sys = malloc(sizeof(*sys));
	int r;

	if (!sys)
		return -ENOMEM;
	r = vp_system_read(ctx, skip_self, sys);
	if (r < 0) {
		free(sys);
		return r;
	}
	ctx->kept[skip_self] = sys;
	return 0;
}

int vp_system_get(struct virtpmem_ctx *ctx, bool skip_self, struct vp_system *ret)
{
	struct vp_system sys;
	int r;

	if (!ctx->keeping)
		return vp_system_read(ctx, skip_self, ret);
	r = ctx->kept[skip_self] ? 0 : keep(ctx, skip_self);
	if (r < 0)
		return r;
	sys = *ctx->kept[skip_self];
	sys.borrowed = true;
	if (sys.missing) {
		sys.missing = strdup(sys.missing);
		if (!sys.missing)
			return -ENOMEM;
	}
	*ret = sys;
	return 0;
}
