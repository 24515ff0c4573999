/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model of the flush engine (kernel/flush.c), of what moves it (control.c) and
 * of the life that driver.c leads it through, for SPIN. Functions, fields and
 * rules have the names that they have there.
 *
 *   locked { }   what happens under v->lock, at once
 *   at_once { }  the same without it: one look, one store, or one event outside
 *   ;            anything may happen in between
 *   LATCH, ...   switches: what a configuration of ./run includes
 *   MUTANT_...   one defect each; ./run proves that each is found
 *
 * A request of caller i is the bit BIT(i) in a batch, whatever links it there.
 * Nothing goes round in circles: callers have few requests and the device few
 * faults, and time passes only when somebody's limit is over. So every run comes
 * to an end, and there nobody may wait (monitor).
 */
#ifndef CALLERS
#define CALLERS		3		/* synchronous, killable, a bio */
#endif
#define REMOVER		CALLERS		/* flushes for nd_pmem, then for itself */
#define ASKERS		(CALLERS + 1)
#define BIT(i)		(1 << (i))
#ifndef COVERAGE
#define locked		d_step
#define at_once		d_step
#define passing		hidden		/* values within one of these only */
#else
#define locked		atomic		/* much slower; says what is not reached inside */
#define at_once		atomic
#define passing
#endif
#ifndef FAULTS
#define FAULTS		1
#endif
#ifndef TRIES
#define TRIES		1		/* of the administrator */
#endif
#ifndef REQUESTS
#define REQUESTS	1		/* of the synchronous caller; the others have one */
#endif

/*
 * What is proved. An assertion that fails names one of these: must() is false
 * where its condition is, for they are never set.
 */
hidden byte R1_flush_submitted_after_joining;
hidden byte R2_answered_once;
hidden byte R4_one_slot_one_notify;
hidden byte R5_slot_is_the_devices;
hidden byte R6_success_means_durable;
hidden byte R7_broken_holds_nobody;
hidden byte No_error_without_a_cause;
hidden byte Nothing_is_used_after_remove;
hidden byte Nobody_sleeps_for_ever;
hidden byte A_stall_is_told;
hidden byte Quiesced_means_quiet;
hidden byte A_deadline_ends_a_quiesce;
hidden byte The_model_is_large_enough;

inline must(cond, property)
{
	assert((cond) || property)
}

/* ------------------------------------------------------------- the engine */

mtype = { ACTIVE, QUIESCED, RECOVERING, BROKEN, REMOVING };
mtype = { OURS, IN_RING, LOST, GIVEN_UP, JUDGED };	/* whose the slot is */
mtype = { BY_SUSPEND, BY_RESET };			/* who has taken the device away */
#define NOBODY	0

typedef vpmem_batch {
	byte members;
	byte seq;
}

/* Each process has one, named s. */
typedef vpmem_section {
	byte done;
	byte failed;
}

typedef vpmem {
	bool vq;
	byte slot;
	mtype slot_state;
	mtype parked;		/* by whom, if by anyone */
	bool suspending;
	bool leaving;
	bool closed;
	bool deadline;
	bool stalled;
	bool config_changed;
	bool host_error;	/* the reason is */
	byte hold_callers;	/* R8: until so many wait */
	mtype state;
	vpmem_batch gathering;
	vpmem_batch in_flight;
	byte answered;
}

vpmem v;
bool control;			/* the mutex */
bool freed;			/* v is */

/* Works: queued, running, being cancelled. */
bool retry, retry_runs;
bool watch, watch_runs, watch_cancelled;
bool timer, timer_runs, window_over;
bool in_irq;

/* On the callers' stacks (or in their bios). */
typedef vpmem_waiter {
	bool there;		/* its memory is */
	bool done;
	byte seq;
}

vpmem_waiter w[ASKERS];

/* ------------------------------------------ the ring, the device, the host */

#define SLOTS	4		/* as many generations of the queue as there may be */

mtype = { NO_ANSWER, ZERO, ONE };	/* what a response holds */
mtype = { FINE, NOTIFY_FAILS, MAPPING_FAILS };
mtype = { NEEDS_RESET, GONE };		/* what the device's status says, if it is not FINE */
mtype = { NOTHING, SHORT, LONG, STRANGE };	/* what the used ring holds: the id is strange, */
mtype used[2] = NOTHING;		/* or the length covers the response or not */
bool ring_ready;			/* the device may put something there */
bool ring_outstanding;			/* the driver's side knows the id */
bool ring_broken;
mtype resp[SLOTS] = NO_ANSWER;
bool slot_freed[SLOTS];
bool irq;
bool lost_irq;
mtype transport = FINE;
mtype status = FINE;

/* A request that the device has; it may write its slot. */
typedef operation {
	bool busy;
	byte slot;
	byte covers;		/* whose data had been stored when it was submitted */
}

operation op;
operation old;		/* survived a reset */
bool op_dead;		/* will never answer */
bool surplus;		/* an entry of the used ring has come too many */
bool mapping_failed;	/* once, for now it was short of room */

/* Ghosts: whose data are on the host, safe there, dropped by it. */
byte stored, durable, lost;
byte asked, asked_then;	/* who waits; who did when the last flush was submitted */
byte faults = FAULTS;
bool at_fault;		/* somebody else has failed: an error has a cause */
bool quiet;		/* an administrator was told that nothing is submitted */
bool gone_on;		/* a recover goes on without the old answer */
bool never_restored;	/* the transport has given the device up */

passing byte i_, err_, next_;
passing byte token_, covered_, may_;

#define use()	must(!freed, Nothing_is_used_after_remove)

inline check_invariant()
{
	must(v.state != BROKEN || (v.gathering.members | v.in_flight.members) == 0,
	     R7_broken_holds_nobody);
	must(!v.in_flight.seq || v.slot_state == IN_RING, Nobody_sleeps_for_ever);
	must((v.gathering.members & v.in_flight.members) == 0, R2_answered_once);
	must(!(v.deadline && v.state == QUIESCED), A_deadline_ends_a_quiesce)
}

inline fault()
{
	faults--;
	at_fault = true
}

/* A limit is over: because nothing comes, or because the host is slow. */
#define may_time_out	(op_dead || faults)

inline time_out()
{
	at_fault = true;
	if
	:: !op_dead -> faults--
	:: else
	fi
}

/* The moment at which it is decided what they are told. */
inline check_answer(members_, error_)
{
	i_ = 0;
	do
	:: i_ < ASKERS ->
		if
		:: members_ & BIT(i_) ->
			must(w[i_].seq <= v.answered, R1_flush_submitted_after_joining);
			must(error_ || (asked_then & BIT(i_)), R1_flush_submitted_after_joining);
			must(error_ || (durable & BIT(i_)), R6_success_means_durable);
			must(!error_ || at_fault, No_error_without_a_cause)
		:: else
		fi;
		i_++
	:: else -> break
	od
}

/* A waiter's memory is gone as soon as it sees done. */
inline vpmem_answer(members_)
{
	i_ = 0;
	do
	:: i_ < ASKERS ->
		if
		:: members_ & BIT(i_) ->
			must(w[i_].there && !w[i_].done, R2_answered_once);
			w[i_].done = true;
			asked = asked & ~BIT(i_)
		:: else
		fi;
		i_++
	:: else -> break
	od;
	members_ = 0
}

/* The lock was dropped when "locked" ended. */
inline vpmem_unlock()
{
	if
	:: s.done | s.failed -> at_once { vpmem_answer(s.done); vpmem_answer(s.failed); use() }
	:: else
	fi
}

/* ---------------------------------------------------------------- batches */

inline vpmem_batch_init(b, number)
{
	b.members = 0;
	b.seq = number
}

inline vpmem_batch_take(b, error)
{
	v.answered = b.seq;
	check_answer(b.members, error);
	if
	:: error -> s.failed = s.failed | b.members
	:: else -> s.done = s.done | b.members
	fi;
	vpmem_batch_init(b, 0)
}

inline vpmem_fail_everyone()
{
	next_ = v.gathering.seq + 1;
	if
	:: v.in_flight.seq ->
#ifdef MUTANT_BREAK_LEAVES_IN_FLIGHT
		s.failed = s.failed | v.in_flight.members
#else
		vpmem_batch_take(v.in_flight, true)
#endif
	:: else
	fi;
#ifndef MUTANT_BREAK_SPARES_GATHERING
	vpmem_batch_take(v.gathering, true);
	vpmem_batch_init(v.gathering, next_)
#endif
}

/* ----------------------------------------------------------------- states */

inline vpmem_look_soon()
{
	watch = watch || !watch_cancelled
}

/* vpmem_moves[] */
#define vpmem_may_move(to) \
	(  (v.state == ACTIVE && (to == QUIESCED || to == BROKEN || to == REMOVING)) \
	|| (v.state == QUIESCED && (to == ACTIVE || to == BROKEN || to == REMOVING)) \
	|| (v.state == RECOVERING && (to == ACTIVE || to == BROKEN || to == REMOVING)) \
	|| (v.state == BROKEN && to == RECOVERING) \
	|| (v.state == REMOVING && to == BROKEN))

/* Sets may_. */
inline vpmem_set_state(to)
{
	may_ = vpmem_may_move(to);
	if
	:: may_ ->
		v.state = to;
		v.host_error = false;
		quiet = false;
		vpmem_look_soon()
	:: else
	fi
}

inline vpmem_break_locked()
{
	vpmem_set_state(BROKEN);
	if
	:: may_ ->
		at_fault = true;
		v.stalled = false;
		vpmem_fail_everyone()
	:: else
	fi
}

inline vpmem_break()
{
	locked { use(); vpmem_break_locked(); check_invariant() };
	vpmem_unlock()
}

/* ------------------------------------------------------------- submission */

/* Sets err_: 0, 1 for -ENOMEM, 2 for -EIO. */
inline virtqueue_add()
{
	if
	:: ring_broken -> err_ = 2
	:: !ring_broken && transport == MAPPING_FAILS -> err_ = 1; transport = FINE
	:: else ->
		err_ = 0;
		must(!ring_outstanding, R4_one_slot_one_notify);
		must(!(op.busy && op.slot == v.slot), R5_slot_is_the_devices);
		must(!(old.busy && old.slot == v.slot), R5_slot_is_the_devices);
		resp[v.slot] = NO_ANSWER;
		ring_outstanding = true
	fi
}

/* Sets err_. The device takes what there is at once, the worst moment for R1. */
inline virtqueue_kick()
{
	must(ring_ready && ring_outstanding && !op.busy, R4_one_slot_one_notify);
	if
	:: transport == NOTIFY_FAILS -> ring_broken = true; err_ = 1
	:: else ->
		err_ = 0;
		op.busy = true;
		op.slot = v.slot;
		op.covers = stored
	fi
}

#ifdef MUTANT_QUIESCED_SUBMITS
#define vpmem_submitting	(v.state == ACTIVE || v.state == REMOVING || v.state == QUIESCED)
#else
#define vpmem_submitting	(v.state == ACTIVE || v.state == REMOVING)
#endif
#ifdef MUTANT_SUBMIT_WHILE_BUSY
#define slot_is_ours	true
#else
#define slot_is_ours	(v.slot_state == OURS)
#endif

#define count(m)	(((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))

/* R8: answered together, they may come back together. Some windows are left out. */
inline vpmem_open_window()
{
#ifdef WINDOW
	v.hold_callers = count(v.in_flight.members) + count(v.gathering.members);
	window_over = false;
	if
	:: v.hold_callers < 2 -> v.hold_callers = 0
	:: else
	fi
#else
	skip
#endif
}

/* vpmem_hold_batch(). Sets may_: whether it is not held. */
inline vpmem_hold_batch()
{
	may_ = true;
#ifdef WINDOW
	if
	:: v.hold_callers && count(v.gathering.members) < v.hold_callers && !window_over ->
#ifndef MUTANT_WINDOW_WITHOUT_A_TIMER
		timer = true;
#endif
		may_ = false
	:: else -> v.hold_callers = 0
	fi
#endif
}

inline vpmem_submit()
{
	if
	:: !v.gathering.members || !slot_is_ours || !v.vq || v.parked || !vpmem_submitting ->
		may_ = false
	:: else -> vpmem_hold_batch()
	fi;
	if
	:: may_ ->
		must(!quiet, Quiesced_means_quiet);
		virtqueue_add();
		if
		:: err_ == 1 ->
#ifdef MUTANT_MAPPING_FAILURE_IS_AN_ERROR
			vpmem_fail_everyone();
#endif
#ifdef MUTANT_KICK_WITHOUT_ADD
			virtqueue_kick();
#endif
#ifndef MUTANT_NO_RETRY
			retry = true
#else
			skip
#endif
		:: err_ == 2 -> vpmem_break_locked()
		:: else ->
			v.slot_state = IN_RING;
			must(v.in_flight.members == 0, R2_answered_once);
			v.in_flight.members = v.gathering.members;
			v.in_flight.seq = v.gathering.seq;
			vpmem_batch_init(v.gathering, v.in_flight.seq + 1);
			asked_then = asked;
#ifndef MUTANT_SUBMIT_DOES_NOT_WATCH
			vpmem_look_soon();
#endif
#ifdef MUTANT_SUBMIT_DOES_NOT_KICK
			err_ = 0;
#else
			virtqueue_kick();
#endif
			if
			:: err_ -> vpmem_break_locked()
			:: else
			fi
		fi
	:: else
	fi
}

/* ---------------------------------------------------------------- answers */

inline vpmem_host_failed()
{
#ifdef MUTANT_HOST_ERROR_SPARES_GATHERING
	if
	:: v.in_flight.seq -> vpmem_batch_take(v.in_flight, true)
	:: else
	fi;
#else
	vpmem_fail_everyone();
#endif
#if defined(LATCH) && !defined(MUTANT_LATCH_IS_FORGOTTEN)
	if
	:: v.state != BROKEN -> vpmem_break_locked()
	:: else
	fi;
	v.host_error = true
#else
	skip
#endif
}

#ifdef MUTANT_JUDGE_IGNORES_PRESET
#define not_written	false
#else
#define not_written	(resp[v.slot] == NO_ANSWER)
#endif
#ifdef MUTANT_JUDGE_IGNORES_LENGTH
#define is_success	(resp[v.slot] == ZERO)
#else
#define is_success	(covered_ && resp[v.slot] == ZERO)
#endif
#ifdef MUTANT_JUDGE_IGNORES_VALUE
#undef is_success
#define is_success	covered_
#endif

inline vpmem_judge()
{
	if
	:: covered_ && not_written ->
#ifdef MUTANT_STALE_ANSWER_RETURNS_THE_SLOT
		v.slot_state = OURS;
#else
		v.slot_state = LOST;
#endif
		vpmem_break_locked()
	:: else ->
#ifndef MUTANT_ANSWER_KEEPS_THE_SLOT
		v.slot_state = OURS;
#endif
		v.stalled = false;
		if
		:: is_success ->
			if
			:: v.in_flight.seq ->
				vpmem_open_window();
				vpmem_batch_take(v.in_flight, false)
			:: else
			fi
		:: else -> vpmem_host_failed()
		fi
	fi
}

/* Sets token_ and covered_. */
inline virtqueue_get_buf()
{
	token_ = false;
	if
	:: !ring_broken && used[0] != NOTHING ->
		if
		:: used[0] != STRANGE && ring_outstanding ->
			ring_outstanding = false;
			token_ = true;
			covered_ = used[0] == LONG
		:: else -> ring_broken = true
		fi;
		lost_irq = false;
		used[0] = used[1];
		used[1] = NOTHING
	:: else
	fi
}

/* vpmem_reap() under the lock. Sets token_. */
inline vpmem_reap_locked()
{
	use();
	token_ = false;
	if
	:: v.vq ->
		virtqueue_get_buf();
		if
		:: token_ -> vpmem_judge()
		:: else
		fi;
		if
		:: ring_broken && v.state != RECOVERING -> vpmem_break_locked()
		:: else
		fi;
#ifndef MUTANT_ANSWER_DOES_NOT_SUBMIT
		vpmem_submit()
#endif
	:: else
	fi;
	check_invariant()
}

/*
 * The end of each round of vpmem_reap_all(), which found one answer: another, or
 * as much of it as the budget allows; with BUDGET that is one.
 */
inline vpmem_reap_next(got, again)
{
	if
#ifdef BUDGET
	:: got -> retry = true
#else
	:: got && used[0] != NOTHING -> again = true
#endif
	:: else
	fi;
	got = false
}

/* From a work, until the ring is empty. */
inline vpmem_reap_all()
{
	locked { vpmem_reap_locked() };
	vpmem_unlock();
	do
	:: locked { used[0] != NOTHING && v.vq && !ring_broken -> vpmem_reap_locked() };
		vpmem_unlock()
	:: else -> break
	od
}

/* ------------------------------------------------------------------- time */

/* The status says so, and a look will be had at it. */
#define status_due	(v.vq && status != FINE && v.state != BROKEN && v.state != RECOVERING && \
			 !(status == GONE && v.suspending) && \
			 (v.in_flight.seq || v.config_changed))
#define look_due	((v.vq && v.in_flight.seq && lost_irq && !ring_broken) || status_due)
#define stall_due	(v.in_flight.seq && !v.stalled && may_time_out)
#define deadline_due	(v.deadline && v.state != BROKEN && may_time_out && \
			 (v.in_flight.seq || v.gathering.members))
#define parked_due	(v.parked && !v.vq && !v.suspending && v.state != BROKEN && \
			 (never_restored || faults))
/* A look that sees nothing is followed by another only then. */
#define watch_again	(v.in_flight.seq || v.state == QUIESCED || \
			 (v.deadline && v.state != BROKEN) || \
			 (v.parked && !v.vq && !v.suspending))
/* What the limit is counted for: nobody else's time has passed. */
#define oldest		(v.in_flight.seq -> v.in_flight.seq : v.gathering.seq)

#if defined(SUSPEND) || defined(RESET)
#define PARKS
#endif

mtype = { STALL_LIMIT, QUIESCE_LIMIT, PARKED_LIMIT };

/* The locked part of vpmem_look(). */
inline vpmem_watch_begins(limit)
{
	watch = false;
	watch_runs = true;
	use();
	passed = limit;
	since = oldest;
	look = v.vq && (v.config_changed || v.in_flight.seq);
	v.config_changed = false
}

inline vpmem_check_status()
{
	if
	:: status != FINE ->
		locked {
			use();
			if
			:: status == GONE && !v.suspending -> vpmem_break_locked()
			:: status == NEEDS_RESET && v.state != RECOVERING -> vpmem_break_locked()
			:: else
			fi;
			check_invariant()
		};
		vpmem_unlock()
	:: else
	fi
}

/* vpmem_watch(): sleeps until a look has something to see, or a limit is over. */
proctype watch_work()
{
	vpmem_section s;
	mtype passed;
	byte since;
	bool look;
end:
	do
	:: locked { watch && !look_due && !watch_again -> watch = false; v.config_changed = false }
	:: locked { watch && look_due -> vpmem_watch_begins(NOTHING) };
		goto runs
	:: locked { watch && (stall_due || deadline_due) -> time_out();
		    vpmem_watch_begins(STALL_LIMIT) };
		goto runs
#ifdef QUIESCE
	:: locked { watch && v.state == QUIESCED -> vpmem_watch_begins(QUIESCE_LIMIT) };
		goto runs
#endif
#ifdef PARKS
	:: locked { watch && parked_due ->
		    if
		    :: never_restored
		    :: else -> fault()
		    fi;
		    vpmem_watch_begins(PARKED_LIMIT) };
		goto runs
#endif
runs:
		if
		:: look -> vpmem_reap_all(); vpmem_check_status()
		:: else
		fi;
		locked {
			use();
			if
			:: v.in_flight.seq && passed == STALL_LIMIT && since == oldest &&
			   !v.stalled -> v.stalled = true
			:: else
			fi;
#ifdef QUIESCE
			if
			:: passed == QUIESCE_LIMIT && v.state == QUIESCED ->
				vpmem_set_state(ACTIVE);
#ifndef MUTANT_END_OF_QUIESCE_DOES_NOT_SUBMIT
				vpmem_submit()
#endif
			:: else
			fi;
#endif
#ifdef PARKS
			if
			:: passed == PARKED_LIMIT && v.parked && !v.vq && !v.suspending ->
				vpmem_break_locked()
			:: else
			fi;
#endif
			if
			:: v.deadline && v.state != BROKEN && passed == STALL_LIMIT &&
			   since == oldest && (v.in_flight.seq || v.gathering.members) ->
				vpmem_break_locked()
			:: else
			fi;
			look = watch_again;
			check_invariant()
		};
		vpmem_unlock();
		at_once {
			watch = watch || (look && !watch_cancelled);
			watch_runs = false;
			passed = 0;
			since = 0;
			look = false
		}
	od
}

inline cancel_watch()
{
	at_once { watch = false; watch_cancelled = true };
	at_once { !watch_runs -> watch_cancelled = false }
}

/* --------------------------------------------------------------- requests */

/* Sets err_. Who is refused has its answer. */
inline vpmem_join(i)
{
	if
#ifndef MUTANT_JOIN_WHEN_BROKEN
	:: v.state == BROKEN || v.closed ->
#else
	:: v.closed ->
#endif
		must(at_fault, No_error_without_a_cause);
		err_ = 1;
		w[i].done = true
	:: else ->
		err_ = 0;
		w[i].there = true;
		w[i].done = false;
		asked = asked | BIT(i);
		asked_then = asked_then & ~BIT(i);
#ifdef MUTANT_JOIN_IN_FLIGHT
		if
		:: v.in_flight.seq ->
			w[i].seq = v.in_flight.seq;
			v.in_flight.members = v.in_flight.members | BIT(i)
		:: else ->
			w[i].seq = v.gathering.seq;
			v.gathering.members = v.gathering.members | BIT(i)
		fi
#else
		w[i].seq = v.gathering.seq;
		v.gathering.members = v.gathering.members | BIT(i)
#endif
	fi
}

/* vpmem_join_waiter() and vpmem_flush_bio(). */
inline vpmem_ask(i, atomic_)
{
	locked {
		use();
		if
		:: atomic_ && v.state == QUIESCED -> vpmem_set_state(ACTIVE)
		:: else
		fi;
		vpmem_join(i);
		if
		:: !err_ -> vpmem_submit()
		:: else
		fi;
		check_invariant()
	};
	vpmem_unlock()
}

inline vpmem_unlink(i)
{
	must((v.gathering.members | v.in_flight.members) & BIT(i), R2_answered_once);
	v.gathering.members = v.gathering.members & ~BIT(i);
	v.in_flight.members = v.in_flight.members & ~BIT(i)
}

inline vpmem_leave(i)
{
	locked {
		use();
		left = false;
		if
		:: w[i].seq > v.answered ->
			left = true;
#ifndef MUTANT_LEAVE_WITHOUT_LOCK
			vpmem_unlink(i)
#endif
		:: else
		fi
	}
}

/* The caller has its answer: its stack or bio may go. */
inline finish(i)
{
	w[i].there = false;
	w[i].done = false;
	w[i].seq = 0;
	stored = stored & ~BIT(i);
	durable = durable & ~BIT(i);
	lost = lost & ~BIT(i);
	op.covers = op.covers & ~BIT(i);
	old.covers = old.covers & ~BIT(i);
	asked = asked & ~BIT(i);
	asked_then = asked_then & ~BIT(i)
}

/* And vpmem_flush_bio(), whose caller hears of it in bi_end_io. */
inline vpmem_flush(i)
{
	stored = stored | BIT(i);
	vpmem_ask(i, false);
	at_once { w[i].done -> finish(i) }
}

inline vpmem_flush_killable(i)
{
	stored = stored | BIT(i);
	vpmem_ask(i, false);
	if
	:: w[i].done
	:: !w[i].done -> 	/* a fatal signal */
		vpmem_leave(i);
#ifdef MUTANT_LEAVE_WITHOUT_LOCK
		if
		:: at_once { left -> vpmem_unlink(i) }
		:: else
		fi;
#endif
#ifndef MUTANT_LEAVE_DOES_NOT_WAIT
		left || w[i].done
#endif
	fi;
	at_once { finish(i); left = false }
}

/* vpmem_poll(): BTT may not sleep, and looks at the ring itself. */
inline vpmem_flush_atomic(i)
{
	stored = stored | BIT(i);
	vpmem_ask(i, true);
	do
	:: w[i].done -> break
	:: locked { !w[i].done && v.vq && used[0] != NOTHING && !ring_broken ->
		    vpmem_reap_locked() };
		vpmem_unlock()
	:: at_once { !w[i].done && may_time_out -> time_out() };
		vpmem_leave(i);
		break
	od;
	left || w[i].done;
	at_once { finish(i); left = false }
}

/* --------------------------------------------------------- who takes part */

bool unregistering;		/* nobody comes into sysfs any more */
bool unregistered;		/* nor with a request */
byte finished;			/* callers */
bool administrator_ended;
bool life_ended;

proctype sync_caller()
{
	byte left_to_do = REQUESTS;
	vpmem_section s;
	bool left;

	do
	:: at_once { left_to_do && !unregistered -> left_to_do-- };
#ifdef ATOMIC
		vpmem_flush_atomic(0)
#else
		vpmem_flush(0)
#endif
	:: else -> break
	od;
	finished++
}

proctype killable_caller()
{
	vpmem_section s;
	bool left;

	if
	:: !unregistered -> vpmem_flush_killable(1)
	:: unregistered
	fi;
	finished++
}

proctype bio_caller()
{
	vpmem_section s;

	if
	:: !unregistered -> vpmem_flush(2)
	:: unregistered
	fi;
	finished++
}

/* vpmem_engine_callback() */
proctype interrupt()
{
	vpmem_section s;
	bool got;
end:
	do
	:: locked { irq -> irq = false; in_irq = true; vpmem_reap_locked(); got = token_ };
		vpmem_unlock();
		at_once { vpmem_reap_next(got, irq); in_irq = false }
	od
}

/* vpmem_retry() */
proctype retry_work()
{
	vpmem_section s;
	bool got;
end:
	do
	:: locked { retry -> retry = false; retry_runs = true; vpmem_reap_locked();
		    got = token_ };
		vpmem_unlock();
		at_once { vpmem_reap_next(got, retry); retry_runs = false }
	od
}

/* vpmem_window_ends(); and the window, which ends whether somebody waits or not. */
proctype window_timer()
{
	vpmem_section s;
end:
	do
	:: at_once { v.hold_callers && !window_over -> window_over = true }
	:: locked { timer && window_over -> timer = false; timer_runs = true; use();
		    vpmem_submit(); check_invariant() };
		vpmem_unlock();
		timer_runs = false
	od
}

/* ------------------------------------------------------------- the device */

#define ring_has_room	(ring_ready && used[1] == NOTHING)

inline put_used(what)
{
	if
	:: used[0] == NOTHING -> used[0] = what
	:: else -> used[1] = what
	fi
}

inline answer(o, value, length, interrupts)
{
	must(!slot_freed[o.slot], R5_slot_is_the_devices);
	resp[o.slot] = value;
	o.busy = false;
	o.slot = 0;
	o.covers = 0;
	if
	:: ring_has_room ->
		put_used(length);
		if
		:: interrupts -> irq = true
		:: else -> lost_irq = true
		fi
	/* Behind what should not be there: it is seen together with that. */
	:: else -> lost_irq = lost_irq || ring_ready
	fi
}

/*
 * The host reports a lost page once and drops it. What it takes from those who
 * ask later nobody but a latch can know. An administrator who goes on without an
 * old answer goes on without knowing this either.
 */
inline host_fails(o)
{
	at_fault = true;
	if
	:: o.slot == v.slot && !gone_on ->
#ifdef LATCH
		lost = lost | (stored & ~durable)
#else
		lost = lost | (v.gathering.members | v.in_flight.members)
#endif
	:: else
	fi
}

inline host_flushes(o)
{
	durable = durable | (o.covers & ~lost)
}

inline config_interrupt()
{
	v.config_changed = true;
	vpmem_look_soon()
}

#define answers	(op.busy && !op_dead)

proctype device()
{
end:
	do
	:: at_once { answers -> host_flushes(op); answer(op, ZERO, LONG, true) }
	:: at_once { answers && faults -> fault(); host_flushes(op); answer(op, ZERO, LONG, false) }
	:: at_once { answers && faults -> fault(); op_dead = true }
	:: at_once { answers && faults -> fault(); host_fails(op); answer(op, ONE, LONG, true) }
	/* No driver can tell: the value says success, and another entry covered it. */
	:: at_once { answers && faults && !surplus ->
		    fault(); host_fails(op); answer(op, ZERO, SHORT, true) }
	:: at_once { answers && faults -> fault(); host_fails(op); answer(op, NO_ANSWER, SHORT, true) }
	/* After a reset, into the old slot and the new ring. */
	:: at_once { old.busy && status != GONE -> host_flushes(old); answer(old, ZERO, LONG, true) }
	:: at_once { old.busy && status != GONE -> host_fails(old); answer(old, ONE, LONG, true) }
	/* A repeated or an unknown id. */
	:: at_once { ring_has_room && faults -> fault(); surplus = true; put_used(LONG); irq = true }
	:: at_once { ring_has_room && faults -> fault(); put_used(STRANGE); irq = true }
	/* What the transport does. */
	:: at_once { faults && transport == FINE -> fault(); transport = NOTIFY_FAILS }
#ifdef BUDGET
	:: at_once { !mapping_failed && transport == FINE ->
		mapping_failed = true; transport = MAPPING_FAILS }
#endif
	:: at_once { ring_ready && faults && status == FINE -> fault(); status = NEEDS_RESET;
		    op_dead = true; config_interrupt() }
	/* Pulled out; nobody tells, and what is with it stays there. */
	:: at_once { ring_ready && faults && status == FINE -> fault(); status = GONE; op_dead = true }
	od
}

/* -------------------------------------------------------- life (driver.c) */

inline mutex_lock()
{
	at_once { !control -> control = true }
}

inline mutex_unlock()
{
	control = false
}

inline look_soon()
{
	at_once { vpmem_look_soon() }
}

/* vpmem_renew_queue(), as far as it does well. */
inline attach_queue()
{
	ring_ready = true;
	locked { use(); v.vq = true }
}

inline device_reset()
{
	op.busy = false;
	op.slot = 0;
	op.covers = 0;
	op_dead = false;
	used[0] = NOTHING;
	used[1] = NOTHING;
	ring_ready = false;
	ring_outstanding = false;
	ring_broken = false;
	irq = false;
	lost_irq = false;
	transport = FINE;
	if
	:: status != GONE -> status = FINE
	:: else
	fi
}

inline vpmem_detach_queue()
{
	locked {
		use();
		v.vq = false;
		if
		:: v.slot_state == IN_RING ->
			v.slot_state = LOST
		:: else
		fi;
		check_invariant()
	};
	vpmem_unlock();
	cancel_watch()
}

/* A device may forget at a reset what it has, or answer it later. */
inline reset()
{
	if
	:: at_once { op.busy && status != GONE ->
		    must(!old.busy, The_model_is_large_enough);
		    old.busy = true; old.slot = op.slot; old.covers = op.covers;
		    device_reset() }
	:: at_once { true -> device_reset() }
	fi
}

/* Nothing of ours may touch a device without a queue: interrupts and works have ended. */
inline vpmem_delete_queue()
{
	vpmem_detach_queue();
	reset();
	!in_irq
}

/* ------------------------------------------------------------ administrator */

#ifndef MUTANT_RECOVER_WHILE_PARKED
#define refused		(v.leaving || v.suspending || v.parked || v.deadline)
#else
#define refused		(v.leaving || v.suspending || v.deadline)
#endif

inline vpmem_resume()
{
	locked {
		use();
		if
		:: v.state == QUIESCED -> vpmem_set_state(ACTIVE)
		:: else
		fi;
#ifndef MUTANT_RESUME_DOES_NOT_SUBMIT
		vpmem_submit();
#endif
		check_invariant()
	};
	vpmem_unlock()
}

#define vpmem_is_settled	(v.slot_state == OURS || v.state != QUIESCED)

inline vpmem_quiesce()
{
	locked {
		use();
		begun = !refused && (v.state == ACTIVE || v.state == QUIESCED);
		if
		:: begun && v.state == ACTIVE -> vpmem_set_state(QUIESCED)
		:: else
		fi
	};
	if
	:: begun ->
		look_soon();
		if
#ifdef MUTANT_QUIESCE_DOES_NOT_WAIT
		:: true ->
#else
		:: vpmem_is_settled ->
#endif
			locked {
				if
				:: v.state == QUIESCED ->
					must(!op.busy, Quiesced_means_quiet);
					quiet = true
				:: else
				fi
			}
		:: !vpmem_is_settled -> vpmem_resume()	/* a signal */
		fi
	:: else
	fi;
	begun = false
}

/* ---------------------------------------------------------------- recover */

#define is_written	(resp[v.slot] != NO_ANSWER)
#define not_in_ring	(v.slot_state != OURS && v.slot_state != IN_RING)
#define old_is_written	((v.slot_state == LOST || v.slot_state == GIVEN_UP) && !v.vq && is_written)

inline vpmem_judge_written()
{
	locked {
		use();
		v.slot_state = JUDGED;
#ifndef MUTANT_RECOVER_IGNORES_THE_OLD_ANSWER
		if
		:: resp[v.slot] != ZERO -> vpmem_host_failed()
		:: else
		fi;
#endif
		check_invariant()
	};
	vpmem_unlock()
}

mtype = { LOOK_AGAIN, DONE, FAILED };

/* Sets result to DONE or FAILED. */
inline vpmem_await_old_answer()
{
	result = LOOK_AGAIN;
	do
	:: result == LOOK_AGAIN ->
		vpmem_reap_all();
		if
		:: v.vq && (not_in_ring || ring_broken || status != FINE) -> vpmem_delete_queue()
		:: else
		fi;
		/* From this look on nobody hears of what becomes of it. */
		at_once {
			slot_state = v.slot_state;
			judge = old_is_written;
#ifdef MUTANT_GIVING_UP_DOES_NOT_LOOK
			judge = judge && v.slot_state == LOST;
#endif
			gone_on = (v.slot_state == GIVEN_UP && !is_written)
		};
		if
		:: judge -> vpmem_judge_written(); slot_state = JUDGED
		:: else
		fi;
		if
		:: v.state != RECOVERING || v.leaving || v.deadline -> result = FAILED
		:: else ->
			if
#ifdef MUTANT_RECOVER_DOES_NOT_WAIT
			:: true -> result = DONE
#else
			:: slot_state != IN_RING && slot_state != LOST -> result = DONE
#endif
			:: slot_state == IN_RING || slot_state == LOST ->
				if
				/* stall_timeout_ms have passed. */
				:: locked {
					v.slot_state != OURS -> v.slot_state = GIVEN_UP };
					result = FAILED
				/* A signal. */
				:: result = FAILED
				/* What the next look would see. */
				:: v.slot_state == OURS || (v.vq && not_in_ring) || old_is_written ||
				   (v.vq && (ring_broken || status != FINE)) ||
				   (v.vq && used[0] != NOTHING) ||
				   v.state != RECOVERING || v.leaving || v.deadline
				fi
			fi
		fi
	:: else -> break
	od;
	result != LOOK_AGAIN;
	at_once { slot_state = 0; judge = false; gone_on = gone_on && result == DONE }
}

/* Sets result to DONE or FAILED. */
inline vpmem_renew_device()
{
	if
	:: status == GONE -> result = FAILED
	:: status != GONE ->
		if
		:: locked { v.slot_state != OURS ->
#ifndef MUTANT_SLOT_IS_USED_AGAIN
			    must(v.slot + 1 < SLOTS, The_model_is_large_enough);
			    v.slot++;
#endif
			    v.slot_state = OURS }
		:: else
		fi;
		if
		:: at_once { faults -> fault(); result = FAILED }	/* another device, or no queue */
		:: attach_queue()
		fi
	fi;
	gone_on = false
}

inline vpmem_recover()
{
	mutex_lock();
	locked {
		use();
		begun = false;
		if
		:: !refused ->
			may_ = v.host_error;
			if
			/* Whoever recovers it then knows that data are lost. */
			:: v.state == BROKEN && may_ -> lost = 0
			:: else
			fi;
			may_ = vpmem_may_move(RECOVERING);
			begun = may_;
			if
			:: begun -> v.state = RECOVERING; vpmem_look_soon()
			:: else
			fi
		:: else
		fi
	};
	if
	:: begun ->
		if
		:: status == GONE -> result = FAILED
		:: else ->
			vpmem_await_old_answer();
			if
			:: result == DONE && !v.vq -> vpmem_renew_device()
			:: else
			fi
		fi;
		/* vpmem_end_recovery() */
		locked {
			use();
			if
			:: result == FAILED -> vpmem_break_locked()
			:: else ->
				if
				:: v.leaving -> vpmem_set_state(REMOVING)
				:: else -> vpmem_set_state(ACTIVE)
				fi;
				if
				:: may_ -> vpmem_submit()
				:: else
				fi
			fi;
			check_invariant()
		};
		vpmem_unlock()
	:: else
	fi;
	at_once { begun = false; result = 0 };
	mutex_unlock()
}

/* Writers in sysfs. The file is not removed before they have come out. */
proctype administrator()
{
	vpmem_section s;
	byte tries = TRIES;
	mtype result, slot_state;
	bool begun, judge;

	do
#ifdef QUIESCE
	:: at_once { tries && !unregistering -> tries-- };
		vpmem_quiesce();
		if
		:: vpmem_resume()
		:: true		/* the tool has died */
		fi
#endif
#ifdef RECOVER
	:: at_once { tries && !unregistering && v.state == BROKEN -> tries-- };
		vpmem_recover()
#endif
	:: true -> break
	od;
	administrator_ended = true
}

/* ----------------------------------------------------------------- suspend */

/* Sets busy. */
inline vpmem_park(parker)
{
	locked { use(); v.parked = parker };
	if
#ifdef MUTANT_PARK_DOES_NOT_WAIT
	:: true -> busy = false
#else
	:: v.slot_state == OURS || v.state == BROKEN -> busy = false
	:: at_once { v.slot_state != OURS && v.state != BROKEN && may_time_out ->
		    time_out(); busy = true }
#endif
	fi
}

inline vpmem_unpark()
{
	locked {
		use();
		v.parked = NOBODY;
#ifndef MUTANT_UNPARK_DOES_NOT_SUBMIT
		vpmem_submit();
#endif
		check_invariant()
	};
	vpmem_unlock();
	look_soon()
}

/* vpmem_freeze(). Leaves busy. */
inline vpmem_freeze()
{
	mutex_lock();
	vpmem_park(BY_SUSPEND);
	if
	:: busy -> vpmem_unpark()
	:: else -> vpmem_delete_queue(); look_soon()
	fi;
	mutex_unlock()
}

/* vpmem_restore() and vpmem_reset_done(). */
inline vpmem_bring_back()
{
	mutex_lock();
	if
	:: at_once { faults -> fault() }; vpmem_break()	/* another device, or no queue */
	:: status == GONE -> vpmem_break()
	:: status != GONE -> attach_queue()
	fi;
	vpmem_unpark();
	mutex_unlock()
}

/* Under vpmem_pm_event()'s lock. Sets busy. */
inline vpmem_pm_prepare()
{
	use();
	busy = v.stalled || v.state == QUIESCED || v.state == RECOVERING;
	v.suspending = !busy
}

inline vpmem_pm_post()
{
	locked {
		use();
		v.suspending = false;
#ifndef MUTANT_POST_LEAVES_IT_PARKED
		if
		:: v.parked == BY_SUSPEND && !v.vq -> v.parked = NOBODY; vpmem_break_locked()
		:: else
		fi;
#endif
		check_invariant()
	};
	vpmem_unlock()
}

inline suspend()
{
	locked { vpmem_pm_prepare() };
	if
	:: !busy ->
		vpmem_freeze();
		if
		:: busy
		:: !busy -> vpmem_bring_back()
		:: at_once { !busy && faults -> fault(); never_restored = true }
		fi
	:: else
	fi;
	vpmem_pm_post();
	busy = false
}

/* The transport resets the device. */
inline reset_device()
{
	mutex_lock();
	vpmem_park(BY_RESET);
	if
	:: busy -> vpmem_break()
	:: else
	fi;
	busy = false;
	vpmem_delete_queue();
#ifndef MUTANT_RESET_DOES_NOT_LOOK
	look_soon();
#endif
	mutex_unlock();
	if
	:: vpmem_bring_back()
	:: at_once { faults -> fault(); never_restored = true };
		if
		:: true		/* it never comes */
		:: v.state == BROKEN -> vpmem_bring_back()	/* it comes too late */
		fi
	fi
}

/* ------------------------------------------------------- power-off, removal */

inline vpmem_set_deadline()
{
#ifndef MUTANT_NO_DEADLINE
	v.deadline = true;
#endif
#ifndef MUTANT_DEADLINE_LEAVES_IT_QUIESCED
	if
	:: v.state == QUIESCED -> vpmem_set_state(ACTIVE)
	:: else
	fi;
#endif
	vpmem_submit();
	check_invariant()
}

inline vpmem_start_removal()
{
	locked {
		use();
		v.leaving = true;
		if
		:: v.state != RECOVERING ->
			vpmem_set_state(REMOVING);
			if
			:: !v.vq || ring_broken -> vpmem_break_locked()
			:: else
			fi
		:: else
		fi;
		vpmem_set_deadline()
	};
	vpmem_unlock();
	look_soon()
}

/*
 * libnvdimm: nd_pmem's last flush; whoever is inside must come out, of sysfs
 * first.
 */
inline vpmem_region_destroy()
{
	unregistering = true;
	administrator_ended;
	vpmem_flush(REMOVER);
	unregistered = true;
	finished == CALLERS
}

inline vpmem_close()
{
	locked {
		use();
		v.closed = true;
		vpmem_fail_everyone()
	};
	vpmem_unlock()
}

inline vpmem_stop()
{
#if defined(WINDOW) && !defined(MUTANT_STOP_LEAVES_THE_TIMER)
	at_once { !timer_runs -> timer = false };
#endif
	cancel_watch();
#ifndef MUTANT_STOP_LEAVES_RETRY
	at_once { !retry_runs -> retry = false }
#endif
}

inline vpmem_free()
{
	at_once {
		must(!retry && !retry_runs && !watch && !watch_runs && !timer && !timer_runs && !in_irq,
		     Nothing_is_used_after_remove);
		freed = true;
#ifndef MUTANT_FREE_WHAT_THE_DEVICE_HAS
		slot_freed[v.slot] = v.slot_state == OURS
#else
		slot_freed[v.slot] = true
#endif
	}
}

inline remove()
{
	vpmem_start_removal();
#ifdef MUTANT_REMOVE_CLOSES_FIRST
	vpmem_close();
#endif
	vpmem_region_destroy();
	if
	:: v.state != BROKEN -> vpmem_flush(REMOVER)
	:: else
	fi;
#ifndef MUTANT_REMOVE_CLOSES_FIRST
	vpmem_close();
#endif
#ifdef MUTANT_STOP_BEFORE_THE_QUEUE_IS_GONE
	vpmem_stop();
	vpmem_delete_queue();
#else
	vpmem_delete_queue();
	vpmem_stop();
#endif
	vpmem_free()
}

/* The notifier; then nd_pmem's shutdown flushes. */
inline power_off()
{
	locked { use(); vpmem_set_deadline() };
	vpmem_unlock();
	look_soon();
	mutex_lock();
	mutex_unlock();
	vpmem_flush(REMOVER)
}

/* -------------------------------------------------------------- the end */

proctype monitor()
{
	timeout;
	must(life_ended, Nobody_sleeps_for_ever);
	must(administrator_ended, Nobody_sleeps_for_ever);
	/* Nobody answers a host that does not, but it is said that it does not. */
	if
	:: v.slot_state == IN_RING && op_dead && v.state == ACTIVE && !v.deadline ->
		must(v.stalled, A_stall_is_told);
		goto done
	:: else
	fi;
	must(finished == CALLERS, Nobody_sleeps_for_ever);
done:
	skip
}

/* After probe. */
init
{
	vpmem_section s;
	bool busy;

	atomic {
		v.state = ACTIVE;
		v.slot_state = OURS;
		v.vq = true;
		v.gathering.seq = 1;
		ring_ready = true;
		run sync_caller();
#if CALLERS > 1
		run killable_caller();
#endif
#if CALLERS > 2
		run bio_caller();
#endif
		run interrupt();
		run watch_work();
#ifdef BUDGET
		run retry_work();
#endif
#ifdef WINDOW
		run window_timer();
#endif
#if defined(QUIESCE) || defined(RECOVER)
		run administrator();
#else
		administrator_ended = true;
#endif
		run device();
		run monitor()
	};
#ifdef SUSPEND
	suspend();
#endif
#ifdef RESET
	reset_device();
#endif
#ifdef REMOVE
	remove();
#endif
#ifdef POWER_OFF
	power_off();
#endif
	life_ended = true
}
