/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kit - for tests of controllers: an API server in this process with a clock of its own, no nodes; tests play the node.
 */
#include "controllers/controller.h"
#include "controllers/objects.h"
#include "kube/kube_kit.h"

struct kit {
	struct kube_kit api;
	char volumes[80];
	struct manager *manager;
	int64_t now_ns;
	bool is_hasty; /* what is written is not waited for: kit_settle() does */
	char
	    story[4096]; /* sizes of ReplicaSets as they change: "web-1 3; web-2 1; " by the order in which they came */
	char names[8][80];
	size_t name_count;
};

struct kit *kit_new(const char *const *controllers);
void kit_done(struct kit *k);
/* Until nothing is to be done at this time. */
void kit_settle(struct kit *k);
void kit_advance(struct kit *k, int64_t seconds); /* and settles */

/* Creates, or replaces what is there but its status; name and namespace ("default") are the object's. */
void kit_apply(struct kit *k, const struct resource *r, const char *format, ...) __attribute__((format(printf, 3, 4)));
void kit_label(struct kit *k, const struct resource *r, const char *name, const char *label, const char *value);
void kit_bind(struct kit *k, const char *pod, const char *node); /* as a scheduler does */
/* Sets a member of its spec, to a text of JSON. */
void kit_spec(struct kit *k, const struct resource *r, const char *name, const char *member, const char *json);
void kit_delete(struct kit *k, const struct resource *r, const char *name);
struct value *kit_get(struct kit *k, const struct resource *r, const char *name); /* NULL: it is not there */
struct value *kit_list(struct kit *k, const struct resource *r); /* of the namespace default, an array */
/* Writes the status of an object, as text. */
void kit_status(struct kit *k, const struct resource *r, const char *name, const char *status);
/* So many pods that run not yet are running and ready; -1: all. Settles. */
void kit_ready(struct kit *k, int count);
/* What nodes do with pods that are deleted: they are gone. */
void kit_bury(struct kit *k);
