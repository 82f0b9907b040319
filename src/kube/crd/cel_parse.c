/* SPDX-License-Identifier: Apache-2.0 */
/* Words to a tree (langdef.md, "Syntax"). Faults are told in the words of the parser that the real server uses. */
#include "kube/crd/cel_parse.h"
#include "base/number.h"
#include "kube/crd/cel_lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES_MAX = 200000 };

struct parser {
	struct cel_faults *faults;
	struct cel_token *tokens, *now;
	struct cel_maker maker;
	uint32_t depth_expr, depth_relation, depth_calc, depth_member;
	bool is_over; /* a fault that ends the work */
};

static struct cel_node *parse_expr(struct parser *p);

/* ---- faults ---- */

bool cel_faults_init(struct cel_faults *f, struct span source, struct arena *arena, struct error *err)
{
	*f = (struct cel_faults){ .source = source, .arena = arena, .err = err };
	f->all = ARENA_ARRAY(arena, struct cel_fault, CEL_FAULTS_MAX, err);
	return f->all != NULL;
}

void cel_fault_add(struct cel_faults *f, size_t at, const char *format, ...)
{
	va_list args;
	struct buffer text;

	if (f->count == CEL_FAULTS_MAX) {
		f->dropped++;
		return;
	}
	buffer_init(&text, KIB(16));
	va_start(args, format);
	if (buffer_grow(&text, KIB(8))) {
		int n = vsnprintf(text.ptr, KIB(8), format, args);

		text.len = n < 0 ? 0 : MIN((size_t)n, KIB(8) - 1);
	}
	va_end(args);
	f->all[f->count] = (struct cel_fault){ at, f->count, arena_copy(f->arena, buffer_span(&text), f->err) };
	f->count++;
	buffer_done(&text);
}

static int by_place(const void *a, const void *b)
{
	const struct cel_fault *x = a, *y = b;
	size_t i = x->at + 1, k = y->at + 1; /* nowhere comes first */

	return i != k ? (i > k) - (i < k) : (x->order > y->order) - (x->order < y->order);
}

static void print_pointer(struct buffer *out, struct span line, size_t column)
{
	size_t at = 0;

	buffer_append(out, SPAN("\n | "));
	for (size_t i = 0; i < line.len; i++)
		buffer_byte(out, line.ptr[i] == '\t' ? ' ' : line.ptr[i]);
	buffer_append(out, SPAN("\n | "));
	for (size_t i = 0; i < column && at < line.len; i++) {
		bool is_wide = (unsigned char)line.ptr[at] >= 0x80;

		buffer_append(out, is_wide ? SPAN("\uff0e") : SPAN("."));
		for (at++; at < line.len && ((unsigned char)line.ptr[at] & 0xc0) == 0x80; at++)
			;
	}
	buffer_append(out, at < line.len && (unsigned char)line.ptr[at] >= 0x80 ? SPAN("\uff3e") : SPAN("^"));
}

static void print_fault(const struct cel_faults *f, const struct cel_fault *one, struct buffer *out)
{
	size_t start = 0, line = 1, column = 0, end;

	if (one->at == SIZE_MAX) {
		buffer_print(out, "ERROR: <input>:-1:0: ");
		buffer_append(out, one->message);
		return;
	}
	for (size_t i = 0; i < one->at && i < f->source.len; i++) {
		if (f->source.ptr[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	for (size_t i = start; i < one->at && i < f->source.len; i++)
		column += ((unsigned char)f->source.ptr[i] & 0xc0) != 0x80;
	end = start + span_index(span_skip(f->source, start), '\n');
	buffer_print(out, "ERROR: <input>:%zu:%zu: ", line, column + 1);
	buffer_append(out, one->message);
	if (end - start <= 16384)
		print_pointer(out, span_from(f->source.ptr + start, end - start), column);
}

struct span cel_faults_print(struct cel_faults *f)
{
	struct buffer out;
	struct span text;

	buffer_init(&out, MIB(1));
	qsort(f->all, f->count, sizeof(*f->all), by_place);
	for (uint32_t i = 0; i < f->count; i++) {
		if (i)
			buffer_byte(&out, '\n');
		print_fault(f, &f->all[i], &out);
	}
	if (f->dropped)
		buffer_print(&out, "\n%u more errors were truncated", f->dropped);
	text = arena_copy(f->arena, buffer_span(&out), f->err);
	buffer_done(&out);
	return text;
}

/* ---- words ---- */

/* Tells what is wrong once and lets everything above return. */
static void *give_up(struct parser *p)
{
	p->is_over = true;
	p->now = p->tokens + p->maker.last;
	return NULL;
}

static enum cel_token_kind kind_of(const struct parser *p)
{
	return p->now->kind;
}

static struct cel_token *next_of(const struct parser *p)
{
	return p->now->kind == TOKEN_END ? p->now : p->now + 1;
}

static bool take(struct parser *p, enum cel_token_kind kind)
{
	if (p->now->kind != kind)
		return false;
	if (kind != TOKEN_END)
		p->now++;
	return true;
}

static struct span text_of(const struct parser *p, const struct cel_token *t)
{
	return t->kind == TOKEN_END ? SPAN("<EOF>") : span_from(p->faults->source.ptr + t->at, t->len);
}

static const char expects_value[] =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, "
    "STRING, BYTES, IDENTIFIER}";
static const char expects_member[] =
    "{'[', '{', '(', '.', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, "
    "BYTES, IDENTIFIER}";

static bool begins_value(enum cel_token_kind k)
{
	switch (k) {
	case TOKEN_LEFT_BRACKET:
	case TOKEN_LEFT_BRACE:
	case TOKEN_LEFT_PARENTHESIS:
	case TOKEN_DOT:
	case TOKEN_MINUS:
	case TOKEN_NOT:
	case TOKEN_TRUE:
	case TOKEN_FALSE:
	case TOKEN_NULL:
	case TOKEN_DOUBLE:
	case TOKEN_INT:
	case TOKEN_UINT:
	case TOKEN_STRING:
	case TOKEN_BYTES:
	case TOKEN_NAME:
		return true;
	default:
		return false;
	}
}

static void *mismatch(struct parser *p, const char *expected)
{
	struct span text = text_of(p, p->now);

	cel_fault_add(p->faults, p->now->at, "Syntax error: mismatched input '%.*s' expecting %s", (int)text.len,
		      text.ptr, expected);
	return give_up(p);
}

/* A word that must come: one too many before it is left out, as the real parser mends it. */
static bool expect(struct parser *p, enum cel_token_kind kind)
{
	struct span text = text_of(p, p->now);

	if (p->is_over)
		return false;
	if (take(p, kind))
		return true;
	if (next_of(p)->kind == kind && p->now->kind != TOKEN_END) {
		cel_fault_add(p->faults, p->now->at, "Syntax error: extraneous input '%.*s' expecting %s",
			      (int)text.len, text.ptr, cel_token_name(kind));
		p->now++;
		return take(p, kind);
	}
	if (p->now->kind == TOKEN_END && kind != TOKEN_COLON) {
		cel_fault_add(p->faults, p->now->at, "Syntax error: missing %s at '<EOF>'", cel_token_name(kind));
		give_up(p);
		return false;
	}
	mismatch(p, cel_token_name(kind));
	return false;
}

static bool deeper(struct parser *p, uint32_t *depth)
{
	if (++*depth <= CEL_DEPTH_MAX)
		return true;
	if (!p->is_over)
		cel_fault_add(p->faults, SIZE_MAX, "expression recursion limit exceeded: %d", CEL_DEPTH_MAX);
	give_up(p);
	return false;
}

/* ---- making nodes ---- */

struct cel_node *cel_make(struct cel_maker *m, enum cel_node_kind kind, uint32_t at)
{
	struct cel_node *n;

	if (++m->nodes > NODES_MAX) {
		if (m->nodes == NODES_MAX + 1)
			cel_fault_add(m->faults, SIZE_MAX, "expression has more than %d parts", NODES_MAX);
		return NULL;
	}
	n = ARENA_NEW(m->faults->arena, struct cel_node, m->faults->err);
	if (n) {
		n->kind = kind;
		n->at = at;
	}
	return n;
}

struct cel_node *cel_make_name(struct cel_maker *m, uint32_t at, struct span name)
{
	struct cel_node *n = cel_make(m, NODE_IDENT, at);

	if (n)
		n->name = name;
	return n;
}

struct cel_node *cel_make_literal(struct cel_maker *m, uint32_t at, struct cel_value v)
{
	struct cel_node *n = cel_make(m, NODE_LITERAL, at);

	if (n)
		n->literal = v;
	return n;
}

bool cel_make_args(struct cel_maker *m, struct cel_node *n, uint32_t count)
{
	if (!n)
		return false;
	n->args = arena_calloc(m->faults->arena, count + 1, sizeof(struct cel_node *), m->faults->err);
	n->count = count;
	return n->args != NULL;
}

struct cel_node *cel_make_call(struct cel_maker *m, uint32_t at, const char *function, struct cel_node *a,
			       struct cel_node *b, struct cel_node *c)
{
	struct cel_node *n = cel_make(m, NODE_CALL, at);

	if (!n || !a || !cel_make_args(m, n, c ? 3 : b ? 2 : 1))
		return NULL;
	n->name = span_of(function);
	n->args[0] = a;
	n->args[1] = b;
	if (c)
		n->args[2] = c;
	return n;
}

/* ---- values ---- */

static struct cel_node *parse_int(struct parser *p, const struct cel_token *t, bool is_negative, uint32_t at)
{
	struct span text = text_of(p, t);
	bool is_hex = span_starts(text, SPAN("0x"));
	uint64_t v = 0, base = is_hex ? 16 : 10;
	size_t from = is_hex ? 2 : 0;

	for (size_t i = from; i < text.len; i++) {
		char c = text.ptr[i];
		uint64_t digit = (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);

		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v))
			v = UINT64_MAX;
		if (v > (uint64_t)INT64_MAX + is_negative) {
			cel_fault_add(p->faults, at, "invalid int literal");
			return cel_make(&p->maker, NODE_LITERAL, at);
		}
	}
	return cel_make_literal(&p->maker, at, cel_of_int(is_negative ? (int64_t)(0 - v) : (int64_t)v));
}

static struct cel_node *parse_uint(struct parser *p, const struct cel_token *t)
{
	struct span text = text_of(p, t);
	bool is_hex = span_starts(text, SPAN("0x"));
	uint64_t v = 0, base = is_hex ? 16 : 10;

	for (size_t i = is_hex ? 2 : 0; i + 1 < text.len; i++) {
		char c = text.ptr[i];
		uint64_t digit = (uint64_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);

		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v)) {
			cel_fault_add(p->faults, t->at, "invalid uint literal");
			return cel_make(&p->maker, NODE_LITERAL, t->at);
		}
	}
	return cel_make_literal(&p->maker, t->at, (struct cel_value){ .kind = CEL_UINT, .natural = v });
}

static struct cel_node *parse_double(struct parser *p, const struct cel_token *t, bool is_negative, uint32_t at)
{
	double d = 0;

	if (!number_parse_double(text_of(p, t), &d) || d - d != 0) {
		cel_fault_add(p->faults, at, "invalid double literal");
		return cel_make(&p->maker, NODE_LITERAL, at);
	}
	return cel_make_literal(&p->maker, at, cel_of_double(is_negative ? -d : d));
}

static struct cel_node *parse_text(struct parser *p, const struct cel_token *t)
{
	bool is_bytes = t->kind == TOKEN_BYTES;
	struct cel_value v = { .kind = is_bytes ? CEL_BYTES : CEL_STRING };
	const char *fault = cel_string_decode(text_of(p, t), is_bytes, p->faults->arena, &v.text, p->faults->err);

	if (fault) {
		cel_fault_add(p->faults, t->at, "%s", fault);
		v.text = SPAN("");
	}
	return cel_make_literal(&p->maker, t->at, v);
}

/* ---- lists of expressions ---- */

struct nodes {
	struct cel_node **all;
	bool *is_optional;
	uint32_t count, capacity;
	bool any_optional;
};

static bool nodes_add(struct parser *p, struct nodes *to, struct cel_node *n, bool is_optional)
{
	struct arena *arena = p->faults->arena;

	if (!n)
		return false;
	if (to->count == to->capacity) {
		uint32_t capacity = to->capacity ? to->capacity * 2 : 8;
		struct cel_node **all = ARENA_ARRAY(arena, struct cel_node *, capacity, p->faults->err);
		bool *flags = ARENA_ARRAY(arena, bool, capacity, p->faults->err);

		if (!all || !flags)
			return false;
		if (to->count) {
			memcpy(all, to->all, to->count * sizeof(struct cel_node *));
			memcpy(flags, to->is_optional, to->count);
		}
		to->all = all;
		to->is_optional = flags;
		to->capacity = capacity;
	}
	to->any_optional |= is_optional;
	to->is_optional[to->count] = is_optional;
	to->all[to->count++] = n;
	return true;
}

static bool parse_arguments(struct parser *p, struct nodes *to)
{
	if (take(p, TOKEN_RIGHT_PARENTHESIS))
		return true;
	if (!begins_value(kind_of(p)) && !p->is_over) {
		mismatch(p,
			 "{'[', '{', '(', ')', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, "
			 "STRING, BYTES, IDENTIFIER}");
		return false;
	}
	do {
		if (!nodes_add(p, to, parse_expr(p), false))
			return false;
	} while (take(p, TOKEN_COMMA));
	return expect(p, TOKEN_RIGHT_PARENTHESIS);
}

static struct cel_node *parse_list(struct parser *p)
{
	struct cel_node *n = cel_make(&p->maker, NODE_LIST, p->now->at);
	struct nodes items = { 0 };

	p->now++;
	while (n && kind_of(p) != TOKEN_RIGHT_BRACKET) {
		bool is_optional;

		if (take(p, TOKEN_COMMA)) /* one may come before the end */
			break;
		is_optional = take(p, TOKEN_QUESTION);
		if (!nodes_add(p, &items, parse_expr(p), is_optional))
			return NULL;
		if (kind_of(p) == TOKEN_COMMA && next_of(p)->kind != TOKEN_RIGHT_BRACKET)
			p->now++;
		else if (kind_of(p) != TOKEN_COMMA)
			break;
	}
	if (!n || !expect(p, TOKEN_RIGHT_BRACKET))
		return NULL;
	n->args = items.all;
	n->is_optional = items.any_optional ? items.is_optional : NULL;
	n->count = items.count;
	return n;
}

static struct cel_node *parse_map(struct parser *p)
{
	struct cel_node *n = cel_make(&p->maker, NODE_MAP, p->now->at);
	struct nodes all = { 0 };

	p->now++;
	while (n && kind_of(p) != TOKEN_RIGHT_BRACE) {
		bool is_optional;

		if (take(p, TOKEN_COMMA))
			break;
		is_optional = take(p, TOKEN_QUESTION);
		if (!nodes_add(p, &all, parse_expr(p), is_optional) || !expect(p, TOKEN_COLON) ||
		    !nodes_add(p, &all, parse_expr(p), is_optional))
			return NULL;
		if (kind_of(p) == TOKEN_COMMA && next_of(p)->kind != TOKEN_RIGHT_BRACE)
			p->now++;
		else if (kind_of(p) != TOKEN_COMMA)
			break;
	}
	if (!n || !expect(p, TOKEN_RIGHT_BRACE))
		return NULL;
	n->args = all.all;
	n->is_optional = all.any_optional ? all.is_optional : NULL;
	n->count = all.count;
	return n;
}

/* Name{field: value}: read over, for the checker to say that there is no such message. */
static struct cel_node *parse_message(struct parser *p, struct span name)
{
	struct cel_node *n = cel_make(&p->maker, NODE_MESSAGE, p->now->at);

	if (!n)
		return NULL;
	n->name = name;
	p->now++;
	while (kind_of(p) != TOKEN_RIGHT_BRACE) {
		if (take(p, TOKEN_COMMA))
			break;
		(void)take(p, TOKEN_QUESTION);
		if (!take(p, TOKEN_QUOTED_NAME) && !expect(p, TOKEN_NAME))
			return NULL;
		if (!expect(p, TOKEN_COLON) || !parse_expr(p))
			return NULL;
		if (!take(p, TOKEN_COMMA))
			break;
	}
	return expect(p, TOKEN_RIGHT_BRACE) ? n : NULL;
}

/* ---- names and calls ---- */

static bool is_reserved(struct span name)
{
	static const char *const words[] = { "as",        "break", "const",  "continue", "else", "false", "for",
					     "function",  "if",    "import", "in",       "let",  "loop",  "package",
					     "namespace", "null",  "return", "true",     "var",  "void",  "while" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_equal(name, span_of(words[i])))
			return true;
	return false;
}

static struct cel_node *call_or_macro(struct parser *p, uint32_t at, struct span name, struct cel_node *target,
				      const struct nodes *args)
{
	struct cel_node *n = cel_make(&p->maker, NODE_CALL, at);
	bool is_macro = false;

	if (!n)
		return NULL;
	n->name = name;
	n->target = target;
	n->is_member = target != NULL;
	n->args = args->all;
	n->count = args->count;
	n = cel_macro(&p->maker, n, &is_macro);
	if (!n && p->faults->count && !p->faults->err->code) { /* a fault: something to go on with */
		n = cel_make(&p->maker, NODE_LITERAL, at);
		if (n)
			n->literal.kind = CEL_ERROR;
	}
	return n;
}

static struct cel_node *parse_name(struct parser *p, struct span name, const struct cel_token *t)
{
	uint32_t at = p->now->at;
	struct nodes args = { 0 };

	if (is_reserved(span_starts(name, SPAN(".")) ? span_skip(name, 1) : name)) {
		struct cel_node *n = cel_make(&p->maker, NODE_LITERAL, t->at);

		cel_fault_add(p->faults, t->at, "reserved identifier: " SPAN_FMT, SPAN_ARG(name));
		if (n)
			n->literal.kind = CEL_ERROR;
		if (take(p, TOKEN_LEFT_PARENTHESIS) && !parse_arguments(p, &args))
			return NULL;
		return n;
	}
	if (take(p, TOKEN_LEFT_PARENTHESIS))
		return parse_arguments(p, &args) ? call_or_macro(p, at, name, NULL, &args) : NULL;
	return cel_make_name(&p->maker, t->at, name);
}

/* Whether name (. name)* { stands here: a message. */
static bool is_message(const struct parser *p)
{
	const struct cel_token *t = p->now;

	if (t->kind == TOKEN_DOT)
		t++;
	for (; t->kind == TOKEN_NAME && t[1].kind == TOKEN_DOT && t[2].kind == TOKEN_NAME; t += 2)
		;
	return t->kind == TOKEN_NAME && t[1].kind == TOKEN_LEFT_BRACE;
}

static struct cel_node *parse_message_name(struct parser *p)
{
	const struct cel_token *first = p->now, *last = p->now;

	while (kind_of(p) == TOKEN_NAME || kind_of(p) == TOKEN_DOT)
		last = p->now++;
	return parse_message(p, span_from(p->faults->source.ptr + first->at, last->at + last->len - first->at));
}

static struct cel_node *parse_primary(struct parser *p)
{
	const struct cel_token *t = p->now;
	struct cel_node *n;

	if ((t->kind == TOKEN_NAME || t->kind == TOKEN_DOT) && is_message(p))
		return parse_message_name(p);
	switch (t->kind) {
	case TOKEN_INT:
		p->now++;
		return parse_int(p, t, false, t->at);
	case TOKEN_UINT:
		p->now++;
		return parse_uint(p, t);
	case TOKEN_DOUBLE:
		p->now++;
		return parse_double(p, t, false, t->at);
	case TOKEN_STRING:
	case TOKEN_BYTES:
		p->now++;
		return parse_text(p, t);
	case TOKEN_TRUE:
	case TOKEN_FALSE:
		p->now++;
		return cel_make_literal(&p->maker, t->at, cel_of_bool(t->kind == TOKEN_TRUE));
	case TOKEN_NULL:
		p->now++;
		return cel_make_literal(&p->maker, t->at, (struct cel_value){ .kind = CEL_NULL });
	case TOKEN_LEFT_BRACKET:
		return parse_list(p);
	case TOKEN_LEFT_BRACE:
		return parse_map(p);
	case TOKEN_LEFT_PARENTHESIS:
		p->now++;
		n = parse_expr(p);
		return n && expect(p, TOKEN_RIGHT_PARENTHESIS) ? n : NULL;
	case TOKEN_NAME:
		p->now++;
		return parse_name(p, text_of(p, t), t);
	case TOKEN_DOT:
		if (t[1].kind != TOKEN_NAME) {
			p->now++;
			return mismatch(p, "IDENTIFIER");
		}
		p->now += 2;
		return parse_name(p, span_from(p->faults->source.ptr + t->at, t[1].at + t[1].len - t->at), t + 1);
	default:
		return mismatch(p, expects_value);
	}
}

static struct cel_node *parse_selection(struct parser *p, struct cel_node *of)
{
	const struct cel_token *dot = p->now++;
	bool is_optional = take(p, TOKEN_QUESTION);
	const struct cel_token *t = p->now;
	struct span name = text_of(p, t);
	struct cel_node *n;
	struct nodes args = { 0 };

	if (t->kind != TOKEN_NAME && t->kind != TOKEN_QUOTED_NAME) {
		if (t->kind == TOKEN_TRUE || t->kind == TOKEN_FALSE || t->kind == TOKEN_NULL)
			return mismatch(p, "IDENTIFIER");
		name = span_from(p->faults->source.ptr + dot->at, t->at + t->len - dot->at);
		name = t->kind == TOKEN_END ? span_trim(name) : name;
		cel_fault_add(p->faults, t->at, "Syntax error: no viable alternative at input '%.*s'", (int)name.len,
			      name.ptr);
		return give_up(p);
	}
	p->now++;
	if (t->kind == TOKEN_NAME && !is_optional && kind_of(p) == TOKEN_LEFT_PARENTHESIS) {
		uint32_t at = p->now->at;

		p->now++;
		return parse_arguments(p, &args) ? call_or_macro(p, at, name, of, &args) : NULL;
	}
	if (t->kind == TOKEN_QUOTED_NAME) {
		cel_fault_add(p->faults, t->at, "unsupported syntax: '`'");
		name = SPAN("");
	}
	if (is_optional)
		return cel_make_call(&p->maker, dot->at, "_?._", of, cel_make_literal(&p->maker, t->at, cel_text(name)),
				     NULL);
	n = cel_make(&p->maker, NODE_SELECT, dot->at);
	if (n) {
		n->target = of;
		n->name = name;
	}
	return n;
}

static struct cel_node *parse_index(struct parser *p, struct cel_node *of)
{
	uint32_t at = p->now->at;
	struct cel_node *index;
	bool is_optional;

	p->now++;
	is_optional = take(p, TOKEN_QUESTION);
	index = parse_expr(p);
	if (!index || !expect(p, TOKEN_RIGHT_BRACKET))
		return NULL;
	return cel_make_call(&p->maker, at, is_optional ? "_[?_]" : "_[_]", of, index, NULL);
}

static struct cel_node *parse_more(struct parser *p, struct cel_node *n)
{
	uint32_t depth = p->depth_member;

	while (n && (kind_of(p) == TOKEN_DOT || kind_of(p) == TOKEN_LEFT_BRACKET)) {
		if (!deeper(p, &p->depth_member))
			return NULL;
		n = kind_of(p) == TOKEN_DOT ? parse_selection(p, n) : parse_index(p, n);
	}
	p->depth_member = depth;
	return n;
}

static struct cel_node *parse_member(struct parser *p)
{
	struct cel_node *n;
	uint32_t depth = p->depth_member;

	if (!deeper(p, &p->depth_member))
		return NULL;
	n = parse_more(p, parse_primary(p));
	p->depth_member = depth;
	return n;
}

static struct cel_node *parse_unary(struct parser *p)
{
	const struct cel_token *first = p->now;
	struct cel_node *n;
	size_t times = 0;

	if (first->kind == TOKEN_MINUS && (first[1].kind == TOKEN_INT || first[1].kind == TOKEN_DOUBLE)) {
		p->now += 2;
		n = first[1].kind == TOKEN_INT ? parse_int(p, first + 1, true, first->at)
					       : parse_double(p, first + 1, true, first->at);
		return parse_more(p, n);
	}
	while (first->kind == TOKEN_MINUS || first->kind == TOKEN_NOT) {
		if (!take(p, first->kind))
			break;
		times++;
	}
	if (!begins_value(kind_of(p)) && !p->is_over) {
		/* one word too many is left out when a value follows it */
		struct span text = text_of(p, p->now);

		if (!times && begins_value(next_of(p)->kind) && kind_of(p) != TOKEN_END) {
			cel_fault_add(p->faults, p->now->at, "Syntax error: extraneous input '%.*s' expecting %s",
				      (int)text.len, text.ptr, expects_value);
			p->now++;
			return parse_unary(p);
		}
		return mismatch(p, times ? expects_member : expects_value);
	}
	n = parse_member(p);
	if (n && times % 2)
		n = cel_make_call(&p->maker, first->at, first->kind == TOKEN_NOT ? "!_" : "-_", n, NULL, NULL);
	return n;
}

static const char *product_of(enum cel_token_kind k)
{
	return k == TOKEN_TIMES ? "_*_" : k == TOKEN_DIVIDE ? "_/_" : k == TOKEN_REMAINDER ? "_%_" : NULL;
}

static const char *sum_of(enum cel_token_kind k)
{
	return k == TOKEN_PLUS ? "_+_" : k == TOKEN_MINUS ? "_-_" : NULL;
}

static const char *relation_of(enum cel_token_kind k)
{
	switch (k) {
	case TOKEN_LESS:
		return "_<_";
	case TOKEN_LESS_EQUAL:
		return "_<=_";
	case TOKEN_GREATER:
		return "_>_";
	case TOKEN_GREATER_EQUAL:
		return "_>=_";
	case TOKEN_EQUAL:
		return "_==_";
	case TOKEN_NOT_EQUAL:
		return "_!=_";
	case TOKEN_IN:
		return "@in";
	default:
		return NULL;
	}
}

/* Operators of one rank, from left to right. */
static struct cel_node *parse_chain(struct parser *p, struct cel_node *(*inner)(struct parser *),
				    const char *(*name)(enum cel_token_kind), uint32_t *depth)
{
	struct cel_node *left = inner(p);
	uint32_t before = *depth;

	while (left && name(kind_of(p))) {
		const struct cel_token *operator= p->now++;

		if (!deeper(p, depth))
			return NULL;
		left = cel_make_call(&p->maker, operator->at, name(operator->kind), left, inner(p), NULL);
		if (left && !left->args[1])
			return NULL;
	}
	*depth = before;
	return left;
}

static struct cel_node *parse_product(struct parser *p)
{
	return parse_chain(p, parse_unary, product_of, &p->depth_calc);
}

static struct cel_node *parse_sum(struct parser *p)
{
	return parse_chain(p, parse_product, sum_of, &p->depth_calc);
}

static struct cel_node *parse_relation(struct parser *p)
{
	return parse_chain(p, parse_sum, relation_of, &p->depth_relation);
}

/* A run of && or || as a tree of equal depth on both sides (cel-go balances them too). */
static struct cel_node *balance(struct parser *p, const char *name, const struct nodes *terms, const uint32_t *places,
				uint32_t from, uint32_t to)
{
	uint32_t middle = (from + to) / 2;

	if (from == to)
		return terms->all[from];
	return cel_make_call(&p->maker, places[middle], name, balance(p, name, terms, places, from, middle),
			     balance(p, name, terms, places, middle + 1, to), NULL);
}

static struct cel_node *parse_logic(struct parser *p, struct cel_node *(*inner)(struct parser *),
				    enum cel_token_kind kind, const char *name)
{
	struct nodes terms = { 0 };
	struct cel_node *first = inner(p);
	uint32_t *places, count = 0;

	if (!first || kind_of(p) != kind)
		return first;
	if (!nodes_add(p, &terms, first, false))
		return NULL;
	places = ARENA_ARRAY(p->faults->arena, uint32_t, 16, p->faults->err);
	while (places && kind_of(p) == kind) {
		if (count && count % 16 == 0) {
			uint32_t *grown = ARENA_ARRAY(p->faults->arena, uint32_t, count + 16, p->faults->err);

			if (!grown)
				return NULL;
			memcpy(grown, places, count * sizeof(*places));
			places = grown;
		}
		places[count++] = p->now->at;
		p->now++;
		if (!nodes_add(p, &terms, inner(p), false))
			return NULL;
	}
	return places ? balance(p, name, &terms, places, 0, terms.count - 1) : NULL;
}

static struct cel_node *parse_and(struct parser *p)
{
	return parse_logic(p, parse_relation, TOKEN_AND, "_&&_");
}

static struct cel_node *parse_or(struct parser *p)
{
	return parse_logic(p, parse_and, TOKEN_OR, "_||_");
}

static struct cel_node *parse_expr(struct parser *p)
{
	struct cel_node *n, *yes, *no;
	uint32_t depth = p->depth_expr, at;

	if (p->is_over || !deeper(p, &p->depth_expr))
		return NULL;
	n = parse_or(p);
	at = p->now->at;
	if (n && take(p, TOKEN_QUESTION)) {
		yes = parse_or(p);
		if (!yes || !expect(p, TOKEN_COLON))
			return NULL;
		no = parse_expr(p);
		n = no ? cel_make_call(&p->maker, at, "_?_:_", n, yes, no) : NULL;
	}
	p->depth_expr = depth;
	return n;
}

static uint64_t letters_of(struct span s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

struct cel_node *cel_parse(struct cel_faults *f)
{
	struct parser p = { .faults = f, .maker = { .faults = f } };
	struct cel_node *n;
	size_t count = 0;

	if (letters_of(f->source) > CEL_SOURCE_MAX) {
		cel_fault_add(f, SIZE_MAX, "expression code point size exceeds limit: size: %llu, limit %d",
			      (unsigned long long)letters_of(f->source), CEL_SOURCE_MAX);
		return NULL;
	}
	p.tokens = p.now = cel_lex(f, &count);
	if (!p.tokens)
		return NULL;
	p.maker.last = count - 1;
	n = parse_expr(&p);
	if (n && !p.is_over && kind_of(&p) != TOKEN_END) {
		struct span text = text_of(&p, p.now);

		cel_fault_add(f, p.now->at, "Syntax error: %s input '%.*s' expecting <EOF>",
			      next_of(&p)->kind == TOKEN_END ? "extraneous" : "mismatched", (int)text.len, text.ptr);
	}
	return f->count || f->err->code ? NULL : n;
}
