/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/entries_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/place.h"

static void expect_where(int fd, const char *key)
{
	char body[128];

	ask(fd, "/where", body, sizeof(body));
	assert_string_equal(body, key);
}

/* A connection is looked at until its client has spoken, however late. */
static void patient(struct gateway_config *config)
{
	config->limits.sniff_ns = INT64_C(3600000000000);
}

/* ---- what a connection is ---- */

static void http_is_served_with_the_entry_that_it_came_in_by(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	int port = peer_port(p), fd;
	struct kit k;

	(void)state;
	kit_begin(&k, 2, patient);
	kit_plan(&k);
	kit_entry(&k, "auto", "127.0.0.1:0", kit_backend(&k, "a", SPEECH_AUTO, &port, 1));
	kit_entry(&k, "http", "127.0.0.1:0", kit_backend(&k, "b", SPEECH_HTTP1, &port, 1));
	kit_entry(&k, "table", "127.0.0.1:0", NULL);
	kit_publish(&k);
	for (int i = 0; i < 8; i++) { /* whichever worker has it */
		fd = client_of(kit_bound(&k, "auto", 1).port);
		expect_where(fd, "auto");
		expect_where(fd, "auto");
		close(fd);
		fd = client_of(kit_bound(&k, "http", 1).port);
		expect_where(fd, "http");
		close(fd);
		fd = client_of(kit_bound(&k, "table", 1).port);
		expect_where(fd, "table");
		close(fd);
	}
	assert_int_equal(peer_accepted(p), 0);
	kit_end(&k);
	peer_free(p);
}

static void a_request_in_pieces_is_http_all_the_same(void **state)
{
	const char *request = "GET /where HTTP/1.1\r\nHost: a\r\n\r\n";
	struct peer *p = peer_new(PEER_ECHO);
	char body[64];
	struct kit k;
	int fd;

	(void)state;
	kit_begin(&k, 1, patient);
	fd = client_of(kit_simple(&k, SPEECH_AUTO, peer_port(p)));
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &(int){ 1 }, sizeof(int)), 0);
	for (const char *at = request; *at; at++)
		assert_int_equal(send(fd, at, 1, MSG_NOSIGNAL), 1);
	ask(fd, NULL, body, sizeof(body));
	assert_string_equal(body, "a");
	close(fd);
	kit_end(&k);
	peer_free(p);
}

static void bytes_that_are_no_http_go_to_an_endpoint(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	struct kit k;
	int fd;

	(void)state;
	kit_begin(&k, 2, NULL);
	fd = client_of(kit_simple(&k, SPEECH_AUTO, peer_port(p)));
	say_text(fd, "PING\r\n");
	expect_text(fd, "PING\r\n");
	shutdown(fd, SHUT_WR);
	expect_text(fd, "|end");
	expect_end(fd);
	kit_end(&k);
	peer_free(p);
}

static void a_client_that_waits_for_the_other_side_to_speak_hears_it(void **state)
{
	struct peer *p = peer_new(PEER_GREET);
	struct kit k;
	int fd;

	(void)state;
	kit_begin(&k, 1, NULL);
	fd = client_of(kit_simple(&k, SPEECH_AUTO, peer_port(p)));
	expect_text(fd, "hello\n");
	say_text(fd, "EHLO a\r\n");
	expect_text(fd, "EHLO a\r\n");
	close(fd);
	kit_end(&k);
	peer_free(p);
}

static void a_client_that_goes_while_it_is_looked_at_leaves_nothing(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	struct kit k;
	int fd, port;

	(void)state;
	kit_begin(&k, 1, patient);
	port = kit_simple(&k, SPEECH_AUTO, peer_port(p));
	fd = client_of(port);
	say_text(fd, "GET /half");
	shutdown(fd, SHUT_WR); /* no more comes: what is there decides */
	expect_text(fd, "HTTP/1.1 400 ");
	close(fd);
	fd = client_of(port); /* stays until the end of all */
	say_text(fd, "GE");
	kit_end(&k);
	expect_reset(fd);
	peer_free(p);
}

/* ---- plans ---- */

static unsigned long inode_of_listener(struct kit *k, const char *key)
{
	size_t count;
	struct gateway_inherited *list = entries_sockets(k->entries, &count);
	unsigned long found = 0;
	struct stat st;

	for (size_t i = 0; i < count; i++) {
		if (!found && span_equal(list[i].key, span_of(key)) && fstat(list[i].fd, &st) == 0)
			found = st.st_ino;
		close(list[i].fd);
	}
	free(list);
	return found;
}

static void an_entry_keeps_its_sockets_over_plans(void **state)
{
	struct peer *first = peer_new(PEER_ECHO), *second = peer_new(PEER_GREET);
	unsigned long inode;
	struct kit k;
	int port, fd;

	(void)state;
	kit_begin(&k, 2, NULL);
	port = kit_simple(&k, SPEECH_BYTES, peer_port(first));
	inode = inode_of_listener(&k, "a");
	fd = client_of(port);
	say_text(fd, "x");
	expect_text(fd, "x");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(kit_simple(&k, SPEECH_BYTES, peer_port(second)), port);
		assert_int_equal(inode_of_listener(&k, "a"), inode);
	}
	say_text(fd, "y"); /* goes on with the endpoint it had */
	expect_text(fd, "y");
	close(fd);
	fd = client_of(port);
	expect_text(fd, "hello\n");
	close(fd);
	kit_end(&k);
	peer_free(first);
	peer_free(second);
}

static void an_entry_that_vanishes_refuses_and_its_connections_go_on(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	struct kit k;
	int port = peer_port(p), fd, http;

	(void)state;
	kit_begin(&k, 2, patient);
	kit_plan(&k);
	kit_entry(&k, "a", "127.0.0.1:0", kit_backend(&k, "service", SPEECH_AUTO, &port, 1))->wanted_port = free_port();
	kit_publish(&k);
	port = kit_bound(&k, "a", 1).port;
	fd = client_of(port);
	say_text(fd, "x\r\n");
	expect_text(fd, "x\r\n");
	http = client_of(port);
	expect_where(http, "a");
	kit_plan(&k);
	kit_publish(&k);
	assert_int_equal(client_of(port), -1);
	say_text(fd, "y");
	expect_text(fd, "y");
	expect_where(http, "gone");
	close(fd);
	close(http);
	/* And comes back, on the same address. */
	kit_plan(&k);
	kit_entry(&k, "b", "127.0.0.1:0", NULL)->wanted_port = port;
	kit_publish(&k);
	assert_int_equal(kit_bound(&k, "b", 1).port, port);
	fd = client_of(port);
	expect_where(fd, "b");
	close(fd);
	kit_end(&k);
	peer_free(p);
}

static void a_request_that_waits_in_the_queue_is_answered_when_its_entry_vanishes(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	char address[64];
	struct kit k;

	(void)state;
	kit_begin(&k, 2, NULL);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", free_port());
	for (int i = 0; i < 50; i++) {
		int fds[8], port = peer_port(p), asked = 0;
		char body[64];

		kit_plan(&k);
		kit_entry(&k, "a", address, kit_backend(&k, "service", SPEECH_HTTP1, &port, 1));
		kit_publish(&k);
		port = kit_bound(&k, "a", (unsigned)i + 1).port;
		for (; asked < 8; asked++) {
			fds[asked] = client_of(port);
			assert_true(fds[asked] >= 0);
			say_text(fds[asked], "GET /where HTTP/1.1\r\nHost: a\r\n\r\n");
		}
		kit_plan(&k);
		kit_publish(&k);
		while (asked--) {
			ask(fds[asked], NULL, body, sizeof(body)); /* "a" or "gone": it is answered */
			close(fds[asked]);
		}
	}
	kit_end(&k);
	peer_free(p);
}

/* ---- addresses that cannot be had ---- */

static void an_address_that_is_taken_is_told_and_nothing_else_suffers(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	char address[64];
	struct kit_told told;
	struct kit k;
	int fd;

	(void)state;
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", peer_port(p));
	kit_begin(&k, 2, NULL);
	kit_plan(&k);
	kit_entry(&k, "taken", address, NULL);
	kit_entry(&k, "bad", "300.0.0.1", NULL);
	kit_entry(&k, "good", "127.0.0.1:0", NULL);
	kit_publish(&k);
	told = kit_bound(&k, "taken", 1);
	assert_int_equal(told.port, 0);
	assert_int_equal(told.error.code, ERROR_ALREADY_EXISTS);
	assert_non_null(strstr(told.error.message, "is taken by another program"));
	assert_int_equal(kit_bound(&k, "bad", 1).error.code, ERROR_INVALID);
	fd = client_of(kit_bound(&k, "good", 1).port);
	expect_where(fd, "good");
	close(fd);

	/* The other program ends: the entry is had without a plan, by itself. */
	peer_free(p);
	told = kit_bound(&k, "taken", 2);
	assert_true(told.port > 0);
	do { /* the workers open it soon after */
		fd = client_of(told.port);
	} while (fd < 0);
	expect_where(fd, "taken");
	close(fd);
	kit_end(&k);
}

static void a_load_balancer_gets_the_port_it_wants_or_one_of_the_range(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	struct kit_told told;
	struct kit k;
	int wanted = free_port(), seen[3];

	(void)state;
	kit_begin(&k, 1, NULL);
	kit_plan(&k);
	kit_entry(&k, "wanted", "127.0.0.1:0", NULL)->wanted_port = wanted;
	kit_publish(&k);
	assert_int_equal(kit_bound(&k, "wanted", 1).port, wanted);
	kit_plan(&k);
	kit_entry(&k, "wanted", "127.0.0.1:0", NULL)->wanted_port = wanted;
	kit_entry(&k, "second", "127.0.0.1:0", NULL)->wanted_port = wanted;
	kit_entry(&k, "third", "127.0.0.1:0", NULL)->wanted_port = peer_port(p);
	kit_publish(&k);
	seen[0] = kit_bound(&k, "second", 1).port;
	seen[1] = kit_bound(&k, "third", 1).port;
	assert_true(seen[0] >= 18000 && seen[0] <= 18099 && seen[1] >= 18000 && seen[1] <= 18099);
	assert_int_not_equal(seen[0], seen[1]);
	told = kit_bound(&k, "wanted", 1);
	assert_int_equal(told.times, 1); /* what has not changed is not told again */
	kit_end(&k);
	peer_free(p);
}

static void narrow(struct gateway_config *config)
{
	int port = free_port();

	config->load_balancer_first = config->load_balancer_last = port;
}

static void a_range_that_is_used_up_is_told(void **state)
{
	struct kit_told told;
	struct kit k;

	(void)state;
	kit_begin(&k, 1, narrow);
	kit_plan(&k);
	kit_entry(&k, "one", "127.0.0.1:0", NULL)->wanted_port = k.config.load_balancer_first;
	kit_publish(&k);
	assert_int_equal(kit_bound(&k, "one", 1).port, k.config.load_balancer_first);
	kit_plan(&k);
	kit_entry(&k, "one", "127.0.0.1:0", NULL)->wanted_port = k.config.load_balancer_first;
	kit_entry(&k, "two", "127.0.0.1:0", NULL)->wanted_port = k.config.load_balancer_first;
	kit_publish(&k);
	told = kit_bound(&k, "two", 1);
	assert_int_equal(told.error.code, ERROR_EXHAUSTED);
	/* The first goes: the second gets its port once all workers have closed it. */
	kit_plan(&k);
	kit_entry(&k, "two", "127.0.0.1:0", NULL)->wanted_port = k.config.load_balancer_first;
	kit_publish(&k);
	assert_int_equal(kit_bound(&k, "two", 2).port, k.config.load_balancer_first);
	kit_end(&k);
}

/* In a process of its own: who it is does not come back. */
static int as_ordinary_user(void)
{
	struct kit_told told;
	struct kit k;

	if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		return 2;
	kit_begin(&k, 1, NULL);
	kit_plan(&k);
	kit_entry(&k, "low", "127.96.0.7:81", NULL);
	kit_publish(&k);
	told = kit_bound(&k, "low", 1);
	kit_end(&k);
	return told.error.code == ERROR_FORBIDDEN && strstr(told.error.message, "may not listen on ports under 1024")
		   ? 0
		   : 1;
}

static void an_ordinary_user_is_told_of_ports_that_are_not_for_him(void **state)
{
	char first[16] = "";
	int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC), status;
	pid_t child;

	(void)state;
	if (fd < 0 || read(fd, first, sizeof(first) - 1) <= 0 || strtol(first, NULL, 10) <= 81)
		skip(); /* every user may, on this machine */
	close(fd);
	child = fork();
	if (child == 0)
		_exit(as_ordinary_user());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- sockets of the process before ---- */

static struct gateway_inherited *inherited;
static size_t inherited_count;

static void inherit(struct gateway_config *config)
{
	config->inherited = inherited;
	config->inherited_count = inherited_count;
}

static void hand_over(unsigned workers_before, unsigned workers_after)
{
	struct kit before, after;
	unsigned long inode;
	int fds[32], port, wanted = free_port();
	char body[64];

	kit_begin(&before, workers_before, NULL);
	kit_plan(&before);
	kit_entry(&before, "a", "127.0.0.1:0", NULL)->wanted_port = wanted;
	kit_entry(&before, "unknown", "127.0.0.1:0", NULL);
	kit_publish(&before);
	port = kit_bound(&before, "a", 1).port;
	inode = inode_of_listener(&before, "a");
	inherited = entries_sockets(before.entries, &inherited_count);
	assert_int_equal(inherited_count, workers_before * 2);
	kit_end(&before); /* nobody accepts now, and the kernel still takes clients */
	for (int i = 0; i < 32; i++) {
		fds[i] = client_of(port);
		assert_true(fds[i] >= 0);
		say_text(fds[i], "GET /where HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	kit_begin(&after, workers_after, inherit);
	free(inherited);
	kit_plan(&after);
	kit_entry(&after, "a", "127.0.0.1:0", NULL)->wanted_port = free_port(); /* what it has is what it had */
	kit_publish(&after);
	assert_int_equal(kit_bound(&after, "a", 1).port, port);
	assert_int_equal(inode_of_listener(&after, "a"), inode);
	for (int i = 0; i < 32; i++) {
		ask(fds[i], NULL, body, sizeof(body));
		assert_string_equal(body, "a");
		close(fds[i]);
	}
	kit_end(&after);
}

static void sockets_go_over_to_another_gateway_with_who_waits_in_them(void **state)
{
	(void)state;
	hand_over(1, 1);
	hand_over(2, 2);
	hand_over(2, 1);
	hand_over(1, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ordinary_user_is_told_of_ports_that_are_not_for_him), /* first: it forks */
		cmocka_unit_test(http_is_served_with_the_entry_that_it_came_in_by),
		cmocka_unit_test(a_request_in_pieces_is_http_all_the_same),
		cmocka_unit_test(bytes_that_are_no_http_go_to_an_endpoint),
		cmocka_unit_test(a_client_that_waits_for_the_other_side_to_speak_hears_it),
		cmocka_unit_test(a_client_that_goes_while_it_is_looked_at_leaves_nothing),
		cmocka_unit_test(an_entry_keeps_its_sockets_over_plans),
		cmocka_unit_test(an_entry_that_vanishes_refuses_and_its_connections_go_on),
		cmocka_unit_test(a_request_that_waits_in_the_queue_is_answered_when_its_entry_vanishes),
		cmocka_unit_test(an_address_that_is_taken_is_told_and_nothing_else_suffers),
		cmocka_unit_test(a_load_balancer_gets_the_port_it_wants_or_one_of_the_range),
		cmocka_unit_test(a_range_that_is_used_up_is_told),
		cmocka_unit_test(sockets_go_over_to_another_gateway_with_who_waits_in_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
