/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics/metrics.h"

static char *text_of(struct metrics *m, bool openmetrics)
{
	struct buffer out;
	char *text;

	buffer_init(&out, MIB(64));
	metrics_write(m, &out, openmetrics);
	assert_false(out.overflow);
	text = span_to_text(buffer_span(&out));
	buffer_done(&out);
	return text;
}

static void assert_has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no '%s' in:\n%s", line, text);
}

static void the_same_labels_give_the_same_series(void **state)
{
	struct metrics *m = metrics_new();
	struct span a[] = { SPAN("v2"), SPAN("200") }, b[] = { SPAN("v22"), SPAN("00") };
	struct metric_series *s = metrics_series(m, METRIC_REQUESTS_TOTAL, a, 2);

	(void)state;
	assert_ptr_equal(s, metrics_series(m, METRIC_REQUESTS_TOTAL, a, 2));
	assert_ptr_not_equal(s, metrics_series(m, METRIC_REQUESTS_TOTAL, b, 2));
	metric_add(s, 3);
	metrics_thread(m);
	metric_add(s, 4);
	assert_int_equal(metric_value(s), 7);
	metrics_free(m);
}

static void text_and_openmetrics_name_families_by_their_rules(void **state)
{
	struct metrics *m = metrics_new();
	struct span labels[] = { SPAN("v2"), SPAN("a\"b\\c\nd\xff") };
	char *text;

	(void)state;
	metric_add(metrics_series(m, METRIC_REQUESTS_TOTAL, labels, 2), 12);
	metric_move(metrics_series(m, METRIC_CONNECTIONS, NULL, 0), 5);
	metric_move(metrics_series(m, METRIC_CONNECTIONS, NULL, 0), -7);
	metric_add_double(metrics_series(m, METRIC_FEEDBACK_REWARD, labels, 1), 0.25);
	metric_add_double(metrics_series(m, METRIC_FEEDBACK_REWARD, labels, 1), 0.5);

	text = text_of(m, false);
	assert_has(text, "# TYPE hythe_requests_total counter\n"
			 "hythe_requests_total{surface=\"v2\",code=\"a\\\"b\\\\c\\nd?\"} 12\n");
	assert_has(text, "# TYPE hythe_connections gauge\nhythe_connections -2\n");
	assert_has(text, "hythe_model_feedback_reward_total{model=\"v2\"} 0.75\n");
	assert_has(text, "# TYPE hythe_build_info gauge\nhythe_build_info{version=\"");
	assert_null(strstr(text, "# EOF"));
	assert_null(strstr(text, "hythe_rejected_total")); /* no series, no family */
	free(text);

	text = text_of(m, true);
	assert_has(text, "# TYPE hythe_requests counter\nhythe_requests_total{");
	assert_has(text, "# TYPE hythe_build info\nhythe_build_info{version=\"");
	assert_has(text, "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total ");
	assert_string_equal(text + strlen(text) - 7, "\n# EOF\n");
	free(text);
	metrics_free(m);
}

static void openmetrics_families_have_names_of_their_own(void **state)
{
	size_t count;
	const struct metric_family *f = metrics_families(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct span a = span_of(f[i].name);

		if (strcmp(f[i].type, "counter") == 0) {
			assert_true(span_ends(a, SPAN("_total")));
			a.len -= 6;
		}
		for (size_t k = 0; k < count; k++)
			assert_true(k == i || !span_equal(a, span_of(f[k].name)));
	}
}

static void a_value_counts_in_the_first_bucket_whose_bound_it_does_not_pass(void **state)
{
	struct span label = SPAN("v2");
	struct metrics *m = metrics_new();
	struct metric_series *s = metrics_series(m, METRIC_REQUEST_SECONDS, &label, 1);
	static const int64_t values[] = {
		-5,         0,          9999,        10000,       10001,        20000,        50001,
		1000000000, 1000000001, 68719476735, 68719476737, 100000000000, 100000000001, INT64_MAX / 2
	};
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		metric_observe(s, values[i]);
	assert_int_equal(metric_value(s), ARRAY_LEN(values));
	text = text_of(m, false);
	assert_has(text, "_bucket{surface=\"v2\",le=\"1e-05\"} 4\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"2e-05\"} 6\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"5e-05\"} 6\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"0.0001\"} 7\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"1.0\"} 8\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"2.0\"} 9\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"50.0\"} 9\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"100.0\"} 12\n");
	assert_has(text, "_bucket{surface=\"v2\",le=\"+Inf\"} 14\n");
	assert_has(text, "_count{surface=\"v2\"} 14\n");
	free(text);
	metrics_free(m);
}

static void every_power_of_two_finds_its_bucket(void **state)
{
	static const double bounds[] = { 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6,  5e6,  1e7,  2e7,
					 5e7, 1e8, 2e8, 5e8, 1e9, 2e9, 5e9, 1e10, 2e10, 5e10, 1e11 };
	struct span label = SPAN("v2");

	(void)state;
	for (int bit = 0; bit < 62; bit++) {
		for (int64_t value = (INT64_C(1) << bit) - 1; value <= (INT64_C(1) << bit) + 1; value++) {
			struct metrics *m = metrics_new();
			struct metric_series *s = metrics_series(m, METRIC_REQUEST_SECONDS, &label, 1);
			unsigned expected = 0, below = 0;
			char *text, *at;

			while (expected < ARRAY_LEN(bounds) && (double)value > bounds[expected])
				expected++;
			metric_observe(s, value);
			text = text_of(m, false);
			for (at = text; (at = strstr(at, "\"} 0\n")); at++)
				below++;
			assert_int_equal(below, expected);
			free(text);
			metrics_free(m);
		}
	}
}

static void a_dropped_series_is_gone_and_comes_back_at_zero(void **state)
{
	struct metrics *m = metrics_new();
	struct span labels[] = { SPAN("iris"), SPAN("1") };
	struct metric_series *s, *again;
	char *text;

	(void)state;
	metrics_thread(m);
	for (unsigned round = 0; round < 1000; round++) {
		s = metrics_series(m, METRIC_MODEL_SECONDS, labels, 2);
		again = metrics_series(m, METRIC_MODEL_SECONDS, labels, 2);
		assert_int_equal(metric_value(s), 0);
		metric_observe(s, 5);
		metrics_series_drop(m, s);
		assert_int_equal(metric_value(again), 1); /* the second reference keeps it */
		metrics_series_drop(m, again);
	}
	text = text_of(m, false);
	assert_null(strstr(text, "iris"));
	free(text);
	metrics_series_drop(m, NULL);
	metrics_free(m);
}

static void labels_past_the_limit_count_as_other(void **state)
{
	struct metrics *m = metrics_new();
	struct metric_series *a, *b;
	char *text;

	(void)state;
	for (unsigned i = 0; i < METRICS_SERIES_MAX; i++) {
		char name[16];
		struct span label = { name, (size_t)snprintf(name, sizeof(name), "m%u", i) };

		metric_add(metrics_series(m, METRIC_FEEDBACK_TOTAL, &label, 1), i);
	}
	a = metrics_series(m, METRIC_REJECTED_TOTAL, &SPAN("late"), 1);
	b = metrics_series(m, METRIC_REJECTED_TOTAL, &SPAN("later"), 1);
	assert_ptr_equal(a, b);
	metric_add(a, 2);
	text = text_of(m, false);
	assert_has(text, "hythe_rejected_total{reason=\"other\"} 2\n");
	assert_has(text, "hythe_model_feedback_total{model=\"m77777\"} 77777\n");
	free(text);
	metrics_free(m);
}

struct counting {
	struct metrics *m;
	bool has_slot;
};

enum { ROUNDS = 20000, THREADS = 6 };

static void *count_much(void *context)
{
	struct counting *c = context;
	struct span labels[] = { SPAN("m"), SPAN("1") };
	struct metric_series *n = metrics_series(c->m, METRIC_MODEL_ROWS_TOTAL, labels, 2);
	struct metric_series *t = metrics_series(c->m, METRIC_MODEL_SECONDS, labels, 2);
	struct metric_series *d = metrics_series(c->m, METRIC_FEEDBACK_REWARD, labels, 1);

	if (c->has_slot)
		metrics_thread(c->m);
	for (unsigned i = 0; i < ROUNDS; i++) {
		metric_add(n, 2);
		metric_observe(t, i);
		metric_add_double(d, 0.5);
		if (i % 5000 == 0)
			free(text_of(c->m, i % 2));
	}
	return NULL;
}

static void sums_are_exact_whatever_thread_counted(void **state)
{
	struct metrics *m = metrics_new();
	struct span labels[] = { SPAN("m"), SPAN("1") };
	struct counting with = { m, true }, without = { m, false };
	pthread_t threads[THREADS];
	char *text;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_much, i % 2 ? &with : &without), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_value(metrics_series(m, METRIC_MODEL_ROWS_TOTAL, labels, 2)), THREADS * ROUNDS * 2);
	assert_int_equal(metric_value(metrics_series(m, METRIC_MODEL_SECONDS, labels, 2)), THREADS * ROUNDS);
	assert_int_equal(metric_sum_ns(metrics_series(m, METRIC_MODEL_SECONDS, labels, 2)),
			 (uint64_t)THREADS * ROUNDS * (ROUNDS - 1) / 2);
	text = text_of(m, false);
	assert_has(text, "hythe_model_feedback_reward_total{model=\"m\"} 60000.0\n");
	free(text);
	metrics_free(m);
}

static void *count_once(void *context)
{
	struct metrics *m = context;

	metrics_thread(m);
	metric_add(metrics_series(m, METRIC_SENT_BYTES_TOTAL, NULL, 0), 1);
	return NULL;
}

static void slots_of_ended_threads_are_used_again(void **state)
{
	struct metrics *m = metrics_new();

	(void)state;
	for (unsigned i = 0; i < 2 * METRICS_THREADS_MAX; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, count_once, m), 0);
		pthread_join(thread, NULL);
	}
	assert_int_equal(metric_value(metrics_series(m, METRIC_SENT_BYTES_TOTAL, NULL, 0)), 2 * METRICS_THREADS_MAX);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_labels_give_the_same_series),
		cmocka_unit_test(text_and_openmetrics_name_families_by_their_rules),
		cmocka_unit_test(openmetrics_families_have_names_of_their_own),
		cmocka_unit_test(a_value_counts_in_the_first_bucket_whose_bound_it_does_not_pass),
		cmocka_unit_test(every_power_of_two_finds_its_bucket),
		cmocka_unit_test(a_dropped_series_is_gone_and_comes_back_at_zero),
		cmocka_unit_test(labels_past_the_limit_count_as_other),
		cmocka_unit_test(sums_are_exact_whatever_thread_counted),
		cmocka_unit_test(slots_of_ended_threads_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
