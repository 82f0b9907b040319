/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * service_table - where cluster IPs and names lead: two files that the node writes (services.h) and the supervisors of pods read, so that
 * connections and names work while nobody else runs. Lines in the order of their bytes, key first, parted by spaces:
 *
 *	network/addresses	127.96.0.7:80/TCP 127.97.0.3:8000 127.97.0.4:8000
 *				127.96.0.9:80/TCP ~ 127.97.0.5:80		"~": the same client always gets the same one
 *	network/names		web.default 127.96.0.7
 *				db.default 127.97.0.3 127.97.0.4		a service without an address of its own
 *				db-0.db.default 127.97.0.3
 *				far.default =www.example.com			another name
 *				_http._tcp.web.default :80 web.default		a port and whose it is (SRV)
 *
 * Names are in lower case, without "svc" and the cluster's domain. Files are replaced, never changed.
 *
 * Threads: one a table. Errors: a file that is missing or damaged is an empty one.
 * Limits:  SERVICE_TABLE_MOST bytes of a file.
 */
#include <netinet/in.h>

#include "base/base.h"

enum { SERVICE_TABLE_MOST = 64 << 20, SERVICE_ADDRESSES_MOST = 64 };

struct service_file {
	const char *path;
	char *text; /* mapped; NULL: none */
	size_t len;
	uint64_t inode;
	int64_t changed_ns;
};

struct service_table {
	struct service_file addresses, names;
};

/* `folder`: the node's, which the table keeps a copy of. Read at the first question, and anew when a file was replaced. */
void service_table_init(struct service_table *t, struct span folder);
void service_table_done(struct service_table *t);

/* The line behind a key, without it; false: no such key. */
bool service_table_find(struct service_file *f, struct span key, struct span *ret);

/* Where a connection to a cluster IP goes: one that is ready, by chance, or by `client` where the service wants that. False: there is no such
 * service (*ret_is_known false), or nobody behind it. */
bool service_table_choose(struct service_table *t, struct in_addr address, uint16_t port, bool is_udp, uint64_t client,
			  struct sockaddr_in *ret, bool *ret_is_known);
