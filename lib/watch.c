// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One region that the monitor watches: what it was like when it was last
 * looked at, and the files through which the kernel says that it is worth
 * another look.
 *
 * News is never taken from what a message says, only from the difference
 * between two looks: messages can be late, lost, or come twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "monitor.h"

#define BADBLOCKS	"badblocks"

/* @ours: the region has our driver's files; the rest but @bad is from them. */
struct look {
	bool ours;
	enum virtpmem_state state;
	char *reason;
	bool stalled;
	uint64_t stats[VIRTPMEM_STAT_COUNT];
	char *settings[VIRTPMEM_SETTING_COUNT];
	uint64_t bad;
};

/* @wds: the inotify watches, of the settings and of each file of bad ranges. */
struct vp_watch {
	struct virtpmem_region *region;
	struct look look;
	int state_fd;
	int inotify_fd;
	int *wds;
	size_t wd_count;
};

static void look_done(struct look *look)
{
	size_t i;

	free(look->reason);
	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++)
		free(look->settings[i]);
	*look = (struct look) { .bad = look->bad };
}

/* ------------------------------------------------------------ one look */

/*
 * State and counters are in several files. They belong together if no state
 * change came between, which the time of the last one tells.
 */
static int read_engine(struct virtpmem_region *region, struct look *look)
{
	unsigned int tries;

	for (tries = 0; tries < 8; tries++) {
		uint64_t before = look->stats[VIRTPMEM_STAT_LAST_CHANGE_NS];
		uint64_t stalls = look->stats[VIRTPMEM_STAT_STALLS];
		struct virtpmem_stats *stats;
		unsigned int i;
		int r;

		r = virtpmem_region_get_stats(region, &stats);
		if (r < 0)
			return r;
		for (i = 0; i < VIRTPMEM_STAT_COUNT; i++)
			if (virtpmem_stats_get(stats, (enum virtpmem_stat)i, &look->stats[i]) < 0)
				look->stats[i] = 0;
		virtpmem_stats_unref(stats);
		if (look->reason && look->stats[VIRTPMEM_STAT_LAST_CHANGE_NS] == before &&
		    look->stats[VIRTPMEM_STAT_STALLS] == stalls)
			return 0;

		r = virtpmem_region_get_state(region, &look->state);
		if (r < 0)
			return r;
		free(look->reason);
		look->reason = NULL;
		r = virtpmem_region_get_broken_reason(region, &look->reason);
		if (r < 0)
			return r;
		r = vp_read_bool(region, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STALLED), VP_OPTIONAL,
				 &look->stalled);
		if (r < 0 && r != -EOPNOTSUPP)
			return r;
	}
	return 0;
}

/* A setting that this driver has not stays NULL. */
static int read_settings(struct virtpmem_region *region, struct look *look)
{
	size_t i;

	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++) {
		const char *file = vp_setting_file((enum virtpmem_setting)i);
		int r = vp_read_word(region, file, VP_OPTIONAL, &look->settings[i]);

		if (r == -ENOMEM || r == -ENODEV)
			return r;
	}
	return 0;
}

/* Mixes a file's content into a number: FNV-1a. One that is not there adds nothing. */
static void mix_content(int dirfd, const char *file, uint64_t *hash)
{
	_cleanup_close_ int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	unsigned char buffer[4096];
	ssize_t n, i;

	if (fd < 0)
		return;
	n = read(fd, buffer, sizeof(buffer));
	for (i = 0; i < n; i++)
		*hash = (*hash ^ buffer[i]) * UINT64_C(0x100000001b3);
}

/* Calls @fn for the region's file of bad ranges, and those of its block devices. */
static int each_bad_file(struct virtpmem_region *region,
			 int (*fn)(void *data, const char *file), void *data)
{
	struct virtpmem_namespace *list, *ns;
	int r;

	r = fn(data, BADBLOCKS);
	if (r < 0)
		return r;
	r = vp_namespaces_read(region, &list);
	if (r < 0)
		return r;
	for (ns = list; ns && !r; ns = ns->next) {
		_cleanup_free_ char *file = NULL;

		if (!ns->blockdir)
			continue;
		if (asprintf(&file, "%s/" BADBLOCKS, ns->blockdir) < 0) {
			file = NULL;
			r = -ENOMEM;
			break;
		}
		r = fn(data, file);
	}
	vp_namespaces_free(list);
	return r;
}

struct mixing {
	int dirfd;
	uint64_t hash;
};

static int mix_bad_file(void *data, const char *file)
{
	struct mixing *mixing = data;

	mix_content(mixing->dirfd, file, &mixing->hash);
	return 0;
}

static int look_at(struct virtpmem_region *region, struct look *look)
{
	struct mixing mixing = { .dirfd = region->dirfd, .hash = UINT64_C(0xcbf29ce484222325) };
	int r;

	r = each_bad_file(region, mix_bad_file, &mixing);
	if (r < 0)
		return r;
	look->bad = mixing.hash;
	look->ours = vp_region_has_group(region);
	if (!look->ours)
		return 0;
	r = read_engine(region, look);
	return r < 0 ? r : read_settings(region, look);
}

/* ------------------------------------------------- what is different now */

static int tell(struct vp_watch *watch, const struct look *now, enum virtpmem_event_type type,
		struct vp_events *events)
{
	struct virtpmem_event *event;
	int r;

	r = vp_event_new(type, watch->region, &event);
	if (r < 0)
		return r;
	vp_events_add(events, event);
	if (!now->ours)
		return 0;
	event->has_state = true;
	event->state = now->state;
	event->stalled = now->stalled;
	event->reason = strdup(now->reason);
	return event->reason ? 0 : -ENOMEM;
}

static int tell_host_error(struct vp_watch *watch, const struct look *now,
			   struct vp_events *events)
{
	uint64_t failed = now->stats[VIRTPMEM_STAT_FAILED_HOST_FLUSHES] -
			  watch->look.stats[VIRTPMEM_STAT_FAILED_HOST_FLUSHES];
	int r;

	/* A flush that a broken queue swallowed counts as failed, but the host has not said so. */
	if (!failed || (strcmp(now->reason, VIRTIO_PMEM_REASON_NONE) != 0 &&
			strcmp(now->reason, VIRTIO_PMEM_REASON_HOST_ERROR) != 0))
		return 0;
	r = tell(watch, now, VIRTPMEM_EVENT_HOST_ERROR, events);
	if (r < 0)
		return r;
	events->last->count = failed;
	events->last->time_ns = now->stats[VIRTPMEM_STAT_LAST_FAILURE_NS];
	return 0;
}

/* A late flush is not in the counters' time of the last change: it changes no state. */
static int tell_stalled(struct vp_watch *watch, const struct look *now, struct vp_events *events)
{
	uint64_t stalls = now->stats[VIRTPMEM_STAT_STALLS] - watch->look.stats[VIRTPMEM_STAT_STALLS];
	int r;

	if (now->stalled == watch->look.stalled && !stalls)
		return 0;
	r = tell(watch, now, VIRTPMEM_EVENT_STALLED, events);
	if (!r)
		events->last->count = stalls;
	return r;
}

static int tell_state(struct vp_watch *watch, const struct look *now, struct vp_events *events)
{
	const struct look *old = &watch->look;
	int r;

	if (now->state == old->state && !strcmp(now->reason, old->reason) &&
	    now->stats[VIRTPMEM_STAT_LAST_CHANGE_NS] == old->stats[VIRTPMEM_STAT_LAST_CHANGE_NS])
		return 0;
	r = tell(watch, now, VIRTPMEM_EVENT_STATE, events);
	if (!r)
		events->last->time_ns = now->stats[VIRTPMEM_STAT_LAST_CHANGE_NS];
	return r;
}

static int tell_settings(struct vp_watch *watch, const struct look *now, struct vp_events *events)
{
	size_t i;

	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++) {
		const char *old = watch->look.settings[i];
		int r;

		if (!now->settings[i] || (old && !strcmp(old, now->settings[i])))
			continue;
		r = tell(watch, now, VIRTPMEM_EVENT_SETTING, events);
		if (r < 0)
			return r;
		events->last->setting = virtpmem_setting_name((enum virtpmem_setting)i);
		events->last->value = strdup(now->settings[i]);
		if (!events->last->value)
			return -ENOMEM;
	}
	return 0;
}

/* What is cause comes before what it has led to. */
static int tell_differences(struct vp_watch *watch, const struct look *now,
			    struct vp_events *events)
{
	int r = 0;

	if (now->ours && watch->look.ours) {
		r = tell_host_error(watch, now, events);
		if (!r)
			r = tell_stalled(watch, now, events);
		if (!r)
			r = tell_state(watch, now, events);
		if (!r)
			r = tell_settings(watch, now, events);
	}
	if (!r && now->bad != watch->look.bad)
		r = tell(watch, now, VIRTPMEM_EVENT_BAD_RANGES, events);
	return r;
}

/*
 * Look at the region again, and put what is different behind @events. On
 * failure nothing has been told, and the next look will tell it.
 */
int vp_watch_look(struct vp_watch *watch, struct vp_events *events)
{
	struct vp_events news = { NULL, NULL };
	struct look now = { .ours = false };
	char byte;
	int r;

	/* Somebody who was handed the region can have begun one. */
	virtpmem_region_snapshot_end(watch->region);
	/* Reading re-arms poll(); to be done before the look that it announces. */
	if (watch->state_fd >= 0 && pread(watch->state_fd, &byte, 1, 0) < 0 && errno == ENODEV)
		return -ENODEV;
	r = look_at(watch->region, &now);
	if (!r)
		r = tell_differences(watch, &now, &news);
	if (r < 0) {
		look_done(&now);
		vp_events_clear(&news);
		return r;
	}
	look_done(&watch->look);
	watch->look = now;
	vp_events_move(events, &news);
	return 0;
}

/* ------------------------------------------------- being told to look */

/* Relative to the region's descriptor, so that it is this region's file or none. */
static int watch_file(void *data, const char *file)
{
	_cleanup_free_ char *path = NULL;
	struct vp_watch *watch = data;
	int wd, *wds;

	if (watch->inotify_fd < 0)
		return 0;
	if (asprintf(&path, "/proc/self/fd/%d/%s", watch->region->dirfd, file) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	wds = reallocarray(watch->wds, watch->wd_count + 1, sizeof(*wds));
	if (!wds)
		return -ENOMEM;
	watch->wds = wds;
	wd = inotify_add_watch(watch->inotify_fd, path, IN_MODIFY);
	if (wd >= 0)
		watch->wds[watch->wd_count++] = wd;
	else if (errno != ENOENT)
		vp_info(watch->region->ctx, "%s/%s: cannot be watched: %s", watch->region->devname,
			file, strerror(errno));
	return 0;
}

static void unwatch_files(struct vp_watch *watch)
{
	size_t i;

	for (i = 0; i < watch->wd_count; i++)
		inotify_rm_watch(watch->inotify_fd, watch->wds[i]);
	watch->wd_count = 0;
}

/*
 * A region's lists of namespaces and DAX devices are read once, and whoever was handed
 * it may hold what is on them: another object of the region takes its place.
 */
static int renew_region(struct vp_watch *watch)
{
	struct virtpmem_region *region;
	int r;

	if (!watch->region->namespaces_read)
		return 0;
	r = virtpmem_region_copy(watch->region, watch->region->ctx, &region);
	if (r < 0)
		return r;
	virtpmem_region_unref(watch->region);
	watch->region = region;
	return 0;
}

/* To be called again when the region's devices have changed, before the look. */
int vp_watch_devices(struct vp_watch *watch)
{
	size_t i;
	int r;

	r = renew_region(watch);
	if (r < 0)
		return r;
	unwatch_files(watch);
	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++) {
		r = watch_file(watch, vp_setting_file((enum virtpmem_setting)i));
		if (r < 0)
			return r;
	}
	return each_bad_file(watch->region, watch_file, watch);
}

bool vp_watch_has(const struct vp_watch *watch, int wd)
{
	size_t i;

	for (i = 0; i < watch->wd_count; i++)
		if (watch->wds[i] == wd)
			return true;
	return false;
}

struct virtpmem_region *vp_watch_region(const struct vp_watch *watch)
{
	return watch->region;
}

/* To be polled for POLLPRI; -1 with another driver. */
int vp_watch_state_fd(const struct vp_watch *watch)
{
	return watch->state_fd;
}

void vp_watch_free(struct vp_watch *watch)
{
	if (!watch)
		return;
	unwatch_files(watch);
	free(watch->wds);
	vp_closep(&watch->state_fd);
	look_done(&watch->look);
	virtpmem_region_unref(watch->region);
	free(watch);
}

/* Takes a reference to the region. What it is like now is not news. */
int vp_watch_new(struct virtpmem_region *region, int inotify_fd, struct vp_watch **ret)
{
	struct vp_watch *watch = calloc(1, sizeof(*watch));
	char byte;
	int r;

	if (!watch)
		return -ENOMEM;
	watch->region = virtpmem_region_ref(region);
	watch->inotify_fd = inotify_fd;
	watch->state_fd = openat(region->dirfd, VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STATE),
				 O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	/* poll() tells of what comes after a read. */
	if (watch->state_fd >= 0 && pread(watch->state_fd, &byte, 1, 0) < 0) {
		close(watch->state_fd);
		watch->state_fd = -1;
	}
	r = vp_watch_devices(watch);
	if (!r)
		r = look_at(region, &watch->look);
	/* One whose files are malformed is watched all the same: they may not stay so. */
	if (r < 0 && r != -ENOMEM && r != -ENODEV) {
		look_done(&watch->look);
		r = 0;
	}
	if (r < 0) {
		vp_watch_free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}
