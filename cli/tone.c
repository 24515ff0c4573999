// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The words that have a colour; see tone.h.
 */
#include "tone.h"
#include "util.h"

enum tone tone_of_word(const char *word)
{
	static const struct {
		const char *word;
		enum tone tone;
	} words[] = {
		{ "ok", TONE_GOOD },
		{ "active", TONE_GOOD },
		{ "unknown", TONE_WARNING },
		{ "non-critical", TONE_WARNING },
		{ "quiesced", TONE_WARNING },
		{ "recovering", TONE_WARNING },
		{ "removing", TONE_WARNING },
		{ "critical", TONE_BAD },
		{ "fatal", TONE_BAD },
		{ "broken", TONE_BAD },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i].word, word))
			return words[i].tone;
	return TONE_NONE;
}
