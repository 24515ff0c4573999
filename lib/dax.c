// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * DAX devices of a region, and where in physical memory each lies.
 *
 * A DAX device can consist of several ranges that need not be next to each
 * other: its map turns an offset in the device into a physical address and
 * back. A map is a snapshot that was checked when it was made: its ranges are
 * sorted by offset, leave no gap, and none of them wraps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

/* @dir is relative to the region's directory. */
struct virtpmem_dax {
	struct virtpmem_region *region;
	struct virtpmem_dax *next;
	unsigned int major, minor;
	char *devname;
	char *dir;
	char *ns;
};

struct range {
	uint64_t offset;
	uint64_t address;
	uint64_t length;
};

struct virtpmem_dax_map {
	unsigned int refs;
	size_t count;
	struct range *ranges;
};

void vp_dax_free(struct virtpmem_dax *dax)
{
	struct virtpmem_dax *next;

	for (; dax; dax = next) {
		next = dax->next;
		free(dax->devname);
		free(dax->dir);
		free(dax->ns);
		free(dax);
	}
}

/* ------------------------------------------------------------- the list */

struct listing {
	struct virtpmem_region *region;
	const struct virtpmem_namespace *ns;
	struct virtpmem_dax *first;
};

static int list_entry(const char *name, void *data)
{
	struct listing *listing = data;
	struct virtpmem_dax **pos = &listing->first, *dax;
	unsigned int major, minor;

	if (!vp_parse_id_pair(name, "dax", &major, &minor))
		return 0;
	dax = calloc(1, sizeof(*dax));
	if (!dax)
		return -ENOMEM;
	dax->region = listing->region;
	dax->major = major;
	dax->minor = minor;
	while (*pos && ((*pos)->major < major ||
			((*pos)->major == major && (*pos)->minor < minor)))
		pos = &(*pos)->next;
	dax->next = *pos;
	*pos = dax;
	dax->devname = strdup(name);
	dax->ns = strdup(listing->ns->devname);
	if (asprintf(&dax->dir, "%s/%s", listing->ns->holder, name) < 0)
		dax->dir = NULL;
	return dax->devname && dax->ns && dax->dir ? 0 : -ENOMEM;
}

/* Those of @namespaces, as they are now. */
int vp_dax_read(struct virtpmem_region *region, const struct virtpmem_namespace *namespaces,
		struct virtpmem_dax **ret)
{
	struct listing listing = { .region = region };
	const struct virtpmem_namespace *ns;
	int r = 0;

	for (ns = namespaces; !r && ns; ns = ns->next) {
		if (!ns->daxdev)
			continue;
		listing.ns = ns;
		r = vp_each_entry(region, ns->holder, VP_OPTIONAL, list_entry, &listing);
		/* Disabled since the namespaces were read. */
		if (r == -EOPNOTSUPP)
			r = 0;
	}
	if (r < 0) {
		vp_dax_free(listing.first);
		return r;
	}
	*ret = listing.first;
	return 0;
}

static int get_list(struct virtpmem_region *region, struct virtpmem_dax **ret)
{
	struct virtpmem_namespace *namespaces;
	int r;

	if (!region->dax_read) {
		r = vp_namespaces_get(region, &namespaces);
		if (!r)
			r = vp_dax_read(region, namespaces, &region->dax);
		if (r < 0)
			return r;
		region->dax_read = true;
	}
	*ret = region->dax;
	return 0;
}

VP_EXPORT int virtpmem_region_get_dax_count(struct virtpmem_region *region, unsigned int *ret)
{
	struct virtpmem_dax *dax = NULL;
	unsigned int count = 0;
	int r;

	r = get_list(region, &dax);
	if (r < 0)
		return r;
	for (; dax; dax = dax->next)
		count++;
	*ret = count;
	return 0;
}

VP_EXPORT struct virtpmem_dax *virtpmem_dax_get_first(struct virtpmem_region *region)
{
	struct virtpmem_dax *first = NULL;
	int r;

	r = get_list(region, &first);
	if (r < 0)
		vp_err(region->ctx, "%s: cannot list the DAX devices: %s", region->devname,
		       strerror(-r));
	return first;
}

VP_EXPORT struct virtpmem_dax *virtpmem_dax_get_next(struct virtpmem_dax *dax)
{
	return dax->next;
}

/* ----------------------------------------------------------- properties */

VP_EXPORT const char *virtpmem_dax_get_devname(const struct virtpmem_dax *dax)
{
	return dax->devname;
}

VP_EXPORT const char *virtpmem_dax_get_namespace(const struct virtpmem_dax *dax)
{
	return dax->ns;
}

static char *file_of(const struct virtpmem_dax *dax, const char *name)
{
	char *file;

	return asprintf(&file, "%s/%s", dax->dir, name) < 0 ? NULL : file;
}

static int read_u64(const struct virtpmem_dax *dax, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *file = file_of(dax, name);

	return file ? vp_read_u64(dax->region, file, VP_REQUIRED, ret) : -ENOMEM;
}

static int read_hex(const struct virtpmem_dax *dax, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *file = file_of(dax, name);

	return file ? vp_read_hex(dax->region, file, VP_OPTIONAL, ret) : -ENOMEM;
}

static int read_node(const struct virtpmem_dax *dax, const char *name, int *ret)
{
	_cleanup_free_ char *file = file_of(dax, name);
	int node, r;

	if (!file)
		return -ENOMEM;
	r = vp_read_int(dax->region, file, VP_OPTIONAL, &node);
	if (r < 0)
		return r;
	if (node < -1)
		return vp_malformed(dax->region, file, "not a node");
	*ret = node;
	return 0;
}

VP_EXPORT int virtpmem_dax_get_size(struct virtpmem_dax *dax, uint64_t *ret)
{
	return read_u64(dax, "size", ret);
}

VP_EXPORT int virtpmem_dax_get_align(struct virtpmem_dax *dax, uint64_t *ret)
{
	return read_u64(dax, "align", ret);
}

VP_EXPORT int virtpmem_dax_get_target_node(struct virtpmem_dax *dax, int *ret)
{
	return read_node(dax, "target_node", ret);
}

static const struct {
	const char *driver;
	const char *name;
} modes[] = {
	[VIRTPMEM_DAX_UNKNOWN] = { NULL, "unknown" },
	[VIRTPMEM_DAX_DISABLED] = { NULL, "disabled" },
	[VIRTPMEM_DAX_DEVDAX] = { "device_dax", "devdax" },
	[VIRTPMEM_DAX_SYSTEM_RAM] = { "kmem", "system-ram" },
	[VIRTPMEM_DAX_FAMFS] = { "fsdev_dax", "famfs" },
};

VP_EXPORT int virtpmem_dax_get_mode(struct virtpmem_dax *dax, enum virtpmem_dax_mode *ret)
{
	_cleanup_free_ char *file = file_of(dax, "driver"), *driver = NULL;
	enum virtpmem_dax_mode mode = VIRTPMEM_DAX_UNKNOWN;
	uint64_t size;
	unsigned int i;
	int r;

	if (!file)
		return -ENOMEM;
	r = vp_read_link_name(dax->region, file, VP_OPTIONAL, &driver);
	if (r == -EOPNOTSUPP) {
		/* The device is there, and no driver has it. */
		mode = VIRTPMEM_DAX_DISABLED;
		r = read_u64(dax, "size", &size);
	}
	if (r < 0)
		return r;
	for (i = 0; driver && i < ARRAY_SIZE(modes); i++)
		if (modes[i].driver && !strcmp(driver, modes[i].driver))
			mode = (enum virtpmem_dax_mode)i;
	*ret = mode;
	return 0;
}

VP_EXPORT const char *virtpmem_dax_mode_name(enum virtpmem_dax_mode mode)
{
	if ((unsigned int)mode >= ARRAY_SIZE(modes))
		mode = VIRTPMEM_DAX_UNKNOWN;
	return modes[mode].name;
}

/* -------------------------------------------------------------- the map */

static int compare_ranges(const void *a, const void *b)
{
	uint64_t x = ((const struct range *)a)->offset, y = ((const struct range *)b)->offset;

	return x < y ? -1 : x > y;
}

static int add_range(struct virtpmem_dax_map *map, const struct range *range)
{
	struct range *ranges;

	ranges = reallocarray(map->ranges, map->count + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	map->ranges = ranges;
	ranges[map->count++] = *range;
	return 0;
}

struct map_reader {
	const struct virtpmem_dax *dax;
	struct virtpmem_dax_map *map;
};

/* "mappingN": the first and last address, and the offset in pages. */
static int read_mapping(const char *name, void *data)
{
	const struct map_reader *reader = data;
	const struct virtpmem_dax *dax = reader->dax;
	static const char *const files[] = { "start", "end", "page_offset" };
	uint64_t values[ARRAY_SIZE(files)];
	struct range range;
	unsigned int i, id;
	int r;

	if (!vp_parse_id(name, "mapping", &id))
		return 0;
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *file = NULL;

		if (asprintf(&file, "%s/%s", name, files[i]) < 0) {
			file = NULL;
			return -ENOMEM;
		}
		r = read_hex(dax, file, &values[i]);
		if (r < 0)
			return r;
	}
	range.address = values[0];
	if (values[1] < values[0] || values[1] - values[0] == UINT64_MAX ||
	    __builtin_mul_overflow(values[2], (uint64_t)sysconf(_SC_PAGESIZE), &range.offset))
		return vp_malformed(dax->region, dax->dir, "a mapping makes no sense");
	range.length = values[1] - values[0] + 1;
	return add_range(reader->map, &range);
}

/* Kernels before 5.10 have one range, and no mappings. */
static int read_only_range(const struct virtpmem_dax *dax, uint64_t size,
			   struct virtpmem_dax_map *map)
{
	struct range range = { .offset = 0, .length = size };
	int r;

	r = read_hex(dax, "resource", &range.address);
	if (r < 0)
		return r;
	if (size && range.address + (size - 1) < range.address)
		return vp_malformed(dax->region, dax->dir, "the address makes no sense");
	return size ? add_range(map, &range) : 0;
}

static int read_map(const struct virtpmem_dax *dax, struct virtpmem_dax_map *map)
{
	struct map_reader reader = { .dax = dax, .map = map };
	uint64_t size, next = 0;
	size_t i;
	int r;

	r = read_u64(dax, "size", &size);
	if (!r)
		r = vp_each_entry(dax->region, dax->dir, VP_REQUIRED, read_mapping, &reader);
	if (!r && !map->count)
		r = read_only_range(dax, size, map);
	if (r < 0)
		return r;
	if (map->count)
		qsort(map->ranges, map->count, sizeof(*map->ranges), compare_ranges);
	for (i = 0; i < map->count; i++) {
		if (map->ranges[i].offset != next ||
		    __builtin_add_overflow(next, map->ranges[i].length, &next))
			break;
	}
	if (i < map->count || next != size)
		return vp_malformed(dax->region, dax->dir, "the mappings do not add up");
	return 0;
}

VP_EXPORT int virtpmem_dax_get_map(struct virtpmem_dax *dax, struct virtpmem_dax_map **ret)
{
	struct virtpmem_dax_map *map = calloc(1, sizeof(*map));
	int r;

	if (!map)
		return -ENOMEM;
	map->refs = 1;
	r = read_map(dax, map);
	if (r < 0) {
		virtpmem_dax_map_unref(map);
		return r;
	}
	*ret = map;
	return 0;
}

VP_EXPORT struct virtpmem_dax_map *virtpmem_dax_map_ref(struct virtpmem_dax_map *map)
{
	map->refs++;
	return map;
}

VP_EXPORT struct virtpmem_dax_map *virtpmem_dax_map_unref(struct virtpmem_dax_map *map)
{
	if (!map || --map->refs)
		return NULL;
	free(map->ranges);
	free(map);
	return NULL;
}

VP_EXPORT unsigned int virtpmem_dax_map_get_count(const struct virtpmem_dax_map *map)
{
	return (unsigned int)map->count;
}

VP_EXPORT int virtpmem_dax_map_get_range(const struct virtpmem_dax_map *map, unsigned int i,
					 uint64_t *offset, uint64_t *address, uint64_t *length)
{
	if (i >= map->count)
		return -ERANGE;
	*offset = map->ranges[i].offset;
	*address = map->ranges[i].address;
	*length = map->ranges[i].length;
	return 0;
}

VP_EXPORT int virtpmem_dax_map_to_address(const struct virtpmem_dax_map *map, uint64_t offset,
					  uint64_t *ret)
{
	size_t i;

	for (i = 0; i < map->count; i++) {
		const struct range *range = &map->ranges[i];

		if (offset < range->offset || offset - range->offset >= range->length)
			continue;
		*ret = range->address + (offset - range->offset);
		return 0;
	}
	return -ERANGE;
}

VP_EXPORT int virtpmem_dax_map_to_offset(const struct virtpmem_dax_map *map, uint64_t address,
					 uint64_t *ret)
{
	size_t i;

	for (i = 0; i < map->count; i++) {
		const struct range *range = &map->ranges[i];

		if (address < range->address || address - range->address >= range->length)
			continue;
		*ret = range->offset + (address - range->address);
		return 0;
	}
	return -ERANGE;
}
