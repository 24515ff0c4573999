/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How well something is, as the colour of a word of pmemctl-json(5).
 */
#ifndef PMEMCTL_TONE_H
#define PMEMCTL_TONE_H

enum tone {
	TONE_NONE,
	TONE_GOOD,
	TONE_WARNING,
	TONE_BAD,
};

/* Of a state or a verdict such as "broken"; TONE_NONE for any other word. */
enum tone tone_of_word(const char *word);

#endif /* PMEMCTL_TONE_H */
