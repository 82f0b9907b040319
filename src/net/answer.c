/* SPDX-License-Identifier: Apache-2.0 */
/* answer - what a handler sends: compression, headers, errors in the surface's form, parts of streaming calls. */
#include "base/log.h"
#include "net/request_private.h"
#include "wire/json.h"

enum { ENCODE_INLINE = 256 * 1024 }; /* answer bytes compressed on the loop */

void answer_clear(struct request *req)
{
	req->answer.status = 0;
	req->answer.content_type = (struct span){ NULL, 0 };
	req->answer.header_count = 0;
	req->answer.failure = NULL;
	req->answer.is_answered = false;
	req->answer.is_coded = false;
}

void buffer_recycle(struct buffer *b, size_t keep)
{
	buffer_clear(b);
	if (UNLIKELY(b->cap > keep))
		buffer_shrink(b, keep);
}

void request_set_header(struct request *req, struct span name, struct span value)
{
	ASSERT(req->answer.header_count < ARRAY_LEN(req->answer.headers));
	req->answer.headers[req->answer.header_count++] = (struct header){ name, value };
}

static bool answer_has_header(const struct request *req, struct span name)
{
	for (size_t i = 0; i < req->answer.header_count; i++)
		if (span_equal(req->answer.headers[i].name, name))
			return true;
	return false;
}

/* Compresses req->out when that is wanted, allowed here and smaller. */
static bool out_encode(struct request *req, enum coding c)
{
	struct slot *s = slot_of(req);
	struct buffer plain = req->out;

	if (c == CODING_IDENTITY || (req->phase != PHASE_OFFLOADED && plain.len > ENCODE_INLINE))
		return false;
	buffer_clear(&s->coded);
	if (!coding_encode(c, buffer_span(&plain), &s->coded))
		return false;
	req->out = s->coded;
	s->coded = plain;
	return true;
}

/* The handler may have said so itself. */
static bool answer_varies(const struct request *req, struct span by)
{
	for (size_t i = 0; i < req->answer.header_count; i++) {
		if (span_equal(req->answer.headers[i].name, SPAN("vary")) &&
		    span_equal(req->answer.headers[i].value, by))
			return true;
	}
	return false;
}

static void answer_compress(struct request *req)
{
	const struct server_config *config = worker_config(req->worker);
	struct span accept;
	enum coding c;

	if (req->is_grpc) {
		req->answer.is_coded =
		    req->grpc_compress && req->out.len >= config->compression_least && out_encode(req, CODING_GZIP);
		return;
	}
	if (LIKELY(!config->compression || req->out.len < config->compression_least || req->out.len == 0))
		return;
	if (answer_has_header(req, SPAN("content-encoding")))
		return;
	if (!answer_varies(req, SPAN("Accept-Encoding")))
		request_set_header(req, SPAN("vary"), SPAN("Accept-Encoding"));
	accept = request_header(req, SPAN("accept-encoding"));
	if (!accept.ptr)
		return;
	c = coding_choose(accept);
	if (out_encode(req, c))
		request_set_header(req, SPAN("content-encoding"), span_of(coding_name(c)));
}

/* The headers every answer has. */
static void answer_complete(struct request *req)
{
	const struct server_config *config = worker_config(req->worker);

	answer_compress(req);
	/* A unary gRPC call that went well says nothing it was not asked for: every header costs both sides. */
	if (!req->is_grpc || req->had_id || req->answer.failure)
		request_set_header(req, SPAN("x-request-id"), (struct span){ req->id, req->id_len });
	if (config->cors_origin && !req->is_grpc) {
		request_set_header(req, SPAN("access-control-allow-origin"), span_of(config->cors_origin));
		request_set_header(req, SPAN("access-control-expose-headers"),
				   SPAN("X-Request-Id, Inference-Header-Content-Length"));
	}
}

void answer_deliver(struct request *req)
{
	size_t bytes = req->method == METHOD_HEAD ? 0 : req->out.len;

	if (UNLIKELY(req->is_abandoned))
		return;
	req->stream->ops->respond(req, true);
	request_count(req, req->answer.status, bytes);
}

static void answer_give(struct request *req, int status, struct span content_type)
{
	req->answer.status = status;
	req->answer.content_type = content_type;
	answer_complete(req);
	req->answer.is_answered = true;
	if (req->phase != PHASE_OFFLOADED)
		answer_deliver(req);
}

/* An open request is over when its answer is given. */
static void answer_settle(struct request *req)
{
	if (UNLIKELY(req->phase == PHASE_WAITING))
		open_finish(req);
}

void request_send(struct request *req, int status, struct span content_type)
{
	bool is_failing = slot_of(req)->is_failing;

	ASSERT(!req->answer.is_answered && !slot_of(req)->open.has_head);
	if (UNLIKELY(req->out.overflow)) {
		struct error err = { 0 };

		if (!is_failing) {
			error_set(&err, ERROR_INTERNAL,
				  "the answer is over the limit of %zu bytes (--max-answer-bytes)", req->out.limit);
			request_fail(req, &err);
			return;
		}
		buffer_clear(&req->out); /* not even the error fits: the status alone has to tell */
	}
	answer_give(req, req->is_grpc ? 0 : status, content_type);
	if (!is_failing)
		answer_settle(req);
}

void request_send_part(struct request *req)
{
	struct slot *s = slot_of(req);

	ASSERT(!req->answer.is_answered);
	ASSERT(req->route && req->route->kind == ROUTE_GRPC_STREAM);
	if (req->out.overflow) {
		struct error err = { 0 };

		error_set(&err, ERROR_INTERNAL, "a message is over the limit of %zu bytes (--max-answer-bytes)",
			  req->out.limit);
		request_fail(req, &err);
		return;
	}
	answer_compress(req);
	if (req->phase == PHASE_OFFLOADED) {
		struct part part = { req->out.len, req->answer.is_coded };

		buffer_append(&s->parts, span_from(&part, sizeof(part)));
		buffer_append(&s->parts, buffer_span(&req->out));
	} else if (!req->is_abandoned) {
		req->stream->ops->respond(req, false);
	}
	req->answer.is_coded = false;
	buffer_clear(&req->out);
}

bool parts_deliver(struct request *req)
{
	struct slot *s = slot_of(req);
	struct buffer last = req->out;
	bool last_is_coded = req->answer.is_coded;
	struct span rest = buffer_span(&s->parts);

	if (LIKELY(rest.len == 0))
		return true;
	if (s->parts.overflow)
		return false;
	buffer_init(&req->out, last.limit);
	while (rest.len) {
		struct part part;

		memcpy(&part, rest.ptr, sizeof(part));
		buffer_clear(&req->out);
		buffer_append(&req->out, span_first(span_skip(rest, sizeof(part)), part.len));
		req->answer.is_coded = part.is_coded;
		req->stream->ops->respond(req, false);
		rest = span_skip(rest, sizeof(part) + part.len);
	}
	buffer_done(&req->out);
	req->out = last;
	req->answer.is_coded = last_is_coded;
	buffer_recycle(&s->parts, 0);
	return true;
}

static void log_internal(struct request *req, const struct error *err)
{
	log_error("net", err->message, LOG_SPAN("request", ((struct span){ req->id, req->id_len })),
		  LOG_SPAN("method", req->method_text), LOG_SPAN("path", req->path));
}

void request_fail(struct request *req, const struct error *err)
{
	struct slot *s = slot_of(req);

	ASSERT(err->code != ERROR_NONE);
	if (err->code == ERROR_INTERNAL)
		log_internal(req, err);
	s->failed = err->code;
	if (UNLIKELY(s->open.has_head)) {
		request_cut(req);
		return;
	}
	buffer_clear(&req->out);
	if (req->is_grpc) {
		s->failure = *err;
		req->answer.failure = &s->failure;
		answer_give(req, error_grpc(err->code), (struct span){ NULL, 0 });
		answer_settle(req);
		return;
	}
	if (err->code == ERROR_EXHAUSTED || err->code == ERROR_UNAVAILABLE)
		request_set_header(req, SPAN("retry-after"), SPAN("1"));
	if (err->code == ERROR_UNSUPPORTED_MEDIA)
		request_set_header(req, SPAN("accept-encoding"), SPAN(CODING_ACCEPTED));
	s->is_failing = true;
	req->surface->fail(req, err);
	s->is_failing = false;
	answer_settle(req);
}

void fail_as_json_error(struct request *req, const struct error *err)
{
	struct json_writer w = json_writer(&req->out);

	json_open_object(&w);
	json_key(&w, SPAN("error"));
	json_string(&w, error_span(err));
	json_close_object(&w);
	request_send(req, error_http(err->code), SPAN("application/json"));
}

const struct surface surface_plain = { "plain", fail_as_json_error };
