/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A word to the service manager, in the protocol of sd_notify(3).
 */
#ifndef PMEMCTL_NOTIFY_H
#define PMEMCTL_NOTIFY_H

/* "READY=1", "STOPPING=1", ... Does nothing where no service manager listens. */
void notify_manager(const char *state);

#endif /* PMEMCTL_NOTIFY_H */
