/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * confine_kit - what the tests of confine.h share: pods and containers of real processes. Run as root the tests are run again as an ordinary user.
 */
#include "node/confine.h"

#define WAIT_MOST_MS 60000

/* The folder of all tests: data/ is the data folder, data/a and data/b the pods'. */
extern char top[64];        /* a folder of this program's own */
extern char group_root[40]; /* a control group of its own: others run beside it */
extern bool is_possible;    /* this user may make namespaces here */

struct pod {
	struct enclosure *enclosure;
	struct confine_host host;
	struct sandbox_config config;
	char folder[128], data[128];
	struct error err;
};

struct outcome {
	char text[16384];
	int status; /* as a shell has it */
	bool was_out_of_memory;
	struct error err; /* of new or start */
};

void file_put(const char *path, const char *text);
bool pod_try(struct pod *p, const char *name);
/* Skips the test where namespaces can't be had. */
void pod_start(struct pod *p, const char *name);
/* Control groups are here to be had. */
bool has_groups(const struct pod *p);
struct container_config plain(void);
/* Begins one and does not wait; -1: output goes nowhere. */
struct confined *begin(struct pod *p, struct container_config *c, const char *script, int out, struct error *err);
/* Reads until all writers have ended, or the text has `mark`. */
void text_read(int fd, char *text, size_t capacity, const char *mark);
int status_of(pid_t pid);
/* A shell in a container, until its end; `script` NULL: the configuration's command. Valid until the next run. */
const struct outcome *run_in(struct pod *p, struct container_config *c, const char *script);
const struct outcome *run(struct pod *p, const char *script);
void says(const struct outcome *o, const char *text);
void says_not(const struct outcome *o, const char *text);
void refuses(const struct outcome *o, enum error_code code, const char *words);

/* The tests as whoever we are, and then, if that is root, all of this program as an ordinary user. */
int tests_run(char **argv, int (*here)(void));
int set_up(void **state);
int tear_down(void **state);
