/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* upgrade_private - the packets that both sides of an upgrade know. Sequenced packets over a Unix socket; see upgrade.h. */
#include <sys/socket.h>
#include <sys/un.h>

#include "cli/upgrade.h"

#define UPGRADE_FILE     "upgrade"          /* in the data folder */
#define UPGRADE_VARIABLE "HYTHE_UPGRADE_FD" /* of a process that has started itself again */
#define UPGRADE_GREETING                                                                                               \
	"hythe-upgrade 1" /* both say so first; the old one adds its process and how many sockets it has */
#define UPGRADE_GIVE   "give"
#define UPGRADE_FREE   "free"
#define UPGRADE_SERVES "serve"
enum { UPGRADE_SOCKETS_AT_ONCE = 64, UPGRADE_PACKET = 64 << 10 /* a line with the key for each */ };

struct upgrade_socket {
	char *key;
	int fd; /* -1: taken */
};
struct upgrade_sockets {
	struct upgrade_socket *list;
	size_t count;
};
void upgrade_sockets_done(struct upgrade_sockets *s); /* closes what is left */

bool upgrade_send(int fd, struct span text, const int *fds, size_t count);
/* One packet; 0 at the end of the connection, -1 with errno. Descriptors are closed when ret_fds is NULL. */
ssize_t upgrade_receive(int fd, char *text, size_t size, int *ret_fds, size_t *ret_count);
bool upgrade_hears(int fd, const char *word); /* false: something else, or the end */
bool upgrade_is_ours(int fd);                 /* the other end is this user's, or root's */
/* A path of any length: by a descriptor of the folder, which is given back, to be closed after the address was used. */
int upgrade_address(const char *folder, struct sockaddr_un *ret);
