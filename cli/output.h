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
#include "record.h"
#include "views.h"

struct output;

struct output_ops {
	/* A region is complete; text that needs no alignment with others can be shown now. */
	void (*region)(struct output *out, const struct record *region);
	/* Everything is known. */
	void (*finish)(struct output *out);
};

struct output {
	const struct output_ops *ops;
	const struct view *view; /* how the command looks as text */
	bool human;		 /* -u */
	struct record *top;	 /* fields beside regions and errors */
	struct record *regions;
	struct record *errors;
	int write_error; /* errno of the first write to standard output that failed, or 0 */
};

extern const struct output_ops output_text, output_json;

void output_init(struct output *out, const struct output_ops *ops, bool human);

/* A region, which now belongs to the output. */
void output_region(struct output *out, struct record *region);

/* An error, of the region @dev or of none (NULL). Printed on standard error at once. */
void output_error(struct output *out, const char *dev, enum error_code code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Something worth knowing that is no error and no data: standard error, in text only. */
void output_note(struct output *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

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
