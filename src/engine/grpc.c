/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc - calls on their way to the component's gRPC port, frame for frame. Of a prediction the answer is held until it is whole, so that its meta can be
 * completed; everything else flows, in both directions, as fast as the slower side takes it.
 */
#include "engine/engine_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/number.h"
#include "wire/protobuf.h"

enum { FRAME_HEAD = 5, WANT = 256 << 10, HELD_MAX = 1 << 20 };

/* prediction.proto */
enum {
	METADATA_INPUTS = 4,
	METADATA_OUTPUTS = 5,
	GRAPH_NAME = 1,
	GRAPH_MODELS = 2,
	GRAPH_INPUTS = 3,
	GRAPH_OUTPUTS = 4
};
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

#define MESSAGES_MOST MIB(1024)

struct grpc_call {
	struct engine *engine;
	struct request *req; /* NULL: its client has gone */
	struct question ask;
	struct span path, puid;
	size_t unasked, untaken; /* bytes that wait for the other side */
	bool is_last_in, has_head;
	/* What becomes of an answer that is held; NULL: it flows. */
	void (*edit)(struct grpc_call *g, struct span message, struct buffer *out);
	struct buffer held;
	struct header *headers; /* of the answer that is held */
	size_t header_count;
	struct timer timer;
	int64_t asked_ns;
};

static const char *const code_names[] = {
	"OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
	"NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
	"Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
	"DataLoss", "Unauthenticated",
};

static void grpc_free(struct grpc_call *g)
{
	loop_timer_clear(g->engine->loop, &g->timer);
	question_cancel(&g->ask);
	buffer_done(&g->held);
	free(g);
}

static void count(struct grpc_call *g, struct span status)
{
	int64_t now = clock_monotonic_ns(), number;
	const char *name = "Unknown";

	if (number_parse_int64(status, &number) && number >= 0 && number < (int64_t)ARRAY_LEN(code_names))
		name = code_names[number];
	tally_count(g->engine->tally, true, g->path, SPAN("unary"), span_of(name), now - g->asked_ns, now);
	if (g->req)
		tally_count(g->engine->tally, false, g->req->path, SPAN("unary"), span_of(name),
			    now - g->req->received_ns, now);
}

static struct span status_of(const struct header *headers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_equal(headers[i].name, SPAN("grpc-status")))
			return headers[i].value;
	return (struct span){ 0 };
}

/* ---- what is made of answers ---- */

static void prediction_edit(struct grpc_call *g, struct span message, struct buffer *out)
{
	const struct predictor_node *root = &g->engine->config.predictor.root;
	const struct meta_note note = { root->name, root->image, -1 };

	meta_complete_protobuf(message, g->puid, &note, out);
}

/* SeldonModelMetadata → SeldonGraphMetadata of the one node. */
static void graph_edit(struct grpc_call *g, struct span message, struct buffer *out)
{
	const struct predictor *p = &g->engine->config.predictor;
	struct protobuf fields = protobuf(message);
	struct protobuf_field f;
	struct error err = { 0 };
	size_t mark;

	protobuf_write_bytes(out, GRAPH_NAME, p->name);
	mark = protobuf_open(out, GRAPH_MODELS);
	protobuf_write_bytes(out, ENTRY_KEY, p->root.name);
	protobuf_write_bytes(out, ENTRY_VALUE, message);
	protobuf_close(out, mark);
	while (protobuf_next(&fields, &f, &err)) {
		if (f.type != PROTOBUF_BYTES || (f.number != METADATA_INPUTS && f.number != METADATA_OUTPUTS))
			continue;
		protobuf_write_bytes(out, f.number == METADATA_INPUTS ? GRAPH_INPUTS : GRAPH_OUTPUTS, f.bytes);
	}
}

/* The one message of a unary answer; false for anything else, a compressed one too. */
static bool frame_read(struct span body, struct span *ret)
{
	const unsigned char *head = (const unsigned char *)body.ptr;
	size_t len;

	if (body.len < FRAME_HEAD || head[0] != 0)
		return false;
	len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
	*ret = span_skip(body, FRAME_HEAD);
	return ret->len == len;
}

static void frame_write(struct grpc_call *g, struct span message)
{
	struct buffer *out = &g->req->out;
	size_t start = out->len;
	size_t len;

	buffer_append(out, span_from("\0\0\0\0\0", FRAME_HEAD));
	g->edit(g, message, out);
	if (out->overflow)
		return;
	len = out->len - start - FRAME_HEAD;
	for (int i = 0; i < 4; i++)
		out->ptr[start + 1 + (size_t)i] = (char)(len >> (24 - 8 * i));
}

/* ---- the answer ---- */

static bool is_held(const struct grpc_call *g)
{
	return g->edit != NULL;
}

static bool headers_keep(struct grpc_call *g, const struct header *headers, size_t n)
{
	struct arena *arena = &g->req->arena;
	struct error err = { 0 };

	g->headers = ARENA_ARRAY(arena, struct header, n, &err);
	for (size_t i = 0; g->headers && i < n; i++) {
		g->headers[i].name = arena_copy(arena, headers[i].name, &err);
		g->headers[i].value = arena_copy(arena, headers[i].value, &err);
	}
	g->header_count = n;
	return err.code == ERROR_NONE;
}

static void head_send(struct grpc_call *g, int status, const struct header *headers, size_t n)
{
	struct header to[HTTP1_HEADERS_MAX];
	size_t at = 0;

	for (size_t i = 0; i < n && at + 1 < ARRAY_LEN(to); i++)
		if (!span_equal(headers[i].name, SPAN("seldon-puid")) &&
		    !span_equal(headers[i].name, SPAN("content-length")))
			to[at++] = headers[i];
	to[at++] = (struct header){ SPAN("seldon-puid"), g->puid };
	g->has_head = true;
	request_head(g->req, status, (struct span){ 0 }, to, at);
}

static void answer_head(struct question *k, int status, const struct header *headers, size_t n)
{
	struct grpc_call *g = CONTAINER_OF(k, struct grpc_call, ask);

	if (status_of(headers, n).ptr || status != 200 || !headers_keep(g, headers, n))
		g->edit = NULL; /* it has failed already */
	if (!is_held(g))
		head_send(g, status, headers, n);
}

static void grpc_fail(struct grpc_call *g, const struct error *why)
{
	struct request *req;

	count(g, error_grpc(why->code) == 14 ? SPAN("14") : error_grpc(why->code) == 4 ? SPAN("4") : SPAN("13"));
	req = TAKE(g->req);
	if (g->has_head)
		request_cut(req);
	else
		request_fail(req, why);
	grpc_free(g);
}

static void answer_receive(struct question *k, struct span bytes)
{
	struct grpc_call *g = CONTAINER_OF(k, struct grpc_call, ask);
	struct error err = { 0 };

	if (is_held(g)) {
		buffer_append(&g->held, bytes);
		if (!buffer_ok(&g->held, "the component's answer", &err)) {
			question_cancel(k);
			grpc_fail(g, &err);
			return;
		}
		question_taken(k, bytes.len);
		return;
	}
	request_write(g->req, bytes);
	if (request_unsent(g->req) > HELD_MAX)
		g->untaken += bytes.len;
	else
		question_taken(k, bytes.len);
}

static void answer_writable(struct request *req)
{
	struct grpc_call *g = request_owner(req);

	question_taken(&g->ask, g->untaken);
	g->untaken = 0;
}

static void answer_end(struct question *k, const struct header *trailers, size_t n)
{
	struct grpc_call *g = CONTAINER_OF(k, struct grpc_call, ask);
	struct span status = status_of(trailers, n), message;
	struct error err = { 0 };

	if (is_held(g)) {
		if (frame_read(buffer_span(&g->held), &message))
			frame_write(g, message);
		else
			buffer_append(&g->req->out, buffer_span(&g->held));
		if (!buffer_ok(&g->req->out, "the answer", &err)) {
			grpc_fail(g, &err);
			return;
		}
		head_send(g, 200, g->headers, g->header_count);
		request_write(g->req, buffer_span(&g->req->out));
	}
	count(g, status);
	request_end(TAKE(g->req), trailers, n);
	grpc_free(g);
}

static void answer_failed(struct question *k, const struct error *why)
{
	struct grpc_call *g = CONTAINER_OF(k, struct grpc_call, ask);
	struct error err = *why;

	if (err.code == ERROR_UNAVAILABLE)
		error_wrap(&err, "connection error: desc = \"transport: Error while dialing");
	if (err.code == ERROR_UNAVAILABLE && strlen(err.message) + 2 < sizeof(err.message))
		strncat(err.message, "\"", 2);
	grpc_fail(g, &err);
}

/* ---- the question ---- */

static void body_ask(struct grpc_call *g, size_t bytes)
{
	if (question_unsent(&g->ask) > CLIENT_UNSENT_LOW)
		g->unasked += bytes;
	else
		request_want(g->req, bytes);
}

static void body_receive(struct request *req, struct span bytes, bool is_last)
{
	struct grpc_call *g = request_owner(req);

	g->is_last_in = is_last;
	question_write(&g->ask, bytes);
	if (is_last)
		question_end(&g->ask);
	else
		body_ask(g, bytes.len);
}

static void body_writable(struct question *k)
{
	struct grpc_call *g = CONTAINER_OF(k, struct grpc_call, ask);
	size_t bytes = g->unasked;

	g->unasked = 0;
	if (bytes && !g->is_last_in)
		request_want(g->req, bytes);
}

static void client_gone(struct request *req, const struct error *why)
{
	struct grpc_call *g = request_owner(req);

	(void)why;
	g->req = NULL;
	grpc_free(g);
}

static void grpc_late(struct timer *t)
{
	struct grpc_call *g = CONTAINER_OF(t, struct grpc_call, timer);
	struct error err = { 0 };

	error_set(&err, ERROR_TIMEOUT, "context deadline exceeded");
	question_cancel(&g->ask);
	grpc_fail(g, &err);
}

static const struct {
	struct span path, to;
	void (*edit)(struct grpc_call *g, struct span message, struct buffer *out);
} methods[] = {
	{ SPAN_INIT("/seldon.protos.Seldon/Predict"), SPAN_INIT("/seldon.protos.Model/Predict"), prediction_edit },
	{ SPAN_INIT("/seldon.protos.Seldon/SendFeedback"), SPAN_INIT("/seldon.protos.Model/SendFeedback"), NULL },
	{ SPAN_INIT("/seldon.protos.Seldon/ModelMetadata"), SPAN_INIT("/seldon.protos.Model/Metadata"), NULL },
	{ SPAN_INIT("/seldon.protos.Seldon/GraphMetadata"), SPAN_INIT("/seldon.protos.Model/Metadata"), graph_edit },
};

/* Of gRPC's own, "te" goes along: components ask for it. */
static bool is_passed(struct span name)
{
	return !span_equal(name, SPAN("host")) && !span_equal(name, SPAN("content-length")) &&
	       !span_equal(name, SPAN("seldon-puid"));
}

static bool question_head(struct grpc_call *g, struct client_head *head, struct error *err)
{
	struct request *req = g->req;
	struct header *to = ARENA_ARRAY(&req->arena, struct header, req->header_count + 1, err);
	size_t n = 0;

	if (!to)
		return false;
	for (size_t i = 0; i < req->header_count; i++)
		if (is_passed(req->headers[i].name))
			to[n++] = req->headers[i];
	to[n++] = (struct header){ SPAN("seldon-puid"), g->puid };
	*head = (struct client_head){
		.method = SPAN("POST"),
		.scheme = SPAN("http"),
		.authority = span_of(asker_address(g->engine->grpc)),
		.path = g->path,
		.headers = to,
		.header_count = n,
	};
	return true;
}

void grpc_request(struct request *req)
{
	static const struct request_flow flow = { .receive = body_receive,
						  .writable = answer_writable,
						  .gone = client_gone };
	static const struct question_ops ops = {
		.head = answer_head,
		.receive = answer_receive,
		.writable = body_writable,
		.end = answer_end,
		.failed = answer_failed,
	};
	struct engine *e = engine_of(req);
	const struct predictor *p = &e->config.predictor;
	struct grpc_call *g = base_calloc(1, sizeof(*g));
	struct client_head head;
	struct error err = { 0 };

	g->engine = e;
	g->req = req;
	g->path = req->target;
	g->puid = puid_of(req);
	buffer_init(&g->held, p->grpc_message_most ? p->grpc_message_most + FRAME_HEAD
						   : MIN(e->config.answer_most, MESSAGES_MOST));
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (!span_equal(req->target, methods[i].path))
			continue;
		g->path = methods[i].to;
		g->edit = methods[i].edit;
	}
	if (!question_head(g, &head, &err)) {
		grpc_free(g);
		request_fail(req, &err);
		return;
	}
	request_open(req, &flow, g);
	g->is_last_in = req->is_end;
	g->asked_ns = clock_monotonic_ns();
	if (p->grpc_timeout_ns)
		loop_timer_set(e->loop, &g->timer, loop_now(e->loop) + p->grpc_timeout_ns, grpc_late);
	question_begin(&g->ask, e->grpc, &head, (struct span){ 0 }, req->is_end, &ops);
	if (!req->is_end)
		request_want(req, WANT);
}

/* ---- health ---- */

enum { STATUS_SERVING = 1, STATUS_NOT_SERVING = 2 };

struct health {
	struct request *req;
};

static void health_gone(struct request *req, const struct error *why)
{
	struct health *h = request_owner(req);

	(void)why;
	h->req = NULL;
}

static void health_known(void *context, const struct error *why)
{
	struct health *h = context;

	if (h->req) {
		protobuf_write_uint64(&h->req->out, 1, why ? STATUS_NOT_SERVING : STATUS_SERVING);
		request_send(TAKE(h->req), 200, (struct span){ 0 });
	}
	free(h);
}

void grpc_health(struct request *req)
{
	static const struct request_flow flow = { .gone = health_gone };
	struct health *h = base_calloc(1, sizeof(*h));

	h->req = req;
	request_open(req, &flow, h);
	engine_try(engine_of(req), health_known, h);
}
