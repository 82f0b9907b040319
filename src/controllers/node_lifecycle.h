/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * node_lifecycle - what the controllers that watch over nodes share.
 *
 *	node_lifecycle.c   a node that tells nothing any more, and the taints that follow from what nodes tell
 *	taint_eviction.c   pods leave nodes whose taints they do not bear
 *	pod_collector.c    pods that no node will ever end, and old ones that have ended
 */
#include "controllers/objects.h"

/* As the condition says: "True", "False" or "Unknown"; empty: nothing was told yet. */
struct span node_ready(const struct value *node);
