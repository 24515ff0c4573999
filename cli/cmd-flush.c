// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl flush: deep flushes of regions, of all at the same time and of each as often
 * as was asked for. A region is reported only if it was flushed, or needed no flush.
 *
 * Each region is a job, and has a thread with a copy of the region. What the thread
 * writes is its own until it has set "over"; the first thread reads it then, and
 * reports, in the order of the names. SIGINT may come to any of them: the first thread
 * then sends WAKE to the others until they are over. More than once, because a signal
 * that comes just before a thread begins to wait does not end that wait.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <virtpmem/sysfs-abi.h>

#include "latencies.h"
#include "progress.h"
#include "regions.h"
#include "sample.h"
#include "thread.h"
#include "util.h"

#define WAKE	     SIGUSR1
#define WAKE_NS	     50000000
#define NSEC_PER_SEC 1000000000
#define P99_MIN	     100 /* with fewer it would be the longest */

const struct option_desc flush_options[] = {
	{ OPTION_TIMEOUT, 't', "timeout", "SECONDS",
	  "give up on a region after so long, for example 5 or 0.25", NULL },
	{ OPTION_REPEAT, 'c', "count", "N", "flush each region so many times", NULL },
	{ OPTION_INTERVAL, 'i', "interval", "SECONDS",
	  "begin a flush so long after the one before; without --count until Ctrl-C", NULL },
	{ .name = NULL },
};

struct flush {
	struct pmemctl *p;
	unsigned int timeout_ms;
	unsigned int interval_ms;
	unsigned int count; /* 0: until it is interrupted */
	struct job *jobs;
	pthread_mutex_t lock; /* protects "over" of each job */
	pthread_cond_t ended;
};

struct job {
	struct job *next;
	struct flush *flush;
	struct virtpmem_region *region;
	const char *dev;
	bool started, over, reported;
	pthread_t thread;
	struct virtpmem_region *copy; /* in a context of its own; NULL: there is none */
	char *log;
	bool was_broken;
	int err;
	struct virtpmem_flush_result result; /* of the last flush */
	enum virtpmem_flush_method method;   /* of the last one that was made */
	struct latencies latencies;
};

static bool is_in_state(struct virtpmem_region *region, enum virtpmem_state which)
{
	enum virtpmem_state state;

	return virtpmem_region_get_state(region, &state) >= 0 && state == which;
}

static bool is_broken(struct virtpmem_region *region)
{
	return is_in_state(region, VIRTPMEM_STATE_BROKEN);
}

/* ------------------------------------------------------------ the thread */

static int flush_once(struct job *job)
{
	struct virtpmem_flush_result *result = &job->result;
	int err;

	job->was_broken = is_broken(job->copy);
	free(job->log);
	job->log = NULL;
	*result = (struct virtpmem_flush_result){ .method = VIRTPMEM_FLUSH_NONE };
	err = virtpmem_region_flush(job->copy, job->flush->timeout_ms, result);
	if (err < 0)
		return err;
	job->method = result->method;
	if (job->method != VIRTPMEM_FLUSH_NOT_NEEDED)
		latencies_add(&job->latencies, result->latency_ns);
	return 0;
}

static void wait_until(uint64_t ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};

	while (!interrupted() &&
	       clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static void flush_often(struct job *job)
{
	const struct flush *f = job->flush;
	uint64_t next = sample_now_ns();

	/* Until there is a first one. */
	job->err = -EINTR;
	while (!interrupted()) {
		uint64_t now;

		job->err = flush_once(job);
		if (job->err < 0 || job->method == VIRTPMEM_FLUSH_NOT_NEEDED ||
		    job->latencies.count == f->count)
			break;
		next += f->interval_ms * UINT64_C(1000000);
		now = sample_now_ns();
		next = next > now ? next : now;
		wait_until(next);
	}
}

static void *work(void *data)
{
	struct job *job = data;
	struct flush *f = job->flush;

	flush_often(job);
	pthread_mutex_lock(&f->lock);
	job->over = true;
	pthread_cond_signal(&f->ended);
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

/* ------------------------------------------------- beginning and waiting */

static struct job *job_start(struct flush *f, struct virtpmem_region *region)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	struct job *job = xcalloc(1, sizeof(*job)), **last = &f->jobs;
	int err;

	while (*last)
		last = &(*last)->next;
	*last = job;
	job->flush = f;
	job->region = region;
	job->dev = virtpmem_region_get_devname(region);
	ctx = regions_context(&job->log);
	err = virtpmem_region_copy(region, ctx, &job->copy);
	/* Its signals are not blocked: umockdev, in tests, gives one thread's mask to another. */
	if (!err)
		err = -pthread_create(&job->thread, NULL, work, job);
	job->started = !err;
	if (err < 0) {
		job->err = err;
		job->over = true;
	}
	return job;
}

static struct job *job_of(struct flush *f, const struct virtpmem_region *region)
{
	struct job *job;

	for (job = f->jobs; job; job = job->next)
		if (job->region == region)
			break;
	return job;
}

static void start_early(struct pmemctl *p, struct virtpmem_region *region)
{
	if (!job_of(p->data, region))
		job_start(p->data, region);
}

/* Called with the lock held. */
static void wake_all(struct flush *f)
{
	struct job *job;

	for (job = f->jobs; job; job = job->next)
		if (!job->over)
			pthread_kill(job->thread, WAKE);
}

static void job_wait(struct job *job)
{
	struct flush *f = job->flush;

	pthread_mutex_lock(&f->lock);
	while (!job->over) {
		struct timespec soon;

		clock_gettime(CLOCK_MONOTONIC, &soon);
		soon.tv_nsec += WAKE_NS;
		soon.tv_sec += soon.tv_nsec / NSEC_PER_SEC;
		soon.tv_nsec %= NSEC_PER_SEC;
		pthread_cond_timedwait(&f->ended, &f->lock, &soon);
		if (interrupted())
			wake_all(f);
	}
	pthread_mutex_unlock(&f->lock);
	if (job->started)
		pthread_join(job->thread, NULL);
}

/* -------------------------------------------------------------- reporting */

/* -EIO: the region had been broken, or the flush failed, which may have broken it. */
static void report_io_error(struct job *job)
{
	static const char lost[] = "what was written since the last good flush may be lost";
	_cleanup_free_ char *recover = xasprintf("then 'pmemctl recover %s'", job->dev);
	_cleanup_free_ char *reason = NULL;
	struct output *out = &job->flush->p->out;

	if (is_broken(job->region) &&
	    virtpmem_region_get_broken_reason(job->region, &reason) < 0)
		reason = xstrdup("reason not known");
	if (!reason)
		output_error(out, job->dev, ERROR_FLUSH_FAILED,
			     "the host failed the flush, tried by %s; %s, and a later flush can "
			     "succeed without it: check the host's storage and restore the data",
			     virtpmem_flush_method_name(job->result.method), lost);
	else if (job->was_broken)
		output_error(out, job->dev, ERROR_BROKEN,
			     "the region is broken (%s) and fails every flush; %s: check the host "
			     "and the data, %s",
			     reason, lost, recover);
	else if (streq(reason, VIRTIO_PMEM_REASON_HOST_ERROR))
		output_error(out, job->dev, ERROR_FLUSH_FAILED,
			     "the host failed the flush (error latched; region is broken: %s); %s: "
			     "check the host's storage, restore the data, %s",
			     reason, lost, recover);
	else
		output_error(out, job->dev, ERROR_FLUSH_FAILED,
			     "the flush failed, and the region is broken now: %s; %s: check the "
			     "host and the data, %s",
			     reason, lost, recover);
}

static void report_timeout(struct job *job)
{
	const char *left = job->result.abandoned ?
		", and a process that cannot be interrupted still waits for it" : "";
	const char *limit = job->flush->p->option[OPTION_TIMEOUT];
	struct output *out = &job->flush->p->out;

	/* While it is, the driver keeps flushes back: the host was not asked. */
	if (is_in_state(job->region, VIRTPMEM_STATE_QUIESCED))
		output_error(out, job->dev, ERROR_TIMED_OUT,
			     "was not flushed within %s s, because it is quiesced%s; wait until its "
			     "time is over, or 'pmemctl thaw %s'", limit, left, job->dev);
	else
		output_error(out, job->dev, ERROR_TIMED_OUT,
			     "the host did not answer within %s s%s; 'pmemctl status %s' shows "
			     "whether it has since, and the host's storage should be looked at",
			     limit, left, job->dev);
}

static void report_not_supported(struct job *job)
{
	enum virtpmem_flush_method method;
	_cleanup_free_ char *reason = NULL;
	struct pmemctl *p = job->flush->p;
	const char *why;

	if (virtpmem_region_get_flush_method(job->region, &method, &reason) >= 0 && reason)
		why = reason;
	else
		why = regions_why(p, job->dev, job->err);
	output_error(&p->out, job->dev, ERROR_NOT_SUPPORTED, "there is no way to flush it: %s", why);
}

static void report_error(struct job *job)
{
	struct output *out = &job->flush->p->out;
	const char *why = regions_why(job->flush->p, job->dev, job->err);

	switch (job->err) {
	case -EIO:
		report_io_error(job);
		break;
	case -ETIMEDOUT:
		report_timeout(job);
		break;
	case -EOPNOTSUPP:
		report_not_supported(job);
		break;
	case -EINTR:
		output_error(out, job->dev, ERROR_INTERRUPTED,
			     "interrupted before the host answered; the flush was not confirmed%s",
			     job->result.abandoned ? ", and a process still waits for it" : "");
		break;
	case -ENODEV:
		output_error(out, job->dev, ERROR_GONE,
			     "the region went away and was not flushed; 'pmemctl list' shows what "
			     "is there");
		break;
	case -EACCES:
	case -EPERM:
		output_error(out, job->dev, ERROR_PERMISSION, "may not flush it: %s; try it as root",
			     why);
		break;
	case -EBUSY:
		output_error(out, job->dev, ERROR_BUSY, "busy, and was not flushed: %s; try it again",
			     why);
		break;
	default:
		output_error(out, job->dev, error_from_errno(job->err), "could not be flushed: %s",
			     why);
		break;
	}
}

static void add_latencies(struct record *flush, const struct latencies *l)
{
	record_add_uint(flush, "flushes", l->count);
	record_add_uint(flush, "latency_min_ns", l->min_ns);
	record_add_uint(flush, "latency_mean_ns", latencies_mean(l));
	record_add_uint(flush, "latency_p50_ns", latencies_percentile(l, 50));
	if (l->count >= P99_MIN)
		record_add_uint(flush, "latency_p99_ns", latencies_percentile(l, 99));
	record_add_uint(flush, "latency_max_ns", l->max_ns);
}

static void report_done(struct job *job)
{
	struct pmemctl *p = job->flush->p;
	struct record *r = regions_describe(p, job->region, DESCRIBE_NAMES), *flush;

	flush = record_add(r, "flush", RECORD_OBJECT);
	record_add_string(flush, "method", virtpmem_flush_method_name(job->method));
	if (job->latencies.count && job->flush->count == 1)
		record_add_uint(flush, "latency_ns", job->latencies.max_ns);
	else if (job->latencies.count)
		add_latencies(flush, &job->latencies);
	output_region(&p->out, r);
}

static void job_report(struct job *job)
{
	struct pmemctl *p = job->flush->p;
	struct progress progress;

	progress_start(&progress, &p->out, job->dev, "flushed");
	job_wait(job);
	progress_stop(&progress);
	job->reported = true;
	regions_forget_log(p);
	p->log = job->log;
	job->log = NULL;
	if (job->latencies.count || !job->err)
		report_done(job);
	if (job->err < 0)
		report_error(job);
}

static void flush_region(struct pmemctl *p, struct virtpmem_region *region)
{
	struct job *job = job_of(p->data, region);

	/* What a name leads to can change between the two times that it is looked up. */
	job_report(job ? job : job_start(p->data, region));
}

/* ---------------------------------------------------------------- the run */

static bool parse(struct flush *f)
{
	const char *count = f->p->option[OPTION_REPEAT];

	f->count = f->p->option[OPTION_INTERVAL] ? 0 : 1;
	/*
	 * Always a limit: with one, the flush runs in a child of the library, and Ctrl-C
	 * ends the command even where the kernel's wait cannot be ended.
	 */
	f->timeout_ms = UINT_MAX;
	if (count && !option_parse_count(count, &f->count)) {
		output_error(&f->p->out, NULL, ERROR_USAGE,
			     "--count needs a number from 1 to 4294967295, not '%s'", count);
		return false;
	}
	return option_seconds(f->p, OPTION_TIMEOUT, &f->timeout_ms) &&
	       option_seconds(f->p, OPTION_INTERVAL, &f->interval_ms);
}

static void on_wake(int sig)
{
	(void)sig;
}

static void flush_init(struct flush *f)
{
	const struct sigaction wake = { .sa_handler = on_wake };

	sigaction(WAKE, &wake, NULL);
	pthread_mutex_init(&f->lock, NULL);
	thread_cond_init(&f->ended);
}

static void flush_done(struct flush *f)
{
	struct job *job;

	while ((job = f->jobs)) {
		/* After Ctrl-C nothing is looked up any more; what was begun has its report. */
		if (!job->reported)
			job_report(job);
		f->jobs = job->next;
		virtpmem_region_unref(job->copy);
		free(job->log);
		free(job);
	}
	pthread_cond_destroy(&f->ended);
	pthread_mutex_destroy(&f->lock);
}

void cmd_flush(struct pmemctl *p)
{
	struct flush f = { .p = p };

	if (!parse(&f) || !regions_scan(p))
		return;
	flush_init(&f);
	p->data = &f;
	regions_each_early(p, start_early);
	regions_each(p, flush_region);
	flush_done(&f);
	p->data = NULL;
}
