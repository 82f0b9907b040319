/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * resources - lists of resources that are calculated with: {"cpu": "100m", "memory": "1Gi"}.
 *
 * Everything is cut from the list's arena; when that ends `failed` is set, and the list is of no use.
 */
#include "kube/kinds/quantity.h"
#include "wire/value.h"

struct resource {
	struct span name;
	struct quantity amount;
};

struct resources {
	struct arena *arena;
	struct resource *items;
	size_t count, capacity;
	bool failed;
};

static inline struct resources resources_new(struct arena *arena)
{
	return (struct resources){ .arena = arena };
}
struct resources resources_of(const struct value *list, struct arena *arena); /* what is no quantity is left out */
struct quantity *resources_find(const struct resources *list, struct span name);
void resources_set(struct resources *list, struct span name, struct quantity amount);
void resources_add(struct resources *list, struct span name, struct quantity amount);
void resources_add_all(struct resources *list, const struct resources *more);
void resources_max_all(struct resources *list, const struct resources *more); /* the greater of each */
struct span resources_text(const struct quantity *amount, struct arena *arena);
/* "cpu=1,pods=2": by name. Of `names` only, when it is given. */
struct span resources_print(const struct resources *list, const struct resources *names, struct arena *arena);
bool resources_same(const struct resources *a, const struct resources *b);
bool resources_write(const struct resources *list, struct value *ret, struct arena *arena, struct error *err);

enum pod_part { POD_REQUESTS, POD_LIMITS };
/* What the containers of a pod add up to: k8s.io/component-helpers resource. */
struct resources pod_resources(const struct value *spec, enum pod_part part, bool has_overhead, struct arena *arena);
