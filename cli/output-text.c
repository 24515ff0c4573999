// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records as text: draws the views of views.c. Knows templates, alignment
 * (libsmartcols) and nothing about regions or commands.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <libsmartcols.h>

#include "output.h"
#include "units.h"
#include "util.h"

/* ------------------------------------------------------------------ paths */

/* Records that a path leads to; NULL where an element of an array has no such thing. */
struct matches {
	const struct record **r;
	size_t count;
};

static void matches_clear(struct matches *m)
{
	free(m->r);
}

#define _cleanup_matches_ __attribute__((__cleanup__(matches_clear)))

static void match(struct matches *m, const struct record *r)
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

static void resolve(const struct record *r, const char *path, size_t len, struct matches *m)
{
	const struct record *child;

	while (r && len) {
		const char *dot = memchr(path, '.', len);
		size_t n = dot ? (size_t)(dot - path) : len;
		size_t used = n + !!dot;

		if (n == 1 && *path == '*') {
			record_foreach (r, child)
				resolve(child, path + used, len - used, m);
			return;
		}
		r = step(r, path, n);
		path += used;
		len -= used;
	}
	match(m, r);
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

/* One {field}, without its braces. Returns: false if there is no value. */
static bool expand_field(const struct record *r, const char *field, size_t len, char **text)
{
	const char *bar = memchr(field, '|', len);
	size_t path_len = bar ? (size_t)(bar - field) : len;
	_cleanup_matches_ struct matches m = { 0 };
	bool plain, test, several;
	size_t i;

	plain = path_len && field[path_len - 1] == '!';
	test = path_len && field[path_len - 1] == '?';
	path_len -= plain || test;
	several = memchr(field, '*', path_len);
	resolve(r, field, path_len, &m);
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

/* Returns: the text, or NULL if a value that is not in brackets is missing. */
static char *expand(const struct record *r, const char *template)
{
	char *text = xstrdup("");

	if (expand_part(r, template, template + strlen(template), &text))
		return text;
	free(text);
	return NULL;
}

/* ----------------------------------------------------------------- tables */

static void table_unrefp(struct libscols_table **table)
{
	scols_unref_table(*table);
}

#define _cleanup_table_ __attribute__((__cleanup__(table_unrefp)))

static struct libscols_table *table_new(const struct block *block)
{
	struct libscols_table *table = scols_new_table();

	if (!table)
		out_of_memory();
	scols_table_enable_noheadings(table, block->kind == BLOCK_ROWS || block->no_heads);
	return table;
}

static void table_column(struct libscols_table *table, const char *head, int flags)
{
	struct libscols_column *column = scols_table_new_column(table, head, 0, flags);

	if (!column)
		out_of_memory();
}

/* The first column carries the indentation of the block. */
static void table_cell(const struct block *block, struct libscols_line *line, size_t column,
		       const char *text)
{
	_cleanup_free_ char *indented = NULL;

	if (!column && block->indent) {
		indented = xasprintf("%*s%s", (int)block->indent, "", text);
		text = indented;
	}
	if (scols_line_set_data(line, column, text))
		out_of_memory();
}

static struct libscols_line *table_line(struct libscols_table *table)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	if (!line)
		out_of_memory();
	return line;
}

static void fill_row(const struct block *block, struct libscols_table *table,
		     const struct cell *cell, const struct record *r)
{
	_cleanup_free_ char *text = expand(r, cell->text);
	struct libscols_line *line;

	if (!text)
		return;
	line = table_line(table);
	table_cell(block, line, 0, cell->head);
	table_cell(block, line, 1, text);
}

static void fill_rows(const struct block *block, struct libscols_table *table,
		      const struct record *r)
{
	const struct cell *cell;

	table_column(table, "", 0);
	table_column(table, "", SCOLS_FL_WRAP);
	for (cell = block->cells; cell->text; cell++) {
		_cleanup_matches_ struct matches m = { 0 };
		size_t i;

		if (cell->each)
			resolve(r, cell->each, strlen(cell->each), &m);
		else
			match(&m, r);
		for (i = 0; i < m.count; i++)
			if (m.r[i])
				fill_row(block, table, cell, m.r[i]);
	}
}

static void fill_table(const struct block *block, struct libscols_table *table,
		       const struct record *r)
{
	_cleanup_matches_ struct matches m = { 0 };
	const struct cell *cell;
	size_t i;

	for (cell = block->cells; cell->text; cell++) {
		_cleanup_free_ char *head = xasprintf(
			"%*s%s", cell == block->cells ? (int)block->indent : 0, "", cell->head);

		/* On a terminal the last column is continued on the next line. */
		table_column(table, head, (cell->right ? SCOLS_FL_RIGHT : 0) |
						  (cell[1].text ? 0 : SCOLS_FL_WRAP));
	}
	resolve(r, block->each, strlen(block->each), &m);
	for (i = 0; i < m.count; i++) {
		struct libscols_line *line;

		if (!m.r[i])
			continue;
		line = table_line(table);
		for (cell = block->cells; cell->text; cell++) {
			_cleanup_free_ char *text = expand(m.r[i], cell->text);

			table_cell(block, line, (size_t)(cell - block->cells), text ? text : "-");
		}
	}
}

/* ----------------------------------------------------------------- blocks */

static void draw_heading(const struct block *block)
{
	if (block->gap)
		putchar('\n');
	if (block->title)
		puts(block->title);
}

static void draw_first(const struct block *block, const struct record *r)
{
	const struct cell *cell;

	for (cell = block->cells; cell->text; cell++) {
		_cleanup_free_ char *text = expand(r, cell->text);

		if (!text)
			continue;
		draw_heading(block);
		printf("%*s%s\n", (int)block->indent, "", text);
		return;
	}
}

static void draw_table(const struct block *block, const struct record *r)
{
	_cleanup_table_ struct libscols_table *table = table_new(block);

	if (block->kind == BLOCK_ROWS)
		fill_rows(block, table, r);
	else
		fill_table(block, table, r);
	if (!scols_table_get_nlines(table))
		return;
	draw_heading(block);
	scols_print_table(table);
}

static void draw(const struct block *block, const struct record *r)
{
	for (; block->kind != BLOCK_END; block++) {
		if (block->kind == BLOCK_FIRST)
			draw_first(block, r);
		else
			draw_table(block, r);
	}
}

static void text_region(struct output *out, const struct record *region)
{
	if (!out->view || !out->view->region)
		return;
	if (out->view->gap && region != out->regions->child)
		putchar('\n');
	draw(out->view->region, region);
	/* A flush may take long, and whoever watches wants to see what is done. */
	output_flush(out);
}

static void text_finish(struct output *out)
{
	if (out->view && out->view->top)
		draw(out->view->top, out->top);
}

const struct output_ops output_text = {
	.region = text_region,
	.finish = text_finish,
};
