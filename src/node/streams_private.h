/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* streams_private - what logs.c, remote.c, forward.c and proxy.c share. */
#include "node/pipes.h"
#include "node/streams.h"
#include "node/tunnel.h"

struct session; /* one client's */

struct streams {
	struct node *node;
	struct kube *kube;
	struct runtime *runtime;
	struct loop *loop;
	struct session *sessions;
	size_t count;
	int inotify; /* for all logs that are followed: a user may have few of them; -1: none yet */
	struct watch folders;
};

/*
 * The first member of every session. It is freed at the end of the turn in which session_end() was called, but not while the runtime
 * still has something to say to it (`owes`).
 */
struct session {
	struct streams *streams;
	struct session *next, **link;
	void (*stop)(struct session *s); /* ends it now: the node stops */
	void (*free)(struct session *s);
	struct loop_task task;
	struct arena arena;
	struct span uid, container; /* in the arena */
	uint32_t attempt;
	unsigned owes;
	bool is_over;
};

enum { SESSION_ARENA_MOST = 1 << 20 };

/* Of `size` bytes, cleared. NULL: answered with 429. */
void *session_new(struct streams *s, struct kube_call *call, size_t size, void (*stop)(struct session *s),
		  void (*free_session)(struct session *s));
void session_end(struct session *s);
void session_paid(struct session *s); /* the runtime has answered */

/* The container that runs under this name; false: answered ("container not found"). */
bool session_find(struct session *s, struct kube_call *call, const struct node_question *q);
bool query_is(struct kube_call *call, const char *name); /* "true", "1" */
/* The first of the client's protocols (a list in the header, in order) that is in ours; empty: none. */
struct span protocol_choose(const struct request *req, struct span header, const char *const *ours);
void streams_refuse(struct kube_call *call, int code, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void logs_begin(struct streams *s, struct kube_call *call, const struct node_question *q);
void logs_look(struct session *s); /* of sessions of any kind: its container may have ended */
void remote_begin(struct streams *s, struct kube_call *call, const struct node_question *q);
void remote_exited(struct session *s, struct span stream, int exit_code); /* of sessions of any kind */
void forward_begin(struct streams *s, struct kube_call *call, const struct node_question *q);
void proxy_begin(struct streams *s, struct kube_call *call, const struct node_question *q);
