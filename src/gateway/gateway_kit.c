/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/server.h"

int64_t now_ms(void)
{
	return clock_monotonic_ns() / NS_PER_MS;
}

void kit_pause(void)
{
	(void)poll(NULL, 0, 1);
}

/* ---- origins ---- */

static void reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

struct reading {
	int fd;
	char *bytes;
	size_t len, cap;
};

static bool read_more(struct reading *r)
{
	ssize_t n;

	if (r->cap - r->len < 65536) {
		r->cap = r->cap * 2 + 131072;
		r->bytes = base_realloc(r->bytes, r->cap);
	}
	do {
		n = recv(r->fd, r->bytes + r->len, r->cap - r->len - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	r->len += (size_t)n;
	r->bytes[r->len] = 0;
	return true;
}

static const char *field(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(head, "\r\n"); at && strncmp(at, "\r\n\r\n", 4) != 0; at = strstr(at + 2, "\r\n"))
		if (strncasecmp(at + 2, name, len) == 0 && at[2 + len] == ':') {
			at += 3 + len;
			while (*at == ' ')
				at++;
			return at;
		}
	return NULL;
}

/* One request to the end of its body; body is what is behind *ret_head. False: the connection has ended. */
static bool read_request(struct origin *o, struct reading *r, size_t *ret_head, size_t *ret_body)
{
	const char *end, *length;

	while (!r->bytes || !(end = strstr(r->bytes, "\r\n\r\n")))
		if (!read_more(r))
			return false;
	*ret_head = (size_t)(end - r->bytes) + 4;
	pthread_mutex_lock(&o->lock);
	(void)snprintf(o->last, sizeof(o->last), "%.*s", (int)*ret_head, r->bytes);
	pthread_mutex_unlock(&o->lock);
	if (o->way == WAY_SLOW_READS)
		(void)sem_wait(&o->gate);
	length = field(r->bytes, "content-length");
	*ret_body = 0;
	if (length && length < end) {
		*ret_body = strtoul(length, NULL, 10);
		while (r->len < *ret_head + *ret_body) {
			size_t before = r->len;

			if (!read_more(r))
				return false;
			o->read += r->len - before;
		}
	} else if (field(r->bytes, "transfer-encoding")) {
		const char *last;

		while (!(last = strstr(r->bytes + *ret_head, "0\r\n\r\n"))) /* good enough for these bodies */
			if (!read_more(r))
				return false;
		*ret_body = (size_t)(last + 5 - r->bytes) - *ret_head;
	}
	return true;
}

static bool answer_text(int fd, const char *status, const char *body, size_t len)
{
	char head[256];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
			 status, len);

	return send_all(fd, head, (size_t)n) && send_all(fd, body, len);
}

static bool answer_all(struct origin *o, struct reading *r, size_t len)
{
	size_t name = strlen(o->name);
	char *body = base_alloc(name + 1 + len);
	bool is_good;

	memcpy(body, o->name, name);
	body[name] = '\n';
	memcpy(body + name + 1, r->bytes, len);
	is_good = answer_text(r->fd, "200 OK", body, name + 1 + len);
	free(body);
	return is_good;
}

static bool answer_big(struct origin *o, int fd)
{
	char head[128], piece[26 * 1024];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", o->big);

	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = (char)('a' + i % 26);
	if (!send_all(fd, head, (size_t)n))
		return false;
	for (size_t at = 0; at < o->big; at += sizeof(piece)) {
		if (!send_all(fd, piece, MIN(sizeof(piece), o->big - at)))
			return false;
		o->sent += MIN(sizeof(piece), o->big - at);
	}
	return true;
}

/* RFC 6455 4.2.2. */
static bool tunnel(struct reading *r, size_t head)
{
	const char *key = field(r->bytes, "sec-websocket-key");
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[256], code[64];
	unsigned len;
	ssize_t n;

	n = snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key ? key : "");
	ASSERT(EVP_Digest(text, (size_t)n, digest, &len, EVP_sha1(), NULL) == 1);
	(void)EVP_EncodeBlock((unsigned char *)code, digest, (int)len);
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		     "Sec-WebSocket-Accept: %s\r\n\r\n",
		     code);
	if (!send_all(r->fd, text, (size_t)n) || !send_all(r->fd, r->bytes + head, r->len - head))
		return false;
	while ((n = recv(r->fd, text, sizeof(text), 0)) > 0)
		if (!send_all(r->fd, text, (size_t)n))
			break;
	return false;
}

static void wait_for_end(int fd)
{
	char byte[4096];

	while (recv(fd, byte, sizeof(byte), 0) > 0)
		;
}

/* False: the connection is to be closed. */
static bool behave(struct origin *o, struct reading *r, size_t head, size_t body)
{
	static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
	static const char more[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
	static const char two[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello";
	static const char garbage[] = "\x16\x03\x01 what\r\n\r\n";

	switch ((enum way)o->way) {
	case WAY_ANSWERS:
		return answer_all(o, r, head + body);
	case WAY_NAMES:
	case WAY_SLOW_READS:
		return answer_text(r->fd, "200 OK", o->name, strlen(o->name));
	case WAY_ONCE:
		(void)answer_text(r->fd, "200 OK", o->name, strlen(o->name));
		return false;
	case WAY_CLOSES:
		return false;
	case WAY_RESETS:
		reset(r->fd);
		return false;
	case WAY_BREAKS:
		(void)send_all(r->fd, half, sizeof(half) - 1);
		return false;
	case WAY_STALLS:
		(void)send_all(r->fd, half, sizeof(half) - 1);
		wait_for_end(r->fd);
		return false;
	case WAY_SILENT:
		wait_for_end(r->fd);
		return false;
	case WAY_GARBAGE:
		return send_all(r->fd, garbage, sizeof(garbage) - 1);
	case WAY_SMUGGLES:
		return send_all(r->fd, two, sizeof(two) - 1);
	case WAY_MORE:
		return send_all(r->fd, more, sizeof(more) - 1);
	case WAY_HOLDS:
		(void)sem_wait(&o->gate);
		return answer_text(r->fd, "200 OK", o->name, strlen(o->name));
	case WAY_BIG:
		return answer_big(o, r->fd);
	case WAY_UNAVAILABLE:
		return answer_text(r->fd, "503 Service Unavailable", o->name, strlen(o->name));
	case WAY_TUNNEL:
		return tunnel(r, head);
	}
	return false;
}

static void *serve(void *argument)
{
	struct origin_connection *c = argument;
	struct origin *o = c->origin;
	struct reading r = { .fd = c->fd };
	size_t head, body;

	o->open++;
	while (!o->is_stopping && read_request(o, &r, &head, &body)) {
		o->requests++;
		if (!behave(o, &r, head, body))
			break;
		memmove(r.bytes, r.bytes + head + body, r.len - head - body);
		r.len -= head + body;
		r.bytes[r.len] = 0;
	}
	free(r.bytes);
	pthread_mutex_lock(&o->lock);
	close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&o->lock);
	o->open--;
	return NULL;
}

static void *accept_all(void *argument)
{
	struct origin *o = argument;
	int on = 1;

	for (;;) {
		int fd = accept(o->listener, NULL, NULL);
		struct origin_connection *c;

		if (fd < 0)
			return NULL;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		ASSERT(o->connection_count < ORIGIN_CONNECTIONS_MOST);
		c = &o->connections[o->connection_count];
		c->origin = o;
		c->fd = fd;
		o->accepted++;
		ASSERT(pthread_create(&c->thread, NULL, serve, c) == 0);
		pthread_mutex_lock(&o->lock);
		o->connection_count++;
		pthread_mutex_unlock(&o->lock);
	}
}

static int bound_socket(struct origin *o)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)o->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	o->port = ntohs(at.sin_port);
	return fd;
}

void origin_up(struct origin *o)
{
	o->is_stopping = false;
	o->listener = bound_socket(o);
	assert_int_equal(listen(o->listener, 256), 0);
	o->is_up = true;
	assert_int_equal(pthread_create(&o->thread, NULL, accept_all, o), 0);
}

void origin_init(struct origin *o, const char *name, enum way way)
{
	memset(o, 0, sizeof(*o));
	o->name = name;
	o->way = way;
	pthread_mutex_init(&o->lock, NULL);
	sem_init(&o->gate, 0, 0);
	o->place = bound_socket(o);
	origin_up(o);
}

void origin_release(struct origin *o, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		sem_post(&o->gate);
}

void origin_refuses(struct origin *o)
{
	(void)shutdown(o->listener, SHUT_RDWR);
	pthread_join(o->thread, NULL);
	close(o->listener);
}

void origin_down(struct origin *o)
{
	o->is_stopping = true;
	origin_refuses(o);
	pthread_mutex_lock(&o->lock);
	for (size_t i = 0; i < o->connection_count; i++)
		if (o->connections[i].fd >= 0)
			(void)shutdown(o->connections[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&o->lock);
	origin_release(o, ORIGIN_CONNECTIONS_MOST);
	for (size_t i = 0; i < o->connection_count; i++)
		pthread_join(o->connections[i].thread, NULL);
	o->connection_count = 0;
	o->is_up = false;
	sem_destroy(&o->gate);
	sem_init(&o->gate, 0, 0);
}

void origin_done(struct origin *o)
{
	if (o->is_up)
		origin_down(o);
	close(o->place);
	sem_destroy(&o->gate);
	pthread_mutex_destroy(&o->lock);
}

bool origin_last_has(struct origin *o, const char *text)
{
	bool is_there;

	pthread_mutex_lock(&o->lock);
	is_there = strcasestr(o->last, text) != NULL;
	pthread_mutex_unlock(&o->lock);
	return is_there;
}

/* ---- the gateway ---- */

static void *home_run(void *argument)
{
	loop_run(argument);
	return NULL;
}

static void bound(void *context, const struct gateway_bound *b)
{
	(void)context, (void)b;
}

void kit_init(struct kit *k, unsigned workers, void (*change)(struct gateway_limits *limits))
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	static const struct route *const tables[] = { gateway_routes, NULL };
	struct gateway_config config = { .limits = gateway_limits_default(), .bound = bound };
	struct server_config server = {
		.addresses = addresses,
		.address_count = 1,
		.routes = tables,
		.workers = workers,
		.compute_threads = 1,
		.limits = server_limits_default(),
		.arrive = gateway_arrive,
		.worker_started = gateway_worker_started,
	};
	struct error err = { 0 };

	memset(k, 0, sizeof(*k));
	k->metrics = metrics_new();
	k->home = loop_new();
	config.metrics = server.metrics = k->metrics;
	config.loop = k->home;
	config.limits.slow_start_ns = 0;
	config.limits.queue_ns = 2 * NS_PER_S;
	if (change)
		change(&config.limits);
	k->gateway = gateway_new(&config, &err);
	assert_non_null(k->gateway);
	server.context = k->gateway;
	k->server = server_new(&server, &err);
	assert_non_null(k->server);
	gateway_server_set(k->gateway, k->server);
	assert_int_equal(pthread_create(&k->home_thread, NULL, home_run, k->home), 0);
	assert_true(server_start(k->server, &err));
}

static void stop_now(void *argument)
{
	gateway_stop(argument);
}

void kit_done(struct kit *k)
{
	kit_on_home(k, stop_now, k->gateway);
	server_drain(k->server);
	server_wait(k->server);
	gateway_free(k->gateway);
	server_free(k->server);
	loop_stop(k->home);
	pthread_join(k->home_thread, NULL);
	loop_free(k->home);
	metrics_free(k->metrics);
}

struct call {
	struct loop_message message;
	void (*run)(void *argument);
	void *argument;
	sem_t done;
};

static void call_run(struct loop_message *m)
{
	struct call *c = CONTAINER_OF(m, struct call, message);

	c->run(c->argument);
	sem_post(&c->done);
}

static void call_on(struct loop *l, void (*run)(void *argument), void *argument)
{
	struct call c = { .message.run = call_run, .run = run, .argument = argument };

	sem_init(&c.done, 0, 0);
	loop_send(l, &c.message);
	sem_wait(&c.done);
	sem_destroy(&c.done);
}

void kit_on_home(struct kit *k, void (*run)(void *argument), void *argument)
{
	call_on(k->home, run, argument);
}

void kit_on_worker(struct kit *k, unsigned index, void (*run)(void *argument), void *argument)
{
	call_on(server_worker_loop(k->server, index), run, argument);
}

void kit_begin(struct kit *k)
{
	k->builder = plan_begin();
	k->main = plan_entry_add(k->builder, SPAN(PLAN_MAIN));
	k->table = NULL;
}

struct plan_endpoint *kit_endpoint(struct plan_backend *b, size_t index)
{
	return (struct plan_endpoint *)&b->endpoints[index];
}

struct plan_backend *kit_backend(struct kit *k, const char *service, struct origin *const *origins, size_t count)
{
	struct arena *arena = plan_builder_arena(k->builder);
	struct error err = { 0 };
	struct plan_backend *b = plan_backend(k->builder, arena_print(arena, &err, "default/%s:80", service));
	struct plan_endpoint *endpoints = arena_calloc(arena, count + 1, sizeof(*endpoints), &err);

	b->name_space = SPAN("default");
	b->service = arena_copy(arena, span_of(service), &err);
	b->speech = SPEECH_AUTO;
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_in *in = (struct sockaddr_in *)&endpoints[i].address;

		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)origins[i]->port);
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		endpoints[i].key = arena_print(arena, &err, "127.0.0.1:%d", origins[i]->port);
		endpoints[i].pod = arena_copy(arena, span_of(origins[i]->name), &err);
		endpoints[i].is_ready = endpoints[i].is_serving = true;
	}
	b->endpoints = endpoints;
	b->endpoint_count = count;
	return b;
}

struct plan_route *kit_route(struct kit *k, const char *prefix, struct plan_backend *b)
{
	struct arena *arena = plan_builder_arena(k->builder);
	struct error err = { 0 };
	struct plan_route *r = arena_calloc(arena, 1, sizeof(*r), &err);
	struct plan_target *t = arena_calloc(arena, PLAN_TARGETS_MOST, sizeof(*t), &err);
	struct plan_match m = { .how = PATH_PREFIX, .path = arena_copy(arena, span_of(prefix), &err) };

	r->name = arena_print(arena, &err, "httproute/default/r%s/0", prefix);
	t[0] = (struct plan_target){ .backend = b, .weight = 1, .name = SPAN("default") };
	r->targets = t;
	r->target_count = 1;
	r->weight_sum = 1;
	if (!k->table)
		k->table = plan_table_add(k->builder);
	k->main->table = k->table;
	if (!plan_route_add(k->builder, k->table, (struct span){ 0 }, &m, r, &err))
		fail_msg("%s", err.message);
	return r;
}

static void nothing(void *argument)
{
	(void)argument;
}

void kit_publish(struct kit *k)
{
	struct error err = { 0 };
	struct plan *p = plan_finish(k->builder, ++k->number, &err);

	if (!p)
		fail_msg("%s", err.message);
	gateway_publish(k->gateway, p);
	plan_unref(p);
	for (unsigned i = 0; i < server_worker_count(k->server); i++)
		kit_on_worker(k, i, nothing, NULL);
}

void kit_simple(struct kit *k, struct origin *const *origins, size_t count)
{
	kit_begin(k);
	k->main->backend = kit_backend(k, "web", origins, count);
	kit_publish(k);
}

uint64_t kit_count(struct kit *k, enum metric_id id, const char *service, const char *third)
{
	struct span labels[] = { SPAN("default"), span_of(service), span_of(third) };
	struct metric_series *s = metrics_series(k->metrics, id, labels, third ? 3 : 2);
	uint64_t value = metric_value(s);

	metrics_series_drop(k->metrics, s);
	return value;
}

/* ---- clients ---- */

int client_new_fd(struct kit *k)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	to.sin_port = htons((uint16_t)strtoul(strrchr(server_address(k->server, 0), ':') + 1, NULL, 10));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

void say_bytes(int fd, struct span bytes)
{
	(void)send_all(fd, bytes.ptr, bytes.len); /* one that was closed meanwhile: the test looks at the answer */
}

void say(int fd, const char *text)
{
	say_bytes(fd, span_of(text));
}

void answer_done(struct answer *a)
{
	free(a->body);
	memset(a, 0, sizeof(*a));
}

/* False: the connection has ended. */
static bool hear_more(struct reading *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail_msg("no answer in time; so far: '%.*s'", (int)r->len, r->bytes ? r->bytes : "");
	return read_more(r);
}

/* Takes chunks off behind the head; *ret_at is where they end. */
static void hear_chunks(struct reading *r, size_t head, struct answer *a, size_t *ret_at)
{
	size_t at = head;

	for (;;) {
		char *end;
		size_t size;

		while (!strstr(r->bytes + at, "\r\n"))
			if (!hear_more(r)) {
				a->is_cut = true;
				*ret_at = r->len;
				return;
			}
		size = strtoul(r->bytes + at, &end, 16);
		at = (size_t)(strstr(r->bytes + at, "\r\n") - r->bytes) + 2;
		if (size == 0)
			break;
		while (r->len < at + size + 2)
			if (!hear_more(r)) {
				a->is_cut = true;
				*ret_at = r->len;
				return;
			}
		a->body = base_realloc(a->body, a->len + size + 1);
		memcpy(a->body + a->len, r->bytes + at, size);
		a->len += size;
		at += size + 2;
	}
	while (!strstr(r->bytes + at - 2, "\r\n\r\n"))
		if (!hear_more(r)) {
			a->is_cut = true;
			break;
		}
	*ret_at = r->len;
}

static void hear_length(struct reading *r, size_t head, struct answer *a, size_t length)
{
	while (r->len < head + length)
		if (!hear_more(r)) {
			a->is_cut = true;
			break;
		}
	a->len = MIN(length, r->len - head);
	a->body = base_alloc(a->len + 1);
	memcpy(a->body, r->bytes + head, a->len);
}

void hear(int fd, struct answer *a)
{
	struct reading r = { .fd = fd };
	const char *end = NULL, *length;
	size_t head, at;

	memset(a, 0, sizeof(*a));
	while (!r.bytes || !(end = strstr(r.bytes, "\r\n\r\n")))
		if (!hear_more(&r)) {
			a->is_cut = true; /* not even a head */
			free(r.bytes);
			a->body = base_calloc(1, 1);
			return;
		}
	head = (size_t)(end - r.bytes) + 4;
	(void)snprintf(a->head, sizeof(a->head), "%.*s", (int)head, r.bytes);
	assert_true(strncmp(a->head, "HTTP/1.1 ", 9) == 0);
	a->status = (int)strtol(a->head + 9, NULL, 10);
	length = field(a->head, "content-length");
	if (length)
		hear_length(&r, head, a, strtoul(length, NULL, 10));
	else if (field(a->head, "transfer-encoding"))
		hear_chunks(&r, head, a, &at);
	if (!a->body)
		a->body = base_alloc(1);
	a->body[a->len] = 0;
	free(r.bytes);
}

void ask(struct kit *k, const char *request, struct answer *a)
{
	int fd = client_new_fd(k);

	say(fd, request);
	hear(fd, a);
	close(fd);
}

void expect(struct kit *k, const char *path, int status, const char *body)
{
	char request[1024];
	struct answer a;

	(void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	ask(k, request, &a);
	if (a.status != status || (body && strcmp(a.body, body) != 0))
		fail_msg("expected %d '%s', got %s%s", status, body ? body : "", a.head, a.body);
	answer_done(&a);
}

bool has(const struct answer *a, const char *text)
{
	return strcasestr(a->head, text) || strcasestr(a->body, text);
}
