/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines that are not wider than they may be.
 */
#ifndef PMEMCTL_WRAP_H
#define PMEMCTL_WRAP_H

#include <stddef.h>

/* Characters, which is as good as columns for what we print. */
size_t width_of(const char *text);

/* Turns spaces into newlines, so that no line is wider than that, if words allow it. */
void wrap_words(char *text, size_t width);

#endif /* PMEMCTL_WRAP_H */
