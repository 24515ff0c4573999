// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flush engine.
 *
 * The host answers a flush for everything that was stored before the request
 * reached it. So one host flush can answer any number of callers, as long as
 * each of them had asked before it was submitted. The engine therefore has one
 * request slot, allocated at probe, and at most one host flush in flight:
 *
 *	caller ----> gathering ----> in flight ----> answered
 *	       join            submit          reap
 *
 * Whoever asks while nothing is in flight submits at once. Whoever asks while
 * the host is busy joins the gathering batch, and the host's answer submits
 * that batch from the virtqueue's callback. No thread of ours is needed, and
 * nobody's progress depends on another caller being scheduled.
 *
 * The rules, which the functions below refer to:
 *
 *  R1  A request is answered only by a host flush that was submitted after it
 *      joined. Batches are numbered (seq); a request carries its batch's
 *      number; it is answered when v->answered has reached that number.
 *  R2  A request is answered exactly once. Whoever takes a batch off the
 *      engine (reap, break, close) under the lock answers its members, after
 *      the lock is dropped.
 *  R3  Asking and answering allocates nothing: batches link through the
 *      waiter on the caller's stack, or through bio->bi_next.
 *  R4  The ring holds at most the one slot; one notify follows each add, under
 *      the same lock, so the device is never notified with an empty ring.
 *  R5  The device owns the slot from the add until it returns it. Until then
 *      it is neither read nor written, unmapped nor freed. Not by a reset
 *      either: QEMU may write an old request's answer after one.
 *  R6  Only an answer that covers the response and is 0 is success.
 *  R7  Once broken, nobody waits: those who do are answered with -EIO, those
 *      who come are refused with it.
 *
 * One spinlock, v->lock, protects all of it. It is taken from interrupts.
 * Nothing of the callers' runs under it.
 *
 * State moves in vpmem_set_state() only:
 *
 *	from \ to	broken	removing
 *	active		  x	   x
 *	removing	  x
 *	broken
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/nmi.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/virtio_config.h>
#include <asm/barrier.h>

#include "vpmem.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* An answer that no device gives: QEMU, for one, writes 0, 1 or -1. */
#define VPMEM_NO_ANSWER		0x766d6570

/* How soon to try again when the DMA mapping of the slot failed. */
#define VPMEM_RETRY_MS		5

/* How many answers one interrupt takes. */
#define VPMEM_REAP_BUDGET	16

/*
 * How long a caller that may not sleep waits for its answer, and how often it
 * looks at the ring itself, in case its interrupt cannot come. The first is well
 * below what the kernel calls a lockup.
 */
#define VPMEM_POLL_LIMIT_NS	(10 * (u64)NSEC_PER_SEC)
#define VPMEM_POLL_LOOK_NS	(10 * (u64)NSEC_PER_MSEC)

const char *const vpmem_state_names[VPMEM_STATES] = {
	[VPMEM_ACTIVE]		= VIRTIO_PMEM_STATE_ACTIVE,
	[VPMEM_BROKEN]		= VIRTIO_PMEM_STATE_BROKEN,
	[VPMEM_REMOVING]	= VIRTIO_PMEM_STATE_REMOVING,
};

static const bool vpmem_moves[VPMEM_STATES][VPMEM_STATES] = {
	[VPMEM_ACTIVE]		= { [VPMEM_BROKEN] = true, [VPMEM_REMOVING] = true },
	[VPMEM_REMOVING]	= { [VPMEM_BROKEN] = true },
};

const char *const vpmem_reason_names[VPMEM_REASONS] = {
	[VPMEM_REASON_NONE]		= VIRTIO_PMEM_REASON_NONE,
	[VPMEM_REASON_NOTIFY]		= VIRTIO_PMEM_REASON_NOTIFY,
	[VPMEM_REASON_VIRTQUEUE]	= VIRTIO_PMEM_REASON_VIRTQUEUE,
	[VPMEM_REASON_NEEDS_RESET]	= VIRTIO_PMEM_REASON_NEEDS_RESET,
	[VPMEM_REASON_STALE]		= VIRTIO_PMEM_REASON_STALE_ANSWER,
	[VPMEM_REASON_HOST_ERROR]	= VIRTIO_PMEM_REASON_HOST_ERROR,
	[VPMEM_REASON_TIMEOUT]		= VIRTIO_PMEM_REASON_TIMEOUT,
	[VPMEM_REASON_GONE]		= VIRTIO_PMEM_REASON_GONE,
};

const char *const vpmem_policy_names[VPMEM_POLICIES] = {
	[VPMEM_LATCH]	= VIRTIO_PMEM_POLICY_LATCH,
	[VPMEM_REPORT]	= VIRTIO_PMEM_POLICY_REPORT,
};

/* One synchronous caller, on its stack. */
struct vpmem_waiter {
	struct list_head list;
	struct completion done;
	u64 seq;
	u64 joined_ns;
	int error;
};

/*
 * Requests that have been taken off the engine under the lock, to be answered
 * after it is dropped. A list of its own, because a failure takes two batches.
 */
struct vpmem_answer {
	struct list_head waiters;
	struct bio_list bios;
	int error;
};

static void vpmem_answer_init(struct vpmem_answer *a)
{
	INIT_LIST_HEAD(&a->waiters);
	bio_list_init(&a->bios);
	a->error = 0;
}

/* A waiter's stack is gone as soon as its completion is seen. */
static void vpmem_answer_all(struct vpmem_answer *a)
{
	struct vpmem_waiter *w, *next;
	struct bio *bio;

	list_for_each_entry_safe(w, next, &a->waiters, list) {
		w->error = a->error;
		complete(&w->done);
	}
	while ((bio = bio_list_pop(&a->bios))) {
		if (a->error)
			bio->bi_status = errno_to_blk_status(a->error);
		bio_endio(bio);
	}
}

/* ------------------------------------------------------------- batches */

static void vpmem_batch_init(struct vpmem_batch *b, u64 seq)
{
	INIT_LIST_HEAD(&b->waiters);
	bio_list_init(&b->bios);
	b->count = 0;
	b->async = 0;
	b->seq = seq;
	b->first_ns = 0;
	b->later_ns = 0;
}

static void vpmem_batch_joined(struct vpmem_batch *b, u64 now)
{
	if (!b->count)
		b->first_ns = now;
	b->later_ns += now - b->first_ns;
	b->count++;
}

/* Count the members of a batch as answered, and hand them over (R2). */
static void vpmem_batch_take(struct vpmem *v, struct vpmem_batch *b, struct vpmem_answer *a,
			     u64 now)
{
	lockdep_assert_held(&v->lock);
	v->answered = b->seq;
	if (b->count) {
		u64 longest = now - b->first_ns;

		v->stats[VIRTIO_PMEM_STAT_REQUESTS] += b->count;
		v->stats[VIRTIO_PMEM_STAT_ASYNC_REQUESTS] += b->async;
		if (a->error)
			v->stats[VIRTIO_PMEM_STAT_FAILED_REQUESTS] += b->count;
		v->stats[VIRTIO_PMEM_STAT_REQUEST_TOTAL_NS] += b->count * longest - b->later_ns;
		if (longest > v->stats[VIRTIO_PMEM_STAT_REQUEST_MAX_NS])
			v->stats[VIRTIO_PMEM_STAT_REQUEST_MAX_NS] = longest;
	}
	list_splice_tail_init(&b->waiters, &a->waiters);
	bio_list_merge(&a->bios, &b->bios);
	vpmem_batch_init(b, 0);
}

/* Both batches at once: they leave the engine in the order they joined. */
static void vpmem_take_everyone(struct vpmem *v, struct vpmem_answer *a, u64 now)
{
	u64 next = v->gathering.seq + 1;

	if (v->in_flight.seq)
		vpmem_batch_take(v, &v->in_flight, a, now);
	vpmem_batch_take(v, &v->gathering, a, now);
	vpmem_batch_init(&v->gathering, next);
}

/* -------------------------------------------------------------- states */

static void vpmem_set_state(struct vpmem *v, enum vpmem_state state, enum vpmem_reason reason)
{
	lockdep_assert_held(&v->lock);
	if (!vpmem_moves[v->state][state])
		return;
	v->state = state;
	v->reason = reason;
	v->stats[VIRTIO_PMEM_STAT_LAST_CHANGE_NS] = ktime_get_boottime_ns();
	trace_virtio_pmem_state(v->name, vpmem_state_names[state], vpmem_reason_names[reason]);
	if (v->publishing)
		schedule_work(&v->publish);
}

static void vpmem_count_host_failure(struct vpmem *v, u64 now)
{
	v->stats[VIRTIO_PMEM_STAT_FAILED_HOST_FLUSHES]++;
	v->stats[VIRTIO_PMEM_STAT_LAST_FAILURE_NS] = ktime_get_boottime_ns();
	trace_virtio_pmem_complete(v->name, v->in_flight.seq, now - v->submitted_ns, -EIO);
}

/*
 * R7. A request that the device still owns counts as a host flush that failed:
 * its answer, if it ever comes, is for nobody.
 */
static void vpmem_break_locked(struct vpmem *v, enum vpmem_reason reason, struct vpmem_answer *a)
{
	u64 now = ktime_get_ns();

	lockdep_assert_held(&v->lock);
	if (v->state == VPMEM_BROKEN)
		return;
	dev_err(&v->vdev->dev, "%s is broken (%s): every flush fails from now on\n",
		v->name, vpmem_reason_names[reason]);
	if (v->slot_busy)
		vpmem_count_host_failure(v, now);
	vpmem_set_state(v, VPMEM_BROKEN, reason);
	a->error = -EIO;
	vpmem_take_everyone(v, a, now);
}

void vpmem_break(struct vpmem *v, enum vpmem_reason reason)
{
	struct vpmem_answer a;
	unsigned long flags;

	vpmem_answer_init(&a);
	spin_lock_irqsave(&v->lock, flags);
	vpmem_break_locked(v, reason, &a);
	spin_unlock_irqrestore(&v->lock, flags);
	vpmem_answer_all(&a);
	wake_up(&v->idle);
}

bool vpmem_is_broken(struct vpmem *v)
{
	return READ_ONCE(v->state) == VPMEM_BROKEN;
}

/* Nothing of ours is with the device, or nothing that anyone waits for. */
static bool vpmem_is_idle(struct vpmem *v)
{
	return !READ_ONCE(v->slot_busy) || vpmem_is_broken(v);
}

/* ---------------------------------------------------------- submission */

/* Put the slot into the ring. Allocates nothing: there are no indirect descriptors. */
static int vpmem_add_slot(struct vpmem *v)
{
	struct scatterlist req, resp, *sgs[] = { &req, &resp };

	v->slot->req.type = cpu_to_le32(VIRTIO_PMEM_REQ_TYPE_FLUSH);
	v->slot->resp.ret = cpu_to_le32(VPMEM_NO_ANSWER);
	sg_init_one(&req, &v->slot->req, sizeof(v->slot->req));
	sg_init_one(&resp, &v->slot->resp, sizeof(v->slot->resp));
	return virtqueue_add_sgs(v->vq, sgs, 1, 1, v->slot, GFP_ATOMIC);
}

/*
 * Submit the gathering batch if that is possible now. This is the place where
 * a window of anticipation would hold a batch back.
 */
static void vpmem_submit(struct vpmem *v, struct vpmem_answer *a)
{
	u64 seq = v->gathering.seq;
	int err;

	lockdep_assert_held(&v->lock);
	if (!v->gathering.count || v->slot_busy || v->parked || v->state == VPMEM_BROKEN)
		return;

	err = vpmem_add_slot(v);
	if (err == -ENOMEM || (err == -EIO && !virtqueue_is_broken(v->vq))) {
		/*
		 * Nobody's error: swiotlb or the IOMMU is short of room for now.
		 * A packed ring says -EIO for that.
		 */
		queue_delayed_work(vpmem_wq, &v->retry, msecs_to_jiffies(VPMEM_RETRY_MS));
		return;
	}
	if (err) {
		vpmem_break_locked(v, VPMEM_REASON_VIRTQUEUE, a);
		return;
	}

	v->slot_busy = true;
	v->in_flight = v->gathering;
	INIT_LIST_HEAD(&v->in_flight.waiters);
	list_splice_init(&v->gathering.waiters, &v->in_flight.waiters);
	vpmem_batch_init(&v->gathering, seq + 1);
	v->submitted_ns = ktime_get_ns();
	trace_virtio_pmem_submit(v->name, seq, v->in_flight.count);

	if (!virtqueue_kick(v->vq))
		vpmem_break_locked(v, VPMEM_REASON_NOTIFY, a);
}

/* -------------------------------------------------------------- answers */

static void vpmem_host_failed(struct vpmem *v, struct vpmem_answer *a, u64 now)
{
	vpmem_count_host_failure(v, now);
	dev_err_ratelimited(&v->vdev->dev, "%s: the host failed a flush\n", v->name);

	/*
	 * The host reports a lost page once, to one fsync: whoever gathers now
	 * would be told success for data that is gone (F14).
	 */
	a->error = -EIO;
	vpmem_take_everyone(v, a, now);
	if (v->policy == VPMEM_LATCH)
		vpmem_break_locked(v, VPMEM_REASON_HOST_ERROR, a);
	if (v->publishing)
		schedule_work(&v->publish);
}

/* The slot has come back: judge what the device wrote into it (R6). */
static void vpmem_judge(struct vpmem *v, unsigned int len, struct vpmem_answer *a)
{
	u64 now = ktime_get_ns();
	u64 took = now - v->submitted_ns;
	bool covered = len >= sizeof(v->slot->resp);
	u32 ret = le32_to_cpu(v->slot->resp.ret);
	int bin = min_t(int, fls64(div_u64(took, NSEC_PER_USEC)), VIRTIO_PMEM_LATENCY_BINS - 1);

	if (covered && ret == VPMEM_NO_ANSWER) {
		/* In the name of an older request, or a lie: nobody may hear success. */
		vpmem_count_host_failure(v, now);
		vpmem_break_locked(v, VPMEM_REASON_STALE, a);
		return;
	}

	v->stats[VIRTIO_PMEM_STAT_HOST_FLUSHES]++;
	v->stats[VIRTIO_PMEM_STAT_HOST_TOTAL_NS] += took;
	if (took > v->stats[VIRTIO_PMEM_STAT_HOST_MAX_NS])
		v->stats[VIRTIO_PMEM_STAT_HOST_MAX_NS] = took;
	v->latency[bin]++;

	if (covered && !ret) {
		trace_virtio_pmem_complete(v->name, v->in_flight.seq, took, 0);
		vpmem_batch_take(v, &v->in_flight, a, now);
	} else {
		vpmem_host_failed(v, a, now);
	}
}

/*
 * Take at most one answer from the ring, and keep the host busy with what has
 * gathered. Returns whether there was one. What the answer is good for and what
 * breaks after it are told apart: a flush that was done is not called failed.
 */
static bool vpmem_reap(struct vpmem *v)
{
	struct vpmem_answer answered, broken;
	unsigned long flags;
	unsigned int len;
	void *token;

	vpmem_answer_init(&answered);
	vpmem_answer_init(&broken);
	spin_lock_irqsave(&v->lock, flags);
	if (!v->vq) {
		spin_unlock_irqrestore(&v->lock, flags);
		return false;
	}
	token = virtqueue_get_buf(v->vq, &len);
	if (token) {
		v->slot_busy = false;
		if (v->state != VPMEM_BROKEN)
			vpmem_judge(v, len, &answered);
	}
	/* An unknown or repeated id shows up only here. */
	if (virtqueue_is_broken(v->vq))
		vpmem_break_locked(v, VPMEM_REASON_VIRTQUEUE, &broken);
	vpmem_submit(v, &broken);
	spin_unlock_irqrestore(&v->lock, flags);

	vpmem_answer_all(&answered);
	vpmem_answer_all(&broken);
	wake_up(&v->idle);
	return token;
}

/*
 * Whatever the ring holds. A device that answers within the notify could keep
 * an interrupt busy for as long as others ask: the rest is left to a work.
 */
static void vpmem_reap_all(struct vpmem *v)
{
	int budget = VPMEM_REAP_BUDGET;

	while (vpmem_reap(v))
		if (!--budget) {
			queue_delayed_work(vpmem_wq, &v->retry, 0);
			break;
		}
}

void vpmem_engine_callback(struct virtqueue *vq)
{
	vpmem_reap_all(vq->vdev->priv);
}

static void vpmem_retry(struct work_struct *work)
{
	vpmem_reap_all(container_of(to_delayed_work(work), struct vpmem, retry));
}

/* ------------------------------------------------------------- requests */

static void vpmem_count_refused(struct vpmem *v, bool async)
{
	v->stats[VIRTIO_PMEM_STAT_REQUESTS]++;
	v->stats[VIRTIO_PMEM_STAT_ASYNC_REQUESTS] += async;
	v->stats[VIRTIO_PMEM_STAT_FAILED_REQUESTS]++;
}

/* The part of joining that waiters and bios share. */
static int vpmem_join(struct vpmem *v, u64 now, bool async)
{
	unsigned int depth;

	lockdep_assert_held(&v->lock);
	if (v->state == VPMEM_BROKEN || v->closed) {
		vpmem_count_refused(v, async);
		return -EIO;
	}
	/* What was stored past the caches comes before what is asked for it. */
	pmem_wmb();
	vpmem_batch_joined(&v->gathering, now);
	v->gathering.async += async;
	depth = v->gathering.count + v->in_flight.count;
	if (depth > v->depth_max)
		v->depth_max = depth;
	trace_virtio_pmem_request(v->name, v->gathering.seq, async);
	return 0;
}

/*
 * Queue a bio; it is ended when a host flush that was submitted from now on is
 * answered. Returns 0 when the engine has taken it over, or -EIO when it stays
 * the caller's.
 */
int vpmem_flush_bio(struct vpmem *v, struct bio *bio)
{
	struct vpmem_answer a;
	unsigned long flags;
	int err;

	vpmem_answer_init(&a);
	spin_lock_irqsave(&v->lock, flags);
	err = vpmem_join(v, ktime_get_ns(), true);
	if (!err) {
		bio_list_add(&v->gathering.bios, bio);
		vpmem_submit(v, &a);
	}
	spin_unlock_irqrestore(&v->lock, flags);
	vpmem_answer_all(&a);
	return err;
}

static int vpmem_join_waiter(struct vpmem *v, struct vpmem_waiter *w)
{
	struct vpmem_answer a;
	unsigned long flags;
	int err;

	init_completion(&w->done);
	vpmem_answer_init(&a);
	spin_lock_irqsave(&v->lock, flags);
	w->joined_ns = ktime_get_ns();
	w->seq = v->gathering.seq;
	err = vpmem_join(v, w->joined_ns, false);
	if (!err) {
		list_add_tail(&w->list, &v->gathering.waiters);
		vpmem_submit(v, &a);
	}
	spin_unlock_irqrestore(&v->lock, flags);
	vpmem_answer_all(&a);
	return err;
}

/*
 * Stop waiting. Returns false if the waiter's batch has left the engine: then
 * its answer is under way, and must be waited for (R2). @failed: to be counted
 * as a failed request. The total of the latencies stays exact; the highest may
 * count the time of one that left.
 */
static bool vpmem_leave(struct vpmem *v, struct vpmem_waiter *w, bool failed)
{
	struct vpmem_batch *b;
	unsigned long flags;
	bool left = false;

	spin_lock_irqsave(&v->lock, flags);
	if (w->seq > v->answered) {
		b = w->seq == v->in_flight.seq ? &v->in_flight : &v->gathering;
		list_del(&w->list);
		b->count--;
		b->later_ns -= w->joined_ns - b->first_ns;
		if (failed)
			vpmem_count_refused(v, false);
		left = true;
	}
	spin_unlock_irqrestore(&v->lock, flags);
	return left;
}

/*
 * For callers that may not sleep, such as BTT, which flushes under a spinlock
 * of its map: wait for the callback on this processor. The ring is left to the
 * callback, because an interrupt that finds nothing counts as spurious, and too
 * many of those turn the interrupt off.
 */
static int vpmem_poll(struct vpmem *v, struct vpmem_waiter *w)
{
	u64 start = ktime_get_ns(), looked = start, now;

	while (!completion_done(&w->done)) {
		now = ktime_get_ns();
		if (now - start > VPMEM_POLL_LIMIT_NS && vpmem_leave(v, w, true))
			return -EIO;
		if (irqs_disabled() || now - looked > VPMEM_POLL_LOOK_NS) {
			vpmem_reap(v);
			looked = now;
		}
		touch_softlockup_watchdog();
		cpu_relax();
	}
	return w->error;
}

/* Known only where the kernel counts preemption; elsewhere it is taken for no. */
static bool vpmem_may_not_sleep(void)
{
	return IS_ENABLED(CONFIG_PREEMPT_COUNT) && !preemptible();
}

/* Flush, and sleep until the answer. Returns 0 or -EIO. */
int vpmem_flush(struct vpmem *v)
{
	struct vpmem_waiter w;
	int err;

	err = vpmem_join_waiter(v, &w);
	if (err)
		return err;
	if (vpmem_may_not_sleep())
		return vpmem_poll(v, &w);
	wait_for_completion_io(&w.done);
	return w.error;
}

/* The same for a caller that a fatal signal may take away: also -EINTR. */
int vpmem_flush_killable(struct vpmem *v)
{
	struct vpmem_waiter w;
	int err;

	err = vpmem_join_waiter(v, &w);
	if (err)
		return err;
	if (wait_for_completion_killable(&w.done)) {
		if (vpmem_leave(v, &w, false))
			return -EINTR;
		wait_for_completion(&w.done);
	}
	return w.error;
}

/* --------------------------------------------- life, as driver.c leads it */

/* Looks once a second, from the start of a removal to its end. */
static void vpmem_deadline(struct work_struct *work)
{
	struct vpmem *v = container_of(to_delayed_work(work), struct vpmem, deadline);
	u64 limit = VIRTIO_PMEM_STALL_TIMEOUT_MS_DEFAULT * (u64)NSEC_PER_MSEC;
	u64 now = ktime_get_ns(), since = now;
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	if (v->slot_busy)
		since = v->submitted_ns;
	else if (v->gathering.count)
		since = v->gathering.first_ns;
	spin_unlock_irqrestore(&v->lock, flags);

	if (since < now && now - since >= limit)
		vpmem_break(v, VPMEM_REASON_TIMEOUT);
	queue_delayed_work(vpmem_wq, &v->deadline, HZ);
}

/*
 * A device may say here that it needs a reset. Asking it can sleep, and the
 * transport told us in an interrupt. All ones is a device that has gone.
 */
static void vpmem_check_status(struct work_struct *work)
{
	struct vpmem *v = container_of(work, struct vpmem, check_status);
	u8 status = v->vdev->config->get_status(v->vdev);

	if (status == VPMEM_STATUS_GONE)
		vpmem_break(v, VPMEM_REASON_GONE);
	else if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		vpmem_break(v, VPMEM_REASON_NEEDS_RESET);
}

/* Needs v->vdev, v->name and v->slot. The queue comes with vpmem_unpark(). */
void vpmem_engine_init(struct vpmem *v)
{
	spin_lock_init(&v->lock);
	init_waitqueue_head(&v->idle);
	INIT_WORK(&v->publish, vpmem_publish);
	INIT_WORK(&v->check_status, vpmem_check_status);
	INIT_DELAYED_WORK(&v->retry, vpmem_retry);
	INIT_DELAYED_WORK(&v->deadline, vpmem_deadline);
	v->state = VPMEM_ACTIVE;
	v->parked = true;
	v->policy = vpmem_default_policy;
	vpmem_batch_init(&v->in_flight, 0);
	vpmem_batch_init(&v->gathering, 1);
	v->stats[VIRTIO_PMEM_STAT_LAST_CHANGE_NS] = ktime_get_boottime_ns();
}

/*
 * Submit nothing from now on, and wait for the flush in flight. What is asked
 * for meanwhile gathers. Returns 0, or -EBUSY if the host does not answer; the
 * caller then unparks, and nothing has changed.
 */
int vpmem_park(struct vpmem *v)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->parked = true;
	spin_unlock_irqrestore(&v->lock, flags);

	if (wait_event_timeout(v->idle, vpmem_is_idle(v),
			       msecs_to_jiffies(VIRTIO_PMEM_STALL_TIMEOUT_MS_DEFAULT)))
		return 0;
	return -EBUSY;
}

/* The queue is gone, or about to go: the callback leaves it alone. */
void vpmem_detach_queue(struct vpmem *v)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->parked = true;
	v->vq = NULL;
	spin_unlock_irqrestore(&v->lock, flags);
}

/* There is a queue: flush what has gathered (F12). */
void vpmem_unpark(struct vpmem *v, struct virtqueue *vq)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->vq = vq;
	v->parked = false;
	spin_unlock_irqrestore(&v->lock, flags);
	vpmem_reap_all(v);
}

/*
 * From here on a host flush that is older than the limit breaks the region, so
 * that what waits for it in the unregistration of the region ends. A queue that
 * is not there (a restore that never came) or that the transport has broken (a
 * device that was pulled out) will not answer at all.
 */
void vpmem_start_removal(struct vpmem *v)
{
	struct vpmem_answer a;
	unsigned long flags;

	vpmem_answer_init(&a);
	spin_lock_irqsave(&v->lock, flags);
	vpmem_set_state(v, VPMEM_REMOVING, VPMEM_REASON_NONE);
	if (!v->vq || virtqueue_is_broken(v->vq))
		vpmem_break_locked(v, VPMEM_REASON_GONE, &a);
	spin_unlock_irqrestore(&v->lock, flags);
	vpmem_answer_all(&a);
	queue_delayed_work(vpmem_wq, &v->deadline, HZ);
}

/* Refuse everyone, and answer whoever is left. Nothing runs afterwards. */
void vpmem_close(struct vpmem *v)
{
	struct vpmem_answer a;
	unsigned long flags;

	vpmem_answer_init(&a);
	a.error = -EIO;
	spin_lock_irqsave(&v->lock, flags);
	v->closed = true;
	vpmem_take_everyone(v, &a, ktime_get_ns());
	spin_unlock_irqrestore(&v->lock, flags);
	vpmem_answer_all(&a);
	cancel_delayed_work_sync(&v->deadline);
	cancel_delayed_work_sync(&v->retry);
	cancel_work_sync(&v->check_status);
}

/* ---------------------------------------------------------- for sysfs */

void vpmem_set_policy(struct vpmem *v, enum vpmem_policy policy)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->policy = policy;
	spin_unlock_irqrestore(&v->lock, flags);
}

/* Whether changes are handed to vpmem_publish(); one that came before is, now. */
void vpmem_set_publishing(struct vpmem *v, bool on)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->publishing = on;
	if (on)
		schedule_work(&v->publish);
	spin_unlock_irqrestore(&v->lock, flags);
}

void vpmem_snapshot(struct vpmem *v, struct vpmem_snapshot *snap)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	snap->state = v->state;
	snap->reason = v->reason;
	snap->policy = v->policy;
	snap->depth = v->gathering.count + v->in_flight.count;
	snap->depth_max = v->depth_max;
	snap->in_flight_ns = v->slot_busy ? ktime_get_ns() - v->submitted_ns : 0;
	memcpy(snap->stats, v->stats, sizeof(snap->stats));
	memcpy(snap->latency, v->latency, sizeof(snap->latency));
	spin_unlock_irqrestore(&v->lock, flags);
}
