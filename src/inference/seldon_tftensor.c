/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensorflow.TensorProto, as JSON and as protobuf. Values come in one list a type, or as the raw little-endian bytes in
 * tensorContent. A list shorter than the shape repeats its last value, which is how TensorFlow sends constants.
 */
#include "inference/seldon_message.h"
#include "wire/base64.h"
#include "wire/protobuf.h"

/* Field numbers of tensorflow/core/framework/tensor.proto. */
enum { FIELD_DTYPE = 1, FIELD_SHAPE = 2, FIELD_CONTENT = 4 };
enum { SHAPE_DIM = 2, SHAPE_UNKNOWN_RANK = 3, DIM_SIZE = 1 };

/* How a list carries one type: which protobuf scalar, and as what it is stored before it becomes the tensor's type. */
struct tf_list {
	const char *name, *proto_name;
	uint32_t field;
	enum protobuf_scalar scalar;
	enum dtype stored; /* BYTES for string_val */
};

enum { LIST_HALF, LIST_FLOAT, LIST_DOUBLE, LIST_INT, LIST_STRING, LIST_INT64, LIST_BOOL, LIST_UINT32, LIST_UINT64 };

static const struct tf_list lists[] = {
	[LIST_HALF] = { "halfVal", "half_val", 13, PROTOBUF_INT32, DTYPE_INT32 },
	[LIST_FLOAT] = { "floatVal", "float_val", 5, PROTOBUF_FLOAT, DTYPE_FP32 },
	[LIST_DOUBLE] = { "doubleVal", "double_val", 6, PROTOBUF_DOUBLE, DTYPE_FP64 },
	[LIST_INT] = { "intVal", "int_val", 7, PROTOBUF_INT32, DTYPE_INT32 },
	[LIST_STRING] = { "stringVal", "string_val", 8, PROTOBUF_BOOL, DTYPE_BYTES },
	[LIST_INT64] = { "int64Val", "int64_val", 10, PROTOBUF_INT64, DTYPE_INT64 },
	[LIST_BOOL] = { "boolVal", "bool_val", 11, PROTOBUF_BOOL, DTYPE_BOOL },
	[LIST_UINT32] = { "uint32Val", "uint32_val", 16, PROTOBUF_UINT32, DTYPE_UINT32 },
	[LIST_UINT64] = { "uint64Val", "uint64_val", 17, PROTOBUF_UINT64, DTYPE_UINT64 },
};

struct tf_type {
	const char *name;
	unsigned number; /* tensorflow.DataType */
	enum dtype dtype;
	unsigned list;
};

static const struct tf_type types[] = {
	{ "DT_FLOAT", 1, DTYPE_FP32, LIST_FLOAT },      { "DT_DOUBLE", 2, DTYPE_FP64, LIST_DOUBLE },
	{ "DT_INT32", 3, DTYPE_INT32, LIST_INT },       { "DT_UINT8", 4, DTYPE_UINT8, LIST_INT },
	{ "DT_INT16", 5, DTYPE_INT16, LIST_INT },       { "DT_INT8", 6, DTYPE_INT8, LIST_INT },
	{ "DT_STRING", 7, DTYPE_BYTES, LIST_STRING },   { "DT_INT64", 9, DTYPE_INT64, LIST_INT64 },
	{ "DT_BOOL", 10, DTYPE_BOOL, LIST_BOOL },       { "DT_BFLOAT16", 14, DTYPE_BF16, LIST_HALF },
	{ "DT_UINT16", 17, DTYPE_UINT16, LIST_INT },    { "DT_HALF", 19, DTYPE_FP16, LIST_HALF },
	{ "DT_UINT32", 22, DTYPE_UINT32, LIST_UINT32 }, { "DT_UINT64", 23, DTYPE_UINT64, LIST_UINT64 },
};

/* What was read, before it is known to fit together. */
struct tf_tensor {
	const struct tf_type *type;
	int64_t shape[TENSOR_RANK_MAX];
	size_t rank;
	struct span content; /* ptr NULL: none */
	struct {
		void *data; /* of lists[i].stored */
		size_t count, room;
	} values[ARRAY_LEN(lists)];
};

static const struct tf_type *type_by_number(uint64_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (types[i].number == number)
			return &types[i];
	}
	return NULL;
}

static const struct tf_type *type_by_dtype(enum dtype dtype)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (types[i].dtype == dtype)
			return &types[i];
	}
	return NULL; /* not reached: every dtype has a row */
}

static bool dimension_add(struct tf_tensor *tf, int64_t size, struct error *err)
{
	if (tf->rank == TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "data.tftensor has more than %d dimensions", TENSOR_RANK_MAX);
	if (size < 0)
		return error_set(err, ERROR_INVALID, "data.tftensor has a dimension of %lld", (long long)size);
	tf->shape[tf->rank++] = size;
	return true;
}

/* ---- putting it together ---- */

static bool content_to_tensor(const struct tf_tensor *tf, struct tensor *t, struct error *err)
{
	size_t size = dtype_size(t->dtype), want;

	if (t->dtype == DTYPE_BYTES)
		return error_set(err, ERROR_INVALID,
				 "data.tftensor of DT_STRING has its values in stringVal, not tensorContent");
	if (!checked_mul(t->count, size, &want) || tf->content.len != want)
		return error_set(err, ERROR_INVALID,
				 "data.tftensor of %zu elements of %s needs %zu bytes of tensorContent, not %zu",
				 t->count, tf->type->name, t->count * size, tf->content.len);
	for (size_t i = 0; t->dtype == DTYPE_BOOL && i < t->count; i++) {
		if ((unsigned char)tf->content.ptr[i] > 1)
			return error_set(err, ERROR_INVALID,
					 "data.tftensor.tensorContent: byte %zu of DT_BOOL is neither 0 nor 1", i);
	}
	t->data = (void *)(uintptr_t)tf->content.ptr;
	return true;
}

/* Half floats travel as their bits in int32; narrow integers as int32. */
static bool values_convert(struct tensor *t, const void *data, size_t count, const struct tf_type *type,
			   struct arena *arena, struct error *err)
{
	const struct tf_list *list = &lists[type->list];
	struct tensor from = { .dtype = list->stored,
			       .rank = 1,
			       .shape = { (int64_t)count },
			       .count = count,
			       .data = (void *)(uintptr_t)data };
	struct tensor to;
	uint16_t *bits;

	if (type->list == LIST_HALF) {
		bits = ARENA_ARRAY(arena, uint16_t, count, err);
		if (!bits)
			return false;
		for (size_t i = 0; i < count; i++)
			bits[i] = (uint16_t)((const int32_t *)data)[i];
		t->data = bits;
		return true;
	}
	if (list->stored == type->dtype) {
		t->data = from.data;
		return true;
	}
	if (!tensor_convert(&from, type->dtype, arena, &to, err))
		return error_wrap(err, "data.tftensor.%s", list->name);
	t->data = to.data;
	return true;
}

static bool values_repeat(struct tensor *t, size_t have, struct arena *arena, struct error *err)
{
	size_t size = dtype_size(t->dtype);
	char *all;

	if (t->count > SELDON_REPEAT_MAX)
		return error_set(err, ERROR_TOO_LARGE,
				 "data.tftensor repeats its last value to %zu elements, the limit is %u", t->count,
				 SELDON_REPEAT_MAX);
	all = arena_array_(arena, t->count, size, err);
	if (!all)
		return false;
	memcpy(all, t->data, have * size);
	for (size_t i = have; i < t->count; i++)
		memcpy(all + i * size, all + (have - 1) * size, size);
	t->data = all;
	return true;
}

static bool tf_finish(struct seldon_message *m, const struct tf_tensor *tf, struct arena *arena, struct error *err)
{
	struct tensor *t = &m->tensor;
	const struct tf_type *type = tf->type;
	size_t have;

	if (!type)
		return error_set(err, ERROR_INVALID, "data.tftensor has no dtype");
	*t = (struct tensor){ .dtype = type->dtype, .rank = (int)tf->rank, .data = arena->ptr };
	memcpy(t->shape, tf->shape, sizeof(tf->shape));
	if (!tensor_count(t->rank, t->shape, &t->count, err))
		return error_wrap(err, "data.tftensor");
	if (tf->content.len > 0) {
		m->is_packed = true;
		return content_to_tensor(tf, t, err);
	}
	have = tf->values[type->list].count;
	if (t->count == 0 && have == 0)
		return true;
	if (have == 0 || have > t->count)
		return error_set(err, ERROR_INVALID, "data.tftensor of %s needs %zu values in %s, not %zu", type->name,
				 t->count, lists[type->list].name, have);
	if (!values_convert(t, tf->values[type->list].data, have, type, arena, err))
		return false;
	return have == t->count || values_repeat(t, have, arena, err);
}

/* ---- JSON ---- */

/* Both the JSON name and the one of the proto file are allowed, as protobuf's own readers do. */
static bool key_is(struct span key, const char *name, const char *proto_name)
{
	return span_equal(key, span_of(name)) || span_equal(key, span_of(proto_name));
}

/* protobuf's JSON writes 64-bit integers as text. */
static bool int64_read(struct json *j, int64_t *ret, struct error *err)
{
	struct span text;

	if (json_peek(j) == JSON_NUMBER)
		return json_read_int64(j, ret, err);
	if (json_peek(j) == JSON_STRING && json_read_string(j, &text, err) && number_parse_int64(text, ret))
		return true;
	return error_set(err, ERROR_INVALID, "data.tftensor: expected a whole number");
}

static bool dim_read(struct tf_tensor *tf, struct json *j, struct error *err)
{
	int64_t size = 0; /* proto3 leaves a 0 out */
	struct span key;

	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		if (!(span_equal(key, SPAN("size")) ? int64_read(j, &size, err) : json_skip(j, err)))
			return false;
	}
	return !j->failed && dimension_add(tf, size, err);
}

static bool shape_read(struct tf_tensor *tf, struct json *j, struct error *err)
{
	struct span key;

	tf->rank = 0;
	if (json_peek(j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "data.tftensor.tensorShape must be an object");
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		if (!span_equal(key, SPAN("dim"))) {
			if (!json_skip(j, err))
				return false;
			continue;
		}
		if (!json_enter_array(j, err))
			return false;
		while (json_next_element(j, err)) {
			if (!dim_read(tf, j, err))
				return error_wrap(err, "data.tftensor.tensorShape");
		}
		if (j->failed)
			return false;
	}
	return !j->failed;
}

static bool dtype_read(struct tf_tensor *tf, struct json *j, struct error *err)
{
	struct span text = { 0 };
	int64_t number = 0;

	tf->type = NULL;
	if (json_peek(j) == JSON_STRING) {
		if (!json_read_string(j, &text, err))
			return false;
		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			if (span_equal(text, span_of(types[i].name)))
				tf->type = &types[i];
		}
	} else if (json_read_int64(j, &number, err)) {
		tf->type = type_by_number((uint64_t)number);
	} else {
		return error_wrap(err, "data.tftensor.dtype");
	}
	if (tf->type)
		return true;
	return error_set(err, ERROR_INVALID, "data.tftensor.dtype '" SPAN_FMT "' (%lld) is not known or has no numbers",
			 SPAN_ARG(text), (long long)number);
}

static bool strings_read(struct tf_tensor *tf, struct json *j, struct error *err)
{
	struct json_array array;
	struct span *texts;

	if (!json_read_array(j, 0, &array, err))
		return error_wrap(err, "data.tftensor.stringVal");
	if (array.kind == JSON_ARRAY_EMPTY)
		return true;
	if (array.kind != JSON_ARRAY_STRING || array.rank != 1)
		return error_set(err, ERROR_INVALID, "data.tftensor.stringVal must be a list of base64 texts");
	texts = array.data;
	for (size_t i = 0; i < array.count; i++) {
		if (!base64_read(texts[i], j->arena, &texts[i], err))
			return error_wrap(err, "data.tftensor.stringVal[%zu]", i);
	}
	tf->values[LIST_STRING].data = texts;
	tf->values[LIST_STRING].count = array.count;
	return true;
}

/* A number that came as text: "Infinity", "-Infinity", "NaN", or a 64-bit integer. */
static bool text_number(struct span text, enum dtype stored, struct tensor *t, size_t at)
{
	switch (stored) {
	case DTYPE_INT64:
		return number_parse_int64(text, (int64_t *)t->data + at);
	case DTYPE_UINT64:
		return number_parse_uint64(text, (uint64_t *)t->data + at);
	default:
		return number_parse_double(text, (double *)t->data + at);
	}
}

/* One number of a list in which some are text. */
static bool scalar_number(const struct json_scalar *s, struct tensor *t, size_t at)
{
	if (s->type == JSON_STRING)
		return text_number(s->text, t->dtype, t, at);
	if (s->type != JSON_NUMBER)
		return false;
	if (t->dtype == DTYPE_FP64) {
		((double *)t->data)[at] = s->number.kind == NUMBER_INT    ? (double)s->number.i
					  : s->number.kind == NUMBER_UINT ? (double)s->number.u
									  : s->number.d;
		return true;
	}
	if (s->number.kind == NUMBER_DOUBLE ||
	    (t->dtype == DTYPE_UINT64 && s->number.kind == NUMBER_INT && s->number.i < 0) ||
	    (t->dtype == DTYPE_INT64 && s->number.kind == NUMBER_UINT))
		return false;
	((uint64_t *)t->data)[at] = s->number.u; /* the same bits, whichever the sign */
	return true;
}

static bool array_parse_texts(const struct json_array *array, const struct tf_list *list, struct tensor *t,
			      struct arena *arena, struct error *err)
{
	t->dtype = list->stored == DTYPE_INT64 || list->stored == DTYPE_UINT64 ? list->stored : DTYPE_FP64;
	t->data = ARENA_ARRAY(arena, uint64_t, array->count, err);
	if (!t->data)
		return false;
	for (size_t i = 0; i < array->count; i++) {
		struct json_scalar s = { .type = JSON_STRING };

		if (array->kind == JSON_ARRAY_STRING)
			s.text = ((const struct span *)array->data)[i];
		else
			s = ((const struct json_scalar *)array->data)[i];
		if (!scalar_number(&s, t, i))
			return error_set(err, ERROR_INVALID, "data.tftensor.%s[%zu] is not a number of its type",
					 list->name, i);
	}
	return true;
}

static bool list_read(struct tf_tensor *tf, size_t which, struct json *j, struct error *err)
{
	const struct tf_list *list = &lists[which];
	struct tensor from, to;
	struct json_array array;
	enum dtype dtype;

	if (json_peek(j) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, "data.tftensor.%s must be a list", list->name);
	if (which == LIST_STRING)
		return strings_read(tf, j, err);
	if (!json_read_array(j, 0, &array, err))
		return error_wrap(err, "data.tftensor.%s", list->name);
	if (array.rank != 1)
		return error_set(err, ERROR_INVALID, "data.tftensor.%s must be a flat list", list->name);
	from =
	    (struct tensor){ .rank = 1, .shape = { (int64_t)array.count }, .count = array.count, .data = array.data };
	switch (array.kind) {
	case JSON_ARRAY_INT64:
		dtype = DTYPE_INT64;
		break;
	case JSON_ARRAY_UINT64:
		dtype = DTYPE_UINT64;
		break;
	case JSON_ARRAY_BOOL:
		dtype = DTYPE_BOOL;
		break;
	case JSON_ARRAY_STRING:
	case JSON_ARRAY_SCALARS:
		if (!array_parse_texts(&array, list, &from, j->arena, err))
			return false;
		dtype = from.dtype;
		break;
	default:
		dtype = DTYPE_FP64;
	}
	if (array.has_null)
		return error_set(err, ERROR_INVALID, "data.tftensor.%s holds a null", list->name);
	from.dtype = dtype;
	if (array.count > 0 && !tensor_convert(&from, list->stored, j->arena, &to, err))
		return error_wrap(err, "data.tftensor.%s", list->name);
	tf->values[which].data = array.count > 0 ? to.data : NULL;
	tf->values[which].count = array.count;
	return true;
}

static bool member_read(struct tf_tensor *tf, struct span key, struct json *j, struct error *err)
{
	struct span text;

	if (span_equal(key, SPAN("dtype")))
		return dtype_read(tf, j, err);
	if (key_is(key, "tensorShape", "tensor_shape"))
		return shape_read(tf, j, err);
	if (key_is(key, "tensorContent", "tensor_content")) {
		if (json_peek(j) != JSON_STRING)
			return error_set(err, ERROR_INVALID, "data.tftensor.tensorContent must be base64 text");
		if (!json_read_string(j, &text, err) || !base64_read(text, j->arena, &tf->content, err))
			return error_wrap(err, "data.tftensor.tensorContent");
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (key_is(key, lists[i].name, lists[i].proto_name))
			return list_read(tf, i, j, err);
	}
	return json_skip(j, err);
}

bool tftensor_read_json(struct seldon_message *m, struct json *j, struct error *err)
{
	struct tf_tensor tf = { 0 };
	struct span key;

	if (json_peek(j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID,
				 "data.tftensor must be an object with dtype, tensorShape and values");
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		if (!member_read(&tf, key, j, err))
			return false;
	}
	return !j->failed && tf_finish(m, &tf, j->arena, err);
}

static void integers_write(struct json_writer *w, const struct tensor *t, bool as_text)
{
	for (size_t i = 0; i < t->count; i++) {
		int64_t value = t->dtype == DTYPE_INT64    ? ((const int64_t *)t->data)[i]
				: t->dtype == DTYPE_UINT64 ? (int64_t)((const uint64_t *)t->data)[i]
							   : (int64_t)tensor_get(t, i);
		char text[NUMBER_TEXT_MAX], *end;

		end = t->dtype == DTYPE_UINT64 ? number_print_uint64(text, (uint64_t)value)
					       : number_print_int64(text, value);
		if (as_text)
			json_string(w, span_from(text, (size_t)(end - text)));
		else
			json_raw(w, span_from(text, (size_t)(end - text)));
	}
}

/* protobuf's JSON has texts for what is no number. */
static void float_write(struct json_writer *w, const struct tensor *t, size_t i)
{
	double value = t->dtype == DTYPE_FP32 ? (double)((const float *)t->data)[i] : ((const double *)t->data)[i];

	if (__builtin_isnan(value))
		json_string(w, SPAN("NaN"));
	else if (__builtin_isinf(value))
		json_string(w, value > 0 ? SPAN("Infinity") : SPAN("-Infinity"));
	else if (t->dtype == DTYPE_FP32)
		json_float(w, (float)value);
	else
		json_double(w, value);
}

static void list_write(struct json_writer *w, const struct tensor *t, unsigned which)
{
	json_key(w, span_of(lists[which].name));
	json_open_array(w);
	switch (which) {
	case LIST_STRING:
		for (size_t i = 0; i < t->count; i++)
			json_write_base64(w, ((const struct span *)t->data)[i]);
		break;
	case LIST_FLOAT:
	case LIST_DOUBLE:
		for (size_t i = 0; i < t->count; i++)
			float_write(w, t, i);
		break;
	case LIST_BOOL:
		for (size_t i = 0; i < t->count; i++)
			json_bool(w, ((const uint8_t *)t->data)[i] != 0);
		break;
	case LIST_HALF:
		for (size_t i = 0; i < t->count; i++)
			json_uint64(w, ((const uint16_t *)t->data)[i]);
		break;
	default:
		integers_write(w, t, which == LIST_INT64 || which == LIST_UINT64);
	}
	json_close_array(w);
}

static void shape_write(struct json_writer *w, const struct tensor *t)
{
	json_key(w, SPAN("tensorShape"));
	json_open_object(w);
	if (t->rank > 0) {
		json_key(w, SPAN("dim"));
		json_open_array(w);
		for (int i = 0; i < t->rank; i++) {
			char text[NUMBER_TEXT_MAX], *end = number_print_int64(text, t->shape[i]);

			json_open_object(w);
			json_key(w, SPAN("size"));
			json_string(w, span_from(text, (size_t)(end - text)));
			json_close_object(w);
		}
		json_close_array(w);
	}
	json_close_object(w);
}

/* Alphabetical: boolVal, doubleVal before dtype; the other lists between dtype and tensorContent; uint lists at the
 * end. */
bool tftensor_write_json(struct json_writer *w, const struct tensor *given, bool is_packed, struct arena *arena,
			 struct error *err)
{
	struct tensor t = *given;
	const struct tf_type *type = type_by_dtype(t.dtype);
	bool is_list = !is_packed || t.dtype == DTYPE_BYTES;
	bool is_early = type->list == LIST_BOOL || type->list == LIST_DOUBLE;
	bool is_late = type->list == LIST_UINT32 || type->list == LIST_UINT64;

	if (!tensor_aligned(&t, arena, err))
		return false;
	json_open_object(w);
	if (is_list && is_early)
		list_write(w, &t, type->list);
	json_key(w, SPAN("dtype"));
	json_string(w, span_of(type->name));
	if (is_list && !is_early && !is_late)
		list_write(w, &t, type->list);
	if (!is_list) {
		json_key(w, SPAN("tensorContent"));
		json_write_base64(w, span_from(t.data, t.count * dtype_size(t.dtype)));
	}
	shape_write(w, &t);
	if (is_list && is_late)
		list_write(w, &t, type->list);
	json_close_object(w);
	return true;
}

/* ---- protobuf ---- */

static bool dim_parse(struct tf_tensor *tf, struct span bytes, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	int64_t size = 0;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == DIM_SIZE && !protobuf_int64(&f, &size, err))
			return false;
	}
	return !p.failed && dimension_add(tf, size, err);
}

static bool shape_parse(struct tf_tensor *tf, const struct protobuf_field *field, struct error *err)
{
	struct protobuf_field f;
	struct protobuf p;
	struct span bytes;

	if (!protobuf_bytes(field, &bytes, err))
		return false;
	p = protobuf(bytes);
	while (protobuf_next(&p, &f, err)) {
		bool is_unknown = false;

		if (f.number == SHAPE_DIM && (!protobuf_bytes(&f, &bytes, err) || !dim_parse(tf, bytes, err)))
			return false;
		if (f.number == SHAPE_UNKNOWN_RANK && !protobuf_bool(&f, &is_unknown, err))
			return false;
		if (is_unknown)
			return error_set(err, ERROR_INVALID, "data.tftensor has an unknown rank; a value has a shape");
	}
	return !p.failed;
}

/* Makes room for `more` elements behind those there are; lists that are not packed come in many small fields. */
static bool values_grow(struct tf_tensor *tf, size_t which, size_t more, struct arena *arena, struct error *err)
{
	size_t size = dtype_size(lists[which].stored), need = tf->values[which].count + more, room;
	void *data;

	if (need <= tf->values[which].room)
		return true;
	room = MAX(need, 2 * tf->values[which].room);
	data = arena_array_(arena, room, size, err);
	if (!data)
		return false;
	if (tf->values[which].count > 0)
		memcpy(data, tf->values[which].data, tf->values[which].count * size);
	tf->values[which].data = data;
	tf->values[which].room = room;
	return true;
}

static bool list_parse(struct tf_tensor *tf, size_t which, const struct protobuf_field *f, struct arena *arena,
		       struct error *err)
{
	size_t size = dtype_size(lists[which].stored), more = 1;
	char *to;

	if (which != LIST_STRING && !protobuf_count(f, lists[which].scalar, &more, err))
		return error_wrap(err, "data.tftensor.%s", lists[which].name);
	if (more == 0)
		return true;
	if (!values_grow(tf, which, more, arena, err))
		return false;
	to = (char *)tf->values[which].data + tf->values[which].count * size;
	if (which == LIST_STRING) {
		if (!protobuf_bytes(f, (struct span *)to, err))
			return error_wrap(err, "data.tftensor.stringVal");
	} else {
		protobuf_copy(f, lists[which].scalar, to);
	}
	tf->values[which].count += more;
	return true;
}

static bool field_parse(struct tf_tensor *tf, const struct protobuf_field *f, struct arena *arena, struct error *err)
{
	uint64_t number;

	switch (f->number) {
	case FIELD_DTYPE:
		if (!protobuf_uint64(f, &number, err))
			return false;
		tf->type = type_by_number(number);
		if (!tf->type)
			return error_set(err, ERROR_INVALID, "data.tftensor.dtype %llu is not known or has no numbers",
					 (unsigned long long)number);
		return true;
	case FIELD_SHAPE:
		tf->rank = 0;
		return shape_parse(tf, f, err);
	case FIELD_CONTENT:
		return protobuf_bytes(f, &tf->content, err);
	default:
		for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
			if (lists[i].field == f->number)
				return list_parse(tf, i, f, arena, err);
		}
		return true;
	}
}

bool tftensor_read_protobuf(struct seldon_message *m, struct span bytes, struct arena *arena, struct error *err)
{
	struct tf_tensor tf = { 0 };
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;

	while (protobuf_next(&p, &f, err)) {
		if (!field_parse(&tf, &f, arena, err))
			return false;
	}
	return !p.failed && tf_finish(m, &tf, arena, err);
}

/* Always as tensorContent, which every reader of TensorProto knows; text in stringVal. */
bool tftensor_write_protobuf(struct buffer *out, uint32_t number, const struct tensor *t, struct error *err)
{
	const struct tf_type *type = type_by_dtype(t->dtype);
	size_t mark = protobuf_open(out, number), shape;

	protobuf_write_uint64(out, FIELD_DTYPE, type->number);
	shape = protobuf_open(out, FIELD_SHAPE);
	for (int i = 0; i < t->rank; i++) {
		size_t dim = protobuf_open(out, SHAPE_DIM);

		if (t->shape[i] != 0)
			protobuf_write_uint64(out, DIM_SIZE, (uint64_t)t->shape[i]);
		protobuf_close(out, dim);
	}
	protobuf_close(out, shape);
	if (t->dtype == DTYPE_BYTES) {
		for (size_t i = 0; i < t->count; i++)
			protobuf_write_bytes(out, lists[LIST_STRING].field, ((const struct span *)t->data)[i]);
	} else if (t->count > 0) {
		protobuf_write_bytes(out, FIELD_CONTENT, span_from(t->data, t->count * dtype_size(t->dtype)));
	}
	protobuf_close(out, mark);
	return buffer_ok(out, "the answer", err);
}
