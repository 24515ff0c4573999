/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share: a directory of their own in which a file holds
 * the input, a context, and a region that lies there.
 */
#ifndef VIRTPMEM_TESTS_FUZZ_H
#define VIRTPMEM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same at every call. */
struct virtpmem_ctx *fuzz_ctx(void);
struct virtpmem_region *fuzz_region(void);
const char *fuzz_dir(void);

void fuzz_mkdir(const char *path);
/* @path is relative to the directory. */
void fuzz_write(const char *path, const void *data, size_t size);

#endif /* VIRTPMEM_TESTS_FUZZ_H */
