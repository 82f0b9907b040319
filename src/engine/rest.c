/* SPDX-License-Identifier: Apache-2.0 */
/* rest - the paths that Seldon's executor has over HTTP, for each of its protocols. */
#include "engine/engine_private.h"

static const struct predictor_node *root_of(const struct call *c)
{
	return &c->engine->config.predictor.root;
}

/* ---- seldon ---- */

static void message_done(struct call *c)
{
	const struct meta_note note = { root_of(c)->name, root_of(c)->image, -1 };
	struct request *req = c->req;
	struct span answer = buffer_span(&c->answer), puid;

	if (c->status != 200) {
		call_pass(c);
		return;
	}
	puid = meta_puid(req->body, &req->arena);
	meta_complete(answer, puid.len ? puid : c->puid, &note, &req->arena, &req->out);
	call_answer(c, 200, c->content_type.len ? c->content_type : SPAN("application/json"));
}

static void predictions(struct request *req)
{
	call_begin(req, SPAN("predictions"), SPAN("POST"), SPAN("/predict"), true, message_done);
}

static void feedback(struct request *req)
{
	call_begin(req, SPAN("feedback"), SPAN("POST"), SPAN("/send-feedback"), true, call_pass);
}

/* The node that the path names, which must be the one there is. */
static bool is_known_node(struct request *req)
{
	struct span name = request_param(req, "node");
	struct error ignored = { 0 };

	if (span_equal(name, engine_of(req)->config.predictor.root.name))
		return true;
	answer_headers(req, puid_of(req));
	answer_failure(req, 500, arena_print(&req->arena, &ignored, "Failed to find model " SPAN_FMT, SPAN_ARG(name)));
	return false;
}

static void node_status(struct request *req)
{
	if (is_known_node(req))
		call_begin(req, SPAN("status"), SPAN("GET"), SPAN("/health/status"), false, call_pass);
}

static void node_metadata(struct request *req)
{
	if (is_known_node(req))
		call_begin(req, SPAN("metadata"), SPAN("GET"), SPAN("/metadata"), false, call_pass);
}

/* ---- v2 and tensorflow: the caller's path, with the node's name where it has none ---- */

static void pass(struct request *req, struct span service, struct span path, bool has_body)
{
	call_begin(req, service, has_body ? SPAN("POST") : SPAN("GET"), path, has_body, call_pass);
}

static struct span target_path(const struct request *req)
{
	return span_first(req->target, span_index(req->target, '?'));
}

static void pass_post(struct request *req)
{
	pass(req, SPAN("predictions"), target_path(req), true);
}

static void pass_status(struct request *req)
{
	pass(req, SPAN("status"), target_path(req), false);
}

static void pass_metadata(struct request *req)
{
	pass(req, SPAN("metadata"), target_path(req), false);
}

static void pass_to_root(struct request *req, const char *form)
{
	struct error err = { 0 };
	struct span path = arena_print(&req->arena, &err, form, SPAN_WHOLE(engine_of(req)->config.predictor.root.name));

	if (path.ptr)
		pass(req, SPAN("predictions"), path, true);
	else
		request_fail(req, &err);
}

static void v2_infer_root(struct request *req)
{
	pass_to_root(req, "/v2/models/%.*s/infer");
}

static void tensorflow_predict_root(struct request *req)
{
	pass_to_root(req, "/v1/models/%.*s:predict");
}

/* "/v1/models/m/:predict": the same without the slash. */
static void tensorflow_predict_slash(struct request *req)
{
	struct error err = { 0 };
	struct span path = target_path(req), tail = SPAN("/:predict");

	path = arena_print(&req->arena, &err, "%.*s:predict", SPAN_WHOLE(span_first(path, path.len - tail.len)));
	if (path.ptr)
		pass(req, SPAN("predictions"), path, true);
	else
		request_fail(req, &err);
}

/* Feedback is for components of the Seldon protocol: the caller gets back what it sent. */
static void feedback_echo(struct request *req)
{
	answer_headers(req, puid_of(req));
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("application/json"));
}

/* ---- all ---- */

static void live(struct request *req)
{
	request_send(req, 200, (struct span){ 0 });
}

static void options(struct request *req)
{
	answer_headers(req, puid_of(req));
	request_send(req, 200, (struct span){ 0 });
}

static void method_not_allowed(struct request *req)
{
	request_send(req, 405, (struct span){ 0 });
}

static void not_found(struct request *req)
{
	buffer_append(&req->out, SPAN("404 page not found\n"));
	request_send(req, 404, SPAN("text/plain; charset=utf-8"));
}

static void other(struct request *req)
{
	if (span_starts(req->content_type, SPAN("application/grpc")))
		grpc_request(req);
	else
		not_found(req);
}

#define OTHER_THAN_POST (METHOD_GET | METHOD_PUT | METHOD_DELETE | METHOD_PATCH | METHOD_OTHER)
#define OTHER_THAN_GET  (METHOD_POST | METHOD_PUT | METHOD_DELETE | METHOD_PATCH | METHOD_OPTIONS | METHOD_OTHER)
#define POST_ROW(path, handler)                                                                                        \
	{ METHOD_POST, path, handler, &surface_engine, ROUTE_HTTP },                                                   \
	    { METHOD_OPTIONS, path, options, &surface_engine, ROUTE_HTTP },                                            \
	{                                                                                                              \
		OTHER_THAN_POST, path, method_not_allowed, &surface_engine, ROUTE_HTTP                                 \
	}
#define GET_ROW(path, handler)                                                                                         \
	{ METHOD_GET, path, handler, &surface_engine, ROUTE_HTTP },                                                    \
	{                                                                                                              \
		OTHER_THAN_GET, path, method_not_allowed, &surface_engine, ROUTE_HTTP                                  \
	}

const struct route engine_common_routes[] = {
	GET_ROW("/live", live),
	GET_ROW("/ready", engine_ready),
	{ METHOD_POST, "/grpc.health.v1.Health/Check", grpc_health, &surface_engine, ROUTE_GRPC },
	{ METHOD_GET | METHOD_HEAD | METHOD_POST | METHOD_PUT | METHOD_DELETE | METHOD_PATCH | METHOD_OPTIONS |
	      METHOD_OTHER,
	  "*", other, &surface_engine, ROUTE_STREAM },
	{ 0 },
};

const struct route engine_seldon_routes[] = {
	POST_ROW("/api/v0.1/predictions", predictions),
	POST_ROW("/api/v1.0/predictions", predictions),
	POST_ROW("/api/v0.1/feedback", feedback),
	POST_ROW("/api/v1.0/feedback", feedback),
	GET_ROW("/api/v0.1/status/{node}", node_status),
	GET_ROW("/api/v1.0/status/{node}", node_status),
	GET_ROW("/api/v1.0/status", engine_ready),
	GET_ROW("/api/v1.0/health/status", engine_ready),
	GET_ROW("/api/v0.1/metadata/{node}", node_metadata),
	GET_ROW("/api/v1.0/metadata/{node}", node_metadata),
	GET_ROW("/api/v1.0/metadata", about_metadata),
	GET_ROW("/api/v0.1/doc/", about_page),
	GET_ROW("/api/v1.0/doc/", about_page),
	GET_ROW("/api/v0.1/doc/seldon.json", about_document),
	GET_ROW("/api/v1.0/doc/seldon.json", about_document),
	{ 0 },
};

const struct route engine_v2_routes[] = {
	POST_ROW("/v2/models/infer", v2_infer_root),
	POST_ROW("/v2/models/{model}/infer", pass_post),
	POST_ROW("/v2/models/{model}/versions/{version}/infer", pass_post),
	GET_ROW("/v2/models/{model}/ready", pass_status),
	GET_ROW("/v2/models/{model}", pass_metadata),
	GET_ROW("/v2/health/ready", pass_status),
	GET_ROW("/v2/health/live", pass_status), /* this one and the next are more than the executor has */
	GET_ROW("/v2", pass_metadata),
	{ 0 },
};

const struct route engine_tensorflow_routes[] = {
	POST_ROW("/v1/models/:predict", tensorflow_predict_root),
	POST_ROW("/v1/models:predict", tensorflow_predict_root),
	POST_ROW("/v1/models/{model}/:predict", tensorflow_predict_slash),
	{ METHOD_POST, "/v1/models/{model}:predict", pass_post, &surface_engine, ROUTE_HTTP },
	{ METHOD_OPTIONS, "/v1/models/{model}:predict", options, &surface_engine, ROUTE_HTTP },
	GET_ROW("/v1/models/{model}", pass_status),
	GET_ROW("/v1/models/{model}/metadata", pass_metadata),
	POST_ROW("/api/v1.0/feedback", feedback_echo),
	{ 0 },
};
