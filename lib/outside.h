/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done through other libraries: libndctl and libkmod.
 */
#ifndef VIRTPMEM_LIB_OUTSIDE_H
#define VIRTPMEM_LIB_OUTSIDE_H

#include "health.h"
#include "private.h"

int vp_ndctl_disable(const struct virtpmem_region *region);
int vp_ndctl_enable(const struct virtpmem_region *region);
int vp_dimms_read(const struct virtpmem_region *region, struct vp_dimm_facts **ret, size_t *count);
void vp_dimms_free(struct vp_dimm_facts *dimms, size_t count);
void vp_ndctl_forget(struct virtpmem_ctx *ctx);
int vp_module_load(struct virtpmem_ctx *ctx, const char *alias);

#endif /* VIRTPMEM_LIB_OUTSIDE_H */
