/* SPDX-License-Identifier: Apache-2.0 */
/* delete - deleting one object: preconditions, grace, finalizers, the collector's finalizers; and collections of them. */
#include "kube/kube_private.h"

#include "kube/crd/convert.h"

#include "base/clock.h"

#include <stdlib.h>

enum { COLLECTION_WAVE = 500 };

#define ORPHAN     SPAN("orphan")
#define FOREGROUND SPAN("foregroundDeletion")

static bool is_core(const struct kind *kind, const char *plural)
{
	return !kind->group[0] && strcmp(kind->plural, plural) == 0;
}

/* Kinds whose last state is the answer, not a Status (ReturnDeletedObject of their storage). */
static bool answers_object(const struct kind *kind)
{
	static const char *const plurals[] = {
		"pods",         "services",       "persistentvolumeclaims", "persistentvolumes", "serviceaccounts",
		"podtemplates", "resourcequotas", "storageclasses",         "volumeattachments", "csidrivers",
		"csinodes",     "namespaces",
	};

	for (size_t i = 0; !kind->is_custom && i < ARRAY_LEN(plurals); i++)
		if (strcmp(kind->plural, plurals[i]) == 0)
			return true;
	return false;
}

/* ---- conditions ---- */

static void answer_precondition(struct call *call, const char *what, struct span given, struct span is, const char *why)
{
	struct error ignored = { 0 };
	const struct kind *kind = call->base.kind;
	struct status s = { .code = 409,
			    .reason = "Conflict",
			    .has_details = true,
			    .name = call->base.name,
			    .group = span_of(kind->group),
			    .kind = span_of(kind->kind) };

	s.message = arena_print(&call->arena, &ignored,
				"Operation cannot be fulfilled on %s%s%s \"" SPAN_FMT
				"\": the %s in the precondition (" SPAN_FMT
				") does not match the %s in record (" SPAN_FMT "). The object might have been %s",
				kind->kind, kind->group[0] ? "." : "", kind->group, SPAN_ARG(call->base.name), what,
				SPAN_ARG(given), what, SPAN_ARG(is), why);
	answer_status(call, &s);
}

static bool preconditions_hold(struct call *call)
{
	const struct options *o = &call->options;
	struct span uid = value_find_string(call->change.old, "metadata.uid");
	struct span version = value_find_string(call->change.old, "metadata.resourceVersion");

	if (((o->has_precondition_uid && !span_equal(o->precondition_uid, uid)) ||
	     (o->has_precondition_version && !span_equal(o->precondition_version, version))) &&
	    change_waits(call, 1))
		return false;
	if (o->has_precondition_uid && !span_equal(o->precondition_uid, uid)) {
		answer_precondition(call, "UID", o->precondition_uid, uid, "deleted and then recreated");
		return false;
	}
	if (o->has_precondition_version && !span_equal(o->precondition_version, version)) {
		answer_precondition(call, "ResourceVersion", o->precondition_version, version, "modified");
		return false;
	}
	return true;
}

/* ---- what keeps it ---- */

static bool list_has(const struct value *list, struct span text)
{
	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_is(value_item(list, i), VALUE_STRING) && span_equal(value_item(list, i)->string, text))
			return true;
	return false;
}

/* The finalizers of the object with those of the collector that the policy asks for. */
static bool finalizers_make(struct call *call, struct value *metadata, struct error *err)
{
	const struct value *old = value_get(metadata, SPAN("finalizers"));
	enum propagation p = call->options.propagation;
	bool orphan = p == PROPAGATE_ORPHAN || (p == PROPAGATE_UNSAID && list_has(old, ORPHAN));
	bool foreground = p == PROPAGATE_FOREGROUND || (p == PROPAGATE_UNSAID && list_has(old, FOREGROUND));
	bool is_unsaid = p == PROPAGATE_UNSAID && !orphan && !foreground;
	struct value list = value_array();

	orphan = orphan || (is_unsaid && call->base.kind->orphans);
	for (uint32_t i = 0; i < value_count(old); i++) {
		const struct value *v = value_item(old, i);

		if (value_is(v, VALUE_STRING) && !span_equal(v->string, ORPHAN) && !span_equal(v->string, FOREGROUND) &&
		    !value_append(&list, *v, &call->arena, err))
			return false;
	}
	if (orphan && !value_append(&list, value_string(ORPHAN), &call->arena, err))
		return false;
	if (foreground && !orphan && !value_append(&list, value_string(FOREGROUND), &call->arena, err))
		return false;
	if (!list.array.count) {
		(void)value_remove(metadata, SPAN("finalizers"));
		return true;
	}
	return value_set(metadata, SPAN("finalizers"), list, &call->arena, err) != NULL;
}

/* Pods that run somewhere get time to end. */
static int64_t grace_of(const struct call *call, const struct value *object)
{
	int64_t own, grace;
	struct span phase;

	if (!is_core(call->base.kind, "pods"))
		return 0;
	own = value_find_int(object, "spec.terminationGracePeriodSeconds", 0);
	grace = call->options.grace_seconds >= 0 ? call->options.grace_seconds : own;
	phase = value_find_string(object, "status.phase");
	if (!value_find_string(object, "spec.nodeName").len || span_equal(phase, SPAN("Failed")) ||
	    span_equal(phase, SPAN("Succeeded")))
		return 0;
	return MAX(grace, 0);
}

static bool set(struct call *call, struct value *metadata, const char *member, struct value v, struct error *err)
{
	return value_set(metadata, span_of(member), v, &call->arena, err) != NULL;
}

/* deletionTimestamp is when the grace ends. A shorter grace moves it, a longer one does not. */
static bool mark_ending(struct call *call, struct value *metadata, int64_t grace, struct error *err)
{
	const struct value *before = value_get(metadata, SPAN("deletionGracePeriodSeconds"));
	const struct value *generation = value_get(metadata, SPAN("generation"));
	bool was_ending = value_get(metadata, SPAN("deletionTimestamp")) != NULL;
	int64_t wall = kube_wall_ns(call->base.kube);

	if (was_ending && (!before || (value_is(before, VALUE_INT) && before->integer <= grace)))
		return true;
	if (!was_ending && value_is(generation, VALUE_INT) && generation->integer > 0 &&
	    !set(call, metadata, "generation", value_int(generation->integer + 1), err))
		return false;
	return set(call, metadata, "deletionTimestamp",
		   value_string(kube_now_text(wall + grace * NS_PER_S, &call->arena)), err) &&
	       (is_core(call->base.kind, "namespaces") ||
		set(call, metadata, "deletionGracePeriodSeconds", value_int(grace), err));
}

static bool is_namespace_kept(const struct call *call, const struct value *object)
{
	return is_core(call->base.kind, "namespaces") && !value_is_empty(value_find(object, "spec.finalizers"));
}

static bool namespace_end(struct call *call, struct value *object, struct error *err)
{
	struct value *status;

	if (!is_core(call->base.kind, "namespaces"))
		return true;
	status = value_ensure_object(object, SPAN("status"), &call->arena, err);
	return status && value_set(status, SPAN("phase"), value_string(SPAN("Terminating")), &call->arena, err);
}

/* ---- the delete itself ---- */

static void answer_gone(struct call *call)
{
	struct change *c = &call->change;
	struct status s = { .code = 200,
			    .is_success = true,
			    .has_details = true,
			    .name = call->base.name,
			    .group = span_of(c->kind->group),
			    .kind = span_of(c->kind->plural),
			    .uid = value_find_string(c->object, "metadata.uid") };

	call->form = FORM_OBJECT;
	answer_status(call, &s);
}

static void delete_admitted(void *context, const struct error *err)
{
	struct call *call = context;
	struct change *c = &call->change;
	struct error failure = { 0 };
	struct value *metadata;
	int64_t grace;

	if (err && err->code) {
		admission_answer(call, err);
		return;
	}
	if (c->kind->begin_delete && c->kind->begin_delete(c)) {
		if (c->is_dry_run)
			answer_value(call, 200, c->object);
		else
			(void)change_store(call, false, 0);
		return;
	}
	metadata = object_metadata(c->object, &call->arena, &failure);
	grace = grace_of(call, c->object);
	if (!metadata || !finalizers_make(call, metadata, &failure)) {
		answer_error(call, &failure);
		return;
	}
	if (!has_finalizers(c->object) && grace == 0 && !is_namespace_kept(call, c->object)) {
		call->answers_status = !answers_object(c->kind);
		/* Pods are marked even when they go at once, as all that may have grace. */
		if ((value_get(metadata, SPAN("deletionTimestamp")) || is_core(c->kind, "pods")) &&
		    !mark_ending(call, metadata, 0, &failure)) {
			answer_error(call, &failure);
			return;
		}
		if (!c->is_dry_run)
			(void)change_store(call, true, 0);
		else if (call->answers_status || call->finished)
			answer_gone(call);
		else
			answer_value(call, 200, c->old);
		return;
	}
	if (!mark_ending(call, metadata, grace, &failure) || !namespace_end(call, c->object, &failure)) {
		answer_error(call, &failure);
		return;
	}
	if (c->is_dry_run)
		answer_value(call, 200, c->object);
	else if (!value_equal(c->old, c->object))
		(void)change_store(call, false, 0);
	else if (!change_waits(call, 1))
		answer_value(call, 200, c->old);
}

static void delete_validate(void *context, const struct error *err)
{
	struct call *call = context;

	if (err && err->code)
		admission_answer(call, err);
	else
		admission_run(&call->change, true, delete_admitted, call);
}

void delete_object(struct call *call)
{
	struct span key = kube_key(call->base.kind, call->base.name_space, call->base.name, &call->arena);
	struct record *r = key.ptr ? store_latest(call->base.kube->config.store, key) : NULL;
	struct error err = { 0 };

	call->run = delete_object;
	if (call->base.kind->orphans && strcmp(call->base.kind->plural, "jobs") == 0 && call->base.req &&
	    call->options.propagation == PROPAGATE_UNSAID)
		warn(call, "child pods are preserved by default when jobs are deleted; set "
			   "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress "
			   "this warning");
	if (!r) {
		if (!change_waits(call, 1))
			answer_not_found(call);
		return;
	}
	if (!convert_ready(call, &r, 1))
		return;
	call->base_record = record_ref(r);
	call->revision = r->revision;
	call->change.old = record_object(call->base.kind, r, &call->arena, &err);
	call->change.object = ARENA_NEW(&call->arena, struct value, &err);
	if (!call->change.old || !call->change.object ||
	    !value_copy(call->change.old, &call->arena, call->change.object, &err)) {
		answer_error(call, &err);
		return;
	}
	if (!preconditions_hold(call))
		return;
	change_begin(call, KUBE_DELETE);
	if (call->base.req)
		call_open(call);
	admission_run(&call->change, false, delete_validate, call);
}

/* ---- collections ---- */

/* The objects to be deleted, and how far that is. */
struct sweep {
	struct call *call;
	struct record **records;
	size_t count, capacity, next, under_way;
	struct buffer items;
	struct error failed;
	bool is_starting;
};

static bool sweep_add(void *context, struct record *r)
{
	struct sweep *s = context;

	if (!selectors_match(&s->call->selectors, s->call->base.kind, r))
		return true;
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		s->records = base_realloc(s->records, s->capacity * sizeof(struct record *));
	}
	s->records[s->count++] = record_ref(r);
	return true;
}

static struct span name_of_key(struct span key)
{
	size_t at = key.len;

	while (at > 0 && key.ptr[at - 1] != '/')
		at--;
	return span_skip(key, at);
}

static struct span namespace_of_key(struct span key)
{
	struct span name = name_of_key(key), rest = span_first(key, key.len - name.len - 1);
	struct span name_space = name_of_key(rest);

	return span_equal(name_space, SPAN("-")) ? (struct span){ 0 } : name_space;
}

static void sweep_end(struct sweep *s)
{
	struct call *call = s->call;
	struct error err = { 0 };

	for (size_t i = 0; i < s->count; i++)
		record_unref(s->records[i]);
	free(s->records);
	if (s->failed.code) {
		answer_error(call, &s->failed);
	} else if (call->base.req) {
		struct span text =
		    arena_print(&call->arena, &err,
				"{\"kind\":\"%sList\",\"apiVersion\":\"%s%s%s\",\"metadata\":{\"resourceVersion\":\"%"
				"lld\"%s},\"items\":[",
				call->base.kind->kind, call->base.kind->group, call->base.kind->group[0] ? "/" : "",
				call->base.kind->version, (long long)store_revision(call->base.kube->config.store),
				call->base.kind->is_custom ? ",\"continue\":\"\"" : "");

		buffer_append(&call->base.req->out, text);
		buffer_append(&call->base.req->out, buffer_span(&s->items));
		buffer_append(&call->base.req->out, SPAN("]}\n"));
		answer_out(call, 200);
	} else {
		answer_out(call, 200);
	}
	buffer_done(&s->items);
	free(s);
}

static void sweep_go(struct sweep *s);

static void part_finished(struct call *part, const struct error *err)
{
	struct sweep *s = part->finished_context;

	/* What went away meanwhile is no failure. */
	if (err && err->code != ERROR_NOT_FOUND && !s->failed.code)
		s->failed = *err;
	s->under_way--;
	if (!s->is_starting)
		sweep_go(s);
}

static void part_start(struct sweep *s, struct record *r)
{
	struct call *part = call_new(s->call->base.kube);
	struct error err = { 0 };

	kind_hold(s->call->base.kube, s->call->base.kind);
	part->base.kind = s->call->base.kind;
	part->base.name = arena_copy(&part->arena, name_of_key(r->key), &err);
	part->base.name_space = arena_copy(&part->arena, namespace_of_key(r->key), &err);
	part->base.verb = KUBE_DELETE;
	part->options = s->call->options;
	(void)user_copy(&s->call->user, &part->arena, &part->user, &err);
	part->is_internal = part->is_collection = true;
	part->run = delete_object;
	part->finished = part_finished;
	part->finished_context = s;
	s->under_way++;
	if (s->items.len)
		buffer_byte(&s->items, ',');
	if (part->base.kind->is_custom) {
		buffer_append(&s->items, record_text(part, r, &err));
	} else if (notes_of(r) && notes_of(r)->list_text.ptr) {
		buffer_byte(&s->items, '{');
		buffer_append(&s->items, notes_of(r)->list_text);
	} else {
		buffer_append(&s->items, r->text);
	}
	delete_object(part);
}

static void sweep_go(struct sweep *s)
{
	s->is_starting = true;
	while (s->next < s->count && s->under_way < COLLECTION_WAVE && !s->failed.code)
		part_start(s, s->records[s->next++]);
	s->is_starting = false;
	if (s->under_way == 0)
		sweep_end(s);
}

void delete_collection(struct call *call)
{
	struct sweep *s = base_calloc(1, sizeof(*s));
	struct span prefix = kube_key(call->base.kind, call->base.name_space, (struct span){ 0 }, &call->arena);

	s->call = call;
	buffer_init(&s->items, call->base.req ? call->base.req->out.limit : MIB(64));
	call_open(call);
	if (!store_list(call->base.kube->config.store, prefix, (struct span){ 0 }, 0, sweep_add, s, &s->failed)) {
		sweep_end(s);
		return;
	}
	if (!convert_ready(call, s->records, s->count)) {
		for (size_t i = 0; i < s->count; i++)
			record_unref(s->records[i]);
		free(s->records);
		buffer_done(&s->items);
		free(s);
		return;
	}
	sweep_go(s);
}
