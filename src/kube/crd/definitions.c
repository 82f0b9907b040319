/* SPDX-License-Identifier: Apache-2.0 */
/*
 * definitions - the life of definitions: which names each one gets in its group, from when on its kinds are served, and its end,
 * when all of its objects are deleted first.
 *
 * It follows the store. What a definition needs next is found out anew after each change; at most one write of it is under way.
 */
#include "kube/crd/crd.h"
#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

#define PREFIX "/" CRD_GROUP "/" CRD_PLURAL "/-/"
enum { DELETES_OF_A_TURN = 500, NAMES_BYTES_MAX = 1024 * 1024, SCRATCH_MAX = 64 * 1024 * 1024 };
#define AGAIN_LEAST_NS (20 * NS_PER_MS)
#define AGAIN_MOST_NS  (2 * NS_PER_S)

struct definition {
	struct definition *next;
	struct definitions *set;
	struct custom_form *form; /* what is served of it, or was last; or NULL */
	uint64_t form_hash;
	struct arena arena; /* group and accepted names */
	struct span group;
	struct value names;
	struct loop_task task;
	struct timer timer;
	int64_t again_ns;
	size_t under_way;
	bool is_gone;
	uint32_t len;
	char name[];
};

struct definitions {
	struct kube *kube;
	struct store_watcher watcher;
	struct store_watch *watch;
	struct definition *first;
	struct loop_task stale;
	bool is_closing;
};

static struct span name_of(const struct definition *d)
{
	return span_from(d->name, d->len);
}

static void step(struct definition *d);

static void step_deferred(struct loop_task *t)
{
	step(CONTAINER_OF(t, struct definition, task));
}

static void step_timed(struct timer *t)
{
	step(CONTAINER_OF(t, struct definition, timer));
}

static void step_later(struct definition *d)
{
	if (!d->set->is_closing && !d->is_gone)
		loop_defer(d->set->kube->config.loop, &d->task);
}

/* ---- serving ---- */

/* Watches of kinds that were replaced end: their clients come back. Not inside the store's callback. */
static void stale_end(struct loop_task *t)
{
	struct definitions *s = CONTAINER_OF(t, struct definitions, stale);

	if (s->kube->watches)
		watch_set_end_stale(s->kube->watches);
}

static bool serves(const struct custom_form *f, const struct custom_version *v)
{
	for (size_t i = 0; f && i < f->count; i++)
		if (f->versions[i].is_served && strcmp(f->versions[i].kind.version, v->kind.version) == 0)
			return true;
	return false;
}

/* Puts the kinds of one form in the place of another's; either may be NULL. */
static void kinds_replace(struct definition *d, struct custom_form *form)
{
	struct kube *k = d->set->kube;
	struct custom_form *old = d->form;
	struct error err = { 0 };

	d->form = form;
	for (size_t i = 0; old && i < old->count; i++) {
		const struct kind *kind = &old->versions[i].kind;

		if (!old->versions[i].is_served)
			continue;
		if (!serves(form, &old->versions[i]))
			kube_kind_remove(k, span_of(kind->group), span_of(kind->version), span_of(kind->plural));
	}
	for (size_t i = 0; form && i < form->count; i++) {
		if (!form->versions[i].is_served)
			continue;
		form->references++;
		if (!kube_kind_add(k, &form->versions[i].kind, custom_kind_free, &err))
			form->references--; /* built in: the definition's names say so */
	}
	custom_form_unref(old);
	loop_defer(k->config.loop, &d->set->stale);
}

static uint64_t form_hash(const struct value *object, struct arena *arena, struct error *err)
{
	const struct value *spec = get(object, "spec"), *names = get(get(object, "status"), "acceptedNames");
	struct span a = spec ? value_print(spec, arena, err) : SPAN(""),
		    b = names ? value_print(names, arena, err) : SPAN("");

	return span_hash(a) * 31 + span_hash(b) + crd_condition_is_true(object, "Terminating");
}

static bool is_accepted(const struct value *object)
{
	const struct value *names = get(get(object, "status"), "acceptedNames");

	return get_text(names, "plural").len && get_text(names, "kind").len &&
	       (crd_condition_is_true(object, "NamesAccepted") || crd_condition_is_true(object, "Established"));
}

/* What is served follows what is durable. A definition whose schemas cannot be compiled keeps what it had. */
static void serve(struct definition *d, const struct value *object, int64_t since, struct arena *arena)
{
	struct error err = { 0 };
	struct custom_form *form;
	uint64_t hash;

	if (!is_accepted(object))
		return;
	hash = form_hash(object, arena, &err);
	if (d->form && hash == d->form_hash)
		return;
	form = custom_form_new(object, since, &err);
	if (!form) {
		log_warn("kube", "a definition is not served", LOG_SPAN("definition", name_of(d)),
			 LOG_TEXT("error", err.message));
		return;
	}
	form->conversions = d->set->kube->conversions;
	kinds_replace(d, form);
	d->form_hash = hash;
}

static void names_keep(struct definition *d, const struct value *object)
{
	struct error ignored = { 0 };
	const struct value *names = get(get(object, "status"), "acceptedNames");

	arena_clear(&d->arena);
	d->group = arena_copy(&d->arena, get_text(get(object, "spec"), "group"), &ignored);
	d->names = value_object();
	if (names && !value_copy(names, &d->arena, &d->names, &ignored))
		d->names = value_object();
}

/* ---- names ---- */

static bool has_text(const struct value *list, struct span text)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		if (span_equal(text_of(value_item(list, i)), text))
			return true;
	return false;
}

/* Is it an accepted name of a definition of the group? */
static bool is_used(const struct definition *d, struct span name, bool is_kind)
{
	for (const struct definition *other = d->set->first; other; other = other->next) {
		const struct value *names = &other->names;

		if (other->is_gone || !span_equal(other->group, d->group))
			continue;
		if (is_kind
			? span_equal(get_text(names, "kind"), name) || span_equal(get_text(names, "listKind"), name)
			: span_equal(get_text(names, "plural"), name) ||
			      span_equal(get_text(names, "singular"), name) || has_text(get(names, "shortNames"), name))
			return true;
	}
	return false;
}

struct naming {
	struct definition *definition;
	const struct value *wanted, *had;
	struct value *names; /* to be accepted */
	const char *reason;  /* of the last conflict */
	struct span message;
	struct arena *arena;
	struct error *err;
};

static void conflict(struct naming *n, const char *reason, struct span message)
{
	n->reason = reason;
	n->message = message;
}

static void name_settle(struct naming *n, const char *member, bool is_kind, const char *reason)
{
	struct span wanted = get_text(n->wanted, member);

	if (!span_equal(wanted, get_text(n->had, member)) && is_used(n->definition, wanted, is_kind))
		conflict(n, reason,
			 arena_print(n->arena, n->err, "\"" SPAN_FMT "\" is already in use", SPAN_ARG(wanted)));
	else if (wanted.len)
		(void)value_set(n->names, span_of(member), value_string(wanted), n->arena, n->err);
	else
		(void)value_remove(n->names, span_of(member));
}

static void list_settle(struct naming *n, const char *member)
{
	const struct value *list = get(n->wanted, member);

	if (count_of(list))
		(void)value_set(n->names, span_of(member), *list, n->arena, n->err);
	else
		(void)value_remove(n->names, span_of(member));
}

/* All short names, or none of them. */
static void short_names_settle(struct naming *n)
{
	const struct value *wanted = get(n->wanted, "shortNames"), *had = get(n->had, "shortNames");
	struct text words = { .arena = n->arena };
	size_t count = 0;

	if (is_same(wanted, had))
		return;
	for (uint32_t i = 0; i < count_of(wanted); i++) {
		struct span name = text_of(value_item(wanted, i));

		if (has_text(had, name) || !is_used(n->definition, name, false))
			continue;
		text_addf(&words, "%s\"" SPAN_FMT "\" is already in use", count++ ? ", " : "", SPAN_ARG(name));
	}
	if (count > 1)
		conflict(n, "ShortNamesConflict",
			 arena_print(n->arena, n->err, "[" SPAN_FMT "]", SPAN_ARG(text_span(&words))));
	else if (count)
		conflict(n, "ShortNamesConflict", text_span(&words));
	else
		list_settle(n, "shortNames");
}

/* As the real server's naming controller: conditions NamesAccepted and Established, and the names that are free. */
static bool names_settle(struct definition *d, struct value *object, struct arena *arena, struct error *err)
{
	struct value *status = value_ensure_object(object, SPAN("status"), arena, err);
	struct naming n = { .definition = d, .arena = arena, .err = err, .wanted = get(get(object, "spec"), "names") };
	int64_t wall = kube_wall_ns(d->set->kube);
	struct value had;
	bool changed;

	n.names = status ? value_ensure_object(status, SPAN("acceptedNames"), arena, err) : NULL;
	if (!n.names || !value_copy(n.names, arena, &had, err))
		return false;
	n.had = &had;
	name_settle(&n, "plural", false, "PluralConflict");
	name_settle(&n, "singular", false, "SingularConflict");
	short_names_settle(&n);
	name_settle(&n, "kind", true, "KindConflict");
	name_settle(&n, "listKind", true, "ListKindConflict");
	list_settle(&n, "categories");
	changed = !value_equal(&had, n.names);
	changed |= crd_condition_set(object, "NamesAccepted", !n.reason, n.reason ? n.reason : "NoConflicts",
				     n.reason ? n.message : SPAN("no conflicts found"), wall, arena, err);
	if (crd_condition_is_true(object, "Established"))
		return changed;
	return crd_condition_set(object, "Established", !n.reason, n.reason ? "NotAccepted" : "InitialNamesAccepted",
				 n.reason ? SPAN("not all names are accepted")
					  : SPAN("the initial names have been accepted"),
				 wall, arena, err) ||
	       changed;
}

/* Groups of the Kubernetes community have an annotation that says where they were approved. */
static bool approval_settle(struct definition *d, struct value *object, struct arena *arena, struct error *err)
{
	struct span group = get_text(get(object, "spec"), "group"), reason;
	enum crd_approval state = crd_approval_of(object, arena, &reason);
	static const char *const reasons[] = { [APPROVAL_GIVEN] = "ApprovedAnnotation",
					       [APPROVAL_BYPASSED] = "UnapprovedAnnotation",
					       [APPROVAL_MISSING] = "MissingAnnotation",
					       [APPROVAL_INVALID] = "InvalidAnnotation" };

	if (!crd_group_is_protected(group))
		return false;
	return crd_condition_set(object, "KubernetesAPIApprovalPolicyConformant", state == APPROVAL_GIVEN,
				 reasons[state], reason, kube_wall_ns(d->set->kube), arena, err);
}

/* ---- writes ---- */

static void free_when_done(struct definition *d)
{
	if (!d->is_gone || d->under_way)
		return;
	for (struct definition **at = &d->set->first; *at; at = &(*at)->next) {
		if (*at == d) {
			*at = d->next;
			break;
		}
	}
	loop_undefer(d->set->kube->config.loop, &d->task);
	if (timer_is_set(&d->timer))
		loop_timer_clear(d->set->kube->config.loop, &d->timer);
	custom_form_unref(d->form);
	arena_done(&d->arena);
	free(d);
}

static void written(void *context, const struct value *object, const struct error *err)
{
	struct definition *d = context;

	(void)object;
	d->under_way--;
	/* Somebody else's write came between: it is looked at anew. */
	if (err && err->code == ERROR_CONFLICT)
		step_later(d);
	kube_write_ended(d->set->kube, err);
	if (!d->set->is_closing)
		free_when_done(d);
}

static void update(struct definition *d, struct value *object, bool is_status)
{
	struct kube_write w = { .kind = &kind_custom_resource_definition,
				.verb = KUBE_UPDATE,
				.subresource = is_status ? SPAN("status") : (struct span){ 0 },
				.name = name_of(d),
				.object = object,
				.manager = SPAN("kube-apiserver"),
				.done = written,
				.context = d };

	d->under_way++;
	kube_write(d->set->kube, &w, NULL);
}

/* ---- the end ---- */

static void object_deleted(void *context, const struct value *object, const struct error *err)
{
	struct definition *d = context;

	(void)object;
	(void)err; /* what is left is found again */
	d->under_way--;
	if (d->set->is_closing)
		return;
	if (!d->under_way)
		step_later(d);
	free_when_done(d);
}

struct sweep {
	struct record *records[DELETES_OF_A_TURN];
	size_t count, all;
};

static bool sweep_each(void *context, struct record *r)
{
	struct sweep *s = context;

	s->all++;
	if (notes_of(r) && notes_of(r)->is_ending)
		return true;
	if (s->count == DELETES_OF_A_TURN)
		return false;
	s->records[s->count++] = record_ref(r);
	return true;
}

static const struct kind *storage_kind(const struct definition *d)
{
	for (size_t i = 0; d->form && i < d->form->count; i++)
		if (strcmp(d->form->versions[i].kind.version, d->form->storage) == 0)
			return &d->form->versions[i].kind;
	return NULL;
}

/* The keys are "/group/plural/namespace/name". */
static void object_delete(struct definition *d, const struct kind *kind, const struct record *r)
{
	struct span rest = span_skip(r->key, 1), name_space;
	struct kube_write w = { .kind = kind, .verb = KUBE_DELETE, .done = object_deleted, .context = d };

	(void)span_cut(&rest, '/');
	(void)span_cut(&rest, '/');
	name_space = span_cut(&rest, '/');
	w.name_space = kind->is_namespaced ? name_space : (struct span){ 0 };
	w.name = rest;
	d->under_way++;
	kube_write(d->set->kube, &w, NULL);
}

static bool finalizer_drop(struct value *object)
{
	struct value *list = value_find(object, "metadata.finalizers");

	for (uint32_t i = 0; i < value_count(list); i++) {
		if (is_text(value_item(list, i), CRD_FINALIZER)) {
			value_remove_item(list, i);
			return true;
		}
	}
	return false;
}

/* Deletes what there is; how many are left, those with finalizers too. */
static size_t objects_delete(struct definition *d, struct arena *arena, size_t *ret_deletes)
{
	const struct kind *kind = storage_kind(d);
	struct span prefix = kind ? kube_key(kind, (struct span){ 0 }, (struct span){ 0 }, arena) : (struct span){ 0 };
	struct error ignored = { 0 };
	struct sweep s = { .count = 0 };

	*ret_deletes = 0;
	if (!prefix.len)
		return 0;
	(void)store_list(d->set->kube->config.store, prefix, (struct span){ 0 }, 0, sweep_each, &s, &ignored);
	*ret_deletes = s.count;
	d->under_way++; /* so that deletes that end at once do not come back here */
	for (size_t i = 0; i < s.count; i++) {
		object_delete(d, kind, s.records[i]);
		record_unref(s.records[i]);
	}
	d->under_way--;
	return s.all;
}

static void end_step(struct definition *d, struct value *object, struct arena *arena, struct error *err)
{
	struct loop *loop = d->set->kube->config.loop;
	size_t deletes, left;

	if (!has_text(value_find(object, "metadata.finalizers"), SPAN(CRD_FINALIZER)))
		return;
	left = objects_delete(d, arena, &deletes);
	if (!left) {
		if (finalizer_drop(object))
			update(d, object, false);
		return;
	}
	if (!deletes && !d->under_way &&
	    crd_condition_set(object, "Terminating", true, "InstanceDeletionInProgress",
			      SPAN("CustomResource deletion is in progress"), kube_wall_ns(d->set->kube), arena, err))
		update(d, object, true);
	/* What finalizers keep is looked at again now and then. */
	d->again_ns = deletes ? AGAIN_LEAST_NS : MIN(2 * MAX(d->again_ns, AGAIN_LEAST_NS), AGAIN_MOST_NS);
	loop_timer_set(loop, &d->timer, loop_now(loop) + d->again_ns, step_timed);
}

/* ---- one step ---- */

static void step(struct definition *d)
{
	struct error err = { 0 };
	struct value *object;
	struct arena arena;
	bool changed;

	if (d->set->is_closing || d->is_gone || d->under_way)
		return;
	arena_init(&arena, SCRATCH_MAX);
	object = kube_object(d->set->kube, &kind_custom_resource_definition, (struct span){ 0 }, name_of(d), true,
			     &arena, &err);
	if (object && value_find(object, "metadata.deletionTimestamp")) {
		end_step(d, object, &arena, &err);
	} else if (object) {
		changed = names_settle(d, object, &arena, &err);
		changed |= approval_settle(d, object, &arena, &err);
		if (changed && !err.code) {
			names_keep(d, object); /* taken from now on */
			update(d, object, true);
		}
	}
	arena_done(&arena);
}

/* ---- following the store ---- */

static struct definition *definition_find(struct definitions *s, struct span name)
{
	for (struct definition *d = s->first; d; d = d->next)
		if (!d->is_gone && span_equal(name, name_of(d)))
			return d;
	return NULL;
}

static struct definition *definition_ensure(struct definitions *s, struct span name)
{
	struct definition *d = definition_find(s, name);

	if (d)
		return d;
	d = base_calloc(1, sizeof(*d) + name.len);
	d->set = s;
	d->task.run = step_deferred;
	d->names = value_object();
	arena_init(&d->arena, NAMES_BYTES_MAX);
	d->len = (uint32_t)name.len;
	memcpy(d->name, name.ptr, name.len);
	d->next = s->first;
	s->first = d;
	return d;
}

static void definition_seen(struct definitions *s, const struct record *r, int64_t since)
{
	struct definition *d = definition_ensure(s, span_skip(r->key, strlen(PREFIX)));
	struct error err = { 0 };
	struct value object;
	struct arena arena;

	arena_init(&arena, SCRATCH_MAX);
	if (value_parse(r->text, NULL, &arena, &object, &err)) {
		/* A write of ours that is under way has newer names. */
		if (!d->under_way)
			names_keep(d, &object);
		serve(d, &object, since, &arena);
	}
	arena_done(&arena);
	step_later(d);
}

void definitions_serve(struct definitions *s, struct span name)
{
	struct definition *d = definition_ensure(s, name);
	struct error err = { 0 };
	struct value *object;
	struct arena arena;

	arena_init(&arena, SCRATCH_MAX);
	object = kube_object(s->kube, &kind_custom_resource_definition, (struct span){ 0 }, name, true, &arena, &err);
	if (object) {
		names_keep(d, object);
		(void)names_settle(d, object, &arena, &err);
		names_keep(d, object);
		serve(d, object, store_next_revision(s->kube->config.store) - 1, &arena);
	}
	arena_done(&arena);
	step_later(d);
}

/* Its names are free for others of the group. */
static void definition_gone(struct definitions *s, struct span name)
{
	struct definition *d = definition_find(s, name);

	if (!d)
		return;
	for (struct definition *other = s->first; other; other = other->next)
		if (other != d && span_equal(other->group, d->group))
			step_later(other);
	kinds_replace(d, NULL);
	d->is_gone = true;
	free_when_done(d);
}

static void event(struct store_watcher *watcher, const struct store_event *e)
{
	struct definitions *s = CONTAINER_OF(watcher, struct definitions, watcher);

	if (e->record->is_deletion)
		definition_gone(s, span_skip(e->record->key, strlen(PREFIX)));
	else
		definition_seen(s, e->record, store_next_revision(s->kube->config.store) - 1);
}

struct first {
	struct record **records;
	size_t count, capacity;
};

static bool first_each(void *context, struct record *r)
{
	struct first *f = context;

	if (f->count == f->capacity) {
		f->capacity = f->capacity ? 2 * f->capacity : 64;
		f->records = base_realloc(f->records, f->capacity * sizeof(struct record *));
	}
	f->records[f->count++] = record_ref(r);
	return true;
}

struct definitions *definitions_new(struct kube *k, struct error *err)
{
	struct definitions *s = base_calloc(1, sizeof(*s));
	struct first f = { 0 };

	s->kube = k;
	s->watcher.event = event;
	s->stale.run = stale_end;
	s->watch = store_watch(k->config.store, SPAN(PREFIX), store_revision(k->config.store), &s->watcher, err);
	if (!s->watch || !store_list(k->config.store, SPAN(PREFIX), (struct span){ 0 }, 0, first_each, &f, err)) {
		free(f.records);
		definitions_free(s);
		return NULL;
	}
	for (size_t i = 0; i < f.count; i++) {
		definition_seen(s, f.records[i], f.records[i]->revision);
		record_unref(f.records[i]);
	}
	free(f.records);
	return s;
}

void definitions_resume(struct definitions *s)
{
	for (struct definition *d = s->first; d; d = d->next)
		step_later(d);
}

void definitions_stop(struct definitions *s)
{
	if (!s || s->is_closing)
		return;
	s->is_closing = true;
	loop_undefer(s->kube->config.loop, &s->stale);
	if (s->watch)
		store_unwatch(s->watch);
	for (struct definition *d = s->first; d; d = d->next) {
		loop_undefer(s->kube->config.loop, &d->task);
		if (timer_is_set(&d->timer))
			loop_timer_clear(s->kube->config.loop, &d->timer);
	}
}

void definitions_free(struct definitions *s)
{
	if (!s)
		return;
	definitions_stop(s);
	while (s->first) {
		struct definition *d = s->first;

		s->first = d->next;
		custom_form_unref(d->form);
		arena_done(&d->arena);
		free(d);
	}
	free(s);
}
