// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz: names and numbers of devices, and the kernel's configuration. A number
 * that is taken, written again, is the same text.
 */
#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

static void check_names(const char *text)
{
	unsigned int a, b;
	char again[64];

	if (vp_parse_id(text, "region", &a)) {
		snprintf(again, sizeof(again), "region%u", a);
		check(!strcmp(again, text));
	}
	if (vp_parse_id_pair(text, "dax", &a, &b)) {
		snprintf(again, sizeof(again), "dax%u.%u", a, b);
		check(!strcmp(again, text));
	}
}

static void check_numbers(const char *text)
{
	uint64_t value, other;
	char again[64];
	dev_t devno;

	/* Leading zeros are the only other way to write one. */
	if (vp_parse_u64(text, &value)) {
		snprintf(again, sizeof(again), "%" PRIu64, value);
		check(strspn(text, "0123456789") == strlen(text));
		check(vp_parse_u64(again, &other) && other == value);
	}
	if (vp_parse_hex(text, &value)) {
		snprintf(again, sizeof(again), "0x%" PRIx64, value);
		check(vp_parse_hex(again, &other) && other == value);
	}
	if (vp_parse_devno(text, &devno)) {
		snprintf(again, sizeof(again), "%u:%u", major(devno), minor(devno));
		check(strchr(text, ':') && strchr(again, ':'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	static char *file;
	struct utsname name;
	int r;

	check(text);
	check_names(text);
	check_numbers(text);
	free(text);
	if (!file) {
		check(!uname(&name) && asprintf(&file, "config-%s", name.release) > 0);
		fuzz_ctx()->boot = fuzz_dir();
	}
	fuzz_write(file, data, size);
	r = vp_kernel_config(fuzz_ctx(), "CONFIG_FS_DAX");
	check(r == 0 || r == 1);
	return 0;
}
