/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * http2_private - what the parts of the HTTP/2 codec share: http2.c (streams, timers, frames that come), http2_answer.c
 * (answers turned to frames) and http2_stream.c (open requests).
 *
 * Threads: the connection's loop.
 */
#include <nghttp2/nghttp2.h>

#include "net/connection.h"
#include "net/grpc.h"
#include "net/server.h"

enum {
	OUT_HIGH = 256 * 1024, /* bytes waiting for the socket before frames are held back */
	FIXED = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
};

struct trailers;
struct waiting_head;

struct http2_stream {
	struct request_stream base; /* first: request.c knows the stream as this */
	struct h2 *h2;              /* NULL once the connection is gone */
	struct http2_stream *next, *previous;
	int32_t id;
	/* The question. */
	struct buffer body;
	struct buffer current; /* streaming: the message a handler has; body takes what comes meanwhile */
	size_t unconsumed;     /* streaming: bytes whose window is held back */
	size_t header_bytes;
	size_t content_length;
	int64_t progress_ns;
	struct span timeout, encoding, accept_encoding; /* of gRPC */
	bool is_open;                                   /* nghttp2 has the stream */
	bool has_head;                                  /* further HEADERS are trailers */
	bool is_too_large;                              /* the head */
	bool expects_continue;
	bool is_discarding; /* answered already: the body is passed over */
	bool has_ended;     /* the client has half-closed */
	bool is_busy;       /* a handler or compute thread has the request */
	bool is_advancing;  /* stream_advance() is at work */
	uint8_t coding;     /* of gRPC's compressed messages (enum coding) */
	/* The answer. */
	bool is_grpc;
	bool has_answer_head;
	bool is_last;     /* out holds all that will come */
	bool is_deferred; /* nghttp2 waits for nghttp2_session_resume_data() */
	bool is_sending;  /* counted in h2->sending */
	char frame_head[GRPC_FRAME_HEAD];
	size_t frame_head_left;
	struct buffer out;
	size_t out_at;
	struct error *failure; /* for the trailers, when parts went before */
	/* Open requests: http2_stream.c. */
	bool is_raw;        /* ROUTE_STREAM: the body is given as it comes, gRPC's in its frames */
	bool is_parts;      /* request_head() was called */
	bool has_told_last; /* the handler knows of the body's end */
	bool is_over_low;   /* much was unsent: the owner is told when it is not */
	bool is_due;        /* in h2->due */
	bool is_upgrade;    /* RFC 8441: CONNECT with :protocol */
	size_t wanted;      /* bytes of the body that the handler lets come */
	size_t body_at;     /* body[0..body_at) is given */
	struct http2_stream *due_next;
	struct waiting_head *head;
	struct trailers *trailers;
	struct span protocol;
	size_t header_count;
	struct header headers[HTTP1_HEADERS_MAX];
};

struct h2 {
	struct connection *connection;
	nghttp2_session *session;
	struct http2_stream *streams;
	size_t stream_count;
	size_t buffered;  /* body bytes held for all streams */
	size_t sending;   /* streams with answer bytes to send */
	int64_t timer_ns; /* as armed; 0 not */
	int64_t active_ns;
	int64_t control_second;
	unsigned control_count;
	bool is_receiving, is_pumping, is_draining, has_said_goodbye;
	struct http2_stream *due; /* to be looked at in this turn: http2_turn() */
	struct server_limits limits;
	bool has_stalled; /* a streaming call waits for its answers to be sent */
};

static inline struct http2_stream *stream_of(struct request *req)
{
	return (struct http2_stream *)req->stream;
}

static inline struct worker *worker_of(const struct h2 *h2)
{
	return h2->connection->worker;
}

static inline const struct server_limits *limits_of(const struct h2 *h2)
{
	return &h2->limits;
}

static inline int64_t now_of(const struct h2 *h2)
{
	return loop_now(worker_of(h2)->loop);
}

static inline size_t out_waiting(const struct http2_stream *s)
{
	return s->frame_head_left + s->out.len - s->out_at;
}

static inline void sending_set(struct http2_stream *s, bool is_sending)
{
	if (s->is_sending == is_sending)
		return;
	s->is_sending = is_sending;
	s->h2->sending += is_sending ? 1 : (size_t)-1;
}

static inline nghttp2_nv pair(struct span name, struct span value, uint8_t flags)
{
	return (nghttp2_nv){ (uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len, flags };
}

/* ---- http2_answer.c ---- */

void http2_respond(struct request *req, bool is_last);
/* nghttp2's callback that writes a DATA frame straight from stream->out. */
int http2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t length,
		    nghttp2_data_source *source, void *user_data);

/* Behind what waits in stream->out; out.overflow when it is too much. */
void http2_out_append(struct http2_stream *s, struct span bytes);

/* How many bytes the next DATA frame has; they are written by http2_send_data(). */
ssize_t http2_out_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
		       nghttp2_data_source *source, void *user_data);

/* ---- http2_stream.c ---- */

void http2_want(struct request *req, size_t bytes);
void http2_answer_head(struct request *req, const struct answer_head *head);
void http2_answer_write(struct request *req, struct span bytes);
void http2_answer_end(struct request *req, const struct header *trailers, size_t count);
void http2_answer_cut(struct request *req);
size_t http2_answer_unsent(const struct request *req);

/* The head of a ROUTE_STREAM request is whole: runs the handler. */
void http2_raw_begin(struct http2_stream *s);
/* Bytes of its body. True: they are kept, and so is their part of the window. */
bool http2_raw_data(struct http2_stream *s, struct span data);
void http2_raw_end(struct http2_stream *s);

int http2_trailers_submit(struct http2_stream *s);
void http2_sent_some(struct http2_stream *s);
void http2_due_remove(struct http2_stream *s);
void http2_turn(struct connection *c);
int64_t http2_open_expiry(const struct http2_stream *s);
void http2_open_expire(struct http2_stream *s);

/* ---- http2.c ---- */

/* Gives the connection all frames that may go out now. Not inside nghttp2's callbacks. */
void http2_pump(struct h2 *h2);
/* One timer for all streams of a connection, armed lazily: it may fire early and looks for who is late then. */
void http2_timer_need(struct h2 *h2, int64_t at_ns);
