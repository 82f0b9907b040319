/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy - one request on its way to an endpoint and back: head, body, trailers, and tunnels of WebSocket.
 *
 * A request is in one of these states, told by what it has:
 *
 *	waits    is_waiting: in its backend's queue
 *	dials    ask.upstream: for a connection to `endpoint`
 *	asks     stream
 *	ends     is over for the client (req is NULL), and waits for its stream to be closed
 *
 * Nobody is hurried: of the client's body as much is asked for as the endpoint takes, and of the endpoint's answer as much is taken as the
 * client does. What came of the body is kept as long as it is small, so that another endpoint can be asked.
 */
#include "gateway/proxy.h"

#include <stdlib.h>

#include "base/random.h"
#include "gateway/head.h"
#include "metrics/metrics.h"
#include "net/forwarded.h"
#include "net/passing.h"
#include "wire/json.h"

#define WANT          KIB(256) /* of a body, that may be under way */
#define KEPT_SPARE    KIB(4)   /* of the buffer of one that is free */
#define CHECK_MOST_NS NS_PER_S
#define SILENT_NS     NS_PER_S /* an endpoint that said nothing for so long to one who then went */
enum { FREE_MOST = 256, UNSENT_TRIES_MOST = 3, BROKEN_MOST = 3 };

struct proxy {
	struct proxies *all;
	struct request *req; /* NULL: over for the client */
	struct arrival *arrival;
	struct backend *backend;
	struct endpoint *endpoint;
	const struct endpoint *before; /* that was tried last; compared only */
	struct upstream *upstream;
	struct client_stream *stream;
	struct ask ask;
	struct proxy *next, *previous;                 /* of all that are at work; next: of the free ones */
	struct proxy *next_waiting, *previous_waiting; /* of the backend's queue */
	struct use_series *series;
	struct mirror *mirrors[PLAN_MIRRORS_MOST];
	size_t mirror_count;
	struct buffer kept; /* of the body, all that came */
	struct passing passing;
	unsigned tries;  /* that an endpoint may have seen */
	unsigned unsent; /* that none can have seen */
	unsigned
	    broken; /* on connections that were kept, and broke before an answer: not among `tries`, up to BROKEN_MOST */
	int status, grpc_status;
	int64_t started_ns, progress_ns, waits_until_ns;
	int64_t opened_ns;           /* its stream */
	int64_t late_ns;             /* the limit that its endpoint passed; 0: none */
	enum endpoint_fate cut_fate; /* what its reset says about the endpoint */
	struct timer try_timer;
	bool is_http2, is_tunnel, is_grpc;
	bool is_asking;    /* the body was asked for */
	bool asked_little; /* as much as can be kept */
	bool is_kept, is_waiting, is_cut, has_head, has_ended;
	bool may_be_quiet; /* a stream of events, or of messages */
};

struct proxies {
	struct gateway_worker *worker;
	struct proxy *working, *free;
	size_t free_count;
	struct mirrors *mirrors;
	struct timer check;
	struct head head; /* scratch */
};

static int64_t now_of(const struct proxy *x)
{
	return loop_now(x->all->worker->loop);
}

static const struct gateway_limits *limits_of(const struct proxy *x)
{
	return &x->all->worker->config->limits;
}

/* ---- life ---- */

static void check(struct timer *t);

static struct proxy *proxy_new(struct proxies *all, struct request *req, struct arrival *a)
{
	const struct gateway_limits *limits = &all->worker->config->limits;
	struct proxy *x = all->free;
	struct buffer kept;

	if (LIKELY(x != NULL)) {
		all->free = x->next;
		all->free_count--;
		kept = x->kept;
	} else {
		x = base_alloc(sizeof(*x));
		/* What was asked for may still come while another endpoint is looked for. */
		buffer_init(&kept, limits->body_kept + 2 * WANT);
	}
	*x = (struct proxy){
		.all = all, .req = req, .arrival = a, .backend = a->backend, .kept = kept, .is_kept = true
	};
	x->next = all->working;
	if (x->next)
		x->next->previous = x;
	all->working = x;
	backend_hold(x->backend);
	x->started_ns = x->progress_ns = loop_now(all->worker->loop);
	if (UNLIKELY(!timer_is_set(&all->check)))
		loop_timer_set(all->worker->loop, &all->check, x->started_ns + MIN(limits->stall_ns / 4, CHECK_MOST_NS),
			       check);
	return x;
}

static void proxy_free(struct proxy *x)
{
	struct proxies *all = x->all;

	ASSERT(!x->req && !x->stream && !x->ask.upstream && !x->is_waiting && !x->endpoint);
	*(x->previous ? &x->previous->next : &all->working) = x->next;
	if (x->next)
		x->next->previous = x->previous;
	backend_release(x->backend);
	if (all->free_count >= FREE_MOST) {
		buffer_done(&x->kept);
		free(x);
		return;
	}
	buffer_clear(&x->kept);
	if (x->kept.cap > KEPT_SPARE)
		buffer_shrink(&x->kept, KEPT_SPARE);
	x->next = all->free;
	all->free = x;
	all->free_count++;
}

static void try_timer_clear(struct proxy *x)
{
	if (UNLIKELY(timer_is_set(&x->try_timer)))
		loop_timer_clear(x->all->worker->loop, &x->try_timer);
}

static void mirrors_end(struct proxy *x, bool is_cut)
{
	for (size_t i = 0; i < x->mirror_count; i++)
		mirror_end(x->mirrors[i], is_cut);
	x->mirror_count = 0;
}

/* Its client has been answered, or has gone: what is counted of it. 0: gone. */
static void proxy_count(struct proxy *x, int code)
{
	struct gateway_worker *w = x->all->worker;
	bool is_failure = code >= 500;

	if (UNLIKELY(x->is_grpc) && code && code < 500) {
		switch (x->grpc_status) {
		case 0:
			break;
		case 2: /* UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS */
		case 4:
		case 13:
		case 14:
		case 15:
			is_failure = true;
			code = 500;
			break;
		default:
			code = 400;
		}
	}
	mirrors_end(x, true);
	use_slot_end(x->backend->use, is_failure, now_of(x));
	metric_move(x->backend->in_flight_gauge, -1);
	use_series_count(w->config->metrics, x->series, x->backend->name_space, x->backend->service,
			 x->arrival->route ? x->arrival->route->name : SPAN(""), code, now_of(x) - x->req->received_ns);
	x->arrival = NULL;
	x->req = NULL;
}

static void endpoint_let_go(struct proxy *x, enum endpoint_fate fate, bool is_failure)
{
	struct endpoint *e = TAKE(x->endpoint);

	if (x->is_tunnel && x->has_head && x->status == 200)
		endpoint_tunnel_end(e);
	if (e->use)
		use_slot_end(e->use, is_failure, now_of(x));
	endpoint_end(e, fate);
}

/* ---- those who wait ---- */

static void waiting_expired(struct timer *t);

static void waiting_timer_set(struct backend *b)
{
	int64_t now = loop_now(b->worker->loop);

	if (!b->waiting) {
		if (timer_is_set(&b->waiting_timer))
			loop_timer_clear(b->worker->loop, &b->waiting_timer);
		return;
	}
	/* Each second, to say again that somebody waits. */
	loop_timer_set(b->worker->loop, &b->waiting_timer, MIN(b->waiting->waits_until_ns, now + NS_PER_S),
		       waiting_expired);
}

static void wanted_tell(struct backend *b)
{
	if (b->endpoint_count == 0 && service_use_wanted(b->service_use, loop_now(b->worker->loop)))
		gateway_tell_wanted(b->worker->gateway, b->service_use);
}

static void waiting_add(struct proxy *x)
{
	struct backend *b = x->backend;
	struct proxy *after = b->waiting_last;

	if (!x->waits_until_ns)
		x->waits_until_ns = now_of(x) + limits_of(x)->queue_ns;
	while (after && after->waits_until_ns > x->waits_until_ns)
		after = after->previous_waiting;
	x->previous_waiting = after;
	x->next_waiting = after ? after->next_waiting : b->waiting;
	*(after ? &after->next_waiting : &b->waiting) = x;
	*(x->next_waiting ? &x->next_waiting->previous_waiting : &b->waiting_last) = x;
	x->is_waiting = true;
	/* What can be kept of the body is read: an HTTP/1.1 client that goes is heard behind its body only. */
	if (!x->passing.is_whole && !x->is_tunnel && !x->is_asking) {
		x->is_asking = x->asked_little = true;
		request_want(x->req, limits_of(x)->body_kept);
	}
	b->waiting_count++;
	use_move(&b->use->waiting, 1);
	metric_move(b->waiting_gauge, 1);
	waiting_timer_set(b);
	wanted_tell(b);
}

static void waiting_remove(struct proxy *x)
{
	struct backend *b = x->backend;

	*(x->previous_waiting ? &x->previous_waiting->next_waiting : &b->waiting) = x->next_waiting;
	*(x->next_waiting ? &x->next_waiting->previous_waiting : &b->waiting_last) = x->previous_waiting;
	x->next_waiting = x->previous_waiting = NULL;
	x->is_waiting = false;
	b->waiting_count--;
	use_move(&b->use->waiting, -1);
	metric_move(b->waiting_gauge, -1);
	waiting_timer_set(b);
}

/* ---- answering with an error ---- */

static void proxy_fail(struct proxy *x, const struct error *err)
{
	struct request *req = x->req;

	try_timer_clear(x);
	proxy_count(x, error_http(err->code));
	request_fail(req, err);
}

static void waiting_fail(struct proxy *x)
{
	struct backend *b = x->backend;
	int64_t ms = limits_of(x)->queue_ns / NS_PER_MS;
	struct error err = { 0 };

	if (b->last.code && x->unsent + x->tries > 0)
		error_set(&err, ERROR_UNAVAILABLE, "%s (waited %lld ms)", b->last.message, (long long)ms);
	else if (b->plan && b->plan->why.len)
		error_set(&err, ERROR_UNAVAILABLE, SPAN_FMT " (waited %lld ms)", SPAN_ARG(b->plan->why), (long long)ms);
	else if (b->endpoint_count == 0)
		error_set(&err, ERROR_UNAVAILABLE, "it has no endpoints (waited %lld ms)", (long long)ms);
	else if (b->choice_count > 0)
		error_set(&err, ERROR_UNAVAILABLE, "all its endpoints are busy (waited %lld ms)", (long long)ms);
	else
		error_set(&err, ERROR_UNAVAILABLE, "none of its endpoints is ready (waited %lld ms)", (long long)ms);
	error_wrap(&err, "service " SPAN_FMT "/" SPAN_FMT, SPAN_ARG(b->name_space), SPAN_ARG(b->service));
	waiting_remove(x);
	proxy_fail(x, &err);
	proxy_free(x);
}

static void waiting_expired(struct timer *t)
{
	struct backend *b = CONTAINER_OF(t, struct backend, waiting_timer);
	int64_t now = loop_now(b->worker->loop);

	backend_hold(b);
	while (b->waiting && b->waiting->waits_until_ns <= now)
		waiting_fail(b->waiting);
	if (b->waiting)
		wanted_tell(b);
	waiting_timer_set(b);
	backend_release(b);
}

void proxies_fail(struct backend *b, const struct error *why)
{
	backend_hold(b);
	while (b->waiting) {
		struct proxy *x = b->waiting;

		waiting_remove(x);
		proxy_fail(x, why);
		proxy_free(x);
	}
	backend_release(b);
}

/* ---- the question ---- */

static const struct client_stream_ops stream_ops;

static void filters_of(const struct arrival *a, const struct plan_filters *ret[2])
{
	ret[0] = a->route ? &a->route->filters : NULL;
	ret[1] = a->target ? &a->target->filters : NULL;
}

static void body_writable(struct client_stream *s);
static void try_late(struct timer *t);

static void body_begin(struct proxy *x)
{
	if (x->kept.len)
		client_write(x->stream, buffer_span(&x->kept));
	if (x->kept.len && x->passing.is_whole)
		client_end(x->stream);
	if (x->passing.is_whole)
		return;
	if (!x->is_asking || x->asked_little)
		request_want(x->req, WANT);
	x->asked_little = false;
	if (x->is_asking && client_unsent(x->stream) <= CLIENT_UNSENT_LOW)
		body_writable(x->stream); /* what came while it waited */
	x->is_asking = true;
}

static void stream_open(struct proxy *x, struct upstream *u)
{
	struct head_from from = {
		.req = x->req, .prefix = x->arrival->prefix, .is_http2 = x->is_http2, .now_ns = now_of(x)
	};
	struct head *h = &x->all->head;
	struct error err = { 0 };

	filters_of(x->arrival, from.filters);
	if (UNLIKELY(!head_make(h, &from, &err))) {
		upstream_over(u);
		endpoint_let_go(x, FATE_NONE, false);
		proxy_fail(x, &err);
		proxy_free(x);
		return;
	}
	x->upstream = u;
	x->is_cut = false;
	x->opened_ns = x->progress_ns = from.now_ns;
	x->stream = client_open(upstream_client(u), &h->head, x->passing.is_whole && x->kept.len == 0, &stream_ops, x);
	if (UNLIKELY(x->arrival->route && x->arrival->route->try_timeout_ns))
		loop_timer_set(x->all->worker->loop, &x->try_timer, from.now_ns + x->arrival->route->try_timeout_ns,
			       try_late);
	body_begin(x);
}

/* How far a try came. */
enum reach {
	REACH_NONE, /* no endpoint can have seen it */
	REACH_KEPT, /* perhaps: a connection that was kept broke, as all do at once when their pods die */
	REACH_SENT,
};
static void proxy_again(struct proxy *x, const struct error *why, enum reach reach);

static void asked(struct ask *a, struct upstream *u, const struct error *err)
{
	struct proxy *x = CONTAINER_OF(a, struct proxy, ask);

	if (u) {
		stream_open(x, u);
		return;
	}
	metric_add(x->backend->failures[USE_REFUSED], 1);
	endpoint_let_go(x, FATE_REFUSED, true);
	proxy_again(x, err, REACH_NONE);
}

/* On its way to this endpoint, which was chosen for it. */
static void proxy_give(struct proxy *x, struct endpoint *e)
{
	struct upstream *u = upstream_take(e, x->is_http2);

	ASSERT(x->req && !x->stream && !x->is_waiting && !x->endpoint);
	x->endpoint = e;
	x->before = e;
	if (e->use)
		use_slot_begin(e->use);
	if (LIKELY(u != NULL))
		stream_open(x, u);
	else
		upstream_ask(e, x->is_http2, &x->ask);
}

static struct span client_of(const struct proxy *x)
{
	struct span peer;

	if (LIKELY(x->backend->plan->affinity_ns == 0))
		return (struct span){ 0 };
	peer = request_forwarded(x->req).peer;
	for (size_t i = peer.len; i-- > 0;)
		if (peer.ptr[i] == ':')
			return span_first(peer, i);
	return peer;
}

static void proxy_seek(struct proxy *x)
{
	struct backend *b = x->backend;
	struct endpoint *e = LIKELY(b->plan != NULL) ? backend_choose(b, x->before, client_of(x)) : NULL;

	if (LIKELY(e != NULL))
		proxy_give(x, e);
	else
		waiting_add(x);
}

void proxies_settle(struct backend *b)
{
	backend_hold(b);
	while (b->waiting && b->plan) {
		struct proxy *x = b->waiting;
		struct endpoint *e = backend_choose(b, x->before, client_of(x));

		if (!e)
			break;
		waiting_remove(x);
		proxy_give(x, e);
	}
	backend_release(b);
}

/* ---- the body ---- */

static void body_keep(struct proxy *x, struct span bytes)
{
	if (!x->is_kept)
		return;
	if (x->stream && (x->has_head || x->is_tunnel || x->kept.len + bytes.len > limits_of(x)->body_kept)) {
		x->is_kept = false;
		buffer_clear(&x->kept);
		return;
	}
	buffer_append(&x->kept, bytes);
}

static void mirrors_write(struct proxy *x, struct span bytes, bool is_last)
{
	for (size_t i = 0; i < x->mirror_count; i++)
		mirror_write(x->mirrors[i], bytes);
	if (is_last)
		mirrors_end(x, false);
}

static void body_receive(struct request *req, struct span bytes, bool is_last)
{
	struct proxy *x = request_owner(req);

	body_keep(x, bytes);
	if (UNLIKELY(x->mirror_count))
		mirrors_write(x, bytes, is_last);
	x->passing.is_whole = is_last;
	x->progress_ns = now_of(x);
	if (x->stream && !x->is_cut)
		passing_body(&x->passing, req, x->stream, bytes);
	else
		passing_hold(&x->passing, bytes.len);
}

static void body_writable(struct client_stream *s)
{
	struct proxy *x = client_stream_owner(s);

	x->progress_ns = now_of(x);
	passing_want(&x->passing, x->req);
}

/* ---- the answer ---- */

static void fields_note(struct proxy *x, const struct header *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct span value = fields[i].value;

		if (fields[i].name.len == 11 && span_equal(fields[i].name, SPAN("grpc-status")) && value.len > 0 &&
		    value.len <= 2)
			x->grpc_status =
			    value.len == 2 ? (value.ptr[0] - '0') * 10 + (value.ptr[1] - '0') : value.ptr[0] - '0';
		else if (fields[i].name.len == 12 && span_equal(fields[i].name, SPAN("content-type")) &&
			 span_starts(value, SPAN("text/event-stream")))
			x->may_be_quiet = true;
	}
}

static void answer_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct proxy *x = client_stream_owner(s);
	const struct plan_filters *filters[2];
	struct header passed[HEAD_FIELDS_MOST];

	x->progress_ns = now_of(x);
	upstream_heard(x->upstream);
	if (!x->req)
		return;
	if (status >= 200) {
		x->has_head = true;
		x->status = status;
		try_timer_clear(x);
		fields_note(x, headers, count);
		x->may_be_quiet |= x->is_grpc || x->is_tunnel;
		if (UNLIKELY(x->is_tunnel && status == 200))
			endpoint_tunnel(x->endpoint);
		if (x->is_kept) {
			x->is_kept = false;
			buffer_clear(&x->kept);
		}
	}
	filters_of(x->arrival, filters);
	count = head_answer(x->req, filters, headers, count, status >= 200, passed);
	request_head(x->req, status, (struct span){ 0 }, passed, count);
}

static void answer_receive(struct client_stream *s, struct span bytes)
{
	struct proxy *x = client_stream_owner(s);

	x->progress_ns = now_of(x);
	upstream_heard(x->upstream);
	passing_answer(&x->passing, x->req, s, bytes);
}

static void answer_writable(struct request *req)
{
	struct proxy *x = request_owner(req);

	x->progress_ns = now_of(x);
	passing_take(&x->passing, x->stream);
}

static void answer_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct proxy *x = client_stream_owner(s);
	struct request *req = x->req;

	x->has_ended = true;
	if (!req)
		return;
	fields_note(x, trailers, count);
	proxy_count(x, x->status);
	request_end(req, trailers, count);
}

/* ---- ends ---- */

/* RFC 9110 9.2.2. */
static bool is_idempotent(const struct request *req)
{
	return req->method == METHOD_GET || req->method == METHOD_HEAD || req->method == METHOD_OPTIONS ||
	       req->method == METHOD_PUT || req->method == METHOD_DELETE || span_equal(req->method_text, SPAN("TRACE"));
}

static void give_up(struct proxy *x, const struct error *why)
{
	const struct backend *b = x->backend;
	enum error_code code =
	    why->code == ERROR_UNAVAILABLE || why->code == ERROR_TIMEOUT ? why->code : ERROR_BAD_GATEWAY;
	struct error err = { 0 };

	error_set(&err, code, "service " SPAN_FMT "/" SPAN_FMT ": %s", SPAN_ARG(b->name_space), SPAN_ARG(b->service),
		  why->message);
	proxy_fail(x, &err);
	proxy_free(x);
}

/* Another try, now or when there is an endpoint for it; or the error. */
static void proxy_again(struct proxy *x, const struct error *why, enum reach reach)
{
	struct backend *b = x->backend;

	b->last = *why;
	try_timer_clear(x);
	if (reach != REACH_NONE) {
		if (reach == REACH_KEPT && x->broken < BROKEN_MOST)
			x->broken++;
		else
			x->tries++;
		if (!is_idempotent(x->req) || !x->is_kept || x->is_tunnel || x->tries >= limits_of(x)->tries_most ||
		    !backend_may_try(b)) {
			give_up(x, why);
			return;
		}
	} else if (!x->is_kept) {
		give_up(x, why);
		return;
	} else if (++x->unsent > UNSENT_TRIES_MOST && b->plan) {
		waiting_add(x); /* until an endpoint's rest is over, or its time */
		backend_wake(b);
		return;
	}
	metric_add(b->retries, 1);
	proxy_seek(x);
}

/* What the stream's end says of the endpoint. */
static enum endpoint_fate fate_of(const struct proxy *x, const struct error *why, bool is_first)
{
	if (!why)
		return x->status == 502 || x->status == 503 || x->status == 504 ? FATE_FAILED : FATE_GOOD;
	if (why->code == ERROR_CANCELLED)
		return x->cut_fate;
	if (why->code == ERROR_UNAVAILABLE)
		return is_first || x->unsent >= UNSENT_TRIES_MOST ? FATE_REFUSED : FATE_NONE; /* so that it rests */
	if (why->code == ERROR_UNIMPLEMENTED)
		return FATE_NONE;
	return x->has_head || is_first ? FATE_FAILED : FATE_NONE; /* a connection that was kept may end any time */
}

static void late_words(const struct proxy *x, struct error *err);

static void stream_closed(struct client_stream *s, const struct error *why)
{
	struct proxy *x = client_stream_owner(s);
	struct upstream *u = TAKE(x->upstream);
	bool is_first = !upstream_is_used(u);
	enum endpoint_fate fate = fate_of(x, why, is_first);

	x->stream = NULL;
	try_timer_clear(x);
	upstream_over(u);
	if (why && fate == FATE_FAILED && why->code != ERROR_CANCELLED)
		metric_add(x->backend->failures[USE_BROKEN], 1);
	endpoint_let_go(x, fate, fate == FATE_FAILED);
	if (!x->req) {
		proxy_free(x);
	} else if (!why || x->has_head) {
		struct request *req = x->req;

		/* Closed before its end: by one that breaks off, or breaks its own rules. */
		proxy_count(x, 502);
		request_cut(req);
		proxy_free(x);
	} else if (x->late_ns) {
		struct error late;

		late_words(x, &late);
		x->late_ns = 0;
		proxy_again(x, &late, REACH_SENT);
	} else {
		proxy_again(x, why, why->code == ERROR_UNAVAILABLE ? REACH_NONE : is_first ? REACH_SENT : REACH_KEPT);
	}
}

static const struct client_stream_ops stream_ops = {
	.head = answer_head,
	.receive = answer_receive,
	.end = answer_end,
	.writable = body_writable,
	.closed = stream_closed,
};

static void stream_cut(struct proxy *x, enum endpoint_fate fate)
{
	if (x->is_cut)
		return;
	x->is_cut = true;
	x->cut_fate = fate;
	client_reset(x->stream);
}

/* Nobody waits for the answer any more. */
static void proxy_abandon(struct proxy *x)
{
	if (x->is_waiting) {
		waiting_remove(x);
		proxy_free(x);
	} else if (x->stream) {
		stream_cut(x, FATE_NONE);
	} else {
		upstream_ask_cancel(&x->ask);
		endpoint_let_go(x, FATE_NONE, false);
		proxy_free(x);
	}
}

static void client_gone(struct request *req, const struct error *why)
{
	struct proxy *x = request_owner(req);

	try_timer_clear(x);
	if (x->stream && (why->code == ERROR_TIMEOUT || now_of(x) - x->opened_ns >= SILENT_NS))
		upstream_doubt(x->upstream, x->opened_ns);
	proxy_count(x, why->code == ERROR_CANCELLED ? 0 : error_http(why->code));
	proxy_abandon(x);
}

/* ---- time ---- */

/* Not the endpoint's fault: it waits for the client, in one direction or the other. */
static bool waits_for_client(const struct proxy *x)
{
	bool is_fed = !x->passing.is_whole && !x->is_tunnel && x->passing.unasked == 0 && client_unsent(x->stream) == 0;

	return !x->req || is_fed || x->passing.untaken > 0;
}

static void late_words(const struct proxy *x, struct error *err)
{
	*err = (struct error){ 0 };
	error_set(err, ERROR_TIMEOUT, "its endpoint did not go on within %lld ms", (long long)(x->late_ns / NS_PER_MS));
}

/* Its endpoint takes too long: another one is asked, where that may be, once the stream is closed. */
static void proxy_late(struct proxy *x, int64_t limit_ns)
{
	try_timer_clear(x);
	metric_add(x->backend->failures[USE_LATE], 1);
	x->late_ns = limit_ns;
	if (x->has_head) {
		struct request *req = x->req;

		proxy_count(x, 504);
		request_cut(req);
	}
	if (x->stream) {
		upstream_doubt(x->upstream, x->opened_ns);
		stream_cut(x, FATE_FAILED);
	}
}

static void try_late(struct timer *t)
{
	struct proxy *x = CONTAINER_OF(t, struct proxy, try_timer);

	proxy_late(x, x->arrival->route->try_timeout_ns);
}

static void check(struct timer *t)
{
	struct proxies *all = CONTAINER_OF(t, struct proxies, check);
	int64_t now = loop_now(all->worker->loop), stall_ns = all->worker->config->limits.stall_ns;

	for (struct proxy *x = all->working, *next; x; x = next) {
		next = x->next;
		if (!x->stream || x->is_cut)
			continue;
		if ((x->has_head && x->may_be_quiet) || waits_for_client(x))
			x->progress_ns = now;
		else if (now - x->progress_ns >= stall_ns)
			proxy_late(x, stall_ns);
	}
	if (all->working)
		loop_timer_set(all->worker->loop, t, now + MIN(stall_ns / 4, CHECK_MOST_NS), check);
}

/* ---- the way in ---- */

static void redirect(struct request *req, const struct arrival *a, const struct plan_redirect *r)
{
	request_set_header(req, SPAN("location"), head_location(req, r, a->prefix));
	request_send(req, r->status, (struct span){ 0 });
}

static void answer_500(struct request *req, const struct error *err)
{
	struct json_writer w = json_writer(&req->out);

	json_open_object(&w);
	json_key(&w, SPAN("error"));
	json_string(&w, error_span(err));
	json_close_object(&w);
	request_send(req, 500, SPAN("application/json"));
}

static void nobody_error(const struct request *req, const struct arrival *a, struct error *err)
{
	if (!a)
		error_set(err, ERROR_UNAVAILABLE, "the gateway has no routes yet");
	else if (!a->entry || a->entry->backend)
		error_set(err, ERROR_UNAVAILABLE, "the service at this address is gone");
	else if (!a->route)
		error_set(err, req->is_grpc ? ERROR_UNIMPLEMENTED : ERROR_NOT_FOUND,
			  "no route for host '" SPAN_FMT "' and path '" SPAN_FMT "'", SPAN_ARG(req->authority),
			  SPAN_ARG(req->path));
	else if (a->target && a->target->backend)
		error_set(err, ERROR_UNAVAILABLE, "service " SPAN_FMT "/" SPAN_FMT " is gone",
			  SPAN_ARG(a->target->backend->name_space), SPAN_ARG(a->target->backend->service));
	else
		error_set(err, ERROR_UNAVAILABLE, "route " SPAN_FMT " has no backend", SPAN_ARG(a->route->name));
}

/* Answers of this program's own: no route, no backend, a redirect. */
static bool answered_here(struct request *req, struct arrival *a)
{
	const struct plan_redirect *of_target = a && a->target ? &a->target->filters.redirect : NULL;
	const struct plan_redirect *of_route = a && a->route ? &a->route->filters.redirect : NULL;
	struct error err = { 0 };

	if (of_target && of_target->status) {
		redirect(req, a, of_target);
	} else if (of_route && of_route->status) {
		redirect(req, a, of_route);
	} else if (LIKELY(a && a->backend)) {
		return false;
	} else {
		nobody_error(req, a, &err);
		/* Gateway API wants 500 where a route's backend is none: no fault of this program's, to be logged. */
		if (!req->is_grpc && a && a->route && !(a->target && a->target->backend))
			answer_500(req, &err);
		else
			request_fail(req, &err);
	}
	return true;
}

/* HTTP/2 for gRPC, whatever the port is called: nothing else carries it; and for what came so in clear to the service's own address. */
static bool speaks_http2(const struct request *req, const struct arrival *a)
{
	if (req->is_grpc)
		return true;
	switch (a->backend->plan ? a->backend->plan->speech : SPEECH_HTTP1) {
	case SPEECH_HTTP2:
		return true;
	case SPEECH_AUTO:
		return req->http_major == 2 && a->entry->backend && !a->entry->certificates;
	default:
		return false;
	}
}

static void deadline_set(struct request *req, const struct plan_route *route)
{
	int64_t at_ns;

	if (!route || route->timeout_ns <= 0)
		return;
	at_ns = req->received_ns + route->timeout_ns;
	/* Of a call the client's own is among what there is; else the route's takes the place of the server's. */
	req->deadline_ns = req->is_grpc ? MIN(req->deadline_ns, at_ns) : at_ns;
}

static void mirrors_begin(struct proxy *x)
{
	const struct plan_route *route = x->arrival->route;

	for (size_t i = 0; i < route->mirror_count && i < PLAN_MIRRORS_MOST; i++) {
		const struct plan_mirror *plan = &route->mirrors[i];
		struct mirror *m = NULL;

		if (plan->backend && plan->denominator && random_fast() % plan->denominator < plan->numerator)
			m = mirror_begin(x->all->mirrors, x->req, x->arrival, plan, !x->passing.is_whole);
		if (m && x->passing.is_whole)
			mirror_end(m, false);
		else if (m)
			x->mirrors[x->mirror_count++] = m;
	}
}

void proxy_request(struct request *req)
{
	static const struct request_flow flow = {
		.receive = body_receive,
		.writable = answer_writable,
		.gone = client_gone,
	};
	struct arrival *a = req->state;
	struct backend *b;
	struct proxy *x;

	if (answered_here(req, a))
		return;
	b = a->backend;
	if (UNLIKELY(b->waiting_count >= a->worker->config->limits.queue_most)) {
		struct error err = { 0 };

		error_set(&err, ERROR_EXHAUSTED,
			  "service " SPAN_FMT "/" SPAN_FMT ": %zu requests wait for an endpoint already",
			  SPAN_ARG(b->name_space), SPAN_ARG(b->service), b->waiting_count);
		use_series_count(a->worker->config->metrics, gateway_series(a), b->name_space, b->service,
				 a->route ? a->route->name : SPAN(""), 429, 0);
		request_fail(req, &err);
		return;
	}
	deadline_set(req, a->route);
	x = proxy_new(a->worker->proxies, req, a);
	x->ask.done = asked;
	x->series = gateway_series(a);
	x->is_grpc = req->is_grpc;
	x->is_tunnel = req->upgrade.len > 0;
	x->is_http2 = speaks_http2(req, a);
	x->passing.is_whole = req->is_end && !x->is_tunnel;
	use_slot_begin(b->use);
	metric_move(b->in_flight_gauge, 1);
	backend_asked(b);
	request_open(req, &flow, x);
	if (UNLIKELY(a->route && a->route->mirror_count && !x->is_tunnel))
		mirrors_begin(x);
	if (UNLIKELY(b->waiting != NULL))
		waiting_add(x);
	else
		proxy_seek(x);
}

/* ---- all of them ---- */

struct proxies *proxies_new(struct gateway_worker *w)
{
	struct proxies *p = base_calloc(1, sizeof(*p));

	p->worker = w;
	p->mirrors = mirrors_new(w);
	return p;
}

void proxies_free(struct proxies *p)
{
	if (!p)
		return;
	/* Their requests are over: the server has ended. */
	while (p->working) {
		struct proxy *x = p->working;

		ASSERT(!x->req && x->stream);
		upstream_cut(x->upstream);
	}
	mirrors_free(p->mirrors);
	if (timer_is_set(&p->check))
		loop_timer_clear(p->worker->loop, &p->check);
	while (p->free) {
		struct proxy *x = p->free;

		p->free = x->next;
		buffer_done(&x->kept);
		free(x);
	}
	free(p);
}
