/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * compile_private - what the compile files share: what is known of the objects, and one pass over them.
 *
 *	compile.c           what is followed, when a plan is made
 *	compile_services.c  Services and EndpointSlices → backends and entries
 *	compile_pods.c      hostPort of pods → backends and entries
 *	compile_rules.c     rules of Ingresses and routes → routes of the plan
 *	compile_filters.c   filters of Gateway API
 *	compile_ingress.c, compile_routes.c, compile_grpc.c  → rules
 *	compile_gateways.c  listeners → entries with tables; which route belongs to which
 *	compile_secrets.c   certificates
 *	compile_status.c    what is told
 *	compile_bound.c     how entries fare
 *
 * An object is read once for each of its versions, to an item with an arena of its own, counted: plans point into it and keep it. A pass
 * goes over the items, and makes only what ties them together.
 *
 * Threads: the API server's loop; items are released by any.
 */
#include <stdatomic.h>

#include "gateway/compile.h"
#include "gateway/native.h"
#include "loop/loop.h"
#include "net/certificates.h"
#include "wire/value.h"

#define COMPILE_CONTROLLER "hythe.dev/gateway" /* of GatewayClasses and IngressClasses, and in status */
#define COMPILE_CLASS      "hythe"
#define COMPILE_GATEWAY    "hythe" /* in kube-system */
#define COMPILE_COMPONENT  "hythe-gateway"

struct compile;
struct item;
struct pass;

enum kinds {
	SERVICES,
	SLICES,
	INGRESSES,
	INGRESS_CLASSES,
	GATEWAY_CLASSES,
	GATEWAYS,
	HTTP_ROUTES,
	GRPC_ROUTES,
	GRANTS,
	SECRETS,
	NAMESPACES,
	PODS, /* those with a hostPort */
	KINDS
};

/* ---- what was read of an object ---- */

struct service_port {
	struct span name, backend_name, protocol;
	int port, node_port;
	bool is_udp;
	enum plan_speech speech;
	struct span cluster_key, cluster_address, node_key, node_address, balancer_key; /* empty: no such entry */
	struct plan_backend *backend; /* of the pass under way; NULL: the service has none */
};

struct service {
	struct service_port *ports;
	size_t port_count;
	int64_t affinity_ns;
	bool is_balancer;    /* of ours */
	bool is_api;         /* default/kubernetes */
	bool is_native;      /* has an annotation for native_of() */
	bool is_external;    /* ExternalName */
	bool is_foreign;     /* a load balancer of another class: left alone */
	struct item *slices; /* of the pass under way */
	size_t slice_count;
};

struct slice_port {
	struct span name;
	bool is_udp;
	struct plan_endpoint *endpoints;
};

struct slice {
	struct span service; /* "default/web" */
	struct slice_port *ports;
	size_t port_count, endpoint_count;
	struct item *next;
};

struct host_port {
	struct span name, key, address; /* of the entry */
	struct span label;
	bool is_udp;
	struct plan_endpoint endpoint;
};

struct pod {
	struct span address, sandbox;
	struct host_port *ports; /* none: it does not run here */
	size_t port_count;
};

/* A reference to a service's port. */
struct ref {
	struct span group, kind, name_space, name, key, port_name; /* key: "default/web" */
	int port;                                                  /* 0: by name */
	uint32_t weight;
	struct plan_filters filters;
};

struct mirror_ref {
	struct ref ref;
	uint32_t numerator, denominator;
};

struct rule {
	struct span name; /* of the plan_route */
	struct plan_match *matches;
	struct ref *refs;
	struct mirror_ref *mirrors;
	size_t match_count, ref_count, mirror_count;
	struct plan_filters filters;
	int64_t timeout_ns, try_timeout_ns;
	struct span unresolved; /* a filter, or a use of one, that is not known: it answers 500; empty: none */
};

struct secret_use {
	struct span key;  /* "default/tls" */
	struct span name; /* it is shown for; empty: those it has itself */
};

/* Of an Ingress's path: its rule with its host. */
struct ingress {
	struct span class_name;
	struct ingress_path {
		struct span host;
		bool is_default;
		struct rule rule;
	} * paths;
	size_t path_count;
	struct secret_use *secrets;
	size_t secret_count;
};

struct parent {
	struct span group, kind, name_space, name, section;
	int port; /* 0: any */
	const struct value *object;
};

struct route_rules {
	bool is_grpc;
	struct parent *parents;
	struct span *hosts;
	struct rule *rules;
	size_t parent_count, host_count, rule_count;
	/* Why it is not accepted; empty: it is. */
	struct span unsupported;
};

struct held_regex {
	struct held_regex *next;
	void *regex;
};

struct item {
	struct item *next; /* in the table */
	uint64_t hash;
	_Atomic unsigned references;
	struct arena arena;
	const struct resource *resource;
	struct span key, name_space, name, uid, version;
	const struct value *object;
	int64_t made_ns, generation;
	union {
		struct service *service;
		struct slice *slice;
		struct pod *pod;
		struct ingress *ingress;
		struct route_rules *route;
	};
	struct held_regex *regexes;
	uint64_t told; /* what its status was found or made to say: a hash; 0: not looked at */
};

struct items {
	struct item **slots;
	uint32_t mask, count;
};

void item_ref(struct item *i);
void item_unref(void *item);
struct item *item_find(const struct compile *c, enum kinds kind, struct span key);

/* ---- how entries fare ---- */

struct bound {
	struct bound *next;
	uint64_t hash;
	struct span key;
	int port;
	struct error error;
};

struct following {
	struct compile *compile;
	const struct resource *resource;
	enum kinds kind;
	struct items items;
	bool (*read)(struct compile *c, struct item *i, struct error *err);
	bool (*is_wanted)(const struct record *r); /* NULL: all are */
	bool is_there;
};

struct compile {
	struct compile_config config;
	struct span services_address, shown_address, address_shown; /* in status: of services, of the shared entries */
	struct span address, tls_address;                           /* empty: none */
	int port, tls_port;
	struct following followings[KINDS];
	struct native *native;
	struct plan *plan; /* the last one */
	uint64_t number;
	struct timer timer;
	int64_t next_ns; /* not before */
	struct bound **bounds;
	uint32_t bound_mask, bound_count;
	struct tls_set *tls; /* compile_secrets.c */
	bool is_stopped, has_ingress_class, has_gateway_class, has_gateway;
	struct timer kinds_timer, again_timer; /* again: what could not be written */
	unsigned failures;                     /* of writes, in a row */
	struct error failed;                   /* of the last pass, so that it is told once */
	int64_t passes, pass_ns;               /* for tests: how many, and the last one's work */
};

void compile_wake(struct compile *c); /* a pass, soon */

#define ITEMS_EACH(c, which, each)                                                                                     \
	for (struct items *items_ = &(c)->followings[which].items; items_; items_ = NULL)                              \
		for (uint32_t slot_ = 0; items_->slots && slot_ <= items_->mask; slot_++)                              \
			for (struct item *each = items_->slots[slot_]; each; each = each->next)

/* ---- reading: helpers ---- */

struct span key_of(struct span name_space, struct span name, struct arena *arena, struct error *err); /* "a/b" */
/* "127.97.0.3". False: it is no IPv4 address. */
bool address_read(struct span text, int port, struct sockaddr_storage *ret);

/* ---- one pass ---- */

/* A port that listeners of one Gateway share. */
struct listener_port {
	struct listener_port *next;
	const struct item *owner;
	int port;
	bool is_tls, is_shared; /* shared: of the Gateway "hythe", with Ingresses: its entry is there anyway */
	bool is_refused;        /* another entry has its address */
	struct plan_table *table;
	struct span key, address;
	struct secret_use *uses;
	size_t use_count, use_most;
};

struct listener {
	struct span name, host, protocol;
	int port;
	const struct value *from;
	struct listener_port *on; /* NULL: refused */
	bool takes_http, takes_grpc;
	int64_t attached;
	const char *refused, *unresolved; /* reasons of Accepted and ResolvedRefs; NULL: all is well */
	struct span refused_text, unresolved_text;
};

struct gateway_state {
	struct gateway_state *next;
	struct item *item;
	struct listener *listeners;
	size_t count;
	bool is_shared; /* "hythe" */
};

struct parent_state {
	const struct parent *parent;
	const char *refused; /* reason; NULL: accepted */
	struct span text;
};

struct route_state {
	struct route_state *next;
	struct item *item;
	struct parent_state *parents; /* those that are ours */
	size_t parent_count;
	struct resolved {
		const char *reason; /* NULL: all that is referred to is there; else why the first is not */
		struct span message;
	} resolved;
};

struct pass {
	struct compile *compile;
	struct plan_builder *builder;
	struct arena *arena;  /* the plan's */
	struct arena scratch; /* until the pass ends */
	struct plan_table *main_table, *tls_table;
	struct gateway_state *gateways; /* in scratch */
	struct listener_port *ports;
	struct route_state *routes;
	struct error *err;
};

/* ---- compile_services.c ---- */

bool service_read(struct compile *c, struct item *i, struct error *err);
bool slice_read(struct compile *c, struct item *i, struct error *err);
void services_add(struct pass *p);

/* ---- compile_pods.c ---- */

bool pod_has_host_port(const struct record *r);
bool pod_read(struct compile *c, struct item *i, struct error *err);
void pods_add(struct pass *p);

/* ---- compile_filters.c ---- */

/* A list of filters of a rule or a reference. `rule` gets mirrors and what is not known; of a reference it may have no mirrors. */
bool filters_read(struct item *i, const struct value *list, bool is_of_ref, struct rule *rule, struct plan_filters *to,
		  struct error *err);
struct span lowered(struct span text, struct arena *arena, struct error *err);
/* "1m30s", "100ms" (GEP-2257) in nanoseconds; 0: none, or not one. */
int64_t duration_of(struct span text);

/* ---- compile_rules.c ---- */

bool ref_read(struct item *i, const struct value *from, struct ref *to, struct error *err);
bool text_matches_read(struct item *i, const struct value *list, bool is_lower, struct plan_text_match **ret,
		       size_t *ret_count, struct error *err);
bool regex_read(struct item *i, struct span text, const void **ret, struct error *err);
/* Parents, hosts, and each rule's references, filters, timeouts; matches are the kind's own. */
bool route_read(struct item *i, bool is_grpc, const char *kind,
		bool (*match)(struct item *i, const struct value *from, struct plan_match *to, struct error *err),
		struct error *err);
bool http_route_read(struct compile *c, struct item *i, struct error *err);
bool grpc_route_read(struct compile *c, struct item *i, struct error *err);
/* The route of the plan that a rule becomes. *resolved is left alone when all its references are there. */
const struct plan_route *rule_make(struct pass *p, const struct item *i, const struct rule *rule, int64_t made_ns,
				   struct resolved *resolved);
/* Whether an object of that kind and namespace may refer to the other. */
bool grant_is_given(struct compile *c, const struct resource *from, struct span from_space, const char *to_group,
		    const char *to_kind, struct span to_space, struct span to_name);

/* ---- compile_ingress.c ---- */

bool ingress_read(struct compile *c, struct item *i, struct error *err);
bool ingress_is_ours(const struct compile *c, const struct item *i);
void ingresses_add(struct pass *p);
void ingresses_tell(struct compile *c);

/* ---- compile_gateways.c ---- */

void tables_add(struct pass *p);
void routes_add(struct pass *p);
void tables_end(struct pass *p);
void gateways_tell(struct pass *p); /* compile_gateway_status.c */
/* The class and the Gateway that are there from the start. */
void defaults_make(struct compile *c); /* compile_defaults.c */
bool gateway_is_shared(const struct item *i);
bool class_is_ours(const struct item *class); /* a GatewayClass; compile_gateways.c */

/* ---- compile_secrets.c ---- */

/* Certificates of those that are there and good, of the same as in the last pass when they are the same; NULL: there are none. The plan
 * keeps them. */
struct certificates *secrets_certificates(struct pass *p, struct span entry, const struct secret_use *uses,
					  size_t count);
/* Why a secret cannot be used; NULL: it can. */
const char *secret_fault(struct compile *c, struct span key);
void secrets_free(struct compile *c);

/* ---- compile_bound.c ---- */

const struct bound *bound_find(const struct compile *c, struct span key); /* NULL: nothing is known */
void bounds_prune(struct compile *c);
void bounds_free(struct compile *c);

/* ---- compile_status.c ---- */

/* The object, newly read, for a change of its status. NULL: it is gone, or memory. */
struct value *object_now(struct compile *c, const struct item *i, struct arena *arena);
void object_status_write(struct compile *c, const struct item *i, struct value *object);
void object_replace(struct compile *c, const struct item *i, struct value *object);
void conditions_drop(struct value *list, const char *type);
void object_create(struct compile *c, const struct resource *r, struct span name_space, struct span name,
		   struct value *object);
void services_tell(struct compile *c);

struct telling {
	const char *type;
	bool is_true;
	const char *reason;
	struct span message;
};
/* Sets conditions in a list of them; the time of one whose status stays is left. */
void conditions_set(struct value *holder, const struct telling *list, size_t count, int64_t generation,
		    struct arena *arena, struct error *err);
void member_set(struct value *object, const char *name, struct value v, struct arena *arena, struct error *err);
struct value *member_object(struct value *object, const char *name, struct arena *arena, struct error *err);
