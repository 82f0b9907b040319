/* SPDX-License-Identifier: Apache-2.0 */
/* fields_set - sets of fields: making, combining, and their JSON form (FieldsV1). */
#include "base/number.h"
#include "kube/fields.h"

enum { FIRST_CAPACITY = 4 };

/* ---- order ---- */

static double number_of(const struct value *v)
{
	return v->type == VALUE_INT ? (double)v->integer : v->number;
}

/* Numbers, strings, booleans, lists, objects, null: in this order. */
static int type_rank(enum value_type type)
{
	static const int ranks[] = { [VALUE_INT] = 0,   [VALUE_DOUBLE] = 0, [VALUE_STRING] = 1, [VALUE_BOOL] = 2,
				     [VALUE_ARRAY] = 3, [VALUE_OBJECT] = 4, [VALUE_NULL] = 5 };

	return ranks[type];
}

static int value_compare(const struct value *a, const struct value *b);

static int arrays_compare(const struct value *a, const struct value *b)
{
	for (uint32_t i = 0; i < a->array.count && i < b->array.count; i++) {
		int c = value_compare(&a->array.items[i], &b->array.items[i]);

		if (c)
			return c;
	}
	return a->array.count < b->array.count ? -1 : a->array.count > b->array.count;
}

static int objects_compare(const struct value *a, const struct value *b)
{
	for (uint32_t i = 0; i < a->object.count && i < b->object.count; i++) {
		int c = span_order(a->object.members[i].key, b->object.members[i].key);

		if (!c)
			c = value_compare(&a->object.members[i].value, &b->object.members[i].value);
		if (c)
			return c;
	}
	return a->object.count < b->object.count ? -1 : a->object.count > b->object.count;
}

static int value_compare(const struct value *a, const struct value *b)
{
	int rank = type_rank(a->type), other = type_rank(b->type);

	if (rank != other)
		return rank < other ? -1 : 1;
	if (a->type == VALUE_INT && b->type == VALUE_INT)
		return a->integer < b->integer ? -1 : a->integer > b->integer;
	switch (a->type) {
	case VALUE_INT:
	case VALUE_DOUBLE:
		return number_of(a) < number_of(b) ? -1 : number_of(a) > number_of(b);
	case VALUE_STRING:
		return span_order(a->string, b->string);
	case VALUE_BOOL:
		return (int)a->boolean - (int)b->boolean;
	case VALUE_ARRAY:
		return arrays_compare(a, b);
	case VALUE_OBJECT:
		return objects_compare(a, b);
	case VALUE_NULL:
		break;
	}
	return 0;
}

int path_element_compare(const struct path_element *a, const struct path_element *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == PATH_NAME)
		return span_order(a->name, b->name);
	return value_compare(&a->value, &b->value);
}

/* ---- paths as text ---- */

/* As Go's %q: quoted, control characters escaped. */
static void quote(struct span s, struct buffer *out)
{
	buffer_byte(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '"' || c == '\\')
			buffer_print(out, "\\%c", c);
		else if (c == '\n' || c == '\t' || c == '\r')
			buffer_print(out, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
		else if ((unsigned char)c < 0x20 || c == 0x7f)
			buffer_print(out, "\\x%02x", (unsigned)(unsigned char)c);
		else
			buffer_byte(out, c);
	}
	buffer_byte(out, '"');
}

static void value_show(const struct value *v, struct buffer *out)
{
	char text[NUMBER_TEXT_MAX];
	struct span s;

	switch (v->type) {
	case VALUE_NULL:
		buffer_append(out, SPAN("null"));
		break;
	case VALUE_BOOL:
		buffer_append(out, v->boolean ? SPAN("true") : SPAN("false"));
		break;
	case VALUE_INT:
		buffer_print(out, "%lld", (long long)v->integer);
		break;
	case VALUE_DOUBLE:
		s = span_from(text, (size_t)(number_print_double(text, v->number) - text));
		if (span_ends(s, SPAN(".0")))
			s.len -= 2;
		buffer_append(out, s);
		break;
	case VALUE_STRING:
		quote(v->string, out);
		break;
	case VALUE_ARRAY:
		buffer_byte(out, '[');
		for (uint32_t i = 0; i < v->array.count; i++) {
			if (i)
				buffer_byte(out, ',');
			value_show(&v->array.items[i], out);
		}
		buffer_byte(out, ']');
		break;
	case VALUE_OBJECT:
		for (uint32_t i = 0; i < v->object.count; i++) {
			if (i)
				buffer_byte(out, ',');
			buffer_append(out, v->object.members[i].key);
			buffer_byte(out, '=');
			value_show(&v->object.members[i].value, out);
		}
		break;
	}
}

void path_element_print(const struct path_element *e, struct buffer *out)
{
	if (e->kind == PATH_NAME) {
		buffer_byte(out, '.');
		buffer_append(out, e->name);
		return;
	}
	buffer_byte(out, '[');
	if (e->kind == PATH_VALUE)
		buffer_byte(out, '=');
	value_show(&e->value, out);
	buffer_byte(out, ']');
}

/* ---- one set ---- */

struct fields *fields_new(struct arena *arena, struct error *err)
{
	return ARENA_NEW(arena, struct fields, err);
}

/* Sets made here hold no node without a member in it or below it. */
bool fields_is_empty(const struct fields *f)
{
	return !f || f->count == 0;
}

/* The first node that is not before `e`. */
static uint32_t place_of(const struct fields *f, const struct path_element *e)
{
	uint32_t low = 0, high = f->count;

	/* Most often they come in order. */
	if (high && path_element_compare(&f->nodes[high - 1].element, e) < 0)
		return high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (path_element_compare(&f->nodes[middle].element, e) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct fields_node *fields_find(const struct fields *f, const struct path_element *e)
{
	uint32_t at;

	if (!f)
		return NULL;
	at = place_of(f, e);
	return at < f->count && path_element_compare(&f->nodes[at].element, e) == 0 ? &f->nodes[at] : NULL;
}

bool fields_has(const struct fields *f, const struct path_element *e)
{
	const struct fields_node *node = fields_find(f, e);

	return node && node->is_member;
}

const struct fields *fields_below(const struct fields *f, const struct path_element *e)
{
	const struct fields_node *node = fields_find(f, e);

	return node ? node->below : NULL;
}

static struct fields_node *node_insert(struct fields *f, uint32_t at, struct fields_node node, struct arena *arena,
				       struct error *err)
{
	if (f->count == f->capacity) {
		uint32_t capacity = f->capacity ? f->capacity * 2 : FIRST_CAPACITY;
		struct fields_node *nodes;

		if (capacity < f->capacity) {
			error_set(err, ERROR_TOO_LARGE, "a set of fields has too many members");
			return NULL;
		}
		nodes = ARENA_ARRAY(arena, struct fields_node, capacity, err);
		if (!nodes)
			return NULL;
		if (f->count)
			memcpy(nodes, f->nodes, f->count * sizeof(*nodes));
		f->nodes = nodes;
		f->capacity = capacity;
	}
	if (at < f->count)
		memmove(f->nodes + at + 1, f->nodes + at, (f->count - at) * sizeof(*f->nodes));
	f->nodes[at] = node;
	f->count++;
	return &f->nodes[at];
}

struct fields_node *fields_node(struct fields *f, const struct path_element *e, struct arena *arena, struct error *err)
{
	uint32_t at = place_of(f, e);

	if (at < f->count && path_element_compare(&f->nodes[at].element, e) == 0)
		return &f->nodes[at];
	return node_insert(f, at, (struct fields_node){ .element = *e }, arena, err);
}

bool fields_insert(struct fields *f, const struct path_element *path, uint32_t length, struct arena *arena,
		   struct error *err)
{
	struct fields_node *node = NULL;

	for (uint32_t i = 0; i < length; i++) {
		node = fields_node(f, &path[i], arena, err);
		if (!node)
			return false;
		if (i + 1 < length) {
			if (!node->below)
				node->below = fields_new(arena, err);
			if (!node->below)
				return false;
			f = node->below;
		}
	}
	if (node)
		node->is_member = true;
	return true;
}

/* ---- two sets ---- */

/* What becomes of a node that is in a (NULL: it is not), in b, or in both. */
typedef bool combine_function(const struct fields_node *a, const struct fields_node *b, struct arena *arena,
			      struct fields_node *ret, struct error *err);

static struct fields *combine(const struct fields *a, const struct fields *b, combine_function *both,
			      struct arena *arena, struct error *err)
{
	uint32_t i = 0, j = 0, a_count = a ? a->count : 0, b_count = b ? b->count : 0;
	struct fields *made = fields_new(arena, err);

	if (!made)
		return NULL;
	while (i < a_count || j < b_count) {
		int order = i == a_count ? 1 : j == b_count ? -1 : 0;
		const struct fields_node *left = NULL, *right = NULL;
		struct fields_node node = { 0 };

		if (!order)
			order = path_element_compare(&a->nodes[i].element, &b->nodes[j].element);
		if (order <= 0)
			left = &a->nodes[i++];
		if (order >= 0)
			right = &b->nodes[j++];
		ASSERT(left || right);
		node.element = (left ? left : right)->element;
		if (!both(left, right, arena, &node, err))
			return NULL;
		if (fields_is_empty(node.below))
			node.below = NULL;
		if ((node.is_member || node.below) && !node_insert(made, made->count, node, arena, err))
			return NULL;
	}
	return made;
}

static bool node_union(const struct fields_node *a, const struct fields_node *b, struct arena *arena,
		       struct fields_node *ret, struct error *err)
{
	ret->is_member = (a && a->is_member) || (b && b->is_member);
	if (!a || !b || !a->below || !b->below) {
		ret->below = a && a->below ? a->below : b ? b->below : NULL;
		return true;
	}
	ret->below = fields_union(a->below, b->below, arena, err);
	return ret->below;
}

static bool node_intersection(const struct fields_node *a, const struct fields_node *b, struct arena *arena,
			      struct fields_node *ret, struct error *err)
{
	if (!a || !b)
		return true;
	ret->is_member = a->is_member && b->is_member;
	if (!a->below || !b->below)
		return true;
	ret->below = fields_intersection(a->below, b->below, arena, err);
	return ret->below;
}

static bool node_difference(const struct fields_node *a, const struct fields_node *b, struct arena *arena,
			    struct fields_node *ret, struct error *err)
{
	if (!a)
		return true;
	ret->is_member = a->is_member && !(b && b->is_member);
	ret->below = a->below;
	if (!b || !a->below || !b->below)
		return true;
	ret->below = fields_difference(a->below, b->below, arena, err);
	return ret->below;
}

static bool node_prune(const struct fields_node *a, const struct fields_node *b, struct arena *arena,
		       struct fields_node *ret, struct error *err)
{
	if (!a || (b && b->is_member))
		return true;
	ret->is_member = a->is_member;
	ret->below = a->below;
	if (!b || !a->below || !b->below)
		return true;
	ret->below = fields_prune(a->below, b->below, arena, err);
	return ret->below;
}

struct fields *fields_union(const struct fields *a, const struct fields *b, struct arena *arena, struct error *err)
{
	return combine(a, b, node_union, arena, err);
}

struct fields *fields_intersection(const struct fields *a, const struct fields *b, struct arena *arena,
				   struct error *err)
{
	return combine(a, b, node_intersection, arena, err);
}

struct fields *fields_difference(const struct fields *a, const struct fields *b, struct arena *arena, struct error *err)
{
	return combine(a, b, node_difference, arena, err);
}

struct fields *fields_prune(const struct fields *a, const struct fields *b, struct arena *arena, struct error *err)
{
	return combine(a, b, node_prune, arena, err);
}

/* ---- walking ---- */

struct walk {
	struct path_element path[VALUE_DEPTH_MAX + 1];
	bool (*tell)(void *context, const struct path_element *path, uint32_t length);
	void *context;
};

static bool walk(struct walk *w, const struct fields *f, uint32_t depth)
{
	if (depth >= ARRAY_LEN(w->path))
		return true;
	for (uint32_t i = 0; i < f->count; i++) {
		w->path[depth] = f->nodes[i].element;
		if (f->nodes[i].is_member && !w->tell(w->context, w->path, depth + 1))
			return false;
	}
	for (uint32_t i = 0; i < f->count; i++) {
		w->path[depth] = f->nodes[i].element;
		if (f->nodes[i].below && !walk(w, f->nodes[i].below, depth + 1))
			return false;
	}
	return true;
}

bool fields_each(const struct fields *f, bool (*tell)(void *context, const struct path_element *path, uint32_t length),
		 void *context)
{
	struct walk w = { .tell = tell, .context = context };

	return !f || walk(&w, f, 0);
}

/* ---- FieldsV1 ---- */

void fields_sort_keys(struct value *object)
{
	for (uint32_t i = 1; i < object->object.count; i++) {
		struct value_member m = object->object.members[i];
		uint32_t j = i;

		for (; j && span_order(object->object.members[j - 1].key, m.key) > 0; j--)
			object->object.members[j] = object->object.members[j - 1];
		object->object.members[j] = m;
	}
}

/* "f:name", "k:{...}", "v:...", "i:3". *ret_known is false for a letter that nobody knows. */
static bool element_parse(struct span text, struct arena *arena, struct path_element *ret, bool *ret_known,
			  struct error *err)
{
	struct span rest;

	*ret_known = true;
	if (text.len < 2)
		return error_set(err, ERROR_INVALID, "a field set has the member '" SPAN_FMT "': too short",
				 SPAN_ARG(text));
	if (text.ptr[1] != ':')
		return error_set(err, ERROR_INVALID, "missing colon: " SPAN_FMT, SPAN_ARG(text));
	rest = span_skip(text, 2);
	*ret = path_name(rest);
	switch (text.ptr[0]) {
	case 'f':
		return true;
	case 'k':
		ret->kind = PATH_KEY;
		if (!value_parse(rest, NULL, arena, &ret->value, err))
			return false;
		if (ret->value.type != VALUE_OBJECT || ret->value.object.slots)
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' has no keys in it", SPAN_ARG(text));
		fields_sort_keys(&ret->value);
		return true;
	case 'v':
		ret->kind = PATH_VALUE;
		return value_parse(rest, NULL, arena, &ret->value, err);
	case 'i':
		ret->kind = PATH_INDEX;
		ret->value = value_int(0);
		return number_parse_int64(rest, &ret->value.integer) ||
		       error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is no index", SPAN_ARG(text));
	default:
		*ret_known = false;
		return true;
	}
}

static bool set_parse(const struct value *v, unsigned depth, struct arena *arena, struct fields *ret,
		      bool *ret_is_member, struct error *err)
{
	if (v->type != VALUE_OBJECT || depth > VALUE_DEPTH_MAX)
		return error_set(err, ERROR_INVALID, "a field set has %s where an object belongs",
				 value_type_name(v->type));
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		struct fields below = { 0 };
		struct path_element element;
		struct fields_node *node;
		bool is_known, is_member = false;

		if (span_equal(m->key, SPAN("."))) {
			*ret_is_member = true;
			continue;
		}
		if (!element_parse(m->key, arena, &element, &is_known, err))
			return false;
		if (!is_known)
			continue;
		if (!set_parse(&m->value, depth + 1, arena, &below, &is_member, err))
			return false;
		node = fields_node(ret, &element, arena, err);
		if (!node)
			return false;
		node->is_member |= is_member;
		if (below.count) {
			node->below = fields_new(arena, err);
			if (!node->below)
				return false;
			*node->below = below;
		}
	}
	*ret_is_member |= ret->count == 0;
	return true;
}

struct fields *fields_parse(const struct value *v, struct arena *arena, struct error *err)
{
	struct fields *made = fields_new(arena, err);
	bool is_member = false;

	return made && set_parse(v, 0, arena, made, &is_member, err) ? made : NULL;
}

static struct span element_text(const struct path_element *e, struct arena *arena, struct error *err)
{
	static const char letters[] = { [PATH_NAME] = 'f', [PATH_KEY] = 'k', [PATH_VALUE] = 'v', [PATH_INDEX] = 'i' };
	struct span text = e->name;

	if (e->kind != PATH_NAME)
		text = value_print(&e->value, arena, err);
	if (e->kind != PATH_NAME && !text.ptr)
		return text;
	return arena_print(arena, err, "%c:%.*s", letters[e->kind], (int)text.len, text.len ? text.ptr : "");
}

bool fields_print(const struct fields *f, struct arena *arena, struct value *ret, struct error *err)
{
	struct value made = value_object();

	for (uint32_t i = 0; f && i < f->count; i++) {
		const struct fields_node *node = &f->nodes[i];
		struct span key = element_text(&node->element, arena, err);
		struct value below = value_object(), inner;

		if (!key.ptr)
			return false;
		if (node->below && node->is_member && !value_set(&below, SPAN("."), value_object(), arena, err))
			return false;
		if (node->below) {
			if (!fields_print(node->below, arena, &inner, err))
				return false;
			for (uint32_t j = 0; j < inner.object.count; j++)
				if (!value_set(&below, inner.object.members[j].key, inner.object.members[j].value,
					       arena, err))
					return false;
		}
		if (!value_set(&made, key, below, arena, err))
			return false;
	}
	*ret = made;
	return true;
}
