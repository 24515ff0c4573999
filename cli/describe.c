// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records of regions: what the library says, under the names of
 * pmemctl-json(5).
 */
#include <errno.h>
#include <time.h>

#include "regions.h"
#include "util.h"

bool reader_got(struct reader *rd, const char *what, int err)
{
	struct pmemctl *p = rd->p;
	const char *dev = virtpmem_region_get_devname(rd->region);

	if (err >= 0)
		return true;
	if (err == -EOPNOTSUPP || rd->gone)
		return false;
	if (err == -ENODEV) {
		rd->gone = true;
		output_error(&p->out, dev, ERROR_GONE,
			     "the region went away while it was read; 'pmemctl list' shows what is "
			     "there");
	} else if (err == -EACCES || err == -EPERM) {
		output_error(&p->out, dev, ERROR_PERMISSION,
			     "may not read its %s: %s; try it as root", what,
			     regions_why(p, dev, err));
	} else {
		output_error(&p->out, dev, error_from_errno(err),
			     "cannot read its %s: %s; the value is left out", what,
			     regions_why(p, dev, err));
	}
	regions_forget_log(p);
	return false;
}

static void add_size(struct reader *rd, struct record *r)
{
	uint64_t bytes;

	if (reader_got(rd, "size", virtpmem_region_get_size(rd->region, &bytes)))
		record_add_uint(r, "size", bytes);
	if (reader_got(rd, "available_size",
		       virtpmem_region_get_available_size(rd->region, &bytes)))
		record_add_uint(r, "available_size", bytes);
}

static void add_identity(struct reader *rd, struct record *r)
{
	enum virtpmem_region_type type;
	_cleanup_free_ char *domain = NULL, *provider = NULL;
	int node;

	if (reader_got(rd, "type", virtpmem_region_get_type(rd->region, &type)))
		record_add_string(r, "type", virtpmem_region_type_name(type));
	if (reader_got(rd, "numa_node", virtpmem_region_get_numa_node(rd->region, &node)) &&
	    node >= 0)
		record_add_int(r, "numa_node", node);
	if (reader_got(rd, "persistence_domain",
		virtpmem_region_get_persistence_domain(rd->region, &domain)))
		record_add_string(r, "persistence_domain", domain);
	if (reader_got(rd, "provider", virtpmem_region_get_provider(rd->region, &provider)))
		record_add_string(r, "provider", provider);
}

static void add_address(struct reader *rd, struct record *r)
{
	uint64_t address;
	bool read_only;
	int err;

	if (reader_got(rd, "read_only", virtpmem_region_get_read_only(rd->region, &read_only)))
		record_add_bool(r, "read_only", read_only);
	/* Physical addresses are for root: to be without them is no failure. */
	err = virtpmem_region_get_resource(rd->region, &address);
	if (err != -EACCES && err != -EPERM && reader_got(rd, "resource", err))
		record_add_uint(r, "resource", address);
}

/* --------------------------------------------------------------- flush */

static void add_method(struct reader *rd, struct record *flush)
{
	enum virtpmem_flush_method method;
	_cleanup_free_ char *reason = NULL;

	if (!reader_got(rd, "flush method",
		 virtpmem_region_get_flush_method(rd->region, &method, &reason)))
		return;
	record_add_string(flush, "method", virtpmem_flush_method_name(method));
	if (reason)
		record_add_string(flush, "method_reason", reason);
}

static void add_module(struct reader *rd, struct record *flush)
{
	_cleanup_free_ char *module = NULL, *version = NULL;
	unsigned int abi;

	if (reader_got(rd, "module", virtpmem_region_get_module(rd->region, &module)))
		record_add_string(flush, "module", module);
	if (reader_got(rd, "driver_version",
		       virtpmem_region_get_module_version(rd->region, &version)))
		record_add_string(flush, "driver_version", version);
	if (reader_got(rd, "abi", virtpmem_region_get_abi(rd->region, &abi)))
		record_add_uint(flush, "abi", abi);
}

static void add_state(struct reader *rd, struct record *flush)
{
	_cleanup_free_ char *reason = NULL;
	enum virtpmem_state state;

	if (!reader_got(rd, "state", virtpmem_region_get_state(rd->region, &state)))
		return;
	record_add_string(flush, "state", virtpmem_state_name(state));
	if (state == VIRTPMEM_STATE_BROKEN &&
	    reader_got(rd, "broken_reason", virtpmem_region_get_broken_reason(rd->region, &reason)))
		record_add_string(flush, "broken_reason", reason);
}

static void add_queue(struct reader *rd, struct record *flush)
{
	static const struct {
		const char *name;
		int (*get)(struct virtpmem_region *region, uint64_t *ret);
	} values[] = {
		{ "queue_depth", virtpmem_region_get_queue_depth },
		{ "queue_depth_max", virtpmem_region_get_queue_depth_max },
		{ "in_flight_us", virtpmem_region_get_in_flight_us },
	};
	_cleanup_free_ char *policy = NULL;
	uint64_t value;
	size_t i;

	if (reader_got(rd, "error_policy", virtpmem_region_get_error_policy(rd->region, &policy)))
		record_add_string(flush, "error_policy", policy);
	for (i = 0; i < ARRAY_SIZE(values); i++)
		if (reader_got(rd, values[i].name, values[i].get(rd->region, &value)))
			record_add_uint(flush, values[i].name, value);
}

/* How long ago something was, that the driver stamped with CLOCK_BOOTTIME. */
static void add_age(struct record *flush, const char *name, const struct virtpmem_stats *stats,
		    enum virtpmem_stat id)
{
	struct timespec ts;
	uint64_t then, now;

	if (virtpmem_stats_get(stats, id, &then) < 0 || !then ||
	    clock_gettime(CLOCK_BOOTTIME, &ts) < 0)
		return;
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	if (now >= then)
		record_add_uint(flush, name, now - then);
}

static void add_mean(struct record *flush, const char *name, const struct virtpmem_stats *stats,
		     enum virtpmem_stat total, enum virtpmem_stat count)
{
	uint64_t sum, n;

	if (virtpmem_stats_get(stats, total, &sum) >= 0 &&
	    virtpmem_stats_get(stats, count, &n) >= 0 && n)
		record_add_uint(flush, name, sum / n);
}

static void add_stats(struct reader *rd, struct record *flush)
{
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	unsigned int id;
	uint64_t value;

	if (!reader_got(rd, "flush_stats", virtpmem_region_get_stats(rd->region, &stats)))
		return;
	add_age(flush, "state_age_ns", stats, VIRTPMEM_STAT_LAST_CHANGE_NS);
	for (id = 0; id < VIRTPMEM_STAT_COUNT; id++)
		if (virtpmem_stats_get(stats, id, &value) >= 0)
			record_add_uint(flush, virtpmem_stat_name(id), value);
	add_mean(flush, "request_mean_ns", stats, VIRTPMEM_STAT_REQUEST_TOTAL_NS,
		 VIRTPMEM_STAT_REQUESTS);
	add_mean(flush, "host_mean_ns", stats, VIRTPMEM_STAT_HOST_TOTAL_NS,
		 VIRTPMEM_STAT_HOST_FLUSHES);
	add_age(flush, "last_failure_age_ns", stats, VIRTPMEM_STAT_LAST_FAILURE_NS);
}

/* Of the bin that the slowest of a hundred falls into, the lower bound. */
static void add_p99(struct record *flush, const struct virtpmem_histogram *hist)
{
	unsigned int i, bins = virtpmem_histogram_get_bins(hist);
	uint64_t lower, upper, count, total = 0, seen = 0;

	for (i = 0; i < bins; i++)
		if (virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count) >= 0)
			total += count;
	for (i = bins; total && i-- > 0;) {
		if (virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count) < 0)
			continue;
		seen += count;
		if (seen >= total / 100 + 1) {
			record_add_uint(flush, "host_p99_us", lower);
			return;
		}
	}
}

static void add_latency(struct reader *rd, struct record *flush)
{
	_cleanup_virtpmem_histogram_unref_ struct virtpmem_histogram *hist = NULL;
	uint64_t lower, upper, count;
	struct record *latency;
	unsigned int i;

	if (!reader_got(rd, "flush_latency",
			virtpmem_region_get_latency_histogram(rd->region, &hist)))
		return;
	add_p99(flush, hist);
	latency = record_add(flush, "latency", RECORD_ARRAY);
	for (i = 0; i < virtpmem_histogram_get_bins(hist); i++) {
		struct record *bin;

		if (virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count) < 0 || !count)
			continue;
		bin = record_add(latency, NULL, RECORD_OBJECT);
		record_add_uint(bin, "lower_us", lower);
		if (upper != UINT64_MAX)
			record_add_uint(bin, "upper_us", upper);
		record_add_uint(bin, "count", count);
	}
}

static void add_flush(struct reader *rd, struct record *r, bool full)
{
	struct record *flush = record_add(r, "flush", RECORD_OBJECT);
	enum virtpmem_driver driver;
	bool ours = false;

	if (full)
		add_method(rd, flush);
	if (reader_got(rd, "driver", virtpmem_region_get_driver(rd->region, &driver))) {
		record_add_string(flush, "driver", virtpmem_driver_name(driver));
		ours = driver == VIRTPMEM_DRIVER_VIRTPMEM;
	}
	if (full)
		add_module(rd, flush);
	if (!ours)
		return;
	add_state(rd, flush);
	if (!full)
		return;
	add_queue(rd, flush);
	add_stats(rd, flush);
	add_latency(rd, flush);
}

/* ---------------------------------------------------------- namespaces */

/* Whether a file system there can be mounted with DAX, and if not, why. */
static void add_dax(struct reader *rd, struct virtpmem_namespace *ns, struct record *r)
{
	_cleanup_free_ char *reason = NULL;
	bool dax;

	if (!reader_got(rd, "namespace's DAX", virtpmem_namespace_get_dax(ns, &dax, &reason)))
		return;
	record_add_bool(r, "dax", dax);
	if (reason)
		record_add_string(r, "dax_reason", reason);
}

static void add_namespace(struct reader *rd, struct virtpmem_namespace *ns,
			  struct record *namespaces, bool full)
{
	struct record *r = record_add(namespaces, NULL, RECORD_OBJECT);
	enum virtpmem_write_cache cache;
	enum virtpmem_mode mode;
	const char *name;
	uint64_t size;

	record_add_string(r, "dev", virtpmem_namespace_get_devname(ns));
	if (reader_got(rd, "namespace's mode", virtpmem_namespace_get_mode(ns, &mode)))
		record_add_string(r, "mode", virtpmem_mode_name(mode));
	if (reader_got(rd, "namespace's size", virtpmem_namespace_get_size(ns, &size)))
		record_add_uint(r, "size", size);
	if ((name = virtpmem_namespace_get_blockdev(ns)))
		record_add_string(r, "blockdev", name);
	if ((name = virtpmem_namespace_get_daxdev(ns)))
		record_add_string(r, "chardev", name);
	if (full && reader_got(rd, "write cache", virtpmem_namespace_get_write_cache(ns, &cache)))
		record_add_string(r, "write_cache",
				  cache == VIRTPMEM_WRITE_BACK ? "write back" : "write through");
	if (full)
		add_dax(rd, ns, r);
}

static void add_namespaces(struct reader *rd, struct record *r, bool full)
{
	struct virtpmem_namespace *ns;
	struct record *namespaces;
	unsigned int count;

	if (!reader_got(rd, "namespaces", virtpmem_region_get_namespace_count(rd->region, &count)))
		return;
	namespaces = record_add(r, "namespaces", RECORD_ARRAY);
	virtpmem_namespace_foreach (rd->region, ns)
		add_namespace(rd, ns, namespaces, full);
}

struct record *regions_describe(struct pmemctl *p, struct virtpmem_region *region,
				enum describe how)
{
	struct reader rd = { .p = p, .region = region };
	struct record *r = record_new(RECORD_OBJECT);
	bool full = how == DESCRIBE_FULL;
	const char *path = virtpmem_region_get_path(region);

	record_add_string(r, "dev", virtpmem_region_get_devname(region));
	if (path)
		record_add_string(r, "path", path);
	if (how == DESCRIBE_NAMES)
		return r;
	if (how == DESCRIBE_STATE) {
		add_flush(&rd, r, false);
		goto done;
	}
	add_size(&rd, r);
	add_identity(&rd, r);
	if (full)
		add_address(&rd, r);
	add_flush(&rd, r, full);
	add_namespaces(&rd, r, full);
done:
	if (!rd.gone)
		return r;
	record_free(r);
	return NULL;
}
