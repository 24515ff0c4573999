/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the monitor share: monitor.c (where news comes from),
 * watch.c (what a region was like when it was last looked at) and event.c.
 */
#ifndef VIRTPMEM_LIB_MONITOR_H
#define VIRTPMEM_LIB_MONITOR_H

#include "private.h"

/* @region has a reference of the event's. @setting is a constant. */
struct virtpmem_event {
	unsigned int refs;
	struct virtpmem_event *next;
	enum virtpmem_event_type type;
	struct virtpmem_region *region;
	uint64_t time_ns;
	uint64_t count;
	bool has_state;
	enum virtpmem_state state;
	char *reason;
	bool stalled;
	const char *setting;
	char *value;
};

/* Events in the order in which they are handed out. */
struct vp_events {
	struct virtpmem_event *first, *last;
};

/* event.c */
uint64_t vp_boottime_ns(void);
int vp_event_new(enum virtpmem_event_type type, struct virtpmem_region *region,
		 struct virtpmem_event **ret);
void vp_events_add(struct vp_events *events, struct virtpmem_event *event);
void vp_events_move(struct vp_events *to, struct vp_events *from);
struct virtpmem_event *vp_events_take(struct vp_events *events);
void vp_events_clear(struct vp_events *events);

/* watch.c */
struct vp_watch;

int vp_watch_new(struct virtpmem_region *region, int inotify_fd, struct vp_watch **ret);
void vp_watch_free(struct vp_watch *watch);
struct virtpmem_region *vp_watch_region(const struct vp_watch *watch);
int vp_watch_state_fd(const struct vp_watch *watch);
bool vp_watch_has(const struct vp_watch *watch, int wd);
int vp_watch_devices(struct vp_watch *watch);
int vp_watch_look(struct vp_watch *watch, struct vp_events *events);

#endif /* VIRTPMEM_LIB_MONITOR_H */
