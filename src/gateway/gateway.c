/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/random.h"
#include "gateway/head.h"
#include "gateway/native.h"
#include "gateway/proxy.h"
#include "metrics/metrics.h"

enum { SERIES_LEAST = 64 };

/* A plan, as long as this worker or one of its requests goes by it: counted here, so that workers do not write to what all read. */
struct plan_use {
	struct plan *plan;
	size_t users;
};

/* What is counted of one route and service. */
struct route_series {
	struct route_series *next; /* of those with the same hash */
	uint64_t hash;
	struct use_series series;
};

struct drain;

struct drain_part {
	struct loop_message message;
	struct drain *drain;
	struct worker_side *side;
	struct drain_part *next; /* of those the worker waits for */
};

struct drain {
	struct gateway *gateway;
	struct drain *next;
	struct in_addr pod;
	int64_t until_ns;
	void (*done)(void *context);
	void *context;
	struct loop_message message; /* to config.loop */
	struct timer timer;
	bool has_timer, is_told;
	unsigned left; /* workers that still have requests of it */
	struct drain_part parts[];
};

struct worker_side {
	struct gateway_worker worker;
	bool is_started;
	struct loop_message news; /* a plan, or the end */
	bool is_sent;             /* locked: the message is under way */
	bool has_plan;            /* locked */
	struct plan *next_plan;   /* locked; with a reference */
	bool stops;               /* locked */
	struct drain_part *drains;
	struct loop_task drain_check;
	struct route_series **series;
	size_t series_count, series_cap;
	uint64_t turn; /* spread() */
};

struct gateway {
	struct gateway_config config;
	struct server *server;
	struct use *use;
	struct entries *entries;
	struct worker_side *sides;
	unsigned worker_count;
	/* What other threads than the workers' touch: the plan for those that start, the messages' flags, drains, those who are told. */
	pthread_mutex_t lock;
	pthread_cond_t taken_up; /* a worker has its first plan */
	struct plan *plan;
	bool is_stopped;
	struct drain *drains;
	void (*wanted)(void *context, struct span name_space, struct span service);
	void *wanted_context;
	struct loop_message wanted_message;
	bool wanted_is_sent;
	struct service_use **wanted_list;
	size_t wanted_count;
};

/* The worker of this thread: requests do not name theirs. */
static _Thread_local struct worker_side *here;

/* To config.loop, as long as it listens. */
static bool tell_home(struct gateway *g, struct loop_message *m)
{
	if (!g->is_stopped)
		loop_send(g->config.loop, m);
	return !g->is_stopped;
}

/* ---- plans ---- */

static void plan_use_drop(struct plan_use *u)
{
	if (!u || --u->users > 0)
		return;
	plan_unref(u->plan);
	free(u);
}

/* Takes the reference. */
static void take_up(struct worker_side *side, struct plan *plan)
{
	struct gateway_worker *w = &side->worker;
	struct plan_use *before = w->plan_use, *now = base_calloc(1, sizeof(*now));

	now->plan = plan;
	now->users = 1;
	w->plan_use = now;
	w->plan = plan;
	balance_take_up(w->balance);
	entries_take_up(w->gateway->entries, w);
	plan_use_drop(before);
	if (before)
		return;
	pthread_mutex_lock(&w->gateway->lock);
	side->has_plan = true;
	pthread_cond_broadcast(&w->gateway->taken_up);
	pthread_mutex_unlock(&w->gateway->lock);
}

static void stop(struct worker_side *side)
{
	struct gateway_worker *w = &side->worker;

	if (w->is_stopping)
		return;
	w->is_stopping = true;
	entries_close(w->gateway->entries, w);
	relays_end_with_endpoints(w->relays, NULL);
	balance_stop(w->balance);
}

static void news_come(struct loop_message *m)
{
	struct worker_side *side = CONTAINER_OF(m, struct worker_side, news);
	struct gateway *g = side->worker.gateway;
	struct plan *plan;
	bool stops;

	pthread_mutex_lock(&g->lock);
	plan = TAKE(side->next_plan);
	stops = side->stops;
	side->is_sent = false;
	pthread_mutex_unlock(&g->lock);
	if (plan && !side->worker.is_stopping)
		take_up(side, plan);
	else
		plan_unref(plan);
	if (stops)
		stop(side);
}

/* Locked. */
static void news_send(struct worker_side *side)
{
	if (side->is_sent || !side->is_started)
		return;
	side->is_sent = true;
	loop_send(side->worker.loop, &side->news);
}

void gateway_publish(struct gateway *g, struct plan *p)
{
	entries_publish(g->entries, p);
	pthread_mutex_lock(&g->lock);
	plan_ref(p);
	plan_unref(g->plan);
	g->plan = p;
	for (unsigned i = 0; i < g->worker_count && !g->is_stopped; i++) {
		plan_ref(p);
		plan_unref(g->sides[i].next_plan);
		g->sides[i].next_plan = p;
		news_send(&g->sides[i]);
	}
	pthread_mutex_unlock(&g->lock);
}

/* ---- arrivals ---- */

static void arrival_end(struct request_end *end)
{
	struct arrival *a = CONTAINER_OF(end, struct arrival, end);

	if (a->native) {
		struct request *req = a->req;
		int code = request_status(req);

		use_slot_end(a->backend->use, req->is_grpc ? code == 13 || code == 14 : code >= 500,
			     loop_now(a->worker->loop));
		use_series_count(a->worker->config->metrics, gateway_series(a), a->backend->name_space,
				 a->backend->service, a->route ? a->route->name : SPAN(""), req->is_grpc ? 200 : code,
				 loop_now(a->worker->loop) - req->received_ns);
	}
	if (a->backend)
		backend_release(a->backend);
	plan_use_drop(a->use);
}

/*
 * Where in the weights a request falls: multiples of the golden ratio, which fill a span more evenly than chance, whatever part of them one
 * route takes (Weyl 1916; Knuth, The Art of Computer Programming 3, 6.4). After n requests the error of a share is of the order of 1/n, not of its root.
 */
static uint64_t spread(struct gateway_worker *w)
{
	struct worker_side *side = CONTAINER_OF(w, struct worker_side, worker);

	side->turn += UINT64_C(0x9e3779b97f4a7c15);
	return side->turn;
}

/* Entry → backend, or table → route → target → backend. */
static const struct plan_backend *find(struct arrival *a, struct request *req)
{
	if (a->entry->backend)
		return a->entry->backend;
	if (!a->entry->table)
		return NULL;
	a->route = plan_find(a->entry->table, req, &a->prefix);
	if (!a->route)
		return NULL;
	a->target = plan_choose(a->route, spread(a->worker));
	return a->target ? a->target->backend : NULL;
}

static bool redirects(const struct arrival *a)
{
	return a->route && (a->route->filters.redirect.status || (a->target && a->target->filters.redirect.status));
}

static bool has_headers(const struct plan_filters *f)
{
	const struct plan_headers *both[] = { &f->request, &f->answer };

	for (size_t i = 0; i < ARRAY_LEN(both); i++)
		if (both[i]->set_count || both[i]->add_count || both[i]->remove_count)
			return true;
	return false;
}

static bool changes(const struct arrival *a)
{
	return (a->route && (a->route->mirror_count || has_headers(&a->route->filters))) ||
	       (a->target && has_headers(&a->target->filters));
}

/* The model is here: its routes find the path by themselves. */
static bool native_arrive(struct request *req, struct arrival *a, const struct plan_backend *plan)
{
	const struct plan_rewrite *rewrites[] = { a->target ? &a->target->filters.rewrite : NULL,
						  a->route ? &a->route->filters.rewrite : NULL };

	struct span path = req->path;

	/* What is changed or copied on the way to an endpoint asks for one. */
	if (req->upgrade.len || !backend_has_ready(a->backend) || changes(a))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rewrites); i++) {
		if (rewrites[i] && rewrites[i]->has_path) {
			path = head_path(&req->arena, req->path, rewrites[i], a->prefix);
			break;
		}
	}
	if (!native_takes(plan->native, req, path))
		return false;
	req->path = path;
	native_begin(plan->native, req);
	if (a->route && a->route->timeout_ns > 0)
		req->deadline_ns = MIN(req->deadline_ns, req->received_ns + a->route->timeout_ns);
	a->native = plan;
	use_slot_begin(a->backend->use);
	req->context = plan->native;
	return true;
}

bool gateway_arrive(struct request *req)
{
	struct worker_side *side = here;
	struct error ignored = { 0 };
	struct arrival *a = ARENA_NEW(&req->arena, struct arrival, &ignored);
	const struct plan_backend *plan;

	if (!a || !side || !side->worker.plan)
		return false;
	a->req = req;
	a->worker = &side->worker;
	a->use = side->worker.plan_use;
	a->use->users++;
	request_at_end(req, &a->end, arrival_end);
	req->state = a;
	a->entry = entry_of(&side->worker, req);
	plan = a->entry ? find(a, req) : NULL;
	if (!plan)
		return false;
	a->backend = balance_backend(side->worker.balance, plan);
	if (!a->backend)
		return false;
	backend_hold(a->backend);
	if (UNLIKELY(plan->native != NULL) && !redirects(a) && native_arrive(req, a, plan)) {
		req->state = NULL;
		return true;
	}
	return false;
}

static const struct surface surface_gateway = { "gateway", fail_as_json_error };

const struct route gateway_routes[] = {
	{ METHOD_GET | METHOD_HEAD | METHOD_POST | METHOD_PUT | METHOD_DELETE | METHOD_PATCH | METHOD_OPTIONS |
	      METHOD_OTHER,
	  "*", proxy_request, &surface_gateway, ROUTE_STREAM },
	{ 0 },
};

/* ---- what is counted ---- */

static void series_grow(struct worker_side *side)
{
	size_t cap = side->series_cap ? side->series_cap * 2 : SERIES_LEAST;
	struct route_series **to = base_calloc(cap, sizeof(*to));

	for (size_t i = 0; i < side->series_cap; i++) {
		while (side->series[i]) {
			struct route_series *s = side->series[i];

			side->series[i] = s->next;
			s->next = to[s->hash & (cap - 1)];
			to[s->hash & (cap - 1)] = s;
		}
	}
	free(side->series);
	side->series = to;
	side->series_cap = cap;
}

struct use_series *gateway_series(const struct arrival *a)
{
	struct worker_side *side = CONTAINER_OF(a->worker, struct worker_side, worker);
	/* 64 bits tell them apart as well as the names would. */
	uint64_t hash = a->backend->hash ^ (a->route ? span_hash(a->route->name) * 3 : 0);
	struct route_series *s = side->series_cap ? side->series[hash & (side->series_cap - 1)] : NULL;

	while (s && s->hash != hash)
		s = s->next;
	if (LIKELY(s != NULL))
		return &s->series;
	if (side->series_count >= side->series_cap)
		series_grow(side);
	s = base_calloc(1, sizeof(*s));
	s->hash = hash;
	s->next = side->series[hash & (side->series_cap - 1)];
	side->series[hash & (side->series_cap - 1)] = s;
	side->series_count++;
	return &s->series;
}

bool gateway_use_of(struct gateway *g, struct span name_space, struct span service, struct span pod,
		    struct gateway_use *ret)
{
	return g->use && use_of(g->use, name_space, service, pod, clock_monotonic_ns(), ret);
}

/* ---- who is wanted ---- */

static void wanted_come(struct loop_message *m)
{
	struct gateway *g = CONTAINER_OF(m, struct gateway, wanted_message);
	struct service_use **list;
	size_t count;
	void (*wanted)(void *context, struct span name_space, struct span service);
	void *context;

	pthread_mutex_lock(&g->lock);
	list = TAKE(g->wanted_list);
	count = g->wanted_count;
	g->wanted_count = 0;
	g->wanted_is_sent = false;
	wanted = g->is_stopped ? NULL : g->wanted;
	context = g->wanted_context;
	pthread_mutex_unlock(&g->lock);
	for (size_t i = 0; wanted && i < count; i++)
		wanted(context, service_use_namespace(list[i]), service_use_name(list[i]));
	free(list);
}

void gateway_tell_wanted(struct gateway *g, struct service_use *s)
{
	pthread_mutex_lock(&g->lock);
	if (g->wanted && !g->is_stopped) {
		g->wanted_list = base_realloc(g->wanted_list, (g->wanted_count + 1) * sizeof(struct service_use *));
		g->wanted_list[g->wanted_count++] = s;
		if (!g->wanted_is_sent)
			g->wanted_is_sent = tell_home(g, &g->wanted_message);
	}
	pthread_mutex_unlock(&g->lock);
}

void gateway_on_wanted(struct gateway *g, void (*wanted)(void *context, struct span name_space, struct span service),
		       void *context)
{
	pthread_mutex_lock(&g->lock);
	g->wanted = wanted;
	g->wanted_context = context;
	pthread_mutex_unlock(&g->lock);
}

/* ---- drains ---- */

/* On config.loop: nobody needs it any more. */
static void drain_free(struct drain *d)
{
	struct gateway *g = d->gateway;
	struct drain **at;

	pthread_mutex_lock(&g->lock);
	for (at = &g->drains; *at != d;)
		at = &(*at)->next;
	*at = d->next;
	pthread_mutex_unlock(&g->lock);
	free(d);
}

static void drain_tell(struct drain *d)
{
	if (timer_is_set(&d->timer))
		loop_timer_clear(d->gateway->config.loop, &d->timer);
	if (d->is_told)
		return;
	d->is_told = true;
	d->done(d->context);
}

static void drain_late(struct timer *t)
{
	drain_tell(CONTAINER_OF(t, struct drain, timer));
}

static void drain_begun(struct loop_message *m)
{
	struct drain *d = CONTAINER_OF(m, struct drain, message);

	if (d->left > 0) {
		loop_timer_set(d->gateway->config.loop, &d->timer, d->until_ns, drain_late);
		return;
	}
	drain_tell(d);
	drain_free(d);
}

static void drain_part_over(struct loop_message *m)
{
	struct drain *d = CONTAINER_OF(m, struct drain_part, message)->drain;

	if (--d->left > 0)
		return;
	drain_tell(d);
	drain_free(d);
}

static void drain_part_tell(struct drain_part *p)
{
	struct gateway *g = p->drain->gateway;

	p->message.run = drain_part_over;
	pthread_mutex_lock(&g->lock);
	(void)tell_home(g, &p->message);
	pthread_mutex_unlock(&g->lock);
}

static void drain_part_begin(struct loop_message *m)
{
	struct drain_part *p = CONTAINER_OF(m, struct drain_part, message);

	if (balance_drain(p->side->worker.balance, p->drain->pod) == 0) {
		drain_part_tell(p);
		return;
	}
	p->next = p->side->drains;
	p->side->drains = p;
}

static void drains_check(struct loop_task *t)
{
	struct worker_side *side = CONTAINER_OF(t, struct worker_side, drain_check);
	struct drain_part **at = &side->drains;

	while (*at) {
		struct drain_part *p = *at;

		if (balance_in_flight(side->worker.balance, p->drain->pod) > 0) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		drain_part_tell(p);
	}
}

void gateway_worker_drained(struct gateway_worker *w)
{
	struct worker_side *side = CONTAINER_OF(w, struct worker_side, worker);

	if (side->drains)
		loop_defer(w->loop, &side->drain_check);
}

void gateway_drain(struct gateway *g, struct in_addr pod, int64_t most_ns, void (*done)(void *context), void *context)
{
	struct drain *d = base_calloc(1, sizeof(*d) + g->worker_count * sizeof(struct drain_part));

	d->gateway = g;
	d->pod = pod;
	d->until_ns = clock_monotonic_ns() + most_ns;
	d->done = done;
	d->context = context;
	d->message.run = drain_begun;
	pthread_mutex_lock(&g->lock);
	d->next = g->drains;
	g->drains = d;
	for (unsigned i = 0; i < g->worker_count; i++)
		d->left += g->sides[i].is_started;
	(void)tell_home(g, &d->message); /* before the workers' */
	for (unsigned i = 0; i < g->worker_count && !g->is_stopped; i++) {
		struct drain_part *p = &d->parts[i];

		*p = (struct drain_part){ .message.run = drain_part_begin, .drain = d, .side = &g->sides[i] };
		if (g->sides[i].is_started)
			loop_send(g->sides[i].worker.loop, &p->message);
	}
	pthread_mutex_unlock(&g->lock);
}

struct forgetting {
	struct loop_message message;
	struct worker_side *side;
	struct in_addr pod;
};

static void forget(struct loop_message *m)
{
	struct forgetting *f = CONTAINER_OF(m, struct forgetting, message);

	relays_end_with_endpoints(f->side->worker.relays, &f->pod);
	balance_drained_forget(f->side->worker.balance, f->pod);
	free(f);
}

void gateway_drained_forget(struct gateway *g, struct in_addr pod)
{
	pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; i < g->worker_count && !g->is_stopped; i++) {
		struct forgetting *f;

		if (!g->sides[i].is_started)
			continue;
		f = base_calloc(1, sizeof(*f));
		*f = (struct forgetting){ .message.run = forget, .side = &g->sides[i], .pod = pod };
		loop_send(g->sides[i].worker.loop, &f->message);
	}
	pthread_mutex_unlock(&g->lock);
}

/* ---- life ---- */

struct gateway *gateway_new(const struct gateway_config *config, struct error *err)
{
	struct gateway *g = base_calloc(1, sizeof(*g));

	(void)err;
	g->config = *config;
	g->wanted_message.run = wanted_come;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->taken_up, NULL);
	return g;
}

void gateway_server_set(struct gateway *g, struct server *s)
{
	ASSERT(!g->server);
	g->server = s;
	g->worker_count = server_worker_count(s);
	g->use = use_new(g->config.metrics, g->worker_count);
	g->entries = entries_new(&g->config, g->worker_count);
	g->sides = base_calloc(g->worker_count, sizeof(*g->sides));
	for (unsigned i = 0; i < g->worker_count; i++)
		g->sides[i].worker = (struct gateway_worker){
			.gateway = g, .config = &g->config, .net = server_worker(s, i), .index = i, .use = g->use
		};
}

void gateway_worker_started(void *gateway, unsigned index, struct loop *loop)
{
	struct gateway *g = gateway;
	struct worker_side *side = &g->sides[index];
	struct plan *plan;

	side->worker.loop = loop;
	side->turn = random_fast(); /* workers begin at places of their own */
	side->news.run = news_come;
	side->drain_check.run = drains_check;
	side->worker.balance = balance_new(&side->worker);
	side->worker.proxies = proxies_new(&side->worker);
	side->worker.relays = relays_new(&side->worker);
	here = side;
	pthread_mutex_lock(&g->lock);
	side->is_started = true;
	plan = side->next_plan ? TAKE(side->next_plan) : NULL;
	pthread_mutex_unlock(&g->lock);
	if (plan)
		take_up(side, plan);
}

void gateway_stop(struct gateway *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	g->is_stopped = true;
	for (unsigned i = 0; i < g->worker_count; i++) {
		g->sides[i].stops = true;
		news_send(&g->sides[i]);
	}
	for (struct drain *d = g->drains; d; d = d->next) {
		if (timer_is_set(&d->timer))
			loop_timer_clear(g->config.loop, &d->timer);
		d->is_told = true;
	}
	pthread_mutex_unlock(&g->lock);
}

static void side_free(struct worker_side *side)
{
	struct gateway_worker *w = &side->worker;

	if (side->is_started) {
		proxies_free(w->proxies);
		entries_worker_free(w->gateway->entries, w);
		loop_undefer(w->loop, &side->drain_check);
		balance_free(w->balance);
	}
	plan_use_drop(w->plan_use);
	plan_unref(side->next_plan);
	for (size_t i = 0; i < side->series_cap; i++) {
		while (side->series[i]) {
			struct route_series *s = side->series[i];

			side->series[i] = s->next;
			free(s);
		}
	}
	free(side->series);
}

void gateway_free(struct gateway *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < g->worker_count; i++)
		side_free(&g->sides[i]);
	free(g->sides);
	entries_free(g->entries);
	plan_unref(g->plan);
	while (g->drains) {
		struct drain *d = g->drains;

		g->drains = d->next;
		free(d);
	}
	free(g->wanted_list);
	use_free(g->use);
	pthread_cond_destroy(&g->taken_up);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

struct gateway_inherited *gateway_sockets(struct gateway *g, size_t *ret_count)
{
	return entries_sockets(g->entries, ret_count);
}

void gateway_leave_sockets(struct gateway *g)
{
	entries_leave_sockets(g->entries);
}

static bool all_have_plan(const struct gateway *g)
{
	for (unsigned i = 0; i < g->worker_count; i++)
		if (!g->sides[i].has_plan)
			return false;
	return true;
}

bool gateway_wait_plan(struct gateway *g, int64_t most_ns)
{
	int64_t at = clock_wall_ns() + most_ns;
	struct timespec until = { at / NS_PER_S, at % NS_PER_S };
	bool has_plan;

	pthread_mutex_lock(&g->lock);
	while (!(has_plan = all_have_plan(g)))
		if (pthread_cond_timedwait(&g->taken_up, &g->lock, &until) != 0)
			break;
	pthread_mutex_unlock(&g->lock);
	return has_plan;
}
