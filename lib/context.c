// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The context: what a program holds of the library, and where its log goes.
 *
 * There is no global state. A context is freed with its last reference; the
 * regions of its last scan go with it, because a region that anybody else
 * still has a reference to keeps the context.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

static const struct {
	const char *name;
	int priority;
} log_priorities[] = {
	{ "err", LOG_ERR },
	{ "warning", LOG_WARNING },
	{ "info", LOG_INFO },
	{ "debug", LOG_DEBUG },
};

VP_EXPORT const char *virtpmem_version(void)
{
	return VIRTPMEM_VERSION;
}

static int log_priority_from_env(void)
{
	const char *env = secure_getenv("VIRTPMEM_LOG");
	size_t i;

	for (i = 0; env && i < ARRAY_SIZE(log_priorities); i++)
		if (!strcmp(env, log_priorities[i].name))
			return log_priorities[i].priority;
	return LOG_ERR;
}

VP_EXPORT int virtpmem_new(struct virtpmem_ctx **ret)
{
	struct virtpmem_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return -ENOMEM;
	ctx->refs = 1;
	ctx->log_priority = log_priority_from_env();
	ctx->proc = "/proc";
	ctx->rules = "/etc/udev/rules.d";
	ctx->run = "/run";
	ctx->boot = "/boot";
	ctx->modules = "/lib/modules";
	*ret = ctx;
	return 0;
}

VP_EXPORT struct virtpmem_ctx *virtpmem_ref(struct virtpmem_ctx *ctx)
{
	ctx->refs++;
	return ctx;
}

VP_EXPORT struct virtpmem_ctx *virtpmem_unref(struct virtpmem_ctx *ctx)
{
	struct virtpmem_region *region, *next;

	if (!ctx || --ctx->refs)
		return NULL;
	for (region = ctx->regions; region; region = next) {
		next = region->next;
		vp_region_free(region);
	}
	vp_unbound_free(ctx->unbound);
	virtpmem_snapshot_end(ctx);
	vp_reap(ctx);
	free(ctx->abandoned);
	free(ctx);
	return NULL;
}

VP_EXPORT void virtpmem_set_log_fn(struct virtpmem_ctx *ctx, virtpmem_log_fn fn, void *userdata)
{
	ctx->log_fn = fn;
	ctx->log_userdata = userdata;
}

VP_EXPORT void virtpmem_set_log_priority(struct virtpmem_ctx *ctx, int priority)
{
	ctx->log_priority = priority;
}

VP_EXPORT int virtpmem_get_log_priority(const struct virtpmem_ctx *ctx)
{
	return ctx->log_priority;
}

void vp_log(const struct virtpmem_ctx *ctx, int priority, const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list args;
	int n;

	if (!ctx->log_fn || priority > ctx->log_priority)
		return;
	va_start(args, format);
	n = vasprintf(&message, format, args);
	va_end(args);
	if (n < 0) {
		message = NULL;
		ctx->log_fn(ctx->log_userdata, priority, "out of memory");
		return;
	}
	ctx->log_fn(ctx->log_userdata, priority, message);
}

/*
 * What a snapshot lacks: logged, and the first one kept in *missing for whoever
 * asks. Returns 0 or -ENOMEM.
 */
int vp_note_missing(const struct virtpmem_ctx *ctx, char **missing, const char *format,
		    va_list args)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	vp_info(ctx, "not complete: %s", text);
	if (!*missing) {
		*missing = text;
		text = NULL;
	}
	return 0;
}
