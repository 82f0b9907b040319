/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * workers_kit - for tests of the whole room: a server in this process, workers in others (test_worker.c, the program's
 * first argument), and clients that write and read raw bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "workers/workers.h"

#define DEADLINE_MS 60000 /* a test that waits longer has failed */

/* ---- a front with workers ---- */

struct front {
	struct metrics *metrics;
	struct workers *workers;
	struct server *server;
	struct workers_config config;
	char plan[64], held_text[32], gate_text[32];
	const char *argv[3], *environment[3];
	int held[2], gate[2]; /* pipes; see test_worker.c */
	bool has_come_up;
	struct error failure;
};

struct front *front_new(unsigned count);
/* What workers started from now on do: the words of test_worker.c. */
void plan_write(const struct front *f, const char *text);
void front_try(struct front *f); /* has_come_up, or failure */
void front_start(struct front *f);
void front_stop(struct front *f);

/* Of the handlers that wait: one goes on; one has begun. */
void gate_open(const struct front *f);
void held_wait(const struct front *f);

/* ---- clients ---- */

int dial(const struct front *f);
void say(int fd, struct span bytes);
#define SAY(fd, literal) say((fd), SPAN(literal))
/* Reads some more; false at the end of the stream. */
bool hear(int fd, struct buffer *in);

struct reply {
	int status;
	char head[4096];
	struct buffer body;
	bool is_whole; /* as its length, or its chunks, say */
};

void reply_done(struct reply *r);
/* Reads an answer up to its end, which is that of the connection. */
void reply_read(int fd, struct reply *r);
bool body_has(const struct reply *r, const char *text);

/* A request on a connection of its own: "GET /about". */
int ask_start(const struct front *f, const char *line, struct span body);
void ask(const struct front *f, const char *line, struct span body, struct reply *r);
/* Asks, and checks status and a piece of the body. The second form reads the answer of one that was asked. */
void expect(const struct front *f, const char *line, int status, const char *text);
void expect_reply(int fd, int status, const char *text);

/* The process that answers, by what it says of itself. */
pid_t worker_pid(const struct front *f);
/* A line of /metrics that begins so: its number; -1 when there is none. */
int64_t metric(const struct front *f, const char *series);

void pause_ms(int ms);
#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		int64_t until_ns = clock_monotonic_ns() + DEADLINE_MS * NS_PER_MS;                                     \
                                                                                                                       \
		while (!(condition)) {                                                                                 \
			if (clock_monotonic_ns() > until_ns)                                                           \
				fail_msg("not in time: %s", #condition);                                               \
			pause_ms(2);                                                                                   \
		}                                                                                                      \
	} while (0)

/* ---- load: many requests at once, and what became of them ---- */

struct load {
	const struct front *front;
	const char *line;
	_Atomic bool is_over;
	_Atomic size_t good, bad_gateway, other;
	pthread_t threads[4];
};

void load_start(struct load *l, const struct front *f, const char *line);
void load_stop(struct load *l);

/* For main(): PROGRAM TEST-WORKER [TEST]. */
#define KIT_RUN(argc, argv, tests) (kit_init(argc, argv) ? cmocka_run_group_tests(tests, NULL, NULL) : 2)
bool kit_init(int argc, char **argv);
