/* SPDX-License-Identifier: Apache-2.0 */
/* ops - for whoever runs the server: probes, metrics, and what is served where. */
#include <stdio.h>

#include "inference/component.h"
#include "inference/inference.h"
#include "inference/surfaces.h"
#include "wire/json.h"

static const struct surface surface_ops = { "ops", fail_as_json_error };

/* With what components tell, which is in the older of the two formats. */
static void metrics_step(struct request *req, void *arg)
{
	(void)arg;
	metrics_write(inference_metrics(req->context), &req->out, false);
	component_metrics(req, &req->out);
	request_send(req, 200, SPAN("text/plain; version=0.0.4; charset=utf-8"));
}

static void metrics(struct request *req)
{
	struct inference *inf = req->context;
	struct span accept = request_header(req, SPAN("accept"));
	bool openmetrics;

	if (component_is_served(req)) {
		inference_offload(req, metrics_step, NULL);
		return;
	}
	openmetrics = accept.len && memmem(accept.ptr, accept.len, "application/openmetrics-text", 28);

	metrics_write(inference_metrics(inf), &req->out, openmetrics);
	request_send(req, 200,
		     openmetrics ? SPAN("application/openmetrics-text; version=1.0.0; charset=utf-8")
				 : SPAN("text/plain; version=0.0.4; charset=utf-8"));
}

static void alive(struct request *req)
{
	buffer_append(&req->out, SPAN("{\"status\":\"alive\"}"));
	request_send(req, 200, SPAN("application/json"));
}

/* Models are loaded before the listeners open, and a draining server closes them: who gets here gets an answer. */
static void ready(struct request *req)
{
	buffer_append(&req->out, SPAN("{\"status\":\"ready\"}"));
	request_send(req, 200, SPAN("application/json"));
}

static void write_path(struct json_writer *w, const char *protocol, const char *before, struct span name,
		       const char *behind)
{
	char path[256];
	int len = snprintf(path, sizeof(path), "%s%.*s%s", before, (int)MIN(name.len, (size_t)128), name.ptr, behind);

	json_key(w, span_of(protocol));
	json_string(w, (struct span){ path, (size_t)MAX(len, 0) });
}

static void write_model(struct json_writer *w, const struct served *s)
{
	static const struct span states[] = {
		[SERVED_READY] = SPAN_INIT("ready"),
		[SERVED_UNAVAILABLE] = SPAN_INIT("unavailable"),
		[SERVED_LOADING] = SPAN_INIT("loading"),
		[SERVED_UNLOADING] = SPAN_INIT("unloading"),
	};

	json_open_object(w);
	json_key(w, SPAN("name"));
	json_string(w, s->name);
	json_key(w, SPAN("state"));
	json_string(w, states[s->state]);
	if (s->info) {
		json_key(w, SPAN("kind"));
		json_string(w, s->info->kind);
	}
	json_key(w, SPAN("paths"));
	json_open_object(w);
	write_path(w, "v2", "/v2/models/", s->name, "/infer");
	write_path(w, "v1", "/v1/models/", s->name, ":predict");
	json_close_object(w);
	json_close_object(w);
}

/* Paths without a model's name, each once. */
static bool is_worth_listing(size_t table, const struct route *row)
{
	if (row->kind != ROUTE_HTTP || strchr(row->pattern, '{') || strcmp(row->pattern, "/") == 0)
		return false;
	for (size_t t = 0; t <= table; t++)
		for (const struct route *r = inference_routes[t]; r->pattern && r != row; r++)
			if (strcmp(r->pattern, row->pattern) == 0)
				return false;
	return true;
}

static struct span methods_text(unsigned methods)
{
	if (!(methods & METHOD_GET))
		return SPAN("POST");
	return methods & METHOD_POST ? SPAN("GET, POST") : SPAN("GET");
}

static void index_page(struct request *req)
{
	struct json_writer w = json_writer(&req->out);
	size_t count;
	const struct served *const *all = served_all(req, &count);

	json_open_object(&w);
	json_key(&w, SPAN("status"));
	json_string(&w, SPAN("alive")); /* KServe's clients look for this one */
	json_key(&w, SPAN("name"));
	json_string(&w, SPAN("hythe"));
	json_key(&w, SPAN("version"));
	json_string(&w, SPAN(HYTHE_VERSION));
	json_key(&w, SPAN("models"));
	json_open_array(&w);
	for (size_t i = 0; i < count; i++)
		write_model(&w, all[i]);
	json_close_array(&w);
	json_key(&w, SPAN("paths"));
	json_open_object(&w);
	for (size_t t = 0; inference_routes[t]; t++)
		for (const struct route *r = inference_routes[t]; r->pattern; r++)
			if (is_worth_listing(t, r)) {
				json_key(&w, span_of(r->pattern));
				json_string(&w, methods_text(r->methods));
			}
	json_close_object(&w);
	json_close_object(&w);
	request_send(req, 200, SPAN("application/json"));
}

const struct route ops_routes[] = {
	{ METHOD_GET, "/", index_page, &surface_ops, ROUTE_HTTP },
	{ METHOD_GET, "/metrics", metrics, &surface_ops, ROUTE_HTTP },
	{ METHOD_GET, "/live", alive, &surface_ops, ROUTE_HTTP },
	{ METHOD_GET, "/livez", alive, &surface_ops, ROUTE_HTTP },
	{ METHOD_GET, "/healthz", alive, &surface_ops, ROUTE_HTTP },
	{ METHOD_GET, "/ready", ready, &surface_ops, ROUTE_HTTP },
	{ METHOD_GET, "/readyz", ready, &surface_ops, ROUTE_HTTP },
	{ 0 },
};
