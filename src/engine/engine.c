/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine_private.h"

#include <netdb.h>
#include <stdlib.h>

#include "base/random.h"
#include "wire/json.h"

/* ---- answers ---- */

void answer_failure(struct request *req, int status, struct span info)
{
	struct json_writer w = json_writer(&req->out);

	buffer_clear(&req->out);
	json_open_object(&w);
	json_key(&w, SPAN("status"));
	json_open_object(&w);
	json_key(&w, SPAN("code"));
	json_int64(&w, status);
	json_key(&w, SPAN("info"));
	json_string(&w, info);
	json_key(&w, SPAN("status"));
	json_string(&w, SPAN("FAILURE"));
	json_close_object(&w);
	json_close_object(&w);
	request_send(req, status, SPAN("application/json"));
}

static void fail(struct request *req, const struct error *err)
{
	answer_failure(req, error_http(err->code), error_span(err));
}

const struct surface surface_engine = { "engine", fail };

struct span puid_of(struct request *req)
{
	struct span given = request_header(req, SPAN("seldon-puid"));
	struct error ignored = { 0 };
	char made[RANDOM_UUID_SIZE];

	if (given.len > 0 && given.len <= PUID_MAX)
		return given;
	random_uuid(made);
	return arena_copy(&req->arena, span_of(made), &ignored);
}

static void cloud_event_headers(struct request *req, struct span puid)
{
	const struct predictor *p = &engine_of(req)->config.predictor;
	struct error ignored = { 0 };

	request_set_header(req, SPAN("ce-id"), puid);
	request_set_header(req, SPAN("ce-specversion"), SPAN("0.3"));
	request_set_header(req, SPAN("ce-path"), req->path);
	request_set_header(req, SPAN("ce-type"),
			   arena_print(&req->arena, &ignored, "seldon.%.*s.%.*s.response", SPAN_WHOLE(p->deployment),
				       SPAN_WHOLE(p->name_space)));
	request_set_header(req, SPAN("ce-source"),
			   arena_print(&req->arena, &ignored, "seldon.%.*s", SPAN_WHOLE(p->deployment)));
}

void answer_headers(struct request *req, struct span puid)
{
	const struct engine_config *config = &engine_of(req)->config;

	request_set_header(req, SPAN("seldon-puid"), puid);
	request_set_header(req, SPAN("x-content-type-options"), SPAN("nosniff"));
	request_set_header(req, SPAN("access-control-allow-origin"),
			   config->cors_origin ? span_of(config->cors_origin) : SPAN("*"));
	if (config->cors_headers)
		request_set_header(req, SPAN("access-control-allow-headers"), span_of(config->cors_headers));
	if (request_header(req, SPAN("ce-specversion")).ptr)
		cloud_event_headers(req, puid);
}

/* ---- readiness ---- */

/* Outlives the request where its client goes away meanwhile. */
struct readiness {
	struct request *req;
};

static void ready_gone(struct request *req, const struct error *why)
{
	struct readiness *r = request_owner(req);

	(void)why;
	r->req = NULL;
}

static void ready_known(void *context, const struct error *why)
{
	struct readiness *r = context;

	if (r->req)
		request_send(TAKE(r->req), why ? 503 : 200, (struct span){ 0 });
	free(r);
}

void engine_try(struct engine *e, void (*done)(void *context, const struct error *why), void *context)
{
	asker_try(e->ready, done, context);
}

static void health_done(struct call *c)
{
	buffer_clear(&c->answer);
	call_answer(c, c->status == 200 ? 200 : 503, (struct span){ 0 });
}

void engine_ready(struct request *req)
{
	static const struct request_flow flow = { .gone = ready_gone };
	struct engine *e = engine_of(req);
	enum predictor_protocol protocol = e->config.predictor.protocol;
	struct readiness *r;

	/* Servers of TensorFlow's protocol have no path for that. */
	if (e->config.is_full_check && protocol != PREDICTOR_TENSORFLOW) {
		struct call *c =
		    call_begin(req, SPAN("status"), SPAN("GET"),
			       protocol == PREDICTOR_V2 ? SPAN("/v2/health/ready") : SPAN("/api/v1.0/health/status"),
			       false, health_done);

		if (c)
			c->is_check = true;
		return;
	}
	r = base_calloc(1, sizeof(*r));
	r->req = req;
	request_open(req, &flow, r);
	engine_try(e, ready_known, r);
}

/* ---- life ---- */

static bool host_find(struct span name, struct sockaddr_in *ret, struct error *err)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found = NULL;
	AUTO_FREE char *text = span_to_text(name);
	int code = getaddrinfo(text, NULL, &hints, &found);

	if (code)
		return error_set(err, ERROR_NOT_FOUND, "the component's host '" SPAN_FMT "' has no address: %s",
				 SPAN_ARG(name), gai_strerror(code));
	memcpy(ret, found->ai_addr, sizeof(*ret));
	freeaddrinfo(found);
	return true;
}

struct engine *engine_new(const struct engine_config *config, struct error *err)
{
	static const struct route *const protocols[] = { engine_seldon_routes, engine_v2_routes,
							 engine_tensorflow_routes };
	struct engine *e = base_calloc(1, sizeof(*e));

	e->config = *config;
	if (!host_find(config->predictor.root.host, &e->host, err)) {
		free(e);
		return NULL;
	}
	e->tally = tally_new(&e->config.predictor);
	e->own[0] = (struct route){ METHOD_GET, config->prometheus_path, about_metrics, &surface_engine, ROUTE_HTTP };
	e->tables[0] = e->own;
	e->tables[1] = protocols[config->predictor.protocol];
	e->tables[2] = engine_common_routes;
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	asker_free(e->http);
	asker_free(e->grpc);
	asker_free(e->ready);
	calls_free(e);
	tally_free(e->tally);
	free(e);
}

const struct route *const *engine_routes(struct engine *e)
{
	return e->tables;
}

static struct asker *asker_of(struct engine *e, uint16_t port, bool is_http2)
{
	struct sockaddr_in address = e->host;

	address.sin_port = htons(port);
	return asker_new(e->loop, &address, is_http2);
}

void engine_loop_started(void *engine, unsigned index, struct loop *loop)
{
	struct engine *e = engine;
	const struct predictor_node *root = &e->config.predictor.root;

	ASSERT(index == 0); /* one worker */
	e->loop = loop;
	e->http = asker_of(e, root->http_port, false);
	e->grpc = asker_of(e, root->grpc_port, true);
	e->ready = asker_of(e, root->ready_port, false);
}
