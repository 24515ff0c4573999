// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz: the tables of procfs that holders are made of. The input is the mount
 * table, the swap table and the mappings of a process, with a zero byte between
 * them.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "system.h"

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

static void lay_out(void)
{
	static const char *const dirs[] = {
		"self", "1", "1/map_files", "1/task", "1/task/1", "1/task/1/fd",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		fuzz_mkdir(dirs[i]);
	fuzz_ctx()->proc = fuzz_dir();
}

/* What is before the next zero byte goes into @file. */
static void take(const char *file, const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size ? memchr(*data, 0, *size) : NULL;
	size_t n = end ? (size_t)(end - *data) : *size;

	fuzz_write(file, *data, n);
	*data += n;
	*size -= n;
	if (end) {
		(*data)++;
		(*size)--;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool laid_out;
	struct vp_system sys;
	size_t i;

	if (!laid_out)
		lay_out();
	laid_out = true;
	take("self/mountinfo", &data, &size);
	take("swaps", &data, &size);
	take("1/task/1/maps", &data, &size);
	check(!vp_system_read(fuzz_ctx(), false, &sys));
	for (i = 0; i < sys.mount_count; i++)
		check(sys.mounts[i].target && sys.mounts[i].options);
	vp_system_done(&sys);
	return 0;
}
