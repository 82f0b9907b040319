/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch_json - JSON patch (RFC 6902) as the real server does it: `replace` of an absent member adds it, `copy` of one gives null,
 * indices below 0 count from the end, what stands in front of a path's first slash is not looked at.
 */
#include "kube/go_words.h"
#include "kube/patch_private.h"

#define COPIED_BYTES_MAX MIB(3) /* what the `copy` operations of one patch may add */

struct patching {
	struct value *root;
	struct arena *arena;
	size_t copied;
	struct error *err;
	bool is_short; /* memory ended: err is set */
};

bool patch_refuse(struct error *err, bool *ret_is_unprocessable)
{
	*ret_is_unprocessable = true;
	return error_set(err, ERROR_INVALID, "the server rejected our request due to an error in our request");
}

unsigned patch_depth(const struct value *v)
{
	bool is_object = v->type == VALUE_OBJECT;
	uint32_t count = is_object ? v->object.count : v->type == VALUE_ARRAY ? v->array.count : 0;
	unsigned deepest = 0;

	if (!is_object && v->type != VALUE_ARRAY)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		/* no MAX(): it would walk twice at each level */
		unsigned depth = patch_depth(is_object ? &v->object.members[i].value : &v->array.items[i]);

		if (depth > deepest)
			deepest = depth;
	}
	return deepest + 1;
}

/* About the bytes of its JSON text. */
static size_t text_size(const struct value *v)
{
	size_t size = 2;

	switch (v->type) {
	case VALUE_STRING:
		return v->string.len + 2;
	case VALUE_ARRAY:
		for (uint32_t i = 0; i < v->array.count; i++)
			size += text_size(&v->array.items[i]) + 1;
		return size;
	case VALUE_OBJECT:
		for (uint32_t i = 0; i < v->object.count; i++)
			size += v->object.members[i].key.len + text_size(&v->object.members[i].value) + 4;
		return size;
	case VALUE_NULL:
	case VALUE_BOOL:
	case VALUE_INT:
	case VALUE_DOUBLE:
		break;
	}
	return 4;
}

/* ---- pointers (RFC 6901) ---- */

/* "~1" is a slash, "~0" a tilde; decoded in the arena only when it holds one. */
static bool key_decode(struct patching *p, struct span raw, struct span *ret)
{
	char *to;
	size_t len = 0;

	if (span_index(raw, '~') == raw.len) {
		*ret = raw;
		return true;
	}
	to = arena_alloc(p->arena, raw.len, p->err);
	if (!to) {
		p->is_short = true;
		return false;
	}
	for (size_t i = 0; i < raw.len; i++) {
		bool is_escape =
		    raw.ptr[i] == '~' && i + 1 < raw.len && (raw.ptr[i + 1] == '0' || raw.ptr[i + 1] == '1');

		to[len++] = !is_escape ? raw.ptr[i] : raw.ptr[i + 1] == '1' ? '/' : '~';
		i += is_escape;
	}
	*ret = span_from(to, len);
	return true;
}

/* A decimal number with an optional sign; false when it is none, or far from any index. */
static bool index_parse(struct span key, int64_t *ret)
{
	bool is_negative = key.len && key.ptr[0] == '-';
	int64_t n = 0;
	size_t i = key.len && (key.ptr[0] == '-' || key.ptr[0] == '+');

	if (i == key.len)
		return false;
	for (; i < key.len; i++) {
		if (key.ptr[i] < '0' || key.ptr[i] > '9' || n > UINT32_MAX)
			return false;
		n = n * 10 + (key.ptr[i] - '0');
	}
	*ret = is_negative ? -n : n;
	return true;
}

/* The place of an item among `count`, counted from the end below 0. */
static bool index_find(struct span key, uint32_t count, uint32_t *ret)
{
	int64_t n;

	if (!index_parse(key, &n) || n >= count || n < -(int64_t)count)
		return false;
	*ret = (uint32_t)(n < 0 ? n + count : n);
	return true;
}

static struct value *child(const struct value *container, struct span key)
{
	uint32_t index;

	if (container->type == VALUE_ARRAY)
		return index_find(key, container->array.count, &index) ? value_item(container, index) : NULL;
	return value_get(container, key);
}

/* Where a path ends. */
struct target {
	struct value *container; /* an object or array */
	struct span key;         /* decoded */
	unsigned depth;          /* of the container */
};

static bool target_find(struct patching *p, struct span path, struct target *ret)
{
	struct target t = { .container = p->root, .depth = 1 };
	struct span key;

	if (span_index(path, '/') == path.len)
		return false;
	(void)span_cut(&path, '/');
	while (span_index(path, '/') < path.len) {
		if (!key_decode(p, span_cut(&path, '/'), &key))
			return false;
		t.container = child(t.container, key);
		if (!t.container || (t.container->type != VALUE_OBJECT && t.container->type != VALUE_ARRAY))
			return false;
		t.depth++;
	}
	if (!key_decode(p, path, &t.key))
		return false;
	*ret = t;
	return true;
}

/* ---- operations ---- */

static bool target_add(struct patching *p, const struct target *t, struct value v)
{
	uint32_t count = t->container->array.count, index = count;
	struct value *at;

	if (t->depth + patch_depth(&v) > VALUE_DEPTH_MAX)
		return false;
	if (t->container->type == VALUE_OBJECT) {
		at = value_set(t->container, t->key, v, p->arena, p->err);
	} else {
		if (!span_equal(t->key, SPAN("-")) && !index_find(t->key, count + 1, &index))
			return false;
		at = value_insert(t->container, index, v, p->arena, p->err);
	}
	p->is_short = !at;
	return at;
}

static bool target_remove(const struct target *t)
{
	uint32_t index;

	if (t->container->type == VALUE_OBJECT)
		return value_remove(t->container, t->key);
	if (!index_find(t->key, t->container->array.count, &index))
		return false;
	value_remove_item(t->container, index);
	return true;
}

/* The operation's value, for this patch alone: what is put into the tree may be changed by a later operation. */
static bool own_copy(struct patching *p, const struct value *v, struct value *ret)
{
	*ret = value_null();
	if (v && !value_copy(v, p->arena, ret, p->err)) {
		p->is_short = true;
		return false;
	}
	return true;
}

static bool operation_add(struct patching *p, struct span path, const struct value *operation)
{
	struct target t;
	struct value v;

	return target_find(p, path, &t) && own_copy(p, value_get(operation, SPAN("value")), &v) && target_add(p, &t, v);
}

static bool operation_remove(struct patching *p, struct span path, const struct value *operation)
{
	struct target t;

	(void)operation;
	return target_find(p, path, &t) && target_remove(&t);
}

static bool operation_replace(struct patching *p, struct span path, const struct value *operation)
{
	const struct value *to = value_get(operation, SPAN("value"));
	struct target t;
	struct value v;

	if (path.len == 0) {
		if (!to || !own_copy(p, to, &v))
			return false;
		if (v.type == VALUE_OBJECT || v.type == VALUE_ARRAY)
			*p->root = v;
		return true;
	}
	if (!target_find(p, path, &t) || !own_copy(p, to, &v))
		return false;
	if (t.container->type == VALUE_OBJECT)
		return target_add(p, &t, v);
	if (!child(t.container, t.key) || t.depth + patch_depth(&v) > VALUE_DEPTH_MAX)
		return false;
	*child(t.container, t.key) = v;
	return true;
}

static bool operation_test(struct patching *p, struct span path, const struct value *operation)
{
	const struct value *wanted = value_get(operation, SPAN("value")), *at = p->root;
	struct target t;

	if (path.len) {
		if (!target_find(p, path, &t))
			return false;
		at = child(t.container, t.key);
		if (!at && t.container->type == VALUE_ARRAY)
			return false;
	}
	if (!at || at->type == VALUE_NULL)
		return !wanted || wanted->type == VALUE_NULL;
	return wanted && value_equal(at, wanted);
}

static bool from_find(struct patching *p, const struct value *operation, struct target *ret, struct value **ret_value)
{
	const struct value *from = value_get(operation, SPAN("from"));

	if (!value_is(from, VALUE_STRING) || !target_find(p, from->string, ret))
		return false;
	*ret_value = child(ret->container, ret->key);
	return *ret_value || ret->container->type == VALUE_OBJECT;
}

static bool operation_move(struct patching *p, struct span path, const struct value *operation)
{
	struct target from, to;
	struct value *at, v;

	if (!from_find(p, operation, &from, &at) || !at)
		return false;
	v = *at;
	return target_remove(&from) && target_find(p, path, &to) && target_add(p, &to, v);
}

static bool operation_copy(struct patching *p, struct span path, const struct value *operation)
{
	struct target from, to;
	struct value *at, v;

	if (!from_find(p, operation, &from, &at) || !target_find(p, path, &to))
		return false;
	p->copied += at ? text_size(at) : 0;
	return p->copied <= COPIED_BYTES_MAX && own_copy(p, at, &v) && target_add(p, &to, v);
}

static const struct operation {
	const char *name;
	bool (*run)(struct patching *p, struct span path, const struct value *operation);
} operations_table[] = {
	{ "add", operation_add },   { "remove", operation_remove }, { "replace", operation_replace },
	{ "move", operation_move }, { "copy", operation_copy },     { "test", operation_test },
};

static bool operation_run(struct patching *p, const struct value *operation)
{
	struct span name = value_find_string(operation, "op");
	const struct value *path = value_get(operation, SPAN("path"));

	for (size_t i = 0; i < ARRAY_LEN(operations_table); i++)
		if (span_equal(name, span_of(operations_table[i].name)))
			return value_is(path, VALUE_STRING) && operations_table[i].run(p, path->string, operation);
	return false;
}

/* ---- the patch as a whole ---- */

static bool check_text(const struct value *operation, const char *name, struct error *err)
{
	const struct value *v = value_get(operation, span_of(name));

	if (!v || v->type == VALUE_STRING || v->type == VALUE_NULL)
		return true;
	return error_set(err, ERROR_INVALID,
			 "error decoding patch: json: cannot unmarshal %s into Go struct field jsonPatchOp.%s of type "
			 "string",
			 go_json_type(v), name);
}

static bool check_operation(const struct value *operation, struct error *err)
{
	if (operation->type != VALUE_OBJECT && operation->type != VALUE_NULL)
		return error_set(err, ERROR_INVALID,
				 "error decoding patch: json: cannot unmarshal %s into Go value of type "
				 "handlers.jsonPatchOp",
				 go_json_type(operation));
	return check_text(operation, "op", err) && check_text(operation, "path", err) &&
	       check_text(operation, "from", err);
}

bool patch_json(const struct value *object, const struct value *operations, struct arena *arena, struct value *ret,
		bool *ret_is_unprocessable, struct error *err)
{
	struct value root;
	struct patching p = { .root = &root, .arena = arena, .err = err };

	*ret_is_unprocessable = false;
	if (operations->type != VALUE_ARRAY && operations->type != VALUE_NULL)
		return error_set(err, ERROR_INVALID,
				 "error decoding patch: json: cannot unmarshal %s into Go value of type "
				 "[]handlers.jsonPatchOp",
				 go_json_type(operations));
	if (operations->type == VALUE_NULL) {
		*ret = *object;
		return true;
	}
	for (uint32_t i = 0; i < operations->array.count; i++)
		if (!check_operation(value_item(operations, i), err))
			return false;
	if (operations->array.count > PATCH_OPERATIONS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "The allowed maximum operations in a JSON patch is %d, got %u",
				 PATCH_OPERATIONS_MAX, operations->array.count);
	if (!value_copy(object, arena, &root, err))
		return false;
	for (uint32_t i = 0; i < operations->array.count; i++)
		if (!operation_run(&p, value_item(operations, i)))
			return p.is_short ? false : patch_refuse(err, ret_is_unprocessable);
	*ret = root;
	return true;
}
