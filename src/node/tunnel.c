/* SPDX-License-Identifier: Apache-2.0 */
#include "node/tunnel.h"

enum { CLOSE_NORMAL = 1000, CLOSE_NO_CODE = 1005 };

static void forget(struct tunnel *t)
{
	t->req = NULL;
	if (t->is_websocket)
		websocket_done(&t->websocket);
}

static void send(struct tunnel *t, struct buffer *frame)
{
	request_write(t->req, buffer_span(frame));
	buffer_done(frame);
}

/* The client has said or shown that it is done. */
static void over(struct tunnel *t, int code)
{
	struct request *req = t->req;
	struct buffer frame;

	if (t->is_websocket && code) {
		buffer_init(&frame, KIB(1));
		websocket_write_close(&frame, code == CLOSE_NO_CODE ? CLOSE_NORMAL : code, (struct span){ 0 });
		send(t, &frame);
	}
	forget(t);
	request_end(req, NULL, 0);
	t->ended(t);
}

static void frames_read(struct tunnel *t, struct span bytes)
{
	while (t->req) {
		struct span message = { 0 };
		struct buffer pong;
		size_t used = 0;
		int code = 0;

		switch (websocket_read(&t->websocket, bytes, &used, &message, &code)) {
		case WEBSOCKET_MORE:
			return;
		case WEBSOCKET_TEXT:
		case WEBSOCKET_BINARY:
			t->receive(t, message);
			break;
		case WEBSOCKET_PING:
			buffer_init(&pong, KIB(1));
			websocket_write(&pong, WEBSOCKET_OP_PONG, message);
			send(t, &pong);
			break;
		case WEBSOCKET_PONG:
			break;
		case WEBSOCKET_CLOSE:
		case WEBSOCKET_FAILED:
			over(t, code);
			return;
		}
		bytes = span_skip(bytes, used);
	}
}

static void receive(struct request *req, struct span bytes, bool is_last)
{
	struct tunnel *t = request_owner(req);

	if (t->is_websocket)
		frames_read(t, bytes);
	else if (bytes.len)
		t->receive(t, bytes);
	if (!t->req)
		return;
	if (is_last) {
		over(t, 0);
		return;
	}
	t->owed += bytes.len;
	tunnel_pause(t, t->is_paused);
}

static void writable(struct request *req)
{
	struct tunnel *t = request_owner(req);

	if (t->writable)
		t->writable(t);
}

static void gone(struct request *req, const struct error *why)
{
	struct tunnel *t = request_owner(req);

	(void)why;
	forget(t);
	t->ended(t);
}

void tunnel_accept(struct tunnel *t, struct request *req, struct span protocol_header, struct span protocol)
{
	static const struct request_flow flow = { .receive = receive, .writable = writable, .gone = gone };
	const struct header header = { protocol_header, protocol };

	t->req = req;
	t->is_websocket = span_equal(req->upgrade, SPAN("websocket"));
	if (t->is_websocket)
		websocket_init(&t->websocket, TUNNEL_MESSAGE_MOST);
	request_open(req, &flow, t);
	request_head(req, 200, (struct span){ 0 }, &header, protocol.len > 0);
	if (t->req)
		request_want(req, TUNNEL_WINDOW);
}

void tunnel_pause(struct tunnel *t, bool is_paused)
{
	size_t owed = t->owed;

	t->is_paused = is_paused;
	if (is_paused || !owed || !t->req)
		return;
	t->owed = 0;
	request_want(t->req, owed);
}

void tunnel_write(struct tunnel *t, struct span first, struct span second)
{
	struct buffer message, frame;

	if (!t->req)
		return;
	if (!t->is_websocket) {
		request_write(t->req, first);
		request_write(t->req, second);
		return;
	}
	buffer_init(&message, SIZE_MAX / 2);
	buffer_init(&frame, SIZE_MAX / 2);
	buffer_append(&message, first);
	buffer_append(&message, second);
	websocket_write(&frame, WEBSOCKET_OP_BINARY, buffer_span(&message));
	buffer_done(&message);
	send(t, &frame);
}

bool tunnel_is_full(const struct tunnel *t)
{
	return t->req && request_unsent(t->req) > TUNNEL_UNSENT_HIGH;
}

void tunnel_end(struct tunnel *t)
{
	struct request *req = t->req;
	struct buffer frame;

	if (!req)
		return;
	if (t->is_websocket) {
		buffer_init(&frame, KIB(1));
		websocket_write_close(&frame, CLOSE_NORMAL, (struct span){ 0 });
		send(t, &frame);
	}
	forget(t);
	request_end(req, NULL, 0);
}
