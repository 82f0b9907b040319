/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* runtime_process_kit - a runtime with real supervisors and real processes, turned by hand, for tests. The test program is the spawner, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above. */
#include <cmocka.h>
#include <sys/types.h>

#include "loop/loop.h"
#include "node/runtime_process.h"

/* What was last told about a container, in texts of its own. */
struct told_container {
	char name[64], reason[32], message[400], id[80];
	uint32_t attempt;
	enum container_state state;
	pid_t pid;
	int exit_code, signal;
	int64_t created_ns, started_ns, finished_ns;
};

struct told_sandbox {
	char uid[64], shortcomings[400];
	bool is_ready;
	size_t count;
	struct told_container containers[64];
};

enum { WORLD_SANDBOXES = 64, WORLD_ENDED = 64 };

struct world {
	struct loop *loop;
	struct runtime *runtime;
	char folder[64]; /* /tmp/...; pods and logs are below it */
	char group_root[48];
	struct told_sandbox sandboxes[WORLD_SANDBOXES];
	size_t count;
	bool has_begun;
	struct {
		char stream[32];
		int exit_code;
	} ended[WORLD_ENDED];
	size_t ended_count;
	bool is_late; /* a wait was too long */
};

struct outcome {
	bool is_done;
	struct error error; /* code NONE: none */
	struct stream stream;
	int fd;
	struct sandbox_usage usage;
};

/* Turns the loop until it holds; fails the test after a while. */
#define UNTIL(w, condition)                                                                                            \
	do {                                                                                                           \
		world_wait_begin(w);                                                                                   \
		while (!(condition)) {                                                                                 \
			world_turn(w);                                                                                 \
			if ((w)->is_late)                                                                              \
				fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #condition);                          \
		}                                                                                                      \
	} while (0)

struct world *world_new(void);
void world_begin(struct world *w); /* a runtime, that has told what it found */
void world_end_runtime(struct world *w);
void world_free(struct world *w); /* and nothing is left: no process, no control group, no mount */
void world_wait_begin(struct world *w);
void world_turn(struct world *w);

/* A sandbox that is ready. */
void pod_run(struct world *w, const char *uid);
void pod_run_asked(struct world *w, const char *uid, struct outcome *o); /* not waited for */
void pod_run_error(struct world *w, const char *uid, struct outcome *o);
void pod_stop(struct world *w, const char *uid);
void pod_remove(struct world *w, const char *uid);
const struct told_sandbox *pod(struct world *w, const char *uid); /* NULL: nothing was told */

struct container_config shell(const char *name, uint32_t attempt,
			      const char *script); /* sh -c; valid until the next but four */
void container_start(struct world *w, const char *uid, const struct container_config *c, struct outcome *o);
const struct told_container *container(struct world *w, const char *uid, const char *name, uint32_t attempt);
bool container_is(struct world *w, const char *uid, const char *name, uint32_t attempt, enum container_state state);
void container_stop(struct world *w, const char *uid, const char *name, uint32_t attempt, int64_t grace_ns);

/* For `done`. */
void outcome_plain(void *context, const struct error *err);
void outcome_stream(void *context, const struct stream *s, const struct error *err);
void outcome_socket(void *context, int fd, const struct error *err);
void outcome_usage(void *context, const struct sandbox_usage *u, const struct error *err);

/* The log as it is, without times: "stdout F hello\n". Static. */
const char *log_text(struct world *w, const char *uid, const char *name, uint32_t attempt);
/* What can be read until the end, or until it has `wanted` in it. Static. */
const char *read_until(struct world *w, int fd, const char *wanted);

pid_t supervisor_pid(struct world *w, const char *uid); /* 0: none runs */
size_t supervisors(struct world *w, const char *uid);
size_t processes_named(const char *part); /* of this machine, by command line */
