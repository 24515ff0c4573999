// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The regions that "pmemctl top" shows, their past, and what keys do; see top.h.
 */
#include <string.h>

#include "record.h"
#include "top.h"
#include "util.h"

#define MESSAGE_LOOKS 5

void top_init(struct top *top, unsigned int interval_ms)
{
	*top = (struct top){ .interval_ms = interval_ms };
}

static void region_free(struct top_region *r)
{
	free(r->identity);
	free(r->dev);
	free(r->state);
	free(r);
}

void top_clear(struct top *top)
{
	size_t i;

	for (i = 0; i < top->count; i++)
		region_free(top->region[i]);
	free(top->region);
	free(top->chosen);
	free(top->message);
	record_free(top->detail);
	*top = (struct top){ 0 };
}

void top_say(struct top *top, const char *text)
{
	free(top->message);
	top->message = xstrdup(text);
	top->message_looks = MESSAGE_LOOKS;
}

/* ---------------------------------------------------------------- looks */

static struct top_region *find(const struct top *top, const char *identity)
{
	size_t i;

	for (i = 0; identity && i < top->count; i++)
		if (streq(top->region[i]->identity, identity))
			return top->region[i];
	return NULL;
}

struct top_region *top_chosen(const struct top *top)
{
	return find(top, top->chosen);
}

static void set(char **to, const char *text)
{
	char *copy = text ? xstrdup(text) : NULL;

	free(*to);
	*to = copy;
}

void top_begin(struct top *top)
{
	size_t i;

	for (i = 0; i < top->count; i++)
		top->region[i]->there = false;
	if (top->message && !top->message_looks--)
		set(&top->message, NULL);
}

/* The counters went back: the driver was bound anew, and so they are watched anew. */
static bool begun_anew(const struct sample_rates *rates, const struct sample *from,
		       const struct sample *to)
{
	return from->stat[VIRTPMEM_STAT_REQUESTS] &&
	       rates->delta.stat[VIRTPMEM_STAT_REQUESTS] == to->stat[VIRTPMEM_STAT_REQUESTS];
}

static void remember(struct top_region *r)
{
	struct top_past *past = &r->past[r->past_next];
	const struct sample *delta = &r->rates.delta;

	*past = (struct top_past){
		.rate_milli = sample_per_second(&r->rates, VIRTPMEM_STAT_REQUESTS),
	};
	sample_mean(delta, VIRTPMEM_STAT_REQUEST_TOTAL_NS, VIRTPMEM_STAT_REQUESTS, &past->mean_ns);
	r->past_next = (r->past_next + 1) % TOP_HISTORY;
	if (r->past_count < TOP_HISTORY)
		r->past_count++;
}

static void count(struct top_region *r, const struct sample *sample)
{
	if (!sample) {
		r->counted = r->rated = false;
		return;
	}
	if (!r->counted) {
		r->first = *sample;
	} else {
		sample_between(&r->last, sample, &r->rates);
		if (begun_anew(&r->rates, &r->last, sample))
			r->first = (struct sample){ .time_ns = r->last.time_ns };
		r->rated = true;
		remember(r);
	}
	r->last = *sample;
	r->counted = true;
}

void top_region(struct top *top, const char *identity, const char *dev, const char *state,
		const struct sample *sample)
{
	struct top_region *r = find(top, identity);

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->identity = xstrdup(identity);
		top->region = xreallocarray(top->region, top->count + 1, sizeof(struct top_region *));
		top->region[top->count++] = r;
	}
	r->there = true;
	set(&r->dev, dev);
	set(&r->state, state);
	count(r, sample);
}

bool top_watched(const struct top_region *r, struct sample_rates *rates)
{
	if (r->counted)
		sample_between(&r->first, &r->last, rates);
	return r->counted;
}

const struct top_past *top_past(const struct top_region *r, unsigned int back)
{
	if (back >= r->past_count)
		return NULL;
	return &r->past[(r->past_next + TOP_HISTORY - 1 - back) % TOP_HISTORY];
}

/* -------------------------------------------------------------- sorting */

const char *top_sort_name(enum top_sort sort)
{
	static const char *const names[] = {
		[TOP_BY_LOAD] = "load",
		[TOP_BY_LATENCY] = "latency",
		[TOP_BY_QUEUE] = "queue",
		[TOP_BY_NAME] = "name",
	};

	return names[sort];
}

/* The higher, the further up. */
static uint64_t weight(const struct top_region *r, enum top_sort sort)
{
	const struct top_past *now = r->rated ? top_past(r, 0) : NULL;

	switch (sort) {
	case TOP_BY_LOAD:
		return now ? now->rate_milli : 0;
	case TOP_BY_LATENCY:
		return now ? now->mean_ns : 0;
	case TOP_BY_QUEUE:
		return r->counted ? r->last.queue_depth : 0;
	default:
		return 0;
	}
}

static int compare(const void *a, const void *b, void *data)
{
	const struct top_region *ra = *(struct top_region *const *)a;
	const struct top_region *rb = *(struct top_region *const *)b;
	const struct top *top = data;
	uint64_t wa = weight(ra, top->sort), wb = weight(rb, top->sort);

	if (wa != wb)
		return wa < wb ? 1 : -1;
	return strverscmp(ra->dev, rb->dev);
}

static void sort(struct top *top)
{
	if (top->count)
		qsort_r(top->region, top->count, sizeof(struct top_region *), compare, top);
}

static size_t index_of(const struct top *top, const struct top_region *r)
{
	size_t i = 0;

	while (i < top->count && top->region[i] != r)
		i++;
	return i;
}

static void choose(struct top *top, const struct top_region *r)
{
	if (r && top->chosen && streq(r->identity, top->chosen))
		return;
	set(&top->chosen, r ? r->identity : NULL);
	/* It is about another one. */
	record_free(top->detail);
	top->detail = NULL;
}

static void say_gone(struct top *top, const struct top_region *r)
{
	_cleanup_free_ char *text = xasprintf("%s: the region %s went away", r->dev, r->identity);

	top_say(top, text);
}

/* In the place of a chosen one that goes the next one is chosen. */
void top_end(struct top *top)
{
	size_t chosen = index_of(top, top_chosen(top)), kept = 0, i;

	for (i = 0; i < top->count; i++) {
		struct top_region *r = top->region[i];

		if (r->there) {
			top->region[kept++] = r;
			continue;
		}
		say_gone(top, r);
		if (i < chosen)
			chosen--;
		region_free(r);
	}
	top->count = kept;
	if (top->chosen && !top_chosen(top))
		choose(top, top->count ? top->region[chosen < top->count ? chosen : top->count - 1] :
					 NULL);
	sort(top);
	/* At first, or after there was none: the busiest. */
	if (!top->chosen && top->count)
		choose(top, top->region[0]);
	if (!top->count)
		top->whole = false;
}

/* ----------------------------------------------------------------- keys */

static void move_to(struct top *top, size_t where)
{
	if (top->count)
		choose(top, top->region[where < top->count ? where : top->count - 1]);
}

static void change_interval(struct top *top, bool longer)
{
	static const unsigned int steps[] = {
		100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000,
	};
	unsigned int now = top->interval_ms;
	size_t i;

	if (longer) {
		for (i = 0; i < ARRAY_SIZE(steps) && steps[i] <= now; i++)
			;
		if (i < ARRAY_SIZE(steps))
			top->interval_ms = steps[i];
	} else {
		for (i = ARRAY_SIZE(steps); i && steps[i - 1] >= now; i--)
			;
		if (i)
			top->interval_ms = steps[i - 1];
	}
}

static void close_one(struct top *top)
{
	if (top->help)
		top->help = false;
	else
		top->whole = false;
}

void top_key(struct top *top, int key)
{
	size_t chosen = index_of(top, top_chosen(top));

	switch (key) {
	case 'q':
		top->end = true;
		break;
	case TOP_KEY_UP:
	case 'k':
		move_to(top, chosen ? chosen - 1 : 0);
		break;
	case TOP_KEY_DOWN:
	case 'j':
		move_to(top, chosen + 1);
		break;
	case TOP_KEY_HOME:
		move_to(top, 0);
		break;
	case TOP_KEY_END:
		move_to(top, top->count);
		break;
	case TOP_KEY_ENTER:
		top->help = false;
		top->whole = !top->whole && top->count;
		break;
	case TOP_KEY_ESCAPE:
		close_one(top);
		break;
	case 's':
		top->sort = (top->sort + 1) % TOP_SORTS;
		sort(top);
		break;
	case '+':
	case '-':
		change_interval(top, key == '+');
		break;
	case ' ':
		top->paused = !top->paused;
		break;
	case '?':
	case 'h':
		top->help = !top->help;
		break;
	default:
		break;
	}
}
