/* SPDX-License-Identifier: Apache-2.0 */
/* entries_bind - how a set of sockets comes to its address: inherited, wanted, or from the range of load balancers. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/entries_private.h"

static void set_drop_fds(struct entry_set *s)
{
	while (s->fd_count)
		close(s->fds[--s->fd_count]);
}

enum bound { BOUND_OK, BOUND_TAKEN, BOUND_WAITS, BOUND_FAILED };

static bool is_any(const struct place *p)
{
	static const struct in6_addr any = IN6ADDR_ANY_INIT;

	if (p->address.ss_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&p->address)->sin_addr.s_addr == INADDR_ANY;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)&p->address)->sin6_addr, &any, sizeof(any)) == 0;
}

static bool is_same_host(const struct place *a, const struct place *b)
{
	if (a->address.ss_family != b->address.ss_family)
		return false;
	if (a->address.ss_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&a->address)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)(const void *)&b->address)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)&a->address)->sin6_addr,
		      &((const struct sockaddr_in6 *)(const void *)&b->address)->sin6_addr,
		      sizeof(struct in6_addr)) == 0;
}

/* A set of ours at that port; of two: one with the same address before one of all addresses. */
static const struct entry_set *set_at(const struct entries *e, const struct entry_set *but, const struct place *place)
{
	const struct entry_set *found = NULL;

	for (const struct entry_set *s = e->sets; s; s = s->next) {
		if (s == but || s->type != but->type || (s->state != SET_BOUND && s->state != SET_GONE) ||
		    place_port(&s->place) != place_port(place))
			continue;
		if (is_same_host(&s->place, place))
			return s;
		if (is_any(&s->place) || is_any(place))
			found = s;
	}
	return found;
}

static bool bind_failed(const struct place *place, int errnum, struct error *err)
{
	AUTO_FREE char *text = place_text(place);

	if (errnum == EADDRINUSE)
		return error_set(err, ERROR_ALREADY_EXISTS, "%s is taken by another program", text);
	if (errnum == EACCES && place_port(place) < 1024)
		return error_set(
		    err, ERROR_FORBIDDEN,
		    "%s: this user may not listen on ports under 1024 (root may, a program with "
		    "CAP_NET_BIND_SERVICE, or everybody with sysctl net.ipv4.ip_unprivileged_port_start=%u)",
		    text, place_port(place));
	return error_errno(err, errnum, "cannot listen on %s", text);
}

/* As many sockets as workers. */
static bool set_fill(const struct entries *e, struct entry_set *s, struct error *err)
{
	s->fds = base_realloc(s->fds, MAX(s->fd_count, e->worker_count) * sizeof(*s->fds));
	while (s->fd_count < e->worker_count) {
		int fd = place_bind(&s->place, s->type, true);

		if (fd < 0)
			return bind_failed(&s->place, errno, err);
		s->fds[s->fd_count++] = fd;
		if (s->type == SOCK_STREAM && listen(fd, PLACE_BACKLOG) != 0)
			return bind_failed(&s->place, errno, err);
	}
	return true;
}

static enum bound set_bind_to(const struct entries *e, struct entry_set *s, const struct place *place,
			      struct error *err)
{
	const struct entry_set *other = set_at(e, s, place);
	bool is_same = other && is_same_host(&other->place, place);

	if (is_same && other->state == SET_GONE)
		return BOUND_WAITS;
	if (is_same) {
		AUTO_FREE char *text = place_text(place);

		error_set(err, ERROR_ALREADY_EXISTS, "%s is taken by '" SPAN_FMT "'", text, SPAN_ARG(other->key));
		return BOUND_TAKEN;
	}
	if (!other && place_port(place)) { /* is it free? With SO_REUSEPORT the kernel would share it */
		int fd = place_bind(place, s->type, false);

		if (fd < 0) {
			int failure = errno;

			bind_failed(place, failure, err);
			return failure == EADDRINUSE ? BOUND_TAKEN : BOUND_FAILED;
		}
		close(fd);
	}
	s->place = *place;
	if (set_fill(e, s, err))
		return BOUND_OK;
	set_drop_fds(s);
	return err->code == ERROR_ALREADY_EXISTS ? BOUND_TAKEN : BOUND_FAILED;
}

/* The next free port of the range. */
static enum bound set_bind_in_range(struct entries *e, struct entry_set *s, struct place *place, struct error *err)
{
	int first = e->config->load_balancer_first, count = e->config->load_balancer_last - first + 1;

	for (int i = 0; i < count; i++) {
		int port = first + (e->next_port + i) % count;
		struct error ignored = { 0 };

		place_set_port(place, (uint16_t)port);
		if (set_bind_to(e, s, place, &ignored) != BOUND_OK)
			continue;
		e->next_port = (port - first + 1) % count;
		return BOUND_OK;
	}
	error_set(err, ERROR_EXHAUSTED, "no port of %d to %d is free for a load balancer", first,
		  e->config->load_balancer_last);
	return BOUND_TAKEN;
}

static enum bound set_bind_new(struct entries *e, struct entry_set *s, const struct plan_entry *entry,
			       struct error *err)
{
	AUTO_FREE char *text = span_to_text(entry->address);
	struct place place;

	if (!place_parse(text, &place, err))
		return BOUND_FAILED;
	if (place_port(&place) == 0 && entry->wanted_port > 0 && entry->wanted_port <= UINT16_MAX) {
		struct error ignored = { 0 };
		enum bound how;

		place_set_port(&place, (uint16_t)entry->wanted_port);
		how = set_bind_to(e, s, &place, &ignored);
		if (how == BOUND_OK || how == BOUND_WAITS)
			return how;
		return set_bind_in_range(e, s, &place, err);
	}
	return set_bind_to(e, s, &place, err);
}

/* The sockets that the hythe before this one had for this key. */
static bool set_inherit(struct entries *e, struct entry_set *s, struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->inherited_count; i++) {
		struct gateway_inherited *in = &e->inherited[i];

		if (!span_equal(in->key, s->key)) {
			e->inherited[kept++] = *in;
			continue;
		}
		free((char *)in->key.ptr);
		if (!place_of_socket(in->fd, &s->place)) {
			close(in->fd);
			continue;
		}
		s->fds = base_realloc(s->fds, (s->fd_count + 1) * sizeof(*s->fds));
		s->fds[s->fd_count++] = in->fd;
	}
	e->inherited_count = kept;
	if (!s->fd_count)
		return false;
	if (!set_fill(e, s, err)) /* fewer than workers: those that there are suffice */
		*err = (struct error){ 0 };
	return true;
}

void set_bind(struct entries *e, struct entry_set *s, const struct plan_entry *entry)
{
	enum set_state before = s->state;
	struct error err = { 0 };
	enum bound how;

	s->type = entry->is_udp ? SOCK_DGRAM : SOCK_STREAM;
	how = set_inherit(e, s, &err) ? BOUND_OK : set_bind_new(e, s, entry, &err);
	if (how == BOUND_OK) {
		struct place place;

		/* Port 0: the kernel chose for the first. */
		if (place_of_socket(s->fds[0], &place))
			s->place = place;
		s->state = SET_BOUND;
		s->is_told = false;
		return;
	}
	s->state = how == BOUND_WAITS ? SET_WAITS : SET_FAILED;
	if (how == BOUND_WAITS)
		return;
	if (before != SET_FAILED || strcmp(err.message, s->error.message) != 0)
		s->is_told = false;
	s->error = err;
}
