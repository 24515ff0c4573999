// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a program that is linked to the distribution's libndctl gets:
 *
 *	ndctl-deep-flush regionN
 *
 * Prints "deep_flush=RESULT", where RESULT is 0 or the name of the errno that
 * ndctl_region_deep_flush() returned.
 */
#include <ndctl/libndctl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct ndctl_region *region;
	struct ndctl_bus *bus;
	struct ndctl_ctx *ctx;
	int err;

	if (argc != 2 || ndctl_new(&ctx) < 0) {
		fprintf(stderr, "usage: ndctl-deep-flush regionN\n");
		return 2;
	}
	ndctl_bus_foreach(ctx, bus) {
		ndctl_region_foreach(bus, region) {
			if (strcmp(ndctl_region_get_devname(region), argv[1]))
				continue;
			err = ndctl_region_deep_flush(region);
			printf("deep_flush=%s\n", err ? strerrorname_np(-err) : "0");
			ndctl_unref(ctx);
			return 0;
		}
	}
	fprintf(stderr, "ndctl-deep-flush: libndctl finds no %s\n", argv[1]);
	ndctl_unref(ctx);
	return 1;
}
