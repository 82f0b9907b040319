/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * app_kit - what the tests of HTTP applications share: a client over loopback, hosts, and what an application tells its test.
 *
 * Threads: the places of `seen` are for any by note(), count(), look() and await(); its texts are read when an answer has come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hosts/hythe_app.h"

enum {
	WINDOW = 65536,
	BLOCK = 100000,
	STREAM_BLOCKS = 320,
	AHEAD_MOST = 12000000, /* what the kernel may hold of a stream that is not read */
	MESSAGE_LIMIT = 1 << 20,
	PATIENCE_S = 60,
};
enum { ANSWER_MAX = 4 << 20 };

struct app_seen {
	int64_t served, waiting, is_open, read_end, write_failed, over_file, written, gone, closed, code, stops, put,
	    counted, second_head;
	char reason[128], path[64], query[64], scheme[16], peer[64], header[64];
};
extern struct app_seen seen;

void note(int64_t *place, int64_t value);
void count(int64_t *place, int64_t by);
int64_t look(const int64_t *place);
/* Waits until it is `least` or more; tells what it is. */
int64_t await(const int64_t *place, int64_t least);
int clear(void **state); /* before each test */
void keep(char *to, size_t size, struct hythe_bytes bytes);
int is(struct hythe_bytes bytes, const char *text);

/* ---- a client ---- */

extern char answer[ANSWER_MAX];
extern char block[BLOCK]; /* of 'x', once a test has filled it */

int connect_to(hythe_host *host);
int send_all(int fd, const void *bytes, size_t size);
int send_text(int fd, const char *text);
int ask_begin(hythe_host *host, const char *method, const char *path, const char *headers);
/* All until the end of the connection; closes. The status. */
int answer_read(int fd, char *to, size_t room, size_t *ret_size);
const char *body_of(const char *text);
int get(hythe_host *host, const char *path);
int post(hythe_host *host, const char *path, size_t size);
int64_t chunks_size(void); /* of the body of `answer`, without their framing; -1: not whole */

/* ---- hosts ---- */

extern int is_driven;                /* all hosts are, by a thread of the test's */
extern _Thread_local int holds_lock; /* as an interpreter's: not held while the host sleeps */
extern const struct hythe_header plain;

hythe_host *start(const struct hythe_app *app, unsigned threads);
void finish(hythe_host *host); /* of a blocking application */
