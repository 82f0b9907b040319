/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * user - who asks, and what they may do.
 *
 * Threads: the API server's loop. Users live in the request's arena.
 */
#include "base/base.h"

struct kube;
struct request;

#define USER_GROUPS_MAX 64
#define USER_EXTRAS_MAX 6

/* What else is known: "authentication.kubernetes.io/pod-name". */
struct user_extra {
	const char *key;
	struct span value;
};

struct user {
	struct span name; /* "system:anonymous" */
	struct span uid;
	struct span groups[USER_GROUPS_MAX];
	size_t group_count;
	struct span service_account_namespace, service_account_name; /* empty: none */
	struct user_extra extra[USER_EXTRAS_MAX];
	size_t extra_count;
};

/* What is asked for, as RBAC and access reviews see it. */
struct access {
	struct span verb; /* "get", "list", ...; for paths the method in small letters */
	bool is_resource;
	struct span group, version, resource, subresource, name, name_space;
	struct span path; /* when it is no resource */
};

/* By client certificate (CN, O), bearer token (the token file, service accounts' JWTs), else anonymous. False with UNAUTHENTICATED for
 * credentials that do not hold, with FORBIDDEN for another's name that they may not take (then it is in `ret_refused`). */
bool user_identify(struct kube *k, struct request *req, struct user *ret, struct access *ret_refused,
		   struct error *err);

/* RBAC (rules of Role, ClusterRole and their bindings; system:masters may all). False: `ret_why` says which ("RBAC: ..." or empty). */
bool access_allowed(struct kube *k, const struct user *u, const struct access *a, struct span *ret_why,
		    struct arena *arena);

/* FORBIDDEN in the real server's words: `configmaps is forbidden: User "u" cannot list resource "configmaps" in API group "" in the
 * namespace "default"`. */
bool access_error(const struct user *u, const struct access *a, struct error *err);
