// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading a configuration file with iniparser; see config.h. That ends a value
 * at a ";", a "#" or a quote, wherever it stands. So each line is looked at once
 * more, and refused if not all of it was read.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <iniparser/iniparser.h>

#include "config.h"
#include "util.h"

/* Without the blanks around it, and without its newline. */
static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* Of iniparser, whose callback has no place for anything of the caller's. */
static char *parse_error;

static int on_parse_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int on_parse_error(const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	char *c;

	free(parse_error);
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	for (c = text; *c; c++)
		*c = isspace((unsigned char)*c) ? ' ' : *c;
	parse_error = xstrdup(trim(text));
	return 0;
}

static bool cannot_read(struct pmemctl *p, const char *file, int err)
{
	output_error(&p->out, NULL, error_of_file(-err), "cannot read %s: %s", file, strerror(err));
	return false;
}

/* ---------------------------------------------------------------- values */

static struct config_key *find_key(const struct config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->count; i++)
		if (!strcasecmp(config->keys[i].name, name))
			return &config->keys[i];
	return NULL;
}

/* For a message: "region, event and log"; the caller frees. */
static char *known_keys(const struct config *config)
{
	char *list = xstrdup("");
	size_t i;

	for (i = 0; i < config->count; i++) {
		const char *sep = !i ? "" : i + 1 < config->count ? ", " : " and ";
		char *longer = xasprintf("%s%s%s", list, sep, config->keys[i].name);

		free(list);
		list = longer;
	}
	return list;
}

static bool take_values(struct pmemctl *p, const char *file, const dictionary *d,
			struct config *config)
{
	size_t n = strlen(config->section);
	ssize_t i;

	for (i = 0; i < d->size; i++) {
		const char *name = d->key[i];
		bool ours = name && !strncmp(name, config->section, n);
		struct config_key *key = ours && name[n] == ':' ?
						 find_key(config, name + n + 1) : NULL;
		_cleanup_free_ char *known = NULL;

		if (!name || (ours && !name[n]))
			continue;
		if (key && d->val[i] && *d->val[i]) {
			key->value = xstrdup(d->val[i]);
			continue;
		}
		known = known_keys(config);
		output_error(&p->out, NULL, ERROR_USAGE, key ?
			     "%s: '%s' has no value; leave the line out" :
			     "%s: '%s' means nothing here; there are %s in the section [%s]", file,
			     key ? key->name : name, known, config->section);
		return false;
	}
	return true;
}

/* ----------------------------------------------------------------- lines */

/* Whether @text, what follows a key and its "=", is the value that was read, and at most a comment. */
static bool is_whole(const struct config_key *key, const char *text)
{
	size_t quote = *text == '"' || *text == '\'', n = key->value ? strlen(key->value) : 0;
	const char *rest = text + quote + n;

	if (!n || strncmp(text + quote, key->value, n) || (quote && *rest++ != *text))
		return false;
	return !*rest || (!key->verbatim && isspace((unsigned char)*rest) &&
			  strchr("#;", rest[strspn(rest, " \t")]));
}

static bool check_line(struct pmemctl *p, const char *file, unsigned int number, char *text,
		       const struct config *config)
{
	char *line = trim(text), *equals = strchr(line, '=');
	const struct config_key *key;

	if (!equals || strchr("#;[", *line))
		return true;
	*equals = '\0';
	key = find_key(config, trim(line));
	if (!key || is_whole(key, trim(equals + 1)))
		return true;
	output_error(&p->out, NULL, ERROR_USAGE,
		     "%s: line %u: of '%s' only '%s' would be read; %s", file, number, key->name,
		     key->value ? key->value : "", key->verbatim ?
		     "put all of it between quotes that it does not have itself, or into a script" :
		     "it cannot be there twice, and has no '#', ';' or quotes in it");
	return false;
}

/* To iniparser, a line ends at a zero byte, and goes on behind a backslash at its end. */
static bool is_whole_line(struct pmemctl *p, const char *file, unsigned int number,
			  const char *line, ssize_t length)
{
	const char *what = NULL;
	size_t n = strlen(line);

	if (n != (size_t)length)
		what = "it has a zero byte, and is no text";
	while (n && isspace((unsigned char)line[n - 1]))
		n--;
	if (!what && n && line[n - 1] == '\\')
		what = "it ends with a '\\', but no line can be continued";
	if (what)
		output_error(&p->out, NULL, ERROR_USAGE, "%s: line %u: %s", file, number, what);
	return !what;
}

static bool check_lines(struct pmemctl *p, const char *file, FILE *f, const struct config *config)
{
	_cleanup_free_ char *line = NULL;
	unsigned int number = 0;
	bool good = true;
	size_t room = 0;
	ssize_t n;

	while (good && (errno = 0, n = getline(&line, &room, f)) >= 0) {
		number++;
		good = is_whole_line(p, file, number, line, n) &&
		       check_line(p, file, number, line, config);
	}
	if (good && errno == ENOMEM)
		out_of_memory();
	return good && ferror(f) ? cannot_read(p, file, errno) : good;
}

/* ------------------------------------------------------------- the file */

/* It is read again later, which a pipe cannot be. /dev/null is a file without lines. */
static bool is_file(struct pmemctl *p, const char *file)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return cannot_read(p, file, errno);
	if (S_ISDIR(st.st_mode))
		return cannot_read(p, file, EISDIR);
	if (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
		return true;
	output_error(&p->out, NULL, ERROR_FAILED,
		     "cannot read %s: it is not a file, which can be read again", file);
	return false;
}

static bool parse(struct pmemctl *p, const char *file, struct config *config)
{
	dictionary *d;
	bool good;

	iniparser_set_error_callback(on_parse_error);
	d = iniparser_load(file);
	if (!d)
		output_error(&p->out, NULL, ERROR_USAGE, "%s is not a configuration file: %s", file,
			     parse_error ? parse_error : "it cannot be parsed");
	free(parse_error);
	parse_error = NULL;
	if (!d)
		return false;
	good = take_values(p, file, d, config);
	iniparser_freedict(d);
	return good;
}

bool config_read(struct pmemctl *p, const char *file, struct config *config)
{
	FILE *f;
	bool good;

	if (!is_file(p, file))
		return false;
	f = fopen(file, "re");
	if (!f)
		return cannot_read(p, file, errno);
	good = parse(p, file, config) && check_lines(p, file, f, config);
	fclose(f);
	return good;
}

void config_clear(struct config *config)
{
	size_t i;

	for (i = 0; i < config->count; i++) {
		free(config->keys[i].value);
		config->keys[i].value = NULL;
	}
}
