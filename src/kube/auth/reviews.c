/* SPDX-License-Identifier: Apache-2.0 */
/* reviews - kinds that are asked and not stored: may I, may they, what may I, whose token, who am I. */
#include "kube/auth/auth.h"
#include "kube/auth/pki.h"
#include "kube/kube_private.h"

enum { AUDIENCES_MAX = 16 };

/* ---- answers ---- */

static bool set(struct value *object, const char *member, struct value v, struct kube_call *call, struct error *err)
{
	return value_set(object, span_of(member), v, call->arena, err) != NULL;
}

static bool set_text(struct value *object, const char *member, struct span s, struct kube_call *call, struct error *err)
{
	return !s.len || set(object, member, value_string(s), call, err);
}

/* {"kind":...,"apiVersion":...,"metadata":{"creationTimestamp":null},"spec":...,"status":...} */
static void answer(struct kube_call *call, const struct value *spec, const struct value *status, struct error *err)
{
	struct value object = value_object(), metadata = value_object();
	struct span version = arena_print(call->arena, err, "%s/%s", call->kind->group, call->kind->version);

	if (version.ptr && set(&metadata, "creationTimestamp", value_null(), call, err) &&
	    set_text(&metadata, "namespace", call->name_space, call, err) &&
	    set(&object, "kind", value_string(span_of(call->kind->kind)), call, err) &&
	    set(&object, "apiVersion", value_string(version), call, err) &&
	    set(&object, "metadata", metadata, call, err) && (!spec || set(&object, "spec", *spec, call, err)) &&
	    set(&object, "status", *status, call, err))
		kube_answer(call, 201, &object);
	else
		kube_fail(call, err);
}

/* The path of a review has no name behind it. */
static bool is_asked(struct kube_call *call)
{
	if (!call->name.len && call->body)
		return true;
	answer_no_method(call_of(call));
	return false;
}

/* ---- users ---- */

static bool put_extra(struct value *info, const struct user *u, struct kube_call *call, struct error *err)
{
	struct value *extra;

	if (u->extra_count == 0)
		return true;
	extra = value_ensure_object(info, SPAN("extra"), call->arena, err);
	for (size_t i = 0; extra && i < u->extra_count; i++) {
		struct value *values = value_ensure_array(extra, span_of(u->extra[i].key), call->arena, err);

		if (!values || !value_append(values, value_string(u->extra[i].value), call->arena, err))
			return false;
	}
	return extra != NULL;
}

static bool user_value(const struct user *u, struct kube_call *call, struct value *ret, struct error *err)
{
	struct value groups = value_array();

	*ret = value_object();
	for (size_t i = 0; i < u->group_count; i++) {
		if (!value_append(&groups, value_string(u->groups[i]), call->arena, err))
			return false;
	}
	return set_text(ret, "username", u->name, call, err) && set_text(ret, "uid", u->uid, call, err) &&
	       (!u->group_count || set(ret, "groups", groups, call, err)) && put_extra(ret, u, call, err);
}

/* ---- access ---- */

struct faults {
	struct call *call;
	struct cause *first, **end;
};

static struct span print(struct kube_call *call, const struct value *v)
{
	struct error ignored = { 0 };

	return value_print(v, call->arena, &ignored);
}

static void check_metadata(struct faults *f, struct kube_call *call, bool has_namespace)
{
	const struct value *metadata = value_get(call->body, SPAN("metadata"));

	for (uint32_t i = 0; value_is(metadata, VALUE_OBJECT) && i < metadata->object.count; i++) {
		const struct value_member *m = &metadata->object.members[i];

		if (value_is_empty(&m->value) || span_equal(m->key, SPAN("managedFields")) ||
		    (has_namespace && span_equal(m->key, SPAN("namespace"))))
			continue;
		cause_add(f->call, &f->end, "FieldValueInvalid", SPAN("metadata"),
			  "Invalid value: " SPAN_FMT ": must be empty%s", SPAN_ARG(print(call, metadata)),
			  has_namespace ? " except for namespace" : "");
		return;
	}
}

static void check_attributes(struct faults *f, struct kube_call *call, const struct value *spec)
{
	const struct value *resource = value_get(spec, SPAN("resourceAttributes"));
	const struct value *path = value_get(spec, SPAN("nonResourceAttributes"));

	if (resource && path)
		cause_add(f->call, &f->end, "FieldValueInvalid", SPAN("spec.nonResourceAttributes"),
			  "Invalid value: " SPAN_FMT ": cannot be specified in combination with resourceAttributes",
			  SPAN_ARG(print(call, path)));
	if (!resource && !path)
		cause_add(f->call, &f->end, "FieldValueInvalid", SPAN("spec.resourceAttributes"),
			  "Invalid value: \"null\": exactly one of nonResourceAttributes or resourceAttributes must be "
			  "specified");
}

static void check_subject(struct faults *f, const struct value *spec)
{
	if (value_find_string(spec, "user").len == 0 && value_is_empty(value_get(spec, SPAN("groups"))))
		cause_add(f->call, &f->end, "FieldValueInvalid", SPAN("spec.user"),
			  "Invalid value: \"\": at least one of user or group must be specified");
}

static void check_place(struct faults *f, struct kube_call *call, const struct value *spec)
{
	const struct value *resource = value_get(spec, SPAN("resourceAttributes"));
	const struct value *path = value_get(spec, SPAN("nonResourceAttributes"));
	struct span name_space = value_find_string(resource, "namespace");

	if (resource && !span_equal(name_space, call->name_space))
		cause_add(f->call, &f->end, "FieldValueInvalid", SPAN("spec.resourceAttributes.namespace"),
			  "Invalid value: \"" SPAN_FMT "\": must match metadata.namespace", SPAN_ARG(name_space));
	if (path)
		cause_add(f->call, &f->end, "FieldValueInvalid", SPAN("spec.nonResourceAttributes"),
			  "Invalid value: " SPAN_FMT ": disallowed on this kind of request",
			  SPAN_ARG(print(call, path)));
}

static struct access access_read(const struct value *spec)
{
	const struct value *resource = value_get(spec, SPAN("resourceAttributes"));
	const struct value *path = value_get(spec, SPAN("nonResourceAttributes"));
	struct access a = { .is_resource = resource != NULL };

	a.verb = value_find_string(resource ? resource : path, "verb");
	a.path = value_find_string(path, "path");
	a.group = value_find_string(resource, "group");
	a.version = value_find_string(resource, "version");
	a.resource = value_find_string(resource, "resource");
	a.subresource = value_find_string(resource, "subresource");
	a.name = value_find_string(resource, "name");
	a.name_space = value_find_string(resource, "namespace");
	return a;
}

static void access_answer(struct kube_call *call, const struct value *spec, const struct user *u)
{
	struct access a = access_read(spec);
	struct value status = value_object();
	struct error err = { 0 };
	struct span why = { 0 };
	bool is_allowed = access_allowed(call->kube, u, &a, &why, call->arena);

	if (set(&status, "allowed", value_bool(is_allowed), call, &err) && set_text(&status, "reason", why, call, &err))
		answer(call, spec, &status, &err);
	else
		kube_fail(call, &err);
}

/* False: answered. The real server leaves the kind out of these failures. */
static bool faults_answer(struct faults *f)
{
	if (!f->first)
		return true;
	answer_causes(f->call, (struct span){ 0 }, span_of(f->call->base.kind->group), (struct span){ 0 }, f->first);
	return false;
}

static void self_access(struct kube_call *call)
{
	const struct value *spec = value_get(call->body, SPAN("spec"));
	struct faults f = { .call = call_of(call) };

	if (!is_asked(call))
		return;
	f.end = &f.first;
	check_attributes(&f, call, spec);
	check_metadata(&f, call, false);
	if (faults_answer(&f))
		access_answer(call, spec, call->user);
}

static bool user_read(const struct value *spec, struct user *ret, struct error *err)
{
	const struct value *groups = value_get(spec, SPAN("groups"));

	*ret = (struct user){ .name = value_find_string(spec, "user"), .uid = value_find_string(spec, "uid") };
	for (uint32_t i = 0; i < value_count(groups); i++) {
		if (!user_group_add(ret, value_item(groups, i)->string, err))
			return false;
	}
	return true;
}

static void others_access(struct kube_call *call, bool is_local)
{
	const struct value *spec = value_get(call->body, SPAN("spec"));
	struct faults f = { .call = call_of(call) };
	struct error err = { 0 };
	struct user u;

	if (!is_asked(call))
		return;
	f.end = &f.first;
	check_attributes(&f, call, spec);
	check_subject(&f, spec);
	check_metadata(&f, call, is_local);
	if (is_local)
		check_place(&f, call, spec);
	if (!faults_answer(&f))
		return;
	if (user_read(spec, &u, &err))
		access_answer(call, spec, &u);
	else
		kube_fail(call, &err);
}

static void subject_access(struct kube_call *call)
{
	others_access(call, false);
}

static void local_access(struct kube_call *call)
{
	others_access(call, true);
}

/* ---- rules ---- */

struct listing {
	struct value resources, paths;
	struct kube_call *call;
	struct error *err;
};

static bool rule_list(void *context, const struct rule *rule, const struct binding_text *binding)
{
	struct listing *l = context;
	struct rule part = *rule;
	struct value v;

	(void)binding;
	if (rule->path_count > 0 && rule->resource_count == 0)
		return rule_value(&part, l->call->arena, &v, l->err) &&
		       value_append(&l->paths, v, l->call->arena, l->err);
	return rule_value(&part, l->call->arena, &v, l->err) && value_append(&l->resources, v, l->call->arena, l->err);
}

static void self_rules(struct kube_call *call)
{
	struct span name_space = value_find_string(call->body, "spec.namespace");
	struct value status = value_object(), spec = value_object();
	struct error err = { 0 };
	struct listing l = { .resources = value_array(), .paths = value_array(), .call = call, .err = &err };

	if (!is_asked(call))
		return;
	if (!name_space.len) {
		error_set(&err, ERROR_INVALID, "no namespace on request");
		kube_fail(call, &err);
		return;
	}
	if (kube_auth(call->kube))
		(void)rbac_walk(auth_rbac(kube_auth(call->kube)), call->user, name_space, rule_list, &l);
	if (err.code == ERROR_NONE && set(&status, "resourceRules", l.resources, call, &err) &&
	    set(&status, "nonResourceRules", l.paths, call, &err) &&
	    set(&status, "incomplete", value_bool(false), call, &err))
		answer(call, &spec, &status, &err);
	else
		kube_fail(call, &err);
}

/* ---- tokens ---- */

/* Which of the audiences asked for (or ours) the token is good for. */
static size_t audiences_try(struct kube_call *call, struct span token, struct user *ret, struct value *ret_audiences,
			    struct error *err)
{
	const struct value *asked = value_find(call->body, "spec.audiences");
	struct span list[AUDIENCES_MAX] = { SPAN(PKI_ISSUER) };
	size_t count = 1, found = 0;

	if (!value_is_empty(asked)) {
		for (count = 0; count < asked->array.count && count < AUDIENCES_MAX; count++)
			list[count] = value_item(asked, (uint32_t)count)->string;
	}
	*ret_audiences = value_array();
	for (size_t i = 0; i < count; i++) {
		struct error refused = { 0 };

		if (user_of_token(call->kube, token, &list[i], 1, call->arena, ret, &refused) &&
		    value_append(ret_audiences, value_string(list[i]), call->arena, err))
			found++;
	}
	return found;
}

static bool token_status(struct kube_call *call, struct span token, struct value *status, struct error *err)
{
	struct value info = value_object(), audiences;
	struct user u = { 0 };

	*status = value_object();
	if (audiences_try(call, token, &u, &audiences, err) > 0)
		return set(status, "authenticated", value_bool(true), call, err) && user_value(&u, call, &info, err) &&
		       set(status, "user", info, call, err) && set(status, "audiences", audiences, call, err);
	return set(status, "user", info, call, err) &&
	       set_text(status, "error", SPAN("invalid bearer token"), call, err);
}

static void token_review(struct kube_call *call)
{
	const struct value *spec = value_get(call->body, SPAN("spec"));
	struct span token = value_find_string(spec, "token");
	struct error err = { 0 };
	struct value status;

	if (!is_asked(call))
		return;
	if (!token.len) {
		error_set(&err, ERROR_INVALID, "token is required for TokenReview in authentication");
		kube_fail(call, &err);
		return;
	}
	if (token_status(call, token, &status, &err))
		answer(call, spec, &status, &err);
	else
		kube_fail(call, &err);
}

/* ---- who am I ---- */

static void self(struct kube_call *call)
{
	struct value object = value_object(), metadata = value_object(), status = value_object(), info;
	struct error err = { 0 };

	if (!is_asked(call))
		return;
	if (user_value(call->user, call, &info, &err) &&
	    set_text(&metadata, "creationTimestamp", kube_now_text(kube_wall_ns(call->kube), call->arena), call,
		     &err) &&
	    set(&status, "userInfo", info, call, &err) &&
	    set(&object, "kind", value_string(SPAN("SelfSubjectReview")), call, &err) &&
	    set(&object, "apiVersion", value_string(SPAN("authentication.k8s.io/v1")), call, &err) &&
	    set(&object, "metadata", metadata, call, &err) && set(&object, "status", status, call, &err))
		kube_answer(call, 201, &object);
	else
		kube_fail(call, &err);
}

/* ---- the kinds ---- */

#define AUTHORIZATION  "io.k8s.api.authorization.v1."
#define AUTHENTICATION "io.k8s.api.authentication.v1."

#define ASKED(row, asked_group, type_prefix, asked_plural, asked_singular, asked_kind, in_namespace, function)         \
	static const struct subresource row##_others[] = {                                                             \
		{ .name = "",                                                                                          \
		  .verbs = KUBE_CREATE,                                                                                \
		  .group = "",                                                                                         \
		  .version = "",                                                                                       \
		  .kind = "",                                                                                          \
		  .type_name = type_prefix asked_kind,                                                                 \
		  .handle = (function) },                                                                              \
		{ 0 },                                                                                                 \
	};                                                                                                             \
	const struct kind kind_##row = {                                                                               \
		.group = (asked_group),                                                                                \
		.version = "v1",                                                                                       \
		.plural = (asked_plural),                                                                              \
		.singular = (asked_singular),                                                                          \
		.kind = (asked_kind),                                                                                  \
		.is_namespaced = (in_namespace),                                                                       \
		.verbs = KUBE_CREATE,                                                                                  \
		.others = row##_others,                                                                                \
		.type_name = type_prefix asked_kind,                                                                   \
	};

ASKED(self_subject_review, "authentication.k8s.io", AUTHENTICATION, "selfsubjectreviews", "selfsubjectreview",
      "SelfSubjectReview", false, self)
ASKED(token_review, "authentication.k8s.io", AUTHENTICATION, "tokenreviews", "tokenreview", "TokenReview", false,
      token_review)
ASKED(local_subject_access_review, "authorization.k8s.io", AUTHORIZATION, "localsubjectaccessreviews",
      "localsubjectaccessreview", "LocalSubjectAccessReview", true, local_access)
ASKED(self_subject_access_review, "authorization.k8s.io", AUTHORIZATION, "selfsubjectaccessreviews",
      "selfsubjectaccessreview", "SelfSubjectAccessReview", false, self_access)
ASKED(self_subject_rules_review, "authorization.k8s.io", AUTHORIZATION, "selfsubjectrulesreviews",
      "selfsubjectrulesreview", "SelfSubjectRulesReview", false, self_rules)
ASKED(subject_access_review, "authorization.k8s.io", AUTHORIZATION, "subjectaccessreviews", "subjectaccessreview",
      "SubjectAccessReview", false, subject_access)
