/* SPDX-License-Identifier: Apache-2.0 */
/* health - grpc.health.v1.Health, which probes and clients ask: every gRPC service in the route tables is serving. */
#include "inference/inference.h"
#include "inference/surfaces.h"
#include "wire/protobuf.h"

static const struct surface surface_health = { "grpc", fail_as_json_error };

enum serving_status { STATUS_SERVING = 1, STATUS_SERVICE_UNKNOWN = 3 };

/* "/package.Service/Method" belongs to package.Service. */
static bool is_of_service(const struct route *r, struct span service)
{
	size_t len = strlen(r->pattern);

	return r->kind != ROUTE_HTTP && len > service.len + 2 && r->pattern[service.len + 1] == '/' &&
	       memcmp(r->pattern + 1, service.ptr, service.len) == 0;
}

static bool service_is_known(struct span service)
{
	if (service.len == 0)
		return true; /* the server as a whole */
	for (size_t t = 0; inference_routes[t]; t++)
		for (const struct route *r = inference_routes[t]; r->pattern; r++)
			if (is_of_service(r, service))
				return true;
	return false;
}

static bool read_service(struct span body, struct span *ret, struct error *err)
{
	struct protobuf p = protobuf(body);
	struct protobuf_field f;

	*ret = (struct span){ 0 };
	while (protobuf_next(&p, &f, err))
		if (f.number == 1 && !protobuf_bytes(&f, ret, err))
			return false;
	return !p.failed;
}

static void check(struct request *req)
{
	struct error err = { 0 };
	struct span service;

	if (read_service(req->body, &service, &err) && !service_is_known(service))
		error_set(&err, ERROR_NOT_FOUND, "no service '" SPAN_FMT "' here", SPAN_ARG(service));
	if (err.code) {
		request_fail(req, &err);
		return;
	}
	protobuf_write_uint64(&req->out, 1, STATUS_SERVING);
	request_send(req, 200, (struct span){ 0 });
}

/* Says the status at once and stays open, as the protocol wants it; the status changes only when the server goes, which
 * ends the call. */
static void watch(struct request *req)
{
	static char is_watching;
	struct error err = { 0 };
	struct span service = { 0 };

	if (req->is_end && req->state) {
		req->is_held = true;
		return;
	}
	if (req->is_end || req->state)
		error_set(&err, ERROR_INVALID, "Watch takes one message");
	else
		(void)read_service(req->body, &service, &err);
	if (err.code) {
		request_fail(req, &err);
		return;
	}
	req->state = &is_watching;
	protobuf_write_uint64(&req->out, 1, service_is_known(service) ? STATUS_SERVING : STATUS_SERVICE_UNKNOWN);
	request_send_part(req);
}

const struct route health_routes[] = {
	{ METHOD_POST, "/grpc.health.v1.Health/Check", check, &surface_health, ROUTE_GRPC },
	{ METHOD_POST, "/grpc.health.v1.Health/Watch", watch, &surface_health, ROUTE_GRPC_STREAM },
	{ 0 },
};
