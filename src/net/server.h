/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * server - listeners, worker threads, connections: HTTP/1.1, HTTP/2 (prior knowledge, h2c upgrade is not offered, ALPN)
 * and gRPC on the same port, in clear or over TLS, on TCP and Unix sockets.
 *
 * Each worker thread has its own loop, its own SO_REUSEPORT listeners and its own connections; a connection lives and
 * dies on one loop. Work too long for a loop goes to the server's pool (request_offload()).
 *
 * Life:      server_new() binds (so that errors come before threads) → server_start() → server_drain() → server_wait()
 * → server_free(). Ownership: the strings and tables that the config points to stay the caller's and must live as long
 * as the server. Threads:   the functions here are for the thread that made the server; server_drain() and
 * server_reload_tls() for any.
 */
#include "metrics/metrics.h"
#include "net/request.h"

struct server;
struct loop;
struct pool;
struct worker; /* a thread of the server */
struct sockaddr_storage;

struct server_limits {
#define LIMIT_ROW(name, type, value, flag, unit, help) type name;
#include "net/limits.def"
#undef LIMIT_ROW
};

struct server_limits server_limits_default(void);

enum access_log { ACCESS_LOG_OFF, ACCESS_LOG_TEXT, ACCESS_LOG_JSON };

struct server_config {
	/* "127.0.0.1:8080", "[::1]:0", ":8080" (every address), "unix:/path", "fd:3" (a socket that listens already, from
	 * a parent process). None at all is allowed: see server_adopt(). */
	const char *const *addresses;
	size_t address_count;
	const char *tls_certificate,
	    *tls_key;              /* PEM files; both or none. With them every TCP listener speaks TLS 1.2+ */
	const char *tls_client_ca; /* ask for and check client certificates */
	bool tls_client_optional;  /* let clients in without one, or with one that does not hold: request_client() */
	const struct route *const *routes; /* tables, ending with NULL */
	void *context;                     /* request.context */
	unsigned workers;                  /* 0: one a core this process may use */
	unsigned compute_threads;          /* 0: as many as cores */
	bool compute_on_loop;              /* instead: on the loop, one after the other (one worker): see pool.h */
	bool listens_late; /* TCP addresses are taken by server_new(), and refuse clients until server_listen() */
	bool is_driven;    /* the only worker has no thread of its own: see server_enter() */
	struct server_limits limits;
	struct metrics *metrics;
	const char *cors_origin;    /* Access-Control-Allow-Origin, or NULL: CORS off */
	bool compression;           /* answers by Accept-Encoding (gzip, zstd); requests are always accepted */
	size_t compression_least;   /* bytes of an answer worth it */
	enum access_log access_log; /* to stdout */
	const char *server_name;    /* Server header, or NULL */
	/* Called on each worker's thread when its loop starts, before it accepts. May be NULL. */
	void (*worker_started)(void *context, unsigned index, struct loop *loop);
	/* A connection given to server_adopt() has ended; on its loop. May be NULL. */
	void (*adopted_closed)(void *context);
	/*
	 * A connection in clear that is new, or between two requests, and whose next bytes (`first`: some of them, unread) are
	 * none of HTTP/2. True: its descriptor is the callee's now; it counts as one of the server's until server_loan_return()
	 * or server_loan_end(). On its loop, `home` stands for that. May be NULL.
	 */
	bool (*offer)(void *context, struct worker *home, int fd, const char *peer, struct span first);
	/* The server drains: what was lent should come to an end; on the loop. May be NULL. */
	void (*loans_due)(void *context);
	/*
	 * The head of a request is whole, its target is split, and no route was looked for. It may set path (as sent: escapes undecoded), query,
	 * context and state of the request; what it gives request_at_end() runs when the whole request is over, a streaming call's too. False: the
	 * row "*" takes it, else the routes are looked through with what it has set. On the loop. May be NULL.
	 */
	bool (*arrive)(struct request *req);
	/* A drain leaves an HTTP/1 connection between two requests open for so long: one more is answered, and told to be the last. 0: it is closed
	 * at once, and a request that is on its way gets no answer. */
	int64_t idle_grace_ms;
};

/*
 * How connections come in that somebody else has accepted (server_take()). Embedded in a struct of that one, and lives as long as it has
 * connections.
 */
struct certificates;
struct server_entry {
	struct certificates *certificates;      /* TLS, by the name that the client asks for; NULL: in clear */
	void (*closed)(struct server_entry *e); /* a connection of it has ended; on its loop. May be NULL */
};

struct server *server_new(const struct server_config *config, struct error *err);
/* Before server_start(): a context that could only be made when the loops were there. */
void server_set_context(struct server *s, void *context);
bool server_start(struct server *s, struct error *err);
/* Of config.listens_late: clients are taken from now on. After server_start(), once. ALREADY_EXISTS: somebody else was first. */
bool server_listen(struct server *s, struct error *err);

/*
 * config.is_driven: the thread that calls this after server_start() is the worker until server_leave(). In between it runs
 * server_worker_loop(s, 0), by loop_run() or loop_turn(), until that one is stopping; server_leave() must come before server_wait().
 */
void server_enter(struct server *s);
void server_leave(struct server *s);

/* The address really bound, as text for people and tests ("127.0.0.1:41233", "unix:/tmp/x"). */
const char *server_address(const struct server *s, size_t index);
unsigned server_worker_count(const struct server *s);
struct loop *server_worker_loop(const struct server *s, unsigned index);
struct pool *server_pool(const struct server *s);

/*
 * Serves HTTP/2 in clear on a connected stream socket that somebody else made, as one of the server's connections: how a
 * worker process is reached by the one that listens. Takes the descriptor; adopted_closed() tells of its end. Limits
 * that are for strangers (idle, read and write timeouts, streams, control frames) do not hold. Requests on it may carry what only the
 * other end can know, and connection headers of clients never get through from there: see forwarded.h. Any thread,
 * after server_start().
 */
void server_adopt(struct server *s, int fd);

/*
 * Takes a lent connection back and serves it, with bytes that were read from it meanwhile. is_last: those bytes are all that is
 * answered (none: nothing is), then it is closed. A whole request in them has been given to its handler when this returns. On the home's
 * loop, before server_free().
 */
void server_loan_return(struct worker *home, int fd, const char *peer, struct span bytes, bool is_last);
void server_loan_end(struct worker *home); /* it has ended elsewhere; its descriptor is closed */
/* Counts a connection that somebody else has accepted and serves himself as one that is lent, until server_loan_end(). False: there are more than
 * limits.connections, and it is counted all the same. On the worker's loop. */
bool server_lend(struct worker *home);

/*
 * Serves an accepted connection: from its first byte, which was not read. Takes the descriptor, which is non-blocking and watched by nobody.
 * `entry` may be NULL: then in clear. On the worker's loop, until server_drain() has ended it.
 */
void server_take(struct worker *w, int fd, const struct sockaddr_storage *peer, struct server_entry *entry);
struct worker *server_worker(struct server *s, unsigned index);

/*
 * How another process takes over: it gets duplicates of the sockets that are listened on (the caller's to close), by the number of their address; once
 * it has them, server_leave_sockets() lets the drain close ours without taking what the kernel has queued, and leaves the files of Unix sockets. Any
 * thread, before server_drain().
 */
struct server_socket {
	size_t address;
	int fd;
};
struct server_socket *server_sockets(const struct server *s, size_t *ret_count); /* the caller frees */
void server_leave_sockets(struct server *s);

/* Reads certificate and key again; on an error the old ones stay. */
bool server_reload_tls(struct server *s, struct error *err);

/* Closes the listeners, answers what was accepted, then the loops end; what is left at limits.drain_timeout_ms is cut.
 */
void server_drain(struct server *s);
bool server_is_draining(const struct server *s);
void server_wait(struct server *s); /* until all workers have ended */
void server_free(struct server *s);
