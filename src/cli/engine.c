/* SPDX-License-Identifier: Apache-2.0 */
/* engine - the orchestrator of a SeldonDeployment's predictor, in its pod: flags and environment of Seldon's executor. */
#include "engine/engine.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/serving.h"
#include "wire/base64.h"
#include "wire/value.h"

#define ANNOTATIONS_FILE "/etc/podinfo/annotations"

enum { SPEC_MOST = MIB(8), ADDRESS_SIZE = 48 };

struct running {
	const struct cli_call *call;
	const struct engine_options *options;
	struct engine_config config;
	struct metrics *metrics;
	struct engine *engine;
	struct server *server;
	char addresses[2][ADDRESS_SIZE];
	const char *address_list[2];
};

/* ---- what it is told to run ---- */

static bool decode(const char *name, const char *text, struct arena *arena, struct span *ret, struct error *err)
{
	return base64_read(span_trim(span_of(text)), arena, ret, err) || error_wrap(err, "%s", name);
}

static bool file_read(const char *path, struct arena *arena, struct span *ret, struct error *err)
{
	struct buffer text;
	bool ok;

	buffer_init(&text, SPEC_MOST);
	ok = buffer_read_file(&text, path, err);
	if (ok)
		*ret = arena_copy(arena, buffer_span(&text), err);
	buffer_done(&text);
	return ok && ret->ptr;
}

/* ENGINE_SELDON_DEPLOYMENT, as older operators gave it: names, the protocol, and the predictor where none is given alone. */
static bool deployment_take(struct running *r, struct span *protocol, struct span *predictor, struct error *err)
{
	const char *text = getenv("ENGINE_SELDON_DEPLOYMENT");
	struct predictor *p = &r->config.predictor;
	const struct value *list;
	struct value v;
	struct span json;

	if (!text || !*text)
		return true;
	if (!decode("ENGINE_SELDON_DEPLOYMENT", text, r->call->arena, &json, err))
		return false;
	if (!value_parse(json, NULL, r->call->arena, &v, err))
		return error_wrap(err, "ENGINE_SELDON_DEPLOYMENT");
	if (!p->deployment.len)
		p->deployment = value_find_string(&v, "metadata.name");
	if (!p->name_space.len)
		p->name_space = value_find_string(&v, "metadata.namespace");
	if (!protocol->len)
		*protocol = value_find_string(&v, "spec.protocol");
	list = value_find(&v, "spec.predictors");
	for (uint32_t i = 0; !predictor->ptr && i < value_count(list); i++) {
		const struct value *one = value_item(list, i);

		if (!r->options->predictor ||
		    span_equal(value_find_string(one, "name"), span_of(r->options->predictor)))
			*predictor = value_print(one, r->call->arena, err);
	}
	return err->code == ERROR_NONE;
}

static struct span first_of(const char *flag, const char *variable)
{
	return span_of(flag ? flag : getenv(variable));
}

static bool json_find(struct running *r, struct span *ret, struct error *err)
{
	const char *text = getenv("ENGINE_PREDICTOR");

	if (r->options->file)
		return file_read(r->options->file, r->call->arena, ret, err);
	return !text || !*text || decode("ENGINE_PREDICTOR", text, r->call->arena, ret, err);
}

static bool annotations_take(struct predictor *p, struct arena *arena, struct error *err)
{
	struct span text;

	if (access(ANNOTATIONS_FILE, R_OK) != 0)
		return true;
	return (file_read(ANNOTATIONS_FILE, arena, &text, err) && predictor_annotations_read(p, text, err)) ||
	       error_wrap(err, "%s", ANNOTATIONS_FILE);
}

static bool predictor_take(struct running *r, struct error *err)
{
	const struct engine_options *o = r->options;
	struct predictor *p = &r->config.predictor, read;
	struct span protocol = span_of(o->protocol), json = { 0 };

	p->deployment = first_of(o->deployment, "DEPLOYMENT_NAME");
	p->name_space = first_of(o->name_space, "DEPLOYMENT_NAMESPACE");
	if (!json_find(r, &json, err) || !deployment_take(r, &protocol, &json, err))
		return false;
	if (!json.ptr)
		return error_set(
		    err, ERROR_INVALID,
		    "there is no predictor to run: ENGINE_PREDICTOR holds its JSON in base64, or --file names one");
	if (!predictor_read(json, o->transport == 1, r->call->arena, &read, err))
		return false;
	if (o->predictor && read.name.len && !span_equal(read.name, span_of(o->predictor)))
		return error_set(err, ERROR_INVALID, "--predictor is '%s', and the predictor given '" SPAN_FMT "'",
				 o->predictor, SPAN_ARG(read.name));
	read.deployment = p->deployment;
	read.name_space = p->name_space;
	*p = read;
	return predictor_protocol_read(protocol, &p->protocol, err) && annotations_take(p, r->call->arena, err);
}

/* ---- start ---- */

static bool port_check(const char *flag, size_t port, char address[ADDRESS_SIZE], const char *host, struct error *err)
{
	if (port > UINT16_MAX)
		return error_set(err, ERROR_INVALID, "--%s: %zu is no port", flag, port);
	(void)snprintf(address, ADDRESS_SIZE, "%s:%zu", host, port);
	return true;
}

static bool start(struct running *r, struct error *err)
{
	const struct engine_options *o = r->options;
	struct server_config config = {
		.addresses = r->address_list,
		.address_count = 2,
		.workers = 1,
		.compute_threads = 1,
		.limits = server_limits_default(),
		.metrics = r->metrics,
		.access_log = (enum access_log)o->access_log,
		.worker_started = engine_loop_started,
	};

	if (strlen(o->host) > ADDRESS_SIZE - 8)
		return error_set(err, ERROR_INVALID, "--host '%s' is no address", o->host);
	if (!port_check("http_port", o->http_port, r->addresses[0], o->host, err) ||
	    !port_check("grpc_port", o->grpc_port, r->addresses[1], o->host, err))
		return false;
	r->address_list[0] = r->addresses[0];
	r->address_list[1] = r->addresses[1];
	config.limits.body_bytes = o->body_bytes;
	config.limits.request_timeout_ms = 0; /* annotations say how long a component may take */
	config.limits.drain_timeout_ms = o->graceful_ms;
	r->config.answer_most = config.limits.answer_bytes;
	r->config.metrics = r->metrics;
	r->config.prometheus_path = o->prometheus_path;
	r->config.is_full_check = o->full_health_checks;
	r->config.cors_origin = getenv("CORS_ALLOWED_ORIGINS");
	r->config.cors_headers = getenv("CORS_ALLOWED_HEADERS");
	r->engine = engine_new(&r->config, err);
	if (!r->engine)
		return false;
	config.routes = engine_routes(r->engine);
	config.context = r->engine;
	r->server = server_new(&config, err);
	return r->server && server_start(r->server, err);
}

static void announce(const struct running *r)
{
	const struct predictor_node *root = &r->config.predictor.root;

	printf("hythe " HYTHE_VERSION " orchestrates predictor '" SPAN_FMT "' on http://%s and grpc://%s\n"
	       "  node '" SPAN_FMT "' at " SPAN_FMT ", ports %u (HTTP) and %u (gRPC)\n",
	       SPAN_ARG(r->config.predictor.name), server_address(r->server, 0), server_address(r->server, 1),
	       SPAN_ARG(root->name), SPAN_ARG(root->host), root->http_port, root->grpc_port);
	(void)fflush(stdout); /* nobody listening to it is no reason not to serve */
}

static void reload(void *context)
{
	(void)context; /* there is nothing that could have changed */
}

/* Others still send requests until they have heard that this pod ends. */
static void delay(int64_t ms)
{
	struct timespec left = { ms / 1000, (ms % 1000) * NS_PER_MS };

	while (ms > 0 && nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

int engine_run(const struct cli_call *call)
{
	struct running r = { .call = call, .options = call->options };
	sigset_t set = serving_signals();
	struct error err = { 0 };
	int code = EXIT_OK;

	log_setup((enum log_level)r.options->log_level, (enum log_format)r.options->log_format);
	if (!predictor_take(&r, &err)) {
		cli_complain(call->command, &err);
		return EXIT_USAGE;
	}
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before threads, which inherit it */
	r.metrics = metrics_new();
	if (start(&r, &err)) {
		announce(&r);
		(void)serving_wait(reload, NULL, 0, &r);
		delay(r.options->shutdown_delay_ms);
		serving_drain(r.server);
	} else {
		cli_complain(call->command, &err);
		code = EXIT_FAILED;
	}
	engine_free(r.engine); /* its connections are watched by the server's loop */
	server_free(r.server);
	metrics_free(r.metrics);
	return code;
}
