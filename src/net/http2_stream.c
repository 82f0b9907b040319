/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_stream - open requests over HTTP/2: bodies given as they come, answers in parts, gRPC as raw frames, tunnels.
 *
 * What the owner of such a request does is gathered and handed to nghttp2 once a turn: `due` lists the streams for that.
 * So a head whose end follows at once goes out with END_STREAM, as gRPC wants it of an answer without messages.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "net/forwarded.h"
#include "net/http2_private.h"

enum { BODY_DROP_LEAST = 64 * 1024 };

struct trailers {
	size_t count;
	nghttp2_nv pairs[];
};

/* A head that waits for its turn, in the request's arena. */
struct waiting_head {
	size_t count;
	nghttp2_nv pairs[];
};

static void due_add(struct http2_stream *s)
{
	if (!s->is_due) {
		s->is_due = true;
		s->due_next = s->h2->due;
		s->h2->due = s;
	}
	connection_turn(s->h2->connection);
}

void http2_due_remove(struct http2_stream *s)
{
	struct http2_stream **at = &s->h2->due;

	if (!s->is_due)
		return;
	while (*at != s)
		at = &(*at)->due_next;
	*at = s->due_next;
	s->is_due = false;
}

/* ---- the body ---- */

/* Gives the handler what has come, as far as it wants. */
static void body_advance(struct http2_stream *s)
{
	while (s->is_raw && s->base.request && request_is_open(s->base.request) && s->wanted && !s->has_told_last) {
		struct span bytes = span_first(span_skip(buffer_span(&s->body), s->body_at), s->wanted);

		if (bytes.len == 0 && !s->has_ended)
			return;
		s->body_at += bytes.len;
		s->wanted -= bytes.len;
		s->has_told_last = s->has_ended && s->body_at == s->body.len;
		if (bytes.len)
			(void)nghttp2_session_consume_stream(s->h2->session, s->id, bytes.len);
		request_receive(s->base.request, bytes, s->has_told_last);
		/* A finished request has emptied it. A body that always comes faster never is: what is given has to leave. */
		if (s->body_at &&
		    (s->body_at == s->body.len || (s->body_at >= BODY_DROP_LEAST && s->body_at >= s->body.len / 2))) {
			s->h2->buffered -= s->body_at;
			buffer_drop(&s->body, s->body_at);
			s->body_at = 0;
		}
	}
}

bool http2_raw_data(struct http2_stream *s, struct span data)
{
	struct h2 *h2 = s->h2;

	s->progress_ns = now_of(h2);
	if (s->body.len == 0 && s->wanted >= data.len && request_is_open(s->base.request)) {
		s->wanted -= data.len;
		request_receive(s->base.request, data, false);
		return false;
	}
	if (h2->buffered + data.len > limits_of(h2)->request_memory) {
		nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_ENHANCE_YOUR_CALM);
		s->is_discarding = true;
		return false;
	}
	buffer_append(&s->body, data);
	h2->buffered += data.len;
	body_advance(s);
	return true;
}

void http2_raw_end(struct http2_stream *s)
{
	body_advance(s);
}

void http2_raw_begin(struct http2_stream *s)
{
	struct request *req = s->base.request;

	s->is_raw = s->is_busy = true;
	req->is_end = s->has_ended;
	request_dispatch(req);
}

static void continue_submit(struct http2_stream *s)
{
	nghttp2_nv status = pair(SPAN(":status"), SPAN("100"), FIXED);

	(void)nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, &status, 1, NULL); /* a courtesy */
}

void http2_want(struct request *req, size_t bytes)
{
	struct http2_stream *s = stream_of(req);

	if (!s->is_open || s->has_told_last)
		return;
	if (s->wanted == 0)
		s->progress_ns = now_of(s->h2);
	if (__builtin_add_overflow(s->wanted, bytes, &s->wanted))
		s->wanted = SIZE_MAX;
	if (s->expects_continue && !s->is_parts && !s->has_ended && s->body.len == 0)
		continue_submit(s);
	s->expects_continue = false;
	if (http2_open_expiry(s) != INT64_MAX)
		http2_timer_need(s->h2, http2_open_expiry(s));
	due_add(s);
}

/* ---- heads ---- */

static struct span lowered(struct arena *arena, struct span name)
{
	struct error ignored = { 0 };
	struct span copy = arena_copy(arena, name, &ignored);

	for (char *at = (char *)copy.ptr; copy.ptr && at < copy.ptr + copy.len; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at + ('a' - 'A'));
	return copy;
}

/* The copies die with the request, before nghttp2 has sent them: it makes its own. */
static void pair_add(struct waiting_head *w, struct arena *arena, struct span name, struct span value)
{
	struct error ignored = { 0 };
	struct span to = lowered(arena, name);
	struct span copy = arena_copy(arena, value, &ignored);

	if (to.ptr && copy.ptr)
		w->pairs[w->count++] = pair(to, copy, 0);
}

static struct waiting_head *head_copy(struct http2_stream *s, struct request *req, const struct answer_head *head)
{
	enum { OWN = 4 };
	struct span date = worker_date(worker_of(s->h2)); /* "Date: ...\r\n" */
	struct span server = span_of(worker_config(worker_of(s->h2))->server_name);
	struct error ignored = { 0 };
	struct waiting_head *w =
	    arena_alloc(&req->arena, sizeof(*w) + (head->count + OWN) * sizeof(w->pairs[0]), &ignored);
	char status[3] = { (char)('0' + head->status / 100 % 10), (char)('0' + head->status / 10 % 10),
			   (char)('0' + head->status % 10) };

	if (!w)
		return NULL;
	w->count = 0;
	pair_add(w, &req->arena, SPAN(":status"), span_from(status, sizeof(status)));
	for (size_t i = 0; i < head->count; i++)
		pair_add(w, &req->arena, head->headers[i].name, head->headers[i].value);
	if (head->status < 200)
		return w;
	if (!head->has_date && date.len > 8)
		pair_add(w, &req->arena, SPAN("date"), span_from(date.ptr + 6, date.len - 8));
	if (!head->has_server && server.len)
		pair_add(w, &req->arena, SPAN("server"), server);
	if (head->reason.len && s->h2->connection->is_adopted)
		pair_add(w, &req->arena, FORWARDED_REASON, head->reason);
	return w;
}

void http2_answer_head(struct request *req, const struct answer_head *head)
{
	struct http2_stream *s = stream_of(req);
	struct waiting_head *w;

	if (!s->is_open)
		return;
	w = head_copy(s, req, head);
	if (!w) {
		http2_answer_cut(req);
	} else if (head->status < 200) {
		(void)nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, w->pairs, w->count, NULL);
		connection_turn(s->h2->connection);
	} else {
		s->is_parts = s->has_answer_head = true;
		s->head = w;
		due_add(s);
	}
}

static void head_submit(struct http2_stream *s, bool has_more)
{
	nghttp2_data_provider provider = { .source = { .ptr = s }, .read_callback = http2_out_read };
	struct waiting_head *w = s->head;

	s->head = NULL;
	if (nghttp2_submit_response(s->h2->session, s->id, w->pairs, w->count, has_more ? &provider : NULL) != 0)
		nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
}

/* ---- bodies and ends ---- */

void http2_answer_write(struct request *req, struct span bytes)
{
	struct http2_stream *s = stream_of(req);

	if (!s->is_open)
		return;
	if (out_waiting(s) == 0)
		s->progress_ns = now_of(s->h2);
	http2_out_append(s, bytes);
	if (s->out.overflow) {
		nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
		connection_turn(s->h2->connection);
		return;
	}
	sending_set(s, true);
	s->is_over_low = s->is_over_low || out_waiting(s) >= REQUEST_UNSENT_LOW;
	due_add(s);
}

/* They are sent when the body is, which may be long after the request. */
static struct trailers *trailers_copy(const struct header *fields, size_t count)
{
	size_t size = sizeof(struct trailers) + count * sizeof(nghttp2_nv);
	struct trailers *t;
	char *to;

	for (size_t i = 0; i < count; i++)
		size += fields[i].name.len + fields[i].value.len;
	t = base_alloc(size);
	t->count = count;
	to = (char *)&t->pairs[count];
	for (size_t i = 0; i < count; i++) {
		struct span name = { to, fields[i].name.len }, value = { to + name.len, fields[i].value.len };

		for (size_t k = 0; k < name.len; k++) {
			char c = fields[i].name.ptr[k];

			to[k] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
		}
		memcpy(to + name.len, fields[i].value.ptr, value.len);
		to += name.len + value.len;
		t->pairs[i] = pair(name, value, 0);
	}
	return t;
}

int http2_trailers_submit(struct http2_stream *s)
{
	return nghttp2_submit_trailer(s->h2->session, s->id, s->trailers->pairs, s->trailers->count);
}

void http2_answer_end(struct request *req, const struct header *trailers, size_t count)
{
	struct http2_stream *s = stream_of(req);

	if (!s->is_open)
		return;
	if (count)
		s->trailers = trailers_copy(trailers, count);
	s->is_last = true;
	if (s->head)
		head_submit(s, out_waiting(s) > 0 || count > 0);
	due_add(s);
}

void http2_answer_cut(struct request *req)
{
	struct http2_stream *s = stream_of(req);

	if (!s->is_open)
		return;
	s->head = NULL;
	nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
	connection_turn(s->h2->connection);
}

size_t http2_answer_unsent(const struct request *req)
{
	const struct http2_stream *s = (const struct http2_stream *)req->stream;

	return s->is_open ? out_waiting(s) : 0;
}

/* ---- once a turn ---- */

void http2_sent_some(struct http2_stream *s)
{
	if (s->is_over_low && out_waiting(s) < REQUEST_UNSENT_LOW)
		due_add(s);
}

static void stream_turn(struct http2_stream *s)
{
	if (s->head)
		head_submit(s, true);
	if (s->is_deferred && (s->is_last || out_waiting(s) > 0)) {
		s->is_deferred = false;
		(void)nghttp2_session_resume_data(s->h2->session, s->id);
	}
	if (s->is_over_low && out_waiting(s) < REQUEST_UNSENT_LOW) {
		s->is_over_low = false;
		if (s->base.request && request_is_open(s->base.request))
			request_drained(s->base.request);
	}
	body_advance(s);
}

void http2_turn(struct connection *c)
{
	struct h2 *h2 = c->codec_state;
	struct http2_stream *due = h2->due;

	/* What becomes due meanwhile is for the next turn. */
	h2->due = NULL;
	h2->is_receiving = true; /* no http2_pump() meanwhile: it might free the next stream */
	while (due) {
		struct http2_stream *s = due;

		due = s->due_next;
		s->is_due = false;
		stream_turn(s);
	}
	h2->is_receiving = false;
	http2_pump(h2);
}

/* ---- limits ---- */

int64_t http2_open_expiry(const struct http2_stream *s)
{
	const struct server_limits *limits = limits_of(s->h2);
	int64_t limit_ms = 0;

	if (out_waiting(s) > 0)
		limit_ms = limits->write_timeout_ms;
	else if (s->is_raw && !s->is_parts && !s->is_grpc && s->wanted && !s->has_ended &&
		 !s->base.request->upgrade.len)
		limit_ms = limits->read_timeout_ms;
	return limit_ms > 0 ? s->progress_ns + limit_ms * NS_PER_MS : INT64_MAX;
}

void http2_open_expire(struct http2_stream *s)
{
	struct error err = { 0 };

	if (out_waiting(s) > 0) {
		nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		return;
	}
	error_set(&err, ERROR_REQUEST_TIMEOUT, "no byte of the body came for %lld ms (--read-timeout)",
		  (long long)limits_of(s->h2)->read_timeout_ms);
	s->is_discarding = true;
	request_break(s->base.request, &err);
}
