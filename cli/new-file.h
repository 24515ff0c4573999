/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of the user's that is written as a whole: what comes is kept in memory, and
 * goes at the end to a new file beside it, which takes its place. Until then there is
 * nothing that a signal or a lack of memory could leave behind, and while it is there
 * signals wait. What is there and is no regular file (a link, a device, a pipe) is
 * written to, and stays what it is.
 */
#ifndef PMEMCTL_NEW_FILE_H
#define PMEMCTL_NEW_FILE_H

#include <stdbool.h>

struct output;

struct new_file {
	char *path; /* NULL: there is none */
	char *name; /* of the new file; NULL: @path is written to */
	int memory; /* what is to be in it; only if it has a name */
};

/*
 * Tries first whether a new file can be made there. Returns: where to write, or -1 and an
 * error of the output.
 */
int new_file_open(struct output *out, const char *path, struct new_file *ret);

/* If it is whole it takes its place now; else it is forgotten. Returns: 0 or a negative errno. */
int new_file_end(struct new_file *file, bool whole);

#endif /* PMEMCTL_NEW_FILE_H */
