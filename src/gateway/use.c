/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/use.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

enum { RATE_SECONDS = 30, BUCKETS = 1024 };

struct pod_use {
	struct pod_use *next;
	char *name;
	size_t holds;
	struct use_slot slots[]; /* of the workers */
};

struct service_use {
	struct service_use *next;
	struct use *use;
	struct span name_space, service; /* behind the slots */
	struct pod_use *pods;
	_Atomic int64_t wanted_ns; /* when it was last said; relaxed: of two at once one too many does no harm */
	struct use_slot slots[];
};

struct use {
	struct metrics *metrics;
	unsigned workers;
	pthread_mutex_t lock; /* the lists; what slots count is atomic */
	struct service_use *services[BUCKETS];
};

struct use *use_new(struct metrics *metrics, unsigned workers)
{
	struct use *u = base_calloc(1, sizeof(*u));

	u->metrics = metrics;
	u->workers = workers;
	pthread_mutex_init(&u->lock, NULL);
	return u;
}

void use_free(struct use *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (u->services[i]) {
			struct service_use *s = u->services[i];

			u->services[i] = s->next;
			while (s->pods) {
				struct pod_use *p = s->pods;

				s->pods = p->next;
				free(p->name);
				free(p);
			}
			free(s);
		}
	}
	pthread_mutex_destroy(&u->lock);
	free(u);
}

/* ---- who is counted ---- */

static struct service_use **bucket(struct use *u, struct span name_space, struct span service)
{
	return &u->services[(span_hash(name_space) * 31 + span_hash(service)) % BUCKETS];
}

static struct service_use *find(struct use *u, struct span name_space, struct span service)
{
	struct service_use *s = *bucket(u, name_space, service);

	while (s && !(span_equal(s->name_space, name_space) && span_equal(s->service, service)))
		s = s->next;
	return s;
}

static struct service_use *make(struct use *u, struct span name_space, struct span service)
{
	size_t slots = u->workers * sizeof(struct use_slot);
	struct service_use *s = base_calloc(1, sizeof(*s) + slots + name_space.len + service.len + 1);
	struct service_use **at = bucket(u, name_space, service);
	char *text = (char *)s + sizeof(*s) + slots;

	s->use = u;
	if (name_space.len)
		memcpy(text, name_space.ptr, name_space.len);
	s->name_space = span_from(text, name_space.len);
	text += name_space.len;
	if (service.len)
		memcpy(text, service.ptr, service.len);
	s->service = span_from(text, service.len);
	s->next = *at;
	*at = s;
	return s;
}

struct service_use *use_service(struct use *u, struct span name_space, struct span service)
{
	struct service_use *s;

	pthread_mutex_lock(&u->lock);
	s = find(u, name_space, service);
	if (!s)
		s = make(u, name_space, service);
	pthread_mutex_unlock(&u->lock);
	return s;
}

struct use_slot *service_use_slot(struct service_use *s, unsigned worker)
{
	return &s->slots[worker];
}

struct span service_use_namespace(const struct service_use *s)
{
	return s->name_space;
}

struct span service_use_name(const struct service_use *s)
{
	return s->service;
}

bool service_use_wanted(struct service_use *s, int64_t now_ns)
{
	int64_t last = atomic_load_explicit(&s->wanted_ns, memory_order_relaxed);

	if (last && now_ns - last < NS_PER_S)
		return false;
	return atomic_compare_exchange_strong_explicit(&s->wanted_ns, &last, now_ns, memory_order_relaxed,
						       memory_order_relaxed);
}

static struct pod_use **pod_find(struct service_use *s, struct span pod)
{
	struct pod_use **at = &s->pods;

	while (*at && !span_equal(span_of((*at)->name), pod))
		at = &(*at)->next;
	return at;
}

struct use_slot *use_pod(struct service_use *s, struct span pod, unsigned worker)
{
	struct pod_use **at, *p;

	pthread_mutex_lock(&s->use->lock);
	at = pod_find(s, pod);
	p = *at;
	if (!p) {
		p = base_calloc(1, sizeof(*p) + s->use->workers * sizeof(struct use_slot));
		p->name = span_to_text(pod);
		*at = p;
	}
	p->holds++;
	pthread_mutex_unlock(&s->use->lock);
	return &p->slots[worker];
}

void use_pod_drop(struct service_use *s, struct span pod)
{
	struct pod_use **at, *p;

	pthread_mutex_lock(&s->use->lock);
	at = pod_find(s, pod);
	p = *at;
	ASSERT(p);
	if (--p->holds == 0) {
		*at = p->next;
		free(p->name);
		free(p);
	}
	pthread_mutex_unlock(&s->use->lock);
}

/* ---- counting ---- */

void use_slot_begin(struct use_slot *s)
{
	use_move(&s->in_flight, 1);
}

static void add(_Atomic uint64_t *to, uint64_t by)
{
	atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + by, memory_order_relaxed);
}

void use_slot_end(struct use_slot *s, bool is_failure, int64_t now_ns)
{
	uint64_t second = (uint64_t)(now_ns / NS_PER_S) & UINT32_MAX;
	_Atomic uint64_t *at = &s->seconds[second % USE_SECONDS];
	uint64_t counted = atomic_load_explicit(at, memory_order_relaxed);

	use_move(&s->in_flight, -1);
	add(&s->requests, 1);
	if (is_failure)
		add(&s->failures, 1);
	counted = counted >> 32 == second ? counted + 1 : second << 32 | 1;
	atomic_store_explicit(at, counted, memory_order_relaxed);
}

static void slot_sum(const struct use_slot *s, int64_t now_ns, struct gateway_use *to)
{
	uint64_t now = (uint64_t)(now_ns / NS_PER_S) & UINT32_MAX, count = 0;

	to->requests += atomic_load_explicit(&s->requests, memory_order_relaxed);
	to->failures += atomic_load_explicit(&s->failures, memory_order_relaxed);
	to->in_flight += atomic_load_explicit(&s->in_flight, memory_order_relaxed);
	to->waiting += atomic_load_explicit(&s->waiting, memory_order_relaxed);
	for (size_t i = 0; i < USE_SECONDS; i++) {
		uint64_t counted = atomic_load_explicit(&s->seconds[i], memory_order_relaxed);
		uint32_t age = (uint32_t)now - (uint32_t)(counted >> 32);

		if (age >= 1 && age <= RATE_SECONDS) /* the second that is not over would make it too low */
			count += counted & UINT32_MAX;
	}
	to->rate += (double)count / RATE_SECONDS;
}

bool use_of(struct use *u, struct span name_space, struct span service, struct span pod, int64_t now_ns,
	    struct gateway_use *ret)
{
	struct gateway_use sum = { 0 };
	struct service_use *s;
	const struct use_slot *slots;

	pthread_mutex_lock(&u->lock);
	s = find(u, name_space, service);
	slots = s ? s->slots : NULL;
	if (s && pod.len) {
		struct pod_use *p = *pod_find(s, pod);

		slots = p ? p->slots : NULL;
	}
	for (unsigned i = 0; slots && i < u->workers; i++)
		slot_sum(&slots[i], now_ns, &sum);
	pthread_mutex_unlock(&u->lock);
	if (!slots)
		return false;
	*ret = sum;
	return true;
}

/* ---- series ---- */

void use_series_count(struct metrics *m, struct use_series *s, struct span name_space, struct span service,
		      struct span route, int code, int64_t ns)
{
	static const struct span classes[] = { SPAN_INIT("cancelled"), SPAN_INIT("1xx"), SPAN_INIT("2xx"),
					       SPAN_INIT("3xx"),       SPAN_INIT("4xx"), SPAN_INIT("5xx") };
	size_t class = code >= 100 && code < 600 ? (size_t)code / 100 : code ? 5 : 0;
	struct span labels[] = { name_space, service, route, classes[class] };

	if (UNLIKELY(!s->codes[class]))
		s->codes[class] = metrics_series(m, METRIC_GATEWAY_REQUESTS, labels, 4);
	if (UNLIKELY(!s->seconds))
		s->seconds = metrics_series(m, METRIC_GATEWAY_SECONDS, labels, 3);
	metric_add(s->codes[class], 1);
	metric_observe(s->seconds, ns);
}
