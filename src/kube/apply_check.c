/* SPDX-License-Identifier: Apache-2.0 */
/* apply_check - does an applied configuration fit its type? The words are those of the real server. */
#include "base/number.h"
#include "kube/apply_private.h"
#include "kube/go_words.h"

#define FAULT_BYTES_MAX 4096 /* of a message; more is cut */

struct checking {
	struct buffer faults;
	unsigned count;
	struct buffer path;
	struct arena *arena;
	struct error *err;
};

static void fault_begin(struct checking *c)
{
	c->count++;
	buffer_append(&c->faults, SPAN("\n  "));
	buffer_append(&c->faults, buffer_span(&c->path));
	buffer_append(&c->faults, SPAN(": "));
}

/* ---- values as Go prints them ---- */

static void go_number(double d, struct buffer *out)
{
	char text[NUMBER_TEXT_MAX];
	struct span s = span_from(text, (size_t)(number_print_double(text, d) - text));

	if (span_ends(s, SPAN(".0")))
		s.len -= 2;
	buffer_append(out, s);
}

/* %v, or with `is_go` %#v */
static void go_value(const struct value *v, bool is_go, struct buffer *out)
{
	switch (v->type) {
	case VALUE_NULL:
		buffer_append(out, is_go ? SPAN("interface {}(nil)") : SPAN("<nil>"));
		break;
	case VALUE_BOOL:
		buffer_append(out, v->boolean ? SPAN("true") : SPAN("false"));
		break;
	case VALUE_INT:
		buffer_print(out, "%lld", (long long)v->integer);
		break;
	case VALUE_DOUBLE:
		go_number(v->number, out);
		break;
	case VALUE_STRING:
		buffer_append(out, is_go ? SPAN("\"") : SPAN(""));
		buffer_append(out, v->string);
		buffer_append(out, is_go ? SPAN("\"") : SPAN(""));
		break;
	case VALUE_ARRAY:
		buffer_append(out, is_go ? SPAN("[]interface {}{") : SPAN("["));
		for (uint32_t i = 0; i < v->array.count; i++) {
			if (i)
				buffer_append(out, is_go ? SPAN(", ") : SPAN(" "));
			go_value(&v->array.items[i], is_go, out);
		}
		buffer_byte(out, is_go ? '}' : ']');
		break;
	case VALUE_OBJECT:
		buffer_append(out, is_go ? SPAN("map[string]interface {}{") : SPAN("map["));
		for (uint32_t i = 0; i < v->object.count; i++) {
			if (i)
				buffer_append(out, is_go ? SPAN(", ") : SPAN(" "));
			buffer_append(out, is_go ? SPAN("\"") : SPAN(""));
			buffer_append(out, v->object.members[i].key);
			buffer_append(out, is_go ? SPAN("\":") : SPAN(":"));
			go_value(&v->object.members[i].value, is_go, out);
		}
		buffer_byte(out, is_go ? '}' : ']');
		break;
	}
}

/* ---- checking ---- */

static bool check(struct checking *c, unsigned depth, struct place p, const struct value *v);

static void wrong_type(struct checking *c, enum fields_shape wanted, const struct value *v)
{
	static const char *const names[] = {
		[SHAPE_MAP] = "map", [SHAPE_LIST] = "list", [SHAPE_BOOL] = "boolean", [SHAPE_SCALAR] = "any scalar"
	};

	fault_begin(c);
	if (wanted == SHAPE_NUMBER) {
		buffer_print(&c->faults, "expected numeric (int or float), got %s", go_type_name(v));
	} else if (wanted == SHAPE_STRING) {
		buffer_append(&c->faults, SPAN("expected string, got &value.valueUnstructured{Value:"));
		go_value(v, true, &c->faults);
		buffer_byte(&c->faults, '}');
	} else {
		buffer_print(&c->faults, "expected %s, got &{", names[wanted]);
		go_value(v, false, &c->faults);
		buffer_byte(&c->faults, '}');
	}
}

static bool fits(enum fields_shape wanted, const struct value *v)
{
	switch (wanted) {
	case SHAPE_MAP:
		return v->type == VALUE_OBJECT;
	case SHAPE_LIST:
		return v->type == VALUE_ARRAY;
	case SHAPE_STRING:
		return v->type == VALUE_STRING;
	case SHAPE_NUMBER:
		return v->type == VALUE_INT || v->type == VALUE_DOUBLE;
	case SHAPE_BOOL:
		return v->type == VALUE_BOOL;
	case SHAPE_SCALAR:
		return v->type != VALUE_ARRAY && v->type != VALUE_OBJECT;
	case SHAPE_ANY:
		break;
	}
	return true;
}

/* Whether members that the type does not name are allowed: in maps, and where nothing is known. */
static bool is_open(struct place p, struct span key)
{
	struct place m = fields_member(p, key);

	return m.field || m.type || m.openapi || (!p.type && !p.openapi) || fields_shape(p) == SHAPE_ANY ||
	       fields_keeps_unknown(p);
}

static bool check_members(struct checking *c, unsigned depth, struct place p, const struct value *v)
{
	for (uint32_t i = 0; i < v->object.count; i++) {
		const struct value_member *m = &v->object.members[i];
		size_t length = c->path.len;
		bool is_known = is_open(p, m->key);

		buffer_byte(&c->path, '.');
		buffer_append(&c->path, m->key);
		if (!is_known) {
			fault_begin(c);
			buffer_append(&c->faults, SPAN("field not declared in schema"));
		} else if (!check(c, depth + 1, fields_member(p, m->key), &m->value)) {
			return false;
		}
		c->path.len = length;
		if (!is_known)
			return true; /* the first one is told, as there */
	}
	return true;
}

/* Paths of items are told by their keys; true with *ret_is_bad when an item has none. */
static bool check_items(struct checking *c, unsigned depth, struct place p, const struct value *v)
{
	bool is_atomic = place_list(p) == LIST_ATOMIC;
	struct fields seen = { 0 };

	for (uint32_t i = 0; i < v->array.count; i++) {
		struct path_element e = { .kind = PATH_INDEX, .value = value_int(i) };
		size_t length = c->path.len;
		struct error why = { 0 };

		if (!is_atomic && !fields_item_element(value_item(v, i), p, c->arena, &e, &why)) {
			if (why.code == ERROR_TOO_LARGE)
				return error_set(c->err, why.code, "%s", why.message);
			fault_begin(c);
			buffer_print(&c->faults, "element %u: %s", i, why.message);
			return true;
		}
		if (!is_atomic && fields_has(&seen, &e)) {
			fault_begin(c);
			buffer_append(&c->faults, SPAN("duplicate entries for key "));
			path_element_print(&e, &c->faults);
		}
		if (!is_atomic && !fields_insert(&seen, &e, 1, c->arena, c->err))
			return false;
		path_element_print(&e, &c->path);
		if (!check(c, depth + 1, place_item(p), value_item(v, i)))
			return false;
		c->path.len = length;
	}
	return true;
}

static bool check(struct checking *c, unsigned depth, struct place p, const struct value *v)
{
	enum fields_shape wanted = fields_shape(p);

	if (depth > VALUE_DEPTH_MAX)
		return error_set(c->err, ERROR_INVALID, "an object is deeper than %d", VALUE_DEPTH_MAX);
	if (v->type == VALUE_NULL)
		return true;
	if (!fits(wanted, v)) {
		wrong_type(c, wanted, v);
		return true;
	}
	if (v->type == VALUE_OBJECT)
		return check_members(c, depth, p, v);
	return v->type != VALUE_ARRAY || check_items(c, depth, p, v);
}

/* "default/c; apps/v1, Kind=Deployment" */
static struct span config_name(const struct value *config, struct arena *arena, struct error *err)
{
	struct span name_space = value_find_string(config, "metadata.namespace");
	struct span name = value_find_string(config, "metadata.name");
	struct span version = value_find_string(config, "apiVersion"), kind = value_find_string(config, "kind");

	return arena_print(arena, err, SPAN_FMT "/" SPAN_FMT "; %s" SPAN_FMT ", Kind=" SPAN_FMT, SPAN_ARG(name_space),
			   SPAN_ARG(name), span_index(version, '/') == version.len ? "/" : "", SPAN_ARG(version),
			   SPAN_ARG(kind));
}

static bool faults_tell(struct checking *c, const struct value *config)
{
	struct span name = config_name(config, c->arena, c->err), faults = buffer_span(&c->faults);

	if (c->count == 0)
		return true;
	if (!name.ptr)
		return false;
	if (c->count == 1)
		faults = span_skip(faults, 3);
	return error_set(c->err, ERROR_INVALID, "failed to create typed patch object (%.*s): %s%.*s", (int)name.len,
			 name.ptr, c->count == 1 ? "" : "errors:", (int)faults.len, faults.ptr);
}

bool apply_check(const struct value *config, struct place place, struct arena *arena, struct error *err)
{
	struct checking c = { .arena = arena, .err = err };
	bool ok;

	buffer_init(&c.faults, FAULT_BYTES_MAX);
	buffer_init(&c.path, MIB(1));
	ok = check(&c, 0, place, config) && faults_tell(&c, config);
	buffer_done(&c.faults);
	buffer_done(&c.path);
	return ok;
}
