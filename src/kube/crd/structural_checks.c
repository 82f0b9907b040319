/* SPDX-License-Identifier: Apache-2.0 */
/*
 * structural_checks - whether a schema is structural (apiextensions-apiserver pkg/apiserver/schema/validation.go, complete.go): each
 * value has one type, said outside of allOf, anyOf, oneOf and not; these say only what else must hold.
 */
#include "kube/crd/checks.h"
#include "kube/kinds/kinds.h"

#include <stdlib.h>

enum level { LEVEL_ROOT, LEVEL_ITEM, LEVEL_FIELD };

/* ---- what has no structural form ---- */

static bool any_is_unsupported(const struct value *list);

bool schema_is_supported(const struct value *s)
{
	static const char *const refused[] = { "id",           "$schema",         "$ref",       "patternProperties",
					       "dependencies", "additionalItems", "definitions" };
	static const char *const inner[] = { "not", "items", "additionalProperties" };
	static const char *const lists[] = { "allOf", "anyOf", "oneOf" };
	const struct value *keep = get(s, "x-kubernetes-preserve-unknown-fields");
	const struct value *properties = get(s, "properties");

	if (!value_is(s, VALUE_OBJECT))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (get(s, refused[i]) && (i == 5 || !value_is_empty(get(s, refused[i]))))
			return false;
	if ((value_is(keep, VALUE_BOOL) && !keep->boolean) ||
	    (value_is(get(s, "items"), VALUE_ARRAY) && count_of(get(s, "items"))))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(inner); i++)
		if (!schema_is_supported(get(s, inner[i])))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (any_is_unsupported(get(s, lists[i])))
			return false;
	for (uint32_t i = 0; value_is(properties, VALUE_OBJECT) && i < count_of(properties); i++)
		if (!schema_is_supported(&properties->object.members[i].value))
			return false;
	return true;
}

static bool any_is_unsupported(const struct value *list)
{
	for (uint32_t i = 0; value_is(list, VALUE_ARRAY) && i < count_of(list); i++)
		if (!schema_is_supported(value_item(list, i)))
			return true;
	return false;
}

/* ---- schemas beside ---- */

static bool is_only_type(const struct value *s, const char *type)
{
	return value_is(s, VALUE_OBJECT) && s->object.count == 1 && is_text(get(s, "type"), type);
}

/* anyOf: an integer, or a string: of x-kubernetes-int-or-string. */
static bool is_int_or_string(const struct value *any)
{
	return value_is(any, VALUE_ARRAY) && any->array.count == 2 && is_only_type(value_item(any, 0), "integer") &&
	       is_only_type(value_item(any, 1), "string");
}

static void check_beside(struct change *c, const struct at *at, const struct value *s, bool skips_any,
			 bool skips_first_any, enum level level);

static void check_empty(struct change *c, const struct at *at, const struct value *s)
{
	static const struct {
		const char *member, *detail;
	} rows[] = {
		{ "default", "must be undefined to be structural" },
		{ "title", "must be empty to be structural" },
		{ "description", "must be empty to be structural" },
		{ "nullable", "must be false to be structural" },
		{ "x-kubernetes-preserve-unknown-fields", "must be false to be structural" },
		{ "x-kubernetes-embedded-resource", "must be false to be structural" },
		{ "x-kubernetes-int-or-string", "must be false to be structural" },
		{ "x-kubernetes-list-map-keys", "must be empty to be structural" },
		{ "x-kubernetes-list-type", "must be undefined to be structural" },
		{ "x-kubernetes-map-type", "must be undefined to be structural" },
		{ "x-kubernetes-validations", "must be empty to be structural" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct value *v = get(s, rows[i].member);
		bool is_zero = v && i > 0 && ((v->type == VALUE_BOOL && !v->boolean) || value_is_empty(v));

		if (v && !is_zero)
			fault_forbidden(c, AT(at, rows[i].member), rows[i].detail);
	}
}

static void check_nested(struct change *c, const struct at *at, const struct value *s, bool skips_any, enum level level)
{
	const struct value *properties = get(s, "properties");
	const struct value *more = get(s, "additionalProperties");

	if (!value_is(s, VALUE_OBJECT))
		return;
	check_beside(c, at, s, skips_any, false, level);
	check_nested(c, AT(at, "items"), get(s, "items"), false, level);
	for (uint32_t i = 0; value_is(properties, VALUE_OBJECT) && i < count_of(properties); i++)
		check_nested(c, AT_KEY(AT(at, "properties"), properties->object.members[i].key),
			     &properties->object.members[i].value, false, LEVEL_FIELD);
	if (get_text(s, "type").len)
		fault_forbidden(c, AT(at, "type"), "must be empty to be structural");
	if (value_is(more, VALUE_OBJECT) || (value_is(more, VALUE_BOOL) && more->boolean))
		fault_forbidden(c, AT(at, "additionalProperties"), "must be undefined to be structural");
	check_empty(c, at, s);
	if (get(properties, "metadata"))
		fault_forbidden(c, AT_KEY(AT(at, "properties"), SPAN("metadata")),
				"must not be specified in a nested context");
}

static void check_list(struct change *c, const struct at *at, const struct value *s, const char *member,
		       bool skips_first_any, enum level level)
{
	const struct value *list = get(s, member);

	for (uint32_t i = 0; value_is(list, VALUE_ARRAY) && i < count_of(list); i++)
		check_nested(c, AT_INDEX(AT(at, member), i), value_item(list, i), skips_first_any && i == 0, level);
}

static void check_beside(struct change *c, const struct at *at, const struct value *s, bool skips_any,
			 bool skips_first_any, enum level level)
{
	const struct value *pattern = get(s, "pattern");
	const char *wrong;

	if (!skips_any)
		check_list(c, at, s, "anyOf", false, level);
	check_list(c, at, s, "allOf", skips_first_any, level);
	check_list(c, at, s, "oneOf", false, level);
	check_nested(c, AT(at, "not"), get(s, "not"), false, level);
	if (!text_of(pattern).len)
		return;
	wrong = pattern_fault(text_of(pattern), c->arena);
	if (wrong)
		fault_invalid(c, AT(at, "pattern"), pattern,
			      detail_print(c, "must be a valid regular expression, but isn't: %s", wrong));
}

/* ---- the structure ---- */

static void check_type(struct change *c, const struct at *at, const struct value *s, enum level level)
{
	static const char *const words[] = { "must not be empty at the root",
					     "must not be empty for specified array items",
					     "must not be empty for specified object fields" };
	const struct value *type = get(s, "type");
	bool is_embedded = get_bool(s, "x-kubernetes-embedded-resource");

	if (is_embedded && !is_text(type, "object")) {
		const char *detail = "must be object if x-kubernetes-embedded-resource is true";

		if (!text_of(type).len)
			fault_required(c, AT(at, "type"), detail);
		else
			fault_invalid(c, AT(at, "type"), type, detail);
	} else if (!text_of(type).len && !get_bool(s, "x-kubernetes-int-or-string") &&
		   !get_bool(s, "x-kubernetes-preserve-unknown-fields")) {
		fault_required(c, AT(at, "type"), words[level]);
	}
	if (is_embedded && get(s, "additionalProperties"))
		fault_forbidden(c, AT(at, "additionalProperties"),
				"must not be used if x-kubernetes-embedded-resource is set");
	if (level == LEVEL_ROOT && text_of(type).len && !is_text(type, "object"))
		fault_invalid(c, AT(at, "type"), type, "must be object at the root");
}

/* Of the object's own metadata only the names may be told more of. */
static bool is_plain_metadata(const struct value *s)
{
	const struct value *properties = get(s, "properties");
	size_t known = (get(properties, "name") != NULL) + (get(properties, "generateName") != NULL);

	for (uint32_t i = 0; i < s->object.count; i++) {
		struct span key = s->object.members[i].key;
		const struct value *v = &s->object.members[i].value;

		if (span_equal(key, SPAN("type")) || span_equal(key, SPAN("default")) || value_is_empty(v) ||
		    (v->type == VALUE_BOOL && !v->boolean))
			continue;
		if (!span_equal(key, SPAN("properties")) || known != count_of(properties))
			return false;
	}
	return true;
}

static void check_metadata_schema(struct change *c, const struct at *at, const struct value *s, bool is_object,
				  enum level level)
{
	struct value nothing = value_string(SPAN(""));

	if (is_object && !is_text(get(s, "type"), "object"))
		fault_invalid(c, AT(at, "type"), get(s, "type") ? get(s, "type") : &nothing, "must be object");
	if (level == LEVEL_ROOT && !is_plain_metadata(s))
		fault_forbidden(
		    c, at,
		    "must not specify anything other than name and generateName, but metadata is implicitly "
		    "specified");
}

static void check_meta(struct change *c, const struct at *at, const struct value *s, enum level level)
{
	static const char *const texts[] = { "kind", "apiVersion" };
	const struct value *properties = get(s, "properties"), *metadata = get(properties, "metadata");
	bool is_object = level == LEVEL_ROOT || get_bool(s, "x-kubernetes-embedded-resource");
	struct value nothing = value_string(SPAN(""));
	const struct at *below = AT(at, "properties");

	for (size_t i = 0; is_object && i < ARRAY_LEN(texts); i++) {
		const struct value *one = get(properties, texts[i]);

		if (one && !is_text(get(one, "type"), "string"))
			fault_invalid(c, AT(AT_KEY(below, span_of(texts[i])), "type"),
				      get(one, "type") ? get(one, "type") : &nothing, "must be string");
	}
	if (value_is(metadata, VALUE_OBJECT))
		check_metadata_schema(c, AT_KEY(below, SPAN("metadata")), metadata, is_object, level);
	if (get_bool(s, "x-kubernetes-embedded-resource") && !get_bool(s, "x-kubernetes-preserve-unknown-fields") &&
	    !count_of(properties))
		fault_required(c, below,
			       "must not be empty if x-kubernetes-embedded-resource is true without "
			       "x-kubernetes-preserve-unknown-fields");
}

static void check_invariants(struct change *c, const struct at *at, const struct value *s, enum level level)
{
	static const char *const alone[] = { "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource" };
	const struct value *properties = get(s, "properties"), *more = get(s, "additionalProperties");
	const struct value *all = get(s, "allOf");
	bool skips_any = is_int_or_string(get(s, "anyOf"));
	bool skips_first =
	    value_is(all, VALUE_ARRAY) && count_of(all) && is_int_or_string(get(value_item(all, 0), "anyOf"));

	if (!value_is(s, VALUE_OBJECT))
		return;
	if (is_text(get(s, "type"), "array") && !get(s, "items"))
		fault_required(c, AT(at, "items"), "must be specified");
	check_invariants(c, AT(at, "items"), get(s, "items"), LEVEL_ITEM);
	for (uint32_t i = 0; value_is(properties, VALUE_OBJECT) && i < count_of(properties); i++)
		check_invariants(c, AT_KEY(AT(at, "properties"), properties->object.members[i].key),
				 &properties->object.members[i].value, LEVEL_FIELD);
	if (more && level == LEVEL_ROOT)
		fault_forbidden(c, AT(at, "additionalProperties"), "must not be used at the root");
	check_invariants(c, AT(at, "additionalProperties"), more, LEVEL_FIELD);
	for (size_t i = 0; get_bool(s, "x-kubernetes-int-or-string") && i < ARRAY_LEN(alone); i++)
		if (get_bool(s, alone[i]))
			fault_invalid(c, AT(at, alone[i]), get(s, alone[i]),
				      "must be false if x-kubernetes-int-or-string is true");
	check_beside(c, at, s, skips_any, skips_first, level);
	check_type(c, at, s, level);
	check_meta(c, at, s, level);
}

/* ---- completeness ---- */

struct pair {
	const struct value *schema; /* NULL: it is not there */
	const struct at *at;
};

static void complete_beside(struct change *c, struct pair whole, const struct value *s, const struct at *at);

static void complete_nested(struct change *c, struct pair whole, const struct value *s, const struct at *at)
{
	const struct value *properties = get(s, "properties");

	if (!value_is(s, VALUE_OBJECT))
		return;
	if (!whole.schema) {
		struct span where = at_print(c, at);

		fault_required(c, whole.at, detail_print(c, "because it is defined in " SPAN_FMT, SPAN_ARG(where)));
		return;
	}
	complete_beside(c, whole, s, at);
	complete_nested(c, (struct pair){ get(whole.schema, "items"), AT(whole.at, "items") }, get(s, "items"),
			AT(at, "items"));
	for (uint32_t i = 0; value_is(properties, VALUE_OBJECT) && i < count_of(properties); i++) {
		const struct value_member *m = &properties->object.members[i];
		const struct value *one = value_get(get(whole.schema, "properties"), m->key);

		complete_nested(c, (struct pair){ one, AT_KEY(AT(whole.at, "properties"), m->key) }, &m->value,
				AT_KEY(AT(at, "properties"), m->key));
	}
}

static void complete_beside(struct change *c, struct pair whole, const struct value *s, const struct at *at)
{
	static const char *const lists[] = { "allOf", "anyOf", "oneOf" };

	complete_nested(c, whole, get(s, "not"), AT(at, "not"));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *list = get(s, lists[i]);

		for (uint32_t k = 0; value_is(list, VALUE_ARRAY) && k < count_of(list); k++)
			complete_nested(c, whole, value_item(list, k), AT_INDEX(AT(at, lists[i]), k));
	}
}

void check_structural(struct change *c, const struct at *at, const struct value *schema)
{
	check_invariants(c, at, schema, LEVEL_ROOT);
	complete_beside(c, (struct pair){ schema, at }, schema, at);
}
