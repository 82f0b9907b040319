/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_fuzz - frames to the HTTP/2 codec and from there to requests: HPACK, targets, bodies, gRPC messages.
 *
 * The connection and the server are played by this file: what is written is counted and dropped. The input is what
 * follows the client's preface and first SETTINGS; its first byte says into how many pieces it is cut.
 */
#include <string.h>

#include "loop/loop.h"
#include "net/connection.h"
#include "net/routes.h"
#include "net/server.h"
#include "own_connections.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MOST = 12 * 1024, OUT_MOST = 64 * 1024 * 1024 };

static void echo(struct request *req)
{
	struct span value;

	(void)request_query(req, SPAN("a"), &value);
	(void)request_traceparent(req);
	buffer_append(&req->out, req->body);
	request_send(req, 200, req->content_type);
}

static void chat(struct request *req)
{
	if (req->is_end) {
		request_send(req, 200, (struct span){ NULL, 0 });
		return;
	}
	buffer_append(&req->out, req->body);
	request_send_part(req);
}

static size_t written;

static void stream_receive(struct request *req, struct span bytes, bool is_last)
{
	request_write(req, bytes);
	if (is_last)
		request_end(req, &(struct header){ SPAN_INIT("x-end"), SPAN_INIT("1") }, bytes.len & 1);
	else if (bytes.len > 100)
		request_cut(req);
	else
		request_want(req, 7);
}

static void stream_gone(struct request *req, const struct error *why)
{
	ASSERT(request_owner(req) == &written && why->code);
}

static void stream(struct request *req)
{
	static const struct request_flow flow = { stream_receive, NULL, stream_gone };

	request_open(req, &flow, &written);
	request_head(req, 200, SPAN("Fine"), req->headers, req->header_count);
	request_want(req, 7);
}

static const struct surface surface = { "fuzz", fail_as_json_error };
static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/", echo, &surface, ROUTE_HTTP },
	{ METHOD_POST, "/echo/{name}:do", echo, &surface, ROUTE_HTTP },
	{ METHOD_POST, "/t.T/Echo", echo, &surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Chat", chat, &surface, ROUTE_GRPC_STREAM },
	{ METHOD_GET, "*", stream, &surface, ROUTE_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

static struct server_config config;
static struct routes *routes;
static struct worker worker;
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

void connection_timeout(struct connection *c, int64_t at_ns)
{
	(void)c, (void)at_ns;
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
	ASSERT(written < OUT_MOST); /* a small question has no endless answer */
}

void connection_write(struct connection *c, struct span bytes)
{
	memcpy(connection_write_reserve(c, bytes.len), bytes.ptr, bytes.len);
	connection_write_commit(c, bytes.len);
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
	config.compression = true;
	config.compression_least = 100;
	config.cors_origin = "*";
	routes = routes_new(tables, &err);
	ASSERT(routes);
	worker.loop = loop_new();
	worker_requests_init(&worker);
	buffer_init(&out, SIZE_MAX / 2);
}

static void feed(struct connection *c, struct span bytes)
{
	if (c->is_closing || c->is_closed)
		return;
	buffer_append(&c->in, bytes);
	codec_http2.receive(c);
	for (int i = 0; i < 3 && c->is_turn_due && !c->is_closing && !c->is_closed; i++) {
		c->is_turn_due = false;
		codec_http2.turn(c);
	}
	buffer_drop(&c->in, c->in_at);
	c->in_at = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct span rest = span_from(data, len < INPUT_MOST ? len : INPUT_MOST);
	struct connection c = { .worker = &worker };
	size_t piece;

	if (!routes)
		setup();
	written = 0;
	buffer_init(&c.in, SIZE_MAX / 2);
	codec_http2.open(&c);
	feed(&c, span_from(start, sizeof(start) - 1));
	piece = rest.len ? rest.len / (1 + (size_t)(unsigned char)rest.ptr[0] % 8) + 1 : 0;
	if (rest.len)
		rest = span_skip(rest, 1);
	while (rest.len) {
		struct span now = span_first(rest, piece);

		feed(&c, now);
		rest = span_skip(rest, now.len);
	}
	if (!c.is_closing && !c.is_closed) {
		codec_http2.writable(&c);
		codec_http2.expired(&c);
		codec_http2.drain(&c);
	}
	codec_http2.closed(&c);
	ASSERT(worker.request_count == 0);
	buffer_done(&c.in);
	return 0;
}
