/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * client_http2_private - what the two halves of the HTTP/2 client share: client_http2.c (the connection: socket, session, its end)
 * and client_http2_stream.c (streams: heads, bodies, their ends).
 *
 * A stream is freed when its owner was told of its end and nghttp2 is done with it: one that was reset lives on, unseen,
 * until its RST_STREAM is out.
 *
 * Threads: the loop's.
 */
#include <nghttp2/nghttp2.h>

#include "net/client_private.h"

enum {
	CLIENT_OUT_HIGH = 256 * 1024, /* bytes gathered for the socket before frames are held back */
	CLIENT_STREAM_WINDOW = 1024 * 1024,
	CLIENT_CONNECTION_WINDOW = 64 * 1024 * 1024, /* given back at once: the streams' windows bound what is held */
	CLIENT_HEADER_BYTES = 64 * 1024,
	CLIENT_HEADERS_MOST = HTTP1_HEADERS_MAX,
};

struct client_http2_stream {
	struct client_stream base;
	struct client_http2 *client;
	const struct client_stream_ops *ops;         /* NULL once `closed` was called */
	struct client_http2_stream *next, *previous; /* of the client; next: of the free list */
	struct client_http2_stream *next_waiting, *previous_waiting;
	int32_t id;           /* 0 before it is nghttp2's */
	enum error_code fate; /* with is_ending: what `closed` will say */
	size_t unconsumed;    /* body bytes whose window is held back */
	size_t out_at;
	uint64_t head_at;  /* the client's produced bytes before its HEADERS */
	bool is_known;     /* nghttp2 has it */
	bool is_waiting;   /* for the server to take one more */
	bool is_ending;    /* `closed` comes in this turn or the next; nothing else does */
	bool is_sent;      /* its HEADERS went to the socket's buffer */
	bool is_last;      /* out holds all that will come */
	bool is_deferred;  /* nghttp2 waits for nghttp2_session_resume_data() */
	bool is_high;      /* unsent bytes were over CLIENT_UNSENT_LOW */
	bool has_protocol; /* RFC 8441 */
	bool has_head;
	bool has_heard;     /* a frame of its answer */
	struct buffer out;  /* body bytes not yet framed */
	struct buffer head; /* while it waits: an array of nghttp2_nv and what they point to */
};

struct client_http2 {
	struct client base;
	struct loop *loop;
	const struct client_ops *ops;
	nghttp2_session *session;
	struct watch watch;
	struct loop_task turn;
	struct client_http2_stream *streams, *free_streams;
	struct client_http2_stream *waiting, *waiting_last; /* in the order opened */
	size_t stream_count;                                /* whose `closed` is still to come */
	size_t free_count;
	size_t active;     /* that nghttp2 has */
	unsigned depth;    /* callbacks may be on the stack: freeing waits until they have returned */
	uint64_t produced; /* bytes given to out, ever */
	uint64_t sent;     /* of these, taken by the kernel */
	struct buffer out; /* frames for the socket */
	int receive_errno; /* what ended reading; 0 with is_eof: the server's end */
	bool is_eof;       /* nothing more will come */
	bool is_broken;    /* nothing more can be sent */
	bool is_blocked;   /* the socket takes no more for now */
	bool is_refusing;  /* no new streams: `why` says why */
	bool is_lost;
	bool is_freeing, is_freed; /* in client_free(); no callback is made any more */
	bool has_settings;         /* the server's have come */
	bool has_ending;           /* some stream is_ending */
	struct error why;          /* of is_refusing or is_lost */
	char complaint[160];       /* nghttp2's, about what the server sent */
	int32_t reset_id;          /* the stream the server reset last */
	/* The header block under way: blocks of two streams never mix (RFC 9113 4.3). */
	struct buffer text;
	struct header fields[CLIENT_HEADERS_MOST];
	size_t field_count, field_bytes;
	int status;
	/* Scratch for a request's fields. */
	nghttp2_nv *pairs;
	size_t pair_cap;
	char *in;
};

/* ---- client_http2.c ---- */

extern const struct client_kind client_kind_http2;

/* Something is to be sent or told: at the end of this turn of the loop. */
void client_wake(struct client_http2 *c);
/* No new streams from now on. The first reason counts. */
void client_refuse(struct client_http2 *c, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- client_http2_stream.c ---- */

struct client_stream *client_http2_open(struct client *base, const struct client_head *head, bool is_last,
					const struct client_stream_ops *ops, void *owner);
bool client_http2_is_full(const struct client *base);
bool client_http2_has_heard(const struct client_stream *base);
void client_http2_write(struct client_stream *base, struct span bytes);
void client_http2_end(struct client_stream *base);
size_t client_http2_unsent(const struct client_stream *base);
void client_http2_taken(struct client_stream *base, size_t bytes);
void client_http2_reset(struct client_stream *base);

/* Callbacks for nghttp2. */
int client_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data);
int client_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name_ptr, size_t name_len,
		     const uint8_t *value_ptr, size_t value_len, uint8_t flags, void *user_data);
int client_on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len,
		   void *user_data);
int client_on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data);
int client_before_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data);
int client_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t length,
		     nghttp2_data_source *source, void *user_data);
/* HEADERS or DATA are whole. */
void client_stream_frame(struct client_http2 *c, const nghttp2_frame *frame);

void client_streams_start(struct client_http2 *c); /* those that wait, as many as the server takes */
void client_streams_tell(struct client_http2 *c);  /* `closed` for those that are ending */
/* `closed` for all there are now. `why` is for those the server may have seen; NULL: the owner's own deed. */
void client_streams_fail(struct client_http2 *c, const struct error *why);
void client_streams_done(struct client_http2 *c); /* frees all, told or not */
