// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The library's verdicts, under the names of pmemctl-json(5).
 */
#include "health.h"
#include "util.h"

/* By which the library says that the limit of latency is passed. */
#define SLOW "slow"

static enum virtpmem_health_level add_reason(struct record *reasons,
					     const struct virtpmem_reason *reason, bool too_slow)
{
	enum virtpmem_health_level level = virtpmem_reason_get_level(reason);
	struct record *r = record_add(reasons, NULL, RECORD_OBJECT);
	const char *id = virtpmem_reason_get_id(reason);

	if (too_slow && streq(id, SLOW) && level < VIRTPMEM_HEALTH_CRITICAL)
		level = VIRTPMEM_HEALTH_CRITICAL;
	record_add_string(r, "code", id);
	record_add_string(r, "health_state", virtpmem_health_level_name(level));
	record_add_string(r, "message", virtpmem_reason_get_text(reason));
	record_add_string(r, "remedy", virtpmem_reason_get_remedy(reason));
	return level;
}

/* @too_slow: latency is past the limit that makes it critical. */
static enum virtpmem_health_level add_verdict(struct virtpmem_health *health, bool too_slow,
					      struct record *parent)
{
	enum virtpmem_health_level level = virtpmem_health_get_level(health), worst = level;
	struct record *record = record_new(RECORD_OBJECT), *reasons;
	struct virtpmem_reason *reason;

	reasons = record_new(RECORD_ARRAY);
	reasons->name = "reasons";
	virtpmem_reason_foreach (health, reason) {
		level = add_reason(reasons, reason, too_slow);
		if (level > worst)
			worst = level;
	}
	record->name = "health";
	record_add_string(record, "health_state", virtpmem_health_level_name(worst));
	record_append(record, reasons);
	record_append(parent, record);
	return worst;
}

static bool has_reason(struct virtpmem_health *health, const char *id)
{
	struct virtpmem_reason *reason;

	virtpmem_reason_foreach (health, reason)
		if (streq(virtpmem_reason_get_id(reason), id))
			return true;
	return false;
}

static bool is_too_slow(struct reader *rd, uint64_t limit_us)
{
	_cleanup_virtpmem_health_unref_ struct virtpmem_health *health = NULL;

	return limit_us &&
	       reader_got(rd, "health",
			  virtpmem_region_get_health(rd->region, NULL, limit_us, &health)) &&
	       has_reason(health, SLOW);
}

enum virtpmem_health_level health_add(struct reader *rd, struct virtpmem_holders *holders,
				      const struct health_limits *limits, struct record *r)
{
	_cleanup_virtpmem_health_unref_ struct virtpmem_health *health = NULL;
	bool too_slow = is_too_slow(rd, limits->critical_us);
	uint64_t limit_us = too_slow ? limits->critical_us : limits->warning_us;

	if (!reader_got(rd, "health",
			virtpmem_region_get_health(rd->region, holders, limit_us, &health)))
		return VIRTPMEM_HEALTH_UNKNOWN;
	return add_verdict(health, too_slow, r);
}

enum virtpmem_health_level health_add_system(struct pmemctl *p, struct record *r)
{
	_cleanup_virtpmem_health_unref_ struct virtpmem_health *health = NULL;
	int err = virtpmem_get_system_health(p->ctx, &health);

	if (err >= 0)
		return add_verdict(health, false, r);
	output_error(&p->out, NULL, error_from_errno(err), "cannot look at the set-up: %s",
		     regions_why(p, "", err));
	return VIRTPMEM_HEALTH_UNKNOWN;
}
