/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Templates over records: what turns values into words. The language is
 * described in views.h, where the templates are.
 */
#ifndef PMEMCTL_TEMPLATE_H
#define PMEMCTL_TEMPLATE_H

#include "record.h"

/* Records that a path leads to; NULL where an element of an array has no such thing. */
struct matches {
	const struct record **r;
	size_t count;
};

void matches_add(struct matches *m, const struct record *r);
void matches_clear(struct matches *m);

#define _cleanup_matches_ __attribute__((__cleanup__(matches_clear)))

/* Adds what @path leads to from @r; "regions.*" leads to each element of an array. */
void resolve(const struct record *r, const char *path, struct matches *m);

/*
 * The text of @template over @r; the caller frees. Returns: NULL if a value that
 * is not in brackets is missing.
 */
char *expand(const struct record *r, const char *template);

#endif /* PMEMCTL_TEMPLATE_H */
