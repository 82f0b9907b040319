/* SPDX-License-Identifier: Apache-2.0 */
/* Models under names: loading, watching, and snapshots seen by several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "inference/fake_server.h"
#include "loop/loop.h"

static struct metrics *registry;

static struct inference *new_inference(void)
{
	struct inference_config config = { .metrics = registry, .watch_ns = 1 };

	return inference_new(&config);
}

static int open_metrics(void **state)
{
	(void)state;
	registry = metrics_new();
	return 0;
}

static int close_metrics(void **state)
{
	(void)state;
	metrics_free(registry);
	buffer_done(&answer.body);
	buffer_done(&answer.parts);
	memset(&answer, 0, sizeof(answer));
	return models_alive == 0 ? 0 : -1;
}

static void write_file(const char *path, const char *text, int64_t age_s)
{
	struct timespec times[2];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= age_s;
	times[1] = times[0];
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

/* ---- names ---- */

static void take_name(const struct served *s, void *context)
{
	char *to = context;

	(void)snprintf(to + strlen(to), 200 - strlen(to), SPAN_FMT " ", SPAN_ARG(s->name));
}

static void names_come_from_files_and_are_checked(void **state)
{
	static const struct {
		const char *name, *path;
		enum error_code code;
	} rows[] = {
		{ NULL, "test:lr", ERROR_NONE },
		{ "", "test:dir/some model.v2.onnx", ERROR_NONE },
		{ NULL, "test:x/.hidden", ERROR_NONE },
		{ "a.b-c_1", "test:lr", ERROR_NONE },
		{ NULL, "test:x/lr", ERROR_ALREADY_EXISTS },
		{ "lr", "test:lr", ERROR_ALREADY_EXISTS },
		{ "a/b", "test:lr", ERROR_INVALID },
		{ "a b", "test:lr", ERROR_INVALID },
		{ "..", "test:lr", ERROR_INVALID },
		{ "caf\xc3\xa9", "test:lr", ERROR_INVALID },
		{ "gone", "/nonexistent/file", ERROR_NOT_FOUND },
	};
	struct inference *inf = new_inference();
	char names[200] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };

		assert_int_equal(inference_add(inf, rows[i].name, rows[i].path, &err), rows[i].code == ERROR_NONE);
		assert_int_equal(err.code, rows[i].code);
	}
	inference_each(inf, take_name, names);
	assert_string_equal(names, "lr some-model.v2 -hidden a.b-c_1 ");
	assert_int_equal(inference_count(inf), 4);
	inference_free(inf);
}

static void features_name_the_columns_of_models_that_know_none(void **state)
{
	static const char *const features[] = { "a", "b" };
	struct inference_config config = { .metrics = registry, .features = features, .feature_count = 2 };
	struct inference *inf = inference_new(&config);
	struct request *req = calloc(1, sizeof(*req));
	const struct served *s;
	struct error err = { 0 };

	(void)state;
	req->context = inf;
	assert_true(inference_add(inf, "reg", "test:reg", &err));
	assert_true(inference_add(inf, "lr", "test:lr", &err));
	s = served_find_named(req, SPAN("reg"), SPAN(""), &err);
	assert_int_equal(s->column_count, 2);
	assert_true(span_equal(s->columns[1], SPAN("b")));
	s = served_find_named(req, SPAN("lr"), SPAN(""), &err);
	assert_int_equal(s->column_count, 3); /* its own */
	free(req);
	inference_free(inf);

	config.feature_count = 1;
	inf = inference_new(&config);
	assert_false(inference_add(inf, "reg", "test:reg", &err));
	assert_non_null(strstr(err.message, "--features names 1 columns, but the model takes 2"));
	inference_free(inf);
}

/* ---- files ---- */

static void changed_files_are_loaded_again_and_bad_ones_leave_the_old_model(void **state)
{
	char path[] = "/tmp/hythe-test-XXXXXX";
	struct inference *inf = new_inference();
	struct request *req = calloc(1, sizeof(*req));
	struct error err = { 0 };
	const struct model *first, *second;

	(void)state;
	close(mkstemp(path));
	write_file(path, "good 1", 10);
	req->context = inf;
	assert_true(inference_add(inf, "m", path, &err));
	first = served_find(req, &err)->model;
	assert_false(inference_poll_files(inf)); /* nothing changed */

	write_file(path, "good 22", 0);
	assert_false(inference_poll_files(inf)); /* too fresh: perhaps still being written */
	write_file(path, "good 22", 5);
	assert_true(inference_poll_files(inf));
	second = served_find(req, &err)->model;
	assert_ptr_not_equal(second, first);

	write_file(path, "bad", 4);
	assert_false(inference_poll_files(inf));
	assert_ptr_equal(served_find(req, &err)->model, second);
	assert_false(inference_load(inf, SPAN("m"), &err));
	assert_non_null(strstr(err.message, "the old one goes on: line 1: it is not good"));
	assert_ptr_equal(served_find(req, &err)->model, second);

	unlink(path);
	assert_false(inference_poll_files(inf)); /* gone is not changed */
	assert_ptr_equal(served_find(req, &err)->model, second);

	assert_true(inference_unload(inf, SPAN("m"), &err));
	assert_null(served_find(req, &err));
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_false(inference_load(inf, SPAN("m"), &err)); /* no file */
	assert_null(served_find(req, &err));
	write_file(path, "good 3", 3);
	assert_false(inference_poll_files(inf)); /* unloaded stays unloaded */
	assert_true(inference_load(inf, SPAN("m"), &err));
	assert_non_null(served_find(req, &err));
	unlink(path);
	free(req);
	inference_free(inf);
}

static void a_thousand_loads_and_unloads_return_the_memory(void **state)
{
	enum { SLACK = 1000 };
	struct inference *inf = new_inference();
	struct error err = { 0 };
	size_t before = 0;

	(void)state;
	assert_true(inference_add(inf, "a", "test:lr", &err));
	assert_true(inference_add(inf, "b", "test:lr", &err));
	for (int i = 0; i < 1010; i++) {
		if (i == 10)
			before = mallinfo2().uordblks;
		assert_true(inference_unload(inf, SPAN("a"), &err));
		assert_true(inference_load(inf, SPAN("a"), &err));
		assert_true(inference_load(inf, SPAN("b"), &err));
	}
	/* A block may be some bytes larger than asked for: what a thousand loads lost would be far more. */
	assert_in_range(mallinfo2().uordblks + SLACK, before, before + 2 * (size_t)SLACK);
	assert_int_equal(models_alive, 2);
	inference_free(inf);
}

/* ---- threads ---- */

#define RELOADS 300

struct asker {
	struct loop *loop;
	struct inference *inf;
	struct timer timer;
	struct request *req;
	pthread_t thread;
	size_t asked;
	unsigned index;
};

static _Atomic bool is_over;
static _Atomic unsigned started;

/* What a handler does: finds a model, uses it. */
static void ask_once(struct timer *t)
{
	struct asker *a = CONTAINER_OF(t, struct asker, timer);
	struct error err = { 0 };

	for (int i = 0; i < 50; i++) {
		const struct served *s = served_find_named(a->req, SPAN("m"), SPAN(""), &err);
		double x[2] = { 1, (double)i };
		struct tensor in = {
			.name = SPAN("x"), .dtype = DTYPE_FP64, .rank = 2, .shape = { 1, 2 }, .count = 2, .data = x
		};
		struct call call = { .served = s, .inputs = &in, .input_count = 1 };

		ASSERT(s && call_run(a->req, &call, &err));
		ASSERT(*(double *)call.results[0].data == 1.0 + i);
		arena_clear(&a->req->arena);
		a->asked++;
	}
	if (is_over)
		loop_stop(a->loop);
	else
		loop_timer_set(a->loop, &a->timer, loop_now(a->loop) + 1, ask_once);
}

static void *asker_run(void *argument)
{
	struct asker *a = argument;

	inference_worker_started(a->inf, a->index, a->loop);
	started++;
	loop_timer_set(a->loop, &a->timer, 0, ask_once);
	loop_run(a->loop);
	return NULL;
}

static void offloaded(struct request *req, void *arg)
{
	struct error err = { 0 };
	size_t *count = arg;
	const struct served *s = served_find_named(req, SPAN("m"), SPAN(""), &err);

	ASSERT(s && s->info->input_count == 1);
	(*count)++;
}

/* A compute thread. */
static void *offloader_run(void *argument)
{
	struct asker *a = argument;

	started++;
	do {
		next_step = NULL;
		inference_offload(a->req, offloaded, &a->asked);
		ASSERT(next_step);
		next_step(a->req);
		arena_clear(&a->req->arena);
	} while (!is_over);
	return NULL;
}

static void loops_go_on_asking_while_models_change(void **state)
{
	struct inference *inf = new_inference();
	struct asker askers[3] = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_true(inference_add(inf, "m", "test:reg", &err));
	assert_true(inference_add(inf, "other", "test:reg", &err));
	for (unsigned i = 0; i < 3; i++) {
		struct asker *a = &askers[i];

		a->inf = inf;
		a->index = i;
		a->req = calloc(1, sizeof(*a->req));
		a->req->context = inf;
		arena_init(&a->req->arena, MIB(1));
		a->loop = i < 2 ? loop_new() : NULL;
		assert_int_equal(pthread_create(&a->thread, NULL, i < 2 ? asker_run : offloader_run, a), 0);
	}
	while (started < 3)
		sched_yield();
	for (int i = 0; i < RELOADS; i++) {
		assert_true(inference_load(inf, SPAN("m"), &err));
		/* Everybody has moved on, but for work offloaded at this moment. */
		assert_in_range(models_alive, 1, 4);
		if (i % 3 == 0)
			assert_true(inference_unload(inf, SPAN("other"), &err));
		if (i % 3 == 1)
			assert_true(inference_load(inf, SPAN("other"), &err));
	}
	is_over = true;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
		assert_true(askers[i].asked > 0);
	}
	inference_free(inf);
	for (int i = 0; i < 3; i++) {
		if (askers[i].loop)
			loop_free(askers[i].loop);
		arena_done(&askers[i].req->arena);
		free(askers[i].req);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_from_files_and_are_checked),
		cmocka_unit_test(features_name_the_columns_of_models_that_know_none),
		cmocka_unit_test(changed_files_are_loaded_again_and_bad_ones_leave_the_old_model),
		cmocka_unit_test(a_thousand_loads_and_unloads_return_the_memory),
		cmocka_unit_test(loops_go_on_asking_while_models_change),
	};

	/* "model reloaded" a few hundred times over says nothing */
	log_setup(LOG_WARN, LOG_AS_TEXT);
	return cmocka_run_group_tests(tests, open_metrics, close_metrics);
}
