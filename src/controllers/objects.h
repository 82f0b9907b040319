/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * objects - what controllers read in objects and put into them: owners, labels, conditions, the state of pods.
 *
 * Threads: one. Values given back point into the objects, or into the call's arena.
 * Errors:  those of memory are set in r->err; the functions do nothing from then on.
 */
#include "controllers/controller.h"

/* ---- reading ---- */

static inline const struct value *member(const struct value *object, const char *name)
{
	const struct value *v = value_get(object, span_of(name));

	return v && v->type != VALUE_NULL ? v : NULL;
}
struct span object_name(const struct value *object);
struct span object_annotation(const struct value *object, const char *name); /* empty: absent */
struct span object_label(const struct value *object, const char *name);
bool object_is_ending(const struct value *object); /* it has a deletionTimestamp */
/* The uid in the owner reference with controller: true; empty: nobody controls it. */
struct span object_controller(const struct value *object);
/* A time of the object (RFC 3339, seconds) as wall nanoseconds; 0: absent or none. */
int64_t object_time(const struct value *object, const char *path);
/* "25%" of `total`, or a number as it is; rounded up or down. */
int64_t scaled(const struct value *int_or_percent, int64_t total, bool is_up);

/* A selector that is a map of labels, as Services have it; an empty one takes nothing. */
bool selector_map_matches(const struct value *selector, const struct value *labels);

/* ---- pods ---- */

bool pod_is_active(const struct value *pod); /* neither ended nor ending */
bool pod_is_ready(const struct value *pod);
int64_t pod_restarts(const struct value *pod); /* of the container that was begun most often */
/* Ready for so many seconds; when it is not yet, *ret_at (may be NULL) is the time when it may be. */
bool pod_is_available(const struct value *pod, int64_t min_ready_seconds, int64_t now_ns, int64_t *ret_at);
/* Sets a condition of a pod in place; false: its status was so already. `reason` NULL: reason and message stay; "": it has none. */
bool pod_condition_set(struct reconcile *r, struct value *pod, const char *type, const char *status, const char *reason,
		       const char *message);
/* A pod made from a template (PodTemplateSpec), controlled by the object of the call; the name is generated from `prefix`. NULL: memory. */
struct value *pod_from_template(struct reconcile *r, const struct value *template, struct span prefix);

/* ---- making ---- */

struct value *object_new(struct reconcile *r, const struct resource *resource, struct span name);
void put(struct reconcile *r, struct value *object, const char *name, struct value v);
/* The member as an object, made when it is absent; never NULL: one that is thrown away when memory ended. */
struct value *put_object(struct reconcile *r, struct value *object, const char *name);
struct value *put_array(struct reconcile *r, struct value *object, const char *name);
void put_item(struct reconcile *r, struct value *array, struct value v);
struct value copied(struct reconcile *r, const struct value *v); /* null: NULL */
struct value *object_copy(struct reconcile *r, const struct value *object);
/* An owner reference to the object of the call, controller and blockOwnerDeletion, is added. */
void put_owner(struct reconcile *r, struct value *object);
void put_count(struct reconcile *r, struct value *status, const char *name, int64_t count); /* 0: left out */
struct value text_print(struct reconcile *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct value time_text(struct reconcile *r, int64_t wall_ns);

void finalizer_drop(struct value *object, const char *finalizer);

/* ---- conditions ---- */

struct condition {
	const char *type, *status; /* "Available", "True" */
	const char *reason;
	struct span message;
	bool has_update_time; /* lastUpdateTime, as Deployments' have it */
	bool is_news;         /* lastUpdateTime is now, though nothing else changes */
};
const struct value *condition_find(const struct value *status, const char *type);
bool condition_is(const struct value *status, const char *type, const char *is); /* its status */
/* Sets it in status.conditions. lastTransitionTime stays while its status does. With the same status and reason nothing changes at all. */
void condition_set(struct reconcile *r, struct value *status, const struct condition *c);
void condition_drop(struct value *status, const char *type);
/* The condition in status.conditions, made at the end with nothing but its type when it is absent. NULL: memory. */
struct value *put_condition(struct reconcile *r, struct value *status, const char *type);
