// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl status: everything about regions, with a verdict. A page for one, a
 * table for several.
 *
 * Rates need two looks at the counters with some time between: all regions are
 * looked at first, and described after that time.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "columns.h"
#include "dax.h"
#include "health.h"
#include "holders.h"
#include "sample.h"
#include "util.h"

#define BETWEEN_NS UINT64_C(200000000)

const struct option_desc status_options[] = {
	{ OPTION_LONG, 'l', "long", NULL, "a page for each region, however many there are", NULL },
	OPTION_OF_COLUMNS,
	OPTIONS_OF_TABLES,
	{ OPTION_DAX, 'd', "dax", NULL, "show the DAX devices: modes, ranges and addresses", NULL },
	{ OPTION_OFFSET, '\0', "offset", "BYTES",
	  "with --dax, also the address of this byte of each DAX device", NULL },
	{ OPTION_ADDRESS, '\0', "address", "ADDRESS",
	  "with --dax, also the DAX device and offset of this address", NULL },
	{ .name = NULL },
};

/* A region that was looked at once. */
struct look {
	struct virtpmem_region *region;
	bool counted;
	struct sample sample;
};

struct looks {
	struct look *v;
	size_t count;
};

static void look(struct pmemctl *p, struct virtpmem_region *region)
{
	struct looks *looks = p->data;
	struct look *l;

	looks->v = xreallocarray(looks->v, looks->count + 1, sizeof(*looks->v));
	l = &looks->v[looks->count++];
	l->region = virtpmem_region_ref(region);
	l->counted = sample_take(region, &l->sample) >= 0;
}

/* Until the first counters are old enough; Ctrl-C ends it. */
static void wait_for_rates(const struct looks *looks)
{
	uint64_t now = sample_now_ns(), until = now;
	struct timespec ts = { 0 };
	size_t i;

	for (i = 0; i < looks->count; i++)
		if (looks->v[i].counted)
			until = looks->v[i].sample.time_ns + BETWEEN_NS;
	if (until <= now)
		return;
	ts.tv_nsec = (long)((until - now) % 1000000000);
	nanosleep(&ts, NULL);
}

static void add_rates(const struct look *l, struct record *r)
{
	struct sample_rates rates;
	struct sample sample;

	if (!l->counted || sample_take(l->region, &sample) < 0)
		return;
	sample_between(&l->sample, &sample, &rates);
	sample_add(&rates, r);
}

static void describe(struct pmemctl *p, const struct look *l, struct dax_query *query)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	struct reader rd = { .p = p, .region = l->region };
	static const struct health_limits no_limits;
	struct record *r;

	/* What is shown and what is judged are the same values. */
	if (virtpmem_region_snapshot_begin(l->region) < 0)
		out_of_memory();
	r = regions_describe(p, l->region, DESCRIBE_FULL);
	if (r) {
		add_rates(l, r);
		dax_add(&rd, query, r);
		holders = holders_add(&rd, HOLDERS_PASSIVE, r);
		health_add(&rd, holders, &no_limits, r);
		output_region(&p->out, r);
	}
	virtpmem_region_snapshot_end(l->region);
}

/* Plain, hexadecimal, or with a unit: 4096, 0x1000, 4K, 2M, 1G. */
static bool parse_bytes(struct pmemctl *p, enum option_id id, const char *name, uint64_t *value)
{
	const char *text = p->option[id];
	unsigned int shift = 0;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (*end == 'K' || *end == 'M' || *end == 'G' || *end == 'T') {
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 40;
		end++;
	}
	if (!errno && *text >= '0' && *text <= '9' && !*end && *value <= UINT64_MAX >> shift) {
		*value <<= shift;
		return true;
	}
	output_error(&p->out, NULL, ERROR_USAGE,
		     "--%s needs a number of bytes, such as 4096, 0x1000 or 2M, not '%s'", name,
		     text);
	return false;
}

static bool parse_query(struct pmemctl *p, struct dax_query *query)
{
	static uint64_t offset, address;

	if (!p->option[OPTION_DAX] && (p->option[OPTION_OFFSET] || p->option[OPTION_ADDRESS])) {
		output_error(&p->out, NULL, ERROR_USAGE, "--%s is of use only with --dax; add it",
			     p->option[OPTION_OFFSET] ? "offset" : "address");
		return false;
	}
	if (p->option[OPTION_OFFSET]) {
		if (!parse_bytes(p, OPTION_OFFSET, "offset", &offset))
			return false;
		query->offset = &offset;
	}
	if (p->option[OPTION_ADDRESS]) {
		if (!parse_bytes(p, OPTION_ADDRESS, "address", &address))
			return false;
		query->address = &address;
	}
	return true;
}

static void choose_view(struct pmemctl *p, size_t count)
{
	if (p->option[OPTION_DAX])
		p->out.view = &view_dax;
	else if (p->option[OPTION_LONG] || (count == 1 && !p->option[OPTION_OUTPUT]))
		p->out.view = &view_status;
}

static void report_not_found(struct pmemctl *p, const char *what)
{
	output_error(&p->out, NULL, ERROR_USAGE,
		     "no DAX device of these regions has that %s; 'pmemctl status --dax' shows what "
		     "they have", what);
}

/* Where something could not be read, this is not known. */
static void check_found(struct pmemctl *p, const struct dax_query *query)
{
	if (p->out.errors->child)
		return;
	if (query->offset && !query->found_offset)
		report_not_found(p, "offset");
	if (query->address && !query->found_address)
		report_not_found(p, "address");
}

void cmd_status(struct pmemctl *p)
{
	struct dax_query query = { 0 };
	struct looks *looks;
	size_t i;

	if (!columns_choose(p) || !parse_query(p, &query))
		return;
	p->data = looks = xcalloc(1, sizeof(*looks));
	regions_each(p, look);
	wait_for_rates(looks);
	choose_view(p, looks->count);
	for (i = 0; i < looks->count; i++) {
		if (!interrupted())
			describe(p, &looks->v[i], &query);
		virtpmem_region_unref(looks->v[i].region);
	}
	if (looks->count)
		check_found(p, &query);
	free(looks->v);
	free(looks);
}
