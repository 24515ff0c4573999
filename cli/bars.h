/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers drawn with characters. The caller frees what is drawn.
 */
#ifndef PMEMCTL_BARS_H
#define PMEMCTL_BARS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the locale has blocks to draw with; else it is letters and signs. */
bool bars_have_blocks(void);

/*
 * Eighths of a character for @n, where @most has @width characters; none that
 * counts is invisible.
 */
unsigned int bar_eighths(uint64_t n, uint64_t most, unsigned int width);

/* A bar from left to right. */
char *bar_text(unsigned int eighths, bool blocks);

/* A value that there was none of. */
#define SPARK_NONE UINT64_MAX

/* A character for each of the values, relative to the highest of them. */
char *spark_text(const uint64_t *value, unsigned int count, bool blocks);

#endif /* PMEMCTL_BARS_H */
