// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Regions by names that may be still to come; see wanted.h.
 */
#include <errno.h>

#include "regions.h"
#include "util.h"
#include "wanted.h"

/* Returns: 0, and the region is recognised; -ENXIO if no region has the name; another errno. */
static int recognise(struct wanted_name *name, struct pmemctl *p)
{
	_cleanup_free_ char *identity = NULL;
	struct virtpmem_region *region;
	const char *path;
	int err;

	regions_forget_log(p);
	err = virtpmem_region_find(p->ctx, name->given, &region);
	if (err < 0)
		return err;
	identity = regions_identity(p, region);
	path = virtpmem_region_get_path(region);
	/* A path that others have as well tells nothing. */
	name->identity = xstrdup(path && streq(identity, path) ?
					 path : virtpmem_region_get_devname(region));
	return 0;
}

static void add(struct wanted *wanted, struct pmemctl *p, const char *given)
{
	struct wanted_name *name;
	int err;

	wanted->names = xreallocarray(wanted->names, wanted->count + 1, sizeof(*wanted->names));
	name = &wanted->names[wanted->count++];
	*name = (struct wanted_name){ .given = xstrdup(given) };
	err = recognise(name, p);
	/* In JSON, too: it may be spelled wrong, and then nothing ever comes. */
	if (err == -ENXIO)
		output_warning(&p->out, "%s: no such region yet; it is watched when it comes",
			       given);
	else if (err < 0)
		output_warning(&p->out, "%s: cannot be looked up: %s; this is tried again when "
			       "something happens", given, regions_why(p, given, err));
}

void wanted_set(struct wanted *wanted, struct pmemctl *p, char *const names[])
{
	char *const *name;

	wanted_clear(wanted);
	for (name = names; *name; name++) {
		if (streq(*name, "all")) {
			wanted_clear(wanted);
			return;
		}
		add(wanted, p, *name);
	}
}

static bool is_complete(const struct wanted *wanted)
{
	size_t i;

	for (i = 0; i < wanted->count; i++)
		if (!wanted->names[i].identity)
			return false;
	return true;
}

void wanted_look(struct wanted *wanted, struct pmemctl *p)
{
	size_t i;

	if (is_complete(wanted) || regions_rescan(p) < 0)
		return;
	for (i = 0; i < wanted->count; i++) {
		struct wanted_name *name = &wanted->names[i];

		if (!name->identity && !recognise(name, p))
			output_note(&p->out, "%s: is watched from now on, as %s", name->given,
				    name->identity);
	}
	regions_forget_log(p);
}

bool wanted_has(const struct wanted *wanted, const struct virtpmem_region *region)
{
	const char *path = virtpmem_region_get_path(region);
	size_t i;

	for (i = 0; i < wanted->count; i++) {
		const struct wanted_name *name = &wanted->names[i];
		/* What came and went before it was looked for can have only these names. */
		const char *its = name->identity ? name->identity : name->given;

		if ((path && streq(its, path)) || streq(its, virtpmem_region_get_devname(region)))
			return true;
	}
	return !wanted->count;
}

void wanted_clear(struct wanted *wanted)
{
	size_t i;

	for (i = 0; i < wanted->count; i++) {
		free(wanted->names[i].given);
		free(wanted->names[i].identity);
	}
	free(wanted->names);
	*wanted = (struct wanted){ 0 };
}
