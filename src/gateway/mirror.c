/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror - copies of requests, asked of another backend, whose answers nobody reads.
 *
 * The copy never holds the request up: what its endpoint does not take in time is dropped.
 */
#include <stdlib.h>

#include "gateway/head.h"
#include "gateway/proxy.h"

enum { MIRRORS_MOST = 1024 }; /* under way, of a worker */
#define UNSENT_MOST MIB(1)    /* of a body */

struct mirrors {
	struct gateway_worker *worker;
	struct mirror *working;
	size_t count;
	struct head head; /* scratch */
};

struct mirror {
	struct mirrors *all;
	struct mirror *next, *previous;
	struct endpoint *endpoint;
	struct upstream *upstream;
	struct client_stream *stream;
	struct ask ask;
	struct timer late;
	struct client_head head; /* and its fields: in `text` */
	struct header *fields;
	struct buffer text;
	struct buffer body; /* until there is a stream */
	bool is_last;
	bool is_fed; /* the request writes to it still */
};

static void mirror_free(struct mirror *m)
{
	struct mirrors *all = m->all;

	*(m->previous ? &m->previous->next : &all->working) = m->next;
	if (m->next)
		m->next->previous = m->previous;
	all->count--;
	if (timer_is_set(&m->late))
		loop_timer_clear(all->worker->loop, &m->late);
	buffer_done(&m->text);
	buffer_done(&m->body);
	free(m->fields);
	free(m);
}

/* Over for its endpoint; who feeds it still has the pointer. */
static void mirror_over(struct mirror *m, enum endpoint_fate fate)
{
	endpoint_end(TAKE(m->endpoint), fate);
	if (!m->is_fed)
		mirror_free(m);
}

static void mirror_cut(struct mirror *m)
{
	if (m->stream) {
		client_reset(m->stream);
	} else if (m->endpoint) {
		upstream_ask_cancel(&m->ask);
		mirror_over(m, FATE_NONE);
	}
}

static void late(struct timer *t)
{
	mirror_cut(CONTAINER_OF(t, struct mirror, late));
}

/* ---- the answer, which is dropped ---- */

static void on_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	(void)s, (void)status, (void)headers, (void)count;
}

static void on_receive(struct client_stream *s, struct span bytes)
{
	client_taken(s, bytes.len);
}

static void on_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	(void)s, (void)trailers, (void)count;
}

static void on_closed(struct client_stream *s, const struct error *why)
{
	struct mirror *m = client_stream_owner(s);
	struct upstream *u = TAKE(m->upstream);

	m->stream = NULL;
	upstream_over(u);
	mirror_over(m, why ? FATE_NONE : FATE_GOOD);
}

static const struct client_stream_ops ops = {
	.head = on_head, .receive = on_receive, .end = on_end, .closed = on_closed
};

/* ---- the question ---- */

static void stream_open(struct mirror *m, struct upstream *u)
{
	bool has_body = m->body.len > 0 || !m->is_last;

	m->upstream = u;
	m->stream = client_open(upstream_client(u), &m->head, !has_body, &ops, m);
	if (m->body.len)
		client_write(m->stream, buffer_span(&m->body));
	if (has_body && m->is_last)
		client_end(m->stream);
	buffer_done(&m->body);
}

static void asked(struct ask *a, struct upstream *u, const struct error *err)
{
	struct mirror *m = CONTAINER_OF(a, struct mirror, ask);

	(void)err;
	if (u)
		stream_open(m, u);
	else
		mirror_over(m, FATE_REFUSED);
}

static struct span copied(struct buffer *text, struct span s)
{
	size_t at = text->len;

	buffer_append(text, s);
	return span_from(text->ptr + at, s.len);
}

/* The head's spans are the request's, which may be over before there is a connection. */
static void head_keep(struct mirror *m, const struct client_head *h)
{
	size_t bytes = h->method.len + h->scheme.len + h->authority.len + h->path.len;

	for (size_t i = 0; i < h->header_count; i++)
		bytes += h->headers[i].name.len + h->headers[i].value.len;
	buffer_init(&m->text, bytes + 1);
	(void)buffer_reserve(&m->text, bytes + 1); /* so that it stays where it is */
	m->fields = base_calloc(h->header_count + 1, sizeof(*m->fields));
	for (size_t i = 0; i < h->header_count; i++)
		m->fields[i] =
		    (struct header){ copied(&m->text, h->headers[i].name), copied(&m->text, h->headers[i].value) };
	m->head = (struct client_head){
		.method = copied(&m->text, h->method),
		.scheme = copied(&m->text, h->scheme),
		.authority = copied(&m->text, h->authority),
		.path = copied(&m->text, h->path),
		.headers = m->fields,
		.header_count = h->header_count,
	};
}

struct mirror *mirror_begin(struct mirrors *all, struct request *req, const struct arrival *a,
			    const struct plan_mirror *plan, bool has_body)
{
	struct loop *loop = all->worker->loop;
	struct backend *b = balance_backend(all->worker->balance, plan->backend);
	bool is_http2 = plan->backend->speech == SPEECH_HTTP2 || req->is_grpc;
	struct head_from from = {
		.req = req,
		.filters = { &a->route->filters, &plan->filters },
		.prefix = a->prefix,
		.is_http2 = is_http2,
		.now_ns = loop_now(loop),
	};
	struct endpoint *e;
	struct error ignored = { 0 };
	struct upstream *u;
	struct mirror *m;

	if (!b || all->count >= MIRRORS_MOST || !head_make(&all->head, &from, &ignored))
		return NULL;
	e = backend_choose(b, NULL, (struct span){ 0 });
	if (!e)
		return NULL;
	m = base_calloc(1, sizeof(*m));
	m->all = all;
	m->endpoint = e;
	m->is_fed = true;
	m->is_last = !has_body;
	m->ask.done = asked;
	m->next = all->working;
	if (m->next)
		m->next->previous = m;
	all->working = m;
	all->count++;
	buffer_init(&m->body, UNSENT_MOST);
	head_keep(m, &all->head.head);
	loop_timer_set(loop, &m->late, from.now_ns + all->worker->config->limits.stall_ns, late);
	u = upstream_take(e, is_http2);
	if (u)
		stream_open(m, u);
	else
		upstream_ask(e, is_http2, &m->ask);
	return m;
}

void mirror_write(struct mirror *m, struct span bytes)
{
	if (m->stream && client_unsent(m->stream) + bytes.len <= UNSENT_MOST) {
		client_write(m->stream, bytes);
	} else if (m->stream || m->body.len + bytes.len > UNSENT_MOST) {
		mirror_cut(m);
	} else if (m->endpoint) {
		buffer_append(&m->body, bytes);
	}
}

void mirror_end(struct mirror *m, bool is_cut)
{
	bool had_all = m->is_last;

	m->is_fed = false;
	m->is_last = true;
	if (!m->endpoint)
		mirror_free(m);
	else if (is_cut)
		mirror_cut(m);
	else if (m->stream && !had_all)
		client_end(m->stream);
}

/* ---- all of them ---- */

struct mirrors *mirrors_new(struct gateway_worker *w)
{
	struct mirrors *m = base_calloc(1, sizeof(*m));

	m->worker = w;
	return m;
}

void mirrors_free(struct mirrors *all)
{
	if (!all)
		return;
	while (all->working) {
		struct mirror *m = all->working;

		ASSERT(!m->is_fed && m->endpoint);
		if (m->stream)
			upstream_cut(m->upstream);
		else
			mirror_cut(m);
	}
	free(all);
}
