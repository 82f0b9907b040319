/* SPDX-License-Identifier: Apache-2.0 */
/* The whole room at once: a server in this process, and clients that write and read raw bytes. */
#include "net/server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"

#define DEADLINE_MS 20000 /* a test that waits longer has failed */
#define H           "Host: a\r\n"

/* ---- routes ---- */

static sem_t gate, held; /* /hold: posts `held` on a compute thread, then waits for `gate` */

static void echo(struct request *req)
{
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("text/plain"));
}

static void hold_step(struct request *req)
{
	sem_post(&held);
	sem_wait(&gate);
	buffer_append(&req->out, SPAN("held:"));
	buffer_append(&req->out, req->body); /* sanitizers see if the body is gone */
	request_send(req, 200, SPAN("text/plain"));
}

static void hold(struct request *req)
{
	request_offload(req, hold_step);
}

static void big(struct request *req)
{
	struct span text;
	uint64_t size = 0;

	if (request_query(req, SPAN("n"), &text))
		assert_true(number_parse_uint64(text, &size));
	for (uint64_t i = 0; i < size; i++)
		buffer_byte(&req->out, (char)('a' + i % 26));
	request_send(req, 200, SPAN("text/plain"));
}

static void empty(struct request *req)
{
	request_set_header(req, SPAN("x-note"), SPAN("a\r\nset-cookie: evil"));
	request_send(req, 204, (struct span){ 0 });
}

static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/echo", echo, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET | METHOD_POST, "/hold", hold, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/big", big, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/empty", empty, &surface_plain, ROUTE_HTTP },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

/* ---- a server ---- */

static struct server_config config_default(void)
{
	static const char *const addresses[] = { "127.0.0.1:0" };

	return (struct server_config){
		.addresses = addresses,
		.address_count = 1,
		.routes = tables,
		.workers = 1,
		.compute_threads = 2,
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

/* ---- a client ---- */

static int connect_text(const char *address)
{
	int fd, on = 1;

	if (strncmp(address, "unix:", 5) == 0) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
			return fd;
	} else {
		bool is_v6 = address[0] == '[';
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };

		in.sin_port = in6.sin6_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
		fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (connect(fd, is_v6 ? (void *)&in6 : (void *)&in, is_v6 ? sizeof(in6) : sizeof(in)) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

static int client(const struct server *s)
{
	int fd = connect_text(server_address(s, 0));

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

/* Reads some more; false at the end of the stream. */
static bool hear(int fd, struct buffer *in)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *to = buffer_reserve(in, KIB(64));
	ssize_t n;

	assert_non_null(to);
	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail_msg("no answer in time; so far: '%.*s'", (int)in->len, in->ptr);
	n = recv(fd, to, KIB(64), 0);
	if (n <= 0)
		return false;
	buffer_commit(in, (size_t)n);
	return true;
}

struct answer {
	int status;
	char head[2048];
	struct buffer body;
};

static bool has_line(const struct answer *a, const char *line)
{
	return strstr(a->head, line) != NULL;
}

/* Takes one answer with Content-Length (or none) off the front of `in`, reading more as needed. */
static void take_answer(int fd, struct buffer *in, struct answer *ret, bool is_head)
{
	const char *end, *length;
	size_t body = 0, head;

	while (!in->len || !(end = memmem(in->ptr, in->len, "\r\n\r\n", 4))) {
		if (!hear(fd, in))
			fail_msg("closed before a whole head: '%.*s'", (int)in->len, in->ptr);
	}
	head = (size_t)(end - in->ptr) + 4;
	assert_true(head < sizeof(ret->head));
	memcpy(ret->head, in->ptr, head);
	ret->head[head] = 0;
	assert_int_equal(memcmp(ret->head, "HTTP/1.1 ", 9), 0);
	ret->status = (int)strtol(ret->head + 9, NULL, 10);
	length = strstr(ret->head, "\r\nContent-Length: ");
	if (length && !is_head)
		body = (size_t)strtoull(length + 18, NULL, 10);
	while (in->len < head + body) {
		if (!hear(fd, in))
			fail_msg("closed before a whole body");
	}
	buffer_init(&ret->body, MIB(256));
	buffer_append(&ret->body, span_from(in->ptr + head, body));
	buffer_drop(in, head + body);
}

static bool body_is(struct answer *a, const char *text)
{
	return span_equal(buffer_span(&a->body), span_of(text));
}

/* Reads one answer, checks the status and that nothing stands behind it; frees the rest. */
static void expect(int fd, int status, const char *body)
{
	struct buffer in;
	struct answer a;

	buffer_init(&in, MIB(256));
	take_answer(fd, &in, &a, false);
	if (a.status != status || (body && !body_is(&a, body)))
		fail_msg("expected %d '%s', got %s%.*s", status, body ? body : "", a.head, (int)a.body.len, a.body.ptr);
	assert_int_equal(in.len, 0);
	buffer_done(&a.body);
	buffer_done(&in);
}

static void expect_closed(int fd)
{
	struct buffer in;

	buffer_init(&in, MIB(1));
	assert_false(hear(fd, &in));
	buffer_done(&in);
	close(fd);
}

/* ---- requests in all shapes ---- */

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

/* ---- refusals ---- */

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

static void slow_requests_are_told_408_and_idle_connections_are_closed(void **state)
{
	static const struct span rows[] = {
		SPAN_INIT("GET /echo HTT"),
		SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhell"),
		SPAN_INIT("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhell"),
	};
	struct server_config config = config_default();
	struct server *s;
	int fd;

	(void)state;
	config.limits.read_timeout_ms = 30;
	config.limits.idle_timeout_ms = 60;
	s = serve(&config);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fd = client(s);
		say(fd, rows[i]);
		expect(fd, 408, NULL);
		expect_closed(fd);
	}
	fd = client(s);
	expect_closed(fd);
	fd = client(s);
	SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
	expect(fd, 200, "hello");
	expect_closed(fd);
	fd = client(s);
	SAY(fd, "PRI * HTT"); /* the beginning of HTTP/2, and no more */
	expect_closed(fd);
	server_free(s);
}

static void a_request_that_takes_too_long_is_told_504(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int fd;

	(void)state;
	config.limits.request_timeout_ms = 50;
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
	struct server_config config = config_default();
	struct server *s;
	int fds[3];

	(void)state;
	config.compute_threads = 1;
	config.limits.queue = 1;
	s = serve(&config);
	for (int i = 0; i < 3; i++)
		fds[i] = client(s);
	SAY(fds[0], "GET /hold HTTP/1.1\r\n" H "\r\n");
	sem_wait(&held);
	SAY(fds[1], "GET /hold HTTP/1.1\r\n" H "\r\nGET /nowhere HTTP/1.1\r\n" H "\r\n");
	/* The second is queued once the third, on another connection of the same loop, is refused. */
	for (;;) {
		struct buffer in;
		struct answer a;

		buffer_init(&in, MIB(1));
		SAY(fds[2], "GET /hold HTTP/1.1\r\n" H "\r\n");
		take_answer(fds[2], &in, &a, false);
		buffer_done(&in);
		buffer_done(&a.body);
		assert_int_equal(a.status, 429);
		break;
	}
	sem_post(&gate);
	sem_post(&gate);
	expect(fds[0], 200, "held:");
	sem_wait(&held);
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

/* ---- draining ---- */

static void a_drain_answers_what_was_accepted_and_closes_the_rest(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	struct answer a;
	int idle = client(s), busy = client(s), late;

	(void)state;
	buffer_init(&in, MIB(1));
	SAY(idle, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(idle, 200, "");
	SAY(busy, "GET /hold HTTP/1.1\r\n" H "\r\n");
	sem_wait(&held);
	server_drain(s);
	server_drain(s);
	assert_true(server_is_draining(s));
	expect_closed(idle);
	late = connect_text(server_address(s, 0)); /* the listener is gone */
	assert_true(late < 0);
	sem_post(&gate);
	take_answer(busy, &in, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(has_line(&a, "\r\nConnection: close\r\n"));
	buffer_done(&a.body);
	buffer_done(&in);
	expect_closed(busy);
	server_wait(s);
	server_free(s);
}

static void a_drain_cuts_what_is_left_at_its_end(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int half, busy;

	(void)state;
	config.limits.drain_timeout_ms = 50;
	s = serve(&config);
	half = client(s);
	busy = client(s);
	SAY(half, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhel");
	SAY(busy, "GET /hold HTTP/1.1\r\n" H "\r\n");
	sem_wait(&held);
	server_drain(s);
	expect_closed(half);
	expect_closed(busy);
	sem_post(&gate);
	server_wait(s);
	server_free(s);
}

struct hammer {
	const char *address;
	int answered;
};

/* Asks until the server says close; then counts what was asked and not answered: nothing may be. */
static void *hammer(void *argument)
{
	struct hammer *h = argument;
	struct buffer in;
	int fd = connect_text(h->address);

	assert_true(fd >= 0);
	sem_post(&held);
	buffer_init(&in, MIB(1));
	for (bool goes_on = true; goes_on; h->answered++) {
		struct answer a;

		SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
		while (!in.len || !memmem(in.ptr, in.len, "\r\n\r\n", 4)) {
			if (!hear(fd, &in)) {
				/* Closed while idle: the request crossed the close on its way, as it may (RFC
				 * 9112 9.6). */
				assert_int_equal(in.len, 0);
				buffer_done(&in);
				close(fd);
				return NULL;
			}
		}
		take_answer(fd, &in, &a, false);
		assert_int_equal(a.status, 200);
		goes_on = !has_line(&a, "\r\nConnection: close\r\n");
		buffer_done(&a.body);
	}
	buffer_done(&in);
	expect_closed(fd);
	return NULL;
}

static void a_drain_under_load_ends_every_connection_in_order(void **state)
{
	enum { CLIENTS = 4 };

	(void)state;
	for (int round = 0; round < 5; round++) {
		struct server_config config = config_default();
		struct hammer hammers[CLIENTS];
		pthread_t threads[CLIENTS];
		struct server *s;
		int fd;

		config.workers = 2;
		s = serve(&config);
		for (int i = 0; i < CLIENTS; i++) {
			hammers[i] = (struct hammer){ .address = server_address(s, 0) };
			assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
		}
		fd = client(s);
		for (int i = 0; i < 50; i++) {
			SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
			expect(fd, 200, "");
		}
		close(fd);
		for (int i = 0; i < CLIENTS; i++)
			sem_wait(&held); /* connected */
		server_drain(s);
		for (int i = 0; i < CLIENTS; i++)
			pthread_join(threads[i], NULL);
		server_free(s);
	}
}

/* ---- addresses ---- */

static void bad_addresses_are_refused_with_a_reason(void **state)
{
	static const char *const rows[] = {
		"",
		"8080",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:http",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		"::1:8080",
		"[::1]",
		"[]:80",
		"unix:",
		"unix:/nowhere/at/all/socket",
		"198.51.100.7:8080",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server_config config = config_default();
		struct error err = { 0 };

		config.addresses = &rows[i];
		assert_null(server_new(&config, &err));
		assert_true(err.code != ERROR_NONE && strlen(err.message) > 10);
	}
}

static void workers_share_a_port_and_other_servers_do_not(void **state)
{
	struct server_config config = config_default();
	struct error err = { 0 };
	const char *address;
	struct server *s;

	(void)state;
	config.workers = 4;
	s = serve(&config);
	assert_int_equal(server_worker_count(s), 4);
	for (int i = 0; i < 40; i++) {
		int fd = client(s);

		SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fd, 200, "");
		close(fd);
	}
	address = server_address(s, 0);
	config.addresses = &address;
	assert_null(server_new(&config, &err));
	assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
	assert_non_null(strstr(err.message, "taken"));
	server_free(s);
}

static void every_address_is_served_by_a_port_alone(void **state)
{
	static const char *const addresses[] = { ":0", "localhost:0" };
	struct server_config config = config_default();
	struct server *s;
	char text[64];
	int fd;

	(void)state;
	config.addresses = addresses;
	config.address_count = 2;
	s = serve(&config);
	snprintf(text, sizeof(text), "127.0.0.1%s", strrchr(server_address(s, 0), ':'));
	fd = connect_text(text);
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "");
	close(fd);
	fd = connect_text(server_address(s, 0));
	if (fd >= 0) { /* not where IPv6 is switched off */
		SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fd, 200, "");
		close(fd);
	}
	fd = connect_text(server_address(s, 1));
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "");
	close(fd);
	server_free(s);
}

static void a_unix_socket_is_served_guarded_and_removed(void **state)
{
	struct server_config config = config_default();
	struct error err = { 0 };
	struct server *s;
	struct stat st;
	char folder[] = "/tmp/hythe-test-XXXXXX", address[64];
	const char *addresses = address;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(address, sizeof(address), "unix:%s/socket", folder);
	config.addresses = &addresses;
	config.workers = 3;

	/* What a killed process left behind: bound, and nobody listens. */
	{
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
		close(fd);
	}
	s = serve(&config);
	assert_string_equal(server_address(s, 0), address);
	for (int i = 0; i < 30; i++) {
		fd = client(s);
		SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fd, 200, "");
		close(fd);
	}
	assert_null(server_new(&config, &err));
	assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
	server_free(s);
	assert_int_equal(stat(address + 5, &st), -1);

	/* A file that is no socket is nobody's to remove. */
	fclose(fopen(address + 5, "w"));
	assert_null(server_new(&config, &err));
	assert_int_equal(stat(address + 5, &st), 0);
	unlink(address + 5);
	rmdir(folder);
}

/* ---- TLS ---- */

static char tls_folder[64], cert_path[96], key_path[96], other_key_path[96], locked_key_path[96], broken_path[96];

static void write_key(const char *path, EVP_PKEY *key, const EVP_CIPHER *cipher)
{
	FILE *file = fopen(path, "w");

	assert_int_equal(
	    PEM_write_PrivateKey(file, key, cipher, (const unsigned char *)"secret", cipher ? 6 : 0, NULL, NULL), 1);
	fclose(file);
}

static void write_certificate(const char *path, EVP_PKEY *key, long serial)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	FILE *file = fopen(path, "w");

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, name);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, x), 1);
	fclose(file);
	X509_free(x);
}

static void tls_files(long serial)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	FILE *file;

	if (!tls_folder[0]) {
		snprintf(tls_folder, sizeof(tls_folder), "/tmp/hythe-tls-XXXXXX");
		assert_non_null(mkdtemp(tls_folder));
		snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", tls_folder);
		snprintf(key_path, sizeof(key_path), "%s/key.pem", tls_folder);
		snprintf(other_key_path, sizeof(other_key_path), "%s/other.pem", tls_folder);
		snprintf(locked_key_path, sizeof(locked_key_path), "%s/locked.pem", tls_folder);
		snprintf(broken_path, sizeof(broken_path), "%s/broken.pem", tls_folder);
	}
	write_key(key_path, key, NULL);
	write_key(other_key_path, other, NULL);
	write_key(locked_key_path, key, EVP_aes_256_cbc());
	write_certificate(cert_path, key, serial);
	file = fopen(broken_path, "w");
	fputs("not PEM at all\n", file);
	fclose(file);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static int tls_files_remove(void **state)
{
	(void)state;
	unlink(cert_path);
	unlink(key_path);
	unlink(other_key_path);
	unlink(locked_key_path);
	unlink(broken_path);
	rmdir(tls_folder);
	return 0;
}

static struct server_config config_tls(void)
{
	struct server_config config = config_default();

	config.tls_certificate = cert_path;
	config.tls_key = key_path;
	return config;
}

struct tls_client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

/* False when the handshake fails. */
static bool tls_connect(const struct server *s, struct tls_client *c, const char *alpn, int most_version, bool has_cert)
{
	c->context = SSL_CTX_new(TLS_client_method());
	if (most_version) {
		SSL_CTX_set_min_proto_version(c->context, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(c->context, most_version);
		SSL_CTX_set_security_level(c->context, 0);
	}
	if (has_cert) {
		SSL_CTX_use_certificate_chain_file(c->context, cert_path);
		SSL_CTX_use_PrivateKey_file(c->context, key_path, SSL_FILETYPE_PEM);
	}
	c->ssl = SSL_new(c->context);
	c->fd = client(s);
	SSL_set_fd(c->ssl, c->fd);
	if (alpn)
		SSL_set_alpn_protos(c->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	return SSL_connect(c->ssl) == 1;
}

static void tls_close(struct tls_client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->context);
	close(c->fd);
	ERR_clear_error();
}

static void tls_ask(struct tls_client *c, struct span request, struct span answer_end, struct buffer *in)
{
	int n;

	assert_int_equal(SSL_write(c->ssl, request.ptr, (int)request.len), (int)request.len);
	while (!span_ends(buffer_span(in), answer_end)) {
		char *to = buffer_reserve(in, KIB(16));

		n = SSL_read(c->ssl, to, (int)KIB(16));
		assert_true(n > 0);
		buffer_commit(in, (size_t)n);
	}
}

static void tls_serves_http_1_1_with_and_without_alpn(void **state)
{
	static const char *const offers[] = { NULL, "\x08http/1.1", "\x06spdy/1" };
	struct server_config config;
	struct server *s;
	struct buffer big_request;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	buffer_init(&big_request, MIB(1));
	buffer_print(&big_request, "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", KIB(300));
	for (size_t i = 0; i < KIB(300); i++)
		buffer_byte(&big_request, i + 1 == KIB(300) ? '!' : 'x');
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		struct tls_client c;
		struct buffer in;

		buffer_init(&in, MIB(1));
		assert_true(tls_connect(s, &c, offers[i], 0, false));
		for (int k = 0; k < 3; k++) {
			buffer_clear(&in);
			tls_ask(&c, SPAN("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), SPAN("hello"),
				&in);
		}
		buffer_clear(&in);
		tls_ask(&c, buffer_span(&big_request), SPAN("!"), &in);
		assert_true(in.len > KIB(300));
		/* Close is told in TLS too. */
		buffer_clear(&in);
		tls_ask(&c, SPAN("POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 3\r\n\r\nend"),
			SPAN("end"), &in);
		assert_true(SSL_read(c.ssl, in.ptr, 10) <= 0);
		assert_int_equal(SSL_get_shutdown(c.ssl), SSL_RECEIVED_SHUTDOWN);
		tls_close(&c);
		buffer_done(&in);
	}
	buffer_done(&big_request);
	server_free(s);
}

static void tls_chooses_http_2_by_alpn(void **state)
{
	static const char client_start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct server_config config;
	const unsigned char *chosen;
	struct tls_client c;
	unsigned chosen_len;
	struct server *s;
	char frame[9];

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	assert_true(tls_connect(s, &c, "\x02h2\x08http/1.1", 0, false));
	SSL_get0_alpn_selected(c.ssl, &chosen, &chosen_len);
	assert_int_equal(chosen_len, 2);
	assert_int_equal(SSL_write(c.ssl, client_start, sizeof(client_start) - 1), sizeof(client_start) - 1);
	assert_int_equal(SSL_read(c.ssl, frame, 9), 9);
	assert_int_equal(frame[3], 4); /* SETTINGS */
	tls_close(&c);
	server_free(s);
}

static void old_tls_and_clear_text_are_refused(void **state)
{
	struct server_config config;
	struct tls_client c;
	struct server *s;
	int fd;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	assert_false(tls_connect(s, &c, NULL, TLS1_1_VERSION, false));
	tls_close(&c);
	assert_true(tls_connect(s, &c, NULL, TLS1_2_VERSION, false));
	tls_close(&c);
	fd = client(s);
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	shutdown(fd, SHUT_WR);
	{
		struct buffer in;

		buffer_init(&in, MIB(1));
		while (hear(fd, &in))
			;
		assert_true(!in.len || !memmem(in.ptr, in.len, "HTTP", 4));
		buffer_done(&in);
	}
	close(fd);
	server_free(s);
}

static void a_handshake_that_stalls_is_cut(void **state)
{
	struct server_config config;
	struct server *s;

	(void)state;
	tls_files(1);
	config = config_tls();
	config.limits.read_timeout_ms = 30;
	s = serve(&config);
	expect_closed(client(s));
	server_free(s);
}

static void client_certificates_are_asked_for(void **state)
{
	struct server_config config;
	struct tls_client c;
	struct server *s;
	struct buffer in;
	char byte;

	(void)state;
	tls_files(1);
	config = config_tls();
	config.tls_client_ca = cert_path; /* self-signed: its own authority */
	s = serve(&config);
	/* TLS 1.3: the refusal comes after the client thinks it is done. */
	if (tls_connect(s, &c, NULL, 0, false))
		assert_true(SSL_read(c.ssl, &byte, 1) <= 0);
	tls_close(&c);
	assert_true(tls_connect(s, &c, NULL, 0, true));
	buffer_init(&in, MIB(1));
	tls_ask(&c, SPAN("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), SPAN("hello"), &in);
	buffer_done(&in);
	tls_close(&c);
	server_free(s);
}

static long peer_serial(const struct server *s)
{
	struct tls_client c;
	X509 *x;
	long serial;

	assert_true(tls_connect(s, &c, NULL, 0, false));
	x = SSL_get1_peer_certificate(c.ssl);
	serial = ASN1_INTEGER_get(X509_get_serialNumber(x));
	X509_free(x);
	tls_close(&c);
	return serial;
}

static void a_reload_serves_the_new_certificate_and_keeps_the_old_on_errors(void **state)
{
	struct server_config config;
	struct error err = { 0 };
	struct tls_client old;
	struct server *s;
	struct buffer in;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	assert_true(tls_connect(s, &old, NULL, 0, false));
	assert_int_equal(peer_serial(s), 1);
	tls_files(2);
	assert_true(server_reload_tls(s, &err));
	assert_int_equal(peer_serial(s), 2);
	unlink(key_path);
	assert_false(server_reload_tls(s, &err));
	assert_non_null(strstr(err.message, key_path));
	assert_int_equal(peer_serial(s), 2);
	buffer_init(&in, MIB(1));
	tls_ask(&old, SPAN("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), SPAN("hello"), &in);
	buffer_done(&in);
	tls_close(&old);
	server_free(s);
}

static void bad_certificates_are_refused_with_the_file_and_the_reason(void **state)
{
	struct error err = { 0 };

	(void)state;
	tls_files(1);
	{
		const struct {
			const char *certificate, *key, *ca, *path, *words;
		} rows[] = {
			{ "/nowhere/cert.pem", key_path, NULL, "/nowhere/cert.pem", "No such file" },
			{ cert_path, "/nowhere/key.pem", NULL, "/nowhere/key.pem", "No such file" },
			{ broken_path, key_path, NULL, broken_path, "PEM" },
			{ cert_path, broken_path, NULL, broken_path, "PEM" },
			{ cert_path, other_key_path, NULL, other_key_path, "does not belong" },
			{ cert_path, locked_key_path, NULL, locked_key_path, "passphrase" },
			{ cert_path, key_path, broken_path, broken_path, "PEM" },
			{ cert_path, key_path, "/nowhere/ca.pem", "/nowhere/ca.pem", "No such file" },
			{ cert_path, NULL, NULL, "key", "both" },
			{ NULL, key_path, NULL, "certificate", "both" },
			{ NULL, NULL, cert_path, "client CA", "TLS is off" },
		};

		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			struct server_config config = config_default();

			config.tls_certificate = rows[i].certificate;
			config.tls_key = rows[i].key;
			config.tls_client_ca = rows[i].ca;
			assert_null(server_new(&config, &err));
			if (!strstr(err.message, rows[i].path) || !strstr(err.message, rows[i].words))
				fail_msg("row %zu: %s", i, err.message);
		}
	}
}

static int setup(void **state)
{
	(void)state;
	sem_init(&gate, 0, 0);
	sem_init(&held, 0, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_serves_many_requests),
		cmocka_unit_test(pipelined_requests_are_answered_in_order_and_in_one_piece),
		cmocka_unit_test(a_request_behind_an_offloaded_one_waits_for_it),
		cmocka_unit_test(bytes_may_come_one_at_a_time),
		cmocka_unit_test(large_bodies_pass_both_ways),
		cmocka_unit_test(a_client_that_reads_late_gets_every_answer),
		cmocka_unit_test(a_client_is_told_to_go_on_when_its_body_is_wanted),
		cmocka_unit_test(an_answer_without_a_body_has_none),
		cmocka_unit_test(http_1_0_closes_unless_asked_not_to),
		cmocka_unit_test(a_client_that_shuts_its_side_still_gets_its_answer),
		cmocka_unit_test(a_client_that_vanishes_costs_nothing),
		cmocka_unit_test(what_cannot_be_served_is_told_and_the_connection_ends),
		cmocka_unit_test(a_short_unwanted_body_does_not_cost_the_connection),
		cmocka_unit_test(an_early_answer_is_seen_by_a_client_that_goes_on_sending),
		cmocka_unit_test(slow_requests_are_told_408_and_idle_connections_are_closed),
		cmocka_unit_test(a_request_that_takes_too_long_is_told_504),
		cmocka_unit_test(a_full_queue_is_told_429),
		cmocka_unit_test(a_client_that_reads_nothing_is_cut),
		cmocka_unit_test(a_connection_over_the_limit_is_told_503),
		cmocka_unit_test(running_out_of_descriptors_is_survived),
		cmocka_unit_test(a_drain_answers_what_was_accepted_and_closes_the_rest),
		cmocka_unit_test(a_drain_cuts_what_is_left_at_its_end),
		cmocka_unit_test(a_drain_under_load_ends_every_connection_in_order),
		cmocka_unit_test(bad_addresses_are_refused_with_a_reason),
		cmocka_unit_test(workers_share_a_port_and_other_servers_do_not),
		cmocka_unit_test(every_address_is_served_by_a_port_alone),
		cmocka_unit_test(a_unix_socket_is_served_guarded_and_removed),
		cmocka_unit_test(tls_serves_http_1_1_with_and_without_alpn),
		cmocka_unit_test(tls_chooses_http_2_by_alpn),
		cmocka_unit_test(old_tls_and_clear_text_are_refused),
		cmocka_unit_test(a_handshake_that_stalls_is_cut),
		cmocka_unit_test(client_certificates_are_asked_for),
		cmocka_unit_test(a_reload_serves_the_new_certificate_and_keeps_the_old_on_errors),
		cmocka_unit_test(bad_certificates_are_refused_with_the_file_and_the_reason),
	};

	return cmocka_run_group_tests(tests, setup, tls_files_remove);
}
