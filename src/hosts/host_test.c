/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's view: nothing but hythe_host.h, and real requests over loopback. With an argument threads of the test's drive the hosts. */
#include "hosts/hythe_host.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a client ---- */

enum { ANSWER_MAX = 1 << 20 };

struct answer {
	int status;
	char *body;
	char text[ANSWER_MAX];
};

static int connect_to(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *colon = strrchr(address, ':');
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void send_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		assert_true(n > 0);
		text += n;
		len -= (size_t)n;
	}
}

static struct answer answer;

static void ask(hythe_host *host, const char *method, const char *path, const char *body)
{
	char head[512];
	size_t len = 0;
	int fd = connect_to(hythe_host_address(host, 0));
	ssize_t n;

	snprintf(head, sizeof(head),
		 "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Request-Id: r-1\r\n"
		 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		 method, path, strlen(body));
	send_all(fd, head, strlen(head));
	send_all(fd, body, strlen(body));
	while ((n = recv(fd, answer.text + len, ANSWER_MAX - 1 - len, 0)) > 0)
		len += (size_t)n;
	close(fd);
	answer.text[len] = '\0';
	assert_int_equal(strncmp(answer.text, "HTTP/1.1 ", 9), 0);
	answer.status = (int)strtol(answer.text + 9, NULL, 10);
	answer.body = strstr(answer.text, "\r\n\r\n") + 4;
}

static void predict(hythe_host *host, const char *body)
{
	ask(host, "POST", "/predict", body);
}

static void assert_has(const char *part)
{
	if (!strstr(answer.body, part))
		fail_msg("'%s' is not in %s", part, answer.body);
}

/* ---- hosts ---- */

/* What the function saw last, for tests of one request. */
static struct {
	int method, is_seldon, kind, type, rank, has_array;
	int64_t shape[HYTHE_RANK_MAX];
	char id[64], model[64], bytes[256], nested[256], raw[1024], name[64], meta[256];
	size_t name_count, payloads;
	double reward;
} seen;
static atomic_int released;

static void note(char *to, size_t size, struct hythe_bytes bytes)
{
	snprintf(to, size, "%.*s", (int)bytes.size, bytes.data ? bytes.data : "");
}

static void see(const hythe_call *c, const struct hythe_payload *p)
{
	memset(&seen, 0, sizeof(seen));
	seen.method = hythe_call_method(c);
	seen.is_seldon = hythe_call_is_seldon(c);
	seen.payloads = hythe_call_payloads(c);
	seen.reward = hythe_call_reward(c);
	seen.kind = p->kind;
	seen.has_array = p->has_array;
	seen.type = p->array.type;
	seen.rank = p->array.rank;
	memcpy(seen.shape, p->array.shape, sizeof(seen.shape));
	seen.name_count = p->name_count;
	if (p->name_count)
		note(seen.name, sizeof(seen.name), p->names[0]);
	note(seen.id, sizeof(seen.id), hythe_call_id(c));
	note(seen.model, sizeof(seen.model), hythe_call_model(c));
	note(seen.raw, sizeof(seen.raw), hythe_call_raw(c));
	note(seen.bytes, sizeof(seen.bytes), p->bytes);
	note(seen.nested, sizeof(seen.nested), p->nested);
	note(seen.meta, sizeof(seen.meta), p->meta);
}

static void echo(void *context, hythe_call *c)
{
	struct hythe_payload p = { .size = sizeof(p) };

	(void)context;
	hythe_call_payload(c, 0, &p);
	see(c, &p);
	hythe_reply(c, &p, NULL, NULL);
}

static int is_driven;
static pthread_t driver; /* of one host at a time */

static void *drive(void *host)
{
	assert_int_equal(hythe_host_run(host), 1);
	return NULL;
}

static void finish(hythe_host *host)
{
	if (is_driven) {
		hythe_host_stop(host);
		pthread_join(driver, NULL);
	}
	hythe_host_free(host);
}

static hythe_host *start(struct hythe_host_config config)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	char why[HYTHE_ERROR_SIZE] = "";
	hythe_host *host;

	config.size = sizeof(config);
	if (!config.address_count && !config.adopt_fd) {
		config.addresses = addresses;
		config.address_count = 1;
	}
	config.is_driven = is_driven;
	if (is_driven)
		config.threads = 1;
	host = hythe_host_new(&config, why);
	if (!host || !hythe_host_start(host, why))
		fail_msg("%s", why);
	if (is_driven)
		assert_int_equal(pthread_create(&driver, NULL, drive, host), 0);
	return host;
}

static hythe_host *start_call(void (*call)(void *context, hythe_call *c))
{
	return start((struct hythe_host_config){ .name = "echo", .call = call, .threads = 2 });
}

/* ---- questions ---- */

static void whole_numbers_arrive_as_int64_and_go_back_whole(void **state)
{
	hythe_host *host = start_call(echo);

	(void)state;
	predict(host, "{\"data\":{\"names\":[\"a\",\"b\"],\"ndarray\":[[1,2],[3,4]]}}");
	assert_int_equal(answer.status, 200);
	assert_has("\"ndarray\":[[1,2],[3,4]]");
	assert_has("\"names\":[\"a\",\"b\"]");
	assert_int_equal(seen.method, HYTHE_PREDICT);
	assert_int_equal(seen.is_seldon, 1);
	assert_int_equal(seen.kind, HYTHE_NDARRAY);
	assert_int_equal(seen.type, HYTHE_INT64);
	assert_int_equal(seen.rank, 2);
	assert_int_equal(seen.shape[0], 2);
	assert_int_equal(seen.name_count, 2);
	assert_string_equal(seen.name, "a");
	assert_string_equal(seen.id, "r-1");
	assert_string_equal(seen.model, "echo");
	assert_non_null(strstr(seen.raw, "\"ndarray\""));

	predict(host, "{\"data\":{\"tensor\":{\"shape\":[1,2],\"values\":[1.5,2]}}}");
	assert_int_equal(seen.kind, HYTHE_TENSOR);
	assert_int_equal(seen.type, HYTHE_FP64);
	assert_has("\"tensor\":{\"shape\":[1,2],\"values\":[1.5,2.0]}");
	finish(host);
}

static void lists_that_are_no_array_arrive_as_their_text(void **state)
{
	hythe_host *host = start_call(echo);

	(void)state;
	predict(host, "{\"data\":{\"ndarray\":[[1,\"a\"],[null,true]]}}");
	assert_int_equal(answer.status, 200);
	assert_int_equal(seen.has_array, 0);
	assert_string_equal(seen.nested, "[[1,\"a\"],[null,true]]");
	assert_has("\"ndarray\":[[1,\"a\"],[null,true]]");
	finish(host);
}

static void text_bytes_and_json_arrive_as_they_are(void **state)
{
	hythe_host *host = start_call(echo);

	(void)state;
	predict(host, "{\"strData\":\"h\\u00e9\"}");
	assert_int_equal(seen.kind, HYTHE_TEXT);
	assert_string_equal(seen.bytes, "h\xc3\xa9");
	assert_has("\"strData\":");
	predict(host, "{\"binData\":\"aGk=\"}");
	assert_int_equal(seen.kind, HYTHE_BINARY);
	assert_string_equal(seen.bytes, "hi");
	assert_has("\"binData\":\"aGk=\"");
	predict(host, "{\"jsonData\":{\"b\":[1,2]}}");
	assert_int_equal(seen.kind, HYTHE_JSON);
	assert_string_equal(seen.bytes, "{\"b\":[1,2]}");
	assert_has("\"jsonData\":{\"b\":[1,2]}");
	finish(host);
}

static void meta_goes_both_ways(void **state)
{
	hythe_host *host = start_call(echo);

	(void)state;
	predict(host, "{\"meta\":{\"puid\":\"p1\",\"tags\":{\"x\":1}},\"strData\":\"s\"}");
	assert_non_null(strstr(seen.meta, "\"tags\""));
	assert_has("\"puid\":\"p1\"");
	assert_has("\"tags\":{\"x\":1}");
	predict(host, "{\"strData\":\"s\"}");
	assert_string_equal(seen.meta, "");
	assert_has("\"meta\":{}");
	finish(host);
}

static void v2_asks_the_same_function(void **state)
{
	hythe_host *host = start_call(echo);

	(void)state;
	ask(host, "POST", "/v2/models/echo/infer",
	    "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1.5,2]}]}");
	assert_int_equal(answer.status, 200);
	assert_int_equal(seen.is_seldon, 0);
	assert_int_equal(seen.type, HYTHE_FP32);
	assert_string_equal(seen.raw, "");
	assert_has("\"datatype\":\"FP32\"");
	ask(host, "GET", "/v2/models/echo", "");
	assert_int_equal(answer.status, 200);
	finish(host);
}

/* ---- replies ---- */

static void fail_teapot(void *context, hythe_call *c)
{
	(void)context;
	hythe_reply_error(c, 418, "SHORT_AND_STOUT", 7, "no coffee here");
}

static void fail_plain(void *context, hythe_call *c)
{
	(void)context;
	hythe_reply_error(c, 0, NULL, -1, "it broke");
}

static void forget(void *context, hythe_call *c)
{
	(void)context;
	(void)c;
}

static void errors_are_told_as_the_function_said(void **state)
{
	hythe_host *host = start_call(fail_teapot);

	(void)state;
	predict(host, "{\"strData\":\"s\"}");
	assert_int_equal(answer.status, 418);
	assert_has("\"code\":7");
	assert_has("\"info\":\"no coffee here\"");
	assert_has("\"reason\":\"SHORT_AND_STOUT\"");
	finish(host);

	host = start_call(fail_plain);
	predict(host, "{\"strData\":\"s\"}");
	assert_int_equal(answer.status, 500);
	assert_has("\"info\":\"it broke\"");
	assert_has("\"code\":-1");
	finish(host);
}

static void a_function_that_forgets_to_reply_is_an_error(void **state)
{
	hythe_host *host = start_call(forget);

	(void)state;
	predict(host, "{\"strData\":\"s\"}");
	assert_int_equal(answer.status, 500);
	assert_has("without a reply");
	finish(host);
}

static void undefined(void *context, hythe_call *c)
{
	(void)context;
	hythe_reply_undefined(c);
}

static void methods_that_are_not_there_answer_as_seldons_wrapper(void **state)
{
	hythe_host *host = start_call(undefined);

	(void)state;
	predict(host, "{\"data\":{\"ndarray\":[[1]]}}");
	assert_has("\"ndarray\":[]");
	ask(host, "POST", "/transform-input", "{\"data\":{\"names\":[\"a\"],\"ndarray\":[[1]]}}");
	assert_int_equal(answer.status, 200);
	assert_has("\"ndarray\":[[1]]");
	ask(host, "POST", "/route", "{\"data\":{\"ndarray\":[[1]]}}");
	assert_int_equal(answer.status, 400);
	assert_has("Route not defined");
	ask(host, "GET", "/health/status", "");
	assert_has("\"strData\":\"healthy\"");
	finish(host);
}

static void release(void *held)
{
	free(held);
	released++;
}

/* Replies with doubles of its own. */
static void lend(void *context, hythe_call *c)
{
	size_t count = (size_t)1000 * 100;
	double *data = malloc(count * sizeof(*data));
	struct hythe_payload p = { .size = sizeof(p), .kind = HYTHE_TENSOR, .has_array = 1 };

	(void)context;
	for (size_t i = 0; i < count; i++)
		data[i] = (double)i;
	p.array.type = HYTHE_FP64;
	p.array.rank = 2;
	p.array.shape[0] = 1000;
	p.array.shape[1] = 100;
	p.array.data = data;
	p.array.size = count * sizeof(*data);
	hythe_reply(c, &p, release, data);
}

static void lent_memory_is_released_once(void **state)
{
	hythe_host *host = start_call(lend);

	(void)state;
	released = 0;
	for (int i = 1; i <= 3; i++) {
		predict(host, "{\"data\":{\"ndarray\":[[1]]}}");
		assert_int_equal(answer.status, 200);
		assert_has("99998.0,99999.0]");
		for (int ms = 0; released < i && ms < 60000; ms++)
			usleep(1000); /* the answer may be here before */
		assert_int_equal(released, i);
	}
	finish(host);
}

static void wrong_size(void *context, hythe_call *c)
{
	static const double one = 1;
	struct hythe_payload p = { .size = sizeof(p), .kind = HYTHE_TENSOR, .has_array = 1 };

	(void)context;
	p.array = (struct hythe_array){ .type = HYTHE_FP64, .rank = 1, .shape = { 2 }, .data = &one, .size = 8 };
	hythe_reply(c, &p, NULL, NULL);
}

static void an_array_that_does_not_fit_its_shape_is_an_error(void **state)
{
	hythe_host *host = start_call(wrong_size);

	(void)state;
	predict(host, "{\"data\":{\"ndarray\":[[1]]}}");
	assert_int_equal(answer.status, 500);
	assert_has("its shape and type need 16");
	finish(host);
}

static void send_raw(void *context, hythe_call *c)
{
	static const char text[] = "{\"status\":{\"code\":202},\"mine\":true}";

	(void)context;
	hythe_reply_raw(c, (struct hythe_bytes){ text, sizeof(text) - 1 }, 202);
}

static void raw_replies_go_out_as_they_are(void **state)
{
	hythe_host *host = start_call(send_raw);

	(void)state;
	predict(host, "{\"strData\":\"s\"}");
	assert_int_equal(answer.status, 202);
	assert_string_equal(answer.body, "{\"status\":{\"code\":202},\"mine\":true}");
	finish(host);
}

/* ---- life ---- */

static void configs_that_cannot_be_are_told(void **state)
{
	static const char *const address[] = { "127.0.0.1:0" };
	static const char *const unknown[][2] = { { "max-body-byte", "1" } };
	static const char *const odd[][2] = { { "max-body-bytes", "much" } };
	static const struct {
		struct hythe_host_config config;
		const char *why;
	} rows[] = {
		{ { .call = echo }, "a host needs an address" },
		{ { .addresses = address, .address_count = 1 }, "has neither" },
		{ { .addresses = address, .address_count = 1, .call = echo, .name = "a b" }, "a b" },
		{ { .addresses = address, .address_count = 1, .call = echo, .threads = 5000 }, "5000 threads" },
		{ { .addresses = address, .address_count = 1, .call = echo, .settings = unknown, .setting_count = 1 },
		  "max-body-byte" },
		{ { .addresses = address, .address_count = 1, .call = echo, .settings = odd, .setting_count = 1 },
		  "'much' is not a size" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct hythe_host_config config = rows[i].config;
		char why[HYTHE_ERROR_SIZE] = "";

		config.size = sizeof(config);
		assert_null(hythe_host_new(&config, why));
		if (!strstr(why, rows[i].why))
			fail_msg("row %zu: '%s'", i, why);
	}
}

static void settings_are_limits(void **state)
{
	static const char *const settings[][2] = { { "max-body-bytes", "1k" }, { "compression", "true" } };
	static char body[4096];
	hythe_host *host = start((struct hythe_host_config){ .call = echo, .settings = settings, .setting_count = 2 });

	(void)state;
	snprintf(body, sizeof(body), "{\"strData\":\"%02000d\"}", 0);
	predict(host, body);
	assert_int_equal(answer.status, 413);
	finish(host);
}

static void an_older_callers_shorter_config_is_understood(void **state)
{
	static const char *const address[] = { "127.0.0.1:0" };
	struct hythe_host_config config = {
		.size = offsetof(struct hythe_host_config, app), .addresses = address, .address_count = 1, .call = echo
	};
	char why[HYTHE_ERROR_SIZE] = "";
	hythe_host *host;

	(void)state;
	config.app = (const struct hythe_app *)&config; /* behind its end */
	host = hythe_host_new(&config, why);
	assert_non_null(host);
	hythe_host_free(host);
	assert_int_equal(hythe_host_api(), HYTHE_HOST_API);
}

static void a_stop_ends_the_wait(void **state)
{
	hythe_host *host = start_call(echo);

	(void)state;
	assert_int_equal(hythe_host_wait_for(host, 0), 0);
	hythe_host_stop(host);
	hythe_host_wait(host);
	assert_int_equal(hythe_host_wait_for(host, 0), 1);
	hythe_host_stop(host); /* again: nothing */
	finish(host);
}

static void a_stop_before_the_start_counts(void **state)
{
	static const char *const address[] = { "127.0.0.1:0" };
	struct hythe_host_config config = {
		.size = sizeof(config), .addresses = address, .address_count = 1, .call = echo
	};
	char why[HYTHE_ERROR_SIZE] = "";
	hythe_host *host = hythe_host_new(&config, why);

	(void)state;
	assert_non_null(host);
	hythe_host_stop(host);
	assert_int_equal(hythe_host_start(host, why), 1);
	hythe_host_wait(host);
	hythe_host_free(host);
}

static void the_end_of_the_adopted_connection_ends_the_host(void **state)
{
	int pair[2];
	hythe_host *host;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	host = start((struct hythe_host_config){ .adopt_fd = pair[0], .call = echo });
	assert_int_equal(hythe_host_wait_for(host, 0), 0);
	close(pair[1]);
	hythe_host_wait(host);
	finish(host);
}

static void a_stop_closes_the_adopted_connection(void **state)
{
	char byte[256];
	int pair[2];
	hythe_host *host;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	host = start((struct hythe_host_config){ .adopt_fd = pair[0], .call = echo });
	hythe_host_stop(host);
	while (recv(pair[1], byte, sizeof(byte), 0) > 0) /* HTTP/2's settings and GOAWAY */
		;
	hythe_host_wait(host);
	close(pair[1]);
	finish(host);
}

/* ---- driven by the test itself ---- */

static hythe_host *start_here(struct hythe_host_config config)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	char why[HYTHE_ERROR_SIZE] = "";
	hythe_host *host;

	config.size = sizeof(config);
	config.addresses = addresses;
	config.address_count = 1;
	config.call = echo;
	config.is_driven = 1;
	host = hythe_host_new(&config, why);
	if (!host || !hythe_host_start(host, why))
		fail_msg("%s", why);
	return host;
}

static void a_driven_host_has_one_thread(void **state)
{
	struct hythe_host_config config = {
		.size = sizeof(config), .adopt_fd = 1, .call = echo, .threads = 2, .is_driven = 1
	};
	char why[HYTHE_ERROR_SIZE] = "";

	(void)state;
	assert_null(hythe_host_new(&config, why));
	assert_non_null(strstr(why, "a driven host has one"));
}

static void a_driven_host_that_was_never_run_is_freed(void **state)
{
	(void)state;
	hythe_host_free(start_here((struct hythe_host_config){ 0 }));
}

static void the_number_of_a_signal_stops_the_run(void **state)
{
	hythe_host *host = start_here((struct hythe_host_config){ 0 });
	const char number = SIGTERM;

	(void)state;
	assert_int_equal(write(hythe_host_signal_fd(host), &number, 1), 1);
	assert_int_equal(hythe_host_run(host), 1);
	assert_int_equal(hythe_host_run(host), 1); /* again: nothing */
	assert_int_equal(hythe_host_turn(host), 0);
	assert_int_equal(hythe_host_wait_for(host, 0), 1);
	hythe_host_free(host);
}

struct holder {
	int waits, resumes;
};

static void let_go(void *context)
{
	struct holder *h = context;

	assert_int_equal(h->waits++, h->resumes);
}

static int take_back(void *context)
{
	struct holder *h = context;

	return ++h->resumes == h->waits;
}

static void a_run_ends_when_it_is_told_to_and_goes_on_after(void **state)
{
	struct holder h = { 0 };
	hythe_host *host =
	    start_here((struct hythe_host_config){ .context = &h, .waits = let_go, .resumes = take_back });
	const char number = SIGUSR1;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(write(hythe_host_signal_fd(host), &number, 1), 1);
		assert_int_equal(hythe_host_run(host), 0);
		assert_in_range(h.resumes, i, 2 * i);
	}
	assert_int_equal(h.waits, h.resumes);
	hythe_host_free(host);
}

static void comes(void *context)
{
	*(int *)context = 1;
}

static int has_come(void *context)
{
	return *(int *)context;
}

static void a_signal_just_before_the_sleep_ends_the_run(void **state)
{
	int flag = 0;
	hythe_host *host =
	    start_here((struct hythe_host_config){ .context = &flag, .waits = comes, .resumes = has_come });

	(void)state;
	assert_int_equal(hythe_host_run(host), 0); /* nothing wakes it */
	hythe_host_free(host);
}

/* The descriptor alone tells of time that has passed: the client sends nothing. */
static void an_event_loop_watches_one_descriptor(void **state)
{
	static const char *const settings[][2] = { { "idle-timeout", "30ms" } };
	hythe_host *host = start_here((struct hythe_host_config){ .settings = settings, .setting_count = 1 });
	int fd = connect_to(hythe_host_address(host, 0));
	struct pollfd both[2] = { { .fd = hythe_host_fd(host), .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	char byte;

	(void)state;
	while (!(both[1].revents & POLLIN)) {
		assert_in_range(poll(both, 2, 30000), 1, 2);
		assert_int_equal(hythe_host_turn(host), 1);
	}
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	hythe_host_stop(host);
	do
		assert_int_equal(poll(both, 1, 30000), 1);
	while (hythe_host_turn(host));
	assert_int_equal(hythe_host_fd(host), -1);
	hythe_host_free(host);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers_arrive_as_int64_and_go_back_whole),
		cmocka_unit_test(lists_that_are_no_array_arrive_as_their_text),
		cmocka_unit_test(text_bytes_and_json_arrive_as_they_are),
		cmocka_unit_test(meta_goes_both_ways),
		cmocka_unit_test(v2_asks_the_same_function),
		cmocka_unit_test(errors_are_told_as_the_function_said),
		cmocka_unit_test(a_function_that_forgets_to_reply_is_an_error),
		cmocka_unit_test(methods_that_are_not_there_answer_as_seldons_wrapper),
		cmocka_unit_test(lent_memory_is_released_once),
		cmocka_unit_test(an_array_that_does_not_fit_its_shape_is_an_error),
		cmocka_unit_test(raw_replies_go_out_as_they_are),
		cmocka_unit_test(configs_that_cannot_be_are_told),
		cmocka_unit_test(settings_are_limits),
		cmocka_unit_test(an_older_callers_shorter_config_is_understood),
		cmocka_unit_test(a_stop_ends_the_wait),
		cmocka_unit_test(a_stop_before_the_start_counts),
		cmocka_unit_test(the_end_of_the_adopted_connection_ends_the_host),
		cmocka_unit_test(a_stop_closes_the_adopted_connection),
		cmocka_unit_test(a_driven_host_has_one_thread),
		cmocka_unit_test(a_driven_host_that_was_never_run_is_freed),
		cmocka_unit_test(the_number_of_a_signal_stops_the_run),
		cmocka_unit_test(a_run_ends_when_it_is_told_to_and_goes_on_after),
		cmocka_unit_test(a_signal_just_before_the_sleep_ends_the_run),
		cmocka_unit_test(an_event_loop_watches_one_descriptor),
	};

	(void)argv;
	is_driven = argc > 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
