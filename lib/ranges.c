// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sets of byte ranges: see ranges.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "ranges.h"

#define SECTOR	512

void vp_ranges_done(struct vp_ranges *set)
{
	free(set->range);
	*set = (struct vp_ranges) { .range = NULL };
}

/* Keeps the set sorted and merged: everything that touches the new range becomes part of it. */
int vp_ranges_add(struct vp_ranges *set, uint64_t start, uint64_t length)
{
	struct vp_range *range;
	size_t first = 0, last;
	uint64_t end;

	if (!length)
		return 0;
	if (__builtin_add_overflow(start, length, &end))
		return -ERANGE;
	range = reallocarray(set->range, set->count + 1, sizeof(*range));
	if (!range)
		return -ENOMEM;
	set->range = range;
	/* Mostly they come in order. */
	if (set->count && start > range[set->count - 1].start + range[set->count - 1].length)
		first = set->count;
	while (first < set->count && range[first].start + range[first].length < start)
		first++;
	for (last = first; last < set->count && range[last].start <= end; last++) {
		uint64_t other_end = range[last].start + range[last].length;

		start = start < range[last].start ? start : range[last].start;
		end = end > other_end ? end : other_end;
	}
	memmove(range + first + 1, range + last, (set->count - last) * sizeof(*range));
	set->count = set->count - (last - first) + 1;
	range[first] = (struct vp_range) { .start = start, .length = end - start };
	return 0;
}

bool vp_ranges_equal(const struct vp_ranges *a, const struct vp_ranges *b)
{
	return a->count == b->count &&
	       (!a->count || !memcmp(a->range, b->range, a->count * sizeof(*a->range)));
}

/* "8 16": the first sector and how many. */
static int parse_line(char *line, struct vp_ranges *set)
{
	uint64_t sector, count, start, length;
	char *space = strchr(line, ' ');

	if (!space)
		return -EBADMSG;
	*space = '\0';
	if (!vp_parse_u64(line, &sector) || !vp_parse_u64(space + 1, &count) || !count ||
	    __builtin_mul_overflow(sector, (uint64_t)SECTOR, &start) ||
	    __builtin_mul_overflow(count, (uint64_t)SECTOR, &length))
		return -EBADMSG;
	return vp_ranges_add(set, start, length);
}

int vp_ranges_parse(char *text, struct vp_ranges *ret, bool *cut)
{
	struct vp_ranges set = { .range = NULL };
	char *line, *newline;
	int r = 0;

	for (line = text; (newline = strchr(line, '\n')); line = newline + 1) {
		*newline = '\0';
		r = parse_line(line, &set);
		if (r < 0)
			break;
	}
	if (r < 0) {
		vp_ranges_done(&set);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	*cut = *line;
	*ret = set;
	return 0;
}

int vp_ranges_move(const struct vp_ranges *set, uint64_t from, uint64_t length, uint64_t to,
		   struct vp_ranges *ret)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		uint64_t start = set->range[i].start, end = start + set->range[i].length;
		uint64_t last = length > UINT64_MAX - from ? UINT64_MAX : from + length;
		uint64_t moved;
		int r;

		start = start > from ? start : from;
		end = end < last ? end : last;
		if (start >= end)
			continue;
		if (__builtin_add_overflow(start - from, to, &moved))
			return -ERANGE;
		r = vp_ranges_add(ret, moved, end - start);
		if (r < 0)
			return r;
	}
	return 0;
}
