/* SPDX-License-Identifier: Apache-2.0 */
/* call - one question to the node over HTTP, for a request that waits for it. */
#include "engine/engine_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { FREE_CALLS_MAX = 256, OWN_HEADERS = 4 };
#define ANSWER_SPARE KIB(64) /* of the buffer of one that is free */

/* ---- memory ---- */

static struct call *call_new(struct engine *e)
{
	struct call *c = e->free_calls;
	struct buffer answer;

	if (c) {
		e->free_calls = c->next;
		e->free_call_count--;
		answer = c->answer;
	} else {
		c = base_alloc(sizeof(*c));
		buffer_init(&answer, e->config.answer_most);
	}
	*c = (struct call){ .engine = e, .answer = answer };
	return c;
}

static void call_free(struct call *c)
{
	struct engine *e = c->engine;

	loop_timer_clear(e->loop, &c->timer);
	question_cancel(&c->ask);
	if (e->free_call_count >= FREE_CALLS_MAX) {
		buffer_done(&c->answer);
		free(c);
		return;
	}
	buffer_clear(&c->answer);
	if (c->answer.cap > ANSWER_SPARE)
		buffer_shrink(&c->answer, ANSWER_SPARE);
	c->next = e->free_calls;
	e->free_calls = c;
	e->free_call_count++;
}

void calls_free(struct engine *e)
{
	while (e->free_calls) {
		struct call *c = e->free_calls;

		e->free_calls = c->next;
		buffer_done(&c->answer);
		free(c);
	}
}

/* ---- numbers ---- */

static struct span method_label(const struct request *req)
{
	return req->method == METHOD_POST ? SPAN("post") : req->method == METHOD_GET ? SPAN("get") : SPAN("other");
}

static struct span code_label(int status, char to[16])
{
	return span_from(to, (size_t)snprintf(to, 16, "%d", status));
}

static void count_question(struct call *c, int status)
{
	char code[16];
	int64_t now = clock_monotonic_ns();

	tally_count(c->engine->tally, true, c->path, method_label(c->req), code_label(status, code), now - c->asked_ns,
		    now);
}

/* ---- answers ---- */

void call_answer(struct call *c, int status, struct span content_type)
{
	struct request *req = TAKE(c->req);
	int64_t now = clock_monotonic_ns();
	char code[16];

	tally_count(c->engine->tally, false, c->service, method_label(req), code_label(status, code),
		    now - req->received_ns, now);
	if (c->header_length.ptr)
		request_set_header(req, SPAN("inference-header-content-length"), c->header_length);
	answer_headers(req, c->puid);
	call_free(c);
	request_send(req, status, content_type);
}

void call_pass(struct call *c)
{
	buffer_append(&c->req->out, buffer_span(&c->answer));
	call_answer(c, c->status, c->content_type);
}

/* As Go's client tells it: Post "http://localhost:9000/predict": ... */
static void call_fail(struct call *c, const struct error *why)
{
	const struct predictor_node *root = &c->engine->config.predictor.root;
	struct error ignored = { 0 };
	struct span info = arena_print(&c->req->arena, &ignored, "%s \"http://%.*s:%u%.*s\": %s",
				       span_equal(c->method, SPAN("GET")) ? "Get" : "Post", SPAN_WHOLE(root->host),
				       root->http_port, SPAN_WHOLE(c->path), why->message);
	struct request *req;
	int64_t now = clock_monotonic_ns();

	if (c->is_check) {
		call_answer(c, 503, (struct span){ 0 });
		return;
	}
	req = TAKE(c->req);
	tally_count(c->engine->tally, false, c->service, method_label(req), SPAN("500"), now - req->received_ns, now);
	answer_headers(req, c->puid);
	call_free(c);
	answer_failure(req, 500, info);
}

/* ---- the component's side ---- */

static struct span header_keep(struct call *c, const struct header *headers, size_t count, struct span name)
{
	struct error ignored = { 0 };

	for (size_t i = 0; i < count; i++)
		if (span_equal(headers[i].name, name))
			return arena_copy(&c->req->arena, headers[i].value, &ignored);
	return (struct span){ 0 };
}

static void answer_head(struct question *k, int status, const struct header *headers, size_t count)
{
	struct call *c = CONTAINER_OF(k, struct call, ask);

	c->status = status;
	c->content_type = header_keep(c, headers, count, SPAN("content-type"));
	c->header_length = header_keep(c, headers, count, SPAN("inference-header-content-length"));
}

static void answer_receive(struct question *k, struct span bytes)
{
	struct call *c = CONTAINER_OF(k, struct call, ask);
	struct error err = { 0 };

	buffer_append(&c->answer, bytes);
	if (!buffer_ok(&c->answer, "the component's answer", &err)) {
		question_cancel(k);
		count_question(c, 500);
		call_fail(c, &err);
		return;
	}
	question_taken(k, bytes.len);
}

static void answer_end(struct question *k, const struct header *trailers, size_t count)
{
	struct call *c = CONTAINER_OF(k, struct call, ask);

	(void)trailers;
	(void)count;
	loop_timer_clear(c->engine->loop, &c->timer);
	count_question(c, c->status);
	c->done(c);
}

static void answer_failed(struct question *k, const struct error *why)
{
	struct call *c = CONTAINER_OF(k, struct call, ask);

	count_question(c, 500);
	call_fail(c, why);
}

static void call_late(struct timer *t)
{
	struct call *c = CONTAINER_OF(t, struct call, timer);
	struct error err = { 0 };

	error_set(&err, ERROR_TIMEOUT, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
	question_cancel(&c->ask);
	count_question(c, 500);
	call_fail(c, &err);
}

/* ---- the question ---- */

/* Made anew for this way, or undone by then (codings). */
static bool is_passed(struct span name)
{
	static const struct span not_passed[] = {
		SPAN_INIT("accept-encoding"),
		SPAN_INIT("connection"),
		SPAN_INIT("content-encoding"),
		SPAN_INIT("content-length"),
		SPAN_INIT("content-type"),
		SPAN_INIT("expect"),
		SPAN_INIT("host"),
		SPAN_INIT("keep-alive"),
		SPAN_INIT("proxy-connection"),
		SPAN_INIT("seldon-puid"),
		SPAN_INIT("te"),
		SPAN_INIT("trailer"),
		SPAN_INIT("transfer-encoding"),
		SPAN_INIT("upgrade"),
	};

	for (size_t i = 0; i < ARRAY_LEN(not_passed); i++)
		if (span_equal(name, not_passed[i]))
			return false;
	return true;
}

static bool question_headers(struct call *c, bool has_body, struct client_head *head, struct error *err)
{
	struct request *req = c->req;
	struct header *to = ARENA_ARRAY(&req->arena, struct header, req->header_count + OWN_HEADERS, err);
	size_t count = 0;

	if (!to)
		return false;
	for (size_t i = 0; i < req->header_count; i++)
		if (is_passed(req->headers[i].name))
			to[count++] = req->headers[i];
	to[count++] = (struct header){ SPAN("seldon-puid"), c->puid };
	if (has_body) {
		struct span length = arena_print(&req->arena, err, "%zu", req->body.len);

		if (!length.ptr)
			return false;
		to[count++] = (struct header){ SPAN("content-length"), length };
		to[count++] = (struct header){ SPAN("content-type"),
					       req->content_type.len ? req->content_type : SPAN("application/json") };
	}
	head->headers = to;
	head->header_count = count;
	return true;
}

static void client_gone(struct request *req, const struct error *why)
{
	struct call *c = request_owner(req);

	(void)why;
	c->req = NULL;
	call_free(c);
}

struct call *call_begin(struct request *req, struct span service, struct span method, struct span path, bool has_body,
			void (*done)(struct call *c))
{
	static const struct request_flow flow = { .gone = client_gone };
	static const struct question_ops ops = {
		.head = answer_head,
		.receive = answer_receive,
		.end = answer_end,
		.failed = answer_failed,
	};
	struct engine *e = engine_of(req);
	struct client_head head = { .method = method, .scheme = SPAN("http"), .path = path };
	struct call *c = call_new(e);
	struct error err = { 0 };

	c->req = req;
	c->service = service;
	c->method = method;
	c->path = path;
	c->done = done;
	c->puid = puid_of(req);
	head.authority = span_of(asker_address(e->http));
	if (!question_headers(c, has_body, &head, &err)) {
		call_free(c);
		request_fail(req, &err);
		return NULL;
	}
	request_open(req, &flow, c);
	c->asked_ns = clock_monotonic_ns();
	if (e->config.predictor.rest_timeout_ns)
		loop_timer_set(e->loop, &c->timer, loop_now(e->loop) + e->config.predictor.rest_timeout_ns, call_late);
	question_begin(&c->ask, e->http, &head, has_body ? req->body : (struct span){ 0 }, true, &ops);
	return c;
}
