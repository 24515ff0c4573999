// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a program that is linked to the distribution's libpmem2 gets:
 *
 *	pmem2-deep-flush PATH BYTE
 *
 * Maps PATH, a file or a DAX device, stores BYTE all over its first 2 MiB (or
 * what there is), and calls pmem2_deep_flush(). Prints "granularity=N
 * deep_flush=RESULT", where RESULT is 0 or the name of an errno.
 */
#include <fcntl.h>
#include <libpmem2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORE (2u << 20)

static int failed(const char *what)
{
	fprintf(stderr, "pmem2-deep-flush: %s: %s\n", what, pmem2_errormsg());
	return 1;
}

int main(int argc, char **argv)
{
	struct pmem2_config *config;
	struct pmem2_source *source;
	struct pmem2_map *map;
	size_t size;
	int fd, err;
	char *at;

	if (argc != 3) {
		fprintf(stderr, "usage: pmem2-deep-flush PATH BYTE\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	if (pmem2_config_new(&config) || pmem2_source_from_fd(&source, fd) ||
	    pmem2_config_set_required_store_granularity(config, PMEM2_GRANULARITY_PAGE))
		return failed("set-up");
	if (pmem2_map_new(&map, config, source))
		return failed("map");
	at = pmem2_map_get_address(map);
	size = pmem2_map_get_size(map);
	if (size > STORE)
		size = STORE;
	pmem2_get_memset_fn(map)(at, (int)strtol(argv[2], NULL, 0), size, 0);
	err = pmem2_deep_flush(map, at, size);
	printf("granularity=%d deep_flush=%s\n", (int)pmem2_map_get_store_granularity(map),
	       err ? strerrorname_np(-err) : "0");
	pmem2_map_delete(&map);
	pmem2_source_delete(&source);
	pmem2_config_delete(&config);
	close(fd);
	return 0;
}
