/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * confined - what a container is, and how its processes talk to the supervisor until their command runs. Private to confine.h's files:
 * confined.c, command.c.
 */
#include "node/confine_private.h"

struct confined {
	struct confined *next;
	struct enclosure *enclosure;
	char *name;
	pid_t pid;
	int pidfd, channel; /* channel -1: it has begun, or has failed to */
	int terminal;       /* its master, until it is asked for; -1 */
	struct control_group group;
	struct rights rights;
	struct filter *filter;
	int mounts; /* its mount namespace, where that alone tells its processes from others'; -1. Held: no other one gets its number. */
	/* What exec needs of the configuration. */
	char **environment; /* NULL at the end */
	char *working_directory;
	struct security security;
	int oom_score;
};

struct exec_process {
	struct exec_process *next;
	int pidfd;
};

/* Kills and reaps what exec began and its caller has not reaped. */
void execs_end(struct enclosure *e);

/* ---- command.c: the channel ---- */

/* Exit codes of a command that could not be begun, as shells and container engines have them. */
enum { EXIT_START_ERROR = 128, EXIT_NOT_FOUND = 127, EXIT_NOT_EXECUTABLE = 126 };

enum { END_SUPERVISOR, END_CONTAINER }; /* of the channel */

enum word {
	WORD_ERROR,
	WORD_GUIDE,
	WORD_HERE, /* with the mount namespace, where the container's end needs it */
	WORD_GO,
	WORD_QUESTIONS,
	WORD_TERMINAL /* the last two always with a descriptor */
};

struct message {
	enum word word;
	struct error err;
};

struct heard {
	struct message message;
	pid_t sender; /* as we count processes */
	int passed;   /* a descriptor that is the caller's to close; -1 */
};

bool talk_make(int pair[2], struct error *err) MUST_CHECK;
/* `passed` -1: no descriptor goes along. */
void talk_send(int fd, const struct message *m, int passed);
void talk_tell(int fd, const struct message *m);
/* The next message; false: the channel has ended. */
bool talk_hear(int fd, struct heard *ret);
/* Tells the error and ends the process. */
_Noreturn void talk_fail(int fd, const struct error *err);

/* ---- command.c, inside ---- */

/* Sets 0, 1, 2. */
bool command_stdio_set(const int stdio[3], bool has_terminal, struct error *err) MUST_CHECK;
/* In the container's root: 0, 1, 2 become a terminal of its own /dev/pts, whose master is sent. */
bool command_terminal_take(int64_t user, int channel, struct error *err) MUST_CHECK;
void command_oom_score_set(int score);
bool command_await_go(int channel);
/* The rest of the way, of a first process and of exec: the user, landlock and the filter, the command. */
_Noreturn void command_run(const struct confined *c, char **argv, bool joins, int channel);
