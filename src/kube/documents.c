/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documents - OpenAPI told to clients: the index and one document a group version (v3), all in one (v2). The index, for which every
 * document is made once, is kept until the kinds change; a document is made when it is asked for, which takes milliseconds, so that an
 * idle server holds none.
 */
#include "kube/kube_private.h"

#include "base/clock.h"
#include "kube/schema/openapi.h"

#include <stdio.h>
#include <stdlib.h>

#define INDEX_BYTES_MOST MIB(4)
#define YEAR_NS          (INT64_C(365) * 24 * 3600 * NS_PER_S)

struct documents {
	struct kube *kube;
	uint64_t generation; /* of the kinds, that the index was made of */
	int64_t made_ns;     /* wall time; 0: there is none */
	bool has_twin;       /* another one was made in the same second: the time does not tell them apart */
	struct buffer index;
};

struct documents *documents_new(struct kube *k)
{
	struct documents *d = base_calloc(1, sizeof(*d));

	d->kube = k;
	buffer_init(&d->index, INDEX_BYTES_MOST);
	return d;
}

void documents_free(struct documents *d)
{
	if (!d)
		return;
	buffer_done(&d->index);
	free(d);
}

static bool index_make(struct documents *d, struct error *err)
{
	const struct kind *const *kinds = kube_kinds(d->kube);
	uint64_t generation = kube_kinds_generation(d->kube);
	int64_t now_ns;

	if (d->made_ns && d->generation == generation)
		return true;
	buffer_clear(&d->index);
	d->index.limit = INDEX_BYTES_MOST;
	if (!openapi_v3_index(kinds, &d->index, err))
		return false;
	d->generation = generation;
	now_ns = kube_wall_ns(d->kube);
	d->has_twin = d->made_ns && now_ns / NS_PER_S == d->made_ns / NS_PER_S;
	d->made_ns = now_ns;
	return true;
}

/* ---- sending ---- */

static void set_time(struct request *req, struct span name, int64_t wall_ns)
{
	struct error ignored = { 0 };
	char text[CLOCK_HTTP_SIZE];
	size_t len = clock_print_http(wall_ns, text);

	request_set_header(req, name, arena_copy(&req->arena, span_from(text, len), &ignored));
}

static void send_empty(struct call *call, int status)
{
	struct request *req = call->base.req;

	buffer_clear(&req->out);
	call->is_answered = true;
	request_send(req, status, (struct span){ 0 });
	call_free(call);
}

static void refuse(struct call *call, const struct error *err)
{
	buffer_clear(&call->base.req->out);
	if (err->code != ERROR_NOT_FOUND) {
		answer_error(call, err);
		return;
	}
	request_set_header(call->base.req, SPAN("cache-control"), SPAN("no-cache, private"));
	send_empty(call, 404);
}

static bool list_has(struct span list, struct span tag)
{
	while (list.len) {
		struct span one = span_trim(span_cut(&list, ','));

		if (span_starts(one, SPAN("W/")))
			one = span_skip(one, 2);
		if (span_equal(one, tag) || span_equal(one, SPAN("*")))
			return true;
	}
	return false;
}

/* RFC 9110 13.2.2: a tag that is given counts, and the time not. */
static bool is_known(struct request *req, const struct documents *d, struct span tag)
{
	struct span tags = request_header(req, SPAN("if-none-match")), since;
	char text[CLOCK_HTTP_SIZE];
	size_t len;

	if (tags.len)
		return tag.len && list_has(tags, tag);
	/* Clients give back the time that they were told. */
	since = request_header(req, SPAN("if-modified-since"));
	len = clock_print_http(d->made_ns, text);
	return since.len && !d->has_twin && span_equal(span_trim(since), span_from(text, len));
}

/* What is in out. */
static void document_send(struct call *call, struct span type, struct span tag)
{
	const struct documents *d = call->base.kube->documents;
	struct request *req = call->base.req;

	if (tag.len)
		request_set_header(req, SPAN("etag"), tag);
	set_time(req, SPAN("last-modified"), d->made_ns);
	if (is_known(req, d, tag)) {
		send_empty(call, 304);
		return;
	}
	call->is_answered = true;
	request_send(req, 200, type);
	call_free(call);
}

static struct span tag_make(struct request *req, char ret_hash[17])
{
	struct error ignored = { 0 };
	uint64_t hash = openapi_hash(buffer_span(&req->out));

	(void)snprintf(ret_hash, 17, "%016llX", (unsigned long long)hash);
	return arena_print(&req->arena, &ignored, "\"%s\"", ret_hash);
}

/* ---- version 3 ---- */

static struct span document_path(struct call *call, struct span *segments, size_t count)
{
	struct error ignored = { 0 };
	struct span path = segments[2];

	for (size_t i = 3; i < count; i++)
		path = arena_print(&call->arena, &ignored, "%.*s/%.*s", (int)MIN(path.len, 1024), path.ptr,
				   (int)MIN(segments[i].len, 1024), segments[i].ptr);
	return path;
}

/* The address of a document that changed leads to that of the new one. */
static void redirect(struct call *call, struct span path, const char *hash)
{
	struct request *req = call->base.req;
	struct error ignored = { 0 };

	request_set_header(req, SPAN("cache-control"), SPAN("no-cache, private"));
	request_set_header(
	    req, SPAN("location"),
	    arena_print(&req->arena, &ignored, "/openapi/v3/%.*s?hash=%s", (int)path.len, path.ptr, hash));
	buffer_clear(&req->out);
	call->is_answered = true;
	request_send(req, 301, SPAN("application/json"));
	call_free(call);
}

static void v3_serve(struct call *call, struct span *segments, size_t count)
{
	struct documents *d = call->base.kube->documents;
	struct request *req = call->base.req;
	struct span path, given = { 0 }, tag;
	struct error err = { 0 };
	char hash[17];

	if (!index_make(d, &err)) {
		refuse(call, &err);
		return;
	}
	if (count == 2) {
		request_set_header(req, SPAN("cache-control"), SPAN("no-cache, private"));
		buffer_append(&req->out, buffer_span(&d->index));
		document_send(call, SPAN("text/plain; charset=utf-8"), (struct span){ 0 });
		return;
	}
	path = document_path(call, segments, count);
	if (!openapi_v3_document(kube_kinds(call->base.kube), path, &req->out, &err)) {
		refuse(call, &err);
		return;
	}
	tag = tag_make(req, hash);
	request_set_header(req, SPAN("vary"), SPAN("Accept"));
	if (request_query(req, SPAN("hash"), &given) && !span_equal(given, span_of(hash))) {
		request_set_header(req, SPAN("etag"), tag);
		redirect(call, path, hash);
		return;
	}
	request_set_header(req, SPAN("cache-control"),
			   given.len ? SPAN("public, immutable") : SPAN("no-cache, private"));
	if (given.len)
		set_time(req, SPAN("expires"), kube_wall_ns(call->base.kube) + YEAR_NS);
	document_send(call, SPAN("application/json"), tag);
}

/* ---- version 2 ---- */

static bool accepts(struct call *call, const char *type)
{
	struct span rest = request_header(call->base.req, SPAN("accept"));

	while (rest.len) {
		struct span range = span_cut(&rest, ',');

		if (span_equal(span_trim(span_cut(&range, ';')), span_of(type)))
			return true;
	}
	return false;
}

static void v2_serve(struct call *call, size_t count)
{
	bool as_protobuf = accepts(call, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf") ||
			   accepts(call, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
	struct documents *d = call->base.kube->documents;
	struct request *req = call->base.req;
	struct error err = { 0 };
	char hash[17];

	if (count != 2) {
		answer_plain(call, 404, SPAN("404 page not found\n"));
		return;
	}
	if (!index_make(d, &err) || !openapi_v2_document(kube_kinds(call->base.kube), as_protobuf, &req->out, &err)) {
		refuse(call, &err);
		return;
	}
	request_set_header(req, SPAN("cache-control"), SPAN("no-cache, private"));
	request_set_header(req, SPAN("vary"), SPAN("Accept-Encoding"));
	request_set_header(req, SPAN("vary"), SPAN("Accept"));
	document_send(call,
		      as_protobuf ? SPAN("application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
				  : SPAN("application/json"),
		      tag_make(req, hash));
}

void documents_serve(struct call *call, struct span *segments, size_t count)
{
	if (count >= 2 && span_equal(segments[1], SPAN("v3")))
		v3_serve(call, segments, count);
	else if (count >= 2 && span_equal(segments[1], SPAN("v2")))
		v2_serve(call, count);
	else
		answer_plain(call, 404, SPAN("404 page not found\n"));
}
