// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl freeze: bring regions into a state that the host can copy, while a command
 * runs or for a limited time. All of them or none: when one cannot be frozen, or this
 * command is ended, those that are get thawed.
 */
#include <errno.h>

#include "child.h"
#include "plan.h"
#include "progress.h"
#include "regions.h"
#include "util.h"

#define TIMEOUT_MS 60000
#define NS_PER_MS UINT64_C(1000000)

const struct option_desc freeze_options[] = {
	{ .id = OPTION_TIMEOUT, .letter = 't', .name = "timeout", .argument = "SECONDS",
	  .help = "thaw after so long, whatever happens; 60 if it is not given" },
	{ .id = OPTION_QUIESCE, .letter = 'q', .name = "quiesce",
	  .help = "also keep the driver from asking the host for anything" },
	{ .id = OPTION_FORCE, .letter = 'f', .name = "force",
	  .help = "also what would block this command or the machine" },
	OPTION_DESC_DRY_RUN,
	{ .name = NULL },
};

/* One region; @freeze is NULL if it is not frozen. */
struct frozen {
	struct virtpmem_region *region;
	struct virtpmem_plan *plan;
	struct virtpmem_freeze *freeze;
	pid_t guard; /* which has been left alone; 0: none */
	bool undone; /* thawed again, because not all could be frozen */
	int err;
};

struct freezing {
	struct frozen *list;
	size_t count;
	unsigned int timeout_ms;
	bool failed;
};

/* ------------------------------------------------------------ freezing */

static void freeze_region(struct pmemctl *p, struct virtpmem_region *region)
{
	unsigned int flags = plan_flags(p) | (p->option[OPTION_QUIESCE] ? VIRTPMEM_QUIESCE : 0);
	struct freezing *f = p->data;
	struct progress progress;
	struct frozen *r;

	/* A region that was not found is a reason to freeze none; a plan tells all that is. */
	if ((f->failed || p->out.status) && !p->option[OPTION_DRY_RUN])
		return;
	f->list = xreallocarray(f->list, f->count + 1, sizeof(*f->list));
	r = &f->list[f->count++];
	*r = (struct frozen){ .region = region };
	regions_forget_log(p);
	progress_start(&progress, &p->out, virtpmem_region_get_devname(region), "frozen");
	r->err = virtpmem_region_freeze(region, f->timeout_ms, flags, &r->plan, &r->freeze);
	progress_stop(&progress);
	f->failed |= r->err < 0;
}

static void thaw_again(struct frozen *r)
{
	if (!r->freeze)
		return;
	r->undone = true;
	r->freeze = virtpmem_freeze_unref(r->freeze);
	if (r->guard)
		virtpmem_region_thaw(r->region, 0, NULL);
}

/* ------------------------------------------------------------- showing */

static void add_freeze(const struct freezing *f, const struct frozen *r, struct record *region)
{
	enum virtpmem_consistency consistency = virtpmem_freeze_get_consistency(r->freeze);
	const char *reason = virtpmem_freeze_get_reason(r->freeze);
	struct record *freeze = record_add(region, "freeze", RECORD_OBJECT);

	record_add_string(freeze, "consistency", virtpmem_consistency_name(consistency));
	if (reason)
		record_add_string(freeze, "reason", reason);
	record_add_uint(freeze, "timeout_ns", f->timeout_ms * NS_PER_MS);
	if (r->guard)
		record_add_int(freeze, "guard_pid", r->guard);
}

/* What it stands on can be forced; what somebody has frozen already cannot. */
static void report_busy(struct pmemctl *p, const char *dev, struct virtpmem_plan *plan,
			const char *why)
{
	const struct virtpmem_step *obstacle = plan ? plan_obstacle(plan) : NULL;
	const char *object = obstacle ? virtpmem_step_get_object(obstacle) : NULL;

	if (object && !streq(object, dev))
		output_error(&p->out, dev, ERROR_BUSY, "was not frozen: %s; --force freezes it all "
			     "the same, for at most the time of --timeout", why);
	else if (plan)
		output_error(&p->out, dev, ERROR_BUSY, "was not frozen: %s; 'pmemctl thaw %s' ends a "
			     "freeze of somebody else's", why, dev);
	else
		output_error(&p->out, dev, ERROR_BUSY, "was not frozen: %s; try it again", why);
}

/* How many file systems were frozen, and what became of that. */
static char *words_of_undo(const struct frozen *r, const char *dev)
{
	unsigned int all = 0, undone = 0, left = 0;
	struct virtpmem_step *step;

	virtpmem_step_foreach (r->plan, step) {
		enum virtpmem_step_result result = virtpmem_step_get_result(step);

		if (virtpmem_step_get_kind(step) != VIRTPMEM_STEP_FREEZE)
			continue;
		all++;
		undone += result == VIRTPMEM_RESULT_UNDONE;
		left += result == VIRTPMEM_RESULT_DONE;
	}
	if (left)
		return xasprintf("%u of %u file systems may be frozen still, 'pmemctl thaw %s' "
				 "tries it again", left, all, dev);
	if (undone)
		return xasprintf("%u of %u file systems had been frozen, and nothing is any more",
				 undone, all);
	return xstrdup("nothing is frozen");
}

/* The time of --timeout is that of the guard and of the flush; other steps have limits of their own. */
static void report_timeout(struct pmemctl *p, const struct frozen *r, unsigned int timeout_ms,
			   const char *why)
{
	const struct virtpmem_step *failure = r->plan ? plan_failure(r->plan) : NULL;
	enum virtpmem_step_kind kind = failure ? virtpmem_step_get_kind(failure) :
						 VIRTPMEM_STEP_CHECK;
	bool ours = kind == VIRTPMEM_STEP_VERIFY, limited = ours || kind == VIRTPMEM_STEP_FREEZE ||
							    kind == VIRTPMEM_STEP_FLUSH;
	const char *dev = virtpmem_region_get_devname(r->region);
	_cleanup_free_ char *undo = failure ? words_of_undo(r, dev) : NULL;

	if (limited)
		output_error(&p->out, dev, ERROR_TIMED_OUT, "was not frozen: the time for it, %.10g "
			     "s, was over (%s); %s; give it more with --timeout%s",
			     timeout_ms / 1000.0, why, undo,
			     ours ? "" : ", or look at the host's storage");
	else if (kind == VIRTPMEM_STEP_CHECK)
		output_error(&p->out, dev, ERROR_TIMED_OUT, "was not frozen: %s; look at the host's "
			     "storage", why);
	else
		output_error(&p->out, dev, ERROR_TIMED_OUT, "was not frozen: %s; %s; look at the "
			     "host's storage", why, undo);
}

static void report(struct pmemctl *p, const struct freezing *f, const struct frozen *r)
{
	const char *dev = virtpmem_region_get_devname(r->region);
	_cleanup_free_ char *why = plan_why(p, dev, r->plan, r->err);

	switch (r->err) {
	case -EBUSY:
		report_busy(p, dev, r->plan, why);
		break;
	case -EOPNOTSUPP:
		output_error(&p->out, dev, ERROR_NOT_SUPPORTED, "cannot be frozen: %s",
			     !r->plan && p->option[OPTION_QUIESCE] ?
			     "its driver has no quiesce, this project's virtio_pmem has; try it "
			     "without --quiesce" : why);
		break;
	case -EIO:
		output_error(&p->out, dev, ERROR_BROKEN, "was not frozen: %s; 'pmemctl status %s' "
			     "shows why", why, dev);
		break;
	case -ETIMEDOUT:
		report_timeout(p, r, f->timeout_ms, why);
		break;
	default:
		plan_report(p, dev, r->plan, r->err, "frozen");
		break;
	}
}

/* With a command line of the user's, standard output is that one's. */
static bool is_silent(const struct pmemctl *p)
{
	return p->command_line && !p->option[OPTION_DRY_RUN] && !p->option[OPTION_JSON];
}

struct shown {
	const struct freezing *f;
	const struct frozen *r;
};

/* That another region should be frozen too is of no interest if it is. */
static bool is_frozen_too(const char *object, const void *data)
{
	const struct shown *s = data;
	size_t i;

	for (i = 0; i < s->f->count && !s->f->failed; i++)
		if (&s->f->list[i] != s->r &&
		    streq(virtpmem_region_get_devname(s->f->list[i].region), object))
			return true;
	return false;
}

static void note_warnings(struct pmemctl *p, const char *dev, const struct record *region)
{
	const struct record *warning;

	record_foreach (record_get(region, "warnings"), warning)
		output_note(&p->out, "%s: warning: %s", dev,
			    record_get(warning, "message")->string);
}

static void show(struct pmemctl *p, const struct freezing *f, const struct frozen *r)
{
	const struct shown shown = { f, r };
	struct record *region;

	if (!r->plan)
		return;
	region = regions_describe(p, r->region, DESCRIBE_NAMES);
	if (r->undone)
		plan_describe_as(region, r->plan, "undone");
	else
		plan_describe(p, region, r->plan, r->err);
	plan_drop_warnings(region, is_frozen_too, &shown);
	if (is_silent(p))
		note_warnings(p, virtpmem_region_get_devname(r->region), region);
	if (r->freeze)
		add_freeze(f, r, region);
	output_region(&p->out, region);
}

static void show_all(struct pmemctl *p, struct freezing *f)
{
	size_t i;

	if (is_silent(p))
		p->out.view = NULL;
	for (i = 0; i < f->count; i++) {
		show(p, f, &f->list[i]);
		if (f->list[i].err < 0)
			report(p, f, &f->list[i]);
	}
}

/* ------------------------------------------------------- what comes next */

static void report_early_end(struct pmemctl *p, const char *dev, int err)
{
	struct output *out = &p->out;

	switch (err) {
	case -ETIMEDOUT:
		output_error(out, dev, ERROR_TIMED_OUT, "was thawed because its time was over, "
			     "before the command had ended: what that copied is not consistent; "
			     "give it more with --timeout");
		break;
	case -ECANCELED:
		output_error(out, dev, ERROR_FAILED, "was thawed by somebody else before the command "
			     "had ended: what that copied is not consistent");
		break;
	case -ESRCH:
		output_error(out, dev, ERROR_FAILED, "its guard process was killed, so that nobody "
			     "knows whether it was frozen all the time; 'pmemctl thaw %s' makes sure "
			     "that it is not any more", dev);
		break;
	default:
		output_error(out, dev, error_from_errno(err), "may be frozen still: %s; "
			     "'pmemctl thaw %s' tries it again", regions_why(p, dev, err), dev);
		break;
	}
}

static void run_command_line(struct pmemctl *p, struct freezing *f)
{
	int *fds = xcalloc(f->count, sizeof(*fds)), status;
	size_t i;

	for (i = 0; i < f->count; i++)
		fds[i] = virtpmem_freeze_get_fd(f->list[i].freeze);
	status = child_run(p->command_line, fds, f->count, p->option[OPTION_JSON]);
	free(fds);
	for (i = f->count; i; i--) {
		const char *dev = virtpmem_region_get_devname(f->list[i - 1].region);
		int err = virtpmem_freeze_thaw(f->list[i - 1].freeze);

		if (err < 0)
			report_early_end(p, dev, err);
	}
	if (status < 0) {
		output_error(&p->out, NULL, ERROR_FAILED, "cannot start '%s': %s",
			     p->command_line[0], strerror(-status));
		return;
	}
	p->out.ran = true;
	p->out.ran_status = status;
	record_add_int(p->out.top, "command_exit", status);
}

/* From here on only the guards, their deadlines and thaw know of it. */
static void leave_frozen(struct pmemctl *p, struct freezing *f)
{
	size_t i;

	for (i = 0; i < f->count && !f->failed; i++) {
		struct frozen *r = &f->list[i];
		const char *dev = virtpmem_region_get_devname(r->region);

		f->failed = virtpmem_freeze_detach(r->freeze) < 0;
		if (f->failed)
			output_error(&p->out, dev, ERROR_FAILED, "its guard process is gone; "
				     "'pmemctl thaw %s' makes sure that it is not frozen", dev);
		else
			r->guard = virtpmem_freeze_get_pid(r->freeze);
	}
}

static void freeze_done(struct freezing *f)
{
	size_t i;

	for (i = 0; i < f->count; i++) {
		virtpmem_freeze_unref(f->list[i].freeze);
		virtpmem_plan_unref(f->list[i].plan);
	}
	free(f->list);
	free(f);
}

void cmd_freeze(struct pmemctl *p)
{
	unsigned int timeout_ms = TIMEOUT_MS;
	struct freezing *f;
	size_t i;

	if (!option_seconds(p, OPTION_TIMEOUT, &timeout_ms))
		return;
	p->data = f = xcalloc(1, sizeof(*f));
	f->timeout_ms = timeout_ms;
	regions_each(p, freeze_region);
	f->failed |= p->out.status || interrupted();
	if (!f->failed && !p->option[OPTION_DRY_RUN]) {
		if (p->command_line)
			run_command_line(p, f);
		else
			leave_frozen(p, f);
	}
	/* From the last to the first, as their file systems may lie on each other. */
	for (i = f->count; i && f->failed; i--)
		thaw_again(&f->list[i - 1]);
	show_all(p, f);
	freeze_done(f);
}
