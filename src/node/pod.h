/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pod - what plan.c and status.c see of a pod's containers: each with what is wanted, what the runtime tells of its newest attempts, and what the
 * status before told.
 *
 * Threads:   one. Everything lives in the arena given and what it was read from.
 */
#include "node/plan.h"

/* For names in texts, which are not cut. */
#define WHOLE(s) (int)(s).len, ((s).ptr ? (s).ptr : "")

enum part_kind {
	PART_INIT,
	PART_SIDECAR, /* an init container with restartPolicy Always */
	PART_MAIN,
	PART_DEBUG, /* ephemeral: begun once, counts for nothing */
};

enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

struct pod_part {
	const struct value *spec;
	struct span name;
	enum part_kind kind;
	const struct container_status *now, *before; /* its newest attempts in this sandbox; NULL: none */
	const struct value *told;                    /* its entry in the status before, or NULL */
	const struct container_health *health;       /* of `now`, or NULL */
};

struct pod_parts {
	struct pod_part *items; /* init containers, containers, ephemeral ones, each in their order */
	size_t count;
	enum restart_policy policy;
	bool is_sandbox_ready;
};

bool pod_parts_read(const struct pod_view *view, struct arena *arena, struct pod_parts *ret,
		    struct error *err) MUST_CHECK;

bool part_runs(const struct pod_part *p); /* or is being made */
/* It has ended, and how: by the runtime, or by the status before when the runtime has forgotten it. 137: nobody knows. */
bool part_has_ended(const struct pod_part *p, int64_t *ret_code);
/* It has to be begun (again), now or after its back-off; false while it runs. */
bool part_is_wanted(const struct pod_parts *all, const struct pod_part *p);
uint32_t part_attempt(const struct pod_part *p); /* of its next start */
/* Until when it waits, and the length of that wait (0: at once). */
int64_t part_backoff(const struct pod_part *p, int64_t *ret_length_ns);
bool part_is_started(const struct pod_part *p); /* it runs, and its startup probe and postStart hook have passed */
bool part_is_ready(const struct pod_part *p);

/* All that counts has ended for good, or an init container failed for good: nothing is begun any more. */
bool pod_is_over(const struct pod_parts *all);
/* status.phase is Succeeded or Failed. */
bool pod_has_final_phase(const struct value *pod);
int64_t pod_deadline_ns(const struct value *pod);                  /* by activeDeadlineSeconds; INT64_MAX: none */
int64_t pod_grace_ns(const struct value *pod);                     /* terminationGracePeriodSeconds */
bool pod_is_deleted(const struct value *pod);                      /* it has a deletionTimestamp */
int64_t pod_time_ns(const struct value *object, const char *path); /* 0: absent */
/* The container's spec by name, of any kind; NULL: it is none of the pod's. */
const struct value *pod_container(const struct value *pod, struct span name, const char **ret_list);
