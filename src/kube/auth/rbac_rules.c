/* SPDX-License-Identifier: Apache-2.0 */
/* rbac_rules - one rule of a role against one question, and against other rules. */
#include "kube/auth/auth.h"

static bool list_has(const struct span *list, uint32_t count, struct span s)
{
	for (uint32_t i = 0; i < count; i++) {
		if (span_equal(list[i], s))
			return true;
	}
	return false;
}

static bool list_has_or_all(const struct span *list, uint32_t count, struct span s)
{
	return list_has(list, count, SPAN("*")) || list_has(list, count, s);
}

/* "pods", "pods/log", "*" followed by "/scale", or a star alone. */
static bool resource_matches(struct span rule, struct span resource, struct span subresource)
{
	struct span rest = rule, head;

	if (span_equal(rule, SPAN("*")))
		return true;
	head = span_cut(&rest, '/');
	if (head.len == rule.len)
		return subresource.len == 0 && span_equal(rule, resource);
	return span_equal(rest, subresource) && subresource.len > 0 &&
	       (span_equal(head, SPAN("*")) || span_equal(head, resource));
}

static bool path_matches(struct span rule, struct span path)
{
	if (span_equal(rule, SPAN("*")) || span_equal(rule, path))
		return true;
	return rule.len > 0 && rule.ptr[rule.len - 1] == '*' && span_starts(path, span_first(rule, rule.len - 1));
}

bool rule_allows(const struct rule *r, const struct access *a)
{
	if (!list_has_or_all(r->verbs, r->verb_count, a->verb))
		return false;
	if (!a->is_resource) {
		for (uint32_t i = 0; i < r->path_count; i++) {
			if (path_matches(r->paths[i], a->path))
				return true;
		}
		return false;
	}
	if (!list_has_or_all(r->groups, r->group_count, a->group) ||
	    (r->name_count > 0 && !list_has(r->names, r->name_count, a->name)))
		return false;
	for (uint32_t i = 0; i < r->resource_count; i++) {
		if (resource_matches(r->resources[i], a->resource, a->subresource))
			return true;
	}
	return false;
}

/* ---- covering ---- */

/* A piece: one verb on one resource of one group (with one name), or one verb on one path. */
struct piece {
	struct span verb, group, resource, name, path;
	bool has_name, is_path;
};

static bool resource_covers(const struct rule *r, struct span resource)
{
	struct span rest = resource, head = span_cut(&rest, '/');

	if (list_has_or_all(r->resources, r->resource_count, resource))
		return true;
	for (uint32_t i = 0; head.len < resource.len && i < r->resource_count; i++) {
		struct span own = r->resources[i];

		if (span_starts(own, SPAN("*/")) && span_equal(span_skip(own, 2), rest))
			return true;
	}
	return false;
}

static bool rule_covers(const struct rule *r, const struct piece *p)
{
	if (!list_has_or_all(r->verbs, r->verb_count, p->verb))
		return false;
	if (p->is_path) {
		for (uint32_t i = 0; i < r->path_count; i++) {
			if (path_matches(r->paths[i], p->path))
				return true;
		}
		return false;
	}
	return list_has_or_all(r->groups, r->group_count, p->group) && resource_covers(r, p->resource) &&
	       (r->name_count == 0 || (p->has_name && list_has(r->names, r->name_count, p->name)));
}

static bool any_covers(const struct rule *rules, size_t count, const struct piece *p)
{
	for (size_t i = 0; i < count; i++) {
		if (rule_covers(&rules[i], p))
			return true;
	}
	return false;
}

static bool names_covered(const struct rule *rules, size_t count, const struct rule *small, struct piece *p)
{
	p->has_name = small->name_count > 0;
	if (!p->has_name)
		return any_covers(rules, count, p);
	for (uint32_t i = 0; i < small->name_count; i++) {
		p->name = small->names[i];
		if (!any_covers(rules, count, p))
			return false;
	}
	return true;
}

static bool resources_covered(const struct rule *rules, size_t count, const struct rule *small, struct piece *p)
{
	for (uint32_t g = 0; g < small->group_count; g++) {
		p->group = small->groups[g];
		for (uint32_t i = 0; i < small->resource_count; i++) {
			p->resource = small->resources[i];
			if (!names_covered(rules, count, small, p))
				return false;
		}
	}
	return true;
}

bool rules_cover(const struct rule *rules, size_t count, const struct rule *small)
{
	struct piece p = { 0 };

	for (uint32_t v = 0; v < small->verb_count; v++) {
		p.verb = small->verbs[v];
		p.is_path = true;
		for (uint32_t i = 0; i < small->path_count; i++) {
			p.path = small->paths[i];
			if (!any_covers(rules, count, &p))
				return false;
		}
		p.is_path = false;
		if (!resources_covered(rules, count, small, &p))
			return false;
	}
	return true;
}

/* ---- reading and writing ---- */

static bool list_read(const struct value *rule, const char *member, struct arena *arena, const struct span **ret,
		      uint32_t *ret_count, struct error *err)
{
	const struct value *list = value_get(rule, span_of(member));
	uint32_t count = value_count(list);
	struct span *items = ARENA_ARRAY(arena, struct span, count, err);

	if (!items)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct value *item = value_item(list, i);

		items[i] = value_is(item, VALUE_STRING) ? item->string : (struct span){ 0 };
	}
	*ret = items;
	*ret_count = count;
	return true;
}

bool rules_read(const struct value *rules, struct arena *arena, struct rule **ret, size_t *ret_count, struct error *err)
{
	uint32_t count = value_count(rules);
	struct rule *list = arena_calloc(arena, count, sizeof(*list), err);

	if (!list)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct value *from = value_item(rules, i);
		struct rule *r = &list[i];

		if (!list_read(from, "verbs", arena, &r->verbs, &r->verb_count, err) ||
		    !list_read(from, "apiGroups", arena, &r->groups, &r->group_count, err) ||
		    !list_read(from, "resources", arena, &r->resources, &r->resource_count, err) ||
		    !list_read(from, "resourceNames", arena, &r->names, &r->name_count, err) ||
		    !list_read(from, "nonResourceURLs", arena, &r->paths, &r->path_count, err))
			return false;
	}
	*ret = list;
	*ret_count = count;
	return true;
}

static bool list_value(struct value *rule, const char *member, const struct span *list, uint32_t count,
		       struct arena *arena, struct error *err)
{
	struct value items = value_array();

	if (count == 0)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		if (!value_append(&items, value_string(list[i]), arena, err))
			return false;
	}
	return value_set(rule, span_of(member), items, arena, err) != NULL;
}

bool rule_value(const struct rule *r, struct arena *arena, struct value *ret, struct error *err)
{
	*ret = value_object();
	return list_value(ret, "verbs", r->verbs, r->verb_count, arena, err) &&
	       list_value(ret, "apiGroups", r->groups, r->group_count, arena, err) &&
	       list_value(ret, "resources", r->resources, r->resource_count, arena, err) &&
	       list_value(ret, "resourceNames", r->names, r->name_count, arena, err) &&
	       list_value(ret, "nonResourceURLs", r->paths, r->path_count, arena, err);
}

static void list_print(const char *name, const struct span *list, uint32_t count, bool *is_first, struct buffer *out)
{
	if (count == 0)
		return;
	buffer_print(out, "%s%s:[", *is_first ? "" : ", ", name);
	for (uint32_t i = 0; i < count; i++)
		buffer_print(out, "%s\"" SPAN_FMT "\"", i ? " " : "", SPAN_ARG(list[i]));
	buffer_byte(out, ']');
	*is_first = false;
}

void rule_print(const struct rule *r, struct buffer *out)
{
	bool is_first = true;

	buffer_byte(out, '{');
	list_print("APIGroups", r->groups, r->group_count, &is_first, out);
	list_print("Resources", r->resources, r->resource_count, &is_first, out);
	list_print("NonResourceURLs", r->paths, r->path_count, &is_first, out);
	list_print("ResourceNames", r->names, r->name_count, &is_first, out);
	list_print("Verbs", r->verbs, r->verb_count, &is_first, out);
	buffer_byte(out, '}');
}
