/* SPDX-License-Identifier: Apache-2.0 */
/* app_websocket - messages of a WebSocket, on the loop. Pings are answered, and one message is read ahead. */
#include <stdlib.h>

#include "hosts/app_private.h"

#define CLOSE_PATIENCE_NS INT64_C(5000000000) /* for the client's own close frame */
#define READ_AHEAD        KIB(64)

void socket_new(hythe_exchange *x)
{
	struct app_websocket *s = base_calloc(1, sizeof(*s));

	websocket_init(&s->frames, x->app->host->app.message_limit);
	buffer_init(&s->raw, 2 * READ_AHEAD); /* never more than was asked for */
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

static void held_clear(struct app_websocket *s)
{
	s->held_kind = 0;
	buffer_clear(&s->held);
	buffer_shrink(&s->held, READ_AHEAD);
}

static void held_deliver(hythe_exchange *x)
{
	struct app_websocket *s = x->socket;

	if (!s->held_kind || !s->wanted)
		return;
	s->wanted--;
	event_push(x->app, x, s->held_kind, buffer_span(&s->held), true, 0);
	held_clear(s);
}

static void message_take(hythe_exchange *x, int kind, struct span message)
{
	struct app_websocket *s = x->socket;

	if (s->wanted) {
		s->wanted--;
		event_push(x->app, x, kind, message, true, 0);
	} else {
		buffer_append(&s->held, message);
		s->held_kind = kind;
	}
}

/* The client closes, or breaks the rules: answered in kind, and over. */
static void closed(hythe_exchange *x, int code, struct span reason)
{
	event_push(x->app, x, HYTHE_EVENT_CLOSED, reason, true, code);
	if (!x->socket->is_closing)
		close_send(x, code, SPAN(""));
	exchange_done(x, false);
}

/* The connection ends without a close frame, which nobody would read now (RFC 6455 7.1.5: 1006, never on the wire). */
static void broken_off(hythe_exchange *x)
{
	event_push(x->app, x, HYTHE_EVENT_CLOSED, SPAN(""), true, 1006);
	exchange_done(x, false);
}

/* Reads frames until a message is held or the bytes are used up. False when the exchange is over. */
static bool frames_read(hythe_exchange *x)
{
	struct app_websocket *s = x->socket;

	while (!s->held_kind) {
		struct span message;
		struct span rest = span_from(s->raw.ptr + s->raw_at, s->raw.len - s->raw_at);
		size_t used = 0;
		int code = 0;
		enum websocket_event event = websocket_read(&s->frames, rest, &used, &message, &code);

		s->raw_at += used;
		switch (event) {
		case WEBSOCKET_MORE:
			return true;
		case WEBSOCKET_TEXT:
		case WEBSOCKET_BINARY:
			if (!s->is_closing)
				message_take(x, event == WEBSOCKET_TEXT ? HYTHE_EVENT_TEXT : HYTHE_EVENT_BYTES,
					     message);
			break;
		case WEBSOCKET_PING:
			if (!s->is_closing)
				frame_send(x, WEBSOCKET_OP_PONG, message);
			break;
		case WEBSOCKET_PONG:
			break;
		case WEBSOCKET_CLOSE:
			closed(x, code, message);
			return false;
		case WEBSOCKET_FAILED:
			closed(x, code, SPAN(""));
			return false;
		}
	}
	return true;
}

/* Asks for as many bytes as have come, so that no more than READ_AHEAD are ever under way. */
static void more_want(hythe_exchange *x)
{
	struct app_websocket *s = x->socket;
	size_t due = s->due;

	buffer_drop(&s->raw, s->raw_at);
	s->raw_at = 0;
	if (s->held_kind)
		return; /* what came before the client's end is still read, then it counts */
	if (s->is_at_end) {
		broken_off(x);
		return;
	}
	if (!due)
		return;
	s->due = 0;
	request_want(x->req, due);
}

void socket_receive(hythe_exchange *x, struct span bytes, bool is_last)
{
	struct app_websocket *s = x->socket;

	buffer_append(&s->raw, bytes);
	s->due += bytes.len;
	s->is_at_end = is_last;
	if (frames_read(x))
		more_want(x);
}

void socket_opened(hythe_exchange *x)
{
	request_want(x->req, READ_AHEAD);
}

void socket_want(hythe_exchange *x, size_t messages)
{
	struct app_websocket *s = x->socket;
	bool was_held = s->held_kind != 0;

	s->wanted += messages;
	held_deliver(x);
	/* Reading stops while a message is held, and goes on here. */
	if (was_held && !s->held_kind && frames_read(x))
		more_want(x);
}

static void patience_ends(struct timer *t)
{
	struct app_websocket *s = CONTAINER_OF(t, struct app_websocket, patience);

	broken_off(s->exchange);
}

void socket_close(hythe_exchange *x, int code, struct span reason)
{
	struct app_websocket *s = x->socket;

	if (s->is_closing)
		return;
	close_send(x, code, reason);
	held_clear(s);
	loop_timer_set(x->app->loop, &s->patience, loop_now(x->app->loop) + CLOSE_PATIENCE_NS, patience_ends);
	if (frames_read(x))
		more_want(x);
}
