/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_depth(const struct value *v, unsigned depth)
{
	if (depth > VALUE_DEPTH_MAX)
		__builtin_trap();
	if (v->type == VALUE_ARRAY)
		for (uint32_t i = 0; i < v->array.count; i++)
			check_depth(&v->array.items[i], depth + 1);
	else if (v->type == VALUE_OBJECT)
		for (uint32_t i = 0; i < v->object.count; i++)
			check_depth(&v->object.members[i].value, depth + 1);
}

static void patches(const struct value *object, const struct value *patch, struct place place, struct arena *arena)
{
	bool is_unprocessable;
	struct error err;
	struct value made;

	for (int way = 0; way < 3; way++) {
		bool ok;

		err = (struct error){ 0 };
		ok = way == 0   ? patch_json(object, patch, arena, &made, &is_unprocessable, &err)
		     : way == 1 ? patch_merge(object, patch, arena, &made, &err)
				: patch_strategic(object, patch, place, arena, &made, &err);
		if (!ok && err.code == ERROR_NONE)
			__builtin_trap();
		if (ok)
			check_depth(&made, 0);
	}
}

/* An apply, a second one by another manager by force, then a tracked write. */
static void owners(const struct value *object, const struct value *config, struct place place, struct arena *arena)
{
	struct apply_manager m = { .name = SPAN("m"), .api_version = SPAN("v1"), .time = SPAN("t") };
	struct apply_conflict *conflicts;
	struct value first, second;
	struct error err = { 0 };

	if (!apply_merge(NULL, object, place, &m, true, arena, &first, &conflicts, &err))
		return;
	m.name = SPAN("n");
	err = (struct error){ 0 };
	if (!apply_merge(&first, config, place, &m, true, arena, &second, &conflicts, &err))
		second = first;
	err = (struct error){ 0 };
	if (!fields_track(&first, &second, place, &m, arena, &err) && err.code == ERROR_NONE)
		__builtin_trap();
}

static void sets(const struct value *v, struct arena *arena)
{
	struct error err = { 0 };
	struct fields *f = fields_parse(v, arena, &err), *g;
	struct value out;

	if (!f || !fields_print(f, arena, &out, &err))
		return;
	g = fields_parse(&out, arena, &err);
	if (!g && err.code != ERROR_TOO_LARGE)
		__builtin_trap();
	g = g ? fields_difference(f, g, arena, &err) : NULL;
	if (g && !fields_is_empty(g))
		__builtin_trap();
}

/* Two JSON texts, parted by a line break: an object and what is done to it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_from(data, len), first = span_cut(&rest, '\n');
	struct place place = place_of_type(type_find(SPAN("io.k8s.api.core.v1.Pod")));
	struct value object, patch;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(32));
	if (value_parse(first, NULL, &arena, &object, &err) && value_parse(rest, NULL, &arena, &patch, &err)) {
		patches(&object, &patch, place, &arena);
		owners(&object, &patch, place, &arena);
		sets(&object, &arena);
	}
	arena_done(&arena);
	return 0;
}
