/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/number.h"
#include "net/place.h"
#include "net/transport.h"

static int family_of(const struct place *place)
{
	return place->address.ss_family;
}

/* ---- binding ---- */

static bool bind_failed(const char *address, int errnum, struct error *err)
{
	if (errnum == EADDRINUSE)
		return error_set(err, ERROR_ALREADY_EXISTS,
				 "%s is taken by another program: choose another with --listen", address);
	return error_errno(err, errnum, "cannot listen on %s", address);
}

/* With SO_REUSEPORT the kernel would let us share a port with another hythe of the same user: ask without it first. */
static bool is_free(const struct place *place, const char *address, struct error *err)
{
	int fd;

	if (place_port(place) == 0)
		return true;
	fd = place_bind(place, SOCK_STREAM, false);
	if (fd < 0)
		return bind_failed(address, errno, err);
	close(fd);
	return true;
}

static bool has_ipv6(void)
{
	AUTO_CLOSE int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0;
}

static bool tcp_open(struct listener *l, const char *address, unsigned workers, bool is_late, struct error *err)
{
	struct place place;

	if (!place_parse(address, &place, err))
		return false;
	if (address[0] == ':' && !has_ipv6())
		place_any_ipv4(&place, place_port(&place));
	if (!is_free(&place, address, err))
		return false;
	l->sockets = base_calloc(workers, sizeof(*l->sockets));
	for (; l->socket_count < workers; l->socket_count++) {
		int fd = place_bind(&place, SOCK_STREAM, true);

		if (fd < 0)
			return bind_failed(address, errno, err);
		l->sockets[l->socket_count] = fd;
		if (!is_late && listen(fd, PLACE_BACKLOG) < 0) {
			l->socket_count++;
			return bind_failed(address, errno, err);
		}
		place.len = sizeof(place.address);
		ASSERT(getsockname(fd, (struct sockaddr *)&place.address, &place.len) ==
		       0); /* port 0: the first chooses */
	}
	l->is_late = is_late;
	l->text = place_text(&place);
	return true;
}

/* A socket file that nobody answers on was left by a process that was killed. */
static bool remove_stale(const char *path, const struct sockaddr_un *un, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return true;
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ERROR_ALREADY_EXISTS,
				 "cannot listen on unix:%s: a file that is no socket is there", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "cannot listen on unix:%s", path);
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno == EAGAIN)
		return error_set(err, ERROR_ALREADY_EXISTS,
				 "unix:%s is taken by another program: choose another with --listen", path);
	if (errno == ECONNREFUSED)
		(void)unlink(path);
	return true;
}

static bool unix_open(struct listener *l, const char *path, struct error *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(un.sun_path))
		return error_set(err, ERROR_INVALID, "unix:%s: a path of 1 to %zu bytes is needed", path,
				 sizeof(un.sun_path) - 1);
	memcpy(un.sun_path, path, len);
	if (!remove_stale(path, &un, err))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, errno, "cannot listen on unix:%s", path);
	l->sockets = base_calloc(1, sizeof(*l->sockets));
	l->sockets[l->socket_count++] = fd;
	if (bind(fd, (const struct sockaddr *)&un, sizeof(un)) < 0)
		return error_errno(err, errno, "cannot listen on unix:%s", path);
	l->is_shared = true;
	l->path = base_alloc(len + 1);
	memcpy(l->path, path, len + 1);
	if (listen(fd, PLACE_BACKLOG) < 0)
		return error_errno(err, errno, "cannot listen on unix:%s", path);
	ASSERT(asprintf(&l->text, "unix:%s", path) > 0);
	return true;
}

static bool fd_open(struct listener *l, const char *number, struct error *err)
{
	struct place place = { .len = sizeof(place.address) };
	int is_listening = 0;
	socklen_t len = sizeof(is_listening);
	uint64_t fd;

	if (!number_parse_uint64(span_of(number), &fd) || fd > INT_MAX)
		return error_set(err, ERROR_INVALID, "fd:%s: the number of a descriptor is needed", number);
	if (getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) < 0)
		return error_errno(err, errno, "cannot listen on fd:%s", number);
	if (!is_listening || getsockname((int)fd, (struct sockaddr *)&place.address, &place.len) < 0)
		return error_set(err, ERROR_INVALID, "fd:%s is no socket that listens", number);
	if (fcntl((int)fd, F_SETFL, fcntl((int)fd, F_GETFL) | O_NONBLOCK) < 0 ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot listen on fd:%s", number);
	l->is_shared = true;
	l->sockets = base_calloc(1, sizeof(*l->sockets));
	l->sockets[l->socket_count++] = (int)fd;
	if (family_of(&place) == AF_INET || family_of(&place) == AF_INET6)
		l->text = place_text(&place);
	else
		ASSERT(asprintf(&l->text, "unix:%.107s",
				((const struct sockaddr_un *)(const void *)&place.address)->sun_path) > 0);
	return true;
}

bool listener_open(struct listener *l, const char *address, unsigned workers, bool is_late, struct error *err)
{
	*l = (struct listener){ .users = workers };
	if (strncmp(address, "unix:", 5) == 0)
		return unix_open(l, address + 5, err);
	if (strncmp(address, "fd:", 3) == 0)
		return fd_open(l, address + 3, err);
	return tcp_open(l, address, workers, is_late, err);
}

bool listener_listen(struct listener *l, struct error *err)
{
	struct place place;

	if (!l->is_late)
		return true;
	/* Sockets that are bound alone keep no other program away. */
	if (!place_parse(l->text, &place, err) || !is_free(&place, l->text, err))
		return false;
	for (unsigned i = 0; i < l->socket_count; i++)
		if (listen(l->sockets[i], PLACE_BACKLOG) < 0)
			return bind_failed(l->text, errno, err);
	return true;
}

static void listener_shut(struct listener *l)
{
	/* First: where nobody listens any more the next one puts a socket of its own. */
	if (l->path && !atomic_load(&l->is_left))
		(void)unlink(l->path); /* gone already if someone cleaned up */
	free(l->path);
	l->path = NULL;
	for (unsigned i = 0; i < l->socket_count; i++) {
		if (l->sockets[i] >= 0)
			close(l->sockets[i]);
		l->sockets[i] = -1;
	}
}

void listener_close(struct listener *l)
{
	listener_shut(l);
	free(l->sockets);
	free(l->text);
	*l = (struct listener){ .sockets = NULL };
}

/* ---- accepting ---- */

static int *acceptor_socket(const struct acceptor *a)
{
	return &a->listener->sockets[a->listener->is_shared ? 0 : a->worker->index];
}

static void accepted(struct accepting *accepting, int fd, const struct sockaddr_storage *peer)
{
	struct worker *w = CONTAINER_OF(accepting, struct acceptor, accepting)->worker;
	struct worker_private *more = w->more;
	size_t count;

	if (LIKELY(worker_connection_accept(w, &count))) {
		connection_open(w, fd, peer, false);
		return;
	}
	if (count > worker_config(w)->limits.connections + REJECTED_MOST || (more->tls && peer->ss_family != AF_UNIX)) {
		close(fd);
		worker_connection_remove(w);
		return;
	}
	connection_open(w, fd, peer, true);
}

static void acceptor_begin(struct acceptor *a)
{
	a->accepting = (struct accepting){ .loop = a->worker->loop,
					   .fd = *acceptor_socket(a),
					   .is_shared = a->listener->is_shared,
					   .room = "server",
					   .name = a->listener->text,
					   .accepted = accepted };
	a->is_listening = true;
	accepting_begin(&a->accepting);
}

void acceptor_open(struct acceptor *a, struct worker *w, struct listener *l)
{
	*a = (struct acceptor){ .worker = w, .listener = l, .is_open = true };
	if (!l->is_late)
		acceptor_begin(a);
}

void acceptor_listen(struct acceptor *a)
{
	if (a->is_open && !a->is_listening)
		acceptor_begin(a);
}

void acceptor_close(struct acceptor *a)
{
	struct listener *l = a->listener;

	if (!a->is_open)
		return;
	a->is_open = false;
	if (a->is_listening)
		accepting_end(&a->accepting);
	/* Clients in the kernel's queue have been told that they are connected. */
	for (int i = 0; a->is_listening && i < PLACE_BACKLOG && !atomic_load(&l->is_left); i++)
		if (!accepting_one(&a->accepting))
			break;
	if (!l->is_shared) {
		close(*acceptor_socket(a));
		*acceptor_socket(a) = -1;
	}
	if (atomic_fetch_sub(&l->users, 1) == 1 && l->is_shared)
		listener_shut(l);
}
