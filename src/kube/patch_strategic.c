/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch_strategic - strategic merge patch: a merge patch that knows which lists merge, by which key, and takes directives: $patch,
 * $setElementOrder/x, $deleteFromPrimitiveList/x, $retainKeys.
 */
#include <stdlib.h>

#include "kube/go_words.h"
#include "kube/patch_private.h"

#define DIRECTIVE     SPAN("$patch")
#define RETAIN_KEYS   SPAN("$retainKeys")
#define DELETE_PREFIX SPAN("$deleteFromPrimitiveList")
#define ORDER_PREFIX  SPAN("$setElementOrder")

#define MERGED_ITEMS_MAX 4000 /* of one list that merges: items are looked up one by one */

struct strategic {
	struct arena *arena;
	struct error *err;
};

static bool merge_objects(struct strategic *s, struct place p, const struct value *old, const struct value *patch,
			  struct value *ret);

/* ---- what a patch brings where nothing was ---- */

static bool is_directive(const struct value *v)
{
	return v->type == VALUE_OBJECT && value_get(v, DIRECTIVE);
}

/* Without nulls in objects and without what has a $patch in it. */
static bool plain(struct strategic *s, const struct value *v, struct value *ret)
{
	struct value made = *v, part;

	if (v->type == VALUE_OBJECT) {
		made = value_object();
		for (uint32_t i = 0; i < v->object.count; i++) {
			const struct value_member *m = &v->object.members[i];

			if (m->value.type == VALUE_NULL || is_directive(&m->value))
				continue;
			if (!plain(s, &m->value, &part) || !value_set(&made, m->key, part, s->arena, s->err))
				return false;
		}
	} else if (v->type == VALUE_ARRAY) {
		made = value_array();
		for (uint32_t i = 0; i < v->array.count; i++) {
			if (is_directive(&v->array.items[i]))
				continue;
			if (!plain(s, &v->array.items[i], &part) || !value_append(&made, part, s->arena, s->err))
				return false;
		}
	}
	*ret = made;
	return true;
}

/* ---- lists ---- */

static bool same_item(const struct value *a, const struct value *b, struct span key)
{
	const struct value *x = key.len ? value_get(a, key) : a, *y = key.len ? value_get(b, key) : b;

	return x && y && value_equal(x, y);
}

/* The place in a list, -1: nowhere. */
static int64_t item_find(const struct value *list, const struct value *item, struct span key)
{
	for (uint32_t i = 0; list && i < list->array.count; i++)
		if (same_item(&list->array.items[i], item, key))
			return i;
	return -1;
}

static bool no_merge_key(struct strategic *s, const struct value *item, struct span key)
{
	struct span text = go_print(item, s->arena, s->err);

	return text.ptr &&
	       error_set(s->err, ERROR_INVALID, "map: " SPAN_FMT " does not contain declared merge key: " SPAN_FMT,
			 SPAN_ARG(text), SPAN_ARG(key));
}

/* Items of a list that merges are all objects with the key, or all scalars. */
static bool check_items(struct strategic *s, const struct value *list, struct span key)
{
	if (list && list->array.count > MERGED_ITEMS_MAX)
		return error_set(s->err, ERROR_TOO_LARGE, "a list that merges has %u items, at most %d are merged",
				 list->array.count, MERGED_ITEMS_MAX);
	for (uint32_t i = 0; list && i < list->array.count; i++) {
		const struct value *item = &list->array.items[i];

		if (item->type == VALUE_ARRAY)
			return error_set(s->err, ERROR_INVALID, "lists of lists are not supported");
		if (key.len && item->type != VALUE_OBJECT)
			return error_set(s->err, ERROR_INVALID,
					 "list element types are not identical: %s beside an object",
					 value_type_name(item->type));
		if (!key.len && item->type == VALUE_OBJECT)
			return error_set(s->err, ERROR_INVALID, "cannot merge lists without merge key for struct");
		if (key.len && !value_get(item, key) && !is_directive(item))
			return no_merge_key(s, item, key);
	}
	return true;
}

static bool bad_directive(struct strategic *s, const struct value *patch)
{
	struct span text = go_print(patch, s->arena, s->err);
	const struct value *given = value_get(patch, DIRECTIVE);
	struct span type = value_is(given, VALUE_STRING) ? given->string : (struct span){ 0 };

	if (value_is(given, VALUE_INT)) /* as Go prints what is no string where one should be */
		type = arena_print(s->arena, s->err, "%%!s(int64=%lld)", (long long)given->integer);

	return text.ptr && error_set(s->err, ERROR_INVALID, "unknown patch type: " SPAN_FMT " in map: " SPAN_FMT,
				     SPAN_ARG(type), SPAN_ARG(text));
}

/* Takes the items with a $patch out of a patch list: deletes from `old`, or says that the rest replaces it. */
static bool directives_run(struct strategic *s, struct value *old, const struct value *patch, struct span key,
			   struct value *ret_patch, bool *ret_replaces)
{
	struct value rest = value_array();

	for (uint32_t i = 0; i < patch->array.count; i++) {
		const struct value *item = &patch->array.items[i];
		struct span directive = value_find_string(item, "$patch");
		int64_t at;

		if (!is_directive(item)) {
			if (!value_append(&rest, *item, s->arena, s->err))
				return false;
		} else if (span_equal(directive, SPAN("replace"))) {
			*ret_replaces = true;
		} else if (span_equal(directive, SPAN("delete"))) {
			if (!value_get(item, key))
				return no_merge_key(s, item, key);
			while ((at = item_find(old, item, key)) >= 0)
				value_remove_item(old, (uint32_t)at);
		} else if (span_equal(directive, SPAN("merge"))) {
			return error_set(s->err, ERROR_INVALID, "merging lists cannot yet be specified in the patch");
		} else {
			return bad_directive(s, item);
		}
	}
	*ret_patch = rest;
	return true;
}

/* A list of its own, so that it can be changed. */
static bool list_copy(struct strategic *s, const struct value *list, struct value *ret)
{
	*ret = value_array();
	for (uint32_t i = 0; list && i < list->array.count; i++)
		if (!value_append(ret, list->array.items[i], s->arena, s->err))
			return false;
	return true;
}

/* An item and its place by an order, for sorting. */
struct ranked {
	struct value item;
	int64_t rank;
	uint32_t at;
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *left = a, *right = b;

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return left->at < right->at ? -1 : left->at > right->at;
}

/* Items that `order` has (or has not), sorted by `sort`; those that are not in it keep their place in front. */
static bool part_sorted(struct strategic *s, const struct value *list, const struct value *order, bool is_in,
			const struct value *sort, struct span key, struct value *ret)
{
	struct ranked *items = ARENA_ARRAY(s->arena, struct ranked, list->array.count + 1, s->err);
	uint32_t count = 0;

	if (!items)
		return false;
	for (uint32_t i = 0; i < list->array.count; i++) {
		const struct value *item = &list->array.items[i];

		if ((item_find(order, item, key) >= 0) == is_in) {
			items[count] = (struct ranked){ *item, item_find(sort, item, key), i };
			count++;
		}
	}
	if (count)
		qsort(items, count, sizeof(*items), by_rank);
	*ret = value_array();
	for (uint32_t i = 0; i < count; i++)
		if (!value_append(ret, items[i].item, s->arena, s->err))
			return false;
	return true;
}

/* The order of a merged list: the patch's items as `order` has them, the server's own between them as they stood in `old`. */
static bool put_in_order(struct strategic *s, const struct value *merged, const struct value *order,
			 const struct value *old, struct span key, struct value *ret)
{
	struct value ours, theirs, made = value_array();
	uint32_t i = 0, j = 0;

	if (!part_sorted(s, merged, order, true, order, key, &ours) ||
	    !part_sorted(s, merged, order, false, old, key, &theirs))
		return false;
	while (i < theirs.array.count || j < ours.array.count) {
		bool takes_theirs = j == ours.array.count;

		if (!takes_theirs && i < theirs.array.count) {
			int64_t a = item_find(old, &theirs.array.items[i], key);
			int64_t b = item_find(old, &ours.array.items[j], key);

			takes_theirs = a >= 0 && b >= 0 && a < b;
		}
		if (!value_append(&made, takes_theirs ? theirs.array.items[i++] : ours.array.items[j++], s->arena,
				  s->err))
			return false;
	}
	*ret = made;
	return true;
}

static bool merge_scalars(struct strategic *s, const struct value *old, const struct value *patch, struct value *ret)
{
	const struct value *lists[2] = { old, patch };

	*ret = value_array();
	for (int n = 0; n < 2; n++)
		for (uint32_t i = 0; i < lists[n]->array.count; i++)
			if (item_find(ret, &lists[n]->array.items[i], SPAN("")) < 0 &&
			    !value_append(ret, lists[n]->array.items[i], s->arena, s->err))
				return false;
	return true;
}

static bool merge_keyed(struct strategic *s, struct place item_place, struct value *old, const struct value *patch,
			struct span key)
{
	for (uint32_t i = 0; i < patch->array.count; i++) {
		const struct value *item = &patch->array.items[i];
		int64_t at = item_find(old, item, key);
		struct value part;

		if (at < 0) {
			if (!plain(s, item, &part) || !value_append(old, part, s->arena, s->err))
				return false;
			continue;
		}
		if (!merge_objects(s, item_place, value_item(old, (uint32_t)at), item, &part))
			return false;
		*value_item(old, (uint32_t)at) = part;
	}
	return true;
}

/* `old` and `patch` are lists. */
static bool merge_lists(struct strategic *s, struct place p, const struct value *old, const struct value *patch,
			struct value *ret)
{
	struct value mine, rest = *patch;
	bool replaces = false;
	struct span key;

	if (!place_merges(p, &key)) {
		*ret = *patch;
		return true;
	}
	if (!check_items(s, old, key) || !check_items(s, patch, key) || !list_copy(s, old, &mine))
		return false;
	if (key.len == 0) {
		struct value merged;

		return merge_scalars(s, old, patch, &merged) && put_in_order(s, &merged, patch, old, key, ret);
	}
	if (!directives_run(s, &mine, patch, key, &rest, &replaces))
		return false;
	if (replaces) {
		*ret = rest;
		return true;
	}
	old = ARENA_NEW(s->arena, struct value, s->err);
	if (!old || !list_copy(s, &mine, (struct value *)old) || !merge_keyed(s, place_item(p), &mine, &rest, key))
		return false;
	return put_in_order(s, &mine, &rest, old, key, ret);
}

static bool delete_scalars(struct strategic *s, const struct value *old, const struct value *these, struct value *ret)
{
	*ret = value_array();
	for (uint32_t i = 0; i < old->array.count; i++)
		if (item_find(these, &old->array.items[i], SPAN("")) < 0 &&
		    !value_append(ret, old->array.items[i], s->arena, s->err))
			return false;
	return true;
}

/* ---- $setElementOrder ---- */

/* The patch's items come in the order that it gives. */
static bool check_order(struct strategic *s, const struct value *patch, const struct value *order, struct span key)
{
	uint32_t at = 0;

	for (uint32_t i = 0; patch && order->array.count && i < patch->array.count; i++) {
		const struct value *item = &patch->array.items[i];
		struct span list, wanted;

		if (is_directive(item))
			continue;
		if (key.len && !value_get(item, key))
			return no_merge_key(s, item, key);
		while (at < order->array.count && !same_item(item, &order->array.items[at], key))
			at++;
		if (at++ < order->array.count)
			continue;
		list = go_print(patch, s->arena, s->err);
		wanted = go_print(order, s->arena, s->err);
		return list.ptr && wanted.ptr &&
		       error_set(s->err, ERROR_INVALID,
				 "The order in patch list:\n" SPAN_FMT
				 "\n doesn't match $setElementOrder list:\n" SPAN_FMT "\n",
				 SPAN_ARG(list), SPAN_ARG(wanted));
	}
	return true;
}

static bool check_list(struct strategic *s, const struct value *v)
{
	return !v || v->type == VALUE_ARRAY ||
	       error_set(s->err, ERROR_INVALID, "expected a []interface {}, but received a %s",
			 v->type == VALUE_OBJECT ? "map[string]interface {}" : go_json_type(v));
}

/* The list `name` with the patch's part of it, in the order told; *ret_is_there false when there is none. */
static bool ordered_list(struct strategic *s, struct place p, const struct value *old, const struct value *patch,
			 const struct value *order, struct value *ret, bool *ret_is_there)
{
	struct value merged;
	struct span key = SPAN("");

	if (!check_list(s, order) || !check_list(s, old) || !check_list(s, patch))
		return false;
	(void)place_merges(p, &key);
	if (!check_order(s, patch, order, key))
		return false;
	*ret_is_there = old || patch;
	if (!*ret_is_there)
		return true;
	if (old && patch ? !merge_lists(s, p, old, patch, &merged)
	    : patch      ? !plain(s, patch, &merged)
			 : !list_copy(s, old, &merged))
		return false;
	return check_items(s, &merged, key) && put_in_order(s, &merged, order, old, key, ret);
}

/* ---- objects ---- */

/* "$setElementOrder/x": x in *ret; false when it is none of that directive. */
static bool directive_of(struct span key, struct span prefix, struct span *ret)
{
	if (!span_starts(key, prefix))
		return false;
	*ret = span_skip(key, prefix.len);
	if (ret->len && ret->ptr[0] == '/')
		*ret = span_skip(*ret, 1);
	else
		*ret = SPAN("");
	return true;
}

static bool retain_keys(struct strategic *s, struct value *made, const struct value *patch)
{
	const struct value *keys = value_get(patch, RETAIN_KEYS);
	struct value kept = value_object();

	if (!keys)
		return true;
	if (keys->type != VALUE_ARRAY)
		return error_set(s->err, ERROR_INVALID, "invalid patch format of retainKeys");
	for (uint32_t i = 0; i < patch->object.count; i++) {
		const struct value_member *m = &patch->object.members[i];
		struct value name = value_string(m->key);

		if (m->value.type != VALUE_NULL && !span_equal(m->key, RETAIN_KEYS) &&
		    !span_starts(m->key, DELETE_PREFIX) && !span_starts(m->key, ORDER_PREFIX) &&
		    item_find(keys, &name, SPAN("")) < 0)
			return error_set(s->err, ERROR_INVALID, "invalid patch format of retainKeys");
	}
	for (uint32_t i = 0; i < made->object.count; i++) {
		const struct value_member *m = &made->object.members[i];
		struct value name = value_string(m->key);

		if (item_find(keys, &name, SPAN("")) >= 0 && !value_set(&kept, m->key, m->value, s->arena, s->err))
			return false;
	}
	*made = kept;
	return true;
}

static bool merge_member(struct strategic *s, struct place p, struct value *made, struct span key,
			 const struct value *patch)
{
	const struct value *old = value_get(made, key);
	struct value part = value_null();

	if (patch->type == VALUE_NULL) {
		(void)value_remove(made, key);
		return true;
	}
	if (old && old->type == patch->type && patch->type == VALUE_OBJECT) {
		if (!merge_objects(s, place_member(p, key), old, patch, &part))
			return false;
	} else if (old && old->type == patch->type && patch->type == VALUE_ARRAY) {
		if (!merge_lists(s, place_member(p, key), old, patch, &part))
			return false;
	} else if (is_directive(patch)) {
		(void)value_remove(made, key);
		return true;
	} else if (!plain(s, patch, &part)) {
		return false;
	}
	return value_set(made, key, part, s->arena, s->err);
}

/* "$deleteFromPrimitiveList/x" takes from what is there. */
static bool delete_member(struct strategic *s, struct value *made, struct span key, const struct value *these)
{
	const struct value *old = value_get(made, key);
	struct value part;

	if (key.len == 0)
		return error_set(s->err, ERROR_INVALID, "invalid patch format of primitive list");
	if (these->type == VALUE_NULL) {
		(void)value_remove(made, key);
		return true;
	}
	if (!value_is(old, VALUE_ARRAY) || these->type != VALUE_ARRAY)
		return true;
	return delete_scalars(s, old, these, &part) && value_set(made, key, part, s->arena, s->err);
}

/* Lists whose order the patch gives; they are done then. */
static bool orders_run(struct strategic *s, struct place p, struct value *made, const struct value *patch)
{
	for (uint32_t i = 0; i < patch->object.count; i++) {
		const struct value_member *m = &patch->object.members[i];
		struct span key;
		struct value part;
		bool is_there;

		if (!directive_of(m->key, ORDER_PREFIX, &key))
			continue;
		if (!check_list(s, &m->value))
			return false;
		if (key.len == 0)
			return error_set(s->err, ERROR_INVALID, "invalid patch format of setElementOrder list");
		if (!ordered_list(s, place_member(p, key), value_get(made, key), value_get(patch, key), &m->value,
				  &part, &is_there) ||
		    (is_there && !value_set(made, key, part, s->arena, s->err)))
			return false;
	}
	return true;
}

/* 1: the list `key` was put in order already, 0: it was not, -1: memory ended. */
static int is_ordered(struct strategic *s, const struct value *patch, struct span key)
{
	struct span order = arena_print(s->arena, s->err, "$setElementOrder/%.*s", (int)key.len, key.ptr);

	return order.ptr ? value_get(patch, order) != NULL : -1;
}

/* Without the members that `patch` has as null. */
static bool object_copy(struct strategic *s, const struct value *v, const struct value *patch, struct value *ret)
{
	*ret = value_object();
	for (uint32_t i = 0; value_is(v, VALUE_OBJECT) && i < v->object.count; i++)
		if (!value_is(value_get(patch, v->object.members[i].key), VALUE_NULL) &&
		    !value_set(ret, v->object.members[i].key, v->object.members[i].value, s->arena, s->err))
			return false;
	return true;
}

static bool replaced(struct strategic *s, const struct value *patch, struct value *ret)
{
	if (span_equal(value_find_string(patch, "$patch"), SPAN("delete"))) {
		*ret = value_object();
		return true;
	}
	if (!span_equal(value_find_string(patch, "$patch"), SPAN("replace")))
		return bad_directive(s, patch);
	if (!object_copy(s, patch, NULL, ret))
		return false;
	(void)value_remove(ret, DIRECTIVE);
	return true;
}

static bool merge_objects(struct strategic *s, struct place p, const struct value *old, const struct value *patch,
			  struct value *ret)
{
	struct value made;

	if (value_get(patch, DIRECTIVE))
		return replaced(s, patch, ret);
	if (!object_copy(s, old, patch, &made) || !retain_keys(s, &made, patch) || !orders_run(s, p, &made, patch))
		return false;
	for (uint32_t i = 0; i < patch->object.count; i++) {
		const struct value_member *m = &patch->object.members[i];
		struct span key;
		int ordered;

		if (span_equal(m->key, RETAIN_KEYS) || directive_of(m->key, ORDER_PREFIX, &key))
			continue;
		ordered = m->value.type == VALUE_ARRAY ? is_ordered(s, patch, m->key) : 0;
		if (ordered < 0)
			return false;
		if (ordered)
			continue;
		if (directive_of(m->key, DELETE_PREFIX, &key) ? !delete_member(s, &made, key, &m->value)
							      : !merge_member(s, p, &made, m->key, &m->value))
			return false;
	}
	*ret = made;
	return true;
}

bool patch_strategic(const struct value *object, const struct value *patch, struct place place, struct arena *arena,
		     struct value *ret, struct error *err)
{
	struct strategic s = { .arena = arena, .err = err };

	if (!place.type)
		return error_set(err, ERROR_UNSUPPORTED_MEDIA,
				 "the body of the request was in an unknown format - accepted media types include: "
				 "application/json-patch+json, application/merge-patch+json, "
				 "application/apply-patch+yaml");
	if (patch->type == VALUE_NULL) {
		*ret = *object;
		return true;
	}
	if (patch->type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID,
				 "json: cannot unmarshal %s into Go value of type map[string]interface {}",
				 go_json_type(patch));
	return merge_objects(&s, place, object, patch, ret);
}
