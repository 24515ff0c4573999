/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DAX devices of a region.
 */
#ifndef PMEMCTL_DAX_H
#define PMEMCTL_DAX_H

#include "regions.h"

/* What is to be translated, if anything; and of which there was a translation. */
struct dax_query {
	const uint64_t *offset, *address;
	bool found_offset, found_address;
};

/* Adds "dax_devices", and "translations" of what @query asks for. */
void dax_add(struct reader *rd, struct dax_query *query, struct record *r);

#endif /* PMEMCTL_DAX_H */
