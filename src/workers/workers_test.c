/* SPDX-License-Identifier: Apache-2.0 */
/* The whole room: a server in this process, workers in others (test_worker.c, the program's argument), clients. */
#include "workers/workers.h"

#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "workers/workers_private.h"

#define DEADLINE_MS 20000 /* a test that waits longer has failed */

static const char *test_worker;

/* ---- a front with workers ---- */

struct front {
	struct metrics *metrics;
	struct workers *workers;
	struct server *server;
	struct workers_config config;
	char plan[64], held_text[32], gate_text[32];
	const char *argv[3], *environment[3];
	int held[2], gate[2]; /* pipes; see test_worker.c */
	bool has_come_up;
	struct error failure;
};

static void plan_write(const struct front *f, const char *text)
{
	char next[80];
	int fd;

	snprintf(next, sizeof(next), "%s.next", f->plan);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(rename(next, f->plan), 0);
}

static struct front *front_new(unsigned count)
{
	struct front *f = calloc(1, sizeof(*f));

	snprintf(f->plan, sizeof(f->plan), "/tmp/hythe-workers-XXXXXX");
	close(mkstemp(f->plan));
	plan_write(f, "ok 1 component v1");
	assert_int_equal(pipe(f->held) | pipe(f->gate), 0);
	for (int i = 0; i < 2; i++) {
		fcntl(f->held[i], F_SETFD, i == 0 ? FD_CLOEXEC : 0);
		fcntl(f->gate[i], F_SETFD, i == 1 ? FD_CLOEXEC : 0);
	}
	snprintf(f->held_text, sizeof(f->held_text), "TEST_HELD=%d", f->held[1]);
	snprintf(f->gate_text, sizeof(f->gate_text), "TEST_GATE=%d", f->gate[0]);
	f->argv[0] = test_worker;
	f->argv[1] = f->plan;
	f->environment[0] = f->held_text;
	f->environment[1] = f->gate_text;
	f->metrics = metrics_new();
	f->config = (struct workers_config){
		.argv = f->argv,
		.environment = f->environment,
		.count = count,
		.timeout_ms = DEADLINE_MS,
		.start_timeout_ms = DEADLINE_MS,
		.graceful_timeout_ms = DEADLINE_MS,
		.queue_limit = 1000,
		.metrics = f->metrics,
	};
	return f;
}

static void front_try(struct front *f)
{
	static const struct route *const routes[] = { workers_routes, NULL };
	static const char *const addresses[] = { "127.0.0.1:0" };
	struct server_config config = {
		.addresses = addresses,
		.address_count = 1,
		.routes = routes,
		.workers = 1,
		.compute_threads = 1,
		.limits = server_limits_default(),
		.metrics = f->metrics,
		.worker_started = workers_loop_started,
	};

	config.context = f->workers = workers_new(&f->config);
	f->server = server_new(&config, &f->failure);
	if (!f->server || !server_start(f->server, &f->failure))
		fail_msg("%s", f->failure.message);
	f->has_come_up = workers_start(f->workers, &f->failure);
}

static void front_start(struct front *f)
{
	front_try(f);
	if (!f->has_come_up)
		fail_msg("%s", f->failure.message);
}

static void front_stop(struct front *f)
{
	server_drain(f->server);
	server_wait(f->server);
	workers_stop(f->workers);
	server_free(f->server);
	workers_free(f->workers);
	metrics_free(f->metrics);
	(void)unlink(f->plan);
	for (int i = 0; i < 2; i++) {
		close(f->held[i]);
		close(f->gate[i]);
	}
	free(f);
}

static void gate_open(const struct front *f)
{
	assert_int_equal(write(f->gate[1], "g", 1), 1);
}

static void held_wait(const struct front *f)
{
	struct pollfd p = { f->held[0], POLLIN, 0 };
	char byte;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(f->held[0], &byte, 1), 1);
}

/* ---- clients ---- */

static int dial(const struct front *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *address = server_address(f->server, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void say(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

		if (n < 0)
			return;
		bytes = span_skip(bytes, (size_t)n);
	}
}

#define SAY(fd, literal) say((fd), SPAN(literal))

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

struct reply {
	int status;
	char head[4096];
	struct buffer body;
	bool is_whole;
};

static void reply_done(struct reply *r)
{
	buffer_done(&r->body);
}

static bool chunks_take(struct reply *r, struct span rest)
{
	while (rest.len) {
		struct span line = span_trim(span_cut(&rest, '\n'));
		size_t size = (size_t)strtoull(line.ptr, NULL, 16);

		if (size == 0 && line.len)
			return span_ends(rest, SPAN("\r\n"));
		if (rest.len < size + 2)
			return false;
		buffer_append(&r->body, span_first(rest, size));
		rest = span_skip(rest, size + 2);
	}
	return false;
}

/* Reads an answer up to its end, which is that of the connection. */
static void reply_read(int fd, struct reply *r)
{
	struct buffer in;
	const char *end, *length;
	struct span rest;
	size_t head;

	buffer_init(&in, MIB(256));
	buffer_init(&r->body, MIB(256));
	while (hear(fd, &in))
		;
	end = in.len ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
	if (!end)
		fail_msg("no head: '%.*s'", (int)in.len, in.ptr);
	head = (size_t)(end - in.ptr) + 4;
	assert_true(head < sizeof(r->head));
	memcpy(r->head, in.ptr, head);
	r->head[head] = 0;
	r->status = atoi(r->head + 9);
	rest = span_skip(buffer_span(&in), head);
	length = strstr(r->head, "\r\nContent-Length: ");
	if (!length)
		length = strstr(r->head, "\r\ncontent-length: ");
	if (strcasestr(r->head, "\r\ntransfer-encoding: chunked")) {
		r->is_whole = chunks_take(r, rest);
	} else {
		buffer_append(&r->body, rest);
		r->is_whole = !length || strtoull(length + 18, NULL, 10) == rest.len;
	}
	buffer_done(&in);
}

static int ask_start(const struct front *f, const char *line, struct span body)
{
	char head[512];
	int fd = dial(f), len;

	len = snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
		       line, body.len);
	say(fd, span_from(head, (size_t)len));
	say(fd, body);
	return fd;
}

static void ask(const struct front *f, const char *line, struct span body, struct reply *r)
{
	int fd = ask_start(f, line, body);

	reply_read(fd, r);
	close(fd);
}

static bool body_has(const struct reply *r, const char *text)
{
	return r->body.len && memmem(r->body.ptr, r->body.len, text, strlen(text));
}

/* Asks, and checks status and a piece of the body. */
static void expect(const struct front *f, const char *line, int status, const char *text)
{
	struct reply r;

	ask(f, line, SPAN("hello"), &r);
	if (r.status != status || !body_has(&r, text))
		fail_msg("%s: expected %d '%s', got %s%.*s", line, status, text, r.head, (int)r.body.len, r.body.ptr);
	reply_done(&r);
}

static void expect_reply(int fd, int status, const char *text)
{
	struct reply r;

	reply_read(fd, &r);
	if (r.status != status || !body_has(&r, text))
		fail_msg("expected %d '%s', got %s%.*s", status, text, r.head, (int)r.body.len, r.body.ptr);
	reply_done(&r);
	close(fd);
}

/* The process that answers, by what it says of itself. */
static pid_t worker_pid(const struct front *f)
{
	struct reply r;
	pid_t pid;

	ask(f, "GET /about", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	buffer_byte(&r.body, 0);
	pid = atoi(r.body.ptr);
	reply_done(&r);
	return pid;
}

static void pause_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		int64_t until_ns = clock_monotonic_ns() + DEADLINE_MS * NS_PER_MS;                                     \
                                                                                                                       \
		while (!(condition)) {                                                                                 \
			if (clock_monotonic_ns() > until_ns)                                                           \
				fail_msg("not in time: %s", #condition);                                               \
			pause_ms(2);                                                                                   \
		}                                                                                                      \
	} while (0)

/* A line of /metrics that begins so: its number; -1 when there is none. */
static int64_t metric(const struct front *f, const char *series)
{
	struct reply r;
	char start[160];
	const char *at;
	int64_t value = -1;

	ask(f, "GET /metrics", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	buffer_byte(&r.body, 0);
	snprintf(start, sizeof(start), "\n%s ", series);
	at = strstr(r.body.ptr, start);
	if (at)
		value = atoll(at + strlen(start));
	reply_done(&r);
	return value;
}

/* ---- load: many requests at once, and what became of them ---- */

struct load {
	const struct front *front;
	const char *line;
	_Atomic bool is_over;
	_Atomic size_t good, bad_gateway, other;
	pthread_t threads[4];
};

static void *load_main(void *argument)
{
	struct load *l = argument;

	while (!l->is_over) {
		struct reply r;

		ask(l->front, l->line, SPAN("12345"), &r);
		if (r.status == 200 && r.is_whole)
			l->good++;
		else if (r.status == 502)
			l->bad_gateway++;
		else
			l->other++;
		reply_done(&r);
	}
	return NULL;
}

static void load_start(struct load *l, const struct front *f, const char *line)
{
	*l = (struct load){ .front = f, .line = line };
	for (size_t i = 0; i < ARRAY_LEN(l->threads); i++)
		assert_int_equal(pthread_create(&l->threads[i], NULL, load_main, l), 0);
}

static void load_stop(struct load *l)
{
	l->is_over = true;
	for (size_t i = 0; i < ARRAY_LEN(l->threads); i++)
		pthread_join(l->threads[i], NULL);
}

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
	f->config.timeout_ms = 100; /* which a quiet tunnel outlives */
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
		pause_ms(150);
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

/* ---- workers that die ---- */

static void a_crash_costs_the_request_and_is_told(void **state)
{
	struct front *f = front_new(1);
	pid_t pid;

	(void)state;
	front_start(f);
	pid = worker_pid(f);
	expect(f, "GET /crash", 502, "was killed by signal 11 (Segmentation fault)");
	assert_int_not_equal(worker_pid(f), pid); /* it waited for the next one */
	expect(f, "GET /exit", 502, "exited with status 3");
	expect(f, "POST /echo", 200, "hello");
	assert_int_equal(metric(f, "hythe_workers_ended_total{cause=\"signal\"}"), 1);
	assert_int_equal(metric(f, "hythe_workers_ended_total{cause=\"exit\"}"), 1);
	front_stop(f);
}

static void workers_killed_under_load_cost_only_what_they_had(void **state)
{
	struct front *f = front_new(2);
	struct load load;
	enum { KILLS = 5 };

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	load_start(&load, f, "POST /echo");
	for (int i = 0; i < KILLS; i++) {
		size_t before = load.good;

		assert_int_equal(kill(worker_pid(f), SIGKILL), 0);
		UNTIL(load.good > before + 20 && metric(f, "hythe_workers_ready") == 2);
	}
	load_stop(&load);
	assert_int_equal(load.other, 0);
	assert_true(load.bad_gateway <= KILLS); /* each had one at most */
	assert_int_equal(metric(f, "hythe_workers_ended_total{cause=\"signal\"}"), KILLS);
	front_stop(f);
}

static void a_hung_request_is_told_and_its_worker_replaced(void **state)
{
	struct front *f = front_new(1);
	pid_t pid;

	(void)state;
	f->config.timeout_ms = 200;
	front_start(f);
	pid = worker_pid(f);
	expect(f, "GET /hang", 504, "did not answer within 200 ms");
	assert_int_not_equal(worker_pid(f), pid);
	UNTIL(kill(pid, 0) != 0);
	expect(f, "POST /predict", 504, "{\"status\":{\"code\":-1,\"info\":\"worker ");
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"timeout\"}") == 2);
	front_stop(f);
}

static void the_others_of_a_hung_worker_are_answered(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	pid_t pid;
	int holding, hanging;

	(void)state;
	f->config.timeout_ms = 1000;
	plan_write(f, "ok 3 wsgi v1");
	front_start(f);
	pid = worker_pid(f);
	hanging = ask_start(f, "GET /hang", SPAN(""));
	pause_ms(500); /* so that the one outlives the other */
	holding = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	expect_reply(hanging, 504, "did not answer within 1000 ms");
	assert_int_not_equal(worker_pid(f), pid); /* it takes no more */
	gate_open(f);
	reply_read(holding, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(atoi(r.body.ptr), pid);
	reply_done(&r);
	close(holding);
	UNTIL(kill(pid, 0) != 0);
	front_stop(f);
}

static void an_answer_that_stops_midway_is_cut(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	pid_t pid;

	(void)state;
	f->config.timeout_ms = 200;
	plan_write(f, "ok 2 wsgi v1");
	front_start(f);
	pid = worker_pid(f);
	ask(f, "GET /quiet?n=1000", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	assert_false(r.is_whole);
	assert_int_equal(r.body.len, 1000);
	reply_done(&r);
	assert_int_not_equal(worker_pid(f), pid);
	front_stop(f);
}

static void an_asynchronous_answer_may_be_quiet(void **state)
{
	struct front *f = front_new(1);
	struct buffer in;
	struct pollfd p;

	(void)state;
	f->config.timeout_ms = 100;
	plan_write(f, "ok 2 asgi v1");
	front_start(f);
	buffer_init(&in, MIB(1));
	p = (struct pollfd){ ask_start(f, "GET /quiet?n=7", SPAN("")), POLLIN, 0 };
	while (!in.len || !memmem(in.ptr, in.len, "sssssss", 7))
		assert_true(hear(p.fd, &in));
	assert_int_equal(poll(&p, 1, 500), 0); /* nothing comes, neither more of it nor its end */
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
	f->config.timeout_ms = 200;
	front_start(f);
	pid = worker_pid(f);
	fd = ask_start(f, "GET /stream?n=20000000", SPAN(""));
	pause_ms(600);
	reply_read(fd, &r);
	assert_true(r.is_whole);
	assert_int_equal(r.body.len, 20000000);
	reply_done(&r);
	close(fd);
	fd = dial(f);
	SAY(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\nfirst");
	pause_ms(600);
	SAY(fd, "third");
	expect_reply(fd, 200, "firstthird");
	assert_int_equal(worker_pid(f), pid);
	front_stop(f);
}

static void a_worker_that_leaves_in_order_loses_nothing(void **state)
{
	struct front *f = front_new(2);
	struct load load;

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	load_start(&load, f, "POST /echo");
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(kill(worker_pid(f), SIGTERM), 0);
		UNTIL(metric(f, "hythe_workers_ended_total{cause=\"exit\"}") == i &&
		      metric(f, "hythe_workers_ready") == 2);
	}
	load_stop(&load);
	assert_true(load.good > 0);
	assert_int_equal(load.bad_gateway + load.other, 0);
	front_stop(f);
}

static void workers_that_die_young_wait_longer_each_time(void **state)
{
	static const int64_t delays[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct backoff b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		backoff_died(&b, 1000, NS_PER_S);
		assert_int_equal(b.at_ns, 1000 + delays[i] * NS_PER_MS);
	}
	backoff_died(&b, 2000, 10 * NS_PER_S); /* one that has lived is replaced at once */
	assert_int_equal(b.at_ns, 2000);
	backoff_died(&b, 3000, 0);
	assert_int_equal(b.at_ns, 3000 + 100 * NS_PER_MS);
}

/* ---- limits ---- */

static void a_worker_that_grew_is_replaced_and_nobody_notices(void **state)
{
	struct front *f = front_new(1);
	struct load load;
	pid_t pid;

	(void)state;
	f->config.rss_limit = MIB(48);
	front_start(f);
	pid = worker_pid(f);
	load_start(&load, f, "POST /echo");
	expect(f, "GET /grow", 200, "v1");
	UNTIL(worker_pid(f) != pid);
	load_stop(&load);
	assert_true(load.good > 0);
	assert_int_equal(load.bad_gateway + load.other, 0);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"memory\"}") == 1);
	front_stop(f);
}

static void workers_are_replaced_after_their_requests_and_nobody_notices(void **state)
{
	struct front *f = front_new(2);
	struct load load;

	(void)state;
	f->config.max_requests = 20;
	f->config.max_requests_jitter = 10;
	front_start(f);
	load_start(&load, f, "POST /echo");
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"requests\"}") >= 5);
	load_stop(&load);
	assert_int_equal(load.bad_gateway + load.other, 0);
	front_stop(f);
}

static void requests_wait_in_order_and_too_many_are_refused(void **state)
{
	struct front *f = front_new(1);
	struct reply r;
	int fds[4];

	(void)state;
	f->config.queue_limit = 3;
	front_start(f);
	fds[0] = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	for (int i = 1; i < 4; i++) {
		fds[i] = ask_start(f, "GET /hold", SPAN(""));
		UNTIL(metric(f, "hythe_workers_queue") == i);
	}
	ask(f, "GET /about", SPAN(""), &r);
	assert_int_equal(r.status, 429);
	assert_non_null(strcasestr(r.head, "\r\nretry-after: 1\r\n"));
	assert_true(body_has(&r, "3 requests wait for a worker already"));
	reply_done(&r);
	for (int i = 0; i < 4; i++) {
		struct pollfd later = { i < 3 ? fds[i + 1] : -1, POLLIN, 0 };

		gate_open(f);
		expect_reply(fds[i], 200, "v1");
		assert_int_equal(poll(&later, 1, 0), 0); /* the one behind it is not answered yet */
		if (i < 3)
			held_wait(f);
	}
	front_stop(f);
}

static void a_free_worker_takes_the_next_request(void **state)
{
	struct front *f = front_new(2);
	int fd;

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	fd = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	for (int i = 0; i < 20; i++)
		expect(f, "POST /echo", 200, "hello");
	gate_open(f);
	expect_reply(fd, 200, "v1");
	front_stop(f);
}

static void who_goes_away_while_waiting_is_forgotten(void **state)
{
	struct front *f = front_new(1);
	int first, waiting;

	(void)state;
	front_start(f);
	first = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	waiting = ask_start(f, "GET /hold", SPAN(""));
	UNTIL(metric(f, "hythe_workers_queue") == 1);
	close(waiting);
	UNTIL(metric(f, "hythe_workers_queue") == 0);
	gate_open(f);
	expect_reply(first, 200, "v1");
	expect(f, "POST /echo", 200, "hello");
	front_stop(f);
}

static void a_worker_whose_client_left_is_busy_until_it_is_done(void **state)
{
	struct front *f = front_new(1);
	int first, second;

	(void)state;
	front_start(f);
	first = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	close(first);
	second = ask_start(f, "GET /about", SPAN(""));
	UNTIL(metric(f, "hythe_workers_queue") == 1);
	gate_open(f);
	expect_reply(second, 200, "v1");
	front_stop(f);
}

/* ---- start, reload, end ---- */

static void start_fails_with(const char *plan, const char *words)
{
	struct front *f = front_new(2);

	f->config.start_timeout_ms = 300;
	if (plan)
		plan_write(f, plan);
	else
		f->argv[0] = "/no/such/program";
	front_try(f);
	assert_false(f->has_come_up);
	if (!strstr(f->failure.message, words))
		fail_msg("'%s' lacks '%s'", f->failure.message, words);
	expect(f, "POST /echo", 503, words);
	front_stop(f);
}

static void a_start_that_fails_says_why(void **state)
{
	(void)state;
	start_fails_with("fail 1 component v1", "TestError: plan");
	start_fails_with("die 1 component v1", "exited with status 4");
	start_fails_with("silent 1 component v1", "was not ready within 300 ms");
	start_fails_with(NULL, "cannot run '/no/such/program': No such file or directory");
}

static void reloads_under_load_lose_nothing(void **state)
{
	struct front *f = front_new(2);
	struct load load;

	(void)state;
	front_start(f);
	load_start(&load, f, "POST /echo");
	for (int i = 2; i < 12; i++) {
		char plan[64], version[16];

		snprintf(plan, sizeof(plan), "ok 1 component v%d", i);
		snprintf(version, sizeof(version), " v%d", i);
		plan_write(f, plan);
		workers_reload(f->workers);
		for (bool is_new = false; !is_new;) {
			struct reply r;

			ask(f, "GET /about", SPAN(""), &r);
			assert_int_equal(r.status, 200);
			is_new = body_has(&r, version);
			reply_done(&r);
		}
	}
	load_stop(&load);
	assert_true(load.good > 0);
	assert_int_equal(load.bad_gateway + load.other, 0);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	front_stop(f);
}

static void a_reload_that_fails_leaves_the_old_code_in_service(void **state)
{
	struct front *f = front_new(1);
	pid_t pid;

	(void)state;
	front_start(f);
	pid = worker_pid(f);
	plan_write(f, "fail 1 component v2");
	workers_reload(f->workers);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"start\"}") == 1);
	assert_int_equal(worker_pid(f), pid);
	plan_write(f, "ok 1 component v3");
	workers_reload(f->workers);
	UNTIL(worker_pid(f) != pid);
	expect(f, "GET /about", 200, "v3");
	front_stop(f);
}

static void preloaded_workers_are_forked_and_their_ends_told(void **state)
{
	struct front *f = front_new(2);
	pid_t pid;

	(void)state;
	f->config.is_preloaded = true;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	expect(f, "POST /echo", 200, "hello");
	expect(f, "GET /crash", 502, "was killed by signal 11 (Segmentation fault)");
	expect(f, "GET /exit", 502, "exited with status 3");
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	pid = worker_pid(f);
	plan_write(f, "ok 1 component v2");
	workers_reload(f->workers);
	UNTIL(worker_pid(f) != pid && metric(f, "hythe_workers_ready") == 2);
	expect(f, "GET /about", 200, "v2");
	front_stop(f);
}

static void a_nursery_that_fails_says_why(void **state)
{
	struct front *f = front_new(2);

	(void)state;
	f->config.is_preloaded = true;
	plan_write(f, "fail 1 component v1");
	front_try(f);
	assert_false(f->has_come_up);
	assert_non_null(strstr(f->failure.message, "TestError: nursery"));
	front_stop(f);
	f = front_new(1);
	f->config.is_preloaded = true;
	f->argv[0] = "/no/such/program";
	front_try(f);
	assert_false(f->has_come_up);
	assert_non_null(strstr(f->failure.message, "cannot run '/no/such/program': No such file or directory"));
	front_stop(f);
}

/* The parent of a process, by proc(5). */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[256];
	const char *at;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	at = strrchr(text, ')');
	return at ? atoi(at + 4) : 0;
}

static void a_nursery_that_dies_is_made_anew(void **state)
{
	struct front *f = front_new(1);
	pid_t pid, nursery;

	(void)state;
	f->config.is_preloaded = true;
	front_start(f);
	pid = worker_pid(f);
	nursery = parent_of(pid);
	assert_int_not_equal(nursery, getpid());
	assert_int_equal(kill(nursery, SIGKILL), 0);
	expect(f, "POST /echo", 200, "hello");
	UNTIL(kill(nursery, 0) != 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"exit\"}") == 1);
	assert_int_not_equal(worker_pid(f), pid);
	front_stop(f);
}

static bool is_gone(pid_t pid)
{
	char path[32], text[256];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return true;
	text[n] = 0;
	return strstr(text, ") Z ") != NULL; /* for whoever adopted it to reap */
}

static void workers_end_with_the_one_in_front(void **state)
{
	int told[2];
	pid_t front, worker;

	(void)state;
	for (int is_preloaded = 0; is_preloaded < 2; is_preloaded++) {
		assert_int_equal(pipe(told), 0);
		front = fork();
		if (front == 0) {
			struct front *f = front_new(1);

			f->config.is_preloaded = is_preloaded;
			front_start(f);
			worker = worker_pid(f);
			assert_int_equal(write(told[1], &worker, sizeof(worker)), sizeof(worker));
			for (;;)
				pause();
		}
		assert_int_equal(read(told[0], &worker, sizeof(worker)), sizeof(worker));
		assert_int_equal(kill(front, SIGKILL), 0);
		assert_int_equal(waitpid(front, NULL, 0), front);
		UNTIL(is_gone(worker));
		close(told[0]);
		close(told[1]);
	}
}

static void what_was_accepted_is_answered_before_the_end(void **state)
{
	struct front *f = front_new(1);
	int first, second;

	(void)state;
	front_start(f);
	first = ask_start(f, "GET /hold", SPAN(""));
	held_wait(f);
	second = ask_start(f, "GET /hold", SPAN(""));
	UNTIL(metric(f, "hythe_workers_queue") == 1);
	server_drain(f->server);
	gate_open(f);
	gate_open(f);
	expect_reply(first, 200, "v1");
	expect_reply(second, 200, "v1");
	front_stop(f);
}

/* ---- what is answered here ---- */

static void metrics_are_those_of_all(void **state)
{
	struct front *f = front_new(2);

	(void)state;
	front_start(f);
	UNTIL(metric(f, "hythe_workers_ready") == 2);
	assert_int_equal(metric(f, "test_gauge{version=\"v1\",worker=\"0\"}"), 1);
	assert_int_equal(metric(f, "test_gauge{version=\"v1\",worker=\"1\"}"), 1);
	assert_int_equal(metric(f, "hythe_connections{worker=\"0\"}"), -1);
	front_stop(f);
}

static void health_is_answered_here_unless_all_paths_are_the_applications(void **state)
{
	struct front *f = front_new(1);

	(void)state;
	front_start(f);
	expect(f, "GET /health/ping", 200, "pong");
	expect(f, "GET /live", 200, "alive");
	expect(f, "GET /v2/health/live", 200, "true");
	expect(f, "GET /ready", 200, "ready");
	expect(f, "GET /v2/health/ready", 200, "true");
	front_stop(f);
	f = front_new(1);
	plan_write(f, "ok 1 wsgi v1");
	f->config.metrics_path = "/measures";
	front_start(f);
	expect(f, "GET /live", 404, "live");
	expect(f, "GET /metrics", 200, "# TYPE test_gauge gauge\ntest_gauge{version=\"v1\"} 1\n"); /* its own */
	expect(f, "GET /measures", 200, "\nhythe_workers_ready 1\n");
	front_stop(f);
	f = front_new(1);
	plan_write(f, "die 1 component v1");
	front_try(f);
	expect(f, "GET /live", 200, "alive");
	expect(f, "GET /ready", 503, "not ready");
	expect(f, "GET /v2/health/ready", 503, "false");
	front_stop(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_end_with_the_one_in_front), /* first: it forks */
		cmocka_unit_test(a_request_goes_to_a_worker_and_its_answer_comes_back),
		cmocka_unit_test(the_head_is_passed_on_but_for_what_is_of_the_hop),
		cmocka_unit_test(bodies_of_any_length_flow_both_ways),
		cmocka_unit_test(a_body_is_passed_on_as_it_comes),
		cmocka_unit_test(a_websocket_is_a_tunnel),
		cmocka_unit_test(an_answer_that_breaks_is_cut_for_the_client_too),
		cmocka_unit_test(grpc_calls_are_passed_on_and_failures_have_its_form),
		cmocka_unit_test(a_crash_costs_the_request_and_is_told),
		cmocka_unit_test(workers_killed_under_load_cost_only_what_they_had),
		cmocka_unit_test(a_hung_request_is_told_and_its_worker_replaced),
		cmocka_unit_test(the_others_of_a_hung_worker_are_answered),
		cmocka_unit_test(a_worker_that_leaves_in_order_loses_nothing),
		cmocka_unit_test(slow_clients_are_not_the_workers_fault),
		cmocka_unit_test(an_asynchronous_answer_may_be_quiet),
		cmocka_unit_test(an_answer_that_stops_midway_is_cut),
		cmocka_unit_test(workers_that_die_young_wait_longer_each_time),
		cmocka_unit_test(a_worker_that_grew_is_replaced_and_nobody_notices),
		cmocka_unit_test(workers_are_replaced_after_their_requests_and_nobody_notices),
		cmocka_unit_test(requests_wait_in_order_and_too_many_are_refused),
		cmocka_unit_test(a_free_worker_takes_the_next_request),
		cmocka_unit_test(who_goes_away_while_waiting_is_forgotten),
		cmocka_unit_test(a_worker_whose_client_left_is_busy_until_it_is_done),
		cmocka_unit_test(a_start_that_fails_says_why),
		cmocka_unit_test(reloads_under_load_lose_nothing),
		cmocka_unit_test(a_reload_that_fails_leaves_the_old_code_in_service),
		cmocka_unit_test(preloaded_workers_are_forked_and_their_ends_told),
		cmocka_unit_test(a_nursery_that_fails_says_why),
		cmocka_unit_test(a_nursery_that_dies_is_made_anew),
		cmocka_unit_test(what_was_accepted_is_answered_before_the_end),
		cmocka_unit_test(metrics_are_those_of_all),
		cmocka_unit_test(health_is_answered_here_unless_all_paths_are_the_applications),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	log_setup(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR, LOG_AS_TEXT);
	if (argc < 2)
		return 2;
	test_worker = argv[1];
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
