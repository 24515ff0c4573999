// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is done through libndctl, which is the real one, on a recorded tree;
 * and through libkmod, which is played here: no module is loaded by a test.
 */
#include "testbed.h"

#include <errno.h>
#include <libkmod.h>
#include <ndctl/libndctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "outside.h"

/* --------------------------------------------------------------- libkmod */

/* How each function of libkmod answers; @modules: how many have the alias. */
static struct {
	bool no_context;
	int lookup, insert, modules;
	unsigned int inserted, released;
} kmod;

static char context, list, module;

struct kmod_ctx *__wrap_kmod_new(const char *dir, const char *const *paths);
struct kmod_ctx *__wrap_kmod_unref(struct kmod_ctx *ctx);
void __wrap_kmod_set_log_fn(struct kmod_ctx *ctx,
			    void (*fn)(void *data, int priority, const char *file, int line,
				       const char *function, const char *format, va_list args),
			    const void *data);
int __wrap_kmod_module_new_from_lookup(struct kmod_ctx *ctx, const char *alias,
				       struct kmod_list **ret);
struct kmod_list *__wrap_kmod_list_next(const struct kmod_list *head,
					const struct kmod_list *at);
struct kmod_module *__wrap_kmod_module_get_module(const struct kmod_list *at);
int __wrap_kmod_module_probe_insert_module(struct kmod_module *mod, unsigned int flags,
					   const char *options, void *run, const void *data,
					   void *print);
struct kmod_module *__wrap_kmod_module_unref(struct kmod_module *mod);
int __wrap_kmod_module_unref_list(struct kmod_list *head);

struct kmod_ctx *__wrap_kmod_new(const char *dir, const char *const *paths)
{
	assert_null(dir);
	assert_null(paths);
	return kmod.no_context ? NULL : (struct kmod_ctx *)&context;
}

struct kmod_ctx *__wrap_kmod_unref(struct kmod_ctx *ctx)
{
	assert_ptr_equal(ctx, &context);
	kmod.released++;
	return NULL;
}

static void say(void (*fn)(void *data, int priority, const char *file, int line,
			   const char *function, const char *format, va_list args),
		const void *data, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fn((void *)(uintptr_t)data, 3, "", 0, "", format, args);
	va_end(args);
}

void __wrap_kmod_set_log_fn(struct kmod_ctx *ctx,
			    void (*fn)(void *data, int priority, const char *file, int line,
				       const char *function, const char *format, va_list args),
			    const void *data)
{
	assert_ptr_equal(ctx, &context);
	say(fn, data, "one line of %s\nand another\n", "kmod's");
}

int __wrap_kmod_module_new_from_lookup(struct kmod_ctx *ctx, const char *alias,
				       struct kmod_list **ret)
{
	assert_ptr_equal(ctx, &context);
	assert_string_equal(alias, "virtio_pmem");
	if (kmod.modules)
		*ret = (struct kmod_list *)&list;
	return kmod.lookup;
}

struct kmod_list *__wrap_kmod_list_next(const struct kmod_list *head,
					const struct kmod_list *at)
{
	assert_ptr_equal(head, at);
	return --kmod.modules > 0 ? (struct kmod_list *)&list : NULL;
}

struct kmod_module *__wrap_kmod_module_get_module(const struct kmod_list *at)
{
	assert_ptr_equal(at, &list);
	return (struct kmod_module *)&module;
}

int __wrap_kmod_module_probe_insert_module(struct kmod_module *mod, unsigned int flags,
					   const char *options, void *run, const void *data,
					   void *print)
{
	assert_ptr_equal(mod, &module);
	assert_int_equal(flags, KMOD_PROBE_APPLY_BLACKLIST);
	assert_true(!options && !run && !data && !print);
	kmod.inserted++;
	return kmod.insert;
}

struct kmod_module *__wrap_kmod_module_unref(struct kmod_module *mod)
{
	assert_ptr_equal(mod, &module);
	return NULL;
}

int __wrap_kmod_module_unref_list(struct kmod_list *head)
{
	assert_true(!head || head == (struct kmod_list *)&list);
	return 0;
}

static void modules_are_loaded_as_modprobe_does(void **state)
{
	static const struct {
		bool no_context;
		int lookup, insert, modules, expected;
		unsigned int inserted;
	} table[] = {
		{ .no_context = true, .expected = -ENOMEM },
		{ .expected = -ENOENT },
		{ .lookup = -EINVAL, .expected = -EINVAL },
		{ .modules = 1, .inserted = 1 },
		{ .modules = 2, .inserted = 2 },
		{ .modules = 2, .insert = -EKEYREJECTED, .expected = -EKEYREJECTED, .inserted = 1 },
		/* On a blacklist. */
		{ .modules = 1, .insert = KMOD_PROBE_APPLY_BLACKLIST, .expected = -EPERM,
		  .inserted = 1 },
	};
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		memset(&kmod, 0, sizeof(kmod));
		kmod.no_context = table[i].no_context;
		kmod.lookup = table[i].lookup;
		kmod.insert = table[i].insert;
		kmod.modules = table[i].modules;
		assert_int_equal(vp_module_load(ctx, "virtio_pmem"), table[i].expected);
		assert_int_equal(kmod.inserted, table[i].inserted);
		assert_int_equal(kmod.released, !table[i].no_context);
	}
	assert_true(testbed_logged(*state, "libkmod: one line of kmod's\n"));
	assert_false(testbed_logged(*state, "and another"));
}

/* -------------------------------------------------------------- libndctl */

static void add_bus_nodes(struct testbed *tb)
{
	unsigned int i;

	for (i = 0; i < 5; i++)
		testbed_add_bus_node(tb, i);
}

static void region_that_is_up_need_not_be_enabled(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region4");

	add_bus_nodes(*state);
	assert_int_equal(vp_ndctl_enable(region), 1);
}

static void region_that_is_down_need_not_be_disabled(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region4");

	add_bus_nodes(*state);
	testbed_remove(*state, "region4/driver");
	assert_int_equal(vp_ndctl_disable(region), 1);
}

/* Nothing listens to what libndctl writes here: the region stays as it is, which is seen. */
static void u1_what_has_not_happened_is_an_error(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region4");

	add_bus_nodes(*state);
	assert_true(vp_ndctl_disable(region) < 0);
	testbed_remove(*state, "region4/driver");
	assert_true(vp_ndctl_enable(region) < 0);
	assert_true(testbed_logged(*state, "libndctl: "));
}

static void region_that_libndctl_does_not_know_is_an_error(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region4");

	/* No node, no bus. */
	assert_int_equal(vp_ndctl_enable(region), -ENXIO);
	assert_int_equal(vp_ndctl_disable(region), -ENXIO);
	testbed_remove_region(*state, "region4");
	assert_int_equal(vp_ndctl_enable(region), -ENODEV);
}

/* ----------------------------------------------------------------- DIMMs */

/* Their ioctl is played here: how it ends, and what is in the answer. */
static struct {
	bool silent;
	int error;
	unsigned int flags, health;
	unsigned int asked, released, contexts;
} smart;

struct ndctl_cmd *__wrap_ndctl_dimm_cmd_new_smart(struct ndctl_dimm *dimm);
int __wrap_ndctl_cmd_submit_xlat(struct ndctl_cmd *cmd);
unsigned int __wrap_ndctl_cmd_smart_get_flags(struct ndctl_cmd *cmd);
unsigned int __wrap_ndctl_cmd_smart_get_health(struct ndctl_cmd *cmd);
void __wrap_ndctl_cmd_unref(struct ndctl_cmd *cmd);
int __real_ndctl_new(struct ndctl_ctx **ret);
int __wrap_ndctl_new(struct ndctl_ctx **ret);

struct ndctl_cmd *__wrap_ndctl_dimm_cmd_new_smart(struct ndctl_dimm *dimm)
{
	assert_non_null(dimm);
	smart.asked++;
	return smart.silent ? NULL : (struct ndctl_cmd *)&smart;
}

int __wrap_ndctl_cmd_submit_xlat(struct ndctl_cmd *cmd)
{
	assert_ptr_equal(cmd, &smart);
	return smart.error;
}

unsigned int __wrap_ndctl_cmd_smart_get_flags(struct ndctl_cmd *cmd)
{
	assert_ptr_equal(cmd, &smart);
	return smart.flags;
}

unsigned int __wrap_ndctl_cmd_smart_get_health(struct ndctl_cmd *cmd)
{
	assert_ptr_equal(cmd, &smart);
	return smart.health;
}

void __wrap_ndctl_cmd_unref(struct ndctl_cmd *cmd)
{
	assert_ptr_equal(cmd, &smart);
	smart.released++;
}

int __wrap_ndctl_new(struct ndctl_ctx **ret)
{
	smart.contexts++;
	return __real_ndctl_new(ret);
}

#define NMEM0	"sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/nmem0"

/* The first reason that is about a DIMM, as "ID:LEVEL"; "none". */
static const char *dimm_reason(struct testbed *tb, char *buffer, size_t size)
{
	struct virtpmem_region *region = testbed_region(tb, "region0");
	struct virtpmem_reason *reason;
	struct virtpmem_health *health;
	const char *found = NULL;

	assert_int_equal(virtpmem_region_get_health(region, NULL, 0, &health), 0);
	virtpmem_reason_foreach(health, reason) {
		if (found || strncmp(virtpmem_reason_get_id(reason), "dimm_", 5) != 0)
			continue;
		snprintf(buffer, size, "%s:%s", virtpmem_reason_get_id(reason),
			 virtpmem_health_level_name(virtpmem_reason_get_level(reason)));
		found = buffer;
	}
	virtpmem_health_unref(health);
	return found ? found : "none";
}

static void dimm_is_asked_for_its_health(void **state)
{
	static const struct {
		bool silent;
		int error;
		unsigned int flags, health;
		const char *expected;
	} table[] = {
		{ .silent = true, .expected = "none" },
		{ .flags = ND_SMART_HEALTH_VALID, .expected = "none" },
		{ .health = ND_SMART_FATAL_HEALTH, .expected = "none" },
		{ .error = 1, .flags = ND_SMART_HEALTH_VALID, .expected = "none" },
		{ .flags = ND_SMART_HEALTH_VALID, .health = ND_SMART_NON_CRITICAL_HEALTH,
		  .expected = "dimm_health:non-critical" },
		{ .flags = ND_SMART_HEALTH_VALID,
		  .health = ND_SMART_NON_CRITICAL_HEALTH | ND_SMART_CRITICAL_HEALTH,
		  .expected = "dimm_health:critical" },
		{ .flags = ND_SMART_HEALTH_VALID, .health = 7, .expected = "dimm_health:fatal" },
		{ .error = -EIO, .expected = "dimm_unknown:unknown" },
	};
	char buffer[64];
	size_t i;

	testbed_add_bus_node(*state, 0);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		const char *reason;

		memset(&smart, 0, sizeof(smart));
		smart.silent = table[i].silent;
		smart.error = table[i].error;
		smart.flags = table[i].flags;
		smart.health = table[i].health;
		reason = dimm_reason(*state, buffer, sizeof(buffer));
		assert_true(smart.asked > 0);
		assert_int_equal(smart.released, table[i].silent ? 0 : smart.asked);
		assert_string_equal(reason, table[i].expected);
	}
}

/* What the platform's firmware says of it. */
static void flags_of_a_dimm_are_read(void **state)
{
	static const char *const words[] = {
		"save_fail", "restore_fail", "flush_fail", "map_fail", "not_armed",
	};
	char buffer[64], line[32];
	size_t i;

	memset(&smart, 0, sizeof(smart));
	smart.silent = true;
	testbed_add_bus_node(*state, 0);
	assert_string_equal(dimm_reason(*state, buffer, sizeof(buffer)), "none");
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(line, sizeof(line), "%s \n", words[i]);
		testbed_write(*state, NMEM0 "/nfit/flags", line);
		if (strcmp(dimm_reason(*state, buffer, sizeof(buffer)), "dimm_failed:critical"))
			fail_msg("%s is not told", words[i]);
	}
	testbed_write(*state, NMEM0 "/nfit/flags", "smart_event \n");
	assert_string_equal(dimm_reason(*state, buffer, sizeof(buffer)),
			    "dimm_event:non-critical");
}

static void dimms_that_libndctl_does_not_find_are_unknown(void **state)
{
	char buffer[64];

	memset(&smart, 0, sizeof(smart));
	assert_string_equal(dimm_reason(*state, buffer, sizeof(buffer)), "dimm_unknown:unknown");
	assert_int_equal(smart.asked, 0);
}

/* All that libndctl reads is read once for all regions. */
static void snapshot_of_the_machine_reads_dimms_once(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	char buffer[64];

	memset(&smart, 0, sizeof(smart));
	smart.silent = true;
	testbed_add_bus_node(*state, 0);
	virtpmem_snapshot_begin(ctx);
	dimm_reason(*state, buffer, sizeof(buffer));
	dimm_reason(*state, buffer, sizeof(buffer));
	assert_int_equal(smart.contexts, 1);
	virtpmem_snapshot_end(ctx);
	dimm_reason(*state, buffer, sizeof(buffer));
	assert_int_equal(smart.contexts, 2);
}

/* That takes hundreds of system calls. */
static void regions_without_dimms_do_not_ask_libndctl(void **state)
{
	char buffer[64];

	memset(&smart, 0, sizeof(smart));
	add_bus_nodes(*state);
	assert_string_equal(dimm_reason(*state, buffer, sizeof(buffer)), "none");
	assert_int_equal(smart.contexts, 0);
}

#define t(fn_)	testbed_test(#fn_, fn_, "virtpmem-6.12")
#define t_nfit(fn_)	testbed_test(#fn_, fn_, "nfit-6.12")

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(modules_are_loaded_as_modprobe_does),
		t(region_that_is_up_need_not_be_enabled),
		t(region_that_is_down_need_not_be_disabled),
		t(u1_what_has_not_happened_is_an_error),
		t(region_that_libndctl_does_not_know_is_an_error),
		t_nfit(dimm_is_asked_for_its_health),
		t_nfit(flags_of_a_dimm_are_read),
		t_nfit(dimms_that_libndctl_does_not_find_are_unknown),
		t_nfit(snapshot_of_the_machine_reads_dimms_once),
		t(regions_without_dimms_do_not_ask_libndctl),
	};

	return cmocka_run_group_tests_name("outside", tests, NULL, NULL);
}
