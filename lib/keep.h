/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that are kept for a device, each named by the path that stays the device's.
 */
#ifndef VIRTPMEM_LIB_KEEP_H
#define VIRTPMEM_LIB_KEEP_H

#include <stdio.h>

#include "private.h"

/* Prints a file's content; whether that worked is known from the stream. */
typedef void (*vp_print_fn)(FILE *f, const void *data);

int vp_keep_name(const struct virtpmem_region *region, const char *before, const char *after,
		 char **ret);
int vp_keep_write(int dirfd, const char *temporary, const char *name, vp_print_fn print,
		  const void *data);

/* acknowledge.c: the time of the last failure that was acknowledged; -ENODATA: there is none. */
int vp_acknowledged_read(const struct virtpmem_region *region, uint64_t *ret);

#endif /* VIRTPMEM_LIB_KEEP_H */
