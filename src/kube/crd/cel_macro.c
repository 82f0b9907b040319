/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Macros (langdef.md, "Macros"): has, all, exists, exists_one, map, filter; with two variables, transformList, transformMap,
 * transformMapEntry (cel-go ext/comprehensions); optMap, optFlatMap (cel-go optional types).
 */
#include "kube/crd/cel_parse.h"

#define ACCUMULATOR SPAN("@result") /* no expression can name it */

struct making {
	struct cel_maker *m;
	struct cel_node *call;
	uint32_t at;
};

static struct cel_node *fault(struct making *g, const struct cel_node *where, const char *words)
{
	cel_fault_add(g->m->faults, where->at, "%s", words);
	return NULL;
}

static struct cel_node *accumulator(struct making *g)
{
	return cel_make_name(g->m, g->at, ACCUMULATOR);
}

static struct cel_node *literal_bool(struct making *g, bool b)
{
	return cel_make_literal(g->m, g->at, cel_of_bool(b));
}

static struct cel_node *literal_int(struct making *g, int64_t i)
{
	return cel_make_literal(g->m, g->at, cel_of_int(i));
}

static struct cel_node *call_of(struct making *g, const char *name, struct cel_node *a, struct cel_node *b,
				struct cel_node *c)
{
	return cel_make_call(g->m, g->at, name, a, b, c);
}

static struct cel_node *member_of(struct making *g, const char *name, struct cel_node *target)
{
	struct cel_node *n = cel_make(g->m, NODE_CALL, g->at);

	if (!n || !cel_make_args(g->m, n, 0))
		return NULL;
	n->name = span_of(name);
	n->target = target;
	n->is_member = true;
	return n;
}

static struct cel_node *fold(struct making *g, struct cel_fold of)
{
	struct cel_node *n = cel_make(g->m, NODE_FOLD, g->at);

	if (!n || !of.range || !of.init || !of.condition || !of.step || !of.result)
		return NULL;
	n->fold = ARENA_NEW(g->m->faults->arena, struct cel_fold, g->m->faults->err);
	if (!n->fold)
		return NULL;
	*n->fold = of;
	return n;
}

/* The variables a macro declares: its first argument, or its first two. */
static bool variables(struct making *g, bool are_two, const char *words, struct cel_fold *f)
{
	struct cel_node **args = g->call->args;

	for (uint32_t i = 0; i < 1u + are_two; i++) {
		if (args[i]->kind != NODE_IDENT)
			return fault(g, args[i], words) != NULL;
		if (span_equal(args[i]->name, SPAN("__result__")))
			return fault(g, args[i], "iteration variable overwrites accumulator variable") != NULL;
	}
	f->iter = args[0]->name;
	if (are_two && span_equal(args[0]->name, args[1]->name)) {
		cel_fault_add(g->m->faults, args[1]->at, "duplicate variable name: " SPAN_FMT, SPAN_ARG(f->iter));
		return false;
	}
	f->iter2 = are_two ? args[1]->name : SPAN("");
	f->range = g->call->target;
	f->accu = ACCUMULATOR;
	return true;
}

static struct cel_node *expand_has(struct making *g)
{
	struct cel_node *n = g->call->args[0];

	if (n->kind != NODE_SELECT || n->is_test)
		return fault(g, n, "invalid argument to has() macro");
	n->is_test = true;
	n->at = g->at;
	return n;
}

static struct cel_node *expand_all(struct making *g)
{
	bool are_two = g->call->count == 3;
	struct cel_fold f = { 0 };

	if (!variables(g, are_two, "argument must be a simple name", &f))
		return NULL;
	f.init = literal_bool(g, true);
	f.condition = call_of(g, "@not_strictly_false", accumulator(g), NULL, NULL);
	f.step = call_of(g, "_&&_", accumulator(g), g->call->args[1 + are_two], NULL);
	f.result = accumulator(g);
	return fold(g, f);
}

static struct cel_node *expand_exists(struct making *g)
{
	bool are_two = g->call->count == 3;
	struct cel_fold f = { 0 };

	if (!variables(g, are_two, "argument must be a simple name", &f))
		return NULL;
	f.init = literal_bool(g, false);
	f.condition = call_of(g, "@not_strictly_false", call_of(g, "!_", accumulator(g), NULL, NULL), NULL, NULL);
	f.step = call_of(g, "_||_", accumulator(g), g->call->args[1 + are_two], NULL);
	f.result = accumulator(g);
	return fold(g, f);
}

static struct cel_node *expand_exists_one(struct making *g)
{
	bool are_two = g->call->count == 3;
	struct cel_fold f = { 0 };

	if (!variables(g, are_two, "argument must be a simple name", &f))
		return NULL;
	f.init = literal_int(g, 0);
	f.condition = literal_bool(g, true);
	f.step = call_of(g, "_?_:_", g->call->args[1 + are_two],
			 call_of(g, "_+_", accumulator(g), literal_int(g, 1), NULL), accumulator(g));
	f.result = call_of(g, "_==_", accumulator(g), literal_int(g, 1), NULL);
	return fold(g, f);
}

static struct cel_node *empty(struct making *g, enum cel_node_kind kind)
{
	struct cel_node *n = cel_make(g->m, kind, g->at);

	return n && cel_make_args(g->m, n, 0) ? n : NULL;
}

/* accumulator + [item], under a condition when there is one. */
static struct cel_node *appending(struct making *g, struct cel_node *filter, struct cel_node *item)
{
	struct cel_node *list = cel_make(g->m, NODE_LIST, g->at), *add;

	if (!list || !item || !cel_make_args(g->m, list, 1))
		return NULL;
	list->args[0] = item;
	add = call_of(g, "_+_", accumulator(g), list, NULL);
	if (!add)
		return NULL;
	add->appends = true;
	return filter ? call_of(g, "_?_:_", filter, add, accumulator(g)) : add;
}

static struct cel_node *list_fold(struct making *g, struct cel_fold f, struct cel_node *filter, struct cel_node *item)
{
	f.init = empty(g, NODE_LIST);
	f.condition = literal_bool(g, true);
	f.step = appending(g, filter, item);
	f.result = accumulator(g);
	return fold(g, f);
}

static struct cel_node *expand_map(struct making *g)
{
	struct cel_fold f = { 0 };
	struct cel_node **args = g->call->args;

	if (!variables(g, false, "argument is not an identifier", &f))
		return NULL;
	return list_fold(g, f, g->call->count == 3 ? args[1] : NULL, args[g->call->count - 1]);
}

static struct cel_node *expand_filter(struct making *g)
{
	struct cel_fold f = { 0 };
	struct cel_node **args = g->call->args;

	if (!variables(g, false, "argument is not an identifier", &f))
		return NULL;
	return list_fold(g, f, args[1], cel_make_name(g->m, args[0]->at, args[0]->name));
}

static struct cel_node *expand_transform_list(struct making *g)
{
	struct cel_fold f = { 0 };
	struct cel_node **args = g->call->args;

	if (!variables(g, true, "argument must be a simple name", &f))
		return NULL;
	return list_fold(g, f, g->call->count == 4 ? args[2] : NULL, args[g->call->count - 1]);
}

static struct cel_node *map_fold(struct making *g, struct cel_fold f, struct cel_node *insert)
{
	struct cel_node *filter = g->call->count == 4 ? g->call->args[2] : NULL;

	if (!insert)
		return NULL;
	insert->appends = true;
	f.init = empty(g, NODE_MAP);
	f.condition = literal_bool(g, true);
	f.step = filter ? call_of(g, "_?_:_", filter, insert, accumulator(g)) : insert;
	f.result = accumulator(g);
	return fold(g, f);
}

static struct cel_node *expand_transform_map(struct making *g)
{
	struct cel_fold f = { 0 };

	if (!variables(g, true, "argument must be a simple name", &f))
		return NULL;
	return map_fold(g, f,
			call_of(g, "cel.@mapInsert", accumulator(g), cel_make_name(g->m, g->at, f.iter),
				g->call->args[g->call->count - 1]));
}

static struct cel_node *expand_transform_entry(struct making *g)
{
	struct cel_fold f = { 0 };

	if (!variables(g, true, "argument must be a simple name", &f))
		return NULL;
	return map_fold(g, f, call_of(g, "cel.@mapInsert", accumulator(g), g->call->args[g->call->count - 1], NULL));
}

/* The target's value under a name: a fold without a loop. The target stands in the tree twice, as one node. */
static struct cel_node *bind_value(struct making *g, struct cel_node *name)
{
	struct cel_fold f = { .accu = name->name, .iter = SPAN("#unused"), .is_bind = true };

	f.range = empty(g, NODE_LIST);
	f.init = member_of(g, "value", g->call->target);
	f.condition = literal_bool(g, false);
	f.step = cel_make_name(g->m, g->at, name->name);
	f.result = g->call->args[1];
	return fold(g, f);
}

static struct cel_node *expand_optional(struct making *g, bool is_flat)
{
	struct cel_node *name = g->call->args[0], *inner, *none = cel_make(g->m, NODE_CALL, g->at);

	if (name->kind != NODE_IDENT)
		return fault(g, name,
			     is_flat ? "optFlatMap() variable name must be a simple identifier"
				     : "optMap() variable name must be a simple identifier");
	if (!none || !cel_make_args(g->m, none, 0))
		return NULL;
	none->name = SPAN("optional.none");
	inner = bind_value(g, name);
	if (inner && !is_flat)
		inner = call_of(g, "optional.of", inner, NULL, NULL);
	if (!inner)
		return NULL;
	return call_of(g, "_?_:_", member_of(g, "hasValue", g->call->target), inner, none);
}

static struct cel_node *expand_opt_map(struct making *g)
{
	return expand_optional(g, false);
}

static struct cel_node *expand_opt_flat_map(struct making *g)
{
	return expand_optional(g, true);
}

static const struct {
	const char *name;
	uint32_t count;
	bool is_member;
	struct cel_node *(*expand)(struct making *g);
} macros[] = {
	{ "has", 1, false, expand_has },
	{ "all", 2, true, expand_all },
	{ "all", 3, true, expand_all },
	{ "exists", 2, true, expand_exists },
	{ "exists", 3, true, expand_exists },
	{ "exists_one", 2, true, expand_exists_one },
	{ "exists_one", 3, true, expand_exists_one },
	{ "existsOne", 2, true, expand_exists_one },
	{ "existsOne", 3, true, expand_exists_one },
	{ "map", 2, true, expand_map },
	{ "map", 3, true, expand_map },
	{ "filter", 2, true, expand_filter },
	{ "transformList", 3, true, expand_transform_list },
	{ "transformList", 4, true, expand_transform_list },
	{ "transformMap", 3, true, expand_transform_map },
	{ "transformMap", 4, true, expand_transform_map },
	{ "transformMapEntry", 3, true, expand_transform_entry },
	{ "transformMapEntry", 4, true, expand_transform_entry },
	{ "optMap", 2, true, expand_opt_map },
	{ "optFlatMap", 2, true, expand_opt_flat_map },
};

struct cel_node *cel_macro(struct cel_maker *m, struct cel_node *call, bool *ret_is_macro)
{
	struct making g = { m, call, call->at };

	for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
		if (macros[i].count == call->count && macros[i].is_member == call->is_member &&
		    span_equal(call->name, span_of(macros[i].name))) {
			*ret_is_macro = true;
			return macros[i].expand(&g);
		}
	}
	return call;
}
