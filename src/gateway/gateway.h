/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gateway - what stands between clients and the pods that answer: services' own addresses (cluster IP, node port, load balancer), Ingress, Gateway API.
 *
 * Way of a request: entry (entries.c: accepted, the first bytes looked at) → net's server (server_take()) → gateway_arrive(): entry's backend or table,
 * route, target → proxy.c: an endpoint (balance.c), a connection to it (upstream.c, dial.h), bytes both ways → account. Bytes that are not HTTP: entry →
 * relay.c. A model that this process has itself: gateway_arrive() hands the request to the inference room's routes.
 *
 * What it may do comes as a plan (plan.h), made from the cluster's objects by compile.h on the API server's loop, and taken up by each worker
 * between two turns of its loop. What a worker knows of an endpoint (connections, requests in flight, failures) stays when a new plan has
 * the same endpoint.
 *
 * A request that was accepted is answered: by another endpoint where nothing was sent to the first one, or where the method is safe (RFC 9110 9.2.1) or
 * idempotent and its body is kept, as long as the budget of tries lasts (a fifth of the requests of the last ten seconds, and ten a second at
 * least); a connection that was kept and breaks is not counted as one, up to three times. An endpoint gets no new requests from the moment it is drained (gateway_drain()), and its pod is told to end when those it has are
 * answered.
 *
 * Threads:  gateway_new(), gateway_server_set(): before the server starts. gateway_stop(): config.loop's, while that loop is there; before
 *           server_drain(). gateway_free(): after server_wait(), and before server_free(), for the workers' loops must be there.
 *           gateway_publish(), gateway_drain(): any thread.
 * Limits:   struct gateway_limits.
 */
#include "gateway/plan.h"
#include "net/server.h"

struct gateway;
struct loop;

struct gateway_limits {
	size_t
	    queue_most; /* requests that wait for a backend's endpoint, of each worker: 1024; over it 429 with Retry-After */
	int64_t queue_ns; /* how long one waits when none is ready: 10 s; then 503 with the reason and Retry-After */
	size_t
	    endpoint_most;   /* requests in flight to one endpoint, of each worker: 1024; more wait. Tunnels are none */
	size_t idle_most;    /* idle connections kept to one endpoint, of each worker: 64 */
	int64_t idle_ns;     /* 60 s */
	int64_t connect_ns;  /* 5 s */
	int64_t stall_ns;    /* an endpoint that neither takes nor gives a byte of a request under way: 60 s */
	size_t body_kept;    /* bytes of a request's body kept for another try: 64 KiB */
	unsigned tries_most; /* 3 */
	unsigned failures_to_eject;    /* in a row: 5 */
	int64_t ejected_ns;            /* the first time; doubled each time up to ten times: 5 s */
	unsigned ejected_most_percent; /* of a backend's endpoints: 50 */
	int64_t slow_start_ns;         /* a new endpoint's share grows over: 2 s; 0 at once */
	size_t relays_most;            /* connections of bytes, of each worker: 10,000 */
	int64_t relay_idle_ns;         /* of UDP: 60 s; of TCP none */
	int64_t sniff_ns; /* a client that says nothing for so long on a SPEECH_AUTO address is not HTTP: 250 ms */
};
struct gateway_limits gateway_limits_default(void);

/* How an entry fares; told on the loop that gateway_config names. */
struct gateway_bound {
	struct span key;    /* the entry's */
	int port;           /* really listened on; 0: not */
	struct error error; /* why not */
};

struct gateway_config {
	struct metrics *metrics;
	struct gateway_limits limits;
	struct loop *loop; /* where `bound` is called: the API server's */
	void (*bound)(void *context, const struct gateway_bound *b);
	void *context;
	struct span load_balancer_address;           /* "127.0.0.1" */
	int load_balancer_first, load_balancer_last; /* 30000 - 32767 are node ports': 8000, 8999 */
	/* Sockets that a hythe before this one listened on: taken instead of bound. What no plan asks for within half a minute of the first is closed.
	 * The descriptors change owner in gateway_server_set(). */
	const struct gateway_inherited *inherited;
	size_t inherited_count;
};
struct gateway_inherited {
	struct span key;
	int fd;
};

struct gateway *gateway_new(const struct gateway_config *config, struct error *err);
/* For struct server_config of the server that works for it: arrive, worker_started, routes (with inference's); context is the gateway. */
bool gateway_arrive(struct request *req);
void gateway_worker_started(void *gateway, unsigned index, struct loop *loop);
extern const struct route gateway_routes[]; /* "*" */
void gateway_server_set(struct gateway *g, struct server *s);

/* Each worker goes on with this plan from its next turn; takes a reference of its own. */
void gateway_publish(struct gateway *g, struct plan *p);
/*
 * The pod of that address (all ports) gets no new requests; `done` on gateway_config.loop when those under way are answered, or after most_ns.
 * It stays so until gateway_drained_forget(), whatever plans say.
 */
void gateway_drain(struct gateway *g, struct in_addr pod, int64_t most_ns, void (*done)(void *context), void *context);
/* It is gone: its connections of bytes end, also where the client does not. */
void gateway_drained_forget(struct gateway *g, struct in_addr pod);
/* The program ends: entries are closed, requests answered. */
void gateway_stop(struct gateway *g);
void gateway_free(struct gateway *g); /* NULL is allowed */

/* Duplicates of all sockets that are listened on, for a hythe that takes over. Any thread; the caller's to close, and the list to free. */
struct gateway_inherited *gateway_sockets(struct gateway *g, size_t *ret_count);
/* That one accepts now: gateway_stop() closes the sockets without taking what the kernel has queued. */
void gateway_leave_sockets(struct gateway *g);
/* Waits until all workers go by a plan. False: not within most_ns. Not on a loop. */
bool gateway_wait_plan(struct gateway *g, int64_t most_ns);

/* ---- what controllers and metrics ask ---- */

/* Of a service (all its ports), over all workers: since the start, and now. */
struct gateway_use {
	uint64_t requests, failures; /* answered; with 5xx made here or there */
	int64_t in_flight, waiting;
	double rate; /* requests a second, over the last 30 s */
};
/* By namespace and service; pod empty: of all its endpoints. Any thread. False: nothing was ever asked of it. */
bool gateway_use_of(struct gateway *g, struct span name_space, struct span service, struct span pod,
		    struct gateway_use *ret);
/* A request waits for a service that has no endpoint: at most once a second for each, on gateway_config.loop; to begin one from zero. */
void gateway_on_wanted(struct gateway *g, void (*wanted)(void *context, struct span name_space, struct span service),
		       void *context);
