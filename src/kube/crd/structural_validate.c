/* SPDX-License-Identifier: Apache-2.0 */
/* structural_validate - whether an object fits its schema. A fault is told in the real server's words, at its path. */
#include "kube/crd/cel_private.h"
#include "kube/crd/structural_private.h"

#include "kube/kinds/kinds.h"

#include <math.h>
#include <stdlib.h>

/* What a number with a fraction may be and count as a whole one: 2^53 - 1. */
#define INTEGER_MOST 9007199254740991.0

enum { PATTERN_BYTES_MAX = 16 * 1024 * 1024, CHECKS_MAX = 2000000 };

struct validation {
	struct change *change;
	struct buffer path; /* below what is checked: faults are told by it */
	struct span prefix; /* where that stands */
	size_t matches;
	size_t checks; /* schemas tried: anyOf in anyOf multiplies */
	size_t faults;
	unsigned is_silent; /* inside anyOf and the like: faults are counted, not told */
};

static void validate(struct validation *d, const struct openapi_schema *s, const struct value *v,
		     const struct value *old);
static void validate_node(struct validation *d, const struct openapi_schema *s, const struct value *v,
			  const struct value *old);

/* NULL when this one is only counted. */
static struct span fault_path(struct validation *d)
{
	d->faults++;
	if (d->is_silent || d->change->cause_count >= CAUSES_MAX)
		return (struct span){ 0 };
	return arena_copy(d->change->arena, buffer_span(&d->path), d->change->err);
}

/* Where that is in the whole object. */
static struct span field_of(struct validation *d, struct span path)
{
	if (!d->prefix.len || !path.len)
		return path.len ? path : d->prefix;
	return arena_print(d->change->arena, d->change->err, SPAN_FMT "." SPAN_FMT, SPAN_ARG(d->prefix),
			   SPAN_ARG(path));
}

/* 1.0 is told as 1. */
static struct value shown_value(const struct value *v)
{
	if (v->type == VALUE_DOUBLE && fabs(v->number) <= INTEGER_MOST && v->number == floor(v->number))
		return value_int((int64_t)v->number);
	return *v;
}

/* "spec.size in body should be ...", with what was given. */
static void fault_body(struct validation *d, const struct value *v, const char *words)
{
	struct span path = fault_path(d);
	struct value shown = shown_value(v);

	if (path.ptr)
		cause_invalid(d->change, field_of(d, path), &shown,
			      detail_print(d->change, "%.*s in body %s", (int)path.len, path.ptr, words));
}

/* ---- types ---- */

static bool fits_type(const struct value *v, struct span type)
{
	if (v->type == VALUE_DOUBLE)
		return span_equal(type, SPAN("number")) ||
		       (span_equal(type, SPAN("integer")) && fabs(v->number) <= INTEGER_MOST &&
			v->number == floor(v->number));
	if (v->type == VALUE_INT && span_equal(type, SPAN("number")))
		return true;
	return span_equal(type, span_of(value_type_name(v->type)));
}

/* A wrong type has a reason of its own, with the words of a wrong value. */
static void fault_type(struct validation *d, struct span type, struct span given, struct span shown)
{
	struct value name = value_string(given);
	struct cause **last = &d->change->causes;
	size_t before = d->change->cause_count;
	struct span quoted =
	    value_print(&(struct value){ .type = VALUE_STRING, .string = shown }, d->change->arena, d->change->err);

	fault_body(
	    d, &name,
	    detail_print(d->change, "must be of type " SPAN_FMT ": " SPAN_FMT, SPAN_ARG(type), SPAN_ARG(quoted)));
	if (d->change->cause_count == before)
		return;
	while (*last && (*last)->next)
		last = &(*last)->next;
	if (*last)
		(*last)->reason = "FieldValueTypeInvalid";
}

static void check_type(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	struct span type = s->type;

	if (v->type == VALUE_NULL && s->is_nullable)
		return;
	if (s->is_int_or_string) {
		if (v->type == VALUE_STRING || fits_type(v, SPAN("integer")))
			return;
		type = SPAN("integer,string");
	}
	if (!type.len || (!s->is_int_or_string && fits_type(v, type)))
		return;
	/* A text with a format is of that format's type, whatever else is asked. */
	if (v->type == VALUE_STRING && s->format && !span_equal(type, SPAN("number")) &&
	    !span_equal(type, SPAN("integer")))
		return;
	fault_type(d, type, span_of(value_type_name(v->type)), span_of(value_type_name(v->type)));
}

static bool is_same_value(const struct value *a, const struct value *b)
{
	bool numbers =
	    (a->type == VALUE_INT || a->type == VALUE_DOUBLE) && (b->type == VALUE_INT || b->type == VALUE_DOUBLE);

	if (numbers && a->type != b->type)
		return (a->type == VALUE_INT ? (double)a->integer : a->number) ==
		       (b->type == VALUE_INT ? (double)b->integer : b->number);
	return value_equal(a, b);
}

static void check_enum(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	const char **names;
	struct span path;

	for (uint32_t i = 0; i < count_of(s->enums); i++)
		if (is_same_value(value_item(s->enums, i), v))
			return;
	path = fault_path(d);
	names =
	    path.ptr ? arena_calloc(d->change->arena, s->enums->array.count + 1, sizeof(*names), d->change->err) : NULL;
	for (uint32_t i = 0; names && i < s->enums->array.count; i++) {
		const struct value *one = value_item(s->enums, i);
		struct span text = one->type == VALUE_STRING ? arena_copy(d->change->arena, one->string, d->change->err)
							     : value_print(one, d->change->arena, d->change->err);

		names[i] = text.ptr ? text.ptr : "";
	}
	if (names && v->type == VALUE_OBJECT)
		fault_not_supported_printed(d->change, &(const struct at){ .name = field_of(d, path).ptr },
					    map_print_go(d->change, v), names);
	else if (names)
		fault_not_supported(d->change, &(const struct at){ .name = field_of(d, path).ptr }, v, names);
}

/* ---- numbers and texts ---- */

static double number_of(const struct value *v)
{
	return v->type == VALUE_INT ? (double)v->integer : v->number;
}

static bool is_number(const struct value *v)
{
	return value_is(v, VALUE_INT) || value_is(v, VALUE_DOUBLE);
}

/* A bound of whole numbers is a whole number itself: its fraction is cut off. */
static struct value bound_of(const struct value *v, const struct value *bound)
{
	if (v->type != VALUE_INT || bound->type != VALUE_DOUBLE)
		return *bound;
	if (bound->number >= 0x1p63 || !isfinite(bound->number))
		return value_int(INT64_MAX);
	return value_int(bound->number <= -0x1p63 ? INT64_MIN : (int64_t)bound->number);
}

static bool is_over(const struct value *v, const struct value *most, bool excludes)
{
	if (v->type == VALUE_INT && most->type == VALUE_INT)
		return excludes ? v->integer >= most->integer : v->integer > most->integer;
	return excludes ? number_of(v) >= number_of(most) : number_of(v) > number_of(most);
}

static bool is_multiple(const struct value *v, const struct value *of)
{
	double factor = number_of(of), times;

	if (v->type == VALUE_INT && of->type == VALUE_INT)
		return of->integer == -1 || v->integer % of->integer == 0;
	times = factor < 1 ? 1 / factor * number_of(v) : number_of(v) / factor;
	return fabs(times) <= INTEGER_MOST && fabs(times - nearbyint(times)) < 1e-9 * fmax(1, fabs(times));
}

static const char *limit_words(struct validation *d, const char *words, const struct value *limit)
{
	struct span text = value_print(limit, d->change->arena, d->change->err);

	return detail_print(d->change, "%s " SPAN_FMT, words, SPAN_ARG(text));
}

static void check_multiple(struct validation *d, const struct value *v, const struct value *of)
{
	struct value factor = bound_of(v, of);
	struct span path;

	if (number_of(&factor) > 0) {
		if (!is_multiple(v, &factor))
			fault_body(d, v, limit_words(d, "should be a multiple of", &factor));
		return;
	}
	path = fault_path(d);
	if (path.ptr)
		cause_invalid(
		    d->change, path, v,
		    detail_print(d->change, "factor MultipleOf declared for " SPAN_FMT " must be positive: " SPAN_FMT,
				 SPAN_ARG(path), SPAN_ARG(value_print(&factor, d->change->arena, d->change->err))));
}

static void check_number(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	const struct value *most = get(s->source, "maximum"), *least = get(s->source, "minimum");
	const struct value *of = get(s->source, "multipleOf");
	bool no_most = get_bool(s->source, "exclusiveMaximum"), no_least = get_bool(s->source, "exclusiveMinimum");
	struct value bound;

	if (is_number(of))
		check_multiple(d, v, of);
	if (is_number(most) && (bound = bound_of(v, most), is_over(v, &bound, no_most)))
		fault_body(d, v,
			   limit_words(d, no_most ? "should be less than" : "should be less than or equal to", &bound));
	if (is_number(least) && (bound = bound_of(v, least), is_over(&bound, v, no_least)))
		fault_body(
		    d, v,
		    limit_words(d, no_least ? "should be greater than" : "should be greater than or equal to", &bound));
}

static int64_t letters(struct span s)
{
	int64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

/* Takes steps in proportion to the text, whatever the pattern is. */
static bool pattern_matches(struct validation *d, const struct openapi_schema *s, struct span text)
{
	struct arena arena;
	bool found;

	arena_init(&arena, PATTERN_BYTES_MAX);
	found = cel_regex_matches(s->pattern, text, &arena, d->change->err);
	arena_done(&arena);
	return found;
}

/* The first fault is told. */
static void check_string(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	int64_t most = get_int(s->source, "maxLength", INT64_MAX), least = get_int(s->source, "minLength", 0);
	struct span path;

	if (letters(v->string) > most) {
		path = fault_path(d);
		if (path.ptr)
			cause_too_long(d->change, field_of(d, path), (size_t)most);
	} else if (letters(v->string) < least) {
		fault_body(d, v, detail_print(d->change, "should be at least %lld chars long", (long long)least));
	} else if (s->pattern && !pattern_matches(d, s, v->string)) {
		fault_body(
		    d, v,
		    detail_print(d->change, "should match '" SPAN_FMT "'", SPAN_ARG(get_text(s->source, "pattern"))));
	}
}

static void check_format(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	if (s->format && !format_fits(s->format, v->string))
		fault_type(d, get_text(s->source, "format"), v->string, v->string);
}

/* ---- objects and lists ---- */

static void check_count(struct validation *d, const struct openapi_schema *s, const struct value *v,
			const char *most_name, const char *least_name, const char *what)
{
	int64_t most = get_int(s->source, most_name, INT64_MAX), least = get_int(s->source, least_name, 0);
	struct span path;

	if ((int64_t)count_of(v) > most && (path = fault_path(d)).ptr)
		cause_too_many(d->change, field_of(d, path), count_of(v), (size_t)most);
	if ((int64_t)count_of(v) < least)
		fault_body(d, &(const struct value){ .type = VALUE_INT, .integer = count_of(v) },
			   detail_print(d->change, "should have at least %lld %s", (long long)least, what));
}

static void path_member(struct validation *d, struct span key)
{
	if (d->path.len)
		buffer_byte(&d->path, '.');
	buffer_append(&d->path, key);
}

static void fault_forbidden_member(struct validation *d, struct span key)
{
	struct span path = fault_path(d);
	struct value name = value_string(key);

	if (path.ptr)
		cause_invalid(d->change, field_of(d, path), &name,
			      detail_print(d->change, SPAN_FMT "." SPAN_FMT " in body is a forbidden property",
					   SPAN_ARG(path), SPAN_ARG(key)));
}

static void check_object(struct validation *d, const struct openapi_schema *s, const struct value *v,
			 const struct value *old)
{
	size_t len = d->path.len;

	check_count(d, s, v, "maxProperties", "minProperties", "properties");
	for (uint32_t i = 0; i < count_of(s->required); i++) {
		struct span name = text_of(value_item(s->required, i)), path;

		if (value_get(v, name))
			continue;
		path_member(d, name);
		path = fault_path(d);
		if (path.ptr)
			cause_required(d->change, field_of(d, path), NULL);
		d->path.len = len;
	}
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		const struct openapi_schema *one = openapi_schema_member(s, m->key);

		if (!one) {
			if (s->forbids_more)
				fault_forbidden_member(d, m->key);
			continue;
		}
		path_member(d, m->key);
		validate(d, one, &m->value, value_get(old, m->key));
		d->path.len = len;
	}
}

static void check_array(struct validation *d, const struct openapi_schema *s, const struct value *v,
			const struct value *old)
{
	size_t len = d->path.len;
	bool has_keys = s->list == LIST_MAP && value_is(old, VALUE_ARRAY) && s->items;
	struct list_index *index = has_keys ? list_index_new(s, old, d->change->arena, d->change->err) : NULL;

	for (uint32_t i = 0; s->items && i < v->array.count; i++) {
		buffer_print(&d->path, "[%u]", i);
		validate(d, s->items, value_item(v, i), index ? list_index_find(index, value_item(v, i)) : NULL);
		d->path.len = len;
	}
	check_count(d, s, v, "maxItems", "minItems", "items");
}

/* ---- schemas beside ---- */

/* Schemas beside say what else must hold of the same value. */
static bool fits(struct validation *d, const struct openapi_schema *s, const struct value *v, const struct value *old)
{
	size_t before = d->faults;
	bool ok;

	d->is_silent++;
	validate_node(d, s, v, old);
	d->is_silent--;
	ok = d->faults == before;
	d->faults = before;
	return ok;
}

/* How many fit, up to `enough`; and of those that do not the one that went furthest. */
static size_t fit_count(struct validation *d, struct openapi_schema **all, const struct value *v,
			const struct value *old, size_t enough, const struct openapi_schema **ret_best)
{
	size_t n = 0, most = 0;

	*ret_best = NULL;
	for (size_t i = 0; all[i] && n < enough; i++) {
		size_t before = d->matches, matches;

		if (fits(d, all[i], v, old)) {
			n++;
			continue;
		}
		matches = d->matches - before;
		if (!*ret_best || matches > most) {
			most = matches;
			*ret_best = all[i];
		}
	}
	return n;
}

/* As the real server tells them: no value, and its place is in the words only. */
static void fault_beside(struct validation *d, const char *words)
{
	struct value none = value_string(SPAN(""));
	struct span path = fault_path(d);

	if (path.ptr)
		cause_invalid(d->change, d->prefix.len ? d->prefix : SPAN("<nil>"), &none,
			      detail_print(d->change, "\"%.*s\" %s", (int)path.len, path.ptr, words));
}

static void check_all(struct validation *d, const struct openapi_schema *s, const struct value *v,
		      const struct value *old)
{
	size_t fit = 0, count = 0;

	for (; s->all_of && s->all_of[count]; count++) {
		size_t before = d->faults;

		validate_node(d, s->all_of[count], v, old);
		fit += d->faults == before;
	}
	if (fit < count)
		fault_beside(d, fit ? "must validate all the schemas (allOf)"
				    : "must validate all the schemas (allOf). None validated");
}

static void check_beside(struct validation *d, const struct openapi_schema *s, const struct value *v,
			 const struct value *old)
{
	const struct openapi_schema *best;
	size_t found;

	if (s->any_of && *s->any_of && !fit_count(d, s->any_of, v, old, 1, &best)) {
		fault_beside(d, "must validate at least one schema (anyOf)");
		validate_node(d, best, v, old); /* with why not */
	}
	if (s->one_of && *s->one_of && (found = fit_count(d, s->one_of, v, old, SIZE_MAX, &best)) != 1) {
		fault_beside(d, found ? detail_print(d->change,
						     "must validate one and only one schema (oneOf). Found %zu valid "
						     "alternatives",
						     found)
				      : "must validate one and only one schema (oneOf). Found none valid");
		if (!found)
			validate_node(d, best, v, old);
	}
	check_all(d, s, v, old);
	if (s->none_of && fits(d, s->none_of, v, old))
		fault_beside(d, "must not validate the schema (not)");
}

/* How many of the real server's checks a value has met: of several schemas that it does not fit it tells of the one with most. */
static size_t match_count(const struct openapi_schema *s, const struct value *v, bool has_type)
{
	size_t n = 0;

	if (v->type == VALUE_NULL)
		return has_type;
	n += 4 + (s->type.len || s->format ? 1 + has_type : 0);
	if (is_number(v) || v->type == VALUE_ARRAY)
		return n + 2;
	if (v->type == VALUE_STRING)
		return n + 1 + (s->format ? 1 : 0);
	return n + (v->type == VALUE_OBJECT);
}

static void validate_node(struct validation *d, const struct openapi_schema *s, const struct value *v,
			  const struct value *old)
{
	size_t faults;

	if (d->change->err && d->change->err->code)
		return;
	if (++d->checks > CHECKS_MAX) {
		fault_body(d, v, "takes more checks of its schema than one object may");
		return;
	}
	faults = d->faults;
	check_type(d, s, v);
	d->matches += match_count(s, v, d->faults == faults);
	if (s->enums && s->enums->array.count)
		check_enum(d, s, v);
	if (v->type == VALUE_NULL)
		return;
	if (is_number(v)) {
		check_number(d, s, v);
	} else if (v->type == VALUE_STRING) {
		check_string(d, s, v);
		check_format(d, s, v);
	} else if (v->type == VALUE_OBJECT) {
		check_object(d, s, v, old);
	} else if (v->type == VALUE_ARRAY) {
		check_array(d, s, v, old);
	}
	check_beside(d, s, v, old);
}

/* What stands there already is let through. */
static void validate(struct validation *d, const struct openapi_schema *s, const struct value *v,
		     const struct value *old)
{
	if (!old || !value_equal(old, v))
		validate_node(d, s, v, old);
}

void openapi_schema_validate(const struct openapi_schema *s, const struct value *v, const struct value *old,
			     struct span path, struct change *c)
{
	struct validation d = { .change = c, .prefix = path };

	buffer_init(&d.path, KIB(64));
	validate(&d, s, v, old);
	buffer_done(&d.path);
}
