/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote - exec and attach: standard input, output, errors, an error channel and one for the size of the terminal, between a client and a
 * process. Over a WebSocket a channel is the first byte of each message; over SPDY it is a stream with the header "streamtype".
 *
 * The forms, newest first (the protocol is chosen by the client's order):
 *	v5  as v4, and a message {255, channel} closes a channel
 *	v4  how it ended is a Status in JSON on the error channel
 *	v3, v2, v1, none  how it failed is a text on the error channel; v3 and later have the size
 */
#include "node/streams_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kube/kube.h"
#include "net/spdy.h"
#include "wire/json.h"

enum channel { CHANNEL_IN, CHANNEL_OUT, CHANNEL_ERR, CHANNEL_ERROR, CHANNEL_RESIZE, CHANNELS, CHANNEL_CLOSE = 255 };

#define STREAMS_WAIT_NS (INT64_C(30) * 1000000000) /* for the streams that a SPDY client has to open */
#define EARLY_MOST      MIB(1)
#define REST_WAIT_NS    (INT64_C(2) * 1000000000) /* after the exit, for what others still hold open */

struct remote {
	struct session session;
	struct tunnel tunnel;
	struct spdy *spdy;      /* NULL: a WebSocket */
	uint32_t ids[CHANNELS]; /* of SPDY's streams; 0: not open */
	bool has_channel[CHANNELS];
	int version;
	bool is_attach, has_terminal, was_started, is_ready, has_exited, has_told;
	int exit_code;
	struct span *command;
	size_t command_count;
	struct span stream; /* the runtime's name for the exec; in the arena */
	int columns, rows;
	struct sink in;
	struct buffer early; /* input from before the command has begun: as much as the window lets through */
	bool has_early_end;
	struct source out, err;
	size_t owed_out, owed_err; /* of what it wrote before it exited, not read yet */
	struct timer timer;
};

static struct remote *remote_of(struct session *s)
{
	return (struct remote *)s;
}

/* ---- to the client ---- */

static void channel_write(struct remote *r, enum channel channel, struct span bytes, bool is_end)
{
	char byte = (char)channel;
	struct buffer frame;

	if (!r->spdy) {
		if (bytes.len)
			tunnel_write(&r->tunnel, span_from(&byte, 1), bytes);
		return;
	}
	if (!r->ids[channel])
		return;
	buffer_init(&frame, SIZE_MAX / 2);
	spdy_write_data(&frame, r->ids[channel], bytes, is_end);
	tunnel_write(&r->tunnel, buffer_span(&frame), (struct span){ 0 });
	buffer_done(&frame);
}

static void release(struct remote *r)
{
	loop_timer_clear(r->session.streams->loop, &r->timer);
	sink_done(&r->in);
	source_done(&r->out);
	source_done(&r->err);
	session_end(&r->session);
}

static void hang_up(struct remote *r)
{
	struct buffer frame;

	if (r->spdy && r->tunnel.req) {
		buffer_init(&frame, KIB(1));
		for (int i = CHANNEL_OUT; i <= CHANNEL_ERR; i++)
			if (r->ids[i])
				spdy_write_data(&frame, r->ids[i], (struct span){ 0 }, true);
		spdy_write_goaway(r->spdy, &frame);
		tunnel_write(&r->tunnel, buffer_span(&frame), (struct span){ 0 });
		buffer_done(&frame);
	}
	tunnel_end(&r->tunnel);
	release(r);
}

/* How it ended, as v4 has it: success, an exit code (reason NonZeroExitCode), or a failure of ours (InternalError). */
static void verdict_print(struct buffer *out, int exit_code, const char *failure)
{
	struct json_writer w = json_writer(out);
	char text[640];

	json_open_object(&w);
	json_key(&w, SPAN("metadata"));
	json_open_object(&w);
	json_close_object(&w);
	json_key(&w, SPAN("status"));
	json_string(&w, !failure && !exit_code ? SPAN("Success") : SPAN("Failure"));
	if (failure || exit_code) {
		if (failure)
			(void)snprintf(text, sizeof(text), "Internal error occurred: %s", failure);
		else
			(void)snprintf(text, sizeof(text), "command terminated with non-zero exit code: exit status %d",
				       exit_code);
		json_key(&w, SPAN("message"));
		json_string(&w, span_of(text));
		json_key(&w, SPAN("reason"));
		json_string(&w, failure ? SPAN("InternalError") : SPAN("NonZeroExitCode"));
		json_key(&w, SPAN("details"));
		json_open_object(&w);
		json_key(&w, SPAN("causes"));
		json_open_array(&w);
		json_open_object(&w);
		if (!failure) {
			json_key(&w, SPAN("reason"));
			json_string(&w, SPAN("ExitCode"));
			(void)snprintf(text, sizeof(text), "%d", exit_code);
		}
		json_key(&w, SPAN("message"));
		json_string(&w, failure ? span_of(failure) : span_of(text));
		json_close_object(&w);
		json_close_array(&w);
		json_close_object(&w);
	}
	if (failure) {
		json_key(&w, SPAN("code"));
		json_int64(&w, 500);
	}
	json_close_object(&w);
}

static void finish(struct remote *r, int exit_code, const char *failure)
{
	struct buffer text;

	if (r->has_told)
		return;
	r->has_told = true;
	buffer_init(&text, KIB(16));
	if (r->version >= 4)
		verdict_print(&text, exit_code, failure);
	else if (failure)
		buffer_print(&text, "%s", failure);
	else if (exit_code)
		buffer_print(&text, "command terminated with exit code %d", exit_code);
	channel_write(r, CHANNEL_ERROR, buffer_span(&text), true);
	buffer_done(&text);
	hang_up(r);
}

/* ---- from the process ---- */

/* All it wrote has been read, and how it ended is known: or others hold its output open, for whom we do not wait long (rest_is_late()). */
static void finish_when_whole(struct remote *r)
{
	if (r->out.fd < 0 && r->err.fd < 0 && (r->is_attach || r->has_exited))
		finish(r, r->exit_code, NULL);
}

static void relay(struct remote *r, struct source *s, enum channel channel, struct span bytes, bool is_end)
{
	size_t *owed = s == &r->out ? &r->owed_out : &r->owed_err;

	*owed = is_end ? 0 : *owed - MIN(*owed, bytes.len);
	if (is_end) {
		finish_when_whole(r);
		return;
	}
	channel_write(r, channel, bytes, false);
	if (tunnel_is_full(&r->tunnel))
		source_pause(s, true);
}

static void out_take(struct source *s, struct span bytes, bool is_end)
{
	relay(CONTAINER_OF(s, struct remote, out), s, CHANNEL_OUT, bytes, is_end);
}

static void err_take(struct source *s, struct span bytes, bool is_end)
{
	relay(CONTAINER_OF(s, struct remote, err), s, CHANNEL_ERR, bytes, is_end);
}

/* A client that reads slowly is waited for: what was written before the exit is its. */
static void rest_is_late(struct timer *t)
{
	struct remote *r = CONTAINER_OF(t, struct remote, timer);
	struct loop *loop = r->session.streams->loop;

	if (r->owed_out || r->owed_err)
		loop_timer_set(loop, t, loop_now(loop) + REST_WAIT_NS, rest_is_late);
	else
		finish(r, r->exit_code, NULL);
}

static void session_free_remote(struct session *s);

void remote_exited(struct session *s, struct span stream, int exit_code)
{
	struct remote *r = remote_of(s);

	if (s->free != session_free_remote || r->is_attach || !r->stream.len || !span_equal(r->stream, stream))
		return;
	r->has_exited = true;
	r->exit_code = exit_code;
	r->owed_out = source_unread(&r->out);
	r->owed_err = source_unread(&r->err);
	loop_timer_set(s->streams->loop, &r->timer, loop_now(s->streams->loop) + REST_WAIT_NS, rest_is_late);
	finish_when_whole(r);
}

/* ---- to the process ---- */

static void in_drained(struct sink *s)
{
	tunnel_pause(&CONTAINER_OF(s, struct remote, in)->tunnel, false);
}

static void size_set(struct remote *r)
{
	if (r->is_ready && r->has_terminal && r->columns > 0)
		runtime_resize(r->session.streams->runtime, r->session.uid, r->session.container, r->session.attempt,
			       r->stream, r->columns, r->rows);
}

/* {"Width":80,"Height":24} */
static void size_read(struct remote *r, struct span text)
{
	struct arena arena;
	struct error err = { 0 };
	struct value v;

	arena_init(&arena, KIB(64));
	if (value_parse(text, NULL, &arena, &v, &err)) {
		r->columns = (int)MIN(value_find_int(&v, "Width", 0), UINT16_MAX);
		r->rows = (int)MIN(value_find_int(&v, "Height", 0), UINT16_MAX);
		size_set(r);
	}
	arena_done(&arena);
}

static void channel_take(struct remote *r, enum channel channel, struct span bytes, bool is_end)
{
	if (channel == CHANNEL_RESIZE && bytes.len)
		size_read(r, bytes);
	if (channel != CHANNEL_IN)
		return;
	if (!r->is_ready) {
		buffer_append(&r->early, bytes);
		r->has_early_end |= is_end;
		if (r->early.overflow)
			finish(r, 0, "the client sent more than 1 MiB before the command had begun");
		return;
	}
	if (bytes.len && !sink_write(&r->in, bytes))
		tunnel_pause(&r->tunnel, true);
	if (is_end && !r->has_terminal)
		sink_end(&r->in);
}

/* False: more is to wait until the command has read some. */
static bool early_take(struct remote *r)
{
	bool is_room = !r->early.len || sink_write(&r->in, buffer_span(&r->early));

	if (r->has_early_end && !r->has_terminal)
		sink_end(&r->in);
	buffer_done(&r->early);
	return is_room;
}

/* ---- the runtime ---- */

static void streams_ready(void *context, const struct stream *stream, const struct error *why)
{
	struct remote *r = context;
	struct loop *loop = r->session.streams->loop;
	struct error err = { 0 };
	int in;

	if (r->session.is_over && stream) {
		/* The client did not wait: the command finds its input and output closed. */
		if (stream->in >= 0)
			close(stream->in);
		if (stream->out >= 0 && stream->out != stream->in)
			close(stream->out);
		if (stream->err >= 0)
			close(stream->err);
	}
	if (!r->session.is_over && why)
		finish(r, 0, why->message);
	if (!r->session.is_over) {
		r->is_ready = true;
		r->stream = arena_copy(&r->session.arena, stream->id, &err);
		in = stream->in >= 0 && stream->in == stream->out ? dup(stream->in) : stream->in;
		if (in >= 0)
			sink_init(&r->in, loop, in, false, in_drained);
		if (stream->out >= 0)
			source_init(&r->out, loop, stream->out, out_take);
		if (stream->err >= 0)
			source_init(&r->err, loop, stream->err, err_take);
		tunnel_pause(&r->tunnel, !early_take(r));
		size_set(r);
	}
	session_paid(&r->session);
}

/* All channels are there: the command may begin. What the client sends meanwhile waits in the connection, but for what was under way. */
static void start(struct remote *r)
{
	struct session *s = &r->session;
	const struct stream_wanted w = { .command = r->command,
					 .command_count = r->command_count,
					 .has_terminal = r->has_terminal,
					 .has_stdin = r->has_channel[CHANNEL_IN],
					 .has_stdout = r->has_channel[CHANNEL_OUT],
					 .has_stderr = r->has_channel[CHANNEL_ERR] };

	r->was_started = true;
	loop_timer_clear(s->streams->loop, &r->timer);
	tunnel_pause(&r->tunnel, true);
	s->owes++;
	if (r->is_attach)
		runtime_attach(s->streams->runtime, s->uid, s->container, s->attempt, &w, streams_ready, r);
	else
		runtime_exec(s->streams->runtime, s->uid, s->container, s->attempt, &w, streams_ready, r);
}

/* ---- from the client ---- */

static void message_take(struct remote *r, struct span message)
{
	unsigned channel = message.len ? (unsigned char)message.ptr[0] : CHANNELS;
	struct span bytes = span_skip(message, 1);

	if (channel == CHANNEL_CLOSE && r->version >= 5 && bytes.len)
		channel_take(r, (enum channel)(unsigned char)bytes.ptr[0], (struct span){ 0 }, true);
	else if (channel < CHANNELS)
		channel_take(r, (enum channel)channel, bytes, false);
}

static void stream_open(struct remote *r)
{
	static const char *const names[] = { "stdin", "stdout", "stderr", "error", "resize" };
	struct span type = spdy_field(r->spdy, SPAN("streamtype"));
	struct buffer frame;
	bool is_whole = true;

	buffer_init(&frame, KIB(1));
	for (int i = 0; i < CHANNELS; i++)
		if (span_equal(type, span_of(names[i])) && r->has_channel[i] && !r->ids[i])
			r->ids[i] = r->spdy->id;
	for (int i = 0; i < CHANNELS; i++)
		is_whole = is_whole && (r->ids[i] || !r->has_channel[i]);
	spdy_write_reply(r->spdy, &frame, r->spdy->id);
	tunnel_write(&r->tunnel, buffer_span(&frame), (struct span){ 0 });
	buffer_done(&frame);
	if (is_whole && !r->was_started)
		start(r);
}

static void stream_data(struct remote *r, bool is_reset)
{
	for (int i = 0; i < CHANNELS; i++)
		if (r->ids[i] == r->spdy->id)
			channel_take(r, (enum channel)i, r->spdy->data, is_reset || r->spdy->is_end);
}

static void frames_take(struct remote *r, struct span bytes)
{
	while (!r->session.is_over) {
		struct buffer pong;
		size_t used = 0;

		switch (spdy_read(r->spdy, bytes, &used)) {
		case SPDY_MORE:
		case SPDY_GOAWAY:
			return;
		case SPDY_STREAM:
			stream_open(r);
			break;
		case SPDY_DATA:
			stream_data(r, false);
			break;
		case SPDY_RESET:
			r->spdy->data = (struct span){ 0 };
			stream_data(r, true);
			break;
		case SPDY_PING:
			buffer_init(&pong, KIB(1));
			spdy_write_ping(&pong, r->spdy->id);
			tunnel_write(&r->tunnel, buffer_span(&pong), (struct span){ 0 });
			buffer_done(&pong);
			break;
		case SPDY_FAILED:
			hang_up(r);
			return;
		}
		bytes = span_skip(bytes, used);
	}
}

static void tunnel_take(struct tunnel *t, struct span bytes)
{
	struct remote *r = CONTAINER_OF(t, struct remote, tunnel);

	if (r->spdy)
		frames_take(r, bytes);
	else
		message_take(r, bytes);
}

static void tunnel_writable(struct tunnel *t)
{
	struct remote *r = CONTAINER_OF(t, struct remote, tunnel);

	source_pause(&r->out, false);
	source_pause(&r->err, false);
}

static void tunnel_ended(struct tunnel *t)
{
	release(CONTAINER_OF(t, struct remote, tunnel));
}

/* ---- the beginning ---- */

static bool command_read(struct remote *r, struct kube_call *call)
{
	struct span rest = call->req->query, name, value;
	struct error err = { 0 };
	size_t capacity = 0;

	while (form_next(&rest, call->arena, &name, &value))
		capacity += span_equal(name, SPAN("command"));
	r->command = ARENA_ARRAY(&r->session.arena, struct span, capacity + 1, &err);
	rest = call->req->query;
	while (r->command && form_next(&rest, call->arena, &name, &value)) {
		if (!span_equal(name, SPAN("command")))
			continue;
		r->command[r->command_count] = arena_copy(&r->session.arena, value, &err);
		if (!r->command[r->command_count++].ptr)
			break;
	}
	if (err.code)
		kube_fail(call, &err);
	else if (!capacity)
		streams_refuse(call, 400, "BadRequest", "you must specify at least 1 command");
	return !err.code && capacity;
}

/* -1: refused. */
static int version_choose(struct remote *r, struct kube_call *call, struct span *ret)
{
	static const char *const websocket[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", NULL };
	static const char *const spdy[] = { "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io",
					    "channel.k8s.io", NULL };
	struct request *req = call->req;
	bool is_websocket = span_equal(req->upgrade, SPAN("websocket"));
	struct span header = is_websocket ? SPAN("sec-websocket-protocol") : SPAN("x-stream-protocol-version");

	if (!req->upgrade.len) {
		streams_refuse(call, 400, "BadRequest", "Upgrade request required");
		return -1;
	}
	*ret = protocol_choose(req, header, is_websocket ? websocket : spdy);
	if (!ret->len && request_header(req, header).len) {
		streams_refuse(call, is_websocket ? 400 : 403, is_websocket ? "BadRequest" : "Forbidden",
			       "none of the protocols '" SPAN_FMT "' is spoken here: %s",
			       SPAN_ARG(span_first(request_header(req, header), 200)),
			       is_websocket ? "v5.channel.k8s.io, v4.channel.k8s.io, channel.k8s.io"
					    : "v4.channel.k8s.io and earlier");
		return -1;
	}
	if (!is_websocket) {
		r->spdy = base_calloc(1, sizeof(*r->spdy));
		spdy_init(r->spdy);
	}
	return ret->len && ret->ptr[0] == 'v' ? ret->ptr[1] - '0' : 1;
}

static bool channels_choose(struct remote *r, struct kube_call *call)
{
	r->has_terminal = query_is(call, "tty");
	r->has_channel[CHANNEL_IN] = query_is(call, "stdin");
	r->has_channel[CHANNEL_OUT] = query_is(call, "stdout");
	r->has_channel[CHANNEL_ERR] = query_is(call, "stderr") && !r->has_terminal; /* a terminal has one output */
	if (!r->has_channel[CHANNEL_IN] && !r->has_channel[CHANNEL_OUT] && !r->has_channel[CHANNEL_ERR]) {
		streams_refuse(call, 400, "BadRequest", "you must specify at least 1 of stdin, stdout, stderr");
		return false;
	}
	r->has_channel[CHANNEL_ERROR] = true;
	r->has_channel[CHANNEL_RESIZE] = r->has_terminal && r->version >= 3;
	return true;
}

static void streams_are_late(struct timer *t)
{
	hang_up(CONTAINER_OF(t, struct remote, timer));
}

static void stop(struct session *s)
{
	finish(remote_of(s), 0, "the node stops");
}

static void session_free_remote(struct session *s)
{
	struct remote *r = remote_of(s);

	buffer_done(&r->early);
	if (r->spdy) {
		spdy_done(r->spdy);
		free(r->spdy);
	}
}

void remote_begin(struct streams *s, struct kube_call *call, const struct node_question *q)
{
	struct remote *r = session_new(s, call, sizeof(*r), stop, session_free_remote);
	struct request *req = call->req;
	struct span protocol = { 0 };

	if (!r)
		return;
	r->in.fd = r->out.fd = r->err.fd = -1;
	buffer_init(&r->early, EARLY_MOST);
	r->is_attach = q->service == NODE_ATTACH;
	if (!session_find(&r->session, call, q) || (!r->is_attach && !command_read(r, call)) ||
	    (r->version = version_choose(r, call, &protocol)) < 0 || !channels_choose(r, call)) {
		session_end(&r->session);
		return;
	}
	r->tunnel.receive = tunnel_take;
	r->tunnel.writable = tunnel_writable;
	r->tunnel.ended = tunnel_ended;
	tunnel_accept(&r->tunnel, req, r->spdy ? SPAN("x-stream-protocol-version") : SPAN("sec-websocket-protocol"),
		      protocol);
	kube_leave(call);
	if (r->session.is_over)
		return;
	if (!r->spdy)
		start(r);
	else
		loop_timer_set(s->loop, &r->timer, loop_now(s->loop) + STREAMS_WAIT_NS, streams_are_late);
}
