/* SPDX-License-Identifier: Apache-2.0 */
/* hook_match - which webhooks a change concerns. Facts: k8s.io/apiserver admission/plugin/webhook/generic, predicates. */
#include "kube/admission/hooks.h"
#include "kube/admission/review.h"
#include "kube/crd/convert.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"

#include <string.h>

/* ---- rules ---- */

static bool lists(const struct value *list, struct span text)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		if (is_text(value_item(list, i), "*") || span_equal(text_of(value_item(list, i)), text))
			return true;
	return false;
}

/* "pods", "pods/status", "pods/x", "*", with stars on each side of the slash. */
static bool resource_matches(struct span rule, struct span plural, struct span subresource)
{
	struct span sub = rule, resource = span_cut(&sub, '/');

	if (resource.len == rule.len)
		sub = (struct span){ 0 };
	return (span_equal(resource, SPAN("*")) || span_equal(resource, plural)) &&
	       (span_equal(sub, SPAN("*")) || span_equal(sub, subresource));
}

bool hook_rule_matches(const struct value *rule, const struct kind *kind, struct span subresource,
		       struct span operation, bool has_namespace)
{
	const struct value *resources = get(rule, "resources");
	struct span scope = get_text(rule, "scope");

	if ((span_equal(scope, SPAN("Namespaced")) && !has_namespace) ||
	    (span_equal(scope, SPAN("Cluster")) && has_namespace) || !lists(get(rule, "operations"), operation) ||
	    !lists(get(rule, "apiGroups"), span_of(kind->group)) ||
	    !lists(get(rule, "apiVersions"), span_of(kind->version)))
		return false;
	for (uint32_t i = 0; i < count_of(resources); i++)
		if (resource_matches(text_of(value_item(resources, i)), span_of(kind->plural), subresource))
			return true;
	return false;
}

static bool is_equivalent(const struct kind *a, const struct kind *b)
{
	const struct kind *as = a->stored_as ? a->stored_as : a, *bs = b->stored_as ? b->stored_as : b;

	return a != b && (as == bs || (strcmp(a->group, b->group) == 0 && strcmp(a->plural, b->plural) == 0));
}

static const struct kind *kind_wanted(const struct hook *hook, const struct change *c)
{
	const struct value *rules = get(hook->spec, "rules");
	struct span operation = review_operation(c);
	bool has_namespace = c->kind->is_namespaced && c->name_space.len;

	for (uint32_t i = 0; i < count_of(rules); i++)
		if (hook_rule_matches(value_item(rules, i), c->kind, c->subresource, operation, has_namespace))
			return c->kind;
	if (is_text(get(hook->spec, "matchPolicy"), "Exact"))
		return NULL;
	for (uint32_t i = 0; i < count_of(rules); i++)
		for (const struct kind *const *k = kube_kinds(c->kube); *k; k++)
			if (is_equivalent(c->kind, *k) &&
			    hook_rule_matches(value_item(rules, i), *k, c->subresource, operation, has_namespace))
				return *k;
	return NULL;
}

/* ---- selectors ---- */

static bool expression_matches(const struct value *expression, const struct value *labels)
{
	const struct value *label = value_get(labels, get_text(expression, "key")), *values = get(expression, "values");
	struct span op = get_text(expression, "operator");
	bool is_listed = false;

	for (uint32_t i = 0; label && i < count_of(values); i++)
		is_listed |= span_equal(text_of(value_item(values, i)), text_of(label));
	if (span_equal(op, SPAN("In")))
		return is_listed;
	if (span_equal(op, SPAN("NotIn")))
		return !is_listed;
	return span_equal(op, SPAN("Exists")) ? label != NULL : !label;
}

static bool selector_is_empty(const struct value *selector)
{
	return !count_of(get(selector, "matchLabels")) && !count_of(get(selector, "matchExpressions"));
}

bool label_selector_matches(const struct value *selector, const struct value *labels)
{
	const struct value *plain = get(selector, "matchLabels"), *list = get(selector, "matchExpressions");

	for (uint32_t i = 0; i < count_of(plain); i++) {
		const struct value_member *m = &plain->object.members[i];
		const struct value *label = value_get(labels, m->key);

		if (!label || !span_equal(text_of(label), text_of(&m->value)))
			return false;
	}
	for (uint32_t i = 0; i < count_of(list); i++)
		if (!expression_matches(value_item(list, i), labels))
			return false;
	return true;
}

/* False with err: the namespace is not there. */
static bool namespace_matches(const struct hook *hook, struct change *c, struct error *err)
{
	const struct value *selector = get(hook->spec, "namespaceSelector"), *found = NULL;
	bool is_namespace = !c->kind->group[0] && strcmp(c->kind->plural, "namespaces") == 0;
	struct span name = is_namespace ? c->name : c->name_space;

	if (selector_is_empty(selector) || !name.len)
		return true;
	if (is_namespace && c->verb != KUBE_DELETE && !c->subresource.len)
		return label_selector_matches(selector, value_find(c->object, "metadata.labels"));
	found = kube_object(c->kube, kube_kind(c->kube, SPAN(""), SPAN("v1"), SPAN("namespaces")), (struct span){ 0 },
			    name, true, c->arena, err);
	if (!found)
		return !err->code &&
		       error_set(err, ERROR_NOT_FOUND, "namespaces \"" SPAN_FMT "\" not found", SPAN_ARG(name));
	return label_selector_matches(selector, value_find(found, "metadata.labels"));
}

static bool object_matches(const struct hook *hook, const struct change *c)
{
	const struct value *selector = get(hook->spec, "objectSelector");

	return selector_is_empty(selector) ||
	       (c->object && c->verb != KUBE_DELETE &&
		label_selector_matches(selector, value_find(c->object, "metadata.labels"))) ||
	       (c->old && label_selector_matches(selector, value_find(c->old, "metadata.labels")));
}

/* ---- versions ---- */

const struct value *hook_convert(const struct value *object, const struct kind *from, const struct kind *to,
				 struct arena *arena, struct error *err)
{
	struct value *other;
	struct span api;

	if (!object || from == to)
		return object;
	if (from->is_custom && convert_is_by_webhook(from)) {
		error_set(err, ERROR_UNIMPLEMENTED,
			  "the object would have to be converted by a webhook to %s first, which admission does not do",
			  to->version);
		return NULL;
	}
	other = ARENA_NEW(arena, struct value, err);
	if (!other || !value_copy(object, arena, other, err))
		return NULL;
	if (from->stored_as && from->to_stored && !from->to_stored(other, arena, err))
		return NULL;
	if (to->stored_as && to->from_stored && !to->from_stored(other, arena, err))
		return NULL;
	api = to->group[0] ? arena_print(arena, err, "%s/%s", to->group, to->version) : span_of(to->version);
	return api.ptr && value_set(other, SPAN("kind"), value_string(span_of(to->kind)), arena, err) &&
		       value_set(other, SPAN("apiVersion"), value_string(api), arena, err)
		   ? other
		   : NULL;
}

/* ---- all of it ---- */

enum hook_match hook_matches(const struct hook *hook, struct change *c, const struct value *options,
			     const struct kind **ret_kind, struct error *err)
{
	struct error absent = { 0 };
	bool is_here = namespace_matches(hook, c, &absent);
	struct review_subject subject = { .change = c, .options = options };
	struct value request;

	if ((!is_here && !absent.code) || !object_matches(hook, c))
		return HOOK_PASSES;
	*ret_kind = kind_wanted(hook, c);
	if (!*ret_kind)
		return HOOK_PASSES;
	if (absent.code) {
		*err = absent;
		return HOOK_REFUSES;
	}
	if (!hook->condition_count)
		return HOOK_CALLS;
	subject.kind = *ret_kind;
	subject.object = c->verb == KUBE_DELETE ? NULL : hook_convert(c->object, c->kind, *ret_kind, c->arena, err);
	subject.old = hook_convert(c->old, c->kind, *ret_kind, c->arena, err);
	if (err->code || !review_request(&subject, SPAN(""), c->arena, &request, err))
		return HOOK_REFUSES;
	return hook_conditions_hold(hook, c, subject.object, subject.old, &request, err);
}
