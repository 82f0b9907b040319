/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * confine - namespaces, mounts, users, capabilities, filters and limits: what makes a process of this machine a container's.
 *
 * Used by the supervisor (supervisor.h), which has one thread and no secrets. As root everything is had. As an ordinary user a sandbox has a
 * user namespace of its own, in which the user is root or, with runAsUser, that user; limits are control groups where a writable one was delegated,
 * else rlimits, and what is missing is told in words (confine_shortcomings).
 *
 * What a container sees: the machine's files, read-only; the data folder, other users' keys and the list in confine_hidden.def empty;
 * /tmp, /run, /dev, /proc, /sys of its own; its volumes; this program and its hosts' commands in /run/hythe/bin, which is first in PATH
 * (CONFINE_PATH). Its network has a loopback interface alone, with the pod's address: connections that leave it are made by egress.h;
 * or plugins give it another one (cni.h).
 *
 * Threads: one. These functions block, for the time of some system calls.
 * Errors:  INVALID with what was asked for and can't be had; a step's name and errno otherwise ("cannot mount the volume '/data': ...").
 */
#include "node/runtime.h"

#define POD_PROCESSES_MOST 4096 /* of a pod that names no limit */

#define CONFINE_BIN  "/run/hythe/bin"
#define CONFINE_PATH CONFINE_BIN ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define CONFINE_GROUP_ROOT "/hythe"

/*
 * Where control groups are made unless told otherwise: CONFINE_GROUP_ROOT; of an ordinary user below the highest group above this process's that is
 * the user's own (version 2: systemd gives each one who is logged in user@UID.service). The caller frees.
 */
char *confine_group_root(void);

struct confine_host {
	struct span hidden;     /* the data folder */
	struct span group_root; /* see confine_group_root() */
	struct span egress;     /* "host", "none", "cni" */
	const char *program;    /* path of this program, for /run/hythe/bin/hythe */
};

/* Makes now what each enclosure would make for itself later: for a process that forks those that have them. */
void confine_warm(void);

/* A sandbox's namespaces, held by descriptors and by a process inside (the agent), its control group, its shared mounts. */
struct enclosure;

struct enclosure *enclosure_new(const struct confine_host *host, const struct sandbox_config *c, struct error *err);
/*
 * What takes longest, made before the sandbox is known. `scratch`: an empty folder; many may have the same. NULL: it can't be had. Of no use when the
 * machine's mounts have changed since.
 */
struct enclosure *enclosure_prepare(struct span scratch);
/* As enclosure_new(), with what was prepared (taken over; NULL: nothing) where that fits the sandbox. */
struct enclosure *enclosure_new_of(struct enclosure *prepared, const struct confine_host *host,
				   const struct sandbox_config *c, struct error *err);
/* Kills what is left inside, then all of it goes. NULL is allowed. */
void enclosure_free(struct enclosure *e);
/* What is left of one whose supervisor was killed, and that nobody makes anew: its control group. */
void enclosure_sweep(const struct confine_host *host, const struct sandbox_config *c);
/* A socket made inside: see runtime_socket(). -1 with err. */
int enclosure_socket(struct enclosure *e, int family, int type, struct error *err);
int enclosure_network(const struct enclosure *e); /* its network namespace, as long as it lives; -1: the machine's */
/* Readable when the agent has ended: nothing can be begun in it any more. The caller closes it; -1: there is none. */
int enclosure_end_watch(const struct enclosure *e);
struct span enclosure_shortcomings(const struct enclosure *e); /* empty: none */
/* Use of the sandbox and of one container. False: nobody counts here. */
bool enclosure_usage(struct enclosure *e, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes);

/* One container of it. */
struct confined;

/*
 * Makes the container and its first process, which waits until it is told to go on: the caller can note it before anything of the
 * container's has run. stdio: descriptors that become 0, 1, 2, -1 for nothing. With `has_terminal` none of them: they are a terminal of the container's
 * own /dev/pts, where it has a name, and the controlling one.
 */
struct confined *confined_new(struct enclosure *e, const struct container_config *c, const int stdio[3],
			      struct error *err);
/* Lets it run; true: its command has begun (exec succeeded). False: err tells what could not be done, and the process has ended. */
bool confined_start(struct confined *c, struct error *err);
pid_t confined_pid(const struct confined *c); /* of the first process; the supervisor is its parent and reaps it */
/* After confined_start(), once: the master of its terminal, not blocking, which is the caller's to close; -1: it has none. */
int confined_terminal(struct confined *c);
/*
 * Another process in the container: exec. Its pid, or -1. It is the caller's child. `ret_terminal`: it has a terminal instead of stdio; as of
 * confined_terminal(). NULL: none.
 */
pid_t confined_exec(struct confined *c, const struct span *command, size_t count, const int stdio[3], int *ret_terminal,
		    struct error *err);
bool confined_signal(struct confined *c, int signal); /* to its first process; SIGKILL: to all */
bool confined_was_out_of_memory(struct confined *c);  /* one of its processes was killed for memory */
bool confined_update(struct confined *c, const struct resources *to, struct error *err);
bool confined_usage(struct confined *c, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes);
/* What is left of its processes is killed, its group and mounts go. NULL is allowed. */
void confined_free(struct confined *c);

/*
 * Descriptors the supervisor waits for (readable) and then calls enclosure_serve() with: connections that leave the pod, and what else
 * the enclosure has to do. Their set changes with containers; at most ENCLOSURE_FDS_MOST.
 */
enum { ENCLOSURE_FDS_MOST = 256 };
/* Containers begun from now on have their connections asked about, and `answer` is called for a descriptor with a question: egress.h. False ends it:
 * its processes have ended. */
void enclosure_answer_by(struct enclosure *e, bool (*answer)(void *context, int fd), void *context);
size_t enclosure_fds(struct enclosure *e, int *ret, size_t capacity);
void enclosure_serve(struct enclosure *e, int fd);
