/* SPDX-License-Identifier: Apache-2.0 */
/* A head, an answer's head, trailers, and the same bytes as a chunked body: whole and byte by byte must come to the same end. */
#include "wire/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_spans(const struct http1_head *head, const char *from, size_t len)
{
	for (size_t i = 0; i < head->header_count; i++) {
		const struct header *h = &head->headers[i];

		ASSERT(h->name.len > 0 && h->name.ptr >= from && h->name.ptr + h->name.len <= from + len);
		ASSERT(h->value.ptr >= from && h->value.ptr + h->value.len <= from + len);
		ASSERT(!memchr(h->value.ptr, 0, h->value.len) && !memchr(h->value.ptr, '\n', h->value.len));
	}
	ASSERT(!head->is_chunked || !head->has_length);
}

typedef enum http1_result parse_function(char *in, size_t len, size_t *seen, struct http1_head *ret, size_t *ret_len,
					 struct error *err);

static void fuzz_head(parse_function *parse, const uint8_t *data, size_t len)
{
	AUTO_FREE char *whole = base_alloc(len ? len : 1);
	AUTO_FREE char *pieces = base_alloc(len ? len : 1);
	struct http1_head head, again;
	struct error err = { 0 };
	size_t seen = 0, whole_len = 0, pieces_len = 0;
	enum http1_result result, piece = HTTP1_MORE;

	memcpy(whole, data, len);
	memcpy(pieces, data, len);
	result = parse(whole, len, &seen, &head, &whole_len, &err);
	if (result == HTTP1_DONE) {
		ASSERT(whole_len <= len);
		check_spans(&head, whole, len);
	}
	seen = 0;
	for (size_t n = 1; n <= len && piece == HTTP1_MORE; n++)
		piece = parse(pieces, n, &seen, &again, &pieces_len, &err);
	ASSERT((result == HTTP1_DONE) == (piece == HTTP1_DONE));
	ASSERT(result != HTTP1_DONE || (whole_len == pieces_len && head.header_count == again.header_count));
	ASSERT(result == HTTP1_FAILED || piece != HTTP1_FAILED);
}

static void fuzz_chunked(const uint8_t *data, size_t len)
{
	AUTO_FREE char *whole = base_alloc(len ? len : 1);
	AUTO_FREE char *pieces = base_alloc(len ? len : 1);
	struct http1_chunked a = { 0 }, b = { 0 };
	struct error err = { 0 };
	size_t used = 0, decoded = 0, at = 0, end = 0;
	enum http1_result result, piece = HTTP1_MORE;

	memcpy(whole, data, len);
	memcpy(pieces, data, len);
	result = http1_chunked_feed(&a, whole, len, whole, &used, &decoded, &err);
	while (at < len && piece == HTTP1_MORE) {
		size_t one_used = 0, one = 0;

		piece = http1_chunked_feed(&b, pieces + at, 1, pieces + end, &one_used, &one, &err);
		if (piece == HTTP1_FAILED)
			break;
		at += one_used;
		end += one;
	}
	ASSERT(result == piece);
	if (result != HTTP1_FAILED)
		ASSERT(used == at && decoded == end && memcmp(whole, pieces, end) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > KIB(16))
		return 0;
	fuzz_head(http1_parse_head, data, len);
	fuzz_head(http1_parse_answer, data, len);
	fuzz_head(http1_parse_trailers, data, len);
	fuzz_chunked(data, len);
	return 0;
}
