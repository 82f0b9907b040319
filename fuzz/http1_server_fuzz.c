/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_server_fuzz - bytes to the HTTP/1.1 codec and from there to requests: whole bodies, bodies as they come, answers
 * in parts, upgrades, pipelines.
 *
 * The connection and the server are played by this file: what is written is counted and dropped. The input's first byte
 * says into how many pieces the rest is cut.
 */
#include <stdlib.h>
#include <string.h>

#include "net/routes.h"
#include "net/transport.h"
#include "own_connections.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MOST = 12 * 1024, OUT_MOST = 64 * 1024 * 1024 };

static size_t written, given, taken;

static void echo(struct request *req)
{
	buffer_append(&req->out, req->body);
	request_send(req, 200, req->content_type);
}

static void stream_receive(struct request *req, struct span bytes, bool is_last)
{
	taken += bytes.len;
	ASSERT(taken <= given);
	request_write(req, bytes);
	if (is_last) {
		request_end(req, &(struct header){ SPAN_INIT("x-end"), SPAN_INIT("1") }, bytes.len & 1);
	} else if (bytes.len == 13) {
		request_cut(req);
	} else {
		given += 13;
		request_want(req, 13);
	}
}

static void stream_gone(struct request *req, const struct error *why)
{
	ASSERT(request_owner(req) == &written && why->code);
}

static const struct request_flow flow = { stream_receive, NULL, stream_gone };

static void stream(struct request *req)
{
	given = taken = 0;
	request_open(req, &flow, &written);
	request_head(req, 200, SPAN("Fine"), req->headers, req->header_count);
	given = 7;
	request_want(req, 7);
}

/* Wants all, and answers by its head alone. */
static void early(struct request *req)
{
	given = taken = 0;
	request_open(req, &flow, &written);
	request_head(req, req->upgrade.len ? 403 : 204, SPAN(""), NULL, 0);
	request_end(req, NULL, 0);
}

static const struct surface surface = { "fuzz", fail_as_json_error };
static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/", echo, &surface, ROUTE_HTTP },
	{ METHOD_GET | METHOD_POST, "/early", early, &surface, ROUTE_STREAM },
	{ METHOD_GET, "*", stream, &surface, ROUTE_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

static struct server_config config;
static struct routes *routes;
static struct worker worker;
static struct worker_private more;
static struct buffer out;

const struct server_config *worker_config(const struct worker *w)
{
	(void)w;
	return &config;
}

struct pool *worker_pool(const struct worker *w)
{
	(void)w;
	return NULL; /* nothing here is long enough to be offloaded */
}

const struct routes *worker_routes(const struct worker *w)
{
	(void)w;
	return routes;
}

struct span worker_date(struct worker *w)
{
	(void)w;
	return SPAN("Date: Sat, 21 Nov 2026 03:04:05 GMT\r\n");
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
	if (!c->is_closed && !c->is_closing && (c->in.len > c->in_at || c->is_eof))
		codec_http1.receive(c);
}

char *connection_write_reserve(struct connection *c, size_t n)
{
	(void)c;
	buffer_clear(&out);
	return buffer_reserve(&out, n);
}

void connection_write_commit(struct connection *c, size_t n)
{
	(void)c;
	written += n;
	ASSERT(n <= out.cap && written < OUT_MOST); /* a small question has no endless answer */
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
	written += b->len;
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

static void setup(void)
{
	struct error err = { 0 };

	config.limits = (struct server_limits){
#define LIMIT_ROW(name, type, value, flag, unit, help) .name = value,
#include "net/limits.def"
#undef LIMIT_ROW
	};
	config.limits.body_bytes = 100000;
	config.limits.header_bytes = 4096;
	routes = routes_new(tables, &err);
	ASSERT(routes);
	worker.loop = loop_new();
	worker.more = &more;
	worker_requests_init(&worker);
	buffer_init(&out, SIZE_MAX / 2);
}

static bool is_over(const struct connection *c)
{
	return c->is_closing || c->is_closed;
}

/* The bytes arrive when there is room for them, or the client has gone. */
static void feed(struct connection *c, struct span bytes)
{
	struct buffer whole;

	if (is_over(c))
		return;
	/* A buffer of its own size each time: whoever reads over the end is seen. */
	buffer_init(&whole, SIZE_MAX / 2);
	buffer_append(&whole, connection_unread(c));
	buffer_append(&whole, bytes);
	buffer_done(&c->in);
	c->in = whole;
	c->in_at = 0;
	codec_http1.receive(c);
	for (int i = 0; i < 1000 && c->is_turn_due && !is_over(c); i++) {
		c->is_turn_due = false;
		codec_http1.turn(c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_from(data, len < INPUT_MOST ? len : INPUT_MOST);
	struct connection c = { .worker = &worker };
	size_t piece;

	if (!routes)
		setup();
	written = 0;
	buffer_init(&c.in, SIZE_MAX / 2);
	codec_http1.open(&c);
	piece = rest.len ? rest.len / (1 + (size_t)(unsigned char)rest.ptr[0] % 8) + 1 : 0;
	if (rest.len)
		rest = span_skip(rest, 1);
	while (rest.len && !is_over(&c) && !c.is_read_paused) {
		struct span now = span_first(rest, piece);

		feed(&c, now);
		rest = span_skip(rest, now.len);
	}
	if (!is_over(&c)) {
		c.is_eof = true;
		if (!c.is_read_paused)
			codec_http1.receive(&c);
	}
	if (!is_over(&c)) {
		codec_http1.writable(&c);
		codec_http1.expired(&c);
		codec_http1.drain(&c);
	}
	codec_http1.closed(&c);
	ASSERT(worker.request_count == 0);
	buffer_done(&c.in);
	return 0;
}
