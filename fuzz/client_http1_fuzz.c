/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_http1_fuzz - the bytes of a hostile server to the HTTP/1.1 client.
 *
 * The client asks again as soon as a request is over: GET, HEAD, a POST with chunks, a POST with a length, a WebSocket, a GET that is reset
 * at its first bytes. The first byte of the input says with which it begins, and whether the connection ends behind it; the second into how
 * many pieces it is cut. What is answered must not depend on the pieces.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MOST = 12 * 1024, CALLS = 6, KINDS = 6, TURNS_MOST = 100 };

struct call {
	struct client_stream *stream;
	uint64_t body_sum; /* of the bytes, and where they stand */
	size_t body_len;
	int status;
	bool has_ended, has_closed, resets, is_head, is_slow;
};

struct run {
	struct client *client;
	struct call calls[CALLS];
	size_t asked;
	unsigned kind;
	bool is_lost, is_over;
};

static struct loop *loop;

static void ask(struct run *r);

static void on_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct call *call = client_stream_owner(s);
	size_t bytes = 0;

	ASSERT(call->stream == s && !call->has_ended && !call->has_closed && client_has_heard(s));
	ASSERT(status == 103 || (status >= 200 && status <= 999 && !call->status));
	for (size_t i = 0; i < count; i++) {
		ASSERT(headers[i].name.len > 0 && http1_is_token(headers[i].name) && http1_is_value(headers[i].value));
		ASSERT(!span_equal(headers[i].name, SPAN("transfer-encoding")) &&
		       !span_equal(headers[i].name, SPAN("connection")));
		bytes += headers[i].name.len + headers[i].value.len;
	}
	ASSERT(bytes <= KIB(64));
	call->status = status == 103 ? 0 : status;
}

static void on_body(struct client_stream *s, struct span bytes)
{
	struct call *call = client_stream_owner(s);

	ASSERT(call->status && !call->is_head && !call->has_ended && !call->has_closed && bytes.len);
	for (size_t i = 0; i < bytes.len; i++)
		call->body_sum += (uint64_t)(unsigned char)bytes.ptr[i] * ++call->body_len;
	if (call->resets)
		client_reset(s);
	else if (!call->is_slow)
		client_taken(s, bytes.len);
	else
		client_write(s, bytes);
}

static void on_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct call *call = client_stream_owner(s);

	ASSERT(call->status && !call->has_ended && !call->has_closed);
	for (size_t i = 0; i < count; i++)
		ASSERT(http1_is_token(trailers[i].name) && http1_is_value(trailers[i].value));
	call->has_ended = true;
}

static struct run *running;

static void on_closed(struct client_stream *s, const struct error *why)
{
	struct call *call = client_stream_owner(s);

	ASSERT(call->stream == s && !call->has_closed && call->has_ended == (why == NULL));
	ASSERT(!why || why->code != ERROR_UNAVAILABLE || !call->status); /* it may be sent again */
	call->has_closed = true;
	if (running->asked < CALLS && !running->is_over)
		ask(running);
}

static void on_lost(struct client *c, const struct error *why)
{
	struct run *r = client_owner(c);

	ASSERT(!r->is_lost && why->code != ERROR_NONE && client_streams(c) == 0);
	r->is_lost = true;
}

static void ask(struct run *r)
{
	static const struct client_stream_ops ops = { on_head, on_body, on_end, NULL, on_closed };
	static const struct header headers[] = { { SPAN_INIT("content-length"), SPAN_INIT("9") } };
	size_t kind = (r->kind + r->asked) % KINDS;
	struct client_head head = { .method = SPAN("GET"), .authority = SPAN("test"), .path = SPAN("/") };
	struct call *call = &r->calls[r->asked++];
	bool is_last = kind == 0 || kind == 1 || kind == 5;

	if (kind == 1)
		head.method = SPAN("HEAD");
	else if (kind == 2 || kind == 3)
		head.method = SPAN("POST");
	else if (kind == 4)
		head.protocol = SPAN("websocket");
	head.headers = headers;
	head.header_count = kind == 3;
	call->is_head = kind == 1;
	call->is_slow = kind == 4;
	call->resets = kind == 5;
	call->stream = client_open(r->client, &head, is_last, &ops, call);
	if (is_last)
		return;
	client_write(call->stream, SPAN("nine byte"));
	if (kind != 4)
		client_end(call->stream);
}

static void stop(struct loop_task *t)
{
	(void)t;
	loop_stop(loop);
}

static void turns(int count)
{
	static struct loop_task task = { .run = stop };

	for (int i = 0; i < count; i++) {
		loop_defer(loop, &task);
		loop_run(loop);
	}
}

static void discard(int fd)
{
	static char heard[64 * 1024];

	while (recv(fd, heard, sizeof(heard), MSG_DONTWAIT) > 0)
		;
}

/* False: the client is gone. */
static bool say(int fd, struct span bytes)
{
	bool is_said = send(fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)bytes.len;

	turns(2);
	discard(fd);
	return is_said;
}

static void run(struct run *r, unsigned how, struct span rest, size_t piece)
{
	static const struct client_ops ops = { on_lost };
	int pair[2];

	*r = (struct run){ .kind = how & 0x3f };
	running = r;
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	r->client = client_new_http1(loop, pair[0], &ops, r);
	ask(r);
	turns(2);
	discard(pair[1]);
	while (rest.len && !r->is_lost) {
		struct span now = span_first(rest, piece);

		if (!say(pair[1], now))
			break;
		rest = span_skip(rest, now.len);
	}
	if (how & 0x80) {
		shutdown(pair[1], SHUT_WR);
		for (int i = 0; i < TURNS_MOST && !r->is_lost; i++) {
			turns(1);
			discard(pair[1]);
		}
		ASSERT(r->is_lost);
	}
	r->is_over = true; /* so that no more is asked */
	client_free(r->client);
	close(pair[1]);
	for (size_t i = 0; i < r->asked; i++)
		ASSERT(r->calls[i].has_closed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct run whole, pieces;
	struct span rest;

	if (len < 2)
		return 0;
	if (!loop)
		loop = loop_new();
	rest = span_from(data + 2, len - 2 < INPUT_MOST ? len - 2 : INPUT_MOST);
	run(&whole, data[0], rest, rest.len);
	run(&pieces, data[0], rest, rest.len / (1 + data[1] % 16) + 1);
	/* The first answer; what comes behind it in one piece was not asked for yet. One that was reset has no whole body. */
	ASSERT(whole.calls[0].status == pieces.calls[0].status || whole.is_lost);
	if (!whole.calls[0].resets && whole.calls[0].has_ended && pieces.calls[0].has_ended) {
		ASSERT(whole.calls[0].body_len == pieces.calls[0].body_len);
		ASSERT(whole.calls[0].body_sum == pieces.calls[0].body_sum);
	}
	return 0;
}
