/* SPDX-License-Identifier: Apache-2.0 */
#include "net/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/number.h"

static int family_of(const struct place *place)
{
	return place->address.ss_family;
}

static void place_any(struct place *ret, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any };

	memcpy(&ret->address, &in6, sizeof(in6));
	ret->len = sizeof(in6);
}

void place_any_ipv4(struct place *ret, uint16_t port)
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

bool place_parse(const char *text, struct place *ret, struct error *err)
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

uint16_t place_port(const struct place *place)
{
	if (family_of(place) == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&place->address)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)(const void *)&place->address)->sin6_port);
}

char *place_text(const struct place *place)
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

void place_set_port(struct place *place, uint16_t port)
{
	if (family_of(place) == AF_INET)
		((struct sockaddr_in *)(void *)&place->address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)(void *)&place->address)->sin6_port = htons(port);
}

bool place_of_socket(int fd, struct place *ret)
{
	struct place place = { .len = sizeof(place.address) };

	if (getsockname(fd, (struct sockaddr *)&place.address, &place.len) != 0 ||
	    (family_of(&place) != AF_INET && family_of(&place) != AF_INET6))
		return false;
	*ret = place;
	return true;
}

int place_bind(const struct place *place, int type, bool is_shared)
{
	int fd = socket(family_of(place), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, off = 0, failure;

	if (fd < 0)
		return -1;
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (type == SOCK_STREAM)
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
