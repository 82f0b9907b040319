/* SPDX-License-Identifier: Apache-2.0 */
/* SeldonMessage as JSON: the form of Seldon's REST endpoints. */
#include "inference/seldon_message.h"
#include "wire/base64.h"

/* ---- reading ---- */

static bool names_read(struct seldon_message *m, struct json *j, struct error *err)
{
	struct json_array array;

	if (json_peek(j) == JSON_NULL)
		return json_read_null(j, err);
	if (json_peek(j) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, "data.names must be a list of texts");
	if (!json_read_array(j, 0, &array, err))
		return error_wrap(err, "data.names");
	if (array.kind == JSON_ARRAY_EMPTY)
		return true;
	if (array.kind != JSON_ARRAY_STRING || array.rank != 1)
		return error_set(err, ERROR_INVALID, "data.names must be a list of texts");
	if (array.count > SELDON_TEXT_MAX)
		return error_set(err, ERROR_TOO_LARGE, "data.names has %zu names, the limit is %u", array.count,
				 SELDON_TEXT_MAX);
	m->names = array.data;
	m->name_count = array.count;
	return true;
}

static bool shape_read(struct json *j, int64_t *shape, size_t *ret_rank, struct error *err)
{
	size_t rank = 0;

	if (json_peek(j) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, "data.tensor.shape must be a list of whole numbers");
	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		if (rank == TENSOR_RANK_MAX)
			return error_set(err, ERROR_INVALID, "data.tensor.shape has more than %d dimensions",
					 TENSOR_RANK_MAX);
		if (!json_read_int64(j, &shape[rank++], err))
			return error_wrap(err, "data.tensor.shape");
	}
	*ret_rank = rank;
	return !j->failed;
}

/* What the shape promises, for the first allocation only; the values decide. */
static size_t shape_hint(const int64_t *shape, size_t rank)
{
	size_t count;
	struct error ignored = { 0 };

	return rank > 0 && tensor_count((int)rank, shape, &count, &ignored) ? count : 0;
}

static bool tensor_read(struct seldon_message *m, struct json *j, struct error *err)
{
	int64_t shape[TENSOR_RANK_MAX];
	bool has_shape = false, has_values = false;
	struct json_array array;
	struct span key;
	size_t rank = 0;

	if (json_peek(j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "data.tensor must be an object with shape and values");
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		if (span_equal(key, SPAN("shape"))) {
			if (!shape_read(j, shape, &rank, err))
				return false;
			has_shape = true;
		} else if (span_equal(key, SPAN("values"))) {
			/* A hint larger than the text could hold would let a short body ask for much memory. */
			size_t hint = MIN(shape_hint(shape, rank), (size_t)(j->end - j->at));

			if (json_peek(j) != JSON_ARRAY)
				return error_set(err, ERROR_INVALID, "data.tensor.values must be a list");
			if (!json_read_array(j, hint, &array, err))
				return error_wrap(err, "data.tensor.values");
			has_values = true;
		} else if (!json_skip(j, err)) {
			return false;
		}
	}
	if (j->failed)
		return false;
	if (!has_shape || !has_values)
		return error_set(err, ERROR_INVALID, "data.tensor has no %s", has_shape ? "values" : "shape");
	if (!seldon_tensor_from_array(m, &array, "data.tensor.values", j->arena, err))
		return false;
	return seldon_shape(&m->tensor, shape, rank, "data.tensor.shape", err);
}

/* The text of a list that NumPy would make something else of than numbers: that is the component's to do. */
static bool nested_read(struct seldon_message *m, struct json *j, struct error *err)
{
	struct json before = *j;
	struct error ignored = { 0 };
	struct json_array array;

	m->nested = (struct span){ 0 };
	if (json_read_array(j, 0, &array, &ignored) && array.rank <= TENSOR_RANK_MAX && !array.has_null &&
	    array.kind != JSON_ARRAY_STRING && array.kind != JSON_ARRAY_SCALARS)
		return seldon_tensor_from_array(m, &array, "data.ndarray", j->arena, err);
	*j = before;
	m->scalars = NULL;
	m->has_null = false;
	return json_read_raw(j, &m->nested, err) || error_wrap(err, "data.ndarray");
}

static bool ndarray_read(struct seldon_message *m, struct json *j, struct error *err)
{
	struct json_array array;

	if (json_peek(j) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, "data.ndarray must be a list");
	if (m->is_whole)
		return nested_read(m, j, err);
	if (!json_read_array(j, 0, &array, err))
		return error_wrap(err, "data.ndarray");
	return seldon_tensor_from_array(m, &array, "data.ndarray", j->arena, err);
}

/* A message may name several forms: tensor wins, then ndarray, then tftensor, as in Seldon's wrapper. */
static bool data_read(struct seldon_message *m, struct json *j, struct error *err)
{
	struct seldon_message found = { .is_whole = m->is_whole };
	struct span key;

	m->names = NULL;
	m->name_count = 0;
	if (json_peek(j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "data must be an object with tensor, ndarray or tftensor");
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("names"))) {
			ok = names_read(m, j, err);
		} else if (span_equal(key, SPAN("tensor"))) {
			found.kind = SELDON_TENSOR;
			ok = tensor_read(&found, j, err);
		} else if (span_equal(key, SPAN("ndarray")) && found.kind != SELDON_TENSOR) {
			found.kind = SELDON_NDARRAY;
			ok = ndarray_read(&found, j, err);
		} else if (span_equal(key, SPAN("tftensor")) && found.kind == SELDON_NOTHING) {
			found.kind = SELDON_TFTENSOR;
			ok = tftensor_read_json(&found, j, err);
		} else {
			ok = json_skip(j, err);
		}
		if (!ok)
			return false;
	}
	if (j->failed)
		return false;
	if (found.kind == SELDON_NOTHING) {
		found.kind = SELDON_NDARRAY; /* names alone stand for an empty array */
		found.tensor = (struct tensor){ .dtype = DTYPE_FP64, .rank = 1, .data = j->arena->ptr };
	}
	m->kind = found.kind;
	m->tensor = found.tensor;
	m->nested = found.kind == SELDON_NDARRAY ? found.nested : (struct span){ 0 };
	m->scalars = found.scalars;
	m->has_null = found.has_null;
	m->is_packed = found.is_packed;
	return true;
}

/* The text of a member that must be of one type, or null, which counts as absent. */
static bool raw_read(struct json *j, enum json_type type, const char *what, struct span *ret, struct error *err)
{
	if (json_peek(j) == JSON_NULL)
		return json_read_null(j, err);
	if (json_peek(j) != type)
		return error_set(err, ERROR_INVALID, "%s must be %s", what,
				 type == JSON_OBJECT ? "an object" : "a list");
	return json_read_raw(j, ret, err);
}

bool seldon_read_meta(struct seldon_message *m, struct json *j, struct error *err)
{
	struct json before = *j;
	struct span key;

	if (json_peek(j) == JSON_NULL)
		return json_read_null(j, err);
	if (json_peek(j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "meta must be an object");
	if (m->is_whole && !json_read_raw(&before, &m->meta, err))
		return error_wrap(err, "meta");
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("puid"))) {
			if (json_peek(j) != JSON_STRING)
				return error_set(err, ERROR_INVALID, "meta.puid must be text");
			ok = json_read_string(j, &m->puid, err);
		} else if (span_equal(key, SPAN("tags"))) {
			ok = raw_read(j, JSON_OBJECT, "meta.tags", &m->tags, err);
		} else if (span_equal(key, SPAN("requestPath"))) {
			ok = raw_read(j, JSON_OBJECT, "meta.requestPath", &m->request_path, err);
		} else if (span_equal(key, SPAN("metrics"))) {
			ok = raw_read(j, JSON_ARRAY, "meta.metrics", &m->metrics, err);
		} else {
			ok = json_skip(j, err);
		}
		if (!ok)
			return false;
	}
	return !j->failed;
}

static bool text_read(struct seldon_message *m, struct json *j, struct error *err)
{
	struct span text;

	if (json_peek(j) != JSON_STRING)
		return error_set(err, ERROR_INVALID, "strData must be text");
	if (!json_read_string(j, &text, err))
		return error_wrap(err, "strData");
	m->kind = SELDON_TEXT;
	m->bytes = text;
	return true;
}

static bool binary_read(struct seldon_message *m, struct json *j, struct error *err)
{
	struct span text;

	if (json_peek(j) != JSON_STRING)
		return error_set(err, ERROR_INVALID, "binData must be base64 text");
	if (!json_read_string(j, &text, err) || !base64_read(text, j->arena, &text, err))
		return error_wrap(err, "binData");
	m->kind = SELDON_BINARY;
	m->bytes = text;
	return true;
}

/* Data before jsonData before strData before binData, whatever their order in the text. */
static bool is_weaker(enum seldon_kind kind, enum seldon_kind than)
{
	static const int ranks[] = {
		[SELDON_NOTHING] = 0, [SELDON_BINARY] = 1, [SELDON_TEXT] = 2,    [SELDON_JSON] = 3,
		[SELDON_CUSTOM] = 0,  [SELDON_TENSOR] = 4, [SELDON_NDARRAY] = 4, [SELDON_TFTENSOR] = 4
	};

	return ranks[kind] <= ranks[than];
}

bool seldon_read_member(struct seldon_message *m, struct span key, struct json *j, struct error *err)
{
	if (span_equal(key, SPAN("data")))
		return data_read(m, j, err);
	if (span_equal(key, SPAN("meta")))
		return seldon_read_meta(m, j, err);
	if (span_equal(key, SPAN("jsonData")) && is_weaker(m->kind, SELDON_JSON)) {
		m->kind = SELDON_JSON;
		return json_read_raw(j, &m->bytes, err);
	}
	if (span_equal(key, SPAN("strData")) && is_weaker(m->kind, SELDON_TEXT))
		return text_read(m, j, err);
	if (span_equal(key, SPAN("binData")) && is_weaker(m->kind, SELDON_BINARY))
		return binary_read(m, j, err);
	return json_skip(j, err);
}

static bool message_read(struct seldon_message *m, struct span text, struct arena *arena, struct error *err)
{
	struct span key;
	struct json j;

	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	if (json_peek(&j) == JSON_INVALID)
		return error_set(err, ERROR_INVALID, "Can't find JSON in data");
	if (json_peek(&j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID,
				 "Invalid request data type: %s; expected an object with data, jsonData, "
				 "strData or binData",
				 json_peek(&j) == JSON_ARRAY ? "a list" : "a single value");
	if (!json_enter_object(&j, err))
		return error_wrap(err, "Can't find JSON in data");
	while (json_next_key(&j, &key, err)) {
		if (!seldon_read_member(m, key, &j, err))
			return false;
	}
	return json_finish(&j, err) || error_wrap(err, "Can't find JSON in data");
}

bool seldon_read_json(struct seldon_message *ret, struct span text, struct arena *arena, struct error *err)
{
	struct seldon_message m = { 0 };

	if (!message_read(&m, text, arena, err))
		return false;
	*ret = m;
	return true;
}

bool seldon_read_json_whole(struct seldon_message *ret, struct span text, struct arena *arena, struct error *err)
{
	struct seldon_message m = { .is_whole = true };

	if (!message_read(&m, text, arena, err))
		return false;
	*ret = m;
	return true;
}

bool seldon_json_tensor(struct seldon_message *m, struct arena *arena, struct error *err)
{
	struct json_array array;
	struct json j;

	json_init(&j, m->bytes, arena);
	j.allow_nonfinite = true;
	if (json_peek(&j) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID,
				 "jsonData must be a list of rows for this model, or send data.ndarray");
	if (!json_read_array(&j, 0, &array, err))
		return error_wrap(err, "jsonData");
	return seldon_tensor_from_array(m, &array, "jsonData", arena, err);
}

/* A number, or a number as text: how protobuf's JSON carries NaN and infinities. */
static bool reward_read(struct json *j, double *ret, struct error *err)
{
	struct span text = { 0 };

	if (json_peek(j) == JSON_NUMBER)
		return json_read_double(j, ret, err);
	if (json_peek(j) == JSON_STRING && json_read_string(j, &text, err) && number_parse_double(text, ret))
		return true;
	return error_set(err, ERROR_INVALID, "Invalid JSON: Failed to parse reward field: expected a number");
}

/* The puid of a message inside feedback; its payload is passed over. */
static bool puid_read(struct json *j, const char *what, struct span *ret, struct error *err)
{
	struct seldon_message m = { 0 };
	struct span key;

	if (json_peek(j) == JSON_NULL)
		return json_read_null(j, err);
	if (json_peek(j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "Invalid JSON: Failed to parse %s field: expected an object",
				 what);
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		if (!(span_equal(key, SPAN("meta")) ? seldon_read_meta(&m, j, err) : json_skip(j, err)))
			return false;
	}
	*ret = m.puid;
	return !j->failed;
}

bool seldon_read_feedback_json(struct seldon_feedback *ret, struct span text, struct arena *arena, struct error *err)
{
	struct seldon_feedback f = { 0 };
	struct span asked = { 0 }, answered = { 0 }, truth, key;
	struct json j;

	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	if (json_peek(&j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "Can't find JSON in data");
	if (!json_enter_object(&j, err))
		return error_wrap(err, "Can't find JSON in data");
	while (json_next_key(&j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("reward")))
			ok = reward_read(&j, &f.reward, err);
		else if (span_equal(key, SPAN("request")))
			ok = puid_read(&j, "request", &asked, err);
		else if (span_equal(key, SPAN("response")))
			ok = puid_read(&j, "response", &answered, err);
		else if (span_equal(key, SPAN("truth")))
			ok = puid_read(&j, "truth", &truth, err);
		else
			ok = json_skip(&j, err);
		if (!ok)
			return false;
	}
	if (!json_finish(&j, err))
		return error_wrap(err, "Can't find JSON in data");
	f.puid = answered.ptr ? answered : asked;
	*ret = f;
	return true;
}

/* ---- writing ---- */

static void texts_write(struct json_writer *w, const struct span *texts, size_t count)
{
	json_open_array(w);
	for (size_t i = 0; i < count; i++)
		json_string(w, texts[i]);
	json_close_array(w);
}

void json_write_element(struct json_writer *w, const struct tensor *t, size_t i)
{
	switch (t->dtype) {
	case DTYPE_FP32:
		json_float(w, ((const float *)t->data)[i]);
		break;
	case DTYPE_FP64:
		json_double(w, ((const double *)t->data)[i]);
		break;
	case DTYPE_INT64:
		json_int64(w, ((const int64_t *)t->data)[i]);
		break;
	case DTYPE_UINT64:
		json_uint64(w, ((const uint64_t *)t->data)[i]);
		break;
	case DTYPE_BOOL:
		json_bool(w, ((const uint8_t *)t->data)[i] != 0);
		break;
	case DTYPE_BYTES:
		json_string(w, ((const struct span *)t->data)[i]);
		break;
	default: /* the small integers; half floats were widened before */
		json_int64(w, (int64_t)tensor_get(t, i));
	}
}

size_t json_write_nested(struct json_writer *w, const struct tensor *t, int level, size_t at)
{
	if (level == t->rank) {
		json_write_element(w, t, at);
		return at + 1;
	}
	json_open_array(w);
	for (int64_t i = 0; i < t->shape[level]; i++)
		at = json_write_nested(w, t, level + 1, at);
	json_close_array(w);
	return at;
}

bool seldon_number_type(enum dtype type, enum json_number_type *ret)
{
	static const int types[DTYPE_COUNT] = {
		[DTYPE_INT8] = JSON_I8 + 1,    [DTYPE_UINT8] = JSON_U8 + 1,   [DTYPE_INT16] = JSON_I16 + 1,
		[DTYPE_UINT16] = JSON_U16 + 1, [DTYPE_INT32] = JSON_I32 + 1,  [DTYPE_UINT32] = JSON_U32 + 1,
		[DTYPE_INT64] = JSON_I64 + 1,  [DTYPE_UINT64] = JSON_U64 + 1, [DTYPE_FP32] = JSON_F32 + 1,
		[DTYPE_FP64] = JSON_F64 + 1,
	};

	if (types[type] == 0)
		return false;
	*ret = (enum json_number_type)(types[type] - 1);
	return true;
}

static void array_write(struct json_writer *w, const struct tensor *t, bool is_flat)
{
	enum json_number_type type;
	int64_t flat = (int64_t)t->count;

	if (!seldon_number_type(t->dtype, &type))
		json_write_nested(w, t, 0, 0);
	else if (is_flat)
		json_numbers(w, type, t->data, 1, &flat);
	else
		json_numbers(w, type, t->data, t->rank, t->shape);
}

static bool data_write(struct json_writer *w, const struct seldon_message *m, struct arena *arena, struct error *err)
{
	const struct tensor *t = &m->tensor;
	int64_t rank = t->rank;
	bool ok = true;

	json_key(w, SPAN("data"));
	json_open_object(w);
	json_key(w, SPAN("names"));
	texts_write(w, m->names, m->name_count);
	if (m->nested.ptr) {
		json_key(w, SPAN("ndarray"));
		ok = json_write_sorted(w, m->nested, arena, err);
	} else if (m->kind == SELDON_NDARRAY) {
		json_key(w, SPAN("ndarray"));
		array_write(w, t, false);
	} else if (m->kind == SELDON_TENSOR) {
		json_key(w, SPAN("tensor"));
		json_open_object(w);
		json_key(w, SPAN("shape"));
		json_numbers(w, JSON_I64, t->shape, 1, &rank);
		json_key(w, SPAN("values"));
		array_write(w, t, true);
		json_close_object(w);
	} else {
		json_key(w, SPAN("tftensor"));
		ok = tftensor_write_json(w, t, m->is_packed, arena, err);
	}
	json_close_object(w);
	return ok;
}

void json_write_base64(struct json_writer *w, struct span bytes)
{
	if (w->comma)
		buffer_byte(w->out, ',');
	buffer_byte(w->out, '"');
	base64_write(w->out, bytes);
	buffer_byte(w->out, '"');
	w->comma = true;
}

#define ROUTE_ALL (-1) /* what an orchestrator notes of a node that chooses no branch */

static void request_path_begin(struct json_writer *w, const struct seldon_unit *unit)
{
	json_key(w, SPAN("requestPath"));
	json_open_object(w);
	json_key(w, unit->name);
	json_string(w, unit->image);
}

/* This component and the way the request came; the request's word counts where both name one. */
static bool request_path_write(struct json_writer *w, const struct seldon_message *m, const struct seldon_unit *unit,
			       struct arena *arena, struct error *err)
{
	/* Without the braces. */
	struct span rest = m->request_path.len > 2
			       ? span_trim((struct span){ m->request_path.ptr + 1, m->request_path.len - 2 })
			       : (struct span){ 0 };
	struct buffer text;
	struct json_writer path;
	bool ok;

	if (!rest.len) {
		request_path_begin(w, unit);
		json_close_object(w);
		return true;
	}
	json_key(w, SPAN("requestPath"));
	buffer_init(&text, rest.len + 8 * (unit->name.len + unit->image.len) + 64);
	path = json_writer(&text);
	json_open_object(&path);
	json_key(&path, unit->name);
	json_string(&path, unit->image);
	buffer_byte(&text, ',');
	buffer_append(&text, rest);
	json_close_object(&path);
	ok = buffer_ok(&text, "meta.requestPath", err) && json_write_sorted(w, buffer_span(&text), arena, err);
	buffer_done(&text);
	return ok;
}

/* Of a graph of this one node. */
static void routing_write(struct json_writer *w, const struct seldon_unit *unit)
{
	json_key(w, SPAN("routing"));
	json_open_object(w);
	json_key(w, unit->name);
	json_int64(w, ROUTE_ALL);
	json_close_object(w);
}

void seldon_write_said(struct buffer *out, struct span node, struct span image)
{
	struct json_writer w = json_writer(out);
	struct seldon_unit unit = { .name = node, .image = image };

	request_path_begin(&w, &unit);
	json_close_object(&w);
	routing_write(&w, &unit);
}

bool seldon_write_meta(struct json_writer *w, const struct seldon_message *m, const struct seldon_unit *unit,
		       struct arena *arena, struct error *err)
{
	if (m->meta.ptr)
		return json_write_sorted(w, m->meta, arena, err);
	json_open_object(w);
	if (m->metrics.ptr) {
		json_key(w, SPAN("metrics"));
		if (!json_write_sorted(w, m->metrics, arena, err))
			return false;
	}
	if (m->puid.ptr) {
		json_key(w, SPAN("puid"));
		json_string(w, m->puid);
	}
	if (unit && unit->said.len && m->request_path.len <= 2) { /* "{}" */
		json_raw(w, unit->said);
	} else {
		if (unit && unit->name.len > 0 && !request_path_write(w, m, unit, arena, err))
			return false;
		if (unit && unit->is_edge)
			routing_write(w, unit);
	}
	if (m->tags.ptr) {
		json_key(w, SPAN("tags"));
		if (!json_write_sorted(w, m->tags, arena, err))
			return false;
	}
	json_close_object(w);
	return true;
}

/* Keys in alphabetical order: binData, data, jsonData, meta, strData. */
bool seldon_write_json(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
		       struct arena *arena, struct error *err)
{
	struct json_writer w = json_writer(out);

	w.nonfinite = JSON_NONFINITE_TOKEN;
	json_open_object(&w);
	if (m->kind == SELDON_BINARY) {
		json_key(&w, SPAN("binData"));
		json_write_base64(&w, m->bytes);
	}
	if (m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR && !data_write(&w, m, arena, err))
		return false;
	if (m->kind == SELDON_JSON) {
		json_key(&w, SPAN("jsonData"));
		if (!json_write_sorted(&w, m->bytes, arena, err))
			return false;
	}
	json_key(&w, SPAN("meta"));
	if (!seldon_write_meta(&w, m, unit, arena, err))
		return false;
	if (m->kind == SELDON_TEXT) {
		json_key(&w, SPAN("strData"));
		json_string(&w, m->bytes);
	}
	json_close_object(&w);
	return true;
}
