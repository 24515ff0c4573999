// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The record, a tree of typed values; see record.h.
 */
#include <string.h>

#include "record.h"
#include "util.h"

struct record *record_new(enum record_kind kind)
{
	struct record *r = xcalloc(1, sizeof(*r));

	r->kind = kind;
	return r;
}

void record_free(struct record *r)
{
	struct record *child, *next;

	if (!r)
		return;
	for (child = r->child; child; child = next) {
		next = child->next;
		record_free(child);
	}
	if (r->kind == RECORD_STRING)
		free(r->string);
	free(r);
}

void record_append(struct record *parent, struct record *child)
{
	if (parent->last)
		parent->last->next = child;
	else
		parent->child = child;
	parent->last = child;
}

struct record *record_add(struct record *parent, const char *name, enum record_kind kind)
{
	struct record *r = record_new(kind);

	r->name = name;
	record_append(parent, r);
	return r;
}

void record_add_string(struct record *parent, const char *name, const char *value)
{
	record_add(parent, name, RECORD_STRING)->string = xstrdup(value);
}

void record_add_uint(struct record *parent, const char *name, uint64_t value)
{
	record_add(parent, name, RECORD_UINT)->uint = value;
}

void record_add_int(struct record *parent, const char *name, int64_t value)
{
	record_add(parent, name, RECORD_INT)->sint = value;
}

void record_add_bool(struct record *parent, const char *name, bool value)
{
	record_add(parent, name, RECORD_BOOL)->boolean = value;
}

const struct record *record_child(const struct record *r, const char *name, size_t len)
{
	const struct record *child;

	record_foreach (r, child)
		if (child->name && strlen(child->name) == len && !memcmp(child->name, name, len))
			return child;
	return NULL;
}

const struct record *record_get(const struct record *r, const char *path)
{
	while (r && *path) {
		size_t len = strcspn(path, ".");

		r = record_child(r, path, len);
		path += len;
		if (*path == '.')
			path++;
	}
	return r;
}

enum record_unit record_unit(const struct record *r)
{
	static const struct {
		const char *suffix;
		enum record_unit unit;
	} units[] = {
		/* Points in time: as durations they would say nothing. */
		{ "last_change_ns", UNIT_NONE },
		{ "last_failure_ns", UNIT_NONE },
		{ "time_ns", UNIT_NONE }, /* and "boottime_ns" */
		{ "size", UNIT_BYTES },
		{ "_bytes", UNIT_BYTES },
		{ "_ns", UNIT_NS },
		{ "_us", UNIT_US },
		{ "address", UNIT_ADDRESS },
		{ "_milli", UNIT_MILLI },
	};
	size_t len, i;

	if (!r->name || (r->kind != RECORD_UINT && r->kind != RECORD_INT))
		return UNIT_NONE;
	len = strlen(r->name);
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		size_t n = strlen(units[i].suffix);

		if (len >= n && !strcmp(r->name + len - n, units[i].suffix))
			return units[i].unit;
	}
	return UNIT_NONE;
}
