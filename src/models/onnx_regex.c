/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions as a list of instructions that threads walk side by side (Thompson 1968, in the form of Pike's
 * sam), so that no pattern makes a text take more than pattern x text steps. Threads stand in order of preference.
 */
#include "models/onnx.h"

enum { CODE_MAX = 2048, RANGES_MAX = 4096, REPEAT_MAX = 255, NEST_MAX = 32 };

enum opcode { OP_CLASS, OP_SPLIT, OP_JUMP, OP_MATCH, OP_WORD_EDGE, OP_NOT_WORD_EDGE, OP_TEXT_START, OP_TEXT_END };

struct code {
	enum opcode op;
	uint32_t x, y; /* SPLIT: where to, preferred first; JUMP: x; CLASS: ranges x .. y - 1 */
	bool negated;
};

struct range {
	uint32_t low, high;
};

struct onnx_regex {
	struct code *code;
	struct range *ranges;
	uint32_t code_count, range_count;
	bool is_run;        /* one class, or one class with +: no threads needed */
	bool is_one;        /* of is_run: one character at a time */
	uint8_t ascii[128]; /* of is_run: which bytes below 128 are in the class */
};

struct compiler {
	struct onnx_regex *re;
	struct span in;
	size_t at;
	int depth;
};

uint32_t onnx_character(struct span text, size_t at, size_t *ret_bytes)
{
	const uint8_t *p = (const uint8_t *)text.ptr + at;
	size_t left = text.len - at, n = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC0 ? 2 : 1;
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7FU >> n);

	if (n > left)
		n = 1;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xC0) != 0x80) {
			*ret_bytes = 1;
			return p[0];
		}
		c = c << 6 | (p[i] & 0x3F);
	}
	*ret_bytes = n;
	return c;
}

static bool emit(struct compiler *c, struct code code, uint32_t *ret, struct error *err)
{
	if (c->re->code_count == CODE_MAX)
		return error_set(err, ERROR_UNIMPLEMENTED, "the pattern is too long");
	*ret = c->re->code_count;
	c->re->code[c->re->code_count++] = code;
	return true;
}

static bool add_range(struct compiler *c, uint32_t low, uint32_t high, struct error *err)
{
	if (c->re->range_count == RANGES_MAX)
		return error_set(err, ERROR_UNIMPLEMENTED, "the pattern is too long");
	c->re->ranges[c->re->range_count++] = (struct range){ low, high };
	return true;
}

/* \w, \d, \s: ASCII, as RE2 has them. `out` asks for what is not in them. */
static bool add_named(struct compiler *c, char name, struct error *err)
{
	static const struct range word[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
	static const struct range digit[] = { { '0', '9' } };
	static const struct range space[] = { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } };
	char kind = (char)(name | 0x20);
	const struct range *rows = kind == 'w' ? word : kind == 'd' ? digit : space;
	size_t count = kind == 'w' ? ARRAY_LEN(word) : kind == 'd' ? ARRAY_LEN(digit) : ARRAY_LEN(space);
	uint32_t low = 0;

	if (name == kind) {
		for (size_t i = 0; i < count; i++)
			if (!add_range(c, rows[i].low, rows[i].high, err))
				return false;
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (rows[i].low > low && !add_range(c, low, rows[i].low - 1, err))
			return false;
		low = rows[i].high + 1;
	}
	return add_range(c, low, UINT32_MAX, err);
}

static uint32_t next_character(struct compiler *c)
{
	size_t bytes;
	uint32_t found = onnx_character(c->in, c->at, &bytes);

	c->at += bytes;
	return found;
}

/* What follows a backslash, as a literal; false for letters and digits that would mean something else. */
static bool literal_escape(uint32_t e, uint32_t *ret)
{
	switch (e) {
	case 't':
		*ret = '\t';
		return true;
	case 'n':
		*ret = '\n';
		return true;
	case 'r':
		*ret = '\r';
		return true;
	case 'f':
		*ret = '\f';
		return true;
	case 'v':
		*ret = '\v';
		return true;
	default:
		*ret = e;
		return !((e >= '0' && e <= '9') || (e >= 'A' && e <= 'Z') || (e >= 'a' && e <= 'z'));
	}
}

static bool is_named(uint32_t e)
{
	return e == 'w' || e == 'W' || e == 'd' || e == 'D' || e == 's' || e == 'S';
}

static bool refused(const struct compiler *c, struct error *err)
{
	return error_set(err, ERROR_UNIMPLEMENTED, "the pattern '" SPAN_FMT "' is not supported at character %zu",
			 SPAN_ARG(c->in), c->at);
}

/* One end of a range, or a \w and its like (*ret_named). */
static bool class_item(struct compiler *c, uint32_t *ret, bool *ret_named, struct error *err)
{
	uint32_t e = next_character(c);

	*ret_named = false;
	if (e == '[' && c->at < c->in.len && c->in.ptr[c->at] == ':')
		return refused(c, err);
	if (e != '\\') {
		*ret = e;
		return true;
	}
	if (c->at == c->in.len)
		return refused(c, err);
	e = next_character(c);
	if (is_named(e)) {
		*ret_named = true;
		return add_named(c, (char)e, err);
	}
	return literal_escape(e, ret) || refused(c, err);
}

/* Behind '['. */
static bool class_parse(struct compiler *c, struct error *err)
{
	struct code code = { .op = OP_CLASS, .x = c->re->range_count };
	bool first = true, named;
	uint32_t low, high, at;

	if (c->at < c->in.len && c->in.ptr[c->at] == '^') {
		code.negated = true;
		c->at++;
	}
	while (c->at < c->in.len && (first || c->in.ptr[c->at] != ']')) {
		first = false;
		if (!class_item(c, &low, &named, err))
			return false;
		if (named)
			continue;
		high = low;
		if (c->at + 1 < c->in.len && c->in.ptr[c->at] == '-' && c->in.ptr[c->at + 1] != ']') {
			c->at++;
			if (!class_item(c, &high, &named, err))
				return false;
			if (named || high < low)
				return refused(c, err);
		}
		if (!add_range(c, low, high, err))
			return false;
	}
	if (c->at == c->in.len)
		return refused(c, err);
	c->at++;
	code.y = c->re->range_count;
	return emit(c, code, &at, err);
}

static bool one_literal(struct compiler *c, uint32_t character, struct error *err)
{
	uint32_t at, first = c->re->range_count;

	return add_range(c, character, character, err) &&
	       emit(c, (struct code){ .op = OP_CLASS, .x = first, .y = first + 1 }, &at, err);
}

static bool escape_parse(struct compiler *c, struct error *err)
{
	uint32_t e, at, first = c->re->range_count;

	if (c->at == c->in.len)
		return refused(c, err);
	e = next_character(c);
	if (e == 'b' || e == 'B')
		return emit(c, (struct code){ .op = e == 'b' ? OP_WORD_EDGE : OP_NOT_WORD_EDGE }, &at, err);
	if (is_named(e))
		return add_named(c, (char)e, err) &&
		       emit(c, (struct code){ .op = OP_CLASS, .x = first, .y = c->re->range_count }, &at, err);
	return literal_escape(e, &e) ? one_literal(c, e, err) : refused(c, err);
}

static bool alternatives_parse(struct compiler *c, struct error *err);

static bool group_parse(struct compiler *c, struct error *err)
{
	if (c->at + 1 < c->in.len && c->in.ptr[c->at] == '?') {
		if (c->in.ptr[c->at + 1] != ':')
			return refused(c, err);
		c->at += 2;
	}
	if (++c->depth > NEST_MAX)
		return refused(c, err);
	if (!alternatives_parse(c, err))
		return false;
	c->depth--;
	if (c->at == c->in.len || c->in.ptr[c->at] != ')')
		return refused(c, err);
	c->at++;
	return true;
}

static bool atom_parse(struct compiler *c, struct error *err)
{
	uint32_t e = next_character(c), at, first = c->re->range_count;

	switch (e) {
	case '[':
		return class_parse(c, err);
	case '(':
		return group_parse(c, err);
	case '\\':
		return escape_parse(c, err);
	case '.': /* all but the end of a line */
		return add_range(c, '\n', '\n', err) &&
		       emit(c, (struct code){ .op = OP_CLASS, .x = first, .y = first + 1, .negated = true }, &at, err);
	case '^':
		return emit(c, (struct code){ .op = OP_TEXT_START }, &at, err);
	case '$':
		return emit(c, (struct code){ .op = OP_TEXT_END }, &at, err);
	case '*':
	case '+':
	case '?':
	case '{':
		return refused(c, err);
	default:
		return one_literal(c, e, err);
	}
}

/* "{2,3}": false (and nothing read) when it is not one. */
static bool counts_parse(struct compiler *c, uint32_t *ret_least, uint32_t *ret_most)
{
	uint32_t values[2] = { 0, 0 };
	size_t at = c->at + 1;
	int which = 0;
	bool digits = false;

	for (; at < c->in.len && c->in.ptr[at] != '}'; at++) {
		char e = c->in.ptr[at];

		if (e == ',' && which == 0 && digits) {
			which = 1;
			digits = false;
			continue;
		}
		if (e < '0' || e > '9' || values[which] > REPEAT_MAX)
			return false;
		values[which] = values[which] * 10 + (uint32_t)(e - '0');
		digits = true;
	}
	if (at == c->in.len || (which == 0 && !digits))
		return false;
	*ret_least = values[0];
	*ret_most = which == 0 ? values[0] : digits ? values[1] : UINT32_MAX;
	c->at = at + 1;
	return true;
}

/* The instructions first .. end - 1 once more; jumps inside move along. */
static bool copy_code(struct compiler *c, uint32_t first, uint32_t end, struct error *err)
{
	uint32_t shift = c->re->code_count - first, at;

	for (uint32_t i = first; i < end; i++) {
		struct code code = c->re->code[i];

		if (code.op == OP_SPLIT || code.op == OP_JUMP) {
			code.x += shift;
			code.y += shift;
		}
		if (!emit(c, code, &at, err))
			return false;
	}
	return true;
}

/* A split in front of what starts at `first`; jumps behind it move by one. */
static bool insert_split(struct compiler *c, uint32_t first, struct error *err)
{
	uint32_t at = 0;

	if (!emit(c, (struct code){ .op = OP_JUMP }, &at, err))
		return false;
	memmove(c->re->code + first + 1, c->re->code + first, (at - first) * sizeof(c->re->code[0]));
	for (uint32_t i = first + 1; i <= at; i++)
		if (c->re->code[i].op == OP_SPLIT || c->re->code[i].op == OP_JUMP) {
			c->re->code[i].x++;
			c->re->code[i].y++;
		}
	c->re->code[first] = (struct code){ .op = OP_SPLIT, .x = first + 1 };
	return true;
}

static void set_split(struct code *code, uint32_t into, uint32_t past, bool lazy)
{
	code->x = lazy ? past : into;
	code->y = lazy ? into : past;
}

/* The part first .. now becomes optional, or is repeated any number of times. */
static bool optional(struct compiler *c, uint32_t first, bool repeated, bool lazy, struct error *err)
{
	uint32_t at = 0;

	if (!insert_split(c, first, err))
		return false;
	if (repeated && !emit(c, (struct code){ .op = OP_JUMP, .x = first }, &at, err))
		return false;
	set_split(&c->re->code[first], first + 1, c->re->code_count, lazy);
	return true;
}

static bool repeat(struct compiler *c, uint32_t first, uint32_t least, uint32_t most, bool lazy, struct error *err)
{
	uint32_t end = c->re->code_count, at = 0, start = first;

	if (least > REPEAT_MAX || (most != UINT32_MAX && (most > REPEAT_MAX || most < least || most == 0)))
		return refused(c, err);
	for (uint32_t i = 1; i < least; i++) {
		start = c->re->code_count;
		if (!copy_code(c, first, end, err))
			return false;
	}
	if (least == 0 && most == UINT32_MAX)
		return optional(c, first, true, lazy, err);
	if (most == UINT32_MAX) { /* at least once more: loop over the last copy */
		if (!emit(c, (struct code){ .op = OP_SPLIT }, &at, err))
			return false;
		set_split(&c->re->code[at], start, at + 1, lazy);
		return true;
	}
	if (least == 0) {
		/* x{0,3}: the first is optional too; copies are taken before the split moves it. */
		for (uint32_t i = 1; i < most; i++) {
			start = c->re->code_count;
			if (!copy_code(c, first, end, err) || !optional(c, start, false, lazy, err))
				return false;
		}
		return optional(c, first, false, lazy, err);
	}
	for (uint32_t i = least; i < most; i++) {
		start = c->re->code_count;
		if (!copy_code(c, first, end, err) || !optional(c, start, false, lazy, err))
			return false;
	}
	return true;
}

static bool repeats_parse(struct compiler *c, uint32_t first, struct error *err)
{
	uint32_t least, most;
	bool lazy = false;

	if (c->at == c->in.len)
		return true;
	switch (c->in.ptr[c->at]) {
	case '*':
		least = 0;
		most = UINT32_MAX;
		c->at++;
		break;
	case '+':
		least = 1;
		most = UINT32_MAX;
		c->at++;
		break;
	case '?':
		least = 0;
		most = 1;
		c->at++;
		break;
	case '{':
		if (!counts_parse(c, &least, &most))
			return refused(c, err);
		break;
	default:
		return true;
	}
	if (c->at < c->in.len && c->in.ptr[c->at] == '?') {
		lazy = true;
		c->at++;
	}
	return repeat(c, first, least, most, lazy, err);
}

static bool sequence_parse(struct compiler *c, struct error *err)
{
	while (c->at < c->in.len && c->in.ptr[c->at] != '|' && c->in.ptr[c->at] != ')') {
		uint32_t first = c->re->code_count;

		if (!atom_parse(c, err) || !repeats_parse(c, first, err))
			return false;
	}
	return true;
}

static bool alternatives_parse(struct compiler *c, struct error *err)
{
	uint32_t first = c->re->code_count, jump = 0;

	if (!sequence_parse(c, err))
		return false;
	if (c->at == c->in.len || c->in.ptr[c->at] != '|')
		return true;
	c->at++;
	if (!insert_split(c, first, err) || !emit(c, (struct code){ .op = OP_JUMP }, &jump, err))
		return false;
	c->re->code[first].y = c->re->code_count;
	if (++c->depth > NEST_MAX)
		return refused(c, err);
	if (!alternatives_parse(c, err))
		return false;
	c->depth--;
	c->re->code[jump].x = c->re->code_count;
	return true;
}

static bool in_class(const struct onnx_regex *re, const struct code *code, uint32_t c)
{
	for (uint32_t i = code->x; i < code->y; i++)
		if (c >= re->ranges[i].low && c <= re->ranges[i].high)
			return !code->negated;
	return code->negated;
}

/* "[a-z]+" and "." are what nearly all files have. */
static void find_run(struct onnx_regex *re)
{
	bool plus = re->code_count == 3 && re->code[1].op == OP_SPLIT && re->code[1].x == 0;

	if (re->code[0].op != OP_CLASS || !(plus || re->code_count == 2))
		return;
	re->is_run = true;
	re->is_one = !plus;
	for (uint32_t i = 0; i < 128; i++)
		re->ascii[i] = in_class(re, &re->code[0], i);
}

struct onnx_regex *onnx_regex_new(struct span pattern, struct arena *arena, struct error *err)
{
	struct onnx_regex *re = ARENA_NEW(arena, struct onnx_regex, err);
	struct compiler c = { .re = re, .in = pattern };
	uint32_t at = 0;

	if (!re)
		return NULL;
	re->code = ARENA_ARRAY(arena, struct code, CODE_MAX, err);
	re->ranges = ARENA_ARRAY(arena, struct range, RANGES_MAX, err);
	if (!re->code || !re->ranges)
		return NULL;
	if (span_starts(pattern, SPAN("(?u)"))) /* Python's flag for Unicode, which is what we have */
		c.at = 4;
	if (!span_is_utf8(pattern)) {
		error_set(err, ERROR_INVALID, "the pattern is not UTF-8");
		return NULL;
	}
	if (!alternatives_parse(&c, err))
		return NULL;
	if (c.at != pattern.len) {
		refused(&c, err);
		return NULL;
	}
	if (!emit(&c, (struct code){ .op = OP_MATCH }, &at, err))
		return NULL;
	find_run(re);
	return re;
}

/* ---- matching ---- */

struct thread {
	uint32_t pc;
	size_t start;
};

struct threads {
	struct thread *list;
	uint32_t count;
	uint32_t *seen; /* by instruction: the step it was last added in, + 1 */
};

struct room {
	struct threads now, next;
	uint32_t *stack;
	uint32_t step;
};

bool onnx_regex_room_new(const struct onnx_regex *re, struct onnx_regex_room *ret, struct arena *arena,
			 struct error *err)
{
	struct room *r = ARENA_NEW(arena, struct room, err);
	uint32_t n = re->code_count;

	ret->threads = r;
	if (!r || re->is_run)
		return r != NULL;
	r->now.list = ARENA_ARRAY(arena, struct thread, n, err);
	r->next.list = ARENA_ARRAY(arena, struct thread, n, err);
	r->now.seen = arena_calloc(arena, n, sizeof(uint32_t), err);
	r->next.seen = arena_calloc(arena, n, sizeof(uint32_t), err);
	r->stack = ARENA_ARRAY(arena, uint32_t, 2 * (size_t)n + 2, err);
	return r->now.list && r->next.list && r->now.seen && r->next.seen && r->stack;
}

static bool is_word(struct span text, size_t at)
{
	unsigned char c = (unsigned char)text.ptr[at];

	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
}

static bool is_edge(struct span text, size_t at)
{
	return (at > 0 && is_word(text, at - 1)) != (at < text.len && is_word(text, at));
}

/* Follows jumps from `pc` to instructions that read or match, in order of preference. */
static void add_thread(const struct onnx_regex *re, struct room *r, struct threads *to, uint32_t pc, size_t start,
		       struct span text, size_t at)
{
	uint32_t depth = 0;

	r->stack[depth++] = pc;
	while (depth) {
		const struct code *code;

		pc = r->stack[--depth];
		if (to->seen[pc] == r->step)
			continue;
		to->seen[pc] = r->step;
		code = &re->code[pc];
		switch (code->op) {
		case OP_JUMP:
			r->stack[depth++] = code->x;
			break;
		case OP_SPLIT:
			r->stack[depth++] = code->y;
			r->stack[depth++] = code->x;
			break;
		case OP_WORD_EDGE:
		case OP_NOT_WORD_EDGE:
			if (is_edge(text, at) == (code->op == OP_WORD_EDGE))
				r->stack[depth++] = pc + 1;
			break;
		case OP_TEXT_START:
			if (at == 0)
				r->stack[depth++] = pc + 1;
			break;
		case OP_TEXT_END:
			if (at == text.len)
				r->stack[depth++] = pc + 1;
			break;
		case OP_CLASS:
		case OP_MATCH:
			to->list[to->count++] = (struct thread){ pc, start };
			break;
		}
	}
}

/* One class, or runs of it. */
static bool next_run(const struct onnx_regex *re, struct span text, size_t from, size_t *ret_start, size_t *ret_end)
{
	bool inside = false;

	for (size_t at = from, bytes = 1; at < text.len; at += bytes) {
		unsigned char c = (unsigned char)text.ptr[at];
		bool in;

		bytes = 1;
		in = c < 128 ? re->ascii[c] : in_class(re, &re->code[0], onnx_character(text, at, &bytes));
		if (in && !inside)
			*ret_start = at;
		if (in && re->is_one) {
			*ret_end = at + bytes;
			return true;
		}
		if (!in && inside) {
			*ret_end = at;
			return true;
		}
		inside = in;
	}
	if (inside)
		*ret_end = text.len;
	return inside;
}

static void new_step(struct room *r, struct threads *t)
{
	t->count = 0;
	if (++r->step == 0) /* wrapped: what `seen` holds means nothing any more */
		r->step = 1;
}

bool onnx_regex_next(const struct onnx_regex *re, struct onnx_regex_room *room, struct span text, size_t from,
		     size_t *ret_start, size_t *ret_end)
{
	struct room *r = room->threads;
	struct threads *now = &r->now, *next = &r->next;
	bool found = false;

	if (re->is_run)
		return next_run(re, text, from, ret_start, ret_end);
	new_step(r, now);
	for (size_t at = from, bytes = 1;; at += bytes) {
		struct threads *swap;
		uint32_t c = 0;

		if (!found) /* a new match may begin here, after all that began earlier */
			add_thread(re, r, now, 0, at, text, at);
		bytes = 1;
		if (at < text.len)
			c = onnx_character(text, at, &bytes);
		new_step(r, next);
		for (uint32_t i = 0; i < now->count; i++) {
			const struct thread *t = &now->list[i];
			const struct code *code = &re->code[t->pc];

			if (code->op == OP_MATCH) {
				*ret_start = t->start;
				*ret_end = at;
				found = true;
				break; /* those behind it are less preferred */
			}
			if (at < text.len && in_class(re, code, c))
				add_thread(re, r, next, t->pc + 1, t->start, text, at + bytes);
		}
		swap = now;
		now = next;
		next = swap;
		if (at >= text.len || (found && now->count == 0))
			return found;
	}
}
