/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * usage - what nodes and pods use, as metrics.k8s.io/v1beta1 tells it to `kubectl top` and to autoscalers.
 *
 * A part of this program that runs pods calls usage_put() for its node and for each of its pods every USAGE_WINDOW_S seconds; what is not
 * told again is forgotten after USAGE_LIFE_S. Nobody else writes these kinds: clients may get and list them.
 *
 * Threads: the API server's loop.
 * Errors:  those of the store; INVALID for another kind.
 */
#include "base/base.h"
#include "wire/value.h"

struct kube;

enum { USAGE_WINDOW_S = 15, USAGE_LIFE_S = 90 };

/*
 * `object`: {"kind": "NodeMetrics" or "PodMetrics", "metadata": {"name", "namespace", "labels": those of the node or pod}, "timestamp",
 * "window": "15s", and "usage": {"cpu": "88m", "memory": "10Mi"} or "containers": [{"name", "usage"}]}. It is kept; `arena` holds the text
 * until then.
 */
bool usage_put(struct kube *k, const struct value *object, struct arena *arena, struct error *err) MUST_CHECK;
