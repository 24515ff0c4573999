// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The columns that tables of regions can have; see columns.h. A column is a row
 * here and in the manual page of each command that has it.
 */
#include <string.h>

#include "columns.h"
#include "suggest.h"
#include "util.h"

struct column {
	const char *name;
	bool full; /* only where everything about a region is known: "status" */
	const char *help;
	struct cell cell;
};

static const struct column columns[] = {
	{ "dev", false, "name of the region", { .head = "NAME", .text = "{dev}" } },
	{ "path", false, "where the device is attached; it is stable",
	  { .head = "PATH", .text = "{path}" } },
	{ "size", false, "size", { .head = "SIZE", .text = "{size}", .right = true } },
	{ "available", false, "size that no namespace uses",
	  { .head = "AVAILABLE", .text = "{available_size}", .right = true } },
	{ "type", false, "kind of memory", { .head = "TYPE", .text = "{type}" } },
	{ "node", false, "NUMA node", { .head = "NODE", .text = "{numa_node}", .right = true } },
	{ "provider", false, "name of the bus", { .head = "PROVIDER", .text = "{provider}" } },
	{ "driver", false, "who serves flushes", { .head = "DRIVER", .text = "{flush.driver}" } },
	{ "state", false, "state of the flush engine",
	  { .head = "STATE", .text = "{flush.state}[:{flush.broken_reason}]",
	    .tone = "flush.state" } },
	{ "namespaces", false, "namespaces",
	  { .head = "NAMESPACES", .text = "{namespaces.*.dev}" } },
	{ "mode", false, "what each of them is made into",
	  { .head = "MODE", .text = "{namespaces.*.mode}" } },
	{ "devices", false, "their block and DAX devices",
	  { .head = "DEVICES", .text = "{namespaces.*.blockdev,chardev}" } },
	{ "health", true, "verdict",
	  { .head = "HEALTH", .text = "{health.health_state}", .tone = "health.health_state" } },
	{ "why", true, "what is wrong", { .head = "WHY", .text = "{health.reasons.*.code}" } },
	{ "since", true, "for how long the state has been so",
	  { .head = "SINCE", .text = "{flush.state_age_ns}", .right = true } },
	{ "method", true, "how it would be flushed",
	  { .head = "METHOD", .text = "{flush.method}" } },
	{ "policy", true, "what a failed host flush does",
	  { .head = "POLICY", .text = "{flush.error_policy}" } },
	{ "rate", true, "requests a second, now",
	  { .head = "REQ/s", .text = "{stat.requests_per_s_milli}", .right = true } },
	{ "host-rate", true, "host flushes a second, now",
	  { .head = "HOST/s", .text = "{stat.host_flushes_per_s_milli}", .right = true } },
	{ "mean", true, "mean latency of a host flush since the driver was bound",
	  { .head = "MEAN", .text = "{flush.host_mean_ns}", .right = true } },
	{ "p99", true, "one host flush in a hundred took so long or longer",
	  { .head = "P99", .text = "{flush.host_p99_us}", .right = true } },
	{ "max", true, "longest host flush",
	  { .head = "MAX", .text = "{flush.host_max_ns}", .right = true } },
	{ "waiting", true, "requests that wait",
	  { .head = "WAITING", .text = "{flush.queue_depth}", .right = true } },
	{ "failed", true, "host flushes that failed",
	  { .head = "FAILED", .text = "{flush.failed_host_flushes}", .right = true } },
	{ "used", true, "whether anybody uses it", { .head = "USED", .text = "{in_use}" } },
};

static const struct column *find(const struct command *command, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++)
		if (strlen(columns[i].name) == len && !memcmp(columns[i].name, name, len) &&
		    (command->all_columns || !columns[i].full))
			return &columns[i];
	return NULL;
}

static void unknown(struct pmemctl *p, const char *name, size_t len)
{
	_cleanup_free_ char *word = xasprintf("%.*s", (int)len, name);
	struct suggestion s;
	size_t i;

	suggest_start(&s, word);
	for (i = 0; i < ARRAY_SIZE(columns); i++)
		if (p->command->all_columns || !columns[i].full)
			suggest_consider(&s, columns[i].name);
	if (s.best)
		output_error(&p->out, NULL, ERROR_USAGE,
			     "there is no column '%s'; did you mean '%s'?", word, s.best);
	else
		output_error(&p->out, NULL, ERROR_USAGE,
			     "there is no column '%s'; 'pmemctl %s --help' shows them", word,
			     p->command->name);
}

/* Adds the columns of a list with commas. Returns: false if one is not known. */
static bool take(struct pmemctl *p, const char *list)
{
	const struct column *column;
	size_t len, count = 0;

	while (p->columns && p->columns[count].text)
		count++;
	for (;; list += len + 1) {
		len = strcspn(list, ",");
		column = find(p->command, list, len);
		if (!column) {
			unknown(p, list, len);
			return false;
		}
		p->columns = xreallocarray(p->columns, count + 2, sizeof(*p->columns));
		p->columns[count++] = column->cell;
		p->columns[count] = (struct cell){ .text = NULL };
		if (!list[len])
			break;
	}
	p->out.columns = p->columns;
	return true;
}

bool columns_choose(struct pmemctl *p)
{
	const char *wanted = p->option[OPTION_OUTPUT];

	if (!wanted)
		return take(p, p->command->columns);
	if (*wanted == '+')
		return take(p, p->command->columns) && take(p, wanted + 1);
	return take(p, wanted);
}

void columns_add(const struct command *command, struct record *list)
{
	size_t i;

	for (i = 0; command->columns && i < ARRAY_SIZE(columns); i++) {
		struct record *r;

		if (columns[i].full && !command->all_columns)
			continue;
		r = record_add(list, NULL, RECORD_OBJECT);
		record_add_string(r, "column", columns[i].name);
		record_add_string(r, "help", columns[i].help);
	}
}
