// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Numbers for people; see units.h. Integer arithmetic, so that neither the
 * locale nor rounding up to "1024 MiB" or "1000 us" can surprise.
 */
#include <inttypes.h>
#include <stdio.h>

#include "units.h"
#include "util.h"

/* value / unit with up to two decimals, rounded down, without trailing zeros */
static char *fraction(uint64_t value, uint64_t unit, const char *name)
{
	uint64_t whole = value / unit, rest = value % unit, hundredth;

	/* Up to 2^60: divide the unit where multiplying the rest would overflow. */
	hundredth = unit < UINT64_MAX / 100 ? rest * 100 / unit : rest / (unit / 100);
	if (hundredth > 99)
		hundredth = 99;
	if (!hundredth)
		return xasprintf("%" PRIu64 " %s", whole, name);
	if (hundredth % 10 == 0)
		return xasprintf("%" PRIu64 ".%" PRIu64 " %s", whole, hundredth / 10, name);
	return xasprintf("%" PRIu64 ".%02" PRIu64 " %s", whole, hundredth, name);
}

static bool use_si;

void units_use_si(bool si)
{
	use_si = si;
}

char *human_size(uint64_t bytes)
{
	static const char *const names[][2] = {
		{ "KiB", "kB" }, { "MiB", "MB" }, { "GiB", "GB" },
		{ "TiB", "TB" }, { "PiB", "PB" }, { "EiB", "EB" },
	};
	const uint64_t step = use_si ? 1000 : 1024;
	uint64_t unit = step;
	unsigned int i;

	if (bytes < step)
		return xasprintf("%" PRIu64 " bytes", bytes);
	for (i = 0; i + 1 < ARRAY_SIZE(names) && bytes / unit >= step; i++)
		unit *= step;
	return fraction(bytes, unit, names[i][use_si]);
}

char *human_size_ndctl(uint64_t bytes)
{
	static const struct {
		unsigned int shift;
		double decimal;
		const char *iec, *si;
	} units[] = {
		{ 40, 1e12, "TiB", "TB" },
		{ 30, 1e9, "GiB", "GB" },
		{ 20, 1e6, "MiB", "MB" },
		{ 10, 1e3, "KiB", "KB" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(units); i++)
		if (bytes >> units[i].shift)
			return xasprintf("%.2f %s (%.2f %s)",
					 (double)bytes / (double)(UINT64_C(1) << units[i].shift),
					 units[i].iec, (double)bytes / units[i].decimal,
					 units[i].si);
	return xasprintf("%" PRIu64, bytes);
}

char *human_time(uint64_t ns)
{
	static const struct {
		uint64_t seconds, part;
		const char *name, *part_name;
	} long_units[] = {
		{ 86400, 3600, "d", "h" },
		{ 3600, 60, "h", "min" },
		{ 60, 1, "min", "s" },
	};
	uint64_t s = ns / 1000000000;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(long_units); i++)
		if (s >= long_units[i].seconds)
			return xasprintf("%" PRIu64 " %s %" PRIu64 " %s",
					 s / long_units[i].seconds, long_units[i].name,
					 s % long_units[i].seconds / long_units[i].part,
					 long_units[i].part_name);
	if (s)
		return fraction(ns, 1000000000, "s");
	if (ns >= 1000000)
		return fraction(ns, 1000000, "ms");
	if (ns >= 1000)
		return xasprintf("%" PRIu64 " us", ns / 1000);
	return xasprintf("%" PRIu64 " ns", ns);
}
