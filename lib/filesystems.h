/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file systems that lie on a region, each with a descriptor on it.
 */
#ifndef VIRTPMEM_LIB_FILESYSTEMS_H
#define VIRTPMEM_LIB_FILESYSTEMS_H

#include "private.h"

/*
 * @path: where it is mounted. @depth: how many devices lie below it. @fd:
 * read-only; a negative errno if no mount of it could be reached.
 */
struct vp_fs {
	dev_t devno;
	char *name, *path;
	unsigned int depth;
	int fd;
};

struct vp_fs_list {
	struct vp_fs *fs;
	size_t count;
};

int vp_fs_take(const struct virtpmem_ctx *ctx, struct vp_fs_list *list,
	       const struct virtpmem_holder *holder, unsigned int depth);
void vp_fs_sort(struct vp_fs_list *list);
void vp_fs_list_done(struct vp_fs_list *list);
bool vp_fs_has(const struct vp_fs *fs, const char *path);
bool vp_fs_is_written(const struct vp_fs *fs);

#endif /* VIRTPMEM_LIB_FILESYSTEMS_H */
