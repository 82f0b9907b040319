/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * daemonset - what the files of the DaemonSet controller share; one call's view of a set.
 *
 *	daemonset.c          a call: history, status, which changes wake
 *	daemonset_pods.c     pods of a set and the nodes they are for
 *	daemonset_keep.c     the pods that each node should have, failed ones
 *	daemonset_update.c   the roll-out of a new template
 */
#include "controllers/revision.h"

/* A node and the set's pods there. Pods that ended and are being deleted do not count. */
struct daemon_place {
	struct span node;
	bool is_there;             /* the node; there may be pods of one that is gone */
	bool should_run;           /* a pod is to be there */
	bool may_stay;             /* one that is there need not go */
	const struct value **pods; /* those assigned to the node first, then older ones */
	uint32_t count;
};

struct daemons {
	struct reconcile *r;
	const struct value *spec, *template;
	struct value tolerations; /* of the pods made */
	int64_t min_ready;
	bool is_rolling;
	struct revisions revisions;
	struct value *current;        /* revision */
	struct span hash, generation; /* labels by which pods are of the current template */
	struct value *pods;           /* all of them */
	struct daemon_place *places;
	uint32_t place_count;
	int64_t desired;     /* nodes that should have a pod */
	int64_t made, taken; /* by this call */
	int64_t again_ns;    /* when a pod may be available, or a failed one may go; INT64_MAX: nothing waits */
};

/* ---- daemonset_pods.c ---- */

bool daemon_places_read(struct daemons *d);
bool daemon_is_current(const struct daemons *d, const struct value *pod);
bool daemon_is_available(struct daemons *d, const struct value *pod);
/* `failures`: how many pods before it failed there. No more than a burst of them is made by one call. */
void daemon_make(struct daemons *d, const struct daemon_place *place, int64_t failures);
void daemon_drop(struct daemons *d, const struct value *pod);
int64_t daemon_failures(const struct value *pod);

/* ---- daemonset_keep.c ---- */

void daemon_places_keep(struct daemons *d);

/* ---- daemonset_update.c ---- */

int64_t daemon_surge(const struct daemons *d, int64_t nodes);
void daemon_places_update(struct daemons *d);
