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
	OPTION_SI,
	OPTION_COLOR,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_TIMEOUT,
	OPTION_OUTPUT,
	OPTION_NO_HEADINGS,
	OPTION_FILES,
	OPTION_LIMIT,
	OPTION_LONG,
	OPTION_DAX,
	OPTION_OFFSET,
	OPTION_ADDRESS,
	OPTION_SYSTEM,
	OPTION_NAGIOS,
	OPTION_ACKNOWLEDGE,
	OPTION_WARNING,
	OPTION_CRITICAL,
	OPTION_DRY_RUN,
	OPTION_FORCE,
	OPTION_ACCEPT_DATA_LOSS,
	OPTION_OUTPUT_FILE,
	OPTION_QUIESCE,
	OPTION_CALLERS,
	OPTION_TIME,
	OPTION_SVG,
	OPTION_EVENT,
	OPTION_LOG,
	OPTION_EXEC,
	OPTION_CONFIG_FILE,
	OPTION_PERSIST,
	OPTION_REPEAT,
	OPTION_INTERVAL,
	OPTION_COUNT,
};

struct option_desc {
	enum option_id id;
	char letter;	      /* '\0': has none */
	const char *name;     /* without "--"; NULL ends an array */
	const char *argument; /* what it takes, in capitals; NULL: nothing */
	const char *help;
	const char *const *values; /* what the argument can be, ends with NULL; NULL: anything */
};

/* Of every command that prints a table. */
#define OPTIONS_OF_TABLES \
	{ .id = OPTION_NO_HEADINGS, .letter = 'n', .name = "no-headings", \
	  .help = "leave out the headings of columns" }

/* Of every command that changes something. */
#define OPTION_DESC_DRY_RUN \
	{ .id = OPTION_DRY_RUN, .letter = 'n', .name = "dry-run", \
	  .help = "show what would be done and why, change nothing" }

/* Of those whose columns can be chosen. */
#define OPTION_OF_COLUMNS \
	{ .id = OPTION_OUTPUT, .letter = 'o', .name = "output", .argument = "COLUMNS", \
	  .help = "show these columns, with commas; +COLUMNS adds to the usual ones" }

/* What a command takes beside options. */
enum operands {
	OPERANDS_NONE,
	OPERANDS_REGIONS,     /* none means all */
	OPERANDS_REGIONS_INTERVAL, /* the same, then [INTERVAL [COUNT]] */
	OPERANDS_SOME_REGIONS, /* there must be one */
	OPERANDS_COMMAND_LINE, /* regions, and a command line after "--" */
	OPERANDS_SETTINGS,    /* a region, and settings */
	OPERANDS_PATHS,	      /* devices, which need not have a region */
	OPERANDS_COMMAND,     /* the name of a command, or nothing */
	OPERANDS_RAW,	      /* everything, options as well */
};

struct example {
	const char *command; /* without "pmemctl"; NULL ends an array */
	const char *what;    /* what it is good for */
};

#define EXAMPLES(...) ((const struct example[]){ __VA_ARGS__, { .command = NULL } })

struct pmemctl;

struct command {
	const char *name;
	enum operands operands;
	const char *summary;
	const struct option_desc *options; /* its own, beside those of all commands; or NULL */
	const struct example *examples;	   /* for --help */
	const struct view *view;
	const char *columns; /* those of its table, if --output can change them; or NULL */
	bool all_columns;    /* also those that need everything about a region */
	bool hidden; /* not for people */
	bool stream; /* one JSON object a line */
	bool in_turn; /* does something to one region after the other; Ctrl-C leaves out the rest */
	void (*run)(struct pmemctl *p);
};

/* One run. */
struct pmemctl {
	struct output out;
	const struct command *command; /* NULL: none was given */
	const char *option[OPTION_COUNT]; /* NULL: not given; "" if it takes no argument */
	char **operands; /* in the place of the arguments */
	size_t operand_count;
	char **command_line; /* what stands after "--", ends with NULL; NULL: nothing does */
	char *usage_error; /* the first thing that is wrong with the command line, or NULL */
	struct cell *columns; /* that were chosen, or NULL */
	struct virtpmem_ctx *ctx;
	void *data; /* the command's own */
	char *log; /* the library's last word on an error, or NULL */
};

/* pmemctl.c */
extern const struct command commands[]; /* ends with .name NULL */
const struct command *command_find(const char *name);
bool interrupted(void);
bool interrupted_by_process(void); /* as with kill(1), and not from the terminal */

/* options.c */
extern const struct option_desc common_options[], global_options[];
void options_parse(struct pmemctl *p, int argc, char **argv);
bool option_parse_seconds(const char *text, unsigned int *ms);
bool option_parse_count(const char *text, unsigned int *count);
/* Into *ms what the option says, if it was given. Returns: false, and an error, if it is wrong. */
bool option_seconds(struct pmemctl *p, enum option_id id, unsigned int *ms);

/* The commands. */
void cmd_list(struct pmemctl *p);
void cmd_status(struct pmemctl *p);
void cmd_flush(struct pmemctl *p);
void cmd_stat(struct pmemctl *p);
void cmd_top(struct pmemctl *p);
void cmd_recover(struct pmemctl *p);
void cmd_export(struct pmemctl *p);
void cmd_bench(struct pmemctl *p);
void cmd_freeze(struct pmemctl *p);
void cmd_thaw(struct pmemctl *p);
void cmd_set(struct pmemctl *p);
void cmd_remove(struct pmemctl *p);
void cmd_add(struct pmemctl *p);
void cmd_monitor(struct pmemctl *p);
void cmd_version(struct pmemctl *p);
void cmd_holders(struct pmemctl *p);
void cmd_errors(struct pmemctl *p);
void cmd_health(struct pmemctl *p);
void cmd_help(struct pmemctl *p);
void cmd_complete(struct pmemctl *p);

extern const struct option_desc export_options[], monitor_options[], bench_options[];
extern const struct option_desc flush_options[], holders_options[], health_options[];
extern const struct option_desc recover_options[], freeze_options[], thaw_options[];
extern const struct option_desc remove_options[], add_options[], set_options[];
extern const struct option_desc errors_options[], list_options[], status_options[];
extern const struct option_desc top_options[];

#endif /* PMEMCTL_H */
