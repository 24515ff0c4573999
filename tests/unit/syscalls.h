/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * syscall(2) of the library goes through a function of the tests.
 *
 * The children that the library starts make bare system calls only, so nothing
 * else can stand between them and the kernel; and their end is where a build
 * that counts branches has to write down what they went through.
 */
#ifndef VIRTPMEM_TESTS_SYSCALLS_H
#define VIRTPMEM_TESTS_SYSCALLS_H

#include <stdbool.h>

/* Returns true if it answers for the kernel, with *@ret and errno. NULL: none does. */
extern bool (*syscall_hook)(long number, const long args[6], long *ret);

#endif /* VIRTPMEM_TESTS_SYSCALLS_H */
