// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finding a region by any of the names that people have for it.
 *
 * Every other name than the region's own is first turned into a device in
 * sysfs, and that device lies below the region's directory, or is stacked on
 * one that does (sysfs lists what it is made of in "slaves").
 */
#include <dirent.h>
#include <errno.h>
#include <libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "private.h"

/* Deeper stacks than any that exist; ends a loop in a tree that has one. */
#define DEPTH_MAX	16

/* What the name stands for: one region, or with -ENOTUNIQ also another one. */
struct found {
	struct virtpmem_region *region, *other;
};

/* Remember one more region that the name stands for. */
static int found(struct virtpmem_region *region, struct found *ret)
{
	if (ret->region && ret->region != region) {
		ret->other = region;
		return -ENOTUNIQ;
	}
	ret->region = region;
	return 0;
}

/* What open() and the like say of a name that nothing has, or can have. */
static bool is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG;
}

/* ------------------------------------------------- by a device in sysfs */

static int find_by_syspath(struct virtpmem_ctx *ctx, const char *link, unsigned int depth,
			   struct found *ret);

static int find_by_slaves(struct virtpmem_ctx *ctx, const char *syspath, unsigned int depth,
			  struct found *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_free_ char *slaves = NULL;
	const struct dirent *entry;

	if (asprintf(&slaves, "%s/slaves", syspath) < 0) {
		slaves = NULL;
		return -ENOMEM;
	}
	dir = opendir(slaves);
	if (!dir)
		return is_absent(errno) ? 0 : -errno;
	while (errno = 0, (entry = readdir(dir))) {
		_cleanup_free_ char *slave = NULL;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&slave, "%s/%s", slaves, entry->d_name) < 0) {
			slave = NULL;
			return -ENOMEM;
		}
		r = find_by_syspath(ctx, slave, depth + 1, ret);
		if (r < 0)
			return r;
	}
	return errno ? -errno : 0;
}

/* Whether a device, by its path in sysfs, is one of the region's. */
bool vp_region_has(const struct virtpmem_region *region, const char *syspath)
{
	return vp_lies_below(syspath, region->syspath);
}

/* The whole device of a partition, whose directory the partition's lies in. */
static int find_by_whole_device(struct virtpmem_ctx *ctx, const char *syspath, unsigned int depth,
				struct found *ret)
{
	_cleanup_free_ char *mark = NULL;
	_cleanup_free_ char *whole = NULL;
	struct stat st;

	if (asprintf(&mark, "%s/partition", syspath) < 0) {
		mark = NULL;
		return -ENOMEM;
	}
	if (stat(mark, &st) < 0)
		return 0;
	whole = strndup(syspath, (size_t)(vp_basename(syspath) - syspath) - 1);
	if (!whole)
		return -ENOMEM;
	return find_by_slaves(ctx, whole, depth, ret);
}

/*
 * Leaves *ret alone where there is no such device, or it has nothing to do
 * with a region.
 */
static int find_by_syspath(struct virtpmem_ctx *ctx, const char *link, unsigned int depth,
			   struct found *ret)
{
	_cleanup_free_ char *syspath = NULL;
	struct virtpmem_region *region;
	int r;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	syspath = realpath(link, NULL);
	if (!syspath)
		return is_absent(errno) ? 0 : -errno;
	virtpmem_region_foreach(ctx, region)
		if (vp_region_has(region, syspath))
			return found(region, ret);
	r = find_by_slaves(ctx, syspath, depth, ret);
	if (!r)
		r = find_by_whole_device(ctx, syspath, depth, ret);
	return r;
}

static int find_by_devno(struct virtpmem_ctx *ctx, const char *kind, dev_t devno,
			 struct found *ret)
{
	_cleanup_free_ char *link = NULL;

	if (asprintf(&link, "/sys/dev/%s/%u:%u", kind, major(devno), minor(devno)) < 0) {
		link = NULL;
		return -ENOMEM;
	}
	return find_by_syspath(ctx, link, 0, ret);
}

static int find_by_device_name(struct virtpmem_ctx *ctx, const char *name,
			       struct found *ret)
{
	static const char *const dirs[] = { "/sys/class/block", "/sys/bus/dax/devices" };
	unsigned int i;

	if (name[0] == '.')
		return 0;
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *link = NULL;
		int r;

		if (asprintf(&link, "%s/%s", dirs[i], name) < 0) {
			link = NULL;
			return -ENOMEM;
		}
		r = find_by_syspath(ctx, link, 0, ret);
		if (r < 0 || ret->region)
			return r;
	}
	return 0;
}

/* ----------------------------------------------------- by a mount point */

static void table_freep(struct libmnt_table **table)
{
	mnt_unref_table(*table);
}

static void cache_freep(struct libmnt_cache **cache)
{
	mnt_unref_cache(*cache);
}

/*
 * The number that the mount table gives is the block device's, except for file
 * systems that span several devices: there it is the source's.
 */
static int find_by_mount_point(struct virtpmem_ctx *ctx, const char *path,
			       struct found *ret)
{
	_cleanup_(table_freep) struct libmnt_table *table = NULL;
	_cleanup_(cache_freep) struct libmnt_cache *cache = NULL;
	_cleanup_free_ char *mountinfo = NULL;
	struct libmnt_fs *fs;
	const char *source;
	struct stat st;
	dev_t devno;

	if (asprintf(&mountinfo, "%s/self/mountinfo", ctx->proc) < 0) {
		mountinfo = NULL;
		return -ENOMEM;
	}
	errno = 0;
	table = mnt_new_table_from_file(mountinfo);
	if (!table) {
		int error = errno ? errno : EIO;

		vp_err(ctx, "%s: %s", mountinfo, strerror(error));
		return -error;
	}
	cache = mnt_new_cache();
	if (!cache || mnt_table_set_cache(table, cache) < 0)
		return -ENOMEM;
	/* From the end: the topmost of several on one mount point. */
	fs = mnt_table_find_target(table, path, MNT_ITER_BACKWARD);
	if (!fs)
		return 0;
	devno = mnt_fs_get_devno(fs);
	source = mnt_fs_get_srcpath(fs);
	if (!major(devno) && source && !stat(source, &st) && S_ISBLK(st.st_mode))
		devno = st.st_rdev;
	return find_by_devno(ctx, "block", devno, ret);
}

/* --------------------------------------------------------- by any name */

static int find_by_file(struct virtpmem_ctx *ctx, const char *path, struct found *ret)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (is_absent(errno))
			return 0;
		vp_err(ctx, "%s: %s", path, strerror(errno));
		return errno == EPERM ? -EACCES : -errno;
	}
	if (S_ISBLK(st.st_mode))
		return find_by_devno(ctx, "block", st.st_rdev, ret);
	if (S_ISCHR(st.st_mode))
		return find_by_devno(ctx, "char", st.st_rdev, ret);
	return find_by_mount_point(ctx, path, ret);
}

static int find_by_own_name(struct virtpmem_ctx *ctx, const char *name,
			    struct found *ret)
{
	struct virtpmem_region *region;

	virtpmem_region_foreach(ctx, region)
		if (!strcmp(region->devname, name))
			return found(region, ret);
	virtpmem_region_foreach(ctx, region) {
		int r;

		if (!region->path || strcmp(region->path, name) != 0)
			continue;
		r = found(region, ret);
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_by_namespace(struct virtpmem_ctx *ctx, const char *name,
			     struct found *ret)
{
	struct virtpmem_region *region;
	unsigned int region_id, id;

	if (!vp_parse_id_pair(name, "namespace", &region_id, &id))
		return 0;
	virtpmem_region_foreach(ctx, region) {
		struct virtpmem_namespace *ns;
		int r;

		if (region->id != region_id)
			continue;
		r = vp_namespaces_get(region, &ns);
		if (r < 0)
			return r;
		for (; ns; ns = ns->next)
			if (ns->id == id)
				return found(region, ret);
	}
	return 0;
}

static int find_by_name_in_dev(struct virtpmem_ctx *ctx, const char *name,
			       struct found *ret)
{
	if (strncmp(name, "/dev/", 5) != 0 || strchr(name + 5, '/'))
		return 0;
	return find_by_device_name(ctx, name + 5, ret);
}

typedef int (*find_fn)(struct virtpmem_ctx *ctx, const char *name, struct found *ret);

VP_EXPORT int virtpmem_region_find(struct virtpmem_ctx *ctx, const char *name,
				   struct virtpmem_region **ret)
{
	/* A name in /dev counts also where there is no node, as in a container. */
	static const find_fn with_slash[] = { find_by_file, find_by_name_in_dev };
	static const find_fn without[] = {
		find_by_own_name, find_by_namespace, find_by_device_name, find_by_file,
	};
	const bool slash = strchr(name, '/');
	const find_fn *fns = slash ? with_slash : without;
	size_t i, n = slash ? ARRAY_SIZE(with_slash) : ARRAY_SIZE(without);
	struct found names = { NULL, NULL };

	if (!*name)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		int r = fns[i](ctx, name, &names);

		if (r == -ENOTUNIQ)
			vp_err(ctx, "%s: stands for several regions, such as %s and %s", name,
			       names.region->devname, names.other->devname);
		if (r < 0)
			return r;
		if (names.region) {
			*ret = names.region;
			return 0;
		}
	}
	return -ENXIO;
}
