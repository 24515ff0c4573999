// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl health: the verdict on regions, or on the machine's set-up, with each
 * reason and its remedy; also in the form of a Nagios plugin. Acknowledging that flushes
 * have failed on the host is the one thing that changes the verdict, and is said.
 */
#include <errno.h>

#include "health.h"
#include "holders.h"
#include "plan.h"
#include "util.h"
#include "views.h"

const struct option_desc health_options[] = {
	{ OPTION_SYSTEM, 's', "system", NULL, "judge the machine's set-up instead of regions",
	  NULL },
	{ OPTION_NAGIOS, '\0', "nagios", NULL,
	  "print one line and exit with 0 to 3, as a Nagios plugin does", NULL },
	{ OPTION_WARNING, 'w', "warning", "MS",
	  "non-critical if one host flush in a hundred takes longer", NULL },
	{ OPTION_CRITICAL, 'c', "critical", "MS",
	  "critical if one host flush in a hundred takes longer", NULL },
	{ OPTION_ACKNOWLEDGE, 'a', "acknowledge", NULL,
	  "note that failed flushes of the host were seen, which ends that reason", NULL },
	OPTION_DESC_DRY_RUN,
	{ .name = NULL },
};

/* Milliseconds with up to three decimals, which are microseconds. Returns: false if malformed. */
static bool parse_limit(struct pmemctl *p, enum option_id id, const char *name, uint64_t *us)
{
	unsigned int thousandths;

	if (!p->option[id])
		return true;
	if (!option_parse_seconds(p->option[id], &thousandths)) {
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--%s needs milliseconds from 0.001 to 4294967, such as 20 or 2.5, "
			     "not '%s'", name, p->option[id]);
		return false;
	}
	*us = thousandths;
	return true;
}

static bool parse_limits(struct pmemctl *p, struct health_limits *limits)
{
	if (!parse_limit(p, OPTION_WARNING, "warning", &limits->warning_us) ||
	    !parse_limit(p, OPTION_CRITICAL, "critical", &limits->critical_us))
		return false;
	if (!limits->critical_us || limits->warning_us <= limits->critical_us)
		return true;
	output_error(&p->out, NULL, ERROR_USAGE,
		     "--warning=%s is higher than --critical=%s; swap them",
		     p->option[OPTION_WARNING], p->option[OPTION_CRITICAL]);
	return false;
}

static void add_limits(struct pmemctl *p, const struct health_limits *limits)
{
	struct record *r;

	if (!limits->warning_us && !limits->critical_us)
		return;
	r = record_add(p->out.top, "limits", RECORD_OBJECT);
	if (limits->warning_us)
		record_add_uint(r, "warning_us", limits->warning_us);
	if (limits->critical_us)
		record_add_uint(r, "critical_us", limits->critical_us);
}

/* Who asks for health wants to know it from the exit status, too. */
static void report(struct pmemctl *p, const char *dev, enum virtpmem_health_level level)
{
	if (level >= VIRTPMEM_HEALTH_CRITICAL)
		output_error(&p->out, dev, ERROR_UNHEALTHY, "its health is %s",
			     virtpmem_health_level_name(level));
}

static void health_of_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	struct reader rd = { .p = p, .region = region };
	enum virtpmem_health_level level;
	struct health_limits limits = { 0 };
	struct record *r;
	int err;

	parse_limits(p, &limits);
	if (virtpmem_region_snapshot_begin(region) < 0)
		out_of_memory();
	r = regions_describe(p, region, p->out.ops == &output_nagios ? DESCRIBE_FULL :
								       DESCRIBE_NAMES);
	if (r) {
		/* Without it, mounts are not judged; who may not see them is told by "holders". */
		err = virtpmem_region_get_holders(region, HOLDERS_PASSIVE, &holders);
		if (err == -ENOMEM)
			out_of_memory();
		level = health_add(&rd, holders, &limits, r);
		if (rd.gone) {
			record_free(r);
		} else {
			output_region(&p->out, r);
			report(p, virtpmem_region_get_devname(region), level);
		}
	}
	virtpmem_region_snapshot_end(region);
}

static void health_of_system(struct pmemctl *p)
{
	struct record *r;

	if (!regions_scan(p))
		return;
	r = record_add(p->out.top, "system", RECORD_OBJECT);
	report(p, NULL, health_add_system(p, r));
}

/* ------------------------------------------------------- acknowledging */

static void acknowledge_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_virtpmem_plan_unref_ struct virtpmem_plan *plan = NULL;
	const char *dev = virtpmem_region_get_devname(region);
	int err;

	regions_forget_log(p);
	err = virtpmem_region_acknowledge_errors(region, plan_flags(p), &plan);
	plan_show(p, region, plan, err);
	if (err == -EOPNOTSUPP && !plan)
		output_error(&p->out, dev, ERROR_NOT_SUPPORTED,
			     "has no errors that can be acknowledged: its driver counts none, or it "
			     "has no path; this project's virtio_pmem counts them");
	else if (err < 0)
		plan_report(p, dev, plan, err, "acknowledged");
}

/* The first option that asks for a verdict, as all do but two; or NULL. */
static const char *verdict_option(const struct pmemctl *p)
{
	const struct option_desc *o;

	for (o = health_options; o->name; o++)
		if (p->option[o->id] && o->id != OPTION_ACKNOWLEDGE && o->id != OPTION_DRY_RUN)
			return o->name;
	return NULL;
}

static bool check_acknowledge(struct pmemctl *p)
{
	const char *other = verdict_option(p);

	if (!p->option[OPTION_ACKNOWLEDGE])
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--dry-run goes with --acknowledge: the rest of 'pmemctl health' only "
			     "looks");
	else if (other)
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--acknowledge does something, and --%s asks for a verdict; leave one "
			     "out", other);
	else if (!p->operand_count)
		output_error(&p->out, NULL, ERROR_USAGE,
			     "'pmemctl health --acknowledge' needs a region, or 'all'; 'pmemctl "
			     "list' shows the regions");
	else
		return true;
	return false;
}

/* ------------------------------------------------------------ the command */

static bool check_options(struct pmemctl *p, struct health_limits *limits)
{
	if (p->option[OPTION_NAGIOS] && p->option[OPTION_JSON])
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--nagios prints no JSON but a line of its own; leave one out");
	else if (p->option[OPTION_SYSTEM] && p->operand_count)
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--system is about the machine, and not about '%s'; leave one out",
			     p->operands[0]);
	else
		return parse_limits(p, limits);
	return false;
}

void cmd_health(struct pmemctl *p)
{
	struct health_limits limits = { 0 };

	if (p->option[OPTION_ACKNOWLEDGE] || p->option[OPTION_DRY_RUN]) {
		p->out.view = &view_acknowledge;
		if (check_acknowledge(p))
			regions_each(p, acknowledge_region);
		return;
	}
	if (!check_options(p, &limits))
		return;
	add_limits(p, &limits);
	if (p->option[OPTION_SYSTEM])
		health_of_system(p);
	else
		regions_each(p, health_of_region);
}
