// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel's configuration, laid out in a /boot of the test's own, says of an option. */
#include "testbed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "private.h"

static char *boot, file[sizeof(((struct utsname *)0)->release) + 8];

static int setup(void **state)
{
	struct utsname name;

	testbed_setup(state);
	testbed_mkdir(*state, "boot");
	boot = testbed_path(*state, "boot");
	testbed_ctx(*state)->boot = boot;
	assert_int_equal(uname(&name), 0);
	snprintf(file, sizeof(file), "config-%s", name.release);
	return 0;
}

static int teardown(void **state)
{
	free(boot);
	return testbed_teardown(state);
}

static int option(void **state, const char *name)
{
	return vp_kernel_config(testbed_ctx(*state), name);
}

static void option_is_on_as_built_in_or_module(void **state)
{
	testbed_write_in(*state, "boot", file, "#\nCONFIG_B=y\nCONFIG_A=y\nCONFIG_M=m\n");
	assert_int_equal(option(state, "CONFIG_A"), 1);
	assert_int_equal(option(state, "CONFIG_M"), 1);
}

static void anything_else_is_off(void **state)
{
	testbed_write_in(*state, "boot", file, "CONFIG_AB=y\n# CONFIG_A is not set\nCONFIG_N=n\n"
			 "CONFIG_S=\"y\"\nCONFIG_E=\n");
	assert_int_equal(option(state, "CONFIG_A"), 0);
	assert_int_equal(option(state, "CONFIG_N"), 0);
	assert_int_equal(option(state, "CONFIG_S"), 0);
	assert_int_equal(option(state, "CONFIG_E"), 0);
	assert_int_equal(option(state, "CONFIG_X"), 0);
}

static void last_line_need_not_end(void **state)
{
	testbed_write_in(*state, "boot", file, "CONFIG_B=y\nCONFIG_A=m");
	assert_int_equal(option(state, "CONFIG_A"), 1);
}

static void configuration_that_is_not_there_is_not_known(void **state)
{
	assert_int_equal(option(state, "CONFIG_A"), -ENOENT);
	/* Nor is what cannot be read. */
	testbed_mkdir_in(*state, "boot", file);
	assert_int_equal(option(state, "CONFIG_A"), -ENOENT);
}

static void snapshot_of_the_machine_reads_an_option_once(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);

	testbed_write_in(*state, "boot", file, "CONFIG_A=y\n");
	virtpmem_snapshot_begin(ctx);
	assert_int_equal(option(state, "CONFIG_B"), 0);
	assert_int_equal(option(state, "CONFIG_A"), 1);
	testbed_write_in(*state, "boot", file, "CONFIG_B=y\nCONFIG_C=y\n");
	assert_int_equal(option(state, "CONFIG_A"), 1);
	assert_int_equal(option(state, "CONFIG_B"), 0);
	assert_int_equal(option(state, "CONFIG_C"), 1);
	virtpmem_snapshot_end(ctx);
	assert_int_equal(option(state, "CONFIG_A"), 0);
	assert_int_equal(option(state, "CONFIG_B"), 1);
}

/* More than are kept are read as often as they are asked for. */
static void snapshot_of_many_options_is_right_all_the_same(void **state)
{
	static const char *const names[] = {
		"CONFIG_A", "CONFIG_B", "CONFIG_C", "CONFIG_D", "CONFIG_E", "CONFIG_F",
	};
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	size_t i;

	testbed_write_in(*state, "boot", file, "CONFIG_B=y\nCONFIG_E=m\nCONFIG_F=y\n");
	virtpmem_snapshot_begin(ctx);
	for (i = 0; i < 2 * ARRAY_SIZE(names); i++) {
		const char *name = names[i % ARRAY_SIZE(names)];

		assert_int_equal(option(state, name), strchr("BEF", name[7]) != NULL);
	}
	virtpmem_snapshot_end(ctx);
}

#define t(fn_) \
	{ \
		.name = #fn_, .test_func = (fn_), .setup_func = setup, \
		.teardown_func = teardown, \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(option_is_on_as_built_in_or_module),
		t(anything_else_is_off),
		t(last_line_need_not_end),
		t(configuration_that_is_not_there_is_not_known),
		t(snapshot_of_the_machine_reads_an_option_once),
		t(snapshot_of_many_options_is_right_all_the_same),
	};

	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
