/* SPDX-License-Identifier: Apache-2.0 */
/* inference_service - InferenceServices: one call. */
#include "controllers/inference_service.h"

#include "base/number.h"

const struct resource resource_inference_services = { INFERENCE_GROUP, "v1beta1", "inferenceservices", INFERENCE_KIND };

#define TEMPLATE "hythe.dev/revision-of" /* the number of its template: what was made of it does not change */

/* ---- revisions ---- */

/* 3 of "iris-predictor-00003"; 0: it is none. */
static int64_t revision_number(const struct inference *x, const struct value *deployment)
{
	struct span name = object_name(deployment);
	int64_t number;

	if (!span_starts(name, x->base) || name.len < x->base.len + 2)
		return 0;
	name = span_skip(name, x->base.len + 1);
	while (name.len > 1 && name.ptr[0] == '0')
		name = span_skip(name, 1);
	return number_parse_int64(name, &number) && number > 0 ? number : 0;
}

static struct value *deployment_named(struct value *list, struct span name)
{
	for (uint32_t i = 0; name.len && i < count_of(list); i++)
		if (span_equal(object_name(value_item(list, i)), name))
			return value_item(list, i);
	return NULL;
}

/* The newest revision is the one that is wanted, or a new one is. */
static void newest_settle(struct inference *x, struct value *there, struct span number)
{
	struct value *last = NULL;
	int64_t highest = 0;

	for (uint32_t i = 0; i < count_of(there); i++) {
		int64_t one = revision_number(x, value_item(there, i));

		if (one > highest && !object_is_ending(value_item(there, i))) {
			highest = one;
			last = value_item(there, i);
		}
	}
	if (last && span_equal(object_annotation(last, TEMPLATE), number)) {
		x->newest = object_name(last);
		x->newest_deployment = last;
	} else {
		x->newest = text_print(x->r, SPAN_FMT "-%05lld", SPAN_WHOLE(x->base), (long long)highest + 1).string;
	}
}

static void traffic_settle(struct inference *x, struct value *there)
{
	const struct value *before = value_find(x->r->object, "status.components.predictor");
	const struct value *percent = get(x->predictor, "canaryTrafficPercent");
	struct value *stable = deployment_named(there, get_text(before, "latestRolledoutRevision"));

	x->previous = get_text(before, "previousRolledoutRevision");
	x->is_newest_ready = inference_is_ready(x, x->newest_deployment);
	x->stable = stable ? object_name(stable) : (struct span){ 0 };
	x->stable_deployment = stable;
	if (!stable || span_equal(x->stable, x->newest)) {
		x->newest_weight = 100;
		if (x->is_newest_ready)
			x->stable = x->newest;
	} else if (!x->is_newest_ready) {
		x->newest_weight = 0;
	} else if (percent) {
		x->newest_weight = percent->integer;
	} else {
		x->newest_weight = 100;
		x->previous = x->stable;
		x->stable = x->newest;
	}
}

/* ---- what it is made of ---- */

/* Where a container of its author listens. gRPC is a port that is named so, as for KServe ("h2c", "grpc-port"). */
static void ports_read(const struct inference *x, int64_t *ret_http, int64_t *ret_grpc)
{
	struct span format;
	const struct value *containers = get(x->predictor, "containers"), *ports;

	*ret_http = INFERENCE_HTTP;
	*ret_grpc = INFERENCE_GRPC;
	if (inference_model(x->predictor, &format) || !count_of(containers))
		return;
	ports = get(value_item(containers, 0), "ports");
	if (count_of(ports))
		*ret_http = get_int(value_item(ports, 0), "containerPort", *ret_http);
	for (uint32_t i = count_of(ports); i-- > 0;) {
		struct span name = get_text(value_item(ports, i), "name");

		if (span_starts(name, SPAN("grpc")) || span_starts(name, SPAN("h2c")))
			*ret_grpc = get_int(value_item(ports, i), "containerPort", *ret_grpc);
	}
}

static void service_want(struct inference *x, struct span name, struct span revision)
{
	struct reconcile *r = x->r;
	struct value *object = object_new(r, &resource_services, name);
	struct value annotations = value_object();
	int64_t http, grpc;

	if (!object)
		return;
	ports_read(x, &http, &grpc);
	put(r, put_object(r, object, "metadata"), "labels",
	    serving_made(r, "{'" INFERENCE_LABEL "':'%.*s','component':'predictor'}", SPAN_WHOLE(r->name)));
	put(r, object, "spec",
	    serving_made(
		r,
		"{'type':'ClusterIP','selector':{'app':'%.*s'},'ports':[{'name':'http','port':80,'targetPort':%lld,"
		"'protocol':'TCP'},{'name':'grpc','port':%d,'targetPort':%lld,'protocol':'TCP'}]}",
		SPAN_WHOLE(revision), (long long)http, INFERENCE_GRPC, (long long)grpc));
	if (span_equal(name, x->newest) && inference_native_annotate(x, &annotations))
		put(r, put_object(r, object, "metadata"), "annotations", annotations);
	(void)wanted_add(&x->wanted, &resource_services, object);
}

static void backend_put(struct inference *x, struct value *rule, int port, struct span revision, int64_t weight)
{
	put_item(x->r, put_array(x->r, rule, "backendRefs"),
		 serving_made(x->r, "{'group':'','kind':'Service','name':'%.*s','port':%d,'weight':%lld}",
			      SPAN_WHOLE(revision), port, (long long)weight));
}

static void backends_put(struct inference *x, struct value *rule, int port)
{
	backend_put(x, rule, port, x->newest, x->newest_weight);
	if (x->stable_deployment && !span_equal(object_name(x->stable_deployment), x->newest))
		backend_put(x, rule, port, object_name(x->stable_deployment), 100 - x->newest_weight);
}

static void route_want(struct inference *x, const struct resource *resource, struct span name, struct span host,
		       struct value rule)
{
	struct value rules = value_array();

	put_item(x->r, &rules, rule);
	(void)wanted_add(&x->wanted, resource, serving_route(x->r, resource, name, host, rules));
}

static struct value http_rule(struct inference *x, struct span path)
{
	struct reconcile *r = x->r;
	const struct value *timeout = get(x->predictor, "timeout");
	struct value rule =
	    serving_made(r, "{'matches':[{'path':{'type':'PathPrefix','value':'%.*s'}}]}", SPAN_WHOLE(path));

	if (path.len > 1)
		put_item(r, put_array(r, &rule, "filters"), serving_rewrite(r));
	backends_put(x, &rule, INFERENCE_SERVICE_HTTP);
	if (value_is(timeout, VALUE_INT) && timeout->integer > 0 && timeout->integer < 100000)
		put(r, &rule, "timeouts", serving_made(r, "{'request':'%llds'}", (long long)timeout->integer));
	return rule;
}

/* By host, and by path; gRPC, whose paths are its methods, by host alone. */
static void routes_want(struct inference *x)
{
	struct reconcile *r = x->r;
	struct span path =
	    text_print(r, "/serving/" SPAN_FMT "/" SPAN_FMT, SPAN_WHOLE(r->name_space), SPAN_WHOLE(r->name)).string;
	struct span name = text_print(r, SPAN_FMT "-path", SPAN_WHOLE(r->name)).string;
	struct value grpc = value_object();

	backends_put(x, &grpc, INFERENCE_GRPC);
	route_want(x, &resource_http_routes, r->name, x->host, http_rule(x, SPAN("/")));
	route_want(x, &resource_http_routes, name, (struct span){ 0 }, http_rule(x, path));
	route_want(x, &resource_grpc_routes, r->name, x->host, grpc);
}

static void all_want(struct inference *x, const struct value *template, struct span number)
{
	struct value *deployment = inference_deployment(x, x->newest, template);
	struct span stable = object_name(x->stable_deployment);

	if (deployment)
		put(x->r, put_object(x->r, put_object(x->r, deployment, "metadata"), "annotations"), TEMPLATE,
		    value_string(number));
	(void)wanted_add(&x->wanted, &resource_deployments, deployment);
	inference_scaler(x, x->newest);
	service_want(x, x->newest, x->newest);
	service_want(x, x->base, x->stable.len ? x->stable : x->newest);
	routes_want(x);
	/* What was rolled out stays as it was, until something else is. */
	if (x->stable_deployment && !span_equal(stable, x->newest)) {
		wanted_keep(&x->wanted, &resource_deployments,
			    reconcile_get(x->r, &resource_deployments, x->r->name_space, stable));
		wanted_keep(&x->wanted, &resource_services,
			    reconcile_get(x->r, &resource_services, x->r->name_space, stable));
		wanted_keep(&x->wanted, &resource_autoscalers,
			    reconcile_get(x->r, &resource_autoscalers, x->r->name_space, stable));
	}
}

static bool is_kept(const struct wanted_one *one)
{
	return one->object == one->there;
}

/* ---- one call ---- */

static void run(struct inference *x)
{
	struct reconcile *r = x->r;
	struct value *there = reconcile_owned(r, &resource_deployments), template = inference_template(x);
	struct span number;
	bool is_same = true;

	if (r->err->code)
		return;
	number =
	    text_print(r, "%016llx", (unsigned long long)span_hash(value_print(&template, r->arena, r->err))).string;
	newest_settle(x, there, number);
	traffic_settle(x, there);
	all_want(x, &template, number);
	for (size_t i = 0; !r->err->code && i < x->wanted.count; i++)
		if (!is_kept(&x->wanted.items[i]))
			is_same &= wanted_bring(&x->wanted, &x->wanted.items[i]);
	(void)wanted_sweep(&x->wanted, &resource_http_routes);
	(void)wanted_sweep(&x->wanted, &resource_grpc_routes);
	if (!is_same || !x->is_newest_ready)
		return;
	(void)wanted_sweep(&x->wanted, &resource_deployments);
	(void)wanted_sweep(&x->wanted, &resource_services);
	(void)wanted_sweep(&x->wanted, &resource_autoscalers);
}

static void reconcile(struct reconcile *r)
{
	struct inference x = { .r = r, .wanted = { .r = r } };

	if (!r->object || object_is_ending(r->object))
		return;
	x.spec = get(r->object, "spec");
	x.predictor = get(x.spec, "predictor");
	x.base = text_print(r, SPAN_FMT "-predictor", SPAN_WHOLE(r->name)).string;
	x.host =
	    text_print(r, SPAN_FMT "-" SPAN_FMT ".example.com", SPAN_WHOLE(r->name), SPAN_WHOLE(r->name_space)).string;
	x.url = text_print(r, "http://" SPAN_FMT, SPAN_WHOLE(x.host)).string;
	run(&x);
	if (!r->err->code)
		inference_status(&x);
}

static bool takes(const struct value *object, const struct value *other)
{
	return span_equal(object_label(other, INFERENCE_LABEL), object_name(object));
}

static const struct resource *const owned[] = { &resource_deployments, &resource_services,    &resource_autoscalers,
						&resource_http_routes, &resource_grpc_routes, NULL };
static const struct resource *const read[] = { &resource_pods, NULL };
static const struct resource *const quiet[] = { &resource_events, NULL };

const struct controller controller_inference_service = {
	.name = "inferenceservice-controller",
	.component = "v1beta1Controllers",
	.resource = &resource_inference_services,
	.owned = owned,
	.read = read,
	.quiet = quiet,
	.wakes = serving_wakes,
	.takes = takes,
	.reconcile = reconcile,
};
