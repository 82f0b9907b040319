/* SPDX-License-Identifier: Apache-2.0 */
/* objects - reading and making objects, and what belongs to the object of a call. */
#include "controllers/objects.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "kube/kinds/kinds.h"

/* ---- reading ---- */

struct span object_name(const struct value *object)
{
	return value_find_string(object, "metadata.name");
}

static struct span map_text(const struct value *object, const char *map, const char *name)
{
	return text_of(member(value_find(object, map), name));
}

struct span object_annotation(const struct value *object, const char *name)
{
	return map_text(object, "metadata.annotations", name);
}

struct span object_label(const struct value *object, const char *name)
{
	return map_text(object, "metadata.labels", name);
}

bool object_is_ending(const struct value *object)
{
	return member(member(object, "metadata"), "deletionTimestamp") != NULL;
}

struct span object_controller(const struct value *object)
{
	const struct value *owners = value_find(object, "metadata.ownerReferences");

	for (uint32_t i = 0; i < value_count(owners); i++)
		if (value_find_bool(value_item(owners, i), "controller"))
			return value_find_string(value_item(owners, i), "uid");
	return (struct span){ 0 };
}

int64_t object_time(const struct value *object, const char *path)
{
	int64_t seconds;

	return clock_parse_rfc3339(value_find_string(object, path), &seconds) ? seconds * NS_PER_S : 0;
}

int64_t scaled(const struct value *int_or_percent, int64_t total, bool is_up)
{
	int64_t percent;

	if (value_is(int_or_percent, VALUE_INT))
		return int_or_percent->integer;
	if (!percent_of(int_or_percent, &percent))
		return 0;
	return (percent * total + (is_up ? 99 : 0)) / 100;
}

bool selector_map_matches(const struct value *selector, const struct value *labels)
{
	if (!value_is(selector, VALUE_OBJECT) || !selector->object.count)
		return false;
	for (uint32_t i = 0; i < selector->object.count; i++) {
		const struct value *label = value_get(labels, selector->object.members[i].key);

		if (!label || !value_equal(label, &selector->object.members[i].value))
			return false;
	}
	return true;
}

/* ---- pods ---- */

bool pod_is_active(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return !span_equal(phase, SPAN("Succeeded")) && !span_equal(phase, SPAN("Failed")) && !object_is_ending(pod);
}

bool pod_is_ready(const struct value *pod)
{
	return condition_is(member(pod, "status"), "Ready", "True");
}

int64_t pod_restarts(const struct value *pod)
{
	const struct value *list = value_find(pod, "status.containerStatuses");
	int64_t most = 0;

	for (uint32_t i = 0; i < value_count(list); i++)
		most = MAX(most, value_find_int(value_item(list, i), "restartCount", 0));
	return most;
}

bool pod_is_available(const struct value *pod, int64_t min_ready_seconds, int64_t now_ns, int64_t *ret_at)
{
	int64_t since;

	if (!pod_is_ready(pod))
		return false;
	if (!min_ready_seconds)
		return true;
	since = object_time(condition_find(member(pod, "status"), "Ready"), "lastTransitionTime");
	if (!since)
		return false;
	since += min_ready_seconds * NS_PER_S;
	if (since <= now_ns)
		return true;
	if (ret_at)
		*ret_at = MIN(*ret_at, since);
	return false;
}

struct value *pod_from_template(struct reconcile *r, const struct value *template, struct span prefix)
{
	static const char *const kept[] = { "labels", "annotations", "finalizers" };
	struct value *pod = object_new(r, &resource_pods, (struct span){ 0 }), *metadata;

	if (!pod)
		return NULL;
	metadata = put_object(r, pod, "metadata");
	put(r, metadata, "generateName", text_print(r, SPAN_FMT "-", SPAN_WHOLE(prefix)));
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (member(member(template, "metadata"), kept[i]))
			put(r, metadata, kept[i], copied(r, member(member(template, "metadata"), kept[i])));
	put_owner(r, pod);
	put(r, pod, "spec", copied(r, member(template, "spec")));
	return r->err->code ? NULL : pod;
}

/* ---- making ---- */

void put(struct reconcile *r, struct value *object, const char *name, struct value v)
{
	if (!r->err->code)
		(void)value_set(object, span_of(name), v, r->arena, r->err);
}

/* Where values go when there is no memory: nothing reads it. */
static struct value *nowhere(struct value v)
{
	static _Thread_local struct value thrown;

	thrown = v;
	return &thrown;
}

struct value *put_object(struct reconcile *r, struct value *object, const char *name)
{
	struct value *v = r->err->code ? NULL : value_ensure_object(object, span_of(name), r->arena, r->err);

	return v ? v : nowhere(value_object());
}

struct value *put_array(struct reconcile *r, struct value *object, const char *name)
{
	struct value *v = r->err->code ? NULL : value_ensure_array(object, span_of(name), r->arena, r->err);

	return v ? v : nowhere(value_array());
}

void put_item(struct reconcile *r, struct value *array, struct value v)
{
	if (!r->err->code)
		(void)value_append(array, v, r->arena, r->err);
}

struct value copied(struct reconcile *r, const struct value *v)
{
	struct value copy = value_null();

	if (v && !r->err->code)
		(void)value_copy(v, r->arena, &copy, r->err);
	return copy;
}

struct value *object_copy(struct reconcile *r, const struct value *object)
{
	struct value *v = r->err->code ? NULL : ARENA_NEW(r->arena, struct value, r->err);

	if (!v)
		return nowhere(value_object());
	*v = copied(r, object);
	return v;
}

struct value *object_new(struct reconcile *r, const struct resource *resource, struct span name)
{
	struct value *v = ARENA_NEW(r->arena, struct value, r->err), *metadata;

	if (!v)
		return NULL;
	*v = value_object();
	put(r, v, "apiVersion", value_string(resource_api_version(resource, r->arena, r->err)));
	put(r, v, "kind", value_string(span_of(resource->kind)));
	metadata = put_object(r, v, "metadata");
	if (name.len)
		put(r, metadata, "name", value_string(name));
	if (r->name_space.len)
		put(r, metadata, "namespace", value_string(r->name_space));
	return r->err->code ? NULL : v;
}

void put_owner(struct reconcile *r, struct value *object)
{
	const struct resource *of = r->controller->resource;
	struct value owner = value_object();

	put(r, &owner, "apiVersion", value_string(resource_api_version(of, r->arena, r->err)));
	put(r, &owner, "kind", value_string(span_of(of->kind)));
	put(r, &owner, "name", value_string(object_name(r->object)));
	put(r, &owner, "uid", value_string(value_find_string(r->object, "metadata.uid")));
	put(r, &owner, "controller", value_bool(true));
	put(r, &owner, "blockOwnerDeletion", value_bool(true));
	put_item(r, put_array(r, put_object(r, object, "metadata"), "ownerReferences"), owner);
}

void put_count(struct reconcile *r, struct value *status, const char *name, int64_t count)
{
	if (count)
		put(r, status, name, value_int(count));
	else
		(void)value_remove(status, span_of(name));
}

struct value text_print(struct reconcile *r, const char *format, ...)
{
	char text[2048];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return value_string(arena_copy(r->arena, span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)), r->err));
}

struct value time_text(struct reconcile *r, int64_t wall_ns)
{
	return value_string(kube_now_text(wall_ns, r->arena));
}

/* ---- conditions ---- */

static uint32_t condition_index(const struct value *conditions, const char *type)
{
	uint32_t i = 0;

	while (i < value_count(conditions) &&
	       !span_equal(value_find_string(value_item(conditions, i), "type"), span_of(type)))
		i++;
	return i;
}

const struct value *condition_find(const struct value *status, const char *type)
{
	const struct value *conditions = member(status, "conditions");
	uint32_t i = condition_index(conditions, type);

	return i < value_count(conditions) ? value_item(conditions, i) : NULL;
}

bool condition_is(const struct value *status, const char *type, const char *is)
{
	return span_equal(value_find_string(condition_find(status, type), "status"), span_of(is));
}

void condition_drop(struct value *status, const char *type)
{
	struct value *conditions = value_get(status, SPAN("conditions"));
	uint32_t i = condition_index(conditions, type);

	if (i < value_count(conditions))
		value_remove_item(conditions, i);
}

void condition_set(struct reconcile *r, struct value *status, const struct condition *c)
{
	const struct value *old = condition_find(status, c->type);
	bool is_same_status = old && span_equal(value_find_string(old, "status"), span_of(c->status));
	struct value now = time_text(r, r->now_ns), since = now, fresh = value_object();

	if (is_same_status && !c->is_news && span_equal(value_find_string(old, "reason"), span_of(c->reason)))
		return;
	if (is_same_status)
		since = copied(r, member(old, "lastTransitionTime"));
	put(r, &fresh, "type", value_string(span_of(c->type)));
	put(r, &fresh, "status", value_string(span_of(c->status)));
	if (c->has_update_time)
		put(r, &fresh, "lastUpdateTime", now);
	put(r, &fresh, "lastTransitionTime", since);
	put(r, &fresh, "reason", value_string(span_of(c->reason)));
	put(r, &fresh, "message", value_string(c->message));
	condition_drop(status, c->type);
	put_item(r, put_array(r, status, "conditions"), fresh);
}

struct value *put_condition(struct reconcile *r, struct value *status, const char *type)
{
	struct value *conditions = put_array(r, status, "conditions"), fresh = value_object();

	for (uint32_t i = 0; i < value_count(conditions); i++)
		if (span_equal(value_find_string(value_item(conditions, i), "type"), span_of(type)))
			return value_item(conditions, i);
	put(r, &fresh, "type", value_string(span_of(type)));
	put_item(r, conditions, fresh);
	return r->err->code ? NULL : value_item(conditions, conditions->array.count - 1);
}

bool pod_condition_set(struct reconcile *r, struct value *pod, const char *type, const char *status, const char *reason,
		       const char *message)
{
	struct value *at = put_condition(r, put_object(r, pod, "status"), type);

	if (!at)
		return false;
	if (span_equal(value_find_string(at, "status"), span_of(status)))
		return false;
	put(r, at, "status", value_string(span_of(status)));
	put(r, at, "lastTransitionTime", time_text(r, r->now_ns));
	for (size_t i = 0; reason && i < 2; i++) {
		const char *text = i ? message : reason;

		if (*text)
			put(r, at, i ? "message" : "reason", value_string(span_of(text)));
		else
			(void)value_remove(at, i ? SPAN("message") : SPAN("reason"));
	}
	return true;
}

/* ---- what belongs to an object ---- */

struct gathering {
	struct reconcile *r;
	const struct resource *resource;
	struct span uid; /* of the owner; empty: all are taken */
	bool takes_free;
	struct value *list;
};

static bool gather(void *context, struct record *record)
{
	struct gathering *g = context;
	struct value *v;

	if (g->uid.len && !record_is_owned(record, g->uid) && !(g->takes_free && !record_has_owner(record)))
		return true;
	v = cluster_object(g->r->cluster, g->resource, record, g->r->arena, g->r->err);
	if (v)
		put_item(g->r, g->list, *v);
	return v != NULL;
}

static struct value *gathered(struct reconcile *r, const struct resource *resource, struct span name_space,
			      struct span uid, bool takes_free)
{
	struct value *list = ARENA_NEW(r->arena, struct value, r->err);
	struct gathering g = { r, resource, uid, takes_free, list };

	if (!list)
		return nowhere(value_array());
	*list = value_array();
	cluster_each(r->cluster, resource, name_space, gather, &g);
	return list;
}

struct value *reconcile_list(struct reconcile *r, const struct resource *resource, struct span name_space)
{
	return gathered(r, resource, name_space, (struct span){ 0 }, false);
}

struct value *reconcile_get(struct reconcile *r, const struct resource *resource, struct span name_space,
			    struct span name)
{
	struct record *found = cluster_get(r->cluster, resource, name_space, name);

	return found ? cluster_object(r->cluster, resource, found, r->arena, r->err) : NULL;
}

struct value *reconcile_owned(struct reconcile *r, const struct resource *resource)
{
	struct span uid = value_find_string(r->object, "metadata.uid");
	struct value *list = gathered(r, resource, r->name_space, uid, false);

	for (uint32_t i = 0; i < value_count(list);)
		if (span_equal(object_controller(value_item(list, i)), uid))
			i++;
		else
			value_remove_item(list, i);
	return list;
}

static uint32_t text_index(const struct value *list, struct span text)
{
	uint32_t i = 0;

	while (i < value_count(list) && !span_equal(text_of(value_item(list, i)), text))
		i++;
	return i;
}

static void finalizer_put(struct reconcile *r, struct value *item)
{
	struct value *list;

	if (!r->controller->finalizer)
		return;
	list = put_array(r, put_object(r, item, "metadata"), "finalizers");
	if (text_index(list, span_of(r->controller->finalizer)) == list->array.count)
		put_item(r, list, value_string(span_of(r->controller->finalizer)));
}

void finalizer_drop(struct value *object, const char *finalizer)
{
	struct value *metadata = value_get(object, SPAN("metadata"));
	struct value *list = value_get(metadata, SPAN("finalizers"));
	uint32_t i = text_index(list, span_of(finalizer));

	if (i < value_count(list))
		value_remove_item(list, i);
	if (list && !value_count(list))
		(void)value_remove(metadata, SPAN("finalizers"));
}

static void release(struct reconcile *r, const struct resource *resource, const struct value *item, struct span uid)
{
	struct value *copy = object_copy(r, item), *metadata = value_get(copy, SPAN("metadata"));
	struct value *owners = value_get(metadata, SPAN("ownerReferences"));

	for (uint32_t i = 0; i < value_count(owners);)
		if (span_equal(value_find_string(value_item(owners, i), "uid"), uid))
			value_remove_item(owners, i);
		else
			i++;
	if (owners && !value_count(owners))
		(void)value_remove(metadata, SPAN("ownerReferences"));
	if (r->controller->finalizer)
		finalizer_drop(copy, r->controller->finalizer);
	reconcile_update(r, resource, copy);
}

struct value *reconcile_claim(struct reconcile *r, const struct resource *resource, const struct value *selector)
{
	return reconcile_claim_if(r, resource, selector, NULL);
}

struct value *reconcile_claim_if(struct reconcile *r, const struct resource *resource, const struct value *selector,
				 bool (*takes)(const struct value *owner, const struct value *item))
{
	struct span uid = value_find_string(r->object, "metadata.uid");
	bool is_ending = object_is_ending(r->object);
	struct value *list = gathered(r, resource, r->name_space, uid, true);

	for (uint32_t i = 0; i < value_count(list);) {
		struct value *item = value_item(list, i);
		bool is_taken = selector_matches(selector, value_find(item, "metadata.labels")) &&
				(!takes || takes(r->object, item));
		struct span controller = object_controller(item);

		if (span_equal(controller, uid) && is_taken) {
			i++;
			continue;
		}
		if (span_equal(controller, uid) && !is_ending) {
			release(r, resource, item, uid);
		} else if (!controller.len && is_taken && !is_ending && !object_is_ending(item)) {
			put_owner(r, item);
			finalizer_put(r, item);
			reconcile_update(r, resource, object_copy(r, item));
			i++;
			continue;
		}
		value_remove_item(list, i);
	}
	return list;
}
