/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A skip list (Pugh 1990, "Skip lists: a probabilistic alternative to balanced trees"): entries never move, so that
 * chains of versions, heaps and callbacks may point to them, and the next key is one step away.
 */
#include <stdlib.h>

#include "base/random.h"
#include "store/store_private.h"

/* The entry at or behind `key`; with `before`, what points to it on each level. */
static struct entry *seek(const struct index *x, struct span key, struct entry **before[INDEX_LEVELS])
{
	struct entry *const *links = x->first;
	struct entry *found = NULL;

	for (size_t level = INDEX_LEVELS; level-- > 0;) {
		while (links[level] && links[level] != found && span_order(entry_key(links[level]), key) < 0)
			links = links[level]->next;
		found = links[level]; /* the lower level ends there at the latest: not compared again */
		if (before)
			before[level] = (struct entry **)&links[level];
	}
	return found;
}

struct entry *index_at_or_behind(const struct index *x, struct span key)
{
	return key.len ? seek(x, key, NULL) : x->first[0];
}

struct entry *index_find(const struct index *x, struct span key)
{
	struct entry *e = index_at_or_behind(x, key);

	return e && span_equal(entry_key(e), key) ? e : NULL;
}

static uint32_t random_levels(void)
{
	uint64_t bits = random_fast() | UINT64_C(1) << (2 * (INDEX_LEVELS - 1));

	return 1 + (uint32_t)__builtin_ctzll(bits) / 2;
}

struct entry *index_add(struct index *x, struct span key)
{
	struct entry **before[INDEX_LEVELS];
	struct entry *e = seek(x, key, before);
	uint32_t levels;

	if (e && span_equal(entry_key(e), key))
		return e;
	ASSERT(key.len > 0 && key.len <= STORE_KEY_MOST);
	levels = random_levels();
	e = base_alloc(sizeof(*e) + levels * sizeof(struct entry *) + key.len);
	*e = (struct entry){ .key_len = (uint32_t)key.len, .levels = levels };
	memcpy(e->next + levels, key.ptr, key.len);
	for (uint32_t level = 0; level < levels; level++) {
		e->next[level] = *before[level];
		*before[level] = e;
	}
	x->count++;
	return e;
}

void index_remove(struct index *x, struct span key)
{
	struct entry **before[INDEX_LEVELS];
	struct entry *e = seek(x, key, before);

	ASSERT(e && span_equal(entry_key(e), key));
	for (uint32_t level = 0; level < e->levels; level++)
		*before[level] = e->next[level];
	x->count--;
	free(e);
}

void index_done(struct index *x)
{
	struct entry *e = x->first[0];

	while (e) {
		struct entry *next = e->next[0];
		struct record *r = e->latest;

		while (r) {
			struct record *older = r->older;

			r->older = NULL;
			record_unref(r);
			r = older;
		}
		free(e);
		e = next;
	}
	*x = (struct index){ 0 };
}
