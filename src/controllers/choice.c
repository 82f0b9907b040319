/* SPDX-License-Identifier: Apache-2.0 */
/* choice - which controllers run, and what they look at. */
#include "base/nearest.h"
#include "controllers/manager_private.h"

/* "deployment-controller", or "deployment" as it was called before. */
static struct span short_name(const struct controller *c)
{
	struct span name = span_of(c->name), end = SPAN("-controller");

	return span_ends(name, end) ? span_first(name, name.len - end.len) : name;
}

static bool is_named(const struct controller *c, const char *name)
{
	return strcmp(name, c->name) == 0 || span_equal(span_of(name), short_name(c));
}

bool choice_has(const char *const *names, const struct controller *c)
{
	bool all = !names;

	for (size_t i = 0; names && names[i]; i++) {
		if (is_named(c, names[i]))
			return true;
		if (names[i][0] == '-' && is_named(c, names[i] + 1))
			return false;
		all |= strcmp(names[i], "*") == 0;
	}
	return all;
}

static bool name_check(const char *name, struct error *err)
{
	struct nearest near = nearest_to(span_of(name));

	if (strcmp(name, "*") == 0)
		return true;
	for (size_t i = 0; controllers_table[i]; i++) {
		if (is_named(controllers_table[i], name))
			return true;
		nearest_try(&near, short_name(controllers_table[i]));
		nearest_try(&near, span_of(controllers_table[i]->name));
	}
	if (!near.found.len)
		return error_set(err, ERROR_NOT_FOUND, "there is no controller '%s'", name);
	return error_set(err, ERROR_NOT_FOUND, "there is no controller '%s'; did you mean '" SPAN_FMT "'?", name,
			 SPAN_ARG(near.found));
}

bool choice_check(const char *const *names, struct error *err)
{
	for (size_t i = 0; names && names[i]; i++)
		if (!name_check(names[i] + (names[i][0] == '-'), err))
			return false;
	return true;
}

/* ---- what they look at ---- */

static bool add(const struct resource **ret, size_t *count, size_t room, const struct resource *r)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(ret[i]->plural, r->plural) == 0 && strcmp(ret[i]->group, r->group) == 0)
			return true;
	if (*count + 1 >= room)
		return false;
	ret[(*count)++] = r;
	return true;
}

bool manager_resources(const char *const *names, const struct resource **ret, size_t room, struct error *err)
{
	size_t count = 0;
	bool good = true;

	if (!choice_check(names, err))
		return false;
	for (size_t i = 0; controllers_table[i]; i++) {
		const struct controller *c = controllers_table[i];

		if (!choice_has(names, c))
			continue;
		good &= add(ret, &count, room, c->resource);
		for (size_t j = 0; c->owned && c->owned[j]; j++)
			good &= add(ret, &count, room, c->owned[j]);
		for (size_t j = 0; c->quiet && c->quiet[j]; j++)
			good &= add(ret, &count, room, c->quiet[j]);
		for (size_t j = 0; c->read && c->read[j]; j++)
			good &= add(ret, &count, room, c->read[j]);
	}
	ret[count] = NULL;
	return good || error_set(err, ERROR_INTERNAL, "controllers look at more than %zu kinds", room - 1);
}
