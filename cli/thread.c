// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads beside the first one; see thread.h.
 */
#include <signal.h>
#include <time.h>

#include "thread.h"

int thread_start(pthread_t *thread, void *(*fn)(void *data), void *data)
{
	sigset_t all, mask;
	int err;

	/* A thread begins with the mask of the one that makes it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	err = pthread_create(thread, NULL, fn, data);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return -err;
}

void thread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}
