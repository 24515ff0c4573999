// SPDX-License-Identifier: GPL-2.0-or-later
/* U3: strict parsing of numbers and device names. */
#include "testbed.h"

#include <sys/sysmacros.h>

#include "private.h"

#define UNTOUCHED	UINT64_C(0xa5a5a5a5a5a5a5a5)

static void decimal_takes_digits_only(void **state)
{
	static const char *const bad[] = {
		"", " ", "-1", "+1", " 1", "1 ", "1\n", "0x10", "1.5", "1e3", "abc", "1a",
		"18446744073709551616", "99999999999999999999999",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t value = UNTOUCHED;

		if (vp_parse_u64(bad[i], &value))
			fail_msg("\"%s\" was taken as %ju", bad[i], (uintmax_t)value);
		assert_int_equal(value, UNTOUCHED);
	}
}

static void decimal_reaches_from_0_to_the_highest(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(vp_parse_u64("0", &value));
	assert_int_equal(value, 0);
	assert_true(vp_parse_u64("18446744073709551615", &value));
	assert_true(value == UINT64_MAX);
}

static void hexadecimal_needs_its_prefix(void **state)
{
	static const char *const bad[] = {
		"", "0x", "10", "x10", "0X10", "0x1g", "-0x1", "0x10000000000000000", "0x 1",
	};
	uint64_t value = UNTOUCHED;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (vp_parse_hex(bad[i], &value))
			fail_msg("\"%s\" was taken as %ju", bad[i], (uintmax_t)value);
	assert_int_equal(value, UNTOUCHED);
	assert_true(vp_parse_hex("0x100000000", &value));
	assert_int_equal(value, 0x100000000);
	assert_true(vp_parse_hex("0xffffffffffffffff", &value));
	assert_true(value == UINT64_MAX);
}

static void device_number_has_one_spelling(void **state)
{
	static const char *const bad[] = {
		"region", "region01", "region-1", "region1 ", "region4294967296", "Region1",
		"regions1", "region1.0", "",
	};
	unsigned int id = 77;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (vp_parse_id(bad[i], "region", &id))
			fail_msg("\"%s\" was taken as %u", bad[i], id);
	assert_int_equal(id, 77);
	assert_true(vp_parse_id("region0", "region", &id));
	assert_int_equal(id, 0);
	assert_true(vp_parse_id("region4294967295", "region", &id));
	assert_int_equal(id, UINT32_MAX);
}

static void device_number_pair_has_one_spelling(void **state)
{
	static const char *const bad[] = {
		"namespace0", "namespace0.", "namespace.0", "namespace00.0", "namespace0.00",
		"namespace0.0.0", "namespace0.-1", "dax0.0", "namespace0.4294967296", "",
	};
	unsigned int major = 7, minor = 8;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (vp_parse_id_pair(bad[i], "namespace", &major, &minor))
			fail_msg("\"%s\" was taken as %u and %u", bad[i], major, minor);
	assert_int_equal(major, 7);
	assert_int_equal(minor, 8);
	assert_true(vp_parse_id_pair("namespace12.30", "namespace", &major, &minor));
	assert_int_equal(major, 12);
	assert_int_equal(minor, 30);
}

static void device_node_number_is_two_numbers(void **state)
{
	static const char *const bad[] = {
		"259", "259:", ":0", "259:0:0", "259:0 ", "259:-1", "259 0", "4294967296:0",
		"0:4294967296", "0x3:1", "",
	};
	dev_t devno = 7;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (vp_parse_devno(bad[i], &devno))
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(devno, 7);
	assert_true(vp_parse_devno("259:12", &devno));
	assert_int_equal(devno, makedev(259, 12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimal_takes_digits_only),
		cmocka_unit_test(decimal_reaches_from_0_to_the_highest),
		cmocka_unit_test(hexadecimal_needs_its_prefix),
		cmocka_unit_test(device_number_has_one_spelling),
		cmocka_unit_test(device_number_pair_has_one_spelling),
		cmocka_unit_test(device_node_number_is_two_numbers),
	};

	return cmocka_run_group_tests_name("U3 parse", tests, NULL, NULL);
}
