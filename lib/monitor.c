// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The monitor: one descriptor, behind which is everything that says that a
 * region has changed, and the list of regions that are watched.
 *
 *  - uevents, through libudev: regions that come and go, devices made of them,
 *    and what our driver announces. From udevd where it runs, so that nodes
 *    and their owners are as they will be; else from the kernel.
 *  - POLLPRI on each region's "state", which needs no udevd and no room in a
 *    socket.
 *  - inotify on files that are written to: settings, bad ranges.
 *
 * All of these only mark a region as worth a look (watch.c). A region is the
 * same one while the descriptor of its directory is alive, and is another one
 * afterwards, whatever its name.
 */
#include <errno.h>
#include <libudev.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

/* The socket of udevd: where it is, udevd runs, or systemd starts it. */
#define UDEV_CONTROL	"/run/udev/control"

/* How many uevents one call takes; the others keep the descriptor ready. */
#define UEVENTS_MAX	1024

/* After a failure that may pass, such as a lack of memory. */
#define RETRY_US	UINT64_C(1000000)

struct watched {
	struct watched *next;
	struct vp_watch *watch;
	bool dirty;		/* worth a look */
	bool devices;		/* its block devices may be others */
};

struct virtpmem_monitor {
	unsigned int refs;
	struct virtpmem_ctx *ctx;
	int epoll_fd, inotify_fd;
	struct udev *udev;
	struct udev_monitor *uevents;
	struct watched *watched;
	struct vp_events events;
	bool rescan;		/* regions may have come or gone */
	bool resync;		/* say that something was lost */
	uint64_t retry_us;	/* when to try again what failed; 0: nothing did */
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000) + (uint64_t)ts.tv_nsec / 1000;
}

/* ------------------------------------------------------ watched regions */

static void forget(struct watched *w)
{
	vp_watch_free(w->watch);
	free(w);
}

static bool is_same(const struct virtpmem_region *a, const struct virtpmem_region *b)
{
	struct stat sa, sb;

	return !fstat(a->dirfd, &sa) && !fstat(b->dirfd, &sb) && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static int announce(struct virtpmem_monitor *monitor, enum virtpmem_event_type type,
		    struct virtpmem_region *region)
{
	struct virtpmem_event *event;
	int r = vp_event_new(type, region, &event);

	if (!r)
		vp_events_add(&monitor->events, event);
	return r;
}

/* Goes through what is watched, and drops what is not there any more. */
static int drop_gone(struct virtpmem_monitor *monitor)
{
	struct watched **pos = &monitor->watched;

	while (*pos) {
		struct watched *w = *pos;
		int r;

		if (vp_region_alive(vp_watch_region(w->watch))) {
			pos = &w->next;
			continue;
		}
		r = announce(monitor, VIRTPMEM_EVENT_REGION_REMOVED, vp_watch_region(w->watch));
		if (r < 0)
			return r;
		*pos = w->next;
		forget(w);
	}
	return 0;
}

static int wait_for_state(struct virtpmem_monitor *monitor, const struct vp_watch *watch)
{
	struct epoll_event event = { .events = EPOLLPRI };
	int fd = vp_watch_state_fd(watch);

	if (fd < 0)
		return 0;
	event.data.fd = fd;
	if (!epoll_ctl(monitor->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return 0;
	/* A file that is not sysfs's: in a recorded tree. */
	return errno == EPERM ? 0 : -errno;
}

static int begin(struct virtpmem_monitor *monitor, struct virtpmem_region *region, bool say)
{
	struct watched **pos, *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	r = vp_watch_new(region, monitor->inotify_fd, &w->watch);
	if (!r)
		r = wait_for_state(monitor, w->watch);
	if (!r && say)
		r = announce(monitor, VIRTPMEM_EVENT_REGION_ADDED, region);
	if (r < 0) {
		forget(w);
		return r;
	}
	for (pos = &monitor->watched; *pos; pos = &(*pos)->next)
		;
	*pos = w;
	return 0;
}

static struct watched *find(struct virtpmem_monitor *monitor, const struct virtpmem_region *region)
{
	struct watched *w;

	for (w = monitor->watched; w; w = w->next)
		if (is_same(vp_watch_region(w->watch), region))
			break;
	return w;
}

/* Bring the list up to date; with @say, what has come is announced. */
static int rescan(struct virtpmem_monitor *monitor, bool say)
{
	struct virtpmem_region *list = NULL, *region, *next;
	int r;

	r = drop_gone(monitor);
	if (!r)
		r = vp_regions_read(monitor->ctx, &list);
	if (r > 0)
		r = 0;
	for (region = list; region; region = next) {
		next = region->next;
		region->next = NULL;
		if (!r && !find(monitor, region))
			r = begin(monitor, region, say);
		/* It went again: its own uevent is under way. */
		if (r == -ENODEV)
			r = 0;
		virtpmem_region_unref(region);
	}
	return r;
}

static void mark_all(struct virtpmem_monitor *monitor, bool devices)
{
	struct watched *w;

	for (w = monitor->watched; w; w = w->next) {
		w->dirty = true;
		w->devices |= devices;
	}
}

/* ------------------------------------------------------------- uevents */

static bool lies_in(const char *syspath, const char *dir)
{
	return !strcmp(syspath, dir) || vp_lies_below(syspath, dir);
}

/* What a uevent says is not believed; only that the region is worth a look. */
static void take_uevent(struct virtpmem_monitor *monitor, struct udev_device *device)
{
	const char *syspath = udev_device_get_syspath(device);
	const char *action = udev_device_get_action(device);
	unsigned int id;
	struct watched *w;

	if (!syspath || !action)
		return;
	if (vp_parse_id(vp_basename(syspath), "region", &id) && strcmp(action, "change") != 0)
		monitor->rescan = true;
	for (w = monitor->watched; w; w = w->next) {
		const char *dir = vp_watch_region(w->watch)->syspath;

		if (!lies_in(syspath, dir))
			continue;
		w->dirty = true;
		w->devices |= strcmp(syspath, dir) != 0;
	}
}

static int take_uevents(struct virtpmem_monitor *monitor)
{
	unsigned int i;

	for (i = 0; i < UEVENTS_MAX; i++) {
		struct udev_device *device;

		errno = 0;
		device = udev_monitor_receive_device(monitor->uevents);
		if (device) {
			take_uevent(monitor, device);
			udev_device_unref(device);
			continue;
		}
		switch (errno) {
		case ENOBUFS:
			vp_info(monitor->ctx, "uevents were lost: looking at everything again");
			monitor->resync = true;
			monitor->rescan = true;
			mark_all(monitor, true);
			continue;
		case ENOMEM:
			return -ENOMEM;
		default:
			return 0;	/* there are no more */
		}
	}
	return 0;
}

/*
 * Listen before the first look. The filter is libudev's, which in udevd's case
 * the kernel applies, so that others' events do not fill the socket.
 */
static int listen_to_uevents(struct virtpmem_monitor *monitor)
{
	static const char *const subsystems[] = { "nd", "block", "dax" };
	const char *group = access(UDEV_CONTROL, F_OK) ? "kernel" : "udev";
	struct epoll_event event = { .events = EPOLLIN };
	size_t i;
	int r;

	errno = ENOMEM;
	monitor->udev = udev_new();
	if (monitor->udev)
		monitor->uevents = udev_monitor_new_from_netlink(monitor->udev, group);
	if (!monitor->uevents)
		return -errno;
	for (i = 0; i < ARRAY_SIZE(subsystems); i++) {
		r = udev_monitor_filter_add_match_subsystem_devtype(monitor->uevents,
								    subsystems[i], NULL);
		if (r < 0)
			return r;
	}
	r = udev_monitor_enable_receiving(monitor->uevents);
	if (r < 0)
		return r;
	vp_debug(monitor->ctx, "listening to the uevents of group %s", group);
	event.data.fd = udev_monitor_get_fd(monitor->uevents);
	return epoll_ctl(monitor->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) ? -errno : 0;
}

/* ------------------------------------------------------ other messages */

static void take_wd(struct virtpmem_monitor *monitor, int wd)
{
	struct watched *w;

	for (w = monitor->watched; w; w = w->next)
		w->dirty |= vp_watch_has(w->watch, wd);
}

static void take_inotify(struct virtpmem_monitor *monitor)
{
	char buffer[4096] __attribute__((__aligned__(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(monitor->inotify_fd, buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;
		const char *p;

		for (p = buffer; p < buffer + n; p += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)p;
			if (event->mask & IN_Q_OVERFLOW)
				mark_all(monitor, false);
			else
				take_wd(monitor, event->wd);
		}
	}
}

static void take_state(struct virtpmem_monitor *monitor, int fd)
{
	struct watched *w;

	for (w = monitor->watched; w; w = w->next)
		w->dirty |= vp_watch_state_fd(w->watch) == fd;
}

static int take_messages(struct virtpmem_monitor *monitor)
{
	struct epoll_event ready[16];
	int i, n, r = 0;

	n = epoll_wait(monitor->epoll_fd, ready, ARRAY_SIZE(ready), 0);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; i < n; i++) {
		int fd = ready[i].data.fd;

		if (fd == monitor->inotify_fd)
			take_inotify(monitor);
		else if (fd == udev_monitor_get_fd(monitor->uevents))
			r = take_uevents(monitor);
		else
			take_state(monitor, fd);
	}
	return r;
}

/* --------------------------------------------------------------- looks */

static int look_at_dirty(struct virtpmem_monitor *monitor)
{
	struct watched *w;
	int r = 0;

	for (w = monitor->watched; w; w = w->next) {
		if (!w->dirty)
			continue;
		if (w->devices)
			r = vp_watch_devices(w->watch);
		if (r >= 0)
			r = vp_watch_look(w->watch, &monitor->events);
		if (r == -ENOMEM)
			return r;
		/* It has gone, and the next scan says so. */
		if (r == -ENODEV)
			monitor->rescan = true;
		/* Another error was logged; there is nothing to do until it changes again. */
		w->dirty = false;
		w->devices = false;
		r = 0;
	}
	return r;
}

/* Turn what is marked into events. What fails stays marked. */
static int collect(struct virtpmem_monitor *monitor)
{
	int r;

	if (monitor->resync) {
		r = announce(monitor, VIRTPMEM_EVENT_RESYNC, NULL);
		if (r < 0)
			return r;
		monitor->resync = false;
	}
	r = look_at_dirty(monitor);
	if (!r && monitor->rescan) {
		r = rescan(monitor, true);
		if (!r)
			monitor->rescan = false;
	}
	return r;
}

VP_EXPORT int virtpmem_monitor_process(struct virtpmem_monitor *monitor,
				       struct virtpmem_event **ret)
{
	struct virtpmem_event *event = vp_events_take(&monitor->events);
	int r;

	if (!event) {
		r = take_messages(monitor);
		if (!r)
			r = collect(monitor);
		monitor->retry_us = r < 0 ? now_us() + RETRY_US : 0;
		event = vp_events_take(&monitor->events);
		if (!event)
			return r;
	}
	*ret = event;
	return 1;
}

/* ---------------------------------------------------------------- life */

static int start(struct virtpmem_monitor *monitor)
{
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	monitor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (monitor->epoll_fd < 0)
		return -errno;
	monitor->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	event.data.fd = monitor->inotify_fd;
	/* A kernel need not have it, and a user can have too many: it is worth a part only. */
	if (monitor->inotify_fd < 0)
		vp_log(monitor->ctx, LOG_WARNING, "changes of settings and bad ranges are seen "
		       "only with other events: inotify: %s", strerror(errno));
	else if (epoll_ctl(monitor->epoll_fd, EPOLL_CTL_ADD, monitor->inotify_fd, &event) < 0)
		return -errno;
	r = listen_to_uevents(monitor);
	return r < 0 ? r : rescan(monitor, false);
}

VP_EXPORT int virtpmem_monitor_new(struct virtpmem_ctx *ctx, struct virtpmem_monitor **ret)
{
	struct virtpmem_monitor *monitor = calloc(1, sizeof(*monitor));
	int r;

	if (!monitor)
		return -ENOMEM;
	monitor->refs = 1;
	monitor->ctx = virtpmem_ref(ctx);
	monitor->epoll_fd = -1;
	monitor->inotify_fd = -1;
	r = start(monitor);
	if (r < 0) {
		vp_err(ctx, "cannot watch the regions: %s", strerror(-r));
		virtpmem_monitor_unref(monitor);
		return r;
	}
	*ret = monitor;
	return 0;
}

VP_EXPORT struct virtpmem_monitor *virtpmem_monitor_ref(struct virtpmem_monitor *monitor)
{
	monitor->refs++;
	return monitor;
}

VP_EXPORT struct virtpmem_monitor *virtpmem_monitor_unref(struct virtpmem_monitor *monitor)
{
	struct watched *w;

	if (!monitor || --monitor->refs)
		return NULL;
	while ((w = monitor->watched)) {
		monitor->watched = w->next;
		forget(w);
	}
	vp_events_clear(&monitor->events);
	udev_monitor_unref(monitor->uevents);
	udev_unref(monitor->udev);
	vp_closep(&monitor->inotify_fd);
	vp_closep(&monitor->epoll_fd);
	virtpmem_unref(monitor->ctx);
	free(monitor);
	return NULL;
}

VP_EXPORT int virtpmem_monitor_get_fd(const struct virtpmem_monitor *monitor)
{
	return monitor->epoll_fd;
}

VP_EXPORT int virtpmem_monitor_get_events(const struct virtpmem_monitor *monitor)
{
	(void)monitor;
	return POLLIN;
}

VP_EXPORT int virtpmem_monitor_get_timeout(const struct virtpmem_monitor *monitor, uint64_t *ret)
{
	if (monitor->events.first)
		*ret = 0;
	else if (monitor->retry_us)
		*ret = monitor->retry_us;
	else
		*ret = UINT64_MAX;
	return 0;
}
