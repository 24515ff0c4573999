// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Snapshots of a region: while one is taken, what was read of the region stays
 * what it was when it was read first.
 *
 * So nothing is read twice, and whatever is made of the values (a record, a
 * verdict) fits together. An error stays too. One-line files, links and lists of
 * directories are kept: everything else is read once anyway.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/* What reading @file brought. */
struct value {
	char *file;
	int error;
	char *text;
};

struct vp_snapshot {
	void *values;
	bool has_group;
	bool knows_group;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct value *)a)->file, ((const struct value *)b)->file);
}

static void value_free(void *p)
{
	struct value *value = p;

	free(value->file);
	free(value->text);
	free(value);
}

VP_EXPORT int virtpmem_region_snapshot_begin(struct virtpmem_region *region)
{
	struct vp_snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return -ENOMEM;
	virtpmem_region_snapshot_end(region);
	region->snapshot = snapshot;
	return 0;
}

VP_EXPORT void virtpmem_region_snapshot_end(struct virtpmem_region *region)
{
	if (!region->snapshot)
		return;
	tdestroy(region->snapshot->values, value_free);
	free(region->snapshot);
	region->snapshot = NULL;
}

/* 1 if @file was read before, and then *error and *text (a copy) say what it brought. */
int vp_snapshot_get(const struct virtpmem_region *region, const char *file, int *error,
		    char **text)
{
	const struct value wanted = { .file = (char *)(uintptr_t)file };
	const struct value *value;
	void *found;

	if (!region->snapshot)
		return 0;
	found = tfind(&wanted, &region->snapshot->values, compare);
	if (!found)
		return 0;
	value = *(struct value *const *)found;
	*error = value->error;
	if (!value->error) {
		*text = strdup(value->text);
		if (!*text)
			*error = -ENOMEM;
	}
	return 1;
}

/* Keeps what reading @file brought. Returns 0 or -ENOMEM. */
int vp_snapshot_put(const struct virtpmem_region *region, const char *file, int error,
		    const char *text)
{
	struct value *value;

	if (!region->snapshot || error == -ENOMEM)
		return 0;
	value = calloc(1, sizeof(*value));
	if (!value)
		return -ENOMEM;
	value->error = error;
	value->file = strdup(file);
	value->text = strdup(error ? "" : text);
	if (value->file && value->text && tsearch(value, &region->snapshot->values, compare))
		return 0;
	value_free(value);
	return -ENOMEM;
}

/* Whether our driver's directory is there; @look is asked once. */
bool vp_snapshot_has_group(const struct virtpmem_region *region,
			   bool (*look)(const struct virtpmem_region *region))
{
	struct vp_snapshot *snapshot = region->snapshot;

	if (!snapshot)
		return look(region);
	if (!snapshot->knows_group) {
		snapshot->has_group = look(region);
		snapshot->knows_group = true;
	}
	return snapshot->has_group;
}
