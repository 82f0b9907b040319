/* SPDX-License-Identifier: Apache-2.0 */
/* fields_track - who owns which field after a write that is no apply. */
#include <stdlib.h>

#include "kube/fields.h"

#define UPDATE_MANAGERS_MAX 10 /* more of them are merged, the oldest first */
#define OLD_MANAGER         SPAN("ancient-changes")

bool fields_reset_set(const struct apply_manager *manager, struct place place, struct arena *arena, struct fields **ret,
		      struct error *err)
{
	static const char *const of_status[] = { "spec", NULL }, *const of_object[] = { "status", NULL },
				 *const none[] = { NULL };
	bool is_status = span_equal(manager->subresource, SPAN("status"));
	const char *const *rows = manager->reset;
	struct fields *made = fields_new(arena, err);

	if (!rows)
		rows = is_status ? of_status : manager->subresource.len || !place.type ? none : of_object;
	for (; made && *rows; rows++) {
		struct path_element path[VALUE_DEPTH_MAX];
		struct span rest = span_of(*rows);
		uint32_t length = 0;

		while (rest.len && length < ARRAY_LEN(path))
			path[length++] = path_name(span_cut(&rest, '.'));
		if (!fields_insert(made, path, length, arena, err))
			return false;
	}
	*ret = made;
	return made;
}

bool fields_compare_for(const struct value *old, const struct value *now, struct place place,
			const struct apply_manager *manager, struct arena *arena, struct fields_change *ret,
			struct error *err)
{
	struct fields_change c;
	struct fields *reset;

	if (!fields_reset_set(manager, place, arena, &reset, err) || !fields_compare(old, now, place, arena, &c, err))
		return false;
	c.added = fields_prune(c.added, reset, arena, err);
	c.modified = fields_prune(c.modified, reset, arena, err);
	c.removed = fields_prune(c.removed, reset, arena, err);
	*ret = c;
	return c.added && c.modified && c.removed;
}

bool fields_without_managers(const struct value *object, struct arena *arena, struct value *ret, struct error *err)
{
	struct value made = value_object();

	for (uint32_t i = 0; value_is(object, VALUE_OBJECT) && i < object->object.count; i++) {
		const struct value_member *m = &object->object.members[i];
		struct value part = m->value;

		if (span_equal(m->key, SPAN("metadata")) && part.type == VALUE_OBJECT) {
			part = value_object();
			for (uint32_t j = 0; j < m->value.object.count; j++) {
				const struct value_member *inner = &m->value.object.members[j];

				if (!span_equal(inner->key, SPAN("managedFields")) &&
				    !value_set(&part, inner->key, inner->value, arena, err))
					return false;
			}
		}
		if (!value_set(&made, m->key, part, arena, err))
			return false;
	}
	*ret = made;
	return true;
}

/* ---- which entries count ---- */

/* "managedFields": [] or [{}] ends the tracking of an object. */
static bool is_reset(const struct value *entries)
{
	return value_is(entries, VALUE_ARRAY) &&
	       (entries->array.count == 0 || (entries->array.count == 1 && value_is_empty(value_item(entries, 0))));
}

/* Those of the request; those that are stored when it has none that can be read, or is about a subresource. */
static bool managers_choose(const struct value *old, const struct value *entries, struct span subresource,
			    struct arena *arena, struct fields_managers *ret, struct error *err)
{
	struct fields_managers made = { 0 };
	struct error why = { 0 };

	if (subresource.len == 0) {
		if (is_reset(entries)) {
			*ret = made;
			return true;
		}
		if (!fields_managers_parse(entries, arena, &made, &why) && why.code == ERROR_TOO_LARGE)
			return error_set(err, why.code, "%s", why.message);
	}
	if (made.count == 0 && !fields_managers_parse(value_find(old, "metadata.managedFields"), arena, &made, &why))
		made = (struct fields_managers){ 0 };
	*ret = made;
	return true;
}

/* ---- bounds ---- */

static int oldest_first(const void *a, const void *b)
{
	const struct fields_manager *left = *(struct fields_manager *const *)a;
	const struct fields_manager *right = *(struct fields_manager *const *)b;
	struct path_element x[2] = { path_name(left->time), path_name(right->time) };
	struct path_element y[2] = { path_name(left->name), path_name(right->name) };
	int c = path_element_compare(&x[0], &x[1]);

	return c ? c : path_element_compare(&y[0], &y[1]);
}

/* Moves what `m` owns into the bucket of its version, made from the first old entry of that version. */
static bool merge_into_bucket(struct fields_managers *all, struct fields_manager *m, struct fields_manager *first,
			      struct arena *arena, struct error *err)
{
	struct fields_manager *bucket = fields_manager_find(all, OLD_MANAGER, m->api_version, SPAN(""), false);

	if (!bucket) {
		bucket = first;
		bucket->name = OLD_MANAGER;
		bucket->subresource = SPAN("");
	}
	if (bucket == m)
		return true;
	bucket->set = fields_union(m->set, bucket->set, arena, err);
	bucket->time = m->time;
	m->set = NULL;
	return bucket->set;
}

static bool managers_cap(struct fields_managers *all, struct arena *arena, struct error *err)
{
	struct fields_manager **updates = ARENA_ARRAY(arena, struct fields_manager *, all->count + 1, err);
	uint32_t count = 0, left;

	if (!updates)
		return false;
	for (uint32_t i = 0; i < all->count; i++)
		if (!all->items[i].is_apply && !fields_is_empty(all->items[i].set))
			updates[count++] = &all->items[i];
	if (count <= UPDATE_MANAGERS_MAX)
		return true;
	qsort(updates, count, sizeof(*updates), oldest_first);
	left = count;
	for (uint32_t i = 0; i < count && left > UPDATE_MANAGERS_MAX; i++) {
		struct fields_manager *first = NULL;

		for (uint32_t j = 0; j < i && !first; j++)
			if (updates[j]->set && span_equal(updates[j]->api_version, updates[i]->api_version))
				first = updates[j];
		if (!first)
			continue;
		if (!merge_into_bucket(all, updates[i], first, arena, err))
			return false;
		left--;
	}
	return true;
}

/* ---- tracking ---- */

bool fields_managers_lose(struct fields_managers *all, const struct fields_manager *but,
			  const struct fields_change *change, struct arena *arena, struct error *err)
{
	struct fields *lost = fields_union(change->modified, change->added, arena, err);

	lost = lost ? fields_union(lost, change->removed, arena, err) : NULL;
	for (uint32_t i = 0; lost && i < all->count; i++) {
		struct fields_manager *m = &all->items[i];

		if (m == but)
			continue;
		m->set = fields_difference(m->set, lost, arena, err);
		if (!m->set)
			return false;
	}
	return lost;
}

bool fields_managers_reconcile(struct fields_managers *all, struct place place, struct arena *arena, struct error *err)
{
	for (uint32_t i = 0; i < all->count; i++) {
		all->items[i].set = fields_reconcile(all->items[i].set, place, arena, err);
		if (!all->items[i].set)
			return false;
	}
	return true;
}

bool fields_manager_gain(struct fields_managers *all, const struct fields_change *change,
			 const struct apply_manager *manager, struct span name, struct arena *arena, struct error *err)
{
	struct fields_manager self = { .name = name.len ? name : SPAN("unknown"),
				       .api_version = manager->api_version,
				       .subresource = manager->subresource,
				       .time = manager->time };
	struct fields_manager *before;

	self.set = fields_union(change->modified, change->added, arena, err);
	if (!self.set || !fields_strip(&self, arena, err))
		return false;
	if (fields_is_empty(self.set))
		return true;
	before = fields_manager_find(all, self.name, self.api_version, self.subresource, false);
	if (!before)
		return fields_manager_add(all, self, arena, err);
	self.set = fields_union(self.set, before->set, arena, err);
	*before = self;
	return self.set;
}

bool fields_track(const struct value *old, struct value *now, struct place place, const struct apply_manager *manager,
		  struct arena *arena, struct error *err)
{
	const struct value *entries = value_find(now, "metadata.managedFields");
	struct value before, after;
	struct fields_managers all;
	struct fields_change change;

	if (!managers_choose(old, entries, manager->subresource, arena, &all, err) ||
	    !fields_without_managers(old, arena, &before, err) || !fields_without_managers(now, arena, &after, err))
		return false;
	*now = after;
	if (all.count == 0 && value_find_string(old, "metadata.uid").len)
		return true; /* not tracked; an apply starts it */
	if (!fields_managers_reconcile(&all, place, arena, err) ||
	    !fields_compare_for(&before, now, place, manager, arena, &change, err) ||
	    !fields_managers_lose(&all, NULL, &change, arena, err) ||
	    !fields_manager_gain(&all, &change, manager, manager->name, arena, err))
		return false;
	return managers_cap(&all, arena, err) && fields_managers_store(&all, now, arena, err);
}
