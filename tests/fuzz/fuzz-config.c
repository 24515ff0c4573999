// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzz: the configuration file of "pmemctl monitor". It is refused with one
 * error, or what was read of it stands there as a whole; and what was read, put
 * between quotes as the man page has it, is read again as the same.
 */
#include "fuzz.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log-target.h"
#include "monitor-settings.h"

#define FILE_NAME	"monitor.conf"
/* A line of iniparser's has 1023 characters. */
#define LINE_MAX_SAFE	1000

#define check(condition_)	do { if (!(condition_)) abort(); } while (0)

static unsigned int errors;

/* In place of the output's, which takes care of what a terminal makes of it. */
void output_error(struct output *out, const char *dev, enum error_code code, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	(void)out;
	check(!dev && error_name(code));
	va_start(ap, fmt);
	check(vasprintf(&text, fmt, ap) > 0);
	va_end(ap);
	errors++;
}

static bool read_settings(const void *data, size_t size, struct monitor_settings *settings)
{
	_cleanup_free_ char *path = NULL;
	struct pmemctl p = { .operand_count = 0 };
	bool good;

	check(asprintf(&path, "%s/" FILE_NAME, fuzz_dir()) > 0);
	p.option[OPTION_CONFIG_FILE] = path;
	fuzz_write(FILE_NAME, data, size);
	errors = 0;
	good = monitor_settings_read(&p, settings);
	check(good ? !errors : errors == 1);
	return good;
}

/* --------------------------------------------------- as it is written */

/* Whether nothing follows in a line at @text, or at most a comment behind a blank. */
static bool ends_line(const char *text, const char *end, bool verbatim)
{
	const char *rest = text;

	while (rest < end && *rest != '\n' && isspace((unsigned char)*rest))
		rest++;
	return rest == end || *rest == '\n' ||
	       (!verbatim && rest > text && (*rest == '#' || *rest == ';'));
}

static bool stands_at(const char *text, size_t length, const char *begin, const char *end,
		      bool verbatim)
{
	const char *before = text, *after = text + length;

	if (before > begin && after < end && (before[-1] == '"' || before[-1] == '\'') &&
	    before[-1] == *after) {
		before--;
		after++;
	}
	while (before > begin && before[-1] != '\n' && isspace((unsigned char)before[-1]))
		before--;
	return before > begin && before[-1] == '=' && ends_line(after, end, verbatim);
}

static void check_written(const char *value, const char *data, size_t size, bool verbatim)
{
	const char *end = data + size, *text = data;
	size_t n = strlen(value);

	check(n);
	while ((text = memmem(text, (size_t)(end - text), value, n))) {
		if (stands_at(text, n, data, end, verbatim))
			return;
		text++;
	}
	abort();
}

/* ------------------------------------------------------- read again */

static void check_again(const char *key, const char *value,
			const char *(*get)(const struct monitor_settings *settings))
{
	const char *quote = !strchr(value, '"') ? "\"" : !strchr(value, '\'') ? "'" : NULL;
	struct monitor_settings again = { 0 };
	_cleanup_free_ char *line = NULL;

	if (!quote)
		return;
	check(asprintf(&line, "[monitor]\n%s = %s%s%s\n", key, quote, value, quote) > 0);
	if (read_settings(line, strlen(line), &again))
		check(get(&again) && !strcmp(get(&again), value));
	else	/* Newer ones than 4.1 know escaped characters, which are refused. */
		check(strlen(line) > LINE_MAX_SAFE || strchr(value, '\\'));
	monitor_settings_clear(&again);
}

static const char *get_log(const struct monitor_settings *settings)
{
	return settings->log;
}

static const char *get_exec(const struct monitor_settings *settings)
{
	return settings->exec;
}

static const char *get_region(const struct monitor_settings *settings)
{
	return settings->regions[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct monitor_settings settings = { 0 };
	const char *text = (const char *)data;
	char **region;

	if (!read_settings(data, size, &settings)) {
		check(!settings.log && !settings.exec && !settings.regions);
		return 0;
	}
	check(settings.log && settings.regions);
	check(settings.events & 1U << VIRTPMEM_EVENT_RESYNC);
	if (strcmp(settings.log, LOG_TARGET_STANDARD) != 0) {
		check_written(settings.log, text, size, false);
		check_again("log", settings.log, get_log);
	}
	if (settings.exec) {
		check_written(settings.exec, text, size, true);
		check_again("exec", settings.exec, get_exec);
	}
	for (region = settings.regions; *region; region++)
		check_again("region", *region, get_region);
	monitor_settings_clear(&settings);
	return 0;
}
