// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The verdict on a region, and on the machine's set-up: a list of rules, each
 * of which looks at the facts and may add a reason. The verdict is the worst
 * reason's. Nothing is read here: facts.c does that.
 *
 * The identifiers of reasons are an interface: pmemctl-status(1) lists them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health.h"

struct virtpmem_reason {
	struct virtpmem_reason *next;
	const char *id;
	enum virtpmem_health_level level;
	char *text;
	char *remedy;
};

struct virtpmem_health {
	unsigned int refs;
	enum virtpmem_health_level level;
	struct virtpmem_reason *first;
	struct virtpmem_reason **end;
	bool out_of_memory;
};

/* ------------------------------------------------------------ collecting */

/* The last reason's remedy; without one there is nothing that can be done. */
static void remedy(struct virtpmem_health *h, struct virtpmem_reason *reason, const char *format,
		   ...) __attribute__((__format__(__printf__, 3, 4)));
static struct virtpmem_reason *add(struct virtpmem_health *h, const char *id,
				   enum virtpmem_health_level level, const char *format, ...)
	__attribute__((__format__(__printf__, 4, 5)));

static void reason_free(struct virtpmem_reason *reason)
{
	free(reason->text);
	free(reason->remedy);
	free(reason);
}

/* NULL if there is no memory, which the verdict then remembers. */
static struct virtpmem_reason *add(struct virtpmem_health *h, const char *id,
				   enum virtpmem_health_level level, const char *format, ...)
{
	struct virtpmem_reason *reason = calloc(1, sizeof(*reason));
	va_list args;
	int n = -1;

	if (reason) {
		va_start(args, format);
		n = vasprintf(&reason->text, format, args);
		va_end(args);
	}
	if (n < 0) {
		if (reason)
			reason->text = NULL;
		h->out_of_memory = true;
		free(reason);
		return NULL;
	}
	reason->id = id;
	reason->level = level;
	*h->end = reason;
	h->end = &reason->next;
	if (level > h->level)
		h->level = level;
	return reason;
}

static void remedy(struct virtpmem_health *h, struct virtpmem_reason *reason, const char *format,
		   ...)
{
	va_list args;
	int n;

	if (!reason)
		return;
	va_start(args, format);
	n = vasprintf(&reason->remedy, format, args);
	va_end(args);
	if (n >= 0)
		return;
	reason->remedy = NULL;
	h->out_of_memory = true;
}

/* ---------------------------------------------------- rules of a region */

static bool is_virtio_pmem(const struct vp_region_facts *f)
{
	return f->driver != VIRTPMEM_DRIVER_OTHER;
}

static bool is_broken(const struct vp_region_facts *f)
{
	return f->has_state && f->state == VIRTPMEM_STATE_BROKEN;
}

static bool broken_by(const struct vp_region_facts *f, const char *reason)
{
	return is_broken(f) && f->broken_reason && !strcmp(f->broken_reason, reason);
}

static void check_broken(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	bool gone = broken_by(f, VIRTIO_PMEM_REASON_GONE);
	bool lost = gone || broken_by(f, VIRTIO_PMEM_REASON_HOST_ERROR);
	struct virtpmem_reason *reason;

	if (!is_broken(f))
		return;
	reason = add(h, "broken", lost ? VIRTPMEM_HEALTH_FATAL : VIRTPMEM_HEALTH_CRITICAL,
		     "the region is broken (%s) and every flush fails%s",
		     f->broken_reason ? f->broken_reason : "reason not known",
		     lost ? "; what was written since the last good flush may be lost" : "");
	remedy(h, reason, gone ? "plug the device in again, and restore its data" :
				 "mend the host's storage, then recover the region");
}

static void check_stalled(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (!f->stalled)
		return;
	remedy(h, add(h, "stalled", VIRTPMEM_HEALTH_CRITICAL,
		      "the host has not answered a flush for %" PRIu64 " s",
		      f->in_flight_us / 1000000),
	       "look at the host's storage");
}

static void check_host_failures(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	bool latch = f->policy && !strcmp(f->policy, VIRTIO_PMEM_POLICY_LATCH);
	struct virtpmem_reason *reason;

	/* While it is broken because of that, that says it all. */
	if (!f->failed_host_flushes || broken_by(f, VIRTIO_PMEM_REASON_HOST_ERROR))
		return;
	reason = add(h, "host_flush_failed",
		     latch ? VIRTPMEM_HEALTH_NON_CRITICAL : VIRTPMEM_HEALTH_CRITICAL,
		     "the host has failed %" PRIu64 " flush%s since the driver was bound",
		     f->failed_host_flushes, f->failed_host_flushes == 1 ? "" : "es");
	remedy(h, reason, latch ? "check the data that was being written then" :
				  "check all data: with the policy 'report' a later flush succeeds "
				  "although what the host dropped is gone");
}

/* In sector mode each write is flushed before it is done, and there is nothing to ask for. */
static bool only_sector_mode(const struct vp_region_facts *f)
{
	size_t i;

	for (i = 0; i < f->namespace_count; i++)
		if (f->namespaces[i].mode != VIRTPMEM_MODE_SECTOR)
			return false;
	return f->namespace_count > 0;
}

static void check_method(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (!f->has_method || f->method != VIRTPMEM_FLUSH_NONE ||
	    f->type == VIRTPMEM_REGION_VOLATILE || only_sector_mode(f))
		return;
	if (is_virtio_pmem(f))
		remedy(h, add(h, "no_flush_method", VIRTPMEM_HEALTH_CRITICAL,
			      "nothing can make this region durable on demand"),
		       "%s", f->driver == VIRTPMEM_DRIVER_IN_TREE ?
				     "load this project's driver, which adds deep_flush" :
				     "see the flush method below");
	else
		remedy(h, add(h, "no_flush_method", VIRTPMEM_HEALTH_UNKNOWN,
			      "the kernel offers no flush, and does not say whether stores need "
			      "one"),
		       "ask whoever makes the platform");
}

static void check_write_through(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	size_t i;

	for (i = 0; is_virtio_pmem(f) && i < f->namespace_count; i++) {
		const struct vp_namespace_facts *ns = &f->namespaces[i];

		if (!ns->blockdev || !ns->write_through || ns->mode == VIRTPMEM_MODE_SECTOR)
			continue;
		remedy(h, add(h, "write_through", VIRTPMEM_HEALTH_CRITICAL,
			      "/dev/%s is set to write through: fsync reports success and "
			      "sends the host nothing", ns->blockdev),
		       "echo 'write back' > /sys/block/%s/queue/write_cache", ns->blockdev);
	}
}

static void check_barriers(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	size_t i;

	for (i = 0; i < f->no_barrier_count; i++)
		remedy(h, add(h, "no_barriers", VIRTPMEM_HEALTH_CRITICAL,
			      "%s is mounted so that it never asks for a flush: fsync makes "
			      "nothing durable there", f->no_barriers[i]),
		       "mount it without 'nobarrier'");
}

static void check_sector_mode(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	size_t i;

	for (i = 0; f->driver == VIRTPMEM_DRIVER_IN_TREE && i < f->namespace_count; i++)
		if (f->namespaces[i].mode == VIRTPMEM_MODE_SECTOR)
			remedy(h, add(h, "sector_mode_sleeps", VIRTPMEM_HEALTH_CRITICAL,
				      "%s is in sector mode, where the in-tree virtio_pmem sleeps "
				      "under a spinlock and can hang or crash the machine",
				      f->namespaces[i].devname),
			       "load this project's driver, or use another mode");
}

static void check_active(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (!f->has_state || (f->state != VIRTPMEM_STATE_QUIESCED &&
			      f->state != VIRTPMEM_STATE_RECOVERING &&
			      f->state != VIRTPMEM_STATE_REMOVING))
		return;
	remedy(h, add(h, "not_active", VIRTPMEM_HEALTH_NON_CRITICAL,
		      "the region is %s, and flushes may have to wait",
		      virtpmem_state_name(f->state)),
	       "wait until that is over");
}

static void check_bad(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (f->lost && !broken_by(f, VIRTIO_PMEM_REASON_GONE))
		remedy(h, add(h, "media_lost", VIRTPMEM_HEALTH_FATAL,
			      "all of the region's memory is bad"), "restore its data elsewhere");
	else if (f->bad_count && !f->lost)
		remedy(h, add(h, "bad_ranges", VIRTPMEM_HEALTH_CRITICAL,
			      "%" PRIu64 " bytes in %zu range%s cannot be read", f->bad_bytes,
			      f->bad_count, f->bad_count == 1 ? "" : "s"),
		       "restore what lies there: writing to a bad range mends it");
}

static void check_latency(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (!f->latency_limit_us || f->slow_percent_us <= f->latency_limit_us)
		return;
	remedy(h, add(h, "slow", VIRTPMEM_HEALTH_NON_CRITICAL,
		      "one host flush in a hundred takes %" PRIu64 " us or more; the limit is %"
		      PRIu64 " us", f->slow_percent_us, f->latency_limit_us),
	       "look at the host's storage");
}

static void check_namespaces(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	size_t i;

	for (i = 0; i < f->namespace_count; i++)
		if (f->namespaces[i].disabled)
			remedy(h, add(h, "namespace_disabled", VIRTPMEM_HEALTH_NON_CRITICAL,
				      "%s is disabled and has no device",
				      f->namespaces[i].devname),
			       "ndctl enable-namespace %s", f->namespaces[i].devname);
}

static void check_read_only(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (f->read_only)
		remedy(h, add(h, "read_only", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "the region is read-only"),
		       "if that is not meant: echo 0 > read_only in the region's directory");
}

static void check_abi(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (f->abi > VIRTIO_PMEM_ABI)
		remedy(h, add(h, "driver_newer", VIRTPMEM_HEALTH_UNKNOWN,
			      "the driver's interface is revision %u, and this library knows %u",
			      f->abi, (unsigned int)VIRTIO_PMEM_ABI),
		       "install the libvirtpmem that came with the driver");
}

/* What is not known is not "ok". */
static void check_known(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (f->driver == VIRTPMEM_DRIVER_VIRTPMEM &&
	    (!f->has_state || f->state == VIRTPMEM_STATE_UNKNOWN || !f->has_stats))
		remedy(h, add(h, "incomplete", VIRTPMEM_HEALTH_UNKNOWN,
			      "the driver's state or its statistics could not be read or "
			      "understood"),
		       "see the errors; the driver may be newer or older than pmemctl");
	if (f->driver == VIRTPMEM_DRIVER_IN_TREE)
		remedy(h, add(h, "no_statistics", VIRTPMEM_HEALTH_UNKNOWN,
			      "the in-tree virtio_pmem keeps no statistics and has no states"),
		       "load this project's driver to see them");
	else if (f->driver == VIRTPMEM_DRIVER_OTHER)
		remedy(h, add(h, "not_virtio_pmem", VIRTPMEM_HEALTH_UNKNOWN,
			      "not virtio-pmem: its memory is not judged here"),
		       "'ndctl list -DH' shows the health of DIMMs");
}

/* ------------------------------------------------- rules of the machine */

static void check_builtin(const struct vp_system_facts *f, struct virtpmem_health *h)
{
	if (f->builtin)
		remedy(h, add(h, "driver_built_in", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "virtio_pmem is built into this kernel and cannot be replaced"),
		       "boot a kernel that has it as a module");
}

static void check_signatures(const struct vp_system_facts *f, struct virtpmem_health *h)
{
	if (f->sig_enforce || f->lockdown)
		remedy(h, add(h, "signatures_enforced", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "the kernel loads only signed modules (%s)",
			      f->lockdown ? "lockdown" : "module.sig_enforce"),
		       "sign virtio_pmem with a key that the kernel trusts");
}

static void check_bound(const struct vp_system_facts *f, struct virtpmem_health *h)
{
	if (f->in_tree_bound && f->installed)
		remedy(h, add(h, "wrong_driver", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "this project's driver is installed, but the kernel's own has a "
			      "region"),
		       "unbind the devices, then load the module again");
	if (f->unbound_device)
		remedy(h, add(h, "device_without_driver", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "the virtio-pmem device %s has no driver", f->unbound_device),
		       "modprobe virtio_pmem, or write the device's name to the driver's bind");
}

/* -------------------------------------------------------------- judging */

static struct virtpmem_health *health_new(void)
{
	struct virtpmem_health *h = calloc(1, sizeof(*h));

	if (h) {
		h->refs = 1;
		h->end = &h->first;
	}
	return h;
}

/* A verdict without one of its reasons would be a wrong one. */
static int finish(struct virtpmem_health *h, struct virtpmem_health **ret)
{
	if (h->out_of_memory) {
		virtpmem_health_unref(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

int vp_judge_region(const struct vp_region_facts *facts, struct virtpmem_health **ret)
{
	static void (*const rules[])(const struct vp_region_facts *f, struct virtpmem_health *h) = {
		check_broken, check_stalled, check_host_failures, check_bad, check_method,
		check_write_through, check_barriers, check_sector_mode, check_active, check_latency,
		check_namespaces, check_read_only, check_abi, check_known,
	};
	struct virtpmem_health *h = health_new();
	size_t i;

	if (!h)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i](facts, h);
	return finish(h, ret);
}

int vp_judge_system(const struct vp_system_facts *facts, struct virtpmem_health **ret)
{
	struct virtpmem_health *h = health_new();

	if (!h)
		return -ENOMEM;
	check_builtin(facts, h);
	check_signatures(facts, h);
	check_bound(facts, h);
	return finish(h, ret);
}

/* ------------------------------------------------------------- the API */

VP_EXPORT struct virtpmem_health *virtpmem_health_ref(struct virtpmem_health *health)
{
	health->refs++;
	return health;
}

VP_EXPORT struct virtpmem_health *virtpmem_health_unref(struct virtpmem_health *health)
{
	struct virtpmem_reason *reason, *next;

	if (!health || --health->refs)
		return NULL;
	for (reason = health->first; reason; reason = next) {
		next = reason->next;
		reason_free(reason);
	}
	free(health);
	return NULL;
}

VP_EXPORT enum virtpmem_health_level virtpmem_health_get_level(const struct virtpmem_health *health)
{
	return health->level;
}

VP_EXPORT const char *virtpmem_health_level_name(enum virtpmem_health_level level)
{
	static const char *const names[] = {
		[VIRTPMEM_HEALTH_OK] = "ok",
		[VIRTPMEM_HEALTH_UNKNOWN] = "unknown",
		[VIRTPMEM_HEALTH_NON_CRITICAL] = "non-critical",
		[VIRTPMEM_HEALTH_CRITICAL] = "critical",
		[VIRTPMEM_HEALTH_FATAL] = "fatal",
	};

	if ((unsigned int)level >= ARRAY_SIZE(names))
		level = VIRTPMEM_HEALTH_UNKNOWN;
	return names[level];
}

VP_EXPORT struct virtpmem_reason *virtpmem_reason_get_first(struct virtpmem_health *health)
{
	return health->first;
}

VP_EXPORT struct virtpmem_reason *virtpmem_reason_get_next(struct virtpmem_reason *reason)
{
	return reason->next;
}

VP_EXPORT const char *virtpmem_reason_get_id(const struct virtpmem_reason *reason)
{
	return reason->id;
}

VP_EXPORT enum virtpmem_health_level virtpmem_reason_get_level(const struct virtpmem_reason *reason)
{
	return reason->level;
}

VP_EXPORT const char *virtpmem_reason_get_text(const struct virtpmem_reason *reason)
{
	return reason->text;
}

VP_EXPORT const char *virtpmem_reason_get_remedy(const struct virtpmem_reason *reason)
{
	return reason->remedy;
}
