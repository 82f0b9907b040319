/* SPDX-License-Identifier: Apache-2.0 */
#include "inference/seldon_value.h"

#include "wire/protobuf.h"

/* google/protobuf/struct.proto */
enum { VALUE_NULL = 1, VALUE_NUMBER = 2, VALUE_STRING = 3, VALUE_BOOL = 4, VALUE_STRUCT = 5, VALUE_LIST = 6 };
enum { STRUCT_FIELDS = 1, LIST_VALUES = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
/* prediction.proto */
enum { META_PUID = 1, META_TAGS = 2, META_ROUTING = 3, META_REQUEST_PATH = 4, META_METRICS = 5 };
enum { METRIC_KEY = 1, METRIC_TYPE = 2, METRIC_VALUE = 3, METRIC_TAGS = 4 };

static const struct span metric_types[] = { SPAN_INIT("COUNTER"), SPAN_INIT("GAUGE"), SPAN_INIT("TIMER") };

/* ---- protobuf to text ---- */

static bool value_print(struct json_writer *w, struct span bytes, int depth, struct error *err);

static bool list_print(struct json_writer *w, struct span list, int depth, struct error *err)
{
	struct protobuf p = protobuf(list);
	struct protobuf_field f;

	if (depth == VALUE_DEPTH_MAX)
		return error_set(err, ERROR_INVALID, "nested more than %d deep", VALUE_DEPTH_MAX);
	json_open_array(w);
	while (protobuf_next(&p, &f, err)) {
		struct span item;

		if (f.number != LIST_VALUES)
			continue;
		if (!protobuf_bytes(&f, &item, err) || !value_print(w, item, depth + 1, err))
			return false;
	}
	json_close_array(w);
	return !p.failed;
}

/* A map's entry: its key, and the field of its value (number 0 when absent). */
static bool entry_parse(const struct protobuf_field *field, struct span *ret_key, struct protobuf_field *ret_value,
			struct error *err)
{
	struct protobuf_field f;
	struct protobuf p;
	struct span entry;

	if (!protobuf_bytes(field, &entry, err))
		return false;
	*ret_key = SPAN("");
	*ret_value = (struct protobuf_field){ 0 };
	p = protobuf(entry);
	while (protobuf_next(&p, &f, err)) {
		if (f.number == ENTRY_KEY && !protobuf_string(&f, ret_key, err))
			return false;
		if (f.number == ENTRY_VALUE)
			*ret_value = f;
	}
	return !p.failed;
}

/* map<string, Value> at the fields `number` of a message. */
static bool values_print(struct json_writer *w, struct span message, uint32_t number, int depth, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f, value;
	struct span key;

	if (depth == VALUE_DEPTH_MAX)
		return error_set(err, ERROR_INVALID, "nested more than %d deep", VALUE_DEPTH_MAX);
	json_open_object(w);
	while (protobuf_next(&p, &f, err)) {
		struct span bytes = { 0 };

		if (f.number != number)
			continue;
		if (!entry_parse(&f, &key, &value, err) || (value.number && !protobuf_bytes(&value, &bytes, err)))
			return false;
		json_key(w, key);
		if (!value_print(w, bytes, depth + 1, err))
			return false;
	}
	json_close_object(w);
	return !p.failed;
}

/* The last of the oneof's fields counts, as the wire format says. */
static bool value_print(struct json_writer *w, struct span bytes, int depth, struct error *err)
{
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f, value = { 0 };
	struct span inner;
	double number;
	bool flag;

	while (protobuf_next(&p, &f, err)) {
		if (f.number >= VALUE_NULL && f.number <= VALUE_LIST)
			value = f;
	}
	if (p.failed)
		return false;
	switch (value.number) {
	case VALUE_NUMBER:
		if (!protobuf_double(&value, &number, err))
			return false;
		json_double(w, number);
		return true;
	case VALUE_STRING:
		if (!protobuf_string(&value, &inner, err))
			return false;
		json_string(w, inner);
		return true;
	case VALUE_BOOL:
		if (!protobuf_bool(&value, &flag, err))
			return false;
		json_bool(w, flag);
		return true;
	case VALUE_STRUCT:
		return protobuf_bytes(&value, &inner, err) && values_print(w, inner, STRUCT_FIELDS, depth, err);
	case VALUE_LIST:
		return protobuf_bytes(&value, &inner, err) && list_print(w, inner, depth, err);
	default:
		json_null(w);
		return true;
	}
}

/* map<string, string> or map<string, int32> at the fields `number` of a message. */
static bool plain_map_print(struct json_writer *w, struct span message, uint32_t number, bool is_text,
			    struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f, value;
	struct span key;

	json_open_object(w);
	while (protobuf_next(&p, &f, err)) {
		struct span text = SPAN("");
		int32_t whole = 0;

		if (f.number != number)
			continue;
		if (!entry_parse(&f, &key, &value, err))
			return false;
		if (value.number &&
		    !(is_text ? protobuf_string(&value, &text, err) : protobuf_int32(&value, &whole, err)))
			return false;
		json_key(w, key);
		if (is_text)
			json_string(w, text);
		else
			json_int64(w, whole);
	}
	json_close_object(w);
	return !p.failed;
}

static bool metric_print(struct json_writer *w, struct span metric, struct error *err)
{
	struct protobuf p = protobuf(metric);
	struct protobuf_field f;
	struct span key = SPAN("");
	bool has_tags = false;
	int32_t type = 0;
	float value = 0;

	while (protobuf_next(&p, &f, err)) {
		bool ok = true;

		if (f.number == METRIC_KEY)
			ok = protobuf_string(&f, &key, err);
		else if (f.number == METRIC_TYPE)
			ok = protobuf_int32(&f, &type, err);
		else if (f.number == METRIC_VALUE)
			ok = protobuf_float(&f, &value, err);
		has_tags = has_tags || f.number == METRIC_TAGS;
		if (!ok)
			return false;
	}
	if (p.failed)
		return false;
	json_open_object(w);
	json_key(w, SPAN("key"));
	json_string(w, key);
	json_key(w, SPAN("type"));
	if (type >= 0 && (size_t)type < ARRAY_LEN(metric_types))
		json_string(w, metric_types[type]);
	else
		json_int64(w, type);
	json_key(w, SPAN("value"));
	json_float(w, value);
	if (has_tags) {
		json_key(w, SPAN("tags"));
		if (!plain_map_print(w, metric, METRIC_TAGS, true, err))
			return false;
	}
	json_close_object(w);
	return true;
}

static bool metrics_print(struct json_writer *w, struct span meta, struct error *err)
{
	struct protobuf p = protobuf(meta);
	struct protobuf_field f;
	struct span metric;

	json_open_array(w);
	while (protobuf_next(&p, &f, err)) {
		if (f.number != META_METRICS)
			continue;
		if (!protobuf_bytes(&f, &metric, err) || !metric_print(w, metric, err))
			return false;
	}
	json_close_array(w);
	return !p.failed;
}

/* Which members there are, so that the absent stay absent. */
static bool meta_scan(struct span meta, bool *ret_has, struct span *ret_puid, struct error *err)
{
	struct protobuf p = protobuf(meta);
	struct protobuf_field f;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == META_PUID && !protobuf_string(&f, ret_puid, err))
			return false;
		if (f.number <= META_METRICS)
			ret_has[f.number] = true;
	}
	return !p.failed;
}

static bool meta_print(struct json_writer *w, struct span meta, struct error *err)
{
	bool has[META_METRICS + 1] = { 0 };
	struct span puid = { 0 };

	if (!meta_scan(meta, has, &puid, err))
		return false;
	json_open_object(w);
	if (has[META_METRICS]) {
		json_key(w, SPAN("metrics"));
		if (!metrics_print(w, meta, err))
			return false;
	}
	if (puid.len > 0) {
		json_key(w, SPAN("puid"));
		json_string(w, puid);
	}
	if (has[META_REQUEST_PATH]) {
		json_key(w, SPAN("requestPath"));
		if (!plain_map_print(w, meta, META_REQUEST_PATH, true, err))
			return false;
	}
	if (has[META_ROUTING]) {
		json_key(w, SPAN("routing"));
		if (!plain_map_print(w, meta, META_ROUTING, false, err))
			return false;
	}
	if (has[META_TAGS]) {
		json_key(w, SPAN("tags"));
		if (!values_print(w, meta, META_TAGS, 0, err))
			return false;
	}
	json_close_object(w);
	return true;
}

enum form { FORM_VALUE, FORM_LIST, FORM_META };

/* The text is at most some 30 times as long: an empty metric of two bytes prints its three members. */
static bool text_make(enum form form, struct span bytes, struct arena *arena, struct span *ret, struct error *err)
{
	struct buffer text;
	struct json_writer w = json_writer(&text);
	size_t limit;
	bool ok;

	if (__builtin_mul_overflow(bytes.len, 32, &limit))
		limit = arena->limit;
	buffer_init(&text, MIN(limit + KIB(1), MAX(arena->limit, (size_t)KIB(1))));
	w.nonfinite = JSON_NONFINITE_TOKEN;
	if (form == FORM_VALUE)
		ok = value_print(&w, bytes, 0, err);
	else if (form == FORM_LIST)
		ok = list_print(&w, bytes, 0, err);
	else
		ok = meta_print(&w, bytes, err);
	if (ok && buffer_ok(&text, "its JSON text", err))
		*ret = arena_copy(arena, buffer_span(&text), err);
	else
		ok = false;
	ok = ok && !text.overflow && ret->ptr;
	buffer_done(&text);
	return ok;
}

bool seldon_value_text(struct span value, struct arena *arena, struct span *ret, struct error *err)
{
	return text_make(FORM_VALUE, value, arena, ret, err);
}

bool seldon_list_text(struct span list, struct arena *arena, struct span *ret, struct error *err)
{
	return text_make(FORM_LIST, list, arena, ret, err);
}

bool seldon_meta_text(struct span meta, struct arena *arena, struct span *ret, struct error *err)
{
	return text_make(FORM_META, meta, arena, ret, err);
}

/* ---- text to protobuf ---- */

/* Recursion is bounded by the reader's JSON_DEPTH_MAX. */
static bool value_encode(struct buffer *out, struct json *j, struct error *err);

static bool list_encode(struct buffer *out, struct json *j, struct error *err)
{
	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		size_t item = protobuf_open(out, LIST_VALUES);

		if (!value_encode(out, j, err))
			return false;
		protobuf_close(out, item);
	}
	return !j->failed;
}

/* An object as map<string, Value> in the fields `number`. */
static bool values_encode(struct buffer *out, uint32_t number, struct json *j, struct error *err)
{
	struct span key;

	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		size_t entry = protobuf_open(out, number), value;

		protobuf_write_bytes(out, ENTRY_KEY, key);
		value = protobuf_open(out, ENTRY_VALUE);
		if (!value_encode(out, j, err))
			return false;
		protobuf_close(out, value);
		protobuf_close(out, entry);
	}
	return !j->failed;
}

static bool value_encode(struct buffer *out, struct json *j, struct error *err)
{
	struct span text;
	double number;
	size_t mark;
	bool flag;

	switch (json_peek(j)) {
	case JSON_BOOL:
		if (!json_read_bool(j, &flag, err))
			return false;
		protobuf_write_uint64(out, VALUE_BOOL, flag);
		return true;
	case JSON_NUMBER:
		if (!json_read_double(j, &number, err))
			return false;
		protobuf_write_double(out, VALUE_NUMBER, number);
		return true;
	case JSON_STRING:
		if (!json_read_string(j, &text, err))
			return false;
		protobuf_write_bytes(out, VALUE_STRING, text);
		return true;
	case JSON_ARRAY:
		mark = protobuf_open(out, VALUE_LIST);
		if (!list_encode(out, j, err))
			return false;
		protobuf_close(out, mark);
		return true;
	case JSON_OBJECT:
		mark = protobuf_open(out, VALUE_STRUCT);
		if (!values_encode(out, STRUCT_FIELDS, j, err))
			return false;
		protobuf_close(out, mark);
		return true;
	default:
		if (!json_read_null(j, err))
			return false;
		protobuf_write_uint64(out, VALUE_NULL, 0);
		return true;
	}
}

/* A text, or the text of any other value: what stands where protobuf has a string. */
static bool string_read(struct json *j, struct span *ret, struct error *err)
{
	return json_peek(j) == JSON_STRING ? json_read_string(j, ret, err) : json_read_raw(j, ret, err);
}

/* An object as map<string, string>, or map<string, int32>, in the fields `number`. */
static bool plain_map_encode(struct buffer *out, uint32_t number, bool is_text, struct json *j, struct error *err)
{
	struct span key, text;
	int64_t whole;

	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		size_t entry;

		if (!(is_text ? string_read(j, &text, err) : json_read_int64(j, &whole, err)))
			return false;
		entry = protobuf_open(out, number);
		protobuf_write_bytes(out, ENTRY_KEY, key);
		if (is_text)
			protobuf_write_bytes(out, ENTRY_VALUE, text);
		else
			protobuf_write_uint64(out, ENTRY_VALUE, (uint64_t)whole);
		protobuf_close(out, entry);
	}
	return !j->failed;
}

static bool metric_type_read(struct json *j, uint64_t *ret, struct error *err)
{
	struct span name;
	int64_t number;

	if (json_peek(j) == JSON_NUMBER) {
		if (!json_read_int64(j, &number, err))
			return false;
		*ret = (uint64_t)number;
		return true;
	}
	if (!json_read_string(j, &name, err))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(metric_types); i++) {
		if (span_equal(metric_types[i], name)) {
			*ret = i;
			return true;
		}
	}
	return error_set(err, ERROR_INVALID, "a metric's type is COUNTER, GAUGE or TIMER, not '" SPAN_FMT "'",
			 SPAN_ARG(name));
}

static bool metric_encode(struct buffer *out, struct json *j, struct error *err)
{
	struct span key, text;
	uint64_t type;
	double value;

	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		bool ok;

		if (span_equal(key, SPAN("key"))) {
			ok = json_read_string(j, &text, err);
			if (ok)
				protobuf_write_bytes(out, METRIC_KEY, text);
		} else if (span_equal(key, SPAN("type"))) {
			ok = metric_type_read(j, &type, err);
			if (ok && type)
				protobuf_write_uint64(out, METRIC_TYPE, type);
		} else if (span_equal(key, SPAN("value"))) {
			ok = json_read_double(j, &value, err);
			if (ok)
				protobuf_write_float(out, METRIC_VALUE, (float)value);
		} else if (span_equal(key, SPAN("tags"))) {
			ok = plain_map_encode(out, METRIC_TAGS, true, j, err);
		} else {
			ok = json_skip(j, err);
		}
		if (!ok)
			return false;
	}
	return !j->failed;
}

static bool metrics_encode(struct buffer *out, struct json *j, struct error *err)
{
	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		size_t mark = protobuf_open(out, META_METRICS);

		if (!metric_encode(out, j, err))
			return false;
		protobuf_close(out, mark);
	}
	return !j->failed;
}

static bool meta_member_encode(struct buffer *out, struct span key, struct json *j, struct error *err)
{
	struct span text;

	if (json_peek(j) == JSON_NULL)
		return json_read_null(j, err);
	if (span_equal(key, SPAN("puid"))) {
		if (!json_read_string(j, &text, err))
			return false;
		protobuf_write_bytes(out, META_PUID, text);
		return true;
	}
	if (span_equal(key, SPAN("tags")))
		return values_encode(out, META_TAGS, j, err);
	if (span_equal(key, SPAN("routing")))
		return plain_map_encode(out, META_ROUTING, false, j, err);
	if (span_equal(key, SPAN("requestPath")))
		return plain_map_encode(out, META_REQUEST_PATH, true, j, err);
	if (span_equal(key, SPAN("metrics")))
		return metrics_encode(out, j, err);
	return json_skip(j, err);
}

/* ---- SeldonModelMetadata ---- */

enum { METADATA_NAME = 1, METADATA_VERSIONS = 2, METADATA_PLATFORM = 3, METADATA_INPUTS = 4, METADATA_OUTPUTS = 5 };
enum { METADATA_CUSTOM = 6 };
enum { TENSOR_MESSAGETYPE = 1, TENSOR_SCHEMA = 2, TENSOR_NAME = 3, TENSOR_DATATYPE = 4, TENSOR_SHAPE = 5 };

static bool texts_encode(struct buffer *out, uint32_t number, struct json *j, struct error *err)
{
	struct span text;

	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		if (!string_read(j, &text, err))
			return false;
		protobuf_write_bytes(out, number, text);
	}
	return !j->failed;
}

static bool shape_encode(struct buffer *out, struct json *j, struct error *err)
{
	int64_t size;

	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		if (!json_read_int64(j, &size, err))
			return false;
		protobuf_write_uint64(out, TENSOR_SHAPE, (uint64_t)size);
	}
	return !j->failed;
}

static bool text_member_encode(struct buffer *out, uint32_t number, struct json *j, struct error *err)
{
	struct span text;

	if (!string_read(j, &text, err))
		return false;
	protobuf_write_bytes(out, number, text);
	return true;
}

static bool tensor_member_encode(struct buffer *out, struct span key, struct json *j, struct error *err)
{
	size_t mark;

	if (json_peek(j) == JSON_NULL)
		return json_read_null(j, err);
	if (span_equal(key, SPAN("messagetype")))
		return text_member_encode(out, TENSOR_MESSAGETYPE, j, err);
	if (span_equal(key, SPAN("name")))
		return text_member_encode(out, TENSOR_NAME, j, err);
	if (span_equal(key, SPAN("datatype")))
		return text_member_encode(out, TENSOR_DATATYPE, j, err);
	if (span_equal(key, SPAN("shape")))
		return shape_encode(out, j, err);
	if (!span_equal(key, SPAN("schema")))
		return json_skip(j, err);
	mark = protobuf_open(out, TENSOR_SCHEMA);
	if (!value_encode(out, j, err))
		return false;
	protobuf_close(out, mark);
	return true;
}

static bool tensors_encode(struct buffer *out, uint32_t number, struct json *j, struct error *err)
{
	struct span key;

	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		size_t mark = protobuf_open(out, number);

		if (!json_enter_object(j, err))
			return false;
		while (json_next_key(j, &key, err)) {
			if (!tensor_member_encode(out, key, j, err))
				return false;
		}
		protobuf_close(out, mark);
	}
	return !j->failed;
}

static bool metadata_member_encode(struct buffer *out, struct span key, struct json *j, struct error *err)
{
	if (json_peek(j) == JSON_NULL)
		return json_read_null(j, err);
	if (span_equal(key, SPAN("name")))
		return text_member_encode(out, METADATA_NAME, j, err);
	if (span_equal(key, SPAN("versions")))
		return texts_encode(out, METADATA_VERSIONS, j, err);
	if (span_equal(key, SPAN("platform")))
		return text_member_encode(out, METADATA_PLATFORM, j, err);
	if (span_equal(key, SPAN("inputs")))
		return tensors_encode(out, METADATA_INPUTS, j, err);
	if (span_equal(key, SPAN("outputs")))
		return tensors_encode(out, METADATA_OUTPUTS, j, err);
	if (span_equal(key, SPAN("custom")))
		return plain_map_encode(out, METADATA_CUSTOM, true, j, err);
	return json_skip(j, err);
}

/* ---- whole texts ---- */

static void reader_init(struct json *j, struct span text, struct arena *arena)
{
	json_init(j, text, arena);
	j->allow_nonfinite = true;
}

bool seldon_value_write(struct buffer *out, struct span text, struct arena *arena, struct error *err)
{
	struct json j;

	reader_init(&j, text, arena);
	return value_encode(out, &j, err) && json_finish(&j, err);
}

bool seldon_list_write(struct buffer *out, struct span text, struct arena *arena, struct error *err)
{
	struct json j;

	reader_init(&j, text, arena);
	return list_encode(out, &j, err) && json_finish(&j, err);
}

static bool members_write(struct buffer *out, struct span text, struct arena *arena,
			  bool (*encode)(struct buffer *out, struct span key, struct json *j, struct error *err),
			  struct error *err)
{
	struct span key;
	struct json j;

	reader_init(&j, text, arena);
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err)) {
		if (!encode(out, key, &j, err))
			return error_wrap(err, SPAN_FMT, SPAN_ARG(key));
	}
	return json_finish(&j, err);
}

bool seldon_meta_write(struct buffer *out, struct span text, struct arena *arena, struct error *err)
{
	return members_write(out, text, arena, meta_member_encode, err);
}

bool seldon_metadata_write(struct buffer *out, struct span text, struct arena *arena, struct error *err)
{
	return members_write(out, text, arena, metadata_member_encode, err);
}
