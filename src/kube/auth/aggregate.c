/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate - ClusterRoles that are made of others: their rules are those of all ClusterRoles that their selectors choose, by name. */
#include <stdlib.h>

#include "kube/auth/auth.h"
#include "kube/kube_private.h"

#define AGGREGATE_ARENA_BYTES MIB(64)

/* All ClusterRoles; the store lists them by name. */
struct roles {
	struct value *items;
	size_t count, capacity;
	struct arena *arena;
	struct error *err;
};

static bool role_take(void *context, struct record *record)
{
	struct roles *r = context;

	if (r->count == r->capacity) {
		r->capacity = r->capacity ? r->capacity * 2 : 64;
		r->items = base_realloc(r->items, r->capacity * sizeof(*r->items));
	}
	if (!value_parse(record->text, NULL, r->arena, &r->items[r->count], r->err))
		return false;
	r->count++;
	return true;
}

static bool has_value(const struct value *values, struct span s)
{
	for (uint32_t i = 0; i < value_count(values); i++) {
		if (span_equal(value_item(values, i)->string, s))
			return true;
	}
	return false;
}

static bool expression_holds(const struct value *expression, const struct value *labels)
{
	const struct value *label = value_get(labels, value_find_string(expression, "key"));
	const struct value *values = value_get(expression, SPAN("values"));
	struct span operation = value_find_string(expression, "operator");

	if (span_equal(operation, SPAN("Exists")))
		return label != NULL;
	if (span_equal(operation, SPAN("DoesNotExist")))
		return label == NULL;
	if (span_equal(operation, SPAN("In")))
		return label && has_value(values, label->string);
	return span_equal(operation, SPAN("NotIn")) && !(label && has_value(values, label->string));
}

static bool selector_chooses(const struct value *selector, const struct value *labels)
{
	const struct value *match = value_get(selector, SPAN("matchLabels"));
	const struct value *expressions = value_get(selector, SPAN("matchExpressions"));

	for (uint32_t i = 0; value_is(match, VALUE_OBJECT) && i < match->object.count; i++) {
		const struct value_member *m = &match->object.members[i];
		const struct value *label = value_get(labels, m->key);

		if (!label || !value_equal(label, &m->value))
			return false;
	}
	for (uint32_t i = 0; i < value_count(expressions); i++) {
		if (!expression_holds(value_item(expressions, i), labels))
			return false;
	}
	return true;
}

static bool is_chosen(const struct value *selectors, const struct value *role)
{
	const struct value *labels = value_find(role, "metadata.labels");

	for (uint32_t i = 0; i < selectors->array.count; i++) {
		if (selector_chooses(value_item(selectors, i), labels))
			return true;
	}
	return false;
}

static bool rules_add(struct value *rules, const struct value *more, struct arena *arena, struct error *err)
{
	for (uint32_t i = 0; i < value_count(more); i++) {
		bool is_there = false;

		for (uint32_t n = 0; n < rules->array.count && !is_there; n++)
			is_there = value_equal(value_item(rules, n), value_item(more, i));
		if (!is_there && !value_append(rules, *value_item(more, i), arena, err))
			return false;
	}
	return true;
}

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)object;
	kube_write_ended(context, err); /* one that lost a race is looked at again: the winner's event comes */
}

static void role_write(struct kube *k, struct value *role, struct arena *arena)
{
	struct kube_write w = { .kind = kube_kind_named(k, SPAN("rbac.authorization.k8s.io"), SPAN("v1"),
							SPAN("ClusterRole")),
				.verb = KUBE_UPDATE,
				.name = value_find_string(role, "metadata.name"),
				.object = role,
				.manager = SPAN("clusterrole-aggregation-controller"),
				.done = written,
				.context = k };

	if (w.kind)
		kube_write(k, &w, arena);
}

/* A role may be made of roles that are made of others: those are right in turn, each by the event of the one below. */
static void role_look(struct kube *k, const struct roles *roles, struct value *role)
{
	const struct value *selectors = value_find(role, "aggregationRule.clusterRoleSelectors");
	const struct value *rules = value_get(role, SPAN("rules"));
	struct value fresh = value_array();

	if (!value_is(selectors, VALUE_ARRAY) || selectors->array.count == 0)
		return;
	for (size_t i = 0; i < roles->count; i++) {
		const struct value *other = &roles->items[i];

		if (other != role && is_chosen(selectors, other) &&
		    !rules_add(&fresh, value_get(other, SPAN("rules")), roles->arena, roles->err))
			return;
	}
	if ((value_is_empty(rules) && fresh.array.count == 0) || (rules && value_equal(rules, &fresh)))
		return;
	if (value_set(role, SPAN("rules"), fresh, roles->arena, roles->err))
		role_write(k, role, roles->arena);
}

void aggregate_run(struct kube *k)
{
	struct error err = { 0 };
	struct arena arena;
	struct roles roles = { .arena = &arena, .err = &err };

	arena_init(&arena, AGGREGATE_ARENA_BYTES);
	if (store_list(kube_store(k), SPAN("/rbac.authorization.k8s.io/clusterroles/"), (struct span){ 0 }, 0,
		       role_take, &roles, &err)) {
		for (size_t i = 0; i < roles.count && err.code == ERROR_NONE; i++)
			role_look(k, &roles, &roles.items[i]);
	}
	free(roles.items);
	arena_done(&arena);
}
