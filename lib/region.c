// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Regions: the scan that finds them, who owns them, and what libnvdimm says
 * of each.
 *
 * A scan opens each region's directory by the path that the bus's link holds,
 * so that name, path and descriptor belong together. It lists every region or
 * fails; one that goes while it is looked at is simply not there any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

#define ND_DEVICES	"/sys/bus/nd/devices"

static void region_freep(struct virtpmem_region **region)
{
	vp_region_free(*region);
}

void vp_region_free(struct virtpmem_region *region)
{
	if (!region)
		return;
	vp_namespaces_free(region->namespaces);
	vp_dax_free(region->dax);
	virtpmem_region_snapshot_end(region);
	vp_closep(&region->dirfd);
	free(region->devname);
	free(region->syspath);
	free(region->path);
	free(region);
}

VP_EXPORT struct virtpmem_region *virtpmem_region_ref(struct virtpmem_region *region)
{
	if (!region->refs++)
		virtpmem_ref(region->ctx);
	return region;
}

VP_EXPORT struct virtpmem_region *virtpmem_region_unref(struct virtpmem_region *region)
{
	struct virtpmem_ctx *ctx;

	if (!region || --region->refs)
		return NULL;
	ctx = region->ctx;
	if (!region->listed)
		vp_region_free(region);
	virtpmem_unref(ctx);
	return NULL;
}

/* The directory is opened anew: two threads must not share a position in it. */
VP_EXPORT int virtpmem_region_copy(const struct virtpmem_region *region, struct virtpmem_ctx *ctx,
				   struct virtpmem_region **ret)
{
	_cleanup_(region_freep) struct virtpmem_region *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	copy->ctx = ctx;
	copy->id = region->id;
	copy->devname = strdup(region->devname);
	copy->syspath = strdup(region->syspath);
	copy->path = region->path ? strdup(region->path) : NULL;
	copy->dirfd = -1;
	if (!copy->devname || !copy->syspath || (region->path && !copy->path))
		return -ENOMEM;
	copy->dirfd = openat(region->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy->dirfd < 0)
		return vp_file_error(region, ".", "cannot open", errno, VP_REQUIRED);
	/* A directory that is open can be opened once more when it is gone. */
	if (!vp_region_alive(copy))
		return -ENODEV;

	*ret = virtpmem_region_ref(copy);
	copy = NULL;
	return 0;
}

/* --------------------------------------------------------------- scan */

/* The component of @syspath that lies @up levels above its last; NULL if there is none. */
static int ancestor_name(const char *syspath, unsigned int up, char **ret)
{
	const char *end = syspath + strlen(syspath);

	for (;;) {
		const char *start = memrchr(syspath, '/', (size_t)(end - syspath));

		if (!start || start == syspath) {
			*ret = NULL;
			return 0;
		}
		if (!up--) {
			*ret = strndup(start + 1, (size_t)(end - start - 1));
			return *ret ? 0 : -ENOMEM;
		}
		end = start;
	}
}

/*
 * The device that has the ndbus below it, named as /dev/disk/by-path does it.
 * virtio numbers its devices in the order of their discovery, so for those it
 * is the device that carries the virtio device. Without a bus to tell, NULL.
 */
static int region_find_path(struct virtpmem_region *region)
{
	static const char *const links[] = { "../../subsystem", "../../../subsystem" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_free_ char *subsystem = NULL;
		_cleanup_free_ char *device = NULL;
		int r;

		r = vp_read_link_above(region, links[i], VP_OPTIONAL, &subsystem);
		if (r == -ENOMEM || r == -ENODEV)
			return r;
		if (r < 0)
			return 0;
		if (!strcmp(subsystem, "virtio"))
			continue;
		if (!vp_region_alive(region))
			return -ENODEV;
		r = ancestor_name(region->syspath, i + 2, &device);
		if (r < 0 || !device)
			return r;
		if (asprintf(&region->path, "%s-%s", subsystem, device) < 0) {
			region->path = NULL;
			return -ENOMEM;
		}
		return 0;
	}
	return 0;
}

/* "../../../devices/..." in the bus's directory is "/sys/devices/..." */
static char *syspath_of_link(const char *target)
{
	char *path;

	while (!strncmp(target, "../", 3))
		target += 3;
	if (strncmp(target, "devices/", 8) != 0)
		return strdup("");
	return asprintf(&path, "/sys/%s", target) < 0 ? NULL : path;
}

/* -ENODEV: it went while it was looked at. */
static int region_new(struct virtpmem_ctx *ctx, int busfd, const char *devname, unsigned int id,
		      struct virtpmem_region **ret)
{
	_cleanup_(region_freep) struct virtpmem_region *region = NULL;
	char target[PATH_MAX];
	ssize_t n;
	int r;

	region = calloc(1, sizeof(*region));
	if (!region)
		return -ENOMEM;
	region->ctx = ctx;
	region->id = id;
	region->dirfd = -1;

	n = readlinkat(busfd, devname, target, sizeof(target) - 1);
	if (n < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	target[n] = '\0';
	region->devname = strdup(devname);
	region->syspath = syspath_of_link(target);
	if (!region->devname || !region->syspath)
		return -ENOMEM;
	if (strcmp(vp_basename(region->syspath), devname) != 0) {
		vp_err(ctx, ND_DEVICES "/%s: the link is malformed", devname);
		return -EBADMSG;
	}
	region->dirfd = openat(busfd, target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (region->dirfd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	r = region_find_path(region);
	if (r < 0)
		return r;

	*ret = region;
	region = NULL;
	return 0;
}

static void list_insert(struct virtpmem_region **list, struct virtpmem_region *region)
{
	while (*list && (*list)->id < region->id)
		list = &(*list)->next;
	region->next = *list;
	*list = region;
}

static void list_drop(struct virtpmem_region *region)
{
	struct virtpmem_region *next;

	for (; region; region = next) {
		next = region->next;
		region->next = NULL;
		region->listed = false;
		if (!region->refs)
			vp_region_free(region);
	}
}

static void list_dropp(struct virtpmem_region **list)
{
	list_drop(*list);
}

/* Returns how many there are. */
static int scan(struct virtpmem_ctx *ctx, DIR *dir, struct virtpmem_region **list)
{
	int count = 0;

	for (;;) {
		struct virtpmem_region *region;
		const struct dirent *entry;
		unsigned int id;
		int r;

		errno = 0;
		entry = readdir(dir);
		if (!entry && errno)
			return -errno;
		if (!entry)
			return count;
		if (!vp_parse_id(entry->d_name, "region", &id))
			continue;
		r = region_new(ctx, dirfd(dir), entry->d_name, id, &region);
		if (r == -ENODEV) {
			vp_info(ctx, "%s went during the scan", entry->d_name);
			continue;
		}
		if (r < 0) {
			vp_err(ctx, ND_DEVICES "/%s: %s", entry->d_name, strerror(-r));
			return r;
		}
		region->listed = true;
		list_insert(list, region);
		count++;
	}
}

/* What the kernel shows now, apart from the list of the context; returns how many. */
static int regions_read(struct virtpmem_ctx *ctx, struct virtpmem_region **ret)
{
	_cleanup_(list_dropp) struct virtpmem_region *list = NULL;
	_cleanup_closedir_ DIR *dir = NULL;
	int count = 0;

	dir = opendir(ND_DEVICES);
	if (!dir && errno != ENOENT) {
		int error = errno;

		vp_err(ctx, ND_DEVICES ": %s", strerror(error));
		return error == EPERM ? -EACCES : -error;
	}
	if (!dir)
		vp_info(ctx, ND_DEVICES ": there is none: libnvdimm is not loaded");
	else
		count = scan(ctx, dir, &list);
	if (count < 0)
		return count;

	*ret = list;
	list = NULL;
	return count;
}

/*
 * The same for somebody who keeps regions of its own: each comes with one
 * reference and is on no list but the one that "next" makes, which is the
 * caller's to take apart.
 */
int vp_regions_read(struct virtpmem_ctx *ctx, struct virtpmem_region **ret)
{
	struct virtpmem_region *list = NULL, *region;
	int count = regions_read(ctx, &list);

	if (count < 0)
		return count;
	for (region = list; region; region = region->next) {
		region->listed = false;
		virtpmem_region_ref(region);
	}
	*ret = list;
	return count;
}

VP_EXPORT int virtpmem_scan(struct virtpmem_ctx *ctx)
{
	struct virtpmem_region *old = ctx->regions;
	int count = regions_read(ctx, &ctx->regions);

	if (count < 0)
		return count;
	list_drop(old);
	vp_unbound_free(ctx->unbound);
	ctx->unbound = NULL;
	ctx->unbound_read = false;
	return count;
}

VP_EXPORT struct virtpmem_region *virtpmem_region_get_first(struct virtpmem_ctx *ctx)
{
	return ctx->regions;
}

VP_EXPORT struct virtpmem_region *virtpmem_region_get_next(struct virtpmem_region *region)
{
	return region->next;
}

/* --------------------------------------------------------- properties */

VP_EXPORT const char *virtpmem_region_get_devname(const struct virtpmem_region *region)
{
	return region->devname;
}

VP_EXPORT unsigned int virtpmem_region_get_id(const struct virtpmem_region *region)
{
	return region->id;
}

VP_EXPORT const char *virtpmem_region_get_path(const struct virtpmem_region *region)
{
	return region->path;
}

VP_EXPORT int virtpmem_region_get_size(struct virtpmem_region *region, uint64_t *ret)
{
	return vp_read_u64(region, "size", VP_REQUIRED, ret);
}

/* Regions without labels have no such file: a namespace takes all of them. */
VP_EXPORT int virtpmem_region_get_available_size(struct virtpmem_region *region, uint64_t *ret)
{
	return vp_read_u64(region, "available_size", VP_OPTIONAL, ret);
}

VP_EXPORT int virtpmem_region_get_resource(struct virtpmem_region *region, uint64_t *ret)
{
	return vp_read_hex(region, "resource", VP_OPTIONAL, ret);
}

VP_EXPORT int virtpmem_region_get_numa_node(struct virtpmem_region *region, int *ret)
{
	int node, r;

	r = vp_read_int(region, "numa_node", VP_REQUIRED, &node);
	if (r < 0)
		return r;
	if (node < -1)
		return vp_malformed(region, "numa_node", "not a node");
	*ret = node;
	return 0;
}

VP_EXPORT int virtpmem_region_get_read_only(struct virtpmem_region *region, bool *ret)
{
	return vp_read_bool(region, "read_only", VP_REQUIRED, ret);
}

static const struct {
	const char *devtype;
	const char *name;
} region_types[] = {
	[VIRTPMEM_REGION_UNKNOWN] = { NULL, "unknown" },
	[VIRTPMEM_REGION_PMEM] = { "nd_pmem", "pmem" },
	[VIRTPMEM_REGION_VOLATILE] = { "nd_volatile", "volatile" },
	[VIRTPMEM_REGION_BLK] = { "nd_blk", "blk" },
};

VP_EXPORT int virtpmem_region_get_type(struct virtpmem_region *region,
				       enum virtpmem_region_type *ret)
{
	_cleanup_free_ char *word = NULL;
	unsigned int i;
	int r;

	r = vp_read_word(region, "devtype", VP_REQUIRED, &word);
	if (r < 0)
		return r;
	*ret = VIRTPMEM_REGION_UNKNOWN;
	for (i = 0; i < ARRAY_SIZE(region_types); i++)
		if (region_types[i].devtype && !strcmp(word, region_types[i].devtype))
			*ret = (enum virtpmem_region_type)i;
	return 0;
}

VP_EXPORT const char *virtpmem_region_type_name(enum virtpmem_region_type type)
{
	if ((unsigned int)type >= ARRAY_SIZE(region_types))
		type = VIRTPMEM_REGION_UNKNOWN;
	return region_types[type].name;
}

/* The kernel leaves the line empty where it does not know. */
VP_EXPORT int virtpmem_region_get_persistence_domain(struct virtpmem_region *region, char **ret)
{
	_cleanup_free_ char *line = NULL;
	int r;

	r = vp_read_line(region, "persistence_domain", VP_OPTIONAL, &line);
	if (r < 0)
		return r;
	if (!*line)
		return -EOPNOTSUPP;
	*ret = line;
	line = NULL;
	return 0;
}

VP_EXPORT int virtpmem_region_get_provider(struct virtpmem_region *region, char **ret)
{
	return vp_read_word(region, "../provider", VP_REQUIRED, ret);
}
