// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Templates over records, in the language that views.h describes; see template.h.
 */
#include <inttypes.h>
#include <string.h>

#include "output.h"
#include "template.h"
#include "units.h"
#include "util.h"

/* ------------------------------------------------------------------ paths */

void matches_clear(struct matches *m)
{
	free(m->r);
}

void matches_add(struct matches *m, const struct record *r)
{
	m->r = xreallocarray(m->r, m->count + 1, sizeof(*m->r));
	m->r[m->count++] = r;
}

/* One step of a path: the first of the names, which are separated by commas, that is there. */
static const struct record *step(const struct record *r, const char *names, size_t len)
{
	while (len) {
		const char *comma = memchr(names, ',', len);
		size_t n = comma ? (size_t)(comma - names) : len;
		const struct record *child = record_child(r, names, n);

		if (child)
			return child;
		names += n + !!comma;
		len -= n + !!comma;
	}
	return NULL;
}

static void resolve_part(const struct record *r, const char *path, size_t len, struct matches *m)
{
	const struct record *child;

	while (r && len) {
		const char *dot = memchr(path, '.', len);
		size_t n = dot ? (size_t)(dot - path) : len;
		size_t used = n + !!dot;

		if (n == 1 && *path == '*') {
			record_foreach (r, child)
				resolve_part(child, path + used, len - used, m);
			return;
		}
		r = step(r, path, n);
		path += used;
		len -= used;
	}
	matches_add(m, r);
}

void resolve(const struct record *r, const char *path, struct matches *m)
{
	resolve_part(r, path, strlen(path), m);
}

/* -------------------------------------------------------------- templates */

static char *value_text(const struct record *r, bool plain)
{
	enum record_unit unit = plain ? UNIT_NONE : record_unit(r);

	switch (r->kind) {
	case RECORD_STRING:
		return printable(r->string, false);
	case RECORD_BOOL:
		return xstrdup(r->boolean ? "yes" : "no");
	case RECORD_INT:
		return xasprintf("%" PRId64, r->sint);
	case RECORD_OBJECT:
	case RECORD_ARRAY:
		return xstrdup("-");
	case RECORD_UINT:
		break;
	}
	switch (unit) {
	case UNIT_BYTES:
		return human_size(r->uint);
	case UNIT_NS:
		return human_time(r->uint);
	case UNIT_US:
		return human_time(r->uint < UINT64_MAX / 1000 ? r->uint * 1000 : UINT64_MAX);
	case UNIT_MILLI:
		return xasprintf("%" PRIu64 ".%02u", r->uint / 1000,
				 (unsigned int)(r->uint % 1000 / 10));
	case UNIT_ADDRESS:
		return xasprintf("0x%" PRIx64, r->uint);
	case UNIT_NONE:
		break;
	}
	return xasprintf("%" PRIu64, r->uint);
}

static void append(char **text, const char *more, size_t len)
{
	size_t old = strlen(*text);

	*text = xreallocarray(*text, old + len + 1, 1);
	memcpy(*text + old, more, len);
	(*text)[old + len] = '\0';
}

/* {path=word}: whether the value is that word. */
static bool is_word(const struct record *r, const char *path, size_t path_len, const char *word,
		    size_t len)
{
	_cleanup_matches_ struct matches m = { 0 };
	const struct record *value;

	resolve_part(r, path, path_len, &m);
	value = m.count ? m.r[0] : NULL;
	return value && value->kind == RECORD_STRING && strlen(value->string) == len &&
	       !memcmp(value->string, word, len);
}

static void replace(char *text, char old, char new)
{
	for (; *text; text++)
		if (*text == old)
			*text = new;
}

/* One {field}, without its braces. Returns: false if there is no value. */
static bool expand_field(const struct record *r, const char *field, size_t len, char **text)
{
	const char *bar = memchr(field, '|', len), *equals = memchr(field, '=', len);
	size_t path_len = bar ? (size_t)(bar - field) : len;
	_cleanup_matches_ struct matches m = { 0 };
	bool plain, test, spaces, several;
	size_t i;

	if (equals)
		return is_word(r, field, (size_t)(equals - field), equals + 1,
			       len - (size_t)(equals + 1 - field));
	plain = path_len && field[path_len - 1] == '!';
	test = path_len && field[path_len - 1] == '?';
	spaces = path_len && field[path_len - 1] == '~';
	path_len -= plain || test || spaces;
	several = memchr(field, '*', path_len);
	resolve_part(r, field, path_len, &m);
	if (!m.count || (!several && !m.r[0]))
		return false;
	if (test)
		return m.r[0] && m.r[0]->kind == RECORD_BOOL && m.r[0]->boolean;
	if (bar && m.r[0] &&
	    ((m.r[0]->kind == RECORD_UINT && !m.r[0]->uint) ||
	     (m.r[0]->kind == RECORD_ARRAY && !m.r[0]->child))) {
		append(text, bar + 1, len - (size_t)(bar + 1 - field));
		return true;
	}
	for (i = 0; i < m.count; i++) {
		_cleanup_free_ char *value = m.r[i] ? value_text(m.r[i], plain) : xstrdup("-");

		if (spaces)
			replace(value, '_', ' ');
		if (i)
			append(text, ",", 1);
		append(text, value, strlen(value));
	}
	return true;
}

/* Up to @end. Returns: false if a value is missing; then what was added is to be dropped. */
static bool expand_part(const struct record *r, const char *from, const char *end, char **text)
{
	while (from < end) {
		size_t left = (size_t)(end - from);
		const char *close;

		if (*from == '{' && (close = memchr(from, '}', left))) {
			if (!expand_field(r, from + 1, (size_t)(close - from - 1), text))
				return false;
			from = close + 1;
		} else if (*from == '[' && (close = memchr(from, ']', left))) {
			size_t mark = strlen(*text);

			if (!expand_part(r, from + 1, close, text))
				(*text)[mark] = '\0';
			from = close + 1;
		} else {
			append(text, from++, 1);
		}
	}
	return true;
}

char *expand(const struct record *r, const char *template)
{
	char *text = xstrdup("");

	if (expand_part(r, template, template + strlen(template), &text))
		return text;
	free(text);
	return NULL;
}
