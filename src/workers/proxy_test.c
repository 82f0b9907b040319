/* SPDX-License-Identifier: Apache-2.0 */
/* Requests on their way to a worker and back. */
#include "workers/workers_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/client.h"

/* ---- requests and answers ---- */

static void a_request_goes_to_a_worker_and_its_answer_comes_back(void **state)
{
	struct front *f = front_new(1);

	(void)state;
	front_start(f);
	assert_string_equal(workers_kind(f->workers), "component");
	assert_string_equal(workers_text(f->workers), "test v1");
	expect(f, "POST /echo", 200, "hello");
	expect(f, "GET /nowhere", 404, "nowhere");
	assert_int_not_equal(worker_pid(f), getpid());
	front_stop(f);
}

static void the_head_is_passed_on_but_for_what_is_of_the_hop(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	int fd;

	(void)state;
	f->config.is_direct = false;
	front_start(f);
	fd = dial(f);
	SAY(fd, "GET /head?a=%20b HTTP/1.1\r\nHost: example.com\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-Own: 2\r\n"
		"X-Request-Id: mine\r\nX-Hythe-Peer: forged\r\nTraceparent: "
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
	reply_read(fd, &r);
	close(fd);
	assert_int_equal(r.status, 201);
	assert_non_null(strcasestr(r.head, "\r\nx-answer: yes\r\n"));
	assert_true(body_has(&r, "GET /head?a=%20b example.com\n"));
	assert_true(body_has(&r, "id=mine scheme=http version=HTTP/1.1 peer=127.0.0.1:"));
	assert_true(body_has(&r, "x-own: 2"));
	assert_true(body_has(&r, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
	assert_false(body_has(&r, "x-hop"));
	assert_false(body_has(&r, "forged"));
	reply_done(&r);
	front_stop(f);
}

static void bodies_of_any_length_flow_both_ways(void **state)
{
	struct front *f = front_new(1);
	size_t size = MIB(6);
	char *body = malloc(size);
	struct reply r;

	(void)state;
	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 7 + i / 4096);
	front_start(f);
	ask(f, "POST /echo", span_from(body, size), &r);
	assert_int_equal(r.status, 200);
	assert_true(span_equal(buffer_span(&r.body), span_from(body, size)));
	reply_done(&r);
	ask(f, "GET /stream?n=20000000", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	assert_true(span_starts(span_of(r.head), SPAN("HTTP/1.1 200 Fine\r\n")));
	assert_true(r.is_whole);
	assert_int_equal(r.body.len, 20000000);
	reply_done(&r);
	free(body);
	front_stop(f);
}

static void a_body_is_passed_on_as_it_comes(void **state)
{
	struct front *f = front_new(1);
	struct buffer in;
	int fd;

	(void)state;
	front_start(f);
	buffer_init(&in, MIB(1));
	fd = dial(f);
	SAY(fd,
	    "POST /back HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
	while (!in.len || !memmem(in.ptr, in.len, "first", 5))
		assert_true(hear(fd, &in));
	SAY(fd, "6\r\nsecond\r\n0\r\n\r\n");
	while (!memmem(in.ptr, in.len, "second", 6))
		assert_true(hear(fd, &in));
	close(fd);
	buffer_done(&in);
	front_stop(f);
}

static void a_websocket_is_a_tunnel(void **state)
{
	struct front *f = front_new(1);
	struct buffer in;
	int fd;

	(void)state;
	f->config.timeout_ms = 4000; /* which a quiet tunnel outlives */
	front_start(f);
	buffer_init(&in, MIB(1));
	fd = dial(f);
	SAY(fd, "GET /back HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		"13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	while (!in.len || !memmem(in.ptr, in.len, "\r\n\r\n", 4))
		assert_true(hear(fd, &in));
	assert_true(span_starts(buffer_span(&in), SPAN("HTTP/1.1 101 ")));
	assert_non_null(memmem(in.ptr, in.len, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28));
	for (int i = 0; i < 3; i++) {
		pause_ms(i == 1 ? 4500 : 0);
		buffer_clear(&in);
		SAY(fd, "\x81\x80mask");
		while (in.len < 6)
			assert_true(hear(fd, &in));
		assert_true(span_equal(buffer_span(&in), SPAN("\x81\x80mask")));
	}
	close(fd);
	expect(f, "POST /echo", 200, "hello"); /* the only place is free again */
	buffer_done(&in);
	front_stop(f);
}

static void an_answer_that_breaks_is_cut_for_the_client_too(void **state)
{
	struct front *f = front_new(1);
	struct reply r;

	(void)state;
	front_start(f);
	ask(f, "GET /broken?n=100000", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	assert_false(r.is_whole);
	reply_done(&r);
	expect(f, "POST /echo", 200, "hello");
	front_stop(f);
}

/* ---- quiet and slow ones ---- */

static void an_asynchronous_answer_may_be_quiet(void **state)
{
	struct front *f = front_new(1);
	struct buffer in;
	struct pollfd p;

	(void)state;
	f->config.timeout_ms = 4000;
	plan_write(f, "ok 2 asgi v1");
	front_start(f);
	buffer_init(&in, MIB(1));
	p = (struct pollfd){ ask_start(f, "GET /quiet?n=7", SPAN("")), POLLIN, 0 };
	while (!in.len || !memmem(in.ptr, in.len, "sssssss", 7))
		assert_true(hear(p.fd, &in));
	assert_int_equal(poll(&p, 1, 4500), 0); /* nothing comes, neither more of it nor its end */
	close(p.fd);
	buffer_done(&in);
	front_stop(f);
}

static void slow_clients_are_not_the_workers_fault(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	pid_t pid;
	int fd;

	(void)state;
	f->config.timeout_ms = 4000;
	front_start(f);
	pid = worker_pid(f);
	fd = ask_start(f, "GET /stream?n=20000000", SPAN(""));
	pause_ms(4500);
	reply_read(fd, &r);
	assert_true(r.is_whole);
	assert_int_equal(r.body.len, 20000000);
	reply_done(&r);
	close(fd);
	fd = dial(f);
	SAY(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\nfirst");
	pause_ms(4500);
	SAY(fd, "third");
	expect_reply(fd, 200, "firstthird");
	assert_int_equal(worker_pid(f), pid);
	front_stop(f);
}

/* ---- gRPC ---- */

struct grpc_call {
	struct loop *loop;
	struct client *client;
	struct timer late;
	int http_status;
	char status[8], message[256];
	struct buffer body;
	bool is_closed;
};

static void status_note(struct grpc_call *c, const struct header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (span_equal(headers[i].name, SPAN("grpc-status")))
			snprintf(c->status, sizeof(c->status), SPAN_FMT, SPAN_ARG(headers[i].value));
		if (span_equal(headers[i].name, SPAN("grpc-message")))
			snprintf(c->message, sizeof(c->message), SPAN_FMT, SPAN_ARG(headers[i].value));
	}
}

static void grpc_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct grpc_call *c = client_stream_owner(s);

	c->http_status = status;
	status_note(c, headers, count);
}

static void grpc_receive(struct client_stream *s, struct span bytes)
{
	struct grpc_call *c = client_stream_owner(s);

	buffer_append(&c->body, bytes);
	client_taken(s, bytes.len);
}

static void grpc_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	status_note(client_stream_owner(s), trailers, count);
}

static void grpc_closed(struct client_stream *s, const struct error *why)
{
	struct grpc_call *c = client_stream_owner(s);

	c->is_closed = !why;
	loop_stop(c->loop);
}

static void grpc_lost(struct client *client, const struct error *why)
{
	struct grpc_call *c = client_owner(client);

	(void)why;
	loop_stop(c->loop);
}

static void grpc_late(struct timer *t)
{
	loop_stop(CONTAINER_OF(t, struct grpc_call, late)->loop);
}

/* A unary call over HTTP/2, with a message of five bytes. */
static void grpc_ask(const struct front *f, struct span path, struct grpc_call *c)
{
	static const struct client_ops ops = { grpc_lost };
	static const struct client_stream_ops stream_ops = {
		.head = grpc_head, .receive = grpc_receive, .end = grpc_end, .closed = grpc_closed
	};
	const struct header headers[] = { { SPAN("content-type"), SPAN("application/grpc") },
					  { SPAN("te"), SPAN("trailers") } };
	struct client_head head = { .method = SPAN("POST"),
				    .scheme = SPAN("http"),
				    .authority = SPAN("a"),
				    .path = path,
				    .headers = headers,
				    .header_count = ARRAY_LEN(headers) };
	struct client_stream *s;

	*c = (struct grpc_call){ .loop = loop_new() };
	buffer_init(&c->body, MIB(1));
	c->client = client_new(c->loop, dial(f), &ops, c);
	s = client_open(c->client, &head, false, &stream_ops, c);
	client_write(s, SPAN("\0\0\0\0\5hello"));
	client_end(s);
	loop_timer_set(c->loop, &c->late, clock_monotonic_ns() + DEADLINE_MS * NS_PER_MS, grpc_late);
	loop_run(c->loop);
	loop_timer_clear(c->loop, &c->late);
	client_free(c->client);
	loop_free(c->loop);
}

static void grpc_calls_are_passed_on_and_failures_have_its_form(void **state)
{
	struct front *f = front_new(1);
	struct grpc_call c;

	(void)state;
	front_start(f);
	grpc_ask(f, SPAN("/test.Service/Echo"), &c);
	assert_true(c.is_closed);
	assert_int_equal(c.http_status, 200);
	assert_string_equal(c.status, "0");
	assert_true(span_equal(buffer_span(&c.body), SPAN("\0\0\0\0\5hello")));
	buffer_done(&c.body);
	grpc_ask(f, SPAN("/test.Service/Nothing"), &c);
	assert_string_equal(c.status, "12");
	buffer_done(&c.body);
	grpc_ask(f, SPAN("/test.Service/Crash"), &c);
	assert_true(c.is_closed);
	assert_int_equal(c.http_status, 200);
	assert_string_equal(c.status, "14");
	assert_non_null(strstr(c.message, "was killed by signal 11"));
	buffer_done(&c.body);
	front_stop(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_goes_to_a_worker_and_its_answer_comes_back),
		cmocka_unit_test(the_head_is_passed_on_but_for_what_is_of_the_hop),
		cmocka_unit_test(bodies_of_any_length_flow_both_ways),
		cmocka_unit_test(a_body_is_passed_on_as_it_comes),
		cmocka_unit_test(a_websocket_is_a_tunnel),
		cmocka_unit_test(an_answer_that_breaks_is_cut_for_the_client_too),
		cmocka_unit_test(an_asynchronous_answer_may_be_quiet),
		cmocka_unit_test(slow_clients_are_not_the_workers_fault),
		cmocka_unit_test(grpc_calls_are_passed_on_and_failures_have_its_form),
	};

	return KIT_RUN(argc, argv, tests);
}
