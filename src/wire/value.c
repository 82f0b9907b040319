/* SPDX-License-Identifier: Apache-2.0 */
/* value - see value.h. A large object has a table of hashes, open addressing, made when it passes SLOTS_FROM members. */
#include "wire/value.h"

enum {
	SLOTS_FROM = 16,    /* members from which a table of hashes pays */
	FIRST_CAPACITY = 4, /* members or items of a new object or array */
	PATH_SHOWN = 512,   /* bytes of a path told to value_reading.duplicate */
};

/* ---- look-up ---- */

/* Slots hold the member's index + 1; as many as twice the capacity, a power of two. */
static uint32_t slot_mask(const struct value *object)
{
	return object->object.capacity * 2 - 1;
}

static void slots_add(struct value *object, uint32_t index)
{
	uint32_t mask = slot_mask(object);
	uint32_t at = (uint32_t)span_hash(object->object.members[index].key) & mask;

	while (object->object.slots[at])
		at = (at + 1) & mask;
	object->object.slots[at] = index + 1;
}

static struct value_member *member_find(const struct value *object, struct span key)
{
	if (object->object.slots) {
		uint32_t mask = slot_mask(object);
		uint32_t at = (uint32_t)span_hash(key) & mask;

		for (; object->object.slots[at]; at = (at + 1) & mask) {
			struct value_member *m = &object->object.members[object->object.slots[at] - 1];

			if (span_equal(m->key, key))
				return m;
		}
		return NULL;
	}
	for (uint32_t i = 0; i < object->object.count; i++)
		if (span_equal(object->object.members[i].key, key))
			return &object->object.members[i];
	return NULL;
}

struct value *value_get(const struct value *object, struct span key)
{
	struct value_member *m = value_is(object, VALUE_OBJECT) ? member_find(object, key) : NULL;

	return m ? &m->value : NULL;
}

int value_member_order(const void *a, const void *b)
{
	const struct value_member *const *x = a, *const *y = b;

	return span_order((*x)->key, (*y)->key);
}

struct value *value_find(const struct value *v, const char *path)
{
	struct span rest = span_of(path);

	while (rest.len) {
		v = value_get(v, span_cut(&rest, '.'));
		if (!v)
			return NULL;
	}
	return (struct value *)v;
}

struct span value_find_string(const struct value *v, const char *path)
{
	const struct value *at = value_find(v, path);

	return value_is(at, VALUE_STRING) ? at->string : SPAN("");
}

int64_t value_find_int(const struct value *v, const char *path, int64_t otherwise)
{
	const struct value *at = value_find(v, path);

	return value_is(at, VALUE_INT) ? at->integer : otherwise;
}

bool value_find_bool(const struct value *v, const char *path)
{
	const struct value *at = value_find(v, path);

	return value_is(at, VALUE_BOOL) && at->boolean;
}

/* ---- changing ---- */

static bool slots_make(struct value *object, struct arena *arena, struct error *err)
{
	uint32_t *slots = arena_calloc(arena, (size_t)object->object.capacity * 2, sizeof(*slots), err);

	if (!slots)
		return false;
	object->object.slots = slots;
	for (uint32_t i = 0; i < object->object.count; i++)
		slots_add(object, i);
	return true;
}

/* Room for one more, in blocks that double. */
static bool members_grow(struct value *object, struct arena *arena, struct error *err)
{
	uint32_t capacity = object->object.capacity ? object->object.capacity * 2 : FIRST_CAPACITY;
	struct value_member *members;

	if (object->object.count < object->object.capacity)
		return true;
	if (capacity < object->object.capacity)
		return error_set(err, ERROR_TOO_LARGE, "an object has too many members");
	members = ARENA_ARRAY(arena, struct value_member, capacity, err);
	if (!members)
		return false;
	if (object->object.count)
		memcpy(members, object->object.members, object->object.count * sizeof(*members));
	object->object.members = members;
	object->object.capacity = capacity;
	return capacity < SLOTS_FROM || slots_make(object, arena, err);
}

struct value *value_set(struct value *object, struct span key, struct value v, struct arena *arena, struct error *err)
{
	struct value_member *m = member_find(object, key);

	if (!m) {
		if (!members_grow(object, arena, err))
			return NULL;
		m = &object->object.members[object->object.count++];
		m->key = key;
		if (object->object.slots)
			slots_add(object, object->object.count - 1);
	}
	m->value = v;
	return &m->value;
}

/* Takes a member out of the table: what stands behind it in its run moves up, so that it is still found. */
static void slots_remove(struct value *object, uint32_t index)
{
	uint32_t *slots = object->object.slots, mask = slot_mask(object);
	uint32_t hole = (uint32_t)span_hash(object->object.members[index].key) & mask;

	while (slots[hole] != index + 1)
		hole = (hole + 1) & mask;
	for (uint32_t at = (hole + 1) & mask; slots[at]; at = (at + 1) & mask) {
		uint32_t home = (uint32_t)span_hash(object->object.members[slots[at] - 1].key) & mask;

		if (hole <= at ? hole < home && home <= at : hole < home || home <= at)
			continue;
		slots[hole] = slots[at];
		hole = at;
	}
	slots[hole] = 0;
}

bool value_remove(struct value *object, struct span key)
{
	struct value_member *m = value_is(object, VALUE_OBJECT) ? member_find(object, key) : NULL;
	uint32_t index, behind;

	if (!m)
		return false;
	index = (uint32_t)(m - object->object.members);
	behind = object->object.count - index - 1;
	if (object->object.slots) {
		slots_remove(object, index);
		for (uint32_t i = 0; behind && i <= slot_mask(object); i++) /* those behind move by one */
			object->object.slots[i] -= object->object.slots[i] > index + 1;
	}
	memmove(m, m + 1, behind * sizeof(*m));
	object->object.count--;
	return true;
}

static struct value *ensure(struct value *object, struct span key, enum value_type type, struct arena *arena,
			    struct error *err)
{
	struct value *at = value_get(object, key);

	if (at && at->type == type)
		return at;
	if (at && at->type != VALUE_NULL) {
		error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is %s, expected %s", SPAN_ARG(key),
			  value_type_name(at->type), value_type_name(type));
		return NULL;
	}
	return value_set(object, key, (struct value){ .type = type }, arena, err);
}

struct value *value_ensure_object(struct value *object, struct span key, struct arena *arena, struct error *err)
{
	return ensure(object, key, VALUE_OBJECT, arena, err);
}

struct value *value_ensure_array(struct value *object, struct span key, struct arena *arena, struct error *err)
{
	return ensure(object, key, VALUE_ARRAY, arena, err);
}

struct value *value_insert(struct value *array, uint32_t index, struct value v, struct arena *arena, struct error *err)
{
	struct value *at;

	ASSERT(index <= array->array.count);
	if (array->array.count == array->array.capacity) {
		uint32_t capacity = array->array.capacity ? array->array.capacity * 2 : FIRST_CAPACITY;
		struct value *items;

		if (capacity < array->array.capacity) {
			error_set(err, ERROR_TOO_LARGE, "an array has too many items");
			return NULL;
		}
		items = ARENA_ARRAY(arena, struct value, capacity, err);
		if (!items)
			return NULL;
		if (array->array.count)
			memcpy(items, array->array.items, array->array.count * sizeof(*items));
		array->array.items = items;
		array->array.capacity = capacity;
	}
	at = array->array.items + index;
	memmove(at + 1, at, (array->array.count - index) * sizeof(*at));
	array->array.count++;
	*at = v;
	return at;
}

struct value *value_append(struct value *array, struct value v, struct arena *arena, struct error *err)
{
	return value_insert(array, array->array.count, v, arena, err);
}

void value_remove_item(struct value *array, uint32_t index)
{
	struct value *at = array->array.items + index;

	ASSERT(index < array->array.count);
	memmove(at, at + 1, (array->array.count - index - 1) * sizeof(*at));
	array->array.count--;
}

/* ---- copies, comparison ---- */

static bool array_copy(const struct value *v, struct arena *arena, struct value *ret, struct error *err)
{
	struct value copy = { .type = VALUE_ARRAY };

	copy.array.count = copy.array.capacity = v->array.count;
	copy.array.items = ARENA_ARRAY(arena, struct value, v->array.count, err);
	if (!copy.array.items)
		return false;
	for (uint32_t i = 0; i < v->array.count; i++)
		if (!value_copy(&v->array.items[i], arena, &copy.array.items[i], err))
			return false;
	*ret = copy;
	return true;
}

static bool object_copy(const struct value *v, struct arena *arena, struct value *ret, struct error *err)
{
	struct value copy = value_object();

	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		struct span key = arena_copy(arena, m->key, err);
		struct value member;

		if (!key.ptr || !value_copy(&m->value, arena, &member, err) ||
		    !value_set(&copy, key, member, arena, err))
			return false;
	}
	*ret = copy;
	return true;
}

bool value_copy(const struct value *v, struct arena *arena, struct value *ret, struct error *err)
{
	struct span text;

	switch (v->type) {
	case VALUE_STRING:
		text = arena_copy(arena, v->string, err);
		if (!text.ptr)
			return false;
		*ret = value_string(text);
		return true;
	case VALUE_ARRAY:
		return array_copy(v, arena, ret, err);
	case VALUE_OBJECT:
		return object_copy(v, arena, ret, err);
	case VALUE_NULL:
	case VALUE_BOOL:
	case VALUE_INT:
	case VALUE_DOUBLE:
		break;
	}
	*ret = *v;
	return true;
}

static bool arrays_equal(const struct value *a, const struct value *b)
{
	if (a->array.count != b->array.count)
		return false;
	for (uint32_t i = 0; i < a->array.count; i++)
		if (!value_equal(&a->array.items[i], &b->array.items[i]))
			return false;
	return true;
}

static bool objects_equal(const struct value *a, const struct value *b)
{
	if (a->object.count != b->object.count)
		return false;
	for (uint32_t i = 0; i < a->object.count; i++) {
		const struct value_member *m = &a->object.members[i];
		const struct value *other;

		/* Most often the order is the same. */
		if (span_equal(m->key, b->object.members[i].key))
			other = &b->object.members[i].value;
		else
			other = value_get(b, m->key);
		if (!other || !value_equal(&m->value, other))
			return false;
	}
	return true;
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case VALUE_NULL:
		return true;
	case VALUE_BOOL:
		return a->boolean == b->boolean;
	case VALUE_INT:
		return a->integer == b->integer;
	case VALUE_DOUBLE:
		return a->number == b->number;
	case VALUE_STRING:
		return span_equal(a->string, b->string);
	case VALUE_ARRAY:
		return arrays_equal(a, b);
	case VALUE_OBJECT:
		return objects_equal(a, b);
	}
	return false;
}

const char *value_type_name(enum value_type type)
{
	static const char *const names[] = { "null", "boolean", "integer", "number", "string", "array", "object" };

	return names[type];
}

/* ---- text ---- */

/* Where the reader stands: a chain through the callers' frames, printed only when it is asked for. */
struct place_in_text {
	const struct place_in_text *above;
	struct span key; /* of a member; ptr NULL: an item */
	uint32_t index;
};

static void place_print(const struct place_in_text *p, struct buffer *out)
{
	if (!p)
		return;
	place_print(p->above, out);
	if (!p->key.ptr) {
		buffer_print(out, "[%u]", p->index);
		return;
	}
	if (out->len)
		buffer_byte(out, '.');
	buffer_append(out, p->key);
}

struct reader {
	struct json j;
	const struct value_reading *reading;
	struct arena *arena;
};

static void tell_duplicate(struct reader *r, const struct place_in_text *p)
{
	struct buffer path;

	if (!r->reading || !r->reading->duplicate)
		return;
	buffer_init(&path, PATH_SHOWN);
	place_print(p, &path);
	r->reading->duplicate(r->reading->context, buffer_span(&path));
	buffer_done(&path);
}

/* `now` gets what `before` has and it has not. */
static bool duplicate_merge(struct reader *r, const struct value *before, struct value *now, struct error *err)
{
	struct value merged;

	if (!r->reading || !r->reading->merges_duplicates || before->type != VALUE_OBJECT || now->type != VALUE_OBJECT)
		return true;
	merged = *before;
	for (uint32_t i = 0; i < now->object.count; i++) {
		struct value_member *m = &now->object.members[i];
		const struct value *other = value_get(&merged, m->key);

		if (other && !duplicate_merge(r, other, &m->value, err))
			return false;
		if (!value_set(&merged, m->key, m->value, r->arena, err))
			return false;
	}
	*now = merged;
	return true;
}

static bool value_read(struct reader *r, const struct place_in_text *above, struct value *ret, struct error *err);

static bool object_read(struct reader *r, const struct place_in_text *above, struct value *ret, struct error *err)
{
	struct value object = value_object();
	struct span key;

	if (!json_enter_object(&r->j, err))
		return false;
	while (json_next_key(&r->j, &key, err)) {
		struct place_in_text here = { above, key.ptr ? key : SPAN(""), 0 };
		struct value member;

		if (!value_read(r, &here, &member, err))
			return false;
		if (member_find(&object, key)) {
			tell_duplicate(r, &here);
			if (!duplicate_merge(r, value_get(&object, key), &member, err))
				return false;
		}
		if (!value_set(&object, key, member, r->arena, err))
			return false;
	}
	*ret = object;
	return !r->j.failed;
}

static bool array_read(struct reader *r, const struct place_in_text *above, struct value *ret, struct error *err)
{
	struct value array = value_array();

	if (!json_enter_array(&r->j, err))
		return false;
	while (json_next_element(&r->j, err)) {
		struct place_in_text here = { above, { NULL, 0 }, array.array.count };
		struct value item;

		if (!value_read(r, &here, &item, err) || !value_append(&array, item, r->arena, err))
			return false;
	}
	*ret = array;
	return !r->j.failed;
}

static bool number_read(struct reader *r, struct value *ret, struct error *err)
{
	struct number n;

	if (!json_read_number(&r->j, &n, err))
		return false;
	if (n.kind == NUMBER_INT)
		*ret = value_int(n.i);
	else
		*ret = value_double(n.kind == NUMBER_UINT ? (double)n.u : n.d);
	return true;
}

static bool value_read(struct reader *r, const struct place_in_text *above, struct value *ret, struct error *err)
{
	struct span text;
	bool boolean;

	switch (json_peek(&r->j)) {
	case JSON_OBJECT:
		return object_read(r, above, ret, err);
	case JSON_ARRAY:
		return array_read(r, above, ret, err);
	case JSON_NUMBER:
		return number_read(r, ret, err);
	case JSON_STRING:
		if (!json_read_string(&r->j, &text, err))
			return false;
		*ret = value_string(text);
		return true;
	case JSON_BOOL:
		if (!json_read_bool(&r->j, &boolean, err))
			return false;
		*ret = value_bool(boolean);
		return true;
	case JSON_NULL:
	case JSON_INVALID:
		break;
	}
	*ret = value_null();
	return json_read_null(&r->j, err);
}

bool value_parse(struct span text, const struct value_reading *reading, struct arena *arena, struct value *ret,
		 struct error *err)
{
	struct reader r = { .reading = reading, .arena = arena };
	struct value v;

	json_init(&r.j, text, arena);
	if (!value_read(&r, NULL, &v, err) || !json_finish(&r.j, err))
		return false;
	*ret = v;
	return true;
}

void value_write(const struct value *v, struct json_writer *w)
{
	switch (v->type) {
	case VALUE_NULL:
		json_null(w);
		break;
	case VALUE_BOOL:
		json_bool(w, v->boolean);
		break;
	case VALUE_INT:
		json_int64(w, v->integer);
		break;
	case VALUE_DOUBLE:
		json_double(w, v->number);
		break;
	case VALUE_STRING:
		json_string(w, v->string);
		break;
	case VALUE_ARRAY:
		json_open_array(w);
		for (uint32_t i = 0; i < v->array.count; i++)
			value_write(&v->array.items[i], w);
		json_close_array(w);
		break;
	case VALUE_OBJECT:
		json_open_object(w);
		for (uint32_t i = 0; i < v->object.count; i++) {
			json_key(w, v->object.members[i].key);
			value_write(&v->object.members[i].value, w);
		}
		json_close_object(w);
		break;
	}
}

struct span value_print(const struct value *v, struct arena *arena, struct error *err)
{
	struct buffer out;
	struct span text = { NULL, 0 };
	struct json_writer w;

	buffer_init(&out, arena->limit);
	w = json_writer(&out);
	value_write(v, &w);
	if (buffer_ok(&out, "a JSON text", err))
		text = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return text;
}
