/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * subresource - a path below an object that is neither status nor scale: pods/log, pods/eviction, serviceaccounts/token, ..., and
 * whole kinds that are asked and not stored (reviews).
 *
 * The server has checked the path, the user's right and the body's form before a handler runs.
 */
#include "kube/kind.h"

struct request;

struct kube_call {
	struct kube *kube;
	struct request *req;
	const struct kind *kind;
	const struct user *user;
	enum kube_verb verb;
	struct span name_space, name, subresource, rest; /* rest: what follows behind the subresource */
	struct value *body;                              /* decoded, or NULL */
	struct arena *arena;
	bool is_dry_run;
};

struct subresource {
	const char *name; /* "token" */
	unsigned verbs;   /* enum kube_verb */
	const char *group, *version,
	    *kind;             /* of the bodies ("authentication.k8s.io", "v1", "TokenRequest"); "" as the parent's */
	const char *type_name; /* of the body, for decoding; NULL: none */
	void (*handle)(struct kube_call *call); /* answers: kube_answer(), kube_fail(), or opens the request */
};
