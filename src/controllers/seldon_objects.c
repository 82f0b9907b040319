/* SPDX-License-Identifier: Apache-2.0 */
/* seldon_objects - Services of predictors and of their containers, autoscalers and disruption budgets. */
#include "controllers/seldon.h"

enum { KEY_NAME_MOST = 63 };

struct value seldon_labels(struct seldon *s, const struct seldon_predictor *p)
{
	struct value labels = copied(s->r, get(p->spec, "labels"));

	if (labels.type != VALUE_OBJECT)
		labels = value_object();
	put(s->r, &labels, SELDON_LABEL_ID, value_string(s->id));
	put(s->r, &labels, "app.kubernetes.io/managed-by", value_string(SPAN("seldon-core")));
	return labels;
}

/* A name behind the prefix of a key has 63 characters at most. */
struct span seldon_service_label(struct seldon *s, struct span container)
{
	struct span key = text_print(s->r, SELDON_LABEL_SERVICE SPAN_FMT, SPAN_WHOLE(container)).string;

	return key.len <= KEY_NAME_MOST ? key : serving_name(s->r, key);
}

static struct value *service_make(struct seldon *s, const struct seldon_predictor *p, struct span name, int64_t http,
				  int64_t grpc)
{
	struct reconcile *r = s->r;
	struct value *object = object_new(r, &resource_services, name);

	if (!object)
		return NULL;
	put(r, put_object(r, object, "metadata"), "labels", seldon_labels(s, p));
	put(r, object, "spec",
	    serving_made(r,
			 "{'type':'ClusterIP','sessionAffinity':'None','ports':["
			 "{'name':'http','port':%lld,'targetPort':%lld,'protocol':'TCP'},"
			 "{'name':'grpc','port':%lld,'targetPort':%lld,'protocol':'TCP'}]}",
			 (long long)http, (long long)http, (long long)grpc, (long long)grpc));
	return object;
}

static void selector_put(struct seldon *s, struct value *service, struct span key, struct span value)
{
	struct value selector = value_object();

	(void)value_set(&selector, key, value_string(value), s->r->arena, s->r->err);
	put(s->r, put_object(s->r, service, "spec"), "selector", selector);
}

static void container_service(struct seldon *s, const struct seldon_predictor *p, const struct value *container)
{
	struct span name = get_text(container, "name");
	const struct value *node = seldon_node_of(p, name), *endpoint = get(node, "endpoint");
	struct value *service;

	if (!node)
		return;
	service = service_make(s, p, seldon_container_service(s, p, name), get_int(endpoint, "httpPort", 0),
			       get_int(endpoint, "grpcPort", 0));
	if (!service)
		return;
	selector_put(s, service, seldon_service_label(s, name), seldon_container_service(s, p, name));
	(void)wanted_add(&s->wanted, &resource_services, service);
}

/* Annotations of the entry by which the gateway answers itself; false: it cannot. */
static bool native_annotate(struct seldon *s, const struct seldon_predictor *p, struct value *annotations)
{
	const struct value *node = get(p->spec, "graph"), *container;
	struct span implementation = get_text(node, "implementation");
	struct value meta = value_object();
	uint32_t component;

	/* SKLEARN_SERVER and MLFLOW_SERVER are for models of Python. */
	if (!span_equal(implementation, SPAN("HYTHE_SERVER")) && !span_equal(implementation, SPAN("XGBOOST_SERVER")))
		return false;
	container = seldon_container_find(p->spec, node, &component);
	if (p->has_no_engine || p->is_shadow || !is_text(get(container, "image"), SERVING_PROGRAM) ||
	    count_of(get(node, "parameters")))
		return false;
	put(s->r, &meta, "deployment", value_string(s->r->name));
	put(s->r, &meta, "namespace", value_string(s->r->name_space));
	put(s->r, &meta, "predictor", value_string(p->name));
	put(s->r, &meta, "image", value_string(get_text(container, "image")));
	put(s->r, &meta, "protocol",
	    value_string(s->protocol == SELDON_V2           ? SPAN("v2")
			 : s->protocol == SELDON_TENSORFLOW ? SPAN("tensorflow")
							    : SPAN("seldon")));
	return serving_native_put(s->r, get_text(node, "modelUri"), get_text(node, "name"), &meta, annotations);
}

static void entry_service(struct seldon *s, const struct seldon_predictor *p)
{
	struct value *service = service_make(s, p, p->service, p->http_port, p->grpc_port);
	struct value annotations = value_object();

	if (!service)
		return;
	put(s->r, put_object(s->r, put_object(s->r, service, "metadata"), "labels"), SELDON_LABEL_APP,
	    value_string(p->service));
	selector_put(s, service, SPAN(SELDON_LABEL_APP), p->service);
	if (seldon_is_true(seldon_annotation(p->written, "seldon.io/headless-svc")) ||
	    seldon_is_true(seldon_annotation_of_all(s->object, "seldon.io/headless-svc")))
		put(s->r, put_object(s->r, service, "spec"), "clusterIP", value_string(SPAN("None")));
	if (native_annotate(s, p, &annotations))
		put(s->r, put_object(s->r, service, "metadata"), "annotations", annotations);
	(void)wanted_add(&s->wanted, &resource_services, service);
}

void seldon_services(struct seldon *s, struct seldon_predictor *p)
{
	const struct value *components = get(p->spec, "componentSpecs");

	entry_service(s, p);
	for (uint32_t i = 0; i < count_of(components); i++) {
		const struct value *containers = value_find(value_item(components, i), "spec.containers");

		for (uint32_t j = 0; j < count_of(containers); j++)
			container_service(s, p, value_item(containers, j));
	}
}

/* ---- autoscalers ---- */

/* A value of autoscaling/v2beta1's form as v2 has it. */
static struct value target_turn(struct seldon *s, const struct value *from, const char *value, const char *average)
{
	struct value target = value_object();
	const struct value *utilization = get(from, "targetAverageUtilization"), *each = get(from, average),
			   *whole = get(from, value);

	if (utilization) {
		put(s->r, &target, "type", value_string(SPAN("Utilization")));
		put(s->r, &target, "averageUtilization", *utilization);
	} else if (each) {
		put(s->r, &target, "type", value_string(SPAN("AverageValue")));
		put(s->r, &target, "averageValue", *each);
	} else if (whole) {
		put(s->r, &target, "type", value_string(SPAN("Value")));
		put(s->r, &target, "value", *whole);
	}
	return target;
}

static struct value metric_named(struct seldon *s, const struct value *from, const char *selector)
{
	struct value metric = value_object();

	put(s->r, &metric, "name", value_string(get_text(from, "metricName")));
	if (get(from, selector))
		put(s->r, &metric, "selector", *get(from, selector));
	return metric;
}

/* One of autoscaling/v2beta1's metrics as v2 has it; those that are of v2's form already stay. */
static struct value metric_turn(struct seldon *s, const struct value *metric)
{
	struct reconcile *r = s->r;
	struct span type = get_text(metric, "type");
	struct value turned = value_object(), source = value_object();
	const struct value *from;

	put(r, &turned, "type", value_string(type));
	if (span_equal(type, SPAN("Resource")) && (from = get(metric, "resource")) && !get(from, "target")) {
		put(r, &source, "name", value_string(get_text(from, "name")));
		put(r, &source, "target", target_turn(s, from, "", "targetAverageValue"));
		put(r, &turned, "resource", source);
	} else if (span_equal(type, SPAN("Pods")) && (from = get(metric, "pods")) && get(from, "metricName")) {
		put(r, &source, "metric", metric_named(s, from, "selector"));
		put(r, &source, "target", target_turn(s, from, "", "targetAverageValue"));
		put(r, &turned, "pods", source);
	} else if (span_equal(type, SPAN("External")) && (from = get(metric, "external")) && get(from, "metricName")) {
		put(r, &source, "metric", metric_named(s, from, "metricSelector"));
		put(r, &source, "target", target_turn(s, from, "targetValue", "targetAverageValue"));
		put(r, &turned, "external", source);
	} else if (span_equal(type, SPAN("Object")) && (from = get(metric, "object")) && get(from, "metricName")) {
		put(r, &source, "metric", metric_named(s, from, "selector"));
		put(r, &source, "describedObject", copied(r, get(from, "target")));
		put(r, &source, "target", target_turn(s, from, "targetValue", "averageValue"));
		put(r, &turned, "object", source);
	} else {
		return copied(r, metric);
	}
	return turned;
}

void seldon_scaler(struct seldon *s, const struct value *component, const struct value *deployment)
{
	struct reconcile *r = s->r;
	const struct value *wish = get(component, "hpaSpec"), *metrics = get(wish, "metricsv2");
	struct value *object, spec, list = value_array();

	if (!wish)
		return;
	object = object_new(r, &resource_autoscalers, object_name(deployment));
	if (!object)
		return;
	put(r, put_object(r, object, "metadata"), "labels", copied(r, value_find(deployment, "metadata.labels")));
	spec = serving_made(r, "{'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'%.*s'}}",
			    SPAN_WHOLE(object_name(deployment)));
	put(r, &spec, "maxReplicas", value_int(get_int(wish, "maxReplicas", 1)));
	if (get(wish, "minReplicas"))
		put(r, &spec, "minReplicas", *get(wish, "minReplicas"));
	if (count_of(metrics))
		list = copied(r, metrics);
	for (uint32_t i = 0; !count_of(metrics) && i < count_of(get(wish, "metrics")); i++)
		put_item(r, &list, metric_turn(s, value_item(get(wish, "metrics"), i)));
	if (count_of(&list))
		put(r, &spec, "metrics", list);
	put(r, object, "spec", spec);
	(void)wanted_add(&s->wanted, &resource_autoscalers, object);
}

void seldon_budget(struct seldon *s, const struct value *component, const struct value *deployment)
{
	static const char *const members[] = { "minAvailable", "maxUnavailable" };
	struct reconcile *r = s->r;
	const struct value *wish = get(component, "pdbSpec");
	struct value *object, spec;

	if (!wish)
		return;
	object = object_new(r, &resource_disruption_budgets, object_name(deployment));
	if (!object)
		return;
	put(r, put_object(r, object, "metadata"), "labels", copied(r, value_find(deployment, "metadata.labels")));
	spec = serving_made(r, "{'selector':{'matchLabels':{'app':'%.*s'}}}", SPAN_WHOLE(object_name(deployment)));
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (get(wish, members[i]))
			put(r, &spec, members[i], *get(wish, members[i]));
	put(r, object, "spec", spec);
	(void)wanted_add(&s->wanted, &resource_disruption_budgets, object);
}
