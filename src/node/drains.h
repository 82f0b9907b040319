/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * drains - for the workers: who asks pods (the gateway) is told to ask one no more, before that pod is told to end.
 *
 * Life:    drain_begin() → the answer, at most once → drain_forget() when the pod has gone and its address may be another's.
 * Threads: the loop. After drains_stop() nothing is told to anybody, and after drains_free() nobody may answer.
 */
#include "base/base.h"

struct drains;
struct drain;

struct drains_config { /* see struct node_config */
	void (*drain)(void *context, const char *pod_address, int64_t most_ns, void (*done)(void *context),
		      void *done_context);
	void (*forget)(void *context, const char *pod_address);
	void *context;
};

struct drains *drains_new(const struct drains_config *config);
void drains_stop(struct drains *d); /* NULL is allowed, in drains_free() too */
void drains_free(struct drains *d);

/* `done` may be called before it returns. NULL after drains_stop(). */
struct drain *drain_begin(struct drains *d, struct span address, int64_t most_ns, void (*done)(void *context),
			  void *context);
void drain_forget(struct drain *one); /* `done` is not called any more; NULL is allowed */
