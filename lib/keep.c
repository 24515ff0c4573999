// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files that are kept for a device: the udev rule of its saved settings, and which
 * errors of its host were acknowledged. They are named by the region's path, because
 * the kernel gives the region's own name to other devices.
 *
 * A file is exchanged as a whole, so that whoever reads it sees the old one or the new
 * one. Writers have a lock on the directory: the temporary file is theirs in turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep.h"

/*
 * A path has nothing that a file system, or udev, would take for more than a character, or
 * it is not used.
 */
static bool is_plain(const char *path)
{
	return strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		      "-_.:+@") == strlen(path) && strchr(path, '-');
}

/* The region's path between @before and @after; -EOPNOTSUPP if it has none that can be used. */
int vp_keep_name(const struct virtpmem_region *region, const char *before, const char *after,
		 char **ret)
{
	if (!region->path || !is_plain(region->path))
		return -EOPNOTSUPP;
	if (asprintf(ret, "%s%s%s", before, region->path, after) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int finish(FILE *f)
{
	if (fflush(f) || fchmod(fileno(f), 0644) < 0 || fsync(fileno(f)) < 0)
		return -errno;
	return 0;
}

/* Exchange the file @name for a new one, which is @temporary until it is whole. */
int vp_keep_write(int dirfd, const char *temporary, const char *name, vp_print_fn print,
		  const void *data)
{
	FILE *f;
	int fd, r;

	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "we");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	print(f, data);
	r = finish(f);
	if (fclose(f) && !r)
		r = -errno;
	if (!r && renameat(dirfd, temporary, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, temporary, 0);
	return r;
}
