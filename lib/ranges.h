/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of byte ranges: parsing what the kernel calls badblocks, merging, and
 * moving a set from one layer of devices to the next.
 *
 * A set is sorted, its ranges neither touch nor overlap, and none of them is
 * empty or reaches past UINT64_MAX.
 */
#ifndef VIRTPMEM_LIB_RANGES_H
#define VIRTPMEM_LIB_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vp_range {
	uint64_t start;
	uint64_t length;
};

struct vp_ranges {
	struct vp_range *range;
	size_t count;
};

void vp_ranges_done(struct vp_ranges *set);

/* Returns 0 or -ENOMEM, also for an empty range, which adds nothing; -ERANGE: it wraps. */
int vp_ranges_add(struct vp_ranges *set, uint64_t start, uint64_t length);

bool vp_ranges_equal(const struct vp_ranges *a, const struct vp_ranges *b);

/*
 * The lines of a badblocks file, which this changes: sectors of 512 bytes.
 * *cut: the last line is not whole, as when there are more than a page holds.
 * Returns 0, -EBADMSG or -ENOMEM.
 */
int vp_ranges_parse(char *text, struct vp_ranges *ret, bool *cut);

/*
 * Adds to @ret what @set and [@from, @from + @length) share, moved so that
 * @from becomes @to. Returns 0, -ENOMEM or -ERANGE.
 */
int vp_ranges_move(const struct vp_ranges *set, uint64_t from, uint64_t length, uint64_t to,
		   struct vp_ranges *ret);

#endif /* VIRTPMEM_LIB_RANGES_H */
