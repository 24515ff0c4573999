// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pmemctl errors: where the memory of regions is bad, in the offsets of each
 * device that is made of it, and which files that hits.
 */
#include <unistd.h>

#include "holders.h"
#include "owners.h"
#include "util.h"

const struct option_desc errors_options[] = {
	{ OPTION_FILES, 'f', "files", NULL, "also show which files are hit", NULL },
	{ OPTION_LIMIT, 'l', "limit", "COUNT",
	  "with --files, look at so many files at most; the default is 10000000", NULL },
	OPTIONS_OF_TABLES,
	{ .name = NULL },
};

/* Ordinary file systems have fewer files; more than this takes minutes. */
#define LIMIT 10000000

static void add_range(struct record *list, const struct virtpmem_bad_range *range)
{
	struct record *r = record_add(list, NULL, RECORD_OBJECT);

	record_add_string(r, "layer",
			  virtpmem_bad_layer_name(virtpmem_bad_range_get_layer(range)));
	record_add_string(r, "device", virtpmem_bad_range_get_device(range));
	record_add_uint(r, "offset_bytes", virtpmem_bad_range_get_offset(range));
	record_add_uint(r, "length_bytes", virtpmem_bad_range_get_length(range));
	record_add_bool(r, "whole", virtpmem_bad_range_is_whole(range));
}

/* How much of the region is bad; that nothing is must be known. */
static void add_sum(struct record *r, struct virtpmem_bad_ranges *ranges)
{
	struct virtpmem_bad_range *range;
	uint64_t bytes = 0;

	virtpmem_bad_range_foreach (ranges, range)
		if (virtpmem_bad_range_get_layer(range) == VIRTPMEM_BAD_REGION)
			bytes += virtpmem_bad_range_get_length(range);
	if (bytes || (virtpmem_bad_ranges_is_complete(ranges) &&
		      !virtpmem_bad_range_get_first(ranges)))
		record_add_uint(r, "bad_bytes", bytes);
}

/* One sentence of those that are not NULL, of which there is one at least. The caller frees. */
static char *joined(const char *first, const char *second)
{
	return xasprintf("%s%s%s", first ? first : "", first && second ? "; " : "",
			 second ? second : "");
}

/* @missing: what the library could not look at, @files: the search among files; or NULL. */
static void add_missing(struct record *r, const char *missing, const char *files)
{
	_cleanup_free_ char *what = NULL, *remedy = NULL;

	record_add_bool(r, "complete", !missing && !files);
	if (!missing && !files)
		return;
	what = joined(missing, files);
	record_add_string(r, "missing", what);
	remedy = joined(!missing ? NULL : geteuid() ? "try it as root" :
						      "look at what is named there by itself",
			!files ? NULL : interrupted() ? "let it come to its end" :
							"a higher --limit looks at more");
	record_add_string(r, "remedy", remedy);
}

/* Returns: why not all files were looked at, or NULL. The caller frees. */
static char *add_files(struct reader *rd, struct record *list)
{
	_cleanup_virtpmem_holders_unref_ struct virtpmem_holders *holders = NULL;
	const unsigned int *limit = rd->p->data;

	if (list->child &&
	    reader_got(rd, "holders",
		       virtpmem_region_get_holders(rd->region, HOLDERS_PASSIVE, &holders)))
		return owners_add(rd->p, holders, list, *limit);
	return NULL;
}

static void errors_of_region(struct pmemctl *p, struct virtpmem_region *region)
{
	_cleanup_virtpmem_bad_ranges_unref_ struct virtpmem_bad_ranges *ranges = NULL;
	struct reader rd = { .p = p, .region = region };
	struct virtpmem_bad_range *range;
	_cleanup_free_ char *files = NULL;
	struct record *r, *list;

	if (!reader_got(&rd, "bad ranges", virtpmem_region_get_bad_ranges(region, &ranges)))
		return;
	r = regions_describe(p, region, DESCRIBE_NAMES);
	add_sum(r, ranges);
	list = record_new(RECORD_ARRAY);
	list->name = "bad_ranges";
	virtpmem_bad_range_foreach (ranges, range)
		add_range(list, range);
	if (p->option[OPTION_FILES])
		files = add_files(&rd, list);
	add_missing(r, virtpmem_bad_ranges_get_missing(ranges), files);
	record_append(r, list);
	output_region(&p->out, r);
}

static bool parse_limit(struct pmemctl *p, unsigned int *limit)
{
	const char *text = p->option[OPTION_LIMIT];

	if (text && !p->option[OPTION_FILES])
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--limit is about files; with --files they are looked at");
	else if (text && !option_parse_count(text, limit))
		output_error(&p->out, NULL, ERROR_USAGE,
			     "--limit needs a number from 1 to 4294967295, such as 100000, not '%s'",
			     text);
	else
		return true;
	return false;
}

void cmd_errors(struct pmemctl *p)
{
	unsigned int limit = LIMIT;

	p->data = &limit;
	if (parse_limit(p, &limit))
		regions_each(p, errors_of_region);
	p->data = NULL;
}
