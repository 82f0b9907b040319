/* SPDX-License-Identifier: Apache-2.0 */
/* quota_control - keeps status of quotas: counts what is there when something went away, and lets charges of writes under way stand. */
#include "kube/admission/quota.h"
#include "kube/admission/state.h"
#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"

#include "base/clock.h"

#include <stdlib.h>

#define QUOTA_PREFIX "/core/resourcequotas/"
/* After a count there is a rest of so many times as it took. */
enum { REST_FACTOR = 10 };
#define COUNT_BYTES_MOST MIB(64)

/* A namespace that has quotas. */
struct quota_space {
	struct quota_space *next;
	struct quotas *set;
	struct charge *charges;
	struct timer timer;
	int64_t rests_until_ns;
	int64_t uncharged_until; /* writes of lower revisions may have come before the quota was known */
	bool is_due;
	uint32_t len;
	char name[];
};

struct quotas {
	struct kube *kube;
	struct store_watcher watcher;
	struct store_watch *watch;
	struct quota_space *first;
	struct loop_task task;
	bool is_closing;
};

static struct quota_space *space_find(struct quotas *q, struct span name)
{
	for (struct quota_space *s = q->first; s; s = s->next)
		if (span_equal(name, span_from(s->name, s->len)))
			return s;
	return NULL;
}

static struct quota_space *space_ensure(struct quotas *q, struct span name)
{
	struct quota_space *s = space_find(q, name);

	if (s)
		return s;
	s = base_calloc(1, sizeof(*s) + name.len);
	s->set = q;
	s->len = (uint32_t)name.len;
	memcpy(s->name, name.ptr, name.len);
	s->next = q->first;
	q->first = s;
	return s;
}

static void space_free(struct quota_space *gone)
{
	for (struct quota_space **at = &gone->set->first; *at; at = &(*at)->next) {
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	}
	if (timer_is_set(&gone->timer))
		loop_timer_clear(gone->set->kube->config.loop, &gone->timer);
	free(gone);
}

/* ---- when ---- */

static void space_count(struct quota_space *s);

static void rest_over(struct timer *t)
{
	space_count(CONTAINER_OF(t, struct quota_space, timer));
}

static void due(struct quota_space *s)
{
	struct quotas *q = s->set;

	if (q->is_closing || s->is_due)
		return;
	s->is_due = true;
	if (loop_now(q->kube->config.loop) < s->rests_until_ns)
		loop_timer_set(q->kube->config.loop, &s->timer, s->rests_until_ns, rest_over);
	else
		loop_defer(q->kube->config.loop, &q->task);
}

static void run_deferred(struct loop_task *t)
{
	struct quotas *q = CONTAINER_OF(t, struct quotas, task);

	for (struct quota_space *s = q->first, *next; s; s = next) {
		next = s->next;
		if (s->is_due && !timer_is_set(&s->timer))
			space_count(s);
	}
}

/* ---- status writes ---- */

static void written(void *context, const struct value *object, const struct error *err)
{
	struct quotas *q = context;

	(void)object;
	kube_write_ended(q->kube, err); /* what could not be written is found by the next count */
}

static bool status_write_begin(struct quotas *q, const struct value *quota, const struct value *status,
			       struct span manager, struct error *err)
{
	struct kube_write w = { .kind = kube_kind(q->kube, SPAN(""), SPAN("v1"), SPAN("resourcequotas")),
				.verb = KUBE_UPDATE,
				.subresource = SPAN("status"),
				.name_space = value_find_string(quota, "metadata.namespace"),
				.name = value_find_string(quota, "metadata.name"),
				.manager = manager,
				.done = written,
				.context = q };
	struct arena arena;
	struct value *object;
	struct call *call = NULL;

	arena_init(&arena, MIB(8));
	object = ARENA_NEW(&arena, struct value, err);
	if (object && value_copy(quota, &arena, object, err) &&
	    value_set(object, SPAN("status"), *status, &arena, err)) {
		(void)value_remove(value_get(object, SPAN("metadata")), SPAN("resourceVersion"));
		w.object = object;
		call = kube_write_prepare(q->kube, &w);
		/* It must be proposed now, whatever webhooks are there: the write it is for follows at once. */
		call->skips_admission = true;
		call->run(call);
	}
	arena_done(&arena);
	return call != NULL;
}

/* ---- charges ---- */

bool quota_charge(struct change *c, struct value *quota, const struct resources *used, const struct resources *delta,
		  struct error *err)
{
	struct quotas *q = c->kube->quotas;
	struct admission *a = admission_of(c, err);
	struct charge *charge = ARENA_NEW(c->arena, struct charge, err);
	struct value *status = value_ensure_object(quota, SPAN("status"), c->arena, err), list;

	if (!a || !charge || !status || !resources_write(used, &list, c->arena, err) ||
	    !value_set(status, SPAN("used"), list, c->arena, err))
		return false;
	charge->space = space_ensure(q, c->name_space);
	charge->quota = value_find_string(quota, "metadata.name");
	charge->delta = *delta;
	charge->next = charge->space->charges;
	charge->at = &charge->space->charges;
	if (charge->next)
		charge->next->at = &charge->next;
	charge->space->charges = charge;
	charge->of_change = a->charges;
	a->charges = charge;
	return status_write_begin(q, quota, status, SPAN("kube-apiserver"), err);
}

void charges_end(struct charge *first, bool is_stored)
{
	for (struct charge *c = first; c; c = c->of_change) {
		*c->at = c->next;
		if (c->next)
			c->next->at = c->at;
		if (!is_stored)
			due(c->space);
	}
}

/* ---- counting ---- */

struct counting {
	struct quotas *set;
	struct arena arena;
	const struct value *quota;
	const struct kind *kind;
	struct resources hard, used;
	struct error err;
};

static bool count_one(void *context, struct record *r)
{
	struct counting *c = context;
	struct value *object = NULL;

	if (usage_is_of_content(c->kind)) {
		object = record_object(c->kind, r, &c->arena, &c->err);
		if (!object)
			return false;
		if (!usage_is_in_scope(c->kind, c->quota, object))
			return true;
	}
	{
		struct resources one = usage_of(c->kind, object, kube_wall_ns(c->set->kube), &c->arena);

		for (size_t i = 0; i < one.count; i++)
			if (resources_find(&c->hard, one.items[i].name))
				resources_add(&c->used, one.items[i].name, one.items[i].amount);
	}
	return true;
}

static void count_kind(struct counting *c, const struct kind *kind, struct span name_space)
{
	bool is_counted = false;

	if (!kind->is_namespaced || kind->stored_as || !(kind->verbs & KUBE_LIST))
		return;
	for (size_t i = 0; i < c->hard.count; i++) {
		if (!usage_counts(kind, c->hard.items[i].name))
			continue;
		is_counted = true;
		if (!resources_find(&c->used, c->hard.items[i].name))
			resources_set(&c->used, c->hard.items[i].name, quantity_of(0));
	}
	/* Scopes take none of what only counts. */
	if (!is_counted || (!usage_is_of_content(kind) && !usage_scopes_are_empty(c->quota)))
		return;
	c->kind = kind;
	(void)store_list(c->set->kube->config.store, kube_key(kind, name_space, (struct span){ 0 }, &c->arena),
			 (struct span){ 0 }, 0, count_one, c, &c->err);
}

/* Versions of one kind hold the same objects. */
static bool is_first_version(const struct kind *const *all, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(all[i]->plural, all[index]->plural) == 0 && strcmp(all[i]->group, all[index]->group) == 0)
			return false;
	return true;
}

static void quota_count(struct quota_space *s, const struct value *quota)
{
	struct span name_space = span_from(s->name, s->len), name = value_find_string(quota, "metadata.name");
	struct counting c = { .set = s->set, .quota = quota };
	const struct kind *const *kinds = kube_kinds(s->set->kube);
	struct resources before, before_hard;
	struct value status = value_object(), list;

	arena_init(&c.arena, COUNT_BYTES_MOST);
	c.hard = resources_of(value_find(quota, "spec.hard"), &c.arena);
	c.used = resources_new(&c.arena);
	before = resources_of(value_find(quota, "status.used"), &c.arena);
	before_hard = resources_of(value_find(quota, "status.hard"), &c.arena);
	for (size_t i = 0; kinds[i] && !c.err.code; i++)
		if (is_first_version(kinds, i))
			count_kind(&c, kinds[i], name_space);
	for (const struct charge *charge = s->charges; charge; charge = charge->next)
		for (size_t i = 0; span_equal(charge->quota, name) && i < charge->delta.count; i++)
			if (resources_find(&c.hard, charge->delta.items[i].name))
				resources_add(&c.used, charge->delta.items[i].name, charge->delta.items[i].amount);
	/* What nobody counts stays as it was told. */
	for (size_t i = 0; i < before.count; i++)
		if (!resources_find(&c.used, before.items[i].name) && resources_find(&c.hard, before.items[i].name))
			resources_set(&c.used, before.items[i].name, before.items[i].amount);
	if (!c.err.code && (!value_find(quota, "status.hard") || !value_find(quota, "status.used") ||
			    !resources_same(&c.hard, &before_hard) || !resources_same(&c.used, &before))) {
		if (!resources_same(&c.hard, &before_hard))
			s->uncharged_until = store_next_revision(s->set->kube->config.store);
		if (resources_write(&c.hard, &list, &c.arena, &c.err) &&
		    value_set(&status, SPAN("hard"), list, &c.arena, &c.err) &&
		    resources_write(&c.used, &list, &c.arena, &c.err) &&
		    value_set(&status, SPAN("used"), list, &c.arena, &c.err))
			(void)status_write_begin(s->set, quota, &status, SPAN("kube-controller-manager"), &c.err);
	}
	arena_done(&c.arena);
}

struct quota_keys {
	struct record *records[64]; /* more quotas of one namespace are counted in the next turn */
	size_t count;
};

static bool key_note(void *context, struct record *r)
{
	struct quota_keys *keys = context;

	keys->records[keys->count++] = record_ref(r);
	return keys->count < ARRAY_LEN(keys->records);
}

static void space_count(struct quota_space *s)
{
	struct kube *k = s->set->kube;
	const struct kind *kind = kube_kind(k, SPAN(""), SPAN("v1"), SPAN("resourcequotas"));
	struct quota_keys keys = { .count = 0 };
	struct error err = { 0 };
	struct arena arena;
	struct span prefix;
	int64_t start = clock_monotonic_ns();

	s->is_due = false;
	arena_init(&arena, MIB(16));
	prefix = kube_key(kind, span_from(s->name, s->len), (struct span){ 0 }, &arena);
	(void)store_list(k->config.store, prefix, (struct span){ 0 }, 0, key_note, &keys, &err);
	for (size_t i = 0; i < keys.count; i++) {
		struct record *r = store_latest(k->config.store, keys.records[i]->key);
		struct value *quota = r ? record_object(kind, r, &arena, &err) : NULL;

		if (quota)
			quota_count(s, quota);
		record_unref(keys.records[i]);
	}
	arena_done(&arena);
	s->rests_until_ns = loop_now(k->config.loop) + REST_FACTOR * (clock_monotonic_ns() - start);
	if (!keys.count && !s->charges)
		space_free(s);
}

/* ---- what happens ---- */

/* The third part of "/group/plural/namespace/name". */
static struct span namespace_of(struct span key)
{
	for (int i = 0; i < 3; i++) {
		size_t at = span_index(key, '/');

		if (at == key.len)
			return (struct span){ 0 };
		key = span_skip(key, at + 1);
	}
	return span_first(key, span_index(key, '/'));
}

static bool is_counted_again(const struct store_event *e)
{
	static const struct span prefixes[] = { SPAN_INIT("/core/pods/"), SPAN_INIT("/core/services/"),
						SPAN_INIT("/core/persistentvolumeclaims/") };

	if (e->record->is_deletion)
		return true;
	for (size_t i = 0; e->previous && !e->previous->is_deletion && i < ARRAY_LEN(prefixes); i++)
		if (span_starts(e->record->key, prefixes[i]))
			return true;
	return false;
}

/* Texts are compact, and spec stands before status: other than that costs a count too many. */
static struct span spec_text(struct span text)
{
	static const char begin[] = ",\"spec\":", end[] = ",\"status\":";
	const char *from = memmem(text.ptr, text.len, begin, sizeof(begin) - 1), *to;

	if (!from)
		return (struct span){ 0 };
	to = memmem(from, text.len - (size_t)(from - text.ptr), end, sizeof(end) - 1);
	return span_from(from, (size_t)((to ? to : text.ptr + text.len - 1) - from));
}

/* A charge changes the status only. */
static bool is_quota_changed(const struct store_event *e)
{
	return e->record->is_deletion || !e->previous || e->previous->is_deletion ||
	       !span_equal(spec_text(e->record->text), spec_text(e->previous->text));
}

static void event(struct store_watcher *w, const struct store_event *e)
{
	struct quotas *q = CONTAINER_OF(w, struct quotas, watcher);
	struct span key = e->record->key;
	struct quota_space *s;

	if (span_starts(key, SPAN(QUOTA_PREFIX)) && is_quota_changed(e))
		due(space_ensure(q, namespace_of(key)));
	if (!q->first)
		return;
	s = space_find(q, namespace_of(key));
	if (s && (is_counted_again(e) || e->record->revision < s->uncharged_until))
		due(s);
}

static bool first_each(void *context, struct record *r)
{
	due(space_ensure(context, namespace_of(r->key)));
	return true;
}

struct quotas *quotas_new(struct kube *k, struct error *err)
{
	struct quotas *q = base_calloc(1, sizeof(*q));

	q->kube = k;
	q->task.run = run_deferred;
	q->watcher.event = event;
	if (store_list(k->config.store, SPAN(QUOTA_PREFIX), (struct span){ 0 }, 0, first_each, q, err))
		q->watch = store_watch(k->config.store, SPAN("/"), store_revision(k->config.store), &q->watcher, err);
	if (q->watch)
		return q;
	quotas_free(q);
	return NULL;
}

void quotas_resume(struct quotas *q)
{
	for (struct quota_space *s = q->first; s; s = s->next)
		due(s);
}

void quotas_stop(struct quotas *q)
{
	if (!q || q->is_closing)
		return;
	q->is_closing = true;
	if (q->watch)
		store_unwatch(q->watch);
	loop_undefer(q->kube->config.loop, &q->task);
	for (struct quota_space *s = q->first; s; s = s->next)
		if (timer_is_set(&s->timer))
			loop_timer_clear(q->kube->config.loop, &s->timer);
}

void quotas_free(struct quotas *q)
{
	if (!q)
		return;
	quotas_stop(q);
	while (q->first)
		space_free(q->first);
	free(q);
}
