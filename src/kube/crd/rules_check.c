/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused in the rules of a definition (apiextensions-apiserver pkg/apis/apiextensions/validation). */
#include "kube/crd/rules_private.h"
#include "kube/kinds/kinds.h"

#include <stdlib.h>

enum { EXPENSIVE_MAX = 4 };

struct expense {
	struct span path;
	uint64_t cost;
};

struct checking {
	struct change *change;
	struct arena *arena;
	struct error err;
	uint64_t total;
	struct expense most[EXPENSIVE_MAX + 1];
	size_t most_count;
};

/* Of one node on the way down. */
struct standing {
	const struct at *at;
	bool is_bounded; /* how often it may be there is known: `times` */
	uint64_t times;
	const struct at *uncorrelated; /* the list above whose items cannot be told from their old ones, or NULL */
};

static bool has_line_ends(struct span s)
{
	return memchr(s.len ? s.ptr : "", '\n', s.len) || memchr(s.len ? s.ptr : "", '\r', s.len);
}

/* ---- how they are written ---- */

static void check_message(struct checking *k, const struct at *at, const struct value *r)
{
	struct span rule = span_trim(get_text(r, "rule")), message = get_text(r, "message");

	if (!rule.len)
		fault_required(k->change, AT(at, "rule"), "rule is not specified");
	else if (message.len && !span_trim(message).len)
		fault_invalid(k->change, AT(at, "message"), get(r, "message"),
			      "message must be non-empty if specified");
	else if (has_line_ends(span_trim(message)))
		fault_invalid(k->change, AT(at, "message"), get(r, "message"), "message must not contain line breaks");
	else if (has_line_ends(rule) && !span_trim(message).len)
		fault_required(k->change, AT(at, "message"), "message must be specified if rule contains line breaks");
	if (get_text(r, "messageExpression").len && !span_trim(get_text(r, "messageExpression")).len)
		fault_required(k->change, AT(at, "messageExpression"),
			       "messageExpression must be non-empty if specified");
}

static void check_written(struct checking *k, const struct at *at, const struct openapi_schema *s,
			  const struct value *r)
{
	static const char *const reasons[] = { "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid",
					       "FieldValueRequired", NULL };
	struct span path = get_text(r, "fieldPath"), printed;
	const struct value *reason = get(r, "reason");
	bool is_known = false;

	check_message(k, at, r);
	for (size_t i = 0; reasons[i]; i++)
		is_known |= is_text(reason, reasons[i]);
	if (reason && !is_known)
		fault_not_supported(k->change, AT(at, "reason"), reason, reasons);
	if (path.len && !span_trim(path).len)
		fault_invalid(k->change, AT(at, "fieldPath"), get(r, "fieldPath"),
			      "fieldPath must be non-empty if specified");
	if (has_line_ends(path))
		fault_invalid(k->change, AT(at, "fieldPath"), get(r, "fieldPath"),
			      "fieldPath must not contain line breaks");
	if (path.len && !rule_field_path(s, path, k->arena, &printed, &k->err))
		fault_invalid(k->change, AT(at, "fieldPath"), get(r, "fieldPath"), "fieldPath must be a valid path");
}

/* ---- what they cost ---- */

static uint64_t times_of(uint64_t cost, uint64_t times)
{
	return __builtin_mul_overflow(cost, times, &cost) ? UINT64_MAX : cost;
}

static int by_cost(const void *a, const void *b)
{
	const struct expense *x = a, *y = b;

	return (x->cost < y->cost) - (x->cost > y->cost);
}

static void count_cost(struct checking *k, const struct at *at, uint64_t cost)
{
	if (__builtin_add_overflow(k->total, cost, &k->total))
		k->total = UINT64_MAX;
	if (cost < RULES_COST_MAX / 100)
		return;
	k->most[k->most_count++] = (struct expense){ at_print(k->change, at), cost };
	qsort(k->most, k->most_count, sizeof(k->most[0]), by_cost);
	k->most_count = MIN(k->most_count, (size_t)EXPENSIVE_MAX);
}

static const char *cost_words(struct change *c, const char *what, uint64_t cost, uint64_t limit)
{
	static const char advice[] =
	    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, "
	    "and strings are declared)";
	double factor = (double)cost / (double)limit;

	if (factor > 100)
		return detail_print(c, "%s exceeds budget by factor of more than 100x %s", what, advice);
	if (factor < 1.5)
		return detail_print(c, "%s exceeds budget by factor of %fx %s", what, factor, advice);
	return detail_print(c, "%s exceeds budget by factor of %.1fx %s", what, factor, advice);
}

/* ---- one rule ---- */

static struct span go_text(struct checking *k, const struct value *r, const char *member)
{
	struct value v = value_string(get_text(r, member));

	return value_print(&v, k->change->arena, k->change->err);
}

/* The rule as Go's %#v prints the struct. */
static struct span rule_print(struct checking *k, const struct value *r)
{
	struct span rule = go_text(k, r, "rule"), message = go_text(k, r, "message"),
		    expression = go_text(k, r, "messageExpression"), path = go_text(k, r, "fieldPath");

	return arena_print(
	    k->change->arena, k->change->err,
	    "apiextensions.ValidationRule{Rule:%.*s, Message:%.*s, MessageExpression:%.*s, "
	    "Reason:(*apiextensions.FieldValueErrorReason)(%s), FieldPath:%.*s, OptionalOldSelf:(*bool)(%s)}",
	    (int)rule.len, rule.ptr, (int)message.len, message.ptr, (int)expression.len, expression.ptr,
	    get(r, "reason") ? "0xc000000000" : "nil", (int)path.len, path.ptr,
	    get(r, "optionalOldSelf") ? "0xc000000000" : "nil");
}

static void check_cost(struct checking *k, const struct at *at, const struct rule_node *n, const struct rule *r,
		       const struct standing *p)
{
	uint64_t one = r->program ? cel_program_cost(r->program) : 0;
	uint64_t cost = times_of(one, p->is_bounded ? p->times : MIB(3) / (uint64_t)(n->type->min_serialized + 1));

	if (cost > RULE_COST_MAX)
		fault_forbidden(k->change, AT(at, "rule"),
				cost_words(k->change, "estimated rule cost", cost, RULE_COST_MAX));
	count_cost(k, AT(at, "rule"), cost);
}

static void check_compiled(struct checking *k, const struct at *at, const struct rule_node *n, const struct rule *r,
			   const struct standing *p)
{
	const struct value *optional = get(r->source, "optionalOldSelf");

	check_cost(k, at, n, r, p);
	if (r->fault.ptr)
		fault_printed(k->change, AT(at, "rule"), rule_print(k, r->source), r->fault.ptr);
	if (r->message_fault.ptr) {
		fault_printed(k->change, AT(at, "messageExpression"), rule_print(k, r->source), r->message_fault.ptr);
	} else if (r->message) {
		uint64_t cost = cel_program_cost(r->message);

		if (cost > RULE_COST_MAX)
			fault_forbidden(k->change, AT(at, "messageExpression"),
					cost_words(k->change, "estimated messageExpression cost", cost, RULE_COST_MAX));
		count_cost(k, AT(at, "messageExpression"), cost);
	}
	if (r->uses_old && p->uncorrelated) {
		struct span where = at_print(k->change, p->uncorrelated);

		fault_invalid(
		    k->change, AT(at, "rule"), get(r->source, "rule"),
		    detail_print(k->change,
				 "oldSelf cannot be used on the uncorrelatable portion of the schema within %.*s",
				 (int)where.len, where.ptr));
	} else if (!r->uses_old && optional) {
		fault_invalid(k->change, AT(at, "optionalOldSelf"), optional,
			      "may not be set if oldSelf is not used in rule");
	}
}

/* ---- all nodes ---- */

/* How rules are written, here and below; true: nothing to tell. */
static bool check_shapes(struct checking *k, const struct at *at, const struct openapi_schema *s)
{
	const struct value *all = get(s->source, "x-kubernetes-validations");
	size_t before = k->change->cause_count;

	if (!s->has_rules)
		return true;
	for (size_t i = 0; i < s->property_count; i++)
		(void)check_shapes(k, AT_KEY(AT(at, "properties"), s->properties[i].name), s->properties[i].schema);
	if (s->items)
		(void)check_shapes(k, AT(at, "items"), s->items);
	if (s->additional)
		(void)check_shapes(k, AT(at, "additionalProperties"), s->additional);
	for (uint32_t i = 0; i < count_of(all); i++)
		check_written(k, AT_INDEX(AT(at, "x-kubernetes-validations"), i), s, value_item(all, i));
	return k->change->cause_count == before;
}

static void check_node(struct checking *k, const struct rule_node *n, struct standing p);

/* A list or map multiplies what is below it by its limit, when it has one. */
static void check_below(struct checking *k, const struct rule_node *n, const char *member, const char *limit,
			const struct rule_node *below, struct standing p)
{
	const struct value *most = get(n->schema->source, limit);
	struct standing inner = p;

	if (!below)
		return;
	inner.at = AT(p.at, member);
	inner.is_bounded = p.is_bounded && most;
	if (inner.is_bounded)
		inner.times =
		    times_of(p.times, value_is(most, VALUE_INT) ? (uint64_t)MAX(most->integer, 0) : UINT64_MAX);
	if (below == n->items && n->schema->list != LIST_MAP && !p.uncorrelated)
		inner.uncorrelated = p.at;
	check_node(k, below, inner);
}

static void check_node(struct checking *k, const struct rule_node *n, struct standing p)
{
	for (size_t i = 0; i < n->member_count; i++) {
		struct standing inner = p;

		inner.at = AT_KEY(AT(p.at, "properties"), n->members[i].name);
		check_node(k, n->members[i].node, inner);
	}
	check_below(k, n, "items", "maxItems", n->items, p);
	check_below(k, n, "additionalProperties", "maxProperties", n->additional, p);
	if (!n->type && count_of(get(n->schema->source, "x-kubernetes-validations")))
		fault_forbidden(k->change, AT(p.at, "x-kubernetes-validations"),
				"the values of this schema have no type that rules could be about");
	for (uint32_t i = 0; i < n->count; i++)
		check_compiled(k, AT_INDEX(AT(p.at, "x-kubernetes-validations"), i), n, &n->rules[i], &p);
}

void rules_check(const struct openapi_schema *root, struct span path, struct change *c)
{
	struct arena arena;
	struct checking k = { .change = c, .arena = &arena };
	struct span kept = arena_copy(c->arena, path, c->err);
	const struct at *at = AT(NULL, kept.ptr ? kept.ptr : "");
	struct rule_node *n;

	if (!root->has_rules || !kept.ptr)
		return;
	arena_init(&arena, RULES_BYTES_MAX);
	if (check_shapes(&k, at, root)) {
		n = rule_node_new(root, NULL, false, &arena, &k.err);
		if (n)
			check_node(&k, n, (struct standing){ .at = at, .is_bounded = true, .times = 1 });
		else
			fault_forbidden(
			    c, at, detail_print(c, "the rules of this schema take over %zu bytes", RULES_BYTES_MAX));
	}
	if (k.total > RULES_COST_MAX) {
		for (size_t i = 0; i < k.most_count; i++)
			cause_forbidden(
			    c, k.most[i].path,
			    "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 "
			    "schema");
		fault_forbidden(
		    c, at,
		    cost_words(c, "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
			       k.total, RULES_COST_MAX));
	}
	arena_done(&arena);
}
