// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz: lines of numbers, which are the statistics and the histogram. */
#include "fuzz.h"

#include <stdlib.h>

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

static void check_stats(struct virtpmem_region *region)
{
	struct virtpmem_stats *stats = NULL;
	uint64_t a, b;
	unsigned int id;
	int r;

	r = virtpmem_region_get_stats(region, &stats);
	check(!r == !!stats);
	if (!stats)
		return;
	/* Read again, they are the same. */
	check(!virtpmem_stats_get(stats, VIRTPMEM_STAT_REQUESTS, &a));
	check(!virtpmem_stats_refresh(stats, region));
	check(!virtpmem_stats_get(stats, VIRTPMEM_STAT_REQUESTS, &b) && a == b);
	for (id = 0; id <= VIRTPMEM_STAT_COUNT; id++)
		virtpmem_stats_get(stats, (enum virtpmem_stat)id, &a);
	virtpmem_stats_unref(stats);
}

static void check_histogram(struct virtpmem_region *region)
{
	struct virtpmem_histogram *hist = NULL;
	uint64_t lower, upper, count, last = 0;
	unsigned int i;

	if (virtpmem_region_get_latency_histogram(region, &hist) < 0)
		return;
	check(virtpmem_histogram_get_bins(hist) >= VIRTIO_PMEM_LATENCY_BINS);
	for (i = 0; !virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count); i++) {
		check(lower == last && upper > lower);
		last = upper;
	}
	check(i == virtpmem_histogram_get_bins(hist));
	virtpmem_histogram_unref(hist);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtpmem_region *region = fuzz_region();
	enum virtpmem_state state;
	uint64_t value;
	int node;

	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS), data, size);
	check_stats(region);
	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_LATENCY), data, size);
	check_histogram(region);
	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STATE), data, size);
	virtpmem_region_get_state(region, &state);
	fuzz_write("numa_node", data, size);
	if (!virtpmem_region_get_numa_node(region, &node))
		check(node >= -1);
	fuzz_write("resource", data, size);
	virtpmem_region_get_resource(region, &value);
	return 0;
}
