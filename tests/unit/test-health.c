// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Verdicts. The judges are given facts from a table; what collects the facts
 * is tried on recorded trees.
 */
#include "testbed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guard.h"
#include "health.h"

#define OURS \
	.driver = VIRTPMEM_DRIVER_VIRTPMEM, .type = VIRTPMEM_REGION_PMEM, .abi = 1, \
	.has_state = true, .policy = "latch", .has_stats = true
#define HEALTHY		OURS, .state = VIRTPMEM_STATE_ACTIVE, .method = VIRTPMEM_FLUSH_DEEP
#define BROKEN		OURS, .state = VIRTPMEM_STATE_BROKEN, .method = VIRTPMEM_FLUSH_DEEP
#define IN_TREE		.driver = VIRTPMEM_DRIVER_IN_TREE, .type = VIRTPMEM_REGION_PMEM
#define OTHER		.driver = VIRTPMEM_DRIVER_OTHER, .type = VIRTPMEM_REGION_PMEM

static const struct vp_namespace_facts fsdax = {
	.devname = "namespace0.0", .blockdev = "pmem0", .mode = VIRTPMEM_MODE_FSDAX,
};
static const struct vp_namespace_facts through = {
	.devname = "namespace0.0", .blockdev = "pmem0", .mode = VIRTPMEM_MODE_FSDAX,
	.write_through = true,
};
static const struct vp_namespace_facts sector = {
	.devname = "namespace0.0", .blockdev = "pmem0s", .mode = VIRTPMEM_MODE_SECTOR,
	.write_through = true,
};
static const struct vp_namespace_facts disabled = {
	.devname = "namespace0.0", .mode = VIRTPMEM_MODE_FSDAX, .disabled = true,
};
static const char *const mounts[] = { "/data", "/more" };
static const char *const without_driver[] = { "pci-0000:00:05.0", "virtio3" };

#define BLOCK		"namespace0.0/block/pmem0"
#define NS(ns_)		.namespaces = &(ns_), .namespace_count = 1
#define OTHER_FLUSHED	OTHER, .method = VIRTPMEM_FLUSH_DEEP
#define SILENT		.error = -EOPNOTSUPP
#define DIMMS(...)	.dimms = (const struct vp_dimm_facts[]) { __VA_ARGS__ }, .dimm_count = 2

/* "LEVEL ID:LEVEL ID:LEVEL ..." */
static const struct judgement {
	const char *name;
	struct vp_region_facts facts;
	const char *expected;
} judgements[] = {
	{ "a healthy region is ok", { HEALTHY, NS(fsdax) }, "ok" },
	{ "a host error is fatal", { BROKEN, .broken_reason = "host-error",
				     .failed_host_flushes = 1 }, "fatal broken:fatal" },
	{ "a device that has gone is fatal", { BROKEN, .broken_reason = "gone", .lost = true,
					       .bad_count = 1 }, "fatal broken:fatal" },
	{ "a broken queue is critical", { BROKEN, .broken_reason = "virtqueue" },
	  "critical broken:critical" },
	{ "broken for a reason that is not known", { BROKEN }, "critical broken:critical" },
	{ "broken, and failed before", { BROKEN, .broken_reason = "notify",
					 .failed_host_flushes = 2 },
	  "critical broken:critical host_flush_failed:non-critical" },
	{ "stalled", { HEALTHY, .stalled = true, .in_flight_us = 40000000 },
	  "critical stalled:critical" },
	{ "failed flushes that were latched", { HEALTHY, .failed_host_flushes = 1 },
	  "non-critical host_flush_failed:non-critical" },
	{ "failed flushes that were only reported",
	  { .driver = VIRTPMEM_DRIVER_VIRTPMEM, .has_state = true, .has_stats = true,
	    .state = VIRTPMEM_STATE_ACTIVE, .policy = "report", .failed_host_flushes = 3,
	    .method = VIRTPMEM_FLUSH_DEEP },
	  "critical host_flush_failed:critical" },
	{ "failed flushes that were acknowledged",
	  { HEALTHY, .failed_host_flushes = 2, .last_failure_ns = 7, .acknowledged_ns = 7 }, "ok" },
	{ "one more that failed since then",
	  { HEALTHY, .failed_host_flushes = 3, .last_failure_ns = 8, .acknowledged_ns = 7 },
	  "non-critical host_flush_failed:non-critical" },
	{ "a time of another boot acknowledges nothing",
	  { HEALTHY, .failed_host_flushes = 1, .last_failure_ns = 8, .acknowledged_ns = 9 },
	  "non-critical host_flush_failed:non-critical" },
	{ "failures of an unknown time cannot be acknowledged",
	  { HEALTHY, .failed_host_flushes = 1 }, "non-critical host_flush_failed:non-critical" },
	{ "whether they were acknowledged is not known",
	  { HEALTHY, .failed_host_flushes = 1, .last_failure_ns = 8,
	    .acknowledged_error = -EACCES }, "non-critical host_flush_failed:non-critical" },
	{ "a host error is fatal also if it was acknowledged",
	  { BROKEN, .broken_reason = "host-error", .failed_host_flushes = 1, .last_failure_ns = 8,
	    .acknowledged_ns = 8 }, "fatal broken:fatal" },
	{ "bad ranges", { HEALTHY, .bad_count = 2, .bad_bytes = 8192 },
	  "critical bad_ranges:critical" },
	{ "all of it bad", { HEALTHY, .bad_count = 1, .bad_bytes = 1 << 20, .lost = true },
	  "fatal media_lost:fatal" },
	{ "no way to flush ours", { OURS, .state = VIRTPMEM_STATE_ACTIVE },
	  "critical no_flush_method:critical" },
	{ "no way to flush the in-tree driver's", { IN_TREE },
	  "critical no_flush_method:critical no_statistics:unknown" },
	{ "no way to flush another's", { OTHER },
	  "unknown no_flush_method:unknown not_virtio_pmem:unknown" },
	{ "volatile memory needs none", { .driver = VIRTPMEM_DRIVER_OTHER,
					  .type = VIRTPMEM_REGION_VOLATILE },
	  "unknown not_virtio_pmem:unknown" },
	{ "a method that could not be found out is not missed, but not known",
	  { OTHER, .unread = 1 << VP_UNREAD_METHOD },
	  "unknown incomplete:unknown not_virtio_pmem:unknown" },
	{ "write through", { HEALTHY, NS(through) }, "critical write_through:critical" },
	{ "write through elsewhere is not judged", { OTHER, .method = VIRTPMEM_FLUSH_NOT_NEEDED,
						     NS(through) },
	  "unknown not_virtio_pmem:unknown" },
	{ "mounted without barriers", { HEALTHY, .no_barriers = mounts, .no_barrier_count = 2 },
	  "critical no_barriers:critical no_barriers:critical" },
	{ "sector mode on ours", { OURS, .state = VIRTPMEM_STATE_ACTIVE, NS(sector) }, "ok" },
	{ "sector mode on ours where preemption is not counted",
	  { OURS, .state = VIRTPMEM_STATE_ACTIVE, NS(sector), .no_preempt_count = true },
	  "critical sector_mode_sleeps:critical" },
	{ "sector mode on the in-tree driver", { IN_TREE, NS(sector) },
	  "critical sector_mode_sleeps:critical no_statistics:unknown" },
	{ "quiesced", { OURS, .state = VIRTPMEM_STATE_QUIESCED, .method = VIRTPMEM_FLUSH_DEEP },
	  "non-critical not_active:non-critical" },
	{ "recovering", { OURS, .state = VIRTPMEM_STATE_RECOVERING,
			  .method = VIRTPMEM_FLUSH_DEEP },
	  "non-critical not_active:non-critical" },
	{ "being removed", { OURS, .state = VIRTPMEM_STATE_REMOVING,
			     .method = VIRTPMEM_FLUSH_DEEP },
	  "non-critical not_active:non-critical" },
	{ "frozen by a guard", { HEALTHY, .frozen = true, .guard = 130 },
	  "non-critical frozen:non-critical" },
	{ "frozen by a guard of another PID namespace", { HEALTHY, .frozen = true },
	  "non-critical frozen:non-critical" },
	{ "frozen and quiesced", { OURS, .state = VIRTPMEM_STATE_QUIESCED, .frozen = true,
				   .guard = 130, .method = VIRTPMEM_FLUSH_DEEP },
	  "non-critical not_active:non-critical frozen:non-critical" },
	{ "frozen on the in-tree driver", { IN_TREE, .method = VIRTPMEM_FLUSH_BLOCK,
					    .frozen = true, .guard = 130 },
	  "non-critical frozen:non-critical no_statistics:unknown" },
	{ "slower than the limit", { HEALTHY, .slow_percent_us = 2048, .latency_limit_us = 1000 },
	  "non-critical slow:non-critical" },
	{ "at the limit", { HEALTHY, .slow_percent_us = 1000, .latency_limit_us = 1000 }, "ok" },
	{ "slow without a limit", { HEALTHY, .slow_percent_us = 2048 }, "ok" },
	{ "a region that is disabled", { HEALTHY, .disabled = true },
	  "non-critical region_disabled:non-critical" },
	{ "a namespace that is disabled", { HEALTHY, NS(disabled) },
	  "non-critical namespace_disabled:non-critical" },
	{ "read-only", { HEALTHY, .read_only = true }, "non-critical read_only:non-critical" },
	{ "a newer driver", { .driver = VIRTPMEM_DRIVER_VIRTPMEM, .has_state = true,
			      .state = VIRTPMEM_STATE_ACTIVE, .has_stats = true,
			      .method = VIRTPMEM_FLUSH_DEEP, .abi = VIRTIO_PMEM_ABI + 1 }, "unknown driver_newer:unknown" },
	{ "a state that nobody knows", { OURS, .state = VIRTPMEM_STATE_UNKNOWN,
					 .method = VIRTPMEM_FLUSH_DEEP },
	  "unknown incomplete:unknown" },
	{ "without statistics of ours", { .driver = VIRTPMEM_DRIVER_VIRTPMEM, .has_state = true,
					  .state = VIRTPMEM_STATE_ACTIVE,
					  .method = VIRTPMEM_FLUSH_DEEP },
	  "unknown incomplete:unknown" },
	{ "each thing that could not be read",
	  { HEALTHY, .unread = 1 << VP_UNREAD_STALLED | 1 << VP_UNREAD_BAD },
	  "unknown incomplete:unknown incomplete:unknown" },
	{ "what is known is worse than what is not",
	  { HEALTHY, NS(through), .unread = 1 << VP_UNREAD_BAD },
	  "critical write_through:critical incomplete:unknown" },
	{ "DIMMs that are well", { OTHER_FLUSHED, DIMMS({ .devname = "nmem0" },
						       { SILENT, .devname = "nmem1" }) },
	  "unknown not_virtio_pmem:unknown" },
	{ "a DIMM that says so itself",
	  { OTHER_FLUSHED, DIMMS({ .devname = "nmem0" },
				 { .devname = "nmem1", .level = VIRTPMEM_HEALTH_FATAL }) },
	  "fatal dimm_health:fatal not_virtio_pmem:unknown" },
	{ "a DIMM that failed, and one with an event",
	  { OTHER_FLUSHED, DIMMS({ SILENT, .devname = "nmem0",
				   .failed = 1 << VP_DIMM_SAVE | 1 << VP_DIMM_ARM },
				 { .devname = "nmem1", .event = true }) },
	  "critical dimm_failed:critical dimm_failed:critical dimm_event:non-critical "
	  "not_virtio_pmem:unknown" },
	{ "a DIMM that may not be asked",
	  { OTHER_FLUSHED, DIMMS({ .devname = "nmem0", .error = -EACCES },
				 { .devname = "nmem1" }) },
	  "unknown dimm_unknown:unknown not_virtio_pmem:unknown" },
	{ "DIMMs that libndctl does not find", { OTHER_FLUSHED, .dimm_error = -ENXIO },
	  "unknown dimm_unknown:unknown not_virtio_pmem:unknown" },
	{ "the in-tree driver", { IN_TREE, .method = VIRTPMEM_FLUSH_BLOCK, NS(fsdax) },
	  "unknown no_statistics:unknown" },
};

static const struct {
	const char *name;
	struct vp_system_facts facts;
	const char *expected;
} system_judgements[] = {
	{ "all is well", { .installed = true }, "ok" },
	{ "built in", { .builtin = true }, "non-critical driver_built_in:non-critical" },
	{ "signatures", { .sig_enforce = true }, "non-critical signatures_enforced:non-critical" },
	{ "lockdown", { .lockdown = true }, "non-critical signatures_enforced:non-critical" },
	{ "in-tree bound, and ours not there", { .in_tree_bound = true }, "ok" },
	{ "in-tree bound, though ours is there", { .in_tree_bound = true, .installed = true },
	  "non-critical wrong_driver:non-critical" },
	{ "a device without driver", { .unbound = without_driver, .unbound_count = 1 },
	  "non-critical device_without_driver:non-critical" },
	{ "each device without driver", { .unbound = without_driver, .unbound_count = 2 },
	  "non-critical device_without_driver:non-critical device_without_driver:non-critical" },
	{ "devices that cannot be looked at", { .unbound_error = -EACCES },
	  "unknown devices_unknown:unknown" },
};

/* Also looks whether each reason can be shown. */
static void check(struct virtpmem_health *health, const char *name, const char *expected)
{
	struct virtpmem_reason *reason;
	char text[512];
	int n;

	n = snprintf(text, sizeof(text), "%s",
		     virtpmem_health_level_name(virtpmem_health_get_level(health)));
	virtpmem_reason_foreach(health, reason) {
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s:%s",
			      virtpmem_reason_get_id(reason),
			      virtpmem_health_level_name(virtpmem_reason_get_level(reason)));
		assert_true(strlen(virtpmem_reason_get_text(reason)) > 10);
		assert_true(strlen(virtpmem_reason_get_remedy(reason)) > 10);
	}
	if (strcmp(text, expected) != 0)
		fail_msg("%s: %s, not %s", name, text, expected);
}

static void verdicts_on_regions(void **state)
{
	struct virtpmem_health *health;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(judgements); i++) {
		struct vp_region_facts facts = judgements[i].facts;

		facts.devname = "region0";
		assert_int_equal(vp_judge_region(&facts, &health), 0);
		check(health, judgements[i].name, judgements[i].expected);
		virtpmem_health_unref(health);
	}
}

/* Who has frozen it is named, and how to end that. */
static void words_on_a_frozen_region(void **state)
{
	static const struct {
		pid_t guard;
		const char *text;
	} table[] = {
		{ 130, "process 130 holds the region frozen" },
		{ 0, "a process of another PID namespace holds the region frozen" },
	};
	struct virtpmem_health *health;
	struct virtpmem_reason *reason;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		const struct vp_region_facts facts = {
			HEALTHY, .devname = "region1", .frozen = true, .guard = table[i].guard,
		};

		assert_int_equal(vp_judge_region(&facts, &health), 0);
		reason = virtpmem_reason_get_first(health);
		assert_non_null(strstr(virtpmem_reason_get_text(reason), table[i].text));
		assert_non_null(strstr(virtpmem_reason_get_remedy(reason),
				       "'pmemctl thaw region1'"));
		virtpmem_health_unref(health);
	}
}

static void verdicts_on_machines(void **state)
{
	struct virtpmem_health *health;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(system_judgements); i++) {
		assert_int_equal(vp_judge_system(&system_judgements[i].facts, &health), 0);
		check(health, system_judgements[i].name, system_judgements[i].expected);
		virtpmem_health_unref(health);
	}
}

/* Each is told to be added in a form that virtpmem_add() takes. */
static void remedies_of_devices_without_driver(void **state)
{
	static const char *const remedies[] = {
		"'pmemctl add pci-0000:00:05.0'", "'pmemctl add virtio-virtio3'",
	};
	const struct vp_system_facts facts = { .unbound = without_driver, .unbound_count = 2 };
	struct virtpmem_health *health;
	struct virtpmem_reason *reason;
	size_t i = 0;

	(void)state;
	assert_int_equal(vp_judge_system(&facts, &health), 0);
	virtpmem_reason_foreach(health, reason) {
		assert_non_null(strstr(virtpmem_reason_get_text(reason), without_driver[i]));
		assert_string_equal(virtpmem_reason_get_remedy(reason), remedies[i++]);
	}
	assert_int_equal(i, 2);
	virtpmem_health_unref(health);
}

/* ------------------------------------------------------ facts of a region */

static void check_now(struct virtpmem_region *region, uint64_t limit, const char *expected)
{
	struct virtpmem_health *health;

	assert_int_equal(virtpmem_region_get_health(region, NULL, limit, &health), 0);
	check(health, virtpmem_region_get_devname(region), expected);
	virtpmem_health_unref(health);
}

static void check_region(void **state, const char *name, uint64_t limit, const char *expected)
{
	check_now(testbed_region(*state, name), limit, expected);
}

static void recorded_regions_of_ours(void **state)
{
	check_region(state, "region0", 0, "ok");
	check_region(state, "region3", 0, "ok");
	check_region(state, "region4", 0,
		     "unknown no_flush_method:unknown not_virtio_pmem:unknown");
}

static void recorded_regions_of_the_in_tree_driver(void **state)
{
	check_region(state, "region0", 0, "unknown no_statistics:unknown");
	check_region(state, "region2", 0,
		     "critical no_flush_method:critical no_statistics:unknown");
	check_region(state, "region3", 0,
		     "critical sector_mode_sleeps:critical no_statistics:unknown");
}

/* region3 is in sector mode, on our driver. */
static void sector_mode_is_judged_by_the_kernels_configuration(void **state)
{
	static const struct {
		const char *config, *expected;
	} table[] = {
		{ "CONFIG_PREEMPT_COUNT=y\n", "ok" },
		{ "# CONFIG_PREEMPT_COUNT is not set\n", "critical sector_mode_sleeps:critical" },
		{ "CONFIG_PREEMPT_NONE=y\n", "critical sector_mode_sleeps:critical" },
	};
	char *boot = testbed_path(*state, "boot"), file[128];
	struct utsname name;
	size_t i;

	testbed_ctx(*state)->boot = boot;
	check_region(state, "region3", 0, "ok");
	testbed_mkdir(*state, "boot");
	assert_int_equal(uname(&name), 0);
	snprintf(file, sizeof(file), "config-%s", name.release);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		testbed_write_in(*state, "boot", file, table[i].config);
		check_region(state, "region3", 0, table[i].expected);
		check_region(state, "region0", 0, "ok");
	}
	free(boot);
}

static void facts_are_read_from_the_region(void **state)
{
	static const struct {
		const char *file, *text, *expected;
	} table[] = {
		{ "region0/virtio_pmem/state", "broken\n", "critical broken:critical" },
		{ "region0/virtio_pmem/state", "quiesced\n",
		  "non-critical not_active:non-critical" },
		{ "region0/virtio_pmem/in_flight_us", "31000000\n", "critical stalled:critical" },
		{ "region0/virtio_pmem/in_flight_us", "banana\n", "unknown incomplete:unknown" },
		{ "region0/virtio_pmem/abi", "2\n", "unknown driver_newer:unknown" },
		{ "region0/virtio_pmem/flush_stats", "1 2\n", "unknown incomplete:unknown" },
		{ "region0/read_only", "1\n", "non-critical read_only:non-critical" },
		{ "region0/badblocks", "8 8\n", "critical bad_ranges:critical" },
		{ "region0/badblocks", "0 262144\n", "fatal media_lost:fatal" },
		{ "region0/namespace0.0/block/pmem0/badblocks", "8 8\n",
		  "critical bad_ranges:critical" },
		{ "region0/namespace0.0/block/pmem0/queue/write_cache", "write through\n",
		  "critical write_through:critical" },
	};
	size_t i;

	/* Its age alone is judged where the driver does not say. */
	testbed_write(*state, "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED, "");
	testbed_remove(*state, "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		char *before = testbed_read(*state, table[i].file);

		testbed_write(*state, table[i].file, table[i].text);
		check_region(state, "region0", 0, table[i].expected);
		testbed_write(*state, table[i].file, before);
		free(before);
	}
	testbed_remove(*state, "region0/namespace0.0/block");
	check_region(state, "region0", 0, "non-critical namespace_disabled:non-critical");
}

/* Its lists of bad blocks answer ENXIO then, which is no reason of its own. */
static void region_that_is_disabled(void **state)
{
	testbed_remove(*state, "region0/badblocks");
	check_region(state, "region0", 0, "unknown incomplete:unknown");
	testbed_remove(*state, "region0/driver");
	check_region(state, "region0", 0, "non-critical region_disabled:non-critical");
}

/* Each file alone, in a region that is well otherwise. */
static void u3_what_cannot_be_read_is_not_ok(void **state)
{
	static const struct {
		const char *file, *text, *what;
	} table[] = {
		{ "region0/badblocks", "banana\n", "lists of bad blocks" },
		{ "region0/badblocks", "8", "lists of bad blocks" },
		{ "region0/" BLOCK "/badblocks", "banana\n", "lists of bad blocks" },
		{ "region0/" BLOCK "/queue/write_cache", "banana\n", "drops its flushes" },
		{ "region0/namespace0.0/holder", "banana\n", "is made into" },
		{ "region0/namespace0.0/mode", "banana\n", "is made into" },
		{ "region0/deep_flush", "banana\n", "can be flushed" },
		{ "region0/deep_flush", "", "can be flushed" },
		{ "region0/read_only", "banana\n", "read-only" },
		{ "region0/virtio_pmem/abi", "banana\n", "the driver's interface" },
		{ "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED, "banana\n", "is stalled" },
	};
	struct virtpmem_health *health;
	struct virtpmem_region *region;
	size_t i;

	testbed_write(*state, "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED, "0\n");
	check_region(state, "region0", 0, "ok");
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		char *before = testbed_read(*state, table[i].file);
		const char *text;

		testbed_write(*state, table[i].file, table[i].text);
		region = testbed_region(*state, "region0");
		assert_int_equal(virtpmem_region_get_health(region, NULL, 0, &health), 0);
		check(health, table[i].file, "unknown incomplete:unknown");
		text = virtpmem_reason_get_text(virtpmem_reason_get_first(health));
		if (!strstr(text, table[i].what))
			fail_msg("\"%s\" does not say \"%s\"", text, table[i].what);
		virtpmem_health_unref(health);
		testbed_write(*state, table[i].file, before);
		free(before);
	}
	testbed_remove(*state, "region0/badblocks");
	check_region(state, "region0", 0, "unknown incomplete:unknown");
}

/* Where the kernel has no such file there is nothing to know. */
static void what_is_not_there_is_not_missed(void **state)
{
	testbed_remove(*state, "region0/" BLOCK "/badblocks");
	testbed_remove(*state, "region0/" BLOCK "/queue/write_cache");
	testbed_write(*state, "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED, "0\n");
	testbed_write(*state, "region0/virtio_pmem/in_flight_us", "banana\n");
	check_region(state, "region0", 0, "ok");
	/* In sector mode it is not what decides. */
	testbed_write(*state, "region3/btt3.0/block/pmem3s/queue/write_cache", "banana\n");
	check_region(state, "region3", 0, "ok");
}

/* Where a bad block lies in what is on top needs root, or cannot be told at all. */
static void bad_blocks_that_cannot_be_placed_are_known(void **state)
{
	testbed_write(*state, "region0/badblocks", "8 8\n");
	testbed_write(*state, "region0/" BLOCK "/badblocks", "16 8\n");
	testbed_mkdir(*state, "region0/" BLOCK "/holders");
	testbed_mkdir(*state, "region0/" BLOCK "/holders/dm-7");
	check_region(state, "region0", 0, "critical bad_ranges:critical");
	testbed_chmod(*state, "region0/resource", 0);
	testbed_drop_root();
	check_region(state, "region0", 0, "critical bad_ranges:critical");
	testbed_regain_root();
}

/* As the event of a monitor gives it: nobody scans, and its own list stays. */
static void namespaces_are_read_at_the_call(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");

	assert_non_null(virtpmem_namespace_get_first(region));
	check_now(region, 0, "ok");
	testbed_remove(*state, "region0/namespace0.0/block");
	check_now(region, 0, "non-critical namespace_disabled:non-critical");
	/* Nor does a snapshot that begins later take it for what is so now. */
	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	check_now(region, 0, "non-critical namespace_disabled:non-critical");
	virtpmem_region_snapshot_end(region);
	assert_non_null(virtpmem_namespace_get_blockdev(virtpmem_namespace_get_first(region)));
}

/* So is the way to flush, where it goes through a block device. */
static void method_is_by_the_namespaces_at_the_call(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");

	assert_non_null(virtpmem_namespace_get_first(region));
	testbed_remove(*state, "region0/namespace0.0/block");
	assert_int_equal(virtpmem_region_snapshot_begin(region), 0);
	check_now(region, 0, "critical no_flush_method:critical namespace_disabled:non-critical "
		  "no_statistics:unknown");
}

static void what_the_driver_says_of_stalling_counts(void **state)
{
	testbed_write(*state, "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED, "0\n");
	testbed_write(*state, "region0/virtio_pmem/in_flight_us", "31000000\n");
	check_region(state, "region0", 0, "ok");
	testbed_write(*state, "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED, "1\n");
	check_region(state, "region0", 0, "critical stalled:critical");
	testbed_write(*state, "region0/virtio_pmem/" VIRTIO_PMEM_ATTR_STALLED, "banana\n");
	check_region(state, "region0", 0, "critical stalled:critical incomplete:unknown");
}

/* region0 broke, region1 is stalled, region2 quiesced; region3 is in order. */
static void recorded_troubles(void **state)
{
	check_region(state, "region0", 0, "fatal broken:fatal");
	check_region(state, "region1", 0, "critical stalled:critical");
	check_region(state, "region2", 0, "non-critical not_active:non-critical");
	check_region(state, "region3", 0, "ok");
}

/* 98 fast ones, and two of at least 1 << 12 us. */
static void slowest_percent_is_judged(void **state)
{
	char line[256] = "98";
	unsigned int i;

	for (i = 1; i < VIRTIO_PMEM_LATENCY_BINS; i++)
		strcat(line, i == 13 ? " 2" : " 0");
	strcat(line, "\n");
	testbed_write(*state, "region0/virtio_pmem/flush_latency", line);
	check_region(state, "region0", 4095, "non-critical slow:non-critical");
	check_region(state, "region0", 4096, "ok");
	check_region(state, "region0", 0, "ok");
	memcpy(line, "99", 2);
	strstr(line, " 2")[1] = '1';
	testbed_write(*state, "region0/virtio_pmem/flush_latency", line);
	check_region(state, "region0", 1, "ok");
	testbed_write(*state, "region0/virtio_pmem/flush_latency", "banana\n");
	check_region(state, "region0", 1, "unknown incomplete:unknown");
	check_region(state, "region0", 0, "ok");
}

static void mounts_without_barriers_are_found_among_the_holders(void **state)
{
	struct virtpmem_region *region;
	struct virtpmem_holders *holders;
	struct virtpmem_health *health;
	char *proc = testbed_path(*state, "proc");

	testbed_add_proc(*state);
	testbed_set_mounts(*state, "9 1 259:0 / /data rw - ext4 /dev/pmem0 rw,nobarrier\n");
	testbed_ctx(*state)->proc = proc;
	region = testbed_region(*state, "region0");
	assert_int_equal(virtpmem_region_get_holders(region, 0, &holders), 0);
	assert_int_equal(virtpmem_region_get_health(region, holders, 0, &health), 0);
	check(health, "nobarrier", "critical no_barriers:critical no_statistics:unknown");
	assert_non_null(strstr(virtpmem_reason_get_text(virtpmem_reason_get_first(health)),
			       "/data"));
	assert_ptr_equal(virtpmem_health_ref(health), health);
	virtpmem_health_unref(health);
	virtpmem_health_unref(health);
	assert_null(virtpmem_health_unref(NULL));
	virtpmem_holders_unref(holders);
	free(proc);
}

/* The real one, which freezes nothing here; that of another region is not this one's. */
static void guard_is_found_at_the_node_of_the_bus(void **state)
{
	struct vp_guard_task task = { .quiesce = -1, .timeout_ms = 60000 };
	char *node = testbed_path(*state, "dev/ndctl0");
	struct vp_guard guard;

	testbed_add_bus_node(*state, 0);
	task.node = open(node, O_RDWR | O_CLOEXEC);
	task.fds = &task.node;
	for (task.id = 0; task.id < 2; task.id++) {
		assert_int_equal(vp_guard_start(testbed_ctx(*state), &task, &guard), 0);
		check_region(state, "region0", 0,
			     task.id ? "ok" : "non-critical frozen:non-critical");
		assert_int_equal(vp_guard_end(&guard), 0);
		close(guard.fd);
		check_region(state, "region0", 0, "ok");
	}
	close(task.node);
	free(node);
}

/* That it cannot be looked for is no reason, and no error. */
static void without_rights_no_guard_is_found(void **state)
{
	testbed_add_bus_node(*state, 0);
	testbed_chmod(*state, "dev/ndctl0", 0);
	testbed_drop_root();
	check_region(state, "region0", 0, "ok");
	testbed_regain_root();
	assert_true(testbed_logged(*state, "/dev/ndctl0: Permission denied"));
}

static void region_that_has_gone_is_enodev(void **state)
{
	struct virtpmem_region *region = testbed_region(*state, "region0");
	struct virtpmem_health *health = NULL;

	testbed_remove_region(*state, "region0");
	assert_int_equal(virtpmem_region_get_health(region, NULL, 0, &health), -ENODEV);
	assert_null(health);
}

/* ----------------------------------------------------- facts of a machine */

static void facts_are_read_from_the_machine(void **state)
{
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	char *modules = testbed_path(*state, "modules");
	struct virtpmem_health *health;
	struct utsname name;

	ctx->modules = modules;
	assert_int_equal(uname(&name), 0);
	testbed_mkdir(*state, "modules");
	testbed_mkdir_in(*state, "modules", name.release);
	assert_true(virtpmem_scan(ctx) > 0);
	assert_int_equal(virtpmem_get_system_health(ctx, &health), 0);
	check(health, "nothing is known", "ok");
	virtpmem_health_unref(health);

	strcat(name.release, "/modules.dep");
	testbed_write_in(*state, "modules", name.release,
			 "updates/dkms/virtio_pmem.ko: kernel/drivers/nvdimm/libnvdimm.ko\n");
	*strrchr(name.release, '/') = '\0';
	strcat(name.release, "/modules.builtin");
	testbed_write_in(*state, "modules", name.release,
			 "kernel/fs/ext4.ko\nkernel/drivers/nvdimm/virtio_pmem.ko\n");
	testbed_mkdir(*state, "sys/module/module");
	testbed_mkdir(*state, "sys/module/module/parameters");
	testbed_write(*state, "sys/module/module/parameters/sig_enforce", "Y\n");
	assert_int_equal(virtpmem_get_system_health(ctx, &health), 0);
	check(health, "everything is wrong", "non-critical driver_built_in:non-critical "
	      "signatures_enforced:non-critical wrong_driver:non-critical");
	virtpmem_health_unref(health);
	free(modules);
}

static void names_of_levels(void **state)
{
	(void)state;
	assert_string_equal(virtpmem_health_level_name((enum virtpmem_health_level)99), "unknown");
}

/* What the kernel of this machine was configured with is nothing to the recordings. */
static int setup(void **state)
{
	testbed_setup(state);
	testbed_ctx(*state)->boot = "/nonexistent";
	return 0;
}

#define t(fn_, fixture_) \
	{ \
		.name = #fn_, .test_func = (fn_), .setup_func = setup, \
		.teardown_func = testbed_teardown, .initial_state = (void *)(uintptr_t)(fixture_), \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_on_regions),
		cmocka_unit_test(words_on_a_frozen_region),
		cmocka_unit_test(verdicts_on_machines),
		cmocka_unit_test(remedies_of_devices_without_driver),
		t(recorded_regions_of_ours, "virtpmem-6.12"),
		t(recorded_regions_of_the_in_tree_driver, "in-tree-6.12"),
		t(recorded_troubles, "troubles-6.1"),
		t(recorded_troubles, "troubles-6.12"),
		t(sector_mode_is_judged_by_the_kernels_configuration, "virtpmem-6.12"),
		t(facts_are_read_from_the_region, "virtpmem-6.12"),
		t(region_that_is_disabled, "virtpmem-6.12"),
		t(u3_what_cannot_be_read_is_not_ok, "virtpmem-6.12"),
		t(what_is_not_there_is_not_missed, "virtpmem-6.12"),
		t(bad_blocks_that_cannot_be_placed_are_known, "virtpmem-6.12"),
		t(namespaces_are_read_at_the_call, "virtpmem-6.12"),
		t(method_is_by_the_namespaces_at_the_call, "in-tree-6.12"),
		t(what_the_driver_says_of_stalling_counts, "virtpmem-6.12"),
		t(slowest_percent_is_judged, "virtpmem-6.12"),
		t(mounts_without_barriers_are_found_among_the_holders, "in-tree-6.12"),
		t(guard_is_found_at_the_node_of_the_bus, "virtpmem-6.12"),
		t(without_rights_no_guard_is_found, "virtpmem-6.12"),
		t(region_that_has_gone_is_enodev, "virtpmem-6.12"),
		t(facts_are_read_from_the_machine, "in-tree-6.12"),
		cmocka_unit_test(names_of_levels),
	};

	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
