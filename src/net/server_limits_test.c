/* SPDX-License-Identifier: Apache-2.0 */
/* server_limits_test - what a server refuses, how long it waits, and what it does when something runs out. */
#include "net/server_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void what_cannot_be_served_is_told_and_the_connection_ends(void **state)
{
	static const struct {
		struct span text;
		int status;
	} rows[] = {
		{ SPAN_INIT("GET /\r\n\r\n"), 400 },
		{ SPAN_INIT("GET / HTTP/1.1\r\n\r\n"), 400 },
		{ SPAN_INIT("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400 },
		{ SPAN_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400 },
		{ SPAN_INIT("GET / HTTP/3.0\r\n" H "\r\n"), 505 },
		{ SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"), 501 },
		{ SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nnope\r\n"), 400 },
		{ SPAN_INIT("POST /echo HTTP/1.1\r\n" H
			    "Transfer-Encoding: chunked\r\n\r\n51\r\n0123456789012345678901234567890123456789"
			    "01234567890123456789012345678901234567890\r\n0\r\n\r\n"),
		  413 },
		{ SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Content-Length: 99999999\r\n\r\n"), 413 },
		{ SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\n"), 413 },
		{ SPAN_INIT("POST /nowhere HTTP/1.1\r\n" H "Content-Length: 99999999\r\n\r\n"), 404 },
		{ SPAN_INIT("POST /nowhere HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 404 },
		{ SPAN_INIT("GET / HTTP/1.1\r\n" H
			    "A: 0123456789012345678901234567890123456789012345678901234567890123456789012345"
			    "678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
			    "6789\r\n\r\n"),
		  431 },
	};
	struct server_config config = config_default();
	struct server *s;

	(void)state;
	config.limits.body_bytes = 80;
	config.limits.header_bytes = 180;
	s = serve(&config);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buffer in;
		struct answer a;
		int fd = client(s);

		buffer_init(&in, MIB(1));
		say(fd, rows[i].text);
		take_answer(fd, &in, &a, false);
		if (a.status != rows[i].status)
			fail_msg("row %zu: %s", i, a.head);
		assert_true(has_line(&a, "\r\nConnection: close\r\n"));
		assert_int_equal(memcmp(a.body.ptr, "{\"error\":", 9), 0);
		buffer_done(&a.body);
		buffer_done(&in);
		expect_closed(fd);
	}
	server_free(s);
}

static void a_short_unwanted_body_does_not_cost_the_connection(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int fd;

	(void)state;
	config.limits.body_bytes = 10;
	s = serve(&config);
	fd = client(s);
	SAY(fd, "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n");
	expect(fd, 404, NULL);
	SAY(fd, "hello");
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\nhello world");
	expect(fd, 413, NULL);
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
	expect(fd, 200, "hello");
	close(fd);
	server_free(s);
}

/* The answer must not be lost to a reset because the client was still sending. */
static void an_early_answer_is_seen_by_a_client_that_goes_on_sending(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	struct buffer fill;

	(void)state;
	config.limits.body_bytes = KIB(100);
	s = serve(&config);
	buffer_init(&fill, MIB(4));
	for (size_t i = 0; i < MIB(2); i++)
		buffer_byte(&fill, 'x');
	for (int i = 0; i < 10; i++) {
		int fd = client(s);

		SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 2097152\r\n\r\n");
		say(fd, buffer_span(&fill));
		expect(fd, 413, NULL);
		expect_closed(fd);
	}
	buffer_done(&fill);
	server_free(s);
}

/* A server whose clients have said all before it is there: its times begin then, however late the test says it. */
static struct server *serve_told(struct server_config *config, const struct span *texts, size_t count, int *ret_fds)
{
	static char address[32];
	static const char *const addresses[] = { address };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listening = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(in);

	assert_int_equal(bind(listening, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(listening, (int)count), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&in, &len), 0);
	for (size_t i = 0; i < count; i++) {
		ret_fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(ret_fds[i], (struct sockaddr *)&in, sizeof(in)), 0);
		say(ret_fds[i], texts[i]);
	}
	snprintf(address, sizeof(address), "fd:%d", listening);
	config->addresses = addresses;
	return serve(config);
}

static void slow_requests_are_told_408_and_idle_connections_are_closed(void **state)
{
	enum { SLOW = 3, SILENT = SLOW, WHOLE, HTTP2, ROWS };
	static const struct span rows[ROWS] = {
		SPAN_INIT("GET /echo HTT"),
		SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhell"),
		SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhell"),
		[WHOLE] = SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"),
		[HTTP2] = SPAN_INIT("PRI * HTT"), /* the beginning of HTTP/2, and no more */
	};
	struct server_config config = config_default();
	struct server *s;
	int fds[ROWS];

	(void)state;
	config.limits.read_timeout_ms = 300;
	config.limits.idle_timeout_ms = 600;
	s = serve_told(&config, rows, ROWS, fds);
	for (size_t i = 0; i < SLOW; i++) {
		expect(fds[i], 408, NULL);
		expect_closed(fds[i]);
	}
	expect_closed(fds[SILENT]);
	expect(fds[WHOLE], 200, "hello");
	expect_closed(fds[WHOLE]);
	expect_closed(fds[HTTP2]);
	server_free(s);
}

/* The time of an idle connection passes while the answer is read: it is idle then, and closed when it passes again. */
static void a_client_that_has_read_late_is_idle_too(void **state)
{
	enum { SIZE = 20000000 };
	struct server_config config = config_default();
	struct server *s;
	struct buffer in;
	struct answer a;
	int fd;

	(void)state;
	config.limits.idle_timeout_ms = 200;
	s = serve(&config);
	fd = client(s);
	buffer_init(&in, MIB(32));
	for (int tries = 0; tries < 50; tries++) {
		SAY(fd, "GET /big?n=20000000 HTTP/1.1\r\n" H "\r\n");
		if (hear(fd, &in))
			break;
		close(fd); /* held up for longer than it may be idle: it has asked too late */
		fd = client(s);
	}
	usleep(600000);
	take_answer(fd, &in, &a, false);
	assert_int_equal(a.body.len, SIZE);
	buffer_done(&a.body);
	buffer_done(&in);
	expect_closed(fd);
	server_free(s);
}

static void a_request_that_takes_too_long_is_told_504(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int fd;

	(void)state;
	config.limits.request_timeout_ms = 2000; /* it is being worked on by then */
	s = serve(&config);
	fd = client(s);
	SAY(fd, "POST /hold HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
	sem_wait(&held);
	expect(fd, 504, NULL);
	expect_closed(fd);
	sem_post(&gate);
	fd = client(s);
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
	expect(fd, 200, "hi");
	close(fd);
	server_free(s);
}

static void a_full_queue_is_told_429(void **state)
{
	struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };
	struct server_config config = config_default();
	struct server *s;
	int fds[3], refused;

	(void)state;
	config.compute_threads = 1;
	config.limits.queue = 1;
	s = serve(&config);
	for (int i = 0; i < 3; i++)
		fds[i] = client(s);
	SAY(fds[0], "GET /hold HTTP/1.1\r\n" H "\r\n");
	sem_wait(&held);
	SAY(fds[1], "GET /hold HTTP/1.1\r\n" H "\r\n");
	SAY(fds[2], "GET /hold HTTP/1.1\r\n" H "\r\n");
	/* One is queued and the other refused; which of them comes first is the kernel's affair. */
	p[0].fd = fds[1];
	p[1].fd = fds[2];
	assert_int_equal(poll(p, 2, DEADLINE_MS), 1);
	refused = p[0].revents ? 1 : 2;
	expect(fds[refused], 429, NULL);
	sem_post(&gate);
	sem_post(&gate);
	expect(fds[0], 200, "held:");
	sem_wait(&held);
	expect(fds[3 - refused], 200, "held:");
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	server_free(s);
}

static void a_client_that_reads_nothing_is_cut(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	struct pollfd p = { .events = POLLHUP | POLLERR };
	int fd, small = 4096;

	(void)state;
	config.limits.write_timeout_ms = 50;
	s = serve(&config);
	fd = client(s);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	SAY(fd, "GET /big?n=20000000 HTTP/1.1\r\n" H "\r\n");
	p.fd = fd;
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1); /* the reset arrives without reading */
	close(fd);
	server_free(s);
}

static void a_connection_over_the_limit_is_told_503(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int fds[3];

	(void)state;
	config.limits.connections = 2;
	s = serve(&config);
	for (int i = 0; i < 2; i++) {
		fds[i] = client(s);
		SAY(fds[i], "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fds[i], 200, "");
	}
	fds[2] = client(s);
	SAY(fds[2], "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(fds[2], 503, NULL);
	expect_closed(fds[2]);
	SAY(fds[0], "GET /echo HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	expect(fds[0], 200, "");
	expect_closed(fds[0]);
	for (int status = 503; status == 503;) { /* until the server has seen that one is gone */
		struct buffer in;
		struct answer a;

		buffer_init(&in, MIB(1));
		fds[2] = client(s);
		SAY(fds[2], "GET /echo HTTP/1.1\r\n" H "\r\n");
		take_answer(fds[2], &in, &a, false);
		status = a.status;
		buffer_done(&in);
		buffer_done(&a.body);
		close(fds[2]);
	}
	close(fds[1]);
	server_free(s);
}

static void running_out_of_descriptors_is_survived(void **state)
{
	struct server *s = serve_default();
	struct rlimit old, low;
	int fds[64], count = 0, fd;

	(void)state;
	fd = client(s);
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "");
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	while (count < 64)
		fds[count++] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	low.rlim_cur = (rlim_t)fds[count - 1] + 1;
	setrlimit(RLIMIT_NOFILE, &low);
	/* Our own sockets exist already; the server finds none for its side. */
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		in.sin_port = htons((uint16_t)strtoul(strrchr(server_address(s, 0), ':') + 1, NULL, 10));
		assert_int_equal(connect(fds[i], (struct sockaddr *)&in, sizeof(in)), 0);
		SAY(fds[i], "GET /echo HTTP/1.1\r\n" H "\r\n");
	}
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "");
	setrlimit(RLIMIT_NOFILE, &old);
	for (int i = 0; i < 4; i++)
		expect(fds[i], 200, ""); /* accepted once there is room again */
	while (count > 0)
		close(fds[--count]);
	close(fd);
	server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_served_is_told_and_the_connection_ends),
		cmocka_unit_test(a_short_unwanted_body_does_not_cost_the_connection),
		cmocka_unit_test(an_early_answer_is_seen_by_a_client_that_goes_on_sending),
		cmocka_unit_test(slow_requests_are_told_408_and_idle_connections_are_closed),
		cmocka_unit_test(a_client_that_has_read_late_is_idle_too),
		cmocka_unit_test(a_request_that_takes_too_long_is_told_504),
		cmocka_unit_test(a_full_queue_is_told_429),
		cmocka_unit_test(a_client_that_reads_nothing_is_cut),
		cmocka_unit_test(a_connection_over_the_limit_is_told_503),
		cmocka_unit_test(running_out_of_descriptors_is_survived),
	};

	return cmocka_run_group_tests(tests, gates_init, NULL);
}
