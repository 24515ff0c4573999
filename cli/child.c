// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running a command line of the user's; see child.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "pmemctl.h"
#include "util.h"

/* A signal can come right before poll(). */
#define SIGNAL_LOOK_MS 200

static _Noreturn void become(char *const argv[], pid_t parent, bool to_stderr)
{
	/* A copy of what is not frozen any more is of no use to anybody. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(error_exit(ERROR_FAILED));
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if (to_stderr)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "pmemctl: cannot run '%s': %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? CHILD_NOT_FOUND : CHILD_CANNOT_RUN);
}

static int exit_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Until it ends; once something else can be read it is asked to. */
static int watch(pid_t pid, int pidfd, const int *fds, size_t count)
{
	struct pollfd *p = xcalloc(count + 1, sizeof(*p));
	bool forwarded = false;
	size_t i;

	p[count] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	for (i = 0; i < count; i++)
		p[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	while (!p[count].revents) {
		if (interrupted_by_process() && !forwarded) {
			kill(pid, SIGINT);
			forwarded = true;
		}
		if (poll(p, count + 1, SIGNAL_LOOK_MS) < 0)
			continue;
		for (i = 0; i < count; i++) {
			if (!p[i].revents)
				continue;
			kill(pid, SIGTERM);
			p[i].fd = -1;
		}
	}
	free(p);
	return exit_status(pid);
}

int child_run(char *const argv[], const int *fds, size_t count, bool to_stderr)
{
	pid_t parent = getpid(), pid;
	int pidfd, status;

	fflush(stdout);
	pid = fork();
	if (!pid)
		become(argv, parent, to_stderr);
	if (pid < 0)
		return -errno;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return exit_status(pid);
	status = watch(pid, pidfd, fds, count);
	close(pidfd);
	return status;
}
