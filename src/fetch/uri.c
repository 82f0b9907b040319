/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch_private.h"

#include <ctype.h>

static const struct {
	struct span prefix;
	enum uri_scheme scheme;
} schemes[] = {
	{ SPAN_INIT("file://"), URI_FILE }, { SPAN_INIT("http://"), URI_HTTP }, { SPAN_INIT("https://"), URI_HTTP },
	{ SPAN_INIT("gs://"), URI_GS },     { SPAN_INIT("s3://"), URI_S3 },     { SPAN_INIT("pvc://"), URI_PVC },
};

static bool is_sane(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
			return false;
	return true;
}

/* The other URIs of prepackaged servers are rclone's "name:bucket/path"; they are told, not taken for a file. */
static bool plain_read(struct span text, struct uri *ret, struct error *err)
{
	size_t at = 0;

	if (memmem(text.ptr, text.len, "://", 3)) {
		while (at < text.len && text.ptr[at] != ':')
			at++;
		return error_set(err, ERROR_UNIMPLEMENTED,
				 "'" SPAN_FMT
				 "': of schemes file, http, https, gs, s3 and pvc are there, not " SPAN_FMT,
				 SPAN_ARG(text), SPAN_ARG(span_first(text, at)));
	}
	*ret = (struct uri){ .scheme = URI_FILE, .whole = text, .path = text };
	return true;
}

bool uri_read(struct span text, struct uri *ret, struct error *err)
{
	struct uri u = { .whole = text };
	struct span rest;
	size_t i = 0;

	if (!text.len || memchr(text.ptr, '\0', text.len))
		return error_set(err, ERROR_INVALID, "a URI or a path is expected");
	while (i < ARRAY_LEN(schemes) && !span_starts(text, schemes[i].prefix))
		i++;
	if (i == ARRAY_LEN(schemes))
		return plain_read(text, ret, err);
	u.scheme = schemes[i].scheme;
	rest = span_skip(text, schemes[i].prefix.len);
	if (u.scheme == URI_FILE) {
		if (!rest.len || rest.ptr[0] != '/')
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "': file:// is followed by an absolute path",
					 SPAN_ARG(text));
		u.path = rest;
		*ret = u;
		return true;
	}
	if (u.scheme == URI_HTTP) {
		u.whole = span_first(text, span_index(text, '#'));
		rest = span_first(rest, span_index(rest, '#'));
		if (!is_sane(rest))
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' has spaces or control characters in it",
					 SPAN_ARG(text));
	}
	u.host = span_cut(&rest, '/');
	u.path = u.scheme == URI_HTTP ? span_first(rest, span_index(rest, '?')) : rest;
	if (!u.host.len || !is_sane(u.host) || memchr(u.host.ptr, '?', u.host.len))
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' names no %s", SPAN_ARG(text),
				 u.scheme == URI_HTTP  ? "host"
				 : u.scheme == URI_PVC ? "claim"
						       : "bucket");
	*ret = u;
	return true;
}

void uri_encode(struct span text, bool keeps_slashes, struct buffer *out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (isalnum(c) || (c && strchr("-._~", c)) || (c == '/' && keeps_slashes)) {
			buffer_byte(out, (char)c);
			continue;
		}
		buffer_byte(out, '%');
		buffer_byte(out, digits[c >> 4]);
		buffer_byte(out, digits[c & 15]);
	}
}

struct span uri_basename(struct span path)
{
	while (path.len && path.ptr[path.len - 1] == '/')
		path.len--;
	for (size_t i = path.len; i > 0; i--)
		if (path.ptr[i - 1] == '/')
			return span_skip(path, i);
	return path;
}
