/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kube/kind.h"

const struct view_kind view_kinds[] = {
	{ "deployment", "deployments", "deploy", "/apis/apps/v1" },
	{ "statefulset", "statefulsets", "sts", "/apis/apps/v1" },
	{ "daemonset", "daemonsets", "ds", "/apis/apps/v1" },
	{ "cronjob", "cronjobs", "cj", "/apis/batch/v1" },
	{ "job", "jobs", "job", "/apis/batch/v1" },
	{ "replicaset", "replicasets", "rs", "/apis/apps/v1" },
	{ "pod", "pods", "po", "/api/v1" },
	{ "service", "services", "svc", "/api/v1" },
	{ "persistentvolumeclaim", "persistentvolumeclaims", "pvc", "/api/v1" },
	{ "horizontalpodautoscaler", "horizontalpodautoscalers", "hpa", "/apis/autoscaling/v2" },
	{ "node", "nodes", "no", "/api/v1" },
	{ "seldondeployment", "seldondeployments", "sdep", "/apis/machinelearning.seldon.io/v1" },
	{ "inferenceservice", "inferenceservices", "isvc", "/apis/serving.kserve.io/v1beta1" },
	{ "ingress", "ingresses", "ing", "/apis/networking.k8s.io/v1" },
	{ "httproute", "httproutes", "httproute", "/apis/gateway.networking.k8s.io/v1" },
	{ "grpcroute", "grpcroutes", "grpcroute", "/apis/gateway.networking.k8s.io/v1" },
	{ "gateway", "gateways", "gtw", "/apis/gateway.networking.k8s.io/v1" },
	{ 0 },
};

const struct view_kind *view_kind_named(const char *name)
{
	const struct view_kind *k = view_kinds;

	while (strcmp(k->name, name) != 0)
		k++;
	return k;
}

const struct view_kind *view_kind_find(struct span name, struct error *err)
{
	struct buffer names;

	for (const struct view_kind *k = view_kinds; k->name; k++)
		if (span_equal_ignore_case(name, span_of(k->name)) ||
		    span_equal_ignore_case(name, span_of(k->plural)) ||
		    span_equal_ignore_case(name, span_of(k->short_name)))
			return k;
	buffer_init(&names, KIB(4));
	for (const struct view_kind *k = view_kinds; k->name; k++)
		buffer_print(&names, "%s%s", k == view_kinds ? "" : ", ", k->name);
	error_set(err, ERROR_NOT_FOUND, "'" SPAN_FMT "' is none of the kinds that can be explained: " SPAN_FMT,
		  SPAN_ARG(span_first(name, 60)), SPAN_ARG(buffer_span(&names)));
	buffer_done(&names);
	return NULL;
}

/* ---- reading ---- */

static const struct value empty = { .type = VALUE_ARRAY };

static bool is_cluster_wide(const struct view_kind *kind)
{
	return strcmp(kind->name, "node") == 0;
}

static struct span path_of(struct view *v, const struct view_kind *kind, struct span name_space, struct span name)
{
	bool has_space = name_space.len && !is_cluster_wide(kind);

	return arena_print(v->arena, &v->err, "%s%s" SPAN_FMT "/%s%s" SPAN_FMT, kind->path,
			   has_space ? "/namespaces/" : "", SPAN_WHOLE(has_space ? name_space : SPAN("")), kind->plural,
			   name.len ? "/" : "", SPAN_WHOLE(name));
}

static const struct value *items_read(struct view *v, const char *path)
{
	struct value *list = ARENA_NEW(v->arena, struct value, &v->err);
	const struct value *items;

	if (!list || !path || v->err.code)
		return &empty;
	if (!api_get(v->api, path, v->arena, list, &v->err)) {
		if (v->err.code == ERROR_NOT_FOUND) /* a kind that this server does not have */
			v->err = (struct error){ 0 };
		return &empty;
	}
	items = value_get(list, SPAN("items"));
	return value_is(items, VALUE_ARRAY) ? items : &empty;
}

const struct value *view_list(struct view *v, const struct view_kind *kind)
{
	const struct value **place = &v->lists[kind - view_kinds];

	if (!*place)
		*place = items_read(
		    v, path_of(v, kind, span_of(v->name_space ? v->name_space : ""), (struct span){ 0 }).ptr);
	return *place;
}

const struct value *view_get(struct view *v, const struct view_kind *kind, struct span name_space, struct span name,
			     struct error *err)
{
	struct value *object = ARENA_NEW(v->arena, struct value, err);
	struct span path = path_of(v, kind, name_space, name);

	return object && path.ptr && api_get(v->api, path.ptr, v->arena, object, err) ? object : NULL;
}

/* ---- what belongs to what ---- */

struct span uid_of(const struct value *object)
{
	return value_find_string(object, "metadata.uid");
}

struct span name_of(const struct value *object)
{
	return value_find_string(object, "metadata.name");
}

struct span name_space_of(const struct value *object)
{
	return value_find_string(object, "metadata.namespace");
}

static const struct value *controller_of(const struct value *object)
{
	const struct value *owners = value_find(object, "metadata.ownerReferences");

	for (uint32_t i = 0; i < value_count(owners); i++) {
		const struct value *is = value_get(value_item(owners, i), SPAN("controller"));

		if (value_is(is, VALUE_BOOL) && is->boolean)
			return value_item(owners, i);
	}
	return NULL;
}

static struct span owner_of(const struct value *object)
{
	return value_find_string(controller_of(object), "uid");
}

bool is_owned_by(const struct value *object, struct span uid)
{
	return uid.len && span_equal(owner_of(object), uid);
}

struct span owner_kind_of(const struct value *object)
{
	return value_find_string(controller_of(object), "kind");
}

/* Is a pod, or what stands above it, controlled by this one? No kind stands above one that is before it here. */
static bool belongs_to(struct view *v, const struct value *pod, struct span uid)
{
	static const char *const between[] = { "replicaset", "job", "deployment" };
	struct span owner = owner_of(pod);

	for (size_t i = 0; owner.len && i < ARRAY_LEN(between); i++) {
		const struct value *list = view_list(v, view_kind_named(between[i]));

		if (span_equal(owner, uid))
			return true;
		for (uint32_t j = 0; j < list->array.count; j++)
			if (span_equal(uid_of(value_item(list, j)), owner)) {
				owner = owner_of(value_item(list, j));
				break;
			}
	}
	return span_equal(owner, uid);
}

void view_pods(struct view *v, const struct value *object, void (*take)(void *context, const struct value *pod),
	       void *context)
{
	const struct value *pods = view_list(v, view_kind_named("pod"));
	struct span uid = uid_of(object);

	for (uint32_t i = 0; i < pods->array.count; i++) {
		const struct value *pod = value_item(pods, i);

		if (span_equal(uid_of(pod), uid) || belongs_to(v, pod, uid))
			take(context, pod);
	}
}

const struct value *view_events(struct view *v, const struct value *object)
{
	struct span space = name_space_of(object), path;
	struct view own = *v;

	own.err = (struct error){ 0 };
	path = arena_print(v->arena, &own.err,
			   "/api/v1/namespaces/" SPAN_FMT "/events?fieldSelector=involvedObject.uid%%3D" SPAN_FMT,
			   SPAN_WHOLE(space.len ? space : SPAN("default")), SPAN_WHOLE(uid_of(object)));
	return items_read(&own, path.ptr);
}

struct log_reading {
	struct buffer text;
};

static bool log_take(void *context, struct span bytes)
{
	struct log_reading *r = context;

	buffer_append(&r->text, bytes);
	return !r->text.overflow;
}

struct span view_log(struct view *v, const struct value *pod, struct span container, bool is_previous, int lines)
{
	struct error ignored = { 0 };
	struct log_reading r;
	struct span path, text = { 0 };

	buffer_init(&r.text, KIB(256));
	path =
	    arena_print(v->arena, &ignored,
			"/api/v1/namespaces/" SPAN_FMT "/pods/" SPAN_FMT "/log?container=" SPAN_FMT "&tailLines=%d%s",
			SPAN_WHOLE(name_space_of(pod)), SPAN_WHOLE(name_of(pod)), SPAN_WHOLE(container), lines,
			is_previous ? "&previous=true" : "");
	if (path.ptr && api_stream(v->api, path.ptr, log_take, &r, &ignored))
		text = arena_copy(v->arena, buffer_span(&r.text), &ignored);
	buffer_done(&r.text);
	return text;
}

struct span view_age(struct view *v, struct span rfc3339)
{
	return rfc3339.len ? kube_age(rfc3339, clock_wall_ns(), v->arena) : SPAN("");
}
