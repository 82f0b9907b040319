/* SPDX-License-Identifier: Apache-2.0 */
/* What both encodings of a SeldonMessage share: payload rules, array types as NumPy picks them, the answer's form. */
#include <math.h>

#include "inference/seldon_message.h"

bool seldon_puid_is_sane(struct span puid)
{
	if (puid.len == 0 || puid.len > SELDON_PUID_LENGTH)
		return false;
	for (size_t i = 0; i < puid.len; i++) {
		if (puid.ptr[i] <= ' ' || puid.ptr[i] >= 0x7f)
			return false;
	}
	return true;
}

bool seldon_shape(struct tensor *t, const int64_t *shape, size_t rank, const char *what, struct error *err)
{
	char text[TENSOR_SHAPE_TEXT];
	int64_t known[TENSOR_RANK_MAX] = { 0 };
	int free_at = -1;
	size_t count;

	if (rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "%s has %zu dimensions, the limit is %d", what, rank,
				 TENSOR_RANK_MAX);
	for (size_t i = 0; i < rank; i++) {
		known[i] = shape[i];
		if (shape[i] == -1 && free_at < 0) {
			free_at = (int)i;
			known[i] = 1;
		}
	}
	if (!tensor_count((int)rank, known, &count, err))
		return error_wrap(err, "%s", what);
	if (free_at >= 0 && count > 0 && t->count % count == 0) {
		known[free_at] = (int64_t)(t->count / count);
		count = t->count;
	}
	if (count != t->count)
		return error_set(err, ERROR_INVALID, "%s %s needs %zu values, not %zu", what,
				 tensor_shape_text((int)rank, shape, text), count, t->count);
	t->rank = (int)rank;
	if (rank > 0)
		memcpy(t->shape, known, rank * sizeof(known[0]));
	return true;
}

bool seldon_plain(struct tensor *t, struct arena *arena, struct error *err)
{
	if (t->dtype == DTYPE_FP16 || t->dtype == DTYPE_BF16)
		return tensor_convert(t, DTYPE_FP32, arena, t, err);
	return tensor_aligned(t, arena, err);
}

/* ---- nested arrays ---- */

/* How Python prints it, which is what NumPy makes of a number among texts. */
static bool scalar_text(const struct json_scalar *s, struct arena *arena, struct span *ret, struct error *err)
{
	char text[NUMBER_TEXT_MAX], *end;

	switch (s->type) {
	case JSON_STRING:
		*ret = s->text;
		return true;
	case JSON_BOOL:
		*ret = s->boolean ? SPAN("True") : SPAN("False");
		return true;
	case JSON_NUMBER:
		if (s->number.kind == NUMBER_INT)
			end = number_print_int64(text, s->number.i);
		else if (s->number.kind == NUMBER_UINT)
			end = number_print_uint64(text, s->number.u);
		else
			end = number_print_double(text, s->number.d);
		*ret = arena_copy(arena, span_from(text, (size_t)(end - text)), err);
		return ret->ptr != NULL;
	default:
		*ret = SPAN("None");
		return true;
	}
}

static double scalar_number(const struct json_scalar *s)
{
	switch (s->type) {
	case JSON_BOOL:
		return s->boolean;
	case JSON_NUMBER:
		return s->number.kind == NUMBER_INT    ? (double)s->number.i
		       : s->number.kind == NUMBER_UINT ? (double)s->number.u
						       : s->number.d;
	default:
		return NAN;
	}
}

/* Text when any is text, else numbers: whole ones when all are. */
static bool tensor_from_scalars(struct seldon_message *m, const struct json_array *array, const char *what,
				struct arena *arena, struct error *err)
{
	const struct json_scalar *scalars = array->data;
	struct tensor *t = &m->tensor;
	bool is_text = false, is_whole = true;

	for (size_t i = 0; i < array->count; i++) {
		const struct json_scalar *s = &scalars[i];

		if (s->type == JSON_OBJECT)
			return error_set(err, ERROR_INVALID,
					 "%s holds an object (element %zu); numbers, text and booleans can be", what,
					 i);
		is_text = is_text || s->type == JSON_STRING;
		is_whole =
		    is_whole && (s->type == JSON_BOOL || (s->type == JSON_NUMBER && s->number.kind == NUMBER_INT));
		m->has_null = m->has_null || s->type == JSON_NULL;
	}
	t->dtype = is_text ? DTYPE_BYTES : is_whole ? DTYPE_INT64 : DTYPE_FP64;
	if (is_text && array->count > SELDON_TEXT_MAX)
		return error_set(err, ERROR_TOO_LARGE, "%s has %zu elements of text, the limit is %u", what,
				 array->count, SELDON_TEXT_MAX);
	t->data = arena_array_(arena, array->count, dtype_size(t->dtype), err);
	if (!t->data)
		return false;
	for (size_t i = 0; i < array->count; i++) {
		if (t->dtype == DTYPE_FP64)
			((double *)t->data)[i] = scalar_number(&scalars[i]);
		else if (t->dtype == DTYPE_INT64)
			((int64_t *)t->data)[i] =
			    scalars[i].type == JSON_BOOL ? scalars[i].boolean : scalars[i].number.i;
		else if (!scalar_text(&scalars[i], arena, (struct span *)t->data + i, err))
			return false;
	}
	if (is_text)
		m->scalars = scalars;
	return true;
}

bool seldon_tensor_from_array(struct seldon_message *m, const struct json_array *array, const char *what,
			      struct arena *arena, struct error *err)
{
	static const enum dtype types[] = {
		[JSON_ARRAY_EMPTY] = DTYPE_FP64,  [JSON_ARRAY_INT64] = DTYPE_INT64, [JSON_ARRAY_UINT64] = DTYPE_UINT64,
		[JSON_ARRAY_DOUBLE] = DTYPE_FP64, [JSON_ARRAY_BOOL] = DTYPE_BOOL,   [JSON_ARRAY_STRING] = DTYPE_BYTES,
	};
	struct tensor *t = &m->tensor;

	if (array->rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_INVALID, "%s is nested %d deep, the limit is %d", what, array->rank,
				 TENSOR_RANK_MAX);
	*t = (struct tensor){ .rank = array->rank, .count = array->count, .data = array->data };
	if (array->rank > 0)
		memcpy(t->shape, array->shape, (size_t)array->rank * sizeof(t->shape[0]));
	m->scalars = NULL;
	m->has_null = array->has_null;
	if (array->kind == JSON_ARRAY_SCALARS)
		return tensor_from_scalars(m, array, what, arena, err);
	t->dtype = types[array->kind];
	return true;
}

/* ---- the answer ---- */

#define NAME_TEXT_MAX 24 /* "t:" and a number of 64 bits */

/* One name for each entry of the second dimension, as Seldon's wrapper gives them. */
static bool columns_name(struct seldon_message *m, const struct span *classes, size_t class_count, struct arena *arena,
			 struct error *err)
{
	size_t count = m->tensor.rank >= 2 ? (size_t)m->tensor.shape[1] : 0;
	char *text;

	m->names = NULL;
	m->name_count = 0;
	if (count == 0)
		return true;
	if (count > SELDON_TEXT_MAX)
		return error_set(err, ERROR_TOO_LARGE, "an answer of %zu columns is over the limit of %u names", count,
				 SELDON_TEXT_MAX);
	m->names = ARENA_ARRAY(arena, struct span, count, err);
	if (!m->names)
		return false;
	m->name_count = count;
	if (classes && class_count == count) {
		memcpy(m->names, classes, count * sizeof(*classes));
		return true;
	}
	text = ARENA_ARRAY(arena, char, count *NAME_TEXT_MAX, err);
	if (!text)
		return false;
	for (size_t i = 0; i < count; i++) {
		char *start = text + i * NAME_TEXT_MAX, *end;

		start[0] = 't';
		start[1] = ':';
		end = number_print_uint64(start + 2, i);
		m->names[i] = span_from(start, (size_t)(end - start));
	}
	return true;
}

/* One text or one run of bytes in answer to the same: not an array of one. */
static bool is_single_bytes(const struct seldon_message *request, const struct tensor *result)
{
	return request->kind >= SELDON_BINARY && result->dtype == DTYPE_BYTES && result->count == 1;
}

bool seldon_answer(struct seldon_message *ret, const struct seldon_message *request, const struct tensor *result,
		   const struct span *classes, size_t class_count, struct arena *arena, struct error *err)
{
	struct seldon_message m = *request;
	bool is_number = result->dtype != DTYPE_BYTES && result->dtype != DTYPE_BOOL;

	m.scalars = NULL;
	m.names = NULL;
	m.name_count = 0;
	if (is_single_bytes(request, result)) {
		m.bytes = *(const struct span *)result->data;
		*ret = m;
		return true;
	}
	m.bytes = (struct span){ 0 };
	m.tensor = *result;
	if (request->kind == SELDON_TFTENSOR)
		m.kind = SELDON_TFTENSOR;
	else if (request->kind == SELDON_NDARRAY || !is_number)
		m.kind = SELDON_NDARRAY;
	else
		m.kind = SELDON_TENSOR;
	if (m.kind != SELDON_TFTENSOR && !seldon_plain(&m.tensor, arena, err))
		return false;
	if (!columns_name(&m, classes, class_count, arena, err))
		return false;
	*ret = m;
	return true;
}

bool seldon_write(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
		  struct arena *arena, struct error *err)
{
	bool ok =
	    m->is_protobuf ? seldon_write_protobuf(out, m, unit, err) : seldon_write_json(out, m, unit, arena, err);

	return ok && buffer_ok(out, "the answer", err);
}
