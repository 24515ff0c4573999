// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl version: of the command, of the library that it runs with, and of the
 * drivers that this machine's regions have.
 */
#include <errno.h>

#include "regions.h"
#include "util.h"

static bool same(const struct record *a, const struct record *b, const char *name)
{
	const struct record *x = record_get(a, name), *y = record_get(b, name);

	return x && y ? streq(x->string, y->string) : x == y;
}

/* What cannot be read is not worth an error here. */
static bool got(int err)
{
	if (err == -ENOMEM)
		out_of_memory();
	return err >= 0;
}

/* Adds a driver, unless it is there. */
static void add_driver(struct record *list, struct virtpmem_region *region)
{
	_cleanup_free_ char *module = NULL, *version = NULL;
	struct record *r, *other;
	enum virtpmem_driver driver;

	if (!got(virtpmem_region_get_driver(region, &driver)))
		return;
	r = record_new(RECORD_OBJECT);
	record_add_string(r, "driver", virtpmem_driver_name(driver));
	if (got(virtpmem_region_get_module(region, &module)))
		record_add_string(r, "module", module);
	if (got(virtpmem_region_get_module_version(region, &version)))
		record_add_string(r, "driver_version", version);
	record_foreach (list, other)
		if (same(other, r, "driver") && same(other, r, "module") &&
		    same(other, r, "driver_version")) {
			record_free(r);
			return;
		}
	record_append(list, r);
}

void cmd_version(struct pmemctl *p)
{
	struct virtpmem_region *region;
	struct record *drivers;

	p->out.view = &view_version;
	record_add_string(p->out.top, "version", VIRTPMEM_VERSION);
	record_add_string(p->out.top, "library_version", virtpmem_version());
	drivers = record_add(p->out.top, "drivers", RECORD_ARRAY);
	if (!regions_scan(p))
		return;
	virtpmem_region_foreach (p->ctx, region)
		add_driver(drivers, region);
}
