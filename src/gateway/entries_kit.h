/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * entries_kit - for tests of entries and relays: workers of a server with entries, plans of a few lines, clients, and endpoints that echo. Endpoints
 * are chosen in turn, by a balance that the kit has instead of the real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "gateway/balance.h"
#include "gateway/relay.h"

enum { KIT_WORKERS = 2, KIT_TOLD_MOST = 64 };

struct kit_told {
	char key[64];
	unsigned times;
	int port;
	struct error error;
};

struct kit {
	struct gateway_config config;
	struct entries *entries;
	struct server *server;
	struct gateway_worker workers[KIT_WORKERS];
	unsigned worker_count;
	struct loop *loop; /* config.loop */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct kit_told told[KIT_TOLD_MOST];
	size_t told_count;
	_Atomic uint64_t turns; /* of the workers' loops */
	struct plan_builder *builder;
	uint64_t number;
};

/* `change` may set what differs from the defaults in config; NULL: nothing. */
void kit_begin(struct kit *k, unsigned workers, void (*change)(struct gateway_config *config));
void kit_end(struct kit *k);

/* A plan: begun, filled, published; kit_publish() returns when all workers have taken it up. */
void kit_plan(struct kit *k);
struct plan_backend *kit_backend(struct kit *k, const char *name, enum plan_speech speech, const int *ports,
				 size_t count);
struct plan_entry *kit_entry(struct kit *k, const char *key, const char *address, struct plan_backend *backend);
void kit_publish(struct kit *k);
/* One entry "a" at 127.0.0.1:0, one endpoint. Returns the entry's port. */
int kit_simple(struct kit *k, enum plan_speech speech, int port);
/* What was told of the key, once that was so many times. */
struct kit_told kit_bound(struct kit *k, const char *key, unsigned times);
void kit_end_with_endpoints(struct kit *k, const struct in_addr *pod); /* relays_end_with_endpoints() on each worker */
uint64_t kit_turns(struct kit *k);                                     /* of the workers' loops, since its beginning */
int64_t kit_relays(struct kit *k);                                     /* open now, of all workers; by the metrics */

/* ---- endpoints and clients ---- */

struct peer; /* listens at 127.0.0.1 */
enum peer_way {
	PEER_ECHO,    /* what comes; at the client's end "|end", then its own */
	PEER_GREET,   /* "hello\n" first, then the same */
	PEER_LEAVE,   /* "bye\n" and its end; reads on */
	PEER_RESET,   /* reads a little, then resets */
	PEER_SWALLOW, /* reads all, then sends how many bytes there were, and their sum, as text */
	PEER_POUR     /* reads all, then sends PEER_POURS bytes */
};
#define PEER_POURS MIB(12) /* more than all sockets on the way hold */
struct peer *peer_new(enum peer_way way);
int peer_port(const struct peer *p);
unsigned peer_accepted(struct peer *p);
void peer_free(struct peer *p);

struct peer_udp; /* sends back what comes, behind its port and a space */
struct peer_udp *peer_udp_new(void);
int peer_udp_port(const struct peer_udp *p);
void peer_udp_free(struct peer_udp *p);

int free_port(void);     /* nobody listens there */
int client_of(int port); /* connected to 127.0.0.1; -1: refused */
int client_udp_of(int port);
void say_text(int fd, const char *text);
/* Reads so many bytes, or up to the end of the stream, or a reset; returns the number. */
size_t hear_bytes(int fd, char *to, size_t len, bool *ret_is_reset);
void expect_text(int fd, const char *text); /* the next bytes */
void expect_end(int fd);                    /* nothing but the end */
void expect_reset(int fd);
/* Asks, and gives the body of the answer: see kit's routes. */
void ask(int fd, const char *path, char *body, size_t size);
