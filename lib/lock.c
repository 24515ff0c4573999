// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Keeping two processes from changing one region at the same time.
 *
 * flock(2) on /dev/ndctlN, the node of the region's bus, is held from the first
 * look to the last step. The node is there anyway, so nothing is created and
 * nothing can be left over; a lock is the kernel's to drop when its holder
 * dies; and it is one file in every mount namespace.
 *
 * A guard that holds a region frozen (guard.c) has, besides, a record lock on
 * the byte of the region's number in the same node: it says who that is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

/* How long to wait for the other one. */
#define LOCK_WAIT_MS	10000
#define LOCK_PAUSE_MS	20

#define ND_DEVICES	"/sys/bus/nd/devices"

static int find_ndctl(const char *name, void *data)
{
	char **ret = data;
	unsigned int id;

	if (!vp_parse_id(name, "ndctl", &id))
		return 0;
	*ret = strdup(name);
	return *ret ? 1 : -ENOMEM;
}

/*
 * The bus's node, which must have the number that sysfs gives for it. @need: whether it is worth an
 * error in the log that it cannot be had.
 */
static int open_bus_node(const struct virtpmem_region *region, int flags, enum vp_need need)
{
	_cleanup_free_ char *name = NULL, *file = NULL, *line = NULL;
	_cleanup_close_ int fd = -1;
	dev_t devno, opened;
	int r;

	r = vp_each_entry(region, "../nd", need, find_ndctl, &name);
	if (r < 0)
		return r;
	if (!name)
		return -ENOENT;
	if (asprintf(&file, "../nd/%s/dev", name) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = vp_read_line(region, file, need, &line);
	if (r < 0)
		return r;
	if (!vp_parse_devno(line, &devno))
		return vp_malformed(region, file, "not a device number");
	fd = vp_open_node(name, S_IFCHR, flags, &opened);
	if (fd == -EPERM || fd == -EACCES)
		vp_log(region->ctx, need == VP_OPTIONAL ? LOG_INFO : LOG_ERR, "/dev/%s: %s", name,
		       strerror(EACCES));
	if (fd < 0)
		return fd == -EPERM ? -EACCES : fd;
	if (opened != devno) {
		vp_err(region->ctx, "/dev/%s is not the node of %s's bus", name, region->devname);
		return -ESTALE;
	}
	r = fd;
	fd = -1;
	return r;
}

static int wait_lock(int fd, const sigset_t *mask)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	unsigned int waited;

	for (waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_PAUSE_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (waited >= LOCK_WAIT_MS)
			return -EBUSY;
		if (ppoll(NULL, 0, &pause, mask) < 0)
			return -errno;
	}
	return 0;
}

/*
 * flock(2) with a limit: 0, -EBUSY, -EINTR or another negative errno. A signal comes
 * in through ppoll() only, so that none is missed.
 */
int vp_lock(int fd)
{
	sigset_t all, mask;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	r = wait_lock(fd, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return r;
}

/*
 * Whether the region's name still leads to the device that was looked at: what
 * is done by name from here on is done to it.
 */
static int check_identity(const struct virtpmem_region *region)
{
	_cleanup_free_ char *link = NULL;
	struct stat named, held;

	if (asprintf(&link, ND_DEVICES "/%s", region->devname) < 0) {
		link = NULL;
		return -ENOMEM;
	}
	if (!vp_region_alive(region) || fstat(region->dirfd, &held) < 0)
		return -ENODEV;
	if (stat(link, &named) < 0)
		return -ENODEV;
	if (named.st_dev == held.st_dev && named.st_ino == held.st_ino)
		return 0;
	vp_err(region->ctx, "%s is another device by now than %s", region->devname,
	       region->path ? region->path : "the one that was found");
	return -ESTALE;
}

/*
 * Returns a descriptor whose closing gives the lock back, unless a guard has it
 * too: then vp_region_unlock() does. -EBUSY if another process keeps the lock;
 * -ENODEV if the region went meanwhile; another negative errno.
 */
int vp_region_lock(struct virtpmem_region *region)
{
	_cleanup_close_ int fd = -1;
	int r;

	/* What was kept of it before need not be so any more. */
	virtpmem_region_snapshot_end(region);
	fd = open_bus_node(region, O_RDWR, VP_REQUIRED);
	r = fd;
	if (r >= 0)
		r = vp_lock(fd);
	if (r == -EBUSY)
		vp_err(region->ctx, "%s: another process is at work on it", region->devname);
	if (!r)
		r = check_identity(region);
	if (r < 0)
		return r;
	r = fd;
	fd = -1;
	return r;
}

/* Also for other processes that have the descriptor; -1 is no lock. */
void vp_region_unlock(int lock_fd)
{
	if (lock_fd < 0)
		return;
	flock(lock_fd, LOCK_UN);
	close(lock_fd);
}

/* The process that holds the region frozen, 0 if none does; or a negative errno. */
pid_t vp_region_guard(const struct virtpmem_region *region, int lock_fd)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = region->id,
		.l_len = 1,
	};

	if (fcntl(lock_fd, F_GETLK, &lock) < 0)
		return -errno;
	if (lock.l_type == F_UNLCK)
		return 0;
	/* One of another process namespace has no number here. */
	return lock.l_pid > 0 ? lock.l_pid : -EBUSY;
}

/* The same for who has no lock, and only wants to know. */
pid_t vp_region_frozen_by(const struct virtpmem_region *region)
{
	_cleanup_close_ int fd = open_bus_node(region, O_RDONLY, VP_OPTIONAL);

	return fd < 0 ? fd : vp_region_guard(region, fd);
}
