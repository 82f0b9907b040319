/* SPDX-License-Identifier: Apache-2.0 */
/* probe_test - questions to little servers on the loopback interface, and what probes make of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/auth/pki.h"
#include "loop/loop.h"
#include "node/handler_private.h"
#include "node/probe.h"

#define PATIENCE_NS (90 * NS_PER_S)
#define AMPLE_NS    (60 * NS_PER_S) /* where the answer is what matters */

/* ---- a server that gives each connection the same bytes ---- */

struct server {
	int fd, port;
	struct span greeting; /* first, and then it waits for the whole of a gRPC request */
	struct span answer;
	bool is_silent; /* it takes connections, and says nothing */
	SSL_CTX *tls;
	char asked[4096]; /* by the last */
	_Atomic int count;
	pthread_t thread;
};

static void serve_tls(struct server *s, int fd)
{
	SSL *ssl = SSL_new(s->tls);

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1 && SSL_read(ssl, s->asked, sizeof(s->asked) - 1) > 0)
		(void)SSL_write(ssl, s->answer.ptr, (int)s->answer.len);
	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
}

/* Until the message has come, which says {1: "a"}. */
static void greet(struct server *s, int fd, ssize_t len)
{
	static const char end[] = { 0, 0, 0, 0, 3, 10, 1, 'a' };

	if (!s->greeting.len || write(fd, s->greeting.ptr, s->greeting.len) < 0)
		return;
	while (!memmem(s->asked, (size_t)len, end, sizeof(end))) {
		ssize_t more = read(fd, s->asked + len, sizeof(s->asked) - 1 - (size_t)len);

		if (more <= 0)
			return;
		len += more;
	}
}

static void *serve(void *context)
{
	struct server *s = context;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		char rest[4096];
		ssize_t len = 0;

		s->count++;
		if (s->tls) {
			serve_tls(s, fd);
		} else if ((len = read(fd, s->asked, sizeof(s->asked) - 1)) > 0) {
			s->asked[len] = '\0';
			greet(s, fd, len);
			if (!s->is_silent && s->answer.len)
				len = write(fd, s->answer.ptr, s->answer.len);
			while (s->answer.len && len > 0 && read(fd, rest, sizeof(rest)) > 0) /* until the client goes */
				;
		}
		close(fd);
	}
	return NULL;
}

static int listen_on(int port, int *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void server_start(struct server *s, struct span answer)
{
	s->answer = answer;
	s->fd = listen_on(0, &s->port);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	SSL_CTX_free(s->tls);
}

/* ---- a command that writes all the time: whoever reads never finds its pipe empty ---- */

static _Atomic int endless = -1; /* the pipe */

ssize_t read(int fd, void *to, size_t len)
{
	if (fd != endless)
		return syscall(SYS_read, fd, to, len);
	memset(to, 'y', len);
	return (ssize_t)len;
}

/* ---- a runtime whose pods are on this machine's own network ---- */

struct bench {
	struct loop *loop;
	struct runtime runtime;
	struct arena arena;
	struct timer patience;
	enum handler_verdict verdict;
	char text[2048];
	bool is_done;
	/* exec */
	struct loop_task task;
	void (*exec_done)(void *context, const struct stream *s, const struct error *err);
	void *exec_context;
	struct handler *handler;
	const char *output;
	int exit_code;
	bool never_ends, is_absent, is_endless;
	/* sockets */
	struct loop_task socket_task;
	void (*socket_done)(void *context, int fd, const struct error *err);
	void *socket_context;
	int family;
	/* probes */
	struct probes *probes;
	enum verdict wanted;
	int told;
	char last[1024];
};

static struct bench *bench_of(struct runtime *r)
{
	return CONTAINER_OF(r, struct bench, runtime);
}

static void socket_give(struct loop_task *t)
{
	struct bench *b = CONTAINER_OF(t, struct bench, socket_task);

	b->socket_done(b->socket_context, socket(b->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), NULL);
}

static void bench_socket(struct runtime *r, struct span uid, int family, int type,
			 void (*done)(void *context, int fd, const struct error *err), void *context)
{
	struct bench *b = bench_of(r);

	(void)uid;
	(void)type;
	b->socket_done = done;
	b->socket_context = context;
	b->family = family;
	loop_defer(b->loop, &b->socket_task);
}

static void exec_give(struct loop_task *t)
{
	struct bench *b = CONTAINER_OF(t, struct bench, task);
	struct error err = { 0 };
	struct stream s = { SPAN("7"), -1, -1, -1 };
	int fds[2];

	if (b->is_absent) {
		error_set(&err, ERROR_NOT_FOUND, "exec: \"x\": executable file not found in $PATH");
		b->exec_done(b->exec_context, NULL, &err);
		return;
	}
	assert_int_equal(pipe(fds), 0);
	assert_true(write(fds[1], b->output, strlen(b->output)) == (ssize_t)strlen(b->output));
	close(fds[1]);
	s.out = fds[0];
	if (b->is_endless)
		endless = fds[0];
	b->exec_done(b->exec_context, &s, NULL);
	if (!b->never_ends)
		assert_true(handler_ended(b->handler, SPAN("7"), b->exit_code));
}

static void bench_exec(struct runtime *r, struct span uid, struct span name, uint32_t attempt,
		       const struct stream_wanted *w,
		       void (*done)(void *context, const struct stream *s, const struct error *err), void *context)
{
	struct bench *b = bench_of(r);

	(void)uid;
	(void)name;
	(void)attempt;
	(void)w;
	b->exec_done = done;
	b->exec_context = context;
	loop_defer(b->loop, &b->task);
}

static const struct runtime_ops bench_ops = { .name = "bench", .exec = bench_exec, .socket = bench_socket };

static void out_of_patience(struct timer *t)
{
	(void)t;
	fail_msg("nothing came");
}

static void bench_begin(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	b->loop = loop_new();
	b->runtime.ops = &bench_ops;
	b->task.run = exec_give;
	b->socket_task.run = socket_give;
	arena_init(&b->arena, MIB(4));
	loop_timer_set(b->loop, &b->patience, clock_monotonic_ns() + PATIENCE_NS, out_of_patience);
}

static void bench_end(struct bench *b)
{
	loop_timer_clear(b->loop, &b->patience);
	loop_free(b->loop);
	arena_done(&b->arena);
}

static void done(void *context, enum handler_verdict verdict, struct span text)
{
	struct bench *b = context;

	b->verdict = verdict;
	snprintf(b->text, sizeof(b->text), "%.*s", (int)text.len, text.ptr ? text.ptr : "");
	b->is_done = true;
	loop_stop(b->loop);
}

static struct value *parsed(struct bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static struct value *parsed(struct bench *b, const char *format, ...)
{
	struct error err = { 0 };
	struct value *v = ARENA_NEW(&b->arena, struct value, &err);
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	if (!value_parse(arena_copy(&b->arena, span_of(text), &err), NULL, &b->arena, v, &err))
		fail_msg("%s: %s", err.message, text);
	return v;
}

static struct handler *begin(struct bench *b, const struct value *action, int64_t timeout_ns)
{
	struct handler_wanted wanted = { .loop = b->loop,
					 .runtime = &b->runtime,
					 .uid = SPAN("u"),
					 .address = SPAN("127.0.0.1"),
					 .container = SPAN("main"),
					 .action = action,
					 .agent = "kube-probe/1.33",
					 .timeout_ns = timeout_ns };

	return b->handler = handler_run(&wanted, done, b);
}

static void ask(struct bench *b, const struct value *action, int64_t timeout_ns)
{
	(void)begin(b, action, timeout_ns);
	loop_run(b->loop);
	assert_true(b->is_done);
}

/* ---- httpGet ---- */

static void the_status_of_an_answer_decides(void **state)
{
	static const struct {
		const char *answer;
		enum handler_verdict verdict;
		const char *text;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HANDLER_GOOD, "" },
		{ "HTTP/1.0 204 No Content\r\n\r\n", HANDLER_GOOD, "" },
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", HANDLER_GOOD, "" },
		{ "HTTP/1.1 404 Not Found\r\n\r\n", HANDLER_BAD, "HTTP probe failed with statuscode: 404" },
		{ "HTTP/1.1 503 Busy\r\n\r\n", HANDLER_BAD, "HTTP probe failed with statuscode: 503" },
		{ "HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\n\r\naway", HANDLER_WARNING,
		  "Probe terminated redirects, Response body: away" },
		{ "HTTP/1.1 304 Not Modified\r\n\r\n", HANDLER_WARNING, "Probe terminated redirects, Response body: " },
		{ "what is this\r\n\r\n", HANDLER_BAD, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server s = { 0 };
		struct bench b;

		bench_begin(&b);
		server_start(&s, span_of(rows[i].answer));
		ask(&b, parsed(&b, "{'httpGet':{'path':'/healthz','port':%d}}", s.port), AMPLE_NS);
		assert_int_equal(b.verdict, rows[i].verdict);
		if (rows[i].text)
			assert_string_equal(b.text, rows[i].text);
		server_stop(&s);
		bench_end(&b);
	}
}

static void the_request_is_kubelets(void **state)
{
	struct server s = { 0 };
	struct bench b;
	char wanted[300];

	(void)state;
	bench_begin(&b);
	server_start(&s, SPAN("HTTP/1.1 200 OK\r\n\r\n"));
	ask(&b, parsed(&b, "{'httpGet':{'path':'/a b?c=d','port':%d}}", s.port), AMPLE_NS);
	snprintf(wanted, sizeof(wanted),
		 "GET /a%%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: kube-probe/1.33\r\nAccept: */*\r\n"
		 "Connection: close\r\n\r\n",
		 s.port);
	assert_string_equal(s.asked, wanted);
	ask(&b,
	    parsed(&b,
		   "{'httpGet':{'port':%d,'httpHeaders':[{'name':'Host','value':'h'},{'name':'X-A','value':'1'},{'name'"
		   ":'Accept',"
		   "'value':''},{'name':'User-Agent','value':'me'}]}}",
		   s.port),
	    AMPLE_NS);
	assert_string_equal(s.asked,
			    "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nUser-Agent: me\r\nConnection: close\r\n\r\n");
	ask(&b, parsed(&b, "{'httpGet':{'port':%d,'httpHeaders':[{'name':'X','value':'a\\r\\nB: c'}]}}", s.port),
	    AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_BAD);
	server_stop(&s);
	bench_end(&b);
}

static void redirects_on_the_same_host_are_followed(void **state)
{
	struct server first = { 0 }, second = { 0 };
	char answer[200];
	struct bench b;

	(void)state;
	bench_begin(&b);
	server_start(&second, SPAN("HTTP/1.1 200 OK\r\n\r\n"));
	snprintf(answer, sizeof(answer), "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/there\r\n\r\n",
		 second.port);
	server_start(&first, span_of(answer));
	ask(&b, parsed(&b, "{'httpGet':{'port':%d}}", first.port), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_GOOD);
	assert_memory_equal(second.asked, "GET /there ", 11);
	server_stop(&first);
	server_start(&first, SPAN("HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n"));
	ask(&b, parsed(&b, "{'httpGet':{'port':%d}}", first.port), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_BAD);
	assert_non_null(strstr(b.text, "stopped after 10 redirects"));
	server_stop(&first);
	server_stop(&second);
	bench_end(&b);
}

static void failures_are_told_in_words(void **state)
{
	struct server s = { .is_silent = true };
	int port, fd = listen_on(0, &port);
	char wanted[300];
	struct bench b;

	(void)state;
	bench_begin(&b);
	ask(&b, parsed(&b, "{'httpGet':{'path':'/x','port':%d}}", port), AMPLE_NS);
	snprintf(wanted, sizeof(wanted),
		 "Get \"http://127.0.0.1:%d/x\": dial tcp 127.0.0.1:%d: connect: connection refused", port, port);
	assert_int_equal(b.verdict, HANDLER_BAD);
	assert_string_equal(b.text, wanted);
	server_start(&s, SPAN("-"));
	ask(&b, parsed(&b, "{'httpGet':{'path':'/x','port':%d}}", s.port), NS_PER_S);
	snprintf(
	    wanted, sizeof(wanted),
	    "Get \"http://127.0.0.1:%d/x\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
	    s.port);
	assert_string_equal(b.text, wanted);
	server_stop(&s);
	s = (struct server){ 0 };
	server_start(&s, (struct span){ 0 });
	ask(&b, parsed(&b, "{'httpGet':{'path':'/x','port':%d}}", s.port), AMPLE_NS);
	snprintf(wanted, sizeof(wanted), "Get \"http://127.0.0.1:%d/x\": EOF", s.port);
	assert_string_equal(b.text, wanted);
	server_stop(&s);
	ask(&b, parsed(&b, "{'httpGet':{'port':'http'}}"), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_ERROR);
	close(fd);
	bench_end(&b);
}

static void https_is_asked_without_looking_at_the_certificate(void **state)
{
	struct server s = { 0 }, plain = { 0 };
	struct error err = { 0 };
	char folder[] = "/tmp/hythe-probe-XXXXXX", command[64];
	struct pki *pki;
	struct bench b;

	(void)state;
	bench_begin(&b);
	assert_non_null(mkdtemp(folder));
	pki = pki_open(folder, (const char *const[]){ NULL }, &err);
	assert_non_null(pki);
	s.tls = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate_chain_file(s.tls, pki_server_certificate_file(pki)), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(s.tls, pki_server_key_file(pki), SSL_FILETYPE_PEM), 1);
	server_start(&s, SPAN("HTTP/1.1 200 OK\r\n\r\n"));
	ask(&b, parsed(&b, "{'httpGet':{'port':%d,'scheme':'HTTPS'}}", s.port), AMPLE_NS);
	assert_string_equal(b.text, "");
	assert_int_equal(b.verdict, HANDLER_GOOD);
	server_start(&plain, SPAN("HTTP/1.1 200 OK\r\n\r\n"));
	ask(&b, parsed(&b, "{'httpGet':{'port':%d,'scheme':'HTTPS'}}", plain.port), AMPLE_NS);
	assert_non_null(strstr(b.text, "http: server gave HTTP response to HTTPS client"));
	server_stop(&plain);
	server_stop(&s);
	pki_free(pki);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	bench_end(&b);
}

/* ---- the others ---- */

static void a_connection_is_enough_for_tcp(void **state)
{
	int port, fd = listen_on(0, &port);
	char wanted[100];
	struct bench b;

	(void)state;
	bench_begin(&b);
	ask(&b, parsed(&b, "{'tcpSocket':{'port':%d}}", port), AMPLE_NS);
	snprintf(wanted, sizeof(wanted), "dial tcp 127.0.0.1:%d: connect: connection refused", port);
	assert_string_equal(b.text, wanted);
	assert_int_equal(listen(fd, 1), 0);
	ask(&b, parsed(&b, "{'tcpSocket':{'port':%d}}", port), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_GOOD);
	ask(&b, parsed(&b, "{'tcpSocket':{'port':%d,'host':'no.such.host'}}", port), AMPLE_NS);
	assert_non_null(strstr(b.text, "lookup no.such.host: no such host"));
	close(fd);
	bench_end(&b);
}

#define H2_SETTINGS "\0\0\0\4\0\0\0\0\0"
#define H2_HEAD                                                                                                        \
	"\0\0\x20\1\4\0\0\0\1\x88\0\x0c"                                                                               \
	"content-type\x10"                                                                                             \
	"application/grpc"
#define H2_STATUS(digit)                                                                                               \
	"\0\0\x0f\1\5\0\0\0\1\0\x0b"                                                                                   \
	"grpc-status\x01" digit

static void grpc_health_is_asked(void **state)
{
	static const struct {
		struct span answer;
		enum handler_verdict verdict;
		const char *text;
	} rows[] = {
		{ SPAN_INIT(H2_HEAD "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\1" H2_STATUS("0")), HANDLER_GOOD,
		  "service healthy" },
		{ SPAN_INIT(H2_HEAD "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\2" H2_STATUS("0")), HANDLER_BAD,
		  "service unhealthy (responded with \"NOT_SERVING\")" },
		{ SPAN_INIT(H2_HEAD H2_STATUS("5")), HANDLER_BAD,
		  "error: health rpc probe failed: rpc error: code = NotFound desc = " },
	};
	int port, fd = listen_on(0, &port);
	char wanted[200];
	struct bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server s = { .greeting = SPAN(H2_SETTINGS) };

		bench_begin(&b);
		server_start(&s, rows[i].answer);
		ask(&b, parsed(&b, "{'grpc':{'port':%d,'service':'a'}}", s.port), AMPLE_NS);
		assert_string_equal(b.text, rows[i].text);
		assert_int_equal(b.verdict, rows[i].verdict);
		server_stop(&s);
		bench_end(&b);
	}
	bench_begin(&b);
	ask(&b, parsed(&b, "{'grpc':{'port':%d}}", port), NS_PER_S);
	snprintf(wanted, sizeof(wanted),
		 "timeout: failed to connect service \"127.0.0.1:%d\" within 1s: context deadline exceeded", port);
	assert_string_equal(b.text, wanted);
	close(fd);
	bench_end(&b);
}

static void a_command_is_judged_by_its_end(void **state)
{
	struct bench b;

	(void)state;
	bench_begin(&b);
	b.output = "all is well\n";
	ask(&b, parsed(&b, "{'exec':{'command':['x','y']}}"), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_GOOD);
	assert_string_equal(b.text, "all is well\n");
	b.exit_code = 1;
	ask(&b, parsed(&b, "{'exec':{'command':['x','y']}}"), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_BAD);
	b.never_ends = true;
	ask(&b, parsed(&b, "{'exec':{'command':['x','y']}}"), NS_PER_S);
	assert_int_equal(b.verdict, HANDLER_BAD);
	assert_string_equal(b.text, "command timed out: \"x y\" timed out after 1s");
	b.is_endless = true;
	ask(&b, parsed(&b, "{'exec':{'command':['yes']}}"), NS_PER_S);
	endless = -1;
	assert_int_equal(b.verdict, HANDLER_BAD);
	assert_string_equal(b.text, "command timed out: \"yes\" timed out after 1s");
	b.is_absent = true;
	ask(&b, parsed(&b, "{'exec':{'command':['x']}}"), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_ERROR);
	bench_end(&b);
}

static void sleep_sleeps_no_longer_than_the_grace(void **state)
{
	struct bench b;

	(void)state;
	bench_begin(&b);
	ask(&b, parsed(&b, "{'sleep':{'seconds':0}}"), AMPLE_NS);
	assert_int_equal(b.verdict, HANDLER_GOOD);
	ask(&b, parsed(&b, "{'sleep':{'seconds':100}}"), NS_PER_S / 10);
	assert_int_equal(b.verdict, HANDLER_BAD);
	bench_end(&b);
}

static void a_question_can_be_taken_back(void **state)
{
	struct server s = { .is_silent = true };
	struct bench b;

	(void)state;
	bench_begin(&b);
	server_start(&s, SPAN("-"));
	handler_cancel(begin(&b, parsed(&b, "{'httpGet':{'port':%d}}", s.port), 0)); /* the socket is still to come */
	(void)begin(&b, parsed(&b, "{'sleep':{'seconds':0}}"), 0);
	loop_run(b.loop);
	assert_int_equal(b.verdict, HANDLER_GOOD);
	server_stop(&s);
	bench_end(&b);
}

/* ---- probes ---- */

static void verdict_look(void *context)
{
	struct bench *b = context;
	struct container_health h = { 0 };

	if (!b->probes)
		return;
	probes_fill(b->probes, &h);
	if (h.readiness == b->wanted || h.startup == VERDICT_BAD || h.liveness == VERDICT_BAD)
		loop_stop(b->loop);
}

static void unhealthy(void *context, const char *reason, struct span text)
{
	struct bench *b = context;

	assert_string_equal(reason, "Unhealthy");
	b->told++;
	snprintf(b->last, sizeof(b->last), "%.*s", (int)text.len, text.ptr);
}

static struct probes_config probing(struct bench *b, const struct value *container)
{
	return (struct probes_config){ .loop = b->loop,
				       .runtime = &b->runtime,
				       .uid = SPAN("u"),
				       .address = SPAN("127.0.0.1"),
				       .container = container,
				       .changed = verdict_look,
				       .tell = unhealthy,
				       .context = b };
}

struct opening {
	struct timer timer;
	int fd;
};

static void open_now(struct timer *t)
{
	assert_int_equal(listen(CONTAINER_OF(t, struct opening, timer)->fd, 16), 0);
}

static void readiness_comes_soon_after_the_port_is_open(void **state)
{
	struct opening o = { .fd = -1 };
	struct probes_config c;
	struct bench b;
	int64_t begun;
	int port;

	(void)state;
	bench_begin(&b);
	o.fd = listen_on(0, &port);
	c = probing(&b,
		    parsed(&b, "{'name':'main','readinessProbe':{'periodSeconds':60,'tcpSocket':{'port':%d}}}", port));
	b.wanted = VERDICT_GOOD;
	loop_now_update(b.loop);
	begun = clock_monotonic_ns();
	b.probes = probes_new(&c);
	loop_timer_set(b.loop, &o.timer, clock_monotonic_ns() + 50 * NS_PER_MS, open_now);
	loop_run(b.loop);
	assert_true(clock_monotonic_ns() - begun < 30 * NS_PER_S); /* long before its period is over */
	assert_int_equal(b.told, 0);
	probes_free(b.probes);
	close(o.fd);
	bench_end(&b);
}

static void failures_count_once_a_period(void **state)
{
	struct probes_config c;
	struct container_health h = { 0 };
	char wanted[200];
	struct bench b;
	int port, fd;

	(void)state;
	bench_begin(&b);
	fd = listen_on(0, &port);
	c = probing(
	    &b, parsed(&b,
		       "{'name':'main','startupProbe':{'tcpSocket':{'port':%d},'periodSeconds':1,'failureThreshold':2},"
		       "'readinessProbe':{'tcpSocket':{'port':%d}}}",
		       port, port));
	b.wanted = VERDICT_GOOD;
	loop_now_update(b.loop);
	b.probes = probes_new(&c);
	loop_run(b.loop);
	probes_fill(b.probes, &h);
	assert_int_equal(h.startup, VERDICT_BAD);
	assert_int_equal(h.readiness, VERDICT_NONE);
	assert_int_equal(b.told, 2);
	snprintf(wanted, sizeof(wanted), "Startup probe failed: dial tcp 127.0.0.1:%d: connect: connection refused",
		 port);
	assert_string_equal(b.last, wanted);
	assert_true(span_equal(h.why, span_of(wanted)));
	probes_free(b.probes);
	close(fd);
	bench_end(&b);
}

static void an_adopted_container_is_what_it_was_told_to_be(void **state)
{
	struct probes_config c;
	struct container_health h = { 0 };
	struct bench b;
	int port, fd;

	(void)state;
	bench_begin(&b);
	fd = listen_on(0, &port);
	c = probing(
	    &b,
	    parsed(&b,
		   "{'name':'main','startupProbe':{'tcpSocket':{'port':%d}},'readinessProbe':{'tcpSocket':{'port':%d},"
		   "'periodSeconds':1,'failureThreshold':1}}",
		   port, port));
	c.is_adopted = c.was_ready = c.was_started = true;
	b.wanted = VERDICT_BAD;
	loop_now_update(b.loop);
	b.probes = probes_new(&c);
	probes_fill(b.probes, &h);
	assert_int_equal(h.startup, VERDICT_GOOD);
	assert_int_equal(h.readiness, VERDICT_GOOD);
	loop_run(b.loop); /* until a probe says otherwise */
	assert_int_equal(b.told, 1);
	probes_free(b.probes);
	close(fd);
	bench_end(&b);
}

static void a_container_without_probes_has_none(void **state)
{
	struct probes_config c;
	struct bench b;

	(void)state;
	bench_begin(&b);
	c = probing(&b, parsed(&b, "{'name':'main'}"));
	assert_null(probes_new(&c));
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_status_of_an_answer_decides),
		cmocka_unit_test(the_request_is_kubelets),
		cmocka_unit_test(redirects_on_the_same_host_are_followed),
		cmocka_unit_test(failures_are_told_in_words),
		cmocka_unit_test(https_is_asked_without_looking_at_the_certificate),
		cmocka_unit_test(a_connection_is_enough_for_tcp),
		cmocka_unit_test(grpc_health_is_asked),
		cmocka_unit_test(a_command_is_judged_by_its_end),
		cmocka_unit_test(sleep_sleeps_no_longer_than_the_grace),
		cmocka_unit_test(a_question_can_be_taken_back),
		cmocka_unit_test(readiness_comes_soon_after_the_port_is_open),
		cmocka_unit_test(failures_count_once_a_period),
		cmocka_unit_test(an_adopted_container_is_what_it_was_told_to_be),
		cmocka_unit_test(a_container_without_probes_has_none),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
