/* SPDX-License-Identifier: Apache-2.0 */
/* Functions over texts: the standard ones (langdef.md), cel-go's strings library of version 2, Kubernetes' find and findAll. */
#include "kube/crd/cel_private.h"

#include <stdlib.h>

#define NO_MEMORY cel_fail(SPAN("memory ended"))

static struct cel_value contains(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(!a[1].text.len || (a[0].text.len && memmem(a[0].text.ptr, a[0].text.len, a[1].text.ptr,
								      a[1].text.len) != NULL));
}

static struct cel_value starts_with(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(span_starts(a[0].text, a[1].text));
}

static struct cel_value ends_with(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(span_ends(a[0].text, a[1].text));
}

/* ---- places: counted in letters ---- */

/* The byte at which letter `n` begins; false past the end (which itself is a place). */
static bool byte_of(struct span s, int64_t n, size_t *ret)
{
	size_t at = 0;

	if (n < 0)
		return false;
	for (; n > 0; n--) {
		if (at >= s.len)
			return false;
		for (at++; at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80; at++)
			;
	}
	*ret = at;
	return true;
}

static struct cel_value out_of_range(struct cel_call *c, int64_t index)
{
	return cel_fail_print(c, "index out of range: %lld", (long long)index);
}

static struct cel_value char_at(struct cel_call *c, const struct cel_value *a)
{
	size_t from, to;

	if (!byte_of(a[0].text, a[1].integer, &from))
		return out_of_range(c, a[1].integer);
	if (from == a[0].text.len)
		return cel_text(SPAN(""));
	for (to = from + 1; to < a[0].text.len && ((unsigned char)a[0].text.ptr[to] & 0xc0) == 0x80; to++)
		;
	return cel_text(span_from(a[0].text.ptr + from, to - from));
}

static struct cel_value index_from(struct cel_call *c, const struct cel_value *a, int64_t offset)
{
	size_t from;
	const char *found;

	if (!a[1].text.len)
		return cel_of_int(offset);
	if (offset < 0)
		return out_of_range(c, offset);
	if (!byte_of(a[0].text, offset, &from) || from >= a[0].text.len)
		return cel_of_int(-1);
	found = memmem(a[0].text.ptr + from, a[0].text.len - from, a[1].text.ptr, a[1].text.len);
	return cel_of_int(found ? (int64_t)cel_letters(span_from(a[0].text.ptr, (size_t)(found - a[0].text.ptr))) : -1);
}

static struct cel_value index_of(struct cel_call *c, const struct cel_value *a)
{
	return index_from(c, a, 0);
}

static struct cel_value index_of_from(struct cel_call *c, const struct cel_value *a)
{
	return index_from(c, a, a[2].integer);
}

static char *reversed(struct cel_call *c, struct span s)
{
	char *out = arena_alloc(c->arena, s.len + 1, c->err);

	for (size_t i = 0; out && i < s.len; i++)
		out[i] = s.ptr[s.len - 1 - i];
	return out;
}

/* The last place at or before letter `offset`: the first one from behind (memmem takes no more than the length of both). */
static struct cel_value last_from(struct cel_call *c, const struct cel_value *a, int64_t offset)
{
	int64_t letters = (int64_t)cel_letters(a[0].text), wanted = (int64_t)cel_letters(a[1].text);
	struct span within;
	size_t end;
	char *text, *what, *found;

	if (!a[1].text.len)
		return cel_of_int(offset);
	if (offset < 0)
		return out_of_range(c, offset);
	if (offset >= letters || wanted > letters)
		return cel_of_int(-1);
	if (!byte_of(a[0].text, MIN(offset + wanted, letters), &end))
		return cel_of_int(-1);
	within = span_first(a[0].text, end);
	text = reversed(c, within);
	what = reversed(c, a[1].text);
	if (!text || !what)
		return NO_MEMORY;
	found = memmem(text, within.len, what, a[1].text.len);
	if (!found)
		return cel_of_int(-1);
	return cel_of_int(
	    (int64_t)cel_letters(span_first(within, within.len - (size_t)(found - text) - a[1].text.len)));
}

static struct cel_value last_index_of(struct cel_call *c, const struct cel_value *a)
{
	int64_t letters = (int64_t)cel_letters(a[0].text);

	if (!a[1].text.len)
		return cel_of_int(letters);
	return letters ? last_from(c, a, letters - 1) : out_of_range(c, -1);
}

static struct cel_value last_index_of_from(struct cel_call *c, const struct cel_value *a)
{
	return last_from(c, a, a[2].integer);
}

static struct cel_value substring(struct cel_call *c, const struct cel_value *a)
{
	size_t from;

	if (!byte_of(a[0].text, a[1].integer, &from))
		return out_of_range(c, a[1].integer);
	return cel_text(span_skip(a[0].text, from));
}

static struct cel_value substring_to(struct cel_call *c, const struct cel_value *a)
{
	size_t from, to;

	if (a[1].integer > a[2].integer)
		return cel_fail_print(c, "invalid substring range. start: %lld, end: %lld", (long long)a[1].integer,
				      (long long)a[2].integer);
	if (!byte_of(a[0].text, a[1].integer, &from))
		return out_of_range(c, a[1].integer);
	if (!byte_of(a[0].text, a[2].integer, &to))
		return out_of_range(c, a[2].integer);
	return cel_text(span_from(a[0].text.ptr + from, to - from));
}

/* ---- new texts ---- */

static struct cel_value change_case(struct cel_call *c, struct span s, char first)
{
	char *out = arena_alloc(c->arena, s.len + 1, c->err);

	for (size_t i = 0; out && i < s.len; i++)
		out[i] = (char)(s.ptr[i] >= first && s.ptr[i] < first + 26 ? s.ptr[i] ^ 0x20 : s.ptr[i]);
	return out ? cel_text(span_from(out, s.len)) : NO_MEMORY;
}

static struct cel_value lower_ascii(struct cel_call *c, const struct cel_value *a)
{
	return change_case(c, a->text, 'A');
}

static struct cel_value upper_ascii(struct cel_call *c, const struct cel_value *a)
{
	return change_case(c, a->text, 'a');
}

/* Unicode's White_Space at the start of `s`: its bytes, or 0. */
static size_t space_len(struct span s)
{
	static const char *const wide[] = { "\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
					    "\u2004",   "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
					    "\u2028",   "\u2029", "\u202f", "\u205f", "\u3000" };

	if (s.len && (s.ptr[0] == ' ' || (s.ptr[0] >= '\t' && s.ptr[0] <= '\r')))
		return 1;
	for (size_t i = 0; s.len && (unsigned char)s.ptr[0] >= 0xc2 && i < ARRAY_LEN(wide); i++)
		if (span_starts(s, span_of(wide[i])))
			return strlen(wide[i]);
	return 0;
}

static struct cel_value trim(struct cel_call *c, const struct cel_value *a)
{
	struct span s = a->text;
	size_t n;

	(void)c;
	while ((n = space_len(s)))
		s = span_skip(s, n);
	while (s.len) {
		size_t at = s.len - 1;

		while (at > 0 && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)
			at--;
		if (space_len(span_skip(s, at)) != s.len - at)
			break;
		s.len = at;
	}
	return cel_text(s);
}

static size_t letter_len(struct span s, size_t at)
{
	size_t n = 1;

	while (at + n < s.len && ((unsigned char)s.ptr[at + n] & 0xc0) == 0x80)
		n++;
	return n;
}

static struct cel_value taken(struct cel_call *c, struct buffer *out)
{
	struct cel_value v = cel_text(arena_copy(c->arena, buffer_span(out), c->err));

	if (out->overflow) {
		c->cost = UINT64_MAX;
		v = cel_fail(SPAN("the text is too long"));
	}
	buffer_done(out);
	return v;
}

static struct cel_value replace_most(struct cel_call *c, const struct cel_value *a, int64_t most)
{
	struct span s = a[0].text, from = a[1].text, to = a[2].text;
	struct buffer out;
	size_t at = 0;

	if (most == 0)
		return a[0];
	buffer_init(&out, MIB(16));
	while (most != 0) {
		const char *found;

		if (!from.len) { /* before each letter, and at the end */
			buffer_append(&out, to);
			most--;
			if (at >= s.len)
				break;
			buffer_append(&out, span_from(s.ptr + at, letter_len(s, at)));
			at += letter_len(s, at);
			continue;
		}
		found = s.len > at ? memmem(s.ptr + at, s.len - at, from.ptr, from.len) : NULL;
		if (!found || out.overflow)
			break;
		buffer_append(&out, span_from(s.ptr + at, (size_t)(found - s.ptr) - at));
		buffer_append(&out, to);
		at = (size_t)(found - s.ptr) + from.len;
		most--;
	}
	buffer_append(&out, span_skip(s, at));
	return taken(c, &out);
}

static struct cel_value replace(struct cel_call *c, const struct cel_value *a)
{
	return replace_most(c, a, -1);
}

static struct cel_value replace_n(struct cel_call *c, const struct cel_value *a)
{
	return replace_most(c, a, a[3].integer);
}

static struct cel_value split_most(struct cel_call *c, const struct cel_value *a, int64_t most)
{
	struct span s = a[0].text, by = a[1].text;
	struct cel_list *list;
	struct cel_value v = cel_list_new(c, 0, &list);

	if (!list || most == 0 || (!by.len && !s.len))
		return v;
	while (most != 1) {
		const char *found;

		if (!by.len) {
			size_t n = letter_len(s, 0);

			if (n >= s.len)
				break;
			(void)cel_list_append(c, list, cel_text(span_first(s, n)));
			s = span_skip(s, n);
		} else {
			found = s.len ? memmem(s.ptr, s.len, by.ptr, by.len) : NULL;
			if (!found)
				break;
			(void)cel_list_append(c, list, cel_text(span_first(s, (size_t)(found - s.ptr))));
			s = span_skip(s, (size_t)(found - s.ptr) + by.len);
		}
		if (c->err->code)
			return NO_MEMORY;
		most -= most > 0;
	}
	(void)cel_list_append(c, list, cel_text(s));
	return v;
}

static struct cel_value split(struct cel_call *c, const struct cel_value *a)
{
	return split_most(c, a, -1);
}

static struct cel_value split_n(struct cel_call *c, const struct cel_value *a)
{
	return split_most(c, a, a[2].integer);
}

static struct cel_value join_with(struct cel_call *c, const struct cel_value *list, struct span by)
{
	struct buffer out;

	buffer_init(&out, MIB(16));
	for (uint64_t i = 0, n = cel_list_count(list); i < n; i++) {
		struct cel_value item = cel_list_item(c, list, i);

		if (item.kind != CEL_STRING) {
			buffer_done(&out);
			return item.kind == CEL_ERROR ? item : cel_fail(SPAN("join: invalid input"));
		}
		if (i)
			buffer_append(&out, by);
		buffer_append(&out, item.text);
	}
	return taken(c, &out);
}

static struct cel_value join(struct cel_call *c, const struct cel_value *a)
{
	return join_with(c, &a[0], SPAN(""));
}

static struct cel_value join_by(struct cel_call *c, const struct cel_value *a)
{
	return join_with(c, &a[0], a[1].text);
}

static struct cel_value quote(struct cel_call *c, const struct cel_value *a)
{
	static const char plain[] = "\a\b\f\n\r\t\v\\\"", named[] = "abfnrtv\\\"";
	struct buffer out;

	buffer_init(&out, MIB(16));
	buffer_byte(&out, '"');
	for (size_t i = 0; i < a->text.len; i++) {
		const char *found = a->text.ptr[i] ? strchr(plain, a->text.ptr[i]) : NULL;

		if (found)
			buffer_byte(&out, '\\');
		buffer_byte(&out, found ? named[found - plain] : a->text.ptr[i]);
	}
	buffer_byte(&out, '"');
	return taken(c, &out);
}

static struct cel_value format(struct cel_call *c, const struct cel_value *a)
{
	return cel_format_text(c, a[0].text, &a[1]);
}

/* ---- patterns ---- */

static const struct cel_regex *pattern_of(struct cel_call *c, struct span pattern, struct cel_value *ret_fault,
					  const char *words)
{
	struct error err = { 0 };
	struct cel_regex *re;

	if (c->node->regex)
		return c->node->regex;
	re = cel_regex_new(pattern, c->arena, &err);
	if (!re)
		*ret_fault = cel_fail_print(c, "%s%s", words, err.message);
	return re;
}

/* A match that takes too long is a call that costs too much. */
static bool ran(struct cel_call *c, const struct error *err)
{
	if (!err->code)
		return true;
	c->cost = UINT64_MAX;
	return false;
}

static struct cel_value matches(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value fault;
	struct error err = { 0 };
	const struct cel_regex *re = pattern_of(c, a[1].text, &fault, "");
	bool found;

	if (!re)
		return fault;
	found = cel_regex_matches(re, a[0].text, c->arena, &err);
	return ran(c, &err) ? cel_of_bool(found) : NO_MEMORY;
}

static struct cel_value find(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value fault;
	struct error err = { 0 };
	const struct cel_regex *re = pattern_of(c, a[1].text, &fault, "Illegal regex: ");
	size_t start, end;
	bool found;

	if (!re)
		return fault;
	found = cel_regex_find(re, a[0].text, 0, &start, &end, c->arena, &err);
	if (!ran(c, &err))
		return NO_MEMORY;
	return cel_text(found ? span_from(a[0].text.ptr + start, end - start) : SPAN(""));
}

static struct cel_value find_most(struct cel_call *c, const struct cel_value *a, int64_t most)
{
	struct cel_value fault, v;
	struct error err = { 0 };
	const struct cel_regex *re = pattern_of(c, a[1].text, &fault, "Illegal regex: ");
	struct cel_list *list;
	size_t from = 0, start, end, last_end = SIZE_MAX;

	if (!re)
		return fault;
	v = cel_list_new(c, 0, &list);
	while (list && most != 0 && from <= a[0].text.len &&
	       cel_regex_find(re, a[0].text, from, &start, &end, c->arena, &err)) {
		if (end > start || start != last_end) { /* an empty match does not stand right behind another */
			(void)cel_list_append(c, list, cel_text(span_from(a[0].text.ptr + start, end - start)));
			most -= most > 0;
		}
		last_end = end;
		from = end > start ? end : end < a[0].text.len ? end + letter_len(a[0].text, end) : end + 1;
		if (c->err->code)
			break;
	}
	return ran(c, &err) ? v : NO_MEMORY;
}

static struct cel_value find_all(struct cel_call *c, const struct cel_value *a)
{
	return find_most(c, a, -1);
}

static struct cel_value find_all_n(struct cel_call *c, const struct cel_value *a)
{
	return find_most(c, a, a[2].integer);
}

const struct cel_overload cel_string_overloads[] = {
	CEL_MEMBER("contains", "contains_string", "ss", "b", contains),
	CEL_MEMBER("endsWith", "ends_with_string", "ss", "b", ends_with),
	CEL_MEMBER("startsWith", "starts_with_string", "ss", "b", starts_with),
	CEL_ROW("matches", "matches", "ss", "b", matches),
	CEL_MEMBER("matches", "matches_string", "ss", "b", matches),
	CEL_MEMBER("charAt", "string_char_at_int", "si", "s", char_at),
	CEL_MEMBER("indexOf", "string_index_of_string", "ss", "i", index_of),
	CEL_MEMBER("indexOf", "string_index_of_string_int", "ssi", "i", index_of_from),
	CEL_MEMBER("lastIndexOf", "string_last_index_of_string", "ss", "i", last_index_of),
	CEL_MEMBER("lastIndexOf", "string_last_index_of_string_int", "ssi", "i", last_index_of_from),
	CEL_MEMBER("lowerAscii", "string_lower_ascii", "s", "s", lower_ascii),
	CEL_MEMBER("upperAscii", "string_upper_ascii", "s", "s", upper_ascii),
	CEL_MEMBER("replace", "string_replace_string_string", "sss", "s", replace),
	CEL_MEMBER("replace", "string_replace_string_string_int", "sssi", "s", replace_n),
	CEL_MEMBER("split", "string_split_string", "ss", "[s", split),
	CEL_MEMBER("split", "string_split_string_int", "ssi", "[s", split_n),
	CEL_MEMBER("substring", "string_substring_int", "si", "s", substring),
	CEL_MEMBER("substring", "string_substring_int_int", "sii", "s", substring_to),
	CEL_MEMBER("trim", "string_trim", "s", "s", trim),
	CEL_MEMBER("format", "string_format", "s[D", "s", format),
	CEL_ROW("strings.quote", "strings_quote", "s", "s", quote),
	CEL_MEMBER("join", "list_join", "[s", "s", join),
	CEL_MEMBER("join", "list_join_string", "[ss", "s", join_by),
	CEL_MEMBER("find", "string_find_string", "ss", "s", find),
	CEL_MEMBER("findAll", "string_find_all_string", "ss", "[s", find_all),
	CEL_MEMBER("findAll", "string_find_all_string_int", "ssi", "[s", find_all_n),
	{ 0 },
};
