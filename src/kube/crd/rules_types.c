/* SPDX-License-Identifier: Apache-2.0 */
/* What type the values of a schema have in rules, and how large they can be (k8s.io/apiserver pkg/cel/common/schemas.go). */
#include "kube/crd/rules_private.h"
#include "kube/kinds/kinds.h"

enum { REQUEST_MAX = 3 * 1024 * 1024, TYPE_DEPTH_MAX = 512 };

static struct cel_type *simple(const struct cel_type *of, int64_t max_size, int64_t min_serialized, struct arena *arena,
			       struct error *err)
{
	struct cel_type *t = ARENA_NEW(arena, struct cel_type, err);

	if (!t)
		return NULL;
	*t = *of;
	t->max_size = (uint64_t)MAX(max_size, 0);
	t->min_serialized = min_serialized;
	return t;
}

static int64_t limit_of(const struct openapi_schema *s, const char *member)
{
	const struct value *v = get(s->source, member);

	if (value_is(v, VALUE_DOUBLE))
		return v->number > 9e15 ? (int64_t)9e15 : (int64_t)v->number;
	return value_is(v, VALUE_INT) ? MAX(v->integer, 0) : -1;
}

static int64_t longest_enum(const struct openapi_schema *s)
{
	int64_t most = 0;

	for (uint32_t i = 0; i < count_of(s->enums); i++)
		most = MAX(most, (int64_t)text_of(value_item(s->enums, i)).len);
	return most;
}

static struct cel_type *text_type(const struct openapi_schema *s, struct arena *arena, struct error *err)
{
	struct span format = get_text(s->source, "format");
	int64_t limit = limit_of(s, "maxLength");
	struct cel_type *t;

	if (span_equal(format, SPAN("byte")))
		return simple(&cel_bytes, limit >= 0 ? limit : REQUEST_MAX - 2, 2, arena, err);
	if (span_equal(format, SPAN("duration")))
		return simple(&cel_duration, 32, 3, arena, err);
	if (span_equal(format, SPAN("date"))) {
		t = simple(&cel_timestamp, 12, 12, arena, err);
		if (t)
			t->is_date = true;
		return t;
	}
	if (span_equal(format, SPAN("date-time")))
		return simple(&cel_timestamp, 32, 21, arena, err);
	if (limit >= 0) /* letters; four bytes each */
		return simple(&cel_string, MIN(limit, INT64_MAX / 4) * 4, 2, arena, err);
	return simple(&cel_string, count_of(s->enums) ? longest_enum(s) : REQUEST_MAX - 2, 2, arena, err);
}

static const struct cel_type *child_type(const struct openapi_schema *s, struct arena *arena, struct error *err)
{
	return rule_type(s, s->is_embedded, arena, err);
}

static struct cel_type *list_type(const struct openapi_schema *s, struct arena *arena, struct error *err)
{
	const struct cel_type *item = s->items ? child_type(s->items, arena, err) : NULL;
	struct cel_type *t = item ? cel_type_list(item, arena, err) : NULL;
	int64_t limit = limit_of(s, "maxItems");

	if (!t)
		return NULL;
	t->max_size = (uint64_t)(limit >= 0 ? limit : (REQUEST_MAX - 2) / (item->min_serialized + 1));
	t->list = s->list == LIST_MAP ? 2 : s->list == LIST_SET ? 1 : 0;
	t->list_keys = s->list_keys;
	t->list_key_count = s->list_key_count;
	/* keys are looked up as fields are, by the names of expressions */
	if (t->list == 2) {
		struct span *keys = ARENA_ARRAY(arena, struct span, s->list_key_count + 1, err);

		for (size_t i = 0; keys && i < s->list_key_count; i++)
			if (!cel_escape(s->list_keys[i], arena, &keys[i], err))
				keys[i] = s->list_keys[i];
		t->list_keys = keys;
		t->list_key_count = keys ? s->list_key_count : 0;
	}
	return t;
}

static struct cel_type *map_type(const struct openapi_schema *s, struct arena *arena, struct error *err)
{
	const struct cel_type *item = child_type(s->additional, arena, err);
	struct cel_type *key = item ? simple(&cel_string, 0, 2, arena, err) : NULL;
	struct cel_type *t = key ? cel_type_map(key, item, arena, err) : NULL;
	int64_t limit = limit_of(s, "maxProperties");

	if (t)
		t->max_size = (uint64_t)(limit >= 0 ? limit : (REQUEST_MAX - 2) / (item->min_serialized + 6));
	return t;
}

struct fields {
	struct cel_field *all;
	size_t count;
	int64_t min_serialized;
};

static bool field_add(struct fields *f, struct span key, const struct cel_type *type, struct arena *arena,
		      struct error *err)
{
	struct cel_field *one = &f->all[f->count];

	*one = (struct cel_field){ .key = key, .type = type };
	if (!cel_escape(key, arena, &one->name, err))
		one->name = key; /* no expression can write it; equality finds it */
	f->count++;
	return !err->code;
}

static bool is_required(const struct openapi_schema *s, struct span name)
{
	for (uint32_t i = 0; i < count_of(s->required); i++)
		if (span_equal(text_of(value_item(s->required, i)), name))
			return true;
	return false;
}

static bool is_own(struct span name)
{
	return span_equal(name, SPAN("apiVersion")) || span_equal(name, SPAN("kind")) ||
	       span_equal(name, SPAN("metadata"));
}

/* apiVersion, kind, metadata.name and metadata.generateName are there at the root of each object. */
static bool own_fields(struct fields *f, struct arena *arena, struct error *err)
{
	struct cel_type *text = simple(&cel_string, REQUEST_MAX - 2, 2, arena, err), *metadata;
	struct fields inner = { .all = ARENA_ARRAY(arena, struct cel_field, 2, err) };

	if (!text || !inner.all || !field_add(&inner, SPAN("name"), text, arena, err) ||
	    !field_add(&inner, SPAN("generateName"), text, arena, err))
		return false;
	metadata = cel_type_object(SPAN(""), inner.all, inner.count, arena, err);
	if (!metadata)
		return false;
	metadata->max_size = 0;
	return field_add(f, SPAN("apiVersion"), text, arena, err) && field_add(f, SPAN("kind"), text, arena, err) &&
	       field_add(f, SPAN("metadata"), metadata, arena, err);
}

static struct cel_type *object_type(const struct openapi_schema *s, bool is_root, struct arena *arena,
				    struct error *err)
{
	struct fields f = { .all = ARENA_ARRAY(arena, struct cel_field, s->property_count + 3, err),
			    .min_serialized = 2 };
	struct cel_type *t;

	if (!f.all || (is_root && !own_fields(&f, arena, err)))
		return NULL;
	for (size_t i = 0; i < s->property_count; i++) {
		const struct openapi_schema *one = s->properties[i].schema;
		struct span name = s->properties[i].name;
		const struct cel_type *type;

		if (is_root && is_own(name))
			continue;
		type = child_type(one, arena, err);
		if (err->code || (type && !field_add(&f, name, type, arena, err)))
			return NULL;
		if (type && is_required(s, name) && !one->otherwise)
			f.min_serialized += (int64_t)name.len + type->min_serialized + 4;
	}
	t = cel_type_object(SPAN(""), f.all, f.count, arena, err);
	if (t) {
		t->max_size = 0;
		t->min_serialized = f.min_serialized;
	}
	return t;
}

const struct cel_type *rule_type(const struct openapi_schema *s, bool is_root, struct arena *arena, struct error *err)
{
	struct cel_type *t = NULL;

	if (s->is_int_or_string) {
		t = simple(&cel_dyn, REQUEST_MAX - 2, 1, arena, err);
		if (t)
			t->is_int_or_string = true;
	} else if (span_equal(s->type, SPAN("array"))) {
		t = list_type(s, arena, err);
	} else if (span_equal(s->type, SPAN("object"))) {
		t = s->additional && !is_root ? map_type(s, arena, err) : object_type(s, is_root, arena, err);
	} else if (span_equal(s->type, SPAN("string"))) {
		t = text_type(s, arena, err);
	} else if (span_equal(s->type, SPAN("boolean"))) {
		t = simple(&cel_bool, 0, 4, arena, err);
	} else if (span_equal(s->type, SPAN("number"))) {
		t = simple(&cel_double, 0, 1, arena, err);
	} else if (span_equal(s->type, SPAN("integer"))) {
		t = simple(&cel_int, 0, 1, arena, err);
	}
	if (t)
		t->is_nullable = s->is_nullable;
	return t;
}

/* ---- fieldPath ---- */

/* The next word: '.', '[', ']', 'a quoted text', or a name. */
static struct span next_word(struct span *rest)
{
	struct span word;
	size_t n = 0;

	if (span_starts(*rest, SPAN("'"))) {
		for (n = 1; n < rest->len && !(rest->ptr[n] == '\'' && rest->ptr[n - 1] != '\\'); n++)
			;
		n = MIN(n + 1, rest->len);
	} else if (rest->len && strchr(".[]", rest->ptr[0])) {
		n = 1;
	} else {
		while (n < rest->len && !strchr(".[]", rest->ptr[n]))
			n++;
	}
	word = span_first(*rest, n);
	*rest = span_skip(*rest, n);
	return word;
}

static bool unquote(struct span word, struct arena *arena, struct span *ret, struct error *err)
{
	static const char named[] = "abfnrtv'\\", plain[] = "\a\b\f\n\r\t\v'\\";
	char *out = arena_alloc(arena, word.len + 1, err);
	size_t n = 0;

	if (!out || word.len < 2 || word.ptr[0] != '\'' || word.ptr[word.len - 1] != '\'')
		return false;
	for (size_t i = 1; i + 1 < word.len; i++) {
		const char *found;

		if (word.ptr[i] != '\\' || i + 2 >= word.len) {
			out[n++] = word.ptr[i];
			continue;
		}
		found = strchr(named, word.ptr[++i]);
		if (!found || !word.ptr[i])
			return false;
		out[n++] = plain[found - named];
	}
	*ret = span_from(out, n);
	return true;
}

bool rule_field_path(const struct openapi_schema *s, struct span path, struct arena *arena, struct span *ret,
		     struct error *err)
{
	struct buffer out;
	bool ok = true;

	buffer_init(&out, KIB(16));
	while (path.len && ok && s) {
		struct span word = next_word(&path), name = { 0 };
		const struct openapi_schema *next;

		if (span_equal(word, SPAN("["))) {
			ok = unquote(next_word(&path), arena, &name, err) && span_equal(next_word(&path), SPAN("]"));
		} else {
			ok = span_equal(word, SPAN(".")) && path.len > 0;
			name = ok ? next_word(&path) : name;
		}
		if (!ok)
			break;
		if (s->property_count) {
			next = NULL;
			for (size_t i = 0; i < s->property_count; i++)
				if (span_equal(s->properties[i].name, name))
					next = s->properties[i].schema;
			buffer_print(&out, "%s%.*s", out.len ? "." : "", (int)name.len, name.ptr);
		} else {
			next = s->additional;
			buffer_print(&out, "[%.*s]", (int)name.len, name.ptr);
		}
		ok = next != NULL;
		s = next;
	}
	ok = ok && !out.overflow;
	if (ok)
		*ret = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return ok;
}
