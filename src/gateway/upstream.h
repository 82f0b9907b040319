/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * upstream - connections from the gateway to an endpoint: HTTP/1.1, one stream at a time, the others idle; HTTP/2, many streams on one.
 *
 * A connection that was idle for a while is looked at before it is used again, and closed before its server does: where a server has once
 * closed one that was idle, later ones are not kept as long. So what cannot be sent twice is rarely sent to one that has just closed.
 * One of HTTP/2 that has not said a word in a stream's whole time may be one whose server hangs: later streams go by another.
 *
 * Threads:   the worker's loop.
 * Ownership: of the endpoint's lists.
 */
#include "gateway/balance.h"
#include "net/client.h"

struct upstream;

/* Who waits for a connection. Embedded. */
struct ask {
	void (*done)(struct ask *a, struct upstream *u,
		     const struct error *err); /* u: one stream may be opened; NULL: err */
	struct upstream *upstream;             /* NULL: none is waited for */
	struct ask *next;
};

/* One that is there, to open one stream on now; NULL: none. */
struct upstream *upstream_take(struct endpoint *e, bool is_http2);
/* Makes one; `done` never comes from inside. */
void upstream_ask(struct endpoint *e, bool is_http2, struct ask *a);
void upstream_ask_cancel(struct ask *a); /* before `done`; one that waits for nothing is left alone */

struct client *upstream_client(const struct upstream *u);
bool upstream_is_used(const struct upstream *u); /* it has carried a stream before this one */
void upstream_heard(struct upstream *u);         /* something of an answer */
/* A stream opened then has run out of time. */
void upstream_doubt(struct upstream *u, int64_t opened_ns);
/* The stream that was opened has had its `closed`: after this the pointer is not the caller's. */
void upstream_over(struct upstream *u);

void upstream_cut(struct upstream *u); /* ends its streams too: their `closed` comes from inside */

void upstreams_close_idle(struct endpoint *e);
/* Closes what was idle for too long; returns when to look again, INT64_MAX: there is none. */
int64_t upstreams_sweep(struct endpoint *e, int64_t now_ns);
void balance_sweep_by(struct balance *b, int64_t at_ns); /* balance.c */
