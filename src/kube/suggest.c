/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest - "did you mean", as warnings: the messages themselves are the real server's, which clients parse.
 */
#include "kube/kube_private.h"

#include "base/nearest.h"

/* ---- fields ---- */

static void try_members(struct nearest *n, struct place p)
{
	const struct value *properties =
	    p.openapi ? value_get(openapi_schema_source(p.openapi), SPAN("properties")) : NULL;

	for (uint32_t i = 0; p.type && i < p.type->count; i++)
		nearest_try(n, p.type->fields[i].name);
	for (uint32_t i = 0; value_is(properties, VALUE_OBJECT) && i < properties->object.count; i++)
		nearest_try(n, properties->object.members[i].key);
}

/* The first part of "containers[0].image", and what is behind it; *ret_items: how many indices follow the name. */
static struct span part_cut(struct span *path, size_t *ret_items)
{
	size_t end = 0, name;
	struct span part;

	while (end < path->len && path->ptr[end] != '.' && path->ptr[end] != '[')
		end++;
	name = end;
	*ret_items = 0;
	while (end < path->len && path->ptr[end] == '[') {
		while (end < path->len && path->ptr[end] != ']')
			end++;
		end = MIN(end + 1, path->len);
		++*ret_items;
	}
	part = span_first(*path, name);
	*path = span_skip(*path, MIN(end + 1, path->len));
	return part;
}

void suggest_field(struct call *call, struct place p, struct span path)
{
	struct span rest = path;

	while (rest.len) {
		size_t items;
		struct span part = part_cut(&rest, &items);
		struct nearest n = nearest_to(part);

		if (rest.len) {
			p = place_member(p, part);
			while (items--)
				p = place_item(p);
			continue;
		}
		try_members(&n, p);
		if (n.found.len)
			warn(call, "field \"%.*s\": did you mean \"" SPAN_FMT "\"?", (int)MIN(path.len, 512), path.ptr,
			     SPAN_ARG(n.found));
	}
}

/* ---- kinds ---- */

static bool is_of(const struct kind *kind, const struct call *call)
{
	return span_equal(span_of(kind->group), call->group) && span_equal(span_of(kind->version), call->version);
}

static const char *slash(const struct kind *kind)
{
	return *kind->group ? "/" : "";
}

void suggest_kind(struct call *call)
{
	const struct kind *const *kinds = kube_kinds(call->base.kube);
	struct nearest n = nearest_to(call->plural);

	for (size_t i = 0; call->plural.len && kinds[i]; i++) {
		if (span_equal(span_of(kinds[i]->plural), call->plural) ||
		    span_equal(span_of(kinds[i]->singular), call->plural) ||
		    span_equal(span_of(kinds[i]->kind), call->plural)) {
			warn(call, "no \"" SPAN_FMT "\" here: did you mean %s of %s%s%s?", SPAN_ARG(call->plural),
			     kinds[i]->plural, kinds[i]->group, slash(kinds[i]), kinds[i]->version);
			return;
		}
		if (is_of(kinds[i], call))
			nearest_try(&n, span_of(kinds[i]->plural));
	}
	if (n.found.len)
		warn(call, "no \"" SPAN_FMT "\" here: did you mean \"" SPAN_FMT "\"?", SPAN_ARG(call->plural),
		     SPAN_ARG(n.found));
}
