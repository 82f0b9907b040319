/* SPDX-License-Identifier: Apache-2.0 */
/* ModelProto to structs. Field numbers are onnx.proto's. */
#include "models/onnx.h"

#include "wire/protobuf.h"

struct parser {
	struct arena *scratch, *arena;
	size_t nodes; /* so far, of all graphs */
	int depth;
};

#define FIELDS 32

/* How often each field occurs, so that arrays can be cut in one piece. */
static bool count_fields(struct span message, size_t counts[FIELDS], struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;

	memset(counts, 0, FIELDS * sizeof(counts[0]));
	while (protobuf_next(&p, &f, err))
		if (f.number < FIELDS)
			counts[f.number]++;
	return !p.failed;
}

static bool within(size_t count, size_t most, const char *what, struct error *err)
{
	if (count <= most)
		return true;
	return error_set(err, ERROR_TOO_LARGE, "%zu %s are more than the %zu allowed", count, what, most);
}

/* ---- tensors ---- */

static bool dtype_of(uint64_t number, enum dtype *ret, struct error *err)
{
	return dtype_from_onnx(number, ret) ||
	       error_set(err, number <= 27 ? ERROR_UNIMPLEMENTED : ERROR_INVALID,
			 "element type %llu of ONNX is not supported", (unsigned long long)number);
}

struct tensor_fields {
	size_t typed;   /* numbers in float_data, int32_data ... */
	uint32_t field; /* which of them, 0: none */
	struct span raw;
	bool has_raw, external, segment;
	uint64_t type;
	size_t strings;
};

/* float_data 4, int32_data 5, int64_data 7, double_data 10, uint64_data 11 */
static bool scalar_of_field(uint32_t field, enum protobuf_scalar *ret)
{
	switch (field) {
	case 4:
		*ret = PROTOBUF_FLOAT;
		return true;
	case 5:
		*ret = PROTOBUF_INT32;
		return true;
	case 7:
		*ret = PROTOBUF_INT64;
		return true;
	case 10:
		*ret = PROTOBUF_DOUBLE;
		return true;
	case 11:
		*ret = PROTOBUF_UINT64;
		return true;
	default:
		return false;
	}
}

/* Which typed field holds this type's elements (comments of TensorProto). */
static uint32_t field_of_dtype(enum dtype type)
{
	switch (type) {
	case DTYPE_FP32:
		return 4;
	case DTYPE_FP64:
		return 10;
	case DTYPE_INT64:
		return 7;
	case DTYPE_UINT32:
	case DTYPE_UINT64:
		return 11;
	case DTYPE_BYTES:
		return 6;
	default:
		return 5;
	}
}

/* Numbers of one occurrence of a typed field, narrowed to the tensor's type. */
static bool copy_typed(const struct protobuf_field *f, enum protobuf_scalar scalar, size_t count, struct tensor *t,
		       size_t at, struct arena *scratch, struct error *err)
{
	char *to = (char *)t->data + at * dtype_size(t->dtype);
	int32_t *narrow;
	uint64_t *wide;

	if (t->dtype == DTYPE_UINT32) {
		wide = ARENA_ARRAY(scratch, uint64_t, count, err);
		if (!wide)
			return false;
		protobuf_copy(f, scalar, wide);
		for (size_t i = 0; i < count; i++)
			((uint32_t *)to)[i] = (uint32_t)wide[i];
		return true;
	}
	if (dtype_size(t->dtype) >= 4) {
		protobuf_copy(f, scalar, to);
		return true;
	}
	narrow = ARENA_ARRAY(scratch, int32_t, count, err);
	if (!narrow)
		return false;
	protobuf_copy(f, scalar, narrow);
	for (size_t i = 0; i < count; i++) {
		if (t->dtype == DTYPE_BOOL)
			((uint8_t *)to)[i] = narrow[i] != 0;
		else if (dtype_size(t->dtype) == 1)
			((uint8_t *)to)[i] = (uint8_t)narrow[i];
		else
			((uint16_t *)to)[i] = (uint16_t)narrow[i];
	}
	return true;
}

static bool tensor_data(struct parser *ps, struct span message, struct tensor_fields *fields, struct tensor *t,
			struct error *err)
{
	struct protobuf p = protobuf(message);
	enum protobuf_scalar scalar;
	struct protobuf_field f;
	size_t at = 0, size = t->count * dtype_size(t->dtype);

	/* Said before the memory is taken: a few bytes of file must not cost gigabytes. */
	if (fields->has_raw && t->dtype != DTYPE_BYTES) {
		if (fields->raw.len != size)
			return error_set(err, ERROR_INVALID, "raw_data has %zu bytes, the shape needs %zu",
					 fields->raw.len, size);
	} else if ((t->dtype == DTYPE_BYTES ? fields->strings : fields->typed) != t->count) {
		return error_set(err, ERROR_INVALID, "%zu elements are given, the shape needs %zu",
				 t->dtype == DTYPE_BYTES ? fields->strings : fields->typed, t->count);
	}
	t->data = arena_alloc(ps->arena, size, err);
	if (!t->data)
		return false;
	if (fields->has_raw && t->dtype != DTYPE_BYTES) {
		memcpy(t->data, fields->raw.ptr, size);
		if (t->dtype == DTYPE_BOOL)
			for (size_t i = 0; i < size; i++)
				((uint8_t *)t->data)[i] = ((uint8_t *)t->data)[i] != 0;
		return true;
	}
	while (protobuf_next(&p, &f, err)) {
		size_t count;

		if (f.number == 6 && t->dtype == DTYPE_BYTES) {
			struct span text;

			if (!protobuf_bytes(&f, &text, err))
				return false;
			text = arena_copy(ps->arena, text, err);
			if (!text.ptr)
				return false;
			((struct span *)t->data)[at++] = text;
		} else if (t->dtype != DTYPE_BYTES && f.number == fields->field && scalar_of_field(f.number, &scalar)) {
			if (!protobuf_count(&f, scalar, &count, err) ||
			    !copy_typed(&f, scalar, count, t, at, ps->scratch, err))
				return false;
			at += count;
		}
	}
	return !p.failed;
}

static bool tensor_shape(struct tensor *t, const struct protobuf_field *f, struct error *err)
{
	int64_t dims[TENSOR_RANK_MAX];
	size_t count;

	if (!protobuf_count(f, PROTOBUF_INT64, &count, err))
		return false;
	if (count > (size_t)(TENSOR_RANK_MAX - t->rank))
		return error_set(err, ERROR_TOO_LARGE, "more than %d dimensions", TENSOR_RANK_MAX);
	protobuf_copy(f, PROTOBUF_INT64, dims);
	memcpy(t->shape + t->rank, dims, count * sizeof(dims[0]));
	t->rank += (int)count;
	return true;
}

static bool parse_tensor(struct parser *ps, struct span message, struct tensor *ret, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct tensor_fields fields = { 0 };
	enum protobuf_scalar scalar;
	struct protobuf_field f;
	uint64_t location;
	size_t count = 0, sizes[FIELDS] = { 0 };

	*ret = (struct tensor){ 0 };
	while (protobuf_next(&p, &f, err)) {
		bool ok = true;

		switch (f.number) {
		case 1:
			ok = tensor_shape(ret, &f, err);
			break;
		case 2:
			ok = protobuf_uint64(&f, &fields.type, err);
			break;
		case 3:
			return error_set(err, ERROR_UNIMPLEMENTED, "tensors in segments are not supported");
		case 4:
		case 5:
		case 7:
		case 10:
		case 11:
			if (scalar_of_field(f.number, &scalar))
				ok = protobuf_count(&f, scalar, &count, err);
			if (ok)
				sizes[f.number] += count;
			break;
		case 6:
			fields.strings++;
			break;
		case 8:
			ok = protobuf_string(&f, &ret->name, err);
			break;
		case 9:
			ok = protobuf_bytes(&f, &fields.raw, err);
			fields.has_raw = true;
			break;
		case 13:
			fields.external = true;
			break;
		case 14:
			ok = protobuf_uint64(&f, &location, err);
			fields.external |= ok && location != 0;
			break;
		default:
			break;
		}
		if (!ok)
			return false;
	}
	if (p.failed)
		return false;
	if (fields.external)
		return error_set(err, ERROR_UNIMPLEMENTED,
				 "data is in another file (external data); save the model as one file");
	if (!dtype_of(fields.type, &ret->dtype, err) || !tensor_count(ret->rank, ret->shape, &ret->count, err))
		return false;
	fields.field = field_of_dtype(ret->dtype);
	fields.typed = sizes[fields.field];
	return tensor_data(ps, message, &fields, ret, err);
}

/* ---- attributes ---- */

static bool parse_graph(struct parser *ps, struct span message, struct onnx_graph *ret, struct error *err);

static bool count_attribute(struct span message, size_t *floats, size_t *ints, size_t *strings, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	size_t count;

	*floats = *ints = *strings = 0;
	while (protobuf_next(&p, &f, err)) {
		if (f.number == 7 || f.number == 8) {
			if (!protobuf_count(&f, f.number == 7 ? PROTOBUF_FLOAT : PROTOBUF_INT64, &count, err))
				return false;
			*(f.number == 7 ? floats : ints) += count;
		} else if (f.number == 9) {
			++*strings;
		}
	}
	return !p.failed;
}

/* One field of an attribute; `at` counts what the lists hold so far. */
static bool attribute_field(struct parser *ps, const struct protobuf_field *f, struct onnx_attribute *a, size_t at[3],
			    struct error *err)
{
	struct span bytes;
	uint64_t number;
	size_t count;

	switch (f->number) {
	case 1:
		return protobuf_string(f, &a->name, err);
	case 2:
		return protobuf_float(f, &a->f, err);
	case 3:
		return protobuf_int64(f, &a->i, err);
	case 4:
		return protobuf_bytes(f, &a->s, err);
	case 5:
		return protobuf_bytes(f, &bytes, err) && parse_tensor(ps, bytes, &a->tensor, err);
	case 6:
		a->graph = ARENA_NEW(ps->scratch, struct onnx_graph, err);
		return a->graph && protobuf_bytes(f, &bytes, err) && parse_graph(ps, bytes, a->graph, err);
	case 7:
		protobuf_copy(f, PROTOBUF_FLOAT, a->floats + at[0]);
		(void)protobuf_count(f, PROTOBUF_FLOAT, &count, err); /* counted before */
		at[0] += count;
		return true;
	case 8:
		protobuf_copy(f, PROTOBUF_INT64, a->ints + at[1]);
		(void)protobuf_count(f, PROTOBUF_INT64, &count, err);
		at[1] += count;
		return true;
	case 9:
		return protobuf_bytes(f, &a->strings[at[2]++], err);
	case 20:
		if (!protobuf_uint64(f, &number, err))
			return false;
		if (number > 14)
			return error_set(err, ERROR_INVALID, "attribute type %llu is unknown",
					 (unsigned long long)number);
		a->type = (int)number;
		return true;
	case 21:
		return error_set(err, ERROR_INVALID, "it refers to a function's attribute, outside a function");
	default:
		return true;
	}
}

static bool parse_attribute(struct parser *ps, struct span message, struct onnx_attribute *a, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	size_t floats, ints, strings, at[3] = { 0 };
	int seen = 0;

	if (!count_attribute(message, &floats, &ints, &strings, err))
		return false;
	a->floats = ARENA_ARRAY(ps->scratch, float, floats, err);
	a->ints = ARENA_ARRAY(ps->scratch, int64_t, ints, err);
	a->strings = ARENA_ARRAY(ps->scratch, struct span, strings, err);
	if (!a->floats || !a->ints || !a->strings)
		return false;
	while (protobuf_next(&p, &f, err)) {
		if (f.number >= 2 && f.number <= 9)
			seen = (int)f.number;
		if (!attribute_field(ps, &f, a, at, err))
			return error_wrap(err, "attribute '" SPAN_FMT "'", SPAN_ARG(a->name));
	}
	if (p.failed)
		return error_wrap(err, "attribute '" SPAN_FMT "'", SPAN_ARG(a->name));
	if (a->type == 0) /* IR version 1 did not write it; fields 2 to 9 are types 1 to 8 in order */
		a->type = seen ? seen - 1 : 0;
	a->count = a->type == ONNX_FLOATS    ? floats
		   : a->type == ONNX_INTS    ? ints
		   : a->type == ONNX_STRINGS ? strings
					     : 0;
	if (a->type == ONNX_GRAPH && !a->graph)
		return error_set(err, ERROR_INVALID, "attribute '" SPAN_FMT "' says it is a graph and has none",
				 SPAN_ARG(a->name));
	if (a->type == ONNX_TENSOR && !a->tensor.data)
		return error_set(err, ERROR_INVALID, "attribute '" SPAN_FMT "' says it is a tensor and has none",
				 SPAN_ARG(a->name));
	return true;
}

/* ---- nodes ---- */

static bool parse_node(struct parser *ps, struct span message, struct onnx_node *n, struct error *err)
{
	struct protobuf p = protobuf(message);
	size_t counts[FIELDS];
	struct protobuf_field f;
	struct span bytes;

	if (!count_fields(message, counts, err) || !within(counts[1], ONNX_VALUES_MAX, "inputs of a node", err) ||
	    !within(counts[2], ONNX_VALUES_MAX, "outputs of a node", err) ||
	    !within(counts[5], ONNX_ATTRIBUTES_MAX, "attributes of a node", err))
		return false;
	n->inputs = ARENA_ARRAY(ps->scratch, struct span, counts[1], err);
	n->outputs = ARENA_ARRAY(ps->scratch, struct span, counts[2], err);
	n->attributes = arena_calloc(ps->scratch, counts[5], sizeof(*n->attributes), err);
	if (!n->inputs || !n->outputs || !n->attributes)
		return false;
	while (protobuf_next(&p, &f, err)) {
		bool ok = true;

		switch (f.number) {
		case 1:
			ok = protobuf_string(&f, &n->inputs[n->input_count++], err);
			break;
		case 2:
			ok = protobuf_string(&f, &n->outputs[n->output_count++], err);
			break;
		case 3:
			ok = protobuf_string(&f, &n->name, err);
			break;
		case 4:
			ok = protobuf_string(&f, &n->op, err);
			break;
		case 5:
			ok = protobuf_bytes(&f, &bytes, err) &&
			     parse_attribute(ps, bytes, &n->attributes[n->attribute_count++], err);
			break;
		case 7:
			ok = protobuf_string(&f, &n->domain, err);
			break;
		default:
			break;
		}
		if (!ok)
			return false;
	}
	if (p.failed)
		return false;
	if (span_equal(n->domain, SPAN("ai.onnx")))
		n->domain = SPAN("");
	if (n->op.len == 0)
		return error_set(err, ERROR_INVALID, "op_type is missing");
	for (size_t i = 0; i < n->attribute_count; i++)
		for (size_t j = 0; j < i; j++)
			if (span_equal(n->attributes[i].name, n->attributes[j].name))
				return error_set(err, ERROR_INVALID, "attribute '" SPAN_FMT "' is there twice",
						 SPAN_ARG(n->attributes[i].name));
	return true;
}

/* ---- types ---- */

static bool parse_dimension(struct span message, int64_t *ret, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;

	*ret = -1;
	while (protobuf_next(&p, &f, err))
		if (f.number == 1) {
			if (!protobuf_int64(&f, ret, err))
				return false;
			if (*ret < 0) /* some writers put -1 or 0 for "any" */
				*ret = -1;
		}
	return !p.failed;
}

static bool parse_shape(struct span message, struct onnx_value *v, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct span bytes;

	v->has_shape = true;
	while (protobuf_next(&p, &f, err)) {
		if (f.number != 1)
			continue;
		if (v->spec.rank == TENSOR_RANK_MAX)
			return error_set(err, ERROR_TOO_LARGE, "more than %d dimensions", TENSOR_RANK_MAX);
		if (!protobuf_bytes(&f, &bytes, err) || !parse_dimension(bytes, &v->spec.shape[v->spec.rank++], err))
			return false;
	}
	return !p.failed;
}

static bool parse_tensor_type(struct span message, struct onnx_value *v, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct span bytes;
	uint64_t type = 0;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_uint64(&f, &type, err))
			return false;
		if (f.number == 2 && (!protobuf_bytes(&f, &bytes, err) || !parse_shape(bytes, v, err)))
			return false;
	}
	if (p.failed)
		return false;
	v->kind = ONNX_VALUE_TENSOR;
	if (type == 0) {
		v->kind = ONNX_VALUE_UNKNOWN;
		return true;
	}
	return dtype_of(type, &v->spec.dtype, err);
}

static bool parse_type(struct span message, struct onnx_value *v, int depth, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct span bytes;

	while (protobuf_next(&p, &f, err)) {
		switch (f.number) {
		case 1:
			if (!protobuf_bytes(&f, &bytes, err))
				return false;
			if (depth > 0) {
				v->kind = ONNX_VALUE_OTHER; /* a sequence of tensors */
				break;
			}
			if (!parse_tensor_type(bytes, v, err))
				return false;
			break;
		case 4: { /* sequence of field 1 */
			struct protobuf inner;
			struct protobuf_field g;

			v->kind = ONNX_VALUE_OTHER;
			if (depth > 0 || !protobuf_bytes(&f, &bytes, err))
				return depth > 0;
			inner = protobuf(bytes);
			while (protobuf_next(&inner, &g, err))
				if (g.number == 1 &&
				    (!protobuf_bytes(&g, &bytes, err) || !parse_type(bytes, v, 1, err)))
					return false;
			if (inner.failed)
				return false;
			break;
		}
		case 5:
			v->kind = depth == 1 ? ONNX_VALUE_MAPS : ONNX_VALUE_OTHER;
			break;
		case 8:
		case 9:
			v->kind = ONNX_VALUE_OTHER;
			break;
		default:
			break;
		}
	}
	return !p.failed;
}

static bool parse_value(struct span message, struct onnx_value *v, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct span bytes;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_string(&f, &v->spec.name, err))
			return false;
		if (f.number == 2 && (!protobuf_bytes(&f, &bytes, err) || !parse_type(bytes, v, 0, err)))
			return error_wrap(err, "type of '" SPAN_FMT "'", SPAN_ARG(v->spec.name));
	}
	if (!p.failed && v->spec.name.len == 0)
		return error_set(err, ERROR_INVALID, "it has no name");
	return !p.failed;
}

/* ---- graphs ---- */

static bool graph_arrays(struct parser *ps, struct span message, struct onnx_graph *g, struct error *err)
{
	size_t counts[FIELDS];

	if (!count_fields(message, counts, err) || !within(counts[1], ONNX_NODES_MAX - ps->nodes, "nodes", err) ||
	    !within(counts[5], ONNX_VALUES_MAX, "initializers", err) ||
	    !within(counts[11], ONNX_VALUES_MAX, "inputs", err) || !within(counts[12], 64, "outputs", err))
		return false;
	if (counts[15])
		return error_set(err, ERROR_UNIMPLEMENTED, "sparse initializers are not supported");
	ps->nodes += counts[1];
	g->nodes = arena_calloc(ps->scratch, counts[1], sizeof(*g->nodes), err);
	g->initializers = arena_calloc(ps->scratch, counts[5], sizeof(*g->initializers), err);
	g->inputs = arena_calloc(ps->scratch, counts[11], sizeof(*g->inputs), err);
	g->outputs = arena_calloc(ps->scratch, counts[12], sizeof(*g->outputs), err);
	return g->nodes && g->initializers && g->inputs && g->outputs;
}

static bool graph_field(struct parser *ps, const struct protobuf_field *f, struct onnx_graph *g, struct error *err)
{
	struct span bytes;
	size_t i;

	switch (f->number) {
	case 1:
		i = g->node_count++;
		if (!protobuf_bytes(f, &bytes, err) || !parse_node(ps, bytes, &g->nodes[i], err))
			return error_wrap(err, "node %zu (" SPAN_FMT ")", i, SPAN_ARG(g->nodes[i].op));
		return true;
	case 5:
		i = g->initializer_count++;
		if (!protobuf_bytes(f, &bytes, err) || !parse_tensor(ps, bytes, &g->initializers[i], err))
			return error_wrap(err, "initializer %zu ('" SPAN_FMT "')", i,
					  SPAN_ARG(g->initializers[i].name));
		return true;
	case 11:
		i = g->input_count++;
		if (!protobuf_bytes(f, &bytes, err) || !parse_value(bytes, &g->inputs[i], err))
			return error_wrap(err, "input %zu", i);
		return true;
	case 12:
		i = g->output_count++;
		if (!protobuf_bytes(f, &bytes, err) || !parse_value(bytes, &g->outputs[i], err))
			return error_wrap(err, "output %zu", i);
		return true;
	default:
		return true;
	}
}

static bool parse_graph(struct parser *ps, struct span message, struct onnx_graph *ret, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;

	if (ps->depth == ONNX_DEPTH_MAX)
		return error_set(err, ERROR_TOO_LARGE, "graphs are nested deeper than %d", ONNX_DEPTH_MAX);
	ps->depth++;
	if (!graph_arrays(ps, message, ret, err))
		return false;
	while (protobuf_next(&p, &f, err))
		if (!graph_field(ps, &f, ret, err))
			return false;
	ps->depth--;
	return !p.failed;
}

/* ---- the model ---- */

/* OperatorSetIdProto (domain 1, version 2) or StringStringEntryProto (key 1, value 2). */
static bool parse_pair(struct span message, bool opset, struct onnx_pair *ret, struct error *err)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;

	while (protobuf_next(&p, &f, err)) {
		if (f.number == 1 && !protobuf_string(&f, &ret->key, err))
			return false;
		if (f.number == 2 &&
		    !(opset ? protobuf_int64(&f, &ret->version, err) : protobuf_string(&f, &ret->value, err)))
			return false;
	}
	if (opset && span_equal(ret->key, SPAN("ai.onnx")))
		ret->key = SPAN("");
	return !p.failed;
}

static bool model_field(struct parser *ps, const struct protobuf_field *f, struct onnx_file *m, struct error *err)
{
	struct span bytes;

	switch (f->number) {
	case 1:
		return protobuf_int64(f, &m->ir_version, err);
	case 2:
		return protobuf_string(f, &m->producer, err);
	case 7:
		return protobuf_bytes(f, &bytes, err) && parse_graph(ps, bytes, &m->graph, err);
	case 8:
		return protobuf_bytes(f, &bytes, err) && parse_pair(bytes, true, &m->opsets[m->opset_count++], err);
	case 14:
		return protobuf_bytes(f, &bytes, err) &&
		       parse_pair(bytes, false, &m->metadata[m->metadata_count++], err);
	case 25:
		m->function_count++;
		return true;
	default:
		return true;
	}
}

bool onnx_parse(struct span bytes, struct onnx_file *ret, struct arena *scratch, struct arena *arena, struct error *err)
{
	struct parser ps = { .scratch = scratch, .arena = arena };
	struct protobuf p = protobuf(bytes);
	struct protobuf_field f;
	size_t counts[FIELDS];

	*ret = (struct onnx_file){ 0 };
	if (!count_fields(bytes, counts, err) || !within(counts[8], 64, "opset imports", err) ||
	    !within(counts[14], 4096, "metadata entries", err))
		return error_wrap(err, "ONNX file");
	if (counts[7] != 1)
		return error_set(err, ERROR_INVALID, "ONNX file: it holds %zu graphs, one was expected", counts[7]);
	ret->opsets = arena_calloc(scratch, counts[8], sizeof(*ret->opsets), err);
	ret->metadata = arena_calloc(scratch, counts[14], sizeof(*ret->metadata), err);
	if (!ret->opsets || !ret->metadata)
		return false;
	while (protobuf_next(&p, &f, err))
		if (!model_field(&ps, &f, ret, err))
			return error_wrap(err, "ONNX file");
	if (p.failed)
		return error_wrap(err, "ONNX file");
	if (ret->ir_version < 1)
		return error_set(err, ERROR_INVALID, "ONNX file: ir_version is missing");
	if (ret->graph.output_count == 0)
		return error_set(err, ERROR_INVALID, "ONNX file: the graph has no output");
	return true;
}
