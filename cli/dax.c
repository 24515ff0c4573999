// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The DAX devices of a region: what they are used as, where they lie, and which
 * offset is which address, under the names of pmemctl-json(5).
 */
#include <errno.h>

#include "dax.h"
#include "util.h"

static void add_values(struct reader *rd, struct virtpmem_dax *dax, struct record *r)
{
	enum virtpmem_dax_mode mode;
	uint64_t value;
	int node;

	record_add_string(r, "chardev", virtpmem_dax_get_devname(dax));
	record_add_string(r, "namespace", virtpmem_dax_get_namespace(dax));
	if (reader_got(rd, "DAX device's mode", virtpmem_dax_get_mode(dax, &mode)))
		record_add_string(r, "mode", virtpmem_dax_mode_name(mode));
	if (reader_got(rd, "DAX device's size", virtpmem_dax_get_size(dax, &value)))
		record_add_uint(r, "size", value);
	if (reader_got(rd, "DAX device's align", virtpmem_dax_get_align(dax, &value)))
		record_add_uint(r, "align_bytes", value);
	if (reader_got(rd, "DAX device's target_node", virtpmem_dax_get_target_node(dax, &node)) &&
	    node >= 0)
		record_add_int(r, "target_node", node);
}

static void add_ranges(const struct virtpmem_dax_map *map, struct record *r)
{
	struct record *ranges = record_add(r, "ranges", RECORD_ARRAY), *range;
	uint64_t offset, address, length;
	unsigned int i;

	for (i = 0; !virtpmem_dax_map_get_range(map, i, &offset, &address, &length); i++) {
		range = record_add(ranges, NULL, RECORD_OBJECT);
		record_add_uint(range, "offset_bytes", offset);
		record_add_uint(range, "address", address);
		record_add_uint(range, "length_bytes", length);
	}
}

static void add_translation(struct record *list, const char *name, uint64_t offset,
			    uint64_t address)
{
	struct record *r = record_add(list, NULL, RECORD_OBJECT);

	record_add_string(r, "chardev", name);
	record_add_uint(r, "offset_bytes", offset);
	record_add_uint(r, "address", address);
}

static void translate(const struct virtpmem_dax_map *map, struct dax_query *query,
		      const char *name, struct record *list)
{
	uint64_t value;

	if (query->offset && !virtpmem_dax_map_to_address(map, *query->offset, &value)) {
		add_translation(list, name, *query->offset, value);
		query->found_offset = true;
	}
	if (query->address && !virtpmem_dax_map_to_offset(map, *query->address, &value)) {
		add_translation(list, name, value, *query->address);
		query->found_address = true;
	}
}

void dax_add(struct reader *rd, struct dax_query *query, struct record *r)
{
	struct record *list, *translations = NULL;
	unsigned int count;
	struct virtpmem_dax *dax;

	if (!reader_got(rd, "DAX devices", virtpmem_region_get_dax_count(rd->region, &count)))
		return;
	list = record_add(r, "dax_devices", RECORD_ARRAY);
	if (query->offset || query->address)
		translations = record_add(r, "translations", RECORD_ARRAY);
	virtpmem_dax_foreach (rd->region, dax) {
		_cleanup_virtpmem_dax_map_unref_ struct virtpmem_dax_map *map = NULL;
		struct record *device = record_add(list, NULL, RECORD_OBJECT);
		int err = virtpmem_dax_get_map(dax, &map);

		add_values(rd, dax, device);
		/* Addresses are for root: not to have them is a failure if they are asked for. */
		if ((err == -EACCES && !translations) ||
		    !reader_got(rd, "DAX device's ranges", err))
			continue;
		add_ranges(map, device);
		if (translations)
			translate(map, query, virtpmem_dax_get_devname(dax), translations);
	}
}
