// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The file systems that lie on a region, each with a descriptor on it: what is
 * frozen and thawed. They are found among the region's holders.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "filesystems.h"

static void fs_done(struct vp_fs *fs)
{
	vp_closep(&fs->fd);
	free(fs->name);
	free(fs->path);
}

void vp_fs_list_done(struct vp_fs_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		fs_done(&list->fs[i]);
	free(list->fs);
}

/*
 * A mount's root, opened for reading. Another file system can have been mounted
 * over it: then it is not what is meant, and -ESTALE.
 */
static int open_mount(const struct virtpmem_ctx *ctx, const struct virtpmem_holder *holder)
{
	const char *path = virtpmem_holder_get_path(holder);
	int pid = (int)virtpmem_holder_get_pid(holder);
	_cleanup_free_ char *full = NULL;
	_cleanup_close_ int fd = -1;
	struct statfs type;
	struct stat st;
	int r;

	r = pid ? asprintf(&full, "%s/%d/root%s", ctx->proc, pid, path) :
		  asprintf(&full, "%s", path);
	if (r < 0) {
		full = NULL;
		return -ENOMEM;
	}
	/* Directories, and the files that bind mounts can be; opening another kind can wait. */
	fd = open(full, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &type) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return -ESTALE;
	/* Each subvolume of btrfs has a number of its own. */
	if (st.st_dev != virtpmem_holder_get_devno(holder) &&
	    (type.f_type != BTRFS_SUPER_MAGIC || strcmp(virtpmem_holder_get_name(holder), "btrfs")))
		return -ESTALE;
	free(full);
	if (asprintf(&full, "/proc/self/fd/%d", fd) < 0) {
		full = NULL;
		return -ENOMEM;
	}
	r = open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return r < 0 ? -errno : r;
}

static struct vp_fs *find_fs(const struct vp_fs_list *list, dev_t devno)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->fs[i].devno == devno)
			return &list->fs[i];
	return NULL;
}

static int add_fs(struct vp_fs_list *list, const struct virtpmem_holder *holder,
		  struct vp_fs **ret)
{
	struct vp_fs *grown = reallocarray(list->fs, list->count + 1, sizeof(*grown));
	struct vp_fs fs = {
		.devno = virtpmem_holder_get_devno(holder),
		.name = strdup(virtpmem_holder_get_name(holder)),
		.path = strdup(virtpmem_holder_get_path(holder)),
		.fd = -1,
	};

	if (grown)
		list->fs = grown;
	if (!grown || !fs.name || !fs.path) {
		fs_done(&fs);
		return -ENOMEM;
	}
	list->fs[list->count] = fs;
	*ret = &list->fs[list->count++];
	return 0;
}

/*
 * Takes a mount: a file system can have many, and lie on several devices. The
 * first mount that can be reached counts. To be sorted when all are there.
 */
int vp_fs_take(const struct virtpmem_ctx *ctx, struct vp_fs_list *list,
	       const struct virtpmem_holder *holder, unsigned int depth)
{
	struct vp_fs *fs = find_fs(list, virtpmem_holder_get_devno(holder));
	int r = 0;

	if (!fs)
		r = add_fs(list, holder, &fs);
	if (r < 0)
		return r;
	if (fs->depth < depth)
		fs->depth = depth;
	if (fs->fd >= 0)
		return 0;
	fs->fd = open_mount(ctx, holder);
	if (fs->fd == -ENOMEM)
		return fs->fd;
	if (fs->fd >= 0) {
		free(fs->path);
		fs->path = strdup(virtpmem_holder_get_path(holder));
	}
	return fs->path ? 0 : -ENOMEM;
}

/* Those that can be reached, and of them those on top of others, first. */
static int compare_fs(const void *a, const void *b)
{
	const struct vp_fs *x = a, *y = b;

	if ((x->fd < 0) != (y->fd < 0))
		return x->fd < 0 ? 1 : -1;
	return x->depth == y->depth ? 0 : x->depth > y->depth ? -1 : 1;
}

void vp_fs_sort(struct vp_fs_list *list)
{
	if (list->count)
		qsort(list->fs, list->count, sizeof(*list->fs), compare_fs);
}

/* Whether @path lies on it. */
bool vp_fs_has(const struct vp_fs *fs, const char *path)
{
	struct stat mine, other;

	return fs->fd >= 0 && !fstat(fs->fd, &mine) && !stat(path, &other) &&
	       mine.st_dev == other.st_dev;
}

/* Whether this process has a file of @fs open for writing, such as its log. */
bool vp_fs_is_written(const struct vp_fs *fs)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct stat mine, other;

	if (!dir || fs->fd < 0 || fstat(fs->fd, &mine) < 0)
		return false;
	while ((entry = readdir(dir))) {
		uint64_t fd;

		if (!vp_parse_u64(entry->d_name, &fd) || fstat((int)fd, &other) < 0 ||
		    other.st_dev != mine.st_dev || !S_ISREG(other.st_mode))
			continue;
		if ((fcntl((int)fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
			return true;
	}
	return false;
}
