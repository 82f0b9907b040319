/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/crd/cel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char object[] =
    "{\"a\": [1, 2, {\"b\": null}], \"text\": \"a-b\", \"n\": 1.5, \"map\": {\"x\": \"y\"}, \"no\": false}";

/* An expression over an object ends in bounded time and memory, whatever it is; what does not compile says why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena arena;
	struct error err = { 0 };
	struct value json;
	struct span faults = { 0 };
	struct cel_variable names[] = { { SPAN("self"), &cel_dyn }, { SPAN("text"), &cel_string } };
	struct cel_env env = { .variables = names, .count = 2, .is_mixed = len % 2, .has_newest = true };
	struct cel_value values[2], v;
	struct cel_program *p;
	uint64_t cost = 0;

	arena_init(&arena, MIB(64));
	if (!value_parse(SPAN(object), NULL, &arena, &json, &err))
		__builtin_trap();
	p = cel_compile(span_from(data, len), &env, &arena, &faults, &err);
	if (!p && !faults.len && !err.code)
		__builtin_trap();
	if (p) {
		values[0] = cel_from_json(&json, &cel_dyn, &arena, &err);
		values[1] = cel_text(SPAN("text"));
		v = cel_eval(p, values, 100000, &cost, &arena, &err);
		if (cost <= 100000 && !err.code && v.kind != CEL_ERROR && !cel_print(&v, &arena, &err).ptr && !err.code)
			__builtin_trap();
	}
	arena_done(&arena);
	return 0;
}
