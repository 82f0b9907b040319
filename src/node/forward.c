/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward - ports of a pod: each connection of the client's goes to 127.0.0.1 (or ::1) of the pod's network namespace.
 *
 * Over SPDY, raw or as the messages of a WebSocket ("SPDY/3.1+portforward.k8s.io"), a connection is two streams with the same
 * "requestid": "error", on which only we write, and "data". Over a WebSocket's channels (v4.channel.k8s.io) the ports are in the query,
 * each has one connection, data on channel 2n and errors on 2n+1, and both begin with the port in two bytes, low one first.
 */
#include "node/streams_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/number.h"
#include "net/spdy.h"

enum { PORTS_MOST = 64, REQUEST_ID_MOST = 64 };

struct forward;

/* One connection. Freed when nothing is owed to it and its ends are closed. */
struct link {
	struct forward *forward;
	struct link *next;
	uint32_t data_id, error_id; /* SPDY: 0 until opened. Channels: their numbers */
	char request[REQUEST_ID_MOST + 1];
	uint16_t port;
	int family;
	bool is_asked, is_connected, is_over, has_client_ended;
	struct watch connecting;
	int fd; /* while it connects */
	struct source source;
	struct sink sink;
	struct buffer early; /* what the client sent before it was connected */
};

enum { EARLY_MOST = 256 * 1024 };

struct forward {
	struct session session;
	struct tunnel tunnel;
	struct spdy *spdy; /* NULL: channels of a WebSocket */
	struct link *links;
	size_t count;
	struct loop_task sweep;
};

static void link_connect(struct link *l);

/* ---- to the client ---- */

static void data_write(struct link *l, uint32_t id, struct span bytes, bool is_end)
{
	struct forward *f = l->forward;
	struct buffer frame;
	char channel = (char)id;

	if (!f->spdy) {
		if (bytes.len)
			tunnel_write(&f->tunnel, span_from(&channel, 1), bytes);
		return;
	}
	buffer_init(&frame, SIZE_MAX / 2);
	spdy_write_data(&frame, id, bytes, is_end);
	tunnel_write(&f->tunnel, buffer_span(&frame), (struct span){ 0 });
	buffer_done(&frame);
}

/* ---- connections ---- */

static void link_forget(struct link *l)
{
	struct link **at = &l->forward->links;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->forward->count--;
	source_done(&l->source);
	sink_done(&l->sink);
	buffer_done(&l->early);
	if (l->fd >= 0) {
		loop_unwatch(l->forward->session.streams->loop, &l->connecting);
		close(l->fd);
	}
	free(l);
}

/* Both streams end for the client; what it sent still goes to the pod. */
static void link_end(struct link *l)
{
	if (l->is_over)
		return;
	l->is_over = true;
	loop_defer(l->forward->session.streams->loop, &l->forward->sweep);
	if (l->forward->spdy && l->data_id)
		data_write(l, l->data_id, (struct span){ 0 }, true);
	if (l->forward->spdy && l->error_id)
		data_write(l, l->error_id, (struct span){ 0 }, true);
	source_done(&l->source);
	sink_end(&l->sink);
}

static void link_fail(struct link *l, const char *why)
{
	char text[640];

	(void)snprintf(text, sizeof(text), "error forwarding port %u to pod " SPAN_FMT ", uid : %s", l->port,
		       SPAN_ARG(l->forward->session.uid), why);
	if (l->error_id)
		data_write(l, l->error_id, span_of(text), false);
	link_end(l);
}

/* Those whose ends are closed and to whom nothing is owed go: at the end of a turn, so that no callback frees what calls it. */
static void links_sweep(struct loop_task *t)
{
	struct forward *f = CONTAINER_OF(t, struct forward, sweep);

	if (f->session.is_over)
		return;
	for (struct link *l = f->links, *next; l; l = next) {
		next = l->next;
		if (l->is_over && l->sink.fd < 0 && (!l->is_asked || l->is_connected) && l->fd < 0)
			link_forget(l);
	}
	if (!f->spdy && !f->links && f->tunnel.req) {
		tunnel_end(&f->tunnel);
		session_end(&f->session);
	}
}

static bool is_any_full(const struct forward *f)
{
	for (const struct link *l = f->links; l; l = l->next)
		if (l->sink.fd >= 0 && l->sink.waiting.len - l->sink.sent > SINK_LOW_BYTES)
			return true;
	return false;
}

static void sink_drained(struct sink *s)
{
	struct forward *f = CONTAINER_OF(s, struct link, sink)->forward;

	loop_defer(f->session.streams->loop, &f->sweep);
	if (!is_any_full(f))
		tunnel_pause(&f->tunnel, false);
}

static void source_take(struct source *s, struct span bytes, bool is_end)
{
	struct link *l = CONTAINER_OF(s, struct link, source);

	if (is_end) {
		link_end(l);
		return;
	}
	data_write(l, l->data_id, bytes, false);
	if (tunnel_is_full(&l->forward->tunnel))
		source_pause(s, true);
}

static void client_sends(struct link *l, struct span bytes, bool is_end)
{
	l->has_client_ended |= is_end;
	if (l->is_over)
		return;
	if (!l->is_connected) {
		buffer_append(&l->early, bytes);
		if (l->early.overflow)
			link_fail(l, "the client sent more than 256 KiB before the connection was made");
		return;
	}
	if (bytes.len && !sink_write(&l->sink, bytes))
		tunnel_pause(&l->forward->tunnel, true);
	if (l->has_client_ended)
		sink_end(&l->sink);
}

static void link_start(struct link *l)
{
	struct loop *loop = l->forward->session.streams->loop;
	int fd = l->fd, other = dup(fd);
	struct buffer early = l->early;

	l->fd = -1;
	l->is_connected = true;
	buffer_init(&l->early, 0);
	if (other < 0) {
		close(fd);
		link_fail(l, strerror(errno));
	} else {
		source_init(&l->source, loop, fd, source_take);
		sink_init(&l->sink, loop, other, true, sink_drained);
		client_sends(l, buffer_span(&early), false);
	}
	buffer_done(&early);
}

/* The first family that does not answer is no reason yet: some servers listen on ::1 alone. */
static void link_refused(struct link *l, int errnum)
{
	char why[160];

	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->family == AF_INET) {
		l->family = AF_INET6;
		link_connect(l);
		return;
	}
	l->is_asked = false;
	if (errnum == ECONNREFUSED)
		(void)snprintf(why, sizeof(why), "nothing listens on port %u in the pod (connection refused)", l->port);
	else
		(void)snprintf(why, sizeof(why), "connecting to port %u in the pod: %s", l->port, strerror(errnum));
	link_fail(l, why);
}

static void link_connected(struct link *l, int errnum)
{
	if (l->is_over) { /* the client did not wait */
		close(l->fd);
		l->fd = -1;
		l->is_asked = false;
		loop_defer(l->forward->session.streams->loop, &l->forward->sweep);
	} else if (errnum) {
		link_refused(l, errnum);
	} else {
		link_start(l);
	}
}

static void connected(struct watch *w, unsigned events)
{
	struct link *l = CONTAINER_OF(w, struct link, connecting);
	struct forward *f = l->forward;
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	(void)events;
	loop_unwatch(f->session.streams->loop, w);
	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
		errnum = errno;
	link_connected(l, errnum);
}

static int address_connect(int fd, int family, uint16_t port)
{
	const struct sockaddr_in four = { .sin_family = AF_INET,
					  .sin_port = htons(port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 six = { .sin6_family = AF_INET6,
					  .sin6_port = htons(port),
					  .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	if (family == AF_INET)
		return connect(fd, (const struct sockaddr *)&four, sizeof(four));
	return connect(fd, (const struct sockaddr *)&six, sizeof(six));
}

static void socket_ready(void *context, int fd, const struct error *err)
{
	struct link *l = context;
	struct forward *f = l->forward;
	int errnum;

	if (f->session.is_over) {
		if (fd >= 0)
			close(fd);
		l->is_asked = false;
	} else if (fd < 0) {
		l->is_asked = false;
		link_fail(l, err->message);
	} else {
		l->fd = fd;
		errnum = address_connect(fd, l->family, l->port) == 0 ? 0 : errno;
		if (errnum == EINPROGRESS)
			loop_watch(f->session.streams->loop, &l->connecting, fd, LOOP_WRITE, connected);
		else
			link_connected(l, errnum);
	}
	session_paid(&f->session);
}

static void link_connect(struct link *l)
{
	struct session *s = &l->forward->session;

	l->is_asked = true;
	s->owes++;
	runtime_socket(s->streams->runtime, s->uid, l->family, SOCK_STREAM, socket_ready, l);
}

static struct link *link_new(struct forward *f, uint16_t port)
{
	struct link *l;

	if (f->count >= FORWARD_CONNECTIONS_MOST)
		return NULL;
	l = base_calloc(1, sizeof(*l));
	*l = (struct link){ .forward = f, .port = port, .family = AF_INET, .fd = -1, .next = f->links };
	l->source.fd = l->sink.fd = -1;
	buffer_init(&l->early, EARLY_MOST);
	f->links = l;
	f->count++;
	return l;
}

/* ---- SPDY ---- */

static void frame_send(struct forward *f, struct buffer *frame)
{
	tunnel_write(&f->tunnel, buffer_span(frame), (struct span){ 0 });
	buffer_done(frame);
}

static void stream_reset(struct forward *f, uint32_t id, uint32_t status)
{
	struct buffer frame;

	buffer_init(&frame, KIB(1));
	spdy_write_reset(&frame, id, status);
	frame_send(f, &frame);
}

static struct link *link_of_request(struct forward *f, struct span request, uint16_t port)
{
	struct link *l = f->links;

	while (l && (!span_equal(span_of(l->request), request) || l->port != port || l->is_over))
		l = l->next;
	if (!l && (l = link_new(f, port)))
		memcpy(l->request, request.ptr, request.len);
	return l;
}

static void stream_open(struct forward *f)
{
	struct span type = spdy_field(f->spdy, SPAN("streamtype")), request = spdy_field(f->spdy, SPAN("requestid"));
	uint32_t id = f->spdy->id;
	struct link *l = NULL;
	struct buffer frame;
	int64_t port = 0;

	if (number_parse_int64(spdy_field(f->spdy, SPAN("port")), &port) && port > 0 && port <= UINT16_MAX &&
	    request.len <= REQUEST_ID_MOST && !memchr(request.ptr ? request.ptr : "", 0, request.len) &&
	    (span_equal(type, SPAN("error")) || span_equal(type, SPAN("data"))))
		l = link_of_request(f, request, (uint16_t)port);
	if (!l) {
		stream_reset(f, id, SPDY_REFUSED_STREAM);
		return;
	}
	if (span_equal(type, SPAN("error")))
		l->error_id = id;
	else
		l->data_id = id;
	buffer_init(&frame, KIB(1));
	spdy_write_reply(f->spdy, &frame, id);
	frame_send(f, &frame);
	if (l->data_id && l->error_id && !l->is_asked && !l->is_connected)
		link_connect(l);
}

static void stream_data(struct forward *f, bool is_reset)
{
	for (struct link *l = f->links; l; l = l->next) {
		if (l->data_id != f->spdy->id)
			continue;
		if (is_reset) {
			link_end(l);
			sink_done(&l->sink); /* nobody waits for the rest */
			sink_drained(&l->sink);
		} else {
			client_sends(l, f->spdy->data, f->spdy->is_end);
		}
		return;
	}
}

static void frames_take(struct forward *f, struct span bytes)
{
	while (!f->session.is_over) {
		struct buffer pong;
		size_t used = 0;

		switch (spdy_read(f->spdy, bytes, &used)) {
		case SPDY_MORE:
		case SPDY_GOAWAY:
			return;
		case SPDY_STREAM:
			stream_open(f);
			break;
		case SPDY_DATA:
			stream_data(f, false);
			break;
		case SPDY_RESET:
			stream_data(f, true);
			break;
		case SPDY_PING:
			buffer_init(&pong, KIB(1));
			spdy_write_ping(&pong, f->spdy->id);
			frame_send(f, &pong);
			break;
		case SPDY_FAILED:
			f->session.stop(&f->session);
			return;
		}
		bytes = span_skip(bytes, used);
	}
}

/* ---- the session ---- */

static void tunnel_take(struct tunnel *t, struct span bytes)
{
	struct forward *f = CONTAINER_OF(t, struct forward, tunnel);

	if (f->spdy) {
		frames_take(f, bytes);
	} else if (bytes.len) {
		for (struct link *l = f->links; l; l = l->next)
			if (l->data_id == (unsigned char)bytes.ptr[0])
				client_sends(l, span_skip(bytes, 1), false);
	}
}

static void tunnel_writable(struct tunnel *t)
{
	struct forward *f = CONTAINER_OF(t, struct forward, tunnel);

	for (struct link *l = f->links; l; l = l->next)
		source_pause(&l->source, false);
}

static void tunnel_ended(struct tunnel *t)
{
	struct forward *f = CONTAINER_OF(t, struct forward, tunnel);

	for (struct link *l = f->links; l; l = l->next) {
		source_done(&l->source);
		sink_done(&l->sink);
	}
	session_end(&f->session);
}

static void stop(struct session *s)
{
	struct forward *f = (struct forward *)s;

	tunnel_end(&f->tunnel);
	tunnel_ended(&f->tunnel);
}

static void session_free_forward(struct session *s)
{
	struct forward *f = (struct forward *)s;

	loop_undefer(s->streams->loop, &f->sweep);
	while (f->links)
		link_forget(f->links);
	if (f->spdy) {
		spdy_done(f->spdy);
		free(f->spdy);
	}
}

/* Numbers of channels need no streams: all connections begin at once. */
static void channels_begin(struct forward *f, const uint16_t *ports, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char number[2] = { (char)(ports[i] & 0xff), (char)(ports[i] >> 8) };
		struct link *l = link_new(f, ports[i]);

		l->data_id = (uint32_t)(2 * i);
		l->error_id = (uint32_t)(2 * i + 1);
		data_write(l, l->data_id, span_from(number, 2), false);
		data_write(l, l->error_id, span_from(number, 2), false);
		link_connect(l);
	}
}

/* False: refused. */
static bool ports_read(struct kube_call *call, uint16_t *ret, size_t *ret_count)
{
	struct span rest = call->req->query, name, value;
	int64_t port;

	*ret_count = 0;
	while (form_next(&rest, call->arena, &name, &value)) {
		while (span_equal(name, SPAN("ports")) && value.len) {
			struct span one = span_cut(&value, ',');

			if (!number_parse_int64(one, &port) || port < 1 || port > UINT16_MAX ||
			    *ret_count == PORTS_MOST) {
				streams_refuse(call, 400, "BadRequest", "'" SPAN_FMT "' is no port, or the %dth one",
					       SPAN_ARG(span_first(one, 40)), PORTS_MOST + 1);
				return false;
			}
			ret[(*ret_count)++] = (uint16_t)port;
		}
	}
	if (!*ret_count)
		streams_refuse(call, 400, "BadRequest", "query parameter \"ports\" is required");
	return *ret_count > 0;
}

void forward_begin(struct streams *s, struct kube_call *call, const struct node_question *q)
{
	static const char *const over_websocket[] = { "SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io", NULL };
	static const char *const over_spdy[] = { "portforward.k8s.io", NULL };
	bool is_websocket = span_equal(call->req->upgrade, SPAN("websocket"));
	struct span header = is_websocket ? SPAN("sec-websocket-protocol") : SPAN("x-stream-protocol-version");
	struct span protocol = protocol_choose(call->req, header, is_websocket ? over_websocket : over_spdy);
	struct request *req = call->req;
	uint16_t ports[PORTS_MOST];
	size_t count = 0;
	struct forward *f;
	struct error err = { 0 };

	if (!req->upgrade.len || !protocol.len) {
		streams_refuse(call, 400, "BadRequest",
			       req->upgrade.len ? "of the protocols for ports portforward.k8s.io, "
						  "SPDY/3.1+portforward.k8s.io and v4.channel.k8s.io are spoken here"
						: "Upgrade request required");
		return;
	}
	if (is_websocket && protocol.ptr[0] == 'v' && !ports_read(call, ports, &count))
		return;
	f = session_new(s, call, sizeof(*f), stop, session_free_forward);
	if (!f)
		return;
	f->session.uid = arena_copy(&f->session.arena, value_find_string(q->object, "metadata.uid"), &err);
	f->sweep.run = links_sweep;
	f->tunnel.receive = tunnel_take;
	f->tunnel.writable = tunnel_writable;
	f->tunnel.ended = tunnel_ended;
	if (!count) {
		f->spdy = base_calloc(1, sizeof(*f->spdy));
		spdy_init(f->spdy);
	}
	tunnel_accept(&f->tunnel, req, header, protocol);
	kube_leave(call);
	if (!f->session.is_over)
		channels_begin(f, ports, count);
}
