// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long many flushes took; see latencies.h.
 */
#include "latencies.h"

#define PARTS (1U << LATENCIES_SHIFT)

static unsigned int bin_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < PARTS)
		return (unsigned int)ns;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - LATENCIES_SHIFT;
	return (shift + 1) * PARTS + (unsigned int)(ns >> shift) % PARTS;
}

/* The longest latency that is in that bin. */
static uint64_t bin_end(unsigned int bin)
{
	unsigned int shift = bin / PARTS;

	if (!shift)
		return bin;
	return ((UINT64_C(1) * (PARTS + bin % PARTS) + 1) << (shift - 1)) - 1;
}

void latencies_add(struct latencies *l, uint64_t ns)
{
	l->min_ns = l->count && l->min_ns < ns ? l->min_ns : ns;
	l->count++;
	l->total_ns += ns;
	l->max_ns = ns > l->max_ns ? ns : l->max_ns;
	l->bin[bin_of(ns)]++;
}

void latencies_merge(struct latencies *to, const struct latencies *from)
{
	unsigned int i;

	if (from->count && (!to->count || from->min_ns < to->min_ns))
		to->min_ns = from->min_ns;
	to->count += from->count;
	to->total_ns += from->total_ns;
	to->max_ns = from->max_ns > to->max_ns ? from->max_ns : to->max_ns;
	for (i = 0; i < LATENCIES_BINS; i++)
		to->bin[i] += from->bin[i];
}

uint64_t latencies_mean(const struct latencies *l)
{
	return l->count ? l->total_ns / l->count : 0;
}

uint64_t latencies_percentile(const struct latencies *l, unsigned int percent)
{
	uint64_t wanted = (l->count * percent + 99) / 100, seen = 0;
	unsigned int i;

	for (i = 0; i < LATENCIES_BINS; i++) {
		seen += l->bin[i];
		if (seen >= wanted)
			break;
	}
	return i < LATENCIES_BINS && bin_end(i) < l->max_ns ? bin_end(i) : l->max_ns;
}
