/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * balance - what a worker knows of backends and their endpoints, over plans; and which endpoint is asked next.
 *
 * Of two drawn at random the one with fewer requests in flight is asked ("The Power of Two Choices", Mitzenmacher 2001). Not asked is one
 * that is drained; one that was refused a connection, until its pause is over (then while no connection to it is being made, until one succeeds);
 * one that failed several times in a row, for longer each time, as long as most of the backend's are left.
 *
 * An endpoint belongs to one backend: two services with the same pod have one each.
 *
 * Ownership: the balance owns backends and endpoints. A backend that no plan names any more lives until nobody holds it.
 * Threads:   the worker's loop.
 */
#include "base/clock.h"
#include "gateway/gateway_private.h"
#include "gateway/use.h"

struct backend;
struct proxy;
struct upstream;

struct endpoint {
	struct balance *balance;
	struct backend *backend;
	struct endpoint *next; /* of those with the same hash */
	uint64_t hash;
	struct span key, sandbox, pod; /* one block of memory, behind the struct */
	struct sockaddr_storage address;
	struct use_slot *use; /* of the pod; NULL: it has none */
	size_t holds;         /* connections, and who has chosen it: it is freed after the last, when it is gone */
	unsigned in_flight;   /* chosen and not released */
	unsigned tunnels;     /* of these, those nobody waits for at a drain */
	unsigned dials;       /* connections that are being made */
	unsigned refusals;    /* connections that failed, in a row */
	unsigned failures;    /* requests that failed, in a row */
	unsigned ejections;   /* in a row */
	bool is_ready, is_serving, is_drained;
	bool is_gone;    /* no plan has it */
	bool is_ejected; /* until `back` */
	bool is_resting; /* refused: until `back` */
	struct timer back;
	int64_t made_ns;       /* when its share began to grow */
	int64_t idle_ns;       /* how long its connections may be idle: less than it keeps them itself */
	struct upstream *idle; /* HTTP/1.1, the latest first */
	struct upstream *idle_last;
	size_t idle_count;
	struct upstream *streams; /* HTTP/2 */
	uint64_t plan_number;     /* the last that has it */
};

struct backend {
	struct balance *balance;
	struct gateway_worker *worker;
	struct backend *next; /* of those with the same hash */
	uint64_t hash;
	struct span name, name_space, service; /* one block of memory, behind the struct */
	const struct plan_backend *plan;       /* in the worker's plan; NULL: gone */
	uint64_t plan_number;
	size_t holds;
	struct endpoint **endpoints; /* those of the plan */
	size_t endpoint_count;
	struct endpoint **choices; /* of these, those that may be chosen, as of `choices_epoch` */
	size_t choice_count;
	uint64_t choices_epoch;
	/* Requests that wait for an endpoint, the oldest first. */
	struct proxy *waiting, *waiting_last;
	size_t waiting_count;
	struct timer waiting_timer;
	struct backend *due; /* of those that balance_wake() named */
	bool is_due;
	struct error last; /* why the last connection or request failed; for those who waited too long */
	struct service_use *service_use;
	struct use_slot *use;
	struct metric_series *retries, *failures[USE_FAILURES], *ejections, *in_flight_gauge, *waiting_gauge;
	/* The budget of tries: what was asked in each of the last seconds. */
	uint32_t asked[10], tried[10];
	int64_t budget_second;
};

struct balance {
	struct gateway_worker *worker;
	struct endpoint **endpoints; /* by hash */
	size_t endpoint_count, endpoint_cap;
	struct backend **backends; /* by hash */
	size_t backend_count, backend_cap;
	uint64_t epoch; /* counts what changes who may be chosen */
	struct in_addr *drained;
	size_t drained_count;
	struct backend *due;
	struct loop_task settle;
	struct timer sweep; /* closes connections that were idle for too long, and frees what is gone */
};

struct balance *balance_new(struct gateway_worker *w);
void balance_free(struct balance *b); /* NULL is allowed; nothing is held any more */
/* worker->plan is another. */
void balance_take_up(struct balance *b);
/* The worker stops: idle connections are closed, and none is kept any more. */
void balance_stop(struct balance *b);

/* The worker's side of a plan's backend; NULL: worker->plan has it no more. */
struct backend *balance_backend(struct balance *b, const struct plan_backend *plan);
void backend_hold(struct backend *b);
void backend_release(struct backend *b);

/* One to be asked, held and counted; not `not_this` if there is another. `client`: for affinity; empty: none. NULL: none may be now. */
struct endpoint *backend_choose(struct backend *b, const struct endpoint *not_this, struct span client);
/* The same for bytes that are not HTTP, by the client's address. NULL: none may be now; who scales from zero is told that one is wanted. */
struct endpoint *balance_choose(struct gateway_worker *w, const struct plan_backend *plan,
				const struct sockaddr_storage *client);
bool backend_has_ready(struct backend *b); /* one may be chosen */
/* Those who wait are given what may be chosen, at the end of this turn. */
void backend_wake(struct backend *b);

/* Whatever its port. */
static inline bool endpoint_has_address(const struct endpoint *e, struct in_addr a)
{
	return e->address.ss_family == AF_INET &&
	       ((const struct sockaddr_in *)&e->address)->sin_addr.s_addr == a.s_addr;
}

/* How it fared with an endpoint that was chosen. */
enum endpoint_fate {
	FATE_GOOD,
	FATE_NONE,    /* nothing can be said: the client went */
	FATE_REFUSED, /* no connection */
	FATE_FAILED,  /* the connection broke, or the answer was none, late or 502 to 504 */
};
void endpoint_end(struct endpoint *e, enum endpoint_fate fate);
/* A connection to it is being made; it is not any more, made or given up. endpoint_connected(): it was made. */
void endpoint_dials(struct endpoint *e);
void endpoint_dials_no_more(struct endpoint *e);
void endpoint_connected(struct endpoint *e);
/*
 * What the one who has chosen it has there is a connection of bytes now (a WebSocket, a relay): it may last for days, is not waited for at
 * drains, and takes no request's room. endpoint_tunnel_end() first, then endpoint_end().
 */
void endpoint_tunnel(struct endpoint *e);
void endpoint_tunnel_end(struct endpoint *e);
void endpoint_hold(struct endpoint *e);
void endpoint_drop(struct endpoint *e);

/* One more try, within the budget: a fifth of what was asked in ten seconds, and ten a second. False: none is left. */
bool backend_may_try(struct backend *b);
void backend_asked(struct backend *b);

/* All endpoints with this address: none is chosen any more, idle connections are closed. Returns how many requests are under way there. */
size_t balance_drain(struct balance *b, struct in_addr pod);
void balance_drained_forget(struct balance *b, struct in_addr pod);
size_t balance_in_flight(const struct balance *b, struct in_addr pod);
