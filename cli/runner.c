// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A queue of shell commands; see runner.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"
#include "util.h"

static void job_clear(struct runner_job *job)
{
	char **e;

	for (e = job->environment; e && *e; e++)
		free(*e);
	free(job->environment);
	free(job->command);
}

bool runner_add(struct runner *runner, const char *command, char **environment)
{
	struct runner_job job = { .command = xstrdup(command), .environment = environment };

	if (runner->count >= RUNNER_MAX) {
		job_clear(&job);
		return false;
	}
	runner->jobs = xreallocarray(runner->jobs, runner->count + 1, sizeof(*runner->jobs));
	runner->jobs[runner->count++] = job;
	return true;
}

/* Our standard output is a stream of events: nothing else is to come between. */
static void run(const struct runner *runner, const struct runner_job *job)
{
	char **e;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(127);
	for (e = job->environment; *e; e++)
		putenv(*e);
	unsetenv("NOTIFY_SOCKET");
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, runner->signals, NULL);
	execl("/bin/sh", "sh", "-c", job->command, (char *)NULL);
	_exit(127);
}

int runner_start(struct runner *runner)
{
	struct runner_job job;
	pid_t pid;

	if (runner->pid || !runner->count)
		return 0;
	job = runner->jobs[0];
	memmove(runner->jobs, runner->jobs + 1, --runner->count * sizeof(*runner->jobs));
	pid = fork();
	if (!pid)
		run(runner, &job);
	job_clear(&job);
	if (pid < 0)
		return -errno;
	runner->pid = pid;
	return 0;
}

bool runner_reap(struct runner *runner, int *status)
{
	if (!runner->pid || waitpid(runner->pid, status, WNOHANG) != runner->pid)
		return false;
	runner->pid = 0;
	return true;
}

void runner_clear(struct runner *runner)
{
	size_t i;

	for (i = 0; i < runner->count; i++)
		job_clear(&runner->jobs[i]);
	free(runner->jobs);
	runner->jobs = NULL;
	runner->count = 0;
}
