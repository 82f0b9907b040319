/* SPDX-License-Identifier: Apache-2.0 */
/* Operators and conversions (langdef.md, "List of Standard Definitions"); the tables of all functions are joined here. */
#include "base/number.h"
#include "kube/crd/cel_private.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define FAIL(words) cel_fail(SPAN(words))

/* ---- arithmetic ---- */

static struct cel_value of_uint(uint64_t u)
{
	return (struct cel_value){ .kind = CEL_UINT, .natural = u };
}

static struct cel_value of_duration(int64_t nanoseconds)
{
	return (struct cel_value){ .kind = CEL_DURATION, .integer = nanoseconds };
}

/* Times are those of the years 1 to 9999 (langdef.md, "Timestamps"). */
static struct cel_value of_time(int64_t seconds, int64_t nanoseconds)
{
	seconds += nanoseconds / 1000000000;
	nanoseconds %= 1000000000;
	if (nanoseconds < 0) {
		nanoseconds += 1000000000;
		seconds--;
	}
	if (seconds < -62135596800 || seconds > 253402300799)
		return FAIL("timestamp overflow");
	return (struct cel_value){ .kind = CEL_TIMESTAMP, .time = { seconds, (int32_t)nanoseconds } };
}

static struct cel_value add_int(struct cel_call *c, const struct cel_value *a)
{
	int64_t v;

	(void)c;
	return __builtin_add_overflow(a[0].integer, a[1].integer, &v) ? FAIL("integer overflow") : cel_of_int(v);
}

static struct cel_value subtract_int(struct cel_call *c, const struct cel_value *a)
{
	int64_t v;

	(void)c;
	return __builtin_sub_overflow(a[0].integer, a[1].integer, &v) ? FAIL("integer overflow") : cel_of_int(v);
}

static struct cel_value multiply_int(struct cel_call *c, const struct cel_value *a)
{
	int64_t v;

	(void)c;
	return __builtin_mul_overflow(a[0].integer, a[1].integer, &v) ? FAIL("integer overflow") : cel_of_int(v);
}

static struct cel_value divide_int(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	if (a[1].integer == 0)
		return FAIL("division by zero");
	if (a[0].integer == INT64_MIN && a[1].integer == -1)
		return FAIL("integer overflow");
	return cel_of_int(a[0].integer / a[1].integer);
}

static struct cel_value modulo_int(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	if (a[1].integer == 0)
		return FAIL("modulus by zero");
	if (a[0].integer == INT64_MIN && a[1].integer == -1)
		return FAIL("integer overflow");
	return cel_of_int(a[0].integer % a[1].integer);
}

static struct cel_value add_uint(struct cel_call *c, const struct cel_value *a)
{
	uint64_t v;

	(void)c;
	return __builtin_add_overflow(a[0].natural, a[1].natural, &v) ? FAIL("unsigned integer overflow") : of_uint(v);
}

static struct cel_value subtract_uint(struct cel_call *c, const struct cel_value *a)
{
	uint64_t v;

	(void)c;
	return __builtin_sub_overflow(a[0].natural, a[1].natural, &v) ? FAIL("unsigned integer overflow") : of_uint(v);
}

static struct cel_value multiply_uint(struct cel_call *c, const struct cel_value *a)
{
	uint64_t v;

	(void)c;
	return __builtin_mul_overflow(a[0].natural, a[1].natural, &v) ? FAIL("unsigned integer overflow") : of_uint(v);
}

static struct cel_value divide_uint(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return a[1].natural ? of_uint(a[0].natural / a[1].natural) : FAIL("division by zero");
}

static struct cel_value modulo_uint(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return a[1].natural ? of_uint(a[0].natural % a[1].natural) : FAIL("modulus by zero");
}

static struct cel_value add_double(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double(a[0].number + a[1].number);
}

static struct cel_value subtract_double(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double(a[0].number - a[1].number);
}

static struct cel_value multiply_double(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double(a[0].number * a[1].number);
}

static struct cel_value divide_double(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double(a[0].number / a[1].number);
}

static struct cel_value negate_int(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return a->integer == INT64_MIN ? FAIL("integer overflow") : cel_of_int(-a->integer);
}

static struct cel_value negate_double(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double(-a->number);
}

static struct cel_value add_text(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = { .kind = a[0].kind };
	size_t n = a[0].text.len, m = a[1].text.len;
	char *out = arena_alloc(c->arena, n + m + 1, c->err);

	if (!out)
		return FAIL("memory ended");
	if (n)
		memcpy(out, a[0].text.ptr, n);
	if (m)
		memcpy(out + n, a[1].text.ptr, m);
	v.text = span_from(out, n + m);
	return v;
}

static struct cel_value add_list(struct cel_call *c, const struct cel_value *a)
{
	if (cel_list_count(&a[0]) + cel_list_count(&a[1]) >
	    c->left * 64 + 1000) { /* copied here, at no cost by the rules */
		c->cost = UINT64_MAX;
		return FAIL("");
	}
	return cel_list_add(c, &a[0], &a[1]);
}

static struct cel_value add_durations(struct cel_call *c, const struct cel_value *a)
{
	int64_t v;

	(void)c;
	return __builtin_add_overflow(a[0].integer, a[1].integer, &v) ? FAIL("duration overflow") : of_duration(v);
}

static struct cel_value subtract_durations(struct cel_call *c, const struct cel_value *a)
{
	int64_t v;

	(void)c;
	return __builtin_sub_overflow(a[0].integer, a[1].integer, &v) ? FAIL("duration overflow") : of_duration(v);
}

static struct cel_value time_plus(const struct cel_value *t, int64_t nanoseconds)
{
	return of_time(t->time.seconds + nanoseconds / 1000000000, t->time.nanoseconds + nanoseconds % 1000000000);
}

static struct cel_value add_duration_time(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return time_plus(&a[1], a[0].integer);
}

static struct cel_value add_time_duration(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return time_plus(&a[0], a[1].integer);
}

static struct cel_value subtract_time_duration(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return a[1].integer == INT64_MIN ? FAIL("timestamp overflow") : time_plus(&a[0], -a[1].integer);
}

static struct cel_value subtract_times(struct cel_call *c, const struct cel_value *a)
{
	__int128 n = ((__int128)a[0].time.seconds - a[1].time.seconds) * 1000000000 + a[0].time.nanoseconds -
		     a[1].time.nanoseconds;

	(void)c;
	return n > INT64_MAX || n < INT64_MIN ? FAIL("timestamp overflow") : of_duration((int64_t)n);
}

/* ---- comparing ---- */

static struct cel_value equal(struct cel_call *c, const struct cel_value *a)
{
	return cel_equal(c, &a[0], &a[1]);
}

static struct cel_value not_equal(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = cel_equal(c, &a[0], &a[1]);

	return v.kind == CEL_BOOL ? cel_of_bool(!v.boolean) : v;
}

static struct cel_value less(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = cel_compare(&a[0], &a[1]);

	(void)c;
	return v.kind == CEL_INT ? cel_of_bool(v.integer < 0) : v;
}

static struct cel_value less_equal(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = cel_compare(&a[0], &a[1]);

	(void)c;
	return v.kind == CEL_INT ? cel_of_bool(v.integer <= 0) : v;
}

static struct cel_value greater(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = cel_compare(&a[0], &a[1]);

	(void)c;
	return v.kind == CEL_INT ? cel_of_bool(v.integer > 0) : v;
}

static struct cel_value greater_equal(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v = cel_compare(&a[0], &a[1]);

	(void)c;
	return v.kind == CEL_INT ? cel_of_bool(v.integer >= 0) : v;
}

static struct cel_value logical_not(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(!a->boolean);
}

static struct cel_value in_list(struct cel_call *c, const struct cel_value *a)
{
	return cel_list_contains(c, &a[1], &a[0]);
}

static struct cel_value in_map(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value found;

	if (!cel_map_find(c, &a[1], &a[0], &found))
		return cel_of_bool(false);
	return found.kind == CEL_ERROR && a[1].is_data && a[0].kind != CEL_STRING ? found : cel_of_bool(true);
}

static struct cel_value size(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int((int64_t)cel_size_of(a));
}

#define COMPARE(name, word, f)                                                                                         \
	CEL_ROW(name, word "_bool", "bb", "b", f), CEL_ROW(name, word "_int64", "ii", "b", f),                         \
	    CEL_ROW(name, word "_int64_double", "id", "b", f), CEL_ROW(name, word "_int64_uint64", "iu", "b", f),      \
	    CEL_ROW(name, word "_uint64", "uu", "b", f), CEL_ROW(name, word "_uint64_double", "ud", "b", f),           \
	    CEL_ROW(name, word "_uint64_int64", "ui", "b", f), CEL_ROW(name, word "_double", "dd", "b", f),            \
	    CEL_ROW(name, word "_double_int64", "di", "b", f), CEL_ROW(name, word "_double_uint64", "du", "b", f),     \
	    CEL_ROW(name, word "_string", "ss", "b", f), CEL_ROW(name, word "_bytes", "yy", "b", f),                   \
	    CEL_ROW(name, word "_timestamp", "tt", "b", f), CEL_ROW(name, word "_duration", "rr", "b", f)

const struct cel_overload cel_standard_overloads[] = {
	{ .name = "_?_:_", .id = "conditional", .takes = "bAA", .gives = "A" },
	{ .name = "_&&_", .id = "logical_and", .takes = "bb", .gives = "b" },
	{ .name = "_||_", .id = "logical_or", .takes = "bb", .gives = "b" },
	{ .name = "@not_strictly_false", .id = "not_strictly_false", .takes = "b", .gives = "b" },
	CEL_ROW("!_", "logical_not", "b", "b", logical_not),
	CEL_ROW("_==_", "equals", "AA", "b", equal),
	CEL_ROW("_!=_", "not_equals", "AA", "b", not_equal),
	CEL_ROW("_+_", "add_bytes", "yy", "y", add_text),
	CEL_ROW("_+_", "add_double", "dd", "d", add_double),
	CEL_ROW("_+_", "add_duration_duration", "rr", "r", add_durations),
	CEL_ROW("_+_", "add_duration_timestamp", "rt", "t", add_duration_time),
	CEL_ROW("_+_", "add_timestamp_duration", "tr", "t", add_time_duration),
	CEL_ROW("_+_", "add_int64", "ii", "i", add_int),
	CEL_ROW("_+_", "add_list", "[A[A", "[A", add_list),
	CEL_ROW("_+_", "add_string", "ss", "s", add_text),
	CEL_ROW("_+_", "add_uint64", "uu", "u", add_uint),
	CEL_ROW("_/_", "divide_double", "dd", "d", divide_double),
	CEL_ROW("_/_", "divide_int64", "ii", "i", divide_int),
	CEL_ROW("_/_", "divide_uint64", "uu", "u", divide_uint),
	CEL_ROW("_%_", "modulo_int64", "ii", "i", modulo_int),
	CEL_ROW("_%_", "modulo_uint64", "uu", "u", modulo_uint),
	CEL_ROW("_*_", "multiply_double", "dd", "d", multiply_double),
	CEL_ROW("_*_", "multiply_int64", "ii", "i", multiply_int),
	CEL_ROW("_*_", "multiply_uint64", "uu", "u", multiply_uint),
	CEL_ROW("-_", "negate_double", "d", "d", negate_double),
	CEL_ROW("-_", "negate_int64", "i", "i", negate_int),
	CEL_ROW("_-_", "subtract_double", "dd", "d", subtract_double),
	CEL_ROW("_-_", "subtract_duration_duration", "rr", "r", subtract_durations),
	CEL_ROW("_-_", "subtract_int64", "ii", "i", subtract_int),
	CEL_ROW("_-_", "subtract_timestamp_duration", "tr", "t", subtract_time_duration),
	CEL_ROW("_-_", "subtract_timestamp_timestamp", "tt", "r", subtract_times),
	CEL_ROW("_-_", "subtract_uint64", "uu", "u", subtract_uint),
	COMPARE("_<_", "less", less),
	COMPARE("_<=_", "less_equals", less_equal),
	COMPARE("_>_", "greater", greater),
	COMPARE("_>=_", "greater_equals", greater_equal),
	{ .name = "_[_]", .id = "index_list", .takes = "[Ai", .gives = "A" },
	{ .name = "_[_]", .id = "index_map", .takes = "{AB}A", .gives = "B" },
	{ .name = "_[_]", .id = "optional_list_index_int", .takes = "?[Ai", .gives = "?A" },
	{ .name = "_[_]", .id = "optional_map_index_value", .takes = "?{AB}A", .gives = "?B" },
	{ .name = "_[?_]", .id = "list_optindex_optional_int", .takes = "[Ai", .gives = "?A" },
	{ .name = "_[?_]", .id = "optional_list_optindex_optional_int", .takes = "?[Ai", .gives = "?A" },
	{ .name = "_[?_]", .id = "map_optindex_optional_value", .takes = "{AB}A", .gives = "?B" },
	{ .name = "_[?_]", .id = "optional_map_optindex_optional_value", .takes = "?{AB}A", .gives = "?B" },
	{ .name = "_?._", .id = "select_optional_field", .takes = "Ds", .gives = "?A" },
	CEL_ROW("@in", "in_list", "A[A", "b", in_list),
	CEL_ROW("@in", "in_map", "A{AB}", "b", in_map),
	CEL_ROW("size", "size_bytes", "y", "i", size),
	CEL_MEMBER("size", "bytes_size", "y", "i", size),
	CEL_ROW("size", "size_list", "[A", "i", size),
	CEL_MEMBER("size", "list_size", "[A", "i", size),
	CEL_ROW("size", "size_map", "{AB}", "i", size),
	CEL_MEMBER("size", "map_size", "{AB}", "i", size),
	CEL_ROW("size", "size_string", "s", "i", size),
	CEL_MEMBER("size", "string_size", "s", "i", size),
	{ .name = "cel.@mapInsert", .id = "@mapInsert_map_key_value", .takes = "{AB}AB", .gives = "{AB}" },
	{ .name = "cel.@mapInsert", .id = "@mapInsert_map_map", .takes = "{AB}{AB}", .gives = "{AB}" },
	{ 0 },
};

/* ---- conversions ---- */

static struct cel_value same(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return *a;
}

static struct cel_value type_of(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return (struct cel_value){ .kind = CEL_TYPE, .type = cel_type_of(a) };
}

static struct cel_value string_to_bool(struct cel_call *c, const struct cel_value *a)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (span_equal(a->text, span_of(yes[i])))
			return cel_of_bool(true);
		if (span_equal(a->text, span_of(no[i])))
			return cel_of_bool(false);
	}
	(void)c;
	return FAIL("type conversion error from 'string' to 'bool'");
}

static struct cel_value to_bytes(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return (struct cel_value){ .kind = CEL_BYTES, .text = a->text };
}

static struct cel_value int_to_double(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double((double)a->integer);
}

static struct cel_value uint_to_double(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double((double)a->natural);
}

/* A literal's text in a fault, as Go quotes it. */
static struct cel_value syntax_fault(struct cel_call *c, const char *function, struct span text, const char *what)
{
	struct span quoted = cel_quote(span_first(text, 256), c->arena, c->err);

	return cel_fail_print(c, "strconv.%s: parsing %.*s: %s", function, (int)quoted.len, quoted.ptr, what);
}

static struct cel_value string_to_double(struct cel_call *c, const struct cel_value *a)
{
	double d;

	if (!number_parse_double(a->text, &d))
		return syntax_fault(c, "ParseFloat", a->text, "invalid syntax");
	return cel_of_double(d);
}

static bool is_digits(struct span s)
{
	size_t i = s.len && (s.ptr[0] == '-' || s.ptr[0] == '+');

	if (i == s.len)
		return false;
	for (; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return true;
}

static struct cel_value string_to_int(struct cel_call *c, const struct cel_value *a)
{
	struct span s = span_starts(a->text, SPAN("+")) ? span_skip(a->text, 1) : a->text;
	int64_t i;

	if (!is_digits(a->text))
		return syntax_fault(c, "ParseInt", a->text, "invalid syntax");
	while (s.len > 1 && s.ptr[0] == '0') /* zeros before the number are read over */
		s = span_skip(s, 1);
	if (number_parse_int64(s, &i))
		return cel_of_int(i);
	if (s.ptr[0] == '-' && s.len > 1 && s.ptr[1] == '0') {
		struct cel_value rest = cel_text(span_skip(s, 1)), v;

		v = string_to_int(c, &rest);
		return v.kind == CEL_INT ? cel_of_int(-v.integer) : v;
	}
	return syntax_fault(c, "ParseInt", a->text, "value out of range");
}

static struct cel_value string_to_uint(struct cel_call *c, const struct cel_value *a)
{
	struct span s = a->text;
	uint64_t u;

	if (!is_digits(s) || s.ptr[0] == '-' || s.ptr[0] == '+')
		return syntax_fault(c, "ParseUint", a->text, "invalid syntax");
	while (s.len > 1 && s.ptr[0] == '0')
		s = span_skip(s, 1);
	return number_parse_uint64(s, &u) ? of_uint(u) : syntax_fault(c, "ParseUint", a->text, "value out of range");
}

static struct cel_value double_to_int(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	if (!(a->number > -9223372036854775808.0 && a->number < 9223372036854775808.0))
		return FAIL("integer overflow");
	return cel_of_int((int64_t)a->number);
}

static struct cel_value double_to_uint(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	if (!(a->number >= 0 && a->number < 18446744073709551616.0))
		return FAIL("unsigned integer overflow");
	return of_uint((uint64_t)a->number);
}

static struct cel_value uint_to_int(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return a->natural > INT64_MAX ? FAIL("integer overflow") : cel_of_int((int64_t)a->natural);
}

static struct cel_value int_to_uint(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return a->integer < 0 ? FAIL("unsigned integer overflow") : of_uint((uint64_t)a->integer);
}

static struct cel_value duration_to_int(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->integer);
}

static struct cel_value timestamp_to_int(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(a->time.seconds);
}

static struct cel_value bool_to_string(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_text(a->boolean ? SPAN("true") : SPAN("false"));
}

static struct cel_value bytes_to_string(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return span_is_utf8(a->text) ? cel_text(a->text) : FAIL("invalid UTF-8 in bytes, cannot convert to string");
}

static struct cel_value double_to_string(struct cel_call *c, const struct cel_value *a)
{
	return cel_text(cel_double_print(a->number, c->arena, c->err));
}

static struct cel_value int_to_string(struct cel_call *c, const struct cel_value *a)
{
	return cel_text(arena_print(c->arena, c->err, "%lld", (long long)a->integer));
}

static struct cel_value uint_to_string(struct cel_call *c, const struct cel_value *a)
{
	return cel_text(arena_print(c->arena, c->err, "%llu", (unsigned long long)a->natural));
}

static struct cel_value duration_to_string(struct cel_call *c, const struct cel_value *a)
{
	return cel_text(cel_duration_print(a->integer, c->arena, c->err));
}

static struct cel_value timestamp_to_string(struct cel_call *c, const struct cel_value *a)
{
	return cel_text(cel_timestamp_print(a->time.seconds, a->time.nanoseconds, c->arena, c->err));
}

static struct cel_value string_to_duration(struct cel_call *c, const struct cel_value *a)
{
	int64_t n;

	(void)c;
	return cel_duration_parse(a->text, &n)
		   ? of_duration(n)
		   : FAIL("type conversion error from 'string' to 'google.protobuf.Duration'");
}

static struct cel_value int_to_duration(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return of_duration(a->integer);
}

static struct cel_value string_to_timestamp(struct cel_call *c, const struct cel_value *a)
{
	int64_t seconds;
	int32_t nanoseconds;

	(void)c;
	if (!cel_timestamp_parse(a->text, &seconds, &nanoseconds))
		return FAIL("type conversion error from 'string' to 'google.protobuf.Timestamp'");
	return of_time(seconds, nanoseconds);
}

static struct cel_value int_to_timestamp(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return of_time(a->integer, 0);
}

const struct cel_overload cel_convert_overloads[] = {
	CEL_ROW("type", "type", "A", "TA", type_of),
	CEL_ROW("bool", "bool_to_bool", "b", "b", same),
	CEL_ROW("bool", "string_to_bool", "s", "b", string_to_bool),
	CEL_ROW("bytes", "bytes_to_bytes", "y", "y", same),
	CEL_ROW("bytes", "string_to_bytes", "s", "y", to_bytes),
	CEL_ROW("double", "double_to_double", "d", "d", same),
	CEL_ROW("double", "int64_to_double", "i", "d", int_to_double),
	CEL_ROW("double", "string_to_double", "s", "d", string_to_double),
	CEL_ROW("double", "uint64_to_double", "u", "d", uint_to_double),
	CEL_ROW("duration", "duration_to_duration", "r", "r", same),
	CEL_ROW("duration", "int64_to_duration", "i", "r", int_to_duration),
	CEL_ROW("duration", "string_to_duration", "s", "r", string_to_duration),
	CEL_ROW("dyn", "to_dyn", "A", "D", same),
	CEL_ROW("int", "int64_to_int64", "i", "i", same),
	CEL_ROW("int", "double_to_int64", "d", "i", double_to_int),
	CEL_ROW("int", "duration_to_int64", "r", "i", duration_to_int),
	CEL_ROW("int", "string_to_int64", "s", "i", string_to_int),
	CEL_ROW("int", "timestamp_to_int64", "t", "i", timestamp_to_int),
	CEL_ROW("int", "uint64_to_int64", "u", "i", uint_to_int),
	CEL_ROW("string", "string_to_string", "s", "s", same),
	CEL_ROW("string", "bool_to_string", "b", "s", bool_to_string),
	CEL_ROW("string", "bytes_to_string", "y", "s", bytes_to_string),
	CEL_ROW("string", "double_to_string", "d", "s", double_to_string),
	CEL_ROW("string", "duration_to_string", "r", "s", duration_to_string),
	CEL_ROW("string", "int64_to_string", "i", "s", int_to_string),
	CEL_ROW("string", "timestamp_to_string", "t", "s", timestamp_to_string),
	CEL_ROW("string", "uint64_to_string", "u", "s", uint_to_string),
	CEL_ROW("timestamp", "timestamp_to_timestamp", "t", "t", same),
	CEL_ROW("timestamp", "int64_to_timestamp", "i", "t", int_to_timestamp),
	CEL_ROW("timestamp", "string_to_timestamp", "s", "t", string_to_timestamp),
	CEL_ROW("uint", "uint64_to_uint64", "u", "u", same),
	CEL_ROW("uint", "double_to_uint64", "d", "u", double_to_uint),
	CEL_ROW("uint", "int64_to_uint64", "i", "u", int_to_uint),
	CEL_ROW("uint", "string_to_uint64", "s", "u", string_to_uint),
	{ 0 },
};

/* ---- all tables ---- */

enum { ROWS_MAX = 512 };

static const struct cel_overload *const tables[] = { cel_standard_overloads, cel_convert_overloads, cel_time_overloads,
						     cel_string_overloads,   cel_list_overloads,    cel_net_overloads,
						     cel_kube_overloads };

/* Filled once, by whoever comes first: the same rows whoever it is. */
static struct {
	const struct cel_overload *rows[ROWS_MAX];
	size_t count;
} joined;
static pthread_once_t joined_once = PTHREAD_ONCE_INIT;

static int by_name(const void *a, const void *b)
{
	const struct cel_overload *x = *(const struct cel_overload *const *)a,
				  *y = *(const struct cel_overload *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x > y) - (x < y);
}

static void join_tables(void)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct cel_overload *o = tables[i]; o->name; o++) {
			ASSERT(joined.count < ROWS_MAX);
			joined.rows[joined.count++] = o;
		}
	qsort(joined.rows, joined.count, sizeof(joined.rows[0]), by_name);
}

const struct cel_overload *const *cel_overloads_of(struct span name, size_t *ret_count)
{
	size_t low = 0, high, end;

	(void)pthread_once(&joined_once, join_tables);
	high = joined.count;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (span_order(span_of(joined.rows[middle]->name), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < joined.count && span_equal(span_of(joined.rows[end]->name), name); end++)
		;
	*ret_count = end - low;
	return end > low ? &joined.rows[low] : NULL;
}
