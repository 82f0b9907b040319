/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "cli/repeats.h"
#include "wire/csv.h"

enum {
	SCORER_ARENA_MAX = 1 << 30,
	REPEATS_TRIAL = 4096, /* lines after which the table of repeated lines has to have been of use */
	REPEATS_SHARE = 4,    /* new lines among them, at most one in so many */
};

struct scorer {
	const struct score_plan *plan;
	struct arena arena;    /* of one batch: unquoted fields and the model's results */
	struct tensor *inputs; /* of `batch` rows; shape[0] is set for each call */
	struct tensor *results;
	struct tensor *row_inputs; /* one row of the above */
	char **cells;              /* for each of the model's columns, its place in row 0 */
	size_t *strides;           /* bytes from row to row */
	enum dtype *dtypes;
	struct span *fields;     /* of one record, CSV_FIELDS_MAX */
	uint32_t *columns;       /* for each field, the model's column + 1, or 0 */
	bool is_real;            /* all columns are FP32, or all FP64 */
	struct span *texts;      /* of each row of the batch, for keep_columns */
	uint64_t *lines;         /* of each row; unknown (0) on the fast path */
	struct arena life;       /* of the arrays above */
	struct repeats *repeats; /* of the fast path; NULL once lines have turned out not to repeat */
	uint64_t looked, missed; /* in the repeats */
};

struct scorer *scorer_new(const struct score_plan *plan)
{
	struct scorer *s = base_calloc(1, sizeof(*s));
	const struct model_info *info = plan->info;
	struct error err = { 0 };
	bool ok = true;

	s->plan = plan;
	s->repeats = plan->is_direct ? repeats_new() : NULL;
	arena_init(&s->life, SIZE_MAX / 2);
	arena_init(&s->arena, SCORER_ARENA_MAX);
	s->inputs = ARENA_ARRAY(&s->life, struct tensor, info->input_count, &err);
	s->row_inputs = ARENA_ARRAY(&s->life, struct tensor, info->input_count, &err);
	s->results = ARENA_ARRAY(&s->life, struct tensor, info->output_count, &err);
	s->cells = ARENA_ARRAY(&s->life, char *, plan->column_count, &err);
	s->strides = ARENA_ARRAY(&s->life, size_t, plan->column_count, &err);
	s->dtypes = ARENA_ARRAY(&s->life, enum dtype, plan->column_count, &err);
	s->fields = ARENA_ARRAY(&s->life, struct span, CSV_FIELDS_MAX, &err);
	s->columns = arena_calloc(&s->life, plan->field_count, sizeof(*s->columns), &err);
	s->texts = ARENA_ARRAY(&s->life, struct span, plan->batch, &err);
	s->lines = arena_calloc(&s->life, plan->batch, sizeof(*s->lines), &err);
	for (size_t i = 0; i < info->input_count; i++) {
		const struct tensor_spec *spec = &info->inputs[i];
		int64_t shape[TENSOR_RANK_MAX] = { (int64_t)plan->batch, 1, 1, 1, 1, 1, 1, 1 };

		if (plan->is_matrix && spec->rank >= 2)
			shape[1] = (int64_t)plan->column_count;
		ok =
		    ok && tensor_new(&s->inputs[i], spec->name, spec->dtype, MAX(spec->rank, 1), shape, &s->life, &err);
	}
	ASSERT(ok &&
	       err.code == ERROR_NONE); /* an arena of half the address space: base_alloc aborts before it is full */
	for (size_t i = 0; i < plan->column_count; i++) {
		const struct tensor *t = &s->inputs[plan->is_matrix ? 0 : i];
		size_t size = dtype_size(t->dtype);

		s->dtypes[i] = t->dtype;
		s->columns[plan->from[i]] = (uint32_t)i + 1;
		s->is_real = (i == 0 || s->is_real) && t->dtype == s->dtypes[0] &&
			     (t->dtype == DTYPE_FP32 || t->dtype == DTYPE_FP64);
		s->cells[i] = (char *)t->data + (plan->is_matrix ? i * size : 0);
		s->strides[i] = plan->is_matrix ? size * plan->column_count : size;
	}
	return s;
}

void scorer_free(struct scorer *s)
{
	if (!s)
		return;
	repeats_free(s->repeats);
	arena_done(&s->arena);
	arena_done(&s->life);
	free(s);
}

/* ---- out ---- */

static char *print_element(char *to, const struct tensor *t, size_t i)
{
	switch (t->dtype) {
	case DTYPE_FP32:
		return number_print_float(to, ((const float *)t->data)[i]);
	case DTYPE_FP64:
		return number_print_double(to, ((const double *)t->data)[i]);
	case DTYPE_FP16:
		return number_print_float(to, float_from_half(((const uint16_t *)t->data)[i]));
	case DTYPE_BF16:
		return number_print_float(to, float_from_bfloat(((const uint16_t *)t->data)[i]));
	case DTYPE_INT64:
		return number_print_int64(to, ((const int64_t *)t->data)[i]);
	case DTYPE_UINT64:
		return number_print_uint64(to, ((const uint64_t *)t->data)[i]);
	default: /* narrower integers and booleans are exact in a double */
		return number_print_int64(to, (int64_t)tensor_get(t, i));
	}
}

static void put_row(const struct score_plan *plan, const struct tensor *result, size_t row, struct span text,
		    struct buffer *out)
{
	size_t at = row * plan->width + plan->first;
	char *to;

	if (plan->options.keep_columns) {
		buffer_append(out, text);
		buffer_byte(out, plan->options.separator);
	}
	if (result->dtype == DTYPE_BYTES) {
		for (size_t i = 0; i < plan->count; i++) {
			if (i > 0)
				buffer_byte(out, plan->options.separator);
			csv_write_field(out, ((const struct span *)result->data)[at + i], plan->options.separator);
		}
		buffer_byte(out, '\n');
		return;
	}
	to = buffer_reserve(out, plan->count * (NUMBER_TEXT_MAX + 1));
	if (!to)
		return; /* the overflow is sticky */
	for (size_t i = 0; i < plan->count; i++) {
		to = print_element(to, result, at + i);
		*to++ = plan->options.separator;
	}
	to[-1] = '\n';
	buffer_commit(out, (size_t)(to - (out->ptr + out->len)));
}

/* ---- run ---- */

static void set_rows(struct tensor *t, size_t rows)
{
	t->count = t->count / (size_t)t->shape[0] * rows;
	t->shape[0] = (int64_t)rows;
}

static bool run_model(struct scorer *s, const struct tensor *inputs, size_t rows, struct error *err)
{
	const struct score_plan *plan = s->plan;
	struct tensor *result = &s->results[plan->output];

	if (!model_run(plan->model, inputs, UINT64_C(1) << plan->output, s->results, &s->arena, err))
		return false;
	if (result->count != rows * plan->width)
		return error_set(err, ERROR_INTERNAL, "the model gave %zu numbers for %zu rows, expected %zu",
				 result->count, rows, rows * plan->width);
	return true;
}

/* After a failed batch, one row at a time: those that fail are counted and left out. */
static void run_singly(struct scorer *s, size_t rows, struct buffer *out, struct score_counts *counts)
{
	const struct score_plan *plan = s->plan;

	for (size_t row = 0; row < rows; row++) {
		struct error err = { 0 };

		for (size_t i = 0; i < plan->info->input_count; i++) {
			size_t bytes = s->inputs[i].count / rows * dtype_size(s->inputs[i].dtype);

			s->row_inputs[i] = s->inputs[i];
			s->row_inputs[i].data = (char *)s->inputs[i].data + row * bytes;
			set_rows(&s->row_inputs[i], 1);
		}
		if (run_model(s, s->row_inputs, 1, &err)) {
			put_row(plan, &s->results[plan->output], 0, s->texts[row], out);
			counts->rows++;
		} else {
			counts->bad++;
		}
	}
}

/* Runs the rows gathered in the inputs and writes their scores. */
static bool run_batch(struct scorer *s, size_t rows, struct buffer *out, struct score_counts *counts, struct error *err)
{
	const struct score_plan *plan = s->plan;

	if (rows == 0)
		return true;
	for (size_t i = 0; i < plan->info->input_count; i++)
		set_rows(&s->inputs[i], rows);
	if (run_model(s, s->inputs, rows, err)) {
		for (size_t row = 0; row < rows; row++)
			put_row(plan, &s->results[plan->output], row, s->texts[row], out);
		counts->rows += rows;
	} else if (plan->options.skip_bad && err->code == ERROR_INVALID) {
		*err = (struct error){ 0 };
		run_singly(s, rows, out, counts);
	} else {
		return s->lines[0] ? error_wrap(err, "lines %llu to %llu", (unsigned long long)s->lines[0],
						(unsigned long long)s->lines[rows - 1])
				   : false;
	}
	arena_clear(&s->arena);
	return buffer_ok(out, "the output of a block", err);
}

/* The rows before a bad one are scored all the same. Always false. */
static bool run_rest(struct scorer *s, size_t rows, struct buffer *out, struct score_counts *counts)
{
	struct error ignored = { 0 }; /* the bad row's error is the one to tell */

	(void)run_batch(s, rows, out, counts, &ignored);
	return false;
}

/* ---- in: the fast path ---- */

static bool has_nan(const float *values, size_t count)
{
	bool found = false;

	for (size_t i = 0; i < count; i++)
		found |= values[i] != values[i];
	return found;
}

/* Finds the record that the fast path read as row `row` of this block, for a message. */
static bool missing_value(struct scorer *s, struct span block, uint64_t first_line, uint64_t row, size_t column,
			  struct error *err)
{
	const struct score_plan *plan = s->plan;
	struct error ignored = { 0 };
	struct csv csv;
	size_t count;

	csv_init(&csv, plan->options.separator);
	csv_block(&csv, block, true);
	csv.next_line = first_line;
	for (uint64_t i = 0; i <= row; i++)
		(void)csv_next(&csv, s->fields, CSV_FIELDS_MAX, &count, &s->arena, &ignored);
	arena_clear(&s->arena);
	if (plan->names)
		return error_set(err, ERROR_INVALID,
				 "line %llu: column '" SPAN_FMT "' is missing, and the model takes no missing values",
				 (unsigned long long)csv.line, SPAN_ARG(plan->names[column]));
	return error_set(err, ERROR_INVALID, "line %llu: column %zu is missing, and the model takes no missing values",
			 (unsigned long long)csv.line, plan->from[column] + 1);
}

static bool run_direct(struct scorer *s, struct span block, uint64_t first_line, struct buffer *out,
		       struct score_counts *counts, struct error *err)
{
	const struct score_plan *plan = s->plan;
	float *values = s->inputs[0].data;
	uint64_t before = counts->rows;
	enum csv_result result;
	struct csv csv;

	csv_init(&csv, plan->options.separator);
	csv_block(&csv, block, true);
	csv.next_line = first_line;
	do {
		uint64_t row = counts->rows - before;
		size_t rows = 0;

		result = csv_numbers(&csv, plan->column_count, values, plan->batch, &rows, err);
		if (!plan->info->takes_missing && has_nan(values, rows * plan->column_count)) {
			size_t i = 0;

			while (!isnan(values[i]))
				i++;
			(void)run_rest(s, i / plan->column_count, out, counts);
			*err = (struct error){ 0 };
			return missing_value(s, block, first_line, row + i / plan->column_count, i % plan->column_count,
					     err);
		}
		if (result == CSV_FAILED)
			return run_rest(s, rows, out, counts);
		if (!run_batch(s, rows, out, counts, err))
			return false;
	} while (result == CSV_RECORD);
	counts->lines = csv.next_line - first_line;
	return true;
}

/* ---- in: the fast path, where lines repeat ---- */

/* True when lines turned out to differ: looking for them again costs more than it saves. */
static bool repeats_are_rare(struct scorer *s)
{
	if (s->looked < REPEATS_TRIAL)
		return false;
	if (s->missed * REPEATS_SHARE > s->looked) {
		repeats_free(s->repeats);
		s->repeats = NULL;
		return true;
	}
	s->looked = s->missed = 0;
	return false;
}

/* One line not seen before; its answer is kept when it is a record of its own. */
static bool run_new_line(struct scorer *s, struct span line, uint64_t number, struct buffer *out,
			 struct score_counts *counts, struct error *err)
{
	uint64_t rows = counts->rows;
	size_t at = out->len;

	if (!run_direct(s, line, number, out, counts, err))
		return false;
	if (counts->rows == rows + 1)
		repeats_put(s->repeats, line, span_skip(buffer_span(out), at));
	return true;
}

static bool run_repeats(struct scorer *s, struct span block, uint64_t first_line, struct buffer *out,
			struct score_counts *counts, struct error *err)
{
	uint64_t line_number = first_line;
	struct span rest = block, text;

	while (rest.len > 0) {
		const char *end = memchr(rest.ptr, '\n', rest.len);
		struct span line = span_first(rest, end ? (size_t)(end + 1 - rest.ptr) : rest.len);

		if (LIKELY(repeats_find(s->repeats, line, &text))) {
			buffer_append(out, text);
			counts->rows++;
		} else if (memchr(line.ptr, '"', line.len) || repeats_are_rare(s)) {
			/* A quoted field may hold line ends. */
			if (!run_direct(s, rest, line_number, out, counts, err))
				return false;
			counts->lines += line_number - first_line;
			return true;
		} else {
			s->missed++;
			if (!run_new_line(s, line, line_number, out, counts, err))
				return false;
		}
		s->looked++;
		line_number++;
		rest = span_skip(rest, line.len);
	}
	counts->lines = line_number - first_line;
	return buffer_ok(out, "the output of a block", err);
}

/* ---- in: any column types, any order ---- */

static bool parse_integer(struct span field, enum dtype type, void *to)
{
	static const struct {
		int64_t least, most;
	} ranges[DTYPE_COUNT] = {
		[DTYPE_UINT8] = { 0, UINT8_MAX },         [DTYPE_UINT16] = { 0, UINT16_MAX },
		[DTYPE_UINT32] = { 0, UINT32_MAX },       [DTYPE_INT8] = { INT8_MIN, INT8_MAX },
		[DTYPE_INT16] = { INT16_MIN, INT16_MAX }, [DTYPE_INT32] = { INT32_MIN, INT32_MAX },
		[DTYPE_INT64] = { INT64_MIN, INT64_MAX },
	};
	int64_t value;
	double real;

	if (type == DTYPE_UINT64)
		return number_parse_uint64(field, to);
	if (!number_parse_int64(field, &value)) {
		/* "3.0": what pandas writes for whole numbers in a column that has a gap. */
		if (!number_parse_double(field, &real) || real != floor(real) || fabs(real) > 0x1p53)
			return false;
		value = (int64_t)real;
	}
	if (value < ranges[type].least || value > ranges[type].most)
		return false;
	memcpy(to, &value, dtype_size(type)); /* little-endian: the low bytes come first */
	return true;
}

static bool parse_bool(struct span field, void *to)
{
	bool is_true = span_equal_ignore_case(field, SPAN("true")) || span_equal(field, SPAN("1"));

	if (!is_true && !span_equal_ignore_case(field, SPAN("false")) && !span_equal(field, SPAN("0")))
		return false;
	*(uint8_t *)to = is_true;
	return true;
}

static bool is_missing(struct span field)
{
	return field.len == 0 || span_equal_ignore_case(field, SPAN("na")) ||
	       span_equal_ignore_case(field, SPAN("nan")) || span_equal_ignore_case(field, SPAN("null"));
}

static bool parse_double(struct span field, double *ret)
{
	if (number_parse_double(field, ret))
		return true;
	if (!is_missing(field))
		return false;
	*ret = NAN;
	return true;
}

static bool parse_float(struct span field, float *ret)
{
	const char *end = field.ptr + field.len;

	if (field.len > 0 && number_scan_float(field.ptr, end, ret) == end)
		return true;
	if (!is_missing(field))
		return false;
	*ret = NAN;
	return true;
}

/* One field into its cell. *ret_missing says that it is NaN. */
static bool parse_cell(struct span field, enum dtype type, void *to, bool *ret_missing)
{
	double real;
	float single;

	*ret_missing = false;
	if (type == DTYPE_BYTES) {
		*(struct span *)to = field;
		return true;
	}
	field = span_trim(field);
	switch (type) {
	case DTYPE_FP32:
		if (!parse_float(field, to))
			return false;
		*ret_missing = isnan(*(float *)to);
		return true;
	case DTYPE_FP64:
		if (!parse_double(field, to))
			return false;
		*ret_missing = isnan(*(double *)to);
		return true;
	case DTYPE_FP16:
	case DTYPE_BF16:
		if (!parse_double(field, &real))
			return false;
		single = (float)real;
		*(uint16_t *)to = type == DTYPE_FP16 ? half_from_float(single) : bfloat_from_float(single);
		*ret_missing = isnan(real);
		return true;
	case DTYPE_BOOL:
		return parse_bool(field, to);
	default:
		return parse_integer(field, type, to);
	}
}

static bool cell_failed(const struct score_plan *plan, uint64_t line, size_t column, struct span field, enum dtype type,
			bool is_nan, struct error *err)
{
	char name[160];

	if (plan->names)
		snprintf(name, sizeof(name), "column '" SPAN_FMT "'", SPAN_ARG(plan->names[column]));
	else
		snprintf(name, sizeof(name), "column %zu", plan->from[column] + 1);
	if (is_nan)
		return error_set(err, ERROR_INVALID, "line %llu: %s is missing, and the model takes no missing values",
				 (unsigned long long)line, name);
	return error_set(err, ERROR_INVALID, "line %llu: %s: '" SPAN_FMT "' is no %s", (unsigned long long)line, name,
			 SPAN_ARG(field), dtype_is_float(type) ? "number" : dtype_name(type));
}

static bool parse_record(struct scorer *s, size_t row, size_t count, uint64_t line, struct error *err)
{
	const struct score_plan *plan = s->plan;

	if (count != plan->field_count)
		return error_set(err, ERROR_INVALID, "line %llu: %zu fields, expected %zu", (unsigned long long)line,
				 count, plan->field_count);
	for (size_t i = 0; i < plan->column_count; i++) {
		struct span field = s->fields[plan->from[i]];
		bool is_nan;

		if (!parse_cell(field, s->dtypes[i], s->cells[i] + row * s->strides[i], &is_nan) ||
		    (is_nan && !plan->info->takes_missing))
			return cell_failed(plan, line, i, field, s->dtypes[i], is_nan, err);
	}
	return true;
}

static const char *skip_field(const char *p, const char *end, char separator)
{
	while (p < end && *p != separator && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/*
 * A record of plain numbers where they are wanted and anything unquoted elsewhere, straight into the cells. False
 * leaves the reader where it was: the record has something else in it, for parse_record() to judge.
 */
static bool read_plain(struct scorer *s, struct csv *csv, size_t row)
{
	const struct score_plan *plan = s->plan;
	const char *p = csv->at, *end = csv->end;
	const char separator = csv->separator;
	bool is_float = s->dtypes[0] == DTYPE_FP32, has_missing = false;

	for (size_t field = 0; field < plan->field_count; field++) {
		size_t column = s->columns[field];

		if (p == end || *p == '"')
			return false;
		if (column == 0) {
			p = skip_field(p, end, separator);
		} else if (is_float) {
			float *to = (float *)(void *)(s->cells[column - 1] + row * s->strides[column - 1]);

			p = number_scan_float(p, end, to);
			has_missing |= p && isnan(*to);
		} else {
			double *to = (double *)(void *)(s->cells[column - 1] + row * s->strides[column - 1]);

			p = number_scan_lenient(p, end, to);
			has_missing |= p && isnan(*to);
		}
		if (!p || p == end || (has_missing && !plan->info->takes_missing))
			return false;
		if (field + 1 < plan->field_count && *p++ != separator)
			return false;
	}
	if (*p == '\r' && p + 1 < end && p[1] == '\n')
		p++;
	if (*p != '\n')
		return false;
	csv->at = p + 1;
	csv->line = csv->next_line++;
	return true;
}

/* Passes over a line whose record cannot be read. */
static void skip_line(struct csv *csv)
{
	const char *end = memchr(csv->at, '\n', (size_t)(csv->end - csv->at));

	csv->at = end ? end + 1 : csv->end;
	csv->next_line++;
}

static enum csv_result read_record(struct scorer *s, struct csv *csv, size_t row, struct error *err)
{
	enum csv_result result;
	size_t count;

	if (s->is_real && read_plain(s, csv, row))
		return CSV_RECORD;
	result = csv_next(csv, s->fields, CSV_FIELDS_MAX, &count, &s->arena, err);
	if (result == CSV_FAILED && s->plan->options.skip_bad)
		skip_line(csv);
	if (result == CSV_RECORD && !parse_record(s, row, count, csv->line, err))
		result = CSV_FAILED;
	return result;
}

static bool run_fields(struct scorer *s, struct span block, uint64_t first_line, struct buffer *out,
		       struct score_counts *counts, struct error *err)
{
	const struct score_plan *plan = s->plan;
	enum csv_result result;
	size_t rows = 0;
	struct csv csv;

	csv_init(&csv, plan->options.separator);
	csv_block(&csv, block, true);
	csv.next_line = first_line;
	for (;;) {
		const char *start = csv.at;

		result = read_record(s, &csv, rows, err);
		if (result == CSV_FAILED && plan->options.skip_bad) {
			*err = (struct error){ 0 };
			counts->bad++;
			continue;
		}
		if (result != CSV_RECORD)
			break;
		s->texts[rows] = score_line(start, csv.at);
		s->lines[rows] = csv.line;
		if (++rows == plan->batch) {
			if (!run_batch(s, rows, out, counts, err))
				return false;
			rows = 0;
		}
	}
	counts->lines = csv.next_line - first_line;
	return result == CSV_FAILED ? run_rest(s, rows, out, counts) : run_batch(s, rows, out, counts, err);
}

bool scorer_run(struct scorer *s, struct span block, uint64_t first_line, struct buffer *out, struct score_counts *ret,
		struct error *err)
{
	bool ok;

	*ret = (struct score_counts){ 0 };
	if (s->repeats)
		ok = run_repeats(s, block, first_line, out, ret, err);
	else if (s->plan->is_direct)
		ok = run_direct(s, block, first_line, out, ret, err);
	else
		ok = run_fields(s, block, first_line, out, ret, err);
	if (!ok)
		arena_clear(&s->arena);
	return ok;
}
