/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * transport - private to net: what server.c, listener.c, connection.c and tls.c share of a worker.
 *
 * Threads: a worker's own, except struct tls and struct listener, which say so.
 */
#include <sys/socket.h>

#include "net/accepting.h"
#include "net/certificates.h"
#include "net/connection.h"
#include "wire/http1.h"

#define WORKER_BUFFERS_KEPT     64 /* of CONNECTION_READ_SIZE: busy connections borrow them, idle ones hold none */
#define WORKER_CONNECTIONS_KEPT 256
#define REJECTED_MOST           256 /* connections over the limit that are told 503; further ones are just closed */

/* ---- TLS (tls.c) ---- */

/* Certificate, key and client CA as of the last (re)load. Any thread. */
struct tls;
struct tls *tls_new(const struct server_config *config, struct error *err);
void tls_free(struct tls *t);
bool tls_reload(struct tls *t, struct error *err); /* on an error the old ones stay */

struct tls_session *tls_accept(struct tls *t, int fd); /* with what is there now */
struct tls_session *tls_session_new(struct certificates *shown, int fd);
void tls_session_free(struct tls_session *s); /* tells the peer that nothing more comes, if it still can */

enum tls_result {
	TLS_OK,
	TLS_WANT_READ,  /* nothing more until the socket is readable */
	TLS_WANT_WRITE, /* or writable */
	TLS_EOF,
	TLS_FAILED,
};
/* The handshake happens inside these two. */
enum tls_result tls_read(struct tls_session *s, char *to, size_t len, size_t *ret_len);
enum tls_result tls_write(struct tls_session *s, struct span bytes, size_t *ret_len);
void tls_session_readable(struct tls_session *s); /* the socket may have bytes again */
bool tls_session_has_pending(const struct tls_session *s);
void tls_session_close_notify(struct tls_session *s);
bool tls_session_is_h2(const struct tls_session *s); /* chosen by ALPN; false before the handshake's end */
/* What the client has shown; NULL: nothing, or the handshake is not done. */
const struct client_certificate *tls_session_client(struct tls_session *s);

/* ---- listeners (listener.c) ---- */

/* One address; with its sockets: one for each worker, or (Unix, inherited) one that they share. Bound before threads exist. */
struct listener {
	char *text;   /* the address really bound */
	char *path;   /* Unix: to be unlinked; NULL for TCP */
	int *sockets; /* worker_count of them, or one (is_shared) */
	unsigned socket_count;
	bool is_shared;         /* one socket for all workers */
	bool is_late;           /* TCP: bound, and refuses clients until acceptor_listen() */
	_Atomic unsigned users; /* workers that still accept: the last one closes what is shared */
	_Atomic bool is_left;   /* another process accepts too: server_leave_sockets() */
};
bool listener_open(struct listener *l, const char *address, unsigned workers, bool is_late, struct error *err);
/* Of a late one: clients wait in the kernel's queue from now on. Any thread, before acceptor_listen(). ALREADY_EXISTS. */
bool listener_listen(struct listener *l, struct error *err);
void listener_close(struct listener *l); /* what is still open; any thread, once nobody accepts */

/* A worker's part of a listener. */
struct acceptor {
	struct accepting accepting;
	struct worker *worker;
	struct listener *listener;
	bool is_open, is_listening;
};
void acceptor_open(struct acceptor *a, struct worker *w, struct listener *l);
void acceptor_listen(struct acceptor *a); /* a late listener listens now */
void acceptor_close(struct acceptor *a);  /* takes what the kernel has queued first */

/* ---- worker (server.c) ---- */

struct worker_private {
	struct tls *tls;
	struct acceptor *acceptors; /* one for each listener */
	size_t acceptor_count;
	char *buffers[WORKER_BUFFERS_KEPT];
	size_t buffer_count;
	struct connection *free_connections;
	size_t free_connection_count;
	struct http1_head head; /* scratch of http1.c: used within one call */
	struct metric_series *received, *sent, *open, *accepted, *rejected;
	struct timer drain_timer;
	int64_t drain_until_ns;
};

/* Whose loop is given connections by direct.h. */
struct worker *server_first_worker(struct server *s);
/* Counts a client's connection that was accepted. False: there are too many; *ret_count tells how many. */
bool worker_connection_accept(struct worker *w, size_t *ret_count);
/* Counts one more open connection; false when there are as many as may be. */
bool worker_connection_add(struct worker *w, size_t *ret_count);
void worker_connection_remove(struct worker *w);

/* ---- connections (connection.c) ---- */

/* Takes over `fd`. is_rejected: answers 503 and closes. */
void connection_open(struct worker *w, int fd, const struct sockaddr_storage *peer, bool is_rejected);
/* Takes over `fd`, of somebody else's listener. */
void connection_enter(struct worker *w, int fd, const struct sockaddr_storage *peer, struct server_entry *entry,
		      bool is_rejected);
/* Takes over `fd`, whose other end is ours too: see server_adopt(). */
void connection_adopt(struct worker *w, int fd);
/* Takes over `fd`, a client's connection that somebody else has accepted. */
struct connection *connection_take(struct worker *w, int fd, const char *peer);
/* Of one that was taken from a giver, and has nothing unread or unsent but what goes with it: it is forgotten here. */
void connection_leave(struct connection *c);
/* Bytes have come, or may have: as if the loop had said so. */
void connection_look(struct connection *c);
/* Has no request, nothing unread, nothing unsent. */
bool connection_is_idle(const struct connection *c);
void connection_drain(struct connection *c);
/* Closes what must go now that the drain's time is over. */
void connection_cut_all(struct worker *w);
void connection_pool_done(struct worker *w);
