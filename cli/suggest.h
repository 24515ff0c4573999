/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "Did you mean ...?": the candidate that is nearest to a word, if it is near.
 */
#ifndef PMEMCTL_SUGGEST_H
#define PMEMCTL_SUGGEST_H

struct suggestion {
	const char *word;
	const char *best;      /* NULL: nothing is near enough */
	unsigned int distance; /* of the best */
};

/* The word stays the caller's, and so do the candidates. */
void suggest_start(struct suggestion *s, const char *word);
void suggest_consider(struct suggestion *s, const char *candidate);

#endif /* PMEMCTL_SUGGEST_H */
