/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * upgrade - `hythe up` on a data folder where one runs already takes over from that one, and no client is refused meanwhile: the sockets that are
 * listened on go over, so that whoever connects waits in their queues.
 *
 *	the new one                              the old one
 *	connects to FOLDER/upgrade          →
 *	                                    ←    who it is; all its sockets, each with a key
 *	checks all it can, then: give       →
 *	                                         ends API, controllers and node (pods go on), closes the store; its gateway goes on
 *	                                    ←    free
 *	opens the store, begins to serve: serve →
 *	                                         its gateway takes no more, answers what it has, and the process ends
 *
 * If the new one ends before "give", nothing has happened. If it ends after that and before "serve", the old one answers what its gateway has
 * and starts again, by exec, with the arguments and the sockets it had. If the old one ends before "free", the new one goes on: the
 * store's lock, which the kernel gives back, is what counts. One that is asked while it ends by itself answers what it has, and the new one waits for its end.
 *
 * Who may take over: the same user, or root.
 * Threads: the main one, but the callback `sockets`. Errors: UNAVAILABLE: the other end is none of ours, or speaks another version.
 */
#include <sys/types.h>

#include "cli/cli.h"
#include "gateway/gateway.h"

/* ---- the new one ---- */

struct upgrade;

/* NULL: nobody runs there, or it has ended meanwhile (err says nothing), or the one who does cannot hand over (err). Sockets that were not asked for are closed by upgrade_free(). */
struct upgrade *upgrade_join(const char *folder, struct error *err);
pid_t upgrade_pid(const struct upgrade *u); /* of the old one; our own: see above, we have started again */

/* Addresses for struct server_config: those wanted, as "fd:N" where there is a socket of the old one's; behind them further sockets of the same. */
struct upgrade_addresses {
	const char **items; /* `count` */
	char **keys;        /* of each: "api 127.0.0.1:6443" */
	size_t count;
};
/* u may be NULL. */
void upgrade_addresses_init(struct upgrade_addresses *a, struct upgrade *u, const char *group,
			    const struct text_list *wanted);
void upgrade_addresses_done(struct upgrade_addresses *a);
/* Sockets of the group ("entry"), with keys without its name: the caller's, and so is the list; the keys live as long as u. */
struct gateway_inherited *upgrade_take(struct upgrade *u, const char *group, size_t *ret_count);

/* Says "give", and waits for "free". */
void upgrade_ask(struct upgrade *u);
/* Says "serve". */
void upgrade_serves(struct upgrade *u);
void upgrade_free(struct upgrade *u); /* NULL is allowed */

/* ---- the old one ---- */

struct upgrade_offer;
struct upgrade_sockets;

/*
 * Listens at FOLDER/upgrade, by a thread of its own. `sockets` is called on that thread and adds all there are. When the other one has said "give",
 * the process gets SIGTERM, and upgrade_ends() is true.
 */
struct upgrade_offer *upgrade_listen(const char *folder, void (*sockets)(void *context, struct upgrade_sockets *to),
				     void *context, struct error *err);
/* Takes the descriptor. */
void upgrade_add(struct upgrade_sockets *to, const char *group, struct span key, int fd);
/* Those of a server, by the keys of the addresses it was made with. */
void upgrade_add_server(struct upgrade_sockets *to, const struct upgrade_addresses *a, const struct server *s);
/* This process ends. True: because it was asked to hand over. Who asks from now on waits for its end. */
bool upgrade_ends(struct upgrade_offer *o);
/* Says "free". True: the other one serves. False: it has ended before. */
bool upgrade_give(struct upgrade_offer *o);
/* Starts this program again with the sockets that it had. Returns only when that is not possible. */
void upgrade_start_again(struct upgrade_offer *o, struct error *err);
/* Ends the thread; the socket's file goes, unless another one serves. NULL is allowed. */
void upgrade_close(struct upgrade_offer *o);
