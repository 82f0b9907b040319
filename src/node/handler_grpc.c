/* SPDX-License-Identifier: Apache-2.0 */
/* handler_grpc - grpc: grpc.health.v1.Health/Check over HTTP/2 in clear. The words are those of kubelet's prober. */
#include "node/handler_private.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/number.h"
#include "kube/kinds/kinds.h"
#include "wire/protobuf.h"

enum { FRAME_HEAD = 5, SERVICE_MOST = 1000 };

static void unconnected(struct handler *h, const char *why)
{
	(void)why; /* kubelet tries again until its time is up, and tells of that */
	handler_finish(h, HANDLER_BAD,
		       "timeout: failed to connect service \"%s\" within %llds: context deadline exceeded", h->peer,
		       (long long)(h->timeout_ns / NS_PER_S));
}

static void late(struct handler *h)
{
	if (h->client)
		handler_finish(h, HANDLER_BAD, "timeout: health rpc did not complete within %llds",
			       (long long)(h->timeout_ns / NS_PER_S));
	else
		unconnected(h, "");
}

/* ---- the answer ---- */

static struct span header(const struct header *headers, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal(headers[i].name, name))
			return headers[i].value;
	return (struct span){ 0 };
}

static const char *code_name(int64_t code)
{
	static const char *const names[] = {
		"OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
		"NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
		"Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
		"DataLoss", "Unauthenticated"
	};

	return code >= 0 && code < (int64_t)ARRAY_LEN(names) ? names[code] : "Unknown";
}

static void refused(struct handler *h, int64_t code, struct span message)
{
	if (code == 12)
		handler_finish(h, HANDLER_BAD,
			       "error: this server does not implement the grpc health protocol "
			       "(grpc.health.v1.Health): " SPAN_FMT,
			       SPAN_ARG(message));
	else if (code == 4)
		late(h);
	else
		handler_finish(h, HANDLER_BAD, "error: health rpc probe failed: rpc error: code = %s desc = " SPAN_FMT,
			       code_name(code), SPAN_ARG(message));
}

/* HealthCheckResponse: status is field 1. */
static int64_t status_read(struct span frame)
{
	struct protobuf p = protobuf(span_skip(frame, MIN(frame.len, (size_t)FRAME_HEAD)));
	struct protobuf_field f;
	struct error ignored = { 0 };
	int64_t status = 0;

	while (protobuf_next(&p, &f, &ignored))
		if (f.number == 1 && f.type == PROTOBUF_VARINT)
			status = (int64_t)(f.value & INT32_MAX);
	return p.failed ? -1 : status;
}

static void message_look(struct handler *h)
{
	static const char *const names[] = { "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN" };
	int64_t status = status_read(buffer_span(&h->bytes));

	if (status == 1)
		handler_finish(h, HANDLER_GOOD, "service healthy");
	else if (status < 0)
		handler_finish(h, HANDLER_BAD, "error: health rpc probe failed: the answer cannot be read");
	else if (status < (int64_t)ARRAY_LEN(names))
		handler_finish(h, HANDLER_BAD, "service unhealthy (responded with \"%s\")", names[status]);
	else
		handler_finish(h, HANDLER_BAD, "service unhealthy (responded with \"%lld\")", (long long)status);
}

static void status_look(struct handler *h, const struct header *headers, size_t count)
{
	struct span text = header(headers, count, SPAN("grpc-status"));
	int64_t code = 2;

	if (!text.len || h->has_answered)
		return;
	h->has_answered = true;
	if (!number_parse_int64(text, &code) || code != 0)
		refused(h, code, header(headers, count, SPAN("grpc-message")));
	else
		message_look(h);
}

static void head(struct client_stream *s, int status, const struct header *headers, size_t count)
{
	struct handler *h = client_stream_owner(s);

	if (status != 200)
		handler_finish(
		    h, HANDLER_BAD,
		    "error: health rpc probe failed: rpc error: code = Unknown desc = unexpected HTTP status "
		    "code received from server: %d",
		    status);
	status_look(h, headers, count); /* trailers alone */
}

static void receive(struct client_stream *s, struct span bytes)
{
	struct handler *h = client_stream_owner(s);

	buffer_append(&h->bytes, bytes);
	client_taken(s, bytes.len);
}

static void end(struct client_stream *s, const struct header *trailers, size_t count)
{
	status_look(client_stream_owner(s), trailers, count);
}

static void closed(struct client_stream *s, const struct error *why)
{
	struct handler *h = client_stream_owner(s);

	if (!h->is_cancelled)
		handler_finish(h, HANDLER_BAD,
			       "error: health rpc probe failed: rpc error: code = Unavailable desc = %s",
			       why ? why->message : "the server gave no status");
}

static void lost(struct client *c, const struct error *why)
{
	(void)c; /* the stream has been told */
	(void)why;
}

/* ---- the question ---- */

static void connected(struct handler *h)
{
	static const struct client_ops ops = { .lost = lost };
	static const struct client_stream_ops stream_ops = {
		.head = head, .receive = receive, .end = end, .closed = closed
	};
	const struct header headers[] = {
		{ SPAN("content-type"), SPAN("application/grpc") },
		{ SPAN("te"), SPAN("trailers") },
		{ SPAN("user-agent"), span_of(h->agent) },
	};
	struct client_head question = { .method = SPAN("POST"),
					.scheme = SPAN("http"),
					.authority = span_of(h->peer),
					.path = SPAN("/grpc.health.v1.Health/Check"),
					.headers = headers,
					.header_count = ARRAY_LEN(headers) };
	struct span service = value_find_string(&h->action, "grpc.service");
	char body[FRAME_HEAD + 3 + SERVICE_MOST];
	size_t len = 0;
	struct client_stream *s;

	if (service.len > SERVICE_MOST) {
		handler_finish(h, HANDLER_ERROR, "the name of the service is longer than %d bytes", SERVICE_MOST);
		return;
	}
	if (service.len) { /* HealthCheckRequest: service is field 1 */
		body[FRAME_HEAD + len++] = 0x0a;
		if (service.len >= 128)
			body[FRAME_HEAD + len++] = (char)(0x80 | (service.len & 0x7f));
		body[FRAME_HEAD + len++] = (char)(service.len >= 128 ? service.len >> 7 : service.len);
		memcpy(body + FRAME_HEAD + len, service.ptr, service.len);
		len += service.len;
	}
	memcpy(body, (char[]){ 0, 0, 0, (char)(len >> 8), (char)len }, FRAME_HEAD);
	h->client = client_new(h->loop, h->fd, &ops, h);
	h->fd = -1; /* the client's now */
	s = client_open(h->client, &question, false, &stream_ops, h);
	client_write(s, span_from(body, FRAME_HEAD + len));
	client_end(s);
}

void handler_grpc_end(struct handler *h)
{
	struct client *c = h->client;

	h->client = NULL;
	client_free(c);
}

void handler_grpc(struct handler *h, const struct value *grpc, struct span address)
{
	int port = handler_port(get(grpc, "port"), &h->spec);

	if (!port) {
		handler_finish(h, HANDLER_ERROR, "couldn't find port");
		return;
	}
	handler_host(h, (struct span){ 0 }, address, port);
	h->connected = connected;
	h->unconnected = unconnected;
	h->late = late;
	handler_connect(h);
}
