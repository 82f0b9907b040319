/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * revision - ControllerRevisions: what the pod template of a StatefulSet or a DaemonSet was, numbered as it changed.
 * kubectl reads them for `rollout history` and `rollout undo`.
 *
 * A revision's data is a strategic merge patch that puts the template back:
 * {"spec":{"template":{..., "$patch":"replace"}}}.
 *
 * Threads:   one.
 * Ownership: revisions are of the call's arena.
 * Errors:    those of memory are set in r->err.
 */
#include "controllers/objects.h"

#define LABEL_REVISION "controller-revision-hash"

struct revisions {
	struct value **items; /* by their numbers, lowest first; those that were there */
	uint32_t count;
	int64_t collisions; /* status.collisionCount: names that another template had; -1: never told */
};

/* Those of the object of the call; free ones of its labels are adopted. */
bool revisions_read(struct reconcile *r, struct revisions *ret);
/* The one of the template as it is now: found and given the highest number, or made. The hash in its name is its label
 * `label` too. NULL: memory. */
struct value *revisions_ensure(struct reconcile *r, struct revisions *all, const char *label);
struct value *revisions_find(const struct revisions *all, struct span name); /* NULL: none is called so */
/* The template that it keeps. NULL: memory, or it keeps none. */
const struct value *revision_template(struct reconcile *r, const struct value *revision);
bool revision_is_of(struct reconcile *r, const struct value *revision, const struct value *template);
/* Deletes the oldest of those that are not live, `count` of them at most. `is_live` goes by the place in `all`. */
void revisions_trim(struct reconcile *r, const struct revisions *all, const bool *is_live, int64_t count);
