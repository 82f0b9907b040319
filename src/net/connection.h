/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * connection - private to net: a socket with its buffers, under a codec (HTTP/1.1 or HTTP/2).
 *
 * The transport half (connection.c, tls.c) moves bytes between the socket and in/out. The codec half (http1.c, http2.c)
 * turns them into requests and back. They meet in the two operation tables below.
 *
 * Reading: bytes arrive in c->in; the codec consumes from the front by connection_consume(). A codec that cannot take
 * more (HTTP/1.1 while a request is being answered) calls connection_pause_read(). Writing: connection_write() copies
 * small pieces; connection_write_buffer() takes over a large buffer's memory. What was gathered in a turn of the loop
 * goes out in one write at its end, or at connection_flush(). Threads: the connection's loop.
 */
#include "loop/loop.h"
#include "loop/pool.h"
#include "net/request.h"
#include "net/server.h"

struct connection;
struct direct;
struct tls_session;

struct codec {
	const char *name;
	void (*open)(struct connection *c);     /* first bytes are in c->in */
	void (*receive)(struct connection *c);  /* more bytes in c->in, or c->is_eof */
	void (*writable)(struct connection *c); /* less than CONNECTION_LOW_WATER waits to be sent */
	void (*expired)(struct connection *c);  /* the timer set by connection_timeout() */
	void (*drain)(struct connection *c);    /* finish what was accepted, take no more, then close */
	void (*turn)(struct connection *c);     /* asked for by connection_turn() */
	void (*closed)(struct connection *c);   /* the socket is gone: abandon requests, free codec_state */
	/* No request is begun, and none waits; NULL: never (a connection that cannot change hands). */
	bool (*is_idle)(const struct connection *c);
	/* Of the request at hand something is still to come from the client. NULL with is_idle. */
	bool (*waits)(const struct connection *c);
};
extern const struct codec codec_http1, codec_http2;

#define CONNECTION_READ_SIZE KIB(16)
#define CONNECTION_LOW_WATER KIB(64)
#define CONNECTION_COPY_MAX                                                                                            \
	KIB(16) /* bodies up to this size are copied behind their head; larger ones are taken over */

struct connection {
	struct watch watch;
	struct timer timer;
	struct loop_task flush;
	struct worker *worker;
	const struct codec *codec; /* NULL until the first bytes tell */
	void *codec_state;
	struct tls_session *tls; /* NULL in clear */
	struct buffer in;        /* in.ptr[in_at .. in.len) is unread */
	size_t in_at;
	struct buffer out; /* small pieces, gathered */
	size_t out_at;
	struct out_chunk *chunks; /* large pieces behind `out` (in order) */
	size_t out_waiting;       /* bytes in out and chunks */
	bool is_eof, is_closing, is_read_paused, wants_write, is_closed;
	bool is_lingering; /* our side is shut down; what still comes is read and dropped, so that no reset is sent */
	bool is_settled;   /* set by the codec: the client sends no more (it asked to close), lingering is needless */
	bool has_started;  /* bytes have come */
	bool is_adopted;   /* server_adopt(): the other end is ours */
	bool is_turn_due;  /* connection_turn() */
	bool is_cut;       /* closes with a reset */
	bool drains;       /* connection_drain() was called */
	bool tls_reads_on; /* the session may hold bytes, of which no event tells */
	bool tls_waits_write; /* the session reads on when the socket takes bytes */
	/* `writable` is called once when little waits, whatever sent the rest. Set by the codec, and when the kernel refuses bytes. */
	bool tells_writable;
	bool hears_end;           /* set by the codec with the pause: an end from the client, or its death, ends all */
	size_t expected;          /* connection_expect() */
	int64_t last_progress_ns; /* when bytes were sent last */
	int64_t codec_timeout_ns; /* connection_timeout(); 0: none. The timer itself is set rarely and looks here when
				     it fires */
	int64_t own_timeout_ns;   /* the transport's: first bytes, handshake, lingering */
	char peer[64];            /* "127.0.0.1:41234", "unix" */
	struct server_entry *entry; /* how it came in; NULL: by a listener of the server's own */
	struct direct *direct;      /* taken from another process (direct.h); NULL: our own */
	unsigned direct_slot;
	uint8_t direct_state;   /* enum direct_state: as its word says */
	bool direct_is_over;    /* its slot is not its own any more */
	bool direct_is_begun;   /* a handler has the request at hand, or had it */
	bool direct_keeps_slot; /* set by the codec as it closes: a handler has the request still */
	bool waits_turn;        /* for its request to be read: among direct's */
	bool is_lent;           /* to another process: goes from here, its descriptor stays open */
	bool is_leaving;        /* back to where it was taken from */
	struct connection *next_turn;
	struct connection *next, *previous; /* of the worker */
};

static inline struct span connection_unread(const struct connection *c)
{
	return span_skip((struct span){ c->in.ptr, c->in.len }, c->in_at);
}
void connection_consume(struct connection *c, size_t n);
/* `n` unread bytes in all will be wanted (a body of known length): the buffer grows towards that as they come. 0:
 * unknown. */
void connection_expect(struct connection *c, size_t n);
void connection_pause_read(struct connection *c);
void connection_resume_read(struct connection *c); /* calls codec->receive() in this turn if bytes wait */

void connection_write(struct connection *c, struct span bytes);
char *connection_write_reserve(struct connection *c, size_t n); /* n writable bytes; then connection_write_commit */
void connection_write_commit(struct connection *c, size_t n);
void connection_write_buffer(struct connection *c, struct buffer *b); /* leaves *b empty */
/* Sends what was gathered and these bytes now, as far as the kernel takes them; the rest is copied. For pieces that are worth a system call. */
void connection_write_now(struct connection *c, struct span bytes);
#define CONNECTION_NOW_LEAST KIB(32)
void connection_flush(struct connection *c);

/* Closes when everything written is sent. abort: at once. Both are safe inside codec callbacks: freed at the turn's
 * end. */
void connection_close(struct connection *c);
void connection_abort(struct connection *c);
void connection_timeout(struct connection *c, int64_t at_ns); /* 0 clears */
/* Sends what can be sent at once, then closes with a reset: the client must not take what came for the whole. */
void connection_cut(struct connection *c);
/* Calls codec->turn() soon, from the loop. */
void connection_turn(struct connection *c);

/* ---- worker: what a loop's thread owns ---- */

struct worker {
	struct server *server;
	struct loop *loop;
	unsigned index;
	struct connection *connections;
	size_t connection_count;
	size_t request_count; /* taken by request_new() and not yet recycled: the loop runs until there are none */
	struct request *free_requests;
	struct worker_requests *requests;  /* request.c's own: ids, counters, access log */
	struct http2_stream *free_streams; /* http2.c's own */
	struct direct *direct;             /* direct.c's own; NULL: nobody gives connections */
	size_t lent_count;                 /* connections that others serve: server_config.offer */
	bool is_draining;
	char date[40]; /* "Date: ...\r\n", renewed each second */
	size_t date_len;
	int64_t date_ns;
	/* more, private to server.c */
	struct worker_private *more;
};

/* The server's settings, seen from inside. */
const struct server_config *worker_config(const struct worker *w);
struct pool *worker_pool(const struct worker *w);
struct span worker_date(struct worker *w); /* the Date header line, with CRLF */

/* ---- request: the codec's side ---- */

/* The server's compiled routes, shared by its workers. */
struct routes;
const struct routes *worker_routes(const struct worker *w);

/* Called by the server on the worker's thread: before its first request, and after its last. */
void worker_requests_init(struct worker *w);
void worker_requests_done(struct worker *w);
void worker_http2_done(struct worker *w); /* called by the above */

/* The head of an answer in parts; the fields are ready to go out. */
struct answer_head {
	int status; /* under 200: interim */
	struct span reason;
	const struct header *headers;
	size_t count;
	uint64_t length; /* the content-length among the headers */
	bool has_length, has_date, has_server;
	bool has_no_body; /* by method or status */
	bool is_tunnel;   /* req->upgrade is accepted */
};

struct stream_ops {
	/*
	 * The answer (or, with is_last false, one part of it) is in req->answer and req->out: turn it to bytes; the
	 * codec may take req->out's memory and leave another (or an empty) buffer. Of `req` it uses answer, out, method
	 * and stream only: when a deadline passes while a compute thread has the request, another request stands in to
	 * carry the answer.
	 */
	void (*respond)(struct request *req, bool is_last);
	/*
	 * The request is over: answered or abandoned and, if offloaded, the compute thread is done. Until now the
	 * memory its spans point to (head, body) had to stay, even with the connection gone. The codec forgets it; then
	 * it is recycled.
	 */
	void (*finished)(struct request *req);
	/* Streaming calls: the message is handled, the next one may be dispatched. NULL where there are none. */
	void (*ready)(struct request *req);

	/* Open requests. None of these calls the request's flow before it returns. */
	void (*want)(struct request *req, size_t bytes); /* ROUTE_STREAM: let so much more of the body come */
	void (*head)(struct request *req, const struct answer_head *head);
	void (*write)(struct request *req, struct span bytes);
	void (*end)(struct request *req, const struct header *trailers, size_t count);
	void (*cut)(struct request *req);
	size_t (*unsent)(const struct request *req);
};

/* Embedded first in a codec's own per-request struct. */
struct request_stream {
	const struct stream_ops *ops;
	struct connection *connection; /* for the peer's name in the access log; NULL once it is gone */
	struct request *request;
	struct {
		struct span peer, scheme, version;
	} forwarded; /* adopted connections: forwarded.h */
};

/* METHOD_OTHER for one that is not known. */
enum method method_parse(struct span text);

/* A cleared request from the worker's free list, with arena and out ready; sets stream->request. */
struct request *request_new(struct worker *w, struct request_stream *stream);

/*
 * All the head's fields are set (method, method_text, target, authority, headers, content_type, http_major,
 * received_ns; deadline_ns when the client names one, is_grpc): splits the target, makes the id, finds the route and
 * checks what can be checked before the body. False: it has been answered already (404, 405, 501 ...) and `finished`
 * was called; the codec then discards the body.
 */
bool request_begin(struct request *req);

/*
 * The body (or message) is whole and in req->body (ROUTE_STREAM: the head is whole, and the body is given by
 * request_receive() as the handler asks for it): undoes content coding and calls the handler. When it returns the
 * answer may have been given (and `finished` called), or comes later from the loop.
 */
void request_dispatch(struct request *req);

/* Answers with an error that the codec found (a body over its limit, a slow client), then `finished`. Not while a
 * handler has the request (between request_dispatch() and `finished` or `ready`). */
void request_refuse(struct request *req, const struct error *err);

/* The client is gone, or the codec gives up: nothing more can be sent. `finished` comes now, or when the compute thread
 * is done with it. */
void request_abandon(struct request *req);

/* An open request: the handler has returned, and there is no answer yet. */
bool request_is_open(const struct request *req);
/* Bytes of the body, no more than were wanted; the request may be finished when it returns. */
void request_receive(struct request *req, struct span bytes, bool is_last);
/* Less than REQUEST_UNSENT_LOW is unsent, perhaps for the first time since a lot was: the owner is told. Same. */
void request_drained(struct request *req);
/* Ends an open request with an error that the codec found: the client is told, or cut off, then the owner is. */
void request_break(struct request *req, const struct error *err);
