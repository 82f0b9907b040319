/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * placement - may a pod be on a node: by the node's labels and name, by its taints. Whether there is room is not asked.
 *
 * Threads: any. Errors: none; what cannot be understood matches nothing.
 */
#include "wire/value.h"

enum placement_taints {
	PLACEMENT_TO_START, /* NoSchedule and NoExecute keep a pod away */
	PLACEMENT_TO_STAY   /* NoExecute alone drives one out that is there */
};

/* nodeSelector, and affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution. */
bool placement_takes_node(const struct value *pod_spec, const struct value *node);
/* The first taint of the node that none of the tolerations bears. NULL: there is none. */
const struct value *placement_taint(const struct value *tolerations, const struct value *node,
				    enum placement_taints asked);
bool placement_tolerates(const struct value *toleration, const struct value *taint);
