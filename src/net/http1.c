/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of HTTP/1.1 and 1.0 (RFC 9112): one request at a time; those behind it wait in the input buffer. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/number.h"
#include "net/direct_private.h"
#include "net/forwarded.h"
#include "net/http1_private.h"
#include "net/transport.h"
#include "wire/http1.h"

#define OUT_HIGH_WATER  MIB(1) /* unsent answers; with more, the next request waits */
#define HEAD_FIXED_MOST 256    /* status line, date, the lines of fixed text, lengths */

static void http1_respond(struct request *req, bool is_last);
static void http1_finished(struct request *req);

static const struct stream_ops http1_stream_ops = {
	.respond = http1_respond,
	.finished = http1_finished,
	.want = http1_want,
	.head = http1_answer_head,
	.write = http1_answer_write,
	.end = http1_answer_end,
	.cut = http1_answer_cut,
	.unsent = http1_answer_unsent,
};

static const struct server_limits *limits_of(const struct http1 *h)
{
	return &worker_config(h->connection->worker)->limits;
}

static int64_t now_of(const struct http1 *h)
{
	return loop_now(h->connection->worker->loop);
}

static void idle_timeout(struct http1 *h)
{
	int64_t ms = limits_of(h)->idle_timeout_ms;

	connection_timeout(h->connection, ms > 0 ? now_of(h) + ms * NS_PER_MS : 0);
}

/* Between two requests. */
static void next_wait(struct http1 *h)
{
	struct connection *c = h->connection;
	int64_t grace_ms = worker_config(c->worker)->idle_grace_ms;

	if (LIKELY(!c->drains) || connection_unread(c).len)
		idle_timeout(h);
	else if (grace_ms > 0)
		connection_timeout(c, now_of(h) + grace_ms * NS_PER_MS);
	else
		connection_close(c);
}

/* From `from_ns` for the next bytes, and never past what the whole request may take. */
static void read_timeout(struct http1 *h, int64_t from_ns)
{
	const struct server_limits *limits = limits_of(h);
	int64_t at = INT64_MAX;

	if (limits->read_timeout_ms > 0)
		at = from_ns + limits->read_timeout_ms * NS_PER_MS;
	if (limits->request_timeout_ms > 0)
		at = MIN(at, h->started_ns + limits->request_timeout_ms * NS_PER_MS);
	connection_timeout(h->connection, at == INT64_MAX ? 0 : at);
}

/* ---- answering ---- */

static bool has_no_body(const struct request *req)
{
	return req->answer.status == 204 || req->answer.status == 304 || req->answer.status < 200;
}

static size_t head_most(const struct request *req, struct span server)
{
	size_t size = HEAD_FIXED_MOST + server.len + req->answer.content_type.len;

	for (size_t i = 0; i < req->answer.header_count; i++)
		size += req->answer.headers[i].name.len + req->answer.headers[i].value.len + 4;
	return size;
}

static char *put_head(struct http1 *h, const struct request *req, char *to, struct span server)
{
	to = http1_put_status(to, req->answer.status, (struct span){ NULL, 0 });
	to = http1_put(to, worker_date(h->connection->worker));
	if (server.len) {
		to = HTTP1_PUT(to, "Server: ");
		to = http1_put_value(to, server);
		to = HTTP1_PUT(to, "\r\n");
	}
	if (req->answer.content_type.len) {
		to = HTTP1_PUT(to, "Content-Type: ");
		to = http1_put_value(to, req->answer.content_type);
		to = HTTP1_PUT(to, "\r\n");
	}
	if (!has_no_body(req)) {
		to = HTTP1_PUT(to, "Content-Length: ");
		to = number_print_uint64(to, req->out.len);
		to = HTTP1_PUT(to, "\r\n");
	}
	for (size_t i = 0; i < req->answer.header_count; i++) {
		to = http1_put_value(to, req->answer.headers[i].name);
		to = HTTP1_PUT(to, ": ");
		to = http1_put_value(to, req->answer.headers[i].value);
		to = HTTP1_PUT(to, "\r\n");
	}
	return HTTP1_PUT(http1_put_connection(h, to), "\r\n");
}

/* Head and body in one go: what fits is copied behind the head, a larger body's memory is taken over. */
static void write_whole(struct http1 *h, struct request *req)
{
	struct connection *c = h->connection;
	struct span server = span_of(worker_config(c->worker)->server_name);
	bool has_body = req->method != METHOD_HEAD && !has_no_body(req);
	bool is_copied = has_body && req->out.len <= CONNECTION_COPY_MAX;
	char *start = connection_write_reserve(c, head_most(req, server) + (is_copied ? req->out.len : 0));
	char *to = put_head(h, req, start, server);

	if (is_copied && req->out.len)
		to = http1_put(to, buffer_span(&req->out));
	connection_write_commit(c, (size_t)(to - start));
	if (c->direct)
		direct_answers(c, 0);
	if (has_body && !is_copied)
		connection_write_buffer(c, &req->out);
}

bool http1_can_discard(const struct http1 *h)
{
	size_t have = connection_unread(h->connection).len - h->held;

	if (LIKELY(h->phase == HTTP1_BUSY && !h->is_stream))
		return true;
	if (h->is_chunked)
		return h->is_stream && h->has_told_last;
	if (h->body_left <= have)
		return true;
	/* A client that waits for "100 Continue" may send the body or not: what comes next cannot be known. */
	return !h->expects_continue && h->body_left - have <= HTTP1_DISCARD_MOST;
}

static void http1_respond(struct request *req, bool is_last)
{
	struct http1 *h = (struct http1 *)req->stream;
	struct connection *c = h->connection;

	ASSERT(is_last); /* answers in parts are gRPC's */
	if (!req->stream->connection || c->is_closing || c->is_closed)
		return;
	if (UNLIKELY(c->worker->is_draining || c->is_eof))
		h->keep_alive = false;
	/* A stand-in answers: the request itself still has our buffer, and a compute thread. */
	if (UNLIKELY(req != h->stream.request || !http1_can_discard(h)))
		h->keep_alive = false;
	write_whole(h, req);
	if (UNLIKELY(!h->keep_alive && req != h->stream.request))
		connection_close(c);
}

static void http1_free(struct http1 *h)
{
	buffer_done(&h->kept);
	free(h);
}

void http1_at_work(struct http1 *h)
{
	h->phase = HTTP1_BUSY;
	if (!h->connection->direct)
		return;
	h->is_at_work = true;
	direct_begins(h->connection);
}

static void work_over(struct http1 *h, struct worker *w)
{
	if (!h->is_at_work)
		return;
	h->is_at_work = false;
	direct_over(w);
	if (h->orphan_slot)
		direct_orphan_over(w, h->orphan_slot - 1);
}

/* The request that a handler had is over: on to the next. */
static void busy_end(struct http1 *h)
{
	struct connection *c = h->connection;

	c->hears_end = false;
	work_over(h, c->worker);
	h->phase = HTTP1_HEAD;
	if (UNLIKELY(h->is_stream))
		(void)http1_stream_over(h); /* it may say that a body is to be discarded */
	connection_consume(c, h->held);
	h->held = 0;
	h->seen = 0;
	if (UNLIKELY(!h->keep_alive)) {
		connection_close(c);
		return;
	}
	next_wait(h);
	if (!h->is_receiving)
		connection_resume_read(c);
}

static void http1_finished(struct request *req)
{
	struct http1 *h = (struct http1 *)req->stream;

	h->stream.request = NULL;
	if (UNLIKELY(!h->stream.connection)) {
		work_over(h, req->worker);
		http1_free(h);
		return;
	}
	if (LIKELY(h->phase == HTTP1_BUSY))
		busy_end(h);
}

/* ---- reading heads ---- */

static enum method method_of(struct span m)
{
	switch (m.len) {
	case 3:
		return memcmp(m.ptr, "GET", 3) == 0   ? METHOD_GET
		       : memcmp(m.ptr, "PUT", 3) == 0 ? METHOD_PUT
						      : METHOD_OTHER;
	case 4:
		return memcmp(m.ptr, "POST", 4) == 0   ? METHOD_POST
		       : memcmp(m.ptr, "HEAD", 4) == 0 ? METHOD_HEAD
						       : METHOD_OTHER;
	case 5:
		return memcmp(m.ptr, "PATCH", 5) == 0 ? METHOD_PATCH : METHOD_OTHER;
	case 6:
		return memcmp(m.ptr, "DELETE", 6) == 0 ? METHOD_DELETE : METHOD_OTHER;
	case 7:
		return memcmp(m.ptr, "OPTIONS", 7) == 0 ? METHOD_OPTIONS : METHOD_OTHER;
	default:
		return METHOD_OTHER;
	}
}

static struct request *request_start(struct http1 *h)
{
	struct request *req = request_new(h->connection->worker, &h->stream);

	req->http_major = 1;
	req->http_minor = h->minor;
	req->received_ns = h->started_ns;
	return req;
}

/* Bytes that are no request: the answer says why, and the connection ends, since nobody knows where the next would
 * start. */
static void refuse_head(struct http1 *h, const struct error *err)
{
	struct request *req;

	h->phase = HTTP1_BEGIN;
	h->minor = 1;
	h->keep_alive = false;
	h->body_left = 0;
	h->is_chunked = h->expects_continue = false;
	req = request_start(h);
	req->method = METHOD_OTHER;
	request_refuse(req, err);
	connection_close(h->connection);
}

/* Answers the request at hand with an error that was found while its body came. */
static void refuse_body(struct http1 *h, const struct error *err)
{
	h->keep_alive = false;
	request_refuse(h->stream.request, err);
	connection_close(h->connection);
}

static struct span moved(struct span s, const char *from, const char *to)
{
	return s.ptr ? (struct span){ to + (s.ptr - from), s.len } : s;
}

/* Spans of the head into a copy of it: the input buffer moves while the body comes. */
static void head_move(struct http1_head *head, const char *from, const char *to)
{
	head->method = moved(head->method, from, to);
	head->target = moved(head->target, from, to);
	head->host = moved(head->host, from, to);
	head->content_type = moved(head->content_type, from, to);
	for (size_t i = 0; i < head->header_count; i++) {
		head->headers[i].name = moved(head->headers[i].name, from, to);
		head->headers[i].value = moved(head->headers[i].value, from, to);
	}
}

/* What only a hythe in front may say (forwarded.h) is not heard from clients. */
static void fields_take(struct http1_head *head)
{
	size_t kept = 0;

	for (size_t i = 0; i < head->header_count; i++)
		if (LIKELY(!span_starts(head->headers[i].name, FORWARDED_PREFIX))) {
			if (UNLIKELY(kept < i))
				head->headers[kept] = head->headers[i];
			kept++;
		}
	head->header_count = kept;
}

static bool head_take(struct request *req, struct http1_head *head, struct span bytes, bool is_copied,
		      struct error *err)
{
	struct header *headers = ARENA_ARRAY(&req->arena, struct header, head->header_count, err);

	if (!headers)
		return false;
	if (is_copied) {
		struct span copy = arena_copy(&req->arena, bytes, err);

		if (!copy.ptr)
			return false;
		head_move(head, bytes.ptr, copy.ptr);
	}
	fields_take(head);
	memcpy(headers, head->headers, head->header_count * sizeof(*headers));
	req->method = method_of(head->method);
	req->method_text = head->method;
	req->target = head->target;
	req->authority = head->host;
	req->headers = headers;
	req->header_count = head->header_count;
	req->content_type = head->content_type;
	return true;
}

static void dispatch(struct http1 *h, size_t held, struct span body)
{
	struct request *req = h->stream.request;

	http1_at_work(h);
	h->held = held;
	req->body = body;
	request_dispatch(req);
}

/* After an early answer: drops what there is of the body, and the connection with it if it must go. */
static bool begin_discard(struct http1 *h)
{
	if (!h->keep_alive) {
		connection_close(h->connection);
		return false;
	}
	h->phase = HTTP1_DISCARD;
	return true;
}

static void body_too_large(struct http1 *h, struct error *err)
{
	error_set(err, ERROR_TOO_LARGE, "the body is over the limit of %zu bytes (--max-body-bytes)",
		  limits_of(h)->body_bytes);
}

/* The head is whole and good: `len` bytes at the front of the input. */
static bool begin(struct http1 *h, struct http1_head *head, size_t len)
{
	struct connection *c = h->connection;
	struct span unread = connection_unread(c);
	/* A tunnel's bytes move through the buffer, behind a head that must stay. */
	bool is_whole = !head->is_chunked && !head->has_upgrade && unread.len - len >= head->content_length;
	struct error err = { 0 };
	struct request *req;

	if (c->direct && direct_hands_back(c, head->method, head->target))
		return false;
	if (!is_whole && !head->is_chunked && !head->has_upgrade && !head->expects_continue &&
	    direct_gathers(c, len + head->content_length)) {
		connection_expect(c, len + (size_t)head->content_length);
		h->seen = 0; /* of the head, which is read once more then */
		h->has_head = true;
		read_timeout(h, now_of(h));
		return false;
	}
	h->has_head = h->has_kept = false;
	h->phase = HTTP1_BEGIN;
	h->minor = head->minor;
	h->keep_alive = head->keep_alive && !c->worker->is_draining && !c->drains;
	h->expects_continue = head->expects_continue;
	h->is_chunked = head->is_chunked;
	h->has_upgrade = head->has_upgrade;
	h->body_left = head->content_length;
	c->is_settled = !head->keep_alive && is_whole;
	req = request_start(h);
	if (UNLIKELY(!head_take(req, head, span_first(unread, len), !is_whole, &err))) {
		h->keep_alive = false;
		request_refuse(req, &err);
		return begin_discard(h);
	}
	if (c->direct)
		connection_expect(c, 0);
	if (LIKELY(is_whole)) {
		size_t body = (size_t)head->content_length;
		bool is_begun = request_begin(req);

		if (c->direct && is_begun)
			direct_names(c, req);

		/* The spans point into the input: it is consumed when the request is over. */
		if (UNLIKELY(is_begun && route_is_stream(req->route))) {
			http1_stream_begin(h, len);
			return true;
		}
		if (LIKELY(is_begun && body <= limits_of(h)->body_bytes)) {
			dispatch(h, len + body, span_from(unread.ptr + len, body));
			return true;
		}
		if (is_begun) {
			body_too_large(h, &err);
			request_refuse(req, &err);
		}
		connection_consume(c, len);
		return begin_discard(h);
	}

	connection_consume(c, len);
	if (!request_begin(req))
		return begin_discard(h);
	if (c->direct)
		direct_names(c, req);
	if (route_is_stream(req->route)) {
		http1_stream_begin(h, 0);
		return true;
	}
	if (head->content_length > limits_of(h)->body_bytes) {
		body_too_large(h, &err);
		request_refuse(req, &err);
		return begin_discard(h);
	}
	if (head->expects_continue && unread.len == len)
		connection_write(c, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
	h->phase = HTTP1_BODY;
	h->expects_continue = false; /* told to go on: the body comes */
	h->body_len = 0;
	h->chunked = (struct http1_chunked){ 0 };
	connection_expect(c, head->is_chunked ? 0 : (size_t)head->content_length);
	return true;
}

static void head_too_large(struct http1 *h)
{
	struct error err = { 0 };

	error_set(&err, ERROR_HEADERS_TOO_LARGE,
		  "the request line and headers are over the limit of %zu bytes (--max-header-bytes)",
		  limits_of(h)->header_bytes);
	refuse_head(h, &err);
}

static void truncated(struct error *err, const char *what)
{
	error_set(err, ERROR_INVALID, "the connection was closed in the middle of %s", what);
}

static bool head_step(struct http1 *h)
{
	struct connection *c = h->connection;
	struct http1_head *head = &c->worker->more->head;
	struct span unread = connection_unread(c);
	struct error err = { 0 };
	size_t len = 0;

	if (unread.len == 0) {
		if (c->is_eof)
			connection_close(c);
		return false;
	}
	/* Some clients end a body with one empty line too many: that is no request begun. */
	if (UNLIKELY(unread.len == 2 && memcmp(unread.ptr, "\r\n", 2) == 0)) {
		connection_consume(c, 2);
		h->seen = 0;
		return true; /* the client's end may have come with it */
	}
	if (h->seen == 0) {
		if (!h->has_head)
			h->started_ns = now_of(h);
		if (c->direct)
			direct_asks(c);
	}
	switch (http1_parse_head(c->in.ptr + c->in_at, unread.len, &h->seen, head, &len, &err)) {
	case HTTP1_DONE:
		if (LIKELY(len <= limits_of(h)->header_bytes))
			return begin(h, head, len);
		head_too_large(h);
		return false;
	case HTTP1_MORE:
		if (unread.len >= limits_of(h)->header_bytes) {
			head_too_large(h);
		} else if (c->is_eof) {
			truncated(&err, "a request's head");
			refuse_head(h, &err);
		} else {
			read_timeout(h, h->started_ns);
		}
		return false;
	case HTTP1_FAILED:
		refuse_head(h, &err);
		return false;
	}
	return false;
}

/* ---- reading bodies ---- */

static bool body_wait(struct http1 *h)
{
	struct error err = { 0 };

	if (h->connection->is_eof) {
		truncated(&err, "a request's body");
		refuse_body(h, &err);
		return false;
	}
	read_timeout(h, now_of(h));
	return false;
}

static bool length_step(struct http1 *h)
{
	struct span unread = connection_unread(h->connection);

	if (unread.len < h->body_left)
		return body_wait(h);
	connection_expect(h->connection, 0);
	dispatch(h, (size_t)h->body_left, span_first(unread, (size_t)h->body_left));
	return true;
}

/* Decodes in place: the body gathers at the front of the input, each new piece is moved down to it. */
static bool chunked_step(struct http1 *h)
{
	struct connection *c = h->connection;
	char *front = c->in.ptr + c->in_at, *raw = front + h->body_len;
	size_t raw_len = c->in.len - c->in_at - h->body_len, used = 0, data = 0;
	struct error err = { 0 };
	enum http1_result result;

	if (raw_len == 0)
		return body_wait(h);
	result = http1_chunked_feed(&h->chunked, raw, raw_len, raw, &used, &data, &err);
	if (result == HTTP1_FAILED) {
		refuse_body(h, &err);
		return false;
	}
	h->body_len += data;
	if (h->body_len > limits_of(h)->body_bytes) {
		body_too_large(h, &err);
		refuse_body(h, &err);
		return false;
	}
	if (result == HTTP1_DONE) {
		dispatch(h, h->body_len - data + used, span_from(front, h->body_len));
		return true;
	}
	c->in.len = c->in_at + h->body_len;
	return body_wait(h);
}

static bool discard_step(struct http1 *h)
{
	struct connection *c = h->connection;
	size_t have = connection_unread(c).len;

	connection_consume(c, (size_t)MIN(have, h->body_left));
	h->body_left -= MIN(have, h->body_left);
	if (h->body_left) {
		if (c->is_eof)
			connection_close(c);
		else
			read_timeout(h, now_of(h));
		return false;
	}
	h->phase = HTTP1_HEAD;
	h->seen = 0;
	next_wait(h);
	return true;
}

static bool step(struct http1 *h)
{
	switch (h->phase) {
	case HTTP1_HEAD:
		return head_step(h);
	case HTTP1_BODY:
		return h->is_chunked ? chunked_step(h) : length_step(h);
	case HTTP1_DISCARD:
		return discard_step(h);
	case HTTP1_BUSY:
		return h->is_stream && http1_stream_step(h);
	case HTTP1_BEGIN:
		break;
	}
	return false;
}

/* ---- the codec ---- */

static void http1_open(struct connection *c)
{
	struct http1 *h = base_calloc(1, sizeof(*h));

	h->stream.ops = &http1_stream_ops;
	h->stream.connection = c;
	h->connection = c;
	c->codec_state = h;
}

/* The client does not read its answers: it gets no more of them for now. Of a direct connection all of an answer is sent before the
 * next request is looked at, so that its giver knows which of them is lost with us. */
static bool is_clogged(struct http1 *h)
{
	struct connection *c = h->connection;
	size_t most = c->direct && h->phase == HTTP1_HEAD ? 0 : OUT_HIGH_WATER;

	if (LIKELY(c->out_waiting <= most))
		return false;
	connection_flush(c);
	h->is_blocked = c->out_waiting > most;
	return h->is_blocked;
}

static void http1_receive(struct connection *c)
{
	struct http1 *h = c->codec_state;
	bool goes_on = true;

	if (h->is_receiving)
		return;
	h->is_receiving = true;
	while (goes_on && !is_clogged(h) && !c->is_closing && !c->is_closed && !(c->direct && direct_holds(c)))
		goes_on = step(h);
	h->is_receiving = false;
	if (UNLIKELY(h->is_blocked || (h->phase == HTTP1_BUSY && !http1_stream_reads(h)))) {
		connection_pause_read(c);
		c->hears_end = h->phase == HTTP1_BUSY && http1_stream_hears_end(h);
	}
}

static void http1_turn(struct connection *c)
{
	struct http1 *h = c->codec_state;

	if (c->is_read_paused)
		connection_resume_read(c);
	if (h->phase == HTTP1_BUSY && !c->is_read_paused)
		http1_receive(c);
}

static void http1_writable(struct connection *c)
{
	struct http1 *h = c->codec_state;

	if (UNLIKELY(h->phase == HTTP1_BUSY && h->stream.request && request_is_open(h->stream.request)))
		request_drained(h->stream.request);
	if (!h->is_blocked || is_clogged(h))
		return;
	h->is_blocked = false;
	if (h->phase != HTTP1_BUSY || http1_stream_reads(h))
		connection_resume_read(c);
}

static void http1_expired(struct connection *c)
{
	struct http1 *h = c->codec_state;
	struct error err = { 0 };

	switch (h->phase) {
	case HTTP1_HEAD:
		if (connection_unread(c).len == 0 || h->is_blocked) {
			if (!c->out_waiting)
				connection_abort(c);
			else if (c->worker->is_draining && connection_unread(c).len == 0)
				connection_close(c);
			else
				idle_timeout(h); /* it is not idle while it reads */
			return;
		}
		error_set(&err, ERROR_REQUEST_TIMEOUT, "the request's %s did not come within %lld ms (--read-timeout)",
			  h->has_head ? "body" : "head", (long long)limits_of(h)->read_timeout_ms);
		refuse_head(h, &err);
		return;
	case HTTP1_BODY:
		error_set(&err, ERROR_REQUEST_TIMEOUT,
			  "the request's body did not come in time (--read-timeout, --request-timeout)");
		refuse_body(h, &err);
		return;
	case HTTP1_DISCARD:
		connection_abort(c);
		return;
	case HTTP1_BUSY: /* an old idle time: a request at work has its own deadline */
		http1_stream_expired(h);
		return;
	case HTTP1_BEGIN:
		return;
	}
}

static void http1_drain(struct connection *c)
{
	struct http1 *h = c->codec_state;

	if (h->phase != HTTP1_HEAD)
		h->keep_alive = h->keep_alive && h->has_kept;
	else if (connection_unread(c).len == 0)
		next_wait(h);
}

static void http1_closed(struct connection *c)
{
	struct http1 *h = c->codec_state;

	if (!h->stream.request) {
		http1_free(h);
		return;
	}
	/* A compute thread may be reading the body where it is: the buffer lives on until `finished`. */
	h->kept = c->in;
	buffer_init(&c->in, SIZE_MAX);
	c->in_at = 0;
	h->stream.connection = NULL;
	h->connection = NULL;
	if (h->is_at_work && !c->direct_is_over) {
		c->direct_keeps_slot = true;
		h->orphan_slot = c->direct_slot + 1;
	}
	request_abandon(h->stream.request);
}

static bool http1_is_idle(const struct connection *c)
{
	const struct http1 *h = c->codec_state;

	return h->phase == HTTP1_HEAD && !h->stream.request;
}

static bool http1_waits(const struct connection *c)
{
	const struct http1 *h = c->codec_state;

	return h->phase != HTTP1_BUSY || (http1_stream_reads(h) && connection_unread(c).len <= h->held);
}

const struct codec codec_http1 = {
	.name = "http/1.1",
	.open = http1_open,
	.receive = http1_receive,
	.writable = http1_writable,
	.expired = http1_expired,
	.drain = http1_drain,
	.turn = http1_turn,
	.closed = http1_closed,
	.is_idle = http1_is_idle,
	.waits = http1_waits,
};
