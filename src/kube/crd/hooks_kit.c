/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/crd/hooks_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kube/crd/shipped.h"
#include "kube/kinds/kinds.h"

static struct arena arena;

const char *hooks_kit_refusals(struct span group, struct span kind, const char *json)
{
	const struct custom_hooks *hooks = custom_hooks_find(group, kind);
	struct error err = { 0 };
	struct value object;
	struct change c = { .arena = &arena, .object = &object, .err = &err, .verb = KUBE_CREATE };
	struct span copy = arena_copy(&arena, span_of(json), &err), words = SPAN("");

	for (char *at = (char *)(uintptr_t)copy.ptr; (at = strchr(at, '\'')); at++)
		*at = '"';
	if (!value_parse(copy, NULL, &arena, &object, &err))
		fail_msg("%s: %s", err.message, json);
	c.causes_end = &c.causes;
	assert_non_null(hooks);
	hooks->validate(&c);
	assert_int_equal(err.code, ERROR_NONE);
	for (const struct cause *one = c.causes; one; one = one->next)
		words = arena_print(&arena, &err, SPAN_FMT "%s" SPAN_FMT " %s", SPAN_WHOLE(words),
				    words.len ? "; " : "", SPAN_ARG(one->field), one->reason);
	return words.len ? words.ptr : "";
}

int hooks_kit_start(void **state)
{
	(void)state;
	arena_init(&arena, MIB(64));
	return 0;
}

int hooks_kit_stop(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}
