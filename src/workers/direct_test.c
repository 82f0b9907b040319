/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that the only worker serves itself: what becomes of them when it dies, hangs, is replaced or cannot answer. */
#include "workers/workers_kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- one connection, many requests ---- */

/* What of one answer has come is in `in`; the rest stays for the next call. */
static void answer_read(int fd, struct buffer *in, struct reply *r)
{
	const char *end, *length;
	size_t head, body;

	while (!in->len || !(end = memmem(in->ptr, in->len, "\r\n\r\n", 4)))
		if (!hear(fd, in))
			fail_msg("the connection ended: '%.*s'", (int)in->len, in->ptr);
	head = (size_t)(end - in->ptr) + 4;
	assert_true(head < sizeof(r->head));
	memcpy(r->head, in->ptr, head);
	r->head[head] = 0;
	r->status = (int)strtol(r->head + 9, NULL, 10);
	length = strcasestr(r->head, "\r\ncontent-length: ");
	assert_non_null(length);
	body = strtoul(length + 18, NULL, 10);
	while (in->len < head + body)
		assert_true(hear(fd, in));
	buffer_init(&r->body, MIB(64));
	buffer_append(&r->body, span_from(in->ptr + head, body));
	buffer_drop(in, head + body);
}

static void question(int fd, const char *line)
{
	bool is_last = strstr(line, "(last)") != NULL;
	char text[512];
	int len = snprintf(text, sizeof(text), "%.*s HTTP/1.1\r\nHost: a\r\n%s\r\n",
			   (int)(is_last ? strcspn(line, "(") - 1 : strlen(line)), line,
			   is_last ? "Connection: close\r\n" : "");

	say(fd, span_from(text, (size_t)len));
}

static pid_t answer(int fd, struct buffer *in, int status, const char *text)
{
	struct reply r;
	pid_t pid;

	answer_read(fd, in, &r);
	buffer_byte(&r.body, 0);
	if (r.status != status || !strstr(r.body.ptr, text))
		fail_msg("expected %d '%s', got %s%s", status, text, r.head, r.body.ptr);
	pid = (pid_t)strtol(r.body.ptr, NULL, 10);
	reply_done(&r);
	return pid;
}

static pid_t turn(int fd, struct buffer *in, const char *line, int status, const char *text)
{
	question(fd, line);
	return answer(fd, in, status, text);
}

static bool is_at_end(int fd, struct buffer *in)
{
	return !hear(fd, in) && in->len == 0;
}

struct line {
	struct front *front;
	struct buffer in;
	int fd;
};

static struct line line_new(const char *plan)
{
	struct line l = { .front = front_new(1) };

	if (plan)
		plan_write(l.front, plan);
	front_start(l.front);
	l.fd = dial(l.front);
	buffer_init(&l.in, MIB(64));
	return l;
}

static void line_done(struct line *l)
{
	close(l->fd);
	buffer_done(&l->in);
	front_stop(l->front);
}

/* ---- requests ---- */

static void each_request_is_counted_once_and_its_client_known(void **state)
{
	struct line l = line_new(NULL);
	int64_t before = metric(l.front, "hythe_requests_total{surface=\"workers\",code=\"201\"}");

	(void)state;
	assert_int_equal(before, -1);
	for (int i = 0; i < 10; i++)
		(void)turn(l.fd, &l.in, "GET /head?a=b", 201, "peer=127.0.0.1:");
	assert_int_equal(metric(l.front, "hythe_requests_total{surface=\"workers\",code=\"201\"}"), 10);
	assert_int_equal(metric(l.front, "hythe_request_duration_seconds_count{surface=\"workers\"}") >= 10, 1);
	/* That one and the one of this question. */
	UNTIL(metric(l.front, "hythe_connections") == 2);
	line_done(&l);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct line l = line_new(NULL);

	(void)state;
	SAY(l.fd,
	    "GET /about HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	    "GET /head HTTP/1.1\r\nHost: a\r\n\r\n");
	(void)answer(l.fd, &l.in, 200, "v1");
	(void)answer(l.fd, &l.in, 200, "hello");
	(void)answer(l.fd, &l.in, 201, "GET /head a");
	/* What came before the crash is answered, what came with it is told. */
	SAY(l.fd, "GET /about HTTP/1.1\r\nHost: a\r\n\r\nGET /crash HTTP/1.1\r\nHost: a\r\n\r\n");
	(void)answer(l.fd, &l.in, 200, "v1");
	(void)answer(l.fd, &l.in, 502, "was killed by signal 11");
	assert_true(is_at_end(l.fd, &l.in));
	line_done(&l);
}

static void what_only_the_front_knows_is_answered_between_two_requests(void **state)
{
	struct line l = line_new(NULL);
	pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1");

	(void)state;
	for (int i = 0; i < 3; i++) {
		(void)turn(l.fd, &l.in, "GET /metrics", 200, "test_gauge{version=\"v1\",worker=\"0\"} 1");
		(void)turn(l.fd, &l.in, "GET /v2/health/ready", 200, "true");
		assert_int_equal(turn(l.fd, &l.in, "GET /about", 200, "v1"), pid);
	}
	/* Both in one piece: the second comes along with the first. */
	SAY(l.fd, "GET /live HTTP/1.1\r\nHost: a\r\n\r\nGET /about HTTP/1.1\r\nHost: a\r\n\r\n");
	(void)answer(l.fd, &l.in, 200, "alive");
	assert_int_equal(answer(l.fd, &l.in, 200, "v1"), pid);
	SAY(l.fd, "GET /about HTTP/1.1\r\nHost: a\r\n\r\nGET /live HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(answer(l.fd, &l.in, 200, "v1"), pid);
	(void)answer(l.fd, &l.in, 200, "alive");
	line_done(&l);
}

static void health_is_answered_while_the_worker_is_busy(void **state)
{
	struct line l = line_new(NULL);

	(void)state;
	question(l.fd, "GET /hold");
	held_wait(l.front);
	expect(l.front, "GET /live", 200, "alive");
	expect(l.front, "GET /metrics", 200, "hythe_workers_ready 1");
	gate_open(l.front);
	(void)answer(l.fd, &l.in, 200, "v1");
	line_done(&l);
}

static void the_end_of_a_connection_reaches_both_sides(void **state)
{
	struct line l = line_new(NULL);
	struct linger none = { .l_onoff = 1 };
	int fd;

	(void)state;
	(void)turn(l.fd, &l.in, "GET /about (last)", 200, "v1");
	assert_true(is_at_end(l.fd, &l.in));
	fd = dial(l.front);
	(void)turn(fd, &l.in, "GET /about", 200, "v1");
	UNTIL(metric(l.front, "hythe_connections") == 2);
	close(fd);
	UNTIL(metric(l.front, "hythe_connections") == 1); /* the one that asks */
	fd = dial(l.front);
	(void)turn(fd, &l.in, "GET /about", 200, "v1");
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	close(fd); /* with a reset */
	UNTIL(metric(l.front, "hythe_connections") == 1);
	line_done(&l);
}

static void more_connections_than_can_be_passed_on_at_once_are_all_served(void **state)
{
	enum { COUNT = 600 };
	struct line l = line_new(NULL);
	static int fds[COUNT];

	(void)state;
	question(l.fd, "GET /hold");
	held_wait(l.front);
	for (int i = 0; i < COUNT; i++) {
		fds[i] = dial(l.front);
		question(fds[i], "GET /about (last)");
	}
	gate_open(l.front);
	for (int i = 0; i < COUNT; i++)
		expect_reply(fds[i], 200, "v1");
	(void)answer(l.fd, &l.in, 200, "v1");
	line_done(&l);
}

/* ---- a worker that dies ---- */

static void an_idle_connection_outlives_its_worker(void **state)
{
	struct line l = line_new(NULL);
	pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1"), next;

	(void)state;
	assert_int_equal(worker_pid(l.front), pid); /* which it has come to: that answer is behind it */
	assert_int_equal(kill(pid, SIGKILL), 0);
	next = turn(l.fd, &l.in, "GET /about", 200, "v1");
	assert_int_not_equal(next, pid);
	assert_int_equal(turn(l.fd, &l.in, "GET /about", 200, "v1"), next);
	line_done(&l);
}

static void a_request_that_is_not_whole_goes_to_the_next_worker(void **state)
{
	/* Cut in the head, behind it, and in the body. */
	static const char *const pieces[][2] = {
		{ "GET /abo", "ut HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ "POST /about HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "hello" },
		{ "POST /about HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", "llo" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct line l = line_new(NULL);
		pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1");

		assert_int_equal(worker_pid(l.front), pid);
		say(l.fd, span_of(pieces[i][0]));
		pause_ms(50); /* read by then, most likely: both are right */
		assert_int_equal(kill(pid, SIGKILL), 0);
		UNTIL(metric(l.front, "hythe_workers_ended_total{cause=\"signal\"}") == 1);
		say(l.fd, span_of(pieces[i][1]));
		assert_int_not_equal(answer(l.fd, &l.in, 200, "v1"), pid);
		line_done(&l);
	}
}

static void who_asked_what_was_read_and_not_kept_is_told(void **state)
{
	struct line l = line_new(NULL);
	pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1");

	(void)state;
	assert_int_equal(worker_pid(l.front), pid);
	SAY(l.fd, "POST /about HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
	pause_ms(50); /* kept by then, most likely: else there is nothing to be mistaken for the whole */
	SAY(l.fd, "(die)");
	(void)answer(l.fd, &l.in, 502, "was killed by signal 9");
	line_done(&l);
}

static void who_has_asked_is_told_in_the_form_of_the_protocol(void **state)
{
	struct line l = line_new(NULL);
	pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1");
	struct reply r;

	(void)state;
	SAY(l.fd,
	    "POST /api/v1.0/predictions HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nContent-Length: 5\r\n\r\nhello");
	held_wait(l.front);
	assert_int_equal(kill(pid, SIGKILL), 0);
	answer_read(l.fd, &l.in, &r);
	assert_int_equal(r.status, 502);
	assert_true(body_has(&r, "{\"status\":{\"code\":-1,\"info\":\"worker "));
	assert_true(body_has(&r, "was killed by signal 9"));
	assert_non_null(strcasestr(r.head, "\r\nconnection: close\r\n"));
	assert_true(is_at_end(l.fd, &l.in));
	reply_done(&r);
	line_done(&l);
}

static void a_half_answered_request_is_cut(void **state)
{
	struct line l = line_new("ok 2 asgi v1");
	pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1");

	(void)state;
	question(l.fd, "GET /quiet?n=7");
	while (!l.in.len || !memmem(l.in.ptr, l.in.len, "sssssss", 7))
		assert_true(hear(l.fd, &l.in));
	buffer_clear(&l.in);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (hear(l.fd, &l.in))
		;
	assert_null(l.in.len ? memmem(l.in.ptr, l.in.len, "0\r\n\r\n", 5) : NULL); /* no chunk that ends it */
	line_done(&l);
}

static void an_answer_that_the_end_would_make_whole_is_reset(void **state)
{
	struct line l = line_new("ok 2 asgi v1");
	pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1");
	char byte;

	(void)state;
	SAY(l.fd, "GET /quiet?n=7 HTTP/1.0\r\nHost: a\r\n\r\n");
	while (!l.in.len || !memmem(l.in.ptr, l.in.len, "sssssss", 7))
		assert_true(hear(l.fd, &l.in));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(recv(l.fd, &byte, 1, 0), -1);
	line_done(&l);
}

/* ---- workers that are replaced ---- */

struct keeping {
	const struct front *front;
	_Atomic bool is_over;
	_Atomic size_t good, bad;
	pthread_t threads[4];
};

static void *keeping_main(void *argument)
{
	struct keeping *k = argument;
	int fd = dial(k->front);
	struct buffer in;

	buffer_init(&in, MIB(1));
	while (!k->is_over) {
		struct reply r;

		/* In two pieces, as many clients do. */
		SAY(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
		SAY(fd, "12345");
		answer_read(fd, &in, &r);
		if (r.status == 200 && body_has(&r, "12345") && !strcasestr(r.head, "connection: close")) {
			k->good++;
		} else {
			k->bad++;
			close(fd);
			fd = dial(k->front);
			buffer_clear(&in);
		}
		reply_done(&r);
	}
	close(fd);
	buffer_done(&in);
	return NULL;
}

static void keeping_start(struct keeping *k, const struct front *f)
{
	*k = (struct keeping){ .front = f };
	for (size_t i = 0; i < ARRAY_LEN(k->threads); i++)
		assert_int_equal(pthread_create(&k->threads[i], NULL, keeping_main, k), 0);
}

static void keeping_stop(struct keeping *k)
{
	k->is_over = true;
	for (size_t i = 0; i < ARRAY_LEN(k->threads); i++)
		pthread_join(k->threads[i], NULL);
	assert_true(k->good > 0);
	assert_int_equal(k->bad, 0);
}

static void reloads_keep_connections(bool is_preloaded)
{
	struct front *f = front_new(1);
	struct keeping load;
	pid_t pid;

	f->config.is_preloaded = is_preloaded;
	front_start(f);
	keeping_start(&load, f);
	for (int i = 0; i < 10; i++) {
		size_t before = load.good;

		pid = worker_pid(f);
		workers_reload(f->workers);
		UNTIL(worker_pid(f) != pid && load.good > before + 20);
	}
	keeping_stop(&load);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"reload\"}") == 10);
	front_stop(f);
}

static void a_reload_under_load_keeps_every_connection(void **state)
{
	(void)state;
	reloads_keep_connections(false);
	reloads_keep_connections(true);
}

/* One that stands still is passed as many connections as its socket holds: for now nothing can be told it, not even to give them back. */
static void a_worker_whose_socket_is_full_gives_its_connections_back(void **state)
{
	enum { COUNT = 600 };
	struct front *f = front_new(1);
	static int fds[COUNT];
	struct buffer in;
	pid_t pid;

	(void)state;
	buffer_init(&in, MIB(1));
	f->config.graceful_timeout_ms = 10 * DEADLINE_MS; /* it is not waited for */
	front_start(f);
	pid = worker_pid(f);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	for (int i = 0; i < COUNT; i++) {
		fds[i] = dial(f);
		question(fds[i], "GET /about");
	}
	plan_write(f, "ok 1 component v2");
	workers_reload(f->workers);
	(void)answer(fds[COUNT - 1], &in, 200, "v2"); /* it waited here: the new one is ready, and the old one to go */
	assert_int_equal(kill(pid, SIGCONT), 0);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"reload\"}") == 1);
	for (int i = 0; i < COUNT; i++) {
		if (i < COUNT - 1)
			(void)answer(fds[i], &in, 200, "v");
		(void)turn(fds[i], &in, "GET /about", 200, "v2");
		close(fds[i]);
	}
	buffer_done(&in);
	front_stop(f);
}

static void a_worker_that_has_served_enough_gives_its_connections_back(void **state)
{
	struct front *f = front_new(1);
	struct keeping load;

	(void)state;
	f->config.max_requests = 50;
	f->config.max_requests_jitter = 10;
	front_start(f);
	keeping_start(&load, f);
	UNTIL(metric(f, "hythe_workers_ended_total{cause=\"requests\"}") >= 4);
	keeping_stop(&load);
	front_stop(f);
}

static void a_worker_that_is_told_to_end_gives_its_connections_back(void **state)
{
	struct line l = line_new(NULL);
	pid_t pid = turn(l.fd, &l.in, "GET /about", 200, "v1");

	(void)state;
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(kill(pid, SIGTERM), 0);
		UNTIL(metric(l.front, "hythe_workers_ended_total{cause=\"exit\"}") == i);
		pid = turn(l.fd, &l.in, "GET /about", 200, "v1");
	}
	line_done(&l);
}

static void killed_under_load_it_costs_only_what_it_had_begun(void **state)
{
	struct front *f = front_new(1);
	struct keeping load;

	(void)state;
	front_start(f);
	keeping_start(&load, f);
	for (int i = 1; i <= 4; i++) {
		size_t before = load.good;

		expect(f, "GET /crash", 502, "was killed by signal 11"); /* with one place, nothing else is begun */
		UNTIL(load.good > before + 20);
	}
	keeping_stop(&load);
	front_stop(f);
}

static void at_the_stop_idle_connections_are_closed_and_busy_ones_answered(void **state)
{
	struct line l = line_new("ok 2 component v1");
	int idle = dial(l.front);
	struct buffer in;

	(void)state;
	buffer_init(&in, MIB(1));
	(void)turn(idle, &in, "GET /about", 200, "v1");
	question(l.fd, "GET /hold");
	held_wait(l.front);
	server_drain(l.front->server);
	assert_true(is_at_end(idle, &in));
	gate_open(l.front);
	(void)answer(l.fd, &l.in, 200, "v1");
	assert_true(is_at_end(l.fd, &l.in));
	close(idle);
	buffer_done(&in);
	line_done(&l);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_is_counted_once_and_its_client_known),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(what_only_the_front_knows_is_answered_between_two_requests),
		cmocka_unit_test(health_is_answered_while_the_worker_is_busy),
		cmocka_unit_test(the_end_of_a_connection_reaches_both_sides),
		cmocka_unit_test(more_connections_than_can_be_passed_on_at_once_are_all_served),
		cmocka_unit_test(an_idle_connection_outlives_its_worker),
		cmocka_unit_test(a_request_that_is_not_whole_goes_to_the_next_worker),
		cmocka_unit_test(who_asked_what_was_read_and_not_kept_is_told),
		cmocka_unit_test(who_has_asked_is_told_in_the_form_of_the_protocol),
		cmocka_unit_test(a_half_answered_request_is_cut),
		cmocka_unit_test(an_answer_that_the_end_would_make_whole_is_reset),
		cmocka_unit_test(a_reload_under_load_keeps_every_connection),
		cmocka_unit_test(a_worker_whose_socket_is_full_gives_its_connections_back),
		cmocka_unit_test(a_worker_that_has_served_enough_gives_its_connections_back),
		cmocka_unit_test(a_worker_that_is_told_to_end_gives_its_connections_back),
		cmocka_unit_test(killed_under_load_it_costs_only_what_it_had_begun),
		cmocka_unit_test(at_the_stop_idle_connections_are_closed_and_busy_ones_answered),
	};

	return KIT_RUN(argc, argv, tests);
}
