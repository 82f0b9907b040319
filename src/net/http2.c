/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2 - the codec for HTTP/2 and gRPC, on nghttp2's session (frames, HPACK, flow control).
 *
 * A stream is ours from its HEADERS until both halves are over: nghttp2 has closed it, and its request is finished. The
 * second may come long after the first, or after the connection, when a compute thread has the request.
 *
 * Bodies: DATA is gathered in stream->body, answers are sent from stream->out, which takes over the request's buffer.
 * Windows: a stream's window opens again as its bytes are taken; a streaming call's only when its handler keeps up.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/coding.h"
#include "net/forwarded.h"
#include "net/http1_private.h"
#include "net/http2_private.h"

enum {
	STREAM_WINDOW = 1024 * 1024,
	CONNECTION_WINDOW = 16 * 1024 * 1024,
	BODY_RESERVE_MOST = 1024 * 1024, /* memory taken on the word of a content-length */
	PARTS_HIGH = 1024 * 1024,        /* unsent answer bytes before a streaming call's next message waits */
	CONTROL_MOST = 1000,             /* control frames a second */
	BODY_KEEP = 64 * 1024,
	FREE_STREAMS_MOST = 256,
	ADOPTED_STREAMS = 4096,
};

static const struct stream_ops http2_stream_ops;

/* ---- streams ---- */

static struct http2_stream *stream_new(struct h2 *h2, int32_t id)
{
	struct worker *w = worker_of(h2);
	struct http2_stream *s = w->free_streams;

	if (s) {
		struct buffer body = s->body, out = s->out, current = s->current;

		w->free_streams = s->next;
		memset(s, 0, offsetof(struct http2_stream, headers));
		s->body = body;
		s->out = out;
		s->current = current;
	} else {
		s = base_alloc(sizeof(*s));
		memset(s, 0, offsetof(struct http2_stream, headers));
		buffer_init(&s->body, SIZE_MAX / 2); /* bounded by hand: gRPC frames add to the limit */
		buffer_init(&s->current, SIZE_MAX / 2);
		buffer_init(&s->out, limits_of(h2)->answer_bytes);
	}
	s->base.ops = &http2_stream_ops;
	s->base.connection = h2->connection;
	s->h2 = h2;
	s->id = id;
	s->is_open = true;
	s->progress_ns = now_of(h2);
	s->next = h2->streams;
	if (s->next)
		s->next->previous = s;
	h2->streams = s;
	h2->stream_count++;
	return s;
}

static void stream_memory_free(struct http2_stream *s)
{
	buffer_done(&s->body);
	buffer_done(&s->current);
	buffer_done(&s->out);
	free(s);
}

static void stream_recycle(struct worker *w, struct http2_stream *s)
{
	struct buffer *buffers[] = { &s->body, &s->current, &s->out };
	size_t kept = w->free_streams ? w->free_streams->header_count : 0; /* of a free stream: how many there are */

	free(s->failure);
	free(s->trailers);
	s->failure = NULL;
	s->trailers = NULL;
	if (kept >= FREE_STREAMS_MOST) {
		stream_memory_free(s);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(buffers); i++) {
		buffer_clear(buffers[i]);
		if (buffers[i]->cap > BODY_KEEP || kept > FREE_STREAMS_MOST / 8)
			buffer_shrink(buffers[i], 0);
	}
	s->header_count = kept + 1;
	s->next = w->free_streams;
	w->free_streams = s;
}

void worker_http2_done(struct worker *w)
{
	while (w->free_streams) {
		struct http2_stream *s = w->free_streams;

		w->free_streams = s->next;
		stream_memory_free(s);
	}
}

/* nghttp2, or the connection, is done with the stream. */
static void stream_close(struct http2_stream *s)
{
	struct h2 *h2 = s->h2;
	struct worker *w = worker_of(h2);

	sending_set(s, false);
	http2_due_remove(s);
	if (s->previous)
		s->previous->next = s->next;
	else
		h2->streams = s->next;
	if (s->next)
		s->next->previous = s->previous;
	h2->stream_count--;
	h2->buffered -= s->body.len;
	h2->active_ns = now_of(h2);
	s->is_open = false;
	s->h2 = NULL;
	if (s->base.request)
		request_abandon(s->base.request); /* the stream lives until `finished` */
	else
		stream_recycle(w, s);
}

static void stream_finished(struct request *req)
{
	struct http2_stream *s = stream_of(req);

	s->base.request = NULL;
	s->is_busy = false;
	if (!s->is_open) {
		s->base.connection = NULL;
		stream_recycle(req->worker, s);
		return;
	}
	/* What the client still sends is of no use: a body is kept no longer than its request. */
	s->is_discarding = true;
	s->h2->buffered -= s->body.len;
	s->body_at = 0;
	buffer_clear(&s->body);
}

/* ---- timer ---- */

void http2_timer_need(struct h2 *h2, int64_t at_ns)
{
	if (h2->timer_ns && h2->timer_ns <= at_ns)
		return;
	h2->timer_ns = at_ns;
	connection_timeout(h2->connection, at_ns);
}

static int64_t after_ms(int64_t from_ns, int64_t ms)
{
	return ms > 0 ? from_ns + ms * NS_PER_MS : INT64_MAX;
}

/* When something has to happen to this stream; INT64_MAX: others watch it. */
static int64_t stream_expiry(const struct http2_stream *s)
{
	const struct server_limits *limits = limits_of(s->h2);
	const struct request *req = s->base.request;

	if (req && request_is_open(req))
		return http2_open_expiry(s); /* open.c keeps the deadline */
	if (s->is_busy)
		return INT64_MAX; /* request.c keeps the deadline */
	if (out_waiting(s) > 0)
		return MIN(after_ms(s->progress_ns, limits->write_timeout_ms), req ? req->deadline_ns : INT64_MAX);
	if (!req)
		return after_ms(s->progress_ns, limits->read_timeout_ms); /* answered, and the client does not end */
	if (req->route && req->route->kind == ROUTE_GRPC_STREAM)
		return req->deadline_ns;
	return MIN(req->deadline_ns, after_ms(s->progress_ns, limits->read_timeout_ms));
}

static void stream_expire(struct http2_stream *s, int64_t now_ns)
{
	struct request *req = s->base.request;
	struct error err = { 0 };

	if (req && request_is_open(req)) {
		http2_open_expire(s);
		return;
	}
	if (!req || (out_waiting(s) > 0 && now_ns < req->deadline_ns)) {
		nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		return;
	}
	if (now_ns >= req->deadline_ns)
		error_set(&err, ERROR_TIMEOUT, "the request did not end before its deadline");
	else
		error_set(&err, ERROR_REQUEST_TIMEOUT, "no byte of the body came for %lld ms (--read-timeout)",
			  (long long)limits_of(s->h2)->read_timeout_ms);
	s->is_discarding = true;
	request_refuse(req, &err);
}

/* ---- sending ---- */

static void stream_advance(struct http2_stream *s);

static void stalled_advance(struct h2 *h2)
{
	struct http2_stream *next;

	h2->has_stalled = false;
	for (struct http2_stream *s = h2->streams; s; s = next) {
		next = s->next;
		if (s->base.request && !s->is_busy && s->base.request->route &&
		    s->base.request->route->kind == ROUTE_GRPC_STREAM)
			stream_advance(s);
	}
}

/* Room for more frames: what waits is sent when it is much. False: the socket takes no more, `writable` will come. */
static bool has_room(struct connection *c)
{
	if (c->out_waiting >= OUT_HIGH)
		connection_flush(c);
	return c->out_waiting < OUT_HIGH && !c->is_closed;
}

void http2_pump(struct h2 *h2)
{
	struct connection *c = h2->connection;

	if (h2->is_receiving || h2->is_pumping || c->is_closed)
		return;
	h2->is_pumping = true;
	while (has_room(c)) {
		const uint8_t *frame;
		ssize_t len = nghttp2_session_mem_send(h2->session, &frame);

		if (len < 0) {
			connection_abort(c);
			break;
		}
		if (len > 0) {
			connection_write(c, span_from(frame, (size_t)len));
			continue;
		}
		if (c->out_waiting >= OUT_HIGH)
			continue; /* http2_send_data() held back */
		if (!h2->has_stalled)
			break;
		stalled_advance(h2);
		if (h2->has_stalled && !nghttp2_session_want_write(h2->session))
			break; /* until a window opens */
	}
	h2->is_pumping = false;
	if (h2->sending)
		http2_timer_need(h2, after_ms(now_of(h2), limits_of(h2)->write_timeout_ms));
	if ((!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session)) ||
	    (h2->has_said_goodbye && h2->stream_count == 0))
		connection_close(c);
}

/* ---- receiving ---- */

static void stream_refuse(struct http2_stream *s, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

static void stream_refuse(struct http2_stream *s, enum error_code code, const char *format, ...)
{
	struct error err = { 0 };
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(&err, code, "%s", text);
	s->is_discarding = true;
	request_refuse(s->base.request, &err);
}

/* Takes gRPC's headers. False: refused. */
static bool grpc_begin(struct http2_stream *s, struct request *req)
{
	enum coding coding = CODING_IDENTITY;
	int64_t timeout_ns;

	req->is_grpc = s->is_grpc = true;
	if (s->timeout.ptr) {
		if (!grpc_timeout_parse(s->timeout, &timeout_ns)) {
			stream_refuse(s, ERROR_INVALID, "grpc-timeout '" SPAN_FMT "' is not a number and a unit",
				      SPAN_ARG(s->timeout));
			return false;
		}
		if (__builtin_add_overflow(req->received_ns, timeout_ns, &req->deadline_ns))
			req->deadline_ns = INT64_MAX;
	}
	if (s->encoding.ptr && (!coding_parse(s->encoding, &coding) || coding == CODING_ZSTD)) {
		request_set_header(req, SPAN("grpc-accept-encoding"), SPAN("identity,gzip,deflate"));
		stream_refuse(s, ERROR_UNIMPLEMENTED,
			      "grpc-encoding '" SPAN_FMT "' is not supported: use gzip, deflate or identity",
			      SPAN_ARG(s->encoding));
		return false;
	}
	s->coding = (uint8_t)coding;
	req->grpc_compress = coding == CODING_GZIP && coding_list_has(s->accept_encoding, CODING_GZIP);
	return true;
}

/* RFC 8441: a CONNECT with :protocol is, for whoever handles it, the GET that asks for an upgrade over HTTP/1.1. */
static bool upgrade_begin(struct http2_stream *s, struct request *req)
{
	if (!span_equal(s->protocol, SPAN("websocket")) || !span_equal(req->method_text, SPAN("CONNECT"))) {
		stream_refuse(s, ERROR_UNIMPLEMENTED, "protocol '" SPAN_FMT "' is not supported: use websocket",
			      SPAN_ARG(s->protocol));
		return false;
	}
	req->upgrade = SPAN("websocket");
	req->method = METHOD_GET;
	req->method_text = SPAN("GET");
	s->is_upgrade = true;
	return upgrade_version_check(req);
}

/* The head is whole. */
static void stream_begin(struct http2_stream *s)
{
	struct request *req = s->base.request;
	struct h2 *h2 = s->h2;
	bool is_other = false;

	req->headers = s->headers;
	req->header_count = s->header_count;
	req->http_major = 2;
	req->method = method_parse(req->method_text);
	if (UNLIKELY(s->protocol.ptr) && !upgrade_begin(s, req))
		return;
	if (s->is_too_large) {
		stream_refuse(s, ERROR_HEADERS_TOO_LARGE,
			      "the headers are over the limit of %zu bytes (--max-header-bytes) or %d fields",
			      limits_of(h2)->header_bytes, HTTP1_HEADERS_MAX);
		return;
	}
	if (req->content_type.ptr && grpc_content_type(req->content_type, &is_other) && req->method == METHOD_POST) {
		if (!grpc_begin(s, req))
			return;
		is_other = false;
	}
	if (!request_begin(req)) {
		s->is_discarding = true;
		return;
	}
	if (UNLIKELY(route_is_stream(req->route))) {
		http2_timer_need(h2, after_ms(now_of(h2), limits_of(h2)->read_timeout_ms));
		http2_raw_begin(s);
		return;
	}
	if (UNLIKELY(is_other)) {
		stream_refuse(s, ERROR_UNSUPPORTED_MEDIA,
			      "content-type '" SPAN_FMT "' is not supported: use application/grpc",
			      SPAN_ARG(req->content_type));
		return;
	}
	if (UNLIKELY(s->is_upgrade)) {
		stream_refuse(s, ERROR_UNIMPLEMENTED, "there is no WebSocket at '" SPAN_FMT "'", SPAN_ARG(req->path));
		return;
	}
	if (s->has_ended)
		return;
	if (!s->is_grpc && s->content_length > limits_of(h2)->body_bytes) {
		stream_refuse(s, ERROR_TOO_LARGE,
			      "a body of %zu bytes is over the limit of %zu bytes (--max-body-bytes)",
			      s->content_length, limits_of(h2)->body_bytes);
		return;
	}
	if (s->expects_continue) {
		nghttp2_nv status = pair(SPAN(":status"), SPAN("100"), FIXED);

		(void)nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, &status, 1,
					     NULL); /* a courtesy */
	}
	if (s->content_length && s->content_length <= limits_of(h2)->body_bytes)
		(void)buffer_reserve(&s->body, MIN(s->content_length, BODY_RESERVE_MOST));
	http2_timer_need(h2, stream_expiry(s));
}

static void window_open(struct http2_stream *s)
{
	if (s->unconsumed)
		(void)nghttp2_session_consume_stream(s->h2->session, s->id, s->unconsumed);
	s->unconsumed = 0;
}

static void grpc_dispatch(struct http2_stream *s, struct span message, bool is_compressed)
{
	struct request *req = s->base.request;

	if (is_compressed && s->coding == CODING_IDENTITY) {
		stream_refuse(s, ERROR_INVALID, "a message is marked as compressed, but grpc-encoding is not given");
		return;
	}
	req->body = message;
	req->coding = is_compressed ? s->coding : CODING_IDENTITY;
	s->is_busy = true;
	request_dispatch(req);
}

/* Hands over the next message: it becomes `current`, where it stays put while more comes to `body`. */
static void message_dispatch(struct http2_stream *s, struct span message, bool is_compressed)
{
	size_t end = (size_t)(message.ptr - s->body.ptr) + message.len;
	struct buffer whole = s->body;

	s->h2->buffered -= end;
	s->body = s->current;
	buffer_clear(&s->body);
	buffer_append(&s->body, span_skip(buffer_span(&whole), end));
	s->current = whole;
	grpc_dispatch(s, message, is_compressed);
}

/* A streaming call: hands over messages until one is not whole, the handler is busy, or the client reads too slowly. */
static void stream_advance(struct http2_stream *s)
{
	struct error err = { 0 };

	if (s->is_advancing)
		return;
	s->is_advancing = true;
	while (s->base.request && !s->is_busy) {
		struct span rest = buffer_span(&s->body);
		struct request *req = s->base.request;
		struct span message;
		bool is_compressed;
		enum grpc_result result;

		if (out_waiting(s) >= PARTS_HIGH) {
			s->h2->has_stalled = true;
			break;
		}
		result = grpc_frame_read(rest, limits_of(s->h2)->body_bytes, &is_compressed, &message, &err);
		if (result == GRPC_FAILED) {
			stream_refuse(s, err.code, "%s", err.message);
		} else if (result == GRPC_DONE) {
			message_dispatch(s, message, is_compressed);
		} else if (!s->has_ended) {
			window_open(s);
			break;
		} else if (rest.len) {
			stream_refuse(s, ERROR_INVALID, "the call ends inside a message");
		} else if (req->is_end && !s->h2->is_draining) {
			break; /* held open by its handler */
		} else if (req->is_end) {
			stream_refuse(s, ERROR_UNAVAILABLE, "the server is shutting down");
		} else {
			req->is_end = true;
			grpc_dispatch(s, SPAN(""), false);
		}
	}
	s->is_advancing = false;
}

static void stream_ready(struct request *req)
{
	struct http2_stream *s = stream_of(req);
	struct h2 *h2 = s->h2;

	s->is_busy = false;
	s->progress_ns = now_of(h2);
	if (s->is_advancing)
		return;
	stream_advance(s);
	http2_pump(h2);
}

static const struct stream_ops http2_stream_ops = {
	.respond = http2_respond,
	.finished = stream_finished,
	.ready = stream_ready,
	.want = http2_want,
	.head = http2_answer_head,
	.write = http2_answer_write,
	.end = http2_answer_end,
	.cut = http2_answer_cut,
	.unsent = http2_answer_unsent,
};

/* A unary call has exactly one message; gRPC's table of status codes says UNIMPLEMENTED for any other number. */
static void unary_end(struct http2_stream *s)
{
	struct span body = buffer_span(&s->body);
	struct error err = { 0 };
	bool is_compressed = false;
	struct span message;

	switch (grpc_frame_read(body, limits_of(s->h2)->body_bytes, &is_compressed, &message, &err)) {
	case GRPC_FAILED:
		stream_refuse(s, err.code, "%s", err.message);
		return;
	case GRPC_MORE:
		if (body.len == 0)
			stream_refuse(s, ERROR_UNIMPLEMENTED, "a unary call has one message: none came");
		else
			stream_refuse(s, ERROR_INVALID, "the call ends inside a message");
		return;
	case GRPC_DONE:
		if (message.len + GRPC_FRAME_HEAD < body.len) {
			stream_refuse(s, ERROR_UNIMPLEMENTED, "a unary call has one message: more came");
			return;
		}
		grpc_dispatch(s, message, is_compressed);
		return;
	}
}

/* The client has sent all. */
static void stream_end(struct http2_stream *s)
{
	s->has_ended = true;
	if (!s->base.request || s->is_discarding)
		return;
	if (s->is_raw) {
		http2_raw_end(s);
	} else if (s->base.request->route->kind == ROUTE_GRPC_STREAM) {
		stream_advance(s);
	} else if (s->is_grpc) {
		unary_end(s);
	} else {
		s->base.request->body = buffer_span(&s->body);
		s->is_busy = true;
		request_dispatch(s->base.request);
	}
}

/* Takes bytes of a body. False: refused. */
static bool body_append(struct http2_stream *s, struct span data)
{
	const struct server_limits *limits = limits_of(s->h2);
	size_t most = limits->body_bytes + (s->is_grpc ? GRPC_FRAME_HEAD : 0);
	bool is_start = s->body.len < GRPC_FRAME_HEAD;

	if (s->h2->buffered + data.len > limits->request_memory) {
		stream_refuse(s, ERROR_EXHAUSTED,
			      "the bodies of one connection are over the limit of %zu bytes "
			      "(--max-request-memory)",
			      limits->request_memory);
		return false;
	}
	if (s->base.request->route->kind != ROUTE_GRPC_STREAM && data.len > most - s->body.len) {
		stream_refuse(s, ERROR_TOO_LARGE, "the body is over the limit of %zu bytes (--max-body-bytes)",
			      limits->body_bytes);
		return false;
	}
	buffer_append(&s->body, data);
	s->h2->buffered += data.len;
	if (s->is_grpc && is_start && s->base.request->route->kind == ROUTE_GRPC) {
		struct error err = { 0 };
		struct span message;
		bool is_compressed;

		/* Too large a message is refused by its head; a large one finds its room at once. */
		if (grpc_frame_read(buffer_span(&s->body), limits->body_bytes, &is_compressed, &message, &err) ==
		    GRPC_FAILED) {
			stream_refuse(s, err.code, "%s", err.message);
			return false;
		}
	}
	return true;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len,
		   void *user_data)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, stream_id);

	(void)flags, (void)user_data;
	(void)nghttp2_session_consume_connection(session, len);
	if (s && s->is_raw && s->base.request && !s->is_discarding) {
		if (!http2_raw_data(s, span_from(data, len)))
			(void)nghttp2_session_consume_stream(session, stream_id, len);
		return 0;
	}
	if (!s || s->is_discarding || !s->base.request || !body_append(s, span_from(data, len))) {
		(void)nghttp2_session_consume_stream(session, stream_id, len);
		return 0;
	}
	s->progress_ns = now_of(s->h2);
	s->unconsumed += len;
	if (s->base.request->route->kind == ROUTE_GRPC_STREAM)
		stream_advance(s);
	else
		window_open(s);
	return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct h2 *h2 = user_data;
	struct http2_stream *s;
	struct request *req;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	s = stream_new(h2, frame->hd.stream_id);
	req = request_new(worker_of(h2), &s->base);
	req->received_ns = s->progress_ns;
	return nghttp2_session_set_stream_user_data(session, s->id, s) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static size_t length_parse(struct span text)
{
	size_t length = 0;

	/* nghttp2 has checked that these are digits, and checks the sum of DATA against it. */
	for (size_t i = 0; i < text.len; i++)
		if (!checked_mul(length, 10, &length) || !checked_add(length, (size_t)(text.ptr[i] - '0'), &length))
			return SIZE_MAX;
	return length;
}

static void pseudo_take(struct request *req, struct span name, struct span value)
{
	if (span_equal(name, SPAN(":path")))
		req->target = value;
	else if (span_equal(name, SPAN(":method")))
		req->method_text = value;
	else if (span_equal(name, SPAN(":authority")))
		req->authority = value;
	else if (span_equal(name, SPAN(":protocol")))
		stream_of(req)->protocol = value;
}

/* Fields that the codec itself reads. */
static void header_note(struct http2_stream *s, struct span name, struct span value)
{
	struct request *req = s->base.request;

	switch (name.len) {
	case 4:
		if (span_equal(name, SPAN("host")) && !req->authority.ptr)
			req->authority = value;
		break;
	case 6:
		if (span_equal(name, SPAN("expect")))
			s->expects_continue = span_equal_ignore_case(value, SPAN("100-continue"));
		break;
	case 12:
		if (span_equal(name, SPAN("content-type")))
			req->content_type = value;
		else if (span_equal(name, SPAN("grpc-timeout")))
			s->timeout = value;
		break;
	case 13:
		if (span_equal(name, SPAN("grpc-encoding")))
			s->encoding = value;
		break;
	case 14:
		if (span_equal(name, SPAN("content-length")))
			s->content_length = length_parse(value);
		break;
	case 20:
		if (span_equal(name, SPAN("grpc-accept-encoding")))
			s->accept_encoding = value;
		break;
	}
}

/* forwarded.h: heard from a hythe in front, never from clients, and not shown to handlers as headers. */
static void forwarded_note(struct http2_stream *s, struct span name, struct span value)
{
	if (!s->h2->connection->is_adopted)
		return;
	if (span_equal(name, FORWARDED_PEER))
		s->base.forwarded.peer = value;
	else if (span_equal(name, FORWARDED_SCHEME))
		s->base.forwarded.scheme = value;
	else if (span_equal(name, FORWARDED_VERSION))
		s->base.forwarded.version = value;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_ptr, size_t name_len,
		     const uint8_t *value_ptr, size_t value_len, uint8_t flags, void *user_data)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct error ignored = { 0 };
	struct span name, value;
	char *copy;

	(void)flags, (void)user_data;
	if (!s || s->has_head || !s->base.request || s->is_too_large)
		return 0;
	s->header_bytes += name_len + value_len + 32; /* RFC 9113 6.5.2 counts so */
	copy = s->header_bytes <= limits_of(s->h2)->header_bytes && s->header_count < HTTP1_HEADERS_MAX
		   ? arena_alloc(&s->base.request->arena, name_len + value_len, &ignored)
		   : NULL;
	if (!copy) {
		s->is_too_large = true;
		return 0;
	}
	memcpy(copy, name_ptr, name_len);
	memcpy(copy + name_len, value_ptr, value_len);
	name = (struct span){ copy, name_len };
	value = (struct span){ copy + name_len, value_len };
	if (name_len && copy[0] == ':') {
		pseudo_take(s->base.request, name, value);
		return 0;
	}
	if (UNLIKELY(span_starts(name, FORWARDED_PREFIX))) {
		forwarded_note(s, name, value);
		return 0;
	}
	s->headers[s->header_count++] = (struct header){ name, value };
	header_note(s, name, value);
	return 0;
}

/* Frames that cost us work and carry nothing: a flood of them ends the connection. */
static void control_count(struct h2 *h2)
{
	int64_t second = now_of(h2) / NS_PER_S;

	if (h2->connection->is_adopted)
		return;
	if (second != h2->control_second) {
		h2->control_second = second;
		h2->control_count = 0;
	}
	if (++h2->control_count == CONTROL_MOST)
		(void)nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* The second step of draining (RFC 9113 6.8): streams opened before the client knew are in, later ones are not. */
static void goodbye(struct h2 *h2)
{
	if (h2->has_said_goodbye)
		return;
	h2->has_said_goodbye = true;
	(void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR, NULL, 0);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct h2 *h2 = user_data;
	struct http2_stream *s;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (!s)
			break;
		if (frame->hd.type == NGHTTP2_HEADERS && !s->has_head) {
			s->has_head = true;
			s->has_ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
			stream_begin(s);
		}
		if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			stream_end(s);
		else if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0)
			control_count(h2);
		break;
	case NGHTTP2_PING:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			control_count(h2);
		else if (h2->is_draining)
			goodbye(h2);
		break;
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PRIORITY:
		control_count(h2);
		break;
	}
	return 0;
}

/* An answer that was complete before its question: the client may stop sending (RFC 9113 8.1). */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	(void)user_data;
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
		(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, stream_id);

	(void)error_code, (void)user_data;
	if (s)
		stream_close(s);
	return 0;
}

/* ---- the codec's table ---- */

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options, *trusting_options;
static pthread_once_t setup_once = PTHREAD_ONCE_INIT;

static void setup(void)
{
	ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_send_data);
	ASSERT(nghttp2_option_new(&options) == 0);
	nghttp2_option_set_no_auto_window_update(options, 1);
	nghttp2_option_set_no_closed_streams(options, 1); /* they serve the old priorities only */
	nghttp2_option_set_max_reserved_remote_streams(options, 0);
	/* What nghttp2 holds against strangers: a hythe in front resets a stream for each client that leaves. */
	ASSERT(nghttp2_option_new(&trusting_options) == 0);
	nghttp2_option_set_no_auto_window_update(trusting_options, 1);
	nghttp2_option_set_no_closed_streams(trusting_options, 1);
	nghttp2_option_set_max_reserved_remote_streams(trusting_options, 0);
	nghttp2_option_set_max_outbound_ack(trusting_options, SIZE_MAX);
	nghttp2_option_set_stream_reset_rate_limit(trusting_options, UINT64_MAX / 2, UINT64_MAX / 2);
}

static struct server_limits limits_for(const struct connection *c)
{
	struct server_limits limits = worker_config(c->worker)->limits;

	if (c->is_adopted) {
		limits.idle_timeout_ms = limits.read_timeout_ms = limits.write_timeout_ms = 0;
		limits.streams = MAX(limits.streams, ADOPTED_STREAMS);
	}
	return limits;
}

static void http2_open(struct connection *c)
{
	struct server_limits limits = limits_for(c);
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)MIN(limits.streams, INT32_MAX) },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)MIN(limits.header_bytes, INT32_MAX) },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
	};
	struct h2 *h2 = base_calloc(1, sizeof(*h2));

	pthread_once(&setup_once, setup);
	h2->connection = c;
	h2->limits = limits;
	c->codec_state = h2;
	h2->active_ns = now_of(h2);
	ASSERT(nghttp2_session_server_new2(&h2->session, callbacks, h2, c->is_adopted ? trusting_options : options) ==
	       0);
	ASSERT(nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) == 0);
	ASSERT(nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0);
	http2_timer_need(h2, after_ms(h2->active_ns, limits.idle_timeout_ms));
	http2_pump(h2);
}

static void http2_receive(struct connection *c)
{
	struct h2 *h2 = c->codec_state;
	struct span in = connection_unread(c);
	ssize_t used = 0;

	if (c->is_closing)
		return;
	h2->active_ns = now_of(h2);
	if (in.len) {
		h2->is_receiving = true;
		used = nghttp2_session_mem_recv(h2->session, (const uint8_t *)in.ptr, in.len);
		h2->is_receiving = false;
	}
	if (used < 0) {
		/* No HTTP/2, or a flood: what nghttp2 has to say (GOAWAY) goes out, then the end. */
		connection_consume(c, in.len);
		if (used != NGHTTP2_ERR_FLOODED)
			(void)nghttp2_session_terminate_session(h2->session, NGHTTP2_PROTOCOL_ERROR);
		http2_pump(h2);
		connection_close(c);
		return;
	}
	connection_consume(c, (size_t)used);
	http2_pump(h2);
	if (c->is_eof)
		connection_close(c);
}

static void http2_writable(struct connection *c)
{
	http2_pump(c->codec_state);
}

static void http2_expired(struct connection *c)
{
	struct h2 *h2 = c->codec_state;
	const struct server_limits *limits = limits_of(h2);
	int64_t now_ns = now_of(h2);
	int64_t next_ns = after_ms(MAX(h2->active_ns, h2->stream_count ? now_ns : 0), limits->idle_timeout_ms);
	struct http2_stream *next;

	h2->timer_ns = 0;
	if (h2->is_draining)
		goodbye(h2);
	if (now_ns >= next_ns)
		(void)nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
	h2->is_receiving = true; /* no http2_pump() meanwhile: it might free the next stream */
	for (struct http2_stream *s = h2->streams; s; s = next) {
		int64_t at_ns = stream_expiry(s);

		next = s->next;
		if (at_ns <= now_ns)
			stream_expire(s, now_ns);
		else
			next_ns = MIN(next_ns, at_ns);
	}
	h2->is_receiving = false;
	if (next_ns != INT64_MAX)
		http2_timer_need(h2, MAX(next_ns, now_ns + 10 * NS_PER_MS));
	http2_pump(h2);
}

/* Calls that their handlers hold open have nothing more to be answered with. */
static void release_held(struct h2 *h2)
{
	struct http2_stream *next;

	h2->is_receiving = true; /* no http2_pump() meanwhile: it might free the next stream */
	for (struct http2_stream *s = h2->streams; s; s = next) {
		next = s->next;
		if (s->base.request && s->base.request->is_held && !s->is_busy)
			stream_refuse(s, ERROR_UNAVAILABLE, "the server is shutting down");
	}
	h2->is_receiving = false;
}

/* RFC 9113 6.8: first a GOAWAY that refuses nothing; when the client has answered our PING it knows, and the real one
 * goes. */
static void http2_drain(struct connection *c)
{
	struct h2 *h2 = c->codec_state;

	if (h2->is_draining)
		return;
	h2->is_draining = true;
	release_held(h2);
	(void)nghttp2_submit_shutdown_notice(h2->session);
	(void)nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
	http2_timer_need(h2, now_of(h2) + NS_PER_S);
	http2_pump(h2);
}

static void http2_closed(struct connection *c)
{
	struct h2 *h2 = c->codec_state;

	while (h2->streams) {
		struct http2_stream *s = h2->streams;

		/* The analyzer does not see that it leaves the list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		ASSERT(s->h2 == h2 && !s->previous);
		s->base.connection = NULL;
		stream_close(s);
	}
	nghttp2_session_del(h2->session);
	free(h2);
	c->codec_state = NULL;
}

const struct codec codec_http2 = {
	.name = "http/2",
	.open = http2_open,
	.receive = http2_receive,
	.writable = http2_writable,
	.expired = http2_expired,
	.drain = http2_drain,
	.turn = http2_turn,
	.closed = http2_closed,
};
