/* SPDX-License-Identifier: Apache-2.0 */
/* server_drain_test - how a server ends. */
#include "net/server_kit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Returns when the worker drains: nobody can connect any more. */
static void drain_begin(struct server *s)
{
	int late;

	server_drain(s);
	while ((late = connect_text(server_address(s, 0))) >= 0)
		close(late);
}

static void a_drain_answers_what_was_accepted_and_closes_the_rest(void **state)
{
	struct server *s = serve_default();
	struct buffer in;
	struct answer a;
	int idle = client(s), busy = client(s), late;

	(void)state;
	buffer_init(&in, MIB(1));
	SAY(idle, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(idle, 200, "");
	SAY(busy, "GET /hold HTTP/1.1\r\n" H "\r\n");
	sem_wait(&held);
	server_drain(s);
	server_drain(s);
	assert_true(server_is_draining(s));
	expect_closed(idle);
	late = connect_text(server_address(s, 0)); /* the listener is gone */
	assert_true(late < 0);
	sem_post(&gate);
	take_answer(busy, &in, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(has_line(&a, "\r\nConnection: close\r\n"));
	buffer_done(&a.body);
	buffer_done(&in);
	expect_closed(busy);
	server_wait(s);
	server_free(s);
}

/* It has been answered, and has the rest of its body to send: nothing more is waited for. */
static void a_drain_closes_what_was_answered_early_when_its_body_has_come(void **state)
{
	struct server *s = serve_default();
	int idle = client(s), early;

	(void)state;
	SAY(idle, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(idle, 200, "");
	early = client(s);
	SAY(early, "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n");
	expect(early, 404, NULL);
	server_drain(s);
	expect_closed(idle); /* the older one: all have been told */
	SAY(early, "hello");
	expect_closed(early);
	server_wait(s);
	server_free(s);
}

static void one_that_listens_late_refuses_clients_until_then(void **state)
{
	struct server_config config = config_default();
	struct error err = { 0 };
	struct server *s, *second;
	int fd;

	(void)state;
	config.listens_late = true;
	s = serve(&config);
	assert_true(connect_text(server_address(s, 0)) < 0);
	config.addresses = (const char *const[]){ server_address(s, 0) };
	second = serve(&config); /* bound alone it keeps nobody away */
	assert_true(server_listen(s, &err));
	while ((fd = connect_text(server_address(s, 0))) < 0)
		usleep(1000);
	close(fd);
	assert_false(server_listen(second, &err));
	assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
	server_drain(second);
	server_wait(second);
	server_free(second);
	server_drain(s);
	server_wait(s);
	server_free(s);
}

static void an_idle_connection_may_ask_once_more_where_there_is_a_grace(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	struct buffer in;
	struct answer a;
	int idle, silent;

	(void)state;
	config.idle_grace_ms = 60000;
	s = serve(&config);
	idle = client(s);
	buffer_init(&in, MIB(1));
	SAY(idle, "GET /echo HTTP/1.1\r\n" H "\r\n");
	take_answer(idle, &in, &a, false);
	assert_false(has_line(&a, "\r\nConnection: close\r\n"));
	buffer_done(&a.body);
	drain_begin(s);
	SAY(idle, "POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nmore");
	take_answer(idle, &in, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(has_line(&a, "\r\nConnection: close\r\n"));
	buffer_done(&a.body);
	expect_closed(idle);
	server_wait(s);
	server_free(s);

	config.idle_grace_ms = 200;
	s = serve(&config);
	silent = client(s);
	SAY(silent, "GET /echo HTTP/1.1\r\n" H "\r\n");
	take_answer(silent, &in, &a, false);
	buffer_done(&a.body);
	server_drain(s);
	expect_closed(silent);
	buffer_done(&in);
	server_wait(s);
	server_free(s);
}

/* Who was not told that an answer is the last asks once more, whatever was still to come of the request before. */
static void what_was_answered_early_may_ask_once_more_where_there_is_a_grace(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int fd;

	(void)state;
	config.idle_grace_ms = 60000;
	s = serve(&config);
	fd = client(s);
	SAY(fd, "POST /nowhere HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n");
	expect(fd, 404, NULL);
	drain_begin(s);
	SAY(fd, "helloPOST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nmore");
	expect(fd, 200, "more");
	expect_closed(fd);
	server_wait(s);
	server_free(s);
}

/* The grace has passed while it read: it is closed when it has read. */
static void a_slow_reader_is_closed_behind_its_answer(void **state)
{
	enum { SIZE = 20000000 };
	struct server_config config = config_default();
	struct server *s;
	struct buffer in;
	struct answer a;
	int fd;

	(void)state;
	config.idle_grace_ms = 100;
	s = serve(&config);
	fd = client(s);
	buffer_init(&in, MIB(32));
	SAY(fd, "GET /big?n=20000000 HTTP/1.1\r\n" H "\r\n");
	assert_true(hear(fd, &in));
	server_drain(s);
	usleep(500000);
	take_answer(fd, &in, &a, false);
	assert_int_equal(a.body.len, SIZE);
	buffer_done(&a.body);
	buffer_done(&in);
	expect_closed(fd);
	server_wait(s);
	server_free(s);
}

/* What the kernel has queued is the other one's: here nobody's, until the test accepts it. */
static void sockets_that_are_left_keep_who_waits_in_them(void **state)
{
	struct server_config config = config_default();
	struct server_socket *sockets;
	struct server *s, *next;
	char address[32];
	size_t count;
	int waiting;

	(void)state;
	config.workers = 1;
	s = serve(&config);
	sockets = server_sockets(s, &count);
	assert_int_equal(count, 1);
	assert_int_equal(sockets[0].address, 0);
	server_leave_sockets(s);
	(void)snprintf(address, sizeof(address), "%s", server_address(s, 0));
	server_drain(s);
	server_wait(s);
	waiting = connect_text(address);
	assert_true(waiting >= 0);
	SAY(waiting, "POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 4\r\n\r\nlate");
	(void)snprintf(address, sizeof(address), "fd:%d", sockets[0].fd);
	config.addresses = (const char *[]){ address };
	config.address_count = 1;
	config.workers = 2;
	next = serve(&config);
	assert_string_equal(server_address(next, 0), server_address(s, 0));
	expect(waiting, 200, "late");
	expect_closed(waiting);
	free(sockets);
	server_free(next);
	server_free(s);
}

static void a_drain_cuts_what_is_left_at_its_end(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	int half, busy;

	(void)state;
	config.limits.drain_timeout_ms = 50;
	s = serve(&config);
	half = client(s);
	busy = client(s);
	SAY(half, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhel");
	SAY(busy, "GET /hold HTTP/1.1\r\n" H "\r\n");
	sem_wait(&held);
	server_drain(s);
	expect_closed(half);
	expect_closed(busy);
	sem_post(&gate);
	server_wait(s);
	server_free(s);
}

struct hammer {
	const char *address;
	int answered;
};

/* Asks until the server says close; then counts what was asked and not answered: nothing may be. */
static void *hammer(void *argument)
{
	struct hammer *h = argument;
	struct buffer in;
	int fd = connect_text(h->address);

	assert_true(fd >= 0);
	sem_post(&held);
	buffer_init(&in, MIB(1));
	for (bool goes_on = true; goes_on; h->answered++) {
		struct answer a;

		SAY(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
		while (!in.len || !memmem(in.ptr, in.len, "\r\n\r\n", 4)) {
			if (!hear(fd, &in)) {
				/* Closed while idle: the request crossed the close on its way, as it may (RFC
				 * 9112 9.6). */
				assert_int_equal(in.len, 0);
				buffer_done(&in);
				close(fd);
				return NULL;
			}
		}
		take_answer(fd, &in, &a, false);
		assert_int_equal(a.status, 200);
		goes_on = !has_line(&a, "\r\nConnection: close\r\n");
		buffer_done(&a.body);
	}
	buffer_done(&in);
	expect_closed(fd);
	return NULL;
}

static void a_drain_under_load_ends_every_connection_in_order(void **state)
{
	enum { CLIENTS = 4 };

	(void)state;
	for (int round = 0; round < 5; round++) {
		struct server_config config = config_default();
		struct hammer hammers[CLIENTS];
		pthread_t threads[CLIENTS];
		struct server *s;
		int fd;

		config.workers = 2;
		s = serve(&config);
		for (int i = 0; i < CLIENTS; i++) {
			hammers[i] = (struct hammer){ .address = server_address(s, 0) };
			assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
		}
		fd = client(s);
		for (int i = 0; i < 50; i++) {
			SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
			expect(fd, 200, "");
		}
		close(fd);
		for (int i = 0; i < CLIENTS; i++)
			sem_wait(&held); /* connected */
		server_drain(s);
		for (int i = 0; i < CLIENTS; i++)
			pthread_join(threads[i], NULL);
		server_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drain_answers_what_was_accepted_and_closes_the_rest),
		cmocka_unit_test(a_drain_closes_what_was_answered_early_when_its_body_has_come),
		cmocka_unit_test(one_that_listens_late_refuses_clients_until_then),
		cmocka_unit_test(an_idle_connection_may_ask_once_more_where_there_is_a_grace),
		cmocka_unit_test(what_was_answered_early_may_ask_once_more_where_there_is_a_grace),
		cmocka_unit_test(a_slow_reader_is_closed_behind_its_answer),
		cmocka_unit_test(sockets_that_are_left_keep_who_waits_in_them),
		cmocka_unit_test(a_drain_cuts_what_is_left_at_its_end),
		cmocka_unit_test(a_drain_under_load_ends_every_connection_in_order),
	};

	return cmocka_run_group_tests(tests, gates_init, NULL);
}
