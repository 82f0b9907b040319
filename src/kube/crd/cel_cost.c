/* SPDX-License-Identifier: Apache-2.0 */
/* The estimate and the count, formula beside formula. Sums and products that pass UINT64_MAX stay there. */
#include "kube/crd/cel_cost.h"

#include <math.h>

/* Where a value stands in the declared types; NULL type: at a place they do not tell of. */
struct cel_path {
	const struct cel_type *type;
};

struct range {
	uint64_t min, max;
};

struct local { /* what is known of a name inside folds */
	const struct cel_path *path;
	struct cel_size size, key_size, item_size;
	bool has_size, has_items, items_are_map;
};

struct estimate {
	struct cel_program *program;
	struct arena *arena;
	struct error *err;
	struct local *locals; /* by slot */
	const struct cel_type *root;
};

static struct range cost_of(struct estimate *e, struct cel_node *n);

/* ---- numbers ---- */

static uint64_t plus(uint64_t a, uint64_t b)
{
	return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

static uint64_t times(uint64_t a, uint64_t b)
{
	return __builtin_mul_overflow(a, b, &a) ? UINT64_MAX : a;
}

uint64_t cel_times(uint64_t n, double factor)
{
	double product = ceil((double)n * factor);

	return product >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)product;
}

static struct range add(struct range a, struct range b)
{
	return (struct range){ plus(a.min, b.min), plus(a.max, b.max) };
}

static struct range multiply(struct range a, struct range b)
{
	return (struct range){ times(a.min, b.min), times(a.max, b.max) };
}

static struct range scale(struct range a, double factor)
{
	return (struct range){ cel_times(a.min, factor), cel_times(a.max, factor) };
}

static struct range join(struct range a, struct range b)
{
	return (struct range){ MIN(a.min, b.min), MAX(a.max, b.max) };
}

static struct range fixed(uint64_t n)
{
	return (struct range){ n, n };
}

static struct range of_size(struct cel_size s)
{
	return (struct range){ s.min, s.max };
}

static struct cel_size to_size(struct range r)
{
	return (struct cel_size){ r.min, r.max };
}

static const struct range unknown = { 0, UINT64_MAX };

/* ---- places ---- */

static const struct cel_path *path_new(struct estimate *e, const struct cel_type *type)
{
	struct cel_path *p = ARENA_NEW(e->arena, struct cel_path, e->err);

	if (p)
		p->type = type;
	return p;
}

static const struct local *local_of(const struct estimate *e, const struct cel_node *n)
{
	return n->kind == NODE_IDENT && n->slot >= e->program->env->count ? &e->locals[n->slot] : NULL;
}

static const struct cel_path *path_of(const struct estimate *e, const struct cel_node *n)
{
	const struct local *l = local_of(e, n);

	return l ? l->path : n->path;
}

/* A place below another; below no place it is taken for the root, as the real server's estimate does. */
static const struct cel_path *below(struct estimate *e, const struct cel_path *path, const struct cel_type *type)
{
	return path_new(e, path ? type : e->root);
}

static const struct cel_type *items_of(const struct cel_path *p)
{
	const struct cel_type *t = p ? p->type : NULL;

	return t && (t->kind == CEL_LIST || t->kind == CEL_MAP) ? t->params[t->kind == CEL_MAP] : NULL;
}

static const struct cel_type *keys_of(const struct cel_path *p)
{
	const struct cel_type *t = p ? p->type : NULL;

	return t && t->kind == CEL_MAP ? t->params[0] : NULL;
}

/* ---- sizes ---- */

static bool is_scalar(const struct cel_type *t)
{
	switch (t->kind) {
	case CEL_BOOL:
	case CEL_DOUBLE:
	case CEL_DURATION:
	case CEL_INT:
	case CEL_TIMESTAMP:
	case CEL_UINT:
		return true;
	case CEL_OPTIONAL:
		return is_scalar(t->params[0]);
	default:
		return false;
	}
}

static bool size_by_path(const struct cel_path *p, struct range *ret)
{
	if (!p || !p->type || p->type->max_size == UINT64_MAX)
		return false;
	*ret = (struct range){ 0, p->type->max_size };
	return true;
}

static bool size_of(struct estimate *e, struct cel_node *n, struct range *ret)
{
	const struct local *l = local_of(e, n);

	if (n->has_size) {
		*ret = of_size(n->size);
		return true;
	}
	if (n->kind == NODE_LITERAL && !n->is_type_name) {
		*ret = fixed(cel_size_of(&n->literal));
		return true;
	}
	if (n->kind == NODE_LIST || n->kind == NODE_MAP) {
		*ret = fixed(n->kind == NODE_MAP ? n->count / 2 : n->count);
		return true;
	}
	if (size_by_path(path_of(e, n), ret)) {
		n->size = to_size(*ret);
		n->has_size = true;
		return true;
	}
	if (is_scalar(n->type)) {
		*ret = fixed(1);
		return true;
	}
	if (l && l->has_size) {
		*ret = of_size(l->size);
		return true;
	}
	return false;
}

static struct range size_or_unknown(struct estimate *e, struct cel_node *n)
{
	struct range r;

	return size_of(e, n, &r) ? r : unknown;
}

static void set_size(struct cel_node *n, struct range size)
{
	n->size = to_size(size);
	n->has_size = true;
}

struct items {
	bool is_known, is_map;
	struct range key, item;
};

static struct items items_known(const struct estimate *e, const struct cel_node *n)
{
	const struct local *l = local_of(e, n);

	if (n->has_item_size)
		return (struct items){ true, n->items_are_map, of_size(n->key_size), of_size(n->item_size) };
	if (l && l->has_items)
		return (struct items){ true, l->items_are_map, of_size(l->key_size), of_size(l->item_size) };
	return (struct items){ 0 };
}

static void set_items(struct cel_node *n, struct items of)
{
	if (!of.is_known)
		return;
	n->has_item_size = true;
	n->items_are_map = of.is_map;
	n->key_size = to_size(of.key);
	n->item_size = to_size(of.item);
}

static struct items join_items(struct items a, struct items b)
{
	if (!a.is_known || !b.is_known)
		return (struct items){ 0 };
	return (struct items){ true, a.is_map, join(a.key, b.key), join(a.item, b.item) };
}

/* ---- what functions cost ---- */

enum cel_cost_rule cel_cost_rule(struct span function)
{
	static const struct {
		const char *name;
		enum cel_cost_rule rule;
	} rules[] = {
		{ "isSorted", COST_WALK_LIST },
		{ "sum", COST_WALK_LIST },
		{ "max", COST_WALK_LIST },
		{ "min", COST_WALK_LIST },
		{ "indexOf", COST_WALK_LIST },
		{ "lastIndexOf", COST_WALK_LIST },
		{ "url", COST_WALK_ARG },
		{ "lowerAscii", COST_WALK_TARGET },
		{ "upperAscii", COST_WALK_TARGET },
		{ "substring", COST_WALK_TARGET },
		{ "trim", COST_WALK_TARGET },
		{ "replace", COST_REPLACE },
		{ "split", COST_SPLIT },
		{ "join", COST_JOIN },
		{ "find", COST_FIND },
		{ "findAll", COST_FIND },
		{ "cidr", COST_PARSE },
		{ "isIP", COST_PARSE },
		{ "isCIDR", COST_PARSE },
		{ "ip", COST_PARSE },
		{ "quantity", COST_PARSE },
		{ "isQuantity", COST_PARSE },
		{ "semver", COST_PARSE },
		{ "isSemver", COST_PARSE },
		{ "ip.isCanonical", COST_PARSE_TWICE },
		{ "containsIP", COST_CONTAINS_IP },
		{ "containsCIDR", COST_CONTAINS_CIDR },
		{ "validate", COST_VALIDATE },
		{ "format.named", COST_NOMINAL },
		{ "sets.contains", COST_SETS },
		{ "sets.intersects", COST_SETS },
		{ "sets.equivalent", COST_SETS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (span_equal(function, span_of(rules[i].name)))
			return rules[i].rule;
	return COST_STANDARD;
}

/* The estimate of one overload: the cost without its arguments' (`takes_arguments` cleared: with), and the result's size. */
struct call_estimate {
	struct range cost, size;
	bool has_size, has_arguments;
};

static struct range min_of_both(struct range a, struct range b)
{
	uint64_t most = MIN(a.max, b.max);

	return scale((struct range){ most > 0, most }, COST_LETTER);
}

static struct range pattern_cost(struct range text, struct range pattern)
{
	return multiply(scale(add(text, fixed(1)), COST_LETTER), scale(pattern, COST_PATTERN));
}

static bool has_id(const struct cel_overload *o, const char *id)
{
	return !strcmp(o->id, id);
}

static bool compares(const struct cel_overload *o)
{
	static const char *const heads[] = { "less_", "greater_", "equals", "not_equals" };
	bool is_text = !strcmp(o->takes, "ss") || !strcmp(o->takes, "yy");

	for (size_t i = 0; i < 2; i++)
		if (is_text && !strncmp(o->id, heads[i], strlen(heads[i])))
			return true;
	return has_id(o, heads[2]) || has_id(o, heads[3]);
}

static bool constant_cost(const struct cel_type *t)
{
	switch (t->kind) {
	case CEL_IP:
	case CEL_CIDR:
	case CEL_QUANTITY:
	case CEL_SEMVER:
		return true;
	default:
		return false;
	}
}

static struct call_estimate standard_cost(struct estimate *e, struct cel_node *n, const struct cel_overload *o,
					  const struct range *arguments)
{
	struct call_estimate r = { .cost = fixed(1) };
	struct cel_node **a = n->args;
	struct range x, y;

	if (has_id(o, "string_format")) {
		r.cost = scale(size_or_unknown(e, n->target), COST_LETTER);
	} else if (has_id(o, "string_to_bytes")) {
		x = size_or_unknown(e, a[0]);
		r = (struct call_estimate){ scale(x, COST_LETTER), { x.min, times(x.max, 4) }, true, false };
	} else if (has_id(o, "bytes_to_string")) {
		x = size_or_unknown(e, a[0]);
		r = (struct call_estimate){ scale(x, COST_LETTER), { x.min / 4, x.max }, true, false };
	} else if (has_id(o, "strings_quote")) {
		x = size_or_unknown(e, a[0]);
		r = (struct call_estimate){
			scale(x, COST_LETTER), { plus(x.min, 2), plus(times(x.max, 2), 2) }, true, false
		};
	} else if (has_id(o, "starts_with_string") || has_id(o, "ends_with_string")) {
		r.cost = scale(size_or_unknown(e, a[0]), COST_LETTER);
	} else if (has_id(o, "in_list")) {
		r.cost = size_or_unknown(e, a[1]);
	} else if (has_id(o, "matches_string")) {
		r.cost = pattern_cost(size_or_unknown(e, n->target), size_or_unknown(e, a[0]));
	} else if (has_id(o, "contains_string")) {
		r.cost = multiply(scale(size_or_unknown(e, n->target), COST_LETTER),
				  scale(size_or_unknown(e, a[0]), COST_LETTER));
	} else if (has_id(o, "logical_or") || has_id(o, "logical_and")) {
		r.cost = (struct range){ arguments[0].min, plus(arguments[0].max, arguments[1].max) };
		r.has_arguments = true;
	} else if (has_id(o, "conditional")) {
		set_items(n, join_items(items_known(e, a[1]), items_known(e, a[2])));
		r.size = join(size_or_unknown(e, a[1]), size_or_unknown(e, a[2]));
		r.has_size = true;
		r.cost = add(arguments[0], join(arguments[1], arguments[2]));
		r.has_arguments = true;
	} else if (has_id(o, "add_string") || has_id(o, "add_bytes") || has_id(o, "add_list")) {
		r.size = add(size_or_unknown(e, a[0]), size_or_unknown(e, a[1]));
		r.has_size = true;
		set_items(n, join_items(items_known(e, a[0]), items_known(e, a[1])));
		if (!has_id(o, "add_list"))
			r.cost = scale(r.size, COST_LETTER);
	} else if (compares(o)) {
		if (has_id(o, "equals") && a[0]->type->kind == a[1]->type->kind && constant_cost(a[0]->type))
			return r;
		x = size_or_unknown(e, a[0]);
		y = size_or_unknown(e, a[1]);
		r.cost = min_of_both(x, y);
	}
	return r;
}

/* The size of a list's items, by where they stand. */
static struct range item_size(struct estimate *e, struct cel_node *list)
{
	const struct cel_path *p = path_of(e, list);
	struct cel_path items = { items_of(p) };
	struct range r;

	return p && size_by_path(&items, &r) ? r : unknown;
}

static struct range replaced_size(struct range text, struct range from, struct range to)
{
	struct range count = { 0, 0 }, kept = { 0, 0 };

	if (from.min == 0) {
		count.max = plus(text.max, 1);
		kept.max = text.max;
	} else if (to.max <= from.min) {
		kept.max = text.max;
	} else {
		count.max = (uint64_t)MIN(ceil((double)text.max / (double)from.min), 18446744073709549568.0);
	}
	if (from.max == 0) {
		count.min = plus(text.min, 1);
		kept.min = text.min;
	} else if (from.max <= to.min) {
		kept.min = text.min;
	} else {
		count.min = (uint64_t)MIN(ceil((double)text.min / (double)from.max), 18446744073709549568.0);
	}
	return add(multiply(count, to), kept);
}

static struct range list_walk(struct estimate *e, struct cel_node *target)
{
	const struct cel_type *item;
	struct range each = fixed(1), n = size_or_unknown(e, target);

	ASSERT(target);
	item = target->type->kind == CEL_LIST ? target->type->params[0] : NULL;
	if (!item)
		return scale(n, COST_LETTER);
	if (item->kind == CEL_STRING || item->kind == CEL_BYTES)
		each = add(each, scale(item_size(e, target), COST_LETTER));
	return multiply(n, each);
}

static struct call_estimate call_cost(struct estimate *e, struct cel_node *n, const struct cel_overload *o,
				      const struct range *arguments)
{
	struct call_estimate r = { .cost = fixed(1) };
	struct cel_node *target = n->is_member ? n->target : n->count ? n->args[0] : NULL;
	struct range x, y;

	switch (cel_cost_rule(n->name)) {
	case COST_STANDARD:
		return standard_cost(e, n, o, arguments);
	case COST_NOMINAL:
		return r;
	case COST_WALK_LIST:
		r.cost = list_walk(e, target);
		return r;
	case COST_WALK_TARGET:
	case COST_WALK_ARG:
		r.size = size_or_unknown(e, target);
		r.has_size = true;
		r.cost = scale(r.size, COST_LETTER);
		return r;
	case COST_REPLACE:
		x = size_or_unknown(e, target);
		r.size = replaced_size(x, size_or_unknown(e, n->args[0]), size_or_unknown(e, n->args[1]));
		r.has_size = true;
		r.cost = scale(x, 2 * COST_LETTER);
		return r;
	case COST_SPLIT:
		x = size_or_unknown(e, target);
		r.size = (struct range){ 0, x.max };
		if (n->count > 1 && n->args[1]->kind == NODE_LITERAL)
			r.size.max = (uint64_t)n->args[1]->literal.integer;
		r.has_size = true;
		r.cost = scale(x, 2 * COST_LETTER);
		return r;
	case COST_JOIN:
		x = size_or_unknown(e, target);
		r.size = multiply(x, item_size(e, target));
		if (n->count) {
			y = (struct range){ x.min ? x.min - 1 : 0, x.max ? x.max - 1 : 0 };
			r.size = add(r.size, multiply(size_or_unknown(e, n->args[0]), y));
		}
		r.has_size = true;
		r.cost = scale(r.size, COST_LETTER);
		return r;
	case COST_FIND:
		x = size_or_unknown(e, target);
		r.size = (struct range){ 0, x.max };
		r.has_size = true;
		r.cost = pattern_cost(x, size_or_unknown(e, n->args[0]));
		return r;
	case COST_PARSE:
	case COST_PARSE_TWICE:
		if (!n->is_member)
			r.cost = scale(size_or_unknown(e, target),
				       cel_cost_rule(n->name) == COST_PARSE ? COST_LETTER : 2 * COST_LETTER);
		return r;
	case COST_CONTAINS_IP:
	case COST_CONTAINS_CIDR:
		x = (struct range){ 4, 16 };
		r.cost = scale(add(x, x), COST_LETTER);
		if (cel_cost_rule(n->name) == COST_CONTAINS_CIDR)
			r.cost = add(add(r.cost, scale(x, COST_LETTER)), fixed(1));
		if (strchr(o->takes, 's'))
			r.cost = add(r.cost, scale(size_or_unknown(e, n->args[0]), COST_LETTER));
		return r;
	case COST_VALIDATE:
		r.cost = scale(scale(size_or_unknown(e, n->args[0]), COST_LETTER), 128 * COST_PATTERN);
		return r;
	case COST_SETS:
		x = multiply(size_or_unknown(e, n->args[0]), size_or_unknown(e, n->args[1]));
		r.cost = add(scale(x, span_equal(n->name, SPAN("sets.equivalent")) ? 2 : 1), fixed(1));
		return r;
	}
	return r;
}

/* ---- the tree ---- */

static struct range cost_call(struct estimate *e, struct cel_node *n)
{
	struct range sum = { 0, 0 }, arguments[8] = { { 0, 0 } }, all = { 0, 0 }, function = { UINT64_MAX, 0 };
	struct range size = { 0, 0 };
	bool has_size = false;

	for (uint32_t i = 0; i < n->count; i++) {
		struct range one = cost_of(e, n->args[i]);

		if (i < ARRAY_LEN(arguments))
			arguments[i] = one;
		all = add(all, one);
	}
	if (span_equal(n->name, SPAN("dyn"))) {
		if (size_of(e, n->args[0], &size))
			set_size(n, size);
		set_items(n, items_known(e, n->args[0]));
		return add(all, fixed(1));
	}
	if (!n->overload_count)
		return (struct range){ 0, 0 };
	if (n->is_member)
		sum = cost_of(e, n->target);
	for (uint32_t i = 0; i < n->overload_count; i++) {
		const struct cel_overload *o = n->overloads[i];
		struct call_estimate one = call_cost(e, n, o, arguments);

		function = join(function, one.has_arguments ? one.cost : add(one.cost, all));
		if (one.has_size) {
			size = has_size ? join(size, one.size) : one.size;
			has_size = true;
		}
		if (has_id(o, "index_list") || has_id(o, "index_map")) {
			struct items of = items_known(e, n->args[0]);
			const struct cel_path *p = path_of(e, n->args[0]);

			has_size = of.is_known;
			size = of.item;
			n->path = below(e, p, items_of(p));
		}
		if (!has_size)
			has_size = size_of(e, n, &size);
	}
	if (has_size)
		set_size(n, size);
	return add(sum, function);
}

static struct range cost_list(struct estimate *e, struct cel_node *n)
{
	struct range sum = { 0, 0 }, item = { n->count ? UINT64_MAX : 0, 0 };

	for (uint32_t i = 0; i < n->count; i++) {
		sum = add(sum, cost_of(e, n->args[i]));
		item = join(item, size_or_unknown(e, n->args[i]));
	}
	set_items(n, (struct items){ true, false, fixed(1), item });
	return add(sum, fixed(COST_LIST));
}

static struct range cost_map(struct estimate *e, struct cel_node *n)
{
	struct range sum = { 0, 0 }, key = { n->count ? UINT64_MAX : 0, 0 }, item = key;

	for (uint32_t i = 0; i + 1 < n->count; i += 2) {
		sum = add(sum, add(cost_of(e, n->args[i]), cost_of(e, n->args[i + 1])));
		key = join(key, size_or_unknown(e, n->args[i]));
		item = join(item, size_or_unknown(e, n->args[i + 1]));
	}
	set_items(n, (struct items){ true, true, key, item });
	return add(sum, fixed(COST_MAP));
}

static void local_from(struct estimate *e, uint32_t slot, struct cel_node *n)
{
	struct local *l = &e->locals[slot];
	struct items of = items_known(e, n);
	struct range size;

	*l = (struct local){ .path = path_of(e, n) };
	l->has_size = size_of(e, n, &size);
	if (l->has_size)
		l->size = to_size(size);
	l->has_items = of.is_known;
	l->items_are_map = of.is_map;
	l->key_size = to_size(of.key);
	l->item_size = to_size(of.item);
}

/* The names of a fold: an item (of a list), a key (of a map); with two, the index or key and the item. */
static void iterators(struct estimate *e, const struct cel_fold *f)
{
	struct items of = items_known(e, f->range);
	const struct cel_path *p = path_of(e, f->range);
	bool is_list = of.is_known ? !of.is_map : f->range->type->kind == CEL_LIST;
	struct local item = { .path = below(e, p, items_of(p)), .has_size = of.is_known, .size = to_size(of.item) };
	struct local key = { .path = below(e, p, is_list ? NULL : keys_of(p)),
			     .has_size = of.is_known,
			     .size = to_size(of.key) };

	if (f->iter2.len) {
		e->locals[f->iter_slot] = key;
		e->locals[f->iter_slot + 1] = item;
	} else {
		e->locals[f->iter_slot] = is_list ? item : key;
	}
}

static struct range cost_fold(struct estimate *e, struct cel_node *n)
{
	struct cel_fold *f = n->fold;
	struct range sum = cost_of(e, f->range), step, size;

	sum = add(sum, cost_of(e, f->init));
	local_from(e, f->accu_slot, f->init);
	if (f->is_bind) {
		sum = add(sum, cost_of(e, f->result));
		if (size_of(e, f->result, &size))
			set_size(n, size);
		set_items(n, items_known(e, f->result));
		return sum;
	}
	iterators(e, f);
	step = cost_of(e, f->condition);
	step = add(step, cost_of(e, f->step));
	sum = add(sum, cost_of(e, f->result));
	size = size_or_unknown(e, f->range);
	sum = add(sum, multiply(size, step));
	if (f->init->kind == NODE_LITERAL) {
		set_size(n, size_or_unknown(e, f->init));
	} else {
		set_size(n, size);
		set_items(n, items_known(e, f->step));
	}
	return sum;
}

static struct range cost_select(struct estimate *e, struct cel_node *n)
{
	struct range sum = cost_of(e, n->target);
	const struct cel_path *p;
	const struct cel_field *field;

	if (n->is_test)
		return sum;
	if (n->target->type->kind == CEL_MAP || n->target->type->kind == CEL_OBJECT)
		sum = add(sum, fixed(1));
	p = path_of(e, n->target);
	field = p && p->type && p->type->kind == CEL_OBJECT ? cel_type_field(p->type, n->name) : NULL;
	n->path = below(e, p, field ? field->type : NULL);
	return sum;
}

static struct range cost_of(struct estimate *e, struct cel_node *n)
{
	struct range r = { 0, 0 };

	if (n->is_costed) /* a node that stands in the tree twice */
		return (struct range){ n->cost.min, n->cost.max };
	switch (n->kind) {
	case NODE_LITERAL:
		r = fixed(n->is_type_name);
		break;
	case NODE_IDENT:
		n->path = n->slot < e->program->env->count ? path_new(e, e->root) : e->locals[n->slot].path;
		r = fixed(1);
		break;
	case NODE_SELECT:
		r = cost_select(e, n);
		break;
	case NODE_CALL:
		r = cost_call(e, n);
		break;
	case NODE_LIST:
		r = cost_list(e, n);
		break;
	case NODE_MAP:
		r = cost_map(e, n);
		break;
	case NODE_FOLD:
		r = cost_fold(e, n);
		break;
	case NODE_MESSAGE:
		break;
	}
	n->is_costed = true;
	n->cost.min = r.min;
	n->cost.max = r.max;
	return r;
}

void cel_cost(struct cel_program *p, struct arena *arena, struct error *err)
{
	struct estimate e = { .program = p, .arena = arena, .err = err, .root = &cel_dyn };

	if (p->env->count)
		e.root = p->env->variables[0].type;
	e.locals = arena_calloc(arena, p->slots + 2u, sizeof(*e.locals), err);
	if (e.locals)
		p->cost = cost_of(&e, p->root).max;
}

/* ---- what a call did cost ---- */

static uint64_t walk(struct cel_call *c, const struct cel_value *v)
{
	uint64_t sum = 0;

	if (++c->work > CEL_WORK_MAX)
		return UINT64_MAX;
	switch (v->kind) {
	case CEL_STRING:
	case CEL_BYTES:
		return (uint64_t)((double)v->text.len * COST_LETTER);
	case CEL_LIST:
		for (uint64_t i = 0, n = cel_list_count(v); i < n; i++) {
			struct cel_value item = cel_list_item(c, v, i);

			sum = plus(sum, walk(c, &item));
		}
		return sum;
	case CEL_MAP:
		return times(cel_map_count(v), 2);
	default:
		return 1;
	}
}

static uint64_t pattern_count(const struct cel_value *text, const struct cel_value *pattern)
{
	return times(cel_times(plus(cel_size_of(text), 1), COST_LETTER), cel_times(cel_size_of(pattern), COST_PATTERN));
}

static uint64_t standard_count(const struct cel_overload *o, const struct cel_value *a)
{
	static const char *const walks[] = { "starts_with_string", "ends_with_string", "string_to_bytes",
					     "bytes_to_string",    "strings_quote",    "string_format" };

	for (size_t i = 0; i < ARRAY_LEN(walks); i++)
		if (has_id(o, walks[i]))
			return cel_times(cel_size_of(&a[0]), COST_LETTER);
	if (has_id(o, "in_list"))
		return cel_size_of(&a[1]);
	if (compares(o)) {
		if (has_id(o, "equals") && constant_cost(cel_type_of(&a[0])))
			return 1;
		return cel_times(MIN(cel_size_of(&a[0]), cel_size_of(&a[1])), COST_LETTER);
	}
	if (has_id(o, "add_string") || has_id(o, "add_bytes"))
		return cel_times(plus(cel_size_of(&a[0]), cel_size_of(&a[1])), COST_LETTER);
	if (has_id(o, "matches_string"))
		return pattern_count(&a[0], &a[1]);
	if (has_id(o, "contains_string"))
		return times(cel_times(cel_size_of(&a[0]), COST_LETTER), cel_times(cel_size_of(&a[1]), COST_LETTER));
	return 1;
}

uint64_t cel_call_cost(const struct cel_node *call, const struct cel_overload *o, const struct cel_value *a,
		       uint32_t count, const struct cel_value *result, struct cel_call *c)
{
	uint64_t n;

	(void)count;
	switch (cel_cost_rule(call->name)) {
	case COST_STANDARD:
		return standard_count(o, a);
	case COST_NOMINAL:
		return 1;
	case COST_WALK_LIST:
		return walk(c, &a[0]);
	case COST_WALK_TARGET:
	case COST_WALK_ARG:
		return cel_times(cel_size_of(&a[0]), COST_LETTER);
	case COST_REPLACE:
	case COST_SPLIT:
		return cel_times(cel_size_of(&a[0]), 2 * COST_LETTER);
	case COST_JOIN:
		return cel_times(cel_size_of(result), 2 * COST_LETTER);
	case COST_FIND:
		return pattern_count(&a[0], &a[1]);
	case COST_PARSE:
		return call->is_member ? 1 : cel_times(cel_size_of(&a[0]), COST_LETTER);
	case COST_PARSE_TWICE:
		return cel_times(cel_size_of(&a[0]), 2 * COST_LETTER);
	case COST_CONTAINS_IP:
	case COST_CONTAINS_CIDR:
		n = cel_times(2 * cel_size_of(&a[0]), COST_LETTER);
		if (cel_cost_rule(call->name) == COST_CONTAINS_CIDR)
			n = plus(n, plus(cel_times(cel_size_of(&a[0]), COST_LETTER), 1));
		return a[1].kind == CEL_STRING ? plus(n, cel_times(cel_size_of(&a[1]), COST_LETTER)) : n;
	case COST_VALIDATE:
		return times(cel_times(plus(cel_size_of(&a[1]), 1), COST_LETTER), cel_times(60, COST_PATTERN));
	case COST_SETS:
		return 1; /* the function itself has told */
	}
	return 1;
}
