/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * plan - what a pod needs next: a function of what is wanted (its object), what is (the runtime, probes) and the time. No side effects,
 * nothing remembered.
 *
 * Rules: init containers one after the other, those with restartPolicy Always (sidecars) stay and hold the next back until they have started; restart
 * policies; back-off of 10 s doubling to 300 s, the first restart at once, forgotten after 10 minutes of running; a failed startup or liveness probe kills;
 * deletion: drained, hooks, SIGTERM, grace, SIGKILL, sidecars after the others in reverse order; activeDeadlineSeconds; a sandbox that died is
 * made anew and its containers begin again.
 */
#include "node/runtime.h"
#include "wire/value.h"

#define BACKOFF_FIRST_NS  INT64_C(10000000000)
#define BACKOFF_MOST_NS   INT64_C(300000000000)
#define BACKOFF_FORGET_NS INT64_C(600000000000)

enum verdict { VERDICT_NONE, VERDICT_GOOD, VERDICT_BAD }; /* of a probe: none yet */

/* What probes and hooks say of a container that runs. */
struct container_health {
	struct span name;
	uint32_t attempt;
	enum verdict startup, liveness,
	    readiness;        /* GOOD where the container has no such probe, but readiness: then as started */
	struct span why;      /* of the bad one: "Liveness probe failed: HTTP probe failed with statuscode: 500" */
	bool is_hook_failed;  /* postStart: the container is killed */
	bool is_hook_running; /* postStart has not ended: not ready yet */
};

enum pod_action_kind {
	POD_SANDBOX_RUN,
	POD_SANDBOX_STOP,
	POD_CONTAINER_START,  /* name, attempt */
	POD_CONTAINER_STOP,   /* with its preStop hook when it has one; grace_ns, why */
	POD_DRAIN,            /* nobody shall ask it any more, and what it was asked be answered: within grace_ns */
	POD_CONTAINER_REMOVE, /* an attempt that is no longer told about */
	POD_GONE,             /* all has ended and the object is being deleted: it may be removed from the API */
};

struct pod_action {
	enum pod_action_kind kind;
	struct span name;
	uint32_t attempt;
	int64_t grace_ns;
	struct span why; /* for the event: "Container main failed liveness probe, will be restarted" */
};

struct pod_view {
	const struct value *pod;
	const struct sandbox_status *sandbox; /* NULL: none */
	const struct container_health *health;
	size_t health_count;
	int64_t now_ns;
	bool is_evicted;           /* the node, or a deadline, has ended it: Failed */
	int64_t eviction_grace_ns; /* of that; 0: the pod's own */
	bool are_volumes_ready;
	bool is_drained_first;                  /* before it is told to end: those whose containers run */
	int64_t drain_begun_ns, drain_ended_ns; /* 0: not yet */
};

struct pod_plan {
	struct pod_action
	    *actions; /* to be begun at once, together; those under way are asked for again: the worker knows them */
	size_t count;
	int64_t again_ns; /* INT64_MAX: when something changes */
};

bool pod_plan(const struct pod_view *view, struct arena *arena, struct pod_plan *ret, struct error *err) MUST_CHECK;
/* When a container that ended may begin again (now or earlier: at once), by its attempt and its end. */
int64_t backoff_end_ns(uint32_t attempt, int64_t started_ns, int64_t finished_ns);
/*
 * Draining takes half of the grace at most, and what it took is taken from the grace: it runs from when the deletion is seen, as it does for preStop.
 * A pod with a grace of 30 s has at least 15 s for preStop and SIGTERM. Without grace nothing is waited for.
 */
#define DRAIN_PART     2
#define GRACE_LEAST_NS INT64_C(2000000000) /* no container is killed without these two seconds, as kubelet has it */
