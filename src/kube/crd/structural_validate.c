/* SPDX-License-Identifier: Apache-2.0 */
/* structural_validate - whether an object fits its schema. A fault is told in the real server's words, at its path. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "kube/crd/structural_private.h"

#include "kube/kinds/kinds.h"

#include <math.h>
#include <pcre2.h>
#include <stdlib.h>

/* A hostile pattern gives up here; Go's own has no such case, as it never goes back. */
enum { PATTERN_STEPS_MAX = 1000000, PATTERN_HEAP_KIB = 4096, CHECKS_MAX = 2000000 };

struct validation {
	struct change *change;
	struct buffer path;
	size_t checks; /* schemas tried: anyOf in anyOf multiplies */
	size_t faults;
	unsigned is_silent; /* inside anyOf and the like: faults are counted, not told */
};

static void validate(struct validation *d, const struct openapi_schema *s, const struct value *v);

/* NULL when this one is only counted. */
static struct span fault_path(struct validation *d)
{
	d->faults++;
	if (d->is_silent || d->change->cause_count >= CAUSES_MAX)
		return (struct span){ 0 };
	return arena_copy(d->change->arena, buffer_span(&d->path), d->change->err);
}

/* "spec.size in body should be ...", with what was given. */
static void fault_body(struct validation *d, const struct value *v, const char *words)
{
	struct span path = fault_path(d);

	if (path.ptr)
		cause_invalid(d->change, path, v,
			      detail_print(d->change, "%.*s in body %s", (int)path.len, path.ptr, words));
}

/* ---- types ---- */

static bool fits_type(const struct value *v, struct span type)
{
	if (v->type == VALUE_DOUBLE)
		return span_equal(type, SPAN("number")) ||
		       (span_equal(type, SPAN("integer")) && isfinite(v->number) && v->number == floor(v->number));
	if (v->type == VALUE_INT && span_equal(type, SPAN("number")))
		return true;
	return span_equal(type, span_of(value_type_name(v->type)));
}

/* A wrong type has a reason of its own, with the words of a wrong value. */
static void fault_type(struct validation *d, struct span type, struct span given)
{
	struct value name = value_string(given);
	struct cause **last = &d->change->causes;
	size_t before = d->change->cause_count;

	fault_body(
	    d, &name,
	    detail_print(d->change, "must be of type " SPAN_FMT ": \"" SPAN_FMT "\"", SPAN_ARG(type), SPAN_ARG(given)));
	if (d->change->cause_count == before)
		return;
	while (*last && (*last)->next)
		last = &(*last)->next;
	if (*last)
		(*last)->reason = "FieldValueTypeInvalid";
}

static bool check_type(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	struct span type = get_text(s->source, "type");

	if (v->type == VALUE_NULL && s->is_nullable)
		return true;
	if (s->is_int_or_string) {
		if (v->type == VALUE_STRING || fits_type(v, SPAN("integer")))
			return true;
		type = SPAN("integer,string");
	}
	if (!type.len || (!s->is_int_or_string && fits_type(v, type)))
		return true;
	fault_type(d, type, span_of(value_type_name(v->type)));
	return false;
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
	if (names)
		fault_not_supported(d->change, &(const struct at){ .name = path.ptr }, v, names);
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

static bool is_over(const struct value *v, const struct value *most, bool excludes)
{
	if (v->type == VALUE_INT && most->type == VALUE_INT)
		return excludes ? v->integer >= most->integer : v->integer > most->integer;
	return excludes ? number_of(v) >= number_of(most) : number_of(v) > number_of(most);
}

static bool is_multiple(const struct value *v, const struct value *of)
{
	double times;

	if (v->type == VALUE_INT && of->type == VALUE_INT)
		return of->integer == 0 || of->integer == -1 || v->integer % of->integer == 0;
	times = number_of(v) / number_of(of);
	return number_of(of) == 0 || times == nearbyint(times);
}

static const char *limit_words(struct validation *d, const char *words, const struct value *limit)
{
	struct span text = value_print(limit, d->change->arena, d->change->err);

	return detail_print(d->change, "%s " SPAN_FMT, words, SPAN_ARG(text));
}

static void check_number(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	const struct value *most = get(s->source, "maximum"), *least = get(s->source, "minimum");
	const struct value *of = get(s->source, "multipleOf");
	bool no_most = get_bool(s->source, "exclusiveMaximum"), no_least = get_bool(s->source, "exclusiveMinimum");

	if (is_number(of) && !is_multiple(v, of))
		fault_body(d, v, limit_words(d, "should be a multiple of", of));
	if (is_number(most) && is_over(v, most, no_most))
		fault_body(d, v,
			   limit_words(d, no_most ? "should be less than" : "should be less than or equal to", most));
	if (is_number(least) && is_over(least, v, no_least))
		fault_body(
		    d, v,
		    limit_words(d, no_least ? "should be greater than" : "should be greater than or equal to", least));
}

static int64_t letters(struct span s)
{
	int64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

static bool pattern_matches(const struct openapi_schema *s, struct span text)
{
	pcre2_match_data *match = pcre2_match_data_create(1, NULL);
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	int found = PCRE2_ERROR_NOMEMORY;

	if (match && limits) {
		(void)pcre2_set_match_limit(limits, PATTERN_STEPS_MAX);
		(void)pcre2_set_heap_limit(limits, PATTERN_HEAP_KIB);
		found = pcre2_match(s->pattern, (PCRE2_SPTR)(text.ptr ? text.ptr : ""), text.len, 0, 0, match, limits);
	}
	pcre2_match_context_free(limits);
	pcre2_match_data_free(match);
	return found >= 0;
}

static void check_string(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	int64_t most = get_int(s->source, "maxLength", INT64_MAX), least = get_int(s->source, "minLength", 0);
	struct span path;

	if (letters(v->string) > most && (path = fault_path(d)).ptr)
		cause_too_long(d->change, path, (size_t)most);
	if (letters(v->string) < least)
		fault_body(d, v, detail_print(d->change, "should be at least %lld chars long", (long long)least));
	if (s->pattern && !pattern_matches(s, v->string))
		fault_body(
		    d, v,
		    detail_print(d->change, "should match '" SPAN_FMT "'", SPAN_ARG(get_text(s->source, "pattern"))));
}

/* ---- objects and lists ---- */

static void check_count(struct validation *d, const struct openapi_schema *s, const struct value *v,
			const char *most_name, const char *least_name, const char *what)
{
	int64_t most = get_int(s->source, most_name, INT64_MAX), least = get_int(s->source, least_name, 0);
	struct span path;

	if ((int64_t)count_of(v) > most && (path = fault_path(d)).ptr)
		cause_too_many(d->change, path, count_of(v), (size_t)most);
	if ((int64_t)count_of(v) < least)
		fault_body(d, v, detail_print(d->change, "should have at least %lld %s", (long long)least, what));
}

static void path_member(struct validation *d, struct span key)
{
	if (d->path.len)
		buffer_byte(&d->path, '.');
	buffer_append(&d->path, key);
}

static void check_object(struct validation *d, const struct openapi_schema *s, const struct value *v)
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
			cause_required(d->change, path, NULL);
		d->path.len = len;
	}
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		const struct openapi_schema *one = openapi_schema_member(s, m->key);

		if (!one)
			continue;
		path_member(d, m->key);
		validate(d, one, &m->value);
		d->path.len = len;
	}
}

/* The same for values that are equal, in whatever order their members are. */
static uint64_t value_hash(const struct value *v)
{
	uint64_t h = (uint64_t)v->type * 0x9e3779b97f4a7c15u;

	if (v->type == VALUE_STRING)
		return h ^ span_hash(v->string);
	if (v->type == VALUE_INT || v->type == VALUE_BOOL)
		return span_hash(span_from(&(int64_t){ v->type == VALUE_INT ? v->integer : v->boolean }, 8)) ^ h;
	if (v->type == VALUE_DOUBLE)
		return span_hash(span_from(&v->number, sizeof(v->number))) ^ h;
	for (uint32_t i = 0; v->type == VALUE_ARRAY && i < v->array.count; i++)
		h = h * 31 + value_hash(value_item(v, i));
	for (uint32_t i = 0; v->type == VALUE_OBJECT && i < v->object.count; i++)
		h += span_hash(v->object.members[i].key) * (value_hash(&v->object.members[i].value) | 1);
	return h;
}

/* What tells an item from others: itself, or its keys. */
static struct value identity_of(struct validation *d, const struct openapi_schema *s, const struct value *item)
{
	struct value keys = value_object();

	if (s->list == LIST_SET || item->type != VALUE_OBJECT)
		return *item;
	for (size_t i = 0; i < s->list_key_count; i++) {
		const struct value *key = value_get(item, s->list_keys[i]);

		if (key)
			(void)value_set(&keys, s->list_keys[i], *key, d->change->arena, d->change->err);
	}
	return keys;
}

static int by_key(const void *a, const void *b)
{
	const struct value_member *x = a, *y = b;
	size_t n = MIN(x->key.len, y->key.len);
	int order = n ? memcmp(x->key.ptr, y->key.ptr, n) : 0;

	return order ? order : (x->key.len > y->key.len) - (x->key.len < y->key.len);
}

/* An object as Go's %#v has a map of anything: its keys in order. */
static struct span print_go(struct validation *d, const struct value *object)
{
	struct arena *arena = d->change->arena;
	uint32_t count = object->object.count;
	struct value_member *sorted = ARENA_ARRAY(arena, struct value_member, count + 1, d->change->err);
	struct buffer text;
	struct span printed;

	if (!sorted)
		return (struct span){ 0 };
	if (count) {
		memcpy(sorted, object->object.members, count * sizeof(*sorted));
		qsort(sorted, count, sizeof(*sorted), by_key);
	}
	buffer_init(&text, KIB(64)); /* a longer one is cut */
	buffer_append(&text, SPAN("map[string]interface {}{"));
	for (uint32_t i = 0; i < count; i++) {
		struct value key = value_string(sorted[i].key);

		if (i)
			buffer_append(&text, SPAN(", "));
		buffer_append(&text, value_print(&key, arena, d->change->err));
		buffer_byte(&text, ':');
		buffer_append(&text, value_print(&sorted[i].value, arena, d->change->err));
	}
	buffer_byte(&text, '}');
	printed = arena_copy(arena, buffer_span(&text), d->change->err);
	buffer_done(&text);
	return printed;
}

struct identity {
	struct value value;
	uint64_t hash;
	uint32_t index;
};

static int by_hash(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static void check_unique(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	uint32_t count = v->array.count;
	struct identity *all = ARENA_ARRAY(d->change->arena, struct identity, count + 1, d->change->err);
	size_t len = d->path.len;

	for (uint32_t i = 0; all && i < count; i++) {
		all[i].value = identity_of(d, s, value_item(v, i));
		all[i].hash = value_hash(&all[i].value);
		all[i].index = i;
	}
	if (all && count)
		qsort(all, count, sizeof(*all), by_hash);
	for (uint32_t i = 1; all && i < count; i++) {
		struct span path;

		if (all[i].hash != all[i - 1].hash || !value_equal(&all[i].value, &all[i - 1].value))
			continue;
		buffer_print(&d->path, "[%u]", all[i].index);
		path = fault_path(d);
		if (path.ptr && all[i].value.type == VALUE_OBJECT)
			fault_duplicate_printed(d->change, &(const struct at){ .name = path.ptr },
						print_go(d, &all[i].value));
		else if (path.ptr)
			cause_duplicate(d->change, path, &all[i].value);
		d->path.len = len;
	}
}

static void check_array(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	size_t len = d->path.len;

	check_count(d, s, v, "maxItems", "minItems", "items");
	for (uint32_t i = 0; s->items && i < v->array.count; i++) {
		buffer_print(&d->path, "[%u]", i);
		validate(d, s->items, value_item(v, i));
		d->path.len = len;
	}
	if (s->list != LIST_ATOMIC)
		check_unique(d, s, v);
}

/* ---- schemas beside ---- */

static bool fits(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	size_t before = d->faults;
	bool ok;

	d->is_silent++;
	validate(d, s, v);
	d->is_silent--;
	ok = d->faults == before;
	d->faults = before;
	return ok;
}

static size_t fit_count(struct validation *d, struct openapi_schema **all, const struct value *v, size_t enough)
{
	size_t n = 0;

	for (size_t i = 0; all[i] && n < enough; i++)
		n += fits(d, all[i], v);
	return n;
}

/* As the real server tells them: no value, and its place is in the words only. */
static void fault_beside(struct validation *d, const char *words)
{
	struct value none = value_string(SPAN(""));
	struct span path = fault_path(d);

	if (path.ptr)
		cause_invalid(d->change, SPAN("<nil>"), &none,
			      detail_print(d->change, "\"%.*s\" %s", (int)path.len, path.ptr, words));
}

static void check_beside(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	size_t found;

	if (s->any_of && *s->any_of && !fit_count(d, s->any_of, v, 1)) {
		fault_beside(d, "must validate at least one schema (anyOf)");
		validate(d, *s->any_of, v); /* with why not, of one of them */
	}
	if (s->one_of && *s->one_of && (found = fit_count(d, s->one_of, v, 2)) != 1) {
		fault_beside(d, found ? "must validate one and only one schema (oneOf). Found 2 valid alternatives"
				      : "must validate one and only one schema (oneOf). Found none valid");
		if (!found)
			validate(d, *s->one_of, v);
	}
	for (size_t i = 0; s->all_of && s->all_of[i]; i++)
		validate(d, s->all_of[i], v);
	if (s->none_of && fits(d, s->none_of, v))
		fault_beside(d, "must not validate the schema (not)");
}

static void validate(struct validation *d, const struct openapi_schema *s, const struct value *v)
{
	if (d->change->err && d->change->err->code)
		return;
	if (++d->checks > CHECKS_MAX) {
		fault_body(d, v, "takes more checks of its schema than one object may");
		return;
	}
	if (!check_type(d, s, v) || v->type == VALUE_NULL)
		return;
	if (s->enums && s->enums->array.count)
		check_enum(d, s, v);
	if (is_number(v))
		check_number(d, s, v);
	else if (v->type == VALUE_STRING)
		check_string(d, s, v);
	else if (v->type == VALUE_OBJECT)
		check_object(d, s, v);
	else if (v->type == VALUE_ARRAY)
		check_array(d, s, v);
	check_beside(d, s, v);
}

void openapi_schema_validate(const struct openapi_schema *s, const struct value *v, struct span path, struct change *c)
{
	struct validation d = { .change = c };

	buffer_init(&d.path, KIB(64));
	buffer_append(&d.path, path);
	validate(&d, s, v);
	buffer_done(&d.path);
}
