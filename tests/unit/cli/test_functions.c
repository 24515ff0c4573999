// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The parts of pmemctl whose edges the golden tests cannot reach: numbers for
 * people, parsing of seconds, what is printable, suggestions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
