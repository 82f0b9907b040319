/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * view - what runs in a cluster, read once by a command: lists of objects, and which belong to which.
 *
 * Threads: one; reading blocks. Everything is in the view's arena.
 * Errors:  of the first list that cannot be read; the list is empty from then on.
 */
#include "cli/api.h"

struct view_kind {
	const char *name, *plural, *short_name; /* "deployment", "deployments", "deploy" */
	const char *path;                       /* "/apis/apps/v1" */
};
extern const struct view_kind view_kinds[]; /* ends with a row without a name */

struct view {
	struct api *api;
	struct arena *arena;
	const char *name_space; /* NULL: all */
	const struct value *lists[24];
	struct error err;
};

/* "deploy", "deployment", "Deployments"; NULL with NOT_FOUND, naming those there are. */
const struct view_kind *view_kind_find(struct span name, struct error *err);
const struct view_kind *view_kind_named(const char *name); /* of the table */
/* An array; empty too where the server does not have the kind. */
const struct value *view_list(struct view *v, const struct view_kind *kind);
/* NULL: it is not there (err set when it could not be asked). */
const struct value *view_get(struct view *v, const struct view_kind *kind, struct span name_space, struct span name,
			     struct error *err);

struct span uid_of(const struct value *object);
struct span name_of(const struct value *object);
struct span name_space_of(const struct value *object);
bool is_owned_by(const struct value *object, struct span uid); /* by a reference with controller: true */
struct span owner_kind_of(const struct value *object); /* "ReplicaSet", of what controls it; empty: nothing does */
/* Calls for each pod that the object controls, by whatever stands between; a pod is its own. */
void view_pods(struct view *v, const struct value *object, void (*take)(void *context, const struct value *pod),
	       void *context);
/* Events about an object, an array (oldest first). */
const struct value *view_events(struct view *v, const struct value *object);
/* The last lines of a container's log; empty: there is none. */
struct span view_log(struct view *v, const struct value *pod, struct span container, bool is_previous, int lines);
struct span view_age(struct view *v, struct span rfc3339); /* "5m" */
