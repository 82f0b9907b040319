/* SPDX-License-Identifier: Apache-2.0 */
/* bootstrap - writes the roles and bindings of bootstrap.def where they are absent, and adds rules that a newer version has. */
#include <stdlib.h>

#include "base/log.h"
#include "kube/auth/auth_private.h"

#define GROUP           SPAN("rbac.authorization.k8s.io")
#define ROW_ARENA_BYTES MIB(4)

struct row {
	const char *name_space, *name;
	const char *into, *of, *rules;                /* roles */
	const char *role_kind, *role_name, *subjects; /* bindings */
};

static const struct row rows[] = {
#define ROLE(name_space, name, into, of, rules) { name_space, name, into, of, rules, NULL, NULL, NULL },
#define BINDING(name_space, name, role_kind, role_name, subjects)                                                      \
	{ name_space, name, NULL, NULL, NULL, role_kind, role_name, subjects },
#include "kube/auth/bootstrap.def"
#undef ROLE
#undef BINDING
};

/* Of writes under way; freed when the last has ended and nobody else holds it. */
struct bootstrap {
	struct kube *kube;
	size_t waiting;
	bool is_namespaced; /* the second wave: their namespaces are written by then */
	bool is_left, is_starting;
};

/* ---- rows as objects ---- */

static bool set_string(struct value *object, const char *member, struct span s, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(member), value_string(s), arena, err) != NULL;
}

static bool set_list(struct value *rule, const char *member, struct span items, struct arena *arena, struct error *err)
{
	struct value list = value_array();

	while (items.len > 0) {
		struct span item = span_cut(&items, ',');

		if (span_equal(item, SPAN("core")))
			item = SPAN("");
		if (!value_append(&list, value_string(item), arena, err))
			return false;
	}
	return value_set(rule, span_of(member), list, arena, err) != NULL;
}

static bool rule_make(struct span line, struct arena *arena, struct value *ret, struct error *err)
{
	struct span verbs = span_cut(&line, ' '), groups = span_cut(&line, ' '), things = span_cut(&line, ' ');

	*ret = value_object();
	if (!set_list(ret, "verbs", verbs, arena, err))
		return false;
	if (span_equal(groups, SPAN("@")))
		return set_list(ret, "nonResourceURLs", things, arena, err);
	return set_list(ret, "apiGroups", groups, arena, err) && set_list(ret, "resources", things, arena, err) &&
	       (!line.len || set_list(ret, "resourceNames", line, arena, err));
}

static bool rules_make(const struct row *row, struct value *object, struct arena *arena, struct error *err)
{
	struct value rules = value_array(), rule;
	struct span text = span_of(row->rules);

	while (text.len > 0) {
		if (!rule_make(span_cut(&text, '\n'), arena, &rule, err) || !value_append(&rules, rule, arena, err))
			return false;
	}
	return value_set(object, SPAN("rules"), rules, arena, err) != NULL;
}

/* {"clusterRoleSelectors":[{"matchLabels":{"rbac.authorization.k8s.io/aggregate-to-X":"true"}}]} */
static bool aggregation_make(const struct row *row, struct value *object, struct arena *arena, struct error *err)
{
	struct span label = arena_print(arena, err, "rbac.authorization.k8s.io/aggregate-to-%s", row->of);
	struct value *rule = value_ensure_object(object, SPAN("aggregationRule"), arena, err), *list, *item, *labels;

	list = rule ? value_ensure_array(rule, SPAN("clusterRoleSelectors"), arena, err) : NULL;
	item = list ? value_append(list, value_object(), arena, err) : NULL;
	labels = item ? value_ensure_object(item, SPAN("matchLabels"), arena, err) : NULL;
	return labels && label.ptr && value_set(labels, label, value_string(SPAN("true")), arena, err);
}

static bool subject_make(struct span text, struct arena *arena, struct value *ret, struct error *err)
{
	struct span kind = span_cut(&text, '='), name_space;

	*ret = value_object();
	if (!span_equal(kind, SPAN("s")))
		return set_string(ret, "kind", span_equal(kind, SPAN("u")) ? SPAN("User") : SPAN("Group"), arena,
				  err) &&
		       set_string(ret, "apiGroup", GROUP, arena, err) && set_string(ret, "name", text, arena, err);
	name_space = span_cut(&text, '/');
	return set_string(ret, "kind", SPAN("ServiceAccount"), arena, err) &&
	       set_string(ret, "name", text, arena, err) && set_string(ret, "namespace", name_space, arena, err);
}

static bool binding_make(const struct row *row, struct value *object, struct arena *arena, struct error *err)
{
	struct value *ref = value_ensure_object(object, SPAN("roleRef"), arena, err), subjects = value_array(), subject;
	struct span text = span_of(row->subjects);

	if (!ref || !set_string(ref, "apiGroup", GROUP, arena, err) ||
	    !set_string(ref, "kind", span_of(row->role_kind), arena, err) ||
	    !set_string(ref, "name", span_of(row->role_name), arena, err))
		return false;
	if (!text.len)
		return true;
	while (text.len > 0) {
		if (!subject_make(span_cut(&text, ','), arena, &subject, err) ||
		    !value_append(&subjects, subject, arena, err))
			return false;
	}
	return value_set(object, SPAN("subjects"), subjects, arena, err) != NULL;
}

static bool metadata_make(const struct row *row, struct value *object, struct arena *arena, struct error *err)
{
	struct value *metadata = value_ensure_object(object, SPAN("metadata"), arena, err), *labels, *annotations;
	struct span label;

	if (!metadata || !set_string(metadata, "name", span_of(row->name), arena, err) ||
	    (row->name_space[0] && !set_string(metadata, "namespace", span_of(row->name_space), arena, err)))
		return false;
	labels = value_ensure_object(metadata, SPAN("labels"), arena, err);
	if (!labels || !set_string(labels, "kubernetes.io/bootstrapping", SPAN("rbac-defaults"), arena, err))
		return false;
	if (row->into) {
		label = arena_print(arena, err, "rbac.authorization.k8s.io/aggregate-to-%s", row->into);
		if (!label.ptr || !value_set(labels, label, value_string(SPAN("true")), arena, err))
			return false;
	}
	annotations = value_ensure_object(metadata, SPAN("annotations"), arena, err);
	return annotations &&
	       set_string(annotations, "rbac.authorization.kubernetes.io/autoupdate", SPAN("true"), arena, err);
}

static const char *row_kind(const struct row *row)
{
	if (row->role_kind)
		return row->name_space[0] ? "RoleBinding" : "ClusterRoleBinding";
	return row->name_space[0] ? "Role" : "ClusterRole";
}

static bool row_make(const struct row *row, struct arena *arena, struct value *ret, struct error *err)
{
	*ret = value_object();
	if (!set_string(ret, "apiVersion", SPAN("rbac.authorization.k8s.io/v1"), arena, err) ||
	    !set_string(ret, "kind", span_of(row_kind(row)), arena, err) || !metadata_make(row, ret, arena, err))
		return false;
	if (row->role_kind)
		return binding_make(row, ret, arena, err);
	return row->of ? aggregation_make(row, ret, arena, err) : rules_make(row, ret, arena, err);
}

size_t bootstrap_count(void)
{
	return ARRAY_LEN(rows);
}

bool bootstrap_object(size_t index, struct arena *arena, struct value *ret, struct error *err)
{
	return index < ARRAY_LEN(rows) && row_make(&rows[index], arena, ret, err);
}

/* ---- writing ---- */

static void wave_start(struct bootstrap *b);

static void wave_step(struct bootstrap *b)
{
	if (b->waiting > 0 || b->is_starting)
		return;
	if (b->is_left) {
		free(b);
		return;
	}
	if (!b->is_namespaced) {
		b->is_namespaced = true;
		wave_start(b);
	}
}

static void row_written(void *context, const struct value *object, const struct error *err)
{
	struct bootstrap *b = context;

	(void)object;
	if (err && err->code != ERROR_ALREADY_EXISTS && err->code != ERROR_CONFLICT)
		log_warn("kube", "a role that every cluster has could not be written", LOG_TEXT("error", err->message));
	b->waiting--;
	wave_step(b);
}

static bool has_item(const struct value *list, const struct value *item)
{
	for (uint32_t i = 0; i < list->array.count; i++) {
		if (value_equal(value_item(list, i), item))
			return true;
	}
	return false;
}

/* Adds the rules (or subjects) that are ours and not there; false when there are none, or nobody wants them. */
static bool merge(struct value *there, const struct value *ours, const char *member, struct arena *arena)
{
	const struct value *update =
	    value_get(value_find(there, "metadata.annotations"), SPAN("rbac.authorization.kubernetes.io/autoupdate"));
	const struct value *wanted = value_get(ours, span_of(member));
	struct error ignored = { 0 };
	struct value *list;
	bool is_changed = false;

	if (!wanted || !value_is(update, VALUE_STRING) || !span_equal(update->string, SPAN("true")))
		return false;
	list = value_ensure_array(there, span_of(member), arena, &ignored);
	for (uint32_t i = 0; list && i < wanted->array.count; i++) {
		if (!has_item(list, value_item(wanted, i)))
			is_changed |= value_append(list, *value_item(wanted, i), arena, &ignored) != NULL;
	}
	return is_changed;
}

static void row_write(struct bootstrap *b, const struct row *row, struct arena *arena)
{
	const struct kind *kind = kube_kind_named(b->kube, GROUP, SPAN("v1"), span_of(row_kind(row)));
	struct error err = { 0 };
	struct value object, *there;
	struct kube_write w = { .kind = kind,
				.verb = KUBE_CREATE,
				.name_space = span_of(row->name_space),
				.name = span_of(row->name),
				.object = &object,
				.done = row_written,
				.context = b };

	if (!kind || !row_make(row, arena, &object, &err))
		return;
	there = kube_object(b->kube, kind, w.name_space, w.name, true, arena, &err);
	if (there) {
		if (!merge(there, &object, row->role_kind ? "subjects" : "rules", arena))
			return;
		w.verb = KUBE_UPDATE;
		w.object = there;
	}
	b->waiting++;
	kube_write(b->kube, &w, arena);
}

static void wave_start(struct bootstrap *b)
{
	struct arena arena;

	arena_init(&arena, ROW_ARENA_BYTES);
	b->is_starting = true; /* a write that fails at once must not end the wave */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if ((rows[i].name_space[0] != '\0') == b->is_namespaced)
			row_write(b, &rows[i], &arena);
		arena_clear(&arena);
	}
	b->is_starting = false;
	arena_done(&arena);
	wave_step(b);
}

struct bootstrap *bootstrap_start(struct kube *k)
{
	struct bootstrap *b = base_calloc(1, sizeof(*b));

	b->kube = k;
	wave_start(b);
	return b;
}

void bootstrap_free(struct bootstrap *b)
{
	if (!b)
		return;
	b->is_left = true;
	if (b->waiting == 0)
		free(b);
}
