/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was read can be written as JSON and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct value v, as_json;
	struct error err = { 0 };
	struct arena arena;
	struct span text;

	arena_init(&arena, MIB(16));
	if (yaml_parse(span_from(data, len), NULL, &arena, &v, &err)) {
		text = value_print(&v, &arena, &err);
		if (text.ptr && !value_parse(text, NULL, &arena, &as_json, &err) && err.code != ERROR_TOO_LARGE)
			__builtin_trap();
	} else if (err.code == ERROR_NONE) {
		__builtin_trap();
	}
	arena_done(&arena);
	return 0;
}
