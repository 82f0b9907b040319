/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * compile_kit - for tests of what the gateway makes of a cluster's objects: an API server in this process, and a gateway that keeps the
 * last plan it was given instead of listening.
 */
#include "gateway/compile_private.h"
#include "kube/kube_kit.h"

struct kit {
	struct kube_kit api;
	struct compile *compile;
	int64_t seen;
	struct plan *plan; /* the last one published */
	uint64_t published;
	int publish_ms;   /* how long publishing stands still */
	int bind_refused; /* ports under this one cannot be bound; see kit_bind_all() */
};

struct kit *kit_new(void);
void kit_done(struct kit *k);
/* The compiler begins anew, as with another hythe on the same store. */
void kit_restart(struct kit *k);
/* Until nothing more is written, and no plan is due. */
void kit_settle(struct kit *k);
/* Objects of JSON with ' for "; the namespace is the object's, or "default". Creates, or replaces what is there but its status. Settles. */
void kit_apply(struct kit *k, const struct resource *r, const char *format, ...) __attribute__((format(printf, 3, 4)));
void kit_apply_quietly(struct kit *k, const struct resource *r, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* does not settle */
void kit_delete(struct kit *k, const struct resource *r, const char *name_space, const char *name);
struct value *kit_get(struct kit *k, const struct resource *r, const char *name_space, const char *name);
/* As the gateway tells: each entry is listened on at its port, where it is not under bind_refused; load balancers else from 8000 on. Settles. */
void kit_bind_all(struct kit *k);
const struct plan_entry *kit_entry(struct kit *k, const char *key); /* NULL: there is none */
const struct plan_backend *kit_backend(struct kit *k, const char *name);
/* "httproute/default/web/0 → web:3 other:1": who answers, with weights; "-" for a target without a backend; "none": no route. */
const char *kit_ask(struct kit *k, const char *entry, const char *method, const char *host, const char *path,
		    const char *header, const char *value);
const struct plan_route *kit_route(struct kit *k, const char *entry, const char *method, const char *host,
				   const char *path);
/* "True Accepted": status and reason of a condition in a list at this path. */
const char *kit_condition(struct kit *k, const struct value *object, const char *path, const char *type);
bool kit_has_event(struct kit *k, const char *reason, const char *words);
