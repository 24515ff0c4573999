// SPDX-License-Identifier: GPL-2.0-or-later
/* The public headers need nothing before them: compiled as C and as C++. */
#include <virtpmem/libvirtpmem.h>
#include <virtpmem/sysfs-abi.h>

struct virtpmem_ctx *use(struct virtpmem_ctx *ctx, struct virtpmem_region *region);

struct virtpmem_ctx *use(struct virtpmem_ctx *ctx, struct virtpmem_region *region)
{
	_cleanup_virtpmem_unref_ struct virtpmem_ctx *held = virtpmem_ref(ctx);

	virtpmem_region_foreach(ctx, region)
		if (virtpmem_region_get_id(region) == VIRTIO_PMEM_ABI)
			break;
	return held == ctx ? ctx : NULL;
}
