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
	struct span name_space, name, subresource;
	struct span rest;   /* what follows behind the subresource; of proxies as it was sent, from its slash on */
	struct value *body; /* decoded, or NULL */
	struct arena *arena;
	bool is_dry_run;
};

/* Among the verbs of a subresource: query, headers and body are for somebody behind it, and HEAD and OPTIONS too; nothing of them is looked at
 * here. Its route must be a ROUTE_STREAM. */
#define KUBE_PASSAGE (1u << 31)

struct subresource {
	const char *name; /* "token"; "*" in the last row: any other, which is told to nobody */
	unsigned verbs;   /* enum kube_verb; KUBE_PASSAGE */
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
/* After request_open(): the request is the handler's alone from now on. The call, its arena and what was read of objects are gone. */
void kube_leave(struct kube_call *call);

/* ---- what only a node can answer ----
 *
 * A part of this program that runs pods registers one function, which is asked for each request to pods/log, exec, attach, portforward
 * and proxy, services/proxy and nodes/proxy after the user's right, the object and the container were checked. It answers by the
 * functions above, or opens the request (net/request.h): a log is a body that flows while it is written; exec, attach and portforward
 * are WebSockets or SPDY streams both ways; a proxy is a request of its own to a port of the pod.
 */
enum node_service {
	NODE_LOG,
	NODE_EXEC,
	NODE_ATTACH,
	NODE_FORWARD,
	NODE_POD_PROXY, /* of services too: one of the pods behind them was chosen */
	NODE_PROXY,
};

struct node_question {
	enum node_service service;
	struct span node;           /* its name */
	const struct value *object; /* the pod or node */
	struct span container;
	struct span scheme; /* of proxies: "http", "https"; may be empty. What follows in the path is call->rest */
	uint16_t port;      /* NODE_POD_PROXY */
};

/* True: it is this one's question, and answered now or later. */
typedef bool (*node_answer)(void *context, struct kube_call *call, const struct node_question *q);
void kube_serve_nodes(struct kube *k, node_answer answer, void *context); /* NULL: nobody any more */
bool kube_ask_node(struct kube *k, struct kube_call *call, const struct node_question *q);
