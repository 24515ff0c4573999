// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl __complete WORD...: what can stand in the place of the last word,
 * after those before it. The shell's completion asks here, so that there is no
 * second list of commands, options and names. Says nothing when it knows
 * nothing, and never fails.
 */
#include <string.h>

#include "columns.h"
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

/* The option with an argument that @word, of which @len bytes count, is; or NULL. */
static const struct option_desc *find_option(const struct command *command, const char *word,
					     size_t len)
{
	const struct option_desc *table[] = { command ? command->options : NULL, common_options };
	const struct option_desc *o;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		for (o = table[i]; o && o->name; o++) {
			const char letter[] = { '-', o->letter, '\0' };

			if (!o->argument)
				continue;
			if (len > 2 && !strncmp(word, "--", 2) && strlen(o->name) == len - 2 &&
			    !strncmp(word + 2, o->name, len - 2))
				return o;
			if (o->letter && len == 2 && !strncmp(word, letter, 2))
				return o;
		}
	return NULL;
}

/* A column, after those that are there already. */
static void offer_columns(struct completion *c, const struct command *command, const char *before)
{
	_cleanup_record_ struct record *list = record_new(RECORD_ARRAY);
	const char *typed = c->word + strlen(before), *comma = strrchr(typed, ',');
	int kept = comma ? (int)(comma + 1 - typed) : *typed == '+';
	const struct record *r;

	columns_add(command, list);
	record_foreach (list, r) {
		_cleanup_free_ char *whole = xasprintf("%s%.*s%s", before, kept, typed,
						       record_get(r, "column")->string);

		offer(c, whole);
	}
}

/* What the argument of an option can be; @word is what is there of it, behind @before. */
static void offer_values(struct completion *c, const struct command *command,
			 const struct option_desc *o, const char *before)
{
	const char *const *v;

	if (o->id == OPTION_OUTPUT)
		offer_columns(c, command, before);
	for (v = o->values; v && *v; v++) {
		_cleanup_free_ char *whole = xasprintf("%s%s", before, *v);

		offer(c, whole);
	}
}

/* An option, or its argument behind "=". */
static void complete_option(struct completion *c, const struct command *command)
{
	size_t len = strcspn(c->word, "=");
	const struct option_desc *o = find_option(command, c->word, len);

	if (c->word[len] && o) {
		_cleanup_free_ char *before = xasprintf("%.*s=", (int)len, c->word);

		offer_values(c, command, o, before);
		return;
	}
	if (command)
		offer_options(c, command->options);
	offer_options(c, common_options);
	if (!command)
		offer_options(c, global_options);
}

static void offer_settings(struct completion *c)
{
	unsigned int i;

	for (i = 0; i < VIRTPMEM_SETTING_COUNT; i++) {
		_cleanup_free_ char *assignment = xasprintf("%s=", virtpmem_setting_name(i));

		offer(c, assignment);
	}
}

static void offer_devices(struct pmemctl *p, struct completion *c)
{
	_cleanup_record_ struct record *paths = record_new(RECORD_ARRAY);
	const struct record *path;

	regions_without_driver(p, paths);
	record_foreach (paths, path)
		offer(c, path->string);
}

void cmd_complete(struct pmemctl *p)
{
	struct completion c = { .word = "" };
	const struct command *command = NULL;
	const struct option_desc *option = NULL; /* which wants the next word */
	size_t i, operands = 0; /* those before it */
	bool only_operands = false;

	c.candidates = record_add(p->out.top, "candidates", RECORD_ARRAY);
	for (i = 0; i + 1 < p->operand_count; i++) {
		const char *word = p->operands[i];

		if (option)
			option = NULL;
		else if (!only_operands && streq(word, "--"))
			only_operands = true;
		else if (!only_operands && *word == '-')
			option = find_option(command, word, strlen(word));
		else if (command)
			operands++;
		else if (!(command = command_find(word)))
			return;
	}
	if (p->operand_count)
		c.word = p->operands[i];
	/* What another command takes is not known here. */
	if (only_operands && command && command->operands == OPERANDS_COMMAND_LINE)
		return;
	if (option)
		offer_values(&c, command, option, "");
	else if (*c.word == '-' && !only_operands)
		complete_option(&c, command);
	else if (!command || command->operands == OPERANDS_COMMAND)
		offer_commands(&c);
	else if (command->operands == OPERANDS_SETTINGS && operands)
		offer_settings(&c);
	else if (command->operands == OPERANDS_REGIONS ||
		 command->operands == OPERANDS_REGIONS_INTERVAL ||
		 command->operands == OPERANDS_SOME_REGIONS ||
		 command->operands == OPERANDS_COMMAND_LINE ||
		 command->operands == OPERANDS_SETTINGS)
		offer_regions(p, &c);
	else if (command->operands == OPERANDS_PATHS)
		offer_devices(p, &c);
}
