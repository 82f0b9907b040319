/* SPDX-License-Identifier: Apache-2.0 */
/* https_test - calls to servers that say nothing, and by names that nobody finds: each ends in its time, and holds nobody up. */
#include "net/https.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"

enum { LONG_MS = 8000, SHORT_MS = 100 };

/* A name server that does not answer: libcurl's thread waits here. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
	void *found = dlsym(RTLD_NEXT, "getaddrinfo");

	memcpy(&real, &found, sizeof(real));
	if (strcmp(name, "nobody.test") == 0) {
		(void)poll(NULL, 0, LONG_MS);
		return EAI_AGAIN;
	}
	return real(name, service, hints, ret);
}

static bool has_no_descriptor;

/* None is left for a copy. */
int fcntl(int fd, int command, ...)
{
	va_list args;
	long argument;

	va_start(args, command);
	argument = va_arg(args, long);
	va_end(args);
	if (has_no_descriptor && command == F_DUPFD_CLOEXEC) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

/* Connections are made to it, and nobody takes them. */
static int silent_server(char *url, size_t size)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	(void)snprintf(url, size, "http://127.0.0.1:%d/", ntohs(at.sin_port));
	return fd;
}

struct ended {
	enum error_code code;
	unsigned times;
};

static void done(void *context, const struct https_answer *answer, const struct error *err)
{
	struct ended *e = context;

	assert_null(answer);
	e->code = err->code;
	e->times++;
}

static void call(struct https *h, const char *url, int64_t timeout_ms, struct ended *e)
{
	struct https_request r = { .url = span_of(url),
				   .may_be_plain = true,
				   .timeout_ns = timeout_ms * NS_PER_MS,
				   .done = done,
				   .context = e };
	struct error err = { 0 };

	assert_non_null(https_call(h, &r, &err));
}

static void nothing(struct timer *t)
{
	(void)t;
}

/* How long until it has ended: since `from`, which was before it began. */
static int64_t wait_for(struct loop *l, const struct ended *e, int64_t from)
{
	struct timer tick = { 0 };

	while (!e->times && clock_monotonic_ns() - from < 2 * LONG_MS * NS_PER_MS) {
		loop_timer_set(l, &tick, loop_now(l) + 10 * NS_PER_MS, nothing);
		loop_turn(l, true);
	}
	loop_timer_clear(l, &tick);
	return (clock_monotonic_ns() - from) / NS_PER_MS;
}

static void a_call_that_waits_for_its_turn_ends_in_its_time(void **state)
{
	struct ended first = { 0 }, second = { 0 };
	struct loop *l = loop_new();
	struct https_config config = { .loop = l, .calls_most = 1 };
	struct https *h = https_new(&config);
	char url[64];
	int server = silent_server(url, sizeof(url));
	int64_t from;

	(void)state;
	call(h, url, LONG_MS, &first);
	from = clock_monotonic_ns();
	call(h, url, SHORT_MS, &second);
	assert_in_range(wait_for(l, &second, from), SHORT_MS - 1, LONG_MS / 2);
	assert_int_equal(second.code, ERROR_TIMEOUT);
	assert_int_equal(first.times, 0);
	https_free(h);
	close(server);
	loop_free(l);
}

static void a_name_that_is_not_found_in_time_holds_nobody_up(void **state)
{
	struct ended e = { 0 };
	struct loop *l = loop_new();
	struct https_config config = { .loop = l };
	struct https *h = https_new(&config);
	int64_t from = clock_monotonic_ns();

	(void)state;
	call(h, "http://nobody.test/", SHORT_MS, &e);
	assert_in_range(wait_for(l, &e, from), SHORT_MS - 1, LONG_MS / 2);
	assert_int_equal(e.code, ERROR_TIMEOUT);
	https_free(h);
	loop_free(l);
}

static bool part(void *context, struct span bytes)
{
	(void)context, (void)bytes;
	return true;
}

static void a_call_that_cannot_be_heard_ends(void **state)
{
	struct ended e = { 0 };
	struct loop *l = loop_new();
	struct https_config config = { .loop = l };
	struct https *h = https_new(&config);
	char url[64];
	int server = silent_server(url, sizeof(url));
	struct https_request r = {
		.url = span_of(url), .may_be_plain = true, .part = part, .done = done, .context = &e
	};
	struct error err = { 0 };

	(void)state;
	has_no_descriptor = true;
	assert_non_null(https_call(h, &r, &err));
	assert_in_range(wait_for(l, &e, clock_monotonic_ns()), 0, LONG_MS / 2);
	has_no_descriptor = false;
	https_free(h);
	close(server);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_waits_for_its_turn_ends_in_its_time),
		cmocka_unit_test(a_call_that_cannot_be_heard_ends),
		cmocka_unit_test(a_name_that_is_not_found_in_time_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
