/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * up_scale - between the gateway and those who scale and end pods: what it counts of requests is told to autoscalers, a request that
 * waits wakes those at zero, and pods are drained before they are told to end.
 *
 * Threads: before the loops run; what is called then is called on the API server's loop.
 */
#include "base/base.h"

struct gateway;
struct kube;
struct manager;
struct node_config;

/* `g` outlives the others' loops. */
void up_scale_tell(struct gateway *g, struct kube *k);
void up_scale_wake(struct gateway *g, struct manager *m);
void up_scale_drain(struct gateway *g, struct node_config *config);
