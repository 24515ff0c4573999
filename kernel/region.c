// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region: what libnvdimm calls for a flush, and what sysfs and uevents
 * tell about the engine. Documentation/ABI/sysfs-virtio-pmem describes the
 * files; their names come from sysfs-abi.h.
 */
#include <linux/kobject.h>
#include <linux/memory_hotplug.h>
#include <linux/numa.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/sysfs.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "vpmem.h"

/* --------------------------------------------------------------- flush */

/*
 * A core without NVDIMM_FLUSH_ASYNC gives us the bio for its PREFLUSH, copies
 * the data whatever we return, gives it to us again for its FUA, and ends it.
 * The second result hides the first. So:
 *
 *  - PREFLUSH with data: flush before the copy. If that failed, nothing may be
 *    copied and no later success may hide the error (F1): the bio is advanced
 *    to its end and carries the error, which a FUA call finds there. Else
 *    REQ_PREFLUSH is taken off, so that a FUA call can be told from this one.
 *  - PREFLUSH without data: one flush is all there is to do, so no FUA call.
 *  - FUA: as on a newer core, but the core ends the bio once as well.
 *
 * The bio is ours to change until it is queued. The flags of one that fails
 * stay, but for the FUA of an empty one: dm-multipath sends it once more.
 */
static int vpmem_flush_old_core(struct vpmem *v, struct bio *bio)
{
	bool preflush = bio->bi_opf & REQ_PREFLUSH;
	int err;

	if (preflush && bio->bi_iter.bi_size) {
		err = vpmem_flush(v);
		if (err) {
			bio->bi_status = errno_to_blk_status(err);
			bio_advance(bio, bio->bi_iter.bi_size);
		} else {
			bio->bi_opf &= ~REQ_PREFLUSH;
		}
		return err;
	}

	/* The preflush or the copy has failed: there is nothing to make durable. */
	if (bio->bi_status)
		return 0;
	if (preflush)
		bio->bi_opf &= ~REQ_FUA;
	vpmem_hold_bio(bio);
	err = vpmem_flush_bio(v, bio);
	if (err) {
		bio->bi_status = errno_to_blk_status(err);
		bio_endio(bio);	/* gives back what vpmem_hold_bio() took */
	}
	return err;
}

/* nd_region_desc.flush: 0, a negative errno, or NVDIMM_FLUSH_ASYNC. */
static int vpmem_nd_flush(struct nd_region *nd_region, struct bio *bio)
{
	struct vpmem *v = nd_region_provider_data(nd_region);

	if (!bio)
		return vpmem_flush(v);
	if (VPMEM_OLD_CORE)
		return vpmem_flush_old_core(v, bio);
	return vpmem_flush_bio(v, bio) ?: NVDIMM_FLUSH_ASYNC;
}

/* --------------------------------------------------------------- sysfs */

static struct vpmem *to_vpmem(struct device *dev)
{
	return nd_region_provider_data(to_nd_region(dev));
}

/* A write of the only thing that can be asked for: 1. */
static int vpmem_parse_one(const char *buf)
{
	bool one;

	return kstrtobool(buf, &one) || !one ? -EINVAL : 0;
}

static ssize_t deep_flush_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "1\n");
}

static ssize_t deep_flush_store(struct device *dev, struct device_attribute *attr,
				const char *buf, size_t len)
{
	return vpmem_parse_one(buf) ?: vpmem_flush_killable(to_vpmem(dev)) ?: len;
}
static DEVICE_ATTR_RW(deep_flush);

static struct attribute *vpmem_deep_flush_attrs[] = {
	&dev_attr_deep_flush.attr,
	NULL
};

/* libnvdimm shows a deep_flush of its own unless it does not know how to flush. */
static umode_t vpmem_deep_flush_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	return nvdimm_has_flush(to_nd_region(kobj_to_dev(kobj))) < 0 ? attr->mode : 0;
}

static const struct attribute_group vpmem_deep_flush_group = {
	.attrs = vpmem_deep_flush_attrs,
	.is_visible = vpmem_deep_flush_visible,
};

/* A file that shows one value of a snapshot. */
#define VPMEM_ATTR_SHOW(_name, _format, _value)						\
static ssize_t _name##_show(struct device *dev, struct device_attribute *attr, char *buf)	\
{												\
	struct vpmem_snapshot s;								\
												\
	vpmem_snapshot(to_vpmem(dev), &s);							\
	return sysfs_emit(buf, _format "\n", _value);						\
}

VPMEM_ATTR_SHOW(state, "%s", vpmem_state_names[s.state])
static DEVICE_ATTR_RO(state);

VPMEM_ATTR_SHOW(broken, "%d", s.state == VPMEM_BROKEN)
static DEVICE_ATTR_RO(broken);

VPMEM_ATTR_SHOW(broken_reason, "%s", vpmem_reason_names[s.reason])
static DEVICE_ATTR_RO(broken_reason);

VPMEM_ATTR_SHOW(stalled, "%d", s.stalled)
static DEVICE_ATTR_RO(stalled);

VPMEM_ATTR_SHOW(queue_depth, "%u", s.depth)
static DEVICE_ATTR_RO(queue_depth);

VPMEM_ATTR_SHOW(queue_depth_max, "%u", s.depth_max)
static DEVICE_ATTR_RO(queue_depth_max);

VPMEM_ATTR_SHOW(in_flight_us, "%llu", div_u64(s.in_flight_ns, NSEC_PER_USEC))
static DEVICE_ATTR_RO(in_flight_us);

VPMEM_ATTR_SHOW(error_policy, "%s", vpmem_policy_names[s.policy])

static ssize_t error_policy_store(struct device *dev, struct device_attribute *attr,
				  const char *buf, size_t len)
{
	int policy = sysfs_match_string(vpmem_policy_names, buf);

	if (policy < 0)
		return policy;
	vpmem_set_policy(to_vpmem(dev), policy);
	return len;
}
static DEVICE_ATTR_RW(error_policy);

/* A file that is a time in ms between two limits. */
#define VPMEM_ATTR_TIMEOUT(_name, _min, _max)							\
VPMEM_ATTR_SHOW(_name, "%u", s._name)								\
												\
static ssize_t _name##_store(struct device *dev, struct device_attribute *attr,		\
			     const char *buf, size_t len)					\
{												\
	struct vpmem *v = to_vpmem(dev);							\
	u32 value;										\
												\
	if (kstrtou32(buf, 10, &value) || value < (_min) || value > (_max))			\
		return -EINVAL;									\
	vpmem_set_timeout(v, &v->_name, value);							\
	return len;										\
}

VPMEM_ATTR_TIMEOUT(stall_timeout_ms, VIRTIO_PMEM_STALL_TIMEOUT_MS_MIN,
		   VIRTIO_PMEM_STALL_TIMEOUT_MS_MAX)
static DEVICE_ATTR_RW(stall_timeout_ms);

VPMEM_ATTR_TIMEOUT(quiesce_timeout_ms, VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MIN,
		   VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_MAX)
static DEVICE_ATTR_RW(quiesce_timeout_ms);

VPMEM_ATTR_SHOW(quiesce, "%d", s.state == VPMEM_QUIESCED)

static ssize_t quiesce_store(struct device *dev, struct device_attribute *attr,
			     const char *buf, size_t len)
{
	bool quiesce;
	int err;

	err = kstrtobool(buf, &quiesce);
	if (err)
		return err;
	if (quiesce)
		return vpmem_quiesce(to_vpmem(dev)) ?: len;
	vpmem_resume(to_vpmem(dev));
	return len;
}
static DEVICE_ATTR_RW(quiesce);

static ssize_t recover_store(struct device *dev, struct device_attribute *attr,
			     const char *buf, size_t len)
{
	return vpmem_parse_one(buf) ?: vpmem_recover(to_vpmem(dev)) ?: len;
}
static DEVICE_ATTR_WO(recover);

static ssize_t abi_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", VIRTIO_PMEM_ABI);
}
static DEVICE_ATTR_RO(abi);

static ssize_t vpmem_emit_line(char *buf, const u64 *values, unsigned int count)
{
	unsigned int i;
	int len = 0;

	for (i = 0; i < count; i++)
		len += sysfs_emit_at(buf, len, "%llu%c", values[i], i + 1 < count ? ' ' : '\n');
	return len;
}

static ssize_t flush_stats_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct vpmem_snapshot s;

	vpmem_snapshot(to_vpmem(dev), &s);
	return vpmem_emit_line(buf, s.stats, ARRAY_SIZE(s.stats));
}
static DEVICE_ATTR_RO(flush_stats);

static ssize_t flush_latency_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct vpmem_snapshot s;

	vpmem_snapshot(to_vpmem(dev), &s);
	return vpmem_emit_line(buf, s.latency, ARRAY_SIZE(s.latency));
}
static DEVICE_ATTR_RO(flush_latency);

static struct attribute *vpmem_attrs[] = {
	&dev_attr_abi.attr,
	&dev_attr_state.attr,
	&dev_attr_broken.attr,
	&dev_attr_broken_reason.attr,
	&dev_attr_stalled.attr,
	&dev_attr_queue_depth.attr,
	&dev_attr_queue_depth_max.attr,
	&dev_attr_in_flight_us.attr,
	&dev_attr_flush_stats.attr,
	&dev_attr_flush_latency.attr,
	&dev_attr_error_policy.attr,
	&dev_attr_stall_timeout_ms.attr,
	&dev_attr_quiesce.attr,
	&dev_attr_quiesce_timeout_ms.attr,
	&dev_attr_recover.attr,
	NULL
};

static const struct attribute_group vpmem_group = {
	.name = VIRTIO_PMEM_GROUP,
	.attrs = vpmem_attrs,
};

static const struct attribute_group *vpmem_groups[] = {
	&vpmem_deep_flush_group,
	&vpmem_group,
	NULL
};

/* -------------------------------------------------------------- events */

/*
 * Tell userspace what the engine's state is now: uevents and poll() need a
 * context that may sleep, and the engine changes its state under a spinlock.
 * Changes that follow each other quickly become one event, with the last state.
 */
void vpmem_publish(struct work_struct *work)
{
	struct vpmem *v = container_of(work, struct vpmem, publish);
	struct kobject *kobj = &v->region_dev->kobj;
	char state[48], reason[48], stalled[48], event[48];
	char *env[] = { state, reason, stalled, event, NULL };
	struct vpmem_snapshot s;
	bool changed, failed;
	unsigned int noio;

	/* libnvdimm adds the region later; whoever learns of it then reads the state. */
	if (!kobj->state_in_sysfs)
		return;

	/* It says whether a broken queue is that of a device that is gone. */
	flush_delayed_work(&v->watch);
	vpmem_snapshot(v, &s);
	changed = s.state != v->published || s.reason != v->published_reason ||
		  s.stalled != v->published_stalled ||
		  s.stats[VIRTIO_PMEM_STAT_STALLS] != v->published_stalls;
	failed = s.stats[VIRTIO_PMEM_STAT_FAILED_HOST_FLUSHES] != v->published_failures &&
		 (s.reason == VPMEM_REASON_NONE || s.reason == VPMEM_REASON_HOST_ERROR);
	v->published = s.state;
	v->published_reason = s.reason;
	v->published_stalled = s.stalled;
	v->published_stalls = s.stats[VIRTIO_PMEM_STAT_STALLS];
	v->published_failures = s.stats[VIRTIO_PMEM_STAT_FAILED_HOST_FLUSHES];
	if (!changed && !(failed && __ratelimit(&v->events)))
		return;

	snprintf(state, sizeof(state), "%s=%s", VIRTIO_PMEM_UEVENT_STATE,
		 vpmem_state_names[s.state]);
	snprintf(reason, sizeof(reason), "%s=%s", VIRTIO_PMEM_UEVENT_REASON,
		 vpmem_reason_names[s.reason]);
	snprintf(stalled, sizeof(stalled), "%s=%d", VIRTIO_PMEM_UEVENT_STALLED, s.stalled);
	snprintf(event, sizeof(event), "%s=%s", VIRTIO_PMEM_UEVENT_EVENT,
		 VIRTIO_PMEM_REASON_HOST_ERROR);
	if (!failed)
		env[3] = NULL;
	/* Memory must not wait for a flush that gathers until we have told of it. */
	noio = memalloc_noio_save();
	kobject_uevent_env(kobj, KOBJ_CHANGE, env);
	memalloc_noio_restore(noio);
	if (changed)
		sysfs_notify(kobj, VIRTIO_PMEM_GROUP, VIRTIO_PMEM_ATTR_STATE);
}

/* Whether changes are handed to vpmem_publish(); one that came before is, now. */
static void vpmem_set_publishing(struct vpmem *v, bool on)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	v->publishing = on;
	if (on)
		schedule_work(&v->publish);
	vpmem_unlock(v, &s);
}

/* ---------------------------------------------------------------- life */

/* Create bus and region. The device must be able to serve a flush by now. */
int vpmem_region_create(struct vpmem *v)
{
	struct device *dev = &v->vdev->dev;
	struct nd_region_desc desc = {};
	struct nd_region *nd_region;
	struct resource res = {
		.start = v->start,
		.end = v->start + v->size - 1,
	};

	v->bus_desc.provider_name = "virtio-pmem";
	v->bus_desc.module = THIS_MODULE;
	v->bus = nvdimm_bus_register(dev, &v->bus_desc);
	if (!v->bus) {
		dev_err(dev, "libnvdimm did not accept the bus\n");
		return -ENXIO;
	}

	desc.res = &res;
	desc.numa_node = memory_add_physaddr_to_nid(v->start);
	desc.target_node = phys_to_target_node(v->start);
	if (desc.target_node == NUMA_NO_NODE)
		desc.target_node = desc.numa_node;
	desc.flush = vpmem_nd_flush;
	desc.provider_data = v;
	desc.attr_groups = vpmem_groups;
	set_bit(ND_REGION_PAGEMAP, &desc.flags);
	set_bit(ND_REGION_ASYNC, &desc.flags);
	nd_region = nvdimm_pmem_region_create(v->bus, &desc);
	if (!nd_region) {
		dev_err(dev, "libnvdimm did not accept the region %pR\n", &res);
		nvdimm_bus_unregister(v->bus);
		return -ENXIO;
	}

	ratelimit_state_init(&v->events, 5 * HZ, 10);
	v->region_dev = get_device(nd_region_dev(nd_region));
	v->name = dev_name(v->region_dev);
	vpmem_set_publishing(v, true);
	return 0;
}

/*
 * libnvdimm takes the namespaces down, which flushes through us a last time,
 * and waits for whoever is in one of our files: the engine must still serve.
 * Events end before, because later ones would have no kobject to come from.
 */
void vpmem_region_destroy(struct vpmem *v)
{
	vpmem_set_publishing(v, false);
	flush_work(&v->publish);
	nvdimm_bus_unregister(v->bus);
}
