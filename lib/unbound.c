// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * virtio-pmem devices that no driver has, and that have no region therefore.
 *
 * What can be told of such a device is its own name, and where it is attached:
 * the path that its region would have, which virtpmem_add() takes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

#define VIRTIO_DEVICES	"/sys/bus/virtio/devices"

struct virtpmem_unbound {
	struct virtpmem_unbound *next;
	unsigned int id;
	char *devname;
	char *path;			/* NULL: it cannot be told */
};

void vp_unbound_free(struct virtpmem_unbound *device)
{
	struct virtpmem_unbound *next;

	for (; device; device = next) {
		next = device->next;
		free(device->devname);
		free(device->path);
		free(device);
	}
}

void vp_unbound_freep(struct virtpmem_unbound **device)
{
	vp_unbound_free(*device);
}

/* A device that goes while it is looked at is not there; of others the log says what was wrong. */
static int cannot(const struct virtpmem_ctx *ctx, const char *devname, const char *file, int error)
{
	if (error == ENOMEM)
		return -ENOMEM;
	if (error != ENOENT)
		vp_info(ctx, VIRTIO_DEVICES "/%s/%s: %s", devname, file, strerror(error));
	return 0;
}

/* 1: it is a virtio-pmem device and has no driver. 0: it is not, or that cannot be told. */
static int is_unbound(const struct virtpmem_ctx *ctx, int dir, const char *devname, int fd)
{
	_cleanup_free_ char *text = NULL;
	const char *why;
	uint64_t type;
	int r;

	r = vp_attr_read(fd, "device", &text, &why);
	if (r < 0)
		return cannot(ctx, devname, "device", -r);
	if (!vp_parse_hex(text, &type))
		return cannot(ctx, devname, "device", EBADMSG);
	if (type != VIRTIO_ID_PMEM || !faccessat(fd, "driver", F_OK, 0))
		return 0;
	/* If the whole device is gone, so is that file. */
	if (errno != ENOENT || faccessat(dir, devname, F_OK, 0) < 0)
		return cannot(ctx, devname, "driver", errno);
	return 1;
}

/* As a region's path: the bus of the device that carries it, and its name there. */
static int find_path(const struct virtpmem_ctx *ctx, int dir, int fd,
		     struct virtpmem_unbound *device)
{
	_cleanup_free_ char *link = NULL, *bus = NULL;
	char *end;
	int r;

	r = vp_link_read(dir, device->devname, &link);
	if (!r)
		r = vp_link_read(fd, "../subsystem", &bus);
	if (r < 0)
		return cannot(ctx, device->devname, "../subsystem", -r);
	end = strrchr(link, '/');
	if (!end)
		return 0;
	*end = '\0';
	if (asprintf(&device->path, "%s-%s", vp_basename(bus), vp_basename(link)) < 0) {
		device->path = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void insert(struct virtpmem_unbound **list, struct virtpmem_unbound *device)
{
	while (*list && (*list)->id < device->id)
		list = &(*list)->next;
	device->next = *list;
	*list = device;
}

static int look_at(const struct virtpmem_ctx *ctx, int dir, const char *devname, unsigned int id,
		   struct virtpmem_unbound **list)
{
	_cleanup_(vp_unbound_freep) struct virtpmem_unbound *device = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	fd = openat(dir, devname, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return cannot(ctx, devname, "", errno);
	r = is_unbound(ctx, dir, devname, fd);
	if (r <= 0)
		return r;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->id = id;
	device->devname = strdup(devname);
	if (!device->devname)
		return -ENOMEM;
	r = find_path(ctx, dir, fd, device);
	if (r < 0)
		return r;
	insert(list, device);
	device = NULL;
	return 0;
}

/* What there is now; the caller frees it. */
int vp_unbound_read(const struct virtpmem_ctx *ctx, struct virtpmem_unbound **ret)
{
	_cleanup_(vp_unbound_freep) struct virtpmem_unbound *list = NULL;
	_cleanup_closedir_ DIR *dir = opendir(VIRTIO_DEVICES);
	const struct dirent *entry;
	unsigned int id;
	int r = 0;

	if (!dir && errno != ENOENT) {
		r = errno == EPERM ? -EACCES : -errno;
		vp_err(ctx, VIRTIO_DEVICES ": %s", strerror(-r));
		return r;
	}
	while (dir) {
		errno = 0;
		entry = readdir(dir);
		if (!entry && errno)
			return -errno;
		if (!entry)
			break;
		if (vp_parse_id(entry->d_name, "virtio", &id))
			r = look_at(ctx, dirfd(dir), entry->d_name, id, &list);
		if (r < 0)
			return r;
	}
	*ret = list;
	list = NULL;
	return 0;
}

static int get_list(struct virtpmem_ctx *ctx, struct virtpmem_unbound **ret)
{
	int r;

	if (!ctx->unbound_read) {
		r = vp_unbound_read(ctx, &ctx->unbound);
		if (r < 0)
			return r;
		ctx->unbound_read = true;
	}
	*ret = ctx->unbound;
	return 0;
}

VP_EXPORT int virtpmem_get_unbound_count(struct virtpmem_ctx *ctx, unsigned int *ret)
{
	struct virtpmem_unbound *device = NULL;
	unsigned int count = 0;
	int r;

	r = get_list(ctx, &device);
	if (r < 0)
		return r;
	for (; device; device = device->next)
		count++;
	*ret = count;
	return 0;
}

VP_EXPORT struct virtpmem_unbound *virtpmem_unbound_get_first(struct virtpmem_ctx *ctx)
{
	struct virtpmem_unbound *first = NULL;

	return get_list(ctx, &first) < 0 ? NULL : first;
}

VP_EXPORT struct virtpmem_unbound *virtpmem_unbound_get_next(struct virtpmem_unbound *device)
{
	return device->next;
}

VP_EXPORT const char *virtpmem_unbound_get_devname(const struct virtpmem_unbound *device)
{
	return device->devname;
}

VP_EXPORT const char *virtpmem_unbound_get_path(const struct virtpmem_unbound *device)
{
	return device->path;
}
