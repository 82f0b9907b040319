/* SPDX-License-Identifier: Apache-2.0 */
/* shape - objects in the form that the real server's types give them (schema_complete()): before defaults, so that "" and absent are the
 * same, and before checks, so that what is new compares with what is stored. */
#include "kube/kinds/kinds.h"

void shape(struct change *c)
{
	const struct type *t = c->kind->type ? c->kind->type() : NULL;
	struct value *metadata;

	if (!t && c->kind->type_name)
		t = type_find(span_of(c->kind->type_name));
	if (!t || !schema_complete(t, c->object, c->arena, c->err))
		return;
	/* The server keeps the time of metadata itself: null would look like a wish. */
	metadata = value_get(c->object, SPAN("metadata"));
	if (value_is(value_get(metadata, SPAN("creationTimestamp")), VALUE_NULL))
		(void)value_remove(metadata, SPAN("creationTimestamp"));
}
