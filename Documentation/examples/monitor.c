// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Print what happens to the regions of this machine, one line an event, from
 * an epoll loop as a daemon has one. A first line "watching" says from when
 * on. Runs until SIGINT or SIGTERM.
 *
 *	cc -o monitor monitor.c $(pkg-config --cflags --libs libvirtpmem)
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <virtpmem/libvirtpmem.h>

static void print_event(const struct virtpmem_event *event)
{
	const struct virtpmem_region *region = virtpmem_event_get_region(event);
	enum virtpmem_event_type type = virtpmem_event_get_type(event);
	enum virtpmem_state state;
	bool stalled;

	printf("%s", virtpmem_event_type_name(type));
	if (region) {
		const char *path = virtpmem_region_get_path(region);

		printf(" %s %s", virtpmem_region_get_devname(region), path ? path : "-");
	}
	if (!virtpmem_event_get_state(event, &state))
		printf(" %s %s", virtpmem_state_name(state), virtpmem_event_get_reason(event));
	if (type == VIRTPMEM_EVENT_STALLED && !virtpmem_event_get_stalled(event, &stalled))
		printf(" %s", stalled ? "yes" : "no");
	if (type == VIRTPMEM_EVENT_HOST_ERROR || type == VIRTPMEM_EVENT_STALLED)
		printf(" %" PRIu64, virtpmem_event_get_count(event));
	if (virtpmem_event_get_setting(event))
		printf(" %s=%s", virtpmem_event_get_setting(event),
		       virtpmem_event_get_value(event));
	printf("\n");
	fflush(stdout);
}

static void log_message(void *userdata, int priority, const char *message)
{
	(void)userdata;
	(void)priority;
	fprintf(stderr, "monitor: %s\n", message);
}

/* All events there are. An error is not the end: the monitor tells the rest later. */
static void print_events(struct virtpmem_monitor *monitor)
{
	struct virtpmem_event *event;
	int r;

	while ((r = virtpmem_monitor_process(monitor, &event)) > 0) {
		print_event(event);
		virtpmem_event_unref(event);
	}
	if (r < 0)
		fprintf(stderr, "monitor: %s\n", strerror(-r));
}

/* What epoll_wait() takes: milliseconds until the monitor wants to be called, or -1. */
static int milliseconds(struct virtpmem_monitor *monitor)
{
	struct timespec ts;
	uint64_t until, now;

	virtpmem_monitor_get_timeout(monitor, &until);
	if (until == UINT64_MAX)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	return until <= now ? 0 : (int)((until - now) / 1000 + 1);
}

static int add(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Ends when a signal has come, or epoll fails. */
static int loop(struct virtpmem_monitor *monitor, int signal_fd)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ready;

	/* poll(2) and epoll(7) have the same numbers for the same events. */
	if (epoll_fd < 0 || add(epoll_fd, signal_fd, EPOLLIN) < 0 ||
	    add(epoll_fd, virtpmem_monitor_get_fd(monitor),
		(uint32_t)virtpmem_monitor_get_events(monitor)) < 0) {
		perror("monitor");
		return 1;
	}
	for (;;) {
		int n = epoll_wait(epoll_fd, &ready, 1, milliseconds(monitor));

		if (n == 1 && ready.data.fd == signal_fd)
			break;
		/* As after SIGSTOP and SIGCONT. */
		if (n < 0 && errno != EINTR) {
			perror("monitor");
			break;
		}
		print_events(monitor);
	}
	close(epoll_fd);
	return 0;
}

int main(void)
{
	_cleanup_virtpmem_monitor_unref_ struct virtpmem_monitor *monitor = NULL;
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *ctx = NULL;
	sigset_t signals;
	int signal_fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);

	if (signal_fd < 0 || virtpmem_new(&ctx) < 0)
		return 1;
	virtpmem_set_log_fn(ctx, log_message, NULL);
	if (virtpmem_monitor_new(ctx, &monitor) < 0)
		return 1;
	printf("watching\n");
	fflush(stdout);
	return loop(monitor, signal_fd);
}
