// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl help, and --help of every command: what the tables of commands and
 * options say.
 */

#include "columns.h"
#include "util.h"

static void describe_options(struct record *list, const struct option_desc *o)
{
	for (; o && o->name; o++) {
		struct record *r = record_add(list, NULL, RECORD_OBJECT);
		_cleanup_free_ char *name = xasprintf("--%s", o->name);
		const char letter[] = { '-', o->letter, '\0' };

		record_add_string(r, "option", name);
		if (o->letter)
			record_add_string(r, "short", letter);
		if (o->argument)
			record_add_string(r, "argument", o->argument);
		record_add_string(r, "help", o->help);
	}
}

static void add_examples(struct record *list, const struct example *e)
{
	for (; e && e->command; e++) {
		struct record *r = record_add(list, NULL, RECORD_OBJECT);
		_cleanup_free_ char *command = xasprintf("pmemctl %s", e->command);

		record_add_string(r, "example", command);
		record_add_string(r, "help", e->what);
	}
}

static char *usage_of(const struct command *c)
{
	static const char *const words[] = {
		[OPERANDS_NONE] = "",
		[OPERANDS_REGIONS] = " [REGION...]",
		[OPERANDS_REGIONS_INTERVAL] = " [REGION...] [INTERVAL [COUNT]]",
		[OPERANDS_SOME_REGIONS] = " REGION...|all",
		[OPERANDS_COMMAND_LINE] = " REGION...|all",
		[OPERANDS_SETTINGS] = " REGION|all [NAME[=VALUE]...]",
		[OPERANDS_PATHS] = " PATH...",
		[OPERANDS_COMMAND] = " [COMMAND]",
		[OPERANDS_RAW] = " [WORD...]",
	};

	return xasprintf("pmemctl %s%s [OPTION...]%s", c->name, words[c->operands],
			 c->operands == OPERANDS_COMMAND_LINE ? " [-- COMMAND...]" : "");
}

static void add_command(struct record *list, const struct command *c)
{
	struct record *r = record_add(list, NULL, RECORD_OBJECT), *options;
	_cleanup_free_ char *usage = usage_of(c);

	record_add_string(r, "name", c->name);
	record_add_string(r, "usage", usage);
	record_add_string(r, "summary", c->summary);
	options = record_add(r, "options", RECORD_ARRAY);
	describe_options(options, c->options);
	describe_options(options, common_options);
	if (c->columns)
		columns_add(c, record_add(r, "columns", RECORD_ARRAY));
	add_examples(record_add(r, "examples", RECORD_ARRAY), c->examples);
}

/* The command that help is wanted of: of itself only if so asked. */
static const struct command *subject(const struct pmemctl *p)
{
	if (!p->command)
		return NULL;
	if (p->command->operands == OPERANDS_COMMAND && p->operand_count)
		return command_find(p->operands[0]);
	if (p->option[OPTION_HELP])
		return p->command;
	return NULL;
}

void cmd_help(struct pmemctl *p)
{
	const struct command *c = subject(p);
	struct record *list, *options;

	p->out.view = c ? &view_help_command : &view_help;
	if (!c)
		record_add_string(p->out.top, "usage", "pmemctl COMMAND [REGION...] [OPTION...]");
	list = record_add(p->out.top, "commands", RECORD_ARRAY);
	if (c) {
		add_command(list, c);
		return;
	}
	for (c = commands; c->name; c++)
		if (!c->hidden)
			add_command(list, c);
	options = record_add(p->out.top, "options", RECORD_ARRAY);
	describe_options(options, common_options);
	describe_options(options, global_options);
}
