/* SPDX-License-Identifier: Apache-2.0 */
/* v2 - REST of the Open Inference Protocol (V2), with the extensions named in v2_extensions. */
#include "inference/v2.h"

#include "base/number.h"
#include "inference/surfaces.h"

static const struct surface surface_v2 = { "v2", fail_as_json_error };

const struct span v2_extensions[] = {
	SPAN_INIT("binary_tensor_data"),  SPAN_INIT("classification"),
	SPAN_INIT("model_repository"),    SPAN_INIT("model_repository(unload_dependents)"),
	SPAN_INIT("model_configuration"), SPAN_INIT("statistics"),
	SPAN_INIT("parameters"),
};
const size_t v2_extension_count = ARRAY_LEN(v2_extensions);

static void send_json(struct request *req)
{
	request_send(req, 200, SPAN("application/json"));
}

/* ---- the server ---- */

static void server_metadata(struct request *req)
{
	struct json_writer w = json_writer(&req->out);

	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, SPAN(V2_SERVER_NAME));
	json_key(&w, SPAN("version"));
	json_string(&w, SPAN(HYTHE_VERSION));
	json_key(&w, SPAN("extensions"));
	json_open_array(&w);
	for (size_t i = 0; i < v2_extension_count; i++)
		json_string(&w, v2_extensions[i]);
	json_close_array(&w);
	json_close_object(&w);
	send_json(req);
}

static void server_live(struct request *req)
{
	buffer_append(&req->out, SPAN("{\"live\":true}"));
	send_json(req);
}

static void server_ready(struct request *req)
{
	buffer_append(&req->out, SPAN("{\"ready\":true}"));
	send_json(req);
}

static void model_list(struct request *req)
{
	struct json_writer w = json_writer(&req->out);
	size_t count;
	const struct served *const *all = served_all(req, &count);

	json_open_object(&w);
	json_key(&w, SPAN("models"));
	json_open_array(&w);
	for (size_t i = 0; i < count; i++)
		json_string(&w, all[i]->name);
	json_close_array(&w);
	json_close_object(&w);
	send_json(req);
}

/* ---- a model ---- */

static void write_shape(struct json_writer *w, const struct tensor_spec *spec)
{
	json_open_array(w);
	for (int i = 0; i < spec->rank; i++)
		json_int64(w, spec->shape[i]);
	json_close_array(w);
}

static void write_specs(struct json_writer *w, struct span key, const struct tensor_spec *specs, size_t count)
{
	json_key(w, key);
	json_open_array(w);
	for (size_t i = 0; i < count; i++) {
		json_open_object(w);
		json_key(w, SPAN("name"));
		json_string(w, specs[i].name);
		json_key(w, SPAN("datatype"));
		json_string(w, span_of(dtype_name(specs[i].dtype)));
		json_key(w, SPAN("shape"));
		write_shape(w, &specs[i]);
		json_close_object(w);
	}
	json_close_array(w);
}

static void model_metadata(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = served_find(req, &err);
	struct json_writer w = json_writer(&req->out);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("versions"));
	json_open_array(&w);
	json_string(&w, s->version);
	json_close_array(&w);
	json_key(&w, SPAN("platform"));
	json_string(&w, s->info->platform);
	write_specs(&w, SPAN("inputs"), s->info->inputs, s->info->input_count);
	write_specs(&w, SPAN("outputs"), s->info->outputs, s->info->output_count);
	json_close_object(&w);
	send_json(req);
}

static void model_ready(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = served_find(req, &err);
	struct json_writer w = json_writer(&req->out);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("ready"));
	json_bool(&w, true);
	json_close_object(&w);
	send_json(req);
}

/* Triton's names of the types: TYPE_FP32, and TYPE_STRING for BYTES. */
static void write_config_tensors(struct json_writer *w, struct span key, const struct tensor_spec *specs, size_t count)
{
	json_key(w, key);
	json_open_array(w);
	for (size_t i = 0; i < count; i++) {
		char type[24] = "TYPE_STRING";

		if (specs[i].dtype != DTYPE_BYTES)
			memcpy(type + 5, dtype_name(specs[i].dtype), strlen(dtype_name(specs[i].dtype)) + 1);
		json_open_object(w);
		json_key(w, SPAN("name"));
		json_string(w, specs[i].name);
		json_key(w, SPAN("data_type"));
		json_string(w, span_of(type));
		json_key(w, SPAN("dims"));
		write_shape(w, &specs[i]);
		json_close_object(w);
	}
	json_close_array(w);
}

static void model_config(struct request *req)
{
	struct error err = { 0 };
	const struct served *s = served_find(req, &err);
	struct json_writer w = json_writer(&req->out);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("platform"));
	json_string(&w, s->info->platform);
	json_key(&w, SPAN("backend"));
	json_string(&w, SPAN(V2_SERVER_NAME));
	json_key(&w, SPAN("version_policy"));
	json_raw(&w, SPAN("{\"latest\":{\"num_versions\":1}}"));
	json_key(&w, SPAN("max_batch_size"));
	json_int64(&w, 0); /* dims then hold the whole shape, the batch too */
	write_config_tensors(&w, SPAN("input"), s->info->inputs, s->info->input_count);
	write_config_tensors(&w, SPAN("output"), s->info->outputs, s->info->output_count);
	json_close_object(&w);
	send_json(req);
}

static void write_duration(struct json_writer *w, struct span key, uint64_t count, uint64_t ns)
{
	json_key(w, key);
	json_open_object(w);
	json_key(w, SPAN("count"));
	json_uint64(w, count);
	json_key(w, SPAN("ns"));
	json_uint64(w, ns);
	json_close_object(w);
}

static void write_stats(struct json_writer *w, const struct served *s)
{
	struct served_totals t = served_totals(s);

	json_open_object(w);
	json_key(w, SPAN("name"));
	json_string(w, s->name);
	json_key(w, SPAN("version"));
	json_string(w, s->version);
	json_key(w, SPAN("last_inference"));
	json_int64(w, t.last_ns / 1000000);
	json_key(w, SPAN("inference_count"));
	json_uint64(w, t.rows);
	json_key(w, SPAN("execution_count"));
	json_uint64(w, t.successes);
	json_key(w, SPAN("inference_stats"));
	json_open_object(w);
	write_duration(w, SPAN("success"), t.successes, t.model_ns);
	write_duration(w, SPAN("fail"), t.failures, 0);
	write_duration(w, SPAN("queue"), t.successes, 0);
	write_duration(w, SPAN("compute_input"), t.successes, 0);
	write_duration(w, SPAN("compute_infer"), t.successes, t.model_ns);
	write_duration(w, SPAN("compute_output"), t.successes, 0);
	write_duration(w, SPAN("cache_hit"), 0, 0);
	write_duration(w, SPAN("cache_miss"), 0, 0);
	json_close_object(w);
	json_key(w, SPAN("response_stats"));
	json_raw(w, SPAN("{}"));
	json_key(w, SPAN("batch_stats"));
	json_raw(w, SPAN("[]"));
	json_key(w, SPAN("memory_usage"));
	json_open_array(w);
	if (s->info) {
		json_open_object(w);
		json_key(w, SPAN("type"));
		json_string(w, SPAN("CPU"));
		json_key(w, SPAN("id"));
		json_int64(w, 0);
		json_key(w, SPAN("byte_size"));
		json_uint64(w, s->info->bytes);
		json_close_object(w);
	}
	json_close_array(w);
	json_close_object(w);
}

static void model_stats(struct request *req)
{
	struct error err = { 0 };
	struct span name = request_param(req, "model");
	const struct served *one = NULL, *const *all = &one;
	struct json_writer w = json_writer(&req->out);
	size_t count = 1;

	if (name.ptr) {
		one = served_look(req, name, request_param(req, "version"), &err);
		if (!one) {
			request_fail(req, &err);
			return;
		}
	} else {
		all = served_all(req, &count);
	}
	json_open_object(&w);
	json_key(&w, SPAN("model_stats"));
	json_open_array(&w);
	for (size_t i = 0; i < count; i++)
		write_stats(&w, all[i]);
	json_close_array(&w);
	json_close_object(&w);
	send_json(req);
}

/* ---- infer ---- */

static void infer_finish(struct request *req, struct call *call)
{
	struct v2_infer *infer = CONTAINER_OF(call, struct v2_infer, call);
	struct error err = { 0 };
	size_t json_len;

	if (!call_run(req, call, &err) || !v2_classify_results(infer, &req->arena, &err) ||
	    !v2_json_write(&req->out, infer, &json_len, &err)) {
		buffer_clear(&req->out);
		request_fail(req, &err);
		return;
	}
	if (json_len) {
		struct span text = arena_print(&req->arena, &err, "%zu", json_len);

		request_set_header(req, SPAN("inference-header-content-length"), text);
		request_send(req, 200, SPAN("application/octet-stream"));
	} else {
		send_json(req);
	}
}

/* Where the JSON ends and tensors begin, by the header that says so. */
static bool infer_read(struct request *req, struct v2_infer *infer, struct error *err)
{
	struct span header = request_header(req, SPAN("inference-header-content-length"));
	struct span json = req->body, binary = { 0 };
	uint64_t len;

	if (!header.ptr) {
		if (span_starts(req->content_type, SPAN("application/octet-stream")))
			return error_set(
			    err, ERROR_INVALID,
			    "a body of application/octet-stream needs the header Inference-Header-Content-Length");
		return v2_json_read(json, binary, &req->arena, infer, err);
	}
	if (!number_parse_uint64(header, &len) || len > req->body.len)
		return error_set(err, ERROR_INVALID,
				 "Inference-Header-Content-Length is '" SPAN_FMT "', expected at most the body's %zu",
				 SPAN_ARG(header), req->body.len);
	if (len == 0)
		return v2_raw_read(req->body, infer->call.served, &req->arena, infer, err);
	json = span_first(req->body, (size_t)len);
	binary = span_skip(req->body, (size_t)len);
	return v2_json_read(json, binary, &req->arena, infer, err);
}

static void infer_start(struct request *req, void *arg)
{
	struct error err = { 0 };
	struct v2_infer *infer = ARENA_NEW(&req->arena, struct v2_infer, &err);

	(void)arg;
	if (!infer || !(infer->call.served = served_find(req, &err)) || !infer_read(req, infer, &err)) {
		request_fail(req, &err);
		return;
	}
	if (UNLIKELY(call_is_long(req, &infer->call)))
		call_offload(req, &infer->call, infer_finish);
	else
		infer_finish(req, &infer->call);
}

static void model_infer(struct request *req)
{
	if (UNLIKELY(req->body.len > REQUEST_INLINE_BYTES))
		inference_offload(req, infer_start, NULL);
	else
		infer_start(req, NULL);
}

/* ---- the repository ---- */

static bool read_index_request(struct span body, struct arena *arena, bool *ret_ready, struct error *err)
{
	struct json j;
	struct span key;

	if (span_trim(body).len == 0)
		return true;
	json_init(&j, body, arena);
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err)) {
		if (span_equal(key, SPAN("ready")) ? !json_read_bool(&j, ret_ready, err) : !json_skip(&j, err))
			return false;
	}
	return json_finish(&j, err);
}

static void repository_index(struct request *req)
{
	struct error err = { 0 };
	struct json_writer w = json_writer(&req->out);
	bool ready_only = false;
	size_t count;
	const struct served *const *all = served_all(req, &count);

	if (!read_index_request(req->body, &req->arena, &ready_only, &err)) {
		request_fail(req, &err);
		return;
	}
	json_open_array(&w);
	for (size_t i = 0; i < count; i++) {
		if (ready_only && all[i]->state != SERVED_READY)
			continue;
		json_open_object(&w);
		json_key(&w, SPAN("name"));
		json_string(&w, all[i]->name);
		json_key(&w, SPAN("version"));
		json_string(&w, all[i]->version);
		json_key(&w, SPAN("state"));
		json_string(&w, v2_state_name(all[i]->state));
		json_key(&w, SPAN("reason"));
		json_string(&w, all[i]->reason);
		json_close_object(&w);
	}
	json_close_array(&w);
	send_json(req);
}

struct span v2_state_name(enum served_state state)
{
	static const struct span names[] = {
		[SERVED_READY] = SPAN_INIT("READY"),
		[SERVED_UNAVAILABLE] = SPAN_INIT("UNAVAILABLE"),
		[SERVED_LOADING] = SPAN_INIT("LOADING"),
		[SERVED_UNLOADING] = SPAN_INIT("UNLOADING"),
	};

	return names[state];
}

/* The configuration a client may send along: read to see that it is sound. The model's own is what counts. */
bool v2_check_config(struct span config, struct arena *arena, struct error *err)
{
	struct json j;

	json_init(&j, config, arena);
	if (json_peek(&j) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "parameter 'config' is not the text of a JSON object");
	if (!json_skip(&j, err) || !json_finish(&j, err))
		return error_wrap(err, "parameter 'config'");
	return true;
}

bool v2_refuse_file(struct span key, struct error *err)
{
	return error_set(err, ERROR_UNIMPLEMENTED,
			 "parameter '" SPAN_FMT "': models are loaded from this server's own files, not from a request",
			 SPAN_ARG(key));
}

static bool read_load_parameters(struct json *j, struct arena *arena, struct error *err)
{
	struct span key, text;

	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		if (span_starts(key, SPAN("file:")))
			return v2_refuse_file(key, err);
		if (span_equal(key, SPAN("config"))) {
			if (!json_read_string(j, &text, err) || !v2_check_config(text, arena, err))
				return false;
		} else if (!json_skip(j, err)) {
			return false;
		}
	}
	return !j->failed;
}

static bool read_load_request(struct span body, struct arena *arena, struct error *err)
{
	struct json j;
	struct span key;

	if (span_trim(body).len == 0)
		return true;
	json_init(&j, body, arena);
	if (!json_enter_object(&j, err))
		return false;
	while (json_next_key(&j, &key, err)) {
		if (span_equal(key, SPAN("parameters")) && json_peek(&j) != JSON_NULL
			? !read_load_parameters(&j, arena, err)
			: !json_skip(&j, err))
			return false;
	}
	return json_finish(&j, err);
}

static void load_run(struct request *req, void *arg)
{
	struct error err = { 0 };

	(void)arg;
	if (read_load_request(req->body, &req->arena, &err) &&
	    inference_load(req->context, request_param(req, "model"), &err))
		request_send(req, 200, (struct span){ 0 });
	else
		request_fail(req, &err);
}

static void repository_load(struct request *req)
{
	inference_offload(req, load_run, NULL);
}

static void unload_run(struct request *req, void *arg)
{
	struct error err = { 0 };

	(void)arg;
	if (read_load_request(req->body, &req->arena, &err) &&
	    inference_unload(req->context, request_param(req, "model"), &err))
		request_send(req, 200, (struct span){ 0 });
	else
		request_fail(req, &err);
}

static void repository_unload(struct request *req)
{
	inference_offload(req, unload_run, NULL);
}

#define MODEL         "/v2/models/{model}"
#define MODEL_VERSION "/v2/models/{model}/versions/{version}"

const struct route v2_routes[] = {
	{ METHOD_GET, "/v2", server_metadata, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/health/live", server_live, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/health/ready", server_ready, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/models", model_list, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/models/stats", model_stats, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL, model_metadata, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION, model_metadata, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL "/ready", model_ready, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION "/ready", model_ready, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL "/config", model_config, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION "/config", model_config, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL "/stats", model_stats, &surface_v2, ROUTE_HTTP },
	{ METHOD_GET, MODEL_VERSION "/stats", model_stats, &surface_v2, ROUTE_HTTP },
	{ METHOD_POST, MODEL "/infer", model_infer, &surface_v2, ROUTE_HTTP },
	{ METHOD_POST, MODEL_VERSION "/infer", model_infer, &surface_v2, ROUTE_HTTP },
	{ METHOD_POST, "/v2/repository/index", repository_index, &surface_v2, ROUTE_HTTP },
	{ METHOD_POST, "/v2/repository/models/{model}/load", repository_load, &surface_v2, ROUTE_HTTP },
	{ METHOD_POST, "/v2/repository/models/{model}/unload", repository_unload, &surface_v2, ROUTE_HTTP },
	{ 0 },
};
