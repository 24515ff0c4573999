/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that call the same thing over and over, and how long it took: what
 * the programs of the benchmark share. A program says what a call is; all else,
 * from the common options to the figures on stdout, is here.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>

#define LOAD_OPTIONS	"t:s:w:l:"
#define LOAD_USAGE	"  -t N     threads (default 1)\n" \
			"  -s S     seconds to measure (default 3)\n" \
			"  -w S     seconds of warm-up before that (default 0.5)\n" \
			"  -l MS    only the first thread is measured, and rests MS ms after each\n" \
			"           call; the others are the load beside it\n" \
			"  -h       this text\n"
#define LOAD_MAX_THREADS 1024

struct load {
	const char *name;
	/* What one thread does once: 0 or an errno. OWN is that thread's entry of OWN below. */
	int (*call)(void *own);
	/* What it does before each call and is not measured, or NULL. */
	void (*before)(void *own);
	void **own;

	unsigned long threads;
	double warmup, seconds, rest_ms;
	bool lone;		/* -l was given */
};

#define LOAD_DEFAULTS	.threads = 1, .warmup = 0.5, .seconds = 3

/* Take an option of LOAD_OPTIONS; false if its value is wrong. */
bool load_option(struct load *load, int opt, const char *value);
bool load_number(const char *text, unsigned long low, unsigned long high, unsigned long *value);

/* Run it and print one JSON object on stdout. Returns an exit status. */
int load_run(const struct load *load);

_Noreturn void load_fail(const char *what, int error);
void *load_alloc(size_t size);

#endif
