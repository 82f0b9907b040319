/* SPDX-License-Identifier: Apache-2.0 */
/* v1_read - instances, inputs and examples to tensors. */
#include "base/number.h"
#include "inference/v1.h"
#include "wire/base64.h"

struct reader {
	struct json j;
	struct arena *arena;
	struct v1_call *c;
};

/* ---- values ---- */

/* {"b64":"..."} stands for bytes. */
static bool bytes_from_object(struct span text, struct arena *arena, struct span *ret, struct error *err)
{
	struct json j;
	struct span key, value;

	json_init(&j, text, arena);
	if (!json_enter_object(&j, err))
		return false;
	if (!json_next_key(&j, &key, err) || !span_equal(key, SPAN("b64"))) {
		if (j.failed)
			return false;
		return error_set(err, ERROR_INVALID,
				 "an object stands where a value is expected; only {\"b64\":\"...\"} may");
	}
	if (!json_read_string(&j, &value, err) || !base64_read(value, arena, ret, err))
		return false;
	if (json_next_key(&j, &key, err))
		return error_set(err, ERROR_INVALID, "key '" SPAN_FMT "' beside b64", SPAN_ARG(key));
	return json_finish(&j, err);
}

/* Strings and {"b64"} objects between each other. */
static bool scalars_to_bytes(const struct json_array *a, struct arena *arena, void **ret_data, struct error *err)
{
	const struct json_scalar *scalars = a->data;
	struct span *items = ARENA_ARRAY(arena, struct span, a->count, err);

	if (!items)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (scalars[i].type == JSON_STRING)
			items[i] = scalars[i].text;
		else if (scalars[i].type != JSON_OBJECT)
			return error_set(err, ERROR_INVALID, "values of mixed types in one list (value %zu)", i);
		else if (!bytes_from_object(scalars[i].text, arena, &items[i], err))
			return false;
	}
	*ret_data = items;
	return true;
}

static bool tensor_from_array(const struct json_array *a, struct span name, struct arena *arena, struct tensor *ret,
			      struct error *err)
{
	static const enum dtype types[] = {
		[JSON_ARRAY_EMPTY] = DTYPE_FP64,    [JSON_ARRAY_INT64] = DTYPE_INT64,
		[JSON_ARRAY_UINT64] = DTYPE_UINT64, [JSON_ARRAY_DOUBLE] = DTYPE_FP64,
		[JSON_ARRAY_BOOL] = DTYPE_BOOL,     [JSON_ARRAY_STRING] = DTYPE_BYTES,
		[JSON_ARRAY_SCALARS] = DTYPE_BYTES,
	};

	if (a->rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "lists are nested %d deep; at most %d are allowed", a->rank,
				 TENSOR_RANK_MAX);
	ret->name = name;
	ret->dtype = types[a->kind];
	ret->rank = a->rank;
	for (int i = 0; i < a->rank; i++)
		ret->shape[i] = a->shape[i];
	ret->count = a->count;
	ret->data = a->data;
	if (a->kind == JSON_ARRAY_SCALARS)
		return scalars_to_bytes(a, arena, &ret->data, err);
	if (!ret->data)
		ret->data = arena_alloc(arena, 0, err);
	return ret->data != NULL;
}

static bool read_tensor(struct json *j, struct span name, struct arena *arena, struct tensor *ret, struct error *err)
{
	struct json_array a;

	return json_read_array(j, 0, &a, err) && tensor_from_array(&a, name, arena, ret, err);
}

static bool read_single(struct reader *r, struct error *err)
{
	struct call *call = &r->c->call;

	call->inputs = ARENA_NEW(r->arena, struct tensor, err);
	call->input_count = 1;
	return call->inputs && read_tensor(&r->j, (struct span){ 0 }, r->arena, call->inputs, err);
}

/* An object of named things, and not the {"b64"} form of one value. Looks ahead on a copy. */
static bool is_named(const struct json *j, bool in_array, struct error *err)
{
	struct json ahead = *j;
	struct span key;

	if (in_array && (!json_enter_array(&ahead, err) || !json_next_element(&ahead, err)))
		return false;
	return json_peek(&ahead) == JSON_OBJECT && json_enter_object(&ahead, err) && json_next_key(&ahead, &key, err) &&
	       !span_equal(key, SPAN("b64"));
}

/* ---- rows of named values: turned to columns ---- */

struct column {
	struct span name;
	struct span *cells; /* the JSON text of each row's value; ptr NULL: none came */
	size_t cap, bytes;
};

struct columns {
	struct arena *arena;
	struct column *list;
	size_t count, cap, rows;
};

static bool grow(void *array_pointer, size_t need, size_t *cap, size_t size, struct arena *arena, struct error *err)
{
	void **array = array_pointer;
	size_t more = MAX(*cap * 2, (size_t)8);
	void *grown;

	if (need < *cap)
		return true;
	more = MAX(more, need + 1);
	grown = arena_calloc(arena, more, size, err);
	if (!grown)
		return false;
	if (*cap)
		memcpy(grown, *array, *cap * size);
	*array = grown;
	*cap = more;
	return true;
}

static struct column *column_of(struct columns *cs, struct span name, size_t hint, struct error *err)
{
	if (hint < cs->count && span_equal(cs->list[hint].name, name))
		return &cs->list[hint];
	for (size_t i = 0; i < cs->count; i++)
		if (span_equal(cs->list[i].name, name))
			return &cs->list[i];
	if (cs->count == V1_COLUMNS_MAX) {
		error_set(err, ERROR_INVALID, "more than %d names", V1_COLUMNS_MAX);
		return NULL;
	}
	if (!grow(&cs->list, cs->count, &cs->cap, sizeof(struct column), cs->arena, err))
		return NULL;
	cs->list[cs->count].name = name;
	return &cs->list[cs->count++];
}

static bool read_row(struct reader *r, struct columns *cs, struct error *err)
{
	struct span key, text;
	size_t i = 0;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		struct column *c;

		if (!json_read_raw(&r->j, &text, err))
			return false;
		c = column_of(cs, key, i++, err);
		if (!c || !grow(&c->cells, cs->rows, &c->cap, sizeof(struct span), r->arena, err))
			return false;
		if (c->cells[cs->rows].ptr)
			return error_set(err, ERROR_INVALID, "row %zu: '" SPAN_FMT "' came twice", cs->rows,
					 SPAN_ARG(key));
		c->cells[cs->rows] = text;
		c->bytes += text.len + 1;
	}
	cs->rows++;
	return !r->j.failed;
}

static bool read_rows(struct reader *r, struct columns *cs, struct error *err)
{
	if (!json_enter_array(&r->j, err))
		return false;
	while (json_next_element(&r->j, err))
		if (!read_row(r, cs, err))
			return false;
	return !r->j.failed;
}

/* `context`: values that all examples share, where they have none of their own. */
static bool add_context(struct columns *cs, struct span context, struct error *err)
{
	struct json j;
	struct span key, text;
	size_t i = 0;

	json_init(&j, context, cs->arena);
	j.allow_nonfinite = true;
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err)) {
		struct column *c;

		if (!json_read_raw(&j, &text, err))
			return false;
		c = column_of(cs, key, i++, err);
		if (!c || !grow(&c->cells, cs->rows, &c->cap, sizeof(struct span), cs->arena, err))
			return false;
		for (size_t row = 0; row < cs->rows; row++) {
			if (!c->cells[row].ptr) {
				c->cells[row] = text;
				c->bytes += text.len + 1;
			}
		}
	}
	return !j.failed;
}

/* All of a column's texts as one JSON list, read as one. */
static bool column_to_tensor(const struct columns *cs, struct column *c, bool takes_missing, struct tensor *ret,
			     struct error *err)
{
	size_t missing = 0, len = 1;
	struct json j;
	char *text;

	if (!grow(&c->cells, cs->rows, &c->cap, sizeof(struct span), cs->arena, err))
		return false;
	for (size_t row = 0; row < cs->rows; row++) {
		if (c->cells[row].ptr)
			continue;
		if (!takes_missing)
			return error_set(err, ERROR_INVALID, "row %zu has no '" SPAN_FMT "', which other rows have",
					 row, SPAN_ARG(c->name));
		c->cells[row] = SPAN("null");
		missing++;
	}
	text = arena_alloc(cs->arena, c->bytes + missing * 5 + 2, err);
	if (!text)
		return false;
	text[0] = '[';
	for (size_t row = 0; row < cs->rows; row++) {
		memcpy(text + len, c->cells[row].ptr, c->cells[row].len);
		len += c->cells[row].len;
		text[len++] = row + 1 < cs->rows ? ',' : ']';
	}
	json_init(&j, (struct span){ text, len }, cs->arena);
	j.allow_nonfinite = true;
	if (!read_tensor(&j, c->name, cs->arena, ret, err))
		return error_wrap(err, "column '" SPAN_FMT "'", SPAN_ARG(c->name));
	return true;
}

static bool columns_to_inputs(struct columns *cs, struct call *call, struct error *err)
{
	call->inputs = ARENA_ARRAY(cs->arena, struct tensor, cs->count, err);
	if (!call->inputs)
		return false;
	for (size_t i = 0; i < cs->count; i++)
		if (!column_to_tensor(cs, &cs->list[i], call->served->info->takes_missing, &call->inputs[i], err))
			return false;
	call->input_count = cs->count;
	return true;
}

/* ---- the request ---- */

static bool read_instances(struct reader *r, struct error *err)
{
	struct columns cs = { .arena = r->arena };
	struct error ignored = { 0 };

	if (json_peek(&r->j) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, "'instances' is not a list (of rows)");
	r->c->is_rows = true;
	if (!is_named(&r->j, true, &ignored))
		return read_single(r, err);
	return read_rows(r, &cs, err) && columns_to_inputs(&cs, &r->c->call, err);
}

static bool read_named_inputs(struct reader *r, struct error *err)
{
	struct call *call = &r->c->call;
	size_t cap = 0;
	struct span key;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		if (call->input_count == V1_COLUMNS_MAX)
			return error_set(err, ERROR_INVALID, "more than %d names", V1_COLUMNS_MAX);
		if (!grow(&call->inputs, call->input_count, &cap, sizeof(struct tensor), r->arena, err))
			return false;
		if (!read_tensor(&r->j, key, r->arena, &call->inputs[call->input_count], err))
			return false;
		call->input_count++;
	}
	return !r->j.failed;
}

static bool read_inputs(struct reader *r, struct error *err)
{
	struct error ignored = { 0 };

	return is_named(&r->j, false, &ignored) ? read_named_inputs(r, err) : read_single(r, err);
}

static bool read_predict(struct reader *r, struct error *err)
{
	struct call *call = &r->c->call;
	struct span key;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		bool is_rows = span_equal(key, SPAN("instances")), is_columns = span_equal(key, SPAN("inputs"));
		bool ok;

		if ((is_rows || is_columns) && call->inputs)
			return error_set(
			    err, ERROR_INVALID,
			    "the request has both 'instances' and 'inputs' (or one twice): expected one of them");
		if (is_rows)
			ok = read_instances(r, err);
		else if (is_columns)
			ok = read_inputs(r, err);
		else if (span_equal(key, SPAN("signature_name")))
			ok = json_read_string(&r->j, &r->c->signature, err);
		else
			ok = json_skip(&r->j, err);
		if (!ok)
			return false;
	}
	if (!json_finish(&r->j, err))
		return false;
	if (!call->inputs)
		return error_set(err, ERROR_INVALID,
				 "the request has neither 'instances' (rows) nor 'inputs' (columns)");
	return true;
}

static bool read_examples(struct reader *r, struct error *err)
{
	struct columns cs = { .arena = r->arena };
	struct span key, context = { 0 };
	bool has_examples = false;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("examples"))) {
			if (has_examples)
				return error_set(err, ERROR_INVALID, "'examples' came twice");
			has_examples = true;
			ok = read_rows(r, &cs, err);
		} else if (span_equal(key, SPAN("context"))) {
			ok = json_read_raw(&r->j, &context, err);
		} else if (span_equal(key, SPAN("signature_name"))) {
			ok = json_read_string(&r->j, &r->c->signature, err);
		} else {
			ok = json_skip(&r->j, err);
		}
		if (!ok)
			return false;
	}
	if (!json_finish(&r->j, err))
		return false;
	if (!has_examples || cs.rows == 0)
		return error_set(err, ERROR_INVALID,
				 "the request has no 'examples': expected {\"examples\":[{\"feature\":value}]}");
	if (context.ptr && !add_context(&cs, context, err))
		return error_wrap(err, "context");
	return columns_to_inputs(&cs, &r->c->call, err);
}

bool v1_read(struct v1_call *c, struct span body, struct arena *arena, struct error *err)
{
	struct reader r = { .arena = arena, .c = c };

	json_init(&r.j, body, arena);
	r.j.allow_nonfinite = true;
	return c->verb == V1_PREDICT ? read_predict(&r, err) : read_examples(&r, err);
}
