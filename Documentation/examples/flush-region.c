// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Flush one region, and say how long that took.
 *
 *	cc flush-region.c -lvirtpmem && ./a.out region0
 */
#include <stdio.h>
#include <string.h>

#include <virtpmem/libvirtpmem.h>

#define TIMEOUT_MS	10000

static void on_log(void *userdata, int priority, const char *message)
{
	(void)userdata;
	(void)priority;
	fprintf(stderr, "%s\n", message);
}

int main(int argc, char *argv[])
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	struct virtpmem_flush_result result;
	struct virtpmem_region *region;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: %s REGION\n", argv[0]);
		return 2;
	}
	r = virtpmem_new(&ctx);
	if (r < 0)
		return 1;
	virtpmem_set_log_fn(ctx, on_log, NULL);
	r = virtpmem_scan(ctx);
	if (r >= 0)
		r = virtpmem_region_find(ctx, argv[1], &region);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	r = virtpmem_region_flush(region, TIMEOUT_MS, &result);
	if (r < 0) {
		fprintf(stderr, "%s: not flushed: %s\n", argv[1], strerror(-r));
		return 1;
	}
	printf("%s: %s, %llu us\n", virtpmem_region_get_devname(region),
	       virtpmem_flush_method_name(result.method),
	       (unsigned long long)result.latency_ns / 1000);
	return 0;
}
