/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running a command line of the user's.
 */
#ifndef PMEMCTL_CHILD_H
#define PMEMCTL_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* As sh(1), env(1) and timeout(1) exit when their command cannot be run. */
#define CHILD_CANNOT_RUN 126
#define CHILD_NOT_FOUND 127

/*
 * Runs @argv and waits for its end. It is sent SIGTERM if this process dies, or as
 * soon as one of the descriptors @fds can be read. @to_stderr: its standard output
 * goes to standard error. Returns: its exit status, 128 and the signal if it was
 * killed, or a negative errno if it could not be started.
 */
int child_run(char *const argv[], const int *fds, size_t count, bool to_stderr);

#endif /* PMEMCTL_CHILD_H */
