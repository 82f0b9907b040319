/* SPDX-License-Identifier: Apache-2.0 */
/* account - who asked and what became of it: request ids, trace context, access log, counters. */
#include <errno.h>
#include <unistd.h>

#include "base/number.h"
#include "base/random.h"
#include "net/direct_private.h"
#include "net/request_private.h"

enum { LOG_FLUSH = 64 * 1024, LOG_MOST = 1024 * 1024 };

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

void account_init(struct worker_requests *wr)
{
	char text[17];

	random_hex(text, 8);
	memcpy(wr->id_prefix, text, sizeof(wr->id_prefix));
	wr->log_second = -1;
	wr->log_flush.run = log_flush_task;
	buffer_init(&wr->log, LOG_MOST);
}

void account_done(struct worker_requests *wr)
{
	log_flush_now(wr);
	buffer_done(&wr->log);
}

/* ---- identity ---- */

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

void request_identify(struct request *req)
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

/* ---- access log and counters ---- */

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

/* Its line is for the one in front to write. */
static bool is_behind(const struct request *req)
{
	const struct connection *c = req->stream->connection;

	return c && c->is_adopted;
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

void request_count(struct request *req, int code, size_t bytes)
{
	const struct server_config *config = worker_config(req->worker);
	int64_t ns = clock_monotonic_ns() - req->received_ns;

	if (config->metrics) {
		struct surface_counters *counters = &req->worker->requests->counters[req->surface_index];
		size_t index =
		    (size_t)(req->is_grpc ? MIN(code, GRPC_CODES - 1) : MIN(code, HTTP_LAST) - HTTP_FIRST + GRPC_CODES);
		struct metric_series *series = counters->codes[index];

		if (UNLIKELY(!series))
			series = code_series(req, index, req->is_grpc ? code : MIN(code, HTTP_LAST));
		metric_add(series, 1);
		metric_observe(counters->seconds, ns);
		if (UNLIKELY(slot_of(req)->failed))
			count_rejected(req, slot_of(req)->failed);
	}
	if (UNLIKELY(req->worker->direct != NULL) && req->http_major == 1)
		direct_count(req->worker->direct, code, ns);
	if (config->access_log != ACCESS_LOG_OFF && !is_behind(req))
		access_log(req, code, bytes, ns);
}
