/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stranger's blocking application: nothing but hythe_app.h, and real requests over loopback. With an argument the hosts are driven: a
 * thread of the test's runs them.
 */
#include <pthread.h>

#include "hosts/app_kit.h"

/* ---- the blocking application ---- */

static int file_fd = -1;

static void serve_count(hythe_exchange *x)
{
	static _Thread_local char piece[30000];
	int64_t total = 0, n;
	char text[32];

	while ((n = hythe_exchange_read(x, piece, sizeof(piece))) > 0) {
		total += n;
		count(&seen.written, n);
	}
	note(&seen.read_end, n < 0 ? -1 : 1);
	count(&seen.served, 1);
	snprintf(text, sizeof(text), "%lld", (long long)total);
	hythe_exchange_answer(x, 200, NULL, &plain, 1, text, strlen(text));
}

static void serve_stream(hythe_exchange *x)
{
	(void)hythe_exchange_head(x, 200, "Flowing", &plain, 1);
	note(&seen.second_head, hythe_exchange_head(x, 500, NULL, NULL, 0) + 1);
	for (int i = 0; i < STREAM_BLOCKS; i++) {
		if (!hythe_exchange_write(x, block, sizeof(block))) {
			note(&seen.write_failed, 1);
			return;
		}
		count(&seen.written, BLOCK);
	}
	hythe_exchange_end(x);
	count(&seen.served, 1);
}

static void serve_question(hythe_exchange *x)
{
	const struct hythe_header *headers;
	size_t n = hythe_exchange_headers(x, &headers);

	keep(seen.path, sizeof(seen.path), hythe_exchange_path(x));
	keep(seen.query, sizeof(seen.query), hythe_exchange_query(x));
	keep(seen.scheme, sizeof(seen.scheme), hythe_exchange_scheme(x));
	keep(seen.peer, sizeof(seen.peer), hythe_exchange_peer(x));
	for (size_t i = 0; i < n; i++)
		if (is(headers[i].name, "x-mine"))
			keep(seen.header, sizeof(seen.header), headers[i].value);
	hythe_exchange_answer(x, 200, NULL, NULL, 0, "ok", 2);
}

/* Another thread of the application's answers, while the one that serves reads. */
static void *write_beside(void *argument)
{
	hythe_exchange *x = argument;

	assert_int_equal(hythe_exchange_write(x, "a", 1), 1);
	note(&seen.put, 1);
	(void)await(&seen.counted, 1);
	assert_int_equal(hythe_exchange_write(x, "b", 1), 1);
	return NULL;
}

static void serve_two(hythe_exchange *x)
{
	pthread_t other;
	char piece[16];

	(void)hythe_exchange_head(x, 200, NULL, &plain, 1);
	assert_int_equal(hythe_exchange_read(x, piece, 1), 1);
	assert_int_equal(pthread_create(&other, NULL, write_beside, x), 0);
	(void)await(&seen.put, 1);
	note(&seen.counted, hythe_exchange_read(x, piece, sizeof(piece)));
	pthread_join(other, NULL);
	note(&seen.written, 1);
	while (hythe_exchange_read(x, piece, sizeof(piece)) > 0)
		;
	hythe_exchange_end(x);
}

static void serve(void *context, hythe_exchange *x)
{
	struct hythe_bytes path = hythe_exchange_path(x);

	(void)context;
	if (is(path, "/count")) {
		serve_count(x);
	} else if (is(path, "/stream")) {
		serve_stream(x);
	} else if (is(path, "/file")) {
		(void)hythe_exchange_head(x, 200, NULL, &plain, 1);
		note(&seen.over_file, hythe_exchange_send_file(x, file_fd, 5, 200000));
		hythe_exchange_end(x);
	} else if (is(path, "/half")) {
		(void)hythe_exchange_head(x, 200, NULL, &plain, 1);
		(void)hythe_exchange_write(x, "half", 4);
	} else if (is(path, "/headless")) {
		(void)hythe_exchange_write(x, "lost", 4);
		hythe_exchange_answer(x, 103, NULL, NULL, 0, "interim", 7);
	} else if (is(path, "/wait")) {
		count(&seen.waiting, 1);
		(void)await(&seen.is_open, 1);
		hythe_exchange_answer(x, 200, NULL, &plain, 1, "waited", 6);
	} else if (is(path, "/two")) {
		serve_two(x);
	} else if (!is(path, "/silent")) {
		serve_question(x);
	}
}

static void serve_locked(void *context, hythe_exchange *x)
{
	assert_int_equal(holds_lock, is_driven);
	serve(context, x);
}

static hythe_host *start_blocking(unsigned threads)
{
	static const struct hythe_app app = { .size = sizeof(app), .serve = serve_locked };

	return start(&app, threads);
}

/* ---- blocking: bodies ---- */

static void a_question_is_told_as_it_was_asked(void **state)
{
	hythe_host *host = start_blocking(1);
	size_t size;

	(void)state;
	assert_int_equal(
	    answer_read(ask_begin(host, "GET", "/a%20b?c=d%26", "X-Mine: yes\r\n"), answer, sizeof(answer), &size),
	    200);
	assert_string_equal(body_of(answer), "ok");
	assert_string_equal(seen.path, "/a%20b");
	assert_string_equal(seen.query, "c=d%26");
	assert_string_equal(seen.scheme, "http");
	assert_string_equal(seen.header, "yes");
	assert_int_equal(strncmp(seen.peer, "127.0.0.1:", 10), 0);
	finish(host);
}

static void bodies_of_any_size_are_read_whole(void **state)
{
	static const size_t sizes[] = { 0, 1, 1000, WINDOW, WINDOW + 1, 5000000 };
	hythe_host *host = start_blocking(2);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char text[32];

		snprintf(text, sizeof(text), "%zu", sizes[i]);
		assert_int_equal(post(host, "/count", sizes[i]), 200);
		assert_string_equal(body_of(answer), text);
		assert_int_equal(look(&seen.read_end), 1);
	}
	finish(host);
}

static void chunks_are_read_without_their_framing(void **state)
{
	hythe_host *host = start_blocking(1);
	int fd = ask_begin(host, "POST", "/count", "Transfer-Encoding: chunked\r\n");
	size_t size;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(send_text(fd, "186a0\r\n"));
		assert_true(send_all(fd, block, sizeof(block)));
		assert_true(send_text(fd, "\r\n"));
	}
	assert_true(send_text(fd, "0\r\n\r\n"));
	assert_int_equal(answer_read(fd, answer, sizeof(answer), &size), 200);
	assert_non_null(strstr(answer, "300000"));
	finish(host);
}

static void a_client_that_leaves_ends_the_reading(void **state)
{
	hythe_host *host = start_blocking(1);
	int fd = ask_begin(host, "POST", "/count", "Content-Length: 1000000\r\n");

	(void)state;
	assert_true(send_text(fd, "some"));
	assert_int_equal(await(&seen.written, 4), 4); /* one that leaves earlier is not served */
	close(fd);
	assert_int_equal(await(&seen.served, 1), 1);
	assert_int_equal(look(&seen.read_end), -1);
	finish(host);
}

static void a_small_body_that_never_comes_whole_is_not_served(void **state)
{
	hythe_host *host = start_blocking(1);
	int fd = ask_begin(host, "POST", "/count", "Content-Length: 1000\r\n");

	(void)state;
	assert_true(send_text(fd, "some"));
	close(fd);
	assert_int_equal(post(host, "/count", 7), 200);
	assert_int_equal(look(&seen.served), 1);
	finish(host);
}

/* ---- blocking: answers ---- */

static void a_stream_waits_for_a_client_that_reads_slowly(void **state)
{
	hythe_host *host = start_blocking(1);
	int fd = ask_begin(host, "GET", "/stream", "");
	int64_t total = 0;
	ssize_t n;

	(void)state;
	memset(answer, 0, 64);
	while ((n = recv(fd, answer, sizeof(answer) / 4, MSG_WAITALL)) > 0) {
		if (total == 0)
			assert_int_equal(strncmp(answer, "HTTP/1.1 200 Flowing\r\n", 22), 0);
		assert_in_range(look(&seen.written) - total, 0, AHEAD_MOST);
		total += n;
	}
	close(fd);
	assert_true(total > (int64_t)STREAM_BLOCKS * BLOCK);
	assert_int_equal(look(&seen.second_head), 1);
	finish(host);
}

static void a_client_that_leaves_ends_the_writing(void **state)
{
	hythe_host *host = start_blocking(1);
	int fd = ask_begin(host, "GET", "/stream", "");

	(void)state;
	assert_true(recv(fd, answer, 1000, 0) > 0);
	close(fd);
	assert_int_equal(await(&seen.write_failed, 1), 1);
	finish(host);
}

static void an_application_that_says_nothing_is_answered_for(void **state)
{
	hythe_host *host = start_blocking(1);

	(void)state;
	assert_int_equal(get(host, "/silent"), 500);
	assert_string_equal(body_of(answer), "{\"error\":\"the application gave no answer\"}");
	assert_int_equal(get(host, "/half"), 200);
	assert_int_equal(chunks_size(), -1);
	assert_int_equal(get(host, "/headless"), 500);
	assert_null(strstr(answer, "lost"));
	assert_int_equal(get(host, "/else"), 200);
	finish(host);
}

static void a_part_of_a_file_is_sent(void **state)
{
	hythe_host *host = start_blocking(1);
	FILE *file = tmpfile();

	(void)state;
	assert_non_null(file);
	file_fd = fileno(file);
	for (int i = 0; i < 3; i++)
		assert_int_equal(write(file_fd, block, sizeof(block)), BLOCK);
	assert_int_equal(get(host, "/file"), 200);
	assert_int_equal(look(&seen.over_file), 1);
	assert_int_equal(chunks_size(), 200000);
	fclose(file);
	file_fd = -1;
	finish(host);
}

static void one_thread_reads_while_another_one_answers(void **state)
{
	hythe_host *host = start_blocking(1);
	int fd = ask_begin(host, "POST", "/two", "Transfer-Encoding: chunked\r\n");
	size_t size;

	(void)state;
	assert_true(send_text(fd, "5\r\nhello\r\n"));
	assert_int_equal(await(&seen.written, 1), 1);
	assert_true(send_text(fd, "0\r\n\r\n"));
	assert_int_equal(answer_read(fd, answer, sizeof(answer), &size), 200);
	assert_int_equal(chunks_size(), 2);
	finish(host);
}

static void *ask_often(void *argument)
{
	hythe_host *host = argument;
	char text[4096];
	intptr_t good = 0;

	for (int i = 0; i < 20; i++) {
		int fd = connect_to(host);
		size_t size;

		if (fd < 0)
			break;
		if (!send_text(
			fd, "POST /count HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"))
			close(fd);
		else if (answer_read(fd, text, sizeof(text), &size) == 200)
			good += strcmp(body_of(text), "5") == 0;
	}
	return (void *)good;
}

static void many_are_served_at_once(void **state)
{
	hythe_host *host = start_blocking(4);
	pthread_t threads[16];

	(void)state;
	for (int i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, host), 0);
	for (int i = 0; i < 16; i++) {
		void *good;

		pthread_join(threads[i], &good);
		assert_int_equal((intptr_t)good, 20);
	}
	finish(host);
}

static void a_stop_lets_those_under_way_be_answered(void **state)
{
	hythe_host *host = start_blocking(2);
	int one = ask_begin(host, "GET", "/wait", ""), two = ask_begin(host, "GET", "/wait", "");
	size_t size;

	(void)state;
	assert_true(await(&seen.waiting, is_driven ? 1 : 2) > 0);
	hythe_host_stop(host);
	assert_int_equal(hythe_host_wait_for(host, 0), 0);
	note(&seen.is_open, 1);
	assert_int_equal(answer_read(one, answer, sizeof(answer), &size), 200);
	assert_int_equal(answer_read(two, answer, sizeof(answer), &size), 200);
	assert_non_null(strstr(answer, "waited"));
	hythe_host_wait(host);
	finish(host);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_question_is_told_as_it_was_asked, clear),
		cmocka_unit_test_setup(bodies_of_any_size_are_read_whole, clear),
		cmocka_unit_test_setup(chunks_are_read_without_their_framing, clear),
		cmocka_unit_test_setup(a_client_that_leaves_ends_the_reading, clear),
		cmocka_unit_test_setup(a_small_body_that_never_comes_whole_is_not_served, clear),
		cmocka_unit_test_setup(a_stream_waits_for_a_client_that_reads_slowly, clear),
		cmocka_unit_test_setup(a_client_that_leaves_ends_the_writing, clear),
		cmocka_unit_test_setup(an_application_that_says_nothing_is_answered_for, clear),
		cmocka_unit_test_setup(a_part_of_a_file_is_sent, clear),
		cmocka_unit_test_setup(one_thread_reads_while_another_one_answers, clear),
		cmocka_unit_test_setup(many_are_served_at_once, clear),
		cmocka_unit_test_setup(a_stop_lets_those_under_way_be_answered, clear),
	};

	(void)argv;
	is_driven = argc > 1;
	memset(block, 'x', sizeof(block));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
