/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client_kit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "net/request.h"

enum { PATIENCE_S = 60 };

/* ---- what is served ---- */

void echo(struct request *req)
{
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("application/octet-stream"));
}

void big(struct request *req)
{
	char *to = buffer_reserve(&req->out, BIG);

	for (size_t i = 0; i < BIG; i++)
		to[i] = (char)(i * 7 + i / 251);
	buffer_commit(&req->out, BIG);
	request_send(req, 200, SPAN("application/octet-stream"));
}

void headers_told(struct request *req)
{
	buffer_print(&req->out, SPAN_FMT " " SPAN_FMT "\n", SPAN_ARG(req->method_text), SPAN_ARG(req->target));
	for (size_t i = 0; i < req->header_count; i++)
		buffer_print(&req->out, SPAN_FMT "=" SPAN_FMT "\n", SPAN_ARG(req->headers[i].name),
			     SPAN_ARG(req->headers[i].value));
	buffer_print(&req->out, "authority=" SPAN_FMT "\n", SPAN_ARG(req->authority));
	request_send(req, 200, SPAN("text/plain"));
}

const struct surface http_surface = { "test", fail_as_json_error };

struct server *serve(const struct route *const *routes, size_t streams)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	struct server_config config = {
		.addresses = addresses,
		.address_count = 1,
		.routes = routes,
		.workers = 1,
		.compute_threads = 1,
		.limits = server_limits_default(),
	};
	struct error err = { 0 };
	struct server *s;

	if (streams)
		config.limits.streams = streams;
	s = server_new(&config, &err);
	if (!s || !server_start(s, &err))
		fail_msg("%s", err.message);
	return s;
}

void server_end(struct server *s)
{
	server_drain(s);
	server_wait(s);
	server_free(s);
}

/* ---- one who asks ---- */

static void poke(struct bench *b)
{
	if ((b->counter && *b->counter >= b->target) || (b->amount && *b->amount >= b->amount_target))
		loop_stop(b->loop);
}

void free_now(struct bench *b)
{
	client_free(b->client);
	b->client = NULL;
}

static void fields_print(char *to, size_t size, const struct header *fields, size_t count)
{
	size_t at = strlen(to);

	for (size_t i = 0; i < count && at < size; i++)
		at += (size_t)snprintf(to + at, size - at, SPAN_FMT "=" SPAN_FMT ";", SPAN_ARG(fields[i].name),
				       SPAN_ARG(fields[i].value));
}

static void on_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct call *call = client_stream_owner(s);

	assert_int_equal(call->closes, 0);
	assert_true(client_has_heard(s));
	if (status == 103) {
		call->interim++;
	} else {
		call->status = status;
		call->heads++;
		call->bench->heads++;
	}
	fields_print(call->headers, sizeof(call->headers), headers, count);
	if (call->frees_at_head)
		free_now(call->bench);
	else
		poke(call->bench);
}

static void on_body(struct client_stream *s, struct span bytes)
{
	struct call *call = client_stream_owner(s);
	struct bench *b = call->bench;

	assert_int_equal(call->heads, 1);
	assert_int_equal(call->ends + call->closes, 0);
	assert_true(bytes.len > 0);
	buffer_append(&call->body, bytes);
	b->received += bytes.len;
	if (call->resets) {
		client_reset(s);
		client_reset(s);
	} else if (call->frees_at_body) {
		free_now(b);
	} else if (!call->is_slow) {
		client_taken(s, bytes.len);
	}
	poke(b);
}

static void on_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct call *call = client_stream_owner(s);

	assert_int_equal(call->heads, 1);
	assert_int_equal(call->closes, 0);
	fields_print(call->trailers, sizeof(call->trailers), trailers, count);
	call->ends++;
	call->bench->ends++;
	if (call->frees_at_end)
		free_now(call->bench);
}

static void on_writable(struct client_stream *s)
{
	struct call *call = client_stream_owner(s);

	assert_true(client_unsent(s) < CLIENT_UNSENT_LOW);
	call->writables++;
}

static void on_closed(struct client_stream *s, const struct error *why)
{
	struct call *call = client_stream_owner(s);
	struct bench *b = call->bench;

	assert_ptr_equal(call->stream, s);
	assert_int_equal(call->closes++, 0);
	call->has_heard = client_has_heard(s);
	client_write(s, SPAN("too late"));
	client_end(s);
	client_reset(s);
	call->has_why = why != NULL;
	if (why)
		call->why = *why;
	b->closes++;
	if (call->asks_next)
		(void)get(b, (size_t)(call - b->calls) + 1, call->asks_next);
	if (call->frees_at_close)
		free_now(b);
	poke(b);
}

static const struct client_stream_ops stream_ops = { on_head, on_body, on_end, on_writable, on_closed };

static void on_lost(struct client *c, const struct error *why)
{
	struct bench *b = client_owner(c);

	assert_int_equal(b->lost++, 0);
	assert_int_equal(client_streams(c), 0);
	assert_true(client_is_refusing(c));
	b->why = *why;
	if (b->frees_at_lost)
		free_now(b);
	poke(b);
}

static const struct client_ops client_ops = { on_lost };

static void late(struct timer *t)
{
	struct bench *b = CONTAINER_OF(t, struct bench, patience);

	b->is_late = true;
	loop_stop(b->loop);
}

static void run(struct bench *b)
{
	loop_timer_set(b->loop, &b->patience, clock_monotonic_ns() + PATIENCE_S * NS_PER_S, late);
	poke(b);
	loop_run(b->loop);
	loop_timer_clear(b->loop, &b->patience);
	b->counter = NULL;
	b->amount = NULL;
	assert_false(b->is_late);
}

void until(struct bench *b, const int *counter, int target)
{
	b->counter = counter;
	b->target = target;
	run(b);
}

void until_bytes(struct bench *b, const size_t *amount, size_t target)
{
	b->amount = amount;
	b->amount_target = target;
	run(b);
}

static void stop_now(struct loop_task *t)
{
	loop_stop(CONTAINER_OF(t, struct bench, stop)->loop);
}

/* Some turns of the loop: enough for all that is ready to happen. */
void turns(struct bench *b)
{
	b->stop.run = stop_now;
	for (int i = 0; i < 6; i++) {
		loop_defer(b->loop, &b->stop);
		loop_run(b->loop);
	}
}

struct bench *bench_new(int fd, client_maker *make)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->loop = loop_new();
	b->own = fd;
	b->other = -1;
	b->client = make(b->loop, fd, &client_ops, b);
	for (size_t i = 0; i < CALLS_MOST; i++) {
		b->calls[i].bench = b;
		buffer_init(&b->calls[i].body, MIB(64));
	}
	return b;
}

struct bench *bench_of(const struct server *s, client_maker *make)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons((uint16_t)strtoul(strrchr(server_address(s, 0), ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return bench_new(fd, make);
}

struct bench *bench_scripted(client_maker *make)
{
	struct bench *b;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	b = bench_new(pair[0], make);
	b->other = pair[1];
	return b;
}

void bench_free(struct bench *b)
{
	client_free(b->client);
	for (size_t i = 0; i < CALLS_MOST; i++) {
		assert_int_equal(b->calls[i].closes, b->calls[i].stream != NULL);
		buffer_done(&b->calls[i].body);
	}
	loop_free(b->loop);
	if (b->other >= 0)
		close(b->other);
	free(b);
}

struct call *ask(struct bench *b, size_t i, struct client_head head, bool is_last)
{
	struct call *call = &b->calls[i];
	int before = b->closes, heads = b->heads;

	if (!head.scheme.len)
		head.scheme = SPAN("http");
	if (!head.authority.len)
		head.authority = SPAN("test");
	call->stream = client_open(b->client, &head, is_last, &stream_ops, call);
	assert_int_equal(b->closes, before);
	assert_int_equal(b->heads, heads);
	return call;
}

struct call *get(struct bench *b, size_t i, const char *path)
{
	return ask(b, i, (struct client_head){ .method = SPAN("GET"), .path = span_of(path) }, true);
}

struct call *post(struct bench *b, size_t i, const char *path)
{
	return ask(b, i, (struct client_head){ .method = SPAN("POST"), .path = span_of(path) }, false);
}

void assert_answered(const struct call *call, int status, const char *body)
{
	if (call->has_why)
		fail_msg("%s: %s", error_name(call->why.code), call->why.message);
	assert_int_equal(call->status, status);
	assert_int_equal(call->ends, 1);
	assert_int_equal(call->closes, 1);
	if (body) {
		assert_int_equal(call->body.len, strlen(body));
		if (call->body.len)
			assert_memory_equal(call->body.ptr, body, call->body.len);
	}
}

void assert_failed(const struct call *call, enum error_code code, const char *words)
{
	assert_int_equal(call->ends, 0);
	assert_int_equal(call->closes, 1);
	assert_true(call->has_why);
	if (call->why.code != code || !strstr(call->why.message, words))
		fail_msg("%s: %s", error_name(call->why.code), call->why.message);
}
