/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * spawn - starts programs from a thread of its own, which lives as long as the spawner.
 *
 * A thread of its own because the children ask to be killed when their parent ends (PR_SET_PDEATHSIG), and the kernel
 * takes the thread that forked for the parent (prctl(2)); and so that no fork holds up the loop.
 *
 * A child has its own process group, nothing on its standard input, no signal blocked, and the standard outputs of this
 * process. The descriptors given are its only ones besides.
 *
 * Threads:   spawn_start() on the loop; `done` runs there.
 * Ownership: a struct spawn is the caller's from `done` on. Its descriptors stay the caller's, who closes them then.
 * Errors:    a program that cannot be run says so itself, with a line {"state":"failed",...} on failure_fd.
 */
#include <sys/types.h>

#include "loop/loop.h"

struct spawner;

struct spawn {
	struct loop_message message;
	struct spawn *next; /* private */
	const char *const *argv;
	/* "NAME=value" of the child, ends with NULL; taken and freed. */
	char **environment;
	int fds[3];     /* left open in the child under these numbers; -1: none */
	int failure_fd; /* one of them */
	void (*done)(struct spawn *s);
	/* What came of it: pid and pidfd, or -1 and why. */
	pid_t pid;
	int pidfd;
	struct error error;
	char *failure; /* private */
};

struct spawner *spawner_new(struct loop *l);
/* Those that were asked for have their `done` sent to the loop first. */
void spawner_free(struct spawner *s); /* NULL is allowed */
void spawn_start(struct spawner *s, struct spawn *job);
/* For one that cannot even be asked for: `done` comes with the error that stands in it. */
void spawn_refuse(struct spawner *s, struct spawn *job);

/* This process's environment with `extra` ("NAME=value", ends with NULL; may be NULL) and `last` in place of variables
 * of the same names. For struct spawn. */
char **spawn_environment(const char *const *extra, const char *last[], size_t last_count);
void spawn_environment_free(char **environment);

/* A descriptor of any process, which becomes readable when it has ended; -1 and errno. */
int process_descriptor(pid_t pid);
