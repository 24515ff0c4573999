// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz: a udev rules file with saved settings. What is read back from any file
 * can be set; and what is saved over it is read back, with the others as they
 * were.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATH	"pci-0000:00:04.0"
#define RULES	"65-virtpmem-" PATH ".rules"

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

static struct virtpmem_region *region_with_settings(void)
{
	static char path[] = PATH;
	struct virtpmem_region *region = fuzz_region();
	unsigned int i;

	if (region->path)
		return region;
	region->path = path;
	fuzz_ctx()->rules = fuzz_dir();
	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++)
		fuzz_write(vp_setting_file((enum virtpmem_setting)i), "", 0);
	return region;
}

/* NULL: it is not saved, or not in a way that can be understood. */
static char *saved(struct virtpmem_region *region, enum virtpmem_setting setting)
{
	char *value = NULL;
	int r = virtpmem_region_get_saved_setting(region, setting, &value);

	check(!r || r == -ENODATA || r == -EBADMSG);
	check(!r == !!value);
	/* Whatever was found is a value. */
	check(!value || !virtpmem_region_set_setting(region, setting, value, VIRTPMEM_DRY_RUN, NULL));
	return value;
}

static void check_save(struct virtpmem_region *region)
{
	const enum virtpmem_setting changed = VIRTPMEM_SETTING_STALL_TIMEOUT_MS;
	char *before = saved(region, VIRTPMEM_SETTING_ERROR_POLICY), *after, *value;

	check(!virtpmem_region_set_setting(region, changed, "54321", VIRTPMEM_SAVE, NULL));
	value = saved(region, changed);
	after = saved(region, VIRTPMEM_SETTING_ERROR_POLICY);
	check(value && !strcmp(value, "54321"));
	check(!before || (after && !strcmp(before, after)));
	free(value);
	check(!virtpmem_region_set_setting(region, changed, NULL, VIRTPMEM_SAVE, NULL));
	check(!saved(region, changed));
	free(before);
	free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtpmem_region *region = region_with_settings();
	unsigned int i;

	fuzz_write(RULES, data, size);
	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++)
		free(saved(region, (enum virtpmem_setting)i));
	check_save(region);
	return 0;
}
