// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Counters and the latency histogram of our driver.
 *
 * Both are snapshots: one read of one file, so the numbers belong together.
 * A driver older than this library writes fewer counters, a newer one more;
 * the first have no value here, the second no name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* Bin n ends at 2^n us, which must fit a uint64_t; the last one has no end. */
#define BINS_MAX	64

/* @region and @fd are there once virtpmem_stats_refresh() was called. */
struct virtpmem_stats {
	unsigned int refs;
	struct virtpmem_region *region;
	int fd;
	size_t count;
	uint64_t values[VIRTPMEM_STAT_COUNT];
};

struct virtpmem_histogram {
	unsigned int refs;
	size_t count;
	uint64_t counts[BINS_MAX];
};

/* The one table of counters: where each stands in the line, and its name. */
static const struct {
	unsigned int position;
	const char *name;
} stats_table[VIRTPMEM_STAT_COUNT] = {
	[VIRTPMEM_STAT_REQUESTS] = { VIRTIO_PMEM_STAT_REQUESTS, "requests" },
	[VIRTPMEM_STAT_ASYNC_REQUESTS] = { VIRTIO_PMEM_STAT_ASYNC_REQUESTS, "async_requests" },
	[VIRTPMEM_STAT_HOST_FLUSHES] = { VIRTIO_PMEM_STAT_HOST_FLUSHES, "host_flushes" },
	[VIRTPMEM_STAT_FAILED_REQUESTS] = { VIRTIO_PMEM_STAT_FAILED_REQUESTS, "failed_requests" },
	[VIRTPMEM_STAT_FAILED_HOST_FLUSHES] = { VIRTIO_PMEM_STAT_FAILED_HOST_FLUSHES,
						"failed_host_flushes" },
	[VIRTPMEM_STAT_REQUEST_TOTAL_NS] = { VIRTIO_PMEM_STAT_REQUEST_TOTAL_NS,
					     "request_total_ns" },
	[VIRTPMEM_STAT_REQUEST_MAX_NS] = { VIRTIO_PMEM_STAT_REQUEST_MAX_NS, "request_max_ns" },
	[VIRTPMEM_STAT_HOST_TOTAL_NS] = { VIRTIO_PMEM_STAT_HOST_TOTAL_NS, "host_total_ns" },
	[VIRTPMEM_STAT_HOST_MAX_NS] = { VIRTIO_PMEM_STAT_HOST_MAX_NS, "host_max_ns" },
	[VIRTPMEM_STAT_RECOVERIES] = { VIRTIO_PMEM_STAT_RECOVERIES, "recoveries" },
	[VIRTPMEM_STAT_STALLS] = { VIRTIO_PMEM_STAT_STALLS, "stalls" },
	[VIRTPMEM_STAT_LAST_FAILURE_NS] = { VIRTIO_PMEM_STAT_LAST_FAILURE_NS, "last_failure_ns" },
	[VIRTPMEM_STAT_LAST_CHANGE_NS] = { VIRTIO_PMEM_STAT_LAST_CHANGE_NS, "last_change_ns" },
};

_Static_assert((unsigned int)VIRTPMEM_STAT_COUNT == VIRTIO_PMEM_STATS,
	       "the library and the driver count the same things");
_Static_assert(VIRTIO_PMEM_LATENCY_BINS <= BINS_MAX, "the driver's bins fit");

static const char stats_file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS);

VP_EXPORT int virtpmem_region_get_stats(struct virtpmem_region *region,
					struct virtpmem_stats **ret)
{
	const char *file = stats_file;
	struct virtpmem_stats *stats;
	int r;

	r = vp_group_missing(region, file);
	if (r < 0)
		return r;
	stats = calloc(1, sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	stats->refs = 1;
	stats->fd = -1;
	r = vp_read_u64s(region, file, ARRAY_SIZE(stats->values), stats->values, &stats->count);
	if (r < 0) {
		free(stats);
		return r;
	}
	*ret = stats;
	return 0;
}

VP_EXPORT struct virtpmem_stats *virtpmem_stats_ref(struct virtpmem_stats *stats)
{
	stats->refs++;
	return stats;
}

VP_EXPORT struct virtpmem_stats *virtpmem_stats_unref(struct virtpmem_stats *stats)
{
	if (!stats || --stats->refs)
		return NULL;
	vp_closep(&stats->fd);
	virtpmem_region_unref(stats->region);
	free(stats);
	return NULL;
}

/* The file stays open for the next time. */
static int open_again(struct virtpmem_stats *stats, struct virtpmem_region *region)
{
	int fd;

	if (stats->region == region)
		return 0;
	fd = openat(region->dirfd, stats_file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return vp_file_error(region, stats_file, "cannot open", errno, VP_OPTIONAL);
	vp_closep(&stats->fd);
	virtpmem_region_unref(stats->region);
	stats->region = virtpmem_region_ref(region);
	stats->fd = fd;
	return 0;
}

VP_EXPORT int virtpmem_stats_refresh(struct virtpmem_stats *stats, struct virtpmem_region *region)
{
	uint64_t values[VIRTPMEM_STAT_COUNT];
	size_t count;
	int r;

	r = open_again(stats, region);
	if (!r)
		r = vp_reread_u64s(region, stats_file, stats->fd, ARRAY_SIZE(values), values,
				   &count);
	if (r < 0)
		return r;
	memcpy(stats->values, values, count * sizeof(*values));
	stats->count = count;
	return 0;
}

VP_EXPORT int virtpmem_stats_get(const struct virtpmem_stats *stats, enum virtpmem_stat id,
				 uint64_t *ret)
{
	if ((unsigned int)id >= ARRAY_SIZE(stats_table))
		return -EINVAL;
	if (stats_table[id].position >= stats->count)
		return -EOPNOTSUPP;
	*ret = stats->values[stats_table[id].position];
	return 0;
}

VP_EXPORT const char *virtpmem_stat_name(enum virtpmem_stat id)
{
	return (unsigned int)id < ARRAY_SIZE(stats_table) ? stats_table[id].name : NULL;
}

VP_EXPORT int virtpmem_region_get_latency_histogram(struct virtpmem_region *region,
						    struct virtpmem_histogram **ret)
{
	static const char file[] = VP_GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_LATENCY);
	uint64_t counts[BINS_MAX + 1];
	struct virtpmem_histogram *hist;
	size_t count, i;
	int r;

	r = vp_group_missing(region, file);
	if (r < 0)
		return r;
	r = vp_read_u64s(region, file, ARRAY_SIZE(counts), counts, &count);
	if (r < 0)
		return r;
	/* The last bin means another thing where there are more or fewer: fewer is no ABI. */
	if (count < VIRTIO_PMEM_LATENCY_BINS || count > BINS_MAX)
		return vp_malformed(region, file, "not a histogram");
	hist = calloc(1, sizeof(*hist));
	if (!hist)
		return -ENOMEM;
	hist->refs = 1;
	hist->count = count;
	for (i = 0; i < count; i++)
		hist->counts[i] = counts[i];
	*ret = hist;
	return 0;
}

VP_EXPORT struct virtpmem_histogram *virtpmem_histogram_ref(struct virtpmem_histogram *hist)
{
	hist->refs++;
	return hist;
}

VP_EXPORT struct virtpmem_histogram *virtpmem_histogram_unref(struct virtpmem_histogram *hist)
{
	if (hist && !--hist->refs)
		free(hist);
	return NULL;
}

VP_EXPORT unsigned int virtpmem_histogram_get_bins(const struct virtpmem_histogram *hist)
{
	return (unsigned int)hist->count;
}

VP_EXPORT int virtpmem_histogram_get_bin(const struct virtpmem_histogram *hist, unsigned int bin,
					 uint64_t *lower_us, uint64_t *upper_us, uint64_t *count)
{
	if (bin >= hist->count)
		return -ERANGE;
	*lower_us = bin ? UINT64_C(1) << (bin - 1) : 0;
	*upper_us = bin + 1 < hist->count ? UINT64_C(1) << bin : UINT64_MAX;
	*count = hist->counts[bin];
	return 0;
}
