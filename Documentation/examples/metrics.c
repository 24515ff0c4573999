// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Print the counters of every region as metrics, a line each, as Prometheus'
 * text format has them. The label is the path, which is the same device after
 * the next boot; "region0" need not be.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <virtpmem/libvirtpmem.h>

static int print_region(struct virtpmem_region *region)
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	const char *path = virtpmem_region_get_path(region);
	unsigned int id;
	uint64_t value;
	int r;

	r = virtpmem_region_get_stats(region, &stats);
	/* Another driver, which counts nothing, or a region that has just gone. */
	if (r == -EOPNOTSUPP || r == -ENODEV)
		return 0;
	if (r < 0)
		return r;
	for (id = 0; id < VIRTPMEM_STAT_COUNT; id++)
		if (!virtpmem_stats_get(stats, (enum virtpmem_stat)id, &value))
			printf("virtpmem_%s{path=\"%s\"} %" PRIu64 "\n",
			       virtpmem_stat_name((enum virtpmem_stat)id), path ? path : "", value);
	return 0;
}

int main(void)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	struct virtpmem_region *region;
	int failed = 0;

	if (virtpmem_new(&ctx) < 0 || virtpmem_scan(ctx) < 0)
		return 1;
	virtpmem_region_foreach(ctx, region)
		if (print_region(region) < 0)
			failed = 1;
	return failed;
}
