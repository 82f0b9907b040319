/* SPDX-License-Identifier: Apache-2.0 */
/* client_test - the HTTP/2 client against a whole server in this process, and against one that says what a test tells it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/client_http2_private.h"
#include "net/client_kit.h"

/* ---- what is served to HTTP/2 ---- */

static void failing(struct request *req)
{
	struct error err = { 0 };

	error_set(&err, ERROR_NOT_FOUND, "no such model");
	request_fail(req, &err);
}

static void chat(struct request *req)
{
	buffer_append(&req->out, req->body);
	if (req->is_end)
		request_send(req, 200, (struct span){ NULL, 0 });
	else
		request_send_part(req);
}

static const struct surface grpc_surface = { "grpc", NULL };
static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/echo", echo, &http_surface, ROUTE_HTTP },
	{ METHOD_GET, "/big", big, &http_surface, ROUTE_HTTP },
	{ METHOD_GET, "/headers", headers_told, &http_surface, ROUTE_HTTP },
	{ METHOD_POST, "/t.T/Echo", echo, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Fail", failing, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Chat", chat, &grpc_surface, ROUTE_GRPC_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

/* ---- with a real server ---- */

static void a_request_is_answered(void **state)
{
	struct server *s = serve(tables, 256);
	struct bench *b = bench_of(s, client_new);
	struct call *question = post(b, 0, "/echo");
	struct call *no_body = get(b, 1, "/echo"), *missing = get(b, 2, "/none");
	struct call *head = ask(b, 3, (struct client_head){ .method = SPAN("HEAD"), .path = SPAN("/big") }, true);

	(void)state;
	client_write(question->stream, SPAN("hello "));
	client_write(question->stream, SPAN(""));
	client_write(question->stream, SPAN("world"));
	client_end(question->stream);
	client_write(question->stream, SPAN("more"));
	assert_int_equal(client_streams(b->client), 4);
	until(b, &b->closes, 4);
	assert_answered(question, 200, "hello world");
	assert_answered(no_body, 200, "");
	assert_answered(missing, 404, NULL);
	assert_answered(head, 200, "");
	assert_non_null(strstr(question->headers, "content-length=11;"));
	assert_int_equal(client_streams(b->client), 0);
	bench_free(b);
	server_end(s);
}

static void requests_over_the_servers_limit_wait_for_their_turn(void **state)
{
	struct server *s = serve(tables, 7);
	struct bench *b = bench_of(s, client_new);
	char text[16];

	(void)state;
	for (int round = 1; round <= 2; round++) {
		for (size_t i = 0; i < CALLS_MOST / 2; i++) {
			struct call *call = post(b, (size_t)(round - 1) * (CALLS_MOST / 2) + i, "/echo");

			snprintf(text, sizeof(text), "%zu", i);
			client_write(call->stream, span_of(text));
			client_end(call->stream);
		}
		until(b, &b->closes, round * CALLS_MOST / 2);
	}
	for (size_t i = 0; i < CALLS_MOST; i++) {
		snprintf(text, sizeof(text), "%zu", i % (CALLS_MOST / 2));
		assert_answered(&b->calls[i], 200, text);
	}
	bench_free(b);
	server_end(s);
}

static void large_bodies_go_both_ways(void **state)
{
	struct server *s = serve(tables, 256);
	struct bench *b = bench_of(s, client_new);
	struct call *call = post(b, 0, "/echo");
	char *piece = malloc(BIG);

	(void)state;
	for (size_t i = 0; i < BIG; i++)
		piece[i] = (char)(i * 31 + i / 127);
	for (int i = 0; i < 4; i++)
		client_write(call->stream, (struct span){ piece, BIG });
	assert_int_equal(client_unsent(call->stream), 4 * BIG);
	client_end(call->stream);
	until(b, &b->closes, 1);
	assert_int_equal(call->body.len, 4 * BIG);
	for (size_t i = 0; i < 4; i++)
		assert_memory_equal(call->body.ptr + i * BIG, piece, BIG);
	assert_int_equal(call->writables, 1);
	assert_answered(call, 200, NULL);
	free(piece);
	bench_free(b);
	server_end(s);
}

static void a_reader_that_takes_nothing_stops_its_sender_and_no_other(void **state)
{
	struct server *s = serve(tables, 256);
	struct bench *b = bench_of(s, client_new);
	struct call *slow = &b->calls[0];

	(void)state;
	slow->is_slow = true;
	get(b, 0, "/big");
	until_bytes(b, &slow->body.len, CLIENT_STREAM_WINDOW);
	for (int i = 1; i <= 20; i++) {
		get(b, (size_t)i, i % 2 ? "/big" : "/echo");
		until(b, &b->closes, i);
		assert_answered(&b->calls[i], 200, NULL);
	}
	assert_int_equal(slow->body.len, CLIENT_STREAM_WINDOW);
	slow->is_slow = false;
	client_taken(slow->stream, CLIENT_STREAM_WINDOW / 3);
	client_taken(slow->stream, CLIENT_STREAM_WINDOW - CLIENT_STREAM_WINDOW / 3);
	until(b, &b->closes, 21);
	assert_answered(slow, 200, NULL);
	assert_int_equal(slow->body.len, BIG);
	assert_memory_equal(slow->body.ptr, b->calls[1].body.ptr, BIG);
	bench_free(b);
	server_end(s);
}

static void a_reset_ends_its_stream_and_no_other(void **state)
{
	struct server *s = serve(tables, 256);
	struct bench *b = bench_of(s, client_new);
	struct call *in_the_middle = &b->calls[0], *at_once, *other;

	(void)state;
	in_the_middle->resets = true;
	get(b, 0, "/big");
	at_once = post(b, 1, "/echo");
	client_write(at_once->stream, SPAN("unheard"));
	client_reset(at_once->stream);
	other = get(b, 2, "/big");
	until(b, &b->closes, 3);
	assert_failed(in_the_middle, ERROR_CANCELLED, "");
	assert_failed(at_once, ERROR_CANCELLED, "");
	assert_int_equal(at_once->heads, 0);
	assert_answered(other, 200, NULL);
	assert_int_equal(other->body.len, BIG);
	get(b, 3, "/echo");
	until(b, &b->closes, 4);
	assert_answered(&b->calls[3], 200, "");
	bench_free(b);
	server_end(s);
}

static void headers_of_the_connection_are_left_out(void **state)
{
	static const struct header headers[] = {
		{ SPAN_INIT("host"), SPAN_INIT("other") },
		{ SPAN_INIT("connection"), SPAN_INIT("keep-alive, X-Hop") },
		{ SPAN_INIT("x-hop"), SPAN_INIT("1") },
		{ SPAN_INIT("keep-alive"), SPAN_INIT("timeout=5") },
		{ SPAN_INIT("proxy-connection"), SPAN_INIT("close") },
		{ SPAN_INIT("transfer-encoding"), SPAN_INIT("chunked") },
		{ SPAN_INIT("upgrade"), SPAN_INIT("h2c") },
		{ SPAN_INIT("http2-settings"), SPAN_INIT("AAAA") },
		{ SPAN_INIT("te"), SPAN_INIT("gzip") },
		{ SPAN_INIT("te"), SPAN_INIT("trailers") },
		{ SPAN_INIT(":path"), SPAN_INIT("/echo") },
		{ SPAN_INIT("x-request-id"), SPAN_INIT("id-1") },
		{ SPAN_INIT("x-end"), SPAN_INIT("to end") },
		{ SPAN_INIT("x-empty"), SPAN_INIT("") },
	};
	struct server *s = serve(tables, 256);
	struct bench *b = bench_of(s, client_new);
	struct client_head head = {
		.method = SPAN("GET"),
		.path = SPAN("/headers"),
		.headers = headers,
		.header_count = ARRAY_LEN(headers),
	};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		ask(b, i, head, true);
	until(b, &b->closes, 2);
	for (size_t i = 0; i < 2; i++)
		assert_answered(
		    &b->calls[i], 200,
		    "GET /headers\nte=trailers\nx-request-id=id-1\nx-end=to end\nx-empty=\nauthority=test\n");
	bench_free(b);
	server_end(s);
}

static struct call *grpc(struct bench *b, size_t i, const char *path)
{
	static const struct header headers[] = {
		{ SPAN_INIT("te"), SPAN_INIT("trailers") },
		{ SPAN_INIT("content-type"), SPAN_INIT("application/grpc") },
	};
	struct client_head head = {
		.method = SPAN("POST"),
		.path = span_of(path),
		.headers = headers,
		.header_count = ARRAY_LEN(headers),
	};

	return ask(b, i, head, false);
}

static void grpc_calls_end_with_trailers(void **state)
{
	struct server *s = serve(tables, 256);
	struct bench *b = bench_of(s, client_new);
	struct call *unary = grpc(b, 0, "/t.T/Echo"), *failure = grpc(b, 1, "/t.T/Fail"), *talk;
	static const struct span message = SPAN_INIT("\0\0\0\0\3abc");

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		client_write(b->calls[i].stream, message);
		client_end(b->calls[i].stream);
	}
	talk = grpc(b, 2, "/t.T/Chat");
	for (size_t i = 1; i <= 50; i++) {
		client_write(talk->stream, message);
		until_bytes(b, &talk->body.len, i * message.len);
	}
	client_end(talk->stream);
	until(b, &b->closes, 3);
	assert_int_equal(unary->body.len, message.len);
	assert_memory_equal(unary->body.ptr, message.ptr, message.len);
	assert_string_equal(unary->trailers, "grpc-status=0;");
	assert_int_equal(failure->status, 200);
	assert_non_null(strstr(failure->headers, "grpc-status=5;grpc-message=no such model;"));
	assert_string_equal(failure->trailers, "");
	assert_string_equal(talk->trailers, "grpc-status=0;");
	for (size_t i = 0; i < 3; i++)
		assert_answered(&b->calls[i], 200, NULL);
	bench_free(b);
	server_end(s);
}

static void a_draining_server_ends_the_client(void **state)
{
	struct server *s = serve(tables, 256);
	struct bench *b = bench_of(s, client_new);
	struct call *call = get(b, 0, "/echo");

	(void)state;
	until(b, &b->closes, 1);
	assert_answered(call, 200, "");
	server_drain(s);
	until(b, &b->lost, 1);
	assert_int_equal(b->why.code, ERROR_UNAVAILABLE);
	assert_true(client_is_refusing(b->client));
	get(b, 1, "/echo");
	until(b, &b->closes, 2);
	assert_failed(&b->calls[1], ERROR_UNAVAILABLE, "");
	bench_free(b);
	server_wait(s);
	server_free(s);
}

/* ---- with a server that says what it is told ---- */

static void say(struct bench *b, const void *bytes, size_t len)
{
	assert_int_equal(send(b->other, bytes, len, MSG_NOSIGNAL), len);
}

static void say_frame(struct bench *b, int type, int flags, int stream, const void *payload, size_t len)
{
	uint8_t frame[9 + 512] = { (uint8_t)(len >> 16),    (uint8_t)(len >> 8),    (uint8_t)len,
				   (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
				   (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream };

	assert_true(len <= 512);
	memcpy(frame + 9, payload, len);
	say(b, frame, 9 + len);
}

#define SAY(b, type, flags, stream, text) say_frame(b, type, flags, stream, text, sizeof(text) - 1)
enum { DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, END = 1, WHOLE = 4 };
#define STATUS_200 "\x88"
#define FIELD      "\0\1a\1b" /* a: b, a literal that is not indexed (RFC 7541 6.2.2) */

/* What the client has written: the payload of the nth frame of `type` on `stream`, or a NULL pointer. */
static struct span heard(struct bench *b, int type, int stream)
{
	size_t at = 24; /* the preface */
	ssize_t n;

	while ((n = recv(b->other, b->heard + b->heard_len, sizeof(b->heard) - b->heard_len, MSG_DONTWAIT)) > 0)
		b->heard_len += (size_t)n;
	while (at + 9 <= b->heard_len) {
		const uint8_t *frame = b->heard + at;
		size_t size = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];

		if (frame[3] == type && (frame[7] << 8 | frame[8]) == stream)
			return span_from(frame + 9, size);
		at += 9 + size;
	}
	return (struct span){ NULL, 0 };
}

static struct bench *scripted_started(void)
{
	struct bench *b = bench_scripted(client_new);

	SAY(b, SETTINGS, 0, 0, "");
	turns(b);
	return b;
}

static void interim_heads_empty_data_and_trailers_are_understood(void **state)
{
	struct bench *b = scripted_started();
	struct call *call = get(b, 0, "/");

	(void)state;
	turns(b);
	SAY(b, HEADERS, WHOLE, 1,
	    "\10\3"
	    "100");
	SAY(b, HEADERS, WHOLE, 1,
	    "\10\3"
	    "103" FIELD);
	turns(b);
	assert_int_equal(call->interim, 1);
	assert_int_equal(call->heads, 0);
	assert_string_equal(call->headers, "a=b;");
	SAY(b, HEADERS, WHOLE, 1, STATUS_200 FIELD);
	SAY(b, DATA, 0, 1, "");
	SAY(b, DATA, 0, 1, "body");
	SAY(b, DATA, 8, 1, "\3!\0\0\0"); /* padded */
	SAY(b, PING, 0, 0, "12345678");
	turns(b);
	assert_int_equal(call->heads, 1);
	assert_int_equal(call->ends, 0);
	SAY(b, HEADERS, WHOLE | END, 1,
	    "\0\1t\1"
	    "1" FIELD);
	turns(b);
	assert_answered(call, 200, "body!");
	assert_string_equal(call->trailers, "t=1;a=b;");
	assert_non_null(heard(b, PING, 0).ptr);
	bench_free(b);
}

static void a_stream_the_server_resets_says_whether_it_may_be_sent_again(void **state)
{
	struct bench *b = scripted_started();

	(void)state;
	for (size_t i = 0; i < 4; i++)
		get(b, i, "/");
	turns(b);
	SAY(b, RST, 0, 1, "\0\0\0\7"); /* REFUSED_STREAM */
	SAY(b, RST, 0, 3, "\0\0\0\2"); /* INTERNAL_ERROR */
	SAY(b, HEADERS, WHOLE, 5, STATUS_200);
	SAY(b, RST, 0, 5, "\0\0\0\7");                    /* after it has done something */
	SAY(b, HEADERS, WHOLE, 7, STATUS_200 "\0\1A\1b"); /* an upper-case name */
	turns(b);
	assert_failed(&b->calls[0], ERROR_UNAVAILABLE, "");
	assert_failed(&b->calls[1], ERROR_INTERNAL, "");
	assert_non_null(strstr(b->calls[1].why.message, "INTERNAL_ERROR"));
	assert_failed(&b->calls[2], ERROR_INTERNAL, "");
	assert_failed(&b->calls[3], ERROR_INTERNAL, "");
	assert_non_null(strstr(b->calls[3].why.message, "PROTOCOL_ERROR"));
	assert_int_equal(b->lost, 0);
	bench_free(b);
}

static void a_goaway_lets_what_the_server_has_taken_end(void **state)
{
	struct bench *b = scripted_started();

	(void)state;
	for (size_t i = 0; i < 3; i++)
		get(b, i, "/");
	turns(b);
	SAY(b, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0enough");
	turns(b);
	assert_int_equal(b->calls[0].closes, 0);
	assert_failed(&b->calls[1], ERROR_UNAVAILABLE, "");
	assert_failed(&b->calls[2], ERROR_UNAVAILABLE, "");
	assert_non_null(strstr(b->calls[2].why.message, "enough"));
	assert_true(client_is_refusing(b->client));
	get(b, 3, "/");
	turns(b);
	assert_failed(&b->calls[3], ERROR_UNAVAILABLE, "");
	assert_int_equal(b->lost, 0);
	SAY(b, HEADERS, WHOLE | END, 1, STATUS_200);
	turns(b);
	assert_answered(&b->calls[0], 200, "");
	assert_int_equal(b->lost, 1);
	bench_free(b);
}

static void a_dying_server_costs_what_it_had_and_returns_what_it_had_not(void **state)
{
	struct bench *b = bench_scripted(client_new);
	struct call *blocked;
	char *piece = calloc(1, BIG);

	(void)state;
	SAY(b, SETTINGS, 0, 0, "\0\3\0\0\0\2\0\4\x7f\xff\xff\xff"); /* two streams, large windows */
	SAY(b, 8, 0, 0, "\x7f\xff\0\0");
	turns(b);
	get(b, 0, "/");
	turns(b);
	blocked = post(b, 1, "/");
	client_write(blocked->stream, (struct span){ piece, BIG }); /* more than the socket takes */
	get(b, 2, "/");
	turns(b);
	assert_true(client_unsent(blocked->stream) > 0);
	SAY(b, HEADERS, WHOLE, 1, STATUS_200);
	close(b->other);
	b->other = -1;
	b->frees_at_lost = true;
	until(b, &b->lost, 1);
	assert_int_equal(b->calls[0].status, 200);
	assert_failed(&b->calls[0], ERROR_INTERNAL, "");
	assert_failed(blocked, ERROR_INTERNAL, "");
	assert_failed(&b->calls[2], ERROR_UNAVAILABLE, "");
	assert_int_equal(b->why.code, ERROR_UNAVAILABLE);
	free(piece);
	bench_free(b);
}

static void a_stream_opened_after_the_end_is_unavailable(void **state)
{
	struct bench *b = scripted_started();

	(void)state;
	close(b->other);
	b->other = -1;
	until(b, &b->lost, 1);
	get(b, 0, "/");
	post(b, 1, "/");
	client_write(b->calls[1].stream, SPAN("x"));
	until(b, &b->closes, 2);
	assert_failed(&b->calls[0], ERROR_UNAVAILABLE, "");
	assert_failed(&b->calls[1], ERROR_UNAVAILABLE, "");
	get(b, 2, "/"); /* told when the client is freed */
	bench_free(b);
}

static void websockets_wait_for_the_servers_word(void **state)
{
	struct client_head head = { .method = SPAN("CONNECT"), .protocol = SPAN("websocket"), .path = SPAN("/ws") };
	struct bench *b = bench_scripted(client_new);
	struct call *call = ask(b, 0, head, false);

	(void)state;
	turns(b);
	assert_null(heard(b, HEADERS, 1).ptr);
	SAY(b, SETTINGS, 0, 0, "\0\10\0\0\0\1");
	client_write(call->stream, SPAN("ping"));
	turns(b);
	assert_non_null(heard(b, HEADERS, 1).ptr);
	assert_true(span_equal(heard(b, DATA, 1), SPAN("ping")));
	SAY(b, HEADERS, WHOLE, 1, STATUS_200);
	SAY(b, DATA, END, 1, "pong");
	turns(b);
	assert_answered(call, 200, "pong");
	assert_true(span_equal(heard(b, RST, 1), SPAN("\0\0\0\10"))); /* CANCEL: nobody reads on */
	bench_free(b);

	b = bench_scripted(client_new);
	call = ask(b, 0, head, false);
	SAY(b, SETTINGS, 0, 0, "");
	turns(b);
	assert_failed(call, ERROR_UNIMPLEMENTED, "");
	call = ask(b, 1, head, false);
	turns(b);
	assert_failed(call, ERROR_UNIMPLEMENTED, "");
	bench_free(b);
}

static void what_waits_can_be_reset(void **state)
{
	struct bench *b = bench_scripted(client_new);

	(void)state;
	SAY(b, SETTINGS, 0, 0, "\0\3\0\0\0\1");
	turns(b);
	for (size_t i = 0; i < 5; i++)
		get(b, i, "/");
	client_reset(b->calls[1].stream);
	client_reset(b->calls[4].stream);
	turns(b);
	assert_failed(&b->calls[1], ERROR_CANCELLED, "");
	assert_failed(&b->calls[4], ERROR_CANCELLED, "");
	for (int id = 1; id <= 5; id += 2) {
		assert_non_null(heard(b, HEADERS, id).ptr);
		assert_null(heard(b, HEADERS, id + 2).ptr);
		SAY(b, HEADERS, WHOLE | END, id, STATUS_200);
		turns(b);
	}
	assert_int_equal(b->ends, 3);
	assert_int_equal(b->closes, 5);
	bench_free(b);
}

static void an_answer_with_too_many_headers_is_refused(void **state)
{
	struct bench *b = scripted_started();
	uint8_t block[512] = { 0x88 };

	(void)state;
	for (size_t i = 0; i < 2; i++)
		get(b, i, "/");
	turns(b);
	memset(block + 1, 0xbe, sizeof(block) - 1);
	/* The first field enters the table (RFC 7541 6.2.1), the others are its index. */
	memcpy(block + 1, "\x40\1a\1b", 5);
	say_frame(b, HEADERS, WHOLE, 1, block, 6 + CLIENT_HEADERS_MOST - 1);
	say_frame(b, HEADERS, WHOLE, 3, block, 6 + CLIENT_HEADERS_MOST);
	turns(b);
	assert_int_equal(b->calls[0].heads, 1);
	assert_failed(&b->calls[1], ERROR_INTERNAL, "");
	assert_int_equal(b->calls[1].heads, 0);
	assert_non_null(heard(b, RST, 3).ptr);
	assert_int_equal(b->lost, 0);
	bench_free(b);
}

static void an_answer_with_a_status_of_no_class_is_refused(void **state)
{
	static const uint8_t block[] = { 0x08, 3, '0', '5',
					 '1' }; /* RFC 7541 6.2.2: the name is :status, by its index */
	struct bench *b = scripted_started();

	(void)state;
	get(b, 0, "/");
	turns(b);
	say_frame(b, HEADERS, WHOLE, 1, block, sizeof(block));
	turns(b);
	assert_failed(&b->calls[0], ERROR_INTERNAL, "");
	assert_int_equal(b->calls[0].heads, 0);
	assert_non_null(heard(b, RST, 1).ptr);
	assert_int_equal(b->lost, 0);
	bench_free(b);
}

static void a_server_of_something_else_is_named(void **state)
{
	struct bench *b = bench_scripted(client_new);
	static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

	(void)state;
	get(b, 0, "/");
	turns(b);
	say(b, text, sizeof(text) - 1);
	until(b, &b->lost, 1);
	assert_int_equal(b->why.code, ERROR_INTERNAL);
	assert_non_null(strstr(b->why.message, "HTTP/2"));
	assert_failed(&b->calls[0], ERROR_UNAVAILABLE, ""); /* nothing was sent before the server had shown itself */
	bench_free(b);
}

static void the_client_may_be_freed_in_any_callback(void **state)
{
	(void)state;
	for (int where = 0; where < 6; where++) {
		struct bench *b = scripted_started();
		struct call *call = &b->calls[0];

		call->frees_at_head = where == 0;
		call->frees_at_body = where == 1;
		call->frees_at_end = where == 2;
		call->frees_at_close = where >= 3;
		get(b, 0, "/");
		post(b, 1, "/");
		get(b, 2, "/");
		client_write(b->calls[1].stream, SPAN("body"));
		if (where == 4)
			client_reset(call->stream);
		turns(b);
		if (b->client) {
			SAY(b, HEADERS, WHOLE, 1, STATUS_200);
			SAY(b, DATA, 0, 1, "body");
			if (where == 5)
				SAY(b, RST, 0, 1, "\0\0\0\0");
			else
				SAY(b, DATA, END, 1, "end");
			SAY(b, HEADERS, WHOLE | END, 5, STATUS_200);
			turns(b);
		}
		assert_null(b->client);
		assert_int_equal(b->closes, 3);
		assert_int_equal(b->lost, 0);
		assert_failed(&b->calls[1], ERROR_CANCELLED, "");
		assert_failed(&b->calls[2], ERROR_CANCELLED, "");
		bench_free(b);
	}
}

static void freeing_ends_what_is_open(void **state)
{
	struct bench *b = bench_scripted(client_new);

	(void)state;
	get(b, 0, "/"); /* nothing has been sent yet */
	client_reset(b->calls[0].stream);
	post(b, 1, "/");
	free_now(b);
	assert_failed(&b->calls[0], ERROR_CANCELLED, "");
	assert_failed(&b->calls[1], ERROR_CANCELLED, "");
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered),
		cmocka_unit_test(requests_over_the_servers_limit_wait_for_their_turn),
		cmocka_unit_test(large_bodies_go_both_ways),
		cmocka_unit_test(a_reader_that_takes_nothing_stops_its_sender_and_no_other),
		cmocka_unit_test(a_reset_ends_its_stream_and_no_other),
		cmocka_unit_test(headers_of_the_connection_are_left_out),
		cmocka_unit_test(grpc_calls_end_with_trailers),
		cmocka_unit_test(a_draining_server_ends_the_client),
		cmocka_unit_test(interim_heads_empty_data_and_trailers_are_understood),
		cmocka_unit_test(a_stream_the_server_resets_says_whether_it_may_be_sent_again),
		cmocka_unit_test(a_goaway_lets_what_the_server_has_taken_end),
		cmocka_unit_test(a_dying_server_costs_what_it_had_and_returns_what_it_had_not),
		cmocka_unit_test(a_stream_opened_after_the_end_is_unavailable),
		cmocka_unit_test(websockets_wait_for_the_servers_word),
		cmocka_unit_test(what_waits_can_be_reset),
		cmocka_unit_test(an_answer_with_too_many_headers_is_refused),
		cmocka_unit_test(an_answer_with_a_status_of_no_class_is_refused),
		cmocka_unit_test(a_server_of_something_else_is_named),
		cmocka_unit_test(the_client_may_be_freed_in_any_callback),
		cmocka_unit_test(freeing_ends_what_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
