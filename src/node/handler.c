/* SPDX-License-Identifier: Apache-2.0 */
/* handler - questions to containers: how they begin and end; connections into a pod; commands, plain connections, sleep. */
#include "node/handler_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "kube/kinds/kinds.h"

enum { OUTPUT_READS = 16 };
#define LATE_NS (20 * NS_PER_MS) /* a command that ends so near to its time was ended by the runtime */

/* ---- the end ---- */

static void output_close(struct handler *h, size_t i)
{
	if (!h->has_output[i])
		return;
	loop_unwatch(h->loop, &h->outputs[i]);
	close(h->outputs[i].fd);
	h->has_output[i] = false;
}

static void handler_release(struct handler *h)
{
	handler_grpc_end(h);
	handler_disconnect(h);
	output_close(h, 0);
	output_close(h, 1);
	loop_timer_clear(h->loop, &h->timer);
	loop_undefer(h->loop, &h->task);
}

static void handler_free(struct handler *h)
{
	handler_release(h);
	free(h->uid);
	free(h->container);
	free(h->stream);
	buffer_done(&h->text);
	buffer_done(&h->bytes);
	arena_done(&h->arena);
	free(h);
}

static void tell(struct loop_task *t)
{
	struct handler *h = CONTAINER_OF(t, struct handler, task);

	h->is_cancelled = true;
	h->done(h->context, h->verdict, buffer_span(&h->text));
	if (!h->calls)
		handler_free(h);
}

void handler_finish(struct handler *h, enum handler_verdict verdict, const char *format, ...)
{
	char text[2048];
	va_list args;

	if (h->is_finished || h->is_cancelled)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (*text)
		buffer_clear(&h->text);
	buffer_append(&h->text, span_of(text));
	h->verdict = verdict;
	h->is_finished = true;
	loop_timer_clear(h->loop, &h->timer);
	loop_defer(h->loop, &h->task);
}

void handler_cancel(struct handler *h)
{
	if (!h)
		return;
	ASSERT(!h->is_cancelled);
	h->is_cancelled = true;
	handler_release(h);
	if (!h->calls)
		handler_free(h);
}

/* The runtime has answered. False: nobody waits for it any more. */
static bool answered(struct handler *h)
{
	h->calls--;
	if (h->is_cancelled && !h->calls)
		handler_free(h);
	else if (!h->is_cancelled && !h->is_finished)
		return true;
	return false;
}

static void time_is_up(struct timer *t)
{
	struct handler *h = CONTAINER_OF(t, struct handler, timer);

	h->late(h);
}

/* ---- connections ---- */

const char *handler_errno(int errnum)
{
	switch (errnum) {
	case ECONNREFUSED:
		return "connection refused";
	case ECONNRESET:
		return "connection reset by peer";
	case ENETUNREACH:
		return "network is unreachable";
	case EHOSTUNREACH:
		return "no route to host";
	case ETIMEDOUT:
		return "connection timed out";
	case EPIPE:
		return "broken pipe";
	default:
		return strerrordesc_np(errnum);
	}
}

void handler_disconnect(struct handler *h)
{
	SSL_free(h->ssl);
	h->ssl = NULL;
	if (h->is_watched)
		loop_unwatch(h->loop, &h->watch);
	h->is_watched = false;
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

void handler_watch(struct handler *h, unsigned events, void (*ready)(struct watch *, unsigned))
{
	if (h->is_watched)
		loop_unwatch(h->loop, &h->watch);
	h->is_watched = true;
	loop_watch(h->loop, &h->watch, h->fd, events, ready);
}

static void connecting(struct watch *w, unsigned events)
{
	struct handler *h = CONTAINER_OF(w, struct handler, watch);
	socklen_t len = sizeof(int);
	int errnum = 0;

	(void)events;
	loop_unwatch(h->loop, w);
	h->is_watched = false;
	if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
		errnum = errno;
	if (errnum) {
		char why[128];

		snprintf(why, sizeof(why), "connect: %s", handler_errno(errnum));
		h->unconnected(h, why);
	} else {
		h->connected(h);
	}
}

static bool address_fill(const struct handler *h, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, strcmp(h->host, "localhost") == 0 ? "127.0.0.1" : h->host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)h->port);
		*ret_len = sizeof(*four);
		return true;
	}
	if (inet_pton(AF_INET6, h->host, &six->sin6_addr) != 1)
		return false;
	six->sin6_family = AF_INET6;
	six->sin6_port = htons((uint16_t)h->port);
	*ret_len = sizeof(*six);
	return true;
}

static void socket_made(void *context, int fd, const struct error *err)
{
	struct handler *h = context;
	struct sockaddr_storage address;
	char why[128];
	socklen_t len;

	if (!answered(h)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (err) {
		h->unconnected(h, err->message);
		return;
	}
	h->fd = fd;
	if (!address_fill(h, &address, &len))
		return;
	if (connect(fd, (struct sockaddr *)&address, len) == 0) {
		h->connected(h);
	} else if (errno == EINPROGRESS) {
		handler_watch(h, LOOP_WRITE, connecting);
	} else {
		snprintf(why, sizeof(why), "connect: %s", handler_errno(errno));
		h->unconnected(h, why);
	}
}

void handler_connect(struct handler *h)
{
	struct sockaddr_storage address;
	socklen_t len;

	if (!address_fill(h, &address, &len)) {
		char why[320];

		snprintf(why, sizeof(why), "lookup %s: no such host", h->host);
		h->unconnected(h, why);
		return;
	}
	h->calls++;
	runtime_socket(h->runtime, span_of(h->uid), address.ss_family, SOCK_STREAM, socket_made, h);
}

void handler_host(struct handler *h, struct span host, struct span address, int port)
{
	struct span to = host.len ? host : address;

	snprintf(h->host, sizeof(h->host), SPAN_FMT, SPAN_ARG(to));
	h->port = port;
	snprintf(h->peer, sizeof(h->peer), strchr(h->host, ':') ? "[%s]:%d" : "%s:%d", h->host, port);
}

int handler_port(const struct value *port, const struct value *spec)
{
	const struct value *ports = get(spec, "ports");
	int64_t number = 0;

	if (value_is(port, VALUE_INT))
		number = port->integer;
	else if (value_is(port, VALUE_STRING) && !number_parse_int64(port->string, &number))
		for (uint32_t i = 0; i < count_of(ports) && !number; i++)
			if (span_equal(get_text(value_item(ports, i), "name"), port->string))
				number = get_int(value_item(ports, i), "containerPort", 0);
	return number > 0 && number < 65536 ? (int)number : 0;
}

/* ---- tcpSocket ---- */

static void tcp_connected(struct handler *h)
{
	handler_disconnect(h);
	handler_finish(h, HANDLER_GOOD, "%s", "");
}

static void tcp_unconnected(struct handler *h, const char *why)
{
	handler_finish(h, HANDLER_BAD, "dial tcp %s: %s", h->peer, why);
}

static void tcp_late(struct handler *h)
{
	tcp_unconnected(h, "i/o timeout");
}

static void tcp_begin(struct handler *h, const struct value *tcp, struct span address)
{
	int port = handler_port(get(tcp, "port"), &h->spec);

	if (!port) {
		handler_finish(h, HANDLER_ERROR, "couldn't find port: " SPAN_FMT, SPAN_ARG(get_text(tcp, "port")));
		return;
	}
	handler_host(h, get_text(tcp, "host"), address, port);
	h->connected = tcp_connected;
	h->unconnected = tcp_unconnected;
	h->late = tcp_late;
	handler_connect(h);
}

/* ---- exec ---- */

/* Not more than a pipe holds: one that writes all the time does not keep the loop. */
static void output_read(struct handler *h, size_t i)
{
	char bytes[4096];
	ssize_t len = 1;

	for (int k = 0; k < OUTPUT_READS && len > 0; k++) {
		len = read(h->outputs[i].fd, bytes, sizeof(bytes));
		if (len > 0)
			buffer_append(&h->text,
				      span_from(bytes, MIN((size_t)len,
							   HANDLER_TEXT_MOST - MIN(h->text.len, HANDLER_TEXT_MOST))));
	}
	if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
		output_close(h, i);
}

static void exec_finish(struct handler *h)
{
	if (!h->has_ended)
		return;
	for (size_t i = 0; i < 2; i++)
		if (h->has_output[i])
			output_read(h, i);
	if (h->exit_code && h->timeout_ns && loop_now(h->loop) - h->begun_ns >= h->timeout_ns - LATE_NS)
		h->late(h);
	else
		handler_finish(h, h->exit_code ? HANDLER_BAD : HANDLER_GOOD, "%s", "");
}

static void output_ready(struct watch *w, unsigned events)
{
	struct handler *h = CONTAINER_OF(w, struct handler, outputs[0]);

	(void)events;
	output_read(h, 0);
}

static void error_ready(struct watch *w, unsigned events)
{
	struct handler *h = CONTAINER_OF(w, struct handler, outputs[1]);

	(void)events;
	output_read(h, 1);
}

static void output_open(struct handler *h, size_t i, int fd)
{
	if (fd < 0)
		return;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	h->has_output[i] = true;
	loop_watch(h->loop, &h->outputs[i], fd, LOOP_READ, i ? error_ready : output_ready);
}

static void exec_begun(void *context, const struct stream *s, const struct error *err)
{
	struct handler *h = context;

	if (!answered(h)) {
		if (s && s->out >= 0)
			close(s->out);
		if (s && s->err >= 0)
			close(s->err);
		return;
	}
	if (err) {
		handler_finish(h, HANDLER_ERROR, "%s", err->message);
		return;
	}
	h->stream = span_to_text(s->id);
	output_open(h, 0, s->out);
	output_open(h, 1, s->err);
}

bool handler_ended(struct handler *h, struct span stream, int exit_code)
{
	if (!h->stream || !span_equal(span_of(h->stream), stream))
		return false;
	h->has_ended = true;
	h->exit_code = exit_code;
	exec_finish(h);
	return true;
}

static void exec_late(struct handler *h)
{
	const struct value *command = value_find(&h->action, "exec.command");
	char text[512];
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < count_of(command) && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s" SPAN_FMT, i ? " " : "",
					SPAN_ARG(text_of(value_item(command, i))));
	handler_finish(h, HANDLER_BAD, "command timed out: \"%s\" timed out after %llds", text,
		       (long long)(h->timeout_ns / NS_PER_S));
}

static void exec_begin(struct handler *h)
{
	const struct value *command = value_find(&h->action, "exec.command");
	struct stream_wanted wanted = { .has_stdout = true, .has_stderr = true, .timeout_ns = h->timeout_ns };
	struct error err = { 0 };
	struct span *items = ARENA_ARRAY(&h->arena, struct span, count_of(command) + 1, &err);

	for (uint32_t i = 0; items && i < count_of(command); i++)
		items[i] = text_of(value_item(command, i));
	wanted.command = items;
	wanted.command_count = items ? count_of(command) : 0;
	h->late = exec_late;
	h->calls++;
	runtime_exec(h->runtime, span_of(h->uid), span_of(h->container), h->attempt, &wanted, exec_begun, h);
}

/* ---- sleep ---- */

static void slept(struct handler *h)
{
	handler_finish(h, HANDLER_GOOD, "%s", "");
}

static void sleep_late(struct handler *h)
{
	handler_finish(h, HANDLER_BAD, "container terminated before sleep hook finished");
}

static void sleep_begin(struct handler *h)
{
	int64_t seconds = value_find_int(&h->action, "sleep.seconds", 0);
	int64_t ns = MIN(MAX(seconds, (int64_t)0), (int64_t)INT32_MAX) * NS_PER_S;
	bool is_short = !h->timeout_ns || ns <= h->timeout_ns;

	h->late = is_short ? slept : sleep_late;
	h->timeout_ns = is_short ? MAX(ns, (int64_t)1) : h->timeout_ns;
}

/* ---- the beginning ---- */

static void begin(struct handler *h, struct span address)
{
	const struct value *http = get(&h->action, "httpGet"), *tcp = get(&h->action, "tcpSocket"),
			   *grpc = get(&h->action, "grpc");

	if (get(&h->action, "exec"))
		exec_begin(h);
	else if (http)
		handler_http(h, http, address);
	else if (tcp)
		tcp_begin(h, tcp, address);
	else if (grpc)
		handler_grpc(h, grpc, address);
	else if (get(&h->action, "sleep"))
		sleep_begin(h);
	else
		handler_finish(h, HANDLER_ERROR, "missing probe handler");
}

struct handler *handler_run(const struct handler_wanted *w, handler_done done, void *context)
{
	struct handler *h = base_calloc(1, sizeof(*h));
	struct error err = { 0 };

	h->loop = w->loop;
	h->runtime = w->runtime;
	h->uid = span_to_text(w->uid);
	h->container = span_to_text(w->container);
	h->attempt = w->attempt;
	h->agent = w->agent;
	h->timeout_ns = w->timeout_ns;
	h->begun_ns = loop_now(w->loop);
	h->is_status_ignored = w->is_status_ignored;
	h->done = done;
	h->context = context;
	h->task.run = tell;
	h->fd = -1;
	buffer_init(&h->text, HANDLER_TEXT_MOST);
	buffer_init(&h->bytes, HANDLER_HEAD_MOST);
	arena_init(&h->arena, MIB(4));
	if (!value_copy(w->action, &h->arena, &h->action, &err) ||
	    (w->spec && !value_copy(w->spec, &h->arena, &h->spec, &err)))
		handler_finish(h, HANDLER_ERROR, "%s", err.message);
	else
		begin(h, w->address);
	if (h->timeout_ns && h->late && !h->is_finished)
		loop_timer_set(h->loop, &h->timer, h->begun_ns + h->timeout_ns, time_is_up);
	return h;
}
