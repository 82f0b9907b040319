/* SPDX-License-Identifier: Apache-2.0 */
/* client_http1_test - the HTTP/1.1 client against a whole server in this process, and against one that says what a test tells it. */
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/client_http1_private.h"
#include "net/client_kit.h"
#include "net/http1_private.h"

/* ---- what is served to HTTP/1.1 ---- */

static void tunnel_receive(struct request *req, struct span bytes, bool is_last)
{
	request_write(req, bytes);
	request_want(req, bytes.len);
	if (is_last)
		request_end(req, NULL, 0);
}

static void tunnel_gone(struct request *req, const struct error *why)
{
	(void)req, (void)why;
}

/* Says back what it hears; without an upgrade, in chunks, with a trailer. */
static void tunnel(struct request *req)
{
	static const struct request_flow flow = { tunnel_receive, NULL, tunnel_gone };

	request_open(req, &flow, NULL);
	request_head(req, 200, (struct span){ 0 }, NULL, 0);
	request_want(req, KIB(64));
}

static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/echo", echo, &http_surface, ROUTE_HTTP },
	{ METHOD_GET, "/big", big, &http_surface, ROUTE_HTTP },
	{ METHOD_GET, "/headers", headers_told, &http_surface, ROUTE_HTTP },
	{ METHOD_GET | METHOD_POST, "/tunnel", tunnel, &http_surface, ROUTE_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

static struct call *post_of(struct bench *b, size_t i, const char *length)
{
	struct header headers[] = { { SPAN("content-length"), span_of(length) } };

	return ask(
	    b, i,
	    (struct client_head){ .method = SPAN("POST"), .path = SPAN("/"), .headers = headers, .header_count = 1 },
	    false);
}

/* ---- one who answers what a test says ---- */

static void say(struct bench *b, const char *text)
{
	struct span bytes = span_of(text);

	assert_int_equal(send(b->other, bytes.ptr, bytes.len, MSG_NOSIGNAL), bytes.len);
}

/* What the client has sent by now. */
static const char *heard(struct bench *b)
{
	static char text[256 * 1024];
	size_t len = 0;
	ssize_t n;

	turns(b);
	while ((n = recv(b->other, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	text[len] = 0;
	return text;
}

static void assert_heard(struct bench *b, const char *text)
{
	assert_string_equal(heard(b), text);
}

#define GET_HEAD(path) "GET " path " HTTP/1.1\r\nhost: test\r\n\r\n"
#define OK_HEAD(len)   "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n"

/* ---- with a real server ---- */

static void requests_are_answered_one_after_the_other(void **state)
{
	struct server *s = serve(tables, 0);
	struct bench *b = bench_of(s, client_new_http1);
	struct call *call = post(b, 0, "/echo");

	(void)state;
	assert_true(client_is_refusing(b->client));
	assert_int_equal(client_streams(b->client), 1);
	client_write(call->stream, SPAN("hello "));
	client_write(call->stream, SPAN(""));
	client_write(call->stream, SPAN("world"));
	client_end(call->stream);
	client_write(call->stream, SPAN("more"));
	until(b, &b->closes, 1);
	assert_answered(call, 200, "hello world");
	assert_false(client_is_refusing(b->client));
	until(b, (get(b, 1, "/echo"), &b->closes), 2);
	assert_answered(&b->calls[1], 200, "");
	until(b, (get(b, 2, "/none"), &b->closes), 3);
	assert_answered(&b->calls[2], 404, NULL);
	(void)ask(b, 3, (struct client_head){ .method = SPAN("HEAD"), .path = SPAN("/big") }, true);
	until(b, &b->closes, 4);
	assert_answered(&b->calls[3], 200, "");
	assert_non_null(strstr(b->calls[3].headers, "content-length=4194304;"));
	call = post_of(b, 4, "3");
	client_write(call->stream, SPAN("abc"));
	client_end(call->stream);
	until(b, &b->closes, 5);
	assert_answered(call, 404, NULL);
	assert_int_equal(b->lost, 0);
	bench_free(b);
	server_end(s);
}

static void long_bodies_go_both_ways(void **state)
{
	struct server *s = serve(tables, 0);
	struct bench *b = bench_of(s, client_new_http1);
	struct call *call = post(b, 0, "/tunnel");
	static char bytes[BIG];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31 + i / 1021);
	for (size_t at = 0, n = 1; at < sizeof(bytes); at += n, n = n * 3 + 1) {
		n = MIN(n, sizeof(bytes) - at);
		client_write(call->stream, span_from(bytes + at, n));
		if (at == 0)
			turns(b);
	}
	client_end(call->stream);
	until(b, &b->closes, 1);
	assert_answered(call, 200, NULL);
	assert_int_equal(call->body.len, sizeof(bytes));
	assert_memory_equal(call->body.ptr, bytes, sizeof(bytes));
	until(b, (get(b, 1, "/big"), &b->closes), 2);
	assert_int_equal(b->calls[1].body.len, BIG);
	for (size_t i = 0; i < BIG; i++)
		if (b->calls[1].body.ptr[i] != (char)(i * 7 + i / 251))
			fail_msg("byte %zu differs", i);
	bench_free(b);
	server_end(s);
}

static void a_websocket_is_asked_for_by_upgrade(void **state)
{
	struct server *s = serve(tables, 0);
	struct bench *b = bench_of(s, client_new_http1);
	struct call *call = ask(
	    b, 0,
	    (struct client_head){ .method = SPAN("CONNECT"), .path = SPAN("/tunnel"), .protocol = SPAN("websocket") },
	    false);

	(void)state;
	client_write(call->stream, SPAN("early "));
	until(b, &b->heads, 1);
	assert_int_equal(call->status, 200);
	client_write(call->stream, SPAN("late"));
	until_bytes(b, &b->received, 10);
	assert_memory_equal(call->body.ptr, "early late", 10);
	client_end(call->stream);
	until(b, &b->lost, 1);
	assert_answered(call, 200, "early late");
	assert_null(strstr(call->headers, "upgrade"));
	assert_null(strstr(call->headers, "sec-websocket-accept"));
	bench_free(b);
	server_end(s);
}

/* ---- what is said to the server ---- */

static void fields_of_the_callers_own_connection_are_left_out(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct header headers[] = {
		{ SPAN("accept"), SPAN("*/*") },         { SPAN("connection"), SPAN("x-hop, close") },
		{ SPAN("connection"), SPAN("x-other") }, { SPAN("x-hop"), SPAN("1") },
		{ SPAN("x-other"), SPAN("2") },          { SPAN("keep-alive"), SPAN("5") },
		{ SPAN("te"), SPAN("trailers") },        { SPAN("transfer-encoding"), SPAN("chunked") },
		{ SPAN("upgrade"), SPAN("h2c") },        { SPAN("expect"), SPAN("100-continue") },
		{ SPAN("host"), SPAN("other") },         { SPAN("x-lines"), SPAN("a\r\nx-evil: 1") },
		{ SPAN("x-empty"), SPAN("") },
	};

	(void)state;
	(void)ask(
	    b, 0,
	    (struct client_head){
		.method = SPAN("GET"), .path = SPAN("/a?b"), .headers = headers, .header_count = ARRAY_LEN(headers) },
	    true);
	assert_heard(b, "GET /a?b HTTP/1.1\r\nhost: test\r\naccept: */*\r\nx-lines: a  x-evil: 1\r\nx-empty: "
			"\r\n\r\n");
	bench_free(b);
}

static void a_body_is_framed_by_what_is_known_of_its_length(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = post(b, 0, "/");
	static const char chunked[] = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
				      "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";

	(void)state;
	client_write(call->stream, SPAN("abc"));
	client_write(call->stream, SPAN("0123456789abcdef"));
	client_end(call->stream);
	assert_heard(b, chunked);
	say(b, OK_HEAD("0"));
	until(b, &b->closes, 1);
	call = post_of(b, 1, "3");
	client_write(call->stream, SPAN("abc"));
	client_end(call->stream);
	assert_heard(b, "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc");
	say(b, OK_HEAD("0"));
	until(b, &b->closes, 2);
	(void)ask(b, 2, (struct client_head){ .method = SPAN("PUT"), .path = SPAN("/") }, true);
	assert_heard(b, "PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
	say(b, OK_HEAD("0"));
	until(b, &b->closes, 3);
	(void)ask(b, 3, (struct client_head){ .method = SPAN("DELETE"), .path = SPAN("/") }, true);
	assert_heard(b, "DELETE / HTTP/1.1\r\nhost: test\r\n\r\n");
	bench_free(b);
}

static void a_body_that_is_not_as_long_as_was_said_ends_the_request(void **state)
{
	static const char *const bodies[] = { "ab", "abcd" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct bench *b = bench_scripted(client_new_http1);
		struct call *call = post_of(b, 0, "3");

		turns(b);
		client_write(call->stream, span_of(bodies[i]));
		client_end(call->stream);
		until(b, &b->lost, 1);
		assert_failed(call, ERROR_INTERNAL, "content-length");
		bench_free(b);
	}
}

static void what_cannot_be_said_in_http1_is_refused_and_the_connection_stays(void **state)
{
	struct header bad_name[] = { { SPAN("x y"), SPAN("1") } };
	struct client_head rows[] = {
		{ .method = SPAN("GET"), .path = SPAN("/a b") },
		{ .method = SPAN("GET"), .path = SPAN("/a\r\nx: y") },
		{ .method = SPAN("GET"), .path = SPAN("") },
		{ .method = SPAN("GE T"), .path = SPAN("/") },
		{ .method = SPAN("GET"), .path = SPAN("/"), .headers = bad_name, .header_count = 1 },
	};
	struct bench *b = bench_scripted(client_new_http1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)ask(b, i, rows[i], true);
		until(b, &b->closes, (int)i + 1);
		assert_failed(&b->calls[i], ERROR_INTERNAL, "cannot be said");
	}
	(void)ask(b, 5, (struct client_head){ .method = SPAN("CONNECT"), .path = SPAN("/") }, true);
	until(b, &b->closes, 6);
	assert_failed(&b->calls[5], ERROR_UNIMPLEMENTED, "CONNECT");
	(void)get(b, 6, "/");
	assert_heard(b, GET_HEAD("/"));
	assert_int_equal(b->lost, 0);
	bench_free(b);
}

static void a_second_request_at_the_same_time_is_refused(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);

	(void)state;
	(void)get(b, 0, "/a");
	(void)get(b, 1, "/b");
	assert_int_equal(client_streams(b->client), 2);
	until(b, &b->closes, 1);
	assert_failed(&b->calls[1], ERROR_UNAVAILABLE, "another request");
	assert_heard(b, GET_HEAD("/a"));
	say(b, OK_HEAD("0"));
	until(b, &b->closes, 2);
	assert_answered(&b->calls[0], 200, "");
	bench_free(b);
}

/* ---- what the server says ---- */

static void answers_of_every_shape_are_read(void **state)
{
	static const struct {
		const char *said, *method;
		int status;
		const char *body, *headers, *trailers;
		bool ends, is_kept; /* the server closes; another request may follow */
	} rows[] = {
		{ OK_HEAD("3") "abc", "GET", 200, "abc", "content-length=3;", "", false, true },
		{ "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", 200, "", "content-length=0;", "", false, true },
		{ "HTTP/1.1 200 \nContent-Length: 1\n\nx", "GET", 200, "x", "content-length=1;", "", false, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", "GET", 200, "x",
		  "content-length=1;", "", false, true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n02\r\nde\r\n0\r\n\r\n", "GET",
		  200, "abcde", "", "", false, true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n"
		  "Content-Length: 9\r\n\r\n",
		  "GET", 200, "a", "a=1;", "x-sum=7;", false, true },
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 \r\nA: b\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "
		  "x\r\n\r\n" OK_HEAD("1") "y",
		  "GET", 200, "y", "link=x;content-length=1;", "", false, true },
		{ "HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, "", "", "", false, true },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "GET", 304, "", "content-length=10;", "",
		  false, true },
		{ OK_HEAD("10"), "HEAD", 200, "", "content-length=10;", "", false, true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", 200, "", "", "", false, true },
		{ "HTTP/1.1 200 OK\r\nA: b\r\n\r\nto the end", "GET", 200, "to the end", "a=b;", "", true, false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", 200, "ok", "content-length=2;", "", false,
		  false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok", "GET", 200, "ok",
		  "content-length=2;", "", false, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
		  "\r\nok",
		  "GET", 200, "ok", "content-length=2;", "", false, false },
		{ "HTTP/1.1 599 \xff odd\r\nContent-Length: 0\r\nHost: x\r\n\r\n", "GET", 599, "",
		  "content-length=0;host=x;", "", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int slowly = 0; slowly < 2; slowly++) {
			struct bench *b = bench_scripted(client_new_http1);
			struct call *call = ask(
			    b, 0, (struct client_head){ .method = span_of(rows[i].method), .path = SPAN("/") }, true);

			turns(b);
			for (const char *at = rows[i].said; slowly && *at; at++) {
				char one[] = { *at, 0 };

				say(b, one);
				turns(b);
			}
			if (!slowly)
				say(b, rows[i].said);
			if (rows[i].ends)
				shutdown(b->other, SHUT_WR);
			until(b, &b->closes, 1);
			assert_answered(call, rows[i].status, rows[i].body);
			assert_string_equal(call->headers, rows[i].headers);
			assert_string_equal(call->trailers, rows[i].trailers);
			turns(b);
			assert_int_equal(b->lost, !rows[i].is_kept);
			assert_int_equal(client_is_refusing(b->client), !rows[i].is_kept);
			bench_free(b);
		}
}

/* RFC 9112 11.2: where two readers might see different ends, nobody may read on. */
static void answers_that_smuggle_are_refused(void **state)
{
	static const struct {
		const char *said, *words;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "differ" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", "not a whole number" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc", "not a whole number" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\nabc", "not a whole number" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", "not a whole number" },
		{ "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc", "empty" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", "64 bits" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "in one answer" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		  "in one answer" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "more than one" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "chunked must come last" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", "not supported" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not supported" },
		{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0 answer" },
		{ "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc", "space between" },
		{ "HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 3\r\n\r\nabc", "folded" },
		{ "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 3\r\n\r\nabc", "carriage return" },
		{ "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n", "control character" },
		{ "HTTP/1.1 200 OK\r\n: b\r\n\r\n", "header name" },
		{ "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", "space between" },
		{ "\r\nHTTP/1.1 200 OK\r\n\r\n", "status line" },
		{ "HTTP/2 200 OK\r\n\r\n", "status line" },
		{ "HTTP/1.1  200 OK\r\n\r\n", "three digits" },
		{ "HTTP/1.1 20 OK\r\n\r\n", "three digits" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", "three digits" },
		{ "HTTP/1.1 099 OK\r\n\r\n", "below 100" },
		{ "HTTP/1.1 2\r\n", "too short" },
		{ "220 smtp.example.com ready\r\n", "status line" },
		{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "not asked for" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", "chunk size" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "longer than its size" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", "64 bits" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n", "chunk size" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n", "chunk size" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n", "control character" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n\r\n", "trailer" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n a: b\r\n\r\n", "folded" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench *b = bench_scripted(client_new_http1);
		struct call *call = get(b, 0, "/");

		turns(b);
		say(b, rows[i].said);
		turns(b);
		if (!b->lost)
			fail_msg("taken: %s", rows[i].said);
		assert_failed(call, ERROR_INTERNAL, rows[i].words);
		assert_true(call->has_heard);
		bench_free(b);
	}
}

static void bytes_that_nobody_asked_for_end_the_connection(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);

	(void)state;
	/* Behind an answer: whoever asks next must not be given it. */
	b->calls[0].asks_next = "/next";
	(void)get(b, 0, "/");
	turns(b);
	say(b, OK_HEAD("1") "x" OK_HEAD("4") "evil");
	until(b, &b->lost, 1);
	assert_answered(&b->calls[0], 200, "x");
	assert_failed(&b->calls[1], ERROR_UNAVAILABLE, "not asked for");
	assert_int_equal(b->calls[1].heads, 0);
	bench_free(b);
	/* While it is idle. */
	b = bench_scripted(client_new_http1);
	say(b, OK_HEAD("0"));
	until(b, &b->lost, 1);
	assert_int_equal(b->why.code, ERROR_UNAVAILABLE);
	bench_free(b);
}

static void headers_over_the_limits_are_refused(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct buffer head;

	(void)state;
	buffer_init(&head, MIB(1));
	buffer_append(&head, SPAN("HTTP/1.1 200 OK\r\nx: "));
	while (head.len < CLIENT_HTTP1_HEAD_MOST + 100)
		buffer_byte(&head, 'y');
	buffer_byte(&head, 0);
	(void)get(b, 0, "/");
	turns(b);
	say(b, head.ptr);
	until(b, &b->lost, 1);
	assert_failed(&b->calls[0], ERROR_INTERNAL, "over the limit of 65536 bytes");
	bench_free(b);
	b = bench_scripted(client_new_http1);
	buffer_clear(&head);
	buffer_append(&head, SPAN("HTTP/1.1 200 OK\r\n"));
	for (int i = 0; i <= HTTP1_HEADERS_MAX; i++)
		buffer_append(&head, SPAN("a: b\r\n"));
	buffer_append(&head, SPAN("\r\n\0"));
	(void)get(b, 0, "/");
	turns(b);
	say(b, head.ptr);
	until(b, &b->lost, 1);
	assert_failed(&b->calls[0], ERROR_INTERNAL, "more than 100 header fields");
	bench_free(b);
	b = bench_scripted(client_new_http1);
	(void)get(b, 0, "/");
	turns(b);
	for (int i = 0; i <= CLIENT_HTTP1_INTERIM_MOST; i++)
		say(b, "HTTP/1.1 100 Continue\r\n\r\n");
	until(b, &b->lost, 1);
	assert_failed(&b->calls[0], ERROR_INTERNAL, "interim");
	bench_free(b);
	buffer_done(&head);
}

static void an_answer_cut_short_is_no_answer(void **state)
{
	static const char *const rows[] = {
		"HTTP/1.1 200 OK\r\nConten",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench *b = bench_scripted(client_new_http1);
		struct call *call = get(b, 0, "/");

		turns(b);
		say(b, rows[i]);
		shutdown(b->other, SHUT_WR);
		until(b, &b->lost, 1);
		assert_failed(call, ERROR_INTERNAL, "in the middle of its answer");
		assert_true(call->has_heard);
		bench_free(b);
	}
}

static void a_server_that_closes_unheard_tells_whether_it_was_asked(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);

	(void)state;
	/* Asked, and gone: what it did is not known. */
	(void)get(b, 0, "/");
	turns(b);
	shutdown(b->other, SHUT_WR);
	until(b, &b->lost, 1);
	assert_failed(&b->calls[0], ERROR_INTERNAL, "closed the connection");
	assert_false(b->calls[0].has_heard);
	bench_free(b);
	/* Gone in the same turn, before anything was sent: it may be asked again elsewhere. */
	b = bench_scripted(client_new_http1);
	(void)get(b, 0, "/");
	turns(b);
	say(b, OK_HEAD("0"));
	until(b, &b->closes, 1);
	shutdown(b->other, SHUT_WR);
	(void)get(b, 1, "/");
	until(b, &b->lost, 1);
	assert_int_equal(b->calls[1].closes, 1);
	assert_true(b->calls[1].why.code == ERROR_UNAVAILABLE || b->calls[1].why.code == ERROR_INTERNAL);
	assert_false(b->calls[1].has_heard);
	bench_free(b);
	/* While idle; and who asks later is told at once. */
	b = bench_scripted(client_new_http1);
	close(b->other);
	b->other = -1;
	until(b, &b->lost, 1);
	assert_int_equal(b->why.code, ERROR_UNAVAILABLE);
	(void)get(b, 0, "/");
	until(b, &b->closes, 1);
	assert_failed(&b->calls[0], ERROR_UNAVAILABLE, "closed the connection");
	bench_free(b);
}

/* An idle connection ends at the moment that it is asked on: in one turn of the loop, between its look at sockets and what it sends. */
struct crossing {
	struct timer timer;
	struct bench *bench;
	bool is_asked_first;
};

/* Bytes, or their end, have come to this end: by TCP not at once. */
static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 60000), 1);
}

static void cross(struct timer *t)
{
	struct crossing *x = CONTAINER_OF(t, struct crossing, timer);
	struct bench *b = x->bench;
	struct call *call;

	if (x->is_asked_first) {
		call = post_of(b, 1, "4");
		client_write(call->stream, SPAN("body"));
		client_end(call->stream);
		return;
	}
	close(b->other);
	b->other = -1;
	wait_readable(b->own);
	call = post_of(b, 1, "4");
	client_write(call->stream, SPAN("body"));
	client_end(call->stream);
}

static struct bench *bench_tcp(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct bench *b;

	assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, len), 0);
	b = bench_new(fd, client_new_http1);
	b->other = accept(listener, NULL, NULL);
	close(listener);
	return b;
}

static void a_request_that_crosses_the_end_of_an_idle_connection_may_be_sent_again(void **state)
{
	struct bench *b = bench_tcp();
	struct crossing x = { .bench = b };

	(void)state;
	(void)get(b, 0, "/");
	turns(b);
	wait_readable(b->other);
	assert_heard(b, GET_HEAD("/"));
	say(b, OK_HEAD("0"));
	until(b, &b->closes, 1);
	loop_timer_set(b->loop, &x.timer, 1, cross);
	until(b, &b->closes, 2);
	assert_failed(&b->calls[1], ERROR_UNAVAILABLE, "closed the connection");
	bench_free(b);
	/* One that the server has had when it closed may have been done. */
	b = bench_tcp();
	x = (struct crossing){ .bench = b, .is_asked_first = true };
	(void)get(b, 0, "/");
	turns(b);
	wait_readable(b->other);
	(void)heard(b);
	say(b, OK_HEAD("0"));
	until(b, &b->closes, 1);
	loop_timer_set(b->loop, &x.timer, 1, cross);
	turns(b);
	wait_readable(b->other);
	(void)heard(b);
	close(b->other);
	b->other = -1;
	until(b, &b->closes, 2);
	assert_failed(&b->calls[1], ERROR_INTERNAL, "closed the connection");
	bench_free(b);
}

static void an_answer_before_the_end_of_the_question_ends_both(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = post(b, 0, "/");

	(void)state;
	client_write(call->stream, SPAN("some"));
	turns(b);
	say(b, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
	until(b, &b->lost, 1);
	assert_answered(call, 413, "no");
	assert_string_equal(b->why.message, "the server has answered before it was asked in full");
	bench_free(b);
}

static void what_a_server_said_before_it_went_is_read(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = post(b, 0, "/");
	static char bytes[256 * 1024];

	(void)state;
	turns(b);
	say(b, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
	close(b->other);
	b->other = -1;
	client_write(call->stream, span_from(bytes, sizeof(bytes)));
	until(b, &b->lost, 1);
	/* A socket pair forgets what was said when bytes come to an end that is closed. */
	assert_int_equal(call->closes, 1);
	if (!call->has_why)
		assert_answered(call, 413, "no");
	bench_free(b);
}

/* ---- flow, resets, freeing ---- */

static void a_slow_reader_stops_the_sender(void **state)
{
	struct server *s = serve(tables, 0);
	struct bench *b = bench_of(s, client_new_http1);
	struct call *call = &b->calls[0];

	(void)state;
	call->is_slow = true;
	(void)get(b, 0, "/big");
	until_bytes(b, &b->received, CLIENT_HTTP1_WINDOW);
	turns(b);
	assert_true(b->received < CLIENT_HTTP1_WINDOW + CLIENT_HTTP1_READ);
	call->is_slow = false;
	client_taken(call->stream, b->received);
	until(b, &b->closes, 1);
	assert_answered(call, 200, NULL);
	assert_int_equal(call->body.len, BIG);
	bench_free(b);
	server_end(s);
}

static void a_server_that_hangs_up_on_a_slow_reader_is_heard_out(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = &b->calls[0];
	char *bytes = calloc(1, CLIENT_HTTP1_WINDOW);
	size_t sent = 0;

	(void)state;
	call->is_slow = true;
	(void)get(b, 0, "/");
	(void)heard(b);
	say(b, "HTTP/1.1 200 OK\r\n\r\n");
	while (b->received < CLIENT_HTTP1_WINDOW) {
		ssize_t n = send(b->other, bytes, CLIENT_HTTP1_WINDOW - sent % 1000, MSG_DONTWAIT);

		sent += n > 0 ? (size_t)n : 0;
		turns(b);
	}
	say(b, "last");
	sent += 4;
	close(b->other);
	b->other = -1;
	turns(b);
	assert_int_equal(call->closes, 0);
	call->is_slow = false;
	client_taken(call->stream, b->received);
	until(b, &b->lost, 1);
	assert_answered(call, 200, NULL);
	assert_int_equal(call->body.len, sent);
	free(bytes);
	bench_free(b);
}

static void a_stalled_server_holds_what_is_unsent_and_then_tells(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = post(b, 0, "/");
	static char bytes[64 * 1024], sink[64 * 1024];
	int before;

	(void)state;
	for (int i = 0; i < 40; i++) {
		client_write(call->stream, span_from(bytes, sizeof(bytes)));
		turns(b);
	}
	assert_true(client_unsent(call->stream) > CLIENT_UNSENT_LOW);
	before = call->writables;
	while (client_unsent(call->stream)) {
		(void)recv(b->other, sink, sizeof(sink), MSG_DONTWAIT);
		turns(b);
	}
	assert_int_equal(call->writables, before + 1);
	bench_free(b);
}

static void a_reset_ends_the_connection_unless_nothing_was_sent(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = get(b, 0, "/");

	(void)state;
	client_reset(call->stream);
	until(b, &b->closes, 1);
	assert_failed(call, ERROR_CANCELLED, "cancelled");
	assert_int_equal(b->lost, 0);
	(void)get(b, 1, "/b");
	assert_heard(b, GET_HEAD("/b"));
	client_reset(b->calls[1].stream);
	assert_int_equal(b->closes, 1);
	until(b, &b->lost, 1);
	assert_failed(&b->calls[1], ERROR_CANCELLED, "cancelled");
	bench_free(b);
	b = bench_scripted(client_new_http1);
	b->calls[0].resets = true;
	(void)get(b, 0, "/");
	turns(b);
	say(b, OK_HEAD("10") "abc");
	until(b, &b->lost, 1);
	assert_failed(&b->calls[0], ERROR_CANCELLED, "cancelled");
	bench_free(b);
}

static void the_client_may_be_freed_in_every_callback(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct bench *b = bench_scripted(client_new_http1);
		struct call *call = &b->calls[0];

		call->frees_at_head = i == 0;
		call->frees_at_body = i == 1;
		call->frees_at_end = i == 2;
		call->frees_at_close = i == 3;
		(void)get(b, 0, "/");
		turns(b);
		say(b, OK_HEAD("3") "abc");
		until(b, &b->closes, 1);
		assert_null(b->client);
		assert_int_equal(call->closes, 1);
		assert_int_equal(b->lost, 0);
		bench_free(b);
	}
}

static void the_next_request_may_be_asked_when_one_is_closed(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);

	(void)state;
	b->calls[0].asks_next = "/two";
	(void)get(b, 0, "/one");
	assert_heard(b, GET_HEAD("/one"));
	say(b, OK_HEAD("1") "1");
	until(b, &b->closes, 1);
	assert_heard(b, GET_HEAD("/two"));
	say(b, OK_HEAD("1") "2");
	until(b, &b->closes, 2);
	assert_answered(&b->calls[0], 200, "1");
	assert_answered(&b->calls[1], 200, "2");
	bench_free(b);
}

/* ---- upgrades ---- */

static struct call *ask_websocket(struct bench *b, const char *protocol)
{
	static const struct header headers[] = { { SPAN_INIT("sec-websocket-key"),
						   SPAN_INIT("dGhlIHNhbXBsZSBub25jZQ==") },
						 { SPAN_INIT("sec-websocket-version"), SPAN_INIT("13") } };

	return ask(b, 0,
		   (struct client_head){ .method = SPAN("CONNECT"),
					 .path = SPAN("/"),
					 .protocol = span_of(protocol),
					 .headers = headers,
					 .header_count = 2 },
		   false);
}

static void a_refused_upgrade_is_an_answer_like_others(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = ask_websocket(b, "websocket");

	(void)state;
	client_write(call->stream, SPAN("GET /smuggled HTTP/1.1\r\n\r\n"));
	assert_heard(b, "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
			"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n");
	say(b, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	until(b, &b->closes, 1);
	assert_answered(call, 403, "no");
	assert_heard(b, "");
	assert_int_equal(b->lost, 0);
	(void)get(b, 1, "/");
	assert_heard(b, GET_HEAD("/"));
	bench_free(b);
}

static void an_upgrade_must_be_the_one_asked_for(void **state)
{
	static const struct {
		const char *said, *words;
	} rows[] = {
		{ "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "Sec-WebSocket-Accept" },
		{ "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
		  "Sec-WebSocket-Accept" },
		{ "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "another protocol" },
		{ "HTTP/1.1 101 X\r\n\r\n", "another protocol" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench *b = bench_scripted(client_new_http1);
		struct call *call = ask_websocket(b, "websocket");

		turns(b);
		say(b, rows[i].said);
		until(b, &b->lost, 1);
		assert_failed(call, ERROR_INTERNAL, rows[i].words);
		bench_free(b);
	}
}

static void an_open_tunnel_carries_bytes_until_both_have_ended(void **state)
{
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = ask_websocket(b, "websocket");

	(void)state;
	(void)heard(b);
	say(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
	       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\nfirst");
	until_bytes(b, &b->received, 5);
	assert_int_equal(call->status, 200);
	assert_string_equal(call->headers, "sec-websocket-protocol=chat;");
	client_write(call->stream, SPAN("mine"));
	assert_heard(b, "mine");
	client_end(call->stream);
	turns(b);
	{
		char end;

		assert_int_equal(recv(b->other, &end, 1, MSG_DONTWAIT), 0);
	}
	say(b, "last");
	shutdown(b->other, SHUT_WR);
	until(b, &b->lost, 1);
	assert_answered(call, 200, "firstlast");
	bench_free(b);
}

/* The server takes its time, and its client has much to say at once. */
static void what_was_written_before_the_tunnel_was_open_goes_on_to_its_end(void **state)
{
	static char bytes[CLIENT_UNSENT_LOW + KIB(1)];
	struct bench *b = bench_scripted(client_new_http1);
	struct call *call = ask_websocket(b, "websocket");
	size_t got = 0;

	(void)state;
	(void)heard(b);
	client_write(call->stream, span_from(bytes, sizeof(bytes)));
	turns(b);
	assert_int_equal(client_unsent(call->stream), sizeof(bytes));
	assert_int_equal(call->writables, 0);
	say(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
	       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
	until(b, &b->heads, 1);
	while (got < sizeof(bytes)) {
		ssize_t n = recv(b->other, bytes, sizeof(bytes), MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		turns(b);
	}
	assert_int_equal(call->writables, 1);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_answered_one_after_the_other),
		cmocka_unit_test(long_bodies_go_both_ways),
		cmocka_unit_test(a_websocket_is_asked_for_by_upgrade),
		cmocka_unit_test(fields_of_the_callers_own_connection_are_left_out),
		cmocka_unit_test(a_body_is_framed_by_what_is_known_of_its_length),
		cmocka_unit_test(a_body_that_is_not_as_long_as_was_said_ends_the_request),
		cmocka_unit_test(what_cannot_be_said_in_http1_is_refused_and_the_connection_stays),
		cmocka_unit_test(a_second_request_at_the_same_time_is_refused),
		cmocka_unit_test(answers_of_every_shape_are_read),
		cmocka_unit_test(answers_that_smuggle_are_refused),
		cmocka_unit_test(bytes_that_nobody_asked_for_end_the_connection),
		cmocka_unit_test(headers_over_the_limits_are_refused),
		cmocka_unit_test(an_answer_cut_short_is_no_answer),
		cmocka_unit_test(a_server_that_closes_unheard_tells_whether_it_was_asked),
		cmocka_unit_test(a_request_that_crosses_the_end_of_an_idle_connection_may_be_sent_again),
		cmocka_unit_test(an_answer_before_the_end_of_the_question_ends_both),
		cmocka_unit_test(what_a_server_said_before_it_went_is_read),
		cmocka_unit_test(a_slow_reader_stops_the_sender),
		cmocka_unit_test(a_server_that_hangs_up_on_a_slow_reader_is_heard_out),
		cmocka_unit_test(a_stalled_server_holds_what_is_unsent_and_then_tells),
		cmocka_unit_test(a_reset_ends_the_connection_unless_nothing_was_sent),
		cmocka_unit_test(the_client_may_be_freed_in_every_callback),
		cmocka_unit_test(the_next_request_may_be_asked_when_one_is_closed),
		cmocka_unit_test(a_refused_upgrade_is_an_answer_like_others),
		cmocka_unit_test(an_upgrade_must_be_the_one_asked_for),
		cmocka_unit_test(an_open_tunnel_carries_bytes_until_both_have_ended),
		cmocka_unit_test(what_was_written_before_the_tunnel_was_open_goes_on_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
