/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text, and "...".format([...]) (cel-go ext/formatting.go: en_US). */
#include "base/number.h"
#include "kube/crd/cel_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 1024 * 1024, PRECISION_MAX = 1000 };

/* Shortest form as Go's strconv.FormatFloat(d, 'g', -1, 64). */
struct span cel_double_print(double d, struct arena *arena, struct error *err)
{
	char text[NUMBER_TEXT_MAX + 1], digits[32];
	size_t n = 0, zeros = 0;
	int point = 0, exponent = 0;
	bool after = false;
	char *end, *p;

	if (d != d)
		return SPAN("NaN");
	if (isinf(d))
		return d > 0 ? SPAN("+Inf") : SPAN("-Inf");
	end = number_print_double(text, d);
	*end = '\0';
	for (p = text + (text[0] == '-'); *p && *p != 'e'; p++) {
		if (*p == '.') {
			after = true;
			continue;
		}
		if (!n && *p == '0') {
			zeros += after;
			continue;
		}
		if (n < sizeof(digits))
			digits[n++] = *p;
		point += !after;
	}
	if (*p == 'e') {
		int64_t e = 0;

		(void)number_parse_int64(span_from(p + 1 + (p[1] == '+'), (size_t)(end - p) - 1 - (p[1] == '+')), &e);
		exponent = (int)e;
	}
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (!n)
		return text[0] == '-' ? SPAN("-0") : SPAN("0");
	exponent += point - (int)zeros - 1; /* of the first digit */
	if (exponent < -4 || exponent >= 6)
		return arena_print(arena, err, "%s%c%s%.*se%c%02d", d < 0 ? "-" : "", digits[0], n > 1 ? "." : "",
				   (int)n - 1, digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
	if (exponent < 0)
		return arena_print(arena, err, "%s0.%.*s%.*s", d < 0 ? "-" : "", -exponent - 1, "0000", (int)n, digits);
	if ((int)n <= exponent + 1)
		return arena_print(arena, err, "%s%.*s%.*s", d < 0 ? "-" : "", (int)n, digits, exponent + 1 - (int)n,
				   "0000000000000000000000");
	return arena_print(arena, err, "%s%.*s.%.*s", d < 0 ? "-" : "", exponent + 1, digits, (int)n - exponent - 1,
			   digits + exponent + 1);
}

static void write_quoted(struct buffer *out, struct span s)
{
	static const char plain[] = "\a\b\f\n\r\t\v\\\"", named[] = "abfnrtv\\\"";

	buffer_byte(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.ptr[i];
		const char *found = ch ? strchr(plain, ch) : NULL;

		if (found)
			buffer_print(out, "\\%c", named[found - plain]);
		else if (ch < 0x20 || ch == 0x7f)
			buffer_print(out, "\\x%02x", ch);
		else
			buffer_byte(out, (char)ch);
	}
	buffer_byte(out, '"');
}

struct span cel_quote(struct span s, struct arena *arena, struct error *err)
{
	struct buffer out;
	struct span text;

	buffer_init(&out, TEXT_MAX);
	write_quoted(&out, s);
	text = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return text;
}

/* ---- as they are written in expressions ---- */

struct writer {
	struct cel_call call;
	struct buffer out;
	bool as_go;        /* cel_print(): without quotes at the outside, doubles short */
	struct span fault; /* ptr NULL: none */
};

static void write_value(struct writer *w, const struct cel_value *v, unsigned depth);

static void write_list(struct writer *w, const struct cel_value *v, unsigned depth)
{
	buffer_byte(&w->out, '[');
	for (uint64_t i = 0, n = cel_list_count(v); i < n && !w->out.overflow; i++) {
		struct cel_value item = cel_list_item(&w->call, v, i);

		if (i)
			buffer_append(&w->out, SPAN(", "));
		write_value(w, &item, depth + 1);
	}
	buffer_byte(&w->out, ']');
}

static int by_text(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_order(*x, *y);
}

/* Entries in the order of their keys' texts. */
static void write_map(struct writer *w, const struct cel_value *v, unsigned depth)
{
	uint64_t n = cel_map_count(v), used = 0;
	struct span *entries = ARENA_ARRAY(w->call.arena, struct span, n + 1, w->call.err);
	size_t start = w->out.len;

	for (uint64_t i = 0; entries && i < n && !w->out.overflow; i++) {
		bool is_there;
		struct cel_value key = cel_map_key(&w->call, v, i, &is_there), item;

		if (!is_there || !cel_map_find(&w->call, v, &key, &item))
			continue;
		w->out.len = start;
		write_value(w, &key, depth + 1);
		buffer_append(&w->out, w->as_go ? SPAN(": ") : SPAN(":"));
		write_value(w, &item, depth + 1);
		entries[used++] = arena_copy(w->call.arena, span_skip(buffer_span(&w->out), start), w->call.err);
	}
	w->out.len = start;
	buffer_byte(&w->out, '{');
	if (entries && used)
		qsort(entries, used, sizeof(*entries), by_text);
	for (uint64_t i = 0; entries && i < used; i++) {
		if (i)
			buffer_append(&w->out, SPAN(", "));
		buffer_append(&w->out, entries[i]);
	}
	buffer_byte(&w->out, '}');
}

static const char *type_name(const struct cel_value *v, struct writer *w)
{
	struct cel_type bare = *cel_type_of(v);
	struct span text;

	bare.params[0] = bare.params[1] = NULL;
	if (bare.kind == CEL_TIMESTAMP || bare.kind == CEL_DURATION)
		return bare.kind == CEL_TIMESTAMP ? "google.protobuf.Timestamp" : "google.protobuf.Duration";
	if (bare.kind == CEL_NULL)
		return "null_type";
	text = cel_type_print(&bare, w->call.arena, w->call.err);
	return text.ptr ? text.ptr : "";
}

/* What string() gives of plain values. */
static bool write_plain(struct writer *w, const struct cel_value *v)
{
	struct arena *arena = w->call.arena;
	struct cel_value type = { .kind = CEL_TYPE };

	switch (v->kind) {
	case CEL_NULL:
		buffer_append(&w->out, SPAN("null"));
		return true;
	case CEL_BOOL:
		buffer_append(&w->out, v->boolean ? SPAN("true") : SPAN("false"));
		return true;
	case CEL_INT:
		buffer_print(&w->out, "%lld", (long long)v->integer);
		return true;
	case CEL_UINT:
		buffer_print(&w->out, "%llu", (unsigned long long)v->natural);
		return true;
	case CEL_DOUBLE:
		if (v->number != v->number || isinf(v->number))
			buffer_append(&w->out, v->number != v->number ? SPAN("NaN")
					       : v->number > 0        ? SPAN("Infinity")
								      : SPAN("-Infinity"));
		else
			buffer_append(&w->out, cel_double_print(v->number, arena, w->call.err));
		return true;
	case CEL_STRING:
	case CEL_BYTES:
		buffer_append(&w->out, v->text);
		return true;
	case CEL_TIMESTAMP:
		buffer_append(&w->out, cel_timestamp_print(v->time.seconds, v->time.nanoseconds, arena, w->call.err));
		return true;
	case CEL_DURATION:
		buffer_append(&w->out, cel_duration_print(v->integer, arena, w->call.err));
		return true;
	case CEL_TYPE:
		type = (struct cel_value){ .kind = v->type->kind };
		buffer_append(&w->out, span_of(type_name(&type, w)));
		return true;
	default:
		return false;
	}
}

static void write_value(struct writer *w, const struct cel_value *v, unsigned depth)
{
	size_t start = w->out.len;
	struct span text;

	if (depth > CEL_DEPTH_MAX || w->out.overflow)
		return;
	switch (v->kind) {
	case CEL_LIST:
		write_list(w, v, depth);
		return;
	case CEL_MAP:
		write_map(w, v, depth);
		return;
	case CEL_STRING:
		write_quoted(&w->out, v->text);
		return;
	case CEL_BYTES:
		buffer_byte(&w->out, 'b');
		write_quoted(&w->out, v->text);
		return;
	case CEL_TIMESTAMP:
	case CEL_DURATION:
		buffer_append(&w->out, v->kind == CEL_DURATION ? SPAN("duration(\"") : SPAN("timestamp(\""));
		(void)write_plain(w, v);
		buffer_append(&w->out, SPAN("\")"));
		return;
	case CEL_DOUBLE:
		if (v->number != v->number || isinf(v->number)) {
			buffer_byte(&w->out, '"');
			(void)write_plain(w, v);
			buffer_byte(&w->out, '"');
		} else if (w->as_go) {
			(void)write_plain(w, v);
		} else {
			buffer_print(&w->out, "%.6f", v->number);
		}
		return;
	case CEL_OPTIONAL:
		if (!w->as_go)
			break;
		buffer_append(&w->out, v->optional ? SPAN("optional(") : SPAN("optional.none()"));
		if (v->optional) {
			write_value(w, v->optional, depth + 1);
			buffer_byte(&w->out, ')');
		}
		return;
	default:
		if (write_plain(w, v))
			return;
	}
	w->out.len = start;
	text = arena_print(w->call.arena, w->call.err, "no formatting function for %s", type_name(v, w));
	if (w->as_go)
		buffer_append(&w->out, span_of(type_name(v, w)));
	else
		w->fault = text;
}

struct span cel_print(const struct cel_value *v, struct arena *arena, struct error *err)
{
	struct writer w = { .call = { .arena = arena, .err = err }, .as_go = true };
	struct span text;

	buffer_init(&w.out, TEXT_MAX);
	if (v->kind == CEL_ERROR)
		buffer_append(&w.out, v->text);
	else
		write_value(&w, v, 0);
	text = arena_copy(arena, buffer_span(&w.out), err);
	buffer_done(&w.out);
	return text;
}

/* ---- format ---- */

static void fail(struct writer *w, const char *words, const struct cel_value *v)
{
	w->fault = arena_print(w->call.arena, w->call.err, "error during formatting: %s %s", words, type_name(v, w));
}

static void format_string(struct writer *w, const struct cel_value *v)
{
	if (v->kind == CEL_LIST || v->kind == CEL_MAP)
		write_value(w, v, 0);
	else if (!write_plain(w, v))
		fail(w,
		     "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, "
		     "durations, "
		     "and timestamps, was given",
		     v);
}

static void format_decimal(struct writer *w, const struct cel_value *v)
{
	if (v->kind == CEL_INT || v->kind == CEL_UINT)
		(void)write_plain(w, v);
	else
		fail(w, "decimal clause can only be used on integers, was given", v);
}

static bool double_of(const struct cel_value *v, double *ret)
{
	if (v->kind == CEL_DOUBLE) {
		*ret = v->number;
		return true;
	}
	if (v->kind != CEL_STRING)
		return false;
	*ret = span_equal(v->text, SPAN("NaN")) ? NAN : span_starts(v->text, SPAN("-")) ? -INFINITY : INFINITY;
	return span_equal(v->text, SPAN("NaN")) || span_equal(v->text, SPAN("Infinity")) ||
	       span_equal(v->text, SPAN("-Infinity"));
}

static bool write_special(struct writer *w, double d)
{
	if (d == d && !isinf(d))
		return false;
	buffer_append(&w->out, d != d ? SPAN("NaN") : d > 0 ? SPAN("\u221e") : SPAN("-\u221e"));
	return true;
}

/* en_US parts thousands by commas. */
static void format_fixed(struct writer *w, const struct cel_value *v, int precision)
{
	char text[1536];
	double d = 0;
	size_t whole, i = 0;

	if (!double_of(v, &d)) {
		fail(w, "fixed-point clause can only be used on doubles, was given", v);
		return;
	}
	if (write_special(w, d))
		return;
	(void)snprintf(text, sizeof(text), "%.*f", precision, d);
	if (text[0] == '-')
		buffer_byte(&w->out, text[i++]);
	whole = strcspn(text + i, ".");
	for (size_t n = whole; n > 0; n--) {
		buffer_byte(&w->out, text[i++]);
		if (n > 1 && n % 3 == 1)
			buffer_byte(&w->out, ',');
	}
	buffer_append(&w->out, span_of(text + i));
}

/* "1.052033 x 10^03" in Unicode's raised digits, as en_US has it. */
static void format_scientific(struct writer *w, const struct cel_value *v, int precision)
{
	static const char *const raised[] = { "\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074",
					      "\u2075", "\u2076", "\u2077", "\u2078", "\u2079" };
	char text[1536];
	double d = 0;
	const char *e;

	if (!double_of(v, &d)) {
		fail(w, "scientific clause can only be used on doubles, was given", v);
		return;
	}
	if (write_special(w, d))
		return;
	(void)snprintf(text, sizeof(text), "%.*e", precision, d);
	e = strchr(text, 'e');
	if (!e)
		return;
	buffer_append(&w->out, span_from(text, (size_t)(e - text)));
	buffer_append(&w->out, SPAN("\u202f\u00d7\u202f10"));
	if (e[1] == '-')
		buffer_append(&w->out, SPAN("\u207b"));
	for (e += 2; *e; e++)
		buffer_append(&w->out, span_of(raised[*e - '0']));
}

static void format_binary(struct writer *w, const struct cel_value *v)
{
	uint64_t n = v->kind == CEL_BOOL ? v->boolean : v->natural;
	bool is_negative = v->kind == CEL_INT && v->integer < 0, has_begun = false;

	if (v->kind != CEL_INT && v->kind != CEL_UINT && v->kind != CEL_BOOL) {
		fail(w, "only integers and bools can be formatted as binary, was given", v);
		return;
	}
	if (is_negative) {
		buffer_byte(&w->out, '-');
		n = 0 - n;
	}
	for (int i = 63; i >= 0; i--) {
		has_begun |= n >> i & 1;
		if (has_begun || i == 0)
			buffer_byte(&w->out, n >> i & 1 ? '1' : '0');
	}
}

static void format_radix(struct writer *w, const struct cel_value *v, const char *digits, int bits, const char *words)
{
	uint64_t n = v->natural;
	bool has_begun = false;

	if (v->kind == CEL_INT && v->integer < 0) {
		buffer_byte(&w->out, '-');
		n = 0 - n;
	}
	if (v->kind != CEL_INT && v->kind != CEL_UINT) {
		fail(w, words, v);
		return;
	}
	for (int i = bits == 3 ? 63 : 60; i >= 0; i -= bits) {
		unsigned digit = (unsigned)(n >> i) & ((1u << bits) - 1);

		has_begun |= digit != 0;
		if (has_begun || i == 0)
			buffer_byte(&w->out, digits[digit]);
	}
}

static void format_hex(struct writer *w, const struct cel_value *v, bool is_upper)
{
	const char *digits = is_upper ? "0123456789ABCDEF" : "0123456789abcdef";

	if (v->kind == CEL_STRING || v->kind == CEL_BYTES) {
		for (size_t i = 0; i < v->text.len; i++) {
			buffer_byte(&w->out, digits[(unsigned char)v->text.ptr[i] >> 4]);
			buffer_byte(&w->out, digits[(unsigned char)v->text.ptr[i] & 15]);
		}
		return;
	}
	format_radix(w, v, digits, 4, "only integers, byte buffers, and strings can be formatted as hex, was given");
}

static void format_one(struct writer *w, char clause, int precision, const struct cel_value *v)
{
	switch (clause) {
	case 's':
		format_string(w, v);
		break;
	case 'd':
		format_decimal(w, v);
		break;
	case 'f':
		format_fixed(w, v, precision);
		break;
	case 'e':
		format_scientific(w, v, precision);
		break;
	case 'b':
		format_binary(w, v);
		break;
	case 'x':
	case 'X':
		format_hex(w, v, clause == 'X');
		break;
	case 'o':
		format_radix(w, v, "01234567", 3, "octal clause can only be used on integers, was given");
		break;
	default:
		w->fault =
		    arena_print(w->call.arena, w->call.err,
				"could not parse formatting clause: unrecognized formatting clause \"%c\"", clause);
	}
}

static bool take_precision(struct span *s, int *ret)
{
	int v = 0;

	*ret = 6;
	if (!s->len || s->ptr[0] != '.')
		return true;
	*s = span_skip(*s, 1);
	if (!s->len || s->ptr[0] < '0' || s->ptr[0] > '9')
		return false;
	for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9' && v <= PRECISION_MAX; *s = span_skip(*s, 1))
		v = v * 10 + (s->ptr[0] - '0');
	*ret = v;
	return v <= PRECISION_MAX;
}

struct cel_value cel_format_text(struct cel_call *c, struct span format, const struct cel_value *list)
{
	struct writer w = { .call = *c };
	uint64_t used = 0, count = cel_list_count(list);
	struct cel_value v;

	buffer_init(&w.out, TEXT_MAX);
	while (format.len && !w.fault.ptr && !w.out.overflow) {
		size_t plain = span_index(format, '%');
		int precision;

		buffer_append(&w.out, span_first(format, plain));
		format = span_skip(format, plain);
		if (format.len < 2) {
			if (format.len)
				w.fault = SPAN("unexpected end of string");
			break;
		}
		format = span_skip(format, 1);
		if (format.ptr[0] == '%') {
			buffer_byte(&w.out, '%');
			format = span_skip(format, 1);
			continue;
		}
		if (!take_precision(&format, &precision) || !format.len) {
			w.fault = SPAN("could not parse formatting clause: error while parsing precision");
			break;
		}
		if (used >= count) {
			w.fault = arena_print(c->arena, c->err, "index %llu out of range", (unsigned long long)used);
			break;
		}
		v = cel_list_item(c, list, used++);
		if (v.kind == CEL_ERROR)
			w.fault = v.text;
		else
			format_one(&w, format.ptr[0], precision, &v);
		format = span_skip(format, 1);
	}
	if (!w.fault.ptr && used < count)
		w.fault = arena_print(c->arena, c->err,
				      "too many arguments supplied to string.format (expected %llu, got %llu)",
				      (unsigned long long)used, (unsigned long long)count);
	if (w.out.overflow)
		c->cost = UINT64_MAX;
	v = w.fault.ptr ? cel_fail(w.fault) : cel_text(arena_copy(c->arena, buffer_span(&w.out), c->err));
	buffer_done(&w.out);
	return v;
}
