/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long many flushes took, in the same memory however many there are: each power
 * of two in so many equal parts that no percentile is more than 2 % too high. None
 * is too low.
 */
#ifndef PMEMCTL_LATENCIES_H
#define PMEMCTL_LATENCIES_H

#include <stdint.h>

#define LATENCIES_SHIFT 6
#define LATENCIES_BINS	((64 - LATENCIES_SHIFT + 1) * (1U << LATENCIES_SHIFT))

/* All 0: none yet. */
struct latencies {
	uint64_t count, total_ns, min_ns, max_ns;
	uint64_t bin[LATENCIES_BINS];
};

void latencies_add(struct latencies *l, uint64_t ns);
void latencies_merge(struct latencies *to, const struct latencies *from);

/* 0 if there are none. */
uint64_t latencies_mean(const struct latencies *l);

/* At least @percent of them took at most so long. */
uint64_t latencies_percentile(const struct latencies *l, unsigned int percent);

#endif /* PMEMCTL_LATENCIES_H */
