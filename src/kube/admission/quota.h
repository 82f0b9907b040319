/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * quota - ResourceQuota: what objects of a namespace use of what they may.
 *
 * A write that uses more is charged before it is stored: status.used of the quota is raised by a write of its own that goes before it,
 * in the same turn of the loop, so that two clients never have the same rest. Until the write is durable, or has failed, the charge is
 * under way. What deletes give back is found by counting: usage of what is durable, and the charges under way.
 *
 * Threads: the API server's loop.
 */
#include "kube/admission/resources.h"
#include "kube/kind.h"

struct kube;
struct quotas;

struct quotas *quotas_new(struct kube *k, struct error *err);
void quotas_stop(struct quotas *q);
void quotas_resume(struct quotas *q); /* kube_write_ended() */
void quotas_free(struct quotas *q);   /* NULL is allowed */

/* One quota's part in a write under way. */
struct charge {
	struct charge *next, **at; /* of the namespace */
	struct charge *of_change;  /* the next one of the same write */
	struct quota_space *space;
	struct span quota;
	struct resources delta;
};
/* Puts a charge on a quota's status; it ends with charges_end(). */
bool quota_charge(struct change *c, struct value *quota, const struct resources *used, const struct resources *delta,
		  struct error *err);
/* The writes of these charges are durable, or (not stored) have failed. */
void charges_end(struct charge *first, bool is_stored);

/* ---- what objects use: quota_usage.c ---- */

/* Does a quota's resource of this name count objects of the kind? */
bool usage_counts(const struct kind *kind, struct span resource);
/* What one object uses; names that no quota has may be among them. */
struct resources usage_of(const struct kind *kind, const struct value *object, int64_t now_ns, struct arena *arena);
/* Is the object in a quota's scopes? */
bool usage_is_in_scope(const struct kind *kind, const struct value *quota, const struct value *object);
/* Kinds of which an object says more than that it is there. */
bool usage_is_of_content(const struct kind *kind);
bool usage_scopes_are_empty(const struct value *quota);
