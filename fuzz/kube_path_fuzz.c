/* SPDX-License-Identifier: Apache-2.0 */
/* The first line is a path, the second a header Accept, the third a label selector; all of it is a JSON text for two readers. */
#include "kube/go_words.h"
#include "kube/kube_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void path_try(struct span path, struct arena *arena)
{
	static const enum method methods[] = { METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct call call = { .method = methods[i] };

		call.path = arena_copy(arena, path, &err); /* it is taken apart in place */
		if (!call.path.ptr)
			return;
		if (path_parse(&call) && (!call.plural.len || !call.verb_text || !call.version.len))
			__builtin_trap(); /* a resource has a name, a version and something that is done with it */
	}
}

static void selector_try(struct span text, struct arena *arena)
{
	struct selector selector = { 0 };
	struct error err = { 0 };

	if (!selector_parse_labels(text, arena, &selector, &err) && err.code == ERROR_NONE)
		__builtin_trap();
}

/* What one reader takes the other finds no fault in. */
static void json_try(struct span text, struct arena *arena)
{
	char words[GO_WORDS_SIZE];
	struct error err = { 0 };
	struct value v;

	if (value_parse(text, NULL, arena, &v, &err) && go_json_fault(text, words))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = { (const char *)data, len }, rest = text;
	struct accepting choice;
	struct arena arena;

	arena_init(&arena, MIB(16));
	path_try(span_cut(&rest, '\n'), &arena);
	(void)accept_choose(span_cut(&rest, '\n'), &choice);
	selector_try(rest, &arena);
	json_try(text, &arena);
	arena_done(&arena);
	return 0;
}
