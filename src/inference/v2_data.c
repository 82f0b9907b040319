/* SPDX-License-Identifier: Apache-2.0 */
#include "inference/v2.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/number.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw tensors are passed through as they are");

bool v2_grow(void *array_pointer, size_t count, size_t *cap, size_t size, struct arena *arena, struct error *err)
{
	void **array = array_pointer;
	size_t more = *cap ? *cap * 2 : 4;
	void *grown;

	if (LIKELY(count < *cap))
		return true;
	if (count >= V2_INPUTS_MAX)
		return error_set(err, ERROR_INVALID, "more than %d inputs or outputs in one request", V2_INPUTS_MAX);
	grown = arena_array_(arena, more, size, err);
	if (!grown)
		return false;
	if (count)
		memcpy(grown, *array, count * size);
	*array = grown;
	*cap = more;
	return true;
}

struct span v2_id(const struct call *call, char text[RANDOM_UUID_SIZE])
{
	if (call->id.len)
		return call->id;
	random_uuid(text);
	return (struct span){ text, RANDOM_UUID_SIZE - 1 };
}

/* ---- raw tensors ---- */

static bool bytes_from_raw(struct tensor *t, struct span bytes, struct arena *arena, struct error *err)
{
	struct span *items;

	/* Each element has at least its length: a count from outside costs no memory that the message did not. */
	if (t->count > bytes.len / 4)
		return error_set(err, ERROR_INVALID,
				 "input '" SPAN_FMT "': expected %zu BYTES elements, came %zu bytes in all",
				 SPAN_ARG(t->name), t->count, bytes.len);
	items = ARENA_ARRAY(arena, struct span, t->count, err);
	if (!items)
		return false;
	for (size_t i = 0; i < t->count; i++) {
		uint32_t len;

		if (bytes.len < sizeof(len))
			return error_set(err, ERROR_INVALID,
					 "input '" SPAN_FMT "': expected %zu BYTES elements, came %zu",
					 SPAN_ARG(t->name), t->count, i);
		memcpy(&len, bytes.ptr, sizeof(len));
		bytes = span_skip(bytes, sizeof(len));
		if (len > bytes.len)
			return error_set(err, ERROR_INVALID,
					 "input '" SPAN_FMT "': BYTES element %zu says %lu bytes, %zu are left",
					 SPAN_ARG(t->name), i, (unsigned long)len, bytes.len);
		items[i] = (struct span){ bytes.ptr, len };
		bytes = span_skip(bytes, len);
	}
	if (bytes.len)
		return error_set(err, ERROR_INVALID,
				 "input '" SPAN_FMT "': %zu bytes are left behind its %zu BYTES elements",
				 SPAN_ARG(t->name), bytes.len, t->count);
	t->data = items;
	return true;
}

static bool bools_are_good(const struct tensor *t, struct error *err)
{
	const uint8_t *values = t->data;
	uint8_t all = 0;

	for (size_t i = 0; i < t->count; i++)
		all |= values[i];
	if (all > 1)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': a BOOL byte is neither 0 nor 1",
				 SPAN_ARG(t->name));
	return true;
}

bool v2_from_raw(struct tensor *t, struct span bytes, struct arena *arena, struct error *err)
{
	char shape[TENSOR_SHAPE_TEXT];
	size_t size;

	if (t->dtype == DTYPE_BYTES)
		return bytes_from_raw(t, bytes, arena, err);
	if (!checked_mul(t->count, dtype_size(t->dtype), &size) || size != bytes.len)
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': %s with shape %s is %zu bytes, came %zu",
				 SPAN_ARG(t->name), dtype_name(t->dtype), tensor_shape_text(t->rank, t->shape, shape),
				 size, bytes.len);
	t->data = (void *)(uintptr_t)bytes.ptr;
	return t->dtype != DTYPE_BOOL || bools_are_good(t, err);
}

size_t v2_raw_size(const struct tensor *t)
{
	const struct span *items = t->data;
	size_t size = 0;

	if (t->dtype != DTYPE_BYTES)
		return t->count * dtype_size(t->dtype);
	for (size_t i = 0; i < t->count; i++)
		size += 4 + items[i].len;
	return size;
}

void v2_write_raw(struct buffer *out, const struct tensor *t)
{
	const struct span *items = t->data;

	if (t->dtype != DTYPE_BYTES) {
		buffer_append(out, span_from(t->data, t->count * dtype_size(t->dtype)));
		return;
	}
	for (size_t i = 0; i < t->count; i++) {
		uint32_t len = (uint32_t)MIN(items[i].len, (size_t)UINT32_MAX);

		buffer_append(out, span_from(&len, sizeof(len)));
		buffer_append(out, span_first(items[i], len));
	}
}

/* ---- classification ---- */

struct ranked {
	double value;
	size_t index;
};

/* Best first; equal ones by their index; NaN last. */
static int by_value(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	if (a->value > b->value || (isnan(b->value) && !isnan(a->value)))
		return -1;
	if (a->value < b->value || (isnan(a->value) && !isnan(b->value)))
		return 1;
	return a->index < b->index ? -1 : 1;
}

static struct span ranked_text(const struct served *s, enum dtype type, struct ranked r, struct arena *arena,
			       struct error *err)
{
	char number[NUMBER_TEXT_MAX];
	char *end =
	    type == DTYPE_FP64 ? number_print_double(number, r.value) : number_print_float(number, (float)r.value);
	struct span value = { number, (size_t)(end - number) };

	if (s->info->class_names && r.index < s->info->class_count)
		return arena_print(arena, err, SPAN_FMT ":%zu:%.*s", SPAN_ARG(value), r.index,
				   (int)MIN(s->info->class_names[r.index].len, (size_t)4096),
				   s->info->class_names[r.index].ptr);
	return arena_print(arena, err, SPAN_FMT ":%zu", SPAN_ARG(value), r.index);
}

bool v2_classify(const struct served *s, const struct tensor *scores, uint32_t top, struct arena *arena,
		 struct tensor *ret, struct error *err)
{
	size_t rows = scores->rank ? (size_t)scores->shape[0] : 1;
	size_t width = rows ? scores->count / rows : 0;
	/* One probability a row is the second class's (model.h). */
	bool is_pair = s->info->task == MODEL_TASK_BINARY && width == 1;
	size_t classes = is_pair ? 2 : width;
	struct ranked *ranked = ARENA_ARRAY(arena, struct ranked, classes, err);
	struct span *texts;

	if (!ranked)
		return false;
	if (scores->dtype == DTYPE_BYTES)
		return error_set(err, ERROR_INVALID, "output '" SPAN_FMT "' is BYTES: classification needs numbers",
				 SPAN_ARG(scores->name));
	top = (uint32_t)MIN((size_t)top, classes);
	if (!tensor_new(ret, scores->name, DTYPE_BYTES, 2, (int64_t[2]){ (int64_t)rows, top }, arena, err))
		return false;
	texts = ret->data;
	for (size_t r = 0; r < rows; r++) {
		for (size_t c = 0; c < width; c++)
			ranked[c] = (struct ranked){ tensor_get(scores, r * width + c), c };
		if (is_pair) {
			ranked[1] = (struct ranked){ ranked[0].value, 1 };
			ranked[0].value = 1 - ranked[0].value;
		}
		qsort(ranked, classes, sizeof(*ranked), by_value);
		for (size_t k = 0; k < top; k++) {
			texts[r * top + k] = ranked_text(s, scores->dtype, ranked[k], arena, err);
			if (!texts[r * top + k].ptr)
				return false;
		}
	}
	return true;
}

bool v2_classify_results(struct v2_infer *infer, struct arena *arena, struct error *err)
{
	struct call *call = &infer->call;

	for (size_t i = 0; i < call->wanted_count; i++) {
		struct tensor scores = call->results[i];

		if (infer->outputs[i].classes &&
		    !v2_classify(call->served, &scores, infer->outputs[i].classes, arena, &call->results[i], err))
			return false;
	}
	return true;
}
