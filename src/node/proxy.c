/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy - pods/proxy and services/proxy: the client's request goes to a port of a pod, over a connection of its own that is made in the pod's
 * network, and the answer comes back as it is said; WebSockets too.
 *
 * Of both bodies as much is under way as the slower side takes.
 */
#include "node/streams_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/kube.h"
#include "net/forwarded.h"
#include "net/passing.h"
#include "node/handler_private.h"
#include "node/proxy_fields.h"

#define WANT    KIB(256) /* of the question's body, that may be under way */
#define LATE_NS (30 * NS_PER_S)

struct proxy {
	struct session session;
	struct request *req; /* NULL: over for the client */
	struct proxy_place place;
	struct sockaddr_storage address;
	socklen_t address_len;
	char endpoint[INET6_ADDRSTRLEN + 9]; /* "127.97.0.5:80" */
	struct span target;                  /* path and query */
	int fd;                              /* while it connects; -1 */
	struct watch connecting;
	struct timer late;
	struct client *client;
	struct client_stream *stream;
	struct passing passing;
	bool has_head;
};

static struct proxy *proxy_of(struct session *s)
{
	return (struct proxy *)s;
}

static struct loop *loop_of(const struct proxy *x)
{
	return x->session.streams->loop;
}

/* ---- ends ---- */

static void connecting_end(struct proxy *x)
{
	if (timer_is_set(&x->late))
		loop_timer_clear(loop_of(x), &x->late);
	if (x->fd < 0)
		return;
	loop_unwatch(loop_of(x), &x->connecting);
	close(x->fd);
	x->fd = -1;
}

static void end_when_over(struct proxy *x)
{
	if (x->req || x->stream)
		return;
	connecting_end(x);
	session_end(&x->session);
}

static void fail(struct proxy *x, const char *what)
{
	struct request *req = TAKE(x->req);
	struct error err = { 0 };

	if (req) {
		error_set(&err, ERROR_UNAVAILABLE, "error trying to reach service: %s", what);
		request_fail(req, &err);
	}
	end_when_over(x);
}

static void dial_fail(struct proxy *x, const char *what)
{
	char text[240];

	(void)snprintf(text, sizeof(text), "dial tcp %s: %s", x->endpoint, what);
	fail(x, text);
}

/* ---- the answer ---- */

static void answer_head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct proxy *x = client_stream_owner(s);
	struct header passed[HTTP1_HEADERS_MAX];

	if (!x->req)
		return;
	count = proxy_fields_answer(&x->place, headers, MIN(count, HTTP1_HEADERS_MAX), &x->session.arena, passed);
	x->has_head = x->has_head || status >= 200;
	request_head(x->req, status, (struct span){ 0 }, passed, count);
}

static void answer_receive(struct client_stream *s, struct span bytes)
{
	struct proxy *x = client_stream_owner(s);

	passing_answer(&x->passing, x->req, s, bytes);
}

static void answer_writable(struct request *req)
{
	struct proxy *x = request_owner(req);

	passing_take(&x->passing, x->stream);
}

static void answer_end(struct client_stream *s, const struct header *trailers, size_t count)
{
	struct proxy *x = client_stream_owner(s);
	struct request *req = TAKE(x->req);

	if (req)
		request_end(req, trailers, count);
	if (!x->passing.is_whole)
		client_reset(s); /* an answer that did not wait for all of the question */
}

static void stream_closed(struct client_stream *s, const struct error *why)
{
	struct proxy *x = client_stream_owner(s);
	struct request *req;

	x->stream = NULL;
	if (!x->has_head) {
		fail(x, why ? why->message : "EOF");
		return;
	}
	req = TAKE(x->req);
	if (req)
		request_cut(req);
	end_when_over(x);
}

/* ---- the question ---- */

static void body_receive(struct request *req, struct span bytes, bool is_last)
{
	struct proxy *x = request_owner(req);

	x->passing.is_whole = is_last;
	if (x->stream)
		passing_body(&x->passing, req, x->stream, bytes);
	else
		passing_hold(&x->passing, bytes.len);
}

static void body_writable(struct client_stream *s)
{
	struct proxy *x = client_stream_owner(s);

	passing_want(&x->passing, x->req);
}

static void client_gone(struct request *req, const struct error *why)
{
	struct proxy *x = request_owner(req);

	(void)why;
	x->req = NULL;
	if (x->stream)
		client_reset(x->stream);
	end_when_over(x);
}

/* ---- the connection ---- */

static void lost(struct client *c, const struct error *why)
{
	(void)c; /* freed with the session; its stream has been told */
	(void)why;
}

static void ask(struct proxy *x, int fd)
{
	static const struct client_ops client_ops = { .lost = lost };
	static const struct client_stream_ops stream_ops = { .head = answer_head,
							     .receive = answer_receive,
							     .end = answer_end,
							     .writable = body_writable,
							     .closed = stream_closed };
	struct request *req = x->req;
	struct header fields[PROXY_FIELDS_MOST];
	struct client_head head = { .method = req->upgrade.len ? SPAN("CONNECT") : req->method_text,
				    .scheme = SPAN("http"),
				    .authority = req->authority,
				    .path = x->target,
				    .protocol = req->upgrade,
				    .headers = fields };
	struct error err = { 0 };

	if (!proxy_fields_ask(req->headers, req->header_count, request_forwarded(req).peer, req->path,
			      &x->session.arena, fields, &head.header_count, &err)) {
		close(fd);
		x->req = NULL;
		request_fail(req, &err);
		end_when_over(x);
		return;
	}
	x->passing.is_whole = req->is_end && !req->upgrade.len;
	x->client = client_new_http1(loop_of(x), fd, &client_ops, x);
	x->stream = client_open(x->client, &head, x->passing.is_whole, &stream_ops, x);
	if (!x->passing.is_whole)
		request_want(req, WANT);
}

static void connected(struct watch *w, unsigned events)
{
	struct proxy *x = CONTAINER_OF(w, struct proxy, connecting);
	int number = 0, fd = x->fd;
	socklen_t len = sizeof(number);
	char text[160];

	(void)events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
		number = errno;
	loop_unwatch(loop_of(x), w);
	loop_timer_clear(loop_of(x), &x->late);
	x->fd = -1;
	if (!number) {
		ask(x, fd);
		return;
	}
	close(fd);
	(void)snprintf(text, sizeof(text), "connect: %s", handler_errno(number));
	dial_fail(x, text);
}

static void connecting_late(struct timer *t)
{
	dial_fail(CONTAINER_OF(t, struct proxy, late), "i/o timeout");
}

static void socket_ready(void *context, int fd, const struct error *err)
{
	struct proxy *x = context;
	char text[160];

	if (!x->req) {
		if (fd >= 0)
			close(fd);
	} else if (fd < 0) {
		dial_fail(x, err->message);
	} else if (connect(fd, (const struct sockaddr *)&x->address, x->address_len) == 0 || errno == EINPROGRESS) {
		/* One that is connected already is told as writable. */
		x->fd = fd;
		loop_timer_set(loop_of(x), &x->late, loop_now(loop_of(x)) + LATE_NS, connecting_late);
		loop_watch(loop_of(x), &x->connecting, fd, LOOP_WRITE, connected);
	} else {
		(void)snprintf(text, sizeof(text), "connect: %s", handler_errno(errno));
		close(fd);
		dial_fail(x, text);
	}
	session_paid(&x->session);
}

/* ---- the beginning ---- */

static void stop(struct session *s)
{
	struct proxy *x = proxy_of(s);
	struct request *req;

	if (x->has_head) {
		req = TAKE(x->req);
		if (req)
			request_cut(req);
	} else {
		fail(x, "the node stops");
	}
	connecting_end(x);
	session_end(s);
}

static void session_free_proxy(struct session *s)
{
	struct proxy *x = proxy_of(s);

	connecting_end(x);
	client_free(x->client);
}

/* False: the pod has no address that can be connected to. */
static bool address_fill(struct proxy *x, const struct node_question *q)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&x->address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&x->address;
	char host[INET6_ADDRSTRLEN];

	(void)snprintf(host, sizeof(host), SPAN_FMT, SPAN_ARG(value_find_string(q->object, "status.podIP")));
	(void)snprintf(x->endpoint, sizeof(x->endpoint), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, q->port);
	x->place.endpoint = span_of(x->endpoint);
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(q->port);
		x->address_len = sizeof(*four);
		return true;
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(q->port);
	x->address_len = sizeof(*six);
	return inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
}

static bool target_fill(struct proxy *x, const struct kube_call *call, struct error *err)
{
	struct request *req = call->req;

	x->place.authority = req->authority;
	x->place.prefix = span_first(req->path, req->path.len - call->rest.len);
	x->target = arena_print(&x->session.arena, err, SPAN_FMT "%s" SPAN_FMT,
				SPAN_WHOLE(call->rest.len ? call->rest : SPAN("/")), req->query.len ? "?" : "",
				SPAN_WHOLE(req->query));
	return x->target.ptr != NULL;
}

/* Relative links of a page need the slash behind the proxy's own path. */
static void redirect(struct kube_call *call)
{
	struct request *req = call->req;
	struct error ignored = { 0 };

	request_set_header(req, SPAN("location"),
			   arena_print(&req->arena, &ignored, SPAN_FMT "/%s" SPAN_FMT, SPAN_WHOLE(req->path),
				       req->query.len ? "?" : "", SPAN_WHOLE(req->query)));
	kube_answer_empty(call, 301);
}

void proxy_begin(struct streams *s, struct kube_call *call, const struct node_question *q)
{
	static const struct request_flow flow = { .receive = body_receive,
						  .writable = answer_writable,
						  .gone = client_gone };
	struct request *req = call->req;
	struct error err = { 0 };
	struct proxy *x;

	if (span_equal(q->scheme, SPAN("https"))) {
		streams_refuse(call, 501, NULL, "pods are asked by http alone here: leave 'https:' out");
		return;
	}
	if (!call->rest.len && (req->method == METHOD_GET || req->method == METHOD_HEAD) && !req->upgrade.len) {
		redirect(call);
		return;
	}
	x = session_new(s, call, sizeof(*x), stop, session_free_proxy);
	if (!x)
		return;
	x->fd = -1;
	x->session.uid = arena_copy(&x->session.arena, value_find_string(q->object, "metadata.uid"), &err);
	if (!address_fill(x, q) || !target_fill(x, call, &err)) {
		if (!err.code)
			error_set(&err, ERROR_INVALID, "address not allowed");
		kube_fail(call, &err);
		session_end(&x->session);
		return;
	}
	x->req = req;
	request_open(req, &flow, x);
	kube_leave(call);
	x->session.owes++;
	runtime_socket(s->runtime, x->session.uid, x->address.ss_family, SOCK_STREAM, socket_ready, x);
}
