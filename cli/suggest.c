// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The nearest candidate by the number of letters that must be added, dropped,
 * changed or swapped with their neighbour (optimal string alignment).
 */
#include <string.h>

#include "suggest.h"
#include "util.h"

/* Longer words are not typing mistakes of ours. */
#define MAX_WORD 64

static unsigned int min(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static unsigned int distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned int row[3][MAX_WORD + 1];
	size_t i, j;

	for (j = 0; j <= b_len; j++)
		row[0][j] = (unsigned int)j;
	for (i = 1; i <= a_len; i++) {
		unsigned int *now = row[i % 3], *above = row[(i + 2) % 3];
		const unsigned int *above2 = row[(i + 1) % 3];

		now[0] = (unsigned int)i;
		for (j = 1; j <= b_len; j++) {
			now[j] = min(above[j - 1] + (a[i - 1] != b[j - 1]),
				     min(above[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min(now[j], above2[j - 2] + 1);
		}
	}
	return row[a_len % 3][b_len];
}

void suggest_start(struct suggestion *s, const char *word)
{
	s->word = word;
	s->best = NULL;
	/* A letter of each three can be wrong. */
	s->distance = ((unsigned int)strlen(word) + 1) / 3 + 1;
	if (s->distance < 2)
		s->distance = 2;
}

void suggest_consider(struct suggestion *s, const char *candidate)
{
	size_t len = strlen(s->word), candidate_len = strlen(candidate);
	unsigned int d;

	if (!len || len > MAX_WORD || candidate_len > MAX_WORD)
		return;
	d = distance(s->word, len, candidate, candidate_len);
	/* Everything is near to a word of two letters: something must have been right. */
	if (d >= candidate_len || d >= s->distance)
		return;
	s->best = candidate;
	s->distance = d;
}
