/* SPDX-License-Identifier: Apache-2.0 */
/* crd - CustomResourceDefinition of apiextensions.k8s.io/v1: what the server fills in, and what it keeps to itself. */
#include "kube/crd/crd.h"

#include "kube/kinds/kinds.h"
#include "kube/kube.h"

/* ---- conditions ---- */

static struct value *condition_find(const struct value *definition, const char *type)
{
	const struct value *list = get(get(definition, "status"), "conditions");

	for (uint32_t i = 0; i < count_of(list); i++)
		if (is_text(get(value_item(list, i), "type"), type))
			return value_item(list, i);
	return NULL;
}

const struct value *crd_condition(const struct value *definition, const char *type)
{
	return condition_find(definition, type);
}

bool crd_condition_is_true(const struct value *definition, const char *type)
{
	return is_text(get(condition_find(definition, type), "status"), "True");
}

static bool put(struct value *object, const char *member, struct span text, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(member), value_string(text), arena, err) != NULL;
}

bool crd_condition_set(struct value *definition, const char *type, bool is_true, const char *reason,
		       struct span message, int64_t wall_ns, struct arena *arena, struct error *err)
{
	struct value *status = value_ensure_object(definition, SPAN("status"), arena, err), *list, *found;
	struct span state = is_true ? SPAN("True") : SPAN("False");
	struct value fresh = value_object();

	list = status ? value_ensure_array(status, SPAN("conditions"), arena, err) : NULL;
	if (!list)
		return false;
	found = condition_find(definition, type);
	if (found && span_equal(get_text(found, "status"), state) &&
	    span_equal(get_text(found, "reason"), span_of(reason)) && span_equal(get_text(found, "message"), message))
		return false;
	/* The time is that of the last change of the status, not of its reason. */
	if (!found || !span_equal(get_text(found, "status"), state)) {
		struct span now = kube_now_text(wall_ns, arena);

		if (!put(found ? found : &fresh, "lastTransitionTime", now, arena, err))
			return false;
	}
	if (!found)
		found = value_append(list, fresh, arena, err);
	return found && put(found, "message", message, arena, err) &&
	       put(found, "reason", span_of(reason), arena, err) && put(found, "status", state, arena, err) &&
	       put(found, "type", span_of(type), arena, err);
}

/* ---- defaults ---- */

static struct span in_small(struct span s, struct arena *arena)
{
	struct error ignored = { 0 };
	struct span text = arena_copy(arena, s, &ignored);

	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')
			((char *)(uintptr_t)text.ptr)[i] = (char)(text.ptr[i] + 32);
	return text;
}

static void stored_versions_default(struct change *c)
{
	struct value *status = ensure(c, c->object, "status"), *list;
	const struct value *versions = get(get(c->object, "spec"), "versions");

	if (!status || count_of(get(status, "storedVersions")))
		return;
	for (uint32_t i = 0; i < count_of(versions); i++) {
		const struct value *one = value_item(versions, i);

		if (!get_bool(one, "storage"))
			continue;
		drop(status, "storedVersions");
		list = value_ensure_array(status, SPAN("storedVersions"), c->arena, c->err);
		if (list)
			(void)value_append(list, value_string(get_text(one, "name")), c->arena, c->err);
		return;
	}
}

static void definition_defaults(struct change *c)
{
	struct value *spec, *names, *conversion;
	struct span kind;

	shape(c);
	spec = ensure(c, c->object, "spec");
	names = spec ? ensure(c, spec, "names") : NULL;
	if (!names)
		return;
	kind = get_text(names, "kind");
	if (!get_text(names, "singular").len && kind.len)
		set_text(c, names, "singular", in_small(kind, c->arena));
	if (!get_text(names, "listKind").len && kind.len)
		set_text(c, names, "listKind", path_print(c, SPAN_FMT "List", SPAN_ARG(kind)));
	if (!get(spec, "conversion")) {
		conversion = ensure(c, spec, "conversion");
		if (conversion)
			set_text(c, conversion, "strategy", SPAN("None"));
	}
	conversion = get(get(get(get(spec, "conversion"), "webhook"), "clientConfig"), "service");
	default_int(c, conversion, "port", 443);
	stored_versions_default(c);
}

/* ---- what the server keeps to itself ---- */

/* The storage version is among those that were ever one. */
static void stored_versions_add(struct change *c)
{
	const struct value *versions = get(get(c->object, "spec"), "versions");
	struct value *status = ensure(c, c->object, "status"), *list;

	list = status ? value_ensure_array(status, SPAN("storedVersions"), c->arena, c->err) : NULL;
	for (uint32_t i = 0; list && i < count_of(versions); i++) {
		struct value name = value_string(get_text(value_item(versions, i), "name"));
		bool is_there = false;

		if (!get_bool(value_item(versions, i), "storage"))
			continue;
		for (uint32_t j = 0; j < count_of(list); j++)
			is_there |= value_equal(value_item(list, j), &name);
		if (!is_there)
			(void)value_append(list, name, c->arena, c->err);
		return;
	}
}

static void definition_prepare(struct change *c)
{
	if (!c->old) {
		struct value *status;

		drop(c->object, "status");
		status = ensure(c, c->object, "status");
		if (status)
			(void)ensure(c, status, "acceptedNames");
		shape(c);
		stored_versions_add(c);
	} else if (change_is_status(c)) {
		prepare_status(c);
	} else {
		carry(c, c->object, c->old, "status");
		stored_versions_add(c);
	}
	shape(c);
}

static bool definition_raises(const struct value *old, const struct value *object)
{
	return !is_same(get(old, "spec"), get(object, "spec"));
}

/* ---- the end ---- */

/* The first delete only marks it: it goes when its objects are gone (definitions.c). */
static bool definition_begin_delete(struct change *c)
{
	struct value *metadata = ensure(c, c->object, "metadata"), *list;
	struct value name = value_string(SPAN(CRD_FINALIZER));
	int64_t wall = kube_wall_ns(c->kube);
	bool is_there = false;

	if (!metadata || get(metadata, "deletionTimestamp"))
		return false;
	set_text(c, metadata, "deletionTimestamp", kube_now_text(wall, c->arena));
	list = value_ensure_array(metadata, SPAN("finalizers"), c->arena, c->err);
	for (uint32_t i = 0; i < count_of(list); i++)
		is_there |= value_equal(value_item(list, i), &name);
	if (list && !is_there)
		(void)value_append(list, name, c->arena, c->err);
	(void)crd_condition_set(c->object, "Terminating", true, "InstanceDeletionPending",
				SPAN("CustomResourceDefinition marked for deletion; CustomResource deletion will begin "
				     "soon"),
				wall, c->arena, c->err);
	return true;
}

/* ---- the row ---- */

static void definition_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	(void)now_ns;
	(void)arena;
	cells[0] = cell_name(o);
	cells[1] = cell_text(value_find_string(o, "metadata.creationTimestamp"));
}

static const struct column definition_columns[] = {
	COLUMN_NAME,
	COLUMN("Created At", "date", "When the server made the definition, in RFC 3339, UTC."),
	{ 0 },
};
static const char *const definition_short[] = { "crd", "crds", NULL };
static const char *const definition_categories[] = { "api-extensions", NULL };

const struct kind kind_custom_resource_definition = {
	.group = CRD_GROUP,
	.version = "v1",
	.plural = CRD_PLURAL,
	.singular = "customresourcedefinition",
	.kind = "CustomResourceDefinition",
	.short_names = definition_short,
	.categories = definition_categories,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
	.columns = definition_columns,
	.defaults = definition_defaults,
	.prepare = definition_prepare,
	.validate = crd_check,
	.raises_generation = definition_raises,
	.begin_delete = definition_begin_delete,
	.row = definition_row,
};
