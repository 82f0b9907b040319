/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/crd/cel_lex.h"

static const char *const token_names[TOKEN_COUNT] = {
#define CEL_TOKEN_ROW(name, text) text,
	CEL_TOKENS(CEL_TOKEN_ROW)
#undef CEL_TOKEN_ROW
};

const char *cel_token_name(enum cel_token_kind kind)
{
	return token_names[kind];
}

struct lexer {
	struct cel_faults *faults;
	struct span in;
	size_t at;
	struct cel_token *tokens;
	size_t count, capacity;
};

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(int c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* -1 behind the end. */
static int look(const struct lexer *l, size_t ahead)
{
	return l->at + ahead < l->in.len ? (unsigned char)l->in.ptr[l->at + ahead] : -1;
}

static size_t letter_bytes(int first)
{
	return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}

static bool push(struct lexer *l, enum cel_token_kind kind, size_t len)
{
	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 64;
		struct cel_token *grown = ARENA_ARRAY(l->faults->arena, struct cel_token, capacity, l->faults->err);

		if (!grown)
			return false;
		if (l->count)
			memcpy(grown, l->tokens, l->count * sizeof(*grown));
		l->tokens = grown;
		l->capacity = capacity;
	}
	l->tokens[l->count++] = (struct cel_token){ kind, (uint32_t)l->at, (uint32_t)len };
	l->at += len;
	return true;
}

/* What begins at l->at and breaks off at `end` is no word: told with the character at `end`, and skipped with it. */
static void refuse(struct lexer *l, size_t end)
{
	struct buffer text;
	size_t stop = end < l->in.len ? end + letter_bytes((unsigned char)l->in.ptr[end]) : end;

	if (stop > l->in.len)
		stop = l->in.len;
	buffer_init(&text, 4096);
	for (size_t i = l->at; i < stop; i++) {
		char c = l->in.ptr[i];

		if (c == '\n' || c == '\t' || c == '\r')
			buffer_print(&text, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
		else
			buffer_byte(&text, c);
	}
	cel_fault_add(l->faults, l->at, "Syntax error: token recognition error at: '%.*s'", (int)text.len,
		      text.ptr ? text.ptr : "");
	buffer_done(&text);
	l->at = stop;
}

static size_t digits(const struct lexer *l, size_t from)
{
	while (is_digit(look(l, from)))
		from++;
	return from;
}

static size_t exponent(const struct lexer *l, size_t from)
{
	size_t at = from;

	if (look(l, at) != 'e' && look(l, at) != 'E')
		return from;
	at++;
	if (look(l, at) == '+' || look(l, at) == '-')
		at++;
	return is_digit(look(l, at)) ? digits(l, at) : from;
}

static bool lex_number(struct lexer *l)
{
	size_t n = digits(l, 0), more;

	if (n == 1 && look(l, 0) == '0' && look(l, 1) == 'x' && is_hex(look(l, 2))) {
		for (n = 3; is_hex(look(l, n)); n++)
			;
		if (look(l, n) == 'u' || look(l, n) == 'U')
			return push(l, TOKEN_UINT, n + 1);
		return push(l, TOKEN_INT, n);
	}
	if (look(l, n) == '.' && is_digit(look(l, n + 1)))
		return push(l, TOKEN_DOUBLE, exponent(l, digits(l, n + 1)));
	more = exponent(l, n);
	if (more > n)
		return push(l, TOKEN_DOUBLE, more);
	if (look(l, n) == 'u' || look(l, n) == 'U')
		return push(l, TOKEN_UINT, n + 1);
	return push(l, TOKEN_INT, n);
}

/* Bytes of an escape from its backslash on; 0 when it is none. */
static size_t escape_len(const struct lexer *l, size_t at)
{
	int c = look(l, at + 1);
	size_t want = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;

	if (c > 0 && c < 128 && strchr("abfnrtv\"'\\?`", c))
		return 2;
	for (size_t i = 0; want && i < want; i++)
		if (!is_hex(look(l, at + 2 + i)))
			return 0;
	if (want)
		return want + 2;
	for (size_t i = 0; i < 3; i++)
		if (look(l, at + 1 + i) < '0' || look(l, at + 1 + i) > (i ? '7' : '3'))
			return 0;
	return 4;
}

/* `head` bytes of prefix (b, r) are before the quote. */
static bool lex_string(struct lexer *l, size_t head, bool is_raw, bool is_bytes)
{
	int quote = look(l, head);
	bool is_long = look(l, head + 1) == quote && look(l, head + 2) == quote;
	size_t at = head + (is_long ? 3 : 1);

	for (;;) {
		int c = look(l, at);
		size_t escape;

		if (c < 0 || (!is_long && (c == '\n' || c == '\r')))
			break;
		if (c == quote && (!is_long || (look(l, at + 1) == quote && look(l, at + 2) == quote)))
			return push(l, is_bytes ? TOKEN_BYTES : TOKEN_STRING, at + (is_long ? 3 : 1));
		if (c == '\\' && !is_raw) {
			escape = escape_len(l, at);
			if (!escape) {
				at++;
				break;
			}
			at += escape;
			continue;
		}
		at++;
	}
	if (is_long) /* an empty string stands at its start */
		return push(l, is_bytes ? TOKEN_BYTES : TOKEN_STRING, head + 2);
	refuse(l, l->at + at);
	return true;
}

static bool lex_name(struct lexer *l)
{
	static const struct {
		const char *text;
		enum cel_token_kind kind;
	} words[] = { { "in", TOKEN_IN }, { "true", TOKEN_TRUE }, { "false", TOKEN_FALSE }, { "null", TOKEN_NULL } };
	size_t n = 0;

	while (is_letter(look(l, n)) || is_digit(look(l, n)))
		n++;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_equal(span_from(l->in.ptr + l->at, n), span_of(words[i].text)))
			return push(l, words[i].kind, n);
	return push(l, TOKEN_NAME, n);
}

static bool lex_quoted_name(struct lexer *l)
{
	size_t n = 1;

	while (is_letter(look(l, n)) || is_digit(look(l, n)) || (look(l, n) > 0 && strchr(".-/ ", look(l, n))))
		n++;
	if (n == 1 || look(l, n) != '`') {
		refuse(l, l->at + n);
		return true;
	}
	return push(l, TOKEN_QUOTED_NAME, n + 1);
}

static bool lex_sign(struct lexer *l)
{
	static const struct {
		char text[3];
		enum cel_token_kind kind;
	} signs[] = {
		{ "==", TOKEN_EQUAL },
		{ "!=", TOKEN_NOT_EQUAL },
		{ "<=", TOKEN_LESS_EQUAL },
		{ ">=", TOKEN_GREATER_EQUAL },
		{ "&&", TOKEN_AND },
		{ "||", TOKEN_OR },
		{ "<", TOKEN_LESS },
		{ ">", TOKEN_GREATER },
		{ "[", TOKEN_LEFT_BRACKET },
		{ "]", TOKEN_RIGHT_BRACKET },
		{ "{", TOKEN_LEFT_BRACE },
		{ "}", TOKEN_RIGHT_BRACE },
		{ "(", TOKEN_LEFT_PARENTHESIS },
		{ ")", TOKEN_RIGHT_PARENTHESIS },
		{ ".", TOKEN_DOT },
		{ ",", TOKEN_COMMA },
		{ "-", TOKEN_MINUS },
		{ "!", TOKEN_NOT },
		{ "?", TOKEN_QUESTION },
		{ ":", TOKEN_COLON },
		{ "+", TOKEN_PLUS },
		{ "*", TOKEN_TIMES },
		{ "/", TOKEN_DIVIDE },
		{ "%", TOKEN_REMAINDER },
	};
	int c = look(l, 0);

	for (size_t i = 0; i < ARRAY_LEN(signs); i++)
		if (c == signs[i].text[0] && (!signs[i].text[1] || look(l, 1) == signs[i].text[1]))
			return push(l, signs[i].kind, signs[i].text[1] ? 2 : 1);
	refuse(l, c == '=' || c == '&' || c == '|' ? l->at + 1 : l->at);
	return true;
}

static bool lex_one(struct lexer *l)
{
	int c = look(l, 0), next = look(l, 1), third = look(l, 2);
	bool is_bytes = c == 'b' || c == 'B', is_raw = c == 'r' || c == 'R';

	if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') {
		l->at++;
		return true;
	}
	if (c == '/' && next == '/') {
		while (look(l, 0) >= 0 && look(l, 0) != '\n')
			l->at++;
		return true;
	}
	if (is_digit(c))
		return lex_number(l);
	if (c == '.' && is_digit(next))
		return push(l, TOKEN_DOUBLE, exponent(l, digits(l, 1)));
	if (c == '"' || c == '\'')
		return lex_string(l, 0, false, false);
	if ((is_bytes || is_raw) && (next == '"' || next == '\''))
		return lex_string(l, 1, is_raw, is_bytes);
	if (is_bytes && (next == 'r' || next == 'R') && (third == '"' || third == '\''))
		return lex_string(l, 2, true, true);
	if (is_letter(c))
		return lex_name(l);
	if (c == '`')
		return lex_quoted_name(l);
	return lex_sign(l);
}

struct cel_token *cel_lex(struct cel_faults *f, size_t *ret_count)
{
	struct lexer l = { .faults = f, .in = f->source };

	while (l.at < l.in.len)
		if (!lex_one(&l))
			return NULL;
	if (!push(&l, TOKEN_END, 0))
		return NULL;
	*ret_count = l.count;
	return l.tokens;
}

/* ---- what strings mean ---- */

static size_t write_letter(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

static uint32_t number_of(const char *p, size_t n, uint32_t base)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		v = v * base + (uint32_t)(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
	}
	return v;
}

/* The lexer has checked that escapes are whole. Moves *p behind the escape. */
static const char *decode_escape(const char **p, bool is_bytes, char **to)
{
	static const char from[] = "abfnrtv", plain[] = "\a\b\f\n\r\t\v";
	char c = (*p)[1];
	const char *found = strchr(from, c);
	size_t n = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
	uint32_t v;

	if (c && found) {
		*(*to)++ = plain[found - from];
		*p += 2;
		return NULL;
	}
	if (!n && !is_digit(c)) {
		*(*to)++ = c;
		*p += 2;
		return NULL;
	}
	if (n) {
		v = number_of(*p + 2, n, 16);
		*p += 2 + n;
	} else {
		v = number_of(*p + 1, 3, 8);
		*p += 4;
	}
	if (n >= 4 && is_bytes)
		return "unable to unescape string";
	if (is_bytes) {
		*(*to)++ = (char)v;
		return NULL;
	}
	if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return "invalid unicode code point";
	*to += write_letter(*to, v);
	return NULL;
}

const char *cel_string_decode(struct span text, bool is_bytes, struct arena *arena, struct span *ret, struct error *err)
{
	bool is_raw = false;
	const char *p = text.ptr, *end = text.ptr + text.len, *fault;
	char *out = arena_alloc(arena, text.len + 8, err), *to = out;
	size_t quotes;

	if (!out)
		return "memory ended";
	if (is_bytes)
		p++;
	if (*p == 'r' || *p == 'R') {
		is_raw = true;
		p++;
	}
	quotes = end - p >= 6 && p[1] == p[0] && p[2] == p[0] ? 3 : 1;
	p += quotes;
	end -= quotes;
	while (p < end) {
		if (*p == '\r') { /* line ends are one kind (langdef.md, "String and Bytes Values") */
			*to++ = '\n';
			p += p + 1 < end && p[1] == '\n' ? 2 : 1;
		} else if (*p != '\\' || is_raw) {
			*to++ = *p++;
		} else if ((fault = decode_escape(&p, is_bytes, &to)) != NULL) {
			return fault;
		}
	}
	*ret = span_from(out, (size_t)(to - out));
	return NULL;
}
