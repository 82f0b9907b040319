/* SPDX-License-Identifier: Apache-2.0 */
#include "net/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "net/routes.h"
#include "net/transport.h"

#define WORKERS_MAX    1024
#define STACK_SIZE     MIB(2)           /* address space: pages are taken when they are touched */
#define DRAIN_CHECK_NS (10 * NS_PER_MS) /* how often a draining worker looks whether compute threads are done */

/* A worker with its thread; the struct that the rest of net sees comes first. */
struct worker_thread {
	struct worker worker;
	struct worker_private more;
	struct loop_message drain, listen;
	pthread_t thread;
};

struct server {
	struct server_config config;
	struct metrics *own_metrics; /* when the config brings none */
	struct routes *routes;
	struct tls *tls;
	struct pool *pool;
	struct listener *listeners;
	size_t listener_count;
	struct worker_thread *workers;
	unsigned worker_count, started;
	/* All workers' connections: the limit is the server's. Relaxed: a count, it publishes nothing. */
	_Atomic size_t connection_count;
	_Atomic bool is_draining; /* set once, by any thread */
	_Atomic unsigned adopted; /* by server_adopt(): they go round the workers. Relaxed */
	bool is_joined;
};

struct server_limits server_limits_default(void)
{
	return (struct server_limits){
#define LIMIT_ROW(name, type, value, flag, unit, help) .name = value,
#include "net/limits.def"
#undef LIMIT_ROW
	};
}

/* ---- what the rest of net asks of a worker ---- */

const struct server_config *worker_config(const struct worker *w)
{
	return &w->server->config;
}

struct pool *worker_pool(const struct worker *w)
{
	return w->server->pool;
}

const struct routes *worker_routes(const struct worker *w)
{
	return w->server->routes;
}

struct span worker_date(struct worker *w)
{
	int64_t now = loop_now(w->loop);

	if (UNLIKELY(!w->date_len || now - w->date_ns >= NS_PER_S)) {
		int64_t wall = clock_wall_ns();
		size_t len;

		memcpy(w->date, "Date: ", 6);
		len = clock_print_http(wall, w->date + 6);
		memcpy(w->date + 6 + len, "\r\n", 2);
		w->date_len = len + 8;
		w->date_ns = now - wall % NS_PER_S; /* renewed when the second changes */
	}
	return (struct span){ w->date, w->date_len };
}

struct worker *server_first_worker(struct server *s)
{
	return &s->workers[0].worker;
}

bool worker_connection_add(struct worker *w, size_t *ret_count)
{
	*ret_count = atomic_fetch_add_explicit(&w->server->connection_count, 1, memory_order_relaxed) + 1;
	metric_move(w->more->open, 1);
	return *ret_count <= w->server->config.limits.connections;
}

bool worker_connection_accept(struct worker *w, size_t *ret_count)
{
	metric_add(w->more->accepted, 1);
	if (LIKELY(worker_connection_add(w, ret_count)))
		return true;
	metric_add(w->more->rejected, 1);
	return false;
}

static bool is_drained(const struct worker *w)
{
	return w->connection_count == 0 && w->request_count == 0 && w->lent_count == 0;
}

void worker_connection_remove(struct worker *w)
{
	atomic_fetch_sub_explicit(&w->server->connection_count, 1, memory_order_relaxed);
	metric_move(w->more->open, -1);
	if (UNLIKELY(w->is_draining) && is_drained(w))
		loop_stop(w->loop);
}

/* ---- draining ---- */

static void drain_check(struct timer *t)
{
	struct worker_private *more = CONTAINER_OF(t, struct worker_private, drain_timer);
	struct worker_thread *thread = CONTAINER_OF(more, struct worker_thread, more);
	struct worker *w = &thread->worker;
	int64_t now = loop_now(w->loop);

	if (is_drained(w) || (now >= more->drain_until_ns && w->connection_count == 0 && w->request_count == 0)) {
		loop_stop(w->loop);
		return;
	}
	if (now >= more->drain_until_ns)
		connection_cut_all(w); /* what compute threads still have is waited for: it cannot be cut */
	loop_timer_set(w->loop, t, now + DRAIN_CHECK_NS, drain_check);
}

static void worker_drain(struct loop_message *m)
{
	struct worker_thread *thread = CONTAINER_OF(m, struct worker_thread, drain);
	struct worker *w = &thread->worker;
	struct worker_private *more = w->more;

	w->is_draining = true;
	more->drain_until_ns = loop_now(w->loop) + w->server->config.limits.drain_timeout_ms * NS_PER_MS;
	for (size_t i = 0; i < more->acceptor_count; i++)
		acceptor_close(&more->acceptors[i]);
	if (w->lent_count && w->server->config.loans_due)
		w->server->config.loans_due(w->server->config.context);
	for (struct connection *c = w->connections; c; c = c->next)
		connection_drain(c);
	loop_timer_set(w->loop, &more->drain_timer, loop_now(w->loop), drain_check);
}

void server_drain(struct server *s)
{
	if (atomic_exchange(&s->is_draining, true))
		return;
	for (unsigned i = 0; i < s->started; i++)
		loop_send(s->workers[i].worker.loop, &s->workers[i].drain);
}

bool server_is_draining(const struct server *s)
{
	return atomic_load(&s->is_draining);
}

/* ---- connections from elsewhere ---- */

struct adoption {
	struct loop_message message;
	struct worker *worker;
	int fd;
};

static void adopt(struct loop_message *m)
{
	struct adoption *a = CONTAINER_OF(m, struct adoption, message);
	struct worker *w = a->worker;
	int fd = a->fd;
	size_t count;

	free(a);
	(void)worker_connection_add(w, &count); /* over the limit or not: it is ours */
	connection_adopt(w, fd);
	if (w->is_draining)
		connection_drain(w->connections);
}

void server_adopt(struct server *s, int fd)
{
	struct adoption *a = base_calloc(1, sizeof(*a));
	unsigned next = atomic_fetch_add_explicit(&s->adopted, 1, memory_order_relaxed);

	ASSERT(s->started == s->worker_count);
	ASSERT(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
	ASSERT(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
	a->message.run = adopt;
	a->worker = &s->workers[next % s->worker_count].worker;
	a->fd = fd;
	loop_send(a->worker->loop, &a->message);
}

void server_take(struct worker *w, int fd, const struct sockaddr_storage *peer, struct server_entry *entry)
{
	size_t count;
	bool fits;

	LOOP_ASSERT(w->loop);
	fits = worker_connection_accept(w, &count);
	if (!fits && count > worker_config(w)->limits.connections + REJECTED_MOST) {
		close(fd);
		worker_connection_remove(w);
		if (entry && entry->closed)
			entry->closed(entry);
		return;
	}
	connection_enter(w, fd, peer, entry, !fits);
	if (w->is_draining)
		connection_drain(w->connections);
}

struct worker *server_worker(struct server *s, unsigned index)
{
	ASSERT(index < s->worker_count);
	return &s->workers[index].worker;
}

/* ---- workers ---- */

static struct metric_series *series(struct server *s, enum metric_id id, struct span label)
{
	return metrics_series(s->config.metrics, id, &label, label.len ? 1 : 0);
}

static void worker_listen(struct loop_message *m)
{
	struct worker_thread *thread = CONTAINER_OF(m, struct worker_thread, listen);

	for (size_t i = 0; i < thread->more.acceptor_count; i++)
		acceptor_listen(&thread->more.acceptors[i]);
}

static void worker_init(struct server *s, unsigned index)
{
	struct worker_thread *thread = &s->workers[index];
	struct worker_private *more = &thread->more;

	thread->worker = (struct worker){ .server = s, .loop = loop_new(), .index = index, .more = more };
	thread->drain.run = worker_drain;
	thread->listen.run = worker_listen;
	more->tls = s->tls;
	more->acceptor_count = s->listener_count;
	more->acceptors = base_calloc(s->listener_count + 1, sizeof(*more->acceptors));
	more->received = series(s, METRIC_RECEIVED_BYTES_TOTAL, (struct span){ 0 });
	more->sent = series(s, METRIC_SENT_BYTES_TOTAL, (struct span){ 0 });
	more->open = series(s, METRIC_CONNECTIONS, (struct span){ 0 });
	more->accepted = series(s, METRIC_CONNECTIONS_TOTAL, (struct span){ 0 });
	more->rejected = series(s, METRIC_REJECTED_TOTAL, SPAN("connections"));
}

static void worker_done(struct worker_thread *thread)
{
	loop_free(thread->worker.loop);
	free(thread->more.acceptors);
}

static void worker_enter(struct worker_thread *thread)
{
	struct worker *w = &thread->worker;
	struct server *s = w->server;

	metrics_thread(s->config.metrics);
	worker_requests_init(w);
	if (s->config.worker_started)
		s->config.worker_started(s->config.context, w->index, w->loop);
	for (size_t i = 0; i < s->listener_count; i++)
		acceptor_open(&thread->more.acceptors[i], w, &s->listeners[i]);
}

bool server_listen(struct server *s, struct error *err)
{
	for (size_t i = 0; i < s->listener_count; i++)
		if (!listener_listen(&s->listeners[i], err))
			return false;
	for (unsigned i = 0; i < s->worker_count; i++)
		loop_send(s->workers[i].worker.loop, &s->workers[i].listen);
	return true;
}

static void worker_leave(struct worker *w)
{
	connection_pool_done(w);
	worker_requests_done(w);
}

static void *worker_main(void *argument)
{
	struct worker_thread *thread = argument;

	worker_enter(thread);
	loop_run(thread->worker.loop);
	worker_leave(&thread->worker);
	return NULL;
}

void server_enter(struct server *s)
{
	ASSERT(s->config.is_driven && s->started == 1);
	worker_enter(&s->workers[0]);
}

void server_leave(struct server *s)
{
	worker_leave(&s->workers[0].worker);
}

static bool worker_start(struct server *s, struct error *err)
{
	pthread_attr_t attributes;
	int failure;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	failure = pthread_create(&s->workers[s->started].thread, &attributes, worker_main, &s->workers[s->started]);
	pthread_attr_destroy(&attributes);
	if (failure)
		return error_errno(err, failure, "cannot start worker thread %u", s->started);
	s->started++;
	return true;
}

/* ---- life ---- */

static unsigned core_count(void)
{
	cpu_set_t set;

	/* What this process may use, by taskset or a cpuset; not what the machine has. */
	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	return 1;
}

static bool config_check(const struct server_config *config, struct error *err)
{
	if (config->workers > WORKERS_MAX)
		return error_set(err, ERROR_INVALID, "%u workers: at most %d", config->workers, WORKERS_MAX);
	if (!config->tls_certificate != !config->tls_key)
		return error_set(err, ERROR_INVALID, "TLS needs both a certificate and a key; only the %s is given",
				 config->tls_certificate ? "certificate" : "key");
	if (config->tls_client_ca && !config->tls_certificate)
		return error_set(err, ERROR_INVALID, "a client CA without a certificate and a key: TLS is off");
	return true;
}

static bool server_open(struct server *s, struct error *err)
{
	struct server_config *config = &s->config;
	unsigned cores = core_count(), compute_threads = 0;

	if (!config_check(config, err))
		return false;
	s->routes = routes_new(config->routes, err);
	if (!s->routes)
		return false;
	if (config->tls_certificate && !(s->tls = tls_new(config, err)))
		return false;
	s->worker_count = config->workers ? config->workers : MIN(cores, WORKERS_MAX);
	s->listeners = base_calloc(config->address_count + 1, sizeof(*s->listeners));
	while (s->listener_count < config->address_count) {
		struct listener *l = &s->listeners[s->listener_count++];

		if (!listener_open(l, config->addresses[s->listener_count - 1], s->worker_count, config->listens_late,
				   err))
			return false;
	}
	if (!config->compute_on_loop)
		compute_threads = config->compute_threads ? config->compute_threads : cores;
	s->pool = pool_new(compute_threads, config->limits.queue);
	s->workers = base_calloc(s->worker_count, sizeof(*s->workers));
	for (unsigned i = 0; i < s->worker_count; i++)
		worker_init(s, i);
	return true;
}

struct server *server_new(const struct server_config *config, struct error *err)
{
	struct server *s = base_calloc(1, sizeof(*s));

	s->config = *config;
	if (!s->config.metrics)
		s->config.metrics = s->own_metrics = metrics_new();
	if (server_open(s, err))
		return s;
	server_free(s);
	return NULL;
}

void server_set_context(struct server *s, void *context)
{
	ASSERT(s->started == 0);
	s->config.context = context;
}

bool server_start(struct server *s, struct error *err)
{
	if (s->config.is_driven) {
		ASSERT(s->worker_count == 1);
		s->started = 1;
	}
	while (s->started < s->worker_count) {
		if (!worker_start(s, err)) {
			server_drain(s);
			server_wait(s);
			return false;
		}
	}
	return true;
}

void server_wait(struct server *s)
{
	if (s->is_joined)
		return;
	for (unsigned i = 0; i < s->started && !s->config.is_driven; i++)
		pthread_join(s->workers[i].thread, NULL);
	s->is_joined = true;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	server_drain(s);
	server_wait(s);
	pool_free(s->pool);
	for (unsigned i = 0; s->workers && i < s->worker_count; i++)
		worker_done(&s->workers[i]);
	free(s->workers);
	for (size_t i = 0; i < s->listener_count; i++)
		listener_close(&s->listeners[i]);
	free(s->listeners);
	tls_free(s->tls);
	routes_free(s->routes);
	metrics_free(s->own_metrics);
	free(s);
}

const char *server_address(const struct server *s, size_t index)
{
	ASSERT(index < s->listener_count);
	return s->listeners[index].text;
}

unsigned server_worker_count(const struct server *s)
{
	return s->worker_count;
}

struct loop *server_worker_loop(const struct server *s, unsigned index)
{
	ASSERT(index < s->worker_count);
	return s->workers[index].worker.loop;
}

struct pool *server_pool(const struct server *s)
{
	return s->pool;
}

struct server_socket *server_sockets(const struct server *s, size_t *ret_count)
{
	struct server_socket *list;
	size_t count = 0;

	for (size_t i = 0; i < s->listener_count; i++)
		count += s->listeners[i].socket_count;
	list = base_calloc(count + 1, sizeof(*list));
	count = 0;
	for (size_t i = 0; i < s->listener_count; i++) {
		for (unsigned k = 0; k < s->listeners[i].socket_count; k++) {
			int fd = fcntl(s->listeners[i].sockets[k], F_DUPFD_CLOEXEC, 0);

			if (fd >= 0)
				list[count++] = (struct server_socket){ .address = i, .fd = fd };
		}
	}
	*ret_count = count;
	return list;
}

void server_leave_sockets(struct server *s)
{
	for (size_t i = 0; i < s->listener_count; i++)
		atomic_store(&s->listeners[i].is_left, true);
}

bool server_reload_tls(struct server *s, struct error *err)
{
	if (!s->tls)
		return error_set(err, ERROR_INVALID, "TLS is off: there is no certificate to read again");
	return tls_reload(s->tls, err);
}
