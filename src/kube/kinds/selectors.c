/* SPDX-License-Identifier: Apache-2.0 */
/* selectors - label selectors and node selectors: checked, matched, printed. */
#include "kube/kinds/kinds.h"

#include <stdlib.h>

static void check_requirement(struct change *c, const struct at *at, const struct value *r)
{
	static const char *const sets[] = { "In", "NotIn", NULL }, *const exists[] = { "Exists", "DoesNotExist", NULL };
	struct span operator= get_text(r, "operator");
	const struct value *values = get(r, "values");

	if (text_is_one_of(operator, sets)) {
		if (!count_of(values))
			fault_required(c, AT(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
	} else if (text_is_one_of(operator, exists)) {
		if (count_of(values))
			fault_forbidden(c, AT(at, "values"),
					"may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	} else {
		fault_invalid_text(c, AT(at, "operator"), operator, "not a valid selector operator");
	}
	check_name(c, AT(at, "key"), get(r, "key"), name_check_qualified);
	for (uint32_t i = 0; i < count_of(values); i++)
		check_name(c, AT_INDEX(AT(at, "values"), i), value_item(values, i), name_check_label_value);
}

void check_selector(struct change *c, const struct at *at, const struct value *selector)
{
	const struct value *list = get(selector, "matchExpressions");

	check_labels(c, AT(at, "matchLabels"), get(selector, "matchLabels"));
	for (uint32_t i = 0; i < count_of(list); i++)
		check_requirement(c, AT_INDEX(AT(at, "matchExpressions"), i), value_item(list, i));
}

void check_selector_same(struct change *c, const struct at *at, const struct value *old, const struct value *now)
{
	if (!is_same(old, now))
		fault_printed(c, at, now ? selector_print_go(c, now) : SPAN("\"null\""), "field is immutable");
}

static bool requirement_matches(const struct value *r, const struct value *labels)
{
	const struct value *v = value_get(labels, get_text(r, "key")), *values = get(r, "values");
	const struct value *operator= get(r, "operator");
	bool is_in = false;

	for (uint32_t i = 0; v && i < count_of(values); i++)
		is_in = is_in || value_equal(value_item(values, i), v);
	if (is_text(operator, "In"))
		return is_in;
	if (is_text(operator, "NotIn"))
		return !is_in;
	return is_text(operator, "Exists") == (v != NULL);
}

bool selector_matches(const struct value *selector, const struct value *labels)
{
	const struct value *equals = get(selector, "matchLabels"), *list = get(selector, "matchExpressions");

	for (uint32_t i = 0; i < count_of(equals); i++) {
		const struct value_member *m = &equals->object.members[i];
		const struct value *v = value_get(labels, m->key);

		if (!v || !value_equal(v, &m->value))
			return false;
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (!requirement_matches(value_item(list, i), labels))
			return false;
	}
	return true;
}

/* ---- printing: requirements in the order of their keys, values sorted ---- */

struct term {
	struct span key;
	const struct value *equals; /* key=value, or */
	const struct value *requirement;
};

static int term_order(const void *a, const void *b)
{
	return span_order(((const struct term *)a)->key, ((const struct term *)b)->key);
}

static int value_order(const void *a, const void *b)
{
	return span_order(*(const struct span *)a, *(const struct span *)b);
}

static void text_values(struct text *t, const struct value *values)
{
	struct error err = { 0 };
	uint32_t count = count_of(values);
	struct span *sorted = ARENA_ARRAY(t->arena, struct span, count, &err);

	if (!sorted) {
		t->failed = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = text_of(value_item(values, i));
	qsort(sorted, count, sizeof(*sorted), value_order);
	text_add(t, SPAN("("));
	for (uint32_t i = 0; i < count; i++) {
		text_add(t, i ? SPAN(",") : SPAN(""));
		text_add(t, sorted[i]);
	}
	text_add(t, SPAN(")"));
}

static void text_term(struct text *t, const struct term *term)
{
	const struct value *operator= get(term->requirement, "operator");

	if (is_text(operator, "DoesNotExist"))
		text_add(t, SPAN("!"));
	text_add(t, term->key);
	if (term->equals) {
		text_add(t, SPAN("="));
		text_add(t, text_of(term->equals));
	} else if (is_text(operator, "In") || is_text(operator, "NotIn")) {
		text_add(t, is_text(operator, "In") ? SPAN(" in ") : SPAN(" notin "));
		text_values(t, get(term->requirement, "values"));
	}
}

static bool is_label_selector(const struct value *v)
{
	return value_is(get(v, "matchLabels"), VALUE_OBJECT) || value_is(get(v, "matchExpressions"), VALUE_ARRAY);
}

struct span selector_print(const struct value *selector, struct arena *arena)
{
	const struct value *labels = is_label_selector(selector) ? get(selector, "matchLabels") : selector;
	const struct value *list = is_label_selector(selector) ? get(selector, "matchExpressions") : NULL;
	uint32_t count = count_of(labels) + count_of(list), n = 0;
	struct error err = { 0 };
	struct term *terms = ARENA_ARRAY(arena, struct term, count, &err);
	struct text t = { .arena = arena };

	if (!count || !terms)
		return SPAN("<none>");
	for (uint32_t i = 0; i < count_of(labels); i++) {
		const struct value_member *m = &labels->object.members[i];

		terms[n++] = (struct term){ .key = m->key, .equals = &m->value };
	}
	for (uint32_t i = 0; i < count_of(list); i++)
		terms[n++] =
		    (struct term){ .key = get_text(value_item(list, i), "key"), .requirement = value_item(list, i) };
	qsort(terms, count, sizeof(*terms), term_order);
	for (uint32_t i = 0; i < count; i++) {
		text_add(&t, i ? SPAN(",") : SPAN(""));
		text_term(&t, &terms[i]);
	}
	return text_span(&t);
}
