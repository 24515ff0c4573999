// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Giving a device its driver, and so its region.
 *
 * There is no region yet that could be named, and the name it will get is not
 * known: the device is named by its path. A lock on the device's directory in
 * sysfs keeps two callers apart; nothing is created for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act.h"
#include "outside.h"

#define BUSES		"/sys/bus"
#define VIRTIO_BUS	"virtio"
#define VIRTIO_DRIVER	"virtio_pmem"

/*
 * The device that is bound: the one that the path names, or, if that carries
 * one, the virtio device on it. @fd: its directory. @syspath: that of a virtio device,
 * which has its region to itself; or NULL. @driver: which one it is to have; NULL:
 * whichever takes it.
 */
struct operation {
	struct virtpmem_ctx *ctx;
	struct virtpmem_plan *plan;
	const char *path;
	char *bus, *device, *syspath, *driver;
	int fd, lock;
	struct virtpmem_region *found;
};

static void operation_done(struct operation *op)
{
	virtpmem_region_unref(op->found);
	free(op->bus);
	free(op->device);
	free(op->syspath);
	free(op->driver);
	vp_closep(&op->fd);
	vp_closep(&op->lock);
}

/* -------------------------------------------------------------- looking */

static int open_device(const char *bus, const char *device)
{
	_cleanup_free_ char *path = NULL;
	int fd;

	if (asprintf(&path, BUSES "/%s/devices/%s", bus, device) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENAMETOOLONG ? -ENXIO : -errno;
	return fd;
}

/* The child "PREFIXn" of a device; *ret stays NULL if there is none. */
static int find_child(int fd, const char *prefix, char **ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned int id;

	if (copy < 0)
		return -errno;
	dir = fdopendir(copy);
	if (!dir) {
		close(copy);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		if (!vp_parse_id(entry->d_name, prefix, &id))
			continue;
		*ret = strdup(entry->d_name);
		return *ret ? 0 : -ENOMEM;
	}
	return 0;
}

/* The virtio device that carries one is what gets the driver. */
static int take_virtio(struct operation *op)
{
	char *device = NULL;
	int r = find_child(op->fd, "virtio", &device);

	if (r < 0 || !device)
		return r;
	free(op->device);
	op->device = device;
	free(op->bus);
	op->bus = strdup(VIRTIO_BUS);
	if (!op->bus)
		return -ENOMEM;
	close(op->fd);
	op->fd = open_device(op->bus, op->device);
	return op->fd < 0 ? op->fd : 0;
}

static int find_device(struct operation *op)
{
	const char *dash = strchr(op->path, '-');
	_cleanup_free_ char *link = NULL;
	int r;

	if (!dash || dash == op->path || !dash[1] || strchr(op->path, '/'))
		return -EINVAL;
	op->bus = strndup(op->path, (size_t)(dash - op->path));
	op->device = strdup(dash + 1);
	if (!op->bus || !op->device)
		return -ENOMEM;
	op->fd = open_device(op->bus, op->device);
	if (op->fd < 0)
		return op->fd;
	r = take_virtio(op);
	if (r < 0 || strcmp(op->bus, VIRTIO_BUS) != 0)
		return r;
	if (asprintf(&link, BUSES "/" VIRTIO_BUS "/devices/%s", op->device) < 0) {
		link = NULL;
		return -ENOMEM;
	}
	op->syspath = realpath(link, NULL);
	if (!op->syspath)
		return errno == ENOENT ? -ENXIO : -errno;
	return 0;
}

/* The driver that it has now; *ret stays NULL if it has none. */
static int read_driver(const struct operation *op, char **ret)
{
	char target[4096];
	ssize_t n = readlinkat(op->fd, "driver", target, sizeof(target) - 1);

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	target[n] = '\0';
	*ret = strdup(vp_basename(target));
	return *ret ? 0 : -ENOMEM;
}

static bool is_there(const struct operation *op, const struct virtpmem_region *region)
{
	if (op->syspath)
		return vp_lies_below(region->syspath, op->syspath);
	return region->path && !strcmp(region->path, op->path);
}

/* The region of the device; -ENXIO: there is none, -ENOTUNIQ: several. */
static int find_region(struct operation *op)
{
	struct virtpmem_region *list, *region, *next, *found = NULL;
	int r = vp_regions_read(op->ctx, &list);

	if (r < 0)
		return r;
	r = 0;
	for (region = list; region; region = next) {
		next = region->next;
		region->next = NULL;
		if (!is_there(op, region)) {
			virtpmem_region_unref(region);
			continue;
		}
		r = found ? -ENOTUNIQ : 0;
		virtpmem_region_unref(found);
		found = region;
	}
	if (!found || r < 0) {
		virtpmem_region_unref(found);
		return r < 0 ? r : -ENXIO;
	}
	virtpmem_region_unref(op->found);
	op->found = found;
	return 0;
}

/* ------------------------------------------------------------ the steps */

static char *driver_file(const struct operation *op, const char *file)
{
	char *path;

	if (asprintf(&path, BUSES "/%s/drivers/%s%s", op->bus, op->driver, file) < 0)
		return NULL;
	return path;
}

static int act_load(void *data, size_t arg)
{
	struct operation *op = data;
	_cleanup_free_ char *path = driver_file(op, "");
	int r;

	(void)arg;
	if (!path)
		return -ENOMEM;
	if (!access(path, F_OK))
		return VP_NOT_NEEDED;
	r = vp_module_load(op->ctx, op->driver);
	if (r < 0)
		return r == -EPERM ? -EACCES : r;
	return access(path, F_OK) ? -ENOENT : 0;
}

/* A driver that is loaded takes the device by itself, if it was never taken off it. */
static int act_bind(void *data, size_t arg)
{
	struct operation *op = data;
	_cleanup_free_ char *path = driver_file(op, "/bind"), *driver = NULL;
	_cleanup_close_ int fd = -1;
	ssize_t n;
	int r;

	(void)arg;
	r = read_driver(op, &driver);
	if (r < 0)
		return r;
	if (driver)
		return strcmp(driver, op->driver) ? -EBUSY : VP_NOT_NEEDED;
	if (!path)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return errno == EPERM ? -EACCES : -errno;
	n = write(fd, op->device, strlen(op->device));
	return n < 0 ? -errno : 0;
}

/*
 * libnvdimm makes the region, and then its devices, after the driver has made
 * the bus; reading this file of the bus waits for both.
 */
static int wait_for_probe(const struct operation *op)
{
	_cleanup_free_ char *bus = NULL, *file = NULL, *line = NULL;
	const char *why;
	int r;

	r = find_child(op->fd, "ndbus", &bus);
	if (r < 0 || !bus)
		return r;
	if (asprintf(&file, "%s/wait_probe", bus) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = vp_attr_read(op->fd, file, &line, &why);
	return r == -ENOMEM ? r : 0;
}

static int act_enable(void *data, size_t arg)
{
	struct operation *op = data;
	int r;

	(void)arg;
	r = wait_for_probe(op);
	if (!r)
		r = find_region(op);
	if (!r)
		r = vp_ndctl_enable(op->found);
	return r > 0 ? VP_NOT_NEEDED : r;
}

static int act_verify(void *data, size_t arg)
{
	struct operation *op = data;
	struct stat st;
	int r;

	(void)arg;
	r = wait_for_probe(op);
	if (!r)
		r = find_region(op);
	if (r < 0)
		return r;
	return fstatat(op->found->dirfd, "driver", &st, AT_SYMLINK_NOFOLLOW) < 0 ? -ENXIO : 0;
}

static int plan_bind(struct operation *op)
{
	struct vp_step step = {
		.kind = VIRTPMEM_STEP_LOAD, .object = op->driver, .act = act_load,
	};
	_cleanup_free_ char *driver = NULL;
	int r;

	r = read_driver(op, &driver);
	if (r < 0)
		return r;
	if (driver && strcmp(driver, op->driver) != 0)
		return vp_plan_refuse(op->plan, -EBUSY, op->device, "%s (%s) has the driver %s",
				      op->device, op->path, driver);
	r = vp_plan_add(op->plan, &step, "load the driver %s", op->driver);
	step.kind = VIRTPMEM_STEP_BIND;
	step.object = op->device;
	step.act = act_bind;
	return r < 0 ? r : vp_plan_add(op->plan, &step, "bind %s (%s) to %s", op->device, op->path,
				       op->driver);
}

/* Without a driver nothing will ever make a region of it, unless there is one already. */
static int check_carrier(struct operation *op)
{
	_cleanup_free_ char *driver = NULL;
	int r;

	r = read_driver(op, &driver);
	if (r < 0 || driver)
		return r;
	r = find_region(op);
	return r != -ENXIO ? r :
			     vp_plan_refuse(op->plan, -EOPNOTSUPP, op->path, "no driver has %s, and "
					    "no virtio-pmem device is on it", op->path);
}

static int make_plan(struct operation *op)
{
	struct vp_step step = {
		.kind = VIRTPMEM_STEP_ENABLE, .object = op->path, .act = act_enable,
	};
	int r;

	r = op->driver ? plan_bind(op) : check_carrier(op);
	if (!r)
		r = vp_plan_add(op->plan, &step, "enable the region at %s", op->path);
	step.kind = VIRTPMEM_STEP_VERIFY;
	step.act = act_verify;
	return r < 0 ? r : vp_plan_add(op->plan, &step, "there is a region at %s", op->path);
}

/* Without a wish, what carries regions already keeps its driver. */
static int choose_driver(struct operation *op, const char *wish)
{
	if (!wish && strcmp(op->bus, VIRTIO_BUS) != 0)
		return 0;
	if (wish && (strchr(wish, '/') || wish[0] == '.' || !*wish))
		return -EINVAL;
	op->driver = strdup(wish ? wish : VIRTIO_DRIVER);
	return op->driver ? 0 : -ENOMEM;
}

static int lock_device(struct operation *op)
{
	op->lock = openat(op->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return op->lock < 0 ? -errno : vp_lock(op->lock);
}

VP_EXPORT int virtpmem_add(struct virtpmem_ctx *ctx, const char *path, const char *driver,
			   unsigned int flags, struct virtpmem_plan **plan,
			   struct virtpmem_region **ret)
{
	_cleanup_(operation_done) struct operation op = {
		.ctx = ctx, .path = path, .fd = -1, .lock = -1,
	};
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *p = NULL;
	int r;

	if (flags & ~VIRTPMEM_DRY_RUN)
		return -EINVAL;
	r = find_device(&op);
	if (!r)
		r = choose_driver(&op, driver);
	if (!r)
		r = lock_device(&op);
	if (!r)
		r = vp_plan_new(ctx, &p);
	op.plan = p;
	if (!r)
		r = make_plan(&op);
	if (r < 0)
		return r;
	r = vp_plan_run(p, &op, flags);
	if (!r && ret && !(flags & VIRTPMEM_DRY_RUN)) {
		*ret = op.found;
		op.found = NULL;
	}
	return vp_plan_give(p, r, plan);
}
