/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/blocks.h"

#include <errno.h>
#include <unistd.h>

#include "wire/csv.h"

enum { BLOCK_MAX = 4 * CSV_RECORD_MAX };

void block_reader_init(struct block_reader *r, int fd, char separator, size_t block_bytes)
{
	*r = (struct block_reader){ .fd = fd, .separator = separator, .block_bytes = block_bytes };
	buffer_init(&r->carry, BLOCK_MAX);
}

void block_reader_done(struct block_reader *r)
{
	buffer_done(&r->carry);
}

/* Behind the last line end in [from, to). Texts with bare CRs only (old Macs) are rare, and searched for second. */
static const char *last_line(const char *from, const char *to)
{
	const char *found = from < to ? memrchr(from, '\n', (size_t)(to - from)) : NULL;

	/* A CR that ends the text may be half of a CRLF. */
	if (!found && to - from > 1)
		found = memrchr(from, '\r', (size_t)(to - from - 1));
	return found ? found + 1 : NULL;
}

/* Behind the quote that closes the field opened at `p` - 1, or NULL. */
static const char *quoted_end(const char *p, const char *end)
{
	while ((p = memchr(p, '"', (size_t)(end - p)))) {
		p++;
		if (p == end || *p != '"')
			return p;
		p++; /* doubled */
	}
	return NULL;
}

size_t block_cut(struct span text, char separator)
{
	const char *end = text.ptr + text.len, *outside = text.ptr, *p = text.ptr;
	const char *cut = text.ptr, *found;

	/* Jumps from quote to quote; one inside an unquoted field is a character like any other. */
	while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
		bool opens = p == text.ptr || p[-1] == separator || p[-1] == '\n' || p[-1] == '\r';

		p++;
		if (!opens)
			continue;
		found = last_line(outside, p);
		if (found)
			cut = found;
		p = quoted_end(p, end);
		if (!p)
			return (size_t)(cut - text.ptr);
		outside = p;
	}
	found = last_line(outside, end);
	return (size_t)((found ? found : cut) - text.ptr);
}

static bool read_some(struct block_reader *r, struct buffer *block, size_t want, struct error *err)
{
	char *to = buffer_reserve(block, want);
	ssize_t n;

	if (!to)
		return error_set(err, ERROR_TOO_LARGE, "a record is longer than %d bytes", (int)CSV_RECORD_MAX);
	do
		n = read(r->fd, to, want);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "reading the input");
	r->is_end = n == 0;
	r->bytes += (uint64_t)n;
	buffer_commit(block, (size_t)n);
	return true;
}

bool block_read(struct block_reader *r, struct buffer *block, bool *ret_any, struct error *err)
{
	size_t cut = 0, target = r->block_bytes;

	buffer_clear(block);
	buffer_append(block, buffer_span(&r->carry));
	buffer_clear(&r->carry);
	while (cut == 0) {
		while (!r->is_end && block->len < target) {
			if (!read_some(r, block, target - block->len, err))
				return false;
		}
		cut = r->is_end ? block->len : block_cut(buffer_span(block), r->separator);
		if (r->is_end)
			break;
		if (cut == 0 && block->len >= CSV_RECORD_MAX)
			return error_set(err, ERROR_TOO_LARGE, "a record is longer than %d bytes", (int)CSV_RECORD_MAX);
		target = block->len * 2;
	}
	buffer_append(&r->carry, span_from(block->ptr + cut, block->len - cut));
	block->len = cut;
	*ret_any = cut > 0;
	return buffer_ok(&r->carry, "a record", err);
}

void block_put_back(struct block_reader *r, struct span bytes)
{
	struct buffer whole;

	buffer_init(&whole, r->carry.limit);
	buffer_append(&whole, bytes);
	buffer_append(&whole, buffer_span(&r->carry));
	ASSERT(!whole.overflow); /* both came out of one block */
	buffer_done(&r->carry);
	r->carry = whole;
}
