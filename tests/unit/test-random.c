// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * U3: random contents in random files. Nothing is expected of the answers but
 * that they come: the sanitizers look for the rest.
 *
 * The seed is fixed, so that a failure can be repeated; VIRTPMEM_SEED sets
 * another, VIRTPMEM_ROUNDS the number of rounds.
 */
#include "testbed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const files[] = {
	"size", "available_size", "resource", "numa_node", "read_only", "devtype",
	"persistence_domain", "../provider", VIRTIO_PMEM_ATTR_DEEP_FLUSH,
	GROUP_FILE(VIRTIO_PMEM_ATTR_ABI), GROUP_FILE(VIRTIO_PMEM_ATTR_STATE),
	GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON), GROUP_FILE(VIRTIO_PMEM_ATTR_QUEUE_DEPTH),
	GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS), GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_LATENCY),
	GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY),
	"namespace0.0/size", "namespace0.0/mode", "namespace0.0/holder",
	"namespace0.0/block/pmem0/dev", "namespace0.0/block/pmem0/queue/write_cache",
	"namespace0.0/block/pmem0/queue/dax", "namespace0.0/block/pmem0/size",
	"namespace0.0/block/pmem0/badblocks", "namespace0.0/resource", "badblocks",
};

/* What the files may hold is nearly right more often than not. */
static const char *const tokens[] = {
	"0", "1", "2", "-1", "18446744073709551615", "18446744073709551616", "0x", "0x10", " ",
	"  ", "\n", "\n\n", "", "active", "broken", "safe", "memory", "dax", "raw", "write back",
	"write through", "btt0.0", "pfn0.0", "dax0.0", "../region1", "259:0", ":", ".", "/", "\0",
	"\377", "8 8", "0 262144", "virtio-pmem", "nd_pmem", "1 2 3 4 5 6 7 8 9 10 11 12 13",
};

static uint64_t seed;

static unsigned int pick(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)(seed % n);
}

static size_t make_content(char *buffer, size_t size)
{
	unsigned int i, n = pick(6);
	size_t length = 0;

	for (i = 0; i < n; i++) {
		const char *token = tokens[pick(ARRAY_SIZE(tokens))];
		size_t left = size - length - 1;
		size_t count = strlen(token) < left ? strlen(token) : left;

		memcpy(buffer + length, token, count);
		length += count;
	}
	while (!pick(4) && length < size - 1)
		buffer[length++] = (char)pick(256);
	if (pick(8))
		buffer[length++] = '\n';
	return length;
}

static void ask_for_snapshots(struct virtpmem_region *region)
{
	struct virtpmem_bad_ranges *ranges;
	struct virtpmem_namespace *ns;
	struct virtpmem_health *health;
	enum virtpmem_region_kind kind;
	unsigned int count;
	bool yes;

	virtpmem_region_get_kind(region, &kind);
	virtpmem_region_get_stalled(region, &yes);
	virtpmem_region_get_dax_count(region, &count);
	virtpmem_namespace_foreach(region, ns)
		virtpmem_namespace_get_dax(ns, &yes, NULL);
	if (!virtpmem_region_get_bad_ranges(region, &ranges))
		virtpmem_bad_ranges_unref(ranges);
	if (!virtpmem_region_snapshot_begin(region) &&
	    !virtpmem_region_get_health(region, NULL, 1, &health))
		virtpmem_health_unref(health);
	virtpmem_region_snapshot_end(region);
}

static void ask_for_everything(struct virtpmem_ctx *ctx)
{
	struct virtpmem_flush_result result;
	enum virtpmem_flush_method method;
	struct virtpmem_histogram *hist;
	struct virtpmem_region *region;
	struct virtpmem_namespace *ns;
	enum virtpmem_region_type type;
	struct virtpmem_stats *stats;
	enum virtpmem_state state;
	uint64_t a, b, c;
	unsigned int abi, i;
	char *text;
	bool yes;
	int num;

	if (virtpmem_scan(ctx) < 1)
		return;
	region = virtpmem_region_get_first(ctx);
	ask_for_snapshots(region);
	virtpmem_region_get_size(region, &a);
	virtpmem_region_get_available_size(region, &a);
	virtpmem_region_get_resource(region, &a);
	virtpmem_region_get_numa_node(region, &num);
	virtpmem_region_get_read_only(region, &yes);
	virtpmem_region_get_type(region, &type);
	virtpmem_region_get_abi(region, &abi);
	virtpmem_region_get_state(region, &state);
	virtpmem_region_get_queue_depth(region, &a);
	if (!virtpmem_region_get_persistence_domain(region, &text))
		free(text);
	if (!virtpmem_region_get_provider(region, &text))
		free(text);
	if (!virtpmem_region_get_broken_reason(region, &text))
		free(text);
	if (!virtpmem_region_get_error_policy(region, &text))
		free(text);
	if (!virtpmem_region_get_stats(region, &stats)) {
		for (i = 0; i <= VIRTPMEM_STAT_COUNT; i++)
			virtpmem_stats_get(stats, (enum virtpmem_stat)i, &a);
		virtpmem_stats_unref(stats);
	}
	if (!virtpmem_region_get_latency_histogram(region, &hist)) {
		for (i = 0; i <= virtpmem_histogram_get_bins(hist); i++)
			virtpmem_histogram_get_bin(hist, i, &a, &b, &c);
		virtpmem_histogram_unref(hist);
	}
	virtpmem_namespace_foreach(region, ns) {
		enum virtpmem_write_cache cache;
		enum virtpmem_mode mode;

		virtpmem_namespace_get_size(ns, &a);
		virtpmem_namespace_get_mode(ns, &mode);
		virtpmem_namespace_get_write_cache(ns, &cache);
	}
	if (!virtpmem_region_get_flush_method(region, &method, &text))
		free(text);
	virtpmem_region_flush(region, 0, &result);
	virtpmem_region_find(ctx, "namespace0.0", &region);
	virtpmem_region_find(ctx, "pmem0", &region);
}

static void u3_random_contents_are_survived(void **state)
{
	const char *rounds = getenv("VIRTPMEM_ROUNDS"), *start = getenv("VIRTPMEM_SEED");
	struct virtpmem_ctx *ctx = testbed_ctx(*state);
	int i, n = rounds ? atoi(rounds) : 300;

	seed = start ? strtoull(start, NULL, 10) : 88172645463325252;
	for (i = 0; i < n; i++) {
		const char *file = files[pick(ARRAY_SIZE(files))];
		char path[256], content[512], *before;
		size_t length = make_content(content, sizeof(content));

		snprintf(path, sizeof(path), "region0/%s", file);
		before = testbed_read(*state, path);
		testbed_write_data(*state, path, content, length);
		ask_for_everything(ctx);
		/* Most of the time one flaw alone, sometimes several together. */
		if (pick(4))
			testbed_write(*state, path, before);
		free(before);
		testbed_clear_log(*state);
	}
}

static int setup(void **state)
{
	testbed_setup(state);
	testbed_write(*state, "region0/available_size", "0\n");
	testbed_write(*state, "region0/persistence_domain", "cpu_cache\n");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(u3_random_contents_are_survived, setup,
							 testbed_teardown,
							 (void *)(uintptr_t)"virtpmem-6.12"),
	};

	return cmocka_run_group_tests_name("U3 random", tests, NULL, NULL);
}
