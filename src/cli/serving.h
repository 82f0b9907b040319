/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * serving - what `hythe serve` does alike for model files (serve_models.c) and for code (serve_code.c).
 *
 * Threads: the program's main thread, which takes the signals.
 */
#include <signal.h>

#include "cli/describe.h"
#include "cli/options.h"
#include "net/server.h"

/* The settings of a server by the flags; routes, context and workers are for the caller. */
struct server_config serving_config(const struct serve_options *options);

/* --bind, or else --listen. */
const struct text_list *serving_addresses(const struct serve_options *options);

/* The lines that tell where it listens; with `protocols` behind the first, unless quiet. */
void serving_print_addresses(const struct serve_options *options, const struct server *server, const char *protocols,
			     struct buffer *out);

/* How a client on this machine reaches the listener: url (written to `url`), TLS, a Unix socket's path. */
void serving_target(const struct serve_options *options, const char *address, struct describe_target *target,
		    struct buffer *url);

/* As many open files as the system's hard limit lets us have: a connection is one, and what shells give is often 1024. */
void serving_raise_files(void);

/* SIGTERM, SIGINT and SIGHUP, to be blocked before threads are made. */
sigset_t serving_signals(void);

/* Takes signals until it is time to end: SIGHUP calls reload(); `tick` (may be NULL) is called every tick_ns. Gives free
 * memory back now and then. The signal that ends is given back. */
int serving_wait(void (*reload)(void *context), void (*tick)(void *context), int64_t tick_ns, void *context);

/* Reads the certificate again when there is one; says in the log what came of it. */
void serving_reload_tls(const struct serve_options *options, struct server *server);

/* The server names its own flag, --listen, where an address is taken: here that is another. False. */
bool serving_name_flag(struct error *err, const char *rest);

/* What was accepted is answered. A second signal ends the program as if it had never been caught. */
void serving_drain(struct server *server);

/* The two ways to serve, once flags and targets are checked. EXIT_x. */
int serve_models(const struct cli_call *call);
int serve_code(const struct cli_call *call);
