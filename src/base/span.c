/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ascii.h"
#include "base/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool span_equal_ignore_case(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	return true;
}

struct span span_trim(struct span s)
{
	while (s.len && ascii_is_space(s.ptr[0]))
		s = span_skip(s, 1);
	while (s.len && ascii_is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

size_t span_index(struct span s, char c)
{
	const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

	return at ? (size_t)(at - s.ptr) : s.len;
}

struct span span_cut(struct span *rest, char separator)
{
	size_t i = span_index(*rest, separator);
	struct span before = span_first(*rest, i);

	*rest = span_skip(*rest, i < rest->len ? i + 1 : i);
	return before;
}

char *span_to_text(struct span s)
{
	char *text = base_alloc(s.len + 1);

	if (s.len)
		memcpy(text, s.ptr, s.len);
	text[s.len] = 0;
	return text;
}

/* RFC 3629 section 4, as ranges of the second byte for each first byte. */
bool span_is_utf8(struct span s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	const unsigned char *end = p + s.len;

	while (p < end) {
		unsigned char c = *p;
		unsigned char least = 0x80, most = 0xBF;
		size_t more;

		if (c < 0x80) {
			uint64_t word;

			/* Text is mostly ASCII: eight bytes at a time. */
			while (end - p >= 8 && (memcpy(&word, p, 8), (word & UINT64_C(0x8080808080808080)) == 0))
				p += 8;
			if (p < end && *p < 0x80)
				p++;
			continue;
		}
		if (c >= 0xC2 && c <= 0xDF) {
			more = 1;
		} else if (c >= 0xE0 && c <= 0xEF) {
			more = 2;
			least = c == 0xE0 ? 0xA0 : 0x80;
			most = c == 0xED ? 0x9F : 0xBF;
		} else if (c >= 0xF0 && c <= 0xF4) {
			more = 3;
			least = c == 0xF0 ? 0x90 : 0x80;
			most = c == 0xF4 ? 0x8F : 0xBF;
		} else {
			return false;
		}
		if ((size_t)(end - p) <= more || p[1] < least || p[1] > most)
			return false;
		for (size_t i = 2; i <= more; i++)
			if (p[i] < 0x80 || p[i] > 0xBF)
				return false;
		p += more + 1;
	}
	return true;
}

uint64_t span_hash(struct span s)
{
	return XXH3_64bits(s.ptr, s.len);
}
