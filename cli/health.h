/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verdict on a region, from what its record says.
 */
#ifndef PMEMCTL_HEALTH_H
#define PMEMCTL_HEALTH_H

#include "record.h"

/* Adds "health" to the record of a region that was described in full. */
void health_add(struct record *region);

#endif /* PMEMCTL_HEALTH_H */
