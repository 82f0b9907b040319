/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * status - the status of a pod as its object tells it: phase, conditions, states of containers, addresses, quality of service. A function of
 * what plan.h sees, and of the status before (times of conditions, counts of restarts, last states after the runtime forgot them).
 */
#include "node/plan.h"

struct status_wait {
	struct span container, reason, message;
};

struct status_extra {
	struct span node_name, host_address;
	struct span reason, message; /* of a pod that the node ended: "Evicted", "DeadlineExceeded" ... */
	/* Why a container waits that has not begun, by name: "CreateContainerConfigError", "ErrImagePull" ... */
	const struct status_wait *waits;
	size_t wait_count;
	/* What the containers wrote to terminationMessagePath, by name and attempt; or the end of the log by policy. */
	struct span (*termination_message)(void *context, const struct container_status *c);
	void *context;
};

/* A condition that is False where this machine cannot do all that was asked for; its message says what ("limits of CPU and memory are not
 * enforced: ..."). Pods that have all lack it. */
#define STATUS_ENFORCED "hythe.dev/Enforced"

/* The new status, whole. */
struct value *pod_status(const struct pod_view *view, const struct status_extra *extra, struct arena *arena,
			 struct error *err);
/* A condition of pods that pod_status() makes; those of others stay as they are. */
bool status_condition_is_ours(struct span type);
