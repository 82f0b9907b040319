/* SPDX-License-Identifier: Apache-2.0 */
/* serve_code - code of a user's, in processes of its own interpreter; this one listens and hands requests on. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/python.h"
#include "cli/serving.h"
#include "cli/targets.h"
#include "workers/workers.h"

enum { ARGUMENTS_MAX = 64, PROCESSES_MAX = 255, THREADS_MAX = 1024 };

struct serving {
	const struct cli_call *call;
	const struct serve_options *options;
	struct metrics *metrics;
	struct workers *workers;
	struct server *server;
	const char *arguments[ARGUMENTS_MAX];
	size_t argument_count;
	const char *environment[4];
};

/* ---- the worker's command line ---- */

static void argument(struct serving *s, const char *text)
{
	ASSERT(s->argument_count + 1 < ARGUMENTS_MAX);
	s->arguments[s->argument_count++] = text;
}

/* A flag with a number, or a setting of the worker's own server: "--threads 4", "--set max-body-bytes=67108864". */
static bool argument_number(struct serving *s, const char *flag, const char *name, uint64_t value, struct error *err)
{
	char text[96];
	int len = snprintf(text, sizeof(text), "%s%s%llu", name, *name ? "=" : "", (unsigned long long)value);
	struct span copy = arena_copy(s->call->arena, (struct span){ text, (size_t)len }, err);

	argument(s, flag);
	argument(s, copy.ptr);
	return copy.ptr != NULL;
}

static bool argument_time(struct serving *s, const char *name, int64_t ms, struct error *err)
{
	char text[96];
	int len = snprintf(text, sizeof(text), "%s=%lldms", name, (long long)ms);
	struct span copy = arena_copy(s->call->arena, (struct span){ text, (size_t)len }, err);

	argument(s, "--set");
	argument(s, copy.ptr);
	return copy.ptr != NULL;
}

static bool argument_text(struct serving *s, const char *name, const char *value, struct error *err)
{
	char text[4096];
	int len = snprintf(text, sizeof(text), "%s=%s", name, value);
	struct span copy = arena_copy(s->call->arena, span_from(text, MIN((size_t)len, sizeof(text) - 1)), err);

	argument(s, "--set");
	argument(s, copy.ptr);
	return copy.ptr != NULL;
}

/* For the connections that a worker serves itself: what holds for those that are served here. */
static bool server_arguments(struct serving *s, const struct server_limits *limits, struct error *err)
{
	static const char *const access_logs[] = { "off", "text", "json" };
	const struct serve_options *o = s->options;

	return argument_time(s, "request-timeout", limits->request_timeout_ms, err) &&
	       argument_time(s, "idle-timeout", limits->idle_timeout_ms, err) &&
	       argument_time(s, "read-timeout", limits->read_timeout_ms, err) &&
	       argument_time(s, "write-timeout", limits->write_timeout_ms, err) &&
	       argument_time(s, "drain-timeout", limits->drain_timeout_ms, err) &&
	       argument_text(s, "access-log", access_logs[o->access_log], err) &&
	       (!o->cors_origin || argument_text(s, "cors-origin", o->cors_origin, err)) &&
	       (!o->server_name || argument_text(s, "server-name", o->server_name, err));
}

static bool worker_arguments(struct serving *s, const struct server_limits *limits, struct error *err)
{
	const struct serve_options *o = s->options;
	struct target target = target_split(s->call->arguments[0]);
	const char *python = python_find(o->code.python, s->call->arena, err);

	if (!python)
		return false;
	argument(s, python);
	argument(s, "-m");
	argument(s, "hythe.worker");
	if (!argument_number(s, "--threads", "", o->code.threads, err) ||
	    !argument_number(s, "--set", "max-body-bytes", o->limits.body_bytes, err) ||
	    !argument_number(s, "--set", "max-answer-bytes", o->limits.answer_bytes, err) ||
	    !argument_number(s, "--set", "max-request-memory", o->limits.request_memory, err) ||
	    !argument_number(s, "--set", "max-header-bytes", o->limits.header_bytes, err) ||
	    !server_arguments(s, limits, err))
		return false;
	if (target.name.len > 0) {
		struct span name = arena_copy(s->call->arena, target.name, err);

		if (!name.ptr)
			return false;
		argument(s, "--name");
		argument(s, name.ptr);
	} else if (o->names.count > 0) {
		argument(s, "--name");
		argument(s, o->names.items[0]);
	}
	if (o->code.parameters) {
		argument(s, "--parameters");
		argument(s, o->code.parameters);
	}
	if (o->code.trust) {
		argument(s, "--trust");
		argument(s, o->code.trust);
	}
	if (o->code.expose_errors)
		argument(s, "--expose-errors");
	if (!o->compression) {
		argument(s, "--set");
		argument(s, "compression=off");
	}
	argument(s, target.path);
	return true;
}

static bool worker_environment(struct serving *s, unsigned count, struct error *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	char text[64];
	int len = snprintf(text, sizeof(text), "HYTHE_CORES=%ld", MAX(cores / (long)count, 1));
	struct span copy = arena_copy(s->call->arena, (struct span){ text, (size_t)len }, err);

	s->environment[0] = copy.ptr;
	s->environment[1] = python_path_variable(s->call->arena, err);
	return copy.ptr != NULL;
}

/* ---- what it prints ---- */

static void announce(const struct serving *s, unsigned count)
{
	bool is_component = strcmp(workers_kind(s->workers), "component") == 0;
	struct describe_target target = { 0 };
	struct buffer out, url;

	buffer_init(&out, MIB(1));
	buffer_init(&url, KIB(4));
	serving_print_addresses(
	    s->options, s->server,
	    is_component ? "HTTP/1.1, HTTP/2, gRPC; Seldon, V2, V1, records" : "HTTP/1.1, HTTP/2, WebSocket", &out);
	if (!s->options->quiet) {
		serving_target(s->options, server_address(s->server, 0), &target, &url);
		buffer_print(&out, "  %s, %u %s\nTry:\n  curl -s ", workers_text(s->workers), count,
			     count == 1 ? "process" : "processes");
		if (target.unix_socket.len)
			buffer_print(&out, "--unix-socket " SPAN_FMT " ", SPAN_ARG(target.unix_socket));
		buffer_append(&out, target.url);
		buffer_append(&out,
			      is_component ? SPAN("/predict -d '{\"data\":{\"ndarray\":[[1,2]]}}'\n") : SPAN("/\n"));
	}
	fwrite(out.ptr, 1, out.len, stdout);
	(void)fflush(stdout); /* nobody listening to it is no reason not to serve */
	buffer_done(&url);
	buffer_done(&out);
}

static bool write_pidfile(const struct serving *s, struct error *err)
{
	const char *path = s->options->code.pidfile;
	AUTO_CLOSE int fd = -1;

	if (!path)
		return true;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return error_errno(err, errno, "--pidfile '%s'", path);
	return true;
}

/* ---- start ---- */

/* --timeout says how long code may take; a limit on requests that nobody set must not cut that short. */
static void raise_request_timeout(struct server_limits *limits, int64_t timeout_ms)
{
	int64_t initial_ms = server_limits_default().request_timeout_ms;

	if (limits->request_timeout_ms == initial_ms && timeout_ms == 0)
		limits->request_timeout_ms = 0;
	else if (limits->request_timeout_ms == initial_ms && timeout_ms > initial_ms / 2)
		limits->request_timeout_ms = 2 * timeout_ms;
}

/* A worker that is busy with a call looks at no clock: the time limit of connections that it serves itself is --timeout, kept from
 * here. One that is shorter needs us between the two. */
static bool may_be_direct(const struct server_limits *limits, int64_t timeout_ms)
{
	return limits->request_timeout_ms == 0 || (timeout_ms > 0 && limits->request_timeout_ms >= timeout_ms);
}

/* To load code may take minutes; who says meanwhile that it is to end is heard. */
static bool is_told_to_end(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

static bool start(struct serving *s, unsigned count, struct error *err)
{
	static const struct route *const routes[] = { workers_routes, NULL };
	const struct serve_options *o = s->options;
	struct server_config server = serving_config(o);
	struct workers_config config = {
		.argv = s->arguments,
		.environment = s->environment,
		.count = count,
		.is_preloaded = o->code.preload,
		.timeout_ms = o->code.timeout_ms,
		.start_timeout_ms = o->code.start_timeout_ms,
		.graceful_timeout_ms = o->code.graceful_timeout_ms,
		.max_requests = o->code.max_requests,
		.max_requests_jitter = o->code.max_requests_jitter,
		.rss_limit = o->code.max_rss,
		.queue_limit = o->limits.queue,
		.expose_errors = o->code.expose_errors,
		.metrics = s->metrics,
		.metrics_path = o->code.metrics_path,
		.ready_path = o->code.ready_path,
	};

	raise_request_timeout(&server.limits, o->code.timeout_ms);
	config.is_direct = may_be_direct(&server.limits, o->code.timeout_ms);
	if (!worker_arguments(s, &server.limits, err) || !worker_environment(s, count, err))
		return false;
	s->workers = workers_new(&config);
	server.routes = routes;
	server.context = s->workers;
	server.workers = 1; /* one loop has the queue and all workers */
	server.metrics = s->metrics;
	server.worker_started = workers_loop_started;
	if (config.is_direct && count == 1) {
		server.offer = workers_offer;
		server.loans_due = workers_loans_due;
	}
	server.listens_late =
	    true; /* who can connect is answered: whatever asks for readiness that way is told the truth */
	s->server = server_new(&server, err);
	if (!s->server || !server_start(s->server, err) || !workers_start(s->workers, is_told_to_end, err) ||
	    !server_listen(s->server, err))
		return false;
	return write_pidfile(s, err);
}

static void reload(void *context)
{
	const struct serving *s = context;

	serving_reload_tls(s->options, s->server);
	workers_reload(s->workers);
}

int serve_code(const struct cli_call *call)
{
	struct serving s = { .call = call, .options = call->options };
	unsigned count = (unsigned)MAX(s.options->workers, 1);
	struct error err = { 0 };
	int code = EXIT_OK;

	if (count > PROCESSES_MAX || s.options->code.threads > THREADS_MAX || s.options->code.threads == 0) {
		error_set(&err, ERROR_INVALID, "--workers is at most %d and --threads 1 to %d", PROCESSES_MAX,
			  THREADS_MAX);
		cli_complain(call->command, &err);
		return EXIT_USAGE;
	}
	s.metrics = metrics_new();
	if (start(&s, count, &err)) {
		announce(&s, count);
		(void)serving_wait(reload, NULL, 0, &s);
		serving_drain(s.server);
	} else {
		if (err.code == ERROR_CANCELLED)
			log_info("serve", err.message);
		else
			cli_complain(call->command, &err);
		code = err.code == ERROR_CANCELLED ? EXIT_OK : EXIT_FAILED;
		if (s.server) {
			server_drain(s.server);
			server_wait(s.server);
		}
	}
	if (s.workers)
		workers_stop(s.workers);
	if (s.options->code.pidfile && code == EXIT_OK)
		(void)unlink(s.options->code.pidfile); /* gone already is as good */
	server_free(s.server);
	workers_free(s.workers);
	metrics_free(s.metrics);
	return code;
}
