/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * https - HTTPS from the asking side, for calls to somebody else's servers: webhooks, conversions, alerts, another API server. One request,
 * one answer, each whole and in memory; or an answer that is taken as it comes (`part`). libcurl's multi interface on our loop: connections are kept and used again.
 *
 * Life:      https_new() → https_call() as often as wanted → https_free(). `done` is called once for each call, from the loop, never
 *            from inside https_call(); not after https_cancel(), and not by https_free().
 * Threads:   one loop. Names are looked up in a thread of libcurl's.
 * Ownership: what is given is copied. The answer lives until `done` returns.
 * Errors:    in Go's words, as kube-apiserver tells them: "dial tcp 127.0.0.1:1: connect: connection refused", "tls: failed to verify
 *            certificate: x509: ...", "context deadline exceeded" (TIMEOUT), "EOF"; UNAVAILABLE otherwise; TOO_LARGE over answer_most.
 *            An answer with an HTTP status over 399 is an answer.
 * Limits:    calls_most at once (more wait, which counts against their time); answer_most bytes of one answer; the time of each call.
 *            Redirects are not followed. HTTP/1.1 only: load balancers see each request. Proxies of the environment are not used.
 *            libcurl is opened with the first call; without it that is UNIMPLEMENTED.
 */
#include "base/base.h"

struct https;
struct https_call;
struct loop;

struct https_config {
	struct loop *loop;
	size_t calls_most;      /* 64 */
	size_t answer_most;     /* 8 MiB */
	const char *user_agent; /* "kube-apiserver-admission" */
};

struct https_answer {
	int status;
	struct span body, content_type;
};

struct https_request {
	struct span method; /* empty: GET, or POST with a body */
	struct span url;    /* https://host[:port]/path[?query]; http:// too when may_be_plain */
	bool may_be_plain;
	struct span content_type, body;
	struct span bearer;                   /* a token, or empty */
	struct span ca_pem;                   /* certificates to trust; empty: the system's */
	struct span certificate_pem, key_pem; /* the client's own, or empty */
	struct span connect_address; /* connect there in place of the URL's host: a name or an address; empty: not */
	uint16_t connect_port;
	bool is_insecure;   /* whose certificate it is does not matter */
	int64_t timeout_ns; /* of a call with `part`, 0: none */
	/* Takes the bytes of an answer with a status under 300 as they come, which are then not in answer.body; may be NULL. Called from
	 * inside libcurl: no function of this header may be called in it. False ends the call: `done` with CANCELLED. */
	bool (*part)(void *context, struct span bytes);
	void (*done)(void *context, const struct https_answer *answer, const struct error *err);
	void *context;
};

struct https *https_new(const struct https_config *config); /* never NULL */
void https_free(struct https *h);                           /* NULL is allowed; calls under way end without a word */
/* NULL when it cannot even be begun (the URL); err says why. */
struct https_call *https_call(struct https *h, const struct https_request *r, struct error *err);
void https_cancel(struct https_call *c);
