/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/entries_kit.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"

static void wait_for_relays(struct kit *k, int64_t count)
{
	for (int64_t until = clock_monotonic_ns() + 60 * NS_PER_S; kit_relays(k) != count;) {
		assert_true(clock_monotonic_ns() < until);
		(void)poll(NULL, 0, 1);
	}
}

/* ---- TCP ---- */

static void an_end_of_one_direction_is_passed_on_as_that(void **state)
{
	struct peer *p = peer_new(PEER_ECHO);
	struct kit k;
	int fd;

	(void)state;
	kit_begin(&k, 2, NULL);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(p)));
	say_text(fd, "GET / HTTP/1.1\r\n\r\n"); /* whatever it looks like */
	expect_text(fd, "GET / HTTP/1.1\r\n\r\n");
	shutdown(fd, SHUT_WR);
	expect_text(fd, "|end");
	expect_end(fd);
	wait_for_relays(&k, 0);
	kit_end(&k);
	peer_free(p);
}

/* A client that stays when the endpoint has gone. */
static int client_left(struct kit *k, const struct peer *leaves)
{
	int fd = client_of(kit_simple(k, SPEECH_BYTES, peer_port(leaves)));
	bool is_reset;
	char byte;

	expect_text(fd, "bye\n");
	assert_int_equal(hear_bytes(fd, &byte, 1, &is_reset), 0);
	return fd;
}

static void who_stays_when_the_pod_is_gone_is_not_waited_for(void **state)
{
	struct in_addr here = { .s_addr = htonl(INADDR_LOOPBACK) },
		       elsewhere = { .s_addr = htonl(INADDR_LOOPBACK + 1) };
	struct peer *leaves = peer_new(PEER_LEAVE), *echo = peer_new(PEER_ECHO);
	int left, right;
	struct kit k;

	(void)state;
	kit_begin(&k, 2, NULL);
	right = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(echo)));
	say_text(right, "x");
	expect_text(right, "x");
	left = client_left(&k, leaves);
	kit_end_with_endpoints(&k, &elsewhere);
	assert_int_equal(kit_relays(&k), 2); /* who stays may say more, and is heard */
	kit_end_with_endpoints(&k, &here);
	wait_for_relays(&k, 1);
	close(left);
	left = client_left(&k, leaves);
	assert_int_equal(kit_relays(&k), 2);
	kit_end_with_endpoints(&k, NULL);
	wait_for_relays(&k, 1);
	say_text(right, "what still comes, comes over");
	expect_text(right, "what still comes, comes over");
	close(left);
	close(right);
	wait_for_relays(&k, 0);
	kit_end(&k);
	peer_free(leaves);
	peer_free(echo);
}

/* Nor by one that had no endpoint yet when the program began to end. */
static void who_came_last_is_not_waited_for_either(void **state)
{
	struct peer *leaves = peer_new(PEER_LEAVE);
	int fd, port = peer_port(leaves);
	struct kit k;

	(void)state;
	kit_begin(&k, 1, NULL);
	kit_plan(&k);
	kit_entry(&k, "a", "127.0.0.1:0", kit_backend(&k, "service", SPEECH_BYTES, NULL, 0));
	kit_publish(&k);
	fd = client_of(kit_bound(&k, "a", 1).port);
	wait_for_relays(&k, 1);
	kit_end_with_endpoints(&k, NULL);
	kit_plan(&k);
	kit_entry(&k, "a", "127.0.0.1:0", kit_backend(&k, "service", SPEECH_BYTES, &port, 1));
	kit_publish(&k);
	expect_text(fd, "bye\n");
	wait_for_relays(&k, 0);
	close(fd);
	kit_end(&k);
	peer_free(leaves);
}

static void a_reset_of_either_side_resets_the_other(void **state)
{
	struct linger at_once = { .l_onoff = 1 };
	struct peer *p = peer_new(PEER_RESET), *echo = peer_new(PEER_ECHO);
	struct kit k;
	int fd;

	(void)state;
	kit_begin(&k, 1, NULL);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(p)));
	say_text(fd, "x");
	expect_reset(fd);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(echo)));
	say_text(fd, "x");
	expect_text(fd, "x");
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
	wait_for_relays(&k, 0); /* the endpoint's conversation ends too, or peer_free() would wait for ever */
	peer_free(echo);
	kit_end(&k);
	peer_free(p);
}

static void many_bytes_wait_for_who_reads_slowly_and_none_is_lost(void **state)
{
	enum { PIECE = 1 << 16, PIECES = 512 }; /* 32 MiB: more than all sockets on the way hold */
	struct peer *p = peer_new(PEER_SWALLOW);
	static char bytes[PIECE];
	char expected[64], heard[64] = "";
	uint64_t sum = 0;
	struct kit k;
	bool is_reset;
	int fd;

	(void)state;
	kit_begin(&k, 1, NULL);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(p)));
	for (int i = 0; i < PIECES; i++) {
		for (int at = 0; at < PIECE; at++) {
			bytes[at] = (char)(at * 31 + i);
			sum += (unsigned char)bytes[at];
		}
		assert_int_equal(send(fd, bytes, PIECE, MSG_NOSIGNAL), PIECE);
	}
	shutdown(fd, SHUT_WR);
	(void)snprintf(expected, sizeof(expected), "%d %llu", PIECE * PIECES, (unsigned long long)sum);
	assert_int_equal(hear_bytes(fd, heard, sizeof(heard), &is_reset), strlen(expected));
	assert_string_equal(heard, expected);
	close(fd);
	kit_end(&k);
	peer_free(p);
}

static void who_does_not_read_is_not_sent_for_without_end(void **state)
{
	static char bytes[1 << 16];
	struct peer *p = peer_new(PEER_ECHO);
	size_t sent = 0, got = 0;
	struct kit k;
	bool is_reset;
	ssize_t n;
	int fd;

	(void)state;
	kit_begin(&k, 1, NULL);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(p)));
	do { /* the echo comes back, and nobody takes it: all stops */
		struct pollfd ready = { fd, POLLOUT, 0 };

		n = poll(&ready, 1, 1000) == 1 ? send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
		sent += n > 0 ? (size_t)n : 0;
		assert_true(sent < MIB(256));
	} while (n > 0);
	shutdown(fd, SHUT_WR);
	while ((n = (ssize_t)hear_bytes(fd, bytes, sizeof(bytes), &is_reset)) > 0)
		got += (size_t)n;
	assert_int_equal(got, sent + strlen("|end"));
	close(fd);
	kit_end(&k);
	peer_free(p);
}

/* An endpoint that has said all, and heard all, while its words wait here for the client. */
static void nothing_turns_round_while_who_reads_slowly_is_waited_for(void **state)
{
	static char bytes[KIB(32)];
	struct peer *p = peer_new(PEER_POUR);
	uint64_t most = 0;
	struct kit k;
	bool is_reset;
	int fd;

	(void)state;
	kit_begin(&k, 1, NULL);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(p)));
	shutdown(fd, SHUT_WR);
	for (size_t got = 0; got < PEER_POURS; got += sizeof(bytes)) {
		uint64_t turns = kit_turns(&k);

		assert_int_equal(hear_bytes(fd, bytes, sizeof(bytes), &is_reset), sizeof(bytes));
		(void)poll(NULL, 0, 2);
		most = MAX(most, kit_turns(&k) - turns);
	}
	expect_end(fd);
	assert_in_range(most, 0, 100);
	close(fd);
	kit_end(&k);
	peer_free(p);
}

static void an_endpoint_that_refuses_is_followed_by_another(void **state)
{
	struct peer *p = peer_new(PEER_GREET);
	int ports[2] = { free_port(), peer_port(p) };
	struct kit k;

	(void)state;
	kit_begin(&k, 1, NULL);
	kit_plan(&k);
	kit_entry(&k, "a", "127.0.0.1:0", kit_backend(&k, "service", SPEECH_BYTES, ports, 2));
	kit_publish(&k);
	for (int i = 0; i < 8; i++) {
		int fd = client_of(kit_bound(&k, "a", 1).port);

		expect_text(fd, "hello\n");
		close(fd);
	}
	kit_end(&k);
	peer_free(p);
}

static void a_client_waits_for_an_endpoint_and_gets_it(void **state)
{
	struct peer *p = peer_new(PEER_GREET);
	struct kit k;
	int fd, port;

	(void)state;
	kit_begin(&k, 1, NULL);
	kit_plan(&k);
	kit_entry(&k, "a", "127.0.0.1:0", kit_backend(&k, "service", SPEECH_BYTES, NULL, 0));
	kit_publish(&k);
	fd = client_of(kit_bound(&k, "a", 1).port);
	wait_for_relays(&k, 1);
	port = peer_port(p);
	kit_plan(&k);
	kit_entry(&k, "a", "127.0.0.1:0", kit_backend(&k, "service", SPEECH_BYTES, &port, 1));
	kit_publish(&k);
	expect_text(fd, "hello\n");
	close(fd);
	kit_end(&k);
	peer_free(p);
}

static void few(struct gateway_config *config)
{
	config->limits.relays_most = 2;
	config->limits.queue_ns = 500 * NS_PER_MS;
	config->limits.relay_idle_ns = 50 * NS_PER_MS;
}

static void a_client_without_an_endpoint_is_reset_in_time(void **state)
{
	struct kit k;
	int fd;

	(void)state;
	kit_begin(&k, 1, few);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, free_port())); /* three refusals */
	expect_reset(fd);
	kit_plan(&k);
	kit_entry(&k, "a", "127.0.0.1:0", kit_backend(&k, "service", SPEECH_BYTES, NULL, 0));
	kit_publish(&k);
	fd = client_of(kit_bound(&k, "a", 1).port); /* nobody at all */
	expect_reset(fd);
	kit_end(&k);
}

static void more_relays_than_may_be_are_reset(void **state)
{
	struct peer *p = peer_new(PEER_GREET);
	struct kit k;
	int fds[2], port;

	(void)state;
	kit_begin(&k, 1, few);
	port = kit_simple(&k, SPEECH_BYTES, peer_port(p));
	for (int i = 0; i < 2; i++) {
		fds[i] = client_of(port);
		expect_text(fds[i], "hello\n");
	}
	expect_reset(client_of(port));
	close(fds[0]);
	wait_for_relays(&k, 1);
	fds[0] = client_of(port);
	expect_text(fds[0], "hello\n");
	close(fds[0]);
	close(fds[1]);
	kit_end(&k);
	peer_free(p);
}

static void what_is_open_at_the_end_of_a_drain_is_reset(void **state)
{
	struct peer *p = peer_new(PEER_GREET);
	struct kit k;
	int fd;

	(void)state;
	kit_begin(&k, 2, NULL);
	fd = client_of(kit_simple(&k, SPEECH_BYTES, peer_port(p)));
	expect_text(fd, "hello\n");
	kit_end(&k);
	expect_reset(fd);
	peer_free(p);
}

/* ---- UDP ---- */

static int simple_udp(struct kit *k, const int *ports, size_t count)
{
	kit_plan(k);
	kit_entry(k, "u", "127.0.0.1:0", kit_backend(k, "service", SPEECH_BYTES, ports, count))->is_udp = true;
	kit_publish(k);
	return kit_bound(k, "u", 1).port;
}

/* Sends, again and again as with any datagram, and gives the port that the endpoint saw: the session's. */
static int udp_ask(int fd, const char *text)
{
	struct span rest = { 0 }, number = { 0 };
	char heard[2048] = "";
	uint64_t port;

	for (int64_t until = clock_monotonic_ns() + 60 * NS_PER_S; !span_equal(rest, span_of(text));) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_true(clock_monotonic_ns() < until);
		say_text(fd, text);
		if (poll(&p, 1, 200) != 1)
			continue;
		n = recv(fd, heard, sizeof(heard) - 1, 0);
		assert_true(n > 0);
		rest = (struct span){ heard, (size_t)n };
		number = span_cut(&rest, ' ');
	}
	assert_true(number_parse_uint64(number, &port));
	return (int)port;
}

static void datagrams_of_a_client_go_by_one_session_and_come_back(void **state)
{
	struct peer_udp *first = peer_udp_new(), *second = peer_udp_new();
	int ports[2] = { peer_udp_port(first), peer_udp_port(second) }, port, a, b, session;
	struct kit k;

	(void)state;
	kit_begin(&k, 2, NULL);
	port = simple_udp(&k, ports, 2);
	a = client_udp_of(port);
	b = client_udp_of(port);
	session = udp_ask(a, "one");
	assert_int_not_equal(udp_ask(b, "two"), session);
	for (int i = 0; i < 20; i++)
		assert_int_equal(udp_ask(a, "again"), session);
	assert_int_equal(kit_relays(&k), 2);
	close(a);
	close(b);
	kit_end(&k);
	peer_udp_free(first);
	peer_udp_free(second);
}

static void a_silent_session_ends_and_the_limit_is_kept(void **state)
{
	struct peer_udp *p = peer_udp_new();
	int fds[3], peer = peer_udp_port(p), port, session;
	struct kit k;

	(void)state;
	kit_begin(&k, 1, few);
	port = simple_udp(&k, &peer, 1);
	for (int i = 0; i < 3; i++)
		fds[i] = client_udp_of(port);
	session = udp_ask(fds[0], "a");
	(void)udp_ask(fds[1], "b");
	say_text(fds[2], "too many"); /* dropped while there are two */
	wait_for_relays(&k, 0);
	assert_true(udp_ask(fds[2], "now") > 0);
	assert_int_not_equal(udp_ask(fds[0], "new"), session);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	kit_end(&k);
	peer_udp_free(p);
}

static void a_session_to_nobody_ends_and_the_next_datagram_finds_another(void **state)
{
	struct peer_udp *gone = peer_udp_new(), *p = peer_udp_new();
	int dead = peer_udp_port(gone), port, fd;
	struct kit k;

	(void)state;
	peer_udp_free(gone);
	kit_begin(&k, 1, NULL);
	port = simple_udp(&k, &dead, 1);
	fd = client_udp_of(port);
	say_text(fd, "lost");
	wait_for_relays(&k, 0);
	dead = peer_udp_port(p);
	(void)simple_udp(&k, &dead, 1);
	assert_true(udp_ask(fd, "found") > 0);
	close(fd);
	kit_end(&k);
	peer_udp_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_of_one_direction_is_passed_on_as_that),
		cmocka_unit_test(who_stays_when_the_pod_is_gone_is_not_waited_for),
		cmocka_unit_test(who_came_last_is_not_waited_for_either),
		cmocka_unit_test(a_reset_of_either_side_resets_the_other),
		cmocka_unit_test(many_bytes_wait_for_who_reads_slowly_and_none_is_lost),
		cmocka_unit_test(who_does_not_read_is_not_sent_for_without_end),
		cmocka_unit_test(nothing_turns_round_while_who_reads_slowly_is_waited_for),
		cmocka_unit_test(an_endpoint_that_refuses_is_followed_by_another),
		cmocka_unit_test(a_client_waits_for_an_endpoint_and_gets_it),
		cmocka_unit_test(a_client_without_an_endpoint_is_reset_in_time),
		cmocka_unit_test(more_relays_than_may_be_are_reset),
		cmocka_unit_test(what_is_open_at_the_end_of_a_drain_is_reset),
		cmocka_unit_test(datagrams_of_a_client_go_by_one_session_and_come_back),
		cmocka_unit_test(a_silent_session_ends_and_the_limit_is_kept),
		cmocka_unit_test(a_session_to_nobody_ends_and_the_next_datagram_finds_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
