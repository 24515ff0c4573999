// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Plans: lists of steps, and the one function that carries them out. See
 * plan.h for how they are used.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

struct virtpmem_step {
	struct virtpmem_step *next, *previous;
	enum virtpmem_step_kind kind;
	enum virtpmem_step_result result;
	int error;
	char *object, *text;
	vp_act_fn act, undo;
	size_t arg;
	bool look, always, may_fail;
};

struct virtpmem_plan {
	unsigned int refs;
	struct virtpmem_ctx *ctx;
	struct virtpmem_step *first, *last;
	void *kept;
	void (*drop)(void *kept);
};

VP_EXPORT const char *virtpmem_step_kind_name(enum virtpmem_step_kind kind)
{
	static const char *const names[] = {
		[VIRTPMEM_STEP_CHECK] = "check",
		[VIRTPMEM_STEP_WARN] = "warn",
		[VIRTPMEM_STEP_SYNC] = "sync",
		[VIRTPMEM_STEP_GUARD] = "guard",
		[VIRTPMEM_STEP_FREEZE] = "freeze",
		[VIRTPMEM_STEP_THAW] = "thaw",
		[VIRTPMEM_STEP_FLUSH] = "flush",
		[VIRTPMEM_STEP_QUIESCE] = "quiesce",
		[VIRTPMEM_STEP_RESUME] = "resume",
		[VIRTPMEM_STEP_DISABLE] = "disable",
		[VIRTPMEM_STEP_ENABLE] = "enable",
		[VIRTPMEM_STEP_UNBIND] = "unbind",
		[VIRTPMEM_STEP_BIND] = "bind",
		[VIRTPMEM_STEP_LOAD] = "load",
		[VIRTPMEM_STEP_RECOVER] = "recover",
		[VIRTPMEM_STEP_SET] = "set",
		[VIRTPMEM_STEP_SAVE] = "save",
		[VIRTPMEM_STEP_VERIFY] = "verify",
		[VIRTPMEM_STEP_ACKNOWLEDGE] = "acknowledge",
	};

	return (unsigned int)kind < ARRAY_SIZE(names) ? names[kind] : NULL;
}

VP_EXPORT const char *virtpmem_step_result_name(enum virtpmem_step_result result)
{
	static const char *const names[] = {
		[VIRTPMEM_RESULT_PLANNED] = "planned",
		[VIRTPMEM_RESULT_DONE] = "done",
		[VIRTPMEM_RESULT_NOT_NEEDED] = "not_needed",
		[VIRTPMEM_RESULT_FAILED] = "failed",
		[VIRTPMEM_RESULT_NOT_DONE] = "not_done",
		[VIRTPMEM_RESULT_UNDONE] = "undone",
	};

	return (unsigned int)result < ARRAY_SIZE(names) ? names[result] : NULL;
}

/* ---------------------------------------------------------------- life */

int vp_plan_new(struct virtpmem_ctx *ctx, struct virtpmem_plan **ret)
{
	struct virtpmem_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return -ENOMEM;
	plan->refs = 1;
	plan->ctx = ctx;
	*ret = plan;
	return 0;
}

VP_EXPORT struct virtpmem_plan *virtpmem_plan_ref(struct virtpmem_plan *plan)
{
	plan->refs++;
	return plan;
}

static void step_free(struct virtpmem_step *step)
{
	free(step->object);
	free(step->text);
	free(step);
}

VP_EXPORT struct virtpmem_plan *virtpmem_plan_unref(struct virtpmem_plan *plan)
{
	struct virtpmem_step *step;

	if (!plan || --plan->refs)
		return NULL;
	while ((step = plan->first)) {
		plan->first = step->next;
		step_free(step);
	}
	if (plan->kept)
		plan->drop(plan->kept);
	free(plan);
	return NULL;
}

/* ------------------------------------------------------------- planning */

static int add(struct virtpmem_plan *plan, const struct vp_step *from, const char *format,
	       va_list args)
{
	struct virtpmem_step *step = calloc(1, sizeof(*step));

	if (!step)
		return -ENOMEM;
	if (vasprintf(&step->text, format, args) < 0)
		step->text = NULL;
	step->object = from->object ? strdup(from->object) : NULL;
	if (!step->text || (from->object && !step->object)) {
		step_free(step);
		return -ENOMEM;
	}
	step->kind = from->kind;
	step->act = from->act;
	step->undo = from->undo;
	step->arg = from->arg;
	step->look = from->look;
	step->always = from->always;
	step->may_fail = from->may_fail;

	step->previous = plan->last;
	if (plan->last)
		plan->last->next = step;
	else
		plan->first = step;
	plan->last = step;
	return 0;
}

/* The text is a sentence without a full stop, about what is to be done. */
int vp_plan_add(struct virtpmem_plan *plan, const struct vp_step *step, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = add(plan, step, format, args);
	va_end(args);
	return r;
}

static int act_refuse(void *op, size_t arg)
{
	(void)op;
	return -(int)arg;
}

/* Something is in the way: the plan will fail with @error, a negative errno. */
int vp_plan_refuse(struct virtpmem_plan *plan, int error, const char *object,
		   const char *format, ...)
{
	const struct vp_step step = {
		.kind = VIRTPMEM_STEP_CHECK,
		.object = object,
		.act = act_refuse,
		.arg = (size_t)-error,
		.look = true,
	};
	va_list args;
	int r;

	va_start(args, format);
	r = add(plan, &step, format, args);
	va_end(args);
	return r;
}

/* Something that whoever reads the plan should know. */
int vp_plan_warn(struct virtpmem_plan *plan, const char *object, const char *format, ...)
{
	const struct vp_step step = {
		.kind = VIRTPMEM_STEP_WARN,
		.object = object,
		.act = act_refuse,
		.look = true,
	};
	va_list args;
	int r;

	va_start(args, format);
	r = add(plan, &step, format, args);
	va_end(args);
	return r;
}

/* What is to live as long as the plan: one thing. */
void vp_plan_keep(struct virtpmem_plan *plan, void *what, void (*drop)(void *what))
{
	plan->kept = what;
	plan->drop = drop;
}

/* ------------------------------------------------------------- carrying out */

/* Take back, from the last to the first, what was done and can be taken back. */
void vp_plan_undo(struct virtpmem_plan *plan, void *op)
{
	struct virtpmem_step *step;

	for (step = plan->last; step; step = step->previous) {
		int r;

		if (!step->undo || step->result != VIRTPMEM_RESULT_DONE)
			continue;
		r = step->undo(op, step->arg);
		if (r >= 0) {
			step->result = VIRTPMEM_RESULT_UNDONE;
			continue;
		}
		step->error = r;
		vp_err(plan->ctx, "cannot take back: %s: %s", step->text, strerror(-r));
	}
}

static int run_step(struct virtpmem_plan *plan, struct virtpmem_step *step, void *op)
{
	int r = step->act(op, step->arg);

	if (r < 0) {
		step->result = VIRTPMEM_RESULT_FAILED;
		step->error = r;
		vp_err(plan->ctx, "%s: %s", step->text, strerror(-r));
		return r;
	}
	step->result = r == VP_NOT_NEEDED ? VIRTPMEM_RESULT_NOT_NEEDED : VIRTPMEM_RESULT_DONE;
	vp_debug(plan->ctx, "%s: %s", step->text, virtpmem_step_result_name(step->result));
	return 0;
}

/* Returns 0, or the error of the first step that failed; the others are taken back. */
int vp_plan_run(struct virtpmem_plan *plan, void *op, unsigned int flags)
{
	const bool dry = flags & VIRTPMEM_DRY_RUN;
	struct virtpmem_step *step;
	int r, error = 0;

	for (step = plan->first; step; step = step->next) {
		if (!step->look && (dry || (error && !step->always))) {
			step->result = error ? VIRTPMEM_RESULT_NOT_DONE : VIRTPMEM_RESULT_PLANNED;
			continue;
		}
		r = run_step(plan, step, op);
		if (r < 0 && !error && !step->may_fail)
			error = r;
	}
	if (error)
		vp_plan_undo(plan, op);
	return error;
}

/*
 * The end of a call: hands the plan to the caller, if it wants one, also when
 * @r is an error; passes @r on.
 */
int vp_plan_give(struct virtpmem_plan *plan, int r, struct virtpmem_plan **ret)
{
	plan->ctx = NULL;
	if (ret)
		*ret = virtpmem_plan_ref(plan);
	return r;
}

/* -------------------------------------------------------------- reading */

VP_EXPORT struct virtpmem_step *virtpmem_step_get_first(struct virtpmem_plan *plan)
{
	return plan->first;
}

VP_EXPORT struct virtpmem_step *virtpmem_step_get_next(struct virtpmem_step *step)
{
	return step->next;
}

VP_EXPORT enum virtpmem_step_kind virtpmem_step_get_kind(const struct virtpmem_step *step)
{
	return step->kind;
}

VP_EXPORT const char *virtpmem_step_get_object(const struct virtpmem_step *step)
{
	return step->object;
}

VP_EXPORT const char *virtpmem_step_get_text(const struct virtpmem_step *step)
{
	return step->text;
}

VP_EXPORT enum virtpmem_step_result virtpmem_step_get_result(const struct virtpmem_step *step)
{
	return step->result;
}

VP_EXPORT int virtpmem_step_get_error(const struct virtpmem_step *step)
{
	return step->error;
}
