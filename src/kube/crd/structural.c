/* SPDX-License-Identifier: Apache-2.0 */
/* structural - a tree of nodes beside the schema's own JSON: what is looked up for every object is read once. */
#include "kube/crd/cel_private.h"
#include "kube/crd/checks.h"
#include "kube/crd/rules.h"
#include "kube/crd/structural_private.h"

#include <stdlib.h>

enum { SCHEMA_BYTES_MAX = 64 * 1024 * 1024 };

/* ---- compiling ---- */

struct pattern {
	struct span text;
	uint64_t hash;
	struct cel_regex *regex;
	struct pattern *next;
};

struct compiler {
	struct change *change;
	struct arena *arena;
	size_t nodes;
	unsigned depth;
	struct pattern *patterns;
	struct error err;
};

static struct openapi_schema *node_new(struct compiler *c, const struct value *source, struct span path);

static bool is_true(const struct value *source, struct span key)
{
	const struct value *v = value_get(source, key);

	return value_is(v, VALUE_BOOL) && v->boolean;
}

static struct span text_of(const struct value *source, struct span key)
{
	const struct value *v = value_get(source, key);

	return value_is(v, VALUE_STRING) ? v->string : SPAN("");
}

static int by_name(const void *a, const void *b)
{
	const struct openapi_property *x = a, *y = b;

	return span_order(x->name, y->name);
}

static bool properties_read(struct compiler *c, struct openapi_schema *s, struct span path)
{
	const struct value *all = value_get(s->source, SPAN("properties"));

	if (!all)
		return true;
	if (all->type != VALUE_OBJECT) {
		cause_invalid(c->change, path_print(c->change, SPAN_FMT ".properties", SPAN_ARG(path)), all,
			      "must be an object");
		return false;
	}
	s->properties = arena_calloc(c->arena, all->object.count + 1, sizeof(*s->properties), &c->err);
	for (uint32_t i = 0; s->properties && i < all->object.count; i++) {
		const struct value_member *m = &all->object.members[i];
		struct openapi_schema *one = node_new(
		    c, &m->value,
		    path_print(c->change, SPAN_FMT ".properties[" SPAN_FMT "]", SPAN_ARG(path), SPAN_ARG(m->key)));

		if (!one)
			return false;
		s->properties[s->property_count++] = (struct openapi_property){ m->key, one };
	}
	if (s->property_count)
		qsort(s->properties, s->property_count, sizeof(*s->properties), by_name);
	return s->properties != NULL;
}

static bool inner_read(struct compiler *c, struct openapi_schema *s, struct span path)
{
	const struct value *items = value_get(s->source, SPAN("items"));
	const struct value *more = value_get(s->source, SPAN("additionalProperties"));

	if (items && !(s->items = node_new(c, items, path_print(c->change, SPAN_FMT ".items", SPAN_ARG(path)))))
		return false;
	s->takes_any = value_is(more, VALUE_BOOL); /* false too: members of a map are never dropped */
	s->forbids_more = s->takes_any && !more->boolean;
	if (more && !s->takes_any)
		s->additional =
		    node_new(c, more, path_print(c->change, SPAN_FMT ".additionalProperties", SPAN_ARG(path)));
	return !more || s->takes_any || s->additional;
}

/* The default of a key of a list of maps, as it is written in JSON, or NULL. */
static const char *key_default(struct compiler *c, const struct openapi_schema *s, struct span key)
{
	const struct openapi_schema *one = s->items ? openapi_schema_member(s->items, key) : NULL;

	return one && one->otherwise ? value_print(one->otherwise, c->arena, &c->err).ptr : NULL;
}

static bool list_read(struct compiler *c, struct openapi_schema *s, struct span path)
{
	struct span kind = text_of(s->source, SPAN("x-kubernetes-list-type"));
	const struct value *keys = value_get(s->source, SPAN("x-kubernetes-list-map-keys"));

	s->list = span_equal(kind, SPAN("set")) ? LIST_SET : span_equal(kind, SPAN("map")) ? LIST_MAP : LIST_ATOMIC;
	if (s->list != LIST_MAP)
		return true;
	if (!value_is(keys, VALUE_ARRAY) || keys->array.count == 0) {
		cause_required(c->change, path_print(c->change, SPAN_FMT ".x-kubernetes-list-map-keys", SPAN_ARG(path)),
			       "must not be empty if x-kubernetes-list-type is map");
		return false;
	}
	if (keys->array.count > LIST_KEYS_MAX) {
		cause_too_many(c->change, path_print(c->change, SPAN_FMT ".x-kubernetes-list-map-keys", SPAN_ARG(path)),
			       keys->array.count, LIST_KEYS_MAX);
		return false;
	}
	for (uint32_t i = 0; i < keys->array.count; i++) {
		const struct value *key = value_item(keys, i);

		if (key->type != VALUE_STRING) {
			cause_invalid(
			    c->change,
			    path_print(c->change, SPAN_FMT ".x-kubernetes-list-map-keys[%u]", SPAN_ARG(path), i), key,
			    "must be a string");
			return false;
		}
		s->list_defaults[s->list_key_count] = key_default(c, s, key->string);
		s->list_keys[s->list_key_count++] = key->string;
	}
	return true;
}

/* A schema, or a list of them, that a value must fit too: NULL in *ret when there is none. */
static bool schemas_read(struct compiler *c, const struct value *source, const char *name, struct span path,
			 struct openapi_schema ***ret)
{
	const struct value *all = value_get(source, span_of(name));

	if (!all || all->type == VALUE_NULL)
		return true;
	if (all->type != VALUE_ARRAY) {
		cause_invalid(c->change, path_print(c->change, SPAN_FMT ".%s", SPAN_ARG(path), name), all,
			      "must be an array");
		return false;
	}
	*ret = arena_calloc(c->arena, all->array.count + 1, sizeof(**ret), &c->err);
	for (uint32_t i = 0; *ret && i < all->array.count; i++) {
		(*ret)[i] =
		    node_new(c, value_item(all, i), path_print(c->change, SPAN_FMT ".%s[%u]", SPAN_ARG(path), name, i));
		if (!(*ret)[i])
			return false;
	}
	return *ret != NULL;
}

const char *pattern_fault(struct span pattern, struct arena *arena)
{
	struct error err = { 0 };
	struct span text;

	if (cel_regex_new(pattern, arena, &err))
		return NULL;
	text = arena_copy(arena, error_span(&err), &err);
	return text.ptr ? text.ptr : "";
}

/* The same pattern stands at many places of one schema. */
static struct pattern *pattern_find(const struct compiler *c, struct span text, uint64_t hash)
{
	for (struct pattern *p = c->patterns; p; p = p->next)
		if (p->hash == hash && span_equal(p->text, text))
			return p;
	return NULL;
}

static bool pattern_read(struct compiler *c, struct openapi_schema *s, struct span path)
{
	const struct value *text = value_get(s->source, SPAN("pattern"));
	struct pattern *p;
	struct error err = { 0 };
	uint64_t hash;

	if (!value_is(text, VALUE_STRING) || !text->string.len)
		return true;
	hash = span_hash(text->string);
	p = pattern_find(c, text->string, hash);
	if (!p) {
		p = ARENA_NEW(c->arena, struct pattern, &c->err);
		if (!p)
			return false;
		*p = (struct pattern){ .text = text->string, .hash = hash, .next = c->patterns };
		p->regex = cel_regex_new(text->string, c->arena, &err);
		if (!p->regex) {
			cause_invalid(c->change, path_print(c->change, SPAN_FMT ".pattern", SPAN_ARG(path)), text,
				      arena_print(c->change->arena, c->change->err,
						  "must be a valid regular expression, but isn't: %s", err.message)
					  .ptr);
			return false;
		}
		c->patterns = p;
	}
	s->pattern = p->regex;
	return true;
}

static bool checks_read(struct compiler *c, struct openapi_schema *s, struct span path)
{
	const struct value *none = value_get(s->source, SPAN("not"));
	const struct value *required = value_get(s->source, SPAN("required"));
	const struct value *enums = value_get(s->source, SPAN("enum"));

	s->required = value_is(required, VALUE_ARRAY) ? required : NULL;
	s->enums = value_is(enums, VALUE_ARRAY) ? enums : NULL;
	s->is_int_or_string = is_true(s->source, SPAN("x-kubernetes-int-or-string"));
	if (none && !(s->none_of = node_new(c, none, path_print(c->change, SPAN_FMT ".not", SPAN_ARG(path)))))
		return false;
	return schemas_read(c, s->source, "allOf", path, &s->all_of) &&
	       schemas_read(c, s->source, "anyOf", path, &s->any_of) &&
	       schemas_read(c, s->source, "oneOf", path, &s->one_of) && pattern_read(c, s, path);
}

/* What stands somewhere below is looked for only where it is. */
static void node_sum(struct openapi_schema *s, const struct openapi_schema *below)
{
	if (!below)
		return;
	s->has_lists |= below->has_lists;
	s->has_embedded |= below->has_embedded;
	s->has_rules |= below->has_rules;
	s->has_defaults |= below->has_defaults;
}

static void node_sum_all(struct openapi_schema *s)
{
	for (size_t i = 0; i < s->property_count; i++)
		node_sum(s, s->properties[i].schema);
	node_sum(s, s->items);
	node_sum(s, s->additional);
	s->has_lists |= s->list != LIST_ATOMIC;
	s->has_embedded |= s->is_embedded;
	s->has_rules |= value_is(value_get(s->source, SPAN("x-kubernetes-validations")), VALUE_ARRAY);
	s->has_defaults |= s->otherwise != NULL;
}

static bool node_read(struct compiler *c, struct openapi_schema *s, struct span path)
{
	s->type = text_of(s->source, SPAN("type"));
	s->format = format_find(text_of(s->source, SPAN("format")));
	s->otherwise = value_get(s->source, SPAN("default"));
	s->is_atomic = span_equal(text_of(s->source, SPAN("x-kubernetes-map-type")), SPAN("atomic"));
	s->keeps_unknown = is_true(s->source, SPAN("x-kubernetes-preserve-unknown-fields"));
	s->is_embedded = is_true(s->source, SPAN("x-kubernetes-embedded-resource"));
	s->is_nullable = is_true(s->source, SPAN("nullable"));
	return properties_read(c, s, path) && inner_read(c, s, path) && list_read(c, s, path) &&
	       checks_read(c, s, path);
}

static struct openapi_schema *node_new(struct compiler *c, const struct value *source, struct span path)
{
	struct openapi_schema *s;
	bool ok;

	if (source->type != VALUE_OBJECT) {
		cause_invalid(c->change, path, source, "must be an object");
		return NULL;
	}
	if (c->nodes++ >= SCHEMA_NODES_MAX) {
		cause_too_many(c->change, path, c->nodes, SCHEMA_NODES_MAX);
		return NULL;
	}
	s = ARENA_NEW(c->arena, struct openapi_schema, &c->err);
	if (!s)
		return NULL;
	s->arena = c->arena;
	s->source = source;
	c->depth++; /* no deeper than the JSON is: VALUE_DEPTH_MAX */
	ok = node_read(c, s, path);
	node_sum_all(s);
	c->depth--;
	return ok ? s : NULL;
}

struct openapi_schema *openapi_schema_new(const struct value *schema, struct span path, struct change *change)
{
	struct arena *arena = base_calloc(1, sizeof(*arena));
	struct compiler c = { .change = change, .arena = arena };
	struct openapi_schema *s = NULL;
	struct value *copy;

	arena_init(arena, SCHEMA_BYTES_MAX);
	copy = ARENA_NEW(arena, struct value, &c.err);
	if (copy && value_copy(schema, arena, copy, &c.err))
		s = node_new(&c, copy, path);
	if (!s) {
		if (c.err.code)
			cause_too_long(change, path, SCHEMA_BYTES_MAX);
		arena_done(arena);
		free(arena);
		return NULL;
	}
	s->is_root = true;
	s->rules = s->has_rules ? rule_book_new(s) : NULL;
	return s;
}

void openapi_schema_free(struct openapi_schema *s)
{
	struct arena *arena = s ? s->arena : NULL;

	if (!arena)
		return;
	rule_book_free(s->rules);
	arena_done(arena);
	free(arena);
}

/* ---- asking ---- */

static const struct openapi_schema *property_find(const struct openapi_schema *s, struct span name)
{
	struct openapi_property key = { name, NULL };
	const struct openapi_property *found =
	    s->property_count ? bsearch(&key, s->properties, s->property_count, sizeof(key), by_name) : NULL;

	return found ? found->schema : NULL;
}

const struct openapi_schema *openapi_schema_member(const struct openapi_schema *s, struct span key)
{
	const struct openapi_schema *found = s ? property_find(s, key) : NULL;

	return found || !s ? found : s->additional;
}

const struct openapi_schema *openapi_schema_item(const struct openapi_schema *s)
{
	return s ? s->items : NULL;
}

enum list_kind openapi_schema_list(const struct openapi_schema *s)
{
	return s->list;
}

size_t openapi_schema_list_keys(const struct openapi_schema *s, struct span ret[LIST_KEYS_MAX],
				const char *ret_defaults[LIST_KEYS_MAX])
{
	memcpy(ret, s->list_keys, sizeof(s->list_keys));
	memcpy(ret_defaults, s->list_defaults, sizeof(s->list_defaults));
	return s->list_key_count;
}

bool openapi_schema_is_object(const struct openapi_schema *s)
{
	return s->is_root || s->is_embedded;
}

bool openapi_schema_is_atomic(const struct openapi_schema *s)
{
	return s->is_atomic;
}

bool openapi_schema_has_rules(const struct openapi_schema *s)
{
	return s->has_rules;
}

struct rule_book *openapi_schema_rules(const struct openapi_schema *s)
{
	return s->rules;
}

const struct value *openapi_schema_source(const struct openapi_schema *s)
{
	return s->source;
}

/* ---- pruning ---- */

struct pruning {
	const struct schema_report *report;
	struct buffer path;
};

static bool is_of_every_object(struct span key)
{
	return span_equal(key, SPAN("apiVersion")) || span_equal(key, SPAN("kind")) ||
	       span_equal(key, SPAN("metadata"));
}

static void prune(struct pruning *p, const struct openapi_schema *s, struct value *v, bool is_object);

/* The member stays: by its own schema, or that of a map's values, or because unknown ones stay. */
static bool member_stays(const struct openapi_schema *s, struct span key, const struct openapi_schema **ret)
{
	*ret = s ? openapi_schema_member(s, key) : NULL;
	return *ret || (s && (s->takes_any || s->keeps_unknown));
}

static void prune_members(struct pruning *p, const struct openapi_schema *s, struct value *v, bool is_object)
{
	for (uint32_t i = 0; i < v->object.count;) {
		struct value_member *m = &v->object.members[i];
		const struct openapi_schema *inner;
		size_t len = p->path.len;

		if ((is_object || (s && s->is_embedded)) && is_of_every_object(m->key)) {
			i++;
			continue;
		}
		if (len)
			buffer_byte(&p->path, '.');
		buffer_append(&p->path, m->key);
		if (member_stays(s, m->key, &inner)) {
			/* What stays though it is unknown is not looked into; values of a map of anything have no members. */
			if (inner || (s && !s->keeps_unknown))
				prune(p, inner, &m->value, false);
			i++;
		} else {
			if (p->report && p->report->unknown)
				p->report->unknown(p->report->context, buffer_span(&p->path));
			(void)value_remove(v, m->key);
		}
		p->path.len = len;
	}
}

static void prune(struct pruning *p, const struct openapi_schema *s, struct value *v, bool is_object)
{
	if (v->type == VALUE_OBJECT) {
		prune_members(p, s, v, is_object);
		return;
	}
	if (s && s->keeps_unknown && !s->items)
		return;
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++) {
		size_t len = p->path.len;

		buffer_print(&p->path, "[%u]", i);
		prune(p, s ? s->items : NULL, value_item(v, i), false);
		p->path.len = len;
	}
}

static void prune_all(const struct openapi_schema *s, struct value *v, const struct schema_report *report,
		      bool is_object)
{
	struct pruning p = { .report = report };

	buffer_init(&p.path, KIB(64)); /* a longer path is cut */
	prune(&p, s, v, is_object);
	buffer_done(&p.path);
}

void openapi_schema_prune(const struct openapi_schema *s, struct value *v, const struct schema_report *report)
{
	prune_all(s, v, report, true);
}

void openapi_schema_prune_below(const struct openapi_schema *s, struct value *v, const struct schema_report *report)
{
	prune_all(s, v, report, false);
}

/* ---- defaults ---- */

/* A null where none may be: the default's place, or nothing's. */
static bool is_stray_null(const struct value *v, const struct openapi_schema *s)
{
	return s && v->type == VALUE_NULL && !s->is_nullable;
}

static void nulls_drop(const struct openapi_schema *s, struct value *v)
{
	for (uint32_t i = 0; i < v->object.count;) {
		struct value_member *m = &v->object.members[i];
		const struct openapi_schema *one = openapi_schema_member(s, m->key);

		if (is_stray_null(&m->value, one) && !one->otherwise)
			(void)value_remove(v, m->key);
		else
			i++;
	}
}

static bool default_members(const struct openapi_schema *s, struct value *v, struct arena *arena, struct error *err)
{
	nulls_drop(s, v);
	for (size_t i = 0; s->has_defaults && i < s->property_count; i++) {
		const struct openapi_schema *one = s->properties[i].schema;
		struct value *at, copy;

		if (!one->otherwise)
			continue;
		at = value_get(v, s->properties[i].name);
		if ((!at || is_stray_null(at, one)) && (!value_copy(one->otherwise, arena, &copy, err) ||
							!value_set(v, s->properties[i].name, copy, arena, err)))
			return false;
	}
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct openapi_schema *one = openapi_schema_member(s, v->object.members[i].key);

		if (one && !openapi_schema_default(one, &v->object.members[i].value, arena, err))
			return false;
	}
	return true;
}

static bool default_item(const struct openapi_schema *s, struct value *v, struct arena *arena, struct error *err)
{
	if (is_stray_null(v, s) && s->otherwise && !value_copy(s->otherwise, arena, v, err))
		return false;
	return openapi_schema_default(s, v, arena, err);
}

bool openapi_schema_default(const struct openapi_schema *s, struct value *v, struct arena *arena, struct error *err)
{
	if (v->type == VALUE_OBJECT)
		return default_members(s, v, arena, err);
	for (uint32_t i = 0; v->type == VALUE_ARRAY && s->items && i < v->array.count; i++)
		if (!default_item(s->items, value_item(v, i), arena, err))
			return false;
	return true;
}
