/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' URL, IP and CIDR libraries; texts are read as Go's net/url and net/netip read them. */
#include "base/number.h"
#include "kube/crd/cel_private.h"

#include <arpa/inet.h>
#include <stdlib.h>

struct cel_url {
	struct span text, scheme, host, path, query;
};

static struct cel_value of_text(struct span s)
{
	return cel_text(s.ptr ? s : SPAN(""));
}

/* ---- addresses ---- */

static bool ip_parse(struct span s, struct cel_net *ret)
{
	char text[64];

	if (!s.len || s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	*ret = (struct cel_net){ 0 };
	if (inet_pton(AF_INET, text, ret->bytes) == 1) {
		ret->len = 4;
		return true;
	}
	ret->len = 16;
	return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

static bool is_mapped(const struct cel_net *n)
{
	static const uint8_t head[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return n->len == 16 && memcmp(n->bytes, head, sizeof(head)) == 0;
}

static unsigned group_of(const struct cel_net *n, int i)
{
	const uint8_t *at = n->bytes + (size_t)i * 2;

	return (unsigned)at[0] << 8 | at[1];
}

/* RFC 5952: the first of the longest runs of zeros, of two groups at least, is left out. */
static struct span ip_print(const struct cel_net *n, struct cel_call *c)
{
	int best = -1, best_len = 1;
	struct buffer out;
	struct span text;

	if (n->len == 4)
		return arena_print(c->arena, c->err, "%u.%u.%u.%u", n->bytes[0], n->bytes[1], n->bytes[2], n->bytes[3]);
	for (int i = 0; i < 8; i++) {
		int len = 0;

		while (i + len < 8 && !group_of(n, i + len))
			len++;
		if (len > best_len) {
			best = i;
			best_len = len;
		}
		i += len;
	}
	buffer_init(&out, 128);
	for (int i = 0; i < 8; i++) {
		if (i == best) {
			buffer_append(&out, SPAN("::"));
			i += best_len - 1;
			continue;
		}
		if (i && i != best + best_len)
			buffer_byte(&out, ':');
		else if (i && best < 0)
			buffer_byte(&out, ':');
		buffer_print(&out, "%x", group_of(n, i));
	}
	text = arena_copy(c->arena, buffer_span(&out), c->err);
	buffer_done(&out);
	return text;
}

static struct cel_value net_value(struct cel_call *c, enum cel_kind kind, struct cel_net n)
{
	struct cel_net *kept = ARENA_NEW(c->arena, struct cel_net, c->err);

	if (!kept)
		return cel_fail(SPAN("memory ended"));
	*kept = n;
	return (struct cel_value){ .kind = kind, .net = kept };
}

static struct cel_value read_ip(struct cel_call *c, struct span s)
{
	struct span quoted = cel_quote(span_first(s, 256), c->arena, c->err);
	struct cel_net n;

	if (memchr(s.len ? s.ptr : "", '%', s.len) && ip_parse(span_first(s, span_index(s, '%')), &n) && n.len == 16)
		return cel_fail_print(c, "IP address %s with zone value is not allowed", quoted.ptr);
	if (!ip_parse(s, &n))
		return cel_fail_print(
		    c, "IP Address %s parse error during conversion from string: ParseAddr(%s): unable to parse IP",
		    quoted.ptr, quoted.ptr);
	if (is_mapped(&n))
		return cel_fail_print(c, "IPv4-mapped IPv6 address %s is not allowed", quoted.ptr);
	return net_value(c, CEL_IP, n);
}

static struct cel_value ip(struct cel_call *c, const struct cel_value *a)
{
	return read_ip(c, a->text);
}

static struct cel_value is_ip(struct cel_call *c, const struct cel_value *a)
{
	return cel_of_bool(read_ip(c, a->text).kind == CEL_IP);
}

static struct cel_value is_canonical(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = read_ip(c, a->text);

	return v.kind == CEL_IP ? cel_of_bool(span_equal(ip_print(v.net, c), a->text)) : v;
}

static struct cel_value ip_to_string(struct cel_call *c, const struct cel_value *a)
{
	return of_text(ip_print(a->net, c));
}

static struct cel_value family(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->net->len == 4 ? 4 : 6);
}

static bool all_zero(const struct cel_net *n, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (n->bytes[i])
			return false;
	return true;
}

static bool unspecified(const struct cel_net *n)
{
	return all_zero(n, n->len);
}

static bool loopback(const struct cel_net *n)
{
	return n->len == 4 ? n->bytes[0] == 127 : all_zero(n, 15) && n->bytes[15] == 1;
}

static bool link_local_multicast(const struct cel_net *n)
{
	return n->len == 4 ? n->bytes[0] == 224 && n->bytes[1] == 0 && n->bytes[2] == 0
			   : n->bytes[0] == 0xff && (n->bytes[1] & 0x0f) == 2;
}

static bool link_local_unicast(const struct cel_net *n)
{
	return n->len == 4 ? n->bytes[0] == 169 && n->bytes[1] == 254
			   : n->bytes[0] == 0xfe && (n->bytes[1] & 0xc0) == 0x80;
}

static bool global_unicast(const struct cel_net *n)
{
	bool is_multicast = n->len == 4 ? (n->bytes[0] & 0xf0) == 0xe0 : n->bytes[0] == 0xff;
	bool is_broadcast =
	    n->len == 4 && n->bytes[0] == 255 && n->bytes[1] == 255 && n->bytes[2] == 255 && n->bytes[3] == 255;

	return !unspecified(n) && !loopback(n) && !is_multicast && !is_broadcast && !link_local_unicast(n);
}

#define ASKS(name, f)                                                                                                  \
	static struct cel_value name(struct cel_call *c, const struct cel_value *a)                                    \
	{                                                                                                              \
		(void)c;                                                                                               \
		return cel_of_bool(f(a->net));                                                                         \
	}

ASKS(is_unspecified, unspecified)
ASKS(is_loopback, loopback)
ASKS(is_link_local_multicast, link_local_multicast)
ASKS(is_link_local_unicast, link_local_unicast)
ASKS(is_global_unicast, global_unicast)

/* ---- networks ---- */

static struct cel_value read_cidr(struct cel_call *c, struct span s)
{
	size_t slash = s.len;
	struct span quoted = cel_quote(span_first(s, 256), c->arena, c->err), bits;
	struct cel_net n;
	uint64_t count = 0;
	const char *words = NULL;

	for (size_t i = s.len; i > 0; i--)
		if (s.ptr[i - 1] == '/') {
			slash = i - 1;
			break;
		}
	bits = slash < s.len ? span_skip(s, slash + 1) : SPAN("");
	if (slash == s.len)
		words = "no '/'";
	else if (!ip_parse(span_first(s, slash), &n))
		words = "unable to parse IP";
	else if (!number_parse_uint64(bits, &count) || (bits.len > 1 && (bits.ptr[0] == '0' || bits.ptr[0] == '+')))
		words = "bad bits after slash";
	else if (count > (n.len == 4 ? 32 : 128))
		words = "prefix length out of range";
	if (words)
		return cel_fail_print(
		    c,
		    "network address parse error during conversion from string: network address parse "
		    "error during conversion from string: netip.ParsePrefix(%s): %s",
		    quoted.ptr, words);
	if (is_mapped(&n))
		return cel_fail_print(
		    c,
		    "network address parse error during conversion from string: IPv4-mapped IPv6 address "
		    "%s is not allowed",
		    quoted.ptr);
	n.bits = (uint8_t)count;
	return net_value(c, CEL_CIDR, n);
}

static struct cel_value cidr(struct cel_call *c, const struct cel_value *a)
{
	return read_cidr(c, a->text);
}

static struct cel_value is_cidr(struct cel_call *c, const struct cel_value *a)
{
	return cel_of_bool(read_cidr(c, a->text).kind == CEL_CIDR);
}

static struct cel_value cidr_to_string(struct cel_call *c, const struct cel_value *a)
{
	struct span text = ip_print(a->net, c);

	return of_text(arena_print(c->arena, c->err, SPAN_FMT "/%u", SPAN_ARG(text), a->net->bits));
}

static struct cel_net masked_to(const struct cel_net *n, unsigned bits)
{
	struct cel_net m = *n;

	for (unsigned i = 0; i < n->len; i++) {
		unsigned left = bits > i * 8 ? bits - i * 8 : 0;

		m.bytes[i] = left >= 8 ? m.bytes[i] : (uint8_t)(m.bytes[i] & (0xff00u >> left));
	}
	return m;
}

static bool contains(const struct cel_net *net, const struct cel_net *n)
{
	struct cel_net a = masked_to(net, net->bits), b = masked_to(n, net->bits);

	return net->len == n->len && memcmp(a.bytes, b.bytes, a.len) == 0;
}

static struct cel_value contains_ip(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(contains(a[0].net, a[1].net));
}

static struct cel_value contains_ip_string(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = read_ip(c, a[1].text);

	return v.kind == CEL_IP ? cel_of_bool(contains(a[0].net, v.net)) : v;
}

static struct cel_value contains_cidr(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(a[0].net->bits <= a[1].net->bits && contains(a[0].net, a[1].net));
}

static struct cel_value contains_cidr_string(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = read_cidr(c, a[1].text);

	return v.kind == CEL_CIDR ? cel_of_bool(a[0].net->bits <= v.net->bits && contains(a[0].net, v.net)) : v;
}

static struct cel_value cidr_ip(struct cel_call *c, const struct cel_value *a)
{
	struct cel_net n = *a->net;

	n.bits = 0;
	return net_value(c, CEL_IP, n);
}

static struct cel_value prefix_length(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->net->bits);
}

static struct cel_value masked(struct cel_call *c, const struct cel_value *a)
{
	return net_value(c, CEL_CIDR, masked_to(a->net, a->net->bits));
}

/* ---- URLs ---- */

static bool is_hex(char ch)
{
	return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f');
}

static bool is_letter_or_digit(char ch)
{
	return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z');
}

/* NULL, or what is wrong with the percent signs. */
static const char *escapes_check(struct span s, struct cel_call *c)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] != '%')
			continue;
		if (i + 2 >= s.len || !is_hex(s.ptr[i + 1]) || !is_hex(s.ptr[i + 2])) {
			struct span quoted = cel_quote(span_first(span_skip(s, i), 3), c->arena, c->err);

			return arena_print(c->arena, c->err, "invalid URL escape %s", quoted.ptr).ptr;
		}
		i += 2;
	}
	return NULL;
}

static unsigned hex_of(char ch)
{
	return (unsigned)(ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);
}

static struct span unescape(struct cel_call *c, struct span s, bool plus_is_space)
{
	char *out = arena_alloc(c->arena, s.len + 1, c->err);
	size_t n = 0;

	for (size_t i = 0; out && i < s.len; i++) {
		if (s.ptr[i] == '%') {
			out[n++] = (char)(hex_of(s.ptr[i + 1]) << 4 | hex_of(s.ptr[i + 2]));
			i += 2;
		} else {
			out[n++] = plus_is_space && s.ptr[i] == '+' ? ' ' : s.ptr[i];
		}
	}
	return span_from(out, n);
}

static bool port_is_fine(struct span s)
{
	if (!s.len)
		return true;
	for (size_t i = 1; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.ptr[0] == ':';
}

static const char *port_fault(struct span s, struct cel_call *c)
{
	struct span quoted = cel_quote(span_first(s, 100), c->arena, c->err);

	return arena_print(c->arena, c->err, "invalid port %s after host", quoted.ptr).ptr;
}

static const char *host_check(struct span host, struct cel_call *c)
{
	size_t close = span_index(host, ']'), colon;

	if (span_starts(host, SPAN("["))) {
		if (close == host.len)
			return "missing ']' in host";
		return port_is_fine(span_skip(host, close + 1)) ? NULL : port_fault(span_skip(host, close + 1), c);
	}
	for (colon = host.len; colon > 0 && host.ptr[colon - 1] != ':'; colon--)
		;
	if (colon && !port_is_fine(span_skip(host, colon - 1)))
		return port_fault(span_skip(host, colon - 1), c);
	for (size_t i = 0; i < host.len; i++) {
		char ch = host.ptr[i];

		if (ch == '%')
			return escapes_check(host, c);
		if ((unsigned char)ch < 0x80 && !is_letter_or_digit(ch) && !strchr("-._~!$&'()*+,;=:[]<>\"", ch)) {
			struct span quoted = cel_quote(span_first(span_skip(host, i), 1), c->arena, c->err);

			return arena_print(c->arena, c->err, "invalid character %s in host name", quoted.ptr).ptr;
		}
	}
	return NULL;
}

/* The part before ':' when it is a scheme. NULL, or the fault. */
static const char *take_scheme(struct span *rest, struct span *ret, struct cel_call *c)
{
	for (size_t i = 0; i < rest->len; i++) {
		char ch = rest->ptr[i];

		if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
			continue;
		if ((ch >= '0' && ch <= '9') || ch == '+' || ch == '-' || ch == '.') {
			if (i == 0)
				return NULL;
			continue;
		}
		if (ch == ':') {
			char *lower;

			if (i == 0)
				return "missing protocol scheme";
			lower = arena_alloc(c->arena, i + 1, c->err);
			for (size_t k = 0; lower && k < i; k++)
				lower[k] = (char)(rest->ptr[k] >= 'A' && rest->ptr[k] <= 'Z' ? rest->ptr[k] | 0x20
											     : rest->ptr[k]);
			*ret = span_from(lower, i);
			*rest = span_skip(*rest, i + 1);
		}
		return NULL;
	}
	return NULL;
}

static const char *authority_check(struct span authority, struct cel_url *u, struct cel_call *c)
{
	size_t at = authority.len;

	while (at > 0 && authority.ptr[at - 1] != '@')
		at--;
	u->host = span_skip(authority, at);
	for (size_t i = 0; at && i + 1 < at; i++)
		if (!is_letter_or_digit(authority.ptr[i]) && !strchr("-._:~!$&'()*+,;=%@", authority.ptr[i]))
			return "net/url: invalid userinfo";
	return host_check(u->host, c);
}

/* As url.ParseRequestURI reads it (absolute, or a path); a fragment is cut off, as url.Parse does. */
static const char *url_read(struct span s, struct cel_url *u, struct cel_call *c)
{
	struct span rest = s;
	size_t mark;
	const char *fault;

	*u = (struct cel_url){ .text = s };
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return "net/url: invalid control character in URL";
	if (!s.len)
		return "empty url";
	if (span_equal(s, SPAN("*"))) {
		u->path = s;
		return NULL;
	}
	fault = take_scheme(&rest, &u->scheme, c);
	if (fault)
		return fault;
	rest = span_first(rest, span_index(rest, '#'));
	mark = span_index(rest, '?');
	u->query = mark < rest.len ? span_skip(rest, mark + 1) : SPAN("");
	rest = span_first(rest, mark);
	if (!span_starts(rest, SPAN("/")))
		return u->scheme.len ? NULL : "invalid URI for request";
	if (u->scheme.len && span_starts(rest, SPAN("//"))) {
		struct span authority = span_skip(rest, 2);

		mark = span_index(authority, '/');
		fault = authority_check(span_first(authority, mark), u, c);
		if (fault)
			return fault;
		rest = span_skip(authority, mark);
	}
	u->path = rest;
	return escapes_check(rest, c);
}

static struct cel_value url(struct cel_call *c, const struct cel_value *a)
{
	struct cel_url *u = ARENA_NEW(c->arena, struct cel_url, c->err);
	const char *fault = u ? url_read(a->text, u, c) : "memory ended";
	struct span quoted;

	if (!fault)
		return (struct cel_value){ .kind = CEL_URL, .url = u };
	quoted = cel_quote(span_first(a->text, 512), c->arena, c->err);
	if (!strcmp(fault, "empty url"))
		return cel_fail_print(c, "URL parse error during conversion from string: parse \"\": empty url");
	return cel_fail_print(c, "URL parse error during conversion from string: parse %s: %s", quoted.ptr, fault);
}

static struct cel_value is_url(struct cel_call *c, const struct cel_value *a)
{
	struct cel_url u;

	return cel_of_bool(!url_read(a->text, &u, c));
}

bool cel_url_equal(const struct cel_url *a, const struct cel_url *b)
{
	return span_equal(a->text, b->text);
}

static struct cel_value get_scheme(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return of_text(a->url->scheme);
}

static struct cel_value get_host(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return of_text(a->url->host);
}

/* Behind which byte of a host its port stands, colon included; host.len: none. */
static size_t port_at(struct span host)
{
	size_t at = host.len;

	while (at > 0 && host.ptr[at - 1] != ':' && host.ptr[at - 1] != ']')
		at--;
	return at && host.ptr[at - 1] == ':' ? at - 1 : host.len;
}

static struct cel_value get_hostname(struct cel_call *c, const struct cel_value *a)
{
	struct span host = span_first(a->url->host, port_at(a->url->host));

	(void)c;
	if (span_starts(host, SPAN("[")) && span_ends(host, SPAN("]")))
		host = span_from(host.ptr + 1, host.len - 2);
	return of_text(host);
}

static struct cel_value get_port(struct cel_call *c, const struct cel_value *a)
{
	size_t at = port_at(a->url->host);

	(void)c;
	return of_text(at < a->url->host.len ? span_skip(a->url->host, at + 1) : SPAN(""));
}

static struct cel_value get_escaped_path(struct cel_call *c, const struct cel_value *a)
{
	struct span path = a->url->path, plain;
	bool is_fine = true;
	struct buffer out;
	struct cel_value v;

	for (size_t i = 0; i < path.len; i++)
		is_fine &= is_letter_or_digit(path.ptr[i]) || strchr("-_.~!$&'()*+,;=:@[]/%", path.ptr[i]) != NULL;
	if (is_fine)
		return of_text(path);
	plain = unescape(c, path, false);
	buffer_init(&out, MIB(16));
	for (size_t i = 0; i < plain.len; i++) {
		if (is_letter_or_digit(plain.ptr[i]) || strchr("-_.~$&+,/:;=@", plain.ptr[i]))
			buffer_byte(&out, plain.ptr[i]);
		else
			buffer_print(&out, "%%%02X", (unsigned char)plain.ptr[i]);
	}
	v = of_text(arena_copy(c->arena, buffer_span(&out), c->err));
	buffer_done(&out);
	return v;
}

static struct cel_value get_query(struct cel_call *c, const struct cel_value *a)
{
	struct cel_map *map = ARENA_NEW(c->arena, struct cel_map, c->err);
	struct span rest = a->url->query;

	while (map && rest.len && !c->err->code) {
		struct span part = span_cut(&rest, '&'), name, text = { 0 };
		struct cel_value key, list;
		struct cel_list *items;

		if (!part.len || memchr(part.ptr, ';', part.len))
			continue;
		name = span_first(part, span_index(part, '='));
		text = name.len < part.len ? span_skip(part, name.len + 1) : SPAN("");
		if (escapes_check(name, c) || escapes_check(text, c))
			continue;
		key = cel_text(unescape(c, name, true));
		text = unescape(c, text, true);
		list = (struct cel_value){ .kind = CEL_MAP, .map = map };
		if (cel_map_find(c, &list, &key, &list)) {
			(void)cel_list_append(c, (struct cel_list *)(uintptr_t)list.list, cel_text(text));
			continue;
		}
		list = cel_list_new(c, 1, &items);
		if (items && cel_list_append(c, items, cel_text(text)))
			(void)cel_map_insert(c, map, key, list);
	}
	return map ? (struct cel_value){ .kind = CEL_MAP, .map = map } : cel_fail(SPAN("memory ended"));
}

const struct cel_overload cel_net_overloads[] = {
	CEL_ROW("ip", "string_to_ip", "s", "P", ip),
	CEL_MEMBER("ip", "cidr_ip", "N", "P", cidr_ip),
	CEL_ROW("isIP", "is_ip", "s", "b", is_ip),
	CEL_ROW("ip.isCanonical", "ip_is_canonical", "s", "b", is_canonical),
	CEL_ROW("string", "ip_to_string", "P", "s", ip_to_string),
	CEL_ROW("string", "cidr_to_string", "N", "s", cidr_to_string),
	CEL_MEMBER("family", "ip_family", "P", "i", family),
	CEL_MEMBER("isUnspecified", "ip_is_unspecified", "P", "b", is_unspecified),
	CEL_MEMBER("isLoopback", "ip_is_loopback", "P", "b", is_loopback),
	CEL_MEMBER("isLinkLocalMulticast", "ip_is_link_local_multicast", "P", "b", is_link_local_multicast),
	CEL_MEMBER("isLinkLocalUnicast", "ip_is_link_local_unicast", "P", "b", is_link_local_unicast),
	CEL_MEMBER("isGlobalUnicast", "ip_is_global_unicast", "P", "b", is_global_unicast),
	CEL_ROW("cidr", "string_to_cidr", "s", "N", cidr),
	CEL_ROW("isCIDR", "is_cidr", "s", "b", is_cidr),
	CEL_MEMBER("containsIP", "cidr_contains_ip_string", "Ns", "b", contains_ip_string),
	CEL_MEMBER("containsIP", "cidr_contains_ip_ip", "NP", "b", contains_ip),
	CEL_MEMBER("containsCIDR", "cidr_contains_cidr_string", "Ns", "b", contains_cidr_string),
	CEL_MEMBER("containsCIDR", "cidr_contains_cidr", "NN", "b", contains_cidr),
	CEL_MEMBER("prefixLength", "cidr_prefix_length", "N", "i", prefix_length),
	CEL_MEMBER("masked", "cidr_masked", "N", "N", masked),
	CEL_ROW("url", "string_to_url", "s", "U", url),
	CEL_ROW("isURL", "is_url_string", "s", "b", is_url),
	CEL_MEMBER("getScheme", "url_get_scheme", "U", "s", get_scheme),
	CEL_MEMBER("getHost", "url_get_host", "U", "s", get_host),
	CEL_MEMBER("getHostname", "url_get_hostname", "U", "s", get_hostname),
	CEL_MEMBER("getPort", "url_get_port", "U", "s", get_port),
	CEL_MEMBER("getEscapedPath", "url_get_escaped_path", "U", "s", get_escaped_path),
	CEL_MEMBER("getQuery", "url_get_query", "U", "{s[s}", get_query),
	{ 0 },
};
