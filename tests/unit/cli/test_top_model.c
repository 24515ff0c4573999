// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl top without a terminal: what is on the screen after which samples and
 * keys, at which size.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "output.h"
#include "top.h"
#include "util.h"

/* What the files under test need of those that are not. */
const struct output_ops output_text = { .region = NULL };

#define SECOND UINT64_C(1000000000)

/* A row of a frame as one string, without the blanks at its end; the caller frees. */
static char *row_text(const struct frame *f, unsigned int row)
{
	char *text = xcalloc((size_t)f->columns + 1, sizeof(struct frame_cell)), *end = text;
	unsigned int i;

	for (i = 0; i < f->columns; i++)
		end = stpcpy(end, frame_at(f, row, i)->text);
	while (end > text && end[-1] == ' ')
		*--end = '\0';
	return text;
}

static void expect_row(const struct frame *f, unsigned int row, const char *expected)
{
	_cleanup_free_ char *text = row_text(f, row);

	assert_string_equal(text, expected);
}

/* The row that has this text, or f->rows. */
static unsigned int find_row(const struct frame *f, const char *wanted)
{
	unsigned int row;

	for (row = 0; row < f->rows; row++) {
		_cleanup_free_ char *text = row_text(f, row);

		if (strstr(text, wanted))
			break;
	}
	return row;
}

static void draw(struct top *top, struct frame *f, unsigned int rows, unsigned int columns,
		 bool utf8)
{
	frame_init(f, rows, columns, utf8);
	top_draw(top, f);
}

/* A sample at second @s: so many requests, each of them of @mean_us, each a host flush. */
static struct sample sample_at(unsigned int s, uint64_t requests, uint64_t mean_us)
{
	struct sample sample = { .time_ns = s * SECOND, .known = UINT64_MAX, .bins = 4 };
	static const uint64_t uppers[] = { 1, 2, 4, UINT64_MAX };

	memcpy(sample.upper_us, uppers, sizeof(uppers));
	sample.stat[VIRTPMEM_STAT_REQUESTS] = requests;
	sample.stat[VIRTPMEM_STAT_HOST_FLUSHES] = requests;
	sample.stat[VIRTPMEM_STAT_REQUEST_TOTAL_NS] = requests * mean_us * 1000;
	sample.count[2] = requests;
	return sample;
}

static void tell(struct top *top, const char *dev, unsigned int s, uint64_t requests,
		 uint64_t mean_us, uint64_t queue)
{
	_cleanup_free_ char *identity = xasprintf("path-of-%s", dev);
	struct sample sample = sample_at(s, requests, mean_us);

	sample.queue_depth = queue;
	top_region(top, identity, dev, "active", &sample);
}

/* Three regions: the first has the load, the second the latency, the third the queue. */
static void look_at_three(struct top *top, unsigned int s)
{
	top_begin(top);
	tell(top, "region10", s, 100 * s, 20, 0);
	tell(top, "region9", s, 10 * s, 3000, 1);
	tell(top, "region2", s, 5 * s, 10, 7);
	top_end(top);
}

static void expect_order(const struct top *top, const char *first, const char *second,
			 const char *third)
{
	assert_int_equal(top->count, 3);
	assert_string_equal(top->region[0]->dev, first);
	assert_string_equal(top->region[1]->dev, second);
	assert_string_equal(top->region[2]->dev, third);
}

static void test_sorting(void **state)
{
	struct top top;

	(void)state;
	top_init(&top, 1000);
	look_at_three(&top, 1);
	expect_order(&top, "region2", "region9", "region10"); /* by name, as long as all are equal */
	look_at_three(&top, 2);
	expect_order(&top, "region10", "region9", "region2");
	assert_string_equal(top_chosen(&top)->dev, "region2"); /* the first choice stays one */
	top_key(&top, 's');
	expect_order(&top, "region9", "region10", "region2");
	top_key(&top, 's');
	expect_order(&top, "region2", "region9", "region10");
	top_key(&top, 's');
	assert_string_equal(top_sort_name(top.sort), "name");
	expect_order(&top, "region2", "region9", "region10");
	top_key(&top, 's');
	expect_order(&top, "region10", "region9", "region2");
	assert_string_equal(top_chosen(&top)->dev, "region2");
	top_clear(&top);
}

static void test_choosing(void **state)
{
	struct top top;

	(void)state;
	top_init(&top, 1000);
	top_key(&top, 'j'); /* nothing to choose from */
	top_key(&top, TOP_KEY_ENTER);
	assert_null(top_chosen(&top));
	assert_false(top.whole);
	look_at_three(&top, 1);
	top_key(&top, TOP_KEY_UP);
	assert_string_equal(top_chosen(&top)->dev, "region2");
	top_key(&top, TOP_KEY_DOWN);
	assert_string_equal(top_chosen(&top)->dev, "region9");
	top_key(&top, 'k');
	assert_string_equal(top_chosen(&top)->dev, "region2");
	top_key(&top, TOP_KEY_END);
	top_key(&top, 'j');
	assert_string_equal(top_chosen(&top)->dev, "region10");
	top_key(&top, TOP_KEY_HOME);
	assert_string_equal(top_chosen(&top)->dev, "region2");
	top_clear(&top);
}

static void test_interval(void **state)
{
	static const unsigned int longer[] = { 500, 1000, 2000, 5000, 10000, 30000, 60000, 60000 };
	struct top top;
	size_t i;

	(void)state;
	top_init(&top, 300);
	for (i = 0; i < ARRAY_SIZE(longer); i++) {
		top_key(&top, '+');
		assert_int_equal(top.interval_ms, longer[i]);
	}
	for (i = 0; i < 20; i++)
		top_key(&top, '-');
	assert_int_equal(top.interval_ms, 100);
	top.interval_ms = 1;
	top_key(&top, '-');
	assert_int_equal(top.interval_ms, 1);
	top.interval_ms = 3000000;
	top_key(&top, '+');
	assert_int_equal(top.interval_ms, 3000000);
	top_key(&top, '-');
	assert_int_equal(top.interval_ms, 60000);
	top_clear(&top);
}

static void test_vanishing(void **state)
{
	_cleanup_frame_ struct frame f = { 0 };
	struct top top;

	(void)state;
	top_init(&top, 1000);
	look_at_three(&top, 1);
	look_at_three(&top, 2); /* region10, region9, region2 */
	top_key(&top, TOP_KEY_HOME);
	top_key(&top, 'j');
	assert_string_equal(top_chosen(&top)->dev, "region9");
	top_begin(&top);
	tell(&top, "region10", 3, 300, 20, 0);
	tell(&top, "region2", 3, 15, 10, 7);
	top_end(&top);
	/* The next one takes its place. */
	assert_string_equal(top_chosen(&top)->dev, "region2");
	assert_string_equal(top.message, "region9: the region path-of-region9 went away");
	top_key(&top, TOP_KEY_ENTER);
	assert_true(top.whole);
	top_begin(&top);
	top_end(&top);
	assert_null(top_chosen(&top));
	assert_false(top.whole);
	draw(&top, &f, 24, 80, true);
	expect_row(&f, 3, "no region is here; one that comes is shown");
	frame_clear(&f);
	/* Back, and counted from 0: nothing of before is left. */
	top_begin(&top);
	tell(&top, "region2", 5, 3, 10, 0);
	top_end(&top);
	assert_string_equal(top_chosen(&top)->dev, "region2");
	assert_null(top_past(top_chosen(&top), 0));
	draw(&top, &f, 24, 80, true);
	expect_row(&f, 3, "region2 active         -         -     0         -         -");
	top_clear(&top);
}

static void test_message_goes(void **state)
{
	unsigned int i;
	struct top top;

	(void)state;
	top_init(&top, 1000);
	top_say(&top, "something");
	for (i = 0; i < 5; i++) {
		look_at_three(&top, i + 1);
		assert_string_equal(top.message, "something");
	}
	look_at_three(&top, 6);
	assert_null(top.message);
	top_clear(&top);
}

static void test_numbers(void **state)
{
	_cleanup_frame_ struct frame f = { 0 };
	struct top top;
	unsigned int s;

	(void)state;
	top_init(&top, 2000);
	for (s = 0; s < 3; s++) {
		top_begin(&top);
		tell(&top, "region0", s, s * s * 1000, 250, s);
		top_region(&top, "other", "region1", NULL, NULL);
		top_end(&top);
	}
	top_key(&top, ' ');
	draw(&top, &f, 24, 80, true);
	expect_row(&f, 0, "pmemctl top  every 2 s, by load  PAUSED"
			  "                                2 regions");
	expect_row(&f, 2, "REGION  STATE      REQ/s    HOST/s QUEUE      MEAN     P99<= "
			  "RATE      LATENCY");
	expect_row(&f, 3, "region0 active   3000.00   3000.00     2    250 us      4 us "
			  "       \u2584\u2588        \u2588\u2588");
	expect_row(&f, 4, "region1 -              -         -     -         -         -");
	assert_int_equal(frame_at(&f, 3, 0)->look, LOOK_REVERSE);
	assert_int_equal(frame_at(&f, 3, 8)->look, LOOK_REVERSE | TONE_GOOD);
	assert_int_equal(frame_at(&f, 4, 0)->look, 0);
	frame_clear(&f);
	draw(&top, &f, 24, 80, false);
	expect_row(&f, 3, "region0 active   3000.00   3000.00     2    250 us      4 us "
			  "       -#        ##");
	frame_clear(&f);
	draw(&top, &f, 24, 70, true); /* room for one */
	expect_row(&f, 2, "REGION  STATE      REQ/s    HOST/s QUEUE      MEAN     P99<= RATE");
	frame_clear(&f);
	draw(&top, &f, 24, 44, true);
	expect_row(&f, 2, "REGION  STATE      REQ/s    HOST/s QUEUE");
	top_clear(&top);
}

static void test_bound_anew(void **state)
{
	struct sample_rates watched;
	struct top top;

	(void)state;
	top_init(&top, 1000);
	top_begin(&top);
	tell(&top, "region0", 1, 1000, 10, 0);
	top_end(&top);
	top_begin(&top);
	tell(&top, "region0", 2, 1100, 10, 0);
	top_end(&top);
	assert_true(top_watched(top_chosen(&top), &watched));
	assert_int_equal(watched.delta.count[2], 100);
	top_begin(&top);
	tell(&top, "region0", 3, 7, 10, 0);
	top_end(&top);
	assert_int_equal(top_past(top_chosen(&top), 0)->rate_milli, 7000);
	top_begin(&top);
	tell(&top, "region0", 4, 2000, 10, 0); /* more than before it was bound anew */
	top_end(&top);
	assert_true(top_watched(top_chosen(&top), &watched));
	assert_int_equal(watched.delta.count[2], 2000);
	top_clear(&top);
}

static void test_past_is_a_ring(void **state)
{
	struct top top;
	unsigned int s;

	(void)state;
	top_init(&top, 1000);
	for (s = 0; s <= 2 * TOP_HISTORY; s++) {
		top_begin(&top);
		tell(&top, "region0", s, s * (s + 1) / 2, 10, 0);
		top_end(&top);
	}
	assert_int_equal(top_past(top_chosen(&top), 0)->rate_milli, 2000 * TOP_HISTORY);
	assert_int_equal(top_past(top_chosen(&top), TOP_HISTORY - 1)->rate_milli,
			 1000 * (TOP_HISTORY + 1));
	assert_null(top_past(top_chosen(&top), TOP_HISTORY));
	top_clear(&top);
}

static struct record *detail(void)
{
	struct record *r = record_new(RECORD_OBJECT), *health, *reasons, *reason, *holders, *holder;

	record_add_string(r, "dev", "region0");
	record_add_string(r, "in_use", "yes");
	health = record_add(r, "health", RECORD_OBJECT);
	record_add_string(health, "health_state", "critical");
	reasons = record_add(health, "reasons", RECORD_ARRAY);
	reason = record_add(reasons, NULL, RECORD_OBJECT);
	record_add_string(reason, "code", "stalled");
	record_add_string(reason, "health_state", "critical");
	record_add_string(reason, "message", "the host does not answer, and a sentence that is "
					     "so long has to go on in the next line");
	record_add_string(reason, "remedy", "look at the host");
	holders = record_add(r, "holders", RECORD_ARRAY);
	holder = record_add(holders, NULL, RECORD_OBJECT);
	record_add_string(holder, "name", "pmem0");
	record_add_string(holder, "kind", "filesystem");
	record_add_string(holder, "path", "/srv/\033[2Jdata");
	holders = record_add(holder, "holders", RECORD_ARRAY);
	holder = record_add(holders, NULL, RECORD_OBJECT);
	record_add_string(holder, "name", "postgres");
	record_add_string(holder, "kind", "process");
	record_add_uint(holder, "pid", 42);
	return r;
}

static void show_detail(struct top *top)
{
	unsigned int s;

	top_init(top, 1000);
	for (s = 1; s < 3; s++) {
		top_begin(top);
		tell(top, "region0", s, s * 10, 10, 0);
		top_end(top);
	}
	top->detail = detail();
}

static void test_pane(void **state)
{
	static const char *const expected[] = {
		"region0: critical",
		"  stalled (critical): the host does not answer, and a sentence that is so",
		"     long has to go on in the next line",
		"     -> look at the host",
		"",
		"Host latency, watched for 1 s",
		"       2 us to 4 us            10 ########################",
		"",
		"In use: yes",
		"  pmem0: filesystem, /srv/\\x1b[2Jdata",
		"    postgres: process, process 42",
	};
	_cleanup_frame_ struct frame f = { 0 };
	struct top top;
	unsigned int i;

	(void)state;
	show_detail(&top);
	draw(&top, &f, 24, 80, false);
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		expect_row(&f, 5 + i, expected[i]);
	assert_int_equal(frame_at(&f, 5, 0)->look, LOOK_BOLD | TONE_BAD);
	assert_int_equal(frame_at(&f, 6, 2)->look, TONE_BAD);
	frame_clear(&f);
	draw(&top, &f, 60, 200, false); /* in two halves */
	expect_row(&f, 8, "     -> look at the host"
			  "                                                                         "
			  "           2 us to 4 us            10 ########################");
	frame_clear(&f);
	draw(&top, &f, 15, 80, false);
	expect_row(&f, 13, "  ... 3 more lines; Enter shows more");
	frame_clear(&f);
	top_key(&top, TOP_KEY_ENTER);
	draw(&top, &f, 15, 80, false);
	expect_row(&f, 2, expected[0]);
	expect_row(&f, 12, expected[10]);
	frame_clear(&f);
	top_key(&top, TOP_KEY_ESCAPE);
	draw(&top, &f, 10, 80, false); /* no room for it */
	assert_int_equal(find_row(&f, "critical"), 10);
	top_clear(&top);
}

static void test_help(void **state)
{
	_cleanup_frame_ struct frame f = { 0 };
	struct top top;

	(void)state;
	show_detail(&top);
	top_key(&top, '?');
	draw(&top, &f, 24, 80, false);
	assert_int_equal(find_row(&f, "sort by load, latency, queue or name"), 6);
	assert_int_equal(find_row(&f, "region0"), 24);
	frame_clear(&f);
	top_key(&top, TOP_KEY_ESCAPE);
	draw(&top, &f, 24, 80, false);
	assert_int_equal(find_row(&f, "region0"), 3);
	assert_false(top.end);
	top_key(&top, 'q');
	assert_true(top.end);
	top_clear(&top);
}

/* Each size there is, up to one that has everything; a sanitizer watches the edges. */
static void test_every_size(void **state)
{
	unsigned int rows, columns, i;
	struct top top;

	(void)state;
	top_init(&top, 1000);
	for (i = 0; i < 2; i++) {
		unsigned int n;

		top_begin(&top);
		for (n = 0; n < 40; n++) {
			_cleanup_free_ char *dev = xasprintf("region%u", n);

			tell(&top, dev, i, n * i, 100, n);
		}
		top_end(&top);
	}
	top_key(&top, TOP_KEY_END);
	top.detail = detail();
	for (rows = 0; rows <= 60; rows++)
		for (columns = 0; columns <= 130; columns += columns < 10 ? 1 : 13) {
			_cleanup_frame_ struct frame f = { 0 };

			draw(&top, &f, rows, columns, rows % 2);
			if (rows >= 5 && columns >= 10)
				assert_true(find_row(&f, top_chosen(&top)->dev) < rows);
		}
	top_clear(&top);
}

static void test_frame(void **state)
{
	_cleanup_frame_ struct frame f = { 0 };

	(void)state;
	frame_init(&f, 4, 10, true);
	/* Wide characters are not cut in half. */
	assert_int_equal(frame_put(&f, 0, 0, 5, 0, "a\u4e2d\u4e2d\u4e2d"), 5);
	expect_row(&f, 0, "a\u4e2d\u4e2d");
	assert_int_equal(frame_put(&f, 1, 7, 100, 0, "\u4e2d\u4e2d"), 2);
	expect_row(&f, 1, "       \u4e2d");
	frame_put(&f, 2, 0, 10, 0, "\033[2J\xff");
	expect_row(&f, 2, "\\x1b[2J\\xf");
	frame_put_right(&f, 3, 0, 10, 0, "\u00e4\u4e2d");
	expect_row(&f, 3, "       \u00e4\u4e2d");
	assert_int_equal(frame_put(&f, 4, 0, 10, 0, "below"), 0);
	assert_int_equal(frame_put(&f, 0, 10, 10, 0, "beside"), 0);
	frame_clear(&f);
	frame_init(&f, 1, 10, false);
	frame_put(&f, 0, 0, 10, 0, "a\u4e2d\u00e4");
	expect_row(&f, 0, "a??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorting),
		cmocka_unit_test(test_choosing),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_vanishing),
		cmocka_unit_test(test_message_goes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bound_anew),
		cmocka_unit_test(test_past_is_a_ring),
		cmocka_unit_test(test_pane),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_frame),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
