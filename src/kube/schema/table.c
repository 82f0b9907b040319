/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/schema/schema.h"

/* The rows: made of types.def and descriptions.txt when the program is built. */
#include "kube/schema_types.inc"

const struct type *type_find(struct span name)
{
	size_t low = 0, high = ARRAY_LEN(types);

	while (low < high) {
		size_t middle = (low + high) / 2;
		int diff = span_order(name, span_of(types[middle].name));

		if (diff == 0)
			return &types[middle];
		if (diff < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct field *type_field(const struct type *t, struct span name)
{
	size_t low = 0, high = t ? t->count : 0;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int diff = span_order(name, t->fields[middle].name);

		if (diff == 0)
			return &t->fields[middle];
		if (diff < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

size_t type_count(void)
{
	return ARRAY_LEN(types);
}

const struct type *type_at(size_t index)
{
	return index < ARRAY_LEN(types) ? &types[index] : NULL;
}
