/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops - what the one in front answers itself: that it lives, whether a worker is ready, and the metrics of all together.
 *
 * A worker's metrics are asked for beside its requests, and of those that do not answer in time are left out. Samples of
 * workers have the label worker="0" and so on; it is the place of the worker, which its successor has too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "workers/exposition.h"
#include "workers/workers_private.h"

enum { SCRAPE_MS = 2000 };
#define SCRAPE_MAX MIB(16)

/* ---- metrics ---- */

struct scrape {
	struct gathering *gathering;
	struct client_stream *stream;
	char place[12];
	struct buffer text;
	bool is_good; /* 200 */
	bool is_whole;
};

struct gathering {
	struct workers *workers;
	struct request *req; /* NULL once it is answered, or its client is gone */
	struct timer timer;
	bool is_openmetrics;
	size_t count, open;
	struct scrape scrapes[];
};

static void gathering_free(struct gathering *g)
{
	loop_timer_clear(g->workers->loop, &g->timer);
	for (size_t i = 0; i < g->count; i++)
		buffer_done(&g->scrapes[i].text);
	free(g);
}

static void gathering_answer(struct gathering *g)
{
	/* Of the channels to the workers, which are not connections of clients. */
	static const struct span inner[] = {
		SPAN_INIT("hythe_connections"),
		SPAN_INIT("hythe_connections_accepted"),
		SPAN_INIT("hythe_connections_accepted_total"),
		SPAN_INIT("hythe_received_bytes"),
		SPAN_INIT("hythe_received_bytes_total"),
		SPAN_INIT("hythe_sent_bytes"),
		SPAN_INIT("hythe_sent_bytes_total"),
		SPAN_INIT("hythe_build"),
		SPAN_INIT("hythe_build_info"),
	};
	struct request *req = TAKE(g->req);
	struct exposition all;
	struct buffer own;

	for (struct process *p = g->workers->processes; p; p = p->next)
		giver_count(p->giver);
	pool_show(g->workers);
	buffer_init(&own, SCRAPE_MAX);
	metrics_write(g->workers->config.metrics, &own, g->is_openmetrics);
	exposition_init(&all, g->is_openmetrics);
	exposition_add(&all, buffer_span(&own), (struct span){ 0 }, NULL, 0);
	for (size_t i = 0; i < g->count; i++) {
		const struct scrape *s = &g->scrapes[i];

		if (s->is_whole && s->is_good && !s->text.overflow)
			exposition_add(&all, buffer_span(&s->text), span_of(s->place), inner, ARRAY_LEN(inner));
	}
	exposition_write(&all, &req->out);
	exposition_done(&all);
	buffer_done(&own);
	request_send(req, 200,
		     g->is_openmetrics ? SPAN("application/openmetrics-text; version=1.0.0; charset=utf-8")
				       : SPAN("text/plain; version=0.0.4; charset=utf-8"));
}

static void scrape_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct scrape *scrape = client_stream_owner(s);

	(void)headers;
	(void)count;
	scrape->is_good = status == 200;
}

static void scrape_receive(struct client_stream *s, struct span bytes)
{
	struct scrape *scrape = client_stream_owner(s);

	buffer_append(&scrape->text, bytes);
	client_taken(s, bytes.len);
}

static void scrape_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct scrape *scrape = client_stream_owner(s);

	(void)trailers;
	(void)count;
	scrape->is_whole = true;
}

static void scrape_closed(struct client_stream *s, const struct error *why)
{
	struct scrape *scrape = client_stream_owner(s);
	struct gathering *g = scrape->gathering;

	(void)why;
	scrape->stream = NULL;
	if (--g->open > 0)
		return;
	if (g->req)
		gathering_answer(g);
	gathering_free(g);
}

static void scrapes_cut(struct gathering *g)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->scrapes[i].stream)
			client_reset(g->scrapes[i].stream);
}

static void scrapes_late(struct timer *t)
{
	scrapes_cut(CONTAINER_OF(t, struct gathering, timer));
}

static void gathering_gone(struct request *req, const struct error *why)
{
	struct gathering *g = request_owner(req);

	(void)why;
	g->req = NULL;
	scrapes_cut(g);
}

static void scrape_start(struct gathering *g, struct process *p)
{
	static const struct client_stream_ops ops = {
		.head = scrape_head,
		.receive = scrape_receive,
		.end = scrape_end,
		.closed = scrape_closed,
	};
	struct header accept = { SPAN("accept"),
				 g->is_openmetrics ? SPAN("application/openmetrics-text") : SPAN("text/plain") };
	struct client_head head = {
		.method = SPAN("GET"),
		.scheme = SPAN("http"),
		.authority = SPAN("localhost"),
		.path = SPAN("/metrics"),
		.headers = &accept,
		.header_count = 1,
	};
	struct scrape *s = &g->scrapes[g->count++];

	s->gathering = g;
	(void)snprintf(s->place, sizeof(s->place), "%u", p->index);
	buffer_init(&s->text, SCRAPE_MAX);
	g->open++;
	s->stream = client_open(p->client, &head, true, &ops, s);
}

/* Of two in one place, the one that stays. */
static bool speaks_for_place(const struct process *p)
{
	if (p->state != PROCESS_READY || !p->client)
		return false;
	for (const struct process *q = p->workers->processes; q; q = q->next)
		if (q != p && q->index == p->index && q->state == PROCESS_READY && q->client &&
		    q->ready_ns > p->ready_ns)
			return false;
	return true;
}

static void metrics(struct request *req)
{
	static const struct request_flow flow = { .gone = gathering_gone };
	struct workers *w = workers_of(req);
	struct span accept = request_header(req, SPAN("accept"));
	size_t most = workers_is_app(w) ? 0 : pool_ready_count(w); /* an application's /metrics is its own affair */
	struct gathering *g = base_calloc(1, sizeof(*g) + most * sizeof(g->scrapes[0]));

	g->workers = w;
	g->req = req;
	g->is_openmetrics = accept.len && memmem(accept.ptr, accept.len, "application/openmetrics-text", 28);
	for (struct process *p = w->processes; p; p = p->next)
		if (speaks_for_place(p) && g->count < most)
			scrape_start(g, p);
	if (g->count == 0) {
		gathering_answer(g);
		gathering_free(g);
		return;
	}
	request_open(req, &flow, g);
	loop_timer_set(w->loop, &g->timer, after_ms(w, SCRAPE_MS), scrapes_late);
}

/* ---- health ---- */

static void say(struct request *req, int status, struct span text, struct span type)
{
	buffer_append(&req->out, text);
	request_send(req, status, type);
}

static void pong(struct request *req)
{
	say(req, 200, SPAN("pong"), SPAN("text/html; charset=utf-8"));
}

static void alive(struct request *req)
{
	say(req, 200, SPAN("{\"status\":\"alive\"}"), SPAN("application/json"));
}

static void v2_live(struct request *req)
{
	say(req, 200, SPAN("{\"live\":true}"), SPAN("application/json"));
}

static void ready(struct request *req)
{
	if (pool_ready_count(workers_of(req)))
		say(req, 200, SPAN("{\"status\":\"ready\"}"), SPAN("application/json"));
	else
		say(req, 503, SPAN("{\"status\":\"not ready\"}"), SPAN("application/json"));
}

static void v2_ready(struct request *req)
{
	if (pool_ready_count(workers_of(req)))
		say(req, 200, SPAN("{\"ready\":true}"), SPAN("application/json"));
	else
		say(req, 503, SPAN("{\"ready\":false}"), SPAN("application/json"));
}

static const struct {
	struct span path;
	void (*answer)(struct request *req);
} rows[] = {
	{ SPAN_INIT("/metrics"), metrics },
	{ SPAN_INIT("/live"), alive },
	{ SPAN_INIT("/livez"), alive },
	{ SPAN_INIT("/healthz"), alive },
	{ SPAN_INIT("/ready"), ready },
	{ SPAN_INIT("/readyz"), ready },
	{ SPAN_INIT("/health/ping"), pong },
	{ SPAN_INIT("/v2/health/live"), v2_live },
	{ SPAN_INIT("/v2/health/ready"), v2_ready },
};

static bool is_named(const char *name, struct span path)
{
	return name && span_equal(path, span_of(name));
}

static bool is_path(const struct workers *w, struct span path)
{
	if (is_named(w->config.metrics_path, path) || is_named(w->config.ready_path, path))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(rows) && !workers_is_app(w); i++)
		if (span_equal(path, rows[i].path))
			return true;
	return false;
}

bool ops_is_asked(const struct workers *w, struct span first)
{
	struct span method = span_first(first, span_index(first, ' '));
	struct span target = span_skip(first, MIN(method.len + 1, first.len));

	if (!span_equal(method, SPAN("GET")) && !span_equal(method, SPAN("HEAD")))
		return false;
	target = span_first(target, span_index(target, ' '));
	return is_path(w, span_first(target, span_index(target, '?')));
}

static void path_add(struct span path, char *to, size_t size, size_t *len)
{
	if (path.len + 1 > size - *len)
		return; /* on a connection that the worker has it is an unknown one */
	memcpy(to + *len, path.ptr, path.len);
	*len += path.len;
	to[(*len)++] = 0;
}

size_t ops_paths(const struct workers *w, char *to, size_t size)
{
	size_t len = 0;

	if (w->config.metrics_path)
		path_add(span_of(w->config.metrics_path), to, size, &len);
	if (w->config.ready_path)
		path_add(span_of(w->config.ready_path), to, size, &len);
	for (size_t i = 0; i < ARRAY_LEN(rows) && !workers_is_app(w); i++)
		path_add(rows[i].path, to, size, &len);
	return len;
}

bool ops_answer(struct request *req)
{
	const struct workers_config *config = &workers_of(req)->config;

	if (!(req->method & (METHOD_GET | METHOD_HEAD)))
		return false;
	if (is_named(config->metrics_path, req->path)) {
		metrics(req);
		return true;
	}
	if (is_named(config->ready_path, req->path)) {
		ready(req);
		return true;
	}
	if (workers_is_app(workers_of(req)))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (span_equal(req->path, rows[i].path)) {
			rows[i].answer(req);
			return true;
		}
	}
	return false;
}
