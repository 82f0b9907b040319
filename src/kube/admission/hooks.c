/* SPDX-License-Identifier: Apache-2.0 */
/* hooks - MutatingWebhookConfigurations and ValidatingWebhookConfigurations as lists of hooks, made again when one of them changed. */
#include "kube/admission/hooks.h"

#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"

#include <stdlib.h>

#define GROUP       "admissionregistration.k8s.io"
#define HOOKS_BYTES MIB(64)

static const char *const plurals[2] = { "mutatingwebhookconfigurations", "validatingwebhookconfigurations" };
static const char *const prefixes[2] = { "/" GROUP "/mutatingwebhookconfigurations/",
					 "/" GROUP "/validatingwebhookconfigurations/" };

struct hook_kind {
	struct store_watcher watcher;
	struct store_watch *watch;
	struct hook_set *set;
	bool is_known; /* `set` is what there is now */
};

struct hooks {
	struct kube *kube;
	struct hook_kind kinds[2];
	bool is_closing;
};

static void event(struct store_watcher *w, const struct store_event *e)
{
	(void)e;
	CONTAINER_OF(w, struct hook_kind, watcher)->is_known = false;
}

struct making {
	struct kube *kube;
	const struct kind *kind;
	struct hook_set *set;
	struct error *err;
};

static bool hook_add(struct making *m, struct span configuration, const struct value *spec, uint32_t index)
{
	struct hook_set *set = m->set;
	struct hook *hook;

	if (set->count == set->capacity) {
		size_t capacity = set->capacity ? 2 * set->capacity : 8;
		struct hook *larger = ARENA_ARRAY(&set->arena, struct hook, capacity, m->err);

		if (!larger)
			return false;
		if (set->count)
			memcpy(larger, set->hooks, set->count * sizeof(*larger));
		set->hooks = larger;
		set->capacity = capacity;
	}
	hook = &set->hooks[set->count];
	*hook = (struct hook){ .name = get_text(spec, "name"), .configuration = configuration, .spec = spec };
	hook->id = arena_print(&set->arena, m->err, "%.*s/%.*s/%u", (int)configuration.len, configuration.ptr,
			       (int)hook->name.len, hook->name.ptr, index);
	if (!hook->id.ptr || !hook_conditions_compile(hook, &set->arena, m->err))
		return false;
	set->count++;
	return true;
}

static bool configuration_add(void *context, struct record *r)
{
	struct making *m = context;
	struct value *object = record_object(m->kind, r, &m->set->arena, m->err);
	const struct value *list = object ? get(object, "webhooks") : NULL;

	for (uint32_t i = 0; i < count_of(list); i++)
		if (!hook_add(m, value_find_string(object, "metadata.name"), value_item(list, i), i))
			return false;
	return object != NULL;
}

static bool set_make(struct hooks *h, size_t which, struct error *err)
{
	const struct kind *kind = kube_kind(h->kube, SPAN(GROUP), SPAN("v1"), span_of(plurals[which]));
	struct hook_set *set = base_calloc(1, sizeof(*set));
	struct making m = { .kube = h->kube, .kind = kind, .set = set, .err = err };

	set->references = 1;
	arena_init(&set->arena, HOOKS_BYTES);
	if ((kind && !store_list(h->kube->config.store, span_of(prefixes[which]), (struct span){ 0 }, 0,
				 configuration_add, &m, err)) ||
	    err->code) {
		hook_set_give(set);
		return false;
	}
	hook_set_give(h->kinds[which].set);
	h->kinds[which].set = set;
	h->kinds[which].is_known = true;
	return true;
}

struct hook_set *hook_set_take(struct hooks *h, bool is_validating, struct error *err)
{
	if (h->is_closing || (!h->kinds[is_validating].is_known && !set_make(h, is_validating, err)) ||
	    !h->kinds[is_validating].set->count)
		return NULL;
	h->kinds[is_validating].set->references++;
	return h->kinds[is_validating].set;
}

void hook_set_give(struct hook_set *set)
{
	if (!set || --set->references)
		return;
	arena_done(&set->arena);
	free(set);
}

struct hooks *hooks_new(struct kube *k, struct error *err)
{
	struct hooks *h = base_calloc(1, sizeof(*h));

	h->kube = k;
	for (size_t i = 0; i < ARRAY_LEN(h->kinds); i++) {
		h->kinds[i].watcher.event = event;
		h->kinds[i].watch = store_watch(k->config.store, span_of(prefixes[i]), store_revision(k->config.store),
						&h->kinds[i].watcher, err);
		if (!h->kinds[i].watch) {
			hooks_free(h);
			return NULL;
		}
	}
	return h;
}

void hooks_stop(struct hooks *h)
{
	if (!h || h->is_closing)
		return;
	h->is_closing = true;
	for (size_t i = 0; i < ARRAY_LEN(h->kinds); i++)
		if (h->kinds[i].watch)
			store_unwatch(h->kinds[i].watch);
}

void hooks_free(struct hooks *h)
{
	if (!h)
		return;
	hooks_stop(h);
	for (size_t i = 0; i < ARRAY_LEN(h->kinds); i++)
		hook_set_give(h->kinds[i].set);
	free(h);
}
