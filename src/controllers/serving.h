/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * serving - what the controllers of SeldonDeployments and of InferenceServices make alike.
 *
 *	serving.c        parts of pods and of routes; whether a Deployment answers, and what its pods say when it does not
 *	serving_model.c  servers that come ready: the container, its init container, and what the gateway is told to answer itself
 *
 * Threads: one; all of it lives for one call.
 */
#include "controllers/objects.h"
#include "controllers/wanted.h"
#include "kube/kinds/kinds.h"

#define SERVING_PROGRAM      "hythe" /* the image of what hythe does itself */
#define SERVING_METRICS_PATH "/prometheus"

/* A text of JSON with ' for ", and what is put into it, which must need no escapes. */
struct value serving_made(struct reconcile *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* At most 63 characters: "seldon-" and the MD5 sum of a longer one. */
struct span serving_name(struct reconcile *r, struct span full);

/* ---- pods. What their author has said stays ---- */

/* The last lines of its log are what is told of a container that died without a word. */
void serving_words_keep(struct reconcile *r, struct value *container);
/* It is ready when it can be connected to. */
void serving_probe_put(struct reconcile *r, struct value *container, int64_t port);
bool serving_is_ready(const struct value *deployment); /* NULL is allowed */
/* What pods with this label wait for, or died of, in words. */
struct span serving_explain(struct reconcile *r, const char *label, struct span value);

/* ---- models. `node` has name and modelUri, as in a graph ---- */

/* The container that has the node's name, and the init container that brings the model. */
void serving_model_add(struct reconcile *r, struct value *pod, const struct value *node);
void serving_model_command(struct reconcile *r, struct value *container,
			   const struct value *node); /* its ports are known */
/* Annotations of a Service by which the gateway answers itself, with what gateway/native.h says of `meta`. False: the model is no file of this
 * machine, or one of Python's. */
bool serving_native_put(struct reconcile *r, struct span uri, struct span name, const struct value *meta,
			struct value *annotations);

/* ---- routes ---- */

struct value serving_rewrite(struct reconcile *r); /* a filter: the prefix that was matched is taken away */
/* Of the Gateway "hythe". An empty host: of all. NULL: r->err says why. */
struct value *serving_route(struct reconcile *r, const struct resource *resource, struct span name, struct span host,
			    struct value rules);
/* controller.wakes: pods, and what is told of them, say why. */
void serving_wakes(struct manager *m, const struct controller *c, const struct resource *r, const struct value *object);
