/* SPDX-License-Identifier: Apache-2.0 */
/* app - exchanges of an application, and their side on the loop. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/number.h"
#include "hosts/app_private.h"
#include "net/forwarded.h"

/* ---- life ---- */

static void exchange_free(hythe_exchange *x)
{
	socket_free(x);
	buffer_done(&x->in);
	buffer_done(&x->out);
	pthread_mutex_destroy(&x->lock);
	pthread_cond_destroy(&x->changed);
	free(x->reason);
	free(x->out_headers);
	free(x->headers);
	free(x->text);
	free(x);
}

void exchange_drop(hythe_exchange *x)
{
	struct app_host *a = x->app;

	if (atomic_fetch_sub(&x->holders, 1) != 1)
		return;
	pthread_mutex_lock(&a->lock);
	if (x->previous)
		x->previous->next = x->next;
	else
		a->all = x->next;
	if (x->next)
		x->next->previous = x->previous;
	pthread_mutex_unlock(&a->lock);
	exchange_free(x);
}

static struct hythe_bytes keep(char **at, struct span s)
{
	char *to = *at;

	if (s.len)
		memcpy(to, s.ptr, s.len);
	*at += s.len;
	return (struct hythe_bytes){ to, s.len };
}

/* The length of the body; -1: not told. */
static int64_t body_length(const struct request *req)
{
	struct span text = request_header(req, SPAN("content-length"));
	int64_t length;

	if (req->is_end)
		return 0;
	return text.ptr && number_parse_int64(text, &length) && length >= 0 ? length : -1;
}

static void question_copy(hythe_exchange *x, const struct request *req)
{
	struct forwarded f = request_forwarded(req);
	struct span id = span_from(req->id, req->id_len);
	size_t size = req->method_text.len + req->path.len + req->query.len + req->authority.len + f.scheme.len +
		      f.version.len + f.peer.len + id.len + 8;
	char *at;

	for (size_t i = 0; i < req->header_count; i++)
		size += req->headers[i].name.len + req->headers[i].value.len;
	at = x->text = base_alloc(size);
	x->method = keep(&at, req->method_text);
	x->path = keep(&at, req->path);
	x->query = keep(&at, req->query);
	x->authority = keep(&at, req->authority);
	x->is_websocket = req->upgrade.len > 0;
	if (x->is_websocket)
		x->scheme = keep(&at, span_equal(f.scheme, SPAN("https")) ? SPAN("wss") : SPAN("ws"));
	else
		x->scheme = keep(&at, f.scheme);
	x->version = keep(&at, f.version);
	x->peer = keep(&at, f.peer);
	x->id = keep(&at, id);
	x->headers = base_calloc(req->header_count + 1, sizeof(*x->headers));
	x->header_count = req->header_count;
	for (size_t i = 0; i < req->header_count; i++) {
		x->headers[i].name = keep(&at, req->headers[i].name);
		x->headers[i].value = keep(&at, req->headers[i].value);
	}
	x->length = body_length(req);
}

static hythe_exchange *exchange_new(struct app_host *a, struct request *req)
{
	hythe_exchange *x = base_calloc(1, sizeof(*x));

	x->app = a;
	x->req = req;
	x->holders = 2;
	x->left = -1;
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->changed, NULL);
	buffer_init(&x->in, MIB(64));
	buffer_init(&x->out, SIZE_MAX / 4);
	question_copy(x, req);
	x->has_all = x->length == 0;
	pthread_mutex_lock(&a->lock);
	x->next = a->all;
	if (x->next)
		x->next->previous = x;
	a->all = x;
	pthread_mutex_unlock(&a->lock);
	return x;
}

/* ---- on the loop ---- */

static void exchange_over(hythe_exchange *x, bool is_gone)
{
	if (x->socket)
		loop_timer_clear(x->app->loop, &x->socket->patience);
	pthread_mutex_lock(&x->lock);
	x->is_gone = is_gone;
	x->is_over = true;
	x->unsent = 0;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	exchange_drop(x);
}

void exchange_done(hythe_exchange *x, bool is_cut)
{
	struct request *req = x->req;

	x->req = NULL; /* a cut that finds the connection broken calls flow_gone() */
	if (is_cut)
		request_cut(req);
	else
		request_end(req, NULL, 0);
	exchange_over(x, false);
}

static void flow_receive(struct request *req, struct span bytes, bool is_last)
{
	hythe_exchange *x = request_owner(req);

	if (x->socket)
		socket_receive(x, bytes, is_last);
	else if (x->app->host->app.serve)
		blocking_receive(x, bytes, is_last);
	else
		event_push(x->app, x, HYTHE_EVENT_BODY, bytes, is_last, 0);
}

static void unsent_note(hythe_exchange *x, size_t unsent)
{
	bool is_owed;

	pthread_mutex_lock(&x->lock);
	x->unsent = unsent;
	is_owed = x->owes_writable && x->out.len + unsent < APP_WINDOW;
	if (is_owed)
		x->owes_writable = false;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	if (is_owed)
		event_push(x->app, x, HYTHE_EVENT_WRITABLE, SPAN(""), false, 0);
}

static void flow_writable(struct request *req)
{
	unsent_note(request_owner(req), request_unsent(req));
}

static void flow_gone(struct request *req, const struct error *why)
{
	hythe_exchange *x = request_owner(req);

	(void)why;
	if (!x->req)
		return;
	x->req = NULL;
	if (x->app->host->app.serve)
		blocking_gone(x);
	else
		event_push(x->app, x, HYTHE_EVENT_GONE, SPAN(""), false, 1006);
	exchange_over(x, true);
}

static const struct request_flow app_flow = { flow_receive, flow_writable, flow_gone };

static void app_handle(struct request *req)
{
	struct hythe_host *h = req->context;
	struct app_host *a = h->app_host;
	struct error err = { 0 };
	hythe_exchange *x;

	if (h->app.serve && req->upgrade.len) {
		error_set(&err, ERROR_UNIMPLEMENTED, "this application has no WebSockets");
		request_fail(req, &err);
		return;
	}
	if (!a->loop) /* written before any other thread can have an exchange to ask by */
		a->loop = loop_current();
	x = exchange_new(a, req);
	request_open(req, &app_flow, x);
	if (x->is_websocket)
		socket_new(x);
	if (h->app.serve)
		blocking_open(x);
	else
		event_push(a, x, HYTHE_EVENT_REQUEST, SPAN(""), x->length == 0, 0);
}

const struct route app_routes[] = {
	{ METHOD_GET | METHOD_HEAD | METHOD_POST | METHOD_PUT | METHOD_DELETE | METHOD_PATCH | METHOD_OPTIONS |
	      METHOD_OTHER,
	  "*", app_handle, &surface_plain, ROUTE_STREAM },
	{ 0 },
};

/* ---- from the user to the loop ---- */

struct order {
	int status, close_code;
	char *reason;
	struct header *headers;
	size_t count, want, messages;
	struct buffer out;
	bool is_accepted, is_ended, is_cut;
	char close_reason[APP_REASON_MOST + 1];
};

static void order_take(hythe_exchange *x, struct order *o, bool by_message)
{
	pthread_mutex_lock(&x->lock);
	*o = (struct order){ .status = x->status,
			     .close_code = x->close_code,
			     .reason = x->reason,
			     .headers = x->out_headers,
			     .count = x->out_count,
			     .want = x->want,
			     .messages = x->messages_wanted,
			     .out = x->out,
			     .is_accepted = x->is_accepted,
			     .is_ended = x->is_ended,
			     .is_cut = x->is_cut };
	if (x->close_code)
		memcpy(o->close_reason, x->close_reason, sizeof(o->close_reason));
	buffer_init(&x->out, x->out.limit);
	x->unsent += x->is_over ? 0 : o->out.len;
	x->status = 0;
	x->close_code = 0;
	x->reason = NULL;
	x->out_headers = NULL;
	x->want = x->messages_wanted = 0;
	if (by_message)
		x->is_posted = false; /* else one of another thread's may be under way yet */
	pthread_mutex_unlock(&x->lock);
}

static void order_head(hythe_exchange *x, const struct order *o)
{
	bool is_accept = o->is_accepted && x->socket;
	int status = o->status;

	/* A WebSocket is accepted by 200, and anything else refuses it. There is one head here: interim ones would not be it. */
	if (is_accept)
		status = 200;
	else if (status < 200 || (x->socket && status == 200))
		status = 500;
	request_head(x->req, status, span_of(o->reason), o->headers, o->count);
	if (x->req && is_accept)
		socket_opened(x);
}

static void order_do(hythe_exchange *x, struct order *o)
{
	if (o->status)
		order_head(x, o);
	if (x->req && o->out.len)
		request_write(x->req, buffer_span(&o->out));
	if (x->req && o->close_code)
		socket_close(x, o->close_code, span_of(o->close_reason));
	if (x->req && o->messages)
		socket_want(x, o->messages);
	if (x->req && o->want)
		request_want(x->req, o->want);
	if (x->req && (o->is_ended || o->is_cut))
		exchange_done(x, o->is_cut && !o->is_ended);
	else if (x->req)
		unsent_note(x, request_unsent(x->req));
}

static void order_run(struct loop_message *m)
{
	hythe_exchange *x = CONTAINER_OF(m, hythe_exchange, message);
	struct order o;

	order_take(x, &o, true);
	if (x->req)
		order_do(x, &o);
	free(o.reason);
	free(o.headers);
	buffer_done(&o.out);
	exchange_drop(x);
}

/* The same on the thread that drives; the caller is one of the holders. */
static void order_here(hythe_exchange *x)
{
	struct order o;

	if (!x->req)
		return;
	loop_now_update(x->app->loop);
	order_take(x, &o, false);
	order_do(x, &o);
	free(o.reason);
	free(o.headers);
	buffer_done(&o.out);
	loop_settle(x->app->loop);
	if (!x->req)
		return;
	pthread_mutex_lock(&x->lock);
	x->unsent = request_unsent(x->req);
	pthread_mutex_unlock(&x->lock);
}

void exchange_post(hythe_exchange *x)
{
	bool is_needed = !x->is_posted && !x->is_over;

	if (app_is_here(x->app)) {
		pthread_mutex_unlock(&x->lock);
		order_here(x);
		return;
	}
	if (is_needed) {
		x->is_posted = true;
		atomic_fetch_add(&x->holders, 1);
		x->message.run = order_run;
		loop_send(x->app->loop, &x->message);
	}
	pthread_mutex_unlock(&x->lock);
}

/* ---- the answer, both forms ---- */

/* One block: the array, and behind it the bytes. */
static struct header *headers_copy(const struct hythe_header *headers, size_t count)
{
	size_t size = (count + 1) * sizeof(struct header);
	struct header *copy;
	char *at;

	for (size_t i = 0; i < count; i++)
		size += headers[i].name.size + headers[i].value.size;
	copy = base_alloc(size);
	at = (char *)(copy + count + 1);
	for (size_t i = 0; i < count; i++) {
		struct hythe_bytes name = keep(&at, span_from(headers[i].name.data, headers[i].name.size));
		struct hythe_bytes value = keep(&at, span_from(headers[i].value.data, headers[i].value.size));

		copy[i] = (struct header){ span_from(name.data, name.size), span_from(value.data, value.size) };
	}
	return copy;
}

static int64_t told_length(const struct header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t length;

		if (span_equal_ignore_case(headers[i].name, SPAN("content-length")) &&
		    number_parse_int64(headers[i].value, &length) && length >= 0)
			return length;
	}
	return -1;
}

/* Locked. Takes the copy when there is no head yet. */
static bool head_set(hythe_exchange *x, int status, const char *reason, struct header *copy, size_t count)
{
	if (x->has_head)
		return false;
	x->has_head = true;
	x->status = status;
	x->reason = reason ? span_to_text(span_of(reason)) : NULL;
	x->out_headers = copy;
	x->out_count = count;
	x->left = told_length(copy, count);
	return true;
}

bool exchange_head(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers, size_t count)
{
	struct header *copy = headers_copy(headers, count);
	bool is_good;

	pthread_mutex_lock(&x->lock);
	is_good = head_set(x, status, reason, copy, count);
	pthread_mutex_unlock(&x->lock);
	if (!is_good)
		free(copy);
	return is_good;
}

void exchange_accept(hythe_exchange *x, const struct hythe_header *headers, size_t count)
{
	struct header *copy = headers_copy(headers, count);

	pthread_mutex_lock(&x->lock);
	if (!head_set(x, 101, NULL, copy, count)) {
		pthread_mutex_unlock(&x->lock);
		free(copy);
		return;
	}
	x->is_accepted = true; /* at once: an order that was posted before may be taken as soon as the lock is free */
	exchange_post(x);
}

void exchange_add(hythe_exchange *x, const void *bytes, size_t size)
{
	if (!x->has_head || x->is_accepted || x->is_over || x->is_ended)
		return;
	/* The bytes that complete the answer go with its end: one message, one wake-up. */
	if (x->left >= 0 && size >= (uint64_t)x->left) {
		size = (size_t)x->left;
		x->is_ended = true;
	}
	if (x->left >= 0)
		x->left -= (int64_t)size;
	buffer_append(&x->out, span_from(bytes, size));
}

enum { FIELDS_HERE = 64 };

void exchange_answer_here(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers,
			  size_t count, const void *bytes, size_t size)
{
	struct header few[FIELDS_HERE], *fields = count <= FIELDS_HERE ? few : base_calloc(count, sizeof(*fields));
	struct order o = { .status = status, .reason = (char *)(uintptr_t)reason, .headers = fields, .count = count };

	for (size_t i = 0; i < count; i++)
		fields[i] = (struct header){ span_from(headers[i].name.data, headers[i].name.size),
					     span_from(headers[i].value.data, headers[i].value.size) };
	x->has_head = x->is_ended = true;
	if (x->req) {
		loop_now_update(x->app->loop);
		order_head(x, &o);
		if (x->req && size)
			request_write(x->req, span_from(bytes, size));
		if (x->req)
			exchange_done(x, false);
		loop_settle(x->app->loop);
	}
	if (fields != few)
		free(fields);
}

/* ---- the question ---- */

#define ACCESSOR(name)                                                                                                 \
	struct hythe_bytes hythe_exchange_##name(const hythe_exchange *x)                                              \
	{                                                                                                              \
		return x->name;                                                                                        \
	}
ACCESSOR(method)
ACCESSOR(path)
ACCESSOR(query)
ACCESSOR(authority)
ACCESSOR(scheme)
ACCESSOR(version)
ACCESSOR(peer)
ACCESSOR(id)
#undef ACCESSOR

size_t hythe_exchange_headers(const hythe_exchange *x, const struct hythe_header **ret)
{
	*ret = x->headers;
	return x->header_count;
}

int64_t hythe_exchange_length(const hythe_exchange *x)
{
	return x->length;
}

int hythe_exchange_is_websocket(const hythe_exchange *x)
{
	return x->is_websocket;
}

/* ---- the application's life ---- */

struct app_host *app_new(struct hythe_host *h)
{
	struct app_host *a = base_calloc(1, sizeof(*a));

	a->host = h;
	a->last = &a->first;
	a->turn.run = blocking_turn;
	a->events_last = &a->events;
	a->events_fd = -1;
	if (!h->app.message_limit)
		h->app.message_limit = APP_MESSAGE_LIMIT;
	if (!h->app.serve && !h->is_driven) {
		a->events_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ASSERT(a->events_fd >= 0);
	}
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->filled, NULL);
	return a;
}

bool app_start(struct hythe_host *h, struct error *err)
{
	return !h->app.serve || blocking_start(h->app_host, err);
}

void app_stop(struct hythe_host *h)
{
	if (!h->app.serve)
		event_push(h->app_host, NULL, HYTHE_EVENT_STOP, SPAN(""), false, 0);
}

void app_join(struct hythe_host *h)
{
	blocking_join(h->app_host);
}

void app_free(struct app_host *a)
{
	if (!a)
		return;
	while (a->events) {
		struct event_node *n = a->events;

		a->events = n->next;
		free(n);
	}
	free(a->taken);
	while (a->all) {
		hythe_exchange *x = a->all;

		a->all = x->next;
		exchange_free(x);
	}
	if (a->events_fd >= 0)
		close(a->events_fd);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->filled);
	free(a->threads);
	free(a);
}
