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

static int open_ndctl(const struct virtpmem_region *region, struct ndctl_ctx **ndctl,
		      struct ndctl_region **ret)
{
	struct ndctl_region *found;
	struct ndctl_bus *bus;
	int r;

	r = ndctl_new(ndctl);
	if (r < 0)
		return r;
	ndctl_set_userdata(*ndctl, region->ctx);
	ndctl_set_log_fn(*ndctl, log_ndctl);
	ndctl_bus_foreach(*ndctl, bus) {
		ndctl_region_foreach(bus, found) {
			if (strcmp(ndctl_region_get_devname(found), region->devname) != 0)
				continue;
			*ret = found;
			return 0;
		}
	}
	return vp_region_alive(region) ? -ENXIO : -ENODEV;
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
