/* SPDX-License-Identifier: Apache-2.0 */
/* custom - a definition as kinds, one for each of its versions, and the way of their objects through a write and a read. */
#include "kube/crd/crd.h"

#include "kube/crd/rules.h"
#include "kube/crd/shipped.h"
#include "kube/crd/structural.h"
#include "kube/go_words.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"

#include <stdlib.h>

enum { FORM_BYTES_MAX = 64 * 1024 * 1024 };

/* ---- making kinds ---- */

static const char *text_keep(struct custom_form *f, struct span s, struct error *err)
{
	struct span kept = arena_copy(&f->arena, s, err);

	return kept.ptr ? kept.ptr : "";
}

static const char *const *texts_keep(struct custom_form *f, const struct value *list, struct error *err)
{
	const char **texts;

	if (!count_of(list))
		return NULL;
	texts = arena_calloc(&f->arena, count_of(list) + 1, sizeof(*texts), err);
	for (uint32_t i = 0; texts && i < count_of(list); i++)
		texts[i] = text_keep(f, text_of(value_item(list, i)), err);
	return texts;
}

/* ".spec.replicas" as value_find() takes it. */
static const char *path_keep(struct custom_form *f, struct span path, struct error *err)
{
	if (path.len && path.ptr[0] == '.')
		path = span_skip(path, 1);
	return path.len ? text_keep(f, path, err) : NULL;
}

static bool selectable_make(struct custom_version *v, const struct value *fields, struct error *err)
{
	struct selectable *rows;

	if (!count_of(fields))
		return true;
	rows = arena_calloc(&v->form->arena, count_of(fields) + 1, sizeof(*rows), err);
	for (uint32_t i = 0; rows && i < count_of(fields); i++)
		rows[i].name = path_keep(v->form, get_text(value_item(fields, i), "jsonPath"), err);
	v->kind.selectable = rows;
	return rows != NULL;
}

static void subresources_make(struct custom_version *v, const struct value *subresources, struct error *err)
{
	const struct value *scale = get(subresources, "scale");

	v->kind.subresources = get(subresources, "status") ? SUB_STATUS : 0;
	if (!scale)
		return;
	v->kind.subresources |= SUB_SCALE;
	v->kind.scale.spec_replicas = path_keep(v->form, get_text(scale, "specReplicasPath"), err);
	v->kind.scale.status_replicas = path_keep(v->form, get_text(scale, "statusReplicasPath"), err);
	v->kind.scale.selector = path_keep(v->form, get_text(scale, "labelSelectorPath"), err);
	if (!v->kind.scale.spec_replicas || !v->kind.scale.status_replicas)
		v->kind.subresources &= ~(unsigned)SUB_SCALE;
}

/* "v2" before "v1" before "v2beta1" before "v1alpha1". */
static int version_rank(struct span version)
{
	int number = 0, more = 0, stage = 3;

	if (!version.len || version.ptr[0] != 'v')
		return -1;
	version = span_skip(version, 1);
	for (; version.len && version.ptr[0] >= '0' && version.ptr[0] <= '9' && number < 1000;
	     version = span_skip(version, 1))
		number = number * 10 + (version.ptr[0] - '0');
	if (span_starts(version, SPAN("alpha"))) {
		stage = 1;
		version = span_skip(version, 5);
	} else if (span_starts(version, SPAN("beta"))) {
		stage = 2;
		version = span_skip(version, 4);
	}
	for (; version.len && version.ptr[0] >= '0' && version.ptr[0] <= '9' && more < 1000;
	     version = span_skip(version, 1))
		more = more * 10 + (version.ptr[0] - '0');
	return version.len ? -1 : stage * 1000000 + number * 1000 + more;
}

static const char *warning_make(struct custom_form *f, const struct value *spec, const struct value *version,
				struct error *err)
{
	const struct value *all = get(spec, "versions"), *best = NULL;
	struct span own = get_text(version, "name"), group = get_text(spec, "group"),
		    kind = get_text(get(spec, "names"), "kind"), use;

	if (!get_bool(version, "deprecated"))
		return NULL;
	if (get(version, "deprecationWarning"))
		return text_keep(f, get_text(version, "deprecationWarning"), err);
	for (uint32_t i = 0; i < count_of(all); i++) {
		const struct value *one = value_item(all, i);
		int rank = version_rank(get_text(one, "name"));

		if (get_bool(one, "served") && !get_bool(one, "deprecated") && rank > version_rank(own) &&
		    (!best || rank > version_rank(get_text(best, "name"))))
			best = one;
	}
	if (!best)
		return arena_print(&f->arena, err, SPAN_FMT "/" SPAN_FMT " " SPAN_FMT " is deprecated", SPAN_ARG(group),
				   SPAN_ARG(own), SPAN_ARG(kind))
		    .ptr;
	use = get_text(best, "name");
	return arena_print(&f->arena, err,
			   SPAN_FMT "/" SPAN_FMT " " SPAN_FMT " is deprecated; use " SPAN_FMT "/" SPAN_FMT " " SPAN_FMT,
			   SPAN_ARG(group), SPAN_ARG(own), SPAN_ARG(kind), SPAN_ARG(group), SPAN_ARG(use),
			   SPAN_ARG(kind))
	    .ptr;
}

static bool schema_make(struct custom_version *v, const struct value *schema, struct error *err)
{
	struct arena arena;
	struct change c = { .kind = &v->kind, .arena = &arena, .err = err };

	if (!schema)
		return true;
	arena_init(&arena, FORM_BYTES_MAX);
	c.causes_end = &c.causes;
	v->schema = openapi_schema_new(schema, SPAN("openAPIV3Schema"), &c);
	v->kind.openapi = v->schema;
	if (!v->schema && !err->code)
		error_set(err, ERROR_INVALID, "version %s: " SPAN_FMT ": " SPAN_FMT, v->kind.version,
			  SPAN_ARG(c.causes ? c.causes->field : SPAN("")),
			  SPAN_ARG(c.causes ? c.causes->message : SPAN("the schema cannot be read")));
	arena_done(&arena);
	return v->schema != NULL;
}

static void custom_defaults(struct change *c);
static void custom_prepare(struct change *c);
static void custom_validate(struct change *c);
static bool custom_raises(const struct value *old, const struct value *object);

static bool version_make(struct custom_form *f, struct custom_version *v, const struct value *version,
			 struct error *err)
{
	const struct value *spec = get(f->definition, "spec");
	const struct value *names = get(get(f->definition, "status"), "acceptedNames");

	v->form = f;
	v->is_served = get_bool(version, "served");
	v->kind = (struct kind){
		.group = text_keep(f, get_text(spec, "group"), err),
		.version = text_keep(f, get_text(version, "name"), err),
		.plural = text_keep(f, get_text(names, "plural"), err),
		.singular = text_keep(f, get_text(names, "singular"), err),
		.kind = text_keep(f, get_text(names, "kind"), err),
		.list_kind = text_keep(f, get_text(names, "listKind"), err),
		.short_names = texts_keep(f, get(names, "shortNames"), err),
		.categories = texts_keep(f, get(names, "categories"), err),
		.is_namespaced = is_text(get(spec, "scope"), "Namespaced"),
		.is_custom = true,
		.has_generation = true,
		.verbs = KUBE_ALL_VERBS,
		.custom = f,
		.defaults = custom_defaults,
		.prepare = custom_prepare,
		.validate = custom_validate,
		.raises_generation = custom_raises,
	};
	v->hooks = custom_hooks_find(span_of(v->kind.group), span_of(v->kind.kind));
	if (v->hooks)
		v->kind.begin_delete = v->hooks->begin_delete;
	v->warning = warning_make(f, spec, version, err);
	subresources_make(v, get(version, "subresources"), err);
	return selectable_make(v, get(version, "selectableFields"), err) && custom_columns_make(v, version, err) &&
	       schema_make(v, get(get(version, "schema"), "openAPIV3Schema"), err) && !err->code;
}

static void form_free(struct custom_form *f)
{
	for (size_t i = 0; i < f->count; i++)
		openapi_schema_free(f->versions[i].schema);
	arena_done(&f->arena);
	free(f);
}

struct custom_form *custom_form_new(const struct value *definition, int64_t since, struct error *err)
{
	const struct value *versions = get(get(definition, "spec"), "versions");
	struct custom_form *f = base_calloc(1, sizeof(*f));
	struct value *copy;
	bool good;

	arena_init(&f->arena, FORM_BYTES_MAX);
	f->references = 1;
	f->since = since;
	f->storage = "";
	f->is_ending = crd_condition_is_true(definition, "Terminating");
	copy = ARENA_NEW(&f->arena, struct value, err);
	good = copy && value_copy(definition, &f->arena, copy, err);
	f->definition = copy;
	f->versions = good ? arena_calloc(&f->arena, count_of(versions) + 1, sizeof(*f->versions), err) : NULL;
	for (uint32_t i = 0; f->versions && good && i < count_of(versions); i++) {
		const struct value *one = value_item(get(get(copy, "spec"), "versions"), i);

		f->count++;
		good = version_make(f, &f->versions[i], one, err);
		if (get_bool(one, "storage"))
			f->storage = f->versions[i].kind.version;
	}
	if (good && f->versions)
		return f;
	form_free(f);
	return NULL;
}

void custom_form_unref(struct custom_form *f)
{
	if (f && --f->references == 0)
		form_free(f);
}

void custom_kind_free(struct kind *kind)
{
	custom_form_unref(kind->custom);
}

/* ---- versions ---- */

bool custom_is_current(const struct kind *kind, const struct record *r)
{
	const struct custom_version *v = custom_of(kind);

	return !v || r->revision > v->form->since;
}

static const struct custom_version *version_find(const struct custom_form *f, struct span api)
{
	size_t slash = span_index(api, '/');

	for (size_t i = 0; i < f->count; i++)
		if (slash < api.len && span_equal(span_skip(api, slash + 1), span_of(f->versions[i].kind.version)))
			return &f->versions[i];
	return NULL;
}

static bool turn(struct value *object, const struct custom_version *to, struct arena *arena, struct error *err)
{
	struct span api = arena_print(arena, err, "%s/%s", to->kind.group, to->kind.version);

	if (!api.ptr || !value_set(object, SPAN("kind"), value_string(span_of(to->kind.kind)), arena, err) ||
	    !value_set(object, SPAN("apiVersion"), value_string(api), arena, err))
		return false;
	if (to->schema)
		openapi_schema_prune(to->schema, object, NULL);
	return true;
}

bool custom_from_stored(const struct kind *kind, struct value *object, struct arena *arena, struct error *err)
{
	const struct custom_version *v = custom_of(kind), *from;

	if (!v)
		return true;
	from = version_find(v->form, get_text(object, "apiVersion"));
	if (from && from->schema) {
		openapi_schema_prune(from->schema, object, NULL);
		if (!openapi_schema_default(from->schema, object, arena, err))
			return false;
	}
	return from == v || turn(object, v, arena, err);
}

bool custom_to_stored(const struct kind *kind, struct value *object, struct arena *arena, struct error *err)
{
	const struct custom_version *v = custom_of(kind);

	for (size_t i = 0; v && i < v->form->count; i++)
		if (strcmp(v->form->versions[i].kind.version, v->form->storage) == 0 && &v->form->versions[i] != v)
			return turn(object, &v->form->versions[i], arena, err);
	return true;
}

bool custom_is_stored_as(const struct kind *kind)
{
	const struct custom_version *v = custom_of(kind);

	return !v || strcmp(kind->version, v->form->storage) == 0;
}

/* ---- the way of a write ---- */

/* Of an update by the status subresource nothing but the status counts, and who owns its fields. */
static void keep_all_but_status(struct change *c)
{
	const struct value *status = get(c->object, "status");
	const struct value *fields = get(get(c->object, "metadata"), "managedFields");
	struct value *metadata;
	struct value now = copy_of(c, c->old);

	if (now.type != VALUE_OBJECT)
		return;
	if (status)
		set_value(c, &now, "status", *status);
	else
		drop(&now, "status");
	metadata = get(&now, "metadata");
	if (fields)
		set_value(c, metadata, "managedFields", *fields);
	*c->object = now;
}

static void settle_status(struct change *c)
{
	if (!(c->kind->subresources & SUB_STATUS))
		return;
	if (!c->old)
		drop(c->object, "status");
	else if (change_is_status(c))
		keep_all_but_status(c);
	else
		carry(c, c->object, c->old, "status");
}

static void custom_prepare(struct change *c)
{
	const struct custom_hooks *hooks = custom_of(c->kind)->hooks;

	settle_status(c);
	if (hooks && hooks->prepare && !change_is_status(c))
		hooks->prepare(c);
}

static void custom_defaults(struct change *c)
{
	const struct custom_version *v = custom_of(c->kind);

	/* Before the owners of fields are found: nobody owns what does not count. */
	settle_status(c);
	if (v->schema)
		(void)openapi_schema_default(v->schema, c->object, c->arena, c->err);
	if (v->hooks && v->hooks->defaults && !change_is_status(c))
		v->hooks->defaults(c);
}

static bool members_same(const struct value *a, const struct value *b)
{
	for (uint32_t i = 0; i < count_of(a); i++) {
		const struct value_member *m = &a->object.members[i];
		const struct value *other = value_get(b, m->key);

		if (!span_equal(m->key, SPAN("metadata")) && (!other || !value_equal(&m->value, other)))
			return false;
	}
	return true;
}

static bool custom_raises(const struct value *old, const struct value *object)
{
	return !members_same(old, object) || !members_same(object, old);
}

/* ---- checks ---- */

/* "1.0" is stored as 1, as Go writes it. */
static void numbers_settle(struct value *v)
{
	if (v->type == VALUE_DOUBLE && v->number > -0x1p63 && v->number < 0x1p63 &&
	    v->number == (double)(int64_t)v->number)
		*v = value_int((int64_t)v->number);
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		numbers_settle(value_item(v, i));
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++)
		numbers_settle(&v->object.members[i].value);
}

static bool check_kind(struct change *c)
{
	const struct value *kind = get(c->object, "kind"), *api = get(c->object, "apiVersion");
	const struct value nothing = value_string(SPAN(""));
	const char *wanted = detail_print(c, "%s/%s", c->kind->group, c->kind->version);

	if (!is_text(kind, c->kind->kind))
		cause_invalid(c, SPAN("kind"), kind ? kind : &nothing, detail_print(c, "must be %s", c->kind->kind));
	if (!is_text(api, wanted))
		cause_invalid(c, SPAN("apiVersion"), api ? api : &nothing, detail_print(c, "must be %s", wanted));
	return !c->causes;
}

static const char *wrong_type(struct change *c, const char *path, const struct value *v, const char *expected)
{
	struct span text = v->type == VALUE_STRING ? v->string : value_print(v, c->arena, c->err);

	return detail_print(c, ".%s accessor error: " SPAN_FMT " is of the type %s, expected %s", path, SPAN_ARG(text),
			    go_type_name(v), expected);
}

/* What stands at a path of names; what is no object on the way is told. NULL: nothing, or that. */
static const struct value *path_walk(struct change *c, const char *path, const struct value *shown)
{
	struct span rest = span_of(path);
	const struct value *v = c->object;

	while (rest.len && v) {
		struct span name = span_cut(&rest, '.');

		if (v->type != VALUE_OBJECT) {
			cause_invalid(c, path_print(c, ".%s", path), shown,
				      wrong_type(c, path, v, "map[string]interface{}"));
			return NULL;
		}
		v = value_get(v, name);
	}
	return v;
}

static void check_replicas(struct change *c, const char *path)
{
	struct value zero = value_int(0);
	const struct value *v = path ? path_walk(c, path, &zero) : NULL;
	struct span at;

	if (!v)
		return;
	at = path_print(c, ".%s", path);
	if (v->type != VALUE_INT)
		cause_invalid(c, at, &zero, wrong_type(c, path, v, "int64"));
	else if (v->integer < 0)
		cause_invalid(c, at, v, "should be a non-negative integer");
	else if (v->integer > INT32_MAX)
		cause_invalid(c, at, v, "should be less than or equal to 2147483647");
}

static void check_scale(struct change *c)
{
	const struct scale_paths *paths = &c->kind->scale;
	struct value nothing = value_string(SPAN(""));
	const struct value *selector;

	if (!(c->kind->subresources & SUB_SCALE))
		return;
	if (!change_is_status(c))
		check_replicas(c, paths->spec_replicas);
	check_replicas(c, paths->status_replicas);
	selector = paths->selector ? path_walk(c, paths->selector, &nothing) : NULL;
	if (selector && selector->type != VALUE_STRING)
		cause_invalid(c, path_print(c, ".%s", paths->selector), &nothing,
			      wrong_type(c, paths->selector, selector, "string"));
}

/* A finalizer that could be anybody's is let through with a word. */
static void warn_finalizers(struct change *c)
{
	static const char *const standard[] = { "orphan", "foregroundDeletion", "kubernetes", NULL };
	const struct value *list = get(get(c->object, "metadata"), "finalizers");
	const struct value *old = get(get(c->old, "metadata"), "finalizers");

	for (uint32_t i = 0; !change_is_status(c) && i < count_of(list); i++) {
		struct span s = text_of(value_item(list, i));
		bool is_known = false;

		for (uint32_t j = 0; j < count_of(old); j++)
			is_known |= value_equal(value_item(old, j), value_item(list, i));
		if (is_known || span_index(s, '/') < s.len || text_is_one_of(s, standard))
			continue;
		change_warn(c,
			    "metadata.finalizers: \"" SPAN_FMT
			    "\": prefer a domain-qualified finalizer name%s to avoid "
			    "accidental conflicts with other finalizer writers",
			    SPAN_ARG(s), span_index(s, '.') < s.len ? " including a path (/)" : "");
	}
}

/* Rules look at values of the right types only. */
static bool has_blocking(const struct change *c)
{
	static const char *const reasons[] = { "FieldValueNotSupported", "FieldValueRequired",    "FieldValueTooLong",
					       "FieldValueTooMany",      "FieldValueTypeInvalid", NULL };

	for (const struct cause *one = c->causes; one; one = one->next)
		if (text_is_one_of(span_of(one->reason), reasons))
			return true;
	return false;
}

static void check_rules(struct change *c, const struct custom_version *v)
{
	struct value nothing = value_null();

	if (!openapi_schema_has_rules(v->schema))
		return;
	if (has_blocking(c))
		cause_invalid(c, SPAN("<nil>"), &nothing,
			      "some validation rules were not checked because the object was invalid; correct the "
			      "existing errors to complete validation");
	else
		rules_run(openapi_schema_rules(v->schema), c->object, c->old, !change_is_status(c), c);
}

static void check_against_schema(struct change *c, const struct custom_version *v)
{
	const struct openapi_schema *status = openapi_schema_member(v->schema, SPAN("status"));

	if (!change_is_status(c))
		openapi_schema_validate(v->schema, c->object, c->old, SPAN(""), c);
	else if (status && value_get(c->object, SPAN("status")))
		openapi_schema_validate(status, value_get(c->object, SPAN("status")), value_get(c->old, SPAN("status")),
					SPAN("status"), c);
}

static void check_beyond_schema(struct change *c, const struct custom_version *v)
{
	if (!change_is_status(c))
		openapi_schema_check_embedded(v->schema, c->object, c);
	openapi_schema_check_lists(v->schema, c->object, c->old, c);
	check_rules(c, v);
}

static void custom_validate(struct change *c)
{
	const struct custom_version *v = custom_of(c->kind);

	if (!check_kind(c))
		return;
	check_metadata(c, name_check_subdomain);
	if (v->schema)
		check_against_schema(c, v);
	check_scale(c);
	if (v->schema)
		check_beyond_schema(c, v);
	if (!c->causes && v->hooks && v->hooks->validate && !change_is_status(c))
		v->hooks->validate(c);
	if (c->causes)
		return;
	warn_finalizers(c);
	numbers_settle(c->object);
}
