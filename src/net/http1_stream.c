/* SPDX-License-Identifier: Apache-2.0 */
/* http1_stream - open requests over HTTP/1: bodies given as they come, answers in parts (chunks), tunnels. */
#include "base/clock.h"
#include "base/number.h"
#include "net/direct_private.h"
#include "net/http1_private.h"

enum {
	HEAD_FIXED_MOST = 512, /* status line, date, the lines of fixed text */
	EXPECT_MOST = 256 * 1024,
	EXPECT_LEAST = 16 * 1024,
};

static struct http1 *http1_of(const struct request *req)
{
	return (struct http1 *)req->stream;
}

/* Nothing that is written goes anywhere any more. */
static bool is_dead(const struct http1 *h)
{
	return !h->stream.connection || h->connection->is_closing || h->connection->is_closed;
}

/* ---- the body ---- */

/* All of it has come, or been taken; a tunnel has no such moment. */
static bool body_is_whole(const struct http1 *h)
{
	if (h->is_tunnel)
		return h->has_told_last;
	return h->is_chunked ? h->has_told_last : h->body_left == 0;
}

/* What the input has of the body. */
static struct span body_unread(const struct http1 *h)
{
	return span_skip(connection_unread(h->connection), h->held);
}

static void body_took(struct http1 *h, size_t n)
{
	if (h->is_held)
		h->held += n;
	else
		connection_consume(h->connection, n);
}

/* `bytes` are consumed already, yet stay where they are until more is read. */
static bool give(struct http1 *h, struct span bytes, bool is_last)
{
	h->wanted -= bytes.len;
	h->has_told_last = is_last;
	request_receive(h->stream.request, bytes, is_last);
	return true;
}

static bool wait_for_bytes(struct http1 *h)
{
	struct connection *c = h->connection;
	int64_t limit_ms = worker_config(c->worker)->limits.read_timeout_ms;

	if (c->is_eof) {
		connection_abort(c); /* in the middle of a body: whoever sent it is gone */
		return false;
	}
	if (!h->is_tunnel && !h->has_answer_head)
		connection_timeout(c, limit_ms > 0 ? loop_now(c->worker->loop) + limit_ms * NS_PER_MS : 0);
	return false;
}

static bool tunnel_step(struct http1 *h)
{
	struct span bytes = span_first(body_unread(h), h->wanted);

	if (bytes.len) {
		body_took(h, bytes.len);
		return give(h, bytes, false);
	}
	return h->connection->is_eof && give(h, SPAN(""), true);
}

static bool length_step(struct http1 *h)
{
	struct connection *c = h->connection;
	struct span bytes = span_first(body_unread(h), (size_t)MIN(h->wanted, h->body_left));

	if (bytes.len == 0 && h->body_left) {
		size_t expected = (size_t)MIN(MIN(h->wanted, h->body_left), EXPECT_MOST);

		connection_expect(c, expected > EXPECT_LEAST ? expected : 0);
		return wait_for_bytes(h);
	}
	body_took(h, bytes.len);
	h->body_left -= bytes.len;
	if (h->body_left == 0)
		connection_expect(c, 0);
	return give(h, bytes, h->body_left == 0);
}

/* Decodes in place; what goes in is no more than may come out. */
static bool chunked_step(struct http1 *h)
{
	struct span raw = span_first(body_unread(h), h->wanted);
	size_t used = 0, data = 0;
	struct error err = { 0 };
	enum http1_result result;

	if (raw.len == 0)
		return wait_for_bytes(h);
	result = http1_chunked_feed(&h->chunked, raw.ptr, raw.len, (char *)raw.ptr, &used, &data, &err);
	if (result == HTTP1_FAILED) {
		h->keep_alive = false;
		request_break(h->stream.request, &err);
		return false;
	}
	body_took(h, used);
	if (data || result == HTTP1_DONE)
		return give(h, span_first(raw, data), result == HTTP1_DONE);
	return true;
}

bool http1_stream_step(struct http1 *h)
{
	struct request *req = h->stream.request;

	if (!req || !request_is_open(req) || !h->wanted || h->has_told_last)
		return false;
	if (h->is_tunnel)
		return tunnel_step(h);
	if (req->upgrade.len)
		return false; /* not accepted yet */
	return h->is_chunked ? chunked_step(h) : length_step(h);
}

bool http1_stream_reads(const struct http1 *h)
{
	return h->is_stream && h->wanted && !body_is_whole(h);
}

bool http1_stream_hears_end(const struct http1 *h)
{
	return h->stream.request && request_is_open(h->stream.request) &&
	       (!h->is_stream || (!h->is_tunnel && body_is_whole(h)));
}

void http1_stream_begin(struct http1 *h, size_t held)
{
	struct request *req = h->stream.request;
	bool has_body = h->is_chunked || h->body_left;

	http1_at_work(h);
	h->held = held;
	h->is_held = held > 0;
	h->is_stream = true;
	h->is_tunnel = h->has_told_last = h->has_answer_head = false;
	h->wanted = 0;
	h->chunked = (struct http1_chunked){ 0 };
	if (h->has_upgrade && !upgrade_check(req, h->minor, has_body))
		return;
	req->is_end = !has_body && !req->upgrade.len;
	request_dispatch(req);
}

bool http1_stream_over(struct http1 *h)
{
	bool is_whole = !h->is_tunnel && body_is_whole(h);

	h->is_stream = false;
	if (h->is_held) { /* all of the body is here, read or not */
		h->held += (size_t)h->body_left;
		h->body_left = 0;
		return true;
	}
	connection_expect(h->connection, 0);
	if (is_whole)
		return true;
	if (h->is_tunnel || h->is_chunked || !h->keep_alive || h->expects_continue ||
	    h->body_left > HTTP1_DISCARD_MOST + connection_unread(h->connection).len) {
		h->keep_alive = false;
		return true;
	}
	h->phase = HTTP1_DISCARD;
	return false;
}

void http1_stream_expired(struct http1 *h)
{
	struct error err = { 0 };

	if (!http1_stream_reads(h) || h->is_tunnel || h->has_answer_head || !request_is_open(h->stream.request))
		return;
	h->keep_alive = false;
	error_set(&err, ERROR_REQUEST_TIMEOUT, "no byte of the body came for %lld ms (--read-timeout)",
		  (long long)worker_config(h->connection->worker)->limits.read_timeout_ms);
	request_break(h->stream.request, &err);
}

void http1_want(struct request *req, size_t bytes)
{
	struct http1 *h = http1_of(req);

	if (is_dead(h) || h->has_told_last)
		return;
	if (__builtin_add_overflow(h->wanted, bytes, &h->wanted))
		h->wanted = SIZE_MAX;
	if (h->expects_continue && !h->has_answer_head && body_unread(h).len == 0)
		connection_write(h->connection, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
	h->expects_continue = false;
	if (!h->is_receiving)
		connection_turn(h->connection);
}

/* ---- the answer ---- */

static char *put_field(char *to, const struct header *field)
{
	to = http1_put(to, field->name);
	to = HTTP1_PUT(to, ": ");
	to = http1_put_value(to, field->value);
	return HTTP1_PUT(to, "\r\n");
}

static size_t fields_size(const struct header *fields, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += fields[i].name.len + fields[i].value.len + 4;
	return size;
}

static char *put_accept(const struct request *req, char *to)
{
	if (!span_equal(req->upgrade, SPAN("websocket"))) {
		to = HTTP1_PUT(to, "Connection: Upgrade\r\nUpgrade: ");
		to = http1_put(to, req->upgrade);
		return HTTP1_PUT(to, "\r\n");
	}
	to = HTTP1_PUT(to, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
	upgrade_accept(req, to);
	return HTTP1_PUT(to + UPGRADE_ACCEPT_LEN, "\r\n");
}

/* How the client will know where the body ends (RFC 9112 6.3). */
static char *put_framing(struct http1 *h, const struct answer_head *head, char *to)
{
	h->sends_chunks = !head->has_no_body && !head->has_length && h->minor > 0;
	h->sends_until_close = !head->has_no_body && !head->has_length && h->minor == 0;
	if (h->sends_until_close)
		h->keep_alive = false;
	if (h->sends_chunks)
		to = HTTP1_PUT(to, "Transfer-Encoding: chunked\r\n");
	return http1_put_connection(h, to);
}

static char *put_own(struct http1 *h, const struct request *req, const struct answer_head *head, char *to)
{
	struct span server = span_of(worker_config(h->connection->worker)->server_name);

	if (!head->has_date)
		to = http1_put(to, worker_date(h->connection->worker));
	if (server.len && !head->has_server) {
		to = HTTP1_PUT(to, "Server: ");
		to = http1_put_value(to, server);
		to = HTTP1_PUT(to, "\r\n");
	}
	return head->is_tunnel ? put_accept(req, to) : put_framing(h, head, to);
}

void http1_answer_head(struct request *req, const struct answer_head *head)
{
	struct http1 *h = http1_of(req);
	struct connection *c = h->connection;
	bool is_interim = head->status < 200;
	char *start, *to;

	if (is_dead(h) || (is_interim && h->minor == 0))
		return;
	if (c->worker->is_draining || c->is_eof)
		h->keep_alive = false;
	start =
	    connection_write_reserve(c, HEAD_FIXED_MOST + head->reason.len + fields_size(head->headers, head->count) +
					    span_of(worker_config(c->worker)->server_name).len);
	to = head->is_tunnel ? http1_put_status(start, 101, SPAN("Switching Protocols"))
			     : http1_put_status(start, head->status, head->reason);
	for (size_t i = 0; i < head->count; i++)
		to = put_field(to, &head->headers[i]);
	if (!is_interim) {
		h->has_answer_head = true;
		h->sends_chunks = h->sends_until_close = false;
		h->is_tunnel = head->is_tunnel;
		to = put_own(h, req, head, to);
		if (c->direct)
			direct_answers(c,
				       (h->is_tunnel ? DIRECT_TUNNEL : 0) | (h->sends_until_close ? DIRECT_RESETS : 0));
		if (h->is_tunnel && h->wanted && !h->is_receiving)
			connection_turn(c);
	}
	to = HTTP1_PUT(to, "\r\n");
	connection_write_commit(c, (size_t)(to - start));
}

static char *put_chunk_size(char *to, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	int shift = 60;

	while (shift && !(size >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		*to++ = digits[size >> shift & 15];
	return HTTP1_PUT(to, "\r\n");
}

void http1_answer_write(struct request *req, struct span bytes)
{
	struct http1 *h = http1_of(req);
	struct connection *c = h->connection;
	bool is_large = bytes.len >= CONNECTION_NOW_LEAST;
	char *start, *to;

	if (is_dead(h))
		return;
	start = to = connection_write_reserve(c, (is_large ? 0 : bytes.len) + 24);
	if (h->sends_chunks)
		to = put_chunk_size(to, bytes.len);
	if (is_large) {
		connection_write_commit(c, (size_t)(to - start));
		connection_write_now(c, bytes);
		if (is_dead(h))
			return;
		start = to = connection_write_reserve(c, 2);
	} else {
		to = http1_put(to, bytes);
	}
	if (h->sends_chunks)
		to = HTTP1_PUT(to, "\r\n");
	connection_write_commit(c, (size_t)(to - start));
	if (c->out_waiting >= REQUEST_UNSENT_LOW)
		c->tells_writable = true;
}

void http1_answer_end(struct request *req, const struct header *trailers, size_t count)
{
	struct http1 *h = http1_of(req);
	char *start, *to;

	if (is_dead(h) || !h->sends_chunks)
		return;
	start = connection_write_reserve(h->connection, fields_size(trailers, count) + 8);
	to = HTTP1_PUT(start, "0\r\n");
	for (size_t i = 0; i < count; i++)
		to = put_field(to, &trailers[i]);
	to = HTTP1_PUT(to, "\r\n");
	connection_write_commit(h->connection, (size_t)(to - start));
}

/* A body of known length, or in chunks, is seen to end early; one that ends with the connection needs a reset. */
void http1_answer_cut(struct request *req)
{
	struct http1 *h = http1_of(req);

	h->keep_alive = false;
	if (is_dead(h))
		return;
	if (h->has_answer_head && h->sends_until_close)
		connection_cut(h->connection);
	else
		connection_close(h->connection);
}

size_t http1_answer_unsent(const struct request *req)
{
	const struct http1 *h = http1_of(req);

	return h->stream.connection ? h->connection->out_waiting : 0;
}
