/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cluster_remote_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void record_make(const struct value *object, struct arena *arena)
{
	struct error err = { 0 };
	struct record *r = remote_record(&resource_pods, object, arena, &err);

	if (!r && err.code == ERROR_NONE)
		__builtin_trap();
	if (r && (!span_starts(r->key, SPAN("/core/pods/")) || !r->text.len))
		__builtin_trap();
	record_unref(r);
}

/* The same bytes as a list, as a line of a watch, and as an answer that failed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = span_from(data, len);
	struct remote_page page;
	struct remote_line line;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(64));
	if (remote_page_read(text, &arena, &page, &err))
		for (uint32_t i = 0; i < page.items->array.count; i++)
			record_make(value_item(page.items, i), &arena);
	err = (struct error){ 0 };
	if (remote_line_read(text, &arena, &line, &err)) {
		if ((line.change == REMOTE_ERROR) != (line.error.code != ERROR_NONE))
			__builtin_trap();
		record_make(line.object, &arena);
	} else if (err.code == ERROR_NONE) {
		__builtin_trap();
	}
	remote_status(409, text, &err);
	if (err.code == ERROR_NONE)
		__builtin_trap();
	arena_done(&arena);
	return 0;
}
