/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the type of each node (langdef.md, "Gradual Type Checking"): unification with types to be found, overloads by name. */
#include "kube/crd/cel_private.h"

enum { STEPS_MAX = 4000000, PARAMS_MAX = 1000000 };

struct scope {
	struct span name;
	const struct cel_type *type;
	uint32_t slot;
	struct scope *outer;
};

struct bound { /* what was put for a type to be found, to be taken back */
	uint32_t param;
	const struct cel_type *before;
};

struct checker {
	struct cel_program *program;
	struct cel_faults *faults;
	struct arena *arena;
	struct error *err;
	struct scope *scope;
	uint32_t depth;                /* names that stand now */
	const struct cel_type **found; /* of each type to be found */
	uint32_t params, param_capacity;
	struct bound *trail;
	uint32_t trail_count, trail_capacity;
	uint64_t steps;
	bool is_over;
};

static void check(struct checker *c, struct cel_node *n);

/* ---- types to be found ---- */

static bool spend(struct checker *c)
{
	if (++c->steps <= STEPS_MAX)
		return true;
	if (!c->is_over)
		cel_fault_add(c->faults, SIZE_MAX, "the expression's types take too long to be found");
	c->is_over = true;
	return false;
}

static const struct cel_type *fresh(struct checker *c)
{
	struct cel_type *t = ARENA_NEW(c->arena, struct cel_type, c->err);

	if (c->params == c->param_capacity) {
		uint32_t capacity = c->param_capacity ? c->param_capacity * 2 : 64;
		const struct cel_type **grown =
		    capacity > PARAMS_MAX ? NULL : arena_calloc(c->arena, capacity, sizeof(struct cel_type *), c->err);

		if (!grown) {
			c->steps = STEPS_MAX;
			(void)spend(c);
			return &cel_dyn;
		}
		if (c->params)
			memcpy(grown, c->found, c->params * sizeof(struct cel_type *));
		c->found = grown;
		c->param_capacity = capacity;
	}
	if (!t)
		return &cel_dyn;
	t->kind = CEL_PARAM;
	t->param = c->params++;
	t->max_size = UINT64_MAX;
	return t;
}

static void bind(struct checker *c, const struct cel_type *param, const struct cel_type *to)
{
	if (c->trail_count == c->trail_capacity) {
		uint32_t capacity = c->trail_capacity ? c->trail_capacity * 2 : 64;
		struct bound *grown = ARENA_ARRAY(c->arena, struct bound, capacity, c->err);

		if (!grown)
			return;
		if (c->trail_count)
			memcpy(grown, c->trail, c->trail_count * sizeof(*grown));
		c->trail = grown;
		c->trail_capacity = capacity;
	}
	c->trail[c->trail_count++] = (struct bound){ param->param, c->found[param->param] };
	c->found[param->param] = to;
}

static void take_back(struct checker *c, uint32_t to)
{
	while (c->trail_count > to) {
		struct bound *b = &c->trail[--c->trail_count];

		c->found[b->param] = b->before;
	}
}

static bool is_dyn(const struct cel_type *t)
{
	return t->kind == CEL_DYN;
}

static bool has_params(const struct cel_type *t)
{
	return t->kind == CEL_LIST || t->kind == CEL_MAP || t->kind == CEL_OPTIONAL || t->kind == CEL_TYPE;
}

/* Is `param` nowhere in `within`? Otherwise a type would hold itself. */
static bool is_absent(struct checker *c, const struct cel_type *param, const struct cel_type *within)
{
	if (!spend(c) || cel_type_same(param, within))
		return false;
	if (within->kind == CEL_PARAM)
		return !c->found[within->param] || is_absent(c, param, c->found[within->param]);
	for (int i = 0; has_params(within) && i < 2; i++)
		if (within->params[i] && !is_absent(c, param, within->params[i]))
			return false;
	return true;
}

static bool is_less_specific(struct checker *c, const struct cel_type *a, const struct cel_type *b)
{
	if (!spend(c) || is_dyn(a) || a->kind == CEL_PARAM)
		return true;
	if (is_dyn(b) || b->kind == CEL_PARAM || a->kind != b->kind)
		return false;
	if (a->kind == CEL_TYPE)
		return true;
	if (!has_params(a))
		return cel_type_same(a, b);
	for (int i = 0; i < 2; i++)
		if (a->params[i] && b->params[i] && !is_less_specific(c, a->params[i], b->params[i]))
			return false;
	return true;
}

static const struct cel_type *more_general(struct checker *c, const struct cel_type *a, const struct cel_type *b)
{
	return is_less_specific(c, a, b) ? a : b;
}

static bool fits(struct checker *c, const struct cel_type *a, const struct cel_type *b);

/* Can `to` stand for the type to be found `param`? *ret_has: something stands for it already. */
static bool can_stand(struct checker *c, const struct cel_type *to, const struct cel_type *param, bool *ret_has)
{
	const struct cel_type *now;

	*ret_has = true;
	if (cel_type_same(to, param))
		return true;
	now = c->found[param->param];
	if (!now) {
		*ret_has = false;
		if (!is_absent(c, param, to))
			return false;
		bind(c, param, to);
		return true;
	}
	if (cel_type_same(to, now))
		return true;
	if (fits(c, to, now)) {
		const struct cel_type *general = more_general(c, to, now);

		if (is_absent(c, param, general))
			bind(c, param, general);
		return true;
	}
	return false;
}

static bool is_nullable(const struct cel_type *t)
{
	switch (t->kind) {
	case CEL_NULL:
	case CEL_OPTIONAL:
	case CEL_OBJECT:
	case CEL_QUANTITY:
	case CEL_URL:
	case CEL_IP:
	case CEL_CIDR:
	case CEL_SEMVER:
	case CEL_FORMAT:
	case CEL_DURATION:
	case CEL_TIMESTAMP:
		return true;
	default:
		return false;
	}
}

static bool fits(struct checker *c, const struct cel_type *a, const struct cel_type *b)
{
	bool has;

	if (!spend(c))
		return false;
	if (b->kind == CEL_PARAM) {
		if (can_stand(c, a, b, &has))
			return true;
		if (has)
			return false;
	}
	if (a->kind == CEL_PARAM)
		return can_stand(c, b, a, &has);
	if (is_dyn(a) || is_dyn(b) || a->kind == CEL_ERROR || b->kind == CEL_ERROR)
		return true;
	if (a->kind == CEL_NULL)
		return is_nullable(b);
	if (b->kind == CEL_NULL)
		return is_nullable(a);
	if (a->kind != b->kind)
		return false;
	if (a->kind == CEL_TYPE)
		return true;
	if (!has_params(a))
		return cel_type_same(a, b);
	for (int i = 0; i < 2; i++)
		if (a->params[i] && b->params[i] && !fits(c, a->params[i], b->params[i]))
			return false;
	return true;
}

/* fits(), which leaves no trace when it does not. */
static bool assign(struct checker *c, const struct cel_type *a, const struct cel_type *b)
{
	uint32_t before = c->trail_count;

	if (fits(c, a, b))
		return true;
	take_back(c, before);
	return false;
}

static const struct cel_type *substitute(struct checker *c, const struct cel_type *t, bool to_dyn)
{
	const struct cel_type *params[2] = { NULL, NULL };
	struct cel_type *made;
	bool changed = false;

	if (!spend(c))
		return &cel_dyn;
	while (t->kind == CEL_PARAM && c->found && c->found[t->param] && spend(c))
		t = c->found[t->param];
	if (t->kind == CEL_PARAM)
		return to_dyn ? &cel_dyn : t;
	if (!has_params(t))
		return t;
	for (int i = 0; i < 2; i++) {
		params[i] = t->params[i] ? substitute(c, t->params[i], to_dyn) : NULL;
		changed |= params[i] != t->params[i];
	}
	if (!changed)
		return t;
	made = ARENA_NEW(c->arena, struct cel_type, c->err);
	if (!made)
		return &cel_dyn;
	*made = *t;
	made->params[0] = params[0];
	made->params[1] = params[1];
	return made;
}

/* ---- faults ---- */

static void fault_types(struct checker *c, const struct cel_node *n, const struct cel_type *wanted,
			const struct cel_type *given)
{
	struct span a = cel_type_print(substitute(c, wanted, false), c->arena, c->err);
	struct span b = cel_type_print(substitute(c, given, false), c->arena, c->err);

	cel_fault_add(c->faults, n->at, "expected type '%.*s' but found '%.*s'", (int)a.len, a.ptr, (int)b.len, b.ptr);
}

static void fault_undeclared(struct checker *c, struct cel_node *n, struct span name)
{
	n->type = &cel_error;
	cel_fault_add(c->faults, n->at, "undeclared reference to '%.*s' (in container '')", (int)name.len, name.ptr);
}

/* ---- names ---- */

static const struct cel_type *type_named(struct span name)
{
	static const struct cel_type list = { .kind = CEL_LIST, .params = { &cel_dyn } },
				     map = { .kind = CEL_MAP, .params = { &cel_dyn, &cel_dyn } },
				     optional = { .kind = CEL_OPTIONAL, .params = { &cel_dyn } };
	static const struct {
		const char *name;
		const struct cel_type *type;
	} names[] = {
		{ "bool", &cel_bool },
		{ "int", &cel_int },
		{ "uint", &cel_uint },
		{ "double", &cel_double },
		{ "string", &cel_string },
		{ "bytes", &cel_bytes },
		{ "list", &list },
		{ "map", &map },
		{ "null_type", &cel_null },
		{ "type", &cel_type_type },
		{ "optional_type", &optional },
		{ "google.protobuf.Timestamp", &cel_timestamp },
		{ "google.protobuf.Duration", &cel_duration },
		{ "kubernetes.Quantity", &cel_quantity },
		{ "kubernetes.URL", &cel_url },
		{ "net.IP", &cel_ip },
		{ "net.CIDR", &cel_cidr },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_equal(name, span_of(names[i].name)))
			return names[i].type;
	return NULL;
}

static bool use_name(struct checker *c, struct cel_node *n, struct span name)
{
	const struct cel_env *env = c->program->env;
	const struct cel_type *named;
	struct cel_type *of;

	if (span_starts(name, SPAN(".")))
		name = span_skip(name, 1);
	else
		for (struct scope *s = c->scope; s; s = s->outer) {
			if (span_equal(s->name, name)) {
				n->kind = NODE_IDENT;
				n->name = name;
				n->type = s->type;
				n->slot = s->slot;
				return true;
			}
		}
	for (size_t i = 0; i < env->count; i++) {
		if (span_equal(env->variables[i].name, name)) {
			n->kind = NODE_IDENT;
			n->name = name;
			n->type = env->variables[i].type;
			n->slot = (uint32_t)i;
			c->program->uses[i] = true;
			return true;
		}
	}
	named = type_named(name);
	of = named ? ARENA_NEW(c->arena, struct cel_type, c->err) : NULL;
	if (!of)
		return false;
	*of = cel_type_type;
	of->params[0] = named;
	n->kind = NODE_LITERAL;
	n->is_type_name = true;
	n->literal = (struct cel_value){ .kind = CEL_TYPE, .type = named };
	n->type = of;
	return true;
}

/* "a.b.c" of a selection of names. */
static bool qualified(struct checker *c, const struct cel_node *n, struct span *ret)
{
	struct span left;

	if (n->kind == NODE_IDENT) {
		*ret = n->name;
		return true;
	}
	if (n->kind != NODE_SELECT || n->is_test || !qualified(c, n->target, &left))
		return false;
	*ret = arena_print(c->arena, c->err, "%.*s.%.*s", (int)left.len, left.ptr, (int)n->name.len, n->name.ptr);
	return ret->ptr != NULL;
}

static bool is_local(const struct checker *c, struct span name)
{
	for (const struct scope *s = c->scope; s; s = s->outer)
		if (span_equal(s->name, name))
			return true;
	return false;
}

static const struct cel_type *check_field(struct checker *c, struct cel_node *n, struct cel_node *of, struct span name,
					  bool is_optional)
{
	const struct cel_type *type, *result = &cel_error;
	struct cel_type *wrapped;
	const struct cel_field *field;
	bool was_optional;

	check(c, of);
	if (!of->type)
		return &cel_error;
	type = substitute(c, of->type, false);
	was_optional = type->kind == CEL_OPTIONAL;
	if (was_optional)
		type = type->params[0];
	switch (type->kind) {
	case CEL_MAP:
		result = type->params[1];
		break;
	case CEL_OBJECT:
		field = cel_type_field(type, name);
		if (field)
			result = field->type;
		else
			cel_fault_add(c->faults, n->at, "undefined field '%.*s'", (int)name.len, name.ptr);
		break;
	case CEL_QUANTITY: /* objects without fields */
	case CEL_URL:
	case CEL_SEMVER:
	case CEL_FORMAT:
		cel_fault_add(c->faults, n->at, "undefined field '%.*s'", (int)name.len, name.ptr);
		break;
	case CEL_PARAM:
		(void)assign(c, &cel_dyn, type);
		result = &cel_dyn;
		break;
	case CEL_DYN:
	case CEL_ERROR:
		result = &cel_dyn;
		break;
	default: {
		struct span text = cel_type_print(substitute(c, type, false), c->arena, c->err);

		cel_fault_add(c->faults, n->at, "type '%.*s' does not support field selection", (int)text.len,
			      text.ptr);
		result = &cel_dyn;
	}
	}
	if (!was_optional && !is_optional)
		return result;
	wrapped = cel_type_optional(result, c->arena, c->err);
	return wrapped ? wrapped : &cel_error;
}

static void check_select(struct checker *c, struct cel_node *n)
{
	struct span name = { 0 };
	const struct cel_type *type;

	if (!n->is_test && qualified(c, n, &name) && (type_named(name) || is_local(c, name)) && use_name(c, n, name))
		return;
	type = check_field(c, n, n->target, n->name, false);
	n->type = n->is_test ? &cel_bool : substitute(c, type, false);
}

/* ---- calls ---- */

static bool takes_count(const struct cel_overload *o, uint32_t count)
{
	uint32_t n = 0;

	for (const char *p = o->takes; *p; p++) {
		int open = 0;

		while (*p == '[' || *p == '?' || *p == 'T')
			p++;
		if (*p == '{') {
			for (open = 1; open && p[1];) {
				p++;
				open += (*p == '{') - (*p == '}');
			}
		}
		n++;
	}
	return n == count;
}

static void fault_overload(struct checker *c, struct cel_node *n, const struct cel_type **types, uint32_t count)
{
	struct buffer text;

	buffer_init(&text, KIB(32));
	for (uint32_t i = 0; i < count; i++) {
		struct span one = cel_type_print(substitute(c, types[i], true), c->arena, c->err);

		if (i == 0 && n->is_member) {
			buffer_append(&text, one);
			buffer_append(&text, SPAN(".("));
			continue;
		}
		if (i == 0)
			buffer_byte(&text, '(');
		else if (i > 1u * n->is_member)
			buffer_append(&text, SPAN(", "));
		buffer_append(&text, one);
	}
	if (!count)
		buffer_byte(&text, '(');
	buffer_byte(&text, ')');
	cel_fault_add(c->faults, n->at, "found no matching overload for '%.*s' applied to '%.*s'", (int)n->name.len,
		      n->name.ptr, (int)text.len, text.ptr);
	buffer_done(&text);
}

static bool overload_fits(struct checker *c, const struct cel_overload *o, const struct cel_type **types,
			  uint32_t count, const struct cel_type **ret_gives)
{
	const char *letters = o->takes;
	const struct cel_type *params[2] = { &cel_dyn, &cel_dyn };
	uint32_t before = c->trail_count;

	if (strpbrk(o->takes, "AB") || strpbrk(o->gives, "AB")) {
		params[0] = fresh(c);
		params[1] = fresh(c);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct cel_type *wanted = cel_type_letters(&letters, params, c->arena, c->err);

		if (!wanted || !fits(c, types[i], wanted)) {
			take_back(c, before);
			return false;
		}
	}
	letters = o->gives;
	*ret_gives = cel_type_letters(&letters, params, c->arena, c->err);
	return *ret_gives != NULL;
}

/* && and || take any number of conditions and tell each that is none. */
static void check_logic(struct checker *c, struct cel_node *n)
{
	n->type = &cel_bool;
	for (uint32_t i = 0; i < n->count; i++) {
		if (n->args[i]->type && !assign(c, n->args[i]->type, &cel_bool)) {
			fault_types(c, n->args[i], &cel_bool, n->args[i]->type);
			n->type = &cel_error;
		}
	}
}

static void resolve(struct checker *c, struct cel_node *n, const struct cel_overload *const *rows, size_t row_count)
{
	const struct cel_type **types = ARENA_ARRAY(c->arena, const struct cel_type *, n->count + 1u, c->err);
	const struct cel_overload **kept = ARENA_ARRAY(c->arena, const struct cel_overload *, row_count, c->err);
	const struct cel_type *result = NULL, *gives = NULL;
	uint32_t count = 0;

	n->type = &cel_error;
	if (!types || !kept)
		return;
	if (n->is_member)
		types[count++] = n->target->type;
	for (uint32_t i = 0; i < n->count; i++)
		types[count++] = n->args[i]->type;
	for (uint32_t i = 0; i < count; i++)
		if (!types[i])
			return;
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i]->is_member != n->is_member || !takes_count(rows[i], count) ||
		    (rows[i]->is_newest && !c->program->env->has_newest) ||
		    !overload_fits(c, rows[i], types, count, &gives))
			continue;
		kept[n->overload_count++] = rows[i];
		gives = substitute(c, gives, false);
		if (!result)
			result = gives;
		else if (!is_dyn(result) && !cel_type_same(gives, result))
			result = &cel_dyn;
	}
	n->overloads = kept;
	if (result)
		n->type = result;
	else
		fault_overload(c, n, types, count);
}

static const struct cel_overload *const *rows_of(struct checker *c, struct span name, size_t *ret_count)
{
	const struct cel_overload *const *rows = cel_overloads_of(name, ret_count);

	for (size_t i = 0; rows && i < *ret_count; i++)
		if (!rows[i]->is_newest || c->program->env->has_newest)
			return rows;
	return NULL;
}

static void check_call(struct checker *c, struct cel_node *n)
{
	const struct cel_overload *const *rows;
	struct span name = { 0 };
	size_t count = 0;

	if (span_equal(n->name, SPAN("_?._"))) {
		const struct cel_type *type = check_field(c, n, n->args[0], n->args[1]->literal.text, true);

		n->type = substitute(c, type, false);
		n->args[1]->type = &cel_string;
		n->overloads = cel_overloads_of(n->name, &count);
		n->overload_count = n->overloads ? 1 : 0;
		return;
	}
	for (uint32_t i = 0; i < n->count; i++)
		check(c, n->args[i]);
	if (n->is_member && qualified(c, n->target, &name) && !is_local(c, name)) {
		struct span full =
		    arena_print(c->arena, c->err, "%.*s.%.*s", (int)name.len, name.ptr, (int)n->name.len, n->name.ptr);

		if (span_starts(full, SPAN(".")))
			full = span_skip(full, 1);
		rows = full.ptr ? rows_of(c, full, &count) : NULL;
		if (rows) {
			n->is_member = false;
			n->target = NULL;
			n->name = full;
			resolve(c, n, rows, count);
			return;
		}
	}
	if (n->is_member)
		check(c, n->target);
	if (!n->is_member && span_starts(n->name, SPAN(".")))
		n->name = span_skip(n->name, 1);
	rows = rows_of(c, n->name, &count);
	if (!rows) {
		fault_undeclared(c, n, n->name);
		return;
	}
	if (span_equal(n->name, SPAN("_&&_")) || span_equal(n->name, SPAN("_||_"))) {
		n->overloads = rows;
		n->overload_count = 1;
		check_logic(c, n);
		return;
	}
	resolve(c, n, rows, count);
}

/* ---- lists, maps ---- */

static const struct cel_type *join(struct checker *c, const struct cel_node *n, const struct cel_type *before,
				   const struct cel_type *now)
{
	if (!before)
		return now;
	if (assign(c, before, now))
		return more_general(c, before, now);
	if (c->program->env->is_mixed)
		return &cel_dyn;
	fault_types(c, n, before, now);
	return &cel_error;
}

static const struct cel_type *item_type(struct checker *c, struct cel_node *n, bool is_optional)
{
	const struct cel_type *t;

	check(c, n);
	t = n->type ? n->type : &cel_error;
	if (!is_optional)
		return t;
	if (t->kind == CEL_OPTIONAL)
		return t->params[0];
	if (!is_dyn(t)) {
		struct cel_type *wanted = cel_type_optional(t, c->arena, c->err);

		if (wanted)
			fault_types(c, n, wanted, t);
	}
	return t;
}

static void check_list(struct checker *c, struct cel_node *n)
{
	const struct cel_type *items = NULL;

	for (uint32_t i = 0; i < n->count; i++)
		items = join(c, n->args[i], items, item_type(c, n->args[i], n->is_optional && n->is_optional[i]));
	n->type = cel_type_list(items ? items : fresh(c), c->arena, c->err);
}

static void check_map(struct checker *c, struct cel_node *n)
{
	const struct cel_type *keys = NULL, *items = NULL;

	for (uint32_t i = 0; i + 1 < n->count; i += 2) {
		keys = join(c, n->args[i], keys, item_type(c, n->args[i], false));
		items =
		    join(c, n->args[i + 1], items, item_type(c, n->args[i + 1], n->is_optional && n->is_optional[i]));
	}
	if (!keys) {
		keys = fresh(c);
		items = fresh(c);
	}
	n->type = cel_type_map(keys, items, c->arena, c->err);
}

/* ---- folds ---- */

static void enter(struct checker *c, struct scope *s, struct span name, const struct cel_type *type)
{
	s->name = name;
	s->type = type;
	s->slot = (uint32_t)c->program->env->count + c->depth++;
	s->outer = c->scope;
	c->scope = s;
	if (s->slot >= c->program->slots)
		c->program->slots = s->slot + 1;
}

static void leave(struct checker *c)
{
	c->scope = c->scope->outer;
	c->depth--;
}

static void range_types(struct checker *c, const struct cel_fold *f, const struct cel_type **ret_first,
			const struct cel_type **ret_second)
{
	const struct cel_type *range = substitute(c, f->range->type ? f->range->type : &cel_error, false);
	struct span text;

	*ret_first = *ret_second = &cel_dyn;
	switch (range->kind) {
	case CEL_LIST:
		*ret_first = f->iter2.len ? &cel_int : range->params[0];
		*ret_second = range->params[0];
		return;
	case CEL_MAP:
		*ret_first = range->params[0];
		*ret_second = range->params[1];
		return;
	case CEL_DYN:
	case CEL_ERROR:
	case CEL_PARAM:
		(void)assign(c, &cel_dyn, range);
		return;
	default:
		text = cel_type_print(range, c->arena, c->err);
		cel_fault_add(
		    c->faults, f->range->at,
		    "expression of type '%.*s' cannot be range of a comprehension (must be list, map, or dynamic)",
		    (int)text.len, text.ptr);
		*ret_first = *ret_second = &cel_error;
	}
}

static void must_be(struct checker *c, const struct cel_node *n, const struct cel_type *type)
{
	if (n->type && !assign(c, type, n->type))
		fault_types(c, n, type, n->type);
}

static void check_fold(struct checker *c, struct cel_node *n)
{
	struct cel_fold *f = n->fold;
	const struct cel_type *first, *second, *accu;
	struct scope accumulator, one, two;

	check(c, f->range);
	check(c, f->init);
	accu = f->init->type ? f->init->type : &cel_error;
	enter(c, &accumulator, f->accu, accu);
	f->accu_slot = accumulator.slot;
	range_types(c, f, &first, &second);
	enter(c, &one, f->iter, first);
	f->iter_slot = one.slot;
	if (f->iter2.len)
		enter(c, &two, f->iter2, second);
	check(c, f->condition);
	must_be(c, f->condition, &cel_bool);
	check(c, f->step);
	must_be(c, f->step, accu);
	if (f->iter2.len)
		leave(c);
	leave(c);
	check(c, f->result);
	leave(c);
	n->type = f->result->type ? substitute(c, f->result->type, false) : &cel_error;
}

/* ---- all ---- */

static void check(struct checker *c, struct cel_node *n)
{
	if (n->type || c->is_over || c->err->code) /* one node may stand in the tree twice */
		return;
	switch (n->kind) {
	case NODE_LITERAL:
		n->type = cel_type_of(&n->literal);
		break;
	case NODE_IDENT:
		if (!use_name(c, n, n->name))
			fault_undeclared(c, n, n->name);
		break;
	case NODE_SELECT:
		check_select(c, n);
		break;
	case NODE_CALL:
		check_call(c, n);
		break;
	case NODE_LIST:
		check_list(c, n);
		break;
	case NODE_MAP:
		check_map(c, n);
		break;
	case NODE_MESSAGE:
		fault_undeclared(c, n, n->name);
		break;
	case NODE_FOLD:
		check_fold(c, n);
		break;
	}
}

/* Types that were found late reach every node. */
static void finish(struct checker *c, struct cel_node *n)
{
	if (!n || n->is_final)
		return;
	n->is_final = true;
	n->type = n->type ? substitute(c, n->type, true) : &cel_error;
	finish(c, n->target);
	for (uint32_t i = 0; i < n->count; i++)
		finish(c, n->args[i]);
	if (n->fold) {
		finish(c, n->fold->range);
		finish(c, n->fold->init);
		finish(c, n->fold->condition);
		finish(c, n->fold->step);
		finish(c, n->fold->result);
	}
}

void cel_check(struct cel_program *p, struct cel_faults *f)
{
	struct checker c = { .program = p, .faults = f, .arena = f->arena, .err = f->err };

	p->slots = (uint32_t)p->env->count;
	check(&c, p->root);
	finish(&c, p->root);
}
