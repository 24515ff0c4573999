/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a shell command for each event, one after the other and in the order of
 * the events, without making anybody wait.
 */
#ifndef PMEMCTL_RUNNER_H
#define PMEMCTL_RUNNER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* No more than so many may wait: a command that hangs must not eat the memory. */
#define RUNNER_MAX 1024

struct runner_job {
	char *command;
	char **environment; /* strings "NAME=value", ends with NULL */
};

struct runner {
	const sigset_t *signals; /* those that are blocked here and are not to be there */
	pid_t pid;		 /* of the one that runs, or 0 */
	struct runner_job *jobs; /* those that wait, the oldest first */
	size_t count;
};

/* Takes over @environment. Returns: false if too many wait; then the job is dropped. */
bool runner_add(struct runner *runner, const char *command, char **environment);

/* Starts the next one if none runs. Returns: 0, or a negative errno if that failed. */
int runner_start(struct runner *runner);

/* After SIGCHLD. Returns: true if the one that ran has ended; @status is as in wait(2). */
bool runner_reap(struct runner *runner, int *status);

/* Drops those that wait. */
void runner_clear(struct runner *runner);

#endif /* PMEMCTL_RUNNER_H */
