// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Collecting the facts that a verdict is made from (health.h).
 *
 * What cannot be read is left out, and noted where it could make a verdict
 * worse: the rules take it for unknown. Only a region that has gone, or no
 * memory, is an error. With a snapshot under way nothing is read that was read
 * before.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "health.h"
#include "keep.h"
#include "outside.h"

/* Owns what the facts point to. */
struct collection {
	struct vp_region_facts facts;
	struct virtpmem_namespace *list;
	struct vp_namespace_facts *namespaces;
	struct vp_dimm_facts *dimms;
	const char **mounts;
	char *reason;
	char *policy;
};

static void collection_done(struct collection *c)
{
	vp_namespaces_free(c->list);
	free(c->namespaces);
	vp_dimms_free(c->dimms, c->facts.dimm_count);
	free(c->mounts);
	free(c->reason);
	free(c->policy);
}

/* 1: there is a value. 0: there is none. A negative errno: there can be no verdict. */
static int got(int r)
{
	if (r >= 0)
		return 1;
	return r == -ENOMEM || r == -ENODEV ? r : 0;
}

static void note_unread(struct collection *c, enum vp_unread what)
{
	c->facts.unread |= 1U << what;
}

/* The same of what is noted, unless there is no such thing. */
static int got_or_note(struct collection *c, enum vp_unread what, int r)
{
	if (r < 0 && r != -EOPNOTSUPP)
		note_unread(c, what);
	return got(r);
}

static int collect_stalled(struct virtpmem_region *region, struct collection *c)
{
	struct vp_region_facts *f = &c->facts;
	int age, r;

	age = virtpmem_region_get_in_flight_us(region, &f->in_flight_us);
	if (got(age) < 0)
		return age;
	r = virtpmem_region_get_stalled(region, &f->stalled);
	if (!r)
		return 0;
	/* A driver that does not say. */
	f->stalled = f->in_flight_us >= VIRTIO_PMEM_STALL_TIMEOUT_MS_DEFAULT * UINT64_C(1000);
	return got_or_note(c, VP_UNREAD_STALLED, r == -EOPNOTSUPP ? age : r);
}

static int collect_engine(struct virtpmem_region *region, struct collection *c)
{
	struct vp_region_facts *f = &c->facts;
	int r;

	r = got(virtpmem_region_get_state(region, &f->state));
	if (r < 0)
		return r;
	f->has_state = r;
	r = collect_stalled(region, c);
	if (r >= 0)
		r = got_or_note(c, VP_UNREAD_ABI, virtpmem_region_get_abi(region, &f->abi));
	if (r >= 0)
		r = got(virtpmem_region_get_error_policy(region, &c->policy));
	if (r >= 0 && f->has_state && f->state == VIRTPMEM_STATE_BROKEN)
		r = got(virtpmem_region_get_broken_reason(region, &c->reason));
	f->broken_reason = c->reason;
	f->policy = c->policy;
	return r;
}

/* Without root the guard cannot be asked for; whether the region is gone, others see. */
static int collect_guard(struct virtpmem_region *region, struct collection *c)
{
	pid_t pid = vp_region_frozen_by(region);

	c->facts.frozen = pid > 0 || pid == -EBUSY;
	c->facts.guard = pid > 0 ? pid : 0;
	return pid == -ENOMEM ? -ENOMEM : 0;
}

/* The lower bound of the bin that the slowest of a hundred falls into. */
static uint64_t slow_percent(const struct virtpmem_histogram *hist)
{
	uint64_t lower, upper, count, total = 0, seen = 0;
	unsigned int i, bins = virtpmem_histogram_get_bins(hist);

	for (i = 0; i < bins; i++)
		if (!virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count))
			total += count;
	for (i = bins; total && i-- > 0;) {
		virtpmem_histogram_get_bin(hist, i, &lower, &upper, &count);
		seen += count;
		if (seen >= total / 100 + 1)
			return lower;
	}
	return 0;
}

/* Only where there is something to acknowledge. */
static int collect_acknowledged(struct virtpmem_region *region, struct vp_region_facts *f)
{
	int r;

	if (!f->failed_host_flushes)
		return 0;
	r = vp_acknowledged_read(region, &f->acknowledged_ns);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && r != -ENODATA)
		f->acknowledged_error = r;
	return 0;
}

static int collect_statistics(struct virtpmem_region *region, struct collection *c)
{
	_cleanup_virtpmem_histogram_unref_ struct virtpmem_histogram *hist = NULL;
	_cleanup_virtpmem_stats_unref_ struct virtpmem_stats *stats = NULL;
	struct vp_region_facts *f = &c->facts;
	int r;

	r = got(virtpmem_region_get_stats(region, &stats));
	if (r > 0)
		f->has_stats = !virtpmem_stats_get(stats, VIRTPMEM_STAT_FAILED_HOST_FLUSHES,
						   &f->failed_host_flushes);
	/* Without it, which is no error, nothing can have been acknowledged. */
	if (r > 0)
		virtpmem_stats_get(stats, VIRTPMEM_STAT_LAST_FAILURE_NS, &f->last_failure_ns);
	if (r > 0 && collect_acknowledged(region, f) < 0)
		return -ENOMEM;
	if (r < 0 || !f->latency_limit_us)
		return r;
	r = got_or_note(c, VP_UNREAD_LATENCY,
			virtpmem_region_get_latency_histogram(region, &hist));
	if (r > 0)
		f->slow_percent_us = slow_percent(hist);
	return r;
}

static int collect_namespace(struct virtpmem_namespace *ns, struct collection *c)
{
	struct vp_namespace_facts *f = &c->namespaces[c->facts.namespace_count++];
	enum virtpmem_write_cache cache;
	int r;

	f->devname = ns->devname;
	f->blockdev = ns->blockdev;
	f->disabled = !ns->unsure && !ns->blockdev && !ns->daxdev;
	r = got(virtpmem_namespace_get_mode(ns, &f->mode));
	if (ns->unsure || f->mode == VIRTPMEM_MODE_UNKNOWN)
		note_unread(c, VP_UNREAD_NAMESPACES);
	/* In sector mode it says nothing of flushes. */
	if (r < 0 || !ns->blockdev || f->mode == VIRTPMEM_MODE_SECTOR)
		return r;
	r = got_or_note(c, VP_UNREAD_WRITE_CACHE, virtpmem_namespace_get_write_cache(ns, &cache));
	f->write_through = r > 0 && cache == VIRTPMEM_WRITE_THROUGH;
	return r;
}

/* Without it our driver cannot see that BTT may not sleep. Not known: it is taken to be there. */
static int collect_preempt_count(struct virtpmem_region *region, struct collection *c)
{
	struct vp_region_facts *f = &c->facts;
	bool sector = false;
	size_t i;
	int r;

	for (i = 0; i < f->namespace_count; i++)
		sector |= f->namespaces[i].mode == VIRTPMEM_MODE_SECTOR;
	if (!sector || f->driver != VIRTPMEM_DRIVER_VIRTPMEM)
		return 0;
	r = vp_kernel_config(region->ctx, "CONFIG_PREEMPT_COUNT");
	f->no_preempt_count = !r;
	return r == -ENOMEM ? r : 0;
}

/* The region's own list can be of long ago. */
static int collect_namespaces(struct virtpmem_region *region, struct collection *c)
{
	struct virtpmem_namespace *ns;
	size_t count = 0;
	int r;

	r = got(vp_namespaces_read(region, &c->list));
	if (!r)
		note_unread(c, VP_UNREAD_NAMESPACES);
	for (ns = c->list; ns; ns = ns->next)
		count++;
	if (r < 0 || !count)
		return r;
	c->namespaces = calloc(count, sizeof(*c->namespaces));
	if (!c->namespaces)
		return -ENOMEM;
	c->facts.namespaces = c->namespaces;
	for (ns = c->list; ns; ns = ns->next) {
		r = collect_namespace(ns, c);
		if (r < 0)
			return r;
	}
	return collect_preempt_count(region, c);
}

static int collect_identity(struct virtpmem_region *region, struct collection *c)
{
	_cleanup_free_ char *nd_driver = NULL;
	struct vp_region_facts *f = &c->facts;
	int r;

	r = vp_read_link_name(region, "driver", VP_OPTIONAL, &nd_driver);
	f->disabled = r == -EOPNOTSUPP;
	r = got(r);
	if (r >= 0)
		r = got(virtpmem_region_get_driver(region, &f->driver));
	if (r >= 0)
		r = got(virtpmem_region_get_type(region, &f->type));
	if (r >= 0)
		r = got_or_note(c, VP_UNREAD_READ_ONLY,
				virtpmem_region_get_read_only(region, &f->read_only));
	if (r >= 0)
		r = got(virtpmem_region_get_flush_method(region, &f->method, NULL));
	if (!r)
		note_unread(c, VP_UNREAD_METHOD);
	return r;
}

static void count_bad(struct virtpmem_bad_ranges *ranges, enum virtpmem_bad_layer layer,
		      struct vp_region_facts *f)
{
	struct virtpmem_bad_range *range;

	virtpmem_bad_range_foreach(ranges, range) {
		if (virtpmem_bad_range_get_layer(range) != layer)
			continue;
		f->bad_count++;
		f->bad_bytes += virtpmem_bad_range_get_length(range);
		f->lost |= layer == VIRTPMEM_BAD_REGION && virtpmem_bad_range_is_whole(range);
	}
}

/*
 * Each layer below shows the region's damage again; what reads of a block device
 * fail on counts where the region's list has nothing.
 */
static int collect_bad_ranges(struct virtpmem_region *region, struct collection *c)
{
	_cleanup_virtpmem_bad_ranges_unref_ struct virtpmem_bad_ranges *ranges = NULL;
	struct vp_region_facts *f = &c->facts;
	int r;

	r = got(virtpmem_region_get_bad_ranges(region, &ranges));
	/* A region that is disabled has no lists. */
	if (!f->disabled && (!r || (r > 0 && vp_bad_ranges_unread(ranges))))
		note_unread(c, VP_UNREAD_BAD);
	if (r <= 0)
		return r;
	count_bad(ranges, VIRTPMEM_BAD_REGION, f);
	if (!f->bad_count)
		count_bad(ranges, VIRTPMEM_BAD_BLOCK, f);
	return 0;
}

/* Only a region that has any costs the look at all that libndctl takes. */
static int collect_dimms(struct virtpmem_region *region, struct collection *c)
{
	struct vp_region_facts *f = &c->facts;
	uint64_t mappings;
	int r;

	if (f->driver != VIRTPMEM_DRIVER_OTHER)
		return 0;
	r = got(vp_read_u64(region, "mappings", VP_OPTIONAL, &mappings));
	if (r <= 0 || !mappings)
		return r;
	r = vp_dimms_read(region, &c->dimms, &f->dimm_count);
	f->dimms = c->dimms;
	f->dimm_error = r;
	return r < 0 ? got(r) : 0;
}

/* Of a holder and all that is on it: which mounts never ask for a flush. */
static int collect_mounts(struct virtpmem_holder *holder, struct collection *c)
{
	struct virtpmem_holder *child;
	const char **mounts;
	int r;

	if (virtpmem_holder_drops_flushes(holder)) {
		mounts = reallocarray(c->mounts, c->facts.no_barrier_count + 1, sizeof(*mounts));
		if (!mounts)
			return -ENOMEM;
		c->mounts = mounts;
		c->facts.no_barriers = mounts;
		mounts[c->facts.no_barrier_count++] = virtpmem_holder_get_path(holder);
	}
	virtpmem_holder_child_foreach(holder, child) {
		r = collect_mounts(child, c);
		if (r < 0)
			return r;
	}
	return 0;
}

static int collect(struct virtpmem_region *region, struct virtpmem_holders *holders,
		   struct collection *c)
{
	static int (*const steps[])(struct virtpmem_region *region, struct collection *c) = {
		collect_identity, collect_engine, collect_guard, collect_statistics,
		collect_namespaces, collect_bad_ranges, collect_dimms,
	};
	struct virtpmem_holder *holder;
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < ARRAY_SIZE(steps); i++)
		r = steps[i](region, c);
	if (r < 0 || !holders)
		return r;
	virtpmem_holder_foreach(holders, holder) {
		r = collect_mounts(holder, c);
		if (r < 0)
			return r;
	}
	return 0;
}

VP_EXPORT int virtpmem_region_get_health(struct virtpmem_region *region,
					 struct virtpmem_holders *holders,
					 uint64_t latency_limit_us, struct virtpmem_health **ret)
{
	_cleanup_(collection_done) struct collection c = {
		.facts.devname = region->devname,
		.facts.latency_limit_us = latency_limit_us,
	};
	int r;

	r = collect(region, holders, &c);
	return r < 0 ? r : vp_judge_region(&c.facts, ret);
}

/* ---------------------------------------------------------- the machine */

static bool has_any(const char *line, const char *const *word, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strstr(line, word[i]))
			return true;
	return false;
}

/*
 * Sets *@found if a file has a line that holds one of the words. One that cannot be
 * read has none, and the log says so: 0, or -ENOMEM.
 */
static int look_for(const struct virtpmem_ctx *ctx, const char *path, const char *const *word,
		    size_t count, bool *found)
{
	_cleanup_free_ char *line = NULL;
	FILE *f = fopen(path, "re");
	size_t size = 0;

	errno = f ? 0 : errno;
	while (f && !*found && getline(&line, &size, f) > 0)
		*found = has_any(line, word, count);
	if (!*found && errno && errno != ENOENT && errno != ENOMEM)
		vp_info(ctx, "%s: %s", path, strerror(errno));
	if (f)
		fclose(f);
	return !*found && errno == ENOMEM ? -ENOMEM : 0;
}

static int collect_modules(const struct virtpmem_ctx *ctx, struct vp_system_facts *f)
{
	static const char *const any[] = { "/virtio_pmem.ko" };
	/* The kernel's own is kernel/drivers/nvdimm/virtio_pmem.ko. */
	static const char *const ours[] = {
		"updates/dkms/virtio_pmem.ko", "updates/virtio_pmem.ko", "extra/virtio_pmem.ko",
	};
	_cleanup_free_ char *builtin = NULL, *dep = NULL;
	struct utsname name;
	int r;

	if (uname(&name) < 0)
		return -errno;
	if (asprintf(&builtin, "%s/%s/modules.builtin", ctx->modules, name.release) < 0) {
		builtin = NULL;
		return -ENOMEM;
	}
	if (asprintf(&dep, "%s/%s/modules.dep", ctx->modules, name.release) < 0) {
		dep = NULL;
		return -ENOMEM;
	}
	r = look_for(ctx, builtin, any, ARRAY_SIZE(any), &f->builtin);
	return r < 0 ? r : look_for(ctx, dep, ours, ARRAY_SIZE(ours), &f->installed);
}

/* Whether the kernel takes no module that is not signed. */
static int collect_security(const struct virtpmem_ctx *ctx, struct vp_system_facts *f)
{
	static const char *const yes[] = { "Y" };
	static const char *const locked[] = { "[integrity]", "[confidentiality]" };
	int r;

	r = look_for(ctx, "/sys/module/module/parameters/sig_enforce", yes, ARRAY_SIZE(yes),
		     &f->sig_enforce);
	return r < 0 ? r : look_for(ctx, "/sys/kernel/security/lockdown", locked,
				    ARRAY_SIZE(locked), &f->lockdown);
}

/* By path, as virtpmem_add() takes it, or by name. The caller frees the list, not its strings. */
static int list_unbound(struct virtpmem_unbound *device, struct vp_system_facts *f,
			const char ***list)
{
	for (; device; device = virtpmem_unbound_get_next(device)) {
		const char *path = virtpmem_unbound_get_path(device);
		const char **more = reallocarray(*list, f->unbound_count + 1, sizeof(*more));

		if (!more)
			return -ENOMEM;
		*list = more;
		more[f->unbound_count++] = path ? path : virtpmem_unbound_get_devname(device);
	}
	f->unbound = *list;
	return 0;
}

VP_EXPORT int virtpmem_get_system_health(struct virtpmem_ctx *ctx, struct virtpmem_health **ret)
{
	struct vp_system_facts facts = { .builtin = false };
	_cleanup_(vp_unbound_freep) struct virtpmem_unbound *devices = NULL;
	_cleanup_free_ const char **unbound = NULL;
	struct virtpmem_region *region;
	enum virtpmem_driver driver;
	int r;

	r = collect_modules(ctx, &facts);
	if (!r)
		r = collect_security(ctx, &facts);
	if (!r)
		facts.unbound_error = vp_unbound_read(ctx, &devices);
	if (facts.unbound_error == -ENOMEM)
		r = -ENOMEM;
	if (!r)
		r = list_unbound(devices, &facts, &unbound);
	if (r < 0)
		return r;
	virtpmem_region_foreach(ctx, region) {
		r = virtpmem_region_get_driver(region, &driver);
		if (r == -ENOMEM)
			return r;
		facts.in_tree_bound |= !r && driver == VIRTPMEM_DRIVER_IN_TREE;
	}
	return vp_judge_system(&facts, ret);
}
