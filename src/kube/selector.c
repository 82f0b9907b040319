/* SPDX-License-Identifier: Apache-2.0 */
/* selector - label selectors (the grammar of k8s.io/apimachinery labels.Parse, with its words for faults) and field selectors. */
#include "kube/cluster.h"

#include "base/ascii.h"
#include "kube/kube_private.h"

#include <stdlib.h>

enum { REQUIREMENTS_MOST = 1000, VALUES_MOST = 10000 };

enum token {
	TOKEN_END,
	TOKEN_IDENTIFIER,
	TOKEN_COMMA,
	TOKEN_EQUAL,
	TOKEN_DOUBLE,
	TOKEN_NOT_EQUAL,
	TOKEN_NOT,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_GREATER,
	TOKEN_LESS,
	TOKEN_IN,
	TOKEN_NOT_IN
};

struct lexer {
	struct span rest;
	enum token token;
	struct span text;
	struct arena *arena;
	struct error *err;
};

static bool is_special(char c)
{
	return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

/* Looks at the next token; `is_value`: "in" and "notin" are ordinary words. */
static void look(struct lexer *l, bool is_value)
{
	static const struct {
		const char *text;
		enum token token;
	} symbols[] = { { "==", TOKEN_DOUBLE }, { "!=", TOKEN_NOT_EQUAL }, { "=", TOKEN_EQUAL },
			{ "!", TOKEN_NOT },     { "(", TOKEN_OPEN },       { ")", TOKEN_CLOSE },
			{ ",", TOKEN_COMMA },   { ">", TOKEN_GREATER },    { "<", TOKEN_LESS } };
	size_t len = 0;

	while (l->rest.len && ascii_is_space(l->rest.ptr[0]))
		l->rest = span_skip(l->rest, 1);
	l->token = TOKEN_END;
	l->text = SPAN("");
	if (!l->rest.len)
		return;
	if (is_special(l->rest.ptr[0])) {
		for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
			if (span_starts(l->rest, span_of(symbols[i].text))) {
				l->token = symbols[i].token;
				l->text = span_of(symbols[i].text);
				return;
			}
		}
	}
	while (len < l->rest.len && !is_special(l->rest.ptr[len]) && !ascii_is_space(l->rest.ptr[len]))
		len++;
	l->text = span_first(l->rest, len);
	l->token = TOKEN_IDENTIFIER;
	if (!is_value && span_equal(l->text, SPAN("in")))
		l->token = TOKEN_IN;
	else if (!is_value && span_equal(l->text, SPAN("notin")))
		l->token = TOKEN_NOT_IN;
}

static void take(struct lexer *l)
{
	l->rest = span_skip(l->rest, l->text.len);
}

static bool fail(struct lexer *l, const char *expected)
{
	return error_set(l->err, ERROR_INVALID, "unable to parse requirement: found '" SPAN_FMT "', expected: %s",
			 SPAN_ARG(l->text), expected);
}

static bool check_key(struct lexer *l, struct span key)
{
	const char *fault = name_check_qualified(key);

	return !fault || error_set(l->err, ERROR_INVALID,
				   "unable to parse requirement: <nil>: Invalid value: \"" SPAN_FMT "\": %s",
				   SPAN_ARG(key), fault);
}

static bool check_value(struct lexer *l, struct span key, struct span value, uint32_t index)
{
	const char *fault = name_check_label_value(value);

	return !fault ||
	       error_set(l->err, ERROR_INVALID,
			 "unable to parse requirement: values[%u][" SPAN_FMT "]: Invalid value: \"" SPAN_FMT "\": %s",
			 index, SPAN_ARG(key), SPAN_ARG(value), fault);
}

static bool add_value(struct lexer *l, struct requirement *r, struct span value, uint32_t *capacity)
{
	if (r->count == *capacity) {
		struct span *larger = ARENA_ARRAY(l->arena, struct span, *capacity * 2 + 4, l->err);

		if (!larger)
			return false;
		if (r->count)
			memcpy(larger, r->values, r->count * sizeof(*larger));
		r->values = larger;
		*capacity = *capacity * 2 + 4;
	}
	if (r->count == VALUES_MOST)
		return error_set(l->err, ERROR_INVALID, "unable to parse requirement: over %d values", VALUES_MOST);
	r->values[r->count++] = value;
	return true;
}

/* "(a, b,)": an empty place between commas is the empty value. */
static bool read_set(struct lexer *l, struct requirement *r)
{
	uint32_t capacity = 0;
	bool wants_value = true;

	look(l, true);
	if (l->token != TOKEN_OPEN)
		return error_set(l->err, ERROR_INVALID,
				 "unable to parse requirement: found '" SPAN_FMT "' expected: '('", SPAN_ARG(l->text));
	take(l);
	for (;;) {
		look(l, true);
		if (l->token == TOKEN_IDENTIFIER && wants_value) {
			if (!check_value(l, r->key, l->text, r->count) || !add_value(l, r, l->text, &capacity))
				return false;
			wants_value = false;
		} else if (l->token == TOKEN_COMMA) {
			if (wants_value && !add_value(l, r, SPAN(""), &capacity))
				return false;
			wants_value = true;
		} else if (l->token == TOKEN_CLOSE) {
			if (wants_value && !add_value(l, r, SPAN(""), &capacity))
				return false;
			take(l);
			return true;
		} else {
			return fail(l, wants_value && !r->count ? "',', ')' or identifier" : "',' or ')'");
		}
		take(l);
	}
}

static bool read_one(struct lexer *l, struct requirement *r)
{
	uint32_t capacity = 0;
	struct span value = SPAN("");

	look(l, true);
	if (l->token == TOKEN_IDENTIFIER) {
		value = l->text;
		take(l);
	} else if (l->token != TOKEN_END && l->token != TOKEN_COMMA) {
		return fail(l, "identifier");
	}
	if (r->kind == REQUIRE_GREATER || r->kind == REQUIRE_LESS) {
		if (!number_parse_int64(value, &r->number))
			return error_set(l->err, ERROR_INVALID,
					 "unable to parse requirement: values[0]: Invalid value: \"" SPAN_FMT
					 "\": for 'Gt', 'Lt' operators, the value must be an integer",
					 SPAN_ARG(value));
		return true;
	}
	return check_value(l, r->key, value, 0) && add_value(l, r, value, &capacity);
}

static bool read_requirement(struct lexer *l, struct requirement *r)
{
	bool is_not = l->token == TOKEN_NOT;

	*r = (struct requirement){ .kind = is_not ? REQUIRE_ABSENT : REQUIRE_EXISTS };
	if (is_not) {
		take(l);
		look(l, true);
	}
	if (l->token != TOKEN_IDENTIFIER && l->token != TOKEN_IN && l->token != TOKEN_NOT_IN)
		return fail(l, "identifier");
	r->key = l->text;
	if (!check_key(l, r->key))
		return false;
	take(l);
	look(l, false);
	if (is_not || l->token == TOKEN_END || l->token == TOKEN_COMMA)
		return true;
	switch (l->token) {
	case TOKEN_EQUAL:
	case TOKEN_DOUBLE:
		r->kind = REQUIRE_IN;
		break;
	case TOKEN_NOT_EQUAL:
		r->kind = REQUIRE_NOT_IN;
		break;
	case TOKEN_GREATER:
		r->kind = REQUIRE_GREATER;
		break;
	case TOKEN_LESS:
		r->kind = REQUIRE_LESS;
		break;
	case TOKEN_IN:
		take(l);
		r->kind = REQUIRE_IN;
		return read_set(l, r);
	case TOKEN_NOT_IN:
		take(l);
		r->kind = REQUIRE_NOT_IN;
		return read_set(l, r);
	case TOKEN_CLOSE:
	case TOKEN_OPEN:
		return true; /* the one who looks for a comma says what is wrong */
	default:
		return error_set(l->err, ERROR_INVALID,
				 "unable to parse requirement: found '" SPAN_FMT
				 "', expected: in, notin, =, ==, !=, gt, lt",
				 SPAN_ARG(l->text));
	}
	take(l);
	return read_one(l, r);
}

static struct requirement *add_requirement(struct selector *s, uint32_t *capacity, struct arena *arena,
					   struct error *err)
{
	if (s->count == REQUIREMENTS_MOST) {
		error_set(err, ERROR_INVALID, "the selector has over %d requirements", REQUIREMENTS_MOST);
		return NULL;
	}
	if (s->count == *capacity) {
		struct requirement *larger = ARENA_ARRAY(arena, struct requirement, *capacity * 2 + 4, err);

		if (!larger)
			return NULL;
		if (s->count)
			memcpy(larger, s->items, s->count * sizeof(*larger));
		s->items = larger;
		*capacity = *capacity * 2 + 4;
	}
	return &s->items[s->count++];
}

bool selector_parse_labels(struct span text, struct arena *arena, struct selector *ret, struct error *err)
{
	struct lexer l = { .rest = text, .arena = arena, .err = err };
	struct selector s = { 0 };
	uint32_t capacity = 0;

	for (;;) {
		struct requirement *r;

		look(&l, true);
		if (l.token == TOKEN_END)
			break;
		if (l.token != TOKEN_IDENTIFIER && l.token != TOKEN_NOT)
			return error_set(err, ERROR_INVALID,
					 "found '" SPAN_FMT "', expected: !, identifier, or 'end of string'",
					 SPAN_ARG(l.text));
		r = add_requirement(&s, &capacity, arena, err);
		if (!r || !read_requirement(&l, r))
			return false;
		look(&l, true);
		if (l.token == TOKEN_END)
			break;
		if (l.token != TOKEN_COMMA)
			return error_set(err, ERROR_INVALID, "found '" SPAN_FMT "', expected: ',' or 'end of string'",
					 SPAN_ARG(l.text));
		take(&l);
		look(&l, true);
		if (l.token != TOKEN_IDENTIFIER && l.token != TOKEN_NOT)
			return error_set(err, ERROR_INVALID, "found '" SPAN_FMT "', expected: identifier after ','",
					 SPAN_ARG(l.text));
	}
	*ret = s;
	return true;
}

/* ---- fields ---- */

static const struct selectable *field_find(const struct kind *kind, struct span name)
{
	for (const struct selectable *s = kind->selectable; s && s->name; s++)
		if (span_equal(name, span_of(s->name)))
			return s;
	return NULL;
}

/* Commas, equals signs and backslashes of values are escaped by a backslash. */
static struct span unescape(struct span s, struct arena *arena, struct error *err)
{
	size_t len = 0;
	char *to;

	if (span_index(s, '\\') == s.len)
		return s;
	to = arena_alloc(arena, s.len, err);
	if (!to)
		return (struct span){ 0 };
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\' && i + 1 < s.len)
			i++;
		to[len++] = s.ptr[i];
	}
	return span_from(to, len);
}

static struct span term_cut(struct span *rest)
{
	size_t i = 0;
	struct span term;

	while (i < rest->len && rest->ptr[i] != ',')
		i += rest->ptr[i] == '\\' ? 2 : 1;
	i = MIN(i, rest->len);
	term = span_first(*rest, i);
	*rest = span_skip(*rest, MIN(i + 1, rest->len));
	return term;
}

static bool read_term(struct span term, const struct kind *kind, struct arena *arena, struct requirement *r,
		      struct error *err)
{
	size_t i = 0, width = 1;
	struct span name, value;

	while (i < term.len && term.ptr[i] != '=' &&
	       !(term.ptr[i] == '!' && i + 1 < term.len && term.ptr[i + 1] == '='))
		i += term.ptr[i] == '\\' ? 2 : 1;
	if (i >= term.len)
		return error_set(err, ERROR_INVALID,
				 "invalid selector: '" SPAN_FMT "'; can't understand '" SPAN_FMT "'", SPAN_ARG(term),
				 SPAN_ARG(term));
	name = span_first(term, i);
	*r = (struct requirement){ .kind = term.ptr[i] == '!' ? REQUIRE_NOT_IN : REQUIRE_IN, .key = name, .count = 1 };
	if (i + 1 < term.len && term.ptr[i + 1] == '=')
		width = 2;
	value = unescape(span_skip(term, i + width), arena, err);
	r->values = ARENA_NEW(arena, struct span, err);
	if (!r->values)
		return false;
	r->values[0] = value;
	r->field = field_find(kind, name);
	if (r->field || span_equal(name, SPAN("metadata.name")) ||
	    (span_equal(name, SPAN("metadata.namespace")) &&
	     (kind->is_namespaced || kind->is_custom || !kind->selectable)))
		return true;
	if (kind->selectable && !kind->is_custom)
		return error_set(err, ERROR_INVALID, "field label not supported: " SPAN_FMT, SPAN_ARG(name));
	if (kind->is_custom)
		return error_set(err, ERROR_INVALID, "field label not supported: " SPAN_FMT, SPAN_ARG(name));
	return error_set(err, ERROR_INVALID,
			 "\"" SPAN_FMT
			 "\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
			 SPAN_ARG(name));
}

bool selector_parse_fields(struct span text, const struct kind *kind, struct arena *arena, struct selector *ret,
			   struct error *err)
{
	struct selector s = { 0 };
	uint32_t capacity = 0;

	while (text.len) {
		struct span term = term_cut(&text);
		struct requirement *r;

		if (!term.len)
			continue;
		r = add_requirement(&s, &capacity, arena, err);
		if (!r || !read_term(term, kind, arena, r, err))
			return false;
	}
	*ret = s;
	return true;
}

bool selector_copy(const struct selector *from, struct arena *arena, struct selector *ret, struct error *err)
{
	*ret = *from;
	if (!from->count)
		return true;
	ret->items = ARENA_ARRAY(arena, struct requirement, from->count, err);
	for (uint32_t i = 0; ret->items && i < from->count; i++) {
		struct requirement *r = &ret->items[i];

		*r = from->items[i];
		r->key = arena_copy(arena, r->key, err);
		r->values = ARENA_ARRAY(arena, struct span, r->count, err);
		if (!r->key.ptr || !r->values)
			return false;
		for (uint32_t j = 0; j < r->count; j++) {
			r->values[j] = arena_copy(arena, from->items[i].values[j], err);
			if (!r->values[j].ptr)
				return false;
		}
	}
	return ret->items != NULL;
}

/* ---- matching ---- */

static bool holds(const struct requirement *r, const struct span *value)
{
	int64_t number;

	switch (r->kind) {
	case REQUIRE_EXISTS:
		return value != NULL;
	case REQUIRE_ABSENT:
		return value == NULL;
	case REQUIRE_GREATER:
	case REQUIRE_LESS:
		if (!value || !number_parse_int64(*value, &number))
			return false;
		return r->kind == REQUIRE_GREATER ? number > r->number : number < r->number;
	default:
		break;
	}
	for (uint32_t i = 0; value && i < r->count; i++)
		if (span_equal(*value, r->values[i]))
			return r->kind == REQUIRE_IN;
	return r->kind == REQUIRE_NOT_IN;
}

static bool labels_match(const struct selector *s, const struct notes *n)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct span *value = NULL;

		for (uint32_t j = 0; n && j < n->label_count && !value; j++)
			if (span_equal(n->labels[j].key, s->items[i].key))
				value = &n->labels[j].value;
		if (!holds(&s->items[i], value))
			return false;
	}
	return true;
}

const struct selector *selector_read(struct span text, struct arena *arena, struct error *err)
{
	struct selector *s = ARENA_NEW(arena, struct selector, err);

	return s && selector_parse_labels(text, arena, s, err) ? s : NULL;
}

bool selector_takes(const struct selector *s, const struct value *labels)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct value *v = value_get(labels, s->items[i].key);

		if (!holds(&s->items[i], value_is(v, VALUE_STRING) ? &v->string : NULL))
			return false;
	}
	return true;
}

static struct span field_text(const struct value *v, const struct selectable *field, struct arena *arena)
{
	struct error ignored = { 0 };

	if (!v || v->type == VALUE_NULL)
		return field->otherwise ? span_of(field->otherwise) : SPAN("");
	if (v->type == VALUE_STRING)
		return v->string.len || !field->otherwise ? v->string : span_of(field->otherwise);
	return value_print(v, arena, &ignored); /* true, 3 */
}

/* metadata.name and metadata.namespace are in the key; other fields need the object. */
static bool fields_match(const struct selector *s, const struct record *r)
{
	struct span name = r->key, name_space;
	struct value object = value_null();
	struct error ignored = { 0 };
	struct arena arena;
	bool is_parsed = false, matches = true;
	size_t at = name.len;

	while (at && r->key.ptr[at - 1] != '/')
		at--;
	name = span_skip(r->key, at);
	name_space = span_first(r->key, at ? at - 1 : 0);
	at = name_space.len;
	while (at && r->key.ptr[at - 1] != '/')
		at--;
	name_space = span_skip(name_space, at);
	if (span_equal(name_space, SPAN("-")))
		name_space = SPAN("");
	arena_init(&arena, MIB(64));
	for (uint32_t i = 0; i < s->count && matches; i++) {
		const struct requirement *q = &s->items[i];
		struct span value;

		if (!q->field) {
			value = span_equal(q->key, SPAN("metadata.name")) ? name : name_space;
		} else {
			if (!is_parsed)
				is_parsed = value_parse(r->text, NULL, &arena, &object, &ignored);
			value = field_text(value_find(&object, q->field->path ? q->field->path : q->field->name),
					   q->field, &arena);
		}
		matches = holds(q, &value);
	}
	arena_done(&arena);
	return matches;
}

bool selectors_match(const struct selectors *s, const struct kind *kind, const struct record *r)
{
	(void)kind;
	return (!s->labels.count || labels_match(&s->labels, notes_of(r))) &&
	       (!s->fields.count || fields_match(&s->fields, r));
}
