/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/balance.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/random.h"
#include "gateway/proxy.h"
#include "gateway/upstream.h"
#include "metrics/metrics.h"

#define REST_FIRST_NS  (50 * NS_PER_MS) /* after a connection that failed; doubled each time */
#define REST_MOST_NS   NS_PER_S
#define SWEEP_LEAST_NS (50 * NS_PER_MS)
enum { TABLE_LEAST = 64, EJECTED_TIMES_MOST = 10, TRIES_A_SECOND = 10, TRIES_PART = 5, DRAWS_MOST = 3 };

static int64_t now_of(const struct balance *b)
{
	return loop_now(b->worker->loop);
}

static const struct gateway_limits *limits_of(const struct balance *b)
{
	return &b->worker->config->limits;
}

static void changed(struct balance *b)
{
	b->epoch++;
}

static char *text_put(char *to, struct span from, struct span *ret)
{
	if (from.len)
		memcpy(to, from.ptr, from.len);
	*ret = span_from(to, from.len);
	return to + from.len;
}

/* ---- endpoints ---- */

static void endpoint_unlink(struct endpoint *e)
{
	struct balance *b = e->balance;
	struct endpoint **at = &b->endpoints[e->hash & (b->endpoint_cap - 1)];

	while (*at && *at != e)
		at = &(*at)->next;
	if (!*at)
		return; /* another has its key by now */
	*at = e->next;
	b->endpoint_count--;
}

static void endpoint_free(struct endpoint *e)
{
	ASSERT(e->is_gone && e->holds == 0 && e->in_flight == 0 && !e->idle && !e->streams);
	endpoint_unlink(e);
	if (timer_is_set(&e->back))
		loop_timer_clear(e->balance->worker->loop, &e->back);
	if (e->use)
		use_pod_drop(e->backend->service_use, e->pod);
	backend_release(e->backend);
	free(e);
}

void endpoint_hold(struct endpoint *e)
{
	e->holds++;
}

void endpoint_drop(struct endpoint *e)
{
	ASSERT(e->holds > 0);
	if (--e->holds == 0 && e->is_gone)
		endpoint_free(e);
}

static void endpoints_grow(struct balance *b)
{
	size_t cap = b->endpoint_cap * 2;
	struct endpoint **to = base_calloc(cap, sizeof(*to));

	for (size_t i = 0; i < b->endpoint_cap; i++) {
		while (b->endpoints[i]) {
			struct endpoint *e = b->endpoints[i];

			b->endpoints[i] = e->next;
			e->next = to[e->hash & (cap - 1)];
			to[e->hash & (cap - 1)] = e;
		}
	}
	free(b->endpoints);
	b->endpoints = to;
	b->endpoint_cap = cap;
}

static bool is_drained(const struct balance *b, const struct sockaddr_storage *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)a;

	for (size_t i = 0; a->ss_family == AF_INET && i < b->drained_count; i++)
		if (b->drained[i].s_addr == in->sin_addr.s_addr)
			return true;
	return false;
}

static struct endpoint *endpoint_new(struct backend *backend, const struct plan_endpoint *plan, uint64_t hash)
{
	struct balance *b = backend->balance;
	struct endpoint *e = base_calloc(1, sizeof(*e) + plan->key.len + plan->sandbox.len + plan->pod.len + 1);
	char *text = (char *)(e + 1);

	text = text_put(text, plan->key, &e->key);
	text = text_put(text, plan->sandbox, &e->sandbox);
	(void)text_put(text, plan->pod, &e->pod);
	e->balance = b;
	e->backend = backend;
	backend_hold(backend);
	e->hash = hash;
	e->address = plan->address;
	e->made_ns = now_of(b);
	e->idle_ns = limits_of(b)->idle_ns;
	e->is_drained = is_drained(b, &e->address);
	if (e->pod.len)
		e->use = use_pod(backend->service_use, e->pod, b->worker->index);
	if (b->endpoint_count >= b->endpoint_cap)
		endpoints_grow(b);
	e->next = b->endpoints[hash & (b->endpoint_cap - 1)];
	b->endpoints[hash & (b->endpoint_cap - 1)] = e;
	b->endpoint_count++;
	return e;
}

/* No plan has it. What is under way goes on. */
static void endpoint_gone(struct endpoint *e)
{
	if (e->is_gone)
		return;
	e->is_gone = true;
	endpoint_hold(e);
	upstreams_close_idle(e);
	endpoint_drop(e);
}

/* The one of this plan: as it was, or anew where the address is another pod's now. */
static struct endpoint *endpoint_take_up(struct backend *backend, const struct plan_endpoint *plan)
{
	struct balance *b = backend->balance;
	uint64_t hash = span_hash(plan->key) ^ backend->hash;
	struct endpoint *e = b->endpoints[hash & (b->endpoint_cap - 1)];

	while (e && !(e->hash == hash && e->backend == backend && span_equal(e->key, plan->key)))
		e = e->next;
	if (e && !(span_equal(e->sandbox, plan->sandbox) && span_equal(e->pod, plan->pod))) {
		endpoint_unlink(e);
		endpoint_gone(e);
		e = NULL;
	}
	if (!e)
		e = endpoint_new(backend, plan, hash);
	e->is_gone = false;
	e->is_ready = plan->is_ready;
	e->is_serving = plan->is_serving;
	e->plan_number = backend->plan_number;
	return e;
}

/* ---- backends ---- */

static struct metric_series *series(struct backend *b, enum metric_id id, const char *reason)
{
	struct span labels[] = { b->name_space, b->service, span_of(reason) };

	return metrics_series(b->worker->config->metrics, id, labels, reason ? 3 : 2);
}

static void backend_count(struct backend *b)
{
	static const char *const reasons[USE_FAILURES] = { "refused", "broken", "late", "bad_answer" };

	b->service_use = use_service(b->worker->use, b->name_space, b->service);
	b->use = service_use_slot(b->service_use, b->worker->index);
	b->retries = series(b, METRIC_GATEWAY_RETRIES, NULL);
	b->ejections = series(b, METRIC_GATEWAY_EJECTIONS, NULL);
	b->in_flight_gauge = series(b, METRIC_GATEWAY_IN_FLIGHT, NULL);
	b->waiting_gauge = series(b, METRIC_GATEWAY_WAITING, NULL);
	for (size_t i = 0; i < USE_FAILURES; i++)
		b->failures[i] = series(b, METRIC_GATEWAY_FAILURES, reasons[i]);
}

static void backend_uncount(struct backend *b)
{
	struct metrics *m = b->worker->config->metrics;

	metrics_series_drop(m, b->retries);
	metrics_series_drop(m, b->ejections);
	metrics_series_drop(m, b->in_flight_gauge);
	metrics_series_drop(m, b->waiting_gauge);
	for (size_t i = 0; i < USE_FAILURES; i++)
		metrics_series_drop(m, b->failures[i]);
}

static struct backend *backend_find(const struct balance *b, struct span name, uint64_t hash)
{
	struct backend *at = b->backends[hash & (b->backend_cap - 1)];

	while (at && !(at->hash == hash && span_equal(at->name, name)))
		at = at->next;
	return at;
}

static void backends_grow(struct balance *b)
{
	size_t cap = b->backend_cap * 2;
	struct backend **to = base_calloc(cap, sizeof(*to));

	for (size_t i = 0; i < b->backend_cap; i++) {
		while (b->backends[i]) {
			struct backend *at = b->backends[i];

			b->backends[i] = at->next;
			at->next = to[at->hash & (cap - 1)];
			to[at->hash & (cap - 1)] = at;
		}
	}
	free(b->backends);
	b->backends = to;
	b->backend_cap = cap;
}

static struct backend *backend_new(struct balance *balance, const struct plan_backend *plan, uint64_t hash)
{
	struct backend *b = base_calloc(1, sizeof(*b) + plan->name.len + plan->name_space.len + plan->service.len + 1);
	char *text = (char *)(b + 1);

	text = text_put(text, plan->name, &b->name);
	text = text_put(text, plan->name_space, &b->name_space);
	(void)text_put(text, plan->service, &b->service);
	b->balance = balance;
	b->worker = balance->worker;
	b->hash = hash;
	backend_count(b);
	if (balance->backend_count >= balance->backend_cap)
		backends_grow(balance);
	b->next = balance->backends[hash & (balance->backend_cap - 1)];
	balance->backends[hash & (balance->backend_cap - 1)] = b;
	balance->backend_count++;
	return b;
}

static void backend_free(struct backend *b)
{
	struct balance *balance = b->balance;
	struct backend **at = &balance->backends[b->hash & (balance->backend_cap - 1)];

	ASSERT(!b->plan && b->holds == 0 && !b->waiting && !timer_is_set(&b->waiting_timer));
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	balance->backend_count--;
	if (b->is_due) {
		for (at = &balance->due; *at != b;)
			at = &(*at)->due;
		*at = b->due;
	}
	backend_uncount(b);
	free(b->endpoints);
	free(b->choices);
	free(b);
}

void backend_hold(struct backend *b)
{
	b->holds++;
}

void backend_release(struct backend *b)
{
	ASSERT(b->holds > 0);
	if (--b->holds == 0 && !b->plan)
		backend_free(b);
}

struct backend *balance_backend(struct balance *b, const struct plan_backend *plan)
{
	struct backend *found = backend_find(b, plan->name, span_hash(plan->name));

	return found && found->plan ? found : NULL;
}

/* ---- plans ---- */

static void backend_take_up(struct balance *balance, const struct plan_backend *plan, uint64_t number)
{
	uint64_t hash = span_hash(plan->name);
	struct backend *b = backend_find(balance, plan->name, hash);
	struct endpoint **before;
	size_t before_count;

	if (!b)
		b = backend_new(balance, plan, hash);
	before = b->endpoints;
	before_count = b->endpoint_count;
	b->plan = plan;
	b->plan_number = number;
	b->endpoints = base_calloc(plan->endpoint_count + 1, sizeof(struct endpoint *));
	b->endpoint_count = plan->endpoint_count;
	for (size_t i = 0; i < before_count; i++)
		endpoint_hold(before[i]);
	for (size_t i = 0; i < plan->endpoint_count; i++)
		b->endpoints[i] = endpoint_take_up(b, &plan->endpoints[i]);
	for (size_t i = 0; i < before_count; i++) {
		if (before[i]->plan_number != number)
			endpoint_gone(before[i]);
		endpoint_drop(before[i]);
	}
	free(before);
	b->choices_epoch = UINT64_MAX;
	if (b->waiting)
		backend_wake(b);
}

static void backend_gone(struct backend *b)
{
	struct error err = { 0 };

	backend_hold(b);
	for (size_t i = 0; i < b->endpoint_count; i++)
		endpoint_gone(b->endpoints[i]);
	b->endpoint_count = b->choice_count = 0;
	b->plan = NULL;
	error_set(&err, ERROR_UNAVAILABLE, "service " SPAN_FMT "/" SPAN_FMT " is gone", SPAN_ARG(b->name_space),
		  SPAN_ARG(b->service));
	proxies_fail(b, &err);
	backend_release(b);
}

void balance_take_up(struct balance *b)
{
	const struct plan *plan = b->worker->plan;

	changed(b);
	for (size_t i = 0; i < plan->backend_count; i++)
		backend_take_up(b, plan->backends[i], plan->number);
	for (size_t i = 0; i < b->backend_cap; i++) {
		for (struct backend *at = b->backends[i], *next; at; at = next) {
			next = at->next;
			if (at->plan && at->plan_number != plan->number)
				backend_gone(at);
		}
	}
}

/* ---- who may be chosen ---- */

static bool may_be_chosen(const struct endpoint *e)
{
	return !e->is_drained && !e->is_ejected && !e->is_resting;
}

static void choices_make(struct backend *b)
{
	size_t count = 0;

	b->choices = base_realloc(b->choices, (b->endpoint_count + 1) * sizeof(struct endpoint *));
	for (size_t i = 0; i < b->endpoint_count; i++)
		if (b->endpoints[i]->is_ready && may_be_chosen(b->endpoints[i]))
			b->choices[count++] = b->endpoints[i];
	for (size_t i = 0; count == 0 && i < b->endpoint_count; i++)
		if (b->endpoints[i]->is_serving && may_be_chosen(b->endpoints[i]))
			b->choices[count++] = b->endpoints[i];
	b->choice_count = count;
	b->choices_epoch = b->balance->epoch;
}

/* One that has refused a connection is asked for one at a time, until it takes one. What is under way there by others may last for days. */
static bool has_room(const struct endpoint *e)
{
	return !(e->refusals && e->dials) &&
	       e->in_flight - e->tunnels < e->balance->worker->config->limits.endpoint_most;
}

/* A new one is passed over, the less often the older it is. */
static bool is_passed_over(const struct endpoint *e)
{
	int64_t whole = e->balance->worker->config->limits.slow_start_ns, age;

	if (LIKELY(whole <= 0))
		return false;
	age = now_of(e->balance) - e->made_ns;
	return UNLIKELY(age < whole) && random_unit() * (double)whole > (double)age;
}

static struct endpoint *draw(const struct backend *b)
{
	struct endpoint *e = b->choices[random_fast() % b->choice_count];

	for (int i = 0; UNLIKELY(is_passed_over(e)) && i < DRAWS_MOST; i++)
		e = b->choices[random_fast() % b->choice_count];
	return e;
}

static struct endpoint *choose_any(const struct backend *b, const struct endpoint *not_this)
{
	size_t first = random_fast() % b->choice_count;

	for (size_t i = 0; i < b->choice_count; i++) {
		struct endpoint *e = b->choices[(first + i) % b->choice_count];

		if (e != not_this && has_room(e))
			return e;
	}
	return NULL;
}

static struct endpoint *choose_of_two(const struct backend *b, const struct endpoint *not_this)
{
	struct endpoint *one = draw(b), *other = draw(b);

	if (b->choice_count == 2 && one == other && !is_passed_over(b->choices[one == b->choices[0]]))
		other = b->choices[one == b->choices[0]];
	if (one == not_this || !has_room(one))
		one = other;
	if (other == not_this || !has_room(other))
		other = one;
	if (one == not_this || !has_room(one))
		return choose_any(b, not_this);
	return other->in_flight < one->in_flight ? other : one;
}

/* The same client has the same one as long as that is there, on all workers ("A Name-Based Mapping Scheme for Rendezvous",
 * Thaler and Ravishankar 1998). */
static struct endpoint *choose_by_client(const struct backend *b, const struct endpoint *not_this, struct span client)
{
	uint64_t seed = span_hash(client), best = 0;
	struct endpoint *chosen = NULL;

	for (size_t i = 0; i < b->choice_count; i++) {
		struct endpoint *e = b->choices[i];
		uint64_t mixed = (e->hash ^ seed) * UINT64_C(0x9e3779b97f4a7c15);

		mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
		mixed ^= mixed >> 32;
		if (e != not_this && has_room(e) && (!chosen || mixed > best)) {
			chosen = e;
			best = mixed;
		}
	}
	return chosen;
}

bool backend_has_ready(struct backend *b)
{
	if (b->choices_epoch != b->balance->epoch)
		choices_make(b);
	return b->choice_count > 0;
}

struct endpoint *backend_choose(struct backend *b, const struct endpoint *not_this, struct span client)
{
	struct endpoint *e = NULL;

	if (UNLIKELY(b->choices_epoch != b->balance->epoch))
		choices_make(b);
	if (UNLIKELY(b->choice_count == 0))
		return NULL;
	if (UNLIKELY(b->plan->affinity_ns > 0 && client.len))
		e = choose_by_client(b, not_this, client);
	else if (b->choice_count > 1)
		e = choose_of_two(b, not_this);
	if (!e && has_room(b->choices[0]))
		e = b->choices[0]; /* the only one, though it was tried before */
	if (!e && not_this)
		e = choose_any(b, NULL);
	if (!e)
		return NULL;
	e->in_flight++;
	endpoint_hold(e);
	return e;
}

/* ---- how they fare ---- */

static void back(struct timer *t)
{
	struct endpoint *e = CONTAINER_OF(t, struct endpoint, back);

	if (e->is_ejected)
		e->made_ns = now_of(e->balance); /* its share grows again */
	e->is_ejected = e->is_resting = false;
	e->failures = 0;
	changed(e->balance);
	backend_wake(e->backend);
}

static void refused(struct endpoint *e)
{
	struct balance *b = e->balance;

	e->refusals++;
	if (e->is_ejected)
		return;
	e->is_resting = true;
	changed(b);
	loop_timer_set(b->worker->loop, &e->back,
		       now_of(b) + MIN(REST_FIRST_NS << MIN(e->refusals - 1, 10U), REST_MOST_NS), back);
}

static void eject(struct endpoint *e)
{
	struct balance *b = e->balance;
	struct backend *backend = e->backend;
	int64_t first = limits_of(b)->ejected_ns;
	size_t ejected = 1;

	for (size_t i = 0; i < backend->endpoint_count; i++)
		ejected += backend->endpoints[i]->is_ejected;
	if (e->is_gone || e->is_ejected || ejected * 100 > backend->endpoint_count * limits_of(b)->ejected_most_percent)
		return;
	e->is_ejected = true;
	e->is_resting = false;
	changed(b);
	metric_add(backend->ejections, 1);
	loop_timer_set(b->worker->loop, &e->back,
		       now_of(b) + MIN(first << MIN(e->ejections, 10U), first * EJECTED_TIMES_MOST), back);
	e->ejections++;
	upstreams_close_idle(e);
}

void endpoint_dials(struct endpoint *e)
{
	e->dials++;
}

void endpoint_dials_no_more(struct endpoint *e)
{
	ASSERT(e->dials > 0);
	e->dials--;
	if (UNLIKELY(e->refusals))
		backend_wake(e->backend);
}

void endpoint_connected(struct endpoint *e)
{
	if (LIKELY(e->refusals == 0))
		return;
	e->refusals = 0;
	backend_wake(e->backend);
}

static void note(struct endpoint *e, enum endpoint_fate fate)
{
	switch (fate) {
	case FATE_GOOD:
		e->failures = 0;
		if (UNLIKELY(e->ejections) && now_of(e->balance) - e->made_ns > limits_of(e->balance)->ejected_ns)
			e->ejections = 0;
		break;
	case FATE_NONE:
		break;
	case FATE_REFUSED:
		refused(e);
		break;
	case FATE_FAILED:
		if (++e->failures >= limits_of(e->balance)->failures_to_eject)
			eject(e);
		break;
	}
}

/* A balance by itself, as in its own tests, has nobody to tell. */
static void drained_tell(struct endpoint *e)
{
	if (UNLIKELY(e->is_drained) && e->balance->worker->gateway)
		gateway_worker_drained(e->balance->worker);
}

void endpoint_end(struct endpoint *e, enum endpoint_fate fate)
{
	struct backend *b = e->backend;

	ASSERT(e->in_flight > e->tunnels);
	e->in_flight--;
	note(e, fate);
	if (UNLIKELY(b->waiting != NULL))
		backend_wake(b);
	drained_tell(e);
	endpoint_drop(e);
}

void endpoint_tunnel(struct endpoint *e)
{
	e->tunnels++;
	if (UNLIKELY(e->backend->waiting != NULL))
		backend_wake(e->backend);
	drained_tell(e);
}

void endpoint_tunnel_end(struct endpoint *e)
{
	ASSERT(e->tunnels > 0);
	e->tunnels--;
}

/* ---- for relays ---- */

struct endpoint *balance_choose(struct gateway_worker *w, const struct plan_backend *plan,
				const struct sockaddr_storage *client)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)client;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)client;
	struct span who = { 0 };
	struct backend *b = backend_find(w->balance, plan->name, span_hash(plan->name));
	struct endpoint *e;

	if (!b || !b->plan)
		return NULL;
	if (client && client->ss_family == AF_INET)
		who = span_from(&in->sin_addr, sizeof(in->sin_addr));
	else if (client && client->ss_family == AF_INET6)
		who = span_from(&in6->sin6_addr, sizeof(in6->sin6_addr));
	e = backend_choose(b, NULL, who);
	if (!e && service_use_wanted(b->service_use, now_of(w->balance)))
		gateway_tell_wanted(w->gateway, b->service_use);
	return e;
}

/* ---- the budget of tries ---- */

static size_t second_now(struct backend *b)
{
	int64_t second = now_of(b->balance) / NS_PER_S, passed = second - b->budget_second;

	if (UNLIKELY(passed > 0)) {
		for (int64_t i = 1; i <= MIN(passed, (int64_t)ARRAY_LEN(b->asked)); i++) {
			b->asked[(size_t)(b->budget_second + i) % ARRAY_LEN(b->asked)] = 0;
			b->tried[(size_t)(b->budget_second + i) % ARRAY_LEN(b->tried)] = 0;
		}
		b->budget_second = second;
	}
	return (size_t)second % ARRAY_LEN(b->asked);
}

void backend_asked(struct backend *b)
{
	b->asked[second_now(b)]++;
}

bool backend_may_try(struct backend *b)
{
	size_t at = second_now(b);
	uint64_t asked = 0, tried = 0;

	for (size_t i = 0; i < ARRAY_LEN(b->asked); i++) {
		asked += b->asked[i];
		tried += b->tried[i];
	}
	if (b->tried[at] >= TRIES_A_SECOND && tried >= asked / TRIES_PART)
		return false;
	b->tried[at]++;
	return true;
}

/* ---- those who wait ---- */

static void settle(struct loop_task *t)
{
	struct balance *b = CONTAINER_OF(t, struct balance, settle);

	while (b->due) {
		struct backend *backend = b->due;

		b->due = backend->due;
		backend->is_due = false;
		proxies_settle(backend);
	}
}

void backend_wake(struct backend *b)
{
	if (!b->waiting || b->is_due)
		return;
	b->is_due = true;
	b->due = b->balance->due;
	b->balance->due = b;
	loop_defer(b->worker->loop, &b->balance->settle);
}

/* ---- drains ---- */

static void drained_set(struct balance *b, struct in_addr pod, bool is_drained)
{
	for (size_t i = 0; i < b->endpoint_cap; i++) {
		for (struct endpoint *e = b->endpoints[i], *next; e; e = next) {
			next = e->next;
			if (!endpoint_has_address(e, pod))
				continue;
			e->is_drained = is_drained;
			if (is_drained)
				upstreams_close_idle(e);
			else
				backend_wake(e->backend);
		}
	}
	changed(b);
}

size_t balance_in_flight(const struct balance *b, struct in_addr pod)
{
	size_t count = 0;

	for (size_t i = 0; i < b->endpoint_cap; i++)
		for (const struct endpoint *e = b->endpoints[i]; e; e = e->next)
			if (endpoint_has_address(e, pod))
				count += e->in_flight - e->tunnels;
	return count;
}

size_t balance_drain(struct balance *b, struct in_addr pod)
{
	b->drained = base_realloc(b->drained, (b->drained_count + 1) * sizeof(*b->drained));
	b->drained[b->drained_count++] = pod;
	drained_set(b, pod, true);
	return balance_in_flight(b, pod);
}

void balance_drained_forget(struct balance *b, struct in_addr pod)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->drained_count; i++)
		if (b->drained[i].s_addr != pod.s_addr)
			b->drained[kept++] = b->drained[i];
	b->drained_count = kept;
	drained_set(b, pod, false);
}

/* ---- life ---- */

static void sweep(struct timer *t)
{
	struct balance *b = CONTAINER_OF(t, struct balance, sweep);
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < b->endpoint_cap; i++) {
		for (struct endpoint *e = b->endpoints[i], *following; e; e = following) {
			following = e->next;
			next = MIN(next, upstreams_sweep(e, now_of(b)));
		}
	}
	if (next != INT64_MAX)
		loop_timer_set(b->worker->loop, t, MAX(next, now_of(b) + SWEEP_LEAST_NS), sweep);
}

void balance_sweep_by(struct balance *b, int64_t at_ns)
{
	if (!timer_is_set(&b->sweep) || b->sweep.at_ns > at_ns)
		loop_timer_set(b->worker->loop, &b->sweep, MAX(at_ns, now_of(b) + SWEEP_LEAST_NS), sweep);
}

struct balance *balance_new(struct gateway_worker *w)
{
	struct balance *b = base_calloc(1, sizeof(*b));

	b->worker = w;
	b->endpoint_cap = b->backend_cap = TABLE_LEAST;
	b->endpoints = base_calloc(b->endpoint_cap, sizeof(*b->endpoints));
	b->backends = base_calloc(b->backend_cap, sizeof(*b->backends));
	b->settle.run = settle;
	return b;
}

void balance_stop(struct balance *b)
{
	for (size_t i = 0; i < b->endpoint_cap; i++) {
		for (struct endpoint *e = b->endpoints[i], *next; e; e = next) {
			next = e->next;
			upstreams_close_idle(e);
		}
	}
}

void balance_free(struct balance *b)
{
	if (!b)
		return;
	balance_stop(b);
	for (size_t i = 0; i < b->backend_cap; i++)
		while (b->backends[i]) {
			ASSERT(b->backends[i]->plan); /* else it was freed, if nobody holds it */
			backend_gone(b->backends[i]);
		}
	ASSERT(b->backend_count == 0 && b->endpoint_count == 0);
	if (timer_is_set(&b->sweep))
		loop_timer_clear(b->worker->loop, &b->sweep);
	loop_undefer(b->worker->loop, &b->settle);
	free(b->endpoints);
	free(b->backends);
	free(b->drained);
	free(b);
}
