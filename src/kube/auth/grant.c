/* SPDX-License-Identifier: Apache-2.0 */
/* grant - nobody gives away more than they have: writing a role needs its rules (or the verb escalate), binding it too (or bind). */
#include "kube/auth/auth.h"

#include <stdlib.h>

#define GROUP SPAN("rbac.authorization.k8s.io")

enum { RULES_TOLD_MOST = 10 };

/* All that a user may, as one list. */
struct holdings {
	struct rule *rules;
	size_t count, capacity;
};

static bool holding_take(void *context, const struct rule *rule, const struct binding_text *binding)
{
	struct holdings *h = context;

	(void)binding;
	if (h->count == h->capacity) {
		h->capacity = h->capacity ? h->capacity * 2 : 32;
		h->rules = base_realloc(h->rules, h->capacity * sizeof(*h->rules));
	}
	h->rules[h->count++] = *rule;
	return true;
}

static bool may(struct change *c, const char *verb, struct span resource, struct span name)
{
	struct access a = { .verb = span_of(verb),
			    .is_resource = true,
			    .group = GROUP,
			    .version = SPAN("v1"),
			    .resource = resource,
			    .name = name,
			    .name_space = c->name_space };

	return access_allowed(c->kube, c->user, &a, NULL, NULL);
}

static struct span name_of(struct change *c)
{
	return c->name.len ? c->name : value_find_string(c->object, "metadata.name");
}

static void missing_print(const struct change *c, const struct rule *missing, size_t count, struct buffer *out)
{
	buffer_print(out, "%s.rbac.authorization.k8s.io \"" SPAN_FMT "\" is forbidden: user \"" SPAN_FMT "\" (groups=[",
		     c->kind->plural, SPAN_ARG(name_of((struct change *)c)), SPAN_ARG(c->user->name));
	for (size_t i = 0; i < c->user->group_count; i++)
		buffer_print(out, "%s\"" SPAN_FMT "\"", i ? " " : "", SPAN_ARG(c->user->groups[i]));
	buffer_append(out, SPAN("]) is attempting to grant RBAC permissions not currently held:"));
	for (size_t i = 0; i < count && i < RULES_TOLD_MOST; i++) {
		buffer_byte(out, '\n');
		rule_print(&missing[i], out);
	}
}

static void refuse(struct change *c, const struct rule *missing, size_t count)
{
	struct buffer text;

	buffer_init(&text, KIB(64));
	missing_print(c, missing, count, &text);
	buffer_byte(&text, '\0');
	error_set(c->err, ERROR_FORBIDDEN, "%s", text.ptr ? text.ptr : "");
	buffer_done(&text);
}

/* Each of the rules must be covered by what the user has. */
static void check_rules(struct change *c, const struct value *rules)
{
	struct holdings h = { 0 };
	struct rule *wanted;
	size_t count, missing = 0;

	if (!rules_read(rules, c->arena, &wanted, &count, c->err))
		return;
	(void)rbac_walk(auth_rbac(kube_auth(c->kube)), c->user, c->name_space, holding_take, &h);
	for (size_t i = 0; i < count; i++) {
		if (!rules_cover(h.rules, h.count, &wanted[i]))
			wanted[missing++] = wanted[i];
	}
	free(h.rules);
	if (missing > 0)
		refuse(c, wanted, missing);
}

static bool is_unchanged(const struct change *c, const char *member)
{
	const struct value *old = value_get(c->old, span_of(member)), *now = value_get(c->object, span_of(member));

	return c->old && ((!old && !now) || (old && now && value_equal(old, now)));
}

static void check_role(struct change *c)
{
	if (is_unchanged(c, "rules") && is_unchanged(c, "aggregationRule"))
		return;
	if (may(c, "escalate", span_of(c->kind->plural), name_of(c)))
		return;
	if (value_get(c->object, SPAN("aggregationRule")) && !is_unchanged(c, "aggregationRule")) {
		/* It may come to hold anything. */
		static const struct span all[] = { SPAN_INIT("*") };
		static const struct rule everything = { .verbs = all,
							.groups = all,
							.resources = all,
							.verb_count = 1,
							.group_count = 1,
							.resource_count = 1 };
		struct holdings h = { 0 };
		bool has_all;

		(void)rbac_walk(auth_rbac(kube_auth(c->kube)), c->user, (struct span){ 0 }, holding_take, &h);
		has_all = rules_cover(h.rules, h.count, &everything);
		free(h.rules);
		if (!has_all) {
			refuse(c, &everything, 1);
			return;
		}
	}
	check_rules(c, value_get(c->object, SPAN("rules")));
}

static void check_binding(struct change *c)
{
	bool is_cluster = span_equal(value_find_string(c->object, "roleRef.kind"), SPAN("ClusterRole"));
	const struct kind *kind =
	    kube_kind_named(c->kube, GROUP, SPAN("v1"), is_cluster ? SPAN("ClusterRole") : SPAN("Role"));
	struct span name = value_find_string(c->object, "roleRef.name");
	const struct value *role;

	if (is_unchanged(c, "subjects") && is_unchanged(c, "roleRef"))
		return;
	if (!kind || may(c, "bind", span_of(kind->plural), name))
		return;
	role =
	    kube_object(c->kube, kind, is_cluster ? (struct span){ 0 } : c->name_space, name, false, c->arena, c->err);
	if (role)
		check_rules(c, value_get(role, SPAN("rules")));
	else if (c->err->code == ERROR_NONE)
		error_set(c->err, ERROR_NOT_FOUND, "%s.rbac.authorization.k8s.io \"" SPAN_FMT "\" not found",
			  kind->plural, SPAN_ARG(name));
}

void grant_check(struct change *c)
{
	struct auth *a = c->kube ? kube_auth(c->kube) : NULL;

	if (!a || auth_is_rbac_off(a) || !c->user || c->cause_count > 0 || c->verb == KUBE_DELETE ||
	    user_has_group(c->user, SPAN("system:masters")))
		return;
	if (value_get(c->object, SPAN("roleRef")))
		check_binding(c);
	else
		check_role(c);
}
