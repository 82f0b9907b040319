/* SPDX-License-Identifier: Apache-2.0 */
/* impersonate - asking in another's name: Impersonate-User, -Group, -Uid, -Extra-KEY. */
#include "kube/auth/auth.h"

#define GROUP_HEADER SPAN("impersonate-group")
#define UID_HEADER   SPAN("impersonate-uid")
#define EXTRA_PREFIX SPAN("impersonate-extra-")

/* Who asks, for whom, and what was refused. */
struct impersonation {
	struct kube *kube;
	const struct request *req;
	const struct user *asks;
	struct arena *arena;
	struct user other;
	struct access *refused;
	struct error *err;
};

/* May they take this name? */
static bool may(struct impersonation *i, const struct access *a)
{
	struct span why;

	if (access_allowed(i->kube, i->asks, a, &why, i->arena))
		return true;
	*i->refused = *a;
	return access_error(i->asks, a, i->err);
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

static bool take_user(struct impersonation *i, struct span name)
{
	struct access a = { .verb = SPAN("impersonate"), .is_resource = true, .version = SPAN("v1") };
	struct user *other = &i->other;

	other->name = name;
	a.resource = SPAN("users");
	a.name = name;
	if (is_service_account(name, &other->service_account_namespace, &other->service_account_name)) {
		a.resource = SPAN("serviceaccounts");
		a.name_space = other->service_account_namespace;
		a.name = other->service_account_name;
	} else {
		other->service_account_namespace = other->service_account_name = (struct span){ 0 };
	}
	return may(i, &a);
}

static bool take_groups(struct impersonation *i)
{
	struct access a = {
		.verb = SPAN("impersonate"), .is_resource = true, .version = SPAN("v1"), .resource = SPAN("groups")
	};

	for (size_t h = 0; h < i->req->header_count; h++) {
		if (!span_equal_ignore_case(i->req->headers[h].name, GROUP_HEADER))
			continue;
		a.name = i->req->headers[h].value;
		if (!may(i, &a) || !user_group_add(&i->other, a.name, i->err))
			return false;
	}
	return true;
}

static bool take_uid(struct impersonation *i)
{
	struct access a = { .verb = SPAN("impersonate"),
			    .is_resource = true,
			    .group = SPAN("authentication.k8s.io"),
			    .version = SPAN("v1"),
			    .resource = SPAN("uids") };

	i->other.uid = request_header(i->req, UID_HEADER);
	a.name = i->other.uid;
	return !i->other.uid.len || may(i, &a);
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "Example.com%2fscopes" is the key "example.com/scopes". NULL with an error. */
static const char *extra_key(struct span header, struct arena *arena, struct error *err)
{
	char *key = arena_alloc(arena, header.len + 1, err);
	size_t len = 0;

	for (size_t i = 0; key && i < header.len; i++) {
		char c = header.ptr[i];
		int high = c == '%' && i + 2 < header.len ? hex_of(header.ptr[i + 1]) : -1;
		int low = high >= 0 ? hex_of(header.ptr[i + 2]) : -1;

		if (low >= 0) { /* what is no escape is meant as it stands */
			c = (char)(high * 16 + low);
			i += 2;
		}
		key[len++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	if (key)
		key[len] = '\0';
	return key;
}

static bool take_extras(struct impersonation *i)
{
	struct access a = { .verb = SPAN("impersonate"),
			    .is_resource = true,
			    .group = SPAN("authentication.k8s.io"),
			    .version = SPAN("v1"),
			    .resource = SPAN("userextras") };

	for (size_t h = 0; h < i->req->header_count; h++) {
		struct span name = i->req->headers[h].name;
		const char *key;

		if (name.len <= EXTRA_PREFIX.len ||
		    !span_equal_ignore_case(span_first(name, EXTRA_PREFIX.len), EXTRA_PREFIX))
			continue;
		key = extra_key(span_skip(name, EXTRA_PREFIX.len), i->arena, i->err);
		if (!key)
			return false;
		a.subresource = span_of(key);
		a.name = i->req->headers[h].value;
		if (!may(i, &a))
			return false;
		if (i->other.extra_count == USER_EXTRAS_MAX)
			return error_set(i->err, ERROR_INVALID, "more than %d Impersonate-Extra- headers",
					 USER_EXTRAS_MAX);
		user_extra_add(&i->other, key, a.name);
	}
	return true;
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

/* Groups, an uid or extras without a user: in the form in which Go prints the list of them. */
static bool refuse_nobody(const struct request *req, struct error *err)
{
	struct buffer text;
	bool any = false;

	buffer_init(&text, KIB(1));
	for (size_t h = 0; h < req->header_count; h++) {
		struct span name = req->headers[h].name, value = span_first(req->headers[h].value, 64);
		bool is_group = span_equal_ignore_case(name, GROUP_HEADER);
		bool is_uid = span_equal_ignore_case(name, UID_HEADER);
		bool is_extra = name.len > EXTRA_PREFIX.len &&
				span_equal_ignore_case(span_first(name, EXTRA_PREFIX.len), EXTRA_PREFIX);

		if (!is_group && !is_uid && !is_extra)
			continue;
		buffer_append(&text, any ? SPAN(" ") : SPAN(""));
		any = true;
		if (is_group)
			buffer_print(&text, "{Group  " SPAN_FMT "    }", SPAN_ARG(value));
		else if (is_uid)
			buffer_print(&text, "{UID  " SPAN_FMT "  authentication.k8s.io/v1  }", SPAN_ARG(value));
		else
			buffer_print(&text, "{UserExtra  " SPAN_FMT "  authentication.k8s.io/v1  " SPAN_FMT "}",
				     SPAN_ARG(value), SPAN_ARG(span_skip(name, EXTRA_PREFIX.len)));
	}
	if (any)
		error_set(err, ERROR_INTERNAL, "requested [%.*s] without impersonating a user", (int)text.len,
			  text.ptr);
	buffer_done(&text);
	return !any;
}

bool user_impersonate(struct kube *k, struct request *req, struct user *u, struct access *ret_refused,
		      struct error *err)
{
	struct span name = request_header(req, SPAN("impersonate-user"));
	struct impersonation i = {
		.kube = k, .req = req, .asks = u, .arena = &req->arena, .refused = ret_refused, .err = err
	};

	if (!name.len)
		return refuse_nobody(req, err);
	if (!take_user(&i, name) || !take_groups(&i) || !take_extras(&i) || !take_uid(&i) ||
	    !add_usual_groups(&i.other, &req->arena, err))
		return false;
	*u = i.other;
	return true;
}
