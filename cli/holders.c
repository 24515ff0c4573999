// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who uses a region's devices, under the names of pmemctl-json(5).
 */
#include <unistd.h>

#include "holders.h"
#include "util.h"

static void add_list(struct record *parent, struct virtpmem_holder *first);

static void add_holder(struct record *list, struct virtpmem_holder *holder)
{
	struct record *r = record_add(list, NULL, RECORD_OBJECT);
	const char *path = virtpmem_holder_get_path(holder);
	pid_t pid = virtpmem_holder_get_pid(holder);

	record_add_string(r, "kind", virtpmem_holder_kind_name(virtpmem_holder_get_kind(holder)));
	record_add_string(r, "name", virtpmem_holder_get_name(holder));
	record_add_string(r, "device", virtpmem_holder_get_device(holder));
	if (path)
		record_add_string(r, "path", path);
	if (pid)
		record_add_uint(r, "pid", (uint64_t)pid);
	if (virtpmem_holder_drops_flushes(holder))
		record_add_bool(r, "drops_flushes", true);
	add_list(r, virtpmem_holder_get_child(holder));
}

static void add_list(struct record *parent, struct virtpmem_holder *first)
{
	struct record *list = record_add(parent, "holders", RECORD_ARRAY);

	for (; first; first = virtpmem_holder_get_next(first))
		add_holder(list, first);
}

/* Only what root has looked at completely, and found empty, is known to be unused. */
static const char *in_use(struct virtpmem_holders *holders)
{
	if (virtpmem_holder_get_first(holders))
		return "yes";
	return virtpmem_holders_is_complete(holders) ? "no" : "unknown";
}

struct virtpmem_holders *holders_add(struct reader *rd, unsigned int flags, struct record *r)
{
	struct virtpmem_holders *holders = NULL;
	const char *missing;

	if (!reader_got(rd, "holders", virtpmem_region_get_holders(rd->region, flags, &holders)))
		return NULL;
	missing = virtpmem_holders_get_missing(holders);
	record_add_string(r, "in_use", in_use(holders));
	record_add_bool(r, "complete", !missing);
	if (missing) {
		record_add_string(r, "missing", missing);
		record_add_string(r, "remedy", geteuid() ?
					  "try it as root" :
					  "look also where the rest can be seen, such as outside "
					  "of this container");
	}
	add_list(r, virtpmem_holder_get_first(holders));
	return holders;
}
