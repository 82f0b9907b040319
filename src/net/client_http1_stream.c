/* SPDX-License-Identifier: Apache-2.0 */
/* client_http1_stream - the HTTP/1.1 client's requests: how one is written, its answer read (RFC 9112), and how it ends. */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/number.h"
#include "base/random.h"
#include "net/client_http1_private.h"
#include "net/http1_private.h"
#include "wire/base64.h"

enum {
	DIRECT_LEAST = 8 * 1024,     /* bytes of a body that go to the kernel past `out` */
	HEAD_FIXED_MOST = 512,       /* of a request's head: what is not its caller's */
	OUT_MOVED_LEAST = 64 * 1024, /* bytes that went out of `out`, before the rest is moved down */
	KEY_BYTES = 16,              /* RFC 6455 4.1 */
	KEY_LEN = 24,
};

/* ---- life ---- */

static struct client_http1_stream *stream_of(const struct client_stream *base)
{
	return (struct client_http1_stream *)base;
}

static struct client_http1_stream *stream_new(struct client_http1 *c, const struct client_stream_ops *ops, void *owner)
{
	struct client_http1_stream *s = c->spare ? c->spare : base_alloc(sizeof(*s));

	c->spare = NULL;
	memset(s, 0, sizeof(*s));
	s->base = (struct client_stream){ &client_kind_http1, owner };
	s->client = c;
	s->ops = ops;
	return s;
}

static void stream_free(struct client_http1_stream *s)
{
	struct client_http1 *c = s->client;

	if (c->spare)
		free(s);
	else
		c->spare = s;
}

/* Its connection is free for another, or of no use, by now. */
static void tell_closed(struct client_http1_stream *s, const struct error *why)
{
	const struct client_stream_ops *ops = s->ops;

	s->ops = NULL;
	ops->closed(&s->base, why);
	stream_free(s);
}

static void fate_words(const struct client_http1_stream *s, struct error *err)
{
	const struct client_http1 *c = s->client;

	switch (s->fate) {
	case ERROR_CANCELLED:
		error_set(err, ERROR_CANCELLED, "the request was cancelled");
		break;
	case ERROR_UNAVAILABLE:
		error_set(err, ERROR_UNAVAILABLE, "%s",
			  c->why.code ? c->why.message : "the connection has another request");
		break;
	case ERROR_UNIMPLEMENTED:
		error_set(err, ERROR_UNIMPLEMENTED, "CONNECT is not for servers that answer themselves");
		break;
	case ERROR_TOO_LARGE:
		error_set(err, ERROR_INTERNAL, "the request's body is not as long as its content-length says");
		break;
	default:
		error_set(err, ERROR_INTERNAL, "the request cannot be said in HTTP/1.1");
	}
}

/* The end comes at the end of a turn. */
static void end_later(struct client_http1_stream *s, enum error_code fate)
{
	s->is_ending = true;
	s->fate = fate;
	client_http1_wake(s->client);
}

static void tell_doomed(struct client_http1 *c)
{
	while (c->doomed && !c->is_freed) {
		struct client_http1_stream *s = c->doomed;
		struct error err = { 0 };

		c->doomed = s->next;
		fate_words(s, &err);
		tell_closed(s, &err);
	}
}

void client_http1_tell(struct client_http1 *c)
{
	struct client_http1_stream *s = c->stream;
	struct error err = { 0 };

	tell_doomed(c);
	if (c->is_freed || !s || !s->is_ending)
		return;
	fate_words(s, &err);
	if (s->sent)
		client_http1_refuse(c, "a request was given up in the middle");
	c->out_at = 0;
	buffer_clear(&c->out);
	buffer_clear(&c->held);
	c->stream = NULL;
	tell_closed(s, &err);
}

void client_http1_fail(struct client_http1 *c, const struct error *why)
{
	struct client_http1_stream *s = c->stream;

	c->stream = NULL;
	if (s) {
		struct error err = { 0 };

		if (s->is_ending)
			fate_words(s, &err);
		else if (!why)
			error_set(&err, ERROR_CANCELLED, "the connection was closed on this side");
		else
			error_set(&err, s->sent && !s->is_unseen ? ERROR_INTERNAL : ERROR_UNAVAILABLE, "%s",
				  why->message);
		tell_closed(s, &err);
	}
	tell_doomed(c);
}

/* ---- the request's head ---- */

/* The number of the one content-length; false: none, or none that can be held to. */
static bool length_find(const struct client_head *head, uint64_t *ret)
{
	for (size_t i = 0; i < head->header_count; i++)
		if (span_equal(head->headers[i].name, SPAN("content-length")))
			return number_parse_uint64(head->headers[i].value, ret);
	return false;
}

static struct span header_find(const struct header *headers, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal(headers[i].name, name))
			return headers[i].value;
	return (struct span){ NULL, 0 };
}

/* What is written anew, or stands for a thing of the caller's own connection. */
static bool is_own_field(const struct client_http1_stream *s, const struct header *h)
{
	switch (h->name.len) {
	case 2:
		return span_equal(h->name, SPAN("te")); /* it needs a place in Connection */
	case 4:
		return span_equal(h->name, SPAN("host"));
	case 6:
		/* Who asks to be told to continue is told so here: the body follows as it comes. */
		return span_equal(h->name, SPAN("expect"));
	case 14:
		return span_equal(h->name, SPAN("content-length"));
	case 17:
		return span_equal(h->name, SPAN("transfer-encoding")) ||
		       (s->checks_accept && span_equal(h->name, SPAN("sec-websocket-key")));
	default:
		return client_is_of_connection(h, true);
	}
}

static size_t head_most(const struct client_head *head)
{
	size_t most =
	    HEAD_FIXED_MOST + head->method.len + head->authority.len + head->path.len + 2 * head->protocol.len;

	for (size_t i = 0; i < head->header_count; i++)
		most += head->headers[i].name.len + head->headers[i].value.len + 4;
	return most;
}

/* RFC 9110 8.6: methods whose meaning is their body say so when it is empty. */
static bool wants_length(struct span method)
{
	return span_equal(method, SPAN("POST")) || span_equal(method, SPAN("PUT")) || span_equal(method, SPAN("PATCH"));
}

static char *put_framing(struct client_http1_stream *s, const struct client_head *head, bool is_last, char *to)
{
	uint64_t length = 0;
	bool has_length = length_find(head, &length);

	if (s->wants_tunnel)
		return to;
	if (is_last) {
		s->body = REQUEST_NONE;
		s->is_last = true;
		return has_length || wants_length(head->method) ? HTTP1_PUT(to, "content-length: 0\r\n") : to;
	}
	if (has_length) {
		s->body = REQUEST_LENGTH;
		s->body_left = length;
		to = HTTP1_PUT(to, "content-length: ");
		to = number_print_uint64(to, length);
		return HTTP1_PUT(to, "\r\n");
	}
	s->body = REQUEST_CHUNKED;
	return HTTP1_PUT(to, "transfer-encoding: chunked\r\n");
}

static void key_make(char *to)
{
	uint64_t bytes[KEY_BYTES / sizeof(uint64_t)] = { random_fast(), random_fast() };
	struct buffer text;

	buffer_init(&text, KIB(1));
	base64_write(&text, span_from((const char *)bytes, sizeof(bytes)));
	ASSERT(text.len == KEY_LEN);
	memcpy(to, text.ptr, text.len);
	buffer_done(&text);
}

/* RFC 6455 4.1, for what RFC 8441 says in HTTP/2's way. */
static char *put_upgrade(struct client_http1_stream *s, const struct client_head *head, char *to)
{
	to = HTTP1_PUT(to, "connection: upgrade\r\nupgrade: ");
	to = http1_put_value(to, s->protocol);
	to = HTTP1_PUT(to, "\r\n");
	if (s->checks_accept) {
		struct span key = header_find(head->headers, head->header_count, SPAN("sec-websocket-key"));
		char made[KEY_LEN];

		if (key.len != KEY_LEN) {
			key_make(made);
			key = span_from(made, KEY_LEN);
		}
		upgrade_accept_key(key, s->accept);
		to = HTTP1_PUT(to, "sec-websocket-key: ");
		to = http1_put_value(to, key);
		to = HTTP1_PUT(to, "\r\n");
		if (!header_find(head->headers, head->header_count, SPAN("sec-websocket-version")).ptr)
			to = HTTP1_PUT(to, "sec-websocket-version: 13\r\n");
	}
	return to;
}

/* False: a name that is none. */
static bool put_fields(const struct client_http1_stream *s, const struct client_head *head, char **to)
{
	bool has_options = client_has_options(head->headers, head->header_count);

	for (size_t i = 0; i < head->header_count; i++) {
		const struct header *h = &head->headers[i];

		if (is_own_field(s, h) || (has_options && client_is_option(head->headers, head->header_count, h->name)))
			continue;
		if (!http1_is_token(h->name))
			return false;
		*to = http1_put(*to, h->name);
		*to = HTTP1_PUT(*to, ": ");
		*to = http1_put_value(*to, h->value);
		*to = HTTP1_PUT(*to, "\r\n");
	}
	return true;
}

static bool put_head(struct client_http1_stream *s, const struct client_head *head, bool is_last)
{
	struct buffer *out = &s->client->out;
	struct span host =
	    head->authority.len ? head->authority : header_find(head->headers, head->header_count, SPAN("host"));
	char *start = buffer_reserve(out, head_most(head) + host.len), *to = start;

	ASSERT(start);
	if (!http1_is_token(head->method) || !http1_is_target(head->path))
		return false;
	to = http1_put(to, s->wants_tunnel ? SPAN("GET") : head->method);
	*to++ = ' ';
	to = http1_put(to, head->path);
	to = HTTP1_PUT(to, " HTTP/1.1\r\nhost: ");
	to = http1_put_value(to, host);
	to = HTTP1_PUT(to, "\r\n");
	if (UNLIKELY(s->wants_tunnel))
		to = put_upgrade(s, head, to);
	to = put_framing(s, head, is_last, to);
	if (!put_fields(s, head, &to))
		return false;
	to = HTTP1_PUT(to, "\r\n");
	buffer_commit(out, (size_t)(to - start));
	return true;
}

static void tunnel_ask(struct client_http1_stream *s, struct span protocol)
{
	s->wants_tunnel = true;
	s->body = REQUEST_TUNNEL;
	s->protocol = span_from(s->protocol_text, MIN(protocol.len, sizeof(s->protocol_text)));
	memcpy(s->protocol_text, protocol.ptr, s->protocol.len);
	s->checks_accept = span_equal(protocol, SPAN("websocket"));
}

static enum error_code begin(struct client_http1_stream *s, const struct client_head *head, bool is_last)
{
	struct client_http1 *c = s->client;

	if (c->is_refusing || c->stream)
		return ERROR_UNAVAILABLE;
	if (head->protocol.len > sizeof(s->protocol_text))
		return ERROR_INTERNAL;
	if (head->protocol.len)
		tunnel_ask(s, head->protocol);
	else if (span_equal(head->method, SPAN("CONNECT")))
		return ERROR_UNIMPLEMENTED;
	s->is_head = span_equal(head->method, SPAN("HEAD"));
	return put_head(s, head, is_last) ? ERROR_NONE : ERROR_INTERNAL;
}

struct client_stream *client_http1_open(struct client *base, const struct client_head *head, bool is_last,
					const struct client_stream_ops *ops, void *owner)
{
	struct client_http1 *c = (struct client_http1 *)base;
	struct client_http1_stream *s = stream_new(c, ops, owner);
	enum error_code failure;

	ASSERT(!c->is_freeing);
	failure = begin(s, head, is_last);
	if (failure) {
		end_later(s, failure);
		s->next = c->doomed;
		c->doomed = s;
		return &s->base;
	}
	s->sent_before = c->sent;
	c->stream = s;
	client_http1_wake(c);
	return &s->base;
}

/* ---- the request's body ---- */

bool client_http1_has_heard(const struct client_stream *base)
{
	return stream_of(base)->has_heard;
}

size_t client_http1_unsent(const struct client_stream *base)
{
	const struct client_http1_stream *s = stream_of(base);

	return s->client->stream == s ? client_http1_unsent_of(s->client) : 0;
}

/* Straight to the kernel where that keeps the order and is worth it; the rest is gathered. */
static void put_pieces(struct client_http1_stream *s, const struct span *pieces, size_t count, size_t total)
{
	struct client_http1 *c = s->client;
	size_t done = 0;

	if (c->is_broken)
		return;
	if (total >= DIRECT_LEAST && s->sent && !c->is_blocked)
		done = client_http1_send(c, pieces, count);
	if (UNLIKELY(c->out_at > OUT_MOVED_LEAST && c->out_at > c->out.len / 2)) {
		buffer_drop(&c->out, c->out_at);
		c->out_at = 0;
	}
	for (size_t i = 0; i < count; i++) {
		size_t skip = MIN(done, pieces[i].len);

		buffer_append(&c->out, span_skip(pieces[i], skip));
		done -= skip;
	}
	s->is_high = s->is_high || client_http1_unsent_of(c) > CLIENT_UNSENT_LOW;
	if (c->out.len || c->is_broken)
		client_http1_wake(c);
}

static void put_chunk(struct client_http1_stream *s, struct span bytes)
{
	static const char digits[] = "0123456789abcdef";
	char line[18], *at = line + sizeof(line);
	struct span pieces[3];

	*--at = '\n';
	*--at = '\r';
	for (size_t n = bytes.len; n; n >>= 4)
		*--at = digits[n & 15];
	pieces[0] = span_from(at, (size_t)(line + sizeof(line) - at));
	pieces[1] = bytes;
	pieces[2] = SPAN("\r\n");
	put_pieces(s, pieces, ARRAY_LEN(pieces), pieces[0].len + bytes.len + 2);
}

void client_http1_write(struct client_stream *base, struct span bytes)
{
	struct client_http1_stream *s = stream_of(base);

	if (!client_http1_is_live(s) || s->is_last || !bytes.len)
		return;
	switch (s->body) {
	case REQUEST_NONE:
		break;
	case REQUEST_LENGTH:
		if (bytes.len > s->body_left) {
			end_later(s, ERROR_TOO_LARGE);
			return;
		}
		s->body_left -= bytes.len;
		put_pieces(s, &bytes, 1, bytes.len);
		break;
	case REQUEST_CHUNKED:
		put_chunk(s, bytes);
		break;
	case REQUEST_TUNNEL:
		if (!s->wants_tunnel) {
			put_pieces(s, &bytes, 1, bytes.len);
			break;
		}
		buffer_append(&s->client->held, bytes); /* a server that refuses would take it for a request */
		s->is_high = s->is_high || client_http1_unsent_of(s->client) > CLIENT_UNSENT_LOW;
		break;
	}
}

void client_http1_end(struct client_stream *base)
{
	struct client_http1_stream *s = stream_of(base);

	if (!client_http1_is_live(s) || s->is_last)
		return;
	if (s->body == REQUEST_LENGTH && s->body_left) {
		end_later(s, ERROR_TOO_LARGE);
		return;
	}
	s->is_last = true;
	if (s->body == REQUEST_CHUNKED)
		buffer_append(&s->client->out, SPAN("0\r\n\r\n"));
	client_http1_wake(s->client);
}

void client_http1_reset(struct client_stream *base)
{
	struct client_http1_stream *s = stream_of(base);

	if (client_http1_is_live(s))
		end_later(s, ERROR_CANCELLED);
}

void client_http1_drained(struct client_http1 *c)
{
	struct client_http1_stream *s = c->stream;

	if (!client_http1_is_live(s))
		return;
	if (s->body == REQUEST_TUNNEL && s->is_last && !s->wants_tunnel && !client_http1_unsent_of(c) && !c->is_shut) {
		c->is_shut = true;
		(void)shutdown(c->watch.fd, SHUT_WR); /* the other side may be gone already */
	}
	if (s->is_high && client_http1_unsent_of(c) < CLIENT_UNSENT_LOW) {
		s->is_high = false;
		if (s->ops->writable)
			s->ops->writable(&s->base);
	}
}

void client_http1_taken(struct client_stream *base, size_t bytes)
{
	struct client_http1_stream *s = stream_of(base);
	struct client_http1 *c = s->client;

	ASSERT(bytes <= s->unconsumed);
	s->unconsumed -= bytes;
	if (c->is_paused && c->stream == s && s->unconsumed <= CLIENT_HTTP1_WINDOW / 2) {
		c->is_paused = false;
		client_http1_watch(c);
	}
}

/* ---- the answer ---- */

static void broken(struct client_http1 *c, const struct error *why)
{
	client_http1_lose(c, ERROR_INTERNAL, "the server's answer does not keep to HTTP/1.1: %s", why->message);
}

static void broken_words(struct client_http1 *c, const char *why)
{
	struct error err = { 0 };

	error_set(&err, ERROR_INTERNAL, "%s", why);
	broken(c, &err);
}

/* The answer is whole. Another request may follow if this one is, too. */
static void answer_end(struct client_http1_stream *s, const struct header *trailers, size_t count)
{
	struct client_http1 *c = s->client;

	if (c->is_closing)
		client_http1_refuse(c, "the server has said that it closes the connection");
	else if (!s->is_last && s->body != REQUEST_TUNNEL)
		client_http1_refuse(c, "the server has answered before it was asked in full");
	else if (client_http1_unsent_of(c))
		client_http1_refuse(c, "the server has answered before it had read the request");
	s->ops->end(&s->base, trailers, count);
	if (c->is_freed)
		return;
	c->stream = NULL;
	c->out_at = 0;
	buffer_clear(&c->out);
	buffer_clear(&c->held);
	c->is_paused = false;
	tell_closed(s, NULL);
}

void client_http1_answer_eof(struct client_http1 *c)
{
	struct client_http1_stream *s = c->stream;

	if (!client_http1_is_live(s) || (s->part != ANSWER_TO_END && s->part != ANSWER_TUNNEL))
		return;
	c->is_closing = true;
	answer_end(s, NULL, 0);
}

/* After a callback, which may have freed the client and with it the stream. */
static bool is_current(const struct client_http1 *c, const struct client_http1_stream *s)
{
	return !c->is_freed && c->stream == s && !s->is_ending;
}

static void give(struct client_http1_stream *s, struct span bytes)
{
	struct client_http1 *c = s->client;

	if (!bytes.len)
		return;
	s->unconsumed += bytes.len;
	s->ops->receive(&s->base, bytes);
	if (is_current(c, s) && s->unconsumed >= CLIENT_HTTP1_WINDOW)
		c->is_paused = true;
}

/* What is for this connection only goes no further (RFC 9110 7.6.1). */
static size_t fields_keep(struct http1_head *head)
{
	bool has_options = client_has_options(head->headers, head->header_count);
	size_t kept = 0;

	if (has_options)
		/* Names of fields that are left out later are looked at as long as they stand. */
		for (size_t i = 0; i < head->header_count; i++)
			if (!span_equal(head->headers[i].name, SPAN("connection")) &&
			    client_is_option(head->headers, head->header_count, head->headers[i].name))
				head->headers[i].name.len = 0;
	for (size_t i = 0; i < head->header_count; i++)
		if (head->headers[i].name.len && !client_is_of_connection(&head->headers[i], false))
			head->headers[kept++] = head->headers[i];
	return kept;
}

static bool list_has(const struct http1_head *head, struct span name, struct span token)
{
	for (size_t i = 0; i < head->header_count; i++) {
		struct span rest = head->headers[i].value;

		if (!span_equal(head->headers[i].name, name))
			continue;
		while (rest.len)
			if (span_equal_ignore_case(span_trim(span_cut(&rest, ',')), token))
				return true;
	}
	return false;
}

static void tunnel_open(struct client_http1_stream *s, struct http1_head *head)
{
	struct client_http1 *c = s->client;
	size_t kept = 0;

	if (!s->wants_tunnel) {
		broken_words(c, "101 was not asked for");
		return;
	}
	if (!list_has(head, SPAN("upgrade"), s->protocol)) {
		broken_words(c, "101 to another protocol than was asked for");
		return;
	}
	if (s->checks_accept &&
	    !span_equal(header_find(head->headers, head->header_count, SPAN("sec-websocket-accept")),
			span_from(s->accept, sizeof(s->accept)))) {
		broken_words(c, "Sec-WebSocket-Accept is not the answer to the key");
		return;
	}
	s->wants_tunnel = false;
	s->has_head = true;
	s->part = ANSWER_TUNNEL;
	c->is_closing = true;
	buffer_append(&c->out, buffer_span(&c->held));
	buffer_done(&c->held);
	head->header_count = fields_keep(head);
	for (size_t i = 0; i < head->header_count; i++)
		if (!span_equal(head->headers[i].name, SPAN("sec-websocket-accept")) &&
		    !span_equal(head->headers[i].name, SPAN("content-length")))
			head->headers[kept++] = head->headers[i];
	client_http1_wake(c);
	s->ops->head(&s->base, 200, head->headers, kept);
}

/* RFC 9110 15.2 */
static void interim(struct client_http1_stream *s, struct http1_head *head)
{
	if (++s->interims > CLIENT_HTTP1_INTERIM_MOST)
		broken_words(s->client, "more than 16 interim answers");
	else if (head->status == 103)
		s->ops->head(&s->base, 103, head->headers, fields_keep(head));
}

/* RFC 9112 6.3. False: there is no body. */
static bool body_find(struct client_http1_stream *s, const struct http1_head *head)
{
	struct client_http1 *c = s->client;

	c->is_closing = c->is_closing || !head->keep_alive;
	if (s->is_head || head->status == 204 || head->status == 304)
		return false;
	if (head->is_chunked) {
		s->part = ANSWER_CHUNKED;
		s->chunked = (struct http1_chunked){ .leaves_trailers = true };
		return true;
	}
	if (head->has_length) {
		s->part = ANSWER_LENGTH;
		s->answer_left = head->content_length;
		return head->content_length > 0;
	}
	s->part = ANSWER_TO_END;
	c->is_closing = true;
	return true;
}

static void answer_head(struct client_http1_stream *s, struct http1_head *head)
{
	struct client_http1 *c = s->client;
	bool has_body;

	if (head->status == 101) {
		tunnel_open(s, head);
		return;
	}
	if (head->status < 200) {
		interim(s, head);
		return;
	}
	if (s->wants_tunnel) {
		buffer_clear(&c->held);
		s->wants_tunnel = false;
		s->is_last = true;
	}
	s->has_head = true;
	has_body = body_find(s, head);
	s->ops->head(&s->base, head->status, head->headers, fields_keep(head));
	if (!has_body && is_current(c, s))
		answer_end(s, NULL, 0);
}

static size_t head_step(struct client_http1_stream *s, char *bytes, size_t len, struct http1_head *head)
{
	struct client_http1 *c = s->client;
	struct error err = { 0 };
	size_t used = 0;

	switch (http1_parse_answer(bytes, len, &c->seen, head, &used, &err)) {
	case HTTP1_FAILED:
		broken(c, &err);
		return 0;
	case HTTP1_MORE:
		used = len;
		break;
	case HTTP1_DONE:
		if (used > CLIENT_HTTP1_HEAD_MOST)
			break;
		c->seen = 0;
		answer_head(s, head);
		return used;
	}
	if (used > CLIENT_HTTP1_HEAD_MOST)
		client_http1_lose(c, ERROR_INTERNAL, "the headers of the answer are over the limit of %d bytes",
				  CLIENT_HTTP1_HEAD_MOST);
	return 0;
}

static size_t length_step(struct client_http1_stream *s, const char *bytes, size_t len)
{
	struct client_http1 *c = s->client;
	size_t n = (size_t)MIN(len, s->answer_left);

	s->answer_left -= n;
	give(s, span_from(bytes, n));
	if (is_current(c, s) && s->answer_left == 0)
		answer_end(s, NULL, 0);
	return n;
}

static size_t chunked_step(struct client_http1_stream *s, const char *bytes, size_t len)
{
	struct error err = { 0 };
	struct span data;
	size_t used = 0;
	enum http1_result result = http1_chunked_next(&s->chunked, bytes, len, &used, &data, &err);

	if (result == HTTP1_FAILED) {
		broken(s->client, &err);
		return 0;
	}
	if (result == HTTP1_DONE)
		s->part = ANSWER_TRAILERS;
	give(s, data);
	return used;
}

static size_t trailers_step(struct client_http1_stream *s, char *bytes, size_t len, struct http1_head *head)
{
	struct client_http1 *c = s->client;
	struct error err = { 0 };
	size_t used = 0;

	switch (http1_parse_trailers(bytes, len, &c->seen, head, &used, &err)) {
	case HTTP1_FAILED:
		broken(c, &err);
		return 0;
	case HTTP1_MORE:
		if (len > CLIENT_HTTP1_HEAD_MOST)
			broken_words(c, "the trailers are over the limit of 65536 bytes");
		return 0;
	case HTTP1_DONE:
		break;
	}
	c->seen = 0;
	answer_end(s, head->headers, head->header_count);
	return used;
}

size_t client_http1_answer(struct client_http1 *c, char *bytes, size_t len, struct http1_head *head)
{
	struct client_http1_stream *s = c->stream;

	s->has_heard = true;
	switch (s->part) {
	case ANSWER_HEAD:
		return head_step(s, bytes, len, head);
	case ANSWER_LENGTH:
		return length_step(s, bytes, len);
	case ANSWER_CHUNKED:
		return chunked_step(s, bytes, len);
	case ANSWER_TRAILERS:
		return trailers_step(s, bytes, len, head);
	case ANSWER_TO_END:
	case ANSWER_TUNNEL:
		give(s, span_from(bytes, len));
		return len;
	}
	base_assert_failed("an answer without a part", __FILE__, __LINE__);
}
