/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gateway_private - what the gateway's files share: a worker's side of it, entries, the choice of endpoints, relays.
 *
 * Threads: a gateway_worker and all that hangs on it belong to its loop. struct entries is locked inside.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "gateway/gateway.h"
#include "loop/loop.h"

struct balance;
struct entries;
struct plan_use;
struct proxies;
struct relays;
struct use;
struct worker;

/* ---- gateway.c ---- */

/* One worker's side of the gateway. */
struct gateway_worker {
	struct gateway *gateway;
	const struct gateway_config *config; /* the gateway's copy */
	struct worker *net;                  /* the server's */
	struct loop *loop;
	unsigned index;
	struct plan *plan;                   /* the one it goes by, with a reference; NULL: none yet */
	const struct plan_entry *main_entry; /* of that plan: PLAN_MAIN; set by entries_take_up() */
	struct entry *entries;               /* entries.c */
	struct relays *relays;               /* relay.c */
	struct balance *balance;             /* balance.c */
	struct proxies *proxies;             /* proxy.c */
	struct plan_use *plan_use;           /* gateway.c: of `plan` */
	struct use *use;                     /* use.c: the gateway's */
	bool is_stopping;                    /* connections that become idle are closed */
};

/* A request's endpoint is drained and has one less under way: those who wait for that are told. */
void gateway_worker_drained(struct gateway_worker *w);
/* Somebody waits for this service, which has no endpoint. */
struct service_use;
void gateway_tell_wanted(struct gateway *g, struct service_use *s);
/* What is counted of the arrival's route and service. */
struct arrival;
struct use_series *gateway_series(const struct arrival *a);

/* ---- entries.c: sockets that are listened on ---- */

/*
 * The sockets of all entries, by key: made and bound by entries_publish(), watched and closed by the workers. The order at a new plan:
 * entries_publish() once, then entries_take_up() on each worker.
 */
struct entries *entries_new(const struct gateway_config *config, unsigned workers);
/* Binds what is new. Any thread, one at a time; how it went is told on config.loop, later. Later plans' numbers are higher. */
void entries_publish(struct entries *e, struct plan *p);
/*
 * w->plan is a new one: its entries that are not watched yet are, those it does not have are closed once the kernel's queue is taken. The plan before it
 * is still there: those connections go by that one.
 */
void entries_take_up(struct entries *e, struct gateway_worker *w);
/* Closes all of this worker's, as if the plan were empty; none is opened any more. */
void entries_close(struct entries *e, struct gateway_worker *w);
struct gateway_inherited *entries_sockets(struct entries *e, size_t *ret_count);
void entries_leave_sockets(struct entries *e); /* gateway_leave_sockets() */
/* After the workers' threads and config.loop have ended, while the loops are there; entries_worker_free() of each worker first, before its
 * balance is freed. It frees the worker's relays too. */
void entries_worker_free(struct entries *e, struct gateway_worker *w);
void entries_free(struct entries *e); /* NULL is allowed */

/* A worker's side of an entry. Lives as long as it has connections: longer than the plan that named it. */
struct entry {
	struct server_entry server; /* request_entry() is this one; its certificates are held here */
	struct gateway_worker *worker;
	const struct plan_entry *now; /* in worker->plan; NULL: it is gone */
	struct entry *next, *previous;
	struct entry_socket *sockets; /* entry.c */
	size_t socket_count;
	struct sniffing *sniffing; /* connections whose first bytes are awaited */
	size_t holds;              /* what keeps it: its sockets, and each connection */
	bool is_leaving;           /* the plan being taken up has it no more */
};
/* As the current plan has it; NULL: the entry is gone. For requests of the server's own listeners: the plan's PLAN_MAIN. */
const struct plan_entry *entry_of(const struct gateway_worker *w, const struct request *req);
/* One connection more or less that keeps it: the last one of an entry that is gone frees it. */
void entry_hold(struct entry *e);
void entry_release(struct entry *e);
/* Between entries.c and entry.c. The descriptors are copied and change owner. */
struct entry *entry_open(struct gateway_worker *w, const struct plan_entry *now, const int *fds, size_t count);
void entry_follow(struct entry *e, const struct plan_entry *now); /* what the next plan says of it */
/* Takes what is queued, or leaves it to another process that has the sockets too; closes. The pointer is no longer the caller's. */
void entry_shut(struct entry *e, bool takes_queue);
void entry_free(struct entry *e); /* whatever holds it; the loop has ended */

/* ---- sniff.c: is it HTTP? ---- */

enum sniff { SNIFF_MORE, SNIFF_HTTP, SNIFF_BYTES };
enum { SNIFF_MOST = 8192 }; /* of a request line */
/* By the first bytes that a client has sent. is_all: no more are waited for; then the answer is never SNIFF_MORE. */
enum sniff sniff(struct span first, bool is_all);

/* ---- relay.c, relay_udp.c: bytes that are not HTTP ---- */

struct relays *relays_new(struct gateway_worker *w);
/* Takes a client's connection, to a backend of the entry's. */
void relay_begin(struct relays *r, struct entry *e, int fd, const struct sockaddr_storage *client);
/* From now on the end of what the endpoint says is the relay's, also where the client stays: of those to this pod; NULL: of all. */
void relays_end_with_endpoints(struct relays *r, const struct in_addr *pod);
void relays_cut(struct relays *r);  /* those of TCP */
void relays_free(struct relays *r); /* NULL is allowed */
/* Datagrams of an entry, from its socket. */
struct relay_udp;
struct relay_udp *relay_udp_new(struct relays *r, struct entry *e, int fd); /* the descriptor stays the caller's */
void relay_udp_free(struct relay_udp *u);                                   /* ends its sessions */
