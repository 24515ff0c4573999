/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine has mounted, swaps to, loops and has open, at one moment:
 * the tables of which holders.c makes the tree of a region.
 */
#ifndef VIRTPMEM_LIB_SYSTEM_H
#define VIRTPMEM_LIB_SYSTEM_H

#include "private.h"

/* @pid: a process that has this mount; 0 if we have it ourselves. */
struct vp_mount {
	dev_t devno;
	char *root;
	char *target;
	char *fstype;
	char *source;
	char *options;
	pid_t pid;
};

/* A file is known by its file system: @devno. A device by its own: @rdev, else 0. */
struct vp_backing {
	dev_t devno;
	dev_t rdev;
};

struct vp_swap {
	char *path;
	struct vp_backing backing;
};

struct vp_loop {
	char *name;
	char *path;			/* NULL: not known */
	struct vp_backing backing;
};

/* A process that has a device open, or mapped. */
struct vp_open {
	pid_t pid;
	dev_t rdev;
	mode_t type;
	bool mapped;
};

/* @missing: NULL, or the first thing that could not be seen, in words. */
struct vp_system {
	struct virtpmem_ctx *ctx;
	struct vp_mount *mounts;
	size_t mount_count;
	struct vp_swap *swaps;
	size_t swap_count;
	struct vp_loop *loops;
	size_t loop_count;
	struct vp_open *opens;
	size_t open_count;
	char *missing;
	bool borrowed;			/* all but @missing is the context's */
};

/*
 * 0, or a negative errno for a failure of our own: what is hidden is @missing.
 * vp_system_get() may return what the context has kept.
 */
int vp_system_read(struct virtpmem_ctx *ctx, bool skip_self, struct vp_system *ret);
int vp_system_get(struct virtpmem_ctx *ctx, bool skip_self, struct vp_system *ret);
void vp_system_done(struct vp_system *sys);

int vp_system_miss(struct vp_system *sys, const char *format, ...)
	__attribute__((__format__(__printf__, 2, 3)));
int vp_system_opendir(struct vp_system *sys, const char *path, DIR **ret);
int vp_system_comm(const struct vp_system *sys, pid_t pid, char **ret);

#endif /* VIRTPMEM_LIB_SYSTEM_H */
