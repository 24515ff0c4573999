// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is being waited for, as a line on the terminal; see progress.h. A thread
 * draws it, because the library's calls block.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"
#include "thread.h"
#include "util.h"

#define FIRST_SECONDS 2

/* Returns: true if @seconds have passed, false if it is over. Called with the lock held. */
static bool wait_until(struct progress *progress, const struct timespec *start, time_t seconds)
{
	const struct timespec end = { start->tv_sec + seconds, start->tv_nsec };
	int r = 0;

	while (!progress->over && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&progress->wake, &progress->lock, &end);
	return !progress->over;
}

static void *draw(void *data)
{
	struct progress *progress = data;
	struct timespec start;
	time_t seconds;

	clock_gettime(CLOCK_MONOTONIC, &start);
	pthread_mutex_lock(&progress->lock);
	for (seconds = FIRST_SECONDS; wait_until(progress, &start, seconds); seconds++)
		fprintf(stderr, "\r%s, for %lld s ", progress->what, (long long)seconds);
	if (seconds > FIRST_SECONDS)
		fprintf(stderr, "\r%*s\r", (int)strlen(progress->what) + 20, "");
	pthread_mutex_unlock(&progress->lock);
	return NULL;
}

static void destroy(struct progress *progress)
{
	pthread_cond_destroy(&progress->wake);
	pthread_mutex_destroy(&progress->lock);
	free(progress->what);
	progress->what = NULL;
}

void progress_start(struct progress *progress, const struct output *out, const char *dev,
		    const char *doing)
{
	_cleanup_free_ char *safe = NULL;

	*progress = (struct progress){ 0 };
	if (out->ops != &output_text || !isatty(STDERR_FILENO))
		return;
	safe = printable(dev, false);
	progress->what = xasprintf("%s is being %s", safe, doing);
	pthread_mutex_init(&progress->lock, NULL);
	thread_cond_init(&progress->wake);
	/* It can be done without. */
	if (thread_start(&progress->thread, draw, progress) < 0)
		destroy(progress);
}

void progress_stop(struct progress *progress)
{
	if (!progress->what)
		return;
	pthread_mutex_lock(&progress->lock);
	progress->over = true;
	pthread_cond_signal(&progress->wake);
	pthread_mutex_unlock(&progress->lock);
	pthread_join(progress->thread, NULL);
	destroy(progress);
}
