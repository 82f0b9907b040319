/* SPDX-License-Identifier: Apache-2.0 */
/* Rules over objects (apiextensions-apiserver pkg/apiserver/schema/cel/validation.go). */
#include "kube/crd/rules.h"
#include "kube/crd/rules_private.h"
#include "kube/kinds/kinds.h"

#include <stdlib.h>

enum { MESSAGE_MAX = 5 * 1024 };

struct rule_book {
	const struct openapi_schema *schema;
	struct arena arena;
	struct rule_node *root; /* NULL: not made yet */
	struct error err;
};

struct rule_book *rule_book_new(const struct openapi_schema *root)
{
	struct rule_book *b = base_calloc(1, sizeof(*b));

	b->schema = root;
	arena_init(&b->arena, RULES_BYTES_MAX);
	return b;
}

void rule_book_free(struct rule_book *b)
{
	if (!b)
		return;
	arena_done(&b->arena);
	free(b);
}

/* ---- running ---- */

struct run {
	struct change *change;
	struct arena arena; /* of one rule's evaluation */
	struct buffer path;
	int64_t budget; /* negative: nothing more is run */
};

/* Which old value a node is compared with: whether its faults are new. */
struct ratchet {
	const struct value *now, *old; /* old NULL: it cannot be told */
	const struct value *parent_now, *parent_old;
	bool is_on, is_root;
};

static bool is_unchanged(const struct ratchet *r)
{
	if (!r->is_on)
		return false;
	if (r->old)
		return value_equal(r->now, r->old);
	return r->parent_old && value_equal(r->parent_now, r->parent_old);
}

static struct ratchet ratchet_below(const struct ratchet *r, const struct value *now, const struct value *old)
{
	struct ratchet below = *r;

	if (!r->old)
		return below;
	return (struct ratchet){ now, old, r->now, r->old, r->is_on, false };
}

/* "<nil>" stands for the root, as the real server has it. */
static struct span path_at(struct run *x, struct span more)
{
	struct buffer text;
	struct span kept;

	if (!x->path.len && !more.len)
		return SPAN("<nil>");
	buffer_init(&text, KIB(64));
	buffer_append(&text, buffer_span(&x->path));
	if (x->path.len && more.len)
		buffer_byte(&text, '.');
	buffer_append(&text, more);
	kept = arena_copy(x->change->arena, buffer_span(&text), x->change->err);
	buffer_done(&text);
	return kept.ptr ? kept : SPAN("");
}

static struct span words_of(const struct rule *r)
{
	struct span message = get_text(r->source, "message");

	return span_trim(message.len ? message : get_text(r->source, "rule"));
}

static const char *keep(struct run *x, struct span s)
{
	struct span kept = arena_copy(x->change->arena, s, x->change->err);

	return kept.ptr ? kept.ptr : "";
}

static void fault_value(struct run *x, const struct rule_node *n, struct span path, const char *detail)
{
	struct value type = value_string(n->schema->type);

	cause_invalid(x->change, path, &type, detail);
}

static void stop(struct run *x, const struct rule_node *n, const char *detail)
{
	fault_value(x, n, path_at(x, SPAN("")), detail);
	x->budget = -1;
}

/* A fault of a value that is as it was is only warned of. */
static void fault_or_warning(struct run *x, const struct rule_node *n, const struct rule *r,
			     const struct ratchet *ratchet, const char *detail)
{
	struct span path = path_at(x, r->field_path), reason = get_text(r->source, "reason");
	struct value type = value_string(n->schema->type);

	if (!r->uses_old && is_unchanged(ratchet)) {
		change_warn(x->change, SPAN_FMT ": Invalid value: \"" SPAN_FMT "\": %s", SPAN_ARG(path),
			    SPAN_ARG(n->schema->type), detail);
		return;
	}
	if (span_equal(reason, SPAN("FieldValueForbidden")))
		cause_forbidden(x->change, path, detail);
	else if (span_equal(reason, SPAN("FieldValueRequired")))
		cause_required(x->change, path, detail);
	else if (span_equal(reason, SPAN("FieldValueDuplicate")))
		cause_duplicate(x->change, path, &type);
	else
		cause_invalid(x->change, path, &type, detail);
}

/* One program over self and oldSelf; its cost is taken from the budget. False when that is not enough. */
static bool evaluate(struct run *x, const struct cel_program *p, const struct cel_value values[2],
		     struct cel_value *ret)
{
	struct error err = { 0 };
	uint64_t cost = 0;

	*ret = cel_eval(p, values, CEL_COST_CALL, &cost, &x->arena, &err);
	if (cost > (uint64_t)x->budget)
		return false;
	x->budget -= (int64_t)cost;
	return true;
}

static void tell_error(struct run *x, const struct rule_node *n, const struct rule *r, struct span error)
{
	struct span words = words_of(r);
	struct change *c = x->change;
	const char *detail;

	if (span_starts(error, SPAN("no such overload"))) {
		detail = detail_print(
		    c,
		    "'%.*s': call arguments did not match a supported operator, function or macro signature "
		    "for rule: %.*s",
		    (int)error.len, error.ptr, (int)words.len, words.ptr);
		fault_value(x, n, path_at(x, SPAN("")), detail);
	} else if (span_starts(error, SPAN("operation cancelled: actual cost limit exceeded"))) {
		stop(
		    x, n,
		    detail_print(
			c,
			"'%.*s': no further validation rules will be run due to call cost exceeds limit for rule: %.*s",
			(int)error.len, error.ptr, (int)words.len, words.ptr));
	} else {
		detail =
		    detail_print(c, "%.*s evaluating rule: %.*s", (int)error.len, error.ptr, (int)words.len, words.ptr);
		fault_value(x, n, path_at(x, SPAN("")), detail);
	}
}

/* messageExpression's text; `otherwise` when it gives none. NULL: the budget has ended. */
static const char *message_of(struct run *x, const struct rule_node *n, const struct rule *r,
			      const struct cel_value values[2], const char *otherwise)
{
	struct cel_value v;
	struct span text;

	if (!evaluate(x, r->message, values, &v)) {
		stop(x, n,
		     "messageExpression evaluation failed due to running out of cost budget, no further validation "
		     "rules will "
		     "be run");
		return NULL;
	}
	if (v.kind == CEL_ERROR && span_starts(v.text, SPAN("operation cancelled"))) {
		struct value source = value_string(get_text(r->source, "messageExpression"));
		struct span quoted = value_print(&source, x->change->arena, x->change->err);

		stop(x, n,
		     detail_print(x->change,
				  "no further validation rules will be run due to call cost exceeds limit for "
				  "messageExpression: %.*s",
				  (int)quoted.len, quoted.ptr));
		return NULL;
	}
	if (v.kind != CEL_STRING)
		return otherwise;
	text = span_trim(v.text);
	if (!text.len || text.len > MESSAGE_MAX || memchr(text.ptr, '\n', text.len))
		return otherwise;
	return keep(x, text);
}

static void run_rule(struct run *x, const struct rule_node *n, const struct rule *r, const struct cel_value values[2],
		     const struct ratchet *ratchet)
{
	struct cel_value v;
	const char *detail;
	struct span words = words_of(r);

	if (!evaluate(x, r->program, values, &v)) {
		stop(x, n,
		     "validation failed due to running out of cost budget, no further validation rules will be run");
		return;
	}
	if (v.kind == CEL_ERROR) {
		tell_error(x, n, r, v.text);
		return;
	}
	if (v.kind == CEL_BOOL && v.boolean)
		return;
	detail = get_text(r->source, "message").len
		     ? keep(x, words)
		     : detail_print(x->change, "failed rule: %.*s", (int)words.len, words.ptr);
	if (r->message)
		detail = message_of(x, n, r, values, detail);
	if (detail)
		fault_or_warning(x, n, r, ratchet, detail);
}

static void run_rules(struct run *x, const struct rule_node *n, const struct value *v, const struct value *old,
		      const struct ratchet *ratchet)
{
	for (uint32_t i = 0; i < n->count && x->budget >= 0; i++) {
		const struct rule *r = &n->rules[i];
		struct cel_value values[2] = { { 0 }, { 0 } }, kept;
		struct error err = { 0 };

		if (r->fault.ptr) {
			fault_value(
			    x, n, path_at(x, SPAN("")),
			    detail_print(x->change, "rule compile error: %.*s", (int)r->fault.len, r->fault.ptr));
			continue;
		}
		if (!r->program || (r->uses_old && !old && !r->takes_absent))
			continue;
		if (x->budget <= 0) {
			stop(x, n,
			     "validation failed due to running out of cost budget, no further validation rules will be "
			     "run");
			return;
		}
		arena_clear(&x->arena);
		values[0] = cel_from_json(v, n->type, &x->arena, &err);
		if (old)
			values[1] = cel_from_json(old, n->type, &x->arena, &err);
		if (r->takes_absent) {
			kept = values[1];
			values[1] = cel_optional(old ? &kept : NULL);
		}
		run_rule(x, n, r, values, ratchet);
	}
}

/* ---- walking ---- */

static void run_node(struct run *x, const struct rule_node *n, const struct value *v, const struct value *old,
		     struct ratchet ratchet);

static void run_member(struct run *x, const struct rule_node *below, const struct value_member *m,
		       const struct value *old, const struct ratchet *r, bool is_key)
{
	const struct value *before = value_get(old, m->key);
	struct ratchet inner = { .is_on = r->is_on };
	size_t len = x->path.len;

	/* apiVersion and kind of the root are those of the version that both were brought to */
	if (!r->is_root || (!span_equal(m->key, SPAN("apiVersion")) && !span_equal(m->key, SPAN("kind"))))
		inner = ratchet_below(r, &m->value, r->old ? value_get(r->old, m->key) : NULL);
	if (is_key) {
		buffer_byte(&x->path, '[');
		buffer_append(&x->path, m->key);
		buffer_byte(&x->path, ']');
	} else {
		if (len)
			buffer_byte(&x->path, '.');
		buffer_append(&x->path, m->key);
	}
	run_node(x, below, &m->value, before, inner);
	x->path.len = len;
}

static void run_object(struct run *x, const struct rule_node *n, const struct value *v, const struct value *old,
		       const struct ratchet *r)
{
	for (uint32_t i = 0; i < v->object.count && x->budget >= 0; i++) {
		const struct value_member *m = &v->object.members[i];

		if (n->additional)
			run_member(x, n->additional, m, old, r, true);
		for (size_t k = 0; k < n->member_count && x->budget >= 0; k++)
			if (span_equal(n->members[k].name, m->key))
				run_member(x, n->members[k].node, m, old, r, false);
	}
}

static void run_array(struct run *x, const struct rule_node *n, const struct value *v, const struct value *old,
		      const struct ratchet *r)
{
	bool is_keyed = n->schema->list == LIST_MAP;
	struct list_index *index = NULL, *own = NULL;
	size_t len = x->path.len;

	if (!n->items)
		return;
	if (is_keyed && value_is(old, VALUE_ARRAY))
		index = list_index_new(n->schema, old, x->change->arena, x->change->err);
	if (is_keyed && value_is(r->old, VALUE_ARRAY))
		own = r->old == old ? index : list_index_new(n->schema, r->old, x->change->arena, x->change->err);
	for (uint32_t i = 0; i < v->array.count && x->budget >= 0; i++) {
		const struct value *item = value_item(v, i);
		const struct value *before = index && item->type == VALUE_OBJECT ? list_index_find(index, item) : NULL;
		struct ratchet inner =
		    ratchet_below(r, item, own && item->type == VALUE_OBJECT ? list_index_find(own, item) : NULL);

		buffer_print(&x->path, "[%u]", i);
		run_node(x, n->items, item, before, inner);
		x->path.len = len;
	}
}

static void run_node(struct run *x, const struct rule_node *n, const struct value *v, const struct value *old,
		     struct ratchet ratchet)
{
	if (v->type == VALUE_NULL || x->budget < 0 || x->change->err->code)
		return;
	if (old && old->type == VALUE_NULL)
		old = NULL;
	run_rules(x, n, v, old, &ratchet);
	if (v->type == VALUE_OBJECT)
		run_object(x, n, v, value_is(old, VALUE_OBJECT) ? old : NULL, &ratchet);
	else if (v->type == VALUE_ARRAY)
		run_array(x, n, v, old, &ratchet);
}

void rules_run(struct rule_book *b, const struct value *object, const struct value *old, bool ratchets,
	       struct change *c)
{
	struct run x = { .change = c, .budget = CEL_COST_TOTAL };
	struct ratchet ratchet = { .now = object, .old = old, .is_on = ratchets && old, .is_root = true };

	if (!b->root && !b->err.code) /* what was stored may use what is newest */
		b->root = rule_node_new(b->schema, NULL, true, &b->arena, &b->err);
	if (!b->root) {
		cause_forbidden(c, SPAN("<nil>"),
				detail_print(c, "the rules of this kind cannot be compiled: %s", b->err.message));
		return;
	}
	arena_init(&x.arena, RULES_BYTES_MAX);
	buffer_init(&x.path, KIB(64));
	run_node(&x, b->root, object, old, ratchet);
	buffer_done(&x.path);
	arena_done(&x.arena);
}
