/* SPDX-License-Identifier: Apache-2.0 */
/* deployment_status - how far a roll-out is: numbers, and the conditions Available, Progressing and ReplicaFailure. */
#include "controllers/deployment.h"

#include "base/clock.h"

static bool is_done(const struct rollout *d, const struct value *status)
{
	return value_find_int(status, "updatedReplicas", 0) == d->replicas &&
	       value_find_int(status, "replicas", 0) == d->replicas &&
	       value_find_int(status, "availableReplicas", 0) == d->replicas &&
	       value_find_int(status, "observedGeneration", 0) >=
		   value_find_int(d->r->object, "metadata.generation", 0);
}

bool is_complete(const struct rollout *d)
{
	return is_done(d, member(d->r->object, "status"));
}

static void set_condition(struct rollout *d, struct value *status, const char *type, const char *is, const char *reason,
			  struct value message, bool is_news)
{
	condition_set(d->r, status,
		      &(struct condition){ .type = type,
					   .status = is,
					   .reason = reason,
					   .message = message.string,
					   .has_update_time = true,
					   .is_news = is_news });
}

static void count(struct rollout *d, struct value *status)
{
	int64_t available = sets_sum(d, "status.availableReplicas");
	bool is_enough = available >= d->replicas - d->unavailable;

	put(d->r, status, "observedGeneration", value_int(value_find_int(d->r->object, "metadata.generation", 0)));
	put_count(d->r, status, "replicas", sets_sum(d, "status.replicas"));
	put_count(d->r, status, "updatedReplicas", d->fresh ? value_find_int(d->fresh, "status.replicas", 0) : 0);
	put_count(d->r, status, "readyReplicas", sets_sum(d, "status.readyReplicas"));
	put_count(d->r, status, "availableReplicas", available);
	put_count(d->r, status, "unavailableReplicas", MAX(sets_sum(d, "spec.replicas") - available, (int64_t)0));
	if (d->collisions >= 0)
		put(d->r, status, "collisionCount", value_int(d->collisions));
	set_condition(d, status, "Available", is_enough ? "True" : "False",
		      is_enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
		      text_print(d->r, "Deployment %s minimum availability.", is_enough ? "has" : "does not have"),
		      false);
}

/* ---- Progressing ---- */

static bool has_progressed(const struct rollout *d, const struct value *status)
{
	const struct value *before = member(d->r->object, "status");
	int64_t updated = value_find_int(status, "updatedReplicas", 0),
		updated_before = value_find_int(before, "updatedReplicas", 0);

	(void)d;
	return updated > updated_before ||
	       value_find_int(status, "replicas", 0) - updated <
		   value_find_int(before, "replicas", 0) - updated_before ||
	       value_find_int(status, "readyReplicas", 0) > value_find_int(before, "readyReplicas", 0) ||
	       value_find_int(status, "availableReplicas", 0) > value_find_int(before, "availableReplicas", 0);
}

/* When the time is up, by what was heard last; 0: it is not counted. */
static int64_t deadline_of(const struct rollout *d, const struct value *condition)
{
	struct span reason = value_find_string(condition, "reason");
	int64_t since = object_time(condition, "lastUpdateTime");

	if (!since || span_equal(reason, SPAN("NewReplicaSetAvailable")))
		return 0;
	return since + value_find_int(d->spec, "progressDeadlineSeconds", 600) * NS_PER_S;
}

static void progress(struct rollout *d, struct value *status)
{
	const struct value *was = condition_find(status, "Progressing");
	struct span reason = value_find_string(was, "reason");
	struct value of = d->fresh ? text_print(d->r, "ReplicaSet \"" SPAN_FMT "\"", SPAN_ARG(object_name(d->fresh)))
				   : text_print(d->r, "Deployment \"" SPAN_FMT "\"", SPAN_ARG(d->r->name));
	int64_t deadline;

	if (value_find_int(status, "replicas", 0) == value_find_int(status, "updatedReplicas", 0) &&
	    span_equal(reason, SPAN("NewReplicaSetAvailable")))
		return; /* a roll-out that is over does not begin again when a pod dies */
	if (is_done(d, status)) {
		set_condition(d, status, "Progressing", "True", "NewReplicaSetAvailable",
			      text_print(d->r, SPAN_FMT " has successfully progressed.", SPAN_ARG(of.string)), false);
		return;
	}
	if (has_progressed(d, status)) {
		set_condition(d, status, "Progressing", "True", "ReplicaSetUpdated",
			      text_print(d->r, SPAN_FMT " is progressing.", SPAN_ARG(of.string)), true);
		was = condition_find(status, "Progressing");
	}
	deadline = deadline_of(d, was);
	if (!deadline || span_equal(reason, SPAN("ProgressDeadlineExceeded")))
		return;
	if (d->r->now_ns > deadline)
		set_condition(d, status, "Progressing", "False", "ProgressDeadlineExceeded",
			      text_print(d->r, SPAN_FMT " has timed out progressing.", SPAN_ARG(of.string)), false);
	else
		reconcile_again(d->r, deadline + NS_PER_S);
}

static void progress_of_fresh(struct rollout *d, struct value *status)
{
	if (d->r->refused.len)
		set_condition(d, status, "Progressing", "False", "ReplicaSetCreateError", value_string(d->r->refused),
			      false);
	else if (d->is_made)
		set_condition(
		    d, status, "Progressing", "True", "NewReplicaSetCreated",
		    text_print(d->r, "Created new replica set \"" SPAN_FMT "\"", SPAN_ARG(object_name(d->fresh))),
		    true);
	else if (d->fresh && !condition_find(status, "Progressing"))
		set_condition(
		    d, status, "Progressing", "True", "FoundNewReplicaSet",
		    text_print(d->r, "Found new replica set \"" SPAN_FMT "\"", SPAN_ARG(object_name(d->fresh))), false);
}

static void pause(struct rollout *d, struct value *status)
{
	struct span reason = value_find_string(condition_find(status, "Progressing"), "reason");
	bool was_paused = span_equal(reason, SPAN("DeploymentPaused"));

	if (span_equal(reason, SPAN("ProgressDeadlineExceeded")) || d->is_paused == was_paused)
		return;
	set_condition(d, status, "Progressing", "Unknown", d->is_paused ? "DeploymentPaused" : "DeploymentResumed",
		      text_print(d->r, "Deployment is %s", d->is_paused ? "paused" : "resumed"), false);
}

/* ---- ReplicaFailure ---- */

static void failure_copy(struct rollout *d, struct value *status)
{
	const struct value *failure = NULL;

	for (uint32_t i = 0; i < d->set_count && !failure; i++)
		failure = condition_find(member(d->sets[i], "status"), "ReplicaFailure");
	if (failure)
		set_condition(d, status, "ReplicaFailure", "True", "FailedCreate",
			      value_string(value_find_string(failure, "message")), false);
	else
		condition_drop(status, "ReplicaFailure");
}

void status_sync(struct rollout *d, bool has_progress)
{
	const struct value *before = member(d->r->object, "status");
	struct value *object = object_copy(d->r, d->r->object), *status = put_object(d->r, object, "status");
	bool is_watched = member(d->spec, "progressDeadlineSeconds") != NULL;
	struct span revision = object_annotation(object, ANNOTATION_REVISION);

	if (d->r->err->code)
		return;
	count(d, status);
	if (is_watched) {
		pause(d, status);
		progress_of_fresh(d, status);
		if (has_progress)
			progress(d, status);
	} else {
		condition_drop(status, "Progressing");
	}
	if (has_progress)
		failure_copy(d, status);
	if (d->revision.len && !span_equal(revision, d->revision)) {
		put(d->r, put_object(d->r, put_object(d->r, object, "metadata"), "annotations"), ANNOTATION_REVISION,
		    value_string(d->revision));
		before = NULL;
	}
	reconcile_status(d->r, &resource_deployments, before, object);
}
