// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records as JSON: one object, in the form of pmemctl-json(5).
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>
#include <json-c/printbuf.h>

#include "output.h"
#include "units.h"
#include "util.h"

/* -------------------------------------------- what json-c says of its memory */

static struct json_object *checked(struct json_object *j)
{
	if (!j)
		out_of_memory();
	return j;
}

static void check_added(int err)
{
	if (err)
		out_of_memory();
}

/* No less than the record's text takes, indentation included. */
static size_t room_for(const struct record *r, size_t depth)
{
	const struct record *child;
	size_t room = 64 + 4 * depth;

	/* A byte takes six as \u001f, three as U+FFFD. */
	if (r->name)
		room += 6 * strlen(r->name);
	if (r->kind == RECORD_STRING)
		room += 6 * strlen(r->string);
	if (r->kind == RECORD_OBJECT || r->kind == RECORD_ARRAY)
		record_foreach (r, child)
			room += room_for(child, depth + 1);
	return room;
}

static int take_room(struct json_object *j, struct printbuf *buffer, int level, int flags)
{
	const size_t *room = json_object_get_userdata(j);

	(void)level;
	(void)flags;
	return *room > INT_MAX ? -1 : printbuf_memset(buffer, (int)*room, 0, 0);
}

/*
 * The serialiser leaves out what does not fit into its buffer when that cannot grow,
 * and nothing tells. So that it need not, the buffer, which stays with the object, is
 * made large enough by a first call, which can tell.
 */
static const char *json_text(struct json_object *top, size_t room, int flags)
{
	json_object_set_serializer(top, take_room, &room, NULL);
	if (!json_object_to_json_string_ext(top, flags))
		out_of_memory();
	json_object_set_serializer(top, NULL, NULL, NULL);
	return json_object_to_json_string_ext(top, flags);
}

/* ------------------------------------------------------------------- records */

/* json-c copies bytes as they are, but JSON is UTF-8. */
static struct json_object *json_string(const char *text)
{
	_cleanup_free_ char *valid = xcalloc(3 * strlen(text) + 1, 1);
	char *to = valid;

	while (*text) {
		unsigned int n = utf8_length(text);

		if (n) {
			memcpy(to, text, n);
			to += n;
			text += n;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3); /* U+FFFD */
			to += 3;
			text++;
		}
	}
	return checked(json_object_new_string(valid));
}

static struct json_object *json_number(const struct output *out, const struct record *r)
{
	_cleanup_free_ char *text = NULL;

	if (!out->human || r->kind != RECORD_UINT)
		goto raw;
	switch (record_unit(r)) {
	case UNIT_BYTES:
		if (r->uint < 1024)
			goto raw;
		text = human_size_ndctl(r->uint);
		break;
	case UNIT_NS:
		text = human_time(r->uint);
		break;
	case UNIT_US:
		text = human_time(r->uint < UINT64_MAX / 1000 ? r->uint * 1000 : UINT64_MAX);
		break;
	case UNIT_MILLI:
	case UNIT_ADDRESS:
	case UNIT_NONE:
		goto raw;
	}
	return json_string(text);
raw:
	if (r->kind == RECORD_INT)
		return checked(json_object_new_int64(r->sint));
	return checked(json_object_new_uint64(r->uint));
}

static struct json_object *json_from(const struct output *out, const struct record *r)
{
	const struct record *child;
	struct json_object *j;

	switch (r->kind) {
	case RECORD_OBJECT:
		j = checked(json_object_new_object());
		record_foreach (r, child)
			check_added(json_object_object_add(j, child->name, json_from(out, child)));
		return j;
	case RECORD_ARRAY:
		j = checked(json_object_new_array());
		record_foreach (r, child)
			check_added(json_object_array_add(j, json_from(out, child)));
		return j;
	case RECORD_STRING:
		return json_string(r->string);
	case RECORD_BOOL:
		return checked(json_object_new_boolean(r->boolean));
	case RECORD_UINT:
	case RECORD_INT:
		break;
	}
	return json_number(out, r);
}

static void print(const struct output *out, const struct record *r)
{
	int form = out->stream ? JSON_C_TO_STRING_PLAIN : JSON_C_TO_STRING_PRETTY;
	struct json_object *top = json_from(out, r);

	puts(json_text(top, room_for(r, 0), form | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}

static void json_line(struct output *out, const struct record *line)
{
	print(out, line);
}

static void json_finish(struct output *out)
{
	print(out, out->top);
}

const struct output_ops output_json = {
	.finish = json_finish,
	.line = json_line,
};
