/* SPDX-License-Identifier: Apache-2.0 */
/* http2_answer - answers turned to frames: HTTP's, and gRPC's with their status in trailers. */
#include <stdlib.h>

#include "net/http2_private.h"

enum { ANSWER_HEADERS_MOST = 24, NEVER_INDEX = NGHTTP2_NV_FLAG_NO_INDEX, OUT_DROP_LEAST = 64 * 1024 };

/* The status and what explains it. The values are copied by nghttp2. */
static size_t grpc_status_pairs(int status, const struct error *failure, struct arena *arena, nghttp2_nv *to)
{
	size_t count = 0;
	struct span text;

	to[count++] = pair(SPAN("grpc-status"), grpc_status_text(status), FIXED);
	if (!failure)
		return count;
	text = grpc_message(failure, arena);
	if (text.len)
		to[count++] = pair(SPAN("grpc-message"), text, NGHTTP2_NV_FLAG_NO_COPY_NAME | NEVER_INDEX);
	text = grpc_details(failure, arena);
	if (text.len)
		to[count++] = pair(SPAN("grpc-status-details-bin"), text, NGHTTP2_NV_FLAG_NO_COPY_NAME | NEVER_INDEX);
	return count;
}

static int trailers_submit(struct http2_stream *s)
{
	int status = s->failure ? error_grpc(s->failure->code) : 0;
	nghttp2_nv pairs[4];
	struct arena arena;
	size_t count;
	int result;

	arena_init(&arena, KIB(32));
	count = grpc_status_pairs(status, s->failure, &arena, pairs);
	result = nghttp2_submit_trailer(s->h2->session, s->id, pairs, count);
	arena_done(&arena);
	return result;
}

ssize_t http2_out_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
		       nghttp2_data_source *source, void *user_data)
{
	struct http2_stream *s = source->ptr;
	size_t waiting = out_waiting(s);

	(void)session, (void)stream_id, (void)buf, (void)user_data;
	if (waiting == 0 && !s->is_last) {
		s->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (waiting > length || !s->is_last)
		return (ssize_t)MIN(waiting, length);
	*data_flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->is_parts ? s->trailers != NULL : s->is_grpc) {
		*data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if ((s->is_parts ? http2_trailers_submit(s) : trailers_submit(s)) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)waiting;
}

int http2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t length,
		    nghttp2_data_source *source, void *user_data)
{
	struct http2_stream *s = source->ptr;
	struct h2 *h2 = user_data;
	struct connection *c = h2->connection;
	size_t head, body;
	char *to;

	(void)session, (void)frame; /* no padding: no select_padding callback is set */
	if (c->out_waiting >= OUT_HIGH)
		return NGHTTP2_ERR_WOULDBLOCK;
	head = MIN(s->frame_head_left, length);
	body = length - head;
	to = connection_write_reserve(c, 9 + length);
	memcpy(to, frame_head, 9);
	memcpy(to + 9, s->frame_head + GRPC_FRAME_HEAD - s->frame_head_left, head);
	if (body)
		memcpy(to + 9 + head, s->out.ptr + s->out_at, body);
	connection_write_commit(c, 9 + length);
	s->frame_head_left -= head;
	s->out_at += body;
	s->progress_ns = now_of(h2);
	if (out_waiting(s) == 0) {
		sending_set(s, false);
		s->out_at = 0;
		buffer_clear(&s->out);
	}
	if (UNLIKELY(s->is_over_low))
		http2_sent_some(s);
	return 0;
}

/* HTTP's head. Values that live in the request are copied by nghttp2. */
static size_t http_pairs(struct http2_stream *s, struct request *req, bool has_body, char *text, nghttp2_nv *to)
{
	struct worker *w = worker_of(s->h2);
	const char *server = worker_config(w)->server_name;
	struct span date = worker_date(w); /* "Date: ...\r\n" */
	size_t count = 0, len;

	text[0] = (char)('0' + req->answer.status / 100 % 10);
	text[1] = (char)('0' + req->answer.status / 10 % 10);
	text[2] = (char)('0' + req->answer.status % 10);
	to[count++] = pair(SPAN(":status"), (struct span){ text, 3 }, NGHTTP2_NV_FLAG_NO_COPY_NAME);
	if (req->answer.content_type.len)
		to[count++] = pair(SPAN("content-type"), req->answer.content_type, NGHTTP2_NV_FLAG_NO_COPY_NAME);
	if (has_body) {
		char *end = text + 32;
		char *at = end;

		for (len = req->out.len; at == end || len; len /= 10)
			*--at = (char)('0' + len % 10);
		to[count++] =
		    pair(SPAN("content-length"), (struct span){ at, (size_t)(end - at) }, NGHTTP2_NV_FLAG_NO_COPY_NAME);
	}
	if (date.len > 8)
		to[count++] =
		    pair(SPAN("date"), (struct span){ date.ptr + 6, date.len - 8 }, NGHTTP2_NV_FLAG_NO_COPY_NAME);
	if (server)
		to[count++] = pair(SPAN("server"), span_of(server), FIXED);
	return count;
}

static size_t extra_pairs(const struct request *req, nghttp2_nv *to)
{
	for (size_t i = 0; i < req->answer.header_count; i++) {
		const struct header *h = &req->answer.headers[i];

		to[i] = pair(h->name, h->value, span_equal(h->name, SPAN("x-request-id")) ? NEVER_INDEX : 0);
	}
	return req->answer.header_count;
}

static void submit_check(struct http2_stream *s, int result)
{
	if (result != 0)
		nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
}

static void respond_http(struct http2_stream *s, struct request *req)
{
	bool may_have_body = req->answer.status != 204 && req->answer.status != 304;
	bool sends_body = may_have_body && req->method != METHOD_HEAD && req->out.len > 0;
	nghttp2_data_provider provider = { .source = { .ptr = s }, .read_callback = http2_out_read };
	nghttp2_nv pairs[ANSWER_HEADERS_MOST];
	char text[32];
	size_t count = http_pairs(s, req, may_have_body, text, pairs);

	count += extra_pairs(req, pairs + count);
	s->is_last = true;
	if (sends_body) {
		struct buffer taken = req->out;

		req->out = s->out;
		s->out = taken;
		sending_set(s, true);
	}
	submit_check(s, nghttp2_submit_response(s->h2->session, s->id, pairs, count, sends_body ? &provider : NULL));
}

static void grpc_head_submit(struct http2_stream *s, struct request *req)
{
	nghttp2_data_provider provider = { .source = { .ptr = s }, .read_callback = http2_out_read };
	nghttp2_nv pairs[ANSWER_HEADERS_MOST];
	size_t count = 0;

	pairs[count++] = pair(SPAN(":status"), SPAN("200"), FIXED);
	pairs[count++] = pair(SPAN("content-type"), SPAN("application/grpc"), FIXED);
	if (req->answer.is_coded || (req->grpc_compress && !s->is_last))
		pairs[count++] = pair(SPAN("grpc-encoding"), SPAN("gzip"), FIXED);
	count += extra_pairs(req, pairs + count);
	s->has_answer_head = true;
	submit_check(s, nghttp2_submit_response(s->h2->session, s->id, pairs, count, &provider));
}

/* An error before any message: status 200 and the trailers' headers, in one frame. */
static void grpc_trailers_only(struct http2_stream *s, struct request *req)
{
	nghttp2_nv pairs[ANSWER_HEADERS_MOST];
	size_t count = 0;

	pairs[count++] = pair(SPAN(":status"), SPAN("200"), FIXED);
	pairs[count++] = pair(SPAN("content-type"), SPAN("application/grpc"), FIXED);
	count += grpc_status_pairs(req->answer.status, req->answer.failure, &req->arena, pairs + count);
	count += extra_pairs(req, pairs + count);
	s->has_answer_head = true;
	submit_check(s, nghttp2_submit_response(s->h2->session, s->id, pairs, count, NULL));
}

void http2_out_append(struct http2_stream *s, struct span bytes)
{
	/* An answer without end never empties its buffer: what is sent has to leave at times. */
	if (s->out_at >= OUT_DROP_LEAST && s->out_at >= s->out.len / 2) {
		buffer_drop(&s->out, s->out_at);
		s->out_at = 0;
	}
	buffer_append(&s->out, bytes);
}

/* One message of several: copied behind those that wait. */
static void grpc_message_append(struct http2_stream *s, struct request *req)
{
	char head[GRPC_FRAME_HEAD];

	if (!grpc_frame_head(head, req->answer.is_coded, req->out.len))
		return; /* --max-answer-bytes is set over 4 GiB: the call ends without the message */
	http2_out_append(s, (struct span){ head, sizeof(head) });
	http2_out_append(s, buffer_span(&req->out));
	sending_set(s, true);
}

static void respond_grpc(struct http2_stream *s, struct request *req, bool is_last)
{
	bool is_streaming = req->route && req->route->kind == ROUTE_GRPC_STREAM;

	if (req->answer.failure && !s->has_answer_head) {
		s->is_last = true;
		grpc_trailers_only(s, req);
		return;
	}
	if (req->answer.failure) {
		s->failure = base_alloc(sizeof(*s->failure));
		*s->failure = *req->answer.failure;
	} else if (is_streaming) {
		/* The last call without content only ends: a streaming handler's request_send() with nothing written.
		 */
		if (!is_last || req->out.len > 0)
			grpc_message_append(s, req);
		if (s->out.overflow) {
			nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
			return;
		}
	} else {
		struct buffer taken = req->out;

		if (!grpc_frame_head(s->frame_head, req->answer.is_coded, taken.len)) {
			submit_check(s, -1);
			return;
		}
		s->frame_head_left = GRPC_FRAME_HEAD;
		req->out = s->out;
		s->out = taken;
		sending_set(s, true);
	}
	s->is_last = is_last;
	if (!s->has_answer_head) {
		grpc_head_submit(s, req);
	} else if (s->is_deferred) {
		s->is_deferred = false;
		submit_check(s, nghttp2_session_resume_data(s->h2->session, s->id));
	}
}

void http2_respond(struct request *req, bool is_last)
{
	struct http2_stream *s = stream_of(req);

	if (!s->is_open)
		return;
	s->progress_ns = now_of(s->h2);
	if (req->is_grpc)
		respond_grpc(s, req, is_last);
	else
		respond_http(s, req);
	/* stream_advance() looks at the stream again, which must not be gone then. */
	if (!s->is_advancing)
		http2_pump(s->h2);
}
