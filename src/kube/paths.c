/* SPDX-License-Identifier: Apache-2.0 */
/* paths - what is no resource: version, health, OpenAPI, OpenID, and the list of paths. */
#include "kube/kube_private.h"

#include "kube/auth/auth.h"
#include "kube/auth/pki.h"

#include <stdio.h>

enum { SEGMENTS_MOST = 8 };

/* The version of the API that is spoken. Clients compare it with their own. */
static void version_serve(struct call *call, struct span *segments, size_t count)
{
	(void)segments;
	(void)count;
#if defined(__aarch64__)
	const char *platform = "linux/arm64";
#else
	const char *platform = "linux/amd64";
#endif
	buffer_print(
	    &call->base.req->out,
	    "{\"major\":\"1\",\"minor\":\"33\",\"emulationMajor\":\"1\",\"emulationMinor\":\"33\","
	    "\"minCompatibilityMajor\":\"1\",\"minCompatibilityMinor\":\"32\",\"gitVersion\":\"v1.33.13+hythe\","
	    "\"gitCommit\":\"\",\"gitTreeState\":\"clean\",\"buildDate\":\"\",\"goVersion\":\"\","
	    "\"compiler\":\"cc\",\"platform\":\"%s\"}\n",
	    platform);
	answer_out(call, 200);
}

static void health_serve(struct call *call, struct span *segments, size_t count)
{
	struct span verbose;

	(void)count;
	if (request_query(call->base.req, SPAN("verbose"), &verbose)) {
		struct error ignored = { 0 };

		answer_plain(call, 200,
			     arena_print(&call->arena, &ignored,
					 "[+]ping ok\n[+]log ok\n[+]store ok\n" SPAN_FMT " check passed\n",
					 SPAN_ARG(segments[0])));
		return;
	}
	answer_plain(call, 200, SPAN("ok"));
}

static void document_send(struct call *call, bool good, const struct error *err, struct span type)
{
	if (!good) {
		buffer_clear(&call->base.req->out);
		if (err->code == ERROR_NOT_FOUND)
			answer_plain(call, 404, SPAN("404 page not found\n"));
		else
			answer_error(call, err);
		return;
	}
	call->is_answered = true;
	request_send(call->base.req, 200, type);
	call_free(call);
}

/* ---- OpenID: what checks service accounts' tokens elsewhere reads ---- */

static void jwks_serve(struct call *call, struct span *segments, size_t count)
{
	struct error err = { 0 };

	if (count != 3 || !span_equal(segments[2], SPAN("jwks")) || !kube_pki(call->base.kube)) {
		answer_plain(call, 404, SPAN("404 page not found\n"));
		return;
	}
	document_send(call, pki_jwks(kube_pki(call->base.kube), &call->base.req->out, &err), &err,
		      SPAN("application/jwk-set+json"));
}

static void well_known_serve(struct call *call, struct span *segments, size_t count)
{
	if (count != 2 || !span_equal(segments[1], SPAN("openid-configuration"))) {
		answer_plain(call, 404, SPAN("404 page not found\n"));
		return;
	}
	buffer_print(&call->base.req->out,
		     "{\"issuer\":\"" PKI_ISSUER "\",\"jwks_uri\":\"https://%s/openid/v1/jwks\","
		     "\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"],"
		     "\"id_token_signing_alg_values_supported\":[\"RS256\"]}",
		     call->base.kube->config.server_address);
	answer_out(call, 200);
}

/* ---- all of them ---- */

static void root_serve(struct call *call)
{
	struct buffer *out = &call->base.req->out;
	const struct kind *last = NULL;

	buffer_append(out, SPAN("{\"paths\":[\"/.well-known/openid-configuration\",\"/api\",\"/api/v1\",\"/apis\""));
	for (const struct kind *const *kind = kube_kinds(call->base.kube); *kind; kind++) {
		if (!(*kind)->group[0] ||
		    (last && strcmp(last->group, (*kind)->group) == 0 && strcmp(last->version, (*kind)->version) == 0))
			continue;
		if (!last || strcmp(last->group, (*kind)->group) != 0)
			buffer_print(out, ",\"/apis/%s\"", (*kind)->group);
		buffer_print(out, ",\"/apis/%s/%s\"", (*kind)->group, (*kind)->version);
		last = *kind;
	}
	buffer_append(
	    out,
	    SPAN(
		",\"/healthz\",\"/livez\",\"/metrics\",\"/openapi/v2\",\"/openapi/v3\",\"/openid/v1/jwks\",\"/readyz\","
		"\"/version\"]}\n"));
	answer_out(call, 200);
}

struct path_row {
	const char *first;
	void (*serve)(struct call *call, struct span *segments, size_t count);
	size_t most;       /* segments */
	bool is_read_only; /* the others are answered whatever the method is */
};

static const struct path_row rows[] = {
	{ "api", discovery_serve, 8, false },         { "apis", discovery_serve, 8, false },
	{ "version", version_serve, 1, true },        { "healthz", health_serve, 2, false },
	{ "livez", health_serve, 2, false },          { "readyz", health_serve, 2, false },
	{ "openapi", documents_serve, 8, false },     { "openid", jwks_serve, 3, true },
	{ ".well-known", well_known_serve, 2, true },
};

void path_serve(struct call *call)
{
	struct span segments[SEGMENTS_MOST], rest = call->path;
	size_t count = 0;

	while (rest.len && count < SEGMENTS_MOST) {
		struct span segment = span_cut(&rest, '/');

		if (segment.len)
			segments[count++] = segment;
	}
	if (!count) {
		root_serve(call);
		return;
	}
	if (count == 1 && span_equal(segments[0], SPAN("metrics"))) {
		meter_serve(call);
		return;
	}
	if (span_equal(segments[0], SPAN("hythe"))) {
		backup_serve(call, segments, count);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_equal(segments[0], span_of(rows[i].first)) || count > rows[i].most)
			continue;
		if (rows[i].is_read_only && call->method != METHOD_GET && call->method != METHOD_HEAD)
			answer_no_method(call);
		else
			rows[i].serve(call, segments, count);
		return;
	}
	answer_plain(call, 404, SPAN("404 page not found\n"));
}
