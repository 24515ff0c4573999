// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Small things that every file of the command needs; see util.h.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "util.h"

void (*out_of_memory_undo)(void);

void out_of_memory(void)
{
	static const char msg[] = "pmemctl: out of memory\n";

	if (out_of_memory_undo)
		out_of_memory_undo();
	/* Not stdio: it allocates, and its buffers must not be flushed half done. */
	(void)!write(STDERR_FILENO, msg, sizeof(msg) - 1);
	_exit(error_exit(ERROR_FAILED));
}

static void *checked(void *p)
{
	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size));
}

void *xreallocarray(void *old, size_t count, size_t size)
{
	return checked(reallocarray(old, count ? count : 1, size));
}

char *xstrdup(const char *s)
{
	return checked(strdup(s));
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *s;

	return checked(vasprintf(&s, fmt, ap) < 0 ? NULL : s);
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = xvasprintf(fmt, ap);
	va_end(ap);
	return s;
}
