/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Seldon protocol's REST endpoints.
 *
 * Each path stands for the first model served. With a model's name it is one of
 *	/models/{model}/api/v1.0/predictions               and so on for every path below
 *	/seldon/{namespace}/{model}/api/v1.0/predictions   the form of Seldon's gateways; the namespace is not looked at
 *
 * POST and GET /predict is shared with records: see records.c, which calls seldon_predict_request() for Seldon
 * messages.
 *
 * puid: meta.puid is echoed when the request's body has one, as Seldon's wrapper does; the header Seldon-Puid is on
 * every answer: the request's header, else the body's puid, else a new UUID, as Seldon's orchestrator does.
 */
#include "inference/seldon.h"

#include "inference/component.h"
#include "inference/multipart.h"
#include "inference/surfaces.h"
#include "wire/base64.h"

/* ---- errors ---- */

/* The two reasons Seldon's wrapper knows for these: your data, or our failure. */
struct span seldon_reason(int status)
{
	return status < 429 ? SPAN("MICROSERVICE_BAD_DATA") : SPAN("MICROSERVICE_INTERNAL_ERROR");
}

void seldon_send_failure(struct request *req, int status, int code, struct span reason, struct span info)
{
	struct json_writer w = json_writer(&req->out);

	json_open_object(&w);
	json_key(&w, SPAN("status"));
	json_open_object(&w);
	json_key(&w, SPAN("code"));
	json_int64(&w, code);
	json_key(&w, SPAN("info"));
	json_string(&w, info);
	json_key(&w, SPAN("reason"));
	json_string(&w, reason);
	json_key(&w, SPAN("status"));
	json_int64(&w, 1);
	json_close_object(&w);
	json_close_object(&w);
	request_send(req, status, SPAN("application/json"));
}

static void seldon_fail(struct request *req, const struct error *err)
{
	int status = error_http(err->code);

	if (inference_edge(req->context))
		seldon_set_puid(req, (struct span){ 0 });
	seldon_send_failure(req, status, -1, seldon_reason(status), error_span(err));
}

const struct surface surface_seldon = { "seldon", seldon_fail };

/* ---- where the message is ---- */

static bool media_is(const struct request *req, struct span type)
{
	return span_equal_ignore_case(span_trim(span_first(req->content_type, span_index(req->content_type, ';'))),
				      type);
}

bool request_is_form(const struct request *req)
{
	return media_is(req, SPAN("application/x-www-form-urlencoded"));
}

bool request_is_multipart(const struct request *req)
{
	return media_is(req, SPAN("multipart/form-data"));
}

bool seldon_is_json(struct span body)
{
	struct span text = span_trim(span_first(body, 64));

	return text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '[');
}

bool seldon_form_json(struct request *req, struct span *ret)
{
	struct span rest = req->body, name, value;

	while (request_is_form(req) && !seldon_is_json(req->body) && form_next(&rest, &req->arena, &name, &value)) {
		if (span_equal(name, SPAN("json"))) {
			*ret = value;
			return true;
		}
	}
	return req->query.len > 0 && request_query(req, SPAN("json"), ret);
}

bool seldon_is_message(struct span text, const struct span *columns, size_t column_count, struct arena *arena)
{
	static const struct span payloads[] = { SPAN_INIT("data"), SPAN_INIT("jsonData"), SPAN_INIT("strData"),
						SPAN_INIT("binData") };
	struct error ignored = { 0 };
	struct json j;
	struct span key;

	json_init(&j, span_first(text, REQUEST_INLINE_BYTES), arena);
	j.allow_nonfinite = true;
	if (json_peek(&j) != JSON_OBJECT || !json_enter_object(&j, &ignored))
		return false;
	while (json_next_key(&j, &key, &ignored)) {
		for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
			size_t column = 0;

			if (!span_equal(key, payloads[i]))
				continue;
			while (column < column_count && !span_equal(columns[column], key))
				column++;
			if (column == column_count)
				return true;
		}
		if (!json_skip(&j, &ignored))
			return false;
	}
	return false;
}

/* A form field of a message: JSON, but for strData, which is taken as it is. Files: binData as bytes, others as text.
 */
static bool part_read(struct seldon_message *m, const struct multipart_part *part, struct arena *arena,
		      struct error *err)
{
	bool is_text = span_equal(part->name, SPAN("strData"));
	struct json j;

	if (part->is_file && span_equal(part->name, SPAN("binData"))) {
		m->kind = SELDON_BINARY;
		m->bytes = part->content;
		return true;
	}
	if ((is_text || part->is_file) && !span_is_utf8(part->content))
		return error_set(err, ERROR_INVALID, "form field '" SPAN_FMT "' is not UTF-8 text",
				 SPAN_ARG(part->name));
	if (is_text) {
		m->kind = SELDON_TEXT;
		m->bytes = part->content;
		return true;
	}
	json_init(&j, part->content, arena);
	j.allow_nonfinite = true;
	if (!seldon_read_member(m, part->name, &j, err) || !json_finish(&j, err))
		return error_wrap(err, "form field '" SPAN_FMT "'", SPAN_ARG(part->name));
	return true;
}

/* Parts in the strength of their payloads, since reading a weaker one must not undo a stronger one. */
bool seldon_read_multipart(struct request *req, struct seldon_message *ret, struct error *err)
{
	static const struct span order[] = { SPAN_INIT("binData"), SPAN_INIT("strData"), SPAN_INIT("jsonData"),
					     SPAN_INIT("data"), SPAN_INIT("meta") };
	struct seldon_message m = { .is_whole = ret->is_whole };

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct multipart_part part;
		struct multipart parts;

		if (!multipart_init(&parts, req->content_type, req->body, err))
			return false;
		while (multipart_next(&parts, &part, err)) {
			if (span_equal(part.name, order[i]) && !part_read(&m, &part, &req->arena, err))
				return false;
		}
		if (parts.failed)
			return false;
	}
	*ret = m;
	return true;
}

/* Form field, query parameter or body, in the order Seldon's wrapper looks. */
bool seldon_find_text(struct request *req, struct span *ret, struct error *err)
{
	if (seldon_form_json(req, ret))
		return true;
	*ret = req->body;
	if (span_trim(*ret).len == 0 || (request_is_form(req) && !seldon_is_json(*ret)))
		return error_set(err, ERROR_INVALID, "Can't find JSON in data");
	return true;
}

static bool message_read(struct request *req, struct seldon_message *ret, struct error *err)
{
	struct span text;

	if (request_is_multipart(req))
		return seldon_read_multipart(req, ret, err);
	return seldon_find_text(req, &text, err) && seldon_read_json(ret, text, &req->arena, err);
}

/* ---- handlers ---- */

static void answer_json(struct request *req)
{
	request_send(req, 200, SPAN("application/json"));
}

static struct seldon_work *work_read(struct request *req, struct error *err)
{
	struct seldon_work *work = ARENA_NEW(&req->arena, struct seldon_work, err);

	if (!work || !message_read(req, &work->message, err))
		return NULL;
	work->send = answer_json;
	/* Answers are about as long as questions; a large one should not be moved while it grows. */
	if (req->body.len > REQUEST_INLINE_BYTES)
		(void)buffer_grow(&req->out, MIN(req->body.len, req->out.limit));
	return work;
}

static void predict_step(struct request *req, void *arg)
{
	struct error err = { 0 };
	const struct served *served = served_find(req, &err);
	struct seldon_work *work = served ? work_read(req, &err) : NULL;

	(void)arg;
	if (work)
		seldon_predict(req, served, work);
	else
		request_fail(req, &err);
}

/* Somebody's code is asked with the whole message. */
static bool is_component(struct request *req, enum component_method method)
{
	struct error ignored = { 0 };
	const struct served *served = served_find(req, &ignored);

	return served && seldon_component(req, served, method);
}

/* Goes on at once, or on a compute thread when the body is long to read. */
static void step(struct request *req, void (*run)(struct request *req, void *arg))
{
	if (req->body.len > REQUEST_INLINE_BYTES && !request_is_offloaded(req))
		inference_offload(req, run, NULL);
	else
		run(req, NULL);
}

void seldon_predict_request(struct request *req)
{
	req->surface = &surface_seldon;
	if (!is_component(req, COMPONENT_PREDICT))
		step(req, predict_step);
}

/* POST /api/v1.0/predictions */
static void predictions(struct request *req)
{
	if (!is_component(req, COMPONENT_PREDICT))
		step(req, predict_step);
}

static void transform_step(struct request *req, void *arg)
{
	struct error err = { 0 };
	const struct served *served = served_find(req, &err);
	struct seldon_work *work = served ? work_read(req, &err) : NULL;

	(void)arg;
	if (work)
		seldon_identity(req, work);
	else
		request_fail(req, &err);
}

/* POST /transform-input, /transform-output: a model file has no such method, and what is not there changes nothing. */
static void transform_input(struct request *req)
{
	if (!is_component(req, COMPONENT_TRANSFORM_INPUT))
		step(req, transform_step);
}

static void transform_output(struct request *req)
{
	if (!is_component(req, COMPONENT_TRANSFORM_OUTPUT))
		step(req, transform_step);
}

/* POST /route */
static void route(struct request *req)
{
	if (!is_component(req, COMPONENT_ROUTE))
		seldon_route_undefined(req);
}

/* POST /aggregate */
static void aggregate(struct request *req)
{
	if (!is_component(req, COMPONENT_AGGREGATE))
		seldon_aggregate_undefined(req);
}

static void feedback_step(struct request *req, void *arg)
{
	struct error err = { 0 };
	const struct served *served = served_find(req, &err);
	struct seldon_feedback f;
	struct span text;

	(void)arg;
	if (!served || !seldon_find_text(req, &text, &err) || !seldon_read_feedback_json(&f, text, &req->arena, &err) ||
	    !seldon_reward(served, &f, &err)) {
		request_fail(req, &err);
		return;
	}
	seldon_set_puid(req, f.puid);
	buffer_append(&req->out, SPAN("{\"data\":{\"ndarray\":[]},\"meta\":{}}"));
	answer_json(req);
}

/* POST /send-feedback, /api/v1.0/feedback */
static void feedback(struct request *req)
{
	if (!is_component(req, COMPONENT_FEEDBACK))
		step(req, feedback_step);
}

/* GET /health/ping */
static void health_ping(struct request *req)
{
	buffer_append(&req->out, SPAN("pong"));
	request_send(req, 200, SPAN("text/html; charset=utf-8"));
}

/* GET /health/status */
static void health_status(struct request *req)
{
	struct error err = { 0 };
	const struct served *served = served_find(req, &err);

	if (!served) {
		request_fail(req, &err);
		return;
	}
	if (seldon_component(req, served, COMPONENT_HEALTH))
		return;
	buffer_append(&req->out, SPAN("{\"meta\":{},\"strData\":\"healthy\"}"));
	answer_json(req);
}

/* GET /api/v1.0/status: 200 or 503, without a body. */
static void graph_status(struct request *req)
{
	struct error err = { 0 };

	if (served_find(req, &err))
		request_send(req, 200, (struct span){ 0 });
	else if (err.code == ERROR_NOT_FOUND)
		request_fail(req, &err);
	else
		request_send(req, 503, (struct span){ 0 });
}

/* ---- metadata ---- */

static void names_write(struct json_writer *w, const struct served *s)
{
	json_key(w, SPAN("schema"));
	json_open_object(w);
	json_key(w, SPAN("names"));
	json_open_array(w);
	for (size_t i = 0; i < s->column_count; i++)
		json_string(w, s->columns[i]);
	json_close_array(w);
	json_key(w, SPAN("shape"));
	json_open_array(w);
	json_uint64(w, s->column_count);
	json_close_array(w);
	json_close_object(w);
}

/* Both ways Seldon's users describe a tensor: messagetype and schema, or datatype and shape. */
static void specs_write(struct json_writer *w, const struct tensor_spec *specs, size_t count,
			const struct served *columns)
{
	json_open_array(w);
	for (size_t i = 0; i < count; i++) {
		int64_t rank = specs[i].rank;

		json_open_object(w);
		json_key(w, SPAN("datatype"));
		json_string(w, span_of(dtype_name(specs[i].dtype)));
		json_key(w, SPAN("messagetype"));
		json_string(w, SPAN("tensor"));
		json_key(w, SPAN("name"));
		json_string(w, specs[i].name);
		if (columns && columns->columns && count == 1)
			names_write(w, columns);
		json_key(w, SPAN("shape"));
		json_numbers(w, JSON_I64, specs[i].shape, 1, &rank);
		json_close_object(w);
	}
	json_close_array(w);
}

/* GET /metadata */
static void metadata(struct request *req)
{
	struct json_writer w = json_writer(&req->out);
	struct error err = { 0 };
	const struct served *s = served_find(req, &err);

	if (!s) {
		request_fail(req, &err);
		return;
	}
	if (seldon_component(req, s, COMPONENT_METADATA))
		return;
	json_open_object(&w);
	json_key(&w, SPAN("custom"));
	json_open_object(&w);
	json_key(&w, SPAN("kind"));
	json_string(&w, s->info->kind);
	json_close_object(&w);
	json_key(&w, SPAN("inputs"));
	specs_write(&w, s->info->inputs, s->info->input_count, s);
	json_key(&w, SPAN("name"));
	json_string(&w, s->name);
	json_key(&w, SPAN("outputs"));
	specs_write(&w, s->info->outputs, s->info->output_count, NULL);
	json_key(&w, SPAN("platform"));
	json_string(&w, s->info->platform);
	json_key(&w, SPAN("versions"));
	json_open_array(&w);
	json_string(&w, s->version);
	json_close_array(&w);
	json_close_object(&w);
	answer_json(req);
}

/* ---- routes ---- */

#define BOTH (METHOD_GET | METHOD_POST)

/* What an orchestrator's users ask, under a prefix. */
#define API_ROUTES(prefix)                                                                                             \
	{ BOTH, prefix "/api/v0.1/predictions", predictions, &surface_seldon, ROUTE_HTTP },                            \
	    { BOTH, prefix "/api/v1.0/predictions", predictions, &surface_seldon, ROUTE_HTTP },                        \
	    { BOTH, prefix "/api/v0.1/feedback", feedback, &surface_seldon, ROUTE_HTTP },                              \
	    { BOTH, prefix "/api/v1.0/feedback", feedback, &surface_seldon, ROUTE_HTTP },                              \
	    { METHOD_GET, prefix "/api/v1.0/health/status", health_status, &surface_seldon, ROUTE_HTTP },              \
	    { METHOD_GET, prefix "/api/v1.0/status", graph_status, &surface_seldon, ROUTE_HTTP },                      \
	{                                                                                                              \
		METHOD_GET, prefix "/api/v1.0/metadata", metadata, &surface_seldon, ROUTE_HTTP                         \
	}

/* What an orchestrator asks of a component. */
#define COMPONENT_ROUTES(prefix)                                                                                       \
	{ BOTH, prefix "/send-feedback", feedback, &surface_seldon, ROUTE_HTTP },                                      \
	    { BOTH, prefix "/transform-input", transform_input, &surface_seldon, ROUTE_HTTP },                         \
	    { BOTH, prefix "/transform-output", transform_output, &surface_seldon, ROUTE_HTTP },                       \
	    { BOTH, prefix "/route", route, &surface_seldon, ROUTE_HTTP },                                             \
	    { BOTH, prefix "/aggregate", aggregate, &surface_seldon, ROUTE_HTTP },                                     \
	    { METHOD_GET, prefix "/health/status", health_status, &surface_seldon, ROUTE_HTTP },                       \
	{                                                                                                              \
		METHOD_GET, prefix "/metadata", metadata, &surface_seldon, ROUTE_HTTP                                  \
	}

/* A node of the graph by its name: the only nodes here are models. */
#define NODE_ROUTES(version)                                                                                           \
	{ METHOD_GET, "/api/" version "/status/{model}", health_status, &surface_seldon, ROUTE_HTTP },                 \
	{                                                                                                              \
		METHOD_GET, "/api/" version "/metadata/{model}", metadata, &surface_seldon, ROUTE_HTTP                 \
	}

const struct route seldon_routes[] = {
	{ METHOD_GET, "/health/ping", health_ping, &surface_seldon, ROUTE_HTTP },
	API_ROUTES(""),
	API_ROUTES("/models/{model}"),
	API_ROUTES("/seldon/{namespace}/{model}"),
	COMPONENT_ROUTES(""),
	COMPONENT_ROUTES("/models/{model}"),
	NODE_ROUTES("v0.1"),
	NODE_ROUTES("v1.0"),
	{ 0 },
};
