/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_worker - a worker for workers_test: this server with handlers that misbehave as asked.
 *
 *	test_worker PLAN-FILE
 *
 * The file has words, read at the start: MODE SLOTS KIND VERSION. Modes: "ok"; "fail" says why it cannot; "stay" says so, and does not end; "silent" says
 * nothing; "die" ends. SIGTERM ends it when it has answered what it has. Handlers that wait write a byte to descriptor $TEST_HELD and read one from $TEST_GATE.
 * It is killed as soon as it has read a piece that ends with "(die)".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"
#include "loop/loop.h"
#include "net/direct.h"
#include "net/forwarded.h"
#include "net/server.h"

static char mode[16], kind[16], version[16];
static unsigned slots = 1;
static struct metrics *counters;

static int number_of(const char *name)
{
	const char *text = getenv(name);
	uint64_t value = 0;

	return text && number_parse_uint64(span_of(text), &value) ? (int)value : -1;
}

static bool plan_read(const char *path)
{
	struct buffer text;
	struct error err = { 0 };
	struct span rest, word;
	uint64_t number = 1;

	buffer_init(&text, KIB(4));
	if (!buffer_read_file(&text, path, &err))
		return false;
	rest = span_trim(buffer_span(&text));
	word = span_cut(&rest, ' ');
	(void)snprintf(mode, sizeof(mode), SPAN_FMT, SPAN_ARG(word));
	(void)number_parse_uint64(span_cut(&rest, ' '), &number);
	slots = (unsigned)number;
	word = span_cut(&rest, ' ');
	(void)snprintf(kind, sizeof(kind), SPAN_FMT, SPAN_ARG(word));
	(void)snprintf(version, sizeof(version), SPAN_FMT, SPAN_ARG(rest));
	buffer_done(&text);
	return true;
}

/* The C library's. */
ssize_t recv(int fd, void *to, size_t len, int flags)
{
	ssize_t n = syscall(SYS_recvfrom, fd, to, len, flags, NULL, NULL);

	if (n > 0 && span_ends(span_from(to, (size_t)n), SPAN("(die)")))
		(void)kill(getpid(), SIGKILL);
	return n;
}

/* ---- handlers ---- */

static void echo(struct request *req)
{
	buffer_append(&req->out, req->body);
	request_send(req, 200, SPAN("text/plain"));
}

static void about(struct request *req)
{
	buffer_print(&req->out, "%d %s", (int)getpid(), version);
	request_send(req, 200, SPAN("text/plain"));
}

/* What of the head came here. */
static void head(struct request *req)
{
	struct forwarded from = request_forwarded(req);

	buffer_print(&req->out, SPAN_FMT " " SPAN_FMT " " SPAN_FMT "\n", SPAN_ARG(req->method_text),
		     SPAN_ARG(req->target), SPAN_ARG(req->authority));
	buffer_print(&req->out, "id=%s scheme=" SPAN_FMT " version=" SPAN_FMT " peer=" SPAN_FMT "\n", req->id,
		     SPAN_ARG(from.scheme), SPAN_ARG(from.version), SPAN_ARG(from.peer));
	for (size_t i = 0; i < req->header_count; i++)
		buffer_print(&req->out, SPAN_FMT ": " SPAN_FMT "\n", SPAN_ARG(req->headers[i].name),
			     SPAN_ARG(req->headers[i].value));
	request_set_header(req, SPAN("x-answer"), SPAN("yes"));
	request_send(req, 201, SPAN("text/plain"));
}

static void wait_for_gate(void)
{
	char byte = 'h';
	ssize_t n;

	(void)!write(number_of("TEST_HELD"), &byte, 1);
	do
		n = read(number_of("TEST_GATE"), &byte, 1);
	while (n < 0 && errno == EINTR);
}

static void hold_step(struct request *req)
{
	wait_for_gate();
	about(req);
}

static void hold(struct request *req)
{
	request_offload(req, hold_step);
}

static void hang_step(struct request *req)
{
	(void)req;
	for (;;)
		pause();
}

static void hang(struct request *req)
{
	request_offload(req, hang_step);
}

static void crash_step(struct request *req)
{
	(void)req;
	(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer would report it */
	raise(SIGSEGV);
	pause();
}

static void crash(struct request *req)
{
	request_offload(req, crash_step);
}

static void leave(struct request *req)
{
	(void)req;
	_exit(3);
}

static void grow(struct request *req)
{
	static struct block {
		struct block *next;
		char bytes[MIB(64)];
	} * blocks; /* never freed, yet known, or a sanitizer would speak of it */
	struct block *b = base_alloc(sizeof(*b));

	for (size_t i = 0; i < sizeof(b->bytes); i += 4096)
		*(volatile char *)(b->bytes + i) = 1;
	b->next = blocks;
	blocks = b;
	about(req);
}

static void measure(struct request *req)
{
	metrics_write(counters, &req->out, false);
	buffer_print(&req->out, "# TYPE test_gauge gauge\ntest_gauge{version=\"%s\"} 1\n", version);
	request_send(req, 200, SPAN("text/plain; version=0.0.4"));
}

/* ---- streams ---- */

struct streaming {
	uint64_t left;
	bool is_broken; /* ends without an end */
	bool is_quiet;  /* does not end */
};

static void stream_go_on(struct request *req)
{
	struct streaming *s = request_owner(req);
	char block[8192];

	memset(block, 's', sizeof(block));
	/* Past the mark, so that `writable` comes. */
	while (s->left && request_unsent(req) <= REQUEST_UNSENT_LOW) {
		size_t n = MIN(s->left, sizeof(block));

		request_write(req, span_from(block, n));
		s->left -= n;
	}
	if (s->left)
		return;
	if (s->is_broken)
		request_cut(req);
	else if (!s->is_quiet)
		request_end(req, &(struct header){ SPAN("x-sum"), SPAN("42") }, 1);
}

static void stream_gone(struct request *req, const struct error *why)
{
	(void)req;
	(void)why;
}

static const struct request_flow stream_flow = { .writable = stream_go_on, .gone = stream_gone };

static void stream_start(struct request *req, bool is_broken, bool is_quiet)
{
	struct error err = { 0 };
	struct streaming *s = ARENA_NEW(&req->arena, struct streaming, &err);
	struct header type = { SPAN("content-type"), SPAN("text/plain") };
	struct span text;

	if (request_query(req, SPAN("n"), &text))
		(void)number_parse_uint64(text, &s->left);
	s->is_broken = is_broken;
	s->is_quiet = is_quiet;
	request_open(req, &stream_flow, s);
	request_head(req, 200, SPAN("Fine"), &type, 1);
	stream_go_on(req);
}

static void stream(struct request *req)
{
	stream_start(req, false, false);
}

static void broken(struct request *req)
{
	stream_start(req, true, false);
}

static void quiet(struct request *req)
{
	stream_start(req, false, true);
}

/* Bytes back as they come: uploads of any length, and tunnels. */
static void back_receive(struct request *req, struct span bytes, bool is_last)
{
	if (bytes.len)
		request_write(req, bytes);
	if (is_last)
		request_end(req, NULL, 0);
	else if (request_unsent(req) <= REQUEST_UNSENT_LOW)
		request_want(req, KIB(64));
}

static void back_writable(struct request *req)
{
	request_want(req, KIB(64));
}

static void back(struct request *req)
{
	static const struct request_flow flow = { back_receive, back_writable, stream_gone };

	request_open(req, &flow, NULL);
	request_head(req, 200, (struct span){ 0 }, NULL, 0);
	request_want(req, KIB(64));
}

#define ANY (METHOD_GET | METHOD_POST)

static const struct route table[] = {
	{ ANY, "/echo", echo, &surface_plain, ROUTE_HTTP },
	{ ANY, "/about", about, &surface_plain, ROUTE_HTTP },
	{ ANY, "/head", head, &surface_plain, ROUTE_HTTP },
	{ ANY, "/hold", hold, &surface_plain, ROUTE_HTTP },
	{ ANY, "/api/v1.0/predictions", hold, &surface_plain, ROUTE_HTTP },
	{ ANY, "/hang", hang, &surface_plain, ROUTE_HTTP },
	{ ANY, "/predict", hang, &surface_plain, ROUTE_HTTP },
	{ ANY, "/crash", crash, &surface_plain, ROUTE_HTTP },
	{ ANY, "/exit", leave, &surface_plain, ROUTE_HTTP },
	{ ANY, "/grow", grow, &surface_plain, ROUTE_HTTP },
	{ ANY, "/stream", stream, &surface_plain, ROUTE_HTTP },
	{ ANY, "/broken", broken, &surface_plain, ROUTE_HTTP },
	{ ANY, "/quiet", quiet, &surface_plain, ROUTE_HTTP },
	{ ANY, "/back", back, &surface_plain, ROUTE_STREAM },
	{ METHOD_GET, "/metrics", measure, &surface_plain, ROUTE_HTTP },
	{ METHOD_POST, "/test.Service/Echo", echo, &surface_plain, ROUTE_GRPC },
	{ METHOD_POST, "/test.Service/Crash", crash, &surface_plain, ROUTE_GRPC },
	{ 0 },
};

/* ---- life ---- */

static void report(int fd, const char *state)
{
	char line[256];
	int len = snprintf(
	    line, sizeof(line),
	    "{\"state\":\"%s\",\"kind\":\"%s\",\"slots\":%u,\"text\":\"test %s\",\"error\":\"TestError: plan\"}\n",
	    state, kind, slots, version);

	(void)!write(fd, line, (size_t)len);
}

/* On the loop. */
static struct release {
	struct loop_message message;
	struct server *server;
} release;

static void release_run(struct loop_message *m)
{
	(void)m;
	direct_release(release.server);
	server_drain(release.server);
}

/* What the code has started may keep a process that has failed. */
static int failed(void)
{
	while (strcmp(mode, "stay") == 0)
		pause();
	return 1;
}

static bool is_to_fail(void)
{
	return strcmp(mode, "fail") == 0 || strcmp(mode, "stay") == 0;
}

static int work(int channel, int control, int direct)
{
	static const struct route *const tables[] = { table, NULL };
	struct server_config config = {
		.routes = tables, .workers = 1, .compute_threads = slots, .limits = server_limits_default()
	};
	struct error err = { 0 };
	struct pollfd ends[2];
	struct server *s;
	sigset_t set;

	if (strcmp(mode, "die") == 0)
		return 4;
	if (is_to_fail()) {
		report(control, "failed");
		return failed();
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before there are threads */
	counters = metrics_new();
	config.metrics = counters;
	config.limits.body_bytes = MIB(64);
	s = server_new(&config, &err);
	if (!s || !server_start(s, &err)) {
		fprintf(stderr, "test_worker: %s\n", err.message);
		return 2;
	}
	ends[0] = (struct pollfd){ dup(channel), POLLRDHUP, 0 };
	ends[1] = (struct pollfd){ signalfd(-1, &set, SFD_CLOEXEC), POLLIN, 0 };
	if (direct >= 0)
		direct_take_from(s, direct);
	server_adopt(s, channel);
	if (strcmp(mode, "ok") == 0)
		report(control, "ready");
	while (poll(ends, 2, -1) < 0 && errno == EINTR)
		;
	release.server = s;
	release.message.run = release_run;
	loop_send(server_worker_loop(s, 0), &release.message);
	server_wait(s);
	server_free(s);
	metrics_free(counters);
	return 0;
}

static void tell(int fd, const char *format, int a, int b)
{
	char line[96];
	int len = snprintf(line, sizeof(line), format, a, b);

	(void)!send(fd, line, (size_t)len, MSG_NOSIGNAL);
}

/* False: the one in front is gone. */
static bool nursery_message(int fd, int signals)
{
	char byte, space[CMSG_SPACE(3 * sizeof(int))];
	struct iovec piece = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)
	};
	int fds[3] = { -1, -1, -1 };
	struct cmsghdr *c;
	pid_t pid;

	if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		return false;
	c = CMSG_FIRSTHDR(&message);
	memcpy(fds, CMSG_DATA(c), MIN(c->cmsg_len - CMSG_LEN(0), sizeof(fds)));
	pid = fork();
	if (pid == 0) {
		close(fd);
		close(signals);
		(void)setpgid(0, 0);
		exit(work(fds[0], fds[1], fds[2]));
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	tell(fd, "{\"pid\":%d}", (int)pid, 0);
	return true;
}

static int nursery(int fd)
{
	struct signalfd_siginfo info;
	struct pollfd polled[2];
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	polled[0] = (struct pollfd){ fd, POLLIN, 0 };
	polled[1] = (struct pollfd){ signalfd(-1, &set, SFD_CLOEXEC), POLLIN, 0 };
	if (is_to_fail()) {
		tell(fd, "{\"state\":\"failed\",\"error\":\"TestError: nursery\"}", 0, 0);
		return failed();
	}
	tell(fd, "{\"state\":\"loaded\"}", 0, 0);
	for (;;) {
		if (poll(polled, 2, -1) < 0)
			continue;
		if (polled[1].revents) {
			(void)!read(polled[1].fd, &info, sizeof(info));
			for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
				tell(fd, "{\"ended\":%d,\"status\":%d}", (int)pid, status);
		}
		if (polled[0].revents && !nursery_message(fd, polled[1].fd))
			return 0;
	}
}

int main(int argc, char **argv)
{
	int fd = number_of("HYTHE_NURSERY_FD");

	if (argc != 2 || !plan_read(argv[1]))
		return 2;
	if (fd >= 0)
		return nursery(fd);
	return work(number_of("HYTHE_CHANNEL_FD"), number_of("HYTHE_CONTROL_FD"), number_of("HYTHE_DIRECT_FD"));
}
