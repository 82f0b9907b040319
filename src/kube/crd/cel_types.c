/* SPDX-License-Identifier: Apache-2.0 */
/* Types of the language: making, comparing, printing (langdef.md, "Gradual Type Checking"). */
#include "kube/crd/cel_private.h"

#define SIMPLE(k)                                                                                                      \
	{                                                                                                              \
		.kind = (k), .max_size = UINT64_MAX, .min_serialized = 1                                               \
	}

const struct cel_type cel_dyn = SIMPLE(CEL_DYN), cel_null = SIMPLE(CEL_NULL), cel_bool = SIMPLE(CEL_BOOL),
		      cel_int = SIMPLE(CEL_INT), cel_uint = SIMPLE(CEL_UINT), cel_double = SIMPLE(CEL_DOUBLE),
		      cel_string = SIMPLE(CEL_STRING), cel_bytes = SIMPLE(CEL_BYTES),
		      cel_timestamp = SIMPLE(CEL_TIMESTAMP), cel_duration = SIMPLE(CEL_DURATION),
		      cel_error = SIMPLE(CEL_ERROR), cel_quantity = SIMPLE(CEL_QUANTITY), cel_url = SIMPLE(CEL_URL),
		      cel_ip = SIMPLE(CEL_IP), cel_cidr = SIMPLE(CEL_CIDR), cel_semver = SIMPLE(CEL_SEMVER),
		      cel_format = SIMPLE(CEL_FORMAT), cel_type_type = SIMPLE(CEL_TYPE);

static struct cel_type *type_new(enum cel_kind kind, const struct cel_type *a, const struct cel_type *b,
				 struct arena *arena, struct error *err)
{
	struct cel_type *t = ARENA_NEW(arena, struct cel_type, err);

	if (t) {
		t->kind = kind;
		t->params[0] = a;
		t->params[1] = b;
		t->max_size = UINT64_MAX;
		t->min_serialized = 2;
	}
	return t;
}

struct cel_type *cel_type_list(const struct cel_type *item, struct arena *arena, struct error *err)
{
	return type_new(CEL_LIST, item, NULL, arena, err);
}

struct cel_type *cel_type_map(const struct cel_type *key, const struct cel_type *item, struct arena *arena,
			      struct error *err)
{
	return type_new(CEL_MAP, key, item, arena, err);
}

struct cel_type *cel_type_optional(const struct cel_type *of, struct arena *arena, struct error *err)
{
	return type_new(CEL_OPTIONAL, of, NULL, arena, err);
}

struct cel_type *cel_type_object(struct span name, const struct cel_field *fields, size_t count, struct arena *arena,
				 struct error *err)
{
	struct cel_type *t = type_new(CEL_OBJECT, NULL, NULL, arena, err);

	if (t) {
		t->name = name;
		t->fields = fields;
		t->field_count = count;
	}
	return t;
}

const struct cel_field *cel_type_field(const struct cel_type *t, struct span name)
{
	for (size_t i = 0; name.len && i < t->field_count; i++)
		if (span_equal(t->fields[i].name, name))
			return &t->fields[i];
	return NULL;
}

/* ---- names ---- */

static const char *const kind_names[CEL_KIND_COUNT] = {
	[CEL_ERROR] = "!error!",
	[CEL_DYN] = "dyn",
	[CEL_NULL] = "null",
	[CEL_BOOL] = "bool",
	[CEL_INT] = "int",
	[CEL_UINT] = "uint",
	[CEL_DOUBLE] = "double",
	[CEL_STRING] = "string",
	[CEL_BYTES] = "bytes",
	[CEL_TIMESTAMP] = "timestamp",
	[CEL_DURATION] = "duration",
	[CEL_LIST] = "list",
	[CEL_MAP] = "map",
	[CEL_TYPE] = "type",
	[CEL_OPTIONAL] = "optional_type",
	[CEL_QUANTITY] = "kubernetes.Quantity",
	[CEL_URL] = "kubernetes.URL",
	[CEL_IP] = "net.IP",
	[CEL_CIDR] = "net.CIDR",
	[CEL_SEMVER] = "kubernetes.Semver",
	[CEL_FORMAT] = "kubernetes.NamedFormat",
	[CEL_OBJECT] = "object",
	[CEL_UNKNOWN] = "unknown",
	[CEL_PARAM] = "dyn",
};

static void print(const struct cel_type *t, struct buffer *out, unsigned depth)
{
	bool has_params = t->params[0] && t->kind != CEL_OBJECT;

	if (t->kind == CEL_OBJECT && t->name.len) {
		buffer_append(out, t->name);
		return;
	}
	buffer_append(out, span_of(kind_names[t->kind]));
	if (!has_params || depth > CEL_DEPTH_MAX || out->overflow)
		return;
	buffer_byte(out, '(');
	print(t->params[0], out, depth + 1);
	if (t->params[1]) {
		buffer_append(out, SPAN(", "));
		print(t->params[1], out, depth + 1);
	}
	buffer_byte(out, ')');
}

struct span cel_type_print(const struct cel_type *t, struct arena *arena, struct error *err)
{
	struct buffer out;
	struct span text;

	buffer_init(&out, 4096);
	print(t, &out, 0);
	text = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return text;
}

bool cel_type_same(const struct cel_type *a, const struct cel_type *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind)
		return false;
	if (a->kind == CEL_OBJECT)
		return span_equal(a->name, b->name) && (a->name.len || a->fields == b->fields);
	if (a->kind == CEL_PARAM)
		return a->param == b->param;
	for (int i = 0; i < 2; i++) {
		if (!a->params[i] != !b->params[i])
			return false;
		if (a->params[i] && !cel_type_same(a->params[i], b->params[i]))
			return false;
	}
	return true;
}

const struct cel_type *cel_type_of(const struct cel_value *v)
{
	static const struct cel_type list = { .kind = CEL_LIST, .params = { &cel_dyn } },
				     map = { .kind = CEL_MAP, .params = { &cel_dyn, &cel_dyn } },
				     optional = { .kind = CEL_OPTIONAL, .params = { &cel_dyn } };
	static const struct cel_type *const plain[CEL_KIND_COUNT] = {
		[CEL_NULL] = &cel_null,
		[CEL_BOOL] = &cel_bool,
		[CEL_INT] = &cel_int,
		[CEL_UINT] = &cel_uint,
		[CEL_DOUBLE] = &cel_double,
		[CEL_STRING] = &cel_string,
		[CEL_BYTES] = &cel_bytes,
		[CEL_TIMESTAMP] = &cel_timestamp,
		[CEL_DURATION] = &cel_duration,
		[CEL_LIST] = &list,
		[CEL_MAP] = &map,
		[CEL_TYPE] = &cel_type_type,
		[CEL_OPTIONAL] = &optional,
		[CEL_QUANTITY] = &cel_quantity,
		[CEL_URL] = &cel_url,
		[CEL_IP] = &cel_ip,
		[CEL_CIDR] = &cel_cidr,
		[CEL_SEMVER] = &cel_semver,
		[CEL_FORMAT] = &cel_format,
	};

	return plain[v->kind] ? plain[v->kind] : &cel_error;
}

/* ---- the letters of the function table ---- */

const struct cel_type *cel_type_letters(const char **letters, const struct cel_type *const params[2],
					struct arena *arena, struct error *err)
{
	const struct cel_type *a, *b;

	switch (*(*letters)++) {
	case 'n':
		return &cel_null;
	case 'b':
		return &cel_bool;
	case 'i':
		return &cel_int;
	case 'u':
		return &cel_uint;
	case 'd':
		return &cel_double;
	case 's':
		return &cel_string;
	case 'y':
		return &cel_bytes;
	case 't':
		return &cel_timestamp;
	case 'r':
		return &cel_duration;
	case 'q':
		return &cel_quantity;
	case 'U':
		return &cel_url;
	case 'P':
		return &cel_ip;
	case 'N':
		return &cel_cidr;
	case 'v':
		return &cel_semver;
	case 'F':
		return &cel_format;
	case 'A':
		return params[0];
	case 'B':
		return params[1];
	case '[':
		a = cel_type_letters(letters, params, arena, err);
		return a ? type_new(CEL_LIST, a, NULL, arena, err) : NULL;
	case '?':
		a = cel_type_letters(letters, params, arena, err);
		return a ? type_new(CEL_OPTIONAL, a, NULL, arena, err) : NULL;
	case 'T':
		a = cel_type_letters(letters, params, arena, err);
		return a ? type_new(CEL_TYPE, a, NULL, arena, err) : NULL;
	case '{':
		a = cel_type_letters(letters, params, arena, err);
		b = a ? cel_type_letters(letters, params, arena, err) : NULL;
		(*letters)++; /* the closing brace */
		return b ? type_new(CEL_MAP, a, b, arena, err) : NULL;
	default:
		return &cel_dyn;
	}
}

/* ---- names of properties ---- */

static bool is_keyword(struct span s)
{
	static const char *const words[] = { "true",     "false",   "null",      "in",       "as",  "break",  "const",
					     "continue", "else",    "for",       "function", "if",  "import", "let",
					     "loop",     "package", "namespace", "return",   "var", "void",   "while" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_equal(s, span_of(words[i])))
			return true;
	return false;
}

bool cel_escape(struct span key, struct arena *arena, struct span *ret, struct error *err)
{
	struct buffer out;

	if (!key.len || (key.ptr[0] >= '0' && key.ptr[0] <= '9'))
		return false;
	if (is_keyword(key)) {
		*ret = arena_print(arena, err, "__" SPAN_FMT "__", SPAN_ARG(key));
		return ret->ptr != NULL;
	}
	buffer_init(&out, KIB(64));
	for (size_t i = 0; i < key.len; i++) {
		char c = key.ptr[i];

		if (c == '_' && i + 1 < key.len && key.ptr[i + 1] == '_') {
			buffer_append(&out, SPAN("__underscores__"));
			i++;
		} else if (c == '.') {
			buffer_append(&out, SPAN("__dot__"));
		} else if (c == '-') {
			buffer_append(&out, SPAN("__dash__"));
		} else if (c == '/') {
			buffer_append(&out, SPAN("__slash__"));
		} else if (c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z')) {
			buffer_byte(&out, c);
		} else {
			buffer_done(&out);
			return false;
		}
	}
	*ret = out.overflow ? (struct span){ 0 } : arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return ret->ptr != NULL;
}
