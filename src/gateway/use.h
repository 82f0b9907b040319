/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * use - how much services and pods are asked: counted by each worker for itself, added up by who wants to know.
 *
 * Threads: a slot is written by its worker alone and read by any thread. Making and dropping slots, and reading them: any, under a lock.
 */
#include <stdatomic.h>

#include "gateway/gateway.h"

struct use;
struct service_use;

enum { USE_SECONDS = 32 };

/* Relaxed: counts, which publish nothing. */
struct use_slot {
	_Atomic uint64_t requests, failures;
	_Atomic int64_t in_flight, waiting;
	_Atomic uint64_t seconds[USE_SECONDS]; /* the second in the upper half, how many in the lower */
};

enum use_failure { USE_REFUSED, USE_BROKEN, USE_LATE, USE_BAD_ANSWER, USE_FAILURES };

struct use *use_new(struct metrics *metrics, unsigned workers);
void use_free(struct use *u); /* NULL is allowed */
bool use_of(struct use *u, struct span name_space, struct span service, struct span pod, int64_t now_ns,
	    struct gateway_use *ret);

/* A service's, kept until use_free(). */
struct service_use *use_service(struct use *u, struct span name_space, struct span service);
struct use_slot *service_use_slot(struct service_use *s, unsigned worker);
/* False: this was said within a second. */
bool service_use_wanted(struct service_use *s, int64_t now_ns);
struct span service_use_namespace(const struct service_use *s);
struct span service_use_name(const struct service_use *s);
/* A pod's of it; given back by use_pod_drop(). */
struct use_slot *use_pod(struct service_use *s, struct span pod, unsigned worker);
void use_pod_drop(struct service_use *s, struct span pod);

static inline void use_move(_Atomic int64_t *to, int64_t by)
{
	atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + by, memory_order_relaxed);
}
void use_slot_begin(struct use_slot *s);
void use_slot_end(struct use_slot *s, bool is_failure, int64_t now_ns);

/* What is counted of one route (or service) and its service, by class of status. */
struct use_series {
	struct metric_series *codes[6]; /* by hundreds; 0: the client went */
	struct metric_series *seconds;
};
void use_series_count(struct metrics *m, struct use_series *s, struct span name_space, struct span service,
		      struct span route, int code, int64_t ns);
