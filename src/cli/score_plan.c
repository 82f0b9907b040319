/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"
#include "cli/score.h"
#include "wire/csv.h"

enum {
	BATCH_BYTES = KIB(64), /* of input in one call: it and the results stay in the second-level cache */
	BATCH_MOST = 1024,
	BATCH_LEAST = 16,
	HEAD_MAX = MIB(16),
	PROBE_MAX = MIB(256),
	NAMES_SHOWN = 8,
};

static bool is_missing(struct span field)
{
	return field.len == 0 || span_equal_ignore_case(field, SPAN("na")) ||
	       span_equal_ignore_case(field, SPAN("nan")) || span_equal_ignore_case(field, SPAN("null"));
}

/* Numbers only: a record of data. But 0,1,2,… is what pandas writes over columns without names. */
static bool looks_like_header(const struct span *fields, size_t count)
{
	bool is_numeric = true, is_range = count > 1;

	for (size_t i = 0; i < count; i++) {
		struct span field = span_trim(fields[i]);
		double value;
		uint64_t index;

		is_numeric = is_numeric && (is_missing(field) || number_parse_double(field, &value));
		is_range = is_range && number_parse_uint64(field, &index) && index == i;
	}
	return !is_numeric || is_range;
}

/* ---- columns ---- */

/* Open addressing from a header's names to their fields: files may have thousands of columns. */
struct field_table {
	size_t *slots; /* field + 1, 0 is free */
	size_t mask;
	const struct span *names;
};

static size_t *table_slot(struct field_table *t, struct span name)
{
	size_t i = span_hash(name) & t->mask;

	while (t->slots[i] && !span_equal(t->names[t->slots[i] - 1], name))
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

static bool table_make(struct field_table *t, const struct span *names, size_t count, struct arena *arena,
		       struct error *err)
{
	size_t size = 16;

	while (size < count * 2)
		size *= 2;
	t->slots = arena_calloc(arena, size, sizeof(*t->slots), err);
	t->mask = size - 1;
	t->names = names;
	if (!t->slots)
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t *slot = table_slot(t, names[i]);

		if (*slot && names[i].len > 0)
			return error_set(err, ERROR_INVALID,
					 "column '" SPAN_FMT "' is twice in the header (%zu and %zu)",
					 SPAN_ARG(names[i]), *slot, i + 1);
		*slot = i + 1;
	}
	return true;
}

/* "'a', 'b' and 3 more" */
static void list_add(struct buffer *list, size_t *count, struct span name)
{
	if ((*count)++ < NAMES_SHOWN)
		buffer_print(list, "%s'" SPAN_FMT "'", *count > 1 ? ", " : "", SPAN_ARG(name));
}

static bool list_fail(struct buffer *list, size_t count, const char *what, struct error *err)
{
	if (count > NAMES_SHOWN)
		buffer_print(list, " and %zu more", count - NAMES_SHOWN);
	return error_set(err, ERROR_INVALID, "%s: %.*s", what, (int)list->len, list->ptr);
}

static bool match_by_name(struct score_plan *plan, const struct span *header, struct arena *arena, struct error *err)
{
	struct field_table table;
	struct buffer list;
	bool *is_used = arena_calloc(arena, plan->field_count, sizeof(bool), err);
	size_t wrong = 0;
	bool ok = true;

	if (!is_used || !table_make(&table, header, plan->field_count, arena, err))
		return false;
	buffer_init(&list, KIB(16));
	for (size_t i = 0; i < plan->column_count; i++) {
		size_t field = *table_slot(&table, plan->names[i]);

		if (field) {
			plan->from[i] = field - 1;
			is_used[field - 1] = true;
		} else {
			list_add(&list, &wrong, plan->names[i]);
		}
	}
	if (wrong)
		ok = list_fail(&list, wrong, "columns of the model that the file lacks", err);
	for (size_t i = 0; ok && plan->options.strict && i < plan->field_count; i++) {
		if (!is_used[i] &&
		    !(plan->options.label_column && span_equal(header[i], span_of(plan->options.label_column))))
			list_add(&list, &wrong, header[i]);
	}
	if (ok && wrong)
		ok = list_fail(&list, wrong, "columns that the model does not know", err);
	buffer_done(&list);
	return ok;
}

/* Without names on either side, the fields are the columns in order; a label column is left out. */
static bool match_by_position(struct score_plan *plan, const struct span *header, struct error *err)
{
	size_t label = SIZE_MAX, fields = plan->field_count;

	for (size_t i = 0; header && plan->options.label_column && i < plan->field_count; i++) {
		if (span_equal(header[i], span_of(plan->options.label_column)))
			label = i;
	}
	if (plan->options.label_column && label == SIZE_MAX)
		return error_set(err, ERROR_INVALID, "--label-column '%s' is not in the file's header",
				 plan->options.label_column);
	fields -= label != SIZE_MAX;
	if (fields != plan->column_count)
		return error_set(
		    err, ERROR_INVALID, "the model takes %zu columns and the file has %zu%s", plan->column_count,
		    fields,
		    header && !plan->names ? "; the model knows no names: give them, in order, with --features" : "");
	for (size_t i = 0, k = 0; i < plan->field_count; i++) {
		if (i != label)
			plan->from[k++] = i;
	}
	return true;
}

/* ---- outputs ---- */

static bool find_output(struct score_plan *plan, struct error *err)
{
	const struct model_info *info = plan->info;
	struct buffer list;
	size_t count = 0;

	if (!plan->options.output_name) {
		plan->output = (size_t)info->score_output;
		return true;
	}
	buffer_init(&list, KIB(16));
	for (size_t i = 0; i < info->output_count; i++) {
		list_add(&list, &count, info->outputs[i].name);
		if (span_equal(info->outputs[i].name, span_of(plan->options.output_name))) {
			plan->output = i;
			buffer_done(&list);
			return true;
		}
	}
	(void)error_set(err, ERROR_INVALID, "the model has no output '%s'; it has %.*s", plan->options.output_name,
			(int)list.len, list.ptr);
	buffer_done(&list);
	return false;
}

/* One row of zeros through the model tells how wide a row of its output is; the file's own words are not always enough.
 */
static bool probe_width(const struct score_plan *plan, size_t *ret)
{
	const struct model_info *info = plan->info;
	struct tensor *inputs, *results;
	struct error err = { 0 };
	struct arena arena;
	bool ok = true;

	arena_init(&arena, PROBE_MAX);
	inputs = ARENA_ARRAY(&arena, struct tensor, info->input_count, &err);
	results = ARENA_ARRAY(&arena, struct tensor, info->output_count, &err);
	for (size_t i = 0; ok && inputs && i < info->input_count; i++) {
		const struct tensor_spec *spec = &info->inputs[i];
		int64_t shape[TENSOR_RANK_MAX];

		for (int k = 0; k < spec->rank; k++)
			shape[k] = k == 0 ? 1 : spec->shape[k];
		if (plan->is_matrix && spec->rank == 2)
			shape[1] = (int64_t)plan->column_count;
		ok = tensor_new(&inputs[i], spec->name, spec->dtype, spec->rank, shape, &arena, &err);
		if (ok)
			memset(inputs[i].data, 0, inputs[i].count * dtype_size(spec->dtype));
		for (size_t k = 0; ok && spec->dtype == DTYPE_BYTES && k < inputs[i].count; k++)
			((struct span *)inputs[i].data)[k] = SPAN("");
	}
	ok = ok && inputs && results &&
	     model_run(plan->model, inputs, UINT64_C(1) << plan->output, results, &arena, &err);
	if (ok)
		*ret = results[plan->output].count;
	arena_done(&arena);
	return ok;
}

static bool find_width(struct score_plan *plan, struct error *err)
{
	const struct tensor_spec *spec = &plan->info->outputs[plan->output];

	if (probe_width(plan, &plan->width))
		return true;
	/* A model that does not take zeros (or empty strings): what it declares must do. */
	plan->width = 1;
	for (int k = 1; k < spec->rank; k++) {
		if (spec->shape[k] < 0)
			return error_set(err, ERROR_INVALID, "output '" SPAN_FMT "' has no fixed width",
					 SPAN_ARG(spec->name));
		if (!checked_mul(plan->width, (size_t)spec->shape[k], &plan->width) || plan->width > CSV_FIELDS_MAX)
			break;
	}
	return true;
}

static void put_output_names(struct score_plan *plan)
{
	const struct model_info *info = plan->info;
	bool is_score = (int)plan->output == info->score_output;
	bool is_binary = is_score && info->task == MODEL_TASK_BINARY && plan->width <= 2;
	bool has_classes = is_score && info->class_names && info->class_count == plan->width;
	struct span stem = is_score && !plan->options.output_name ? SPAN("response") : info->outputs[plan->output].name;

	plan->first = is_binary ? plan->width - 1 : 0;
	plan->count = is_binary ? 1 : plan->width;
	for (size_t i = 0; i < plan->count; i++) {
		struct buffer name;

		buffer_init(&name, KIB(64));
		if (plan->count == 1)
			buffer_append(&name, stem);
		else if (has_classes)
			buffer_append(&name, info->class_names[i]);
		else
			buffer_print(&name, SPAN_FMT "_%zu", SPAN_ARG(stem), i);
		if (plan->head.len > 0)
			buffer_byte(&plan->head, plan->options.separator);
		csv_write_field(&plan->head, buffer_span(&name), plan->options.separator);
		buffer_done(&name);
	}
	buffer_byte(&plan->head, '\n');
}

static bool plan_outputs(struct score_plan *plan, struct span header_text, struct error *err)
{
	if (!find_output(plan, err) || !find_width(plan, err))
		return false;
	if (plan->width == 0 || plan->width > CSV_FIELDS_MAX)
		return error_set(err, ERROR_INVALID,
				 "output '" SPAN_FMT "' has %zu numbers a row: no CSV is made of it",
				 SPAN_ARG(plan->info->outputs[plan->output].name), plan->width);
	buffer_init(&plan->head, HEAD_MAX);
	if (plan->options.keep_columns && plan->has_header)
		buffer_append(&plan->head, header_text);
	put_output_names(plan);
	if (plan->options.keep_columns && !plan->has_header)
		buffer_clear(&plan->head); /* a file without a header keeps none */
	return buffer_ok(&plan->head, "the output's header", err);
}

/* ---- the whole ---- */

static bool plan_columns(struct score_plan *plan, const struct span *fields, struct arena *arena, struct error *err)
{
	const struct span *header = plan->has_header ? fields : NULL;
	bool ok;

	plan->from = ARENA_ARRAY(arena, size_t, plan->column_count, err);
	if (!plan->from)
		return false;
	ok = plan->names && header ? match_by_name(plan, header, arena, err) : match_by_position(plan, header, err);
	if (!ok)
		return false;
	plan->is_direct = plan->is_matrix && plan->info->inputs[0].dtype == DTYPE_FP32 &&
			  plan->field_count == plan->column_count && !plan->options.keep_columns &&
			  !plan->options.skip_bad;
	for (size_t i = 0; i < plan->column_count; i++)
		plan->is_direct = plan->is_direct && plan->from[i] == i;
	return true;
}

static bool plan_names(struct score_plan *plan, struct arena *arena, struct error *err)
{
	const struct model_info *info = plan->info;
	struct span *names;

	plan->names = info->feature_names;
	if (plan->names || plan->options.feature_count == 0)
		return true;
	if (plan->options.feature_count != plan->column_count)
		return error_set(err, ERROR_INVALID, "--features names %zu columns, the model takes %zu",
				 plan->options.feature_count, plan->column_count);
	names = ARENA_ARRAY(arena, struct span, plan->column_count, err);
	for (size_t i = 0; names && i < plan->column_count; i++)
		names[i] = span_of(plan->options.features[i]);
	plan->names = names;
	return names != NULL;
}

static bool plan_batch(struct score_plan *plan, struct error *err)
{
	const struct model_info *info = plan->info;
	int64_t fixed = info->inputs[0].rank > 0 ? info->inputs[0].shape[0] : 1;
	size_t row = plan->column_count * dtype_size(info->inputs[0].dtype);

	plan->is_matrix = info->input_count == 1;
	plan->batch = MIN(MAX(BATCH_BYTES / row, (size_t)BATCH_LEAST), (size_t)BATCH_MOST);
	if (fixed == 1)
		plan->batch = 1;
	else if (fixed >= 0)
		return error_set(err, ERROR_UNIMPLEMENTED, "the model takes exactly %lld rows at once",
				 (long long)fixed);
	return true;
}

bool score_plan_make(struct score_plan *plan, const struct model *model, const struct score_options *options,
		     struct span block, size_t *ret_used, uint64_t *ret_line, struct arena *arena, struct error *err)
{
	const struct model_info *info = model_info(model);
	struct span *fields = ARENA_ARRAY(arena, struct span, CSV_FIELDS_MAX, err);
	struct csv csv;
	const char *start;
	enum csv_result result;

	*plan = (struct score_plan){
		.model = model, .info = info, .options = *options, .column_count = info->feature_count
	};
	if (!fields)
		return false;
	if (plan->column_count == 0 || (info->input_count != 1 && info->input_count != plan->column_count))
		return error_set(err, ERROR_INVALID, "the model's input is no table: it cannot score a CSV file");
	if (!plan_batch(plan, err) || !plan_names(plan, arena, err))
		return false;

	csv_init(&csv, options->separator);
	csv_block(&csv, block, true);
	start = csv.at;
	result = csv_next(&csv, fields, CSV_FIELDS_MAX, &plan->field_count, arena, err);
	if (result == CSV_FAILED)
		return false;
	if (result != CSV_RECORD)
		return error_set(err, ERROR_INVALID, "the file is empty");
	plan->has_header = looks_like_header(fields, plan->field_count);
	*ret_used = plan->has_header ? (size_t)(csv.at - block.ptr) : 0;
	*ret_line = plan->has_header ? csv.next_line : 1;
	return plan_columns(plan, fields, arena, err) && plan_outputs(plan, score_line(start, csv.at), err);
}

void score_plan_done(struct score_plan *plan)
{
	buffer_done(&plan->head);
}
