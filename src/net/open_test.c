/* SPDX-License-Identifier: Apache-2.0 */
/* open_test - requests answered after their handler has returned, or in parts: a whole server, asked over sockets. */
#include "net/server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "loop/loop.h"
#include "net/client.h"
#include "net/forwarded.h"
#include "net/kernel_kit.h"

#define DEADLINE_MS 60000 /* a test that waits longer has failed */
#define H           "Host: a\r\n"

/* ---- what is served ---- */

static sem_t opened, gone;
static struct request *waiting; /* the last one that opened and waits to be told; on the loop */
static _Atomic enum error_code gone_code;
static _Atomic size_t most_unsent;

static void note_gone(struct request *req, const struct error *why)
{
	assert_ptr_equal(request_owner(req), &opened);
	gone_code = why->code;
	waiting = NULL;
	sem_post(&gone);
}

static const struct request_flow wait_flow = { .gone = note_gone };

/* Waits until the test says what to answer. */
static void later(struct request *req)
{
	request_open(req, &wait_flow, &opened);
	waiting = req;
	sem_post(&opened);
}

static void echo_receive(struct request *req, struct span bytes, bool is_last)
{
	request_write(req, bytes);
	most_unsent = MAX(most_unsent, request_unsent(req));
	if (is_last)
		request_end(req, NULL, 0);
	else if (request_unsent(req) < REQUEST_UNSENT_LOW)
		request_want(req, bytes.len);
}

static void echo_writable(struct request *req)
{
	request_want(req, KIB(16));
}

static void echo(struct request *req)
{
	static const struct request_flow flow = { echo_receive, echo_writable, note_gone };

	request_open(req, &flow, &opened);
	request_head(req, 200, SPAN("Echo"), NULL, 0);
	request_want(req, KIB(16));
}

/* Wants all at once, and answers with much in front. */
static void echo_behind(struct request *req)
{
	static const struct request_flow flow = { .receive = echo_receive, .gone = note_gone };
	char block[4096];

	memset(block, 'a', sizeof(block));
	request_open(req, &flow, &opened);
	request_head(req, 200, SPAN(""), NULL, 0);
	for (size_t i = 0; i < MIB(2) / sizeof(block); i++)
		request_write(req, span_from(block, sizeof(block)));
	request_want(req, MIB(1));
}

/* Says what it was asked. */
static void tell(struct request *req)
{
	struct forwarded f = request_forwarded(req);

	buffer_print(&req->out, SPAN_FMT " " SPAN_FMT " '" SPAN_FMT "' " SPAN_FMT " " SPAN_FMT " " SPAN_FMT " %d",
		     SPAN_ARG(req->method_text), SPAN_ARG(req->path), SPAN_ARG(req->query), SPAN_ARG(f.scheme),
		     SPAN_ARG(f.version), SPAN_ARG(f.peer), req->is_end);
	for (size_t i = 0; i < req->header_count; i++)
		if (span_starts(req->headers[i].name, FORWARDED_PREFIX))
			buffer_append(&req->out, SPAN(" leaked"));
	request_send(req, 200, SPAN("text/plain"));
}

/* Half of ten bytes, then the end, or more than was said. */
static void short_of(struct request *req)
{
	static const struct header length = { SPAN_INIT("Content-Length"), SPAN_INIT("10") };

	request_open(req, &wait_flow, &opened);
	request_head(req, 200, SPAN(""), &length, 1);
	request_write(req, SPAN("01234"));
	if (request_query(req, SPAN("over"), &(struct span){ 0 }))
		request_write(req, SPAN("56789abcdef"));
	request_end(req, NULL, 0);
}

static void cut(struct request *req)
{
	request_open(req, &wait_flow, &opened);
	request_head(req, 200, SPAN(""), NULL, 0);
	request_write(req, SPAN("half"));
	request_cut(req);
}

/* All there is to a head. */
static void heads(struct request *req)
{
	static const struct header early = { SPAN_INIT("Link"), SPAN_INIT("</a>") };
	static const struct header fields[] = {
		{ SPAN_INIT("X-Note"), SPAN_INIT("a\r\nset-cookie: evil") },
		{ SPAN_INIT("Bad Name"), SPAN_INIT("x") },
		{ SPAN_INIT("Connection"), SPAN_INIT("close") },
		{ SPAN_INIT("Transfer-Encoding"), SPAN_INIT("gzip") },
		{ SPAN_INIT("x-hythe-peer"), SPAN_INIT("nobody") },
		{ SPAN_INIT("Server"), SPAN_INIT("mine") },
		{ SPAN_INIT("Date"), SPAN_INIT("never") },
	};
	static const struct header trailer = { SPAN_INIT("X-Sum"), SPAN_INIT("42") };
	struct span status = SPAN("200");
	uint64_t code;

	(void)request_query(req, SPAN("status"), &status);
	assert_true(number_parse_uint64(status, &code));
	request_open(req, &wait_flow, &opened);
	request_head(req, 103, SPAN(""), &early, 1);
	request_head(req, (int)code, SPAN("As it were"), fields, ARRAY_LEN(fields));
	request_write(req, SPAN("one"));
	request_write(req, SPAN("twotwotwotwotwotwotwo"));
	request_end(req, &trailer, 1);
}

static void star(struct request *req)
{
	if (span_equal(req->path, SPAN("/echo")) || span_equal(req->path, SPAN("/t.T/Echo")))
		echo(req);
	else if (span_equal(req->path, SPAN("/echo-behind")))
		echo_behind(req);
	else if (span_equal(req->path, SPAN("/short")))
		short_of(req);
	else if (span_equal(req->path, SPAN("/cut")))
		cut(req);
	else if (span_equal(req->path, SPAN("/heads")))
		heads(req);
	else if (span_equal(req->path, SPAN("/stall")))
		later(req);
	else
		tell(req);
}

static const struct surface surface_stream = { "stream", fail_as_json_error };
static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/later", later, &surface_plain, ROUTE_HTTP },
	{ METHOD_POST, "/t.T/Later", later, &surface_plain, ROUTE_GRPC },
	{ METHOD_GET, "*", star, &surface_stream, ROUTE_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

/* ---- a server, and what the test does on its loop ---- */

static struct server_config config_default(void)
{
	static const char *const addresses[] = { "127.0.0.1:0" };

	return (struct server_config){
		.addresses = addresses,
		.address_count = 1,
		.routes = tables,
		.workers = 1,
		.compute_threads = 1,
		.limits = server_limits_default(),
	};
}

static struct server *serve(const struct server_config *config)
{
	struct error err = { 0 };
	struct server *s = server_new(config, &err);

	if (!s || !server_start(s, &err))
		fail_msg("%s", err.message);
	return s;
}

static struct server *serve_default(void)
{
	struct server_config config = config_default();

	return serve(&config);
}

struct order {
	struct loop_message message;
	void (*run)(struct request *req);
	sem_t done;
};

static void order_run(struct loop_message *m)
{
	struct order *o = CONTAINER_OF(m, struct order, message);

	assert_non_null(waiting);
	o->run(waiting);
	sem_post(&o->done);
}

/* Does something to the waiting request, on its loop. */
static void on_loop(struct server *s, void (*run)(struct request *req))
{
	struct order o = { .message.run = order_run, .run = run };

	sem_init(&o.done, 0, 0);
	loop_send(server_worker_loop(s, 0), &o.message);
	sem_wait(&o.done);
}

static void send_body(struct request *req)
{
	waiting = NULL;
	buffer_append(&req->out, SPAN("later:"));
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("text/plain"));
}

static void fail_it(struct request *req)
{
	struct error err = { 0 };

	waiting = NULL;
	error_set(&err, ERROR_NOT_FOUND, "not here after all");
	request_fail(req, &err);
}

/* ---- a client of HTTP/1 ---- */

/* -1: refused. */
static int client_try(const struct server *s)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons((uint16_t)strtoul(strrchr(server_address(s, 0), ':') + 1, NULL, 10));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int client(const struct server *s)
{
	int fd = client_try(s);

	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

		if (n < 0)
			return; /* closed by the server: the test looks at what it answered */
		bytes = span_skip(bytes, (size_t)n);
	}
}

#define SAY(fd, literal) say((fd), SPAN(literal))

/* Reads some more; false at the end. */
static bool hear(int fd, struct buffer *in)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *to = buffer_reserve(in, KIB(64));
	ssize_t n;

	assert_non_null(to);
	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail_msg("nothing came in time; so far: '%.*s'", (int)MIN(in->len, 2000), in->ptr);
	n = recv(fd, to, KIB(64), 0);
	if (n <= 0)
		return false;
	buffer_commit(in, (size_t)n);
	return true;
}

/* Reads until the text has come; false when the connection ends before. */
static bool hear_text(int fd, struct buffer *in, const char *text)
{
	while (!in->len || !memmem(in->ptr, in->len, text, strlen(text)))
		if (!hear(fd, in))
			return false;
	return true;
}

static void expect_text(int fd, const char *text)
{
	struct buffer in;

	buffer_init(&in, MIB(64));
	if (!hear_text(fd, &in, text))
		fail_msg("expected '%s', got '%.*s'", text, (int)in.len, in.ptr);
	buffer_done(&in);
}

/* All until the end. */
static struct buffer hear_all(int fd)
{
	struct buffer in;

	buffer_init(&in, MIB(64));
	while (hear(fd, &in))
		;
	buffer_byte(&in, 0);
	close(fd);
	return in;
}

static void expect_closed(int fd)
{
	struct buffer in = hear_all(fd);

	assert_int_equal(in.len, 1);
	buffer_done(&in);
}

/* ---- answers after the handler's return ---- */

static void an_answer_may_come_after_the_handler_has_returned(void **state)
{
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	for (int i = 0; i < 3; i++) {
		SAY(fd, "POST /later HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody");
		sem_wait(&opened);
		on_loop(s, send_body);
		expect_text(fd, "\r\n\r\nlater:body");
	}
	SAY(fd, "POST /later HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
		"POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nnext");
	sem_wait(&opened);
	on_loop(s, fail_it);
	expect_text(fd, "4\r\nnext\r\n0\r\n\r\n"); /* the pipelined one, behind the 404 */
	close(fd);
	server_free(s);
}

static void a_client_that_leaves_is_noticed_while_its_answer_is_awaited(void **state)
{
	struct server *s = serve_default();

	(void)state;
	for (int i = 0; i < 4; i++) {
		int fd = client(s);

		if (i & 1)
			SAY(fd, "POST /later HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody");
		else
			SAY(fd, "GET /stall HTTP/1.1\r\n" H "\r\n");
		sem_wait(&opened);
		if (i & 2)
			SAY(fd, "GET /pipelined HTTP/1.1\r\n" H "\r\n");
		close(fd);
		sem_wait(&gone);
		assert_int_equal(gone_code, ERROR_CANCELLED);
	}
	server_free(s);
}

static void a_late_answer_is_told_504_and_its_owner_too(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int fd;

	(void)state;
	config.limits.request_timeout_ms = 500;
	s = serve(&config);
	fd = client(s);
	SAY(fd, "POST /later HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody");
	expect_text(fd, "--request-timeout");
	sem_wait(&opened);
	sem_wait(&gone);
	assert_int_equal(gone_code, ERROR_TIMEOUT);
	SAY(fd, "GET /stall HTTP/1.1\r\n" H "\r\n"); /* the same connection goes on */
	expect_text(fd, "HTTP/1.1 504");
	sem_wait(&opened);
	sem_wait(&gone);
	close(fd);
	server_free(s);
}

static void a_drain_waits_for_open_requests_and_cuts_them_at_its_end(void **state)
{
	struct server_config config = config_default();
	struct server *s = serve(&config);
	int fd = client(s);

	(void)state;
	SAY(fd, "POST /later HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody");
	sem_wait(&opened);
	server_drain(s);
	on_loop(s, send_body);
	expect_text(fd, "Connection: close\r\n\r\nlater:body");
	close(fd);
	server_wait(s);
	server_free(s);

	config.limits.drain_timeout_ms = 30;
	s = serve(&config);
	fd = client(s);
	SAY(fd, "GET /stall HTTP/1.1\r\n" H "\r\n");
	sem_wait(&opened);
	server_drain(s);
	sem_wait(&gone);
	assert_int_equal(gone_code, ERROR_CANCELLED);
	expect_closed(fd);
	server_free(s);
}

/* ---- HTTP/1: bodies and answers in parts ---- */

static void bodies_are_echoed_as_they_come(void **state)
{
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
	expect_text(fd, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect_text(fd, "HTTP/1.1 200 Echo\r\n");
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nabc");
	expect_text(fd, "3\r\nabc\r\n");
	SAY(fd, "def");
	expect_text(fd, "3\r\ndef\r\n0\r\n\r\n");
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	expect_text(fd, "3\r\nabc\r\n");
	SAY(fd, "2;x=y\r\nde\r\n");
	expect_text(fd, "2\r\nde\r\n");
	SAY(fd, "0\r\nT: v\r\n\r\nGET /x HTTP/1.1\r\n" H "\r\n");
	expect_text(fd, "GET /x");
	SAY(fd, "POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
	expect_text(fd, "Connection: close\r\n\r\nhello");
	expect_closed(fd);
	server_free(s);
}

static void *say_all(void *argument)
{
	struct {
		int fd;
		struct buffer *wire;
	} *work = argument;

	say(work->fd, buffer_span(work->wire));
	return NULL;
}

/* 8 MB there and back through an echo that asks for no more than it can send. */
static void back_pressure_holds_both_ways(void **state)
{
	struct server *s = serve_default();
	struct buffer body, wire, in;

	(void)state;
	buffer_init(&body, MIB(16));
	buffer_init(&wire, MIB(16));
	buffer_init(&in, MIB(16));
	for (unsigned i = 0; body.len < MIB(8); i++)
		buffer_print(&body, "%u,", i * 2654435761u);
	for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
		struct {
			int fd;
			struct buffer *wire;
		} work = { client(s), &wire };
		pthread_t thread;
		const char *start;

		buffer_clear(&wire);
		buffer_clear(&in);
		most_unsent = 0;
		buffer_print(&wire, "POST /echo HTTP/1.0\r\n");
		if (is_chunked) {
			buffer_clear(&wire);
			buffer_append(&wire, SPAN("POST /echo HTTP/1.1\r\n" H
						  "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"));
			for (size_t at = 0, n = 1; at < body.len; at += n, n = n * 7 % 9973 + 1) {
				n = MIN(n, body.len - at);
				buffer_print(&wire, "%zx\r\n", n);
				buffer_append(&wire, span_from(body.ptr + at, n));
				buffer_append(&wire, SPAN("\r\n"));
			}
			buffer_append(&wire, SPAN("0\r\n\r\n"));
		} else {
			buffer_print(&wire, "Content-Length: %zu\r\n\r\n", body.len);
			buffer_append(&wire, buffer_span(&body));
		}
		assert_int_equal(pthread_create(&thread, NULL, say_all, &work), 0);
		while (hear(work.fd, &in))
			;
		pthread_join(thread, NULL);
		close(work.fd);
		start = memmem(in.ptr, in.len, "\r\n\r\n", 4);
		assert_non_null(start);
		if (!is_chunked) {
			assert_int_equal(in.ptr + in.len - (start + 4), body.len);
			assert_memory_equal(start + 4, body.ptr, body.len);
		} else {
			assert_memory_equal(in.ptr + in.len - 5, "0\r\n\r\n", 5);
		}
		assert_true(most_unsent < REQUEST_UNSENT_LOW + KIB(64));
	}
	buffer_done(&body);
	buffer_done(&wire);
	buffer_done(&in);
	server_free(s);
}

/* While much of the answer waits for the client, what comes of the body is left alone: it is given when that has gone out. */
static void a_body_that_came_while_its_client_did_not_read_is_given(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	int fd = client(s);

	(void)state;
	buffer_init(&in, MIB(16));
	kernel_refuses();
	SAY(fd, "POST /echo-behind HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nhello");
	assert_true(hear_text(fd, &in, "hello"));
	assert_true(kernel_has_refused());
	SAY(fd, "world");
	assert_true(hear_text(fd, &in, "world"));
	buffer_done(&in);
	close(fd);
	server_free(s);
}

static void the_client_is_told_to_go_on_when_the_handler_wants_the_body(void **state)
{
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	expect_text(fd, "HTTP/1.1 200 Echo"); /* its head came first: nothing else is to be said */
	SAY(fd, "ok");
	expect_text(fd, "2\r\nok\r\n0\r\n\r\n");
	SAY(fd, "POST /stall HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	sem_wait(&opened);
	on_loop(s, fail_it); /* never wanted: whether it comes is not known */
	expect_text(fd, "not here after all");
	expect_closed(fd);
	server_free(s);
}

static void heads_are_made_of_what_may_be_said(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	struct buffer in;
	int fd;

	(void)state;
	config.server_name = "hythe";
	s = serve(&config);
	fd = client(s);
	SAY(fd, "GET /heads HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	in = hear_all(fd);
	assert_string_equal(in.ptr, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
				    "HTTP/1.1 200 As it were\r\nX-Note: a  set-cookie: evil\r\nServer: mine\r\n"
				    "Date: never\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
				    "3\r\none\r\n15\r\ntwotwotwotwotwotwotwo\r\n0\r\nX-Sum: 42\r\n\r\n");
	buffer_done(&in);
	fd = client(s);
	SAY(fd, "GET /heads HTTP/1.0\r\n\r\n");
	in = hear_all(fd);
	assert_string_equal(in.ptr, "HTTP/1.1 200 As it were\r\nX-Note: a  set-cookie: evil\r\nServer: mine\r\n"
				    "Date: never\r\nConnection: close\r\n\r\nonetwotwotwotwotwotwotwo");
	buffer_done(&in);
	fd = client(s);
	SAY(fd, "HEAD /heads HTTP/1.1\r\n" H "\r\nGET /heads?status=304 HTTP/1.1\r\n" H
		"\r\nGET /heads?status=204 HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	in = hear_all(fd);
	assert_null(strstr(in.ptr, "one")); /* no body in any of the three */
	assert_null(strstr(in.ptr, "chunked"));
	assert_non_null(strstr(in.ptr, "HTTP/1.1 204 As it were\r\n"));
	buffer_done(&in);
	server_free(s);
}

/* Its head has not told that it is the last: where there is a grace one more is asked, and told. */
static void an_answer_under_way_at_a_drain_is_followed_by_one_more(void **state)
{
	struct server_config config = config_default();
	struct buffer in;
	struct server *s;
	int fd, late;

	(void)state;
	config.idle_grace_ms = 60000;
	s = serve(&config);
	fd = client(s);
	buffer_init(&in, MIB(1));
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nhello");
	assert_true(hear_text(fd, &in, "hello"));
	server_drain(s);
	while ((late = client_try(s)) >= 0)
		close(late); /* until the drain has begun */
	SAY(fd, "world");
	assert_true(hear_text(fd, &in, "\r\n0\r\n\r\n"));
	assert_null(memmem(in.ptr, in.len, SPAN("Connection: close").ptr, SPAN("Connection: close").len));
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	assert_true(hear_text(fd, &in, "Connection: close"));
	while (hear(fd, &in))
		;
	close(fd);
	buffer_done(&in);
	server_wait(s);
	server_free(s);
}

static void an_answer_of_another_length_than_said_is_cut(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	int fd = client(s);

	(void)state;
	SAY(fd, "GET /short?over=1 HTTP/1.1\r\n" H "\r\n");
	expect_text(fd, "\r\n\r\n0123456789");
	SAY(fd, "GET /short HTTP/1.1\r\n" H "\r\n");
	in = hear_all(fd);
	assert_non_null(strstr(in.ptr, "Content-Length: 10\r\n"));
	assert_non_null(strstr(in.ptr, "\r\n\r\n01234"));
	assert_null(strstr(in.ptr, "\r\n\r\n012345"));
	buffer_done(&in);
	fd = client(s);
	SAY(fd, "GET /cut HTTP/1.1\r\n" H "\r\n");
	in = hear_all(fd);
	assert_non_null(strstr(in.ptr, "\r\n\r\n4\r\nhalf\r\n"));
	assert_null(strstr(in.ptr, "0\r\n\r\n"));
	buffer_done(&in);
	fd = client(s);
	SAY(fd, "GET /cut HTTP/1.0\r\n\r\n"); /* its end is the connection's: only a reset tells */
	buffer_init(&in, MIB(1));
	while (hear(fd, &in))
		errno = 0;
	assert_int_equal(errno, ECONNRESET);
	buffer_done(&in);
	close(fd);
	server_free(s);
}

static void a_bad_or_broken_body_ends_the_request(void **state)
{
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n");
	sem_wait(&gone);
	assert_int_equal(gone_code, ERROR_INVALID);
	expect_text(fd, "HTTP/1.1 200 Echo");
	close(fd);
	fd = client(s);
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
	expect_text(fd, "3\r\nabc\r\n");
	close(fd);
	sem_wait(&gone);
	assert_int_equal(gone_code, ERROR_CANCELLED);
	server_free(s);
}

static void everything_goes_to_the_star_that_no_other_row_takes(void **state)
{
	static const struct {
		const char *ask, *answer;
	} rows[] = {
		{ "GET /a%2Fb/%zz?q=1 HTTP/1.1\r\n", "GET /a%2Fb/%zz 'q=1' http HTTP/1.1 127.0.0.1:" },
		{ "DELETE /later HTTP/1.1\r\n", "DELETE /later ''" },
		{ "BREW /pot HTTP/1.1\r\n", "BREW /pot ''" },
		{ "OPTIONS * HTTP/1.1\r\n", "OPTIONS * ''" },
		{ "OPTIONS /x HTTP/1.1\r\n", "OPTIONS /x ''" },
		{ "OPTIONS /later HTTP/1.1\r\n", "allow: GET, HEAD, POST, OPTIONS" },
		{ "GET /x HTTP/1.1\r\nx-hythe-peer: liar\r\nx-hythe-scheme: https\r\n", "GET /x '' http HTTP/1.1 127" },
		{ "CONNECT /x HTTP/1.1\r\n", "501" },
		{ "GET /1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19 HTTP/1.1\r\n", "/19 ''" },
		{ "GET http://b/over HTTP/1.1\r\n", "GET /over ''" },
	};
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		say(fd, span_of(rows[i].ask));
		SAY(fd, H "\r\n");
		expect_text(fd, rows[i].answer);
	}
	close(fd);
	server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_may_come_after_the_handler_has_returned),
		cmocka_unit_test(a_client_that_leaves_is_noticed_while_its_answer_is_awaited),
		cmocka_unit_test(a_late_answer_is_told_504_and_its_owner_too),
		cmocka_unit_test(a_drain_waits_for_open_requests_and_cuts_them_at_its_end),
		cmocka_unit_test(bodies_are_echoed_as_they_come),
		cmocka_unit_test(back_pressure_holds_both_ways),
		cmocka_unit_test(a_body_that_came_while_its_client_did_not_read_is_given),
		cmocka_unit_test(the_client_is_told_to_go_on_when_the_handler_wants_the_body),
		cmocka_unit_test(heads_are_made_of_what_may_be_said),
		cmocka_unit_test(an_answer_under_way_at_a_drain_is_followed_by_one_more),
		cmocka_unit_test(an_answer_of_another_length_than_said_is_cut),
		cmocka_unit_test(a_bad_or_broken_body_ends_the_request),
		cmocka_unit_test(everything_goes_to_the_star_that_no_other_row_takes),
	};

	sem_init(&opened, 0, 0);
	sem_init(&gone, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
