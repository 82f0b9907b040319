/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * runtime - what runs the containers of pods. The interface is cut as the Container Runtime Interface is (CRI v1: RuntimeService): a
 * sandbox is what the containers of a pod share, containers run in it. Two can stand behind it: processes of this machine
 * (runtime_process.h), and a container engine over gRPC.
 *
 * A sandbox outlives this program: who begins a runtime is told what it finds, and goes on with it.
 *
 * Threads:   one loop. Every function returns at once; `done` is called later on the loop, once, never before the function has returned.
 * Ownership: configurations are copied. What `done` and events are given is valid during the call.
 * Errors:    NOT_FOUND: there is no such sandbox or container; ALREADY_EXISTS; INVALID: what was asked for can't be had on this machine, and why;
 *            UNAVAILABLE: the sandbox has died; DEADLINE_EXCEEDED.
 * Units:     wall clock in nanoseconds since 1970, bytes, thousandths of a CPU.
 */
#include <sys/types.h>

#include "base/base.h"

struct loop;
struct runtime;

/* ---- sandboxes ---- */

struct name_value {
	struct span name, value;
};

/* Memory that looks like a folder for all containers of the sandbox: mounted over `host_path`, which is there. */
struct sandbox_tmpfs {
	struct span host_path;
	int64_t bytes; /* 0: as the system has it (half of the memory) */
	int mode;      /* 0777 */
};

struct resources {
	int64_t cpu_request; /* thousandths: weight; 0: least */
	int64_t cpu_limit;   /* 0: none */
	int64_t memory_limit;
	int64_t processes_limit; /* 0: none; of a sandbox only */
};

struct sandbox_config {
	struct span uid, name_space, name; /* of the pod */
	struct span hostname;
	struct span folder; /* of this pod alone, absolute, there; what the runtime keeps goes into folder/sandbox */
	struct span log_directory; /* log_path of containers is relative to it */
	struct span address;       /* "127.97.0.5": what others call it by; own in its network namespace */
	const struct name_value *sysctls;
	size_t sysctl_count;
	const struct sandbox_tmpfs *tmpfs;
	size_t tmpfs_count;
	struct resources resources; /* of the pod as a whole: sums */
	bool is_network_host, is_pid_host, is_ipc_host, shares_processes;
	struct span quality; /* "Guaranteed", "Burstable", "BestEffort": where its control group stands */
};

/* ---- containers ---- */

struct mount_wanted {
	struct span
	    host_path; /* a folder or a file; absolute, without links: one that has come since is not followed */
	struct span container_path; /* absolute */
	bool is_read_only;
};

enum seccomp_profile { SECCOMP_DEFAULT, SECCOMP_NONE, SECCOMP_FILE };

struct security {
	int64_t user, group; /* -1: none was asked for */
	const int64_t *groups;
	size_t group_count;
	bool is_privileged;
	bool may_gain_privileges; /* false: no_new_privs */
	bool is_root_writable;    /* asked for by readOnlyRootFilesystem: false; the root is read-only otherwise */
	enum seccomp_profile seccomp;
	struct span seccomp_file; /* of SECCOMP_FILE: absolute path of an OCI profile */
	const struct span *capabilities_added, *capabilities_dropped; /* "NET_BIND_SERVICE", "ALL" */
	size_t added_count, dropped_count;
};

struct container_config {
	struct span name;
	uint32_t attempt;           /* 0, 1, 2: with the name it makes the container */
	const struct span *command; /* argv, whole */
	size_t command_count;
	struct span image; /* as the pod names it, for what tells about it; processes are not made of images */
	struct span working_directory; /* empty: "/" */
	const struct name_value *environment;
	size_t environment_count;
	const struct mount_wanted *mounts;
	size_t mount_count;
	struct span log_path; /* "main/0.log" */
	bool has_stdin, has_stdin_once, has_terminal;
	struct resources resources;
	int oom_score; /* oom_score_adj */
	struct security security;
};

enum container_state { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED };

struct container_status {
	struct span name;
	uint32_t attempt;
	struct span id; /* "process://<hex>" without the scheme */
	enum container_state state;
	pid_t pid;                                   /* while it runs, as this machine counts */
	int64_t created_ns, started_ns, finished_ns; /* 0: not yet */
	int exit_code;                               /* 128 + signal when one ended it */
	int signal;                                  /* 0: none */
	struct span reason;                          /* "Completed", "Error", "OOMKilled", "StartError" */
	struct span message;                         /* of StartError: what could not be done */
};

struct sandbox_status {
	struct span uid, name_space, name, address, folder;
	bool is_ready; /* false: it has ended; what was in it, too */
	int64_t created_ns;
	const struct container_status
	    *containers; /* in the order in which they were created; those removed are not told */
	size_t container_count;
	/* What was asked for and can't be had on this machine ("memory limits are not enforced: no control groups"), or empty. */
	struct span shortcomings;
};

/* ---- streams: exec, attach ---- */

struct stream_wanted {
	const struct span *command; /* of exec */
	size_t command_count;
	bool has_terminal, has_stdin, has_stdout, has_stderr;
	int64_t timeout_ns; /* of exec: then it is killed; 0: none */
};

/* Descriptors that the receiver of `done` owns and closes; -1: not asked for. With a terminal, in and out are its master and err is -1. */
struct stream {
	struct span id; /* for runtime_resize() and `ended`; of attach empty */
	int in, out, err;
};

/* ---- use ---- */

struct container_usage {
	struct span name;
	uint32_t attempt;
	int64_t cpu_ns;       /* since it began */
	int64_t memory_bytes; /* working set: without what could be dropped at once */
	int64_t processes;
};

struct sandbox_usage {
	int64_t cpu_ns, memory_bytes, processes;
	const struct container_usage *containers;
	size_t container_count;
};

/* ---- events ---- */

struct runtime_events {
	/* A sandbox is there, or something in it has changed: a container has started or ended, the sandbox has died. What was there
	 * when the runtime began is told first. */
	void (*changed)(void *context, const struct sandbox_status *s);
	void (*began)(void *context); /* once: all that was there has been told */
	/* A command that exec began has ended. */
	void (*ended)(void *context, struct span sandbox, struct span stream, int exit_code);
	void *context;
};

typedef void (*runtime_done)(void *context, const struct error *err); /* err NULL: done */

struct runtime_ops {
	const char *name; /* "process" */
	void (*sandbox_run)(struct runtime *r, const struct sandbox_config *c, runtime_done done, void *context);
	void (*sandbox_stop)(struct runtime *r, struct span uid, runtime_done done, void *context);
	void (*sandbox_remove)(struct runtime *r, struct span uid, runtime_done done, void *context);
	void (*container_start)(struct runtime *r, struct span uid, const struct container_config *c, runtime_done done,
				void *context);
	void (*container_stop)(struct runtime *r, struct span uid, struct span name, uint32_t attempt, int64_t grace_ns,
			       runtime_done done, void *context);
	void (*container_remove)(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
				 runtime_done done, void *context);
	void (*container_update)(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
				 const struct resources *to, runtime_done done, void *context);
	void (*exec)(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
		     const struct stream_wanted *w,
		     void (*done)(void *context, const struct stream *s, const struct error *err), void *context);
	void (*attach)(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
		       const struct stream_wanted *w,
		       void (*done)(void *context, const struct stream *s, const struct error *err), void *context);
	void (*resize)(struct runtime *r, struct span uid, struct span name, uint32_t attempt, struct span stream,
		       int columns, int rows);
	void (*socket)(struct runtime *r, struct span uid, int family, int type,
		       void (*done)(void *context, int fd, const struct error *err), void *context);
	void (*usage)(struct runtime *r, struct span uid,
		      void (*done)(void *context, const struct sandbox_usage *u, const struct error *err),
		      void *context);
	void (*free)(struct runtime *r);
};

struct runtime {
	const struct runtime_ops *ops;
};

/* Makes the namespaces and what holds them. Done: it is ready for containers. */
static inline void runtime_sandbox_run(struct runtime *r, const struct sandbox_config *c, runtime_done done,
				       void *context)
{
	r->ops->sandbox_run(r, c, done, context);
}
/* Kills what still runs in it. Done: nothing of it runs. What it told about containers stays until it is removed. Also of one that has died. */
static inline void runtime_sandbox_stop(struct runtime *r, struct span uid, runtime_done done, void *context)
{
	r->ops->sandbox_stop(r, uid, done, context);
}
/* Forgets it, and what it kept; a running one is stopped. Logs stay. A sandbox that is not there is removed already. */
static inline void runtime_sandbox_remove(struct runtime *r, struct span uid, runtime_done done, void *context)
{
	r->ops->sandbox_remove(r, uid, done, context);
}
/* Done: its command runs (exec has succeeded), or the error; then the container is told as EXITED with the reason "StartError" and 128. */
static inline void runtime_container_start(struct runtime *r, struct span uid, const struct container_config *c,
					   runtime_done done, void *context)
{
	r->ops->container_start(r, uid, c, done, context);
}
/* SIGTERM, and SIGKILL after the grace (0: at once). Called again with a shorter grace, that counts. Done: it has ended, all its processes too. */
static inline void runtime_container_stop(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
					  int64_t grace_ns, runtime_done done, void *context)
{
	r->ops->container_stop(r, uid, name, attempt, grace_ns, done, context);
}
/* Forgets one that has ended; its log stays. */
static inline void runtime_container_remove(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
					    runtime_done done, void *context)
{
	r->ops->container_remove(r, uid, name, attempt, done, context);
}
static inline void runtime_container_update(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
					    const struct resources *to, runtime_done done, void *context)
{
	r->ops->container_update(r, uid, name, attempt, to, done, context);
}
/* A command beside the container's, in its namespaces, with its user, limits and environment. Its end is told by `ended`. */
static inline void runtime_exec(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
				const struct stream_wanted *w,
				void (*done)(void *context, const struct stream *s, const struct error *err),
				void *context)
{
	r->ops->exec(r, uid, name, attempt, w, done, context);
}
/* What the container's command writes from now on, and its standard input. `out` ends when the container does. */
static inline void runtime_attach(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
				  const struct stream_wanted *w,
				  void (*done)(void *context, const struct stream *s, const struct error *err),
				  void *context)
{
	r->ops->attach(r, uid, name, attempt, w, done, context);
}
/* Of the terminal of an exec, or (stream empty) of the container. Best effort. */
static inline void runtime_resize(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
				  struct span stream, int columns, int rows)
{
	r->ops->resize(r, uid, name, attempt, stream, columns, rows);
}
/* A socket (AF_INET, AF_INET6; SOCK_STREAM, SOCK_DGRAM) made in the sandbox's network namespace, non-blocking, not connected: the
 * receiver connects it wherever it is. */
static inline void runtime_socket(struct runtime *r, struct span uid, int family, int type,
				  void (*done)(void *context, int fd, const struct error *err), void *context)
{
	r->ops->socket(r, uid, family, type, done, context);
}
static inline void runtime_usage(struct runtime *r, struct span uid,
				 void (*done)(void *context, const struct sandbox_usage *u, const struct error *err),
				 void *context)
{
	r->ops->usage(r, uid, done, context);
}
/* Sandboxes go on. What was not done yet is done with CANCELLED. NULL is allowed. */
static inline void runtime_free(struct runtime *r)
{
	if (r)
		r->ops->free(r);
}

#define LOG_BYTES_MOST (INT64_C(10) << 20) /* of one file; then it becomes NAME.log.<time>, as kubelet names it */
#define LOG_FILES_MOST 5                   /* of one container's attempt, the one written to included */
