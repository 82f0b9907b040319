/* SPDX-License-Identifier: Apache-2.0 */
/* patch_merge - JSON merge patch (RFC 7386), with the real server's habit of dropping nulls inside of new lists. */
#include "kube/go_words.h"
#include "kube/patch_private.h"

/* A copy of what the patch brings, without the members that are null; items of lists that are null stay. */
static bool without_nulls(const struct value *v, struct arena *arena, struct value *ret, struct error *err)
{
	struct value made, part;

	if (v->type == VALUE_OBJECT) {
		made = value_object();
		for (uint32_t i = 0; i < v->object.count; i++) {
			const struct value_member *m = &v->object.members[i];

			if (m->value.type == VALUE_NULL)
				continue;
			if (!without_nulls(&m->value, arena, &part, err) || !value_set(&made, m->key, part, arena, err))
				return false;
		}
	} else if (v->type == VALUE_ARRAY) {
		made = value_array();
		for (uint32_t i = 0; i < v->array.count; i++)
			if (!without_nulls(&v->array.items[i], arena, &part, err) ||
			    !value_append(&made, part, arena, err))
				return false;
	} else {
		made = *v;
	}
	*ret = made;
	return true;
}

static bool merge(const struct value *old, const struct value *patch, struct arena *arena, struct value *ret,
		  struct error *err)
{
	struct value made = value_object();

	if (!old || old->type != VALUE_OBJECT)
		return without_nulls(patch, arena, ret, err);
	if (patch->type != VALUE_OBJECT) {
		*ret = *patch;
		return true;
	}
	for (uint32_t i = 0; i < old->object.count; i++) {
		const struct value_member *m = &old->object.members[i];
		const struct value *change = value_get(patch, m->key);
		struct value part = m->value;

		if (value_is(change, VALUE_NULL))
			continue;
		if (change && !merge(m->value.type == VALUE_NULL ? NULL : &m->value, change, arena, &part, err))
			return false;
		if (!value_set(&made, m->key, part, arena, err))
			return false;
	}
	for (uint32_t i = 0; i < patch->object.count; i++) {
		const struct value_member *m = &patch->object.members[i];
		struct value part;

		if (m->value.type == VALUE_NULL || value_get(old, m->key))
			continue;
		if (!without_nulls(&m->value, arena, &part, err) || !value_set(&made, m->key, part, arena, err))
			return false;
	}
	*ret = made;
	return true;
}

bool patch_merge(const struct value *object, const struct value *patch, struct arena *arena, struct value *ret,
		 struct error *err)
{
	if (patch->type == VALUE_NULL)
		return error_set(err, ERROR_INVALID, "Invalid JSON Patch");
	if (patch->type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID,
				 "error decoding patch: json: cannot unmarshal %s into Go value of type "
				 "map[string]interface {}",
				 go_json_type(patch));
	return merge(object, patch, arena, ret, err);
}
