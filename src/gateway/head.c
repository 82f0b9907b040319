/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/head.h"

#include "base/clock.h"
#include "base/number.h"
#include "net/forwarded.h"
#include "net/request.h"

bool head_is_grpc(const struct request *req)
{
	return req->http_major == 2 && span_starts(req->content_type, SPAN("application/grpc"));
}

/* ---- fields of the hop ---- */

/* RFC 9110 7.6.1: what Connection names is for this hop only. Not what is made here, and not what frames the message. */
static bool is_named(const struct header *fields, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++) {
		struct span list = fields[i].value;

		if (!span_equal(fields[i].name, SPAN("connection")))
			continue;
		while (list.len)
			if (span_equal_ignore_case(span_trim(span_cut(&list, ',')), name))
				return true;
	}
	return false;
}

/* The usual ones name nothing that would be passed on. */
static bool names_something(const struct header *h)
{
	return !span_equal_ignore_case(h->value, SPAN("keep-alive")) &&
	       !span_equal_ignore_case(h->value, SPAN("close")) && !span_equal_ignore_case(h->value, SPAN("upgrade"));
}

/* Fields of the connection, those that are told anew, and those that only this program may say. */
static bool is_dropped(struct span name)
{
	switch (name.len) {
	case 4:
		return span_equal(name, SPAN("host")); /* the authority says it */
	case 6:
		return span_equal(name, SPAN("expect")); /* the client has been told to continue */
	case 7:
		return span_equal(name, SPAN("upgrade"));
	case 9:
		return span_equal(name, SPAN("forwarded"));
	case 10:
		return span_equal(name, SPAN("connection")) || span_equal(name, SPAN("keep-alive"));
	case 11:
		return span_equal(name, SPAN("traceparent"));
	case 12:
		return span_equal(name, SPAN("x-request-id")) || span_equal(name, SPAN("grpc-timeout"));
	case 14:
		return span_equal(name, SPAN("http2-settings"));
	case 15:
		return span_equal(name, SPAN("x-forwarded-for"));
	case 16:
		return span_equal(name, SPAN("proxy-connection")) || span_equal(name, SPAN("x-forwarded-host"));
	case 17:
		return span_equal(name, SPAN("transfer-encoding")) || span_equal(name, SPAN("x-forwarded-proto")) ||
		       span_equal(name, SPAN("sec-websocket-key"));
	default:
		return span_starts(name, FORWARDED_PREFIX);
	}
}

/* ---- filters ---- */

static bool is_among(const struct header *list, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal_ignore_case(list[i].name, name))
			return true;
	return false;
}

static bool is_removed(const struct plan_headers *f, struct span name)
{
	if (is_among(f->set, f->set_count, name))
		return true;
	for (size_t i = 0; i < f->remove_count; i++)
		if (span_equal_ignore_case(f->remove[i], name))
			return true;
	return false;
}

/* Set, add, remove; returns how many there are then. */
static size_t headers_filter(const struct plan_headers *f, struct header *to, size_t count)
{
	size_t kept = 0;

	if (LIKELY(f->set_count + f->add_count + f->remove_count == 0))
		return count;
	for (size_t i = 0; i < count; i++)
		if (!is_removed(f, to[i].name))
			to[kept++] = to[i];
	for (size_t i = 0; i < f->set_count && kept < HEAD_FIELDS_MOST; i++)
		to[kept++] = f->set[i];
	for (size_t i = 0; i < f->add_count && kept < HEAD_FIELDS_MOST; i++)
		to[kept++] = f->add[i];
	return kept;
}

/* ---- the path ---- */

struct span head_path(struct arena *arena, struct span path, const struct plan_rewrite *rewrite, size_t prefix)
{
	struct error ignored = { 0 };
	struct span base = rewrite->path, rest;

	if (!rewrite->has_path)
		return path;
	if (!rewrite->is_prefix)
		return base.len ? base : SPAN("/");
	rest = span_skip(path, MIN(prefix, path.len));
	while (base.len && base.ptr[base.len - 1] == '/')
		base.len--;
	if (rest.len == 0)
		return base.len ? base : SPAN("/");
	if (rest.ptr[0] == '/' && base.len == 0)
		return rest;
	return arena_print(arena, &ignored, SPAN_FMT "%s" SPAN_FMT, SPAN_WHOLE(base), rest.ptr[0] == '/' ? "" : "/",
			   SPAN_WHOLE(rest));
}

static const struct plan_rewrite *rewrite_of(const struct plan_filters *const filters[2])
{
	for (size_t i = 2; i-- > 0;)
		if (filters[i] && (filters[i]->rewrite.has_path || filters[i]->rewrite.host.len))
			return &filters[i]->rewrite;
	return NULL;
}

/* With the query, in origin form. */
static struct span target_make(struct request *req, struct span path)
{
	struct error ignored = { 0 };

	if (path.ptr == req->path.ptr && path.len == req->path.len && req->target.len && req->target.ptr == path.ptr)
		return req->target;
	if (req->query.len == 0)
		return path;
	return arena_print(&req->arena, &ignored, SPAN_FMT "?" SPAN_FMT, SPAN_WHOLE(path), SPAN_WHOLE(req->query));
}

static struct span host_of(struct span authority)
{
	size_t end = authority.len;

	while (end > 0 && authority.ptr[end - 1] != ':' && authority.ptr[end - 1] != ']')
		end--;
	return end > 0 && authority.ptr[end - 1] == ':' ? span_first(authority, end - 1) : authority;
}

struct span head_location(struct request *req, const struct plan_redirect *redirect, size_t prefix)
{
	struct span scheme = redirect->scheme.len ? redirect->scheme : request_forwarded(req).scheme;
	struct span own_port = span_skip(req->authority, host_of(req->authority).len);
	struct span host = redirect->host.len ? redirect->host : host_of(req->authority);
	struct span target = target_make(req, head_path(&req->arena, req->path, &redirect->rewrite, prefix));
	bool is_usual = redirect->port == (span_equal(scheme, SPAN("https")) ? 443 : 80);
	struct error ignored = { 0 };

	if (redirect->port && is_usual)
		own_port.len = 0;
	else if (redirect->port)
		own_port = arena_print(&req->arena, &ignored, ":%d", redirect->port);
	else if (redirect->scheme.len)
		own_port.len = 0; /* the scheme's own */
	return arena_print(&req->arena, &ignored, SPAN_FMT "://" SPAN_FMT SPAN_FMT SPAN_FMT, SPAN_WHOLE(scheme),
			   SPAN_WHOLE(host), SPAN_WHOLE(own_port), SPAN_WHOLE(target));
}

/* ---- the question ---- */

/* "10.0.0.1" of "10.0.0.1:4711", "::1" of "[::1]:4711". */
static struct span peer_address(struct span peer)
{
	struct span host = host_of(peer);

	if (host.len > 2 && host.ptr[0] == '[')
		return (struct span){ host.ptr + 1, host.len - 2 };
	return host;
}

static struct span joined(struct arena *arena, struct span first, struct span separator, struct span second)
{
	struct error ignored = { 0 };
	char *to;

	if (!first.len)
		return second;
	to = arena_alloc(arena, first.len + separator.len + second.len, &ignored);
	if (!to)
		return second;
	memcpy(to, first.ptr, first.len);
	memcpy(to + first.len, separator.ptr, separator.len);
	if (second.len)
		memcpy(to + first.len + separator.len, second.ptr, second.len);
	return span_from(to, first.len + separator.len + second.len);
}

/* What is left of the call's time: at most eight digits and a unit. */
static struct span timeout_text(struct request *req, int64_t left_ns)
{
	struct error ignored = { 0 };
	int64_t us = MAX(left_ns, NS_PER_US) / NS_PER_US;

	if (us < 100000000)
		return arena_print(&req->arena, &ignored, "%lldu", (long long)us);
	return arena_print(&req->arena, &ignored, "%lldm", (long long)MIN(us / 1000, INT64_C(99999999)));
}

struct noted {
	struct span forwarded_for, cookie;
};

/* What is passed on; notes what is joined with more. */
static size_t fields_pass(struct request *req, bool is_http2, struct header *to, struct noted *n)
{
	bool has_named = false;
	size_t count = 0;

	for (size_t i = 0; i < req->header_count; i++)
		if (UNLIKELY(span_equal(req->headers[i].name, SPAN("connection")) && names_something(&req->headers[i])))
			has_named = true;
	for (size_t i = 0; i < req->header_count; i++) {
		const struct header *h = &req->headers[i];

		if (UNLIKELY(h->name.len == 15 && span_equal(h->name, SPAN("x-forwarded-for")))) {
			n->forwarded_for = joined(&req->arena, n->forwarded_for, SPAN(", "), h->value);
			continue;
		}
		/* RFC 9113 8.2.3: HTTP/2 may split it, HTTP/1.1 must not. */
		if (!is_http2 && h->name.len == 6 && span_equal(h->name, SPAN("cookie"))) {
			n->cookie = joined(&req->arena, n->cookie, SPAN("; "), h->value);
			continue;
		}
		if (is_dropped(h->name) ||
		    (UNLIKELY(has_named) && is_named(req->headers, req->header_count, h->name) &&
		     !span_equal(h->name, SPAN("content-length")) && !span_equal(h->name, SPAN("te"))))
			continue;
		if (count < HTTP1_HEADERS_MAX)
			to[count++] = *h;
	}
	return count;
}

/* A field "host" that a filter sets is the authority. */
static size_t host_take(struct header *fields, size_t count, struct span *authority)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (UNLIKELY(fields[i].name.len == 4 && span_equal_ignore_case(fields[i].name, SPAN("host"))))
			*authority = fields[i].value;
		else
			fields[kept++] = fields[i];
	}
	return kept;
}

bool head_make(struct head *h, const struct head_from *from, struct error *err)
{
	struct request *req = from->req;
	const struct plan_rewrite *rewrite = rewrite_of(from->filters);
	struct forwarded who = request_forwarded(req);
	struct span peer = peer_address(who.peer), authority = req->authority;
	struct noted noted = { { 0 }, { 0 } };
	struct header *to = h->fields;
	size_t count = fields_pass(req, from->is_http2, to, &noted);
	bool is_tunnel = req->upgrade.len > 0;

	if (noted.cookie.len)
		to[count++] = (struct header){ SPAN("cookie"), noted.cookie };
	if (rewrite && rewrite->host.len)
		authority = rewrite->host;
	for (size_t i = 0; i < 2; i++)
		if (from->filters[i])
			count = headers_filter(&from->filters[i]->request, to, count);
	count = host_take(to, count, &authority);
	if (count + 8 > HEAD_FIELDS_MOST)
		return error_set(err, ERROR_HEADERS_TOO_LARGE, "the request has over %d header fields",
				 HTTP1_HEADERS_MAX);
	to[count++] =
	    (struct header){ SPAN("x-forwarded-for"), joined(&req->arena, noted.forwarded_for, SPAN(", "), peer) };
	to[count++] = (struct header){ SPAN("x-forwarded-proto"), who.scheme };
	if (req->authority.len)
		to[count++] = (struct header){ SPAN("x-forwarded-host"), req->authority };
	to[count++] = (struct header){ SPAN("x-request-id"), { req->id, req->id_len } };
	to[count++] = (struct header){ SPAN("traceparent"), request_traceparent(req) };
	if (UNLIKELY(req->is_grpc && req->deadline_ns != INT64_MAX))
		to[count++] =
		    (struct header){ SPAN("grpc-timeout"), timeout_text(req, req->deadline_ns - from->now_ns) };
	h->head = (struct client_head){
		.method = is_tunnel ? SPAN("CONNECT") : req->method_text,
		.scheme = who.scheme,
		.authority = authority.len ? authority : SPAN("localhost"),
		.path =
		    target_make(req, rewrite ? head_path(&req->arena, req->path, rewrite, from->prefix) : req->path),
		.protocol = req->upgrade,
		.headers = to,
		.header_count = count,
	};
	return true;
}

/* ---- the answer ---- */

size_t head_answer(struct request *req, const struct plan_filters *const filters[2], const struct header *fields,
		   size_t count, bool is_final, struct header *to)
{
	bool has_named = false, has_id = false;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (UNLIKELY(span_equal(fields[i].name, SPAN("connection")) && names_something(&fields[i])))
			has_named = true;
	for (size_t i = 0; i < count && kept < HTTP1_HEADERS_MAX; i++) {
		const struct header *h = &fields[i];

		if (UNLIKELY(req->upgrade.len > 0) && span_equal(h->name, SPAN("sec-websocket-accept")))
			continue;
		if (UNLIKELY(has_named) && is_named(fields, count, h->name) &&
		    !span_equal(h->name, SPAN("content-length")))
			continue;
		has_id |= h->name.len == 12 && span_equal(h->name, SPAN("x-request-id"));
		to[kept++] = *h;
	}
	if (!is_final)
		return kept;
	for (size_t i = 0; i < 2; i++)
		if (filters[i])
			kept = headers_filter(&filters[i]->answer, to, kept);
	if (!has_id && kept < HEAD_FIELDS_MOST)
		to[kept++] = (struct header){ SPAN("x-request-id"), { req->id, req->id_len } };
	return kept;
}
