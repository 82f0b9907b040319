/* SPDX-License-Identifier: Apache-2.0 */
/* buckets - gs:// and s3://: all objects below a prefix, or one. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fetch/fetch_private.h"

#define PAGE_MOST  MIB(16)
#define PAGES_MOST 100000

struct bucket {
	struct fetching *f;
	bool is_s3;
	struct span name, prefix;
	struct span base; /* "https://host", without a slash */
	struct span host;
	struct span root; /* path in front of keys: "/bucket", or nothing */
	struct aws_keys keys;
	struct span bearer; /* "Authorization: Bearer ..." */
};

static struct span setting(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? span_of(text) : (struct span){ 0 };
}

static struct span first_setting(const char *const *names)
{
	struct span found = { 0 };

	for (; *names && !found.ptr; names++)
		found = setting(*names);
	return found;
}

/* ---- where ---- */

static bool base_set(struct bucket *b, struct span endpoint, bool is_plain, struct error *err)
{
	if (!memmem(endpoint.ptr, endpoint.len, "://", 3))
		endpoint =
		    arena_print(b->f->arena, err, "%s://%.*s", is_plain ? "http" : "https", SPAN_WHOLE(endpoint));
	if (!endpoint.ptr)
		return false;
	if (!span_starts(endpoint, SPAN("http://")) && !span_starts(endpoint, SPAN("https://")))
		return error_set(err, ERROR_INVALID, "endpoint '" SPAN_FMT "' is no http:// or https:// URL",
				 SPAN_ARG(endpoint));
	while (endpoint.len && endpoint.ptr[endpoint.len - 1] == '/')
		endpoint.len--;
	b->base = endpoint;
	b->host = span_skip(endpoint, span_starts(endpoint, SPAN("https://")) ? 8 : 7);
	if (!b->host.len || span_index(b->host, '/') < b->host.len)
		return error_set(err, ERROR_INVALID, "endpoint '" SPAN_FMT "': a host, and no path, is expected",
				 SPAN_ARG(endpoint));
	return true;
}

/* The bucket is a part of the host's name at Amazon's, but for one with dots, which its certificate does not cover. */
static bool s3_place(struct bucket *b, struct error *err)
{
	static const char *const regions[] = { "AWS_REGION", "AWS_DEFAULT_REGION", NULL };
	static const char *const endpoints[] = { "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT", NULL };
	struct span endpoint = first_setting(endpoints), region = first_setting(regions),
		    https = setting("S3_USE_HTTPS");
	struct arena *arena = b->f->arena;

	b->keys = (struct aws_keys){ .id = setting("AWS_ACCESS_KEY_ID"),
				     .secret = setting("AWS_SECRET_ACCESS_KEY"),
				     .token = setting("AWS_SESSION_TOKEN"),
				     .region = region.len ? region : SPAN("us-east-1") };
	if (b->keys.id.len && !b->keys.secret.len)
		return error_set(err, ERROR_INVALID, "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not");
	b->root = arena_print(arena, err, "/%.*s", SPAN_WHOLE(b->name));
	if (endpoint.len)
		return base_set(b, endpoint, span_equal(https, SPAN("0")) || span_equal(https, SPAN("false")), err);
	if (span_index(b->name, '.') < b->name.len)
		endpoint = arena_print(arena, err, "https://s3.%.*s.amazonaws.com", SPAN_WHOLE(b->keys.region));
	else
		endpoint = arena_print(arena, err, "https://%.*s.s3.%.*s.amazonaws.com", SPAN_WHOLE(b->name),
				       SPAN_WHOLE(b->keys.region));
	if (span_index(b->name, '.') == b->name.len)
		b->root = SPAN("");
	return endpoint.ptr && base_set(b, endpoint, false, err);
}

static bool gs_place(struct bucket *b, struct error *err)
{
	struct span emulator = setting("STORAGE_EMULATOR_HOST"), token = setting("GOOGLE_OAUTH_ACCESS_TOKEN");

	if (token.len)
		b->bearer = arena_print(b->f->arena, err, "Authorization: Bearer %.*s", SPAN_WHOLE(token));
	return base_set(b, emulator.len ? emulator : SPAN("https://storage.googleapis.com"), true, err);
}

/* ---- questions ---- */

static struct span now_text(struct arena *arena, struct error *err)
{
	char text[32];
	time_t now = time(NULL);
	struct tm tm;

	(void)gmtime_r(&now, &tm);
	return arena_copy(arena, span_from(text, strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm)), err);
}

/* `path` and `query` are encoded already. */
static bool ask(struct bucket *b, struct span path, struct span query, struct placing *place, struct buffer *body,
		struct error *err)
{
	struct arena *arena = b->f->arena;
	struct span headers[SIGNATURE_HEADERS_MOST];
	struct transfer_question q = { .headers = headers, .place = place, .body = body };

	if (!b->f->transfer)
		b->f->transfer = transfer_new(err);
	q.url = arena_print(arena, err, "%.*s%.*s%s%.*s", SPAN_WHOLE(b->base), SPAN_WHOLE(path), query.len ? "?" : "",
			    SPAN_WHOLE(query));
	if (!b->f->transfer || !q.url.ptr)
		return false;
	if (b->bearer.ptr)
		headers[q.header_count++] = b->bearer;
	if (b->is_s3 &&
	    !signature_make(&b->keys, b->host, path, query, now_text(arena, err), arena, headers, &q.header_count, err))
		return false;
	if (transfer_get(b->f->transfer, &q, err))
		return true;
	if (err->code == ERROR_UNAUTHENTICATED || err->code == ERROR_FORBIDDEN)
		error_wrap(err,
			   b->is_s3 ? "%s (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
				    : "%s (GOOGLE_OAUTH_ACCESS_TOKEN)",
			   b->keys.id.len || b->bearer.ptr ? "the keys given are not let in" : "no keys were given");
	return false;
}

/* Encodes and copies; ptr NULL on failure. */
static struct span encoded(struct bucket *b, struct span text, bool keeps_slashes, struct error *err)
{
	struct buffer out;
	struct span copy = { 0 };

	buffer_init(&out, KIB(64));
	uri_encode(text, keeps_slashes, &out);
	if (buffer_ok(&out, "an object's name", err))
		copy = arena_copy(b->f->arena, buffer_span(&out), err);
	buffer_done(&out);
	return copy;
}

static struct span object_path(struct bucket *b, struct span key, struct error *err)
{
	struct span part = encoded(b, key, b->is_s3, err);

	if (!part.ptr)
		return part;
	return b->is_s3
		   ? arena_print(b->f->arena, err, "%.*s/%.*s", SPAN_WHOLE(b->root), SPAN_WHOLE(part))
		   : arena_print(b->f->arena, err, "/storage/v1/b/%.*s/o/%.*s", SPAN_WHOLE(b->name), SPAN_WHOLE(part));
}

/* Parameters in the order of their names, as the signature wants them. */
static struct span page_query(struct bucket *b, struct span prefix, struct span next, struct error *err)
{
	struct span from = encoded(b, next, false, err);

	prefix = encoded(b, prefix, false, err);
	if (!prefix.ptr || !from.ptr)
		return (struct span){ 0 };
	if (b->is_s3)
		return arena_print(b->f->arena, err, "%s%.*s%sencoding-type=url&list-type=2&max-keys=1000&prefix=%.*s",
				   from.len ? "continuation-token=" : "", SPAN_WHOLE(from), from.len ? "&" : "",
				   SPAN_WHOLE(prefix));
	return arena_print(b->f->arena, err,
			   "fields=items(name%%2Csize)%%2CnextPageToken&maxResults=1000%s%.*s&prefix=%.*s",
			   from.len ? "&pageToken=" : "", SPAN_WHOLE(from), SPAN_WHOLE(prefix));
}

static bool page_get(struct bucket *b, struct span prefix, struct listing *list, struct error *err)
{
	struct span path, query = page_query(b, prefix, list->next, err), text;
	struct buffer body;
	bool ok;

	path = b->is_s3 ? arena_print(b->f->arena, err, "%.*s%s", SPAN_WHOLE(b->root), b->root.len ? "" : "/")
			: arena_print(b->f->arena, err, "/storage/v1/b/%.*s/o", SPAN_WHOLE(b->name));
	buffer_init(&body, PAGE_MOST);
	ok = query.ptr && path.ptr && ask(b, path, query, NULL, &body, err);
	text = ok ? arena_copy(b->f->arena, buffer_span(&body), err) : (struct span){ 0 };
	buffer_done(&body);
	list->next = (struct span){ 0 };
	return text.ptr && (b->is_s3 ? listing_read_s3(text, b->f->arena, list, err)
				     : listing_read_gs(text, b->f->arena, list, err));
}

static bool list_all(struct bucket *b, struct span prefix, struct listing *ret, struct error *err)
{
	*ret = (struct listing){ 0 };
	for (int pages = 0; pages < PAGES_MOST; pages++) {
		if (!page_get(b, prefix, ret, err))
			return false;
		if (ret->count > b->f->config->files_most)
			return error_set(err, ERROR_TOO_LARGE, "over %zu files (--max-files)",
					 b->f->config->files_most);
		if (!ret->next.len)
			return true;
	}
	return error_set(err, ERROR_TOO_LARGE, "a list of over %d pages", PAGES_MOST);
}

/* `size`: as it was listed; UINT64_MAX: it was not. */
static bool object_get(struct bucket *b, struct span key, uint64_t size, struct span to, struct error *err)
{
	struct span path = object_path(b, key, err);
	struct placing p;
	bool ok;

	if (!path.ptr || !place_begin(b->f, to, &p, err))
		return false;
	ok = ask(b, path, b->is_s3 ? SPAN("") : SPAN("alt=media"), &p, NULL, err);
	if (ok && size != UINT64_MAX && p.bytes != size)
		ok = error_set(err, ERROR_UNAVAILABLE, "'" SPAN_FMT "' has %llu bytes, and %llu came", SPAN_ARG(key),
			       (unsigned long long)size, (unsigned long long)p.bytes);
	ok = ok && place_end(&p, err);
	place_drop(&p);
	return ok;
}

static bool objects_get(struct bucket *b, const struct listing *list, size_t prefix_len, struct error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		struct span key = list->items[i].key, to;

		if (key.len < prefix_len)
			return error_set(err, ERROR_INVALID,
					 "'" SPAN_FMT "' was listed, and is not below what was asked for",
					 SPAN_ARG(key));
		to = span_skip(key, prefix_len);
		if (!to.len || to.ptr[to.len - 1] == '/')
			continue; /* what consoles put there for a folder */
		if (!object_get(b, key, list->items[i].size, to, err))
			return error_wrap(err, "'" SPAN_FMT "'", SPAN_ARG(key));
	}
	return true;
}

bool buckets_fetch(struct fetching *f, const struct uri *uri, struct error *err)
{
	struct bucket b = { .f = f, .is_s3 = uri->scheme == URI_S3, .name = uri->host };
	struct span path = uri->path, prefix = SPAN("");
	struct listing list;

	while (path.len && path.ptr[path.len - 1] == '/')
		path.len--;
	if (path.len)
		prefix = arena_print(f->arena, err, "%.*s/", SPAN_WHOLE(path));
	if (!prefix.ptr || !(b.is_s3 ? s3_place(&b, err) : gs_place(&b, err)) || !list_all(&b, prefix, &list, err))
		return false;
	if (list.count)
		return objects_get(&b, &list, prefix.len, err);
	if (!path.len)
		return error_set(err, ERROR_NOT_FOUND, "the bucket '" SPAN_FMT "' is empty", SPAN_ARG(b.name));
	return object_get(&b, path, UINT64_MAX, uri_basename(path), err);
}
