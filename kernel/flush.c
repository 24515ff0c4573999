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
 *      it is neither written nor used again, unmapped nor freed. Not by a
 *      reset either: QEMU may write an old request's answer after one. So a
 *      slot that has not come back is left behind, and a new queue gets a new
 *      one, which an old answer cannot reach.
 *  R6  Only an answer that covers the response and is 0 is success.
 *  R7  Once broken, nobody waits: those who do are answered with -EIO, those
 *      who come are refused with it.
 *
 *  R8  Callers that were answered together come back one by one. Had the first
 *      of them a host flush of its own, the others would share the next, and so
 *      on: two host flushes a round. So an answer to more than one caller opens
 *      a window, in which the next batch is held until as many wait as waited
 *      at the answer. It is shorter than the host flush that it may save. Who
 *      is alone, or may not sleep, is never held.
 *
 * One spinlock, v->lock, protects all of it. It is taken from interrupts, and
 * only in vpmem_lock(), whose vpmem_unlock() does what must be done without it:
 * nothing of the callers' runs under it, and nothing is printed.
 *
 * State moves in vpmem_set_state() only (control.c says who asks for it):
 *
 *	from \ to	active	quiesced  recovering	broken	removing
 *	active			   x			  x	   x
 *	quiesced	  x				  x	   x
 *	recovering	  x				  x	   x
 *	broken				      x
 *	removing					  x
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/nmi.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/virtio_config.h>
#include <asm/barrier.h>

#include "compat.h"
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

/* R8: a window is this part of the host's latency, and at most so long. */
#define VPMEM_HOLD_PART		2
#define VPMEM_HOLD_MAX_NS	NSEC_PER_MSEC

/* R8: after windows that were in vain, at most so many answers open none. */
#define VPMEM_HOLD_SKIP_MAX	15

const char *const vpmem_state_names[VPMEM_STATES] = {
	[VPMEM_ACTIVE]		= VIRTIO_PMEM_STATE_ACTIVE,
	[VPMEM_QUIESCED]	= VIRTIO_PMEM_STATE_QUIESCED,
	[VPMEM_RECOVERING]	= VIRTIO_PMEM_STATE_RECOVERING,
	[VPMEM_BROKEN]		= VIRTIO_PMEM_STATE_BROKEN,
	[VPMEM_REMOVING]	= VIRTIO_PMEM_STATE_REMOVING,
};

/* The states that a state may be left for. */
static const unsigned int vpmem_moves[VPMEM_STATES] = {
	[VPMEM_ACTIVE]		= BIT(VPMEM_QUIESCED) | BIT(VPMEM_BROKEN) | BIT(VPMEM_REMOVING),
	[VPMEM_QUIESCED]	= BIT(VPMEM_ACTIVE) | BIT(VPMEM_BROKEN) | BIT(VPMEM_REMOVING),
	[VPMEM_RECOVERING]	= BIT(VPMEM_ACTIVE) | BIT(VPMEM_BROKEN) | BIT(VPMEM_REMOVING),
	[VPMEM_BROKEN]		= BIT(VPMEM_RECOVERING),
	[VPMEM_REMOVING]	= BIT(VPMEM_BROKEN),
};

/* The states in which requests are submitted. */
#define VPMEM_SUBMITTING	(BIT(VPMEM_ACTIVE) | BIT(VPMEM_REMOVING))

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

static void vpmem_answers_init(struct vpmem_answers *a)
{
	INIT_LIST_HEAD(&a->waiters);
	bio_list_init(&a->bios);
}

/* A waiter's stack is gone as soon as its completion is seen. */
static void vpmem_answer(struct vpmem_answers *a, int error)
{
	struct vpmem_waiter *w, *next;
	struct bio *bio;

	list_for_each_entry_safe(w, next, &a->waiters, list) {
		w->error = error;
		complete(&w->done);
	}
	while ((bio = bio_list_pop(&a->bios))) {
		if (error)
			bio->bi_status = errno_to_blk_status(error);
		bio_endio(bio);
	}
}

void vpmem_lock(struct vpmem *v, struct vpmem_section *s) __acquires(&v->lock)
{
	vpmem_answers_init(&s->done);
	vpmem_answers_init(&s->failed);
	s->broke = VPMEM_REASON_NONE;
	s->host_failed = false;
	s->stalled = false;
	s->unquiesced = NULL;
	spin_lock_irqsave(&v->lock, s->flags);
}

void vpmem_unlock(struct vpmem *v, struct vpmem_section *s) __releases(&v->lock)
{
	struct device *dev = &v->vdev->dev;

	spin_unlock_irqrestore(&v->lock, s->flags);

	if (s->host_failed)
		dev_err_ratelimited(dev, "%s: the host failed a flush\n", v->name);
	if (s->broke)
		dev_err_ratelimited(dev, "%s is broken (%s): every flush fails until it is recovered\n",
				    v->name, vpmem_reason_names[s->broke]);
	if (s->stalled && !s->broke)
		dev_warn_ratelimited(dev, "%s is stalled: the host has not answered a flush for %u ms\n",
				     v->name, READ_ONCE(v->stall_timeout_ms));
	if (s->unquiesced)
		dev_warn_ratelimited(dev, "%s is not quiesced any more: %s\n",
				     v->name, s->unquiesced);
	vpmem_answer(&s->done, 0);
	vpmem_answer(&s->failed, -EIO);
	if (wq_has_sleeper(&v->idle))
		wake_up(&v->idle);
}

/* ------------------------------------------------------------- batches */

static void vpmem_batch_init(struct vpmem_batch *b, u64 seq)
{
	INIT_LIST_HEAD(&b->waiters);
	bio_list_init(&b->bios);
	b->count = 0;
	b->async = 0;
	b->urgent = false;
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
static void vpmem_batch_take(struct vpmem *v, struct vpmem_batch *b, struct vpmem_section *s,
			     int error, u64 now)
{
	struct vpmem_answers *a = error ? &s->failed : &s->done;

	lockdep_assert_held(&v->lock);
	v->answered = b->seq;
	if (b->count) {
		u64 longest = now - b->first_ns;

		v->stats[VIRTIO_PMEM_STAT_REQUESTS] += b->count;
		v->stats[VIRTIO_PMEM_STAT_ASYNC_REQUESTS] += b->async;
		if (error)
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
static void vpmem_fail_everyone(struct vpmem *v, struct vpmem_section *s, u64 now)
{
	u64 next = v->gathering.seq + 1;

	if (v->in_flight.seq)
		vpmem_batch_take(v, &v->in_flight, s, -EIO, now);
	vpmem_batch_take(v, &v->gathering, s, -EIO, now);
	vpmem_batch_init(&v->gathering, next);
}

/* -------------------------------------------------------------- states */

/* There is something to tell userspace. */
void vpmem_changed(struct vpmem *v)
{
	lockdep_assert_held(&v->lock);
	if (v->publishing)
		schedule_work(&v->publish);
}

/* Returns whether the state may be and has been left for @state. */
bool vpmem_set_state(struct vpmem *v, enum vpmem_state state, enum vpmem_reason reason)
{
	lockdep_assert_held(&v->lock);
	if (!(vpmem_moves[v->state] & BIT(state)))
		return false;
	WRITE_ONCE(v->state, state);
	WRITE_ONCE(v->reason, reason);
	/* What is to be watched has changed as well. */
	vpmem_look_soon(v);
	v->stats[VIRTIO_PMEM_STAT_LAST_CHANGE_NS] = ktime_get_boottime_ns();
	trace_virtio_pmem_state(v->name, vpmem_state_names[state], vpmem_reason_names[reason]);
	vpmem_changed(v);
	return true;
}

/* Once for each: of one that the region broke over, only that is told. */
static void vpmem_count_host_failure(struct vpmem *v, u64 now)
{
	if (!v->in_flight.seq)
		return;
	v->stats[VIRTIO_PMEM_STAT_FAILED_HOST_FLUSHES]++;
	v->stats[VIRTIO_PMEM_STAT_LAST_FAILURE_NS] = ktime_get_boottime_ns();
	trace_virtio_pmem_complete(v->name, v->in_flight.seq, now - v->submitted_ns, -EIO);
}

/*
 * R7. A request that the device still owns counts as a host flush that failed:
 * its answer, if it ever comes, is for nobody.
 */
void vpmem_break_locked(struct vpmem *v, enum vpmem_reason reason, struct vpmem_section *s)
{
	u64 now = ktime_get_ns();

	lockdep_assert_held(&v->lock);
	if (!vpmem_set_state(v, VPMEM_BROKEN, reason))
		return;
	vpmem_count_host_failure(v, now);
	v->stalled = false;
	s->broke = reason;
	vpmem_fail_everyone(v, s, now);
}

void vpmem_break(struct vpmem *v, enum vpmem_reason reason)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	vpmem_break_locked(v, reason, &s);
	vpmem_unlock(v, &s);
}

bool vpmem_is_broken(struct vpmem *v)
{
	return READ_ONCE(v->state) == VPMEM_BROKEN;
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

/* R8: the batch in flight is answered; open a window if its callers may come back. */
static void vpmem_open_window(struct vpmem *v, u64 took, u64 now)
{
	unsigned int callers = v->in_flight.count + v->gathering.count;
	struct vpmem_hold *h = &v->hold;

	lockdep_assert_held(&v->lock);
	h->callers = 0;
	/* A timer that only ticks would hold far too long. */
	if (callers < 2 || hrtimer_resolution > VPMEM_HOLD_MAX_NS)
		return;
	if (h->skip) {
		h->skip--;
		return;
	}
	h->callers = callers;
	h->worth = callers - v->in_flight.count / 2;
	h->from_ns = now;
	h->length_ns = min_t(u64, div_u64(took, VPMEM_HOLD_PART), VPMEM_HOLD_MAX_NS);
}

/*
 * R8: whether the gathering batch is to wait for more. What counts is how long
 * its first member has been held; one that came after the window is not.
 */
static bool vpmem_hold_batch(struct vpmem *v)
{
	struct vpmem_batch *b = &v->gathering;
	struct vpmem_hold *h = &v->hold;
	u64 from = max(b->first_ns, h->from_ns), until = from + h->length_ns;

	lockdep_assert_held(&v->lock);
	if (!h->callers)
		return false;
	if (b->count < h->callers && !b->urgent && from < h->from_ns + h->length_ns &&
	    ktime_get_ns() < until) {
		if (!hrtimer_is_queued(&h->timer))
			hrtimer_start(&h->timer, ns_to_ktime(until), HRTIMER_MODE_ABS);
		return true;
	}

	/* Callers that do not come back are not waited for ever more often. */
	h->backoff = b->count >= h->worth ? 0 : min(2 * h->backoff + 1, VPMEM_HOLD_SKIP_MAX);
	h->skip = h->backoff;
	h->callers = 0;
	return false;
}

/* Submit the gathering batch if that is possible now, and not to be put off. */
void vpmem_submit(struct vpmem *v, struct vpmem_section *s)
{
	u64 seq = v->gathering.seq;
	int err;

	lockdep_assert_held(&v->lock);
	if (!v->gathering.count || v->slot_state || !v->vq || v->parked ||
	    !(BIT(v->state) & VPMEM_SUBMITTING) || vpmem_hold_batch(v))
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
		vpmem_break_locked(v, VPMEM_REASON_VIRTQUEUE, s);
		return;
	}

	WRITE_ONCE(v->slot_state, VPMEM_SLOT_IN_RING);
	v->in_flight = v->gathering;
	INIT_LIST_HEAD(&v->in_flight.waiters);
	list_splice_init(&v->gathering.waiters, &v->in_flight.waiters);
	vpmem_batch_init(&v->gathering, seq + 1);
	v->submitted_ns = ktime_get_ns();
	trace_virtio_pmem_submit(v->name, seq, v->in_flight.count);
	queue_delayed_work(vpmem_wq, &v->watch, msecs_to_jiffies(VPMEM_LOOK_MS));

	if (!virtqueue_kick(v->vq))
		vpmem_break_locked(v, VPMEM_REASON_NOTIFY, s);
}

static enum hrtimer_restart vpmem_window_ends(struct hrtimer *timer)
{
	struct vpmem *v = container_of(timer, struct vpmem, hold.timer);
	struct vpmem_section s;

	vpmem_lock(v, &s);
	vpmem_submit(v, &s);
	vpmem_unlock(v, &s);
	return HRTIMER_NORESTART;
}

/* -------------------------------------------------------------- answers */

/*
 * The host reports a lost page once, to one fsync: whoever gathers now would be
 * told success for data that is gone (F14). A failure that comes late is as bad:
 * whoever recovers the region is to know of it.
 */
static void vpmem_host_failed(struct vpmem *v, struct vpmem_section *s, u64 now)
{
	vpmem_count_host_failure(v, now);
	s->host_failed = true;
	vpmem_fail_everyone(v, s, now);
	if (v->policy == VPMEM_LATCH && v->state == VPMEM_BROKEN)
		WRITE_ONCE(v->reason, VPMEM_REASON_HOST_ERROR);
	else if (v->policy == VPMEM_LATCH)
		vpmem_break_locked(v, VPMEM_REASON_HOST_ERROR, s);
	vpmem_changed(v);
}

/* The device has written something into the slot that is with it. */
bool vpmem_slot_is_written(struct vpmem *v)
{
	return READ_ONCE(v->slot->resp.ret) != cpu_to_le32(VPMEM_NO_ANSWER);
}

/* No ring returns the slot, but the device has answered: only a failure counts. */
void vpmem_judge_written(struct vpmem *v)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	/* The device's it stays: it may still put the id into a ring. */
	WRITE_ONCE(v->slot_state, VPMEM_SLOT_JUDGED);
	if (v->slot->resp.ret)
		vpmem_host_failed(v, &s, ktime_get_ns());
	vpmem_unlock(v, &s);
}

static void vpmem_count_host_flush(struct vpmem *v, u64 took)
{
	int bin = min_t(int, fls64(div_u64(took, NSEC_PER_USEC)), VIRTIO_PMEM_LATENCY_BINS - 1);

	v->stats[VIRTIO_PMEM_STAT_HOST_FLUSHES]++;
	v->stats[VIRTIO_PMEM_STAT_HOST_TOTAL_NS] += took;
	if (took > v->stats[VIRTIO_PMEM_STAT_HOST_MAX_NS])
		v->stats[VIRTIO_PMEM_STAT_HOST_MAX_NS] = took;
	v->latency[bin]++;
}

/* The ring has returned the slot: judge what the device wrote into it (R6). */
static void vpmem_judge(struct vpmem *v, unsigned int len, struct vpmem_section *s)
{
	u64 now = ktime_get_ns();
	u64 took = now - v->submitted_ns;
	bool covered = len >= sizeof(v->slot->resp);

	if (covered && !vpmem_slot_is_written(v)) {
		/*
		 * In the name of an older request, or a lie: nobody may hear
		 * success, and the device may still write this one (R5).
		 */
		WRITE_ONCE(v->slot_state, VPMEM_SLOT_LOST);
		vpmem_break_locked(v, VPMEM_REASON_STALE, s);
		return;
	}
	WRITE_ONCE(v->slot_state, VPMEM_SLOT_OURS);
	if (v->stalled) {
		v->stalled = false;
		vpmem_changed(v);
	}
	/* Nobody is in flight if the region broke meanwhile: everyone was told. */
	if (v->in_flight.seq)
		vpmem_count_host_flush(v, took);

	if (!covered || v->slot->resp.ret) {
		vpmem_host_failed(v, s, now);
	} else if (v->in_flight.seq) {
		trace_virtio_pmem_complete(v->name, v->in_flight.seq, took, 0);
		vpmem_open_window(v, took, now);
		vpmem_batch_take(v, &v->in_flight, s, 0, now);
	}
}

/*
 * Take at most one answer from the ring, and keep the host busy with what has
 * gathered. Returns whether there was one.
 */
static bool vpmem_reap(struct vpmem *v)
{
	struct vpmem_section s;
	unsigned int len;
	void *token = NULL;

	vpmem_lock(v, &s);
	if (v->vq) {
		token = virtqueue_get_buf(v->vq, &len);
		if (token)
			vpmem_judge(v, len, &s);
		/* An unknown or repeated id shows up only here. A recover resets anyway. */
		if (virtqueue_is_broken(v->vq) && v->state != VPMEM_RECOVERING)
			vpmem_break_locked(v, VPMEM_REASON_VIRTQUEUE, &s);
		vpmem_submit(v, &s);
	}
	vpmem_unlock(v, &s);
	return token;
}

/*
 * Whatever the ring holds. A device that answers within the notify could keep
 * an interrupt busy for as long as others ask: the rest is left to a work.
 */
void vpmem_reap_all(struct vpmem *v)
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
	struct vpmem_section s;
	int err;

	vpmem_lock(v, &s);
	err = vpmem_join(v, ktime_get_ns(), true);
	if (!err) {
		bio_list_add(&v->gathering.bios, bio);
		vpmem_submit(v, &s);
	}
	vpmem_unlock(v, &s);
	return err;
}

/*
 * @atomic: the caller may not sleep. It cannot gather until an administrator is
 * done either, so it ends that, and is reason enough not to begin it again.
 */
static int vpmem_join_waiter(struct vpmem *v, struct vpmem_waiter *w, bool atomic)
{
	struct vpmem_section s;
	int err;

	init_completion(&w->done);
	vpmem_lock(v, &s);
	if (atomic) {
		v->atomic_callers = true;
		if (v->state == VPMEM_QUIESCED) {
			vpmem_set_state(v, VPMEM_ACTIVE, VPMEM_REASON_NONE);
			s.unquiesced = "a caller may not sleep";
		}
	}
	w->joined_ns = ktime_get_ns();
	w->seq = v->gathering.seq;
	err = vpmem_join(v, w->joined_ns, false);
	if (!err) {
		v->gathering.urgent |= atomic;
		list_add_tail(&w->list, &v->gathering.waiters);
		vpmem_submit(v, &s);
	}
	vpmem_unlock(v, &s);
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
	struct vpmem_section s;
	struct vpmem_batch *b;
	bool left = false;

	vpmem_lock(v, &s);
	if (w->seq > v->answered) {
		b = w->seq == v->in_flight.seq ? &v->in_flight : &v->gathering;
		list_del(&w->list);
		b->count--;
		b->later_ns -= w->joined_ns - b->first_ns;
		if (failed)
			vpmem_count_refused(v, false);
		left = true;
	}
	vpmem_unlock(v, &s);
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

/*
 * Known only where the kernel counts preemption; elsewhere it is taken for no.
 * With PREEMPT_RT a spinlock leaves the holder preemptible, but within RCU.
 */
static bool vpmem_may_not_sleep(void)
{
	return (IS_ENABLED(CONFIG_PREEMPT_COUNT) && !preemptible()) || rcu_preempt_depth();
}

/* Flush, and sleep until the answer. Returns 0 or -EIO. */
int vpmem_flush(struct vpmem *v)
{
	bool atomic = vpmem_may_not_sleep();
	struct vpmem_waiter w;
	int err;

	err = vpmem_join_waiter(v, &w, atomic);
	if (err)
		return err;
	if (atomic)
		return vpmem_poll(v, &w);
	wait_for_completion_io(&w.done);
	return w.error;
}

/* The same for a caller that a fatal signal may take away: also -EINTR. */
int vpmem_flush_killable(struct vpmem *v)
{
	struct vpmem_waiter w;
	int err;

	err = vpmem_join_waiter(v, &w, false);
	if (err)
		return err;
	if (wait_for_completion_killable(&w.done)) {
		if (vpmem_leave(v, &w, false))
			return -EINTR;
		wait_for_completion(&w.done);
	}
	return w.error;
}

/* ---------------------------------------------------------------- life */

/* Needs v->vdev, v->name and v->slot. The queue comes with vpmem_attach_queue(). */
void vpmem_engine_init(struct vpmem *v)
{
	spin_lock_init(&v->lock);
	init_waitqueue_head(&v->idle);
	INIT_WORK(&v->publish, vpmem_publish);
	INIT_DELAYED_WORK(&v->retry, vpmem_retry);
	vpmem_setup_timer(&v->hold.timer, vpmem_window_ends);
	v->state = VPMEM_ACTIVE;
	v->policy = vpmem_default_policy;
	v->stall_timeout_ms = VIRTIO_PMEM_STALL_TIMEOUT_MS_DEFAULT;
	v->quiesce_timeout_ms = VIRTIO_PMEM_QUIESCE_TIMEOUT_MS_DEFAULT;
	vpmem_batch_init(&v->in_flight, 0);
	vpmem_batch_init(&v->gathering, 1);
	v->stats[VIRTIO_PMEM_STAT_LAST_CHANGE_NS] = ktime_get_boottime_ns();
}

/* Refuse everyone, and answer whoever is left. */
void vpmem_close(struct vpmem *v)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	v->closed = true;
	vpmem_fail_everyone(v, &s, ktime_get_ns());
	vpmem_unlock(v, &s);
}

/* Nothing runs afterwards. A callback could begin it anew, so there is no queue any more. */
void vpmem_stop(struct vpmem *v)
{
	hrtimer_cancel(&v->hold.timer);
	cancel_delayed_work_sync(&v->watch);
	cancel_delayed_work_sync(&v->retry);
}

void vpmem_snapshot(struct vpmem *v, struct vpmem_snapshot *snap)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	snap->state = v->state;
	snap->reason = v->reason;
	snap->policy = v->policy;
	snap->stalled = v->stalled;
	snap->stall_timeout_ms = v->stall_timeout_ms;
	snap->quiesce_timeout_ms = v->quiesce_timeout_ms;
	snap->depth = v->gathering.count + v->in_flight.count;
	snap->depth_max = v->depth_max;
	snap->in_flight_ns = 0;
	if (v->slot_state == VPMEM_SLOT_IN_RING)
		snap->in_flight_ns = ktime_get_ns() - v->submitted_ns;
	memcpy(snap->stats, v->stats, sizeof(snap->stats));
	memcpy(snap->latency, v->latency, sizeof(snap->latency));
	vpmem_unlock(v, &s);
}
