// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Read the statistics of the first region again and again, as a monitoring
 * daemon does: what tests/bench/syscalls counts the system calls of.
 *
 * Usage: stats-loop COUNT
 */
#include <stdio.h>
#include <stdlib.h>

#include <virtpmem/libvirtpmem.h>

int main(int argc, char *argv[])
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	struct virtpmem_region *region;
	long i;

	if (argc != 2 || virtpmem_new(&ctx) < 0 || virtpmem_scan(ctx) < 1)
		return 1;
	region = virtpmem_region_get_first(ctx);
	if (virtpmem_region_get_stats(region, &stats) < 0)
		return 1;
	for (i = 0; i < atol(argv[1]); i++)
		if (virtpmem_stats_refresh(stats, region) < 0)
			return 1;
	return 0;
}
