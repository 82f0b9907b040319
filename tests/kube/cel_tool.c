/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluates expressions for tests: each line of stdin is {"expr": "...", "vars": {"x": "expression", ...}}, and each line of stdout
 * tells the value as it is written ("7", "[1, 2]"), or the fault, behind one word: value, error or fault.
 */
#include "kube/crd/cel.h"

#include <stdio.h>
#include <stdlib.h>

enum { VARIABLES_MAX = 16 };

static struct cel_value value_of(struct span source, const struct cel_env *env, const struct cel_value *values,
				 struct arena *arena, struct span *ret_faults, struct error *err)
{
	const struct cel_program *p = cel_compile(source, env, arena, ret_faults, err);

	return p ? cel_eval(p, values, CEL_COST_CALL, NULL, arena, err) : (struct cel_value){ .kind = CEL_ERROR };
}

static void tell(const char *word, struct span text)
{
	printf("%s ", word);
	for (size_t i = 0; i < text.len; i++)
		putchar(text.ptr[i] == '\n' ? ' ' : text.ptr[i]);
	putchar('\n');
	fflush(stdout);
}

static void answer(struct span line, struct arena *arena)
{
	struct cel_variable names[VARIABLES_MAX];
	struct cel_value values[VARIABLES_MAX], v;
	struct cel_env nothing = { .is_mixed = true, .has_newest = true }, env = nothing;
	struct value request;
	struct error err = { 0 };
	struct span faults = { 0 };
	const struct value *vars;

	if (!value_parse(line, NULL, arena, &request, &err)) {
		tell("fault", error_span(&err));
		return;
	}
	vars = value_get(&request, SPAN("vars"));
	for (uint32_t i = 0; value_is(vars, VALUE_OBJECT) && i < vars->object.count && i < VARIABLES_MAX; i++) {
		names[i] = (struct cel_variable){ vars->object.members[i].key, &cel_dyn };
		values[i] = value_of(vars->object.members[i].value.string, &nothing, NULL, arena, &faults, &err);
		env.count = i + 1;
	}
	env.variables = names;
	v = value_of(value_find_string(&request, "expr"), &env, values, arena, &faults, &err);
	if (faults.ptr || err.code)
		tell("fault", faults.ptr ? faults : error_span(&err));
	else
		tell(v.kind == CEL_ERROR ? "error" : "value", cel_print(&v, arena, &err));
}

int main(void)
{
	struct arena arena;
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	arena_init(&arena, MIB(64));
	while ((len = getline(&line, &room, stdin)) > 0) {
		answer(span_from(line, (size_t)len), &arena);
		arena_clear(&arena);
	}
	free(line);
	arena_done(&arena);
	return 0;
}
