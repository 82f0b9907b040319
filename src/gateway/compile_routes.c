/* SPDX-License-Identifier: Apache-2.0 */
/* compile_routes - HTTPRoutes: what their rules match. */
#include "gateway/compile_private.h"

static bool match_read(struct item *i, const struct value *from, struct plan_match *to, struct error *err)
{
	struct span type = value_find_string(from, "path.type");

	to->how = span_equal(type, SPAN("Exact"))               ? PATH_EXACT
		  : span_equal(type, SPAN("RegularExpression")) ? PATH_REGEX
								: PATH_PREFIX;
	to->path = value_find_string(from, "path.value");
	if (!to->path.len)
		to->path = SPAN("/");
	to->method = value_find_string(from, "method");
	if (to->how == PATH_REGEX && !regex_read(i, to->path, &to->regex, err))
		return false;
	return text_matches_read(i, value_find(from, "headers"), true, &to->headers, &to->header_count, err) &&
	       text_matches_read(i, value_find(from, "queryParams"), false, &to->queries, &to->query_count, err);
}

bool http_route_read(struct compile *c, struct item *i, struct error *err)
{
	(void)c;
	return route_read(i, false, "httproute", match_read, err);
}
