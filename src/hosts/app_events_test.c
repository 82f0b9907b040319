/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's application of events, WebSockets too. With an argument the thread that takes the events drives the host. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "hosts/app_kit.h"

/* ---- the application of events ---- */

struct task {
	int64_t left; /* of a stream */
	int is_echo, is_held, is_counting, has_last;
	int64_t counted;
};

static struct {
	hythe_host *host;
	pthread_t thread;
	int quit_fd;
	hythe_exchange *waits[8];
	struct task *wait_tasks[8];
	int wait_count;
} events;

static void task_end(hythe_exchange *x, struct task *t)
{
	free(t);
	hythe_exchange_own(x, NULL);
	hythe_exchange_release(x);
}

static void stream_on(hythe_exchange *x, struct task *t)
{
	size_t unsent = 0;

	while (t->left && unsent < WINDOW) {
		unsent = hythe_exchange_put(x, block, sizeof(block));
		t->left--;
		count(&seen.written, BLOCK);
	}
	if (t->left)
		return;
	hythe_exchange_finish(x);
	task_end(x, t);
	count(&seen.served, 1);
}

static void websocket_begin(hythe_exchange *x, struct task *t)
{
	struct hythe_bytes path = hythe_exchange_path(x);

	keep(seen.scheme, sizeof(seen.scheme), hythe_exchange_scheme(x));
	if (is(path, "/refuse")) {
		hythe_exchange_close(x, 1000, "");
		task_end(x, t);
		return;
	}
	(void)hythe_exchange_message(x, 1, "too early", 9);
	t->is_counting = is(path, "/count");
	hythe_exchange_accept(x, is(path, "/chat") ? "chat" : NULL, &plain, 1);
	hythe_exchange_want(x, 1);
}

static void request_begun(hythe_exchange *x, struct task *t)
{
	static const struct hythe_header exact = { { "content-length", 14 }, { "100000", 6 } };
	struct hythe_bytes path = hythe_exchange_path(x);

	hythe_exchange_own(x, t);
	if (hythe_exchange_is_websocket(x)) {
		websocket_begin(x, t);
	} else if (is(path, "/echo")) {
		t->is_echo = 1;
		hythe_exchange_start(x, 200, &plain, 1);
		hythe_exchange_want(x, 1000);
	} else if (is(path, "/stream")) {
		t->left = STREAM_BLOCKS;
		hythe_exchange_start(x, 200, &plain, 1);
		stream_on(x, t);
	} else if (is(path, "/exact")) {
		hythe_exchange_start(x, 200, &exact, 1);
		note(&seen.put, (int64_t)hythe_exchange_put(x, block, sizeof(block)) + 1);
		task_end(x, t);
	} else if (is(path, "/wait")) {
		events.wait_tasks[events.wait_count] = t;
		events.waits[events.wait_count++] = x;
		count(&seen.waiting, 1);
	} else if (is(path, "/release")) {
		task_end(x, t);
	} else {
		hythe_exchange_answer(x, 200, NULL, &plain, 1, "hello", 5);
		task_end(x, t);
	}
}

static void body_came(hythe_exchange *x, struct task *t, const struct hythe_event *e)
{
	size_t unsent = hythe_exchange_put(x, e->bytes.data, e->bytes.size);

	if (e->is_last) {
		hythe_exchange_finish(x);
		task_end(x, t);
	} else if (unsent >= WINDOW) {
		t->is_held = 1;
	} else {
		hythe_exchange_want(x, 50000);
	}
}

static void message_came(hythe_exchange *x, struct task *t, const struct hythe_event *e)
{
	char text[64];

	t->counted += (int64_t)e->bytes.size;
	note(&seen.counted, t->counted);
	if (is(e->bytes, "bye")) {
		hythe_exchange_close(x, 4001, "see you");
		(void)hythe_exchange_message(x, 1, "too late", 8);
		return;
	}
	if (is(e->bytes, "leave")) {
		hythe_exchange_close(x, 0, NULL);
		task_end(x, t);
		return;
	}
	if (is(e->bytes, "drop")) {
		task_end(x, t);
		return;
	}
	if (!t->is_counting) {
		(void)hythe_exchange_message(x, e->kind == HYTHE_EVENT_TEXT, e->bytes.data, e->bytes.size);
	} else if (e->kind == HYTHE_EVENT_TEXT) {
		snprintf(text, sizeof(text), "%lld", (long long)t->counted);
		(void)hythe_exchange_message(x, 1, text, strlen(text));
	}
	hythe_exchange_want(x, 1);
}

static void stop_came(void)
{
	for (int i = 0; i < events.wait_count; i++) {
		hythe_exchange_answer(events.waits[i], 200, NULL, &plain, 1, "waited", 6);
		task_end(events.waits[i], events.wait_tasks[i]);
	}
	events.wait_count = 0;
	count(&seen.stops, 1);
}

static void event_came(const struct hythe_event *e)
{
	hythe_exchange *x = e->exchange;
	struct task *t = e->owner;

	switch (e->kind) {
	case HYTHE_EVENT_REQUEST:
		request_begun(x, calloc(1, sizeof(*t)));
		break;
	case HYTHE_EVENT_BODY:
		body_came(x, t, e);
		break;
	case HYTHE_EVENT_WRITABLE:
		if (t->is_echo) {
			t->is_held = 0;
			hythe_exchange_want(x, 50000);
		} else if (t->left) {
			stream_on(x, t);
		}
		break;
	case HYTHE_EVENT_GONE:
		if (events.wait_count && events.waits[0] == x)
			events.wait_count = 0; /* one waits at a time in tests where it goes */
		task_end(x, t);
		count(&seen.gone, 1);
		break;
	case HYTHE_EVENT_TEXT:
	case HYTHE_EVENT_BYTES:
		message_came(x, t, e);
		break;
	case HYTHE_EVENT_CLOSED:
		keep(seen.reason, sizeof(seen.reason), e->bytes);
		note(&seen.code, e->code);
		task_end(x, t);
		count(&seen.closed, 1);
		break;
	case HYTHE_EVENT_STOP:
		stop_came();
		break;
	}
}

static void *events_main(void *argument)
{
	struct pollfd watched[2] = { { .fd = hythe_events_fd(events.host), .events = POLLIN },
				     { .fd = events.quit_fd, .events = POLLIN } };

	(void)argument;
	while (!(watched[1].revents & POLLIN)) {
		struct hythe_event e = { .size = sizeof(e) };

		(void)poll(watched, 2, -1);
		if (is_driven)
			(void)hythe_host_turn(events.host);
		while (hythe_events_next(events.host, &e))
			event_came(&e);
	}
	return NULL;
}

static hythe_host *start_events(void)
{
	static const struct hythe_app app = { .size = sizeof(app), .message_limit = MESSAGE_LIMIT };

	events.host = start(&app, 1);
	events.quit_fd = eventfd(0, EFD_CLOEXEC);
	events.wait_count = 0;
	assert_int_equal(pthread_create(&events.thread, NULL, events_main, NULL), 0);
	return events.host;
}

/* After this nobody takes events; the host may still have some. */
static void finish_events(void)
{
	uint64_t one = 1;

	hythe_host_stop(events.host);
	hythe_host_wait(events.host);
	assert_int_equal(await(&seen.stops, 1), 1);
	assert_int_equal(write(events.quit_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(events.thread, NULL);
	close(events.quit_fd);
	hythe_host_free(events.host);
}

static void events_carry_a_request_and_its_body(void **state)
{
	hythe_host *host = start_events();

	(void)state;
	assert_int_equal(get(host, "/"), 200);
	assert_string_equal(body_of(answer), "hello");
	assert_non_null(strstr(answer, "ontent-"));
	assert_int_equal(post(host, "/echo", 10), 200);
	assert_int_equal(chunks_size(), 10);
	assert_int_equal(get(host, "/release"), 0);
	finish_events();
}

/* Sends while it reads: neither side could go on otherwise. */
static void *send_body(void *argument)
{
	intptr_t ok = 1;

	for (int i = 0; i < 30 && ok; i++)
		ok = send_all(*(int *)argument, block, sizeof(block));
	return (void *)ok;
}

static void a_large_body_goes_through_and_back(void **state)
{
	hythe_host *host = start_events();
	int fd = ask_begin(host, "POST", "/echo", "Content-Length: 3000000\r\n");
	pthread_t sender;
	void *ok;
	size_t size;

	(void)state;
	assert_int_equal(pthread_create(&sender, NULL, send_body, &fd), 0);
	assert_int_equal(answer_read(fd, answer, sizeof(answer), &size), 200);
	pthread_join(sender, &ok);
	assert_non_null(ok);
	assert_int_equal(chunks_size(), 3000000);
	finish_events();
}

static void an_answer_that_is_complete_is_not_waited_for(void **state)
{
	hythe_host *host = start_events();

	(void)state;
	assert_int_equal(get(host, "/exact"), 200);
	assert_int_equal(await(&seen.put, 1), 1); /* its client may be faster than it is */
	assert_int_equal(strlen(body_of(answer)), 100000);
	finish_events();
}

static void writers_hear_when_they_may_go_on(void **state)
{
	hythe_host *host = start_events();
	int fd = ask_begin(host, "GET", "/stream", "");
	int64_t total = 0;
	ssize_t n;

	(void)state;
	while ((n = recv(fd, answer, sizeof(answer) / 4, MSG_WAITALL)) > 0) {
		assert_in_range(look(&seen.written) - total, 0, AHEAD_MOST);
		total += n;
	}
	close(fd);
	assert_true(total > (int64_t)STREAM_BLOCKS * BLOCK);
	assert_int_equal(await(&seen.served, 1), 1);
	finish_events();
}

static void clients_that_leave_are_told_of(void **state)
{
	hythe_host *host = start_events();
	int fd = ask_begin(host, "GET", "/stream", "");

	(void)state;
	assert_true(recv(fd, answer, 1000, 0) > 0);
	close(fd);
	assert_int_equal(await(&seen.gone, 1), 1);
	fd = ask_begin(host, "POST", "/echo", "Content-Length: 1000000\r\n");
	assert_true(send_text(fd, "some"));
	close(fd);
	assert_int_equal(await(&seen.gone, 2), 2);
	fd = ask_begin(host, "GET", "/wait", "");
	assert_int_equal(await(&seen.waiting, 1), 1);
	close(fd);
	assert_int_equal(await(&seen.gone, 3), 3);
	finish_events();
}

static void a_stop_is_an_event(void **state)
{
	hythe_host *host = start_events();
	int fd = ask_begin(host, "GET", "/wait", "");
	size_t size;

	(void)state;
	assert_int_equal(await(&seen.waiting, 1), 1);
	hythe_host_stop(host);
	assert_int_equal(answer_read(fd, answer, sizeof(answer), &size), 200);
	assert_string_equal(body_of(answer), "waited");
	finish_events();
}

/* A driven host is run here, until it has one. */
static int event_await(hythe_host *host, struct pollfd *p, struct hythe_event *e)
{
	do {
		if (poll(p, 1, PATIENCE_S * 1000) != 1)
			return 0;
		if (is_driven)
			(void)hythe_host_turn(host);
	} while (!hythe_events_next(host, e) && is_driven);
	return e->kind != 0;
}

static void what_was_never_answered_is_freed_with_the_host(void **state)
{
	static const struct hythe_app app = { .size = sizeof(app) };
	static const char *const none[][2] = { { "drain-timeout", "10ms" } };
	static const char *const addresses[] = { "127.0.0.1:0" };
	struct hythe_host_config config = { .size = sizeof(config),
					    .addresses = addresses,
					    .address_count = 1,
					    .settings = none,
					    .setting_count = 1,
					    .app = &app,
					    .is_driven = is_driven };
	struct hythe_event e = { .size = sizeof(e) };
	char why[HYTHE_ERROR_SIZE] = "";
	hythe_host *host = hythe_host_new(&config, why);
	struct pollfd p;
	int fd, other;

	(void)state;
	if (!host || !hythe_host_start(host, why))
		fail_msg("%s", why);
	fd = ask_begin(host, "GET", "/one", "");
	other = ask_begin(host, "GET", "/two", "");
	p = (struct pollfd){ .fd = hythe_events_fd(host), .events = POLLIN };
	assert_int_equal(event_await(host, &p, &e), 1);
	assert_int_equal(e.kind, HYTHE_EVENT_REQUEST);
	hythe_host_stop(host);
	if (is_driven)
		assert_int_equal(hythe_host_run(host), 1);
	hythe_host_wait(host);
	hythe_exchange_want(e.exchange, 1);
	hythe_exchange_start(e.exchange, 200, NULL, 0);
	assert_int_equal(hythe_exchange_put(e.exchange, "late", 4), WINDOW);
	hythe_host_free(host);
	close(fd);
	close(other);
}

/* ---- WebSockets ---- */

static int websocket_open(hythe_host *host, const char *path, const char *headers)
{
	char head[512];
	size_t size = 0;
	int fd = connect_to(host);

	snprintf(head, sizeof(head),
		 "GET %s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
		 "13\r\n"
		 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
		 path, headers);
	assert_true(fd >= 0 && send_text(fd, head));
	answer[0] = '\0';
	while (!strstr(answer, "\r\n\r\n") && recv(fd, answer + size, 1, 0) == 1)
		answer[++size] = '\0';
	return fd;
}

static int websocket_begin_at(hythe_host *host, const char *path)
{
	int fd = websocket_open(host, path, "");

	if (strncmp(answer, "HTTP/1.1 101 ", 13) != 0)
		fail_msg("no WebSocket: %s", answer);
	return fd;
}

/* `first` is the frame's first byte. */
static int frame_send(int fd, int first, const void *bytes, size_t size)
{
	static const unsigned char mask[4] = { 1, 2, 3, 4 };
	unsigned char *frame = malloc(size + 14), *at = frame;
	int ok;

	*at++ = (unsigned char)first;
	if (size < 126) {
		*at++ = (unsigned char)(0x80 | size);
	} else if (size < 65536) {
		*at++ = 0x80 | 126;
		*at++ = (unsigned char)(size >> 8);
		*at++ = (unsigned char)size;
	} else {
		*at++ = 0x80 | 127;
		for (int i = 7; i >= 0; i--)
			*at++ = (unsigned char)((uint64_t)size >> 8 * i);
	}
	memcpy(at, mask, 4);
	at += 4;
	for (size_t i = 0; i < size; i++)
		*at++ = (unsigned char)(((const unsigned char *)bytes)[i] ^ mask[i & 3]);
	ok = send_all(fd, frame, (size_t)(at - frame));
	free(frame);
	return ok;
}

/* The first byte of a frame, and its payload in `answer`; -1: the connection has ended. */
static int frame_read(int fd, size_t *ret_size)
{
	unsigned char head[10];
	size_t more, size = 0;

	if (recv(fd, head, 2, MSG_WAITALL) != 2)
		return -1;
	more = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
	if (more && recv(fd, head + 2, more, MSG_WAITALL) != (ssize_t)more)
		return -1;
	size = more ? 0 : head[1];
	for (size_t i = 0; i < more; i++)
		size = size << 8 | head[2 + i];
	assert_true(size < sizeof(answer));
	if (size && recv(fd, answer, size, MSG_WAITALL) != (ssize_t)size)
		return -1;
	answer[size] = '\0';
	*ret_size = size;
	return head[0];
}

static void assert_frame(int fd, int first, const char *text)
{
	size_t size;

	assert_int_equal(frame_read(fd, &size), first);
	assert_string_equal(answer, text);
	assert_int_equal(size, strlen(text));
}

static void assert_close_frame(int fd, int code, const char *reason)
{
	size_t size;

	assert_int_equal(frame_read(fd, &size), 0x88);
	assert_int_equal(size, 2 + strlen(reason));
	assert_int_equal((unsigned char)answer[0] << 8 | (unsigned char)answer[1], code);
	assert_string_equal(answer + 2, reason);
}

static void assert_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

static void a_websocket_is_accepted_with_its_subprotocol(void **state)
{
	hythe_host *host = start_events();
	int fd = websocket_open(host, "/chat", "Sec-WebSocket-Protocol: chat, other\r\n");

	(void)state;
	assert_int_equal(strncmp(answer, "HTTP/1.1 101 ", 13), 0);
	assert_non_null(strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	assert_non_null(strstr(answer, "sec-websocket-protocol: chat\r\n"));
	assert_string_equal(seen.scheme, "ws");
	assert_true(frame_send(fd, 0x81, "hi", 2));
	assert_frame(fd, 0x81, "hi");
	assert_true(frame_send(fd, 0x82, "\1\2", 2));
	assert_frame(fd, 0x82, "\1\2");
	assert_true(frame_send(fd, 0x01, "one ", 4) && frame_send(fd, 0x89, "p", 1) && frame_send(fd, 0x80, "two", 3));
	assert_frame(fd, 0x8a, "p");
	assert_frame(fd, 0x81, "one two");
	assert_true(frame_send(fd, 0x88, "\x0f\xa2why", 5));
	assert_close_frame(fd, 4002, "");
	assert_end(fd);
	assert_int_equal(await(&seen.closed, 1), 1);
	assert_int_equal(look(&seen.code), 4002);
	assert_string_equal(seen.reason, "why");
	finish_events();
}

static void a_websocket_can_be_refused(void **state)
{
	hythe_host *host = start_events();
	int fd = websocket_open(host, "/refuse", "");

	(void)state;
	assert_int_equal(strncmp(answer, "HTTP/1.1 403 ", 13), 0);
	close(fd);
	finish_events();
}

static void the_application_can_close(void **state)
{
	hythe_host *host = start_events();
	int fd = websocket_begin_at(host, "/");

	(void)state;
	assert_true(frame_send(fd, 0x81, "bye", 3));
	assert_close_frame(fd, 4001, "see you");
	assert_int_equal(look(&seen.closed), 0);
	assert_true(frame_send(fd, 0x88, "\x0f\xa1", 2));
	assert_end(fd);
	assert_int_equal(await(&seen.closed, 1), 1);
	assert_int_equal(look(&seen.code), 4001);

	/* Released at once: the client's own close is still waited for. */
	fd = websocket_begin_at(host, "/");
	assert_true(frame_send(fd, 0x81, "leave", 5));
	assert_close_frame(fd, 1000, "");
	assert_true(frame_send(fd, 0x81, "not read", 8));
	assert_true(frame_send(fd, 0x88, "", 0));
	assert_end(fd);

	/* Released without a close: cut off. */
	fd = websocket_begin_at(host, "/");
	assert_true(frame_send(fd, 0x81, "drop", 4));
	assert_true(recv(fd, answer, 1, 0) <= 0);
	close(fd);
	finish_events();
}

static void messages_that_break_the_rules_end_it(void **state)
{
	hythe_host *host = start_events();
	int fd = websocket_begin_at(host, "/");
	static char large[MESSAGE_LIMIT + 1];
	size_t size;

	(void)state;
	assert_true(frame_send(fd, 0x83, "?", 1));
	assert_close_frame(fd, 1002, "");
	assert_end(fd);
	assert_int_equal(await(&seen.closed, 1), 1);
	assert_int_equal(look(&seen.code), 1002);

	fd = websocket_begin_at(host, "/");
	assert_true(frame_send(fd, 0x81, "\xff", 1));
	assert_close_frame(fd, 1007, "");
	assert_end(fd);
	assert_int_equal(await(&seen.closed, 2), 2);

	fd = websocket_begin_at(host, "/");
	assert_true(frame_send(fd, 0x82, large, MESSAGE_LIMIT));
	assert_int_equal(frame_read(fd, &size), 0x82);
	assert_int_equal(size, MESSAGE_LIMIT);
	(void)frame_send(fd, 0x82, large, MESSAGE_LIMIT + 1);
	assert_close_frame(fd, 1009, "");
	close(fd);
	assert_int_equal(await(&seen.closed, 3), 3);
	assert_int_equal(look(&seen.code), 1009);
	finish_events();
}

static void messages_wait_until_they_are_wanted(void **state)
{
	hythe_host *host = start_events();
	int fd = websocket_begin_at(host, "/count");
	size_t size;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(frame_send(fd, 0x82, block, i % 2 ? 7000 : 3));
	for (int i = 0; i < 20; i++)
		assert_true(frame_send(fd, 0x82, block, sizeof(block)));
	assert_true(frame_send(fd, 0x81, "end", 3));
	assert_frame(fd, 0x81, "5501503");
	/* What was sent before an end without a close is read still. */
	assert_true(frame_send(fd, 0x81, "a", 1) && frame_send(fd, 0x81, "b", 1) && frame_send(fd, 0x81, "c", 1));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_frame(fd, 0x81, "5501504");
	assert_frame(fd, 0x81, "5501505");
	/* The answer to the last one goes out if the application is quicker than the end. */
	if (frame_read(fd, &size) >= 0) {
		assert_string_equal(answer, "5501506");
		assert_int_equal(frame_read(fd, &size), -1);
	}
	close(fd);
	assert_int_equal(await(&seen.closed, 1), 1);
	assert_int_equal(look(&seen.counted), 5501506);
	assert_int_equal(look(&seen.code), 1006);
	finish_events();
}

static void a_websocket_whose_client_is_gone_is_over(void **state)
{
	hythe_host *host = start_events();
	int fd = websocket_begin_at(host, "/");
	struct linger reset = { .l_onoff = 1 };
	int64_t over = 0;

	(void)state;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	over = await(&seen.gone, 1);
	assert_int_equal(over, 1);
	finish_events();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(events_carry_a_request_and_its_body, clear),
		cmocka_unit_test_setup(a_large_body_goes_through_and_back, clear),
		cmocka_unit_test_setup(an_answer_that_is_complete_is_not_waited_for, clear),
		cmocka_unit_test_setup(writers_hear_when_they_may_go_on, clear),
		cmocka_unit_test_setup(clients_that_leave_are_told_of, clear),
		cmocka_unit_test_setup(a_stop_is_an_event, clear),
		cmocka_unit_test_setup(what_was_never_answered_is_freed_with_the_host, clear),
		cmocka_unit_test_setup(a_websocket_is_accepted_with_its_subprotocol, clear),
		cmocka_unit_test_setup(a_websocket_can_be_refused, clear),
		cmocka_unit_test_setup(the_application_can_close, clear),
		cmocka_unit_test_setup(messages_that_break_the_rules_end_it, clear),
		cmocka_unit_test_setup(messages_wait_until_they_are_wanted, clear),
		cmocka_unit_test_setup(a_websocket_whose_client_is_gone_is_over, clear),
	};

	(void)argv;
	is_driven = argc > 1;
	memset(block, 'x', sizeof(block));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
