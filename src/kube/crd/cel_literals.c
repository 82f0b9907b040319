/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Literals that can be seen to be wrong before anything is evaluated (cel-go cel/validator.go: durations, timestamps, patterns, lists
 * and maps of one type); patterns that are right are kept compiled.
 */
#include "kube/crd/cel_private.h"

struct walk {
	struct cel_program *program;
	struct cel_faults *faults;
	int round; /* one kind of check after the other, as the real server orders them */
};

enum { ROUND_DURATION, ROUND_TIMESTAMP, ROUND_PATTERN, ROUND_LISTS, ROUND_MAPS, ROUND_COUNT };

static bool is_text(const struct cel_node *n)
{
	return n->kind == NODE_LITERAL && n->literal.kind == CEL_STRING;
}

static void refuse(struct walk *w, const struct cel_node *n, const char *function)
{
	cel_fault_add(w->faults, n->at, "invalid %s argument", function);
}

static void check_call(struct walk *w, struct cel_node *n)
{
	struct cel_node *first = n->count ? n->args[0] : NULL, *pattern = n->count ? n->args[n->count - 1] : NULL;
	int64_t seconds;
	int32_t nanoseconds;
	struct error err = { 0 };

	if (!first)
		return;
	if (w->round == ROUND_DURATION && span_equal(n->name, SPAN("duration")) && is_text(first) &&
	    !cel_duration_parse(first->literal.text, &seconds))
		refuse(w, first, "duration");
	if (w->round == ROUND_TIMESTAMP && span_equal(n->name, SPAN("timestamp")) && is_text(first) &&
	    !cel_timestamp_parse(first->literal.text, &seconds, &nanoseconds))
		refuse(w, first, "timestamp");
	if (w->round != ROUND_PATTERN)
		return;
	if (span_equal(n->name, SPAN("find")) || span_equal(n->name, SPAN("findAll")))
		pattern = first;
	else if (!span_equal(n->name, SPAN("matches")))
		return;
	if (!is_text(pattern))
		return;
	n->regex = cel_regex_new(pattern->literal.text, w->faults->arena, &err);
	if (!n->regex && span_equal(n->name, SPAN("matches")))
		refuse(w, pattern, "matches");
	else if (!n->regex && !w->program->pattern_fault.ptr)
		w->program->pattern_fault = arena_copy(w->faults->arena, error_span(&err), w->faults->err);
}

static void mismatch(struct walk *w, const struct cel_node *n, const struct cel_type *wanted,
		     const struct cel_type *given)
{
	struct span a = cel_type_print(wanted, w->faults->arena, w->faults->err);
	struct span b = cel_type_print(given, w->faults->arena, w->faults->err);

	cel_fault_add(w->faults, n->at, "expected type '%.*s' but found '%.*s'", (int)a.len, a.ptr, (int)b.len, b.ptr);
}

static const struct cel_type *type_of(const struct cel_node *n, bool is_optional)
{
	return is_optional && n->type->kind == CEL_OPTIONAL ? n->type->params[0] : n->type;
}

static void check_items(struct walk *w, const struct cel_node *n, uint32_t from, uint32_t by)
{
	const struct cel_type *first = NULL;

	for (uint32_t i = from; i < n->count; i += by) {
		const struct cel_type *t = type_of(n->args[i], n->is_optional && n->is_optional[i]);

		if (!first) {
			first = t;
		} else if (!cel_type_same(first, t)) {
			mismatch(w, n->args[i], first, t);
			if (by == 1)
				break;
		}
	}
}

static void visit(struct walk *w, struct cel_node *n)
{
	if (!n || n->is_costed != (w->round & 1)) /* each node once a round: the mark turns */
		return;
	n->is_costed = !n->is_costed;
	if (n->kind == NODE_CALL)
		check_call(w, n);
	else if (n->kind == NODE_LIST && w->round == ROUND_LISTS && !w->program->env->is_mixed)
		check_items(w, n, 0, 1);
	else if (n->kind == NODE_MAP && w->round == ROUND_MAPS && !w->program->env->is_mixed) {
		check_items(w, n, 0, 2);
		check_items(w, n, 1, 2);
	}
	visit(w, n->target);
	for (uint32_t i = 0; i < n->count; i++)
		visit(w, n->args[i]);
	if (n->fold) {
		visit(w, n->fold->range);
		visit(w, n->fold->init);
		visit(w, n->fold->condition);
		visit(w, n->fold->step);
		visit(w, n->fold->result);
	}
}

void cel_check_literals(struct cel_program *p, struct cel_faults *f)
{
	struct walk w = { .program = p, .faults = f };

	for (w.round = 0; w.round < ROUND_COUNT + ROUND_COUNT % 2;
	     w.round++) /* an even number: the marks are as before */
		visit(&w, p->root);
}
