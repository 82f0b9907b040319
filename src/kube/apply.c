/* SPDX-License-Identifier: Apache-2.0 */
/* apply - server-side apply: overlay, removal of what is no longer applied, conflicts, ownership. */
#include <stdlib.h>

#include "kube/apply_private.h"

#define LAST_APPLIED      SPAN("kubectl.kubernetes.io/last-applied-configuration")
#define KUBECTL           SPAN("kubectl") /* the one manager whose applies know of client-side apply's annotation */
#define BEFORE            SPAN("before-first-apply")
#define ANNOTATIONS_BYTES KIB(256) /* most of all annotations of an object */

struct applying {
	const struct value *live; /* without managedFields; {} when it is created */
	const struct value *config;
	struct place place;
	const struct apply_manager *manager;
	struct fields_managers all;
	struct fields *last; /* what the manager applied before, or NULL */
	struct value merged, made;
	struct fields_change change; /* live → made */
	struct arena *arena;
	struct error *err;
};

/* ---- what is no longer applied ---- */

static struct fields *named(struct applying *a, const struct fields *f)
{
	return f ? fields_with_named(f, a->place, a->arena, a->err) : NULL;
}

static struct fields *named_of(struct applying *a, const struct value *v)
{
	return named(a, fields_of(v, a->place, a->arena, a->err));
}

static bool owned_by_any(struct applying *a, struct fields **ret)
{
	struct fields *all = fields_new(a->arena, a->err);

	for (uint32_t i = 0; all && i < a->all.count; i++)
		all = fields_union(all, a->all.items[i].set, a->arena, a->err);
	*ret = named(a, all);
	return *ret;
}

/* merged without `these`; in between, containers that lose all stand as null and count as what is there. */
static bool removed(struct applying *a, const struct fields *these, struct value *ret)
{
	return these && fields_remove(&a->merged, these, a->place, ret != &a->made, a->arena, ret, a->err);
}

/*
 * Takes away what was applied last time, then gives back what anybody owns now, then what was not the manager's to take: items below
 * an applied list or object that nobody owns.
 */
static bool prune(struct applying *a)
{
	struct fields *last, *whole, *kept, *owned;
	struct value pruned;

	a->made = a->merged;
	if (fields_is_empty(a->last))
		return true;
	last = named(a, a->last);
	whole = named_of(a, &a->merged);
	if (!last || !whole || !removed(a, last, &pruned) || !owned_by_any(a, &owned))
		return false;
	kept = named_of(a, &pruned);
	kept = kept ? fields_union(kept, owned, a->arena, a->err) : NULL;
	if (!kept || !removed(a, fields_difference(whole, kept, a->arena, a->err), &pruned))
		return false;
	kept = named_of(a, &pruned);
	kept = kept ? fields_difference(whole, kept, a->arena, a->err) : NULL;
	return kept && removed(a, fields_intersection(kept, last, a->arena, a->err), &a->made);
}

/* ---- conflicts ---- */

struct conflict_list {
	struct applying *a;
	const struct fields_manager *owner;
	const struct fields *allowed; /* these are none; NULL: all are */
	struct apply_conflict *first, **end;
};

static struct span manager_text(const struct fields_manager *m, struct arena *arena, struct error *err)
{
	struct path_element name = { .kind = PATH_VALUE, .value = value_string(m->name) };
	struct buffer text;
	struct span made;

	/* quoted as a path quotes: [="name"] without the brackets */
	buffer_init(&text, MIB(1));
	path_element_print(&name, &text);
	text.len -= 1;
	if (m->subresource.len) {
		buffer_append(&text, SPAN(" with subresource \""));
		buffer_append(&text, m->subresource);
		buffer_byte(&text, '"');
	}
	if (!m->is_apply) {
		buffer_append(&text, SPAN(" using "));
		buffer_append(&text, m->api_version);
	}
	made = arena_copy(arena, span_skip(buffer_span(&text), 2), err);
	buffer_done(&text);
	return made;
}

static bool is_allowed(const struct fields *allowed, const struct path_element *path, uint32_t length)
{
	for (uint32_t i = 0; i + 1 < length; i++)
		allowed = fields_below(allowed, &path[i]);
	return fields_has(allowed, &path[length - 1]);
}

static bool conflict_tell(void *context, const struct path_element *path, uint32_t length)
{
	struct conflict_list *list = context;
	struct arena *arena = list->a->arena;
	struct apply_conflict *made;
	struct buffer text;

	if (list->allowed && is_allowed(list->allowed, path, length))
		return true;
	made = ARENA_NEW(arena, struct apply_conflict, list->a->err);
	if (!made)
		return false;
	buffer_init(&text, MIB(1));
	for (uint32_t i = 0; i < length; i++)
		path_element_print(&path[i], &text);
	made->field = arena_copy(arena, buffer_span(&text), list->a->err);
	buffer_done(&text);
	made->manager = manager_text(list->owner, arena, list->a->err);
	*list->end = made;
	list->end = &made->next;
	return made->field.ptr && made->manager.ptr;
}

static int by_name(const void *a, const void *b)
{
	const struct fields_manager *left = a, *right = b;

	return span_order(left->name, right->name);
}

/* What others own of what the apply changes or adds. */
static bool conflicts_find(struct applying *a, const struct fields *allowed, struct apply_conflict **ret)
{
	struct fields *changed = fields_union(a->change.modified, a->change.added, a->arena, a->err);
	struct conflict_list list = { .a = a, .allowed = allowed };

	list.end = &list.first;
	if (!changed)
		return false;
	if (a->all.count)
		qsort(a->all.items, a->all.count, sizeof(*a->all.items), by_name);
	for (uint32_t i = 0; i < a->all.count; i++) {
		const struct fields_manager *m = &a->all.items[i];
		const struct fields *both;

		if (m->is_apply && span_equal(m->name, a->manager->name) &&
		    span_equal(m->subresource, a->manager->subresource))
			continue;
		both = fields_intersection(m->set, changed, a->arena, a->err);
		list.owner = m;
		if (!both || !fields_each(both, conflict_tell, &list))
			return false;
	}
	*ret = list.first;
	return true;
}

/* What client-side apply has set as it still is: kubectl may take it over. NULL without an annotation that fits. */
static bool last_applied_fields(struct applying *a, struct fields **ret)
{
	const struct value *text = value_get(value_find(a->live, "metadata.annotations"), LAST_APPLIED);
	struct fields_change change;
	struct error why = { 0 };
	struct value last;
	struct fields *set;

	*ret = NULL;
	if (!value_is(text, VALUE_STRING) || !value_parse(text->string, NULL, a->arena, &last, &why) ||
	    last.type != VALUE_OBJECT || !span_equal(value_find_string(&last, "apiVersion"), a->manager->api_version) ||
	    !apply_check(&last, a->place, a->arena, &why))
		return true;
	set = fields_of(&last, a->place, a->arena, a->err);
	if (!set || !fields_compare(&last, a->live, a->place, a->arena, &change, a->err))
		return false;
	set = fields_difference(set, change.modified, a->arena, a->err);
	set = set ? fields_difference(set, change.added, a->arena, a->err) : NULL;
	set = set ? fields_difference(set, change.removed, a->arena, a->err) : NULL;
	*ret = set;
	return set;
}

static bool conflicts_decide(struct applying *a, struct apply_conflict **ret)
{
	struct fields *allowed = NULL;

	if (!conflicts_find(a, NULL, ret))
		return false;
	if (!*ret || !span_equal(a->manager->name, KUBECTL))
		return true;
	if (!last_applied_fields(a, &allowed))
		return false;
	return !allowed || conflicts_find(a, allowed, ret);
}

struct span apply_conflicts_print(const struct apply_conflict *conflicts, struct arena *arena, struct error *err)
{
	const struct span *shown = NULL;
	struct buffer text;
	unsigned count = 0;
	struct span made = { NULL, 0 };

	for (const struct apply_conflict *c = conflicts; c; c = c->next)
		count++;
	buffer_init(&text, arena->limit);
	buffer_print(&text, "Apply failed with %u conflict%s: ", count, count == 1 ? "" : "s");
	for (const struct apply_conflict *c = conflicts; c; c = c->next) {
		if (count == 1) {
			buffer_append(&text, SPAN("conflict with "));
			buffer_append(&text, c->manager);
			buffer_append(&text, SPAN(": "));
			buffer_append(&text, c->field);
			continue;
		}
		if (!shown || !span_equal(*shown, c->manager)) {
			buffer_append(&text, shown ? SPAN("\n") : SPAN(""));
			buffer_append(&text, SPAN("conflicts with "));
			buffer_append(&text, c->manager);
			buffer_append(&text, SPAN(":"));
		}
		shown = &c->manager;
		buffer_append(&text, SPAN("\n- "));
		buffer_append(&text, c->field);
	}
	if (buffer_ok(&text, "the list of conflicts", err))
		made = arena_copy(arena, buffer_span(&text), err);
	buffer_done(&text);
	return made;
}

/* ---- client-side apply's annotation ---- */

static bool sorted_copy(const struct value *v, struct arena *arena, struct value *ret, struct error *err)
{
	struct fields keys = { 0 };
	struct value made = *v, part;

	if (v->type == VALUE_ARRAY) {
		made = value_array();
		for (uint32_t i = 0; i < v->array.count; i++)
			if (!sorted_copy(&v->array.items[i], arena, &part, err) ||
			    !value_append(&made, part, arena, err))
				return false;
	} else if (v->type == VALUE_OBJECT) {
		made = value_object();
		for (uint32_t i = 0; i < v->object.count; i++) {
			struct path_element e = path_name(v->object.members[i].key);

			if (!fields_insert(&keys, &e, 1, arena, err))
				return false;
		}
		for (uint32_t i = 0; i < keys.count; i++) {
			struct span key = keys.nodes[i].element.name;

			if (!sorted_copy(value_get(v, key), arena, &part, err) ||
			    !value_set(&made, key, part, arena, err))
				return false;
		}
	}
	*ret = made;
	return true;
}

static size_t annotations_size(const struct value *annotations)
{
	size_t size = 0;

	for (uint32_t i = 0; i < annotations->object.count; i++) {
		const struct value_member *m = &annotations->object.members[i];

		size += m->key.len + (m->value.type == VALUE_STRING ? m->value.string.len : 0);
	}
	return size;
}

/* The configuration without the annotation itself, as client-side apply would have written it. */
static bool config_text(struct applying *a, struct span *ret)
{
	struct value copy, *annotations;

	if (!sorted_copy(a->config, a->arena, &copy, a->err))
		return false;
	annotations = value_find(&copy, "metadata.annotations");
	(void)value_remove(annotations, LAST_APPLIED);
	*ret = value_print(&copy, a->arena, a->err);
	if (ret->ptr)
		*ret = arena_print(a->arena, a->err, "%.*s\n", (int)ret->len, ret->ptr);
	return ret->ptr;
}

static bool last_applied_update(struct applying *a)
{
	struct value *metadata = value_get(&a->made, SPAN("metadata"));
	const struct value *old = value_get(metadata, SPAN("annotations"));
	struct value annotations = value_object();
	struct span text;

	if (!span_equal(a->manager->name, KUBECTL) || !value_is(value_get(old, LAST_APPLIED), VALUE_STRING) ||
	    value_get(old, LAST_APPLIED)->string.len == 0)
		return true;
	if (!config_text(a, &text))
		return false;
	for (uint32_t i = 0; i < old->object.count; i++) {
		const struct value_member *m = &old->object.members[i];
		bool is_it = span_equal(m->key, LAST_APPLIED);

		if (!value_set(&annotations, m->key, is_it ? value_string(text) : m->value, a->arena, a->err))
			return false;
	}
	if (annotations_size(&annotations) > ANNOTATIONS_BYTES)
		(void)value_remove(&annotations, LAST_APPLIED);
	return value_set(metadata, SPAN("annotations"), annotations, a->arena, a->err);
}

/* ---- the whole ---- */

/* An object that nobody tracked belongs to "before-first-apply". */
static bool managers_begin(struct applying *a, const struct value *live)
{
	struct value nothing = value_object();
	struct fields_change all;

	if (!fields_managers_parse(value_find(live, "metadata.managedFields"), a->arena, &a->all, a->err))
		return error_wrap(a->err, "failed to decode managed fields");
	if (a->all.count || !live)
		return fields_managers_reconcile(&a->all, a->place, a->arena, a->err);
	return fields_compare_for(&nothing, a->live, a->place, a->manager, a->arena, &all, a->err) &&
	       fields_manager_gain(&a->all, &all, a->manager, BEFORE, a->arena, a->err);
}

/* The manager's entry with what it applies now; what it had is put aside. */
static bool entry_begin(struct applying *a)
{
	const struct apply_manager *m = a->manager;
	struct fields_manager *entry = fields_manager_find(&a->all, m->name, m->api_version, m->subresource, true);
	struct fields *set = fields_of(a->config, a->place, a->arena, a->err), *reset;

	if (!set || !fields_reset_set(m, a->place, a->arena, &reset, a->err))
		return false;
	set = fields_prune(set, reset, a->arena, a->err);
	if (!set)
		return false;
	if (entry) {
		a->last = entry->set;
		entry->set = set;
		entry->api_version = m->api_version;
		return true;
	}
	return fields_manager_add(&a->all,
				  (struct fields_manager){ .name = m->name,
							   .api_version = m->api_version,
							   .subresource = m->subresource,
							   .is_apply = true,
							   .set = set },
				  a->arena, a->err);
}

static bool finish(struct applying *a)
{
	const struct apply_manager *m = a->manager;
	struct fields_manager *own = fields_manager_find(&a->all, m->name, m->api_version, m->subresource, true);

	if (!fields_managers_lose(&a->all, own, &a->change, a->arena, a->err) || !fields_strip(own, a->arena, a->err))
		return false;
	if (!value_equal(a->live, &a->made))
		own->time = m->time;
	return last_applied_update(a) && fields_managers_store(&a->all, &a->made, a->arena, a->err);
}

bool apply_merge(const struct value *live, const struct value *config, struct place place,
		 const struct apply_manager *manager, bool force, struct arena *arena, struct value *ret,
		 struct apply_conflict **ret_conflicts, struct error *err)
{
	struct applying a = { .config = config, .place = place, .manager = manager, .arena = arena, .err = err };
	const struct value *given = value_find(config, "metadata.managedFields");
	struct value before;

	*ret_conflicts = NULL;
	if (given && given->type != VALUE_NULL)
		return error_set(err, ERROR_INVALID, "metadata.managedFields must be nil");
	if (!apply_check(config, place, arena, err) || !fields_without_managers(live, arena, &before, err))
		return false;
	a.live = &before;
	if (!managers_begin(&a, live) || !entry_begin(&a) ||
	    !apply_overlay(a.live, config, place, arena, &a.merged, err) || !prune(&a))
		return false;
	if (a.made.type != VALUE_OBJECT)
		a.made = value_object();
	if (!fields_compare_for(a.live, &a.made, place, manager, arena, &a.change, err))
		return false;
	if (!force) {
		if (!conflicts_decide(&a, ret_conflicts))
			return false;
		if (*ret_conflicts)
			return true;
	}
	if (!finish(&a))
		return false;
	*ret = a.made;
	return true;
}
