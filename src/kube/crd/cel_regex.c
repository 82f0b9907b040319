/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions in RE2's syntax (github.com/google/re2/wiki/Syntax), as instructions that threads walk side by side (Thompson
 * 1968, in Pike's form): a text takes at most instructions x letters steps. Threads stand in order of preference.
 *
 * Not there: scripts (\p{Greek}) and folding of case beyond ASCII.
 */
#include "base/number.h"
#include "kube/crd/cel_private.h"

enum { CODE_MAX = 100000, REPEAT_MAX = 1000, NEST_MAX = 200, RUN_MAX = 200000000 };

enum part { PART_EMPTY, PART_SET, PART_ASSERT, PART_THEN, PART_OR, PART_REPEAT };
enum opcode { OP_SET, OP_SPLIT, OP_JUMP, OP_ASSERT, OP_MATCH };
enum assertion { LINE_START, LINE_END, TEXT_START, TEXT_END, WORD_EDGE, NO_WORD_EDGE };

struct range {
	uint32_t low, high;
};

struct set {
	struct range *ranges;
	uint32_t count, capacity;
	bool negated;
};

struct piece { /* of the pattern */
	enum part part;
	struct piece *a, *b;
	struct set set;
	enum assertion assertion;
	uint32_t least, most; /* most UINT32_MAX: no end */
	bool lazy;
};

struct code {
	enum opcode op;
	uint32_t x, y; /* SPLIT: preferred first */
	enum assertion assertion;
	const struct set *set;
};

struct cel_regex {
	struct code *code;
	uint32_t count, capacity;
	bool starts_at_start; /* begins with \A or ^: only one place to try */
};

struct reader {
	struct span in;
	size_t at;
	struct arena *arena;
	struct error *err;
	unsigned depth;
	uint64_t repeated; /* product of the counts around here */
	bool ignores_case, dot_takes_line_ends, is_multi_line, is_swapped;
};

static struct piece *read_alternatives(struct reader *r);

static void *refuse(struct reader *r, const char *words, struct span what)
{
	error_set(r->err, ERROR_INVALID, "error parsing regexp: %s: `" SPAN_FMT "`", words, SPAN_ARG(what));
	return NULL;
}

static bool at_end(const struct reader *r)
{
	return r->at >= r->in.len;
}

static int look(const struct reader *r, size_t ahead)
{
	return r->at + ahead < r->in.len ? (unsigned char)r->in.ptr[r->at + ahead] : -1;
}

static uint32_t letter_at(struct span text, size_t at, size_t *ret_bytes)
{
	const uint8_t *p = (const uint8_t *)text.ptr + at;
	size_t left = text.len - at;
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 1;
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);

	if (n > left)
		n = 1;
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	*ret_bytes = n;
	return c;
}

static uint32_t take_letter(struct reader *r)
{
	size_t n;
	uint32_t c = letter_at(r->in, r->at, &n);

	r->at += n;
	return c;
}

static struct piece *piece_new(struct reader *r, enum part part, struct piece *a, struct piece *b)
{
	struct piece *p = ARENA_NEW(r->arena, struct piece, r->err);

	if (p) {
		p->part = part;
		p->a = a;
		p->b = b;
	}
	return p;
}

/* ---- sets of letters ---- */

static bool add_range(struct reader *r, struct set *s, uint32_t low, uint32_t high)
{
	if (s->count == s->capacity) {
		uint32_t capacity = s->capacity ? s->capacity * 2 : 4;
		struct range *grown = ARENA_ARRAY(r->arena, struct range, capacity, r->err);

		if (!grown)
			return false;
		if (s->count)
			memcpy(grown, s->ranges, s->count * sizeof(*grown));
		s->ranges = grown;
		s->capacity = capacity;
	}
	s->ranges[s->count++] = (struct range){ low, high };
	return true;
}

/* Both cases of what is ASCII when case does not count. */
static bool add_letters(struct reader *r, struct set *s, uint32_t low, uint32_t high)
{
	if (!add_range(r, s, low, high))
		return false;
	for (int i = 0; r->ignores_case && i < 2; i++) {
		uint32_t first = i ? 'a' : 'A', from = MAX(low, first), to = MIN(high, first + 25);

		if (from <= to && !add_range(r, s, from ^ 0x20, to ^ 0x20))
			return false;
	}
	return true;
}

static bool set_has(const struct set *s, uint32_t c)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (c >= s->ranges[i].low && c <= s->ranges[i].high)
			return !s->negated;
	return s->negated;
}

static bool add_outside(struct reader *r, struct set *s, const struct range *ranges, size_t count)
{
	uint32_t from = 0;

	for (size_t i = 0; i < count; i++) { /* in order */
		if (ranges[i].low > from && !add_range(r, s, from, ranges[i].low - 1))
			return false;
		from = ranges[i].high + 1;
	}
	return add_range(r, s, from, 0x10ffff);
}

static bool add_ranges(struct reader *r, struct set *s, const struct range *ranges, size_t count, bool negated)
{
	if (negated)
		return add_outside(r, s, ranges, count);
	for (size_t i = 0; i < count; i++)
		if (!add_letters(r, s, ranges[i].low, ranges[i].high))
			return false;
	return true;
}

static const struct range digits[] = { { '0', '9' } };
static const struct range spaces[] = { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } };
static const struct range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };

/* \d \D \s \S \w \W */
static bool add_perl(struct reader *r, struct set *s, int c)
{
	int lower = c | 0x20;

	if (lower == 'd')
		return add_ranges(r, s, digits, ARRAY_LEN(digits), c == 'D');
	if (lower == 's')
		return add_ranges(r, s, spaces, ARRAY_LEN(spaces), c == 'S');
	return add_ranges(r, s, words, ARRAY_LEN(words), c == 'W');
}

static bool is_perl(int c)
{
	return c == 'd' || c == 'D' || c == 's' || c == 'S' || c == 'w' || c == 'W';
}

/* ---- general categories: tools/unicode_categories.py ---- */

static const struct {
	uint32_t low;
	char category[2];
} categories[] = {
#include "unicode_categories.inc"
};

static bool add_category(struct reader *r, struct set *s, struct span name, bool negated)
{
	struct range *found = ARENA_ARRAY(r->arena, struct range, ARRAY_LEN(categories), r->err);
	size_t count = 0;

	if (!found)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
		uint32_t high = i + 1 < ARRAY_LEN(categories) ? categories[i + 1].low - 1 : 0x10ffff;

		if (categories[i].category[0] != name.ptr[0] ||
		    (name.len == 2 && categories[i].category[1] != name.ptr[1]))
			continue;
		if (count && found[count - 1].high + 1 == categories[i].low)
			found[count - 1].high = high;
		else
			found[count++] = (struct range){ categories[i].low, high };
	}
	return add_ranges(r, s, found, count, negated);
}

/* \pL \p{Lu} \P{L} \p{^L}, behind the p. */
static bool read_category(struct reader *r, struct set *s)
{
	bool negated = look(r, 0) == 'P';
	size_t start = r->at - 1;
	struct span name;

	r->at++;
	if (look(r, 0) == '{') {
		size_t len = span_index(span_skip(r->in, r->at), '}');

		if (r->at + len >= r->in.len)
			return refuse(r, "invalid character class range", span_skip(r->in, start)) != NULL;
		name = span_from(r->in.ptr + r->at + 1, len - 1);
		r->at += len + 1;
		if (name.len && name.ptr[0] == '^') {
			negated = !negated;
			name = span_skip(name, 1);
		}
	} else {
		name = span_from(r->in.ptr + r->at, at_end(r) ? 0 : 1);
		r->at += name.len;
	}
	if (span_equal(name, SPAN("Any")))
		return negated ? true : add_range(r, s, 0, 0x10ffff);
	if (!name.len || name.len > 2 || !memchr("LMNPSZC", name.ptr[0], 7))
		return refuse(r, "invalid character class range", span_from(r->in.ptr + start, r->at - start)) != NULL;
	return add_category(r, s, name, negated);
}

/* ---- escapes ---- */

static int hex_of(int c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static bool read_hex(struct reader *r, size_t start, uint32_t *ret)
{
	uint32_t v = 0;
	size_t n = 0;
	bool has_brace = look(r, 0) == '{';

	r->at += has_brace;
	while (hex_of(look(r, 0)) >= 0 && n < (has_brace ? 7 : 2) && v <= 0x10ffff) {
		v = v * 16 + (uint32_t)hex_of(look(r, 0));
		r->at++;
		n++;
	}
	if (!n || v > 0x10ffff || (has_brace ? look(r, 0) != '}' : n != 2))
		return refuse(r, "invalid escape sequence",
			      span_from(r->in.ptr + start, MIN(r->at + 1, r->in.len) - start)) != NULL;
	r->at += has_brace;
	*ret = v;
	return true;
}

/* One letter behind a backslash (r->at is on it). */
static bool read_escape(struct reader *r, uint32_t *ret)
{
	static const char names[] = "aftnrv", values[] = "\a\f\t\n\r\v";
	size_t start = r->at - 1;
	int c = look(r, 0);
	const char *found;

	if (c < 0)
		return refuse(r, "trailing backslash at end of expression", SPAN("")) != NULL;
	found = strchr(names, c);
	if (c && found) {
		r->at++;
		*ret = (uint32_t)values[found - names];
		return true;
	}
	if (c == 'x') {
		r->at++;
		return read_hex(r, start, ret);
	}
	if (c == '0' || (c >= '1' && c <= '7' && look(r, 1) >= '0' && look(r, 1) <= '7')) {
		uint32_t v = 0;

		for (int i = 0; i < 3 && look(r, 0) >= '0' && look(r, 0) <= '7'; i++)
			v = v * 8 + (uint32_t)(r->in.ptr[r->at++] - '0');
		*ret = v;
		return true;
	}
	if (c < 0x80 && !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) {
		r->at++;
		*ret = (uint32_t)c;
		return true;
	}
	return refuse(r, "invalid escape sequence", span_from(r->in.ptr + start, MIN((size_t)2, r->in.len - start))) !=
	       NULL;
}

static bool read_named_class(struct reader *r, struct set *s, bool *ret_found)
{
	static const struct {
		const char *name;
		struct range ranges[4];
	} all[] = {
		{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
		{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } } },
		{ "ascii", { { 0, 0x7f } } },
		{ "blank", { { '\t', '\t' }, { ' ', ' ' } } },
		{ "cntrl", { { 0, 0x1f }, { 0x7f, 0x7f } } },
		{ "digit", { { '0', '9' } } },
		{ "graph", { { '!', '~' } } },
		{ "lower", { { 'a', 'z' } } },
		{ "print", { { ' ', '~' } } },
		{ "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
		{ "space", { { '\t', '\r' }, { ' ', ' ' } } },
		{ "upper", { { 'A', 'Z' } } },
		{ "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
		{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
	};
	struct span rest = span_skip(r->in, r->at + 2);
	bool negated = rest.len && rest.ptr[0] == '^';
	size_t len;

	*ret_found = false;
	rest = negated ? span_skip(rest, 1) : rest;
	len = span_index(rest, ':');
	if (len + 1 >= rest.len || rest.ptr[len + 1] != ']')
		return true;
	*ret_found = true;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		size_t count = 0;

		if (!span_equal(span_first(rest, len), span_of(all[i].name)))
			continue;
		while (count < 4 && all[i].ranges[count].high)
			count++;
		r->at += 2 + negated + len + 2;
		return add_ranges(r, s, all[i].ranges, count, negated);
	}
	return refuse(r, "invalid character class range", span_from(r->in.ptr + r->at, 4 + negated + len)) != NULL;
}

/* One letter of a class; false with *ret_is_set when a set stood there. */
static bool read_class_letter(struct reader *r, uint32_t *ret)
{
	if (look(r, 0) != '\\') {
		*ret = take_letter(r);
		return true;
	}
	r->at++;
	return read_escape(r, ret);
}

static bool read_class_item(struct reader *r, struct set *s)
{
	uint32_t low, high;
	size_t start = r->at;
	bool found;

	if (look(r, 0) == '[' && look(r, 1) == ':') {
		if (!read_named_class(r, s, &found))
			return false;
		if (found)
			return true;
	}
	if (look(r, 0) == '\\' && is_perl(look(r, 1))) {
		r->at += 2;
		return add_perl(r, s, r->in.ptr[r->at - 1]);
	}
	if (look(r, 0) == '\\' && (look(r, 1) | 0x20) == 'p') {
		r->at++;
		return read_category(r, s);
	}
	if (!read_class_letter(r, &low))
		return false;
	high = low;
	if (look(r, 0) == '-' && look(r, 1) >= 0 && look(r, 1) != ']') {
		r->at++;
		if (!read_class_letter(r, &high))
			return false;
		if (high < low)
			return refuse(r, "invalid character class range",
				      span_from(r->in.ptr + start, r->at - start)) != NULL;
	}
	return add_letters(r, s, low, high);
}

static struct piece *read_class(struct reader *r)
{
	struct piece *p = piece_new(r, PART_SET, NULL, NULL);
	size_t start = r->at++;
	bool is_first = true;

	if (!p)
		return NULL;
	if (look(r, 0) == '^') {
		p->set.negated = true;
		r->at++;
	}
	while (is_first || look(r, 0) != ']') {
		if (at_end(r))
			return refuse(r, "missing closing ]", span_skip(r->in, start));
		is_first = false;
		if (!read_class_item(r, &p->set))
			return NULL;
	}
	r->at++;
	return p;
}

/* ---- pieces ---- */

static struct piece *letter_piece(struct reader *r, uint32_t c)
{
	struct piece *p = piece_new(r, PART_SET, NULL, NULL);

	return p && add_letters(r, &p->set, c, c) ? p : NULL;
}

static struct piece *assert_piece(struct reader *r, enum assertion a)
{
	struct piece *p = piece_new(r, PART_ASSERT, NULL, NULL);

	if (p)
		p->assertion = a;
	return p;
}

static struct piece *then(struct reader *r, struct piece *a, struct piece *b)
{
	return !a ? b : !b ? NULL : piece_new(r, PART_THEN, a, b);
}

/* \Q...\E */
static struct piece *read_quoted(struct reader *r)
{
	struct piece *all = piece_new(r, PART_EMPTY, NULL, NULL);

	r->at += 2;
	while (all && !at_end(r)) {
		if (look(r, 0) == '\\' && look(r, 1) == 'E') {
			r->at += 2;
			break;
		}
		all = then(r, all, letter_piece(r, take_letter(r)));
	}
	return all;
}

static struct piece *read_backslash(struct reader *r)
{
	static const char names[] = "AzbB";
	static const enum assertion assertions[] = { TEXT_START, TEXT_END, WORD_EDGE, NO_WORD_EDGE };
	int c = look(r, 1);
	const char *found = c > 0 ? strchr(names, c) : NULL;
	struct piece *p;
	uint32_t letter;

	if (c == 'Q')
		return read_quoted(r);
	if (found) {
		r->at += 2;
		return assert_piece(r, assertions[found - names]);
	}
	r->at++;
	if (is_perl(c) || (c | 0x20) == 'p') {
		p = piece_new(r, PART_SET, NULL, NULL);
		if (!p)
			return NULL;
		if ((c | 0x20) == 'p')
			return read_category(r, &p->set) ? p : NULL;
		r->at++;
		return add_perl(r, &p->set, c) ? p : NULL;
	}
	return read_escape(r, &letter) ? letter_piece(r, letter) : NULL;
}

/* (?i-s:...) and (?i): true when it was a group's head, false with *ret_is_flags when it was flags alone. */
static bool read_flags(struct reader *r, size_t start, bool *ret_is_group)
{
	bool to = true;

	for (; !at_end(r); r->at++) {
		int c = look(r, 0);

		if (c == 'i')
			r->ignores_case = to;
		else if (c == 's')
			r->dot_takes_line_ends = to;
		else if (c == 'm')
			r->is_multi_line = to;
		else if (c == 'U')
			r->is_swapped = to;
		else if (c == '-' && to)
			to = false;
		else if (c == ':' || c == ')') {
			*ret_is_group = c == ':';
			r->at++;
			return true;
		} else {
			break;
		}
	}
	return refuse(r, "invalid or unsupported Perl syntax",
		      span_from(r->in.ptr + start, MIN(r->at + 1, r->in.len) - start)) != NULL;
}

static bool read_group_name(struct reader *r, size_t start)
{
	size_t len = span_index(span_skip(r->in, r->at), '>');

	if (!len || r->at + len >= r->in.len)
		return refuse(r, "invalid named capture", span_skip(r->in, start)) != NULL;
	for (size_t i = 0; i < len; i++) {
		char c = r->in.ptr[r->at + i];

		if (c != '_' && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
			return refuse(r, "invalid named capture",
				      span_from(r->in.ptr + start, r->at + len + 1 - start)) != NULL;
	}
	r->at += len + 1;
	return true;
}

static struct piece *read_group(struct reader *r)
{
	struct reader before = *r;
	size_t start = r->at++;
	struct piece *p;
	bool is_group = true;

	if (++r->depth > NEST_MAX)
		return refuse(r, "expression nests too deeply", span_skip(r->in, start));
	if (look(r, 0) == '?') {
		size_t name = look(r, 1) == 'P' && look(r, 2) == '<'                        ? 3
			      : look(r, 1) == '<' && look(r, 2) != '=' && look(r, 2) != '!' ? 2
											    : 0;

		r->at += name ? name : 1;
		if (name ? !read_group_name(r, start) : !read_flags(r, start, &is_group))
			return NULL;
	}
	if (!is_group) { /* flags hold to the end of the group around */
		r->depth = before.depth;
		return piece_new(r, PART_EMPTY, NULL, NULL);
	}
	p = read_alternatives(r);
	if (!p)
		return NULL;
	if (look(r, 0) != ')')
		return refuse(r, "missing closing )", r->in);
	r->at++;
	r->depth = before.depth;
	r->ignores_case = before.ignores_case;
	r->dot_takes_line_ends = before.dot_takes_line_ends;
	r->is_multi_line = before.is_multi_line;
	r->is_swapped = before.is_swapped;
	return p;
}

static struct piece *read_atom(struct reader *r)
{
	struct piece *p;

	switch (look(r, 0)) {
	case '(':
		return read_group(r);
	case '[':
		return read_class(r);
	case '\\':
		return read_backslash(r);
	case '.':
		r->at++;
		p = piece_new(r, PART_SET, NULL, NULL);
		if (!p)
			return NULL;
		p->set.negated = true;
		return r->dot_takes_line_ends || add_range(r, &p->set, '\n', '\n') ? p : NULL;
	case '^':
		r->at++;
		return assert_piece(r, r->is_multi_line ? LINE_START : TEXT_START);
	case '$':
		r->at++;
		return assert_piece(r, r->is_multi_line ? LINE_END : TEXT_END);
	case '*':
	case '+':
	case '?':
		return refuse(r, "missing argument to repetition operator", span_from(r->in.ptr + r->at, 1));
	default:
		return letter_piece(r, take_letter(r));
	}
}

/* {2}, {2,}, {2,5}; anything else is text. */
static bool read_counts(struct reader *r, uint32_t *ret_least, uint32_t *ret_most)
{
	size_t at = r->at + 1;
	uint64_t values[2] = { 0, UINT32_MAX };
	int n = 0;

	for (; n < 2; n++) {
		size_t from = at;

		values[n] = n ? UINT32_MAX : 0;
		while (at < r->in.len && r->in.ptr[at] >= '0' && r->in.ptr[at] <= '9') {
			uint64_t so_far = at == from ? 0 : values[n];

			values[n] = MIN(so_far * 10 + (uint64_t)(r->in.ptr[at] - '0'), 1000000u);
			at++;
		}
		if (!n && at == from)
			return false;
		if (n || at >= r->in.len || r->in.ptr[at] != ',')
			break;
		at++;
	}
	if (at >= r->in.len || r->in.ptr[at] != '}')
		return false;
	r->at = at + 1;
	*ret_least = (uint32_t)values[0];
	*ret_most = n ? (uint32_t)values[1] : *ret_least;
	return true;
}

static struct piece *repeat(struct reader *r, struct piece *of, uint32_t least, uint32_t most)
{
	struct piece *p = piece_new(r, PART_REPEAT, of, NULL);

	if (!p)
		return NULL;
	p->least = least;
	p->most = most;
	p->lazy = r->is_swapped;
	if (look(r, 0) == '?') {
		p->lazy = !p->lazy;
		r->at++;
	}
	return p;
}

static struct piece *read_repeats(struct reader *r)
{
	struct piece *p = read_atom(r);
	size_t start, before = r->at;
	bool was_repeated = false;

	for (; p && !at_end(r); was_repeated = true) {
		int c = look(r, 0);
		uint32_t least = c == '+', most = c == '?' ? 1 : UINT32_MAX;

		start = r->at;
		if (c == '{') {
			if (!read_counts(r, &least, &most))
				break;
			if (least > REPEAT_MAX || (most != UINT32_MAX && most > REPEAT_MAX) || most < least)
				return refuse(r, "invalid repeat count", span_from(r->in.ptr + start, r->at - start));
		} else if (c == '*' || c == '+' || c == '?') {
			r->at++;
		} else {
			break;
		}
		if (was_repeated) {
			if (look(r, 0) == '?')
				r->at++;
			return refuse(r, "invalid nested repetition operator",
				      span_from(r->in.ptr + before, r->at - before));
		}
		before = start;
		p = repeat(r, p, least, most);
	}
	return p;
}

static struct piece *read_sequence(struct reader *r)
{
	struct piece *all = piece_new(r, PART_EMPTY, NULL, NULL);

	while (all && !at_end(r) && look(r, 0) != '|' && look(r, 0) != ')')
		all = then(r, all, read_repeats(r));
	return all;
}

static struct piece *read_alternatives(struct reader *r)
{
	struct piece *first = read_sequence(r), **last = &first;

	while (first && look(r, 0) == '|') {
		struct piece *other;

		r->at++;
		other = read_sequence(r);
		*last = other ? piece_new(r, PART_OR, *last, other) : NULL;
		if (!*last)
			return NULL;
		last = &(*last)->b; /* leans to the right: written in a loop */
	}
	return first;
}

/* ---- instructions ---- */

struct writer {
	struct cel_regex *re;
	struct arena *arena;
	struct error *err;
	struct span pattern;
};

static uint32_t emit(struct writer *w, struct code code)
{
	struct cel_regex *re = w->re;

	if (w->err->code)
		return 0;
	if (re->count == CODE_MAX) {
		error_set(w->err, ERROR_INVALID, "error parsing regexp: expression too large");
		return 0;
	}
	if (re->count == re->capacity) {
		uint32_t capacity = re->capacity ? re->capacity * 2 : 32;
		struct code *grown = ARENA_ARRAY(w->arena, struct code, capacity, w->err);

		if (!grown)
			return 0;
		if (re->count)
			memcpy(grown, re->code, re->count * sizeof(*grown));
		re->code = grown;
		re->capacity = capacity;
	}
	re->code[re->count] = code;
	return re->count++;
}

static void write_piece(struct writer *w, const struct piece *p);

static void set_split(struct writer *w, uint32_t at, uint32_t into, uint32_t past, bool lazy)
{
	if (!w->err->code) {
		w->re->code[at].x = lazy ? past : into;
		w->re->code[at].y = lazy ? into : past;
	}
}

static void write_repeat(struct writer *w, const struct piece *p)
{
	uint32_t split, first, *skips;
	uint32_t more = p->most == UINT32_MAX ? 0 : p->most - p->least;

	for (uint32_t i = 0; i < p->least && !w->err->code; i++)
		write_piece(w, p->a);
	if (p->most == UINT32_MAX) {
		split = emit(w, (struct code){ .op = OP_SPLIT });
		first = w->re->count;
		write_piece(w, p->a);
		emit(w, (struct code){ .op = OP_JUMP, .x = split });
		set_split(w, split, first, w->re->count, p->lazy);
		return;
	}
	skips = ARENA_ARRAY(w->arena, uint32_t, more + 1, w->err);
	for (uint32_t i = 0; skips && i < more && !w->err->code; i++) {
		skips[i] = emit(w, (struct code){ .op = OP_SPLIT });
		write_piece(w, p->a);
	}
	for (uint32_t i = 0; skips && i < more && !w->err->code; i++)
		set_split(w, skips[i], skips[i] + 1, w->re->count, p->lazy);
}

/* A long sequence leans to the left: taken by 64, so that it takes little depth. */
static void write_sequence(struct writer *w, const struct piece *p)
{
	const struct piece *stack[64];
	size_t n = 0;

	while (p->part == PART_THEN && n < ARRAY_LEN(stack)) {
		stack[n++] = p->b;
		p = p->a;
	}
	write_piece(w, p);
	while (n)
		write_piece(w, stack[--n]);
}

static void write_alternatives(struct writer *w, const struct piece *p)
{
	uint32_t jumps = UINT32_MAX; /* of all but the last, each naming the one before */

	for (; p->part == PART_OR && !w->err->code; p = p->b) {
		uint32_t split = emit(w, (struct code){ .op = OP_SPLIT });

		write_piece(w, p->a);
		jumps = emit(w, (struct code){ .op = OP_JUMP, .x = jumps });
		set_split(w, split, split + 1, w->re->count, false);
	}
	write_piece(w, p);
	while (jumps != UINT32_MAX && !w->err->code) {
		uint32_t before = w->re->code[jumps].x;

		w->re->code[jumps].x = w->re->count;
		jumps = before;
	}
}

static void write_piece(struct writer *w, const struct piece *p)
{
	if (w->err->code)
		return;
	switch (p->part) {
	case PART_EMPTY:
		return;
	case PART_SET:
		emit(w, (struct code){ .op = OP_SET, .set = &p->set });
		return;
	case PART_ASSERT:
		emit(w, (struct code){ .op = OP_ASSERT, .assertion = p->assertion });
		return;
	case PART_THEN:
		write_sequence(w, p);
		return;
	case PART_OR:
		write_alternatives(w, p);
		return;
	case PART_REPEAT:
		write_repeat(w, p);
		return;
	}
}

struct cel_regex *cel_regex_new(struct span pattern, struct arena *arena, struct error *err)
{
	struct cel_regex *re = ARENA_NEW(arena, struct cel_regex, err);
	struct reader r = { .in = pattern, .arena = arena, .err = err };
	struct writer w = { re, arena, err, pattern };
	struct piece *all;

	if (!re)
		return NULL;
	if (!span_is_utf8(pattern)) {
		error_set(err, ERROR_INVALID, "error parsing regexp: invalid UTF-8");
		return NULL;
	}
	all = read_alternatives(&r);
	if (!all)
		return NULL;
	if (!at_end(&r))
		return refuse(&r, "unexpected )", pattern);
	write_piece(&w, all);
	emit(&w, (struct code){ .op = OP_MATCH });
	re->starts_at_start = re->count && re->code[0].op == OP_ASSERT && re->code[0].assertion == TEXT_START;
	return err->code ? NULL : re;
}

/* ---- matching ---- */

struct threads {
	uint32_t *pc;
	size_t *start;
	uint32_t count;
};

struct room {
	struct threads now, next;
	uint64_t *seen; /* step in which an instruction was added last */
	uint32_t *stack;
	uint64_t step, steps;
};

static bool is_word_at(struct span text, size_t at)
{
	char c = at < text.len ? text.ptr[at] : ' ';

	return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool holds(enum assertion a, struct span text, size_t at)
{
	bool is_edge;

	switch (a) {
	case TEXT_START:
		return at == 0;
	case TEXT_END:
		return at == text.len;
	case LINE_START:
		return at == 0 || text.ptr[at - 1] == '\n';
	case LINE_END:
		return at == text.len || text.ptr[at] == '\n';
	default:
		is_edge = (at > 0 && is_word_at(text, at - 1)) != is_word_at(text, at);
		return a == WORD_EDGE ? is_edge : !is_edge;
	}
}

/* Adds what can be reached without a letter, in order of preference. */
static void add(const struct cel_regex *re, struct room *room, struct threads *to, uint32_t pc, size_t start,
		struct span text, size_t at)
{
	uint32_t depth = 0;

	room->stack[depth++] = pc;
	while (depth) {
		const struct code *code;

		pc = room->stack[--depth];
		if (room->seen[pc] == room->step)
			continue;
		room->seen[pc] = room->step;
		room->steps++;
		code = &re->code[pc];
		if (code->op == OP_JUMP) {
			room->stack[depth++] = code->x;
		} else if (code->op == OP_SPLIT) {
			room->stack[depth++] = code->y;
			room->stack[depth++] = code->x;
		} else if (code->op == OP_ASSERT) {
			if (holds(code->assertion, text, at))
				room->stack[depth++] = pc + 1;
		} else {
			to->pc[to->count] = pc;
			to->start[to->count++] = start;
		}
	}
}

static bool room_new(struct room *room, const struct cel_regex *re, struct arena *arena, struct error *err)
{
	uint32_t n = re->count + 1;

	*room = (struct room){ .step = 1 };
	room->now.pc = ARENA_ARRAY(arena, uint32_t, n, err);
	room->next.pc = ARENA_ARRAY(arena, uint32_t, n, err);
	room->now.start = ARENA_ARRAY(arena, size_t, n, err);
	room->next.start = ARENA_ARRAY(arena, size_t, n, err);
	room->stack = ARENA_ARRAY(arena, uint32_t, 2 * n + 2, err);
	room->seen = arena_calloc(arena, n, sizeof(*room->seen), err);
	return room->now.pc && room->next.pc && room->now.start && room->next.start && room->stack && room->seen;
}

static bool run(const struct cel_regex *re, struct span text, size_t from, bool any_will_do, size_t *ret_start,
		size_t *ret_end, struct arena *arena, struct error *err)
{
	struct room room;
	bool found = false;

	if (!room_new(&room, re, arena, err))
		return false;
	for (size_t at = from; at <= text.len;) {
		size_t bytes = 1;
		uint32_t letter = at < text.len ? letter_at(text, at, &bytes) : 0;
		struct threads swap;

		if (!found && (!re->starts_at_start || at == 0))
			add(re, &room, &room.now, 0, at, text, at);
		room.step++;
		room.next.count = 0;
		for (uint32_t i = 0; i < room.now.count; i++) {
			const struct code *code = &re->code[room.now.pc[i]];

			room.steps++;
			if (code->op == OP_MATCH) {
				found = true;
				*ret_start = room.now.start[i];
				*ret_end = at;
				break; /* what is behind is less preferred */
			}
			if (at < text.len && set_has(code->set, letter))
				add(re, &room, &room.next, room.now.pc[i] + 1, room.now.start[i], text, at + bytes);
		}
		if (room.steps > RUN_MAX) {
			error_set(err, ERROR_TOO_LARGE, "matching takes over %d steps", RUN_MAX);
			return false;
		}
		if ((found && any_will_do) || (!room.next.count && (found || re->starts_at_start)))
			break;
		swap = room.now;
		room.now = room.next;
		room.next = swap;
		at += bytes;
	}
	return found;
}

bool cel_regex_find(const struct cel_regex *re, struct span text, size_t from, size_t *ret_start, size_t *ret_end,
		    struct arena *arena, struct error *err)
{
	return run(re, text, from, false, ret_start, ret_end, arena, err);
}

bool cel_regex_matches(const struct cel_regex *re, struct span text, struct arena *arena, struct error *err)
{
	size_t start, end;

	return run(re, text, 0, true, &start, &end, arena, err);
}
