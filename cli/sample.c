// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counters at two moments, and the rates between them; see sample.h.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "sample.h"
#include "util.h"

uint64_t sample_now_ns(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int take_histogram(struct virtpmem_region *region, struct sample *s)
{
	_cleanup_virtpmem_histogram_unref_ struct virtpmem_histogram *hist = NULL;
	uint64_t lower;
	unsigned int i;
	int err;

	err = virtpmem_region_get_latency_histogram(region, &hist);
	if (err < 0)
		return err;
	for (i = 0; i < SAMPLE_BINS; i++)
		if (virtpmem_histogram_get_bin(hist, i, &lower, &s->upper_us[i],
					       &s->count[i]) < 0)
			break;
	s->bins = i;
	return 0;
}

static int take(struct virtpmem_region *region, struct sample *s)
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	unsigned int id;
	int err;

	memset(s, 0, sizeof(*s));
	err = virtpmem_region_get_stats(region, &stats);
	if (err < 0)
		return err;
	s->time_ns = sample_now_ns();
	for (id = 0; id < VIRTPMEM_STAT_COUNT; id++)
		if (virtpmem_stats_get(stats, id, &s->stat[id]) >= 0)
			s->known |= UINT64_C(1) << id;
	err = take_histogram(region, s);
	if (err < 0)
		return err;
	return virtpmem_region_get_queue_depth(region, &s->queue_depth);
}

int sample_take(struct virtpmem_region *region, struct sample *s)
{
	int err = take(region, s);

	/* Where a sample is not needed its errors are passed over, but not this one. */
	if (err == -ENOMEM)
		out_of_memory();
	return err;
}

/* Counters that only grow; maxima and times are not of that kind. */
static bool is_counter(unsigned int id)
{
	return id != VIRTPMEM_STAT_REQUEST_MAX_NS && id != VIRTPMEM_STAT_HOST_MAX_NS &&
	       id != VIRTPMEM_STAT_LAST_FAILURE_NS && id != VIRTPMEM_STAT_LAST_CHANGE_NS;
}

static bool begun_anew(const struct sample *from, const struct sample *to)
{
	unsigned int i;

	for (i = 0; i < VIRTPMEM_STAT_COUNT; i++)
		if (is_counter(i) && to->stat[i] < from->stat[i])
			return true;
	for (i = 0; i < to->bins && i < from->bins; i++)
		if (to->count[i] < from->count[i])
			return true;
	return false;
}

void sample_between(const struct sample *from, const struct sample *to, struct sample_rates *rates)
{
	static const struct sample boot;
	unsigned int i;

	rates->interval_ns = to->time_ns - from->time_ns;
	rates->delta = *to;
	if (begun_anew(from, to))
		from = &boot;
	for (i = 0; i < VIRTPMEM_STAT_COUNT; i++)
		if (is_counter(i))
			rates->delta.stat[i] -= from->stat[i];
	for (i = 0; i < to->bins && i < from->bins; i++)
		rates->delta.count[i] -= from->count[i];
}

uint64_t sample_milli(uint64_t a, uint64_t b)
{
	unsigned __int128 value;

	if (!b)
		return 0;
	value = ((unsigned __int128)a * 1000 + b / 2) / b;
	return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

static bool knows(const struct sample *s, enum virtpmem_stat id)
{
	return s->known >> id & 1;
}

bool sample_mean(const struct sample *delta, enum virtpmem_stat total, enum virtpmem_stat count,
		 uint64_t *mean)
{
	if (!knows(delta, total) || !knows(delta, count) || !delta->stat[count])
		return false;
	*mean = delta->stat[total] / delta->stat[count];
	return true;
}

bool sample_percentile(const struct sample *delta, unsigned int percent, uint64_t *ns)
{
	uint64_t max = delta->stat[VIRTPMEM_STAT_HOST_MAX_NS], total = 0, seen = 0, upper;
	unsigned int i;

	for (i = 0; i < delta->bins; i++)
		total += delta->count[i];
	if (!total)
		return false;
	for (i = 0; i + 1 < delta->bins; i++) {
		seen += delta->count[i];
		if ((unsigned __int128)seen * 100 >= (unsigned __int128)total * percent)
			break;
	}
	upper = delta->upper_us[i];
	*ns = upper > UINT64_MAX / 1000 ? UINT64_MAX : upper * 1000;
	/* None took longer than the longest. */
	if (knows(delta, VIRTPMEM_STAT_HOST_MAX_NS) && max && max < *ns)
		*ns = max;
	return *ns != UINT64_MAX;
}

uint64_t sample_per_second(const struct sample_rates *rates, enum virtpmem_stat id)
{
	unsigned __int128 value = (unsigned __int128)rates->delta.stat[id] * 1000000000000;

	return rates->interval_ns ? (uint64_t)(value / rates->interval_ns) : 0;
}

static void add_rates(const struct sample_rates *rates, struct record *stat)
{
	const struct sample *delta = &rates->delta;

	if (knows(delta, VIRTPMEM_STAT_REQUESTS))
		record_add_uint(stat, "requests_per_s_milli",
				sample_per_second(rates, VIRTPMEM_STAT_REQUESTS));
	if (knows(delta, VIRTPMEM_STAT_HOST_FLUSHES))
		record_add_uint(stat, "host_flushes_per_s_milli",
				sample_per_second(rates, VIRTPMEM_STAT_HOST_FLUSHES));
	if (knows(delta, VIRTPMEM_STAT_REQUESTS) && knows(delta, VIRTPMEM_STAT_HOST_FLUSHES) &&
	    delta->stat[VIRTPMEM_STAT_REQUESTS])
		record_add_uint(stat, "host_flushes_per_request_milli",
				sample_milli(delta->stat[VIRTPMEM_STAT_HOST_FLUSHES],
					     delta->stat[VIRTPMEM_STAT_REQUESTS]));
	record_add_uint(stat, "queue_depth", delta->queue_depth);
	/* Little's law: all the waiting of those answered, over the time. */
	if (knows(delta, VIRTPMEM_STAT_REQUEST_TOTAL_NS))
		record_add_uint(stat, "queue_depth_mean_milli",
				sample_milli(delta->stat[VIRTPMEM_STAT_REQUEST_TOTAL_NS],
					     rates->interval_ns));
}

static void add_latencies(const struct sample *delta, struct record *stat)
{
	static const struct {
		const char *name;
		unsigned int percent;
	} percentiles[] = {
		{ "host_p50_ns", 50 },
		{ "host_p90_ns", 90 },
		{ "host_p99_ns", 99 },
	};
	uint64_t value;
	size_t i;

	if (sample_mean(delta, VIRTPMEM_STAT_REQUEST_TOTAL_NS, VIRTPMEM_STAT_REQUESTS, &value))
		record_add_uint(stat, "request_mean_ns", value);
	if (sample_mean(delta, VIRTPMEM_STAT_HOST_TOTAL_NS, VIRTPMEM_STAT_HOST_FLUSHES, &value))
		record_add_uint(stat, "host_mean_ns", value);
	for (i = 0; i < ARRAY_SIZE(percentiles); i++)
		if (sample_percentile(delta, percentiles[i].percent, &value))
			record_add_uint(stat, percentiles[i].name, value);
}

void sample_add(const struct sample_rates *rates, struct record *region)
{
	static const enum virtpmem_stat counters[] = {
		VIRTPMEM_STAT_REQUESTS,	      VIRTPMEM_STAT_ASYNC_REQUESTS,
		VIRTPMEM_STAT_HOST_FLUSHES,   VIRTPMEM_STAT_FAILED_REQUESTS,
		VIRTPMEM_STAT_FAILED_HOST_FLUSHES,
	};
	struct record *stat = record_add(region, "stat", RECORD_OBJECT);
	size_t i;

	record_add_uint(stat, "interval_ns", rates->interval_ns);
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		if (knows(&rates->delta, counters[i]))
			record_add_uint(stat, virtpmem_stat_name(counters[i]),
					rates->delta.stat[counters[i]]);
	add_rates(rates, stat);
	add_latencies(&rates->delta, stat);
}
