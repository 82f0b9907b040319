/* SPDX-License-Identifier: Apache-2.0 */
/* client_http2_stream - the streams of the HTTP/2 client: their heads and bodies both ways, and how they end. */
#include <stdlib.h>

#include "net/client_http2_private.h"
#include "net/forwarded.h"

enum {
	FREE_MOST = 256,
	OUT_KEEP = 64 * 1024,
	FIXED_NAME = NGHTTP2_NV_FLAG_NO_COPY_NAME,
	FIXED = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
};

/* ---- life ---- */

static struct client_http2_stream *stream_new(struct client_http2 *c)
{
	struct client_http2_stream *s = c->free_streams;

	if (s) {
		struct buffer out = s->out, head = s->head;

		c->free_streams = s->next;
		c->free_count--;
		*s = (struct client_http2_stream){ .out = out, .head = head };
	} else {
		s = base_calloc(1, sizeof(*s));
		buffer_init(&s->out, SIZE_MAX / 2); /* the caller watches client_unsent() */
		buffer_init(&s->head, SIZE_MAX / 2);
	}
	s->client = c;
	s->next = c->streams;
	if (s->next)
		s->next->previous = s;
	c->streams = s;
	c->stream_count++;
	return s;
}

static void stream_memory_free(struct client_http2_stream *s)
{
	buffer_done(&s->out);
	buffer_done(&s->head);
	free(s);
}

static void waiting_remove(struct client_http2_stream *s)
{
	struct client_http2 *c = s->client;

	if (!s->is_waiting)
		return;
	*(s->previous_waiting ? &s->previous_waiting->next_waiting : &c->waiting) = s->next_waiting;
	*(s->next_waiting ? &s->next_waiting->previous_waiting : &c->waiting_last) = s->previous_waiting;
	s->next_waiting = s->previous_waiting = NULL;
	s->is_waiting = false;
	buffer_clear(&s->head);
}

/* When both sides are done with it. */
static void stream_release(struct client_http2_stream *s)
{
	struct client_http2 *c = s->client;

	if (s->ops || s->is_known)
		return;
	waiting_remove(s);
	*(s->previous ? &s->previous->next : &c->streams) = s->next;
	if (s->next)
		s->next->previous = s->previous;
	if (c->free_count >= FREE_MOST) {
		stream_memory_free(s);
		return;
	}
	buffer_clear(&s->out);
	buffer_clear(&s->head);
	if (s->out.cap > OUT_KEEP)
		buffer_shrink(&s->out, 0);
	if (s->head.cap > OUT_KEEP)
		buffer_shrink(&s->head, 0);
	s->next = c->free_streams;
	c->free_streams = s;
	c->free_count++;
}

void client_streams_done(struct client_http2 *c)
{
	struct client_http2_stream *lists[] = { c->streams, c->free_streams };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (struct client_http2_stream *s = lists[i], *next; s; s = next) {
			next = s->next;
			stream_memory_free(s);
		}
}

static struct client_http2_stream *stream_of(const struct client_stream *base)
{
	return (struct client_http2_stream *)base;
}

static size_t unsent_of(const struct client_http2_stream *s)
{
	return s->out.len - s->out_at;
}

/* Its owner hears from it once more or, with is_ending, only of its end. */
static bool is_live(const struct client_http2_stream *s)
{
	return s && s->ops && !s->is_ending && !s->client->is_freed;
}

static void tell_closed(struct client_http2_stream *s, const struct error *why)
{
	const struct client_stream_ops *ops = s->ops;

	if (!ops)
		return;
	s->ops = NULL;
	s->client->stream_count--;
	ops->closed(&s->base, why);
}

/* The end comes at the end of a turn. */
static void stream_end_later(struct client_http2_stream *s, enum error_code fate)
{
	s->is_ending = true;
	s->fate = fate;
	s->client->has_ending = true;
	client_wake(s->client);
}

static void stream_cancel(struct client_http2_stream *s)
{
	if (s->is_known && !s->client->is_lost)
		(void)nghttp2_submit_rst_stream(s->client->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
}

static void fate_words(const struct client_http2_stream *s, struct error *err)
{
	switch (s->fate) {
	case ERROR_CANCELLED:
		error_set(err, ERROR_CANCELLED, "the request was cancelled");
		break;
	case ERROR_UNIMPLEMENTED:
		error_set(err, ERROR_UNIMPLEMENTED, "the server does not take other protocols over HTTP/2 (RFC 8441)");
		break;
	case ERROR_UNAVAILABLE:
		error_set(err, ERROR_UNAVAILABLE, "%s", s->client->why.message);
		break;
	case ERROR_BAD_GATEWAY:
		error_set(err, ERROR_INTERNAL, "the status of the answer is below 100");
		break;
	default:
		error_set(err, ERROR_INTERNAL, "the headers of the answer are over the limit of %d bytes or %d fields",
			  CLIENT_HEADER_BYTES, CLIENT_HEADERS_MOST);
	}
}

void client_streams_tell(struct client_http2 *c)
{
	struct client_http2_stream *next;

	if (!c->has_ending)
		return;
	c->has_ending = false;
	for (struct client_http2_stream *s = c->streams; s && !c->is_freed; s = next) {
		struct error err = { 0 };

		next = s->next; /* callbacks open streams in front of it, and free none */
		if (!s->is_ending || !s->ops)
			continue;
		fate_words(s, &err);
		tell_closed(s, &err);
		stream_release(s);
	}
}

/* The kernel has taken its head, or a part of it: what the server has done then is not known. */
static bool was_seen(const struct client_http2_stream *s)
{
	return s->has_head || (s->is_sent && s->client->sent > s->head_at);
}

void client_streams_fail(struct client_http2 *c, const struct error *why)
{
	struct client_http2_stream *next;

	for (struct client_http2_stream *s = c->streams; s && !c->is_freed; s = next) {
		struct error err = { 0 };

		next = s->next;
		if (!s->ops)
			continue;
		if (s->is_ending)
			fate_words(s, &err);
		else if (!why)
			error_set(&err, ERROR_CANCELLED, "the connection was closed on this side");
		else if (was_seen(s))
			error_set(&err, ERROR_INTERNAL, "%s", why->message);
		else
			error_set(&err, ERROR_UNAVAILABLE, "%s", why->message);
		tell_closed(s, &err);
		s->is_known = s->is_known && why == NULL; /* lost: the session is not asked again */
		stream_release(s);
	}
}

/* ---- asking ---- */

static nghttp2_nv pair(struct span name, struct span value, uint8_t flags)
{
	return (nghttp2_nv){ (uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len, flags };
}

/* Values that are new each time only push others out of HPACK's table. */
static uint8_t index_flag(struct span name)
{
	switch (name.len) {
	case 11:
		return span_equal(name, SPAN("traceparent")) ? NGHTTP2_NV_FLAG_NO_INDEX : 0;
	case 12:
		return span_equal(name, SPAN("x-request-id")) || span_equal(name, FORWARDED_PEER)
			   ? NGHTTP2_NV_FLAG_NO_INDEX
			   : 0;
	case 13:
		return span_equal(name, SPAN("authorization")) ? NGHTTP2_NV_FLAG_NO_INDEX : 0;
	default:
		return 0;
	}
}

static size_t pairs_make(struct client_http2 *c, const struct client_head *head)
{
	bool has_options = client_has_options(head->headers, head->header_count);
	size_t count = 0;
	nghttp2_nv *to;

	if (c->pair_cap < head->header_count + 5) {
		c->pair_cap = head->header_count + 32;
		c->pairs = base_realloc(c->pairs, c->pair_cap * sizeof(*c->pairs));
	}
	to = c->pairs;
	to[count++] = pair(SPAN(":method"), head->method, FIXED_NAME);
	if (head->protocol.len)
		to[count++] = pair(SPAN(":protocol"), head->protocol, FIXED_NAME);
	if (head->scheme.len)
		to[count++] = pair(SPAN(":scheme"), head->scheme, FIXED_NAME);
	if (head->authority.len)
		to[count++] = pair(SPAN(":authority"), head->authority, FIXED_NAME);
	if (head->path.len)
		to[count++] = pair(SPAN(":path"), head->path, FIXED_NAME);
	for (size_t i = 0; i < head->header_count; i++) {
		const struct header *h = &head->headers[i];

		if (!client_is_of_connection(h, head->authority.len > 0) &&
		    !(has_options && client_is_option(head->headers, head->header_count, h->name)))
			to[count++] = pair(h->name, h->value, index_flag(h->name));
	}
	return count;
}

/* How many bytes the next DATA frame has; they are written by client_send_data(). */
static ssize_t out_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
			nghttp2_data_source *source, void *user_data)
{
	struct client_http2_stream *s = source->ptr;
	size_t unsent = unsent_of(s);

	(void)session, (void)stream_id, (void)buf, (void)user_data;
	if (unsent == 0 && !s->is_last) {
		s->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (s->is_last && unsent <= length)
		*data_flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)MIN(unsent, length);
}

int client_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t length,
		     nghttp2_data_source *source, void *user_data)
{
	struct client_http2_stream *s = source->ptr;
	struct client_http2 *c = user_data;

	(void)session, (void)frame; /* no padding: no select_padding callback is set */
	if (c->out.len >= CLIENT_OUT_HIGH)
		return NGHTTP2_ERR_WOULDBLOCK;
	buffer_append(&c->out, span_from(frame_head, 9));
	buffer_append(&c->out, (struct span){ s->out.ptr + s->out_at, length });
	c->produced += 9 + length;
	s->out_at += length;
	if (unsent_of(s) == 0) {
		s->out_at = 0;
		buffer_clear(&s->out);
	}
	if (s->is_high && unsent_of(s) < CLIENT_UNSENT_LOW) {
		s->is_high = false;
		if (is_live(s) && s->ops->writable)
			s->ops->writable(&s->base);
	}
	return c->is_freed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int client_before_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct client_http2 *c = user_data;
	struct client_http2_stream *s;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s) {
		s->is_sent = true;
		s->head_at = c->produced;
	}
	return 0;
}

static void stream_submit(struct client_http2_stream *s, const nghttp2_nv *pairs, size_t count)
{
	struct client_http2 *c = s->client;
	nghttp2_data_provider provider = { .source = { .ptr = s }, .read_callback = out_read };
	bool has_body = !s->is_last || unsent_of(s) > 0;
	int32_t id = nghttp2_submit_request(c->session, NULL, pairs, count, has_body ? &provider : NULL, s);

	if (id < 0) {
		/* After 2^30 streams there are no more ids (RFC 9113 5.1.1). */
		client_refuse(c, ERROR_UNAVAILABLE, "the connection takes no more requests: %s", nghttp2_strerror(id));
		stream_end_later(s, ERROR_UNAVAILABLE);
		return;
	}
	s->id = id;
	s->is_known = true;
	c->active++;
}

/* So that a later stream finds neither the spans gone nor its place taken: an array, and behind it the bytes. */
static void head_save(struct client_http2_stream *s, const nghttp2_nv *pairs, size_t count)
{
	struct client_http2 *c = s->client;
	size_t bytes = 0;
	nghttp2_nv *kept;
	uint8_t *to;

	for (size_t i = 0; i < count; i++)
		bytes += pairs[i].namelen + pairs[i].valuelen;
	kept = (nghttp2_nv *)(void *)buffer_reserve(&s->head, count * sizeof(*kept) + bytes);
	to = (uint8_t *)(kept + count);
	for (size_t i = 0; i < count; i++) {
		kept[i] = pairs[i];
		kept[i].name = memcpy(to, pairs[i].name, pairs[i].namelen);
		to += pairs[i].namelen;
		kept[i].value = to;
		if (pairs[i].valuelen)
			memcpy(to, pairs[i].value, pairs[i].valuelen);
		to += pairs[i].valuelen;
	}
	buffer_commit(&s->head, count * sizeof(*kept));
	s->is_waiting = true;
	s->previous_waiting = c->waiting_last;
	*(c->waiting_last ? &c->waiting_last->next_waiting : &c->waiting) = s;
	c->waiting_last = s;
}

/* One more stream may be opened. Not before the server's SETTINGS, which are the first it sends: a guess would have
 * streams refused. */
static bool has_place(const struct client_http2 *c)
{
	return c->has_settings &&
	       c->active < nghttp2_session_get_remote_settings(c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool client_http2_is_full(const struct client *base)
{
	const struct client_http2 *c = (const struct client_http2 *)base;

	return c->has_settings && (c->waiting || !has_place(c));
}

/* False: it ends, for the server cannot take it. */
static bool may_start(struct client_http2_stream *s)
{
	struct client_http2 *c = s->client;

	if (c->is_refusing)
		stream_end_later(s, ERROR_UNAVAILABLE);
	else if (s->has_protocol && c->has_settings &&
		 nghttp2_session_get_remote_settings(c->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1)
		stream_end_later(s, ERROR_UNIMPLEMENTED);
	return !s->is_ending;
}

void client_streams_start(struct client_http2 *c)
{
	while (c->waiting && (c->is_refusing || has_place(c))) {
		struct client_http2_stream *s = c->waiting;
		struct buffer head = s->head;

		if (!s->is_ending && may_start(s))
			stream_submit(s, (const nghttp2_nv *)(const void *)head.ptr, head.len / sizeof(nghttp2_nv));
		waiting_remove(s);
	}
}

struct client_stream *client_http2_open(struct client *base, const struct client_head *head, bool is_last,
					const struct client_stream_ops *ops, void *owner)
{
	struct client_http2 *c = (struct client_http2 *)base;
	struct client_http2_stream *s = stream_new(c);
	size_t count;

	ASSERT(!c->is_freeing);
	s->ops = ops;
	s->base = (struct client_stream){ &client_kind_http2, owner };
	s->is_last = is_last;
	s->has_protocol = head->protocol.len > 0;
	client_wake(c);
	if (!may_start(s))
		return &s->base;
	count = pairs_make(c, head);
	if (!c->waiting && has_place(c))
		stream_submit(s, c->pairs, count);
	else
		head_save(s, c->pairs, count);
	return &s->base;
}

bool client_http2_has_heard(const struct client_stream *base)
{
	return stream_of(base)->has_heard;
}

static void stream_resume(struct client_http2_stream *s)
{
	if (s->is_deferred) {
		s->is_deferred = false;
		(void)nghttp2_session_resume_data(s->client->session, s->id);
	}
	client_wake(s->client);
}

void client_http2_write(struct client_stream *base, struct span bytes)
{
	struct client_http2_stream *s = stream_of(base);

	if (!is_live(s) || s->is_last || !bytes.len)
		return;
	if (s->out_at > OUT_KEEP && s->out_at > s->out.len / 2) {
		buffer_drop(&s->out, s->out_at);
		s->out_at = 0;
	}
	buffer_append(&s->out, bytes);
	s->is_high = s->is_high || unsent_of(s) > CLIENT_UNSENT_LOW;
	stream_resume(s);
}

void client_http2_end(struct client_stream *base)
{
	struct client_http2_stream *s = stream_of(base);

	if (!is_live(s) || s->is_last)
		return;
	s->is_last = true;
	stream_resume(s);
}

size_t client_http2_unsent(const struct client_stream *base)
{
	return unsent_of(stream_of(base));
}

void client_http2_reset(struct client_stream *base)
{
	struct client_http2_stream *s = stream_of(base);

	if (!is_live(s))
		return;
	stream_cancel(s);
	stream_end_later(s, ERROR_CANCELLED);
}

/* ---- being answered ---- */

int client_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct client_http2 *c = user_data;

	struct client_http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (s)
		s->has_heard = true;
	c->field_count = c->field_bytes = 0;
	c->status = 0;
	buffer_clear(&c->text);
	return 0;
}

int client_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_ptr, size_t name_len,
		     const uint8_t *value_ptr, size_t value_len, uint8_t flags, void *user_data)
{
	struct client_http2 *c = user_data;
	struct client_http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	char *to;

	(void)flags;
	if (!is_live(s))
		return 0;
	if (name_len == 7 && name_ptr[0] == ':') {
		/* nghttp2 has checked that it is :status, and three digits. */
		for (size_t i = 0; i < value_len; i++)
			c->status = c->status * 10 + (value_ptr[i] - '0');
		if (c->status < 100) { /* RFC 9110 15: no such class */
			stream_cancel(s);
			stream_end_later(s, ERROR_BAD_GATEWAY);
		}
		return 0;
	}
	c->field_bytes += name_len + value_len + 32; /* RFC 9113 6.5.2 counts so */
	if (c->field_bytes > CLIENT_HEADER_BYTES || c->field_count == CLIENT_HEADERS_MOST) {
		stream_cancel(s);
		stream_end_later(s, ERROR_INTERNAL);
		return 0;
	}
	to = c->text.ptr + c->text.len; /* reserved at birth, up to the limit */
	memcpy(to, name_ptr, name_len);
	memcpy(to + name_len, value_ptr, value_len);
	c->text.len += name_len + value_len;
	c->fields[c->field_count++] = (struct header){ { to, name_len }, { to + name_len, value_len } };
	return 0;
}

int client_on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len,
		   void *user_data)
{
	struct client_http2 *c = user_data;
	struct client_http2_stream *s = nghttp2_session_get_stream_user_data(session, stream_id);

	(void)flags;
	(void)nghttp2_session_consume_connection(session, len);
	if (!is_live(s))
		return 0;
	s->unconsumed += len;
	s->ops->receive(&s->base, span_from(data, len));
	return c->is_freed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void client_http2_taken(struct client_stream *base, size_t bytes)
{
	struct client_http2_stream *s = stream_of(base);
	struct client_http2 *c = s->client;

	ASSERT(bytes <= s->unconsumed);
	s->unconsumed -= bytes;
	if (!bytes || !s->is_known || c->is_lost)
		return;
	(void)nghttp2_session_consume_stream(c->session, s->id, bytes);
	if (nghttp2_session_want_write(c->session))
		client_wake(c);
}

/* The answer is whole. What of the question is still unsent would be read by nobody. */
static void answer_end(struct client_http2_stream *s, const struct header *trailers, size_t count)
{
	struct client_http2 *c = s->client;

	s->ops->end(&s->base, trailers, count);
	if (c->is_freed)
		return;
	if (nghttp2_session_get_stream_local_close(c->session, s->id) == 0)
		stream_cancel(s);
	tell_closed(s, NULL);
}

void client_stream_frame(struct client_http2 *c, const nghttp2_frame *frame)
{
	struct client_http2_stream *s = nghttp2_session_get_stream_user_data(c->session, frame->hd.stream_id);
	bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	bool has_trailers = false;

	if (!is_live(s))
		return;
	if (frame->hd.type == NGHTTP2_HEADERS) {
		has_trailers = s->has_head;
		if (!s->has_head && (c->status >= 200 || c->status == 103)) {
			s->has_head = c->status >= 200;
			s->ops->head(&s->base, c->status, c->fields, c->field_count);
		}
	}
	if (is_end && is_live(s))
		answer_end(s, has_trailers ? c->fields : NULL, has_trailers ? c->field_count : 0);
}

static void close_words(const struct client_http2_stream *s, uint32_t code, struct error *err)
{
	const struct client_http2 *c = s->client;
	const char *name = nghttp2_http2_strerror(code);

	if (!s->is_sent)
		error_set(err, ERROR_UNAVAILABLE, "%s",
			  c->is_refusing ? c->why.message : "the request could not be sent");
	else if (code == NGHTTP2_REFUSED_STREAM && !s->has_head)
		error_set(err, ERROR_UNAVAILABLE, "%s",
			  c->is_refusing ? c->why.message : "the server refused the request");
	else if (c->reset_id == s->id)
		error_set(err, ERROR_INTERNAL, "the server cut the answer short (%s)", name);
	else
		error_set(err, ERROR_INTERNAL, "the answer does not keep to HTTP/2 (%s): %s", name, c->complaint);
}

int client_on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data)
{
	struct client_http2 *c = user_data;
	struct client_http2_stream *s = nghttp2_session_get_stream_user_data(session, stream_id);
	struct error err = { 0 };

	if (!s)
		return 0;
	s->is_known = false;
	c->active--;
	if (is_live(s)) {
		close_words(s, error_code, &err);
		tell_closed(s, &err);
	}
	stream_release(s);
	return c->is_freed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}
