// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl monitor: events of regions as they happen, in ndctl-monitor(1)'s
 * envelope with "region" in place of "dimm". Needs no region to begin with, and
 * goes on when the last one goes.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <virtpmem/sysfs-abi.h>

#include "log-target.h"
#include "monitor-settings.h"
#include "notify.h"
#include "regions.h"
#include "runner.h"
#include "util.h"
#include "wanted.h"

const struct option_desc monitor_options[] = {
	{ .id = OPTION_EVENT, .letter = 'E', .name = "event", .argument = "EVENTS",
	  .help = "only these events, with commas between them" },
	{ .id = OPTION_LOG, .letter = 'l', .name = "log", .argument = "TARGET",
	  .help = "where to: standard, syslog, or a file to append to" },
	{ .id = OPTION_EXEC, .letter = 'x', .name = "exec", .argument = "COMMAND",
	  .help = "run this in a shell for each event" },
	{ .id = OPTION_CONFIG_FILE, .letter = 'c', .name = "config-file", .argument = "FILE",
	  .help = "read this instead of " MONITOR_CONFIG_FILE },
	{ .name = NULL },
};

struct watch {
	struct pmemctl *p;
	struct monitor_settings settings;
	struct wanted wanted;
	struct log_target target;
	struct runner runner;
	struct virtpmem_monitor *monitor;
	sigset_t signals;
	int signal_fd;
	bool end;
};

static bool is_wanted(const struct watch *w, const struct virtpmem_event *event)
{
	const struct virtpmem_region *region = virtpmem_event_get_region(event);

	if (!(w->settings.events >> virtpmem_event_get_type(event) & 1))
		return false;
	return !region || wanted_has(&w->wanted, region);
}

/* ------------------------------------------------------------- an event */

static const char *stalled_message(const struct virtpmem_event *event)
{
	bool stalled = false;

	virtpmem_event_get_stalled(event, &stalled);
	return stalled ? "the host does not answer a flush in time" :
			 "the host has answered the late flush";
}

/* For people; the caller frees. */
static char *message(const struct virtpmem_event *event)
{
	const char *reason = virtpmem_event_get_reason(event);
	enum virtpmem_state state;

	switch (virtpmem_event_get_type(event)) {
	case VIRTPMEM_EVENT_RESYNC:
		return xstrdup("events were lost; what follows is how things are different now");
	case VIRTPMEM_EVENT_REGION_ADDED:
		return xstrdup("the region has come");
	case VIRTPMEM_EVENT_REGION_REMOVED:
		return xstrdup("the region is gone");
	case VIRTPMEM_EVENT_STATE:
		if (virtpmem_event_get_state(event, &state) < 0)
			return xstrdup("the state has changed");
		if (state != VIRTPMEM_STATE_BROKEN || !reason ||
		    streq(reason, VIRTIO_PMEM_REASON_NONE))
			return xasprintf("the region is %s", virtpmem_state_name(state));
		return xasprintf("the region is broken: %s", reason);
	case VIRTPMEM_EVENT_HOST_ERROR:
		return xasprintf("the host failed %" PRIu64 " flush%s",
				 virtpmem_event_get_count(event),
				 virtpmem_event_get_count(event) == 1 ? "" : "es");
	case VIRTPMEM_EVENT_STALLED:
		return xstrdup(stalled_message(event));
	case VIRTPMEM_EVENT_BAD_RANGES:
		return xstrdup("the bad ranges of its memory are others than before");
	case VIRTPMEM_EVENT_SETTING:
		return xasprintf("%s is %s now", virtpmem_event_get_setting(event),
				 virtpmem_event_get_value(event));
	}
	return xstrdup("something has happened that this pmemctl does not know");
}

/* As syslog(3) has them. */
static int priority(const struct virtpmem_event *event)
{
	enum virtpmem_state state;
	bool stalled;

	switch (virtpmem_event_get_type(event)) {
	case VIRTPMEM_EVENT_HOST_ERROR:
		return LOG_ERR;
	case VIRTPMEM_EVENT_STATE:
		return !virtpmem_event_get_state(event, &state) &&
			state == VIRTPMEM_STATE_BROKEN ? LOG_ERR : LOG_NOTICE;
	case VIRTPMEM_EVENT_STALLED:
		return !virtpmem_event_get_stalled(event, &stalled) && stalled ? LOG_ERR :
										  LOG_NOTICE;
	case VIRTPMEM_EVENT_RESYNC:
	case VIRTPMEM_EVENT_BAD_RANGES:
		return LOG_WARNING;
	case VIRTPMEM_EVENT_REGION_ADDED:
	case VIRTPMEM_EVENT_REGION_REMOVED:
	case VIRTPMEM_EVENT_SETTING:
		break;
	}
	return LOG_NOTICE;
}

/* When it was seen: as ndctl writes it, and for people. */
static void add_time(struct record *line)
{
	_cleanup_free_ char *stamp = NULL, *full = NULL;
	struct timespec now = { 0 };
	char text[64], zone[16];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	stamp = xasprintf("%10lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
	record_add_string(line, "timestamp", stamp);
	if (!localtime_r(&now.tv_sec, &tm) || !strftime(text, sizeof(text), "%FT%T", &tm) ||
	    !strftime(zone, sizeof(zone), "%z", &tm))
		return;
	full = xasprintf("%s.%06ld%s", text, now.tv_nsec / 1000, zone);
	record_add_string(line, "time", full);
}

static void add_event(struct record *line, const struct virtpmem_event *event)
{
	struct record *r = record_add(line, "event", RECORD_OBJECT);
	enum virtpmem_event_type type = virtpmem_event_get_type(event);
	_cleanup_free_ char *text = message(event);
	bool value = true;

	if (type == VIRTPMEM_EVENT_STALLED)
		virtpmem_event_get_stalled(event, &value);
	record_add_bool(r, virtpmem_event_type_name(type), value);
	record_add_string(r, "message", text);
	record_add_uint(r, "boottime_ns", virtpmem_event_get_time_ns(event));
	if (type == VIRTPMEM_EVENT_HOST_ERROR || type == VIRTPMEM_EVENT_STALLED)
		record_add_uint(r, "count", virtpmem_event_get_count(event));
	if (virtpmem_event_get_setting(event)) {
		record_add_string(r, "name", virtpmem_event_get_setting(event));
		record_add_string(r, "value", virtpmem_event_get_value(event));
	}
}

/* As it was when the event happened, not as it is now. */
static void add_region(struct pmemctl *p, struct record *line, const struct virtpmem_event *event)
{
	struct virtpmem_region *region = virtpmem_event_get_region(event);
	const char *reason = virtpmem_event_get_reason(event);
	struct record *r, *flush;
	enum virtpmem_state state;
	bool stalled;

	if (!region)
		return;
	r = regions_describe(p, region, DESCRIBE_NAMES);
	r->name = "region";
	record_append(line, r);
	if (virtpmem_event_get_state(event, &state) < 0)
		return;
	flush = record_add(r, "flush", RECORD_OBJECT);
	record_add_string(flush, "state", virtpmem_state_name(state));
	if (reason && !streq(reason, VIRTIO_PMEM_REASON_NONE))
		record_add_string(flush, "broken_reason", reason);
	if (!virtpmem_event_get_stalled(event, &stalled))
		record_add_bool(flush, "stalled", stalled);
}

static void add_variable(char ***environment, size_t *count, const char *name, const char *value)
{
	*environment = xreallocarray(*environment, *count + 2, sizeof(**environment));
	(*environment)[(*count)++] = xasprintf("PMEMCTL_%s=%s", name, value);
	(*environment)[*count] = NULL;
}

/* What a command of --exec finds in its environment. */
static char **environment_of(const struct record *line, const struct virtpmem_event *event)
{
	static const struct {
		const char *name, *path;
	} variables[] = {
		{ "TIMESTAMP", "timestamp" },	   { "MESSAGE", "event.message" },
		{ "REGION", "region.dev" },	   { "PATH", "region.path" },
		{ "STATE", "region.flush.state" }, { "REASON", "region.flush.broken_reason" },
		{ "SETTING", "event.name" },	   { "VALUE", "event.value" },
	};
	const struct record *stalled = record_get(line, "region.flush.stalled");
	char **environment = NULL;
	size_t count = 0, i;

	add_variable(&environment, &count, "EVENT",
		     virtpmem_event_type_name(virtpmem_event_get_type(event)));
	for (i = 0; i < ARRAY_SIZE(variables); i++) {
		const struct record *value = record_get(line, variables[i].path);

		if (value)
			add_variable(&environment, &count, variables[i].name, value->string);
	}
	if (stalled)
		add_variable(&environment, &count, "STALLED", stalled->boolean ? "1" : "0");
	return environment;
}

static void start_command(struct watch *w)
{
	int err;

	while ((err = runner_start(&w->runner)) < 0)
		output_warning(&w->p->out, "cannot start the command of --exec: %s; an event was "
					   "not told to it", strerror(-err));
}

static void tell(struct watch *w, const struct virtpmem_event *event)
{
	_cleanup_record_ struct record *line = record_new(RECORD_OBJECT);

	record_add_string(line, "schema", OUTPUT_SCHEMA);
	add_time(line);
	record_add_uint(line, "pid", (uint64_t)getpid());
	add_event(line, event);
	add_region(w->p, line, event);
	output_line(&w->p->out, line);
	log_target_deliver(&w->target, priority(event));
	if (!w->settings.exec)
		return;
	if (!runner_add(&w->runner, w->settings.exec, environment_of(line, event)))
		output_warning(&w->p->out, "%d events wait for the command of --exec; this one is "
					   "not told to it", RUNNER_MAX);
	start_command(w);
}

/* --------------------------------------------------------------- signals */

/* Returns: 0 or a negative errno, and the log is where it was. */
static int open_log(struct watch *w)
{
	int err = log_target_open(&w->target, w->settings.log);

	if (err >= 0)
		output_goes_to(&w->p->out, w->target.is_file ? w->settings.log : NULL);
	return err;
}

static void reload(struct watch *w)
{
	int err;

	notify_manager("RELOADING=1");
	output_flush(&w->p->out);
	/* Without good new settings the old ones go on: no reason to fail at the end. */
	if (!monitor_settings_read(w->p, &w->settings)) {
		output_warning(&w->p->out, "the settings are as they were");
		output_forgive(&w->p->out);
	}
	err = open_log(w);
	if (err < 0)
		output_warning(&w->p->out, "cannot open %s: %s; events go where they went",
			       w->settings.log, log_target_why(err));
	err = regions_rescan(w->p);
	if (err >= 0)
		wanted_set(&w->wanted, w->p, w->settings.regions);
	else
		output_warning(&w->p->out, "cannot look for regions: %s; the same ones are watched as "
					   "before", regions_why(w->p, "", err));
	notify_manager("READY=1");
}

static void command_ended(struct watch *w)
{
	int status;

	if (!runner_reap(&w->runner, &status))
		return;
	if (WIFSIGNALED(status))
		output_warning(&w->p->out, "the command of --exec was killed by signal %d",
			       WTERMSIG(status));
	else if (WEXITSTATUS(status))
		output_warning(&w->p->out, "the command of --exec ended with %d",
			       WEXITSTATUS(status));
	start_command(w);
}

static void on_signal(struct watch *w)
{
	struct signalfd_siginfo info;

	if (read(w->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGHUP:
		reload(w);
		break;
	case SIGCHLD:
		command_ended(w);
		break;
	case SIGINT:
		output_error(&w->p->out, NULL, ERROR_INTERRUPTED, "interrupted");
		w->end = true;
		break;
	default:
		w->end = true;
		break;
	}
}

/* ---------------------------------------------------------------- events */

/* Nothing would get out any more, not even an answer that says what has failed. */
static void give_up(struct watch *w)
{
	struct output *out = &w->p->out;
	int status = out->status;

	output_forgive(out);
	out->status = status;
	out->write_error = EAGAIN;
	out->reports++;
}

/*
 * Waits until there is room for a line: a reader may be slow, or have stopped.
 * Returns: false if a signal ended it before.
 */
static bool can_tell(struct watch *w)
{
	struct pollfd fds[] = {
		{ .fd = STDOUT_FILENO, .events = POLLOUT },
		{ .fd = w->signal_fd, .events = POLLIN },
	};

	while (!w->end) {
		int n = poll(fds, ARRAY_SIZE(fds), -1);

		if (fds[0].revents || (n < 0 && errno != EINTR))
			return true;
		if (fds[1].revents)
			on_signal(w);
	}
	give_up(w);
	return false;
}

/* Names that no region had are looked for whenever something has happened. */
static int next_event(struct watch *w, struct virtpmem_event **event)
{
	int r = virtpmem_monitor_process(w->monitor, event);

	if (r >= 0)
		wanted_look(&w->wanted, w->p);
	return r;
}

/* Returns: false, and a warning, if not everything could be looked at: a later call tells of it. */
static bool tell_all(struct watch *w)
{
	struct virtpmem_event *event;
	int err;

	while (!w->p->out.write_error && (err = next_event(w, &event)) != 0) {
		if (err < 0) {
			output_warning(&w->p->out, "while watching: %s", regions_why(w->p, "", err));
			regions_forget_log(w->p);
			return false;
		}
		if (is_wanted(w, event) && can_tell(w))
			tell(w, event);
		virtpmem_event_unref(event);
	}
	w->end |= w->p->out.write_error;
	return true;
}

/* ------------------------------------------------------------------ loop */

/* What poll(2) takes: milliseconds until the monitor wants to be called, or -1. */
static int milliseconds(struct virtpmem_monitor *monitor)
{
	uint64_t until = UINT64_MAX, now;
	struct timespec ts = { 0 };

	virtpmem_monitor_get_timeout(monitor, &until);
	if (until == UINT64_MAX)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	if (until <= now)
		return 0;
	return until - now > 1000000000 ? 1000000 : (int)((until - now) / 1000 + 1);
}

static void loop(struct watch *w)
{
	struct pollfd fds[] = {
		{ .fd = w->signal_fd, .events = POLLIN },
		{ .fd = virtpmem_monitor_get_fd(w->monitor),
		  .events = (short)virtpmem_monitor_get_events(w->monitor) },
	};
	bool told = true;

	while (!w->end) {
		if (poll(fds, ARRAY_SIZE(fds), milliseconds(w->monitor)) < 0 && errno != EINTR) {
			output_error(&w->p->out, NULL, ERROR_FAILED, "cannot wait: %s",
				     strerror(errno));
			return;
		}
		told = tell_all(w);
		if (w->end || !fds[0].revents)
			continue;
		/* What has happened before the end is told before the end, also what failed once. */
		told = told || tell_all(w);
		if (!w->end)
			on_signal(w);
	}
	if (!told)
		output_error(&w->p->out, NULL, ERROR_FAILED, "what happened last could not be told");
}

static bool set_up_signals(struct watch *w)
{
	static const int handled[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD };
	struct sigaction old;
	size_t i;

	sigemptyset(&w->signals);
	for (i = 0; i < ARRAY_SIZE(handled); i++)
		/* What whoever started us ignores, as nohup(1) does, stays ignored. */
		if (handled[i] == SIGCHLD || (!sigaction(handled[i], NULL, &old) &&
					      old.sa_handler != SIG_IGN))
			sigaddset(&w->signals, handled[i]);
	signal(SIGCHLD, SIG_DFL);
	if (sigprocmask(SIG_BLOCK, &w->signals, NULL))
		return false;
	w->runner.signals = &w->signals;
	w->signal_fd = signalfd(-1, &w->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->signal_fd >= 0;
}

/* Returns: false, and an error of the output, if there is nothing to wait for. */
static bool set_up(struct watch *w)
{
	struct pmemctl *p = w->p;
	int err;

	if (!monitor_settings_read(p, &w->settings) || !regions_scan(p))
		return false;
	err = virtpmem_monitor_new(p->ctx, &w->monitor);
	if (err < 0) {
		output_error(&p->out, NULL, error_from_errno(err), "cannot watch the regions: %s",
			     regions_why(p, "", err));
		return false;
	}
	if (!set_up_signals(w)) {
		output_error(&p->out, NULL, ERROR_FAILED, "cannot wait for signals: %s",
			     strerror(errno));
		return false;
	}
	err = open_log(w);
	if (err < 0)
		output_error(&p->out, NULL, error_of_file(err), "cannot open %s: %s",
			     w->settings.log, log_target_why(err));
	return err >= 0;
}

static void tear_down(struct watch *w)
{
	if (w->runner.count)
		output_warning(&w->p->out, "%zu event%s not told to the command of --exec",
			       w->runner.count, w->runner.count == 1 ? " was" : "s were");
	runner_clear(&w->runner);
	virtpmem_monitor_unref(w->monitor);
	if (w->signal_fd >= 0)
		close(w->signal_fd);
	log_target_close(&w->target);
	monitor_settings_clear(&w->settings);
	wanted_clear(&w->wanted);
}

static void begin(struct watch *w)
{
	struct output *out = &w->p->out;
	/* Anew: between the monitor's first look and this nothing is lost. */
	int count = regions_rescan(w->p);

	if (count < 0)
		output_warning(out, "watching, but cannot look for regions again: %s",
			       regions_why(w->p, "", count));
	wanted_set(&w->wanted, w->p, w->settings.regions);
	if (count >= 0)
		output_note(out, "watching; there %s %d region%s now", count == 1 ? "is" : "are",
			    count, count == 1 ? "" : "s");
}

void cmd_monitor(struct pmemctl *p)
{
	struct watch w = { .p = p, .target = LOG_TARGET_INIT, .signal_fd = -1 };

	if (set_up(&w)) {
		begin(&w);
		notify_manager("READY=1");
		loop(&w);
		notify_manager("STOPPING=1");
	}
	/* An event, or nothing, was the answer: there is no list of regions to print. */
	if (!p->out.status && !p->out.write_error)
		p->out.reports++;
	tear_down(&w);
}
