/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gateway_kit - for tests of the gateway: one with its server and the loop it tells things on, plans of a few lines, clients that write and
 * read raw bytes, and origins: endpoints that behave as they are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "gateway/gateway.h"
#include "loop/loop.h"
#include "metrics/metrics.h"

#define DEADLINE_MS 60000 /* a test that waits longer has failed */

/* ---- origins ---- */

enum way {
	WAY_ANSWERS,     /* "<name>\n", then the request's head and body */
	WAY_NAMES,       /* its name alone */
	WAY_CLOSES,      /* after the request, before a byte */
	WAY_RESETS,      /* the same with a reset */
	WAY_BREAKS,      /* in the middle of the answer's body */
	WAY_STALLS,      /* the same, without an end */
	WAY_SILENT,      /* reads the request, says nothing */
	WAY_GARBAGE,     /* no HTTP */
	WAY_SMUGGLES,    /* two lengths */
	WAY_MORE,        /* more bytes than it says */
	WAY_HOLDS,       /* answers with its name when origin_release() lets it */
	WAY_BIG,         /* `big` bytes */
	WAY_SLOW_READS,  /* reads the head, and the body when origin_release() lets it */
	WAY_UNAVAILABLE, /* 503 */
	WAY_TUNNEL,      /* 101, then echoes what comes */
	WAY_ONCE,        /* its name, and closes the connection without having said so */
};

enum { ORIGIN_CONNECTIONS_MOST = 512 };

struct origin {
	const char *name;
	int port;
	size_t big;
	_Atomic int way;
	_Atomic unsigned accepted, requests, open;
	_Atomic size_t sent; /* of big answers */
	_Atomic size_t read; /* bytes of bodies */
	_Atomic bool is_stopping;
	char last[8192]; /* the last request's head; behind `lock` */
	pthread_mutex_t lock;
	sem_t gate;
	int listener, place; /* which keeps the port from others while nobody listens */
	bool is_up;
	pthread_t thread;
	struct origin_connection {
		struct origin *origin;
		int fd;
		pthread_t thread;
	} connections[ORIGIN_CONNECTIONS_MOST];
	size_t connection_count;
};

void origin_init(struct origin *o, const char *name, enum way way);
void origin_down(struct origin *o);    /* refuses, and breaks what is open */
void origin_refuses(struct origin *o); /* and leaves what is open as it is */
void origin_up(struct origin *o);      /* on the same port */
void origin_done(struct origin *o);
void origin_release(struct origin *o, unsigned count);
bool origin_last_has(struct origin *o, const char *text);

/* ---- the gateway ---- */

struct kit {
	struct gateway *gateway;
	struct server *server;
	struct metrics *metrics;
	struct loop *home;
	pthread_t home_thread;
	struct plan_builder *builder;
	struct plan_entry *main;
	struct plan_table *table;
	uint64_t number;
};

/* Small limits, so that tests are fast; `change` may change more. */
void kit_init(struct kit *k, unsigned workers, void (*change)(struct gateway_limits *limits));
void kit_done(struct kit *k);

void kit_begin(struct kit *k); /* a plan */
struct plan_backend *kit_backend(struct kit *k, const char *service, struct origin *const *origins, size_t count);
struct plan_endpoint *kit_endpoint(struct plan_backend *b, size_t index);
/* A route of the main entry's table: path prefix → one target. */
struct plan_route *kit_route(struct kit *k, const char *prefix, struct plan_backend *b);
void kit_publish(struct kit *k); /* returns when all workers go by it */
/* The main entry is of this service alone, which has these origins. */
void kit_simple(struct kit *k, struct origin *const *origins, size_t count);
/* Runs on config.loop, and waits until it has. */
void kit_on_home(struct kit *k, void (*run)(void *argument), void *argument);
void kit_on_worker(struct kit *k, unsigned index, void (*run)(void *argument), void *argument);
uint64_t kit_count(struct kit *k, enum metric_id id, const char *service, const char *third); /* a series' value */

/* ---- clients ---- */

int client_new_fd(struct kit *k);
void say(int fd, const char *text);
void say_bytes(int fd, struct span bytes);

struct answer {
	int status;
	char head[8192];
	char *body;
	size_t len;
	bool is_cut; /* it ended before its length */
};
void answer_done(struct answer *a);
/* One answer by content-length, chunks or the connection's end. */
void hear(int fd, struct answer *a);
/* One request on a connection of its own. */
void ask(struct kit *k, const char *request, struct answer *a);
/* GET, and checks status and body (NULL: any). */
void expect(struct kit *k, const char *path, int status, const char *body);
bool has(const struct answer *a, const char *text); /* in head or body */
int64_t now_ms(void);
/* Waits for it with a deadline. */
#define UNTIL(condition)                                                                                               \
	do {                                                                                                           \
		int64_t until_ = now_ms() + DEADLINE_MS;                                                               \
		while (!(condition)) {                                                                                 \
			if (now_ms() > until_)                                                                         \
				fail_msg("not in time: %s", #condition);                                               \
			kit_pause();                                                                                   \
		}                                                                                                      \
	} while (0)
void kit_pause(void);
