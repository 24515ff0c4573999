// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events of the monitor: what one says, and the queue of those that have not
 * been handed out.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "monitor.h"

uint64_t vp_boottime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

VP_EXPORT const char *virtpmem_event_type_name(enum virtpmem_event_type type)
{
	static const char *const names[] = {
		[VIRTPMEM_EVENT_RESYNC] = "resync",
		[VIRTPMEM_EVENT_REGION_ADDED] = "region-added",
		[VIRTPMEM_EVENT_REGION_REMOVED] = "region-removed",
		[VIRTPMEM_EVENT_STATE] = "state",
		[VIRTPMEM_EVENT_HOST_ERROR] = "host-error",
		[VIRTPMEM_EVENT_STALLED] = "stalled",
		[VIRTPMEM_EVENT_BAD_RANGES] = "bad-ranges",
		[VIRTPMEM_EVENT_SETTING] = "setting",
	};

	return (unsigned int)type < ARRAY_SIZE(names) ? names[type] : NULL;
}

/* @region may be NULL. */
int vp_event_new(enum virtpmem_event_type type, struct virtpmem_region *region,
		 struct virtpmem_event **ret)
{
	struct virtpmem_event *event = calloc(1, sizeof(*event));

	if (!event)
		return -ENOMEM;
	event->refs = 1;
	event->type = type;
	event->region = region ? virtpmem_region_ref(region) : NULL;
	event->time_ns = vp_boottime_ns();
	event->count = 1;
	*ret = event;
	return 0;
}

VP_EXPORT struct virtpmem_event *virtpmem_event_ref(struct virtpmem_event *event)
{
	event->refs++;
	return event;
}

VP_EXPORT struct virtpmem_event *virtpmem_event_unref(struct virtpmem_event *event)
{
	if (!event || --event->refs)
		return NULL;
	virtpmem_region_unref(event->region);
	free(event->reason);
	free(event->value);
	free(event);
	return NULL;
}

VP_EXPORT enum virtpmem_event_type virtpmem_event_get_type(const struct virtpmem_event *event)
{
	return event->type;
}

VP_EXPORT struct virtpmem_region *virtpmem_event_get_region(const struct virtpmem_event *event)
{
	return event->region;
}

VP_EXPORT uint64_t virtpmem_event_get_time_ns(const struct virtpmem_event *event)
{
	return event->time_ns;
}

VP_EXPORT int virtpmem_event_get_state(const struct virtpmem_event *event,
				       enum virtpmem_state *ret)
{
	if (!event->has_state)
		return -EOPNOTSUPP;
	*ret = event->state;
	return 0;
}

VP_EXPORT const char *virtpmem_event_get_reason(const struct virtpmem_event *event)
{
	return event->reason;
}

VP_EXPORT int virtpmem_event_get_stalled(const struct virtpmem_event *event, bool *ret)
{
	if (!event->has_state)
		return -EOPNOTSUPP;
	*ret = event->stalled;
	return 0;
}

VP_EXPORT uint64_t virtpmem_event_get_count(const struct virtpmem_event *event)
{
	return event->count;
}

VP_EXPORT const char *virtpmem_event_get_setting(const struct virtpmem_event *event)
{
	return event->setting;
}

VP_EXPORT const char *virtpmem_event_get_value(const struct virtpmem_event *event)
{
	return event->value;
}

/* --------------------------------------------------------------- queue */

/* Takes the caller's reference. */
void vp_events_add(struct vp_events *events, struct virtpmem_event *event)
{
	if (events->last)
		events->last->next = event;
	else
		events->first = event;
	events->last = event;
}

/* Put all of @from behind @to. */
void vp_events_move(struct vp_events *to, struct vp_events *from)
{
	if (!from->first)
		return;
	if (to->last)
		to->last->next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	from->first = NULL;
	from->last = NULL;
}

/* The first one, with its reference; NULL if there is none. */
struct virtpmem_event *vp_events_take(struct vp_events *events)
{
	struct virtpmem_event *event = events->first;

	if (!event)
		return NULL;
	events->first = event->next;
	if (!events->first)
		events->last = NULL;
	event->next = NULL;
	return event;
}

void vp_events_clear(struct vp_events *events)
{
	struct virtpmem_event *event;

	while ((event = vp_events_take(events)))
		virtpmem_event_unref(event);
}
