// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What stands in front of syscall(2): see syscalls.h.
 */
#include "syscalls.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>

#ifdef COUNT_BRANCHES
void __gcov_dump(void);
#endif

bool (*syscall_hook)(long number, const long args[6], long *ret);

long __real_syscall(long number, ...);
/* It takes six arguments, as glibc does: those that a caller has not given are not its. */
__attribute__((__no_sanitize__("address"))) long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long args[6], ret;
	va_list list;
	size_t i;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
#ifdef COUNT_BRANCHES
	if (number == SYS_exit_group)
		__gcov_dump();
#endif
	if (syscall_hook && syscall_hook(number, args, &ret))
		return ret;
	return __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
