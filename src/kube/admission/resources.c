/* SPDX-License-Identifier: Apache-2.0 */
/* resources - lists of resources, and what a pod's containers add up to. */
#include "kube/admission/resources.h"

#include "kube/kinds/kinds.h"

#include <stdlib.h>

struct quantity *resources_find(const struct resources *list, struct span name)
{
	for (size_t i = 0; i < list->count; i++)
		if (span_equal(list->items[i].name, name))
			return &list->items[i].amount;
	return NULL;
}

static void append(struct resources *list, struct span name, struct quantity amount)
{
	struct error ignored = { 0 };

	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 8;
		struct resource *larger = ARENA_ARRAY(list->arena, struct resource, capacity, &ignored);

		if (!larger) {
			list->failed = true;
			return;
		}
		if (list->count)
			memcpy(larger, list->items, list->count * sizeof(*larger));
		list->items = larger;
		list->capacity = capacity;
	}
	list->items[list->count++] = (struct resource){ name, amount };
}

void resources_set(struct resources *list, struct span name, struct quantity amount)
{
	struct quantity *is = resources_find(list, name);

	if (is)
		*is = amount;
	else
		append(list, name, amount);
}

void resources_add(struct resources *list, struct span name, struct quantity amount)
{
	struct quantity *is = resources_find(list, name);

	if (is)
		quantity_add(is, &amount);
	else
		append(list, name, amount);
}

void resources_add_all(struct resources *list, const struct resources *more)
{
	for (size_t i = 0; i < more->count; i++)
		resources_add(list, more->items[i].name, more->items[i].amount);
	list->failed |= more->failed;
}

void resources_max_all(struct resources *list, const struct resources *more)
{
	for (size_t i = 0; i < more->count; i++) {
		const struct quantity *is = resources_find(list, more->items[i].name);

		if (!is || is->nano < more->items[i].amount.nano)
			resources_set(list, more->items[i].name, more->items[i].amount);
	}
	list->failed |= more->failed;
}

struct resources resources_of(const struct value *v, struct arena *arena)
{
	struct resources list = resources_new(arena);

	for (uint32_t i = 0; value_is(v, VALUE_OBJECT) && i < v->object.count; i++) {
		struct quantity amount;

		if (quantity_read(text_of(&v->object.members[i].value), &amount))
			resources_set(&list, v->object.members[i].key, amount);
	}
	return list;
}

struct span resources_text(const struct quantity *amount, struct arena *arena)
{
	struct span text;

	return quantity_print(amount, arena, &text) ? text : SPAN("0");
}

static int by_name(const void *a, const void *b)
{
	const struct resource *x = *(const struct resource *const *)a, *y = *(const struct resource *const *)b;

	return span_order(x->name, y->name);
}

struct span resources_print(const struct resources *list, const struct resources *names, struct arena *arena)
{
	struct error ignored = { 0 };
	const struct resource **sorted = ARENA_ARRAY(arena, const struct resource *, list->count, &ignored);
	struct text t = { .arena = arena };
	size_t count = 0;

	if (!sorted)
		return SPAN("");
	for (size_t i = 0; i < list->count; i++)
		if (!names || resources_find(names, list->items[i].name))
			sorted[count++] = &list->items[i];
	qsort(sorted, count, sizeof(const struct resource *), by_name);
	for (size_t i = 0; i < count; i++) {
		text_add(&t, i ? SPAN(",") : SPAN(""));
		text_add(&t, sorted[i]->name);
		text_add(&t, SPAN("="));
		text_add(&t, resources_text(&sorted[i]->amount, arena));
	}
	return text_span(&t);
}

bool resources_same(const struct resources *a, const struct resources *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct quantity *other = resources_find(b, a->items[i].name);

		if (!other || other->nano != a->items[i].amount.nano)
			return false;
	}
	return true;
}

bool resources_write(const struct resources *list, struct value *ret, struct arena *arena, struct error *err)
{
	struct value v = value_object();

	for (size_t i = 0; i < list->count; i++)
		if (!value_set(&v, list->items[i].name, value_string(resources_text(&list->items[i].amount, arena)),
			       arena, err))
			return false;
	*ret = v;
	return !list->failed || error_set(err, ERROR_TOO_LARGE, "the memory of one request has ended");
}

/* ---- pods ---- */

static bool is_of_pods(struct span name)
{
	return span_equal(name, SPAN("cpu")) || span_equal(name, SPAN("memory")) ||
	       span_starts(name, SPAN("hugepages-"));
}

struct resources pod_resources(const struct value *spec, enum pod_part part, bool has_overhead, struct arena *arena)
{
	const char *member = part == POD_REQUESTS ? "requests" : "limits";
	const struct value *containers = get(spec, "containers"), *init = get(spec, "initContainers");
	struct resources all = resources_new(arena), lasting = resources_new(arena), first = resources_new(arena);
	struct resources own = resources_of(get(get(spec, "resources"), member), arena);
	struct resources overhead = resources_of(has_overhead ? get(spec, "overhead") : NULL, arena);

	for (uint32_t i = 0; i < count_of(containers); i++) {
		struct resources one = resources_of(get(get(value_item(containers, i), "resources"), member), arena);

		resources_add_all(&all, &one);
	}
	/* An init container runs beside those before it that stay, and nothing else. */
	for (uint32_t i = 0; i < count_of(init); i++) {
		struct resources one = resources_of(get(get(value_item(init, i), "resources"), member), arena);

		if (is_text(get(value_item(init, i), "restartPolicy"), "Always")) {
			resources_add_all(&all, &one);
			resources_add_all(&lasting, &one);
			resources_max_all(&first, &lasting);
		} else {
			resources_add_all(&one, &lasting);
			resources_max_all(&first, &one);
		}
	}
	resources_max_all(&all, &first);
	for (size_t i = 0; i < own.count; i++)
		if (is_of_pods(own.items[i].name))
			resources_set(&all, own.items[i].name, own.items[i].amount);
	for (size_t i = 0; i < overhead.count; i++)
		if (part == POD_REQUESTS || resources_find(&all, overhead.items[i].name))
			resources_add(&all, overhead.items[i].name, overhead.items[i].amount);
	return all;
}
