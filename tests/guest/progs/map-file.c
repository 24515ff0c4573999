// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Map the first MiBs of a file or of a DAX device, write to them, and wait:
 *
 *	map-file PATH [MEBIBYTES]
 *
 * Nothing stays open: only the mapping holds it. Prints "mapped", and runs until it is killed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	size_t size = (argc > 2 ? strtoul(argv[2], NULL, 10) : 2) << 20;
	void *memory;
	int fd;

	if (argc < 2 || argc > 3 || !size) {
		fprintf(stderr, "usage: map-file PATH [MEBIBYTES]\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	close(fd);
	memset(memory, 0x5a, size);
	puts("mapped");
	fflush(stdout);
	for (;;)
		pause();
}
