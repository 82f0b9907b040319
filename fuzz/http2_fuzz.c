/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_fuzz - frames to the HTTP/2 codec and from there to requests: HPACK, targets, bodies, gRPC messages.
 *
 * The input is what follows the client's preface and first SETTINGS; its first byte says into how many pieces it is cut.
 */
#include "played_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

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
	ASSERT(request_owner(req) == &played && why->code);
}

static void stream(struct request *req)
{
	static const struct request_flow flow = { stream_receive, NULL, stream_gone };

	request_open(req, &flow, &played);
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

static void feed(struct connection *c, struct span bytes)
{
	if (played_is_over(c))
		return;
	buffer_append(&c->in, bytes);
	codec_http2.receive(c);
	for (int i = 0; i < 3 && c->is_turn_due && !played_is_over(c); i++) {
		c->is_turn_due = false;
		codec_http2.turn(c);
	}
	buffer_drop(&c->in, c->in_at);
	c->in_at = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct span rest = span_from(data, len < PLAYED_INPUT_MOST ? len : PLAYED_INPUT_MOST);
	struct connection c = { .worker = &played.worker, .codec = &codec_http2 };
	size_t piece;

	if (!played.routes) {
		played_begin(tables);
		played.config.compression = true;
		played.config.compression_least = 100;
		played.config.cors_origin = "*";
	}
	played.written = 0;
	buffer_init(&c.in, SIZE_MAX / 2);
	codec_http2.open(&c);
	feed(&c, span_from(start, sizeof(start) - 1));
	piece = played_piece(&rest);
	while (rest.len) {
		struct span now = span_first(rest, piece);

		feed(&c, now);
		rest = span_skip(rest, now.len);
	}
	played_end(&c);
	return 0;
}
