/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small plots as SVG: values against a count, both on logarithmic axes. Writes
 * text and knows nothing about regions.
 */
#ifndef PMEMCTL_SVG_H
#define PMEMCTL_SVG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct svg_series {
	const char *label;
	const double *y; /* one for each x; 0 or less is not drawn */
};

struct svg_plot {
	const char *title;
	const char *x_label;
	const double *x; /* grows, all above 0 */
	size_t count;
	const struct svg_series *series;
	size_t series_count;
	char *(*y_text)(double y); /* of a mark on the axis; the caller frees */
};

/* Plots in a row of two, one row below the other. */
void svg_write(FILE *f, const struct svg_plot *plots, size_t count);

#endif /* PMEMCTL_SVG_H */
