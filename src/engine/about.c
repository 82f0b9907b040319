/* SPDX-License-Identifier: Apache-2.0 */
/* about - what the graph tells of itself: metadata, an OpenAPI document and a page of it, metrics. */
#include "base/clock.h"
#include "engine/engine_private.h"
#include "metrics/metrics.h"
#include "wire/json.h"

/* ---- metadata ---- */

struct parts {
	struct span inputs, outputs; /* JSON */
};

static bool parts_read(struct span json, struct arena *arena, struct parts *ret)
{
	struct error err = { 0 };
	struct span key;
	struct json j;

	*ret = (struct parts){ SPAN("[]"), SPAN("[]") };
	json_init(&j, json, arena);
	if (!json_enter_object(&j, &err))
		return false;
	while (json_next_key(&j, &key, &err)) {
		struct span raw;

		if (!json_read_raw(&j, &raw, &err))
			return false;
		if (span_equal(key, SPAN("inputs")))
			ret->inputs = raw;
		else if (span_equal(key, SPAN("outputs")))
			ret->outputs = raw;
	}
	return json_finish(&j, &err);
}

static void metadata_done(struct call *c)
{
	const struct predictor *p = &c->engine->config.predictor;
	struct span own = buffer_span(&c->answer);
	struct json_writer w = json_writer(&c->req->out);
	struct parts parts;

	if (c->status != 200 || !parts_read(own, &c->req->arena, &parts)) {
		call_pass(c);
		return;
	}
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, p->name);
	json_key(&w, SPAN("models"));
	json_open_object(&w);
	json_key(&w, p->root.name);
	json_raw(&w, span_trim(own));
	json_close_object(&w);
	json_key(&w, SPAN("graphinputs"));
	json_raw(&w, parts.inputs);
	json_key(&w, SPAN("graphoutputs"));
	json_raw(&w, parts.outputs);
	json_close_object(&w);
	call_answer(c, 200, SPAN("application/json"));
}

void about_metadata(struct request *req)
{
	call_begin(req, SPAN("metadata"), SPAN("GET"), SPAN("/metadata"), false, metadata_done);
}

/* ---- OpenAPI ---- */

struct path_row {
	const char *path, *method, *summary, *example;
};

#define MESSAGE "{\"data\":{\"ndarray\":[[1,2]]}}"
static const struct path_row paths[] = {
	{ "/api/v1.0/predictions", "post", "A prediction of a SeldonMessage", MESSAGE },
	{ "/api/v1.0/feedback", "post", "Feedback on a prediction",
	  "{\"request\":" MESSAGE ",\"response\":" MESSAGE ",\"reward\":1.0}" },
	{ "/api/v1.0/metadata", "get", "What the graph takes and gives", NULL },
	{ "/api/v1.0/status", "get", "Whether the graph is ready", NULL },
};

static void put_text(struct json_writer *w, const char *key, struct span value)
{
	json_key(w, span_of(key));
	json_string(w, value);
}

static void put_body(struct json_writer *w, const char *example)
{
	json_key(w, SPAN("requestBody"));
	json_open_object(w);
	json_key(w, SPAN("content"));
	json_open_object(w);
	json_key(w, SPAN("application/json"));
	json_open_object(w);
	json_key(w, SPAN("example"));
	json_raw(w, span_of(example));
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
}

static void put_path(struct json_writer *w, const struct path_row *row)
{
	json_key(w, span_of(row->path));
	json_open_object(w);
	json_key(w, span_of(row->method));
	json_open_object(w);
	put_text(w, "summary", span_of(row->summary));
	if (row->example)
		put_body(w, row->example);
	json_key(w, SPAN("responses"));
	json_raw(w, SPAN("{\"200\":{\"description\":\"OK\",\"content\":{\"application/json\":{}}}}"));
	json_close_object(w);
	json_close_object(w);
}

static void put_document(struct request *req, struct json_writer *w)
{
	const struct predictor *p = &engine_of(req)->config.predictor;
	struct error ignored = { 0 };

	json_open_object(w);
	put_text(w, "openapi", SPAN("3.0.0"));
	json_key(w, SPAN("info"));
	json_open_object(w);
	put_text(w, "title", p->deployment.len ? p->deployment : p->name);
	put_text(w, "version", p->version.len ? p->version : SPAN("1"));
	json_close_object(w);
	json_key(w, SPAN("servers"));
	json_open_array(w);
	json_open_object(w);
	put_text(w, "url",
		 arena_print(&req->arena, &ignored, "/seldon/%.*s/%.*s", SPAN_WHOLE(p->name_space),
			     SPAN_WHOLE(p->deployment)));
	json_close_object(w);
	json_close_array(w);
	json_key(w, SPAN("paths"));
	json_open_object(w);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		put_path(w, &paths[i]);
	json_close_object(w);
	json_close_object(w);
}

void about_document(struct request *req)
{
	struct json_writer w = json_writer(&req->out);

	put_document(req, &w);
	request_send(req, 200, SPAN("application/json"));
}

static void put_html(struct buffer *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '<' || text.ptr[i] == '&')
			buffer_append(out, text.ptr[i] == '<' ? SPAN("&lt;") : SPAN("&amp;"));
		else
			buffer_byte(out, text.ptr[i]);
	}
}

void about_page(struct request *req)
{
	const struct predictor *p = &engine_of(req)->config.predictor;
	struct buffer *out = &req->out;

	buffer_append(out, SPAN("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>"));
	put_html(out, p->deployment.len ? p->deployment : p->name);
	buffer_append(
	    out,
	    SPAN("</title>\n<style>body{font:16px sans-serif;margin:2em}td{padding:.2em 1em .2em 0}</style>\n<h1>"));
	put_html(out, p->deployment.len ? p->deployment : p->name);
	buffer_append(out, SPAN("</h1>\n<table>\n"));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		buffer_print(out, "<tr><td>%s<td><code>%s</code><td>%s<td><code>%s</code>\n",
			     paths[i].method[0] == 'p' ? "POST" : "GET", paths[i].path, paths[i].summary,
			     paths[i].example ? paths[i].example : "");
	buffer_append(
	    out, SPAN("</table>\n<p>For programs: <a href=\"seldon.json\">seldon.json</a> (OpenAPI)</p></html>\n"));
	request_send(req, 200, SPAN("text/html; charset=utf-8"));
}

/* ---- metrics ---- */

void about_metrics(struct request *req)
{
	struct engine *e = engine_of(req);

	tally_write(e->tally, clock_monotonic_ns(), &req->out);
	if (e->config.metrics)
		metrics_write(e->config.metrics, &req->out, false);
	request_send(req, 200, SPAN("text/plain; version=0.0.4; charset=utf-8"));
}
