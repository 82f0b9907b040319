/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * deployment - what the files of the Deployment controller share.
 *
 *	deployment.c          one call: which step is next
 *	deployment_history.c  its ReplicaSets: which one is of the wanted template, revisions, old ones that may go
 *	deployment_scale.c    how many each may have
 *	deployment_status.c   status and conditions
 *
 * The steps are those of Kubernetes' own controller: one step a call, in its order, so that the sizes that a watcher sees are the same.
 */
#include "controllers/objects.h"

#define ANNOTATION_REVISION "deployment.kubernetes.io/revision"
#define ANNOTATION_HISTORY  "deployment.kubernetes.io/revision-history"
#define ANNOTATION_DESIRED  "deployment.kubernetes.io/desired-replicas"
#define ANNOTATION_MOST     "deployment.kubernetes.io/max-replicas"
#define LABEL_HASH          "pod-template-hash"

/* One call. Sizes in the ReplicaSets are changed as writes are asked for. */
struct rollout {
	struct reconcile *r;
	const struct value *spec;
	int64_t replicas, surge, unavailable; /* both resolved; unavailable at most replicas */
	bool is_recreate, is_paused;
	struct value **sets, **old; /* all; those that are not `fresh`; older first */
	uint32_t set_count, old_count;
	struct value *fresh;  /* of the wanted template; NULL: not there yet */
	bool is_made;         /* `fresh` is asked for in this call */
	struct span revision; /* of the Deployment, as it is to be */
	int64_t collisions;   /* status.collisionCount, -1: none */
	bool has_collided;
};

static inline int64_t set_size(const struct value *set)
{
	return value_find_int(set, "spec.replicas", 1);
}

/* ---- deployment_history.c ---- */

void history_read(struct rollout *d);
/* `fresh` gets its annotations; it is made when it is not there. True: something was written, the rest is for the next call. */
bool history_make_fresh(struct rollout *d, bool may_create);
void history_trim(struct rollout *d); /* spec.revisionHistoryLimit */

/* ---- deployment_scale.c ---- */

/* Tells a set how many there are to be in all. True: something changed. */
bool replicas_annotate(struct rollout *d, struct value *set);
int64_t sets_sum(const struct rollout *d, const char *path); /* of a number of each set */
/* True: a write was asked for that changes a size. */
bool set_scale(struct rollout *d, struct value *set, int64_t size);
int64_t fresh_size(const struct rollout *d); /* how many `fresh` may have now */
bool fresh_scale(struct rollout *d);
bool old_scale(struct rollout *d); /* down, as far as availability allows */
bool old_scale_to_none(struct rollout *d);
bool is_scaling(const struct rollout *d); /* spec.replicas changed since the sets were sized */
void scale_in_proportion(struct rollout *d);

/* ---- deployment_status.c ---- */

bool is_complete(const struct rollout *d);
/* has_progress: conditions of the roll-out too; not while it is paused. */
void status_sync(struct rollout *d, bool has_progress);
