/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* runtime_process_private - this side's picture of sandboxes and their supervisors, for runtime_process*.c. */
#include "loop/loop.h"
#include "node/runtime_process.h"
#include "node/supervisor.h"

struct sandbox;

/* What a caller waits for. */
enum call_kind { CALL_PLAIN, CALL_RUN, CALL_END, CALL_REMOVE, CALL_STREAM, CALL_SOCKET, CALL_USAGE };

struct call {
	struct call *next;
	enum call_kind kind;
	int64_t id;
	struct buffer text;
	bool is_sent;
	union {
		runtime_done plain;
		void (*stream)(void *context, const struct stream *s, const struct error *err);
		void (*socket)(void *context, int fd, const struct error *err);
		void (*usage)(void *context, const struct sandbox_usage *u, const struct error *err);
	} done;
	void *context;
	bool has_error;
	struct error error;
};

/*
 * CONNECTING	a supervisor was asked for, or found, and has not said hello; calls wait
 * LIVE		it serves
 * CLOSING	its connection has ended; its process not yet
 * DEAD		nothing of it runs; what it had is known from its records
 * GONE		removed: freed when the loop has turned
 */
enum sandbox_life { SANDBOX_CONNECTING, SANDBOX_LIVE, SANDBOX_CLOSING, SANDBOX_DEAD, SANDBOX_GONE };

/* A command of exec whose end is still to be told. */
struct stream_begun {
	struct stream_begun *next;
	char id[33];
};

struct sandbox {
	struct sandbox *next;
	struct runtime_process *runtime;
	char *folder, *uid; /* uid NULL: found, and not known yet */
	enum sandbox_life life;
	struct channel channel; /* fd -1: none */
	struct watch watch;
	pid_t pid; /* 0: not known */
	int pidfd; /* -1 */
	struct watch ended;
	struct timer timer;
	int tries;
	bool is_found;  /* when the runtime began: counted in runtime->unanswered */
	bool is_locked; /* another supervisor has it: that one is to be called */
	bool is_ending; /* "end" was sent: what else is asked for waits */
	bool has_status;
	struct sandbox_status *kept; /* what the status is in; NULL: nowhere */
	struct sandbox_status status;
	struct call *calls, **calls_tail;
	struct stream_begun *streams;
};

/* The spawner, and who waits for its answer. */
struct spawn_asked {
	struct spawn_asked *next;
	int64_t id;
	struct sandbox *sandbox;
};

struct spawner_link {
	struct channel channel; /* fd -1: it does not run */
	struct watch watch;
	pid_t pid;
	struct spawn_asked *asked;
};

struct runtime_process {
	struct runtime runtime;
	struct loop *loop;
	struct runtime_events events;
	char *folder, *program, *hidden, *egress, *group_root, *owed_networks;
	struct sandbox *sandboxes;
	struct spawner_link spawner;
	struct loop_task task; /* results that were known at once; removals; began */
	struct call *finished, **finished_tail;
	int64_t last_id;
	size_t unanswered;
	bool has_begun;
};

/* ---- calls (runtime_process.c) ---- */

/* Tells the caller, now: on the loop, in nobody's function. Frees it. */
void call_finish(struct call *c, const struct error *err);
void call_finish_reply(struct call *c, const struct supervisor_reply *r, int fds[SUPERVISOR_FDS_MOST], size_t count);
/* The same when the loop turns: for what is known at once. err NULL: done. */
void call_finish_later(struct runtime_process *r, struct call *c, const struct error *err);

/* ---- sandboxes (runtime_process_sandbox.c) ---- */

struct sandbox *sandbox_new(struct runtime_process *r, struct span folder, struct span uid);
void sandbox_free(struct sandbox *s);
struct sandbox *sandbox_find(struct runtime_process *r, struct span uid);
void sandbox_begin(struct sandbox *s); /* a new supervisor */
void sandbox_call(struct sandbox *s);  /* the one that is there, or was */
/* What a dead one has left goes: control groups, records. */
bool sandbox_clear(struct sandbox *s, struct error *err);
void sandbox_ask(struct sandbox *s, struct call *c);
/* Its supervisor could not be made. */
void sandbox_failed(struct sandbox *s, const struct error *err);

/* ---- the spawner (runtime_process_spawner.c) ---- */

bool spawner_link_start(struct runtime_process *r, struct error *err);
/* Asks for a supervisor that is given the descriptor as its first connection (taken). */
bool spawner_link_ask(struct runtime_process *r, struct sandbox *s, int connection_fd, struct error *err);
void spawner_link_forget(struct runtime_process *r, const struct sandbox *s);
void spawner_link_stop(struct runtime_process *r);
