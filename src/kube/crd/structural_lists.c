/* SPDX-License-Identifier: Apache-2.0 */
/* structural_lists - what tells the items of sets and maps apart; items that are there twice. */
#include "kube/crd/structural_private.h"
#include "kube/kinds/kinds.h"

#include <stdlib.h>

/* The same for values that are equal, in whatever order their members are. */
static uint64_t value_hash(const struct value *v)
{
	uint64_t h = (uint64_t)v->type * 0x9e3779b97f4a7c15u;

	if (v->type == VALUE_STRING)
		return h ^ span_hash(v->string);
	if (v->type == VALUE_INT || v->type == VALUE_BOOL)
		return span_hash(span_from(&(int64_t){ v->type == VALUE_INT ? v->integer : v->boolean }, 8)) ^ h;
	if (v->type == VALUE_DOUBLE)
		return span_hash(span_from(&v->number, sizeof(v->number))) ^ h;
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		h = h * 31 + value_hash(value_item(v, i));
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++)
		h += span_hash(v->object.members[i].key) * (value_hash(&v->object.members[i].value) | 1);
	return h;
}

/* What tells an item from others: itself, or its keys. */
static struct value identity_of(const struct openapi_schema *s, const struct value *item, struct arena *arena,
				struct error *err)
{
	struct value keys = value_object();

	if (s->list == LIST_SET || item->type != VALUE_OBJECT)
		return item->type == VALUE_NULL && s->list == LIST_MAP ? keys : *item;
	for (size_t i = 0; i < s->list_key_count; i++) {
		const struct value *key = value_get(item, s->list_keys[i]);

		if (key)
			(void)value_set(&keys, s->list_keys[i], *key, arena, err);
	}
	return keys;
}

static int by_key(const void *a, const void *b)
{
	const struct value_member *x = a, *y = b;

	return span_order(x->key, y->key);
}

/* An object as Go's %#v has a map of anything: its keys in order. */
struct span map_print_go(struct change *c, const struct value *object)
{
	struct arena *arena = c->arena;
	uint32_t count = object->object.count;
	struct value_member *sorted = ARENA_ARRAY(arena, struct value_member, count + 1, c->err);
	struct buffer text;
	struct span printed;

	if (!sorted)
		return (struct span){ 0 };
	if (count) {
		memcpy(sorted, object->object.members, count * sizeof(*sorted));
		qsort(sorted, count, sizeof(*sorted), by_key);
	}
	buffer_init(&text, KIB(64)); /* a longer one is cut */
	buffer_append(&text, SPAN("map[string]interface {}{"));
	for (uint32_t i = 0; i < count; i++) {
		struct value key = value_string(sorted[i].key);

		if (i)
			buffer_append(&text, SPAN(", "));
		buffer_append(&text, value_print(&key, arena, c->err));
		buffer_byte(&text, ':');
		buffer_append(&text, value_print(&sorted[i].value, arena, c->err));
	}
	buffer_byte(&text, '}');
	printed = arena_copy(arena, buffer_span(&text), c->err);
	buffer_done(&text);
	return printed;
}

struct identity {
	struct value value;
	uint64_t hash;
	uint32_t index;
};

static int by_hash(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

struct list_index {
	const struct openapi_schema *schema;
	const struct value *list;
	struct identity *all; /* by hash */
	uint32_t count;
	struct arena *arena;
	struct error *err;
};

struct list_index *list_index_new(const struct openapi_schema *s, const struct value *list, struct arena *arena,
				  struct error *err)
{
	struct list_index *x = ARENA_NEW(arena, struct list_index, err);
	uint32_t count = list->array.count;
	struct identity *all = x ? ARENA_ARRAY(arena, struct identity, count + 1, err) : NULL;

	if (!all)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		all[i].value = identity_of(s, value_item(list, i), arena, err);
		all[i].hash = value_hash(&all[i].value);
		all[i].index = i;
	}
	if (count)
		qsort(all, count, sizeof(*all), by_hash);
	*x = (struct list_index){ s, list, all, count, arena, err };
	return x;
}

/* The first item with the same keys, or NULL. */
const struct value *list_index_find(const struct list_index *x, const struct value *item)
{
	struct value identity = identity_of(x->schema, item, x->arena, x->err);
	uint64_t hash = value_hash(&identity);
	uint32_t low = 0, high = x->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (x->all[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < x->count && x->all[low].hash == hash; low++)
		if (value_equal(&x->all[low].value, &identity))
			return value_item(x->list, x->all[low].index);
	return NULL;
}

/* ---- uniqueness ---- */

struct walk {
	struct change *change;
	struct buffer path;
	size_t faults;
};

static struct span path_of(struct walk *w)
{
	return arena_copy(w->change->arena, buffer_span(&w->path), w->change->err);
}

static void fault_twice(struct walk *w, const struct identity *one)
{
	size_t len = w->path.len;
	struct span path;

	w->faults++;
	buffer_print(&w->path, "[%u]", one->index);
	path = path_of(w);
	w->path.len = len;
	if (path.ptr && one->value.type == VALUE_OBJECT)
		fault_duplicate_printed(w->change, &(const struct at){ .name = path.ptr },
					map_print_go(w->change, &one->value));
	else if (path.ptr)
		cause_duplicate(w->change, path, &one->value);
}

/* Of what is there more than once the second one is told. */
static void check_unique(struct walk *w, const struct openapi_schema *s, const struct value *v)
{
	struct list_index *x = list_index_new(s, v, w->change->arena, w->change->err);
	uint32_t same = 0;

	for (uint32_t i = 1; x && i < x->count; i++) {
		bool is_same =
		    x->all[i].hash == x->all[i - 1].hash && value_equal(&x->all[i].value, &x->all[i - 1].value);

		same = is_same ? same + 1 : 0;
		if (same == 1)
			fault_twice(w, &x->all[i]);
	}
}

/* Items of a map are objects; one that is none is all that is told. */
static bool check_items(struct walk *w, const struct openapi_schema *s, const struct value *v)
{
	size_t len = w->path.len;

	for (uint32_t i = 0; s->list == LIST_MAP && i < v->array.count; i++) {
		const struct value *item = value_item(v, i);
		struct span path;

		if (item->type == VALUE_OBJECT || item->type == VALUE_NULL)
			continue;
		w->faults++;
		buffer_print(&w->path, "[%u]", i);
		path = path_of(w);
		w->path.len = len;
		if (path.ptr)
			cause_invalid(w->change, path, item, "must be an object for an array of list-type map");
		return false;
	}
	return true;
}

static void walk(struct walk *w, const struct openapi_schema *s, const struct value *v)
{
	size_t len = w->path.len;

	if (v->type == VALUE_ARRAY && s->list != LIST_ATOMIC && check_items(w, s, v))
		check_unique(w, s, v);
	for (uint32_t i = 0; v->type == VALUE_ARRAY && s->items && i < v->array.count; i++) {
		buffer_print(&w->path, "[%u]", i);
		walk(w, s->items, value_item(v, i));
		w->path.len = len;
	}
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		const struct openapi_schema *one = openapi_schema_member(s, m->key);

		if (!one)
			continue;
		if (s->additional)
			buffer_print(&w->path, "[" SPAN_FMT "]", SPAN_ARG(m->key));
		else
			buffer_print(&w->path, "%s" SPAN_FMT, w->path.len ? "." : "", SPAN_ARG(m->key));
		walk(w, one, &m->value);
		w->path.len = len;
	}
}

static size_t lists_walk(const struct openapi_schema *s, const struct value *v, struct change *c)
{
	struct walk w = { .change = c };

	buffer_init(&w.path, KIB(64));
	walk(&w, s, v);
	buffer_done(&w.path);
	return w.faults;
}

void openapi_schema_check_lists(const struct openapi_schema *s, const struct value *v, const struct value *old,
				struct change *c)
{
	struct change other = { .kind = c->kind, .arena = c->arena, .err = c->err };

	if (!s->has_lists)
		return;
	other.causes_end = &other.causes;
	if (!old || !lists_walk(s, old, &other))
		(void)lists_walk(s, v, c);
}
