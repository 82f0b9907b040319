/* SPDX-License-Identifier: Apache-2.0 */
/* From objects, lists, queries and CSV to the model's input. */
#include "inference/records.h"

#include <math.h>
#include <stdio.h>

#include "wire/csv.h"
#include "wire/json.h"

enum { NAMES_SHOWN = 8, NAME_SHOWN = 40, NAME_MORE = 24 }; /* of names in messages */

/* ---- the table ---- */

static bool no_table(const struct served *s, struct error *err)
{
	const struct tensor_spec *spec = s->info->inputs;
	char shape[TENSOR_SHAPE_TEXT];

	if (s->info->input_count == 0)
		return error_set(err, ERROR_INVALID, "model '" SPAN_FMT "' takes no input", SPAN_ARG(s->name));
	return error_set(err, ERROR_INVALID,
			 "model '" SPAN_FMT "' takes no rows of columns (input '" SPAN_FMT
			 "': %s %s); ask /v2/models/" SPAN_FMT "/infer",
			 SPAN_ARG(s->name), SPAN_ARG(spec->name), dtype_name(spec->dtype),
			 tensor_shape_text(spec->rank, spec->shape, shape), SPAN_ARG(s->name));
}

/* One matrix: width from the names, or what the model tells. */
static bool matrix_init(struct records *r, struct error *err)
{
	const struct served *s = r->served;
	const struct tensor_spec *spec = &s->info->inputs[0];

	if (!s->info->any_input && (spec->rank != 2 || spec->shape[0] >= 0))
		return no_table(s, err);
	r->is_matrix = true;
	r->columns = s->info->feature_count;
	if (s->columns)
		r->columns = s->column_count;
	else if (r->columns == 0 && !s->info->any_input && spec->shape[1] > 0)
		r->columns = (size_t)spec->shape[1];
	return true;
}

static bool columns_init(struct records *r, struct error *err)
{
	const struct model_info *info = r->served->info;

	for (size_t i = 0; i < info->input_count; i++) {
		const struct tensor_spec *spec = &info->inputs[i];

		if (spec->rank < 1 || spec->rank > 2 || spec->shape[0] >= 0 || (spec->rank == 2 && spec->shape[1] != 1))
			return no_table(r->served, err);
	}
	r->columns = info->input_count;
	return true;
}

bool records_init(struct records *r, const struct served *served, struct arena *arena, struct error *err)
{
	const struct model_info *info = served->info;
	bool is_matrix =
	    info->input_count == 1 && (info->any_input || info->inputs[0].rank != 1 || served->column_count != 1);

	if (info->input_count == 0)
		return no_table(served, err);
	*r = (struct records){ .served = served, .names = served->columns, .arena = arena };
	if (!(is_matrix ? matrix_init(r, err) : columns_init(r, err)))
		return false;
	if (r->columns > RECORDS_COLUMNS_MAX)
		return no_table(served, err);
	r->input_count = info->input_count;
	r->inputs = ARENA_ARRAY(arena, struct tensor, r->input_count, err);
	if (!r->inputs)
		return false;
	for (size_t i = 0; i < r->input_count; i++)
		r->inputs[i] = (struct tensor){ .name = info->inputs[i].name, .dtype = info->inputs[i].dtype };
	return true;
}

/* Columns at hand: the matrix and what is told apart in it can be made. */
static bool columns_ready(struct records *r, struct error *err)
{
	if (r->seen)
		return true;
	r->seen = arena_calloc(r->arena, r->columns, sizeof(*r->seen), err);
	return r->seen != NULL;
}

static bool rows_grow(struct records *r, size_t want, struct error *err)
{
	size_t room = MAX(want, 2 * r->room);

	if (want > RECORDS_ROWS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %u rows", RECORDS_ROWS_MAX);
	for (size_t i = 0; i < r->input_count; i++) {
		struct tensor *t = &r->inputs[i];
		size_t size = dtype_size(t->dtype) * (r->is_matrix ? r->columns : 1);
		void *data = arena_array_(r->arena, room, size, err);

		if (!data)
			return false;
		if (r->rows > 0)
			memcpy(data, t->data, r->rows * size);
		t->data = data;
	}
	r->room = room;
	return true;
}

static inline bool row_begin(struct records *r, struct error *err)
{
	return r->rows < r->room || rows_grow(r, r->rows + 1, err);
}

static bool finish(struct records *r, struct error *err)
{
	if (r->room == 0 && !rows_grow(r, 1, err)) /* no rows: a pointer to give */
		return false;
	for (size_t i = 0; i < r->input_count; i++) {
		struct tensor *t = &r->inputs[i];

		t->rank = r->is_matrix ? 2 : r->served->info->inputs[i].rank;
		t->shape[0] = (int64_t)r->rows;
		t->shape[1] = r->is_matrix ? (int64_t)r->columns : 1;
		t->count = r->rows * (r->is_matrix ? r->columns : 1);
	}
	return true;
}

/* ---- cells ---- */

static inline enum dtype cell_type(const struct records *r, size_t column)
{
	return r->inputs[r->is_matrix ? 0 : column].dtype;
}

static inline void *cell_at(const struct records *r, size_t column)
{
	const struct tensor *t = &r->inputs[r->is_matrix ? 0 : column];
	size_t at = r->is_matrix ? r->rows * r->columns + column : r->rows;

	return (char *)t->data + at * dtype_size(t->dtype);
}

static __attribute__((cold)) bool cell_refused(const struct records *r, size_t column, const char *came,
					       struct error *err)
{
	const char *type = dtype_name(cell_type(r, column));

	if (r->names)
		return error_set(err, ERROR_INVALID, "column '" SPAN_FMT "': expected %s %s, came %s",
				 SPAN_ARG(r->names[column]),
				 cell_type(r, column) == DTYPE_BYTES ? "text," : "a number,", type, came);
	return error_set(err, ERROR_INVALID, "column %zu: expected %s %s, came %s", column,
			 cell_type(r, column) == DTYPE_BYTES ? "text," : "a number,", type, came);
}

/* What the integer types hold. UINT64's upper half comes as NUMBER_UINT. */
static const struct {
	int64_t least, most;
} ranges[DTYPE_COUNT] = {
	[DTYPE_BOOL] = { 0, 1 },
	[DTYPE_UINT8] = { 0, UINT8_MAX },
	[DTYPE_UINT16] = { 0, UINT16_MAX },
	[DTYPE_UINT32] = { 0, UINT32_MAX },
	[DTYPE_UINT64] = { 0, INT64_MAX },
	[DTYPE_INT8] = { INT8_MIN, INT8_MAX },
	[DTYPE_INT16] = { INT16_MIN, INT16_MAX },
	[DTYPE_INT32] = { INT32_MIN, INT32_MAX },
	[DTYPE_INT64] = { INT64_MIN, INT64_MAX },
};

static double number_double(const struct number *n)
{
	return n->kind == NUMBER_INT ? (double)n->i : n->kind == NUMBER_UINT ? (double)n->u : n->d;
}

/* Rounded once for integers too: int64 to float goes directly. */
static inline float number_float(const struct number *n)
{
	return n->kind == NUMBER_INT ? (float)n->i : n->kind == NUMBER_UINT ? (float)n->u : (float)n->d;
}

static bool integer_put(const struct records *r, size_t column, const struct number *n, struct error *err)
{
	enum dtype type = cell_type(r, column);
	int64_t value = n->i;

	if (n->kind == NUMBER_UINT) {
		if (type != DTYPE_UINT64)
			return cell_refused(r, column, "a larger one", err);
		memcpy(cell_at(r, column), &n->u, sizeof(n->u));
		return true;
	}
	if (n->kind == NUMBER_DOUBLE) {
		if (!(n->d >= -0x1p63 && n->d < 0x1p63) || n->d != trunc(n->d))
			return cell_refused(r, column, "a fraction, or one too large", err);
		value = (int64_t)n->d;
	}
	if (value < ranges[type].least || value > ranges[type].most)
		return cell_refused(r, column, "one outside its range", err);
	memcpy(cell_at(r, column), &value, dtype_size(type)); /* little-endian: the low bytes come first */
	return true;
}

static inline bool number_put(const struct records *r, size_t column, const struct number *n, struct error *err)
{
	switch (cell_type(r, column)) {
	case DTYPE_FP32:
		*(float *)cell_at(r, column) = number_float(n);
		return true;
	case DTYPE_FP64:
		*(double *)cell_at(r, column) = number_double(n);
		return true;
	case DTYPE_FP16:
		*(uint16_t *)cell_at(r, column) = half_from_float(number_float(n));
		return true;
	case DTYPE_BF16:
		*(uint16_t *)cell_at(r, column) = bfloat_from_float(number_float(n));
		return true;
	case DTYPE_BYTES:
		return cell_refused(r, column, "a number", err);
	default:
		return integer_put(r, column, n, err);
	}
}

static bool missing_put(const struct records *r, size_t column, struct error *err)
{
	struct number nan = { .kind = NUMBER_DOUBLE, .d = (double)NAN };

	if (!r->served->info->takes_missing || !dtype_is_float(cell_type(r, column)))
		return cell_refused(r, column, "nothing, and the model takes no missing values", err);
	return number_put(r, column, &nan, err);
}

static bool is_missing_text(struct span text)
{
	return text.len == 0 || span_equal(text, SPAN("NA")) || span_equal_ignore_case(text, SPAN("null")) ||
	       span_equal_ignore_case(text, SPAN("nan"));
}

/* A field of CSV or a query. */
static bool text_put(const struct records *r, size_t column, struct span text, struct error *err)
{
	struct number n, lenient = { .kind = NUMBER_DOUBLE };
	struct span shown = span_first(text, NAME_SHOWN);
	char came[64];

	if (cell_type(r, column) == DTYPE_BYTES) {
		*(struct span *)cell_at(r, column) = text;
		return true;
	}
	text = span_trim(text);
	if (is_missing_text(text))
		return missing_put(r, column, err);
	if (number_scan(text.ptr, text.ptr + text.len, &n) == text.ptr + text.len)
		return number_put(r, column, &n, err);
	if (number_parse_double(text, &lenient.d))
		return number_put(r, column, &lenient, err);
	if (span_equal_ignore_case(text, SPAN("true")) || span_equal_ignore_case(text, SPAN("false"))) {
		n = (struct number){ .kind = NUMBER_INT, .i = text.len == 4 };
		return number_put(r, column, &n, err);
	}
	snprintf(came, sizeof(came), "'" SPAN_FMT "'", SPAN_ARG(shown));
	return cell_refused(r, column, came, err);
}

static bool json_text_put(const struct records *r, struct json *j, size_t column, struct error *err)
{
	struct span text;

	if (cell_type(r, column) != DTYPE_BYTES)
		return cell_refused(r, column, "text", err);
	if (!json_read_string(j, &text, err))
		return false;
	*(struct span *)cell_at(r, column) = text;
	return true;
}

static bool json_bool_put(const struct records *r, struct json *j, size_t column, struct error *err)
{
	struct number n = { .kind = NUMBER_INT };
	bool value = false;

	if (cell_type(r, column) == DTYPE_BYTES)
		return cell_refused(r, column, "a boolean", err);
	if (!json_read_bool(j, &value, err))
		return false;
	n.i = value;
	return number_put(r, column, &n, err);
}

static inline bool json_put(const struct records *r, struct json *j, size_t column, struct error *err)
{
	struct number n;

	switch (json_peek(j)) {
	case JSON_NUMBER:
		return json_read_number(j, &n, err) && number_put(r, column, &n, err);
	case JSON_BOOL:
		return json_bool_put(r, j, column, err);
	case JSON_STRING:
		return json_text_put(r, j, column, err);
	case JSON_NULL:
		return json_read_null(j, err) && missing_put(r, column, err);
	case JSON_ARRAY:
		return cell_refused(r, column, "a list", err);
	case JSON_OBJECT:
		return cell_refused(r, column, "an object", err);
	default:
		return json_skip(j, err); /* sets the error of the syntax */
	}
}

/* ---- names ---- */

enum { LINEAR_MAX = 12 }; /* columns that are found faster by looking at each */

static bool slots_make(struct records *r)
{
	struct error ignored = { 0 };
	uint32_t size = 4;

	while (size < 2 * r->columns)
		size *= 2;
	r->slots = arena_calloc(r->arena, size, sizeof(*r->slots), &ignored);
	if (!r->slots)
		return false;
	r->slot_mask = size - 1;
	for (size_t i = 0; i < r->columns; i++) {
		uint32_t at = (uint32_t)span_hash(r->names[i]) & r->slot_mask;

		while (r->slots[at])
			at = (at + 1) & r->slot_mask;
		r->slots[at] = (uint32_t)i + 1;
	}
	return true;
}

static bool name_find(struct records *r, struct span name, size_t *ret)
{
	if (r->columns > LINEAR_MAX && (r->slots || slots_make(r))) {
		for (uint32_t at = (uint32_t)span_hash(name) & r->slot_mask; r->slots[at];
		     at = (at + 1) & r->slot_mask) {
			if (span_equal(r->names[r->slots[at] - 1], name)) {
				*ret = r->slots[at] - 1;
				return true;
			}
		}
		return false;
	}
	for (size_t i = 0; i < r->columns; i++) {
		if (span_equal(r->names[i], name)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* A list of names for a message: the first few, and how many more. */
struct name_list {
	char text[200];
	size_t len, count, shown;
};

static void name_list_add(struct name_list *list, struct span name)
{
	char *end = list->text + list->len;
	size_t left = sizeof(list->text) - list->len;
	int n;

	list->count++;
	if (list->shown == NAMES_SHOWN || left < NAME_SHOWN + NAME_MORE)
		return;
	n = snprintf(end, left, "%s'%.*s'", list->shown ? ", " : "", (int)MIN(name.len, NAME_SHOWN),
		     name.ptr ? name.ptr : "");
	list->len += (size_t)MAX(n, 0);
	list->shown++;
}

static void name_list_end(struct name_list *list)
{
	if (list->shown < list->count)
		snprintf(list->text + list->len, sizeof(list->text) - list->len, " and %zu more",
			 list->count - list->shown);
}

static __attribute__((cold)) bool names_refused(const struct records *r, struct name_list *unknown, struct error *err)
{
	struct name_list missing = { .count = 0 };
	bool takes_missing = r->served->info->takes_missing;

	for (size_t i = 0; i < r->columns && !takes_missing; i++) {
		if (r->seen[i] != r->rows + 1)
			name_list_add(&missing, r->names[i]);
	}
	name_list_end(unknown);
	name_list_end(&missing);
	return error_set(err, ERROR_INVALID, "%s%s%s%s%s (model '" SPAN_FMT "' has %zu columns)",
			 unknown->count ? "unknown columns: " : "", unknown->text,
			 unknown->count && missing.count ? "; " : "", missing.count ? "missing columns: " : "",
			 missing.text, SPAN_ARG(r->served->name), r->columns);
}

/* Columns that did not come: NaN, or an error that names them. */
static __attribute__((noinline)) bool missing_fill(struct records *r, struct error *err)
{
	struct name_list none = { .count = 0 };

	if (!r->served->info->takes_missing)
		return names_refused(r, &none, err);
	for (size_t i = 0; i < r->columns; i++) {
		if (r->seen[i] != r->rows + 1 && !missing_put(r, i, err))
			return false;
	}
	return true;
}

static bool names_needed(const struct records *r, struct error *err)
{
	if (r->columns)
		return error_set(err, ERROR_INVALID,
				 "model '" SPAN_FMT
				 "' has no names for its %zu columns: serve it with --features NAME,NAME,... or "
				 "send lists of numbers",
				 SPAN_ARG(r->served->name), r->columns);
	return error_set(err, ERROR_INVALID,
			 "model '" SPAN_FMT
			 "' has no column names: serve it with --features NAME,NAME,... or send lists of numbers",
			 SPAN_ARG(r->served->name));
}

static bool repeated(const struct records *r, size_t column, struct error *err)
{
	return error_set(err, ERROR_INVALID, "column '" SPAN_FMT "' is given twice", SPAN_ARG(r->names[column]));
}

/* ---- JSON ---- */

/* An unknown key was met: the object is read again from its start, to name all that is wrong with it. */
static __attribute__((cold)) bool object_refused(struct records *r, struct span text, struct error *err)
{
	struct name_list unknown = { .count = 0 };
	struct span key;
	struct json j;

	json_init(&j, text, r->arena);
	j.allow_nonfinite = true;
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err)) {
		size_t column;

		if (name_find(r, key, &column))
			r->seen[column] = (uint32_t)r->rows + 1;
		else
			name_list_add(&unknown, key);
		if (!json_skip(&j, err))
			return false;
	}
	return !j.failed && names_refused(r, &unknown, err);
}

/* Clients send keys in the same order again and again: the column behind the last one is tried first. */
static bool object_read(struct records *r, struct json *j, struct error *err)
{
	const char *start = j->at;
	uint32_t stamp = (uint32_t)r->rows + 1;
	size_t next = 0, count = 0;
	struct span key;

	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		size_t column = next;

		if (UNLIKELY(column >= r->columns || !span_equal(key, r->names[column])) && !name_find(r, key, &column))
			return object_refused(r, span_from(start, (size_t)(j->end - start)), err);
		if (UNLIKELY(r->seen[column] == stamp))
			return repeated(r, column, err);
		r->seen[column] = stamp;
		if (UNLIKELY(!json_put(r, j, column, err)))
			return false;
		next = column + 1;
		count++;
	}
	if (UNLIKELY(j->failed))
		return false;
	return LIKELY(count == r->columns) || missing_fill(r, err);
}

/* By order. The first row tells the width when nothing else does. */
static bool list_read(struct records *r, struct json *j, struct error *err)
{
	size_t column = 0;

	if (!json_enter_array(j, err))
		return false;
	for (; json_next_element(j, err); column++) {
		if (column == r->columns)
			return error_set(err, ERROR_INVALID,
					 "more than %zu values; model '" SPAN_FMT "' has so many columns", r->columns,
					 SPAN_ARG(r->served->name));
		if (!json_put(r, j, column, err))
			return false;
	}
	if (j->failed)
		return false;
	if (column != r->columns)
		return error_set(err, ERROR_INVALID, "%zu values; model '" SPAN_FMT "' has %zu columns", column,
				 SPAN_ARG(r->served->name), r->columns);
	return true;
}

/* Elements of the list that stands next, without reading it. */
static bool width_find(struct records *r, const struct json *j, struct error *err)
{
	struct json ahead = *j;

	if (!json_enter_array(&ahead, err))
		return false;
	while (json_next_element(&ahead, err)) {
		if (++r->columns > RECORDS_COLUMNS_MAX)
			return error_set(err, ERROR_TOO_LARGE, "more than %u columns", RECORDS_COLUMNS_MAX);
		if (!json_skip(&ahead, err))
			return false;
	}
	return !ahead.failed;
}

static bool row_read(struct records *r, struct json *j, struct error *err)
{
	enum json_type type = json_peek(j);

	if (type == JSON_OBJECT) {
		if (UNLIKELY(!r->names))
			return names_needed(r, err);
	} else if (type == JSON_ARRAY) {
		if (r->columns == 0 && !width_find(r, j, err))
			return false;
	} else if (type == JSON_INVALID) {
		return json_skip(j, err); /* sets the error of the syntax */
	} else {
		return error_set(err, ERROR_INVALID, "a row is an object of named columns, or a list of numbers");
	}
	if (UNLIKELY(!columns_ready(r, err) || !row_begin(r, err)))
		return false;
	if (!(type == JSON_OBJECT ? object_read(r, j, err) : list_read(r, j, err)))
		return false;
	r->rows++;
	return true;
}

static bool rows_read(struct records *r, struct json *j, struct error *err)
{
	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		const char *start = j->at;

		if (!row_read(r, j, err))
			return j->failed ? false : error_wrap(err, "row %zu", r->rows);
		/* Rows are alike: from the first one's length follows about how many there are. */
		if (r->rows == 1 && !rows_grow(r, 2 + (size_t)(j->end - j->at) / (size_t)(j->at - start + 1), err))
			return false;
	}
	return !j->failed;
}

bool records_read_json(struct records *r, struct span text, bool *ret_is_list, struct error *err)
{
	struct json j;
	bool is_list;

	json_init(&j, text, r->arena);
	j.allow_nonfinite = true;
	is_list = json_peek(&j) == JSON_ARRAY;
	if (!(is_list ? rows_read(r, &j, err) : row_read(r, &j, err)) || !json_finish(&j, err) || !finish(r, err))
		return false;
	*ret_is_list = is_list;
	return true;
}

/* ---- queries ---- */

bool records_read_form(struct records *r, struct span text, struct error *err)
{
	struct name_list unknown = { .count = 0 };
	struct span rest = text, name, value;
	size_t column, count = 0;

	if (!r->names)
		return names_needed(r, err);
	if (!columns_ready(r, err) || !row_begin(r, err))
		return false;
	while (form_next(&rest, r->arena, &name, &value)) {
		if (!name_find(r, name, &column)) {
			if (!span_equal(name, SPAN("output")))
				name_list_add(&unknown, name);
			continue;
		}
		if (r->seen[column] == 1)
			return repeated(r, column, err);
		r->seen[column] = 1;
		count++;
		if (!text_put(r, column, value, err))
			return false;
	}
	if (unknown.count)
		return names_refused(r, &unknown, err);
	if (count != r->columns && !missing_fill(r, err))
		return false;
	r->rows = 1;
	return finish(r, err);
}

/* ---- CSV ---- */

struct csv_columns {
	uint32_t *map; /* by field: its column */
	size_t count;  /* fields of a line */
};

static bool is_number_line(const struct span *fields, size_t count)
{
	double number;

	for (size_t i = 0; i < count; i++) {
		struct span text = span_trim(fields[i]);

		if (!is_missing_text(text) && !number_parse_double(text, &number))
			return false;
	}
	return true;
}

static bool header_read(struct records *r, const struct span *fields, struct csv_columns *c, struct error *err)
{
	struct name_list unknown = { .count = 0 };
	size_t column;

	if (!r->names)
		return names_needed(r, err);
	for (size_t i = 0; i < c->count; i++) {
		struct span name = fields[i];

		if (!name_find(r, name, &column) && !name_find(r, span_trim(name), &column)) {
			name_list_add(&unknown, name);
			continue;
		}
		if (r->seen[column])
			return repeated(r, column, err);
		r->seen[column] = 1;
		c->map[i] = (uint32_t)column;
	}
	if (unknown.count || (c->count != r->columns && !r->served->info->takes_missing))
		return names_refused(r, &unknown, err);
	return true;
}

static bool line_put(struct records *r, const struct span *fields, size_t count, const struct csv_columns *c,
		     struct error *err)
{
	if (count != c->count)
		return error_set(err, ERROR_INVALID, "%zu fields, expected %zu", count, c->count);
	if (!row_begin(r, err))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!text_put(r, c->map[i], fields[i], err))
			return false;
	}
	if (c->count < r->columns) {
		for (size_t i = 0; i < c->count; i++)
			r->seen[c->map[i]] = (uint32_t)r->rows + 1;
		if (!missing_fill(r, err))
			return false;
	}
	r->rows++;
	return true;
}

/* The first line: names, or numbers by their order. *ret_is_row says which. */
static bool first_line(struct records *r, const struct span *fields, struct csv_columns *c, bool *ret_is_row,
		       struct error *err)
{
	size_t column;

	if (r->columns == 0)
		r->columns = c->count;
	if (!columns_ready(r, err))
		return false;
	c->map = arena_calloc(r->arena, c->count, sizeof(*c->map), err);
	if (!c->map)
		return false;
	*ret_is_row = is_number_line(fields, c->count) && !(r->names && name_find(r, fields[0], &column));
	if (!*ret_is_row)
		return header_read(r, fields, c, err);
	if (c->count != r->columns)
		return error_set(err, ERROR_INVALID, "%zu fields and no header; model '" SPAN_FMT "' has %zu columns",
				 c->count, SPAN_ARG(r->served->name), r->columns);
	for (size_t i = 0; i < c->count; i++)
		c->map[i] = (uint32_t)i;
	return true;
}

/* Most fields the first line can have. */
static size_t fields_bound(struct span text)
{
	size_t line = span_index(text, '\n'), count = 1;

	/* A quoted name may hold line ends: then the rest of the text bounds it. */
	if (memchr(text.ptr, '"', line))
		line = text.len;
	for (size_t i = 0; i < line && count < CSV_FIELDS_MAX; i++)
		count += text.ptr[i] == ',' ||
			 text.ptr[i] == '\r'; /* a lone CR ends a line as well: counted, not looked for */
	return count;
}

bool records_read_csv(struct records *r, struct span text, struct error *err)
{
	struct csv_columns columns = { 0 };
	struct span *fields;
	enum csv_result result;
	struct csv csv;
	size_t count, max;

	if (text.len == 0)
		return error_set(err, ERROR_INVALID, "the CSV body is empty; its first line names the columns");
	max = fields_bound(text);
	fields = ARENA_ARRAY(r->arena, struct span, max, err);
	if (!fields)
		return false;
	csv_init(&csv, ',');
	csv_block(&csv, text, true);
	while ((result = csv_next(&csv, fields, max, &count, r->arena, err)) == CSV_RECORD) {
		bool is_row = true;

		if (!columns.map) {
			columns.count = count;
			if (!first_line(r, fields, &columns, &is_row, err))
				return error_wrap(err, "line %llu", (unsigned long long)csv.line);
			if (!rows_grow(r, 1 + text.len / (2 * columns.count + 8), err))
				return false;
		}
		if (is_row && !line_put(r, fields, count, &columns, err))
			return error_wrap(err, "line %llu", (unsigned long long)csv.line);
	}
	if (result == CSV_FAILED)
		return false;
	if (!columns.map)
		return error_set(err, ERROR_INVALID, "the CSV body has no line; its first one names the columns");
	return finish(r, err);
}
