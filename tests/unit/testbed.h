/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests share: a recorded /sys (and /dev) that the test may
 * change as it likes, a context on it, and the log that the library wrote.
 *
 * libumockdev's preload shows the tree in place of the real one.
 */
#ifndef VIRTPMEM_TESTS_TESTBED_H
#define VIRTPMEM_TESTS_TESTBED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cmocka.h>

#include <virtpmem/libvirtpmem.h>
#include <virtpmem/sysfs-abi.h>

/* A file of our driver, below the region. */
#define GROUP_FILE(attr_)	VIRTIO_PMEM_GROUP "/" attr_
#define ARRAY_SIZE(a_)		(sizeof(a_) / sizeof((a_)[0]))

struct testbed;

/* @fixture is a name in fixtures/ without its ending, or NULL for an empty machine. */
struct testbed *testbed_new(const char *fixture);
void testbed_free(struct testbed *tb);

/* A new context that logs everything into the testbed; freed with it. */
struct virtpmem_ctx *testbed_ctx(struct testbed *tb);
/* The same context, scanned; returns the region of that name. */
struct virtpmem_region *testbed_region(struct testbed *tb, const char *name);

bool testbed_logged(const struct testbed *tb, const char *text);
void testbed_clear_log(struct testbed *tb);

/*
 * All paths below are relative to the testbed's root ("sys/...", "dev/..."),
 * or start with a region's name ("region0/size").
 */
char *testbed_path(struct testbed *tb, const char *path);
void testbed_write(struct testbed *tb, const char *path, const char *text);
void testbed_write_data(struct testbed *tb, const char *path, const void *data, size_t length);
char *testbed_read(struct testbed *tb, const char *path);
void testbed_remove(struct testbed *tb, const char *path);
void testbed_mkdir(struct testbed *tb, const char *path);
void testbed_symlink(struct testbed *tb, const char *target, const char *path);
void testbed_chmod(struct testbed *tb, const char *path, mode_t mode);

/* The same of @dir/@name. */
void testbed_write_in(struct testbed *tb, const char *dir, const char *name, const char *text);
void testbed_mkdir_in(struct testbed *tb, const char *dir, const char *name);
void testbed_symlink_in(struct testbed *tb, const char *target, const char *dir, const char *name);

/*
 * A procfs in "proc" of a machine that has nothing but its root mounted and
 * two processes, "self" and 1, that have nothing open; and the empty
 * directories "holders" of the block devices, which no recording has. A test
 * points its context there.
 */
void testbed_add_proc(struct testbed *tb);
/*
 * One more process, in the mount namespace @ns ("mnt:[1]" is that of the others), with one
 * thread. Another thread of process 55 is the process "55/task/56".
 */
void testbed_add_process(struct testbed *tb, const char *pid, const char *ns);
/* What is mounted besides the root: lines of mountinfo. */
void testbed_set_mounts(struct testbed *tb, const char *lines);

/* A btrfs that lies on two block devices, as sysfs names them. */
void testbed_add_btrfs(struct testbed *tb, const char *first, const char *second);
/* An ext4 on the block device @fs, whose journal lies on @log. */
void testbed_add_journal(struct testbed *tb, const char *log, const char *fs);

/* A block device without a region; @devno is what its file "dev" holds. */
void testbed_add_block(struct testbed *tb, const char *name, const char *devno);
/* A loop device on @file. */
void testbed_add_loop(struct testbed *tb, const char *name, const char *devno, const char *file);
/* Its node in /dev. */
void testbed_add_block_node(struct testbed *tb, const char *name, const char *devno);

/*
 * For the wraps of statx(), which umockdev does not know: what a process has open is a
 * link, and leads to a node that umockdev shows. False: ask the kernel.
 */
bool testbed_statx(int dirfd, const char *path, struct statx *ret);

/*
 * /dev/ndctlN, the node of a region's bus, where N is @number, as for all of them in
 * the recordings: it is the lock of the region, and libndctl looks for it.
 */
void testbed_add_bus_node(struct testbed *tb, unsigned int number);

/* Takes a region away as an unbind does: its directory and its link on the bus. */
void testbed_remove_region(struct testbed *tb, const char *name);

/* The kernel's message that something has happened to a device, which must be there. */
void testbed_uevent(struct testbed *tb, const char *path, const char *action);

/* Run the rest without the rights of root; give them back. */
void testbed_drop_root(void);
void testbed_regain_root(void);

/* cmocka setup and teardown: *state is a testbed of what *state named. */
int testbed_setup(void **state);
int testbed_teardown(void **state);

#define testbed_test(name_, fn_, fixture_) \
	{ \
		.name = (name_), \
		.test_func = (fn_), \
		.setup_func = testbed_setup, \
		.teardown_func = testbed_teardown, \
		.initial_state = (void *)(uintptr_t)(fixture_), \
	}

#endif /* VIRTPMEM_TESTS_TESTBED_H */
