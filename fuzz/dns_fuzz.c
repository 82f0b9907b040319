/* SPDX-License-Identifier: Apache-2.0 */
/* dns_fuzz - a question of a pod's, and (behind its first byte's worth of bytes) the answer of a name server to what it leads to. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/dns.h"
#include "node/service_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char folder[] = "/tmp/dns_fuzz.XXXXXX", network[64], names[96];

static void table_remove(void)
{
	(void)unlink(names);
	(void)rmdir(network);
	(void)rmdir(folder);
}

/* Addresses, a name that leads to others, one that leads out, one that leads to itself. */
static void table_make(struct service_table *table)
{
	static const char lines[] = "_http._tcp.web.default :80 web.default\n"
				    "chain.default =near.default.svc.cluster.local\n"
				    "far.default =www.example.com\n"
				    "near.default =web.default.svc.cluster.local.\n"
				    "ring.default =ring.default.svc.cluster.local\n"
				    "web.default 127.96.0.7 127.96.0.8\n";
	FILE *f;

	ASSERT(mkdtemp(folder));
	(void)snprintf(network, sizeof(network), "%s/network", folder);
	(void)snprintf(names, sizeof(names), "%s/names", network);
	ASSERT(mkdir(network, 0700) == 0);
	f = fopen(names, "we");
	ASSERT(f && fputs(lines, f) >= 0 && fclose(f) == 0);
	(void)atexit(table_remove);
	service_table_init(table, span_of(folder));
}

static void question(struct service_table *table, struct span query, struct span reply, bool is_stream)
{
	struct dns_question q;
	struct buffer out;
	struct span alias;
	enum dns_verdict verdict;

	buffer_init(&out, DNS_MESSAGE_MOST);
	verdict = dns_answer(table, query, is_stream, &q, &alias, &out);
	if (verdict == DNS_ANSWERED)
		ASSERT(out.len >= 12 && (is_stream || out.len <= 4096));
	if (verdict == DNS_OUTSIDE) {
		dns_answer_alias(query, &q, SPAN("www.example.com"), reply, &out);
		ASSERT(out.len >= 12);
		dns_answer_error(query, &q, 2, &out);
		ASSERT(out.len >= 12);
	}
	buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct service_table table;
	struct span all = span_from(data, len), query;

	if (!*names)
		table_make(&table);
	if (!len)
		return 0;
	query = span_first(span_skip(all, 1), data[0]);
	question(&table, query, span_skip(all, 1 + query.len), false);
	question(&table, query, span_skip(all, 1 + query.len), true);
	return 0;
}
