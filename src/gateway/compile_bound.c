/* SPDX-License-Identifier: Apache-2.0 */
/* compile_bound - how entries fare: kept for the status of their owners, and told as events where they fail. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "gateway/compile_private.h"

static struct bound **bound_place(const struct compile *c, struct span key, uint64_t hash)
{
	struct bound **at = &c->bounds[hash & c->bound_mask];

	while (*at && ((*at)->hash != hash || !span_equal((*at)->key, key)))
		at = &(*at)->next;
	return at;
}

const struct bound *bound_find(const struct compile *c, struct span key)
{
	return c->bounds ? *bound_place(c, key, span_hash(key)) : NULL;
}

static void bound_free(struct bound *b)
{
	free((char *)(uintptr_t)b->key.ptr);
	free(b);
}

static void bounds_grow(struct compile *c)
{
	uint32_t size = c->bounds ? (c->bound_mask + 1) * 2 : 64;
	struct bound **slots = base_calloc(size, sizeof(*slots));

	for (uint32_t s = 0; c->bounds && s <= c->bound_mask; s++) {
		while (c->bounds[s]) {
			struct bound *b = c->bounds[s], **to = &slots[b->hash & (size - 1)];

			c->bounds[s] = b->next;
			b->next = *to;
			*to = b;
		}
	}
	free(c->bounds);
	c->bounds = slots;
	c->bound_mask = size - 1;
}

/* What no entry of the plan is about goes, once there is more of that than of the rest. */
void bounds_prune(struct compile *c)
{
	if (c->bound_count <= c->plan->entry_count * 2 + 64)
		return;
	for (uint32_t s = 0; s <= c->bound_mask; s++) {
		for (struct bound **at = &c->bounds[s]; *at;) {
			struct bound *b = *at;

			if (plan_entry_find(c->plan, b->key)) {
				at = &b->next;
				continue;
			}
			*at = b->next;
			c->bound_count--;
			bound_free(b);
		}
	}
}

void bounds_free(struct compile *c)
{
	for (uint32_t s = 0; c->bounds && s <= c->bound_mask; s++) {
		while (c->bounds[s]) {
			struct bound *b = c->bounds[s];

			c->bounds[s] = b->next;
			bound_free(b);
		}
	}
	free(c->bounds);
}

static void fault_tell(struct compile *c, const struct plan_entry *e, const struct error *error)
{
	enum kinds kind = span_equal(e->owner_kind, SPAN("Service")) ? SERVICES
			  : span_equal(e->owner_kind, SPAN("Pod"))   ? PODS
								     : GATEWAYS;
	struct error ignored = { 0 };
	const struct item *owner;
	struct arena arena;
	char text[700];

	(void)snprintf(text, sizeof(text), "cannot listen on " SPAN_FMT ": %s", SPAN_ARG(e->address), error->message);
	log_warn("gateway", "an address is not listened on", LOG_SPAN("address", e->address),
		 LOG_SPAN("kind", e->owner_kind), LOG_SPAN("namespace", e->owner_namespace),
		 LOG_SPAN("name", e->owner_name), LOG_TEXT("error", error->message));
	arena_init(&arena, KIB(64));
	owner = item_find(c, kind, key_of(e->owner_namespace, e->owner_name, &arena, &ignored));
	if (owner)
		cluster_event(c->config.cluster, owner->object, "Warning", "FailedToListen", COMPILE_COMPONENT, text);
	arena_done(&arena);
}

void compile_bound(struct compile *c, const struct gateway_bound *told)
{
	const struct plan_entry *e = c->plan ? plan_entry_find(c->plan, told->key) : NULL;
	uint64_t hash = span_hash(told->key);
	struct bound **at, *b;
	bool is_news;

	if (c->is_stopped || !e)
		return;
	if (!c->bounds || c->bound_count > c->bound_mask)
		bounds_grow(c);
	at = bound_place(c, told->key, hash);
	b = *at;
	is_news = !b || b->port != told->port || strcmp(b->error.message, told->error.message) != 0;
	if (!is_news)
		return;
	if (!b) {
		b = base_calloc(1, sizeof(*b));
		b->hash = hash;
		b->key = span_from(span_to_text(told->key), told->key.len);
		*at = b;
		c->bound_count++;
	}
	b->port = told->port;
	b->error = told->error;
	if (!b->port)
		fault_tell(c, e, &b->error);
	compile_wake(c);
}
