/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * job - what the files of the Job controller share.
 *
 * A pod of a job carries a finalizer until its end is written down, so that no end is lost or counted twice. That takes three calls: the
 * pod's uid is put into status.uncountedTerminatedPods (an index: into completedIndexes); its finalizer is removed; the uid is taken out
 * again and the counter raised. A job ends the same way: what has decided it is written first (SuccessCriteriaMet, FailureTarget), then
 * its pods end and are counted, then it is Complete or Failed.
 *
 *	job.c          the call: how things stand, what decides the end
 *	job_pods.c     pods as they are seen; making and removing them; back-off
 *	job_count.c    ends written down and counted, finalizers removed, the end of the job
 *	job_indexes.c  sets of indexes: "1,3-5,7"
 *	job_policy.c   podFailurePolicy, successPolicy
 */
#include "controllers/objects.h"

#define JOB_FINALIZER "batch.kubernetes.io/job-tracking"
#define JOB_INDEX     "batch.kubernetes.io/job-completion-index" /* label and annotation */
#define JOB_FAILURES  "batch.kubernetes.io/job-index-failure-count"
#define JOB_IGNORED   "batch.kubernetes.io/job-index-ignored-failure-count"

enum {
	JOB_PODS_A_CALL = 500,    /* made or removed */
	JOB_UNCOUNTED_MOST = 500, /* in status.uncountedTerminatedPods */
};

/* ---- sets of indexes ---- */

struct interval {
	int64_t first, last;
};

struct indexes { /* ascending, with gaps between them */
	struct interval *items;
	uint32_t count;
};

/* Those below `most`; what cannot be read is left out. */
struct indexes indexes_read(struct reconcile *r, struct span text, int64_t most);
struct value indexes_text(struct reconcile *r, struct indexes set);
bool indexes_have(struct indexes set, int64_t index);
int64_t indexes_total(struct indexes set);
struct indexes indexes_join(struct reconcile *r, struct indexes a, struct indexes b);
/* `list` in any order. */
struct indexes indexes_of(struct reconcile *r, int64_t *list, uint32_t count);
int64_t indexes_shared(struct indexes a, struct indexes b); /* how many are in both */

/* ---- a call ---- */

enum job_action { ACTION_COUNT, ACTION_IGNORE, ACTION_FAIL_INDEX, ACTION_FAIL_JOB };

struct job_pod {
	const struct value *pod;
	struct span uid;
	int64_t index;       /* -1: none */
	int64_t failures;    /* of its index before it */
	int64_t ignored;     /* of its index, that did not count */
	int64_t finished_ns; /* when it ended, or about then */
	bool has_finalizer, is_active, is_ready, is_succeeded, is_failed;
	bool is_noted;          /* its end is stored, to be counted */
	bool is_terminating;    /* is being deleted, and runs still */
	enum job_action action; /* of podFailurePolicy, for a failed one */
};

struct job_end {
	const char *
	    type; /* NULL: it goes on; "SuccessCriteriaMet", "FailureTarget", "Failed" (FailureTarget is written already) */
	struct span reason, message;
};

struct job {
	struct reconcile *r;
	const struct value *spec, *before; /* `before`: the status as it is stored */
	struct value *object, *status;     /* to be written */
	struct job_pod *pods;
	uint32_t pod_count;
	int64_t active, ready, terminating, succeeded, failed;
	int64_t completions, parallelism; /* -1: any number */
	bool is_indexed, is_suspended, is_ending;
	bool has_limit_per_index;
	bool replaces_failed_only; /* pods that are being deleted are waited for */
	struct indexes done_before, done, failed_indexes;
	struct job_end end;
};

/* job_pods.c */
bool job_pods_read(struct job *j);
bool job_pod_counts(const struct job *j, const struct job_pod *p); /* tracked, and of an index that the job has */
int64_t job_restarts(const struct job *j);                         /* of containers of pods that have not ended */
/* As many pods as there should be; `active` and its like are counted as if it had happened. */
void job_pods_manage(struct job *j);
void job_pods_end(struct job *j); /* deletes all that run */
void job_pod_untrack(struct reconcile *r, const struct value *pod);

/* job_indexes.c */
void job_indexes_read(struct job *j);
/* The failed pod that is kept until its successor of this index has taken over its count; NULL: none. */
const struct job_pod *job_kept_pod(const struct job *j, int64_t index);

/* job_policy.c */
/* What podFailurePolicy has to say about a failed pod. Of ACTION_FAIL_JOB *ret_message (may be NULL) is the reason told. */
enum job_action job_policy_action(const struct job *j, const struct value *pod, struct span *ret_message);
bool job_policy_success(const struct job *j, struct span *ret_message);

/* job_count.c */
void job_count(struct job *j);

/* job.c */
/* Changes the condition in its place, or appends it; a first one that is False is left out. True: it is news. */
bool job_condition(struct job *j, const char *type, const char *status, struct span reason, struct span message);
