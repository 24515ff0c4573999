/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plans: what a call that changes something would do, is doing and has done,
 * step by step. How a call uses one:
 *
 *	lock the region, look at everything, add steps, vp_plan_run().
 *
 * A dry run is the same but for vp_plan_run(), which then carries out only the
 * steps that change nothing.
 */
#ifndef VIRTPMEM_LIB_PLAN_H
#define VIRTPMEM_LIB_PLAN_H

#include "private.h"

/* What an action returns when there was nothing to do; else 0 or -errno. */
#define VP_NOT_NEEDED	1

/* @op is what the call gave to vp_plan_run(), @arg what it gave to the step. */
typedef int (*vp_act_fn)(void *op, size_t arg);

/*
 * @act: carries the step out. @undo: takes it back after a later one has
 * failed; NULL: it stays. @look: changes nothing, so that it is carried out in
 * a dry run too, and also after another look has failed: all that is in the
 * way is told. @always: is carried out also after another step has
 * failed. @may_fail: if it does, the others go on.
 */
struct vp_step {
	enum virtpmem_step_kind kind;
	const char *object;
	vp_act_fn act, undo;
	size_t arg;
	bool look, always, may_fail;
};

int vp_plan_new(struct virtpmem_ctx *ctx, struct virtpmem_plan **ret);
int vp_plan_add(struct virtpmem_plan *plan, const struct vp_step *step, const char *format, ...)
	__attribute__((__format__(__printf__, 3, 4)));
int vp_plan_refuse(struct virtpmem_plan *plan, int error, const char *object,
		   const char *format, ...) __attribute__((__format__(__printf__, 4, 5)));
int vp_plan_warn(struct virtpmem_plan *plan, const char *object, const char *format, ...)
	__attribute__((__format__(__printf__, 3, 4)));
void vp_plan_keep(struct virtpmem_plan *plan, void *what, void (*drop)(void *what));
int vp_plan_run(struct virtpmem_plan *plan, void *op, unsigned int flags);
void vp_plan_undo(struct virtpmem_plan *plan, void *op);
int vp_plan_give(struct virtpmem_plan *plan, int r, struct virtpmem_plan **ret);

#endif /* VIRTPMEM_LIB_PLAN_H */
