/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * client_http1_private - what the two halves of the HTTP/1.1 client share: client_http1.c (the connection: socket, its end) and
 * client_http1_stream.c (a request is written, its answer read).
 *
 * A request is written to `out`, and goes out at the end of the loop's turn in one write; a long body past it, straight from its
 * owner. An answer is read into memory that all clients of a thread share: a connection holds bytes of its own only for a head that
 * has come in part.
 *
 * Threads: the loop's.
 */
#include "net/client_private.h"

enum {
	CLIENT_HTTP1_HEAD_MOST = 64 * 1024, /* bytes of an answer's head, and of its trailers */
	CLIENT_HTTP1_WINDOW = 256 * 1024,   /* of a body, not yet client_taken(): reading stops */
	CLIENT_HTTP1_INTERIM_MOST = 16,     /* answers 1xx before the answer */
	CLIENT_HTTP1_READ = 128 * 1024,
	CLIENT_HTTP1_READ_MORE = 16 * 1024, /* behind what came of a head */
};

enum answer_part { ANSWER_HEAD, ANSWER_LENGTH, ANSWER_CHUNKED, ANSWER_TRAILERS, ANSWER_TO_END, ANSWER_TUNNEL };
enum request_body { REQUEST_NONE, REQUEST_LENGTH, REQUEST_CHUNKED, REQUEST_TUNNEL };

struct client_http1;

struct client_http1_stream {
	struct client_stream base;
	struct client_http1 *client;
	const struct client_stream_ops *ops; /* NULL once `closed` was called */
	struct client_http1_stream *next;    /* of those that never began */
	uint64_t body_left;                  /* of the request's content-length */
	uint64_t answer_left;
	size_t unconsumed;
	size_t sent;          /* bytes of the request that the kernel took */
	uint64_t sent_before; /* of the connection's, before it */
	bool is_unseen;       /* the server closed before a byte of it came */
	struct http1_chunked chunked;
	enum answer_part part;
	enum request_body body;
	enum error_code fate; /* with is_ending: what `closed` will say */
	unsigned interims;
	bool is_ending;
	bool is_last;      /* all of the request was written */
	bool is_head;      /* its method is HEAD */
	bool wants_tunnel; /* asked to upgrade, and not yet answered */
	bool checks_accept;
	bool has_head, has_heard, is_high;
	char accept[28]; /* what Sec-WebSocket-Accept must be */
	struct span protocol;
	char protocol_text[32];
};

struct client_http1 {
	struct client base;
	struct loop *loop;
	const struct client_ops *ops;
	struct watch watch;
	struct loop_task turn;
	struct client_http1_stream *stream; /* under way; NULL: idle */
	struct client_http1_stream *doomed; /* opened in vain */
	struct client_http1_stream *spare;
	struct buffer out, held; /* held: for a tunnel that is not open yet */
	size_t out_at;
	struct buffer in; /* a head or trailers in part */
	size_t seen;
	uint64_t sent;     /* bytes that the kernel took, ever */
	unsigned depth;    /* callbacks may be on the stack: freeing waits until they have returned */
	int receive_errno; /* what ended reading; 0 with is_eof: the server's end */
	bool is_watched, is_eof;
	bool is_paused;  /* the owner has enough for now */
	bool is_broken;  /* nothing more can be sent */
	bool is_blocked; /* the socket takes no more for now */
	bool is_shut;    /* our half is closed: a tunnel's */
	bool is_closing; /* the answer at hand is the last */
	bool is_refusing, is_lost, is_freeing, is_freed;
	struct error why; /* of is_refusing or is_lost */
};

/* ---- client_http1.c ---- */

extern const struct client_kind client_kind_http1;

void client_http1_wake(
    struct client_http1 *c); /* something is to be sent or told: at the end of this turn of the loop */
/* The connection is of no more use. Between enter and leave: in callbacks of the loop. */
void client_http1_lose(struct client_http1 *c, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* No further request; the first reason counts. */
void client_http1_refuse(struct client_http1 *c, const char *why);
void client_http1_watch(struct client_http1 *c); /* by what it waits for */
/* Sends as much of what is gathered, and of `more`, as the kernel takes: how much of `more`. */
size_t client_http1_send(struct client_http1 *c, const struct span *more, size_t count);

/* ---- client_http1_stream.c ---- */

struct client_stream *client_http1_open(struct client *base, const struct client_head *head, bool is_last,
					const struct client_stream_ops *ops, void *owner);
bool client_http1_has_heard(const struct client_stream *base);
void client_http1_write(struct client_stream *base, struct span bytes);
void client_http1_end(struct client_stream *base);
size_t client_http1_unsent(const struct client_stream *base);
void client_http1_taken(struct client_stream *base, size_t bytes);
void client_http1_reset(struct client_stream *base);

/* Its owner hears from it once more or, with is_ending, only of its end. */
static inline bool client_http1_is_live(const struct client_http1_stream *s)
{
	return s && s->ops && !s->is_ending && !s->client->is_freed;
}

static inline size_t client_http1_unsent_of(const struct client_http1 *c)
{
	return c->out.len - c->out_at + c->held.len;
}

/* Takes what it can of an answer: how much. 0: more must come first. `head` is scratch. */
size_t client_http1_answer(struct client_http1 *c, char *bytes, size_t len, struct http1_head *head);
/* The server has said all; the body that goes to the end of the connection ends with it. */
void client_http1_answer_eof(struct client_http1 *c);
void client_http1_tell(struct client_http1 *c);    /* `closed` for what is ending */
void client_http1_drained(struct client_http1 *c); /* less is unsent */
/* `closed` for all there are. NULL: the owner's own deed. */
void client_http1_fail(struct client_http1 *c, const struct error *why);
