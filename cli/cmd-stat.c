// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl stat: rates and latencies, once since boot or again and again at an
 * interval, as iostat(1). Regions may come and go meanwhile; a region is known
 * by its path, because names can change their device.
 */
#include <errno.h>
#include <time.h>

#include "regions.h"
#include "sample.h"
#include "util.h"

/* A region that has been seen. */
struct known {
	char *identity;
	char *dev; /* its name when last seen */
	bool there, seen;
	struct sample last;
};

struct stat {
	struct pmemctl *p;
	bool endless, selected; /* selected: only what is known already is shown */
	bool counts; /* a driver that keeps statistics has been seen */
	unsigned int interval_ms, count;
	uint64_t report_ns; /* CLOCK_BOOTTIME of the last report, 0 before the first */
	struct known *known;
	size_t known_count;
};

/* ------------------------------------------------------- what is known */

static struct known *known_find(struct stat *st, const char *identity)
{
	size_t i;

	for (i = 0; i < st->known_count; i++)
		if (streq(st->known[i].identity, identity))
			return &st->known[i];
	return NULL;
}

static struct known *known_add(struct stat *st, const char *identity)
{
	struct known *k;

	st->known = xreallocarray(st->known, st->known_count + 1, sizeof(*st->known));
	k = &st->known[st->known_count++];
	*k = (struct known){ .identity = xstrdup(identity), .last.time_ns = st->report_ns };
	return k;
}

static void stat_free(struct stat *st)
{
	size_t i;

	for (i = 0; i < st->known_count; i++) {
		free(st->known[i].identity);
		free(st->known[i].dev);
	}
	free(st->known);
	free(st);
}

/* --------------------------------------------------------- one report */

/* Says it once for each time that a region goes. */
static void say_gone(struct stat *st, struct known *k)
{
	k->there = false;
	/* When it is back its counters begin at 0. */
	k->last = (struct sample){ .time_ns = k->last.time_ns };
	if (st->selected)
		output_error(&st->p->out, k->dev, ERROR_GONE,
			     "the region %s went away; it is shown again when it is back",
			     k->identity);
	else
		output_note(&st->p->out, "%s: the region %s went away", k->dev, k->identity);
}

static void show(struct stat *st, struct virtpmem_region *region, struct known *k)
{
	struct record *r = regions_describe(st->p, region, DESCRIBE_STATE);
	struct sample now;
	int err;

	if (!r)
		return;
	regions_forget_log(st->p);
	err = sample_take(region, &now);
	st->counts |= err != -EOPNOTSUPP;
	if (err >= 0) {
		struct sample_rates rates;

		sample_between(&k->last, &now, &rates);
		sample_add(&rates, r);
		k->last = now;
	} else if (err == -EOPNOTSUPP && st->selected && !k->there) {
		output_error(&st->p->out, k->dev, ERROR_NOT_SUPPORTED,
			     "its driver keeps no statistics; only this project's virtio_pmem "
			     "does, see 'pmemctl status %s'", k->dev);
	} else if (err != -EOPNOTSUPP && err != -ENODEV) {
		output_error(&st->p->out, k->dev, error_from_errno(err),
			     "cannot read its statistics: %s",
			     regions_why(st->p, k->dev, err));
	}
	k->there = true;
	output_region(&st->p->out, r);
}

static void take_region(struct stat *st, struct virtpmem_region *region)
{
	_cleanup_free_ char *identity = regions_identity(st->p, region);
	struct known *k = known_find(st, identity);

	if (!k && st->selected)
		return;
	if (!k)
		k = known_add(st, identity);
	free(k->dev);
	k->dev = xstrdup(virtpmem_region_get_devname(region));
	k->seen = true;
	show(st, region, k);
}

static void report(struct stat *st)
{
	struct virtpmem_region *region;
	struct timespec now = { 0 };
	size_t i;

	for (i = 0; i < st->known_count; i++)
		st->known[i].seen = false;
	virtpmem_region_foreach (st->p->ctx, region)
		take_region(st, region);
	for (i = 0; i < st->known_count; i++)
		if (st->known[i].there && !st->known[i].seen)
			say_gone(st, &st->known[i]);
	clock_gettime(CLOCK_REALTIME, &now);
	record_add_uint(st->p->out.top, "time_ns",
			(uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	st->report_ns = sample_now_ns();
	output_report(&st->p->out);
}

/* ------------------------------------------------------- the sequence */

/* Until the next tick, which is @interval_ms after the last one. Returns: false if interrupted. */
static bool wait_for_tick(struct timespec *tick, unsigned int interval_ms)
{
	tick->tv_sec += interval_ms / 1000;
	tick->tv_nsec += (long)(interval_ms % 1000) * 1000000;
	if (tick->tv_nsec >= 1000000000) {
		tick->tv_nsec -= 1000000000;
		tick->tv_sec++;
	}
	while (!interrupted())
		if (!clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, tick, NULL))
			return true;
	return false;
}

static void run(struct stat *st)
{
	struct timespec tick = { 0 };
	int err;

	clock_gettime(CLOCK_MONOTONIC, &tick);
	report(st);
	if (!st->counts && !st->selected && st->known_count)
		output_note(&st->p->out, "no driver of these regions keeps statistics; only this "
			    "project's virtio_pmem does, see 'pmemctl status'");
	while ((st->endless || --st->count) && !st->p->out.write_error &&
	       wait_for_tick(&tick, st->interval_ms)) {
		err = regions_rescan(st->p);
		if (err < 0) {
			output_error(&st->p->out, NULL, error_from_errno(err),
				     "cannot look for regions: %s", regions_why(st->p, "", err));
			return;
		}
		report(st);
	}
}

static bool is_number(const char *word)
{
	return *word >= '0' && *word <= '9';
}

static bool bad_interval(struct stat *st, const char *word)
{
	output_error(&st->p->out, NULL, ERROR_USAGE,
		     "INTERVAL needs seconds from 0.001 to 4294967, such as 5 or 0.25, not '%s'",
		     word);
	return false;
}

static bool check_order(struct stat *st)
{
	const struct pmemctl *p = st->p;
	unsigned int ms;
	size_t i;

	for (i = 0; i < p->operand_count; i++) {
		if (!option_parse_seconds(p->operands[i], &ms))
			continue;
		output_error(&st->p->out, NULL, ERROR_USAGE,
			     "'%s' is no region; INTERVAL and COUNT come last, such as in "
			     "'pmemctl stat region0 5 10'", p->operands[i]);
		return false;
	}
	return true;
}

/* Takes INTERVAL and COUNT off the end of the operands. Returns: false if they make no sense. */
static bool parse_interval(struct stat *st)
{
	struct pmemctl *p = st->p;
	size_t n = p->operand_count, numbers = 0;
	char **number;

	while (numbers < 2 && numbers < n && is_number(p->operands[n - numbers - 1]))
		numbers++;
	st->count = 1;
	if (!numbers)
		return true;
	number = &p->operands[n - numbers];
	p->operand_count -= numbers;
	if (!option_parse_seconds(number[0], &st->interval_ms))
		return bad_interval(st, number[0]);
	st->endless = numbers == 1;
	if (numbers == 2 && !option_parse_count(number[1], &st->count)) {
		output_error(&p->out, NULL, ERROR_USAGE,
			     "COUNT needs a number of reports from 1 to 4294967295, not '%s'",
			     number[1]);
		return false;
	}
	return true;
}

static void select_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_free_ char *identity = regions_identity(p, region);

	if (!known_find(p->data, identity))
		known_add(p->data, identity);
}

void cmd_stat(struct pmemctl *p)
{
	struct stat *st = xcalloc(1, sizeof(*st));

	st->p = p;
	if (parse_interval(st) && check_order(st)) {
		p->data = st;
		regions_each(p, select_region);
		p->data = NULL;
		st->selected = p->operand_count;
		/* Names that were all wrong are not a wish for all. */
		if (p->ctx && (!p->out.status || st->known_count))
			run(st);
	}
	stat_free(st);
}
