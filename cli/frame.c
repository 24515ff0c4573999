// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A screenful of characters; see frame.h. Whether the C library takes a
 * character for one or two columns wide decides, as it does in terminals.
 */
#include <limits.h>
#include <string.h>
#include <wchar.h>

#include "frame.h"
#include "output.h"
#include "util.h"

void frame_init(struct frame *f, unsigned int rows, unsigned int columns, bool utf8)
{
	size_t i;

	*f = (struct frame){ .rows = rows, .columns = columns, .utf8 = utf8 };
	f->cell = xcalloc((size_t)rows * columns, sizeof(*f->cell));
	for (i = 0; i < (size_t)rows * columns; i++)
		f->cell[i].text[0] = ' ';
}

void frame_clear(struct frame *f)
{
	free(f->cell);
	f->cell = NULL;
}

struct frame_cell *frame_at(const struct frame *f, unsigned int row, unsigned int column)
{
	return &f->cell[(size_t)row * f->columns + column];
}

/* The code point of the valid UTF-8 of @n bytes at @s. */
static wchar_t code_point(const char *s, unsigned int n)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned int c = n == 1 ? u[0] : u[0] & (0x7f >> n), i;

	for (i = 1; i < n; i++)
		c = c << 6 | (u[i] & 0x3f);
	return (wchar_t)c;
}

/*
 * What to show for the character of @n bytes at @text, which is printable(), and
 * in how many columns; none for what only changes the character before it: it is
 * left out.
 */
static unsigned int shown(const struct frame *f, const char *text, unsigned int n, char out[8])
{
	int width = n == 1 ? 1 : f->utf8 ? wcwidth(code_point(text, n)) : -1;

	memset(out, 0, 8);
	if (width < 0)
		out[0] = '?';
	else
		memcpy(out, text, n);
	return width < 0 ? 1 : (unsigned int)width;
}

/* Puts the text at @to; NULL: only measures it. */
static unsigned int lay_out(const struct frame *f, struct frame_cell *to, unsigned int width,
			    unsigned int look, const char *text)
{
	_cleanup_free_ char *safe = printable(text, false);
	unsigned int used = 0, n, columns;
	const char *s;
	char out[8];

	for (s = safe; *s; s += n) {
		n = utf8_length(s);
		columns = shown(f, s, n, out);
		if (columns > width - used)
			break;
		if (to && columns) {
			memcpy(to[used].text, out, sizeof(out));
			to[used].look = (unsigned char)look;
		}
		if (to && columns == 2)
			to[used + 1] = (struct frame_cell){ .look = (unsigned char)look };
		used += columns;
	}
	return used;
}

unsigned int frame_width(const struct frame *f, const char *text)
{
	return lay_out(f, NULL, UINT_MAX, 0, text);
}

unsigned int frame_put(struct frame *f, unsigned int row, unsigned int column, unsigned int width,
		       unsigned int look, const char *text)
{
	if (row >= f->rows || column >= f->columns)
		return 0;
	if (width > f->columns - column)
		width = f->columns - column;
	return lay_out(f, frame_at(f, row, column), width, look, text);
}

void frame_put_right(struct frame *f, unsigned int row, unsigned int column, unsigned int width,
		     unsigned int look, const char *text)
{
	unsigned int used = frame_width(f, text);

	if (used < width)
		frame_put(f, row, column + width - used, used, look, text);
	else
		frame_put(f, row, column, width, look, text);
}

void frame_look(struct frame *f, unsigned int row, unsigned int column, unsigned int width,
		unsigned int look)
{
	if (row >= f->rows)
		return;
	for (; width && column < f->columns; width--, column++)
		frame_at(f, row, column)->look = (unsigned char)look;
}
