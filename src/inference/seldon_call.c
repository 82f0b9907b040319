/* SPDX-License-Identifier: Apache-2.0 */
/* From a decoded SeldonMessage to a model and back to a SeldonMessage, for REST and gRPC alike. */
#include "inference/seldon.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/random.h"

/* ---- the component and its ids ---- */

static struct seldon_unit unit;
static pthread_once_t unit_once = PTHREAD_ONCE_INIT;

static void unit_read(void)
{
	unit.name = span_of(getenv("PREDICTIVE_UNIT_ID"));
	unit.image = span_of(getenv("PREDICTIVE_UNIT_IMAGE"));
}

const struct seldon_unit *seldon_unit(void)
{
	pthread_once(&unit_once, unit_read);
	return &unit;
}

/* The header's, else the message's, else a new one; empty: no memory. */
static struct span puid_of(struct request *req, struct span message_puid)
{
	struct error ignored = { 0 };
	struct span puid = request_header(req, SPAN("seldon-puid"));
	char *made;

	if (seldon_puid_is_sane(puid))
		return puid;
	if (seldon_puid_is_sane(message_puid))
		return message_puid;
	made = arena_alloc(&req->arena, RANDOM_UUID_SIZE, &ignored);
	if (!made)
		return (struct span){ 0 };
	random_uuid(made);
	return span_from(made, RANDOM_UUID_SIZE - 1);
}

static void puid_set(struct request *req, struct span puid)
{
	if (puid.len)
		request_set_header(req, SPAN("seldon-puid"), puid);
}

void seldon_set_puid(struct request *req, struct span message_puid)
{
	puid_set(req, puid_of(req, message_puid));
}

/* ---- columns by name ---- */

/* "t:0", "t:1" ... are what Seldon calls columns without names: the order counts. */
static bool names_are_numbers(const struct seldon_message *m)
{
	for (size_t i = 0; i < m->name_count; i++) {
		int64_t number;

		if (!span_starts(m->names[i], SPAN("t:")) || !number_parse_int64(span_skip(m->names[i], 2), &number) ||
		    number != (int64_t)i)
			return false;
	}
	return true;
}

/* order[i] is where column i of the model stands in the message. */
static bool names_match(const struct served *s, const struct seldon_message *m, size_t *order, bool *ret_is_same,
			struct error *err)
{
	*ret_is_same = true;
	for (size_t i = 0; i < s->column_count; i++)
		order[i] = SIZE_MAX;
	for (size_t k = 0; k < m->name_count; k++) {
		size_t i = k;

		if (i >= s->column_count || !span_equal(s->columns[i], m->names[k])) {
			*ret_is_same = false;
			for (i = 0; i < s->column_count && !span_equal(s->columns[i], m->names[k]); i++)
				;
		}
		if (i == s->column_count)
			return error_set(err, ERROR_INVALID,
					 "data.names has '" SPAN_FMT "', which is no column of model '" SPAN_FMT "'",
					 SPAN_ARG(m->names[k]), SPAN_ARG(s->name));
		if (order[i] != SIZE_MAX)
			return error_set(err, ERROR_INVALID, "data.names has '" SPAN_FMT "' twice",
					 SPAN_ARG(m->names[k]));
		order[i] = k;
	}
	for (size_t i = 0; i < s->column_count; i++) {
		if (order[i] == SIZE_MAX)
			return error_set(err, ERROR_INVALID,
					 "data.names lacks column '" SPAN_FMT "' of model '" SPAN_FMT "'",
					 SPAN_ARG(s->columns[i]), SPAN_ARG(s->name));
	}
	return true;
}

static bool columns_permute(struct tensor *t, const size_t *order, struct arena *arena, struct error *err)
{
	size_t rows = t->rank == 2 ? (size_t)t->shape[0] : 1, columns = (size_t)t->shape[t->rank - 1];
	size_t size = dtype_size(t->dtype);
	const char *from = t->data;
	char *to = arena_array_(arena, t->count, size, err);

	if (!to)
		return false;
	for (size_t r = 0; r < rows; r++) {
		for (size_t i = 0; i < columns; i++)
			memcpy(to + (r * columns + i) * size, from + (r * columns + order[i]) * size, size);
	}
	t->data = to;
	return true;
}

/* Scalars of a mixed array go the same way as their text. */
static bool names_apply(const struct served *s, struct seldon_message *m, struct arena *arena, struct error *err)
{
	struct tensor *t = &m->tensor;
	struct json_scalar *scalars;
	bool is_same;
	size_t *order;

	if (m->name_count == 0 || !s->columns || t->rank < 1 || t->rank > 2 || names_are_numbers(m))
		return true;
	if ((size_t)t->shape[t->rank - 1] != m->name_count)
		return error_set(err, ERROR_INVALID, "data.names has %zu names for rows of %lld", m->name_count,
				 (long long)t->shape[t->rank - 1]);
	order = ARENA_ARRAY(arena, size_t, s->column_count, err);
	if (!order || !names_match(s, m, order, &is_same, err))
		return false;
	if (is_same)
		return true;
	if (m->scalars) {
		scalars = ARENA_ARRAY(arena, struct json_scalar, t->count, err);
		if (!scalars)
			return false;
		for (size_t i = 0; i < t->count; i++)
			scalars[i] = m->scalars[i - i % m->name_count + order[i % m->name_count]];
		m->scalars = scalars;
	}
	return columns_permute(t, order, arena, err);
}

/* ---- what the model gets ---- */

static bool cell_text(const struct tensor *text, size_t at, struct tensor *to, size_t row)
{
	((struct span *)to->data)[row] = ((const struct span *)text->data)[at];
	return true;
}

static bool cell_number(const struct json_scalar *s, struct tensor *to, size_t row)
{
	double *value = (double *)to->data + row;

	switch (s->type) {
	case JSON_NUMBER:
		*value = s->number.kind == NUMBER_INT    ? (double)s->number.i
			 : s->number.kind == NUMBER_UINT ? (double)s->number.u
							 : s->number.d;
		return true;
	case JSON_BOOL:
		*value = s->boolean;
		return true;
	case JSON_NULL:
		*value = (double)NAN;
		return true;
	default:
		return false;
	}
}

/* Rows of text and numbers for a model with one input a column: each column gets its own type back. */
static bool columns_split(const struct served *s, struct seldon_work *work, struct arena *arena, struct error *err)
{
	const struct seldon_message *m = &work->message;
	size_t width = s->info->input_count, rows = m->tensor.count / width;
	struct tensor *inputs = ARENA_ARRAY(arena, struct tensor, width, err);

	if (!inputs)
		return false;
	for (size_t i = 0; i < width; i++) {
		const struct tensor_spec *spec = &s->info->inputs[i];
		bool is_text = spec->dtype == DTYPE_BYTES;

		if (!tensor_new(&inputs[i], spec->name, is_text ? DTYPE_BYTES : DTYPE_FP64, 2,
				(int64_t[2]){ (int64_t)rows, 1 }, arena, err))
			return false;
		for (size_t r = 0; r < rows; r++) {
			size_t at = r * width + i;

			if (!(is_text ? cell_text(&m->tensor, at, &inputs[i], r)
				      : cell_number(&m->scalars[at], &inputs[i], r)))
				return error_set(err, ERROR_INVALID,
						 "row %zu: column '" SPAN_FMT "' takes %s numbers, not text", r,
						 SPAN_ARG(spec->name), dtype_name(spec->dtype));
		}
	}
	work->call.inputs = inputs;
	work->call.input_count = width;
	return true;
}

static bool is_data(const struct seldon_message *m)
{
	return m->kind >= SELDON_TENSOR && m->kind <= SELDON_TFTENSOR;
}

/* binData, strData, jsonData and customData: one element of bytes. */
static bool bytes_bind(struct seldon_work *work, struct arena *arena, struct error *err)
{
	struct span *element = ARENA_NEW(arena, struct span, err);

	if (!element)
		return false;
	*element = work->message.bytes;
	work->message.tensor =
	    (struct tensor){ .dtype = DTYPE_BYTES, .rank = 1, .shape = { 1 }, .count = 1, .data = element };
	return true;
}

bool seldon_bind(const struct served *served, struct seldon_work *work, struct arena *arena, struct error *err)
{
	struct seldon_message *m = &work->message;
	bool is_table = is_data(m);

	work->call.served = served;
	if (m->kind == SELDON_NOTHING)
		return error_set(err, ERROR_INVALID,
				 "Invalid request data type: the message has none of data, jsonData, strData, binData");
	if (m->kind == SELDON_JSON && !served->info->any_input) {
		if (!(m->is_protobuf ? seldon_protobuf_tensor(m, arena, err) : seldon_json_tensor(m, arena, err)))
			return false;
		is_table = true;
	}
	if (!is_table && !bytes_bind(work, arena, err))
		return false;
	if (is_table && m->has_null && !served->info->takes_missing)
		return error_set(err, ERROR_INVALID,
				 "data has a null, and model '" SPAN_FMT "' takes no missing values",
				 SPAN_ARG(served->name));
	if (!tensor_aligned(&m->tensor, arena, err) || (is_table && !names_apply(served, m, arena, err)))
		return false;
	if (m->scalars && served->info->input_count > 1 && m->tensor.rank == 2 &&
	    (size_t)m->tensor.shape[1] == served->info->input_count)
		return columns_split(served, work, arena, err);
	work->call.inputs = &m->tensor;
	work->call.input_count = 1;
	return true;
}

/* ---- asking and answering ---- */

static const char *payload_name(const struct seldon_message *m)
{
	static const char *const names[] = { [SELDON_BINARY] = "binData",
					     [SELDON_TEXT] = "strData",
					     [SELDON_JSON] = "jsonData",
					     [SELDON_CUSTOM] = "customData" };

	return m->kind >= SELDON_BINARY ? names[m->kind] : "data";
}

static void answer_send(struct request *req, struct seldon_work *work, struct seldon_message *answer)
{
	const struct inference_edge *edge = inference_edge(req->context);
	struct span puid = puid_of(req, edge && !answer->puid.len ? work->message.puid : answer->puid);
	struct seldon_unit own = { 0 };
	struct error err = { 0 };

	if (edge) {
		own = (struct seldon_unit){ edge->node, edge->image, true, edge->said };
		if (!answer->puid.len)
			answer->puid = puid;
	}
	if (!seldon_write(&req->out, answer, edge ? &own : seldon_unit(), &req->arena, &err)) {
		request_fail(req, &err);
		return;
	}
	puid_set(req, puid);
	work->send(req);
}

static void predict_run(struct request *req, struct call *call)
{
	struct seldon_work *work = CONTAINER_OF(call, struct seldon_work, call);
	const struct model_info *info = call->served->info;
	struct seldon_message answer;
	struct error err = { 0 };
	struct span score = info->outputs[info->score_output].name;

	call->wanted = &score;
	call->wanted_count = 1;
	if (!call_run(req, call, &err)) {
		if (err.code == ERROR_INVALID)
			error_wrap(&err, "%s", payload_name(&work->message));
		request_fail(req, &err);
		return;
	}
	if (!seldon_answer(&answer, &work->message, &call->results[0], info->class_names, info->class_count,
			   &req->arena, &err)) {
		request_fail(req, &err);
		return;
	}
	answer_send(req, work, &answer);
}

void seldon_predict(struct request *req, const struct served *served, struct seldon_work *work)
{
	struct error err = { 0 };

	if (!seldon_bind(served, work, &req->arena, &err)) {
		request_fail(req, &err);
		return;
	}
	if (call_is_long(req, &work->call))
		call_offload(req, &work->call, predict_run);
	else
		predict_run(req, &work->call);
}

void seldon_identity(struct request *req, struct seldon_work *work)
{
	struct seldon_message answer = work->message;
	struct error err = { 0 };

	if (answer.kind == SELDON_NOTHING) {
		error_set(&err, ERROR_INVALID,
			  "Invalid request data type: the message has none of data, jsonData, strData, binData");
		request_fail(req, &err);
		return;
	}
	if (is_data(&answer) &&
	    !seldon_answer(&answer, &work->message, &work->message.tensor, NULL, 0, &req->arena, &err)) {
		request_fail(req, &err);
		return;
	}
	answer_send(req, work, &answer);
}

bool seldon_reward(const struct served *served, const struct seldon_feedback *feedback, struct error *err)
{
	if (!isfinite(feedback->reward))
		return error_set(err, ERROR_INVALID,
				 "Invalid JSON: Failed to parse reward field: expected a finite number");
	metric_add(served->feedback, 1);
	if (feedback->reward != 0)
		metric_add_double(served->reward, feedback->reward);
	return true;
}

static void fail_with(struct request *req, const char *text)
{
	struct error err = { 0 };

	error_set(&err, ERROR_INVALID, "%s", text);
	request_fail(req, &err);
}

void seldon_route_undefined(struct request *req)
{
	fail_with(req, "Route not defined");
}

void seldon_aggregate_undefined(struct request *req)
{
	fail_with(req, "Aggregate not defined");
}
