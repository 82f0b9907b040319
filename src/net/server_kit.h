/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * server_kit - for tests of the whole room: a server in this process, and clients that write and read raw bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>

#include "net/server.h"

#define DEADLINE_MS 60000 /* a test that waits longer has failed */
#define H           "Host: a\r\n"

/* ---- what is served: /echo, /hold, /big, /empty ---- */

extern sem_t gate, held; /* /hold: posts `held` on a compute thread, then waits for `gate` */
extern const struct route *const tables[];
int gates_init(void **state); /* a set-up of cmocka */

struct server_config config_default(void);
struct server *serve(const struct server_config *config);
struct server *serve_default(void);

/* ---- a client ---- */

int connect_text(const char *address); /* -1: refused */
int client(const struct server *s);
void say(int fd, struct span bytes);
#define SAY(fd, literal) say((fd), SPAN(literal))

/* Reads some more; false at the end of the stream. */
bool hear(int fd, struct buffer *in);

struct answer {
	int status;
	char head[2048];
	struct buffer body;
};

bool has_line(const struct answer *a, const char *line);
bool body_is(struct answer *a, const char *text);
/* Takes one answer with Content-Length (or none) off the front of `in`, reading more as needed. */
void take_answer(int fd, struct buffer *in, struct answer *ret, bool is_head);
/* Reads one answer, checks the status and that nothing stands behind it; frees the rest. */
void expect(int fd, int status, const char *body);
void expect_closed(int fd);
