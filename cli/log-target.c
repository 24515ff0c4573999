// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Targets of a stream of lines; see log-target.h. For syslog, standard output
 * is memory that is emptied after each line.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

#include "log-target.h"
#include "util.h"

static void put_back(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* @fd becomes standard output; it is closed. */
static int take_place(struct log_target *target, int fd)
{
	int err = 0;

	if (fd < 0)
		return -errno;
	if (target->standard < 0)
		target->standard = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (dup2(fd, STDOUT_FILENO) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int open_syslog(struct log_target *target)
{
	int fd, err;

	if (target->memory >= 0)
		return 0;
	fd = memfd_create("pmemctl", MFD_CLOEXEC);
	err = take_place(target, fd);
	if (err < 0)
		return err;
	target->memory = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	openlog("pmemctl", LOG_PID, LOG_DAEMON);
	return target->memory < 0 ? -errno : 0;
}

/* A pipe that nobody reads is an error; a reader that is only slow is waited for. */
static int open_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		      0640);
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return fd;
}

int log_target_open(struct log_target *target, const char *name)
{
	bool is_file = false;
	int err = 0;

	if (streq(name, LOG_TARGET_SYSLOG)) {
		err = open_syslog(target);
	} else if (!streq(name, LOG_TARGET_STANDARD)) {
		is_file = true;
		err = take_place(target, open_file(name));
	} else if (target->standard >= 0 && dup2(target->standard, STDOUT_FILENO) < 0) {
		err = -errno;
	}
	if (err < 0)
		return err;
	if (!streq(name, LOG_TARGET_SYSLOG))
		put_back(&target->memory);
	target->is_file = is_file;
	return 0;
}

const char *log_target_why(int err)
{
	return err == -ENXIO ? "nobody reads this pipe or socket" : strerror(-err);
}

void log_target_deliver(struct log_target *target, int priority)
{
	_cleanup_free_ char *text = NULL;
	char *line, *rest;
	off_t size;
	ssize_t n;

	if (target->memory < 0)
		return;
	size = lseek(target->memory, 0, SEEK_END);
	text = xcalloc((size_t)size + 1, 1);
	n = pread(target->memory, text, (size_t)size, 0);
	if (n < 0 || ftruncate(target->memory, 0) < 0 || lseek(target->memory, 0, SEEK_SET) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		syslog(priority, "%s", line);
}

void log_target_close(struct log_target *target)
{
	put_back(&target->memory);
	put_back(&target->standard);
}
