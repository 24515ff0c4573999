// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz: uevents as the monitor takes them from libudev. The input is lines:
 *
 *	ACTION SYSPATH	a message; "@" at its start is the region's directory
 *	!		messages were lost
 *	=TEXT		the region's error_policy is TEXT, and nobody says so
 *	?		the monitor is asked for events
 *
 * Messages alone are never news: there are exactly the events that the loss of
 * messages and the changes of the setting account for.
 */
#include "fuzz.h"

#include <errno.h>
#include <libudev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define BATCH	64

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

/* What the monitor is about to be told. A message without a path is a loss. */
static struct message {
	char *action, *syspath;
} batch[BATCH];
static size_t batch_count, batch_taken;
static int uevents_fd = -1;

/* --------------------------------------------- in place of libudev's and ours */

int __real_udev_monitor_get_fd(struct udev_monitor *monitor);
int __wrap_udev_monitor_get_fd(struct udev_monitor *monitor);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor);
const char *__wrap_udev_device_get_syspath(struct udev_device *device);
const char *__wrap_udev_device_get_action(struct udev_device *device);
struct udev_device *__wrap_udev_device_unref(struct udev_device *device);
int __wrap_vp_regions_read(struct virtpmem_ctx *ctx, struct virtpmem_region **ret);

int __wrap_udev_monitor_get_fd(struct udev_monitor *monitor)
{
	uevents_fd = __real_udev_monitor_get_fd(monitor);
	return uevents_fd;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	(void)fd;
	(void)timeout;
	check(max > 0);
	events[0].events = EPOLLIN;
	events[0].data.fd = uevents_fd;
	return 1;
}

struct udev_device *__wrap_udev_monitor_receive_device(struct udev_monitor *monitor)
{
	struct message *message;

	(void)monitor;
	if (batch_taken == batch_count) {
		errno = EAGAIN;
		return NULL;
	}
	message = &batch[batch_taken++];
	if (!message->syspath)
		errno = ENOBUFS;
	return message->syspath ? (struct udev_device *)message : NULL;
}

const char *__wrap_udev_device_get_syspath(struct udev_device *device)
{
	return ((struct message *)device)->syspath;
}

const char *__wrap_udev_device_get_action(struct udev_device *device)
{
	return ((struct message *)device)->action;
}

struct udev_device *__wrap_udev_device_unref(struct udev_device *device)
{
	(void)device;
	return NULL;
}

int __wrap_vp_regions_read(struct virtpmem_ctx *ctx, struct virtpmem_region **ret)
{
	(void)ctx;
	*ret = virtpmem_region_ref(fuzz_region());
	return 1;
}

/* --------------------------------------------------------------- input */

/*
 * @seen: the setting at the last look, "" if it could not be read then; @lost:
 * messages were lost since; @told: a message names the region.
 */
struct run {
	struct virtpmem_monitor *monitor;
	char *seen;
	bool lost, told;
};

static void empty_batch(void)
{
	for (; batch_count; batch_count--) {
		free(batch[batch_count - 1].action);
		free(batch[batch_count - 1].syspath);
	}
	batch_taken = 0;
}

static void add_message(struct run *run, const char *line)
{
	const char *space = strchr(line, ' '), *path = space ? space + 1 : "", *dir = fuzz_dir();
	struct message *message = &batch[batch_count++];
	size_t n = strlen(dir);

	message->action = space ? strndup(line, (size_t)(space - line)) : strdup(line);
	check(asprintf(&message->syspath, "%s%s", *path == '@' ? dir : "",
		       *path == '@' ? path + 1 : path) >= 0);
	run->told |= !strncmp(message->syspath, dir, n) &&
		     (!message->syspath[n] || message->syspath[n] == '/');
}

static void add_loss(struct run *run)
{
	batch[batch_count++] = (struct message) { .syspath = NULL };
	run->lost = true;
}

static void write_policy(const char *text)
{
	char line[64];

	snprintf(line, sizeof(line), "%.62s\n", text);
	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_ERROR_POLICY), line, strlen(line));
}

static char *read_policy(void)
{
	char *value = NULL;

	if (virtpmem_region_get_setting(fuzz_region(), VIRTPMEM_SETTING_ERROR_POLICY, &value) < 0)
		value = strdup("");
	check(value);
	return value;
}

/* Returns how many events of the setting there are. */
static unsigned int take_events(struct run *run)
{
	unsigned int resyncs = 0, settings = 0;
	struct virtpmem_event *event;
	int r;

	while ((r = virtpmem_monitor_process(run->monitor, &event)) == 1) {
		enum virtpmem_event_type type = virtpmem_event_get_type(event);

		check(type == VIRTPMEM_EVENT_RESYNC || type == VIRTPMEM_EVENT_SETTING);
		/* What was lost is said before what has changed meanwhile. */
		check(type != VIRTPMEM_EVENT_RESYNC || !settings);
		resyncs += type == VIRTPMEM_EVENT_RESYNC;
		settings += type == VIRTPMEM_EVENT_SETTING;
		virtpmem_event_unref(event);
	}
	check(!r);
	check(resyncs == run->lost);
	return settings;
}

static void look(struct run *run)
{
	unsigned int settings = take_events(run);
	char *now;

	empty_batch();
	if (!run->told && !run->lost) {
		check(!settings);
		return;
	}
	now = read_policy();
	check(settings == (*now && strcmp(now, run->seen) != 0));
	free(run->seen);
	run->seen = now;
	run->lost = false;
	run->told = false;
}

static void take_line(struct run *run, const char *line)
{
	if (batch_count == BATCH || *line == '?')
		look(run);
	if (*line == '!')
		add_loss(run);
	else if (*line == '=')
		write_policy(line + 1);
	else if (*line && *line != '?')
		add_message(run, line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char stats[] = "0 0 0 0 0 0 0 0 0 0 0 0 0\n";
	struct run run = { .seen = NULL };
	char *text = strndup((const char *)data, size), *rest = text, *line;

	check(text && fuzz_region());
	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_ABI), "1\n", 2);
	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_STATE), "active\n", 7);
	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_BROKEN_REASON), "none\n", 5);
	fuzz_write(VP_GROUP_FILE(VIRTIO_PMEM_ATTR_FLUSH_STATS), stats, sizeof(stats) - 1);
	write_policy("latch");
	run.seen = read_policy();
	check(!virtpmem_monitor_new(fuzz_ctx(), &run.monitor));
	while ((line = strsep(&rest, "\n")))
		take_line(&run, line);
	look(&run);
	virtpmem_monitor_unref(run.monitor);
	free(run.seen);
	free(text);
	return 0;
}
