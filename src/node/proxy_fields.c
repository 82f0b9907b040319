/* SPDX-License-Identifier: Apache-2.0 */
#include "node/proxy_fields.h"

#include "net/forwarded.h"

/* ---- the question ---- */

/* Credentials for the API server, what front proxies say to it, and what is said anew. */
static bool is_dropped(struct span name)
{
	static const struct span names[] = {
		SPAN_INIT("host"),
		SPAN_INIT("authorization"),
		SPAN_INIT("upgrade"),
		SPAN_INIT("x-forwarded-for"),
		SPAN_INIT("x-forwarded-uri"),
		SPAN_INIT("http2-settings"),
		SPAN_INIT("cookie"),
		SPAN_INIT("sec-websocket-key"),
		SPAN_INIT("sec-websocket-protocol"),
	};
	static const struct span prefixes[] = { SPAN_INIT("impersonate-"), SPAN_INIT("x-remote-") };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_equal(name, names[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (span_starts(name, prefixes[i]))
			return true;
	return span_starts(name, FORWARDED_PREFIX);
}

/* All values of one field in one: HTTP/2 may split cookies, and HTTP/1.1 must not. */
static bool join(struct span *to, const char *separator, struct span value, struct arena *arena, struct error *err)
{
	if (to->len)
		*to = arena_print(arena, err, SPAN_FMT "%s" SPAN_FMT, SPAN_WHOLE(*to), separator, SPAN_WHOLE(value));
	else
		*to = value;
	return to->ptr || !value.len;
}

/* Browsers cannot send a token but by a protocol's name: it is none for pods. */
static bool protocols_join(struct span *to, struct span list, struct arena *arena, struct error *err)
{
	while (list.len) {
		struct span one = span_trim(span_cut(&list, ','));

		if (one.len && !span_starts(one, SPAN("base64url.bearer.authorization.k8s.io.")) &&
		    !join(to, ", ", one, arena, err))
			return false;
	}
	return true;
}

/* "127.0.0.1" of "127.0.0.1:4711", "::1" of "[::1]:4711". */
static struct span address_of(struct span peer)
{
	size_t end = peer.len;

	while (end > 0 && peer.ptr[end - 1] != ':' && peer.ptr[end - 1] != ']')
		end--;
	if (end > 0 && peer.ptr[end - 1] == ':')
		peer = span_first(peer, end - 1);
	if (peer.len > 2 && peer.ptr[0] == '[')
		return span_from(peer.ptr + 1, peer.len - 2);
	return peer;
}

bool proxy_fields_ask(const struct header *from, size_t count, struct span peer, struct span path, struct arena *arena,
		      struct header *to, size_t *ret_count, struct error *err)
{
	struct span cookie = { 0 }, protocols = { 0 }, forwarded = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		const struct header *h = &from[i];

		if (span_equal(h->name, SPAN("cookie")) && !join(&cookie, "; ", h->value, arena, err))
			return false;
		if (span_equal(h->name, SPAN("sec-websocket-protocol")) &&
		    !protocols_join(&protocols, h->value, arena, err))
			return false;
		if (span_equal(h->name, SPAN("x-forwarded-for")) && !join(&forwarded, ", ", h->value, arena, err))
			return false;
		if (is_dropped(h->name))
			continue;
		if (kept == PROXY_FIELDS_MOST - 4)
			return error_set(err, ERROR_HEADERS_TOO_LARGE, "the request has over %d header fields",
					 PROXY_FIELDS_MOST - 4);
		to[kept++] = *h;
	}
	if (peer.len && !join(&forwarded, ", ", address_of(peer), arena, err))
		return false;
	if (cookie.len)
		to[kept++] = (struct header){ SPAN("cookie"), cookie };
	if (protocols.len)
		to[kept++] = (struct header){ SPAN("sec-websocket-protocol"), protocols };
	if (forwarded.len)
		to[kept++] = (struct header){ SPAN("x-forwarded-for"), forwarded };
	to[kept++] = (struct header){ SPAN("x-forwarded-uri"), path };
	*ret_count = kept;
	return true;
}

/* ---- the answer ---- */

static bool is_scheme(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
	       c == '.';
}

/* "http://me@host:80" and "host:80" of a URL; empty where it has none. False: a URL of another form ("mailto:a"). */
static bool origin_cut(struct span *url, struct span *ret_origin, struct span *ret_host)
{
	size_t scheme = 0, end, at = 0;

	*ret_origin = *ret_host = (struct span){ 0 };
	while (scheme < url->len && is_scheme(url->ptr[scheme]))
		scheme++;
	if (scheme < url->len && url->ptr[scheme] == ':')
		at = scheme + 1;
	if (!span_starts(span_skip(*url, at), SPAN("//")))
		return at == 0;
	for (end = at + 2; end < url->len && !strchr("/?#", url->ptr[end]); end++)
		if (url->ptr[end] == '@')
			at = end - 1; /* so that the host begins behind it */
	*ret_origin = span_first(*url, end);
	*ret_host = span_from(url->ptr + at + 2, end - at - 2);
	*url = span_skip(*url, end);
	return true;
}

struct span proxy_location(const struct proxy_place *place, struct span location, struct arena *arena)
{
	struct span rest = location, origin, host, made;
	struct error ignored = { 0 };

	if (!origin_cut(&rest, &origin, &host) || !rest.len || rest.ptr[0] != '/')
		return location;
	if (host.len && !span_equal(host, place->endpoint) && !span_equal(host, place->authority))
		return location;
	if (!span_equal(host, place->authority))
		origin = (struct span){ 0 };
	made = arena_print(arena, &ignored, SPAN_FMT SPAN_FMT SPAN_FMT, SPAN_WHOLE(origin),
			   SPAN_WHOLE(span_starts(rest, place->prefix) ? SPAN("") : place->prefix), SPAN_WHOLE(rest));
	return made.ptr ? made : location;
}

/* What the API server itself says of other origins holds for all that comes from it. */
static bool is_of_origin(struct span name)
{
	return span_equal(name, SPAN("access-control-allow-credentials")) ||
	       span_equal(name, SPAN("access-control-allow-headers")) ||
	       span_equal(name, SPAN("access-control-allow-methods")) ||
	       span_equal(name, SPAN("access-control-allow-origin"));
}

size_t proxy_fields_answer(const struct proxy_place *place, const struct header *from, size_t count,
			   struct arena *arena, struct header *to)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct header h = from[i];

		/* The second: of the connection between here and the pod. */
		if (is_of_origin(h.name) || span_equal(h.name, SPAN("sec-websocket-accept")))
			continue;
		if (span_equal(h.name, SPAN("location")))
			h.value = proxy_location(place, h.value, arena);
		to[kept++] = h;
	}
	return kept;
}
