/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * place - addresses that are listened on: read, bound, written.
 *
 * Threads: any. Errors: INVALID: text that is no address.
 */
#include <sys/socket.h>

#include "base/base.h"

/* An address with its length, of any family. */
struct place {
	struct sockaddr_storage address;
	socklen_t len;
};

/* "127.0.0.1:8080", "[::1]:8080", "name:8080", ":8080" (every address). */
bool place_parse(const char *text, struct place *ret, struct error *err);
void place_any_ipv4(struct place *ret, uint16_t port);
uint16_t place_port(const struct place *place);
void place_set_port(struct place *place, uint16_t port);
char *place_text(const struct place *place); /* the caller frees */
/* What a socket is bound to. */
bool place_of_socket(int fd, struct place *ret);

/*
 * A bound socket (SOCK_STREAM, SOCK_DGRAM), non-blocking; or -1 with errno. is_shared: others of ours bind the same port. With that the kernel would
 * also let us share a port with another process of the same user: whoever wants to know binds without it first.
 */
int place_bind(const struct place *place, int type, bool is_shared);
#define PLACE_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */
