/* SPDX-License-Identifier: Apache-2.0 */
#include "inference/multipart.h"

static bool damaged(struct multipart *m, const char *what, struct error *err)
{
	m->failed = true;
	return error_set(err, ERROR_INVALID, "multipart/form-data: %s", what);
}

/* The value of `name=` in a header with parameters ("form-data; name=\"data\""); quotes are taken off. */
static bool parameter_find(struct span value, struct span name, struct span *ret)
{
	(void)span_cut(&value, ';');
	while (value.len > 0) {
		struct span one, key;
		size_t end = 0;
		bool is_quoted = false;

		/* A quoted value may hold the separator. */
		for (; end < value.len && (is_quoted || value.ptr[end] != ';'); end++)
			is_quoted ^= value.ptr[end] == '"';
		one = span_trim(span_first(value, end));
		value = span_skip(value, MIN(end + 1, value.len));
		key = span_trim(span_first(one, span_index(one, '=')));
		if (key.len == one.len || !span_equal_ignore_case(key, name))
			continue;
		one = span_trim(span_skip(one, span_index(one, '=') + 1));
		if (one.len >= 2 && one.ptr[0] == '"' && one.ptr[one.len - 1] == '"')
			one = span_first(span_skip(one, 1), one.len - 2);
		*ret = one;
		return true;
	}
	return false;
}

bool multipart_init(struct multipart *m, struct span content_type, struct span body, struct error *err)
{
	struct span boundary;

	*m = (struct multipart){ .rest = body, .is_first = true };
	if (!parameter_find(content_type, SPAN("boundary"), &boundary) || boundary.len == 0 ||
	    boundary.len > MULTIPART_BOUNDARY_MAX)
		return damaged(m, "the content type has no boundary of 1 to 70 characters", err);
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
	m->delimiter_len = boundary.len + 4;
	return true;
}

/* What stands before the delimiter; moves behind it. */
static bool delimiter_cut(struct multipart *m, struct span *ret)
{
	const char *at;

	/* The first one may stand at the very start, without a line end before it. */
	if (m->is_first && span_starts(m->rest, span_from(m->delimiter + 2, m->delimiter_len - 2))) {
		*ret = (struct span){ m->rest.ptr, 0 };
		m->rest = span_skip(m->rest, m->delimiter_len - 2);
		return true;
	}
	at = m->rest.len ? memmem(m->rest.ptr, m->rest.len, m->delimiter, m->delimiter_len) : NULL;
	if (!at)
		return false;
	*ret = span_from(m->rest.ptr, (size_t)(at - m->rest.ptr));
	m->rest = span_skip(m->rest, ret->len + m->delimiter_len);
	return true;
}

static bool head_parse(struct multipart *m, struct multipart_part *part, struct span *content, struct error *err)
{
	for (;;) {
		const char *end = content->len ? memmem(content->ptr, content->len, "\r\n", 2) : NULL;
		struct span line, name, file;

		if (!end)
			return damaged(m, "a part's head has no end", err);
		line = span_from(content->ptr, (size_t)(end - content->ptr));
		*content = span_skip(*content, line.len + 2);
		if (line.len == 0)
			break;
		name = span_cut(&line, ':');
		if (!span_equal_ignore_case(name, SPAN("content-disposition")))
			continue;
		if (parameter_find(line, SPAN("name"), &name))
			part->name = name;
		part->is_file =
		    parameter_find(line, SPAN("filename"), &file) || parameter_find(line, SPAN("filename*"), &file);
	}
	if (!part->name.ptr)
		return damaged(m, "a part has no name", err);
	return true;
}

bool multipart_next(struct multipart *m, struct multipart_part *ret, struct error *err)
{
	struct multipart_part part = { 0 };
	struct span content, ignored;

	if (m->failed)
		return false;
	if (m->is_first && !delimiter_cut(m, &ignored))
		return damaged(m, "the boundary does not occur in the body", err);
	m->is_first = false;
	if (span_starts(m->rest, SPAN("--")))
		return false;
	if (m->count++ == MULTIPART_PARTS_MAX)
		return damaged(m, "more than 1000 parts", err);
	/* RFC 2046 5.1.1: padding may stand behind a boundary. */
	while (m->rest.len > 0 && (m->rest.ptr[0] == ' ' || m->rest.ptr[0] == '\t'))
		m->rest = span_skip(m->rest, 1);
	if (!span_starts(m->rest, SPAN("\r\n")))
		return damaged(m, "a boundary is not followed by a line end", err);
	m->rest = span_skip(m->rest, 2);
	if (!delimiter_cut(m, &content))
		return damaged(m, "a part has no closing boundary", err);
	if (!head_parse(m, &part, &content, err))
		return false;
	part.content = content;
	*ret = part;
	return true;
}
