// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the output backends have in common: the lists of regions and errors,
 * messages on standard error, and the exit status; see output.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "output.h"
#include "util.h"

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

static void begin_answer(struct output *out)
{
	out->top = record_new(RECORD_OBJECT);
	record_add_string(out->top, "schema", OUTPUT_SCHEMA);
	out->regions = record_new(RECORD_ARRAY);
	out->regions->name = "regions";
	out->errors = record_new(RECORD_ARRAY);
	out->errors->name = "errors";
}

size_t output_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	char *end;
	long n;

	n = columns ? strtol(columns, &end, 10) : 0;
	if (n > 0 && !*end)
		return (size_t)n;
	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

bool output_wants_color(const char *when)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when && !streq(when, "auto"))
		return streq(when, "always");
	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && !streq(term, "dumb");
}

/* Shows everything; top owns the lists now. */
static void end_answer(struct output *out)
{
	record_append(out->top, out->regions);
	record_append(out->top, out->errors);
	errno = 0;
	out->ops->finish(out);
	if (ferror(stdout) && !out->write_error)
		out->write_error = errno ? errno : EIO;
}

void output_init(struct output *out, const struct output_ops *ops, bool human)
{
	memset(out, 0, sizeof(*out));
	out->ops = ops;
	out->human = human;
	begin_answer(out);
}

void output_region(struct output *out, struct record *region)
{
	record_append(out->regions, region);
	if (out->ops->region)
		out->ops->region(out, region);
}

bool output_to_file(struct output *out, const char *path)
{
	int fd = new_file_open(out, path, &out->file), err = 0;

	if (fd < 0)
		return false;
	if (dup2(fd, STDOUT_FILENO) < 0) {
		err = errno;
		output_error(out, NULL, ERROR_FAILED, "cannot write to %s: %s", path,
			     strerror(err));
		new_file_end(&out->file, false);
	}
	close(fd);
	return !err;
}

void output_goes_to(struct output *out, const char *file)
{
	free(out->file.path);
	out->file.path = file ? xstrdup(file) : NULL;
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

	if (out->silent)
		return;
	output_flush(out);
	fprintf(stderr, "pmemctl: %s%s%s\n", safe_dev ? safe_dev : "", safe_dev ? ": " : "", safe);
}

void output_error(struct output *out, const char *dev, enum error_code code, const char *fmt, ...)
{
	struct record *error = record_add(out->errors, NULL, RECORD_OBJECT);
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int status;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	if (dev)
		record_add_string(error, "dev", dev);
	record_add_string(error, "code", error_name(code));
	status = error_exit(code);
	record_add_uint(error, "exit", (uint64_t)status);
	if (!out->status)
		out->status = status;
	record_add_string(error, "message", text);
	message(out, dev, text);
}

void output_report(struct output *out)
{
	end_answer(out);
	output_flush(out);
	record_free(out->top);
	begin_answer(out);
	out->reports++;
}

void output_line(struct output *out, const struct record *line)
{
	out->ops->line(out, line);
	output_flush(out);
	out->reports++;
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

void output_forgive(struct output *out)
{
	record_free(out->errors);
	out->errors = record_new(RECORD_ARRAY);
	out->errors->name = "errors";
	out->status = 0;
}

void output_warning(struct output *out, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

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
	fprintf(stderr, "pmemctl: cannot write to %s: %s\n",
		out->file.path ? out->file.path : "standard output", strerror(out->write_error));
	return error_exit(ERROR_FAILED);
}

/* Returns: the exit status so far. */
static int replace_file(struct output *out, int written)
{
	_cleanup_free_ char *path = out->file.path ? xstrdup(out->file.path) : NULL;
	int err = new_file_end(&out->file, !written);

	if (!err)
		return written;
	fprintf(stderr, "pmemctl: cannot replace %s: %s\n", path, strerror(-err));
	return error_exit(ERROR_FAILED);
}

int output_finish(struct output *out)
{
	int status, written;

	/* After the last answer of a stream there are only errors to tell. */
	if (!out->reports || out->errors->child) {
		end_answer(out);
	} else {
		record_append(out->top, out->regions);
		record_append(out->top, out->errors);
	}
	written = replace_file(out, close_stdout(out));
	status = out->ops->exit ? out->ops->exit(out, written) :
				  (out->status ? out->status : written);
	record_free(out->top);
	return status ? status : out->ran_status;
}
