/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * http1_private - what the parts of the HTTP/1.1 codec share.
 *
 *	http1.c         heads, whole bodies, whole answers
 *	http1_stream.c  open requests: bodies as they come, answers in parts, tunnels
 *	upgrade.c       the handshake of WebSocket
 *
 * Threads: the connection's loop.
 */
#include "base/number.h"
#include "net/connection.h"
#include "wire/http1.h"

enum http1_phase {
	HTTP1_HEAD,    /* waits for a head, or has a part of it */
	HTTP1_BEGIN,   /* the head is read, nobody has the request yet */
	HTTP1_BODY,    /* waits for the rest of the body */
	HTTP1_BUSY,    /* a handler has the request */
	HTTP1_DISCARD, /* answered before its body came: the rest is read and dropped */
};

struct http1 {
	struct request_stream stream; /* first: the two are cast to one another */
	struct connection *connection;
	enum http1_phase phase;
	int minor;
	bool keep_alive, expects_continue, is_chunked, has_upgrade;
	bool is_receiving;  /* http1_receive() is on the stack */
	bool is_blocked;    /* the client does not read its answers */
	size_t seen;        /* of the head, by http1_parse_head() */
	size_t body_len;    /* in the buffer; decoded, if chunked */
	uint64_t body_left; /* of Content-Length: all of it (BODY), or what is still to come (DISCARD, is_stream) */
	size_t held;        /* bytes at the front of the input that the request's spans point to */
	int64_t started_ns; /* first byte of the head */
	struct http1_chunked chunked;
	struct buffer kept; /* the input, once the connection is gone and the request is not */
	bool has_head;      /* the head is known to be whole, and the body is gathered behind it (direct_gathers()) */
	bool is_at_work;    /* counted by direct_begins() */
	unsigned
	    orphan_slot; /* direct.h: one more than the slot that the request has without its connection; 0: none */

	/* Of the request at hand: http1_stream.c. */
	bool is_stream;     /* ROUTE_STREAM: its body is given as it comes */
	bool is_held;       /* the body stands whole behind its head in the input, and stays until the end */
	bool is_tunnel;     /* upgraded: bytes, until one side ends */
	bool has_told_last; /* the handler knows of the body's end */
	bool has_answer_head;
	bool has_kept; /* its answer has not told that it is the last: a drain lets one more come */
	bool sends_chunks, sends_until_close;
	size_t wanted; /* bytes of the body that the handler lets come */
};

#define HTTP1_DISCARD_MOST KIB(64) /* of a body nobody wants: a longer one costs its client the connection */

/* ---- http1.c ---- */

/* A handler has the request from here on. */
void http1_at_work(struct http1 *h);
/* May the rest of a body that nobody will read be skipped, or must the connection go? */
bool http1_can_discard(const struct http1 *h);
/* Pieces of heads; each returns where the next one goes. In the header, since they are the cost of a small answer. */

static inline char *http1_put(char *to, struct span s)
{
	memcpy(to, s.ptr, s.len);
	return to + s.len;
}

#define HTTP1_PUT(to, literal) http1_put((to), SPAN(literal))

/* A line break in a value would let whoever chose the value write headers of their own. */
static inline char *http1_put_value(char *to, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		to[i] = c < ' ' && c != '\t' ? ' ' : (char)c;
	}
	return to + s.len;
}

static inline char *http1_put_status(char *to, int status, struct span reason)
{
	if (LIKELY(status == 200 && reason.len == 0))
		return HTTP1_PUT(to, "HTTP/1.1 200 OK\r\n");
	to = HTTP1_PUT(to, "HTTP/1.1 ");
	to = number_print_int64(to, status);
	*to++ = ' ';
	to = http1_put_value(to, reason.len ? reason : span_of(http1_reason(status)));
	return HTTP1_PUT(to, "\r\n");
}

static inline char *http1_put_connection(struct http1 *h, char *to)
{
	h->has_kept = h->keep_alive;
	if (!h->keep_alive)
		return HTTP1_PUT(to, "Connection: close\r\n");
	return h->minor == 0 ? HTTP1_PUT(to, "Connection: keep-alive\r\n") : to;
}

/* ---- http1_stream.c ---- */

/* The route is ROUTE_STREAM. `held` bytes of head stand in front of a whole body; 0: the head is copied away. Runs the
 * handler. */
void http1_stream_begin(struct http1 *h, size_t held);
/* Gives the handler what has come, once; false when there is nothing more to do until bytes come or are wanted. */
bool http1_stream_step(struct http1 *h);
/* Is it worth reading on? And if not: would an end of the client's end the request? */
bool http1_stream_reads(const struct http1 *h);
bool http1_stream_hears_end(const struct http1 *h);
/* The request is over. False: what is left of its body is to be discarded. */
bool http1_stream_over(struct http1 *h);
void http1_stream_expired(struct http1 *h);

void http1_want(struct request *req, size_t bytes);
void http1_answer_head(struct request *req, const struct answer_head *head);
void http1_answer_write(struct request *req, struct span bytes);
void http1_answer_end(struct request *req, const struct header *trailers, size_t count);
void http1_answer_cut(struct request *req);
size_t http1_answer_unsent(const struct request *req);

/* ---- upgrade.c ---- */

/*
 * A request with an Upgrade header (RFC 6455 4.2.1). Sets req->upgrade if it asks for a WebSocket; one that asks for
 * anything else, or without "Connection: upgrade", is an ordinary request. False: the client's fault, answered with 400
 * or 426.
 */
bool upgrade_check(struct request *req, int minor, bool has_body);
/* Sec-WebSocket-Accept for the request's key; `to` has room for UPGRADE_ACCEPT_LEN. */
enum { UPGRADE_ACCEPT_LEN = 28 };
void upgrade_accept(const struct request *req, char *to);
void upgrade_accept_key(struct span key, char *to); /* of 24 characters */
/* True for the only version there is; else answers 426. */
bool upgrade_version_check(struct request *req);
