/* SPDX-License-Identifier: Apache-2.0 */
/* v2_json - the V2 infer request and answer as JSON, and the binary tensor data extension. */
#include "inference/v2.h"

#include <math.h>

#include "base/number.h"
#include "wire/base64.h"

/* ---- the request ---- */

/* One of `inputs`, as its keys come, in any order. */
struct input {
	struct span name, datatype;
	int rank;
	int64_t shape[TENSOR_RANK_MAX];
	bool has_shape, has_data, is_base64;
	int64_t binary_size; /* -1: none */
	struct json_array data;
};

struct reader {
	struct json j;
	struct arena *arena;
	struct span binary; /* what is left of it */
	struct v2_infer *infer;
};

static const char *const kind_words[] = {
	[JSON_ARRAY_EMPTY] = "nothing",
	[JSON_ARRAY_INT64] = "integers",
	[JSON_ARRAY_UINT64] = "integers",
	[JSON_ARRAY_DOUBLE] = "numbers",
	[JSON_ARRAY_BOOL] = "booleans",
	[JSON_ARRAY_STRING] = "strings",
	[JSON_ARRAY_SCALARS] = "values of mixed types",
};

static bool read_shape(struct reader *r, struct input *in, struct error *err)
{
	int64_t dim;

	in->rank = 0;
	if (!json_enter_array(&r->j, err))
		return false;
	while (json_next_element(&r->j, err)) {
		if (!json_read_int64(&r->j, &dim, err))
			return false;
		if (in->rank == TENSOR_RANK_MAX)
			return error_set(err, ERROR_INVALID, "a shape has more than %d dimensions", TENSOR_RANK_MAX);
		in->shape[in->rank++] = dim;
	}
	in->has_shape = true;
	return !r->j.failed;
}

static bool read_input_parameters(struct reader *r, struct input *in, struct error *err)
{
	struct span key, text;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		if (span_equal(key, SPAN("binary_data_size"))) {
			if (!json_read_int64(&r->j, &in->binary_size, err))
				return false;
			if (in->binary_size < 0)
				return error_set(err, ERROR_INVALID, "binary_data_size is negative");
		} else if (span_equal(key, SPAN("content_type")) && json_peek(&r->j) == JSON_STRING) {
			if (!json_read_string(&r->j, &text, err))
				return false;
			in->is_base64 = span_equal(text, SPAN("base64"));
		} else if (span_starts(key, SPAN("shared_memory_"))) {
			return error_set(err, ERROR_UNIMPLEMENTED,
					 "tensors in shared memory are not supported: send the data");
		} else if (!json_skip(&r->j, err)) {
			return false;
		}
	}
	return !r->j.failed;
}

static bool read_data(struct reader *r, struct input *in, struct error *err)
{
	struct error ignored = { 0 };
	size_t hint = 0;

	/* A shape that lies is found out later; a hint no larger than the text could fill does no harm. */
	if (in->has_shape &&
	    (!tensor_count(in->rank, in->shape, &hint, &ignored) || hint > (size_t)(r->j.end - r->j.at)))
		hint = 0;
	in->has_data = true;
	return json_read_array(&r->j, hint, &in->data, err);
}

static bool read_input_keys(struct reader *r, struct input *in, struct error *err)
{
	struct span key;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("data")))
			ok = read_data(r, in, err);
		else if (span_equal(key, SPAN("name")))
			ok = json_read_string(&r->j, &in->name, err);
		else if (span_equal(key, SPAN("shape")))
			ok = read_shape(r, in, err);
		else if (span_equal(key, SPAN("datatype")))
			ok = json_read_string(&r->j, &in->datatype, err);
		else if (span_equal(key, SPAN("parameters")))
			ok = read_input_parameters(r, in, err);
		else
			ok = json_skip(&r->j, err);
		if (!ok)
			return false;
	}
	return !r->j.failed;
}

/* ---- data of one input, JSON to its datatype ---- */

static bool nonfinite_word(struct span s, double *ret)
{
	if (span_equal(s, SPAN("NaN")))
		*ret = (double)NAN;
	else if (span_equal(s, SPAN("Infinity")))
		*ret = (double)INFINITY;
	else if (span_equal(s, SPAN("-Infinity")))
		*ret = -(double)INFINITY;
	else
		return false;
	return true;
}

static bool scalar_as_double(const struct json_scalar *s, double *ret)
{
	switch (s->type) {
	case JSON_NULL:
		*ret = (double)NAN;
		return true;
	case JSON_NUMBER:
		*ret = s->number.kind == NUMBER_INT    ? (double)s->number.i
		       : s->number.kind == NUMBER_UINT ? (double)s->number.u
						       : s->number.d;
		return true;
	case JSON_STRING:
		return nonfinite_word(s->text, ret);
	default:
		return false;
	}
}

static bool data_refused(const struct tensor *t, const char *came, struct error *err)
{
	const char *want = t->dtype == DTYPE_BYTES ? "strings" : t->dtype == DTYPE_BOOL ? "booleans" : "numbers";

	return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': datatype %s takes %s as data, came %s",
			 SPAN_ARG(t->name), dtype_name(t->dtype), want, came);
}

/* Floats with "NaN" and the like between them: as doubles. */
static bool words_to_doubles(const struct json_array *data, struct tensor *t, struct arena *arena, struct error *err)
{
	double *values = ARENA_ARRAY(arena, double, data->count, err);

	if (!values)
		return false;
	for (size_t i = 0; i < data->count; i++) {
		bool ok = data->kind == JSON_ARRAY_STRING
			      ? nonfinite_word(((const struct span *)data->data)[i], &values[i])
			      : scalar_as_double(&((const struct json_scalar *)data->data)[i], &values[i]);

		if (!ok)
			return data_refused(t, data->kind == JSON_ARRAY_STRING ? "strings" : "values of mixed types",
					    err);
	}
	t->data = values;
	return true;
}

/* Parameters.content_type base64: elements that are not valid base64 are kept as they are, as MLServer does. */
static bool decode_base64(struct tensor *t, struct arena *arena)
{
	struct span *items = t->data;
	struct error ignored = { 0 };

	for (size_t i = 0; i < t->count; i++)
		(void)base64_read(items[i], arena, &items[i], &ignored);
	return true;
}

/* `t` has everything but the data. */
static bool convert_data(const struct input *in, struct tensor *t, struct arena *arena, struct error *err)
{
	enum dtype type = t->dtype, came = DTYPE_FP64;

	t->data = in->data.data;
	switch (in->data.kind) {
	case JSON_ARRAY_EMPTY:
		t->data = arena_alloc(arena, 0, err);
		return t->data != NULL;
	case JSON_ARRAY_STRING:
		if (type == DTYPE_BYTES)
			return !in->is_base64 || decode_base64(t, arena);
		if (!dtype_is_float(type))
			return data_refused(t, "strings", err);
		if (!words_to_doubles(&in->data, t, arena, err))
			return false;
		break;
	case JSON_ARRAY_SCALARS:
		if (!dtype_is_float(type))
			return data_refused(t, kind_words[JSON_ARRAY_SCALARS], err);
		if (!words_to_doubles(&in->data, t, arena, err))
			return false;
		break;
	case JSON_ARRAY_BOOL:
		if (type != DTYPE_BOOL)
			return data_refused(t, "booleans", err);
		return true;
	case JSON_ARRAY_INT64:
		came = DTYPE_INT64;
		break;
	case JSON_ARRAY_UINT64:
		came = DTYPE_UINT64;
		break;
	case JSON_ARRAY_DOUBLE:
		break;
	}
	if (type == DTYPE_BYTES)
		return data_refused(t, kind_words[in->data.kind], err);
	if (in->data.has_null && !dtype_is_float(type))
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': null stands for NaN, which %s cannot hold",
				 SPAN_ARG(t->name), dtype_name(type));
	t->dtype = came;
	return tensor_convert(t, type, arena, t, err);
}

/* Flat, or nested just as the shape says. */
static bool check_nesting(const struct input *in, size_t count, struct error *err)
{
	const struct json_array *data = &in->data;
	char want[TENSOR_SHAPE_TEXT], came[TENSOR_SHAPE_TEXT];
	bool same = data->rank == in->rank;

	if (data->count != count)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': shape %s has %zu elements, data has %zu",
				 SPAN_ARG(in->name), tensor_shape_text(in->rank, in->shape, want), count, data->count);
	if (data->rank <= 1 || count == 0)
		return true;
	for (int i = 0; same && i < in->rank; i++)
		same = data->shape[i] == in->shape[i];
	if (same)
		return true;
	if (data->rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': data is nested %d deep, its shape is %s",
				 SPAN_ARG(in->name), data->rank, tensor_shape_text(in->rank, in->shape, want));
	return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': shape is %s, data is nested as %s",
			 SPAN_ARG(in->name), tensor_shape_text(in->rank, in->shape, want),
			 tensor_shape_text(data->rank, data->shape, came));
}

static bool take_binary(struct reader *r, const struct input *in, struct tensor *t, struct error *err)
{
	struct span bytes;

	if (in->has_data)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "' has both data and binary_data_size",
				 SPAN_ARG(in->name));
	if ((uint64_t)in->binary_size > r->binary.len)
		return error_set(
		    err, ERROR_INVALID,
		    "input '" SPAN_FMT
		    "': binary_data_size is %lld, but %zu bytes are left behind the JSON header (its length "
		    "goes in Inference-Header-Content-Length)",
		    SPAN_ARG(in->name), (long long)in->binary_size, r->binary.len);
	bytes = span_first(r->binary, (size_t)in->binary_size);
	r->binary = span_skip(r->binary, bytes.len);
	return v2_from_raw(t, bytes, r->arena, err);
}

static bool unknown_dtype(const struct input *in, struct error *err)
{
	return error_set(err, ERROR_INVALID,
			 "input '" SPAN_FMT "': datatype '" SPAN_FMT
			 "' is not known (BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, "
			 "INT32, INT64, FP16, BF16, FP32, FP64, BYTES are)",
			 SPAN_ARG(in->name), SPAN_ARG(in->datatype));
}

static bool read_input(struct reader *r, struct tensor *t, struct error *err)
{
	struct input in;

	in.name = in.datatype = (struct span){ 0 };
	in.rank = 0;
	in.has_shape = in.has_data = in.is_base64 = false;
	in.binary_size = -1;
	if (!read_input_keys(r, &in, err))
		return false;
	if (!in.name.ptr)
		return error_set(err, ERROR_INVALID, "an input has no name");
	if (!in.datatype.ptr)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "' has no datatype", SPAN_ARG(in.name));
	if (!in.has_shape)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "' has no shape", SPAN_ARG(in.name));
	if (!in.has_data && in.binary_size < 0)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "' has no data", SPAN_ARG(in.name));
	t->name = in.name;
	if (!v2_dtype_find(in.datatype, &t->dtype))
		return unknown_dtype(&in, err);
	t->rank = in.rank;
	memcpy(t->shape, in.shape, (size_t)in.rank * sizeof(in.shape[0]));
	if (!tensor_count(in.rank, in.shape, &t->count, err))
		return error_wrap(err, "input '" SPAN_FMT "'", SPAN_ARG(in.name));
	if (in.binary_size >= 0)
		return take_binary(r, &in, t, err);
	return check_nesting(&in, t->count, err) && convert_data(&in, t, r->arena, err);
}

static bool read_inputs(struct reader *r, struct error *err)
{
	struct call *call = &r->infer->call;
	size_t cap = 0;

	if (call->inputs)
		return error_set(err, ERROR_INVALID, "'inputs' came twice");
	if (!json_enter_array(&r->j, err))
		return false;
	while (json_next_element(&r->j, err)) {
		if (!v2_grow(&call->inputs, call->input_count, &cap, sizeof(struct tensor), r->arena, err))
			return false;
		if (!read_input(r, &call->inputs[call->input_count], err))
			return false;
		call->input_count++;
	}
	return !r->j.failed;
}

static bool read_output_parameters(struct reader *r, struct v2_output *output, struct error *err)
{
	struct span key;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		if (span_equal(key, SPAN("binary_data"))) {
			bool is_binary;

			if (!json_read_bool(&r->j, &is_binary, err))
				return false;
			output->form = is_binary ? V2_FORM_BINARY : V2_FORM_JSON;
		} else if (span_equal(key, SPAN("classification"))) {
			int64_t classes;

			if (!json_read_int64(&r->j, &classes, err))
				return false;
			if (classes < 0 || classes > UINT32_MAX)
				return error_set(err, ERROR_INVALID,
						 "classification is %lld, expected how many classes to name",
						 (long long)classes);
			output->classes = (uint32_t)classes;
		} else if (span_starts(key, SPAN("shared_memory_"))) {
			return error_set(err, ERROR_UNIMPLEMENTED, "tensors in shared memory are not supported");
		} else if (!json_skip(&r->j, err)) {
			return false;
		}
	}
	return !r->j.failed;
}

static bool read_output(struct reader *r, struct span *name, struct v2_output *output, struct error *err)
{
	struct span key;

	*name = (struct span){ 0 };
	*output = (struct v2_output){ 0 };
	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("name")))
			ok = json_read_string(&r->j, name, err);
		else if (span_equal(key, SPAN("parameters")))
			ok = read_output_parameters(r, output, err);
		else
			ok = json_skip(&r->j, err);
		if (!ok)
			return false;
	}
	if (r->j.failed)
		return false;
	if (!name->ptr)
		return error_set(err, ERROR_INVALID, "one of 'outputs' has no name");
	return true;
}

static bool read_outputs(struct reader *r, struct error *err)
{
	struct call *call = &r->infer->call;
	size_t cap = 0, names_cap = 0;

	if (call->wanted)
		return error_set(err, ERROR_INVALID, "'outputs' came twice");
	if (!json_enter_array(&r->j, err))
		return false;
	while (json_next_element(&r->j, err)) {
		size_t n = call->wanted_count;

		if (!v2_grow(&call->wanted, n, &names_cap, sizeof(struct span), r->arena, err) ||
		    !v2_grow(&r->infer->outputs, n, &cap, sizeof(struct v2_output), r->arena, err))
			return false;
		if (!read_output(r, &call->wanted[n], &r->infer->outputs[n], err))
			return false;
		call->wanted_count++;
	}
	return !r->j.failed;
}

static bool read_parameters(struct reader *r, struct error *err)
{
	struct span key;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		if (span_equal(key, SPAN("binary_data_output"))) {
			if (!json_read_bool(&r->j, &r->infer->is_binary, err))
				return false;
		} else if (!json_skip(&r->j, err)) {
			return false;
		}
	}
	return !r->j.failed;
}

static bool read_request(struct reader *r, struct error *err)
{
	struct span key;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("inputs")))
			ok = read_inputs(r, err);
		else if (span_equal(key, SPAN("outputs")))
			ok = json_peek(&r->j) == JSON_NULL ? json_skip(&r->j, err) : read_outputs(r, err);
		else if (span_equal(key, SPAN("id")))
			ok = json_peek(&r->j) == JSON_NULL ? json_skip(&r->j, err)
							   : json_read_string(&r->j, &r->infer->call.id, err);
		else if (span_equal(key, SPAN("parameters")))
			ok = json_peek(&r->j) == JSON_NULL ? json_skip(&r->j, err) : read_parameters(r, err);
		else
			ok = json_skip(&r->j, err);
		if (!ok)
			return false;
	}
	return json_finish(&r->j, err);
}

bool v2_json_read(struct span json, struct span binary, struct arena *arena, struct v2_infer *ret, struct error *err)
{
	struct reader r = { .arena = arena, .binary = binary, .infer = ret };

	json_init(&r.j, json, arena);
	r.j.allow_nonfinite = true;
	if (!read_request(&r, err))
		return false;
	if (!ret->call.inputs)
		return error_set(err, ERROR_INVALID,
				 "the request has no inputs: expected {\"inputs\":[{\"name\",\"shape\",\"datatype\","
				 "\"data\"}]}");
	if (r.binary.len)
		return error_set(
		    err, ERROR_INVALID,
		    "%zu bytes are left behind the last input's binary data (binary_data_size of each input, and "
		    "Inference-Header-Content-Length, say what is where)",
		    r.binary.len);
	return true;
}

bool v2_raw_read(struct span body, const struct served *s, struct arena *arena, struct v2_infer *ret, struct error *err)
{
	const struct tensor_spec *spec = &s->info->inputs[0];
	size_t known = 1, elements;
	struct tensor *t = ARENA_NEW(arena, struct tensor, err);
	int variable = -1;

	if (!t)
		return false;
	if (s->info->input_count != 1)
		return error_set(err, ERROR_INVALID,
				 "a raw request is for models with one input; '" SPAN_FMT "' has %zu",
				 SPAN_ARG(s->name), s->info->input_count);
	t->name = spec->name;
	t->dtype = spec->dtype;
	t->rank = spec->rank;
	memcpy(t->shape, spec->shape, sizeof(t->shape));
	for (int i = 0; i < t->rank; i++) {
		if (t->shape[i] >= 0) {
			known *= (size_t)t->shape[i];
			continue;
		}
		if (variable > 0)
			return error_set(err, ERROR_INVALID,
					 "input '" SPAN_FMT
					 "' has several variable dimensions: a raw request cannot tell its shape",
					 SPAN_ARG(t->name));
		if (variable == 0)
			t->shape[0] = 1; /* the batch is 1, the variable one is inside */
		variable = i;
	}
	if (t->dtype == DTYPE_BYTES) {
		/* The extension: BYTES has shape [1], and the body is the element without its length. */
		struct span *item = ARENA_NEW(arena, struct span, err);

		if (!item)
			return false;
		if (variable >= 0)
			t->shape[variable] = 1;
		if (known != 1)
			return error_set(err, ERROR_INVALID,
					 "input '" SPAN_FMT "': a raw request can hold one BYTES element",
					 SPAN_ARG(t->name));
		*item = body;
		t->count = 1;
		t->data = item;
	} else {
		elements = body.len / dtype_size(t->dtype);
		if (variable >= 0)
			t->shape[variable] = known ? (int64_t)(elements / known) : 0;
		if (!tensor_count(t->rank, t->shape, &t->count, err) || !v2_from_raw(t, body, arena, err))
			return false;
	}
	ret->call.inputs = t;
	ret->call.input_count = 1;
	ret->is_binary = true;
	return true;
}

/* ---- the answer ---- */

static void write_shape(struct buffer *out, const struct tensor *t)
{
	char *start = buffer_reserve(out, TENSOR_RANK_MAX * (NUMBER_TEXT_MAX + 1) + 2), *p = start;

	if (!start)
		return;
	*p++ = '[';
	for (int i = 0; i < t->rank; i++) {
		if (i)
			*p++ = ',';
		p = number_print_int64(p, t->shape[i]);
	}
	*p++ = ']';
	buffer_commit(out, (size_t)(p - start));
}

static bool write_strings(struct json_writer *w, const struct tensor *t, struct error *err)
{
	const struct span *items = t->data;

	json_open_array(w);
	for (size_t i = 0; i < t->count; i++) {
		if (!span_is_utf8(items[i]))
			return error_set(err, ERROR_INVALID,
					 "output '" SPAN_FMT
					 "' holds bytes that are not UTF-8, which JSON cannot carry: ask for it with "
					 "\"parameters\":{\"binary_data\":true}",
					 SPAN_ARG(t->name));
		json_string(w, items[i]);
	}
	json_close_array(w);
	return true;
}

static bool write_small_floats(struct json_writer *w, const struct tensor *t)
{
	const uint16_t *values = t->data;

	json_open_array(w);
	for (size_t i = 0; i < t->count; i++)
		json_float(w, t->dtype == DTYPE_FP16 ? float_from_half(values[i]) : float_from_bfloat(values[i]));
	json_close_array(w);
	return true;
}

static bool write_bools(struct json_writer *w, const struct tensor *t)
{
	const uint8_t *values = t->data;

	json_open_array(w);
	for (size_t i = 0; i < t->count; i++)
		json_bool(w, values[i] != 0);
	json_close_array(w);
	return true;
}

static bool write_data(struct buffer *out, const struct tensor *t, struct error *err)
{
	static const enum json_number_type types[DTYPE_COUNT] = {
		[DTYPE_UINT8] = JSON_U8,   [DTYPE_UINT16] = JSON_U16, [DTYPE_UINT32] = JSON_U32,
		[DTYPE_UINT64] = JSON_U64, [DTYPE_INT8] = JSON_I8,    [DTYPE_INT16] = JSON_I16,
		[DTYPE_INT32] = JSON_I32,  [DTYPE_INT64] = JSON_I64,  [DTYPE_FP32] = JSON_F32,
		[DTYPE_FP64] = JSON_F64,
	};
	struct json_writer w = json_writer(out);
	int64_t flat = (int64_t)t->count;

	switch (t->dtype) {
	case DTYPE_BYTES:
		return write_strings(&w, t, err);
	case DTYPE_BOOL:
		return write_bools(&w, t);
	case DTYPE_FP16:
	case DTYPE_BF16:
		return write_small_floats(&w, t);
	default:
		json_numbers(&w, types[t->dtype], t->data, 1, &flat);
		return true;
	}
}

static bool is_binary_output(const struct v2_infer *infer, size_t i)
{
	if (infer->outputs && i < infer->call.wanted_count && infer->outputs[i].form != V2_FORM_DEFAULT)
		return infer->outputs[i].form == V2_FORM_BINARY;
	return infer->is_binary;
}

static bool write_output(struct buffer *out, const struct tensor *t, bool is_binary, struct error *err)
{
	struct json_writer w = json_writer(out);
	char number[NUMBER_TEXT_MAX];

	buffer_append(out, SPAN("{\"name\":"));
	json_string(&w, t->name);
	buffer_append(out, SPAN(",\"shape\":"));
	write_shape(out, t);
	buffer_append(out, SPAN(",\"datatype\":\""));
	buffer_append(out, span_of(dtype_name(t->dtype)));
	if (is_binary) {
		buffer_append(out, SPAN("\",\"parameters\":{\"binary_data_size\":"));
		buffer_append(out, span_from(number, (size_t)(number_print_uint64(number, v2_raw_size(t)) - number)));
		buffer_append(out, SPAN("}}"));
		return true;
	}
	buffer_append(out, SPAN("\",\"data\":"));
	if (!write_data(out, t, err))
		return false;
	buffer_byte(out, '}');
	return true;
}

bool v2_json_write(struct buffer *out, const struct v2_infer *infer, size_t *ret_json_len, struct error *err)
{
	const struct call *call = &infer->call;
	struct json_writer w = json_writer(out);
	char uuid[RANDOM_UUID_SIZE];
	bool has_binary = false;
	size_t json_len;

	buffer_append(out, call->served->v2_head);
	buffer_append(out, SPAN(",\"id\":"));
	json_string(&w, v2_id(call, uuid));
	buffer_append(out, SPAN(",\"outputs\":["));
	for (size_t i = 0; i < call->result_count; i++) {
		bool is_binary = is_binary_output(infer, i);

		if (i)
			buffer_byte(out, ',');
		if (!write_output(out, &call->results[i], is_binary, err))
			return false;
		has_binary |= is_binary;
	}
	buffer_append(out, SPAN("]}"));
	json_len = out->len;
	for (size_t i = 0; has_binary && i < call->result_count; i++)
		if (is_binary_output(infer, i))
			v2_write_raw(out, &call->results[i]);
	*ret_json_len = has_binary ? json_len : 0;
	return buffer_ok(out, "the answer", err);
}
