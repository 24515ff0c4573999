// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The library's verdict on a region, under the names of pmemctl-json(5).
 */
#include <errno.h>

#include "health.h"
#include "regions.h"
#include "util.h"

static void add_reason(struct record *reasons, const struct virtpmem_reason *reason)
{
	enum virtpmem_health_level level = virtpmem_reason_get_level(reason);
	struct record *r = record_add(reasons, NULL, RECORD_OBJECT);

	record_add_string(r, "code", virtpmem_reason_get_id(reason));
	record_add_string(r, "health_state", virtpmem_health_level_name(level));
	record_add_string(r, "message", virtpmem_reason_get_text(reason));
	record_add_string(r, "remedy", virtpmem_reason_get_remedy(reason));
}

void health_add(struct virtpmem_region *region, struct record *r)
{
	_cleanup_virtpmem_health_unref_ struct virtpmem_health *health = NULL;
	struct record *record, *reasons;
	struct virtpmem_reason *reason;
	int err;

	err = virtpmem_region_get_health(region, NULL, 0, &health);
	if (err == -ENOMEM)
		out_of_memory();
	/* It has gone since it was described: that is said already, or by the next call. */
	if (err < 0)
		return;
	record = record_add(r, "health", RECORD_OBJECT);
	record_add_string(record, "health_state",
			  virtpmem_health_level_name(virtpmem_health_get_level(health)));
	reasons = record_add(record, "reasons", RECORD_ARRAY);
	virtpmem_reason_foreach (health, reason)
		add_reason(reasons, reason);
}
