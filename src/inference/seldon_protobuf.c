/* SPDX-License-Identifier: Apache-2.0 */
/* SeldonMessage as protobuf: package seldon.protos, and the google.protobuf.Value it builds on. */
#include <math.h>

#include "inference/seldon_message.h"
#include "inference/seldon_value.h"
#include "wire/protobuf.h"

/* Field numbers of prediction.proto. */
enum { MESSAGE_META = 2, MESSAGE_DATA = 3, MESSAGE_BINARY = 4, MESSAGE_TEXT = 5, MESSAGE_JSON = 6, MESSAGE_CUSTOM = 7 };
enum { META_PUID = 1, META_TAGS = 2, META_ROUTING = 3, META_REQUEST_PATH = 4, META_METRICS = 5 };
enum { DATA_NAMES = 1, DATA_TENSOR = 2, DATA_NDARRAY = 3, DATA_TFTENSOR = 4 };
enum { TENSOR_SHAPE = 1, TENSOR_VALUES = 2 };
enum { FEEDBACK_REQUEST = 1, FEEDBACK_RESPONSE = 2, FEEDBACK_REWARD = 3, FEEDBACK_TRUTH = 4 };
/* google/protobuf/struct.proto */
enum { VALUE_NULL = 1, VALUE_NUMBER = 2, VALUE_STRING = 3, VALUE_BOOL = 4, VALUE_STRUCT = 5, VALUE_LIST = 6 };
enum { LIST_VALUES = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

/* ---- ndarray: nested lists ---- */

struct list_reader {
	struct json_array array; /* what the same list would be in JSON */
	bool has_number, has_text, has_bool;
	size_t at; /* elements filled */
	struct error *err;
};

/* The last of the oneof's fields counts, as the wire format says. */
static bool value_parse(struct span bytes, struct protobuf_field *ret, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;

	*ret = (struct protobuf_field){ 0 };
	while (protobuf_next(&p, &f, err)) {
		if (f.number >= VALUE_NULL && f.number <= VALUE_LIST)
			*ret = f;
	}
	return !p.failed;
}

/* Depth and lengths along the first elements. */
static bool list_probe(struct span list, struct list_reader *r)
{
	struct json_array *a = &r->array;

	for (;;) {
		struct protobuf p = protobuf(list);
		struct protobuf_field f, value = { 0 };
		struct span item, first = { 0 };
		int64_t count = 0;

		if (a->rank == TENSOR_RANK_MAX)
			return error_set(r->err, ERROR_INVALID, "nested more than %d deep", TENSOR_RANK_MAX);
		while (protobuf_next(&p, &f, r->err)) {
			if (f.number != LIST_VALUES)
				continue;
			if (!protobuf_bytes(&f, &item, r->err))
				return false;
			if (count++ == 0)
				first = item;
		}
		if (p.failed)
			return false;
		a->shape[a->rank++] = count;
		if (count == 0)
			return true;
		if (!value_parse(first, &value, r->err))
			return false;
		if (value.number != VALUE_LIST)
			return true;
		if (!protobuf_bytes(&value, &list, r->err))
			return false;
	}
}

static bool scalar_fill(const struct protobuf_field *value, struct json_scalar *to, struct list_reader *r)
{
	*to = (struct json_scalar){ .type = JSON_NULL };
	switch (value->number) {
	case VALUE_NUMBER:
		to->type = JSON_NUMBER;
		to->number.kind = NUMBER_DOUBLE;
		r->has_number = true;
		return protobuf_double(value, &to->number.d, r->err);
	case VALUE_STRING:
		to->type = JSON_STRING;
		r->has_text = true;
		return protobuf_string(value, &to->text, r->err);
	case VALUE_BOOL:
		to->type = JSON_BOOL;
		r->has_bool = true;
		return protobuf_bool(value, &to->boolean, r->err);
	case VALUE_STRUCT:
		to->type = JSON_OBJECT;
		return true;
	case VALUE_LIST:
		return error_set(r->err, ERROR_INVALID,
				 "data.ndarray is ragged: a list stands where element %zu should be", r->at);
	default:
		r->array.has_null = true;
		return true;
	}
}

/* Recursion is bounded by list_probe()'s rank. */
static bool list_fill(struct span list, int level, struct list_reader *r)
{
	struct protobuf p = protobuf(list);
	struct protobuf_field f, value;
	struct span item;
	int64_t count = 0;

	while (protobuf_next(&p, &f, r->err)) {
		if (f.number != LIST_VALUES)
			continue;
		if (++count > r->array.shape[level])
			break;
		if (!protobuf_bytes(&f, &item, r->err) || !value_parse(item, &value, r->err))
			return false;
		if (level + 1 < r->array.rank) {
			if (value.number != VALUE_LIST)
				return error_set(r->err, ERROR_INVALID,
						 "data.ndarray is ragged: element %zu stands where a list should be",
						 r->at);
			if (!protobuf_bytes(&value, &item, r->err) || !list_fill(item, level + 1, r))
				return false;
			continue;
		}
		/* Every element has its own bytes on the wire, so that its place in the array exists: see list_parse().
		 */
		if (!scalar_fill(&value, (struct json_scalar *)r->array.data + r->at, r))
			return false;
		r->at++;
	}
	if (p.failed)
		return false;
	if (count != r->array.shape[level])
		return error_set(r->err, ERROR_INVALID,
				 "data.ndarray is ragged: a list at depth %d has not %lld elements as the first has",
				 level + 1, (long long)r->array.shape[level]);
	return true;
}

/* Runs of numbers, which are nearly all there is: Value{number_value} is 0x11 and eight bytes, in 0x0a 0x09. */
static bool numbers_fill(struct span list, int level, struct list_reader *r)
{
	struct protobuf p = protobuf(list);
	struct protobuf_field f;
	int64_t count = 0;

	if (level + 1 == r->array.rank) {
		size_t n = (size_t)r->array.shape[level];
		double *to = (double *)r->array.data + r->at;

		if (list.len != 11 * n)
			return false;
		for (size_t i = 0; i < n; i++) {
			if (memcmp(list.ptr + 11 * i, "\x0a\x09\x11", 3) != 0)
				return false;
			memcpy(&to[i], list.ptr + 11 * i + 3, 8);
		}
		r->at += n;
		return true;
	}
	while (protobuf_next(&p, &f, r->err)) {
		struct protobuf_field value;
		struct span inner;

		if (f.number != LIST_VALUES || ++count > r->array.shape[level] || f.type != PROTOBUF_BYTES)
			return false;
		if (!value_parse(f.bytes, &value, r->err) || value.number != VALUE_LIST ||
		    !protobuf_bytes(&value, &inner, r->err) || !numbers_fill(inner, level + 1, r))
			return false;
	}
	return !p.failed && count == r->array.shape[level];
}

/* All booleans: the array of them that JSON's reader would make. Anything mixed stays scalars. */
static bool flags_take(struct json_array *a, const struct list_reader *r, struct arena *arena, struct error *err)
{
	const struct json_scalar *scalars = a->data;
	uint8_t *flags;

	a->kind = JSON_ARRAY_SCALARS;
	if (r->has_text || r->has_number || a->has_null || !r->has_bool)
		return true;
	flags = ARENA_ARRAY(arena, uint8_t, a->count, err);
	if (!flags)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (scalars[i].type != JSON_BOOL)
			return true; /* an object: the caller says so */
		flags[i] = scalars[i].boolean;
	}
	a->kind = JSON_ARRAY_BOOL;
	a->data = flags;
	return true;
}

static bool ndarray_parse(struct seldon_message *m, struct span list, struct arena *arena, struct error *err)
{
	struct error ignored = { 0 };
	struct list_reader r = { .err = err };
	struct json_array *a = &r.array;

	if (!list_probe(list, &r) || !tensor_count(a->rank, a->shape, &a->count, err))
		return error_wrap(err, "data.ndarray");
	/* An element takes two bytes at least: a shape that promises more is ragged, and costs no memory. */
	if (a->count > list.len / 2)
		return error_set(err, ERROR_INVALID, "data.ndarray is ragged: the first lists promise %zu elements",
				 a->count);
	if (a->count == 0) {
		a->kind = JSON_ARRAY_EMPTY;
		a->data = arena->ptr;
		return list_fill(list, 0, &r) && seldon_tensor_from_array(m, a, "data.ndarray", arena, err);
	}
	a->data = ARENA_ARRAY(arena, double, a->count, err);
	if (!a->data)
		return false;
	r.err = &ignored;
	if (numbers_fill(list, 0, &r)) {
		a->kind = JSON_ARRAY_DOUBLE;
		return seldon_tensor_from_array(m, a, "data.ndarray", arena, err);
	}
	r.err = err;
	r.at = 0;
	a->data = ARENA_ARRAY(arena, struct json_scalar, a->count, err);
	if (!a->data || !list_fill(list, 0, &r))
		return false;
	if (!flags_take(a, &r, arena, err))
		return false;
	return seldon_tensor_from_array(m, a, "data.ndarray", arena, err);
}

/* Every list of one level is as long as every other: lengths are known before anything is written, and nothing moves.
 */
static void numbers_write(struct buffer *out, const struct tensor *t, const size_t *sizes, int level, size_t *at)
{
	if (level + 1 == t->rank) {
		size_t n = (size_t)t->shape[level];
		char *to = buffer_reserve(out, 11 * n);

		for (size_t i = 0; to && i < n; i++) {
			double value = tensor_get(t, *at + i);

			memcpy(to + 11 * i, "\x0a\x09\x11", 3);
			memcpy(to + 11 * i + 3, &value, 8);
		}
		if (to)
			buffer_commit(out, 11 * n);
		*at += n;
		return;
	}
	for (int64_t i = 0; i < t->shape[level]; i++) {
		size_t list = sizes[level + 1], value = 1 + protobuf_varint_size(list) + list;

		protobuf_write_tag(out, LIST_VALUES, PROTOBUF_BYTES);
		protobuf_write_varint(out, value);
		protobuf_write_tag(out, VALUE_LIST, PROTOBUF_BYTES);
		protobuf_write_varint(out, list);
		numbers_write(out, t, sizes, level + 1, at);
	}
}

static void numbers_list_write(struct buffer *out, uint32_t number, const struct tensor *t)
{
	size_t sizes[TENSOR_RANK_MAX], at = 0;

	ASSERT(t->rank > 0);
	for (int level = t->rank - 1; level >= 0; level--) {
		size_t item = 9;

		if (level + 1 < t->rank)
			item = 1 + protobuf_varint_size(sizes[level + 1]) + sizes[level + 1];
		sizes[level] = (size_t)t->shape[level] * (1 + protobuf_varint_size(item) + item);
	}
	protobuf_write_tag(out, number, PROTOBUF_BYTES);
	protobuf_write_varint(out, sizes[0]);
	numbers_write(out, t, sizes, 0, &at);
}

static size_t texts_write(struct buffer *out, const struct tensor *t, int level, size_t at)
{
	for (int64_t i = 0; i < t->shape[level]; i++) {
		size_t value = protobuf_open(out, LIST_VALUES);

		if (level + 1 < t->rank) {
			size_t list = protobuf_open(out, VALUE_LIST);

			at = texts_write(out, t, level + 1, at);
			protobuf_close(out, list);
		} else if (t->dtype == DTYPE_BOOL) {
			protobuf_write_uint64(out, VALUE_BOOL, ((const uint8_t *)t->data)[at++] != 0);
		} else {
			protobuf_write_bytes(out, VALUE_STRING, ((const struct span *)t->data)[at++]);
		}
		protobuf_close(out, value);
	}
	return at;
}

static void ndarray_write(struct buffer *out, const struct tensor *given)
{
	struct tensor t = *given;

	if (t.rank == 0) { /* a ListValue is a list: a lone number becomes a list of one */
		t.rank = 1;
		t.shape[0] = 1;
	}
	if (t.dtype == DTYPE_BYTES || t.dtype == DTYPE_BOOL) {
		size_t mark = protobuf_open(out, DATA_NDARRAY);

		texts_write(out, &t, 0, 0);
		protobuf_close(out, mark);
	} else {
		numbers_list_write(out, DATA_NDARRAY, &t);
	}
}

/* ---- tensor ---- */

/* One packed field is used where it stands; several are gathered. */
static bool values_parse(struct span message, struct tensor *t, struct arena *arena, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	size_t count, fields = 0, at = 0;
	double *to;

	t->count = 0;
	while (protobuf_next(&p, &f, err)) {
		if (f.number != TENSOR_VALUES)
			continue;
		if (!protobuf_count(&f, PROTOBUF_DOUBLE, &count, err))
			return error_wrap(err, "data.tensor.values");
		t->count += count; /* bounded by the message's length */
		fields++;
		if (f.type == PROTOBUF_BYTES)
			t->data = (void *)(uintptr_t)f.bytes.ptr;
	}
	if (p.failed)
		return false;
	if (fields == 1 && t->count > 1)
		return true;
	to = ARENA_ARRAY(arena, double, t->count, err);
	if (!to)
		return false;
	t->data = to;
	for (p = protobuf(message); t->count > 0 && protobuf_next(&p, &f, err);) {
		if (f.number != TENSOR_VALUES || !protobuf_count(&f, PROTOBUF_DOUBLE, &count, err) || count == 0)
			continue;
		protobuf_copy(&f, PROTOBUF_DOUBLE, to + at);
		at += count;
	}
	return true;
}

static bool tensor_parse(struct seldon_message *m, struct span bytes, struct arena *arena, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	int64_t shape[TENSOR_RANK_MAX];
	struct tensor *t = &m->tensor;
	size_t rank = 0, count;

	while (protobuf_next(&p, &f, err)) {
		int32_t part[TENSOR_RANK_MAX];

		if (f.number != TENSOR_SHAPE)
			continue;
		if (!protobuf_count(&f, PROTOBUF_INT32, &count, err))
			return error_wrap(err, "data.tensor.shape");
		if (count > TENSOR_RANK_MAX - rank)
			return error_set(err, ERROR_INVALID, "data.tensor.shape has more than %d dimensions",
					 TENSOR_RANK_MAX);
		if (count > 0)
			protobuf_copy(&f, PROTOBUF_INT32, part);
		for (size_t i = 0; i < count; i++)
			shape[rank++] = part[i];
	}
	if (p.failed)
		return error_wrap(err, "data.tensor");
	*t = (struct tensor){ .dtype = DTYPE_FP64 };
	if (!values_parse(bytes, t, arena, err))
		return false;
	return seldon_shape(t, shape, rank, "data.tensor.shape", err);
}

static void tensor_write(struct buffer *out, const struct tensor *t)
{
	size_t mark = protobuf_open(out, DATA_TENSOR);

	protobuf_write_packed_int64(out, TENSOR_SHAPE, t->shape, (size_t)t->rank);
	if (t->count > 0) {
		char *to;

		protobuf_write_tag(out, TENSOR_VALUES, PROTOBUF_BYTES);
		protobuf_write_varint(out, t->count * sizeof(double));
		to = buffer_reserve(out, t->count * sizeof(double));
		if (to && t->dtype == DTYPE_FP64)
			memcpy(to, t->data, t->count * sizeof(double));
		for (size_t i = 0; to && t->dtype != DTYPE_FP64 && i < t->count; i++) {
			double value = tensor_get(t, i);

			memcpy(to + i * sizeof(value), &value, sizeof(value));
		}
		if (to)
			buffer_commit(out, t->count * sizeof(double));
	}
	protobuf_close(out, mark);
}

/* ---- the message ---- */

static bool names_parse(struct seldon_message *m, struct span message, size_t count, struct arena *arena,
			struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;

	if (count > SELDON_TEXT_MAX)
		return error_set(err, ERROR_TOO_LARGE, "data.names has %zu names, the limit is %u", count,
				 SELDON_TEXT_MAX);
	m->names = ARENA_ARRAY(arena, struct span, count, err);
	if (!m->names)
		return false;
	m->name_count = 0;
	while (protobuf_next(&p, &f, err)) {
		if (f.number == DATA_NAMES && !protobuf_string(&f, &m->names[m->name_count++], err))
			return error_wrap(err, "data.names");
	}
	return true;
}

/* What is no full box of numbers is left to the component, as JSON. */
static bool nested_parse(struct seldon_message *m, struct span list, struct arena *arena, struct error *err)
{
	struct error ignored = { 0 };

	if (ndarray_parse(m, list, arena, &ignored) && m->tensor.dtype != DTYPE_BYTES && !m->has_null)
		return true;
	m->scalars = NULL;
	m->has_null = false;
	m->tensor = (struct tensor){ 0 };
	return seldon_list_text(list, arena, &m->nested, err) || error_wrap(err, "data.ndarray");
}

/* The last of the three forms in the message counts. */
static bool data_parse(struct seldon_message *m, struct span bytes, struct arena *arena, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	struct span form = { 0 };
	uint32_t which = 0;
	size_t names = 0;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == DATA_NAMES)
			names++;
		if (f.number < DATA_TENSOR || f.number > DATA_TFTENSOR)
			continue;
		if (!protobuf_bytes(&f, &form, err))
			return error_wrap(err, "data");
		which = f.number;
	}
	if (p.failed)
		return error_wrap(err, "data");
	m->names = NULL;
	m->name_count = 0;
	m->nested = (struct span){ 0 };
	if (names > 0 && !names_parse(m, bytes, names, arena, err))
		return false;
	switch (which) {
	case DATA_TENSOR:
		m->kind = SELDON_TENSOR;
		return tensor_parse(m, form, arena, err);
	case DATA_NDARRAY:
		m->kind = SELDON_NDARRAY;
		return m->is_whole ? nested_parse(m, form, arena, err) : ndarray_parse(m, form, arena, err);
	case DATA_TFTENSOR:
		m->kind = SELDON_TFTENSOR;
		return tftensor_read_protobuf(m, form, arena, err);
	default:
		m->kind = SELDON_NDARRAY;
		m->tensor = (struct tensor){ .dtype = DTYPE_FP64, .rank = 1, .data = arena->ptr };
		return true;
	}
}

/* Tags, metrics and the path stay encoded; all that is checked here is that they could be passed on. */
static bool meta_parse(struct span meta, struct span *ret_puid, struct error *err)
{
	struct protobuf p = protobuf(meta);
	struct protobuf_field f;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == META_PUID && !protobuf_string(&f, ret_puid, err))
			return error_wrap(err, "meta.puid");
	}
	return !p.failed || error_wrap(err, "meta");
}

static bool message_parse(struct seldon_message *ret, struct span bytes, struct arena *arena, struct error *err)
{
	static const enum seldon_kind kinds[] = { [MESSAGE_BINARY] = SELDON_BINARY,
						  [MESSAGE_TEXT] = SELDON_TEXT,
						  [MESSAGE_JSON] = SELDON_JSON,
						  [MESSAGE_CUSTOM] = SELDON_CUSTOM };
	struct seldon_message m = { .is_protobuf = true, .is_whole = ret->is_whole };
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;

	while (protobuf_next(&p, &f, err)) {
		bool ok = true;

		switch (f.number) {
		case MESSAGE_META:
			ok = protobuf_bytes(&f, &m.meta, err) && meta_parse(m.meta, &m.puid, err);
			break;
		case MESSAGE_DATA:
			ok = protobuf_bytes(&f, &m.bytes, err) && data_parse(&m, m.bytes, arena, err);
			break;
		case MESSAGE_TEXT:
			m.kind = SELDON_TEXT;
			ok = protobuf_string(&f, &m.bytes, err);
			break;
		case MESSAGE_BINARY:
		case MESSAGE_JSON:
		case MESSAGE_CUSTOM:
			m.kind = kinds[f.number];
			ok = protobuf_bytes(&f, &m.bytes, err);
			break;
		default:
			break; /* status, and fields of later versions */
		}
		if (!ok)
			return false;
	}
	if (p.failed)
		return false;
	*ret = m;
	return true;
}

bool seldon_read_protobuf(struct seldon_message *ret, struct span bytes, struct arena *arena, struct error *err)
{
	struct seldon_message m = { 0 };

	if (!message_parse(&m, bytes, arena, err))
		return false;
	*ret = m;
	return true;
}

bool seldon_read_protobuf_whole(struct seldon_message *ret, struct span bytes, struct arena *arena, struct error *err)
{
	struct seldon_message m = { .is_whole = true };

	if (!message_parse(&m, bytes, arena, err))
		return false;
	m.is_protobuf = false;
	if (m.kind >= SELDON_TENSOR && m.kind <= SELDON_TFTENSOR) {
		m.bytes = (struct span){ 0 };
		if (!m.nested.ptr && !tensor_aligned(&m.tensor, arena, err))
			return false;
	}
	if (m.kind == SELDON_JSON && !seldon_value_text(m.bytes, arena, &m.bytes, err))
		return error_wrap(err, "jsonData");
	if (m.meta.ptr) {
		struct json j;

		if (!seldon_meta_text(m.meta, arena, &m.meta, err))
			return error_wrap(err, "meta");
		json_init(&j, m.meta, arena);
		j.allow_nonfinite = true;
		if (!seldon_read_meta(&m, &j, err))
			return false;
	}
	*ret = m;
	return true;
}

bool seldon_protobuf_tensor(struct seldon_message *m, struct arena *arena, struct error *err)
{
	struct protobuf_field value;
	struct span list;

	if (!value_parse(m->bytes, &value, err))
		return error_wrap(err, "jsonData");
	if (value.number != VALUE_LIST)
		return error_set(err, ERROR_INVALID,
				 "jsonData must be a list of rows for this model, or send data.ndarray");
	return protobuf_bytes(&value, &list, err) && ndarray_parse(m, list, arena, err);
}

bool seldon_read_feedback_protobuf(struct seldon_feedback *ret, struct span bytes, struct error *err)
{
	struct seldon_feedback feedback = { 0 };
	struct span asked = { 0 }, answered = { 0 };
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;

	while (protobuf_next(&p, &f, err)) {
		struct protobuf inner;
		struct protobuf_field meta;
		struct span message;
		float reward;

		if (f.number == FEEDBACK_REWARD) {
			if (!protobuf_float(&f, &reward, err))
				return error_wrap(err, "reward");
			feedback.reward = (double)reward;
		}
		if (f.number != FEEDBACK_REQUEST && f.number != FEEDBACK_RESPONSE && f.number != FEEDBACK_TRUTH)
			continue;
		if (!protobuf_bytes(&f, &message, err))
			return false;
		inner = protobuf(message);
		while (protobuf_next(&inner, &meta, err)) {
			if (meta.number != MESSAGE_META)
				continue;
			if (!protobuf_bytes(&meta, &message, err) ||
			    !meta_parse(message, f.number == FEEDBACK_RESPONSE ? &answered : &asked, err))
				return false;
		}
		if (inner.failed)
			return false;
	}
	if (p.failed)
		return false;
	feedback.puid = answered.ptr ? answered : asked;
	*ret = feedback;
	return true;
}

/* ---- writing ---- */

/* The request's puid, tags and metrics as they came; its path when this component adds itself. Routing ends here. */
static bool meta_write(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
		       struct error *err)
{
	bool has_unit = unit && unit->name.len > 0, has_puid = false;
	struct protobuf p = protobuf(m->meta);
	struct protobuf_field f;
	size_t mark = protobuf_open(out, MESSAGE_META), entry;

	if (has_unit) {
		entry = protobuf_open(out, META_REQUEST_PATH);
		protobuf_write_bytes(out, ENTRY_KEY, unit->name);
		protobuf_write_bytes(out, ENTRY_VALUE, unit->image);
		protobuf_close(out, entry);
	}
	while (protobuf_next(&p, &f, err)) {
		bool is_kept = f.number == META_PUID || f.number == META_TAGS || f.number == META_METRICS ||
			       (f.number == META_REQUEST_PATH && has_unit);

		has_puid = has_puid || (f.number == META_PUID && f.bytes.len);
		if (is_kept && f.type == PROTOBUF_BYTES)
			protobuf_write_bytes(out, f.number, f.bytes);
	}
	if (!has_puid && m->puid.len)
		protobuf_write_bytes(out, META_PUID, m->puid);
	if (unit && unit->is_edge) {
		entry = protobuf_open(out, META_ROUTING);
		protobuf_write_bytes(out, ENTRY_KEY, unit->name);
		protobuf_write_tag(out, ENTRY_VALUE, PROTOBUF_VARINT);
		protobuf_write_varint(out, UINT64_MAX); /* -1: no branch is chosen */
		protobuf_close(out, entry);
	}
	protobuf_close(out, mark);
	return !p.failed;
}

bool seldon_write_data_protobuf(struct buffer *out, const struct seldon_message *m, struct error *err)
{
	size_t mark = protobuf_open(out, MESSAGE_DATA);
	bool ok = true;

	for (size_t i = 0; i < m->name_count; i++)
		protobuf_write_bytes(out, DATA_NAMES, m->names[i]);
	if (m->kind == SELDON_TENSOR)
		tensor_write(out, &m->tensor);
	else if (m->kind == SELDON_NDARRAY)
		ndarray_write(out, &m->tensor);
	else
		ok = tftensor_write_protobuf(out, DATA_TFTENSOR, &m->tensor, err);
	protobuf_close(out, mark);
	return ok;
}

/* What is one run of bytes. */
static void payload_write(struct buffer *out, const struct seldon_message *m)
{
	static const uint32_t numbers[] = { [SELDON_BINARY] = MESSAGE_BINARY,
					    [SELDON_TEXT] = MESSAGE_TEXT,
					    [SELDON_JSON] = MESSAGE_JSON,
					    [SELDON_CUSTOM] = MESSAGE_CUSTOM };

	if (m->kind >= SELDON_BINARY)
		protobuf_write_bytes(out, numbers[m->kind], m->bytes);
}

bool seldon_write_protobuf(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
			   struct error *err)
{
	if (!meta_write(out, m, unit, err))
		return false;
	if (m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR)
		return seldon_write_data_protobuf(out, m, err);
	payload_write(out, m);
	return true;
}

/* Meta is made as text and turned, so that both encodings say the same. */
static bool whole_meta_write(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
			     struct arena *arena, struct error *err)
{
	size_t mark = protobuf_open(out, MESSAGE_META);
	struct buffer text;
	struct json_writer w = json_writer(&text);
	bool ok;

	buffer_init(&text, out->limit);
	ok = seldon_write_meta(&w, m, unit, arena, err) && buffer_ok(&text, "meta", err) &&
	     seldon_meta_write(out, buffer_span(&text), arena, err);
	buffer_done(&text);
	protobuf_close(out, mark);
	return ok;
}

bool seldon_write_protobuf_whole(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
				 struct arena *arena, struct error *err)
{
	size_t mark, inner;
	bool ok;

	if (!whole_meta_write(out, m, unit, arena, err))
		return error_wrap(err, "meta");
	if (m->kind == SELDON_JSON) {
		mark = protobuf_open(out, MESSAGE_JSON);
		ok = seldon_value_write(out, m->bytes, arena, err);
		protobuf_close(out, mark);
		return ok || error_wrap(err, "jsonData");
	}
	if (m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR) {
		if (!m->nested.ptr)
			return seldon_write_data_protobuf(out, m, err);
		mark = protobuf_open(out, MESSAGE_DATA);
		for (size_t i = 0; i < m->name_count; i++)
			protobuf_write_bytes(out, DATA_NAMES, m->names[i]);
		inner = protobuf_open(out, DATA_NDARRAY);
		ok = seldon_list_write(out, m->nested, arena, err);
		protobuf_close(out, inner);
		protobuf_close(out, mark);
		return ok || error_wrap(err, "data.ndarray");
	}
	payload_write(out, m);
	return true;
}
