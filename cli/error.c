// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What can go wrong; see error.h. Documented in pmemctl(1) and pmemctl-json(5).
 */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "util.h"

static const struct {
	const char *name;
	int exit;
} codes[] = {
	[ERROR_FAILED] = { "failed", 1 },
	[ERROR_PERMISSION] = { "permission", 1 },
	[ERROR_BAD_DATA] = { "bad_data", 1 },
	[ERROR_USAGE] = { "usage", 2 },
	[ERROR_AMBIGUOUS] = { "ambiguous", 2 },
	[ERROR_NO_SUCH_REGION] = { "no_such_region", 3 },
	[ERROR_GONE] = { "gone", 3 },
	[ERROR_NOT_SUPPORTED] = { "not_supported", 4 },
	[ERROR_BUSY] = { "busy", 5 },
	[ERROR_TIMED_OUT] = { "timed_out", 6 },
	[ERROR_BROKEN] = { "broken", 7 },
	[ERROR_DATA_LOSS] = { "data_loss", 7 },
	[ERROR_FLUSH_FAILED] = { "flush_failed", 7 },
	[ERROR_UNHEALTHY] = { "unhealthy", 7 },
	[ERROR_INTERRUPTED] = { "interrupted", 130 },
};

/* Who runs us may take most numbers for something else: then all failures have one. */
static const int all_exit[] = {
	[ERROR_EXITS_OWN] = 0,
	[ERROR_EXITS_COMMAND_LINE] = 125,
	[ERROR_EXITS_NAGIOS] = 3,
};

static enum error_exits exits;

static const struct {
	int err;
	enum error_code code;
	const char *text;
} errnos[] = {
	{ EACCES, ERROR_PERMISSION, "permission denied" },
	{ EPERM, ERROR_PERMISSION, "not permitted" },
	{ EROFS, ERROR_PERMISSION, "its file system is mounted read-only" },
	{ EBADMSG, ERROR_BAD_DATA, "the kernel's file does not hold what it should" },
	{ EINVAL, ERROR_USAGE, "invalid argument" },
	{ ENOTUNIQ, ERROR_AMBIGUOUS, "the name fits several regions" },
	{ ENXIO, ERROR_NO_SUCH_REGION, "no such region" },
	{ ENODEV, ERROR_GONE, "the region is gone" },
	{ EOPNOTSUPP, ERROR_NOT_SUPPORTED, "not supported" },
	{ EBUSY, ERROR_BUSY, "busy" },
	{ ETIMEDOUT, ERROR_TIMED_OUT, "no answer in time" },
	{ EIO, ERROR_FLUSH_FAILED, "the flush failed" },
	{ EINTR, ERROR_INTERRUPTED, "interrupted" },
};

const char *error_name(enum error_code code)
{
	return codes[code].name;
}

void error_set_exits(enum error_exits to)
{
	exits = to;
}

int error_exit(enum error_code code)
{
	return all_exit[exits] ? all_exit[exits] : codes[code].exit;
}

enum error_code error_from_errno(int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i].err == -err)
			return errnos[i].code;
	return ERROR_FAILED;
}

enum error_code error_of_file(int err)
{
	return error_from_errno(err) == ERROR_PERMISSION ? ERROR_PERMISSION : ERROR_FAILED;
}

const char *error_text(int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i].err == -err)
			return errnos[i].text;
	return strerror(-err);
}
