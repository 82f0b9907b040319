/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_overlay - an applied configuration laid over the live object.
 *
 * Leaves are those of the configuration where it has them. A list by keys, or a set, keeps what only the live one has; where the
 * configuration's order and the live one's differ, the configuration's wins.
 */
#include "kube/apply_private.h"

struct overlay {
	struct arena *arena;
	struct error *err;
};

/* False in *ret_is_there: nothing comes of the two. */
static bool overlay(const struct overlay *o, unsigned depth, struct place p, const struct value *live,
		    const struct value *config, struct value *ret, bool *ret_is_there);

static bool members_overlay(const struct overlay *o, unsigned depth, struct place p, const struct value *live,
			    const struct value *config, struct value *ret, bool *ret_is_there)
{
	const struct value *sides[2] = { live, config };
	struct value made = value_object();

	for (int side = 0; side < 2; side++) {
		for (uint32_t i = 0; sides[side] && i < sides[side]->object.count; i++) {
			struct span key = sides[side]->object.members[i].key;
			bool is_there = false;
			struct value part;

			if (side == 1 && value_get(live, key))
				continue;
			if (!overlay(o, depth + 1, fields_member(p, key), value_get(live, key), value_get(config, key),
				     &part, &is_there))
				return false;
			if (is_there && !value_set(&made, key, part, o->arena, o->err))
				return false;
		}
	}
	*ret = made;
	*ret_is_there = made.object.count;
	return true;
}

/* ---- lists ---- */

#define NONE UINT32_MAX

/* Two lists by their items' elements. */
struct zip {
	const struct overlay *o;
	unsigned depth;
	struct place item;
	const struct value *live, *config;
	uint32_t live_count, config_count;
	uint32_t *in_config;           /* of a live item: its place in the configuration, or NONE */
	const struct value **live_for; /* of a configured item: the live one; NULL: none, or several */
	bool *is_shared, *is_merged;   /* of a configured item */
	struct value out;
};

static bool zip_begin(struct zip *z, struct place p)
{
	struct arena *arena = z->o->arena;
	struct fields_index lives, configs;
	uint32_t n = z->config_count + 1;

	z->in_config = ARENA_ARRAY(arena, uint32_t, z->live_count + 1, z->o->err);
	z->live_for = arena_calloc(arena, n, sizeof(*z->live_for), z->o->err);
	z->is_shared = arena_calloc(arena, n, sizeof(bool), z->o->err);
	z->is_merged = arena_calloc(arena, n, sizeof(bool), z->o->err);
	if (!z->in_config || !z->live_for || !z->is_shared || !z->is_merged ||
	    !fields_index(z->live, p, arena, &lives, z->o->err) ||
	    !fields_index(z->config, p, arena, &configs, z->o->err))
		return false;
	for (uint32_t i = 0; i < z->live_count; i++)
		z->in_config[i] = NONE;
	for (uint32_t i = 0; i < configs.count; i++) {
		const struct fields_item *c = &configs.items[i], *l = fields_index_find(&lives, &c->element);

		for (uint32_t j = 0; l && j < l->many; j++)
			z->in_config[l[j].at] = c->at;
		z->is_shared[c->at] = l;
		z->live_for[c->at] = l && l->many == 1 ? l->value : NULL;
	}
	return true;
}

static bool zip_add(struct zip *z, const struct value *live, const struct value *config)
{
	struct value part;
	bool is_there = false;

	if (!overlay(z->o, z->depth, z->item, live, config, &part, &is_there))
		return false;
	return !is_there || value_append(&z->out, part, z->o->arena, z->o->err);
}

static uint32_t next_shared(const struct zip *z, uint32_t from)
{
	while (from < z->config_count && !z->is_shared[from])
		from++;
	return from < z->config_count ? from : NONE;
}

static bool zip_run(struct zip *z)
{
	uint32_t l = 0, c = 0, shared = next_shared(z, 0);

	while (l < z->live_count || c < z->config_count) {
		uint32_t twin = l < z->live_count ? z->in_config[l] : NONE;

		/* A live item that the configuration has too waits for its turn there. */
		if (twin != NONE && c < z->config_count && twin != c && shared != NONE && shared != twin) {
			l++;
			continue;
		}
		if (l < z->live_count && twin == NONE) {
			if (!zip_add(z, value_item(z->live, l++), NULL))
				return false;
			continue;
		}
		if (twin != NONE && z->is_merged[twin])
			l++;
		if (c < z->config_count) {
			z->is_merged[c] = true;
			if (!zip_add(z, z->live_for[c], value_item(z->config, c)))
				return false;
			if (twin == c)
				l++;
			if (shared == c || twin == c)
				shared = shared == NONE ? NONE : next_shared(z, shared + 1);
			c++;
		}
	}
	return true;
}

static bool items_overlay(const struct overlay *o, unsigned depth, struct place p, const struct value *live,
			  const struct value *config, struct value *ret, bool *ret_is_there)
{
	struct zip z = { .o = o, .depth = depth + 1, .item = place_item(p), .live = live, .config = config };

	z.live_count = live ? live->array.count : 0;
	z.config_count = config ? config->array.count : 0;
	z.out = value_array();
	if (!zip_begin(&z, p) || !zip_run(&z))
		return false;
	*ret = z.out;
	*ret_is_there = z.out.array.count;
	return true;
}

/* ---- both ---- */

static bool overlay(const struct overlay *o, unsigned depth, struct place p, const struct value *live,
		    const struct value *config, struct value *ret, bool *ret_is_there)
{
	enum fields_shape shape = SHAPE_SCALAR;
	enum value_type type;
	const struct value *left, *right;

	if (depth > VALUE_DEPTH_MAX)
		return error_set(o->err, ERROR_INVALID, "an object is deeper than %d", VALUE_DEPTH_MAX);
	if (live || config)
		shape = fields_shape_of(config ? config : live, p);
	type = shape == SHAPE_MAP ? VALUE_OBJECT : VALUE_ARRAY;
	left = value_is(live, type) ? live : NULL;
	right = value_is(config, type) ? config : NULL;
	if (shape == SHAPE_SCALAR || fields_is_atomic(p, shape) || (value_is_empty(left) && value_is_empty(right))) {
		*ret_is_there = config || live;
		if (*ret_is_there)
			*ret = config ? *config : *live;
		return true;
	}
	return (shape == SHAPE_MAP ? members_overlay : items_overlay)(o, depth, p, left, right, ret, ret_is_there);
}

bool apply_overlay(const struct value *live, const struct value *config, struct place place, struct arena *arena,
		   struct value *ret, struct error *err)
{
	struct overlay o = { .arena = arena, .err = err };
	bool is_there = false;

	*ret = value_object();
	return overlay(&o, 0, place, live, config, ret, &is_there);
}
