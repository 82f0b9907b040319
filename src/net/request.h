/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * request - one question and its answer, whatever brought it: HTTP/1.1, HTTP/2 or gRPC.
 *
 * A codec fills the asking half, the router finds the handler, the handler reads, writes the body of its answer to
 * req->out and calls request_send() or request_fail(). Nothing above the codec asks for the version.
 *
 *	static void model_ready(struct request *req)
 *	{
 *		...
 *		request_send(req, 200, (struct span){ 0 });
 *	}
 *
 * gRPC: a unary call is a request whose body is the message, without frame and compression; out is the answer's
 * message. request_fail() becomes grpc-status, grpc-message and status details. A streaming call's handler runs once for
 * each message, and once more with is_end set and an empty body when the client half-closes; request_send_part() sends a
 * message and keeps the call open, request_send() ends it.
 *
 * Threads:   a handler runs on its connection's loop. After request_offload() the function given runs on a compute
 *            thread; it may use everything here as before (what it sends goes out when it returns). Handlers touch
 *            nothing but the request and immutable snapshots.
 * Ownership: the server owns the request. It and everything cut from req->arena live until the handler has answered and
 *            returned. All spans of the asking half live as long.
 * Limits:    see limits.def.
 */
#include "base/base.h"
#include "wire/http1.h"

enum method {
	METHOD_GET = 1,
	METHOD_HEAD = 2, /* reaches GET routes; the codec drops the body */
	METHOD_POST = 4,
	METHOD_PUT = 8,
	METHOD_DELETE = 16,
	METHOD_PATCH = 32,
	METHOD_OPTIONS = 64,
	METHOD_OTHER = 128,
};

enum route_kind {
	ROUTE_HTTP,
	ROUTE_GRPC,        /* unary */
	ROUTE_GRPC_STREAM, /* client, server or both stream: the handler sees each message */
	ROUTE_STREAM, /* bytes as they come, HTTP and gRPC alike: the handler runs when the head is whole, and calls
		       * request_open() or answers */
	ROUTE_SPDY,   /* the same, and a client may also upgrade to SPDY/3.1, over HTTP/1.1 */
};

struct request;

/* A protocol family: how its errors look, and its name in metrics and logs. */
struct surface {
	const char *name; /* "v2", "seldon", "v1", "records", "grpc", "ops" */
	/* Writes the error's body to req->out and sets the content type by request_send(). Not asked for gRPC routes.
	 */
	void (*fail)(struct request *req, const struct error *err);
};

#define ROUTE_PARAMS_MAX 4

/*
 * A row of a route table; a table ends with a row of zeros. Patterns: literal segments, and `{name}` for one segment or
 * the part of one up to a literal tail ("/v1/models/{model}:predict"). The most literal pattern wins. A ROUTE_STREAM or
 * ROUTE_HTTP row may have the pattern that is just a star: it takes every path and method that no other row takes, escapes undecoded.
 * A ROUTE_STREAM row's pattern may end with a slash and a star: it takes what begins so, the slash too, escapes undecoded.
 */
struct route {
	unsigned methods; /* METHOD_x bits; gRPC routes: METHOD_POST */
	const char *pattern;
	void (*handle)(struct request *req);
	const struct surface *surface;
	enum route_kind kind;
};

/* The certificate that a TLS client gave (server_config.tls_client_ca). */
struct client_certificate {
	bool is_good;                     /* signed by an authority that we take, for clients, and in its time */
	struct span common_name;          /* of the subject; may be empty */
	const struct span *organizations; /* of the subject, in order */
	size_t organization_count;
	char fingerprint[65]; /* SHA-256 of its DER form, in hex */
};
#define CLIENT_ORGANIZATIONS_MAX 64

static inline bool route_is_stream(const struct route *r)
{
	return r->kind == ROUTE_STREAM || r->kind == ROUTE_SPDY;
}
static inline bool route_takes_rest(const struct route *r)
{
	size_t len = strlen(r->pattern);

	return len > 0 && r->pattern[len - 1] == '*';
}

struct request_stream; /* the codec's side */
struct server_entry;   /* server.h */

struct request {
	/* What was asked. */
	enum method method;
	struct span method_text;
	struct span target;    /* as sent */
	struct span path;      /* percent-decoded, without the query */
	struct span query;     /* raw, without '?' */
	struct span authority; /* Host or :authority */
	const struct header *headers;
	size_t header_count;
	struct span content_type;
	struct span body; /* whole, content coding removed; for gRPC one message */
	bool is_end;      /* streaming calls: the client has half-closed, body is empty */
	struct span
	    upgrade; /* ROUTE_STREAM: "websocket" when the client asks for that (ROUTE_SPDY: or "SPDY/3.1"); else empty */
	bool is_held; /* set by a streaming handler: the half-close does not end the call; the client does, or the drain
		       */
	int http_major, http_minor; /* for logs only: 1.0, 1.1 or 2 */
	const struct route *route;
	struct span params[ROUTE_PARAMS_MAX];
	void *context; /* server_config.context */
	void *state;   /* a streaming handler's own, NULL at first; cut it from call_arena */
	char id[64];   /* request id: the caller's X-Request-Id if sane, else made here */
	size_t id_len;
	char traceparent[56];    /* empty until request_traceparent() */
	int64_t received_ns;     /* first byte of the head, monotonic */
	int64_t deadline_ns;     /* when the answer is no longer wanted; INT64_MAX without */
	struct arena arena;      /* streaming calls: cleared after each message */
	struct arena call_arena; /* streaming calls: lives as long as the call */

	/* The answer. */
	struct buffer out; /* the body is written here */

	/* Private to net. */
	struct {
		int status; /* gRPC: its status number */
		struct span content_type;
		struct header headers[16]; /* names in lower case */
		size_t header_count;
		const struct error *failure; /* gRPC: what grpc-message says; NULL when OK */
		bool is_answered;
		bool is_coded; /* gRPC: out is compressed (gzip) */
	} answer;
	struct request_stream *stream;
	struct worker *worker;
	const struct surface *surface; /* whose errors and counters: the route's, or the nearest route's */
	const struct span *param_names;
	struct request_end *ends, *call_ends; /* call_ends: of a streaming call, not of one of its messages */
	unsigned surface_index;
	uint8_t phase;
	uint8_t coding;     /* gRPC: of this message's body (enum coding) */
	bool is_grpc;       /* asked as gRPC: answers in its form */
	bool grpc_compress; /* answers may be compressed: the client compresses, and reads gzip */
	bool had_id;        /* the id is the caller's */
	bool is_abandoned;  /* client gone or deadline passed while a compute thread still works */
	struct request *next;
};

/* The value of a header (name in lower case); ptr NULL when absent. With repeats, the first. */
struct span request_header(const struct request *req, struct span name);

/* The route's parameter, percent-decoded; ptr NULL when the pattern has none of that name. */
struct span request_param(const struct request *req, const char *name);

/* A query parameter (or, with `text`, one of an application/x-www-form-urlencoded body), decoded: '+' is a space. False
 * when absent. Walk all with form_next(). */
bool request_query(struct request *req, struct span name, struct span *ret);
bool form_next(struct span *rest, struct arena *arena, struct span *ret_name, struct span *ret_value);

/* The client's certificate, or NULL: none was given, or no TLS. Lives as long as the connection; to be asked on the loop, before the
 * handler returns. */
const struct client_certificate *request_client(const struct request *req);

/* The client's address: "127.0.0.1:41234", "unix"; empty when the connection is gone. */
struct span request_peer(const struct request *req);

/* How its connection came in; NULL: by one of the server's own listeners. */
struct server_entry *request_entry(const struct request *req);

/* The status of the answer; 0 before there is one. For those that run at the request's end. */
int request_status(const struct request *req);

/* Headers of the answer; names in lower case; the spans must live as long as the request (and its arena). Ten at most.
 */
void request_set_header(struct request *req, struct span name, struct span value);

/* Sends what is in req->out with this status. An empty content type sends none. Once per request. In a streaming call
 * it sends a last message, unless out is empty, and ends the call. */
void request_send(struct request *req, int status, struct span content_type);

/* Sends what is in req->out as one message of a streaming call, and clears it. */
void request_send_part(struct request *req);

/* Answers with the error in the form of the route's surface (gRPC: status). Logs INTERNAL ones with the request's id.
 */
void request_fail(struct request *req, const struct error *err);

/*
 * Goes on in `fn` on a compute thread, when the handler returns. For work whose estimate passes REQUEST_INLINE_NS. When
 * the compute queue is full the request is answered with EXHAUSTED and fn is not called.
 */
void request_offload(struct request *req, void (*fn)(struct request *req));
#define REQUEST_INLINE_NS    INT64_C(500000)          /* estimated work that may run on the loop */
#define REQUEST_INLINE_BYTES KIB(128)                 /* body that may be decoded on the loop */
bool request_is_offloaded(const struct request *req); /* asked inside a handler: am I on a compute thread? */

/*
 * An open request: one that is answered after its handler has returned, or in parts, or while its body still comes. The
 * handler calls request_open() on the loop and returns; from then on everything about it happens on that loop, until the
 * answer has ended (request_send(), request_fail(), request_end(), request_cut()) or `gone` was called: then nothing
 * about it may be touched.
 *
 * Any kind of route but ROUTE_GRPC_STREAM may open. ROUTE_STREAM: `receive` gives the body as it comes, as far as request_want() allows, with
 * its content coding as sent and, for gRPC, with the frames' heads; the client is told to continue (100) at the first
 * request_want(). is_end tells the handler that there is no body. --max-body-bytes does not hold here: what is not wanted
 * is not read, and the owner counts what it wants to count. Other kinds: the body is whole already, and `receive` is not called.
 *
 * A client that has closed its half of an HTTP/1 connection while it waits for the answer is taken as gone.
 *
 * The time limit --request-timeout, or the client's, counts until the answer's head: `gone` is called with TIMEOUT after
 * the client was told. 0 as that limit sets none.
 */
struct request_flow {
	/* Body bytes, valid during the call; is_last with the last ones, or with none. */
	void (*receive)(struct request *req, struct span bytes, bool is_last);
	/* What request_unsent() tells has fallen under REQUEST_UNSENT_LOW, after it had been over. May be NULL. */
	void (*writable)(struct request *req);
	/* The client went away (CANCELLED), or a limit was passed and the client told. The owner forgets the request. */
	void (*gone)(struct request *req, const struct error *why);
};
#define REQUEST_UNSENT_LOW KIB(64)
void request_open(struct request *req, const struct request_flow *flow, void *owner);
void *request_owner(const struct request *req); /* as given to request_open() */

/* Lets `bytes` more of the body come; adds up. ROUTE_STREAM only. */
void request_want(struct request *req, size_t bytes);

/*
 * The answer's head, once; the headers are copied. Those of the connection (connection, keep-alive, transfer-encoding)
 * are left out and made anew; content-length is kept and held to: more than it is cut off and an answer that ends short
 * is request_cut(). `reason` is for HTTP/1.1's status line; empty: the usual words. Without content-length HTTP/1.1 sends
 * chunks, to an HTTP/1.0 client until the end of the connection. Interim heads (103) may come before it. Date and Server
 * are added where absent.
 */
void request_head(struct request *req, int status, struct span reason, const struct header *headers, size_t count);
void request_write(struct request *req, struct span bytes); /* copied; goes out in this turn of the loop */
size_t request_unsent(const struct request *req);           /* bytes written and not yet taken by the kernel */
/* The end; trailers go out where HTTP/2 (or chunks) can carry them. */
void request_end(struct request *req, const struct header *trailers, size_t count);
/* The answer cannot be finished, as with a failure after the head: the connection (HTTP/1.1) or stream (HTTP/2) is cut so
 * that the client can tell. */
void request_cut(struct request *req);

/*
 * WebSocket (RFC 6455; RFC 8441 over HTTP/2) for ROUTE_STREAM: `upgrade` is "websocket" when the client asks for it with
 * all that belongs to it (else the codec has answered 400 or 426). request_head() with 200 accepts: the codec says 101 with
 * Sec-WebSocket-Accept where it is HTTP/1.1, and then bytes go both ways by receive, request_want() and
 * request_write() until request_end(). Any other status refuses. Frames are for websocket.h.
 * SPDY/3.1 is accepted the same way, without a key; GET and POST may ask for it. Its frames are for spdy.h.
 */

/* W3C trace context of this request: a child of the caller's, or new. Made at the first call. */
struct span request_traceparent(struct request *req);

/* Runs `run` on the loop when req->arena is about to be cleared: the request is over (streaming: the message is
 * handled). For references held meanwhile. The struct is cut from req->arena, or embedded in what is. */
struct request_end {
	struct request_end *next;
	void (*run)(struct request_end *end);
};
void request_at_end(struct request *req, struct request_end *end, void (*run)(struct request_end *end));

/* {"error": "..."}: the surface of paths that belong to nobody, and of most protocols. */
void fail_as_json_error(struct request *req, const struct error *err);
extern const struct surface surface_plain;
