/* SPDX-License-Identifier: Apache-2.0 */
/* call - from the tensors a caller sent to the tensors a model takes, and back. */
#include "inference/component.h"
#include "inference/inference.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* ---- what calls cost ---- */

enum {
	COST_BUCKETS = 32, /* by the power of two of the rows */
	COST_SAMPLE = 16,  /* short calls are taken into the mean once in so many, long ones always */
	LAST_SLOTS = 16,
};
#define COST_LONG_NS (50 * NS_PER_US)

/*
 * Shared by all threads. The means are read on every call and written seldom, so that their line stays in every core's
 * cache; a lost update does no harm. The time of the last call is written always, by each thread to a line of its own
 * (mostly).
 */
struct served_load {
	_Atomic double row_ns[COST_BUCKETS]; /* a moving mean of time / rows; 0: not yet known */
	struct {
		_Alignas(64) _Atomic int64_t ns;
	} last[LAST_SLOTS];
};

static _Atomic unsigned slots_given;
static _Thread_local unsigned slot, calls; /* slot + 1; 0 when not yet given */

struct served_load *served_load_new(void)
{
	size_t size = (sizeof(struct served_load) + 63) & ~(size_t)63;
	struct served_load *load = aligned_alloc(64, size);

	ASSERT(load);
	memset(load, 0, size);
	return load;
}

static unsigned cost_bucket(size_t rows)
{
	unsigned bucket = 63u - (unsigned)__builtin_clzll((unsigned long long)rows | 1);

	return MIN(bucket, (unsigned)COST_BUCKETS - 1);
}

static double model_says_ns(const struct model_info *info, size_t rows)
{
	return info->cost_ns_call + info->cost_ns_row * (double)(rows ? rows - 1 : 0);
}

static void cost_learn(const struct served *s, size_t rows, int64_t start_ns, int64_t ns)
{
	struct served_load *load = s->load;
	_Atomic double *mean = &load->row_ns[cost_bucket(rows)];
	double old = atomic_load_explicit(mean, memory_order_relaxed), count = (double)(rows ? rows : 1);
	double sample = (double)(ns > 0 ? ns : 1) / count;

	if (UNLIKELY(!slot))
		slot = atomic_fetch_add_explicit(&slots_given, 1, memory_order_relaxed) % LAST_SLOTS + 1;
	atomic_store_explicit(&load->last[slot - 1].ns, start_ns, memory_order_relaxed);
	if (old != 0 && MAX(sample, old) * count < COST_LONG_NS && ++calls % COST_SAMPLE != 0)
		return;
	if (old == 0)
		old = model_says_ns(s->info, rows) / count;
	/* One call that was interrupted, or the first with its page faults, must not send the next thousand to the
	 * compute threads: up by small steps, down by large ones. */
	if (old > 0)
		sample = sample < old ? (old + sample) / 2 : old + (MIN(sample, 4 * old) - old) / 8;
	atomic_store_explicit(mean, sample, memory_order_relaxed);
}

static bool is_matrix_of_columns(const struct call *call);
static bool dims_fit(const struct tensor_spec *spec, int spec_from, const int64_t *shape, int count);

/* [F] for [-1,F], as shape_fit() and split_matrix() take it. */
static bool is_one_row(const struct call *call)
{
	const struct model_info *info = call->served->info;
	const struct tensor_spec *spec = &info->inputs[0];
	const struct tensor *t = call->inputs;

	if (info->any_input || call->input_count != 1)
		return false;
	if (info->input_count > 1)
		return t->rank == 1 && is_matrix_of_columns(call);
	return t->rank == spec->rank - 1 && !(spec->shape[t->rank] == 1 && dims_fit(spec, 0, t->shape, t->rank));
}

size_t call_rows(const struct call *call)
{
	const struct tensor *first = call->inputs;

	if (call->input_count == 0 || first->rank == 0 || is_one_row(call))
		return 1;
	return (size_t)first->shape[0];
}

int64_t call_estimate_ns(const struct call *call)
{
	const struct model_info *info = call->served->info;
	const struct served_load *load = call->served->load;
	size_t rows = call_rows(call);
	unsigned bucket = cost_bucket(rows);
	double each = atomic_load_explicit(&load->row_ns[bucket], memory_order_relaxed);

	if (each == 0 && (info->cost_ns_call > 0 || info->cost_ns_row > 0)) {
		double ns = model_says_ns(info, rows);

		return ns < 1e18 ? (int64_t)ns : INT64_MAX;
	}
	/* No word from the model: as the nearest smaller, then larger, batch that was measured. */
	for (unsigned i = bucket; each == 0 && i-- > 0;)
		each = atomic_load_explicit(&load->row_ns[i], memory_order_relaxed);
	for (unsigned i = bucket + 1; each == 0 && i < COST_BUCKETS; i++)
		each = atomic_load_explicit(&load->row_ns[i], memory_order_relaxed);
	each *= (double)rows;
	return each < 1e18 ? (int64_t)each : INT64_MAX;
}

bool call_is_long(const struct request *req, const struct call *call)
{
	/* What somebody's code takes is not known, and it may block. */
	return (call->served->component || call_estimate_ns(call) > REQUEST_INLINE_NS) && !request_is_offloaded(req);
}

struct served_totals served_totals(const struct served *s)
{
	struct served_totals t = {
		.successes = metric_value(s->inferences),
		.failures = metric_value(s->failures),
		.rows = metric_value(s->rows),
		.model_ns = metric_sum_ns(s->seconds),
	};
	int64_t last = 0;

	for (size_t i = 0; i < LAST_SLOTS; i++)
		last = MAX(last, atomic_load_explicit(&s->load->last[i].ns, memory_order_relaxed));
	if (last)
		t.last_ns = clock_wall_ns() - (clock_monotonic_ns() - last);
	return t;
}

/* ---- names ---- */

static void add_name(char *out, size_t *len, size_t i, struct span name)
{
	int n;

	if (*len >= NAMES_TEXT_SIZE - 8)
		return;
	if (i >= 12)
		n = i == 12 ? snprintf(out + *len, NAMES_TEXT_SIZE - *len, ", ...") : 0;
	else
		n = snprintf(out + *len, NAMES_TEXT_SIZE - *len, "%s" SPAN_FMT, i ? ", " : "", SPAN_ARG(name));
	*len = MIN(*len + (size_t)MAX(n, 0), (size_t)NAMES_TEXT_SIZE - 1);
}

const char *names_text(const struct tensor_spec *specs, size_t count, char *out)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count && i <= 12; i++)
		add_name(out, &len, i, specs[i].name);
	return out;
}

static const char *columns_text(const struct span *names, size_t count, char *out)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count && i <= 12; i++)
		add_name(out, &len, i, names[i]);
	return out;
}

static bool is_classifier(const struct model_info *info)
{
	return info->task == MODEL_TASK_BINARY || info->task == MODEL_TASK_MULTICLASS;
}

bool output_find(const struct served *s, struct span name, size_t *ret, struct error *err)
{
	const struct model_info *info = s->info;
	char names[NAMES_TEXT_SIZE];

	for (size_t i = 0; i < info->output_count; i++) {
		if (span_equal(info->outputs[i].name, name)) {
			*ret = i;
			return true;
		}
	}
	if (span_equal(name, SPAN("predict"))) {
		*ret = (size_t)(info->label_output >= 0 ? info->label_output : info->score_output);
		return true;
	}
	if (span_equal(name, SPAN("predict_proba")) && is_classifier(info)) {
		*ret = (size_t)info->score_output;
		return true;
	}
	return error_set(err, ERROR_INVALID, "model '" SPAN_FMT "' has no output '" SPAN_FMT "' (its outputs: %s)",
			 SPAN_ARG(s->name), SPAN_ARG(name), names_text(info->outputs, info->output_count, names));
}

/* ---- one input ---- */

static bool dims_fit(const struct tensor_spec *spec, int spec_from, const int64_t *shape, int count)
{
	for (int i = 0; i < count; i++)
		if (spec->shape[spec_from + i] >= 0 && spec->shape[spec_from + i] != shape[i])
			return false;
	return true;
}

static bool shape_refused(const struct tensor_spec *spec, const struct tensor *t, struct error *err)
{
	char want[TENSOR_SHAPE_TEXT], came[TENSOR_SHAPE_TEXT];

	return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': expected %s with shape %s, came %s with shape %s",
			 SPAN_ARG(spec->name), dtype_name(spec->dtype),
			 tensor_shape_text(spec->rank, spec->shape, want), dtype_name(t->dtype),
			 tensor_shape_text(t->rank, t->shape, came));
}

/*
 * Makes the shape the spec's, where the same elements in the same order can have it: one row without its batch
 * dimension
 * ([F] for [-1,F]), a column without its last ([n] for [-1,1]) or with one too many ([n,1] for [-1]).
 */
static bool shape_fit(const struct tensor_spec *spec, struct tensor *t, struct error *err)
{
	if (LIKELY(t->rank == spec->rank)) {
		if (LIKELY(dims_fit(spec, 0, t->shape, t->rank)))
			return true;
		return shape_refused(spec, t, err);
	}
	if (t->rank == spec->rank - 1) {
		if (spec->shape[spec->rank - 1] == 1 && dims_fit(spec, 0, t->shape, t->rank)) {
			t->shape[t->rank++] = 1;
			return true;
		}
		if (spec->shape[0] <= 1 && spec->shape[0] != 0 && dims_fit(spec, 1, t->shape, t->rank)) {
			memmove(t->shape + 1, t->shape, (size_t)t->rank * sizeof(t->shape[0]));
			t->shape[0] = 1;
			t->rank++;
			return true;
		}
	}
	if (t->rank == spec->rank + 1 && t->shape[t->rank - 1] == 1 && dims_fit(spec, 0, t->shape, spec->rank)) {
		t->rank--;
		return true;
	}
	return shape_refused(spec, t, err);
}

static bool dtype_fit(const struct tensor_spec *spec, struct tensor *t, struct arena *arena, struct error *err)
{
	if (t->dtype == spec->dtype)
		return tensor_aligned(t, arena, err);
	if ((t->dtype == DTYPE_BYTES) != (spec->dtype == DTYPE_BYTES))
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': expected %s (%s), came %s",
				 SPAN_ARG(spec->name), dtype_name(spec->dtype),
				 spec->dtype == DTYPE_BYTES ? "strings" : "numbers", dtype_name(t->dtype));
	return tensor_convert(t, spec->dtype, arena, t, err);
}

static bool input_fit(const struct tensor_spec *spec, const struct tensor *from, struct tensor *to, struct arena *arena,
		      struct error *err)
{
	*to = *from;
	return shape_fit(spec, to, err) && dtype_fit(spec, to, arena, err);
}

/* ---- one tensor a column <-> one matrix ---- */

/* Copies `count` elements of `size` bytes, each `from_step` and `to_step` elements apart. */
static void copy_strided(void *to, size_t to_step, const void *from, size_t from_step, size_t size, size_t count)
{
	char *out = to;
	const char *in = from;

	switch (size) {
	case 8:
		for (size_t i = 0; i < count; i++)
			memcpy(out + i * to_step * 8, in + i * from_step * 8, 8);
		break;
	case 4:
		for (size_t i = 0; i < count; i++)
			memcpy(out + i * to_step * 4, in + i * from_step * 4, 4);
		break;
	default:
		for (size_t i = 0; i < count; i++)
			memcpy(out + i * to_step * size, in + i * from_step * size, size);
	}
}

/* The columns a tensor [n], [n,1] or [n,k] brings. */
static size_t tensor_columns(const struct tensor *t)
{
	return t->rank == 2 ? (size_t)t->shape[1] : 1;
}

struct gather {
	const struct call *call;
	const struct tensor_spec *spec;
	struct tensor *matrix;
	size_t rows, width;
};

static bool gather_put(const struct gather *g, const struct tensor *t, size_t column, struct arena *arena,
		       struct error *err)
{
	size_t size = dtype_size(g->spec->dtype), width = tensor_columns(t);
	struct tensor same = *t;

	if (t->rank < 1 || t->rank > 2 || (size_t)t->shape[0] != g->rows) {
		char came[TENSOR_SHAPE_TEXT];

		return error_set(err, ERROR_INVALID,
				 "input '" SPAN_FMT "': expected one value for each of %zu rows, came shape %s",
				 SPAN_ARG(t->name), g->rows, tensor_shape_text(t->rank, t->shape, came));
	}
	if ((t->dtype == DTYPE_BYTES) != (g->spec->dtype == DTYPE_BYTES))
		return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': expected %s, came %s", SPAN_ARG(t->name),
				 dtype_name(g->spec->dtype), dtype_name(t->dtype));
	if (!tensor_convert(t, g->spec->dtype, arena, &same, err))
		return false;
	for (size_t k = 0; k < width; k++)
		copy_strided((char *)g->matrix->data + (column + k) * size, g->width,
			     (const char *)same.data + k * size, width, size, g->rows);
	return true;
}

static bool missing_columns(const struct call *call, const uint8_t *seen_columns, struct error *err)
{
	const struct served *s = call->served;
	char expected[NAMES_TEXT_SIZE], missing[NAMES_TEXT_SIZE] = "";
	size_t len = 0, n = 0;

	for (size_t i = 0; i < s->column_count; i++)
		if (!seen_columns[i])
			add_name(missing, &len, n++, s->columns[i]);
	return error_set(err, ERROR_INVALID, "missing inputs: %s (model '" SPAN_FMT "' takes %s)", missing,
			 SPAN_ARG(s->name), columns_text(s->columns, s->column_count, expected));
}

static bool column_find(const struct served *s, struct span name, size_t hint, size_t *ret)
{
	if (hint < s->column_count && span_equal(s->columns[hint], name)) {
		*ret = hint;
		return true;
	}
	for (size_t i = 0; i < s->column_count; i++) {
		if (span_equal(s->columns[i], name)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool gather_named(const struct gather *g, struct arena *arena, struct error *err)
{
	const struct call *call = g->call;
	const struct served *s = call->served;
	uint8_t *seen_columns = arena_calloc(arena, s->column_count, 1, err);
	char names[NAMES_TEXT_SIZE];
	size_t found = 0, column;

	if (!seen_columns)
		return false;
	for (size_t i = 0; i < call->input_count; i++) {
		const struct tensor *t = &call->inputs[i];

		if (!column_find(s, t->name, i, &column))
			return error_set(
			    err, ERROR_INVALID, "model '" SPAN_FMT "' has no input '" SPAN_FMT "' (it takes %s)",
			    SPAN_ARG(s->name), SPAN_ARG(t->name), columns_text(s->columns, s->column_count, names));
		if (seen_columns[column])
			return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "' came twice", SPAN_ARG(t->name));
		if (tensor_columns(t) != 1)
			return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "': expected one column, came %zu",
					 SPAN_ARG(t->name), tensor_columns(t));
		seen_columns[column] = 1;
		found++;
		if (!gather_put(g, t, column, arena, err))
			return false;
	}
	if (found == s->column_count)
		return true;
	if (!s->info->takes_missing || !dtype_is_float(g->spec->dtype))
		return missing_columns(call, seen_columns, err);
	for (column = 0; column < s->column_count; column++) {
		for (size_t r = 0; r < g->rows && !seen_columns[column]; r++) {
			if (g->spec->dtype == DTYPE_FP64)
				((double *)g->matrix->data)[r * g->width + column] = (double)NAN;
			else if (g->spec->dtype == DTYPE_FP32)
				((float *)g->matrix->data)[r * g->width + column] = NAN;
			else
				((uint16_t *)g->matrix->data)[r * g->width + column] =
				    0x7fff; /* a NaN of both FP16 and BF16 */
		}
	}
	return true;
}

/* Names are not known: the order sent. */
static bool gather_in_order(const struct gather *g, struct arena *arena, struct error *err)
{
	const struct call *call = g->call;
	size_t total = 0;

	for (size_t i = 0; i < call->input_count; i++) {
		size_t width = tensor_columns(&call->inputs[i]);

		if (width > g->width - total)
			return error_set(err, ERROR_INVALID, "expected %zu columns in all, came more", g->width);
		if (!gather_put(g, &call->inputs[i], total, arena, err))
			return false;
		total += width;
	}
	if (total != g->width)
		return error_set(err, ERROR_INVALID,
				 "expected %zu columns in all (or one matrix '" SPAN_FMT "'), came %zu", g->width,
				 SPAN_ARG(g->spec->name), total);
	return true;
}

static bool gather_columns(struct request *req, const struct call *call, struct tensor *to, struct error *err)
{
	const struct served *s = call->served;
	const struct tensor_spec *spec = &s->info->inputs[0];
	struct gather g = { .call = call, .spec = spec, .matrix = to, .rows = call_rows(call) };
	bool has_names = s->columns != NULL;

	if (spec->rank != 2 || (spec->shape[1] < 0 && !has_names) || call->inputs[0].rank == 0)
		return error_set(err, ERROR_INVALID, "model '" SPAN_FMT "' takes one input, '" SPAN_FMT "'; came %zu",
				 SPAN_ARG(s->name), SPAN_ARG(spec->name), call->input_count);
	g.width = has_names ? s->column_count : (size_t)spec->shape[1];
	g.rows = (size_t)call->inputs[0].shape[0];
	if (!tensor_new(to, spec->name, spec->dtype, 2, (int64_t[2]){ (int64_t)g.rows, (int64_t)g.width }, &req->arena,
			err))
		return false;
	return has_names ? gather_named(&g, &req->arena, err) : gather_in_order(&g, &req->arena, err);
}

/* True when the model has one input a column, and the only tensor sent holds them all. */
static bool is_matrix_of_columns(const struct call *call)
{
	const struct model_info *info = call->served->info;
	const struct tensor *t = call->inputs;
	int64_t width = (int64_t)info->input_count;

	if (call->input_count != 1 || info->input_count < 2)
		return false;
	if (!(t->rank == 2 && t->shape[1] == width) && !(t->rank == 1 && t->shape[0] == width))
		return false;
	for (size_t i = 0; i < info->input_count; i++) {
		const struct tensor_spec *spec = &info->inputs[i];

		if (t->rank == 1 && span_equal(spec->name, t->name))
			return false; /* one of the columns, and the others forgotten */
		if (spec->rank != 1 && !(spec->rank == 2 && spec->shape[1] == 1))
			return false;
	}
	return true;
}

static bool split_matrix(struct request *req, const struct call *call, struct tensor *bound, struct error *err)
{
	const struct model_info *info = call->served->info;
	const struct tensor *t = call->inputs;
	size_t width = info->input_count, rows = t->rank == 2 ? (size_t)t->shape[0] : 1, size = dtype_size(t->dtype);

	for (size_t i = 0; i < width; i++) {
		struct tensor column;

		if (!tensor_new(&column, info->inputs[i].name, t->dtype, 2, (int64_t[2]){ (int64_t)rows, 1 },
				&req->arena, err))
			return false;
		copy_strided(column.data, 1, (const char *)t->data + i * size, width, size, rows);
		if (!input_fit(&info->inputs[i], &column, &bound[i], &req->arena, err))
			return false;
	}
	return true;
}

/* ---- all inputs ---- */

static bool unbound_input(const struct call *call, struct span missing, struct error *err)
{
	const struct model_info *info = call->served->info;
	char names[NAMES_TEXT_SIZE];

	names_text(info->inputs, info->input_count, names);
	for (size_t i = 0; i < call->input_count; i++) {
		size_t k = 0;

		while (k < info->input_count && !span_equal(info->inputs[k].name, call->inputs[i].name))
			k++;
		if (k == info->input_count)
			return error_set(err, ERROR_INVALID,
					 "model '" SPAN_FMT "' has no input '" SPAN_FMT "' (its inputs: %s)",
					 SPAN_ARG(call->served->name), SPAN_ARG(call->inputs[i].name), names);
	}
	if (!missing.ptr)
		return error_set(err, ERROR_INVALID, "an input came twice (inputs of model '" SPAN_FMT "': %s)",
				 SPAN_ARG(call->served->name), names);
	return error_set(err, ERROR_INVALID, "input '" SPAN_FMT "' is missing (inputs of model '" SPAN_FMT "': %s)",
			 SPAN_ARG(missing), SPAN_ARG(call->served->name), names);
}

static bool bind_by_name(struct request *req, const struct call *call, struct tensor *bound, struct error *err)
{
	const struct model_info *info = call->served->info;
	int64_t rows = -1;

	for (size_t i = 0; i < info->input_count; i++) {
		const struct tensor_spec *spec = &info->inputs[i];
		const struct tensor *from = NULL;

		if (i < call->input_count && span_equal(call->inputs[i].name, spec->name))
			from = &call->inputs[i];
		for (size_t k = 0; k < call->input_count && !from; k++)
			if (span_equal(call->inputs[k].name, spec->name))
				from = &call->inputs[k];
		if (!from)
			return unbound_input(call, spec->name, err);
		if (!input_fit(spec, from, &bound[i], &req->arena, err))
			return false;
		if (spec->rank > 0 && spec->shape[0] < 0) {
			if (rows >= 0 && bound[i].shape[0] != rows)
				return error_set(err, ERROR_INVALID,
						 "input '" SPAN_FMT "' has %lld rows, the others have %lld",
						 SPAN_ARG(spec->name), (long long)bound[i].shape[0], (long long)rows);
			rows = bound[i].shape[0];
		}
	}
	if (call->input_count != info->input_count)
		return unbound_input(call, (struct span){ 0 }, err);
	return true;
}

/* One of a matrix's columns alone: its name tells it from a matrix of any name. */
static bool is_lone_column(const struct call *call)
{
	const struct served *s = call->served;
	const struct tensor *t = call->inputs;
	size_t ignored;

	if (LIKELY(t->rank != 1 && !(t->rank == 2 && t->shape[1] == 1)))
		return false;
	return s->column_count > 1 && !span_equal(t->name, s->info->inputs[0].name) &&
	       column_find(s, t->name, 0, &ignored);
}

static bool bind_inputs(struct request *req, const struct call *call, struct tensor *bound, struct error *err)
{
	const struct model_info *info = call->served->info;
	char names[NAMES_TEXT_SIZE];

	if (UNLIKELY(call->input_count == 0))
		return error_set(err, ERROR_INVALID, "no input came (inputs of model '" SPAN_FMT "': %s)",
				 SPAN_ARG(call->served->name), names_text(info->inputs, info->input_count, names));
	if (LIKELY(info->input_count == 1 && call->input_count == 1)) {
		if (UNLIKELY(!info->any_input && is_lone_column(call)))
			return gather_columns(req, call, bound, err);
		if (LIKELY(!info->any_input))
			return input_fit(&info->inputs[0], &call->inputs[0], bound, &req->arena, err);
		*bound = call->inputs[0];
		return tensor_aligned(bound, &req->arena, err);
	}
	if (info->input_count == 1 && !info->any_input)
		return gather_columns(req, call, bound, err);
	if (is_matrix_of_columns(call))
		return split_matrix(req, call, bound, err);
	return bind_by_name(req, call, bound, err);
}

/* ---- the call ---- */

enum { OUTPUTS_MASK = 64 }; /* model_run() has a bit for each */

static bool find_wanted(const struct call *call, size_t *indices, uint64_t *ret_mask, struct error *err)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < call->wanted_count; i++) {
		if (!output_find(call->served, call->wanted[i], &indices[i], err))
			return false;
		if (indices[i] >= OUTPUTS_MASK)
			return error_set(err, ERROR_UNIMPLEMENTED,
					 "only the first %d outputs of a model can be asked for", OUTPUTS_MASK);
		mask |= UINT64_C(1) << indices[i];
	}
	*ret_mask = mask;
	return true;
}

static bool call_try(struct request *req, struct call *call, struct error *err)
{
	const struct served *s = call->served;
	const struct model_info *info = s->info;
	struct tensor *bound = ARENA_ARRAY(&req->arena, struct tensor, info->input_count, err);
	struct tensor *all = ARENA_ARRAY(&req->arena, struct tensor, info->output_count, err);
	size_t *indices = ARENA_ARRAY(&req->arena, size_t, call->wanted_count, err);
	size_t known = MIN(info->output_count, (size_t)OUTPUTS_MASK);
	uint64_t mask = known == OUTPUTS_MASK ? UINT64_MAX : (UINT64_C(1) << known) - 1;
	int64_t start_ns;

	if (!bound || !all || !indices)
		return false;
	if (call->wanted_count && !find_wanted(call, indices, &mask, err))
		return false;
	if (!s->component && !bind_inputs(req, call, bound, err))
		return false;

	start_ns = clock_monotonic_ns();
	if (s->component) {
		if (!component_predict(s->component, call->inputs, call->input_count, span_from(req->id, req->id_len),
				       all, &req->arena, err))
			return false;
	} else if (!model_run(s->model, bound, mask, all, &req->arena, err)) {
		return false;
	}
	call->model_ns = clock_monotonic_ns() - start_ns;

	if (call->wanted_count == 0) {
		call->results = all;
		call->result_count = known;
	} else {
		call->results = ARENA_ARRAY(&req->arena, struct tensor, call->wanted_count, err);
		if (!call->results)
			return false;
		call->result_count = call->wanted_count;
		for (size_t i = 0; i < call->wanted_count; i++) {
			call->results[i] = all[indices[i]];
			call->results[i].name = call->wanted[i];
		}
	}
	cost_learn(s, call_rows(call), start_ns, call->model_ns);
	return true;
}

bool call_run(struct request *req, struct call *call, struct error *err)
{
	const struct served *s = call->served;

	if (UNLIKELY(!call_try(req, call, err))) {
		metric_add(s->failures, 1);
		return false;
	}
	metric_add(s->inferences, 1);
	metric_add(s->rows, call_rows(call));
	metric_observe(s->seconds, call->model_ns);
	return true;
}
