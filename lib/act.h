/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the calls that change a region share.
 */
#ifndef VIRTPMEM_LIB_ACT_H
#define VIRTPMEM_LIB_ACT_H

#include "plan.h"

/* How long a step waits for a flush, where the caller gives no time. */
#define VP_FLUSH_TIMEOUT_MS	60000

/* @depth: 0 for what uses the region directly. */
typedef int (*vp_holder_fn)(const struct virtpmem_holder *holder, unsigned int depth, void *data);

/* virtpmem_region_get_holders(), never of a snapshot: what acts looks for itself. */
int vp_holders_now(struct virtpmem_region *region, unsigned int flags,
		   struct virtpmem_holders **ret);

/*
 * The disks beside a region, and no other region's, with who holds them, as far as that can
 * be seen; until @fn fails.
 */
typedef int (*vp_disk_fn)(const char *name, struct virtpmem_holders *holders, void *data);
int vp_each_disk(struct virtpmem_region *region, vp_disk_fn fn, void *data);

int vp_each_holder(struct virtpmem_holders *holders, vp_holder_fn fn, void *data);
int vp_holder_words(const struct virtpmem_holder *holder, char **ret);
const char *vp_holder_object(const struct virtpmem_holder *holder);
int vp_act_flush(struct virtpmem_region *region, unsigned int timeout_ms);

#endif /* VIRTPMEM_LIB_ACT_H */
