// SPDX-License-Identifier: GPL-2.0-only
/*
 * What moves a region besides its flushes: time, the administrator, suspend,
 * power-off, removal.
 *
 *	who		asks for
 *	time		stalled; the end of a quiesce; broken, once a deadline is set
 *	administrator	quiesced and active again; recovering (driver.c does it)
 *	suspend		parked: like quiesced, but not a state, and without an end
 *	power-off	active again, and a deadline
 *	removal		removing, and a deadline
 *
 * The engine's lock protects all of it, see flush.c. Whoever sleeps here sleeps
 * on v->idle, which the end of every critical section wakes: a removal reaches
 * a writer in sysfs that way, and the unregistration need not wait for it.
 *
 * Two bounds keep others from waiting for ever: stall_timeout_ms is how long a
 * flush may take once somebody wants to be rid of the device, and
 * quiesce_timeout_ms how long requests gather when the tool that wanted it has
 * died.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/reboot.h>
#include <linux/sched/signal.h>
#include <linux/suspend.h>
#include <linux/virtio_config.h>

#include "vpmem.h"

/* ---------------------------------------------------------------- time */

/*
 * A device may say in its status that it needs a reset, or that somebody else
 * has reset it. Asking it can sleep.
 */
bool vpmem_needs_reset(struct vpmem *v)
{
	u8 status = v->vdev->config->get_status(v->vdev);

	return status & VIRTIO_CONFIG_S_NEEDS_RESET || !(status & VIRTIO_CONFIG_S_DRIVER_OK);
}

/* All ones is a device that has gone, or one that sleeps already. */
bool vpmem_is_gone(struct vpmem *v)
{
	return v->vdev->config->get_status(v->vdev) == VPMEM_STATUS_GONE;
}

/* Broken already, by what such a device does to its queue, is the same loss (D4). */
static bool vpmem_could_be_gone(struct vpmem *v)
{
	return v->state == VPMEM_BROKEN && v->reason != VPMEM_REASON_GONE &&
	       v->reason != VPMEM_REASON_HOST_ERROR;
}

static void vpmem_lost_device(struct vpmem *v, struct vpmem_section *s)
{
	lockdep_assert_held(&v->lock);
	if (vpmem_could_be_gone(v)) {
		WRITE_ONCE(v->reason, VPMEM_REASON_GONE);
		s->broke = VPMEM_REASON_GONE;
		vpmem_changed(v);
	} else {
		vpmem_break_locked(v, VPMEM_REASON_GONE, s);
	}
}

static void vpmem_check_status(struct vpmem *v)
{
	struct vpmem_section s;
	bool gone = vpmem_is_gone(v);

	if (!gone && !vpmem_needs_reset(v))
		return;
	vpmem_lock(v, &s);
	if (gone && !v->suspending)
		vpmem_lost_device(v, &s);
	else if (!gone && v->state != VPMEM_RECOVERING)
		vpmem_break_locked(v, VPMEM_REASON_NEEDS_RESET, &s);
	vpmem_unlock(v, &s);
}

/*
 * Before a host that takes long is blamed: a lost interrupt shows in the ring, a
 * lost configuration interrupt in the status. Without a queue the device is not
 * to be touched; whoever takes the queue away cancels us after that.
 */
static void vpmem_look(struct vpmem *v)
{
	struct vpmem_section s;
	bool look;

	vpmem_lock(v, &s);
	look = v->vq && (v->config_changed || vpmem_could_be_gone(v) ||
			 (v->in_flight.seq && ktime_get_ns() - v->submitted_ns >=
			  VPMEM_LOOK_MS * NSEC_PER_MSEC));
	v->config_changed = false;
	vpmem_unlock(v, &s);

	if (look) {
		vpmem_reap_all(v);
		vpmem_check_status(v);
	}
}

/* Whether @limit_ms have passed since @since; if not, look again then at the latest. */
static bool vpmem_passed(u64 since, u32 limit_ms, u64 now, u64 *next)
{
	u64 due = since + limit_ms * (u64)NSEC_PER_MSEC;

	if (due > now)
		*next = min(*next, due - now);
	return due <= now;
}

static void vpmem_watch_stall(struct vpmem *v, struct vpmem_section *s, u64 now, u64 *next)
{
	bool stalled;

	if (!v->in_flight.seq)
		return;
	*next = min_t(u64, *next, VPMEM_LOOK_MS * NSEC_PER_MSEC);
	stalled = vpmem_passed(v->submitted_ns, v->stall_timeout_ms, now, next);
	if (stalled == v->stalled)
		return;
	/* It may also end, when the administrator grants more time. */
	v->stalled = stalled;
	v->stats[VIRTIO_PMEM_STAT_STALLS] += stalled;
	s->stalled = stalled;
	vpmem_changed(v);
}

static void vpmem_watch_quiesce(struct vpmem *v, struct vpmem_section *s, u64 now, u64 *next)
{
	if (v->state != VPMEM_QUIESCED ||
	    !vpmem_passed(v->quiesced_ns, v->quiesce_timeout_ms, now, next))
		return;
	vpmem_set_state(v, VPMEM_ACTIVE, VPMEM_REASON_NONE);
	s->unquiesced = "quiesce_timeout_ms have passed";
	vpmem_submit(v, s);
}

/* Who waits for a chance to ask the host counts too, and may yet come. */
static void vpmem_watch_deadline(struct vpmem *v, struct vpmem_section *s, u64 now, u64 *next)
{
	u64 since = v->in_flight.seq ? v->submitted_ns : v->gathering.first_ns;

	if (!v->deadline || v->state == VPMEM_BROKEN)
		return;
	*next = min_t(u64, *next, VPMEM_LOOK_MS * NSEC_PER_MSEC);
	if ((v->in_flight.seq || v->gathering.count) &&
	    vpmem_passed(since, v->stall_timeout_ms, now, next))
		vpmem_break_locked(v, VPMEM_REASON_TIMEOUT, s);
}

/*
 * A transport that took the device away and does not bring it back must not hang
 * anyone. The device is still the transport's: no recover before it is back.
 */
static void vpmem_watch_parked(struct vpmem *v, struct vpmem_section *s, u64 now, u64 *next)
{
	if (v->parked && !v->vq && !v->suspending &&
	    vpmem_passed(v->detached_ns, v->stall_timeout_ms, now, next))
		vpmem_break_locked(v, VPMEM_REASON_GONE, s);
}

static void vpmem_watch(struct work_struct *work)
{
	struct vpmem *v = container_of(to_delayed_work(work), struct vpmem, watch);
	u64 now = ktime_get_ns(), next = U64_MAX;
	struct vpmem_section s;

	vpmem_look(v);

	vpmem_lock(v, &s);
	vpmem_watch_stall(v, &s, now, &next);
	vpmem_watch_quiesce(v, &s, now, &next);
	vpmem_watch_parked(v, &s, now, &next);
	vpmem_watch_deadline(v, &s, now, &next);
	vpmem_unlock(v, &s);
	/* What is pending by now is newer, and sooner or as soon as it must be. */
	if (next != U64_MAX)
		queue_delayed_work(vpmem_wq, &v->watch, nsecs_to_jiffies(next) + 1);
}

/* From any context. */
void vpmem_look_soon(struct vpmem *v)
{
	mod_delayed_work(vpmem_wq, &v->watch, 0);
}

void vpmem_set_timeout(struct vpmem *v, u32 *timeout_ms, u32 value)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	WRITE_ONCE(*timeout_ms, value);
	vpmem_unlock(v, &s);
	vpmem_look_soon(v);
}

/* ------------------------------------------------------- administrator */

void vpmem_set_policy(struct vpmem *v, enum vpmem_policy policy)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	v->policy = policy;
	vpmem_unlock(v, &s);
}

/* Why the administrator may not have the region now: a negative errno, or 0. */
static int vpmem_refusal(struct vpmem *v)
{
	lockdep_assert_held(&v->lock);
	if (v->leaving)
		return -ENODEV;
	if (v->suspending || v->parked || v->deadline)
		return -EBUSY;
	return 0;
}

static int vpmem_quiesce_begin(struct vpmem *v)
{
	lockdep_assert_held(&v->lock);
	switch (v->state) {
	case VPMEM_BROKEN:
		return -EIO;
	case VPMEM_ACTIVE:
		/* It would end this at once. */
		if (v->atomic_callers)
			return -EOPNOTSUPP;
		vpmem_set_state(v, VPMEM_QUIESCED, VPMEM_REASON_NONE);
		fallthrough;
	case VPMEM_QUIESCED:
		v->quiesced_ns = ktime_get_ns();
		return 0;
	default:
		return -EBUSY;
	}
}

/* What has become of a quiesce: a negative errno, or 0. */
static int vpmem_quiesce_result(struct vpmem *v)
{
	struct vpmem_section s;
	int result;

	vpmem_lock(v, &s);
	if (v->state == VPMEM_QUIESCED)
		result = 0;
	else if (v->leaving)
		result = -ENODEV;
	else if (v->state == VPMEM_BROKEN)
		result = -EIO;
	else if (v->atomic_callers)
		result = -EOPNOTSUPP;
	else
		result = vpmem_refusal(v) ?: -ETIMEDOUT;
	vpmem_unlock(v, &s);
	return result;
}

/* Without the lock, whose release wakes v->idle, and so would keep us awake. */
static bool vpmem_is_settled(struct vpmem *v)
{
	return !READ_ONCE(v->slot_state) || READ_ONCE(v->state) != VPMEM_QUIESCED;
}

/*
 * Submit nothing from now on, and wait until nothing is in flight. Asked for
 * again, the time begins anew. Returns 0 when the region is quiesced, and
 * -EIO		it is broken, or broke;
 * -EBUSY	it is being recovered, or the system suspended or shut down;
 * -EOPNOTSUPP	a caller may not sleep (BTT);
 * -ENODEV	the driver is being unbound;
 * -ETIMEDOUT	the time was over, or somebody resumed it, before the host answered;
 * -ERESTARTSYS	a signal came, and the region is active again.
 */
int vpmem_quiesce(struct vpmem *v)
{
	struct vpmem_section s;
	int err;

	vpmem_lock(v, &s);
	err = vpmem_refusal(v) ?: vpmem_quiesce_begin(v);
	vpmem_unlock(v, &s);
	if (err)
		return err;

	vpmem_look_soon(v);
	err = wait_event_interruptible(v->idle, vpmem_is_settled(v));
	if (err)
		vpmem_resume(v);
	else
		err = vpmem_quiesce_result(v);
	/* Each change that an administrator makes is an event of its own. */
	flush_work(&v->publish);
	return err;
}

/* Submit what has gathered. Nothing to do, unless the region is quiesced. */
void vpmem_resume(struct vpmem *v)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	if (v->state == VPMEM_QUIESCED)
		vpmem_set_state(v, VPMEM_ACTIVE, VPMEM_REASON_NONE);
	vpmem_submit(v, &s);
	vpmem_unlock(v, &s);
	flush_work(&v->publish);
}

/* Returns 1 if the region is recovering from now on, 0 if it need not, or why it may not. */
int vpmem_begin_recovery(struct vpmem *v)
{
	struct vpmem_section s;
	int result;

	vpmem_lock(v, &s);
	result = vpmem_refusal(v) ?:
		 vpmem_set_state(v, VPMEM_RECOVERING, v->reason);
	vpmem_unlock(v, &s);
	if (result > 0)
		flush_work(&v->publish);
	return result;
}

/*
 * @reason: why it is broken still, or none. Returns 0 if the region serves
 * requests again; it may have broken anew, even if nothing failed.
 */
int vpmem_end_recovery(struct vpmem *v, enum vpmem_reason reason)
{
	struct vpmem_section s;
	int err = -EIO;

	vpmem_lock(v, &s);
	if (reason) {
		vpmem_break_locked(v, reason, &s);
	} else if (vpmem_set_state(v, v->leaving ? VPMEM_REMOVING : VPMEM_ACTIVE,
				   VPMEM_REASON_NONE)) {
		v->stats[VIRTIO_PMEM_STAT_RECOVERIES]++;
		vpmem_submit(v, &s);
		err = 0;
	}
	vpmem_unlock(v, &s);
	flush_work(&v->publish);
	return err;
}

/* ------------------------------------------- suspend, power-off, removal */

/* There is a queue, and the device is ready, which a look at its status expects. */
void vpmem_attach_queue(struct vpmem *v, struct virtqueue *vq)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	v->vq = vq;
	vpmem_unlock(v, &s);
}

/* The queue is about to go, and the device not to be touched: wait for who does. */
void vpmem_detach_queue(struct vpmem *v)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	v->vq = NULL;
	v->detached_ns = ktime_get_ns();
	if (v->slot_state == VPMEM_SLOT_IN_RING)
		WRITE_ONCE(v->slot_state, VPMEM_SLOT_LOST);
	vpmem_unlock(v, &s);
	cancel_delayed_work_sync(&v->watch);
}

/*
 * Submit nothing from now on, and wait for the flush in flight. What is asked
 * for meanwhile gathers. Returns 0, or -EBUSY if the host does not answer; the
 * caller then unparks, and nothing has changed.
 */
int vpmem_park(struct vpmem *v, enum vpmem_parker parker)
{
	struct vpmem_section s;
	u32 limit;

	vpmem_lock(v, &s);
	v->parked = parker;
	limit = min_t(u32, v->stall_timeout_ms, VPMEM_PARK_LIMIT_MS);
	vpmem_unlock(v, &s);

	return wait_event_timeout(v->idle, !READ_ONCE(v->slot_state) || vpmem_is_broken(v),
				  msecs_to_jiffies(limit)) ? 0 : -EBUSY;
}

/* Flush what has gathered (F12). */
void vpmem_unpark(struct vpmem *v)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	v->parked = VPMEM_NOBODY;
	vpmem_submit(v, &s);
	vpmem_unlock(v, &s);
	vpmem_look_soon(v);
}

/*
 * What parks during a suspend is kernel threads; a flush that nobody submits, or
 * the host does not answer, would fail the suspend only after a long wait, and a
 * recover in the middle of one would find its device gone.
 */
static int vpmem_pm_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct vpmem *v = container_of(nb, struct vpmem, pm);
	bool prepare = event == PM_SUSPEND_PREPARE || event == PM_HIBERNATION_PREPARE ||
		       event == PM_RESTORE_PREPARE;
	struct vpmem_section s;
	const char *why = NULL;

	vpmem_lock(v, &s);
	if (prepare && v->stalled)
		why = "stalled: the host does not answer";
	else if (prepare && (v->state == VPMEM_QUIESCED || v->state == VPMEM_RECOVERING))
		why = vpmem_state_names[v->state];
	v->suspending = prepare && !why;
	/* A restore that failed before it reached us: now recover may try. */
	if (!prepare && v->parked == VPMEM_SUSPEND && !v->vq) {
		v->parked = VPMEM_NOBODY;
		vpmem_break_locked(v, VPMEM_REASON_GONE, &s);
	}
	vpmem_unlock(v, &s);

	if (!why)
		return NOTIFY_DONE;
	dev_err(&v->vdev->dev, "%s is %s: not suspending\n", v->name, why);
	return notifier_from_errno(-EBUSY);
}

/* The shutdown of nd_pmem flushes, and has no limit of its own. */
static void vpmem_set_deadline(struct vpmem *v, struct vpmem_section *s)
{
	WRITE_ONCE(v->deadline, true);
	if (v->state == VPMEM_QUIESCED)
		vpmem_set_state(v, VPMEM_ACTIVE, VPMEM_REASON_NONE);
	vpmem_submit(v, s);
}

static int vpmem_reboot_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct vpmem *v = container_of(nb, struct vpmem, reboot);
	struct vpmem_section s;

	vpmem_lock(v, &s);
	vpmem_set_deadline(v, &s);
	vpmem_unlock(v, &s);
	vpmem_look_soon(v);

	/* A recover must not bring a device to life that has been shut down. */
	mutex_lock(&v->control);
	mutex_unlock(&v->control);
	return NOTIFY_DONE;
}

/*
 * From here on a host flush that is older than the limit breaks the region, so
 * that what waits for it in the unregistration of the region ends. A queue that
 * is not there (a restore that never came) or that the transport has broken (a
 * device that was pulled out) will not answer at all. A recover ends itself.
 */
void vpmem_start_removal(struct vpmem *v)
{
	struct vpmem_section s;

	vpmem_lock(v, &s);
	WRITE_ONCE(v->leaving, true);
	if (v->state != VPMEM_RECOVERING) {
		vpmem_set_state(v, VPMEM_REMOVING, VPMEM_REASON_NONE);
		if (!v->vq || virtqueue_is_broken(v->vq))
			vpmem_break_locked(v, VPMEM_REASON_GONE, &s);
	}
	vpmem_set_deadline(v, &s);
	vpmem_unlock(v, &s);
	vpmem_look_soon(v);
}

/* ---------------------------------------------------------------- life */

/* With vpmem_engine_init(). */
void vpmem_control_init(struct vpmem *v)
{
	mutex_init(&v->control);
	INIT_DELAYED_WORK(&v->watch, vpmem_watch);
	v->pm.notifier_call = vpmem_pm_event;
	v->reboot.notifier_call = vpmem_reboot_event;
}

/* Hear of suspend and power-off. */
int vpmem_control_start(struct vpmem *v)
{
	int err;

	err = register_pm_notifier(&v->pm);
	if (err)
		return err;
	err = register_reboot_notifier(&v->reboot);
	if (err)
		unregister_pm_notifier(&v->pm);
	return err;
}

void vpmem_control_stop(struct vpmem *v)
{
	unregister_reboot_notifier(&v->reboot);
	unregister_pm_notifier(&v->pm);
}
