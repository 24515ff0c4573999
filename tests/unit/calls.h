/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls of the library, each on a machine on which it has its whole result, for
 * the tests that make what lies below it fail.
 */
#ifndef VIRTPMEM_TESTS_CALLS_H
#define VIRTPMEM_TESTS_CALLS_H

#include "testbed.h"

/*
 * @call returns 1 if the whole result was there, 0 if something lacked, or a
 * negative errno.
 */
struct call {
	const char *name;
	const char *fixture;
	int (*call)(struct virtpmem_ctx *ctx, struct virtpmem_region *region);
};

extern const struct call calls[];
extern const size_t call_count;

struct machine;

/* A machine for @call; the last one is gone or the same. NULL: no more is needed. */
struct machine *machine_for(const struct call *call);

/*
 * Makes the call as if for the first time. @fails, if it is not NULL, is asked before
 * each system call, by its name, whether that fails, and sets errno then; also in
 * the children of the library.
 */
int machine_try(struct machine *machine, bool (*fails)(const char *name));

/* Whether a call is being made right now, and what fails is the library's. */
bool machine_is_calling(void);

/* Whether the last try has logged more than for debugging. */
bool machine_logged(const struct machine *machine);

/* How many file systems are frozen at the moment. */
int machine_frozen(void);

#endif /* VIRTPMEM_TESTS_CALLS_H */
