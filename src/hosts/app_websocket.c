/* SPDX-License-Identifier: Apache-2.0 */
/* app_websocket - messages of a WebSocket, on the loop. Pings are answered, and one message is read ahead. */
#include <stdlib.h>

#include "hosts/app_private.h"

#define CLOSE_PATIENCE_NS INT64_C(5000000000) /* for the client's own close frame */
#define READ_STEP         KIB(16)

void socket_new(hythe_exchange *x)
{
	struct app_websocket *s = base_calloc(1, sizeof(*s));

	websocket_init(&s->frames, x->app->host->app.message_limit);
	buffer_init(&s->raw, MIB(1));
	buffer_init(&s->held, x->app->host->app.message_limit);
	s->exchange = x;
	x->socket = s;
}

void socket_free(hythe_exchange *x)
{
	if (!x->socket)
		return;
	websocket_done(&x->socket->frames);
	buffer_done(&x->socket->raw);
	buffer_done(&x->socket->held);
	free(x->socket);
}

static void frame_send(hythe_exchange *x, int opcode, struct span payload)
{
	struct buffer out;

	buffer_init(&out, KIB(1));
	websocket_write(&out, opcode, payload);
	request_write(x->req, buffer_span(&out));
	buffer_done(&out);
}

static void close_send(hythe_exchange *x, int code, struct span reason)
{
	struct buffer out;

	x->socket->is_closing = true;
	buffer_init(&out, KIB(1));
	websocket_write_close(&out, code, reason);
	request_write(x->req, buffer_span(&out));
	buffer_done(&out);
}

static void socket_end(hythe_exchange *x)
{
	loop_timer_clear(x->app->loop, &x->socket->patience);
	request_end(x->req, NULL, 0);
	exchange_done(x);
}

static void deliver(hythe_exchange *x)
{
	struct app_websocket *s = x->socket;

	if (!s->held_kind || !s->wanted)
		return;
	s->wanted--;
	event_push(x->app, x, s->held_kind, buffer_span(&s->held), true, 0);
	s->held_kind = 0;
	buffer_clear(&s->held);
}

/* The client closes, or breaks the rules: answered in kind, and over. */
static void closed(hythe_exchange *x, int code, struct span reason, bool is_failure)
{
	event_push(x->app, x, HYTHE_EVENT_CLOSED, reason, true, code);
	if (!x->socket->is_closing)
		close_send(x, !is_failure && code == 1005 ? 1000 : code, SPAN(""));
	socket_end(x);
}

/* Reads frames until a message is held or the bytes are used up. False when the exchange is over. */
static bool frames_read(hythe_exchange *x)
{
	struct app_websocket *s = x->socket;

	while (!s->held_kind) {
		struct span message;
		size_t used = 0;
		int code = 0;
		enum websocket_event event = websocket_read(&s->frames, buffer_span(&s->raw), &used, &message, &code);

		buffer_drop(&s->raw, used);
		switch (event) {
		case WEBSOCKET_MORE:
			return true;
		case WEBSOCKET_TEXT:
		case WEBSOCKET_BINARY:
			if (s->is_closing)
				break;
			buffer_append(&s->held, message);
			s->held_kind = event == WEBSOCKET_TEXT ? HYTHE_EVENT_TEXT : HYTHE_EVENT_BYTES;
			deliver(x);
			break;
		case WEBSOCKET_PING:
			frame_send(x, WEBSOCKET_OP_PONG, message);
			break;
		case WEBSOCKET_PONG:
			break;
		case WEBSOCKET_CLOSE:
			closed(x, code, message, false);
			return false;
		case WEBSOCKET_FAILED:
			closed(x, code, SPAN(""), true);
			return false;
		}
	}
	return true;
}

void socket_receive(hythe_exchange *x, struct span bytes, bool is_last)
{
	buffer_append(&x->socket->raw, bytes);
	if (!frames_read(x))
		return;
	if (is_last) {
		closed(x, 1006, SPAN(""), false);
		return;
	}
	if (!x->socket->held_kind)
		request_want(x->req, READ_STEP);
}

void socket_opened(hythe_exchange *x)
{
	request_want(x->req, READ_STEP);
}

void socket_want(hythe_exchange *x, size_t messages)
{
	struct app_websocket *s = x->socket;
	bool was_held = s->held_kind != 0;

	s->wanted += messages;
	deliver(x);
	/* Reading stops while a message is held, and goes on here. */
	if (was_held && !s->held_kind && frames_read(x) && !s->held_kind)
		request_want(x->req, READ_STEP);
}

static void patience_ends(struct timer *t)
{
	struct app_websocket *s = CONTAINER_OF(t, struct app_websocket, patience);

	socket_end(s->exchange);
}

void socket_close(hythe_exchange *x, int code, struct span reason)
{
	struct app_websocket *s = x->socket;

	if (s->is_closing)
		return;
	close_send(x, code, reason);
	s->held_kind = 0;
	buffer_clear(&s->held);
	loop_timer_set(x->app->loop, &s->patience, loop_now(x->app->loop) + CLOSE_PATIENCE_NS, patience_ends);
	if (frames_read(x))
		request_want(x->req, READ_STEP);
}
