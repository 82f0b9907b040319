/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * controller - one file for each kind that turns what is wanted into other objects, and what runs them.
 *
 * A controller is one function: it looks at an object and all that belongs to it, and asks for the writes that bring the cluster one
 * step nearer to what the object says. It remembers nothing. It is called again when something that concerns the object has changed,
 * when its writes are done (what they change is a change), at the time it asked for, and after a failed write, later each time.
 * An object has one call at a time under way, its writes included.
 *
 * Life:      manager_new() → the controllers run → manager_stop() → the cluster's writes end → manager_free().
 * Threads:   one loop.
 * Time:      manager_config.wall_ns; tests set the clock and call manager_tick().
 */
#include "kube/cluster.h"

struct loop;
struct manager;
struct reconcile;

struct controller {
	const char *name;      /* "deployment-controller", as --controllers has it */
	const char *component; /* "deployment-controller": field manager and source of events */
	const struct resource *resource;
	/* Kinds whose changes wake the object that controls them (owner reference with controller: true), and those that nobody
	 * controls yet wake all objects of their namespace that could take them. Ends with NULL. */
	const struct resource *const *owned;
	/* Other kinds that are read; `wakes` calls manager_wake() for the objects that a change of one concerns. May be NULL. */
	const struct resource *const *read;
	const struct resource *const *quiet; /* the same, whose changes wake nobody */
	void (*wakes)(struct manager *m, const struct controller *c, const struct resource *r,
		      const struct value *object);
	/* For manager_wake_matching(): does this object, of the controller's kind, concern itself with that one? May be NULL. */
	bool (*takes)(const struct value *object, const struct value *other);
	void (*reconcile)(struct reconcile *r);
	/* Objects of the `owned` kinds that are seen without anybody who controls them. May be NULL. */
	void (*unowned)(struct manager *m, const struct controller *c, const struct value *object);
	/* When a change of an object of the kind is looked at; 0: at once. NULL: always at once. */
	int64_t (*when)(const struct value *before, const struct value *now, int64_t now_ns);
	/* What reconcile_claim() adds to objects when they are adopted, and takes from those that are released. May be NULL. */
	const char *finalizer;
	/* Memory of its own, for what it would else find out again and again: manager_memory(). Zeroed; freed with the manager, after
	 * `drop` (may be NULL). Nothing that cannot be had anew from the objects. */
	size_t memory_size;
	void (*drop)(void *memory);
};

extern const struct controller *const controllers_table[]; /* ends with NULL; table.c */

struct manager_config {
	struct cluster *cluster;
	struct loop *loop;
	/* Patterns as kube-controller-manager's --controllers has them: "*", "name", "-name". NULL: all. Ends with NULL. Kept by the caller. */
	const char *const *names;
	/* Where volumes are made for claims, one folder each: an absolute path. NULL: none are made, and no class for them. Kept by the
	 * caller. */
	const char *volumes;
	uint32_t ended_pods_most;          /* pods that have ended and are kept; 0: 12500 */
	int64_t (*wall_ns)(void *context); /* NULL: the clock */
	void *context;
};

#define CONTROLLERS_RESOURCES_MOST 64
/* The kinds that these controllers look at, each once, ending with NULL. NOT_FOUND for a name that no controller has. */
bool manager_resources(const char *const *names, const struct resource **ret, size_t room, struct error *err);

/* NOT_FOUND for a name that no controller has. */
struct manager *manager_new(const struct manager_config *config, struct error *err);
void manager_stop(struct manager *m); /* no more calls; NULL is allowed */
/* No write may be under way (the store is closed), and the cluster tells nothing any more. NULL is allowed. */
void manager_free(struct manager *m);
/* Calls what is due by the clock, and what waits; for tests with a clock of their own. */
void manager_tick(struct manager *m);
struct cluster *manager_cluster(const struct manager *m);
bool manager_is_idle(const struct manager *m);    /* nothing waits, and no write is under way */
int64_t manager_next_ns(const struct manager *m); /* when the next call is due by the clock; INT64_MAX: none */
/* A request waits for a service of this namespace that has no endpoint: autoscalers that may be at zero look at once. Where the controller of
 * autoscalers is not run here, nothing happens. */
void controllers_wanted(struct manager *m, struct span name_space);
void *manager_memory(struct manager *m, const struct controller *c);
void manager_wake(struct manager *m, const struct controller *c, struct span name_space, struct span name);
/* Wakes the objects of the namespace of `other` whose takes() says so. */
void manager_wake_matching(struct manager *m, const struct controller *c, const struct value *other);
/* Wakes what controls the object of kind `parent` that controls `object`. */
void manager_wake_grandparent(struct manager *m, const struct controller *c, const struct resource *parent,
			      const struct value *object);

/* ---- one call ---- */

#define RECONCILE_MEMORY MIB(64)

struct reconcile {
	struct manager *manager;
	const struct controller *controller;
	struct cluster *cluster;
	struct arena *arena; /* until the call ends */
	struct error *err;   /* set: what was asked for from then on is not done, and the call is made again later */
	struct span name_space, name;
	struct value *object; /* NULL: it is gone */
	int64_t now_ns;       /* wall clock */
	struct span refused;  /* why something could not be created, or scaled, in the call before; empty: it could */
	int64_t started_ns;   /* wall clock, when the manager was made */
	bool is_due;          /* the time has come that a call before asked for */
	const struct manager_config *config;
	struct work *work; /* private */
};

/* Objects of the same namespace that this one controls, as an array. */
struct value *reconcile_owned(struct reconcile *r, const struct resource *resource);
/* The same, with those that nobody controls and `selector` (a LabelSelector) takes: they are adopted; and without those that it no longer
 * takes: they are released. The writes are asked for; what is given back counts what is adopted as owned. */
struct value *reconcile_claim(struct reconcile *r, const struct resource *resource, const struct value *selector);
/* The same, of what `takes` agrees to as well. */
struct value *reconcile_claim_if(struct reconcile *r, const struct resource *resource, const struct value *selector,
				 bool (*takes)(const struct value *owner, const struct value *item));
/* All of a namespace (empty: of all). */
struct value *reconcile_list(struct reconcile *r, const struct resource *resource, struct span name_space);
struct value *reconcile_get(struct reconcile *r, const struct resource *resource, struct span name_space,
			    struct span name); /* NULL: it is not there */

/* Writes. They begin when the function returns, all at once; `object` is read then. */
void reconcile_create(struct reconcile *r, const struct resource *resource, struct value *object);
void reconcile_update(struct reconcile *r, const struct resource *resource, struct value *object);
/* Nothing is written when the status is as it was. */
void reconcile_status(struct reconcile *r, const struct resource *resource, const struct value *before,
		      struct value *object);
/* Sets how many replicas an object is to have. When it fails, the next call has r->refused. */
void reconcile_scale(struct reconcile *r, const struct cluster_scale *scale, int64_t replicas);
void reconcile_delete(struct reconcile *r, const struct resource *resource, const struct value *object);
/* Without the time of grace that it may have. */
void reconcile_delete_now(struct reconcile *r, const struct resource *resource, const struct value *object);
/* An event about the object of the call, at once. */
void reconcile_event(struct reconcile *r, const char *type, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The pod is bound to a node, and told as Scheduled when it is done. */
void reconcile_bind(struct reconcile *r, const struct value *pod, struct span node);
/* An event when the write asked for last is done: "SuccessfulCreate", "Created pod: x"; or "FailedCreate" and why. */
void reconcile_report(struct reconcile *r, const char *verb, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What the event says, before ": " and the fault, when the write reported last fails; without it "Error creating" or "Error deleting". */
void reconcile_report_failure(struct reconcile *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what was created with a generated name: "Created pod: web-x2b7s". */
void reconcile_report_created(struct reconcile *r, const char *what);
/* Calls again at this time at the latest. */
void reconcile_again(struct reconcile *r, int64_t at_ns);
