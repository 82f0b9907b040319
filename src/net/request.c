/* SPDX-License-Identifier: Apache-2.0 */
#include "net/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "base/random.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "metrics/metrics.h"
#include "net/coding.h"
#include "net/connection.h"
#include "net/routes.h"
#include "net/server.h"
#include "wire/json.h"

enum {
	FREE_MOST = 256, /* requests kept for reuse by a worker */
	FREE_LARGE = 32, /* of which this many keep buffers of up to BUFFER_KEEP */
	BUFFER_KEEP = 64 * 1024,
	DECODE_INLINE = 16 * 1024,  /* coded bytes decoded on the loop */
	ENCODE_INLINE = 256 * 1024, /* answer bytes compressed on the loop */
	LOG_FLUSH = 64 * 1024,
	GRPC_CODES = 17,
	HTTP_FIRST = 100,
	HTTP_LAST = 599,
	CODES = GRPC_CODES + HTTP_LAST - HTTP_FIRST + 1,
};

/* Where a request is. A handler has it in RUNNING (on the loop) and in OFFLOADED (on a compute thread). */
enum phase { PHASE_OPEN, PHASE_RUNNING, PHASE_OFFLOADED };

/* A request with what only this file knows. */
struct slot {
	struct request request; /* first: the two are cast to one another */
	struct pool_job job;
	struct timer timer;                     /* the deadline, while offloaded */
	void (*next_step)(struct request *req); /* asked for by request_offload() */
	void (*step)(struct request *req);      /* runs on a compute thread */
	enum error_code failed;
	bool is_failing; /* inside the surface's fail() */
	bool has_parts;
	struct error failure;
	struct error decode_error;    /* of decode_step() */
	struct buffer decoded, coded; /* body and answer without, and with, content coding */
	struct buffer parts; /* messages sent by a compute thread: struct part and its bytes, again and again */
	enum coding codings[CODING_LIST_MAX];
	size_t coding_count;
};

struct part {
	size_t len;
	bool is_coded;
};

struct surface_counters {
	struct metric_series *seconds;
	struct metric_series *codes[CODES];
};

struct worker_requests {
	char id_prefix[8];
	uint32_t id_counter;
	size_t free_count;
	struct surface_counters *counters; /* by surface index */
	struct metric_series *rejected[ERROR_COUNT];
	struct worker *worker;
	struct buffer log;
	struct loop_task log_flush;
	int64_t log_second;
	char log_time[CLOCK_TEXT_SIZE];
};

static struct slot *slot_of(struct request *req)
{
	return (struct slot *)req;
}

static const struct server_limits *limits_of(const struct request *req)
{
	return &worker_config(req->worker)->limits;
}

/* ---- a worker's share
 * ------------------------------------------------------------------------------------------------ */

static void log_flush_now(struct worker_requests *wr)
{
	size_t done = 0;

	while (done < wr->log.len) {
		ssize_t n = write(STDOUT_FILENO, wr->log.ptr + done, wr->log.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nobody reads the log: its lines are lost, the service goes on */
		done += (size_t)n;
	}
	buffer_clear(&wr->log);
}

static void log_flush_task(struct loop_task *t)
{
	log_flush_now(CONTAINER_OF(t, struct worker_requests, log_flush));
}

void worker_requests_init(struct worker *w)
{
	struct worker_requests *wr = base_calloc(1, sizeof(*wr));
	char text[17];

	random_hex(text, 8);
	memcpy(wr->id_prefix, text, sizeof(wr->id_prefix));
	wr->counters = base_calloc(routes_surface_count(worker_routes(w)), sizeof(*wr->counters));
	wr->worker = w;
	wr->log_second = -1;
	wr->log_flush.run = log_flush_task;
	buffer_init(&wr->log, MIB(1));
	w->requests = wr;
}

static void slot_free(struct slot *s)
{
	arena_done(&s->request.arena);
	arena_done(&s->request.call_arena);
	buffer_done(&s->request.out);
	buffer_done(&s->decoded);
	buffer_done(&s->coded);
	buffer_done(&s->parts);
	free(s);
}

void worker_requests_done(struct worker *w)
{
	struct worker_requests *wr = w->requests;

	while (w->free_requests) {
		struct request *req = w->free_requests;

		w->free_requests = req->next;
		slot_free(slot_of(req));
	}
	worker_http2_done(w);
	if (!wr)
		return;
	log_flush_now(wr);
	buffer_done(&wr->log);
	free(wr->counters);
	free(wr);
	w->requests = NULL;
}

/* ---- birth and death
 * ------------------------------------------------------------------------------------------------- */

static struct slot *slot_new(struct worker *w)
{
	const struct server_limits *limits = &worker_config(w)->limits;
	struct slot *s = base_calloc(1, sizeof(*s));

	arena_init(&s->request.arena, limits->request_memory);
	arena_init(&s->request.call_arena, limits->request_memory);
	buffer_init(&s->request.out, limits->answer_bytes);
	buffer_init(&s->decoded, limits->body_bytes);
	buffer_init(&s->coded, limits->answer_bytes);
	buffer_init(&s->parts, limits->answer_bytes);
	return s;
}

struct request *request_new(struct worker *w, struct request_stream *stream)
{
	struct request *req = w->free_requests;

	if (LIKELY(req)) {
		w->free_requests = req->next;
		w->requests->free_count--;
		/* Everything in front of the arenas; what stands behind is set in request_recycle(). */
		memset(req, 0, offsetof(struct request, arena));
	} else {
		req = &slot_new(w)->request;
	}
	w->request_count++;
	req->deadline_ns = INT64_MAX;
	req->context = worker_config(w)->context;
	req->stream = stream;
	req->worker = w;
	req->surface = &surface_plain;
	stream->request = req;
	return req;
}

static void ends_run(struct request *req)
{
	while (req->ends) {
		struct request_end *end = req->ends;

		req->ends = end->next;
		end->run(end);
	}
}

static void answer_clear(struct request *req)
{
	req->answer.status = 0;
	req->answer.content_type = (struct span){ NULL, 0 };
	req->answer.header_count = 0;
	req->answer.failure = NULL;
	req->answer.is_answered = false;
	req->answer.is_coded = false;
}

static void buffer_recycle(struct buffer *b, size_t keep)
{
	buffer_clear(b);
	if (UNLIKELY(b->cap > keep))
		buffer_shrink(b, keep);
}

static void request_recycle(struct request *req)
{
	struct worker_requests *wr = req->worker->requests;
	struct slot *s = slot_of(req);
	size_t keep = wr->free_count < FREE_LARGE ? BUFFER_KEEP : 0;

	req->worker->request_count--;
	ends_run(req);
	if (wr->free_count >= FREE_MOST) {
		slot_free(s);
		return;
	}
	arena_clear(&req->arena);
	if (UNLIKELY(req->call_arena.chunks))
		arena_done(&req->call_arena);
	buffer_recycle(&req->out, keep);
	buffer_recycle(&s->decoded, keep);
	buffer_recycle(&s->coded, keep);
	buffer_recycle(&s->parts, 0);
	answer_clear(req);
	req->surface_index = 0;
	req->param_names = NULL;
	req->phase = PHASE_OPEN;
	req->coding = CODING_IDENTITY;
	req->is_grpc = req->grpc_compress = req->had_id = req->is_abandoned = false;
	s->next_step = s->step = NULL;
	s->failed = ERROR_NONE;
	s->is_failing = s->has_parts = false;
	s->coding_count = 0;
	req->next = req->worker->free_requests;
	req->worker->free_requests = req;
	wr->free_count++;
}

static void request_finish(struct request *req)
{
	req->stream->ops->finished(req);
	request_recycle(req);
}

void request_at_end(struct request *req, struct request_end *end, void (*run)(struct request_end *end))
{
	end->run = run;
	end->next = req->ends;
	req->ends = end;
}

/* ---- identity
 * --------------------------------------------------------------------------------------------------------- */

static bool id_is_sane(struct span id)
{
	if (id.len == 0 || id.len >= sizeof(((struct request *)NULL)->id))
		return false;
	for (size_t i = 0; i < id.len; i++) {
		char c = id.ptr[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\'' || c == '\\')
			return false;
	}
	return true;
}

static void id_make(struct request *req)
{
	static const char digits[] = "0123456789abcdef";
	struct worker_requests *wr = req->worker->requests;
	uint32_t n = wr->id_counter++;

	memcpy(req->id, wr->id_prefix, 8);
	for (int i = 15; i >= 8; i--, n >>= 4)
		req->id[i] = digits[n & 15];
	req->id[16] = 0;
	req->id_len = 16;
}

static void id_take(struct request *req)
{
	struct span given = request_header(req, SPAN("x-request-id"));

	if (LIKELY(!given.ptr) || !id_is_sane(given)) {
		id_make(req);
		return;
	}
	memcpy(req->id, given.ptr, given.len);
	req->id[given.len] = 0;
	req->id_len = given.len;
	req->had_id = true;
}

/* `count` lower-case hexadecimal digits, not all zero (unless `may_be_zero`). */
static bool is_hex_id(struct span s, size_t at, size_t count, bool may_be_zero)
{
	bool is_zero = true;

	for (size_t i = at; i < at + count; i++) {
		char c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		is_zero = is_zero && c == '0';
	}
	return may_be_zero || !is_zero;
}

/* W3C Trace Context 3.2: 00-<trace id>-<parent id>-<flags>. */
static bool traceparent_is_valid(struct span s)
{
	return s.len == 55 && span_starts(s, SPAN("00-")) && s.ptr[35] == '-' && s.ptr[52] == '-' &&
	       is_hex_id(s, 3, 32, false) && is_hex_id(s, 36, 16, false) && is_hex_id(s, 53, 2, true);
}

struct span request_traceparent(struct request *req)
{
	char *t = req->traceparent;

	if (!t[0]) {
		struct span parent = request_header(req, SPAN("traceparent"));
		char random[33];

		memcpy(t, "00-", 3);
		if (parent.ptr && traceparent_is_valid(parent)) {
			memcpy(t + 3, parent.ptr + 3, 32);
			memcpy(t + 52, parent.ptr + 52, 3);
		} else {
			random_hex(random, 16);
			memcpy(t + 3, random, 32);
			memcpy(t + 52, "-00", 3);
		}
		random_hex(random, 8);
		t[35] = '-';
		memcpy(t + 36, random, 16);
		t[55] = 0;
	}
	return (struct span){ t, 55 };
}

/* ---- access log and counters
 * ------------------------------------------------------------------------------------------ */

/* As a JSON string would have it, without the quotes; bytes outside ASCII too, so that a line is a line for every
 * reader. */
static void log_put(struct buffer *log, struct span s)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
			buffer_byte(log, (char)c);
		} else {
			buffer_append(log, SPAN("\\u00"));
			buffer_byte(log, digits[c >> 4]);
			buffer_byte(log, digits[c & 15]);
		}
	}
}

static void log_put_int(struct buffer *log, int64_t value)
{
	char *to = buffer_reserve(log, NUMBER_TEXT_MAX);

	if (to)
		buffer_commit(log, (size_t)(number_print_int64(to, value) - to));
}

/* Microseconds are enough for a reader, and sort well: "0.000123". */
static void log_put_seconds(struct buffer *log, int64_t ns)
{
	int64_t us = MAX(ns, 0) / NS_PER_US;
	char digits[6];

	log_put_int(log, us / 1000000);
	us %= 1000000;
	for (int i = 5; i >= 0; i--, us /= 10)
		digits[i] = (char)('0' + us % 10);
	buffer_byte(log, '.');
	buffer_append(log, span_from(digits, sizeof(digits)));
}

static struct span log_time(struct worker_requests *wr)
{
	int64_t wall = clock_wall_ns();
	int64_t us = wall % NS_PER_S / NS_PER_US;

	if (wall / NS_PER_S != wr->log_second) {
		(void)clock_print_rfc3339(wall, wr->log_time);
		wr->log_second = wall / NS_PER_S;
	}
	for (int i = 25; i >= 20; i--, us /= 10) /* "2026-11-21T03:04:05." is 20 bytes */
		wr->log_time[i] = (char)('0' + us % 10);
	return (struct span){ wr->log_time, CLOCK_TEXT_SIZE - 1 };
}

static void access_log_text(struct request *req, struct buffer *log, int code, size_t bytes, int64_t ns)
{
	struct connection *c = req->stream->connection;

	log_put(log, c ? span_of(c->peer) : SPAN("-"));
	buffer_byte(log, ' ');
	buffer_append(log, log_time(req->worker->requests));
	buffer_append(log, SPAN(" \""));
	log_put(log, req->method_text);
	buffer_byte(log, ' ');
	log_put(log, req->target);
	buffer_append(log, req->http_major == 2 ? SPAN(" HTTP/2\" ") : SPAN(" HTTP/1.1\" "));
	if (req->is_grpc)
		buffer_append(log, SPAN("grpc:"));
	log_put_int(log, code);
	buffer_byte(log, ' ');
	log_put_int(log, (int64_t)bytes);
	buffer_byte(log, ' ');
	log_put_seconds(log, ns);
	buffer_byte(log, ' ');
	buffer_append(log, (struct span){ req->id, req->id_len });
	buffer_byte(log, '\n');
}

static void access_log_json(struct request *req, struct buffer *log, int code, size_t bytes, int64_t ns)
{
	struct connection *c = req->stream->connection;

	buffer_append(log, SPAN("{\"time\":\""));
	buffer_append(log, log_time(req->worker->requests));
	buffer_append(log, SPAN("\",\"peer\":\""));
	log_put(log, c ? span_of(c->peer) : SPAN(""));
	buffer_append(log, SPAN("\",\"method\":\""));
	log_put(log, req->method_text);
	buffer_append(log, SPAN("\",\"path\":\""));
	log_put(log, req->target);
	buffer_append(log, req->is_grpc           ? SPAN("\",\"protocol\":\"grpc\",\"grpc_status\":")
			   : req->http_major == 2 ? SPAN("\",\"protocol\":\"http/2\",\"status\":")
						  : SPAN("\",\"protocol\":\"http/1.1\",\"status\":"));
	log_put_int(log, code);
	buffer_append(log, SPAN(",\"bytes\":"));
	log_put_int(log, (int64_t)bytes);
	buffer_append(log, SPAN(",\"seconds\":"));
	log_put_seconds(log, ns);
	buffer_append(log, SPAN(",\"request_id\":\""));
	buffer_append(log, (struct span){ req->id, req->id_len });
	buffer_append(log, SPAN("\",\"trace_id\":\""));
	buffer_append(log, (struct span){ request_traceparent(req).ptr + 3, 32 });
	buffer_append(log, SPAN("\"}\n"));
}

static void access_log(struct request *req, int code, size_t bytes, int64_t ns)
{
	struct worker_requests *wr = req->worker->requests;

	if (worker_config(req->worker)->access_log == ACCESS_LOG_JSON)
		access_log_json(req, &wr->log, code, bytes, ns);
	else
		access_log_text(req, &wr->log, code, bytes, ns);
	if (wr->log.len >= LOG_FLUSH)
		log_flush_now(wr);
	else if (!wr->log_flush.is_queued)
		loop_defer(req->worker->loop, &wr->log_flush);
}

static struct metric_series *code_series(struct request *req, size_t index, int code)
{
	const struct surface *surface = routes_surface(worker_routes(req->worker), req->surface_index);
	struct surface_counters *counters = &req->worker->requests->counters[req->surface_index];
	char text[NUMBER_TEXT_MAX];
	struct span labels[2] = { span_of(surface->name), { text, (size_t)(number_print_int64(text, code) - text) } };

	counters->codes[index] = metrics_series(worker_config(req->worker)->metrics, METRIC_REQUESTS_TOTAL, labels, 2);
	if (!counters->seconds)
		counters->seconds =
		    metrics_series(worker_config(req->worker)->metrics, METRIC_REQUEST_SECONDS, labels, 1);
	return counters->codes[index];
}

static void count_rejected(struct request *req, enum error_code code)
{
	static const char *const reasons[ERROR_COUNT] = {
		[ERROR_TOO_LARGE] = "body_too_large",    [ERROR_HEADERS_TOO_LARGE] = "headers_too_large",
		[ERROR_EXHAUSTED] = "queue_full",        [ERROR_TIMEOUT] = "deadline",
		[ERROR_REQUEST_TIMEOUT] = "slow_client",
	};
	struct metric_series **series = &req->worker->requests->rejected[code];
	struct span label = span_of(reasons[code]);

	if (!label.ptr)
		return;
	if (!*series)
		*series = metrics_series(worker_config(req->worker)->metrics, METRIC_REJECTED_TOTAL, &label, 1);
	metric_add(*series, 1);
}

/* Once for each request, on the loop, when its last byte is known. */
static void request_count(struct request *req, int code, size_t bytes)
{
	const struct server_config *config = worker_config(req->worker);
	int64_t ns = clock_monotonic_ns() - req->received_ns;

	if (config->metrics) {
		struct surface_counters *counters = &req->worker->requests->counters[req->surface_index];
		size_t index = (size_t)(req->is_grpc ? MIN(code, GRPC_CODES - 1) : code - HTTP_FIRST + GRPC_CODES);
		struct metric_series *series = counters->codes[index];

		if (UNLIKELY(!series))
			series = code_series(req, index, code);
		metric_add(series, 1);
		metric_observe(counters->seconds, ns);
		if (UNLIKELY(slot_of(req)->failed))
			count_rejected(req, slot_of(req)->failed);
	}
	if (config->access_log != ACCESS_LOG_OFF)
		access_log(req, code, bytes, ns);
}

/* ---- the answer
 * ------------------------------------------------------------------------------------------------------- */

void request_set_header(struct request *req, struct span name, struct span value)
{
	ASSERT(req->answer.header_count < ARRAY_LEN(req->answer.headers));
	req->answer.headers[req->answer.header_count++] = (struct header){ name, value };
}

static bool answer_has_header(const struct request *req, struct span name)
{
	for (size_t i = 0; i < req->answer.header_count; i++)
		if (span_equal(req->answer.headers[i].name, name))
			return true;
	return false;
}

/* Compresses req->out when that is wanted, allowed here and smaller. */
static bool out_encode(struct request *req, enum coding c)
{
	struct slot *s = slot_of(req);
	struct buffer plain = req->out;

	if (c == CODING_IDENTITY || (req->phase != PHASE_OFFLOADED && plain.len > ENCODE_INLINE))
		return false;
	buffer_clear(&s->coded);
	if (!coding_encode(c, buffer_span(&plain), &s->coded))
		return false;
	req->out = s->coded;
	s->coded = plain;
	return true;
}

static void answer_compress(struct request *req)
{
	const struct server_config *config = worker_config(req->worker);
	struct span accept;
	enum coding c;

	if (req->is_grpc) {
		req->answer.is_coded =
		    req->grpc_compress && req->out.len >= config->compression_least && out_encode(req, CODING_GZIP);
		return;
	}
	if (LIKELY(!config->compression || req->out.len < config->compression_least || req->out.len == 0))
		return;
	if (answer_has_header(req, SPAN("content-encoding")))
		return;
	request_set_header(req, SPAN("vary"), SPAN("Accept-Encoding"));
	accept = request_header(req, SPAN("accept-encoding"));
	if (!accept.ptr)
		return;
	c = coding_choose(accept);
	if (out_encode(req, c))
		request_set_header(req, SPAN("content-encoding"), span_of(coding_name(c)));
}

/* The headers every answer has. */
static void answer_complete(struct request *req)
{
	const struct server_config *config = worker_config(req->worker);

	answer_compress(req);
	/* A unary gRPC call that went well says nothing it was not asked for: every header costs both sides. */
	if (!req->is_grpc || req->had_id || req->answer.failure)
		request_set_header(req, SPAN("x-request-id"), (struct span){ req->id, req->id_len });
	if (config->cors_origin && !req->is_grpc) {
		request_set_header(req, SPAN("access-control-allow-origin"), span_of(config->cors_origin));
		request_set_header(req, SPAN("access-control-expose-headers"),
				   SPAN("X-Request-Id, Inference-Header-Content-Length"));
	}
}

static void answer_deliver(struct request *req)
{
	size_t bytes = req->out.len;

	if (UNLIKELY(req->is_abandoned))
		return;
	req->stream->ops->respond(req, true);
	request_count(req, req->answer.status, bytes);
}

static void answer_give(struct request *req, int status, struct span content_type)
{
	req->answer.status = status;
	req->answer.content_type = content_type;
	answer_complete(req);
	req->answer.is_answered = true;
	if (req->phase != PHASE_OFFLOADED)
		answer_deliver(req);
}

void request_send(struct request *req, int status, struct span content_type)
{
	ASSERT(!req->answer.is_answered);
	if (UNLIKELY(req->out.overflow)) {
		struct error err = { 0 };

		if (!slot_of(req)->is_failing) {
			error_set(&err, ERROR_INTERNAL,
				  "the answer is over the limit of %zu bytes (--max-answer-bytes)", req->out.limit);
			request_fail(req, &err);
			return;
		}
		buffer_clear(&req->out); /* not even the error fits: the status alone has to tell */
	}
	answer_give(req, req->is_grpc ? 0 : status, content_type);
}

void request_send_part(struct request *req)
{
	struct slot *s = slot_of(req);

	ASSERT(!req->answer.is_answered);
	ASSERT(req->route && req->route->kind == ROUTE_GRPC_STREAM);
	if (req->out.overflow) {
		struct error err = { 0 };

		error_set(&err, ERROR_INTERNAL, "a message is over the limit of %zu bytes (--max-answer-bytes)",
			  req->out.limit);
		request_fail(req, &err);
		return;
	}
	answer_compress(req);
	if (req->phase == PHASE_OFFLOADED) {
		struct part part = { req->out.len, req->answer.is_coded };

		buffer_append(&s->parts, span_from(&part, sizeof(part)));
		buffer_append(&s->parts, buffer_span(&req->out));
	} else if (!req->is_abandoned) {
		req->stream->ops->respond(req, false);
	}
	s->has_parts = true;
	req->answer.is_coded = false;
	buffer_clear(&req->out);
}

/* Gives the codec what a compute thread sent as parts. False: they were over the limit. */
static bool parts_deliver(struct request *req)
{
	struct slot *s = slot_of(req);
	struct buffer last = req->out;
	bool last_is_coded = req->answer.is_coded;
	struct span rest = buffer_span(&s->parts);

	if (LIKELY(rest.len == 0))
		return true;
	if (s->parts.overflow)
		return false;
	buffer_init(&req->out, last.limit);
	while (rest.len) {
		struct part part;

		memcpy(&part, rest.ptr, sizeof(part));
		buffer_clear(&req->out);
		buffer_append(&req->out, span_first(span_skip(rest, sizeof(part)), part.len));
		req->answer.is_coded = part.is_coded;
		req->stream->ops->respond(req, false);
		rest = span_skip(rest, sizeof(part) + part.len);
	}
	buffer_done(&req->out);
	req->out = last;
	req->answer.is_coded = last_is_coded;
	buffer_recycle(&s->parts, 0);
	return true;
}

static void log_internal(struct request *req, const struct error *err)
{
	log_error("net", err->message, LOG_SPAN("request", ((struct span){ req->id, req->id_len })),
		  LOG_SPAN("method", req->method_text), LOG_SPAN("path", req->path));
}

void request_fail(struct request *req, const struct error *err)
{
	struct slot *s = slot_of(req);

	ASSERT(err->code != ERROR_NONE);
	if (err->code == ERROR_INTERNAL)
		log_internal(req, err);
	s->failed = err->code;
	buffer_clear(&req->out);
	if (req->is_grpc) {
		s->failure = *err;
		req->answer.failure = &s->failure;
		answer_give(req, error_grpc(err->code), (struct span){ NULL, 0 });
		return;
	}
	if (err->code == ERROR_EXHAUSTED || err->code == ERROR_UNAVAILABLE)
		request_set_header(req, SPAN("retry-after"), SPAN("1"));
	if (err->code == ERROR_UNSUPPORTED_MEDIA)
		request_set_header(req, SPAN("accept-encoding"), SPAN(CODING_ACCEPTED));
	s->is_failing = true;
	req->surface->fail(req, err);
	s->is_failing = false;
}

void fail_as_json_error(struct request *req, const struct error *err)
{
	struct json_writer w = json_writer(&req->out);

	json_open_object(&w);
	json_key(&w, SPAN("error"));
	json_string(&w, error_span(err));
	json_close_object(&w);
	request_send(req, error_http(err->code), SPAN("application/json"));
}

const struct surface surface_plain = { "plain", fail_as_json_error };

/* ---- begin: target, route
 * ---------------------------------------------------------------------------------------------- */

enum method method_parse(struct span text)
{
	static const struct {
		struct span name;
		enum method method;
	} rows[] = {
		{ SPAN_INIT("POST"), METHOD_POST },       { SPAN_INIT("GET"), METHOD_GET },
		{ SPAN_INIT("HEAD"), METHOD_HEAD },       { SPAN_INIT("PUT"), METHOD_PUT },
		{ SPAN_INIT("DELETE"), METHOD_DELETE },   { SPAN_INIT("PATCH"), METHOD_PATCH },
		{ SPAN_INIT("OPTIONS"), METHOD_OPTIONS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(text, rows[i].name))
			return rows[i].method;
	return METHOD_OTHER;
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* RFC 9112 3.2: takes the path and query from the origin or absolute form. */
static bool target_split(struct request *req, struct error *err)
{
	struct span t = req->target;
	size_t end;

	if (t.len && t.ptr[0] != '/' && !span_equal(t, SPAN("*"))) {
		static const struct span schemes[] = { SPAN_INIT("http://"), SPAN_INIT("https://") };
		bool is_absolute = false;

		for (size_t i = 0; i < ARRAY_LEN(schemes) && !is_absolute; i++) {
			if (!span_equal_ignore_case(span_first(t, schemes[i].len), schemes[i]))
				continue;
			is_absolute = true;
			t = span_skip(t, schemes[i].len);
			for (end = 0; end < t.len && t.ptr[end] != '/' && t.ptr[end] != '?';)
				end++;
			req->authority = span_first(t, end); /* RFC 9112 3.2.2: it replaces Host */
			t = span_skip(t, end);
		}
		if (!is_absolute)
			return error_set(err, ERROR_INVALID, "the request target is not a path");
	}
	end = span_index(t, '#');
	if (end < t.len)
		return error_set(err, ERROR_INVALID, "the request target has a fragment ('#')");
	end = span_index(t, '?');
	req->path = end ? span_first(t, end) : SPAN("/");
	req->query = end < t.len ? span_skip(t, end + 1) : (struct span){ t.ptr + end, 0 };
	return true;
}

/* Decodes %XX of `s` to `to`, which has room for s.len bytes. A '%' without two digits and NUL are refused. */
static bool percent_decode(struct span s, char *to, size_t *ret_len, struct error *err)
{
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		int high, low;

		if (s.ptr[i] != '%') {
			to[len++] = s.ptr[i];
			continue;
		}
		high = i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
		low = i + 2 < s.len ? hex_value(s.ptr[i + 2]) : -1;
		if (high < 0 || low < 0)
			return error_set(err, ERROR_INVALID,
					 "the path has a '%%' without two hexadecimal digits behind it");
		if (high == 0 && low == 0)
			return error_set(err, ERROR_INVALID, "the path has a NUL byte (%%00)");
		to[len++] = (char)(high << 4 | low);
		i += 2;
	}
	*ret_len = len;
	return true;
}

/* A path with escapes: each segment is decoded by itself, so that %2F does not part segments. */
static bool find_escaped(struct request *req, struct route_match *match, struct error *err)
{
	struct span segments[ROUTE_SEGMENTS_MAX];
	struct span rest = span_skip(req->path, 1);
	char *to = arena_alloc(&req->arena, req->path.len, err);
	size_t count = 0, at = 0, len = 0;

	if (!to)
		return false;
	*match = (struct route_match){ .route = NULL };
	for (bool more = true; more;) {
		struct span segment;

		more = span_index(rest, '/') < rest.len;
		segment = span_cut(&rest, '/');
		to[at++] = '/';
		if (!percent_decode(segment, to + at, &len, err))
			return false;
		if (count < ROUTE_SEGMENTS_MAX)
			segments[count] = (struct span){ to + at, len };
		count++;
		at += len;
	}
	req->path = (struct span){ to, at };
	if (count <= ROUTE_SEGMENTS_MAX)
		routes_find_segments(worker_routes(req->worker), req->method, segments, count, match);
	return true;
}

static bool route_look_up(struct request *req, struct route_match *match, struct error *err)
{
	if (UNLIKELY(span_index(req->path, '%') < req->path.len)) {
		if (req->path.ptr[0] == '/')
			return find_escaped(req, match, err);
		*match = (struct route_match){ .route = NULL };
		return true;
	}
	routes_find(worker_routes(req->worker), req->method, req->path, match);
	if (UNLIKELY(!match->allowed) && req->path.len > 1 && span_ends(req->path, SPAN("/"))) {
		struct route_match again;

		/* "/v2/" for "/v2": some clients put the slash behind every path. */
		routes_find(worker_routes(req->worker), req->method, span_first(req->path, req->path.len - 1), &again);
		if (again.allowed)
			*match = again;
	}
	return true;
}

static struct span allow_text(struct request *req, unsigned allowed)
{
	static const struct {
		unsigned method;
		const char *name;
	} rows[] = { { METHOD_GET, "GET, HEAD" },
		     { METHOD_POST, "POST" },
		     { METHOD_PUT, "PUT" },
		     { METHOD_PATCH, "PATCH" },
		     { METHOD_DELETE, "DELETE" } };
	struct error ignored = { 0 };
	char text[64];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (allowed & rows[i].method)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s, ", rows[i].name);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "OPTIONS");
	return arena_copy(&req->arena, (struct span){ text, len }, &ignored);
}

/* RFC 9110 9.3.7, and the Fetch standard's preflight when cors_origin is set. */
static void answer_options(struct request *req, unsigned allowed)
{
	struct span allow = allow_text(req, allowed);

	request_set_header(req, SPAN("allow"), allow);
	if (worker_config(req->worker)->cors_origin && request_header(req, SPAN("access-control-request-method")).ptr) {
		struct span wanted = request_header(req, SPAN("access-control-request-headers"));

		request_set_header(req, SPAN("access-control-allow-methods"), allow);
		if (wanted.ptr)
			request_set_header(req, SPAN("access-control-allow-headers"), wanted);
		request_set_header(req, SPAN("access-control-max-age"), SPAN("600"));
	}
	request_send(req, 204, (struct span){ NULL, 0 });
}

/* False: answered. */
static bool route_check(struct request *req, const struct route_match *match)
{
	struct error err = { 0 };

	if (req->is_grpc) {
		if (match->route && match->route->kind != ROUTE_HTTP)
			return true;
		error_set(&err, ERROR_UNIMPLEMENTED, "no gRPC method '" SPAN_FMT "' here", SPAN_ARG(req->path));
	} else if (req->method == METHOD_OPTIONS) {
		bool is_star = span_equal(req->path, SPAN("*"));

		if (match->allowed || is_star) {
			answer_options(req, is_star ? METHOD_GET | METHOD_POST : match->allowed);
			return false;
		}
		error_set(&err, ERROR_NOT_FOUND, "no such path: " SPAN_FMT, SPAN_ARG(req->path));
	} else if (match->route && match->route->kind == ROUTE_HTTP) {
		return true;
	} else if (match->route) {
		error_set(&err, ERROR_UNSUPPORTED_MEDIA,
			  "'" SPAN_FMT "' is a gRPC method: call it over HTTP/2 with content-type "
			  "application/grpc",
			  SPAN_ARG(req->path));
	} else if (match->allowed) {
		struct span allow = allow_text(req, match->allowed);

		request_set_header(req, SPAN("allow"), allow);
		error_set(&err, ERROR_METHOD_NOT_ALLOWED,
			  "method " SPAN_FMT " is not allowed for " SPAN_FMT ": use " SPAN_FMT,
			  SPAN_ARG(req->method_text), SPAN_ARG(req->path), SPAN_ARG(allow));
	} else if (req->method == METHOD_OTHER) {
		error_set(&err, ERROR_UNIMPLEMENTED, "method '" SPAN_FMT "' is not known", SPAN_ARG(req->method_text));
	} else {
		error_set(&err, ERROR_NOT_FOUND, "no such path: " SPAN_FMT, SPAN_ARG(req->path));
	}
	request_fail(req, &err);
	return false;
}

static void deadline_set(struct request *req)
{
	int64_t limit_ns = limits_of(req)->request_timeout_ms * NS_PER_MS;

	/* A stream of messages lasts as long as its client wants. */
	if (limit_ns > 0 && req->route->kind != ROUTE_GRPC_STREAM)
		req->deadline_ns = MIN(req->deadline_ns, req->received_ns + limit_ns);
}

bool request_begin(struct request *req)
{
	struct route_match match;
	struct error err = { 0 };

	id_take(req);
	if (UNLIKELY(!target_split(req, &err) || !route_look_up(req, &match, &err))) {
		request_fail(req, &err);
		request_finish(req);
		return false;
	}
	req->surface_index = match.surface_index;
	req->surface = routes_surface(worker_routes(req->worker), match.surface_index);
	if (UNLIKELY(!req->surface->fail))
		req->surface = &surface_plain;
	if (UNLIKELY(!route_check(req, &match))) {
		request_finish(req);
		return false;
	}
	req->route = match.route;
	req->param_names = match.param_names;
	memcpy(req->params, match.params, sizeof(req->params));
	deadline_set(req);
	if (match.route->kind == ROUTE_GRPC_STREAM) {
		/* What the head left in the arena has to outlive the first message. */
		struct arena head = req->arena;

		req->arena = req->call_arena;
		req->call_arena = head;
	}
	return true;
}

/* ---- dispatch: decode, handle, settle
 * ---------------------------------------------------------------------------------- */

static void request_settle(struct request *req);

static void handler_run(struct request *req)
{
	req->phase = PHASE_RUNNING;
	req->route->handle(req);
	request_settle(req);
}

/* Undoes the codings, last applied first; the result is in req->body. May run on a compute thread. */
static void decode_step(struct request *req)
{
	struct slot *s = slot_of(req);

	for (size_t i = s->coding_count; i-- > 0;) {
		struct buffer before = s->decoded; /* what the last round wrote, and this one reads */
		bool is_good;

		if (i + 1 < s->coding_count)
			buffer_init(&s->decoded, before.limit);
		buffer_clear(&s->decoded);
		is_good = coding_decode(s->codings[i], req->body, &s->decoded, "--max-body-bytes", &s->decode_error);
		if (i + 1 < s->coding_count)
			buffer_done(&before);
		if (!is_good)
			return;
		req->body = buffer_span(&s->decoded);
	}
}

static void decode_settle(struct request *req)
{
	struct slot *s = slot_of(req);

	if (s->decode_error.code) {
		request_fail(req, &s->decode_error);
		request_settle(req);
		return;
	}
	handler_run(req);
}

static void deadline_passed(struct timer *t);

/* Everything a request needs, for the one who answers in its place. Not what a compute thread may be writing. */
static void stand_in_for(struct request *late, const struct request *req)
{
	late->method = req->method;
	late->method_text = req->method_text;
	late->target = req->target;
	late->path = req->path;
	late->query = req->query;
	late->authority = req->authority;
	late->headers = req->headers;
	late->header_count = req->header_count;
	late->content_type = req->content_type;
	late->http_major = req->http_major;
	late->route = req->route;
	memcpy(late->params, req->params, sizeof(late->params));
	late->param_names = req->param_names;
	late->surface = req->surface;
	late->surface_index = req->surface_index;
	late->is_grpc = req->is_grpc;
	late->had_id = req->had_id;
	memcpy(late->id, req->id, sizeof(late->id));
	late->id_len = req->id_len;
	late->received_ns = req->received_ns;
}

static void deadline_error(struct request *req, struct error *err)
{
	int64_t ms = (req->deadline_ns - req->received_ns) / NS_PER_MS;

	error_set(err, ERROR_TIMEOUT, "not answered within %lld ms, the %s", (long long)ms,
		  ms < limits_of(req)->request_timeout_ms || req->is_grpc ? "deadline of the call"
									  : "limit --request-timeout");
}

static void job_run(struct pool_job *job)
{
	struct slot *s = CONTAINER_OF(job, struct slot, job);

	s->step(&s->request);
	while (s->next_step) { /* a step on a compute thread that asks for another one is there already */
		s->step = s->next_step;
		s->next_step = NULL;
		s->step(&s->request);
	}
}

static void job_done(struct pool_job *job)
{
	struct slot *s = CONTAINER_OF(job, struct slot, job);
	struct request *req = &s->request;
	struct error err = { 0 };

	if (timer_is_set(&s->timer))
		loop_timer_clear(req->worker->loop, &s->timer);
	req->phase = PHASE_RUNNING;
	if (req->is_abandoned) {
		request_finish(req);
		return;
	}
	if (s->step == decode_step) {
		decode_settle(req);
		return;
	}
	if (!parts_deliver(req)) {
		error_set(&err, ERROR_INTERNAL, "messages are over the limit of %zu bytes (--max-answer-bytes)",
			  s->parts.limit);
		answer_clear(req);
		buffer_recycle(&s->parts, 0);
		request_fail(req, &err);
	} else if (req->answer.is_answered) {
		answer_deliver(req);
	}
	request_settle(req);
}

static void job_submit(struct request *req, void (*step)(struct request *req))
{
	struct slot *s = slot_of(req);
	struct error err = { 0 };

	s->step = step;
	s->job.run = job_run;
	s->job.done = job_done;
	s->job.loop = req->worker->loop;
	req->phase = PHASE_OFFLOADED;
	if (!pool_submit(worker_pool(req->worker), &s->job, &err)) {
		req->phase = PHASE_RUNNING;
		request_fail(req, &err);
		request_settle(req);
		return;
	}
	if (req->deadline_ns != INT64_MAX)
		loop_timer_set(req->worker->loop, &s->timer, req->deadline_ns, deadline_passed);
}

/* A compute thread has the request, its arena and its answer: another request says that it is late. */
static void deadline_passed(struct timer *t)
{
	struct slot *s = CONTAINER_OF(t, struct slot, timer);
	struct request *req = &s->request;
	struct request *late;
	struct error err = { 0 };

	if (req->is_abandoned)
		return;
	req->is_abandoned = true;
	late = request_new(req->worker, req->stream);
	stand_in_for(late, req);
	req->stream->request = req;
	deadline_error(req, &err);
	request_fail(late, &err);
	request_recycle(late);
}

/* The handler (or the compute thread) has returned. */
static void request_settle(struct request *req)
{
	struct slot *s = slot_of(req);
	struct error err = { 0 };

	if (UNLIKELY(req->is_abandoned)) {
		request_finish(req);
	} else if (LIKELY(req->answer.is_answered)) {
		request_finish(req);
	} else if (s->next_step) {
		void (*step)(struct request *) = s->next_step;

		s->next_step = NULL;
		job_submit(req, step);
	} else if (req->route->kind == ROUTE_GRPC_STREAM && !req->is_end) {
		ends_run(req);
		arena_clear(&req->arena);
		buffer_recycle(&req->out, BUFFER_KEEP);
		req->phase = PHASE_OPEN;
		req->stream->ops->ready(req);
	} else {
		error_set(&err, ERROR_INTERNAL, "the handler of '%s' gave no answer", req->route->pattern);
		request_fail(req, &err);
		request_finish(req);
	}
}

/* What the body is coded with; false: err says why it cannot be read. */
static bool codings_find(struct request *req, struct error *err)
{
	struct slot *s = slot_of(req);
	struct span header;

	s->coding_count = 0;
	if (req->is_grpc) {
		if (req->coding != CODING_IDENTITY)
			s->codings[s->coding_count++] = (enum coding)req->coding;
		return true;
	}
	header = request_header(req, SPAN("content-encoding"));
	return LIKELY(!header.ptr) || coding_list_parse(header, s->codings, &s->coding_count, err);
}

void request_dispatch(struct request *req)
{
	struct slot *s = slot_of(req);
	struct error err = { 0 };

	ASSERT(req->phase == PHASE_OPEN && req->route);
	if (UNLIKELY(loop_now(req->worker->loop) >= req->deadline_ns)) {
		deadline_error(req, &err);
	} else if (LIKELY(req->body.len == 0 || codings_find(req, &err))) {
		if (LIKELY(req->body.len == 0 || s->coding_count == 0)) {
			handler_run(req);
			return;
		}
		s->decode_error.code = ERROR_NONE;
		req->phase = PHASE_RUNNING;
		if (req->body.len > DECODE_INLINE) {
			job_submit(req, decode_step);
			return;
		}
		decode_step(req);
		decode_settle(req);
		return;
	}
	req->phase = PHASE_RUNNING;
	request_fail(req, &err);
	request_finish(req);
}

void request_refuse(struct request *req, const struct error *err)
{
	ASSERT(req->phase == PHASE_OPEN && !req->answer.is_answered);
	if (!req->id_len)
		id_take(req);
	request_fail(req, err);
	request_finish(req);
}

void request_abandon(struct request *req)
{
	if (!req->is_abandoned && !req->answer.is_answered && req->id_len && req->phase != PHASE_RUNNING)
		request_count(req, req->is_grpc ? error_grpc(ERROR_CANCELLED) : error_http(ERROR_CANCELLED), 0);
	req->is_abandoned = true;
	if (req->phase == PHASE_OPEN)
		request_finish(req);
}

void request_offload(struct request *req, void (*fn)(struct request *req))
{
	ASSERT(!req->answer.is_answered);
	slot_of(req)->next_step = fn;
}

bool request_is_offloaded(const struct request *req)
{
	return req->phase == PHASE_OFFLOADED;
}

/* ---- reading the question
 * ----------------------------------------------------------------------------------------------- */

struct span request_header(const struct request *req, struct span name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (span_equal(req->headers[i].name, name))
			return req->headers[i].value;
	return (struct span){ NULL, 0 };
}

struct span request_param(const struct request *req, const char *name)
{
	struct span wanted = span_of(name);

	for (size_t i = 0; req->param_names && i < ROUTE_PARAMS_MAX; i++)
		if (req->param_names[i].ptr && span_equal(req->param_names[i], wanted))
			return req->params[i];
	return (struct span){ NULL, 0 };
}

/* '+' is a space; a '%' without two digits stands for itself, as browsers and Python read it. */
static struct span form_decode(struct span s, struct arena *arena)
{
	struct error ignored = { 0 };
	size_t len = 0;
	char *to;

	if (span_index(s, '%') == s.len && span_index(s, '+') == s.len)
		return s;
	to = arena_alloc(arena, s.len, &ignored);
	if (!to)
		return s;
	for (size_t i = 0; i < s.len; i++) {
		int high = s.ptr[i] == '%' && i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
		int low = high >= 0 ? hex_value(s.ptr[i + 2]) : -1;

		if (low >= 0) {
			to[len++] = (char)(high << 4 | low);
			i += 2;
		} else {
			to[len++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
		}
	}
	return (struct span){ to, len };
}

bool form_next(struct span *rest, struct arena *arena, struct span *ret_name, struct span *ret_value)
{
	while (rest->len) {
		struct span value = span_cut(rest, '&');
		struct span name;

		if (value.len == 0)
			continue;
		name = span_cut(&value, '=');
		*ret_name = form_decode(name, arena);
		*ret_value = form_decode(value, arena);
		return true;
	}
	return false;
}

bool request_query(struct request *req, struct span name, struct span *ret)
{
	struct span rest = req->query;
	struct span key, value;

	while (form_next(&rest, &req->arena, &key, &value)) {
		if (span_equal(key, name)) {
			*ret = value;
			return true;
		}
	}
	return false;
}
