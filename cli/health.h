/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The library's verdict on a region.
 */
#ifndef PMEMCTL_HEALTH_H
#define PMEMCTL_HEALTH_H

#include <virtpmem/libvirtpmem.h>

#include "record.h"

/* Adds "health" to the record of a region. */
void health_add(struct virtpmem_region *region, struct record *r);

#endif /* PMEMCTL_HEALTH_H */
