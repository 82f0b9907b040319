/* SPDX-License-Identifier: Apache-2.0 */
/* server_test - requests in all shapes, as raw bytes. */
#include "net/kernel_kit.h"
#include "net/server_kit.h"

#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void a_connection_serves_many_requests(void **state)
{
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	for (int i = 0; i < 100; i++) {
		SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
		expect(fd, 200, "hello");
	}
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 3\r\n\r\nend");
	expect(fd, 200, "end");
	expect_closed(fd);
	server_free(s);
}

static void pipelined_requests_are_answered_in_order_and_in_one_piece(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	struct answer a;
	int fd = client(s);

	(void)state;
	buffer_init(&in, MIB(1));
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n1"
		"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"
		"GET /nowhere HTTP/1.1\r\n" H "\r\n"
		"POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n4");
	assert_true(hear(fd, &in));
	for (int i = 1; i <= 4; i++) {
		char text[2] = { (char)('0' + i), 0 };

		assert_non_null(memmem(in.ptr, in.len, "\r\n\r\n", 4)); /* all of it came with the first read */
		take_answer(fd, &in, &a, false);
		assert_int_equal(a.status, i == 3 ? 404 : 200);
		assert_true(i == 3 || body_is(&a, text));
		buffer_done(&a.body);
	}
	assert_int_equal(in.len, 0);
	buffer_done(&in);
	close(fd);
	server_free(s);
}

static void a_request_behind_an_offloaded_one_waits_for_it(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	struct answer a;
	int fd = client(s);

	(void)state;
	buffer_init(&in, MIB(1));
	SAY(fd, "POST /hold HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody"
		"POST /echo HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nsecond");
	sem_wait(&held);
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nthird"); /* comes while reading is paused */
	sem_post(&gate);
	take_answer(fd, &in, &a, false);
	assert_true(body_is(&a, "held:body"));
	buffer_done(&a.body);
	take_answer(fd, &in, &a, false);
	assert_true(body_is(&a, "second"));
	buffer_done(&a.body);
	take_answer(fd, &in, &a, false);
	assert_true(body_is(&a, "third"));
	buffer_done(&a.body);
	buffer_done(&in);
	close(fd);
	server_free(s);
}

static void bytes_may_come_one_at_a_time(void **state)
{
	static const struct span rows[] = {
		SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"),
		SPAN_INIT("\r\nPOST /echo HTTP/1.1\n" H
			  "Transfer-Encoding: chunked\n\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: v\r\n\r\n"),
	};
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < rows[i].len; k++)
			say(fd, span_first(span_skip(rows[i], k), 1));
		expect(fd, 200, "hello");
	}
	close(fd);
	server_free(s);
}

/* 5 MB there and back: the input grows while it comes, the answer leaves as it can. */
static void large_bodies_pass_both_ways(void **state)
{
	struct server *s = serve_default();
	struct buffer body, wire, in;
	int fd = client(s);

	(void)state;
	buffer_init(&body, MIB(8));
	buffer_init(&wire, MIB(16));
	for (unsigned i = 0; body.len < MIB(5); i++)
		buffer_print(&body, "%u,", i * 2654435761u);
	for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
		struct answer a;

		buffer_clear(&wire);
		buffer_init(&in, MIB(16));
		if (is_chunked) {
			buffer_append(&wire, SPAN("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"));
			for (size_t at = 0, n = 1; at < body.len; at += n, n = n * 7 % 9973 + 1) {
				n = MIN(n, body.len - at);
				buffer_print(&wire, "%zx\r\n", n);
				buffer_append(&wire, span_from(body.ptr + at, n));
				buffer_append(&wire, SPAN("\r\n"));
			}
			buffer_append(&wire, SPAN("0\r\n\r\n"));
		} else {
			buffer_print(&wire, "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", body.len);
			buffer_append(&wire, buffer_span(&body));
		}
		say(fd, buffer_span(&wire));
		take_answer(fd, &in, &a, false);
		assert_true(span_equal(buffer_span(&a.body), buffer_span(&body)));
		buffer_done(&a.body);
		buffer_done(&in);
	}
	buffer_done(&body);
	buffer_done(&wire);
	close(fd);
	server_free(s);
}

/* What the kernel had refused may all be gone when it is tried again: nothing is told of that. */
static void a_connection_hears_after_an_answer_that_was_refused_for_a_moment(void **state)
{
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	kernel_refuses();
	for (int i = 0; i < 2; i++) {
		struct buffer in;
		struct answer a;

		buffer_init(&in, MIB(16));
		SAY(fd, "GET /big?n=5000000 HTTP/1.1\r\n" H "\r\n");
		take_answer(fd, &in, &a, false);
		assert_int_equal(a.body.len, 5000000);
		assert_true(kernel_has_refused());
		buffer_done(&a.body);
		buffer_done(&in);
	}
	close(fd);
	server_free(s);
}

/* Two hundred answers of 64 KB asked for at once, read only afterwards. */
static void a_client_that_reads_late_gets_every_answer(void **state)
{
	enum { COUNT = 200, SIZE = 65536 };
	struct server *s = serve_default();
	struct buffer wire, in;
	int fd = client(s);

	(void)state;
	buffer_init(&wire, MIB(1));
	buffer_init(&in, MIB(64));
	for (int i = 0; i < COUNT; i++)
		buffer_print(&wire, "GET /big?n=%d HTTP/1.1\r\n" H "\r\n", SIZE + i);
	say(fd, buffer_span(&wire));
	for (int i = 0; i < COUNT; i++) {
		struct answer a;

		take_answer(fd, &in, &a, false);
		assert_int_equal(a.body.len, SIZE + i);
		buffer_done(&a.body);
	}
	buffer_done(&wire);
	buffer_done(&in);
	close(fd);
	server_free(s);
}

static void a_client_is_told_to_go_on_when_its_body_is_wanted(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	struct buffer in;
	int fd;

	(void)state;
	config.limits.body_bytes = 100;
	s = serve(&config);
	fd = client(s);
	buffer_init(&in, MIB(1));
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	while (in.len < 25)
		assert_true(hear(fd, &in));
	assert_true(span_equal(buffer_span(&in), SPAN("HTTP/1.1 100 Continue\r\n\r\n")));
	SAY(fd, "body");
	expect(fd, 200, "body");

	/* The body is there already: nothing to wait for. */
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nmore");
	expect(fd, 200, "more");

	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 101\r\n\r\n");
	expect(fd, 413, NULL);
	expect_closed(fd);

	fd = client(s);
	SAY(fd, "POST /nowhere HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	expect(fd, 404, NULL);
	expect_closed(fd);
	buffer_done(&in);
	server_free(s);
}

static void an_answer_without_a_body_has_none(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	struct answer a;
	int fd = client(s);

	(void)state;
	buffer_init(&in, MIB(1));
	SAY(fd,
	    "HEAD /big?n=1000 HTTP/1.1\r\n" H "\r\nGET /empty HTTP/1.1\r\n" H "\r\nGET /big?n=2 HTTP/1.1\r\n" H "\r\n");
	take_answer(fd, &in, &a, true);
	assert_int_equal(a.status, 200);
	assert_true(has_line(&a, "\r\nContent-Length: 1000\r\n"));
	buffer_done(&a.body);
	take_answer(fd, &in, &a, false);
	assert_int_equal(a.status, 204);
	assert_false(has_line(&a, "Content-Length"));
	assert_false(has_line(&a, "\r\nset-cookie")); /* a line break in a value opens no new line */
	buffer_done(&a.body);
	take_answer(fd, &in, &a, false);
	assert_true(body_is(&a, "ab"));
	assert_true(has_line(&a, "\r\nDate: "));
	assert_true(has_line(&a, " GMT\r\n"));
	buffer_done(&a.body);
	buffer_done(&in);
	close(fd);
	server_free(s);
}

static void http_1_0_closes_unless_asked_not_to(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	struct answer a;
	int fd = client(s);

	(void)state;
	buffer_init(&in, MIB(1));
	SAY(fd, "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1");
	take_answer(fd, &in, &a, false);
	assert_true(has_line(&a, "\r\nConnection: keep-alive\r\n"));
	buffer_done(&a.body);
	SAY(fd, "POST /echo HTTP/1.0\r\nContent-Length: 1\r\n\r\n2");
	take_answer(fd, &in, &a, false);
	assert_true(body_is(&a, "2"));
	assert_true(has_line(&a, "\r\nConnection: close\r\n"));
	buffer_done(&a.body);
	expect_closed(fd);
	buffer_done(&in);
	server_free(s);
}

static void a_client_that_shuts_its_side_still_gets_its_answer(void **state)
{
	struct server *s = serve_default();
	int fd = client(s);

	(void)state;
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
	shutdown(fd, SHUT_WR);
	expect(fd, 200, "hi");
	expect_closed(fd);

	fd = client(s);
	SAY(fd, "POST /hold HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
	sem_wait(&held);
	shutdown(fd, SHUT_WR);
	sem_post(&gate);
	expect(fd, 200, "held:hi");
	expect_closed(fd);
	server_free(s);
}

static void a_client_that_vanishes_costs_nothing(void **state)
{
	struct server *s = serve_default();
	int fd;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct linger reset = { .l_onoff = 1, .l_linger = 0 };

		fd = client(s);
		SAY(fd, "POST /hold HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
		sem_wait(&held);
		if (i % 2)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		sem_post(&gate);
	}
	fd = client(s);
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
	expect(fd, 200, "hi");
	close(fd);
	server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_serves_many_requests),
		cmocka_unit_test(pipelined_requests_are_answered_in_order_and_in_one_piece),
		cmocka_unit_test(a_request_behind_an_offloaded_one_waits_for_it),
		cmocka_unit_test(bytes_may_come_one_at_a_time),
		cmocka_unit_test(large_bodies_pass_both_ways),
		cmocka_unit_test(a_connection_hears_after_an_answer_that_was_refused_for_a_moment),
		cmocka_unit_test(a_client_that_reads_late_gets_every_answer),
		cmocka_unit_test(a_client_is_told_to_go_on_when_its_body_is_wanted),
		cmocka_unit_test(an_answer_without_a_body_has_none),
		cmocka_unit_test(http_1_0_closes_unless_asked_not_to),
		cmocka_unit_test(a_client_that_shuts_its_side_still_gets_its_answer),
		cmocka_unit_test(a_client_that_vanishes_costs_nothing),
	};

	return cmocka_run_group_tests(tests, gates_init, NULL);
}
