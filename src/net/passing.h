/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * passing - between an open request and the stream on which it is asked on: each side is read as fast as the other one takes it. The body runs
 * ahead of the endpoint by CLIENT_UNSENT_LOW and what was wanted at first, the answer ahead of the client by PASSING_HELD.
 *
 *	receive of the request  → passing_body(); while it has no stream, passing_hold(), and whoever gives it one sends what it kept
 *	writable of the stream  → passing_want()
 *	receive of the stream   → passing_answer()
 *	writable of the request → passing_take()
 *
 * Threads: the loop of both.
 */
#include "net/client.h"
#include "net/request.h"

#define PASSING_HELD KIB(256) /* of an answer, that its client has not taken; then its sender waits */

struct passing {
	size_t unasked; /* bytes of the body that came, and were not asked for anew */
	size_t untaken; /* bytes of the answer given on, whose window is held back */
	bool is_whole;  /* the body's end has come, or it has none */
};

static inline void passing_hold(struct passing *p, size_t bytes)
{
	p->unasked += bytes;
}

/* p->is_whole: these are the last. */
static inline void passing_body(struct passing *p, struct request *req, struct client_stream *s, struct span bytes)
{
	if (bytes.len)
		client_write(s, bytes);
	if (p->is_whole)
		client_end(s);
	else if (client_unsent(s) > CLIENT_UNSENT_LOW)
		passing_hold(p, bytes.len);
	else
		request_want(req, bytes.len);
}

/* `req` NULL: its client has gone. */
static inline void passing_want(struct passing *p, struct request *req)
{
	size_t bytes = p->unasked;

	p->unasked = 0;
	if (req && bytes && !p->is_whole)
		request_want(req, bytes);
}

/* `req` NULL: nobody is there to read it. */
static inline void passing_answer(struct passing *p, struct request *req, struct client_stream *s, struct span bytes)
{
	if (req)
		request_write(req, bytes);
	if (req && UNLIKELY(request_unsent(req) > PASSING_HELD))
		p->untaken += bytes.len;
	else
		client_taken(s, bytes.len);
}

/* `s` NULL: it has ended. */
static inline void passing_take(struct passing *p, struct client_stream *s)
{
	size_t bytes = p->untaken;

	p->untaken = 0;
	if (s && bytes)
		client_taken(s, bytes);
}
