/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http1.h"

#include "base/ascii.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define EMPTY_LINES_MAX 2 /* before a request line */

/* Token characters (RFC 9110 5.6.2), each with its lower-case form; 0 for all others. */
static const char token_lower[256] = {
	/* clang-format off */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, '!', 0, '#', '$', '%', '&', '\'', 0, 0, '*', '+', 0, '-', '.', 0,
	'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 0, 0, 0, 0, 0, 0,
	0, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
	'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 0, 0, 0, '^', '_',
	'`', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
	'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 0, '|', 0, '~', 0,
	/* clang-format on */
};

/* What is being parsed, and what has been seen of it. */
struct scan {
	char *p, *end;
	struct http1_head *head;
	struct error *err;
	bool has_transfer_encoding, has_close, has_keep_alive;
	bool is_answer, is_trailers;
};

static enum http1_result failed(struct scan *s, const char *what)
{
	error_set(s->err, ERROR_INVALID, "%s", what);
	return HTTP1_FAILED;
}

/* First byte that may not stand in a field value: a control character other than tab (RFC 9110 5.5). */
static char *value_end(char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i space = _mm_set1_epi8(0x20), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i printable = _mm_cmpeq_epi8(_mm_max_epu8(v, space), v);
		__m128i good =
		    _mm_andnot_si128(_mm_cmpeq_epi8(v, del), _mm_or_si128(printable, _mm_cmpeq_epi8(v, tab)));
		unsigned bad = (unsigned)_mm_movemask_epi8(good) ^ 0xffffu;

		if (bad)
			return p + __builtin_ctz(bad);
	}
#endif
	while (p < end && (((unsigned char)*p >= 0x20 && *p != 0x7f) || *p == '\t'))
		p++;
	return p;
}

/* Passes CRLF or LF (RFC 9112 2.2). */
static enum http1_result line_end(struct scan *s, const char *what)
{
	if (s->p == s->end)
		return HTTP1_MORE;
	if (*s->p == '\r') {
		if (s->p + 1 == s->end)
			return HTTP1_MORE;
		if (s->p[1] != '\n') {
			error_set(s->err, ERROR_INVALID, "%s has a carriage return without a line feed", what);
			return HTTP1_FAILED;
		}
		s->p += 2;
		return HTTP1_DONE;
	}
	if (*s->p == '\n') {
		if (s->is_trailers)
			return failed(s, "a trailer line does not end with CRLF");
		s->p++;
		return HTTP1_DONE;
	}
	error_set(s->err, ERROR_INVALID, "%s has the control character 0x%02x", what, (unsigned char)*s->p);
	return HTTP1_FAILED;
}

static enum http1_result empty_lines(struct scan *s)
{
	for (int n = 0; s->p < s->end && (*s->p == '\r' || *s->p == '\n'); n++) {
		enum http1_result result;

		if (n == EMPTY_LINES_MAX)
			return failed(s, "more than two empty lines before the request line");
		result = line_end(s, "the line before the request line");
		if (result != HTTP1_DONE)
			return result;
	}
	return s->p < s->end ? HTTP1_DONE : HTTP1_MORE;
}

static enum http1_result version(struct scan *s)
{
	static const char name[] = "HTTP/";
	size_t have = (size_t)(s->end - s->p);

	if (memcmp(s->p, name, MIN(have, 5)) != 0)
		return failed(s, "the request line does not end with an HTTP version, as in \"GET /path HTTP/1.1\"");
	if (have < 8)
		return HTTP1_MORE;
	if (s->p[5] < '0' || s->p[5] > '9' || s->p[6] != '.' || s->p[7] < '0' || s->p[7] > '9')
		return failed(s, "the request line's HTTP version is malformed; 1.1 is spoken here");
	if (s->p[5] != '1') {
		error_set(s->err, ERROR_HTTP_VERSION, "HTTP version %c.%c is not spoken here; 1.0, 1.1 and 2 are",
			  s->p[5], s->p[7]);
		return HTTP1_FAILED;
	}
	/* RFC 9110 2.5: a higher minor version is answered as the highest one known. */
	s->head->minor = s->p[7] == '0' ? 0 : 1;
	s->p += 8;
	return line_end(s, "the request line");
}

/* HTTP/1.1 200 OK; the reason may be missing, and some servers leave its space out too. */
static enum http1_result status_line(struct scan *s)
{
	static const char name[] = "HTTP/1.";
	size_t have = (size_t)(s->end - s->p);
	const char *start;

	if (memcmp(s->p, name, MIN(have, 7)) != 0)
		return failed(s, "the answer does not start with a status line, as in \"HTTP/1.1 200 OK\"");
	if (have < 13)
		return memchr(s->p, '\n', have) ? failed(s, "the status line is too short") : HTTP1_MORE;
	if (s->p[7] < '0' || s->p[7] > '9' || s->p[8] != ' ')
		return failed(s, "the status line's HTTP version is malformed");
	s->head->minor = s->p[7] == '0' ? 0 : 1;
	for (int i = 9; i < 12; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return failed(s, "the status is not a number of three digits");
		s->head->status = s->head->status * 10 + (s->p[i] - '0');
	}
	if (s->head->status < 100)
		return failed(s, "the status is below 100");
	s->p += 12;
	if (*s->p == ' ')
		s->p++;
	else if (*s->p != '\r' && *s->p != '\n')
		return failed(s, "the status is not a number of three digits");
	start = s->p;
	s->p = value_end(s->p, s->end);
	s->head->reason = span_from(start, (size_t)(s->p - start));
	return line_end(s, "the status line");
}

static enum http1_result request_line(struct scan *s)
{
	char *start = s->p;

	while (s->p < s->end && token_lower[(unsigned char)*s->p])
		s->p++;
	if (s->p == s->end)
		return HTTP1_MORE;
	if (*s->p != ' ' || s->p == start)
		return failed(s, "the request line does not start with a method and one space");
	s->head->method = span_from(start, (size_t)(s->p - start));

	start = ++s->p;
	while (s->p < s->end && (unsigned char)*s->p > 0x20 && *s->p != 0x7f)
		s->p++;
	if (s->p == s->end)
		return HTTP1_MORE;
	if (s->p == start || *s->p != ' ')
		return failed(s, "the request line is not \"METHOD target HTTP/1.1\" with single spaces");
	s->head->target = span_from(start, (size_t)(s->p - start));
	s->p++;
	return version(s);
}

/* ---- fields that mean something for the message's shape ---- */

static bool content_length(struct scan *s, struct span value)
{
	uint64_t length = 0;

	if (value.len == 0)
		return error_set(s->err, ERROR_INVALID, "Content-Length is empty");
	for (size_t i = 0; i < value.len; i++) {
		unsigned digit = (unsigned char)value.ptr[i] - (unsigned)'0';

		if (digit > 9)
			return error_set(s->err, ERROR_INVALID, "Content-Length '" SPAN_FMT "' is not a whole number",
					 SPAN_ARG(value));
		if (__builtin_mul_overflow(length, 10, &length) || __builtin_add_overflow(length, digit, &length))
			return error_set(s->err, ERROR_INVALID, "Content-Length '" SPAN_FMT "' is over 64 bits",
					 SPAN_ARG(value));
	}
	if (s->head->has_length && s->head->content_length != length)
		return error_set(s->err, ERROR_INVALID, "two Content-Length fields differ");
	if (s->head->has_length && s->is_answer)
		s->head->header_count--;
	s->head->has_length = true;
	s->head->content_length = length;
	return true;
}

static bool transfer_encoding(struct scan *s, struct span value)
{
	if (s->has_transfer_encoding)
		return error_set(s->err, ERROR_INVALID, "more than one Transfer-Encoding field");
	s->has_transfer_encoding = true;
	if (span_equal_ignore_case(value, SPAN("chunked"))) {
		s->head->is_chunked = true;
		return true;
	}
	for (struct span rest = value; rest.len;) {
		struct span coding = span_trim(span_cut(&rest, ','));

		if (rest.len && span_equal_ignore_case(coding, SPAN("chunked")))
			return error_set(s->err, ERROR_INVALID,
					 "Transfer-Encoding '" SPAN_FMT "': chunked must come last and once",
					 SPAN_ARG(value));
	}
	return error_set(s->err, ERROR_UNIMPLEMENTED, "Transfer-Encoding '" SPAN_FMT "' is not supported; chunked is",
			 SPAN_ARG(value));
}

static void connection_options(struct scan *s, struct span value)
{
	while (value.len) {
		struct span option = span_trim(span_cut(&value, ','));

		if (option.len == 5 && span_equal_ignore_case(option, SPAN("close")))
			s->has_close = true;
		else if (option.len == 10 && span_equal_ignore_case(option, SPAN("keep-alive")))
			s->has_keep_alive = true;
	}
}

/* Characters of a host and port (RFC 3986 3.2.2); an empty one is allowed (RFC 9112 3.2). */
static bool host(struct scan *s, struct span value)
{
	if (s->head->host.ptr)
		return error_set(s->err, ERROR_INVALID, "more than one Host field");
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"#/<>?@\\^`{|}", c))
			return error_set(s->err, ERROR_INVALID,
					 "Host '" SPAN_FMT "' is not a host name with an optional port",
					 SPAN_ARG(value));
	}
	s->head->host = value;
	return true;
}

static void keep_first(struct span *to, struct span value)
{
	if (!to->ptr)
		*to = value;
}

static bool is_named(struct span name, const char *literal)
{
	return memcmp(name.ptr, literal, name.len) == 0;
}

/* Told apart by length first: most fields compare once or not at all. */
static bool known_field(struct scan *s, struct span name, struct span value)
{
	switch (name.len) {
	case 4:
		return is_named(name, "host") && !s->is_answer ? host(s, value) : true;
	case 6:
		if (is_named(name, "expect") && span_equal_ignore_case(value, SPAN("100-continue")))
			s->head->expects_continue = true;
		return true;
	case 7:
		if (is_named(name, "upgrade"))
			s->head->has_upgrade = true;
		return true;
	case 10:
		if (is_named(name, "connection"))
			connection_options(s, value);
		return true;
	case 12:
		if (is_named(name, "content-type"))
			keep_first(&s->head->content_type, value);
		return true;
	case 14:
		return is_named(name, "content-length") ? content_length(s, value) : true;
	case 16:
		if (is_named(name, "content-encoding"))
			keep_first(&s->head->content_encoding, value);
		return true;
	case 17:
		return is_named(name, "transfer-encoding") ? transfer_encoding(s, value) : true;
	default:
		return true;
	}
}

static enum http1_result field_name(struct scan *s, struct span *ret)
{
	char *start = s->p, *p = s->p, lower;

	while (p < s->end && (lower = token_lower[(unsigned char)*p]) != 0)
		*p++ = lower;
	s->p = p;
	if (p == s->end)
		return HTTP1_MORE;
	*ret = span_from(start, (size_t)(p - start));
	if (LIKELY(*p == ':' && p > start)) {
		s->p++;
		return HTTP1_DONE;
	}
	if (p == start && (*p == ' ' || *p == '\t'))
		return failed(s, "a header line starts with a space: folded lines are not accepted (RFC 9112 5.2)");
	if (*p == ' ' || *p == '\t')
		error_set(s->err, ERROR_INVALID, "space between the header name '" SPAN_FMT "' and its colon",
			  SPAN_ARG(*ret));
	else
		error_set(s->err, ERROR_INVALID, "a header name has the character 0x%02x, or no colon follows it",
			  (unsigned char)*p);
	return HTTP1_FAILED;
}

/* RFC 9110 6.5.1: framing, routing and what says how to read the content are settled when trailers come. */
static bool is_trailer(struct span name)
{
	static const struct span not [] = {
		SPAN_INIT("content-length"), SPAN_INIT("transfer-encoding"), SPAN_INIT("connection"),
		SPAN_INIT("host"),           SPAN_INIT("trailer"),           SPAN_INIT("te"),
		SPAN_INIT("upgrade"),        SPAN_INIT("keep-alive"),        SPAN_INIT("content-encoding"),
		SPAN_INIT("content-type"),   SPAN_INIT("content-range"),     SPAN_INIT("set-cookie"),
		SPAN_INIT("authorization"),  SPAN_INIT("cache-control"),
	};

	for (size_t i = 0; i < ARRAY_LEN(not ); i++)
		if (span_equal(name, not [i]))
			return false;
	return true;
}

static enum http1_result field(struct scan *s)
{
	struct http1_head *head = s->head;
	struct header *to;
	enum http1_result result;
	const char *start, *tail;

	if (head->header_count == HTTP1_HEADERS_MAX) {
		error_set(s->err, ERROR_HEADERS_TOO_LARGE, "more than %d header fields", HTTP1_HEADERS_MAX);
		return HTTP1_FAILED;
	}
	to = &head->headers[head->header_count];
	result = field_name(s, &to->name);
	if (result != HTTP1_DONE)
		return result;

	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
	start = s->p;
	s->p = value_end(s->p, s->end);
	tail = s->p;
	result = line_end(s, "a header value");
	if (result != HTTP1_DONE)
		return result;
	while (tail > start && (tail[-1] == ' ' || tail[-1] == '\t'))
		tail--;
	to->value = span_from(start, (size_t)(tail - start));
	if (s->is_trailers) {
		head->header_count += is_trailer(to->name);
		return HTTP1_DONE;
	}
	head->header_count++;
	return known_field(s, to->name, to->value) ? HTTP1_DONE : HTTP1_FAILED;
}

/* What must hold between fields. */
static enum http1_result check(struct scan *s)
{
	struct http1_head *head = s->head;

	if (s->is_trailers)
		return HTTP1_DONE;
	if (head->minor == 1 && !head->host.ptr && !s->is_answer)
		return failed(s, "HTTP/1.1 asks for a Host field");
	if (s->has_transfer_encoding && head->has_length)
		return failed(s, s->is_answer ? "Content-Length and Transfer-Encoding in one answer"
					      : "Content-Length and Transfer-Encoding in one request");
	/* RFC 9112 6.1: framing of a 1.0 message with Transfer-Encoding is faulty. */
	if (s->has_transfer_encoding && head->minor == 0)
		return failed(s, s->is_answer ? "Transfer-Encoding in an HTTP/1.0 answer"
					      : "Transfer-Encoding in an HTTP/1.0 request");
	head->keep_alive = !s->has_close && (head->minor == 1 || s->has_keep_alive);
	if (head->minor == 0)
		head->expects_continue = false; /* RFC 9110 10.1.1 */
	return HTTP1_DONE;
}

static enum http1_result first_line(struct scan *s)
{
	enum http1_result result;

	if (s->is_trailers)
		return HTTP1_DONE;
	if (s->is_answer)
		return status_line(s);
	result = empty_lines(s);
	return result == HTTP1_DONE ? request_line(s) : result;
}

static enum http1_result parse(struct scan *s)
{
	enum http1_result result = first_line(s);

	while (result == HTTP1_DONE) {
		if (s->p == s->end)
			return HTTP1_MORE;
		if (*s->p == '\r' || *s->p == '\n') {
			result = line_end(s, "the line after the headers");
			return result == HTTP1_DONE ? check(s) : result;
		}
		result = field(s);
	}
	return result;
}

/* An empty line in in[from..len): LF, then LF or CRLF. */
static bool has_empty_line(const char *in, size_t from, size_t len)
{
	const char *p = in + from, *end = in + len;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		p++;
		if (end - p >= 1 && *p == '\n')
			return true;
		if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
			return true;
	}
	return false;
}

static void clear(struct http1_head *head)
{
	/* All but the header array: three kilobytes that nobody reads past header_count. */
	head->method = head->target = head->host = head->content_type = head->content_encoding = (struct span){ 0 };
	head->reason = (struct span){ 0 };
	head->status = 0;
	head->minor = 1;
	head->header_count = 0;
	head->content_length = 0;
	head->has_length = head->is_chunked = head->keep_alive = head->expects_continue = head->has_upgrade = false;
}

static enum http1_result parse_from(struct scan s, char *in, size_t len, size_t *seen, size_t *ret_len)
{
	enum http1_result result;

	/* The empty line may have begun in what was seen: its last three bytes count again. */
	if (*seen && !has_empty_line(in, *seen > 3 ? *seen - 3 : 0, len)) {
		*seen = len;
		return HTTP1_MORE;
	}
	clear(s.head);
	result = parse(&s);
	if (result == HTTP1_DONE)
		*ret_len = (size_t)(s.p - in);
	else if (result == HTTP1_MORE)
		*seen = len;
	return result;
}

enum http1_result http1_parse_head(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
				   struct error *err)
{
	return parse_from((struct scan){ .p = in, .end = in + len, .head = ret, .err = err }, in, len, seen, ret_len);
}

enum http1_result http1_parse_answer(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
				     struct error *err)
{
	struct scan s = { .p = in, .end = in + len, .head = ret, .err = err, .is_answer = true };

	return parse_from(s, in, len, seen, ret_len);
}

enum http1_result http1_parse_trailers(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
				       struct error *err)
{
	struct scan s = { .p = in, .end = in + len, .head = ret, .err = err, .is_trailers = true };

	/* No trailers at all is the rule: an empty line that nothing stands before. */
	if (len && *in == '\r')
		*seen = 0;
	return parse_from(s, in, len, seen, ret_len);
}

/* ---- writing ---- */

bool http1_is_value(struct span text)
{
	return text.len == 0 || value_end((char *)text.ptr, text.ptr + text.len) == text.ptr + text.len;
}

bool http1_is_token(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!token_lower[(unsigned char)text.ptr[i]])
			return false;
	return text.len > 0;
}

bool http1_is_target(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= 0x20 || text.ptr[i] == 0x7f)
			return false;
	return text.len > 0;
}

/* ---- chunked bodies (RFC 9112 7.1) ---- */

enum chunk_state {
	CHUNK_SIZE_FIRST,
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_FIRST, /* at the start of a line behind the last chunk */
	CHUNK_TRAILER,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
	CHUNK_END,
};

static bool is_text(unsigned char c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static bool chunk_size_digit(struct http1_chunked *c, unsigned char byte, struct error *err)
{
	int digit = ascii_hex_value(byte);

	if (digit >= 0) {
		if (c->left >> 60)
			return error_set(err, ERROR_INVALID, "chunk size is over 64 bits");
		c->left = c->left << 4 | (unsigned)digit;
		c->state = CHUNK_SIZE;
		return true;
	}
	if (c->state == CHUNK_SIZE_FIRST)
		return error_set(err, ERROR_INVALID, "chunk size starts with 0x%02x, not with a hexadecimal digit",
				 byte);
	if (byte == ';') {
		c->state = CHUNK_EXTENSION;
		return true;
	}
	if (byte == '\r') {
		c->state = CHUNK_SIZE_LF;
		return true;
	}
	return error_set(err, ERROR_INVALID, "chunk size has the character 0x%02x", byte);
}

/* One byte of the framing: all states but CHUNK_DATA. */
static bool chunk_byte(struct http1_chunked *c, unsigned char byte, struct error *err)
{
	switch ((enum chunk_state)c->state) {
	case CHUNK_SIZE_FIRST:
	case CHUNK_SIZE:
		return chunk_size_digit(c, byte, err);
	case CHUNK_EXTENSION: /* read over; a bare LF here ends the line for some parsers and not for others: refused */
		if (byte == '\r')
			c->state = CHUNK_SIZE_LF;
		else if (!is_text(byte))
			return error_set(err, ERROR_INVALID, "chunk extension has the control character 0x%02x", byte);
		return true;
	case CHUNK_SIZE_LF:
		c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER_FIRST;
		c->line = 0;
		return byte == '\n' || error_set(err, ERROR_INVALID, "chunk size line does not end with CRLF");
	case CHUNK_DATA_CR:
		c->state = CHUNK_DATA_LF;
		return byte == '\r' || error_set(err, ERROR_INVALID, "chunk is longer than its size says");
	case CHUNK_DATA_LF:
		c->state = CHUNK_SIZE_FIRST;
		c->line = 0;
		return byte == '\n' || error_set(err, ERROR_INVALID, "chunk does not end with CRLF");
	case CHUNK_TRAILER_FIRST:
		if (byte == '\r')
			c->state = CHUNK_END_LF;
		else if (token_lower[byte])
			c->state = CHUNK_TRAILER;
		else
			return error_set(err, ERROR_INVALID, "trailer line starts with 0x%02x", byte);
		return true;
	case CHUNK_TRAILER:
		if (byte == '\r')
			c->state = CHUNK_TRAILER_LF;
		else if (!is_text(byte))
			return error_set(err, ERROR_INVALID, "trailer has the control character 0x%02x", byte);
		return true;
	case CHUNK_TRAILER_LF:
		c->state = CHUNK_TRAILER_FIRST;
		return byte == '\n' || error_set(err, ERROR_INVALID, "trailer line does not end with CRLF");
	case CHUNK_END_LF:
		c->state = CHUNK_END;
		return byte == '\n' || error_set(err, ERROR_INVALID, "chunked body does not end with CRLF");
	case CHUNK_DATA:
	case CHUNK_END:
		break;
	}
	base_assert_failed("a state without framing", __FILE__, __LINE__);
}

static bool chunked_is_over(const struct http1_chunked *c)
{
	return c->state == CHUNK_END || (c->leaves_trailers && c->state == CHUNK_TRAILER_FIRST);
}

enum http1_result http1_chunked_next(struct http1_chunked *c, const char *in, size_t len, size_t *ret_used,
				     struct span *ret_data, struct error *err)
{
	size_t used = 0;

	*ret_data = (struct span){ in, 0 };
	for (; used < len && !chunked_is_over(c); used++) {
		if (c->state == CHUNK_DATA) {
			size_t n = (size_t)MIN(len - used, c->left);

			*ret_data = (struct span){ in + used, n };
			used += n;
			c->left -= n;
			if (c->left == 0)
				c->state = CHUNK_DATA_CR;
			break;
		}
		/* Trailers count as one line: their sum is bounded too. */
		if (++c->line > HTTP1_CHUNK_LINE_MAX) {
			error_set(err, ERROR_INVALID, "a chunk's size line, or the trailers, are over %d bytes",
				  HTTP1_CHUNK_LINE_MAX);
			return HTTP1_FAILED;
		}
		if (!chunk_byte(c, (unsigned char)in[used], err))
			return HTTP1_FAILED;
	}
	*ret_used = used;
	return chunked_is_over(c) ? HTTP1_DONE : HTTP1_MORE;
}

enum http1_result http1_chunked_feed(struct http1_chunked *c, const char *in, size_t len, char *out, size_t *ret_used,
				     size_t *ret_data, struct error *err)
{
	enum http1_result result = HTTP1_MORE;
	size_t used = 0, data = 0;

	while (used < len && result == HTTP1_MORE) {
		struct span piece;
		size_t n = 0;

		result = http1_chunked_next(c, in + used, len - used, &n, &piece, err);
		if (result == HTTP1_FAILED)
			return result;
		if (piece.len && out + data != piece.ptr)
			memmove(out + data, piece.ptr, piece.len);
		data += piece.len;
		used += n;
	}
	*ret_used = used;
	*ret_data = data;
	return chunked_is_over(c) ? HTTP1_DONE : HTTP1_MORE;
}

/* ---- status codes ---- */

const char *http1_reason(int status)
{
	static const struct {
		short status;
		const char *reason;
	} rows[] = {
		/* clang-format off */
		{ 200, "OK" }, { 100, "Continue" }, { 101, "Switching Protocols" }, { 201, "Created" }, { 202, "Accepted" },
		{ 204, "No Content" }, { 206, "Partial Content" }, { 301, "Moved Permanently" }, { 302, "Found" },
		{ 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
		{ 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 409, "Conflict" },
		{ 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" },
		{ 414, "URI Too Long" }, { 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" }, { 422, "Unprocessable Content" }, { 426, "Upgrade Required" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 499, "Client Closed Request" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" }, { 102, "Processing" }, { 103, "Early Hints" },
		{ 203, "Non-Authoritative Information" }, { 205, "Reset Content" }, { 207, "Multi-Status" },
		{ 208, "Already Reported" }, { 226, "IM Used" }, { 300, "Multiple Choices" }, { 305, "Use Proxy" },
		{ 402, "Payment Required" }, { 407, "Proxy Authentication Required" }, { 418, "I'm a teapot" },
		{ 421, "Misdirected Request" }, { 423, "Locked" }, { 424, "Failed Dependency" }, { 425, "Too Early" },
		{ 428, "Precondition Required" }, { 451, "Unavailable For Legal Reasons" },
		{ 506, "Variant Also Negotiates" }, { 508, "Loop Detected" }, { 510, "Not Extended" },
		{ 511, "Network Authentication Required" },
		/* clang-format on */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].status == status)
			return rows[i].reason;
	}
	return "";
}
