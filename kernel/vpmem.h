/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the driver share: the device's private structure, and
 * what each part offers the others.
 *
 *   driver.c   virtio: probe, remove, freeze, restore, recover; who owns what, when
 *   flush.c    the flush engine: requests in, host flushes out, states
 *   control.c  what else moves a region: time, the administrator, suspend, power-off
 *   region.c   what libnvdimm calls, and what sysfs shows
 */
#ifndef VPMEM_H
#define VPMEM_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/cache.h>
#include <linux/hrtimer.h>
#include <linux/libnvdimm.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/ratelimit_types.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/virtio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/virtio_pmem.h>

#include <virtpmem/sysfs-abi.h>

enum vpmem_state {
	VPMEM_ACTIVE,
	VPMEM_QUIESCED,		/* by the administrator: gathers, submits nothing */
	VPMEM_RECOVERING,	/* the same, until there is a queue again */
	VPMEM_BROKEN,
	VPMEM_REMOVING,		/* still accepts and submits */
	VPMEM_STATES,
};

/* Why a region is broken. */
enum vpmem_reason {
	VPMEM_REASON_NONE,
	VPMEM_REASON_NOTIFY,	/* the transport refused the notify */
	VPMEM_REASON_VIRTQUEUE,	/* the ring is broken */
	VPMEM_REASON_NEEDS_RESET,
	VPMEM_REASON_STALE,	/* an answer that the device did not write */
	VPMEM_REASON_HOST_ERROR, /* a host flush failed, and the policy is latch */
	VPMEM_REASON_TIMEOUT,	/* no answer before a deadline */
	VPMEM_REASON_GONE,	/* another device after a restore, or none */
	VPMEM_REASONS,
};

enum vpmem_policy {
	VPMEM_LATCH,
	VPMEM_REPORT,
	VPMEM_POLICIES,
};

/* How often a recover looks for an answer in the memory of a slot. */
#define VPMEM_ANSWER_LOOK_MS	10

/* How often a flush in flight is looked after: twice in the second that F10 grants. */
#define VPMEM_LOOK_MS		500

/* A suspend waits no longer for a flush in flight: a watchdog of the PM core's panics. */
#define VPMEM_PARK_LIMIT_MS	60000

/* Who has taken the device away and will bring it back. */
enum vpmem_parker {
	VPMEM_NOBODY,
	VPMEM_SUSPEND,
	VPMEM_RESET,
};

/* Whose the slot is. From "in ring" on, the device may write it (R5). */
enum vpmem_slot_state {
	VPMEM_SLOT_OURS,
	VPMEM_SLOT_IN_RING,	/* the ring returns it */
	VPMEM_SLOT_LOST,	/* no ring does: reset, or returned but not written */
	VPMEM_SLOT_GIVEN_UP,	/* a recover has waited for it in vain */
	VPMEM_SLOT_JUDGED,	/* lost, but what was written into it is known */
};

/* The status of a device that is not there any more reads as all ones. */
#define VPMEM_STATUS_GONE	0xff

/*
 * Memory that the device reads and writes: one request and its answer. Each
 * has cache lines of its own, so that no store of the CPU's shares one with
 * what the device writes (the size is a power of two, which kmalloc aligns).
 */
struct vpmem_slot {
	struct virtio_pmem_req req __aligned(L1_CACHE_BYTES);
	struct virtio_pmem_resp resp __aligned(L1_CACHE_BYTES);
} __aligned(2 * L1_CACHE_BYTES);

/*
 * Requests that one host flush answers. Bios have no room for the time at
 * which they joined, so the batch keeps what the statistics need: when the
 * first one joined, and how much later all the others did, added up.
 */
struct vpmem_batch {
	struct list_head waiters;	/* struct vpmem_waiter, on their stacks */
	struct bio_list bios;
	unsigned int count;		/* of both */
	unsigned int async;		/* of bios */
	bool urgent;			/* a member may not sleep: not to be held */
	u64 seq;			/* number of the host flush */
	u64 first_ns;
	u64 later_ns;
};

/* A window in which the gathering batch is held back (R8 in flush.c). */
struct vpmem_hold {
	unsigned int callers;		/* until so many wait; 0: there is none */
	unsigned int worth;		/* it was worth it if so many came */
	u64 from_ns;
	u64 length_ns;
	unsigned int skip;		/* so many answers open none */
	unsigned int backoff;		/* what skip was last set to */
	struct hrtimer timer;
};

struct vpmem {
	struct virtio_device *vdev;
	const char *name;		/* for traces: the region, once it has a name */

	/* Set at probe, fixed until remove. */
	u64 start;
	u64 size;
	struct nvdimm_bus_descriptor bus_desc;
	struct nvdimm_bus *bus;
	struct device *region_dev;	/* we hold a reference */

	/*
	 * Serialises freeze, restore, reset and recover. The unregistration of
	 * the region waits for a recover in sysfs, so it is not held there.
	 */
	struct mutex control;
	struct task_struct *recoverer;	/* virtio's freeze and restore are its own */
	enum vpmem_reason renewed;	/* what that restore found */

	/*
	 * Everything below is protected by the lock, which interrupts take. What is
	 * read without it as well is written with WRITE_ONCE().
	 */
	spinlock_t lock;
	struct virtqueue *vq;		/* NULL while the device is reset */
	struct vpmem_slot *slot;
	enum vpmem_slot_state slot_state;
	enum vpmem_parker parked;	/* until it is back nothing is submitted */
	bool suspending;		/* the system is, from prepare to post */
	bool leaving;			/* remove has begun */
	bool closed;			/* remove is past its last flush: refuse */
	bool deadline;			/* a host that takes too long breaks the region */
	bool stalled;			/* the host has taken too long */
	bool atomic_callers;		/* there was one that may not sleep */
	bool config_changed;		/* the device has something to say */
	bool publishing;		/* the region can send uevents */
	enum vpmem_state state;
	enum vpmem_reason reason;
	enum vpmem_policy policy;
	u32 stall_timeout_ms;
	u32 quiesce_timeout_ms;
	u64 quiesced_ns;		/* when the administrator last asked */
	u64 detached_ns;		/* when the queue was taken away */
	struct vpmem_batch gathering;	/* joined since the last submission */
	struct vpmem_batch in_flight;	/* answered by the current host flush */
	u64 answered;			/* batches up to this seq have left */
	u64 submitted_ns;
	struct vpmem_hold hold;
	unsigned int depth_max;
	u64 stats[VIRTIO_PMEM_STATS];
	u64 latency[VIRTIO_PMEM_LATENCY_BINS];

	/* Own locking. */
	wait_queue_head_t idle;		/* the slot has come back, or never will */
	struct work_struct publish;
	enum vpmem_state published;	/* these six: only that work */
	enum vpmem_reason published_reason;
	bool published_stalled;
	u64 published_stalls;
	u64 published_failures;
	struct ratelimit_state events;
	struct delayed_work retry;	/* after a failed DMA mapping */
	struct delayed_work watch;	/* what time brings */
	struct notifier_block pm;
	struct notifier_block reboot;
};

/* Requests that are about to be answered. */
struct vpmem_answers {
	struct list_head waiters;
	struct bio_list bios;
};

/*
 * A critical section of v->lock. What is decided inside is carried out when it
 * has ended: callers are answered, messages printed, sleepers woken.
 */
struct vpmem_section {
	unsigned long flags;
	struct vpmem_answers done;	/* with 0 */
	struct vpmem_answers failed;	/* with -EIO */
	enum vpmem_reason broke;	/* why the region broke */
	bool host_failed;		/* the host failed a flush */
	bool stalled;			/* the host has taken too long */
	const char *unquiesced;		/* what ended it, but not an administrator */
};

/* A consistent look at the engine, for sysfs. */
struct vpmem_snapshot {
	enum vpmem_state state;
	enum vpmem_reason reason;
	enum vpmem_policy policy;
	bool stalled;
	u32 stall_timeout_ms;
	u32 quiesce_timeout_ms;
	unsigned int depth;
	unsigned int depth_max;
	u64 in_flight_ns;
	u64 stats[VIRTIO_PMEM_STATS];
	u64 latency[VIRTIO_PMEM_LATENCY_BINS];
};

/* driver.c */
extern struct workqueue_struct *vpmem_wq;
extern enum vpmem_policy vpmem_default_policy;

int vpmem_recover(struct vpmem *v);

/* flush.c */
extern const char *const vpmem_state_names[VPMEM_STATES];
extern const char *const vpmem_reason_names[VPMEM_REASONS];
extern const char *const vpmem_policy_names[VPMEM_POLICIES];

void vpmem_engine_init(struct vpmem *v);
void vpmem_engine_callback(struct virtqueue *vq);
int vpmem_flush(struct vpmem *v);
int vpmem_flush_killable(struct vpmem *v);
int vpmem_flush_bio(struct vpmem *v, struct bio *bio);
void vpmem_break(struct vpmem *v, enum vpmem_reason reason);
bool vpmem_is_broken(struct vpmem *v);
bool vpmem_slot_is_written(struct vpmem *v);
void vpmem_judge_written(struct vpmem *v);
void vpmem_reap_all(struct vpmem *v);
void vpmem_close(struct vpmem *v);
void vpmem_stop(struct vpmem *v);
void vpmem_snapshot(struct vpmem *v, struct vpmem_snapshot *snap);

/* flush.c, for what moves a region */
void vpmem_lock(struct vpmem *v, struct vpmem_section *s) __acquires(&v->lock);
void vpmem_unlock(struct vpmem *v, struct vpmem_section *s) __releases(&v->lock);
void vpmem_changed(struct vpmem *v);
bool vpmem_set_state(struct vpmem *v, enum vpmem_state state, enum vpmem_reason reason);
void vpmem_break_locked(struct vpmem *v, enum vpmem_reason reason, struct vpmem_section *s);
void vpmem_submit(struct vpmem *v, struct vpmem_section *s);

/* control.c */
void vpmem_control_init(struct vpmem *v);
int vpmem_control_start(struct vpmem *v);
void vpmem_control_stop(struct vpmem *v);
void vpmem_look_soon(struct vpmem *v);
bool vpmem_needs_reset(struct vpmem *v);
bool vpmem_is_gone(struct vpmem *v);
int vpmem_quiesce(struct vpmem *v);
void vpmem_resume(struct vpmem *v);
int vpmem_park(struct vpmem *v, enum vpmem_parker parker);
void vpmem_unpark(struct vpmem *v);
void vpmem_attach_queue(struct vpmem *v, struct virtqueue *vq);
void vpmem_detach_queue(struct vpmem *v);
int vpmem_begin_recovery(struct vpmem *v);
int vpmem_end_recovery(struct vpmem *v, enum vpmem_reason reason);
void vpmem_start_removal(struct vpmem *v);
void vpmem_set_policy(struct vpmem *v, enum vpmem_policy policy);
void vpmem_set_timeout(struct vpmem *v, u32 *timeout_ms, u32 value);

/* region.c */
int vpmem_region_create(struct vpmem *v);
void vpmem_region_destroy(struct vpmem *v);
void vpmem_publish(struct work_struct *work);

#endif /* VPMEM_H */
