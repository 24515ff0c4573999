// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is done through other libraries: regions are disabled and enabled by
 * libndctl, modules loaded by libkmod. Both write to stderr if they are let;
 * here it goes to the context's log.
 */
#include <errno.h>
#include <libkmod.h>
#include <ndctl/libndctl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outside.h"

static void forward(struct virtpmem_ctx *ctx, const char *from, const char *format, va_list args)
{
	_cleanup_free_ char *message = NULL;
	size_t n;

	if (vasprintf(&message, format, args) < 0) {
		message = NULL;
		return;
	}
	n = strcspn(message, "\n");
	vp_info(ctx, "%s: %.*s", from, (int)n, message);
}

/* -------------------------------------------------------------- regions */

static void log_ndctl(struct ndctl_ctx *ndctl, int priority, const char *file, int line,
		      const char *fn, const char *format, va_list args)
	__attribute__((__format__(__printf__, 6, 0)));

static void log_ndctl(struct ndctl_ctx *ndctl, int priority, const char *file, int line,
		      const char *fn, const char *format, va_list args)
{
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	forward(ndctl_get_userdata(ndctl), "libndctl", format, args);
}

static void ndctl_unrefp(struct ndctl_ctx **ndctl)
{
	ndctl_unref(*ndctl);
}

static int new_ndctl(struct virtpmem_ctx *ctx, struct ndctl_ctx **ret)
{
	int r = ndctl_new(ret);

	if (r < 0)
		return r;
	ndctl_set_userdata(*ret, ctx);
	ndctl_set_log_fn(*ret, log_ndctl);
	return 0;
}

static int find_region(struct ndctl_ctx *ndctl, const struct virtpmem_region *region,
		       struct ndctl_region **ret)
{
	struct ndctl_region *found;
	struct ndctl_bus *bus;

	ndctl_bus_foreach(ndctl, bus) {
		ndctl_region_foreach(bus, found) {
			if (strcmp(ndctl_region_get_devname(found), region->devname) != 0)
				continue;
			*ret = found;
			return 0;
		}
	}
	return vp_region_alive(region) ? -ENXIO : -ENODEV;
}

static int open_ndctl(const struct virtpmem_region *region, struct ndctl_ctx **ndctl,
		      struct ndctl_region **ret)
{
	int r = new_ndctl(region->ctx, ndctl);

	return r < 0 ? r : find_region(*ndctl, region, ret);
}

/*
 * Takes down the region with its namespaces. Returns 1 if it was down already.
 * Not libndctl's careful way, which is refused by the caller's own claims on
 * the block devices: those claims are what makes it careful.
 */
int vp_ndctl_disable(const struct virtpmem_region *region)
{
	_cleanup_(ndctl_unrefp) struct ndctl_ctx *ndctl = NULL;
	struct ndctl_region *found;
	int r;

	r = open_ndctl(region, &ndctl, &found);
	if (r < 0)
		return r;
	if (!ndctl_region_is_enabled(found))
		return 1;
	return ndctl_region_disable_invalidate(found);
}

/* Returns 1 if it was up already. */
int vp_ndctl_enable(const struct virtpmem_region *region)
{
	_cleanup_(ndctl_unrefp) struct ndctl_ctx *ndctl = NULL;
	struct ndctl_region *found;
	int r;

	r = open_ndctl(region, &ndctl, &found);
	if (r < 0)
		return r;
	if (ndctl_region_is_enabled(found))
		return 1;
	return ndctl_region_enable(found);
}

/* ---------------------------------------------------------------- DIMMs */

/* libndctl reads everything that there is: in a snapshot of the machine once. */
void vp_ndctl_forget(struct virtpmem_ctx *ctx)
{
	ndctl_unref(ctx->ndctl);
	ctx->ndctl = NULL;
}

/* What a DIMM says of itself when it is asked. */
static int ask_dimm(struct ndctl_dimm *dimm, enum virtpmem_health_level *ret)
{
	struct ndctl_cmd *cmd = ndctl_dimm_cmd_new_smart(dimm);
	unsigned int health;
	int r;

	if (!cmd)
		return -EOPNOTSUPP;
	r = ndctl_cmd_submit_xlat(cmd);
	if (r >= 0 && !(ndctl_cmd_smart_get_flags(cmd) & ND_SMART_HEALTH_VALID))
		r = -EOPNOTSUPP;
	health = r < 0 ? 0 : ndctl_cmd_smart_get_health(cmd);
	ndctl_cmd_unref(cmd);
	if (r < 0)
		return r;
	*ret = health & ND_SMART_FATAL_HEALTH ? VIRTPMEM_HEALTH_FATAL :
	       health & ND_SMART_CRITICAL_HEALTH ? VIRTPMEM_HEALTH_CRITICAL :
	       health & ND_SMART_NON_CRITICAL_HEALTH ? VIRTPMEM_HEALTH_NON_CRITICAL :
						       VIRTPMEM_HEALTH_OK;
	return 0;
}

static int read_dimm(struct ndctl_dimm *dimm, struct vp_dimm_facts *ret)
{
	static int (*const failed[])(struct ndctl_dimm *dimm) = {
		[VP_DIMM_SAVE] = ndctl_dimm_failed_save,
		[VP_DIMM_RESTORE] = ndctl_dimm_failed_restore,
		[VP_DIMM_FLUSH] = ndctl_dimm_failed_flush,
		[VP_DIMM_MAP] = ndctl_dimm_failed_map,
		[VP_DIMM_ARM] = ndctl_dimm_failed_arm,
	};
	size_t i;

	*ret = (struct vp_dimm_facts) { .devname = strdup(ndctl_dimm_get_devname(dimm)) };
	if (!ret->devname)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(failed); i++)
		ret->failed |= failed[i](dimm) > 0 ? 1U << i : 0;
	ret->event = ndctl_dimm_smart_pending(dimm) > 0;
	ret->error = ask_dimm(dimm, &ret->level);
	return 0;
}

void vp_dimms_free(struct vp_dimm_facts *dimms, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(dimms[i].devname);
	free(dimms);
}

static int read_dimms(struct ndctl_ctx *ndctl, const struct virtpmem_region *region,
		      struct vp_dimm_facts **ret, size_t *count)
{
	struct vp_dimm_facts *dimms = NULL, *longer;
	struct ndctl_region *found;
	struct ndctl_dimm *dimm;
	size_t n = 0;
	int r = find_region(ndctl, region, &found);

	if (r < 0)
		return r;
	ndctl_dimm_foreach_in_region(found, dimm) {
		longer = reallocarray(dimms, n + 1, sizeof(*dimms));
		r = longer ? read_dimm(dimm, &longer[n]) : -ENOMEM;
		dimms = longer ? longer : dimms;
		if (r < 0) {
			vp_dimms_free(dimms, n);
			return r;
		}
		n++;
	}
	*ret = dimms;
	*count = n;
	return 0;
}

/* The DIMMs that a region is made of; @ret is the caller's to free. */
int vp_dimms_read(const struct virtpmem_region *region, struct vp_dimm_facts **ret, size_t *count)
{
	_cleanup_(ndctl_unrefp) struct ndctl_ctx *ndctl = NULL;
	struct virtpmem_ctx *ctx = region->ctx;
	int r = 0;

	if (!ctx->keeping) {
		r = new_ndctl(ctx, &ndctl);
		return r < 0 ? r : read_dimms(ndctl, region, ret, count);
	}
	if (!ctx->ndctl)
		r = new_ndctl(ctx, &ctx->ndctl);
	return r < 0 ? r : read_dimms(ctx->ndctl, region, ret, count);
}

/* -------------------------------------------------------------- modules */

static void log_kmod(void *data, int priority, const char *file, int line, const char *fn,
		     const char *format, va_list args)
	__attribute__((__format__(__printf__, 6, 0)));

static void log_kmod(void *data, int priority, const char *file, int line, const char *fn,
		     const char *format, va_list args)
{
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	forward(data, "libkmod", format, args);
}

/* Loads the module that has a name or alias, as modprobe(8) does. -ENOENT: none has. */
int vp_module_load(struct virtpmem_ctx *ctx, const char *alias)
{
	struct kmod_ctx *kmod = kmod_new(NULL, NULL);
	struct kmod_list *list = NULL, *pos;
	int r;

	if (!kmod)
		return -ENOMEM;
	kmod_set_log_fn(kmod, log_kmod, ctx);
	r = kmod_module_new_from_lookup(kmod, alias, &list);
	if (!r && !list)
		r = -ENOENT;
	kmod_list_foreach(pos, list) {
		struct kmod_module *module = kmod_module_get_module(pos);

		if (!r)
			r = kmod_module_probe_insert_module(module, KMOD_PROBE_APPLY_BLACKLIST,
							    NULL, NULL, NULL, NULL);
		kmod_module_unref(module);
	}
	kmod_module_unref_list(list);
	kmod_unref(kmod);
	/* A positive answer: it is on a blacklist. */
	return r > 0 ? -EPERM : r;
}
