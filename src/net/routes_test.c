/* SPDX-License-Identifier: Apache-2.0 */
#include "net/routes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void handle(struct request *req)
{
	(void)req;
}

static const struct surface v2 = { "v2", fail_as_json_error }, v1 = { "v1", fail_as_json_error };

static const struct route v2_table[] = {
	{ METHOD_GET, "/v2", handle, &v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/models/{model}", handle, &v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/models/{model}/ready", handle, &v2, ROUTE_HTTP },
	{ METHOD_POST, "/v2/models/{model}/infer", handle, &v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/models/{model}/versions/{version}", handle, &v2, ROUTE_HTTP },
	{ METHOD_GET, "/v2/models/stats", handle, &v2, ROUTE_HTTP },
	{ METHOD_POST, "/inference.GRPCInferenceService/ModelInfer", handle, &v2, ROUTE_GRPC },
	{ 0 },
};

static const struct route v1_table[] = {
	{ METHOD_GET, "/v1/models/{model}", handle, &v1, ROUTE_HTTP },
	{ METHOD_POST, "/v1/models/{model}:predict", handle, &v1, ROUTE_HTTP },
	{ METHOD_POST, "/v1/models/{model}:predict_proba", handle, &v1, ROUTE_HTTP },
	{ METHOD_GET, "/predict", handle, &v1, ROUTE_HTTP },
	{ METHOD_POST, "/predict", handle, &v1, ROUTE_HTTP },
	{ METHOD_GET, "/", handle, &v1, ROUTE_HTTP },
	{ 0 },
};

static const struct route *const tables[] = { v2_table, v1_table, NULL };

static void a_path_finds_its_most_literal_pattern(void **state)
{
	static const struct {
		enum method method;
		const char *path, *pattern, *first, *second;
	} rows[] = {
		{ METHOD_GET, "/v2", "/v2", "", "" },
		{ METHOD_GET, "/", "/", "", "" },
		{ METHOD_HEAD, "/v2", "/v2", "", "" },
		{ METHOD_GET, "/v2/models/a", "/v2/models/{model}", "a", "" },
		{ METHOD_GET, "/v2/models/stats", "/v2/models/stats", "", "" },
		{ METHOD_GET, "/v2/models/stats/ready", "/v2/models/{model}/ready", "stats", "" },
		{ METHOD_POST, "/v2/models/income-1.2/infer", "/v2/models/{model}/infer", "income-1.2", "" },
		{ METHOD_GET, "/v2/models/m/versions/7", "/v2/models/{model}/versions/{version}", "m", "7" },
		{ METHOD_GET, "/v1/models/m:predict", "/v1/models/{model}", "m:predict", "" },
		{ METHOD_POST, "/v1/models/m:predict", "/v1/models/{model}:predict", "m", "" },
		{ METHOD_POST, "/v1/models/a:b:predict", "/v1/models/{model}:predict", "a:b", "" },
		{ METHOD_POST, "/v1/models/m:predict_proba", "/v1/models/{model}:predict_proba", "m", "" },
		{ METHOD_GET, "/predict", "/predict", "", "" },
		{ METHOD_POST, "/predict", "/predict", "", "" },
		{ METHOD_POST, "/inference.GRPCInferenceService/ModelInfer",
		  "/inference.GRPCInferenceService/ModelInfer", "", "" },
	};
	struct error err = { 0 };
	struct routes *r = routes_new(tables, &err);

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct route_match m;

		routes_find(r, rows[i].method, span_of(rows[i].path), &m);
		assert_non_null(m.route);
		assert_string_equal(m.route->pattern, rows[i].pattern);
		assert_true(span_equal(m.params[0], span_of(rows[i].first)) || !rows[i].first[0]);
		assert_true(span_equal(m.params[1], span_of(rows[i].second)) || !rows[i].second[0]);
		assert_ptr_equal(routes_surface(r, m.surface_index), m.route->surface);
	}
	routes_free(r);
}

static void unknown_paths_and_methods_are_told_apart(void **state)
{
	static const struct {
		enum method method;
		const char *path;
		unsigned allowed;
		const struct surface *surface;
	} rows[] = {
		{ METHOD_POST, "/v2", METHOD_GET, &v2 },
		{ METHOD_PUT, "/predict", METHOD_GET | METHOD_POST, &v1 },
		{ METHOD_DELETE, "/v2/models/stats", METHOD_GET, &v2 },
		{ METHOD_GET, "/v2/models/m/infer", METHOD_POST, &v2 },
		{ METHOD_GET, "/v2/models//ready", 0, &v2 },
		{ METHOD_GET, "/v2/nothing", 0, &v2 },
		{ METHOD_GET, "/v2/models/m/x/y/z", 0, &v2 },
		{ METHOD_GET, "/v1/nothing", 0, &v1 },
		{ METHOD_POST, "/v1/models/:predict", METHOD_GET, &v1 },
		{ METHOD_GET, "/v", 0, &surface_plain },
		{ METHOD_GET, "", 0, &surface_plain },
		{ METHOD_GET, "*", 0, &surface_plain },
		{ METHOD_GET, "v2", 0, &surface_plain },
		{ METHOD_GET, "//v2", 0, &surface_plain },
		{ METHOD_GET, "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r", 0, &surface_plain },
	};
	struct error err = { 0 };
	struct routes *r = routes_new(tables, &err);

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct route_match m;

		routes_find(r, rows[i].method, span_of(rows[i].path), &m);
		assert_null(m.route);
		assert_int_equal(m.allowed, rows[i].allowed);
		assert_ptr_equal(routes_surface(r, m.surface_index), rows[i].surface);
	}
	routes_free(r);
}

static void decoded_segments_keep_their_slashes(void **state)
{
	const struct span segments[] = { SPAN("v2"), SPAN("models"), SPAN("a/b"), SPAN("ready") };
	struct error err = { 0 };
	struct routes *r = routes_new(tables, &err);
	struct route_match m;

	(void)state;
	routes_find_segments(r, METHOD_GET, segments, 4, &m);
	assert_non_null(m.route);
	assert_true(span_equal(m.params[0], SPAN("a/b")));
	assert_true(span_equal(m.param_names[0], SPAN("model")));
	routes_free(r);
}

static void a_pattern_may_take_all_that_follows(void **state)
{
	static const struct route table[] = { { METHOD_GET, "/a/{x}/proxy", handle, &v2, ROUTE_STREAM },
					      { METHOD_GET, "/a/{x}/proxy/*", handle, &v2, ROUTE_STREAM },
					      { METHOD_GET, "/a/{x}/proxy/own", handle, &v2, ROUTE_HTTP },
					      { METHOD_GET, "/a/{x}/{y}", handle, &v1, ROUTE_HTTP },
					      { 0 } };
	static const struct {
		const char *path, *pattern;
	} rows[] = {
		{ "/a/b/proxy", "/a/{x}/proxy" },
		{ "/a/b/proxy/", "/a/{x}/proxy/*" },
		{ "/a/b/proxy//", "/a/{x}/proxy/*" },
		{ "/a/b/proxy/c/d", "/a/{x}/proxy/*" },
		{ "/a/b/proxy/own", "/a/{x}/proxy/own" },
		{ "/a/b/proxy/own/c", "/a/{x}/proxy/*" },
		{ "/a/b/proxy/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", "/a/{x}/proxy/*" },
		{ "/a/b/proxies", "/a/{x}/{y}" },
		{ "/a/b/c/d", NULL },
		{ "/a/b/c/proxy/d", NULL },
		{ "/a/b/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", NULL },
	};
	const struct route *const with[] = { table, NULL };
	struct error err = { 0 };
	struct routes *r = routes_new(with, &err);

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct route_match m;

		routes_find(r, METHOD_GET, span_of(rows[i].path), &m);
		assert_int_equal(m.route != NULL, rows[i].pattern != NULL);
		if (rows[i].pattern)
			assert_string_equal(m.route->pattern, rows[i].pattern);
	}
	routes_free(r);
}

static void bad_tables_are_refused(void **state)
{
	static const char *const patterns[] = { "",         "v2",      "/v2/{}", "/v2/{a",
						"/v2/x{a}", "/{a}{b}", "/a}",    "/{a}/{b}/{c}/{d}/{e}",
						"/predict", "/v2/*" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		const struct route table[] = { { METHOD_POST, patterns[i], handle, &v2, ROUTE_HTTP }, { 0 } };
		const struct route *const with[] = { v1_table, table, NULL };
		struct error err = { 0 };

		assert_null(routes_new(with, &err));
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_finds_its_most_literal_pattern),
		cmocka_unit_test(unknown_paths_and_methods_are_told_apart),
		cmocka_unit_test(decoded_segments_keep_their_slashes),
		cmocka_unit_test(a_pattern_may_take_all_that_follows),
		cmocka_unit_test(bad_tables_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
