/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal as a screen: shows frames, hears keys. One at a time. Whatever
 * ends the process, except SIGKILL, leaves the terminal as it was.
 */
#ifndef PMEMCTL_SCREEN_H
#define PMEMCTL_SCREEN_H

#include <stdbool.h>

#include "frame.h"

/* A terminal that says it is larger cannot be meant, and could not be drawn in time. */
#define SCREEN_ROWS_MAX    1000
#define SCREEN_COLUMNS_MAX 2000

/* Whether this pmemctl was built with it. */
bool screen_is_available(void);

/* Takes the terminal. Returns: false if its type is not known, or cannot do that. */
bool screen_start(bool color);

/* Gives it back. */
void screen_stop(void);

/* A blank frame of its size. */
void screen_frame(struct frame *f);

void screen_show(const struct frame *f);

enum {
	SCREEN_NOTHING = -1, /* no key, or one that means nothing */
	SCREEN_RESIZED = -2,
	SCREEN_GONE = -3,    /* there is no terminal any more */
};

/* Waits for a key, no longer than @ms. Returns: as of enum top_key, or the above. */
int screen_key(unsigned int ms);

/* A signal that is to end us, or 0; whoever sees it gives back the terminal and obeys it. */
int screen_signal(void);

#endif /* PMEMCTL_SCREEN_H */
