// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records as text: draws the views of views.c. Knows lines, rows, tables and
 * their alignment (libsmartcols), and nothing about regions or commands.
 */
#include <stdio.h>
#include <string.h>

#include <libsmartcols.h>

#include "bars.h"
#include "output.h"
#include "template.h"
#include "tone.h"
#include "util.h"
#include "wrap.h"

/* ------------------------------------------------------------------ tones */

static const struct {
	const char *name;     /* libsmartcols's */
	const char *sequence; /* the terminal's */
} colors[] = {
	[TONE_GOOD] = { "green", "\033[32m" },
	[TONE_WARNING] = { "brown", "\033[33m" },
	[TONE_BAD] = { "red", "\033[31m" },
};

static enum tone tone_of(const struct record *r, const char *path)
{
	const struct record *word = path ? record_get(r, path) : NULL;

	return word && word->kind == RECORD_STRING ? tone_of_word(word->string) : TONE_NONE;
}

/* ------------------------------------------------------------------ grids */

#define NO_PARENT SIZE_MAX

struct grid_cell {
	char *text;
	enum tone tone;
};

/* What a block of rows or columns shows, before it is laid out. */
struct grid {
	const struct output *out;
	const struct block *block;
	const struct cell *cells;
	size_t columns;
	struct grid_cell *cell; /* line by line */
	size_t count;
	size_t *parent; /* of each line; NULL: no tree */
};

static void grid_clear(struct grid *grid)
{
	size_t i;

	for (i = 0; i < grid->count; i++)
		free(grid->cell[i].text);
	free(grid->cell);
	free(grid->parent);
}

#define _cleanup_grid_ __attribute__((__cleanup__(grid_clear)))

/* The text, which belongs to the grid now. */
static void grid_add(struct grid *grid, char *text, enum tone tone)
{
	grid->cell = xreallocarray(grid->cell, grid->count + 1, sizeof(*grid->cell));
	grid->cell[grid->count++] = (struct grid_cell){ .text = text, .tone = tone };
}

static void fill_row(struct grid *grid, const struct cell *cell, const struct record *r)
{
	char *text = expand(r, cell->text), *head;

	if (!text)
		return;
	head = expand(r, cell->head);
	grid_add(grid, head ? head : xstrdup(""), cell->each ? tone_of(r, cell->tone) : TONE_NONE);
	grid_add(grid, text, cell->each ? TONE_NONE : tone_of(r, cell->tone));
}

static void fill_rows(struct grid *grid, const struct record *r)
{
	const struct cell *cell;

	grid->columns = 2;
	for (cell = grid->cells; cell->text; cell++) {
		_cleanup_matches_ struct matches m = { 0 };
		size_t i;

		if (cell->each)
			resolve(r, cell->each, &m);
		else
			matches_add(&m, r);
		for (i = 0; i < m.count; i++)
			if (m.r[i])
				fill_row(grid, cell, m.r[i]);
	}
}

/* The cells of one line; @absent stands for what an element has not. */
static void fill_line(struct grid *grid, const struct record *r, const char *absent)
{
	const struct cell *cell;

	for (cell = grid->cells; cell->text; cell++) {
		char *text = expand(r, cell->text);

		grid_add(grid, text ? text : xstrdup(absent), tone_of(r, cell->tone));
	}
}

static void fill_branch(struct grid *grid, const struct record *r, size_t parent)
{
	size_t line = grid->count / grid->columns, i;
	_cleanup_matches_ struct matches m = { 0 };

	grid->parent = xreallocarray(grid->parent, line + 1, sizeof(*grid->parent));
	grid->parent[line] = parent;
	fill_line(grid, r, "");
	resolve(r, grid->block->below, &m);
	for (i = 0; i < m.count; i++)
		if (m.r[i])
			fill_branch(grid, m.r[i], line);
}

static void fill_table(struct grid *grid, const struct record *r)
{
	_cleanup_matches_ struct matches m = { 0 };
	const struct cell *cell;
	size_t i;

	for (cell = grid->cells; cell->text; cell++)
		grid->columns++;
	resolve(r, grid->block->each, &m);
	for (i = 0; i < m.count; i++) {
		if (!m.r[i])
			continue;
		if (grid->block->kind == BLOCK_TREE)
			fill_branch(grid, m.r[i], NO_PARENT);
		else
			fill_line(grid, m.r[i], "-");
	}
}

/* ---------------------------------------------------------------- widths */

static bool has_heads(const struct grid *grid)
{
	return grid->block->kind != BLOCK_ROWS && !grid->block->no_heads &&
	       !grid->out->no_headings;
}

static size_t widest_line(const char *text)
{
	size_t all = width_of(text), most = 0;
	const char *end;

	for (; (end = strchr(text, '\n')); text = end + 1) {
		size_t rest = width_of(end + 1), width = all - rest - 1;

		if (width > most)
			most = width;
		all = rest;
	}
	return all > most ? all : most;
}

/* What the lines of a tree take before the text. */
static size_t branch_width(const struct grid *grid, size_t line)
{
	size_t width = 0;

	if (!grid->parent)
		return 0;
	for (; grid->parent[line] != NO_PARENT; line = grid->parent[line])
		width += 2;
	return width;
}

static size_t column_width(const struct grid *grid, size_t column)
{
	size_t most = has_heads(grid) ? width_of(grid->cells[column].head) : 0, line;

	for (line = 0; line < grid->count / grid->columns; line++) {
		size_t width = widest_line(grid->cell[line * grid->columns + column].text) +
			       (column ? 0 : branch_width(grid, line));

		if (width > most)
			most = width;
	}
	return most;
}

/* In less than that, words alone on their lines would be all there is. */
#define WRAP_MIN 12

/* Room for the last column where it stands beside the first alone; 0: not enough, or any. */
static size_t room_beside_first(const struct grid *grid)
{
	size_t terminal = output_width(), taken = grid->block->indent + column_width(grid, 0) + 1;

	return terminal < taken + WRAP_MIN ? 0 : terminal - taken;
}

/* Long sentences stand in the last column. */
static void grid_wrap(struct grid *grid)
{
	size_t room = room_beside_first(grid), i;

	for (i = grid->columns - 1; room && grid->columns > 1 && i < grid->count; i += grid->columns)
		wrap_words(grid->cell[i].text, room);
}

/* Whether the sentences of two columns have to stand below what they are about. */
static bool is_stacked(const struct grid *grid)
{
	size_t terminal = output_width();

	return terminal && grid->columns == 2 && !has_heads(grid) && !room_beside_first(grid) &&
	       grid->block->indent + column_width(grid, 0) + 1 + column_width(grid, 1) > terminal;
}

/*
 * A table that is wider than the terminal is drawn as several, one below the
 * other, each with the first column: nothing is cut off, or broken by the
 * terminal in the middle of a word. Returns: the column that the next one
 * begins with, if this one begins with @first.
 */
static size_t panel_end(const struct grid *grid, size_t first)
{
	size_t terminal = output_width(), width, i;

	if (!terminal || !has_heads(grid))
		return grid->columns;
	width = grid->block->indent + column_width(grid, 0);
	for (i = first; i < grid->columns; i++) {
		width += 1 + column_width(grid, i);
		if (width > terminal && i > first)
			break;
	}
	return i;
}

/* ------------------------------------------------------------------ lines */

/* Colours are there only if they are to be shown. */
static void put_line(const char *text, unsigned int indent, enum tone tone, bool wrap)
{
	_cleanup_free_ char *copy = xstrdup(text);
	size_t width = output_width();
	char *rest = copy, *line;

	if (wrap && width > indent)
		wrap_words(copy, width - indent);
	while ((line = strsep(&rest, "\n")))
		printf("%*s%s%s%s\n", (int)indent, "",
		       tone == TONE_NONE ? "" : colors[tone].sequence, line,
		       tone == TONE_NONE ? "" : "\033[m");
}

/* Names and commands stay whole, to be copied; what is said of each is moved to the right. */
static void draw_stacked(const struct grid *grid)
{
	unsigned int indent = grid->block->indent;
	size_t i;

	for (i = 0; i < grid->count; i++) {
		const struct grid_cell *cell = &grid->cell[i];
		bool second = i % 2;

		put_line(cell->text, indent + (second ? 4 : 0),
			 grid->out->color ? cell->tone : TONE_NONE, second);
	}
}

/* ---------------------------------------------------------------- tables */

static void table_unrefp(struct libscols_table **table)
{
	scols_unref_table(*table);
}

#define _cleanup_table_ __attribute__((__cleanup__(table_unrefp)))

static void table_column(struct libscols_table *table, const char *head, int flags, bool last)
{
	struct libscols_column *column;

	column = scols_table_new_column(table, head, 0, flags | (last ? SCOLS_FL_WRAP : 0));
	if (!column)
		out_of_memory();
	if (last && (scols_column_set_safechars(column, "\n") ||
		     scols_column_set_wrapfunc(column, scols_wrapnl_chunksize,
					       scols_wrapnl_nextchunk, NULL)))
		out_of_memory();
}

/* Of a table: the first column, and those from @from on, before @to. */
static bool is_shown(size_t column, size_t from, size_t to)
{
	return !column || (column >= from && column < to);
}

static void table_columns(struct libscols_table *table, const struct grid *grid, size_t from,
			  size_t to)
{
	const struct block *block = grid->block;
	size_t i;

	for (i = 0; i < grid->columns; i++) {
		const struct cell *cell = &grid->cells[block->kind == BLOCK_ROWS ? 0 : i];
		const char *head = block->kind == BLOCK_ROWS ? "" : cell->head;
		int flags = block->kind != BLOCK_ROWS && cell->right ? SCOLS_FL_RIGHT : 0;

		if (!is_shown(i, from, to))
			continue;
		if (!i && block->kind == BLOCK_TREE)
			flags |= SCOLS_FL_TREE;
		table_column(table, head, flags, i + 1 == grid->columns);
	}
}

static void table_cell(struct libscols_line *line, size_t column, const struct grid_cell *cell)
{
	if (scols_line_set_data(line, column, cell->text))
		out_of_memory();
	if (cell->tone != TONE_NONE &&
	    scols_cell_set_color(scols_line_get_cell(line, column), colors[cell->tone].name))
		out_of_memory();
}

static void table_lines(struct libscols_table *table, const struct grid *grid, size_t from,
			size_t to)
{
	size_t i, column, shown;

	for (i = 0; i < grid->count / grid->columns; i++) {
		size_t parent = grid->parent ? grid->parent[i] : NO_PARENT;
		struct libscols_line *line = scols_table_new_line(
			table, parent == NO_PARENT ? NULL : scols_table_get_line(table, parent));

		if (!line)
			out_of_memory();
		for (column = 0, shown = 0; column < grid->columns; column++)
			if (is_shown(column, from, to))
				table_cell(line, shown++, &grid->cell[i * grid->columns + column]);
	}
}

#define BAR_WIDTH 30
#define BAR_WIDTH_MIN 8

/* As long as the terminal lets it be beside the other columns. */
static unsigned int bar_width(const struct grid *grid, size_t column)
{
	size_t terminal = output_width(), others = grid->block->indent, i;

	for (i = 0; i < grid->columns; i++)
		others += i == column ? 0 : column_width(grid, i) + 1;
	if (!terminal || terminal >= others + BAR_WIDTH)
		return BAR_WIDTH;
	return terminal <= others + BAR_WIDTH_MIN ? BAR_WIDTH_MIN :
						    (unsigned int)(terminal - others);
}

/* Makes numbers bars, of which the longest has the full width. */
static void grid_bars(struct grid *grid, size_t column)
{
	unsigned int width = bar_width(grid, column);
	uint64_t most = 1, n;
	size_t i;

	for (i = column; i < grid->count; i += grid->columns) {
		n = strtoull(grid->cell[i].text, NULL, 10);
		if (n > most)
			most = n;
	}
	for (i = column; i < grid->count; i += grid->columns) {
		n = strtoull(grid->cell[i].text, NULL, 10);
		free(grid->cell[i].text);
		grid->cell[i].text = bar_text(bar_eighths(n, most, width),
					      bars_have_blocks());
	}
}

/* The table, moved to the right, without blanks at the ends of lines. */
static void print_table(struct libscols_table *table, unsigned int indent)
{
	_cleanup_free_ char *text = NULL;
	char *line, *next;

	if (scols_print_table_to_string(table, &text) < 0 || !text)
		out_of_memory();
	for (line = text; line && *line; line = next) {
		size_t len = strcspn(line, "\n");

		next = line[len] ? line + len + 1 : NULL;
		while (len && line[len - 1] == ' ')
			len--;
		printf("%*s%.*s\n", len ? (int)indent : 0, "", (int)len, line);
	}
}

static void panel_draw(const struct grid *grid, size_t from, size_t to)
{
	_cleanup_table_ struct libscols_table *table = scols_new_table();

	if (!table)
		out_of_memory();
	scols_table_enable_noheadings(table, !has_heads(grid));
	scols_table_enable_colors(table, grid->out->color);
	/* It would cut off what is too wide. */
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	table_columns(table, grid, from, to);
	table_lines(table, grid, from, to);
	print_table(table, grid->block->indent);
}

static void grid_draw(struct grid *grid)
{
	size_t from = 1, to;

	if (is_stacked(grid)) {
		draw_stacked(grid);
		return;
	}
	grid_wrap(grid);
	do {
		to = panel_end(grid, from);
		if (from > 1)
			putchar('\n');
		panel_draw(grid, from, to);
		from = to;
	} while (from < grid->columns);
}

/* ----------------------------------------------------------------- blocks */

static void draw_heading(const struct block *block)
{
	if (block->gap)
		putchar('\n');
	if (block->title)
		printf("%*s%s\n", block->kind == BLOCK_TREE ? (int)block->indent : 0, "",
		       block->title);
}

/*
 * The first cell that is not missing, unless it reads like @last, the line before
 * it (NULL: this is the first). Returns: the text, or NULL if there was none.
 */
static char *draw_line(const struct output *out, const struct block *block,
		       const struct record *r, const char *last)
{
	const struct cell *cell;

	for (cell = block->cells; cell->text; cell++) {
		char *text = expand(r, cell->text);
		enum tone tone = out->color ? tone_of(r, cell->tone) : TONE_NONE;

		if (!text)
			continue;
		if (last && streq(last, text))
			return text;
		if (!last)
			draw_heading(block);
		put_line(text, block->indent, tone, true);
		return text;
	}
	return NULL;
}

static void draw_first(const struct output *out, const struct block *block, const struct record *r)
{
	free(draw_line(out, block, r, NULL));
}

/* What is the same for several elements is said once. */
static void draw_each(const struct output *out, const struct block *block, const struct record *r)
{
	_cleanup_matches_ struct matches m = { 0 };
	_cleanup_free_ char *last = NULL;
	size_t i;

	resolve(r, block->each, &m);
	for (i = 0; i < m.count; i++) {
		char *text = m.r[i] ? draw_line(out, block, m.r[i], last) : NULL;

		if (!text)
			continue;
		free(last);
		last = text;
	}
}

static void draw_grid(const struct output *out, const struct block *block, const struct record *r)
{
	_cleanup_grid_ struct grid grid = {
		.out = out,
		.block = block,
		.cells = block->cells ? block->cells : out->columns,
	};
	size_t i;

	/* A usage error was found before columns were chosen. */
	if (!grid.cells)
		return;
	if (block->kind == BLOCK_ROWS)
		fill_rows(&grid, r);
	else
		fill_table(&grid, r);
	if (!grid.count)
		return;
	for (i = 0; block->kind != BLOCK_ROWS && i < grid.columns; i++)
		if (grid.cells[i].bar)
			grid_bars(&grid, i);
	draw_heading(block);
	grid_draw(&grid);
}

static void draw(const struct output *out, const struct block *block, const struct record *r)
{
	for (; block->kind != BLOCK_END; block++) {
		if (block->kind == BLOCK_FIRST)
			draw_first(out, block, r);
		else if (block->kind == BLOCK_EACH)
			draw_each(out, block, r);
		else
			draw_grid(out, block, r);
	}
}

static void text_region(struct output *out, const struct record *region)
{
	if (!out->view || !out->view->region || out->view->late)
		return;
	if (out->view->gap && region != out->regions->child)
		putchar('\n');
	draw(out, out->view->region, region);
	/* A flush may take long, and whoever watches wants to see what is done. */
	output_flush(out);
}

static void text_line(struct output *out, const struct record *line)
{
	draw(out, out->view->line, line);
}

static void text_late_regions(struct output *out)
{
	const struct record *region;

	record_foreach (out->regions, region) {
		if (out->view->gap && region != out->regions->child)
			putchar('\n');
		draw(out, out->view->region, region);
	}
}

static void text_finish(struct output *out)
{
	if (out->view && out->view->late)
		text_late_regions(out);
	if (out->view && out->view->gap && out->reports && out->regions->child)
		putchar('\n');
	if (out->view && out->view->top)
		draw(out, out->view->top, out->top);
}

const struct output_ops output_text = {
	.region = text_region,
	.finish = text_finish,
	.line = text_line,
};
