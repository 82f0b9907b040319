/* SPDX-License-Identifier: Apache-2.0 */
/* seldon_status - the state of a SeldonDeployment, of all that it is made of, and why it is not another one. */
#include "controllers/seldon.h"

/* Its roll-out took longer than it may, and nothing of it answers. */
static bool has_failed(const struct value *deployment)
{
	const struct value *status = get(deployment, "status");

	return condition_is(status, "Progressing", "False") && condition_is(status, "Available", "False");
}

/* ---- parts ---- */

static struct span deployment_fault(const struct value *deployment)
{
	const struct value *failure = condition_find(get(deployment, "status"), "ReplicaFailure");

	return is_text(get(failure, "status"), "True") ? get_text(failure, "message") : (struct span){ 0 };
}

static struct value deployments_status(struct seldon *s)
{
	struct value all = value_object();

	for (size_t i = 0; i < s->wanted.count; i++) {
		const struct wanted_one *one = &s->wanted.items[i];
		struct value row = value_object();

		if (one->resource != &resource_deployments)
			continue;
		put_count(s->r, &row, "replicas", value_find_int(one->there, "status.replicas", 0));
		put_count(s->r, &row, "availableReplicas", value_find_int(one->there, "status.availableReplicas", 0));
		(void)value_set(&all, object_name(one->object), row, s->r->arena, s->r->err);
	}
	return all;
}

static struct value services_status(struct seldon *s)
{
	struct value all = value_object();

	for (size_t i = 0; i < s->wanted.count; i++) {
		const struct wanted_one *one = &s->wanted.items[i];
		const struct value *ports = value_find(one->object, "spec.ports");
		struct span name = object_name(one->object);
		struct value row = value_object();

		if (one->resource != &resource_services || count_of(ports) < 2)
			continue;
		put(s->r, &row, "svcName", value_string(name));
		for (uint32_t j = 0; j < 2; j++)
			put(s->r, &row, j ? "grpcEndpoint" : "httpEndpoint",
			    text_print(s->r, SPAN_FMT "." SPAN_FMT ":%lld", SPAN_WHOLE(name),
				       SPAN_WHOLE(s->r->name_space),
				       (long long)get_int(value_item(ports, j), "port", 0)));
		(void)value_set(&all, name, row, s->r->arena, s->r->err);
	}
	return all;
}

static struct value address(struct seldon *s)
{
	const struct seldon_predictor *p = &s->predictors[0];
	struct span root = value_find_string(p->spec, "graph.name");
	struct value path = s->protocol == SELDON_SELDON ? value_string(SPAN("/api/v1.0/predictions"))
			    : s->protocol == SELDON_V2
				? text_print(s->r, "/v2/models/" SPAN_FMT "/infer", SPAN_WHOLE(root))
				: text_print(s->r, "/v1/models/" SPAN_FMT ":predict", SPAN_WHOLE(root));
	struct value v = value_object();

	put(s->r, &v, "url",
	    text_print(s->r, "http://" SPAN_FMT "." SPAN_FMT ".svc.cluster.local:%lld" SPAN_FMT, SPAN_WHOLE(p->service),
		       SPAN_WHOLE(s->r->name_space), (long long)p->http_port, SPAN_WHOLE(path.string)));
	return v;
}

static bool are_there(const struct seldon *s, const struct resource *resource)
{
	for (size_t i = 0; i < s->wanted.count; i++)
		if (s->wanted.items[i].resource == resource && !s->wanted.items[i].there)
			return false;
	return true;
}

static bool is_wanted(const struct seldon *s, const struct resource *resource)
{
	for (size_t i = 0; i < s->wanted.count; i++)
		if (s->wanted.items[i].resource == resource)
			return true;
	return false;
}

static void say(struct seldon *s, struct value *status, const char *type, bool is_true, const char *reason)
{
	struct condition c = { .type = type, .status = is_true ? "True" : "False", .reason = reason };

	condition_set(s->r, status, &c);
}

static void conditions_put(struct seldon *s, struct value *status, bool are_deployments_ready, bool is_ready)
{
	say(s, status, "DeploymentsReady", are_deployments_ready, are_deployments_ready ? "Ready" : "NotReady");
	say(s, status, "ServicesReady", are_there(s, &resource_services),
	    are_there(s, &resource_services) ? "All services created" : "NotReady");
	say(s, status, "HpasReady", are_there(s, &resource_autoscalers),
	    is_wanted(s, &resource_autoscalers) ? "All HPAs created" : "No HPAs defined");
	say(s, status, "KedaReady", true, "No KEDA resources defined");
	say(s, status, "PdbsReady", are_there(s, &resource_disruption_budgets),
	    is_wanted(s, &resource_disruption_budgets) ? "All PDBs created" : "No PDBs defined");
	say(s, status, "istioVirtualServicesReady", are_there(s, &resource_http_routes), "HTTPRoutes take their place");
	say(s, status, "Ready", is_ready, is_ready ? "Ready" : "NotReady");
}

/* ---- the whole ---- */

struct judgement {
	const char *state;
	struct span description;
	bool are_deployments_ready;
};

static struct judgement judge(struct seldon *s)
{
	struct judgement j = { .state = "Available", .are_deployments_ready = true };
	bool is_failed = false;
	struct span fault = { 0 }, why;

	for (size_t i = 0; i < s->wanted.count; i++) {
		const struct wanted_one *one = &s->wanted.items[i];

		if (one->resource != &resource_deployments)
			continue;
		if (!serving_is_ready(one->there))
			j.are_deployments_ready = false;
		is_failed |= one->there && has_failed(one->there);
		if (!fault.len)
			fault = deployment_fault(one->there);
	}
	if (s->fault.len)
		return (struct judgement){ "Failed", s->fault, false };
	if (j.are_deployments_ready && are_there(s, &resource_services) && are_there(s, &resource_http_routes))
		return j;
	j.state = is_failed ? "Failed" : "Creating";
	why = serving_explain(s->r, SELDON_LABEL_ID, s->id);
	if (!why.len)
		why = fault;
	if (is_failed)
		why = arena_print(s->r->arena, s->r->err,
				  "Deployment is no longer progressing and not available."
				  "%s%.*s",
				  why.len ? " " : "", SPAN_WHOLE(why));
	j.description = why;
	return j;
}

void seldon_status(struct seldon *s)
{
	struct reconcile *r = s->r;
	struct value *object = object_copy(r, s->object), *status;
	struct judgement j;
	struct span before = value_find_string(s->object, "status.state");
	int64_t generation = value_find_int(s->object, "metadata.generation", 0);

	if (!object)
		return;
	if (!s->fault.len)
		s->fault = wanted_fault(&s->wanted);
	j = judge(s);
	status = put_object(r, object, "status");
	put(r, status, "state", value_string(span_of(j.state)));
	if (j.description.len)
		put(r, status, "description", value_string(j.description));
	else
		(void)value_remove(status, SPAN("description"));
	put(r, status, "observedGeneration", value_int(generation));
	if (s->count && !s->fault.len) {
		struct value deployments = deployments_status(s);
		int64_t replicas =
		    count_of(&deployments) ? get_int(&deployments.object.members[0].value, "replicas", 0) : 0;

		put(r, status, "deploymentStatus", deployments);
		put(r, status, "serviceStatus", services_status(s));
		put(r, status, "replicas", value_int(replicas));
		put(r, status, "address", address(s));
	}
	conditions_put(s, status, j.are_deployments_ready, strcmp(j.state, "Available") == 0);
	reconcile_status(r, r->controller->resource, s->object, object);
	if (!span_equal(before, span_of(j.state))) {
		if (strcmp(j.state, "Failed") == 0)
			reconcile_event(r, "Warning", "InternalError", "%.*s", SPAN_WHOLE(j.description));
		else
			reconcile_event(r, "Normal", "Updated", "Updated SeldonDeployment \"" SPAN_FMT "\": %s",
					SPAN_WHOLE(r->name), j.state);
	}
}
