/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * forwarded - headers by which a hythe in front tells the hythe behind it (server_adopt()) what it cannot see, and hears
 * what HTTP/2 cannot say. They are taken only on adopted connections, and dropped from clients' requests by the one in
 * front.
 *
 * On requests: the client's address, the scheme and the version it used. On answers: the words of HTTP/1.1's status line.
 */
#include "base/base.h"

#define FORWARDED_PEER    SPAN("x-hythe-peer")    /* "127.0.0.1:41234", "unix" */
#define FORWARDED_SCHEME  SPAN("x-hythe-scheme")  /* "http", "https" */
#define FORWARDED_VERSION SPAN("x-hythe-version") /* "HTTP/1.0", "HTTP/1.1", "HTTP/2" */
#define FORWARDED_REASON  SPAN("x-hythe-reason")  /* "I'm a teapot" */
#define FORWARDED_PREFIX  SPAN("x-hythe-")        /* all of them */

struct request;

/* Of this request: what its connection knows, or (adopted connections) what the one in front said. */
struct forwarded {
	struct span peer, scheme, version;
};
struct forwarded request_forwarded(const struct request *req);
