// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a region's memory is bad, in the terms of each device that is made of
 * it.
 *
 * No number of one layer is given to another as it is:
 *
 *  - A region's list counts from the region's start. With the addresses of
 *    region, namespace and DAX device it becomes theirs; these are for root.
 *  - A block device has a list of its own, which counts from where its data
 *    starts, behind the metadata of a pfn device. It is what reads fail on. Where
 *    the region's list says otherwise both are given as they are, and that they
 *    differ is noted: which of them is right cannot be told.
 *  - A partition starts at a sector of its disk.
 *  - In sector mode a block can be anywhere: only the namespace's list is
 *    known.
 *  - What is stacked on a device places it as it likes: that is noted as
 *    missing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "ranges.h"

#define SECTOR		512
/* One page; the largest there is. */
#define LIST_MAX	65536

struct virtpmem_bad_range {
	struct virtpmem_bad_range *next;
	enum virtpmem_bad_layer layer;
	char *device;
	uint64_t offset;
	uint64_t length;
	bool whole;
};

/*
 * @missing: what is not here, in words. @unread: that is also part of the lists of the
 * region and of its block devices.
 */
struct virtpmem_bad_ranges {
	unsigned int refs;
	struct virtpmem_bad_range *first;
	struct virtpmem_bad_range **end;
	char *missing;
	bool unread;
};

/*
 * @physical: the region's list as addresses; empty if these may not be seen.
 * @located: it is all of that list. @cut: a list was longer than the kernel shows.
 */
struct reader {
	struct virtpmem_region *region;
	struct virtpmem_bad_ranges *result;
	struct vp_ranges physical;
	bool located;
	bool cut;
};

static int miss(struct reader *rd, const char *format, ...)
	__attribute__((__format__(__printf__, 2, 3)));

static int miss(struct reader *rd, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = vp_note_missing(rd->region->ctx, &rd->result->missing, format, args);
	va_end(args);
	return r;
}

/* What cannot be read is missing, unless the region is. */
static int miss_file(struct reader *rd, const char *what, int error)
{
	const char *why = strerror(-error);

	if (error == -ENOMEM || error == -ENODEV)
		return error;
	if (error == -EOPNOTSUPP)
		why = "the kernel does not say";
	else if (error == -EBADMSG)
		why = "the file does not hold what it should";
	return miss(rd, "%s: %s: %s", rd->region->devname, what, why);
}

/* The same of a list, or of what places one: more may be bad than the lists say. */
static int miss_list(struct reader *rd, const char *what, int error)
{
	rd->result->unread = true;
	return miss_file(rd, what, error);
}

static int add_record(struct reader *rd, enum virtpmem_bad_layer layer, const char *device,
		      const struct vp_range *range, uint64_t size)
{
	struct virtpmem_bad_range *record = calloc(1, sizeof(*record));

	if (!record)
		return -ENOMEM;
	record->device = strdup(device);
	if (!record->device) {
		free(record);
		return -ENOMEM;
	}
	record->layer = layer;
	record->offset = range->start;
	record->length = range->length;
	record->whole = !range->start && range->length >= size;
	*rd->result->end = record;
	rd->result->end = &record->next;
	return 0;
}

static int add_records(struct reader *rd, enum virtpmem_bad_layer layer, const char *device,
		       const struct vp_ranges *set, uint64_t size)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < set->count; i++)
		r = add_record(rd, layer, device, &set->range[i], size);
	return r;
}

/* Reads a list of @size bytes of a device; one that is not there is empty. */
static int read_list(struct reader *rd, const char *file, uint64_t size, struct vp_ranges *ret)
{
	_cleanup_(vp_ranges_done) struct vp_ranges all = { .range = NULL };
	_cleanup_free_ char *text = NULL;
	bool cut;
	int r;

	r = vp_read_text(rd->region, file, LIST_MAX, VP_OPTIONAL, &text);
	if (r == -EOPNOTSUPP)
		return r;
	if (!r) {
		r = vp_ranges_parse(text, &all, &cut);
		if (r == -EBADMSG)
			vp_malformed(rd->region, file, "not a list of bad blocks");
	}
	if (r < 0)
		return miss_list(rd, file, r);
	if (cut) {
		rd->cut = true;
		rd->result->unread = true;
		r = miss(rd, "%s/%s: the kernel has more than it shows", rd->region->devname, file);
		if (r < 0)
			return r;
	}
	return vp_ranges_move(&all, 0, size, 0, ret);
}

/* ------------------------------------------------------ region, namespace */

static int read_region(struct reader *rd, uint64_t size)
{
	_cleanup_(vp_ranges_done) struct vp_ranges set = { .range = NULL };
	struct virtpmem_region *region = rd->region;
	uint64_t address;
	int r;

	r = read_list(rd, "badblocks", size, &set);
	if (r == -EOPNOTSUPP)
		return miss_list(rd, "badblocks", r);
	if (!r)
		r = add_records(rd, VIRTPMEM_BAD_REGION, region->devname, &set, size);
	/* Nothing is bad: where that is does not matter. */
	rd->located = !r && !set.count;
	if (r < 0 || !set.count)
		return r;
	r = virtpmem_region_get_resource(region, &address);
	if (r < 0)
		return miss_file(rd, "resource", r);
	r = vp_ranges_move(&set, 0, size, address, &rd->physical);
	if (r == -ERANGE)
		return vp_malformed(region, "resource", "the address makes no sense");
	rd->located = !r;
	return r;
}

static int read_address(struct reader *rd, const char *dir, uint64_t *ret)
{
	_cleanup_free_ char *file = NULL;

	if (asprintf(&file, "%s/resource", dir) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	return vp_read_hex(rd->region, file, VP_OPTIONAL, ret);
}

/* Returns 1 if there is anything bad in it. */
static int read_namespace(struct reader *rd, const struct virtpmem_namespace *ns)
{
	_cleanup_(vp_ranges_done) struct vp_ranges set = { .range = NULL };
	_cleanup_free_ char *file = NULL;
	uint64_t address, size;
	int r;

	if (!rd->physical.count)
		return 0;
	if (asprintf(&file, "%s/size", ns->devname) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = vp_read_u64(rd->region, file, VP_OPTIONAL, &size);
	if (!r)
		r = read_address(rd, ns->devname, &address);
	if (r < 0)
		return miss_file(rd, ns->devname, r);
	r = vp_ranges_move(&rd->physical, address, size, 0, &set);
	if (!r)
		r = add_records(rd, VIRTPMEM_BAD_NAMESPACE, ns->devname, &set, size);
	return r < 0 ? r : set.count > 0;
}

/* --------------------------------------------------------- block devices */

/* A number of sectors, in bytes. */
static int read_sectors(struct reader *rd, const char *dir, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *file = NULL;
	uint64_t sectors;
	int r;

	if (asprintf(&file, "%s/%s", dir, name) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = vp_read_u64(rd->region, file, VP_OPTIONAL, &sectors);
	if (!r && __builtin_mul_overflow(sectors, (uint64_t)SECTOR, ret))
		r = vp_malformed(rd->region, file, "too large");
	return r;
}

struct device {
	struct reader *rd;
	const char *dir;
	const char *name;
	const struct vp_ranges *bad;
};

static int note_stacked(const char *name, void *data)
{
	const struct device *device = data;

	return miss(device->rd, "how %s lies on %s, which has bad ranges, cannot be told", name,
		    device->name);
}

static int read_stacked(struct device *device)
{
	_cleanup_free_ char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s/holders", device->dir) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	r = vp_each_entry(device->rd->region, dir, VP_OPTIONAL, note_stacked, device);
	return r == -EOPNOTSUPP ? 0 : r;
}

static int read_partition(const char *name, void *data)
{
	_cleanup_(vp_ranges_done) struct vp_ranges set = { .range = NULL };
	const struct device *disk = data;
	struct reader *rd = disk->rd;
	_cleanup_free_ char *dir = NULL;
	struct device part = { .rd = rd, .name = name, .bad = &set };
	uint64_t start, size;
	int r;

	if (strncmp(name, disk->name, strlen(disk->name)) != 0)
		return 0;
	if (asprintf(&dir, "%s/%s", disk->dir, name) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	part.dir = dir;
	r = read_sectors(rd, dir, "start", &start);
	if (!r)
		r = read_sectors(rd, dir, "size", &size);
	if (r < 0)
		return miss_file(rd, name, r);
	r = vp_ranges_move(disk->bad, start, size, 0, &set);
	if (!r)
		r = add_records(rd, VIRTPMEM_BAD_PARTITION, name, &set, size);
	return r || !set.count ? r : read_stacked(&part);
}

/* What is made of a device that has bad blocks. */
static int read_on_top(struct device *disk)
{
	int r = read_stacked(disk);

	if (!r)
		r = vp_each_entry(disk->rd->region, disk->dir, VP_OPTIONAL, read_partition, disk);
	return r == -EOPNOTSUPP ? 0 : r;
}

/* Whether the list of a block device is that of the region, where that can be told. */
static int compare_lists(struct reader *rd, const struct virtpmem_namespace *ns, uint64_t size,
			 const struct vp_ranges *own)
{
	_cleanup_(vp_ranges_done) struct vp_ranges regions = { .range = NULL };
	uint64_t address;
	int r;

	if (!rd->located || rd->cut || (!own->count && !rd->physical.count))
		return 0;
	r = read_address(rd, ns->holder ? ns->holder : ns->devname, &address);
	if (r < 0)
		return r == -ENOMEM || r == -ENODEV ? r : 0;
	r = vp_ranges_move(&rd->physical, address, size, 0, &regions);
	if (r < 0 || vp_ranges_equal(&regions, own))
		return r;
	return miss(rd, "%s and %s list other bad blocks of the same memory: reads of %s fail on "
		    "its own", rd->region->devname, ns->blockdev, ns->blockdev);
}

static int read_disk(struct reader *rd, const struct virtpmem_namespace *ns, bool bad)
{
	_cleanup_(vp_ranges_done) struct vp_ranges set = { .range = NULL }, all = set;
	struct device disk = {
		.rd = rd, .dir = ns->blockdir, .name = ns->blockdev, .bad = &set,
	};
	_cleanup_free_ char *file = NULL;
	uint64_t size;
	int r;

	if (asprintf(&file, "%s/badblocks", ns->blockdir) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = read_list(rd, file, UINT64_MAX, &all);
	if (r == -EOPNOTSUPP && bad)
		return miss(rd, "which blocks of %s are bad cannot be told", ns->blockdev);
	if (r < 0 || (!all.count && !rd->physical.count))
		return r == -EOPNOTSUPP ? 0 : r;
	r = read_sectors(rd, ns->blockdir, "size", &size);
	if (r < 0)
		return miss_list(rd, ns->blockdev, r);
	r = vp_ranges_move(&all, 0, size, 0, &set);
	if (!r)
		r = add_records(rd, VIRTPMEM_BAD_BLOCK, ns->blockdev, &set, size);
	if (!r && set.count)
		r = read_on_top(&disk);
	return r ? r : compare_lists(rd, ns, size, &set);
}

/* ----------------------------------------------------------- DAX devices */

static int read_dax(struct reader *rd, struct virtpmem_dax *dax)
{
	_cleanup_virtpmem_dax_map_unref_ struct virtpmem_dax_map *map = NULL;
	_cleanup_(vp_ranges_done) struct vp_ranges set = { .range = NULL };
	const char *name = virtpmem_dax_get_devname(dax);
	uint64_t offset, address, length, size = 0;
	unsigned int i;
	int r;

	r = virtpmem_dax_get_map(dax, &map);
	if (r < 0)
		return miss_file(rd, name, r);
	for (i = 0; !virtpmem_dax_map_get_range(map, i, &offset, &address, &length); i++) {
		r = vp_ranges_move(&rd->physical, address, length, offset, &set);
		if (r < 0)
			return r;
		size += length;
	}
	return add_records(rd, VIRTPMEM_BAD_DAX, name, &set, size);
}

static int read_dax_devices(struct reader *rd, const struct virtpmem_namespace *namespaces)
{
	struct virtpmem_dax *list, *dax;
	int r;

	if (!rd->physical.count)
		return 0;
	r = vp_dax_read(rd->region, namespaces, &list);
	if (r < 0)
		return miss_file(rd, "DAX devices", r);
	for (dax = list; !r && dax; dax = virtpmem_dax_get_next(dax))
		r = read_dax(rd, dax);
	vp_dax_free(list);
	return r;
}

/* ------------------------------------------------------------------ all */

/* The device under the region has gone: 1, 0 or a negative errno. */
static int is_lost(struct virtpmem_region *region)
{
	_cleanup_free_ char *reason = NULL;
	int r;

	if (!vp_region_has_group(region))
		return 0;
	r = virtpmem_region_get_broken_reason(region, &reason);
	if (r < 0)
		return r == -ENOMEM || r == -ENODEV ? r : 0;
	return !strcmp(reason, VIRTIO_PMEM_REASON_GONE);
}

/* The region's own list can be of long ago. */
static int read_devices(struct reader *rd)
{
	struct virtpmem_namespace *list, *ns;
	int r;

	r = vp_namespaces_read(rd->region, &list);
	if (r < 0)
		return miss_file(rd, "namespaces", r);
	for (ns = list; r >= 0 && ns; ns = ns->next) {
		r = read_namespace(rd, ns);
		if (r >= 0 && ns->unsure)
			r = miss(rd, "what %s is made into cannot be told", ns->devname);
		else if (r >= 0 && ns->blockdir)
			r = read_disk(rd, ns, r > 0);
	}
	if (r >= 0)
		r = read_dax_devices(rd, list);
	vp_namespaces_free(list);
	return r;
}

static int read_all(struct reader *rd)
{
	struct vp_range everything = { .start = 0 };
	int r;

	r = virtpmem_region_get_size(rd->region, &everything.length);
	if (r < 0)
		return r;
	r = is_lost(rd->region);
	if (r > 0)
		return add_record(rd, VIRTPMEM_BAD_REGION, rd->region->devname, &everything,
				  everything.length);
	if (!r)
		r = read_region(rd, everything.length);
	return r < 0 ? r : read_devices(rd);
}

VP_EXPORT int virtpmem_region_get_bad_ranges(struct virtpmem_region *region,
					     struct virtpmem_bad_ranges **ret)
{
	struct virtpmem_bad_ranges *result = calloc(1, sizeof(*result));
	struct reader rd = { .region = region, .result = result };
	int r;

	if (!result)
		return -ENOMEM;
	result->refs = 1;
	result->end = &result->first;
	r = read_all(&rd);
	vp_ranges_done(&rd.physical);
	if (r < 0) {
		virtpmem_bad_ranges_unref(result);
		return r;
	}
	*ret = result;
	return 0;
}

VP_EXPORT struct virtpmem_bad_ranges *virtpmem_bad_ranges_ref(struct virtpmem_bad_ranges *ranges)
{
	ranges->refs++;
	return ranges;
}

VP_EXPORT struct virtpmem_bad_ranges *virtpmem_bad_ranges_unref(struct virtpmem_bad_ranges *ranges)
{
	struct virtpmem_bad_range *range, *next;

	if (!ranges || --ranges->refs)
		return NULL;
	for (range = ranges->first; range; range = next) {
		next = range->next;
		free(range->device);
		free(range);
	}
	free(ranges->missing);
	free(ranges);
	return NULL;
}

/* Whether more may be bad than the lists of the region and of its block devices say. */
bool vp_bad_ranges_unread(const struct virtpmem_bad_ranges *ranges)
{
	return ranges->unread;
}

VP_EXPORT bool virtpmem_bad_ranges_is_complete(const struct virtpmem_bad_ranges *ranges)
{
	return !ranges->missing;
}

VP_EXPORT const char *virtpmem_bad_ranges_get_missing(const struct virtpmem_bad_ranges *ranges)
{
	return ranges->missing;
}

VP_EXPORT struct virtpmem_bad_range *
virtpmem_bad_range_get_first(struct virtpmem_bad_ranges *ranges)
{
	return ranges->first;
}

VP_EXPORT struct virtpmem_bad_range *virtpmem_bad_range_get_next(struct virtpmem_bad_range *range)
{
	return range->next;
}

VP_EXPORT enum virtpmem_bad_layer
virtpmem_bad_range_get_layer(const struct virtpmem_bad_range *range)
{
	return range->layer;
}

VP_EXPORT const char *virtpmem_bad_layer_name(enum virtpmem_bad_layer layer)
{
	static const char *const names[] = {
		[VIRTPMEM_BAD_REGION] = "region",
		[VIRTPMEM_BAD_NAMESPACE] = "namespace",
		[VIRTPMEM_BAD_BLOCK] = "block",
		[VIRTPMEM_BAD_PARTITION] = "partition",
		[VIRTPMEM_BAD_DAX] = "dax",
	};

	return (unsigned int)layer < ARRAY_SIZE(names) ? names[layer] : "unknown";
}

VP_EXPORT const char *virtpmem_bad_range_get_device(const struct virtpmem_bad_range *range)
{
	return range->device;
}

VP_EXPORT uint64_t virtpmem_bad_range_get_offset(const struct virtpmem_bad_range *range)
{
	return range->offset;
}

VP_EXPORT uint64_t virtpmem_bad_range_get_length(const struct virtpmem_bad_range *range)
{
	return range->length;
}

VP_EXPORT bool virtpmem_bad_range_is_whole(const struct virtpmem_bad_range *range)
{
	return range->whole;
}
