/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cluster - what controllers know of a cluster: its objects as they were last seen, and writes. It is an interface: behind it is the API
 * server of this process (cluster_local.c), or one that is somewhere else.
 *
 * What is seen of a kind begins with cluster_follow(). A write is done when it is durable *and* what cluster_get() and cluster_each() show
 * is at least as new: whoever waits for `done` need not remember what it has asked for.
 *
 * Threads:   one loop.
 * Ownership: records are referenced by the cluster and valid until the loop turns; what is written is copied.
 * Errors:    of writes, as the API server answers them: CONFLICT, NOT_FOUND, ALREADY_EXISTS, INVALID, FORBIDDEN (a quota, a namespace
 *            that ends) ...
 */
#include "kube/kind.h"
#include "store/store.h"

/* Volumes that are folders of this machine: made for claims by the controllers, with that finalizer when their folder is to go with
 * them. The node makes the folder when a pod uses it, and takes the finalizer away when it has removed it. */
#define LOCAL_PROVISIONER      "hythe.dev/local"
#define LOCAL_VOLUME_FINALIZER "hythe.dev/local-volume"

/* A kind, by its names. */
struct resource {
	const char *group, *version, *plural, *kind;
};

extern const struct resource resource_namespaces, resource_nodes, resource_pods, resource_services, resource_endpoints,
    resource_persistent_volume_claims, resource_persistent_volumes, resource_deployments, resource_replica_sets,
    resource_stateful_sets, resource_daemon_sets, resource_controller_revisions, resource_jobs, resource_cron_jobs,
    resource_endpoint_slices, resource_disruption_budgets, resource_autoscalers, resource_events,
    resource_replication_controllers, resource_pod_usage, resource_storage_classes, resource_leases,
    resource_config_maps, resource_secrets, resource_service_accounts, resource_ingresses, resource_ingress_classes,
    resource_gateway_classes, resource_gateways, resource_http_routes, resource_grpc_routes, resource_reference_grants;

struct span resource_api_version(const struct resource *r, struct arena *arena, struct error *err); /* "apps/v1" */

/* A change, or at first what is there. */
struct sighting {
	const struct resource *resource;
	struct span name_space, name;
	struct record *before, *now; /* NULL: new; deleted */
};

struct cluster_write {
	const struct resource *resource;
	enum kube_verb verb; /* KUBE_CREATE, KUBE_UPDATE, KUBE_DELETE */
	/* "status", "scale" (the object is a Scale, its kind that of the target), or empty; with KUBE_CREATE one that is asked and not
	 * stored ("token" of a service account): `done` is given its answer. */
	struct span subresource;
	struct span name_space, name;
	struct span manager;  /* field manager: the controller's name */
	struct value *object; /* NULL for KUBE_DELETE; with resourceVersion in it an update is conditional */
	struct span uid;      /* of KUBE_DELETE: what is deleted must have it; empty: any */
	int64_t grace;        /* of KUBE_DELETE, seconds; -1: the object's own */
	void (*done)(void *context, const struct value *object, const struct error *err);
	void *context;
};

/* What an object wants and has, as its scale subresource tells it. */
struct cluster_scale {
	struct resource resource; /* of the object; its names live until the loop turns */
	struct span name;
	int64_t replicas, current;
	struct span selector; /* as text; empty: it has none */
	struct span uid, version;
};

struct cluster;
struct gauge_question;
struct gauges;

struct cluster_ops {
	bool (*follow)(struct cluster *c, const struct resource *r,
		       void (*seen)(void *context, const struct sighting *s), void *context, struct error *err);
	struct record *(*get)(struct cluster *c, const struct resource *r, struct span name_space, struct span name);
	void (*each)(struct cluster *c, const struct resource *r, struct span name_space,
		     bool (*take)(void *context, struct record *record), void *context);
	struct value *(*object)(struct cluster *c, const struct resource *r, const struct record *record,
				struct arena *arena, struct error *err);
	bool (*scale)(struct cluster *c, struct span group, struct span kind, struct span name_space, struct span name,
		      struct cluster_scale *ret, struct arena *arena, struct error *err);
	bool (*gauges)(struct cluster *c, const struct gauge_question *q, struct gauges *ret, struct arena *arena,
		       struct error *err);
	void (*write)(struct cluster *c, const struct cluster_write *w);
	void (*event)(struct cluster *c, const struct value *object, const char *type, const char *reason,
		      const char *component, const char *text);
	void (*free)(struct cluster *c);
};

struct cluster {
	const struct cluster_ops *ops;
};

/* Tells every object that is there, before it returns, and every change from then on. NOT_FOUND: nobody serves the kind. One that may be
 * a custom kind (its group has a dot) counts as empty until somebody serves it. */
static inline bool cluster_follow(struct cluster *c, const struct resource *r,
				  void (*seen)(void *context, const struct sighting *s), void *context,
				  struct error *err)
{
	return c->ops->follow(c, r, seen, context, err);
}
/* Of kinds that are followed. NULL: it is not there. */
static inline struct record *cluster_get(struct cluster *c, const struct resource *r, struct span name_space,
					 struct span name)
{
	return c->ops->get(c, r, name_space, name);
}
/* Those of a namespace, in the order of their names (empty: all); `take` returns false to stop, and writes nothing. */
static inline void cluster_each(struct cluster *c, const struct resource *r, struct span name_space,
				bool (*take)(void *context, struct record *record), void *context)
{
	c->ops->each(c, r, name_space, take, context);
}
/* A record as a tree. NULL with err when memory ended. */
static inline struct value *cluster_object(struct cluster *c, const struct resource *r, const struct record *record,
					   struct arena *arena, struct error *err)
{
	return c->ops->object(c, r, record, arena, err);
}
/* The scale of an object of any kind that has one, custom ones too, followed or not. NOT_FOUND in the API server's words: no such kind,
 * no such object; UNIMPLEMENTED: that kind has no scale; ret->resource tells the kind. */
static inline bool cluster_scale(struct cluster *c, struct span group, struct span kind, struct span name_space,
				 struct span name, struct cluster_scale *ret, struct arena *arena, struct error *err)
{
	return c->ops->scale(c, group, kind, name_space, name, ret, arena, err);
}
/* What is counted of requests (kube/gauges.h). NOT_FOUND in the API server's words; a server somewhere else is not asked: as if nobody counted. */
static inline bool cluster_gauges(struct cluster *c, const struct gauge_question *q, struct gauges *ret,
				  struct arena *arena, struct error *err)
{
	return c->ops->gauges(c, q, ret, arena, err);
}
static inline void cluster_write(struct cluster *c, const struct cluster_write *w)
{
	c->ops->write(c, w);
}
/* An event of core/v1 about an object. Best effort. */
static inline void cluster_event(struct cluster *c, const struct value *object, const char *type, const char *reason,
				 const char *component, const char *text)
{
	c->ops->event(c, object, type, reason, component, text);
}
static inline void cluster_free(struct cluster *c) /* NULL is allowed */
{
	if (c)
		c->ops->free(c);
}

/* ---- what a record tells without being read as a tree ---- */

bool record_is_owned(const struct record *r, struct span uid); /* an owner reference names it */
bool record_has_owner(const struct record *r);
bool record_is_ending(const struct record *r); /* it has a deletionTimestamp */
struct span record_uid(const struct record *r);
bool record_mentions(const struct record *r, struct span text); /* anywhere in its JSON */

/* ---- label selectors as text, as scales have them ---- */

struct selector;
const struct selector *selector_read(struct span text, struct arena *arena, struct error *err); /* NULL: INVALID */
bool selector_takes(const struct selector *s, const struct value *labels);

/* ---- the API server of this process ---- */

struct cluster *cluster_local_new(struct kube *k); /* freed before kube_free() */
