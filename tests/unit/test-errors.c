// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * U3: with any single system call failing, a call of the library answers an
 * error, or has its whole result, or has said in the log what it lacks. U5:
 * nothing stays frozen, whichever system call failed on the way, also one of
 * the guard's.
 */
#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * The one that fails, counted from 0, and with what. Shared with the children:
 * each system call has one number.
 */
static struct {
	int failing, error, made;
	char name[24];
} *plan;

/* Without memory alone, which is another test's. */
static bool fails(const char *name)
{
	if (!strcmp(name, "fdopendir"))
		return false;
	if (__atomic_fetch_add(&plan->made, 1, __ATOMIC_SEQ_CST) != plan->failing)
		return false;
	snprintf(plan->name, sizeof(plan->name), "%s", name);
	errno = plan->error;
	return true;
}

/* Returns whether there was a call that could fail. */
static bool try(struct machine *machine, int i, int error)
{
	int r;

	plan->failing = i;
	plan->error = error;
	plan->made = 0;
	plan->name[0] = '\0';
	r = machine_try(machine, fails);
	if (machine_frozen())
		fail_msg("with system call %d (%s) failing: still frozen", i, plan->name);
	if (r > 1 || r == -ENOMEM || (!r && !machine_logged(machine)))
		fail_msg("with system call %d (%s) failing (%s): returned %d, and has %s", i,
			 plan->name, strerror(error), r,
			 machine_logged(machine) ? "said something" : "said nothing");
	return *plan->name;
}

static void check(void **state)
{
	static const int errors[] = { EIO, EPERM };
	struct machine *machine = machine_for(*state);
	bool more = true;
	size_t e;
	int i;

	for (i = 0; more && i < 10000; i++)
		for (more = false, e = 0; e < ARRAY_SIZE(errors); e++)
			more |= try(machine, i, errors[e]);
	assert_false(more);
	assert_true(i > 1);
	/* Nor is it in the way of the next. */
	assert_int_equal(machine_try(machine, NULL), 1);
}

int main(void)
{
	struct CMUnitTest *tests = calloc(call_count, sizeof(*tests));
	char (*names)[64] = calloc(call_count, sizeof(*names));
	size_t i;
	int r;

	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!tests || !names || plan == MAP_FAILED)
		return 1;
	for (i = 0; i < call_count; i++) {
		snprintf(names[i], sizeof(names[i]), "U3 %s with failing system calls",
			 calls[i].name);
		tests[i].name = names[i];
		tests[i].test_func = check;
		tests[i].initial_state = (void *)(uintptr_t)&calls[i];
	}
	r = _cmocka_run_group_tests("U3 errors", tests, call_count, NULL, NULL);
	machine_for(NULL);
	free(names);
	free(tests);
	return r;
}
