/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers for people: sizes and times with a unit. The caller frees.
 */
#ifndef PMEMCTL_UNITS_H
#define PMEMCTL_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* Sizes for people in powers of 1000, for the rest of the run; as ndctl writes them stays. */
void units_use_si(bool si);

/* "128 MiB", "1.5 GiB", "512 bytes"; or "134.21 MB" */
char *human_size(uint64_t bytes);

/* "128.00 MiB (134.22 MB)", as ndctl -u writes it */
char *human_size_ndctl(uint64_t bytes);

/* "812 us", "1.21 ms", "12.3 s", "4 min 10 s", "3 h 12 min", "8 d 4 h" */
char *human_time(uint64_t ns);

#endif /* PMEMCTL_UNITS_H */
