// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Verdicts as a Nagios plugin gives them: one line on standard output, with
 * performance data behind a "|", and an exit status of 0 to 3. What keeps a
 * verdict from being made is "unknown", so nothing is taken for good.
 *
 * Labels are by path, which stays the same from boot to boot.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <virtpmem/libvirtpmem.h>

#include "output.h"
#include "template.h"
#include "util.h"

enum nagios {
	NAGIOS_OK,
	NAGIOS_WARNING,
	NAGIOS_CRITICAL,
	NAGIOS_UNKNOWN,
};

static const struct {
	const char *name;
	unsigned int weight; /* of several, the heaviest counts */
} states[] = {
	[NAGIOS_OK] = { "OK", 0 },
	[NAGIOS_UNKNOWN] = { "UNKNOWN", 1 },
	[NAGIOS_WARNING] = { "WARNING", 2 },
	[NAGIOS_CRITICAL] = { "CRITICAL", 3 },
};

static enum nagios state_of(const struct record *subject)
{
	const struct record *level = record_get(subject, "health.health_state");

	if (!level || streq(level->string, "unknown"))
		return NAGIOS_UNKNOWN;
	if (streq(level->string, "ok"))
		return NAGIOS_OK;
	return streq(level->string, "non-critical") ? NAGIOS_WARNING : NAGIOS_CRITICAL;
}

static enum nagios worse(enum nagios a, enum nagios b)
{
	return states[a].weight >= states[b].weight ? a : b;
}

/* An error that only repeats a verdict is none here. */
static bool is_verdict(const struct record *error)
{
	return streq(record_get(error, "code")->string, error_name(ERROR_UNHEALTHY));
}

static enum nagios verdict(const struct output *out)
{
	const struct record *system = record_get(out->top, "system"), *r;
	enum nagios worst = system ? state_of(system) : NAGIOS_OK;

	if (!system && !out->regions->child)
		worst = NAGIOS_UNKNOWN;
	record_foreach (out->regions, r)
		worst = worse(worst, state_of(r));
	record_foreach (out->errors, r)
		if (!is_verdict(r))
			worst = worse(worst, NAGIOS_UNKNOWN);
	return worst;
}

/* ------------------------------------------------------------------- text */

/* The first separator ends "OK - ", the others part sentences. @who: NULL, or of whom. */
static void say(const char *who, const struct record *r, const char *template, unsigned int *said)
{
	_cleanup_free_ char *what = expand(r, template), *text = NULL;
	char *bar;

	if (!what)
		return;
	text = xasprintf("%s%s", who ? who : "", what);
	/* It would begin the performance data. */
	while ((bar = strchr(text, '|')))
		*bar = '/';
	printf("%s%s", (*said)++ ? "; " : "", text);
}

/* Those that are so bad by themselves. */
static void say_reasons(const struct record *subject, const char *level, unsigned int *said)
{
	const struct record *reasons = record_get(subject, "health.reasons"), *r;
	_cleanup_free_ char *who = expand(subject, "{dev}[ ({path})]: ");

	if (!reasons || !reasons->child)
		return;
	record_foreach (reasons, r)
		if (streq(record_get(r, "health_state")->string, level))
			say(who, r, "{message}", said);
}

static void say_all(const struct output *out)
{
	const struct record *system = record_get(out->top, "system"), *r;
	enum virtpmem_health_level level = VIRTPMEM_HEALTH_FATAL + 1;
	unsigned int said = 0, well = 0;

	/* The worst first: a pager may show no more than that. */
	while (level-- > VIRTPMEM_HEALTH_OK) {
		const char *name = virtpmem_health_level_name(level);

		record_foreach (out->errors, r)
			if (level == VIRTPMEM_HEALTH_UNKNOWN && !is_verdict(r))
				say(NULL, r, "[{dev}: ]{message}", &said);
		if (system)
			say_reasons(system, name, &said);
		record_foreach (out->regions, r)
			say_reasons(r, name, &said);
	}
	record_foreach (out->regions, r)
		well += state_of(r) == NAGIOS_OK;
	if (said)
		return;
	if (system)
		printf("the machine is set up well");
	else if (well)
		printf("%u region%s well", well, well == 1 ? " is" : "s are");
	else
		printf("there are no regions; 'pmemctl list' says why");
}

/* ------------------------------------------------------- performance data */

static void perf_limit(const struct output *out, const char *path)
{
	const struct record *limit = record_get(out->top, path);

	putchar(';');
	if (limit)
		printf("%" PRIu64, limit->uint);
}

/* Within quotes: one is doubled, and what would end the label or the text has no place there. */
static void perf_name(const char *name)
{
	for (; *name; name++)
		if (*name == '\'')
			printf("''");
		else
			putchar(*name == '=' || *name == '|' ? '_' : *name);
}

static void perf_region(const struct output *out, const struct record *region, bool *first)
{
	static const struct {
		const char *label, *path, *unit;
		bool limits;
	} values[] = {
		{ "host_p99", "flush.host_p99_us", "us", true },
		{ "in_flight", "flush.in_flight_us", "us", false },
		{ "queue_depth", "flush.queue_depth", "", false },
		{ "requests", "flush.requests", "c", false },
		{ "host_flushes", "flush.host_flushes", "c", false },
		{ "failed_host_flushes", "flush.failed_host_flushes", "c", false },
	};
	_cleanup_free_ char *name = expand(region, "{path,dev}");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		const struct record *value = record_get(region, values[i].path);

		if (!value)
			continue;
		printf("%s'", *first ? " | " : " ");
		perf_name(name);
		printf("_%s'=%" PRIu64 "%s", values[i].label, value->uint, values[i].unit);
		*first = false;
		if (!values[i].limits)
			continue;
		perf_limit(out, "limits.warning_us");
		perf_limit(out, "limits.critical_us");
		printf(";0");
	}
}

static void nagios_finish(struct output *out)
{
	const struct record *r;
	bool first = true;

	printf("PMEM %s - ", states[verdict(out)].name);
	say_all(out);
	record_foreach (out->regions, r)
		perf_region(out, r, &first);
	putchar('\n');
}

/* A line that could not be printed says nothing. */
static int nagios_exit(const struct output *out, int written)
{
	return (int)(written ? NAGIOS_UNKNOWN : verdict(out));
}

const struct output_ops output_nagios = {
	.finish = nagios_finish,
	.exit = nagios_exit,
};
