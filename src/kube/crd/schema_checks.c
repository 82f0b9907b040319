/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_checks - what is refused in the schema of a definition: what OpenAPI has and custom kinds have not, lists and maps that do not
 * hold together (apiextensions-apiserver pkg/apis/apiextensions/validation). Whether it is structural is structural_checks.c's.
 */
#include "kube/crd/checks.h"
#include "kube/crd/rules.h"
#include "kube/kinds/kinds.h"

/* ---- the root, when status has a path of its own ---- */

/* The members in the order of the Go struct; those that may not be at such a root are the ones listed. */
static const char *const refused_at_root[] = {
	"id",
	"$schema",
	"$ref",
	"nullable",
	"default",
	"enum",
	"maxProperties",
	"minProperties",
	"allOf",
	"oneOf",
	"anyOf",
	"not",
	"additionalProperties",
	"patternProperties",
	"dependencies",
	"additionalItems",
	"definitions",
	"x-kubernetes-embedded-resource",
	"x-kubernetes-int-or-string",
	"x-kubernetes-list-map-keys",
	"x-kubernetes-list-type",
	"x-kubernetes-map-type",
};

static bool is_set(const struct value *schema, const char *member)
{
	const struct value *v = get(schema, member);

	return v && !value_is_empty(v) && !(v->type == VALUE_BOOL && !v->boolean);
}

static void check_root(struct change *c, const struct at *at, const struct value *schema)
{
	const struct value *type = get(schema, "type");

	if (text_of(type).len && !is_text(type, "object")) {
		fault_invalid(c, AT(at, "type"), type,
			      "only \"object\" is allowed as the type at the root of the schema if the status "
			      "subresource is enabled");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(refused_at_root); i++) {
		if (!is_set(schema, refused_at_root[i]))
			continue;
		fault_printed(
		    c, at, SPAN("apiextensions.JSONSchemaProps{}"), /* there the whole of it is told */
		    "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength "
		    "MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs "
		    "Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the "
		    "status subresource is enabled");
		return;
	}
}

/* ---- one node ---- */

struct walk {
	bool forbids_defaults;
	const char *why; /* "in top-level metadata" */
	bool is_inside_meta;
};

static void check_unsupported(struct change *c, const struct at *at, const struct value *s)
{
	static const struct {
		const char *member, *detail;
	} rows[] = { { "id", "id is not supported" },
		     { "additionalItems", "additionalItems is not supported" },
		     { "patternProperties", "patternProperties is not supported" },
		     { "definitions", "definitions is not supported" },
		     { "dependencies", "dependencies is not supported" },
		     { "$ref", "$ref is not supported" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (get(s, rows[i].member) && (!value_is_empty(get(s, rows[i].member)) || i == 1 || i >= 4))
			fault_forbidden(c, AT(at, rows[i].member), rows[i].detail);
}

static void check_node(struct change *c, const struct at *at, const struct value *s, const struct walk *w)
{
	static const char *const types[] = { "array", "boolean", "integer", "number", "object", "string", NULL };
	const struct value *type = get(s, "type");

	if (text_of(type).len && !text_is_one_of(text_of(type), types))
		fault_not_supported(c, AT(at, "type"), type, types);
	if (get(s, "default") && w->forbids_defaults)
		fault_forbidden(c, AT(at, "default"), detail_print(c, "must not be set %s", w->why));
	check_unsupported(c, at, s);
	if (is_text(type, "null"))
		fault_forbidden(c, AT(at, "type"), "type cannot be set to null, use nullable as an alternative");
	if (value_is(get(s, "items"), VALUE_ARRAY) && count_of(get(s, "items")))
		fault_forbidden(c, AT(at, "items"), "items must be a schema object and not an array");
	if (w->is_inside_meta && get_bool(s, "x-kubernetes-embedded-resource"))
		fault_forbidden(c, AT(at, "x-kubernetes-embedded-resource"),
				"must not be used inside of resource meta");
	if (get_bool(s, "uniqueItems"))
		fault_forbidden(c, AT(at, "uniqueItems"),
				"uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
	if (count_of(get(s, "properties")) && get(s, "additionalProperties") &&
	    !(value_is(get(s, "additionalProperties"), VALUE_BOOL) && get_bool(s, "additionalProperties")))
		fault_forbidden(c, AT(at, "additionalProperties"),
				"additionalProperties and properties are mutual exclusive");
}

/* ---- maps and lists ---- */

static void check_type_word(struct change *c, const struct at *at, const struct value *s, const char *word,
			    const char *type)
{
	const char *detail;

	if (!get(s, word) || is_text(get(s, "type"), type))
		return;
	detail = detail_print(c, "must be %s if %s is specified", type, word);
	if (!get_text(s, "type").len)
		fault_required(c, AT(at, "type"), detail);
	else
		fault_invalid(c, AT(at, "type"), get(s, "type"), detail);
}

static void check_set_items(struct change *c, const struct at *at, const struct value *items)
{
	const struct value *list = get(items, "x-kubernetes-list-type"), *map = get(items, "x-kubernetes-map-type");
	const struct value nothing = value_null();

	if (is_text(get(items, "type"), "array") && list && !is_text(list, "atomic"))
		fault_invalid(c, AT(at, "x-kubernetes-list-type"), list,
			      "must be atomic as item of a list with x-kubernetes-list-type=set");
	if (is_text(get(items, "type"), "object") && !is_text(map, "atomic"))
		fault_invalid(c, AT(at, "x-kubernetes-map-type"), list ? list : &nothing,
			      "must be atomic as item of a list with x-kubernetes-list-type=set");
}

static void check_key(struct change *c, const struct at *at, const struct value *s, uint32_t i)
{
	const struct value *keys = get(s, "x-kubernetes-list-map-keys"), *items = get(s, "items");
	const struct value *one = value_get(get(items, "properties"), text_of(value_item(keys, i)));
	const struct at *here = AT(at, "x-kubernetes-list-map-keys");
	bool is_twice = false;

	if (!one)
		fault_invalid(c, here, keys, "entries must all be names of item properties");
	else if (is_text(get(one, "type"), "array") || is_text(get(one, "type"), "object"))
		fault_invalid(c, AT(AT_KEY(AT(AT(at, "items"), "properties"), text_of(value_item(keys, i))), "type"),
			      get(items, "type"),
			      "must be a scalar type if parent array's x-kubernetes-list-type is map");
	for (uint32_t k = 0; k < i; k++)
		is_twice |= value_equal(value_item(keys, k), value_item(keys, i));
	if (is_twice)
		fault_invalid(c, here, keys, "must not contain duplicate entries");
}

static void check_list_map(struct change *c, const struct at *at, const struct value *s)
{
	const struct value *keys = get(s, "x-kubernetes-list-map-keys"), *items = get(s, "items");
	struct value nothing = value_string(SPAN(""));

	if (!count_of(keys))
		fault_required(c, AT(at, "x-kubernetes-list-map-keys"),
			       "must not be empty if x-kubernetes-list-type is map");
	if (!items) {
		fault_required(c, AT(at, "items"), "must have a schema if x-kubernetes-list-type is map");
		return;
	}
	if (items->type != VALUE_OBJECT) {
		fault_invalid(c, AT(at, "items"), items,
			      "must only have a single schema if x-kubernetes-list-type is map");
		return;
	}
	if (!is_text(get(items, "type"), "object")) {
		fault_invalid(c, AT(AT(at, "items"), "type"), get(items, "type") ? get(items, "type") : &nothing,
			      "must be object if parent array's x-kubernetes-list-type is map");
		return;
	}
	for (uint32_t i = 0; i < count_of(keys); i++)
		check_key(c, at, s, i);
}

static bool has_text(const struct value *list, struct span text)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		if (span_equal(text_of(value_item(list, i)), text))
			return true;
	return false;
}

/* Keys are always there, and items are never null. */
static void check_items_there(struct change *c, const struct at *at, const struct value *s)
{
	const struct value *items = get(s, "items"), *keys = get(s, "x-kubernetes-list-map-keys");
	struct span type = get_text(s, "x-kubernetes-list-type");
	const struct at *below = AT(at, "items");

	if (!value_is(items, VALUE_OBJECT) || (!span_equal(type, SPAN("set")) && !span_equal(type, SPAN("map"))))
		return;
	if (get_bool(items, "nullable"))
		fault_forbidden(
		    c, AT(below, "nullable"),
		    detail_print(c, "cannot be nullable when x-kubernetes-list-type is " SPAN_FMT, SPAN_ARG(type)));
	for (uint32_t i = 0; span_equal(type, SPAN("map")) && i < count_of(keys); i++) {
		struct span key = text_of(value_item(keys, i));
		const struct value *one = value_get(get(items, "properties"), key);
		const struct at *here = AT_KEY(AT(below, "properties"), key);

		if (!one)
			continue;
		if (!has_text(get(items, "required"), key) && !get(one, "default"))
			fault_required(
			    c, AT(here, "default"),
			    "this property is in x-kubernetes-list-map-keys, so it must have a default or be a "
			    "required property");
		if (get_bool(one, "nullable"))
			fault_forbidden(c, AT(here, "nullable"),
					"this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
	}
}

static void check_shapes(struct change *c, const struct at *at, const struct value *s)
{
	static const char *const map_types[] = { "atomic", "granular", NULL };
	static const char *const list_types[] = { "atomic", "set", "map", NULL };
	const struct value *keep = get(s, "x-kubernetes-preserve-unknown-fields");
	const struct value *list = get(s, "x-kubernetes-list-type");

	if (value_is(keep, VALUE_BOOL) && !keep->boolean)
		fault_invalid(c, AT(at, "x-kubernetes-preserve-unknown-fields"), keep, "must be true or undefined");
	check_type_word(c, at, s, "x-kubernetes-map-type", "object");
	check_one_of_or_absent(c, AT(at, "x-kubernetes-map-type"), get(s, "x-kubernetes-map-type"), map_types);
	check_type_word(c, at, s, "x-kubernetes-list-type", "array");
	if (is_text(get(s, "type"), "array") && is_text(list, "set") && value_is(get(s, "items"), VALUE_OBJECT))
		check_set_items(c, AT(at, "items"), get(s, "items"));
	check_one_of_or_absent(c, AT(at, "x-kubernetes-list-type"), list, list_types);
	if (count_of(get(s, "x-kubernetes-list-map-keys")) && !list)
		fault_required(c, AT(at, "x-kubernetes-list-type"),
			       "must be map if x-kubernetes-list-map-keys is non-empty");
	else if (count_of(get(s, "x-kubernetes-list-map-keys")) && !is_text(list, "map"))
		fault_invalid(c, AT(at, "x-kubernetes-list-type"), list,
			      "must be map if x-kubernetes-list-map-keys is non-empty");
	if (is_text(list, "map"))
		check_list_map(c, at, s);
	check_items_there(c, at, s);
}

/* ---- all of them ---- */

static void check_tree(struct change *c, const struct at *at, const struct value *s, struct walk w, bool is_root);

static void check_trees(struct change *c, const struct at *at, const struct value *s, struct walk w)
{
	static const char *const lists[] = { "allOf", "oneOf", "anyOf" };
	static const char *const maps[] = { "definitions", "dependencies" };

	check_tree(c, AT(at, "not"), get(s, "not"), w, false);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (uint32_t k = 0; value_is(get(s, lists[i]), VALUE_ARRAY) && k < count_of(get(s, lists[i])); k++)
			check_tree(c, AT_INDEX(AT(at, lists[i]), k), value_item(get(s, lists[i]), k), w, false);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		const struct value *map = get(s, maps[i]);

		for (uint32_t k = 0; value_is(map, VALUE_OBJECT) && k < count_of(map); k++)
			check_tree(c, AT_KEY(AT(at, maps[i]), map->object.members[k].key),
				   &map->object.members[k].value, w, false);
	}
	if (value_is(get(s, "items"), VALUE_OBJECT))
		check_tree(c, AT(at, "items"), get(s, "items"), w, false);
	for (uint32_t k = 0; value_is(get(s, "items"), VALUE_ARRAY) && k < count_of(get(s, "items")); k++)
		check_tree(c, AT_INDEX(AT(at, "items"), k), value_item(get(s, "items"), k), w, false);
}

static bool is_meta(struct span name)
{
	return span_equal(name, SPAN("metadata")) || span_equal(name, SPAN("kind")) ||
	       span_equal(name, SPAN("apiVersion"));
}

static void check_properties(struct change *c, const struct at *at, const struct value *s, struct walk w, bool is_root)
{
	const struct value *all = get(s, "properties");

	for (uint32_t i = 0; value_is(all, VALUE_OBJECT) && i < count_of(all); i++) {
		const struct value_member *m = &all->object.members[i];
		struct walk inner = w;

		if ((is_root || get_bool(s, "x-kubernetes-embedded-resource")) && is_meta(m->key)) {
			inner.is_inside_meta = true;
			if (is_root) {
				inner.forbids_defaults = true;
				inner.why = detail_print(c, "in top-level " SPAN_FMT, SPAN_ARG(m->key));
			}
		}
		check_tree(c, AT_KEY(AT(at, "properties"), m->key), &m->value, inner, false);
	}
}

static void check_tree(struct change *c, const struct at *at, const struct value *s, struct walk w, bool is_root)
{
	struct walk more = w;

	if (!value_is(s, VALUE_OBJECT))
		return;
	check_node(c, at, s, &w);
	if (w.is_inside_meta) {
		more.forbids_defaults = true;
		more.why = "inside additionalProperties applying to object metadata";
	}
	check_tree(c, AT(at, "additionalProperties"), get(s, "additionalProperties"), more, false);
	check_properties(c, at, s, w, is_root);
	check_trees(c, at, s, w);
	check_shapes(c, at, s);
}

void crd_check_schema(struct change *c, const struct value *schema, bool has_status, struct span path)
{
	struct span kept = arena_copy(c->arena, path, c->err);
	const struct at *at = AT(NULL, kept.ptr ? kept.ptr : "");
	size_t before = c->cause_count;
	struct openapi_schema *compiled;

	if (has_status)
		check_root(c, at, schema);
	if (get_bool(schema, "nullable"))
		fault_forbidden(c, AT(at, "nullable"), "nullable cannot be true at the root");
	if (!schema_is_supported(schema)) {
		check_tree(c, at, schema, (struct walk){ 0 }, true);
		return;
	}
	check_structural(c, at, schema);
	if (c->cause_count == before)
		check_default_values(c, at, schema);
	check_tree(c, at, schema, (struct walk){ 0 }, true);
	if (c->cause_count != before)
		return;
	/* What is left are limits of our own. */
	compiled = openapi_schema_new(schema, kept, c);
	if (compiled)
		rules_check(compiled, kept, c);
	openapi_schema_free(compiled);
}
