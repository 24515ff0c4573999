// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How "pmemctl top" looks: from what is known to a frame.
 *
 *	row 0		what this is, how often it looks, by what it sorts
 *	row 1		messages
 *	row 2		headings
 *	then		regions, as many as there is room for
 *			a blank row, and the pane about the chosen one
 *	last row	keys
 */
#include <inttypes.h>
#include <string.h>

#include "bars.h"
#include "template.h"
#include "top.h"
#include "units.h"
#include "util.h"
#include "wrap.h"

#define LIST_ROW 3	   /* the first region */
#define PANE_ROWS 6	   /* with less there is no pane */
#define PANE_SIDE 60	   /* columns of each half, where it is in two */
#define SPARK_LEAST 6	   /* columns, or it is left out */
#define SPARK_MOST 60
#define BAR_WIDTH 24

/* ------------------------------------------------------------ the list */

/* The columns of the list, each with a blank behind it. */
struct columns {
	unsigned int name, state, spark; /* spark: 0 if there is no room for any */
	bool latency;			 /* for the second one, too */
};

#define RATE_WIDTH 9
#define QUEUE_WIDTH 5
#define TIME_WIDTH 9

static unsigned int at_most(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static void widen(const struct frame *f, unsigned int *width, unsigned int most, const char *text)
{
	unsigned int its = at_most(frame_width(f, text), most);

	if (its > *width)
		*width = its;
}

static struct columns fit_columns(const struct top *top, const struct frame *f)
{
	struct columns c = { .name = 6, .state = 6 };
	unsigned int used, left;
	size_t i;

	for (i = 0; i < top->count; i++) {
		widen(f, &c.name, 16, top->region[i]->dev);
		if (top->region[i]->state)
			widen(f, &c.state, 10, top->region[i]->state);
	}
	used = c.name + 1 + c.state + 1 + 2 * (RATE_WIDTH + 1) + QUEUE_WIDTH + 1 +
	       2 * (TIME_WIDTH + 1);
	left = f->columns > used ? f->columns - used : 0;
	c.latency = left >= 2 * SPARK_LEAST + 1;
	c.spark = at_most(c.latency ? (left - 1) / 2 : left, SPARK_MOST);
	if (c.spark < SPARK_LEAST)
		c.spark = 0;
	return c;
}

/* The cells of a line of the list; NULL or "" are blank. */
struct list_line {
	const char *name, *state, *rate, *host, *queue, *mean, *p99, *rates, *means;
	unsigned int look, state_look;
};

static void put_list_line(struct frame *f, unsigned int row, const struct columns *c,
			  const struct list_line *l)
{
	const struct {
		const char *text;
		unsigned int width, look;
		bool right;
	} cells[] = {
		{ l->name, c->name, l->look, false },
		{ l->state, c->state, l->state_look, false },
		{ l->rate, RATE_WIDTH, l->look, true },
		{ l->host, RATE_WIDTH, l->look, true },
		{ l->queue, QUEUE_WIDTH, l->look, true },
		{ l->mean, TIME_WIDTH, l->look, true },
		{ l->p99, TIME_WIDTH, l->look, true },
		{ l->rates, c->spark, l->look, false },
		{ l->means, c->latency ? c->spark : 0, l->look, false },
	};
	unsigned int column = 0;
	size_t i;

	frame_look(f, row, 0, f->columns, l->look);
	for (i = 0; i < ARRAY_SIZE(cells); i++) {
		if (!cells[i].width)
			continue;
		if (cells[i].right)
			frame_put_right(f, row, column, cells[i].width, cells[i].look,
					cells[i].text);
		else
			frame_put(f, row, column, cells[i].width, cells[i].look, cells[i].text);
		column += cells[i].width + 1;
	}
}

/* Thousandths, as in "pmemctl stat"; without the fraction where that would not fit. */
static char *rate_text(const struct top_region *r, enum virtpmem_stat id)
{
	uint64_t milli;

	if (!r->rated)
		return xstrdup("-");
	milli = sample_per_second(&r->rates, id);
	if (milli >= 1000000000)
		return xasprintf("%" PRIu64, milli / 1000);
	return xasprintf("%" PRIu64 ".%02u", milli / 1000, (unsigned int)(milli % 1000 / 10));
}

static char *mean_text(const struct top_region *r)
{
	uint64_t ns;

	if (!r->rated || !sample_mean(&r->rates.delta, VIRTPMEM_STAT_REQUEST_TOTAL_NS,
				      VIRTPMEM_STAT_REQUESTS, &ns))
		return xstrdup("-");
	return human_time(ns);
}

static char *p99_text(const struct top_region *r)
{
	uint64_t ns;

	if (!r->rated || !sample_percentile(&r->rates.delta, 99, &ns))
		return xstrdup("-");
	return human_time(ns);
}

/* The last @width looks, the newest on the right. */
static char *past_text(const struct frame *f, const struct top_region *r, unsigned int width,
		       bool latency)
{
	uint64_t value[SPARK_MOST];
	unsigned int i;

	for (i = 0; i < width; i++) {
		const struct top_past *past = top_past(r, width - 1 - i);

		value[i] = SPARK_NONE;
		if (past && latency)
			value[i] = past->mean_ns ? past->mean_ns : SPARK_NONE;
		else if (past)
			value[i] = past->rate_milli;
	}
	return spark_text(value, width, f->utf8);
}

static void draw_region(const struct top *top, struct frame *f, unsigned int row,
			const struct columns *c, const struct top_region *r)
{
	_cleanup_free_ char *rate = rate_text(r, VIRTPMEM_STAT_REQUESTS);
	_cleanup_free_ char *host = rate_text(r, VIRTPMEM_STAT_HOST_FLUSHES);
	_cleanup_free_ char *queue = r->counted ? xasprintf("%" PRIu64, r->last.queue_depth) :
						  xstrdup("-");
	_cleanup_free_ char *mean = mean_text(r), *p99 = p99_text(r);
	_cleanup_free_ char *rates = past_text(f, r, c->spark, false);
	_cleanup_free_ char *means = past_text(f, r, c->spark, true);
	unsigned int look = r == top_chosen(top) ? LOOK_REVERSE : 0;

	put_list_line(f, row, c, &(struct list_line){
		.name = r->dev, .state = r->state ? r->state : "-", .rate = rate, .host = host,
		.queue = queue, .mean = mean, .p99 = p99, .rates = rates, .means = means,
		.look = look,
		.state_look = look | (r->state ? tone_of_word(r->state) : TONE_NONE),
	});
}

/* So that the chosen one is among the @rows that are shown. */
static void scroll(struct top *top, unsigned int rows)
{
	struct top_region *chosen = top_chosen(top);
	size_t where = 0;

	while (where < top->count && top->region[where] != chosen)
		where++;
	if (where < top->scroll)
		top->scroll = where;
	if (where >= top->scroll + rows)
		top->scroll = where - rows + 1;
	if (top->scroll + rows > top->count)
		top->scroll = top->count > rows ? top->count - rows : 0;
}

static void draw_list(struct top *top, struct frame *f, unsigned int rows)
{
	static const struct list_line heads = {
		.name = "REGION", .state = "STATE", .rate = "REQ/s", .host = "HOST/s",
		.queue = "QUEUE", .mean = "MEAN", .p99 = "P99<=", .rates = "RATE",
		.means = "LATENCY", .look = LOOK_BOLD, .state_look = LOOK_BOLD,
	};
	struct columns c = fit_columns(top, f);
	unsigned int i;

	put_list_line(f, LIST_ROW - 1, &c, &heads);
	if (!top->count)
		frame_put(f, LIST_ROW, 0, f->columns, 0,
			  "no region is here; one that comes is shown");
	scroll(top, rows);
	for (i = 0; i < rows && top->scroll + i < top->count; i++)
		draw_region(top, f, LIST_ROW + i, &c, top->region[top->scroll + i]);
}

/* ------------------------------------------------------------- the pane */

struct line {
	char *text;
	unsigned int indent, look;
};

/* Lines, before it is known how many there is room for. */
struct lines {
	struct line *line;
	size_t count;
	unsigned int width;
};

static void lines_clear(struct lines *lines)
{
	size_t i;

	for (i = 0; i < lines->count; i++)
		free(lines->line[i].text);
	free(lines->line);
}

#define _cleanup_lines_ __attribute__((__cleanup__(lines_clear)))

static void add_line(struct lines *lines, unsigned int indent, unsigned int look, const char *text)
{
	lines->line = xreallocarray(lines->line, lines->count + 1, sizeof(*lines->line));
	lines->line[lines->count++] = (struct line){ xstrdup(text), indent, look };
}

/* A sentence, on as many lines as it needs; what follows the first is indented by 3 more. */
static void add_wrapped(struct lines *lines, unsigned int indent, unsigned int look,
			const char *text)
{
	_cleanup_free_ char *wrapped = xstrdup(text);
	char *line = wrapped, *next;
	bool first = true;

	wrap_words(wrapped, lines->width > indent + 3 + 12 ? lines->width - indent - 3 : 12);
	for (; line; line = next, first = false) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		add_line(lines, first ? indent : indent + 3, look, line);
	}
}

static unsigned int tone_at(const struct record *r, const char *path)
{
	const struct record *word = record_get(r, path);

	return word ? tone_of_word(word->string) : TONE_NONE;
}

/* The sentence of a template, unless something in it is missing. */
static void add_template(struct lines *lines, unsigned int indent, unsigned int look,
			 const struct record *r, const char *template)
{
	_cleanup_free_ char *text = expand(r, template);

	if (text)
		add_wrapped(lines, indent, look, text);
}

static void add_health(struct lines *lines, const struct record *detail)
{
	const struct record *reasons = record_get(detail, "health.reasons"), *reason;

	if (!reasons)
		return;
	record_foreach (reasons, reason) {
		add_template(lines, 2, tone_at(reason, "health_state"), reason,
			     "{code} ({health_state}): {message}");
		add_template(lines, 5, 0, reason, "-> {remedy}");
	}
}

static void add_facts(struct lines *lines, const struct record *detail)
{
	static const char *const facts[] = {
		"flush state: {flush.state}[: {flush.broken_reason}][, for {flush.state_age_ns}]",
		"flush method: {flush.method}[: {flush.method_reason}]",
		"waiting: {flush.queue_depth} now, {flush.queue_depth_max} at most",
		"at the host: {flush.in_flight_us|nothing}",
		"failed requests: {flush.failed_requests|none}",
		"failed host flushes: {flush.failed_host_flushes|none}",
		"last failure: {flush.last_failure_age_ns} ago",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(facts); i++)
		add_template(lines, 2, 0, detail, facts[i]);
}

static void add_bin(struct lines *lines, const struct sample *s, unsigned int bin, uint64_t most,
		    bool blocks)
{
	_cleanup_free_ char *from = bin ? human_time(s->upper_us[bin - 1] * 1000) : xstrdup("0");
	_cleanup_free_ char *to = s->upper_us[bin] == UINT64_MAX ?
		xstrdup("more") : human_time(s->upper_us[bin] * 1000);
	_cleanup_free_ char *bar = bar_text(bar_eighths(s->count[bin], most, BAR_WIDTH), blocks);
	_cleanup_free_ char *text = xasprintf("%9s to %-9s %8" PRIu64 " %s", from, to,
					      s->count[bin], bar);

	add_line(lines, 2, 0, text);
}

/* From the first bin that counts to the last, also those between. */
static void add_histogram(struct lines *lines, const struct top_region *r, bool blocks)
{
	unsigned int first = SAMPLE_BINS, last = 0, i;
	_cleanup_free_ char *title = NULL, *time = NULL;
	struct sample_rates watched;
	uint64_t most = 0;

	if (!top_watched(r, &watched))
		return;
	for (i = 0; i < watched.delta.bins; i++) {
		if (!watched.delta.count[i])
			continue;
		if (first == SAMPLE_BINS)
			first = i;
		last = i;
		if (watched.delta.count[i] > most)
			most = watched.delta.count[i];
	}
	add_line(lines, 0, 0, "");
	time = human_time(watched.interval_ns / 1000000000 * 1000000000);
	title = xasprintf(most ? "Host latency, watched for %s" :
				 "Host latency: no flush, watched for %s", time);
	add_line(lines, 0, LOOK_BOLD, title);
	for (i = first; i <= last; i++)
		add_bin(lines, &watched.delta, i, most, blocks);
}

static void add_holders(struct lines *lines, const struct record *parent, unsigned int indent)
{
	const struct record *holders = record_get(parent, "holders"), *holder;

	if (!holders)
		return;
	record_foreach (holders, holder) {
		_cleanup_free_ char *text = expand(holder,
			"{name}: {kind}[, process {pid}][, {path}]"
			"[ (never asks for a flush{drops_flushes?})]");

		if (text)
			add_line(lines, indent, 0, text);
		add_holders(lines, holder, indent + 2);
	}
}

static void add_users(struct lines *lines, const struct record *detail)
{
	add_line(lines, 0, 0, "");
	add_template(lines, 0, LOOK_BOLD, detail, "In use: {in_use}");
	add_holders(lines, detail, 2);
	add_template(lines, 2, 0, detail, "This is not all: {missing}; {remedy}.");
}

/* Draws what there is room for, and says how much there was none for. */
static void put_lines(struct frame *f, unsigned int row, unsigned int rows, unsigned int column,
		      const struct lines *lines, bool whole)
{
	size_t shown = lines->count <= rows ? lines->count : rows ? rows - 1 : 0, i;
	_cleanup_free_ char *rest = NULL;

	for (i = 0; i < shown; i++)
		frame_put(f, row + (unsigned int)i, column + lines->line[i].indent,
			  lines->width > lines->line[i].indent ?
				  lines->width - lines->line[i].indent : 0,
			  lines->line[i].look, lines->line[i].text);
	if (shown == lines->count || !rows)
		return;
	rest = xasprintf("  ... %zu more lines%s", lines->count - shown,
			 whole ? ": 'pmemctl status' has all" : "; Enter shows more");
	frame_put(f, row + (unsigned int)shown, column, lines->width, 0, rest);
}

static void draw_pane(const struct top *top, struct frame *f, unsigned int row, unsigned int rows)
{
	_cleanup_lines_ struct lines left = { .width = f->columns }, right = { 0 };
	const struct top_region *r = top_chosen(top);
	bool two = f->columns >= 2 * PANE_SIDE;
	_cleanup_free_ char *title = NULL;

	if (!r || !top->detail || !rows)
		return;
	title = expand(top->detail, "{dev}[ ({path})][: {health.health_state}]");
	frame_put(f, row, 0, f->columns, LOOK_BOLD | tone_at(top->detail, "health.health_state"),
		  title ? title : r->dev);
	if (two)
		left.width = right.width = f->columns / 2 - 1;
	add_health(&left, top->detail);
	add_facts(&left, top->detail);
	add_histogram(two ? &right : &left, r, f->utf8);
	add_users(&left, top->detail);
	put_lines(f, row + 1, rows - 1, 0, &left, top->whole);
	put_lines(f, row + 1, rows - 1, f->columns / 2 + 1, &right, top->whole);
}

/* -------------------------------------------------------------- the rest */

static void draw_title(const struct top *top, struct frame *f)
{
	_cleanup_free_ char *every = human_time((uint64_t)top->interval_ms * 1000000);
	_cleanup_free_ char *how = xasprintf("every %s, by %s%s", every, top_sort_name(top->sort),
					     top->paused ? "  PAUSED" : "");
	_cleanup_free_ char *count = xasprintf("%zu region%s", top->count,
					       top->count == 1 ? "" : "s");
	unsigned int used = frame_put(f, 0, 0, f->columns, LOOK_BOLD, "pmemctl top");

	frame_put(f, 0, used + 2, f->columns, 0, how);
	frame_put_right(f, 0, 0, f->columns, 0, count);
	if (top->message)
		frame_put(f, 1, 0, f->columns, TONE_WARNING, top->message);
}

static void draw_help(struct frame *f)
{
	static const char *const keys[][2] = {
		{ "q", "end" },
		{ "Up Down k j Home End", "choose a region" },
		{ "Enter", "the whole screen for it, and back" },
		{ "s", "sort by load, latency, queue or name" },
		{ "+ -", "look less often, more often" },
		{ "Space", "pause, go on" },
		{ "? h", "these keys, and back" },
		{ "Esc", "back" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keys) && LIST_ROW + i + 1 < f->rows; i++) {
		frame_put(f, LIST_ROW + i, 2, 20, LOOK_BOLD, keys[i][0]);
		frame_put(f, LIST_ROW + i, 24, f->columns, 0, keys[i][1]);
	}
}

static void draw_keys(struct frame *f)
{
	if (!f->rows)
		return;
	frame_look(f, f->rows - 1, 0, f->columns, LOOK_REVERSE);
	frame_put(f, f->rows - 1, 0, f->columns, LOOK_REVERSE,
		  "q end  Up/Down choose  Enter details  s sort  +/- interval  Space pause  ? help");
}

void top_draw(struct top *top, struct frame *f)
{
	unsigned int body = f->rows > LIST_ROW + 1 ? f->rows - LIST_ROW - 1 : 0;
	unsigned int list = at_most(top->count ? (unsigned int)top->count : 1, body);

	draw_title(top, f);
	if (top->help) {
		draw_help(f);
	} else if (top->whole) {
		draw_pane(top, f, LIST_ROW - 1, body + 1);
	} else {
		if (body >= 2 * PANE_ROWS && list > body / 3)
			list = body / 3;
		draw_list(top, f, list);
		if (body > list + PANE_ROWS)
			draw_pane(top, f, LIST_ROW + list + 1, body - list - 1);
	}
	draw_keys(f);
}
