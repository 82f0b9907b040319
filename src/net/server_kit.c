/* SPDX-License-Identifier: Apache-2.0 */
/* server_kit - see server_kit.h */
#include "net/server_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/number.h"

/* ---- routes ---- */

sem_t gate, held;

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

/* What the client's certificate says: "good CN O,O" or "bad", "none". */
static void whoami(struct request *req)
{
	const struct client_certificate *c = request_client(req);

	if (!c) {
		buffer_append(&req->out, SPAN("none"));
	} else {
		buffer_print(&req->out, "%s " SPAN_FMT, c->is_good ? "good" : "bad", SPAN_ARG(c->common_name));
		for (size_t i = 0; i < c->organization_count; i++)
			buffer_print(&req->out, "%s" SPAN_FMT, i ? "," : " ", SPAN_ARG(c->organizations[i]));
		buffer_print(&req->out, " %zu", strlen(c->fingerprint));
	}
	buffer_byte(&req->out, '.');
	request_send(req, 200, SPAN("text/plain"));
}

static const struct route table[] = {
	{ METHOD_GET, "/whoami", whoami, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET | METHOD_POST, "/echo", echo, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET | METHOD_POST, "/hold", hold, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/big", big, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/empty", empty, &surface_plain, ROUTE_HTTP },
	{ 0 },
};
const struct route *const tables[] = { table, NULL };

/* ---- a server ---- */

struct server_config config_default(void)
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

struct server *serve(const struct server_config *config)
{
	struct error err = { 0 };
	struct server *s = server_new(config, &err);

	if (!s || !server_start(s, &err))
		fail_msg("%s", err.message);
	return s;
}

struct server *serve_default(void)
{
	struct server_config config = config_default();

	return serve(&config);
}

/* ---- a client ---- */

static uint64_t number_of(struct span text)
{
	uint64_t number = 0;

	assert_true(number_parse_uint64(text, &number));
	return number;
}

int connect_text(const char *address)
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

		in.sin_port = in6.sin6_port = htons((uint16_t)number_of(span_of(strrchr(address, ':') + 1)));
		fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (connect(fd, is_v6 ? (void *)&in6 : (void *)&in, is_v6 ? sizeof(in6) : sizeof(in)) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

int client(const struct server *s)
{
	int fd = connect_text(server_address(s, 0));

	assert_true(fd >= 0);
	return fd;
}

void say(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

		if (n < 0)
			return; /* closed by the server: the test looks at what it answered */
		bytes = span_skip(bytes, (size_t)n);
	}
}

bool hear(int fd, struct buffer *in)
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

bool has_line(const struct answer *a, const char *line)
{
	return strstr(a->head, line) != NULL;
}

void take_answer(int fd, struct buffer *in, struct answer *ret, bool is_head)
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
	ret->status = (int)number_of((struct span){ ret->head + 9, 3 });
	length = strstr(ret->head, "\r\nContent-Length: ");
	if (length && !is_head)
		body = (size_t)number_of((struct span){ length + 18, strcspn(length + 18, "\r") });
	while (in->len < head + body) {
		if (!hear(fd, in))
			fail_msg("closed before a whole body");
	}
	buffer_init(&ret->body, MIB(256));
	buffer_append(&ret->body, span_from(in->ptr + head, body));
	buffer_drop(in, head + body);
}

bool body_is(struct answer *a, const char *text)
{
	return span_equal(buffer_span(&a->body), span_of(text));
}

void expect(int fd, int status, const char *body)
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

void expect_closed(int fd)
{
	struct buffer in;

	buffer_init(&in, MIB(1));
	assert_false(hear(fd, &in));
	buffer_done(&in);
	close(fd);
}

int gates_init(void **state)
{
	(void)state;
	sem_init(&gate, 0, 0);
	sem_init(&held, 0, 0);
	return 0;
}
