/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy - one request on its way to a worker and back: head, body, trailers, and tunnels of WebSocket.
 *
 * Nobody is hurried: of the client's body as much is asked for as the worker takes, and of the worker's answer as much
 * is taken as the client does.
 *
 * Where there is one worker and it works through one request after the other, it is sent some ahead of their turn, when they are whole
 * and small enough to be kept here: it need not wait for this program between two. One that has not begun when the worker dies or
 * hangs is sent to the next.
 *
 * A request whose client has gone keeps its worker until that has answered, when the worker works through one request
 * after the other: it cannot be told to stop, and the next request would only wait behind.
 */
#include "workers/workers_private.h"

#include <stdlib.h>

#include "net/forwarded.h"

enum { FREE_PROXIES_MAX = 256, EXTRA_HEADERS = 4 };
#define KEPT_LIMIT (KEPT_MAX + 2 * WANT) /* what was asked for may still come while another worker is looked for */
#define KEPT_SPARE KIB(4)                /* of the buffer of one that is free */

static void stream_cut(struct proxy *x)
{
	if (!x->is_cut)
		client_reset(x->stream);
	x->is_cut = true;
}

static void proxy_link(struct proxy **list, struct proxy *x)
{
	x->previous = NULL;
	x->next = *list;
	if (x->next)
		x->next->previous = x;
	*list = x;
}

static void proxy_unlink(struct proxy **list, struct proxy *x)
{
	*(x->previous ? &x->previous->next : list) = x->next;
	if (x->next)
		x->next->previous = x->previous;
	x->next = x->previous = NULL;
}

static void proxy_free(struct proxy *x)
{
	struct workers *w = x->workers;

	ASSERT(!x->req && !x->stream && !x->is_queued && !x->process);
	if (w->free_proxy_count >= FREE_PROXIES_MAX) {
		buffer_done(&x->kept);
		free(x);
		return;
	}
	buffer_clear(&x->kept);
	if (x->kept.cap > KEPT_SPARE)
		buffer_shrink(&x->kept, KEPT_SPARE);
	x->next = w->free_proxies;
	w->free_proxies = x;
	w->free_proxy_count++;
}

void workers_proxies_free(struct workers *w)
{
	while (w->free_proxies) {
		struct proxy *x = w->free_proxies;

		w->free_proxies = x->next;
		buffer_done(&x->kept);
		free(x);
	}
	w->free_proxy_count = 0;
}

static struct proxy *proxy_new(struct workers *w, struct request *req)
{
	struct proxy *x = w->free_proxies;
	struct buffer kept;

	if (x) {
		w->free_proxies = x->next;
		w->free_proxy_count--;
		kept = x->kept;
	} else {
		x = base_alloc(sizeof(*x));
		buffer_init(&kept, KEPT_LIMIT);
	}
	*x = (struct proxy){ .workers = w, .req = req, .kept = kept, .is_kept = true };
	x->is_tunnel = req->upgrade.len > 0;
	x->passing.is_whole = req->is_end && !x->is_tunnel; /* it has no body */
	return x;
}

static bool is_one_by_one(const struct process *p)
{
	return strcmp(p->kind, "asgi") != 0;
}

/* ---- the question's head ---- */

/* Told anew, or for this hop alone; the client leaves out those of the connection. The client has been told to continue
 * by then (Expect), and HTTP/2's WebSockets have no key (RFC 8441 5). */
static bool is_passed(struct span name)
{
	switch (name.len) {
	case 6:
		return !span_equal(name, SPAN("expect"));
	case 12:
		return !span_equal(name, SPAN("x-request-id")) && !span_starts(name, FORWARDED_PREFIX);
	case 17:
		return !span_equal(name, SPAN("sec-websocket-key")) && !span_starts(name, FORWARDED_PREFIX);
	default:
		return !span_starts(name, FORWARDED_PREFIX);
	}
}

static size_t headers_pass(const struct request *req, struct header *to, size_t most)
{
	size_t count = 0;

	for (size_t i = 0; i < req->header_count && count < most; i++)
		if (is_passed(req->headers[i].name))
			to[count++] = req->headers[i];
	return count;
}

/* The path of a target in absolute form (RFC 9112 3.2.2). */
static struct span target_path(struct span target)
{
	const char *at = target.len && target.ptr[0] != '/' ? memmem(target.ptr, target.len, "://", 3) : NULL;

	if (!at)
		return target;
	target = span_skip(target, (size_t)(at + 3 - target.ptr));
	target = span_skip(target, span_index(target, '/'));
	return target.len ? target : SPAN("/");
}

static const struct client_stream_ops stream_ops;

static void stream_open(struct proxy *x)
{
	struct request *req = x->req;
	struct forwarded from = request_forwarded(req);
	struct header headers[HTTP1_HEADERS_MAX + EXTRA_HEADERS];
	struct client_head head = {
		.method = x->is_tunnel ? SPAN("CONNECT") : req->method_text,
		.scheme = from.scheme,
		.authority = req->authority.len ? req->authority : SPAN("localhost"),
		.path = target_path(req->target),
		.protocol = req->upgrade,
		.headers = headers,
	};
	size_t count = headers_pass(req, headers, HTTP1_HEADERS_MAX);

	headers[count++] = (struct header){ SPAN("x-request-id"), { req->id, req->id_len } };
	headers[count++] = (struct header){ FORWARDED_PEER, from.peer };
	headers[count++] = (struct header){ FORWARDED_SCHEME, from.scheme };
	headers[count++] = (struct header){ FORWARDED_VERSION, from.version };
	head.header_count = count;
	x->stream = client_open(x->process->client, &head, x->passing.is_whole && x->kept.len == 0, &stream_ops, x);
}

/* ---- to the worker ---- */

static void body_writable(struct client_stream *s);

void proxy_give(struct proxy *x, struct process *p)
{
	bool has_body;

	ASSERT(x->req && !x->stream && !x->is_queued);
	x->process = p;
	x->is_ahead = p->in_flight >= p->slots;
	if (x->is_ahead) {
		x->workers->ahead_len++;
		pool_settle(x->workers);
	}
	x->is_cut = false;
	p->in_flight++;
	proxy_link(&p->proxies, x);
	x->tries += !x->is_ahead;
	x->progress_ns = loop_now(x->workers->loop);
	process_time_requests(p);
	stream_open(x);
	has_body = x->kept.len > 0;
	if (has_body)
		client_write(x->stream, buffer_span(&x->kept));
	if (has_body && x->passing.is_whole)
		client_end(x->stream);
	if (x->passing.is_whole)
		return;
	if (!x->is_asking)
		request_want(x->req, WANT);
	else if (client_unsent(x->stream) <= CLIENT_UNSENT_LOW)
		body_writable(x->stream); /* what came while it waited */
	x->is_asking = true;
}

void proxies_take_back(struct process *p)
{
	for (struct proxy *x = p->proxies; x; x = x->next)
		if (x->is_ahead)
			stream_cut(x); /* stream_closed() does the rest */
}

/* One of a process's requests is over: the oldest of those behind it is begun. */
static void proxies_advance(struct process *p)
{
	struct proxy *x = p->proxies;

	while (x && x->next)
		x = x->next;
	if (!x || !x->is_ahead)
		return;
	x->is_ahead = false;
	x->workers->ahead_len--;
	pool_settle(x->workers);
	x->tries++;
	x->progress_ns = loop_now(x->workers->loop);
	process_time_requests(p);
}

static void body_keep(struct proxy *x, struct span bytes)
{
	if (!x->is_kept)
		return;
	if (x->stream && (x->has_head || x->is_tunnel || x->kept.len + bytes.len > KEPT_MAX)) {
		x->is_kept = false;
		buffer_clear(&x->kept);
		return;
	}
	buffer_append(&x->kept, bytes);
}

static void body_receive(struct request *req, struct span bytes, bool is_last)
{
	struct proxy *x = request_owner(req);

	body_keep(x, bytes);
	x->passing.is_whole = is_last;
	x->progress_ns = loop_now(x->workers->loop);
	if (x->stream && !x->is_cut) {
		passing_body(&x->passing, req, x->stream, bytes);
		return;
	}
	passing_hold(&x->passing, bytes.len);
	if (x->is_queued && is_last)
		pool_settle(x->workers); /* it may be sent ahead now */
}

static void body_writable(struct client_stream *s)
{
	struct proxy *x = client_stream_owner(s);

	x->progress_ns = loop_now(x->workers->loop);
	passing_want(&x->passing, x->req);
}

/* ---- to the client ---- */

static void answer_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct proxy *x = client_stream_owner(s);
	struct header passed[HTTP1_HEADERS_MAX];
	struct span reason = { 0 };
	size_t passed_count = 0;

	x->progress_ns = loop_now(x->workers->loop);
	if (!x->req) {
		stream_cut(x); /* its client has gone: from now on the worker can tell */
		return;
	}
	for (size_t i = 0; i < count && passed_count < HTTP1_HEADERS_MAX; i++) {
		if (span_equal(headers[i].name, FORWARDED_REASON))
			reason = headers[i].value;
		else if (!span_starts(headers[i].name, FORWARDED_PREFIX))
			passed[passed_count++] = headers[i];
	}
	x->has_head = status >= 200;
	request_head(x->req, status, reason, passed, passed_count);
}

static void answer_receive(struct client_stream *s, struct span bytes)
{
	struct proxy *x = client_stream_owner(s);

	x->progress_ns = loop_now(x->workers->loop);
	passing_answer(&x->passing, x->req, s, bytes);
}

static void answer_writable(struct request *req)
{
	struct proxy *x = request_owner(req);

	x->progress_ns = loop_now(x->workers->loop);
	passing_take(&x->passing, x->stream);
}

static void answer_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct proxy *x = client_stream_owner(s);

	x->has_ended = true;
	if (x->req)
		request_end(TAKE(x->req), trailers, count);
}

/* ---- ends ---- */

static bool may_try_again(const struct proxy *x, const struct error *why)
{
	return why->code == ERROR_UNAVAILABLE && x->is_kept && !x->is_cut && x->tries < TRIES_MAX;
}

static void stream_closed(struct client_stream *s, const struct error *why)
{
	struct proxy *x = client_stream_owner(s);
	struct process *p = x->process;
	struct workers *w = x->workers;

	x->stream = NULL;
	proxy_unlink(&p->proxies, x);
	if (x->is_ahead) {
		w->ahead_len--;
		pool_settle(w);
	}
	if (!x->req || !why) {
		if (x->req)
			request_cut(TAKE(x->req)); /* closed before its end: by a peer that breaks its own rules */
		x->process = NULL;
		proxy_free(x);
	} else if (x->has_head) {
		request_cut(TAKE(x->req));
		x->process = NULL;
		proxy_free(x);
	} else if (x->is_ahead || may_try_again(x, why)) {
		x->process = NULL;
		queue_push_front(w, x);
	} else {
		proxy_link(&p->mourners, x);
		pool_settle(w);
	}
	proxies_advance(p);
	process_released(p);
}

static void client_gone(struct request *req, const struct error *why)
{
	struct proxy *x = request_owner(req);

	(void)why;
	x->req = NULL;
	if (x->is_queued) {
		queue_remove(x->workers, x);
		pool_settle(x->workers);
		proxy_free(x);
	} else if (!x->stream) {
		proxy_unlink(&x->process->mourners, x);
		x->process = NULL;
		proxy_free(x);
	} else if (x->has_head || x->is_ahead || !x->passing.is_whole || !is_one_by_one(x->process)) {
		stream_cut(x);
	}
}

void proxy_fail(struct proxy *x, const struct error *err)
{
	request_fail(TAKE(x->req), err);
	proxy_free(x);
}

void proxies_mourn(struct process *p)
{
	struct error why = { 0 };

	if (!p->mourners)
		return;
	if (p->client && !p->has_ended)
		error_set(&why, ERROR_BAD_GATEWAY, "worker %d gave the request up", (int)p->pid);
	else
		process_obituary(p, &why);
	while (p->mourners) {
		struct proxy *x = p->mourners;

		proxy_unlink(&p->mourners, x);
		x->process = NULL;
		proxy_fail(x, &why);
	}
}

/* ---- time ---- */

/* Not the worker's fault: it waits for the client, in one direction or the other. */
static bool waits_for_client(const struct proxy *x)
{
	bool is_fed = !x->passing.is_whole && !x->is_tunnel && x->passing.unasked == 0 && client_unsent(x->stream) == 0;

	return x->req && (is_fed || x->passing.untaken > 0);
}

/* An open WebSocket, or a stream of events, may be quiet. */
static bool may_be_quiet(const struct proxy *x)
{
	return x->has_head && (x->is_tunnel || !is_one_by_one(x->process));
}

static void proxy_late(struct proxy *x)
{
	struct error err = { 0 };

	error_set(&err, ERROR_TIMEOUT, "worker %d did not answer within %lld ms (--timeout)", (int)x->process->pid,
		  (long long)x->workers->config.timeout_ms);
	if (x->req && x->has_head)
		request_cut(TAKE(x->req));
	else if (x->req)
		request_fail(TAKE(x->req), &err);
	stream_cut(x);
}

int64_t proxies_check(struct process *p, int64_t now_ns, bool *ret_is_hung)
{
	int64_t limit = p->workers->config.timeout_ms * NS_PER_MS, next = INT64_MAX;

	for (struct proxy *x = p->proxies; x; x = x->next) {
		if (x->is_cut)
			continue;
		if (x->is_ahead || waits_for_client(x) || may_be_quiet(x))
			x->progress_ns = now_ns;
		if (now_ns - x->progress_ns >= limit) {
			proxy_late(x);
			*ret_is_hung = true;
		} else {
			next = MIN(next, x->progress_ns + limit);
		}
	}
	return next;
}

/* ---- the way in ---- */

static const struct client_stream_ops stream_ops = {
	.head = answer_head,
	.receive = answer_receive,
	.end = answer_end,
	.writable = body_writable,
	.closed = stream_closed,
};

/* It waits in the queue; with one worker its body comes already, so that it can be sent ahead. */
static void proxy_wait(struct proxy *x)
{
	queue_push(x->workers, x);
	if (x->workers->config.count > 1 || x->passing.is_whole || x->is_tunnel)
		return;
	x->is_asking = true;
	request_want(x->req, KEPT_MAX);
}

void workers_proxy_request(struct request *req)
{
	static const struct request_flow flow = {
		.receive = body_receive,
		.writable = answer_writable,
		.gone = client_gone,
	};
	struct workers *w = workers_of(req);
	struct error err = { 0 };
	struct process *p;
	struct proxy *x;
	size_t waiting = 0;

	if (w->doom) {
		request_fail(req, w->doom);
		return;
	}
	if (ops_answer(req))
		return;
	p = w->queue_first ? NULL : pool_choose(w, req->is_end && req->upgrade.len == 0);
	if ((!p || p->in_flight >= p->slots) && !pool_is_down(w, &err))
		waiting = pool_queue_len(w);
	else if (p && p->giver)
		waiting = giver_waiting(p->giver);
	if (!err.code && waiting >= w->config.queue_limit)
		error_set(&err, ERROR_EXHAUSTED, "%zu requests wait for a worker already (--max-queue)", waiting);
	if (err.code) {
		request_fail(req, &err);
		return;
	}
	x = proxy_new(w, req);
	request_open(req, &flow, x);
	if (p)
		proxy_give(x, p);
	else
		proxy_wait(x);
}

const struct route workers_routes[] = {
	{ METHOD_GET | METHOD_HEAD | METHOD_POST | METHOD_PUT | METHOD_DELETE | METHOD_PATCH | METHOD_OPTIONS |
	      METHOD_OTHER,
	  "*", workers_proxy_request, &surface_workers, ROUTE_STREAM },
	{ 0 },
};
