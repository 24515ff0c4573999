/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration file: one section of lines "key = value", as iniparser reads
 * it. What is written is what is meant, or is refused: nothing is cut off a
 * value but a comment, and not even that off a verbatim one.
 */
#ifndef PMEMCTL_CONFIG_H
#define PMEMCTL_CONFIG_H

#include "pmemctl.h"

struct config_key {
	const char *name;
	bool verbatim; /* has no comment behind it, because a shell is to read it */
	char *value;   /* NULL: it is not there; owned by the keys */
};

struct config {
	const char *section;
	struct config_key *keys;
	size_t count;
};

/*
 * Reads @file into keys that are empty. Returns: false, and an error of the
 * output, if it cannot be read or something in it is wrong.
 */
bool config_read(struct pmemctl *p, const char *file, struct config *config);

void config_clear(struct config *config);

#endif /* PMEMCTL_CONFIG_H */
