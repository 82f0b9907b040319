/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * statefulset - what the files of the StatefulSet controller share; one call's view of a set.
 *
 *	statefulset.c         which pod's turn it is, the roll-out, the status
 *	statefulset_pods.c    a pod of a set: its number, what it is made of, its state
 *	statefulset_claims.c  claims made of volumeClaimTemplates, and who owns them
 */
#include "controllers/revision.h"

struct numbered {
	const struct value *pod;
	int64_t ordinal;
};

struct stateful {
	struct reconcile *r;
	const struct value *spec, *claims; /* volumeClaimTemplates, or NULL */
	int64_t start, replicas, partition, min_ready;
	bool is_parallel, is_rolling;
	bool drops_claims_on_delete, drops_claims_on_scale;
	struct numbered *pods; /* by ordinal */
	uint32_t pod_count;
	struct revisions revisions;
	const struct value *current, *update; /* revisions */
	int64_t again_ns;                     /* when a pod may be available; INT64_MAX: none waits for that */
};

static inline bool in_range(const struct stateful *s, int64_t ordinal)
{
	return ordinal >= s->start && ordinal - s->start < s->replicas;
}

/* ---- statefulset_pods.c ---- */

/* "web-3" is the fourth of the set "web"; -1: it is none of that set. */
int64_t stateful_ordinal(struct span set, struct span pod);
struct span stateful_pod_name(struct stateful *s, int64_t ordinal);
/* Of which revision a pod that is made now is. */
const struct value *stateful_revision(const struct stateful *s, int64_t ordinal);
void stateful_pod_make(struct stateful *s, int64_t ordinal);
void stateful_pod_drop(struct stateful *s, const struct value *pod);
/* Gives a pod that was adopted the labels and volumes of its place. */
void stateful_pod_settle(struct stateful *s, const struct numbered *n);

bool stateful_pod_is_running_and_ready(const struct value *pod);
bool stateful_pod_is_healthy(const struct value *pod); /* and not ending */
bool stateful_pod_has_ended(const struct value *pod);  /* Succeeded, Failed */
bool stateful_pod_is_pending(const struct value *pod);
struct span stateful_pod_revision(const struct value *pod);

/* ---- statefulset_claims.c ---- */

struct span stateful_claim_name(struct stateful *s, const struct value *template, int64_t ordinal);
/* Makes those that are absent. True: all are there, and the pod may be made. False: they are on their way, or one is
 * about to go. */
bool stateful_claims_make(struct stateful *s, int64_t ordinal, bool has_pod);
/* Makes the owners of a pod's claims what the retention policy says. True: they were so. */
bool stateful_claims_settle(struct stateful *s, const struct numbered *n);
/* The sets that could have made a claim are woken. */
void stateful_claim_wakes(struct manager *m, const struct controller *c, const struct resource *resource,
			  const struct value *claim);
