/* SPDX-License-Identifier: Apache-2.0 */
/* structural_embedded - objects inside custom objects (x-kubernetes-embedded-resource): apiVersion, kind and metadata of their own. */
#include "kube/crd/structural_private.h"
#include "kube/kinds/kinds.h"

#define OBJECT_META SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")

/* ---- the form of metadata ---- */

struct coercion {
	const struct schema_report *report;
	struct arena *arena;
	struct buffer path;
};

static bool coerce_text(struct coercion *c, const struct value *v, const char *member, struct error *err)
{
	const struct value *one = value_get(v, span_of(member));
	struct span text;

	if (!one || one->type == VALUE_STRING)
		return true;
	text = value_print(one, c->arena, err);
	return error_set(err, ERROR_INVALID, "%.*s.%s: Invalid value: %.*s: must be a string", (int)c->path.len,
			 c->path.ptr, member, (int)MIN(text.len, 100), text.ptr);
}

static bool coerce_object(struct coercion *c, struct value *v, struct error *err)
{
	struct value *metadata = value_get(v, SPAN("metadata"));
	const struct type *type = type_find(OBJECT_META);
	struct schema_report report = { .unknown = c->report ? c->report->unknown : NULL,
					.context = c->report ? c->report->context : NULL };
	struct span before;
	struct error why = { 0 };

	if (!coerce_text(c, v, "apiVersion", err) || !coerce_text(c, v, "kind", err))
		return false;
	if (!metadata || !type)
		return true;
	if (metadata->type == VALUE_NULL)
		*metadata = value_object();
	before = value_print(metadata, c->arena, err);
	report.prefix = arena_print(c->arena, err, "%.*s.metadata", (int)c->path.len, c->path.ptr);
	if (!before.ptr || !report.prefix.ptr)
		return false;
	if (metadata->type != VALUE_OBJECT)
		error_set(&why, ERROR_INVALID, "json: cannot unmarshal %s into Go value of type v1.ObjectMeta",
			  metadata->type == VALUE_INT || metadata->type == VALUE_DOUBLE ? "number"
			  : metadata->type == VALUE_BOOL                                ? "bool"
							 : value_type_name(metadata->type));
	else if (schema_decode(type, metadata, &report, c->arena, &why))
		return true;
	return error_set(err, ERROR_INVALID, "%.*s.metadata: Invalid value: %s%.*s: %s", (int)MIN(c->path.len, 60),
			 c->path.ptr, metadata->type == VALUE_OBJECT ? "map[string]interface {}" : "",
			 (int)MIN(before.len, 60), before.ptr, why.message);
}

static bool coerce(struct coercion *c, const struct openapi_schema *s, struct value *v, struct error *err)
{
	size_t len = c->path.len;

	if (!s->has_embedded)
		return true;
	if (v->type == VALUE_OBJECT && s->is_embedded && !coerce_object(c, v, err))
		return false;
	for (uint32_t i = 0; v->type == VALUE_ARRAY && s->items && i < v->array.count; i++) {
		buffer_print(&c->path, "[%u]", i);
		if (!coerce(c, s->items, value_item(v, i), err))
			return false;
		c->path.len = len;
	}
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++) {
		struct value_member *m = &v->object.members[i];
		const struct openapi_schema *one = openapi_schema_member(s, m->key);

		if (!one)
			continue;
		buffer_print(&c->path, "%s" SPAN_FMT, len ? "." : "", SPAN_ARG(m->key));
		if (!coerce(c, one, &m->value, err))
			return false;
		c->path.len = len;
	}
	return true;
}

bool openapi_schema_coerce(const struct openapi_schema *s, struct value *v, const struct schema_report *report,
			   struct arena *arena, struct error *err)
{
	struct coercion c = { .report = report, .arena = arena };
	bool good;

	buffer_init(&c.path, KIB(64));
	good = coerce(&c, s, v, err);
	buffer_done(&c.path);
	return good;
}

/* ---- checks ---- */

static bool is_group_version(struct span s)
{
	size_t slashes = 0;

	for (size_t i = 0; i < s.len; i++)
		slashes += s.ptr[i] == '/';
	return slashes <= 1;
}

static void check_version(struct change *c, const struct at *at, const struct value *v)
{
	struct span s = text_of(v);

	if (!v)
		fault_required(c, at, "must not be empty");
	else if (!s.len)
		fault_invalid(c, at, v, "must not be empty");
	else if (!is_group_version(s))
		fault_invalid(c, at, v, detail_print(c, "unexpected GroupVersion string: " SPAN_FMT, SPAN_ARG(s)));
}

static void check_kind(struct change *c, const struct at *at, const struct value *v)
{
	struct span s = text_of(v), small;
	const char *wrong;

	if (!v) {
		fault_required(c, at, "must not be empty");
		return;
	}
	if (!s.len) {
		fault_invalid(c, at, v, "must not be empty");
		return;
	}
	small = arena_copy(c->arena, s, c->err);
	for (size_t i = 0; i < small.len; i++)
		if (small.ptr[i] >= 'A' && small.ptr[i] <= 'Z')
			((char *)(uintptr_t)small.ptr)[i] = (char)(small.ptr[i] + 32);
	wrong = small.ptr ? name_check_1035(small) : NULL;
	if (wrong)
		fault_invalid(c, at, v, detail_print(c, "may have mixed case, but should otherwise match: %s", wrong));
}

static void check_embedded(struct change *c, const struct at *at, const struct value *v)
{
	const struct value *metadata = get(v, "metadata");
	const struct at *meta = AT(at, "metadata");
	struct span name = get_text(metadata, "name"), name_space = get_text(metadata, "namespace");
	const char *wrong;

	check_version(c, AT(at, "apiVersion"), value_get(v, SPAN("apiVersion")));
	check_kind(c, AT(at, "kind"), value_get(v, SPAN("kind")));
	if (!metadata)
		return;
	wrong = name.len ? name_check_path_segment(name) : NULL;
	if (wrong)
		fault_invalid_text(c, AT(meta, "name"), name, wrong);
	if (name_space.len)
		check_name(c, AT(meta, "namespace"), get(metadata, "namespace"), name_check_label);
	check_labels(c, AT(meta, "labels"), get(metadata, "labels"));
	check_annotations(c, AT(meta, "annotations"), get(metadata, "annotations"));
}

static void walk(struct change *c, const struct openapi_schema *s, const struct at *at, const struct value *v)
{
	if (!s->has_embedded)
		return;
	if (v->type == VALUE_OBJECT && s->is_embedded)
		check_embedded(c, at, v);
	for (uint32_t i = 0; v->type == VALUE_ARRAY && s->items && i < v->array.count; i++)
		walk(c, s->items, AT_INDEX(at, i), value_item(v, i));
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		const struct openapi_schema *one = openapi_schema_member(s, m->key);
		struct span name = one ? arena_copy(c->arena, m->key, c->err) : (struct span){ 0 };

		if (name.ptr)
			walk(c, one, s->additional ? AT_KEY(at, m->key) : AT(at, name.ptr), &m->value);
	}
}

void openapi_schema_check_embedded(const struct openapi_schema *s, const struct value *v, struct change *c)
{
	walk(c, s, NULL, v);
}
