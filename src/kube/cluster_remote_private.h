/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cluster_remote_private - what the files of the remote cluster share.
 *
 *	cluster_remote.c         the interface, writes, requests
 *	cluster_remote_mirror.c  one kind: listed, watched, kept
 *	cluster_remote_read.c    what the server answers
 *	cluster_remote_events.c  events, counted when they come again
 */
#include "kube/cluster_remote.h"
#include "loop/loop.h"
#include "net/https.h"

struct mirror;
struct told;

struct remote {
	struct cluster cluster;
	struct remote_config config;
	struct https *calls, *watches;
	struct mirror *mirrors;
	struct ask *first_ask, *last_ask, *under_way;
	size_t asks_under_way;
	struct told *told; /* EVENTS_KEPT of them */
	size_t told_next, events_waiting;
	int64_t told_ns; /* of the last one */
	struct loop_task ready_task;
	struct arena token_arena;
	struct span token;
	int64_t token_read_ns;
	bool is_ready, is_cut; /* told to be ready; the server does not answer */
};

/* ---- cluster_remote.c ---- */

struct ask_answer {
	int status;
	struct span body;
	const struct error *err; /* of the connection, or what a Status says; NULL: it is done */
};

/* Takes its turn. `done` once, from the loop, or from cluster_free(). `body` and `path` are copied. */
struct ask_request {
	const char *method, *content_type;
	struct span path, body;
	void (*done)(void *context, const struct ask_answer *answer);
	void *context;
};
void remote_ask(struct remote *r, const struct ask_request *request);
/* What all calls have: where the server is and who asks. False: the token cannot be read. */
bool remote_request(struct remote *r, struct span path, struct https_request *ret, struct buffer *url,
		    struct error *err);
void remote_heard(struct remote *r, const struct error *err); /* of a connection; NULL: the server answered */
void remote_mirror_known(struct remote *r);                   /* one more kind has been seen whole */

/* "/apis/apps/v1/namespaces/default/deployments/web/status"; empty parts are left out. */
void remote_path(struct buffer *out, const struct resource *resource, struct span name_space, struct span name,
		 struct span subresource);
void remote_query(struct buffer *out, const char *name, struct span value); /* "?name=value", then "&..." */

/* ---- cluster_remote_read.c ---- */

enum remote_change { REMOTE_PUT, REMOTE_DROP, REMOTE_BOOKMARK, REMOTE_ERROR };

struct remote_page {
	struct value *items; /* an array */
	int64_t revision;
	struct span next; /* the continue token; empty: it was the last */
};
bool remote_page_read(struct span body, struct arena *arena, struct remote_page *ret, struct error *err);

struct remote_line {
	enum remote_change change;
	struct value *object;
	int64_t revision; /* of the object */
	struct error error;
};
bool remote_line_read(struct span line, struct arena *arena, struct remote_line *ret, struct error *err);

/* With apiVersion and kind in front, which items of lists do not have. */
struct record *remote_record(const struct resource *resource, const struct value *object, struct arena *arena,
			     struct error *err);
struct span remote_key(const struct resource *resource, struct span name_space, struct span name, struct arena *arena,
		       struct error *err);           /* "/apps/deployments/default/web"; without a name its beginning */
int64_t remote_revision(const struct value *object); /* metadata.resourceVersion; 0: none */

/* ---- cluster_remote_mirror.c ---- */

struct mirror *mirror_new(struct remote *r, const struct resource *resource, struct mirror *next);
void mirror_free(struct mirror *m); /* and those behind it */
struct mirror *mirror_find(struct remote *r, const struct resource *resource);
bool mirrors_are_known(const struct remote *r);
bool mirror_follow(struct mirror *m, const struct resource *resource,
		   void (*seen)(void *context, const struct sighting *s), void *context, struct error *err);
struct record *mirror_get(const struct mirror *m, struct span key);
void mirror_each(const struct mirror *m, struct span prefix, bool (*take)(void *context, struct record *record),
		 void *context);
/* Calls `done` when all changes up to the revision have been seen; with a uid: when that object is gone. At once when it is so. */
struct wait {
	struct wait *next;
	int64_t revision;
	struct span key, uid;
	void (*done)(struct wait *w, const struct error *err);
};
void mirror_wait(struct mirror *m, struct wait *w);

/* ---- cluster_remote_events.c ---- */

void remote_event(struct remote *r, const struct value *object, const char *type, const char *reason,
		  const char *component, const char *text);
