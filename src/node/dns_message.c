/* SPDX-License-Identifier: Apache-2.0 */
/* dns_message - questions and answers (RFC 1035 section 4), and what the cluster's names are. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/number.h"
#include "node/dns.h"
#include "node/service_table.h"

enum {
	HEAD_BYTES = 12,
	LABEL_MOST = 63,
	DATAGRAM_USUAL = 512, /* 4.2.1 */
	DATAGRAM_MOST = 4096,
	TYPE_A = 1,
	TYPE_CNAME = 5,
	TYPE_AAAA = 28,
	TYPE_SRV = 33,
	TYPE_OPT = 41,
	TYPE_ANY = 255,
	CLASS_IN = 1,
	TTL_S = 5, /* as CoreDNS has it for Kubernetes */
	CODE_FORMAT = 1,
	CODE_NO_NAME = 3,
	CODE_NOT_DONE = 4,
	FLAG_ANSWER = 0x8000,
	FLAG_AUTHORITY = 0x0400,
	FLAG_CUT = 0x0200,
	FLAG_WANTED = 0x0100,
	FLAG_AVAILABLE = 0x0080,
};

#define DOMAIN SPAN(".cluster.local")
enum { QUESTION = HEAD_BYTES, ALIASES_MOST = 8 }; /* one that leads to another, and so on */

/* ---- bytes ---- */

static uint16_t get16(struct span m, size_t at)
{
	return (uint16_t)((unsigned char)m.ptr[at] << 8 | (unsigned char)m.ptr[at + 1]);
}

static void put16(struct buffer *out, unsigned n)
{
	buffer_byte(out, (char)(n >> 8));
	buffer_byte(out, (char)n);
}

static void put32(struct buffer *out, uint32_t n)
{
	put16(out, n >> 16);
	put16(out, n & 0xffff);
}

static void set16(struct buffer *out, size_t at, unsigned n)
{
	if (out->len >= at + 2) {
		out->ptr[at] = (char)(n >> 8);
		out->ptr[at + 1] = (char)n;
	}
}

/* "web.default" as labels, and `tail` after it. False: a label that is none. */
static bool name_put(struct buffer *out, struct span name, struct span tail)
{
	struct span parts[2] = { name, tail };

	for (size_t i = 0; i < 2; i++) {
		struct span rest = parts[i];

		while (rest.len) {
			struct span label = span_cut(&rest, '.');

			if (!label.len)
				continue; /* the dot before the domain, or at the end */
			if (label.len > LABEL_MOST)
				return false;
			buffer_byte(out, (char)label.len);
			buffer_append(out, label);
		}
	}
	buffer_byte(out, 0);
	return name.len + tail.len <= DNS_NAME_MOST;
}

/* ---- questions ---- */

/* A name without compression, which questions need not have. Returns its end, 0: damaged. */
static size_t name_get(struct span m, size_t at, char ret[DNS_NAME_MOST + 1])
{
	size_t len = 0;

	for (;;) {
		size_t label = at < m.len ? (unsigned char)m.ptr[at] : LABEL_MOST + 1;

		at++;
		if (label == 0)
			break;
		if (label > LABEL_MOST || at + label > m.len || len + label + 1 > DNS_NAME_MOST)
			return 0;
		if (len)
			ret[len++] = '.';
		for (size_t i = 0; i < label; i++, at++) {
			char c = (char)tolower((unsigned char)m.ptr[at]);

			if ((unsigned char)c <= ' ' || (unsigned char)c >= 127 || c == '.')
				return 0; /* never part of a name that we know, and dangerous in our table */
			ret[len++] = c;
		}
	}
	ret[len] = '\0';
	return at;
}

/* How long a datagram may be, by the OPT record that may follow the question (RFC 6891). */
static size_t room_of(struct span m, size_t at)
{
	if (get16(m, 10) == 0 || get16(m, 6) || get16(m, 8) || at + 11 > m.len || m.ptr[at] != 0 ||
	    get16(m, at + 1) != TYPE_OPT)
		return DATAGRAM_USUAL;
	return MIN(MAX(get16(m, at + 3), DATAGRAM_USUAL), DATAGRAM_MOST);
}

static void head_put(struct buffer *out, struct span query, const struct dns_question *q, unsigned flags, unsigned code)
{
	buffer_clear(out);
	put16(out, q->id);
	put16(out, FLAG_ANSWER | flags | FLAG_AVAILABLE | (q->wants_recursion ? FLAG_WANTED : 0) | code);
	put16(out, q->end > HEAD_BYTES);
	put32(out, 0);
	put16(out, 0);
	buffer_append(out, span_skip(span_first(query, q->end), HEAD_BYTES));
}

void dns_answer_error(struct span query, const struct dns_question *q, int code, struct buffer *out)
{
	head_put(out, query, q, 0, (unsigned)code);
}

static bool question_get(struct span m, struct dns_question *q, unsigned *ret_code)
{
	*q = (struct dns_question){ .end = HEAD_BYTES, .answer_most = DATAGRAM_USUAL };
	if (m.len < HEAD_BYTES || get16(m, 2) & FLAG_ANSWER)
		return false;
	q->id = get16(m, 0);
	q->wants_recursion = get16(m, 2) & FLAG_WANTED;
	*ret_code = 0;
	if (get16(m, 2) & 0x7800) {
		*ret_code = CODE_NOT_DONE;
	} else if (get16(m, 4) != 1) {
		*ret_code = CODE_FORMAT;
	} else {
		size_t end = name_get(m, HEAD_BYTES, q->name);

		if (!end || end + 4 > m.len) {
			*ret_code = CODE_FORMAT;
			return true;
		}
		q->type = get16(m, end);
		q->end = end + 4;
		q->answer_most = room_of(m, q->end);
		if (get16(m, end + 2) != CLASS_IN)
			*ret_code = CODE_NOT_DONE;
	}
	return true;
}

bool dns_question_write(uint16_t id, struct span name, uint16_t type, struct buffer *out)
{
	buffer_clear(out);
	put16(out, id);
	put16(out, FLAG_WANTED);
	put16(out, 1);
	put32(out, 0);
	put16(out, 0);
	if (!name_put(out, name, SPAN("")))
		return false;
	put16(out, type);
	put16(out, CLASS_IN);
	return true;
}

/* ---- answers ---- */

/* `owner`: where in the message its name is; QUESTION: that of the question. A pointer to it stands here (4.1.4). */
static size_t record_begin(struct buffer *out, size_t owner, unsigned type)
{
	put16(out, 0xc000 | (unsigned)owner);
	put16(out, type);
	put16(out, CLASS_IN);
	put32(out, TTL_S);
	put16(out, 0);
	return out->len;
}

static void record_end(struct buffer *out, size_t start)
{
	set16(out, start - 2, (unsigned)(out->len - start));
}

static bool address_get(struct span text, struct in_addr *ret)
{
	char host[INET_ADDRSTRLEN];

	if (text.len >= sizeof(host))
		return false;
	memcpy(host, text.ptr, text.len);
	host[text.len] = '\0';
	return inet_pton(AF_INET, host, ret) == 1;
}

static unsigned addresses_put(struct span values, size_t owner, struct buffer *out)
{
	unsigned count = 0;

	while (values.len && count < SERVICE_ADDRESSES_MOST) {
		struct in_addr a;
		size_t start;

		if (!address_get(span_cut(&values, ' '), &a))
			continue;
		start = record_begin(out, owner, TYPE_A);
		buffer_append(out, span_from(&a, sizeof(a)));
		record_end(out, start);
		count++;
	}
	return count;
}

/* ":80 web.default" */
static unsigned place_put(struct span values, size_t owner, struct buffer *out)
{
	struct span port = span_skip(span_cut(&values, ' '), 1);
	int64_t number = 0;
	size_t start;

	if (!number_parse_int64(port, &number))
		return 0;
	start = record_begin(out, owner, TYPE_SRV);
	put16(out, 0);   /* priority */
	put16(out, 100); /* weight */
	put16(out, (unsigned)number);
	(void)name_put(out, values, SPAN("svc.cluster.local"));
	record_end(out, start);
	return 1;
}

/* What the values of a name are worth to this question: so many records. */
static unsigned values_put(const struct dns_question *q, struct span values, size_t owner, struct buffer *out)
{
	bool is_place = span_starts(values, SPAN(":"));

	if (is_place && (q->type == TYPE_SRV || q->type == TYPE_ANY))
		return place_put(values, owner, out);
	if (!is_place && (q->type == TYPE_A || q->type == TYPE_ANY))
		return addresses_put(values, owner, out);
	return 0;
}

/* The name's place in the message. */
static size_t alias_put(struct span alias, size_t owner, struct buffer *out)
{
	size_t start = record_begin(out, owner, TYPE_CNAME);

	(void)name_put(out, alias, SPAN(""));
	record_end(out, start);
	return start;
}

/* "10-0-0-1.default.pod" */
static bool pod_name_get(struct span name, char ret[INET_ADDRSTRLEN])
{
	struct span first = span_first(name, span_index(name, '.'));

	if (first.len >= INET_ADDRSTRLEN)
		return false;
	for (size_t i = 0; i < first.len; i++)
		ret[i] = first.ptr[i] == '-' ? '.' : first.ptr[i];
	ret[first.len] = '\0';
	return true;
}

/* Of a name of the cluster, without its domain. False: it is not there. */
static bool values_find(struct service_table *table, struct span name, char address[INET_ADDRSTRLEN], struct span *ret)
{
	if (span_ends(name, SPAN(".svc")))
		return service_table_find(&table->names, span_first(name, name.len - strlen(".svc")), ret);
	if (!span_ends(name, SPAN(".pod")) || !pod_name_get(name, address))
		return false;
	*ret = span_of(address);
	return true;
}

/* Leads an alias's values on. False: `name` is outside of the cluster. */
static bool alias_follow(struct span values, struct span *ret_name)
{
	*ret_name = span_skip(values, 1);
	if (span_ends(*ret_name, SPAN(".")))
		ret_name->len--;
	if (!span_ends(*ret_name, DOMAIN))
		return false;
	ret_name->len -= DOMAIN.len;
	return true;
}

/*
 * A name of the cluster, without its domain. Where it is another name of the cluster's, that one is looked up too (RFC 1034 4.3.2): who asks
 * does not follow names by itself. The code is the last name's (RFC 6604).
 */
static enum dns_verdict cluster_answer(struct service_table *table, struct span query, struct dns_question *q,
				       struct span name, struct span *ret_alias, struct buffer *out)
{
	char address[INET_ADDRSTRLEN];
	size_t owner = QUESTION;
	unsigned count = 0;
	struct span values = { 0 };
	bool is_there = values_find(table, name, address, &values);

	head_put(out, query, q, FLAG_AUTHORITY, 0);
	for (; is_there && span_starts(values, SPAN("=")) && count < ALIASES_MOST; count++) {
		if (!alias_follow(values, &name)) {
			*ret_alias = name;
			return DNS_OUTSIDE;
		}
		owner = alias_put(span_from(name.ptr, name.len + DOMAIN.len), owner, out);
		values = (struct span){ 0 };
		is_there = values_find(table, name, address, &values);
	}
	if (is_there)
		count += values_put(q, values, owner, out);
	else if (out->len > 3)
		out->ptr[3] |= CODE_NO_NAME; /* the low bits of its flags */
	set16(out, 6, count);
	return DNS_ANSWERED;
}

enum dns_verdict dns_answer(struct service_table *table, struct span query, bool is_stream, struct dns_question *q,
			    struct span *ret_alias, struct buffer *out)
{
	unsigned code = 0;
	enum dns_verdict verdict;
	struct span name;

	*ret_alias = (struct span){ 0 };
	if (!question_get(query, q, &code))
		return DNS_GARBAGE;
	if (code) {
		head_put(out, query, q, 0, code);
		return DNS_ANSWERED;
	}
	name = span_of(q->name);
	if (!span_ends(name, DOMAIN))
		return DNS_OUTSIDE;
	verdict = cluster_answer(table, query, q, span_first(name, name.len - DOMAIN.len), ret_alias, out);
	if (verdict == DNS_ANSWERED && !is_stream && out->len > q->answer_most) {
		head_put(out, query, q, FLAG_AUTHORITY | FLAG_CUT, 0);
	}
	return verdict;
}

/* ---- what comes from outside ---- */

/* Passes over a name, with or without compression. 0: damaged. */
static size_t name_skip(struct span m, size_t at)
{
	while (at < m.len) {
		size_t label = (unsigned char)m.ptr[at];

		if (label >= 0xc0)
			return at + 2 <= m.len ? at + 2 : 0;
		if (label == 0)
			return at + 1;
		if (label > LABEL_MOST)
			return 0;
		at += label + 1;
	}
	return 0;
}

void dns_answer_alias(struct span query, const struct dns_question *q, struct span alias, struct span reply,
		      struct buffer *out)
{
	unsigned count = 1, records;
	size_t at = HEAD_BYTES;

	head_put(out, query, q, FLAG_AUTHORITY, 0);
	(void)alias_put(alias, QUESTION, out);
	records = reply.len >= HEAD_BYTES ? get16(reply, 6) : 0;
	for (unsigned i = reply.len >= HEAD_BYTES ? get16(reply, 4) : 0; i && at; i--) {
		at = name_skip(reply, at);
		at = at && at + 4 <= reply.len ? at + 4 : 0;
	}
	for (; records && at; records--) {
		size_t head = name_skip(reply, at), length;

		if (!head || head + 10 > reply.len)
			break;
		length = get16(reply, head + 8);
		if (head + 10 + length > reply.len)
			break;
		if (get16(reply, head) == q->type && (q->type == TYPE_A || q->type == TYPE_AAAA) &&
		    count < SERVICE_ADDRESSES_MOST) {
			(void)name_put(out, alias, SPAN(""));
			buffer_append(out, span_first(span_skip(reply, head), 10 + length));
			count++;
		}
		at = head + 10 + length;
	}
	set16(out, 6, count);
}
