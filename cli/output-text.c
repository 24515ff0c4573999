// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records as text: draws the views of views.c. Knows lines, rows, tables and
 * their alignment (libsmartcols), and nothing about regions or commands.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <libsmartcols.h>

#include "output.h"
#include "template.h"
#include "util.h"

/* ------------------------------------------------------------------ grids */

/* What a block of rows or columns shows, before it is laid out. */
struct grid {
	const struct block *block;
	size_t columns;
	char **text; /* line by line */
	size_t count;
};

static void grid_clear(struct grid *grid)
{
	size_t i;

	for (i = 0; i < grid->count; i++)
		free(grid->text[i]);
	free(grid->text);
}

#define _cleanup_grid_ __attribute__((__cleanup__(grid_clear)))

/* The text, which belongs to the grid now. The first column carries the block's indentation. */
static void grid_add(struct grid *grid, char *text)
{
	if (grid->count % grid->columns == 0 && grid->block->indent) {
		char *indented = xasprintf("%*s%s", (int)grid->block->indent, "", text);

		free(text);
		text = indented;
	}
	grid->text = xreallocarray(grid->text, grid->count + 1, sizeof(*grid->text));
	grid->text[grid->count++] = text;
}

static void fill_row(struct grid *grid, const struct cell *cell, const struct record *r)
{
	char *text = expand(r, cell->text);

	if (!text)
		return;
	grid_add(grid, xstrdup(cell->head));
	grid_add(grid, text);
}

static void fill_rows(struct grid *grid, const struct record *r)
{
	const struct cell *cell;

	grid->columns = 2;
	for (cell = grid->block->cells; cell->text; cell++) {
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

static void fill_table(struct grid *grid, const struct record *r)
{
	_cleanup_matches_ struct matches m = { 0 };
	const struct block *block = grid->block;
	const struct cell *cell;
	size_t i;

	for (cell = block->cells; cell->text; cell++)
		grid->columns++;
	resolve(r, block->each, &m);
	for (i = 0; i < m.count; i++)
		for (cell = block->cells; m.r[i] && cell->text; cell++) {
			char *text = expand(m.r[i], cell->text);

			grid_add(grid, text ? text : xstrdup("-"));
		}
}

/* Characters, which is as good as columns for what we print. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* Columns of the terminal, or 0 if it is none: then nothing is wrapped. */
static size_t terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

/* Turns spaces into newlines, so that no line is wider than that, if words allow it. */
static void wrap_words(char *text, size_t width)
{
	char *space = NULL, *line = text;

	for (; *text; text++) {
		if (*text != ' ')
			continue;
		/* Does what is between the last space and this one still fit? */
		*text = '\0';
		if (space && width_of(line) > width) {
			*space = '\n';
			line = space + 1;
		}
		*text = ' ';
		space = text;
	}
	if (space && width_of(line) > width)
		*space = '\n';
}

/* Long sentences stand in the second of two columns. */
static void grid_wrap(struct grid *grid)
{
	size_t terminal = terminal_width(), first = 0, i;

	if (!terminal || grid->columns != 2)
		return;
	for (i = 0; i < grid->count; i += 2)
		if (width_of(grid->text[i]) > first)
			first = width_of(grid->text[i]);
	/* In less than that, words alone on their lines would be all there is. */
	if (terminal < first + 1 + 20)
		return;
	for (i = 1; i < grid->count; i += 2)
		wrap_words(grid->text[i], terminal - first - 1);
}

static void table_unrefp(struct libscols_table **table)
{
	scols_unref_table(*table);
}

#define _cleanup_table_ __attribute__((__cleanup__(table_unrefp)))

static void table_column(struct libscols_table *table, const char *head, bool right, bool last)
{
	struct libscols_column *column;

	column = scols_table_new_column(table, head, 0,
					(right ? SCOLS_FL_RIGHT : 0) | (last ? SCOLS_FL_WRAP : 0));
	if (!column)
		out_of_memory();
	if (last && (scols_column_set_safechars(column, "\n") ||
		     scols_column_set_wrapfunc(column, scols_wrapnl_chunksize,
					       scols_wrapnl_nextchunk, NULL)))
		out_of_memory();
}

static void grid_draw(struct grid *grid)
{
	_cleanup_table_ struct libscols_table *table = scols_new_table();
	const struct block *block = grid->block;
	bool rows = block->kind == BLOCK_ROWS;
	size_t i;

	if (!table)
		out_of_memory();
	scols_table_enable_noheadings(table, rows || block->no_heads);
	/* What is too wide for the terminal is for the terminal to wrap: nothing is cut off. */
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	for (i = 0; i < grid->columns; i++) {
		const struct cell *cell = &block->cells[rows ? 0 : i];
		_cleanup_free_ char *head = xasprintf("%*s%s", i ? 0 : (int)block->indent, "",
						      cell->head);

		table_column(table, head, !rows && cell->right, i + 1 == grid->columns);
	}
	grid_wrap(grid);
	for (i = 0; i < grid->count; i += grid->columns) {
		struct libscols_line *line = scols_table_new_line(table, NULL);
		size_t column;

		if (!line)
			out_of_memory();
		for (column = 0; column < grid->columns; column++)
			if (scols_line_set_data(line, column, grid->text[i + column]))
				out_of_memory();
	}
	scols_print_table(table);
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

static void draw_grid(const struct block *block, const struct record *r)
{
	_cleanup_grid_ struct grid grid = { .block = block };

	if (block->kind == BLOCK_ROWS)
		fill_rows(&grid, r);
	else
		fill_table(&grid, r);
	if (!grid.count)
		return;
	draw_heading(block);
	grid_draw(&grid);
}

static void draw(const struct block *block, const struct record *r)
{
	for (; block->kind != BLOCK_END; block++) {
		if (block->kind == BLOCK_FIRST)
			draw_first(block, r);
		else
			draw_grid(block, r);
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
