/* SPDX-License-Identifier: Apache-2.0 */
/* handler_answer - the head of an HTTP/1 answer, as far as a probe needs it. */
#include "node/handler_private.h"

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK" */
static bool status_line(struct span line, int *ret)
{
	if (!span_starts(line, SPAN("HTTP/")) || line.len < 12 || line.ptr[8] != ' ' || !digit(line.ptr[9]) ||
	    !digit(line.ptr[10]) || !digit(line.ptr[11]) || (line.len > 12 && line.ptr[12] != ' '))
		return false;
	*ret = (line.ptr[9] - '0') * 100 + (line.ptr[10] - '0') * 10 + (line.ptr[11] - '0');
	return *ret >= 100;
}

/* The line at the start of `rest`, without its end. False: it is not whole yet. */
static bool line_next(struct span *rest, struct span *ret)
{
	size_t at = span_index(*rest, '\n');

	if (at == rest->len)
		return false;
	*ret = span_first(*rest, at && rest->ptr[at - 1] == '\r' ? at - 1 : at);
	*rest = span_skip(*rest, at + 1);
	return true;
}

static enum http_head_result one_head(struct span *rest, struct http_head *ret)
{
	struct span line, name;
	int status;

	if (!line_next(rest, &line))
		return rest->len > 5 && !span_starts(*rest, SPAN("HTTP/")) ? HTTP_HEAD_BAD : HTTP_HEAD_PART;
	if (!status_line(line, &status))
		return HTTP_HEAD_BAD;
	*ret = (struct http_head){ .status = status };
	for (;;) {
		if (!line_next(rest, &line))
			return HTTP_HEAD_PART;
		if (!line.len)
			return HTTP_HEAD_GOOD;
		name = span_cut(&line, ':');
		if (span_equal_ignore_case(name, SPAN("location")))
			ret->location = span_trim(line);
	}
}

enum http_head_result http_head_read(struct span bytes, struct http_head *ret)
{
	struct http_head head;
	enum http_head_result result;
	struct span rest = bytes;

	do {
		result = one_head(&rest, &head);
	} while (result == HTTP_HEAD_GOOD && head.status < 200 && head.status != 101);
	if (result != HTTP_HEAD_GOOD)
		return result;
	*ret = head;
	ret->len = bytes.len - rest.len;
	return HTTP_HEAD_GOOD;
}
