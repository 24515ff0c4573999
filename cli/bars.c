// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Numbers drawn with characters; see bars.h.
 */
#include <langinfo.h>
#include <string.h>

#include "bars.h"
#include "util.h"

bool bars_have_blocks(void)
{
	return streq(nl_langinfo(CODESET), "UTF-8");
}

unsigned int bar_eighths(uint64_t n, uint64_t most, unsigned int width)
{
	unsigned int eighths = 0;

	if (most)
		eighths = (unsigned int)((unsigned __int128)n * width * 8 / most);
	return n && !eighths ? 1 : eighths;
}

char *bar_text(unsigned int eighths, bool blocks)
{
	static const char *const parts[] = {
		"", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589",
	};
	const char *whole = blocks ? "\u2588" : "#";
	char *bar = xcalloc((size_t)eighths / 8 + 2, 4);
	unsigned int i;

	for (i = 0; i < eighths / 8; i++)
		strcat(bar, whole);
	return strcat(bar, blocks ? parts[eighths % 8] : eighths && eighths < 8 ? "." : "");
}

/* Nothing at all has the lowest to itself. */
static unsigned int spark_level(uint64_t value, uint64_t most)
{
	return value ? 1 + (unsigned int)((unsigned __int128)value * 6 / most) : 0;
}

char *spark_text(const uint64_t *value, unsigned int count, bool blocks)
{
	static const char *const levels[][8] = {
		{ "_", ".", ":", "-", "=", "+", "*", "#" },
		{ "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" },
	};
	char *text = xcalloc((size_t)count + 1, 4), *to = text;
	uint64_t most = 0;
	unsigned int i;

	for (i = 0; i < count; i++)
		if (value[i] != SPARK_NONE && value[i] > most)
			most = value[i];
	for (i = 0; i < count; i++)
		to = stpcpy(to, value[i] == SPARK_NONE ? " " :
							 levels[blocks][spark_level(value[i], most)]);
	return text;
}
