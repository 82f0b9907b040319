/* SPDX-License-Identifier: Apache-2.0 */
/* inference_service_status - conditions, addresses, revisions and their traffic, the state of the model. */
#include "controllers/inference_service.h"

static struct value traffic_row(struct inference *x, struct span revision, int64_t percent, bool is_newest)
{
	struct value row = value_object();

	put(x->r, &row, "latestRevision", value_bool(is_newest));
	put(x->r, &row, "percent", value_int(percent));
	put(x->r, &row, "revisionName", value_string(revision));
	if (!is_newest)
		put(x->r, &row, "tag", value_string(SPAN("prev")));
	return row;
}

static struct value predictor_status(struct inference *x)
{
	struct reconcile *r = x->r;
	struct value v = value_object(), traffic = value_array(), address = value_object();
	struct span before = object_name(x->stable_deployment);
	const struct value *ready = value_find(r->object, "status.components.predictor.latestReadyRevision");
	bool has_two = before.len && !span_equal(before, x->newest) && x->newest_weight < 100;

	put(r, &v, "latestCreatedRevision", value_string(x->newest));
	if (x->is_newest_ready)
		put(r, &v, "latestReadyRevision", value_string(x->newest));
	else if (ready)
		put(r, &v, "latestReadyRevision", *ready);
	if (x->stable.len)
		put(r, &v, "latestRolledoutRevision", value_string(x->stable));
	if (x->previous.len)
		put(r, &v, "previousRolledoutRevision", value_string(x->previous));
	put_item(r, &traffic, traffic_row(x, x->newest, x->newest_weight, true));
	if (has_two)
		put_item(r, &traffic, traffic_row(x, before, 100 - x->newest_weight, false));
	put(r, &v, "traffic", traffic);
	put(r, &address, "url",
	    text_print(r, "http://" SPAN_FMT "." SPAN_FMT ".svc.cluster.local", SPAN_WHOLE(x->base),
		       SPAN_WHOLE(r->name_space)));
	put(r, &v, "address", address);
	put(r, &v, "url", value_string(x->url));
	return v;
}

static struct value model_status(struct inference *x, struct span why, bool is_failed)
{
	struct reconcile *r = x->r;
	int64_t total = value_find_int(x->newest_deployment, "status.replicas", 0);
	struct value v = value_object(), states = value_object(), failure = value_object();
	const char *state = x->is_newest_ready ? "Loaded" : is_failed ? "FailedToLoad" : total ? "Loading" : "Pending";

	put(r, &v, "transitionStatus",
	    value_string(x->is_newest_ready ? SPAN("UpToDate")
			 : is_failed        ? SPAN("BlockedByFailedLoad")
					    : SPAN("InProgress")));
	put(r, &states, "targetModelState", value_string(span_of(state)));
	put(r, &states, "activeModelState", value_string(x->stable.len ? SPAN("Loaded") : span_of(state)));
	put(r, &v, "states", states);
	put(r, &v, "copies",
	    serving_made(
		r, "{'failedCopies':%lld,'totalCopies':%lld}",
		(long long)(is_failed ? total - value_find_int(x->newest_deployment, "status.readyReplicas", 0) : 0),
		(long long)value_find_int(x->newest_deployment, "status.availableReplicas", 0)));
	if (is_failed) {
		put(r, &failure, "reason", value_string(SPAN("ModelLoadFailed")));
		put(r, &failure, "message", value_string(why));
		put(r, &failure, "modelRevisionName", value_string(x->newest));
		put(r, &v, "lastFailureInfo", failure);
	}
	return v;
}

static void say(struct inference *x, struct value *status, const char *type, bool is_true, const char *reason,
		struct span message)
{
	struct condition c = { .type = type,
			       .status = is_true ? "True" : "False",
			       .reason = is_true ? "" : reason,
			       .message = is_true ? SPAN("") : message };

	condition_set(x->r, status, &c);
	/* The words go on while the state stays. */
	put(x->r, put_condition(x->r, status, type), "message", value_string(c.message));
}

void inference_status(struct inference *x)
{
	struct reconcile *r = x->r;
	struct value *object = object_copy(r, r->object), *status, components = value_object(),
		     address = value_object();
	bool has_stable = x->stable.len > 0, is_failed, is_ready;
	struct span why = { 0 }, fault = r->refused.len ? r->refused : wanted_fault(&x->wanted);

	if (!object)
		return;
	if (fault.len)
		why = fault;
	else if (!x->is_newest_ready)
		why = serving_explain(r, INFERENCE_LABEL, r->name);
	is_failed = fault.len || (why.len && !x->is_newest_ready && x->newest_deployment);
	is_ready = x->is_newest_ready && !fault.len;
	status = put_object(r, object, "status");
	put(r, status, "observedGeneration", value_int(value_find_int(r->object, "metadata.generation", 0)));
	put(r, status, "deploymentMode", value_string(SPAN("RawDeployment")));
	put(r, status, "url", value_string(x->url));
	put(r, &address, "url",
	    text_print(r, "http://" SPAN_FMT "." SPAN_FMT ".svc.cluster.local", SPAN_WHOLE(x->base),
		       SPAN_WHOLE(r->name_space)));
	put(r, status, "address", address);
	put(r, &components, "predictor", predictor_status(x));
	put(r, status, "components", components);
	put(r, status, "modelStatus", model_status(x, why, is_failed));
	say(x, status, "IngressReady", has_stable, "NoReadyRevision", SPAN("no revision was ready so far"));
	say(x, status, "LatestDeploymentReady", is_ready, "NotReady", why);
	say(x, status, "PredictorReady", is_ready, "NotReady", why);
	say(x, status, "Ready", is_ready, "NotReady", why);
	reconcile_status(r, r->controller->resource, r->object, object);
}
