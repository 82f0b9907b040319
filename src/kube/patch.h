/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * patch - the ways to change an object: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge patch, and server-side apply.
 *
 * All take the object as it is and give a new tree; the old one is not changed (parts may be shared: see value.h).
 * Errors: INVALID 400-shaped for a malformed patch; for one that does not fit the object (`test` failed, path absent) the code is
 *         ERROR_INVALID with *ret_is_unprocessable set, which the server answers as 422; UNSUPPORTED_MEDIA where a strategic merge
 *         is asked for a custom kind; TOO_LARGE over PATCH_OPERATIONS_MAX operations or the arena's limit.
 * Threads: one.
 */
#include "kube/schema/schema.h"

#define PATCH_OPERATIONS_MAX 10000

bool patch_json(const struct value *object, const struct value *operations, struct arena *arena, struct value *ret,
		bool *ret_is_unprocessable, struct error *err);
bool patch_merge(const struct value *object, const struct value *patch, struct arena *arena, struct value *ret,
		 struct error *err);
/* With $patch (delete, replace, merge), $setElementOrder/x, $deleteFromPrimitiveList/x, $retainKeys. */
bool patch_strategic(const struct value *object, const struct value *patch, struct place place, struct arena *arena,
		     struct value *ret, struct error *err);

/* ---- field ownership (KEP-555; structured-merge-diff) ---- */

/*
 * metadata.managedFields after a write that is no apply: fields that `now` has changed, added or removed against `old` (NULL: created)
 * belong to `manager` with operation Update; entries that lost their last field go. `subresource` empty or "status", ... The time is
 * set on entries that changed. metadata's own bookkeeping (managedFields, resourceVersion, uid, ...) is never owned.
 * Its place is after defaults and before admission and prepare: nobody owns what these add.
 */
struct apply_manager {
	struct span name;        /* field manager, at most 128 bytes */
	struct span api_version; /* "apps/v1" */
	struct span subresource;
	struct span time; /* RFC 3339 */
	/* Paths that this way of writing cannot change ("status"), ending with NULL. NULL: "spec" for the subresource status; "status"
	 * else for built-in kinds. For custom kinds with the subresource status the caller says { "status", NULL }. */
	const char *const *reset;
};
bool fields_track(const struct value *old, struct value *now, struct place place, const struct apply_manager *manager,
		  struct arena *arena, struct error *err);

/* What another manager has that an apply would change. */
struct apply_conflict {
	struct span
	    manager; /* "\"m1\"", "\"kubectl-edit\" using apps/v1": a cause's message is "conflict with " and this */
	struct span field; /* ".spec.template.spec.containers[name=\"c\"].image" */
	struct apply_conflict *next;
};

/*
 * Server-side apply: `config` (with apiVersion, kind, metadata.name; as it came, not decoded) onto `live` (NULL: it is created). Fields
 * that the manager applied before and leaves out now are removed unless another owns them. Conflicts with other managers are returned
 * (then it is true and *ret is left alone) unless `force`. *ret has managedFields with the entry (operation Apply). INVALID: a field that
 * the type has not, a wrong type, a list by keys with a key missing or twice, managedFields in `config`.
 */
bool apply_merge(const struct value *live, const struct value *config, struct place place,
		 const struct apply_manager *manager, bool force, struct arena *arena, struct value *ret,
		 struct apply_conflict **ret_conflicts, struct error *err);

/* "Apply failed with 1 conflict: conflict with "m1": .spec.replicas", the message of the 409. ptr is NULL on failure. */
struct span apply_conflicts_print(const struct apply_conflict *conflicts, struct arena *arena, struct error *err);
