/* SPDX-License-Identifier: Apache-2.0 */
/* v1_write - results to predictions, outputs, classifications and regressions. */
#include "base/number.h"
#include "inference/v1.h"
#include "wire/base64.h"

static void write_bytes(struct json_writer *w, struct span name, struct span bytes)
{
	if (!span_ends(name, SPAN("_bytes")) && span_is_utf8(bytes)) {
		json_string(w, bytes);
		return;
	}
	json_open_object(w);
	json_key(w, SPAN("b64"));
	buffer_byte(w->out, '"');
	base64_write(w->out, bytes);
	buffer_byte(w->out, '"');
	w->comma = true;
	json_close_object(w);
}

static void write_element(struct json_writer *w, const struct tensor *t, size_t i)
{
	if (t->dtype == DTYPE_BYTES)
		write_bytes(w, t->name, ((const struct span *)t->data)[i]);
	else
		json_bool(w, ((const uint8_t *)t->data)[i] != 0);
}

/* Lists of what json_numbers() does not write; at most TENSOR_RANK_MAX deep. */
static void write_nested(struct json_writer *w, const struct tensor *t, int dim, size_t *at)
{
	if (dim == t->rank) {
		write_element(w, t, (*at)++);
		return;
	}
	json_open_array(w);
	for (int64_t i = 0; i < t->shape[dim]; i++)
		write_nested(w, t, dim + 1, at);
	json_close_array(w);
}

static void write_tensor(struct json_writer *w, const struct tensor *t)
{
	static const enum json_number_type types[DTYPE_COUNT] = {
		[DTYPE_UINT8] = JSON_U8,   [DTYPE_UINT16] = JSON_U16, [DTYPE_UINT32] = JSON_U32,
		[DTYPE_UINT64] = JSON_U64, [DTYPE_INT8] = JSON_I8,    [DTYPE_INT16] = JSON_I16,
		[DTYPE_INT32] = JSON_I32,  [DTYPE_INT64] = JSON_I64,  [DTYPE_FP32] = JSON_F32,
		[DTYPE_FP64] = JSON_F64,
	};
	int64_t one = 1;
	size_t at = 0;

	if (t->dtype == DTYPE_BYTES || t->dtype == DTYPE_BOOL)
		write_nested(w, t, 0, &at);
	else if (t->rank == 0)
		json_numbers(w, types[t->dtype], t->data, 1, &one);
	else
		json_numbers(w, types[t->dtype], t->data, t->rank, t->shape);
}

/* Row `i` of a tensor, as a tensor. */
static struct tensor row_of(const struct tensor *t, size_t i)
{
	struct tensor row = *t;
	size_t rows = (size_t)t->shape[0], width = rows ? t->count / rows : 0;

	row.rank--;
	memmove(row.shape, row.shape + 1, (size_t)row.rank * sizeof(row.shape[0]));
	row.count = width;
	row.data = (char *)t->data + i * width * dtype_size(t->dtype);
	return row;
}

/* json_numbers() writes lists: a single number is written by its own function. */
static void write_row_value(struct json_writer *w, const struct tensor *t)
{
	if (t->rank > 0 || t->dtype == DTYPE_BYTES || t->dtype == DTYPE_BOOL)
		write_tensor(w, t);
	else if (t->dtype == DTYPE_FP32)
		json_float(w, *(const float *)t->data);
	else if (t->dtype == DTYPE_FP64)
		json_double(w, *(const double *)t->data);
	else if (t->dtype == DTYPE_UINT64)
		json_uint64(w, *(const uint64_t *)t->data);
	else if (t->dtype == DTYPE_INT64)
		json_int64(w, *(const int64_t *)t->data);
	else
		json_int64(w, (int64_t)tensor_get(t, 0));
}

static bool write_objects(struct json_writer *w, const struct call *call, struct error *err)
{
	size_t rows = call->results[0].rank ? (size_t)call->results[0].shape[0] : 0;

	for (size_t i = 0; i < call->result_count; i++)
		if (call->results[i].rank == 0 || (size_t)call->results[i].shape[0] != rows)
			return error_set(err, ERROR_INVALID,
					 "the outputs have different numbers of rows: ask in column form ('inputs'), "
					 "or for one by signature_name");
	json_open_array(w);
	for (size_t r = 0; r < rows; r++) {
		json_open_object(w);
		for (size_t i = 0; i < call->result_count; i++) {
			struct tensor row = row_of(&call->results[i], r);

			json_key(w, call->results[i].name);
			write_row_value(w, &row);
		}
		json_close_object(w);
	}
	json_close_array(w);
	return true;
}

static bool write_predictions(struct json_writer *w, const struct v1_call *c, struct error *err)
{
	const struct call *call = &c->call;

	json_key(w, c->is_rows ? SPAN("predictions") : SPAN("outputs"));
	if (call->result_count == 1) {
		write_tensor(w, &call->results[0]);
		return true;
	}
	if (c->is_rows)
		return write_objects(w, call, err);
	json_open_object(w);
	for (size_t i = 0; i < call->result_count; i++) {
		json_key(w, call->results[i].name);
		write_tensor(w, &call->results[i]);
	}
	json_close_object(w);
	return true;
}

static void write_class(struct json_writer *w, const struct model_info *info, size_t index, double score, bool is_float)
{
	char text[NUMBER_TEXT_MAX];

	json_open_array(w);
	if (info->class_names && index < info->class_count)
		json_string(w, info->class_names[index]);
	else
		json_string(w, (struct span){ text, (size_t)(number_print_uint64(text, index) - text) });
	if (is_float)
		json_float(w, (float)score);
	else
		json_double(w, score);
	json_close_array(w);
}

/* One list of [label, score] a row. */
static void write_classes(struct json_writer *w, const struct call *call)
{
	const struct model_info *info = call->served->info;
	const struct tensor *t = &call->results[0];
	size_t rows = t->rank ? (size_t)t->shape[0] : 1, width = rows ? t->count / rows : 0;
	bool is_float = t->dtype != DTYPE_FP64;

	json_key(w, SPAN("results"));
	json_open_array(w);
	for (size_t r = 0; r < rows; r++) {
		json_open_array(w);
		if (width == 1 && info->task == MODEL_TASK_BINARY) {
			double second = tensor_get(t, r);

			write_class(w, info, 0, is_float ? (double)(1 - (float)second) : 1 - second, is_float);
			write_class(w, info, 1, second, is_float);
		} else {
			for (size_t c = 0; c < width; c++)
				write_class(w, info, c, tensor_get(t, r * width + c), is_float);
		}
		json_close_array(w);
	}
	json_close_array(w);
}

static bool write_numbers(struct json_writer *w, const struct call *call, struct error *err)
{
	struct tensor t = call->results[0];
	size_t rows = t.rank ? (size_t)t.shape[0] : 1;

	if (t.count != rows || t.dtype == DTYPE_BYTES)
		return error_set(err, ERROR_INVALID,
				 "model '" SPAN_FMT "' gives several numbers for a row: use :predict",
				 SPAN_ARG(call->served->name));
	t.rank = 1;
	t.shape[0] = (int64_t)t.count;
	json_key(w, SPAN("results"));
	write_tensor(w, &t);
	return true;
}

/* JSON has no name for half floats: they are written as floats. */
static bool widen_halves(struct call *call, struct arena *arena, struct error *err)
{
	for (size_t i = 0; i < call->result_count; i++) {
		struct tensor *t = &call->results[i];

		if ((t->dtype == DTYPE_FP16 || t->dtype == DTYPE_BF16) && !tensor_convert(t, DTYPE_FP32, arena, t, err))
			return false;
	}
	return true;
}

bool v1_write(struct request *req, struct v1_call *c, struct error *err)
{
	struct json_writer w = json_writer(&req->out);
	bool ok = true;

	w.nonfinite = JSON_NONFINITE_TOKEN;
	if (!widen_halves(&c->call, &req->arena, err))
		return false;
	json_open_object(&w);
	if (c->verb == V1_PREDICT)
		ok = write_predictions(&w, c, err);
	else if (c->verb == V1_CLASSIFY)
		write_classes(&w, &c->call);
	else
		ok = write_numbers(&w, &c->call, err);
	json_close_object(&w);
	return ok && buffer_ok(&req->out, "the answer", err);
}
