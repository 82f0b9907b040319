/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/describe.h"
#include "cli/targets.h"

enum { THREADS_MAX = 255, NAME_COLUMN_MAX = 24, TRIM_LEAST = MIB(8) };
#define TRIM_EVERY_NS (5 * NS_PER_S)

/* What the command holds while it runs. */
struct serving {
	const struct cli_call *call;
	const struct serve_options *options;
	struct text_list features;
	struct metrics *metrics;
	struct inference *inference;
	struct server *server;
};

/* ---- what it prints ---- */

/* Where a client on this machine reaches a listener, as text of a URL and a socket's path. */
static void target_of(const struct serving *s, const char *address, struct describe_target *target, struct buffer *url)
{
	struct span text = span_of(address);

	target->is_tls = s->options->tls_certificate != NULL;
	target->wants_certificate = s->options->tls_client_ca != NULL;
	if (span_starts(text, SPAN("unix:"))) {
		target->is_tls = target->wants_certificate = false; /* TLS is for TCP listeners */
		target->unix_socket = span_skip(text, 5);
		buffer_append(url, SPAN("http://localhost"));
	} else {
		buffer_append(url, target->is_tls ? SPAN("https://") : SPAN("http://"));
		/* "Every address" is none that a client can call. */
		if (span_starts(text, SPAN("0.0.0.0:")))
			buffer_print(url, "127.0.0.1%s", address + strlen("0.0.0.0"));
		else if (span_starts(text, SPAN("[::]:")))
			buffer_print(url, "[::1]%s", address + strlen("[::]"));
		else
			buffer_append(url, text);
	}
	target->url = buffer_span(url);
}

static void put_addresses(const struct serving *s, struct buffer *out)
{
	const char *scheme = s->options->tls_certificate ? "https://" : "http://";

	for (size_t i = 0; i < s->options->listen.count; i++) {
		const char *address = server_address(s->server, i);
		bool is_unix = strncmp(address, "unix:", 5) == 0;

		if (!s->options->quiet)
			buffer_append(out,
				      i ? SPAN("             and on ") : SPAN("hythe " HYTHE_VERSION " serves on "));
		buffer_print(out, "%s%s", is_unix ? "" : scheme, address);
		if (!s->options->quiet && i == 0)
			buffer_append(out, SPAN(" (HTTP/1.1, HTTP/2, gRPC; V2, Seldon, V1, records)"));
		buffer_byte(out, '\n');
	}
}

/* Walks what is served; the first one gets the curl line. */
struct printing {
	const struct serving *serving;
	struct buffer *out;
	struct buffer curl;
};

static void put_model(const struct served *served, void *context)
{
	struct printing *p = context;

	buffer_print(p->out, "  %-12.*s ", (int)MIN(served->name.len, NAME_COLUMN_MAX), served->name.ptr);
	if (!served->model) {
		buffer_print(p->out, "not ready: " SPAN_FMT "\n", SPAN_ARG(served->reason));
		return;
	}
	buffer_append(p->out, served->info->kind);
	buffer_append(p->out, SPAN(" ("));
	describe_bytes(served->info->bytes, p->out);
	buffer_append(p->out, SPAN("): "));
	describe_specs(served->info->inputs, served->info->input_count, p->out);
	buffer_append(p->out, SPAN(" -> "));
	describe_specs(served->info->outputs, served->info->output_count, p->out);
	buffer_byte(p->out, '\n');

	if (p->curl.len == 0) {
		struct describe_target target = { .name = served->name,
						  .columns = served->columns,
						  .column_count = served->columns ? served->column_count : 0 };
		struct buffer url;

		buffer_init(&url, KIB(4));
		target_of(p->serving, server_address(p->serving->server, 0), &target, &url);
		describe_curl(served->info, &target, &p->curl);
		buffer_done(&url);
	}
}

static void announce(const struct serving *s)
{
	struct printing p = { .serving = s };
	struct buffer out;

	buffer_init(&out, MIB(1));
	buffer_init(&p.curl, MIB(1));
	p.out = &out;
	put_addresses(s, &out);
	if (!s->options->quiet) {
		inference_each(s->inference, put_model, &p);
		buffer_append(&out, SPAN("Try:\n  "));
		buffer_append(&out, buffer_span(&p.curl));
		buffer_byte(&out, '\n');
	}
	fwrite(out.ptr, 1, out.len, stdout);
	(void)fflush(stdout); /* nobody listening to it is no reason not to serve */
	buffer_done(&p.curl);
	buffer_done(&out);
}

/* ---- start ---- */

static bool check_options(const struct serving *s, struct error *err)
{
	const struct serve_options *o = s->options;

	if (!o->tls_certificate != !o->tls_key)
		return error_set(err, ERROR_INVALID, "--tls-cert and --tls-key are needed both");
	if (o->tls_client_ca && !o->tls_certificate)
		return error_set(err, ERROR_INVALID, "--tls-client-ca needs --tls-cert and --tls-key");
	if (o->workers > THREADS_MAX || o->compute_threads > THREADS_MAX)
		return error_set(err, ERROR_INVALID, "--workers and --compute-threads are at most %d", THREADS_MAX);
	if (o->names.count > s->call->argument_count)
		return error_set(err, ERROR_INVALID, "%zu times --name for %zu %s", o->names.count,
				 s->call->argument_count, s->call->argument_count == 1 ? "model" : "models");
	if (o->listen.count == 0)
		return error_set(err, ERROR_INVALID, "--listen is empty");
	return true;
}

static bool load_models(struct serving *s, struct error *err)
{
	struct inference_config config = {
		.metrics = s->metrics,
		.model_options = model_options_of(&s->options->model),
		.features = s->features.items,
		.feature_count = s->features.count,
		.watch_ns = s->options->watch_files_ms * NS_PER_MS,
	};

	s->inference = inference_new(&config);
	for (size_t i = 0; i < s->call->argument_count; i++) {
		const char *name = i < s->options->names.count ? s->options->names.items[i] : NULL;

		if (!target_serve(s->inference, s->call->arguments[i], name, s->call->arena, err))
			return false;
	}
	return true;
}

static bool start_server(struct serving *s, struct error *err)
{
	const struct serve_options *o = s->options;
	struct server_config config = {
		.addresses = o->listen.items,
		.address_count = o->listen.count,
		.tls_certificate = o->tls_certificate,
		.tls_key = o->tls_key,
		.tls_client_ca = o->tls_client_ca,
		.routes = inference_routes,
		.context = s->inference,
		.workers = (unsigned)o->workers,
		.compute_threads = (unsigned)o->compute_threads,
		.limits = o->limits,
		.metrics = s->metrics,
		.cors_origin = o->cors_origin,
		.compression = o->compression,
		.compression_least = o->compression_least,
		.access_log = (enum access_log)o->access_log,
		.server_name = o->server_name,
		.worker_started = inference_worker_started,
	};

	s->server = server_new(&config, err);
	return s->server && server_start(s->server, err);
}

/* ---- signals ---- */

static sigset_t handled_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

struct names {
	struct text_list list;
	struct arena *arena;
};

static void collect_name(const struct served *served, void *context)
{
	struct names *names = context;
	struct error err = { 0 };
	struct span name = arena_copy(names->arena, served->name, &err);

	if (name.ptr)
		names->list.items[names->list.count++] = name.ptr;
}

static void reload(struct serving *s)
{
	struct names names = { 0 };
	struct error err = { 0 };
	struct arena arena;

	if (s->options->tls_certificate) {
		if (server_reload_tls(s->server, &err))
			log_info("serve", "certificate read again", LOG_TEXT("path", s->options->tls_certificate));
		else
			log_error("serve", "the old certificate goes on", LOG_TEXT("error", err.message));
	}
	arena_init(&arena, MIB(16));
	names.arena = &arena;
	names.list.items = ARENA_ARRAY(&arena, const char *, inference_count(s->inference) + 1, &err);
	if (names.list.items)
		inference_each(s->inference, collect_name, &names);
	for (size_t i = 0; i < names.list.count; i++) {
		err = (struct error){ 0 };
		if (!inference_load(s->inference, span_of(names.list.items[i]), &err))
			log_error("serve", "model not loaded again", LOG_TEXT("error", err.message));
	}
	arena_done(&arena);
}

/*
 * Large requests leave the heap large: what is free in it goes back to the system now and then. Taking it again costs a
 * busy server a few milliseconds each time.
 */
static void trim(void)
{
	if (mallinfo2().fordblks > TRIM_LEAST)
		(void)malloc_trim(0);
}

/* Looks after files, memory and signals until it is time to end. */
static void stay_up(struct serving *s)
{
	int64_t watch_ns = s->options->watch_files_ms * NS_PER_MS;
	int64_t now = clock_monotonic_ns(), trim_at = now + TRIM_EVERY_NS;
	int64_t watch_at = watch_ns ? now + watch_ns : INT64_MAX;
	sigset_t set = handled_signals();

	for (;;) {
		int64_t wait = MAX(MIN(trim_at, watch_at) - clock_monotonic_ns(), 0);
		struct timespec timeout = { wait / NS_PER_S, wait % NS_PER_S };
		int caught = sigtimedwait(&set, NULL, &timeout);

		if (caught == SIGTERM || caught == SIGINT)
			return;
		if (caught == SIGHUP)
			reload(s);
		now = clock_monotonic_ns();
		if (now >= watch_at) {
			(void)inference_poll_files(s->inference); /* it logs what it did */
			watch_at = clock_monotonic_ns() + watch_ns;
		}
		if (now >= trim_at) {
			trim();
			trim_at = now + TRIM_EVERY_NS;
		}
	}
}

/* What was accepted is answered. A second signal ends the program as if it had never been caught. */
static void drain(struct serving *s)
{
	sigset_t set = handled_signals();

	log_info("serve", "draining: a second signal ends at once");
	server_drain(s->server);
	sigdelset(&set, SIGHUP);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	server_wait(s->server);
	log_info("serve", "stopped");
}

int serve_run(const struct cli_call *call)
{
	struct serving s = { .call = call, .options = call->options };
	sigset_t set = handled_signals();
	struct error err = { 0 };
	int code = EXIT_OK;

	log_setup((enum log_level)s.options->log_level, (enum log_format)s.options->log_format);
	if (!check_options(&s, &err)) {
		cli_complain(call->command, &err);
		return EXIT_USAGE;
	}
	/* One heap: what one thread frees another uses, and all of it can be trimmed. The warm path allocates nothing.
	 */
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before threads, which inherit it */

	s.metrics = metrics_new();
	if (features_read(&s.options->model, call->arena, &s.features, &err) && load_models(&s, &err) &&
	    start_server(&s, &err)) {
		announce(&s);
		stay_up(&s);
		drain(&s);
	} else {
		cli_complain(call->command, &err);
		code = EXIT_FAILED;
	}
	server_free(s.server);
	inference_free(s.inference);
	metrics_free(s.metrics);
	return code;
}
