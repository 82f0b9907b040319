/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/predictor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"

static struct arena arena;

static bool read_one(const char *json, struct predictor *p, struct error *err)
{
	*err = (struct error){ 0 };
	return predictor_read(span_of(json), false, &arena, p, err);
}

static void a_predictor_is_read(void **state)
{
	struct predictor p;
	struct error err;

	(void)state;
	assert_true(
	    read_one("{\"name\":\"main\",\"annotations\":{\"seldon.io/"
		     "rest-timeout\":\"250\",\"version\":\"v3\",\"other\":\"x\"},"
		     "\"componentSpecs\":[{\"spec\":{\"containers\":[{\"name\":\"clf\",\"image\":\"reg/img:1.2\"},"
		     "{\"name\":\"seldon-container-engine\",\"image\":\"e\"}]}}],"
		     "\"graph\":{\"name\":\"clf\",\"type\":\"MODEL\",\"children\":[],\"endpoint\":{\"type\":\"REST\","
		     "\"service_host\":\"127.0.0.1\","
		     "\"service_port\":9001,\"httpPort\":9001,\"grpcPort\":9501}}}",
		     &p, &err));
	assert_true(span_equal(p.name, SPAN("main")));
	assert_true(span_equal(p.version, SPAN("v3")));
	assert_true(span_equal(p.root.image, SPAN("reg/img:1.2")));
	assert_true(span_equal(p.root.image_name, SPAN("reg/img")));
	assert_true(span_equal(p.root.version, SPAN("1.2")));
	assert_true(span_equal(p.root.host, SPAN("127.0.0.1")));
	assert_int_equal(p.root.http_port, 9001);
	assert_int_equal(p.root.grpc_port, 9501);
	assert_int_equal(p.root.ready_port, 9001);
	assert_int_equal(p.rest_timeout_ns, 250 * NS_PER_MS);
}

static void what_is_left_out_has_its_default(void **state)
{
	struct predictor p;
	struct error err;

	(void)state;
	assert_true(read_one(
	    "{\"graph\":{\"name\":\"classifier\",\"type\":\"MODEL\",\"endpoint\":{\"type\":\"GRPC\"}},"
	    "\"componentSpecs\":[{\"spec\":{\"containers\":[{\"name\":\"other\",\"image\":\"host:5000/img:1\"}]}}]}",
	    &p, &err));
	assert_int_equal(p.root.http_port, 9000);
	assert_int_equal(p.root.grpc_port, 9500);
	assert_int_equal(p.root.ready_port, 9500);
	assert_true(span_equal(p.root.host, SPAN("localhost")));
	assert_true(span_equal(p.root.image, SPAN("host:5000/img:1"))); /* the only container */
	assert_int_equal(p.root.version.len, 0);                        /* a registry's port is no version */
}

static void graphs_of_more_are_refused_by_name(void **state)
{
	static const struct {
		const char *json, *words;
	} rows[] = {
		{ "{\"graph\":{\"name\":\"r\",\"type\":\"ROUTER\"}}", "graph node 'r' is of type ROUTER" },
		{ "{\"graph\":{\"name\":\"m\",\"children\":[{\"name\":\"n\"}]}}", "graph node 'm' has children" },
		{ "{\"graph\":{\"name\":\"m\",\"implementation\":\"RANDOM_ABTEST\"}}", "is built in, RANDOM_ABTEST" },
		{ "{\"graph\":{\"name\":\"m\",\"methods\":[\"ROUTE\"]}}", "has a list of methods" },
		{ "{\"graph\":{\"name\":\"m\",\"logger\":{\"mode\":\"all\"}}}", "has a logger" },
	};
	struct predictor p = { .name = SPAN_INIT("untouched") };
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(read_one(rows[i].json, &p, &err));
		assert_int_equal(err.code, ERROR_UNIMPLEMENTED);
		assert_non_null(strstr(err.message, rows[i].words));
		assert_true(span_equal(p.name, SPAN("untouched")));
	}
}

static void damaged_ones_are_told(void **state)
{
	static const char *const rows[] = {
		"",
		"{}",
		"[]",
		"{\"graph\":{}}",
		"{\"graph\":{\"name\":\"m\",\"endpoint\":{\"httpPort\":70000}}}",
		"{\"graph\":{\"name\":\"m\"},\"annotations\":{\"seldon.io/rest-timeout\":\"soon\"}}"
	};
	struct predictor p;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(read_one(rows[i], &p, &err));
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void annotations_of_the_pod_are_read(void **state)
{
	struct predictor p = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_true(predictor_annotations_read(&p,
					       SPAN("prometheus.io/scrape=\"true\"\nseldon.io/grpc-timeout=\"1500\"\n"
						    "seldon.io/grpc-max-message-size=\"1000\"\n\nbad\n"),
					       &err));
	assert_int_equal(p.grpc_timeout_ns, 1500 * NS_PER_MS);
	assert_int_equal(p.grpc_message_most, 1000);
	assert_false(predictor_annotations_read(&p, SPAN("seldon.io/rest-timeout=\"-1\"\n"), &err));
	assert_non_null(strstr(err.message, "seldon.io/rest-timeout"));
}

static void protocols_have_names(void **state)
{
	enum predictor_protocol protocol;
	struct error err = { 0 };

	(void)state;
	assert_true(predictor_protocol_read(SPAN("kfserving"), &protocol, &err));
	assert_int_equal(protocol, PREDICTOR_V2);
	assert_true(predictor_protocol_read(SPAN(""), &protocol, &err));
	assert_int_equal(protocol, PREDICTOR_SELDON);
	assert_false(predictor_protocol_read(SPAN("soap"), &protocol, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_predictor_is_read),
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(graphs_of_more_are_refused_by_name),
		cmocka_unit_test(damaged_ones_are_told),
		cmocka_unit_test(annotations_of_the_pod_are_read),
		cmocka_unit_test(protocols_have_names),
	};
	int failed;

	arena_init(&arena, MIB(4));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
