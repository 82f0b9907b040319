/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fields - sets of fields of an object, as metadata.managedFields has them (FieldsV1), and what can be asked of two objects by them.
 *
 * A set is a tree. A node is a member of the set, or has members below it, or both: "f:spec": {".": {}, "f:replicas": {}} holds
 * .spec and .spec.replicas. Nodes below one another are sorted: names, then keys, values, indices. An empty set is NULL-safe: all
 * functions take NULL for it.
 *
 * Ownership: cut from the arena given; sets may share what is below them, and are not changed once made but by fields_insert() and
 *            fields_node(), which the maker of a set uses.
 * Errors:    TOO_LARGE past the arena's limit; INVALID for what is no FieldsV1.
 * Threads:   one.
 */
#include "kube/patch.h"

enum path_kind { PATH_NAME, PATH_KEY, PATH_VALUE, PATH_INDEX };

/* One step of a path. */
struct path_element {
	enum path_kind kind;
	struct span name; /* PATH_NAME: of a member */
	struct value
	    value; /* PATH_KEY: an object of the keys, sorted by name; PATH_VALUE: of a set; PATH_INDEX: an integer */
};

struct fields;

struct fields_node {
	struct path_element element;
	struct fields *below; /* NULL: nothing */
	bool is_member;
};

struct fields {
	struct fields_node *nodes; /* sorted */
	uint32_t count, capacity;
};

/* -1, 0 or 1, in the order of the sets. Numbers compare by value, whatever their type. */
int path_element_compare(const struct path_element *a, const struct path_element *b);
/* ".name", "[name=\"c\"]", "[=\"x\"]", "[3]" at the end of `out`. */
void path_element_print(const struct path_element *e, struct buffer *out);

static inline struct path_element path_name(struct span name)
{
	return (struct path_element){ .kind = PATH_NAME, .name = name };
}

bool fields_is_empty(const struct fields *f);
/* The node of an element, or NULL. */
const struct fields_node *fields_find(const struct fields *f, const struct path_element *e);
bool fields_has(const struct fields *f, const struct path_element *e);
const struct fields *fields_below(const struct fields *f, const struct path_element *e); /* NULL: nothing */

/* The node of an element, made when it is absent; NULL on failure. The caller gives it a meaning before the set is used. */
struct fields_node *fields_node(struct fields *f, const struct path_element *e, struct arena *arena, struct error *err);
bool fields_insert(struct fields *f, const struct path_element *path, uint32_t length, struct arena *arena,
		   struct error *err);

/* New sets, never NULL but on failure. */
struct fields *fields_new(struct arena *arena, struct error *err);
struct fields *fields_union(const struct fields *a, const struct fields *b, struct arena *arena, struct error *err);
struct fields *fields_intersection(const struct fields *a, const struct fields *b, struct arena *arena,
				   struct error *err);
/* Of a without the members of b; what is below a member of b stays. */
struct fields *fields_difference(const struct fields *a, const struct fields *b, struct arena *arena,
				 struct error *err);
/* Of a without the members of b and all that is below them. */
struct fields *fields_prune(const struct fields *a, const struct fields *b, struct arena *arena, struct error *err);

/* Calls `tell` for each member, those of one level before what is below them. */
bool fields_each(const struct fields *f, bool (*tell)(void *context, const struct path_element *path, uint32_t length),
		 void *context);

/* FieldsV1. Elements of kinds that nobody knows are passed over. */
struct fields *fields_parse(const struct value *v, struct arena *arena, struct error *err);
bool fields_print(const struct fields *f, struct arena *arena, struct value *ret, struct error *err);

/* ---- objects and their fields: fields_object.c ---- */

struct fields_change {
	struct fields *added, *modified, *removed;
};

/* What `now` has changed against `old`. Items of lists by keys that have none, or a wrong one, are passed over. */
bool fields_compare(const struct value *old, const struct value *now, struct place place, struct arena *arena,
		    struct fields_change *ret, struct error *err);
/* All fields that an applied object names. */
struct fields *fields_of(const struct value *v, struct place place, struct arena *arena, struct error *err);
/* The object without these fields and items. Containers that lose their last member become null, or go as well. */
bool fields_remove(const struct value *v, const struct fields *f, struct place place, bool leaves_null,
		   struct arena *arena, struct value *ret, struct error *err);
/* With the named fields of types on the way to a member as members too. */
struct fields *fields_with_named(const struct fields *f, struct place place, struct arena *arena, struct error *err);
/* A set written when a list or object was not yet atomic, by the types as they are now. */
struct fields *fields_reconcile(const struct fields *f, struct place place, struct arena *arena, struct error *err);

/* ---- places: fields_place.c ---- */

/* What the type wants here. */
enum fields_shape { SHAPE_ANY, SHAPE_MAP, SHAPE_LIST, SHAPE_STRING, SHAPE_NUMBER, SHAPE_BOOL, SHAPE_SCALAR };
enum fields_shape fields_shape(struct place p);
/* A map, a list or a scalar: by the value itself, or for null by what the type wants. SHAPE_SCALAR for all scalars. */
enum fields_shape fields_shape_of(const struct value *v, struct place p);
bool fields_is_atomic(struct place p, enum fields_shape shape); /* owned as a whole */
bool fields_is_declared(struct place p, struct span key);       /* a named field of the type, no entry of a map */
struct place fields_member(struct place p, struct span key);
bool fields_keeps_unknown(struct place p); /* a custom type that allows members it does not name */
/* A built-in field that Go's types always write: an absent one is `*ret` there. */
bool fields_is_always(struct place p, struct span key, struct value *ret);

/* Members of a key in their order. */
void fields_sort_keys(struct value *keys);
/* The element of an item in a list by keys or in a set. */
bool fields_item_element(const struct value *item, struct place list, struct arena *arena, struct path_element *ret,
			 struct error *err);

/* The items of a list by their elements, sorted, equal ones in the list's order. */
struct fields_item {
	struct path_element element;
	const struct value *value;
	uint32_t at;   /* in the list */
	uint32_t many; /* of the first of equals: how many there are */
};
struct fields_index {
	struct fields_item *items;
	uint32_t count;
};
/* Items without an element are passed over. */
bool fields_index(const struct value *list, struct place place, struct arena *arena, struct fields_index *ret,
		  struct error *err);
/* The first of an element, or NULL. */
const struct fields_item *fields_index_find(const struct fields_index *x, const struct path_element *e);

/* ---- metadata.managedFields: fields_managers.c ---- */

struct fields_manager {
	struct span name, api_version, subresource, time; /* time empty: none */
	bool is_apply;
	struct fields *set;
};

struct fields_managers {
	struct fields_manager *items;
	uint32_t count, capacity;
};

/* False when an entry is none that this server writes. An absent list gives no managers. */
bool fields_managers_parse(const struct value *entries, struct arena *arena, struct fields_managers *ret,
			   struct error *err);
/* Sorted as the real server sorts them; managers with no field are left out. */
bool fields_managers_print(struct fields_managers *m, struct arena *arena, struct value *ret, struct error *err);
/* Puts them into metadata.managedFields, or removes that. */
bool fields_managers_store(struct fields_managers *m, struct value *object, struct arena *arena, struct error *err);
/* The entry of a manager; Update entries by apiVersion too. NULL: none. */
struct fields_manager *fields_manager_find(struct fields_managers *m, struct span name, struct span api_version,
					   struct span subresource, bool is_apply);
struct fields_manager *fields_manager_add(struct fields_managers *m, struct fields_manager entry, struct arena *arena,
					  struct error *err);
/* No one owns the server's own part of metadata. */
bool fields_strip(struct fields_manager *m, struct arena *arena, struct error *err);

/* ---- steps of tracking and applying: fields_track.c ---- */

/* What a write by this way cannot change. */
bool fields_reset_set(const struct apply_manager *manager, struct place place, struct arena *arena, struct fields **ret,
		      struct error *err);
bool fields_compare_for(const struct value *old, const struct value *now, struct place place,
			const struct apply_manager *manager, struct arena *arena, struct fields_change *ret,
			struct error *err);
/* The object without metadata.managedFields; it shares all but the root and metadata. */
bool fields_without_managers(const struct value *object, struct arena *arena, struct value *ret, struct error *err);
/* All managers but one lose what changed. */
bool fields_managers_lose(struct fields_managers *all, const struct fields_manager *but,
			  const struct fields_change *change, struct arena *arena, struct error *err);
bool fields_managers_reconcile(struct fields_managers *all, struct place place, struct arena *arena, struct error *err);
/* The Update entry of `name` gets what changed. */
bool fields_manager_gain(struct fields_managers *all, const struct fields_change *change,
			 const struct apply_manager *manager, struct span name, struct arena *arena, struct error *err);
