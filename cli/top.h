/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What "pmemctl top" knows and shows, without a terminal: fed with samples and
 * keys (top-model.c), drawn into a frame (top-draw.c).
 */
#ifndef PMEMCTL_TOP_H
#define PMEMCTL_TOP_H

#include "frame.h"
#include "sample.h"

#define TOP_HISTORY 256

enum top_sort {
	TOP_BY_LOAD,
	TOP_BY_LATENCY,
	TOP_BY_QUEUE,
	TOP_BY_NAME,
	TOP_SORTS,
};

/* What one look said, for the sparklines. */
struct top_past {
	uint64_t rate_milli; /* requests a second */
	uint64_t mean_ns;    /* of a request; 0: there was none */
};

struct top_region {
	char *identity, *dev;
	char *state;	 /* NULL: not known */
	bool there;	 /* in the look that is under way */
	bool counted;	 /* has statistics; @last is one of them */
	bool rated;	 /* has two of them; @rates is between the last two */
	struct sample first, last;
	struct sample_rates rates;
	struct top_past past[TOP_HISTORY]; /* a ring */
	unsigned int past_count, past_next;
};

/* What a key is, whatever the terminal sends for it; others are characters. */
enum top_key {
	TOP_KEY_UP = 0x100,
	TOP_KEY_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_ENTER,
	TOP_KEY_ESCAPE,
};

struct top {
	struct top_region **region; /* in the order shown */
	size_t count;
	char *chosen; /* identity, or NULL */
	struct record *detail; /* about the chosen one, or NULL */
	enum top_sort sort;
	unsigned int interval_ms;
	bool paused, help, whole; /* whole: the chosen one has the screen for itself */
	bool end;
	char *message; /* or NULL */
	unsigned int message_looks; /* for how many more looks it is shown */
	size_t scroll; /* the first region that is shown; kept by drawing */
};

void top_init(struct top *top, unsigned int interval_ms);
void top_clear(struct top *top);

/* Says something in the line for messages, for some looks. */
void top_say(struct top *top, const char *text);

/*
 * A look at all regions: begun, each region told, ended. What was not told is
 * gone. @state may be NULL, and @sample where the driver keeps no statistics.
 */
void top_begin(struct top *top);
void top_region(struct top *top, const char *identity, const char *dev, const char *state,
		const struct sample *sample);
void top_end(struct top *top);

/* The chosen region, or NULL where there is none. */
struct top_region *top_chosen(const struct top *top);

/* A region's flushes since it is being watched. Returns: false if it has no statistics. */
bool top_watched(const struct top_region *r, struct sample_rates *rates);

/* The @back-th look before the last one, or NULL. */
const struct top_past *top_past(const struct top_region *r, unsigned int back);

/* @key as of enum top_key, or a character. */
void top_key(struct top *top, int key);

/* What "s" sorts by now, as a word. */
const char *top_sort_name(enum top_sort sort);

void top_draw(struct top *top, struct frame *f);

#endif /* PMEMCTL_TOP_H */
