/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line on the terminal that says what is being waited for, and for how long, once
 * that takes more than two seconds. It goes away before anything else is printed.
 *
 * Nothing is drawn unless standard error is a terminal and the output is text.
 */
#ifndef PMEMCTL_PROGRESS_H
#define PMEMCTL_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>

#include "output.h"

struct progress {
	char *what; /* NULL: nothing is drawn */
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t wake;
	bool over;
};

/* From now on @dev is being @doing, such as "flushed"; the caller does it in this thread. */
void progress_start(struct progress *progress, const struct output *out, const char *dev,
		    const char *doing);
void progress_stop(struct progress *progress);

#endif /* PMEMCTL_PROGRESS_H */
