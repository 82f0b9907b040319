/* SPDX-License-Identifier: Apache-2.0 */
/* discovery - which kinds there are, told to clients: one document a group version, or all in one (apidiscovery.k8s.io/v2). */
#include "kube/kube_private.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/base64.h"

enum { GROUPS_MOST = 1024, DOCUMENT_MOST = 64 << 20 };

struct discovery {
	struct kube *kube;
	struct buffer all[2]; /* aggregated: /api, /apis */
	char tags[2][24];
	uint64_t generation[2];
};

struct discovery *discovery_new(struct kube *k)
{
	struct discovery *d = base_calloc(1, sizeof(*d));

	d->kube = k;
	for (int i = 0; i < 2; i++)
		buffer_init(&d->all[i], DOCUMENT_MOST);
	return d;
}

void discovery_free(struct discovery *d)
{
	if (!d)
		return;
	for (int i = 0; i < 2; i++)
		buffer_done(&d->all[i]);
	free(d);
}

/* ---- pieces ---- */

static void put(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, span_of(key));
	json_string(w, span_of(text ? text : ""));
}

static void put_list(struct json_writer *w, const char *key, const char *const *items)
{
	if (!items || !items[0])
		return;
	json_key(w, span_of(key));
	json_open_array(w);
	for (; *items; items++)
		json_string(w, span_of(*items));
	json_close_array(w);
}

/* In the order of the real server, which is another one for custom kinds. */
static void put_verbs(struct json_writer *w, unsigned verbs, bool is_custom)
{
	static const struct {
		unsigned verb;
		const char *name;
	} rows[] = {
		{ KUBE_CREATE, "create" }, { KUBE_DELETE, "delete" }, { KUBE_DELETE_COLLECTION, "deletecollection" },
		{ KUBE_GET, "get" },       { KUBE_LIST, "list" },     { KUBE_PATCH, "patch" },
		{ KUBE_UPDATE, "update" }, { KUBE_WATCH, "watch" }
	};

	static const uint8_t order[] = { 0, 1, 2, 3, 4, 5, 6, 7 }, custom[] = { 1, 2, 3, 4, 5, 0, 6, 7 };

	json_key(w, SPAN("verbs"));
	json_open_array(w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t at = is_custom ? custom[i] : order[i];

		if (verbs & rows[at].verb)
			json_string(w, span_of(rows[at].name));
	}
	json_close_array(w);
}

/* A kind that is asked and not stored has its verbs in the row without a name. */
static unsigned verbs_of(const struct kind *kind)
{
	unsigned verbs = kind->verbs;

	for (const struct subresource *s = kind->others; s && s->name; s++)
		if (!s->name[0])
			verbs |= s->verbs;
	return verbs;
}

/* The first 8 bytes of SHA-256 of "group/version/kind", as the real server makes them. */
static void put_storage_hash(struct json_writer *w, const struct kind *kind)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct buffer text, hash;

	if (!(kind->verbs & KUBE_LIST))
		return;
	if (kind->stored_as)
		kind = kind->stored_as;
	buffer_init(&text, KIB(4));
	buffer_init(&hash, KIB(1));
	buffer_print(&text, "%s/%s/%s", kind->group, kind->version, kind->kind);
	(void)SHA256((const unsigned char *)text.ptr, text.len, digest);
	base64_write(&hash, span_from(digest, 8));
	json_key(w, SPAN("storageVersionHash"));
	json_string(w, buffer_span(&hash));
	buffer_done(&text);
	buffer_done(&hash);
}

static void put_group_versions(struct discovery *d, struct span group, struct json_writer *w, bool with_kind);

/* ---- groups and versions in order ---- */

struct versions {
	const char *names[64];
	size_t count;
};

static int rank(const char *version)
{
	int number = 0, more = 0, stage = 3;

	if (*version++ != 'v')
		return -1;
	while (*version >= '0' && *version <= '9' && number < 1000)
		number = number * 10 + (*version++ - '0');
	if (strncmp(version, "alpha", 5) == 0)
		stage = 1;
	else if (strncmp(version, "beta", 4) == 0)
		stage = 2;
	version += stage == 1 ? 5 : stage == 2 ? 4 : 0;
	while (*version >= '0' && *version <= '9' && more < 1000)
		more = more * 10 + (*version++ - '0');
	return *version ? -1 : stage * 1000000 + number * 1000 + more;
}

/* Of a group, the best first. */
static struct versions versions_of(struct discovery *d, struct span group)
{
	struct versions v = { .count = 0 };

	for (const struct kind *const *kind = kube_kinds(d->kube); *kind; kind++) {
		size_t at = 0;
		bool is_known = false;

		if (!span_equal(group, span_of((*kind)->group)))
			continue;
		for (size_t i = 0; i < v.count; i++)
			is_known |= strcmp(v.names[i], (*kind)->version) == 0;
		if (is_known || v.count == ARRAY_LEN(v.names))
			continue;
		while (at < v.count && rank(v.names[at]) >= rank((*kind)->version))
			at++;
		memmove(&v.names[at + 1], &v.names[at], (v.count - at) * sizeof(v.names[0]));
		v.names[at] = (*kind)->version;
		v.count++;
	}
	return v;
}

/* Calls `tell` for each group but the core one, in the order of the kinds. */
static void groups_each(struct discovery *d, struct json_writer *w,
			void (*tell)(struct discovery *d, struct span group, struct json_writer *w))
{
	const char *told[GROUPS_MOST];
	size_t count = 0;

	for (const struct kind *const *kind = kube_kinds(d->kube); *kind; kind++) {
		bool is_told = !(*kind)->group[0];

		for (size_t i = 0; i < count && !is_told; i++)
			is_told = strcmp(told[i], (*kind)->group) == 0;
		if (is_told || count == GROUPS_MOST)
			continue;
		told[count++] = (*kind)->group;
		tell(d, span_of((*kind)->group), w);
	}
}

/* ---- plain ---- */

/* A kind that only paths below it have is not told by itself. */
static void put_resource(struct json_writer *w, const struct kind *kind)
{
	if (!verbs_of(kind))
		return;
	json_open_object(w);
	put(w, "name", kind->plural);
	put(w, "singularName", kind->singular);
	json_key(w, SPAN("namespaced"));
	json_bool(w, kind->is_namespaced);
	put(w, "kind", kind->kind);
	put_verbs(w, verbs_of(kind), kind->is_custom);
	put_list(w, "shortNames", kind->short_names);
	put_list(w, "categories", kind->categories);
	put_storage_hash(w, kind);
	json_close_object(w);
}

struct sub {
	const char *name, *group, *version, *kind;
	unsigned verbs;
};

static void put_sub(struct json_writer *w, const struct kind *kind, const struct sub *s)
{
	struct buffer name;

	buffer_init(&name, KIB(4));
	buffer_print(&name, "%s/%s", kind->plural, s->name);
	json_open_object(w);
	json_key(w, SPAN("name"));
	json_string(w, buffer_span(&name));
	put(w, "singularName", "");
	json_key(w, SPAN("namespaced"));
	json_bool(w, kind->is_namespaced);
	if (s->group)
		put(w, "group", s->group);
	if (s->version)
		put(w, "version", s->version);
	put(w, "kind", s->kind);
	put_verbs(w, s->verbs, false);
	json_close_object(w);
	buffer_done(&name);
}

/* Status, scale and the rest. */
static void subs_each(struct json_writer *w, const struct kind *kind,
		      void (*tell)(struct json_writer *w, const struct kind *kind, const struct sub *s))
{
	const unsigned verbs = KUBE_GET | KUBE_PATCH | KUBE_UPDATE;

	for (const struct subresource *s = kind->others; s && s->name; s++) {
		bool is_own = !s->kind || !s->kind[0];
		struct sub sub = { .name = s->name, .kind = is_own ? kind->kind : s->kind, .verbs = s->verbs };

		if (!s->name[0] || strcmp(s->name, "*") == 0)
			continue;
		if (!is_own && (strcmp(s->group, kind->group) != 0 || strcmp(s->version, kind->version) != 0)) {
			sub.group = s->group;
			sub.version = s->version;
		}
		tell(w, kind, &sub);
	}
	if (kind->subresources & SUB_SCALE)
		tell(w, kind,
		     &(struct sub){
			 .name = "scale", .group = "autoscaling", .version = "v1", .kind = "Scale", .verbs = verbs });
	if (kind->subresources & SUB_STATUS)
		tell(w, kind, &(struct sub){ .name = "status", .kind = kind->kind, .verbs = verbs });
}

static bool put_resources(struct discovery *d, struct span group, struct span version, struct json_writer *w)
{
	bool any = false;
	struct buffer name;

	for (const struct kind *const *kind = kube_kinds(d->kube); *kind; kind++)
		any |= span_equal(group, span_of((*kind)->group)) && span_equal(version, span_of((*kind)->version));
	if (!any)
		return false;
	buffer_init(&name, KIB(4));
	buffer_print(&name, SPAN_FMT "%s" SPAN_FMT, SPAN_ARG(group), group.len ? "/" : "", SPAN_ARG(version));
	json_open_object(w);
	put(w, "kind", "APIResourceList");
	if (group.len)
		put(w, "apiVersion", "v1");
	json_key(w, SPAN("groupVersion"));
	json_string(w, buffer_span(&name));
	json_key(w, SPAN("resources"));
	json_open_array(w);
	for (const struct kind *const *kind = kube_kinds(d->kube); *kind; kind++) {
		if (!span_equal(group, span_of((*kind)->group)) || !span_equal(version, span_of((*kind)->version)))
			continue;
		put_resource(w, *kind);
		subs_each(w, *kind, put_sub);
	}
	json_close_array(w);
	json_close_object(w);
	buffer_done(&name);
	return true;
}

static void put_version(struct json_writer *w, struct span group, const char *version)
{
	struct buffer name;

	buffer_init(&name, KIB(4));
	buffer_print(&name, SPAN_FMT "/%s", SPAN_ARG(group), version);
	json_open_object(w);
	json_key(w, SPAN("groupVersion"));
	json_string(w, buffer_span(&name));
	put(w, "version", version);
	json_close_object(w);
	buffer_done(&name);
}

static void put_group_versions(struct discovery *d, struct span group, struct json_writer *w, bool with_kind)
{
	struct versions v = versions_of(d, group);

	json_open_object(w);
	if (with_kind) {
		put(w, "kind", "APIGroup");
		put(w, "apiVersion", "v1");
	}
	json_key(w, SPAN("name"));
	json_string(w, group);
	json_key(w, SPAN("versions"));
	json_open_array(w);
	for (size_t i = 0; i < v.count; i++)
		put_version(w, group, v.names[i]);
	json_close_array(w);
	json_key(w, SPAN("preferredVersion"));
	put_version(w, group, v.count ? v.names[0] : "");
	json_close_object(w);
}

static void put_group(struct discovery *d, struct span group, struct json_writer *w)
{
	put_group_versions(d, group, w, false);
}

static void put_api(struct discovery *d, struct json_writer *w)
{
	json_open_object(w);
	put(w, "kind", "APIVersions");
	json_key(w, SPAN("versions"));
	json_raw(w, SPAN("[\"v1\"]"));
	json_key(w, SPAN("serverAddressByClientCIDRs"));
	json_open_array(w);
	json_open_object(w);
	put(w, "clientCIDR", "0.0.0.0/0");
	put(w, "serverAddress", d->kube->config.server_address);
	json_close_object(w);
	json_close_array(w);
	json_close_object(w);
}

static void put_apis(struct discovery *d, struct json_writer *w)
{
	json_open_object(w);
	put(w, "kind", "APIGroupList");
	put(w, "apiVersion", "v1");
	json_key(w, SPAN("groups"));
	json_open_array(w);
	groups_each(d, w, put_group);
	json_close_array(w);
	json_close_object(w);
}

/* ---- all in one ---- */

static void put_response_kind(struct json_writer *w, const char *group, const char *version, const char *kind)
{
	json_key(w, SPAN("responseKind"));
	json_open_object(w);
	put(w, "group", group);
	put(w, "version", version);
	put(w, "kind", kind);
	json_close_object(w);
}

static void put_all_sub(struct json_writer *w, const struct kind *kind, const struct sub *s)
{
	(void)kind;
	json_open_object(w);
	put(w, "subresource", s->name);
	put_response_kind(w, s->group, s->version, s->kind);
	put_verbs(w, s->verbs, false);
	json_close_object(w);
}

static bool has_subs(const struct kind *kind)
{
	for (const struct subresource *s = kind->others; s && s->name; s++)
		if (s->name[0])
			return true;
	return kind->subresources != 0;
}

static void put_all_resource(struct json_writer *w, const struct kind *kind)
{
	json_open_object(w);
	put(w, "resource", kind->plural);
	put_response_kind(w, "", "", verbs_of(kind) ? kind->kind : "");
	put(w, "scope", kind->is_namespaced ? "Namespaced" : "Cluster");
	put(w, "singularResource", kind->singular);
	put_verbs(w, verbs_of(kind), kind->is_custom);
	put_list(w, "shortNames", kind->short_names);
	put_list(w, "categories", kind->categories);
	if (has_subs(kind)) {
		json_key(w, SPAN("subresources"));
		json_open_array(w);
		subs_each(w, kind, put_all_sub);
		json_close_array(w);
	}
	json_close_object(w);
}

static void put_all_group(struct discovery *d, struct span group, struct json_writer *w)
{
	struct versions v = versions_of(d, group);

	json_open_object(w);
	json_key(w, SPAN("metadata"));
	json_open_object(w);
	if (group.len) {
		json_key(w, SPAN("name"));
		json_string(w, group);
	}
	json_key(w, SPAN("creationTimestamp"));
	json_null(w);
	json_close_object(w);
	json_key(w, SPAN("versions"));
	json_open_array(w);
	for (size_t i = 0; i < v.count; i++) {
		json_open_object(w);
		put(w, "version", v.names[i]);
		json_key(w, SPAN("resources"));
		json_open_array(w);
		for (const struct kind *const *kind = kube_kinds(d->kube); *kind; kind++)
			if (span_equal(group, span_of((*kind)->group)) && strcmp((*kind)->version, v.names[i]) == 0)
				put_all_resource(w, *kind);
		json_close_array(w);
		put(w, "freshness", "Current");
		json_close_object(w);
	}
	json_close_array(w);
	json_close_object(w);
}

/* The document, made when it is first asked for after the kinds have changed. */
static struct span all_make(struct discovery *d, bool is_groups)
{
	struct buffer *out = &d->all[is_groups];
	struct json_writer w;

	if (d->generation[is_groups] == kube_kinds_generation(d->kube))
		return buffer_span(out);
	buffer_clear(out);
	w = json_writer(out);
	json_open_object(&w);
	put(&w, "kind", "APIGroupDiscoveryList");
	put(&w, "apiVersion", "apidiscovery.k8s.io/v2");
	json_key(&w, SPAN("metadata"));
	json_raw(&w, SPAN("{}"));
	json_key(&w, SPAN("items"));
	json_open_array(&w);
	if (is_groups)
		groups_each(d, &w, put_all_group);
	else
		put_all_group(d, (struct span){ "", 0 }, &w);
	json_close_array(&w);
	json_close_object(&w);
	buffer_byte(out, '\n');
	d->generation[is_groups] = kube_kinds_generation(d->kube);
	(void)snprintf(d->tags[is_groups], sizeof(d->tags[0]), "\"%016llX\"",
		       (unsigned long long)span_hash(buffer_span(out)));
	return buffer_span(out);
}

static bool wants_all(struct call *call)
{
	struct span rest = request_header(call->base.req, SPAN("accept"));

	while (rest.len) {
		struct span range = span_cut(&rest, ',');
		bool is_list = false, is_version = false;

		if (!span_equal(span_trim(span_cut(&range, ';')), SPAN("application/json")))
			continue;
		while (range.len) {
			struct span value = span_trim(span_cut(&range, ';'));
			struct span name = span_cut(&value, '=');

			is_list |= span_equal(name, SPAN("as")) && span_equal(value, SPAN("APIGroupDiscoveryList"));
			is_version |= span_equal(name, SPAN("v")) && span_equal(value, SPAN("v2"));
		}
		if (is_list && is_version)
			return true;
	}
	return false;
}

static void answer_all(struct call *call, bool is_groups)
{
	struct discovery *d = call->base.kube->discovery;
	struct span text = all_make(d, is_groups), tag = span_of(d->tags[is_groups]);
	struct request *req = call->base.req;

	request_set_header(req, SPAN("etag"), arena_copy(&req->arena, tag, &(struct error){ 0 }));
	request_set_header(req, SPAN("vary"), SPAN("Accept"));
	request_set_header(req, SPAN("cache-control"), SPAN("public"));
	if (span_equal(request_header(req, SPAN("if-none-match")), tag)) {
		request_send(req, 304, (struct span){ 0 });
	} else {
		buffer_append(&req->out, text);
		request_send(req, 200, SPAN("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"));
	}
	call->is_answered = true;
	call_free(call);
}

/* `segments` of /api..., /apis...; more than three are no path of discovery. */
void discovery_serve(struct call *call, struct span *segments, size_t count)
{
	struct discovery *d = call->base.kube->discovery;
	bool is_groups = span_equal(segments[0], SPAN("apis")), is_there = true;
	struct json_writer w = json_writer(&call->base.req->out);

	/* /apis and /apis/GROUP are answered whatever the method is. */
	if (call->method != METHOD_GET && call->method != METHOD_HEAD && (!is_groups || count > 2)) {
		answer_no_method(call);
		return;
	}
	if (count == 1 && wants_all(call)) {
		answer_all(call, is_groups);
		return;
	}
	if (count == 1 && !is_groups)
		put_api(d, &w);
	else if (count == 1)
		put_apis(d, &w);
	else if (!is_groups)
		is_there = count == 2 && put_resources(d, (struct span){ "", 0 }, segments[1], &w);
	else if (count == 2 && registry_has_group(d->kube->registry, segments[1], false))
		put_group_versions(d, segments[1], &w, true);
	else
		is_there = count == 3 && put_resources(d, segments[1], segments[2], &w);
	if (is_there) {
		buffer_byte(&call->base.req->out, '\n');
		answer_out(call, 200);
	} else if ((!is_groups && count == 2) ||
		   (count == 3 && registry_has_group(d->kube->registry, segments[1], true))) {
		answer_no_resource(call);
	} else {
		answer_plain(call, 404, SPAN("404 page not found\n"));
	}
}
