/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the tree (langdef.md, "Evaluation"). Errors are values: && and || absorb them when the other side decides. */
#include "kube/crd/cel_cost.h"

struct evaluator {
	const struct cel_program *program;
	struct cel_value *slots;
	struct cel_call call;
	uint64_t cost, limit;
};

#define CANCELLED cel_fail(SPAN("operation cancelled: actual cost limit exceeded"))

static struct cel_value eval(struct evaluator *e, const struct cel_node *n);

/* True while there is something left to spend. */
static bool spend(struct evaluator *e, uint64_t cost)
{
	if (__builtin_add_overflow(e->cost, cost, &e->cost))
		e->cost = UINT64_MAX;
	e->call.left = e->cost < e->limit ? e->limit - e->cost : 0;
	return e->cost <= e->limit && e->call.work <= CEL_WORK_MAX && !e->call.err->code;
}

static bool is_over(const struct evaluator *e)
{
	return e->cost > e->limit || e->call.work > CEL_WORK_MAX || e->call.err->code;
}

/* ---- selecting ---- */

static struct cel_value none(void)
{
	return cel_optional(NULL);
}

static struct cel_value some(struct evaluator *e, struct cel_value v)
{
	struct cel_value *kept;

	if (v.kind == CEL_ERROR)
		return v;
	kept = ARENA_NEW(e->call.arena, struct cel_value, e->call.err);
	if (!kept)
		return none();
	*kept = v;
	return cel_optional(kept);
}

/* The field or item when it is there; absent is no fault here. */
static struct cel_value find(struct evaluator *e, const struct cel_value *v, const struct cel_value *key)
{
	struct cel_value found;

	if (v->kind == CEL_ERROR || key->kind == CEL_ERROR)
		return v->kind == CEL_ERROR ? *v : *key;
	if (v->kind == CEL_LIST) {
		found = cel_index(&e->call, v, key);
		if (found.kind == CEL_ERROR && span_starts(found.text, SPAN("index out of bounds")))
			return none();
		return some(e, found);
	}
	if (v->kind == CEL_MAP && cel_map_find(&e->call, v, key, &found))
		return some(e, found);
	return none();
}

static struct cel_value find_in(struct evaluator *e, const struct cel_value *v, const struct cel_value *key)
{
	if (v->kind == CEL_OPTIONAL)
		return v->optional ? find(e, v->optional, key) : none();
	return find(e, v, key);
}

static struct cel_value eval_select(struct evaluator *e, const struct cel_node *n)
{
	struct cel_value of = eval(e, n->target), key = cel_text(n->name), found;

	if (of.kind == CEL_ERROR)
		return of;
	if (n->is_test) {
		found = find_in(e, &of, &key);
		return found.kind == CEL_ERROR ? found : cel_of_bool(found.optional != NULL);
	}
	if (!spend(e, 1))
		return CANCELLED;
	return of.kind == CEL_OPTIONAL ? find_in(e, &of, &key) : cel_field_of(&e->call, &of, n->name);
}

static struct cel_value eval_index(struct evaluator *e, const struct cel_node *n, bool is_optional)
{
	struct cel_value of = eval(e, n->args[0]), at = eval(e, n->args[1]);

	if (!spend(e, 1))
		return CANCELLED;
	if (of.kind == CEL_ERROR || at.kind == CEL_ERROR)
		return of.kind == CEL_ERROR ? of : at;
	if (is_optional || of.kind == CEL_OPTIONAL)
		return find_in(e, &of, &at);
	return cel_index(&e->call, &of, &at);
}

/* ---- logic ---- */

static struct cel_value eval_logic(struct evaluator *e, const struct cel_node *n, bool decides)
{
	struct cel_value fault = { .kind = CEL_NULL };

	for (uint32_t i = 0; i < n->count; i++) {
		struct cel_value v = eval(e, n->args[i]);

		if (v.kind == CEL_BOOL && v.boolean == decides)
			return v;
		if (is_over(e))
			return CANCELLED;
		if (v.kind != CEL_BOOL && fault.kind != CEL_ERROR)
			fault = v.kind == CEL_ERROR ? v : CEL_NO_OVERLOAD;
	}
	return fault.kind == CEL_ERROR ? fault : cel_of_bool(!decides);
}

static struct cel_value eval_choice(struct evaluator *e, const struct cel_node *n)
{
	struct cel_value v = eval(e, n->args[0]);

	if (v.kind == CEL_ERROR)
		return v;
	if (v.kind != CEL_BOOL)
		return CEL_NO_OVERLOAD;
	return eval(e, n->args[v.boolean ? 1 : 2]);
}

/* a.or(b), a.orValue(b): b is looked at only when a has nothing. */
static struct cel_value eval_or(struct evaluator *e, const struct cel_node *n, bool wants_value)
{
	struct cel_value v = eval(e, n->target);

	if (v.kind == CEL_ERROR)
		return v;
	if (v.kind != CEL_OPTIONAL)
		return v;
	if (v.optional)
		return wants_value ? *v.optional : v;
	return eval(e, n->args[0]);
}

/* ---- calls ---- */

static bool kind_fits(char letter, const struct cel_value *v)
{
	static const char letters[] = "nbiudsytrqUPNvF[{?T";
	static const enum cel_kind kinds[] = { CEL_NULL,   CEL_BOOL,  CEL_INT,       CEL_UINT,     CEL_DOUBLE,
					       CEL_STRING, CEL_BYTES, CEL_TIMESTAMP, CEL_DURATION, CEL_QUANTITY,
					       CEL_URL,    CEL_IP,    CEL_CIDR,      CEL_SEMVER,   CEL_FORMAT,
					       CEL_LIST,   CEL_MAP,   CEL_OPTIONAL,  CEL_TYPE };
	const char *at = strchr(letters, letter);

	return !at || kinds[at - letters] == v->kind;
}

static const char *next_letter(const char *p)
{
	while (*p == '[' || *p == '?' || *p == 'T')
		p++;
	if (*p == '{') {
		p = next_letter(p + 1);
		p = next_letter(p);
		return p + 1;
	}
	return p + 1;
}

static bool row_fits(const struct cel_overload *o, const struct cel_value *args, uint32_t count)
{
	const char *p = o->takes;

	for (uint32_t i = 0; i < count; i++) {
		if (!*p || !kind_fits(*p, &args[i]))
			return false;
		p = next_letter(p);
	}
	return !*p;
}

static struct cel_value no_overload(struct evaluator *e, const struct cel_node *n, const struct cel_value *args,
				    uint32_t count)
{
	bool is_operator = n->name.len && strchr("_!-@", n->name.ptr[0]);
	struct buffer text;
	struct cel_value v;

	if (span_equal(n->name, SPAN("contains")) || span_equal(n->name, SPAN("startsWith")) ||
	    span_equal(n->name, SPAN("endsWith")) || span_equal(n->name, SPAN("@in")))
		return CEL_NO_OVERLOAD;
	for (uint32_t i = 0; is_operator && i < n->overload_count; i++)
		if (count && kind_fits(n->overloads[i]->takes[0], &args[0]))
			return CEL_NO_OVERLOAD;
	if (is_operator || span_equal(n->name, SPAN("size")) || span_equal(n->name, SPAN("matches")))
		return cel_fail_print(&e->call, "no such overload: " SPAN_FMT, SPAN_ARG(n->name));
	buffer_init(&text, 4096);
	for (uint32_t i = 0; i < count; i++) {
		struct cel_type bare = *cel_type_of(&args[i]);

		bare.params[0] = bare.params[1] = NULL;
		if (i)
			buffer_append(&text, SPAN(", "));
		buffer_append(&text, cel_type_print(&bare, e->call.arena, e->call.err));
	}
	v = cel_fail_print(&e->call, "no such overload: " SPAN_FMT "(%.*s)", SPAN_ARG(n->name), (int)text.len,
			   text.ptr ? text.ptr : "");
	buffer_done(&text);
	return v;
}

static struct cel_value call_row(struct evaluator *e, const struct cel_node *n, struct cel_value *args, uint32_t count)
{
	const struct cel_overload *row = NULL;
	struct cel_value v;
	uint64_t cost;

	for (uint32_t i = 0; !row && i < n->overload_count; i++)
		if (row_fits(n->overloads[i], args, count))
			row = n->overloads[i];
	if (!row || !row->call)
		return no_overload(e, n, args, count);
	e->call.node = n;
	e->call.cost = 0;
	v = row->call(&e->call, args);
	cost = cel_call_cost(n, row, args, count, &v, &e->call);
	return spend(e, MAX(cost, e->call.cost)) ? v : CANCELLED;
}

/* accumulator + [item] of a macro: the list is the macro's own, and grows in place. */
static struct cel_value eval_append(struct evaluator *e, const struct cel_node *n)
{
	struct cel_value accu = eval(e, n->args[0]), v;

	if (accu.kind == CEL_ERROR || accu.is_data)
		return accu;
	for (uint32_t i = 1; i < n->count; i++)
		if (n->args[i]->kind == NODE_LIST && !spend(e, COST_LIST + 1))
			return CANCELLED;
	if (accu.kind == CEL_LIST) {
		v = eval(e, n->args[1]->args[0]);
		if (v.kind == CEL_ERROR)
			return v;
		(void)cel_list_append(&e->call, (struct cel_list *)(uintptr_t)accu.list, v);
		return accu;
	}
	v = eval(e, n->args[1]);
	if (!spend(e, 1))
		return CANCELLED;
	if (v.kind == CEL_ERROR)
		return v;
	if (n->count == 3) {
		struct cel_value item = eval(e, n->args[2]);

		if (item.kind == CEL_ERROR)
			return item;
		if (!cel_map_insert(&e->call, (struct cel_map *)(uintptr_t)accu.map, v, item)) {
			struct span text = cel_print(&v, e->call.arena, e->call.err);

			return cel_fail_print(&e->call, "insert failed: key %.*s already exists",
					      (int)MIN(text.len, 512), text.ptr);
		}
		return accu;
	}
	if (v.kind != CEL_MAP)
		return CEL_NO_OVERLOAD;
	for (uint64_t i = 0, count = cel_map_count(&v); i < count; i++) {
		bool is_there;
		struct cel_value key = cel_map_key(&e->call, &v, i, &is_there), item = { 0 };

		if (!is_there || !cel_map_find(&e->call, &v, &key, &item))
			continue;
		if (!cel_map_insert(&e->call, (struct cel_map *)(uintptr_t)accu.map, key, item)) {
			struct span text = cel_print(&key, e->call.arena, e->call.err);

			return cel_fail_print(&e->call, "insert failed: key %.*s already exists",
					      (int)MIN(text.len, 512), text.ptr);
		}
	}
	return accu;
}

static struct cel_value eval_not_strictly_false(struct evaluator *e, const struct cel_node *n)
{
	struct cel_value v = eval(e, n->args[0]);

	if (!spend(e, 1))
		return CANCELLED;
	return cel_of_bool(v.kind != CEL_BOOL || v.boolean);
}

static struct cel_value eval_call(struct evaluator *e, const struct cel_node *n)
{
	struct cel_value args[8];
	uint32_t count = 0;
	const char *id = n->overload_count ? n->overloads[0]->id : "";

	if (n->appends)
		return eval_append(e, n);
	if (n->overload_count && !n->overloads[0]->call) {
		if (!strcmp(id, "logical_or") || !strcmp(id, "logical_and"))
			return eval_logic(e, n, !strcmp(id, "logical_or"));
		if (!strcmp(id, "conditional"))
			return eval_choice(e, n);
		if (!strcmp(id, "not_strictly_false"))
			return eval_not_strictly_false(e, n);
		if (!strcmp(id, "select_optional_field"))
			return eval_index(e, n, true);
		if (span_equal(n->name, SPAN("_[_]")) || span_equal(n->name, SPAN("_[?_]")))
			return eval_index(e, n, span_equal(n->name, SPAN("_[?_]")));
		if (!strcmp(id, "optional_or_optional") || !strcmp(id, "optional_orValue_value"))
			return eval_or(e, n, !strcmp(id, "optional_orValue_value"));
	}
	if (n->count + n->is_member > ARRAY_LEN(args))
		return CEL_NO_OVERLOAD;
	if (n->is_member)
		args[count++] = eval(e, n->target);
	for (uint32_t i = 0; i < n->count; i++)
		args[count++] = eval(e, n->args[i]);
	if (is_over(e))
		return CANCELLED;
	for (uint32_t i = 0; i < count; i++)
		if (args[i].kind == CEL_ERROR)
			return args[i];
	return call_row(e, n, args, count);
}

/* ---- lists, maps ---- */

static struct cel_value eval_list(struct evaluator *e, const struct cel_node *n)
{
	struct cel_list *list;
	struct cel_value made = cel_list_new(&e->call, n->count, &list);

	for (uint32_t i = 0; list && i < n->count; i++) {
		struct cel_value v = eval(e, n->args[i]);

		if (v.kind == CEL_ERROR)
			return v;
		if (n->is_optional && n->is_optional[i]) {
			if (v.kind != CEL_OPTIONAL)
				return cel_fail(
				    SPAN("cannot initialize optional list element from non-optional value"));
			if (!v.optional)
				continue;
			v = *v.optional;
		}
		(void)cel_list_append(&e->call, list, v);
	}
	return spend(e, COST_LIST) ? made : CANCELLED;
}

static struct cel_value eval_map(struct evaluator *e, const struct cel_node *n)
{
	struct cel_map *map = ARENA_NEW(e->call.arena, struct cel_map, e->call.err);

	for (uint32_t i = 0; map && i + 1 < n->count; i += 2) {
		struct cel_value key = eval(e, n->args[i]), v = eval(e, n->args[i + 1]);

		if (key.kind == CEL_ERROR || v.kind == CEL_ERROR)
			return key.kind == CEL_ERROR ? key : v;
		if (key.kind != CEL_STRING && key.kind != CEL_INT && key.kind != CEL_UINT && key.kind != CEL_BOOL)
			return cel_fail_print(&e->call, "unsupported key type: " SPAN_FMT,
					      SPAN_ARG(cel_type_print(cel_type_of(&key), e->call.arena, e->call.err)));
		if (n->is_optional && n->is_optional[i]) {
			if (v.kind != CEL_OPTIONAL)
				return cel_fail(SPAN("cannot initialize optional entry from non-optional value"));
			if (!v.optional)
				continue;
			v = *v.optional;
		}
		if (!cel_map_insert(&e->call, map, key, v)) {
			struct span text = cel_print(&key, e->call.arena, e->call.err);

			return cel_fail_print(&e->call, "Failed with repeated key: %.*s", (int)MIN(text.len, 512),
					      text.ptr);
		}
	}
	if (!map || !spend(e, COST_MAP))
		return CANCELLED;
	return (struct cel_value){ .kind = CEL_MAP, .map = map };
}

/* ---- folds ---- */

static bool step(struct evaluator *e, const struct cel_fold *f)
{
	struct cel_value go_on = eval(e, f->condition);

	if (go_on.kind == CEL_BOOL && !go_on.boolean)
		return false;
	e->slots[f->accu_slot] = eval(e, f->step);
	/* each turn is work, whatever it costs by the rules */
	return !is_over(e);
}

static struct cel_value eval_fold(struct evaluator *e, const struct cel_node *n)
{
	const struct cel_fold *f = n->fold;
	struct cel_value range;
	uint64_t count;

	if (f->is_bind) {
		e->slots[f->accu_slot] = eval(e, f->init);
		return eval(e, f->result);
	}
	range = eval(e, f->range);
	if (range.kind == CEL_ERROR)
		return range;
	if (range.kind != CEL_LIST && range.kind != CEL_MAP)
		return cel_fail_print(&e->call, "got '" SPAN_FMT "', expected iterable type",
				      SPAN_ARG(cel_type_print(cel_type_of(&range), e->call.arena, e->call.err)));
	e->slots[f->accu_slot] = eval(e, f->init);
	count = range.kind == CEL_LIST ? cel_list_count(&range) : cel_map_count(&range);
	for (uint64_t i = 0; i < count; i++) {
		bool is_there = true;
		struct cel_value first, second;

		if (range.kind == CEL_LIST) {
			second = cel_list_item(&e->call, &range, i);
			first = f->iter2.len ? cel_of_int((int64_t)i) : second;
		} else {
			first = cel_map_key(&e->call, &range, i, &is_there);
			if (is_there && f->iter2.len)
				is_there = cel_map_find(&e->call, &range, &first, &second);
		}
		if (!is_there)
			continue;
		e->slots[f->iter_slot] = first;
		if (f->iter2.len)
			e->slots[f->iter_slot + 1] = second;
		if (!step(e, f))
			break;
	}
	return is_over(e) ? CANCELLED : eval(e, f->result);
}

static struct cel_value eval(struct evaluator *e, const struct cel_node *n)
{
	if (is_over(e))
		return CANCELLED;
	switch (n->kind) {
	case NODE_LITERAL:
		return n->literal;
	case NODE_IDENT:
		if (!spend(e, 1))
			return CANCELLED;
		if (e->slots[n->slot].kind == CEL_ERROR && !e->slots[n->slot].text.len)
			return cel_fail_print(&e->call, "no such attribute(s): " SPAN_FMT, SPAN_ARG(n->name));
		return e->slots[n->slot];
	case NODE_SELECT:
		return eval_select(e, n);
	case NODE_CALL:
		return eval_call(e, n);
	case NODE_LIST:
		return eval_list(e, n);
	case NODE_MAP:
		return eval_map(e, n);
	case NODE_FOLD:
		return eval_fold(e, n);
	case NODE_MESSAGE:
		break;
	}
	return cel_fail(SPAN("no such message"));
}

struct cel_value cel_eval(const struct cel_program *p, const struct cel_value *values, uint64_t cost_limit,
			  uint64_t *ret_cost, struct arena *arena, struct error *err)
{
	struct evaluator e = { .program = p, .limit = cost_limit };
	struct cel_value v;

	e.call = (struct cel_call){ .arena = arena, .err = err, .left = cost_limit };
	e.slots = arena_calloc(arena, p->slots + 2u, sizeof(*e.slots), err);
	if (!e.slots)
		return CANCELLED;
	if (p->env->count)
		memcpy(e.slots, values, p->env->count * sizeof(*values));
	v = eval(&e, p->root);
	if (ret_cost)
		*ret_cost = e.cost;
	return is_over(&e) ? CANCELLED : v;
}

/* ---- programs ---- */

struct cel_program *cel_compile(struct span source, const struct cel_env *env, struct arena *arena,
				struct span *ret_faults, struct error *err)
{
	struct cel_program *p = ARENA_NEW(arena, struct cel_program, err);
	struct cel_faults faults;

	if (!p || !cel_faults_init(&faults, source, arena, err))
		return NULL;
	p->source = source;
	p->env = env;
	p->uses = arena_calloc(arena, env->count + 1, sizeof(bool), err);
	if (!p->uses)
		return NULL;
	p->root = cel_parse(&faults);
	if (p->root)
		cel_check(p, &faults);
	if (p->root && !faults.count && !err->code)
		cel_check_literals(p, &faults);
	if (err->code)
		return NULL;
	if (faults.count || !p->root) {
		*ret_faults = cel_faults_print(&faults);
		return NULL;
	}
	if (p->pattern_fault.ptr) {
		*ret_faults = p->pattern_fault;
		return NULL;
	}
	cel_cost(p, arena, err);
	return err->code ? NULL : p;
}

const struct cel_type *cel_program_type(const struct cel_program *p)
{
	return p->root->type;
}

bool cel_program_uses(const struct cel_program *p, struct span variable)
{
	for (size_t i = 0; i < p->env->count; i++)
		if (p->uses[i] && span_equal(p->env->variables[i].name, variable))
			return true;
	return false;
}

uint64_t cel_program_cost(const struct cel_program *p)
{
	return p->cost;
}
