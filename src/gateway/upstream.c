/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/dial.h"

enum { STREAMS_MOST = 100 };              /* of a connection, or the server's limit; with more another one is made */
#define LOOKED_AT_NS    (100 * NS_PER_MS) /* idle for longer: looked at before it is used again */
#define IDLE_LEARNED_NS (500 * NS_PER_MS) /* what is learned is no less */

struct upstream {
	struct endpoint *endpoint;
	struct client *client; /* NULL: being made */
	struct dial *dial;
	struct ask *asks; /* while it is made */
	size_t ask_count;
	struct upstream *next, *previous; /* of endpoint->idle, or endpoint->streams */
	int64_t idle_since_ns, heard_ns;
	int fd; /* the client's */
	bool is_http2, is_idle, is_used, is_doubted;
	bool is_telling, is_over; /* who waited for it is told just now; somebody needs it no more already */
};

static struct loop *loop_of(const struct upstream *u)
{
	return u->endpoint->balance->worker->loop;
}

/* ---- lists ---- */

static void idle_add(struct upstream *u)
{
	struct endpoint *e = u->endpoint;

	u->is_idle = true;
	u->previous = NULL;
	u->next = e->idle;
	*(e->idle ? &e->idle->previous : &e->idle_last) = u;
	e->idle = u;
	e->idle_count++;
}

static void idle_remove(struct upstream *u)
{
	struct endpoint *e = u->endpoint;

	*(u->previous ? &u->previous->next : &e->idle) = u->next;
	*(u->next ? &u->next->previous : &e->idle_last) = u->previous;
	u->next = u->previous = NULL;
	u->is_idle = false;
	e->idle_count--;
}

static void streams_add(struct upstream *u)
{
	u->previous = NULL;
	u->next = u->endpoint->streams;
	if (u->next)
		u->next->previous = u;
	u->endpoint->streams = u;
}

static void streams_remove(struct upstream *u)
{
	*(u->previous ? &u->previous->next : &u->endpoint->streams) = u->next;
	if (u->next)
		u->next->previous = u->previous;
	u->next = u->previous = NULL;
}

static void upstream_close(struct upstream *u)
{
	struct endpoint *e = u->endpoint;
	struct client *c = TAKE(u->client);

	if (u->is_http2)
		streams_remove(u);
	else if (u->is_idle)
		idle_remove(u);
	if (u->dial) {
		dial_cancel(u->dial);
		endpoint_dials_no_more(e);
	}
	client_free(c);
	free(u);
	endpoint_drop(e);
}

/* ---- making one ---- */

static void lost(struct client *c, const struct error *why)
{
	struct upstream *u = client_owner(c);
	struct endpoint *e = u->endpoint;
	int64_t idle_ns = loop_now(loop_of(u)) - u->idle_since_ns;

	(void)why;
	if (u->is_idle && idle_ns > IDLE_LEARNED_NS)
		e->idle_ns = MIN(e->idle_ns, MAX(idle_ns / 4 * 3, IDLE_LEARNED_NS));
	upstream_close(u);
}

static const struct client_ops ops = { .lost = lost };

static struct ask *ask_first(struct upstream *u)
{
	struct ask *a = u->asks;

	if (a) {
		u->asks = a->next;
		u->ask_count--;
		a->next = NULL;
		a->upstream = NULL;
	}
	return a;
}

static void dialled(void *owner, int fd, const struct error *err)
{
	struct upstream *u = owner;
	struct endpoint *e = u->endpoint;
	struct error why = err ? *err : (struct error){ 0 };
	struct ask *a;

	u->dial = NULL;
	endpoint_hold(e);
	endpoint_dials_no_more(e);
	if (fd >= 0) {
		u->fd = fd;
		u->client =
		    u->is_http2 ? client_new(loop_of(u), fd, &ops, u) : client_new_http1(loop_of(u), fd, &ops, u);
		endpoint_connected(e);
	}
	u->is_telling = true;
	while ((a = ask_first(u)))
		a->done(a, fd >= 0 ? u : NULL, fd >= 0 ? NULL : &why);
	u->is_telling = false;
	if (fd < 0)
		upstream_close(u);
	else if (u->is_over)
		upstream_over(u);
	endpoint_drop(e);
}

void upstream_ask(struct endpoint *e, bool is_http2, struct ask *a)
{
	struct gateway_worker *w = e->balance->worker;
	struct upstream *u = NULL;

	for (u = is_http2 ? e->streams : NULL; u; u = u->next)
		if (u->dial && u->ask_count < STREAMS_MOST)
			break;
	if (!u) {
		struct dial_config config = {
			.loop = w->loop,
			.address = &e->address,
			.sandbox = e->sandbox,
			.type = SOCK_STREAM,
			.until_ns = loop_now(w->loop) + w->config->limits.connect_ns,
			.done = dialled,
		};

		u = base_calloc(1, sizeof(*u));
		u->endpoint = e;
		u->is_http2 = is_http2;
		u->fd = -1;
		endpoint_hold(e);
		if (is_http2)
			streams_add(u);
		config.owner = u;
		endpoint_dials(e);
		u->dial = dial_begin(&config);
	}
	a->upstream = u;
	a->next = u->asks;
	u->asks = a;
	u->ask_count++;
}

void upstream_ask_cancel(struct ask *a)
{
	struct upstream *u = a->upstream;
	struct ask **at;

	if (!u)
		return;
	for (at = &u->asks; *at != a;)
		at = &(*at)->next;
	*at = a->next;
	u->ask_count--;
	a->upstream = NULL;
	a->next = NULL;
	if (!u->asks)
		upstream_close(u);
}

/* ---- using one ---- */

/* Neither closed nor speaking, as far as the kernel knows: the loop may not have told yet. */
static bool is_quiet(const struct upstream *u)
{
	char byte;

	return recv(u->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct upstream *take_idle(struct endpoint *e)
{
	struct upstream *u;

	while ((u = e->idle)) {
		if (LIKELY(!client_is_refusing(u->client) &&
			   (loop_now(loop_of(u)) - u->idle_since_ns < LOOKED_AT_NS || is_quiet(u)))) {
			idle_remove(u);
			u->is_used = true;
			return u;
		}
		upstream_close(u);
	}
	return NULL;
}

struct upstream *upstream_take(struct endpoint *e, bool is_http2)
{
	struct upstream *u;

	if (!is_http2)
		return take_idle(e);
	for (u = e->streams; u; u = u->next) {
		if (u->client && !u->is_doubted && !client_is_refusing(u->client) && !client_is_full(u->client) &&
		    client_streams(u->client) < STREAMS_MOST) {
			u->is_used = true;
			return u;
		}
	}
	return NULL;
}

struct client *upstream_client(const struct upstream *u)
{
	return u->client;
}

bool upstream_is_used(const struct upstream *u)
{
	return u->is_used;
}

void upstream_heard(struct upstream *u)
{
	u->heard_ns = loop_now(loop_of(u));
}

void upstream_doubt(struct upstream *u, int64_t opened_ns)
{
	u->is_doubted = u->is_doubted || u->heard_ns <= opened_ns;
}

/* It may be kept for the next request. */
static bool is_kept(const struct upstream *u)
{
	const struct endpoint *e = u->endpoint;

	return !u->is_doubted && !e->is_gone && !e->is_drained && !e->is_ejected && !e->balance->worker->is_stopping;
}

void upstream_over(struct upstream *u)
{
	struct endpoint *e = u->endpoint;

	if (!u->client)
		return; /* it is being closed */
	u->is_over = u->is_telling;
	if (u->is_over)
		return;
	u->idle_since_ns = loop_now(loop_of(u));
	if (u->is_http2) {
		if (client_streams(u->client) == 0 && !is_kept(u))
			upstream_close(u);
		else if (client_streams(u->client) == 0)
			balance_sweep_by(e->balance, u->idle_since_ns + e->idle_ns);
		return;
	}
	if (!is_kept(u)) {
		upstream_close(u);
		return;
	}
	idle_add(u);
	if (e->idle_count > e->balance->worker->config->limits.idle_most)
		upstream_close(e->idle_last);
	balance_sweep_by(e->balance, u->idle_since_ns + e->idle_ns);
}

void upstream_cut(struct upstream *u)
{
	upstream_close(u);
}

/* ---- those that are idle ---- */

void upstreams_close_idle(struct endpoint *e)
{
	struct upstream *u, *next;

	endpoint_hold(e);
	while (e->idle)
		upstream_close(e->idle);
	for (u = e->streams; u; u = next) {
		next = u->next;
		if (u->client && client_streams(u->client) == 0)
			upstream_close(u);
	}
	endpoint_drop(e);
}

int64_t upstreams_sweep(struct endpoint *e, int64_t now_ns)
{
	int64_t at_ns = INT64_MAX;
	struct upstream *u, *next;

	endpoint_hold(e);
	while (e->idle_last && now_ns - e->idle_last->idle_since_ns >= e->idle_ns)
		upstream_close(e->idle_last);
	if (e->idle_last)
		at_ns = e->idle_last->idle_since_ns + e->idle_ns;
	for (u = e->streams; u; u = next) {
		next = u->next;
		if (!u->client || client_streams(u->client) > 0)
			continue;
		if (now_ns - u->idle_since_ns >= e->idle_ns)
			upstream_close(u);
		else
			at_ns = MIN(at_ns, u->idle_since_ns + e->idle_ns);
	}
	endpoint_drop(e);
	return at_ns;
}
