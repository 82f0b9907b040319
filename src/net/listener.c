/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "net/transport.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* An address with its length, of any family. */
struct place {
	struct sockaddr_storage address;
	socklen_t len;
};

static int family_of(const struct place *place)
{
	return place->address.ss_family;
}

/* ---- reading addresses ---- */

static void place_any(struct place *ret, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any };

	memcpy(&ret->address, &in6, sizeof(in6));
	ret->len = sizeof(in6);
}

static void place_any_ipv4(struct place *ret, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	memcpy(&ret->address, &in, sizeof(in));
	ret->len = sizeof(in);
}

static bool place_named(const char *host, uint16_t port, struct place *ret, struct error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_ADDRCONFIG }, *found = NULL;
	char service[8];
	int failure;

	snprintf(service, sizeof(service), "%u", port);
	failure = getaddrinfo(host, service, &hints, &found);
	if (failure)
		return error_set(err, ERROR_INVALID, "listen address '%s': %s", host, gai_strerror(failure));
	memcpy(&ret->address, found->ai_addr, found->ai_addrlen);
	ret->len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static bool place_numeric(const char *host, uint16_t port, struct place *ret)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, host, &v4) == 1) {
		place_any_ipv4(ret, port);
		((struct sockaddr_in *)(void *)&ret->address)->sin_addr = v4;
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6) == 1) {
		place_any(ret, port);
		((struct sockaddr_in6 *)(void *)&ret->address)->sin6_addr = v6;
		return true;
	}
	return false;
}

/* "127.0.0.1:8080", "[::1]:8080", "name:8080", ":8080". */
static bool place_parse(const char *text, struct place *ret, struct error *err)
{
	const char *colon = strrchr(text, ':');
	char host[256];
	uint64_t port;
	size_t len;

	if (!colon || !number_parse_uint64(span_of(colon + 1), &port) || port > 65535)
		return error_set(
		    err, ERROR_INVALID,
		    "listen address '%s' is not HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH with a port up to 65535",
		    text);
	len = (size_t)(colon - text);
	if (len == 0) {
		place_any(ret, (uint16_t)port);
		return true;
	}
	if (text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return error_set(err, ERROR_INVALID,
				 "listen address '%s': an IPv6 address stands in brackets, as in [::1]:8080", text);
	}
	if (len == 0 || len >= sizeof(host))
		return error_set(err, ERROR_INVALID, "listen address '%s' has no host, or one over %zu bytes", text,
				 sizeof(host) - 1);
	memcpy(host, text, len);
	host[len] = 0;
	return place_numeric(host, (uint16_t)port, ret) || place_named(host, (uint16_t)port, ret, err);
}

static uint16_t place_port(const struct place *place)
{
	if (family_of(place) == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&place->address)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)(const void *)&place->address)->sin6_port);
}

static char *place_text(const struct place *place)
{
	char host[INET6_ADDRSTRLEN] = "", *text = NULL;
	int len;

	if (family_of(place) == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)&place->address)->sin_addr, host,
			  sizeof(host));
		len = asprintf(&text, "%s:%u", host, place_port(place));
	} else {
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)&place->address)->sin6_addr, host,
			  sizeof(host));
		len = asprintf(&text, "[%s]:%u", host, place_port(place));
	}
	ASSERT(len > 0);
	return text;
}

/* ---- binding ---- */

static bool bind_failed(const char *address, int errnum, struct error *err)
{
	if (errnum == EADDRINUSE)
		return error_set(err, ERROR_ALREADY_EXISTS,
				 "%s is taken by another program: choose another with --listen", address);
	return error_errno(err, errnum, "cannot listen on %s", address);
}

/* A bound socket, or -1 with errno. is_shared: others of ours bind the same port. */
static int tcp_bind(const struct place *place, bool is_shared)
{
	int fd = socket(family_of(place), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, off = 0, failure;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted sockets inherit it */
	if (family_of(place) == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (const struct sockaddr *)&place->address, place->len) == 0)
		return fd;
	failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

/* With SO_REUSEPORT the kernel would let us share a port with another hythe of the same user: ask without it first. */
static bool is_free(const struct place *place, const char *address, struct error *err)
{
	int fd;

	if (place_port(place) == 0)
		return true;
	fd = tcp_bind(place, false);
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

static bool tcp_open(struct listener *l, const char *address, unsigned workers, struct error *err)
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
		int fd = tcp_bind(&place, true);

		if (fd < 0)
			return bind_failed(address, errno, err);
		l->sockets[l->socket_count] = fd;
		if (listen(fd, BACKLOG) < 0) {
			l->socket_count++;
			return bind_failed(address, errno, err);
		}
		place.len = sizeof(place.address);
		ASSERT(getsockname(fd, (struct sockaddr *)&place.address, &place.len) ==
		       0); /* port 0: the first chooses */
	}
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
	if (listen(fd, BACKLOG) < 0)
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

bool listener_open(struct listener *l, const char *address, unsigned workers, struct error *err)
{
	*l = (struct listener){ .users = workers };
	if (strncmp(address, "unix:", 5) == 0)
		return unix_open(l, address + 5, err);
	if (strncmp(address, "fd:", 3) == 0)
		return fd_open(l, address + 3, err);
	return tcp_open(l, address, workers, err);
}

static void listener_shut(struct listener *l)
{
	for (unsigned i = 0; i < l->socket_count; i++) {
		if (l->sockets[i] >= 0)
			close(l->sockets[i]);
		l->sockets[i] = -1;
	}
	if (l->path)
		(void)unlink(l->path); /* gone already if someone cleaned up */
	free(l->path);
	l->path = NULL;
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

static void acceptor_ready(struct watch *w, unsigned events);

static void acceptor_watch(struct acceptor *a)
{
	unsigned events = LOOP_READ | (a->listener->is_shared ? (unsigned)LOOP_SHARED : 0u);

	a->is_watched = true;
	loop_watch(a->worker->loop, &a->watch, *acceptor_socket(a), events, acceptor_ready);
}

static void pause_over(struct timer *t)
{
	acceptor_watch(CONTAINER_OF(t, struct acceptor, pause));
}

/* Out of descriptors or memory: new clients wait in the kernel's queue, or this would spin. */
static void acceptor_pause(struct acceptor *a, int errnum)
{
	log_warn("server", "cannot accept connections for now", LOG_TEXT("reason", strerror(errnum)),
		 LOG_TEXT("listener", a->listener->text));
	if (!a->is_watched)
		return;
	loop_unwatch(a->worker->loop, &a->watch);
	a->is_watched = false;
	loop_timer_set(a->worker->loop, &a->pause, loop_now(a->worker->loop) + ACCEPT_PAUSE_NS, pause_over);
}

static void accepted(struct acceptor *a, int fd, const struct sockaddr_storage *peer)
{
	struct worker *w = a->worker;
	struct worker_private *more = w->more;
	size_t count;

	metric_add(more->accepted, 1);
	if (LIKELY(worker_connection_add(w, &count))) {
		connection_open(w, fd, peer, false);
		return;
	}
	metric_add(more->rejected, 1);
	if (count > worker_config(w)->limits.connections + REJECTED_MOST || (more->tls && peer->ss_family != AF_UNIX)) {
		close(fd);
		worker_connection_remove(w);
		return;
	}
	connection_open(w, fd, peer, true);
}

/* False when there is nobody more to accept. */
static bool accept_one(struct acceptor *a)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(peer);
	int fd = accept4(*acceptor_socket(a), (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		accepted(a, fd, &peer);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		acceptor_pause(a, errno);
		return false;
	default: /* this client is gone already (accept(2)); the next may not be */
		return true;
	}
}

static void acceptor_ready(struct watch *w, unsigned events)
{
	struct acceptor *a = CONTAINER_OF(w, struct acceptor, watch);

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && accept_one(a); i++)
		;
}

void acceptor_open(struct acceptor *a, struct worker *w, struct listener *l)
{
	*a = (struct acceptor){ .worker = w, .listener = l, .is_open = true };
	acceptor_watch(a);
}

void acceptor_close(struct acceptor *a)
{
	struct listener *l = a->listener;

	if (!a->is_open)
		return;
	a->is_open = false;
	loop_timer_clear(a->worker->loop, &a->pause);
	if (a->is_watched)
		loop_unwatch(a->worker->loop, &a->watch);
	a->is_watched = false;
	/* Clients in the kernel's queue have been told that they are connected: closing now would reset them. */
	for (int i = 0; i < BACKLOG && accept_one(a); i++)
		;
	if (!l->is_shared) {
		close(*acceptor_socket(a));
		*acceptor_socket(a) = -1;
	}
	if (atomic_fetch_sub(&l->users, 1) == 1 && l->is_shared)
		listener_shut(l);
}
