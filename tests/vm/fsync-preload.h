/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page that fsync-preload.c (inside QEMU) and hostfsync.py (the test)
 * share. hostfsync.py spells the same layout as a struct format; both check
 * magic and version.
 *
 * Each word has one writer, except fail_left: the test sets it and the preload
 * counts it down. All words are naturally aligned and accessed as a whole.
 */
#ifndef FSYNC_PRELOAD_H
#define FSYNC_PRELOAD_H

#include <stdint.h>

#define FSYNC_MAGIC		0x636e797366706d76ull	/* "vmpfsync" */
#define FSYNC_VERSION		2
#define FSYNC_MAX_FILES		64
#define FSYNC_FOREVER		UINT64_MAX

struct fsync_file {
	/* Written by the test before QEMU starts: which file this is. */
	uint64_t dev;
	uint64_t ino;

	/* Written by the test at any time. */
	uint64_t delay_us;	/* sleep before the real fsync */
	uint64_t hold;		/* not 0: do not answer until it is 0 */
	uint64_t fail_errno;	/* what a failing call returns */
	uint64_t fail_left;	/* so many calls still fail; FSYNC_FOREVER */
	uint64_t released;	/* the first so many of "held" may go on */

	/* Written by the preload. */
	uint64_t begun;		/* calls that came in */
	uint64_t ended;		/* calls that were answered, failed ones too */
	uint64_t failed;	/* of those, how many were answered with an error */
	uint64_t holding;	/* calls waiting because of hold at this moment */
	uint64_t held;		/* calls that have ever waited because of hold */

	uint64_t reserved[4];
};

struct fsync_control {
	uint64_t magic;
	uint64_t version;
	uint64_t files;		/* how many entries are in use */
	uint64_t attached;	/* pid of the process that has mapped this page */
	uint64_t reserved[12];
	struct fsync_file file[FSYNC_MAX_FILES];
};

#endif
