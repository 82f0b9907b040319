/* SPDX-License-Identifier: Apache-2.0 */
/* user - who asks: a client certificate, a bearer token, or nobody. */
#include "kube/user.h"

#include "kube/auth/auth.h"
#include "kube/auth/pki.h"
#include "wire/base64.h"

#define WEBSOCKET_PROTOCOL SPAN("base64url.bearer.authorization.k8s.io.")

bool user_group_add(struct user *u, struct span group, struct error *err)
{
	if (u->group_count == USER_GROUPS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "a user is in more than %d groups", USER_GROUPS_MAX);
	u->groups[u->group_count++] = group;
	return true;
}

bool user_has_group(const struct user *u, struct span group)
{
	for (size_t i = 0; i < u->group_count; i++) {
		if (span_equal(u->groups[i], group))
			return true;
	}
	return false;
}

void user_extra_add(struct user *u, const char *key, struct span value)
{
	if (value.len > 0 && u->extra_count < USER_EXTRAS_MAX)
		u->extra[u->extra_count++] = (struct user_extra){ key, value };
}

static bool refuse(struct error *err)
{
	return error_set(err, ERROR_UNAUTHENTICATED, "Unauthorized");
}

/* ---- service accounts ---- */

static bool has_uid(struct kube *k, struct span plural, struct span name_space, struct span name, struct span uid,
		    struct arena *arena)
{
	const struct kind *kind = kube_kind(k, (struct span){ 0 }, SPAN("v1"), plural);
	struct error ignored = { 0 };
	const struct value *object = kind ? kube_object(k, kind, name_space, name, false, arena, &ignored) : NULL;

	return object && uid.len > 0 && span_equal(value_find_string(object, "metadata.uid"), uid);
}

/* A token lives no longer than its account and what else it is bound to. */
static bool is_bound(struct kube *k, const struct value *claims, struct span name_space, const char *what,
		     struct span plural, struct arena *arena)
{
	const struct value *bound = value_get(claims, span_of(what));

	return !bound ||
	       has_uid(k, plural, name_space, value_find_string(bound, "name"), value_find_string(bound, "uid"), arena);
}

static bool audiences_meet(const struct value *have, const struct span *want, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (value_is(have, VALUE_STRING) && span_equal(have->string, want[i]))
			return true;
		for (uint32_t n = 0; n < value_count(have); n++) {
			const struct value *item = value_item(have, n);

			if (value_is(item, VALUE_STRING) && span_equal(item->string, want[i]))
				return true;
		}
	}
	return false;
}

static void extras_add(struct user *u, const struct value *claims, const struct value *own, struct arena *arena)
{
	struct span jti = value_find_string(claims, "jti");
	struct error ignored = { 0 };

	if (jti.len > 0)
		user_extra_add(u, "authentication.kubernetes.io/credential-id",
			       arena_print(arena, &ignored, "JTI=" SPAN_FMT, SPAN_ARG(jti)));
	user_extra_add(u, "authentication.kubernetes.io/node-name", value_find_string(own, "node.name"));
	user_extra_add(u, "authentication.kubernetes.io/node-uid", value_find_string(own, "node.uid"));
	user_extra_add(u, "authentication.kubernetes.io/pod-name", value_find_string(own, "pod.name"));
	user_extra_add(u, "authentication.kubernetes.io/pod-uid", value_find_string(own, "pod.uid"));
}

static bool service_account_fill(struct user *u, struct span name_space, struct span name, struct arena *arena,
				 struct error *err)
{
	u->name = arena_print(arena, err, "system:serviceaccount:%.*s:%.*s", (int)name_space.len, name_space.ptr,
			      (int)name.len, name.ptr);
	u->service_account_namespace = name_space;
	u->service_account_name = name;
	u->groups[0] = SPAN("system:serviceaccounts");
	u->groups[1] = arena_print(arena, err, "system:serviceaccounts:%.*s", (int)name_space.len, name_space.ptr);
	u->groups[2] = SPAN("system:authenticated");
	u->group_count = 3;
	return u->name.ptr && u->groups[1].ptr;
}

static bool service_account_identify(struct kube *k, struct span token, const struct span *audiences, size_t count,
				     struct arena *arena, struct user *ret, struct error *err)
{
	struct span claims_text, name_space, name;
	struct user u = { 0 };
	struct value claims;
	const struct value *own, *account;

	if (!pki_check_token(kube_pki(k), token, kube_wall_ns(k), arena, &claims_text, err) ||
	    !value_parse(claims_text, NULL, arena, &claims, err))
		return false;
	own = value_get(&claims, SPAN("kubernetes.io"));
	account = value_get(own, SPAN("serviceaccount"));
	name_space = value_find_string(own, "namespace");
	name = value_find_string(account, "name");
	u.uid = value_find_string(account, "uid");
	if (!name.len || !audiences_meet(value_get(&claims, SPAN("aud")), audiences, count) ||
	    !has_uid(k, SPAN("serviceaccounts"), name_space, name, u.uid, arena) ||
	    !is_bound(k, own, name_space, "pod", SPAN("pods"), arena) ||
	    !is_bound(k, own, name_space, "secret", SPAN("secrets"), arena))
		return refuse(err);
	if (!service_account_fill(&u, name_space, name, arena, err))
		return false;
	extras_add(&u, &claims, own, arena);
	*ret = u;
	return true;
}

bool user_of_token(struct kube *k, struct span token, const struct span *audiences, size_t audience_count,
		   struct arena *arena, struct user *ret, struct error *err)
{
	const struct auth *a = kube_auth(k);

	if (token_file_find(auth_token_file(a), token, ret)) {
		if (!user_has_group(ret, SPAN("system:authenticated")))
			return user_group_add(ret, SPAN("system:authenticated"), err);
		return true;
	}
	if (!kube_pki(k))
		return refuse(err);
	return service_account_identify(k, token, audiences, audience_count, arena, ret, err);
}

/* ---- credentials ---- */

static bool certificate_identify(const struct client_certificate *c, struct arena *arena, struct user *ret,
				 struct error *err)
{
	struct user u = { .name = c->common_name };

	for (size_t i = 0; i < c->organization_count; i++) {
		if (!user_group_add(&u, c->organizations[i], err))
			return false;
	}
	if (!user_has_group(&u, SPAN("system:authenticated")) && !user_group_add(&u, SPAN("system:authenticated"), err))
		return false;
	user_extra_add(&u, "authentication.kubernetes.io/credential-id",
		       arena_print(arena, err, "X509SHA256=%s", c->fingerprint));
	*ret = u;
	return true;
}

/* What browsers send, who cannot set Authorization: a protocol's name with the token in it. */
static struct span websocket_token(const struct request *req, struct arena *arena)
{
	struct span rest = request_header(req, SPAN("sec-websocket-protocol")), token = { 0 };
	struct error ignored = { 0 };

	while (rest.len > 0) {
		struct span item = span_trim(span_cut(&rest, ','));

		if (span_starts(item, WEBSOCKET_PROTOCOL) &&
		    base64_read(span_skip(item, WEBSOCKET_PROTOCOL.len), arena, &token, &ignored))
			return token;
	}
	return token;
}

/* Empty: none. Another scheme than Bearer is nobody's, as for the real server. */
static struct span bearer_token(struct request *req)
{
	struct span value = span_trim(request_header(req, SPAN("authorization"))), scheme = span_cut(&value, ' ');

	if (span_equal_ignore_case(scheme, SPAN("bearer")))
		return span_trim(value);
	return req->upgrade.len ? websocket_token(req, &req->arena) : (struct span){ 0 };
}

static bool credentials_identify(struct kube *k, struct request *req, struct user *ret, struct error *err)
{
	static const struct span audiences[] = { SPAN_INIT(PKI_ISSUER) };
	const struct client_certificate *certificate = request_client(req);
	struct span token = bearer_token(req);
	struct error inner = { 0 };

	if (certificate && certificate->is_good && certificate->common_name.len > 0)
		return certificate_identify(certificate, &req->arena, ret, err);
	if (token.len > 0)
		return user_of_token(k, token, audiences, 1, &req->arena, ret, &inner) || refuse(err);
	if (certificate && !certificate->is_good)
		return refuse(err);
	*ret = (struct user){ .name = SPAN("system:anonymous"),
			      .groups = { SPAN("system:unauthenticated") },
			      .group_count = 1 };
	return true;
}

bool user_identify(struct kube *k, struct request *req, struct user *ret, struct access *ret_refused, struct error *err)
{
	struct user u;

	if (!credentials_identify(k, req, &u, err)) {
		audit_request(k, req, NULL, NULL);
		return false;
	}
	if (!user_impersonate(k, req, &u, ret_refused, err)) {
		audit_request(k, req, &u, NULL);
		return false;
	}
	*ret = u;
	return true;
}
