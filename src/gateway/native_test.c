/* SPDX-License-Identifier: Apache-2.0 */
/* native_test - models that the gateway has itself: loaded, asked through a whole server, changed, gone. */
#include "gateway/native.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "inference/inference.h"
#include "loop/loop.h"
#include "net/client.h"
#include "net/server.h"
#include "wire/protobuf.h"

enum { PATIENCE_S = 60 };

/* ---- files ---- */

static char folder[64];

static const char *path_of(const char *name)
{
	static char paths[4][128];
	static size_t next;
	char *path = paths[next++ % ARRAY_LEN(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const char *text, int64_t age_s)
{
	struct timespec times[2];
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= age_s;
	times[1] = times[0];
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static int folder_make(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/hythe-native-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	static const char *const names[] = { "model.json", "in/other.json", "in/.hidden" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlink(path_of(names[i]));
	(void)rmdir(path_of("in"));
	return rmdir(folder);
}

/* ---- a native with its loop, and who hears its events ---- */

struct bench {
	struct cluster cluster; /* first */
	struct loop *loop;
	struct native *native;
	struct arena arena;
	struct timer patience;
	int changes, events;
	char reason[64], text[256];
	bool is_late;
	/* A call over HTTP/2. */
	struct buffer body;
	bool is_closed;
};

static void event(struct cluster *c, const struct value *object, const char *type, const char *reason,
		  const char *component, const char *text)
{
	struct bench *b = (struct bench *)c;

	assert_string_equal(type, "Warning");
	assert_string_equal(component, "hythe-gateway");
	assert_true(span_equal(value_find_string(object, "metadata.name"), SPAN("web")));
	b->events++;
	(void)snprintf(b->reason, sizeof(b->reason), "%s", reason);
	(void)snprintf(b->text, sizeof(b->text), "%s", text);
}

static const struct cluster_ops cluster_ops = { .event = event };

static void changed(void *context)
{
	struct bench *b = context;

	b->changes++;
	loop_stop(b->loop);
}

static void late(struct timer *t)
{
	struct bench *b = CONTAINER_OF(t, struct bench, patience);

	b->is_late = true;
	loop_stop(b->loop);
}

static void run(struct bench *b)
{
	loop_timer_set(b->loop, &b->patience, clock_monotonic_ns() + PATIENCE_S * NS_PER_S, late);
	loop_run(b->loop);
	loop_timer_clear(b->loop, &b->patience);
	assert_false(b->is_late);
}

static void until_changes(struct bench *b, int count)
{
	while (b->changes < count)
		run(b);
}

static struct bench *bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->cluster.ops = &cluster_ops;
	b->loop = loop_new();
	arena_init(&b->arena, MIB(16));
	b->native = native_new(&b->cluster, b->loop, NULL, changed, b);
	return b;
}

static void bench_free(struct bench *b)
{
	native_free(b->native);
	loop_free(b->loop);
	arena_done(&b->arena);
	free(b);
}

static struct value service(struct bench *b, const char *model, const char *meta)
{
	struct value_reading reading = { 0 };
	struct error err = { 0 };
	struct value v;
	struct span text = arena_print(&b->arena, &err,
				       "{\"metadata\":{\"name\":\"web\",\"annotations\":{"
				       "\"hythe.dev/native-model\":\"%s\",\"hythe.dev/native-name\":\"classifier\","
				       "\"hythe.dev/native-meta\":\"%s\"}}}",
				       path_of(model), meta);

	if (!value_parse(text, &reading, &b->arena, &v, &err))
		fail_msg("%s", err.message);
	return v;
}

#define META_SELDON "{\\\"image\\\":\\\"hythe:1\\\",\\\"protocol\\\":\\\"seldon\\\"}"
#define META_KSERVE "{\\\"protocol\\\":\\\"kserve\\\"}"
#define META_V2     "{\\\"image\\\":\\\"hythe:1\\\",\\\"protocol\\\":\\\"v2\\\"}"

static struct inference *load(struct bench *b, const char *model, const char *meta)
{
	struct value v = service(b, model, meta);
	int before = b->changes;
	struct inference *i;

	assert_null(native_of(b->native, &v));
	until_changes(b, before + 1);
	i = native_of(b->native, &v);
	assert_non_null(i);
	return i;
}

/* ---- a server whose arrivals go to it ---- */

static struct inference *serving;

static bool arrive(struct request *req)
{
	if (!native_takes(serving, req, req->path))
		return false;
	req->context = serving;
	native_begin(serving, req);
	return true;
}

static void refused(struct request *req)
{
	buffer_append(&req->out, SPAN("for its pods"));
	request_send(req, 418, (struct span){ 0 });
}

static const struct route rest[] = {
	{ ~0u, "*", refused, &surface_plain, ROUTE_STREAM },
	{ 0 },
};

static struct server *serve(struct inference *i)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	static const struct route *routes[32] = { rest };
	struct error err = { 0 };
	struct server_config config = {
		.addresses = addresses,
		.address_count = 1,
		.routes = routes,
		.workers = 1,
		.compute_threads = 1,
		.limits = server_limits_default(),
		.arrive = arrive,
	};
	struct server *s;

	for (size_t t = 0; inference_routes[t]; t++)
		routes[t + 1] = inference_routes[t];
	serving = i;
	s = server_new(&config, &err);
	if (!s || !server_start(s, &err))
		fail_msg("%s", err.message);
	return s;
}

static int connect_to(const struct server *s)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons((uint16_t)strtoul(strrchr(server_address(s, 0), ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

/* The whole answer, on a connection of its own. */
static const char *ask(const struct server *s, const char *head, const char *body)
{
	static char text[8192];
	struct pollfd p = { .fd = connect_to(s), .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;
	int size =
	    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		     head, strlen(body), body);

	assert_int_equal(send(p.fd, text, (size_t)size, MSG_NOSIGNAL), size);
	while (n > 0) {
		assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
		n = recv(p.fd, text + len, sizeof(text) - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = 0;
	close(p.fd);
	return text;
}

static void assert_has(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no '%s' in: %s", words, text);
}

/* ---- loading ---- */

static void a_model_answers_as_a_deployment_of_one_node(void **state)
{
	struct bench *b = bench_new();
	struct inference *i;
	struct server *s;
	const char *answer;

	(void)state;
	write_file("model.json", "{\"coef\":[0.5,-1,2],\"intercept\":-0.5}", 10);
	i = load(b, "model.json", META_SELDON);
	s = serve(i);
	answer = ask(s, "POST /api/v1.0/predictions", "{\"data\":{\"ndarray\":[[2,1,1]]}}");
	assert_has(answer, "\"ndarray\":[[");
	assert_has(answer, "\"requestPath\":{\"classifier\":\"hythe:1\"},\"routing\":{\"classifier\":-1}}}");
	assert_has(answer, "\"meta\":{\"puid\":\"");
	answer = ask(
	    s, "POST /api/v0.1/predictions",
	    "{\"data\":{\"ndarray\":[[2,1,1]]},\"meta\":{\"puid\":\"mine\",\"routing\":{\"x\":1},\"tags\":{\"a\":1}}}");
	assert_has(answer, "\"meta\":{\"puid\":\"mine\",\"requestPath\":{\"classifier\":\"hythe:1\"},"
			   "\"routing\":{\"classifier\":-1},\"tags\":{\"a\":1}}");
	assert_has(answer, "seldon-puid: mine\r\n");
	assert_has(answer, "x-content-type-options: nosniff\r\naccess-control-allow-origin: *\r\n");
	answer = ask(s, "POST /api/v1.0/predictions", "{\"data\":1}");
	assert_has(answer, "HTTP/1.1 400");
	assert_has(answer, "seldon-puid: ");
	assert_has(answer, "nosniff");
	answer = ask(s, "POST /api/v1.0/feedback", "{}");
	assert_has(answer, "HTTP/1.1 418");
	server_free(s);
	native_release(i);
	bench_free(b);
}

/* ---- gRPC ---- */

static void on_head(struct client_stream *c, int status, const struct header *headers, size_t count)
{
	(void)c, (void)headers, (void)count;
	assert_int_equal(status, 200);
}

static void on_body(struct client_stream *c, struct span bytes)
{
	struct bench *b = client_stream_owner(c);

	buffer_append(&b->body, bytes);
	client_taken(c, bytes.len);
}

static void on_end(struct client_stream *c, const struct header *trailers, size_t count)
{
	(void)c;
	for (size_t i = 0; i < count; i++)
		if (span_equal(trailers[i].name, SPAN("grpc-status")))
			assert_true(span_equal(trailers[i].value, SPAN("0")));
}

static void on_closed(struct client_stream *c, const struct error *why)
{
	struct bench *b = client_stream_owner(c);

	assert_null(why);
	b->is_closed = true;
	loop_stop(b->loop);
}

static void on_lost(struct client *c, const struct error *why)
{
	(void)c, (void)why;
}

static bool has_bytes(const struct buffer *b, struct span bytes)
{
	return memmem(b->ptr, b->len, bytes.ptr, bytes.len) != NULL;
}

static void a_model_answers_over_grpc_too(void **state)
{
	static const struct client_ops ops = { on_lost };
	static const struct client_stream_ops stream_ops = { on_head, on_body, on_end, NULL, on_closed };
	static const struct header headers[] = { { SPAN_INIT("content-type"), SPAN_INIT("application/grpc") },
						 { SPAN_INIT("te"), SPAN_INIT("trailers") },
						 { SPAN_INIT("seldon"), SPAN_INIT("iris") } };
	/* SeldonMessage { data { tensor { shape 1, 3; values 2, 1, 1 } } } */
	static const char question[] = "\0\0\0\0\42"
				       "\x1a\x20\x12\x1e"
				       "\x0a\x02\x01\x03\x12\x18"
				       "\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\x3f";
	struct client_head head = { .method = SPAN("POST"),
				    .scheme = SPAN("http"),
				    .authority = SPAN("a"),
				    .path = SPAN("/seldon.protos.Seldon/Predict"),
				    .headers = headers,
				    .header_count = 3 };
	struct bench *b = bench_new();
	struct client_stream *call;
	struct client *c;
	struct inference *i;
	struct server *s;

	(void)state;
	buffer_init(&b->body, MIB(1));
	write_file("model.json", "{\"coef\":[0.5,-1,2],\"intercept\":-0.5}", 10);
	i = load(b, "model.json", META_SELDON);
	s = serve(i);
	c = client_new(b->loop, connect_to(s), &ops, b);
	call = client_open(c, &head, false, &stream_ops, b);
	client_write(call, span_from(question, 5 + 34));
	client_end(call);
	while (!b->is_closed)
		run(b);
	/* requestPath and routing of the node; -1 is ten bytes long. A new puid has 36. */
	assert_true(has_bytes(&b->body, SPAN("\x22\x15\x0a\x0a"
					     "classifier\x12\x07"
					     "hythe:1")));
	assert_true(has_bytes(&b->body, SPAN("\x1a\x17\x0a\x0a"
					     "classifier\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")));
	assert_true(has_bytes(&b->body, SPAN("\x0a\x24")));
	client_free(c);
	server_free(s);
	native_release(i);
	buffer_done(&b->body);
	bench_free(b);
}

/* ---- changes ---- */

static void a_file_that_changes_makes_a_new_model_and_the_old_one_stays_for_those_who_have_it(void **state)
{
	struct bench *b = bench_new();
	struct inference *old, *now;
	struct server *s;
	struct value v = service(b, "model.json", META_SELDON);

	(void)state;
	write_file("model.json", "{\"coef\":[1,1,1],\"intercept\":0}", 10);
	old = load(b, "model.json", META_SELDON);
	s = serve(old);
	assert_has(ask(s, "POST /api/v1.0/predictions", "{\"data\":{\"ndarray\":[[2,1,1]]}}"), "4");
	write_file("model.json", "{\"coef\":[1,1],\"intercept\":0}", 5);
	until_changes(b, 2);
	now = native_of(b->native, &v);
	assert_ptr_not_equal(now, old);
	assert_has(ask(s, "POST /api/v1.0/predictions", "{\"data\":{\"ndarray\":[[2,1,1]]}}"), "HTTP/1.1 200");
	server_free(s);
	native_release(old);
	s = serve(now);
	assert_has(ask(s, "POST /api/v1.0/predictions", "{\"data\":{\"ndarray\":[[2,1]]}}"), "HTTP/1.1 200");
	server_free(s);
	/* A file that is broken leaves the model that was, and the service is told. */
	write_file("model.json", "{\"coef\":", 3);
	until_changes(b, 3);
	assert_ptr_equal(native_of(b->native, &v), now);
	assert_int_equal(b->events, 1);
	native_release(now);
	/* What plans have outlives it. */
	bench_free(b);
	assert_int_equal(inference_count(now), 1);
	native_release(now);
}

static void a_model_that_cannot_be_loaded_is_told_once_and_tried_again_when_its_file_is_another(void **state)
{
	struct bench *b = bench_new();
	struct value v = service(b, "model.json", META_SELDON);
	struct inference *i;

	(void)state;
	write_file("model.json", "no model", 10);
	assert_null(native_of(b->native, &v));
	until_changes(b, 1);
	assert_int_equal(b->events, 0);
	assert_null(native_of(b->native, &v));
	assert_null(native_of(b->native, &v));
	assert_int_equal(b->events, 1);
	assert_string_equal(b->reason, "ModelNotNative");
	write_file("model.json", "{\"coef\":[1,1],\"intercept\":0}", 5);
	until_changes(b, 2);
	i = native_of(b->native, &v);
	assert_non_null(i);
	assert_int_equal(b->events, 1);
	native_release(i);
	bench_free(b);
}

static void a_folder_stands_for_the_one_model_in_it(void **state)
{
	struct bench *b = bench_new();
	struct value v = service(b, "in", META_V2), again = service(b, "in", META_V2);
	struct inference *i, *same;

	(void)state;
	assert_int_equal(mkdir(path_of("in"), 0700), 0);
	write_file("in/.hidden", "x", 10);
	assert_null(native_of(b->native, &v));
	until_changes(b, 1);
	assert_null(native_of(b->native, &v));
	assert_has(b->text, "no model file in this folder");
	write_file("in/other.json", "{\"coef\":[1,1],\"intercept\":0}", 10);
	until_changes(b, 2);
	i = native_of(b->native, &v);
	same = native_of(b->native, &again);
	assert_non_null(i);
	assert_ptr_equal(i, same);
	native_release(i);
	native_release(same);
	bench_free(b);
}

static void a_service_that_says_nothing_has_no_model(void **state)
{
	struct bench *b = bench_new();
	struct value none = value_object();

	(void)state;
	assert_null(native_of(b->native, &none));
	bench_free(b);
	native_free(NULL);
}

static void answers_of_other_protocols_have_a_puid_in_their_headers(void **state)
{
	struct bench *b = bench_new();
	struct inference *i;
	struct server *s;
	const char *answer;

	(void)state;
	write_file("model.json", "{\"coef\":[1,1],\"intercept\":0}", 10);
	i = load(b, "model.json", META_V2);
	s = serve(i);
	answer = ask(s, "POST /v2/models/classifier/infer",
		     "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP64\",\"data\":[1,2]}]}");
	assert_has(answer, "HTTP/1.1 200");
	assert_has(answer, "\"model_name\":\"classifier\"");
	assert_has(answer, "seldon-puid: ");
	assert_has(answer, "nosniff");
	server_free(s);
	native_release(i);
	bench_free(b);
}

static void answers_where_no_orchestrator_is_have_nothing_of_one(void **state)
{
	struct bench *b = bench_new();
	struct inference *i;
	struct server *s;
	const char *answer;

	(void)state;
	write_file("model.json", "{\"coef\":[1,1],\"intercept\":0}", 10);
	i = load(b, "model.json", META_KSERVE);
	s = serve(i);
	answer = ask(s, "POST /v1/models/classifier:predict", "{\"instances\":[[1,2]]}");
	assert_has(answer, "HTTP/1.1 200");
	assert_has(answer, "{\"predictions\":[");
	assert_null(strstr(answer, "puid"));
	assert_null(strstr(answer, "nosniff"));
	answer = ask(s, "POST /v2/models/classifier/infer",
		     "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP64\",\"data\":[1,2]}]}");
	assert_has(answer, "\"model_name\":\"classifier\"");
	assert_null(strstr(answer, "puid"));
	assert_has(ask(s, "POST /v1/models/other:predict", "{\"instances\":[[1,2]]}"), "HTTP/1.1 404");
	server_free(s);
	native_release(i);
	bench_free(b);
}

static void predictions_of_the_protocol_are_taken_and_nothing_else(void **state)
{
	static const struct {
		enum { SELDON, V2, KSERVE } how;
		bool is_grpc, is_taken;
		enum method method;
		const char *path;
	} rows[] = {
		{ SELDON, false, true, METHOD_POST, "/api/v1.0/predictions" },
		{ SELDON, false, true, METHOD_POST, "/api/v0.1/predictions" },
		{ SELDON, false, false, METHOD_GET, "/api/v1.0/predictions" },
		{ SELDON, false, false, METHOD_POST, "/api/v1.0/feedback" },
		{ SELDON, false, false, METHOD_POST, "/v2/models/classifier/infer" },
		{ SELDON, false, false, METHOD_GET, "/metrics" },
		{ SELDON, true, true, METHOD_POST, "/seldon.protos.Seldon/Predict" },
		{ SELDON, true, false, METHOD_POST, "/seldon.protos.Model/Predict" },
		{ SELDON, true, false, METHOD_POST, "/inference.GRPCInferenceService/ModelInfer" },
		{ V2, false, true, METHOD_POST, "/v2/models/classifier/infer" },
		{ V2, false, true, METHOD_POST, "/v2/models/classifier/versions/1/infer" },
		{ V2, false, false, METHOD_POST, "/v2/models/infer" },
		{ V2, false, false, METHOD_POST, "/v2/repository/models/classifier/unload" },
		{ V2, false, false, METHOD_GET, "/v2/models/classifier" },
		{ V2, false, false, METHOD_POST, "/api/v1.0/predictions" },
		{ V2, true, true, METHOD_POST, "/inference.GRPCInferenceService/ModelInfer" },
		{ V2, true, false, METHOD_POST, "/inference.GRPCInferenceService/RepositoryModelUnload" },
		{ V2, false, false, METHOD_POST, "/v1/models/classifier:predict" },
		{ KSERVE, false, true, METHOD_POST, "/v1/models/classifier:predict" },
		{ KSERVE, false, true, METHOD_POST, "/v2/models/classifier/infer" },
		{ KSERVE, false, false, METHOD_POST, "/v1/models/classifier:explain" },
		{ KSERVE, false, false, METHOD_GET, "/v1/models/classifier" },
		{ KSERVE, false, false, METHOD_POST, "/api/v1.0/predictions" },
		{ KSERVE, true, true, METHOD_POST, "/inference.GRPCInferenceService/ModelInfer" },
		{ KSERVE, true, false, METHOD_POST, "/inference.GRPCInferenceService/ModelReady" },
	};
	struct bench *b = bench_new();
	struct inference *models[3];

	(void)state;
	write_file("model.json", "{\"coef\":[1,1],\"intercept\":0}", 10);
	models[SELDON] = load(b, "model.json", META_SELDON);
	models[V2] = load(b, "model.json", META_V2);
	models[KSERVE] = load(b, "model.json", META_KSERVE);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request req = { .method = rows[i].method, .is_grpc = rows[i].is_grpc };

		if (native_takes(models[rows[i].how], &req, span_of(rows[i].path)) != rows[i].is_taken)
			fail_msg("%s", rows[i].path);
	}
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		native_release(models[i]);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_model_answers_as_a_deployment_of_one_node, folder_make,
						folder_remove),
		cmocka_unit_test_setup_teardown(a_model_answers_over_grpc_too, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(
		    a_file_that_changes_makes_a_new_model_and_the_old_one_stays_for_those_who_have_it, folder_make,
		    folder_remove),
		cmocka_unit_test_setup_teardown(
		    a_model_that_cannot_be_loaded_is_told_once_and_tried_again_when_its_file_is_another, folder_make,
		    folder_remove),
		cmocka_unit_test_setup_teardown(a_folder_stands_for_the_one_model_in_it, folder_make, folder_remove),
		cmocka_unit_test(a_service_that_says_nothing_has_no_model),
		cmocka_unit_test_setup_teardown(answers_of_other_protocols_have_a_puid_in_their_headers, folder_make,
						folder_remove),
		cmocka_unit_test_setup_teardown(answers_where_no_orchestrator_is_have_nothing_of_one, folder_make,
						folder_remove),
		cmocka_unit_test_setup_teardown(predictions_of_the_protocol_are_taken_and_nothing_else, folder_make,
						folder_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
