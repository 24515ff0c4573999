// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The parts of pmemctl whose edges the golden tests cannot reach: numbers for
 * people, parsing of seconds, what is printable, suggestions, latencies, what the
 * errno of a file means, and how a file is replaced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "error.h"
#include "latencies.h"
#include "new-file.h"
#include "output.h"
#include "pmemctl.h"
#include "suggest.h"
#include "units.h"
#include "util.h"

/* What the files under test need of those that are not. */
const struct command commands[] = { { .name = NULL } };
const struct output_ops output_text = { .region = NULL };

const struct command *command_find(const char *name)
{
	(void)name;
	return NULL;
}

static void expect(char *text, const char *expected)
{
	assert_string_equal(text, expected);
	free(text);
}

static void test_human_size(void **state)
{
	(void)state;
	expect(human_size(0), "0 bytes");
	expect(human_size(1023), "1023 bytes");
	expect(human_size(1024), "1 KiB");
	expect(human_size(1536), "1.5 KiB");
	expect(human_size(1048575), "1023.99 KiB");
	expect(human_size(134217728), "128 MiB");
	expect(human_size(133005312), "126.84 MiB");
	expect(human_size(UINT64_C(1) << 60), "1 EiB");
	expect(human_size(UINT64_MAX), "15.99 EiB");
}

static void test_human_size_ndctl(void **state)
{
	(void)state;
	expect(human_size_ndctl(134217728), "128.00 MiB (134.22 MB)");
	expect(human_size_ndctl(1024), "1.00 KiB (1.02 KB)");
	expect(human_size_ndctl(UINT64_C(3) << 40), "3.00 TiB (3.30 TB)");
}

static void test_human_time(void **state)
{
	(void)state;
	expect(human_time(0), "0 ns");
	expect(human_time(999), "999 ns");
	expect(human_time(1000), "1 us");
	expect(human_time(999999), "999 us");
	expect(human_time(1000000), "1 ms");
	expect(human_time(1210000), "1.21 ms");
	expect(human_time(999999999), "999.99 ms");
	expect(human_time(UINT64_C(59999999999)), "59.99 s");
	expect(human_time(UINT64_C(60000000000)), "1 min 0 s");
	expect(human_time(UINT64_C(3600000000000)), "1 h 0 min");
	expect(human_time(UINT64_C(90000000000000)), "1 d 1 h");
	expect(human_time(UINT64_MAX), "213503 d 23 h");
}

static void test_seconds(void **state)
{
	static const struct {
		const char *text;
		unsigned int ms; /* 0: refused */
	} cases[] = {
		{ "1", 1000 },	  { "0.001", 1 },	{ "0.25", 250 },	  { "0.5", 500 },
		{ "5.0", 5000 },  { "4294967", 4294967000 }, { "4294967.295", UINT32_MAX },
		{ "4294967.296", 0 }, { "4294968", 0 },	{ "99999999999999999999", 0 },
		{ "0", 0 },	  { "0.000", 0 },	{ "", 0 },		  { ".", 0 },
		{ ".5", 0 },	  { "5.", 0 },		{ "1.2345", 0 },	  { "1.2.3", 0 },
		{ "-1", 0 },	  { "+1", 0 },		{ " 1", 0 },		  { "1 ", 0 },
		{ "1e3", 0 },	  { "0x10", 0 },	{ "inf", 0 },		  { "1,5", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int ms = 0;
		bool taken = option_parse_seconds(cases[i].text, &ms);

		if (taken != !!cases[i].ms || ms != cases[i].ms)
			fail_msg("'%s' was %s, %u ms", cases[i].text,
				 taken ? "taken" : "refused", ms);
	}
}

static void test_utf8(void **state)
{
	(void)state;
	assert_int_equal(utf8_length("a"), 1);
	assert_int_equal(utf8_length("\xc3\xa4"), 2);
	assert_int_equal(utf8_length("\xe2\x82\xac"), 3);
	assert_int_equal(utf8_length("\xf0\x9f\x98\x80"), 4);
	assert_int_equal(utf8_length("\x80"), 0);
	assert_int_equal(utf8_length("\xc0\x80"), 0);	       /* overlong */
	assert_int_equal(utf8_length("\xe0\x80\x80"), 0);      /* overlong */
	assert_int_equal(utf8_length("\xed\xa0\x80"), 0);      /* surrogate */
	assert_int_equal(utf8_length("\xf4\x90\x80\x80"), 0); /* beyond U+10FFFF */
	assert_int_equal(utf8_length("\xf5\x80\x80\x80"), 0);
	assert_int_equal(utf8_length("\xe2\x82"), 0); /* cut off */
	assert_int_equal(utf8_length("\xc3"), 0);
}

static void test_printable(void **state)
{
	(void)state;
	expect(printable("region0 \xc3\xa4", false), "region0 \xc3\xa4");
	expect(printable("\x1b[2J\r\n\x7f", false), "\\x1b[2J\\x0d\\x0a\\x7f");
	expect(printable("\xc2\x9b" "2J", false), "\\xc2\\x9b" "2J");
	expect(printable("\xff", false), "\\xff");
	expect(printable("", false), "");
}

static void test_suggest(void **state)
{
	static const char *const words[] = { "list", "status", "flush", "version", "help" };
	static const struct {
		const char *typed, *suggested;
	} cases[] = {
		{ "lst", "list" },    { "lsit", "list" },	{ "staus", "status" },
		{ "flash", "flush" }, { "versoin", "version" }, { "hepl", "help" },
		{ "xyzzy", NULL },    { "", NULL },
		{ "a-word-that-is-far-longer-than-anything-that-could-be-meant-by-it", NULL },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct suggestion s;

		suggest_start(&s, cases[i].typed);
		for (j = 0; j < ARRAY_SIZE(words); j++)
			suggest_consider(&s, words[j]);
		if (cases[i].suggested)
			assert_string_equal(s.best, cases[i].suggested);
		else
			assert_null(s.best);
	}
}

/* The unit is part of the name, and nothing else decides it. */
static void test_units(void **state)
{
	static const struct {
		const char *name;
		enum record_unit unit;
	} cases[] = {
		{ "size", UNIT_BYTES },	     { "available_size", UNIT_BYTES },
		{ "latency_ns", UNIT_NS },   { "in_flight_us", UNIT_US },
		{ "requests", UNIT_NONE },   { "resource", UNIT_NONE },
		{ "numa_node", UNIT_NONE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_record_ struct record *r = record_new(RECORD_OBJECT);

		record_add_uint(r, cases[i].name, 1);
		assert_int_equal(record_unit(r->child), cases[i].unit);
	}
}

static void test_record_get(void **state)
{
	_cleanup_record_ struct record *r = record_new(RECORD_OBJECT);
	struct record *flush = record_add(r, "flush", RECORD_OBJECT);

	(void)state;
	record_add_uint(flush, "requests", 7);
	assert_int_equal(record_get(r, "flush.requests")->uint, 7);
	assert_ptr_equal(record_get(r, ""), r);
	assert_null(record_get(r, "flush.request"));
	assert_null(record_get(r, "flush.requests.x"));
	assert_null(record_get(r, "x.requests"));
}

/* Never too low, and no more than 2 % too high: 1, 2, ... 99 % of so many latencies. */
static void test_percentiles(void **state)
{
	static const uint64_t steps[] = { 1, 7, 1000, 123457, UINT64_C(1) << 40 };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		struct latencies l = { 0 };
		unsigned int n;

		for (n = 100; n; n--)
			latencies_add(&l, n * steps[i]);
		for (n = 1; n <= 100; n++) {
			uint64_t p = latencies_percentile(&l, n);

			assert_true(p >= n * steps[i] && p <= n * steps[i] * 102 / 100 + 1);
		}
		assert_int_equal(l.min_ns, steps[i]);
		assert_int_equal(l.max_ns, 100 * steps[i]);
		assert_int_equal(latencies_mean(&l), 101 * steps[i] / 2);
	}
}

static void test_latencies_of_several(void **state)
{
	struct latencies all = { 0 }, one = { 0 }, none = { 0 };

	(void)state;
	assert_int_equal(latencies_percentile(&none, 99), 0);
	assert_int_equal(latencies_mean(&none), 0);
	latencies_add(&one, UINT64_MAX);
	latencies_add(&one, 0);
	latencies_merge(&all, &one);
	latencies_merge(&all, &none);
	assert_int_equal(all.count, 2);
	assert_int_equal(all.min_ns, 0);
	assert_int_equal(latencies_percentile(&all, 50), 0);
	assert_int_equal(latencies_percentile(&all, 99), UINT64_MAX);
}

static void test_rights_to_a_file(void **state)
{
	static const int rights[] = { EACCES, EPERM, EROFS };
	/* Some mean something of a region, which a file of the user's is not. */
	static const int others[] = { ENOENT, EISDIR, ENOSPC, EFBIG, EBUSY, EIO, EINVAL, ENXIO };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rights); i++)
		assert_int_equal(error_of_file(-rights[i]), ERROR_PERMISSION);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(error_of_file(-others[i]), ERROR_FAILED);
}

/* ---------------------------------------------------------- a new file */

/* Of new_file_end(), while it has a new file: what signals came until then. */
static volatile sig_atomic_t signals, signals_then;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

int rename(const char *from, const char *to)
{
	raise(SIGTERM);
	signals_then = signals;
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* A directory with a file that is to be replaced by 6,000 characters. */
struct place {
	char dir[32], *path;
	struct output out;
	struct new_file file;
};

static void put(int fd, const char *text, size_t times)
{
	while (times--)
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

/* How many names are in it. */
static unsigned int names(const struct place *place)
{
	DIR *dir = opendir(place->dir);
	const struct dirent *entry;
	unsigned int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += *entry->d_name != '.';
	closedir(dir);
	return count;
}

static off_t size_of(const struct place *place)
{
	struct stat st;

	assert_int_equal(stat(place->path, &st), 0);
	return st.st_size;
}

static int place_set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	const struct sigaction action = { .sa_handler = on_signal };

	if (!place)
		return -1;
	*state = place;
	signals = 0;
	signals_then = -1;
	sigaction(SIGTERM, &action, NULL);
	signal(SIGXFSZ, SIG_IGN);
	strcpy(place->dir, "/tmp/pmemctl-test.XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	place->path = xasprintf("%s/file", place->dir);
	put(open(place->path, O_CREAT | O_WRONLY, 0600), "old\n", 1);
	output_init(&place->out, &output_text, false);
	put(new_file_open(&place->out, place->path, &place->file), "new 12", 1000);
	/* There is nothing that could stay behind. */
	assert_int_equal(names(place), 1);
	assert_int_equal(size_of(place), 4);
	return 0;
}

static int place_tear_down(void **state)
{
	struct place *place = *state;

	assert_int_equal(names(place), 1);
	if (unlink(place->path))
		rmdir(place->path);
	rmdir(place->dir);
	record_free(place->out.top);
	record_free(place->out.regions);
	record_free(place->out.errors);
	free(place->path);
	free(place);
	signal(SIGTERM, SIG_DFL);
	return 0;
}

static void test_whole_file_takes_its_place(void **state)
{
	struct place *place = *state;

	assert_int_equal(new_file_end(&place->file, true), 0);
	assert_int_equal(size_of(place), 6000);
}

static void test_part_of_a_file_is_forgotten(void **state)
{
	struct place *place = *state;

	assert_int_equal(new_file_end(&place->file, false), 0);
	assert_int_equal(size_of(place), 4);
}

static void test_signal_comes_after_the_file(void **state)
{
	struct place *place = *state;

	assert_int_equal(new_file_end(&place->file, true), 0);
	assert_int_equal(signals_then, 0);
	assert_int_equal(signals, 1);
}

static void test_file_that_cannot_be_written(void **state)
{
	const struct rlimit small = { 5000, RLIM_INFINITY };
	struct place *place = *state;
	struct rlimit before;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(new_file_end(&place->file, true), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(size_of(place), 4);
	assert_int_equal(signals_then, -1);
}

static void test_file_that_cannot_take_its_place(void **state)
{
	struct place *place = *state;

	assert_int_equal(unlink(place->path), 0);
	assert_int_equal(mkdir(place->path, 0700), 0);
	assert_int_equal(new_file_end(&place->file, true), -EISDIR);
}

#define in_place(fn) cmocka_unit_test_setup_teardown(fn, place_set_up, place_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_human_size),
		cmocka_unit_test(test_human_size_ndctl),
		cmocka_unit_test(test_human_time),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_record_get),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_latencies_of_several),
		cmocka_unit_test(test_rights_to_a_file),
		in_place(test_whole_file_takes_its_place),
		in_place(test_part_of_a_file_is_forgotten),
		in_place(test_signal_comes_after_the_file),
		in_place(test_file_that_cannot_be_written),
		in_place(test_file_that_cannot_take_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
