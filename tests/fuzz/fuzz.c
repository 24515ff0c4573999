// SPDX-License-Identifier: GPL-2.0-or-later
/* See fuzz.h. The directory goes when the program ends. */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir;
static int dirfd_of_dir = -1;

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

const char *fuzz_dir(void)
{
	if (dir)
		return dir;
	dir = strdup(access("/dev/shm", W_OK) ? "/tmp/virtpmem-XXXXXX" :
						"/dev/shm/virtpmem-XXXXXX");
	check(dir && mkdtemp(dir));
	dirfd_of_dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(dirfd_of_dir >= 0);
	check(!atexit(remove_dir));
	return dir;
}

static void ignore(void *userdata, int priority, const char *message)
{
	(void)userdata;
	(void)priority;
	/* Whatever is logged must be one line of text. */
	check(!strchr(message, '\n'));
}

struct virtpmem_ctx *fuzz_ctx(void)
{
	static struct virtpmem_ctx *ctx;

	if (!ctx) {
		check(!virtpmem_new(&ctx));
		virtpmem_set_log_fn(ctx, ignore, NULL);
		virtpmem_set_log_priority(ctx, LOG_DEBUG);
	}
	return ctx;
}

struct virtpmem_region *fuzz_region(void)
{
	static struct virtpmem_region region;

	if (!region.ctx) {
		fuzz_dir();
		region.ctx = fuzz_ctx();
		/* As one of a scan: it is not freed with its last reference. */
		region.listed = true;
		region.dirfd = dirfd_of_dir;
		region.devname = "region0";
		region.syspath = dir;
		fuzz_write("uevent", "", 0);
		fuzz_mkdir(VIRTIO_PMEM_GROUP);
	}
	return &region;
}

void fuzz_mkdir(const char *path)
{
	fuzz_dir();
	check(!mkdirat(dirfd_of_dir, path, 0755));
}

void fuzz_write(const char *path, const void *data, size_t size)
{
	int fd;

	fuzz_dir();
	fd = openat(dirfd_of_dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	check(fd >= 0);
	check(write(fd, data, size) == (ssize_t)size);
	close(fd);
}
