/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guard: a process that freezes file systems, and thaws them whatever
 * happens to the one that wanted it.
 */
#ifndef VIRTPMEM_LIB_GUARD_H
#define VIRTPMEM_LIB_GUARD_H

#include "private.h"

/*
 * @fds: one on each file system, in the order of freezing. @quiesce: the
 * driver's file, to be written 0 before anything is thawed, or -1. @node and
 * @id: where to hold the record lock of lock.c.
 */
struct vp_guard_task {
	const int *fds;
	size_t count;
	int quiesce;
	int node;
	unsigned int id;
	unsigned int timeout_ms;
};

/* @fd: this side of the socket. @ended: what vp_guard_end() has found. */
struct vp_guard {
	int fd;
	pid_t pid;
	bool over;
	int ended;
};

int vp_guard_start(struct virtpmem_ctx *ctx, const struct vp_guard_task *task,
		   struct vp_guard *ret);
int vp_guard_freeze(struct vp_guard *guard, size_t index, unsigned int timeout_ms);
int vp_guard_check(struct vp_guard *guard);
int vp_guard_detach(struct vp_guard *guard);
int vp_guard_end(struct vp_guard *guard);

#endif /* VIRTPMEM_LIB_GUARD_H */
