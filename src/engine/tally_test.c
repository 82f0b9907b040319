/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct predictor predictor = {
	.name = SPAN_INIT("main"),
	.deployment = SPAN_INIT("iris"),
	.root = { .name = SPAN_INIT("clf"), .image_name = SPAN_INIT("img"), .version = SPAN_INIT("1") },
};

static const char *told(struct tally *m, int64_t now, struct buffer *out)
{
	buffer_clear(out);
	tally_write(m, now, out);
	buffer_byte(out, '\0');
	return out->ptr;
}

static void requests_are_told_as_dashboards_look_for_them(void **state)
{
	struct tally *m = tally_new(&predictor);
	struct buffer out;
	const char *text;

	(void)state;
	buffer_init(&out, MIB(1));
	for (int i = 0; i < 99; i++)
		tally_count(m, false, SPAN("predictions"), SPAN("post"), SPAN("200"), 2 * NS_PER_MS, NS_PER_S);
	tally_count(m, false, SPAN("predictions"), SPAN("post"), SPAN("200"), NS_PER_S, NS_PER_S);
	tally_count(m, true, SPAN("/predict"), SPAN("post"), SPAN("200"), NS_PER_MS, NS_PER_S);
	text = told(m, NS_PER_S, &out);
	assert_non_null(strstr(text, "# TYPE seldon_api_executor_server_requests_seconds histogram\n"));
	assert_non_null(strstr(
	    text,
	    "seldon_api_executor_server_requests_seconds_bucket{code=\"200\",deployment_name=\"iris\",method=\"post\","
	    "predictor_name=\"main\",predictor_version=\"\",service=\"predictions\",le=\"0.005\"} 99\n"));
	assert_non_null(strstr(text, "service=\"predictions\",le=\"+Inf\"} 100\n"));
	assert_non_null(strstr(text, "service=\"predictions\"} 1.198\n"));
	assert_non_null(strstr(
	    text,
	    "seldon_api_executor_client_requests_seconds_count{code=\"200\",deployment_name=\"iris\",method=\"post\","
	    "model_image=\"img\",model_name=\"clf\",model_version=\"1\",predictor_name=\"main\","
	    "predictor_version=\"\",service=\"/predict\"} 1\n"));
	tally_free(m);
	buffer_done(&out);
}

static double quantile_of(const char *text, const char *quantile)
{
	char key[32];
	const char *at;
	double value = -1;

	(void)snprintf(key, sizeof(key), "quantile=\"%s\"} ", quantile);
	at = strstr(text, key);
	assert_non_null(at);
	value = strtod(at + strlen(key), NULL);
	return value;
}

static void quantiles_are_near_and_forget(void **state)
{
	struct tally *m = tally_new(&predictor);
	struct buffer out;
	const char *text;

	(void)state;
	buffer_init(&out, MIB(1));
	for (int i = 1; i <= 1000; i++)
		tally_count(m, false, SPAN("predictions"), SPAN("post"), SPAN("200"), i * NS_PER_MS, NS_PER_S);
	text = told(m, NS_PER_S, &out);
	assert_true(quantile_of(text, "0.5") > 0.46 && quantile_of(text, "0.5") < 0.54);
	assert_true(quantile_of(text, "0.99") > 0.92 && quantile_of(text, "0.99") < 1.06);
	assert_non_null(strstr(told(m, 1000 * NS_PER_S, &out), "quantile=\"0.5\"} NaN\n"));
	tally_free(m);
	buffer_done(&out);
}

static void series_have_an_end(void **state)
{
	struct tally *m = tally_new(&predictor);
	struct buffer out;
	char path[32];

	(void)state;
	buffer_init(&out, MIB(64));
	for (int i = 0; i < TALLY_SERIES_MAX + 50; i++) {
		(void)snprintf(path, sizeof(path), "/v2/models/m%d/infer", i);
		tally_count(m, true, span_of(path), SPAN("post"), SPAN("404"), 1, NS_PER_S);
	}
	assert_non_null(strstr(told(m, NS_PER_S, &out), "service=\"other\"} 50\n"));
	tally_free(m);
	buffer_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_told_as_dashboards_look_for_them),
		cmocka_unit_test(quantiles_are_near_and_forget),
		cmocka_unit_test(series_have_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
