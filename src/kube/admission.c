/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission - the table of plugins, in the real server's order, and the way through it.
 *
 * When a webhook has changed an object, all plugins that change objects see it once more: k8s.io/apiserver admission/reinvocation.go.
 */
#include "kube/admission.h"

#include "kube/admission/quota.h"
#include "kube/admission/state.h"
#include "kube/kinds/cluster_ip.h"
#include "kube/kube_private.h"

#include <stdarg.h>
#include <stdio.h>

static const struct admission_plugin plugins[] = {
	{ "NamespaceLifecycle", .admit = namespace_admit },
	{ "LimitRanger", .admit = limit_range_admit, .validate = limit_range_validate },
	{ "ServiceAccount", .admit = service_account_admit, .validate = service_account_validate },
	{ "TaintNodesByCondition", .admit = node_taint_admit },
	{ "Priority", .admit = priority_admit, .validate = priority_validate },
	{ "DefaultTolerationSeconds", .admit = tolerations_admit },
	{ "DefaultStorageClass", .admit = storage_class_admit },
	{ "StorageObjectInUseProtection", .admit = storage_protection_admit },
	{ "PersistentVolumeClaimResize", .validate = claim_resize_validate },
	{ "RuntimeClass", .admit = runtime_class_admit },
	{ "DefaultIngressClass", .admit = ingress_class_admit },
	{ "MutatingAdmissionWebhook", .admit_later = mutating_webhooks_run },
	{ "ValidatingAdmissionWebhook", .validate_later = validating_webhooks_run },

	{ "ResourceQuota", .validate = quota_validate_change },
};

/* ---- refusing ---- */

struct admission *admission_of(struct change *c, struct error *err)
{
	if (!c->admission)
		c->admission = ARENA_NEW(c->arena, struct admission, err);
	return c->admission;
}

struct span change_resource(const struct change *c)
{
	struct error ignored = { 0 };

	return *c->kind->group ? arena_print(c->arena, &ignored, "%s.%s", c->kind->plural, c->kind->group)
			       : span_of(c->kind->plural);
}

static struct refusal *refusal_of(struct change *c, struct error *err)
{
	struct admission *a = admission_of(c, err);

	if (a && !a->refusal)
		a->refusal = ARENA_NEW(c->arena, struct refusal, err);
	return a ? a->refusal : NULL;
}

bool refuse_text(struct change *c, struct error *err, struct span text)
{
	struct refusal *r = refusal_of(c, err);
	struct span resource = change_resource(c);

	if (!r)
		return false;
	*r = (struct refusal){ .message =
				   arena_print(c->arena, err, SPAN_FMT " \"%.*s\" is forbidden: %.*s",
					       SPAN_ARG(resource), (int)c->name.len, c->name.ptr ? c->name.ptr : "",
					       (int)text.len, text.ptr ? text.ptr : "") };
	return error_set(err, ERROR_FORBIDDEN, "%.*s", (int)MIN(r->message.len, sizeof(err->message)), r->message.ptr);
}

bool refuse(struct change *c, struct error *err, const char *format, ...)
{
	char text[2048];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return refuse_text(c, err, span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)));
}

bool refuse_with(struct change *c, struct error *err, enum error_code code, int status, struct span reason,
		 struct span message, const struct value *details)
{
	struct refusal *r = refusal_of(c, err);

	if (!r)
		return false;
	*r = (struct refusal){
		.status = status, .reason = reason, .message = message, .details = details, .is_whole = true
	};
	return error_set(err, code, "%.*s", (int)MIN(message.len, sizeof(err->message)),
			 message.ptr ? message.ptr : "");
}

static struct cause *causes_of(struct call *call, const struct value *list)
{
	struct cause *first = NULL, **end = &first;
	struct error ignored = { 0 };

	for (uint32_t i = 0; i < value_count(list); i++) {
		struct cause *c = ARENA_NEW(&call->arena, struct cause, &ignored);

		if (!c)
			break;
		c->reason = arena_copy(&call->arena, get_string(value_item(list, i), "reason"), &ignored).ptr;
		c->message = get_string(value_item(list, i), "message");
		c->field = get_string(value_item(list, i), "field");
		*end = c;
		end = &c->next;
	}
	return first;
}

static void answer_whole(struct call *call, const struct refusal *r)
{
	struct error ignored = { 0 };
	struct status s = { .code = r->status,
			    .reason = r->reason.len ? arena_copy(&call->arena, r->reason, &ignored).ptr : NULL,
			    .message = r->message,
			    .has_details = r->details != NULL };

	if (r->details) {
		const struct value *retry = value_get(r->details, SPAN("retryAfterSeconds"));

		s.name = get_string(r->details, "name");
		s.group = get_string(r->details, "group");
		s.kind = get_string(r->details, "kind");
		s.uid = get_string(r->details, "uid");
		s.causes = causes_of(call, value_get(r->details, SPAN("causes")));
		s.retry_seconds = value_is(retry, VALUE_INT) ? (int)retry->integer : 0;
	}
	answer_status(call, &s);
}

void admission_answer(struct call *call, const struct error *err)
{
	const struct refusal *r = call->change.admission ? call->change.admission->refusal : NULL;
	struct status s;

	if (!r || !call->base.req) {
		answer_error(call, err);
		return;
	}
	if (r->is_whole) {
		answer_whole(call, r);
		return;
	}
	s = status_of_error(call, err);
	s.message = r->message;
	answer_status(call, &s);
}

void admission_end(struct change *c, bool is_stored)
{
	struct admission *a = c->admission;

	if (!a)
		return;
	charges_end(a->charges, is_stored);
	a->charges = NULL;
	if (!is_stored)
		cluster_ip_give(a->held);
	a->held = NULL;
}

/* ---- what plugins look at ---- */

struct value *admission_object(struct change *c, const char *group, const char *plural, struct span name_space,
			       struct span name, struct error *err)
{
	const struct kind *kind = kube_kind(c->kube, span_of(group), (struct span){ 0 }, span_of(plural));

	return kind ? kube_object(c->kube, kind, name_space, name, true, c->arena, err) : NULL;
}

struct listing {
	const struct kind *kind;
	struct arena *arena;
	struct value **objects;
	struct record **records;
	size_t count, capacity;
	struct error *err;
};

static bool listing_add(void *context, struct record *r)
{
	struct listing *l = context;

	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? 2 * l->capacity : 16;
		struct record **larger = ARENA_ARRAY(l->arena, struct record *, capacity, l->err);

		if (!larger)
			return false;
		if (l->count)
			memcpy(larger, l->records, l->count * sizeof(*larger));
		l->records = larger;
		l->capacity = capacity;
	}
	l->records[l->count++] = r;
	return true;
}

bool admission_list(struct change *c, const char *group, const char *plural, struct span name_space,
		    bool (*each)(void *context, struct value *object), void *context, struct error *err)
{
	const struct kind *kind = kube_kind(c->kube, span_of(group), (struct span){ 0 }, span_of(plural));
	struct listing l = { .kind = kind, .arena = c->arena, .err = err };
	struct store *store = kube_store(c->kube);
	bool goes_on = true;

	if (!kind)
		return true;
	if (kind->is_namespaced && !name_space.len)
		return true;
	if (!store_list(store, kube_key(kind, name_space, (struct span){ 0 }, c->arena), (struct span){ 0 }, 0,
			listing_add, &l, err))
		return false;
	/* `each` may write: only after the walk. The newest version counts, though it may not be durable yet. */
	for (size_t i = 0; i < l.count; i++)
		(void)record_ref(l.records[i]);
	for (size_t i = 0; i < l.count; i++) {
		struct record *r = goes_on ? store_latest(store, l.records[i]->key) : NULL;
		struct value *object = r ? record_object(kind, r, c->arena, err) : NULL;

		goes_on = goes_on && !err->code && (!object || each(context, object));
		record_unref(l.records[i]);
	}
	return !err->code;
}

struct value *admission_spec(struct change *c, struct error *err)
{
	return value_ensure_object(c->object, SPAN("spec"), c->arena, err);
}

/* ---- all of them ---- */

struct walk {
	struct change *c;
	admission_next next;
	void *context;
	size_t index;
	bool is_validating;
};

static void walk_on(struct walk *w);

static void walk_end(struct walk *w, const struct error *err)
{
	w->next(w->context, err);
}

static void later_done(void *context, const struct error *err)
{
	struct walk *w = context;

	if (err && err->code) {
		walk_end(w, err);
		return;
	}
	walk_on(w);
}

/* All of them once more when a webhook changed the object. */
static bool goes_again(struct walk *w)
{
	struct admission *a = w->c->admission;

	if (w->is_validating || !a || a->is_again || !a->wants_again)
		return false;
	a->is_again = true;
	w->index = 0;
	return true;
}

static void walk_on(struct walk *w)
{
	struct error err = { 0 };

	do {
		while (w->index < ARRAY_LEN(plugins)) {
			const struct admission_plugin *p = &plugins[w->index++];
			bool (*now)(struct change * c, struct error * err) = w->is_validating ? p->validate : p->admit;
			void (*later)(struct change * c, admission_next next, void *context) =
			    w->is_validating ? p->validate_later : p->admit_later;

			if (now && !now(w->c, &err)) {
				walk_end(w, &err);
				return;
			}
			if (!later)
				continue;
			later(w->c, later_done, w); /* w may be gone */
			return;
		}
	} while (goes_again(w));
	walk_end(w, NULL);
}

void admission_run(struct change *c, bool is_validating, void (*next)(void *context, const struct error *err),
		   void *context)
{
	struct error err = { 0 };
	struct walk *w = ARENA_NEW(c->arena, struct walk, &err);

	if (!w) {
		next(context, &err);
		return;
	}
	*w = (struct walk){ .c = c, .next = next, .context = context, .is_validating = is_validating };
	walk_on(w);
}
