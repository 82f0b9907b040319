/* SPDX-License-Identifier: Apache-2.0 */
/* gauges - from an object to the services whose requests count as its, and what is counted of these. */
#include "kube/gauges.h"

#include <stdlib.h>

#include "kube/cluster.h"
#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"

enum { SERVICES_MOST = 256 }; /* that one object leads to */

static const char *const gauge_names[] = { "requests_per_second", "requests_in_flight" };

struct asking;

struct gauge_kind {
	const char *group, *kind, *plural, *api_version;
	/* Adds the services that it leads to. */
	void (*services)(struct asking *a, const struct value *object);
};

struct asking {
	struct kube *kube;
	const struct gauge_question *q;
	const struct gauge_kind *kind;
	struct arena *arena;
	struct error *err;
	struct span services[SERVICES_MOST]; /* of the object that is looked at */
	size_t service_count;
	const struct value *objects; /* array: those asked about */
	struct value slices;         /* array: of the namespace */
	bool has_slices;
	struct gauge *items;
	size_t count;
};

/* ---- what is counted ---- */

static int64_t milli_of(const struct asking *a, const struct gauge_use *u)
{
	double milli = u->rate * 1000;

	if (span_equal(a->q->metric, span_of(gauge_names[1])))
		return MIN(u->in_flight, INT64_MAX / 1000) * 1000;
	return milli > 0 && milli < 1e18 ? (int64_t)(milli + 0.5) : 0;
}

static int64_t service_milli(const struct asking *a, struct span service, struct span pod)
{
	const struct gauge_provider *p = &a->kube->gauges;
	struct gauge_use use = { 0 };

	return p->use_of(p->context, a->q->name_space, service, pod, &use) ? milli_of(a, &use) : 0;
}

static void add(struct asking *a, struct span name, int64_t milli)
{
	a->items[a->count++] = (struct gauge){ .name = name,
					       .api_version = a->kind ? a->kind->api_version : "v1",
					       .kind = a->kind ? a->kind->kind : "Service",
					       .milli = milli };
}

/* ---- the services of an object ---- */

static void service_add(struct asking *a, struct span name)
{
	for (size_t i = 0; i < a->service_count; i++)
		if (span_equal(a->services[i], name))
			return;
	if (name.len && a->service_count < SERVICES_MOST)
		a->services[a->service_count++] = name;
}

static void of_service(struct asking *a, const struct value *object)
{
	service_add(a, value_find_string(object, "metadata.name"));
}

static void of_ingress(struct asking *a, const struct value *object)
{
	const struct value *rules = value_find(object, "spec.rules");

	service_add(a, value_find_string(object, "spec.defaultBackend.service.name"));
	for (uint32_t i = 0; i < count_of(rules); i++) {
		const struct value *paths = value_find(value_item(rules, i), "http.paths");

		for (uint32_t j = 0; j < count_of(paths); j++)
			service_add(a, value_find_string(value_item(paths, j), "backend.service.name"));
	}
}

static void of_route(struct asking *a, const struct value *object)
{
	const struct value *rules = value_find(object, "spec.rules");

	for (uint32_t i = 0; i < count_of(rules); i++) {
		const struct value *refs = get(value_item(rules, i), "backendRefs");

		for (uint32_t j = 0; j < count_of(refs); j++) {
			const struct value *ref = value_item(refs, j);
			struct span kind = get_text(ref, "kind"), name_space = get_text(ref, "namespace");

			if ((!kind.len || span_equal(kind, SPAN("Service"))) &&
			    (!name_space.len || span_equal(name_space, a->q->name_space)))
				service_add(a, get_text(ref, "name"));
		}
	}
}

static const struct gauge_kind gauge_kinds[] = {
	{ "", "Pod", "pods", "v1", NULL },
	{ "", "Service", "services", "v1", of_service },
	{ "networking.k8s.io", "Ingress", "ingresses.networking.k8s.io", "networking.k8s.io/v1", of_ingress },
	{ "gateway.networking.k8s.io", "HTTPRoute", "httproutes.gateway.networking.k8s.io",
	  "gateway.networking.k8s.io/v1", of_route },
	{ "gateway.networking.k8s.io", "GRPCRoute", "grpcroutes.gateway.networking.k8s.io",
	  "gateway.networking.k8s.io/v1", of_route },
};

/* ---- objects ---- */

struct gathering {
	struct asking *a;
	const struct kind *kind;
	struct value *list;
	const struct selector *selector;
};

static bool object_take(void *context, struct record *r)
{
	struct gathering *g = context;
	struct value *object = record_object(g->kind, r, g->a->arena, g->a->err);

	if (!object)
		return false;
	if (!g->selector || selector_takes(g->selector, value_find(object, "metadata.labels")))
		(void)value_append(g->list, *object, g->a->arena, g->a->err);
	return !g->a->err->code;
}

static bool gather(struct asking *a, const struct kind *kind, const struct selector *selector, struct value *list)
{
	struct gathering g = { .a = a, .kind = kind, .list = list, .selector = selector };
	struct span prefix = kube_key(kind, a->q->name_space, (struct span){ 0 }, a->arena);

	return store_list(kube_store(a->kube), prefix, (struct span){ 0 }, 0, object_take, &g, a->err) && !a->err->code;
}

static bool objects_find(struct asking *a)
{
	const struct kind *kind =
	    kube_kind_named(a->kube, span_of(a->kind->group), (struct span){ 0 }, span_of(a->kind->kind));
	struct value *list = ARENA_NEW(a->arena, struct value, a->err), *one;

	if (!list)
		return false;
	*list = value_array();
	a->objects = list;
	if (!kind)
		return true;
	if (!a->q->name.len)
		return gather(a, kind, a->q->objects, list);
	one = kube_object(a->kube, kind, a->q->name_space, a->q->name, false, a->arena, a->err);
	if (one)
		(void)value_append(list, *one, a->arena, a->err);
	return !a->err->code;
}

/* ---- pods: by the slices that have them ---- */

static bool slice_has(const struct value *slice, struct span pod)
{
	const struct value *endpoints = get(slice, "endpoints");

	for (uint32_t i = 0; i < count_of(endpoints); i++) {
		const struct value *target = get(value_item(endpoints, i), "targetRef");

		if (span_equal(get_text(target, "name"), pod) && span_equal(get_text(target, "kind"), SPAN("Pod")))
			return true;
	}
	return false;
}

static bool slices_find(struct asking *a)
{
	const struct kind *kind =
	    kube_kind_named(a->kube, SPAN("discovery.k8s.io"), (struct span){ 0 }, SPAN("EndpointSlice"));

	a->slices = value_array();
	return kind && gather(a, kind, NULL, &a->slices);
}

static void of_pod(struct asking *a, struct span pod)
{
	for (uint32_t i = 0; i < count_of(&a->slices); i++) {
		const struct value *slice = value_item(&a->slices, i);
		const struct value *labels = value_find(slice, "metadata.labels");

		if (slice_has(slice, pod))
			service_add(a, get_text(labels, "kubernetes.io/service-name"));
	}
}

/* ---- answering ---- */

static bool not_found(struct asking *a)
{
	const struct gauge_question *q = a->q;

	if (q->labels_text.len)
		return error_set(a->err, ERROR_NOT_FOUND,
				 "the server could not find the metric " SPAN_FMT " for %s " SPAN_FMT
				 " with selector " SPAN_FMT,
				 SPAN_ARG(q->metric), a->kind->plural, SPAN_ARG(q->name), SPAN_ARG(q->labels_text));
	return error_set(a->err, ERROR_NOT_FOUND, "the server could not find the metric " SPAN_FMT " for %s%s" SPAN_FMT,
			 SPAN_ARG(q->metric), a->kind->plural, q->name.len ? " " : "", SPAN_ARG(q->name));
}

static void object_answer(struct asking *a, const struct value *object)
{
	struct span name = value_find_string(object, "metadata.name");
	bool is_pod = !a->kind->services;
	__int128 sum = 0;

	a->service_count = 0;
	if (is_pod)
		of_pod(a, name);
	else
		a->kind->services(a, object);
	for (size_t i = 0; i < a->service_count; i++)
		sum += service_milli(a, a->services[i], is_pod ? name : (struct span){ 0 });
	if (a->service_count)
		add(a, name, (int64_t)MIN(sum, (__int128)INT64_MAX));
}

static bool objects_answer(struct asking *a)
{
	/* No gauge of an object has labels of its own. */
	if (a->q->labels && !selector_takes(a->q->labels, NULL))
		return not_found(a);
	if (!objects_find(a) || (!a->kind->services && !slices_find(a)))
		return false;
	a->items = ARENA_ARRAY(a->arena, struct gauge, count_of(a->objects) + 1, a->err);
	for (uint32_t i = 0; a->items && i < count_of(a->objects); i++)
		object_answer(a, value_item(a->objects, i));
	return a->items && (a->count || !a->q->name.len || not_found(a));
}

static bool external_takes(struct asking *a, struct span service)
{
	struct value labels = value_object();

	return !a->q->labels ||
	       (value_set(&labels, SPAN("namespace"), value_string(a->q->name_space), a->arena, a->err) &&
		value_set(&labels, SPAN("service"), value_string(service), a->arena, a->err) &&
		selector_takes(a->q->labels, &labels));
}

static bool external_answer(struct asking *a)
{
	const struct kind *kind = kube_kind_named(a->kube, SPAN(""), (struct span){ 0 }, SPAN("Service"));
	struct value list = value_array();

	if (!kind || !gather(a, kind, NULL, &list))
		return false;
	a->items = ARENA_ARRAY(a->arena, struct gauge, count_of(&list) + 1, a->err);
	for (uint32_t i = 0; a->items && i < count_of(&list); i++) {
		struct span name = value_find_string(value_item(&list, i), "metadata.name");

		if (external_takes(a, name))
			add(a, name, service_milli(a, name, (struct span){ 0 }));
	}
	return a->items && !a->err->code;
}

static bool is_known(struct span metric)
{
	return span_equal(metric, span_of(gauge_names[0])) || span_equal(metric, span_of(gauge_names[1]));
}

bool gauges_find(struct kube *k, const struct gauge_question *q, struct gauges *ret, struct arena *arena,
		 struct error *err)
{
	struct asking a = { .kube = k, .q = q, .arena = arena, .err = err };
	bool is_good;

	if (!k->gauges.use_of && q->is_external)
		return error_set(err, ERROR_NOT_FOUND, "the server could not find the requested resource");
	if (!k->gauges.use_of)
		return error_set(err, ERROR_NOT_FOUND, "no known available metric versions found");
	for (size_t i = 0; !q->is_external && i < ARRAY_LEN(gauge_kinds); i++)
		if (span_equal(q->group, span_of(gauge_kinds[i].group)) &&
		    span_equal(q->kind, span_of(gauge_kinds[i].kind)))
			a.kind = &gauge_kinds[i];
	if (q->is_external && !is_known(q->metric))
		return error_set(err, ERROR_NOT_FOUND, "the server could not find the requested resource");
	if (!q->is_external && !a.kind)
		return error_set(err, ERROR_NOT_FOUND, "no matches for kind \"" SPAN_FMT "\" in group \"" SPAN_FMT "\"",
				 SPAN_ARG(q->kind), SPAN_ARG(q->group));
	if (!q->is_external && !is_known(q->metric))
		return not_found(&a);
	is_good = q->is_external ? external_answer(&a) : objects_answer(&a);
	if (is_good)
		*ret =
		    (struct gauges){ .items = a.items,
				     .count = a.count,
				     .at_ns = kube_wall_ns(k),
				     .window_s = span_equal(q->metric, span_of(gauge_names[0])) ? GAUGE_WINDOW_S : 0 };
	return is_good;
}

/* ---- over HTTP ---- */

static struct value milli_text(struct arena *arena, int64_t milli, struct error *err)
{
	struct span text = arena_print(arena, err, "%lldm", (long long)milli), canonical;

	return value_string(quantity_canonical(text, arena, &canonical) ? canonical : text);
}

static void put(struct value *to, const char *key, struct value v, struct arena *arena, struct error *err)
{
	if (!err->code)
		(void)value_set(to, span_of(key), v, arena, err);
}

static void moment_put(struct value *item, const struct gauges *found, const char *window, int64_t milli,
		       struct arena *arena, struct error *err)
{
	put(item, "timestamp", value_string(kube_now_text(found->at_ns, arena)), arena, err);
	if (found->window_s)
		put(item, window, value_int(found->window_s), arena, err);
	put(item, "value", milli_text(arena, milli, err), arena, err);
}

static struct value custom_item(const struct kube_call *c, const struct gauges *found, const struct gauge *g,
				struct error *err)
{
	bool is_old = strcmp(c->kind->version, "v1beta1") == 0;
	struct value item = value_object(), object = value_object(), metric = value_object();

	put(&object, "kind", value_string(span_of(g->kind)), c->arena, err);
	put(&object, "namespace", value_string(c->name_space), c->arena, err);
	put(&object, "name", value_string(g->name), c->arena, err);
	put(&object, "apiVersion", value_string(span_of(g->api_version)), c->arena, err);
	put(&item, "describedObject", object, c->arena, err);
	put(&metric, "name", value_string(c->subresource), c->arena, err);
	put(&metric, "selector", value_null(), c->arena, err);
	if (is_old)
		put(&item, "metricName", value_string(c->subresource), c->arena, err);
	else
		put(&item, "metric", metric, c->arena, err);
	moment_put(&item, found, is_old ? "window" : "windowSeconds", g->milli, c->arena, err);
	if (is_old)
		put(&item, "selector", value_null(), c->arena, err);
	return item;
}

static struct value external_item(const struct kube_call *c, const struct gauges *found, const struct gauge *g,
				  struct span metric, struct error *err)
{
	struct value item = value_object(), labels = value_object();

	put(&labels, "namespace", value_string(c->name_space), c->arena, err);
	put(&labels, "service", value_string(g->name), c->arena, err);
	put(&item, "metricName", value_string(metric), c->arena, err);
	put(&item, "metricLabels", labels, c->arena, err);
	moment_put(&item, found, "window", g->milli, c->arena, err);
	return item;
}

static void list_answer(struct kube_call *c, const struct gauge_question *q)
{
	struct value list = value_object(), items = value_array();
	struct gauges found = { 0 };
	struct error err = { 0 };

	if (!gauges_find(c->kube, q, &found, c->arena, &err)) {
		if (err.code == ERROR_NOT_FOUND)
			kube_refuse(c, &(struct kube_refusal){
					   .code = 404, .reason = "NotFound", .message = error_span(&err) });
		else
			kube_fail(c, &err);
		return;
	}
	put(&list, "kind", value_string(span_of(c->kind->kind)), c->arena, &err);
	put(&list, "apiVersion", value_string(arena_print(c->arena, &err, "%s/%s", c->kind->group, c->kind->version)),
	    c->arena, &err);
	put(&list, "metadata", value_object(), c->arena, &err);
	for (size_t i = 0; i < found.count && !err.code; i++)
		(void)value_append(&items,
				   q->is_external ? external_item(c, &found, &found.items[i], q->metric, &err)
						  : custom_item(c, &found, &found.items[i], &err),
				   c->arena, &err);
	put(&list, "items", items, c->arena, &err);
	if (err.code)
		kube_fail(c, &err);
	else
		kube_answer(c, 200, &list);
}

/* ?labelSelector= of the objects, ?metricLabelSelector= of the metric. */
static bool selector_query(struct kube_call *c, struct span name, struct span *ret_text, const struct selector **ret,
			   struct error *err)
{
	struct span text = { 0 };

	*ret = NULL;
	if (!request_query(c->req, name, &text) || !text.len)
		return true;
	*ret_text = text;
	return (*ret = selector_read(text, c->arena, err)) != NULL;
}

static void custom_serve(struct kube_call *c)
{
	bool is_all = span_equal(c->name, SPAN("*"));
	struct gauge_question q = { .metric = c->subresource,
				    .name_space = c->name_space,
				    .name = is_all ? (struct span){ 0 } : c->name };
	struct span ignored;
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(gauge_kinds); i++) {
		if (strcmp(gauge_kinds[i].plural, c->kind->plural) != 0)
			continue;
		q.group = span_of(gauge_kinds[i].group);
		q.kind = span_of(gauge_kinds[i].kind);
	}
	if (!selector_query(c, SPAN("labelSelector"), &ignored, &q.objects, &err) ||
	    !selector_query(c, SPAN("metricLabelSelector"), &q.labels_text, &q.labels, &err))
		kube_fail(c, &err);
	else
		list_answer(c, &q);
}

static void external_serve(struct kube_call *c)
{
	struct gauge_question q = { .metric = span_of(c->kind->plural),
				    .name_space = c->name_space,
				    .is_external = true };
	struct error err = { 0 };

	if (!selector_query(c, SPAN("labelSelector"), &q.labels_text, &q.labels, &err))
		kube_fail(c, &err);
	else
		list_answer(c, &q);
}

#define CUSTOM   "custom.metrics.k8s.io"
#define EXTERNAL "external.metrics.k8s.io"
#define ROWS(version)                                                                                                  \
	{                                                                                                              \
		{ "requests_per_second", KUBE_GET, CUSTOM, version, "MetricValueList", NULL, custom_serve },           \
		    { "requests_in_flight", KUBE_GET, CUSTOM, version, "MetricValueList", NULL, custom_serve },        \
		    { "*", KUBE_GET, CUSTOM, version, "MetricValueList", NULL, custom_serve },                         \
		{                                                                                                      \
			0                                                                                              \
		}                                                                                                      \
	}

static const struct subresource new_rows[] = ROWS("v1beta2"), old_rows[] = ROWS("v1beta1");
static const struct subresource external_rows[] = { { "", KUBE_LIST, "", "", "", NULL, external_serve }, { 0 } };

static void kind_free(struct kind *kind)
{
	free(kind);
}

static void kind_add(struct kube *k, const char *group, const char *version, const char *plural, const char *kind_name,
		     const struct subresource *rows)
{
	struct kind *kind = base_calloc(1, sizeof(*kind));
	struct error err = { 0 };

	*kind = (struct kind){ .group = group,
			       .version = version,
			       .plural = plural,
			       .singular = "",
			       .kind = kind_name,
			       .list_kind = kind_name,
			       .is_namespaced = true,
			       .others = rows };
	if (!kube_kind_add(k, kind, kind_free, &err))
		free(kind);
}

void kube_serve_gauges(struct kube *k, const struct gauge_provider *p)
{
	bool is_new = !k->gauges.use_of;

	k->gauges = *p;
	for (size_t i = 0; is_new && i < ARRAY_LEN(gauge_kinds); i++) {
		kind_add(k, CUSTOM, "v1beta2", gauge_kinds[i].plural, "MetricValueList", new_rows);
		kind_add(k, CUSTOM, "v1beta1", gauge_kinds[i].plural, "MetricValueList", old_rows);
	}
	for (size_t i = 0; is_new && i < ARRAY_LEN(gauge_names); i++)
		kind_add(k, EXTERNAL, "v1beta1", gauge_names[i], "ExternalMetricValueList", external_rows);
}
