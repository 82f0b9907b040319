/* SPDX-License-Identifier: Apache-2.0 */
/* fields_managers - metadata.managedFields as a list of managers with their sets, and back. */
#include <stdlib.h>

#include "kube/fields.h"

enum { FIRST_CAPACITY = 8 };

static bool entry_is(const struct fields_manager *m, struct span name, struct span api_version, struct span subresource,
		     bool is_apply)
{
	return m->is_apply == is_apply && span_equal(m->name, name) && span_equal(m->subresource, subresource) &&
	       (is_apply || span_equal(m->api_version, api_version));
}

struct fields_manager *fields_manager_find(struct fields_managers *m, struct span name, struct span api_version,
					   struct span subresource, bool is_apply)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (entry_is(&m->items[i], name, api_version, subresource, is_apply))
			return &m->items[i];
	return NULL;
}

struct fields_manager *fields_manager_add(struct fields_managers *m, struct fields_manager entry, struct arena *arena,
					  struct error *err)
{
	if (m->count == m->capacity) {
		uint32_t capacity = m->capacity ? m->capacity * 2 : FIRST_CAPACITY;
		struct fields_manager *items = ARENA_ARRAY(arena, struct fields_manager, capacity, err);

		if (!items)
			return NULL;
		if (m->count)
			memcpy(items, m->items, m->count * sizeof(*items));
		m->items = items;
		m->capacity = capacity;
	}
	m->items[m->count] = entry;
	return &m->items[m->count++];
}

/* ---- from the object ---- */

static bool entry_parse(const struct value *v, uint32_t index, struct arena *arena, struct fields_manager *ret,
			struct error *err)
{
	struct span operation = value_find_string(v, "operation"), form = value_find_string(v, "fieldsType");
	const struct value *set = value_get(v, SPAN("fieldsV1"));
	struct fields_manager m = { 0 };

	m.name = value_find_string(v, "manager");
	m.api_version = value_find_string(v, "apiVersion");
	m.subresource = value_find_string(v, "subresource");
	m.time = value_find_string(v, "time");
	m.is_apply = span_equal(operation, SPAN("Apply"));
	if (!m.is_apply && !span_equal(operation, SPAN("Update")))
		return error_set(err, ERROR_INVALID, "operation must be `Apply` or `Update`");
	if (m.api_version.len == 0)
		return error_set(err, ERROR_INVALID, "apiVersion must not be empty");
	if (form.len == 0)
		return error_set(err, ERROR_INVALID, "missing fieldsType in managed fields entry %u", index);
	if (!span_equal(form, SPAN("FieldsV1")))
		return error_set(err, ERROR_INVALID, "invalid fieldsType \"" SPAN_FMT "\" in managed fields entry %u",
				 SPAN_ARG(form), index);
	m.set = value_is_empty(set) ? fields_new(arena, err) : fields_parse(set, arena, err);
	*ret = m;
	return m.set;
}

bool fields_managers_parse(const struct value *entries, struct arena *arena, struct fields_managers *ret,
			   struct error *err)
{
	struct fields_managers made = { 0 };

	for (uint32_t i = 0; i < value_count(entries); i++) {
		struct fields_manager m, *same;

		if (!entry_parse(&entries->array.items[i], i, arena, &m, err))
			return false;
		same = fields_manager_find(&made, m.name, m.api_version, m.subresource, m.is_apply);
		if (same)
			*same = m;
		else if (!fields_manager_add(&made, m, arena, err))
			return false;
	}
	*ret = made;
	return true;
}

/* ---- to the object ---- */

static int entries_compare(const void *a, const void *b)
{
	const struct fields_manager *left = a, *right = b;
	int c = (int)right->is_apply - (int)left->is_apply;

	if (!c)
		c = span_order(left->time, right->time);
	if (!c)
		c = span_order(left->name, right->name);
	if (!c)
		c = span_order(left->api_version, right->api_version);
	return c ? c : span_order(left->subresource, right->subresource);
}

static bool entry_print(const struct fields_manager *m, struct arena *arena, struct value *ret, struct error *err)
{
	struct {
		const char *name;
		struct span text;
	} texts[] = {
		{ "manager", m->name },
		{ "operation", m->is_apply ? SPAN("Apply") : SPAN("Update") },
		{ "apiVersion", m->api_version },
		{ "time", m->time },
		{ "fieldsType", SPAN("FieldsV1") },
	};
	struct value made = value_object(), set;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].text.len &&
		    !value_set(&made, span_of(texts[i].name), value_string(texts[i].text), arena, err))
			return false;
	if (!fields_print(m->set, arena, &set, err) || !value_set(&made, SPAN("fieldsV1"), set, arena, err))
		return false;
	if (m->subresource.len && !value_set(&made, SPAN("subresource"), value_string(m->subresource), arena, err))
		return false;
	*ret = made;
	return true;
}

bool fields_managers_print(struct fields_managers *m, struct arena *arena, struct value *ret, struct error *err)
{
	struct value made = value_array(), entry;

	if (m->count)
		qsort(m->items, m->count, sizeof(*m->items), entries_compare);
	for (uint32_t i = 0; i < m->count; i++) {
		if (fields_is_empty(m->items[i].set))
			continue;
		if (!entry_print(&m->items[i], arena, &entry, err) || !value_append(&made, entry, arena, err))
			return false;
	}
	*ret = made;
	return true;
}

bool fields_managers_store(struct fields_managers *m, struct value *object, struct arena *arena, struct error *err)
{
	struct value *metadata = value_ensure_object(object, SPAN("metadata"), arena, err);
	struct value entries;

	if (!metadata || !fields_managers_print(m, arena, &entries, err))
		return false;
	if (entries.array.count)
		return value_set(metadata, SPAN("managedFields"), entries, arena, err);
	(void)value_remove(metadata, SPAN("managedFields"));
	return true;
}

/* ---- what nobody owns ---- */

static bool strip_set(struct arena *arena, struct fields **ret, struct error *err)
{
	static const char *const names[] = { "apiVersion", "kind", "metadata" };
	static const char *const below[] = { "name",        "namespace",  "creationTimestamp", "selfLink",       "uid",
					     "clusterName", "generation", "managedFields",     "resourceVersion" };
	struct fields *made = fields_new(arena, err);

	for (size_t i = 0; made && i < ARRAY_LEN(names); i++) {
		struct path_element e = path_name(span_of(names[i]));

		if (!fields_insert(made, &e, 1, arena, err))
			return false;
	}
	for (size_t i = 0; made && i < ARRAY_LEN(below); i++) {
		struct path_element path[2] = { path_name(SPAN("metadata")), path_name(span_of(below[i])) };

		if (!fields_insert(made, path, 2, arena, err))
			return false;
	}
	*ret = made;
	return made;
}

bool fields_strip(struct fields_manager *m, struct arena *arena, struct error *err)
{
	struct fields *strip;

	if (!strip_set(arena, &strip, err))
		return false;
	m->set = fields_difference(m->set, strip, arena, err);
	return m->set;
}
