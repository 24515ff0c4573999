/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where records go. A command hands over regions and errors as it finds them;
 * one backend turns them into text or JSON. No command prints.
 *
 * Every run ends with output_finish(), which alone knows the exit status: that
 * of the first error, or 1 if standard output did not take everything.
 */
#ifndef PMEMCTL_OUTPUT_H
#define PMEMCTL_OUTPUT_H

#include <stdbool.h>

#include "error.h"
#include "new-file.h"
#include "record.h"
#include "views.h"

#define OUTPUT_SCHEMA "pmemctl/1"

struct output;

struct output_ops {
	/* A region is complete; text that needs no alignment with others can be shown now. */
	void (*region)(struct output *out, const struct record *region);
	/* Everything is known. */
	void (*finish)(struct output *out);
	/* The exit status, where it is not that of the first error. @written: 0 or a failure's. */
	int (*exit)(const struct output *out, int written);
	/* A line of a stream, of its own form. */
	void (*line)(struct output *out, const struct record *line);
};

struct output {
	const struct output_ops *ops;
	const struct view *view; /* how the command looks as text */
	const struct cell *columns; /* of the view's table, if they were chosen */
	bool human;		 /* -u */
	bool color;
	bool no_headings;
	bool silent;		 /* a screen is up: messages are only kept, in errors */
	struct record *top;	 /* fields beside regions and errors */
	struct record *regions;
	struct record *errors;
	unsigned int reports; /* answers of a stream so far; 0: it is not one, or not yet */
	bool stream;	      /* one answer, or event, a line */
	int status;	      /* exit status of the first error, or 0 */
	struct new_file file; /* takes the place of standard output, unless its path is NULL */
	bool ran;	 /* a command line of the user's was run... */
	int ran_status;	 /* ...and the exit status is its own, if nothing failed here */
	int write_error; /* errno of the first write to standard output that failed, or 0 */
};

extern const struct output_ops output_openmetrics;
extern const struct output_ops output_text, output_json, output_nagios;

void output_init(struct output *out, const struct output_ops *ops, bool human);

/* A region, which now belongs to the output. */
void output_region(struct output *out, struct record *region);

/* An error, of the region @dev or of none (NULL). Printed on standard error at once. */
void output_error(struct output *out, const char *dev, enum error_code code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * A stream: what has been found out so far is a whole answer, and is shown now;
 * the next one begins empty.
 */
void output_report(struct output *out);

/* A stream: a line that is no answer about regions, but an event. */
void output_line(struct output *out, const struct record *line);

/* Something worth knowing that is no error and no data: standard error, in text only. */
void output_note(struct output *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Columns of the terminal, or what COLUMNS says; 0: any number, as with a pipe. */
size_t output_width(void);

/* Whether --color=@when ("always", "never", "auto" or NULL) means to use colour. */
bool output_wants_color(const char *when);

/* The errors so far were said, and are no reason to fail at the end. */
void output_forgive(struct output *out);

/* The same, in every form of output: something went wrong that is not the end. */
void output_warning(struct output *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What is printed is the content of @path; see new-file.h. Returns: false, and an error, if not. */
bool output_to_file(struct output *out, const char *path);

/* Standard output is @file now, or itself (NULL): for what is said if it cannot be written. */
void output_goes_to(struct output *out, const char *file);

/* What was printed so far is to be seen now. */
void output_flush(struct output *out);

/* Writes what is left, closes standard output. Returns: the exit status. */
int output_finish(struct output *out);

/*
 * @text with whatever could play tricks on a terminal (control characters,
 * bytes that are not valid UTF-8) as \xNN. Newlines too, unless @newlines.
 */
char *printable(const char *text, bool newlines);

/* How many bytes at @s are one valid UTF-8 character; 0: not one. */
unsigned int utf8_length(const char *s);

#endif /* PMEMCTL_OUTPUT_H */
