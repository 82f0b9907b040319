/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * plan - what the gateway does with what comes in: an immutable snapshot. One thread makes it (compile.h), all workers read it.
 *
 *	entry    an address that is listened on: a service's own port, or a table of routes
 *	table    host → path → other matches → route
 *	route    filters, time limits, and targets with weights
 *	target   a backend, with filters of its own
 *	backend  a service's port: its endpoints
 *	endpoint an address that answers, in the host's network or in a pod's
 *
 * Matching costs the same whatever the number of routes: a hash for the host, one for each prefix of the path, then the few rows that differ by
 * method, headers and query only.
 *
 * Ownership: counted. plan_new() begins one that only its maker sees; everything in it is cut from its arena and lives as long. Whoever
 *            keeps a pointer into it keeps a reference. plan_free() after the last: in any thread.
 * Threads:   building: one. Reading, plan_ref(), plan_unref(): any.
 * Limits:    PLAN_x; over them INVALID, which names the object.
 * Sources:   Gateway API v1 (HTTPRoute, GRPCRoute: precedence of matches), Ingress v1, Service v1.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"
#include "wire/http1.h"

struct request;
struct inference;
struct certificates;

enum {
	PLAN_ROUTES_MOST = 100000,
	PLAN_ENDPOINTS_MOST = 10000, /* of a backend */
	PLAN_TARGETS_MOST = 16,      /* of a route, as Gateway API has it */
	PLAN_MATCHES_MOST = 16,      /* of headers, and of query parameters, in one match */
	PLAN_MIRRORS_MOST = 4,
	PLAN_PATH_MOST = 4096,    /* bytes of a path, or of a regex, in a match */
	PLAN_SEGMENTS_MOST = 128, /* of a prefix */
	PLAN_REGEX_STEPS = 20000, /* of backtracking for one text: over it there is no match */
};

/* ---- backends ---- */

struct plan_endpoint {
	struct span key; /* "127.97.0.3:8000": the same endpoint in another plan has the same */
	struct sockaddr_storage address;
	struct span
	    sandbox; /* the pod's folder/sandbox, by whose door a socket of its network is had; empty: the host's network */
	struct span pod; /* its name; empty: none */
	bool is_ready;   /* may be chosen */
	bool is_serving; /* may be chosen when none is ready: it ends, and still answers */
};

/* How an endpoint is spoken to. */
enum plan_speech {
	SPEECH_AUTO, /* HTTP/2 for gRPC, and for what came as HTTP/2 in clear to the service's own address; else HTTP/1.1. On a service's own
		       * address bytes that are not HTTP are passed on as they are */
	SPEECH_HTTP1, /* appProtocol: http */
	SPEECH_HTTP2, /* appProtocol: kubernetes.io/h2c, grpc */
	SPEECH_WS,    /* kubernetes.io/ws: as HTTP1 */
	SPEECH_BYTES, /* appProtocol: tcp, or anything that is not known: bytes both ways */
};

struct plan_backend {
	struct span name; /* "default/web:80": the same backend in another plan has the same */
	struct span name_space, service;
	enum plan_speech speech;
	const struct plan_endpoint *endpoints;
	size_t endpoint_count;
	int64_t
	    affinity_ns; /* the same client (address, and cookie where there is one) gets the same endpoint for so long; 0: any */
	/* Asked here and not there, as long as an endpoint is ready: a model that this process has itself. NULL: none. */
	struct inference *native;
	/* Why there is no endpoint, for the answer 503; empty: none is ready. */
	struct span why;
};

/* ---- routes ---- */

struct plan_headers { /* set, add, remove, in this order */
	const struct header *set, *add;
	size_t set_count, add_count;
	const struct span *remove;
	size_t remove_count;
};

struct plan_rewrite {
	struct span host; /* empty: as it was */
	struct span path; /* instead of the whole path, or of the prefix that matched */
	bool has_path, is_prefix;
};

struct plan_redirect {
	int status; /* 0: none; 301, 302, 303, 307, 308 */
	struct span scheme, host;
	int port;                    /* 0: as it was */
	struct plan_rewrite rewrite; /* of the path */
};

struct plan_filters {
	struct plan_headers request, answer;
	struct plan_rewrite rewrite;
	struct plan_redirect redirect;
};

struct plan_mirror {
	const struct plan_backend *backend;
	uint32_t numerator, denominator; /* of requests; 1/1 all */
	struct plan_filters filters;
};

struct plan_target {
	const struct plan_backend *backend; /* NULL: there is none: 500, as Gateway API says */
	uint32_t weight;
	struct plan_filters filters;
	struct span name; /* in metrics: "default" (a predictor), or the service's */
};

enum plan_path {
	PATH_PREFIX,
	PATH_EXACT,
	PATH_REGEX
}; /* a prefix ends at a segment's end, and stands without its last '/' */
enum plan_text { TEXT_EXACT, TEXT_REGEX, TEXT_PRESENT };

struct plan_text_match {
	struct span name; /* a header's in lower case */
	enum plan_text how;
	struct span value;
	const void *regex; /* as plan_match.regex */
};

struct plan_match {
	enum plan_path how;
	struct span path;   /* "/": every path */
	const void *regex;  /* PATH_REGEX, of plan_regex_new(), kept by plan_keep(); NULL: made here */
	struct span method; /* empty: any */
	bool is_grpc;       /* requests of gRPC only; ranks as a method */
	struct plan_text_match *headers, *queries;
	size_t header_count, query_count;
};

struct plan_route {
	struct span name; /* "httproute/default/web/0": object and rule, for metrics and logs */
	const struct plan_target *targets;
	size_t target_count;
	uint64_t weight_sum;
	struct plan_filters filters;
	const struct plan_mirror *mirrors;
	size_t mirror_count;
	int64_t timeout_ns;     /* of a request, with its tries; 0: the server's --request-timeout */
	int64_t try_timeout_ns; /* of one try; 0: none */
	int64_t made_ns;        /* of the object: the older wins where all else is equal */
};

/* ---- entries ---- */

struct plan_table; /* host → routes */

/* The entry that has no socket of its own here: what the server's own listeners take (--listen-gateway; request_entry() is NULL). */
#define PLAN_MAIN "main"

struct plan_entry {
	struct span key;     /* "tcp 127.96.0.7:80": the same socket in another plan has the same */
	struct span address; /* "127.96.0.7:80"; port 0 of a load balancer: the next free one of the range */
	int wanted_port;     /* of a load balancer: the service's own port, asked for first */
	bool is_udp;
	const struct plan_backend *backend; /* a service's port; or NULL: */
	const struct plan_table *table;
	struct certificates *certificates; /* by name; NULL: in clear. The plan holds a reference */
	struct span owner_kind, owner_namespace, owner_name, owner_uid; /* for the status, and events */
	struct span port_name;
};

struct plan {
	struct arena *arena;
	const struct plan_entry *entries;
	size_t entry_count;
	const struct plan_backend *const *backends; /* all, each once */
	size_t backend_count;
	uint64_t number; /* 1, 2, ...: a later one is higher */
};

/* ---- making one ---- */

struct plan_builder; /* it and the plan share an arena */
struct plan_builder *plan_begin(void);
struct arena *plan_builder_arena(struct plan_builder *b);
/* The backend of that name, new (zeroed, named) or as it was begun before; to be filled until plan_finish(). */
struct plan_backend *plan_backend(struct plan_builder *b, struct span name);
struct plan_entry *plan_entry_add(struct plan_builder *b, struct span key); /* NULL: there is one of that key */
struct plan_table *plan_table_add(struct plan_builder *b);
/* The plan holds it, and releases it when it is freed: in any thread. */
void plan_keep(struct plan_builder *b, void *thing, void (*release)(void *thing));
/* A regex of PCRE2's syntax that has to match the whole text. INVALID: it cannot be read. */
void *plan_regex_new(struct span text, struct error *err);
void plan_regex_free(void *regex); /* NULL is allowed */
/* A request for a host that this name ("a.example.com", "*.example.com", empty: any) takes is not looked for under names that say less:
 * how the listeners of a Gateway are kept apart. */
void plan_host_end(struct plan_builder *b, struct plan_table *t, struct span host);
/* INVALID: it is over a limit, and plan_route_add() would refuse it. */
bool plan_match_check(const struct plan_match *m, struct error *err);
/* host: "a.example.com", "*.example.com" (any number of labels before it), "?.example.com" (one label, as Ingress has it), or empty: any. In
 * lower case. What no row of a host's takes is looked for under the names that say less. The order of precedence is Gateway API's: host exact over longer wildcard over any;
 * path exact over longer prefix (a regex counts as its length and comes before prefixes of the same length); with a method; more headers;
 * more query parameters; the older; the name; what was added first. `route` and what `match` points to are kept. INVALID: a regex that cannot
 * be read, a limit. */
bool plan_route_add(struct plan_builder *b, struct plan_table *t, struct span host, const struct plan_match *match,
		    const struct plan_route *route, struct error *err);
/* With one reference; the builder is gone. NULL with err: then too. */
struct plan *plan_finish(struct plan_builder *b, uint64_t number, struct error *err);
void plan_discard(struct plan_builder *b);

void plan_ref(struct plan *p);
void plan_unref(struct plan *p); /* NULL is allowed */

/* ---- reading it ---- */

/*
 * The route for this request (host, path as it was sent, method, headers, query); NULL: none. *ret_prefix: how much of req->path a prefix
 * match took; else its length. Escapes of letters, digits and -._~ stand for what they say (RFC 3986 6.2.2.2); dot segments for
 * themselves.
 */
const struct plan_route *plan_find(const struct plan_table *t, const struct request *req, size_t *ret_prefix);
/* By weight; `random` is uniform over all 64 bits. NULL: all weights are 0. */
const struct plan_target *plan_choose(const struct plan_route *r, uint64_t random);
const struct plan_entry *plan_entry_find(const struct plan *p, struct span key);
