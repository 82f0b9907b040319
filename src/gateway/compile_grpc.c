/* SPDX-License-Identifier: Apache-2.0 */
/* compile_grpc - GRPCRoutes: a method of gRPC is a path, "/service/method". */
#include "gateway/compile_private.h"

#define ANY_NAME "[^/]+"

static bool method_read(struct item *i, const struct value *from, struct plan_match *to, struct error *err)
{
	struct span service = value_find_string(from, "service"), method = value_find_string(from, "method");
	bool is_regex = span_equal(value_find_string(from, "type"), SPAN("RegularExpression"));

	to->how = PATH_PREFIX;
	to->path = SPAN("/");
	if (!service.len && !method.len)
		return true;
	if (!is_regex && service.len) {
		to->how = method.len ? PATH_EXACT : PATH_PREFIX;
		to->path = arena_print(&i->arena, err, "/" SPAN_FMT "%s" SPAN_FMT, SPAN_WHOLE(service),
				       method.len ? "/" : "", SPAN_WHOLE(method));
		return !err->code;
	}
	to->how = PATH_REGEX;
	to->path = arena_print(&i->arena, err, "/(?:" SPAN_FMT ")/(?:" SPAN_FMT ")",
			       SPAN_WHOLE(service.len ? service : SPAN(ANY_NAME)),
			       SPAN_WHOLE(method.len ? method : SPAN(ANY_NAME)));
	return !err->code && regex_read(i, to->path, &to->regex, err);
}

static bool match_read(struct item *i, const struct value *from, struct plan_match *to, struct error *err)
{
	return method_read(i, value_find(from, "method"), to, err) &&
	       text_matches_read(i, value_find(from, "headers"), true, &to->headers, &to->header_count, err);
}

bool grpc_route_read(struct compile *c, struct item *i, struct error *err)
{
	(void)c;
	return route_read(i, true, "grpcroute", match_read, err);
}
