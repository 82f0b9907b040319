/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns - printer columns of custom kinds: the part of JSONPath that kubectl's library has (k8s.io/client-go util/jsonpath) and that
 * definitions use: members, ['member'], [index], [*], [from:to], [?(@.path == "text")], and .. for any depth.
 */
#include "kube/crd/crd.h"
#include "kube/crd/shipped.h"

#include "base/clock.h"
#include "base/number.h"
#include "kube/kinds/kinds.h"

enum step_kind { STEP_MEMBER, STEP_ALL, STEP_INDEX, STEP_SLICE, STEP_FILTER, STEP_DEEP };
enum compare {
	COMPARE_EXISTS,
	COMPARE_EQUAL,
	COMPARE_NOT,
	COMPARE_LESS,
	COMPARE_AT_MOST,
	COMPARE_OVER,
	COMPARE_AT_LEAST
};
enum { STEPS_MAX = 64, DEPTH_MAX = 200, VISITS_MAX = 100000 };

struct step {
	enum step_kind kind;
	struct span name;
	int64_t from, to;
	bool has_to;
	enum compare compare;
	const struct column_path *left;
	struct value right;
};

struct column_path {
	struct step *steps;
	size_t count;
};

/* ---- reading ---- */

struct reader {
	struct span text;
	struct arena *arena;
	struct error *err;
	unsigned depth;
};

static struct column_path *path_read(struct reader *r);

static void spaces_skip(struct reader *r)
{
	while (r->text.len && (r->text.ptr[0] == ' ' || r->text.ptr[0] == '\t'))
		r->text = span_skip(r->text, 1);
}

static bool take(struct reader *r, struct span word)
{
	if (!span_starts(r->text, word))
		return false;
	r->text = span_skip(r->text, word.len);
	return true;
}

static bool bad(struct reader *r)
{
	return error_set(r->err, ERROR_INVALID, "unrecognized path");
}

/* 'text' or "text"; a backslash takes the next letter as it is. */
static bool quoted_read(struct reader *r, struct span *ret)
{
	char quote = r->text.len ? r->text.ptr[0] : '\0';
	char *to = arena_alloc(r->arena, r->text.len + 1, r->err);
	size_t len = 0, i = 1;

	if (!to || (quote != '\'' && quote != '"'))
		return to ? bad(r) : false;
	for (; i < r->text.len && r->text.ptr[i] != quote; i++) {
		if (r->text.ptr[i] == '\\' && i + 1 < r->text.len)
			i++;
		to[len++] = r->text.ptr[i];
	}
	if (i >= r->text.len)
		return bad(r);
	r->text = span_skip(r->text, i + 1);
	*ret = span_from(to, len);
	return true;
}

/* Up to the next of ".[] ()=!<>"; "\." is a dot of the name. */
static bool name_read(struct reader *r, struct span *ret)
{
	char *to = arena_alloc(r->arena, r->text.len + 1, r->err);
	size_t len = 0, i = 0;

	if (!to)
		return false;
	for (; i < r->text.len && !strchr(".[] ()=!<>|&", r->text.ptr[i]); i++) {
		if (r->text.ptr[i] == '\\' && i + 1 < r->text.len)
			i++;
		to[len++] = r->text.ptr[i];
	}
	r->text = span_skip(r->text, i);
	*ret = span_from(to, len);
	return len > 0 || bad(r);
}

static bool number_read(struct reader *r, int64_t *ret)
{
	size_t i = r->text.len && r->text.ptr[0] == '-';
	struct span digits;

	while (i < r->text.len && r->text.ptr[i] >= '0' && r->text.ptr[i] <= '9')
		i++;
	digits = span_first(r->text, i);
	r->text = span_skip(r->text, i);
	return number_parse_int64(digits, ret) || bad(r);
}

static bool literal_read(struct reader *r, struct value *ret)
{
	struct span text;
	size_t i = 0;

	spaces_skip(r);
	if (r->text.len && (r->text.ptr[0] == '"' || r->text.ptr[0] == '\'')) {
		if (!quoted_read(r, &text))
			return false;
		*ret = value_string(text);
		return true;
	}
	while (i < r->text.len && r->text.ptr[i] != ')' && r->text.ptr[i] != ' ')
		i++;
	text = span_first(r->text, i);
	r->text = span_skip(r->text, i);
	return value_parse(text, NULL, r->arena, ret, r->err);
}

static bool filter_read(struct reader *r, struct step *s)
{
	static const struct {
		struct span text;
		enum compare compare;
	} rows[] = { { SPAN_INIT("=="), COMPARE_EQUAL },   { SPAN_INIT("!="), COMPARE_NOT },
		     { SPAN_INIT("<="), COMPARE_AT_MOST }, { SPAN_INIT(">="), COMPARE_AT_LEAST },
		     { SPAN_INIT("<"), COMPARE_LESS },     { SPAN_INIT(">"), COMPARE_OVER } };

	s->kind = STEP_FILTER;
	s->compare = COMPARE_EXISTS;
	spaces_skip(r);
	if (!take(r, SPAN("@")) || ++r->depth > 8)
		return bad(r);
	s->left = path_read(r);
	r->depth--;
	if (!s->left)
		return false;
	spaces_skip(r);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!take(r, rows[i].text))
			continue;
		s->compare = rows[i].compare;
		if (!literal_read(r, &s->right))
			return false;
		break;
	}
	spaces_skip(r);
	return take(r, SPAN(")")) || bad(r);
}

/* Behind "[". */
static bool bracket_read(struct reader *r, struct step *s)
{
	spaces_skip(r);
	if (take(r, SPAN("*"))) {
		s->kind = STEP_ALL;
	} else if (take(r, SPAN("?("))) {
		if (!filter_read(r, s))
			return false;
	} else if (r->text.len && (r->text.ptr[0] == '\'' || r->text.ptr[0] == '"')) {
		s->kind = STEP_MEMBER;
		if (!quoted_read(r, &s->name))
			return false;
	} else {
		s->kind = STEP_INDEX;
		if (!span_starts(r->text, SPAN(":")) && !number_read(r, &s->from))
			return false;
		if (take(r, SPAN(":"))) {
			s->kind = STEP_SLICE;
			s->has_to = r->text.len && r->text.ptr[0] != ']';
			if (s->has_to && !number_read(r, &s->to))
				return false;
		}
	}
	spaces_skip(r);
	return take(r, SPAN("]")) || bad(r);
}

static bool step_read(struct reader *r, struct step *s)
{
	if (take(r, SPAN(".."))) {
		s->kind = STEP_DEEP;
		/* What follows is a step of its own; a name has lost its dot. */
		if (r->text.len && r->text.ptr[0] != '[')
			r->text = (struct span){ r->text.ptr - 1, r->text.len + 1 };
		return true;
	}
	if (take(r, SPAN("[")))
		return bracket_read(r, s);
	if (!take(r, SPAN(".")))
		return bad(r);
	if (take(r, SPAN("*"))) {
		s->kind = STEP_ALL;
		return true;
	}
	if (r->text.len && r->text.ptr[0] == '[') {
		r->text = span_skip(r->text, 1);
		return bracket_read(r, s);
	}
	s->kind = STEP_MEMBER;
	return name_read(r, &s->name);
}

static struct column_path *path_read(struct reader *r)
{
	struct column_path *p = ARENA_NEW(r->arena, struct column_path, r->err);

	if (p)
		p->steps = arena_calloc(r->arena, STEPS_MAX, sizeof(*p->steps), r->err);
	if (!p || !p->steps)
		return NULL;
	if (span_equal(r->text, SPAN("."))) {
		r->text = span_skip(r->text, 1);
		return p;
	}
	while (r->text.len && (r->text.ptr[0] == '.' || r->text.ptr[0] == '[')) {
		if (p->count == STEPS_MAX) {
			(void)bad(r);
			return NULL;
		}
		if (!step_read(r, &p->steps[p->count]))
			return NULL;
		p->count++;
	}
	return p;
}

struct column_path *column_path_parse(struct span text, struct arena *arena, struct error *err)
{
	struct reader r = { .text = text, .arena = arena, .err = err };
	struct column_path *p = path_read(&r);

	if (p && r.text.len) {
		(void)bad(&r);
		return NULL;
	}
	return p;
}

/* ---- finding ---- */

struct search {
	const struct column_path *path;
	size_t visits;
};

static const struct value *find(struct search *s, const struct value *v, size_t at, unsigned depth);

static bool holds(const struct step *s, const struct value *item)
{
	const struct value *left = column_path_find(s->left, item), *right = &s->right;
	int order;

	if (!left || s->compare == COMPARE_EXISTS)
		return left != NULL && s->compare == COMPARE_EXISTS;
	if (s->compare == COMPARE_EQUAL || s->compare == COMPARE_NOT)
		return value_equal(left, right) == (s->compare == COMPARE_EQUAL);
	if (left->type == VALUE_STRING && right->type == VALUE_STRING) {
		order = span_order(left->string, right->string);
	} else {
		double a = left->type == VALUE_INT      ? (double)left->integer
			   : left->type == VALUE_DOUBLE ? left->number
							: 0;
		double b = right->type == VALUE_INT      ? (double)right->integer
			   : right->type == VALUE_DOUBLE ? right->number
							 : 0;

		order = (a > b) - (a < b);
	}
	return s->compare == COMPARE_LESS      ? order < 0
	       : s->compare == COMPARE_AT_MOST ? order <= 0
	       : s->compare == COMPARE_OVER    ? order > 0
					       : order >= 0;
}

static uint32_t count_below(const struct value *v)
{
	return count_of(v);
}

static const struct value *below(const struct value *v, uint32_t i)
{
	return v->type == VALUE_ARRAY ? value_item(v, i) : &v->object.members[i].value;
}

static const struct value *find_each(struct search *s, const struct value *v, size_t at, unsigned depth,
				     const struct step *filter)
{
	for (uint32_t i = 0; i < count_below(v); i++) {
		const struct value *one = below(v, i), *found;

		if (filter && !holds(filter, one))
			continue;
		found = find(s, one, at, depth);
		if (found)
			return found;
	}
	return NULL;
}

/* Here, or in anything below. */
static const struct value *find_deep(struct search *s, const struct value *v, size_t at, unsigned depth)
{
	const struct value *found = find(s, v, at, depth);

	if (depth >= DEPTH_MAX)
		return NULL;
	for (uint32_t i = 0; !found && i < count_below(v); i++)
		found = find_deep(s, below(v, i), at, depth + 1);
	return found;
}

static const struct value *find_slice(struct search *s, const struct value *v, size_t at, unsigned depth,
				      const struct step *slice)
{
	int64_t count = count_of(v), from = slice->from, to = slice->has_to ? slice->to : count;

	from = from < 0 ? from + count : from;
	to = to < 0 ? to + count : to;
	for (int64_t i = MAX(from, 0); i < MIN(to, count); i++) {
		const struct value *found = find(s, value_item(v, (uint32_t)i), at, depth);

		if (found)
			return found;
	}
	return NULL;
}

static const struct value *find(struct search *s, const struct value *v, size_t at, unsigned depth)
{
	const struct step *step = at < s->path->count ? &s->path->steps[at] : NULL;
	int64_t index;

	if (!v || !step || ++s->visits > VISITS_MAX)
		return step ? NULL : v;
	switch (step->kind) {
	case STEP_MEMBER:
		return find(s, value_get(v, step->name), at + 1, depth);
	case STEP_ALL:
		return find_each(s, v, at + 1, depth, NULL);
	case STEP_FILTER:
		return find_each(s, v, at + 1, depth, step);
	case STEP_INDEX:
		index = step->from < 0 ? step->from + count_of(v) : step->from;
		return v->type == VALUE_ARRAY && index >= 0 && index < v->array.count
			   ? find(s, value_item(v, (uint32_t)index), at + 1, depth)
			   : NULL;
	case STEP_SLICE:
		return v->type == VALUE_ARRAY ? find_slice(s, v, at + 1, depth, step) : NULL;
	case STEP_DEEP:
		return find_deep(s, v, at + 1, depth);
	}
	return NULL;
}

const struct value *column_path_find(const struct column_path *path, const struct value *object)
{
	struct search s = { .path = path };

	return find(&s, object, 0, 0);
}

/* ---- columns ---- */

static const struct column name_column = COLUMN_NAME, age_column = COLUMN_AGE;

bool custom_columns_make(struct custom_version *v, const struct value *version, struct error *err)
{
	const struct value *given = get(version, "additionalPrinterColumns");
	size_t most = MIN(count_of(given) ? count_of(given) : 1, (size_t)COLUMNS_MAX - 1);
	struct arena *arena = &v->form->arena;
	struct column *columns = arena_calloc(arena, most + 2, sizeof(*columns), err);

	v->paths = arena_calloc(arena, most, sizeof(*v->paths), err);
	if (!columns || !v->paths)
		return false;
	columns[0] = name_column;
	v->kind.columns = columns;
	if (!count_of(given)) {
		struct column_path *age = column_path_parse(SPAN(".metadata.creationTimestamp"), arena, err);

		columns[1] = age_column;
		columns[1].type = "date";
		if (age)
			v->paths[v->path_count++] = *age;
		return age != NULL;
	}
	for (size_t i = 0; i < most; i++) {
		const struct value *one = value_item(given, (uint32_t)i);
		struct span path = get_text(one, "jsonPath"), words = get_text(one, "description");
		struct error why = { 0 };
		struct column_path *parsed = column_path_parse(path, arena, &why);

		/* The real server prints what stands before a path that it cannot read. */
		if (!parsed)
			return why.code == ERROR_INVALID || error_set(err, why.code, "%s", why.message);
		v->paths[v->path_count++] = *parsed;
		if (!words.len)
			words =
			    arena_print(arena, err, "Custom resource definition column (in JSONPath format): " SPAN_FMT,
					SPAN_ARG(path));
		columns[i + 1] = (struct column){
			.name = arena_copy(arena, get_text(one, "name"), err).ptr,
			.type = arena_copy(arena, get_text(one, "type"), err).ptr,
			.format = arena_copy(arena, get_text(one, "format"), err).ptr,
			.description = arena_copy(arena, words, err).ptr,
			.priority = (int)get_int(one, "priority", 0),
		};
		if (err->code)
			return false;
	}
	return true;
}

static struct value cell_of(const char *type, const struct value *v, int64_t now_ns, struct arena *arena)
{
	struct error ignored = { 0 };
	struct span text;

	if (!v || v->type == VALUE_NULL)
		return value_null();
	if (strcmp(type, "string") == 0) {
		text = v->type == VALUE_STRING ? v->string : value_print(v, arena, &ignored);
		return value_string(text.ptr ? text : SPAN(""));
	}
	if (strcmp(type, "integer") == 0)
		return v->type == VALUE_INT ? *v
		       : v->type == VALUE_DOUBLE && v->number > -0x1p63 && v->number < 0x1p63
			   ? value_int((int64_t)v->number)
			   : value_null();
	if (strcmp(type, "number") == 0)
		return v->type == VALUE_INT || v->type == VALUE_DOUBLE ? *v : value_null();
	if (strcmp(type, "boolean") == 0)
		return v->type == VALUE_BOOL ? *v : value_null();
	if (strcmp(type, "date") == 0 && v->type == VALUE_STRING) {
		int64_t seconds;

		return clock_parse_rfc3339(v->string, &seconds) ? value_string(kube_age(v->string, now_ns, arena))
								: value_string(SPAN("<invalid>"));
	}
	return value_null();
}

void custom_row(const struct kind *kind, const struct value *object, int64_t now_ns, struct value *cells,
		struct arena *arena)
{
	const struct custom_version *v = custom_of(kind);

	cells[0] = cell_name(object);
	for (size_t i = 0; v && i < v->path_count; i++)
		cells[i + 1] =
		    cell_of(kind->columns[i + 1].type, column_path_find(&v->paths[i], object), now_ns, arena);
	if (v && v->hooks && v->hooks->row)
		v->hooks->row(object, now_ns, cells, arena);
}
