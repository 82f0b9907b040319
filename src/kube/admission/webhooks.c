/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhooks - MutatingAdmissionWebhook, one after the other, and ValidatingAdmissionWebhook, side by side. Facts: k8s.io/apiserver
 * admission/plugin/webhook/{mutating,validating}/dispatcher.go.
 */
#include "kube/admission/hooks.h"
#include "kube/admission/review.h"
#include "kube/admission/state.h"
#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"
#include "kube/webhook.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

enum { TIMEOUT_SECONDS = 10 };

/* A webhook that was asked in the first round. */
struct called_hook {
	struct called_hook *next;
	struct span id;
	bool is_due; /* to be asked again: something has changed since */
};

struct round {
	struct change *c;
	struct hook_set *set;
	admission_next next;
	void *context;
	const struct value *options;
	size_t index, under_way;
	bool is_validating, is_starting;
	struct error failure;
	struct refusal *refusal; /* of the failure */
};

struct question {
	struct round *round;
	const struct hook *hook;
	const struct kind *kind;
	const char *version;
	struct span uid;
	const struct value *object; /* as it was sent */
};

static void mutating_go(struct round *r);

static void round_end(struct round *r)
{
	struct error err = r->failure;
	admission_next next = r->next;
	void *context = r->context;

	hook_set_give(r->set);
	if (r->refusal)
		r->c->admission->refusal = r->refusal;
	next(context, err.code ? &err : NULL);
}

/* ---- what is said of a failure ---- */

/* The first one is told. */
static void fail(struct round *r, const struct error *err)
{
	if (r->failure.code)
		return;
	r->failure = *err;
	r->refusal = r->c->admission ? r->c->admission->refusal : NULL;
}

static bool ignores_failure(const struct hook *hook)
{
	return is_text(get(hook->spec, "failurePolicy"), "Ignore");
}

/* `Internal error occurred: failed calling webhook "x": ...`, or nothing when the policy says so. */
static void calling_failed(struct round *r, const struct hook *hook, const char *what, const struct error *why)
{
	struct change *c = r->c;
	struct error err = { 0 };
	struct span message;

	if (ignores_failure(hook)) {
		log_warn("kube", "a webhook failed, and is passed over", LOG_SPAN("webhook", hook->name),
			 LOG_TEXT("error", why->message));
		return;
	}
	message =
	    arena_print(c->arena, &err, "Internal error occurred: failed calling webhook \"" SPAN_FMT "\": %s: %s",
			SPAN_ARG(hook->name), what, why->message);
	if (message.ptr) {
		struct value *details = ARENA_NEW(c->arena, struct value, &err), causes = value_array(), cause;
		struct span text = span_skip(message, sizeof("Internal error occurred: ") - 1);

		if (details) {
			*details = value_object();
			cause = value_object();
			(void)value_set(&cause, SPAN("message"), value_string(text), c->arena, &err);
			(void)value_append(&causes, cause, c->arena, &err);
			(void)value_set(details, SPAN("causes"), causes, c->arena, &err);
		}
		if (!err.code)
			(void)refuse_with(c, &err, ERROR_INTERNAL, 500, SPAN("InternalError"), message, details);
	}
	fail(r, &err);
}

/* 500 with these words alone. */
static void internal_failed(struct round *r, const char *why)
{
	struct error err = { 0 };
	struct span message = arena_print(r->c->arena, &err, "Internal error occurred: %s", why);

	(void)refuse_with(r->c, &err, ERROR_INTERNAL, 500, SPAN("InternalError"), message, NULL);
	fail(r, &err);
}

static enum error_code code_of(int status)
{
	static const enum error_code codes[] = { ERROR_INVALID,   ERROR_UNAUTHENTICATED, ERROR_FORBIDDEN,
						 ERROR_NOT_FOUND, ERROR_CONFLICT,        ERROR_TOO_LARGE,
						 ERROR_EXHAUSTED };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (error_http(codes[i]) == status)
			return codes[i];
	return status >= 500 ? ERROR_INTERNAL : ERROR_FORBIDDEN;
}

/* `admission webhook "x" denied the request: why`, with what else the webhook's status says. */
static void denied(struct round *r, const struct hook *hook, const struct value *status)
{
	struct error err = { 0 };
	int64_t code = get_int(status, "code", 400);
	struct span why = get_text(status, "message"), message;

	if (!why.len)
		why = get_text(status, "reason");
	message = arena_print(r->c->arena, &err, "admission webhook \"" SPAN_FMT "\" denied the request%s%.*s",
			      SPAN_ARG(hook->name), why.len ? ": " : " ", (int)(why.len ? why.len : 19),
			      why.len ? why.ptr : "without explanation");
	code = code < 400 || code > 599 ? 400 : code;
	(void)refuse_with(r->c, &err, code_of((int)code), (int)code, get_text(status, "reason"), message,
			  get(status, "details"));
	fail(r, &err);
}

/* ---- asking ---- */

static void answered(void *context, struct span answer, const struct error *err);

static struct span uid_make(struct arena *arena, struct error *err)
{
	char uid[RANDOM_UUID_SIZE];

	random_uuid(uid);
	return arena_copy(arena, span_of(uid), err);
}

/* False: not asked. */
static bool ask(struct round *r, const struct hook *hook, const struct kind *kind)
{
	struct change *c = r->c;
	struct error err = { 0 };
	struct question *q = ARENA_NEW(c->arena, struct question, &err);
	struct review_subject subject = { .change = c, .kind = kind, .options = r->options };
	struct webhook_request request = {
		.client_config = get(hook->spec, "clientConfig"),
		.timeout_ns = get_int(hook->spec, "timeoutSeconds", TIMEOUT_SECONDS) * NS_PER_S,
		.has_timeout = true,
		.done = answered,
		.context = q,
	};
	const char *effects[] = { "None", "NoneOnDryRun", NULL };

	if (c->is_dry_run && !text_is_one_of(get_text(hook->spec, "sideEffects"), effects)) {
		(void)refuse_with(c, &err, ERROR_INVALID, 400, SPAN("BadRequest"),
				  arena_print(c->arena, &err,
					      "admission webhook \"" SPAN_FMT "\" does not support dry run",
					      SPAN_ARG(hook->name)),
				  NULL);
		fail(r, &err);
		return false;
	}
	subject.object = c->verb == KUBE_DELETE ? NULL : hook_convert(c->object, c->kind, kind, c->arena, &err);
	subject.old = hook_convert(c->old, c->kind, kind, c->arena, &err);
	if (q && !err.code) {
		*q = (struct question){ .round = r,
					.hook = hook,
					.kind = kind,
					.object = subject.object,
					.version = review_version(get(hook->spec, "admissionReviewVersions")),
					.uid = uid_make(c->arena, &err) };
		if (q->version)
			request.body = review_print(&subject, q->version, q->uid, c->arena, &err);
		else
			(void)error_set(&err, ERROR_INVALID,
					"webhook does not accept known AdmissionReview versions (v1, v1beta1)");
	}
	if (err.code) {
		calling_failed(r, hook, "could not create admission objects", &err);
		return false;
	}
	r->under_way++;
	webhook_call(c->kube, &request);
	return true;
}

/* ---- the answers ---- */

static void warnings_take(struct change *c, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		change_warn(c, "%.*s", (int)text_of(value_item(list, i)).len, text_of(value_item(list, i)).ptr);
}

static void pass_over(void *context, struct span path)
{
	(void)context;
	(void)path;
}

/* As if the patched object had come in a request: unknown members go, what is left out gets its default. */
static bool patched_decode(struct change *c, struct value *object, struct error *err)
{
	struct schema_report report = { .unknown = pass_over };
	struct change defaults = { .kube = c->kube,
				   .kind = c->kind,
				   .arena = c->arena,
				   .verb = c->verb,
				   .subresource = c->subresource,
				   .old = c->old,
				   .object = object,
				   .name_space = c->name_space,
				   .name = c->name,
				   .user = c->user,
				   .err = err };
	const struct type *type = kind_type(c->kind);

	if (type && !schema_decode(type, object, &report, c->arena, err))
		return false;
	if (!type && c->kind->openapi)
		openapi_schema_prune(c->kind->openapi, object, &report);
	if (c->kind->defaults)
		c->kind->defaults(&defaults);
	return !err->code && (!type || schema_complete(type, object, c->arena, err));
}

static void all_due(struct admission *a)
{
	for (struct called_hook *h = a->called; h; h = h->next)
		h->is_due = true;
}

static bool patch_apply(struct question *q, const struct value *operations, struct error *err)
{
	struct change *c = q->round->c;
	struct value *patched = ARENA_NEW(c->arena, struct value, err);
	struct value *own = ARENA_NEW(c->arena, struct value, err);
	const struct value *back;
	bool is_unprocessable;

	if (!q->object)
		return error_set(err, ERROR_INTERNAL,
				 "admission webhook \"" SPAN_FMT
				 "\" attempted to modify the object, which is not supported for this operation",
				 SPAN_ARG(q->hook->name));
	if (!patched || !own || !patch_json(q->object, operations, c->arena, patched, &is_unprocessable, err))
		return false;
	if (patched->type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID, "the patched object is no object");
	back = hook_convert(patched, q->kind, c->kind, c->arena, err);
	if (!back || !value_copy(back, c->arena, own, err) || !patched_decode(c, own, err))
		return false;
	if (!value_equal(own, c->object)) {
		struct admission *a = admission_of(c, err);

		if (!a)
			return false;
		a->wants_again = true;
		all_due(a);
	}
	*c->object = *own;
	return true;
}

static bool called_note(struct question *q, struct error *err)
{
	struct admission *a = admission_of(q->round->c, err);
	struct called_hook *h;

	if (!a)
		return false;
	if (!is_text(get(q->hook->spec, "reinvocationPolicy"), "IfNeeded") || a->is_again)
		return true;
	h = ARENA_NEW(q->round->c->arena, struct called_hook, err);
	if (!h)
		return false;
	h->id = arena_copy(q->round->c->arena, q->hook->id, err);
	h->next = a->called;
	a->called = h;
	return !err->code;
}

static void answer_take(struct question *q, struct span text)
{
	struct round *r = q->round;
	struct review_answer answer;
	struct error err = { 0 };
	struct span copy = arena_copy(r->c->arena, text, &err);

	if (!copy.ptr || !review_read(copy, q->version, q->uid, !r->is_validating, r->c->arena, &answer, &err)) {
		calling_failed(r, q->hook,
			       span_starts(error_span(&err), SPAN("couldn't get version/kind"))
				   ? "failed to call webhook"
				   : "received invalid webhook response",
			       &err);
		return;
	}
	warnings_take(r->c, answer.warnings);
	if (!answer.is_allowed)
		denied(r, q->hook, answer.status);
	else if (answer.patch && !patch_apply(q, answer.patch, &err))
		internal_failed(r, err.message);
}

static void answered(void *context, struct span answer, const struct error *failure)
{
	struct question *q = context;
	struct round *r = q->round;
	struct error err = { 0 };

	r->under_way--;
	if (failure)
		calling_failed(r, q->hook, "failed to call webhook", failure);
	else
		answer_take(q, answer);
	if (!r->is_validating && !r->failure.code && !called_note(q, &err))
		fail(r, &err);
	if (r->is_validating) {
		if (!r->under_way && !r->is_starting)
			round_end(r);
	} else if (r->failure.code) {
		round_end(r);
	} else {
		mutating_go(r);
	}
}

/* ---- the rounds ---- */

static bool is_exempt(const struct change *c)
{
	static const char *const kinds[] = { "ValidatingWebhookConfiguration",
					     "MutatingWebhookConfiguration",
					     "ValidatingAdmissionPolicy",
					     "ValidatingAdmissionPolicyBinding",
					     "MutatingAdmissionPolicy",
					     "MutatingAdmissionPolicyBinding",
					     NULL };

	return strcmp(c->kind->group, "admissionregistration.k8s.io") == 0 &&
	       text_is_one_of(span_of(c->kind->kind), kinds);
}

/* CreateOptions, UpdateOptions or DeleteOptions, as the request had them. */
static const struct value *options_make(struct change *c, struct error *err)
{
	const struct call *call = CONTAINER_OF(c, struct call, change);
	const struct options *o = &call->options;
	struct value *v = ARENA_NEW(c->arena, struct value, err), all = value_array();
	static const char *const validations
	    [] = { [VALIDATE_WARN] = "Warn", [VALIDATE_STRICT] = "Strict", [VALIDATE_IGNORE] = "Ignore" },
 *const policies[] = {
	 [PROPAGATE_BACKGROUND] = "Background", [PROPAGATE_FOREGROUND] = "Foreground", [PROPAGATE_ORPHAN] = "Orphan"
 };

	if (!v)
		return NULL;
	*v = value_object();
	set_text(c, v, "kind",
		 c->verb == KUBE_CREATE   ? SPAN("CreateOptions")
		 : c->verb == KUBE_DELETE ? SPAN("DeleteOptions")
					  : SPAN("UpdateOptions"));
	set_text(c, v, "apiVersion", SPAN("meta.k8s.io/v1"));
	if (o->is_dry_run && value_append(&all, value_string(SPAN("All")), c->arena, err))
		set_value(c, v, "dryRun", all);
	if (c->verb == KUBE_DELETE) {
		if (o->grace_seconds >= 0)
			set_value(c, v, "gracePeriodSeconds", value_int(o->grace_seconds));
		if (o->propagation != PROPAGATE_UNSAID)
			set_text(c, v, "propagationPolicy", span_of(policies[o->propagation]));
		return v;
	}
	if (o->field_manager.len)
		set_text(c, v, "fieldManager", o->field_manager);
	if (call->base.req && o->validation != VALIDATE_WARN)
		set_text(c, v, "fieldValidation", span_of(validations[o->validation]));
	return v;
}

/* NULL: there is nothing to do, and `next` was called. */
static struct round *round_begin(struct change *c, bool is_validating, admission_next next, void *context)
{
	struct error err = { 0 };
	struct hook_set *set = is_exempt(c) ? NULL : hook_set_take(c->kube->hooks, is_validating, &err);
	struct round *r = set ? ARENA_NEW(c->arena, struct round, &err) : NULL;

	if (r) {
		*r = (struct round){ .c = c,
				     .set = set,
				     .next = next,
				     .context = context,
				     .is_validating = is_validating,
				     .options = options_make(c, &err) };
		if (!err.code)
			return r;
	}
	hook_set_give(set);
	next(context, err.code ? &err : NULL);
	return NULL;
}

static struct called_hook *called_find(const struct admission *a, struct span id)
{
	for (struct called_hook *h = a ? a->called : NULL; h; h = h->next)
		if (span_equal(h->id, id))
			return h;
	return NULL;
}

/* In the second round only those that were asked, want to be asked again, and have not seen the object as it is. */
static bool is_passed(struct round *r, const struct hook *hook)
{
	struct admission *a = r->c->admission;
	struct called_hook *h;

	if (!a || !a->is_again)
		return false;
	h = called_find(a, hook->id);
	if (!h || !h->is_due)
		return true;
	h->is_due = false;
	return false;
}

static void mutating_go(struct round *r)
{
	while (r->index < r->set->count && !r->failure.code) {
		const struct hook *hook = &r->set->hooks[r->index++];
		const struct kind *kind = NULL;
		struct error err = { 0 };
		enum hook_match match = hook_matches(hook, r->c, r->options, &kind, &err);

		if (match == HOOK_REFUSES)
			fail(r, &err);
		else if (match == HOOK_CALLS && !is_passed(r, hook) && ask(r, hook, kind))
			return;
	}
	round_end(r);
}

void mutating_webhooks_run(struct change *c, admission_next next, void *context)
{
	struct round *r = round_begin(c, false, next, context);

	if (r)
		mutating_go(r);
}

void validating_webhooks_run(struct change *c, admission_next next, void *context)
{
	struct round *r = round_begin(c, true, next, context);

	if (!r)
		return;
	r->is_starting = true;
	for (; r->index < r->set->count && !r->failure.code; r->index++) {
		const struct hook *hook = &r->set->hooks[r->index];
		const struct kind *kind = NULL;
		struct error err = { 0 };
		enum hook_match match = hook_matches(hook, c, r->options, &kind, &err);

		if (match == HOOK_REFUSES)
			fail(r, &err);
		else if (match == HOOK_CALLS)
			(void)ask(r, hook, kind);
	}
	r->is_starting = false;
	if (!r->under_way)
		round_end(r);
}
