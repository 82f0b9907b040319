/* SPDX-License-Identifier: Apache-2.0 */
/* review - writes and reads AdmissionReviews. Facts: k8s.io/apiserver admission/plugin/webhook/request, k8s.io/api admission. */
#include "kube/admission/review.h"

#include "kube/kinds/kinds.h"
#include "kube/user.h"
#include "wire/base64.h"

#define GROUP "admission.k8s.io"

/* ---- the question ---- */

const char *review_version(const struct value *versions)
{
	for (uint32_t i = 0; i < count_of(versions); i++) {
		if (is_text(value_item(versions, i), "v1"))
			return "v1";
		if (is_text(value_item(versions, i), "v1beta1"))
			return "v1beta1";
	}
	return NULL;
}

struct span review_operation(const struct change *c)
{
	return c->verb == KUBE_CREATE ? SPAN("CREATE") : c->verb == KUBE_DELETE ? SPAN("DELETE") : SPAN("UPDATE");
}

struct making {
	struct arena *arena;
	struct error *err;
};

static void put(struct making *m, struct value *object, const char *member, struct value v)
{
	if (!m->err->code)
		(void)value_set(object, span_of(member), v, m->arena, m->err);
}

static void put_text(struct making *m, struct value *object, const char *member, struct span text)
{
	if (text.len)
		put(m, object, member, value_string(text));
}

static struct value names(struct making *m, const struct kind *kind, const char *member, const char *name)
{
	struct value v = value_object();

	put(m, &v, "group", value_string(span_of(kind->group)));
	put(m, &v, "version", value_string(span_of(kind->version)));
	put(m, &v, member, value_string(span_of(name)));
	return v;
}

static struct value user_value(struct making *m, const struct user *u)
{
	struct value v = value_object(), groups = value_array(), extra = value_object();

	put_text(m, &v, "username", u->name);
	put_text(m, &v, "uid", u->uid);
	for (size_t i = 0; i < u->group_count; i++)
		(void)value_append(&groups, value_string(u->groups[i]), m->arena, m->err);
	if (u->group_count)
		put(m, &v, "groups", groups);
	for (size_t i = 0; i < u->extra_count; i++) {
		struct value list = value_array();

		(void)value_append(&list, value_string(u->extra[i].value), m->arena, m->err);
		put(m, &extra, u->extra[i].key, list);
	}
	if (u->extra_count)
		put(m, &v, "extra", extra);
	return v;
}

bool review_request(const struct review_subject *s, struct span uid, struct arena *arena, struct value *ret,
		    struct error *err)
{
	struct making m = { arena, err };
	const struct change *c = s->change;
	struct value v = value_object();

	put(&m, &v, "uid", value_string(uid));
	put(&m, &v, "kind", names(&m, s->kind, "kind", s->kind->kind));
	put(&m, &v, "resource", names(&m, s->kind, "resource", s->kind->plural));
	put_text(&m, &v, "subResource", c->subresource);
	put(&m, &v, "requestKind", names(&m, c->kind, "kind", c->kind->kind));
	put(&m, &v, "requestResource", names(&m, c->kind, "resource", c->kind->plural));
	put_text(&m, &v, "requestSubResource", c->subresource);
	put_text(&m, &v, "name", c->name);
	/* A namespace is in itself. */
	put_text(&m, &v, "namespace",
		 !c->kind->group[0] && strcmp(c->kind->plural, "namespaces") == 0 ? c->name : c->name_space);
	put(&m, &v, "operation", value_string(review_operation(c)));
	put(&m, &v, "userInfo", c->user ? user_value(&m, c->user) : value_object());
	put(&m, &v, "object", s->object ? *s->object : value_null());
	put(&m, &v, "oldObject", s->old ? *s->old : value_null());
	put(&m, &v, "dryRun", value_bool(c->is_dry_run));
	put(&m, &v, "options", s->options ? *s->options : value_null());
	*ret = v;
	return !err->code;
}

struct span review_print(const struct review_subject *s, const char *version, struct span uid, struct arena *arena,
			 struct error *err)
{
	struct making m = { arena, err };
	struct value v = value_object(), request;

	if (!review_request(s, uid, arena, &request, err))
		return (struct span){ 0 };
	put(&m, &v, "kind", value_string(SPAN("AdmissionReview")));
	put(&m, &v, "apiVersion", value_string(arena_print(arena, err, GROUP "/%s", version)));
	put(&m, &v, "request", request);
	return err->code ? (struct span){ 0 } : value_print(&v, arena, err);
}

/* ---- the answer ---- */

static bool patch_read(const struct value *response, bool is_v1, struct arena *arena, const struct value **ret,
		       struct error *err)
{
	const struct value *patch = get(response, "patch"), *type = get(response, "patchType");
	struct value *operations;
	struct span text;

	if (is_v1 && text_of(patch).len && !type)
		return error_set(err, ERROR_INVALID, "webhook returned response.patch but not response.patchType");
	if (is_v1 && !text_of(patch).len && type)
		return error_set(err, ERROR_INVALID, "webhook returned response.patchType but not response.patch");
	if (is_v1 && type && !text_of(type).len)
		return error_set(err, ERROR_INVALID, "webhook returned invalid response.patchType of \"\"");
	if (!text_of(patch).len)
		return true;
	if (is_v1 && !is_text(type, "JSONPatch"))
		return error_set(err, ERROR_INVALID, "unsupported patch type \"" SPAN_FMT "\"",
				 SPAN_ARG(text_of(type)));
	operations = ARENA_NEW(arena, struct value, err);
	if (!operations || !base64_read(text_of(patch), arena, &text, err) ||
	    !value_parse(text, NULL, arena, operations, err))
		return false;
	if (operations->type == VALUE_NULL)
		return true;
	if (operations->type != VALUE_ARRAY)
		return error_set(err, ERROR_INVALID, "json: cannot unmarshal %s into Go value of type jsonpatch.Patch",
				 value_type_name(operations->type));
	if (operations->array.count)
		*ret = operations;
	return true;
}

static bool is_texts(const struct value *v, enum value_type type)
{
	if (!v)
		return true;
	if (v->type != type)
		return false;
	for (uint32_t i = 0; i < count_of(v); i++)
		if (!value_is(type == VALUE_ARRAY ? value_item(v, i) : &v->object.members[i].value, VALUE_STRING))
			return false;
	return true;
}

static bool shape_check(const struct value *review, const struct value *response, struct error *err)
{
	const struct value *status = get(response, "status"), *allowed = get(response, "allowed"),
			   *patch = get(response, "patch");
	const char *wrong = NULL;

	if (!value_is(review, VALUE_OBJECT))
		return error_set(
		    err, ERROR_INVALID,
		    "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go value "
		    "of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
		    "\"json:\\\"kind,omitempty\\\"\" }",
		    value_type_name(review->type));
	if (!response)
		return error_set(err, ERROR_INVALID, "webhook response was absent");
	if (response->type != VALUE_OBJECT)
		wrong = "response";
	else if (allowed && allowed->type != VALUE_BOOL)
		wrong = "response.allowed";
	else if (status && status->type != VALUE_OBJECT)
		wrong = "response.status";
	else if (patch && patch->type != VALUE_STRING)
		wrong = "response.patch";
	else if (!is_texts(get(response, "warnings"), VALUE_ARRAY))
		wrong = "response.warnings";
	else if (!is_texts(get(response, "auditAnnotations"), VALUE_OBJECT))
		wrong = "response.auditAnnotations";
	return !wrong || error_set(err, ERROR_INVALID, "%s of the AdmissionReview is of a wrong type", wrong);
}

bool review_read(struct span text, const char *version, struct span uid, bool may_patch, struct arena *arena,
		 struct review_answer *ret, struct error *err)
{
	struct value *review = ARENA_NEW(arena, struct value, err);
	const struct value *response;
	bool is_v1 = strcmp(version, "v1") == 0;
	struct review_answer answer = { 0 };
	struct span api, kind;

	if (!review)
		return false;
	if (!value_parse(text, NULL, arena, review, err))
		return error_wrap(err, "couldn't get version/kind; json parse error");
	response = get(review, "response");
	if (!shape_check(review, response, err))
		return false;
	api = get_text(review, "apiVersion");
	kind = get_text(review, "kind");
	if (is_v1 && !span_equal(get_text(response, "uid"), uid))
		return error_set(err, ERROR_INVALID, "expected response.uid=\"" SPAN_FMT "\", got \"" SPAN_FMT "\"",
				 SPAN_ARG(uid), SPAN_ARG(get_text(response, "uid")));
	if (is_v1 && (!span_equal(api, SPAN(GROUP "/v1")) || !span_equal(kind, SPAN("AdmissionReview"))))
		return error_set(err, ERROR_INVALID,
				 "expected webhook response of " GROUP "/v1, Kind=AdmissionReview, got %s" SPAN_FMT
				 ", Kind=" SPAN_FMT,
				 api.len ? "" : "/", SPAN_ARG(api), SPAN_ARG(kind));
	if (!may_patch && is_v1 && get_text(response, "patch").len)
		return error_set(err, ERROR_INVALID, "validating webhook may not return response.patch");
	if (!may_patch && is_v1 && get(response, "patchType"))
		return error_set(err, ERROR_INVALID, "validating webhook may not return response.patchType");
	answer.is_allowed = get_bool(response, "allowed");
	answer.status = get(response, "status");
	answer.warnings = get(response, "warnings");
	answer.annotations = get(response, "auditAnnotations");
	if (may_patch && answer.is_allowed && !patch_read(response, is_v1, arena, &answer.patch, err))
		return false;
	*ret = answer;
	return true;
}
