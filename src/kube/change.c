/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change - the way that create, update and patch share: defaults → admission → prepare → validate → admission → managed fields →
 * store_write() → durable → answer.
 *
 * All of it happens in one turn of the loop unless a webhook is asked; then the object may have changed meanwhile, and the write is
 * made again from what is there now (or refused, when the client named a version).
 */
#include "kube/crd/convert.h"
#include "kube/crd/crd.h"
#include "kube/kube_private.h"

#include "base/clock.h"
#include "base/random.h"

#include <stdlib.h>

#define EVENT_LIFE_NS (3600 * NS_PER_S)
enum { SAME_WAITS_MOST = 8 }; /* of a write that changes nothing: others may come between each time */

/* ---- metadata ---- */

struct value *object_metadata(struct value *object, struct arena *arena, struct error *err)
{
	return value_ensure_object(object, SPAN("metadata"), arena, err);
}

bool has_finalizers(const struct value *object)
{
	const struct value *list = value_find(object, "metadata.finalizers");

	return value_is(list, VALUE_ARRAY) && list->array.count > 0;
}

static const struct span metadata_order[] = {
	SPAN_INIT("name"),
	SPAN_INIT("generateName"),
	SPAN_INIT("namespace"),
	SPAN_INIT("selfLink"),
	SPAN_INIT("uid"),
	SPAN_INIT("resourceVersion"),
	SPAN_INIT("generation"),
	SPAN_INIT("creationTimestamp"),
	SPAN_INIT("deletionTimestamp"),
	SPAN_INIT("deletionGracePeriodSeconds"),
	SPAN_INIT("labels"),
	SPAN_INIT("annotations"),
	SPAN_INIT("ownerReferences"),
	SPAN_INIT("finalizers"),
	SPAN_INIT("managedFields"),
};

/* The members named come first, in this order; the rest follows as it was. */
static bool members_sort(struct value *object, const struct span *order, size_t count, struct arena *arena,
			 struct error *err)
{
	struct value sorted = value_object();

	for (size_t i = 0; i < count; i++) {
		const struct value *v = value_get(object, order[i]);

		if (v && !value_set(&sorted, order[i], *v, arena, err))
			return false;
	}
	for (uint32_t i = 0; i < object->object.count; i++) {
		const struct value_member *m = &object->object.members[i];

		if (!value_get(&sorted, m->key) && !value_set(&sorted, m->key, m->value, arena, err))
			return false;
	}
	*object = sorted;
	return true;
}

bool object_set_version(struct value *object, int64_t revision, struct arena *arena, struct error *err)
{
	struct value *metadata = object_metadata(object, arena, err);
	struct span text = arena_print(arena, err, "%lld", (long long)revision);

	return metadata && text.ptr && value_set(metadata, SPAN("resourceVersion"), value_string(text), arena, err);
}

/* As it is stored: kind and apiVersion first, then metadata: notes.c relies on it. */
static bool object_order(struct value *object, struct arena *arena, struct error *err)
{
	static const struct span order[] = { SPAN_INIT("kind"), SPAN_INIT("apiVersion"), SPAN_INIT("metadata") };
	struct value *metadata = object_metadata(object, arena, err);

	for (uint32_t i = metadata ? metadata->object.count : 0; i-- > 0;) {
		if (metadata->object.members[i].value.type == VALUE_NULL)
			(void)value_remove(metadata, metadata->object.members[i].key);
	}
	return metadata && members_sort(metadata, metadata_order, ARRAY_LEN(metadata_order), arena, err) &&
	       members_sort(object, order, ARRAY_LEN(order), arena, err);
}

static bool set(struct call *call, struct value *metadata, const char *member, struct value v)
{
	return value_set(metadata, span_of(member), v, &call->arena, &call->change_error) != NULL;
}

static bool fill_created(struct call *call)
{
	struct value *metadata = object_metadata(call->change.object, &call->arena, &call->change_error);
	char uid[RANDOM_UUID_SIZE];
	static const char *const dropped[] = { "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
					       "resourceVersion" };

	if (!metadata)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		(void)value_remove(metadata, span_of(dropped[i]));
	random_uuid(uid);
	if (call->base.kind->has_generation && !set(call, metadata, "generation", value_int(1)))
		return false;
	return set(call, metadata, "uid", value_string(arena_copy(&call->arena, span_of(uid), &call->change_error))) &&
	       set(call, metadata, "creationTimestamp",
		   value_string(kube_now_text(kube_wall_ns(call->base.kube), &call->arena)));
}

/* What the client left out, and what is not the client's, comes from the stored object. */
static bool fill_updated(struct call *call)
{
	static const char *const filled[] = { "uid", "generateName" };
	static const char *const kept[] = { "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds" };
	struct value *metadata = object_metadata(call->change.object, &call->arena, &call->change_error);
	const struct value *old = value_get(call->change.old, SPAN("metadata"));
	const struct value *generation = value_get(old, SPAN("generation"));
	struct value *given;

	if (!metadata)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(filled); i++) {
		const struct value *v = value_get(old, span_of(filled[i]));

		if (v && value_is_empty(value_get(metadata, span_of(filled[i]))) && !set(call, metadata, filled[i], *v))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		const struct value *v = value_get(old, span_of(kept[i]));

		(void)value_remove(metadata, span_of(kept[i]));
		if (v && !set(call, metadata, kept[i], *v))
			return false;
	}
	(void)value_remove(metadata, SPAN("selfLink"));
	(void)value_remove(metadata, SPAN("generation"));
	if (generation && !set(call, metadata, "generation", *generation))
		return false;
	/* An empty list, which would be lost on the way, ends the tracking of owners. */
	given = value_get(metadata, SPAN("managedFields"));
	if (value_is(given, VALUE_ARRAY) && given->array.count == 0 &&
	    !value_append(given, value_object(), &call->arena, &call->change_error))
		return false;
	/* A client that sends none leaves the owners of fields as they are; an apply knows better. */
	if (!given && !call->is_apply && value_get(old, SPAN("managedFields")))
		return set(call, metadata, "managedFields", *value_get(old, SPAN("managedFields")));
	return true;
}

static bool raises_generation(const struct call *call)
{
	const struct change *c = &call->change;
	const struct value *a, *b;

	if (!call->base.kind->has_generation || span_equal(c->subresource, SPAN("status")))
		return false;
	if (call->base.kind->raises_generation)
		return call->base.kind->raises_generation(c->old, c->object);
	a = value_get(c->old, SPAN("spec"));
	b = value_get(c->object, SPAN("spec"));
	return (value_is_empty(a) && value_is_empty(b)) ? false : !a || !b || !value_equal(a, b);
}

/* ---- beginning ---- */

void change_begin(struct call *call, enum kube_verb verb)
{
	struct change *c = &call->change;

	call->change_error = (struct error){ 0 };
	admission_end(c, false);
	*c = (struct change){ .kube = call->base.kube,
			      .kind = call->base.kind,
			      .arena = &call->arena,
			      .verb = verb,
			      .subresource = call->base.subresource,
			      .old = c->old,
			      .object = c->object,
			      .name_space = call->base.name_space,
			      .name = call->base.name,
			      .user = &call->user,
			      .is_dry_run = call->options.is_dry_run,
			      .warnings = c->warnings,
			      .err = &call->change_error };
}

/* False: answered. */
static bool change_is_fine(struct call *call)
{
	struct change *c = &call->change;

	if (call->change_error.code) {
		answer_error(call, &call->change_error);
		return false;
	}
	if (!c->cause_count)
		return true;
	/* Another form of a kind is checked, and told of, as that kind. */
	answer_causes(call, c->kind->is_custom ? get_string(c->object, "kind") : span_of(c->kind->kind),
		      span_of(c->kind->stored_as ? c->kind->stored_as->group : c->kind->group), call->base.name,
		      c->causes);
	return false;
}

/* ---- managed fields ---- */

/* The query's fieldManager, or what stands before the slash in User-Agent. */
static struct span manager_of(struct call *call)
{
	struct span agent;

	if (call->options.field_manager.len)
		return call->options.field_manager;
	if (!call->base.req)
		return SPAN("hythe");
	agent = request_header(call->base.req, SPAN("user-agent"));
	agent = span_first(agent, span_index(agent, '/'));
	return agent.len ? span_first(agent, 128) : SPAN("unknown");
}

static struct span kind_api_version(const struct kind *kind, struct arena *arena, struct error *err)
{
	return kind->group[0] ? arena_print(arena, err, "%s/%s", kind->group, kind->version) : span_of(kind->version);
}

static const char *const status_only[] = { "status", NULL };

/* NULL: as usual. */
static const char *const *manager_reset(const struct call *call)
{
	const struct kind *kind = call->base.kind;

	if (span_equal(call->base.subresource, SPAN("status")))
		return kind->status_keeps;
	return kind->is_custom && kind->subresources & SUB_STATUS && !call->base.subresource.len ? status_only : NULL;
}

struct apply_manager manager_make(struct call *call)
{
	struct error ignored = { 0 };

	return (struct apply_manager){ .name = arena_copy(&call->arena, manager_of(call), &ignored),
				       .api_version = kind_api_version(call->base.kind, &call->arena, &ignored),
				       .subresource = call->base.subresource,
				       .reset = manager_reset(call),
				       /* The real server loses the time of who writes by scale. */
				       .time = span_equal(call->base.subresource, SPAN("scale"))
						   ? (struct span){ 0 }
						   : kube_now_text(kube_wall_ns(call->base.kube), &call->arena) };
}

/* False: answered. */
static bool fields_write(struct call *call)
{
	struct apply_manager manager = manager_make(call);
	const struct type *type = kind_type(call->base.kind);
	const struct value *old = call->change.old;
	struct value nothing = value_object();

	/* What an object of the type has that nobody has filled is not the creator's. */
	if (!old && type) {
		if (!schema_complete(type, &nothing, &call->arena, &call->change_error)) {
			answer_error(call, &call->change_error);
			return false;
		}
		old = &nothing;
	}
	if (call->is_apply || call->skips_owners ||
	    fields_track(old, call->change.object, kind_place(call->base.kind), &manager, &call->arena,
			 &call->change_error))
		return true;
	answer_error(call, &call->change_error);
	return false;
}

/* The form that the real server's types give an object. False: answered. */
static bool object_complete(struct call *call)
{
	const struct type *type = kind_type(call->base.kind);

	if (!type || schema_complete(type, call->change.object, &call->arena, &call->change_error))
		return true;
	answer_error(call, &call->change_error);
	return false;
}

static void change_admitted(void *context, const struct error *err);
static void change_validated(void *context, const struct error *err);

void change_run(struct call *call)
{
	struct change *c = &call->change;

	if (c->old ? !fill_updated(call) : !fill_created(call)) {
		answer_error(call, &call->change_error);
		return;
	}
	if (c->kind->defaults)
		c->kind->defaults(c);
	/* Nobody owns what admission and the kind itself add. */
	if (!change_is_fine(call) || !object_complete(call) || !fields_write(call))
		return;
	if (call->skips_admission) {
		change_admitted(call, NULL);
		return;
	}
	if (call->base.req)
		call_open(call); /* a webhook may be asked */
	admission_run(c, false, change_admitted, call);
}

static void check_added_finalizers(struct change *c)
{
	const struct value *now = value_find(c->object, "metadata.finalizers");
	const struct value *old = value_find(c->old, "metadata.finalizers");
	struct buffer text;
	bool any = false;

	if (!value_find(c->old, "metadata.deletionTimestamp") || !value_is(now, VALUE_ARRAY))
		return;
	buffer_init(&text, KIB(64));
	for (uint32_t i = 0; i < now->array.count; i++) {
		bool is_known = false;

		for (uint32_t j = 0; j < value_count(old); j++)
			is_known |= value_equal(value_item(old, j), value_item(now, i));
		if (is_known || !value_is(value_item(now, i), VALUE_STRING))
			continue;
		buffer_print(&text, "%s\"" SPAN_FMT "\"", any ? ", " : "", SPAN_ARG(value_item(now, i)->string));
		any = true;
	}
	buffer_byte(&text, '\0');
	if (any)
		cause_forbidden(c, SPAN("metadata.finalizers"),
				arena_print(c->arena, c->err,
					    "no new finalizers can be added if the object is being deleted, found new "
					    "finalizers []string{%s}",
					    text.ptr)
				    .ptr);
	buffer_done(&text);
}

static void change_admitted(void *context, const struct error *err)
{
	struct call *call = context;
	struct change *c = &call->change;

	if (err && err->code) {
		admission_answer(call, err);
		return;
	}
	if (c->kind->prepare)
		c->kind->prepare(c);
	if (!change_is_fine(call))
		return;
	if (!object_complete(call))
		return;
	if (c->old && raises_generation(call))
		(void)set(call, value_get(c->object, SPAN("metadata")), "generation",
			  value_int(value_find_int(c->old, "metadata.generation", 0) + 1));
	for (int i = 0; c->old && i < 2; i++) /* as often as the real server tells it */
		check_added_finalizers(c);
	if (c->kind->validate)
		c->kind->validate(c);
	if (!change_is_fine(call))
		return;
	if (call->skips_admission)
		change_validated(call, NULL);
	else
		admission_run(c, true, change_validated, call);
}

/* ---- writing ---- */

static bool entries_same(const struct value *a, const struct value *b)
{
	uint32_t count = value_count(a);

	if (count != (value_count(b)))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct value *x = value_item(a, i), *y = value_item(b, i);

		if (x->type != VALUE_OBJECT || y->type != VALUE_OBJECT || x->object.count != y->object.count)
			return false;
		for (uint32_t j = 0; j < x->object.count; j++) {
			const struct value_member *m = &x->object.members[j];
			const struct value *other = value_get(y, m->key);

			if (!other || (!span_equal(m->key, SPAN("time")) && !value_equal(&m->value, other)))
				return false;
		}
	}
	return true;
}

static bool members_same(const struct value *a, const struct value *b, const char *const *passed_over)
{
	uint32_t counted = 0;

	for (uint32_t i = 0; i < a->object.count; i++) {
		const struct value_member *m = &a->object.members[i];
		const struct value *other;
		bool is_passed = m->value.type == VALUE_NULL;

		for (size_t j = 0; passed_over[j]; j++)
			is_passed |= span_equal(m->key, span_of(passed_over[j]));
		if (is_passed)
			continue;
		other = value_get(b, m->key);
		if (!other || !value_equal(&m->value, other))
			return false;
		counted++;
	}
	for (uint32_t i = 0; i < b->object.count; i++) {
		bool is_passed = b->object.members[i].value.type == VALUE_NULL;

		for (size_t j = 0; passed_over[j]; j++)
			is_passed |= span_equal(b->object.members[i].key, span_of(passed_over[j]));
		counted -= !is_passed;
	}
	return counted == 0;
}

/* A write that changes nothing but times of owners is none. */
static bool changes_nothing(const struct value *old, const struct value *now)
{
	static const char *const of_object[] = { "metadata", NULL };
	static const char *const of_metadata[] = { "managedFields", "resourceVersion", NULL };
	const struct value *a = value_get(old, SPAN("metadata")), *b = value_get(now, SPAN("metadata"));

	return value_is(a, VALUE_OBJECT) && value_is(b, VALUE_OBJECT) && members_same(old, now, of_object) &&
	       members_same(a, b, of_metadata) &&
	       entries_same(value_get(a, SPAN("managedFields")), value_get(b, SPAN("managedFields")));
}

static int success_code(const struct call *call)
{
	return call->is_created ? 201 : 200;
}

static void stored(void *context, struct record *r, const struct error *err)
{
	struct call *call = context;
	struct change *c = &call->change;

	admission_end(c, !err || !err->code);
	if (err && err->code) {
		answer_error(call, err);
		return;
	}
	if (c->kind->changed)
		c->kind->changed(call->base.kube, c->kind, c->old, call->is_removed ? NULL : c->object);
	if (call->answers_status && call->is_removed && !call->finished) {
		struct status s = { .code = 200,
				    .is_success = true,
				    .has_details = true,
				    .name = call->base.name,
				    .group = span_of(c->kind->group),
				    .kind = span_of(c->kind->plural),
				    .uid = value_find_string(c->object, "metadata.uid") };

		call->form = FORM_OBJECT;
		answer_status(call, &s);
		return;
	}
	if (call->answer)
		call->answer(call, success_code(call), c->object);
	else if (call->finished || c->kind->stored_as || !custom_is_stored_as(c->kind) ||
		 (call->is_removed && c->verb == KUBE_UPDATE))
		answer_value(call, success_code(call), c->object);
	else
		answer_text(call, success_code(call), r->text);
}

static bool text_check(struct call *call, struct span text)
{
	size_t most = call->base.kube->config.object_bytes_most;

	if (text.len <= most)
		return true;
	answer_message(call, 413, "RequestEntityTooLarge", "Request entity too large: limit is %zu", most);
	return false;
}

static void begin_anew(struct call *call)
{
	call->stored_text = (struct span){ 0 };
	record_unref(call->base_record);
	call->base_record = NULL;
	call->change.old = NULL;
	if (call->change.warnings)
		call->change.warnings->array.count = call->warnings;
	call->run(call);
}

static void retry(struct call *call)
{
	struct status s;

	if (status_of_conflict(call, &s)) {
		answer_status(call, &s);
		return;
	}
	call->tries++;
	begin_anew(call);
}

static void waited(struct store_after *a)
{
	struct call *call = CONTAINER_OF(a, struct call, after);
	struct error err = { 0 };

	if (!call->base.kube->is_closing) {
		begin_anew(call);
		return;
	}
	error_set(&err, ERROR_UNAVAILABLE, "the server is ending");
	answer_error(call, &err);
}

bool change_waits(struct call *call, unsigned most)
{
	struct store *store = call->base.kube->config.store;
	struct span key = kube_key(call->base.kind, call->base.name_space, call->base.name, &call->arena);

	/* What skips admission is the server's own, and is made now or not at all. */
	if (!key.ptr || call->skips_admission || call->waits >= most ||
	    store_latest(store, key) == store_get(store, key))
		return false;
	call->waits++;
	call_open(call);
	store_after(store, &call->after, waited);
	return true;
}

/* As it is stored: of some kinds that is the form of another kind. An object that goes with its last finalizer is told to watchers
 * as it was before. */
static struct span text_make(struct call *call, struct error *err)
{
	const struct kind *kind = call->base.kind;
	struct value other;

	if (call->stored_text.ptr) {
		if (!value_parse(call->stored_text, NULL, &call->arena, &other, err) ||
		    !object_set_version(&other, store_next_revision(call->base.kube->config.store), &call->arena,
					err) ||
		    !object_order(&other, &call->arena, err))
			return (struct span){ 0 };
		return value_print(&other, &call->arena, err);
	}
	if (call->is_removed && call->change.verb == KUBE_UPDATE && !kind->stored_as) {
		if (!value_copy(call->change.old, &call->arena, &other, err) ||
		    !object_set_version(&other, store_next_revision(call->base.kube->config.store), &call->arena,
					err) ||
		    !object_order(&other, &call->arena, err))
			return (struct span){ 0 };
		return value_print(&other, &call->arena, err);
	}
	if (!custom_is_stored_as(kind)) {
		if (!value_copy(call->change.object, &call->arena, &other, err) ||
		    !custom_to_stored(kind, &other, &call->arena, err) || !object_order(&other, &call->arena, err))
			return (struct span){ 0 };
		return value_print(&other, &call->arena, err);
	}
	if (!kind->stored_as || !kind->to_stored)
		return value_print(call->change.object, &call->arena, err);
	if (!value_copy(call->change.object, &call->arena, &other, err) ||
	    !kind->to_stored(&other, &call->arena, err) || !object_order(&other, &call->arena, err))
		return (struct span){ 0 };
	return value_print(&other, &call->arena, err);
}

static void stored_form_made(void *context, struct span text, const struct error *err)
{
	struct call *call = context;
	struct error failure = { 0 };

	if (!err)
		call->stored_text = arena_copy(&call->arena, text, &failure);
	if (err || failure.code)
		answer_error(call, err ? err : &failure);
	else
		(void)change_store(call, call->is_removed, call->expires_ns);
}

/* A webhook makes the version that is stored: change_store() is called again when it has. */
static bool waits_for_webhook(struct call *call, bool is_deletion, int64_t expires_ns)
{
	const struct kind *kind = call->base.kind;
	struct change *c = &call->change;
	struct value *object = is_deletion && c->verb == KUBE_UPDATE ? c->old : c->object;
	struct error err = { 0 };

	if (!kind->is_custom || call->stored_text.ptr || custom_is_stored_as(kind) || !convert_is_by_webhook(kind))
		return false;
	call->is_removed = is_deletion;
	call->expires_ns = expires_ns;
	call_open(call);
	if (object_order(object, &call->arena, &err))
		(void)convert_object(call->base.kube, kind, object, stored_form_made, call);
	else
		answer_error(call, &err);
	return true;
}

/* Proposes what change.object is. False: answered, or tried again. */
bool change_store(struct call *call, bool is_deletion, int64_t expires_ns)
{
	struct kube *k = call->base.kube;
	struct change *c = &call->change;
	struct error err = { 0 };
	struct store_write w = { .is_deletion = is_deletion,
				 .expected = call->revision,
				 .expires_ns = expires_ns,
				 .done = stored,
				 .context = call };

	if (waits_for_webhook(call, is_deletion, expires_ns))
		return true;
	w.key = kube_key(c->kind, call->base.name_space, call->base.name, &call->arena);
	call->is_removed = is_deletion;
	if (!object_set_version(c->object, store_next_revision(k->config.store), &call->arena, &err) ||
	    !object_order(c->object, &call->arena, &err) || !w.key.ptr) {
		answer_error(call, &err);
		return false;
	}
	w.text = text_make(call, &err);
	if (!w.text.ptr) {
		answer_error(call, &err);
		return false;
	}
	if (!text_check(call, w.text))
		return false;
	call_open(call);
	if (store_write(k->config.store, &w, &err))
		return true;
	if (err.code == ERROR_CONFLICT && call->tries < WRITE_TRIES_MOST)
		retry(call);
	else
		answer_error(call, &err);
	return false;
}

static void answer_dry_run(struct call *call)
{
	struct change *c = &call->change;
	struct value *metadata = object_metadata(c->object, &call->arena, &call->change_error);

	if (metadata && !c->old)
		(void)value_remove(metadata, SPAN("resourceVersion"));
	if (!metadata || !object_order(c->object, &call->arena, &call->change_error)) {
		answer_error(call, &call->change_error);
		return;
	}
	if (call->answer)
		call->answer(call, success_code(call), c->object);
	else
		answer_value(call, success_code(call), c->object);
}

/* Finalizers were what kept an object that is being deleted. */
static bool is_last_finalizer_gone(const struct change *c)
{
	return c->old && value_find(c->old, "metadata.deletionTimestamp") && has_finalizers(c->old) &&
	       !has_finalizers(c->object) && value_find_int(c->object, "metadata.deletionGracePeriodSeconds", 0) == 0 &&
	       !(span_equal(span_of(c->kind->plural), SPAN("namespaces")) &&
		 !value_is_empty(value_find(c->object, "spec.finalizers")));
}

static bool is_namespace_finalized(const struct change *c)
{
	return c->old && !c->kind->group[0] && strcmp(c->kind->plural, "namespaces") == 0 &&
	       value_find(c->old, "metadata.deletionTimestamp") && !has_finalizers(c->object) &&
	       value_is_empty(value_find(c->object, "spec.finalizers"));
}

static bool is_event(const struct kind *kind)
{
	return strcmp(kind->plural, "events") == 0 && (!kind->group[0] || strcmp(kind->group, "events.k8s.io") == 0);
}

static void change_validated(void *context, const struct error *err)
{
	struct call *call = context;
	struct change *c = &call->change;

	if (err && err->code) {
		admission_answer(call, err);
		return;
	}
	if (c->is_dry_run) {
		answer_dry_run(call);
		return;
	}
	if (is_last_finalizer_gone(c) || is_namespace_finalized(c)) {
		(void)change_store(call, true, 0);
		return;
	}
	if (c->old && changes_nothing(c->old, c->object)) {
		if (change_waits(call, SAME_WAITS_MOST))
			return;
		if (call->answer)
			call->answer(call, 200, c->old);
		else if (call->finished || c->kind->stored_as)
			answer_value(call, 200, c->old);
		else
			answer_text(call, 200, call->old_text);
		return;
	}
	(void)change_store(call, false, is_event(c->kind) ? kube_wall_ns(c->kube) + EVENT_LIFE_NS : 0);
}
