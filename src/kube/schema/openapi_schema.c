/* SPDX-License-Identifier: Apache-2.0 */
/* openapi_schema - types of the table and schemas of custom resources as schemas of OpenAPI. */
#include "kube/crd/structural.h"
#include "kube/schema/openapi_private.h"
#include "kube/subresource.h"

#include <stdlib.h>

/* What is a type by name in OpenAPI, but one value in JSON. */
static const struct special {
	uint8_t kind;
	const char *go_type; /* NULL: any of the kind */
	const char *name, *v3, *v2, *description;
} special[] = {
	{ FIELD_QUANTITY, NULL, "io.k8s.apimachinery.pkg.api.resource.Quantity",
	  "\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]", "\"type\":\"string\"",
	  "An amount with a suffix: 100m is a tenth, 2k two thousand, 1Gi 2^30." },
	{ FIELD_INT_OR_STRING, NULL, "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
	  "\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]",
	  "\"type\":\"string\",\"format\":\"int-or-string\"",
	  "A whole number, or a string such as a name or a percentage." },
	{ FIELD_TIME, NULL, "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "\"type\":\"string\",\"format\":\"date-time\"",
	  "\"type\":\"string\",\"format\":\"date-time\"", "A moment in seconds, written as RFC 3339." },
	{ FIELD_MICRO_TIME, NULL, "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
	  "\"type\":\"string\",\"format\":\"date-time\"", "\"type\":\"string\",\"format\":\"date-time\"",
	  "A moment in microseconds, written as RFC 3339." },
	{ FIELD_DURATION, NULL, "io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "\"type\":\"string\"",
	  "\"type\":\"string\"", "A length of time, such as 1h30m or 10s." },
	{ FIELD_ANY, "runtime.RawExtension", "io.k8s.apimachinery.pkg.runtime.RawExtension", "\"type\":\"object\"",
	  "\"type\":\"object\"", "An object of any kind." },
	{ FIELD_ANY, "v1.FieldsV1", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "\"type\":\"object\"",
	  "\"type\":\"object\"",
	  "A set of fields: f:name for a member, k:{keys} for an item of a list, v:value for one of a set." },
	{ FIELD_ANY, "v1.JSON", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "", "",
	  "Any JSON value." },
	{ FIELD_SCHEMA_OR_ARRAY, NULL,
	  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", "", "",
	  "A schema, or a list of schemas." },
	{ FIELD_SCHEMA_OR_BOOL, NULL, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
	  "", "", "A schema, or true or false." },
	{ FIELD_SCHEMA_OR_STRINGS, NULL,
	  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray", "", "",
	  "A schema, or a list of names." },
};

/* "v1.JSON" at the end of "[]v1.JSON", "map[string]v1.JSON". */
static const struct special *special_find(const struct field *f)
{
	struct span go = span_of(f->go_type);

	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		if (special[i].kind == f->kind && (!special[i].go_type || span_ends(go, span_of(special[i].go_type))))
			return &special[i];
	}
	return NULL;
}

void openapi_reach(struct openapi *o, const struct type *t)
{
	size_t index = (size_t)(t - type_at(0));

	if (o->reached[index])
		return;
	o->reached[index] = true;
	for (size_t i = 0; i < t->count; i++) {
		const struct special *s = special_find(&t->fields[i]);

		if (s)
			o->specials |= 1U << (s - special);
		if (t->fields[i].type)
			openapi_reach(o, t->fields[i].type);
	}
}

void openapi_reach_named(struct openapi *o, const char *name)
{
	const struct type *t = type_find(span_of(name));

	if (t)
		openapi_reach(o, t);
	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		if (strcmp(special[i].name, name) == 0)
			o->specials |= 1U << i;
	}
}

void openapi_ref(struct openapi *o, struct span name)
{
	member_string(&o->w, SPAN("$ref"),
		      arena_print(o->arena, o->err, "%s%.*s", o->is_v2 ? "#/definitions/" : "#/components/schemas/",
				  (int)name.len, name.ptr));
}

/* ---- fields ---- */

static void type_members(struct json_writer *w, const char *type, const char *format)
{
	member_string(w, SPAN("type"), span_of(type));
	if (format)
		member_string(w, SPAN("format"), span_of(format));
}

/* The zero that Go has where a value is not optional: documents of the real server tell it. */
static const char *zero_text(const struct field *f)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_STRING:
		return "\"\"";
	case FIELD_BOOL:
		return "false";
	case FIELD_INT32:
	case FIELD_INT64:
	case FIELD_DOUBLE:
		return "0";
	case FIELD_OBJECT:
		return "{}";
	default:
		return NULL;
	}
}

static const char *default_text(const struct field *f, bool is_item)
{
	if (is_item)
		return zero_text(f);
	if (f->default_json)
		return f->default_json;
	if (f->shape != FIELD_ONE || (f->flags & FIELD_POINTER))
		return NULL;
	/* A struct is written though it is empty; a scalar only when it is required. */
	return f->kind == FIELD_OBJECT || !(f->flags & FIELD_OMIT_EMPTY) ? zero_text(f) : NULL;
}

static void write_enum(struct openapi *o, const struct field *f)
{
	struct span rest = span_of(f->enums);

	if (!f->enums || o->is_v2)
		return;
	member_array(&o->w, SPAN("enum"));
	while (rest.len)
		json_string(&o->w, span_cut(&rest, ','));
	json_close_array(&o->w);
}

/* Members that say what one value of the field is. */
static void write_value(struct openapi *o, const struct field *f, bool is_item, bool is_bare)
{
	struct json_writer *w = &o->w;
	const struct special *s = special_find(f);
	const char *otherwise = default_text(f, is_item);
	bool is_ref = s || f->kind == FIELD_OBJECT;
	bool is_wrapped = is_ref && !is_bare && !o->is_v2 && (!is_item || otherwise);

	if (otherwise && !o->is_v2) {
		json_key(w, SPAN("default"));
		json_raw(w, span_of(otherwise));
	}
	if (is_wrapped) {
		member_array(w, SPAN("allOf"));
		json_open_object(w);
	}
	if (is_ref)
		openapi_ref(o, span_of(s ? s->name : f->type->name));
	if (is_wrapped) {
		json_close_object(w);
		json_close_array(w);
	}
	switch ((enum field_kind)f->kind) {
	case FIELD_STRING:
		type_members(w, "string", NULL);
		write_enum(o, f);
		break;
	case FIELD_BYTES:
		type_members(w, "string", "byte");
		break;
	case FIELD_BOOL:
		type_members(w, "boolean", NULL);
		break;
	case FIELD_INT32:
		type_members(w, "integer", "int32");
		break;
	case FIELD_INT64:
		type_members(w, "integer", "int64");
		break;
	case FIELD_DOUBLE:
		type_members(w, "number", "double");
		break;
	case FIELD_STRINGS:
		type_members(w, "array", NULL);
		json_key(w, SPAN("items"));
		json_raw(w, o->is_v2 ? SPAN("{\"type\":\"string\"}") : SPAN("{\"type\":\"string\",\"default\":\"\"}"));
		break;
	default:
		break;
	}
}

static void write_keys(struct openapi *o, const struct field *f)
{
	struct span keys = span_of(f->list_keys);

	member_array(&o->w, SPAN("x-kubernetes-list-map-keys"));
	while (keys.len)
		json_string(&o->w, span_cut(&keys, ','));
	json_close_array(&o->w);
}

static void write_merging(struct openapi *o, const struct field *f)
{
	static const char *const names[] = { "atomic", "set", "map" };
	bool merges = f->flags & FIELD_MERGE, retains = f->flags & FIELD_RETAIN_KEYS;

	if (f->shape == FIELD_LIST) {
		if (f->list == LIST_MAP)
			write_keys(o, f);
		/* The items of lists of objects are no list to merge. */
		if (strcmp(f->go_type, "v1.Verbs") != 0 && /* a type of its own */
		    (f->list != LIST_ATOMIC || !(f->flags & FIELD_REQUIRED) || !span_equal(f->name, SPAN("items"))))
			member_string(&o->w, SPAN("x-kubernetes-list-type"), span_of(names[f->list]));
	}
	if (f->flags & FIELD_MAP_ATOMIC)
		member_string(&o->w, SPAN("x-kubernetes-map-type"), SPAN("atomic"));
	if (f->merge_key)
		member_string(&o->w, SPAN("x-kubernetes-patch-merge-key"), span_of(f->merge_key));
	if (merges || retains)
		member_string(&o->w, SPAN("x-kubernetes-patch-strategy"),
			      merges && retains ? SPAN("merge,retainKeys")
			      : merges          ? SPAN("merge")
						: SPAN("retainKeys"));
}

static void write_field(struct openapi *o, const struct type *t, const struct field *f)
{
	struct json_writer *w = &o->w;

	json_key(w, f->name);
	json_open_object(w);
	if (f->description)
		member_string(w, SPAN("description"), span_of(f->description));
	if (f->shape == FIELD_ONE) {
		write_value(o, f, false, openapi_is_bare(t, f));
	} else {
		type_members(w, f->shape == FIELD_LIST ? "array" : "object", NULL);
		member_object(w, f->shape == FIELD_LIST ? SPAN("items") : SPAN("additionalProperties"));
		write_value(o, f, true, false);
		json_close_object(w);
	}
	write_merging(o, f);
	openapi_own_members(o, t, f);
	json_close_object(w);
}

/* ---- types ---- */

static void write_gvk(struct json_writer *w, struct span group, struct span version, struct span kind)
{
	json_open_object(w);
	member_string(w, SPAN("group"), group);
	member_string(w, SPAN("version"), version);
	member_string(w, SPAN("kind"), kind);
	json_close_object(w);
}

/* Every group version has options and events of its own, of the same type. */
static bool is_everywhere(const struct type *t)
{
	return strcmp(t->name, "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions") == 0 ||
	       strcmp(t->name, "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent") == 0;
}

static struct span last_name(const struct type *t)
{
	const char *dot = strrchr(t->name, '.');

	return span_of(dot ? dot + 1 : t->name);
}

/* "io.k8s.api.apps.v1.Deployment" is "Deployment" of a kind's group and version. */
static const struct kind *kind_of_type(const struct openapi *o, const struct type *t, bool *ret_is_list)
{
	struct span name = last_name(t), package = span_first(span_of(t->name), strlen(t->name) - name.len);

	for (size_t i = 0; o->kinds[i]; i++) {
		const struct kind *k = o->kinds[i];
		struct span kind_name = span_of(k->kind), rest = name;

		if (!k->type_name || !span_starts(span_of(k->type_name), package) ||
		    strlen(k->type_name) != package.len + kind_name.len)
			continue;
		if (span_equal(name, kind_name)) {
			*ret_is_list = false;
			return k;
		}
		if (span_starts(rest, kind_name) && span_equal(span_skip(rest, kind_name.len), SPAN("List"))) {
			*ret_is_list = true;
			return k;
		}
	}
	return NULL;
}

/* A type that is the body of a subresource has that row's group and kind. */
static const struct subresource *body_of_type(const struct openapi *o, const struct type *t)
{
	for (size_t i = 0; o->kinds[i]; i++) {
		for (const struct subresource *s = o->kinds[i]->others; s && s->name; s++) {
			if (s->type_name && strcmp(s->type_name, t->name) == 0)
				return s;
		}
	}
	return NULL;
}

static void write_type_kind(struct openapi *o, const struct type *t)
{
	bool is_list = false;
	const struct kind *k = kind_of_type(o, t, &is_list);
	const struct subresource *s = k ? NULL : body_of_type(o, t);

	if (is_everywhere(t)) {
		openapi_everywhere(o, last_name(t));
		return;
	}
	if (!k && !s && strcmp(t->name, "io.k8s.apimachinery.pkg.apis.meta.v1.Status") != 0 &&
	    strcmp(t->name, "io.k8s.api.autoscaling.v1.Scale") != 0)
		return;
	member_array(&o->w, SPAN("x-kubernetes-group-version-kind"));
	if (k)
		write_gvk(&o->w, span_of(k->group), span_of(k->version), last_name(t));
	else if (s)
		write_gvk(&o->w, span_of(s->group ? s->group : ""), span_of(s->version ? s->version : "v1"),
			  last_name(t));
	else
		write_gvk(&o->w, span_equal(last_name(t), SPAN("Scale")) ? SPAN("autoscaling") : SPAN(""), SPAN("v1"),
			  last_name(t));
	json_close_array(&o->w);
}

static int number_order(const void *a, const void *b)
{
	const struct field *x = *(const struct field *const *)a, *y = *(const struct field *const *)b;

	return x->number != y->number ? (x->number > y->number) - (x->number < y->number) : (x > y) - (x < y);
}

/* In the order of the fields' numbers, which is mostly that of Go's structs. */
static void write_required(struct openapi *o, const struct type *t)
{
	const struct field **order = ARENA_ARRAY(o->arena, const struct field *, t->count + 1u, o->err);
	struct span rest = span_of(openapi_required_order(t));
	size_t count = 0;

	for (size_t i = 0; order && i < t->count; i++)
		if (t->fields[i].flags & FIELD_REQUIRED)
			order[count++] = &t->fields[i];
	if (!count)
		return;
	qsort(order, count, sizeof(*order), number_order);
	member_array(&o->w, SPAN("required"));
	while (rest.len)
		json_string(&o->w, span_cut(&rest, ','));
	for (size_t i = 0; i < count && !openapi_required_order(t); i++)
		json_string(&o->w, order[i]->name);
	json_close_array(&o->w);
}

static void write_type(struct openapi *o, const struct type *t)
{
	struct json_writer *w = &o->w;
	json_key(w, span_of(t->name));
	json_open_object(w);
	if (t->description)
		member_string(w, SPAN("description"), span_of(t->description));
	type_members(w, "object", NULL);
	write_required(o, t);
	if (t->count) {
		member_object(w, SPAN("properties"));
		for (size_t i = 0; i < t->count; i++)
			write_field(o, t, &t->fields[i]);
		json_close_object(w);
	}
	if (t->is_atomic)
		member_string(w, SPAN("x-kubernetes-map-type"), SPAN("atomic"));
	openapi_own_members(o, t, NULL);
	write_type_kind(o, t);
	json_close_object(w);
}

static void write_special(struct openapi *o, const struct special *s)
{
	struct json_writer *w = &o->w;
	const char *members = o->is_v2 ? s->v2 : s->v3;

	json_key(w, span_of(s->name));
	json_open_object(w);
	member_string(w, SPAN("description"), span_of(s->description));
	if (*members) {
		/* Members as they are: the writer only puts the comma. */
		buffer_print(w->out, ",%s", members);
	}
	json_close_object(w);
}

/* ---- custom kinds ---- */

/* What version 2 has no word for (nullable, oneOf, not, ...) is left out there, as the real server does. */
static bool is_allowed_v2(struct span key)
{
	static const char *const refused[] = { "nullable", "oneOf", "anyOf", "allOf", "not", "example" };

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (span_equal(key, span_of(refused[i])))
			return false;
	}
	return true;
}

/* Clients of version 2 refuse what its types do not name: a value that may be null, or members that are kept though unknown, have no
 * type there, as the real server has it. */
static bool is_hidden_v2(const struct value *schema, struct span key)
{
	bool is_below = span_equal(key, SPAN("items")) || span_equal(key, SPAN("properties"));

	if (value_find_bool(schema, "nullable") && (is_below || span_equal(key, SPAN("type"))))
		return true;
	return is_below && value_find_bool(schema, "x-kubernetes-preserve-unknown-fields");
}

static void write_custom_members(struct openapi *o, const struct value *schema, bool is_root);

static void write_custom(struct openapi *o, const struct value *schema)
{
	if (schema->type != VALUE_OBJECT) {
		value_write(schema, &o->w);
		return;
	}
	json_open_object(&o->w);
	write_custom_members(o, schema, false);
	json_close_object(&o->w);
}

static void write_metadata(struct openapi *o)
{
	member_object(&o->w, SPAN("metadata"));
	member_string(&o->w, SPAN("description"), SPAN("Name, labels and the server's own notes on the object."));
	if (!o->is_v2) {
		member_array(&o->w, SPAN("allOf"));
		json_open_object(&o->w);
	}
	openapi_ref(o, SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
	if (!o->is_v2) {
		json_close_object(&o->w);
		json_close_array(&o->w);
	}
	json_close_object(&o->w);
}

static void write_custom_map(struct openapi *o, const struct value *map, bool is_root)
{
	json_open_object(&o->w);
	for (uint32_t i = 0; map && map->type == VALUE_OBJECT && i < map->object.count; i++) {
		const struct value_member *m = &map->object.members[i];

		if (is_root && (span_equal(m->key, SPAN("apiVersion")) || span_equal(m->key, SPAN("kind")) ||
				span_equal(m->key, SPAN("metadata"))))
			continue;
		json_key(&o->w, m->key);
		write_custom(o, &m->value);
	}
	if (is_root) {
		member_object(&o->w, SPAN("apiVersion"));
		member_string(&o->w, SPAN("description"), SPAN("Group and version of this object's form."));
		member_string(&o->w, SPAN("type"), SPAN("string"));
		json_close_object(&o->w);
		member_object(&o->w, SPAN("kind"));
		member_string(&o->w, SPAN("description"), SPAN("What kind of object this is."));
		member_string(&o->w, SPAN("type"), SPAN("string"));
		json_close_object(&o->w);
		write_metadata(o);
	}
	json_close_object(&o->w);
}

static void write_custom_members(struct openapi *o, const struct value *schema, bool is_root)
{
	bool is_int_or_string = value_find_bool(schema, "x-kubernetes-int-or-string");

	for (uint32_t i = 0; i < schema->object.count; i++) {
		const struct value_member *m = &schema->object.members[i];

		if ((o->is_v2 && (!is_allowed_v2(m->key) || is_hidden_v2(schema, m->key))) ||
		    (is_root && span_equal(m->key, SPAN("properties"))))
			continue;
		/* A schema under another's members may be called "type" or "items"; a word of the schema's own never is. */
		json_key(&o->w, m->key);
		if (span_equal(m->key, SPAN("properties")))
			write_custom_map(o, &m->value, false);
		else if (span_equal(m->key, SPAN("items")) || span_equal(m->key, SPAN("additionalProperties")))
			write_custom(o, &m->value);
		else
			value_write(&m->value, &o->w);
	}
	if (!o->is_v2 && is_int_or_string && !value_get(schema, SPAN("anyOf"))) {
		json_key(&o->w, SPAN("anyOf"));
		json_raw(&o->w, SPAN("[{\"type\":\"integer\"},{\"type\":\"string\"}]"));
	}
}

static void write_custom_kind(struct openapi *o, const struct kind *k)
{
	const struct value *schema = k->openapi ? openapi_schema_source(k->openapi) : NULL;
	struct json_writer *w = &o->w;

	json_key(w, openapi_kind_name(o, k, false));
	json_open_object(w);
	if (value_is(schema, VALUE_OBJECT))
		write_custom_members(o, schema, true);
	else
		type_members(w, "object", NULL);
	json_key(w, SPAN("properties"));
	write_custom_map(o, value_get(schema, SPAN("properties")), true);
	member_array(w, SPAN("x-kubernetes-group-version-kind"));
	write_gvk(w, span_of(k->group), span_of(k->version), span_of(k->kind));
	json_close_array(w);
	json_close_object(w);

	json_key(w, openapi_kind_name(o, k, true));
	json_open_object(w);
	json_key(w, SPAN("description"));
	json_string(w, arena_print(o->arena, o->err, "A list of %s.", k->kind));
	type_members(w, "object", NULL);
	json_key(w, SPAN("required"));
	json_raw(w, SPAN("[\"items\"]"));
	member_object(w, SPAN("properties"));
	json_key(w, SPAN("apiVersion"));
	json_raw(w, SPAN("{\"type\":\"string\"}"));
	json_key(w, SPAN("kind"));
	json_raw(w, SPAN("{\"type\":\"string\"}"));
	member_object(w, SPAN("metadata"));
	openapi_ref(o, SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"));
	json_close_object(w);
	member_object(w, SPAN("items"));
	type_members(w, "array", NULL);
	member_object(w, SPAN("items"));
	openapi_ref(o, openapi_kind_name(o, k, false));
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
	member_array(w, SPAN("x-kubernetes-group-version-kind"));
	write_gvk(w, span_of(k->group), span_of(k->version),
		  span_of(k->list_kind ? k->list_kind : arena_print(o->arena, o->err, "%sList", k->kind).ptr));
	json_close_array(w);
	json_close_object(w);
}

void openapi_schemas(struct openapi *o)
{
	for (size_t i = 0; i < type_count(); i++) {
		if (o->reached[i])
			write_type(o, type_at(i));
	}
	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		if (o->specials & 1U << i)
			write_special(o, &special[i]);
	}
	for (size_t i = 0; o->kinds[i]; i++) {
		if (o->kinds[i]->is_custom && openapi_has(o, o->kinds[i]))
			write_custom_kind(o, o->kinds[i]);
	}
}
