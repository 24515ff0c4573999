// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who holds a region's devices, as a tree.
 *
 * sysfs tells what is stacked on a block device ("holders") and is followed
 * from the region's directory upwards, always through descriptors: names are
 * never looked up again. system.c tells who has mounted, swaps to, loops or
 * has open each device on the way. At last each block device is claimed for a
 * moment, as mount(2) does it: a refusal that nothing found so far explains is
 * a holder that leaves no other trace (a file system that was unmounted
 * lazily, or while it was frozen, or that lives in a mount namespace without
 * processes).
 *
 * A tree is a snapshot and needs neither its region nor its context.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "act.h"
#include "system.h"

/* Deeper stacks and larger trees than any that exist; ends a loop in a tree that has one. */
#define DEPTH_MAX	16
#define COUNT_MAX	10000

#define BLOCK_CLASS	"/sys/class/block"

struct virtpmem_holder {
	struct virtpmem_holder *next;
	struct virtpmem_holder *child;
	enum virtpmem_holder_kind kind;
	char *name;
	char *on;
	char *path;
	char *root;
	dev_t devno;
	pid_t pid;
	bool drops_flushes;
};

struct virtpmem_holders {
	unsigned int refs;
	struct virtpmem_holder *first;
	char *missing;
};

static void holder_list_free(struct virtpmem_holder *holder)
{
	struct virtpmem_holder *next;

	for (; holder; holder = next) {
		next = holder->next;
		holder_list_free(holder->child);
		free(holder->name);
		free(holder->on);
		free(holder->path);
		free(holder->root);
		free(holder);
	}
}

/* ------------------------------------------------------------ building */

/* @claim: try to claim each block device. */
struct builder {
	struct vp_system sys;
	bool claim;
	unsigned int count;
};

/*
 * The device that is being looked at. @holders is where to add who holds it;
 * @explained: one of them claims it, or a part of it.
 */
struct target {
	struct builder *b;
	int dirfd;
	const char *name;
	dev_t devno;
	unsigned int depth;
	struct virtpmem_holder **holders;
	bool explained;
	bool whole_explained;		/* without its partitions */
};

/* What is known of a holder; all is copied. */
struct found {
	enum virtpmem_holder_kind kind;
	const char *name;
	const char *path;
	const char *root;
	dev_t devno;
	pid_t pid;
	bool drops_flushes;
};

static int add_holder(const struct target *t, struct virtpmem_holder **list,
		      const struct found *found, struct virtpmem_holder **ret)
{
	struct virtpmem_holder *holder;

	if (t->b->count++ >= COUNT_MAX)
		return -E2BIG;
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return -ENOMEM;
	holder->kind = found->kind;
	holder->devno = found->devno;
	holder->pid = found->pid;
	holder->drops_flushes = found->drops_flushes;
	holder->name = strdup(found->name);
	holder->on = strdup(t->name);
	if (found->path)
		holder->path = strdup(found->path);
	if (found->root)
		holder->root = strdup(found->root);
	if (!holder->name || !holder->on || (found->path && !holder->path) ||
	    (found->root && !holder->root)) {
		holder_list_free(holder);
		return -ENOMEM;
	}
	while (*list)
		list = &(*list)->next;
	*list = holder;
	if (ret)
		*ret = holder;
	return 0;
}

static int walk_device(struct target *t);

/*
 * Goes on to a device on top of, or a part of, the one that is looked at.
 * @explained: it cannot be claimed in any case. Returns 1 if it is claimed.
 */
static int walk_from(const struct target *below, const char *name, int dirfd, bool explained,
		     struct virtpmem_holder **holders)
{
	struct target t = {
		.b = below->b,
		.dirfd = dirfd,
		.name = name,
		.depth = below->depth + 1,
		.holders = holders,
		.explained = explained,
	};
	int r = walk_device(&t);

	return r < 0 ? r : t.explained;
}

static int open_dir_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* 1, 0 or a negative errno. */
static int has_file(int dirfd, const char *name)
{
	if (!faccessat(dirfd, name, F_OK, 0))
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

/* What could not be read of a device in sysfs, unless the device has gone. */
static int miss_attr(struct target *t, const char *what, int error)
{
	if (error == -ENOMEM)
		return error;
	if (error == -ENOENT && faccessat(t->dirfd, "uevent", F_OK, 0) < 0)
		return 0;
	return vp_system_miss(&t->b->sys, "%s of %s cannot be read: %s", what, t->name,
			      strerror(-error));
}

static int read_devno(int dirfd, dev_t *ret)
{
	_cleanup_free_ char *line = NULL;
	const char *why;
	int r;

	r = vp_attr_read(dirfd, "dev", &line, &why);
	if (r < 0)
		return r;
	return vp_parse_devno(line, ret) ? 0 : -EBADMSG;
}

/* -------------------------------------------------- file systems on it */

/* Loop devices and swap files that lie on a file system. */
static int add_files(struct target *t, dev_t fs, struct virtpmem_holder **list);

/* Whether the target is the device at @path: 1, 0 or -ENOMEM. */
static int is_at(const struct target *t, const char *path, mode_t type)
{
	struct stat st;

	if (strncmp(path, "/dev/", 5) != 0)
		return 0;
	if (!stat(path, &st))
		return (st.st_mode & S_IFMT) == type && st.st_rdev == t->devno;
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	return vp_system_miss(&t->b->sys, "what %s is cannot be seen: %s", path, strerror(errno));
}

/*
 * Whether the target is one of the paths in the first @length characters of
 * @list, which @separator divides: 1, 0 or -ENOMEM.
 */
static int path_is_device(const struct target *t, const char *list, size_t length,
			  char separator, mode_t type)
{
	_cleanup_free_ char *copy = strndup(list, length);
	const char delimiters[] = { separator, '\0' };
	char *rest = copy, *path;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	while (!r && (path = strsep(&rest, delimiters)))
		r = is_at(t, path, type);
	return r;
}

/* The device that an option such as "logdev=/dev/pmem0" names: 1, 0 or -ENOMEM. */
static int option_is_device(const struct target *t, const struct vp_mount *mount,
			    const char *option)
{
	const char *p = mount->options, *comma;
	size_t n = strlen(option);

	for (;; p = comma + 1) {
		comma = strchrnul(p, ',');
		if (!strncmp(p, option, n))
			return path_is_device(t, p + n, (size_t)(comma - p) - n, '\0', S_IFBLK);
		if (!*comma)
			return 0;
	}
}

/*
 * The name that the device at @path has in sysfs: "dm-0" is "/dev/mapper/vg-lv" for the
 * mount table. One that cannot be seen from here is taken by the name that it has.
 */
static int name_in_sysfs(const char *path, char **ret)
{
	_cleanup_free_ char *link = NULL, *target = NULL;
	struct stat st;
	int r;

	if (!stat(path, &st) && S_ISBLK(st.st_mode)) {
		if (asprintf(&link, "/sys/dev/block/%u:%u", major(st.st_rdev),
			     minor(st.st_rdev)) < 0) {
			link = NULL;
			return -ENOMEM;
		}
		r = vp_link_read(AT_FDCWD, link, &target);
		if (r == -ENOMEM)
			return r;
	}
	*ret = strdup(vp_basename(target ? target : path));
	return *ret ? 0 : -ENOMEM;
}

/* Whether a device, by its name in sysfs, and the one at @path are of the same btrfs. */
static int shares_btrfs(struct vp_system *sys, const char *a, const char *path)
{
	static const char dirname[] = "/sys/fs/btrfs";
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_free_ char *b = NULL;
	const struct dirent *entry;
	int r;

	r = vp_system_opendir(sys, dirname, &dir);
	if (!r)
		r = name_in_sysfs(path, &b);
	if (r < 0)
		return r;
	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *devices = NULL;
		_cleanup_close_ int fd = -1;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&devices, "%s/%s/devices", dirname, entry->d_name) < 0) {
			devices = NULL;
			return -ENOMEM;
		}
		fd = open_dir_at(AT_FDCWD, devices);
		if (fd >= 0 && !faccessat(fd, a, F_OK, AT_SYMLINK_NOFOLLOW) &&
		    !faccessat(fd, b, F_OK, AT_SYMLINK_NOFOLLOW))
			return 1;
	}
	return 0;
}

/* Whether a file system has its data there: 1, 0 or a negative errno. */
static int is_mounted_from(const struct target *t, const struct vp_mount *mount)
{
	int r;

	if (mount->devno == t->devno)
		return 1;
	if (strncmp(mount->source, "/dev/", 5) != 0)
		return 0;
	r = option_is_device(t, mount, "rtdev=");
	/* Without a number of its own: over several devices, whose first is the source. */
	if (!r && !major(mount->devno))
		r = path_is_device(t, mount->source, strlen(mount->source), ':', S_IFBLK);
	if (!r && !strcmp(mount->fstype, "btrfs"))
		r = shares_btrfs(&t->b->sys, t->name, mount->source);
	return r;
}

/* Whether the file system was told never to ask for a flush. */
static bool has_no_barriers(const struct vp_mount *mount)
{
	static const char *const words[] = {
		"nobarrier", "barrier=0", "barrier=none", "fsync_mode=nobarrier",
	};
	const char *p = mount->options;
	size_t i, n;

	for (;; p += n + 1) {
		n = strcspn(p, ",");
		for (i = 0; i < ARRAY_SIZE(words); i++)
			if (strlen(words[i]) == n && !strncmp(p, words[i], n))
				return true;
		if (!p[n])
			return false;
	}
}

static int add_mount(struct target *t, const struct vp_mount *mount, struct virtpmem_holder **list,
		     struct virtpmem_holder **ret)
{
	const struct found found = {
		.kind = VIRTPMEM_HOLDER_MOUNT,
		.name = mount->fstype,
		.path = mount->target,
		.root = mount->root,
		.devno = mount->devno,
		.pid = mount->pid,
		.drops_flushes = has_no_barriers(mount),
	};

	return add_holder(t, list, &found, ret);
}

/* Bind mounts are holders of their own; the files belong to the first of them. */
static int add_mounts(struct target *t)
{
	const struct vp_system *sys = &t->b->sys;
	struct virtpmem_holder *holder = NULL;
	dev_t fs = t->devno;
	size_t i;
	int r;

	for (i = 0; i < sys->mount_count; i++) {
		r = is_mounted_from(t, &sys->mounts[i]);
		if (r > 0)
			r = add_mount(t, &sys->mounts[i], t->holders, holder ? NULL : &holder);
		else if (!r)
			continue;
		if (r < 0)
			return r;
		t->explained = true;
		fs = sys->mounts[i].devno;
	}
	return add_files(t, fs, holder ? &holder->child : t->holders);
}

/* A mount of a file system that has its log there, below a holder for the log. */
static int add_log(struct target *t, dev_t fs, const char *fstype)
{
	const struct vp_system *sys = &t->b->sys;
	const struct found found = { .kind = VIRTPMEM_HOLDER_LOG, .name = fstype, .devno = fs };
	struct virtpmem_holder *log;
	size_t i;
	int r;

	r = add_holder(t, t->holders, &found, &log);
	if (r < 0)
		return r;
	t->explained = true;
	for (i = 0; !r && i < sys->mount_count; i++)
		if (sys->mounts[i].devno == fs)
			r = add_mount(t, &sys->mounts[i], &log->child, NULL);
	return r;
}

/* xfs says where its log is. */
static int add_log_options(struct target *t)
{
	const struct vp_system *sys = &t->b->sys;
	size_t i, j;
	int r = 0;

	for (i = 0; !r && i < sys->mount_count; i++) {
		const struct vp_mount *mount = &sys->mounts[i];

		for (j = 0; sys->mounts[j].devno != mount->devno; j++)
			;
		/* Once for all mounts of it. */
		if (i != j)
			continue;
		r = option_is_device(t, mount, "logdev=");
		if (r > 0)
			r = add_log(t, mount->devno, mount->fstype);
	}
	return r;
}

/* Of an ext4 that has gone, or has no journal, nothing is missing. */
static int miss_journal(struct target *t, const char *fs, int error)
{
	if (error == -ENOMEM || error == -ENOENT)
		return error == -ENOENT ? 0 : error;
	return vp_system_miss(&t->b->sys, "where the journal of %s lies cannot be told: %s", fs,
			      strerror(-error));
}

/* 1 if the journal of the ext4 on @fs lies on the target, 0 if not or if that cannot be told. */
static int has_journal_of(struct target *t, const char *fs)
{
	_cleanup_free_ char *path = NULL, *task = NULL, *comm = NULL, *wanted = NULL;
	const char *why;
	uint64_t pid;
	int r;

	if (asprintf(&path, "/sys/fs/ext4/%s/journal_task", fs) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = vp_attr_read(AT_FDCWD, path, &task, &why);
	if (!r && (!vp_parse_u64(task, &pid) || pid > INT32_MAX))
		r = -EBADMSG;
	if (r < 0)
		return miss_journal(t, fs, r);
	r = vp_system_comm(&t->b->sys, (pid_t)pid, &comm);
	if (r < 0)
		return r;
	if (!strcmp(comm, "?"))
		return miss_journal(t, fs, -ESRCH);
	if (asprintf(&wanted, "jbd2/%s", t->name) < 0) {
		wanted = NULL;
		return -ENOMEM;
	}
	return !strcmp(comm, wanted);
}

/*
 * The file system that this journal is of. ext4's journal thread is named for
 * the device that has the journal, and ext4 tells its number.
 */
static int find_journal_owner(struct target *t, const char *fs, dev_t *ret)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	r = has_journal_of(t, fs);
	if (r <= 0)
		return r;
	if (asprintf(&path, "/sys/class/block/%s", fs) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open_dir_at(AT_FDCWD, path);
	r = fd < 0 ? fd : read_devno(fd, ret);
	return r < 0 ? miss_journal(t, fs, r) : 1;
}

/* jbd2 has a directory with the bare name of a device only for an external journal. */
static int add_journal(struct target *t)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_free_ char *path = NULL;
	const struct dirent *entry;
	dev_t fs = 0;
	int r;

	if (asprintf(&path, "%s/fs/jbd2/%s", t->b->sys.ctx->proc, t->name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = has_file(AT_FDCWD, path);
	if (r < 0)
		return miss_attr(t, "the journal", r);
	if (!r)
		return 0;
	r = vp_system_opendir(&t->b->sys, "/sys/fs/ext4", &dir);
	while (!r && dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = find_journal_owner(t, entry->d_name, &fs);
	return r < 0 ? r : add_log(t, fs, "ext4");
}

/* ------------------------------------------------------- other holders */

static int add_swap(struct target *t, const struct vp_swap *swap, struct virtpmem_holder **list)
{
	const struct found found = {
		.kind = VIRTPMEM_HOLDER_SWAP,
		.name = "swap",
		.path = swap->path,
	};

	return add_holder(t, list, &found, NULL);
}

static int add_loop(struct target *t, const struct vp_loop *loop, struct virtpmem_holder **list)
{
	struct found found = {
		.kind = VIRTPMEM_HOLDER_LOOP,
		.name = loop->name,
		.path = loop->path,
	};
	struct virtpmem_holder *holder;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (asprintf(&path, BLOCK_CLASS "/%s", loop->name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open_dir_at(AT_FDCWD, path);
	r = fd < 0 ? fd : read_devno(fd, &found.devno);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return miss_attr(t, loop->name, r);
	r = add_holder(t, list, &found, &holder);
	if (!r)
		r = walk_from(t, loop->name, fd, false, &holder->child);
	return r < 0 ? r : 0;
}

static bool lies_on(const struct target *t, const struct vp_backing *backing)
{
	return backing->rdev == t->devno;
}

static bool is_file_on(const struct vp_backing *backing, dev_t fs)
{
	return !backing->rdev && backing->devno == fs;
}

static int add_files(struct target *t, dev_t fs, struct virtpmem_holder **list)
{
	const struct vp_system *sys = &t->b->sys;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < sys->swap_count; i++)
		if (is_file_on(&sys->swaps[i].backing, fs))
			r = add_swap(t, &sys->swaps[i], list);
	for (i = 0; !r && i < sys->loop_count; i++)
		if (is_file_on(&sys->loops[i].backing, fs))
			r = add_loop(t, &sys->loops[i], list);
	return r;
}

/* Swap on the device itself, and loop devices of it. The latter do not claim it. */
static int add_direct(struct target *t)
{
	const struct vp_system *sys = &t->b->sys;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < sys->swap_count; i++) {
		if (!lies_on(t, &sys->swaps[i].backing))
			continue;
		t->explained = true;
		r = add_swap(t, &sys->swaps[i], t->holders);
	}
	for (i = 0; !r && i < sys->loop_count; i++)
		if (lies_on(t, &sys->loops[i].backing))
			r = add_loop(t, &sys->loops[i], t->holders);
	return r;
}

static int add_opens(struct target *t, mode_t type)
{
	const struct vp_system *sys = &t->b->sys;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < sys->open_count; i++) {
		const struct vp_open *open = &sys->opens[i];
		_cleanup_free_ char *comm = NULL;
		struct found found = {
			.kind = open->mapped ? VIRTPMEM_HOLDER_MAPPED : VIRTPMEM_HOLDER_OPEN,
			.pid = open->pid,
		};

		if (open->type != type || open->rdev != t->devno)
			continue;
		r = vp_system_comm(sys, open->pid, &comm);
		if (r < 0)
			return r;
		found.name = comm;
		r = add_holder(t, t->holders, &found, NULL);
	}
	return r;
}

/* Once everything else is known: is it claimed by somebody who was not found? */
static int try_claim(struct target *t)
{
	const struct found found = {
		.kind = VIRTPMEM_HOLDER_UNKNOWN,
		.name = "held by kernel",
	};
	dev_t opened;
	int fd;

	if (!t->b->claim || t->explained)
		return 0;
	fd = vp_open_node(t->name, S_IFBLK, O_RDONLY | O_EXCL, &opened);
	if (fd >= 0) {
		close(fd);
		if (opened == t->devno)
			return 0;
		fd = -ESTALE;
	}
	if (fd == -ENOMEM)
		return fd;
	if (fd != -EBUSY)
		return vp_system_miss(&t->b->sys, "whether %s is claimed cannot be tried: %s",
				      t->name, strerror(-fd));
	t->explained = true;
	return add_holder(t, t->holders, &found, NULL);
}

/* --------------------------------------------------- stacked on devices */

/* Only a device of the device mapper has one: else *ret stays NULL. */
static int read_dm(struct target *t, int dirfd, const char *file, char **ret)
{
	const char *why;
	int r = vp_attr_read(dirfd, file, ret, &why);

	return r == -ENOENT ? 0 : r < 0 ? miss_attr(t, file, r) : 0;
}

/* What kind of device it is, and the name that people know it by. */
static int name_stacked(struct target *t, int dirfd, const char *name, struct found *found,
			char **path)
{
	_cleanup_free_ char *dm_name = NULL, *uuid = NULL;
	int r;

	r = has_file(dirfd, "md");
	if (r > 0)
		found->kind = VIRTPMEM_HOLDER_MD;
	r = r < 0 ? miss_attr(t, "md", r) : read_dm(t, dirfd, "dm/name", &dm_name);
	if (!r && dm_name)
		r = read_dm(t, dirfd, "dm/uuid", &uuid);
	if (r < 0)
		return r;
	if (dm_name)
		found->kind = uuid && !strncmp(uuid, "LVM-", 4) ? VIRTPMEM_HOLDER_LVM :
								  VIRTPMEM_HOLDER_DM;
	if (dm_name ? asprintf(path, "/dev/mapper/%s", dm_name) < 0 :
		      asprintf(path, "/dev/%s", name) < 0) {
		*path = NULL;
		return -ENOMEM;
	}
	found->name = name;
	found->path = *path;
	return 0;
}

static int add_stacked(struct target *t, int holdersfd, const char *name)
{
	struct found found = { .kind = VIRTPMEM_HOLDER_BLOCK };
	struct virtpmem_holder *holder;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	fd = open_dir_at(holdersfd, name);
	r = fd < 0 ? fd : read_devno(fd, &found.devno);
	if (r == -ENOENT && faccessat(holdersfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (r < 0)
		return miss_attr(t, name, r);
	t->explained = true;
	r = name_stacked(t, fd, name, &found, &path);
	if (!r)
		r = add_holder(t, t->holders, &found, &holder);
	if (!r)
		r = walk_from(t, name, fd, false, &holder->child);
	return r < 0 ? r : 0;
}

/* Who claims a partition keeps others from the whole device, and the other way round. */
static int add_partition(struct target *t, int parentfd, const char *name)
{
	_cleanup_close_ int fd = -1;
	int r;

	/* They are named for it. */
	if (strncmp(name, t->name, strlen(t->name)) != 0)
		return 0;
	fd = openat(parentfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		return miss_attr(t, name, -errno);
	r = fd < 0 ? 0 : has_file(fd, "partition");
	if (r < 0)
		return miss_attr(t, name, r);
	if (!r)
		return 0;
	r = walk_from(t, name, fd, t->whole_explained, t->holders);
	if (r > 0)
		t->explained = true;
	return r < 0 ? r : 0;
}

typedef int (*entry_fn)(struct target *t, int dirfd, const char *name);

/* In the order of their names, so that a tree always looks the same. */
static int each_entry(struct target *t, const char *name, entry_fn fn)
{
	_cleanup_close_ int fd = open_dir_at(t->dirfd, name);
	struct dirent **entries;
	int i, n, r = 0;

	if (fd < 0)
		return miss_attr(t, name, fd);
	n = scandirat(fd, ".", &entries, NULL, versionsort);
	if (n < 0)
		return miss_attr(t, name, -errno);
	for (i = 0; i < n; i++) {
		if (r >= 0 && entries[i]->d_name[0] != '.')
			r = fn(t, fd, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/* A block device, and everything on it. */
static int walk_device(struct target *t)
{
	static int (*const steps[])(struct target *t) = {
		add_mounts, add_log_options, add_journal, add_direct,
	};
	size_t i;
	int r;

	if (t->depth > DEPTH_MAX)
		return vp_system_miss(&t->b->sys, "%s is stacked too deep", t->name);
	r = read_devno(t->dirfd, &t->devno);
	if (r < 0)
		return miss_attr(t, "the device number", r);
	r = each_entry(t, "holders", add_stacked);
	for (i = 0; !r && i < ARRAY_SIZE(steps); i++)
		r = steps[i](t);
	t->whole_explained = t->explained;
	if (!r)
		r = each_entry(t, ".", add_partition);
	if (!r)
		r = add_opens(t, S_IFBLK);
	return r ? r : try_claim(t);
}

/* --------------------------------------------------------- DAX devices */

static int add_dax_mounts(struct target *t)
{
	const struct vp_system *sys = &t->b->sys;
	size_t i;
	int r;

	for (i = 0; i < sys->mount_count; i++) {
		const char *source = sys->mounts[i].source;

		r = path_is_device(t, source, strlen(source), '\0', S_IFCHR);
		if (r > 0)
			r = add_mount(t, &sys->mounts[i], t->holders, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Memory that the kernel was given is in use, whatever is in it. */
static int add_system_ram(struct target *t)
{
	const struct found found = { .kind = VIRTPMEM_HOLDER_SYSTEM_RAM, .name = "kmem" };
	_cleanup_free_ char *driver = NULL;
	int r;

	r = vp_link_read(t->dirfd, "driver", &driver);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return miss_attr(t, "the driver", r);
	if (strcmp(vp_basename(driver), "kmem") != 0)
		return 0;
	return add_holder(t, t->holders, &found, NULL);
}

static int walk_dax(struct target *t)
{
	int r;

	r = read_devno(t->dirfd, &t->devno);
	if (r < 0)
		return miss_attr(t, "the device number", r);
	r = add_system_ram(t);
	if (!r)
		r = add_dax_mounts(t);
	return r ? r : add_opens(t, S_IFCHR);
}

/* ------------------------------------------------------------ a region */

/* Where the devices of a namespace are looked for. */
struct origin {
	struct builder *b;
	const struct virtpmem_region *region;
	const char *dir;
	struct virtpmem_holder **holders;
};

/* @dir/@name is the device's directory below the region's. */
static int walk_below(const struct origin *o, const char *dir, const char *name,
		      int (*walk)(struct target *t))
{
	struct target t = { .b = o->b, .name = name, .holders = o->holders };
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open_dir_at(o->region->dirfd, path);
	/* Disabled since it was listed. */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return vp_system_miss(&o->b->sys, "%s/%s: %s", o->region->devname, path,
				      strerror(-fd));
	t.dirfd = fd;
	return walk(&t);
}

static int walk_dax_entry(const char *name, void *data)
{
	const struct origin *o = data;
	unsigned int major, minor;

	if (!vp_parse_id_pair(name, "dax", &major, &minor))
		return 0;
	return walk_below(o, o->dir, name, walk_dax);
}

static int walk_namespace(struct builder *b, const struct virtpmem_namespace *ns,
			  struct virtpmem_holder **holders)
{
	struct origin o = {
		.b = b, .region = ns->region, .dir = ns->holder, .holders = holders,
	};
	_cleanup_free_ char *dir = NULL;
	int r;

	if (ns->unsure)
		return vp_system_miss(&b->sys, "what %s is made into cannot be told", ns->devname);
	if (ns->daxdev) {
		r = vp_each_entry(ns->region, ns->holder, VP_OPTIONAL, walk_dax_entry, &o);
		/* Disabled since it was listed. */
		return r == -EOPNOTSUPP ? 0 : r;
	}
	if (!ns->blockdir)
		return 0;
	dir = strndup(ns->blockdir, (size_t)(vp_basename(ns->blockdir) - ns->blockdir) - 1);
	return dir ? walk_below(&o, dir, ns->blockdev, walk_device) : -ENOMEM;
}

static int walk_region(struct builder *b, struct virtpmem_region *region,
		       struct virtpmem_holders *tree)
{
	struct virtpmem_namespace *namespaces = NULL, *ns;
	int r;

	r = vp_namespaces_read(region, &namespaces);
	for (ns = namespaces; !r && ns; ns = ns->next)
		r = walk_namespace(b, ns, &tree->first);
	vp_namespaces_free(namespaces);
	if (!r && !vp_region_alive(region))
		r = -ENODEV;
	if (r == -E2BIG)
		r = vp_system_miss(&b->sys, "there are too many holders");
	return r;
}

typedef int (*system_fn)(struct virtpmem_ctx *ctx, bool skip_self, struct vp_system *ret);

static int get_holders(struct virtpmem_region *region, unsigned int flags, system_fn read,
		       struct virtpmem_holders **ret)
{
	bool claimed = flags & VIRTPMEM_HOLDERS_CLAIMED;
	struct builder b = { .claim = !claimed };
	struct virtpmem_holders *tree;
	int r;

	if (flags & ~(unsigned int)VIRTPMEM_HOLDERS_CLAIMED)
		return -EINVAL;
	tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	tree->refs = 1;
	r = read(region->ctx, claimed, &b.sys);
	if (!r) {
		r = walk_region(&b, region, tree);
		tree->missing = b.sys.missing;
		b.sys.missing = NULL;
		vp_system_done(&b.sys);
	}
	if (r < 0) {
		virtpmem_holders_unref(tree);
		return r;
	}
	*ret = tree;
	return 0;
}

VP_EXPORT int virtpmem_region_get_holders(struct virtpmem_region *region, unsigned int flags,
					  struct virtpmem_holders **ret)
{
	return get_holders(region, flags, vp_system_get, ret);
}

int vp_holders_now(struct virtpmem_region *region, unsigned int flags,
		   struct virtpmem_holders **ret)
{
	return get_holders(region, flags, vp_system_read, ret);
}

/* ---------------------------------------------- disks that are no region's */

/* What each disk beside @region is handed to. @class: the first, as walk_disk() gets it. */
struct each_disk {
	struct target class;
	struct builder b;
	struct virtpmem_region *region;
	vp_disk_fn fn;
	void *data;
};

/* 1 if something is stacked below it, or that cannot be seen; 0 or -ENOMEM. */
static int has_slaves(struct vp_system *sys, const char *link)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_free_ char *slaves = NULL;
	const struct dirent *entry;
	int r;

	if (asprintf(&slaves, "%s/slaves", link) < 0) {
		slaves = NULL;
		return -ENOMEM;
	}
	r = vp_system_opendir(sys, slaves, &dir);
	while (!r && dir && (errno = 0, (entry = readdir(dir))))
		r = entry->d_name[0] != '.';
	if (r || !dir || !errno)
		return r;
	r = vp_system_miss(sys, "%s cannot be read: %s", slaves, strerror(errno));
	return r < 0 ? r : 1;
}

/*
 * 1 if it is a whole device with nothing below it: others are come to from what they are
 * made of, or what their file lies on. 0 if not, or it has gone; or -ENOMEM.
 */
static int is_disk(struct each_disk *each, int dirfd, const char *name)
{
	_cleanup_free_ char *link = NULL, *syspath = NULL;
	struct virtpmem_region *region;
	unsigned int id;
	int r = has_file(dirfd, "partition");

	if (r < 0)
		return miss_attr(&each->class, name, r);
	if (r || vp_parse_id(name, "loop", &id))
		return 0;
	if (asprintf(&link, BLOCK_CLASS "/%s", name) < 0) {
		link = NULL;
		return -ENOMEM;
	}
	r = has_slaves(&each->b.sys, link);
	if (r)
		return r < 0 ? r : 0;
	syspath = realpath(link, NULL);
	if (!syspath)
		return miss_attr(&each->class, name, -errno);
	/* A copy of a region stands in no list. */
	if (vp_region_has(each->region, syspath))
		return 0;
	virtpmem_region_foreach(each->region->ctx, region)
		if (vp_region_has(region, syspath))
			return 0;
	return 1;
}

static int walk_disk(struct target *class, int classfd, const char *name)
{
	struct each_disk *each = (struct each_disk *)class;
	struct virtpmem_holders tree = { .refs = 1 };
	_cleanup_close_ int fd = open_dir_at(classfd, name);
	struct target t = {
		.b = &each->b, .dirfd = fd, .name = name, .holders = &tree.first,
	};
	int r = fd < 0 ? miss_attr(class, name, fd) : is_disk(each, fd, name);

	if (r <= 0)
		return r;
	each->b.count = 0;
	r = walk_device(&t);
	if (r >= 0 || r == -E2BIG)
		r = each->fn(name, &tree, each->data);
	holder_list_free(tree.first);
	return r;
}

int vp_each_disk(struct virtpmem_region *region, vp_disk_fn fn, void *data)
{
	struct each_disk each = {
		.class = { .b = &each.b, .dirfd = AT_FDCWD, .name = "sysfs" },
		.region = region, .fn = fn, .data = data,
	};
	int r = vp_system_read(region->ctx, true, &each.b.sys);

	if (r < 0)
		return r;
	r = each_entry(&each.class, BLOCK_CLASS, walk_disk);
	vp_system_done(&each.b.sys);
	return r;
}

/* ------------------------------------------------------ the finished tree */

VP_EXPORT struct virtpmem_holders *virtpmem_holders_ref(struct virtpmem_holders *holders)
{
	holders->refs++;
	return holders;
}

VP_EXPORT struct virtpmem_holders *virtpmem_holders_unref(struct virtpmem_holders *holders)
{
	if (!holders || --holders->refs)
		return NULL;
	holder_list_free(holders->first);
	free(holders->missing);
	free(holders);
	return NULL;
}

VP_EXPORT bool virtpmem_holders_is_complete(const struct virtpmem_holders *holders)
{
	return !holders->missing;
}

VP_EXPORT const char *virtpmem_holders_get_missing(const struct virtpmem_holders *holders)
{
	return holders->missing;
}

VP_EXPORT struct virtpmem_holder *virtpmem_holder_get_first(struct virtpmem_holders *holders)
{
	return holders->first;
}

VP_EXPORT struct virtpmem_holder *virtpmem_holder_get_next(struct virtpmem_holder *holder)
{
	return holder->next;
}

VP_EXPORT struct virtpmem_holder *virtpmem_holder_get_child(struct virtpmem_holder *holder)
{
	return holder->child;
}

VP_EXPORT enum virtpmem_holder_kind virtpmem_holder_get_kind(const struct virtpmem_holder *holder)
{
	return holder->kind;
}

VP_EXPORT const char *virtpmem_holder_kind_name(enum virtpmem_holder_kind kind)
{
	static const char *const names[] = {
		[VIRTPMEM_HOLDER_UNKNOWN] = "unknown",
		[VIRTPMEM_HOLDER_MOUNT] = "mount",
		[VIRTPMEM_HOLDER_LOG] = "log",
		[VIRTPMEM_HOLDER_SWAP] = "swap",
		[VIRTPMEM_HOLDER_DM] = "dm",
		[VIRTPMEM_HOLDER_LVM] = "lvm",
		[VIRTPMEM_HOLDER_MD] = "md",
		[VIRTPMEM_HOLDER_LOOP] = "loop",
		[VIRTPMEM_HOLDER_BLOCK] = "block",
		[VIRTPMEM_HOLDER_OPEN] = "open",
		[VIRTPMEM_HOLDER_MAPPED] = "mapped",
		[VIRTPMEM_HOLDER_SYSTEM_RAM] = "system-ram",
	};

	if ((unsigned int)kind >= ARRAY_SIZE(names))
		kind = VIRTPMEM_HOLDER_UNKNOWN;
	return names[kind];
}

VP_EXPORT const char *virtpmem_holder_get_name(const struct virtpmem_holder *holder)
{
	return holder->name;
}

VP_EXPORT const char *virtpmem_holder_get_device(const struct virtpmem_holder *holder)
{
	return holder->on;
}

VP_EXPORT const char *virtpmem_holder_get_path(const struct virtpmem_holder *holder)
{
	return holder->path;
}

VP_EXPORT const char *virtpmem_holder_get_root(const struct virtpmem_holder *holder)
{
	return holder->root;
}

VP_EXPORT dev_t virtpmem_holder_get_devno(const struct virtpmem_holder *holder)
{
	return holder->devno;
}

VP_EXPORT pid_t virtpmem_holder_get_pid(const struct virtpmem_holder *holder)
{
	return holder->pid;
}

VP_EXPORT bool virtpmem_holder_drops_flushes(const struct virtpmem_holder *holder)
{
	return holder->drops_flushes;
}
