/* SPDX-License-Identifier: Apache-2.0 */
/* dial_test - sockets of the host, and those asked for at a pod's door: here a door of the test's own. */
#include "gateway/dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"

struct fixture {
	struct loop *loop;
	int listener, door;
	struct sockaddr_storage address;
	char folder[64];
	int asked[2]; /* at the door */
	bool gives;   /* the door a socket */
	struct watch door_watch;
	int done;
	int fd;
	struct error why;
};

static void door_asked(struct watch *w, unsigned events)
{
	struct fixture *f = CONTAINER_OF(w, struct fixture, door_watch);
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	int client = accept4(f->door, NULL, NULL, SOCK_CLOEXEC), fd;
	char status = 0;
	struct iovec iov = { &status, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	(void)events;
	assert_int_equal(recv(client, f->asked, sizeof(f->asked), 0), sizeof(f->asked));
	if (f->gives) {
		fd = socket(f->asked[0], f->asked[1] | SOCK_CLOEXEC, 0);
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
		assert_int_equal(sendmsg(client, &m, MSG_NOSIGNAL), 1);
		close(fd);
	}
	close(client);
}

/* To a port that is its own, whether it listens or not. */
static void bind_address(struct fixture *f)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&f->address;
	socklen_t len = sizeof(*in);

	*in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)in, sizeof(*in)), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)in, &len), 0);
}

static int set_up(void **state)
{
	struct fixture *f = base_calloc(1, sizeof(*f));
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	bind_address(f);
	assert_int_equal(listen(f->listener, 16), 0);
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/dial_test.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/door", f->folder);
	f->door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->door, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(f->door, 16), 0);
	f->gives = true;
	f->loop = loop_new();
	loop_watch(f->loop, &f->door_watch, f->door, LOOP_READ, door_asked);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char path[128];

	if (f->fd > 0)
		close(f->fd);
	loop_unwatch(f->loop, &f->door_watch);
	loop_free(f->loop);
	close(f->door);
	close(f->listener);
	(void)snprintf(path, sizeof(path), "%s/door", f->folder);
	(void)unlink(path);
	(void)rmdir(f->folder);
	free(f);
	return 0;
}

static void done(void *owner, int fd, const struct error *err)
{
	struct fixture *f = owner;

	assert_true((fd < 0) == (err != NULL));
	f->done++;
	f->fd = fd;
	if (err)
		f->why = *err;
}

static struct dial *begin(struct fixture *f, const char *sandbox, int type, int64_t ns)
{
	struct dial_config config = { .loop = f->loop,
				      .address = &f->address,
				      .sandbox = span_of(sandbox),
				      .type = type,
				      .done = done,
				      .owner = f };
	struct dial *d;

	loop_now_update(f->loop);
	config.until_ns = loop_now(f->loop) + ns;
	d = dial_begin(&config);
	assert_int_equal(f->done, 0); /* never from inside */
	return d;
}

static void dial(struct fixture *f, const char *sandbox, int type, int64_t ns)
{
	(void)begin(f, sandbox, type, ns);
	while (!f->done)
		loop_turn(f->loop, true);
	assert_int_equal(f->done, 1);
}

static void expect_connected(struct fixture *f)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	assert_true(f->fd >= 0);
	assert_int_equal(getpeername(f->fd, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(peer.sin_port, ((struct sockaddr_in *)&f->address)->sin_port);
	assert_int_equal(recv(f->fd, &len, 1, 0), -1); /* it does not block */
}

static void an_address_of_the_host_is_connected_to(void **state)
{
	dial(*state, "", SOCK_STREAM, 60 * NS_PER_S);
	expect_connected(*state);
}

static void a_pod_s_door_is_asked_for_the_socket(void **state)
{
	struct fixture *f = *state;

	dial(f, f->folder, SOCK_STREAM, 60 * NS_PER_S);
	expect_connected(f);
	assert_int_equal(f->asked[0], AF_INET);
	assert_int_equal(f->asked[1], SOCK_STREAM);
}

static void datagrams_are_had_the_same_way(void **state)
{
	struct fixture *f = *state;

	dial(f, f->folder, SOCK_DGRAM, 60 * NS_PER_S);
	expect_connected(f);
	assert_int_equal(f->asked[1], SOCK_DGRAM);
}

static void who_does_not_listen_is_unavailable(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	bind_address(f);
	dial(f, f->folder, SOCK_STREAM, 60 * NS_PER_S);
	assert_int_equal(f->why.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(f->why.message, "Connection refused"));
}

static void a_pod_that_is_not_there_or_gives_nothing_is_unavailable(void **state)
{
	struct fixture *f = *state;

	dial(f, "/tmp/no-such-pod", SOCK_STREAM, 60 * NS_PER_S);
	assert_int_equal(f->why.code, ERROR_UNAVAILABLE);
	f->done = 0;
	f->gives = false;
	dial(f, f->folder, SOCK_STREAM, 60 * NS_PER_S);
	assert_int_equal(f->why.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(f->why.message, "gives no socket"));
}

static void a_door_that_nobody_opens_is_waited_for_no_longer_than_the_limit(void **state)
{
	struct fixture *f = *state;

	loop_watch_change(f->loop, &f->door_watch, 0);
	dial(f, f->folder, SOCK_STREAM, 30 * NS_PER_MS);
	assert_int_equal(f->why.code, ERROR_TIMEOUT);
}

static void one_that_is_cancelled_says_nothing(void **state)
{
	struct fixture *f = *state;

	f->gives = false; /* who asked has gone */
	dial_cancel(begin(f, "", SOCK_STREAM, NS_PER_S));
	dial_cancel(begin(f, f->folder, SOCK_STREAM, NS_PER_S));
	dial_cancel(begin(f, "/tmp/no-such-pod", SOCK_STREAM, NS_PER_S));
	loop_turn(f->loop, false);
	assert_int_equal(f->done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_address_of_the_host_is_connected_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pod_s_door_is_asked_for_the_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(datagrams_are_had_the_same_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_listen_is_unavailable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pod_that_is_not_there_or_gives_nothing_is_unavailable, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_door_that_nobody_opens_is_waited_for_no_longer_than_the_limit, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(one_that_is_cancelled_says_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
