/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * probe - the startup, liveness and readiness probe of one attempt of a container, asked by their periods.
 *
 * The first readiness and startup probe comes as soon as the container runs (after initialDelaySeconds), so that one that answers at once is ready
 * at once; the others a period after each other. Until the startup probe has passed the other two are not asked. One that fails while
 * nothing has passed yet is asked again sooner than its period: after 10 ms, then twice that, and so on up to the period, without counting as a
 * failure and without an event more than once a period.
 *
 * Threads:   the loop. Everything is copied.
 */
#include "node/plan.h"

struct loop;
struct probes;

struct probes_config {
	struct loop *loop;
	struct runtime *runtime;
	struct span uid, address;
	const struct value *container; /* its spec */
	uint32_t attempt;
	int64_t age_ns;  /* how long it has run: counts for initialDelaySeconds */
	bool is_adopted; /* it ran before this program did: then ready and started are as they were told */
	bool was_ready, was_started;
	/* A verdict has changed. */
	void (*changed)(void *context);
	/* "Unhealthy", "Readiness probe failed: ..." or "ProbeWarning", ... */
	void (*tell)(void *context, const char *reason, struct span text);
	void *context;
};

/* NULL: the container has none. */
struct probes *probes_new(const struct probes_config *config);
/* Fills the three verdicts and `why`. */
void probes_fill(const struct probes *p, struct container_health *ret);
/* The pod ends: only readiness is asked from now on. */
void probes_quieten(struct probes *p);
bool probes_ended(struct probes *p, struct span stream, int exit_code);
void probes_free(struct probes *p); /* NULL is allowed */
