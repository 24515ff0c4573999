/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a stream of lines goes: standard output, a file, or syslog. The backends
 * print on standard output; a target takes its place.
 */
#ifndef PMEMCTL_LOG_TARGET_H
#define PMEMCTL_LOG_TARGET_H

#include <stdbool.h>

#define LOG_TARGET_STANDARD "standard"
#define LOG_TARGET_SYSLOG   "syslog"

struct log_target {
	int standard; /* the standard output that there was, or -1 */
	int memory;   /* what was printed and is not in syslog yet, or -1 */
	bool is_file; /* a file or a pipe by its name */
};

#define LOG_TARGET_INIT { -1, -1, false }

/*
 * From now on lines go to @name: "standard", "syslog", or the path of a file,
 * which is appended to; opened anew if it is the same one. Never waits for who
 * is to read it. Returns: 0, or a negative errno, and they go where they went.
 */
int log_target_open(struct log_target *target, const char *name);

/* That errno in words. */
const char *log_target_why(int err);

/* What was printed is handed on, with a priority as in syslog(3). */
void log_target_deliver(struct log_target *target, int priority);

void log_target_close(struct log_target *target);

#endif /* PMEMCTL_LOG_TARGET_H */
