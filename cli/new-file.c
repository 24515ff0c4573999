// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A file of the user's that is written as a whole; see new-file.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "new-file.h"
#include "output.h"
#include "util.h"

#define RANDOM "XXXXXX"

/* -------------------------------------------- while there is a new file */

/* What would end us comes when it has its place, or is gone. */
static void hold_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

/* Returns: its descriptor or a negative errno. */
static int make(char *name)
{
	mode_t mask = umask(0);
	int fd, err;

	umask(mask);
	memcpy(name + strlen(name) - strlen(RANDOM), RANDOM, strlen(RANDOM));
	fd = mkostemp(name, O_CLOEXEC);
	/* Readable for whoever may read what is made here, and not only for its owner. */
	if (fd >= 0 && !fchmod(fd, 0666 & ~mask))
		return fd;
	err = -errno;
	if (fd >= 0) {
		unlink(name);
		close(fd);
	}
	return err;
}

/* Returns: 0 or a negative errno. */
static int copy(int from, int to)
{
	char data[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, data, sizeof(data), at)) > 0) {
		n = write(to, data, (size_t)n);
		if (n < 0)
			break;
		at += n;
	}
	return n < 0 ? -errno : 0;
}

/* Returns: 0 or a negative errno, and all is as it was. */
static int replace(const struct new_file *file)
{
	int fd = make(file->name), err;

	if (fd < 0)
		return fd;
	err = copy(file->memory, fd);
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(file->name, file->path))
		err = -errno;
	if (err)
		unlink(file->name);
	return err;
}

/* --------------------------------------------------------- before that */

/* Returns: 0 or a negative errno. */
static int try_to_make(char *name)
{
	sigset_t before;
	int fd;

	hold_signals(&before);
	fd = make(name);
	if (fd >= 0) {
		unlink(name);
		close(fd);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return fd < 0 ? fd : 0;
}

/* Returns: where to write, or a negative errno. */
static int open_memory(struct new_file *file)
{
	int err = try_to_make(file->name), fd;

	if (err < 0)
		return err;
	file->memory = memfd_create("pmemctl", MFD_CLOEXEC);
	if (file->memory < 0)
		return -errno;
	fd = fcntl(file->memory, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0) {
		err = -errno;
		close(file->memory);
		return err;
	}
	return fd;
}

static int open_in_place(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);

	return fd < 0 ? -errno : fd;
}

int new_file_open(struct output *out, const char *path, struct new_file *ret)
{
	struct new_file file = { .path = xstrdup(path) };
	struct stat st;
	int fd;

	/* A link may be what others write through, such as /dev/stdout. */
	if (!lstat(path, &st) && !S_ISREG(st.st_mode)) {
		fd = open_in_place(path);
	} else {
		file.name = xasprintf("%s." RANDOM, path);
		fd = open_memory(&file);
	}
	if (fd < 0) {
		output_error(out, NULL, error_of_file(fd), "%s %s: %s", file.name ?
			     "cannot make a new file to replace" : "cannot write to", path,
			     strerror(-fd));
		free(file.name);
		free(file.path);
		return -1;
	}
	*ret = file;
	return fd;
}

int new_file_end(struct new_file *file, bool whole)
{
	sigset_t before;
	int err = 0;

	if (file->name && whole) {
		hold_signals(&before);
		err = replace(file);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (file->name)
		close(file->memory);
	free(file->name);
	free(file->path);
	*file = (struct new_file){ 0 };
	return err;
}
