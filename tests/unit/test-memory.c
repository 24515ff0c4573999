// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * U3: with any single allocation of the library failing, a call answers
 * -ENOMEM or has its whole result: nothing is silently missing, and nothing
 * leaks (which ASan sees).
 */
#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The allocation that fails, counted from 0; -1: none. */
static int failing = -1;
static int allocations;

static bool fails(void)
{
	bool yes = machine_is_calling() && allocations++ == failing;

	if (yes)
		errno = ENOMEM;
	return yes;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **ret, const char *format, ...);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
int __real_vasprintf(char **ret, const char *format, va_list args);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
	if (fails()) {
		*ret = (char *)1;	/* undefined: must not be freed */
		return -1;
	}
	return __real_vasprintf(ret, format, args);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = __wrap_vasprintf(ret, format, args);
	va_end(args);
	return n;
}

/* What allocates besides is among the system calls of calls.c. */
static bool allocates_and_fails(const char *name)
{
	static const char *const names[] = { "fdopendir", "fopen64", "opendir", "realpath" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return fails();
	return false;
}

/* ---------------------------------------------------------------- tests */

static void check(void **state)
{
	struct machine *machine = machine_for(*state);
	int i, r = -1;

	for (i = 0; i < 10000 && r != 1; i++) {
		allocations = 0;
		failing = i;
		r = machine_try(machine, allocates_and_fails);
		failing = -1;

		/* A log message may be lost; then the call goes on. */
		if (r == 1 && allocations > i)
			r = -ENOMEM;
		if (r != 1 && r != -ENOMEM)
			fail_msg("with allocation %d failing: returned %d", i, r);
	}
	assert_int_equal(r, 1);
	assert_true(i > 1);
}

int main(void)
{
	struct CMUnitTest *tests = calloc(call_count, sizeof(*tests));
	char (*names)[64] = calloc(call_count, sizeof(*names));
	size_t i;
	int r;

	if (!tests || !names)
		return 1;
	for (i = 0; i < call_count; i++) {
		snprintf(names[i], sizeof(names[i]), "U3 %s without memory", calls[i].name);
		tests[i].name = names[i];
		tests[i].test_func = check;
		tests[i].initial_state = (void *)(uintptr_t)&calls[i];
	}
	r = _cmocka_run_group_tests("U3 memory", tests, call_count, NULL, NULL);
	machine_for(NULL);
	free(names);
	free(tests);
	return r;
}
