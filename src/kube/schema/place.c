/* SPDX-License-Identifier: Apache-2.0 */
/* Where a merge stands: in a type of the table, in a schema of a custom resource, or in the unknown. */
#include "kube/crd/structural.h"
#include "kube/schema/schema.h"

struct place place_of_type(const struct type *t)
{
	return (struct place){ .type = t };
}

struct place place_of_openapi(const struct openapi_schema *s)
{
	return (struct place){ .openapi = s };
}

/* What stands below a field whose list or map was entered: an object of its type, or a scalar. */
static struct place item_of(const struct field *f)
{
	return (struct place){ .type = f->kind == FIELD_OBJECT ? f->type : NULL, .field = f, .is_item = true };
}

static struct place of_field(const struct field *f)
{
	if (!f)
		return (struct place){ 0 };
	return (struct place){ .type = f->kind == FIELD_OBJECT && f->shape == FIELD_ONE ? f->type : NULL, .field = f };
}

/* A JSON schema where JSONSchemaProps allows something else as well: members are those of the schema. */
static bool is_schema(const struct field *f)
{
	return f->kind == FIELD_SCHEMA_OR_ARRAY || f->kind == FIELD_SCHEMA_OR_BOOL ||
	       f->kind == FIELD_SCHEMA_OR_STRINGS;
}

struct place place_member(struct place p, struct span key)
{
	/* A custom object's own metadata is that of all kinds; its schema says no more than what names are allowed. */
	if (p.openapi && openapi_schema_is_object(p.openapi) &&
	    (span_equal(key, SPAN("metadata")) || span_equal(key, SPAN("apiVersion")) || span_equal(key, SPAN("kind"))))
		return of_field(type_field(type_find(SPAN("io.k8s.api.core.v1.ConfigMap")), key));
	if (p.openapi)
		return place_of_openapi(openapi_schema_member(p.openapi, key));
	if (p.type)
		return of_field(type_field(p.type, key));
	if (p.field && p.field->shape == FIELD_MAP && !p.is_item)
		return item_of(p.field);
	if (p.field && is_schema(p.field) && (p.is_item || p.field->shape == FIELD_ONE))
		return of_field(type_field(p.field->type, key));
	return (struct place){ 0 };
}

struct place place_item(struct place p)
{
	if (p.openapi)
		return place_of_openapi(openapi_schema_item(p.openapi));
	if (p.field && p.field->shape == FIELD_LIST && !p.is_item)
		return item_of(p.field);
	return (struct place){ 0 };
}

static bool is_list(struct place p)
{
	return p.field && p.field->shape == FIELD_LIST && !p.is_item;
}

enum list_kind place_list(struct place p)
{
	if (p.openapi)
		return openapi_schema_list(p.openapi);
	return is_list(p) ? (enum list_kind)p.field->list : LIST_ATOMIC;
}

/* Without anything known an object is owned member by member, as the real server deduces it. */
bool place_is_atomic(struct place p)
{
	if (p.openapi)
		return openapi_schema_is_atomic(p.openapi);
	if (p.type && p.type->is_atomic)
		return true;
	return p.field && !p.is_item && (p.field->flags & FIELD_MAP_ATOMIC);
}

size_t place_list_keys(struct place p, struct span ret[LIST_KEYS_MAX], const char *ret_defaults[LIST_KEYS_MAX])
{
	struct span keys;
	size_t count = 0;

	if (p.openapi)
		return openapi_schema_list_keys(p.openapi, ret, ret_defaults);
	if (!is_list(p) || p.field->list != LIST_MAP)
		return 0;
	keys = span_of(p.field->list_keys);
	while (keys.len && count < LIST_KEYS_MAX) {
		const struct field *key;

		ret[count] = span_cut(&keys, ',');
		key = type_field(p.field->type, ret[count]);
		ret_defaults[count] = key ? key->default_json : NULL;
		count++;
	}
	return count;
}

bool place_merges(struct place p, struct span *ret_key)
{
	if (!is_list(p) || !(p.field->flags & FIELD_MERGE))
		return false;
	*ret_key = span_of(p.field->merge_key);
	return true;
}

bool place_retains_keys(struct place p)
{
	return p.field && !p.is_item && (p.field->flags & FIELD_RETAIN_KEYS);
}
