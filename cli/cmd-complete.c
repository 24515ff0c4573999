// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl __complete WORD...: what can stand in the place of the last word,
 * after those before it. The shell's completion asks here, so that there is no
 * second list of commands, options and names. Says nothing when it knows
 * nothing, and never fails.
 */
#include <string.h>

#include "regions.h"
#include "util.h"

struct completion {
	const char *word; /* what is there of it already */
	struct record *candidates;
};

static void offer(struct completion *c, const char *candidate)
{
	if (!strncmp(candidate, c->word, strlen(c->word)))
		record_add_string(c->candidates, NULL, candidate);
}

static void offer_options(struct completion *c, const struct option_desc *o)
{
	for (; o && o->name; o++) {
		_cleanup_free_ char *name =
			xasprintf("--%s%s", o->name, o->argument ? "=" : "");

		offer(c, name);
	}
}

static void offer_commands(struct completion *c)
{
	const struct command *command;

	for (command = commands; command->name; command++)
		if (!command->hidden)
			offer(c, command->name);
}

static void offer_regions(struct pmemctl *p, struct completion *c)
{
	_cleanup_record_ struct record *names = record_new(RECORD_ARRAY);
	const struct record *name;

	offer(c, "all");
	regions_names(p, names);
	record_foreach (names, name) {
		_cleanup_free_ char *device = xasprintf("/dev/%s", name->string);

		offer(c, name->string);
		if (*c->word == '/' && (!strncmp(name->string, "pmem", 4) ||
					!strncmp(name->string, "dax", 3)))
			offer(c, device);
	}
}

/* The option that wants the next word as its argument, or NULL. */
static bool wants_argument(const struct command *command, const char *word)
{
	const struct option_desc *o;

	for (o = command ? command->options : NULL; o && o->name; o++) {
		const char letter[] = { '-', o->letter, '\0' };

		if (o->argument && ((!strncmp(word, "--", 2) && streq(word + 2, o->name)) ||
				    (o->letter && streq(word, letter))))
			return true;
	}
	return false;
}

void cmd_complete(struct pmemctl *p)
{
	struct completion c = { .word = "" };
	const struct command *command = NULL;
	bool only_operands = false, argument = false;
	size_t i;

	c.candidates = record_add(p->out.top, "candidates", RECORD_ARRAY);
	for (i = 0; i + 1 < p->operand_count; i++) {
		const char *word = p->operands[i];

		if (argument)
			argument = false;
		else if (!only_operands && streq(word, "--"))
			only_operands = true;
		else if (!only_operands && *word == '-')
			argument = wants_argument(command, word);
		else if (!command && !(command = command_find(word)))
			return;
	}
	if (p->operand_count)
		c.word = p->operands[i];
	if (argument)
		return;
	if (*c.word == '-' && !only_operands) {
		if (command)
			offer_options(&c, command->options);
		offer_options(&c, common_options);
		if (!command)
			offer_options(&c, global_options);
	} else if (!command || command->operands == OPERANDS_COMMAND) {
		offer_commands(&c);
	} else if (command->operands == OPERANDS_REGIONS ||
		   command->operands == OPERANDS_SOME_REGIONS) {
		offer_regions(p, &c);
	}
}
