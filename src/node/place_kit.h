/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * place_kit - for tests of what stands between pods and the cluster: an API server in this process, a folder, a clock that tests turn.
 */
#include "kube/kube_kit.h"
#include "node/environment.h"

struct place_kit {
	struct kube_kit api; /* folder/pod is there */
	struct pod_place place;
	struct error err; /* of functions under test */
	int64_t now_ns;
	unsigned changes;
};

struct place_kit *place_kit_new(void);
void place_kit_done(struct place_kit *k);
/* Runs the loop until the store is quiet and `until` (may be NULL) says so. */
void place_kit_settle(struct place_kit *k, bool (*until)(void *context), void *context);
/* A text with ' for ", as a tree. */
struct value *place_kit_parse(struct place_kit *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Creates it, or replaces what is there, with its status; gives back what is stored. Namespace "default". */
struct value *place_kit_apply(struct place_kit *k, const struct resource *r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void place_kit_status(struct place_kit *k, const struct resource *r, const char *name, const char *status);
void place_kit_delete(struct place_kit *k, const struct resource *r, const char *name);
struct value *place_kit_get(struct place_kit *k, const struct resource *r, const char *name_space, const char *name);
