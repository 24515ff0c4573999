// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl top: looks at regions again and again, and shows them on the whole
 * terminal. What is shown is top.h's, how it gets there screen.h's.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "health.h"
#include "holders.h"
#include "screen.h"
#include "top.h"
#include "util.h"

#define DEFAULT_INTERVAL_MS 2000

const struct option_desc top_options[] = {
	{ OPTION_INTERVAL, 'i', "interval", "SECONDS", "how long between two looks; default: 2",
	  NULL },
	{ .name = NULL },
};

struct watch {
	struct pmemctl *p;
	struct top top;
	char **wanted; /* identities of the regions that were named */
	size_t wanted_count;
};

/* ------------------------------------------------------------- looking */

static bool is_wanted(const struct watch *w, const char *identity)
{
	size_t i;

	if (!w->p->operand_count)
		return true;
	for (i = 0; i < w->wanted_count; i++)
		if (streq(w->wanted[i], identity))
			return true;
	return false;
}

static void want(struct pmemctl *p, struct virtpmem_region *region)
{
	struct watch *w = p->data;

	w->wanted = xreallocarray(w->wanted, w->wanted_count + 1, sizeof(*w->wanted));
	w->wanted[w->wanted_count++] = regions_identity(p, region);
}

/* What could not be read is said on the screen, and tried again with the next look. */
static void say_errors(struct watch *w)
{
	const struct record *error = w->p->out.errors->child;
	_cleanup_free_ char *text = NULL;
	const struct record *dev;

	if (!error)
		return;
	dev = record_get(error, "dev");
	text = xasprintf("%s%s%s", dev ? dev->string : "", dev ? ": " : "",
			 record_get(error, "message")->string);
	top_say(&w->top, text);
	output_forgive(&w->p->out);
}

static void look_at(struct watch *w, struct virtpmem_region *region, const char *identity)
{
	const char *dev = virtpmem_region_get_devname(region);
	struct reader rd = { .p = w->p, .region = region };
	enum virtpmem_state state;
	const char *name = NULL;
	struct sample sample;
	bool counted;

	if (reader_got(&rd, "state", virtpmem_region_get_state(region, &state)))
		name = virtpmem_state_name(state);
	counted = reader_got(&rd, "statistics", sample_take(region, &sample));
	if (!rd.gone)
		top_region(&w->top, identity, dev, name, counted ? &sample : NULL);
}

/* All that there is to know about one region. */
static struct record *describe(struct watch *w, struct virtpmem_region *region)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	struct reader rd = { .p = w->p, .region = region };
	static const struct health_limits no_limits;
	struct record *r;

	if (virtpmem_region_snapshot_begin(region) < 0)
		out_of_memory();
	r = regions_describe(w->p, region, DESCRIBE_FULL);
	if (r) {
		holders = holders_add(&rd, HOLDERS_PASSIVE, r);
		health_add(&rd, holders, &no_limits, r);
	}
	virtpmem_region_snapshot_end(region);
	return r;
}

static void look_at_chosen(struct watch *w)
{
	struct virtpmem_region *region;

	record_free(w->top.detail);
	w->top.detail = NULL;
	virtpmem_region_foreach (w->p->ctx, region) {
		_cleanup_free_ char *identity = regions_identity(w->p, region);

		if (w->top.chosen && streq(identity, w->top.chosen))
			w->top.detail = describe(w, region);
	}
}

static void look(struct watch *w)
{
	struct virtpmem_region *region;

	top_begin(&w->top);
	virtpmem_region_foreach (w->p->ctx, region) {
		_cleanup_free_ char *identity = regions_identity(w->p, region);

		if (is_wanted(w, identity))
			look_at(w, region, identity);
	}
	top_end(&w->top);
	look_at_chosen(w);
	say_errors(w);
}

static void look_again(struct watch *w)
{
	int err = regions_rescan(w->p);

	if (err >= 0) {
		look(w);
		return;
	}
	output_error(&w->p->out, NULL, error_from_errno(err), "cannot look for regions: %s",
		     regions_why(w->p, "", err));
	say_errors(w);
}

/* ---------------------------------------------------------- the terminal */

static void show(struct watch *w)
{
	_cleanup_frame_ struct frame f;

	screen_frame(&f);
	top_draw(&w->top, &f);
	screen_show(&f);
}

/* Returns: false if it is over. */
static bool obey(struct watch *w, int key)
{
	_cleanup_free_ char *before = w->top.chosen ? xstrdup(w->top.chosen) : NULL;

	if (key == SCREEN_GONE) {
		output_error(&w->p->out, NULL, ERROR_FAILED, "the terminal went away");
		return false;
	}
	if (key < 0)
		return true;
	top_key(&w->top, key);
	if (before && !streq(before, w->top.chosen)) {
		look_at_chosen(w);
		say_errors(w);
	}
	return !w->top.end;
}

/* Until the next look is due, or it is over (false). */
static bool wait_for_look(struct watch *w, uint64_t last_ns)
{
	for (;;) {
		uint64_t due = last_ns + (uint64_t)w->top.interval_ms * 1000000;
		uint64_t now = sample_now_ns(), left_ms = 0;

		if (screen_signal())
			return false;
		if (w->top.paused)
			left_ms = 3600000;
		else if (now < due)
			left_ms = (due - now + 999999) / 1000000;
		/* Also when it is due, as always where a look takes longer than the interval. */
		if (!obey(w, screen_key((unsigned int)left_ms)))
			return false;
		if (!left_ms)
			return true;
		show(w);
	}
}

static void run(struct watch *w)
{
	uint64_t last;

	do {
		last = sample_now_ns();
		look_again(w);
		show(w);
	} while (wait_for_look(w, last));
}

/* ------------------------------------------------------------- the command */

/* ncurses would not say that this is why it cannot start. */
static bool check_size(struct pmemctl *p)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ||
	    (size.ws_row <= SCREEN_ROWS_MAX && size.ws_col <= SCREEN_COLUMNS_MAX))
		return true;
	output_error(&p->out, NULL, ERROR_NOT_SUPPORTED,
		     "the terminal says that it has %u lines of %u columns, of which %u and %u can be "
		     "drawn; 'stty rows 24 columns 80' gives it a size", size.ws_row, size.ws_col,
		     SCREEN_ROWS_MAX, SCREEN_COLUMNS_MAX);
	return false;
}

static bool check(struct pmemctl *p, unsigned int *interval_ms)
{
	*interval_ms = DEFAULT_INTERVAL_MS;
	if (!option_seconds(p, OPTION_INTERVAL, interval_ms))
		return false;
	if (p->option[OPTION_JSON])
		output_error(&p->out, NULL, ERROR_USAGE,
			     "'pmemctl top' has no JSON; 'pmemctl stat --json 2' prints the same");
	else if (!screen_is_available())
		output_error(&p->out, NULL, ERROR_NOT_SUPPORTED,
			     "this pmemctl was built without ncurses; 'pmemctl stat 2' prints the "
			     "same as lines");
	else if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		output_error(&p->out, NULL, ERROR_USAGE,
			     "'pmemctl top' needs a terminal; 'pmemctl stat 2' prints the same as "
			     "lines");
	else
		return check_size(p);
	return false;
}

static void on_screen(struct watch *w)
{
	struct pmemctl *p = w->p;
	const char *term = getenv("TERM");
	int status = p->out.status, number;

	if (!screen_start(p->out.color)) {
		output_error(&p->out, NULL, ERROR_NOT_SUPPORTED,
			     "a terminal of the type '%s' cannot show this, or is not known here; "
			     "set TERM, or use 'pmemctl stat 2'", term ? term : "");
		return;
	}
	p->out.silent = true;
	run(w);
	number = screen_signal();
	screen_stop();
	p->out.silent = false;
	/* Only what was wrong at the start, or ended it, is a failure. */
	if (!p->out.status)
		p->out.status = status;
	/* It was only put off; SIGINT is the one that is survived. */
	if (number)
		raise(number);
}

static void watch_free(struct watch *w)
{
	size_t i;

	for (i = 0; i < w->wanted_count; i++)
		free(w->wanted[i]);
	free(w->wanted);
	top_clear(&w->top);
	free(w);
}

void cmd_top(struct pmemctl *p)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	unsigned int interval_ms;

	w->p = p;
	if (check(p, &interval_ms)) {
		top_init(&w->top, interval_ms);
		p->data = w;
		if (p->operand_count)
			regions_each(p, want);
		else
			regions_scan(p);
		p->data = NULL;
		if (p->ctx && (!p->out.status || w->wanted_count))
			on_screen(w);
	}
	watch_free(w);
}
