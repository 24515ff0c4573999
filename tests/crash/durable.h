/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What durable-preload.c (inside QEMU) and durable.py (the test) share: a
 * directory, named by $VM_DURABLE, with these files, where N is the number of
 * a backing file:
 *
 *	control		struct durable_control
 *	durable.N	the backing file as it is on the disk that the power cut
 *			leaves behind
 *	begun.N		content of the pages that are in state PAGE_BEGUN
 *	pages.N		the state of each page, a byte of PAGE_* bits
 *
 * All of them are made, at their full size, before QEMU starts. durable.py
 * spells the same layout; both check magic and version.
 */
#ifndef DURABLE_H
#define DURABLE_H

#include <stdint.h>

#define DURABLE_MAGIC		0x656c626172756476ull	/* "vdurable" */
#define DURABLE_VERSION		1
#define DURABLE_MAX_FILES	8

/* The granularity of the host's writeback. */
#define DURABLE_PAGE		4096

#define PAGE_DIRTY		1	/* stored to since the last fsync of the file began */
#define PAGE_BEGUN		2	/* was dirty when the fsync under way began */

struct durable_file {
	/* Written by the test before QEMU starts. */
	uint64_t dev;
	uint64_t ino;
	uint64_t size;

	/* Written by the test at any time. */
	uint64_t early;		/* not 0: answer an fsync, then let the next one do its work */

	/* Written by the preload. */
	uint64_t mapped;	/* QEMU has mapped the file, and stores are seen */
	uint64_t kept;		/* fsyncs after which durable.N was brought up to date */
	uint64_t dropped;	/* pages that a failed fsync has taken away */

	uint64_t reserved[9];
};

struct durable_control {
	uint64_t magic;
	uint64_t version;
	uint64_t files;		/* how many entries are in use */
	uint64_t attached;	/* pid of the process that has mapped this */
	uint64_t reserved[12];
	struct durable_file file[DURABLE_MAX_FILES];
};

#endif
