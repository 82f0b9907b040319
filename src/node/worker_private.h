/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * worker_private - what the files of a pod's worker share.
 *
 *	worker.c         when it looks, and what it does of the plan
 *	worker_make.c    what a sandbox and a container are made with
 *	worker_drain.c   that it is asked no more before it ends
 *	worker_health.c  probes and hooks of containers that run
 *	worker_tell.c    the status, events, the end of the object
 */
#include "loop/loop.h"
#include "node/handler.h"
#include "node/pod.h"
#include "node/probe.h"
#include "node/status.h"
#include "node/volumes.h"
#include "node/worker.h"

#define LOOK_MEMORY MIB(16)
#define CONFIG_AGAIN_NS                                                                                                \
	INT64_C(10000000000) /* what could not be made is tried again after this, or when something changes */
#define SANDBOX_FIRST_NS INT64_C(1000000000)
#define SANDBOX_MOST_NS  INT64_C(120000000000)
#define MOUNT_FIRST_NS   INT64_C(500000000)
#define MOUNT_MOST_NS    INT64_C(122000000000)
#define COMPONENT        "kubelet"

/* Something of the plan that is under way. It stays until what it does is seen. */
struct op {
	struct op *next;
	struct pod_worker *worker;
	enum pod_action_kind kind;
	char *name;
	uint32_t attempt;
	bool is_done;              /* the runtime has answered */
	bool is_calling;           /* the runtime has been asked, and will answer */
	int64_t begun_ns, ends_ns; /* of a stop: by the wall clock */
	struct handler *hook;      /* preStop */
};

/* What is known of one container beside what the runtime tells. */
struct keeper {
	struct keeper *next;
	struct pod_worker *worker;
	char *name;
	uint32_t attempt; /* of those below */
	bool is_watched;  /* probes and hook are of a container that runs */
	struct probes *probes;
	struct handler *hook; /* postStart */
	bool is_hook_running, is_hook_failed;
	/* Why it could not be begun. */
	char *wait_reason, *wait_message;
	uint32_t refused_attempt;
	int64_t again_ns;
	uint32_t looped_attempt; /* a back-off was told of it, + 1 */
};

struct pod_worker {
	struct worker_host host;
	struct pod_place place;
	char *uid, *name_space, *name, *address, *folder, *log_directory;
	struct record *record; /* the newest version */
	bool is_gone;          /* from the API */
	bool is_stopped, is_finished;

	struct sandbox_status *sandbox_kept; /* what the next is in; NULL: nowhere */
	struct sandbox_status sandbox;
	bool has_sandbox;
	int64_t sandbox_again_ns, sandbox_wait_ns;
	bool has_changed_sandbox; /* the event was sent */

	struct volumes *volumes;
	bool is_address_new; /* since the volumes that are being prepared were begun */
	bool are_volumes_ready, is_preparing, is_refresh_due, are_volumes_emptied;
	char *mount_error; /* the last one told */
	int64_t mount_again_ns, mount_wait_ns, refresh_ns;

	struct op *ops;
	struct keeper *keepers;

	bool is_evicted, is_ending; /* is_ending: the node goes, the object stays */
	bool is_admitted;
	char *reason, *message;
	int64_t eviction_grace_ns;

	int64_t drain_begun_ns, drain_ended_ns, drain_most_ns;
	struct drain *drain; /* NULL: slices of endpoints are waited for, or it was not begun */

	char *told;               /* the status as it was made last, JSON */
	char *written;            /* as it was written last */
	char written_version[32]; /* resourceVersion that came of it */
	bool is_writing, is_deleting, is_deleted;
	int64_t write_again_ns;

	unsigned calls; /* answers that are still to come: the worker is freed after the last */
	bool is_freed;
	struct loop_task task;
	struct timer timer;
};

/* One look. */
struct look {
	struct pod_worker *w;
	struct arena *arena;
	struct value *pod; /* the object, its status as this worker last made it */
	const struct value *api_status;
	struct span version;
	struct pod_view view;
	int64_t now_ns, again_ns;
	struct error err;
};

static inline void look_again(struct look *l, int64_t at_ns)
{
	if (at_ns < l->again_ns)
		l->again_ns = at_ns;
}

int64_t worker_now(const struct pod_worker *w);
/* The worker's memory goes when nothing will answer it any more. */
void worker_call_begin(struct pod_worker *w);
bool worker_call_end(struct pod_worker *w); /* false: it has gone, or is of no use any more */
struct op *op_find(struct pod_worker *w, enum pod_action_kind kind, struct span name, uint32_t attempt);
struct keeper *keeper_get(struct pod_worker *w, struct span name);
struct keeper *keeper_find(struct pod_worker *w, struct span name);
void keeper_refuse(struct keeper *k, uint32_t attempt, const char *reason, const struct error *why, int64_t again_ns);
void text_set(char **text, struct span to);

/* worker_make.c */
bool sandbox_make(struct look *l, struct sandbox_config *ret, struct error *err);
/* `ret_reason`: of an error. */
bool container_make(struct look *l, struct span name, uint32_t attempt, struct container_config *ret,
		    const char **ret_reason, struct error *err);
bool worker_folders_make(struct pod_worker *w, struct error *err);
void worker_folders_remove(struct pod_worker *w);

/* worker_drain.c */
void drain_fill(struct look *l); /* of the view */
void drain_start(struct look *l, int64_t most_ns);
void drain_go_on(struct look *l);

/* worker_health.c */
bool health_look(struct look *l); /* fills view.health; those that have just begun get their hook */
void health_drop(struct keeper *k);
/* Runs preStop; `done` on the op. False: it has none. */
bool hook_stop_begin(struct look *l, struct op *o, int64_t grace_ns, handler_done done);

/* worker_tell.c */
void worker_event(struct pod_worker *w, struct span container, const char *type, const char *reason, const char *format,
		  ...) __attribute__((format(printf, 5, 6)));
void status_look(struct look *l);
void object_end(struct look *l); /* POD_GONE */
