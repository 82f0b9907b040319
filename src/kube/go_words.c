/* SPDX-License-Identifier: Apache-2.0 */
/* go_words - what the real server says through the libraries it is made with. */
#include "kube/go_words.h"

#include "base/ascii.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- trees as fmt prints them ---- */

#define PRINTED_BYTES_MOST MIB(4)

static bool put(const struct value *v, struct buffer *out, struct arena *arena, struct error *err);

static bool put_object(const struct value *v, struct buffer *out, struct arena *arena, struct error *err)
{
	uint32_t count = v->object.count;
	const struct value_member **order = ARENA_ARRAY(arena, const struct value_member *, count + 1, err);

	if (!order)
		return false;
	for (uint32_t i = 0; i < count; i++)
		order[i] = &v->object.members[i];
	qsort(order, count, sizeof(*order), value_member_order);
	buffer_append(out, SPAN("map["));
	for (uint32_t i = 0; i < count; i++) {
		buffer_print(out, "%s" SPAN_FMT ":", i ? " " : "", SPAN_ARG(order[i]->key));
		if (!put(&order[i]->value, out, arena, err))
			return false;
	}
	buffer_byte(out, ']');
	return true;
}

static bool put(const struct value *v, struct buffer *out, struct arena *arena, struct error *err)
{
	switch (v->type) {
	case VALUE_NULL:
		buffer_append(out, SPAN("<nil>"));
		return true;
	case VALUE_BOOL:
		buffer_append(out, v->boolean ? SPAN("true") : SPAN("false"));
		return true;
	case VALUE_INT:
		buffer_print(out, "%lld", (long long)v->integer);
		return true;
	case VALUE_DOUBLE: {
		struct span text = value_print(v, arena, err);

		buffer_append(out, text);
		return text.ptr;
	}
	case VALUE_STRING:
		buffer_append(out, v->string);
		return true;
	case VALUE_ARRAY:
		buffer_byte(out, '[');
		for (uint32_t i = 0; i < v->array.count; i++) {
			if (i)
				buffer_byte(out, ' ');
			if (!put(value_item(v, i), out, arena, err))
				return false;
		}
		buffer_byte(out, ']');
		return true;
	case VALUE_OBJECT:
		return put_object(v, out, arena, err);
	}
	return true;
}

struct span go_print(const struct value *v, struct arena *arena, struct error *err)
{
	struct span text = { 0 };
	struct buffer out;

	buffer_init(&out, PRINTED_BYTES_MOST);
	if (put(v, &out, arena, err))
		text = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return text;
}

/* ---- what is wrong with a JSON text ---- */

/* encoding/json reads byte by byte; what it says depends on where it stands. */
enum state {
	BEGIN_VALUE,
	BEGIN_ITEM_OR_END, /* behind [ */
	BEGIN_KEY_OR_END,  /* behind { */
	BEGIN_KEY,         /* behind , in an object */
	AFTER_KEY,
	AFTER_VALUE,
	AFTER_MEMBER,
	AFTER_ITEM,
	IN_STRING,
	IN_ESCAPE,
	IN_HEX,
	IN_LITERAL,
	NUMBER_SIGN, /* behind - */
	NUMBER_ZERO, /* behind a leading 0 */
	NUMBER_DIGITS,
	NUMBER_POINT, /* behind . */
	NUMBER_FRACTION,
	NUMBER_E,      /* behind e */
	NUMBER_E_SIGN, /* behind e and a sign */
	NUMBER_EXPONENT,
};

/* What a value that ends stands in. */
enum { IN_OBJECT_KEY = 'k', IN_OBJECT_VALUE = 'v', IN_ARRAY = 'a' };

struct scan {
	enum state state;
	const char *literal; /* "true" */
	unsigned at;         /* in it, or in \uXXXX */
	char stack[JSON_DEPTH_MAX + 1];
	unsigned depth;
	const char *why; /* "looking for beginning of value" */
	char words[48];
};

static bool fail(struct scan *s, const char *why)
{
	s->why = why;
	return false;
}

static void value_end(struct scan *s)
{
	if (!s->depth)
		s->state = AFTER_VALUE;
	else if (s->stack[s->depth - 1] == IN_OBJECT_KEY)
		s->state = AFTER_KEY;
	else
		s->state = s->stack[s->depth - 1] == IN_ARRAY ? AFTER_ITEM : AFTER_MEMBER;
}

static bool open(struct scan *s, char what)
{
	if (s->depth >= JSON_DEPTH_MAX)
		return fail(s, "exceeded max depth");
	s->stack[s->depth++] = what;
	s->state = what == IN_ARRAY ? BEGIN_ITEM_OR_END : BEGIN_KEY_OR_END;
	return true;
}

static bool close_here(struct scan *s)
{
	s->depth--;
	value_end(s);
	return true;
}

static bool begin_literal(struct scan *s, const char *literal)
{
	s->literal = literal;
	s->at = 1;
	s->state = IN_LITERAL;
	return true;
}

static bool begin_value(struct scan *s, char c)
{
	switch (c) {
	case '{':
		return open(s, IN_OBJECT_KEY);
	case '[':
		return open(s, IN_ARRAY);
	case '"':
		s->state = IN_STRING;
		return true;
	case '-':
		s->state = NUMBER_SIGN;
		return true;
	case '0':
		s->state = NUMBER_ZERO;
		return true;
	case 't':
		return begin_literal(s, "true");
	case 'f':
		return begin_literal(s, "false");
	case 'n':
		return begin_literal(s, "null");
	default:
		break;
	}
	if (c < '1' || c > '9')
		return fail(s, "looking for beginning of value");
	s->state = NUMBER_DIGITS;
	return true;
}

static bool begin_key(struct scan *s, char c)
{
	if (c != '"')
		return fail(s, "looking for beginning of object key string");
	s->stack[s->depth - 1] = IN_OBJECT_KEY;
	s->state = IN_STRING;
	return true;
}

static bool after_member(struct scan *s, char c)
{
	if (c == '}')
		return close_here(s);
	if (c != ',')
		return fail(s, "after object key:value pair");
	s->state = BEGIN_KEY;
	return true;
}

static bool after_item(struct scan *s, char c)
{
	if (c == ']')
		return close_here(s);
	if (c != ',')
		return fail(s, "after array element");
	s->state = BEGIN_VALUE;
	return true;
}

/* Between tokens; spaces are passed over before. */
static bool step_between(struct scan *s, char c)
{
	switch (s->state) {
	case BEGIN_ITEM_OR_END:
		return c == ']' ? close_here(s) : begin_value(s, c);
	case BEGIN_KEY_OR_END:
		if (c != '}')
			return begin_key(s, c);
		s->stack[s->depth - 1] = IN_OBJECT_VALUE;
		return close_here(s);
	case BEGIN_KEY:
		return begin_key(s, c);
	case AFTER_KEY:
		if (c != ':')
			return fail(s, "after object key");
		s->stack[s->depth - 1] = IN_OBJECT_VALUE;
		s->state = BEGIN_VALUE;
		return true;
	case AFTER_MEMBER:
		return after_member(s, c);
	case AFTER_ITEM:
		return after_item(s, c);
	case AFTER_VALUE:
		return fail(s, "after top-level value");
	default:
		return begin_value(s, c);
	}
}

static bool step(struct scan *s, char c);

/* What is no part of the number ends it. */
static bool number_end(struct scan *s, char c)
{
	value_end(s);
	return step(s, c);
}

static bool step_number(struct scan *s, char c)
{
	switch (s->state) {
	case NUMBER_SIGN:
		if (!ascii_is_digit(c))
			return fail(s, "in numeric literal");
		s->state = c == '0' ? NUMBER_ZERO : NUMBER_DIGITS;
		return true;
	case NUMBER_DIGITS:
		if (ascii_is_digit(c))
			return true;
		__attribute__((fallthrough));
	case NUMBER_ZERO:
		if (c == '.')
			s->state = NUMBER_POINT;
		else if (c == 'e' || c == 'E')
			s->state = NUMBER_E;
		else
			return number_end(s, c);
		return true;
	case NUMBER_POINT:
		if (!ascii_is_digit(c))
			return fail(s, "after decimal point in numeric literal");
		s->state = NUMBER_FRACTION;
		return true;
	case NUMBER_FRACTION:
		if (c == 'e' || c == 'E')
			s->state = NUMBER_E;
		else if (!ascii_is_digit(c))
			return number_end(s, c);
		return true;
	case NUMBER_E:
		if (c == '+' || c == '-') {
			s->state = NUMBER_E_SIGN;
			return true;
		}
		__attribute__((fallthrough));
	case NUMBER_E_SIGN:
		if (!ascii_is_digit(c))
			return fail(s, "in exponent of numeric literal");
		s->state = NUMBER_EXPONENT;
		return true;
	default: /* NUMBER_EXPONENT */
		return ascii_is_digit(c) || number_end(s, c);
	}
}

static bool step_string(struct scan *s, char c)
{
	if (c == '"')
		value_end(s);
	else if (c == '\\')
		s->state = IN_ESCAPE;
	else if ((unsigned char)c < ' ')
		return fail(s, "in string literal");
	return true;
}

static bool step_escape(struct scan *s, char c)
{
	if (c != 'u' && (!c || !strchr("bfnrt\\/\"", c)))
		return fail(s, "in string escape code");
	s->at = 0;
	s->state = c == 'u' ? IN_HEX : IN_STRING;
	return true;
}

static bool step_hex(struct scan *s, char c)
{
	if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
		return fail(s, "in \\u hexadecimal character escape");
	if (++s->at == 4)
		s->state = IN_STRING;
	return true;
}

static bool step_literal(struct scan *s, char c)
{
	if (c != s->literal[s->at]) {
		(void)snprintf(s->words, sizeof(s->words), "in literal %s (expecting '%c')", s->literal,
			       s->literal[s->at]);
		return fail(s, s->words);
	}
	if (!s->literal[++s->at])
		value_end(s);
	return true;
}

static bool step(struct scan *s, char c)
{
	switch (s->state) {
	case IN_STRING:
		return step_string(s, c);
	case IN_ESCAPE:
		return step_escape(s, c);
	case IN_HEX:
		return step_hex(s, c);
	case IN_LITERAL:
		return step_literal(s, c);
	default:
		break;
	}
	if (s->state >= NUMBER_SIGN)
		return step_number(s, c);
	return ascii_is_space(c) || step_between(s, c);
}

/* A byte as a character constant of Go: bytes over 127 are the code points of that number. */
static void quote(unsigned char c, char ret[16])
{
	static const char names[] = "abtnvfr";

	if (c == '\'' || c == '\\')
		(void)snprintf(ret, 16, "'\\%c'", c);
	else if (c == '"')
		(void)snprintf(ret, 16, "'\"'");
	else if (c >= 7 && c <= 13)
		(void)snprintf(ret, 16, "'\\%c'", names[c - 7]);
	else if (c < ' ' || c == 127)
		(void)snprintf(ret, 16, "'\\x%02x'", c);
	else if (c < 127)
		(void)snprintf(ret, 16, "'%c'", c);
	else if (c < 0xa1 || c == 0xad)
		(void)snprintf(ret, 16, "'\\u%04x'", c);
	else
		(void)snprintf(ret, 16, "'%c%c'", 0xc0 | (c >> 6), 0x80 | (c & 0x3f));
}

static bool is_number_whole(enum state state)
{
	return state == NUMBER_ZERO || state == NUMBER_DIGITS || state == NUMBER_FRACTION || state == NUMBER_EXPONENT;
}

bool go_json_fault(struct span text, char ret[GO_WORDS_SIZE])
{
	struct scan s = { .state = BEGIN_VALUE };
	char quoted[16];

	for (size_t i = 0; i < text.len; i++) {
		if (step(&s, text.ptr[i]))
			continue;
		quote((unsigned char)text.ptr[i], quoted);
		if (strcmp(s.why, "exceeded max depth") == 0)
			(void)snprintf(ret, GO_WORDS_SIZE, "%s", s.why);
		else
			(void)snprintf(ret, GO_WORDS_SIZE, "invalid character %s %s", quoted, s.why);
		return true;
	}
	if (s.state == AFTER_VALUE || (is_number_whole(s.state) && !s.depth))
		return false;
	(void)snprintf(ret, GO_WORDS_SIZE, "unexpected end of JSON input");
	return true;
}

const char *go_type_name(const struct value *v)
{
	static const char *const names[] = {
		"<nil>", "bool", "int64", "float64", "string", "[]interface {}", "map[string]interface {}"
	};

	return names[v->type];
}

const char *go_json_type(const struct value *v)
{
	static const char *const names[] = { "null", "bool", "number", "number", "string", "array", "object" };

	return names[v->type];
}
