// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the output backends have in common: the lists of regions and errors,
 * messages on standard error, and the exit status; see output.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "output.h"
#include "util.h"

#define SCHEMA "pmemctl/1"

unsigned int utf8_length(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned int n, i;
	uint32_t c;

	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		n = 2;
	else if ((u[0] & 0xf0) == 0xe0)
		n = 3;
	else if (u[0] >= 0xf0 && u[0] <= 0xf4)
		n = 4;
	else
		return 0;
	c = u[0] & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	/* Overlong forms, surrogates, and what is beyond Unicode. */
	if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
	    (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return n;
}

char *printable(const char *text, bool newlines)
{
	char *safe = xcalloc(4 * strlen(text) + 1, 1), *to = safe;

	while (*text) {
		unsigned int n = utf8_length(text);
		unsigned char c = (unsigned char)*text;
		/* C1 controls are U+0080 to U+009F: two bytes, of which the first is 0xc2. */
		bool control = c < 0x20 || c == 0x7f ||
			       (n == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0);

		if (n && (!control || (newlines && c == '\n'))) {
			memcpy(to, text, n);
			to += n;
			text += n;
		} else {
			to += sprintf(to, "\\x%02x", c);
			text++;
		}
	}
	return safe;
}

void output_init(struct output *out, const struct output_ops *ops, bool human)
{
	memset(out, 0, sizeof(*out));
	out->ops = ops;
	out->human = human;
	out->top = record_new(RECORD_OBJECT);
	record_add_string(out->top, "schema", SCHEMA);
	out->regions = record_new(RECORD_ARRAY);
	out->regions->name = "regions";
	out->errors = record_new(RECORD_ARRAY);
	out->errors->name = "errors";
}

void output_region(struct output *out, struct record *region)
{
	record_append(out->regions, region);
	if (out->ops->region)
		out->ops->region(out, region);
}

/* stdio remembers that a write failed, but not why. */
void output_flush(struct output *out)
{
	errno = 0;
	if (fflush(stdout) && !out->write_error)
		out->write_error = errno ? errno : EIO;
}

/* Text that was printed before the message should be seen before it. */
static void message(struct output *out, const char *dev, const char *text)
{
	_cleanup_free_ char *safe_dev = dev ? printable(dev, false) : NULL;
	_cleanup_free_ char *safe = printable(text, false);

	output_flush(out);
	fprintf(stderr, "pmemctl: %s%s%s\n", safe_dev ? safe_dev : "", safe_dev ? ": " : "", safe);
}

void output_error(struct output *out, const char *dev, enum error_code code, const char *fmt, ...)
{
	struct record *error = record_add(out->errors, NULL, RECORD_OBJECT);
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	if (dev)
		record_add_string(error, "dev", dev);
	record_add_string(error, "code", error_name(code));
	record_add_uint(error, "exit", (uint64_t)error_exit(code));
	record_add_string(error, "message", text);
	message(out, dev, text);
}

void output_note(struct output *out, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (out->ops != &output_text)
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	message(out, NULL, text);
}

/*
 * Everything must have reached the file behind standard output: an error that
 * stdio kept (full file system, closed pipe) or that only close() tells (NFS)
 * must not end in exit status 0.
 */
static int close_stdout(struct output *out)
{
	output_flush(out);
	if (ferror(stdout) && !out->write_error)
		out->write_error = EIO;
	errno = 0;
	/* Where there never was one, and nothing was written, nothing is lost. */
	if (fclose(stdout) && !out->write_error && errno != EBADF)
		out->write_error = errno;
	if (!out->write_error)
		return 0;
	fprintf(stderr, "pmemctl: cannot write to standard output: %s\n",
		strerror(out->write_error));
	return error_exit(ERROR_FAILED);
}

int output_finish(struct output *out)
{
	int status, written;

	record_append(out->top, out->regions);
	record_append(out->top, out->errors);
	errno = 0;
	out->ops->finish(out);
	if (ferror(stdout) && !out->write_error)
		out->write_error = errno ? errno : EIO;
	written = close_stdout(out);
	status = out->errors->child ? (int)record_get(out->errors->child, "exit")->uint : written;
	record_free(out->top);
	return status;
}
