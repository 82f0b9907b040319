/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* supervisor_private - the state of a supervisor, for its files. */
#include <sys/types.h>

#include "loop/loop.h"
#include "node/supervisor.h"
#include "node/supervisor_log.h"

struct supervisor;

/* Who reads along what a container writes: sockets whose buffers are the bound. One that is full is cut off. */
struct listener {
	struct listener *next;
	struct container *container;
	struct watch watches[LOG_STREAMS]; /* fd -1: not asked for; its hanging up is waited for */
};

/* A request that is answered later. */
struct waiting {
	struct waiting *next;
	int64_t id;
};

struct output {
	struct watch watch; /* watch.fd -1: closed */
	struct container *container;
	enum log_stream stream;
};

struct container {
	struct container *next;
	struct supervisor *supervisor;
	struct arena arena; /* of its configuration */
	struct container_config config;
	struct container_status status; /* texts stand in the arena, here, or nowhere */
	char id[65];
	struct error failure; /* why it could not start */
	struct confined *confined;
	struct container_log *log;
	struct output outputs[LOG_STREAMS];
	int stdin_fd; /* the end that is written to; -1 */
	int slave_fd; /* of its terminal: so that there is always somebody; -1 */
	struct listener *listeners;
	struct timer grace;
	struct waiting *stops;
	bool is_asked_to_end; /* SIGTERM was sent */
};

/* A command beside a container's. */
struct command {
	struct command *next;
	struct supervisor *supervisor;
	pid_t pid;
	char stream[17];
	int slave_fd; /* of its terminal, for resizing: with a master here, hanging up would not be seen; -1 */
	struct timer timeout;
};

/* A descriptor of the enclosure's. */
struct guest {
	struct guest *next;
	struct watch watch;
	struct supervisor *supervisor;
};

struct supervisor {
	struct loop *loop;
	int sandbox_fd, lock_fd;
	struct watch listening;
	struct timer folder; /* when to look whether it is still there */
	struct watch connection;
	struct channel channel; /* fd -1: nobody is there */
	bool is_greeted;
	struct arena request; /* of the message that is being handled; a handler may take it */
	struct arena arena;   /* of the sandbox's configuration */
	struct sandbox_record record;
	struct confine_host host;
	struct egress *egress;       /* NULL: connections are not asked about */
	struct enclosure *enclosure; /* NULL: not told yet what to run, or ended */
	struct enclosure *made;      /* ahead, and not used yet; NULL */
	struct watch first;          /* the enclosure's agent; fd -1: it is not watched */
	struct guest *guests;
	struct container *containers, **containers_tail; /* in the order of creation */
	struct command *commands;
	struct waiting *ends;
	struct loop_task publish;
	struct timer rest;   /* logs' buffers go back */
	struct timer nobody; /* never told what to run */
	bool is_changed;     /* the status is to be told */
	bool is_ending;
};

/* ---- supervisor.c ---- */

void supervisor_answer(struct supervisor *s, const struct supervisor_reply *r, const int *fds, size_t count);
void supervisor_done(struct supervisor *s, int64_t id); /* an answer without anything */
void supervisor_failed(struct supervisor *s, int64_t id, const struct error *err);
void supervisor_changed(struct supervisor *s);
void supervisor_wait(struct waiting **list, int64_t id);
void supervisor_answer_all(struct supervisor *s, struct waiting **list);
/* Around calls of confine.h that may open or close the enclosure's descriptors. */
void supervisor_guests_leave(struct supervisor *s);
void supervisor_guests_come(struct supervisor *s);
/* Something that ran has ended: goes on with the end of the sandbox. */
void supervisor_end_continue(struct supervisor *s);

/* Handlers of requests. True: it is answered, or will be. */
typedef bool supervisor_handler(struct supervisor *s, const struct supervisor_request *r, struct error *err);

/* ---- supervisor_container.c ---- */

supervisor_handler container_start_asked, container_stop_asked, container_remove_asked, container_update_asked;
struct container *container_find(struct supervisor *s, struct span name, uint32_t attempt);
/* Of those that run; otherwise NULL with err. */
struct container *container_running(struct supervisor *s, struct span name, uint32_t attempt, struct error *err);
void containers_reap(struct supervisor *s);
void container_kill(struct container *c);
void containers_load(struct supervisor *s); /* those that records tell of: they have ended */
void containers_free(struct supervisor *s);

/* ---- supervisor_stream.c ---- */

supervisor_handler exec_asked, attach_asked, resize_asked;
void listeners_tell(struct container *c, enum log_stream stream, struct span bytes);
void listeners_close(struct container *c);
void commands_reap(struct supervisor *s);
void commands_free(struct supervisor *s);
bool pipe_make(int ret[2], struct error *err); /* close-on-exec; any user may open it anew (/dev/stdout) */
int terminal_peer(int master);                 /* its other end, close-on-exec; -1 with errno */
int exit_code_of(int status, int *ret_signal); /* as of waitpid() */
