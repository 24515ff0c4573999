// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The verdict on a region: a list of rules, each of which looks at the record
 * and may add a reason. The verdict is the worst reason's. The words of
 * "health_state" are ndctl's; the reasons are documented in pmemctl-status(1).
 */
#include <inttypes.h>

#include <virtpmem/sysfs-abi.h>

#include "health.h"
#include "util.h"

/* In order of weight. */
enum health {
	HEALTH_OK,
	HEALTH_UNKNOWN,
	HEALTH_NON_CRITICAL,
	HEALTH_CRITICAL,
	HEALTH_FATAL,
};

static const char *const health_names[] = {
	[HEALTH_OK] = "ok",
	[HEALTH_UNKNOWN] = "unknown",
	[HEALTH_NON_CRITICAL] = "non-critical",
	[HEALTH_CRITICAL] = "critical",
	[HEALTH_FATAL] = "fatal",
};

struct verdict {
	const struct record *region;
	struct record *reasons;
	enum health worst;
};

static void add(struct verdict *v, const char *code, enum health health, const char *message,
		const char *remedy)
{
	struct record *reason = record_add(v->reasons, NULL, RECORD_OBJECT);

	record_add_string(reason, "code", code);
	record_add_string(reason, "health_state", health_names[health]);
	record_add_string(reason, "message", message);
	record_add_string(reason, "remedy", remedy);
	if (health > v->worst)
		v->worst = health;
}

static const char *string_at(const struct record *r, const char *path)
{
	const struct record *value = record_get(r, path);

	return value && value->kind == RECORD_STRING ? value->string : "";
}

static uint64_t uint_at(const struct record *r, const char *path)
{
	const struct record *value = record_get(r, path);

	return value && value->kind == RECORD_UINT ? value->uint : 0;
}

static bool is(const struct verdict *v, const char *path, const char *word)
{
	return streq(string_at(v->region, path), word);
}

static bool is_virtio_pmem(const struct verdict *v)
{
	return is(v, "flush.driver", "virtpmem") || is(v, "flush.driver", "in-tree");
}

static void check_broken(struct verdict *v)
{
	const char *reason = string_at(v->region, "flush.broken_reason");
	_cleanup_free_ char *message = NULL;
	bool lost;

	if (!is(v, "flush.state", VIRTIO_PMEM_STATE_BROKEN))
		return;
	lost = streq(reason, VIRTIO_PMEM_REASON_HOST_ERROR) ||
	       streq(reason, VIRTIO_PMEM_REASON_GONE);
	message = xasprintf("the region is broken (%s) and every flush fails%s",
			    *reason ? reason : "reason not known",
			    lost ? "; what was written since the last good flush may be lost" : "");
	add(v, "broken", lost ? HEALTH_FATAL : HEALTH_CRITICAL, message,
	    "mend the host's storage, then unbind and bind the device");
}

static void check_stalled(struct verdict *v)
{
	uint64_t us = uint_at(v->region, "flush.in_flight_us");
	_cleanup_free_ char *message = NULL;

	if (us < VIRTIO_PMEM_STALL_TIMEOUT_MS_DEFAULT * UINT64_C(1000))
		return;
	message = xasprintf("the host has not answered a flush for %" PRIu64 " s", us / 1000000);
	add(v, "stalled", HEALTH_CRITICAL, message, "look at the host's storage");
}

static void check_host_failures(struct verdict *v)
{
	uint64_t failed = uint_at(v->region, "flush.failed_host_flushes");
	bool latch = is(v, "flush.error_policy", VIRTIO_PMEM_POLICY_LATCH);
	_cleanup_free_ char *message = NULL;

	/* While it is broken because of that, that says it all. */
	if (!failed || is(v, "flush.broken_reason", VIRTIO_PMEM_REASON_HOST_ERROR))
		return;
	message = xasprintf("the host has failed %" PRIu64 " flush%s since the driver was bound",
			    failed, failed == 1 ? "" : "es");
	if (latch)
		add(v, "host_flush_failed", HEALTH_NON_CRITICAL, message,
		    "check the data that was being written then");
	else
		add(v, "host_flush_failed", HEALTH_CRITICAL, message,
		    "check all data: with the policy 'report' a later flush succeeds although what "
		    "the host dropped is gone");
}

/* In sector mode each write is flushed before it is done, and there is nothing to ask for. */
static bool only_sector_mode(const struct verdict *v)
{
	const struct record *namespaces = record_get(v->region, "namespaces"), *ns;

	if (!namespaces || !namespaces->child)
		return false;
	record_foreach (namespaces, ns)
		if (!streq(string_at(ns, "mode"), "sector"))
			return false;
	return true;
}

static void check_method(struct verdict *v)
{
	if (!is(v, "flush.method", "none") || is(v, "type", "volatile") || only_sector_mode(v))
		return;
	if (is_virtio_pmem(v))
		add(v, "no_flush_method", HEALTH_CRITICAL,
		    "nothing can make this region durable on demand",
		    is(v, "flush.driver", "in-tree") ?
			    "load this project's driver, which adds deep_flush" :
			    "see the flush method below");
	else
		add(v, "no_flush_method", HEALTH_UNKNOWN,
		    "the kernel offers no flush, and does not say whether stores need one",
		    "ask whoever makes the platform");
}

static void check_write_through(struct verdict *v)
{
	const struct record *namespaces = record_get(v->region, "namespaces"), *ns;

	if (!namespaces || !is_virtio_pmem(v))
		return;
	record_foreach (namespaces, ns) {
		_cleanup_free_ char *message = NULL, *remedy = NULL;
		const char *dev = string_at(ns, "blockdev");

		if (!streq(string_at(ns, "write_cache"), "write through") ||
		    streq(string_at(ns, "mode"), "sector"))
			continue;
		message = xasprintf("/dev/%s is set to write through: fsync reports success and "
				    "sends the host nothing", dev);
		remedy = xasprintf("echo 'write back' > /sys/block/%s/queue/write_cache", dev);
		add(v, "write_through", HEALTH_CRITICAL, message, remedy);
	}
}

static void check_sector_mode(struct verdict *v)
{
	const struct record *namespaces = record_get(v->region, "namespaces"), *ns;

	if (!namespaces || !is(v, "flush.driver", "in-tree"))
		return;
	record_foreach (namespaces, ns) {
		_cleanup_free_ char *message = NULL;

		if (!streq(string_at(ns, "mode"), "sector"))
			continue;
		message = xasprintf("%s is in sector mode, where the in-tree virtio_pmem sleeps "
				    "under a spinlock and can hang or crash the machine",
				    string_at(ns, "dev"));
		add(v, "sector_mode_sleeps", HEALTH_CRITICAL, message,
		    "load this project's driver, or use another mode");
	}
}

static void check_active(struct verdict *v)
{
	const char *state = string_at(v->region, "flush.state");
	_cleanup_free_ char *message = NULL;

	if (!streq(state, VIRTIO_PMEM_STATE_QUIESCED) &&
	    !streq(state, VIRTIO_PMEM_STATE_RECOVERING) &&
	    !streq(state, VIRTIO_PMEM_STATE_REMOVING))
		return;
	message = xasprintf("the region is %s, and flushes may have to wait", state);
	add(v, "not_active", HEALTH_NON_CRITICAL, message, "wait until that is over");
}

/* What is not known is not "ok". */
static void check_known(struct verdict *v)
{
	if (is(v, "flush.driver", "virtpmem") &&
	    (!*string_at(v->region, "flush.state") || is(v, "flush.state", "unknown") ||
	     !record_get(v->region, "flush.failed_host_flushes")))
		add(v, "incomplete", HEALTH_UNKNOWN,
		    "the driver's state or its statistics could not be read or understood",
		    "see the errors; the driver may be newer or older than pmemctl");
	if (is(v, "flush.driver", "in-tree"))
		add(v, "no_statistics", HEALTH_UNKNOWN,
		    "the in-tree virtio_pmem keeps no statistics and has no states",
		    "load this project's driver to see them");
	else if (is(v, "flush.driver", "other"))
		add(v, "not_virtio_pmem", HEALTH_UNKNOWN,
		    "not virtio-pmem: its memory is not judged here",
		    "'ndctl list -DH' shows the health of DIMMs");
}

void health_add(struct record *region)
{
	static void (*const checks[])(struct verdict *v) = {
		check_broken,	     check_stalled,	check_host_failures, check_method,
		check_write_through, check_sector_mode, check_active,	     check_known,
	};
	struct verdict v = { .region = region, .reasons = record_new(RECORD_ARRAY) };
	struct record *health;
	size_t i;

	v.reasons->name = "reasons";
	for (i = 0; i < ARRAY_SIZE(checks); i++)
		checks[i](&v);
	health = record_add(region, "health", RECORD_OBJECT);
	record_add_string(health, "health_state", health_names[v.worst]);
	record_append(health, v.reasons);
}
