/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small things that every file of the command needs: allocation that does not
 * fail, and cleanup attributes.
 */
#ifndef PMEMCTL_UTIL_H
#define PMEMCTL_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * These never return NULL. A command that cannot get a few bytes cannot say
 * anything useful either: it undoes what must not stay behind, such as a screen,
 * prints one line, and exits as every failure does that has no number of its own.
 */
extern void (*out_of_memory_undo)(void); /* NULL: nothing */
void out_of_memory(void) __attribute__((noreturn));
void *xcalloc(size_t count, size_t size);
void *xreallocarray(void *old, size_t count, size_t size);
char *xstrdup(const char *s);
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

#define _cleanup_free_ __attribute__((__cleanup__(freep)))

#endif /* PMEMCTL_UTIL_H */
