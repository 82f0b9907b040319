/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_fuzz - frames of a hostile server to the HTTP/2 client.
 *
 * The client has a GET, a POST whose body is open, a CONNECT for a WebSocket and a call that is reset at its first
 * bytes. The input is what follows the server's first SETTINGS; its first byte says into how many pieces it is cut, and
 * whether the connection ends behind it. All happens in turns of one loop, in the same order each time.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { INPUT_MOST = 12 * 1024, CALLS = 8, TURNS_MOST = 400 };

struct call {
	struct client_stream *stream;
	bool has_head, has_ended, has_closed, resets, is_slow;
};

static struct loop *loop;
static struct client *client;
static struct call calls[CALLS];
static size_t asked;
static bool is_lost;

static void ask(bool is_last, struct span protocol);

static void on_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct call *call = client_stream_owner(s);
	size_t bytes = 0;

	ASSERT(call->stream == s && !call->has_ended && !call->has_closed);
	ASSERT(status == 103 || (status >= 200 && status <= 999 && !call->has_head));
	for (size_t i = 0; i < count; i++) {
		ASSERT(headers[i].name.len > 0 && headers[i].name.ptr[0] != ':');
		bytes += headers[i].name.len + headers[i].value.len;
	}
	ASSERT(bytes <= KIB(64));
	call->has_head = status != 103;
}

static void on_body(struct client_stream *s, struct span bytes)
{
	struct call *call = client_stream_owner(s);

	ASSERT(call->has_head && !call->has_ended && !call->has_closed && bytes.len);
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

	ASSERT(call->has_head && !call->has_ended && !call->has_closed);
	for (size_t i = 0; i < count; i++)
		ASSERT(trailers[i].name.ptr[0] != ':');
	call->has_ended = true;
}

static void on_closed(struct client_stream *s, const struct error *why)
{
	struct call *call = client_stream_owner(s);

	ASSERT(call->stream == s && !call->has_closed && call->has_ended == (why == NULL));
	ASSERT(!why || why->code != ERROR_UNAVAILABLE || !call->has_head); /* it may be sent again */
	call->has_closed = true;
	if (asked < CALLS && !is_lost)
		ask(true, SPAN(""));
}

static void on_lost(struct client *c, const struct error *why)
{
	(void)c;
	ASSERT(!is_lost && why->code != ERROR_NONE);
	is_lost = true;
}

static void ask(bool is_last, struct span protocol)
{
	static const struct client_stream_ops ops = { on_head, on_body, on_end, NULL, on_closed };
	struct client_head head = {
		.method = protocol.len ? SPAN("CONNECT")
			  : is_last    ? SPAN("GET")
				       : SPAN("POST"),
		.scheme = SPAN("http"),
		.authority = SPAN("test"),
		.path = SPAN("/"),
		.protocol = protocol,
	};
	struct call *call = &calls[asked++];

	call->stream = client_open(client, &head, is_last, &ops, call);
	if (!is_last)
		client_write(call->stream, SPAN("some bytes of a body"));
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* SETTINGS: four streams at once, ENABLE_CONNECT_PROTOCOL. */
	static const char start[] = "\0\0\14\4\0\0\0\0\0\0\3\0\0\0\4\0\10\0\0\0\1";
	static const struct client_ops ops = { on_lost };
	struct span rest = span_from(data, len < INPUT_MOST ? len : INPUT_MOST);
	size_t piece = 1;
	int pair[2];

	if (!loop)
		loop = loop_new();
	ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	memset(calls, 0, sizeof(calls));
	asked = 0;
	is_lost = false;
	client = client_new(loop, pair[0], &ops, NULL);
	calls[3].resets = true;
	calls[1].is_slow = true;
	ask(true, SPAN(""));
	ask(false, SPAN(""));
	ask(false, SPAN("websocket"));
	ask(true, SPAN(""));
	ask(true, SPAN("")); /* waits */
	(void)say(pair[1], span_from(start, sizeof(start) - 1));
	if (rest.len) {
		piece = rest.len / (1 + data[0] % 8) + 1;
		rest = span_skip(rest, 1);
	}
	while (rest.len && !is_lost) {
		struct span now = span_first(rest, piece);

		if (!say(pair[1], now))
			break;
		rest = span_skip(rest, now.len);
	}
	if (len && data[0] & 0x80) {
		shutdown(pair[1], SHUT_WR);
		for (int i = 0; i < TURNS_MOST && !is_lost; i++) {
			turns(1);
			discard(pair[1]);
		}
		ASSERT(is_lost);
	}
	is_lost = true; /* so that no more is asked */
	client_free(client);
	close(pair[1]);
	for (size_t i = 0; i < asked; i++)
		ASSERT(calls[i].has_closed);
	return 0;
}
