/* SPDX-License-Identifier: Apache-2.0 */
/* target - the question: request target, route, parameters, forms. */
#include <stdio.h>

#include "net/request_private.h"

#include "base/ascii.h"

enum method method_parse(struct span text)
{
	static const struct {
		struct span name;
		enum method method;
	} rows[] = {
		{ SPAN_INIT("POST"), METHOD_POST },       { SPAN_INIT("GET"), METHOD_GET },
		{ SPAN_INIT("HEAD"), METHOD_HEAD },       { SPAN_INIT("PUT"), METHOD_PUT },
		{ SPAN_INIT("DELETE"), METHOD_DELETE },   { SPAN_INIT("PATCH"), METHOD_PATCH },
		{ SPAN_INIT("OPTIONS"), METHOD_OPTIONS },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(text, rows[i].name))
			return rows[i].method;
	return METHOD_OTHER;
}

/* RFC 9112 3.2: takes the path and query from the origin or absolute form. */
static bool target_split(struct request *req, struct error *err)
{
	struct span t = req->target;
	size_t end;

	if (t.len && t.ptr[0] != '/' && !span_equal(t, SPAN("*"))) {
		static const struct span schemes[] = { SPAN_INIT("http://"), SPAN_INIT("https://") };
		bool is_absolute = false;

		for (size_t i = 0; i < ARRAY_LEN(schemes) && !is_absolute; i++) {
			if (!span_equal_ignore_case(span_first(t, schemes[i].len), schemes[i]))
				continue;
			is_absolute = true;
			t = span_skip(t, schemes[i].len);
			for (end = 0; end < t.len && t.ptr[end] != '/' && t.ptr[end] != '?';)
				end++;
			req->authority = span_first(t, end); /* RFC 9112 3.2.2: it replaces Host */
			t = span_skip(t, end);
		}
		if (!is_absolute)
			return error_set(err, ERROR_INVALID, "the request target is not a path");
	}
	end = span_index(t, '#');
	if (end < t.len)
		return error_set(err, ERROR_INVALID, "the request target has a fragment ('#')");
	end = span_index(t, '?');
	req->path = end ? span_first(t, end) : SPAN("/");
	req->query = end < t.len ? span_skip(t, end + 1) : (struct span){ t.ptr + end, 0 };
	return true;
}

/* Decodes %XX of `s` to `to`, which has room for s.len bytes. A '%' without two digits and NUL are refused. */
static bool percent_decode(struct span s, char *to, size_t *ret_len, struct error *err)
{
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		int high, low;

		if (s.ptr[i] != '%') {
			to[len++] = s.ptr[i];
			continue;
		}
		high = i + 2 < s.len ? ascii_hex_value(s.ptr[i + 1]) : -1;
		low = i + 2 < s.len ? ascii_hex_value(s.ptr[i + 2]) : -1;
		if (high < 0 || low < 0)
			return error_set(err, ERROR_INVALID,
					 "the path has a '%%' without two hexadecimal digits behind it");
		if (high == 0 && low == 0)
			return error_set(err, ERROR_INVALID, "the path has a NUL byte (%%00)");
		to[len++] = (char)(high << 4 | low);
		i += 2;
	}
	*ret_len = len;
	return true;
}

/* A path with escapes: each segment is decoded by itself, so that %2F does not part segments. */
static bool find_escaped(struct request *req, struct route_match *match, struct error *err)
{
	struct span segments[ROUTE_SEGMENTS_MAX];
	struct span rest = span_skip(req->path, 1);
	char *to = arena_alloc(&req->arena, req->path.len, err);
	size_t count = 0, at = 0, len = 0;

	if (!to)
		return false;
	*match = (struct route_match){ .route = NULL };
	for (bool more = true; more;) {
		struct span segment;

		more = span_index(rest, '/') < rest.len;
		segment = span_cut(&rest, '/');
		to[at++] = '/';
		if (!percent_decode(segment, to + at, &len, err))
			return false;
		if (count < ROUTE_SEGMENTS_MAX)
			segments[count] = (struct span){ to + at, len };
		count++;
		at += len;
	}
	req->path = (struct span){ to, at };
	routes_find_segments(worker_routes(req->worker), req->method, segments, count, match);
	return true;
}

static bool route_look_up(struct request *req, struct route_match *match, struct error *err)
{
	if (UNLIKELY(span_index(req->path, '%') < req->path.len)) {
		if (req->path.ptr[0] == '/')
			return find_escaped(req, match, err);
		*match = (struct route_match){ .route = NULL };
		return true;
	}
	routes_find(worker_routes(req->worker), req->method, req->path, match);
	if (UNLIKELY(!match->allowed) && req->path.len > 1 && span_ends(req->path, SPAN("/"))) {
		struct route_match again;

		/* "/v2/" for "/v2": some clients put the slash behind every path. */
		routes_find(worker_routes(req->worker), req->method, span_first(req->path, req->path.len - 1), &again);
		if (again.allowed)
			*match = again;
	}
	return true;
}

static struct span allow_text(struct request *req, unsigned allowed)
{
	static const struct {
		unsigned method;
		const char *name;
	} rows[] = { { METHOD_GET, "GET, HEAD" },
		     { METHOD_POST, "POST" },
		     { METHOD_PUT, "PUT" },
		     { METHOD_PATCH, "PATCH" },
		     { METHOD_DELETE, "DELETE" } };
	struct error ignored = { 0 };
	char text[64];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (allowed & rows[i].method)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s, ", rows[i].name);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "OPTIONS");
	return arena_copy(&req->arena, (struct span){ text, len }, &ignored);
}

/* RFC 9110 9.3.7, and the Fetch standard's preflight when cors_origin is set. */
static void answer_options(struct request *req, unsigned allowed)
{
	struct span allow = allow_text(req, allowed);

	request_set_header(req, SPAN("allow"), allow);
	if (worker_config(req->worker)->cors_origin && request_header(req, SPAN("access-control-request-method")).ptr) {
		struct span wanted = request_header(req, SPAN("access-control-request-headers"));

		request_set_header(req, SPAN("access-control-allow-methods"), allow);
		if (wanted.ptr)
			request_set_header(req, SPAN("access-control-allow-headers"), wanted);
		request_set_header(req, SPAN("access-control-max-age"), SPAN("600"));
	}
	request_send(req, 204, (struct span){ NULL, 0 });
}

/* The row for every path and method answers for both. */
static bool is_star(const struct route *route)
{
	return strcmp(route->pattern, "*") == 0;
}

/* False: answered. */
static bool route_check(struct request *req, const struct route_match *match)
{
	struct error err = { 0 };

	if (UNLIKELY(match->route && (route_is_stream(match->route) || (is_star(match->route) && !req->is_grpc))))
		return true;
	if (req->is_grpc) {
		if (match->route && match->route->kind != ROUTE_HTTP)
			return true;
		error_set(&err, ERROR_UNIMPLEMENTED, "no gRPC method '" SPAN_FMT "' here", SPAN_ARG(req->path));
	} else if (req->method == METHOD_OPTIONS && !(match->route && match->route->methods & METHOD_OPTIONS)) {
		bool is_server = span_equal(req->path, SPAN("*"));

		if (match->allowed || is_server) {
			answer_options(req, is_server ? METHOD_GET | METHOD_POST : match->allowed);
			return false;
		}
		error_set(&err, ERROR_NOT_FOUND, "no such path: " SPAN_FMT, SPAN_ARG(req->path));
	} else if (match->route && match->route->kind == ROUTE_HTTP) {
		return true;
	} else if (match->route) {
		error_set(&err, ERROR_UNSUPPORTED_MEDIA,
			  "'" SPAN_FMT "' is a gRPC method: call it over HTTP/2 with content-type "
			  "application/grpc",
			  SPAN_ARG(req->path));
	} else if (match->allowed) {
		struct span allow = allow_text(req, match->allowed);

		request_set_header(req, SPAN("allow"), allow);
		error_set(&err, ERROR_METHOD_NOT_ALLOWED,
			  "method " SPAN_FMT " is not allowed for " SPAN_FMT ": use " SPAN_FMT,
			  SPAN_ARG(req->method_text), SPAN_ARG(req->path), SPAN_ARG(allow));
	} else if (req->method == METHOD_OTHER) {
		error_set(&err, ERROR_UNIMPLEMENTED, "method '" SPAN_FMT "' is not known", SPAN_ARG(req->method_text));
	} else {
		error_set(&err, ERROR_NOT_FOUND, "no such path: " SPAN_FMT, SPAN_ARG(req->path));
	}
	request_fail(req, &err);
	return false;
}

/* The row for everything takes what no other row takes: but OPTIONS of theirs is answered for them, and a CONNECT that is
 * no upgrade is for proxies. */
static bool star_takes(const struct request *req, const struct route_match *match)
{
	struct route_match star;

	if (!routes_star(worker_routes(req->worker), &star))
		return false;
	if (match && match->allowed && req->method == METHOD_OPTIONS)
		return false;
	return !span_equal(req->method_text, SPAN("CONNECT"));
}

/* False: err says why it can be nobody's. */
static bool match_find(struct request *req, struct route_match *ret, struct error *err)
{
	const struct server_config *config = worker_config(req->worker);
	struct span raw;
	bool is_found = true;

	*ret = (struct route_match){ .route = NULL };
	if (config->arrive && !config->arrive(req)) {
		if (star_takes(req, NULL))
			(void)routes_star(worker_routes(req->worker), ret);
		return true;
	}
	raw = req->path;
	is_found = route_look_up(req, ret, err);
	if (UNLIKELY((!is_found || !ret->route) && star_takes(req, is_found ? ret : NULL))) {
		(void)routes_star(worker_routes(req->worker), ret);
		req->path = raw;
		return true;
	}
	if (UNLIKELY(is_found && ret->route && route_takes_rest(ret->route)))
		req->path = raw;
	return is_found;
}

bool request_route(struct request *req)
{
	struct route_match match;
	struct error err = { 0 };

	if (UNLIKELY(!target_split(req, &err) || !match_find(req, &match, &err))) {
		request_fail(req, &err);
		return false;
	}
	req->surface_index = match.surface_index;
	req->surface = routes_surface(worker_routes(req->worker), match.surface_index);
	if (UNLIKELY(!req->surface->fail))
		req->surface = &surface_plain;
	if (UNLIKELY(!route_check(req, &match)))
		return false;
	req->route = match.route;
	req->param_names = match.param_names;
	memcpy(req->params, match.params, sizeof(req->params));
	return true;
}

/* ---- reading the question ---- */

struct span request_header(const struct request *req, struct span name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (span_equal(req->headers[i].name, name))
			return req->headers[i].value;
	return (struct span){ NULL, 0 };
}

struct span request_param(const struct request *req, const char *name)
{
	struct span wanted = span_of(name);

	for (size_t i = 0; req->param_names && i < ROUTE_PARAMS_MAX; i++)
		if (req->param_names[i].ptr && span_equal(req->param_names[i], wanted))
			return req->params[i];
	return (struct span){ NULL, 0 };
}

/* '+' is a space; a '%' without two digits stands for itself, as browsers and Python read it. */
static struct span form_decode(struct span s, struct arena *arena)
{
	struct error ignored = { 0 };
	size_t len = 0;
	char *to;

	if (span_index(s, '%') == s.len && span_index(s, '+') == s.len)
		return s;
	to = arena_alloc(arena, s.len, &ignored);
	if (!to)
		return s;
	for (size_t i = 0; i < s.len; i++) {
		int high = s.ptr[i] == '%' && i + 2 < s.len ? ascii_hex_value(s.ptr[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex_value(s.ptr[i + 2]) : -1;

		if (low >= 0) {
			to[len++] = (char)(high << 4 | low);
			i += 2;
		} else {
			to[len++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
		}
	}
	return (struct span){ to, len };
}

bool form_next(struct span *rest, struct arena *arena, struct span *ret_name, struct span *ret_value)
{
	while (rest->len) {
		struct span value = span_cut(rest, '&');
		struct span name;

		if (value.len == 0)
			continue;
		name = span_cut(&value, '=');
		*ret_name = form_decode(name, arena);
		*ret_value = form_decode(value, arena);
		return true;
	}
	return false;
}

bool request_query(struct request *req, struct span name, struct span *ret)
{
	struct span rest = req->query;
	struct span key, value;

	while (form_next(&rest, &req->arena, &key, &value)) {
		if (span_equal(key, name)) {
			*ret = value;
			return true;
		}
	}
	return false;
}
