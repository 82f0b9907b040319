/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * played_server - for targets that give bytes to a codec of the server: the server, its worker and the connection are played by this file.
 * What is written is counted and dropped; none of the connections is another process's (net/direct_private.h).
 *
 * A target has its routes; `played` has what it may look at.
 */
#include <string.h>

#include "loop/loop.h"
#include "net/connection.h"
#include "net/direct_private.h"
#include "net/routes.h"
#include "net/server.h"
#include "net/transport.h"

enum { PLAYED_INPUT_MOST = 12 * 1024, PLAYED_OUT_MOST = 64 * 1024 * 1024 };

static struct {
	struct server_config config;
	struct routes *routes; /* NULL: played_begin() was not called yet */
	struct worker worker;
	struct worker_private more;
	struct buffer out;
	size_t written;
} played;

/* ---- the server ---- */

const struct server_config *worker_config(const struct worker *w)
{
	(void)w;
	return &played.config;
}

struct pool *worker_pool(const struct worker *w)
{
	(void)w;
	return NULL; /* nothing here is long enough to be offloaded */
}

const struct routes *worker_routes(const struct worker *w)
{
	(void)w;
	return played.routes;
}

struct span worker_date(struct worker *w)
{
	(void)w;
	return SPAN("Date: Sat, 21 Nov 2026 03:04:05 GMT\r\n");
}

static void played_begin(const struct route *const *tables)
{
	struct error err = { 0 };

	played.config.limits = (struct server_limits){
#define LIMIT_ROW(name, type, value, flag, unit, help) .name = value,
#include "net/limits.def"
#undef LIMIT_ROW
	};
	played.config.limits.body_bytes = 100000;
	played.config.limits.header_bytes = 4096;
	played.routes = routes_new(tables, &err);
	ASSERT(played.routes);
	played.worker.loop = loop_new();
	played.worker.more = &played.more;
	worker_requests_init(&played.worker);
	buffer_init(&played.out, SIZE_MAX / 2);
}

/* ---- a connection ---- */

static bool played_is_over(const struct connection *c)
{
	return c->is_closing || c->is_closed;
}

void connection_consume(struct connection *c, size_t n)
{
	ASSERT(n <= c->in.len - c->in_at);
	c->in_at += n;
}

void connection_expect(struct connection *c, size_t n)
{
	(void)c, (void)n;
}

void connection_timeout(struct connection *c, int64_t at_ns)
{
	(void)c, (void)at_ns;
}

void connection_pause_read(struct connection *c)
{
	c->is_read_paused = true;
}

void connection_resume_read(struct connection *c)
{
	if (!c->is_read_paused)
		return;
	c->is_read_paused = false;
	if (!played_is_over(c) && (c->in.len > c->in_at || c->is_eof))
		c->codec->receive(c);
}

char *connection_write_reserve(struct connection *c, size_t n)
{
	(void)c;
	buffer_clear(&played.out);
	return buffer_reserve(&played.out, n);
}

void connection_write_commit(struct connection *c, size_t n)
{
	(void)c;
	played.written += n;
	ASSERT(n <= played.out.cap);
	ASSERT(played.written < PLAYED_OUT_MOST); /* a small question has no endless answer */
}

void connection_write(struct connection *c, struct span bytes)
{
	memcpy(connection_write_reserve(c, bytes.len), bytes.ptr, bytes.len);
	connection_write_commit(c, bytes.len);
}

void connection_write_now(struct connection *c, struct span bytes)
{
	connection_write(c, bytes);
}

void connection_write_buffer(struct connection *c, struct buffer *b)
{
	(void)c;
	played.written += b->len;
	buffer_clear(b);
}

void connection_flush(struct connection *c)
{
	(void)c;
}

void connection_close(struct connection *c)
{
	c->is_closing = true;
}

void connection_abort(struct connection *c)
{
	c->is_closed = true;
}

void connection_cut(struct connection *c)
{
	c->is_closed = true;
}

void connection_turn(struct connection *c)
{
	c->is_turn_due = true;
}

/* The first byte of an input says into how many pieces the rest is cut: the bytes of one. */
static size_t played_piece(struct span *rest)
{
	size_t piece = rest->len ? rest->len / (1 + (size_t)(unsigned char)rest->ptr[0] % 8) + 1 : 0;

	if (rest->len)
		*rest = span_skip(*rest, 1);
	return piece;
}

/* The time limit, the end of the server, and the end of the connection; nothing of it is left. */
static void played_end(struct connection *c)
{
	if (!played_is_over(c)) {
		c->codec->writable(c);
		c->codec->expired(c);
		c->codec->drain(c);
	}
	c->codec->closed(c);
	ASSERT(played.worker.request_count == 0);
	buffer_done(&c->in);
}

/* ---- what other processes ask ---- */

void direct_asks(struct connection *c)
{
	ASSERT(!c->direct);
}

bool direct_holds(struct connection *c)
{
	ASSERT(!c->direct);
	return false;
}

bool direct_hands_back(struct connection *c, struct span method, struct span target)
{
	(void)method, (void)target;
	ASSERT(!c->direct);
	return false;
}

void direct_names(struct connection *c, const struct request *req)
{
	(void)req;
	ASSERT(!c->direct);
}

void direct_begins(struct connection *c)
{
	ASSERT(!c->direct);
}

void direct_over(struct worker *w)
{
	ASSERT(!w->direct);
}

void direct_answers(struct connection *c, uint64_t flags)
{
	(void)flags;
	ASSERT(!c->direct);
}

void direct_orphan_over(struct worker *w, unsigned slot)
{
	(void)slot;
	ASSERT(!w->direct);
}

void direct_count(struct direct *d, int status, int64_t ns)
{
	(void)status, (void)ns;
	ASSERT(!d);
}
