/* SPDX-License-Identifier: Apache-2.0 */
/* component_model - a component as a model: tensors in, one tensor out, for the protocols that know no more. */
#include "inference/component.h"

struct component_model {
	struct model model; /* first */
	struct component *component;
};

/* ---- the question ---- */

static bool shape_refused(const struct tensor *t, const char *expected, struct error *err)
{
	char came[TENSOR_SHAPE_TEXT];

	return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': expected %s, came %s with shape %s",
			 SPAN_ARG(t->name), expected, dtype_name(t->dtype), tensor_shape_text(t->rank, t->shape, came));
}

static size_t columns_of(const struct tensor *t)
{
	return t->rank == 2 ? (size_t)t->shape[1] : 1;
}

/* The type that all of them can have: their own when it is one, else FP64. */
static bool join_check(const struct tensor *inputs, size_t count, struct tensor *ret, struct error *err)
{
	size_t columns = 0;

	*ret = (struct tensor){ .name = inputs[0].name, .dtype = inputs[0].dtype, .rank = 2 };
	for (size_t i = 0; i < count; i++) {
		const struct tensor *t = &inputs[i];

		if (t->rank < 1 || t->rank > 2)
			return shape_refused(t, "columns: [rows] or [rows,columns], to stand beside other inputs", err);
		if (t->shape[0] != inputs[0].shape[0])
			return error_set(err, ERROR_INVALID,
					 "input '" SPAN_FMT "' has %lld rows, '" SPAN_FMT "' has %lld",
					 SPAN_ARG(t->name), (long long)t->shape[0], SPAN_ARG(inputs[0].name),
					 (long long)inputs[0].shape[0]);
		if ((t->dtype == DTYPE_BYTES) != (inputs[0].dtype == DTYPE_BYTES))
			return shape_refused(t,
					     inputs[0].dtype == DTYPE_BYTES ? "strings, as in the inputs before"
									    : "numbers, as in the inputs before",
					     err);
		if (t->dtype != ret->dtype)
			ret->dtype = DTYPE_FP64;
		if (__builtin_add_overflow(columns, columns_of(t), &columns) || columns > INT64_MAX)
			return shape_refused(t, "fewer columns", err);
	}
	ret->shape[0] = inputs[0].shape[0];
	ret->shape[1] = (int64_t)columns;
	return true;
}

static bool inputs_join(const struct tensor *inputs, size_t count, struct tensor *ret, struct arena *arena,
			struct error *err)
{
	struct tensor all;
	size_t size, width, at = 0;

	if (!join_check(inputs, count, &all, err) || !tensor_new(ret, all.name, all.dtype, 2, all.shape, arena, err))
		return false;
	size = dtype_size(all.dtype);
	width = (size_t)all.shape[1];
	for (size_t i = 0; i < count; i++) {
		size_t columns = columns_of(&inputs[i]);
		struct tensor same;

		if (!tensor_convert(&inputs[i], all.dtype, arena, &same, err))
			return error_wrap(err, "input '" SPAN_FMT "'", SPAN_ARG(inputs[i].name));
		for (size_t r = 0; r < (size_t)all.shape[0]; r++)
			memcpy((char *)ret->data + (r * width + at) * size,
			       (const char *)same.data + r * columns * size, columns * size);
		at += columns;
	}
	return true;
}

/* One name for each column, where they can be told: inputs that are one column each, or the component's own names. */
static bool names_tell(const struct component *c, const struct tensor *inputs, size_t count, struct seldon_message *m,
		       struct arena *arena, struct error *err)
{
	int64_t width = m->tensor.rank == 2 ? m->tensor.shape[1] : -1;

	if (count > 1 && width == (int64_t)count) {
		m->names = ARENA_ARRAY(arena, struct span, count, err);
		if (!m->names)
			return false;
		for (size_t i = 0; i < count; i++)
			m->names[i] = inputs[i].name;
		m->name_count = count;
	} else if (c->feature_count > 0 && width == (int64_t)c->feature_count) {
		m->names = c->feature_names;
		m->name_count = c->feature_count;
	}
	return true;
}

static bool question_make(const struct component *c, const struct tensor *inputs, size_t count,
			  struct seldon_message *m, struct arena *arena, struct error *err)
{
	if (count == 0)
		return error_set(err, ERROR_INVALID, "no input came");
	if (count == 1)
		m->tensor = inputs[0];
	else if (!inputs_join(inputs, count, &m->tensor, arena, err))
		return false;
	m->kind = m->tensor.dtype == DTYPE_BYTES || m->tensor.dtype == DTYPE_BOOL ? SELDON_NDARRAY : SELDON_TENSOR;
	return tensor_aligned(&m->tensor, arena, err) && names_tell(c, inputs, count, m, arena, err);
}

/* ---- the answer ---- */

/* An answer that is not as it should be is the component's fault and not the client's. */
static bool answer_refused(struct error *err)
{
	err->code = ERROR_INTERNAL;
	return error_wrap(err, "the model's answer");
}

static bool bytes_tensor(struct span bytes, struct tensor *t, struct arena *arena, struct error *err)
{
	int64_t one = 1;

	if (!tensor_new(t, (struct span){ 0 }, DTYPE_BYTES, 1, &one, arena, err))
		return false;
	*(struct span *)t->data = bytes;
	return true;
}

static bool nested_tensor(struct seldon_message *m, struct arena *arena, struct error *err)
{
	struct json_array array;
	struct json j;

	json_init(&j, m->nested, arena);
	j.allow_nonfinite = true;
	return json_read_array(&j, 0, &array, err) && json_finish(&j, err) &&
	       seldon_tensor_from_array(m, &array, "data.ndarray", arena, err);
}

static bool message_tensor(struct seldon_message *m, struct arena *arena, struct error *err)
{
	if (m->kind >= SELDON_BINARY)
		return bytes_tensor(m->bytes, &m->tensor, arena, err);
	if (m->kind == SELDON_NOTHING)
		return error_set(err, ERROR_INTERNAL, "it has no payload");
	return m->nested.ptr ? nested_tensor(m, arena, err) : tensor_aligned(&m->tensor, arena, err);
}

/* What the component keeps until `release` is copied. */
static bool tensor_keep(struct tensor *t, struct arena *arena, struct error *err)
{
	struct tensor copy;

	if (!tensor_new(&copy, t->name, t->dtype, t->rank, t->shape, arena, err))
		return false;
	if (t->count > 0)
		memcpy(copy.data, t->data, t->count * dtype_size(t->dtype));
	for (size_t i = 0; t->dtype == DTYPE_BYTES && i < t->count; i++) {
		struct span *text = (struct span *)copy.data + i;

		*text = arena_copy(arena, *text, err);
		if (!text->ptr)
			return false;
	}
	*t = copy;
	return true;
}

static bool answer_take(const struct component *c, struct component_call *call, struct tensor *ret, struct arena *arena,
			struct error *err)
{
	struct seldon_message m = call->answer;

	if (call->status >= 400)
		return error_set(err, call->status < 500 ? ERROR_INVALID : ERROR_INTERNAL, SPAN_FMT,
				 SPAN_ARG(call->raw_answer));
	if (call->answer_is_raw && !seldon_read_json(&m, call->raw_answer, arena, err))
		return answer_refused(err);
	if (!message_tensor(&m, arena, err))
		return answer_refused(err);
	if (call->release && !tensor_keep(&m.tensor, arena, err))
		return false;
	*ret = m.tensor;
	ret->name = c->output_count ? c->outputs[0].name : SPAN("output");
	return true;
}

bool component_predict(struct component *component, const struct tensor *inputs, size_t input_count,
		       struct span request_id, struct tensor *ret, struct arena *arena, struct error *err)
{
	struct seldon_message question = { .is_whole = true };
	struct component_call call = { .method = COMPONENT_PREDICT,
				       .request_id = request_id,
				       .messages = &question,
				       .message_count = 1,
				       .status = 200,
				       .error_code = -1 };
	bool ok;

	if (!question_make(component, inputs, input_count, &question, arena, err) ||
	    !component->call(component, &call, arena, err))
		return false;
	ok = answer_take(component, &call, ret, arena, err);
	if (call.release)
		call.release(call.held);
	return ok;
}

/* ---- the model ---- */

static bool run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		struct arena *arena, struct error *err)
{
	const struct component_model *cm = (const struct component_model *)m;

	(void)wanted;
	return component_predict(cm->component, inputs, 1, (struct span){ 0 }, &results[0], arena, err);
}

static const struct model_format format_component = { .name = "component", .run = run };

/* As told, or one of any shape; the first output is the one that answers. */
static bool specs_make(const struct tensor_spec *told, size_t count, struct span name, int64_t width,
		       struct tensor_spec **ret, size_t *ret_count, struct arena *arena, struct error *err)
{
	*ret_count = count ? count : 1;
	*ret = ARENA_ARRAY(arena, struct tensor_spec, *ret_count, err);
	if (!*ret)
		return false;
	if (count)
		memcpy(*ret, told, count * sizeof(*told));
	else if (width > 0)
		(*ret)[0] = (struct tensor_spec){ name, DTYPE_FP64, 2, { -1, width } };
	else
		(*ret)[0] = (struct tensor_spec){ name, DTYPE_FP64, 1, { -1 } };
	return true;
}

struct model *component_model_new(struct component *c, struct error *err)
{
	struct model *m = model_new(&format_component, sizeof(struct component_model));
	struct model_info *info = &m->info;

	((struct component_model *)m)->component = c;
	*info = (struct model_info){ .kind = c->kind,
				     .platform = c->platform,
				     .any_input = true,
				     .takes_missing = true,
				     .label_output = -1,
				     .feature_names = c->feature_count ? c->feature_names : NULL,
				     .feature_count = c->feature_count,
				     .class_names = c->class_count ? c->class_names : NULL,
				     .class_count = c->class_count };
	if (!specs_make(c->inputs, c->input_count, SPAN("input"), (int64_t)c->feature_count, &info->inputs,
			&info->input_count, &m->arena, err) ||
	    !specs_make(c->outputs, MIN(c->output_count, (size_t)1), SPAN("output"), (int64_t)c->class_count,
			&info->outputs, &info->output_count, &m->arena, err)) {
		model_unref(m);
		return NULL;
	}
	return m;
}
