/* SPDX-License-Identifier: Apache-2.0 */
/* registry - the kinds that are served: the built-in ones, and those that definitions bring at run time. */
#include "kube/kube_private.h"

#include <stdlib.h>

/* A custom kind that is replaced or removed stays until the last call that holds it has ended. */
struct entry {
	struct kind *kind;
	void (*free_kind)(struct kind *kind);
	unsigned holds;
	bool is_removed;
	struct entry *next;
};

struct registry {
	const struct kind **kinds; /* ends with NULL */
	size_t count;
	struct entry *entries; /* of custom kinds, removed ones too */
	uint64_t generation;
};

static void kinds_list(struct registry *r)
{
	size_t count = 0;

	while (kinds_table[count])
		count++;
	for (struct entry *e = r->entries; e; e = e->next)
		count += !e->is_removed;
	free(r->kinds);
	r->kinds = base_calloc(count + 1, sizeof(*r->kinds));
	r->count = 0;
	for (size_t i = 0; kinds_table[i]; i++)
		r->kinds[r->count++] = kinds_table[i];
	for (struct entry *e = r->entries; e; e = e->next)
		if (!e->is_removed)
			r->kinds[r->count++] = e->kind;
	r->generation++;
}

struct registry *registry_new(void)
{
	struct registry *r = base_calloc(1, sizeof(*r));

	kinds_list(r);
	return r;
}

static void entry_free(struct registry *r, struct entry *gone)
{
	for (struct entry **at = &r->entries; *at; at = &(*at)->next) {
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	}
	if (gone->free_kind)
		gone->free_kind(gone->kind);
	free(gone);
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	while (r->entries)
		entry_free(r, r->entries);
	free(r->kinds);
	free(r);
}

static struct entry *entry_of(struct registry *r, const struct kind *kind)
{
	for (struct entry *e = r->entries; e; e = e->next)
		if (e->kind == kind)
			return e;
	return NULL;
}

void kind_hold(struct kube *k, const struct kind *kind)
{
	struct entry *e = kind && kind->is_custom ? entry_of(k->registry, kind) : NULL;

	if (e)
		e->holds++;
}

void kind_release(struct kube *k, const struct kind *kind)
{
	struct entry *e = kind && kind->is_custom ? entry_of(k->registry, kind) : NULL;

	if (!e)
		return;
	ASSERT(e->holds > 0);
	e->holds--;
	if (e->is_removed && e->holds == 0)
		entry_free(k->registry, e);
}

/* ---- looking up ---- */

static bool is_text(struct span s, const char *text)
{
	return span_equal(s, span_of(text));
}

/* "v2" before "v1" before "v2beta1", as Kubernetes ranks versions. */
static int version_rank(const char *version)
{
	int number = 0, more = 0, stage = 3;
	const char *at = version;

	if (*at++ != 'v')
		return -1;
	while (*at >= '0' && *at <= '9' && number < 1000)
		number = number * 10 + (*at++ - '0');
	if (strncmp(at, "alpha", 5) == 0) {
		stage = 1;
		at += 5;
	} else if (strncmp(at, "beta", 4) == 0) {
		stage = 2;
		at += 4;
	}
	while (*at >= '0' && *at <= '9' && more < 1000)
		more = more * 10 + (*at++ - '0');
	return *at ? -1 : stage * 1000000 + number * 1000 + more;
}

static const struct kind *kind_find(struct registry *r, struct span group, struct span version, struct span name,
				    bool by_plural)
{
	const struct kind *best = NULL;

	for (size_t i = 0; i < r->count; i++) {
		const struct kind *kind = r->kinds[i];

		if (!is_text(name, by_plural ? kind->plural : kind->kind) || !is_text(group, kind->group))
			continue;
		if (version.len) {
			if (is_text(version, kind->version))
				return kind;
		} else if (!best || version_rank(kind->version) > version_rank(best->version)) {
			best = kind;
		}
	}
	return best;
}

const struct kind *kube_kind(struct kube *k, struct span group, struct span version, struct span plural)
{
	return kind_find(k->registry, group, version, plural, true);
}

const struct kind *kube_kind_named(struct kube *k, struct span group, struct span version, struct span kind)
{
	return kind_find(k->registry, group, version, kind, false);
}

const struct kind *const *kube_kinds(struct kube *k)
{
	return k->registry->kinds;
}

uint64_t kube_kinds_generation(struct kube *k)
{
	return k->registry->generation;
}

bool registry_has_group(struct registry *r, struct span group, bool builtin_only)
{
	for (size_t i = 0; i < r->count; i++)
		if (is_text(group, r->kinds[i]->group) && !(builtin_only && r->kinds[i]->is_custom))
			return true;
	return false;
}

/* ---- changing ---- */

static void remove_entry(struct registry *r, struct entry *e)
{
	e->is_removed = true;
	if (e->holds == 0)
		entry_free(r, e);
}

static struct entry *custom_find(struct registry *r, struct span group, struct span version, struct span plural)
{
	for (struct entry *e = r->entries; e; e = e->next)
		if (!e->is_removed && is_text(group, e->kind->group) && is_text(version, e->kind->version) &&
		    is_text(plural, e->kind->plural))
			return e;
	return NULL;
}

bool kube_kind_add(struct kube *k, struct kind *kind, void (*free_kind)(struct kind *kind), struct error *err)
{
	struct registry *r = k->registry;
	struct entry *e, **end = &r->entries;
	struct entry *before = custom_find(r, span_of(kind->group), span_of(kind->version), span_of(kind->plural));

	for (size_t i = 0; kinds_table[i]; i++)
		if (strcmp(kinds_table[i]->group, kind->group) == 0 &&
		    strcmp(kinds_table[i]->plural, kind->plural) == 0)
			return error_set(err, ERROR_ALREADY_EXISTS, "%s of group '%s' is built in", kind->plural,
					 kind->group);
	e = base_calloc(1, sizeof(*e));
	e->kind = kind;
	e->free_kind = free_kind;
	while (*end)
		end = &(*end)->next;
	*end = e;
	if (before)
		remove_entry(r, before);
	kinds_list(r);
	return true;
}

void kube_kind_remove(struct kube *k, struct span group, struct span version, struct span plural)
{
	struct entry *e = custom_find(k->registry, group, version, plural);

	if (!e)
		return;
	remove_entry(k->registry, e);
	kinds_list(k->registry);
}
