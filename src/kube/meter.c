/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter - what is counted of the API server, under the names that dashboards for Kubernetes know: requests by verb, resource and code,
 * how long they take, open watches, stored objects. GET /metrics tells them, with all else that the process counts.
 */
#include "kube/kube_private.h"

#include "base/clock.h"
#include "metrics/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum { SERIES_MOST = 1024, LABELS = 4, LABEL_BYTES = 64 };

/* A series that was found once. */
struct known {
	uint64_t hash; /* 0: free */
	struct metric_series *series;
};

struct meter {
	struct metrics *metrics;
	struct known counters[SERIES_MOST], durations[SERIES_MOST];
};

struct meter *meter_new(struct metrics *metrics)
{
	struct meter *m = metrics ? base_calloc(1, sizeof(*m)) : NULL;

	if (m)
		m->metrics = metrics;
	return m;
}

void meter_free(struct meter *m)
{
	free(m); /* the registry owns the series */
}

/* Two label sets with one hash of 64 bits would count as one: that does not happen. NULL: the table is full. */
static struct metric_series *series_find(struct meter *m, struct known *table, enum metric_id id,
					 const struct span *labels, size_t count)
{
	uint64_t hash = 1469598103934665603u;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ span_hash(labels[i])) * 1099511628211u + i;
	hash |= 1;
	for (size_t i = 0; i < SERIES_MOST; i++) {
		struct known *k = &table[(hash + i) % SERIES_MOST];

		if (k->hash == hash)
			return k->series;
		if (k->hash)
			continue;
		k->hash = hash;
		k->series = metrics_series(m->metrics, id, labels, count);
		return k->series;
	}
	return NULL;
}

/* One request, until it ends: the call may end before. */
struct metered {
	struct request_end end;
	struct meter *meter;
	struct request *req;
	struct span verb, group, resource;
	int64_t begun_ns;
	bool is_watch;
};

static void metered_end(struct request_end *end)
{
	struct metered *e = CONTAINER_OF(end, struct metered, end);
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", request_status(e->req));
	const struct span labels[LABELS] = { e->verb, e->group, e->resource, span_from(text, (size_t)len) };
	struct metric_series *s =
	    series_find(e->meter, e->meter->counters, METRIC_APISERVER_REQUESTS, labels, ARRAY_LEN(labels));

	if (s)
		metric_add(s, 1);
	if (e->is_watch) /* lasts as long as its client wants */
		return;
	s = series_find(e->meter, e->meter->durations, METRIC_APISERVER_SECONDS, labels, 3);
	if (s)
		metric_observe(s, clock_monotonic_ns() - e->begun_ns);
}

static struct span label_copy(struct request *req, struct span s)
{
	struct error ignored = { 0 };

	return s.len ? arena_copy(&req->arena, span_first(s, LABEL_BYTES), &ignored) : SPAN("");
}

void meter_begin(struct call *call)
{
	static const struct {
		const char *verb, *shown;
	} shown[] = { { "get", "GET" },        { "list", "LIST" },
		      { "watch", "WATCH" },    { "create", "POST" },
		      { "update", "PUT" },     { "patch", "PATCH" },
		      { "delete", "DELETE" },  { "deletecollection", "DELETECOLLECTION" },
		      { "connect", "CONNECT" } };
	struct request *req = call->base.req;
	struct error ignored = { 0 };
	struct metered *e;

	if (!call->base.kube->meter || !(e = ARENA_NEW(&req->arena, struct metered, &ignored)))
		return;
	e->meter = call->base.kube->meter;
	e->req = req;
	e->begun_ns = clock_monotonic_ns();
	e->is_watch = call->base.verb == KUBE_WATCH;
	e->verb = SPAN("other");
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (strcmp(call->verb_text, shown[i].verb) == 0)
			e->verb = span_of(shown[i].shown);
	e->verb = call->is_apply ? SPAN("APPLY") : e->verb;
	e->group = label_copy(req, call->group);
	e->resource = label_copy(req, call->plural);
	request_at_end(req, &e->end, metered_end);
}

/* ---- telling ---- */

static void objects_write(struct kube *k, struct buffer *out)
{
	buffer_append(out, SPAN("# HELP apiserver_storage_objects Stored objects, by resource.\n"
				"# TYPE apiserver_storage_objects gauge\n"));
	for (const struct kind *const *kind = kube_kinds(k); *kind; kind++) {
		struct span key;
		struct arena arena;
		struct error err = { 0 };

		if (!((*kind)->verbs & KUBE_LIST) || (*kind)->stored_as)
			continue;
		arena_init(&arena, KIB(64));
		key =
		    arena_print(&arena, &err, "/%s/%s/", (*kind)->group[0] ? (*kind)->group : "core", (*kind)->plural);
		if (key.ptr)
			buffer_print(out, "apiserver_storage_objects{resource=\"%s%s%s\"} %zu\n", (*kind)->plural,
				     (*kind)->group[0] ? "." : "", (*kind)->group, store_count(k->config.store, key));
		arena_done(&arena);
	}
}

void meter_serve(struct call *call)
{
	struct kube *k = call->base.kube;
	struct buffer *out = &call->base.req->out;

	if (!k->config.metrics) {
		answer_plain(call, 404, SPAN("404 page not found\n"));
		return;
	}
	metrics_write(k->config.metrics, out, false);
	objects_write(k, out);
	buffer_append(out, SPAN("# HELP apiserver_longrunning_requests Open watches.\n"
				"# TYPE apiserver_longrunning_requests gauge\n"));
	buffer_print(out, "apiserver_longrunning_requests{verb=\"WATCH\"} %zu\n", watch_set_count(k->watches));
	request_set_header(call->base.req, SPAN("cache-control"), SPAN("no-cache, private"));
	call->is_answered = true;
	request_send(call->base.req, 200, SPAN("text/plain; version=0.0.4; charset=utf-8"));
	call_free(call);
}
