// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A preload that makes chosen files of a recorded machine fail, which plain
 * files never do.
 *
 * FAULT holds rules with a space between them, each "CALL:NAME=WHAT". CALL is
 * open, write, flock or fsync, and NAME the last part of the file's path. WHAT is
 *
 *   a number  fail with this errno; open only where the file is named by itself in its
 *             directory, or is none of the recorded machine's
 *   vanish    take away the "uevent" beside the file, as when the region goes,
 *             and fail with ENODEV; only once
 *   latch     write "broken" and "host-error" where the driver shows them, and
 *             fail with EIO
 *   heal      write "active" and "none" where the driver shows them, as recover does
 *   slow      take a tenth of a second more, and succeed; open and write only
 *   hang      create the file named by FAULT_MARK, and never return
 *   gate      create that file, go on when it is gone, and succeed
 *   wait      create that file, wait for a signal that is handled, and fail with
 *             EINTR; write only
 *   busy      create that file, and fail as somebody else has the lock; flock only
 *
 * "recvmsg:uevents=NUMBER" fails with this errno for the first message of the kernel's
 * about devices, which stays for the next call.
 *
 * FAULT_ROOT names a directory whose proc, boot, lib/modules and run itself are shown in
 * place of those of /, but for what a process asks about its own descriptors. What a
 * process there has open is a link to a node that umockdev shows.
 */
/* Both openat() and openat64() are wanted here, each under its own name. */
#undef _FILE_OFFSET_BITS

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The rule's WHAT, or NULL. */
static const char *rule(const char *call, const char *path)
{
	static __thread char what[32];
	const char *rules = getenv("FAULT"), *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char wanted[300];

	if (!rules || snprintf(wanted, sizeof(wanted), "%s:%s=", call, name) >= (int)sizeof(wanted))
		return NULL;
	rules = strstr(rules, wanted);
	if (!rules || sscanf(rules + strlen(wanted), "%31[^ ]", what) != 1)
		return NULL;
	return what;
}

/*
 * What follows until fsync() runs in children of a program with threads: neither the
 * loader nor umockdev is called, because another thread may have had their locks.
 */
static void put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX + 32];
	long fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_write, fd, text, strlen(text)) < 0 || syscall(SYS_close, fd))
		abort();
}

static void put_mark(void)
{
	syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, getenv("FAULT_MARK"),
				   O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* Whoever sees the mark can send the signal: it is not missed. */
static void wait_signal(void)
{
	sigset_t all, mask;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	put_mark();
	sigsuspend(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

static int fail(const char *what, const char *path)
{
	char beside[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!strcmp(what, "hang")) {
		put_mark();
		for (;;)
			pause();
	}
	if (!strcmp(what, "gate")) {
		put_mark();
		while (!syscall(SYS_access, getenv("FAULT_MARK"), F_OK))
			usleep(1000);
		return 1;
	}
	if (!strcmp(what, "vanish")) {
		unsetenv("FAULT");
		snprintf(beside, sizeof(beside), "%.*s/uevent", (int)(slash - path), path);
		syscall(SYS_unlinkat, AT_FDCWD, beside, 0);
		errno = ENODEV;
	} else if (!strcmp(what, "wait")) {
		wait_signal();
		errno = EINTR;
	} else if (!strcmp(what, "busy")) {
		put_mark();
		errno = EWOULDBLOCK;
	} else if (!strcmp(what, "latch")) {
		snprintf(beside, sizeof(beside), "%.*s/virtio_pmem", (int)(slash - path), path);
		put(beside, "state", "broken\n");
		put(beside, "broken_reason", "host-error\n");
		errno = EIO;
	} else if (!strcmp(what, "heal")) {
		snprintf(beside, sizeof(beside), "%.*s", (int)(slash - path), path);
		put(beside, "state", "active\n");
		put(beside, "broken_reason", "none\n");
		return 1;
	} else {
		errno = atoi(what);
	}
	return -1;
}

/* Returns: true if the path of the descriptor is known. */
static int path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return 1;
}

EXPORT ssize_t write(int fd, const void *buf, size_t count)
{
	char path[PATH_MAX];
	const char *what;

	if (path_of(fd, path) && (what = rule("write", path))) {
		if (strcmp(what, "slow"))
			return fail(what, path) < 0 ? -1 : (ssize_t)count;
		usleep(100000);
	}
	return syscall(SYS_write, fd, buf, count);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t (*next)(int fd, struct msghdr *message, int flags);
	const char *what = rule("recvmsg", "uevents");
	static int failed;

	if (what && !failed++) {
		errno = atoi(what);
		return -1;
	}
	*(void **)&next = dlsym(RTLD_NEXT, "recvmsg");
	return next(fd, message, flags);
}

EXPORT int flock(int fd, int operation)
{
	char path[PATH_MAX];
	const char *what;

	if ((operation & LOCK_NB) && path_of(fd, path) && (what = rule("flock", path)) &&
	    fail(what, path) < 0)
		return -1;
	return (int)syscall(SYS_flock, fd, operation);
}

EXPORT int fsync(int fd)
{
	char path[PATH_MAX];
	const char *what;

	if (path_of(fd, path) && (what = rule("fsync", path)))
		return fail(what, path);
	return (int)syscall(SYS_fsync, fd);
}

/* @path, or what stands in its place. */
static const char *shown(const char *path, char buf[PATH_MAX])
{
	const char *root = getenv("FAULT_ROOT");

	if (!root || !strncmp(path, "/proc/self/fd", 13) ||
	    (strcmp(path, "/proc") && strncmp(path, "/proc/", 6) && strcmp(path, "/run") &&
	     strncmp(path, "/lib/modules/", 13) && strncmp(path, "/boot/", 6)))
		return path;
	snprintf(buf, PATH_MAX, "%s%s", root, path);
	return buf;
}

EXPORT DIR *opendir(const char *name)
{
	DIR *(*next)(const char *name);
	char buf[PATH_MAX];

	*(void **)&next = dlsym(RTLD_NEXT, "opendir");
	return next(shown(name, buf));
}

static FILE *file_open(const char *symbol, const char *name, const char *mode)
{
	FILE *(*next)(const char *name, const char *mode);
	char buf[PATH_MAX];

	*(void **)&next = dlsym(RTLD_NEXT, symbol);
	return next(shown(name, buf), mode);
}

EXPORT FILE *fopen(const char *name, const char *mode)
{
	return file_open("fopen", name, mode);
}

EXPORT FILE *fopen64(const char *name, const char *mode);
EXPORT FILE *fopen64(const char *name, const char *mode)
{
	return file_open("fopen64", name, mode);
}

/* Of a link that stands for an open file, the node that it leads to. */
EXPORT int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret)
{
	int (*next)(int dirfd, const char *path, int flags, unsigned int mask, struct statx *ret);
	char target[64];
	struct stat st;
	ssize_t n = getenv("FAULT_ROOT") ? readlinkat(dirfd, path, target, sizeof(target) - 1) : -1;

	*(void **)&next = dlsym(RTLD_NEXT, "statx");
	if (n < 0)
		return next(dirfd, path, flags, mask, ret);
	target[n] = '\0';
	if (stat(target, &st) < 0)
		return -1;
	memset(ret, 0, sizeof(*ret));
	ret->stx_mode = (uint16_t)st.st_mode;
	ret->stx_rdev_major = major(st.st_rdev);
	ret->stx_rdev_minor = minor(st.st_rdev);
	return 0;
}

/* Whatever the root here is, that of the machine is no overlay. */
EXPORT int statfs64(const char *path, struct statfs64 *ret)
{
	long r = syscall(SYS_statfs, path, ret);

	ret->f_type = EXT4_SUPER_MAGIC;
	return (int)r;
}

static int open_at(const char *symbol, int dirfd, const char *file, int flags, mode_t mode)
{
	int (*next)(int dirfd, const char *file, int flags, ...);
	const char *what = rule("open", file);
	char path[PATH_MAX];

	file = shown(file, path);

	if (what && !strcmp(what, "slow")) {
		usleep(100000);
	} else if (what && file[0] != '/' && path_of(dirfd, path)) {
		size_t len = strlen(path);

		snprintf(path + len, sizeof(path) - len, "/%s", file);
		return fail(what, path);
	}
	*(void **)&next = dlsym(RTLD_NEXT, symbol);
	return next(dirfd, file, flags, mode);
}

/* Files of the user's; what umockdev shows in place of others is umockdev's to say. */
EXPORT int open64(const char *file, int flags, ...);
EXPORT int open64(const char *file, int flags, ...)
{
	int (*next)(const char *file, int flags, ...);
	const char *what = rule("open", file);
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (what && (!strcmp(what, "gate") || atoi(what)) && fail(what, file) < 0)
		return -1;
	*(void **)&next = dlsym(RTLD_NEXT, "open64");
	return next(file, flags, mode);
}

EXPORT int openat(int dirfd, const char *file, int flags, ...);
EXPORT int openat(int dirfd, const char *file, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_at("openat", dirfd, file, flags, mode);
}

EXPORT int openat64(int dirfd, const char *file, int flags, ...);
EXPORT int openat64(int dirfd, const char *file, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_at("openat64", dirfd, file, flags, mode);
}
