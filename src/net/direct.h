/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * direct - client connections that one process accepts and another serves, so that no request goes through both.
 *
 * The giver accepts (server_config.offer lends it a connection whose first bytes have come, unread), the taker serves. A
 * connection is passed as a descriptor (SCM_RIGHTS) on a SEQPACKET socket; the giver keeps its own descriptor of the same
 * socket, and a slot in a table in memory that both share. There the taker notes how the connection fares, without a system
 * call:
 *
 *	IDLE       everything the client has sent and that was not answered is still in the kernel
 *	ASKED      bytes of a request were read, and nothing of its answer was written. A short one is kept in the table until it
 *	           is whole, and only then begun (DIRECT_BEGUN)
 *	ANSWERING  an answer is begun, or not yet all sent
 *	CLOSED     the taker is done with it
 *
 * so that the giver knows what to do with each when the taker dies: idle ones are served by somebody else as if nothing had
 * been, those that asked are told, the rest is cut. The end of a connection is not told: both directions are shut down, which the
 * giver's epoll reports (EPOLLHUP), since its own descriptor holds the socket open.
 *
 * The taker gives back connections that are idle when it is told to (DIRECT_RELEASE), and those with a request that is the giver's to
 * answer, with the bytes it has read. The giver gives no more than `slots` requests to the handlers at once: the
 * others stay unread in the kernel, where a dying taker does not take them along.
 *
 * Threads: a table is read and written by both processes; words and counters are atomic, relaxed but where it is said.
 *          direct_take_from(): any thread, after server_start(). The rest: the loop.
 * Limits:  DIRECT_SLOTS connections; DIRECT_BYTES_MAX bytes handed back with one (a longer request is served where it is).
 */
#include <stdatomic.h>

#include "metrics/metrics.h"

enum {
	DIRECT_SLOTS = 16384,
	DIRECT_BYTES_MAX = 65536, /* of a request that is handed back, or kept until it is whole */
	DIRECT_PATHS_MAX = 1024,
	DIRECT_PEER_MAX = 64,
	DIRECT_ID_MAX = 64,
	DIRECT_LINE_MAX = 168,
	DIRECT_BATCH = 256, /* slots in one DIRECT_IDLES */
	DIRECT_CODES = 500, /* of HTTP: 100 to 599 */
};

enum direct_state { DIRECT_IDLE, DIRECT_ASKED, DIRECT_ANSWERING, DIRECT_CLOSED };

/* A slot's word: state and flags in the low byte, above it when something happened last, in microseconds of the monotonic
 * clock. */
#define DIRECT_STATE(word)   ((enum direct_state)((word)&3))
#define DIRECT_WAITS         UINT64_C(4) /* for its client: bytes of the body, or room for the answer */
#define DIRECT_TUNNEL        UINT64_C(8) /* WebSocket: may be quiet */
#define DIRECT_RESETS        UINT64_C(16) /* the answer's end is that of the connection: only a reset tells that it is cut */
#define DIRECT_BEGUN         UINT64_C(32) /* a handler has the request, or had it */
#define DIRECT_TIME_US(word) ((int64_t)((word) >> 8))

/* With kept_len: bytes are being read, and what is kept need not be all of them. */
#define DIRECT_READING UINT32_C(0x80000000)

struct direct_slot {
	_Atomic uint64_t word;
	_Atomic uint32_t kept_len; /* DIRECT_READING. Relaxed: the giver looks while the taker lives */
	/* Of the request at hand, as it was when the word became ASKED and until it is something else: "POST /predict" and
	 * its id. Read by the giver after the taker's death alone. */
	uint16_t line_len, id_len;
	char id[DIRECT_ID_MAX];
	char line[DIRECT_LINE_MAX];
};

struct direct_table {
	/* Written by the giver before it passes the first connection. */
	_Atomic uint64_t slots;     /* requests at work at once */
	_Atomic uint64_t most;      /* requests that may wait, and then some are refused */
	_Atomic uint64_t served_at; /* DIRECT_DUE is sent at that many requests; 0: never */
	_Atomic uint64_t paths_len; /* GET and HEAD of these paths are the giver's: each ends with NUL */
	char paths[DIRECT_PATHS_MAX];
	/* Written by the taker. */
	_Atomic uint64_t taken;   /* connections */
	_Atomic uint64_t waiting; /* of those with bytes: for their turn */
	_Atomic uint64_t served;  /* requests */
	_Atomic uint64_t received, sent;
	_Atomic uint64_t codes[DIRECT_CODES];
	_Atomic uint64_t seconds[METRICS_BUCKETS], seconds_sum_ns;
	struct direct_slot slot[DIRECT_SLOTS];
	/* What has been read of a request that is not whole, kept_len bytes: none of it is lost with the taker. Pages that nobody writes
	 * to are not there. */
	char kept[DIRECT_SLOTS][DIRECT_BYTES_MAX];
};

enum direct_kind {
	/* From the giver. */
	DIRECT_TABLE = 1, /* with the table's descriptor; first */
	DIRECT_TAKE,      /* with a connection */
	DIRECT_RELEASE,   /* give back what is idle, and the rest when it is */
	DIRECT_LATE,      /* slot: its request takes too long; give it back if nothing of the answer was sent */
	DIRECT_END,       /* answer what has come, and close all */
	/* From the taker. */
	DIRECT_HELLO, /* it takes */
	DIRECT_BACK,  /* slot; bytes that were read follow */
	DIRECT_FULL,  /* slot, back: there is no descriptor left for it */
	DIRECT_IDLES, /* back: the slots follow, as uint32_t */
	DIRECT_DUE,   /* served_at is reached */
};

struct direct_message {
	uint32_t kind, slot;
	char peer[DIRECT_PEER_MAX]; /* "127.0.0.1:41234"; ends with NUL */
};

struct server;

/* Serves what comes on `fd`, a SEQPACKET socket whose other end is a giver's. Takes the descriptor. One for a server. */
void direct_take_from(struct server *s, int fd);
/* On the loop, before server_drain(): the server ends though the giver may not. What is idle is given back. */
void direct_release(struct server *s);
