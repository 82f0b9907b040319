/* SPDX-License-Identifier: Apache-2.0 */
/* dns_fuzz - a question of a pod's, and (behind its first byte's worth of bytes) the answer of a name server to what it leads to. */
#include "node/dns.h"
#include "node/service_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

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
	struct service_table table;
	struct span all = span_from(data, len), query;

	if (!len)
		return 0;
	query = span_first(span_skip(all, 1), data[0]);
	service_table_init(&table, SPAN("/nowhere"));
	question(&table, query, span_skip(all, 1 + query.len), false);
	question(&table, query, span_skip(all, 1 + query.len), true);
	service_table_done(&table);
	return 0;
}
