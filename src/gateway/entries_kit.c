/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/entries_kit.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/number.h"

#define DEADLINE_MS 60000 /* a test that waits longer has failed */

/* ---- the balance ---- */

/* Each is chosen in turn; it is one piece of memory, held once. */
struct endpoint *balance_choose(struct gateway_worker *w, const struct plan_backend *b,
				const struct sockaddr_storage *client)
{
	static _Atomic unsigned turn;
	const struct plan_endpoint *p;
	struct endpoint *e;

	(void)w;
	(void)client;
	if (!b->endpoint_count)
		return NULL;
	p = &b->endpoints[atomic_fetch_add(&turn, 1) % b->endpoint_count];
	e = base_calloc(1, sizeof(*e));
	e->key = SPAN("an endpoint");
	e->address = p->address;
	e->is_ready = true;
	e->in_flight = 1;
	return e;
}

void endpoint_dials(struct endpoint *e)
{
	assert_int_equal(e->dials++, 0);
}

void endpoint_dials_no_more(struct endpoint *e)
{
	assert_int_equal(e->dials--, 1);
}

void endpoint_connected(struct endpoint *e)
{
	assert_int_equal(e->in_flight, 1);
}

void endpoint_tunnel(struct endpoint *e)
{
	assert_int_equal(e->tunnels++, 0);
}

void endpoint_tunnel_end(struct endpoint *e)
{
	assert_int_equal(e->tunnels--, 1);
}

void endpoint_end(struct endpoint *e, enum endpoint_fate fate)
{
	(void)fate;
	assert_int_equal(e->tunnels, 0);
	assert_int_equal(e->dials, 0);
	free(e);
}

/* ---- workers ---- */

/* Which entry it came in by. */
static void where(struct request *req)
{
	struct server_entry *s = request_entry(req);
	const struct plan_entry *now = s ? CONTAINER_OF(s, struct entry, server)->now : NULL;

	buffer_append(&req->out, now ? now->key : SPAN("gone"));
	request_send(req, 200, SPAN("text/plain"));
}

static const struct route routes[] = { { METHOD_GET, "/where", where, &surface_plain, ROUTE_HTTP }, { 0 } };
static const struct route *const tables[] = { routes, NULL };

static void told(void *context, const struct gateway_bound *b)
{
	struct kit *k = context;
	size_t i = 0;

	pthread_mutex_lock(&k->lock);
	while (i < k->told_count && !span_equal(span_of(k->told[i].key), b->key))
		i++;
	assert_true(i < KIT_TOLD_MOST && b->key.len < sizeof(k->told[i].key));
	if (i == k->told_count) {
		memcpy(k->told[i].key, b->key.ptr, b->key.len);
		k->told_count++;
	}
	k->told[i].times++;
	k->told[i].port = b->port;
	k->told[i].error = b->error;
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
}

struct kit_told kit_bound(struct kit *k, const char *key, unsigned times)
{
	struct kit_told found = { .port = -1 };
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DEADLINE_MS / 1000;
	pthread_mutex_lock(&k->lock);
	while (found.port < 0) {
		for (size_t i = 0; i < k->told_count; i++)
			if (strcmp(k->told[i].key, key) == 0 && k->told[i].times >= times)
				found = k->told[i];
		if (found.port < 0)
			assert_int_equal(pthread_cond_timedwait(&k->changed, &k->lock, &until), 0);
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

static void *loop_main(void *loop)
{
	loop_run(loop);
	return NULL;
}

static void turn_count(void *kit)
{
	atomic_fetch_add(&((struct kit *)kit)->turns, 1);
}

static void turn_counted(void *kit)
{
	(void)kit;
}

uint64_t kit_turns(struct kit *k)
{
	return atomic_load(&k->turns);
}

void kit_begin(struct kit *k, unsigned workers, void (*change)(struct gateway_config *config))
{
	struct server_config server = {
		.routes = tables, .workers = workers, .compute_threads = 1, .limits = server_limits_default()
	};
	struct loop_waits waits = { .before = turn_count, .after = turn_counted, .context = k };
	struct error err = { 0 };

	*k = (struct kit){ .worker_count = workers, .loop = loop_new() };
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->changed, NULL);
	k->config = (struct gateway_config){ .metrics = metrics_new(),
					     .limits = gateway_limits_default(),
					     .loop = k->loop,
					     .bound = told,
					     .context = k,
					     .load_balancer_first = 18000,
					     .load_balancer_last = 18099 };
	if (change)
		change(&k->config);
	server.metrics = k->config.metrics;
	server.limits.drain_timeout_ms = 100;
	k->entries = entries_new(&k->config, workers);
	k->server = server_new(&server, &err);
	assert_non_null(k->server);
	for (unsigned i = 0; i < workers; i++) {
		struct gateway_worker *w = &k->workers[i];

		*w = (struct gateway_worker){ .config = &k->config,
					      .net = server_worker(k->server, i),
					      .loop = server_worker_loop(k->server, i),
					      .index = i };
		w->relays = relays_new(w);
		loop_on_wait(w->loop, &waits);
	}
	assert_true(server_start(k->server, &err));
	assert_int_equal(pthread_create(&k->thread, NULL, loop_main, k->loop), 0);
}

/* Something done on each worker's loop, and waited for. */
struct step {
	struct loop_message message;
	void (*run)(struct step *s);
	struct kit *kit;
	struct gateway_worker *worker;
	const void *what;
	sem_t *done;
};

static void step_run(struct loop_message *m)
{
	struct step *s = CONTAINER_OF(m, struct step, message);

	s->run(s);
	sem_post(s->done);
}

static void on_workers(struct kit *k, void (*run)(struct step *s), const void *what)
{
	struct step steps[KIT_WORKERS];
	sem_t done;

	sem_init(&done, 0, 0);
	for (unsigned i = 0; i < k->worker_count; i++) {
		steps[i] = (struct step){ { NULL, step_run }, run, k, &k->workers[i], what, &done };
		loop_send(k->workers[i].loop, &steps[i].message);
	}
	for (unsigned i = 0; i < k->worker_count; i++)
		while (sem_wait(&done) != 0 && errno == EINTR)
			;
	sem_destroy(&done);
}

static void take_up(struct step *s)
{
	struct plan *before = s->worker->plan, *now = (struct plan *)s->what;

	plan_ref(now);
	s->worker->plan = now;
	entries_take_up(s->kit->entries, s->worker);
	plan_unref(before);
}

static void close_entries(struct step *s)
{
	entries_close(s->kit->entries, s->worker);
}

static void end_with_endpoints(struct step *s)
{
	relays_end_with_endpoints(s->worker->relays, s->what);
}

void kit_end_with_endpoints(struct kit *k, const struct in_addr *pod)
{
	on_workers(k, end_with_endpoints, pod);
}

void kit_end(struct kit *k)
{
	on_workers(k, close_entries, NULL);
	server_drain(k->server);
	server_wait(k->server);
	loop_stop(k->loop);
	pthread_join(k->thread, NULL);
	for (unsigned i = 0; i < k->worker_count; i++) {
		entries_worker_free(k->entries, &k->workers[i]);
		plan_unref(k->workers[i].plan);
	}
	entries_free(k->entries);
	server_free(k->server);
	loop_free(k->loop);
	metrics_free(k->config.metrics);
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
}

/* ---- plans ---- */

void kit_plan(struct kit *k)
{
	k->builder = plan_begin();
}

static struct span copy(struct kit *k, const char *text)
{
	struct error err = { 0 };

	return arena_copy(plan_builder_arena(k->builder), span_of(text), &err);
}

struct plan_backend *kit_backend(struct kit *k, const char *name, enum plan_speech speech, const int *ports,
				 size_t count)
{
	struct plan_backend *b = plan_backend(k->builder, span_of(name));
	struct error err = { 0 };
	struct plan_endpoint *endpoints =
	    ARENA_ARRAY(plan_builder_arena(k->builder), struct plan_endpoint, count + 1, &err);

	b->speech = speech;
	b->name_space = SPAN("default");
	b->service = copy(k, name);
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_in in = { .sin_family = AF_INET,
					  .sin_port = htons((uint16_t)ports[i]),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		endpoints[i] = (struct plan_endpoint){ .is_ready = true };
		memcpy(&endpoints[i].address, &in, sizeof(in));
	}
	b->endpoints = endpoints;
	b->endpoint_count = count;
	return b;
}

struct plan_entry *kit_entry(struct kit *k, const char *key, const char *address, struct plan_backend *backend)
{
	struct plan_entry *e = plan_entry_add(k->builder, copy(k, key));

	e->address = copy(k, address);
	e->backend = backend;
	return e;
}

void kit_publish(struct kit *k)
{
	struct error err = { 0 };
	struct plan *p = plan_finish(k->builder, ++k->number, &err);

	assert_non_null(p);
	entries_publish(k->entries, p);
	on_workers(k, take_up, p);
	plan_unref(p);
}

int kit_simple(struct kit *k, enum plan_speech speech, int port)
{
	kit_plan(k);
	kit_entry(k, "a", "127.0.0.1:0", kit_backend(k, "service", speech, &port, 1));
	kit_publish(k);
	return kit_bound(k, "a", 1).port;
}

int64_t kit_relays(struct kit *k)
{
	struct buffer out;
	struct span rest, line;
	uint64_t sum = 0;

	buffer_init(&out, MIB(4));
	metrics_write(k->config.metrics, &out, false);
	rest = (struct span){ out.ptr, out.len };
	while (rest.len) {
		uint64_t value;

		line = span_cut(&rest, '\n');
		if (!span_starts(line, SPAN("hythe_gateway_relays_open{")))
			continue;
		assert_true(number_parse_uint64(span_skip(line, span_index(line, '}') + 2), &value));
		sum += value;
	}
	buffer_done(&out);
	return (int64_t)sum;
}

/* ---- endpoints ---- */

enum { PEER_CONNECTIONS_MOST = 256 };

struct peer {
	enum peer_way way;
	int fd, port;
	_Atomic unsigned accepted;
	pthread_t thread, threads[PEER_CONNECTIONS_MOST];
	unsigned thread_count;
};

struct conversation {
	enum peer_way way;
	int fd;
};

static void pour(int fd)
{
	static const char bytes[32768];
	size_t left = PEER_POURS;
	ssize_t n = 1;

	for (; left && n > 0; left -= (size_t)n)
		n = send(fd, bytes, MIN(sizeof(bytes), left), MSG_NOSIGNAL);
}

static void *converse(void *argument)
{
	struct conversation c = *(struct conversation *)argument;
	struct linger at_once = { .l_onoff = 1 };
	uint64_t count = 0, sum = 0;
	char bytes[16384];
	ssize_t n;

	free(argument);
	if (c.way == PEER_GREET)
		assert_int_equal(send(c.fd, "hello\n", 6, MSG_NOSIGNAL), 6);
	if (c.way == PEER_LEAVE) {
		assert_int_equal(send(c.fd, "bye\n", 4, MSG_NOSIGNAL), 4);
		shutdown(c.fd, SHUT_WR);
	}
	while ((n = recv(c.fd, bytes, sizeof(bytes), 0)) > 0) {
		count += (uint64_t)n;
		for (ssize_t i = 0; i < n; i++)
			sum += (unsigned char)bytes[i];
		if (c.way == PEER_RESET) {
			(void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
			close(c.fd);
			return NULL;
		}
		if (c.way == PEER_SWALLOW || c.way == PEER_LEAVE || c.way == PEER_POUR)
			continue;
		if (send(c.fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	}
	if (c.way == PEER_POUR)
		pour(c.fd);
	else if (c.way == PEER_SWALLOW)
		(void)dprintf(c.fd, "%llu %llu", (unsigned long long)count, (unsigned long long)sum);
	else if (n == 0)
		(void)send(c.fd, "|end", 4, MSG_NOSIGNAL);
	close(c.fd);
	return NULL;
}

static void *peer_main(void *argument)
{
	struct peer *p = argument;
	int fd;

	while ((fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct conversation *c = base_calloc(1, sizeof(*c));

		*c = (struct conversation){ p->way, fd };
		atomic_fetch_add(&p->accepted, 1);
		assert_true(p->thread_count < PEER_CONNECTIONS_MOST);
		assert_int_equal(pthread_create(&p->threads[p->thread_count++], NULL, converse, c), 0);
	}
	return NULL;
}

/* Ports above those that the kernel gives by itself: nobody gets one by chance that is free for a while. */
static int bound_socket(int type, int *ret_port)
{
	enum { FIRST = 61000, COUNT = 4500 };
	static unsigned turn;
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	do {
		*ret_port = (int)(FIRST + ((unsigned)getpid() * 61 + turn) % COUNT);
		assert_true(turn++ < COUNT);
		in.sin_port = htons((uint16_t)*ret_port);
	} while (bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0);
	return fd;
}

struct peer *peer_new(enum peer_way way)
{
	struct peer *p = base_calloc(1, sizeof(*p));

	p->way = way;
	p->fd = bound_socket(SOCK_STREAM, &p->port);
	assert_int_equal(listen(p->fd, 64), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
	return p;
}

int peer_port(const struct peer *p)
{
	return p->port;
}

unsigned peer_accepted(struct peer *p)
{
	return atomic_load(&p->accepted);
}

void peer_free(struct peer *p)
{
	shutdown(p->fd, SHUT_RDWR); /* ends accept() */
	pthread_join(p->thread, NULL);
	for (unsigned i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	close(p->fd);
	free(p);
}

struct peer_udp {
	int fd, port;
	pthread_t thread;
};

static void *peer_udp_main(void *argument)
{
	struct peer_udp *p = argument;
	char in[2048], out[2080];

	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(p->fd, in, sizeof(in), 0, (struct sockaddr *)&from, &len);
		int head;

		if (n <= 0) /* "": the end, by peer_udp_free() */
			return NULL;
		head = snprintf(out, sizeof(out), "%d ", ntohs(from.sin_port));
		memcpy(out + head, in, (size_t)n);
		(void)sendto(p->fd, out, (size_t)(head + n), 0, (struct sockaddr *)&from, len);
	}
}

struct peer_udp *peer_udp_new(void)
{
	struct peer_udp *p = base_calloc(1, sizeof(*p));

	p->fd = bound_socket(SOCK_DGRAM, &p->port);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_udp_main, p), 0);
	return p;
}

int peer_udp_port(const struct peer_udp *p)
{
	return p->port;
}

void peer_udp_free(struct peer_udp *p)
{
	int fd = client_udp_of(p->port);

	assert_int_equal(send(fd, "", 0, 0), 0);
	pthread_join(p->thread, NULL);
	close(fd);
	close(p->fd);
	free(p);
}

/* ---- clients ---- */

int free_port(void)
{
	int port, fd = bound_socket(SOCK_STREAM, &port);

	close(fd);
	return port;
}

static int connected(int type, int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = DEADLINE_MS / 1000 };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
		return fd;
	close(fd);
	return -1;
}

int client_of(int port)
{
	return connected(SOCK_STREAM, port);
}

int client_udp_of(int port)
{
	return connected(SOCK_DGRAM, port);
}

void say_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

size_t hear_bytes(int fd, char *to, size_t len, bool *ret_is_reset)
{
	size_t got = 0;

	*ret_is_reset = false;
	while (got < len) {
		ssize_t n = recv(fd, to + got, len - got, 0);

		if (n == 0)
			break;
		if (n < 0) {
			assert_int_equal(errno, ECONNRESET); /* EAGAIN: the deadline */
			*ret_is_reset = true;
			break;
		}
		got += (size_t)n;
	}
	return got;
}

void expect_text(int fd, const char *text)
{
	char heard[256] = "";
	bool is_reset;

	assert_true(strlen(text) < sizeof(heard));
	(void)hear_bytes(fd, heard, strlen(text), &is_reset);
	assert_string_equal(heard, text);
}

void expect_end(int fd)
{
	char byte;
	bool is_reset;

	assert_int_equal(hear_bytes(fd, &byte, 1, &is_reset), 0);
	assert_false(is_reset);
	close(fd);
}

void expect_reset(int fd)
{
	char byte;
	bool is_reset;

	assert_int_equal(hear_bytes(fd, &byte, 1, &is_reset), 0);
	assert_true(is_reset);
	close(fd);
}

void ask(int fd, const char *path, char *body, size_t size)
{
	char head[4096] = "", *length;
	size_t got = 0;
	uint64_t len;
	bool is_reset;

	if (path) {
		(void)snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
		say_text(fd, head);
	}
	memset(head, 0, sizeof(head));
	while (!strstr(head, "\r\n\r\n")) {
		assert_int_equal(hear_bytes(fd, head + got, 1, &is_reset), 1);
		got++;
		assert_true(got < sizeof(head) - 1);
	}
	assert_memory_equal(head, "HTTP/1.1 200 ", 13);
	length = strcasestr(head, "content-length: ");
	assert_non_null(length);
	length += strlen("content-length: ");
	assert_true(number_parse_uint64(span_first(span_of(length), strcspn(length, "\r")), &len));
	assert_true(len < size);
	memset(body, 0, size);
	assert_int_equal(hear_bytes(fd, body, len, &is_reset), len);
}
