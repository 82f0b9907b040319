/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields_object - objects and their fields: what changed between two, what one names, one without some.
 *
 * A leaf is a scalar, an atomic list or object, or an empty container. Containers are members themselves where they came or went as a
 * whole, and where the type does not name them.
 */
#include "kube/fields.h"

/* ---- comparing ---- */

struct comparing {
	struct fields_change *change;
	struct arena *arena;
	struct error *err;
	struct path_element path[VALUE_DEPTH_MAX + 1];
};

static bool tell(struct comparing *c, struct fields *to, uint32_t depth)
{
	return fields_insert(to, c->path, depth, c->arena, c->err);
}

static bool compare(struct comparing *c, uint32_t depth, struct place p, const struct value *old,
		    const struct value *now);

static bool leaf(struct comparing *c, uint32_t depth, const struct value *old, const struct value *now)
{
	if (!old)
		return tell(c, c->change->added, depth);
	if (!now)
		return tell(c, c->change->removed, depth);
	return value_equal(old, now) || tell(c, c->change->modified, depth);
}

/* A member of both objects, of one, or of a type that always has it. */
static bool member_compare(struct comparing *c, uint32_t depth, struct place p, const struct value *old_object,
			   const struct value *now_object, struct span key)
{
	const struct value *old = value_get(old_object, key), *now = value_get(now_object, key);
	struct value otherwise;
	bool is_null;

	ASSERT(old || now);
	is_null = (!old && old_object && now->type == VALUE_NULL) || (!now && old->type == VALUE_NULL);
	if (is_null && !p.openapi && fields_is_declared(p, key))
		return true; /* absent and null are the same in Go's types */
	if (old_object && now_object && (!old || !now) && fields_is_always(p, key, &otherwise)) {
		if (!old)
			old = &otherwise;
		else
			now = &otherwise;
	}
	c->path[depth] = path_name(key);
	return compare(c, depth + 1, fields_member(p, key), old, now);
}

static bool maps_compare(struct comparing *c, uint32_t depth, struct place p, const struct value *old,
			 const struct value *now)
{
	for (uint32_t i = 0; old && i < old->object.count; i++)
		if (!member_compare(c, depth, p, old, now, old->object.members[i].key))
			return false;
	for (uint32_t i = 0; now && i < now->object.count; i++)
		if (!value_get(old, now->object.members[i].key) &&
		    !member_compare(c, depth, p, old, now, now->object.members[i].key))
			return false;
	return true;
}

static bool items_equal(const struct fields_item *a, const struct fields_item *b)
{
	if (a->many != b->many)
		return false;
	for (uint32_t i = 0; i < a->many; i++)
		if (!value_equal(a[i].value, b[i].value))
			return false;
	return true;
}

/* Items of one element; an element that is there twice or more counts as one leaf. */
static bool item_compare(struct comparing *c, uint32_t depth, struct place p, const struct fields_item *old,
			 const struct fields_item *now)
{
	struct place item = place_item(p);
	bool old_many = old && old->many > 1, now_many = now && now->many > 1;

	ASSERT(old || now);
	c->path[depth] = (old ? old : now)->element;
	if (!old_many && !now_many)
		return compare(c, depth + 1, item, old ? old->value : NULL, now ? now->value : NULL);
	if (old_many && now_many)
		return items_equal(old, now) || tell(c, c->change->modified, depth + 1);
	if (old_many)
		return (!now || compare(c, depth + 1, item, NULL, now->value)) &&
		       tell(c, c->change->removed, depth + 1);
	return (!old || compare(c, depth + 1, item, old->value, NULL)) && tell(c, c->change->added, depth + 1);
}

static bool lists_compare(struct comparing *c, uint32_t depth, struct place p, const struct value *old,
			  const struct value *now)
{
	struct fields_index olds, nows;

	if (!fields_index(old, p, c->arena, &olds, c->err) || !fields_index(now, p, c->arena, &nows, c->err))
		return false;
	for (uint32_t i = 0; i < olds.count; i += olds.items[i].many)
		if (!item_compare(c, depth, p, &olds.items[i], fields_index_find(&nows, &olds.items[i].element)))
			return false;
	for (uint32_t i = 0; i < nows.count; i += nows.items[i].many)
		if (!fields_index_find(&olds, &nows.items[i].element) &&
		    !item_compare(c, depth, p, NULL, &nows.items[i]))
			return false;
	return true;
}

/* As one shape; the other value may have another and counts as none of it then. */
static bool compare_as(struct comparing *c, uint32_t depth, struct place p, enum fields_shape shape,
		       const struct value *old, const struct value *now)
{
	enum value_type type = shape == SHAPE_MAP ? VALUE_OBJECT : VALUE_ARRAY;
	const struct value *left = value_is(old, type) && !value_is_empty(old) ? old : NULL;
	const struct value *right = value_is(now, type) && !value_is_empty(now) ? now : NULL;

	if (shape == SHAPE_SCALAR || fields_is_atomic(p, shape) || (!left && !right))
		return leaf(c, depth, old, now);
	/* An empty object is there, though it has nothing in it: its absent members may always be there. */
	left = value_is(old, type) ? old : NULL;
	right = value_is(now, type) ? now : NULL;
	if (!(shape == SHAPE_MAP ? maps_compare : lists_compare)(c, depth, p, left, right))
		return false;
	if (!old)
		return tell(c, c->change->added, depth);
	return now || tell(c, c->change->removed, depth);
}

static bool compare(struct comparing *c, uint32_t depth, struct place p, const struct value *old,
		    const struct value *now)
{
	enum fields_shape a = fields_shape_of(old ? old : now, p), b = fields_shape_of(now ? now : old, p);

	if (depth >= ARRAY_LEN(c->path))
		return error_set(c->err, ERROR_INVALID, "an object is deeper than %d", VALUE_DEPTH_MAX);
	if (a != b && !compare_as(c, depth, p, a, old, now))
		return false;
	return compare_as(c, depth, p, b, old, now);
}

bool fields_compare(const struct value *old, const struct value *now, struct place place, struct arena *arena,
		    struct fields_change *ret, struct error *err)
{
	struct fields_change change = { fields_new(arena, err), fields_new(arena, err), fields_new(arena, err) };
	struct comparing c = { .change = &change, .arena = arena, .err = err };

	if (!change.added || !change.modified || !change.removed || !compare(&c, 0, place, old, now))
		return false;
	*ret = change;
	return true;
}

/* ---- the fields of one ---- */

static bool name_all(struct comparing *c, uint32_t depth, struct place p, const struct value *v, struct fields *to);

static bool name_members(struct comparing *c, uint32_t depth, struct place p, const struct value *v, struct fields *to)
{
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		bool is_bare =
		    m->value.type == VALUE_NULL || (m->value.type == VALUE_OBJECT && m->value.object.count == 0);

		c->path[depth] = path_name(m->key);
		if (!name_all(c, depth + 1, fields_member(p, m->key), &m->value, to))
			return false;
		c->path[depth] = path_name(m->key);
		if ((is_bare || !fields_is_declared(p, m->key)) && !tell(c, to, depth + 1))
			return false;
	}
	return true;
}

static bool name_items(struct comparing *c, uint32_t depth, struct place p, const struct value *v, struct fields *to)
{
	struct fields_index x;

	if (!fields_index(v, p, c->arena, &x, c->err))
		return false;
	for (uint32_t i = 0; i < x.count; i += x.items[i].many) {
		c->path[depth] = x.items[i].element;
		if (x.items[i].many == 1 && !name_all(c, depth + 1, place_item(p), x.items[i].value, to))
			return false;
		c->path[depth] = x.items[i].element;
		if (!tell(c, to, depth + 1))
			return false;
	}
	return true;
}

static bool name_all(struct comparing *c, uint32_t depth, struct place p, const struct value *v, struct fields *to)
{
	enum fields_shape shape = fields_shape_of(v, p);

	if (depth >= ARRAY_LEN(c->path))
		return error_set(c->err, ERROR_INVALID, "an object is deeper than %d", VALUE_DEPTH_MAX);
	if (shape == SHAPE_SCALAR || fields_is_atomic(p, shape))
		return tell(c, to, depth);
	if (v->type == VALUE_NULL)
		return true;
	return (shape == SHAPE_MAP ? name_members : name_items)(c, depth, p, v, to);
}

struct fields *fields_of(const struct value *v, struct place place, struct arena *arena, struct error *err)
{
	struct comparing c = { .arena = arena, .err = err };
	struct fields *made = fields_new(arena, err);

	return made && name_all(&c, 0, place, v, made) ? made : NULL;
}

/* ---- without some ---- */

static bool members_remove(const struct value *v, const struct fields *f, struct place p, bool leaves_null,
			   struct arena *arena, struct value *ret, struct error *err)
{
	struct value made = value_object();

	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		struct path_element e = path_name(m->key);
		const struct fields_node *node = fields_find(f, &e);
		struct value part = m->value;

		if (node && node->is_member)
			continue;
		if (node &&
		    !fields_remove(&m->value, node->below, fields_member(p, m->key), leaves_null, arena, &part, err))
			return false;
		if (!leaves_null && part.type == VALUE_NULL && m->value.type != VALUE_NULL)
			continue;
		if (!value_set(&made, m->key, part, arena, err))
			return false;
	}
	*ret = made.object.count ? made : value_null();
	return true;
}

static bool items_remove(const struct value *v, const struct fields *f, struct place p, bool leaves_null,
			 struct arena *arena, struct value *ret, struct error *err)
{
	struct value made = value_array();

	for (uint32_t i = 0; i < v->array.count; i++) {
		struct error ignored = { 0 }; /* an item without an element is nobody's: it stays */
		const struct fields_node *node = NULL;
		struct value part = v->array.items[i];
		struct path_element e;

		if (fields_item_element(&v->array.items[i], p, arena, &e, &ignored))
			node = fields_find(f, &e);
		if (node && node->is_member)
			continue;
		if (node &&
		    !fields_remove(&v->array.items[i], node->below, place_item(p), leaves_null, arena, &part, err))
			return false;
		if (!leaves_null && part.type == VALUE_NULL && v->array.items[i].type != VALUE_NULL)
			continue;
		if (!value_append(&made, part, arena, err))
			return false;
	}
	*ret = made.array.count ? made : value_null();
	return true;
}

bool fields_remove(const struct value *v, const struct fields *f, struct place place, bool leaves_null,
		   struct arena *arena, struct value *ret, struct error *err)
{
	if (v->type != VALUE_OBJECT && v->type != VALUE_ARRAY) {
		*ret = *v;
		return true;
	}
	*ret = value_null();
	if (value_is_empty(v) || fields_is_atomic(place, v->type == VALUE_OBJECT ? SHAPE_MAP : SHAPE_LIST))
		return true;
	return (v->type == VALUE_OBJECT ? members_remove : items_remove)(v, f, place, leaves_null, arena, ret, err);
}

/* ---- sets and types ---- */

static struct place place_below(struct place p, const struct path_element *e)
{
	switch (e->kind) {
	case PATH_NAME:
		return fields_member(p, e->name);
	case PATH_KEY:
		return place_item(p);
	case PATH_VALUE:
	case PATH_INDEX:
		break;
	}
	return (struct place){ 0 };
}

struct fields *fields_with_named(const struct fields *f, struct place place, struct arena *arena, struct error *err)
{
	struct fields *made = fields_new(arena, err);

	for (uint32_t i = 0; made && f && i < f->count; i++) {
		const struct fields_node *from = &f->nodes[i];
		struct fields_node *to = fields_node(made, &from->element, arena, err);

		if (!to)
			return NULL;
		to->is_member = from->is_member;
		if (!from->below)
			continue;
		if (from->element.kind == PATH_NAME && fields_is_declared(place, from->element.name))
			to->is_member = true;
		to->below = fields_with_named(from->below, place_below(place, &from->element), arena, err);
		if (!to->below)
			return NULL;
	}
	return made;
}

struct fields *fields_reconcile(const struct fields *f, struct place place, struct arena *arena, struct error *err)
{
	struct fields *made = fields_new(arena, err);

	for (uint32_t i = 0; made && f && i < f->count; i++) {
		const struct fields_node *from = &f->nodes[i];
		struct place p = place_below(place, &from->element);
		struct fields_node *to = fields_node(made, &from->element, arena, err);
		enum fields_shape shape;

		if (!to)
			return NULL;
		to->is_member = from->is_member;
		if (!from->below)
			continue;
		shape = from->below->count && from->below->nodes[0].element.kind == PATH_NAME ? SHAPE_MAP : SHAPE_LIST;
		if ((p.field || p.openapi || p.type) && fields_is_atomic(p, shape)) {
			to->is_member = true;
			continue;
		}
		to->below = fields_reconcile(from->below, p, arena, err);
		if (!to->below)
			return NULL;
	}
	return made;
}
