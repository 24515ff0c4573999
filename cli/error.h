/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can go wrong, each with the word that JSON has for it and the exit
 * status. The one place that maps an errno of the library to these.
 */
#ifndef PMEMCTL_ERROR_H
#define PMEMCTL_ERROR_H

enum error_code {
	ERROR_FAILED,
	ERROR_PERMISSION,
	ERROR_BAD_DATA,
	ERROR_USAGE,
	ERROR_AMBIGUOUS,
	ERROR_NO_SUCH_REGION,
	ERROR_GONE,
	ERROR_NOT_SUPPORTED,
	ERROR_BUSY,
	ERROR_TIMED_OUT,
	ERROR_BROKEN,
	ERROR_DATA_LOSS,
	ERROR_FLUSH_FAILED,
	ERROR_UNHEALTHY,
	ERROR_INTERRUPTED,
};

/* The word in JSON, such as "no_such_region". */
const char *error_name(enum error_code code);

enum error_exits {
	ERROR_EXITS_OWN,	  /* each failure has its own */
	ERROR_EXITS_COMMAND_LINE, /* as sh(1), env(1), timeout(1) when it was not their command's */
	ERROR_EXITS_NAGIOS,	  /* UNKNOWN */
};

/* From now on; also for whoever runs out of memory. */
void error_set_exits(enum error_exits to);

/* The exit status, 1 to 130. */
int error_exit(enum error_code code);

/* What a negative errno of the library means, if the call has no better idea. */
enum error_code error_from_errno(int err);

/*
 * What that of a file of the user's means, which is no word on a region: that a right is
 * missing, which can be given, or else nothing in particular.
 */
enum error_code error_of_file(int err);

/* The words for it, for people: never just strerror() where we know more. */
const char *error_text(int err);

#endif /* PMEMCTL_ERROR_H */
