// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Plots as SVG; see svg.h. No locale is in play: LC_NUMERIC is never set.
 */
#include <math.h>

#include "output.h"
#include "svg.h"
#include "util.h"

#define PLOT_WIDTH  460.0
#define PLOT_HEIGHT 320.0
#define LEFT	    78.0
#define RIGHT	    20.0
#define TOP	    44.0
#define BOTTOM	    52.0

static const char *const colors[] = { "#1b6ca8", "#d1495b", "#4a7c59", "#8d6a9f" };

/* Where the plot is, and what its axes span, as decimal logarithms. */
struct frame {
	FILE *f;
	const struct svg_plot *plot;
	double left, top;
	double x_min, x_max, y_min, y_max;
};

static void print_text(FILE *f, const char *text)
{
	_cleanup_free_ char *safe = printable(text, false);
	const char *c;

	for (c = safe; *c; c++) {
		if (*c == '&')
			fputs("&amp;", f);
		else if (*c == '<')
			fputs("&lt;", f);
		else
			fputc(*c, f);
	}
}

static void label(const struct frame *fr, double x, double y, const char *anchor, const char *text)
{
	fprintf(fr->f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	print_text(fr->f, text);
	fputs("</text>\n", fr->f);
}

static void line(const struct frame *fr, double x1, double y1, double x2, double y2,
		 const char *color)
{
	fprintf(fr->f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
		x1, y1, x2, y2, color);
}

static double x_at(const struct frame *fr, double x)
{
	return fr->left + LEFT + (log10(x) - fr->x_min) / (fr->x_max - fr->x_min) *
		(PLOT_WIDTH - LEFT - RIGHT);
}

static double y_at(const struct frame *fr, double y)
{
	return fr->top + PLOT_HEIGHT - BOTTOM - (log10(y) - fr->y_min) / (fr->y_max - fr->y_min) *
		(PLOT_HEIGHT - TOP - BOTTOM);
}

/* An axis of at least half a decade, so that one value has a place, too. */
static void widen(double *min, double *max)
{
	double missing = 0.5 - (*max - *min);

	if (missing > 0) {
		*min -= missing / 2;
		*max += missing / 2;
	}
}

static void span(struct frame *fr)
{
	const struct svg_plot *p = fr->plot;
	size_t s, i;

	fr->x_min = fr->y_min = INFINITY;
	fr->x_max = fr->y_max = -INFINITY;
	for (i = 0; i < p->count; i++) {
		fr->x_min = fmin(fr->x_min, log10(p->x[i]));
		fr->x_max = fmax(fr->x_max, log10(p->x[i]));
		for (s = 0; s < p->series_count; s++)
			if (p->series[s].y[i] > 0) {
				fr->y_min = fmin(fr->y_min, log10(p->series[s].y[i]));
				fr->y_max = fmax(fr->y_max, log10(p->series[s].y[i]));
			}
	}
	if (fr->y_min > fr->y_max)
		fr->y_min = fr->y_max = 0;
	/* Lines do not run along the frame. */
	fr->y_min -= 0.08;
	fr->y_max += 0.08;
	widen(&fr->x_min, &fr->x_max);
	widen(&fr->y_min, &fr->y_max);
}

static void y_axis(const struct frame *fr)
{
	static const double steps[] = { 1, 2, 5 };
	double right = fr->left + PLOT_WIDTH - RIGHT;
	int decade;
	size_t i;

	for (decade = (int)floor(fr->y_min); decade <= (int)ceil(fr->y_max); decade++)
		for (i = 0; i < ARRAY_SIZE(steps); i++) {
			double y = steps[i] * pow(10, decade);
			_cleanup_free_ char *text = NULL;

			if (log10(y) < fr->y_min || log10(y) > fr->y_max)
				continue;
			text = fr->plot->y_text(y);
			line(fr, fr->left + LEFT, y_at(fr, y), right, y_at(fr, y), "#dddddd");
			label(fr, fr->left + LEFT - 6, y_at(fr, y) + 4, "end", text);
		}
}

static void x_axis(const struct frame *fr)
{
	double bottom = fr->top + PLOT_HEIGHT - BOTTOM;
	size_t i;

	for (i = 0; i < fr->plot->count; i++) {
		_cleanup_free_ char *text = xasprintf("%g", fr->plot->x[i]);

		line(fr, x_at(fr, fr->plot->x[i]), bottom, x_at(fr, fr->plot->x[i]), bottom + 4,
		     "#333333");
		label(fr, x_at(fr, fr->plot->x[i]), bottom + 18, "middle", text);
	}
	label(fr, fr->left + (PLOT_WIDTH + LEFT - RIGHT) / 2, bottom + 38, "middle",
	      fr->plot->x_label);
}

static void series(const struct frame *fr, size_t n)
{
	const struct svg_series *s = &fr->plot->series[n];
	const char *color = colors[n % ARRAY_SIZE(colors)];
	double legend = fr->left + LEFT + 10 + 90 * (double)n;
	size_t i;

	fprintf(fr->f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", color);
	for (i = 0; i < fr->plot->count; i++)
		if (s->y[i] > 0)
			fprintf(fr->f, "%.1f,%.1f ", x_at(fr, fr->plot->x[i]), y_at(fr, s->y[i]));
	fputs("\"/>\n", fr->f);
	for (i = 0; i < fr->plot->count; i++)
		if (s->y[i] > 0)
			fprintf(fr->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
				x_at(fr, fr->plot->x[i]), y_at(fr, s->y[i]), color);
	if (fr->plot->series_count < 2)
		return;
	line(fr, legend, fr->top + TOP - 12, legend + 18, fr->top + TOP - 12, color);
	label(fr, legend + 22, fr->top + TOP - 8, "start", s->label);
}

static void draw(FILE *f, const struct svg_plot *plot, double left, double top)
{
	struct frame fr = { .f = f, .plot = plot, .left = left, .top = top };
	size_t n;

	span(&fr);
	fputs("<g>\n", f);
	label(&fr, left + (PLOT_WIDTH + LEFT - RIGHT) / 2, top + 16, "middle", plot->title);
	y_axis(&fr);
	x_axis(&fr);
	fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
		   "stroke=\"#333333\"/>\n", left + LEFT, top + TOP, PLOT_WIDTH - LEFT - RIGHT,
		PLOT_HEIGHT - TOP - BOTTOM);
	for (n = 0; n < plot->series_count; n++)
		series(&fr, n);
	fputs("</g>\n", f);
}

void svg_write(FILE *f, const struct svg_plot *plots, size_t count)
{
	double width = 2 * PLOT_WIDTH, height = PLOT_HEIGHT * (double)((count + 1) / 2);
	size_t i;

	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		   "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
		   "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		width, height, width, height);
	for (i = 0; i < count; i++)
		draw(f, &plots[i], PLOT_WIDTH * (double)(i % 2), PLOT_HEIGHT * (double)(i / 2));
	fputs("</svg>\n", f);
}
