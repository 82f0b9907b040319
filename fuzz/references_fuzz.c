/* SPDX-License-Identifier: Apache-2.0 */
/* references_fuzz - $(NAME) in commands and paths, and names of files in volumes: what comes out of the first has no reference that could still be
 * replaced, of the second it stays inside and is read again the same. */
#include <stdint.h>

#include "node/volumes_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void replace(struct span text, struct arena *arena)
{
	static const struct name_value environment[] = { { SPAN_INIT("A"), SPAN_INIT("1") },
							 { SPAN_INIT("B"), SPAN_INIT("") } };
	struct error err = { 0 };
	struct span out = { 0 };

	if (!references_replace(text, environment, ARRAY_LEN(environment), arena, &out, &err))
		return;
	if (out.len > text.len) /* no value is longer than its reference */
		__builtin_trap();
	if (span_index(text, '$') == text.len && !span_equal(out, text))
		__builtin_trap();
}

static void add(struct span path, struct arena *arena)
{
	struct content_file file = { .path = path, .mode = 0644, .user = -1 };
	struct content content = { .group = -1 };
	struct error err = { 0 };
	struct span rest;

	if (!content_add(&content, &file, arena, &err))
		return;
	rest = content.items[0].path;
	if (!rest.len || rest.ptr[0] == '/' || span_starts(rest, SPAN("..")))
		__builtin_trap();
	while (rest.len) {
		struct span part = span_cut(&rest, '/');

		if (!part.len || span_equal(part, SPAN("..")) || span_equal(part, SPAN(".")))
			__builtin_trap();
	}
	file.path = content.items[0].path;
	if (!content_add(&content, &file, arena, &err) || content.count != 1)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = span_from(data, len);
	struct arena arena;

	arena_init(&arena, MIB(64));
	replace(text, &arena);
	add(text, &arena);
	arena_done(&arena);
	return 0;
}
