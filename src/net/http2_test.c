/* SPDX-License-Identifier: Apache-2.0 */
/* http2_test - a whole server in this process, asked over HTTP/2 and gRPC by nghttp2's client. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "base/number.h"
#include "net/coding.h"
#include "net/grpc.h"
#include "net/kernel_kit.h"
#include "net/server.h"

enum { PATIENCE_MS = 60000, CALLS_MOST = 64, LARGE = 50000 };

/* ---- what is served ---- */

static sem_t gate; /* handlers on compute threads wait here */
static _Atomic int ended;

static void echo(struct request *req)
{
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("application/octet-stream"));
}

static void note_end(struct request_end *end)
{
	(void)end;
	ended++;
}

static void query(struct request *req)
{
	struct error err = { 0 };
	struct request_end *end = ARENA_NEW(&req->arena, struct request_end, &err);
	struct span value = SPAN("(none)");

	request_at_end(req, end, note_end);
	(void)request_query(req, SPAN("q"), &value);
	buffer_append(&req->out, request_param(req, "name"));
	buffer_byte(&req->out, '|');
	buffer_append(&req->out, value);
	buffer_byte(&req->out, '|');
	buffer_append(&req->out, request_traceparent(req));
	request_send(req, 200, SPAN("text/plain"));
}

static void gated_step(struct request *req)
{
	while (sem_wait(&gate) != 0 && errno == EINTR)
		;
	assert_true(request_is_offloaded(req));
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("text/plain"));
}

static void gated(struct request *req)
{
	request_offload(req, gated_step);
}

static void failing(struct request *req)
{
	struct error err = { 0 };

	error_set(&err, ERROR_NOT_FOUND, "no model '%.*s' \xc3\xa9", SPAN_ARG(req->body));
	request_fail(req, &err);
}

static void silent(struct request *req)
{
	(void)req;
}

static void chat(struct request *req)
{
	struct error err = { 0 };

	if (req->is_end) {
		buffer_append(&req->out, SPAN("bye"));
		request_send(req, 200, (struct span){ NULL, 0 });
	} else if (span_equal(req->body, SPAN("fail"))) {
		error_set(&err, ERROR_INVALID, "as told");
		request_fail(req, &err);
	} else if (span_equal(req->body, SPAN("large"))) {
		while (req->out.len < LARGE)
			buffer_byte(&req->out, 'x');
		request_send_part(req);
	} else {
		buffer_append(&req->out, req->body);
		request_send_part(req);
	}
}

static void slow_chat_step(struct request *req)
{
	buffer_append(&req->out, req->body);
	request_send_part(req);
	buffer_append(&req->out, SPAN("again"));
	request_send_part(req);
}

static void slow_chat(struct request *req)
{
	if (req->is_end)
		request_send(req, 200, (struct span){ NULL, 0 });
	else
		request_offload(req, slow_chat_step);
}

static void held(struct request *req)
{
	req->is_held = true;
	if (!req->is_end) {
		buffer_append(&req->out, req->body);
		request_send_part(req);
	}
}

static const struct surface http_surface = { "test", fail_as_json_error }, grpc_surface = { "grpc", NULL };
static const struct route table[] = {
	{ METHOD_GET | METHOD_POST, "/echo", echo, &http_surface, ROUTE_HTTP },
	{ METHOD_GET, "/query/{name}", query, &http_surface, ROUTE_HTTP },
	{ METHOD_POST, "/gated", gated, &http_surface, ROUTE_HTTP },
	{ METHOD_GET, "/silent", silent, &http_surface, ROUTE_HTTP },
	{ METHOD_POST, "/t.T/Echo", echo, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Fail", failing, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Gated", gated, &grpc_surface, ROUTE_GRPC },
	{ METHOD_POST, "/t.T/Chat", chat, &grpc_surface, ROUTE_GRPC_STREAM },
	{ METHOD_POST, "/t.T/Held", held, &grpc_surface, ROUTE_GRPC_STREAM },
	{ METHOD_POST, "/t.T/SlowChat", slow_chat, &grpc_surface, ROUTE_GRPC_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

static struct server *server_with(size_t body_bytes, size_t answer_bytes)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	struct server_config config = {
		.addresses = addresses,
		.address_count = 1,
		.routes = tables,
		.workers = 1,
		.compute_threads = 1,
		.compression = true,
		.compression_least = 1000,
		.cors_origin = "https://console.example",
		.idle_grace_ms = PATIENCE_MS,
		.limits = server_limits_default(),
	};
	struct error err = { 0 };
	struct server *s;

	config.limits.body_bytes = body_bytes;
	config.limits.answer_bytes = answer_bytes;
	config.limits.header_bytes = 4096;
	config.limits.queue = 1;
	s = server_new(&config, &err);
	if (!s || !server_start(s, &err))
		fail_msg("%s", err.message);
	return s;
}

static int start(void **state)
{
	sem_init(&gate, 0, 0);
	ended = 0;
	*state = server_with(MIB(8), MIB(64));
	return 0;
}

static int stop(void **state)
{
	server_drain(*state);
	server_wait(*state);
	server_free(*state);
	sem_destroy(&gate);
	return 0;
}

/* ---- the client ---- */

struct call {
	int32_t id;
	int status, grpc_status;
	char message[600], type[100], encoding[30], request_id[80], details[1200], allow[100], cors[100];
	struct buffer body; /* what came */
	struct span sent;   /* what goes out */
	bool keeps_open;    /* no END_STREAM behind `sent` yet */
	bool is_closed;
	uint32_t close_code;
};

struct client {
	int fd;
	nghttp2_session *session;
	struct call calls[CALLS_MOST];
	size_t count;
	int goaways;
	int32_t last_stream;
	bool is_eof;
};

static void keep(char *to, size_t size, const uint8_t *value, size_t len)
{
	len = MIN(len, size - 1);
	memcpy(to, value, len);
	to[len] = 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct span n = span_from(name, name_len);

	(void)flags, (void)user;
	if (span_equal(n, SPAN(":status")))
		call->status = (int)strtol((const char *)value, NULL, 10);
	else if (span_equal(n, SPAN("grpc-status")))
		call->grpc_status = (int)strtol((const char *)value, NULL, 10);
	else if (span_equal(n, SPAN("grpc-message")))
		keep(call->message, sizeof(call->message), value, len);
	else if (span_equal(n, SPAN("grpc-status-details-bin")))
		keep(call->details, sizeof(call->details), value, len);
	else if (span_equal(n, SPAN("content-type")))
		keep(call->type, sizeof(call->type), value, len);
	else if (span_equal(n, SPAN("content-encoding")) || span_equal(n, SPAN("grpc-encoding")))
		keep(call->encoding, sizeof(call->encoding), value, len);
	else if (span_equal(n, SPAN("x-request-id")))
		keep(call->request_id, sizeof(call->request_id), value, len);
	else if (span_equal(n, SPAN("allow")))
		keep(call->allow, sizeof(call->allow), value, len);
	else if (span_equal(n, SPAN("access-control-allow-origin")))
		keep(call->cors, sizeof(call->cors), value, len);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, id);

	(void)flags, (void)user;
	buffer_append(&call->body, span_from(data, len));
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, id);

	(void)user;
	call->is_closed = true;
	call->close_code = code;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct client *c = user;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		c->goaways++;
		c->last_stream = frame->goaway.last_stream_id;
	}
	return 0;
}

static struct client *client_new(struct server *s)
{
	struct client *c = base_calloc(1, sizeof(*c));
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	nghttp2_session_callbacks *callbacks;
	int yes = 1;

	to.sin_port = htons((uint16_t)strtoul(strrchr(server_address(s, 0), ':') + 1, NULL, 10));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	/* Frames are sent one by one: Nagle's algorithm would wait for the server's delayed acknowledgements. */
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_client_new(&c->session, callbacks, c);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(c->session, 0, NULL, 0);
	return c;
}

static void client_free(struct client *c)
{
	for (size_t i = 0; i < c->count; i++)
		buffer_done(&c->calls[i].body);
	nghttp2_session_del(c->session);
	close(c->fd);
	free(c);
}

static void client_send(struct client *c)
{
	const uint8_t *data;
	ssize_t len;

	while ((len = nghttp2_session_mem_send(c->session, &data)) > 0) {
		for (ssize_t done = 0, n; done < len; done += n) {
			n = send(c->fd, data + done, (size_t)(len - done), MSG_NOSIGNAL);
			if (n <= 0)
				return; /* the server is gone: the next read says so */
		}
	}
}

/* One exchange; false when nothing came for too long. */
static bool client_turn(struct client *c)
{
	struct pollfd ready = { .fd = c->fd, .events = POLLIN };
	uint8_t bytes[65536];
	ssize_t n;

	client_send(c);
	if (c->is_eof || poll(&ready, 1, PATIENCE_MS) != 1)
		return false;
	n = recv(c->fd, bytes, sizeof(bytes), 0);
	if (n <= 0) {
		c->is_eof = true;
		return true;
	}
	assert_int_equal(nghttp2_session_mem_recv(c->session, bytes, (size_t)n), n);
	client_send(c);
	return true;
}

static void wait_closed(struct client *c, const struct call *call)
{
	while (!call->is_closed)
		assert_true(client_turn(c));
}

static ssize_t give_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t len, uint32_t *flags,
			 nghttp2_data_source *source, void *user)
{
	struct call *call = source->ptr;
	size_t n = MIN(len, call->sent.len);

	(void)session, (void)id, (void)user;
	if (n == 0 && call->keeps_open)
		return NGHTTP2_ERR_DEFERRED;
	memcpy(to, call->sent.ptr, n);
	call->sent = span_skip(call->sent, n);
	if (call->sent.len == 0 && !call->keeps_open)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

/* `headers`: name, value, ..., NULL. */
static struct call *ask(struct client *c, const char *method, const char *path, const char *const *headers,
			struct span body, bool keeps_open)
{
	struct call *call = &c->calls[c->count++];
	nghttp2_data_provider provider = { .source = { .ptr = call }, .read_callback = give_body };
	nghttp2_nv pairs[120] = { pair(":method", method), pair(":scheme", "http"), pair(":authority", "test"),
				  pair(":path", path) };
	size_t count = 4;

	assert_true(c->count <= CALLS_MOST);
	buffer_init(&call->body, SIZE_MAX / 2);
	call->grpc_status = -1;
	call->sent = body;
	call->keeps_open = keeps_open;
	for (; headers && headers[0] && count < ARRAY_LEN(pairs); headers += 2)
		pairs[count++] = pair(headers[0], headers[1]);
	call->id =
	    nghttp2_submit_request(c->session, NULL, pairs, count, body.len || keeps_open ? &provider : NULL, call);
	assert_true(call->id > 0);
	return call;
}

static struct call *exchange(struct client *c, const char *method, const char *path, const char *const *headers,
			     struct span body)
{
	struct call *call = ask(c, method, path, headers, body, false);

	wait_closed(c, call);
	return call;
}

static const char *const grpc_headers[] = { "content-type", "application/grpc", "te", "trailers", NULL };

static struct call *grpc_exchange(struct client *c, const char *path, struct span frames)
{
	return exchange(c, "POST", path, grpc_headers, frames);
}

/* The bytes behind a call that is open. */
static void give_more(struct client *c, struct call *call, struct span bytes, bool keeps_open)
{
	call->sent = bytes;
	call->keeps_open = keeps_open;
	nghttp2_session_resume_data(c->session, call->id);
	client_send(c);
}

static void wait_body(struct client *c, const struct call *call, struct span wanted)
{
	while (call->body.len < wanted.len && !call->is_closed)
		assert_true(client_turn(c));
	assert_true(span_equal(buffer_span(&call->body), wanted));
}

/* ---- HTTP ---- */

static void a_request_is_answered_over_http2(void **state)
{
	static const char *const headers[] = { "content-type", "text/plain", "x-request-id", "mine-1", NULL };
	struct client *c = client_new(*state);
	struct call *call = exchange(c, "POST", "/echo", headers, SPAN("hello"));

	assert_int_equal(call->status, 200);
	assert_true(span_equal(buffer_span(&call->body), SPAN("hello")));
	assert_string_equal(call->request_id, "mine-1");
	assert_string_equal(call->cors, "https://console.example");
	call = exchange(c, "HEAD", "/echo", NULL, SPAN(""));
	assert_int_equal(call->status, 200);
	assert_int_equal(call->body.len, 0);
	client_free(c);
}

static void a_request_id_that_is_not_sane_is_replaced(void **state)
{
	static const char *const ids[] = { "with space", "with\"quote", "back\\slash",
					   "0123456789012345678901234567890123456789012345678901234567890123" };
	struct client *c = client_new(*state);

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const char *const headers[] = { "x-request-id", ids[i], NULL };
		struct call *call = exchange(c, "GET", "/echo", headers, SPAN(""));

		assert_int_equal(strlen(call->request_id), 16);
	}
	client_free(c);
}

static void targets_are_decoded_piece_by_piece(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *start;
	} rows[] = {
		{ "/query/a", 200, "a|(none)|00-" },
		{ "/query/a%2Fb?q=x+y%21&q=2", 200, "a/b|x y!|00-" },
		{ "/query/%C3%A9?p=1&&q", 200, "\xc3\xa9||00-" },
		{ "/query/a?%71=100%", 200, "a|100%|00-" },
		{ "/query/a/", 200, "a|(none)|00-" },
		{ "/query/%", 400, "{\"error\":\"the path has a '%'" },
		{ "/query/%0", 400, "{" },
		{ "/query/%00", 400, "{\"error\":\"the path has a NUL" },
		{ "/query/a#b", 400, "{" },
		{ "/query", 404, "{\"error\":\"no such path: /query\"}" },
		{ "/query/a/b", 404, "{" },
		{ "/silent", 500, "{\"error\":\"the handler of '/silent' gave no answer\"}" },
	};
	struct client *c = client_new(*state);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct call *call = exchange(c, "GET", rows[i].path, NULL, SPAN(""));

		assert_int_equal(call->status, rows[i].status);
		assert_true(span_starts(buffer_span(&call->body), span_of(rows[i].start)));
	}
	assert_int_equal(ended, 5); /* what was asked for at a request's end has run */
	client_free(c);
}

static void a_trace_goes_on_or_starts(void **state)
{
	static const char given[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	static const struct {
		const char *header;
		bool is_taken;
	} rows[] = {
		{ given, true },
		{ "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false },
		{ "00-00000000000000000000000000000000-b7ad6b7169203331-01", false },
		{ "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false },
		{ "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false },
	};
	struct client *c = client_new(*state);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *const headers[] = { "traceparent", rows[i].header, NULL };
		struct call *call = exchange(c, "GET", "/query/a?q=", headers, SPAN(""));
		const char *trace = call->body.ptr + 3;

		assert_int_equal(call->body.len, 3 + 55);
		assert_int_equal(memcmp(trace, given, 35) == 0, rows[i].is_taken);
		assert_memory_equal(trace + 52, rows[i].is_taken ? "-01" : "-00", 3);
		assert_true(memcmp(trace + 36, given + 36, 16) != 0);
	}
	client_free(c);
}

static void methods_are_told(void **state)
{
	struct client *c = client_new(*state);
	struct call *call = exchange(c, "DELETE", "/echo", NULL, SPAN(""));

	assert_int_equal(call->status, 405);
	assert_string_equal(call->allow, "GET, HEAD, POST, OPTIONS");
	call = exchange(c, "OPTIONS", "/echo", NULL, SPAN(""));
	assert_int_equal(call->status, 204);
	assert_string_equal(call->allow, "GET, HEAD, POST, OPTIONS");
	assert_int_equal(exchange(c, "OPTIONS", "*", NULL, SPAN(""))->status, 204);
	assert_int_equal(exchange(c, "BREW", "/nothing", NULL, SPAN(""))->status, 501);
	assert_int_equal(exchange(c, "POST", "/t.T/Echo", NULL, SPAN("x"))->status, 415);
	client_free(c);
}

static void bodies_larger_than_the_windows_pass(void **state)
{
	struct client *c = client_new(*state);
	struct buffer large;
	struct call *call;

	buffer_init(&large, SIZE_MAX / 2);
	while (large.len < MIB(5))
		buffer_print(&large, "%zu ", large.len);
	call = exchange(c, "POST", "/echo", NULL, buffer_span(&large));
	assert_int_equal(call->status, 200);
	assert_true(span_equal(buffer_span(&call->body), buffer_span(&large)));
	buffer_done(&large);
	client_free(c);
}

/* What the kernel had refused may all be gone when it is tried again: nothing is told of that, and such a client says nothing meanwhile. */
static void an_answer_that_was_refused_for_a_moment_goes_on(void **state)
{
	static const nghttp2_settings_entry windows[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 64 << 20 } };
	struct client *c = client_new(*state);
	struct buffer large;
	struct call *call;

	nghttp2_submit_settings(c->session, 0, windows, ARRAY_LEN(windows));
	assert_int_equal(nghttp2_session_set_local_window_size(c->session, 0, 0, 64 << 20), 0);
	buffer_init(&large, SIZE_MAX / 2);
	while (large.len < MIB(5))
		buffer_print(&large, "%zu ", large.len);
	kernel_refuses();
	call = exchange(c, "POST", "/echo", NULL, buffer_span(&large));
	assert_int_equal(call->status, 200);
	assert_true(span_equal(buffer_span(&call->body), buffer_span(&large)));
	assert_true(kernel_has_refused());
	buffer_done(&large);
	client_free(c);
}

static void bodies_are_decompressed_and_answers_compressed(void **state)
{
	static const char *const zstd_headers[] = { "content-encoding", "gzip", "accept-encoding",
						    "zstd;q=0.9, gzip;q=0.1", NULL };
	static const char *const bad_headers[] = { "content-encoding", "gzip", NULL };
	static const char *const unknown_headers[] = { "content-encoding", "br", NULL };
	struct client *c = client_new(*state);
	struct buffer plain, packed, read;
	struct error err = { 0 };
	struct call *call;

	buffer_init(&plain, SIZE_MAX / 2);
	buffer_init(&packed, SIZE_MAX / 2);
	buffer_init(&read, SIZE_MAX / 2);
	while (plain.len < 200000) /* packed it is over what is decoded on the loop */
		buffer_print(&plain, "%zu,", plain.len * 7919 % 100003);
	assert_true(coding_encode(CODING_GZIP, buffer_span(&plain), &packed));
	call = exchange(c, "POST", "/echo", zstd_headers, buffer_span(&packed));
	assert_int_equal(call->status, 200);
	assert_string_equal(call->encoding, "zstd");
	assert_true(coding_decode(CODING_ZSTD, buffer_span(&call->body), &read, "", &err));
	assert_true(span_equal(buffer_span(&read), buffer_span(&plain)));
	call = exchange(c, "POST", "/echo", bad_headers, SPAN("no gzip"));
	assert_int_equal(call->status, 400);
	call = exchange(c, "POST", "/echo", unknown_headers, SPAN("?"));
	assert_int_equal(call->status, 415);
	buffer_done(&plain);
	buffer_done(&packed);
	buffer_done(&read);
	client_free(c);
}

static void what_is_over_a_limit_is_refused_and_the_connection_lives(void **state)
{
	static char large[100000];
	const char *many[2 * 101 + 1] = { NULL };
	const char *const wide[] = { "x-wide", large, NULL };
	struct server *s = server_with(1000, MIB(64));
	struct client *c = client_new(s);

	(void)state;
	memset(large, 'a', sizeof(large) - 1);
	for (size_t i = 0; i < 202; i += 2) {
		many[i] = "x-many";
		many[i + 1] = "1";
	}
	assert_int_equal(exchange(c, "POST", "/echo", NULL, span_from(large, sizeof(large) - 1))->status, 413);
	assert_int_equal(grpc_exchange(c, "/t.T/Echo", SPAN("\0\0\0\4\0"))->grpc_status, 8);
	large[5000] = 0;
	assert_int_equal(exchange(c, "GET", "/echo", wide, SPAN(""))->status, 431);
	assert_int_equal(exchange(c, "GET", "/echo", many, SPAN(""))->status, 431);
	assert_int_equal(exchange(c, "GET", "/echo", NULL, SPAN(""))->status, 200);
	client_free(c);
	server_drain(s);
	server_wait(s);
	server_free(s);
}

static void a_full_queue_answers_429(void **state)
{
	struct client *c = client_new(*state);
	int exhausted = 0, good = 0;
	struct call *calls[4];

	/* One runs, one waits; which of the four the thread takes first is its affair. */
	for (size_t i = 0; i < 4; i++)
		calls[i] = ask(c, "POST", "/gated", NULL, SPAN("x"), false);
	while (!calls[0]->is_closed && !calls[1]->is_closed && !calls[2]->is_closed && !calls[3]->is_closed)
		assert_true(client_turn(c));
	for (size_t i = 0; i < 4; i++)
		sem_post(&gate);
	for (size_t i = 0; i < 4; i++) {
		wait_closed(c, calls[i]);
		exhausted += calls[i]->status == 429;
		good += calls[i]->status == 200;
	}
	assert_int_equal(exhausted + good, 4);
	assert_in_range(exhausted, 1, 3);
	client_free(c);
}

/* ---- gRPC ---- */

static void a_unary_call_has_its_status_in_trailers(void **state)
{
	struct client *c = client_new(*state);
	struct call *call = grpc_exchange(c, "/t.T/Echo", SPAN("\0\0\0\0\3abc"));

	assert_int_equal(call->status, 200);
	assert_string_equal(call->type, "application/grpc");
	assert_int_equal(call->grpc_status, 0);
	assert_true(span_equal(buffer_span(&call->body), SPAN("\0\0\0\0\3abc")));
	call = grpc_exchange(c, "/t.T/Echo", SPAN("\0\0\0\0\0"));
	assert_int_equal(call->grpc_status, 0);
	assert_true(span_equal(buffer_span(&call->body), SPAN("\0\0\0\0\0")));
	client_free(c);
}

static void a_failed_call_tells_why(void **state)
{
	struct client *c = client_new(*state);
	struct call *call = grpc_exchange(c, "/t.T/Fail", SPAN("\0\0\0\0\1m"));

	assert_int_equal(call->status, 200);
	assert_int_equal(call->grpc_status, 5);
	assert_string_equal(call->message, "no model 'm' %C3%A9");
	assert_int_equal(call->body.len, 0);
	assert_int_equal(strlen(call->request_id), 16);
	assert_true(strlen(call->details) > 50);
	client_free(c);
}

static void calls_that_break_the_rules_have_a_status(void **state)
{
	static const struct {
		const char *path;
		struct span frames;
		int status;
	} rows[] = {
		{ "/t.T/None", SPAN_INIT("\0\0\0\0\0"), 12 },
		{ "/echo", SPAN_INIT("\0\0\0\0\0"), 12 },
		{ "/t.T/Echo", SPAN_INIT(""), 12 },
		{ "/t.T/Echo", SPAN_INIT("\0\0\0\0\0\0\0\0\0\0"), 12 },
		{ "/t.T/Echo", SPAN_INIT("\0\0\0\0\3ab"), 3 },
		{ "/t.T/Echo", SPAN_INIT("\7\0\0\0\3abc"), 3 },
		{ "/t.T/Echo", SPAN_INIT("\1\0\0\0\3abc"), 3 },
		{ "/t.T/Echo", SPAN_INIT("\0\xff\0\0\0"), 8 },
		{ "/t.T/Chat", SPAN_INIT("\0\0\0\0\3ab"), 3 },
		{ "/t.T/Chat", SPAN_INIT("\0\0\0\0\4fail"), 3 },
	};
	struct client *c = client_new(*state);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct call *call = grpc_exchange(c, rows[i].path, rows[i].frames);

		assert_int_equal(call->status, 200);
		assert_int_equal(call->grpc_status, rows[i].status);
	}
	client_free(c);
}

static void headers_of_grpc_are_checked(void **state)
{
	static const char *const timeout[] = { "content-type", "application/grpc", "grpc-timeout", "soon", NULL };
	static const char *const encoding[] = { "content-type", "application/grpc", "grpc-encoding", "snappy", NULL };
	static const char *const json[] = { "content-type", "application/grpc+json", NULL };
	static const char *const passed[] = { "content-type", "application/grpc", "grpc-timeout", "0n", NULL };
	struct client *c = client_new(*state);
	const struct span frame = SPAN("\0\0\0\0\0");

	assert_int_equal(exchange(c, "POST", "/t.T/Echo", timeout, frame)->grpc_status, 3);
	assert_int_equal(exchange(c, "POST", "/t.T/Echo", encoding, frame)->grpc_status, 12);
	assert_int_equal(exchange(c, "POST", "/t.T/Echo", json, frame)->status, 415);
	assert_int_equal(exchange(c, "POST", "/t.T/Echo", passed, frame)->grpc_status, 4);
	client_free(c);
}

static void messages_are_compressed_when_both_sides_want_it(void **state)
{
	static const char *const headers[] = { "content-type",
					       "application/grpc",
					       "grpc-encoding",
					       "gzip",
					       "grpc-accept-encoding",
					       "identity,gzip",
					       NULL };
	static char text[5000];
	struct client *c = client_new(*state);
	struct buffer frame, read;
	struct error err = { 0 };
	struct span message;
	bool is_compressed;
	struct call *call;

	memset(text, 'x', sizeof(text));
	buffer_init(&frame, 10000);
	buffer_init(&read, 10000);
	(void)buffer_reserve(&frame, GRPC_FRAME_HEAD);
	buffer_commit(&frame, GRPC_FRAME_HEAD);
	assert_true(coding_encode(CODING_GZIP, span_from(text, sizeof(text)), &frame));
	assert_true(grpc_frame_head(frame.ptr, true, frame.len - GRPC_FRAME_HEAD));
	call = exchange(c, "POST", "/t.T/Echo", headers, buffer_span(&frame));
	assert_int_equal(call->grpc_status, 0);
	assert_string_equal(call->encoding, "gzip");
	assert_int_equal(grpc_frame_read(buffer_span(&call->body), 10000, &is_compressed, &message, &err), GRPC_DONE);
	assert_true(is_compressed);
	assert_true(coding_decode(CODING_GZIP, message, &read, "", &err));
	assert_true(span_equal(buffer_span(&read), span_from(text, sizeof(text))));
	buffer_done(&frame);
	buffer_done(&read);
	client_free(c);
}

static void a_deadline_passes_while_a_compute_thread_works(void **state)
{
	static const char *const headers[] = { "content-type", "application/grpc", "grpc-timeout", "20m", NULL };
	struct client *c = client_new(*state);
	struct call *call = exchange(c, "POST", "/t.T/Gated", headers, SPAN("\0\0\0\0\0"));

	assert_int_equal(call->grpc_status, 4);
	sem_post(&gate);
	call = grpc_exchange(c, "/t.T/Echo", SPAN("\0\0\0\0\0"));
	assert_int_equal(call->grpc_status, 0);
	client_free(c);
}

static void a_client_may_leave_while_a_compute_thread_works(void **state)
{
	struct client *c = client_new(*state);
	struct call *call = ask(c, "POST", "/t.T/Gated", grpc_headers, SPAN("\0\0\0\0\1x"), false);

	client_send(c);
	nghttp2_submit_rst_stream(c->session, 0, call->id, NGHTTP2_CANCEL);
	/* The answer to the next call says that the cancel was seen. */
	assert_int_equal(grpc_exchange(c, "/t.T/Echo", SPAN("\0\0\0\0\0"))->grpc_status, 0);
	(void)ask(c, "POST", "/t.T/Gated", grpc_headers, SPAN("\0\0\0\0\1x"), false);
	client_send(c);
	client_free(c); /* and this one leaves with its connection */
	sem_post(&gate);
	sem_post(&gate);
}

static void a_streaming_call_answers_each_message(void **state)
{
	struct client *c = client_new(*state);
	struct call *call = ask(c, "POST", "/t.T/Chat", grpc_headers, SPAN("\0\0\0\0\1a"), true);

	wait_body(c, call, SPAN("\0\0\0\0\1a"));
	give_more(c, call, SPAN("\0\0\0\0\1b\0\0\0\0\0\0\0"), true); /* and a part of the fourth */
	wait_body(c, call, SPAN("\0\0\0\0\1a\0\0\0\0\1b\0\0\0\0\0"));
	give_more(c, call, SPAN("\0\0\2cd"), false);
	wait_closed(c, call);
	assert_true(
	    span_equal(buffer_span(&call->body), SPAN("\0\0\0\0\1a\0\0\0\0\1b\0\0\0\0\0\0\0\0\0\2cd\0\0\0\0\3bye")));
	assert_int_equal(call->grpc_status, 0);
	call = grpc_exchange(c, "/t.T/SlowChat", SPAN("\0\0\0\0\1a\0\0\0\0\1b"));
	assert_true(span_equal(buffer_span(&call->body), SPAN("\0\0\0\0\1a\0\0\0\0\5again\0\0\0\0\1b\0\0\0\0\5again")));
	assert_int_equal(call->grpc_status, 0);
	call = grpc_exchange(c, "/t.T/Chat", SPAN("\0\0\0\0\1a\0\0\0\0\4fail"));
	assert_true(span_equal(buffer_span(&call->body), SPAN("\0\0\0\0\1a")));
	assert_int_equal(call->grpc_status, 3);
	assert_string_equal(call->message, "as told");
	client_free(c);
}

/* More than the windows hold, to a client that sends all before it reads. */
static void a_streaming_call_waits_for_a_slow_reader(void **state)
{
	static char frame[GRPC_FRAME_HEAD + 100000];
	struct client *c = client_new(*state);
	struct buffer all;
	struct call *call;

	buffer_init(&all, SIZE_MAX / 2);
	assert_true(grpc_frame_head(frame, false, sizeof(frame) - GRPC_FRAME_HEAD));
	for (size_t i = 0; i < 60; i++)
		buffer_append(&all, span_from(frame, sizeof(frame)));
	call = grpc_exchange(c, "/t.T/Chat", buffer_span(&all));
	assert_int_equal(call->grpc_status, 0);
	assert_int_equal(call->body.len, all.len + GRPC_FRAME_HEAD + 3);
	buffer_done(&all);
	client_free(c);
}

/* What a call has read ahead is answered as fast as its client takes the answers, which need not say a word meanwhile. */
static void a_streaming_call_goes_on_by_itself(void **state)
{
	static const nghttp2_settings_entry windows[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 64 << 20 } };
	struct client *c = client_new(*state);
	struct buffer all;
	struct call *call;

	nghttp2_submit_settings(c->session, 0, windows, ARRAY_LEN(windows));
	assert_int_equal(nghttp2_session_set_local_window_size(c->session, 0, 0, 64 << 20), 0);
	buffer_init(&all, SIZE_MAX / 2);
	for (size_t i = 0; i < 100; i++)
		buffer_append(&all, SPAN("\0\0\0\0\5large"));
	call = grpc_exchange(c, "/t.T/Chat", buffer_span(&all));
	assert_int_equal(call->grpc_status, 0);
	assert_int_equal(call->body.len, 100 * (GRPC_FRAME_HEAD + LARGE) + GRPC_FRAME_HEAD + 3);
	buffer_done(&all);
	client_free(c);
}

/* What has been sent counts no more: a call may last, however much is still to be read of it at any time. */
static void a_streaming_call_outlives_the_limit_of_an_answer(void **state)
{
	struct server *s = server_with(MIB(8), MIB(4));
	struct client *c = client_new(s);
	struct buffer all;
	struct call *call;

	(void)state;
	buffer_init(&all, SIZE_MAX / 2);
	for (size_t i = 0; i < 100; i++)
		buffer_append(&all, SPAN("\0\0\0\0\5large"));
	call = grpc_exchange(c, "/t.T/Chat", buffer_span(&all));
	assert_int_equal(call->grpc_status, 0);
	assert_int_equal(call->body.len, 100 * (GRPC_FRAME_HEAD + LARGE) + GRPC_FRAME_HEAD + 3);
	buffer_done(&all);
	client_free(c);
	server_free(s);
}

/* ---- the end ---- */

static void draining_answers_what_was_accepted(void **state)
{
	struct server *s = *state;
	struct client *c = client_new(s);
	struct call *call = ask(c, "POST", "/t.T/Gated", grpc_headers, SPAN("\0\0\0\0\1x"), false);

	assert_int_equal(exchange(c, "GET", "/echo", NULL, SPAN(""))->status, 200); /* the call before it has arrived */
	server_drain(s);
	while (c->goaways < 2)
		assert_true(client_turn(c));
	assert_int_equal(c->last_stream, c->calls[1].id);
	sem_post(&gate);
	wait_closed(c, call);
	assert_int_equal(call->grpc_status, 0);
	while (!c->is_eof)
		assert_true(client_turn(c));
	client_free(c);
}

/* It had connected, or begun its handshake, and not yet shown that it speaks HTTP/2. */
static void draining_ends_a_connection_that_speaks_later(void **state)
{
	struct client *c, *first = client_new(*state);
	struct call *call;

	assert_int_equal(exchange(first, "GET", "/echo", NULL, SPAN(""))->status, 200);
	c = client_new(*state);
	server_drain(*state);
	while (first->goaways < 1) /* the drain has been told to all */
		assert_true(client_turn(first));
	call = exchange(c, "POST", "/echo", NULL, SPAN("hello"));
	assert_int_equal(call->status, 200);
	while (!c->is_eof)
		assert_true(client_turn(c));
	assert_true(c->goaways > 0); /* the second of them is nothing to a client without calls */
	client_free(c);
	client_free(first);
}

static void draining_ends_the_calls_that_wait_for_news(void **state)
{
	struct client *c = client_new(*state);
	struct call *call = ask(c, "POST", "/t.T/Held", grpc_headers, SPAN("\0\0\0\0\1a"), false);

	wait_body(c, call, SPAN("\0\0\0\0\1a"));
	assert_int_equal(exchange(c, "GET", "/echo", NULL, SPAN(""))->status, 200); /* its end has been seen */
	assert_false(call->is_closed);
	server_drain(*state);
	wait_closed(c, call);
	assert_int_equal(call->grpc_status, 14);
	client_free(c);
}

static void a_flood_of_pings_ends_the_connection(void **state)
{
	struct client *c = client_new(*state);

	for (int i = 0; i < 3000; i++) /* so many that a second has a thousand, wherever it begins */
		nghttp2_submit_ping(c->session, 0, NULL);
	while (!c->is_eof)
		assert_true(client_turn(c));
	assert_int_equal(c->goaways, 1);
	client_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered_over_http2),
		TEST(a_request_id_that_is_not_sane_is_replaced),
		TEST(targets_are_decoded_piece_by_piece),
		TEST(a_trace_goes_on_or_starts),
		TEST(methods_are_told),
		TEST(bodies_larger_than_the_windows_pass),
		TEST(an_answer_that_was_refused_for_a_moment_goes_on),
		TEST(bodies_are_decompressed_and_answers_compressed),
		TEST(what_is_over_a_limit_is_refused_and_the_connection_lives),
		TEST(a_full_queue_answers_429),
		TEST(a_unary_call_has_its_status_in_trailers),
		TEST(a_failed_call_tells_why),
		TEST(calls_that_break_the_rules_have_a_status),
		TEST(headers_of_grpc_are_checked),
		TEST(messages_are_compressed_when_both_sides_want_it),
		TEST(a_deadline_passes_while_a_compute_thread_works),
		TEST(a_client_may_leave_while_a_compute_thread_works),
		TEST(a_streaming_call_answers_each_message),
		TEST(a_streaming_call_waits_for_a_slow_reader),
		TEST(a_streaming_call_goes_on_by_itself),
		TEST(a_streaming_call_outlives_the_limit_of_an_answer),
		TEST(draining_answers_what_was_accepted),
		TEST(draining_ends_a_connection_that_speaks_later),
		TEST(draining_ends_the_calls_that_wait_for_news),
		TEST(a_flood_of_pings_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
