/* SPDX-License-Identifier: Apache-2.0 */
/* open_http2_test - open requests over HTTP/2 and gRPC, adopted connections, WebSocket by extended CONNECT. */
#include "net/server.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/client.h"
#include "net/forwarded.h"

#define DEADLINE_NS (60 * NS_PER_S) /* a test that waits longer has failed */

/* ---- what is served ---- */

static sem_t opened, gone, adopted_end;
static struct request *waiting; /* on the server's loop */
static enum error_code gone_code;
static _Atomic size_t most_unsent, received;

static void note_gone(struct request *req, const struct error *why)
{
	(void)req;
	gone_code = why->code;
	waiting = NULL;
	sem_post(&gone);
}

static void count_receive(struct request *req, struct span bytes, bool is_last)
{
	(void)req, (void)is_last;
	received += bytes.len;
}

static const struct request_flow wait_flow = { .receive = count_receive, .gone = note_gone };

static void later(struct request *req)
{
	request_open(req, &wait_flow, NULL);
	waiting = req;
	sem_post(&opened);
}

/* Wants 100,000 bytes of the body and no more. */
static void greedy(struct request *req)
{
	request_open(req, &wait_flow, NULL);
	request_want(req, 60000);
	request_want(req, 40000);
	sem_post(&opened);
}

static void echo_receive(struct request *req, struct span bytes, bool is_last)
{
	static const struct header trailers[] = { { SPAN_INIT("grpc-status"), SPAN_INIT("0") },
						  { SPAN_INIT("X-Sum"), SPAN_INIT("42") } };

	request_write(req, bytes);
	most_unsent = MAX(most_unsent, request_unsent(req));
	if (is_last)
		request_end(req, req->is_grpc ? trailers : NULL, req->is_grpc ? 2 : 0);
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
	static const struct header type = { SPAN_INIT("Content-Type"), SPAN_INIT("application/grpc") };

	request_open(req, &flow, NULL);
	request_head(req, 200, SPAN("Echo"), &type, 1);
	request_want(req, KIB(16));
}

/* A gRPC call that fails without a message: one frame of headers with END_STREAM. */
static void trailers_only(struct request *req)
{
	static const struct header fields[] = { { SPAN_INIT("grpc-status"), SPAN_INIT("5") },
						{ SPAN_INIT("grpc-message"), SPAN_INIT("nowhere") } };

	request_open(req, &wait_flow, NULL);
	request_head(req, 200, SPAN(""), fields, ARRAY_LEN(fields));
	request_end(req, NULL, 0);
}

static void endless_writable(struct request *req)
{
	char block[4096];

	memset(block, 'e', sizeof(block));
	while (request_unsent(req) < REQUEST_UNSENT_LOW)
		request_write(req, span_from(block, sizeof(block)));
}

static void endless(struct request *req)
{
	static const struct request_flow flow = { count_receive, endless_writable, note_gone };

	request_open(req, &flow, NULL);
	request_head(req, 200, SPAN(""), NULL, 0);
	endless_writable(req);
}

static void cut(struct request *req)
{
	request_open(req, &wait_flow, NULL);
	request_head(req, 200, SPAN(""), NULL, 0);
	request_write(req, SPAN("half"));
	request_cut(req);
}

static void tell(struct request *req)
{
	struct forwarded f = request_forwarded(req);

	buffer_print(&req->out, SPAN_FMT " " SPAN_FMT " " SPAN_FMT " " SPAN_FMT " " SPAN_FMT,
		     SPAN_ARG(req->method_text), SPAN_ARG(req->path), SPAN_ARG(f.scheme), SPAN_ARG(f.version),
		     SPAN_ARG(f.peer));
	for (size_t i = 0; i < req->header_count; i++)
		if (span_starts(req->headers[i].name, FORWARDED_PREFIX))
			buffer_append(&req->out, SPAN(" leaked"));
	request_send(req, 200, SPAN("text/plain"));
}

static void star(struct request *req)
{
	static const struct {
		struct span path;
		void (*handle)(struct request *req);
	} rows[] = {
		{ SPAN_INIT("/echo"), echo },
		{ SPAN_INIT("/t.T/Echo"), echo },
		{ SPAN_INIT("/none"), trailers_only },
		{ SPAN_INIT("/stall"), later },
		{ SPAN_INIT("/cut"), cut },
		{ SPAN_INIT("/endless"), endless },
		{ SPAN_INIT("/greedy"), greedy },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(rows[i].path, req->path)) {
			rows[i].handle(req);
			return;
		}
	tell(req);
}

static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/later", later, &surface_plain, ROUTE_HTTP },
	{ METHOD_POST, "/t.T/Later", later, &surface_plain, ROUTE_GRPC },
	{ METHOD_GET, "*", star, &surface_plain, ROUTE_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

/* ---- server, loop, client ---- */

static struct loop *loop;
static struct server *server;
static struct client *client;
static bool is_lost;

static void adopted_closed(void *context)
{
	(void)context;
	sem_post(&adopted_end);
}

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
		.adopted_closed = adopted_closed,
	};
}

static void client_lost(struct client *c, const struct error *why)
{
	(void)c, (void)why;
	is_lost = true;
	loop_stop(loop);
}

static void start(const struct server_config *config, bool is_adopted)
{
	static const struct client_ops ops = { client_lost };
	struct error err = { 0 };
	int pair[2];

	server = server_new(config, &err);
	if (!server || !server_start(server, &err))
		fail_msg("%s", err.message);
	if (is_adopted) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		server_adopt(server, pair[1]);
	} else {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		in.sin_port = htons((uint16_t)strtoul(strrchr(server_address(server, 0), ':') + 1, NULL, 10));
		pair[0] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(pair[0], (struct sockaddr *)&in, sizeof(in)), 0);
	}
	is_lost = false;
	loop = loop_new();
	client = client_new(loop, pair[0], &ops, NULL);
}

static void finish(void)
{
	client_free(client);
	loop_free(loop);
	server_free(server);
}

struct call {
	struct client_stream *stream;
	int status;
	struct buffer fields, body, trailers; /* "name: value\n" */
	bool takes_late;                      /* the window stays closed until call_take() */
	size_t untaken;
	bool has_ended, is_closed;
	enum error_code why;
};

static void fields_print(struct buffer *to, const struct header *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buffer_print(to, SPAN_FMT ": " SPAN_FMT "\n", SPAN_ARG(fields[i].name), SPAN_ARG(fields[i].value));
	buffer_byte(to, 0);
	to->len--;
	loop_stop(loop);
}

static void call_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct call *call = client_stream_owner(s);

	call->status = status;
	fields_print(&call->fields, headers, count);
}

static void call_receive(struct client_stream *s, struct span bytes)
{
	struct call *call = client_stream_owner(s);

	buffer_append(&call->body, bytes);
	if (call->takes_late)
		call->untaken += bytes.len;
	else
		client_taken(s, bytes.len);
	loop_stop(loop);
}

static void call_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct call *call = client_stream_owner(s);

	call->has_ended = true;
	fields_print(&call->trailers, trailers, count);
}

static void call_closed(struct client_stream *s, const struct error *why)
{
	struct call *call = client_stream_owner(s);

	call->is_closed = true;
	call->why = why ? why->code : ERROR_NONE;
	loop_stop(loop);
}

static struct call *call_open(struct client_head head, bool is_last)
{
	static const struct client_stream_ops ops = {
		.head = call_head, .receive = call_receive, .end = call_end, .closed = call_closed
	};
	struct call *call = base_calloc(1, sizeof(*call));

	buffer_init(&call->fields, KIB(64));
	buffer_init(&call->body, MIB(64));
	buffer_init(&call->trailers, KIB(64));
	if (!head.scheme.len)
		head.scheme = SPAN("http");
	head.authority = SPAN("a");
	call->stream = client_open(client, &head, is_last, &ops, call);
	return call;
}

static struct call *call_post(const char *path, const struct header *headers, size_t count)
{
	return call_open(
	    (struct client_head){
		.method = SPAN("POST"), .path = span_of(path), .headers = headers, .header_count = count },
	    false);
}

static struct call *call_get(const char *path)
{
	return call_open((struct client_head){ .method = SPAN("GET"), .path = span_of(path) }, true);
}

static void too_late(struct timer *t)
{
	(void)t;
	fail_msg("nothing came in time");
}

/* Lets the loop run until the condition holds. */
#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		struct timer patience = { 0 };                                                                         \
                                                                                                                       \
		loop_timer_set(loop, &patience, clock_monotonic_ns() + DEADLINE_NS, too_late);                         \
		while (!(condition))                                                                                   \
			loop_run(loop);                                                                                \
		loop_timer_clear(loop, &patience);                                                                     \
	} while (0)

static void stop_loop(struct timer *t)
{
	(void)t;
	loop_stop(loop);
}

/* The client works while the test looks, every millisecond, for what other threads do. */
static void run_some(void)
{
	struct timer tick = { 0 };

	loop_timer_set(loop, &tick, clock_monotonic_ns() + NS_PER_MS, stop_loop);
	loop_run(loop);
	loop_timer_clear(loop, &tick);
}

static void wait_for(sem_t *sem)
{
	for (int64_t end = clock_monotonic_ns() + DEADLINE_NS; sem_trywait(sem) != 0; run_some())
		assert_true(clock_monotonic_ns() < end);
}

static void call_free(struct call *call)
{
	assert_true(call->is_closed);
	buffer_done(&call->fields);
	buffer_done(&call->body);
	buffer_done(&call->trailers);
	free(call);
}

static bool body_is(const struct call *call, const char *text)
{
	return span_equal(buffer_span(&call->body), span_of(text));
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

static void on_server(void (*run)(struct request *req))
{
	struct order o = { .message.run = order_run, .run = run };

	sem_init(&o.done, 0, 0);
	loop_send(server_worker_loop(server, 0), &o.message);
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

/* ---- tests ---- */

static const struct header grpc_type = { SPAN_INIT("content-type"), SPAN_INIT("application/grpc") };

static void answers_may_come_after_the_handlers_have_returned(void **state)
{
	struct server_config config = config_default();
	struct call *call;

	(void)state;
	start(&config, false);
	call = call_post("/later", NULL, 0);
	client_write(call->stream, SPAN("body"));
	client_end(call->stream);
	wait_for(&opened);
	on_server(send_body);
	UNTIL(call->is_closed);
	assert_int_equal(call->status, 200);
	assert_true(body_is(call, "later:body"));
	call_free(call);

	for (int i = 0; i < 2; i++) {
		call = call_post("/t.T/Later", &grpc_type, 1);
		client_write(call->stream, span_from("\0\0\0\0\2ab", 7));
		client_end(call->stream);
		wait_for(&opened);
		on_server(i ? fail_it : send_body);
		UNTIL(call->is_closed);
		assert_int_equal(call->status, 200);
		if (i == 0)
			assert_memory_equal(call->body.ptr, "\0\0\0\0\10later:ab", 13);
		assert_non_null(
		    strstr(i ? call->fields.ptr : call->trailers.ptr, i ? "grpc-status: 5" : "grpc-status: 0"));
		call_free(call);
	}
	finish();
}

static void bodies_are_echoed_as_they_come(void **state)
{
	struct server_config config = config_default();
	struct call *call;

	(void)state;
	start(&config, false);
	call = call_post("/echo", NULL, 0);
	UNTIL(call->status == 200);
	client_write(call->stream, SPAN("abc"));
	UNTIL(body_is(call, "abc"));
	client_write(call->stream, SPAN("def"));
	UNTIL(body_is(call, "abcdef"));
	client_end(call->stream);
	UNTIL(call->is_closed);
	assert_true(call->has_ended);
	assert_non_null(strstr(call->fields.ptr, "date: "));
	assert_null(strstr(call->fields.ptr, "x-hythe-reason")); /* that is between hythes only */
	call_free(call);
	call = call_get("/echo");
	UNTIL(call->is_closed);
	assert_true(call->has_ended && call->body.len == 0);
	call_free(call);
	finish();
}

static void grpc_passes_as_raw_frames_with_its_trailers(void **state)
{
	struct server_config config = config_default();
	struct call *call;

	(void)state;
	start(&config, false);
	call = call_post("/t.T/Echo", &grpc_type, 1);
	client_write(call->stream, span_from("\0\0\0\0\2ab\0\0\0\0\1c", 13));
	client_end(call->stream);
	UNTIL(call->is_closed);
	assert_memory_equal(call->body.ptr, "\0\0\0\0\2ab\0\0\0\0\1c", 13);
	assert_string_equal(call->trailers.ptr, "grpc-status: 0\nx-sum: 42\n");
	call_free(call);
	call = call_post("/none", &grpc_type, 1);
	UNTIL(call->is_closed);
	assert_non_null(strstr(call->fields.ptr, "grpc-status: 5\ngrpc-message: nowhere\n"));
	assert_int_equal(call->body.len, 0);
	assert_int_equal(call->trailers.len, 0);
	call_free(call);
	finish();
}

/* 8 MB there and back on one stream, while the client takes in bursts; then a handler that wants less than comes. */
static void back_pressure_holds_both_ways(void **state)
{
	struct server_config config = config_default();
	struct buffer body;
	struct call *call;
	size_t sent = 0;

	(void)state;
	buffer_init(&body, MIB(16));
	for (unsigned i = 0; body.len < MIB(8); i++)
		buffer_print(&body, "%u,", i * 2654435761u);
	start(&config, false);
	most_unsent = 0;
	call = call_post("/echo", NULL, 0);
	call->takes_late = true;
	while (!call->is_closed) {
		while (sent < body.len && client_unsent(call->stream) < KIB(64)) {
			struct span piece = span_first(span_skip(buffer_span(&body), sent), KIB(10));

			client_write(call->stream, piece);
			sent += piece.len;
			if (sent == body.len)
				client_end(call->stream);
		}
		if (call->untaken >= KIB(32) || sent == body.len) {
			client_taken(call->stream, call->untaken);
			call->untaken = 0;
		}
		loop_run(loop);
	}
	assert_true(call->has_ended);
	assert_int_equal(call->body.len, body.len);
	assert_memory_equal(call->body.ptr, body.ptr, body.len);
	assert_true(most_unsent < REQUEST_UNSENT_LOW + KIB(64));
	call_free(call);

	received = 0;
	call = call_post("/greedy", NULL, 0);
	client_write(call->stream, span_first(buffer_span(&body), 100001));
	wait_for(&opened);
	for (int64_t end = clock_monotonic_ns() + DEADLINE_NS; received < 100000; run_some())
		assert_true(clock_monotonic_ns() < end);
	client_reset(call->stream);
	UNTIL(call->is_closed);
	wait_for(&gone);
	assert_int_equal(received, 100000);
	call_free(call);
	buffer_done(&body);
	finish();
}

enum { SIP = 700 * 1024 }; /* of 1 MiB that may be on its way */

static void sip(struct request *req)
{
	request_want(req, SIP);
}

/* A body that is never read to where it has come: what was read of it is kept no longer. */
static void a_body_that_is_read_slowly_may_be_longer_than_the_memory_for_it(void **state)
{
	struct server_config config = config_default();
	struct call *call, *other;
	struct buffer body;

	(void)state;
	config.limits.request_memory = MIB(4);
	buffer_init(&body, MIB(16));
	(void)buffer_reserve(&body, MIB(8));
	memset(body.ptr, 'x', MIB(8));
	buffer_commit(&body, MIB(8));
	start(&config, false);
	received = 0;
	call = call_post("/stall", NULL, 0);
	client_write(call->stream, buffer_span(&body));
	wait_for(&opened);
	for (size_t taken = 0; taken + MIB(1) + SIP < body.len; taken += SIP) {
		for (int64_t end = clock_monotonic_ns() + DEADLINE_NS;
		     client_unsent(call->stream) > body.len - taken - MIB(1); run_some()) {
			assert_false(call->is_closed);
			assert_true(clock_monotonic_ns() < end);
		}
		other = call_get("/tell"); /* its answer says that what was sent before has come */
		UNTIL(other->is_closed);
		call_free(other);
		assert_false(call->is_closed);
		on_server(sip);
	}
	for (size_t i = 0; i < 3; i++)
		on_server(sip);
	for (int64_t end = clock_monotonic_ns() + DEADLINE_NS; received < body.len; run_some())
		assert_true(clock_monotonic_ns() < end);
	client_end(call->stream);
	on_server(send_body);
	UNTIL(call->is_closed);
	assert_int_equal(call->status, 200);
	call_free(call);
	buffer_done(&body);
	finish();
}

static void who_leaves_or_is_late_or_cut_is_told_apart(void **state)
{
	struct server_config config = config_default();
	struct call *call;

	(void)state;
	start(&config, false);
	for (int i = 0; i < 2; i++) {
		call = call_get(i ? "/endless" : "/stall");
		if (i)
			UNTIL(call->body.len > MIB(1));
		else
			wait_for(&opened);
		client_reset(call->stream);
		UNTIL(call->is_closed);
		assert_int_equal(call->why, ERROR_CANCELLED);
		wait_for(&gone);
		assert_int_equal(gone_code, ERROR_CANCELLED);
		call_free(call);
	}
	finish();
	config.limits.request_timeout_ms = 500;
	start(&config, false);
	call = call_get("/later");
	UNTIL(call->is_closed);
	assert_int_equal(call->status, 504);
	wait_for(&opened);
	wait_for(&gone);
	assert_int_equal(gone_code, ERROR_TIMEOUT);
	call_free(call);
	call = call_get("/cut");
	UNTIL(call->is_closed);
	assert_false(call->has_ended);
	assert_int_equal(call->why, ERROR_INTERNAL);
	call_free(call);
	finish();
}

static void websockets_are_tunnels_by_extended_connect(void **state)
{
	static const struct header version = { SPAN_INIT("sec-websocket-version"), SPAN_INIT("13") };
	struct client_head head = { .method = SPAN("CONNECT"),
				    .path = SPAN("/echo"),
				    .protocol = SPAN("websocket"),
				    .headers = &version,
				    .header_count = 1 };
	struct server_config config = config_default();
	struct call *call;

	(void)state;
	start(&config, false);
	call = call_open(head, false);
	UNTIL(call->status == 200);
	client_write(call->stream, SPAN("frames"));
	UNTIL(body_is(call, "frames"));
	client_end(call->stream);
	UNTIL(call->is_closed);
	assert_true(call->has_ended);
	call_free(call);

	head.header_count = 0;
	call = call_open(head, false);
	UNTIL(call->is_closed);
	assert_int_equal(call->status, 426);
	assert_non_null(strstr(call->fields.ptr, "sec-websocket-version: 13"));
	call_free(call);
	head.header_count = 1;
	head.protocol = SPAN("masque");
	call = call_open(head, false);
	UNTIL(call->is_closed);
	assert_int_equal(call->status, 501);
	call_free(call);
	head.protocol = SPAN("websocket");
	head.path = SPAN("/later");
	call = call_open(head, false);
	UNTIL(call->is_closed);
	assert_int_equal(call->status, 501);
	call_free(call);
	finish();
}

static void who_asked_is_heard_from_adopted_connections_only(void **state)
{
	static const struct header fields[] = { { SPAN_INIT("x-hythe-peer"), SPAN_INIT("1.2.3.4:5") },
						{ SPAN_INIT("x-hythe-scheme"), SPAN_INIT("https") },
						{ SPAN_INIT("x-hythe-version"), SPAN_INIT("HTTP/1.0") } };
	struct server_config config = config_default();
	struct call *call;

	(void)state;
	for (int is_adopted = 0; is_adopted < 2; is_adopted++) {
		config.address_count = is_adopted ? 0 : 1;
		start(&config, is_adopted != 0);
		call = call_post("/tell", fields, ARRAY_LEN(fields));
		client_end(call->stream);
		UNTIL(call->is_closed);
		if (is_adopted)
			assert_true(body_is(call, "POST /tell https HTTP/1.0 1.2.3.4:5"));
		else
			assert_true(span_starts(buffer_span(&call->body), SPAN("POST /tell http HTTP/2 127.0.0.1:")));
		assert_null(memmem(call->body.ptr, call->body.len, "leaked", 6));
		call_free(call);
		call = call_post("/echo", NULL, 0);
		client_end(call->stream);
		UNTIL(call->is_closed);
		assert_int_equal(strstr(call->fields.ptr, "x-hythe-reason: Echo") != NULL, is_adopted);
		call_free(call);
		finish();
	}
	sem_wait(&adopted_end);
}

/* More streams than a stranger may have, more resets than nghttp2 forgives, and no time limit while idle. */
static void an_adopted_connection_is_not_cut_for_what_strangers_may_not_do(void **state)
{
	enum { STREAMS = 1000, RESETS = 3000 };
	static struct call *calls[STREAMS];
	struct server_config config = config_default();

	(void)state;
	config.limits.idle_timeout_ms = config.limits.read_timeout_ms = config.limits.write_timeout_ms = 20;
	config.address_count = 0;
	start(&config, true);
	for (int i = 0; i < STREAMS; i++)
		calls[i] = call_get("/stall");
	for (int i = 0; i < STREAMS; i++)
		wait_for(&opened);
	for (int i = 0; i < STREAMS; i++)
		client_reset(calls[i]->stream);
	for (int i = 0; i < STREAMS; i++) {
		UNTIL(calls[i]->is_closed);
		call_free(calls[i]);
		wait_for(&gone);
	}
	for (int i = 0; i < RESETS; i++) {
		struct call *call = call_get("/stall");

		wait_for(&opened);
		client_reset(call->stream);
		UNTIL(call->is_closed);
		call_free(call);
		wait_for(&gone);
	}
	/* Five times as long as a stranger may be idle. */
	for (int64_t end = clock_monotonic_ns() + 100 * NS_PER_MS; clock_monotonic_ns() < end; run_some())
		assert_false(is_lost);
	calls[0] = call_get("/tell");
	UNTIL(calls[0]->is_closed);
	assert_int_equal(calls[0]->status, 200);
	call_free(calls[0]);
	finish();
	sem_wait(&adopted_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_may_come_after_the_handlers_have_returned),
		cmocka_unit_test(bodies_are_echoed_as_they_come),
		cmocka_unit_test(grpc_passes_as_raw_frames_with_its_trailers),
		cmocka_unit_test(back_pressure_holds_both_ways),
		cmocka_unit_test(a_body_that_is_read_slowly_may_be_longer_than_the_memory_for_it),
		cmocka_unit_test(who_leaves_or_is_late_or_cut_is_told_apart),
		cmocka_unit_test(websockets_are_tunnels_by_extended_connect),
		cmocka_unit_test(who_asked_is_heard_from_adopted_connections_only),
		cmocka_unit_test(an_adopted_connection_is_not_cut_for_what_strangers_may_not_do),
	};

	sem_init(&opened, 0, 0);
	sem_init(&gone, 0, 0);
	sem_init(&adopted_end, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
