/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/workers_kit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

static const char *test_worker;

/* ---- a front with workers ---- */

void plan_write(const struct front *f, const char *text)
{
	char next[80];
	int fd;

	snprintf(next, sizeof(next), "%s.next", f->plan);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(rename(next, f->plan), 0);
}

struct front *front_new(unsigned count)
{
	struct front *f = calloc(1, sizeof(*f));

	snprintf(f->plan, sizeof(f->plan), "/tmp/hythe-workers-XXXXXX");
	close(mkstemp(f->plan));
	plan_write(f, "ok 1 component v1");
	assert_int_equal(pipe(f->held) | pipe(f->gate), 0);
	for (int i = 0; i < 2; i++) {
		fcntl(f->held[i], F_SETFD, i == 0 ? FD_CLOEXEC : 0);
		fcntl(f->gate[i], F_SETFD, i == 1 ? FD_CLOEXEC : 0);
	}
	snprintf(f->held_text, sizeof(f->held_text), "TEST_HELD=%d", f->held[1]);
	snprintf(f->gate_text, sizeof(f->gate_text), "TEST_GATE=%d", f->gate[0]);
	f->argv[0] = test_worker;
	f->argv[1] = f->plan;
	f->environment[0] = f->held_text;
	f->environment[1] = f->gate_text;
	f->metrics = metrics_new();
	f->config = (struct workers_config){
		.argv = f->argv,
		.environment = f->environment,
		.count = count,
		.timeout_ms = DEADLINE_MS,
		.start_timeout_ms = DEADLINE_MS,
		.graceful_timeout_ms = DEADLINE_MS,
		.queue_limit = 1000,
		.is_direct = true,
		.metrics = f->metrics,
	};
	return f;
}

void front_try(struct front *f)
{
	static const struct route *const routes[] = { workers_routes, NULL };
	static const char *const addresses[] = { "127.0.0.1:0" };
	struct server_config config = {
		.addresses = addresses,
		.address_count = 1,
		.routes = routes,
		.workers = 1,
		.compute_threads = 1,
		.limits = server_limits_default(),
		.metrics = f->metrics,
		.worker_started = workers_loop_started,
		.offer = f->config.is_direct ? workers_offer : NULL,
		.loans_due = workers_loans_due,
	};

	config.context = f->workers = workers_new(&f->config);
	f->server = server_new(&config, &f->failure);
	if (!f->server || !server_start(f->server, &f->failure))
		fail_msg("%s", f->failure.message);
	f->has_come_up = workers_start(f->workers, NULL, &f->failure);
}

void front_start(struct front *f)
{
	front_try(f);
	if (!f->has_come_up)
		fail_msg("%s", f->failure.message);
}

void front_stop(struct front *f)
{
	server_drain(f->server);
	server_wait(f->server);
	workers_stop(f->workers);
	server_free(f->server);
	workers_free(f->workers);
	metrics_free(f->metrics);
	(void)unlink(f->plan);
	for (int i = 0; i < 2; i++) {
		close(f->held[i]);
		close(f->gate[i]);
	}
	free(f);
}

void gate_open(const struct front *f)
{
	assert_int_equal(write(f->gate[1], "g", 1), 1);
}

void held_wait(const struct front *f)
{
	struct pollfd p = { f->held[0], POLLIN, 0 };
	char byte;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(f->held[0], &byte, 1), 1);
}

/* ---- clients ---- */

int dial(const struct front *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *address = server_address(f->server, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

void say(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

		if (n < 0)
			return;
		bytes = span_skip(bytes, (size_t)n);
	}
}

bool hear(int fd, struct buffer *in)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *to = buffer_reserve(in, KIB(64));
	ssize_t n;

	assert_non_null(to);
	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail_msg("no answer in time; so far: '%.*s'", (int)in->len, in->ptr);
	n = recv(fd, to, KIB(64), 0);
	if (n <= 0)
		return false;
	buffer_commit(in, (size_t)n);
	return true;
}

void reply_done(struct reply *r)
{
	buffer_done(&r->body);
}

static bool chunks_take(struct reply *r, struct span rest)
{
	while (rest.len) {
		struct span line = span_trim(span_cut(&rest, '\n'));
		size_t size = (size_t)strtoull(line.ptr, NULL, 16);

		if (size == 0 && line.len)
			return span_ends(rest, SPAN("\r\n"));
		if (rest.len < size + 2)
			return false;
		buffer_append(&r->body, span_first(rest, size));
		rest = span_skip(rest, size + 2);
	}
	return false;
}

void reply_read(int fd, struct reply *r)
{
	struct buffer in;
	const char *end, *length;
	struct span rest;
	size_t head;

	buffer_init(&in, MIB(256));
	buffer_init(&r->body, MIB(256));
	while (hear(fd, &in))
		;
	end = in.len ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
	if (!end)
		fail_msg("no head: '%.*s'", (int)in.len, in.ptr);
	head = (size_t)(end - in.ptr) + 4;
	assert_true(head < sizeof(r->head));
	memcpy(r->head, in.ptr, head);
	r->head[head] = 0;
	r->status = (int)strtol(r->head + 9, NULL, 10);
	rest = span_skip(buffer_span(&in), head);
	length = strstr(r->head, "\r\nContent-Length: ");
	if (!length)
		length = strstr(r->head, "\r\ncontent-length: ");
	if (strcasestr(r->head, "\r\ntransfer-encoding: chunked")) {
		r->is_whole = chunks_take(r, rest);
	} else {
		buffer_append(&r->body, rest);
		r->is_whole = !length || strtoull(length + 18, NULL, 10) == rest.len;
	}
	buffer_done(&in);
}

int ask_start(const struct front *f, const char *line, struct span body)
{
	char head[512];
	int fd = dial(f), len;

	len = snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
		       line, body.len);
	say(fd, span_from(head, (size_t)len));
	say(fd, body);
	return fd;
}

void ask(const struct front *f, const char *line, struct span body, struct reply *r)
{
	int fd = ask_start(f, line, body);

	reply_read(fd, r);
	close(fd);
}

bool body_has(const struct reply *r, const char *text)
{
	return r->body.len && memmem(r->body.ptr, r->body.len, text, strlen(text));
}

void expect(const struct front *f, const char *line, int status, const char *text)
{
	struct reply r;

	ask(f, line, SPAN("hello"), &r);
	if (r.status != status || !body_has(&r, text))
		fail_msg("%s: expected %d '%s', got %s%.*s", line, status, text, r.head, (int)r.body.len, r.body.ptr);
	reply_done(&r);
}

void expect_reply(int fd, int status, const char *text)
{
	struct reply r;

	reply_read(fd, &r);
	if (r.status != status || !body_has(&r, text))
		fail_msg("expected %d '%s', got %s%.*s", status, text, r.head, (int)r.body.len, r.body.ptr);
	reply_done(&r);
	close(fd);
}

pid_t worker_pid(const struct front *f)
{
	struct reply r;
	pid_t pid;

	ask(f, "GET /about", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	buffer_byte(&r.body, 0);
	pid = (pid_t)strtol(r.body.ptr, NULL, 10);
	reply_done(&r);
	return pid;
}

void pause_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

int64_t metric(const struct front *f, const char *series)
{
	struct reply r;
	char start[160];
	const char *at;
	int64_t value = -1;

	ask(f, "GET /metrics", SPAN(""), &r);
	assert_int_equal(r.status, 200);
	buffer_byte(&r.body, 0);
	snprintf(start, sizeof(start), "\n%s ", series);
	at = strstr(r.body.ptr, start);
	if (at)
		value = strtoll(at + strlen(start), NULL, 10);
	reply_done(&r);
	return value;
}

/* ---- load: many requests at once, and what became of them ---- */

static void *load_main(void *argument)
{
	struct load *l = argument;

	while (!l->is_over) {
		struct reply r;

		ask(l->front, l->line, SPAN("12345"), &r);
		if (r.status == 200 && r.is_whole)
			l->good++;
		else if (r.status == 502)
			l->bad_gateway++;
		else
			l->other++;
		reply_done(&r);
	}
	return NULL;
}

void load_start(struct load *l, const struct front *f, const char *line)
{
	*l = (struct load){ .front = f, .line = line };
	for (size_t i = 0; i < ARRAY_LEN(l->threads); i++)
		assert_int_equal(pthread_create(&l->threads[i], NULL, load_main, l), 0);
}

void load_stop(struct load *l)
{
	l->is_over = true;
	for (size_t i = 0; i < ARRAY_LEN(l->threads); i++)
		pthread_join(l->threads[i], NULL);
}

bool kit_init(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	log_setup(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR, LOG_AS_TEXT);
	if (argc < 2)
		return false;
	test_worker = argv[1];
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return true;
}
