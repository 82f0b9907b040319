/* SPDX-License-Identifier: Apache-2.0 */
/* serve_models - model files, in this process. */
#include "base/clock.h"
#include "base/log.h"
#include "cli/serving.h"
#include "cli/targets.h"

enum { NAME_COLUMN_MAX = 24 };

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
		serving_target(p->serving->options, server_address(p->serving->server, 0), &target, &url);
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
	serving_print_addresses(s->options, s->server, "HTTP/1.1, HTTP/2, gRPC; V2, Seldon, V1, records", &out);
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
	struct server_config config = serving_config(s->options);

	config.routes = inference_routes;
	config.context = s->inference;
	config.workers = (unsigned)s->options->workers;
	config.metrics = s->metrics;
	config.worker_started = inference_worker_started;
	s->server = server_new(&config, err);
	return s->server && server_start(s->server, err);
}

/* ---- SIGHUP ---- */

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

static void reload(void *context)
{
	const struct serving *s = context;
	struct names names = { 0 };
	struct error err = { 0 };
	struct arena arena;

	serving_reload_tls(s->options, s->server);
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

static void poll_files(void *context)
{
	const struct serving *s = context;

	(void)inference_poll_files(s->inference); /* it logs what it did */
}

int serve_models(const struct cli_call *call)
{
	struct serving s = { .call = call, .options = call->options };
	struct error err = { 0 };
	int code = EXIT_OK;

	s.metrics = metrics_new();
	if (features_read(&s.options->model, call->arena, &s.features, &err) && load_models(&s, &err) &&
	    start_server(&s, &err)) {
		announce(&s);
		(void)serving_wait(reload, poll_files, s.options->watch_files_ms * NS_PER_MS, &s);
		serving_drain(s.server);
	} else {
		cli_complain(call->command, &err);
		code = EXIT_FAILED;
	}
	server_free(s.server);
	inference_free(s.inference);
	metrics_free(s.metrics);
	return code;
}
