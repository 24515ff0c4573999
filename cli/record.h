/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record: what a command has found out, before anybody thinks of how it
 * will look. A tree of objects, arrays and typed values, whose names are those
 * of pmemctl-json(5). Commands fill it, output backends read it.
 *
 * A parent owns its children; record_free() of the root frees all. Names are
 * not copied: they are literals, or belong to the library.
 */
#ifndef PMEMCTL_RECORD_H
#define PMEMCTL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_kind {
	RECORD_OBJECT,
	RECORD_ARRAY,
	RECORD_STRING,
	RECORD_UINT,
	RECORD_INT,
	RECORD_BOOL,
};

/* What a number counts. It follows from the name, which is part of the contract. */
enum record_unit {
	UNIT_NONE,
	UNIT_BYTES,
	UNIT_NS,
	UNIT_US,
	UNIT_ADDRESS, /* hexadecimal in text */
	UNIT_MILLI, /* thousandths: what is a fraction is an integer, too */
};

struct record {
	enum record_kind kind;
	const char *name; /* NULL in an array, and for the root */
	union {
		char *string;
		uint64_t uint;
		int64_t sint;
		bool boolean;
	};
	struct record *child; /* first child of an object or array */
	struct record *last;  /* and its last */
	struct record *next;  /* next child of the same parent */
};

struct record *record_new(enum record_kind kind);
void record_free(struct record *r);

/* Add to an object (with a name) or to an array (name NULL). What is added belongs to @parent. */
struct record *record_add(struct record *parent, const char *name, enum record_kind kind);
void record_add_string(struct record *parent, const char *name, const char *value);
void record_add_uint(struct record *parent, const char *name, uint64_t value);
void record_add_int(struct record *parent, const char *name, int64_t value);
void record_add_bool(struct record *parent, const char *name, bool value);
void record_append(struct record *parent, struct record *child);

/* The child of that name, or NULL. @name need not end with a NUL. */
const struct record *record_child(const struct record *r, const char *name, size_t len);

/* The record at a path such as "flush.requests", or NULL. */
const struct record *record_get(const struct record *r, const char *path);

enum record_unit record_unit(const struct record *r);

#define record_foreach(parent, r) for ((r) = (parent)->child; (r); (r) = (r)->next)

static inline void record_freep(struct record **p)
{
	record_free(*p);
}

#define _cleanup_record_ __attribute__((__cleanup__(record_freep)))

#endif /* PMEMCTL_RECORD_H */
