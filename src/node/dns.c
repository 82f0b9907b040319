/* SPDX-License-Identifier: Apache-2.0 */
/* dns - the sockets: datagrams and connections of the pod's, questions to the machine's name servers. */
#include "node/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "kube/ranges.h"
#include "loop/loop.h"

enum { SERVFAIL = 2, NXDOMAIN = 3 };
#define OUTSIDE_WAIT_NS INT64_C(5000000000)        /* as resolvers wait */
#define CLIENT_WAIT_NS  (INT64_C(10) * 1000000000) /* for its next question */

struct client;

/* A question asked outside. */
struct asked {
	struct dns *dns;
	struct asked *next;
	struct watch watch;
	struct timer timer;
	int fd;
	uint16_t id; /* of ours */
	struct dns_question question;
	struct span query, alias; /* copies */
	struct client *client;    /* NULL: a datagram, from `from` */
	struct sockaddr_storage from;
	socklen_t from_len;
};

/* A connection of the pod's. */
struct client {
	struct dns *dns;
	struct client *next;
	struct watch watch;
	struct timer timer;
	int fd;
	struct buffer in;
};

struct dns {
	struct loop *loop;
	struct service_table *table;
	bool asks_outside;
	int udp, tcp;
	struct watch udp_watch, tcp_watch;
	struct asked *asked;
	struct client *clients;
	size_t asked_count, client_count;
	struct buffer out;
};

bool dns_is_at(struct in_addr a)
{
	return ntohl(a.s_addr) == DNS_ADDRESS;
}

/* ---- answers to the pod ---- */

static void client_end(struct client *c);

static void client_send(struct client *c, struct span message)
{
	char head[2] = { (char)(message.len >> 8), (char)message.len };
	struct iovec parts[2] = { { head, sizeof(head) }, { (void *)message.ptr, message.len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };

	/* One that does not read its answers gets no more. */
	if (sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)(message.len + sizeof(head)))
		client_end(c);
}

static void datagram_send(struct dns *d, const struct sockaddr_storage *to, socklen_t len, struct span message)
{
	(void)sendto(d->udp, message.ptr, message.len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)to, len);
}

/* ---- outside ---- */

static void asked_end(struct asked *a)
{
	struct asked **at = &a->dns->asked;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	a->dns->asked_count--;
	if (a->fd >= 0) {
		loop_unwatch(a->dns->loop, &a->watch);
		close(a->fd);
	}
	loop_timer_clear(a->dns->loop, &a->timer);
	free((char *)a->query.ptr);
	free((char *)a->alias.ptr);
	free(a);
}

static void asked_answer(struct asked *a, struct span message)
{
	struct client *client = a->client;

	a->client = NULL; /* who does not take the answer ends, and with it what it asked */
	if (client)
		client_send(client, message);
	else
		datagram_send(a->dns, &a->from, a->from_len, message);
	asked_end(a);
}

static void asked_fail(struct asked *a, int code)
{
	dns_answer_error(a->query, &a->question, code, &a->dns->out);
	asked_answer(a, buffer_span(&a->dns->out));
}

static void asked_late(struct timer *t)
{
	asked_fail(CONTAINER_OF(t, struct asked, timer), SERVFAIL);
}

static void asked_ready(struct watch *w, unsigned events)
{
	static char bytes[DNS_MESSAGE_MOST];
	struct asked *a = CONTAINER_OF(w, struct asked, watch);
	ssize_t n = recv(a->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		asked_fail(a, SERVFAIL); /* refused: no name server is there */
		return;
	}
	if (n < 12 || (uint16_t)((unsigned char)bytes[0] << 8 | (unsigned char)bytes[1]) != a->id)
		return; /* somebody else's */
	if (a->alias.len) {
		dns_answer_alias(a->query, &a->question, a->alias, span_from(bytes, (size_t)n), &a->dns->out);
		asked_answer(a, buffer_span(&a->dns->out));
		return;
	}
	bytes[0] = (char)(a->question.id >> 8);
	bytes[1] = (char)a->question.id;
	asked_answer(a, span_from(bytes, (size_t)n));
}

/* The first name server of the machine's; false: it has none. */
static bool server_find(struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	FILE *f = fopen("/etc/resolv.conf", "re");
	char line[512], address[64];
	bool is_found = false;

	while (f && !is_found && fgets(line, sizeof(line), f)) {
		struct span rest = span_trim(span_of(line)), word = span_cut(&rest, ' ');

		rest = span_trim(rest);
		if (!span_equal(word, SPAN("nameserver")) || rest.len >= sizeof(address))
			continue;
		memcpy(address, rest.ptr, rest.len);
		address[rest.len] = '\0';
		memset(ret, 0, sizeof(*ret));
		if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
			four->sin_family = AF_INET;
			four->sin_port = htons(DNS_PORT);
			*ret_len = sizeof(*four);
			is_found = true;
		} else if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
			six->sin6_family = AF_INET6;
			six->sin6_port = htons(DNS_PORT);
			*ret_len = sizeof(*six);
			is_found = true;
		}
	}
	if (f)
		(void)fclose(f);
	return is_found;
}

static struct span copy(struct span s)
{
	char *to = base_alloc(s.len + 1);

	memcpy(to, s.len ? s.ptr : "", s.len);
	return span_from(to, s.len);
}

static bool question_send(struct asked *a)
{
	struct sockaddr_storage server;
	struct buffer *out = &a->dns->out;
	socklen_t len = 0;

	a->id = (uint16_t)random_fast();
	if (a->alias.len) {
		if (!dns_question_write(a->id, a->alias, a->question.type, out))
			return false;
	} else {
		buffer_clear(out);
		buffer_append(out, a->query);
		out->ptr[0] = (char)(a->id >> 8);
		out->ptr[1] = (char)a->id;
	}
	if (!server_find(&server, &len))
		return false;
	/* A socket for each question: its port is as hard to guess as its number. */
	a->fd = socket(server.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return false;
	loop_watch(a->dns->loop, &a->watch, a->fd, LOOP_READ, asked_ready);
	return connect(a->fd, (struct sockaddr *)&server, len) == 0 &&
	       send(a->fd, out->ptr, out->len, MSG_NOSIGNAL) >= 0;
}

static void ask_outside(struct dns *d, struct span query, const struct dns_question *q, struct span alias,
			struct client *client, const struct sockaddr_storage *from, socklen_t from_len)
{
	struct asked *a;

	if (d->asked_count >= DNS_ASKED_MOST)
		return;
	a = base_calloc(1, sizeof(*a));
	*a = (struct asked){ .dns = d,
			     .next = d->asked,
			     .fd = -1,
			     .question = *q,
			     .query = copy(query),
			     .alias = copy(alias),
			     .client = client,
			     .from_len = from_len };
	if (from)
		a->from = *from;
	d->asked = a;
	d->asked_count++;
	if (!d->asks_outside)
		asked_fail(a, NXDOMAIN);
	else if (!question_send(a))
		asked_fail(a, SERVFAIL);
	else
		loop_timer_set(d->loop, &a->timer, loop_now(d->loop) + OUTSIDE_WAIT_NS, asked_late);
}

/* ---- questions of the pod ---- */

static void question_take(struct dns *d, struct span query, struct client *client, const struct sockaddr_storage *from,
			  socklen_t from_len)
{
	struct dns_question q;
	struct span alias;

	switch (dns_answer(d->table, query, client != NULL, &q, &alias, &d->out)) {
	case DNS_GARBAGE:
		return;
	case DNS_OUTSIDE:
		ask_outside(d, query, &q, alias, client, from, from_len);
		return;
	case DNS_ANSWERED:
		break;
	}
	if (client)
		client_send(client, buffer_span(&d->out));
	else
		datagram_send(d, from, from_len, buffer_span(&d->out));
}

static void datagram_ready(struct watch *w, unsigned events)
{
	struct dns *d = CONTAINER_OF(w, struct dns, udp_watch);
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char bytes[4096];
	ssize_t n = recvfrom(d->udp, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from, &len);

	(void)events;
	if (n > 0)
		question_take(d, span_from(bytes, (size_t)n), NULL, &from, len);
}

static void client_end(struct client *c)
{
	struct client **at = &c->dns->clients;

	for (struct asked *a = c->dns->asked, *next; a; a = next) {
		next = a->next;
		if (a->client == c)
			asked_end(a);
	}
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->dns->client_count--;
	loop_unwatch(c->dns->loop, &c->watch);
	loop_timer_clear(c->dns->loop, &c->timer);
	close(c->fd);
	buffer_done(&c->in);
	free(c);
}

static void client_late(struct timer *t)
{
	client_end(CONTAINER_OF(t, struct client, timer));
}

static void client_ready(struct watch *w, unsigned events)
{
	struct client *c = CONTAINER_OF(w, struct client, watch);
	struct dns *d = c->dns;
	char bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	struct span in;
	size_t count = d->client_count, len;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	buffer_append(&c->in, span_from(bytes, (size_t)MAX(n, 0)));
	if (n <= 0 || c->in.overflow) {
		client_end(c);
		return;
	}
	loop_timer_set(d->loop, &c->timer, loop_now(d->loop) + CLIENT_WAIT_NS, client_late);
	for (;;) {
		in = buffer_span(&c->in);
		len = in.len < 2 ? 0 : (size_t)((unsigned char)in.ptr[0] << 8 | (unsigned char)in.ptr[1]);
		if (in.len < 2 || in.len < 2 + len)
			return;
		question_take(d, span_first(span_skip(in, 2), len), c, NULL, 0);
		if (d->client_count != count)
			return; /* it has ended */
		buffer_drop(&c->in, 2 + len);
	}
}

static void connection_ready(struct watch *w, unsigned events)
{
	struct dns *d = CONTAINER_OF(w, struct dns, tcp_watch);
	int fd = accept4(d->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	(void)events;
	if (fd < 0)
		return;
	if (d->client_count >= DNS_CLIENTS_MOST) {
		close(fd);
		return;
	}
	c = base_calloc(1, sizeof(*c));
	*c = (struct client){ .dns = d, .next = d->clients, .fd = fd };
	buffer_init(&c->in, KIB(128));
	d->clients = c;
	d->client_count++;
	loop_watch(d->loop, &c->watch, fd, LOOP_READ, client_ready);
	loop_timer_set(d->loop, &c->timer, loop_now(d->loop) + CLIENT_WAIT_NS, client_late);
}

/* ---- life ---- */

static int socket_bind(const struct dns_config *config, int type, struct error *err)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(DNS_PORT),
				  .sin_addr.s_addr = htonl(DNS_ADDRESS) };
	int fd = config->socket(config->context, AF_INET, type, err), yes = 1;

	if (fd < 0)
		return -1;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	    (type == SOCK_DGRAM || listen(fd, DNS_CLIENTS_MOST) == 0))
		return fd;
	error_errno(err, errno, "the pod's name server at " DNS_IP ":53");
	close(fd);
	return -1;
}

struct dns *dns_new(const struct dns_config *config, struct error *err)
{
	struct dns *d = base_calloc(1, sizeof(*d));

	*d = (struct dns){
		.loop = config->loop, .table = config->table, .asks_outside = config->asks_outside, .tcp = -1
	};
	buffer_init(&d->out, DNS_MESSAGE_MOST);
	d->udp = socket_bind(config, SOCK_DGRAM, err);
	d->tcp = d->udp >= 0 ? socket_bind(config, SOCK_STREAM, err) : -1;
	if (d->udp >= 0)
		loop_watch(d->loop, &d->udp_watch, d->udp, LOOP_READ, datagram_ready);
	if (d->tcp >= 0) {
		loop_watch(d->loop, &d->tcp_watch, d->tcp, LOOP_READ, connection_ready);
		return d;
	}
	dns_free(d);
	return NULL;
}

void dns_free(struct dns *d)
{
	if (!d)
		return;
	while (d->clients)
		client_end(d->clients);
	while (d->asked)
		asked_end(d->asked);
	if (d->udp >= 0) {
		loop_unwatch(d->loop, &d->udp_watch);
		close(d->udp);
	}
	if (d->tcp >= 0) {
		loop_unwatch(d->loop, &d->tcp_watch);
		close(d->tcp);
	}
	buffer_done(&d->out);
	free(d);
}
