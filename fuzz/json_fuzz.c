/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool echo(struct json *j, struct json_writer *w, struct error *err)
{
	struct span text;
	struct number n;
	bool boolean;

	switch (json_peek(j)) {
	case JSON_OBJECT:
		if (!json_enter_object(j, err))
			return false;
		json_open_object(w);
		while (json_next_key(j, &text, err)) {
			json_key(w, text);
			if (!echo(j, w, err))
				return false;
		}
		json_close_object(w);
		return !j->failed;
	case JSON_ARRAY:
		if (!json_enter_array(j, err))
			return false;
		json_open_array(w);
		while (json_next_element(j, err))
			if (!echo(j, w, err))
				return false;
		json_close_array(w);
		return !j->failed;
	case JSON_STRING:
		if (!json_read_string(j, &text, err))
			return false;
		if (!span_is_utf8(text))
			__builtin_trap();
		json_string(w, text);
		return true;
	case JSON_BOOL:
		if (!json_read_bool(j, &boolean, err))
			return false;
		json_bool(w, boolean);
		return true;
	case JSON_NULL:
		json_null(w);
		return json_read_null(j, err);
	case JSON_INVALID:
		return json_skip(j, err);
	case JSON_NUMBER:
		break;
	}
	if (!json_read_number(j, &n, err))
		return false;
	if (n.kind == NUMBER_INT)
		json_int64(w, n.i);
	else if (n.kind == NUMBER_UINT)
		json_uint64(w, n.u);
	else
		json_double(w, n.d);
	return true;
}

/* Walks, writes, walks what was written, writes it again: the two texts are equal. */
static bool round_trip(struct span text, struct arena *arena)
{
	struct buffer once, twice;
	struct error err = { 0 };
	struct json_writer w;
	struct json j;
	bool ok;

	buffer_init(&once, MIB(16));
	buffer_init(&twice, MIB(16));
	w = json_writer(&once);
	w.nonfinite = JSON_NONFINITE_TOKEN;
	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	ok = echo(&j, &w, &err) && json_finish(&j, &err);
	if (!ok && err.code == ERROR_NONE)
		__builtin_trap();
	if (ok) {
		w = json_writer(&twice);
		w.nonfinite = JSON_NONFINITE_TOKEN;
		json_init(&j, buffer_span(&once), arena);
		j.allow_nonfinite = true;
		if (!echo(&j, &w, &err) || !json_finish(&j, &err) ||
		    !span_equal(buffer_span(&once), buffer_span(&twice)))
			__builtin_trap();
	}
	buffer_done(&once);
	buffer_done(&twice);
	return ok;
}

static bool skips(struct span text, struct arena *arena)
{
	struct error err = { 0 };
	struct json j;

	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	return json_skip(&j, &err) && json_finish(&j, &err);
}

static bool is_array(struct span text, size_t hint, struct arena *arena, struct json_array *ret)
{
	struct error err = { 0 };
	struct json j;
	bool ok;

	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	ok = json_read_array(&j, hint, ret, &err) && json_finish(&j, &err);
	if (!ok && err.code == ERROR_NONE)
		__builtin_trap();
	return ok;
}

static enum json_number_type number_type(enum json_array_kind kind)
{
	return kind == JSON_ARRAY_INT64 ? JSON_I64 : kind == JSON_ARRAY_UINT64 ? JSON_U64 : JSON_F64;
}

/* Numeric arrays are written and read again; what comes back has the same bits. */
static void check_array(const struct json_array *a, struct arena *arena)
{
	struct json_array again;
	struct json_writer w;
	struct buffer out;

	if (a->kind != JSON_ARRAY_INT64 && a->kind != JSON_ARRAY_UINT64 && a->kind != JSON_ARRAY_DOUBLE)
		return;
	buffer_init(&out, MIB(16));
	w = json_writer(&out);
	w.nonfinite = JSON_NONFINITE_TOKEN;
	json_numbers(&w, number_type(a->kind), a->data, a->rank, a->shape);
	if (!out.overflow) {
		if (!is_array(buffer_span(&out), a->count, arena, &again) || again.count != a->count ||
		    again.rank != a->rank || again.kind != a->kind)
			__builtin_trap();
		for (size_t i = 0; i < a->count; i++) {
			const double *d = a->data, *e = again.data;
			bool both_nan = a->kind == JSON_ARRAY_DOUBLE && isnan(d[i]) && isnan(e[i]);

			if (!both_nan && memcmp(&d[i], &e[i], sizeof(*d)) != 0)
				__builtin_trap();
		}
	}
	buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = span_from(data, len);
	struct json_array a;
	struct arena arena;
	bool is_json;

	arena_init(&arena, MIB(64));
	is_json = round_trip(text, &arena);
	if (is_json != skips(text, &arena))
		__builtin_trap();
	if (is_array(text, 0, &arena, &a)) {
		if (!is_json)
			__builtin_trap();
		check_array(&a, &arena);
	}
	arena_done(&arena);
	return 0;
}
