/* SPDX-License-Identifier: Apache-2.0 */
/* Rules to programs, node by node. */
#include "kube/crd/rules_private.h"
#include "kube/kinds/kinds.h"

static struct cel_env *env_new(const struct cel_type *self, const struct cel_type *old, bool is_newest,
			       struct arena *arena, struct error *err)
{
	struct cel_env *env = ARENA_NEW(arena, struct cel_env, err);
	struct cel_variable *names = ARENA_ARRAY(arena, struct cel_variable, 2, err);

	if (!env || !names || !old)
		return NULL;
	names[0] = (struct cel_variable){ SPAN("self"), self };
	names[1] = (struct cel_variable){ SPAN("oldSelf"), old };
	*env = (struct cel_env){ .variables = names, .count = 2, .has_newest = is_newest };
	return env;
}

static bool compile_message(struct rule *r, const struct cel_env *env, struct arena *arena, struct error *err)
{
	struct span faults = { 0 }, source = get_text(r->source, "messageExpression");

	if (!source.len)
		return true;
	r->message = cel_compile(source, env, arena, &faults, err);
	if (!r->message) {
		if (faults.ptr)
			r->message_fault = arena_print(arena, err, "messageExpression compilation failed: %.*s",
						       (int)faults.len, faults.ptr);
		return !err->code;
	}
	if (cel_program_type(r->message)->kind != CEL_STRING) {
		r->message = NULL;
		r->message_fault = SPAN("messageExpression must evaluate to a string");
	}
	return true;
}

static bool compile_rule(struct rule_node *n, struct rule *r, struct arena *arena, struct error *err)
{
	const struct cel_env *env;
	struct span faults = { 0 }, source = get_text(r->source, "rule");

	r->takes_absent = get_bool(r->source, "optionalOldSelf");
	env = r->takes_absent ? n->optional_env : n->env;
	if (!span_trim(source).len)
		return true;
	r->program = cel_compile(source, env, arena, &faults, err);
	if (!r->program) {
		if (faults.ptr)
			r->fault =
			    arena_print(arena, err, "%s failed: %.*s",
					span_starts(faults, SPAN("ERROR: ")) ? "compilation" : "program instantiation",
					(int)faults.len, faults.ptr);
		return !err->code;
	}
	if (cel_program_type(r->program)->kind != CEL_BOOL) {
		r->program = NULL;
		r->fault = SPAN("cel expression must evaluate to a bool");
		return true;
	}
	r->uses_old = cel_program_uses(r->program, SPAN("oldSelf"));
	if (get_text(r->source, "fieldPath").len)
		(void)rule_field_path(n->schema, get_text(r->source, "fieldPath"), arena, &r->field_path, err);
	return compile_message(r, env, arena, err);
}

static bool rules_compile(struct rule_node *n, bool is_newest, struct arena *arena, struct error *err)
{
	const struct value *all = get(n->schema->source, "x-kubernetes-validations");

	if (!count_of(all) || !n->type)
		return true;
	n->env = env_new(n->type, n->type, is_newest, arena, err);
	n->optional_env = env_new(n->type, cel_type_optional(n->type, arena, err), is_newest, arena, err);
	n->rules = arena_calloc(arena, count_of(all) + 1, sizeof(*n->rules), err);
	if (!n->env || !n->optional_env || !n->rules)
		return false;
	for (uint32_t i = 0; i < count_of(all); i++) {
		n->rules[i].source = value_item(all, i);
		if (!compile_rule(n, &n->rules[i], arena, err))
			return false;
	}
	n->count = count_of(all);
	return true;
}

static const struct cel_type *field_type(const struct cel_type *t, struct span key)
{
	for (size_t i = 0; t && t->kind == CEL_OBJECT && i < t->field_count; i++)
		if (span_equal(t->fields[i].key, key))
			return t->fields[i].type;
	return NULL;
}

static bool members_compile(struct rule_node *n, bool is_newest, struct arena *arena, struct error *err)
{
	const struct openapi_schema *s = n->schema;

	n->members = arena_calloc(arena, s->property_count + 1, sizeof(*n->members), err);
	for (size_t i = 0; n->members && i < s->property_count; i++) {
		struct rule_node *one;

		if (!s->properties[i].schema->has_rules)
			continue;
		one = rule_node_new(s->properties[i].schema, field_type(n->type, s->properties[i].name), is_newest,
				    arena, err);
		if (!one)
			return false;
		n->members[n->member_count++] = (struct rule_member){ s->properties[i].name, one };
	}
	return n->members != NULL;
}

struct rule_node *rule_node_new(const struct openapi_schema *s, const struct cel_type *type, bool is_newest,
				struct arena *arena, struct error *err)
{
	struct rule_node *n = ARENA_NEW(arena, struct rule_node, err);

	if (!n)
		return NULL;
	n->schema = s;
	n->type = type ? type : rule_type(s, s->is_root || s->is_embedded, arena, err);
	if (err->code || !rules_compile(n, is_newest, arena, err) || !members_compile(n, is_newest, arena, err))
		return NULL;
	if (s->items && s->items->has_rules) {
		n->items = rule_node_new(s->items, n->type && n->type->kind == CEL_LIST ? n->type->params[0] : NULL,
					 is_newest, arena, err);
		if (!n->items)
			return NULL;
	}
	if (s->additional && s->additional->has_rules) {
		n->additional =
		    rule_node_new(s->additional, n->type && n->type->kind == CEL_MAP ? n->type->params[1] : NULL,
				  is_newest, arena, err);
		if (!n->additional)
			return NULL;
	}
	return n;
}
