/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/describe.h"
#include "cli/targets.h"
#include "wire/json.h"

enum { NAMES_SHOWN = 20 };

static const char *task_text(enum model_task task)
{
	static const char *const names[] = {
		[MODEL_TASK_OTHER] = "tensors",
		[MODEL_TASK_REGRESSION] = "regression",
		[MODEL_TASK_BINARY] = "binary classification",
		[MODEL_TASK_MULTICLASS] = "classification",
	};

	return names[task];
}

static void put_names(struct buffer *out, const struct span *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i == NAMES_SHOWN && count > NAMES_SHOWN + 1) {
			buffer_print(out, ", and %zu more", count - i);
			return;
		}
		buffer_append(out, i ? SPAN(", ") : SPAN(""));
		buffer_append(out, names[i]);
	}
}

static void put_specs(struct buffer *out, const char *title, const struct tensor_spec *specs, size_t count, int score)
{
	for (size_t i = 0; i < count; i++) {
		buffer_print(out, "%-10s", i ? "" : title);
		describe_specs(&specs[i], 1, out);
		buffer_append(out, (int)i == score && count > 1 ? SPAN("  (score)\n") : SPAN("\n"));
	}
}

static void put_cost(struct buffer *out, const struct model_info *info)
{
	if (info->cost_ns_row <= 0)
		return;
	buffer_print(out, "%-10s", "cost");
	describe_ns(info->cost_ns_call, out);
	buffer_append(out, SPAN(" for one row, "));
	describe_ns(info->cost_ns_row, out);
	buffer_append(out, SPAN(" for each more in the same call (one core, about)\n"));
}

static void put_text(struct buffer *out, const char *path, const struct model_info *info)
{
	buffer_print(out, "%-10s%s\n%-10s" SPAN_FMT "\n%-10s%s\n", "model", path, "kind", SPAN_ARG(info->kind), "task",
		     task_text(info->task));
	put_specs(out, "inputs", info->inputs, info->input_count, -1);
	put_specs(out, "outputs", info->outputs, info->output_count, info->score_output);
	if (info->feature_count > 0) {
		buffer_print(out, "%-10s%zu%s", "columns", info->feature_count, info->feature_names ? ": " : "");
		if (info->feature_names)
			put_names(out, info->feature_names, info->feature_count);
		else
			buffer_append(out, SPAN(", without names (give them with --features)"));
		buffer_append(out, info->takes_missing ? SPAN("; missing values allowed\n") : SPAN("\n"));
	}
	if (info->class_count > 0) {
		buffer_print(out, "%-10s%zu%s", "classes", info->class_count, info->class_names ? ": " : "");
		if (info->class_names)
			put_names(out, info->class_names, info->class_count);
		buffer_byte(out, '\n');
	}
	buffer_print(out, "%-10s", "memory");
	describe_bytes(info->bytes, out);
	buffer_byte(out, '\n');
	put_cost(out, info);
}

/* ---- JSON ---- */

static void json_names(struct json_writer *w, const struct span *names, size_t count)
{
	json_open_array(w);
	for (size_t i = 0; i < count; i++)
		json_string(w, names[i]);
	json_close_array(w);
}

static void json_specs(struct json_writer *w, const struct tensor_spec *specs, size_t count)
{
	json_open_array(w);
	for (size_t i = 0; i < count; i++) {
		json_open_object(w);
		json_key(w, SPAN("name"));
		json_string(w, specs[i].name);
		json_key(w, SPAN("datatype"));
		json_string(w, span_of(dtype_name(specs[i].dtype)));
		json_key(w, SPAN("shape"));
		json_open_array(w);
		for (int k = 0; k < specs[i].rank; k++)
			json_int64(w, specs[i].shape[k]);
		json_close_array(w);
		json_close_object(w);
	}
	json_close_array(w);
}

static void put_json(struct buffer *out, const char *path, const struct model_info *info)
{
	struct json_writer w = json_writer(out);

	json_open_object(&w);
	json_key(&w, SPAN("path"));
	json_string(&w, span_of(path));
	json_key(&w, SPAN("kind"));
	json_string(&w, info->kind);
	json_key(&w, SPAN("platform"));
	json_string(&w, info->platform);
	json_key(&w, SPAN("task"));
	json_string(&w, span_of(task_text(info->task)));
	json_key(&w, SPAN("inputs"));
	json_specs(&w, info->inputs, info->input_count);
	json_key(&w, SPAN("outputs"));
	json_specs(&w, info->outputs, info->output_count);
	if (info->output_count > 0) {
		json_key(&w, SPAN("score_output"));
		json_string(&w, info->outputs[info->score_output].name);
	}
	json_key(&w, SPAN("feature_count"));
	json_uint64(&w, info->feature_count);
	json_key(&w, SPAN("features"));
	json_names(&w, info->feature_names, info->feature_names ? info->feature_count : 0);
	json_key(&w, SPAN("takes_missing"));
	json_bool(&w, info->takes_missing);
	json_key(&w, SPAN("classes"));
	json_names(&w, info->class_names, info->class_names ? info->class_count : 0);
	json_key(&w, SPAN("class_count"));
	json_uint64(&w, info->class_count);
	json_key(&w, SPAN("memory_bytes"));
	json_uint64(&w, info->bytes);
	json_key(&w, SPAN("cost_ns_call"));
	json_double(&w, info->cost_ns_call);
	json_key(&w, SPAN("cost_ns_row"));
	json_double(&w, info->cost_ns_row);
	json_close_object(&w);
	buffer_byte(out, '\n');
}

int inspect_run(const struct cli_call *call)
{
	const struct inspect_options *options = call->options;
	struct model_options model_options = model_options_of(&options->model);
	int code = EXIT_OK;

	for (size_t i = 0; i < call->argument_count; i++) {
		const char *path = target_split(call->arguments[i]).path;
		struct error err = { 0 };
		struct model *model = target_load(call->arguments[i], &model_options, &err);
		struct buffer out;

		if (!model) {
			cli_complain(call->command, &err);
			code = EXIT_FAILED;
			continue;
		}
		buffer_init(&out, MIB(256));
		if (!options->as_json && i > 0)
			buffer_byte(&out, '\n');
		if (options->as_json)
			put_json(&out, path, model_info(model));
		else
			put_text(&out, path, model_info(model));
		fwrite(out.ptr, 1, out.len, stdout);
		buffer_done(&out);
		model_unref(model);
	}
	return code;
}
