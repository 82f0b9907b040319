/* SPDX-License-Identifier: Apache-2.0 */
/* plan - what it costs the gateway to find a request's route, by how many routes there are: of many hosts, paths of one, headers of one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gateway/plan.h"
#include "net/request.h"

enum { ASKED = 2000000, TEXT_MOST = 64 };

enum shape { BY_HOST, BY_PATH, BY_HEADER, SHAPES };

struct routes {
	struct plan *plan;
	struct plan_table *table;
	double made_us;
};

static struct span text(struct arena *arena, const char *format, int i)
{
	char line[TEXT_MOST];
	struct error err = { 0 };

	(void)snprintf(line, sizeof(line), format, i);
	return arena_copy(arena, span_of(line), &err);
}

static struct routes routes_make(enum shape shape, int count)
{
	struct plan_builder *b = plan_begin();
	struct arena *arena = plan_builder_arena(b);
	struct routes r = { .table = plan_table_add(b) };
	struct error err = { 0 };
	int64_t began = clock_monotonic_ns();

	for (int i = 0; i < count; i++) {
		struct plan_route *route = ARENA_NEW(arena, struct plan_route, &err);
		struct plan_match m = { .path = SPAN("/v1") };
		struct span host = shape == BY_HOST ? text(arena, "app-%d.example.com", i) : (struct span){ 0 };

		route->name = text(arena, "httproute/default/r%d/0", i);
		if (shape == BY_PATH)
			m.path = text(arena, "/seldon/default/model-%d", i);
		if (shape == BY_HEADER) {
			m.headers = ARENA_NEW(arena, struct plan_text_match, &err);
			m.headers->name = SPAN("seldon");
			m.headers->value = text(arena, "model-%d", i);
			m.header_count = 1;
		}
		if (!plan_route_add(b, r.table, host, &m, route, &err))
			abort();
	}
	r.plan = plan_finish(b, 1, &err);
	r.made_us = (double)(clock_monotonic_ns() - began) / 1e3;
	return r;
}

static double routes_ask(const struct routes *r, enum shape shape, int count)
{
	char host[TEXT_MOST] = "app.example.com", path[TEXT_MOST] = "/v1/predict", model[TEXT_MOST] = "-";
	struct header headers[] = { { SPAN("user-agent"), SPAN("bench") }, { SPAN("seldon"), { 0 } } };
	struct request *req = base_calloc(1, sizeof(*req));
	size_t prefix, found = 0;
	int64_t began;
	double ns;

	req->method_text = SPAN("POST");
	req->headers = headers;
	req->header_count = 2;
	began = clock_monotonic_ns();
	for (int i = 0; i < ASKED; i++) {
		if (i % 16 == 0) { /* one in sixteen is another one; the same work for all counts */
			int one = (int)(((int64_t)i * 7919) % count);

			(void)snprintf(host, sizeof(host), "app-%d.example.com", one);
			(void)snprintf(
			    path, sizeof(path),
			    shape == BY_PATH ? "/seldon/default/model-%d/api/v1.0/predictions" : "/v1/predict", one);
			(void)snprintf(model, sizeof(model), "model-%d", one);
			req->authority = span_of(host);
			req->path = span_of(path);
			headers[1].value = span_of(model);
		}
		found += plan_find(r->table, req, &prefix) != NULL;
	}
	ns = (double)(clock_monotonic_ns() - began) / ASKED;
	if (found != ASKED)
		abort();
	free(req);
	return ns;
}

int main(void)
{
	static const char *const names[SHAPES] = { "by host", "by path", "by header" };

	printf("%-10s %8s %14s %10s\n", "routes", "count", "ns a request", "made in us");
	for (int shape = 0; shape < SHAPES; shape++) {
		for (int count = 10; count <= 10000; count *= 10) {
			struct routes r = routes_make((enum shape)shape, count);

			printf("%-10s %8d %14.0f %10.0f\n", names[shape], count,
			       routes_ask(&r, (enum shape)shape, count), r.made_us);
			plan_unref(r.plan);
		}
	}
	return 0;
}
