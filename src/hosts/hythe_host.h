/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYTHE_HOST_H
#define HYTHE_HOST_H
/*
 * hythe_host - hythe's server inside your program: libhythe-host.
 *
 * Your program (a Python interpreter, a JVM, R, Node, Go, or plain C) loads this library, gives it a function, and gets
 * HTTP/1.1, HTTP/2 and gRPC with the protocols Seldon, V2, V1 and records on one port. Requests are decoded before your
 * function sees them, and what it replies is encoded after. Needs nothing of hythe but this header and the library.
 *
 *	static void call(void *context, hythe_call *c)
 *	{
 *		struct hythe_payload in;
 *
 *		hythe_call_payload(c, 0, &in);
 *		... compute from in.array ...
 *		hythe_reply(c, &out, NULL, NULL);
 *	}
 *
 *	struct hythe_host_config config = { .size = sizeof(config), .addresses = addresses, .address_count = 1,
 *					    .name = "doubler", .call = call };
 *	char why[HYTHE_ERROR_SIZE];
 *	hythe_host *host = hythe_host_new(&config, why);
 *
 *	if (!host || !hythe_host_start(host, why))
 *		... why says it ...
 *	hythe_host_wait(host);
 *	hythe_host_free(host);
 *
 * Threads:   the library makes its own. `call` runs on up to config.threads of them at a time, never on one that moves
 *            bytes, so it may take as long as it likes and block. hythe_call_xxx and hythe_reply_xxx are for the thread
 *            that `call` runs on, until it returns. hythe_host_xxx are for the thread that made the host, except
 *            hythe_host_stop(), for any thread and for signal handlers.
 * Ownership: what accessors give lives until `call` returns. What hythe_reply() is given is copied, or lives until
 *            `release` was called with `held`: on some thread of the library, when the answer is encoded.
 * Errors:    functions that can fail return NULL or 0, and write a sentence to `why`.
 * Stability: structs begin with their size, as the caller was compiled, and only grow at the end; enumerators keep their
 *            values; functions stay. HYTHE_HOST_API counts additions, hythe_host_api() tells the library's.
 * Forking:   fork before hythe_host_start(), never after.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HYTHE_HOST_API   1
#define HYTHE_ERROR_SIZE 512
#define HYTHE_RANK_MAX   8

typedef struct hythe_host hythe_host;
typedef struct hythe_call hythe_call;

int hythe_host_api(void);
const char *hythe_host_version(void); /* "0.1.0" */

/* Bytes that are not ended by a NUL; data may be NULL when size is 0. */
struct hythe_bytes {
	const char *data;
	size_t size;
};

/* Seldon's methods. A function that does not know one replies hythe_reply_undefined(). */
enum hythe_method {
	HYTHE_PREDICT = 1,
	HYTHE_TRANSFORM_INPUT = 2,
	HYTHE_TRANSFORM_OUTPUT = 3,
	HYTHE_ROUTE = 4,     /* reply an array with one integer */
	HYTHE_AGGREGATE = 5, /* as many payloads as messages came */
	HYTHE_FEEDBACK = 6,  /* payloads: request, response, truth; kind HYTHE_NOTHING where absent */
	HYTHE_HEALTH = 7,
	HYTHE_METADATA = 8, /* reply JSON: a SeldonModelMetadata */
	HYTHE_METRICS = 9,  /* reply text: Prometheus' exposition format, which joins the server's own */
};

enum hythe_kind {
	HYTHE_NOTHING = 0,
	HYTHE_TENSOR = 1,   /* data.tensor: array */
	HYTHE_NDARRAY = 2,  /* data.ndarray: array; when its elements are not all numbers or not a full box: nested */
	HYTHE_TFTENSOR = 3, /* data.tftensor: array */
	HYTHE_BINARY = 4,   /* binData: bytes */
	HYTHE_TEXT = 5,     /* strData: bytes, UTF-8 */
	HYTHE_JSON = 6,     /* jsonData: bytes, JSON text */
	HYTHE_CUSTOM = 7,   /* customData: bytes, an encoded google.protobuf.Any; gRPC only */
};

/* The Open Inference Protocol's types. FP16 and BF16 are their 16 bits. */
enum hythe_type {
	HYTHE_BOOL = 0, /* one byte, 0 or 1 */
	HYTHE_UINT8,
	HYTHE_UINT16,
	HYTHE_UINT32,
	HYTHE_UINT64,
	HYTHE_INT8,
	HYTHE_INT16,
	HYTHE_INT32,
	HYTHE_INT64,
	HYTHE_FP16,
	HYTHE_BF16,
	HYTHE_FP32,
	HYTHE_FP64,
	HYTHE_STRINGS, /* elements are struct hythe_bytes */
};

/* Dense, row-major. Data given by the library is aligned to its element. */
struct hythe_array {
	int type; /* enum hythe_type */
	int rank;
	int64_t shape[HYTHE_RANK_MAX];
	const void *data;
	size_t size; /* bytes of data; for HYTHE_STRINGS elements * sizeof(struct hythe_bytes) */
};

struct hythe_payload {
	size_t size; /* of this struct, set by the caller */
	int kind;    /* enum hythe_kind */
	int has_array;
	struct hythe_array array;
	struct hythe_bytes nested; /* data.ndarray as JSON text, where has_array is 0 */
	struct hythe_bytes bytes;
	const struct hythe_bytes *names; /* data.names */
	size_t name_count;
	struct hythe_bytes meta; /* JSON text of an object; size 0: absent */
};

/* ---- the call ---- */

int hythe_call_method(const hythe_call *c);
int hythe_call_is_grpc(const hythe_call *c);
int hythe_call_is_seldon(const hythe_call *c);            /* 0: V2, V1 or records ask, and there is no message */
struct hythe_bytes hythe_call_model(const hythe_call *c); /* the name it is served under */
struct hythe_bytes hythe_call_id(const hythe_call *c);    /* X-Request-Id */
struct hythe_bytes hythe_call_raw(const hythe_call *c);   /* the message as sent: JSON text, or protobuf with gRPC */
size_t hythe_call_payloads(const hythe_call *c);
void hythe_call_payload(const hythe_call *c, size_t index, struct hythe_payload *ret); /* set ret->size first */
/*
 * Takes the memory of a payload's array out of the call, so that it outlives it, until hythe_taken_free(). NULL when it
 * cannot be (it is small, or a part of what was received): copy it then. Once for each payload; what is taken must live until
 * `call` returns.
 */
typedef struct hythe_taken hythe_taken;
hythe_taken *hythe_call_take(hythe_call *c, size_t index);
void hythe_taken_free(hythe_taken *taken);                 /* any thread; NULL is allowed */
double hythe_call_reward(const hythe_call *c);             /* FEEDBACK */
int hythe_call_routing(const hythe_call *c, int32_t *ret); /* FEEDBACK: 1 when the response tells this unit's branch */

/* ---- the reply: one of these, once ---- */

/* release NULL: everything is copied now. Else it must live until release(held). meta replaces the whole of it. */
void hythe_reply(hythe_call *c, const struct hythe_payload *payload, void (*release)(void *held), void *held);
/* A message sent as it is: JSON text, or protobuf where hythe_call_is_grpc(). status 0: 200. Copied. */
void hythe_reply_raw(hythe_call *c, struct hythe_bytes message, int status);
/* status: HTTP's, 0: 500. reason: Seldon's word, NULL: by status. code: of Seldon's status object, -1 usually. Copied. */
void hythe_reply_error(hythe_call *c, int status, const char *reason, int code, const char *message);
/* The method is not there: what Seldon's wrapper answers then. */
void hythe_reply_undefined(hythe_call *c);

/* ---- the host ---- */

struct hythe_host_config {
	size_t size; /* of this struct */
	/* "127.0.0.1:8080", "[::1]:0", ":8080", "unix:/path", "fd:3" (a listening socket inherited). */
	const char *const *addresses;
	size_t address_count;
	/* > 0: a connected socket on which a hythe in front sends HTTP/2; the server ends when it closes. Connections that the one in
	 * front passes on by the socket $HYTHE_DIRECT_FD are served too. */
	int adopt_fd;
	unsigned threads;                 /* calls at once; 0: 1 */
	const char *name;                 /* of the model; NULL: "model" */
	const char *kind;                 /* for people: "Python class MyModel"; NULL: "component" */
	const char *platform;             /* V2 metadata; NULL: "python" ... the language */
	const char *const *feature_names; /* or NULL */
	size_t feature_count;
	const char *const *class_names; /* or NULL */
	size_t class_count;
	/* Limits and switches by the names of `hythe serve`'s flags without dashes: { "max-body-bytes", "64m" }. */
	const char *const (*settings)[2];
	size_t setting_count;
	void *context;
	void (*call)(void *context, hythe_call *c); /* NULL: no models here, see hythe_app.h */
	const struct hythe_app *app;                /* NULL: no HTTP application */
	/*
	 * 1: no thread of the library runs the host. One of yours does, by hythe_host_run(), or from an event loop by
	 * hythe_host_fd() and hythe_host_turn(); `call` and an application's `serve` are called on it, one after the other, and
	 * `threads` is 1. What it costs a call to change threads is saved; in return nothing else is done while one lasts, but where
	 * the application waits inside the library.
	 */
	int is_driven;
	/*
	 * Called with `context` by hythe_host_run() before it sleeps and after: for a lock that your calls need, as an interpreter's.
	 * Both or none. When `resumes` returns other than 0 hythe_host_run() returns too.
	 */
	void (*waits)(void *context);
	int (*resumes)(void *context);
};

hythe_host *hythe_host_new(const struct hythe_host_config *config, char *why); /* binds */
int hythe_host_start(hythe_host *h, char *why);
const char *hythe_host_address(const hythe_host *h, size_t index); /* as bound: "127.0.0.1:41233" */
void hythe_host_stop(hythe_host *h); /* what was accepted is answered, then hythe_host_wait() returns */
void hythe_host_wait(hythe_host *h);
/* The same for so many milliseconds at most. 1: it has ended; 0: not yet, or a signal came. Any thread. */
int hythe_host_wait_for(hythe_host *h, int milliseconds);

/* Driven hosts, after hythe_host_start(), and all from one thread at a time. The same thread may wait only by these. */
int hythe_host_run(hythe_host *h); /* 1: it has ended. 0: `resumes` said so, and it may be called again */
/* Readable when hythe_host_turn() has something to do. It never waits. 0: the host has ended. */
int hythe_host_fd(hythe_host *h);
int hythe_host_turn(hythe_host *h);
/*
 * For signal handlers: a byte written here ends the sleep of hythe_host_run(); the number of SIGTERM or SIGINT stops the host. Until somebody
 * has asked for it hythe_host_run() asks `resumes` twice a second: a signal that comes just before a sleep does not end it.
 */
int hythe_host_signal_fd(hythe_host *h);
void hythe_host_free(hythe_host *h); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
