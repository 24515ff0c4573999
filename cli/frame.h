/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A screenful of characters, before a terminal has seen it. What does not fit
 * is cut off here, so that whoever draws need not care for the size.
 */
#ifndef PMEMCTL_FRAME_H
#define PMEMCTL_FRAME_H

#include <stdbool.h>

#include "tone.h"

/* How a cell looks: one of enum tone, and these. */
#define LOOK_TONE 0x03
#define LOOK_BOLD 0x04
#define LOOK_REVERSE 0x08

struct frame_cell {
	char text[8];	    /* a character; "" behind one that is two columns wide */
	unsigned char look;
};

struct frame {
	unsigned int rows, columns;
	bool utf8; /* the terminal has it: else what is not ASCII is a question mark */
	struct frame_cell *cell; /* row by row */
};

/* All blanks. */
void frame_init(struct frame *f, unsigned int rows, unsigned int columns, bool utf8);
void frame_clear(struct frame *f);

#define _cleanup_frame_ __attribute__((__cleanup__(frame_clear)))

struct frame_cell *frame_at(const struct frame *f, unsigned int row, unsigned int column);

/* How many columns @text takes. */
unsigned int frame_width(const struct frame *f, const char *text);

/*
 * Puts @text there, in at most @width columns. Control characters and bytes that
 * are not UTF-8 become visible. Returns: the columns that it took.
 */
unsigned int frame_put(struct frame *f, unsigned int row, unsigned int column, unsigned int width,
		       unsigned int look, const char *text);

/* The same, in the last of these columns. */
void frame_put_right(struct frame *f, unsigned int row, unsigned int column, unsigned int width,
		     unsigned int look, const char *text);

/* Gives these columns a look. */
void frame_look(struct frame *f, unsigned int row, unsigned int column, unsigned int width,
		unsigned int look);

#endif /* PMEMCTL_FRAME_H */
