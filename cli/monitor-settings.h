/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What "monitor" is to do: the options, and what they leave open from a
 * configuration file, as ndctl-monitor(1) has it.
 */
#ifndef PMEMCTL_MONITOR_SETTINGS_H
#define PMEMCTL_MONITOR_SETTINGS_H

#include "pmemctl.h"

#define MONITOR_CONFIG_FILE "/etc/pmemctl/monitor.conf"

struct monitor_settings {
	char *log;	     /* a target; never NULL */
	char *exec;	     /* a shell command, or NULL */
	unsigned int events; /* bit n: events of type n are wanted */
	char **regions;	     /* names as they were given, ends with NULL; none: all */
};

/*
 * Reads them. Returns: false, and an error of the output, if something in them is
 * wrong; then @settings is as it was.
 */
bool monitor_settings_read(struct pmemctl *p, struct monitor_settings *settings);

void monitor_settings_clear(struct monitor_settings *settings);

#endif /* PMEMCTL_MONITOR_SETTINGS_H */
