/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API told in OpenAPI 3: /seldon.json for programs, /api/v1.0/doc/ for people. Both are made from what is served at
 * the moment: the paths without a name, and those of each model with a body that fits it.
 */
#include "inference/seldon.h"
#include "inference/surfaces.h"
#include "wire/json.h"

extern const struct span doc_page; /* doc.html: written by the build */

enum { EXAMPLE_COLUMNS = 64, EXAMPLE_ELEMENTS = 16 }; /* what is left of an example for a wide model */

static void text_member(struct json_writer *w, const char *key, struct span value)
{
	json_key(w, span_of(key));
	json_string(w, value);
}

/* ---- examples ---- */

static size_t example_width(const struct served *s)
{
	size_t width = s->columns ? s->column_count : s->info->feature_count;

	return MIN(width ? width : 3, (size_t)EXAMPLE_COLUMNS);
}

static bool column_is_text(const struct served *s, size_t column)
{
	const struct model_info *info = s->info;

	if (info->input_count > 1)
		return column < info->input_count && info->inputs[column].dtype == DTYPE_BYTES;
	return info->input_count == 1 && info->inputs[0].dtype == DTYPE_BYTES;
}

static void example_cell(struct json_writer *w, const struct served *s, size_t column)
{
	if (column_is_text(s, column))
		json_string(w, SPAN("a"));
	else
		json_int64(w, column % 2 == 0);
}

static void example_row(struct json_writer *w, const struct served *s)
{
	json_open_array(w);
	for (size_t i = 0; i < example_width(s); i++)
		example_cell(w, s, i);
	json_close_array(w);
}

static void example_message(struct json_writer *w, const struct served *s)
{
	json_open_object(w);
	json_key(w, SPAN("data"));
	json_open_object(w);
	if (s->columns && s->column_count <= EXAMPLE_COLUMNS) {
		json_key(w, SPAN("names"));
		json_open_array(w);
		for (size_t i = 0; i < s->column_count; i++)
			json_string(w, s->columns[i]);
		json_close_array(w);
	}
	json_key(w, SPAN("ndarray"));
	json_open_array(w);
	example_row(w, s);
	json_close_array(w);
	json_close_object(w);
	json_close_object(w);
}

static void example_record(struct json_writer *w, const struct served *s)
{
	if (!s->columns) {
		json_open_array(w);
		example_row(w, s);
		json_close_array(w);
		return;
	}
	json_open_object(w);
	for (size_t i = 0; i < s->column_count; i++) {
		json_key(w, s->columns[i]);
		example_cell(w, s, i);
	}
	json_close_object(w);
}

static void example_tensor(struct json_writer *w, const struct served *s, const struct tensor_spec *spec)
{
	size_t count = 1;

	json_open_object(w);
	text_member(w, "name", spec->name);
	json_key(w, SPAN("shape"));
	json_open_array(w);
	for (int i = 0; i < spec->rank; i++) {
		int64_t size = spec->shape[i] >= 0         ? spec->shape[i]
			       : i == 1 && spec->rank == 2 ? (int64_t)example_width(s)
							   : 1;

		json_int64(w, size);
		count = MIN(count * (size_t)MIN(size, EXAMPLE_ELEMENTS + 1), (size_t)EXAMPLE_COLUMNS);
	}
	json_close_array(w);
	text_member(w, "datatype", span_of(dtype_name(spec->dtype)));
	json_key(w, SPAN("data"));
	json_open_array(w);
	for (size_t i = 0; i < count; i++) {
		if (spec->dtype == DTYPE_BYTES)
			json_string(w, SPAN("a"));
		else
			json_int64(w, 0);
	}
	json_close_array(w);
	json_close_object(w);
}

static void example_v2(struct json_writer *w, const struct served *s)
{
	json_open_object(w);
	json_key(w, SPAN("inputs"));
	json_open_array(w);
	for (size_t i = 0; i < MIN(s->info->input_count, (size_t)EXAMPLE_COLUMNS); i++)
		example_tensor(w, s, &s->info->inputs[i]);
	json_close_array(w);
	json_close_object(w);
}

static void example_feedback(struct json_writer *w, const struct served *s)
{
	(void)s;
	json_open_object(w);
	json_key(w, SPAN("reward"));
	json_double(w, 1);
	json_close_object(w);
}

/* ---- paths ---- */

struct operation {
	const char *path; /* behind the prefix */
	const char *summary;
	void (*example)(struct json_writer *w, const struct served *s); /* NULL: GET, without a body */
};

static const struct operation operations[] = {
	{ "/api/v1.0/predictions", "Prediction for a SeldonMessage", example_message },
	{ "/predict", "Prediction for a row of named columns, a list of them, or a SeldonMessage", example_record },
	{ "/api/v1.0/feedback", "Reward for an earlier prediction", example_feedback },
	{ "/api/v1.0/metadata", "Inputs and outputs of the model", NULL },
	{ "/api/v1.0/health/status", "Whether the model answers", NULL },
};

static void answers_write(struct json_writer *w)
{
	json_key(w, SPAN("responses"));
	json_raw(w, SPAN("{\"200\":{\"description\":\"The answer\"},\"400\":{\"description\":\"The input does not fit; "
			 "the text says "
			 "what was expected\"},\"404\":{\"description\":\"No such "
			 "model\"},\"503\":{\"description\":\"The model is "
			 "not ready\"}}"));
}

static void operation_write(struct json_writer *w, struct span tag, const char *summary, const struct served *s,
			    void (*example)(struct json_writer *w, const struct served *s))
{
	json_open_object(w);
	json_key(w, example ? SPAN("post") : SPAN("get"));
	json_open_object(w);
	json_key(w, SPAN("tags"));
	json_open_array(w);
	json_string(w, tag);
	json_close_array(w);
	text_member(w, "summary", span_of(summary));
	if (example) {
		json_key(w, SPAN("requestBody"));
		json_open_object(w);
		json_key(w, SPAN("required"));
		json_bool(w, true);
		json_key(w, SPAN("content"));
		json_open_object(w);
		json_key(w, SPAN("application/json"));
		json_open_object(w);
		json_key(w, SPAN("schema"));
		json_open_object(w);
		json_close_object(w);
		json_key(w, SPAN("example"));
		example(w, s);
		json_close_object(w);
		json_close_object(w);
		json_close_object(w);
	}
	answers_write(w);
	json_close_object(w);
	json_close_object(w);
}

static void path_key(struct json_writer *w, struct arena *arena, const char *prefix, struct span name, const char *path)
{
	struct error ignored = { 0 };

	json_key(w, arena_print(arena, &ignored, "%s%.*s%s", prefix, (int)name.len, name.ptr ? name.ptr : "", path));
}

static void model_paths(struct json_writer *w, struct arena *arena, const struct served *s, bool is_default)
{
	for (size_t i = 0; is_default && i < ARRAY_LEN(operations); i++) {
		json_key(w, span_of(operations[i].path));
		operation_write(w, SPAN("default model"), operations[i].summary, s, operations[i].example);
	}
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		path_key(w, arena, "/models/", s->name, operations[i].path);
		operation_write(w, s->name, operations[i].summary, s, operations[i].example);
	}
	path_key(w, arena, "/v2/models/", s->name, "/infer");
	operation_write(w, s->name, "Prediction by the Open Inference Protocol V2", s, example_v2);
	path_key(w, arena, "/v2/models/", s->name, "");
	operation_write(w, s->name, "Metadata by the Open Inference Protocol V2", s, NULL);
}

/* GET /seldon.json */
static void document(struct request *req)
{
	struct json_writer w = json_writer(&req->out);
	size_t count;
	const struct served *const *all = served_all(req, &count);

	json_open_object(&w);
	text_member(&w, "openapi", SPAN("3.0.3"));
	json_key(&w, SPAN("info"));
	json_open_object(&w);
	text_member(&w, "title", SPAN("hythe"));
	text_member(&w, "version", SPAN(HYTHE_VERSION));
	text_member(
	    &w, "description",
	    SPAN("Models served here, by the Seldon protocol, as records, and by the Open Inference Protocol V2."));
	json_close_object(&w);
	json_key(&w, SPAN("paths"));
	json_open_object(&w);
	for (size_t i = 0; i < count; i++) {
		if (all[i]->info && all[i]->state == SERVED_READY)
			model_paths(&w, &req->arena, all[i], i == 0);
	}
	json_close_object(&w);
	json_close_object(&w);
	request_send(req, 200, SPAN("application/json"));
}

/* GET /api/v1.0/doc/ */
static void page(struct request *req)
{
	buffer_append(&req->out, doc_page);
	request_send(req, 200, SPAN("text/html; charset=utf-8"));
}

/* The page's links are relative to the folder. */
static void page_folder(struct request *req)
{
	request_set_header(req, SPAN("location"), SPAN("doc/"));
	request_send(req, 308, (struct span){ 0 });
}

const struct route openapi_routes[] = {
	{ METHOD_GET, "/seldon.json", document, &surface_seldon, ROUTE_HTTP },
	{ METHOD_GET, "/api/v0.1/doc/", page, &surface_seldon, ROUTE_HTTP },
	{ METHOD_GET, "/api/v0.1/doc", page_folder, &surface_seldon, ROUTE_HTTP },
	{ METHOD_GET, "/api/v0.1/doc/seldon.json", document, &surface_seldon, ROUTE_HTTP },
	{ METHOD_GET, "/api/v1.0/doc/", page, &surface_seldon, ROUTE_HTTP },
	{ METHOD_GET, "/api/v1.0/doc", page_folder, &surface_seldon, ROUTE_HTTP },
	{ METHOD_GET, "/api/v1.0/doc/seldon.json", document, &surface_seldon, ROUTE_HTTP },
	{ 0 },
};
