/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands that change something have in common: the library's plan as
 * a record, and as the reason of an error.
 */
#ifndef PMEMCTL_PLAN_H
#define PMEMCTL_PLAN_H

#include "pmemctl.h"

/* The flags that --dry-run, --force and --accept-data-loss stand for. */
unsigned int plan_flags(const struct pmemctl *p);

/*
 * What became of a call: adds "outcome" to @r, the record of its region or device,
 * and the plan's obstacles, warnings and steps. @plan: NULL if none was made. @err:
 * what the call returned.
 */
void plan_describe(const struct pmemctl *p, struct record *r, struct virtpmem_plan *plan, int err);

/* The same, with an outcome that the caller knows better. */
void plan_describe_as(struct record *r, struct virtpmem_plan *plan, const char *outcome);

/* Adds the obstacles, warnings and steps of one more plan to @r. */
void plan_add(struct record *r, struct virtpmem_plan *plan);

/* Takes those warnings out of @r again that @is_moot says are, by their object. */
void plan_drop_warnings(struct record *r, bool (*is_moot)(const char *object, const void *data),
			const void *data);

/*
 * plan_describe() for a region, handed to the output. Without a plan nothing is,
 * because nothing was looked at.
 */
void plan_show(struct pmemctl *p, struct virtpmem_region *region, struct virtpmem_plan *plan,
	       int err);

/* The first thing that is in the way, or NULL. */
const struct virtpmem_step *plan_obstacle(struct virtpmem_plan *plan);

/* The first step that failed, or NULL. An obstacle is one, too. */
const struct virtpmem_step *plan_failure(struct virtpmem_plan *plan);

/*
 * Why the plan failed, for a message about @dev: the first of its steps that did, with
 * its errno in words unless it is an obstacle, which speaks for itself. Without such
 * a step as regions_why(). The caller frees.
 */
char *plan_why(const struct pmemctl *p, const char *dev, struct virtpmem_plan *plan, int err);

/*
 * The errors that mean the same for every command, each with what to do; @did: what
 * was tried, such as "recovered".
 */
void plan_report(struct pmemctl *p, const char *dev, struct virtpmem_plan *plan, int err,
		 const char *did);

#endif /* PMEMCTL_PLAN_H */
