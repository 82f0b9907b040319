/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway_private.h"

enum { METHOD_MOST = 32 }; /* longer than any method that is registered */

static bool is_token_byte(unsigned char c) /* RFC 9110 5.6.2 */
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Of what is expected, as much as has come. */
static bool begins(struct span *at, struct span expected)
{
	size_t len = MIN(at->len, expected.len);

	if (memcmp(at->ptr, expected.ptr, len) != 0)
		return false;
	*at = span_skip(*at, len);
	return true;
}

/* METHOD SP target SP HTTP/1.x CR LF (RFC 9112 3), or its beginning. *ret_looks: so far that nothing else begins like it. */
static enum sniff request_line(struct span at, bool *ret_looks)
{
	size_t n = 0;

	while (n < at.len && n <= METHOD_MOST && is_token_byte((unsigned char)at.ptr[n]))
		n++;
	if (n == at.len && n <= METHOD_MOST)
		return SNIFF_MORE;
	if (n == 0 || n > METHOD_MOST || at.ptr[n] != ' ')
		return SNIFF_BYTES;
	at = span_skip(at, n + 1);
	*ret_looks = at.len && at.ptr[0] == '/';
	for (n = 0; n < at.len && (unsigned char)at.ptr[n] > ' ' && at.ptr[n] != 0x7f; n++)
		;
	if (n == at.len)
		return SNIFF_MORE;
	if (n == 0 || at.ptr[n] != ' ')
		return SNIFF_BYTES;
	at = span_skip(at, n + 1);
	if (!begins(&at, SPAN("HTTP/1.")))
		return SNIFF_BYTES;
	if (!at.len)
		return SNIFF_MORE;
	if (at.ptr[0] < '0' || at.ptr[0] > '9')
		return SNIFF_BYTES;
	at = span_skip(at, 1);
	if (!at.len)
		return SNIFF_MORE;
	return at.ptr[0] == '\r' || at.ptr[0] == '\n' ? SNIFF_HTTP : SNIFF_BYTES;
}

enum sniff sniff(struct span first, bool is_all)
{
	const struct span preface = SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); /* RFC 9113 3.4 */
	bool looks = false;
	enum sniff answer;
	struct span at = first;

	if (first.len && begins(&at, preface)) {
		answer = first.len < preface.len ? SNIFF_MORE : SNIFF_HTTP;
		looks = first.len >= strlen("PRI * HTTP/2.0");
	} else {
		answer = first.len ? request_line(first, &looks) : SNIFF_MORE;
	}
	if (answer == SNIFF_MORE && (is_all || first.len >= SNIFF_MOST))
		return looks ? SNIFF_HTTP : SNIFF_BYTES;
	return answer;
}
