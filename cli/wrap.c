// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lines that are not wider than they may be; see wrap.h.
 */
#include <stdbool.h>

#include "wrap.h"

size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void wrap_words(char *text, size_t width)
{
	char *space = NULL, *line = text;

	for (;; text++) {
		char end = *text;

		if (end && end != ' ' && end != '\n')
			continue;
		/* Does what is between the last space and this one still fit? */
		*text = '\0';
		if (space && width_of(line) > width) {
			*space = '\n';
			line = space + 1;
		}
		*text = end;
		if (!end)
			return;
		space = end == ' ' ? text : NULL;
		if (end == '\n')
			line = text + 1;
	}
}
