// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records as OpenMetrics text, of which Prometheus's older text format can read
 * all but the comments it does not know. A row of the table is a metric; values
 * come from the fields of pmemctl-json(5), in base units.
 *
 * Series are told apart by the label "path", because names can change their
 * device; only where regions share a path there is "region" as well.
 */
#include <inttypes.h>
#include <stdio.h>

#include <virtpmem/libvirtpmem.h>
#include <virtpmem/sysfs-abi.h>

#include "output.h"
#include "util.h"

enum kind {
	GAUGE,
	COUNTER,
	HISTOGRAM, /* of the array of bins at "value", with the sum at "sum" */
	WORD,	   /* a gauge for each word that the value can be: 1 for the one that it is */
	INFO,	   /* a gauge that is always 1, with strings as labels */
	REASONS,   /* a gauge that is 1 for each element of the array at "value" */
};

struct metric {
	const char *name; /* ends with the unit, if it has one */
	enum kind kind;
	const char *unit;
	const char *help;
	const char *value; /* path in the record of a region */
	union {
		const char *sum;
		const char *(*word)(unsigned int n); /* NULL after the last */
	};
	const char *label; /* WORD: its name */
};

static const char *state_word(unsigned int n)
{
	return n <= VIRTPMEM_STATE_REMOVING ? virtpmem_state_name((enum virtpmem_state)n) : NULL;
}

static const char *health_word(unsigned int n)
{
	return n <= VIRTPMEM_HEALTH_FATAL ?
		virtpmem_health_level_name((enum virtpmem_health_level)n) : NULL;
}

#define METRIC(name_, kind_, unit_, help_, value_, ...) \
	{ .name = (name_), .kind = (kind_), .unit = (unit_), .help = (help_), .value = (value_), \
	  __VA_ARGS__ }

static const struct metric metrics[] = {
	METRIC("virtpmem_region_info", INFO, NULL, "What a region is.", "dev"),
	METRIC("virtpmem_region_size_bytes", GAUGE, "bytes", "Size of the region.", "size"),
	METRIC("virtpmem_region_state", WORD, NULL, "State of the flush engine: 1 for the one it is in.",
	  "flush.state", .word = state_word, .label = "state"),
	METRIC("virtpmem_region_health", WORD, NULL, "Verdict on the region: 1 for the one it is.",
	  "health.health_state", .word = health_word, .label = "health_state"),
	METRIC("virtpmem_region_health_reason", REASONS, NULL, "What is wrong with the region.",
	  "health.reasons"),
	METRIC("virtpmem_flush_requests", COUNTER, NULL, "Requests for a flush that were answered.",
	  "flush.requests"),
	METRIC("virtpmem_flush_async_requests", COUNTER, NULL, "Those of them that came as a bio.",
	  "flush.async_requests"),
	METRIC("virtpmem_flush_failed_requests", COUNTER, NULL, "Requests answered with an error.",
	  "flush.failed_requests"),
	METRIC("virtpmem_flush_request_duration_seconds", COUNTER, "seconds",
	  "Latency of all requests, summed up.", "flush.request_total_ns"),
	METRIC("virtpmem_flush_request_max_seconds", GAUGE, "seconds",
	  "Highest latency of a request since the driver was bound.", "flush.request_max_ns"),
	METRIC("virtpmem_flush_queue_depth", GAUGE, NULL, "Requests that wait now.",
	  "flush.queue_depth"),
	METRIC("virtpmem_flush_queue_depth_max", GAUGE, NULL,
	  "The most that have waited since the driver was bound.", "flush.queue_depth_max"),
	METRIC("virtpmem_host_flush_duration_seconds", HISTOGRAM, "seconds",
	  "Latency of the flushes that the host answered.", "flush.latency",
	  .sum = "flush.host_total_ns"),
	METRIC("virtpmem_host_flush_failures", COUNTER, NULL,
	  "Host flushes answered with an error, or never.", "flush.failed_host_flushes"),
	METRIC("virtpmem_host_flush_max_seconds", GAUGE, "seconds",
	  "Highest latency of a host flush since the driver was bound.", "flush.host_max_ns"),
	METRIC("virtpmem_host_flush_in_flight_seconds", GAUGE, "seconds",
	  "Age of the host flush in flight, 0 if there is none.", "flush.in_flight_us"),
	METRIC("virtpmem_region_stalls", COUNTER, NULL, "Host flushes that were not answered in time.",
	  "flush.stalls"),
	METRIC("virtpmem_region_recoveries", COUNTER, NULL, "Recoveries that succeeded.",
	  "flush.recoveries"),
};

static const struct metric regions_metric =
	METRIC("virtpmem_regions", GAUGE, NULL, "Regions in this answer.", NULL);
static const struct metric errors_metric =
	METRIC("virtpmem_export_errors", GAUGE, NULL, "Values and regions that could not be read.",
	       NULL);

/* ------------------------------------------------------------ samples */

static void print_head(const struct metric *m)
{
	static const char *const types[] = {
		[GAUGE] = "gauge", [COUNTER] = "counter", [HISTOGRAM] = "histogram",
		/* Types that only OpenMetrics has would make others refuse the whole text. */
		[WORD] = "gauge", [INFO] = "gauge", [REASONS] = "gauge",
	};

	printf("# TYPE %s %s\n", m->name, types[m->kind]);
	if (m->unit)
		printf("# UNIT %s %s\n", m->name, m->unit);
	printf("# HELP %s %s\n", m->name, m->help);
}

static void print_label(const char *name, const char *value)
{
	_cleanup_free_ char *safe = printable(value, false);
	const char *c;

	printf("%s=\"", name);
	for (c = safe; *c; c++) {
		if (*c == '\\' || *c == '"')
			putchar('\\');
		putchar(*c);
	}
	putchar('"');
}

static const char *string_at(const struct record *r, const char *path)
{
	const struct record *value = record_get(r, path);

	return value && value->kind == RECORD_STRING ? value->string : NULL;
}

static bool shares_path(const struct output *out, const struct record *region, const char *path)
{
	const struct record *other;

	record_foreach (out->regions, other) {
		const char *its = string_at(other, "path");

		if (other != region && its && streq(its, path))
			return true;
	}
	return false;
}

/* The name of a sample and the labels that every sample has; the brace is left open. */
static void print_name(const struct output *out, const struct metric *m, const char *suffix,
		       const struct record *region)
{
	const char *path = string_at(region, "path"), *dev = string_at(region, "dev");

	printf("%s%s{", m->name, suffix);
	print_label("path", path ? path : dev);
	if (path && shares_path(out, region, path)) {
		putchar(',');
		print_label("region", dev);
	}
}

/* In base units, without rounding and without a locale. */
static void print_value(const struct record *value)
{
	switch (record_unit(value)) {
	case UNIT_NS:
		printf("%" PRIu64 ".%09" PRIu64 "\n", value->uint / 1000000000,
		       value->uint % 1000000000);
		break;
	case UNIT_US:
		printf("%" PRIu64 ".%06" PRIu64 "\n", value->uint / 1000000,
		       value->uint % 1000000);
		break;
	case UNIT_MILLI:
	case UNIT_BYTES:
	case UNIT_ADDRESS:
	case UNIT_NONE:
		printf("%" PRIu64 "\n", value->uint);
		break;
	}
}

static void print_number(const struct output *out, const struct metric *m,
			 const struct record *region, const struct record *value)
{
	print_name(out, m, m->kind == COUNTER ? "_total" : "", region);
	printf("} ");
	print_value(value);
}

static void print_word(const struct output *out, const struct metric *m,
		       const struct record *region, const struct record *value)
{
	const char *word;
	unsigned int n;

	for (n = 0; (word = m->word(n)); n++) {
		print_name(out, m, "", region);
		putchar(',');
		print_label(m->label, word);
		printf("} %d\n", streq(word, value->string));
	}
}

static void print_info(const struct output *out, const struct metric *m,
		       const struct record *region)
{
	static const struct {
		const char *label, *path;
	} labels[] = {
		{ "type", "type" },
		{ "provider", "provider" },
		{ "driver", "flush.driver" },
		{ "driver_version", "flush.driver_version" },
		{ "method", "flush.method" },
	};
	const char *path = string_at(region, "path"), *value;
	size_t i;

	print_name(out, m, "", region);
	if (!path || !shares_path(out, region, path)) {
		putchar(',');
		print_label("region", string_at(region, "dev"));
	}
	for (i = 0; i < ARRAY_SIZE(labels); i++) {
		value = string_at(region, labels[i].path);
		putchar(',');
		print_label(labels[i].label, value ? value : "");
	}
	printf("} 1\n");
}

static void print_reasons(const struct output *out, const struct metric *m,
			  const struct record *region, const struct record *reasons)
{
	const struct record *reason;

	record_foreach (reasons, reason) {
		print_name(out, m, "", region);
		putchar(',');
		print_label("code", string_at(reason, "code"));
		putchar(',');
		print_label("health_state", string_at(reason, "health_state"));
		printf("} 1\n");
	}
}

static uint64_t uint_at(const struct record *r, const char *name)
{
	const struct record *value = record_get(r, name);

	return value ? value->uint : UINT64_MAX;
}

static void print_bucket(const struct output *out, const struct metric *m,
			 const struct record *region, const char *le, uint64_t count)
{
	print_name(out, m, "_bucket", region);
	printf(",le=\"%s\"} %" PRIu64 "\n", le, count);
}

/* All bounds, also those of empty bins: a series that comes and goes cannot be summed up. */
static void print_histogram(const struct output *out, const struct metric *m,
			    const struct record *region, const struct record *bins)
{
	const struct record *bin = bins->child, *sum = record_get(region, m->sum);
	uint64_t count = 0;
	unsigned int n;

	for (n = 0; n + 1 < VIRTIO_PMEM_LATENCY_BINS; n++) {
		uint64_t bound = UINT64_C(1) << n;
		char le[32];

		for (; bin && uint_at(bin, "upper_us") <= bound; bin = bin->next)
			count += uint_at(bin, "count");
		/* Ten digits hold every bound up to 2^30 us. */
		snprintf(le, sizeof(le), "%.10g", (double)bound / 1e6);
		print_bucket(out, m, region, le, count);
	}
	for (; bin; bin = bin->next)
		count += uint_at(bin, "count");
	print_bucket(out, m, region, "+Inf", count);
	/* Neither is allowed to be there alone. */
	if (!sum)
		return;
	print_name(out, m, "_count", region);
	printf("} %" PRIu64 "\n", count);
	print_name(out, m, "_sum", region);
	printf("} ");
	print_value(sum);
}

/* ------------------------------------------------------------ families */

static void print_samples(const struct output *out, const struct metric *m,
			  const struct record *region, const struct record *value)
{
	switch (m->kind) {
	case GAUGE:
	case COUNTER:
		print_number(out, m, region, value);
		break;
	case WORD:
		print_word(out, m, region, value);
		break;
	case INFO:
		print_info(out, m, region);
		break;
	case REASONS:
		print_reasons(out, m, region, value);
		break;
	case HISTOGRAM:
		print_histogram(out, m, region, value);
		break;
	}
}

static void print_family(const struct output *out, const struct metric *m)
{
	const struct record *region;
	bool head = false;

	record_foreach (out->regions, region) {
		const struct record *value = record_get(region, m->value);

		if (!value || (m->kind == REASONS && !value->child))
			continue;
		if (!head)
			print_head(m);
		head = true;
		print_samples(out, m, region, value);
	}
}

static void print_count(const struct metric *m, const struct record *list)
{
	const struct record *r;
	unsigned int n = 0;

	record_foreach (list, r)
		n++;
	print_head(m);
	printf("%s %u\n", m->name, n);
}

static void openmetrics_finish(struct output *out)
{
	size_t i;

	print_count(&regions_metric, out->regions);
	print_count(&errors_metric, out->errors);
	for (i = 0; i < ARRAY_SIZE(metrics); i++)
		print_family(out, &metrics[i]);
	puts("# EOF");
}

const struct output_ops output_openmetrics = {
	.finish = openmetrics_finish,
};
