/* SPDX-License-Identifier: Apache-2.0 */
/* v2_protobuf - ModelInferRequest and ModelInferResponse of the inference package. */
#include "inference/v2.h"

#include "wire/protobuf.h"

/* ---- contents: one field of InferTensorContents for each group of types ---- */

struct contents_row {
	const char *name;
	uint32_t number;             /* of the field; 0: raw only */
	enum protobuf_scalar scalar; /* not for BYTES */
	enum dtype holds;            /* the type of the field's elements */
};

static const struct contents_row contents_rows[DTYPE_COUNT] = {
	[DTYPE_BOOL] = { "bool_contents", 1, PROTOBUF_BOOL, DTYPE_BOOL },
	[DTYPE_INT8] = { "int_contents", 2, PROTOBUF_INT32, DTYPE_INT32 },
	[DTYPE_INT16] = { "int_contents", 2, PROTOBUF_INT32, DTYPE_INT32 },
	[DTYPE_INT32] = { "int_contents", 2, PROTOBUF_INT32, DTYPE_INT32 },
	[DTYPE_INT64] = { "int64_contents", 3, PROTOBUF_INT64, DTYPE_INT64 },
	[DTYPE_UINT8] = { "uint_contents", 4, PROTOBUF_UINT32, DTYPE_UINT32 },
	[DTYPE_UINT16] = { "uint_contents", 4, PROTOBUF_UINT32, DTYPE_UINT32 },
	[DTYPE_UINT32] = { "uint_contents", 4, PROTOBUF_UINT32, DTYPE_UINT32 },
	[DTYPE_UINT64] = { "uint64_contents", 5, PROTOBUF_UINT64, DTYPE_UINT64 },
	[DTYPE_FP32] = { "fp32_contents", 6, PROTOBUF_FLOAT, DTYPE_FP32 },
	[DTYPE_FP64] = { "fp64_contents", 7, PROTOBUF_DOUBLE, DTYPE_FP64 },
	[DTYPE_BYTES] = { "bytes_contents", 8, PROTOBUF_BOOL, DTYPE_BYTES },
	[DTYPE_FP16] = { NULL, 0, PROTOBUF_BOOL, DTYPE_FP16 },
	[DTYPE_BF16] = { NULL, 0, PROTOBUF_BOOL, DTYPE_BF16 },
};

static const char *contents_name(uint32_t number)
{
	for (int i = 0; i < DTYPE_COUNT; i++)
		if (contents_rows[i].number == number)
			return contents_rows[i].name;
	return "an unknown field";
}

/* How many elements came, and the only field that brought them (or the first of several). */
static bool contents_count(struct span contents, const struct tensor *t, size_t *ret_count,
			   struct protobuf_field *ret_first, size_t *ret_fields, struct error *err)
{
	const struct contents_row *row = &contents_rows[t->dtype];
	struct protobuf p = protobuf(contents);
	struct protobuf_field f;
	size_t count = 0, fields = 0, n = 1;

	while (protobuf_next(&p, &f, err)) {
		if (f.number != row->number) {
			if (f.type == PROTOBUF_BYTES && f.bytes.len == 0)
				continue; /* an empty packed list says nothing */
			return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': %s data goes in %s, came %s",
					 SPAN_ARG(t->name), dtype_name(t->dtype), row->name, contents_name(f.number));
		}
		if (t->dtype != DTYPE_BYTES && !protobuf_count(&f, row->scalar, &n, err))
			return error_wrap(err, "input '" SPAN_FMT "'", SPAN_ARG(t->name));
		if (fields++ == 0)
			*ret_first = f;
		count += n;
	}
	*ret_count = count;
	*ret_fields = fields;
	return !p.failed;
}

static bool contents_bytes(struct span contents, struct tensor *t, struct arena *arena, struct error *err)
{
	struct span *items = ARENA_ARRAY(arena, struct span, t->count, err);
	struct protobuf p = protobuf(contents);
	struct protobuf_field f;
	size_t i = 0;

	if (!items)
		return false;
	while (protobuf_next(&p, &f, err))
		if (f.number == contents_rows[DTYPE_BYTES].number && !protobuf_bytes(&f, &items[i++], err))
			return false;
	t->data = items;
	return !p.failed;
}

/* Packed in several pieces, or varints: copied one behind the other. */
static bool contents_copy(struct span contents, struct tensor *t, struct arena *arena, struct error *err)
{
	const struct contents_row *row = &contents_rows[t->dtype];
	struct protobuf p = protobuf(contents);
	struct protobuf_field f;
	size_t size = dtype_size(row->holds), at = 0, n;
	char *data = arena_array_(arena, t->count, size, err);

	if (!data)
		return false;
	while (protobuf_next(&p, &f, err)) {
		if (f.number != row->number)
			continue;
		if (!protobuf_count(&f, row->scalar, &n, err))
			return false;
		protobuf_copy(&f, row->scalar, data + at * size);
		at += n;
	}
	t->data = data;
	return !p.failed;
}

static bool contents_read(struct span contents, struct tensor *t, struct arena *arena, struct error *err)
{
	const struct contents_row *row = &contents_rows[t->dtype];
	enum dtype type = t->dtype;
	struct protobuf_field first = { 0 };
	char shape[TENSOR_SHAPE_TEXT];
	size_t count = 0, fields = 0;

	if (!row->number)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': %s travels in raw_input_contents only",
				 SPAN_ARG(t->name), dtype_name(type));
	if (!contents_count(contents, t, &count, &first, &fields, err))
		return false;
	if (count != t->count)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': shape %s has %zu elements, %s has %zu",
				 SPAN_ARG(t->name), tensor_shape_text(t->rank, t->shape, shape), t->count, row->name,
				 count);
	if (type == DTYPE_BYTES)
		return contents_bytes(contents, t, arena, err);
	/* Packed floats lie in the message as they do in memory. */
	if (fields == 1 && first.type == PROTOBUF_BYTES && (type == DTYPE_FP32 || type == DTYPE_FP64)) {
		t->data = (void *)(uintptr_t)first.bytes.ptr;
		return true;
	}
	if (!contents_copy(contents, t, arena, err))
		return false;
	t->dtype = row->holds;
	return tensor_convert(t, type, arena, t, err);
}

/* ---- the request ---- */

struct input {
	struct span datatype, contents;
	bool has_contents;
};

static bool map_entry(struct span entry, struct span *key, struct span *value, struct error *err)
{
	struct protobuf p = protobuf(entry);
	struct protobuf_field f;

	*key = *value = (struct span){ 0 };
	while (protobuf_next(&p, &f, err)) {
		bool ok = true;

		if (f.number == 1)
			ok = protobuf_bytes(&f, key, err);
		else if (f.number == 2)
			ok = protobuf_bytes(&f, value, err);
		if (!ok)
			return false;
	}
	return !p.failed;
}

static bool parameter_is_sound(const struct protobuf_field *f, struct span *key, struct span *value, struct error *err)
{
	struct span entry;

	if (!protobuf_bytes(f, &entry, err) || !map_entry(entry, key, value, err))
		return false;
	if (span_starts(*key, SPAN("shared_memory_")))
		return error_set(err, ERROR_UNIMPLEMENTED, "tensors in shared memory are not supported: send the data");
	return true;
}

static bool read_shape(const struct protobuf_field *f, struct tensor *t, struct error *err)
{
	size_t n;

	if (!protobuf_count(f, PROTOBUF_INT64, &n, err))
		return false;
	if (n > TENSOR_RANK_MAX - (size_t)t->rank)
		return error_set(err, ERROR_INVALID, "a shape has more than %d dimensions", TENSOR_RANK_MAX);
	protobuf_copy(f, PROTOBUF_INT64, t->shape + t->rank);
	t->rank += (int)n;
	return true;
}

static bool read_input(struct span message, struct tensor *t, struct input *in, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct span key, value;

	t->name = SPAN("");
	t->rank = 0;
	*in = (struct input){ .datatype = SPAN("") };
	while (protobuf_next(&p, &f, err)) {
		bool ok = true;

		switch (f.number) {
		case 1:
			ok = protobuf_bytes(&f, &t->name, err);
			break;
		case 2:
			ok = protobuf_bytes(&f, &in->datatype, err);
			break;
		case 3:
			ok = read_shape(&f, t, err);
			break;
		case 4:
			ok = parameter_is_sound(&f, &key, &value, err);
			break;
		case 5:
			if (in->has_contents)
				return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': contents came twice",
						 SPAN_ARG(t->name));
			ok = protobuf_bytes(&f, &in->contents, err);
			in->has_contents = in->contents.len > 0;
			break;
		default:
			break;
		}
		if (!ok)
			return false;
	}
	if (p.failed)
		return false;
	if (!v2_dtype_find(in->datatype, &t->dtype))
		return error_set(err, ERROR_INVALID,
				 "input '" SPAN_FMT "': datatype '" SPAN_FMT
				 "' is not known (BOOL, UINT8, UINT16, UINT32, UINT64, INT8, "
				 "INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES are)",
				 SPAN_ARG(t->name), SPAN_ARG(in->datatype));
	if (!tensor_count(t->rank, t->shape, &t->count, err))
		return error_wrap(err, "input '" SPAN_FMT "'", SPAN_ARG(t->name));
	return true;
}

static bool read_parameter_int(struct span value, int64_t *ret, struct error *err)
{
	struct protobuf p = protobuf(value);
	struct protobuf_field f;

	while (protobuf_next(&p, &f, err))
		if (f.number == 2 || f.number == 5) {
			if (!protobuf_int64(&f, ret, err))
				return false;
		}
	return !p.failed;
}

static bool read_output(struct span message, struct span *name, struct v2_output *output, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct span key, value;
	int64_t classes = 0;

	*name = SPAN("");
	*output = (struct v2_output){ 0 };
	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1) {
			if (!protobuf_bytes(&f, name, err))
				return false;
		} else if (f.number == 2) {
			if (!parameter_is_sound(&f, &key, &value, err))
				return false;
			if (span_equal(key, SPAN("classification")) && !read_parameter_int(value, &classes, err))
				return false;
		}
	}
	if (p.failed)
		return false;
	if (classes < 0 || classes > UINT32_MAX)
		return error_set(err, ERROR_INVALID, "classification is %lld, expected how many classes to name",
				 (long long)classes);
	output->classes = (uint32_t)classes;
	return true;
}

/* What the repeated fields gather while the message is walked. */
struct gathered {
	struct input *inputs;
	size_t tensor_cap, input_cap, name_cap, output_cap, raw_cap;
	struct span *raw;
	size_t raw_count;
};

static bool gather_input(const struct protobuf_field *f, struct gathered *g, struct call *call, struct arena *arena,
			 struct error *err)
{
	size_t n = call->input_count;
	struct span message;

	if (!protobuf_bytes(f, &message, err) ||
	    !v2_grow(&call->inputs, n, &g->tensor_cap, sizeof(struct tensor), arena, err) ||
	    !v2_grow(&g->inputs, n, &g->input_cap, sizeof(struct input), arena, err) ||
	    !read_input(message, &call->inputs[n], &g->inputs[n], err))
		return false;
	call->input_count++;
	return true;
}

static bool gather_output(const struct protobuf_field *f, struct gathered *g, struct v2_infer *infer,
			  struct arena *arena, struct error *err)
{
	size_t n = infer->call.wanted_count;
	struct span message;

	if (!protobuf_bytes(f, &message, err) ||
	    !v2_grow(&infer->call.wanted, n, &g->name_cap, sizeof(struct span), arena, err) ||
	    !v2_grow(&infer->outputs, n, &g->output_cap, sizeof(struct v2_output), arena, err) ||
	    !read_output(message, &infer->call.wanted[n], &infer->outputs[n], err))
		return false;
	infer->call.wanted_count++;
	return true;
}

static bool gather_raw(const struct protobuf_field *f, struct gathered *g, struct arena *arena, struct error *err)
{
	if (!v2_grow(&g->raw, g->raw_count, &g->raw_cap, sizeof(struct span), arena, err) ||
	    !protobuf_bytes(f, &g->raw[g->raw_count], err))
		return false;
	g->raw_count++;
	return true;
}

static bool read_fields(struct span body, struct gathered *g, struct v2_message *m, struct arena *arena,
			struct error *err)
{
	struct protobuf p = protobuf(body);
	struct protobuf_field f;
	struct span key, value;

	while (protobuf_next(&p, &f, err)) {
		bool ok = true;

		switch (f.number) {
		case 1:
			ok = protobuf_bytes(&f, &m->model_name, err);
			break;
		case 2:
			ok = protobuf_bytes(&f, &m->model_version, err);
			break;
		case 3:
			ok = protobuf_bytes(&f, &m->infer.call.id, err);
			break;
		case 4:
			ok = parameter_is_sound(&f, &key, &value, err);
			break;
		case 5:
			ok = gather_input(&f, g, &m->infer.call, arena, err);
			break;
		case 6:
			ok = gather_output(&f, g, &m->infer, arena, err);
			break;
		case 7:
			ok = gather_raw(&f, g, arena, err);
			break;
		default:
			break;
		}
		if (!ok)
			return false;
	}
	return !p.failed;
}

bool v2_message_read(struct span body, struct arena *arena, struct v2_message *ret, struct error *err)
{
	struct gathered g = { 0 };
	struct call *call = &ret->infer.call;

	if (!read_fields(body, &g, ret, arena, err))
		return false;
	ASSERT(g.inputs || call->input_count == 0);
	ret->is_raw = g.raw_count > 0;
	if (ret->is_raw && g.raw_count != call->input_count)
		return error_set(err, ERROR_INVALID, "%zu inputs, but %zu raw_input_contents: expected one for each",
				 call->input_count, g.raw_count);
	for (size_t i = 0; i < call->input_count; i++) {
		struct tensor *t = &call->inputs[i];

		if (!ret->is_raw) {
			if (!contents_read(g.inputs[i].contents, t, arena, err))
				return false;
			continue;
		}
		if (g.inputs[i].has_contents)
			return error_set(err, ERROR_INVALID,
					 "input '" SPAN_FMT
					 "' has contents beside raw_input_contents: all tensors are raw, or none",
					 SPAN_ARG(t->name));
		if (!v2_from_raw(t, g.raw[i], arena, err))
			return false;
	}
	return true;
}

/* ---- the answer ---- */

static uint64_t element_varint(const struct tensor *t, size_t i)
{
	switch (t->dtype) {
	case DTYPE_BOOL:
	case DTYPE_UINT8:
		return ((const uint8_t *)t->data)[i];
	case DTYPE_UINT16:
		return ((const uint16_t *)t->data)[i];
	case DTYPE_UINT32:
		return ((const uint32_t *)t->data)[i];
	case DTYPE_INT8: /* negative ones are sign-extended to 64 bits */
		return (uint64_t)(int64_t)((const int8_t *)t->data)[i];
	case DTYPE_INT16:
		return (uint64_t)(int64_t)((const int16_t *)t->data)[i];
	case DTYPE_INT32:
		return (uint64_t)(int64_t)((const int32_t *)t->data)[i];
	default:
		return ((const uint64_t *)t->data)[i];
	}
}

static bool is_fixed(enum dtype type)
{
	return type == DTYPE_FP32 || type == DTYPE_FP64;
}

/* Of the one packed field, without its tag and length. */
static size_t packed_size(const struct tensor *t)
{
	size_t size = 0;

	if (is_fixed(t->dtype))
		return t->count * dtype_size(t->dtype);
	for (size_t i = 0; i < t->count; i++)
		size += protobuf_varint_size(element_varint(t, i));
	return size;
}

/* A field of bytes: tag (one byte, numbers here are below 16), length, content. */
static size_t field_size(size_t content)
{
	return 1 + protobuf_varint_size(content) + content;
}

static size_t contents_size(const struct tensor *t, size_t packed)
{
	const struct span *items = t->data;
	size_t size = 0;

	if (t->dtype != DTYPE_BYTES)
		return t->count ? field_size(packed) : 0;
	for (size_t i = 0; i < t->count; i++)
		size += field_size(items[i].len);
	return size;
}

static void write_contents(struct buffer *out, const struct tensor *t, size_t packed)
{
	const struct span *items = t->data;
	uint32_t number = contents_rows[t->dtype].number;

	if (t->dtype == DTYPE_BYTES) {
		for (size_t i = 0; i < t->count; i++)
			protobuf_write_bytes(out, number, items[i]);
		return;
	}
	if (t->count == 0)
		return;
	if (is_fixed(t->dtype)) {
		protobuf_write_bytes(out, number, span_from(t->data, packed));
		return;
	}
	protobuf_write_tag(out, number, PROTOBUF_BYTES);
	protobuf_write_varint(out, packed);
	for (size_t i = 0; i < t->count; i++)
		protobuf_write_varint(out, element_varint(t, i));
}

static void write_length(struct buffer *out, uint32_t number, size_t len)
{
	protobuf_write_tag(out, number, PROTOBUF_BYTES);
	protobuf_write_varint(out, len);
}

/* Lengths first, so that nothing has to move afterwards. */
static void write_output(struct buffer *out, const struct tensor *t, bool is_raw)
{
	struct span type = span_of(dtype_name(t->dtype));
	size_t packed = is_raw || t->dtype == DTYPE_BYTES ? 0 : packed_size(t);
	size_t contents = is_raw ? 0 : contents_size(t, packed), shape = 0, size;

	for (int i = 0; i < t->rank; i++)
		shape += protobuf_varint_size((uint64_t)t->shape[i]);
	size = field_size(t->name.len) + field_size(type.len) + (t->rank ? field_size(shape) : 0) +
	       (is_raw ? 0 : field_size(contents));
	write_length(out, 5, size);
	protobuf_write_bytes(out, 1, t->name);
	protobuf_write_bytes(out, 2, type);
	if (t->rank) {
		write_length(out, 3, shape);
		for (int i = 0; i < t->rank; i++)
			protobuf_write_varint(out, (uint64_t)t->shape[i]);
	}
	if (is_raw)
		return;
	write_length(out, 5, contents);
	write_contents(out, t, packed);
}

bool v2_message_write(struct buffer *out, const struct v2_message *m, struct error *err)
{
	const struct call *call = &m->infer.call;
	char uuid[RANDOM_UUID_SIZE];
	bool is_raw = m->is_raw;

	for (size_t i = 0; i < call->result_count; i++)
		is_raw |= contents_rows[call->results[i].dtype].number == 0; /* FP16, BF16: then all are raw */
	protobuf_write_bytes(out, 1, call->served->name);
	protobuf_write_bytes(out, 2, call->served->version);
	protobuf_write_bytes(out, 3, v2_id(call, uuid));
	for (size_t i = 0; i < call->result_count; i++)
		write_output(out, &call->results[i], is_raw);
	for (size_t i = 0; is_raw && i < call->result_count; i++) {
		write_length(out, 6, v2_raw_size(&call->results[i]));
		v2_write_raw(out, &call->results[i]);
	}
	return buffer_ok(out, "the answer", err);
}
