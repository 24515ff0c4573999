/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a command is, and what it is given. The table of commands is in
 * pmemctl.c; each command is a file of its own.
 */
#ifndef PMEMCTL_H
#define PMEMCTL_H

#include <stdbool.h>
#include <stddef.h>

#include <virtpmem/libvirtpmem.h>

#include "output.h"

/* Every option of every command. */
enum option_id {
	OPTION_JSON,
	OPTION_HUMAN,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_TIMEOUT,
	OPTION_COUNT,
};

struct option_desc {
	enum option_id id;
	char letter;	      /* '\0': has none */
	const char *name;     /* without "--"; NULL ends an array */
	const char *argument; /* what it takes, in capitals; NULL: nothing */
	const char *help;
};

/* What a command takes beside options. */
enum operands {
	OPERANDS_NONE,
	OPERANDS_REGIONS,     /* none means all */
	OPERANDS_SOME_REGIONS, /* there must be one */
	OPERANDS_COMMAND,     /* the name of a command, or nothing */
	OPERANDS_RAW,	      /* everything, options as well */
};

struct pmemctl;

struct command {
	const char *name;
	enum operands operands;
	const char *summary;
	const struct option_desc *options; /* its own, beside those of all commands; or NULL */
	const struct view *view;
	bool hidden; /* not for people */
	void (*run)(struct pmemctl *p);
};

/* One run. */
struct pmemctl {
	struct output out;
	const struct command *command; /* NULL: none was given */
	const char *option[OPTION_COUNT]; /* NULL: not given; "" if it takes no argument */
	const char **operands;
	size_t operand_count;
	char *usage_error; /* the first thing that is wrong with the command line, or NULL */
	struct virtpmem_ctx *ctx;
	char *log; /* the library's last word on an error, or NULL */
};

/* pmemctl.c */
extern const struct command commands[]; /* ends with .name NULL */
const struct command *command_find(const char *name);
bool interrupted(void);

/* options.c */
extern const struct option_desc common_options[], global_options[];
void options_parse(struct pmemctl *p, int argc, char **argv);
bool option_parse_seconds(const char *text, unsigned int *ms);

/* The commands. */
void cmd_list(struct pmemctl *p);
void cmd_status(struct pmemctl *p);
void cmd_flush(struct pmemctl *p);
void cmd_version(struct pmemctl *p);
void cmd_help(struct pmemctl *p);
void cmd_complete(struct pmemctl *p);

extern const struct option_desc flush_options[];

#endif /* PMEMCTL_H */
