/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * confine_private - what the files behind confine.h share.
 *
 *	confine.c	the enclosure
 *	agent.c		the process that sets its namespaces up and lives in them
 *	confined.c	a container: how its processes come into its namespaces, and how they end
 *	command.c	the rest of the way to its command, and the channel they talk by meanwhile
 *	root.c		what it sees of the file system; mounts.c: mounts by descriptors; root_volumes.c: volumes
 *	rights.c	users, capabilities, resource limits
 *	filter.c	the filter of system calls; landlock.c: a second wall round its files
 *	groups.c	control groups
 *
 * Functions that say "inside" run in a child that has not called exec yet: single-threaded, its errors go to the supervisor by the channel.
 */
#include <sys/types.h>

#include "node/confine.h"
#include "node/filter.h"

struct groups; /* of this machine: which hierarchies there are */

/* One control group of each hierarchy that is used, all by the same name. */
struct control_group {
	char *path; /* below the hierarchies' roots: "/hythe/burstable/pod1234/main.0"; NULL: there is none */
};

struct place_list {
	char **paths;
	size_t count;
};

enum {
	NAMESPACE_USER,
	NAMESPACE_NETWORK,
	NAMESPACE_IPC,
	NAMESPACE_HOST_NAME,
	NAMESPACE_MOUNT,
	NAMESPACE_PID,
	ENCLOSURE_NAMESPACES
};

struct enclosure {
	char *hidden, *program,
	    *python;            /* python: folder of the package "hythe" that belongs to the program; NULL: none */
	char *folder, *scratch; /* scratch: where a tmpfs of the agent's holds what containers share */
	bool is_prepared;       /* its agent was begun before the sandbox was known, and the scratch is not its own */
	char *hostname;
	char *home;     /* of whoever runs this; NULL: none is known */
	bool has_users; /* a user namespace of its own: we are an ordinary user */
	bool shares_processes, is_pid_host, is_network_host, is_ipc_host;
	bool asks;                             /* connections that leave are asked about: see filter.h */
	bool (*answer)(void *context, int fd); /* see enclosure_answer_by() */
	void *answer_context;
	int questions[ENCLOSURE_FDS_MOST]; /* descriptors of the kernel's questions, of each filter that was loaded */
	size_t question_count;
	pid_t agent;
	uint64_t namespace_flags;             /* clone's, of what it has for itself */
	bool is_agent_retiring;               /* its word that it has left the machine's mounts is to come */
	int namespaces[ENCLOSURE_NAMESPACES]; /* in the order in which they are joined; -1: the machine's */
	int channel;                          /* to the agent */
	struct control_group group;
	int64_t processes_most;
	struct buffer shortcomings;
	struct confined *containers; /* linked by `next` */
	struct exec_process *execs;
};

void enclosure_add_shortcoming(struct enclosure *e, const char *text); /* once each */

/* ---- processes ---- */

/* A fork with clone3's flags; `group` -1: that of the caller. */
pid_t process_clone(uint64_t flags, int signal, int group);
int process_open(pid_t pid); /* a pidfd, close-on-exec */
/* Waits for a child and takes its exit; true: it was one. */
bool process_reap(int pidfd, bool may_wait);
bool file_write(const char *path, const char *text, struct error *err);
/* NUL-terminated, cut to the capacity; its length or -1. */
ssize_t file_read(const char *path, char *ret, size_t capacity);
char *text_format(const char *format, ...) PRINTF_LIKE(1, 2); /* the caller frees */

/* A filter's questions are served from now on; `fd` is taken over. */
void enclosure_add_questions(struct enclosure *e, int fd);
/* Before anything of a container's runs: the agent has nothing left that a container could look for. */
bool enclosure_settle(struct enclosure *e, struct error *err) MUST_CHECK;
/* Inside: joins the enclosure's namespaces. That of processes counts for children only. */
bool enclosure_join(const struct enclosure *e, bool with_processes, bool with_mounts, struct error *err) MUST_CHECK;

/* ---- root.c, inside ---- */

/* Where the agent's scratch has what containers share. */
#define SCRATCH_ROOT "root"
#define SCRATCH_SHM  "shm"

/* Makes the container's root below the scratch and goes there: afterwards "/" is the container's, "." too. */
bool root_enter(const struct enclosure *e, const struct container_config *c, const struct control_group *group,
		struct error *err) MUST_CHECK;
/* Makes a folder the root, and lets go of the one before. */
bool root_change(int folder, struct error *err) MUST_CHECK;
/* A tmpfs at a path. */
bool root_tmpfs(const char *path, int mode, int64_t bytes, struct error *err) MUST_CHECK;

/* ---- rights.c, inside ---- */

int capability_number(struct span name); /* with or without "CAP_"; -1: there is none */

struct rights {
	uint64_t capabilities;
	bool is_nested; /* a user namespace below the enclosure's, for a user that is not root */
};

bool rights_have(const struct rights *r, int capability);
/* Can this be had? What is missing but can be done without is added to the shortcomings. */
bool rights_check(struct enclosure *e, const struct security *s, struct rights *ret, struct error *err) MUST_CHECK;
/* Inside: one entry, from the namespace's ids to the caller's. */
bool rights_map_user(int64_t user, int64_t group, uid_t outer_user, gid_t outer_group, struct error *err) MUST_CHECK;
/* Inside: what stands in for control groups where there are none. */
bool rights_limit(const struct enclosure *e, struct error *err) MUST_CHECK;
/* Inside: becomes the user. `joins`: of exec, the namespaces are there. Capabilities of the new user are left whole until rights_drop(). */
bool rights_become(const struct rights *r, const struct security *s, bool has_users, bool joins,
		   struct error *err) MUST_CHECK;
bool rights_drop(const struct rights *r, const struct security *s, struct error *err) MUST_CHECK;

/* ---- groups.c ---- */

/* Makes it and the ones above it; `most_processes` 0: not limited. Limits that can't be set are shortcomings. */
bool group_new(struct enclosure *e, struct control_group *ret, const char *path, const struct resources *limits,
	       struct error *err) MUST_CHECK;
bool group_update(struct enclosure *e, const struct control_group *g, const struct resources *limits,
		  struct error *err) MUST_CHECK;
/* Puts the calling process into it, which has one thread. */
bool group_join(const struct control_group *g, struct error *err) MUST_CHECK;
bool group_is_out_of_memory(const struct control_group *g);
/* Of a process and its descendants, where no control group counts; those that exec began are not among them. */
bool process_usage(pid_t first, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes);
bool group_usage(const struct control_group *g, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes);
void group_kill(const struct control_group *g); /* all that is in it; new ones can't be made meanwhile */
void group_remove(struct control_group *g);
/* The group's folder in the i-th hierarchy and how the hierarchy is called (version 2: ""); false: there are no more. The caller frees. */
bool group_folder(const struct control_group *g, size_t i, char **ret_path, const char **ret_name);
/* Whether groups can be made below `root` at all; false tells why. */
bool groups_are_usable(const char *root, struct error *err);
