/* SPDX-License-Identifier: Apache-2.0 */
/* From a result tensor to "response", in JSON and CSV. */
#include "inference/records.h"

#include "inference/seldon_message.h"
#include "wire/csv.h"

/* What of a row is shown: `width` values in `stride`, from the value at `first`. */
struct layout {
	const struct tensor *t;
	size_t rows, stride, first, width;
	bool is_scalar; /* one value a row: no list around it */
	bool is_whole;  /* not one entry a row: the tensor as it is */
};

static struct layout layout_of(const struct served *served, const struct tensor *t, bool is_score)
{
	struct layout l = { .t = t };

	if (t->rank == 0) {
		l.is_whole = true;
		return l;
	}
	l.rows = (size_t)t->shape[0];
	l.stride = l.rows ? t->count / l.rows : 1;
	l.width = l.stride;
	if (is_score && served->info->task == MODEL_TASK_BINARY && t->rank == 2 && t->shape[1] == 2) {
		l.first = 1;
		l.width = 1;
	}
	l.is_scalar = t->rank == 1 || (t->rank == 2 && l.width == 1);
	return l;
}

static void row_write(struct json_writer *w, const struct layout *l, size_t row)
{
	if (l->is_scalar)
		json_write_element(w, l->t, row * l->stride + l->first);
	else
		json_write_nested(w, l->t, 1, row * l->stride);
}

bool records_write_json(struct buffer *out, const struct served *served, const struct tensor *result, bool is_score,
			bool is_list, struct arena *arena, struct error *err)
{
	struct tensor t = *result;
	struct json_writer w = json_writer(out);
	struct layout l;

	if (!seldon_plain(&t, arena, err))
		return false;
	l = layout_of(served, &t, is_score);
	json_open_object(&w);
	json_key(&w, SPAN("success"));
	json_bool(&w, true);
	json_key(&w, SPAN("response"));
	if (l.is_whole || (!is_list && l.rows != 1)) {
		json_write_nested(&w, &t, 0, 0);
	} else if (!is_list) {
		row_write(&w, &l, 0);
	} else {
		json_open_array(&w);
		for (size_t i = 0; i < l.rows; i++)
			row_write(&w, &l, i);
		json_close_array(&w);
	}
	json_close_object(&w);
	return buffer_ok(out, "the answer", err);
}

/* ---- CSV ---- */

static void field_write(struct buffer *out, const struct tensor *t, size_t i)
{
	char *to;

	if (t->dtype == DTYPE_BYTES) {
		csv_write_field(out, ((const struct span *)t->data)[i], ',');
		return;
	}
	to = buffer_reserve(out, NUMBER_TEXT_MAX);
	if (!to)
		return;
	switch (t->dtype) {
	case DTYPE_FP32:
		to = number_print_float(to, ((const float *)t->data)[i]);
		break;
	case DTYPE_FP64:
		to = number_print_double(to, ((const double *)t->data)[i]);
		break;
	case DTYPE_UINT64:
		to = number_print_uint64(to, ((const uint64_t *)t->data)[i]);
		break;
	case DTYPE_INT64:
		to = number_print_int64(to, ((const int64_t *)t->data)[i]);
		break;
	default:
		to = number_print_int64(to, (int64_t)tensor_get(t, i));
	}
	out->len = (size_t)(to - out->ptr);
}

static void header_write(struct buffer *out, const struct model_info *info, const struct layout *l, bool is_score)
{
	bool has_classes = is_score && info->class_names && info->class_count == l->width;

	if (l->is_scalar) {
		buffer_append(out, SPAN("response\n"));
		return;
	}
	for (size_t i = 0; i < l->width; i++) {
		if (i > 0)
			buffer_byte(out, ',');
		if (has_classes)
			csv_write_field(out, info->class_names[i], ',');
		else
			buffer_print(out, "response_%zu", i);
	}
	buffer_byte(out, '\n');
}

bool records_write_csv(struct buffer *out, const struct served *served, const struct tensor *result, bool is_score,
		       struct arena *arena, struct error *err)
{
	struct tensor t = *result;
	struct layout l;

	if (!seldon_plain(&t, arena, err))
		return false;
	l = layout_of(served, &t, is_score);
	if (l.is_whole)
		return error_set(err, ERROR_INVALID, "output '" SPAN_FMT "' is one number, not one a row: ask in JSON",
				 SPAN_ARG(t.name));
	header_write(out, served->info, &l, is_score);
	for (size_t r = 0; r < l.rows && !out->overflow; r++) {
		for (size_t i = 0; i < l.width; i++) {
			if (i > 0)
				buffer_byte(out, ',');
			field_write(out, &t, r * l.stride + l.first + i);
		}
		buffer_byte(out, '\n');
	}
	return buffer_ok(out, "the answer", err);
}
