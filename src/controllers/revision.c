/* SPDX-License-Identifier: Apache-2.0 */
/* revision - see the header. */
#include "controllers/revision.h"

#include <stdio.h>
#include <stdlib.h>

enum { PREFIX_MOST = 223 }; /* so that the name with its hash is a valid one */

static int64_t number_of(const struct value *revision)
{
	return value_find_int(revision, "revision", 0);
}

static int compare_numbers(const void *a, const void *b)
{
	const struct value *first = *(struct value *const *)a, *second = *(struct value *const *)b;
	int64_t x = number_of(first), y = number_of(second);

	if (x == y) {
		x = object_time(first, "metadata.creationTimestamp");
		y = object_time(second, "metadata.creationTimestamp");
	}
	return x != y ? (x < y ? -1 : 1) : span_order(object_name(first), object_name(second));
}

bool revisions_read(struct reconcile *r, struct revisions *ret)
{
	struct value *list = reconcile_claim(r, &resource_controller_revisions, value_find(r->object, "spec.selector"));

	*ret = (struct revisions){ .collisions = value_find_int(r->object, "status.collisionCount", -1) };
	ret->items = ARENA_ARRAY(r->arena, struct value *, value_count(list) + 1, r->err);
	if (!ret->items)
		return false;
	for (uint32_t i = 0; i < value_count(list); i++)
		ret->items[ret->count++] = value_item(list, i);
	qsort(ret->items, ret->count, sizeof(struct value *), compare_numbers);
	return !r->err->code;
}

struct value *revisions_find(const struct revisions *all, struct span name)
{
	for (uint32_t i = 0; i < all->count; i++)
		if (span_equal(object_name(all->items[i]), name))
			return all->items[i];
	return NULL;
}

/* ---- templates ---- */

/* The object without a member; what is below is shared. */
static struct value without(struct reconcile *r, const struct value *object, const char *name)
{
	struct value copy = value_object();

	for (uint32_t i = 0; value_is(object, VALUE_OBJECT) && i < object->object.count && !r->err->code; i++)
		if (!span_equal(object->object.members[i].key, span_of(name)))
			(void)value_set(&copy, object->object.members[i].key, object->object.members[i].value, r->arena,
					r->err);
	return copy;
}

/* Go writes a template's creationTimestamp as null, where others leave it out. */
static struct value normal(struct reconcile *r, const struct value *template)
{
	struct value plain = without(r, template, "$patch");
	const struct value *metadata = member(&plain, "metadata");

	put(r, &plain, "metadata", without(r, metadata, "creationTimestamp"));
	return plain;
}

const struct value *revision_template(struct reconcile *r, const struct value *revision)
{
	const struct value *template = value_find(revision, "data.spec.template");
	struct value *v = template ? ARENA_NEW(r->arena, struct value, r->err) : NULL;

	if (v)
		*v = without(r, template, "$patch");
	return v;
}

bool revision_is_of(struct reconcile *r, const struct value *revision, const struct value *template)
{
	struct value kept = normal(r, value_find(revision, "data.spec.template")), wanted = normal(r, template);

	return !r->err->code && value_equal(&kept, &wanted);
}

static int compare_keys(const void *a, const void *b)
{
	return span_order(((const struct value_member *)a)->key, ((const struct value_member *)b)->key);
}

/* A copy with the members of objects by their names, as Go prints maps: kubectl compares the texts. */
static struct value sorted(struct reconcile *r, const struct value *v)
{
	struct value copy = *v;

	if (v->type == VALUE_ARRAY) {
		copy = value_array();
		for (uint32_t i = 0; i < v->array.count; i++)
			put_item(r, &copy, sorted(r, value_item(v, i)));
	} else if (v->type == VALUE_OBJECT) {
		struct value_member *members = ARENA_ARRAY(r->arena, struct value_member, v->object.count + 1, r->err);

		copy = value_object();
		if (!members)
			return copy;
		for (uint32_t i = 0; i < v->object.count; i++)
			members[i] = v->object.members[i];
		qsort(members, v->object.count, sizeof(*members), compare_keys);
		for (uint32_t i = 0; i < v->object.count && !r->err->code; i++)
			(void)value_set(&copy, members[i].key, sorted(r, &members[i].value), r->arena, r->err);
	}
	return copy;
}

static struct value data_of(struct reconcile *r, const struct value *template)
{
	struct value copy = normal(r, template), data = value_object();

	put(r, &copy, "$patch", value_string(SPAN("replace")));
	put(r, put_object(r, &copy, "metadata"), "creationTimestamp", value_null());
	put(r, put_object(r, &data, "spec"), "template", copy);
	return sorted(r, &data);
}

/* ---- making ---- */

/* FNV-1 of 32 bits (Fowler, Noll, Vo) of the data's text and the count of collisions, its decimal digits as letters
 * that make no words: names are made as Kubernetes makes those of StatefulSets. */
static struct span hash_text(struct reconcile *r, struct span data, int64_t collisions)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint32_t hash = 2166136261u;
	char text[32];
	int len = collisions < 0 ? 0 : snprintf(text, sizeof(text), "%lld", (long long)collisions);

	for (size_t i = 0; i < data.len; i++)
		hash = (hash * 16777619u) ^ (uint8_t)data.ptr[i];
	for (int i = 0; i < len; i++)
		hash = (hash * 16777619u) ^ (uint8_t)text[i];
	len = snprintf(text, sizeof(text), "%u", hash);
	for (int i = 0; i < len; i++)
		text[i] = letters[(size_t)text[i] % (sizeof(letters) - 1)];
	return arena_copy(r->arena, span_from(text, (size_t)len), r->err);
}

static struct span name_of(struct reconcile *r, struct span hash)
{
	struct span prefix = span_first(r->name, PREFIX_MOST);
	char name[PREFIX_MOST + 32];

	memcpy(name, prefix.ptr, prefix.len);
	name[prefix.len] = '-';
	memcpy(name + prefix.len + 1, hash.ptr, hash.len);
	return arena_copy(r->arena, span_from(name, prefix.len + 1 + hash.len), r->err);
}

static struct value *revision_make(struct reconcile *r, struct revisions *all, const char *label, int64_t number)
{
	const struct value *template = value_find(r->object, "spec.template");
	struct value data = data_of(r, template), *revision, *metadata;
	struct span text = value_print(&data, r->arena, r->err), hash = { 0 }, name = { 0 };

	while (!r->err->code) {
		hash = hash_text(r, text, all->collisions);
		name = r->err->code ? name : name_of(r, hash);
		if (r->err->code || !reconcile_get(r, &resource_controller_revisions, r->name_space, name))
			break;
		all->collisions = MAX(all->collisions, (int64_t)0) + 1;
	}
	revision = r->err->code ? NULL : object_new(r, &resource_controller_revisions, name);
	if (!revision)
		return NULL;
	metadata = put_object(r, revision, "metadata");
	put(r, metadata, "labels", copied(r, value_find(template, "metadata.labels")));
	put(r, put_object(r, metadata, "labels"), label, value_string(hash));
	if (value_find(r->object, "metadata.annotations"))
		put(r, metadata, "annotations", copied(r, value_find(r->object, "metadata.annotations")));
	put_owner(r, revision);
	put(r, revision, "data", data);
	put(r, revision, "revision", value_int(number));
	reconcile_create(r, &resource_controller_revisions, revision);
	return r->err->code ? NULL : revision;
}

struct value *revisions_ensure(struct reconcile *r, struct revisions *all, const char *label)
{
	const struct value *template = value_find(r->object, "spec.template");
	struct value *found = NULL;
	int64_t of_others = 0;

	for (uint32_t i = 0; i < all->count; i++)
		if (revision_is_of(r, all->items[i], template))
			found = all->items[i];
		else
			of_others = MAX(of_others, number_of(all->items[i]));
	if (r->err->code)
		return NULL;
	if (!found)
		return revision_make(r, all, label, of_others + 1);
	if (number_of(found) <= of_others) {
		put(r, found, "revision", value_int(of_others + 1));
		reconcile_update(r, &resource_controller_revisions, found);
	}
	return r->err->code ? NULL : found;
}

void revisions_trim(struct reconcile *r, const struct revisions *all, const bool *is_live, int64_t count)
{
	for (uint32_t i = 0; i < all->count && count > 0; i++) {
		if (is_live[i] || object_is_ending(all->items[i]))
			continue;
		reconcile_delete(r, &resource_controller_revisions, all->items[i]);
		count--;
	}
}
