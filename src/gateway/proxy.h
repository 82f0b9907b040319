/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * proxy - requests on their way: from a client to an endpoint and back, and those that wait for one.
 *
 * Threads: the worker's loop.
 */
#include "gateway/balance.h"
#include "gateway/upstream.h"

struct proxies;

/* What a request found when it arrived: cut from its arena, and given back at its end. */
struct arrival {
	struct request_end end;
	struct request *req;
	struct gateway_worker *worker;
	struct plan_use *use; /* the plan that the pointers below are of */
	const struct plan_entry *entry;
	const struct plan_route *route;    /* NULL: the entry's own backend */
	const struct plan_target *target;  /* NULL: so too */
	struct backend *backend;           /* NULL: there is none */
	const struct plan_backend *native; /* asked here and not there */
	size_t prefix;
};

struct proxies *proxies_new(struct gateway_worker *w);
void proxies_free(struct proxies *p); /* cuts what is left; NULL is allowed */

/* The row "*" of gateway_routes: req->state is the arrival; NULL: nothing was found. */
void proxy_request(struct request *req);

/* Gives those who wait what may be chosen now. */
void proxies_settle(struct backend *b);
/* Answers all who wait. */
void proxies_fail(struct backend *b, const struct error *why);

/* ---- mirror.c ---- */

struct mirrors;
struct mirror;
struct mirrors *mirrors_new(struct gateway_worker *w);
void mirrors_free(struct mirrors *m); /* cuts what is left; NULL is allowed */
/* A copy of the request, without its body, which follows by the next two; NULL: there is no place to ask. */
struct mirror *mirror_begin(struct mirrors *m, struct request *req, const struct arrival *a,
			    const struct plan_mirror *plan, bool has_body);
void mirror_write(struct mirror *m, struct span bytes);
/* The body has ended, or (is_cut) will not come any more: the pointer is no longer the caller's. */
void mirror_end(struct mirror *m, bool is_cut);
