// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzz: lists of bad blocks, merged and moved. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "ranges.h"

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

/* Sorted, apart from each other, not empty, and not wrapping. */
static void check_set(const struct vp_ranges *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		const struct vp_range *range = &set->range[i];

		check(range->length && range->start + (range->length - 1) >= range->start);
		check(!i || range[-1].start + range[-1].length < range->start);
	}
}

static uint64_t sum(const struct vp_ranges *set)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < set->count; i++)
		total += set->range[i].length;
	return total;
}

/* The parts of a set on both sides of a border are all of it. */
static void check_cut(const struct vp_ranges *set, uint64_t border)
{
	struct vp_ranges low = { .range = NULL }, high = { .range = NULL };

	check(!vp_ranges_move(set, 0, border, 0, &low));
	check(!vp_ranges_move(set, border, UINT64_MAX - border, 0, &high));
	check_set(&low);
	check_set(&high);
	check(sum(&low) + sum(&high) == sum(set));
	vp_ranges_done(&low);
	vp_ranges_done(&high);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vp_ranges set = { .range = NULL };
	char *text = malloc(size + 1);
	uint64_t border = 4096;
	bool cut;

	check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (!vp_ranges_parse(text, &set, &cut)) {
		check_set(&set);
		if (set.count)
			border = set.range[set.count / 2].start + 1;
		check_cut(&set, border);
	}
	vp_ranges_done(&set);
	free(text);
	return 0;
}
