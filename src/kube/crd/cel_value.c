/* SPDX-License-Identifier: Apache-2.0 */
/* Values (langdef.md, "Values", "Equality", "Ordering"): lists and maps of the evaluator and, without a copy, those of JSON data. */
#include "kube/crd/cel_private.h"
#include "kube/go_words.h"
#include "wire/base64.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

struct cel_value cel_fail_print(struct cel_call *c, const char *format, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return cel_fail(arena_copy(c->arena, span_from(text, n < 0 ? 0 : MIN((size_t)n, sizeof(text) - 1)), c->err));
}

uint64_t cel_letters(struct span s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

/* ---- JSON ---- */

static struct cel_value view(enum cel_kind kind, const struct value *data, const struct cel_type *type)
{
	return (struct cel_value){ .kind = kind, .is_data = true, .data = { data, type } };
}

static struct cel_value from_any(const struct value *data)
{
	switch (data->type) {
	case VALUE_BOOL:
		return cel_of_bool(data->boolean);
	case VALUE_INT:
		return cel_of_int(data->integer);
	case VALUE_DOUBLE:
		return cel_of_double(data->number);
	case VALUE_STRING:
		return cel_text(data->string);
	case VALUE_ARRAY:
		return view(CEL_LIST, data, &cel_dyn);
	case VALUE_OBJECT:
		return view(CEL_MAP, data, &cel_dyn);
	default:
		return (struct cel_value){ .kind = CEL_NULL };
	}
}

static struct cel_value from_bytes(struct span text, struct arena *arena, struct error *err)
{
	struct cel_value v = { .kind = CEL_BYTES };
	struct error fault = { 0 };

	if (!base64_read(text, arena, &v.text, &fault)) {
		if (fault.code == ERROR_TOO_LARGE)
			*err = fault;
		return cel_fail(SPAN("Invalid byte formatted string"));
	}
	return v;
}

static struct cel_value from_text(struct span text, const struct cel_type *type, struct arena *arena, struct error *err)
{
	struct cel_value v = { .kind = type->kind };
	struct span words;

	switch (type->kind) {
	case CEL_BYTES:
		return from_bytes(text, arena, err);
	case CEL_DURATION:
		if (cel_duration_parse(text, &v.integer))
			return v;
		words =
		    arena_print(arena, err, "Invalid duration " SPAN_FMT ": time: invalid duration \"" SPAN_FMT "\"",
				SPAN_ARG(text), SPAN_ARG(text));
		return cel_fail(words);
	case CEL_TIMESTAMP:
		if (type->is_date ? cel_date_parse(text, &v.time.seconds)
				  : cel_timestamp_parse(text, &v.time.seconds, &v.time.nanoseconds))
			return v;
		words = arena_print(arena, err, "Invalid date%s formatted string " SPAN_FMT,
				    type->is_date ? "" : "-time", SPAN_ARG(text));
		return cel_fail(words);
	default:
		return cel_text(text);
	}
}

struct cel_value cel_from_json(const struct value *data, const struct cel_type *type, struct arena *arena,
			       struct error *err)
{
	const char *wanted = NULL;

	if (type->is_hidden)
		return view(CEL_UNKNOWN, data, type);
	if (data->type == VALUE_NULL && type->kind != CEL_DYN)
		return type->is_nullable ? (struct cel_value){ .kind = CEL_NULL }
					 : cel_fail(SPAN("invalid data, got null for schema with nullable=false"));
	if (type->is_int_or_string && data->type != VALUE_STRING && data->type != VALUE_INT && data->type != VALUE_NULL)
		return cel_fail(SPAN("invalid data, expected XIntOrString value to be either a string or integer"));
	switch (type->kind) {
	case CEL_BOOL:
		if (data->type == VALUE_BOOL)
			return cel_of_bool(data->boolean);
		wanted = "bool";
		break;
	case CEL_INT:
		if (data->type == VALUE_INT)
			return cel_of_int(data->integer);
		wanted = "int";
		break;
	case CEL_DOUBLE:
		if (data->type == VALUE_INT || data->type == VALUE_DOUBLE)
			return cel_of_double(data->type == VALUE_INT ? (double)data->integer : data->number);
		wanted = "float";
		break;
	case CEL_STRING:
	case CEL_BYTES:
	case CEL_DURATION:
	case CEL_TIMESTAMP:
		if (data->type == VALUE_STRING)
			return from_text(data->string, type, arena, err);
		wanted = "string";
		break;
	case CEL_LIST:
		return data->type == VALUE_ARRAY
			   ? view(CEL_LIST, data, type)
			   : cel_fail(SPAN("invalid data, expected an array for the provided schema with type=array"));
	case CEL_MAP:
	case CEL_OBJECT:
		return data->type == VALUE_OBJECT
			   ? view(CEL_MAP, data, type)
			   : cel_fail(SPAN("invalid data, expected a map for the provided schema with type=object"));
	default:
		return from_any(data);
	}
	return cel_fail(arena_print(arena, err, "invalid data, expected %s, got %s", wanted, go_type_name(data)));
}

static const struct cel_type *item_type(const struct cel_value *list)
{
	const struct cel_type *t = list->data.type;

	return t->kind == CEL_LIST && t->params[0] ? t->params[0] : &cel_dyn;
}

/* ---- lists ---- */

uint64_t cel_list_count(const struct cel_value *list)
{
	return list->is_data ? list->data.data->array.count : list->list->count;
}

struct cel_value cel_list_item(struct cel_call *c, const struct cel_value *list, uint64_t index)
{
	if (list->is_data)
		return cel_from_json(value_item(list->data.data, (uint32_t)index), item_type(list), c->arena, c->err);
	return list->list->items[index];
}

struct cel_value cel_list_new(struct cel_call *c, size_t count, struct cel_list **ret)
{
	struct cel_list *list = ARENA_NEW(c->arena, struct cel_list, c->err);

	if (list)
		list->items = ARENA_ARRAY(c->arena, struct cel_value, count + 1, c->err);
	*ret = list && list->items ? list : NULL;
	if (!*ret)
		return cel_fail(SPAN("memory ended"));
	list->capacity = count + 1;
	return (struct cel_value){ .kind = CEL_LIST, .list = list };
}

bool cel_list_append(struct cel_call *c, struct cel_list *list, struct cel_value item)
{
	if (list->count == list->capacity) {
		struct cel_value *grown = ARENA_ARRAY(c->arena, struct cel_value, list->capacity * 2, c->err);

		if (!grown)
			return false;
		memcpy(grown, list->items, list->count * sizeof(*grown));
		list->items = grown;
		list->capacity *= 2;
	}
	list->items[list->count++] = item;
	return true;
}

/* ---- hashes: the same for values that are equal ---- */

static uint64_t hash_number(double d)
{
	d += 0.0; /* -0 is 0 */
	return span_hash(span_from(&d, sizeof(d)));
}

static uint64_t hash(struct cel_call *c, const struct cel_value *v)
{
	uint64_t h = 0;

	if (++c->work > CEL_WORK_MAX)
		return 0;
	switch (v->kind) {
	case CEL_INT:
		return hash_number((double)v->integer);
	case CEL_UINT:
		return hash_number((double)v->natural);
	case CEL_DOUBLE:
		return hash_number(v->number);
	case CEL_BOOL:
		return v->boolean ? 3 : 5;
	case CEL_STRING:
	case CEL_BYTES:
		return span_hash(v->text);
	case CEL_LIST:
		for (uint64_t i = 0, n = cel_list_count(v); i < n; i++) {
			struct cel_value item = cel_list_item(c, v, i);

			h += hash(c, &item) * 31; /* sets have no order */
		}
		return h;
	case CEL_MAP:
		return cel_map_count(v) * 0x9e3779b97f4a7c15u;
	default:
		return (uint64_t)v->kind;
	}
}

/* Items of a list by their hash; of maps in a list of maps, by their keys. */
struct index {
	const struct cel_type *by; /* a list type with keys, or NULL */
	struct cel_value *items;
	uint32_t *slots; /* item + 1 */
	uint64_t mask;
	size_t count;
};

static struct cel_value key_of(struct cel_call *c, const struct index *x, const struct cel_value *item)
{
	struct cel_list *keys;
	struct cel_value v;

	if (!x->by || x->by->list != 2)
		return *item;
	v = cel_list_new(c, x->by->list_key_count, &keys);
	for (size_t i = 0; keys && i < x->by->list_key_count; i++) {
		struct cel_value name = cel_text(x->by->list_keys[i]), found = { .kind = CEL_NULL };

		if (item->kind == CEL_MAP)
			(void)cel_map_find(c, item, &name, &found);
		(void)cel_list_append(c, keys, found);
	}
	return v;
}

static bool is_same_item(struct cel_call *c, const struct index *x, const struct cel_value *a,
			 const struct cel_value *b)
{
	struct cel_value i, k;

	if (!x->by || x->by->list != 2)
		return cel_is_equal(c, a, b);
	i = key_of(c, x, a);
	k = key_of(c, x, b);
	for (uint64_t n = 0; i.kind == CEL_LIST && k.kind == CEL_LIST && n < i.list->count; n++)
		if (!cel_is_equal(c, &i.list->items[n], &k.list->items[n]))
			return false;
	return i.kind == CEL_LIST && k.kind == CEL_LIST;
}

static struct cel_value *index_find(struct cel_call *c, const struct index *x, const struct cel_value *item)
{
	struct cel_value key = key_of(c, x, item);

	for (uint64_t at = hash(c, &key) & x->mask; x->slots[at]; at = (at + 1) & x->mask)
		if (is_same_item(c, x, &x->items[x->slots[at] - 1], item))
			return &x->items[x->slots[at] - 1];
	return NULL;
}

static void index_add(struct cel_call *c, struct index *x, struct cel_value item)
{
	struct cel_value key = key_of(c, x, &item);
	uint64_t at = hash(c, &key) & x->mask;

	while (x->slots[at])
		at = (at + 1) & x->mask;
	x->items[x->count++] = item;
	x->slots[at] = (uint32_t)x->count;
}

static bool index_new(struct cel_call *c, struct index *x, const struct cel_type *by, const struct cel_value *list,
		      uint64_t more)
{
	uint64_t n = cel_list_count(list), size = 16;

	while (size < (n + more) * 2)
		size *= 2;
	*x = (struct index){ .by = by, .mask = size - 1 };
	x->items = ARENA_ARRAY(c->arena, struct cel_value, n + more + 1, c->err);
	x->slots = arena_calloc(c->arena, size, sizeof(*x->slots), c->err);
	if (!x->items || !x->slots)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		struct cel_value item = cel_list_item(c, list, i);

		if (!index_find(c, x, &item))
			index_add(c, x, item);
	}
	return true;
}

/* The type of a list that is a set or a list of maps by keys; NULL for plain lists. */
static const struct cel_type *special(const struct cel_value *list)
{
	return list->is_data && list->data.type->kind == CEL_LIST && list->data.type->list ? list->data.type : NULL;
}

/* Sets and lists of maps: what is there stays where it stands; of maps with the same keys the second one counts. */
static struct cel_value add_special(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	struct index x;
	struct cel_list *list;
	struct cel_value v = cel_list_new(c, 0, &list);

	if (!list || !index_new(c, &x, special(a), a, cel_list_count(b)))
		return cel_fail(SPAN("memory ended"));
	for (uint64_t i = 0, n = cel_list_count(b); i < n; i++) {
		struct cel_value item = cel_list_item(c, b, i), *found = index_find(c, &x, &item);

		if (!found)
			index_add(c, &x, item);
		else if (x.by->list == 2)
			*found = item;
	}
	list->items = x.items;
	list->count = list->capacity = x.count;
	return v;
}

struct cel_value cel_list_add(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	uint64_t n = cel_list_count(a), m = cel_list_count(b);
	struct cel_list *list;
	struct cel_value v;

	if (special(a))
		return add_special(c, a, b);
	if (!m || !n)
		return m ? *b : *a;
	v = cel_list_new(c, n + m, &list);
	for (uint64_t i = 0; list && i < n + m; i++)
		(void)cel_list_append(c, list, i < n ? cel_list_item(c, a, i) : cel_list_item(c, b, i - n));
	return v;
}

struct cel_value cel_list_contains(struct cel_call *c, const struct cel_value *list, const struct cel_value *item)
{
	struct cel_value fault = { .kind = CEL_NULL };

	for (uint64_t i = 0, n = cel_list_count(list); i < n; i++) {
		struct cel_value one = cel_list_item(c, list, i), same = cel_equal(c, &one, item);

		if (same.kind == CEL_BOOL && same.boolean)
			return same;
		if (same.kind == CEL_ERROR && fault.kind != CEL_ERROR)
			fault = same;
	}
	return fault.kind == CEL_ERROR ? fault : cel_of_bool(false);
}

/* ---- maps ---- */

uint64_t cel_map_count(const struct cel_value *map)
{
	return map->is_data ? map->data.data->object.count : map->map->count;
}

static bool find_data(struct cel_call *c, const struct cel_value *map, struct span name, struct cel_value *ret)
{
	const struct cel_type *t = map->data.type;
	const struct cel_field *field;
	const struct value *found;

	if (t->kind == CEL_OBJECT) {
		field = cel_type_field(t, name);
		found = field ? value_get(map->data.data, field->key) : NULL;
		if (!found || found->type == VALUE_NULL) /* null is not there: kubernetes' rule for named fields */
			return false;
		*ret = cel_from_json(found, field->type, c->arena, c->err);
		return true;
	}
	found = value_get(map->data.data, name);
	if (found)
		*ret = cel_from_json(found, t->kind == CEL_MAP ? t->params[1] : &cel_dyn, c->arena, c->err);
	return found != NULL;
}

static struct cel_entry *find_entry(struct cel_call *c, const struct cel_map *map, const struct cel_value *key)
{
	if (map->slots) {
		uint64_t mask = map->slot_count - 1;

		for (uint64_t at = hash(c, key) & mask; map->slots[at]; at = (at + 1) & mask)
			if (cel_is_equal(c, &map->entries[map->slots[at] - 1].key, key))
				return &map->entries[map->slots[at] - 1];
		return NULL;
	}
	for (size_t i = 0; i < map->count; i++)
		if (cel_is_equal(c, &map->entries[i].key, key))
			return &map->entries[i];
	return NULL;
}

bool cel_map_find(struct cel_call *c, const struct cel_value *map, const struct cel_value *key, struct cel_value *ret)
{
	const struct cel_entry *e;

	if (map->is_data) {
		if (key->kind == CEL_STRING)
			return find_data(c, map, key->text, ret);
		*ret = key->kind == CEL_ERROR ? *key : CEL_NO_OVERLOAD;
		return true;
	}
	e = find_entry(c, map->map, key);
	if (e)
		*ret = e->value;
	return e != NULL;
}

struct cel_value cel_map_key(struct cel_call *c, const struct cel_value *map, uint64_t index, bool *ret_is_there)
{
	const struct cel_type *t;
	struct span key;

	(void)c;
	*ret_is_there = true;
	if (!map->is_data)
		return map->map->entries[index].key;
	t = map->data.type;
	key = map->data.data->object.members[index].key;
	if (t->kind != CEL_OBJECT)
		return cel_text(key);
	for (size_t i = 0; i < t->field_count; i++)
		if (span_equal(t->fields[i].key, key))
			return cel_text(t->fields[i].name.len ? t->fields[i].name : key);
	*ret_is_there = false;
	return cel_text(key);
}

static bool map_grow(struct cel_call *c, struct cel_map *map)
{
	size_t capacity = map->capacity ? map->capacity * 2 : 8;
	struct cel_entry *grown = ARENA_ARRAY(c->arena, struct cel_entry, capacity, c->err);

	if (!grown)
		return false;
	if (map->count)
		memcpy(grown, map->entries, map->count * sizeof(*grown));
	map->entries = grown;
	map->capacity = capacity;
	if (capacity <= 8)
		return true;
	map->slot_count = 16;
	while (map->slot_count < capacity * 2)
		map->slot_count *= 2;
	map->slots = arena_calloc(c->arena, map->slot_count, sizeof(*map->slots), c->err);
	for (size_t i = 0; map->slots && i < map->count; i++) {
		uint64_t at = hash(c, &map->entries[i].key) & (map->slot_count - 1);

		while (map->slots[at])
			at = (at + 1) & (map->slot_count - 1);
		map->slots[at] = (uint32_t)i + 1;
	}
	return map->slots != NULL;
}

bool cel_map_insert(struct cel_call *c, struct cel_map *map, struct cel_value key, struct cel_value value)
{
	uint64_t at;

	if (find_entry(c, map, &key))
		return false;
	if (map->count == map->capacity && !map_grow(c, map))
		return true; /* err is set */
	map->entries[map->count++] = (struct cel_entry){ key, value };
	if (map->slots) {
		at = hash(c, &key) & (map->slot_count - 1);
		while (map->slots[at])
			at = (at + 1) & (map->slot_count - 1);
		map->slots[at] = (uint32_t)map->count;
	}
	return true;
}

/* ---- selecting ---- */

struct cel_value cel_field_of(struct cel_call *c, const struct cel_value *v, struct span name)
{
	struct cel_value key = cel_text(name), found;

	if (v->kind == CEL_ERROR)
		return *v;
	if (v->kind == CEL_MAP && cel_map_find(c, v, &key, &found))
		return found;
	if (v->kind == CEL_LIST)
		return cel_fail_print(c, "unsupported index type '%s' in list", "string");
	return cel_fail_print(c, "no such key: %.*s", (int)MIN(name.len, 512), name.ptr);
}

/* A list's index from any number that is whole. */
static bool index_of(const struct cel_value *at, int64_t *ret)
{
	if (at->kind == CEL_INT)
		*ret = at->integer;
	else if (at->kind == CEL_UINT && at->natural <= INT64_MAX)
		*ret = (int64_t)at->natural;
	else if (at->kind == CEL_DOUBLE && at->number == trunc(at->number) && fabs(at->number) < 9e18)
		*ret = (int64_t)at->number;
	else
		return false;
	return true;
}

struct cel_value cel_index(struct cel_call *c, const struct cel_value *v, const struct cel_value *at)
{
	struct cel_value found;
	struct span text;
	int64_t i;

	if (v->kind == CEL_ERROR || at->kind == CEL_ERROR)
		return v->kind == CEL_ERROR ? *v : *at;
	if (v->kind == CEL_LIST) {
		if (!index_of(at, &i)) {
			text = cel_type_print(cel_type_of(at), c->arena, c->err);
			return cel_fail_print(c, "unsupported index type '" SPAN_FMT "' in list", SPAN_ARG(text));
		}
		if (i < 0 || (uint64_t)i >= cel_list_count(v))
			return cel_fail_print(c, "index out of bounds: %lld", (long long)i);
		return cel_list_item(c, v, (uint64_t)i);
	}
	if (v->kind == CEL_MAP && cel_map_find(c, v, at, &found))
		return found;
	text = at->kind == CEL_STRING ? at->text : cel_print(at, c->arena, c->err);
	return cel_fail_print(c, "no such key: %.*s", (int)MIN(text.len, 512), text.ptr);
}

/* ---- equal ---- */

static bool is_number(const struct cel_value *v)
{
	return v->kind == CEL_INT || v->kind == CEL_UINT || v->kind == CEL_DOUBLE;
}

static struct cel_value equal_special(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	struct index x;

	if (!index_new(c, &x, special(a), a, 0))
		return cel_fail(SPAN("memory ended"));
	for (uint64_t i = 0, n = cel_list_count(b); i < n; i++) {
		struct cel_value item = cel_list_item(c, b, i), *found = index_find(c, &x, &item), same;

		if (!found)
			return cel_of_bool(false);
		same = cel_equal(c, found, &item);
		if (same.kind != CEL_BOOL || !same.boolean)
			return same;
	}
	return cel_of_bool(true);
}

static struct cel_value equal_lists(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	uint64_t n = cel_list_count(a);

	if (n != cel_list_count(b))
		return cel_of_bool(false);
	if (special(a))
		return equal_special(c, a, b);
	for (uint64_t i = 0; i < n; i++) {
		struct cel_value x = cel_list_item(c, a, i), y = cel_list_item(c, b, i), same = cel_equal(c, &x, &y);

		if (same.kind != CEL_BOOL || !same.boolean)
			return same;
	}
	return cel_of_bool(true);
}

/* Members that the declared type does not name: compared as data, where both have them. */
static bool unnamed_equal(const struct cel_value *a, const struct cel_value *b, uint64_t index)
{
	const struct value_member *m = &a->data.data->object.members[index];
	const struct value *other = b->is_data ? value_get(b->data.data, m->key) : NULL;

	return !other || value_equal(&m->value, other);
}

static struct cel_value equal_maps(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	uint64_t n = cel_map_count(a);

	if (n != cel_map_count(b))
		return cel_of_bool(false);
	for (uint64_t i = 0; i < n; i++) {
		bool is_there;
		struct cel_value key = cel_map_key(c, a, i, &is_there), x = { 0 }, y = { 0 }, same;

		if (!is_there) {
			if (!unnamed_equal(a, b, i))
				return cel_of_bool(false);
			continue;
		}
		if (!cel_map_find(c, a, &key, &x)) { /* null, as absent */
			if (cel_map_find(c, b, &key, &y))
				return cel_of_bool(false);
			continue;
		}
		if (!cel_map_find(c, b, &key, &y))
			return cel_of_bool(false);
		same = cel_equal(c, &x, &y);
		if (same.kind != CEL_BOOL || !same.boolean)
			return same;
	}
	return cel_of_bool(true);
}

struct cel_value cel_equal(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	struct cel_value order;

	if (++c->work > CEL_WORK_MAX)
		return cel_fail(SPAN("operation cancelled: actual cost limit exceeded"));
	if (a->kind == CEL_ERROR || b->kind == CEL_ERROR)
		return a->kind == CEL_ERROR ? *a : *b;
	if (is_number(a) && is_number(b)) {
		order = cel_compare(a, b);
		return cel_of_bool(order.kind == CEL_INT && order.integer == 0);
	}
	if (a->kind != b->kind)
		return cel_of_bool(false);
	switch (a->kind) {
	case CEL_NULL:
		return cel_of_bool(true);
	case CEL_LIST:
		return equal_lists(c, a, b);
	case CEL_MAP:
		return equal_maps(c, a, b);
	case CEL_TYPE:
		return cel_of_bool(a->type->kind == b->type->kind);
	case CEL_OPTIONAL:
		if (!a->optional || !b->optional)
			return cel_of_bool(!a->optional && !b->optional);
		return cel_equal(c, a->optional, b->optional);
	case CEL_IP:
	case CEL_CIDR:
		return cel_of_bool(a->net->len == b->net->len && a->net->bits == b->net->bits &&
				   memcmp(a->net->bytes, b->net->bytes, a->net->len) == 0);
	case CEL_QUANTITY:
		return cel_of_bool(cel_quantity_equal(a->quantity, b->quantity));
	case CEL_SEMVER:
		return cel_of_bool(cel_semver_compare(a->semver, b->semver) == 0);
	case CEL_URL:
		return cel_of_bool(cel_url_equal(a->url, b->url));
	case CEL_FORMAT:
		return cel_of_bool(span_equal(a->text, b->text));
	case CEL_UNKNOWN:
		return cel_of_bool(value_equal(a->data.data, b->data.data));
	default:
		order = cel_compare(a, b);
		return cel_of_bool(order.kind == CEL_INT && order.integer == 0);
	}
}

bool cel_is_equal(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	struct cel_value same = cel_equal(c, a, b);

	return same.kind == CEL_BOOL && same.boolean;
}

/* ---- order ---- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

/* A double beside an integer: as doubles, as cel-go compares them. */
static int order_mixed(double d, bool is_negative, uint64_t amount)
{
	double other = is_negative ? -(double)amount : (double)amount;

	return ORDER(d, other);
}

static bool order_numbers(const struct cel_value *a, const struct cel_value *b, int *ret)
{
	uint64_t amount;

	if (a->kind == CEL_DOUBLE && b->kind == CEL_DOUBLE) {
		*ret = ORDER(a->number, b->number);
		return a->number == a->number && b->number == b->number;
	}
	if (a->kind == CEL_DOUBLE) {
		bool is_negative = b->kind == CEL_INT && b->integer < 0;

		amount = is_negative ? 0 - (uint64_t)b->integer : b->natural;
		*ret = order_mixed(a->number, is_negative, amount);
		return a->number == a->number;
	}
	if (b->kind == CEL_DOUBLE) {
		bool ok = order_numbers(b, a, ret);

		*ret = -*ret;
		return ok;
	}
	if (a->kind == b->kind)
		*ret = a->kind == CEL_INT ? ORDER(a->integer, b->integer) : ORDER(a->natural, b->natural);
	else if (a->kind == CEL_INT)
		*ret = a->integer < 0 ? -1 : ORDER((uint64_t)a->integer, b->natural);
	else
		*ret = b->integer < 0 ? 1 : ORDER(a->natural, (uint64_t)b->integer);
	return true;
}

struct cel_value cel_compare(const struct cel_value *a, const struct cel_value *b)
{
	int order = 0;

	if (a->kind == CEL_ERROR || b->kind == CEL_ERROR)
		return a->kind == CEL_ERROR ? *a : *b;
	if (is_number(a) && is_number(b)) {
		if (!order_numbers(a, b, &order))
			return cel_fail(SPAN("NaN values cannot be ordered"));
		return cel_of_int(order);
	}
	if (a->kind != b->kind)
		return CEL_NO_OVERLOAD;
	switch (a->kind) {
	case CEL_BOOL:
		return cel_of_int(ORDER(a->boolean, b->boolean));
	case CEL_STRING:
	case CEL_BYTES:
		return cel_of_int(span_order(a->text, b->text));
	case CEL_DURATION:
		return cel_of_int(ORDER(a->integer, b->integer));
	case CEL_TIMESTAMP:
		order = ORDER(a->time.seconds, b->time.seconds);
		return cel_of_int(order ? order : ORDER(a->time.nanoseconds, b->time.nanoseconds));
	default:
		return CEL_NO_OVERLOAD;
	}
}

/* ---- sizes ---- */

uint64_t cel_size_of(const struct cel_value *v)
{
	switch (v->kind) {
	case CEL_STRING:
		return cel_letters(v->text);
	case CEL_BYTES:
		return v->text.len;
	case CEL_LIST:
		return cel_list_count(v);
	case CEL_MAP:
		return cel_map_count(v);
	case CEL_OPTIONAL:
		return v->optional ? cel_size_of(v->optional) : 1;
	case CEL_IP:
		return v->net->len;
	case CEL_CIDR:
		return (v->net->bits + 7u) / 8;
	default:
		return 1;
	}
}

bool cel_is_zero(const struct cel_value *v)
{
	switch (v->kind) {
	case CEL_NULL:
		return true;
	case CEL_BOOL:
		return !v->boolean;
	case CEL_INT:
	case CEL_DURATION:
		return v->integer == 0;
	case CEL_UINT:
		return v->natural == 0;
	case CEL_DOUBLE:
		return v->number == 0;
	case CEL_STRING:
	case CEL_BYTES:
	case CEL_LIST:
	case CEL_MAP:
		return cel_size_of(v) == 0 || ((v->kind == CEL_STRING || v->kind == CEL_BYTES) && v->text.len == 0);
	case CEL_OPTIONAL:
		return !v->optional;
	default:
		return false;
	}
}
