/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/plan.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "net/request.h"

struct text_row {
	const char *name, *value; /* "~x": a regex; NULL: present */
};

/* What a route takes, and the number by which the tests know it: its place. */
struct row {
	const char *host;
	enum plan_path how;
	const char *path;
	const char *method;
	struct text_row headers[4], queries[4];
	int64_t made;
	const char *name;
	bool is_grpc;
};

struct fixture {
	struct plan_builder *builder;
	struct plan_table *table;
	struct plan *plan;
	struct plan_route routes[64];
	struct plan_text_match texts[128];
	size_t text_count;
};

static size_t texts_make(struct fixture *f, const struct text_row *rows, struct plan_text_match **ret)
{
	size_t count = 0;

	*ret = f->texts + f->text_count;
	for (; count < 4 && rows[count].name; count++) {
		const char *value = rows[count].value;
		bool is_regex = value && value[0] == '~';

		f->texts[f->text_count++] = (struct plan_text_match){ .name = span_of(rows[count].name),
								      .how = !value     ? TEXT_PRESENT
									     : is_regex ? TEXT_REGEX
											: TEXT_EXACT,
								      .value = span_of(value ? value + is_regex : "") };
	}
	return count;
}

static bool row_add(struct fixture *f, const struct row *row, size_t index, struct error *err)
{
	struct plan_match m = {
		.how = row->how, .path = span_of(row->path), .method = span_of(row->method), .is_grpc = row->is_grpc
	};

	m.header_count = texts_make(f, row->headers, &m.headers);
	m.query_count = texts_make(f, row->queries, &m.queries);
	f->routes[index] =
	    (struct plan_route){ .name = row->name ? span_of(row->name) : SPAN("httproute/default/web/0"),
				 .made_ns = row->made };
	return plan_route_add(f->builder, f->table, span_of(row->host), &m, &f->routes[index], err);
}

static void fixture_init(struct fixture *f, const struct row *rows, size_t count)
{
	struct error err = { 0 };

	*f = (struct fixture){ .builder = plan_begin() };
	f->table = plan_table_add(f->builder);
	assert_true(count <= ARRAY_LEN(f->routes));
	for (size_t i = 0; i < count; i++)
		if (!row_add(f, &rows[i], i, &err))
			fail_msg("%s", err.message);
}

static void fixture_finish(struct fixture *f)
{
	struct error err = { 0 };

	f->plan = plan_finish(f->builder, 1, &err);
	if (!f->plan)
		fail_msg("%s", err.message);
}

struct question {
	const char *host, *path, *method, *query;
	struct text_row headers[4];
	int wanted; /* -1: none */
	bool is_grpc;
	size_t prefix;
};

static int asked(const struct fixture *f, const struct question *q, size_t *ret_prefix)
{
	struct request req = { .authority = span_of(q->host),
			       .path = span_of(q->path),
			       .query = span_of(q->query),
			       .method_text = span_of(q->method ? q->method : "GET"),
			       .content_type = q->is_grpc ? SPAN("application/grpc+proto") : (struct span){ 0 } };
	struct header headers[4];
	const struct plan_route *found;

	arena_init(&req.arena, MIB(1));
	for (; req.header_count < 4 && q->headers[req.header_count].name; req.header_count++)
		headers[req.header_count] = (struct header){ span_of(q->headers[req.header_count].name),
							     span_of(q->headers[req.header_count].value) };
	req.headers = headers;
	found = plan_find(f->table, &req, ret_prefix);
	arena_done(&req.arena);
	return found ? (int)(found - f->routes) : -1;
}

static void ask_all(struct fixture *f, const struct question *questions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t prefix = 0;
		int got = asked(f, &questions[i], &prefix);

		if (got != questions[i].wanted)
			fail_msg("question %zu, %s%s: route %d, not %d", i, questions[i].host, questions[i].path, got,
				 questions[i].wanted);
		if (questions[i].prefix && prefix != questions[i].prefix)
			fail_msg("question %zu, %s: prefix of %zu, not %zu", i, questions[i].path, prefix,
				 questions[i].prefix);
	}
	plan_unref(f->plan);
}

#define ASK(rows, questions)                                                                                           \
	do {                                                                                                           \
		struct fixture f_;                                                                                     \
		fixture_init(&f_, rows, ARRAY_LEN(rows));                                                              \
		fixture_finish(&f_);                                                                                   \
		ask_all(&f_, questions, ARRAY_LEN(questions));                                                         \
	} while (0)

/* ---- hosts ---- */

static void an_exact_host_comes_before_a_longer_wildcard_before_a_shorter_before_any(void **state)
{
	static const struct row rows[] = {
		{ "", PATH_PREFIX, "/", "", { { 0 } }, { { 0 } }, 0, NULL, false },
		{ "*.com", PATH_PREFIX, "/", "", { { 0 } }, { { 0 } }, 0, NULL, false },
		{ "*.example.com", PATH_PREFIX, "/", "", { { 0 } }, { { 0 } }, 0, NULL, false },
		{ "a.example.com", PATH_PREFIX, "/", "", { { 0 } }, { { 0 } }, 0, NULL, false },
		{ "?.one.org", PATH_PREFIX, "/", "", { { 0 } }, { { 0 } }, 0, NULL, false },
	};
	static const struct question questions[] = {
		{ .host = "a.example.com", .path = "/", .wanted = 3 },
		{ .host = "A.Example.COM:8080", .path = "/", .wanted = 3 },
		{ .host = "a.example.com.", .path = "/", .wanted = 3 },
		{ .host = "b.example.com", .path = "/", .wanted = 2 },
		{ .host = "c.b.example.com", .path = "/", .wanted = 2 },
		{ .host = "example.com", .path = "/", .wanted = 1 }, /* a wildcard wants a label */
		{ .host = "com", .path = "/", .wanted = 0 },
		{ .host = "a.one.org", .path = "/", .wanted = 4 },
		{ .host = "b.a.one.org", .path = "/", .wanted = 0 },
		{ .host = "one.org", .path = "/", .wanted = 0 },
		{ .host = "", .path = "/", .wanted = 0 },
		{ .host = "[::1]:80", .path = "/", .wanted = 0 },
		{ .host = "127.0.0.1:80", .path = "/", .wanted = 0 },
	};

	(void)state;
	ASK(rows, questions);
}

static void what_no_row_of_a_host_takes_is_looked_for_under_names_that_say_less(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/", .method = "" },
		{ .host = "*.example.com", .path = "/wild", .method = "" },
		{ .host = "a.example.com", .path = "/own", .method = "" },
	};
	static const struct question questions[] = {
		{ .host = "a.example.com", .path = "/own/x", .wanted = 2 },
		{ .host = "a.example.com", .path = "/wild/x", .wanted = 1 },
		{ .host = "a.example.com", .path = "/other", .wanted = 0 },
	};

	(void)state;
	ASK(rows, questions);
}

static void names_that_say_less_than_a_listeners_are_not_looked_at(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/", .method = "" },
		{ .host = "*.example.com", .path = "/wild", .method = "" },
		{ .host = "a.example.com", .path = "/own", .method = "" },
	};
	static const struct question questions[] = {
		{ .host = "a.example.com", .path = "/own/x", .wanted = 2 },
		{ .host = "a.example.com", .path = "/wild/x", .wanted = 1 },
		{ .host = "a.example.com", .path = "/other", .wanted = -1 },
		{ .host = "b.example.com", .path = "/", .wanted = -1 },
		{ .host = "empty.org", .path = "/", .wanted = -1 },
		{ .host = "other.org", .path = "/", .wanted = 0 },
	};
	struct fixture f;

	(void)state;
	fixture_init(&f, rows, ARRAY_LEN(rows));
	plan_host_end(f.builder, f.table, SPAN("*.example.com"));
	plan_host_end(f.builder, f.table, SPAN("empty.org"));
	fixture_finish(&f);
	ask_all(&f, questions, ARRAY_LEN(questions));
}

/* ---- paths ---- */

static void a_path_takes_its_exact_row_then_the_longest_prefix(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/", .method = "" },
		{ .host = "", .path = "/a", .method = "" },
		{ .host = "", .path = "/a/b/", .method = "" }, /* as "/a/b" */
		{ .host = "", .how = PATH_EXACT, .path = "/a/b", .method = "" },
		{ .host = "", .how = PATH_EXACT, .path = "/exact/", .method = "" },
		{ .host = "", .path = "/a/b/c/d", .method = "" },
	};
	static const struct question questions[] = {
		{ .host = "x", .path = "/", .wanted = 0 },
		{ .host = "x", .path = "/other/a", .wanted = 0 },
		{ .host = "x", .path = "/a", .wanted = 1, .prefix = 2 },
		{ .host = "x", .path = "/a/", .wanted = 1, .prefix = 2 },
		{ .host = "x", .path = "/ab", .wanted = 0 },
		{ .host = "x", .path = "/a/bc", .wanted = 1 },
		{ .host = "x", .path = "/a/b", .wanted = 3, .prefix = 4 },
		{ .host = "x", .path = "/a/b/", .wanted = 2, .prefix = 4 },
		{ .host = "x", .path = "/a/b/c", .wanted = 2, .prefix = 4 },
		{ .host = "x", .path = "/a/b/c/d", .wanted = 5 },
		{ .host = "x", .path = "/a/b/c/d/e/f/g/h/i/j/k", .wanted = 5, .prefix = 8 },
		{ .host = "x", .path = "/exact", .wanted = 0 },
		{ .host = "x", .path = "/exact/", .wanted = 4 },
		{ .host = "x", .path = "/exact/x", .wanted = 0 },
		{ .host = "x", .path = "*", .wanted = 0 },
	};

	(void)state;
	ASK(rows, questions);
}

static void escapes_that_say_nothing_else_do_not_hide_a_path(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/", .method = "" },
		{ .host = "", .path = "/admin", .method = "" },
		{ .host = "", .how = PATH_EXACT, .path = "/a%2Fb", .method = "" },
	};
	static const struct question questions[] = {
		{ .host = "x", .path = "/%61dmin/x", .wanted = 1, .prefix = 8 },
		{ .host = "x", .path = "/%61%64min", .wanted = 1, .prefix = 10 },
		{ .host = "x", .path = "/admin%2Fx", .wanted = 0 }, /* one segment */
		{ .host = "x", .path = "/a%2Fb", .wanted = 2 },
		{ .host = "x", .path = "/%61%2Fb", .wanted = 2 },
		{ .host = "x", .path = "/%6", .wanted = 0 },
		{ .host = "x", .path = "/%", .wanted = 0 },
		{ .host = "x", .path = "/%zz", .wanted = 0 },
	};

	(void)state;
	ASK(rows, questions);
}

static void a_regex_counts_as_its_length(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/api", .method = "" },
		{ .host = "", .how = PATH_REGEX, .path = "/a.i", .method = "" },
		{ .host = "", .how = PATH_REGEX, .path = "/api/.*", .method = "" },
		{ .host = "", .path = "/api/v1/long", .method = "" },
		{ .host = "", .how = PATH_EXACT, .path = "/api/z", .method = "" },
		{ .host = "", .how = PATH_REGEX, .path = "/(a+)+b", .method = "" },
	};
	static const struct question questions[] = {
		{ .host = "x", .path = "/api", .wanted = 1 },         /* before a prefix of the same length */
		{ .host = "x", .path = "/api/x", .wanted = 2 },       /* longer than the prefix */
		{ .host = "x", .path = "/api/v1/long", .wanted = 3 }, /* the prefix is longer */
		{ .host = "x", .path = "/api/z", .wanted = 4 },
		{ .host = "x", .path = "/abi", .wanted = 1 },
		{ .host = "x", .path = "/abix", .wanted = -1 }, /* the whole path */
		{ .host = "x", .path = "/aaab", .wanted = 5 },
		/* What would take for ever ends, and does not match. */
		{ .host = "x",
		  .path = "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
		  .wanted = -1 },
	};

	(void)state;
	ASK(rows, questions);
}

static void a_regex_that_cannot_be_read_is_refused_and_leaves_the_rest(void **state)
{
	static const struct row good = { .host = "", .path = "/", .method = "" },
				bad = { .host = "", .how = PATH_REGEX, .path = "/(", .method = "" },
				bad_header = { .host = "", .path = "/", .method = "", .headers = { { "x", "~[" } } };
	static const struct question questions[] = { { .host = "x", .path = "/", .wanted = 0 } };
	struct error err = { 0 };
	struct fixture f;

	(void)state;
	fixture_init(&f, &good, 1);
	assert_false(row_add(&f, &bad, 1, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	assert_false(row_add(&f, &bad_header, 1, &err));
	fixture_finish(&f);
	ask_all(&f, questions, 1);
}

/* ---- what else rows want ---- */

static void a_method_then_more_headers_then_more_parameters_decide(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/", .method = "" },
		{ .host = "", .path = "/", .method = "", .queries = { { "q", "1" } } },
		{ .host = "", .path = "/", .method = "", .queries = { { "q", "1" }, { "r", "2" } } },
		{ .host = "", .path = "/", .method = "", .headers = { { "x", "1" } } },
		{ .host = "", .path = "/", .method = "", .headers = { { "x", "1" }, { "y", "~[0-9]+" } } },
		{ .host = "", .path = "/", .method = "POST" },
		{ .host = "", .path = "/", .method = "", .headers = { { "z", NULL } } },
		{ .host = "", .path = "/", .method = "", .queries = { { "a b", "c&d" } } },
		{ .host = "", .path = "/", .method = "", .queries = { { "re", "~a.c" } } },
	};
	static const struct question questions[] = {
		{ .host = "x", .path = "/", .wanted = 0 },
		{ .host = "x", .path = "/", .query = "q=1", .wanted = 1 },
		{ .host = "x", .path = "/", .query = "q=2&q=1", .wanted = 0 }, /* the first counts */
		{ .host = "x", .path = "/", .query = "r=2&q=1", .wanted = 2 },
		{ .host = "x", .path = "/", .query = "r=2&q=1", .headers = { { "x", "1" } }, .wanted = 3 },
		{ .host = "x", .path = "/", .headers = { { "x", "1" }, { "y", "12" } }, .wanted = 4 },
		{ .host = "x", .path = "/", .headers = { { "x", "1" }, { "y", "12a" } }, .wanted = 3 },
		{ .host = "x", .path = "/", .method = "POST", .headers = { { "x", "1" }, { "y", "12" } }, .wanted = 5 },
		{ .host = "x", .path = "/", .headers = { { "z", "" } }, .wanted = 6 },
		{ .host = "x", .path = "/", .query = "a+b=c%26d", .wanted = 7 },
		{ .host = "x", .path = "/", .query = "a%20b=c%26d", .wanted = 7 },
		{ .host = "x", .path = "/", .query = "a%20b=c", .wanted = 0 },
		{ .host = "x", .path = "/", .query = "re=a%62c", .wanted = 8 },
		{ .host = "x", .path = "/", .query = "re=abcd", .wanted = 0 },
	};

	(void)state;
	ASK(rows, questions);
}

static void the_older_then_the_name_then_the_first_rule_decide(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/a", .method = "", .made = 2, .name = "httproute/default/a/0" },
		{ .host = "", .path = "/a", .method = "", .made = 1, .name = "httproute/default/z/0" },
		{ .host = "", .path = "/b", .method = "", .made = 1, .name = "httproute/default/z/0" },
		{ .host = "", .path = "/b", .method = "", .made = 1, .name = "httproute/default/a/2" },
		{ .host = "", .path = "/b", .method = "", .made = 1, .name = "httproute/default/a/10" },
	};
	static const struct question questions[] = {
		{ .host = "x", .path = "/a", .wanted = 1 },
		{ .host = "x", .path = "/b", .wanted = 3 },
	};

	(void)state;
	ASK(rows, questions);
}

static void routes_of_grpc_take_nothing_else(void **state)
{
	static const struct row rows[] = {
		{ .host = "", .path = "/", .method = "" },
		{ .host = "", .path = "/", .method = "", .headers = { { "seldon", "m" } }, .is_grpc = true },
	};
	static const struct question questions[] = {
		{ .host = "x", .path = "/p.S/M", .headers = { { "seldon", "m" } }, .wanted = 0 },
		{ .host = "x", .path = "/p.S/M", .headers = { { "seldon", "m" } }, .is_grpc = true, .wanted = 1 },
		{ .host = "x", .path = "/p.S/M", .is_grpc = true, .wanted = 0 },
	};

	(void)state;
	ASK(rows, questions);
}

static void many_rows_of_one_path_keep_their_order_when_they_are_parted_by_a_header(void **state)
{
	static char names[40][16];
	static struct row rows[44];
	static struct question questions[44];

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "m%zu", i);
		rows[i] = (struct row){ .host = "", .path = "/", .method = "", .headers = { { "seldon", names[i] } } };
		questions[i] = (struct question){
			.host = "x", .path = "/", .headers = { { "seldon", names[i] } }, .wanted = (int)i
		};
	}
	rows[40] = (struct row){ .host = "", .path = "/", .method = "" };
	rows[41] = (struct row){
		.host = "", .path = "/", .method = "", .headers = { { "seldon", "m7" }, { "namespace", "b" } }
	};
	rows[42] = (struct row){ .host = "", .path = "/", .method = "POST" };
	rows[43] =
	    (struct row){ .host = "", .path = "/", .method = "", .headers = { { "seldon", "~m.*" } }, .made = 1 };
	questions[40] = (struct question){ .host = "x", .path = "/", .wanted = 40 };
	questions[41] = (struct question){
		.host = "x", .path = "/", .headers = { { "seldon", "m7" }, { "namespace", "b" } }, .wanted = 41
	};
	questions[42] = (struct question){
		.host = "x", .path = "/", .method = "POST", .headers = { { "seldon", "m7" } }, .wanted = 42
	};
	questions[43] = (struct question){ .host = "x", .path = "/", .headers = { { "seldon", "mx" } }, .wanted = 43 };
	ASK(rows, questions);
}

/* ---- the rest ---- */

static void targets_are_chosen_by_their_weight(void **state)
{
	static const struct plan_target targets[] = { { .weight = 1 }, { .weight = 0 }, { .weight = 3 } };
	struct plan_route r = { .targets = targets, .target_count = 3, .weight_sum = 4 }, none = { .targets = targets };

	(void)state;
	assert_ptr_equal(plan_choose(&r, 0), &targets[0]);
	assert_ptr_equal(plan_choose(&r, UINT64_MAX / 4 - 1), &targets[0]);
	assert_ptr_equal(plan_choose(&r, UINT64_MAX / 4 + 1), &targets[2]);
	assert_ptr_equal(plan_choose(&r, UINT64_MAX), &targets[2]);
	assert_null(plan_choose(&none, 7));
}

static void count_release(void *thing)
{
	++*(int *)thing;
}

static void a_plan_has_its_entries_by_key_and_releases_what_it_keeps_at_the_end(void **state)
{
	struct plan_builder *b = plan_begin();
	struct error err = { 0 };
	struct plan_backend *backend;
	struct plan *p;
	int released = 0;
	char key[32];

	(void)state;
	plan_keep(b, &released, count_release);
	backend = plan_backend(b, SPAN("default/web:80"));
	assert_ptr_equal(plan_backend(b, SPAN("default/web:80")), backend);
	(void)plan_backend(b, SPAN("default/api:80"));
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "tcp 127.96.0.7:%d", i);
		plan_entry_add(b, span_of(key))->wanted_port = i;
	}
	assert_null(plan_entry_add(b, SPAN("tcp 127.96.0.7:7")));
	p = plan_finish(b, 9, &err);
	assert_non_null(p);
	assert_int_equal(p->number, 9);
	assert_int_equal(p->entry_count, 1000);
	assert_int_equal(p->backend_count, 2);
	assert_ptr_equal(p->backends[1], backend);
	assert_int_equal(plan_entry_find(p, SPAN("tcp 127.96.0.7:999"))->wanted_port, 999);
	assert_null(plan_entry_find(p, SPAN("tcp 127.96.0.7:1000")));
	plan_ref(p);
	plan_unref(p);
	assert_int_equal(released, 0);
	plan_unref(p);
	assert_int_equal(released, 1);
	b = plan_begin();
	plan_keep(b, &released, count_release);
	plan_discard(b);
	assert_int_equal(released, 2);
}

static void a_plan_over_its_limits_is_refused(void **state)
{
	static const struct plan_target targets[PLAN_TARGETS_MOST + 1];
	const struct plan_route wide = { .targets = targets, .target_count = ARRAY_LEN(targets) }, route = { 0 };
	struct plan_match m = { .path = SPAN("/") };
	struct plan_builder *b = plan_begin();
	struct plan_table *t = plan_table_add(b);
	struct error err = { 0 };
	char path[300];

	(void)state;
	assert_false(plan_route_add(b, t, (struct span){ 0 }, &m, &wide, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? 'a' : '/';
	m.path = span_from(path, sizeof(path));
	err = (struct error){ 0 };
	assert_false(plan_route_add(b, t, (struct span){ 0 }, &m, &route, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	plan_backend(b, SPAN("default/web:80"))->endpoint_count = PLAN_ENDPOINTS_MOST + 1;
	err = (struct error){ 0 };
	assert_null(plan_finish(b, 1, &err));
	assert_int_equal(err.code, ERROR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exact_host_comes_before_a_longer_wildcard_before_a_shorter_before_any),
		cmocka_unit_test(what_no_row_of_a_host_takes_is_looked_for_under_names_that_say_less),
		cmocka_unit_test(names_that_say_less_than_a_listeners_are_not_looked_at),
		cmocka_unit_test(a_path_takes_its_exact_row_then_the_longest_prefix),
		cmocka_unit_test(escapes_that_say_nothing_else_do_not_hide_a_path),
		cmocka_unit_test(a_regex_counts_as_its_length),
		cmocka_unit_test(a_regex_that_cannot_be_read_is_refused_and_leaves_the_rest),
		cmocka_unit_test(a_method_then_more_headers_then_more_parameters_decide),
		cmocka_unit_test(the_older_then_the_name_then_the_first_rule_decide),
		cmocka_unit_test(routes_of_grpc_take_nothing_else),
		cmocka_unit_test(many_rows_of_one_path_keep_their_order_when_they_are_parted_by_a_header),
		cmocka_unit_test(targets_are_chosen_by_their_weight),
		cmocka_unit_test(a_plan_has_its_entries_by_key_and_releases_what_it_keeps_at_the_end),
		cmocka_unit_test(a_plan_over_its_limits_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
