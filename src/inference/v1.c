/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v1 - REST of TensorFlow Serving, which is KServe's V1 too.
 *
 * What a prediction is: of a classifier its scores (the probabilities of all classes), of a regression its numbers, of
 * any other model all outputs. signature_name chooses another: an output's name, "predict" (the label) or
 * "predict_proba".
 */
#include "base/number.h"
#include "inference/inference.h"
#include "inference/surfaces.h"
#include "wire/base64.h"
#include "wire/json.h"

static const struct surface surface_v1 = { "v1", fail_as_json_error };

#define V1_COLUMNS_MAX 65536

enum verb { VERB_PREDICT, VERB_CLASSIFY, VERB_REGRESS };

struct v1_call {
	struct call call; /* first: a struct call of this file is one of these */
	enum verb verb;
	bool is_rows; /* asked as `instances`, not `inputs` */
	struct span signature;
};

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

/* ---- which output ---- */

static bool is_classifier(const struct model_info *info)
{
	return info->task == MODEL_TASK_BINARY || info->task == MODEL_TASK_MULTICLASS;
}

static bool choose_output(struct v1_call *c, struct arena *arena, struct error *err)
{
	const struct model_info *info = c->call.served->info;
	bool is_named_output = c->signature.len && !span_equal(c->signature, SPAN("serving_default"));
	size_t index;

	if (c->verb == VERB_CLASSIFY && !is_classifier(info))
		return error_set(err, ERROR_INVALID, "model '" SPAN_FMT "' is not a classifier (use :predict%s)",
				 SPAN_ARG(c->call.served->name),
				 info->task == MODEL_TASK_REGRESSION ? " or :regress" : "");
	if (c->verb == VERB_REGRESS && info->task != MODEL_TASK_REGRESSION)
		return error_set(err, ERROR_INVALID, "model '" SPAN_FMT "' is not a regression (use :predict%s)",
				 SPAN_ARG(c->call.served->name), is_classifier(info) ? " or :classify" : "");
	if (c->verb == VERB_PREDICT && !is_named_output && info->task == MODEL_TASK_OTHER)
		return true; /* all of them */
	c->call.wanted = ARENA_NEW(arena, struct span, err);
	if (!c->call.wanted)
		return false;
	c->call.wanted_count = 1;
	if (c->verb == VERB_PREDICT && is_named_output) {
		c->call.wanted[0] = c->signature;
		return output_find(c->call.served, c->signature, &index, err) || error_wrap(err, "signature_name");
	}
	c->call.wanted[0] = info->outputs[info->score_output].name;
	return true;
}

/* ---- the answer ---- */

static void write_bytes(struct json_writer *w, struct span name, struct span bytes)
{
	if (!span_ends(name, SPAN("_bytes")) && span_is_utf8(bytes)) {
		json_string(w, bytes);
		return;
	}
	json_open_object(w);
	json_key(w, SPAN("b64"));
	buffer_byte(w->out, '"');
	base64_write(w->out, bytes);
	buffer_byte(w->out, '"');
	w->comma = true;
	json_close_object(w);
}

static void write_element(struct json_writer *w, const struct tensor *t, size_t i)
{
	if (t->dtype == DTYPE_BYTES)
		write_bytes(w, t->name, ((const struct span *)t->data)[i]);
	else
		json_bool(w, ((const uint8_t *)t->data)[i] != 0);
}

/* Lists of what json_numbers() does not write; at most TENSOR_RANK_MAX deep. */
static void write_nested(struct json_writer *w, const struct tensor *t, int dim, size_t *at)
{
	if (dim == t->rank) {
		write_element(w, t, (*at)++);
		return;
	}
	json_open_array(w);
	for (int64_t i = 0; i < t->shape[dim]; i++)
		write_nested(w, t, dim + 1, at);
	json_close_array(w);
}

static void write_tensor(struct json_writer *w, const struct tensor *t)
{
	static const enum json_number_type types[DTYPE_COUNT] = {
		[DTYPE_UINT8] = JSON_U8,   [DTYPE_UINT16] = JSON_U16, [DTYPE_UINT32] = JSON_U32,
		[DTYPE_UINT64] = JSON_U64, [DTYPE_INT8] = JSON_I8,    [DTYPE_INT16] = JSON_I16,
		[DTYPE_INT32] = JSON_I32,  [DTYPE_INT64] = JSON_I64,  [DTYPE_FP32] = JSON_F32,
		[DTYPE_FP64] = JSON_F64,
	};
	int64_t one = 1;
	size_t at = 0;

	if (t->dtype == DTYPE_BYTES || t->dtype == DTYPE_BOOL)
		write_nested(w, t, 0, &at);
	else if (t->rank == 0)
		json_numbers(w, types[t->dtype], t->data, 1, &one);
	else
		json_numbers(w, types[t->dtype], t->data, t->rank, t->shape);
}

/* Row `i` of a tensor, as a tensor. */
static struct tensor row_of(const struct tensor *t, size_t i)
{
	struct tensor row = *t;
	size_t rows = (size_t)t->shape[0], width = rows ? t->count / rows : 0;

	row.rank--;
	memmove(row.shape, row.shape + 1, (size_t)row.rank * sizeof(row.shape[0]));
	row.count = width;
	row.data = (char *)t->data + i * width * dtype_size(t->dtype);
	return row;
}

/* json_numbers() writes lists: a single number is written by its own function. */
static void write_row_value(struct json_writer *w, const struct tensor *t)
{
	if (t->rank > 0 || t->dtype == DTYPE_BYTES || t->dtype == DTYPE_BOOL)
		write_tensor(w, t);
	else if (t->dtype == DTYPE_FP32)
		json_float(w, *(const float *)t->data);
	else if (t->dtype == DTYPE_FP64)
		json_double(w, *(const double *)t->data);
	else if (t->dtype == DTYPE_UINT64)
		json_uint64(w, *(const uint64_t *)t->data);
	else if (t->dtype == DTYPE_INT64)
		json_int64(w, *(const int64_t *)t->data);
	else
		json_int64(w, (int64_t)tensor_get(t, 0));
}

static bool write_objects(struct json_writer *w, const struct call *call, struct error *err)
{
	size_t rows = call->results[0].rank ? (size_t)call->results[0].shape[0] : 0;

	for (size_t i = 0; i < call->result_count; i++)
		if (call->results[i].rank == 0 || (size_t)call->results[i].shape[0] != rows)
			return error_set(err, ERROR_INVALID,
					 "the outputs have different numbers of rows: ask in column form ('inputs'), "
					 "or for one by signature_name");
	json_open_array(w);
	for (size_t r = 0; r < rows; r++) {
		json_open_object(w);
		for (size_t i = 0; i < call->result_count; i++) {
			struct tensor row = row_of(&call->results[i], r);

			json_key(w, call->results[i].name);
			write_row_value(w, &row);
		}
		json_close_object(w);
	}
	json_close_array(w);
	return true;
}

static bool write_predictions(struct json_writer *w, const struct v1_call *c, struct error *err)
{
	const struct call *call = &c->call;

	json_key(w, c->is_rows ? SPAN("predictions") : SPAN("outputs"));
	if (call->result_count == 1) {
		write_tensor(w, &call->results[0]);
		return true;
	}
	if (c->is_rows)
		return write_objects(w, call, err);
	json_open_object(w);
	for (size_t i = 0; i < call->result_count; i++) {
		json_key(w, call->results[i].name);
		write_tensor(w, &call->results[i]);
	}
	json_close_object(w);
	return true;
}

static void write_class(struct json_writer *w, const struct model_info *info, size_t index, double score, bool is_float)
{
	char text[NUMBER_TEXT_MAX];

	json_open_array(w);
	if (info->class_names && index < info->class_count)
		json_string(w, info->class_names[index]);
	else
		json_string(w, (struct span){ text, (size_t)(number_print_uint64(text, index) - text) });
	if (is_float)
		json_float(w, (float)score);
	else
		json_double(w, score);
	json_close_array(w);
}

/* One list of [label, score] a row. */
static void write_classes(struct json_writer *w, const struct call *call)
{
	const struct model_info *info = call->served->info;
	const struct tensor *t = &call->results[0];
	size_t rows = t->rank ? (size_t)t->shape[0] : 1, width = rows ? t->count / rows : 0;
	bool is_float = t->dtype != DTYPE_FP64;

	json_key(w, SPAN("results"));
	json_open_array(w);
	for (size_t r = 0; r < rows; r++) {
		json_open_array(w);
		if (width == 1 && info->task == MODEL_TASK_BINARY) {
			double second = tensor_get(t, r);

			write_class(w, info, 0, is_float ? (double)(1 - (float)second) : 1 - second, is_float);
			write_class(w, info, 1, second, is_float);
		} else {
			for (size_t c = 0; c < width; c++)
				write_class(w, info, c, tensor_get(t, r * width + c), is_float);
		}
		json_close_array(w);
	}
	json_close_array(w);
}

static bool write_numbers(struct json_writer *w, const struct call *call, struct error *err)
{
	struct tensor t = call->results[0];
	size_t rows = t.rank ? (size_t)t.shape[0] : 1;

	if (t.count != rows || t.dtype == DTYPE_BYTES)
		return error_set(err, ERROR_INVALID,
				 "model '" SPAN_FMT "' gives several numbers for a row: use :predict",
				 SPAN_ARG(call->served->name));
	t.rank = 1;
	t.shape[0] = (int64_t)t.count;
	json_key(w, SPAN("results"));
	write_tensor(w, &t);
	return true;
}

/* JSON has no name for half floats: they are written as floats. */
static bool widen_halves(struct call *call, struct arena *arena, struct error *err)
{
	for (size_t i = 0; i < call->result_count; i++) {
		struct tensor *t = &call->results[i];

		if ((t->dtype == DTYPE_FP16 || t->dtype == DTYPE_BF16) && !tensor_convert(t, DTYPE_FP32, arena, t, err))
			return false;
	}
	return true;
}

static bool write_answer(struct request *req, struct v1_call *c, struct error *err)
{
	struct json_writer w = json_writer(&req->out);
	bool ok = true;

	w.nonfinite = JSON_NONFINITE_TOKEN;
	if (!widen_halves(&c->call, &req->arena, err))
		return false;
	json_open_object(&w);
	if (c->verb == VERB_PREDICT)
		ok = write_predictions(&w, c, err);
	else if (c->verb == VERB_CLASSIFY)
		write_classes(&w, &c->call);
	else
		ok = write_numbers(&w, &c->call, err);
	json_close_object(&w);
	return ok && buffer_ok(&req->out, "the answer", err);
}

/* ---- handlers ---- */

static void call_finish(struct request *req, struct call *call)
{
	struct error err = { 0 };

	if (call_run(req, call, &err) && write_answer(req, CONTAINER_OF(call, struct v1_call, call), &err)) {
		request_send(req, 200, SPAN("application/json"));
		return;
	}
	buffer_clear(&req->out);
	request_fail(req, &err);
}

static bool call_read(struct request *req, struct v1_call *c, struct error *err)
{
	struct reader r = { .arena = &req->arena, .c = c };

	c->call.served = served_find(req, err);
	if (!c->call.served)
		return false;
	json_init(&r.j, req->body, &req->arena);
	r.j.allow_nonfinite = true;
	if (!(c->verb == VERB_PREDICT ? read_predict(&r, err) : read_examples(&r, err)))
		return false;
	return choose_output(c, &req->arena, err);
}

static void call_start(struct request *req, enum verb verb)
{
	struct error err = { 0 };
	struct v1_call *c = ARENA_NEW(&req->arena, struct v1_call, &err);

	if (c)
		c->verb = verb;
	if (!c || !call_read(req, c, &err))
		request_fail(req, &err);
	else if (UNLIKELY(call_is_long(req, &c->call)))
		call_offload(req, &c->call, call_finish);
	else
		call_finish(req, &c->call);
}

static void call_start_offloaded(struct request *req, void *arg)
{
	call_start(req, *(const enum verb *)arg);
}

static void handle_verb(struct request *req, const enum verb *verb)
{
	if (UNLIKELY(req->body.len > REQUEST_INLINE_BYTES))
		inference_offload(req, call_start_offloaded, (void *)(uintptr_t)verb);
	else
		call_start(req, *verb);
}

static void predict(struct request *req)
{
	static const enum verb verb = VERB_PREDICT;

	handle_verb(req, &verb);
}

static void classify(struct request *req)
{
	static const enum verb verb = VERB_CLASSIFY;

	handle_verb(req, &verb);
}

static void regress(struct request *req)
{
	static const enum verb verb = VERB_REGRESS;

	handle_verb(req, &verb);
}

static void model_list(struct request *req)
{
	struct json_writer w = json_writer(&req->out);
	size_t count;
	const struct served *const *all = served_all(req, &count);

	json_open_object(&w);
	json_key(&w, SPAN("models"));
	json_open_array(&w);
	for (size_t i = 0; i < count; i++)
		json_string(&w, all[i]->name);
	json_close_array(&w);
	json_close_object(&w);
	request_send(req, 200, SPAN("application/json"));
}

/* TensorFlow Serving's version status and KServe's readiness in one. */
static void model_status(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = served_look(req, request_param(req, "model"), request_param(req, "version"), &err);
	struct json_writer w = json_writer(&req->out);
	bool is_ready = s && s->state == SERVED_READY;

	if (!s) {
		request_fail(req, &err);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("ready"));
	json_bool(&w, is_ready);
	json_key(&w, SPAN("model_version_status"));
	json_open_array(&w);
	json_open_object(&w);
	json_key(&w, SPAN("version"));
	json_string(&w, s->version);
	json_key(&w, SPAN("state"));
	json_string(&w, is_ready ? SPAN("AVAILABLE") : s->state == SERVED_LOADING ? SPAN("LOADING") : SPAN("END"));
	json_key(&w, SPAN("status"));
	json_open_object(&w);
	json_key(&w, SPAN("error_code"));
	json_string(&w, is_ready ? SPAN("OK") : SPAN("UNAVAILABLE"));
	json_key(&w, SPAN("error_message"));
	json_string(&w, s->reason);
	json_close_object(&w);
	json_close_object(&w);
	json_close_array(&w);
	json_close_object(&w);
	request_send(req, is_ready ? 200 : 503, SPAN("application/json"));
}

static void write_signature_tensors(struct json_writer *w, struct span key, const struct tensor_spec *specs,
				    size_t count)
{
	static const char *const types[DTYPE_COUNT] = {
		[DTYPE_BOOL] = "DT_BOOL",     [DTYPE_UINT8] = "DT_UINT8",   [DTYPE_UINT16] = "DT_UINT16",
		[DTYPE_UINT32] = "DT_UINT32", [DTYPE_UINT64] = "DT_UINT64", [DTYPE_INT8] = "DT_INT8",
		[DTYPE_INT16] = "DT_INT16",   [DTYPE_INT32] = "DT_INT32",   [DTYPE_INT64] = "DT_INT64",
		[DTYPE_FP16] = "DT_HALF",     [DTYPE_BF16] = "DT_BFLOAT16", [DTYPE_FP32] = "DT_FLOAT",
		[DTYPE_FP64] = "DT_DOUBLE",   [DTYPE_BYTES] = "DT_STRING",
	};
	char number[NUMBER_TEXT_MAX];

	json_key(w, key);
	json_open_object(w);
	for (size_t i = 0; i < count; i++) {
		json_key(w, specs[i].name);
		json_open_object(w);
		json_key(w, SPAN("dtype"));
		json_string(w, span_of(types[specs[i].dtype]));
		json_key(w, SPAN("tensor_shape"));
		json_open_object(w);
		json_key(w, SPAN("dim"));
		json_open_array(w);
		for (int d = 0; d < specs[i].rank; d++) {
			json_open_object(w);
			json_key(w, SPAN("size")); /* 64-bit integers are strings in protobuf's JSON */
			json_string(w, (struct span){
					   number, (size_t)(number_print_int64(number, specs[i].shape[d]) - number) });
			json_key(w, SPAN("name"));
			json_string(w, SPAN(""));
			json_close_object(w);
		}
		json_close_array(w);
		json_key(w, SPAN("unknown_rank"));
		json_bool(w, false);
		json_close_object(w);
		json_key(w, SPAN("name"));
		json_string(w, specs[i].name);
		json_close_object(w);
	}
	json_close_object(w);
}

static void model_metadata(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = served_find(req, &err);
	struct json_writer w = json_writer(&req->out);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("model_spec"));
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("signature_name"));
	json_string(&w, SPAN(""));
	json_key(&w, SPAN("version"));
	json_string(&w, s->version);
	json_close_object(&w);
	json_key(&w, SPAN("metadata"));
	json_open_object(&w);
	json_key(&w, SPAN("signature_def"));
	json_open_object(&w);
	json_key(&w, SPAN("signature_def"));
	json_open_object(&w);
	json_key(&w, SPAN("serving_default"));
	json_open_object(&w);
	write_signature_tensors(&w, SPAN("inputs"), s->info->inputs, s->info->input_count);
	write_signature_tensors(&w, SPAN("outputs"), s->info->outputs, s->info->output_count);
	json_key(&w, SPAN("method_name"));
	json_string(&w, SPAN("tensorflow/serving/predict"));
	for (int i = 0; i < 5; i++)
		json_close_object(&w);
	request_send(req, 200, SPAN("application/json"));
}

#define MODEL         "/v1/models/{model}"
#define MODEL_VERSION "/v1/models/{model}/versions/{version}"

const struct route v1_routes[] = {
	{ METHOD_GET, "/v1/models", model_list, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL, model_status, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION, model_status, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL "/metadata", model_metadata, &surface_v1, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION "/metadata", model_metadata, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL ":predict", predict, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL_VERSION ":predict", predict, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL ":classify", classify, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL_VERSION ":classify", classify, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL ":regress", regress, &surface_v1, ROUTE_HTTP },
	{ METHOD_POST, MODEL_VERSION ":regress", regress, &surface_v1, ROUTE_HTTP },
	{ 0 },
};
