/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * native - models that the gateway itself has: a file of a format that hythe reads natively is asked in the worker that read the request,
 * instead of in a pod. The pods of its Deployment are there all the same (they answer inside the cluster and by port-forward, and their
 * readiness decides whether anything is answered), so what is seen of it is the same as of any other.
 *
 * A Service says so by annotations: "hythe.dev/native-model" (a file of this machine, or a folder with one), "hythe.dev/native-name" (the
 * model's name, "classifier"), "hythe.dev/native-meta" (JSON that the edge needs: "image", and "protocol": "seldon", "v2" or "tensorflow"; or
 * "kserve", V1 and V2 as `hythe serve` alone answers them: there is no orchestrator).
 * A model is loaded on a thread of its own, once for all services that say the same, and again when its file has changed: plans that are
 * made then have the new one, and the old one goes with the last plan that has it. One that cannot be loaded is a line in the log and an event of
 * the Service, and its pods answer.
 *
 * Threads: the API server's loop, but where noted.
 */
#include "kube/cluster.h"

struct native;
struct inference;
struct loop;
struct metrics;
struct request;

/* metrics may be NULL. `changed` comes from the loop. */
struct native *native_new(struct cluster *cluster, struct loop *loop, struct metrics *metrics,
			  void (*changed)(void *context), void *context);
/* What a service's plan_backend.native is to be, with a reference that native_release() gives back; NULL: none, or not loaded yet: then
 * `changed` comes. */
struct inference *native_of(struct native *n, const struct value *service);
void native_release(void *inference); /* for plan_keep(). Any thread, native_free() or not */
/* Predictions, by the protocol of its deployment; all else is for its pods, and what comes as CloudEvents too. Any thread. */
bool native_takes(const struct inference *i, const struct request *req, struct span path);
/* Says in the answer's headers what the orchestrator of a pod says, where there is one. On the request's loop, before its handler. */
void native_begin(const struct inference *i, struct request *req);
void native_free(struct native *n); /* NULL is allowed. What plans have lives on */
