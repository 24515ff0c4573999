// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The library's plans as records, and as reasons of errors; see plan.h.
 */
#include <errno.h>
#include <string.h>

#include "plan.h"
#include "regions.h"
#include "util.h"

unsigned int plan_flags(const struct pmemctl *p)
{
	return (p->option[OPTION_DRY_RUN] ? VIRTPMEM_DRY_RUN : 0) |
	       (p->option[OPTION_FORCE] ? VIRTPMEM_FORCE : 0) |
	       (p->option[OPTION_ACCEPT_DATA_LOSS] ? VIRTPMEM_ACCEPT_DATA_LOSS : 0);
}

static bool is_obstacle(const struct virtpmem_step *step)
{
	return virtpmem_step_get_kind(step) == VIRTPMEM_STEP_CHECK;
}

/* Steps that only look, or say something, tell nothing about whether there was work. */
static bool is_work(const struct virtpmem_step *step)
{
	switch (virtpmem_step_get_kind(step)) {
	case VIRTPMEM_STEP_CHECK:
	case VIRTPMEM_STEP_WARN:
	case VIRTPMEM_STEP_VERIFY:
		return false;
	default:
		return true;
	}
}

/* What a freeze ended of before it was whole; NULL: of something else. */
static const char *freeze_end(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return "its time was over";
	case -ECANCELED:
		return "somebody else has thawed it";
	case -ESRCH:
		return "its guard process was killed";
	default:
		return NULL;
	}
}

/* The C library would speak of connections and system calls. */
static char *step_error(const struct virtpmem_step *step)
{
	enum virtpmem_step_kind kind = virtpmem_step_get_kind(step);
	int error = virtpmem_step_get_error(step);
	const char *end = freeze_end(error);

	/* A step to verify says what should be: not that it is so. */
	if (end && kind == VIRTPMEM_STEP_VERIFY)
		return xasprintf("not any more, %s", end);
	if (end && kind == VIRTPMEM_STEP_FREEZE)
		return xstrdup(end);
	return xstrdup(error == -ETIMEDOUT || error == -EINTR ? error_text(error) :
								strerror(-error));
}

static void add_step(struct record *r, const struct virtpmem_step *step)
{
	const char *kind = virtpmem_step_kind_name(virtpmem_step_get_kind(step));
	const char *result = virtpmem_step_result_name(virtpmem_step_get_result(step));
	_cleanup_free_ char *error = virtpmem_step_get_error(step) ? step_error(step) : NULL;

	/* Obstacles and warnings have their own arrays, and nothing that can become of them. */
	if (virtpmem_step_get_kind(step) != VIRTPMEM_STEP_CHECK &&
	    virtpmem_step_get_kind(step) != VIRTPMEM_STEP_WARN) {
		record_add_string(r, "step", kind ? kind : "unknown");
		record_add_string(r, "result", result ? result : "unknown");
		if (error)
			record_add_string(r, "error", error);
	}
	if (virtpmem_step_get_object(step))
		record_add_string(r, "object", virtpmem_step_get_object(step));
	record_add_string(r, "message", virtpmem_step_get_text(step));
}

const struct virtpmem_step *plan_obstacle(struct virtpmem_plan *plan)
{
	struct virtpmem_step *step;

	virtpmem_step_foreach (plan, step)
		if (is_obstacle(step))
			return step;
	return NULL;
}

static const char *outcome_of(const struct pmemctl *p, struct virtpmem_plan *plan, int err)
{
	struct virtpmem_step *step;
	bool idle = true;

	virtpmem_step_foreach (plan, step)
		if (is_work(step) && virtpmem_step_get_result(step) != VIRTPMEM_RESULT_NOT_NEEDED)
			idle = false;
	if (err < 0)
		return plan_obstacle(plan) ? "refused" : "failed";
	if (idle)
		return "not_needed";
	return p->option[OPTION_DRY_RUN] ? "planned" : "done";
}

/* That of an earlier plan, or a new one. */
static struct record *array_of(struct record *r, const char *name)
{
	struct record *child;

	record_foreach (r, child)
		if (streq(child->name, name))
			return child;
	return record_add(r, name, RECORD_ARRAY);
}

void plan_add(struct record *r, struct virtpmem_plan *plan)
{
	struct record *obstacles = array_of(r, "obstacles");
	struct record *warnings = array_of(r, "warnings"), *steps = array_of(r, "steps"), *to;
	struct virtpmem_step *step;

	virtpmem_step_foreach (plan, step) {
		if (is_obstacle(step))
			to = obstacles;
		else if (virtpmem_step_get_kind(step) == VIRTPMEM_STEP_WARN)
			to = warnings;
		else
			to = steps;
		add_step(record_add(to, NULL, RECORD_OBJECT), step);
	}
}

void plan_describe_as(struct record *r, struct virtpmem_plan *plan, const char *outcome)
{
	record_add_string(r, "outcome", outcome);
	plan_add(r, plan);
}

void plan_describe(const struct pmemctl *p, struct record *r, struct virtpmem_plan *plan, int err)
{
	plan_describe_as(r, plan, outcome_of(p, plan, err));
}

void plan_drop_warnings(struct record *r, bool (*is_moot)(const char *object, const void *data),
			const void *data)
{
	struct record *warnings = array_of(r, "warnings"), *warning = warnings->child, *next;

	warnings->child = warnings->last = NULL;
	for (; warning; warning = next) {
		const struct record *object = record_get(warning, "object");

		next = warning->next;
		warning->next = NULL;
		if (object && is_moot(object->string, data))
			record_free(warning);
		else
			record_append(warnings, warning);
	}
}

void plan_show(struct pmemctl *p, struct virtpmem_region *region, struct virtpmem_plan *plan,
	       int err)
{
	struct record *r;

	if (!plan)
		return;
	r = regions_describe(p, region, DESCRIBE_NAMES);
	plan_describe(p, r, plan, err);
	output_region(&p->out, r);
}

const struct virtpmem_step *plan_failure(struct virtpmem_plan *plan)
{
	struct virtpmem_step *step;

	virtpmem_step_foreach (plan, step)
		if (virtpmem_step_get_result(step) == VIRTPMEM_RESULT_FAILED)
			return step;
	return NULL;
}

char *plan_why(const struct pmemctl *p, const char *dev, struct virtpmem_plan *plan, int err)
{
	const struct virtpmem_step *step = plan ? plan_failure(plan) : NULL;
	_cleanup_free_ char *error = NULL;

	if (!step)
		return xstrdup(regions_why(p, dev, err));
	if (is_obstacle(step))
		return xstrdup(virtpmem_step_get_text(step));
	error = step_error(step);
	return xasprintf("%s: %s", virtpmem_step_get_text(step), error);
}

void plan_report(struct pmemctl *p, const char *dev, struct virtpmem_plan *plan, int err,
		 const char *did)
{
	_cleanup_free_ char *why = plan_why(p, dev, plan, err);
	struct output *out = &p->out;

	switch (err) {
	case -ENODEV:
	case -ESTALE:
		output_error(out, dev, ERROR_GONE, "the region went away and was not %s: %s; "
			     "'pmemctl list' shows what is there", did, why);
		break;
	case -EACCES:
	case -EPERM:
		output_error(out, dev, ERROR_PERMISSION, "may not be %s: %s; try it as root", did,
			     why);
		break;
	case -EBUSY:
		output_error(out, dev, ERROR_BUSY, "busy, and was not %s: %s", did, why);
		break;
	case -EOPNOTSUPP:
		output_error(out, dev, ERROR_NOT_SUPPORTED, "cannot be %s: %s", did, why);
		break;
	case -EINTR:
		output_error(out, dev, ERROR_INTERRUPTED, "interrupted, and was not %s", did);
		break;
	case -ENOMEM:
		out_of_memory();
	default:
		output_error(out, dev, error_from_errno(err), "could not be %s: %s", did, why);
		break;
	}
}
