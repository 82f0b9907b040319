/* SPDX-License-Identifier: Apache-2.0 */
/* listing - pages of S3's ListObjectsV2 (XML, with encoding-type=url) and of Google's objects.list (JSON). */
#include "base/number.h"
#include "fetch/fetch_private.h"
#include "wire/value.h"

static bool listing_add(struct listing *to, struct span key, uint64_t size, struct arena *arena, struct error *err)
{
	if (to->count == to->capacity) {
		size_t more = to->capacity * 2 + 64;
		struct listed *items = ARENA_ARRAY(arena, struct listed, more, err);

		if (!items)
			return false;
		if (to->count)
			memcpy(items, to->items, to->count * sizeof(*items));
		to->items = items;
		to->capacity = more;
	}
	to->items[to->count++] = (struct listed){ key, size };
	return true;
}

/* ---- XML: as much of it as these answers have: elements without anything that matters in their tags ---- */

/* The text of the first <name> in `in`; what follows it in *rest. False: there is none. */
static bool element(struct span in, const char *name, struct span *ret, struct span *rest)
{
	size_t len = strlen(name);

	for (const char *at = in.ptr, *end = in.ptr + in.len; at && at < end; at++) {
		const char *from, *to;

		at = memchr(at, '<', (size_t)(end - at));
		if (!at)
			return false;
		if ((size_t)(end - at) < len + 2 || memcmp(at + 1, name, len) != 0 || at[len + 1] != '>')
			continue;
		from = at + len + 2;
		for (to = from; to < end; to++) {
			to = memchr(to, '<', (size_t)(end - to));
			if (!to)
				return false;
			if ((size_t)(end - to) >= len + 3 && to[1] == '/' && memcmp(to + 2, name, len) == 0 &&
			    to[len + 2] == '>') {
				*ret = span_from(from, (size_t)(to - from));
				if (rest)
					*rest = span_from(to + len + 3, (size_t)(end - to) - len - 3);
				return true;
			}
		}
	}
	return false;
}

static const struct {
	struct span name;
	char c;
} entities[] = {
	{ SPAN_INIT("&amp;"), '&' },  { SPAN_INIT("&lt;"), '<' },    { SPAN_INIT("&gt;"), '>' },
	{ SPAN_INIT("&quot;"), '"' }, { SPAN_INIT("&apos;"), '\'' }, { SPAN_INIT("&#34;"), '"' },
	{ SPAN_INIT("&#39;"), '\'' }, { SPAN_INIT("&#x2F;"), '/' },
};

static int digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

/* Entities, and with `is_url` percent-encoding: a plus is a space. */
static bool text_decode(struct span s, bool is_url, struct arena *arena, struct span *ret, struct error *err)
{
	char *out = ARENA_ARRAY(arena, char, s.len + 1, err);
	size_t n = 0;

	if (!out)
		return false;
	while (s.len) {
		size_t i = 0;

		if (is_url && s.len >= 3 && s.ptr[0] == '%' && digit(s.ptr[1]) >= 0 && digit(s.ptr[2]) >= 0) {
			out[n++] = (char)(digit(s.ptr[1]) << 4 | digit(s.ptr[2]));
			s = span_skip(s, 3);
			continue;
		}
		while (i < ARRAY_LEN(entities) && !span_starts(s, entities[i].name))
			i++;
		out[n++] = i < ARRAY_LEN(entities) ? entities[i].c : is_url && s.ptr[0] == '+' ? ' ' : s.ptr[0];
		s = span_skip(s, i < ARRAY_LEN(entities) ? entities[i].name.len : 1);
	}
	out[n] = '\0';
	*ret = span_from(out, n);
	return true;
}

bool listing_read_s3(struct span xml, struct arena *arena, struct listing *ret, struct error *err)
{
	struct span rest = xml, one, key, text;

	if (!memmem(xml.ptr, xml.len, "<ListBucketResult", 17))
		return error_set(err, ERROR_INVALID, "the answer is no list of objects: '" SPAN_FMT "'",
				 SPAN_ARG(span_trim(xml)));
	while (element(rest, "Contents", &one, &rest)) {
		uint64_t size;

		if (!element(one, "Key", &key, NULL) || !element(one, "Size", &text, NULL) ||
		    !number_parse_uint64(span_trim(text), &size))
			return error_set(err, ERROR_INVALID, "the list of objects has one without key and size");
		if (!text_decode(key, true, arena, &key, err) || !listing_add(ret, key, size, arena, err))
			return false;
	}
	ret->next = (struct span){ 0 };
	return !element(xml, "NextContinuationToken", &text, NULL) || text_decode(text, false, arena, &ret->next, err);
}

bool listing_read_gs(struct span json, struct arena *arena, struct listing *ret, struct error *err)
{
	const struct value *items;
	struct value v;

	if (!value_parse(json, NULL, arena, &v, err))
		return error_wrap(err, "the list of objects");
	if (!value_is(&v, VALUE_OBJECT))
		return error_set(err, ERROR_INVALID, "the answer is no list of objects");
	items = value_get(&v, SPAN("items"));
	for (uint32_t i = 0; i < value_count(items); i++) {
		struct span name = value_find_string(value_item(items, i), "name");
		struct span text =
		    value_find_string(value_item(items, i), "size"); /* a string, as all its 64-bit numbers */
		uint64_t size = 0;

		if (!name.len || (text.len && !number_parse_uint64(text, &size)))
			return error_set(err, ERROR_INVALID, "the list of objects has one without name and size");
		if (!listing_add(ret, name, size, arena, err))
			return false;
	}
	ret->next = value_find_string(&v, "nextPageToken");
	return true;
}
