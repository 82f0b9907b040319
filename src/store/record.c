/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "store/store_private.h"

struct record *record_new(const struct store_config *config, const struct record *fields)
{
	struct record *r = base_alloc(sizeof(*r) + fields->key.len + fields->text.len);
	char *bytes = (char *)(r + 1);
	size_t notes_bytes = 0;

	*r = *fields;
	memcpy(bytes, fields->key.ptr, fields->key.len);
	r->key = span_from(bytes, fields->key.len);
	bytes += fields->key.len;
	if (fields->text.len)
		memcpy(bytes, fields->text.ptr, fields->text.len);
	r->text = span_from(bytes, fields->text.len);
	r->references = 1;
	if (config && config->note)
		r->notes = config->note(config->context, r, &notes_bytes);
	r->notes_bytes = (uint32_t)MIN(notes_bytes, UINT32_MAX);
	return r;
}

size_t record_bytes(const struct record *r)
{
	return sizeof(*r) + r->key.len + r->text.len + r->notes_bytes;
}

struct record *record_ref(struct record *r)
{
	r->references++;
	return r;
}

void record_unref(struct record *r)
{
	if (!r || --r->references)
		return;
	free((void *)(uintptr_t)r->notes);
	free(r);
}
