/* SPDX-License-Identifier: Apache-2.0 */
/* request - its life: birth, decoding, the handler, compute threads, deadlines, death. */
#include "net/request.h"

#include <stdlib.h>

#include "net/request_private.h"
#include "net/transport.h"

enum {
	FREE_MOST = 256, /* requests kept for reuse by a worker */
	FREE_LARGE = 32, /* of which this many keep buffers of up to BUFFER_KEEP */
	BUFFER_KEEP = 64 * 1024,
	DECODE_INLINE = 16 * 1024, /* coded bytes decoded on the loop */
};

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

void worker_requests_init(struct worker *w)
{
	struct worker_requests *wr = base_calloc(1, sizeof(*wr));

	wr->counters = base_calloc(routes_surface_count(worker_routes(w)), sizeof(*wr->counters));
	if (worker_config(w)->metrics)
		wr->compute_queue = metrics_series(worker_config(w)->metrics, METRIC_COMPUTE_QUEUE, NULL, 0);
	account_init(wr);
	w->requests = wr;
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
	account_done(wr);
	free(wr->counters);
	free(wr);
	w->requests = NULL;
}

/* ---- birth and death ---- */

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

static void ends_run(struct request_end **list)
{
	while (*list) {
		struct request_end *end = *list;

		*list = end->next;
		end->run(end);
	}
}

static void request_recycle(struct request *req)
{
	struct worker_requests *wr = req->worker->requests;
	struct slot *s = slot_of(req);
	size_t keep = wr->free_count < FREE_LARGE ? BUFFER_KEEP : 0;

	req->worker->request_count--;
	ends_run(&req->ends);
	ends_run(&req->call_ends);
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
	s->is_failing = s->is_late = false;
	s->open = (struct open_request){ 0 };
	s->coding_count = 0;
	req->next = req->worker->free_requests;
	req->worker->free_requests = req;
	wr->free_count++;
}

void request_finish(struct request *req)
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

static void deadline_set(struct request *req)
{
	int64_t limit_ns = limits_of(req)->request_timeout_ms * NS_PER_MS;

	/* A stream of messages lasts as long as its client wants, and the one in front keeps the time of its own clients. */
	if (limit_ns > 0 && req->route->kind != ROUTE_GRPC_STREAM &&
	    !(req->stream->connection && req->stream->connection->is_adopted))
		req->deadline_ns = MIN(req->deadline_ns, req->received_ns + limit_ns);
}

bool request_begin(struct request *req)
{
	request_identify(req);
	if (UNLIKELY(!request_route(req))) {
		request_finish(req);
		return false;
	}
	deadline_set(req);
	if (req->route->kind == ROUTE_GRPC_STREAM) {
		/* What the head left in the arena has to outlive the first message. */
		struct arena head = req->arena;

		req->arena = req->call_arena;
		req->call_arena = head;
		req->call_ends = req->ends;
		req->ends = NULL;
	}
	return true;
}

/* ---- dispatch: decode, handle, settle ---- */

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
	late->context = req->context;
	late->surface = req->surface;
	late->surface_index = req->surface_index;
	late->is_grpc = req->is_grpc;
	late->had_id = req->had_id;
	memcpy(late->id, req->id, sizeof(late->id));
	late->id_len = req->id_len;
	late->received_ns = req->received_ns;
}

void deadline_error(struct request *req, struct error *err)
{
	int64_t ms = (req->deadline_ns - req->received_ns) / NS_PER_MS;

	error_set(err, ERROR_TIMEOUT, "not answered within %lld ms, the %s", (long long)ms,
		  ms < limits_of(req)->request_timeout_ms || req->is_grpc ? "deadline of the call"
									  : "limit --request-timeout");
}

static void count_waiting(const struct request *req, int change)
{
	struct metric_series *waiting = req->worker->requests->compute_queue;

	if (waiting)
		metric_move(waiting, change);
}

static void job_run(struct pool_job *job)
{
	struct slot *s = CONTAINER_OF(job, struct slot, job);

	count_waiting(&s->request, -1);
	if (atomic_load_explicit(&s->is_unwanted, memory_order_relaxed))
		return;
	s->step(&s->request);
	while (s->next_step) { /* a step on a compute thread that asks for another one is there already */
		s->step = s->next_step;
		s->next_step = NULL;
		s->step(&s->request);
	}
}

static void count_cancelled(struct request *req)
{
	request_count(req, req->is_grpc ? error_grpc(ERROR_CANCELLED) : error_http(ERROR_CANCELLED), 0);
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
		if (!s->is_late)
			count_cancelled(req);
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
	atomic_store_explicit(&s->is_unwanted, false, memory_order_relaxed);
	count_waiting(req, 1);
	if (!pool_submit(worker_pool(req->worker), &s->job, &err)) {
		count_waiting(req, -1);
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
	req->is_abandoned = s->is_late = true;
	atomic_store_explicit(&s->is_unwanted, true, memory_order_relaxed);
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

	if (UNLIKELY(s->open.flow && !req->answer.is_answered)) {
		open_wait(req);
	} else if (LIKELY(req->answer.is_answered || req->is_abandoned)) {
		request_finish(req);
	} else if (s->next_step) {
		void (*step)(struct request *) = s->next_step;

		s->next_step = NULL;
		job_submit(req, step);
	} else if (req->route->kind == ROUTE_GRPC_STREAM && (!req->is_end || req->is_held)) {
		ends_run(&req->ends);
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
		request_identify(req);
	request_fail(req, err);
	request_finish(req);
}

void request_abandon(struct request *req)
{
	/* With a handler, or a compute thread, on it nothing else may be touched: they come back to it. */
	req->is_abandoned = true;
	atomic_store_explicit(&slot_of(req)->is_unwanted, true, memory_order_relaxed);
	if (req->phase == PHASE_WAITING && !req->answer.is_answered) {
		open_abandon(req);
		return;
	}
	if (req->phase != PHASE_OPEN)
		return;
	if (req->id_len)
		count_cancelled(req);
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

const struct client_certificate *request_client(const struct request *req)
{
	const struct connection *c = req->stream ? req->stream->connection : NULL;

	return c && c->tls ? tls_session_client(c->tls) : NULL;
}

struct span request_peer(const struct request *req)
{
	const struct connection *c = req->stream ? req->stream->connection : NULL;

	return c ? span_of(c->peer) : (struct span){ 0 };
}

struct server_entry *request_entry(const struct request *req)
{
	const struct connection *c = req->stream ? req->stream->connection : NULL;

	return c ? c->entry : NULL;
}
