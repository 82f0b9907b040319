/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_http2 - the connection of the HTTP/2 client: its socket, nghttp2's session, and its end.
 *
 * What is opened and written in a turn of the loop is gathered, and goes out in one write at the turn's end. What comes
 * is read as long as it comes, some buffers at a time, so that other descriptors have their turn.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/client_http2_private.h"

enum { IN_SIZE = 128 * 1024, READS_PER_TURN = 8 };

/* ---- nghttp2's callbacks ---- */

static void goaway_note(struct client_http2 *c, const nghttp2_goaway *goaway)
{
	struct span words = span_from(goaway->opaque_data, goaway->opaque_data_len);

	if (words.len && !span_is_utf8(words))
		words.len = 0;
	client_refuse(c, ERROR_UNAVAILABLE, "the server takes no more requests on this connection (%s%s" SPAN_FMT ")",
		      nghttp2_http2_strerror(goaway->error_code), words.len ? ": " : "", SPAN_ARG(words));
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
	struct client_http2 *c = user_data;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		client_stream_frame(c, frame);
		break;
	case NGHTTP2_RST_STREAM:
		c->reset_id = frame->hd.stream_id;
		break;
	case NGHTTP2_SETTINGS:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			c->has_settings = true;
		break;
	case NGHTTP2_GOAWAY:
		goaway_note(c, &frame->goaway);
		break;
	}
	return c->is_freed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_complaint(nghttp2_session *session, int code, const char *text, size_t len, void *user_data)
{
	struct client_http2 *c = user_data;

	(void)session, (void)code;
	snprintf(c->complaint, sizeof(c->complaint), SPAN_FMT, SPAN_ARG(span_from(text, len)));
	return 0;
}

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;
static pthread_once_t setup_once = PTHREAD_ONCE_INIT;

static void setup(void)
{
	ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, client_on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_stream_close);
	nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, client_before_frame);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, client_send_data);
	nghttp2_session_callbacks_set_error_callback2(callbacks, on_complaint);
	ASSERT(nghttp2_option_new(&options) == 0);
	nghttp2_option_set_no_auto_window_update(options, 1);
	nghttp2_option_set_no_closed_streams(options, 1); /* they serve the old priorities only */
	nghttp2_option_set_max_reserved_remote_streams(options, 0);
}

/* ---- the end ---- */

static void destroy(struct client_http2 *c)
{
	loop_undefer(c->loop, &c->turn);
	client_streams_done(c);
	nghttp2_session_del(c->session);
	buffer_done(&c->out);
	buffer_done(&c->text);
	free(c->pairs);
	free(c->in);
	free(c);
}

static void enter(struct client_http2 *c)
{
	c->depth++;
}

/* False: the client is gone. */
static bool leave(struct client_http2 *c)
{
	if (--c->depth > 0 || !c->is_freed)
		return true;
	destroy(c);
	return false;
}

static void disconnect(struct client_http2 *c)
{
	loop_unwatch(c->loop, &c->watch);
	close(c->watch.fd);
	c->is_lost = c->is_refusing = true;
}

/* Between enter() and leave(), not inside nghttp2's callbacks. */
static void lose(struct client_http2 *c, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

static void lose(struct client_http2 *c, enum error_code code, const char *format, ...)
{
	char text[320];
	va_list args;

	if (c->is_lost || c->is_freed)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->why = (struct error){ 0 };
	error_set(&c->why, code, "%s", text);
	disconnect(c);
	client_streams_fail(c, &c->why);
	if (!c->is_freed)
		c->ops->lost(&c->base, &c->why);
}

void client_refuse(struct client_http2 *c, enum error_code code, const char *format, ...)
{
	char text[320];
	va_list args;

	if (c->is_refusing)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(&c->why, code, "%s", text);
	c->is_refusing = true;
}

/* All has been said, by one side or both. */
static void end_check(struct client_http2 *c)
{
	if (c->is_lost || c->is_freed || c->out.len)
		return;
	if (c->is_refusing && c->active == 0 && !c->waiting)
		lose(c, c->why.code, "%s", c->why.message);
	else if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
		lose(c, ERROR_INTERNAL, "the server does not keep to HTTP/2: %s", c->complaint);
}

static void lose_read(struct client_http2 *c)
{
	if (c->receive_errno)
		lose(c, ERROR_UNAVAILABLE, "the connection to the server broke: %s", strerror(c->receive_errno));
	else if (c->is_refusing)
		lose(c, c->why.code, "%s", c->why.message);
	else
		lose(c, ERROR_UNAVAILABLE, "the server closed the connection");
}

/* ---- the socket ---- */

/* Frames of nghttp2 to c->out, as many as it holds. False: the session is broken. */
static bool gather(struct client_http2 *c)
{
	while (c->out.len < CLIENT_OUT_HIGH && !c->is_freed) {
		const uint8_t *frame;
		ssize_t len = nghttp2_session_mem_send(c->session, &frame);

		if (len <= 0)
			return len == 0 || c->is_freed;
		buffer_append(&c->out, span_from(frame, (size_t)len));
		c->produced += (size_t)len;
	}
	return true;
}

static void send_some(struct client_http2 *c)
{
	ssize_t n;

	do {
		n = send(c->watch.fd, c->out.ptr, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		/* What the server has said before it went is still to be read. */
		c->is_broken = true;
		buffer_clear(&c->out);
		return;
	}
	if (n > 0) {
		c->sent += (size_t)n;
		buffer_drop(&c->out, (size_t)n);
	}
	c->is_blocked = c->out.len > 0;
	loop_watch_change(c->loop, &c->watch, LOOP_READ | (c->is_blocked ? LOOP_WRITE : 0u));
}

static void receive(struct client_http2 *c)
{
	for (int i = 0; !c->is_eof && !c->is_freed && (i < READS_PER_TURN || c->is_broken); i++) {
		ssize_t n = recv(c->watch.fd, c->in, IN_SIZE, MSG_DONTWAIT), used;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			c->is_eof = c->is_broken; /* and no one reads what we say */
			break;
		}
		if (n <= 0) {
			c->is_eof = true;
			c->receive_errno = n < 0 ? errno : 0;
			break;
		}
		used = nghttp2_session_mem_recv(c->session, (const uint8_t *)c->in, (size_t)n);
		if (used < 0 && !c->is_freed) {
			lose(c, ERROR_INTERNAL, "the server does not keep to HTTP/2: %s", nghttp2_strerror((int)used));
			break;
		}
		if (n < IN_SIZE && !c->is_broken)
			break;
	}
}

/* The end of a turn: tells, starts, sends. */
static void turn(struct loop_task *task)
{
	struct client_http2 *c = CONTAINER_OF(task, struct client_http2, turn);

	enter(c);
	client_streams_tell(c);
	if (!c->is_lost && !c->is_freed) {
		client_streams_start(c);
		if (!gather(c))
			lose(c, ERROR_INTERNAL, "the HTTP/2 session failed");
	}
	if (!c->is_lost && !c->is_freed) {
		if (c->is_broken)
			buffer_clear(&c->out);
		else if (c->out.len && !c->is_blocked)
			send_some(c);
		if (c->is_broken) {
			receive(c);
			lose_read(c);
		}
	}
	end_check(c);
	if (!c->is_lost && !c->is_freed && !c->is_blocked && nghttp2_session_want_write(c->session))
		client_wake(c); /* more than one write's worth: others first */
	(void)leave(c);
}

static void ready(struct watch *w, unsigned events)
{
	struct client_http2 *c = CONTAINER_OF(w, struct client_http2, watch);

	enter(c);
	if (events & LOOP_WRITE)
		c->is_blocked = false;
	if (events & (LOOP_READ | LOOP_HANGUP))
		receive(c);
	if (c->is_eof)
		lose_read(c);
	if (!c->is_lost && !c->is_freed)
		client_wake(c);
	(void)leave(c);
}

void client_wake(struct client_http2 *c)
{
	if (!c->is_freed)
		loop_defer(c->loop, &c->turn);
}

/* ---- life ---- */

struct client *client_new(struct loop *l, int fd, const struct client_ops *ops, void *owner)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CLIENT_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CLIENT_HEADER_BYTES },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};
	struct client_http2 *c = base_calloc(1, sizeof(*c));

	pthread_once(&setup_once, setup);
	c->loop = l;
	c->ops = ops;
	c->base = (struct client){ &client_kind_http2, owner };
	c->turn.run = turn;
	c->in = base_alloc(IN_SIZE);
	buffer_init(&c->out, SIZE_MAX / 2); /* bounded by CLIENT_OUT_HIGH and a frame */
	buffer_init(&c->text, CLIENT_HEADER_BYTES);
	(void)buffer_reserve(&c->text, CLIENT_HEADER_BYTES); /* so that it stays where it is */
	ASSERT(nghttp2_session_client_new2(&c->session, callbacks, c, options) == 0);
	ASSERT(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) == 0);
	ASSERT(nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, CLIENT_CONNECTION_WINDOW) == 0);
	loop_watch(l, &c->watch, fd, LOOP_READ, ready);
	client_wake(c);
	return &c->base;
}

static struct client_http2 *http2_of(const struct client *base)
{
	return (struct client_http2 *)base;
}

static void http2_free(struct client *base)
{
	struct client_http2 *c = http2_of(base);

	ASSERT(!c->is_freeing);
	c->is_freeing = true;
	enter(c);
	if (!c->is_lost)
		disconnect(c);
	client_streams_fail(c, NULL);
	c->is_freed = true;
	(void)leave(c);
}

static size_t http2_streams(const struct client *base)
{
	return http2_of(base)->stream_count;
}

static bool http2_is_refusing(const struct client *base)
{
	return http2_of(base)->is_refusing;
}

const struct client_kind client_kind_http2 = {
	.free = http2_free,
	.streams = http2_streams,
	.is_refusing = http2_is_refusing,
	.is_full = client_http2_is_full,
	.open = client_http2_open,
	.has_heard = client_http2_has_heard,
	.write = client_http2_write,
	.end = client_http2_end,
	.unsent = client_http2_unsent,
	.taken = client_http2_taken,
	.reset = client_http2_reset,
};
