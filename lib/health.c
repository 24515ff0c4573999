// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The verdict on a region, and on the machine's set-up: a list of rules, each
 * of which looks at the facts and may add a reason. The verdict is the worst
 * reason's. Nothing is read here: facts.c does that.
 *
 * The identifiers of reasons are an interface: pmemctl-health(1) lists them.
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

static bool is_unread(const struct vp_region_facts *f, enum vp_unread what)
{
	return f->unread & 1U << what;
}

static bool is_broken(const struct vp_region_facts *f)
{
	return f->has_state && f->state == VIRTPMEM_STATE_BROKEN;
}

static bool broken_by(const struct vp_region_facts *f, const char *reason)
{
	return is_broken(f) && f->broken_reason && !strcmp(f->broken_reason, reason);
}

/* What a reason means, and what is to be done before, and after, the region is recovered. */
struct cause {
	const char *reason, *words, *before, *after;
};

static const struct cause *find_cause(const char *reason)
{
	static const char device[] = "; if it breaks again, the device on the host is at fault";
	static const struct cause causes[] = {
		{ VIRTIO_PMEM_REASON_HOST_ERROR, ": the host failed a flush",
		  "mend the host's storage, then ", "" },
		{ VIRTIO_PMEM_REASON_TIMEOUT, ": the host did not answer in time",
		  "mend the host's storage, then ", "" },
		{ VIRTIO_PMEM_REASON_NOTIFY, ": the device could not be told of a request", "",
		  device },
		{ VIRTIO_PMEM_REASON_VIRTQUEUE, ": the queue to the device broke", "", device },
		{ VIRTIO_PMEM_REASON_NEEDS_RESET, ": the device needs a reset", "", device },
		{ VIRTIO_PMEM_REASON_STALE_ANSWER, ": the device gave back a request without an "
		  "answer", "", device },
		{ VIRTIO_PMEM_REASON_GONE, ": the device is not there any more", "", "" },
		{ NULL, "", "mend the host's storage, then ", "" },
	};
	const struct cause *cause = causes;

	while (cause->reason && (!reason || strcmp(cause->reason, reason) != 0))
		cause++;
	return cause;
}

static void check_broken(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	const struct cause *cause = find_cause(f->broken_reason);
	bool gone = broken_by(f, VIRTIO_PMEM_REASON_GONE);
	bool lost = gone || broken_by(f, VIRTIO_PMEM_REASON_HOST_ERROR);
	struct virtpmem_reason *reason;

	if (!is_broken(f))
		return;
	reason = add(h, "broken", lost ? VIRTPMEM_HEALTH_FATAL : VIRTPMEM_HEALTH_CRITICAL,
		     "the region is broken (%s%s) and every flush fails%s",
		     f->broken_reason ? f->broken_reason : "reason not known", cause->words,
		     lost ? "; what was written since the last good flush may be lost" : "");
	if (gone)
		remedy(h, reason, "plug the device in again, and restore its data");
	else
		remedy(h, reason, "%s'pmemctl recover %s'%s", cause->before, f->devname,
		       cause->after);
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

/* A time that is not the last failure's is of an earlier one, or means nothing. */
static bool is_acknowledged(const struct vp_region_facts *f)
{
	return f->last_failure_ns && f->acknowledged_ns == f->last_failure_ns;
}

/* The C library would speak of messages. */
static const char *why_not_known(int error)
{
	return error == -EBADMSG ? "what is noted is no time" : strerror(-error);
}

static void check_host_failures(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	bool latch = f->policy && !strcmp(f->policy, VIRTIO_PMEM_POLICY_LATCH);
	struct virtpmem_reason *reason;

	/* While it is broken because of that, that says it all. */
	if (!f->failed_host_flushes || is_acknowledged(f) ||
	    broken_by(f, VIRTIO_PMEM_REASON_HOST_ERROR))
		return;
	reason = add(h, "host_flush_failed",
		     latch ? VIRTPMEM_HEALTH_NON_CRITICAL : VIRTPMEM_HEALTH_CRITICAL,
		     "the host has failed %" PRIu64 " flush%s since the driver was bound%s%s",
		     f->failed_host_flushes, f->failed_host_flushes == 1 ? "" : "es",
		     f->acknowledged_error ? "; whether that was acknowledged is not known: " : "",
		     f->acknowledged_error ? why_not_known(f->acknowledged_error) : "");
	remedy(h, reason, "check %s; after that 'pmemctl health --acknowledge %s'",
	       latch ? "the data that was being written then" :
		       "all data: with the policy 'report' a later flush succeeds although what "
		       "the host dropped is gone", f->devname);
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
	struct virtpmem_reason *reason;

	if (is_unread(f, VP_UNREAD_METHOD) || f->method != VIRTPMEM_FLUSH_NONE ||
	    f->type == VIRTPMEM_REGION_VOLATILE || only_sector_mode(f))
		return;
	if (!is_virtio_pmem(f)) {
		remedy(h, add(h, "no_flush_method", VIRTPMEM_HEALTH_UNKNOWN,
			      "the kernel offers no flush, and does not say whether stores need "
			      "one"),
		       "ask whoever makes the platform");
		return;
	}
	reason = add(h, "no_flush_method", VIRTPMEM_HEALTH_CRITICAL,
		     "nothing can make this region durable on demand");
	if (f->driver == VIRTPMEM_DRIVER_IN_TREE)
		remedy(h, reason, "load this project's driver, which adds deep_flush");
	else
		remedy(h, reason, "'pmemctl status %s' says why, as its flush method",
		       f->devname);
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
	bool in_tree = f->driver == VIRTPMEM_DRIVER_IN_TREE;
	size_t i;

	for (i = 0; (in_tree || f->no_preempt_count) && i < f->namespace_count; i++)
		if (f->namespaces[i].mode == VIRTPMEM_MODE_SECTOR)
			remedy(h, add(h, "sector_mode_sleeps", VIRTPMEM_HEALTH_CRITICAL,
				      "%s is in sector mode, where %s sleeps under a spinlock and "
				      "can hang or crash the machine", f->namespaces[i].devname,
				      in_tree ? "the in-tree virtio_pmem" :
				      "virtio_pmem on a kernel without CONFIG_PREEMPT_COUNT"),
			       "%s, or use another mode", in_tree ? "load this project's driver" :
			       "boot a kernel with CONFIG_PREEMPT_COUNT");
}

static void check_active(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	struct virtpmem_reason *reason;

	if (!f->has_state || (f->state != VIRTPMEM_STATE_QUIESCED &&
			      f->state != VIRTPMEM_STATE_RECOVERING &&
			      f->state != VIRTPMEM_STATE_REMOVING))
		return;
	reason = add(h, "not_active", VIRTPMEM_HEALTH_NON_CRITICAL,
		     "the region is %s, and flushes may have to wait",
		     virtpmem_state_name(f->state));
	if (f->state == VIRTPMEM_STATE_QUIESCED)
		remedy(h, reason, "wait until its time is over, or 'pmemctl thaw %s'", f->devname);
	else
		remedy(h, reason, "wait until that is over");
}

static void check_frozen(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	static const char words[] = "holds the region frozen, and what writes to a file system on "
				    "it waits";
	struct virtpmem_reason *reason;

	if (!f->frozen)
		return;
	if (f->guard)
		reason = add(h, "frozen", VIRTPMEM_HEALTH_NON_CRITICAL, "process %d %s",
			     (int)f->guard, words);
	else
		reason = add(h, "frozen", VIRTPMEM_HEALTH_NON_CRITICAL,
			     "a process of another PID namespace %s", words);
	remedy(h, reason, "wait until its time is over, or 'pmemctl thaw %s'", f->devname);
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
		      "one host flush in a hundred takes %.10g ms or more; the limit is %.10g ms",
		      (double)f->slow_percent_us / 1000, (double)f->latency_limit_us / 1000),
	       "look at the host's storage");
}

static void check_namespaces(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	size_t i;

	if (f->disabled)
		remedy(h, add(h, "region_disabled", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "the region is disabled and has no namespaces"),
		       "ndctl enable-region %s", f->devname);
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
		       "if that is not meant: echo 0 > /sys/bus/nd/devices/%s/read_only",
		       f->devname);
}

static void check_abi(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	if (f->abi > VIRTIO_PMEM_ABI)
		remedy(h, add(h, "driver_newer", VIRTPMEM_HEALTH_UNKNOWN,
			      "the driver's interface is revision %u, and this library knows %u",
			      f->abi, (unsigned int)VIRTIO_PMEM_ABI),
		       "install the libvirtpmem that came with the driver");
}

static void add_incomplete(struct virtpmem_health *h, const char *what, const char *who)
{
	remedy(h, add(h, "incomplete", VIRTPMEM_HEALTH_UNKNOWN,
		      "%s could not be read or understood", what),
	       "see the errors; the %s may be newer or older than pmemctl", who);
}

/* What is not known is not "ok". */
static void check_known(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	static const char *const unread[][2] = {
		[VP_UNREAD_ABI] = { "the revision of the driver's interface", "driver" },
		[VP_UNREAD_STALLED] = { "whether the region is stalled", "driver" },
		[VP_UNREAD_LATENCY] = { "how long the host's flushes take", "driver" },
		[VP_UNREAD_READ_ONLY] = { "whether the region is read-only", "kernel" },
		[VP_UNREAD_METHOD] = { "how the region can be flushed", "kernel" },
		[VP_UNREAD_NAMESPACES] = { "what the region is made into", "kernel" },
		[VP_UNREAD_WRITE_CACHE] = { "whether a block device drops its flushes", "kernel" },
		[VP_UNREAD_BAD] = { "part of the lists of bad blocks", "kernel" },
	};
	unsigned int i;

	if (f->driver == VIRTPMEM_DRIVER_VIRTPMEM &&
	    (!f->has_state || f->state == VIRTPMEM_STATE_UNKNOWN || !f->has_stats))
		add_incomplete(h, "the driver's state or its statistics", "driver");
	for (i = 0; i < ARRAY_SIZE(unread); i++)
		if (is_unread(f, (enum vp_unread)i))
			add_incomplete(h, unread[i][0], unread[i][1]);
	if (f->driver == VIRTPMEM_DRIVER_IN_TREE)
		remedy(h, add(h, "no_statistics", VIRTPMEM_HEALTH_UNKNOWN,
			      "the in-tree virtio_pmem keeps no statistics and has no states"),
		       "load this project's driver to see them");
	else if (f->driver == VIRTPMEM_DRIVER_OTHER)
		remedy(h, add(h, "not_virtio_pmem", VIRTPMEM_HEALTH_UNKNOWN,
			      "not virtio-pmem: its memory is not judged here"),
		       "'ndctl list -DH' shows the health of DIMMs");
}

/* ---------------------------------------------------------- rules of DIMMs */

static void check_dimm(const struct vp_dimm_facts *dimm, struct virtpmem_health *h)
{
	static const char *const failures[] = {
		[VP_DIMM_SAVE] = "save what was in it",
		[VP_DIMM_RESTORE] = "restore what was in it",
		[VP_DIMM_FLUSH] = "take what the platform still had for it",
		[VP_DIMM_MAP] = "be mapped",
		[VP_DIMM_ARM] = "be armed: a power cut may lose what is written to it",
	};
	static const char look[] = "'ndctl list -DH -d %s' shows more";
	size_t i;

	for (i = 0; i < VP_DIMM_FAILURES; i++)
		if (dimm->failed & 1U << i)
			remedy(h, add(h, "dimm_failed", VIRTPMEM_HEALTH_CRITICAL,
				      "%s failed to %s", dimm->devname, failures[i]),
			       look, dimm->devname);
	if (!dimm->error && dimm->level != VIRTPMEM_HEALTH_OK)
		remedy(h, add(h, "dimm_health", dimm->level, "%s says that its health is %s",
			      dimm->devname, virtpmem_health_level_name(dimm->level)),
		       look, dimm->devname);
	if (dimm->error && dimm->error != -EOPNOTSUPP)
		remedy(h, add(h, "dimm_unknown", VIRTPMEM_HEALTH_UNKNOWN,
			      "the health of %s cannot be read: %s", dimm->devname,
			      strerror(-dimm->error)), look, dimm->devname);
	if (dimm->event)
		remedy(h, add(h, "dimm_event", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "%s has an event to tell", dimm->devname), look, dimm->devname);
}

static void check_dimms(const struct vp_region_facts *f, struct virtpmem_health *h)
{
	size_t i;

	if (f->dimm_error)
		remedy(h, add(h, "dimm_unknown", VIRTPMEM_HEALTH_UNKNOWN,
			      "the health of its DIMMs cannot be read: %s",
			      strerror(-f->dimm_error)), "'ndctl list -DH' shows more");
	for (i = 0; i < f->dimm_count; i++)
		check_dimm(&f->dimms[i], h);
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
	size_t i;

	if (f->in_tree_bound && f->installed)
		remedy(h, add(h, "wrong_driver", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "this project's driver is installed, but the kernel's own has a "
			      "region"),
		       "unbind the devices, then load the module again");
	if (f->unbound_error)
		remedy(h, add(h, "devices_unknown", VIRTPMEM_HEALTH_UNKNOWN,
			      "whether each virtio-pmem device has a driver is not known: %s",
			      strerror(-f->unbound_error)),
		       "look as root at /sys/bus/virtio/devices");
	/* A name without a bus is no path, which is what can be added. */
	for (i = 0; i < f->unbound_count; i++)
		remedy(h, add(h, "device_without_driver", VIRTPMEM_HEALTH_NON_CRITICAL,
			      "the virtio-pmem device %s has no driver", f->unbound[i]),
		       "'pmemctl add %s%s'", strchr(f->unbound[i], '-') ? "" : "virtio-",
		       f->unbound[i]);
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
		check_broken, check_stalled, check_host_failures, check_bad, check_dimms,
		check_method, check_write_through, check_barriers, check_sector_mode,
		check_active, check_frozen, check_latency,
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
