/* SPDX-License-Identifier: Apache-2.0 */
/* upgrade_test - both sides in one process: what goes over, and who is refused. Whole programs: tests/gateway/test_upgrade.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/upgrade_private.h"

struct place {
	char folder[64];
	size_t entries; /* sockets that are offered as such */
};

static int place_make(void **state)
{
	struct place *p = base_calloc(1, sizeof(*p));

	(void)snprintf(p->folder, sizeof(p->folder), "/tmp/upgrade-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	*state = p;
	return 0;
}

static int place_remove(void **state)
{
	struct place *p = *state;

	assert_int_equal(rmdir(p->folder), 0); /* nothing is left in it */
	free(p);
	return 0;
}

/* Its number of bytes tells which one it is. */
static int pipe_with(size_t bytes)
{
	static const char zeros[2048];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(bytes == 0 || write(pair[1], zeros, bytes) == (ssize_t)bytes);
	close(pair[1]);
	return pair[0];
}

static size_t bytes_of(int fd)
{
	char bytes[4096];
	size_t count = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		count += (size_t)n;
	close(fd);
	return count;
}

static void offer_all(void *context, struct upgrade_sockets *to)
{
	struct place *p = context;

	upgrade_add(to, "api", SPAN("127.0.0.1:1"), pipe_with(1001));
	upgrade_add(to, "gateway", SPAN("127.0.0.1:2"), pipe_with(1002));
	upgrade_add(to, "gateway", SPAN("127.0.0.1:2"), pipe_with(1003));
	for (size_t i = 0; i < p->entries; i++) {
		char key[64];

		(void)snprintf(key, sizeof(key), "tcp 127.96.0.7:%zu", i);
		upgrade_add(to, "entry", span_of(key), pipe_with(i));
	}
}

static size_t fd_bytes(const char *address)
{
	assert_memory_equal(address, "fd:", 3);
	return bytes_of((int)strtol(address + 3, NULL, 10));
}

static void sockets_go_over_with_their_keys(void **state)
{
	const char *wanted[] = { "127.0.0.1:3", "127.0.0.1:2" };
	struct place *p = *state;
	struct error err = { 0 };
	struct upgrade_offer *o;
	struct upgrade_addresses a;
	struct gateway_inherited *list;
	struct upgrade *u;
	size_t count;

	p->entries = 150; /* more than one packet holds */
	o = upgrade_listen(p->folder, offer_all, p, &err);
	assert_non_null(o);
	u = upgrade_join(p->folder, &err);
	assert_non_null(u);
	assert_int_equal(upgrade_pid(u), getpid());

	upgrade_addresses_init(&a, u, "gateway", &(struct text_list){ .items = wanted, .count = 2 });
	assert_int_equal(a.count, 3);
	assert_string_equal(a.items[0], "127.0.0.1:3"); /* nobody had it: to be bound */
	assert_int_equal(fd_bytes(a.items[1]), 1002);
	assert_int_equal(fd_bytes(a.items[2]), 1003);
	assert_string_equal(a.keys[1], "gateway 127.0.0.1:2");
	assert_string_equal(a.keys[2], "gateway 127.0.0.1:2");
	upgrade_addresses_done(&a);

	list = upgrade_take(u, "entry", &count);
	assert_int_equal(count, 150);
	for (size_t i = 0; i < count; i++) {
		char key[64];

		(void)snprintf(key, sizeof(key), "tcp 127.96.0.7:%zu", i);
		assert_true(span_equal(list[i].key, span_of(key)));
		assert_int_equal(bytes_of(list[i].fd), i);
	}
	free(list);
	list = upgrade_take(u, "entry", &count);
	assert_int_equal(count, 0); /* once */
	free(list);
	upgrade_free(u);

	/* It went without a word: the next one is served as the first was. */
	u = upgrade_join(p->folder, &err);
	assert_non_null(u);
	upgrade_free(u);
	assert_false(upgrade_ends(o));
	upgrade_close(o);
}

static void nobody_there_is_no_error(void **state)
{
	struct place *p = *state;
	struct error err = { 0 };
	struct upgrade_offer *o;
	struct upgrade_addresses a;
	const char *wanted[] = { "127.0.0.1:0" };
	size_t count;

	assert_null(upgrade_join(p->folder, &err));
	assert_int_equal(err.code, ERROR_NONE);
	upgrade_addresses_init(&a, NULL, "api", &(struct text_list){ .items = wanted, .count = 1 });
	assert_string_equal(a.items[0], "127.0.0.1:0");
	upgrade_addresses_done(&a);
	free(upgrade_take(NULL, "entry", &count));
	assert_int_equal(count, 0);

	/* One that was killed leaves its socket's file; the next one's takes its place. */
	o = upgrade_listen(p->folder, offer_all, p, &err);
	assert_non_null(o);
	upgrade_close(o);
	o = upgrade_listen(p->folder, offer_all, p, &err);
	assert_non_null(o);
	upgrade_close(o);
}

/* One that listens and is killed, or closes and lives, when the other one has come. */
static pid_t silent_one(const struct place *p, bool is_killed)
{
	struct sockaddr_un at;
	int folder = upgrade_address(p->folder, &at), fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork(); /* whoever listens is whom its peers see */
	if (pid == 0) {
		if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 1) != 0 ||
		    write(ready[1], "r", 1) != 1)
			_exit(1);
		close(accept(fd, NULL, NULL));
		if (is_killed)
			(void)kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	close(folder);
	close(fd);
	return pid;
}

static void one_that_ends_before_it_has_greeted_is_as_good_as_nobody(void **state)
{
	struct place *p = *state;

	for (int is_killed = 0; is_killed < 2; is_killed++) {
		pid_t pid = silent_one(p, is_killed);
		struct error err = { 0 };
		char path[128];

		assert_null(upgrade_join(p->folder, &err));
		assert_int_equal(err.code, is_killed ? ERROR_NONE : ERROR_UNAVAILABLE);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		(void)snprintf(path, sizeof(path), "%s/" UPGRADE_FILE, p->folder);
		assert_int_equal(unlink(path), 0);
	}
}

static void the_file_is_for_its_owner_alone(void **state)
{
	struct place *p = *state;
	struct error err = { 0 };
	struct upgrade_offer *o = upgrade_listen(p->folder, offer_all, p, &err);
	char path[128];
	struct stat st;

	assert_non_null(o);
	(void)snprintf(path, sizeof(path), "%s/" UPGRADE_FILE, p->folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	upgrade_close(o);
	assert_int_equal(stat(path, &st), -1);
}

static int reach(const struct place *p)
{
	struct sockaddr_un to;
	int at = upgrade_address(p->folder, &to), fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(at);
	return fd;
}

static void who_does_not_greet_gets_nothing(void **state)
{
	static const char *const greetings[] = { "hello", "hythe-upgrade 2", "give" };
	struct place *p = *state;
	struct error err = { 0 };
	struct upgrade_offer *o = upgrade_listen(p->folder, offer_all, p, &err);
	char text[64];

	assert_non_null(o);
	for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
		int fd = reach(p);

		assert_true(upgrade_send(fd, span_of(greetings[i]), NULL, 0));
		assert_int_equal(upgrade_receive(fd, text, sizeof(text), NULL, NULL), 0);
		close(fd);
	}
	assert_false(upgrade_ends(o));
	upgrade_close(o);
}

/* ---- the store ---- */

static void *taker(void *argument)
{
	int fd = *(int *)argument;
	char *text = base_alloc(UPGRADE_PACKET);
	int fds[UPGRADE_SOCKETS_AT_ONCE];
	size_t count;

	assert_true(upgrade_send(fd, SPAN(UPGRADE_GREETING), NULL, 0));
	assert_true(upgrade_receive(fd, text, UPGRADE_PACKET, NULL, NULL) > 0);
	assert_true(upgrade_receive(fd, text, UPGRADE_PACKET, fds, &count) > 0);
	assert_int_equal(count, 3);
	while (count)
		close(fds[--count]);
	assert_true(upgrade_send(fd, SPAN(UPGRADE_GIVE), NULL, 0));
	assert_true(upgrade_hears(fd, UPGRADE_FREE));
	free(text);
	return NULL;
}

static void who_takes_over_serves_or_does_not(void **state)
{
	struct place *p = *state;
	sigset_t set;
	int caught;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int serves = 0; serves < 2; serves++) {
		struct error err = { 0 };
		struct upgrade_offer *o = upgrade_listen(p->folder, offer_all, p, &err);
		pthread_t thread;
		int fd;

		assert_non_null(o);
		fd = reach(p);
		assert_int_equal(pthread_create(&thread, NULL, taker, &fd), 0);
		assert_int_equal(sigwait(&set, &caught), 0);
		assert_true(upgrade_ends(o));
		if (serves) /* before it is asked to: packets keep */
			assert_true(upgrade_send(fd, SPAN(UPGRADE_SERVES), NULL, 0));
		else
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		assert_int_equal(upgrade_give(o), serves);
		pthread_join(thread, NULL);
		close(fd);
		upgrade_close(o);
	}
}

/* "give" has been read there. */
static void give(int fd)
{
	char *text = base_alloc(UPGRADE_PACKET);
	int unread = 1;

	assert_true(upgrade_send(fd, SPAN(UPGRADE_GREETING), NULL, 0));
	assert_true(upgrade_receive(fd, text, UPGRADE_PACKET, NULL, NULL) > 0);
	assert_true(upgrade_receive(fd, text, UPGRADE_PACKET, NULL, NULL) > 0);
	assert_true(upgrade_send(fd, SPAN(UPGRADE_GIVE), NULL, 0));
	while (unread > 0) {
		(void)poll(NULL, 0, 1);
		assert_int_equal(ioctl(fd, SIOCOUTQ, &unread), 0);
	}
	free(text);
}

/* A second signal ends a process at once, and all that it has yet to answer. */
static void who_ends_by_itself_gets_no_signal_of_the_one_that_asks(void **state)
{
	const struct timespec now = { 0 };
	struct place *p = *state;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int is_late = 0; is_late < 2; is_late++) {
		struct error err = { 0 };
		struct upgrade_offer *o = upgrade_listen(p->folder, offer_all, p, &err);
		sigset_t pending;
		char text[8];
		int fd;

		assert_non_null(o);
		fd = reach(p);
		if (is_late)
			assert_false(upgrade_ends(o));
		give(fd);
		if (!is_late) {
			do
				assert_int_equal(sigpending(&pending), 0);
			while (!sigismember(&pending, SIGTERM));
			assert_true(upgrade_ends(o)); /* by somebody else's signal, which came before */
			assert_int_equal(sigtimedwait(&set, NULL, &now), -1);
		}
		upgrade_close(o);
		assert_int_equal(sigtimedwait(&set, NULL, &now), -1);
		assert_int_equal(upgrade_receive(fd, text, sizeof(text), NULL, NULL), 0); /* it has ended */
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sockets_go_over_with_their_keys, place_make, place_remove),
		cmocka_unit_test_setup_teardown(nobody_there_is_no_error, place_make, place_remove),
		cmocka_unit_test_setup_teardown(one_that_ends_before_it_has_greeted_is_as_good_as_nobody, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(the_file_is_for_its_owner_alone, place_make, place_remove),
		cmocka_unit_test_setup_teardown(who_does_not_greet_gets_nothing, place_make, place_remove),
		cmocka_unit_test_setup_teardown(who_takes_over_serves_or_does_not, place_make, place_remove),
		cmocka_unit_test_setup_teardown(who_ends_by_itself_gets_no_signal_of_the_one_that_asks, place_make,
						place_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
