// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What libvirtpmem reads of a region that pmemctl does not show yet.
 *
 * Usage: read-region holders REGION
 * One line a holder, indented below the one that it lies on, and a line that
 * says what could not be seen.
 */
#include <stdio.h>
#include <string.h>

#include <virtpmem/libvirtpmem.h>

static void print_holder(struct virtpmem_holder *holder, int depth)
{
	const char *path = virtpmem_holder_get_path(holder);
	struct virtpmem_holder *child;

	printf("%*s%s %s on %s", 2 * depth, "",
	       virtpmem_holder_kind_name(virtpmem_holder_get_kind(holder)),
	       virtpmem_holder_get_name(holder), virtpmem_holder_get_device(holder));
	if (path)
		printf(" %s", path);
	if (virtpmem_holder_get_pid(holder))
		printf(" pid %d", (int)virtpmem_holder_get_pid(holder));
	putchar('\n');
	virtpmem_holder_child_foreach(holder, child)
		print_holder(child, depth + 1);
}

static int print_holders(struct virtpmem_region *region)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	struct virtpmem_holder *holder;
	int r;

	r = virtpmem_region_get_holders(region, 0, &holders);
	if (r < 0)
		return r;
	virtpmem_holder_foreach(holders, holder)
		print_holder(holder, 0);
	if (!virtpmem_holders_is_complete(holders))
		printf("missing: %s\n", virtpmem_holders_get_missing(holders));
	return 0;
}

int main(int argc, char *argv[])
{
	static const struct {
		const char *name;
		int (*fn)(struct virtpmem_region *region);
	} commands[] = {
		{ "holders", print_holders },
	};
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	struct virtpmem_region *region = NULL;
	int r = -1;
	size_t i;

	if (argc != 3) {
		fprintf(stderr, "usage: read-region COMMAND REGION\n");
		return 2;
	}
	if (virtpmem_new(&ctx) < 0 || virtpmem_scan(ctx) < 0 ||
	    virtpmem_region_find(ctx, argv[2], &region) < 0) {
		fprintf(stderr, "no region %s\n", argv[2]);
		return 1;
	}
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			r = commands[i].fn(region);
	if (r < 0)
		fprintf(stderr, "%s\n", strerror(-r));
	return r < 0;
}
