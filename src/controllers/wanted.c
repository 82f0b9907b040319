/* SPDX-License-Identifier: Apache-2.0 */
/* wanted - objects that are wanted, compared with those that are there. */
#include "controllers/wanted.h"

#include "kube/kinds/kinds.h"

static struct wanted_one *one_new(struct wanted *w)
{
	size_t cap = w->cap ? 2 * w->cap : 16;
	struct wanted_one *items;

	if (w->count == w->cap) {
		items = arena_calloc(w->r->arena, cap, sizeof(*items), w->r->err);
		if (!items)
			return NULL;
		if (w->count)
			memcpy(items, w->items, w->count * sizeof(*items));
		w->items = items;
		w->cap = cap;
	}
	return &w->items[w->count++];
}

void wanted_keep(struct wanted *w, const struct resource *resource, struct value *there)
{
	struct wanted_one *one = there ? one_new(w) : NULL;

	if (one)
		*one = (struct wanted_one){ .resource = resource, .object = there, .there = there, .is_same = true };
}

struct wanted_one *wanted_add(struct wanted *w, const struct resource *resource, struct value *object)
{
	struct reconcile *r = w->r;
	struct value text;
	struct wanted_one *one;

	if (!object || r->err->code)
		return NULL;
	text = text_print(r, "%016llx", (unsigned long long)span_hash(value_print(object, r->arena, r->err)));
	put(r, put_object(r, put_object(r, object, "metadata"), "annotations"), WANTED_ANNOTATION, text);
	put_owner(r, object);
	one = one_new(w);
	if (!one)
		return NULL;
	*one = (struct wanted_one){ .resource = resource, .object = object };
	one->there = reconcile_get(r, resource, r->name_space, object_name(object));
	one->is_foreign =
	    one->there && !span_equal(object_controller(one->there), value_find_string(r->object, "metadata.uid"));
	return one;
}

struct span wanted_fault(const struct wanted *w)
{
	for (size_t i = 0; i < w->count; i++) {
		const struct wanted_one *one = &w->items[i];

		if (one->is_foreign)
			return text_print(w->r, "%s \"" SPAN_FMT "\" is there already, and is somebody else's",
					  one->resource->kind, SPAN_WHOLE(object_name(one->object)))
			    .string;
	}
	return (struct span){ 0 };
}

bool wanted_has(const struct wanted *w, const struct resource *resource, struct span name)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->items[i].resource == resource && span_equal(object_name(w->items[i].object), name))
			return true;
	return false;
}

/* The server leaves out what is empty or zero. */
static bool is_nothing(const struct value *v)
{
	return value_is_empty(v) || (v->type == VALUE_STRING && !v->string.len) ||
	       (v->type == VALUE_BOOL && !v->boolean) || (v->type == VALUE_INT && !v->integer);
}

/* Quantities are stored in one form: "1000m" as "1". */
static bool is_same_quantity(const struct value *a, const struct value *b)
{
	int order;

	return a->type == VALUE_STRING && b->type == VALUE_STRING && quantity_compare(a->string, b->string, &order) &&
	       order == 0;
}

/* Is all that is wanted there? */
static bool is_part(const struct value *want, const struct value *there)
{
	if (!there)
		return !want || is_nothing(want);
	if (!want)
		return true;
	if (want->type == VALUE_OBJECT) {
		if (there->type != VALUE_OBJECT)
			return false;
		for (uint32_t i = 0; i < want->object.count; i++)
			if (!is_part(&want->object.members[i].value, value_get(there, want->object.members[i].key)))
				return false;
		return true;
	}
	if (want->type == VALUE_ARRAY) {
		if (there->type != VALUE_ARRAY || there->array.count != want->array.count)
			return false;
		for (uint32_t i = 0; i < want->array.count; i++)
			if (!is_part(value_item(want, i), value_item(there, i)))
				return false;
		return true;
	}
	return value_equal(want, there) || is_same_quantity(want, there);
}

static bool is_news(const struct wanted_one *one)
{
	return !span_equal(object_annotation(one->object, WANTED_ANNOTATION),
			   object_annotation(one->there, WANTED_ANNOTATION));
}

static bool is_as_wanted(const struct wanted_one *one)
{
	return !is_news(one) &&
	       is_part(value_find(one->object, "metadata.labels"), value_find(one->there, "metadata.labels")) &&
	       is_part(value_get(one->object, SPAN("spec")), value_get(one->there, SPAN("spec")));
}

static void map_merge(struct reconcile *r, struct value *object, const struct value *from, const char *map)
{
	const struct value *members = value_find(from, "metadata");
	struct value *into;

	members = members ? member(members, map) : NULL;
	if (!members)
		return;
	into = put_object(r, put_object(r, object, "metadata"), map);
	for (uint32_t i = 0; i < count_of(members); i++)
		(void)value_set(into, members->object.members[i].key, members->object.members[i].value, r->arena,
				r->err);
}

/* What is of hythe and no longer wanted; the number is set anew after that. */
static void own_annotations_drop(struct value *object)
{
	struct value *annotations = value_find(object, "metadata.annotations");

	for (uint32_t i = count_of(annotations); i-- > 0;) {
		struct span key = annotations->object.members[i].key;

		if (span_starts(key, SPAN("hythe.dev/")))
			(void)value_remove(annotations, key);
	}
}

/* What the server keeps in the specs of services stays: addresses, ports of nodes. */
static struct value spec_made(struct reconcile *r, const struct wanted_one *one)
{
	const struct value *want = member(one->object, "spec"), *there = member(one->there, "spec");
	struct value spec = copied(r, one->resource == &resource_services ? there : want);
	const struct value *replicas = member(there, "replicas");

	if (one->resource == &resource_services)
		for (uint32_t i = 0; i < count_of(want); i++)
			(void)value_set(&spec, want->object.members[i].key, want->object.members[i].value, r->arena,
					r->err);
	else if (one->resource == &resource_deployments && !member(want, "replicas") && replicas)
		put(r, &spec, "replicas", *replicas);
	return spec;
}

/* A restart that somebody asked for is not undone. */
static void restart_keep(struct reconcile *r, struct value *object, const struct value *there)
{
	static const char name[] = "kubectl.kubernetes.io/restartedAt";
	const struct value *annotations = value_find(there, "spec.template.metadata.annotations");
	const struct value *at = annotations ? member(annotations, name) : NULL;
	struct value *template = at ? value_find(object, "spec.template") : NULL;

	if (template)
		put(r, put_object(r, put_object(r, template, "metadata"), "annotations"), name, *at);
}

bool wanted_bring(struct wanted *w, struct wanted_one *one)
{
	struct reconcile *r = w->r;
	const char *kind = one->resource->kind;
	struct span name = object_name(one->object);
	struct value *object;

	if (!one->there) {
		reconcile_create(r, one->resource, one->object);
		reconcile_event(r, "Normal", text_print(r, "Create%s", kind).string.ptr, "Created %s \"" SPAN_FMT "\"",
				kind, SPAN_ARG(name));
		return false;
	}
	if (one->is_foreign)
		return false;
	one->is_same = is_as_wanted(one);
	if (one->is_same || object_is_ending(one->there))
		return one->is_same;
	object = object_copy(r, one->there);
	if (!object)
		return false;
	own_annotations_drop(object);
	map_merge(r, object, one->object, "labels");
	map_merge(r, object, one->object, "annotations");
	put(r, object, "spec", spec_made(r, one));
	restart_keep(r, object, one->there);
	reconcile_update(r, one->resource, object);
	if (is_news(one))
		reconcile_event(r, "Normal", text_print(r, "Update%s", kind).string.ptr, "Updated %s \"" SPAN_FMT "\"",
				kind, SPAN_ARG(name));
	return false;
}

uint32_t wanted_sweep(struct wanted *w, const struct resource *resource)
{
	struct reconcile *r = w->r;
	const struct value *there = reconcile_owned(r, resource);
	uint32_t count = 0;

	for (uint32_t i = 0; i < value_count(there); i++) {
		const struct value *object = value_item(there, i);
		struct span name = object_name(object);

		if (wanted_has(w, resource, name))
			continue;
		count++;
		if (object_is_ending(object))
			continue;
		reconcile_delete(r, resource, object);
		reconcile_event(r, "Normal", text_print(r, "Delete%s", resource->kind).string.ptr,
				"Deleted %s \"" SPAN_FMT "\"", resource->kind, SPAN_ARG(name));
	}
	return count;
}
