// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a fuzz target on files, where there is no libFuzzer: the corpus is a
 * regression test for every compiler.
 *
 * Usage: TARGET FILE...
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char *argv[])
{
	int i;

	for (i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rbe");
		uint8_t *data = malloc(1 << 20);
		size_t size;

		if (!f || !data) {
			perror(argv[i]);
			return 1;
		}
		size = fread(data, 1, 1 << 20, f);
		fclose(f);
		/* A buffer of the very size, so that a sanitizer sees its end. */
		data = realloc(data, size ? size : 1);
		LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	printf("%d inputs\n", argc - 1);
	return argc < 2;
}
