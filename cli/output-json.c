// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records as JSON: one object, in the form of pmemctl-json(5).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "output.h"
#include "units.h"
#include "util.h"

static struct json_object *checked(struct json_object *j)
{
	if (!j)
		out_of_memory();
	return j;
}

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
			json_object_object_add(j, child->name, json_from(out, child));
		return j;
	case RECORD_ARRAY:
		j = checked(json_object_new_array());
		record_foreach (r, child)
			json_object_array_add(j, json_from(out, child));
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

static void json_finish(struct output *out)
{
	struct json_object *top = json_from(out, out->top);
	const char *text;

	text = json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY |
							   JSON_C_TO_STRING_NOSLASHESCAPE);
	if (!text)
		out_of_memory();
	puts(text);
	json_object_put(top);
}

const struct output_ops output_json = {
	.finish = json_finish,
};
