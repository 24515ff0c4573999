// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A preload that makes chosen files of a recorded machine fail, which plain
 * files never do.
 *
 * FAULT holds rules with a space between them, each "CALL:NAME=WHAT". CALL is
 * open, write or fsync, and NAME the last part of the file's path. WHAT is
 *
 *   a number  fail with this errno
 *   vanish    take away the "uevent" beside the file, as when the region goes,
 *             and fail with ENODEV; only once
 *   latch     write "broken" and "host-error" where the driver shows them, and
 *             fail with EIO
 *   hang      create the file named by FAULT_MARK, and never return
 */
/* Both openat() and openat64() are wanted here, each under its own name. */
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX + 32];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static int fail(const char *what, const char *path)
{
	char beside[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!strcmp(what, "hang")) {
		int fd = open(getenv("FAULT_MARK"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		close(fd);
		for (;;)
			pause();
	}
	if (!strcmp(what, "vanish")) {
		unsetenv("FAULT");
		snprintf(beside, sizeof(beside), "%.*s/uevent", (int)(slash - path), path);
		unlink(beside);
		errno = ENODEV;
	} else if (!strcmp(what, "latch")) {
		snprintf(beside, sizeof(beside), "%.*s/virtio_pmem", (int)(slash - path), path);
		put(beside, "state", "broken\n");
		put(beside, "broken_reason", "host-error\n");
		errno = EIO;
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
	n = readlink(link, path, PATH_MAX - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return 1;
}

EXPORT ssize_t write(int fd, const void *buf, size_t count)
{
	ssize_t (*next)(int fd, const void *buf, size_t count);
	char path[PATH_MAX];
	const char *what;

	if (path_of(fd, path) && (what = rule("write", path)))
		return fail(what, path);
	*(void **)&next = dlsym(RTLD_NEXT, "write");
	return next(fd, buf, count);
}

EXPORT int fsync(int fd)
{
	char path[PATH_MAX];
	const char *what;
	int (*next)(int fd);

	if (path_of(fd, path) && (what = rule("fsync", path)))
		return fail(what, path);
	*(void **)&next = dlsym(RTLD_NEXT, "fsync");
	return next(fd);
}

static int open_at(const char *symbol, int dirfd, const char *file, int flags, mode_t mode)
{
	int (*next)(int dirfd, const char *file, int flags, ...);
	const char *what = rule("open", file);
	char path[PATH_MAX];

	if (what && file[0] != '/' && path_of(dirfd, path)) {
		size_t len = strlen(path);

		snprintf(path + len, sizeof(path) - len, "/%s", file);
		return fail(what, path);
	}
	*(void **)&next = dlsym(RTLD_NEXT, symbol);
	return next(dirfd, file, flags, mode);
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
