/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dns - the names of a cluster, answered inside a pod: a server at 127.96.0.10:53 of its network namespace, UDP and TCP (RFC 1035). What is under
 * "cluster.local" comes from service_table.h (the schema of Kubernetes' DNS-based service discovery: A, SRV, CNAME of ExternalName); anything else
 * is asked at the machine's own name servers (/etc/resolv.conf), or does not exist.
 *
 * Threads: the supervisor's loop.
 * Limits:  DNS_ASKED_MOST questions under way outside, DNS_CLIENTS_MOST connections; more are dropped, as datagrams are. Answers from outside
 *          that need TCP come cut, with the bit that says so.
 */
#include <netinet/in.h>

#include "base/base.h"

struct dns;
struct loop;
struct service_table;

enum { DNS_PORT = 53, DNS_ASKED_MOST = 256, DNS_CLIENTS_MOST = 32, DNS_MESSAGE_MOST = 65535, DNS_NAME_MOST = 255 };

struct dns_config {
	struct loop *loop;
	struct service_table *table; /* the caller's */
	bool asks_outside;
	int (*socket)(void *context, int family, int type, struct error *err); /* of the pod's namespace */
	void *context;
};

struct dns *dns_new(const struct dns_config *config, struct error *err);
void dns_free(struct dns *d); /* NULL is allowed */
bool dns_is_at(struct in_addr a);

/* ---- messages, without sockets ---- */

struct dns_question {
	uint16_t id, type;
	size_t end;         /* of the question in the message */
	size_t answer_most; /* bytes that a datagram to the client may have */
	bool wants_recursion;
	char name[DNS_NAME_MOST + 1]; /* lower case, without the dot at its end */
};

enum dns_verdict {
	DNS_ANSWERED, /* `out` is the answer, an error of the protocol perhaps */
	DNS_OUTSIDE,  /* to be asked elsewhere; with an alias that is the name to ask for, else the question's own */
	DNS_GARBAGE,  /* not even to be answered */
};

/* `ret_alias`: where the name is an alias of one outside; empty otherwise. It points into the table. */
enum dns_verdict dns_answer(struct service_table *table, struct span query, bool is_stream, struct dns_question *ret,
			    struct span *ret_alias, struct buffer *out);
/* The answer for a question whose alias was looked up: what came from outside, under the names that were asked for. */
void dns_answer_alias(struct span query, const struct dns_question *q, struct span alias, struct span reply,
		      struct buffer *out);
void dns_answer_error(struct span query, const struct dns_question *q, int code,
		      struct buffer *out); /* 2: SERVFAIL, 3: NXDOMAIN */
/* A question of our own. False: the name is none. */
bool dns_question_write(uint16_t id, struct span name, uint16_t type, struct buffer *out);
