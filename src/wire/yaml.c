/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml - see yaml.h. libyaml finds tokens and structure; what a plain scalar means is decided here, by YAML 1.1 as Go's yaml.v2 reads
 * it: 0x1f, 0o17, 017, 0b1 and 1_000 are integers, 12e03 a double, yes and off booleans, ~ and nothing null.
 */
#include "wire/yaml.h"

#include <math.h>
#include <yaml.h>

#include "base/number.h"

enum { PATH_SHOWN = 512, ANCHORS_MAX = 1024 };

#define MERGE_KEY SPAN("<<")
#define INT_TAG   "tag:yaml.org,2002:int"
#define FLOAT_TAG "tag:yaml.org,2002:float"
#define BOOL_TAG  "tag:yaml.org,2002:bool"
#define NULL_TAG  "tag:yaml.org,2002:null"
#define STR_TAG   "tag:yaml.org,2002:str"

struct anchor {
	struct span name;
	struct value value;
	bool is_whole; /* its node has ended: it holds no alias of itself */
};

/* Where the reader stands, for telling duplicate keys. */
struct place_in_text {
	const struct place_in_text *above;
	struct span key; /* ptr NULL: an item */
	uint32_t index;
	size_t line; /* of a member's key */
};

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
	const struct value_reading *reading;
	struct arena *arena;
	struct anchor *anchors;
	uint32_t anchor_count;
	struct error *err;
};

/* ---- events ---- */

static bool fail_at(struct reader *r, yaml_mark_t mark, const char *what)
{
	return error_set(r->err, ERROR_INVALID, "line %zu, column %zu: %s", mark.line + 1, mark.column + 1, what);
}

/* In the words of Go's yaml, which names no line for the first one. */
static bool fail_parse(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	size_t line = p->problem_mark.line ? p->problem_mark.line : p->context_mark.line;
	const char *problem = p->problem ? p->problem : "no YAML";

	if (p->problem_mark.line && p->error == YAML_SCANNER_ERROR)
		line++;
	return line ? error_set(r->err, ERROR_INVALID, "line %zu: %s", line, problem)
		    : error_set(r->err, ERROR_INVALID, "%s", problem);
}

static bool event_next(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = false;
	if (!yaml_parser_parse(&r->parser, &r->event))
		return fail_parse(r);
	r->has_event = true;
	return true;
}

/* ---- scalars ---- */

static bool is_word(struct span s, const char *const *words)
{
	for (; *words; words++)
		if (span_equal(s, span_of(*words)))
			return true;
	return false;
}

static bool is_null(struct span s)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL", NULL };

	return is_word(s, words);
}

static bool bool_of(struct span s, bool *ret)
{
	static const char *const trues[] = { "y",    "Y",    "yes", "Yes", "YES", "true",
					     "True", "TRUE", "on",  "On",  "ON",  NULL };
	static const char *const falses[] = { "n",     "N",     "no",  "No",  "NO",  "false",
					      "False", "FALSE", "off", "Off", "OFF", NULL };

	*ret = is_word(s, trues);
	return *ret || is_word(s, falses);
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* The whole of `s` in a base, underscores passed over, with the sign given; false for what is none or over 64 bits. */
static bool digits_of(struct span s, unsigned base, bool is_negative, struct value *ret)
{
	bool has_digit = false;
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)digit_of(s.ptr[i]);

		if (s.ptr[i] == '_')
			continue;
		if (digit >= base || __builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit, &n))
			return false;
		has_digit = true;
	}
	if (!has_digit || (is_negative && n > (uint64_t)INT64_MAX + 1))
		return false;
	if (n > INT64_MAX && !is_negative)
		*ret = value_double((double)n);
	else
		*ret = value_int(is_negative ? (int64_t)(0 - n) : (int64_t)n);
	return true;
}

static bool int_of(struct span s, struct value *ret)
{
	static const struct {
		struct span prefix;
		unsigned base;
	} bases[] = {
		{ SPAN_INIT("0x"), 16 }, { SPAN_INIT("0X"), 16 }, { SPAN_INIT("0b"), 2 },
		{ SPAN_INIT("0B"), 2 },  { SPAN_INIT("0o"), 8 },  { SPAN_INIT("0O"), 8 },
	};
	bool is_negative = s.len && s.ptr[0] == '-';

	if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
		s = span_skip(s, 1);
	if (s.len == 0 || s.ptr[0] == '_')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(bases); i++)
		if (span_starts(s, bases[i].prefix))
			return digits_of(span_skip(s, 2), bases[i].base, is_negative, ret);
	return digits_of(s, s.len > 1 && s.ptr[0] == '0' ? 8 : 10, is_negative, ret);
}

static bool double_of(struct span s, struct value *ret)
{
	char text[64];
	size_t len = 0;
	bool has_digit = false;
	double d;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '_')
			continue;
		has_digit |= c >= '0' && c <= '9';
		if (len == sizeof(text) || !((c >= '0' && c <= '9') || memchr("+-.eE", c, 5)))
			return false;
		text[len++] = c;
	}
	if (!has_digit || !number_parse_double(span_from(text, len), &d) || !isfinite(d))
		return false;
	/* Written as JSON in between, 12e03 is 12000. */
	*ret = d == floor(d) && fabs(d) < 0x1p63 ? value_int((int64_t)d) : value_double(d);
	return true;
}

/* What a plain scalar is: numbers start with a digit, a sign or a dot. */
static void plain_of(struct span s, struct value *ret)
{
	bool boolean;

	if (is_null(s))
		*ret = value_null();
	else if (bool_of(s, &boolean))
		*ret = value_bool(boolean);
	else if (!memchr("0123456789+-.", s.ptr[0], 13) || (!int_of(s, ret) && !double_of(s, ret)))
		*ret = value_string(s);
}

static bool is_not_finite(struct span s)
{
	static const char *const words[] = { ".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
					     "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL };

	return is_word(s, words);
}

/* 190:20:30 was a number in YAML 1.1: readers of it may take it for one. */
static bool is_base_60(struct span s)
{
	size_t i = s.len && (s.ptr[0] == '-' || s.ptr[0] == '+');

	if (i >= s.len || s.ptr[i] < '0' || s.ptr[i] > '9' || span_index(s, ':') == s.len)
		return false;
	for (; i < s.len; i++)
		if (!strchr("0123456789_:.", s.ptr[i]))
			return false;
	return true;
}

/* What a date looks like becomes one. */
static bool is_date(struct span s)
{
	static const char form[] = "0000-00-00";

	if (s.len < 10)
		return false;
	for (size_t i = 0; i < 10; i++)
		if (form[i] == '-' ? s.ptr[i] != '-' : s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.len == 10 || s.ptr[10] == 'T' || s.ptr[10] == 't' || s.ptr[10] == ' ';
}

bool yaml_is_plain(struct span text)
{
	struct value v;

	if (!text.len || is_not_finite(text) || is_base_60(text) || is_date(text) || span_equal(text, MERGE_KEY))
		return false;
	plain_of(text, &v);
	return v.type == VALUE_STRING;
}

/* A scalar with a tag of its own: it has to be of it. */
static bool tagged_of(struct reader *r, const char *tag, struct span s, struct value *ret)
{
	bool boolean;

	if (strcmp(tag, STR_TAG) == 0 || strcmp(tag, "!") == 0) {
		*ret = value_string(s);
		return true;
	}
	if (strcmp(tag, BOOL_TAG) == 0 && bool_of(s, &boolean)) {
		*ret = value_bool(boolean);
		return true;
	}
	if (strcmp(tag, NULL_TAG) == 0 && is_null(s)) {
		*ret = value_null();
		return true;
	}
	if (strcmp(tag, INT_TAG) == 0 && int_of(s, ret))
		return true;
	if (strcmp(tag, FLOAT_TAG) == 0 && double_of(s, ret))
		return true;
	return fail_at(r, r->event.start_mark, "a tag that is not known, or does not fit its value");
}

static bool scalar_read(struct reader *r, struct value *ret)
{
	const char *tag = (const char *)r->event.data.scalar.tag;
	bool is_plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct span s = span_from(r->event.data.scalar.value, r->event.data.scalar.length);

	s = arena_copy(r->arena, s, r->err);
	if (!s.ptr)
		return false;
	if (!span_is_utf8(s))
		return fail_at(r, r->event.start_mark, "no UTF-8");
	if (tag)
		return tagged_of(r, tag, s, ret);
	if (is_plain && is_not_finite(s))
		return fail_at(r, r->event.start_mark, "a number that JSON has not");
	if (is_plain)
		plain_of(s, ret);
	else
		*ret = value_string(s);
	return true;
}

/* ---- anchors ---- */

static struct anchor *anchor_find(struct reader *r, struct span name)
{
	for (uint32_t i = r->anchor_count; i-- > 0;)
		if (span_equal(r->anchors[i].name, name))
			return &r->anchors[i];
	return NULL;
}

/* *ret is its index; UINT32_MAX when the node has no anchor. */
static bool anchor_begin(struct reader *r, const yaml_char_t *name, uint32_t *ret)
{
	*ret = UINT32_MAX;
	if (!name)
		return true;
	if (!r->anchors)
		r->anchors = ARENA_ARRAY(r->arena, struct anchor, ANCHORS_MAX, r->err);
	if (!r->anchors)
		return false;
	if (r->anchor_count == ANCHORS_MAX)
		return fail_at(r, r->event.start_mark, "too many anchors");
	r->anchors[r->anchor_count] =
	    (struct anchor){ .name = arena_copy(r->arena, span_of((const char *)name), r->err) };
	*ret = r->anchor_count++;
	return r->anchors[*ret].name.ptr;
}

static unsigned depth_of(const struct value *v)
{
	bool is_object = v->type == VALUE_OBJECT;
	uint32_t count = is_object ? v->object.count : v->type == VALUE_ARRAY ? v->array.count : 0;
	unsigned deepest = 0;

	if (!is_object && v->type != VALUE_ARRAY)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		/* no MAX(): it would walk twice at each level */
		unsigned depth = depth_of(is_object ? &v->object.members[i].value : &v->array.items[i]);

		if (depth > deepest)
			deepest = depth;
	}
	return deepest + 1;
}

static bool alias_read(struct reader *r, unsigned depth, struct value *ret)
{
	struct span name = span_of((const char *)r->event.data.alias.anchor);
	const struct anchor *a = anchor_find(r, name);

	if (!a)
		return error_set(r->err, ERROR_INVALID, "unknown anchor '" SPAN_FMT "' referenced", SPAN_ARG(name));
	if (!a->is_whole)
		return error_set(r->err, ERROR_INVALID, "anchor '" SPAN_FMT "' value contains itself", SPAN_ARG(name));
	if (depth + depth_of(&a->value) > VALUE_DEPTH_MAX)
		return fail_at(r, r->event.start_mark, "nested too deep");
	return value_copy(&a->value, r->arena, ret, r->err);
}

/* ---- keys ---- */

static void place_print(const struct place_in_text *p, struct buffer *out)
{
	if (!p)
		return;
	place_print(p->above, out);
	if (!p->key.ptr) {
		buffer_print(out, "[%u]", p->index);
		return;
	}
	if (out->len)
		buffer_byte(out, '.');
	buffer_append(out, p->key);
}

static void tell_duplicate(struct reader *r, const struct place_in_text *p)
{
	struct buffer path;

	if (r->reading && r->reading->duplicate_line)
		r->reading->duplicate_line(r->reading->context, p->key, p->line);
	if (!r->reading || !r->reading->duplicate)
		return;
	buffer_init(&path, PATH_SHOWN);
	place_print(p, &path);
	r->reading->duplicate(r->reading->context, buffer_span(&path));
	buffer_done(&path);
}

/* Keys that are no strings become the text of what they are: yes is "true", 017 "15". */
static bool key_text(struct reader *r, const struct value *v, struct span *ret)
{
	switch (v->type) {
	case VALUE_STRING:
		*ret = v->string;
		return true;
	case VALUE_BOOL:
		*ret = v->boolean ? SPAN("true") : SPAN("false");
		return true;
	case VALUE_INT:
	case VALUE_DOUBLE:
		*ret = value_print(v, r->arena, r->err);
		return ret->ptr;
	case VALUE_NULL:
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		break;
	}
	return fail_at(r, r->event.start_mark, "a key is no text");
}

static bool key_read(struct reader *r, struct span *ret, bool *ret_is_merge)
{
	struct value v;
	uint32_t anchor;

	*ret_is_merge = false;
	if (r->event.type == YAML_ALIAS_EVENT)
		return alias_read(r, 0, &v) && key_text(r, &v, ret);
	if (r->event.type != YAML_SCALAR_EVENT)
		return fail_at(r, r->event.start_mark, "a key is no text");
	if (!anchor_begin(r, r->event.data.scalar.anchor, &anchor) || !scalar_read(r, &v))
		return false;
	if (anchor != UINT32_MAX) {
		r->anchors[anchor].value = v;
		r->anchors[anchor].is_whole = true;
	}
	*ret_is_merge = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && value_is(&v, VALUE_STRING) &&
			span_equal(v.string, MERGE_KEY);
	return key_text(r, &v, ret);
}

/* ---- nodes ---- */

static bool node_read(struct reader *r, const struct place_in_text *above, unsigned depth, struct value *ret);

static bool fail_merge(struct reader *r)
{
	return fail_at(r, r->event.start_mark, "map merge requires map or sequence of maps as the value");
}

/* "<<": what `from` has and the mapping has not. */
static bool merge_from(struct reader *r, const struct value *from, struct value *made)
{
	if (from->type == VALUE_ARRAY) {
		for (uint32_t i = 0; i < from->array.count; i++)
			if (from->array.items[i].type != VALUE_OBJECT || !merge_from(r, &from->array.items[i], made))
				return fail_at(r, r->event.start_mark,
					       "map merge requires map or sequence of maps as the value");
		return true;
	}
	if (from->type != VALUE_OBJECT)
		return fail_merge(r);
	for (uint32_t i = 0; i < from->object.count; i++) {
		const struct value_member *m = &from->object.members[i];

		if (!value_get(made, m->key) && !value_set(made, m->key, m->value, r->arena, r->err))
			return false;
	}
	return true;
}

static bool mapping_read(struct reader *r, const struct place_in_text *above, unsigned depth, struct value *ret)
{
	struct value made = value_object(), merged = value_null();

	for (;;) {
		struct place_in_text here = { .above = above };
		struct value member;
		bool is_merge;

		if (!event_next(r))
			return false;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		here.line = r->event.start_mark.line + 1;
		if (!key_read(r, &here.key, &is_merge) || !event_next(r) ||
		    !node_read(r, &here, depth + 1, is_merge ? &merged : &member))
			return false;
		if (is_merge)
			continue;
		if (value_get(&made, here.key))
			tell_duplicate(r, &here);
		if (!value_set(&made, here.key, member, r->arena, r->err))
			return false;
	}
	if (merged.type != VALUE_NULL && !merge_from(r, &merged, &made))
		return false;
	*ret = made;
	return true;
}

static bool sequence_read(struct reader *r, const struct place_in_text *above, unsigned depth, struct value *ret)
{
	struct value made = value_array();

	for (;;) {
		struct place_in_text here = { .above = above, .index = made.array.count };
		struct value item;

		if (!event_next(r))
			return false;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (!node_read(r, &here, depth + 1, &item) || !value_append(&made, item, r->arena, r->err))
			return false;
	}
	*ret = made;
	return true;
}

/* The node that the event at hand begins. */
static bool node_read(struct reader *r, const struct place_in_text *above, unsigned depth, struct value *ret)
{
	const yaml_char_t *name = NULL;
	uint32_t anchor;
	bool ok;

	if (depth > VALUE_DEPTH_MAX)
		return fail_at(r, r->event.start_mark, "nested too deep");
	if (r->event.type == YAML_ALIAS_EVENT)
		return alias_read(r, depth, ret);
	if (r->event.type == YAML_SCALAR_EVENT)
		name = r->event.data.scalar.anchor;
	else if (r->event.type == YAML_MAPPING_START_EVENT)
		name = r->event.data.mapping_start.anchor;
	else if (r->event.type == YAML_SEQUENCE_START_EVENT)
		name = r->event.data.sequence_start.anchor;
	else
		return fail_at(r, r->event.start_mark, "a value is missing");
	if (!anchor_begin(r, name, &anchor))
		return false;
	if (r->event.type == YAML_SCALAR_EVENT)
		ok = scalar_read(r, ret);
	else if (r->event.type == YAML_MAPPING_START_EVENT)
		ok = mapping_read(r, above, depth, ret);
	else
		ok = sequence_read(r, above, depth, ret);
	if (ok && anchor != UINT32_MAX) {
		r->anchors[anchor].value = *ret;
		r->anchors[anchor].is_whole = true;
	}
	return ok;
}

static bool document_read(struct reader *r, struct value *ret)
{
	*ret = value_null();
	for (int i = 0; i < 2; i++) /* the stream, a document */
		if (!event_next(r))
			return false;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return true;
	return event_next(r) && node_read(r, NULL, 1, ret) && event_next(r);
}

bool yaml_parse(struct span text, const struct value_reading *reading, struct arena *arena, struct value *ret,
		struct error *err)
{
	struct reader r = { .reading = reading, .arena = arena, .err = err };
	struct value v;
	bool ok;

	if (!yaml_parser_initialize(&r.parser))
		return error_set(err, ERROR_TOO_LARGE, "yaml: no memory for a parser");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.ptr ? text.ptr : ""), text.len);
	ok = document_read(&r, &v);
	if (r.has_event)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	if (ok)
		*ret = v;
	return ok;
}
