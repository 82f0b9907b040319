/* SPDX-License-Identifier: Apache-2.0 */
/* upgrade_test - WebSocket's handshake over HTTP/1.1, and the tunnel behind it. */
#include "net/server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 60000 /* a test that waits longer has failed */
#define H           "Host: a\r\n"
#define KEY         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" /* RFC 6455 1.3 */
#define ASK         "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"

/* ---- what is served ---- */

static sem_t gone;
static enum error_code gone_code;

static void note_gone(struct request *req, const struct error *why)
{
	(void)req;
	gone_code = why->code;
	sem_post(&gone);
}

/* Sends back what comes; "bye" ends it from this side. */
static void tunnel_receive(struct request *req, struct span bytes, bool is_last)
{
	request_write(req, bytes);
	if (is_last) {
		request_write(req, SPAN("[end]"));
		request_end(req, NULL, 0);
	} else if (memmem(bytes.ptr, bytes.len, "bye", 3)) {
		request_end(req, NULL, 0);
	} else {
		request_want(req, bytes.len);
	}
}

static void socket_handle(struct request *req)
{
	static const struct request_flow flow = { .receive = tunnel_receive, .gone = note_gone };
	static const struct header fields[] = { { SPAN_INIT("Sec-WebSocket-Protocol"), SPAN_INIT("chat") },
						{ SPAN_INIT("Content-Length"), SPAN_INIT("7") } };

	if (!req->upgrade.len) {
		buffer_append(&req->out, SPAN("no socket"));
		request_send(req, 200, SPAN("text/plain"));
		return;
	}
	if (span_equal(req->upgrade, SPAN("websocket")))
		assert_int_equal(req->method, METHOD_GET);
	else
		assert_true(span_equal(req->upgrade, SPAN("SPDY/3.1")));
	request_open(req, &flow, NULL);
	if (request_query(req, SPAN("refuse"), &(struct span){ 0 })) {
		request_head(req, 403, SPAN(""), fields + 1, 1);
		request_write(req, SPAN("get out"));
		request_end(req, NULL, 0);
		return;
	}
	request_want(req, 16);
	request_head(req, 200, SPAN(""), fields, ARRAY_LEN(fields));
}

static void plain_handle(struct request *req)
{
	buffer_append(&req->out, SPAN("plain"));
	request_send(req, 200, SPAN("text/plain"));
}

static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/socket", socket_handle, &surface_plain, ROUTE_STREAM },
	{ METHOD_GET | METHOD_POST, "/spdy", socket_handle, &surface_plain, ROUTE_SPDY },
	{ METHOD_GET, "/plain", plain_handle, &surface_plain, ROUTE_HTTP },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

static struct server *serve(void)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	const struct server_config config = {
		.addresses = addresses,
		.address_count = 1,
		.routes = tables,
		.workers = 1,
		.compute_threads = 1,
		.limits = server_limits_default(),
	};
	struct error err = { 0 };
	struct server *s = server_new(&config, &err);

	if (!s || !server_start(s, &err))
		fail_msg("%s", err.message);
	return s;
}

/* ---- a client ---- */

static int client(const struct server *s)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons((uint16_t)strtoul(strrchr(server_address(s, 0), ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void say(int fd, struct span bytes)
{
	assert_int_equal(send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), bytes.len);
}

#define SAY(fd, literal) say((fd), SPAN(literal))

static bool hear(int fd, struct buffer *in)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *to = buffer_reserve(in, KIB(4));
	ssize_t n;

	assert_non_null(to);
	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail_msg("nothing came in time; so far: '%.*s'", (int)in->len, in->ptr);
	n = recv(fd, to, KIB(4), 0);
	if (n <= 0)
		return false;
	buffer_commit(in, (size_t)n);
	return true;
}

/* Reads up to and with the text; nothing may stand behind it. */
static void expect(int fd, const char *text)
{
	struct buffer in;
	size_t len = strlen(text);

	buffer_init(&in, MIB(1));
	while (in.len < len || !memmem(in.ptr, in.len, text, len))
		if (!hear(fd, &in))
			fail_msg("expected '%s', got '%.*s'", text, (int)in.len, in.ptr);
	assert_memory_equal(in.ptr + in.len - len, text, len);
	buffer_done(&in);
}

static void expect_end(int fd, const char *text)
{
	struct buffer in;

	buffer_init(&in, MIB(1));
	while (hear(fd, &in))
		;
	buffer_byte(&in, 0);
	assert_string_equal(in.ptr, text);
	buffer_done(&in);
	close(fd);
}

/* ---- tests ---- */

static void a_socket_is_opened_as_in_the_rfc_and_bytes_go_both_ways(void **state)
{
	struct server *s = serve();
	struct buffer in;
	int fd = client(s);

	(void)state;
	buffer_init(&in, MIB(1));
	SAY(fd, "GET /socket HTTP/1.1\r\n" H ASK KEY "\r\nearly"); /* bytes may follow at once */
	while (!in.len || !memmem(in.ptr, in.len, "early", 5))
		assert_true(hear(fd, &in));
	buffer_byte(&in, 0);
	assert_memory_equal(in.ptr, "HTTP/1.1 101 Switching Protocols\r\n", 34);
	assert_non_null(strstr(in.ptr, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_non_null(strstr(in.ptr, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
	assert_non_null(strstr(in.ptr, "\r\nSec-WebSocket-Protocol: chat\r\n"));
	assert_null(strstr(in.ptr, "Content-Length"));
	assert_null(strstr(in.ptr, "chunked"));
	buffer_done(&in);
	for (int i = 0; i < 100; i++) {
		SAY(fd, "0123456789abcdefghij");
		expect(fd, "0123456789abcdefghij");
	}
	SAY(fd, "bye");
	expect_end(fd, "bye");
	server_free(s);
}

static void spdy_is_spoken_where_the_route_says_so(void **state)
{
#define SPDY_ASK "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
	static const char *const heads[] = { "POST /spdy HTTP/1.1\r\n" H "Content-Length: 0\r\n" SPDY_ASK,
					     "GET /spdy HTTP/1.1\r\n" H SPDY_ASK };
	struct server *s = serve();
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		fd = client(s);
		say(fd, span_of(heads[i]));
		expect(fd, "\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
		SAY(fd, "there and back");
		expect(fd, "there and back");
		shutdown(fd, SHUT_WR);
		expect_end(fd, "[end]");
	}
	fd = client(s);
	SAY(fd, "GET /socket HTTP/1.1\r\n" H SPDY_ASK);
	expect(fd, "no socket"); /* an ordinary request */
	close(fd);
	server_free(s);
}

static void an_end_from_the_client_is_told_and_a_death_too(void **state)
{
	struct linger hard = { .l_onoff = 1 };
	struct server *s = serve();
	int fd = client(s);

	(void)state;
	SAY(fd, "GET /socket HTTP/1.1\r\n" H ASK KEY "\r\n");
	expect(fd, "\r\n\r\n");
	SAY(fd, "x");
	shutdown(fd, SHUT_WR);
	expect_end(fd, "x[end]");
	fd = client(s);
	SAY(fd, "GET /socket HTTP/1.1\r\n" H ASK KEY "\r\n");
	expect(fd, "\r\n\r\n");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
	sem_wait(&gone);
	assert_int_equal(gone_code, ERROR_CANCELLED);
	server_free(s);
}

static void handlers_may_refuse_and_the_connection_goes_on(void **state)
{
	struct server *s = serve();
	int fd = client(s);

	(void)state;
	SAY(fd, "GET /socket?refuse=1 HTTP/1.1\r\n" H ASK KEY "\r\n");
	expect(fd, "\r\n\r\nget out");
	SAY(fd, "GET /plain HTTP/1.1\r\n" H "\r\n");
	expect(fd, "plain");
	close(fd);
	server_free(s);
}

static void what_is_no_proper_request_is_refused_or_ordinary(void **state)
{
	static const struct {
		const char *ask, *answer;
	} rows[] = {
		{ "GET /socket HTTP/1.1\r\n" H ASK "\r\n", "HTTP/1.1 400 " },
		{ "GET /socket HTTP/1.1\r\n" H ASK KEY KEY "\r\n", "HTTP/1.1 400 " },
		{ "GET /socket HTTP/1.1\r\n" H ASK "Sec-WebSocket-Key: c2hvcnQ=\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET /socket HTTP/1.1\r\n" H ASK "Sec-WebSocket-Key: !!hlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		  "HTTP/1.1 400 " },
		{ "GET /socket HTTP/1.1\r\n" H ASK KEY "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 400 " },
		{ "POST /socket HTTP/1.1\r\n" H ASK KEY "\r\n", "HTTP/1.1 400 " },
		{ "GET /socket HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY "\r\n",
		  "sec-websocket-version: 13\r\n" },
		{ "GET /socket HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n" KEY
		  "Sec-WebSocket-Version: 8\r\n\r\n",
		  "HTTP/1.1 426 Upgrade Required" },
		{ "GET /socket HTTP/1.1\r\n" H "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY "\r\n",
		  "no socket" },
		{ "GET /socket HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "no socket" },
		{ "GET /socket HTTP/1.0\r\n" ASK KEY "\r\n", "no socket" },
		{ "GET /plain HTTP/1.1\r\n" H ASK KEY "\r\n", "plain" },
	};
	struct server *s = serve();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = client(s);
		struct buffer in;

		buffer_init(&in, MIB(1));
		say(fd, span_of(rows[i].ask));
		while (!in.len || !memmem(in.ptr, in.len, rows[i].answer, strlen(rows[i].answer)))
			if (!hear(fd, &in))
				fail_msg("row %zu: expected '%s', got '%.*s'", i, rows[i].answer, (int)in.len, in.ptr);
		buffer_done(&in);
		close(fd);
	}
	server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_is_opened_as_in_the_rfc_and_bytes_go_both_ways),
		cmocka_unit_test(spdy_is_spoken_where_the_route_says_so),
		cmocka_unit_test(an_end_from_the_client_is_told_and_a_death_too),
		cmocka_unit_test(handlers_may_refuse_and_the_connection_goes_on),
		cmocka_unit_test(what_is_no_proper_request_is_refused_or_ordinary),
	};

	sem_init(&gone, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
