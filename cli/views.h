/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How records look as text. A view is data: blocks of lines, rows and tables
 * whose cells are templates over the record. output-text.c draws them.
 *
 * Templates
 *
 *   {flush.requests}      the value at that path, sizes and times with a unit
 *   {flush.in_flight_us|nothing}
 *                         "nothing" if the value is 0 or the list is empty
 *   {size!}               the plain number
 *   {read_only?}          nothing, but counts as missing unless it is true
 *   {namespaces.*.dev}    the values of all elements, with commas; "-" for one
 *                         that has none
 *   {outcome=done}        nothing, but counts as missing unless it is that word
 *   {result~}             a word with spaces for its underscores
 *   [, NUMA node {numa_node}]
 *                         left out if a value in it is missing
 *
 * A value that is missing outside of brackets makes the whole template
 * missing: its row is left out; in a table the cell is "-".
 */
#ifndef PMEMCTL_VIEWS_H
#define PMEMCTL_VIEWS_H

#include <stdbool.h>

struct cell {
	const char *head;  /* column heading; label of a row, where it is a template, too */
	const char *text;  /* template; a newline in it is one on the page, in the last column */
	const char *each;  /* rows only: one for each element of the array at this path */
	const char *tone;  /* path of the word that decides the colour, such as "broken" */
	bool right;	   /* tables only: align right */
	bool bar;	   /* tables only: the text is a number, drawn as a bar */
};

enum block_kind {
	BLOCK_END,	/* ends an array of blocks */
	BLOCK_FIRST,	/* the first of its cells that is not missing, as a line */
	BLOCK_EACH,	/* the same, for each element of an array */
	BLOCK_ROWS,	/* its cells as rows with a label, aligned */
	BLOCK_TABLE,	/* its cells as columns, a line for each element of an array */
	BLOCK_TREE,	/* the same, with what is below an element below its line */
};

struct block {
	enum block_kind kind;
	const char *each;	   /* path of the array */
	const char *below;	   /* BLOCK_TREE: path of the array of what is below an element */
	const char *title;	   /* a line above it, if there is something below */
	unsigned int indent;	   /* in columns */
	bool no_heads;		   /* tables: without column headings */
	bool gap;		   /* a blank line before it */
	const struct cell *cells;  /* ends with .text NULL; NULL: the columns that were chosen */
};

struct view {
	const struct block *region; /* drawn for each region, as it comes, or at the end if late */
	const struct block *top;    /* drawn at the end, over the top-level object */
	const struct block *line;   /* drawn for each line of a stream of events */
	bool late;
	bool gap;		    /* a blank line between regions, and between reports */
};

extern const struct view view_status_table, view_dax;
extern const struct view view_list, view_status, view_flush, view_version, view_help,
	view_help_command, view_complete, view_holders, view_health, view_errors;
extern const struct view view_stat, view_monitor, view_bench;
extern const struct view view_recover, view_freeze, view_thaw, view_remove, view_add;
extern const struct view view_set, view_acknowledge;

#endif /* PMEMCTL_VIEWS_H */
