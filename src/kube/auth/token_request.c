/* SPDX-License-Identifier: Apache-2.0 */
/* token_request - serviceaccounts/token: a signed token for an account, perhaps bound to an object with which it ends. */
#include "base/clock.h"
#include "base/random.h"
#include "kube/auth/auth.h"
#include "kube/auth/pki.h"
#include "kube/kube_private.h"

#define SECONDS_USUAL 3600
#define SECONDS_LEAST 600
#define SECONDS_MOST  (INT64_C(1) << 32)

struct token_call {
	struct kube_call *call;
	const struct value *account, *bound; /* bound: its object, or NULL */
	const char *bound_as;                /* "pod", "secret", "node" */
	const char *bound_plural;
	struct value audiences;
	int64_t seconds, now;
	struct error *err;
};

/* ---- what is asked ---- */

/* False: answered. */
static bool seconds_read(struct token_call *t)
{
	const struct value *v = value_find(t->call->body, "spec.expirationSeconds");
	struct cause *first = NULL, **end = &first;
	struct call *call = call_of(t->call);

	t->seconds = value_is(v, VALUE_INT) ? v->integer : SECONDS_USUAL;
	if (t->seconds < SECONDS_LEAST)
		cause_add(call, &end, "FieldValueInvalid", SPAN("spec.expirationSeconds"),
			  "Invalid value: %lld: may not specify a duration less than 10 minutes",
			  (long long)t->seconds);
	if (t->seconds > SECONDS_MOST)
		cause_add(call, &end, "FieldValueInvalid", SPAN("spec.expirationSeconds"),
			  "Invalid value: %lld: may not specify a duration larger than 2^32 seconds",
			  (long long)t->seconds);
	if (first)
		answer_causes(call, SPAN("TokenRequest"), SPAN("authentication.k8s.io"), (struct span){ 0 }, first);
	return !first;
}

static bool audiences_read(struct token_call *t)
{
	const struct value *asked = value_find(t->call->body, "spec.audiences");

	if (!value_is_empty(asked)) {
		t->audiences = *asked;
		return true;
	}
	t->audiences = value_array();
	return value_append(&t->audiences, value_string(SPAN(PKI_ISSUER)), t->call->arena, t->err) != NULL;
}

static const struct value *object_find(struct token_call *t, const char *plural, struct span name_space,
				       struct span name)
{
	const struct kind *kind = kube_kind(t->call->kube, (struct span){ 0 }, SPAN("v1"), span_of(plural));
	const struct value *object =
	    kind ? kube_object(t->call->kube, kind, name_space, name, false, t->call->arena, t->err) : NULL;

	if (!object && t->err->code == ERROR_NONE)
		error_set(t->err, ERROR_NOT_FOUND, "%s \"" SPAN_FMT "\" not found", plural, SPAN_ARG(name));
	return object;
}

static bool bound_check(struct token_call *t, const struct value *ref)
{
	struct span uid = value_find_string(ref, "uid"), own = value_find_string(t->bound, "metadata.uid");
	struct span account = value_find_string(t->bound, "spec.serviceAccountName");

	if (uid.len && !span_equal(uid, own))
		return error_set(t->err, ERROR_CONFLICT,
				 "the UID in the bound object reference (" SPAN_FMT
				 ") does not match the UID in record. The "
				 "object might have been deleted and then recreated",
				 SPAN_ARG(uid));
	if (strcmp(t->bound_as, "pod") == 0 && !span_equal(account, t->call->name))
		return error_set(t->err, ERROR_INVALID,
				 "cannot bind token for serviceaccount \"" SPAN_FMT "\" to pod running with different "
				 "serviceaccount name.",
				 SPAN_ARG(t->call->name));
	return true;
}

static bool bound_read(struct token_call *t)
{
	static const struct {
		struct span kind;
		const char *plural, *name;
		bool is_cluster;
	} rows[] = { { SPAN_INIT("Pod"), "pods", "pod", false },
		     { SPAN_INIT("Secret"), "secrets", "secret", false },
		     { SPAN_INIT("Node"), "nodes", "node", true } };
	const struct value *ref = value_find(t->call->body, "spec.boundObjectRef");
	struct span kind = value_find_string(ref, "kind");

	if (value_is_empty(ref))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_equal(kind, rows[i].kind))
			continue;
		t->bound_as = rows[i].name;
		t->bound_plural = rows[i].plural;
		t->bound = object_find(t, rows[i].plural, rows[i].is_cluster ? (struct span){ 0 } : t->call->name_space,
				       value_find_string(ref, "name"));
		return t->bound && bound_check(t, ref);
	}
	return error_set(t->err, ERROR_INVALID, "cannot bind token to object of type " SPAN_FMT, SPAN_ARG(kind));
}

/* ---- the token ---- */

static void put_text(struct json_writer *w, const char *key, struct span value)
{
	json_key(w, span_of(key));
	json_string(w, value);
}

static void put_reference(struct json_writer *w, const char *key, const struct value *object)
{
	json_key(w, span_of(key));
	json_open_object(w);
	put_text(w, "name", value_find_string(object, "metadata.name"));
	put_text(w, "uid", value_find_string(object, "metadata.uid"));
	json_close_object(w);
}

static void put_time(struct json_writer *w, const char *key, int64_t seconds)
{
	json_key(w, span_of(key));
	json_int64(w, seconds);
}

static bool claims_write(struct token_call *t, struct buffer *out)
{
	struct json_writer w = json_writer(out);
	struct span subject =
	    arena_print(t->call->arena, t->err, "system:serviceaccount:%.*s:%.*s", (int)t->call->name_space.len,
			t->call->name_space.ptr, (int)t->call->name.len, t->call->name.ptr);
	char id[RANDOM_UUID_SIZE];

	random_uuid(id);
	json_open_object(&w);
	json_key(&w, SPAN("aud"));
	value_write(&t->audiences, &w);
	put_time(&w, "exp", t->now + t->seconds);
	put_time(&w, "iat", t->now);
	put_text(&w, "iss", SPAN(PKI_ISSUER));
	put_text(&w, "jti", span_of(id));
	json_key(&w, SPAN("kubernetes.io"));
	json_open_object(&w);
	put_text(&w, "namespace", t->call->name_space);
	if (t->bound)
		put_reference(&w, t->bound_as, t->bound);
	put_reference(&w, "serviceaccount", t->account);
	json_close_object(&w);
	put_time(&w, "nbf", t->now);
	put_text(&w, "sub", subject);
	json_close_object(&w);
	return subject.ptr && buffer_ok(out, "token", t->err);
}

static bool token_make(struct token_call *t, struct span *ret)
{
	struct buffer claims;
	bool done;

	*ret = SPAN("");
	if (t->call->is_dry_run)
		return true;
	buffer_init(&claims, KIB(64));
	done = claims_write(t, &claims) &&
	       pki_sign_token(kube_pki(t->call->kube), buffer_span(&claims), t->call->arena, ret, t->err);
	buffer_done(&claims);
	return done;
}

/* ---- the answer ---- */

static bool set(struct token_call *t, struct value *object, const char *member, struct value v)
{
	return value_set(object, span_of(member), v, t->call->arena, t->err) != NULL;
}

static bool answer_make(struct token_call *t, struct span token, struct value *ret)
{
	struct value metadata = value_object(), spec = value_object(), status = value_object();
	const struct value *ref = value_find(t->call->body, "spec.boundObjectRef");
	struct arena *arena = t->call->arena;

	*ret = value_object();
	return set(t, &metadata, "name", value_string(t->call->name)) &&
	       set(t, &metadata, "namespace", value_string(t->call->name_space)) &&
	       set(t, &metadata, "creationTimestamp", value_string(kube_now_text(t->now * NS_PER_S, arena))) &&
	       set(t, &spec, "audiences", t->audiences) && set(t, &spec, "expirationSeconds", value_int(t->seconds)) &&
	       set(t, &spec, "boundObjectRef", value_is_empty(ref) ? value_null() : *ref) &&
	       set(t, &status, "token", value_string(token)) &&
	       set(t, &status, "expirationTimestamp",
		   value_string(kube_now_text((t->now + t->seconds) * NS_PER_S, arena))) &&
	       set(t, ret, "kind", value_string(SPAN("TokenRequest"))) &&
	       set(t, ret, "apiVersion", value_string(SPAN("authentication.k8s.io/v1"))) &&
	       set(t, ret, "metadata", metadata) && set(t, ret, "spec", spec) && set(t, ret, "status", status);
}

/* The details of a failure are of the object that is missing, which may be the one to be bound to. */
static void refuse(struct token_call *t)
{
	struct call *call = call_of(t->call);
	struct status s = status_of_error(call, t->err);

	if (t->err->code == ERROR_NOT_FOUND && t->bound_plural) {
		s.kind = span_of(t->bound_plural);
		s.name = value_find_string(t->call->body, "spec.boundObjectRef.name");
	}
	answer_status(call, &s);
}

static void token_create(struct kube_call *call)
{
	struct error err = { 0 };
	struct token_call t = { .call = call, .now = kube_wall_ns(call->kube) / NS_PER_S, .err = &err };
	struct value answer;
	struct span token;

	t.account = object_find(&t, "serviceaccounts", call->name_space, call->name);
	if (t.account && !seconds_read(&t))
		return;
	if (t.account && !kube_pki(call->kube))
		error_set(&err, ERROR_UNIMPLEMENTED, "there is no key to sign tokens with");
	if (err.code == ERROR_NONE && audiences_read(&t) && bound_read(&t) && token_make(&t, &token) &&
	    answer_make(&t, token, &answer))
		kube_answer(call, 201, &answer);
	else
		refuse(&t);
}

const struct subresource service_account_others[] = {
	{ .name = "token",
	  .verbs = KUBE_CREATE,
	  .group = "authentication.k8s.io",
	  .version = "v1",
	  .kind = "TokenRequest",
	  .type_name = "io.k8s.api.authentication.v1.TokenRequest",
	  .handle = token_create },
	{ 0 },
};
