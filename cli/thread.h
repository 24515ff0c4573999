/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads to which no signal comes, and what they are waited for with.
 */
#ifndef PMEMCTL_THREAD_H
#define PMEMCTL_THREAD_H

#include <pthread.h>

/*
 * Starts a thread that has every signal blocked: what it does is not to be disturbed by
 * one, and the first thread is not to miss one. Returns: 0 or a negative errno.
 */
int thread_start(pthread_t *thread, void *(*fn)(void *data), void *data);

/* The times of pthread_cond_timedwait() on it are CLOCK_MONOTONIC's. */
void thread_cond_init(pthread_cond_t *cond);

#endif /* PMEMCTL_THREAD_H */
