/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_server_fuzz - bytes to the HTTP/1.1 codec and from there to requests: whole bodies, bodies as they come, answers
 * in parts, upgrades, pipelines.
 *
 * The input's first byte says into how many pieces the rest is cut.
 */
#include "played_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t given, taken;

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
	ASSERT(request_owner(req) == &played && why->code);
}

static const struct request_flow flow = { stream_receive, NULL, stream_gone };

static void stream(struct request *req)
{
	given = taken = 0;
	request_open(req, &flow, &played);
	request_head(req, 200, SPAN("Fine"), req->headers, req->header_count);
	given = 7;
	request_want(req, 7);
}

/* Wants all, and answers by its head alone. */
static void early(struct request *req)
{
	given = taken = 0;
	request_open(req, &flow, &played);
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

/* The bytes arrive when there is room for them, or the client has gone. */
static void feed(struct connection *c, struct span bytes)
{
	struct buffer whole;

	if (played_is_over(c))
		return;
	/* A buffer of its own size each time: whoever reads over the end is seen. */
	buffer_init(&whole, SIZE_MAX / 2);
	buffer_append(&whole, connection_unread(c));
	buffer_append(&whole, bytes);
	buffer_done(&c->in);
	c->in = whole;
	c->in_at = 0;
	codec_http1.receive(c);
	for (int i = 0; i < 1000 && c->is_turn_due && !played_is_over(c); i++) {
		c->is_turn_due = false;
		codec_http1.turn(c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_from(data, len < PLAYED_INPUT_MOST ? len : PLAYED_INPUT_MOST);
	struct connection c = { .worker = &played.worker, .codec = &codec_http1 };
	size_t piece;

	if (!played.routes)
		played_begin(tables);
	played.written = 0;
	buffer_init(&c.in, SIZE_MAX / 2);
	codec_http1.open(&c);
	piece = played_piece(&rest);
	while (rest.len && !played_is_over(&c) && !c.is_read_paused) {
		struct span now = span_first(rest, piece);

		feed(&c, now);
		rest = span_skip(rest, now.len);
	}
	if (!played_is_over(&c)) {
		c.is_eof = true;
		if (!c.is_read_paused)
			codec_http1.receive(&c);
	}
	played_end(&c);
	return 0;
}
