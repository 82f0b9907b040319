/* SPDX-License-Identifier: Apache-2.0 */
/* routes_fuzz - paths looked up by hash and tree agree with the tree alone; form fields come to an end. */
#include "net/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void handle(struct request *req)
{
	(void)req;
}

static const struct route table[] = {
	{ METHOD_GET, "/", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/a", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_POST, "/a/b", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/a/{x}", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_POST, "/a/{x}:do", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_POST, "/a/{x}:undo", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/a/{x}/b/{y}", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/{w}/{x}/{y}/{z}", handle, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/r/{x}/p/*", handle, &surface_plain, ROUTE_STREAM },
	{ 0 },
};
static const struct route *const tables[] = { table, NULL };

static void fields_read(struct span in)
{
	struct span rest = in, name, value;
	struct arena arena;
	size_t count = 0;

	arena_init(&arena, MIB(1));
	while (form_next(&rest, &arena, &name, &value)) {
		if (name.len + value.len > in.len || ++count > in.len)
			__builtin_trap();
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct routes *routes;
	struct span segments[ROUTE_SEGMENTS_MAX];
	struct route_match a, b;
	struct error err = { 0 };
	enum method method;
	struct span path, rest;
	size_t count = 0;

	if (len == 0)
		return 0;
	if (!routes)
		routes = routes_new(tables, &err);
	method = data[0] & 1 ? METHOD_POST : METHOD_GET;
	path = span_from(data + 1, len - 1);
	fields_read(path);
	routes_find(routes, method, path, &a);
	if (path.len == 0 || path.ptr[0] != '/') {
		if (a.allowed)
			__builtin_trap();
		return 0;
	}
	rest = span_skip(path, 1);
	for (bool more = true; more;) {
		more = span_index(rest, '/') < rest.len;
		if (count == ROUTE_SEGMENTS_MAX)
			return 0;
		segments[count++] = span_cut(&rest, '/');
	}
	routes_find_segments(routes, method, segments, count, &b);
	if (a.route != b.route)
		__builtin_trap();
	if (a.route && a.param_names[0].ptr && (a.params[0].len == 0 || a.params[0].ptr != b.params[0].ptr))
		__builtin_trap();
	return 0;
}
