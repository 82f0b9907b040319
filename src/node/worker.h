/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * worker - one pod of this node: does what plan.h says, by runtime.h, volumes.h, environment.h and probe.h, and writes the status that
 * status.h makes.
 *
 * It looks again when something has changed (the object, the sandbox, a probe, what its volumes and variables are made of) or a time has come; all
 * changes of a turn of the loop are one look. Nothing that it remembers is needed: begun anew it goes on with what it finds.
 *
 * Life:      pod_worker_new() → pod_worker_object() and pod_worker_sandbox() as they are seen → host.finished(): all of it has gone, also from the API →
 *            pod_worker_free(). pod_worker_stop(): nothing is begun any more; the pod goes on.
 * Threads:   the loop.
 */
#include "kube/cluster.h"
#include "node/environment.h"
#include "node/runtime.h"

struct drains;
struct loop;
struct pod_worker;

/* What the workers of a node share. */
struct worker_host {
	struct cluster *cluster;
	struct loop *loop;
	struct runtime *runtime;
	struct span folder; /* the node's */
	struct span hidden; /* the data folder: no hostPath leads into it; empty: none */
	struct drains
	    *drains; /* NULL: there is no gateway: pods are told to end at once, and have no ports of the host */
	struct pod_place place;
	bool is_host_path_allowed;
	int64_t memory; /* of the machine: for oom_score_adj */
	/* NOT_FOUND, INVALID: there is no such RuntimeClass, or its handler is none of ours. */
	bool (*runtime_class)(void *context, struct span name, struct error *err);
	/* False: the pod must not run here ("Evicted", why). Asked before anything of it has begun. */
	bool (*admits)(void *context, const struct value *pod, struct arena *arena, struct span *ret_reason,
		       struct span *ret_message);
	void (*finished)(void *context, struct pod_worker *w);
	int64_t (*wall_ns)(void *context);
	void *context;
};

struct pod_worker *pod_worker_new(const struct worker_host *host, struct span uid, struct span name_space,
				  struct span name, struct span address);
/* The object as it is now; NULL: it is gone from the API. */
void pod_worker_object(struct pod_worker *w, struct record *record);
void pod_worker_sandbox(struct pod_worker *w, const struct sandbox_status *s);
void pod_worker_ended(struct pod_worker *w, struct span stream, int exit_code);
/* Something that it may have waited for: it looks again. */
void pod_worker_wake(struct pod_worker *w);
/* Something that its variables or volumes may be made of has changed. */
void pod_worker_source(struct pod_worker *w);
/* A slice of endpoints has changed. */
void pod_worker_slice_seen(struct pod_worker *w);
/* Looks now. For clocks of tests. */
void pod_worker_tick(struct pod_worker *w);
/* It is ended, and is told as Failed. grace_ns 0: by its own. */
void pod_worker_evict(struct pod_worker *w, struct span reason, struct span message, int64_t grace_ns);
/* Its containers are ended while the object stays as it is: for a node that goes. Done when pod_worker_is_down(). */
void pod_worker_end(struct pod_worker *w, int64_t grace_ns);
bool pod_worker_is_down(const struct pod_worker *w);
void pod_worker_discard(struct pod_worker *w); /* of a sandbox without a pod: its files go when it is freed */
void pod_worker_stop(struct pod_worker *w);
void pod_worker_free(struct pod_worker *w);

struct span pod_worker_uid(const struct pod_worker *w);
struct span pod_worker_name(const struct pod_worker *w, struct span *ret_name_space);
struct span pod_worker_address(const struct pod_worker *w);
const struct sandbox_status *pod_worker_found(const struct pod_worker *w); /* NULL: none */
