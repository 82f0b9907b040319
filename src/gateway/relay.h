/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* relay - private to the gateway: what relays of TCP and of UDP share. Threads: the worker's loop. */
#include "gateway/gateway_private.h"

struct relay;

enum relay_result { RELAY_DONE, RELAY_BROKEN, RELAY_NO_ENDPOINT, RELAY_LIMIT, RELAY_RESULTS };

/* What is counted of one service. Kept as long as the worker: a counter that is dropped begins again. */
struct relay_counts {
	struct relay_counts *next;
	struct span name_space, service; /* behind the struct */
	struct metric_series *open, *in, *out, *ended[RELAY_RESULTS];
};

struct relays {
	struct gateway_worker *worker;
	struct relay *first;
	struct relay_counts *counts;
	char *piece;  /* what is read is here until it is sent */
	size_t count; /* connections and sessions */
	bool end_with_endpoints;
};
enum { RELAY_PIECE = 64 << 10 };

struct relay_counts *relay_counts_of(struct relays *r, const struct plan_backend *b);
/* False, and counted: there are as many relays as may be. */
bool relay_may_begin(struct relays *r, struct relay_counts *c);
