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
	const char *head;  /* column heading, or label of a row */
	const char *text;  /* template */
	const char *each;  /* rows only: one for each element of the array at this path */
	bool right;	   /* tables only: align right */
};

enum block_kind {
	BLOCK_END,	/* ends an array of blocks */
	BLOCK_FIRST,	/* the first of its cells that is not missing, as a line */
	BLOCK_ROWS,	/* its cells as rows with a label, aligned */
	BLOCK_TABLE,	/* its cells as columns, a line for each element of an array */
};

struct block {
	enum block_kind kind;
	const char *each;	   /* BLOCK_TABLE: path of the array */
	const char *title;	   /* a line above it, if there is something below */
	unsigned int indent;	   /* in columns */
	bool no_heads;		   /* BLOCK_TABLE: without column headings */
	bool gap;		   /* a blank line before it */
	const struct cell *cells;  /* ends with .text NULL */
};

struct view {
	const struct block *region; /* drawn for each region, as it comes */
	const struct block *top;    /* drawn at the end, over the top-level object */
	bool gap;		    /* a blank line between regions */
};

extern const struct view view_list, view_status, view_flush, view_version, view_help,
	view_help_command, view_complete;

#endif /* PMEMCTL_VIEWS_H */
