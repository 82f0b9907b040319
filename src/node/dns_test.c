/* SPDX-License-Identifier: Apache-2.0 */
/* dns_test - where names and cluster IPs lead, by the files that a node writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/dns.h"
#include "node/service_table.h"

static char folder[] = "/tmp/hythe-dns-XXXXXX";
static struct service_table table;

static void file_write(const char *name, const char *text)
{
	char path[200], temporary[220];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/network/%s", folder, name);
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	f = fopen(temporary, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(temporary, path), 0);
}

static int begin(void **state)
{
	char network[200];

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(network, sizeof(network), "%s/network", folder);
	assert_int_equal(mkdir(network, 0700), 0);
	service_table_init(&table, span_of(folder));
	file_write("addresses", "127.96.0.1:443/TCP 127.0.0.1:6443\n"
				"127.96.0.7:53/UDP 127.97.0.9:5353\n"
				"127.96.0.7:80/TCP 127.97.0.3:8000 127.97.0.4:8000\n"
				"127.96.0.8:80/TCP ~ 127.97.0.3:1 127.97.0.4:2 127.97.0.5:3\n"
				"127.96.0.9:80/TCP\n");
	file_write("names", "_http._tcp.web.default :80 web.default\n"
			    "chain.default =near.default.svc.cluster.local.\n"
			    "db-0.db.default 127.97.0.3\n"
			    "db.default 127.97.0.3 127.97.0.4\n"
			    "far.default =www.example.com\n"
			    "further.default =far.default.svc.cluster.local\n"
			    "lost.default =gone.default.svc.cluster.local\n"
			    "near.default =web.default.svc.cluster.local\n"
			    "nobody.default\n"
			    "ring.default =ring.default.svc.cluster.local\n"
			    "web.default 127.96.0.7\n");
	return 0;
}

static int end(void **state)
{
	static const char *const files[] = { "/network/addresses", "/network/names", "/network", "" };
	char path[200];

	(void)state;
	service_table_done(&table);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", folder, files[i]);
		assert_int_equal(remove(path), 0);
	}
	return 0;
}

/* ---- cluster IPs ---- */

static const char *chosen(const char *address, uint16_t port, bool is_udp, uint64_t client)
{
	static char text[64];
	struct sockaddr_in to;
	struct in_addr a;
	bool is_known;

	assert_int_equal(inet_pton(AF_INET, address, &a), 1);
	if (!service_table_choose(&table, a, port, is_udp, client, &to, &is_known))
		return is_known ? "nobody" : "unknown";
	(void)snprintf(text, sizeof(text), "%s:%u", inet_ntoa(to.sin_addr), ntohs(to.sin_port));
	return text;
}

static void cluster_addresses_lead_to_what_is_behind_them(void **state)
{
	unsigned third = 0;

	(void)state;
	assert_string_equal(chosen("127.96.0.1", 443, false, 0), "127.0.0.1:6443");
	assert_string_equal(chosen("127.96.0.7", 53, true, 0), "127.97.0.9:5353");
	assert_string_equal(chosen("127.96.0.9", 80, false, 0), "nobody");
	assert_string_equal(chosen("127.96.0.9", 81, false, 0), "unknown");
	assert_string_equal(chosen("127.96.0.7", 80, true, 0), "unknown");
	for (int i = 0; i < 1000; i++)
		third += strcmp(chosen("127.96.0.7", 80, false, 0), "127.97.0.3:8000") == 0;
	assert_in_range(third, 400, 600); /* 1,000 throws of a coin: 6 sigma */
}

static void a_service_may_keep_its_clients(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_string_equal(chosen("127.96.0.8", 80, false, 3), "127.97.0.3:1");
		assert_string_equal(chosen("127.96.0.8", 80, false, 5), "127.97.0.5:3");
	}
}

static void a_file_that_was_replaced_is_read_anew(void **state)
{
	(void)state;
	assert_string_equal(chosen("127.96.0.1", 443, false, 0), "127.0.0.1:6443");
	file_write("addresses", "127.96.0.1:443/TCP 127.0.0.1:7443\n");
	assert_string_equal(chosen("127.96.0.1", 443, false, 0), "127.0.0.1:7443");
	file_write("addresses", "127.96.0.1:443/TCP ::damaged:: x y\n");
	assert_string_equal(chosen("127.96.0.1", 443, false, 0), "nobody");
	file_write("addresses", "");
	assert_string_equal(chosen("127.96.0.1", 443, false, 0), "unknown");
}

/* ---- names ---- */

enum { A = 1, CNAME = 5, PTR = 12, AAAA = 28, SRV = 33 };

/* "web.default", of labels up to their domain. */
static size_t labels_print(const char *at, char *to, size_t room)
{
	size_t len = 0;

	for (; *at && strncmp(at, "\3svc", 4) != 0; at += *at + 1)
		len += (size_t)snprintf(to + len, room - len, "%s%.*s", len ? "." : "", *at, at + 1);
	return len;
}

/* "0: 127.96.0.7", "0: =web.default 127.96.0.7", "3:" (no such name), "outside", "outside www.example.com", "garbage". */
static const char *answered(const char *name, uint16_t type)
{
	static char text[1024];
	struct buffer query, out;
	struct dns_question q;
	enum dns_verdict verdict;
	struct span alias;
	size_t len;

	buffer_init(&query, KIB(4));
	buffer_init(&out, KIB(64));
	assert_true(dns_question_write(0x1234, span_of(name), type, &query));
	verdict = dns_answer(&table, buffer_span(&query), false, &q, &alias, &out);
	len = (size_t)snprintf(text, sizeof(text), "%s",
			       verdict == DNS_GARBAGE   ? "garbage"
			       : verdict == DNS_OUTSIDE ? "outside"
							: "");
	if (alias.len)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " " SPAN_FMT, SPAN_ARG(alias));
	if (verdict == DNS_ANSWERED) {
		unsigned count = (unsigned char)out.ptr[7];
		struct in_addr address = { 0 };
		size_t at = query.len, owner = 12;

		assert_int_equal((unsigned char)out.ptr[0] << 8 | (unsigned char)out.ptr[1], 0x1234);
		assert_int_equal(out.ptr[2] & 0x80, 0x80);
		assert_memory_equal(out.ptr + 12, query.ptr + 12, query.len - 12);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%d:", out.ptr[3] & 15);
		for (; count; count--) {
			size_t data = at + 12,
			       size = (size_t)((unsigned char)out.ptr[at + 10] << 8 | (unsigned char)out.ptr[at + 11]);

			assert_true(data + size <= out.len);
			assert_int_equal((unsigned char)out.ptr[at] << 8 | (unsigned char)out.ptr[at + 1],
					 0xc000 | owner);
			memcpy(&address, out.ptr + data, MIN(size, sizeof(address)));
			if (out.ptr[at + 3] == A) {
				len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", inet_ntoa(address));
			} else if (out.ptr[at + 3] == CNAME) {
				len += (size_t)snprintf(text + len, sizeof(text) - len, " =");
				len += labels_print(out.ptr + data, text + len, sizeof(text) - len);
				owner = data;
			} else {
				len += (size_t)snprintf(text + len, sizeof(text) - len, " [%d %.*s]",
							(unsigned char)out.ptr[data + 4] << 8 |
							    (unsigned char)out.ptr[data + 5],
							(int)size - 8, out.ptr + data + 7);
			}
			at = data + size;
		}
		assert_int_equal(at, out.len);
	}
	buffer_done(&query);
	buffer_done(&out);
	return text;
}

static void names_of_the_cluster_are_answered(void **state)
{
	(void)state;
	assert_string_equal(answered("web.default.svc.cluster.local", A), "0: 127.96.0.7");
	assert_string_equal(answered("WEB.Default.svc.cluster.local", A), "0: 127.96.0.7");
	assert_string_equal(answered("web.default.svc.cluster.local", AAAA),
			    "0:"); /* the name is there, that address is not */
	assert_string_equal(answered("db.default.svc.cluster.local", A), "0: 127.97.0.3 127.97.0.4");
	assert_string_equal(answered("db-0.db.default.svc.cluster.local", A), "0: 127.97.0.3");
	assert_string_equal(answered("nobody.default.svc.cluster.local", A), "0:");
	assert_string_equal(answered("web.other.svc.cluster.local", A), "3:");
	assert_string_equal(answered("web.svc.cluster.local", A), "3:");
	assert_string_equal(answered("_http._tcp.web.default.svc.cluster.local", SRV),
			    "0: [80 web\7default\3svc\7cluster\5local]");
	assert_string_equal(answered("10-1-2-3.default.pod.cluster.local", A), "0: 10.1.2.3");
	assert_string_equal(answered("not-an-address.default.pod.cluster.local", A), "0:");
	assert_string_equal(answered("far.default.svc.cluster.local", A), "outside www.example.com");
	assert_string_equal(answered("near.default.svc.cluster.local", A), "0: =web.default 127.96.0.7");
	assert_string_equal(answered("near.default.svc.cluster.local", AAAA), "0: =web.default");
	assert_string_equal(answered("near.default.svc.cluster.local", CNAME), "0: =web.default");
	assert_string_equal(answered("chain.default.svc.cluster.local", A), "0: =near.default =web.default 127.96.0.7");
	assert_string_equal(answered("lost.default.svc.cluster.local", A), "3: =gone.default");
	assert_string_equal(answered("further.default.svc.cluster.local", A), "outside www.example.com");
	assert_string_equal(answered("ring.default.svc.cluster.local", A),
			    "0: =ring.default =ring.default =ring.default =ring.default =ring.default =ring.default "
			    "=ring.default =ring.default");
	assert_string_equal(answered("www.example.com", A), "outside");
	assert_string_equal(answered("cluster.local", A), "outside");
}

static void what_is_no_question_is_refused(void **state)
{
	static const struct {
		struct span message;
		int code; /* -1: not even answered */
	} cases[] = {
		{ SPAN_INIT(""), -1 },
		{ SPAN_INIT("\0\1\1\0\0\1\0\0\0\0\0"), -1 },
		{ SPAN_INIT("\0\1\x81\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"), -1 }, /* an answer */
		{ SPAN_INIT("\0\1\1\0\0\1\0\0\0\0\0\0"), 1 },                 /* no question */
		{ SPAN_INIT("\0\1\1\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1"), 1 },    /* two */
		{ SPAN_INIT("\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0"), 1 },      /* cut */
		{ SPAN_INIT("\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"), 1 }, /* a name that points to itself */
		{ SPAN_INIT("\0\1\1\0\0\1\0\0\0\0\0\0\3a b\0\0\1\0\1"), 1 },  /* a space */
		{ SPAN_INIT("\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\3"), 4 },    /* of another class */
		{ SPAN_INIT("\0\1\x28\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"), 4 },  /* an update */
	};
	struct dns_question q;
	struct buffer out;
	struct span alias;

	(void)state;
	buffer_init(&out, KIB(4));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum dns_verdict v = dns_answer(&table, cases[i].message, false, &q, &alias, &out);

		assert_int_equal(v, cases[i].code < 0 ? DNS_GARBAGE : DNS_ANSWERED);
		if (cases[i].code >= 0)
			assert_int_equal(out.ptr[3] & 15, cases[i].code);
	}
	buffer_done(&out);
}

static void an_alias_is_answered_with_what_it_leads_to(void **state)
{
	struct buffer query, reply, out;
	struct dns_question q;
	struct span alias;

	(void)state;
	buffer_init(&query, KIB(4));
	buffer_init(&reply, KIB(4));
	buffer_init(&out, KIB(4));
	assert_true(dns_question_write(7, SPAN("far.default.svc.cluster.local"), A, &query));
	assert_int_equal(dns_answer(&table, buffer_span(&query), false, &q, &alias, &out), DNS_OUTSIDE);
	assert_true(dns_question_write(9, alias, A, &reply));
	reply.ptr[2] |= (char)0x80;
	reply.ptr[7] = 1;
	buffer_append(&reply, SPAN("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3"));
	dns_answer_alias(buffer_span(&query), &q, alias, buffer_span(&reply), &out);
	assert_int_equal(out.ptr[7], 2); /* CNAME and A */
	assert_non_null(memmem(out.ptr, out.len, "\3www\7example\3com\0", 17));
	assert_memory_equal(out.ptr + out.len - 6, "\0\4\x0a\1\2\3", 6);
	dns_answer_alias(buffer_span(&query), &q, alias, span_first(buffer_span(&reply), reply.len - 1), &out);
	assert_int_equal(out.ptr[7], 1); /* cut: the name alone */
	buffer_done(&query);
	buffer_done(&reply);
	buffer_done(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(cluster_addresses_lead_to_what_is_behind_them),
		cmocka_unit_test(a_service_may_keep_its_clients),
		cmocka_unit_test(names_of_the_cluster_are_answered),
		cmocka_unit_test(what_is_no_question_is_refused),
		cmocka_unit_test(an_alias_is_answered_with_what_it_leads_to),
		cmocka_unit_test(a_file_that_was_replaced_is_read_anew),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
