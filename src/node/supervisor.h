/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * supervisor - the process that holds one pod, and how it is talked to.
 *
 * Processes: hythe → spawner → supervisors → first processes of containers. The spawner is this program begun anew (`hythe pod-supervisor`) with a
 * stream socket on descriptor 0; for each "spawn" it forks a supervisor, or takes one made ahead (spares.h, after "prepare", which has no answer), and
 * answers with its pid. It ends when that socket does. A supervisor
 * ends when its sandbox was ended, or when its connection is closed before it was told what to run.
 *
 * One supervisor a pod: it holds a lock on <folder>/sandbox/lock (flock) as long as it lives. One that finds it taken says "locked" and ends: the asker
 * then talks to the other. It serves one connection at a time, on <folder>/sandbox/control; a new one takes the place of the old. Peers
 * must have the supervisor's user id, or be root (SO_PEERCRED).
 *
 * Messages: a header of 8 bytes (length of the text, little-endian, 4 bytes; number of descriptors, 1 byte; three zeros), then a JSON
 * object. Descriptors come by SCM_RIGHTS with the first byte of their message. Both sides send "hello" with SUPERVISOR_VERSION first. Members that
 * are not there are zero, false or empty; those that are unknown are passed over, so a version may grow members without a new number.
 *
 *	asked	{"id":7,"op":"start","container":{"name":"main","command":["sleep","9"]}}
 *	told	{"event":"status","status":{...}}		whenever something has changed; before the answer that follows from it
 *		{"id":7}					done; or with "error":{"code":"INVALID","message":"..."}
 *		{"event":"ended","stream":"5f0a","exit_code":0}	a command of exec
 *
 * What is asked for twice is done once: containers are known by name and attempt, the sandbox by its uid.
 *
 * Records: <folder>/sandbox/sandbox.json, and containers/<name>.<attempt>.json for each container (the rows of struct container_status), written before
 * its command begins and when it has ended: what is known when the supervisor was killed, or the machine was.
 *
 * Anything odd from the other side (too long, no JSON, wrong types, missing descriptors) is an error that ends the connection, and nothing else.
 */
#include "base/base.h"
#include "node/confine.h"
#include "node/runtime.h"

#define SUPERVISOR_VERSION 1

enum {
	SUPERVISOR_MESSAGE_MOST = 8 << 20, /* bytes of a message's text: environments of a whole pod fit */
	SUPERVISOR_UNSENT_MOST = 32 << 20, /* bytes that wait for a peer that does not read; then it is cut off */
	SUPERVISOR_FDS_MOST = 3,           /* with one message */
	SUPERVISOR_FDS_WAITING = 24,       /* received, of messages that are not whole yet */
	SUPERVISOR_HEADER = 8,
	SUPERVISOR_NAME_MOST = 253, /* of a container */
};

/* ---- a connection: messages in, messages out ---- */

struct unsent_fds {
	struct unsent_fds *next;
	uint64_t at; /* go with this byte */
	int fds[SUPERVISOR_FDS_MOST];
	size_t count;
};

struct channel {
	int fd; /* non-blocking; -1: none */
	struct buffer in;
	size_t in_at; /* read up to here */
	int fds[SUPERVISOR_FDS_WAITING];
	size_t fd_count;
	struct buffer out;
	uint64_t sent; /* bytes, ever */
	struct unsent_fds *unsent, **unsent_tail;
};

enum channel_state { CHANNEL_WAITS, CHANNEL_MESSAGE, CHANNEL_BROKEN };

void channel_init(struct channel *c, int fd); /* takes the descriptor */
void channel_done(struct channel *c);         /* closes it, and those that nobody took */

/* Reads what is there. False at the end (err NOT set) or on an error. */
bool channel_receive(struct channel *c, struct error *err);
/* The same from memory: takes the descriptors. */
bool channel_put(struct channel *c, struct span bytes, const int *fds, size_t count, struct error *err);
/*
 * The next whole message; its text lives until the next call on the channel, its descriptors are the caller's. CHANNEL_BROKEN sets err, and
 * nothing more will come.
 */
enum channel_state channel_next(struct channel *c, struct span *ret_text, int ret_fds[SUPERVISOR_FDS_MOST],
				size_t *ret_count, struct error *err);
/* Queues a message and takes its descriptors, also on failure. channel_flush() sends. */
bool channel_send(struct channel *c, struct span text, const int *fds, size_t count, struct error *err);
/* Sends what the socket takes. False: the peer is gone. */
bool channel_flush(struct channel *c, struct error *err);
static inline bool channel_is_unsent(const struct channel *c)
{
	return c->out.len > 0;
}

/* ---- messages ---- */

/* One for all operations: each reads its members. Spans live in the arena. */
struct supervisor_request {
	int64_t id; /* > 0 */
	struct span op;
	int64_t version;    /* hello */
	struct span folder; /* spawn: of the pod; prepare: of all pods */
	struct {
		struct span hidden, group_root, egress, program;
	} host;                            /* run */
	struct sandbox_config sandbox;     /* run */
	struct container_config container; /* start */
	struct span name;                  /* of the container: stop, remove, update, exec, attach, resize */
	uint32_t attempt;
	int64_t grace_ns;            /* stop */
	struct resources resources;  /* update */
	struct stream_wanted stream; /* exec, attach */
	struct span stream_id;       /* resize */
	int columns, rows;
	int family, type; /* socket */
};

struct supervisor_reply {
	int64_t id; /* 0: an event */
	struct span event;
	int64_t version, pid; /* hello; pid: of the supervisor, also of spawn */
	struct span error_code, error_message;
	struct sandbox_status status; /* uid empty: none */
	struct span stream;           /* of exec; ended */
	int exit_code;
	bool has_in, has_out, has_err; /* which descriptors come along, in this order */
	struct sandbox_usage usage;
};

/* What stands in <folder>/sandbox/sandbox.json. */
struct sandbox_record {
	struct sandbox_config config;
	int64_t created_ns;
	struct span shortcomings;
	bool is_ended; /* in order: nothing of it runs any more */
};

void supervisor_request_write(const struct supervisor_request *r, struct buffer *out);
void reply_write(const struct supervisor_reply *r, struct buffer *out);
/* INVALID with the member's path. Every text is without NUL; names of containers are file names. */
bool request_read(struct span text, struct arena *arena, struct supervisor_request *ret, struct error *err);
bool reply_read(struct span text, struct arena *arena, struct supervisor_reply *ret, struct error *err);
void sandbox_record_write(const struct sandbox_record *r, struct buffer *out);
bool sandbox_record_read(struct span text, struct arena *arena, struct sandbox_record *ret, struct error *err);
void container_record_write(const struct container_status *s, struct buffer *out);
bool container_record_read(struct span text, struct arena *arena, struct container_status *ret, struct error *err);

/* The error of a reply; false: it has none. */
bool reply_error(const struct supervisor_reply *r, struct error *ret);

/* ---- records ---- */

/* <folder>/sandbox as a descriptor (O_PATH is not enough: it is made when `makes`). -1 with err, and errno. */
int sandbox_open(struct span folder, bool makes, struct error *err);
bool sandbox_save(int sandbox_fd, const struct sandbox_record *r, struct error *err);
bool sandbox_recorded(int sandbox_fd, struct arena *arena, struct sandbox_record *ret, struct error *err);
bool container_save(int sandbox_fd, const struct container_status *s, struct error *err);
void container_forget(int sandbox_fd, struct span name, uint32_t attempt);
/*
 * What the records tell. NOT_FOUND: nothing was ever run here. `is_dead`: nothing of it runs any more, so containers that are recorded as begun are
 * told, and recorded, as ended by SIGKILL at now_ns. Containers in the order in which they were created.
 */
bool sandbox_load(int sandbox_fd, bool is_dead, int64_t now_ns, struct arena *arena, struct sandbox_status *ret,
		  struct error *err);
/* Removes the folder's records, control socket, lock and what else stands in it; never what is mounted there. */
bool sandbox_erase(struct span folder, struct error *err);
/* A socket connected to <folder>/sandbox/control, or bound there; -1 and errno. Folders' names may be longer than a socket's. */
int control_connect(int sandbox_fd);
int control_listen(int sandbox_fd);
/* The lock of the pod: a descriptor that holds it, or -1; *ret_is_taken: by another; else errno says why. */
int sandbox_lock(int sandbox_fd, bool *ret_is_taken);

/* ---- the processes' mains ---- */

/* A supervisor, over its first connection. Returns its exit code. `made` (taken over; NULL: none): see enclosure_prepare(). */
int supervisor_run(int connection_fd, struct span folder, struct enclosure *made);
/* What ps shows of this process. */
void supervisor_title(const char *format, ...) PRINTF_LIKE(1, 2);
