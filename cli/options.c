// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line. One parser over tables of options, instead of getopt(3):
 * it goes on after a mistake, so that a later --json still decides how the
 * mistake is reported, and it knows enough to suggest what was meant.
 */
#include <stdint.h>
#include <string.h>

#include "pmemctl.h"
#include "suggest.h"
#include "util.h"

static const char *const color_values[] = { "always", "auto", "never", NULL };

const struct option_desc common_options[] = {
	{ OPTION_JSON, 'j', "json", NULL, "print one JSON object, see pmemctl-json(5)", NULL },
	{ OPTION_HUMAN, 'u', "human", NULL, "with --json, print sizes and times with a unit",
	  NULL },
	{ OPTION_SI, '\0', "si", NULL, "in text, print sizes in powers of 1000: MB, not MiB",
	  NULL },
	{ OPTION_COLOR, '\0', "color", "WHEN", "use colour: always, never, or auto (the default)",
	  color_values },
	{ OPTION_HELP, 'h', "help", NULL, "show this help", NULL },
	{ .name = NULL },
};

/* Only before a command. */
const struct option_desc global_options[] = {
	{ OPTION_VERSION, '\0', "version", NULL, "show the versions", NULL },
	{ .name = NULL },
};

struct parser {
	struct pmemctl *p;
	char **arg;	     /* the next argument; ends with NULL */
	const char *unknown; /* the first word, if it is no command */
};

static void usage(struct pmemctl *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void usage(struct pmemctl *p, const char *fmt, ...)
{
	va_list ap;

	if (p->usage_error)
		return;
	va_start(ap, fmt);
	p->usage_error = xvasprintf(fmt, ap);
	va_end(ap);
}

/* The options that may come now: those of all commands, and those of this one. */
static void tables(const struct pmemctl *p, const struct option_desc *table[2])
{
	table[0] = common_options;
	table[1] = p->command ? p->command->options : global_options;
}

static const struct option_desc *option_find(const struct pmemctl *p, const char *name, size_t len,
					     char letter)
{
	const struct option_desc *table[2], *o;
	unsigned int i;

	tables(p, table);
	for (i = 0; i < ARRAY_SIZE(table); i++)
		for (o = table[i]; o && o->name; o++)
			if (name ? strlen(o->name) == len && !memcmp(o->name, name, len)
				 : o->letter && o->letter == letter)
				return o;
	return NULL;
}

static const char *command_name(const struct pmemctl *p)
{
	return p->command ? p->command->name : "";
}

static void unknown_option(struct pmemctl *p, const char *name, size_t len)
{
	_cleanup_free_ char *wanted = xasprintf("%.*s", (int)len, name);
	const struct option_desc *table[2], *o;
	struct suggestion s;
	unsigned int i;

	suggest_start(&s, wanted);
	tables(p, table);
	for (i = 0; i < ARRAY_SIZE(table); i++)
		for (o = table[i]; o && o->name; o++)
			suggest_consider(&s, o->name);
	if (s.best)
		usage(p, "unknown option '--%s'; did you mean '--%s'?", wanted, s.best);
	else
		usage(p, "unknown option '--%s'; 'pmemctl %s%s--help' shows the options", wanted,
		      command_name(p), p->command ? " " : "");
}

/* The argument of an option that takes one of some words, or a file. */
static void check_value(struct pmemctl *p, const struct option_desc *o)
{
	const char *value = p->option[o->id];
	_cleanup_free_ char *words = NULL;
	const char *const *v;

	if (value && !*value && o->argument && streq(o->argument, "FILE"))
		usage(p, "option '--%s' needs the name of a file, not ''", o->name);
	if (!value || !o->values)
		return;
	for (v = o->values; *v; v++)
		if (streq(*v, value))
			return;
	words = xstrdup("");
	for (v = o->values; *v; v++) {
		char *longer = xasprintf("%s%s%s", words, *words ? ", " : "", *v);
		free(words);
		words = longer;
	}
	usage(p, "option '--%s' takes one of %s, not '%s'", o->name, words, value);
}

static void long_option(struct parser *ps, const char *name)
{
	size_t len = strcspn(name, "=");
	const struct option_desc *o = option_find(ps->p, name, len, '\0');

	if (!o) {
		unknown_option(ps->p, name, len);
	} else if (!o->argument) {
		if (name[len])
			usage(ps->p, "option '--%s' takes no argument", o->name);
		ps->p->option[o->id] = "";
	} else if (name[len]) {
		ps->p->option[o->id] = name + len + 1;
	} else if (*ps->arg) {
		ps->p->option[o->id] = *ps->arg++;
	} else {
		usage(ps->p, "option '--%s' needs an argument: --%s %s", o->name, o->name,
		      o->argument);
	}
	if (o)
		check_value(ps->p, o);
}

static void short_options(struct parser *ps, const char *letters)
{
	for (; *letters; letters++) {
		const struct option_desc *o = option_find(ps->p, NULL, 0, *letters);

		if (!o) {
			usage(ps->p, "unknown option '-%c'; 'pmemctl %s%s--help' shows the options",
			      *letters, command_name(ps->p), ps->p->command ? " " : "");
			continue;
		}
		if (!o->argument) {
			ps->p->option[o->id] = "";
			continue;
		}
		if (letters[1])
			ps->p->option[o->id] = letters + 1;
		else if (*ps->arg)
			ps->p->option[o->id] = *ps->arg++;
		else
			usage(ps->p, "option '-%c' needs an argument: --%s %s", o->letter, o->name,
			      o->argument);
		check_value(ps->p, o);
		return;
	}
}

static void unknown_command(struct pmemctl *p, const char *name)
{
	const struct command *c;
	struct suggestion s;

	suggest_start(&s, name);
	for (c = commands; c->name; c++)
		if (!c->hidden)
			suggest_consider(&s, c->name);
	if (s.best)
		usage(p, "unknown command '%s'; did you mean '%s'?", name, s.best);
	else
		usage(p, "unknown command '%s'; 'pmemctl help' shows the commands", name);
}

static void operand(struct parser *ps, char *word)
{
	struct pmemctl *p = ps->p;

	if (p->command) {
		p->operands[p->operand_count++] = word;
	} else if (!ps->unknown) {
		p->command = command_find(word);
		if (!p->command) {
			ps->unknown = word;
			unknown_command(p, word);
		}
	}
}

static void check_operands(struct pmemctl *p)
{
	if (!p->command) {
		if (!p->option[OPTION_HELP] && !p->option[OPTION_VERSION])
			usage(p, "a command is missing; 'pmemctl help' shows the commands");
		return;
	}
	if (p->option[OPTION_HELP])
		return;
	switch (p->command->operands) {
	case OPERANDS_NONE:
		if (p->operand_count)
			usage(p, "'pmemctl %s' takes no argument, but was given '%s'",
			      p->command->name, p->operands[0]);
		break;
	case OPERANDS_COMMAND:
		if (p->operand_count > 1)
			usage(p, "'pmemctl %s' takes the name of one command, but was also given "
				 "'%s'", p->command->name, p->operands[1]);
		else if (p->operand_count && !command_find(p->operands[0]))
			unknown_command(p, p->operands[0]);
		break;
	case OPERANDS_PATHS:
		if (!p->operand_count)
			usage(p, "'pmemctl %s' needs the path of a device, such as "
				 "pci-0000:00:04.0", p->command->name);
		break;
	case OPERANDS_SOME_REGIONS:
	case OPERANDS_COMMAND_LINE:
	case OPERANDS_SETTINGS:
		if (!p->operand_count)
			usage(p, "'pmemctl %s' needs a region, or 'all'; 'pmemctl list' shows the "
				 "regions", p->command->name);
		break;
	case OPERANDS_REGIONS:
	case OPERANDS_REGIONS_INTERVAL:
	case OPERANDS_RAW:
		break;
	}
}

/* After "--" come operands, or a command line that is not ours to look at. */
static bool rest_is_operands(struct parser *ps)
{
	struct pmemctl *p = ps->p;

	if (!p->command || p->command->operands != OPERANDS_COMMAND_LINE)
		return true;
	if (*ps->arg)
		p->command_line = ps->arg;
	else
		usage(p, "after '--' a command is missing, such as 'pmemctl %s region0 -- sync'",
		      p->command->name);
	while (*ps->arg)
		ps->arg++;
	return true;
}

static void choose_exits(const struct pmemctl *p)
{
	if (p->command_line)
		error_set_exits(ERROR_EXITS_COMMAND_LINE);
	else if (p->option[OPTION_NAGIOS] && !p->option[OPTION_JSON])
		error_set_exits(ERROR_EXITS_NAGIOS);
	else
		error_set_exits(ERROR_EXITS_OWN);
}

/* As choose_exits() will, by what the words look like. */
static void guess_exits(char **words)
{
	const struct command *command = NULL;
	enum error_exits exits = ERROR_EXITS_OWN;

	for (; *words && !streq(*words, "--"); words++) {
		if (!command && **words != '-')
			command = command_find(*words);
		if (streq(*words, "--nagios"))
			exits = ERROR_EXITS_NAGIOS;
	}
	if (*words && words[1] && command && command->operands == OPERANDS_COMMAND_LINE)
		exits = ERROR_EXITS_COMMAND_LINE;
	error_set_exits(exits);
}

/*
 * Without memory, too, it exits as the options say: only what is said of a mistake
 * is allocated here, and until all words are known the exits are guessed.
 */
void options_parse(struct pmemctl *p, int argc, char **argv)
{
	struct parser ps = { .p = p, .arg = argv + !!argc };
	bool only_operands = false;
	char *word;

	guess_exits(ps.arg);
	/* One comes after the place that it moves to: the first word is the command. */
	p->operands = argv;
	while ((word = *ps.arg)) {
		ps.arg++;
		if (only_operands || word[0] != '-' || !word[1] ||
		    (p->command && p->command->operands == OPERANDS_RAW))
			operand(&ps, word);
		else if (streq(word, "--"))
			only_operands = rest_is_operands(&ps);
		else if (word[1] == '-')
			long_option(&ps, word + 2);
		else
			short_options(&ps, word + 1);
	}
	choose_exits(p);
	check_operands(p);
}

/* Seconds with up to three decimals, 0.001 to UINT32_MAX ms. Not strtod(): no locale, no "nan". */
bool option_parse_seconds(const char *text, unsigned int *ms)
{
	uint64_t value = 0;
	int decimals = -1;

	if (!*text || *text == '.')
		return false;
	for (; *text; text++) {
		if (*text == '.' && decimals < 0) {
			decimals = 0;
			continue;
		}
		if (*text < '0' || *text > '9' || decimals == 3)
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > UINT32_MAX)
			return false;
		if (decimals >= 0)
			decimals++;
	}
	if (!decimals)
		return false;
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
		value *= 10;
	if (!value || value > UINT32_MAX)
		return false;
	*ms = (unsigned int)value;
	return true;
}

/* A decimal number from 1 to UINT32_MAX. */
bool option_parse_count(const char *text, unsigned int *count)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*count = (unsigned int)value;
	return value;
}

bool option_seconds(struct pmemctl *p, enum option_id id, unsigned int *ms)
{
	const char *text = p->option[id];
	const struct option_desc *o = p->command->options;

	if (!text || option_parse_seconds(text, ms))
		return true;
	while (o->id != id)
		o++;
	output_error(&p->out, NULL, ERROR_USAGE,
		     "--%s needs seconds from 0.001 to 4294967, such as 5 or 0.25, not '%s'",
		     o->name, text);
	return false;
}
