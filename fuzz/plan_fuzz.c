/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/plan.h"
#include "net/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Rows of each kind: host, path, a query parameter. */
static const struct {
	const char *host;
	enum plan_path how;
	const char *path, *query;
} rows[] = {
	{ "", PATH_PREFIX, "/a", "" },
	{ "", PATH_EXACT, "/a/b", "" },
	{ "", PATH_REGEX, "/(a|aa)+x", "" },
	{ "a.example.com", PATH_PREFIX, "/a/b/c", "q" },
	{ "*.example.com", PATH_PREFIX, "/", "a b" },
	{ "?.org", PATH_PREFIX, "/%2F", "" },
};

/* Input: host, path and query, a line each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct plan_route routes[ARRAY_LEN(rows)];
	static struct plan_text_match queries[ARRAY_LEN(rows)];
	static struct plan_table *table;
	static struct plan *volatile plan; /* kept, so that it is no leak */
	struct span rest = span_from(data, len);
	struct request req = { .method_text = SPAN("GET") };
	const struct plan_route *found;
	struct error err = { 0 };
	size_t prefix = SIZE_MAX;

	if (!table) {
		struct plan_builder *b = plan_begin();

		table = plan_table_add(b);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			struct plan_match m = { .how = rows[i].how, .path = span_of(rows[i].path) };

			queries[i] = (struct plan_text_match){ .name = span_of(rows[i].query), .value = SPAN("1 2") };
			m.queries = &queries[i];
			m.query_count = *rows[i].query != '\0';
			if (!plan_route_add(b, table, span_of(rows[i].host), &m, &routes[i], &err))
				__builtin_trap();
		}
		plan = plan_finish(b, 1, &err);
		if (!plan)
			__builtin_trap();
	}
	req.authority = span_cut(&rest, '\n');
	req.path = span_cut(&rest, '\n');
	req.query = rest;
	arena_init(&req.arena, MIB(1));
	found = plan_find(table, &req, &prefix);
	if (found && prefix > req.path.len)
		__builtin_trap();
	arena_done(&req.arena);
	return 0;
}
