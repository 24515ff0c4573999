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
	ERROR_FLUSH_FAILED,
	ERROR_INTERRUPTED,
};

/* The word in JSON, such as "no_such_region". */
const char *error_name(enum error_code code);

/* The exit status, 1 to 130. */
int error_exit(enum error_code code);

/* What a negative errno of the library means, if the call has no better idea. */
enum error_code error_from_errno(int err);

/* The words for it, for people: never just strerror() where we know more. */
const char *error_text(int err);

#endif /* PMEMCTL_ERROR_H */
