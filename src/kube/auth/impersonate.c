/* SPDX-License-Identifier: Apache-2.0 */
/* impersonate - asking in another's name: Impersonate-User, -Group, -Uid, -Extra-KEY. */
#include "kube/auth/auth.h"

/* May `u` take this name? */
static bool may(struct kube *k, const struct user *u, const struct access *a, struct arena *arena, struct error *err)
{
	struct span why;

	return access_allowed(k, u, a, &why, arena) || access_error(u, a, err);
}

/* "system:serviceaccount:NAMESPACE:NAME" */
static bool is_service_account(struct span name, struct span *ret_namespace, struct span *ret_name)
{
	struct span prefix = SPAN("system:serviceaccount:"), rest = name;

	if (!span_starts(name, prefix))
		return false;
	rest = span_skip(rest, prefix.len);
	*ret_namespace = span_cut(&rest, ':');
	*ret_name = rest;
	return ret_namespace->len > 0 && rest.len > 0 && span_index(rest, ':') == rest.len;
}

static bool take_user(struct kube *k, const struct user *asks, struct span name, struct arena *arena, struct user *ret,
		      struct error *err)
{
	struct access a = { .verb = SPAN("impersonate"), .is_resource = true, .version = SPAN("v1") };

	ret->name = name;
	a.resource = SPAN("users");
	a.name = name;
	if (is_service_account(name, &ret->service_account_namespace, &ret->service_account_name)) {
		a.resource = SPAN("serviceaccounts");
		a.name_space = ret->service_account_namespace;
		a.name = ret->service_account_name;
	} else {
		ret->service_account_namespace = ret->service_account_name = (struct span){ 0 };
	}
	return may(k, asks, &a, arena, err);
}

static bool take_groups(struct kube *k, const struct request *req, const struct user *asks, struct arena *arena,
			struct user *ret, struct error *err)
{
	struct access a = {
		.verb = SPAN("impersonate"), .is_resource = true, .version = SPAN("v1"), .resource = SPAN("groups")
	};

	for (size_t i = 0; i < req->header_count; i++) {
		if (!span_equal_ignore_case(req->headers[i].name, SPAN("impersonate-group")))
			continue;
		a.name = req->headers[i].value;
		if (!may(k, asks, &a, arena, err) || !user_group_add(ret, a.name, err))
			return false;
	}
	return true;
}

static bool take_uid(struct kube *k, const struct request *req, const struct user *asks, struct arena *arena,
		     struct user *ret, struct error *err)
{
	struct access a = { .verb = SPAN("impersonate"),
			    .is_resource = true,
			    .group = SPAN("authentication.k8s.io"),
			    .version = SPAN("v1"),
			    .resource = SPAN("uids") };

	ret->uid = request_header(req, SPAN("impersonate-uid"));
	a.name = ret->uid;
	return !ret->uid.len || may(k, asks, &a, arena, err);
}

/* The groups that everybody has who is what the name says. */
static bool add_usual_groups(struct user *u, struct arena *arena, struct error *err)
{
	struct span group;

	if (u->service_account_name.len > 0 && u->group_count == 0) {
		group =
		    arena_print(arena, err, "system:serviceaccounts:" SPAN_FMT, SPAN_ARG(u->service_account_namespace));
		if (!group.ptr || !user_group_add(u, SPAN("system:serviceaccounts"), err) ||
		    !user_group_add(u, group, err))
			return false;
	}
	group = span_equal(u->name, SPAN("system:anonymous")) ? SPAN("system:unauthenticated")
							      : SPAN("system:authenticated");
	if (user_has_group(u, SPAN("system:unauthenticated")) || user_has_group(u, group))
		return true;
	return user_group_add(u, group, err);
}

/* Extra fields are not kept: who sends one would think that it counts. */
static bool refuse_extras(const struct request *req, struct error *err)
{
	for (size_t i = 0; i < req->header_count; i++) {
		struct span prefix = SPAN("impersonate-extra-"), name = req->headers[i].name;

		if (name.len > prefix.len && span_equal_ignore_case(span_first(name, prefix.len), prefix))
			return error_set(err, ERROR_INVALID, "header " SPAN_FMT ": extra fields cannot be impersonated",
					 SPAN_ARG(name));
	}
	return true;
}

bool user_impersonate(struct kube *k, struct request *req, struct user *u, struct error *err)
{
	struct span name = request_header(req, SPAN("impersonate-user"));
	struct span group = request_header(req, SPAN("impersonate-group"));
	struct user other = { 0 };

	if (!name.len) {
		if (group.len)
			return error_set(err, ERROR_INTERNAL,
					 "requested [{Group  " SPAN_FMT "    }] without impersonating a user",
					 SPAN_ARG(group));
		return true;
	}
	if (!refuse_extras(req, err) || !take_user(k, u, name, &req->arena, &other, err) ||
	    !take_groups(k, req, u, &req->arena, &other, err) || !take_uid(k, req, u, &req->arena, &other, err) ||
	    !add_usual_groups(&other, &req->arena, err))
		return false;
	*u = other;
	return true;
}
