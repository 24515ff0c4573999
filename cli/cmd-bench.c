// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl bench: flushes of a region from more and more callers at once. Only
 * deep_flush is used: nothing is ever written to the region.
 *
 * Each caller is a thread with a context of its own; they share only the gate at
 * which they begin, and the phase. Each flushes at least once, so that there is
 * something to tell of every step, however short its time.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "latencies.h"
#include "progress.h"
#include "regions.h"
#include "sample.h"
#include "svg.h"
#include "thread.h"
#include "units.h"
#include "util.h"

#define CALLERS_MAX	1024
#define STEPS_MAX	32
#define DEFAULT_CALLERS "1,2,4,8,16,32"
#define DEFAULT_TIME_MS 2000

const struct option_desc bench_options[] = {
	{ .id = OPTION_CALLERS, .letter = 'C', .name = "callers", .argument = "LIST",
	  .help = "how many callers, with commas between them; default " DEFAULT_CALLERS },
	{ .id = OPTION_TIME, .letter = 't', .name = "time", .argument = "SECONDS",
	  .help = "how long for each number of callers; default 2" },
	{ .id = OPTION_SVG, .letter = '\0', .name = "svg", .argument = "FILE",
	  .help = "also draw rate and latency into this file" },
	{ .name = NULL },
};

struct bench {
	struct pmemctl *p;
	unsigned int callers[STEPS_MAX];
	size_t steps;
	unsigned int time_ms;
	FILE *plot; /* NULL: none is wanted */
	struct new_file file; /* behind it */
};

enum phase {
	PHASE_RUN,
	PHASE_OVER, /* its time is */
	PHASE_ABORT, /* after an error or Ctrl-C: not even the first flush is made */
};

/* What the callers of one step share. */
struct step {
	pthread_mutex_t gate; /* held until all are there */
	atomic_int phase; /* of enum phase */
};

struct caller {
	struct step *step;
	pthread_t thread;
	struct virtpmem_region *region; /* in a context of its own */
	int err; /* why it ended early, or 0 */
	struct latencies latencies;
};

/* ------------------------------------------------------------------ callers */

static bool is_due(const struct caller *c)
{
	int phase = atomic_load(&c->step->phase);

	return phase == PHASE_RUN || (phase == PHASE_OVER && !c->latencies.count);
}

static void *call(void *data)
{
	struct caller *c = data;
	struct virtpmem_flush_result result;

	pthread_mutex_lock(&c->step->gate);
	pthread_mutex_unlock(&c->step->gate);
	while (is_due(c)) {
		int err = virtpmem_region_flush(c->region, 0, &result);

		/* Never anything but deep_flush, also when it went away meanwhile. */
		if (!err && result.method != VIRTPMEM_FLUSH_DEEP)
			err = -EOPNOTSUPP;
		if (err < 0) {
			c->err = err;
			atomic_store(&c->step->phase, PHASE_ABORT);
			break;
		}
		latencies_add(&c->latencies, result.latency_ns);
	}
	return NULL;
}

static int caller_prepare(struct caller *c, const struct virtpmem_region *region)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	int err = virtpmem_new(&ctx);

	return err < 0 ? err : virtpmem_region_copy(region, ctx, &c->region);
}

static void run_until(struct step *step, uint64_t end_ns)
{
	const struct timespec tick = { .tv_nsec = 10000000 };
	int run = PHASE_RUN;

	while (!interrupted() && atomic_load(&step->phase) == PHASE_RUN &&
	       sample_now_ns() < end_ns)
		nanosleep(&tick, NULL);
	/* Unless a caller has ended it. */
	atomic_compare_exchange_strong(&step->phase, &run,
				       interrupted() ? PHASE_ABORT : PHASE_OVER);
}

/*
 * All begin at once, and end when the time is over and each has flushed. Returns: 0, or
 * the first error of any of them; @took_ns and @all are of those flushes that were made.
 */
static int run_callers(struct caller *callers, unsigned int count, unsigned int time_ms,
		       uint64_t *took_ns, struct latencies *all)
{
	struct step *step = callers->step;
	unsigned int started, i;
	uint64_t begin;
	int err = 0;

	pthread_mutex_lock(&step->gate);
	for (started = 0; started < count; started++) {
		err = thread_start(&callers[started].thread, call, &callers[started]);
		if (err < 0)
			break;
	}
	if (err < 0)
		atomic_store(&step->phase, PHASE_ABORT);
	begin = sample_now_ns();
	pthread_mutex_unlock(&step->gate);
	run_until(step, begin + (uint64_t)time_ms * 1000000);
	for (i = 0; i < started; i++) {
		pthread_join(callers[i].thread, NULL);
		latencies_merge(all, &callers[i].latencies);
		err = err ? err : callers[i].err;
	}
	*took_ns = sample_now_ns() - begin;
	return err;
}

/* --------------------------------------------------------------------- a step */

/* Of the driver's own counters; without them the step has none. */
static void add_host_flushes(struct record *r, const struct sample *before, int err_before,
			     struct virtpmem_region *region, uint64_t flushes)
{
	struct sample_rates rates;
	struct sample after;
	uint64_t host;

	if (err_before < 0 || sample_take(region, &after) < 0)
		return;
	sample_between(before, &after, &rates);
	host = rates.delta.stat[VIRTPMEM_STAT_HOST_FLUSHES];
	record_add_uint(r, "host_flushes", host);
	record_add_uint(r, "host_flushes_per_request_milli", sample_milli(host, flushes));
}

static void add_step(struct record *list, unsigned int callers, uint64_t took_ns,
		     const struct latencies *l, const struct sample *before, int err_before,
		     struct virtpmem_region *region)
{
	struct record *r = record_add(list, NULL, RECORD_OBJECT);
	unsigned __int128 rate = (unsigned __int128)l->count * 1000000000000;

	record_add_uint(r, "callers", callers);
	record_add_uint(r, "interval_ns", took_ns);
	record_add_uint(r, "requests", l->count);
	record_add_uint(r, "requests_per_s_milli", (uint64_t)(rate / took_ns));
	record_add_uint(r, "request_mean_ns", latencies_mean(l));
	record_add_uint(r, "request_p50_ns", latencies_percentile(l, 50));
	record_add_uint(r, "request_p90_ns", latencies_percentile(l, 90));
	record_add_uint(r, "request_p99_ns", latencies_percentile(l, 99));
	record_add_uint(r, "request_max_ns", l->max_ns);
	add_host_flushes(r, before, err_before, region, l->count);
}

static void report_error(struct bench *b, struct virtpmem_region *region, int err)
{
	const char *dev = virtpmem_region_get_devname(region);

	switch (err) {
	case -EIO:
		output_error(&b->p->out, dev, ERROR_FLUSH_FAILED,
			     "a flush failed, and the benchmark ended; 'pmemctl health %s' says what "
			     "to do", dev);
		break;
	case -EACCES:
	case -EPERM:
		output_error(&b->p->out, dev, ERROR_PERMISSION,
			     "may not flush it; try it as root");
		break;
	default:
		output_error(&b->p->out, dev, error_from_errno(err),
			     "the benchmark ended early: %s", error_text(err));
		break;
	}
}

/* Returns: false if this was the last one. */
static bool run_step(struct bench *b, struct virtpmem_region *region, unsigned int count,
		     struct record *list)
{
	struct step step = { .gate = PTHREAD_MUTEX_INITIALIZER };
	struct caller *callers = xcalloc(count, sizeof(*callers));
	struct latencies *all = xcalloc(1, sizeof(*all));
	struct sample before;
	uint64_t took_ns = 0;
	unsigned int i;
	int err = 0, err_before;

	for (i = 0; i < count; i++)
		callers[i].step = &step;
	for (i = 0; i < count && !err; i++)
		err = caller_prepare(&callers[i], region);
	err_before = sample_take(region, &before);
	if (!err)
		err = run_callers(callers, count, b->time_ms, &took_ns, all);
	if (!err && all->count)
		add_step(list, count, took_ns, all, &before, err_before, region);
	for (i = 0; i < count; i++)
		virtpmem_region_unref(callers[i].region);
	free(callers);
	free(all);
	if (err < 0)
		report_error(b, region, err);
	return !err && !interrupted();
}

/* Returns: false, and an error of the output, unless the region has deep_flush. */
static bool check_method(struct bench *b, struct virtpmem_region *region)
{
	const char *dev = virtpmem_region_get_devname(region);
	enum virtpmem_flush_method method;
	_cleanup_free_ char *reason = NULL;
	int err;

	regions_forget_log(b->p);
	err = virtpmem_region_get_flush_method(region, &method, &reason);
	if (!err && method == VIRTPMEM_FLUSH_DEEP)
		return true;
	if (err < 0)
		output_error(&b->p->out, dev, error_from_errno(err), "cannot be flushed: %s",
			     regions_why(b->p, dev, err));
	else if (method == VIRTPMEM_FLUSH_BLOCK)
		output_error(&b->p->out, dev, ERROR_NOT_SUPPORTED,
			     "only deep_flush is measured, which its driver does not have; with this "
			     "project's virtio_pmem it could be, and 'pmemctl flush --count 100 %s' "
			     "tells how long its flushes take", dev);
	else
		output_error(&b->p->out, dev, ERROR_NOT_SUPPORTED,
			     "there is nothing to measure: %s", method == VIRTPMEM_FLUSH_NOT_NEEDED ?
			     "its platform needs no flush" : reason);
	return false;
}

static void bench_region(struct pmemctl *p, struct virtpmem_region *region)
{
	struct bench *b = p->data;
	struct progress progress;
	struct record *r, *list;
	size_t i;

	if (!check_method(b, region))
		return;
	r = regions_describe(p, region, DESCRIBE_NAMES);
	list = record_add(r, "bench", RECORD_ARRAY);
	progress_start(&progress, &p->out, virtpmem_region_get_devname(region), "measured");
	for (i = 0; i < b->steps; i++)
		if (!run_step(b, region, b->callers[i], list))
			break;
	progress_stop(&progress);
	if (list->child)
		output_region(&p->out, r);
	else
		record_free(r);
}

/* ----------------------------------------------------------------------- plot */

static char *rate_text(double y)
{
	return y >= 1000 ? xasprintf("%gk", y / 1000) : xasprintf("%g", y);
}

static char *latency_text(double y)
{
	return human_time((uint64_t)(y + 0.5));
}

enum { RATE, HOST_RATE, P50, P99, CURVES };

static void draw_region(FILE *f, const struct record *region)
{
	static const char *const fields[CURVES] = {
		"requests_per_s_milli", "host_flushes", "request_p50_ns", "request_p99_ns",
	};
	const struct record *path = record_get(region, "path"), *step;
	_cleanup_free_ char *rate = xasprintf("%s: flushes a second",
					      (path ? path : record_get(region, "dev"))->string);
	_cleanup_free_ char *latency = xasprintf("%s: latency",
						 (path ? path : record_get(region, "dev"))->string);
	double x[STEPS_MAX], y[CURVES][STEPS_MAX] = { { 0 } };
	size_t n = 0;
	int c;

	record_foreach (record_get(region, "bench"), step) {
		double seconds = (double)record_get(step, "interval_ns")->uint / 1e9;

		x[n] = (double)record_get(step, "callers")->uint;
		for (c = 0; c < CURVES; c++) {
			const struct record *value = record_get(step, fields[c]);

			y[c][n] = value ? (double)value->uint : 0;
		}
		y[RATE][n] /= 1000;
		y[HOST_RATE][n] /= seconds;
		n++;
	}
	svg_write(f, (const struct svg_plot[]){
		{ rate, "callers", x, n, (const struct svg_series[]){
			{ "flushes", y[RATE] }, { "host flushes", y[HOST_RATE] } }, 2, rate_text },
		{ latency, "callers", x, n, (const struct svg_series[]){
			{ "p50", y[P50] }, { "p99", y[P99] } }, 2, latency_text } }, 2);
}

/* Into the new file, which replaces the plot before it only if there is something to draw. */
static void draw(struct bench *b)
{
	const struct record *region = b->p->out.regions->child;
	const char *path = b->p->option[OPTION_SVG];
	bool measured = region && record_get(region, "bench")->child;
	int err;

	if (measured)
		draw_region(b->plot, region);
	err = ferror(b->plot) ? EIO : 0;
	/* stdio does not keep why it failed before; what is written last is most of it. */
	if (fclose(b->plot))
		err = errno;
	if (err)
		new_file_end(&b->file, false);
	else
		err = -new_file_end(&b->file, measured);
	if (err)
		output_error(&b->p->out, NULL, error_of_file(-err), "cannot write %s: %s", path,
			     strerror(err));
}

/* Before anything is measured, which takes long. Returns: false, and an error, if it cannot be. */
static bool open_plot(struct bench *b)
{
	const char *path = b->p->option[OPTION_SVG];
	int fd = path ? new_file_open(&b->p->out, path, &b->file) : -1;

	if (fd < 0)
		return !path;
	b->plot = fdopen(fd, "w");
	if (!b->plot)
		out_of_memory();
	return true;
}

/* --------------------------------------------------------------------- options */

/* "1,2,4"; each from 1 to CALLERS_MAX, and growing, as the axis of the plot does. */
static bool parse_callers(struct bench *b)
{
	const char *given = b->p->option[OPTION_CALLERS];
	_cleanup_free_ char *copy = xstrdup(given ? given : DEFAULT_CALLERS);
	char *word, *rest = copy;
	unsigned int last = 0;

	while ((word = strsep(&rest, ","))) {
		if (b->steps == STEPS_MAX || !option_parse_count(word, &b->callers[b->steps]) ||
		    b->callers[b->steps] > CALLERS_MAX || b->callers[b->steps] <= last) {
			output_error(&b->p->out, NULL, ERROR_USAGE,
				     "--callers needs up to %d growing numbers from 1 to %d, such as "
				     "1,4,16, not '%s'", STEPS_MAX, CALLERS_MAX, given);
			return false;
		}
		last = b->callers[b->steps++];
	}
	return true;
}

static bool parse(struct bench *b)
{
	b->time_ms = DEFAULT_TIME_MS;
	if (!option_seconds(b->p, OPTION_TIME, &b->time_ms))
		return false;
	if (b->p->option[OPTION_SVG] &&
	    (b->p->operand_count > 1 || streq(b->p->operands[0], "all"))) {
		output_error(&b->p->out, NULL, ERROR_USAGE,
			     "--svg draws one region; name just one");
		return false;
	}
	return parse_callers(b);
}

void cmd_bench(struct pmemctl *p)
{
	struct bench *b = xcalloc(1, sizeof(*b));

	b->p = p;
	if (parse(b) && open_plot(b)) {
		p->data = b;
		regions_each(p, bench_region);
		p->data = NULL;
		if (b->plot)
			draw(b);
	}
	free(b);
}
