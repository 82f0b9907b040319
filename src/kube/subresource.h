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
	/* Answers: kube_answer(), kube_fail(), kube_refuse(), or opens the request. NULL: the object itself is read and written by this
	 * path, as by its own (pods/resize); its `prepare` keeps what the path may not change. */
	void (*handle)(struct kube_call *call);
};

/* ---- refusals that are not of an error's common form ---- */

struct kube_refusal {
	int code;
	const char *reason;  /* NULL: none */
	struct span message; /* empty: made of the causes, as of an object that is invalid */
	struct span kind, name;
	const struct cause *causes;
	int retry_seconds;
};
void kube_refuse(struct kube_call *call, const struct kube_refusal *r);
void kube_answer_empty(struct kube_call *call, int status); /* without a body */

/* ---- what only a node can answer ----
 *
 * A part of this program that runs pods registers one function, which is asked for each request to pods/log, exec, attach, portforward
 * and proxy, services/proxy and nodes/proxy after the user's right, the object and the container were checked. It answers by the
 * functions above, or opens the request (net/request.h): a log is a body that flows while it is written; exec, attach and portforward
 * are WebSockets or SPDY streams both ways.
 */
enum node_service {
	NODE_LOG,
	NODE_EXEC,
	NODE_ATTACH,
	NODE_FORWARD,
	NODE_POD_PROXY,
	NODE_SERVICE_PROXY,
	NODE_PROXY,
};

struct node_question {
	enum node_service service;
	struct span node;           /* its name; empty for NODE_SERVICE_PROXY */
	const struct value *object; /* the pod, service or node */
	struct span container;
	struct span scheme, port; /* of proxies; may be empty. What follows in the path is call->rest */
};

/* True: it is this one's question, and answered now or later. */
typedef bool (*node_answer)(void *context, struct kube_call *call, const struct node_question *q);
void kube_serve_nodes(struct kube *k, node_answer answer, void *context); /* NULL: nobody any more */
bool kube_ask_node(struct kube *k, struct kube_call *call, const struct node_question *q);
