/* SPDX-License-Identifier: Apache-2.0 */
/* http2_test - HTTP/2 and gRPC through the gateway: streams, trailers, deadlines, and HTTP/1.1 on one of the two sides. */
#include "gateway/gateway_kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "net/client.h"
#include "net/server.h"

enum { CALLS = 150 };

/* ---- what is behind ---- */

static void echo(struct request *req)
{
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("application/octet-stream"));
}

static void told(struct request *req)
{
	buffer_print(&req->out, "HTTP/%d\n", req->http_major);
	for (size_t i = 0; i < req->header_count; i++)
		buffer_print(&req->out, SPAN_FMT ": " SPAN_FMT "\n", SPAN_ARG(req->headers[i].name),
			     SPAN_ARG(req->headers[i].value));
	request_send(req, 200, SPAN("text/plain"));
}

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
		request_send(req, 200, (struct span){ 0 });
	else
		request_send_part(req);
}

static const struct surface http_surface = { "test", fail_as_json_error }, grpc_surface = { "grpc", NULL };
static const struct route routes[] = {
	{ METHOD_GET | METHOD_POST, "/told", told, &http_surface, ROUTE_HTTP },
	{ METHOD_POST, "/t.T/Echo", echo, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Told", told, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Fail", failing, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Chat", chat, &grpc_surface, ROUTE_GRPC_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { routes, NULL };

static struct server *behind;
static struct origin place; /* its port alone: where the server listens */
static struct origin *const one[] = { &place };
static struct kit k;

static void serve_behind(size_t streams)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	struct server_config config = { .addresses = addresses,
					.address_count = 1,
					.routes = tables,
					.workers = 1,
					.compute_threads = 1,
					.limits = server_limits_default() };
	struct error err = { 0 };

	if (streams)
		config.limits.streams = streams;
	behind = server_new(&config, &err);
	assert_non_null(behind);
	assert_true(server_start(behind, &err));
	place.name = "server";
	place.port = (int)strtoul(strrchr(server_address(behind, 0), ':') + 1, NULL, 10);
}

static void gateway_before(enum plan_speech speech, void (*change)(struct gateway_limits *limits))
{
	struct plan_backend *b;

	kit_init(&k, 1, change);
	kit_begin(&k);
	b = kit_backend(&k, "web", one, speech == SPEECH_BYTES ? 0 : 1);
	b->speech = speech == SPEECH_BYTES ? SPEECH_AUTO : speech;
	(void)kit_route(&k, "/", b);
	kit_publish(&k);
}

static void begin(enum plan_speech speech)
{
	serve_behind(0);
	gateway_before(speech, NULL);
}

static void end(void)
{
	kit_done(&k);
	server_drain(behind);
	server_wait(behind);
	server_free(behind);
}

/* ---- who asks ---- */

struct call {
	struct asker *asker;
	struct client_stream *stream;
	struct buffer body;
	char trailers[512];
	int status;
	bool has_ended, is_closed;
};

struct asker {
	struct loop *loop;
	struct client *client;
	struct timer late;
	size_t closed, received;
	struct call calls[CALLS];
};

static void fields_print(char *to, size_t size, const struct header *fields, size_t count)
{
	size_t at = strlen(to);

	for (size_t i = 0; i < count && at < size; i++)
		at += (size_t)snprintf(to + at, size - at, SPAN_FMT "=" SPAN_FMT ";", SPAN_ARG(fields[i].name),
				       SPAN_ARG(fields[i].value));
}

static void on_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct call *c = client_stream_owner(s);

	c->status = status;
	fields_print(c->trailers, sizeof(c->trailers), headers, count);
}

static void on_receive(struct client_stream *s, struct span bytes)
{
	struct call *c = client_stream_owner(s);

	buffer_append(&c->body, bytes);
	c->asker->received += bytes.len;
	client_taken(s, bytes.len);
}

static void on_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct call *c = client_stream_owner(s);

	c->has_ended = true;
	fields_print(c->trailers, sizeof(c->trailers), trailers, count);
}

static void on_closed(struct client_stream *s, const struct error *why)
{
	struct call *c = client_stream_owner(s);

	(void)why;
	c->stream = NULL;
	c->is_closed = true;
	c->asker->closed++;
}

static const struct client_stream_ops ops = {
	.head = on_head, .receive = on_receive, .end = on_end, .closed = on_closed
};

static void on_lost(struct client *c, const struct error *why)
{
	(void)c, (void)why;
}

static const struct client_ops client_ops = { .lost = on_lost };

static void late(struct timer *t)
{
	(void)t;
	fail_msg("not in time");
}

static void asker_init(struct asker *a)
{
	memset(a, 0, sizeof(*a));
	a->loop = loop_new();
	a->client = client_new(a->loop, client_new_fd(&k), &client_ops, a);
	loop_now_update(a->loop);
	loop_timer_set(a->loop, &a->late, loop_now(a->loop) + DEADLINE_MS * NS_PER_MS, late);
	for (size_t i = 0; i < CALLS; i++) {
		a->calls[i].asker = a;
		buffer_init(&a->calls[i].body, MIB(16));
	}
}

static void asker_done(struct asker *a)
{
	loop_timer_clear(a->loop, &a->late);
	client_free(a->client);
	loop_free(a->loop);
	for (size_t i = 0; i < CALLS; i++)
		buffer_done(&a->calls[i].body);
}

static void call(struct call *c, const char *method, const char *path, bool is_grpc, struct span body, bool is_last)
{
	const struct header fields[] = { { SPAN("content-type"), SPAN("application/grpc") },
					 { SPAN("te"), SPAN("trailers") },
					 { SPAN("grpc-timeout"), SPAN("50S") } };
	struct client_head head = { .method = span_of(method),
				    .scheme = SPAN("http"),
				    .authority = SPAN("a"),
				    .path = span_of(path),
				    .headers = fields,
				    .header_count = is_grpc ? ARRAY_LEN(fields) : 0 };

	c->stream = client_open(c->asker->client, &head, is_last && body.len == 0, &ops, c);
	if (body.len)
		client_write(c->stream, body);
	if (is_last && body.len)
		client_end(c->stream);
}

static void wait_closed(struct asker *a, size_t count)
{
	while (a->closed < count)
		loop_turn(a->loop, true);
}

/* A message of gRPC: its frame's head and five bytes. */
static const struct span hello = { "\0\0\0\0\5hello", 10 };

static void unary_calls_pass_with_their_trailers(void **state)
{
	struct asker a;

	(void)state;
	begin(SPEECH_AUTO);
	asker_init(&a);
	call(&a.calls[0], "POST", "/t.T/Echo", true, hello, true);
	call(&a.calls[1], "POST", "/t.T/Fail", true, hello, true);
	wait_closed(&a, 2);
	assert_int_equal(a.calls[0].status, 200);
	assert_true(span_equal(buffer_span(&a.calls[0].body), hello));
	assert_non_null(strstr(a.calls[0].trailers, "grpc-status=0;"));
	assert_true(a.calls[1].has_ended);
	assert_non_null(strstr(a.calls[1].trailers, "grpc-status=5;"));
	assert_non_null(strstr(a.calls[1].trailers, "grpc-message=no such model;"));
	asker_done(&a);
	end();
}

static void the_deadline_and_the_trace_are_passed_on(void **state)
{
	struct asker a;
	const char *at;
	char *text;

	(void)state;
	begin(SPEECH_AUTO);
	asker_init(&a);
	call(&a.calls[0], "POST", "/t.T/Told", true, hello, true);
	wait_closed(&a, 1);
	text = span_to_text(span_skip(buffer_span(&a.calls[0].body), 5));
	assert_non_null(strstr(text, "HTTP/2\n"));
	assert_non_null(strstr(text, "traceparent: 00-"));
	assert_non_null(strstr(text, "te: trailers"));
	at = strstr(text, "grpc-timeout: ");
	assert_non_null(at);
	assert_in_range(strtol(at + 14, NULL, 10), 20000000, 50000000); /* microseconds */
	free(text);
	asker_done(&a);
	end();
}

static void messages_stream_both_ways(void **state)
{
	struct asker a;

	(void)state;
	begin(SPEECH_AUTO);
	asker_init(&a);
	call(&a.calls[0], "POST", "/t.T/Chat", true, hello, false);
	for (size_t i = 1; i <= 5; i++) {
		while (a.received < i * hello.len) /* each is answered before the next is sent */
			loop_turn(a.loop, true);
		if (i < 5)
			client_write(a.calls[0].stream, hello);
	}
	client_end(a.calls[0].stream);
	wait_closed(&a, 1);
	assert_true(a.calls[0].has_ended);
	assert_int_equal(a.calls[0].body.len, 5 * hello.len);
	assert_non_null(strstr(a.calls[0].trailers, "grpc-status=0;"));
	asker_done(&a);
	end();
}

static void a_call_without_an_endpoint_is_unavailable(void **state)
{
	struct asker a;

	(void)state;
	begin(SPEECH_BYTES); /* none */
	asker_init(&a);
	call(&a.calls[0], "POST", "/t.T/Echo", true, hello, true);
	wait_closed(&a, 1);
	assert_int_equal(a.calls[0].status, 200);
	assert_non_null(strstr(a.calls[0].trailers, "grpc-status=14;"));
	assert_non_null(strstr(a.calls[0].trailers, "grpc-message=service default/web: it has no endpoints"));
	asker_done(&a);
	end();
}

static void many_streams_share_connections(void **state)
{
	struct asker a;

	(void)state;
	begin(SPEECH_HTTP2);
	asker_init(&a);
	for (size_t i = 0; i < CALLS; i++)
		call(&a.calls[i], "POST", "/t.T/Echo", true, hello, true);
	wait_closed(&a, CALLS);
	for (size_t i = 0; i < CALLS; i++) {
		assert_true(span_equal(buffer_span(&a.calls[i].body), hello));
		assert_non_null(strstr(a.calls[i].trailers, "grpc-status=0;"));
	}
	asker_done(&a);
	end();
}

static void each_side_may_speak_another_version(void **state)
{
	static const struct {
		enum plan_speech speech;
		bool client_is_two;
		const char *heard;
	} rows[] = {
		{ SPEECH_HTTP1, true, "HTTP/1\n" },
		{ SPEECH_HTTP2, false, "HTTP/2\n" },
		{ SPEECH_HTTP2, true, "HTTP/2\n" },
		{ SPEECH_AUTO, true, "HTTP/1\n" }, /* by a route */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i].speech);
		if (rows[i].client_is_two) {
			struct asker a;
			char *text;

			asker_init(&a);
			call(&a.calls[0], "GET", "/told", false, (struct span){ 0 }, true);
			wait_closed(&a, 1);
			text = span_to_text(buffer_span(&a.calls[0].body));
			assert_int_equal(a.calls[0].status, 200);
			assert_non_null(strstr(text, rows[i].heard));
			free(text);
			asker_done(&a);
		} else {
			struct answer answer;

			ask(&k, "GET /told HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\n\r\n", &answer);
			assert_int_equal(answer.status, 200);
			assert_true(has(&answer, rows[i].heard));
			assert_true(has(&answer, "cookie: a=1\n"));
			answer_done(&answer);
		}
		end();
	}
}

/* Calls that may last for days. */
static void who_finds_a_connection_full_gets_another(void **state)
{
	enum { STREAMS = 2, CHATS = 5 };
	struct asker a;

	(void)state;
	serve_behind(STREAMS);
	gateway_before(SPEECH_HTTP2, NULL);
	asker_init(&a);
	for (size_t i = 0; i < CHATS; i++) {
		call(&a.calls[i], "POST", "/t.T/Chat", true, hello, false);
		while (a.received < (i + 1) * hello.len)
			loop_turn(a.loop, true);
	}
	for (size_t i = 0; i < CHATS; i++)
		client_end(a.calls[i].stream);
	wait_closed(&a, CHATS);
	asker_done(&a);
	end();
}

/* As one of several processes behind an address: the first connection's hangs, the others' are well. */
static void *accept_two(void *listener)
{
	int first = accept(*(const int *)listener, NULL, NULL), second = accept(*(const int *)listener, NULL, NULL);

	if (second >= 0)
		server_adopt(behind, second);
	(void)close(first);
	return NULL;
}

static void short_stall(struct gateway_limits *limits)
{
	limits->stall_ns = 3 * NS_PER_S; /* longer than an answer takes, however busy the machine is */
}

static void a_connection_whose_server_hangs_is_not_used_again(void **state)
{
	static const char request[] = "POST /told HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	struct answer answer;
	pthread_t thread;

	(void)state;
	serve_behind(0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	place.port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&thread, NULL, accept_two, &listener), 0);
	gateway_before(SPEECH_HTTP2, short_stall);
	ask(&k, request, &answer);
	assert_int_equal(answer.status, 504);
	answer_done(&answer);
	ask(&k, request, &answer);
	(void)shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	assert_int_equal(answer.status, 200);
	answer_done(&answer);
	close(listener);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unary_calls_pass_with_their_trailers),
		cmocka_unit_test(the_deadline_and_the_trace_are_passed_on),
		cmocka_unit_test(messages_stream_both_ways),
		cmocka_unit_test(a_call_without_an_endpoint_is_unavailable),
		cmocka_unit_test(many_streams_share_connections),
		cmocka_unit_test(each_side_may_speak_another_version),
		cmocka_unit_test(who_finds_a_connection_full_gets_another),
		cmocka_unit_test(a_connection_whose_server_hangs_is_not_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
