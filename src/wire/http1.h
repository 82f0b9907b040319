/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * http1 - HTTP/1.1 message syntax (RFC 9112, RFC 9110 5): heads and chunked bodies, parsed in place, incrementally.
 *
 * Strict where leniency lets requests be smuggled: a bare CR or NUL anywhere, space before a colon, obsolete folding,
 * Content-Length with Transfer-Encoding, several differing Content-Lengths, "chunked" not last or not alone, control
 * characters in values, a missing or repeated Host in HTTP/1.1 are all refused. A bare LF ends a line of a head
 * (RFC 9112 2.2), but never one of a chunked body or its trailers. Answers are read with the same eyes: what parts two of them must be beyond
 * doubt, or one is taken for the end of another.
 */
#include "base/base.h"

#define HTTP1_HEADERS_MAX 100

struct header {
	struct span name;  /* lower case */
	struct span value; /* trimmed */
};

struct http1_head {
	struct span method, target;
	int status; /* of an answer; 0 in a request */
	struct span reason;
	int minor; /* HTTP/1.<minor>: 0 or 1 */
	struct header headers[HTTP1_HEADERS_MAX];
	size_t header_count;
	uint64_t content_length;
	bool has_length, is_chunked, keep_alive, expects_continue, has_upgrade;
	struct span host, content_type, content_encoding; /* ptr NULL when absent: the hot path asks often */
};

enum http1_result { HTTP1_DONE, HTTP1_MORE, HTTP1_FAILED };

/*
 * Parses one request head at the start of `in`. Header names are lowered in place, which is why `in` is writable
 * memory. `*seen` is the count of bytes looked at in earlier calls (0 at first): a slow client costs no quadratic time.
 * DONE: *ret_len is the head's length, with the empty line. FAILED: err is INVALID (400), or HEADERS_TOO_LARGE for too
 * many fields, or UNIMPLEMENTED (501) for an unknown transfer coding, or HTTP_VERSION (505).
 * Empty lines before the request line are passed over (RFC 9112 2.2), two at most.
 */
enum http1_result http1_parse_head(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
				   struct error *err);

/*
 * The head of an answer, in the same way: method and target stay empty, status (100 - 999) and reason are set. A reason, and the space before
 * it, may be missing. Nothing may come before the status line. Content-Length twice with one value is given once.
 */
enum http1_result http1_parse_answer(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
				     struct error *err);

/*
 * The fields behind a chunked body's last chunk, with the empty line: headers and header_count of `ret`. Those that say how a message is framed
 * or where it goes (RFC 9110 6.5.1) are left out. Every line ends with CRLF.
 */
enum http1_result http1_parse_trailers(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
				       struct error *err);

/* What may stand in a head that is written: a field's value, a name or method (RFC 9110 5.6.2), a target. */
bool http1_is_value(struct span text);
bool http1_is_token(struct span text);
bool http1_is_target(struct span text);

/* Decodes a chunked body in place: reads at `in`, moves data down to `*out_len` at the start of `body`. */
struct http1_chunked {
	uint64_t left; /* bytes of the current chunk still to come */
	int state;
	size_t line;          /* bytes of the size line or trailer seen, bounded */
	bool leaves_trailers; /* DONE comes before them: for http1_parse_trailers(); else they are read over */
};
#define HTTP1_CHUNK_LINE_MAX 4096 /* a size line with extensions, or a trailer field */
/* Consumes from in[0..len): *ret_used bytes, of which data goes to out (may overlap in, out <= in), *ret_data of it. */
enum http1_result http1_chunked_feed(struct http1_chunked *c, const char *in, size_t len, char *out, size_t *ret_used,
				     size_t *ret_data, struct error *err);
/* The same without moving anything: up to the end of the next run of data, which is *ret_data (len 0: framing only). */
enum http1_result http1_chunked_next(struct http1_chunked *c, const char *in, size_t len, size_t *ret_used,
				     struct span *ret_data, struct error *err);

const char *http1_reason(int status); /* "Not Found"; "" for an unknown code */
